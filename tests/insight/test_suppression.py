"""Nothing that is published lets anybody work out a small count."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.errors import InvalidInput
from regional311.insight.suppression import FEW, WITHHELD, Counted, suppress

AREA = "area"


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({}, {}),
        ({"a": 7, "b": 12}, {"a": 7, "b": 12}),
        ({"a": 7, "b": 0}, {"a": 7}),
        pytest.param({"a": 9, "b": 12, "c": 2}, {"a": WITHHELD, "b": 12, "c": FEW}, id="one"),
        pytest.param({"a": 9, "b": 2, "c": 3}, {"a": 9, "b": FEW, "c": FEW}, id="two"),
        pytest.param({"a": 3, "b": 3}, {"a": FEW, "b": FEW}, id="only few"),
        pytest.param(
            {"a": 15, "b": 1, "c": 1}, {"a": WITHHELD, "b": FEW, "c": FEW}, id="each one alone"
        ),
        pytest.param(
            {"a": 9, "b": 4, "c": 4}, {"a": WITHHELD, "b": FEW, "c": FEW}, id="each just few"
        ),
        pytest.param({"a": 9, "b": 1, "c": 1}, None, id="the other gives them away"),
        pytest.param({"a": 5, "b": 1}, None, id="the least beside the least"),
        pytest.param({"a": 4, "b": 4}, None, id="nothing to hide behind"),
    ],
)
def test_one_way_of_dividing(cells, said):
    assert suppress(sum(cells.values()), {AREA: cells}).divided[AREA] == said


def test_a_total_of_few_is_not_divided():
    assert suppress(4, {AREA: {"a": 2, "b": 2}}) == Counted(FEW, {AREA: None})


@pytest.mark.parametrize(
    ("total", "divided", "threshold"),
    [(3, {AREA: {"a": 2}}, 5), (0, {AREA: {"a": -1, "b": 1}}, 5), (9, {AREA: {"a": 9}}, 2)],
)
def test_what_does_not_add_up_is_refused(total, divided, threshold):
    with pytest.raises(InvalidInput):
        suppress(total, divided, threshold)


@pytest.mark.parametrize(("threshold", "most", "cells"), [(3, 8, 4), (4, 12, 3), (5, 15, 3)])
def test_who_knows_the_rules_still_has_two_numbers_for_each_hidden_count(threshold, most, cells):
    """Every possible table, put with those that are published alike: the strongest reader."""
    keys = "abcd"[:cells]
    alike: dict[object, list[tuple[int, ...]]] = {}
    for counts in product(range(most + 1), repeat=cells):
        found = suppress(sum(counts), {AREA: dict(zip(keys, counts, strict=True))}, threshold)
        said = found.divided[AREA]
        if said is not None:
            alike.setdefault((found.total, tuple(said.items())), []).append(counts)
    for (total, said), tables in alike.items():
        # a table whose numbers end where this test ends has neighbours that it does not see
        if not isinstance(total, int) or total > most:
            continue
        for key, each in said:
            if not isinstance(each, int):
                assert len({table[keys.index(key)] for table in tables}) >= 2, (total, said)


@given(
    cells=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 40), max_size=8),
    threshold=st.integers(3, 10),
)
def test_what_is_said_is_true_and_nothing_small_is_said(cells, threshold):
    found = suppress(sum(cells.values()), {AREA: cells}, threshold)
    assert found.total in (FEW, sum(cells.values()))
    if isinstance(found.total, int) and found.total:
        assert found.total >= threshold
    for key, each in (found.divided[AREA] or {}).items():
        match each:
            case int():
                assert cells[key] == each >= threshold
            case "few":
                assert 0 < cells[key] < threshold
            case _:
                assert cells[key] >= threshold


@given(cells=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 40), max_size=8))
def test_hidden_counts_are_never_alone_beside_a_total(cells):
    found = suppress(sum(cells.values()), {AREA: cells})
    hidden = [each for each in (found.divided[AREA] or {}).values() if not isinstance(each, int)]
    assert len(hidden) != 1
