"""Telling bodies outside of their statements by e-mail: they have no books and no account here.

The letter is written in the transaction of the issue; the PDF goes with it when it leaves. Without
an address nothing is written, and the statement's page says that it must be sent by post.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text

from regional311.chargeback.documents.content import day, period_words
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.money import format_cents
from regional311.notices.service import outbox_row

ISSUED: Final = "statement_outside"
DUE_DAYS: Final = 30
"""Unless the agreement says otherwise."""


@dataclass(frozen=True, slots=True)
class SentOut:
    """The letter that brought a statement to a body outside.

    `state` is that of the outbox, or *returned* when mail does not arrive at the address since.
    """

    recipient: str
    state: str
    sent_at: datetime | None


def tell_of_issue(
    session: TenantSession, header: Mapping[str, Any], number: str, *, now: datetime
) -> bool:
    """Write the letter that brings a statement to its payer outside; False without an address."""
    parties = header["parties"]
    email = (parties["payer"].get("contact") or {}).get("email")
    if not email:
        return False
    zone = parties["issuer"].get("zone") or _zone(session)
    due_days = header["terms"].get("due_days")
    due_on = now.astimezone(ZoneInfo(zone)).date() + timedelta(
        days=DUE_DAYS if due_days is None else due_days
    )
    amount = format_cents(abs(header["total_cents"]))
    owed = f"{amount}, due on {day(due_on)}"
    if header["total_cents"] <= 0:
        owed = f"a credit of {amount}" if header["total_cents"] else "nothing is to be paid"
    values = {"period": period_words(header["period_key"]), "owed": owed}
    write(session, ISSUED, UUID(header["id"]), email, number, due_on, parties, values, now=now)
    return True


def write(
    session: TenantSession,
    event: str,
    statement_id: UUID,
    email: str,
    number: str,
    due_on: date,
    parties: Mapping[str, Any],
    values: Mapping[str, str],
    *,
    now: datetime,
) -> None:
    """Write a letter about a statement to its payer outside into the outbox."""
    issuer = parties.get("issuer") or {}
    reached = issuer.get("contact") or {}
    ways = [str(reached[name]) for name in ("email", "phone") if reached.get(name)]
    name = str(issuer.get("name", ""))
    said = {
        "number": number,
        "partner": name,
        "day": day(due_on),
        "contact": f"{name} ({', '.join(ways)})" if ways else name,
    }
    put(
        session,
        outbox_row(
            scope_of(session).tenant_id,
            event=event,
            recipient=email,
            language="en",
            now=now,
            subject_id=statement_id,
            values=said | dict(values),
        ),
    )


def sent_out(session: TenantSession, statement_id: UUID) -> SentOut | None:
    """The letter that brought a statement to its payer outside, or None. One statement."""
    row = session.execute(
        text(
            "SELECT m.recipient, CASE WHEN m.state = 'sent' AND EXISTS ("
            "  SELECT FROM mail_troubles t WHERE t.tenant_id = m.tenant_id"
            "  AND t.address = lower(m.recipient) AND t.stopped_at >= m.sent_at"
            "  AND t.lifted_at IS NULL) THEN 'returned' ELSE m.state END, m.sent_at"
            " FROM outbox_messages m"
            " WHERE m.tenant_id = :tenant AND m.subject_id = :statement AND m.event = :event"
            " ORDER BY m.id DESC LIMIT 1"
        ),
        {"tenant": scope_of(session).tenant_id, "statement": statement_id, "event": ISSUED},
    ).one_or_none()
    return None if row is None else SentOut(*row)


def _zone(session: TenantSession) -> str:
    found: str = session.execute(
        text("SELECT zone FROM tenants WHERE tenant_id = :me AND id = :me"),
        {"me": scope_of(session).tenant_id},
    ).scalar_one()
    return found
