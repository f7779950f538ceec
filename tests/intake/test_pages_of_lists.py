"""A long list is read page by page, each row once, however many there are."""

from __future__ import annotations

from regional311.intake.queries import Page, every_page


def test_every_page_is_read_from_where_the_last_one_ended():
    rows = list(range(7))
    asked = []

    def read(*, after, limit, odd):
        asked.append((after, limit, odd))
        begin = int(after or 0)
        rest = rows[begin + limit :]
        return Page(rows[begin : begin + limit], str(begin + limit) if rest else None)

    found = list(every_page(read, at_once=3, odd=True))
    assert found == [[0, 1, 2], [3, 4, 5], [6]]
    assert asked == [(None, 3, True), ("3", 3, True), ("6", 3, True)]
