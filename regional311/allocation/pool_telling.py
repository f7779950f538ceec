"""Tell those who bear a pool that their part of it changes, with the pool or what divides it.

Each gets what it needs to judge its own bill, its own part before and after, and nothing of what
others bear. A partner gets an envelope that its agreement's page shows, and letters to its people
who draft agreements; a body outside a letter, where its agreement has an address. Own bureaus have
no account: this partner's people who draft agreements get one letter that names each of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH

from regional311.allocation.network import month_of
from regional311.allocation.shares import MONTHS
from regional311.allocation.year import Year
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.errors import DomainError
from regional311.exchange.models import Envelope
from regional311.exchange.service import tell
from regional311.identity.permissions import Permissions
from regional311.identity.queries import who_may
from regional311.money import format_cents
from regional311.notices.service import outbox_row
from regional311.tenancy.models import Bureau, Tenant

KIND: Final = "pool_version"
EVENT: Final = "pool_changed"
OUTSIDE: Final = "pool_changed_outside"
BUREAUS: Final = "pool_changed_bureaus"
BUREAU: Final = "bureau:"
MOST_TOLD: Final = 50


@dataclass(frozen=True, slots=True)
class Change:
    """What one target bears of a pool in a year, in cents, before and after.

    `actual` says that it is a part of what the pool cost in the end, not of its budget.
    """

    pool: str
    name: str
    before_cents: int
    after_cents: int
    actual: bool = False


@dataclass(frozen=True, slots=True)
class Cause:
    """What was stored, and why: a version of a pool, or of a base or its readings, by its key.

    `name` is that of the pool or base.
    """

    subject_id: UUID
    name: str
    fiscal_year: int
    number: int
    why: str | None
    pool: str | None = None
    base: str | None = None


def changes_of(before: Year, after: Year, changed: Iterable[str]) -> dict[str, list[Change]]:
    """Whose part of some pools, or of those that are divided with them, changes: by target.

    A month that cannot be divided has no parts.
    """
    keys: set[str] = set()
    for year in (before, after):
        for key in changed:
            if key in year.pools:
                keys |= {pool.key for pool in year.perhaps_with(key)}
    names = {each: pool.name for year in (before, after) for each, pool in year.pools.items()}
    found: defaultdict[str, list[Change]] = defaultdict(list)
    readings = [(False, _billed)]
    if any(
        year.pools[each].actual_cents is not None
        for year in (before, after)
        for each in keys & year.pools.keys()
    ):
        readings.append((True, _actual))
    for actual, cents_of in readings:
        was, now = cents_of(before, keys), cents_of(after, keys)
        for pool, target in sorted(was.keys() | now.keys()):
            old, new = was.get((pool, target), 0), now.get((pool, target), 0)
            if old != new:
                found[target].append(Change(pool, names[pool], old, new, actual))
    return dict(found)


_Cents = dict[tuple[str, str], int]


def _billed(year: Year, keys: AbstractSet[str]) -> _Cents:
    """What the twelve months bill of a year's pools, by pool and target."""
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for month in range(MONTHS):
        done: set[str] = set()
        for key in sorted(keys & year.pools.keys()):
            if key in done:
                continue
            with suppress(DomainError):
                group = year.group_of(key, year.month_end(month))
                for pool, part in month_of(group, month).items():
                    done.add(pool)
                    for target, cents in part.cents.items():
                        found[pool, target] += cents
    return found


def _actual(year: Year, keys: AbstractSet[str]) -> _Cents:
    """What the pools cost in the end, by pool and target; their budget while that is not known."""
    found: _Cents = {}
    for key in sorted(keys & year.pools.keys()):
        with suppress(DomainError):
            for target, cents in year.actual_shares(key)[0].items():
                found[key, target] = cents
    return found


def tell_payers(
    session: TenantSession,
    cause: Cause,
    changes: Mapping[str, Sequence[Change]],
    *,
    addresses: Mapping[str, str],
    now: datetime,
) -> list[UUID]:
    """Tell whoever's part changes; return the partners that were told.

    `addresses` has the e-mail of bodies outside, by target.
    """
    me = scope_of(session).tenant_id
    rows = session.execute(
        select(
            Tenant.id, Tenant.slug, Tenant.name, Tenant.settings["contact"].label("contact")
        ).where(Tenant.id == Tenant.tenant_id, Tenant.slug.in_([*changes]) | (Tenant.id == me))
    ).all()
    mine = next(row for row in rows if row.id == me)
    touched = {row.id: changes[row.slug] for row in rows if row.id != me}
    for payer_id in sorted(touched):
        payload = {
            "pool": cause.pool,
            "base": cause.base,
            "fiscal_year": cause.fiscal_year,
            "number": cause.number,
            "why": cause.why,
            "changes": [
                {name: getattr(each, name) for name in Change.__dataclass_fields__}
                for each in touched[payer_id]
            ],
        }
        tell(session, to=payer_id, kind=KIND, subject_id=cause.subject_id, payload=payload, now=now)
        send(session)
        with acting_for(session, payer_id):
            _write_to_people(session, EVENT, mine, cause, touched[payer_id], now)
    for target in sorted(changes.keys() & addresses.keys()):
        _write(session, OUTSIDE, addresses[target], mine, cause, changes[target], now)
    bureaus = _of_bureaus(session, changes)
    if bureaus:
        _write_to_people(session, BUREAUS, mine, cause, bureaus, now)
    return sorted(touched)


def _of_bureaus(session: TenantSession, changes: Mapping[str, Sequence[Change]]) -> list[Change]:
    """The changes of own bureaus, each with the bureau's name before the pool's."""
    keys = {target.removeprefix(BUREAU) for target in changes if target.startswith(BUREAU)}
    names: dict[str, str] = {}
    if keys:
        rows = session.execute(
            select(Bureau.key, Bureau.name).where(
                Bureau.tenant_id == scope_of(session).tenant_id, Bureau.key.in_(keys)
            )
        )
        names = {row.key: row.name for row in rows}
    return [
        replace(each, name=f"{names.get(key, key)}, {each.name}")
        for key in sorted(keys)
        for each in changes[BUREAU + key]
    ]


def _write_to_people(
    session: TenantSession,
    event: str,
    provider: Row[Any],
    cause: Cause,
    changes: Sequence[Change],
    now: datetime,
) -> None:
    for person in who_may(session, Permissions.AGREEMENT_EDIT):
        _write(session, event, person.email, provider, cause, changes, now)


def _write(
    session: TenantSession,
    event: str,
    recipient: str,
    provider: Row[Any],
    cause: Cause,
    changes: Sequence[Change],
    now: datetime,
) -> None:
    values = {
        "partner": provider.name,
        "contact": _reached(provider.name, provider.contact or {}),
        "pool": cause.name,
        "year": str(cause.fiscal_year),
        "parts": "\n".join(in_words(each) for each in changes),
        "why": cause.why or "",
    }
    put(
        session,
        outbox_row(
            scope_of(session).tenant_id,
            event=event,
            recipient=recipient,
            language="en",
            now=now,
            subject_id=cause.subject_id,
            values=values,
        ),
    )


def _reached(name: str, contact: Mapping[str, Any]) -> str:
    ways = [str(contact[way]) for way in ("email", "phone") if contact.get(way)]
    return f"{name} ({', '.join(ways)})" if ways else name


def in_words(change: Change) -> str:
    """A change as a line of a letter.

    >>> in_words(Change("desk", "Front desk", 100_00, 150_00))
    'Front desk: $100.00 before, $150.00 now'
    """
    what = f"{change.name}, actual cost" if change.actual else change.name
    return (
        f"{what}: {format_cents(change.before_cents)} before,"
        f" {format_cents(change.after_cents)} now"
    )


def told_of(session: TenantSession, provider_id: UUID, key: str) -> list[Row[Any]]:
    """What a provider told this partner of versions of a pool, or of one divided with it; the
    latest first.
    """
    table = Envelope.__table__
    named = func.jsonb_path_exists(
        table.c.payload,
        cast("$.changes[*] ? (@.pool == $key)", JSONPATH),
        func.jsonb_build_object("key", key),
    )
    return list(
        session.execute(
            select(table.c.sent_at, table.c.payload)
            .where(
                table.c.tenant_id == scope_of(session).tenant_id,
                table.c.kind == KIND,
                table.c.from_tenant_id == provider_id,
                named,
            )
            .order_by(table.c.sent_at.desc(), table.c.id.desc())
            .limit(MOST_TOLD)
        )
    )
