"""Sheets with readings, as people send them."""

from __future__ import annotations

import pytest

from regional311.allocation.readings_sheet import MOST_BYTES, MOST_ROWS, SheetRefused, read_sheet


def test_a_sheet_is_read_whatever_parts_its_columns():
    for text in ("target,reading\na,1\n\nb,2.5\n", "\ufeffTarget;Reading\na;1\nb;2.5"):
        assert read_sheet(text.encode()) == {"a": "1", "b": "2.5"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"x" * (MOST_BYTES + 1), "larger than 1,000,000 bytes"),
        (b"target,reading\n\0,1\n", "neither XLSX nor CSV"),
        (b'target,reading\n"a,1\n', "not CSV"),
        (b"target,reading\n" + b"".join(b"t%d,1\n" % n for n in range(MOST_ROWS + 1)), "more than"),
        (b"target,reading\na,=1+1\n", "Row 2 has a formula"),
        (b"target,reading\na,1,2\n", "nothing else"),
    ],
    ids=range(6),
)
def test_a_bad_sheet_is_refused(content, says):
    with pytest.raises(SheetRefused, match=says):
        read_sheet(content)
