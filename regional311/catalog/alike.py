"""What may be the same as something of another partner's: found by a chore, decided by people.

Each partner has its own row of a pair and writes no other; all may read both. Nothing is merged:
where people say that two are the same, either is shown with a way to the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select, text, tuple_, update

from regional311.audit.service import record
from regional311.catalog.hsds.documents import said_by_row, said_by_service
from regional311.catalog.hsds.queries import live
from regional311.catalog.likeness import (
    Described,
    Likeness,
    Ref,
    address_of,
    email_of,
    find_alike,
    name_of,
    phone_of,
    website_of,
)
from regional311.catalog.models import AlikePair, Location, Organization, Service
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, rewrite, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.tenancy.models import Tenant
from regional311.tenancy.revision import raise_revision

VERDICTS: Final = ("same", "different")
PAGE: Final = 50
MOST: Final = 500
"""Pairs that are decided at once."""

GONE: Final = "One of the two entries is not there any more."

_PAIRS: Final = AlikePair.__table__
_NONE: Final[frozenset[str]] = frozenset()


# --- what entries say ----------------------------------------------------------------------------


_ADDRESS: Final = """jsonb_build_array(
    l.details ->> 'address', l.details ->> 'city', l.details ->> 'postal_code')"""
_ORGANIZATIONS: Final = text(f"""
SELECT o.id, o.key, o.name, o.source_id, o.details,
    o.hsds -> 'said' -> 'organization_identifiers' AS identifiers,
    o.hsds -> 'said' ->> 'tax_id' AS tax_id,
    (SELECT jsonb_agg({_ADDRESS}) FROM locations l WHERE l.tenant_id = o.tenant_id
        AND l.key = o.details ->> 'location' AND {live("l")}) AS addresses
FROM organizations o WHERE o.tenant_id = :whose AND {live("o")}
""")
_LOCATIONS: Final = text(f"""
SELECT l.id, l.key, l.name, l.source_id, l.details, l.latitude, l.longitude,
    jsonb_build_array({_ADDRESS}) AS addresses
FROM locations l WHERE l.tenant_id = :whose AND {live("l")}
""")
_SERVICES: Final = text(f"""
SELECT s.id, s.key, s.name, s.source_id,
    jsonb_build_object('alternate_name', s.details -> 'alternate_name',
        'phone', s.details -> 'phone', 'email', s.details -> 'email',
        'website', s.details -> 'website') AS details,
    CASE WHEN o.id IS NULL THEN ARRAY[b.name, t.name, t.short_name]
        ELSE ARRAY[o.name, o.details ->> 'alternate_name'] END AS bodies,
    sites.addresses, sites.phones
FROM services s
JOIN tenants t ON t.id = s.tenant_id
LEFT JOIN bureaus b ON b.tenant_id = s.tenant_id AND b.key = s.bureau_key
LEFT JOIN organizations o ON o.tenant_id = s.tenant_id
    AND o.key = s.details ->> 'organization' AND {live("o")}
LEFT JOIN (
    SELECT x.service_id, jsonb_agg({_ADDRESS}) AS addresses,
        jsonb_agg(x.details -> 'phone') FILTER (WHERE x.details ? 'phone') AS phones
    FROM service_locations x
    JOIN locations l ON l.tenant_id = x.tenant_id AND l.id = x.location_id
    WHERE x.tenant_id = :whose AND {live("x")} AND {live("l")} GROUP BY x.service_id
) sites ON sites.service_id = s.id
WHERE s.tenant_id = :whose AND {live("s")}
""")


def entries_of(session: TenantSession, whose: UUID, today: date) -> list[Described]:
    """Give what a partner's published entries say, as it is compared; three statements."""
    asked = {"whose": whose, "today": today}
    return [
        *(_organization(whose, row) for row in session.execute(_ORGANIZATIONS, asked)),
        *(_location(whose, row) for row in session.execute(_LOCATIONS, asked)),
        *(_service(whose, row) for row in session.execute(_SERVICES, asked)),
    ]


def _organization(whose: UUID, row: Row[Any]) -> Described:
    ids = _ids(row) | {
        f"{each.get('identifier_scheme') or each.get('identifier_type')}:{each['identifier']}"
        for each in row.identifiers or ()
        if each.get("identifier")
    }
    tax_id = "".join(each for each in row.tax_id or "" if each.isalnum())
    return _described("organization", whose, row, ids | ({f"tax:{tax_id}"} if tax_id else _NONE))


def _location(whose: UUID, row: Row[Any]) -> Described:
    known = row.latitude is not None and row.longitude is not None
    point = (row.latitude, row.longitude) if known else None
    return _described("location", whose, row, _ids(row), point=point)


def _service(whose: UUID, row: Row[Any]) -> Described:
    phones = [each["number"] for site in row.phones or () for each in site]
    bodies = _NONE.union(*(name_of(each) for each in row.bodies))
    return _described("service", whose, row, _ids(row), phones=phones, bodies=bodies)


def _described(
    kind: str,
    whose: UUID,
    row: Row[Any],
    ids: frozenset[str],
    *,
    phones: list[str] | None = None,
    bodies: frozenset[str] = _NONE,
    point: tuple[float, float] | None = None,
) -> Described:
    more = row.details
    said = more.get("phone") or []
    numbers = [said] if isinstance(said, str) else [each["number"] for each in said]
    return Described(
        kind,
        whose,
        row.key,
        name_of(row.name) | name_of(more.get("alternate_name")),
        {
            "id": ids,
            "website": website_of(more.get("website")),
            "email": email_of(more.get("email")),
            "phone": _NONE.union(*(phone_of(each) for each in (*numbers, *(phones or ())))),
            "address": _NONE.union(*(address_of(*each) for each in row.addresses or ())),
            "organization": bodies,
        },
        point,
    )


def _ids(row: Row[Any]) -> frozenset[str]:
    """Give the ids that an entry has here and, when it is a UUID, where it came from."""
    found = {str(row.id)}
    with suppress(ValueError):
        found.add(str(UUID(row.source_id or "")))
    return frozenset(found)


# --- finding -------------------------------------------------------------------------------------


class Finder:
    """Compares a partner's entries with everybody else's: a chore of the worker.

    What partners say is kept in memory until they publish again; while nobody has, and the day is
    the same, it costs one statement.
    """

    def __init__(self) -> None:
        self._said: dict[UUID, tuple[Any, list[Described]]] = {}
        self._compared: dict[UUID, Any] = {}

    def __call__(self, session: TenantSession, now: datetime) -> int:
        """Bring the bound partner's pairs up to date; give how many rows were written."""
        me, today = scope_of(session).tenant_id, now.date()
        revisions: dict[UUID, int] = {
            row.id: row.revision
            for row in session.execute(select(Tenant.id, Tenant.revision).order_by(Tenant.id))
        }
        standing = (today, tuple(revisions.items()))
        if self._compared.get(me) == standing:
            return 0
        for whose, revision in revisions.items():
            if self._said.get(whose, (None,))[0] != (today, revision):
                self._said[whose] = (today, revision), entries_of(session, whose, today)
        others = [each for whose in revisions if whose != me for each in self._said[whose][1]]
        written = keep_pairs(session, find_alike(self._said[me][1], others), now=now)
        self._compared[me] = standing
        return written


def keep_pairs(
    session: TenantSession, found: Mapping[tuple[Ref, Ref], Likeness], *, now: datetime
) -> int:
    """Make the bound partner's open pairs those that were found; give how many rows were written.

    What people decided stays decided, however alike the two are later.
    """
    me = scope_of(session).tenant_id
    send(session)
    known = {
        (row["kind"], row["key"], row["other_tenant_id"], row["other_key"]): row
        for row in session.execute(select(_PAIRS).where(_PAIRS.c.tenant_id == me)).mappings()
    }
    changed: list[dict[str, Any]] = []
    new = []
    for ((kind, _me, key), (_kind, other, other_key)), said in sorted(found.items()):
        row = known.pop((kind, key, other, other_key), None)
        values = {"score": said.score, "reasons": list(said.reasons), "over": False}
        if row is None:
            new.append(
                new_row(
                    AlikePair,
                    tenant_id=me,
                    id=new_id(),
                    kind=kind,
                    key=key,
                    other_tenant_id=other,
                    other_key=other_key,
                    found_at=now,
                    **values,
                )
            )
        elif any(row[name] != value for name, value in values.items()):
            changed.append({"id": row["id"], **values})
    changed += [
        {"id": row["id"], "score": row["score"], "reasons": row["reasons"], "over": True}
        for row in known.values()
        if not row["over"]
    ]
    put(session, *new)
    rewrite(session, AlikePair, changed)
    return len(new) + len(changed)


# --- asking --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair as a page lists it: both names, what makes them alike, what either partner says."""

    id: UUID
    kind: str
    key: str
    name: str
    other: UUID
    other_key: str
    other_name: str
    score: int
    reasons: tuple[str, ...]
    over: bool
    verdict: str | None
    decided_at: datetime | None
    decided_by: UUID | None
    their_verdict: str | None
    their_decided_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether nobody has decided it, and there is still something to decide."""
        return self.verdict is None and self.their_verdict is None and not self.over

    @property
    def standing(self) -> str:
        """What holds: `open`, `over`, `same`, `different`, or `disputed` when partners differ."""
        said = {each for each in (self.verdict, self.their_verdict) if each}
        if len(said) > 1:
            return "disputed"
        return next(iter(said), "over" if self.over else "open")


@dataclass(frozen=True, slots=True)
class Pairs:
    """A page of pairs; `after` is the cursor of the next page, None on the last."""

    rows: list[Pair]
    after: str | None


def _named(alias: str, tenant: str, key: str) -> str:
    """Give the name of an entry that is still there."""
    return f"""JOIN LATERAL (
        SELECT s.name FROM services s WHERE p.kind = 'service' AND s.tenant_id = p.{tenant}
            AND s.key = p.{key} AND {live("s")}
        UNION ALL SELECT o.name FROM organizations o WHERE p.kind = 'organization'
            AND o.tenant_id = p.{tenant} AND o.key = p.{key} AND {live("o")}
        UNION ALL SELECT l.name FROM locations l WHERE p.kind = 'location'
            AND l.tenant_id = p.{tenant} AND l.key = p.{key} AND {live("l")}
    ) {alias} ON true"""


# the other partner's row is looked up one by one: a join of all is slow before statistics are new
_FROM: Final = f"""
FROM alike_pairs p
LEFT JOIN LATERAL (
    SELECT q.verdict, q.decided_at FROM alike_pairs q
    WHERE q.tenant_id = p.other_tenant_id AND q.kind = p.kind AND q.key = p.other_key
        AND q.other_tenant_id = p.tenant_id AND q.other_key = p.key LIMIT 1
) q ON true
{_named("mine", "tenant_id", "key")}
{_named("theirs", "other_tenant_id", "other_key")}
WHERE p.tenant_id = :me"""
_COLUMNS: Final = """
SELECT p.id, p.kind, p.key, mine.name, p.other_tenant_id AS other, p.other_key,
    theirs.name AS other_name, p.score, p.reasons, p.over, p.verdict, p.decided_at, p.decided_by,
    q.verdict AS their_verdict, q.decided_at AS their_decided_at"""
_STATES: Final = {
    "open": "p.verdict IS NULL AND q.verdict IS NULL AND NOT p.over",
    "same": "'same' IN (p.verdict, q.verdict)"
    " AND NOT coalesce('different' IN (p.verdict, q.verdict), false)",
    "different": "'different' IN (p.verdict, q.verdict)"
    " AND NOT coalesce('same' IN (p.verdict, q.verdict), false)",
    "disputed": "p.verdict <> q.verdict",
}


def pairs(
    session: TenantSession,
    *,
    today: date,
    state: str = "open",
    kind: str | None = None,
    other: UUID | None = None,
    words: str | None = None,
    after: str | None = None,
    limit: int = PAGE,
) -> Pairs:
    """Give the bound partner's pairs in a state, the likeliest first; one statement.

    `state` is open, same, different, disputed, or decided for any of the last three.
    """
    wanted = _STATES.get(state) or "(p.verdict IS NOT NULL OR q.verdict IS NOT NULL)"
    values: dict[str, Any] = {"me": scope_of(session).tenant_id, "today": today}
    conditions = [wanted]
    for name, value in (("kind", kind), ("other_tenant_id", other)):
        if value is not None:
            conditions.append(f"p.{name} = :{name}")
            values[name] = value
    if words:
        escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        conditions.append("(mine.name ILIKE :words OR theirs.name ILIKE :words)")
        values["words"] = f"%{escaped}%"
    cursor = _cursor(after)
    if cursor is not None:
        conditions.append("(p.score, p.id) < (:score, :id)")
        values |= {"score": cursor[0], "id": cursor[1]}
    statement = text(
        f"{_COLUMNS} {_FROM} AND {' AND '.join(conditions)}"
        " ORDER BY p.score DESC, p.id DESC LIMIT :limit"
    )
    rows = session.execute(statement, values | {"limit": limit + 1}).mappings().all()
    page = [_pair(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Pairs(page, f"{page[-1].score}|{page[-1].id}" if more else None)


def count_open(session: TenantSession, *, today: date) -> int:
    """Count the pairs that wait for somebody; one statement."""
    statement = text(f"SELECT count(*) {_FROM} AND {_STATES['open']}")
    asked = {"me": scope_of(session).tenant_id, "today": today}
    return int(session.execute(statement, asked).scalar_one())


def pair(session: TenantSession, pair_id: UUID, *, today: date) -> Pair:
    """Give one pair of the bound partner's. Raises `NotFound`, also when an entry is gone."""
    statement = text(f"{_COLUMNS} {_FROM} AND p.id = :id")
    asked = {"me": scope_of(session).tenant_id, "today": today, "id": pair_id}
    row = session.execute(statement, asked).mappings().one_or_none()
    if row is None:
        raise NotFound(GONE)
    return _pair(row)


def pairs_about(session: TenantSession, kind: str, key: str, *, today: date) -> list[Pair]:
    """Give what of others is, or may be, the same as an entry of the bound partner's.

    What somebody found to be different is left out. One statement.
    """
    statement = text(
        f"{_COLUMNS} {_FROM} AND p.kind = :kind AND p.key = :key"
        f" AND (({_STATES['open']}) OR ({_STATES['same']}))"
        " ORDER BY p.score DESC, p.id LIMIT 20"
    )
    asked = {"me": scope_of(session).tenant_id, "today": today, "kind": kind, "key": key}
    return [_pair(row) for row in session.execute(statement, asked).mappings()]


def _pair(row: Mapping[Any, Any]) -> Pair:
    return Pair(**{**row, "reasons": tuple(row["reasons"])})


def _cursor(after: str | None) -> tuple[int, UUID] | None:
    score, _, pair_id = (after or "").partition("|")
    try:
        return int(score), UUID(pair_id)
    except ValueError:
        return None


# --- both sides beside each other ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Side:
    """What one partner says of an entry, and the names of the things that it names by keys."""

    tenant: UUID
    said: Mapping[str, Any]
    names: Mapping[str, Mapping[str, str]]


_TABLES: Final = {"service": Service, "organization": Organization, "location": Location}
_NAMES: Final = text("""
SELECT tenant_id, 'organizations' AS kind, key, name FROM organizations
WHERE tenant_id = ANY(:whose) AND key = ANY(:keys)
UNION ALL
SELECT tenant_id, 'locations', key, concat_ws(', ', name, details ->> 'address', details ->> 'city')
FROM locations WHERE tenant_id = ANY(:whose) AND key = ANY(:keys)
""")


def sides(session: TenantSession, found: Pair) -> tuple[Side, Side]:
    """Give what either partner says, the bound one's first; two statements."""
    me = scope_of(session).tenant_id
    table = _TABLES[found.kind].__table__
    refs = ((me, found.key), (found.other, found.other_key))
    rows = {
        row["tenant_id"]: row
        for row in session.execute(
            select(table).where(tuple_(table.c.tenant_id, table.c.key).in_(refs))
        ).mappings()
    }
    if len(rows) < len(refs):
        raise NotFound(GONE)
    read = said_by_service if found.kind == "service" else said_by_row
    said = {whose: read(row) for whose, row in rows.items()}
    for content in said.values():
        if found.kind == "service":
            content["location"] = [each["location"] for each in content.get("location", ())]
    keys = {
        key
        for content in said.values()
        for name in ("organization", "parent", "location")
        for key in _keys(content.get(name))
    }
    names: dict[UUID, dict[str, dict[str, str]]] = {}
    asked = {"whose": [whose for whose, _key in refs], "keys": sorted(keys)}
    for row in session.execute(_NAMES, asked):
        names.setdefault(row.tenant_id, {}).setdefault(row.kind, {})[row.key] = row.name
    mine, theirs = (Side(whose, said[whose], names.get(whose, {})) for whose, _key in refs)
    return mine, theirs


def _keys(value: Any) -> Iterable[str]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


# --- deciding ------------------------------------------------------------------------------------


def decide(
    session: TenantSession, pair_ids: Collection[UUID], verdict: str | None, *, now: datetime
) -> None:
    """Say for the bound partner that the two entries of pairs are the same, or not.

    None takes it back; what the other partner says stays as it is. Raises `InvalidInput`, and
    `NotFound` when one of the pairs is not the partner's; nothing is changed then.
    """
    if verdict not in (*VERDICTS, None):
        raise InvalidInput("Say whether they are the same or different.", field="verdict")
    if len(pair_ids) > MOST:
        raise InvalidInput(f"Decide at most {MOST} pairs at once.", field="pair")
    wanted = set(pair_ids)
    send(session)
    scope = scope_of(session)
    changed = session.scalars(
        update(AlikePair)
        .where(AlikePair.tenant_id == scope.tenant_id, AlikePair.id.in_(wanted))
        .values(
            verdict=verdict,
            decided_by=None if verdict is None else scope.person_id,
            decided_at=None if verdict is None else now,
        )
        .returning(AlikePair.id),
        execution_options={"synchronize_session": False},
    ).all()
    if len(changed) < len(wanted):
        raise NotFound(GONE)
    mark_changed(session)
    raise_revision(session)
    for pair_id in sorted(changed):
        record(
            session,
            now=now,
            action=f"alike:{verdict or 'undo'}",
            subject_kind="alike_pair",
            subject_id=pair_id,
        )
