"""Between whom something is settled: who the other side is, locks, and the day on a clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from regional311.database.ids import new_id
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import InvalidInput
from regional311.exchange.service import tell
from regional311.settlement.models import SettlementRelation
from regional311.tenancy.models import Tenant


@dataclass(frozen=True, slots=True)
class Party:
    """A partner as everybody may know it."""

    id: UUID
    slug: str
    kind: str
    name: str
    zone: str


def parties(session: TenantSession) -> dict[UUID, Party]:
    """Every partner and the region, by id."""
    rows = session.execute(select(Tenant.id, Tenant.slug, Tenant.kind, Tenant.name, Tenant.zone))
    return {row.id: Party(*row) for row in rows}


def today_of(party: Party, now: datetime) -> date:
    """The day on a partner's clock."""
    return now.astimezone(ZoneInfo(party.zone)).date()


def lock_relations(session: TenantSession, pairs: Iterable[tuple[UUID, UUID]]) -> None:
    """Hold the rows of (tenant, other) until the transaction ends, in the order of the ids.

    Everybody who settles between two partners takes both rows in this order, so that no two wait
    for each other.
    """
    wanted = sorted(set(pairs))
    for tenant_id in sorted({tenant_id for tenant_id, _ in wanted}):
        with acting_for(session, tenant_id):
            for _, other_id in (pair for pair in wanted if pair[0] == tenant_id):
                _lock(session, other_id)


def _lock(session: TenantSession, other_id: UUID) -> None:
    tenant_id = scope_of(session).tenant_id
    query = (
        select(SettlementRelation.id)
        .where(
            SettlementRelation.tenant_id == tenant_id,
            SettlementRelation.counterparty_id == other_id,
        )
        .with_for_update()
    )
    if session.execute(query).scalar_one_or_none() is None:
        session.execute(
            insert(SettlementRelation)
            .values(tenant_id=tenant_id, id=new_id(), counterparty_id=other_id)
            .on_conflict_do_nothing()
        )
        mark_changed(session)
        session.execute(query).scalar_one()


def both_ways(one: UUID, other: UUID) -> list[tuple[UUID, UUID]]:
    """The rows of both sides; of one side only when a partner settles with a body outside."""
    return [(one, other), (other, one)]


def deliver(
    session: TenantSession,
    *,
    to: UUID,
    kind: str,
    subject_id: UUID,
    payload: dict[str, Any],
    now: datetime,
) -> None:
    """Send the other side what its own row is made of, and leave the receipt."""
    tell(session, to=to, kind=kind, subject_id=subject_id, payload=payload, now=now)


def cleaned(text: str, field: str, longest: int, *, lines: bool = False) -> str:
    """A text without surrounding blanks, on one line unless `lines`.

    :raises InvalidInput: when there is none or too much of it.
    """
    found = text.strip() if lines else " ".join(text.split())
    if not found:
        raise InvalidInput("Fill this in.", field=field)
    if len(found) > longest:
        raise InvalidInput(f"Use at most {longest} characters.", field=field)
    return found
