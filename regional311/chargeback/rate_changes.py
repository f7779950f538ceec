"""A new price from a day on: the old one ends there, and what was known before stays known.

The price that holds now is closed as *recorded* and written again with its end; the new price has a
key of its own, because a file names each price once. Whatever was billed already keeps the row that
priced it.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import Range

from regional311.audit.service import record
from regional311.chargeback.models import Rate
from regional311.chargeback.terms import rate_history
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound, Stale
from regional311.tenancy.models import Tenant

_DATED = re.compile(r"-\d{4}(-\d{2}(-\d{2})?)?$")
_LONGEST_KEY = 60


class RatesOverlap(Conflict):
    """Two prices of the same work would hold at the same time."""


class PriceNotPositive(InvalidInput):
    """A price is more than zero; work without a price waits as unrated."""


def current_rate(session: TenantSession, key: str, *, lock: bool = False) -> Any:
    """The price of this name as it is known now, as a flat row; None when there is none."""
    table = Rate.__table__
    query = select(table).where(
        table.c.tenant_id == scope_of(session).tenant_id,
        table.c.key == key,
        ~func.isempty(table.c.recorded),
        func.upper(table.c.recorded).is_(None),
    )
    return session.execute(query.with_for_update() if lock else query).one_or_none()


def change_rate(
    session: TenantSession,
    key: str,
    *,
    amount: Decimal,
    valid_from: date,
    source: str | None,
    expected_id: UUID,
    now: datetime,
) -> str:
    """Let a price change from a day on, and return the key under which the new one stands.

    `expected_id` is the row that the form showed. On the very day on which the price begins this
    is a correction under the same key. Raises `NotFound`, `Stale`, `PriceNotPositive`,
    `InvalidInput` for a day on which the price does not hold, and `RatesOverlap`.
    """
    scope = scope_of(session)
    old = current_rate(session, key, lock=True)
    if old is None:
        raise NotFound("There is no such rate.")
    if amount <= 0:
        raise PriceNotPositive("A price is more than zero.", field="amount")
    if old.id != expected_id:
        raise Stale(
            "Somebody else changed this rate.",
            current=_said(old.amount, old.valid.lower),
            submitted=_said(amount, valid_from),
        )
    if old.valid.lower is not None and valid_from < old.valid.lower:
        raise InvalidInput(
            f"This price begins on {old.valid.lower.isoformat()}; choose that day or a later one.",
            field="valid_from",
        )
    if old.valid.upper is not None and valid_from >= old.valid.upper:
        raise InvalidInput(
            f"This price ends on {old.valid.upper.isoformat()}; change the one that follows it.",
            field="valid_from",
        )
    _check_overlap(session, old, valid_from)
    session.execute(
        update(Rate)
        .where(Rate.tenant_id == scope.tenant_id, Rate.id == old.id)
        .values(recorded=Range(old.recorded.lower, now, bounds="[)"))
        .execution_options(synchronize_session=False)
    )
    new_key = key
    if old.valid.lower != valid_from:
        new_key = _free_key(session, key, valid_from)
        _insert(session, old, now, key=key, valid=Range(old.valid.lower, valid_from))
    row_id = _insert(
        session,
        old,
        now,
        key=new_key,
        amount=amount,
        source=source,
        valid=Range(valid_from, old.valid.upper),
    )
    send(session)
    session.execute(
        update(Tenant)
        .where(Tenant.tenant_id == scope.tenant_id, Tenant.id == scope.tenant_id)
        .values(revision=Tenant.revision + 1)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    record(
        session,
        now=now,
        action="rate:change",
        subject_kind="rate",
        subject_id=row_id,
        detail={
            "key": key,
            "new_key": new_key,
            "before": f"{old.amount:f}",
            "after": f"{amount:f}",
            "valid_from": valid_from.isoformat(),
        },
    )
    return new_key


def _said(amount: Decimal, valid_from: date | None) -> dict[str, str]:
    return {
        "price": f"{amount.normalize():f}",
        "holds from": "" if valid_from is None else valid_from.isoformat(),
    }


def _check_overlap(session: TenantSession, old: Any, valid_from: date) -> None:
    """Refuse when another price of the same work holds somewhere in the new one's time."""
    for other in rate_history(session, old):
        if other.id == old.id or other.recorded.upper is not None:
            continue
        begins, ends = other.valid.lower, other.valid.upper
        before = ends is not None and ends <= valid_from
        after = old.valid.upper is not None and begins is not None and begins >= old.valid.upper
        if not (before or after):
            since = "ever" if begins is None else begins.isoformat()
            raise RatesOverlap(
                f"The rate {other.key} prices the same work from {since} on; two prices cannot hold"
                " at the same time. Nothing was changed.",
                field="valid_from",
            )


def _free_key(session: TenantSession, key: str, valid_from: date) -> str:
    stem = _DATED.sub("", key)[: _LONGEST_KEY - 14]
    taken = set(
        session.scalars(
            select(Rate.key).where(
                Rate.tenant_id == scope_of(session).tenant_id, Rate.key.startswith(stem)
            )
        )
    )
    wanted = f"{stem}-{valid_from.isoformat()}"
    number = 2
    while wanted in taken:
        wanted = f"{stem}-{valid_from.isoformat()}-{number}"
        number += 1
    return wanted


def _insert(session: TenantSession, old: Any, now: datetime, **changes: Any) -> UUID:
    row_id = new_id()
    values = {column.name: getattr(old, column.name) for column in Rate.__table__.columns}
    put(session, Rate(**(values | {"id": row_id, "recorded": Range(now, None)} | changes)))
    return row_id
