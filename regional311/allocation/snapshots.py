"""Bases and their snapshots: keep them, count readings from recorded work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update

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
from regional311.database.session import TenantSession, mark_changed, scope_of
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


def save_base(
    session: TenantSession,
    *,
    now: datetime,
    key: str,
    name: str,
    kind: str,
    counts: str | None = None,
    rolling_quarters: int | None = None,
    parts: Mapping[str, Decimal] | None = None,
    note: str | None = None,
    new: bool = False,
) -> UUID:
    """Make a base, or change what is said about it; its snapshots stay.

    :raises KeyTaken: when it is to be new and is there.
    :raises InvalidInput: for an unknown kind, or a rolling mix.
    :raises MixGoesRound: when parts do not make 100 %, go round, or are given without a mix.
    :raises BaseWithoutReadings: when a part is not there.
    """
    tenant_id = scope_of(session).tenant_id
    mixed = {each: percent for each, percent in (parts or {}).items() if percent}
    check_key(key)
    if rolling_quarters is not None and not 1 <= rolling_quarters <= MOST_QUARTERS:
        raise InvalidInput(f"Average 1 to {MOST_QUARTERS} quarters.", field="rolling_quarters")
    _check_base(session, key, name, kind, rolling_quarters, mixed)
    if kind in COUNTED and counts not in COUNTS:
        raise InvalidInput("Say whose contacts count: bureaus, partners or all.", field="counts")
    values: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "counts": counts if kind in COUNTED else None,
        "rolling_quarters": rolling_quarters,
        "parts": [{"base": each, "percent": plain(mixed[each])} for each in sorted(mixed)],
        "note": note,
        "ended_on": None,
    }
    base_id = session.execute(
        select(AllocationBase.id).where(
            AllocationBase.tenant_id == tenant_id, AllocationBase.key == key
        )
    ).scalar_one_or_none()
    if base_id is not None and new:
        raise KeyTaken(f"There is a base {key} already.", field="key")
    action = "base:change"
    if base_id is None:
        base_id, action = new_id(), "base:add"
        put(session, AllocationBase(tenant_id=tenant_id, id=base_id, key=key, **values))
    else:
        session.execute(
            update(AllocationBase)
            .where(AllocationBase.tenant_id == tenant_id, AllocationBase.id == base_id)
            .values(values),
            execution_options={"synchronize_session": False},
        )
        mark_changed(session)
    record(
        session,
        now=now,
        action=action,
        subject_kind="base",
        subject_id=base_id,
        detail={"key": key},
    )
    return base_id


def _check_base(
    session: TenantSession,
    key: str,
    name: str,
    kind: str,
    rolling_quarters: int | None,
    parts: Mapping[str, Decimal],
) -> None:
    if kind not in KINDS:
        raise InvalidInput(f"A base is one of {', '.join(KINDS)}.", field="kind")
    if kind != "mix":
        if parts:
            raise MixGoesRound("Only a mix has parts.", field="parts")
        return
    if rolling_quarters is not None:
        raise InvalidInput("A mix does not roll; the bases in it may.", field="rolling_quarters")
    check_mix(name, parts)
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


def take_snapshot(
    session: TenantSession,
    base_key: str,
    *,
    as_of: date,
    source: str,
    readings: Mapping[str, str],
    now: datetime,
) -> Taken:
    """Keep readings of a base as its next snapshot; earlier ones stay as they are.

    The same readings of the same day and source as the newest snapshot add nothing.

    :raises NotFound: when there is no such base.
    :raises BadReading: naming the target whose reading is not a number.
    :raises InvalidInput: when the day has not ended, the source is missing, or the base is a mix.
    """
    scope = scope_of(session)
    send(session)
    base = session.execute(
        select(AllocationBase)
        .where(AllocationBase.tenant_id == scope.tenant_id, AllocationBase.key == base_key)
        .with_for_update()
    ).scalar_one_or_none()
    if base is None:
        raise NotFound(f"There is no base {base_key}.")
    if base.kind == "mix":
        raise InvalidInput("A mix has no readings of its own; its parts have.", field="readings")
    if not source.strip():
        raise InvalidInput("Say where the readings come from.", field="source")
    if as_of > now.date():
        raise InvalidInput(f"The readings cannot tell of {as_of}, which is to come.", field="as_of")
    read = read_readings(readings)
    if base.kind == "equal" and len({reading for reading in read.values() if reading}) > 1:
        raise InvalidInput("In an equal base every reading is the same.", field="readings")
    digest = snapshot_digest(as_of, source, read)
    last = session.execute(
        select(BaseSnapshot.number, BaseSnapshot.digest)
        .where(BaseSnapshot.tenant_id == scope.tenant_id, BaseSnapshot.base_key == base_key)
        .order_by(BaseSnapshot.number.desc())
        .limit(1)
    ).one_or_none()
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
            as_of=as_of,
            source=source,
            readings=readings_text(read),
            digest=digest,
            taken_at=now,
            taken_by=scope.person_id,
        ),
    )
    record(
        session,
        now=now,
        action="base:snapshot",
        subject_kind="base",
        subject_id=base.id,
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
    counts = getattr(base, "counts", None) or "all"
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
