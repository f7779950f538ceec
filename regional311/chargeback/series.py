"""The gap-free numbers of a partner's statements, and the lock that orders its billing."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from regional311.chargeback.models import StatementCounter
from regional311.database.session import TenantSession, mark_changed, scope_of

SERIES = "statement"


def lock_series(session: TenantSession) -> int:
    """Take this partner's billing lock until the transaction ends; return the last number given.

    Rating, drafting and every step of a statement take it, so that they happen one after another.
    """
    tenant_id = scope_of(session).tenant_id
    query = (
        select(StatementCounter.last_number)
        .where(StatementCounter.tenant_id == tenant_id, StatementCounter.series == SERIES)
        .with_for_update()
    )
    last = session.execute(query).scalar_one_or_none()
    if last is None:
        session.execute(
            insert(StatementCounter)
            .values(tenant_id=tenant_id, series=SERIES, last_number=0)
            .on_conflict_do_nothing()
        )
        mark_changed(session)
        last = session.execute(query).scalar_one()
    return last


def mint_number(session: TenantSession, prefix: str) -> str:
    """Give the next number; a transaction that rolls back gives it back, so there is no gap.

    >>> spell_number("COP", 7)
    'COP-00007'
    """
    number = lock_series(session) + 1
    session.execute(
        update(StatementCounter)
        .where(
            StatementCounter.tenant_id == scope_of(session).tenant_id,
            StatementCounter.series == SERIES,
        )
        .values(last_number=number)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    return spell_number(prefix, number)


def spell_number(prefix: str, number: int) -> str:
    """A statement's number as it is printed."""
    return f"{prefix}-{number:05d}"


def number_of(text: str) -> int:
    """The place of a printed number in its series."""
    return int(text.rpartition("-")[2])
