"""What may be asked about reviews and suggestions: flat rows, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_

from regional311.catalog.freshness import SOON_DAYS
from regional311.catalog.reviews import reviewed_entries
from regional311.database.session import TenantSession, scope_of
from regional311.keeping.keepers import Entry, Kept
from regional311.keeping.models import Suggestion

PAGE: Final = 50
EXPORT: Final = 20_000
Order = Literal["due", "-due", "checked", "-checked", "name", "-name"]

_NEVER: Final = date(1, 1, 1)
_UNDATED: Final = date(9999, 12, 31)


@dataclass(frozen=True, slots=True)
class Review:
    """An entry with its last and its next look."""

    kind: str
    key: str
    name: str
    bureau: str | None
    verified_on: date | None
    review_on: date | None

    @property
    def entry(self) -> Entry:
        """Its kind and key."""
        return self.kind, self.key


@dataclass(frozen=True, slots=True)
class Reviews:
    """A page of entries; `after` is the cursor of the next page, None on the last."""

    rows: list[Review]
    after: str | None


def reviews(
    session: TenantSession,
    *,
    today: date,
    kind: str | None = None,
    state: str | None = None,
    bureau: str | None = None,
    kept: Kept | None = None,
    order: str = "due",
    after: str | None = None,
    limit: int = PAGE,
) -> Reviews:
    """Give entries by the day of their next look, name or last look; one statement.

    `kind` is service, article or organization; `state` is overdue, due (overdue or within thirty
    days), or never (nobody has looked yet).
    """
    entries = reviewed_entries(scope_of(session).tenant_id).c
    column, plain = {
        "due": (func.coalesce(entries.review_on, _UNDATED), date.fromisoformat),
        "checked": (func.coalesce(entries.verified_on, _NEVER), date.fromisoformat),
        "name": (func.lower(entries.name), str),
    }[order.removeprefix("-")]
    backwards = order.startswith("-")
    place: ColumnElement[Any] = tuple_(column, entries.kind, entries.key)
    query = select(
        entries.kind,
        entries.key,
        entries.name,
        entries.bureau,
        entries.verified_on,
        entries.review_on,
        column.label("place"),
    ).where(*_conditions(entries, today, kind, state, bureau, kept))
    if after is not None and (cursor := _cursor(after, plain)) is not None:
        query = query.where(place < tuple_(*cursor) if backwards else place > tuple_(*cursor))
    order_by: tuple[ColumnElement[Any], ...] = (column, entries.kind, entries.key)
    if backwards:
        order_by = tuple(each.desc() for each in order_by)
    rows = session.execute(query.order_by(*order_by).limit(limit + 1)).all()
    page = rows[:limit]
    return Reviews(
        [Review(*row[:-1]) for row in page],
        f"{page[-1].place}|{page[-1].kind}|{page[-1].key}" if len(rows) > limit else None,
    )


def entry_names(session: TenantSession, wanted: Iterable[Entry]) -> dict[Entry, str]:
    """Give what entries are called, as far as they are looked at again; one statement."""
    entries = reviewed_entries(scope_of(session).tenant_id).c
    rows = session.execute(
        select(entries.kind, entries.key, entries.name).where(
            tuple_(entries.kind, entries.key).in_(sorted(wanted))
        )
    )
    return {(kind, key): name for kind, key, name in rows}


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of a partner's catalogue is looked after."""

    entries: int
    overdue: int
    soon: int
    never: int
    oldest: date | None
    """Day of the oldest last look."""


def counts(session: TenantSession, *, today: date) -> Counts:
    """Count a partner's entries by how they stand; one statement."""
    entries = reviewed_entries(scope_of(session).tenant_id).c
    row = session.execute(
        select(
            func.count(),
            func.count().filter(entries.review_on < today),
            func.count().filter(
                entries.review_on.between(today, today + timedelta(days=SOON_DAYS))
            ),
            func.count().filter(entries.verified_on.is_(None)),
            func.min(entries.verified_on),
        ).select_from(entries.key.table)
    ).one()
    return Counts(*row)


def _conditions(
    entries: Any,
    today: date,
    kind: str | None,
    state: str | None,
    bureau: str | None,
    kept: Kept | None,
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if kind is not None:
        found.append(entries.kind == kind)
    if state == "overdue":
        found.append(entries.review_on < today)
    elif state == "due":
        found.append(entries.review_on <= today + timedelta(days=SOON_DAYS))
    elif state == "never":
        found.append(entries.verified_on.is_(None))
    if bureau is not None:
        found.append(entries.bureau == bureau)
    if kept is not None:
        entry = tuple_(entries.kind, entries.key)
        found.append(
            or_(
                entry.in_(sorted(kept.entries)),
                and_(
                    entry.not_in(sorted(kept.of_others)),
                    func.coalesce(entries.bureau, "").not_in(kept.bureaus_of_others),
                ),
            )
        )
    return found


def _cursor(text: str, plain: Any) -> tuple[Any, str, str] | None:
    value, kind, key = (["", "", *text.rsplit("|", 2)])[-3:]
    try:
        return plain(value), kind, key
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Suggestions:
    """A page of suggestions; `after` is the cursor of the next page, None on the last."""

    rows: list[Any]
    after: str | None


def suggestions(
    session: TenantSession,
    *,
    received: bool,
    state: str | None = None,
    writer: str | None = None,
    person_id: UUID | None = None,
    after: str | None = None,
    oldest_first: bool = False,
    limit: int = PAGE,
) -> Suggestions:
    """Give the suggestions that the bound partner received, or those that it sent to others.

    `writer` is public, partner (another one's specialist) or own; `person_id` wrote them. The
    newest come first. One statement.
    """
    me = scope_of(session).tenant_id
    table = Suggestion.__table__
    conditions = [table.c.tenant_id == me]
    if received:
        conditions.append(table.c.owner_id == me)
    else:
        conditions.append(table.c.from_tenant_id == me)
    if state is not None:
        conditions.append(table.c.state == state)
    if person_id is not None:
        conditions.append(table.c.person_id == person_id)
    if writer == "public":
        conditions.append(table.c.from_tenant_id.is_(None))
    elif writer == "own":
        conditions.append(table.c.from_tenant_id == me)
    elif writer == "partner":
        conditions.append(table.c.from_tenant_id != me)
    if after is not None and (cursor := _as_id(after)) is not None:
        conditions.append(table.c.id > cursor if oldest_first else table.c.id < cursor)
    order = table.c.id if oldest_first else table.c.id.desc()
    rows = session.execute(select(table).where(*conditions).order_by(order).limit(limit + 1)).all()
    page = list(rows[:limit])
    return Suggestions(page, str(page[-1].id) if len(rows) > limit else None)


def open_suggestions(session: TenantSession, *, received: bool) -> int:
    """Count what waits: suggestions to decide, or answers that the acting person has not read."""
    scope = scope_of(session)
    query = select(func.count()).where(Suggestion.tenant_id == scope.tenant_id)
    if received:
        query = query.where(Suggestion.owner_id == scope.tenant_id, Suggestion.state == "new")
    else:
        query = query.where(
            Suggestion.person_id == scope.person_id,
            Suggestion.state != "new",
            Suggestion.seen_at.is_(None),
        )
    return int(session.execute(query).scalar_one())


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
