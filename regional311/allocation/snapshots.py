"""Keep the bases of a partner and their snapshots, version by version; count recorded work.

What was stored stays, so that a run of then reads what it read; who may store a version, and when,
is said in `base_changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from regional311.allocation.bases import (
    COUNTED,
    COUNTS,
    KINDS,
    Base,
    BaseWithoutReadings,
    MixGoesRound,
    check_key,
    check_mix,
    plain,
    read_readings,
    readings_text,
    snapshot_digest,
)
from regional311.allocation.models import AllocationBase, BaseSnapshot
from regional311.allocation.year import read_bases
from regional311.audit.service import record
from regional311.calendars import Period
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.tenancy.models import Tenant

MOST_QUARTERS = 40

# Work that was taken back counts against itself: its reversal has the opposite quantity.
_COUNT = text("""
SELECT e.bureau_key, owner.slug AS owner_slug, e.service_owner_id = :tenant AS own,
    sum(e.quantity) AS contacts,
    sum(sign(e.quantity) * e.handle_seconds) AS seconds
FROM usage_events e
LEFT JOIN tenants owner ON owner.tenant_id = e.service_owner_id AND owner.id = e.service_owner_id
WHERE e.tenant_id = :tenant AND e.activity = 'contact_handled'
    AND e.occurred_at >= :since AND e.occurred_at < :until
GROUP BY e.bureau_key, owner.slug, own
""")


class NotCounted(Conflict):
    """Only bases of contacts and of handle minutes can be counted from recorded work."""


class KeyTaken(Conflict):
    """There is a base with this key."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot as it was taken; `again` when it says what the newest one said."""

    number: int
    again: bool


@dataclass(frozen=True, slots=True)
class BaseSaid:
    """What a version of a base is, apart from its key.

    `parts` are the other bases of a mix, in per cent. Months that end on `valid_from` or later are
    divided by it, without it every month. `ended_on` is written by files that leave the base out.
    """

    name: str
    kind: str
    counts: str | None = None
    rolling_quarters: int | None = None
    parts: Mapping[str, Decimal] = field(default_factory=dict)
    note: str | None = None
    valid_from: date | None = None
    ended_on: date | None = None

    @classmethod
    def of_row(cls, row: Any) -> BaseSaid:
        """Read a version."""
        said = {name: getattr(row, name) for name in _COLUMNS}
        return cls(**said, parts={each["base"]: Decimal(each["percent"]) for each in row.parts})

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> BaseSaid:
        """Read what `as_json` gave."""
        days = {name: said[name] and date.fromisoformat(said[name]) for name in _DAYS}
        parts = {base: Decimal(percent) for base, percent in said["parts"].items()}
        return cls(**(dict(said) | days | {"parts": parts}))

    def as_json(self) -> dict[str, Any]:
        """The same as plain values: days and percentages are text."""
        said = {name: getattr(self, name) for name in _COLUMNS}
        days = {name: said[name].isoformat() for name in _DAYS if said[name] is not None}
        parts = {base: plain(self.parts[base]) for base in sorted(self.parts)}
        return said | days | {"parts": parts}

    def values(self) -> dict[str, Any]:
        """The columns of a version, without those that say which it is."""
        return {name: getattr(self, name) for name in _COLUMNS} | {
            "parts": [
                {"base": base, "percent": plain(self.parts[base])} for base in sorted(self.parts)
            ]
        }


_COLUMNS = tuple(each.name for each in fields(BaseSaid) if each.name != "parts")
_DAYS = ("valid_from", "ended_on")


@dataclass(frozen=True, slots=True)
class ReadingsSaid:
    """What a snapshot says: the last day that it tells of, its source, targets with readings."""

    as_of: date
    source: str
    readings: Mapping[str, str]

    @classmethod
    def of_row(cls, row: Any) -> ReadingsSaid:
        """Read a snapshot."""
        return cls(row.as_of, row.source, row.readings)

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> ReadingsSaid:
        """Read what `as_json` gave."""
        return cls(date.fromisoformat(said["as_of"]), said["source"], said["readings"])

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "as_of": self.as_of.isoformat(),
            "source": self.source,
            "readings": {target: self.readings[target] for target in sorted(self.readings)},
        }


def newest(session: TenantSession, key: str) -> AllocationBase | None:
    """The version of a base that was stored last."""
    return session.execute(
        select(AllocationBase)
        .where(AllocationBase.tenant_id == scope_of(session).tenant_id, AllocationBase.key == key)
        .order_by(AllocationBase.number.desc())
        .limit(1)
    ).scalar_one_or_none()


def save_base(
    session: TenantSession,
    key: str,
    said: BaseSaid,
    *,
    now: datetime,
    made_by: UUID | None = None,
    why: str | None = None,
    new: bool = False,
) -> AllocationBase:
    """Store the next version of a base; those before it, and its snapshots, stay as they are.

    It is known to whatever is run from `now` on: who calls this has asked a second person, and
    taken `now` from `cut_offs.stamp`.

    :raises KeyTaken: when it is to be new and is there.
    :raises InvalidInput: or another error, as `check_base` does.
    """
    scope = scope_of(session)
    said = check_base(session, key, said)
    found = newest(session, key)
    if found is not None and new:
        raise KeyTaken(f"There is a base {key} already.", field="key")
    number = 1 if found is None else found.number + 1
    stored = AllocationBase(
        tenant_id=scope.tenant_id,
        id=new_id(),
        key=key,
        number=number,
        stored_at=now,
        made_by=made_by,
        approved_by=scope.person_id,
        why=why,
        **said.values(),
    )
    put(session, stored)
    send(session)
    record(
        session,
        now=now,
        action="base:add" if number == 1 else "base:change",
        subject_kind="base",
        subject_id=stored.id,
        detail={"key": key, "number": number},
    )
    return stored


def check_base(session: TenantSession, key: str, said: BaseSaid) -> BaseSaid:
    """Refuse what a base may not be; give it without parts of nothing and without idle words.

    :raises BadKey: for a text that is no key.
    :raises InvalidInput: for an unknown kind, or a rolling mix.
    :raises MixGoesRound: when parts do not make 100 %, go round, or are given without a mix.
    :raises BaseWithoutReadings: when a part is not there.
    """
    check_key(key)
    parts = {each: percent for each, percent in said.parts.items() if percent}
    if said.rolling_quarters is not None and not 1 <= said.rolling_quarters <= MOST_QUARTERS:
        raise InvalidInput(f"Average 1 to {MOST_QUARTERS} quarters.", field="rolling_quarters")
    if said.kind not in KINDS:
        raise InvalidInput(f"A base is one of {', '.join(KINDS)}.", field="kind")
    if said.kind == "mix":
        if said.rolling_quarters is not None:
            raise InvalidInput(
                "A mix does not roll; the bases in it may.", field="rolling_quarters"
            )
        check_mix(said.name, parts)
        _check_parts(session, key, said.name, parts)
    elif parts:
        raise MixGoesRound("Only a mix has parts.", field="parts")
    counted = said.kind in COUNTED
    if counted and said.counts not in COUNTS:
        raise InvalidInput("Say whose contacts count: bureaus, partners or all.", field="counts")
    return replace(said, parts=parts, counts=said.counts if counted else None)


def _check_parts(session: TenantSession, key: str, name: str, parts: Mapping[str, Decimal]) -> None:
    every = read_bases(session)
    waiting, seen = list(parts), set()
    while waiting:
        part = waiting.pop()
        if part == key:
            raise MixGoesRound(f"{name} would be a part of itself.", field="parts")
        if part not in every:
            raise BaseWithoutReadings(f"There is no base {part}.", field="parts")
        if part not in seen:
            seen.add(part)
            waiting.extend(every[part].parts)


def check_readings(
    session: TenantSession, base_key: str, said: ReadingsSaid, *, now: datetime
) -> ReadingsSaid:
    """Refuse readings that a base may not have; give them written as they are stored.

    :raises NotFound: when there is no such base.
    :raises BadReading: naming the target whose reading is not a number.
    :raises InvalidInput: when the day has not ended, the source is missing, or the base is a mix.
    """
    base = newest(session, base_key)
    if base is None:
        raise NotFound(f"There is no base {base_key}.")
    if base.kind == "mix":
        raise InvalidInput("A mix has no readings of its own; its parts have.", field="readings")
    if not said.source.strip():
        raise InvalidInput("Say where the readings come from.", field="source")
    if said.as_of > now.date():
        raise InvalidInput(
            f"The readings cannot tell of {said.as_of}, which is to come.", field="as_of"
        )
    read = read_readings(said.readings)
    if base.kind == "equal" and len({reading for reading in read.values() if reading}) > 1:
        raise InvalidInput("In an equal base every reading is the same.", field="readings")
    return replace(said, readings=readings_text(read))


def snapshots_of(session: TenantSession, base_key: str) -> list[BaseSnapshot]:
    """Every snapshot of a base, the newest first."""
    return list(
        session.execute(
            select(BaseSnapshot)
            .where(
                BaseSnapshot.tenant_id == scope_of(session).tenant_id,
                BaseSnapshot.base_key == base_key,
            )
            .order_by(BaseSnapshot.number.desc())
        ).scalars()
    )


def take_snapshot(
    session: TenantSession,
    base_key: str,
    said: ReadingsSaid,
    *,
    now: datetime,
    taken_by: UUID | None = None,
    why: str | None = None,
) -> Taken:
    """Keep readings of a base as its next snapshot; earlier ones stay as they are.

    The same readings of the same day and source as the newest snapshot add nothing. They are known
    to whatever is run from `now` on, as versions of `save_base` are.

    :raises NotFound: or another error, as `check_readings` does.
    """
    scope = scope_of(session)
    said = check_readings(session, base_key, said, now=now)
    read = read_readings(said.readings)
    digest = snapshot_digest(said.as_of, said.source, read)
    last = next(iter(snapshots_of(session, base_key)), None)
    if last is not None and last.digest == digest:
        return Taken(last.number, again=True)
    snapshot_id, number = new_id(), 1 if last is None else last.number + 1
    put(
        session,
        BaseSnapshot(
            tenant_id=scope.tenant_id,
            id=snapshot_id,
            base_key=base_key,
            number=number,
            as_of=said.as_of,
            source=said.source,
            readings=readings_text(read),
            digest=digest,
            taken_at=now,
            taken_by=taken_by,
            approved_by=scope.person_id,
            why=why,
        ),
    )
    send(session)
    record(
        session,
        now=now,
        action="base:snapshot",
        subject_kind="base_snapshot",
        subject_id=snapshot_id,
        detail={"key": base_key, "number": number},
    )
    return Taken(number, again=False)


def count_readings(
    session: TenantSession, base: Base | AllocationBase, period: Period
) -> dict[str, str]:
    """Count the contacts or handle minutes of a period by whose service they were about.

    A contact about no service in particular counts for this partner itself. One statement.

    :raises NotCounted: for a base of another kind.
    """
    if base.kind not in COUNTED:
        raise NotCounted("Only contacts and handle minutes can be counted from recorded work.")
    counts = base.counts or "all"
    tenant_id = scope_of(session).tenant_id
    me = session.execute(
        select(Tenant.slug, Tenant.zone).where(
            Tenant.tenant_id == tenant_id, Tenant.id == tenant_id
        )
    ).one()
    since, until = period.bounds(me.zone)
    found: dict[str, Decimal] = {}
    for row in session.execute(_COUNT, {"tenant": tenant_id, "since": since, "until": until}):
        own = row.own is None or row.own
        target = row.owner_slug or me.slug
        if own and row.bureau_key is not None and counts != "partners":
            target = f"bureau:{row.bureau_key}"
        if counts == "bureaus" and not target.startswith("bureau:"):
            continue
        amount = row.contacts
        if base.kind == "handle_minutes":
            amount = (Decimal(row.seconds) / 60).quantize(Decimal("0.000001"))
        found[target] = found.get(target, Decimal(0)) + amount
    return readings_text({target: max(amount, Decimal(0)) for target, amount in found.items()})
