"""What a table of records shows: columns, filters, sorting, one page of rows, the way on.

    listing = Listing(request, columns=[Column("number", _("Number"), sort=True), ...],
                      filters=[Filter("status", _("Status"), choices=[("open", _("Open"))])],
                      sort="-opened")
    page = queries.list_requests(session, **listing.values, sort=listing.sort, after=listing.after)
    listing.fill(page.rows, after=page.next_cursor, total=page.total)

Long lists page by a cursor (`after`), never by an offset; `total` is only given where counting is
cheap. Everything is in the address, so that every list works without a script and can be shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from regional311.web.i18n import _

PAGE_SIZE = 50
_LONGEST = 200


@dataclass
class Column:
    """A column; `sort=True` makes its heading a link that sorts by `name`."""

    name: str
    title: Any
    sort: bool = False
    number: bool = False


@dataclass
class Filter:
    """A filter by one value: of `choices` ((value, label) pairs), or typed when there are none.

    With the type `hidden` it stands beside the others, as a tab that was chosen does.
    """

    name: str
    title: Any
    choices: Sequence[tuple[str, Any]] | None = None
    type: str = "text"
    value: str = ""


class Listing:
    """One page of a list; a filter value, cursor or order that is not offered counts as absent."""

    def __init__(
        self,
        request: Any,
        *,
        columns: Sequence[Column],
        filters: Sequence[Filter] = (),
        sort: str | None = None,
        csv: bool = False,
    ) -> None:
        self.path = request.path_url
        self.base = self.path.rstrip("/") + "/"
        self.columns = list(columns)
        self.filters = [replace(each) for each in filters]
        sortable = {column.name for column in columns if column.sort}
        asked = request.GET.get("sort", "")
        self.sort = asked if asked.removeprefix("-") in sortable else sort
        self.after = request.GET.get("after", "")[:_LONGEST] or None
        for each in self.filters:
            value = request.GET.get(each.name, "").strip()[:_LONGEST]
            if each.choices is None or value in {str(choice[0]) for choice in each.choices}:
                each.value = value
        self.rows: list[Any] = []
        self.total: int | None = None
        self.first = self.last = 0
        self.previous_url: str | None = None
        self.next_url: str | None = None
        self.previous_title: Any = _("First page")
        self.csv_url = self._url(format="csv") if csv else None

    @property
    def values(self) -> dict[str, str | None]:
        """Filter name to the value asked for, None where everything is wanted."""
        return {each.name: each.value or None for each in self.filters}

    @property
    def filtered(self) -> bool:
        """Whether not everything is listed, be it by a tab."""
        return any(each.value for each in self.filters)

    @property
    def narrowed(self) -> int:
        """How many of the filters that a person sees are set."""
        return sum(1 for each in self.filters if each.value and each.type != "hidden")

    @property
    def unfiltered_url(self) -> str:
        """The address of the same list, on the same tab, with no filter set.

        It says so, as a list may open with filters of its own when its address says nothing.
        """
        kept = {each.name: each.value for each in self.filters if each.type == "hidden"}
        return f"{self.path}?{urlencode(kept or {each.name: '' for each in self.filters[:1]})}"

    def fill(
        self,
        rows: Sequence[Any],
        *,
        after: str | None = None,
        total: int | None = None,
    ) -> Listing:
        """Give the page its rows; `after` is the cursor of the next page, None on the last."""
        self.rows = list(rows)
        if self.after is None and self.rows:
            self.first, self.last, self.total = 1, len(self.rows), total
        if self.after is not None:
            self.previous_url = self._url()
        if after is not None:
            self.next_url = self._url(after=after)
        return self

    def direction(self, column: Column) -> str | None:
        """Return how the list is sorted by this column, as `aria-sort` says it."""
        if self.sort == column.name:
            return "ascending"
        return "descending" if self.sort == f"-{column.name}" else None

    def sort_url(self, column: Column) -> str:
        """Return the address that sorts by this column, the other way round if it already does."""
        return self._url(sort=f"-{column.name}" if self.sort == column.name else column.name)

    def _url(self, **changes: str) -> str:
        query = {each.name: each.value for each in self.filters if each.value}
        if self.sort:
            query["sort"] = self.sort
        query |= changes
        return f"{self.path}?{urlencode(query)}" if query else self.path


def page_of(listing: Listing, rows: Sequence[Any]) -> Listing:
    """Give a listing its page of rows that are all at hand; the cursor is how many come before."""
    after = listing.after or ""
    start = int(after) if after.isdecimal() and after.isascii() and len(after) < 9 else 0
    following = str(start + PAGE_SIZE) if start + PAGE_SIZE < len(rows) else None
    return listing.fill(rows[start : start + PAGE_SIZE], after=following, total=len(rows))
