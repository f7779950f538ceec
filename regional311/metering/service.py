"""Record usage events: what was done, once, in the transaction in which it was done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import select

from regional311.database.ids import new_id
from regional311.database.rows import buffered, new_row, put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import KeyReused
from regional311.metering.models import UsageEvent

CONTACT_HANDLED: Final = "contact_handled"
REQUEST_TAKEN_IN: Final = "request_taken_in"
WARM_TRANSFER: Final = "warm_transfer"
REFERRAL_CLOSED: Final = "referral_closed"
AFTER_HOURS_ANSWER: Final = "after_hours_answer"
INTERPRETER_MINUTE: Final = "interpreter_minute"


@dataclass(frozen=True, slots=True)
class Usage:
    """One unit of work, as a fact.

    ``source_key`` names the work's record, the activity and the revision. ``occurred_at`` is when
    it was done, ``booked_on`` the provider's local day on which it became known.
    """

    source_key: str
    activity: str
    channel: str
    occurred_at: datetime
    received_at: datetime
    booked_on: date
    language: str = "en"
    after_hours: bool = False
    service_owner_id: UUID | None = None
    service_key: str | None = None
    bureau_key: str | None = None
    jurisdiction_id: UUID | None = None
    referrer_id: UUID | None = None
    line_owner_id: UUID | None = None
    contact_id: UUID | None = None
    subject_id: UUID | None = None
    quantity: Decimal = Decimal(1)
    handle_seconds: int = 0
    reverses_id: UUID | None = None

    @property
    def digest(self) -> str:
        """A digest of what was done; when it became known does not count."""
        content = [str(getattr(self, name)) for name in _CONTENT]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


_CONTENT: Final = tuple(
    each.name for each in fields(Usage) if each.name not in ("received_at", "booked_on")
)


def usage_row(tenant_id: UUID, usage: Usage) -> UsageEvent:
    """Make the provider's row of a fact."""
    return new_row(
        UsageEvent,
        tenant_id=tenant_id,
        id=new_id(),
        source_key=usage.source_key,
        content_digest=usage.digest,
        activity=usage.activity,
        channel=usage.channel,
        language=usage.language,
        after_hours=usage.after_hours,
        service_owner_id=usage.service_owner_id,
        service_key=usage.service_key,
        bureau_key=usage.bureau_key,
        jurisdiction_id=usage.jurisdiction_id,
        referrer_id=usage.referrer_id,
        line_owner_id=usage.line_owner_id,
        contact_id=usage.contact_id,
        subject_id=usage.subject_id,
        quantity=usage.quantity,
        handle_seconds=usage.handle_seconds,
        occurred_at=usage.occurred_at,
        received_at=usage.received_at,
        booked_on=usage.booked_on,
        reverses_id=usage.reverses_id,
    )


def record(session: TenantSession, usage: Usage) -> bool:
    """Record a fact once; tell whether it was new.

    The same key with the same content changes nothing; with other content it raises
    :class:`KeyReused`. One statement to look; the row leaves with the rest.
    """
    tenant_id = scope_of(session).tenant_id
    known: str | None = next(
        (
            row["content_digest"]
            for row in buffered(session, UsageEvent)
            if row["source_key"] == usage.source_key
        ),
        None,
    )
    if known is None:
        known = session.execute(
            select(UsageEvent.content_digest).where(
                UsageEvent.tenant_id == tenant_id, UsageEvent.source_key == usage.source_key
            )
        ).scalar_one_or_none()
    if known is None:
        put(session, usage_row(tenant_id, usage))
        return True
    if known != usage.digest:
        raise KeyReused(f"The work {usage.source_key} was recorded before with other content.")
    return False
