"""Recorded work that was wrong, corrected by a person: what it really was, or that it never was.

The fact stays. An event with the opposite quantity takes it back by name and a new revision says
what it really was, so that every bill can still be explained from what was known on its day. Who
corrected it, and which of the reasons it was, stand in the audit trail of the new revision, or of
the reversal when nothing takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from regional311.audit.service import record
from regional311.database.rows import send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.metering.models import UsageEvent
from regional311.metering.service import Usage, correct, next_revision, reversal_key

REASONS: Final = ("wrong_service", "wrong_facts", "duplicate", "entered_in_error", "agreed")
"""Why work is corrected: codes, because free words in the trail could name somebody."""
MOST_SECONDS: Final = 86_400
MOST_QUANTITY: Final = Decimal(10_000)
CORRECTED: Final = "work:correct"
TAKEN_BACK: Final = "work:take_back"
KEPT: Final = "work:keep"
"""Actions of the audit trail; their subject is a usage event."""

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
_PLACES = Decimal("0.000001")


class NothingCorrected(InvalidInput):
    """What was sent says what is recorded already."""


@dataclass(frozen=True, slots=True)
class Really:
    """What some work really was; who did it, for whose line and on whose referral stays."""

    channel: str
    language: str
    after_hours: bool
    service_owner_id: UUID | None
    service_key: str | None
    bureau_key: str | None
    quantity: Decimal
    handle_seconds: int

    @classmethod
    def of(cls, event: object) -> Really:
        """What a recorded event says."""
        return cls(**{each.name: getattr(event, each.name) for each in fields(cls)})

    def check(self) -> None:
        """Refuse what no work can be.

        :raises InvalidInput: naming the field and what is allowed.
        """
        if not 0 < self.quantity <= MOST_QUANTITY:
            raise InvalidInput(
                f"A quantity is above zero and at most {MOST_QUANTITY:,}; take work that never was "
                "back instead.",
                field="quantity",
            )
        if self.quantity != self.quantity.quantize(_PLACES):
            raise InvalidInput("A quantity has at most six decimal places.", field="quantity")
        if not 0 <= self.handle_seconds <= MOST_SECONDS:
            raise InvalidInput(
                f"Seconds are from 0 to {MOST_SECONDS:,}, a whole day.", field="handle_seconds"
            )


def correct_work(
    session: TenantSession,
    event_id: UUID,
    really: Really | None,
    *,
    reason: str,
    now: datetime,
    booked_on: date,
) -> UUID:
    """Record what some work really was, or take it back with None; return the event that says so.

    Only the latest revision can be corrected. The correction became known now and keeps the instant
    at which the work was done, so that it belongs to that period.

    :raises NotFound: when this partner recorded no such work.
    :raises NothingCorrected: when it is recorded in that way already.
    :raises InvalidInput: for an unknown reason, or what no work can be.
    :raises CorrectedBefore: when it was corrected meanwhile, or is itself a reversal.
    """
    tenant_id = scope_of(session).tenant_id
    if reason not in REASONS:
        raise InvalidInput(f"A reason is one of {', '.join(REASONS)}.", field="reason")
    session.execute(_LOCK, {"key": f"work:{tenant_id}:{event_id}"})
    event = session.execute(
        select(UsageEvent.__table__).where(
            UsageEvent.tenant_id == tenant_id, UsageEvent.id == event_id
        )
    ).one_or_none()
    if event is None:
        raise NotFound("There is no such work.")
    usage = None
    if really is not None:
        really.check()
        if really == Really.of(event):
            raise NothingCorrected("This is what is recorded already.", field="quantity")
        said = {each.name: getattr(event, each.name) for each in fields(Usage)}
        said |= {each.name: getattr(really, each.name) for each in fields(really)}
        usage = Usage(**said | {"source_key": next_revision(event.source_key)})
    correct(session, event.source_key, usage, received_at=now, booked_on=booked_on)
    send(session)
    key = reversal_key(event.source_key) if usage is None else usage.source_key
    made: UUID = session.execute(
        select(UsageEvent.id).where(UsageEvent.tenant_id == tenant_id, UsageEvent.source_key == key)
    ).scalar_one()
    record(
        session,
        now=now,
        action=TAKEN_BACK if usage is None else CORRECTED,
        subject_kind="usage_event",
        subject_id=made,
        detail={"reason": reason, "corrects": str(event_id)},
    )
    return made


def keep_work(session: TenantSession, event_id: UUID, *, now: datetime) -> None:
    """Note that somebody has looked at some work and that it stays as it is recorded.

    :raises NotFound: when this partner recorded no such work.
    """
    known = session.execute(
        select(UsageEvent.id).where(
            UsageEvent.tenant_id == scope_of(session).tenant_id, UsageEvent.id == event_id
        )
    ).scalar_one_or_none()
    if known is None:
        raise NotFound("There is no such work.")
    record(
        session,
        now=now,
        action=KEPT,
        subject_kind="usage_event",
        subject_id=event_id,
        detail={},
    )
