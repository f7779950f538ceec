"""What travels: strict types, and the shapes that several operations share."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""One line: no control characters."""
LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
"""Several lines: line breaks and tabs, no other control characters."""


class Shape(BaseModel):
    """Anything that is sent or answered: no unknown names, no quiet conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Key = Annotated[str, StringConstraints(min_length=1, max_length=201, pattern=PRINTABLE)]
"""A configured key, or `partner/key`."""
Short = Annotated[str, StringConstraints(max_length=40, pattern=PRINTABLE)]
Line = Annotated[str, StringConstraints(max_length=300, pattern=PRINTABLE)]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=600, pattern=PRINTABLE)]
Words = Annotated[str, StringConstraints(max_length=2000, pattern=LINES)]
Text = Annotated[str, StringConstraints(max_length=4000, pattern=LINES)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


def _whole(value: Any) -> Any:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return value


def _day(value: Any) -> Any:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else value
    except ValueError:
        return value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number in an address."""
Day = Annotated[date, BeforeValidator(_day), Field(ge=date(1900, 1, 1), le=date(2199, 12, 31))]
"""A day in an address."""


class Nothing(Shape):
    """No parameters, or an empty body."""


class Paged(Shape):
    """How a list is walked."""

    after: Cursor | None = Field(
        None, description="`next` of the page before; good for the same filters only."
    )
    limit: Whole = Field(50, ge=1, le=200, description="Entries of a page, at most.")


class PartAsked(Paged):
    """Which part of a list that takes no filters."""


Entry = TypeVar("Entry", bound=Shape)


class Page(Shape, Generic[Entry]):
    """A page of a list; `next` asks for the one after it, null on the last."""

    items: list[Entry]
    next: str | None


class Changed(Shape):
    """A record after a change; its new version is the `ETag`."""

    number: str = Field(description="The record's public number.")
    state: str
    version: int
    url: str = Field(description="Where it is read.")


class Happened(Shape):
    """A step in a record's history."""

    at: datetime
    action: str
    by: str | None = Field(description="Who did it: somebody of this partner, or a program.")
