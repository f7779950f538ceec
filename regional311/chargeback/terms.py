"""What was agreed and at what price: flat rows as they hold on a day, for pages and exports."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, or_, select
from sqlalchemy.orm import Session

from regional311.chargeback.models import Agreement, Rate
from regional311.database.session import scope_of


def agreements(session: Session, on: date) -> list[Row[Any]]:
    """The agreements that hold on a day and have this partner as a party; all, for the region.

    By name; the row has the columns of the table.
    """
    table = Agreement.__table__
    me = scope_of(session).tenant_id
    return list(
        session.execute(
            select(table)
            .where(
                or_(table.c.tenant_id == me, table.c.provider_id == me, table.c.payer_id == me),
                table.c.valid.contains(on),
            )
            .order_by(table.c.name, table.c.key)
        )
    )


def payer_rule(session: Session, key: str, version: int) -> str | None:
    """By which rule a version of an agreement finds its payer; None when there is none such."""
    found: str | None = session.execute(
        select(Agreement.payer_rule).where(Agreement.key == key, Agreement.version == version)
    ).scalar_one_or_none()
    return found


def rates(session: Session, on: date, *, provider_id: UUID | None = None) -> list[Row[Any]]:
    """The rates of a partner (this one unless told) that hold on a day, as they are known now."""
    table = Rate.__table__
    return list(
        session.execute(
            select(table)
            .where(
                table.c.tenant_id == (provider_id or scope_of(session).tenant_id),
                table.c.valid.contains(on),
                ~func.isempty(table.c.recorded),
                func.upper(table.c.recorded).is_(None),
            )
            .order_by(
                table.c.card_key,
                table.c.activity,
                table.c.channel.nulls_first(),
                table.c.service_key.nulls_first(),
                table.c.language.nulls_first(),
                table.c.hours,
            )
        )
    )


def rate_history(session: Session, rate: Any) -> list[Row[Any]]:
    """Every price of the same work on the same card, as it was known, the latest first."""
    table = Rate.__table__
    same = [
        table.c[name].is_not_distinct_from(getattr(rate, name))
        for name in ("card_key", "activity", "channel", "service_key", "language", "hours")
    ]
    return list(
        session.execute(
            select(table)
            .where(table.c.tenant_id == rate.tenant_id, *same, ~func.isempty(table.c.recorded))
            .order_by(func.lower(table.c.valid).desc(), func.lower(table.c.recorded).desc())
        )
    )
