"""Make envelopes: minimised messages from one partner to another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import update

from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.exchange.models import Envelope

REFERRAL: Final = "referral"
REFERRAL_ANSWER: Final = "referral_answer"
REQUEST: Final = "request"
REQUEST_STATUS: Final = "request_status"
SUGGESTION: Final = "suggestion"
SUGGESTION_ANSWER: Final = "suggestion_answer"

ERASED: Final[dict[str, Any]] = {"erased": True}
"""What stands where something was that a partner may not use any more."""


def envelope_row(
    *,
    to: UUID,
    sender: UUID,
    kind: str,
    subject_id: UUID,
    payload: Mapping[str, Any],
    now: datetime,
    consent_id: UUID | None = None,
    expires_at: datetime | None = None,
    delivered: bool = True,
) -> Envelope:
    """Make an envelope for ``to``; ``delivered`` when its receiver works it in this transaction."""
    return new_row(
        Envelope,
        tenant_id=to,
        id=new_id(),
        from_tenant_id=sender,
        kind=kind,
        subject_id=subject_id,
        payload=dict(payload),
        consent_id=consent_id,
        sent_at=now,
        expires_at=expires_at,
        received_at=now if delivered else None,
    )


def tell(
    session: TenantSession,
    *,
    to: UUID,
    kind: str,
    subject_id: UUID,
    payload: Mapping[str, Any],
    now: datetime,
) -> None:
    """Send a message that rests on no consent, because it holds nothing personal."""
    put(
        session,
        envelope_row(
            to=to,
            sender=scope_of(session).tenant_id,
            kind=kind,
            subject_id=subject_id,
            payload=payload,
            now=now,
        ),
    )


def erase(session: TenantSession, *subject_ids: UUID) -> None:
    """Empty the payloads that the bound tenant received about records; the receipts stay."""
    send(session)
    session.execute(
        update(Envelope)
        .where(
            Envelope.tenant_id == scope_of(session).tenant_id,
            Envelope.subject_id.in_(subject_ids),
        )
        .values(payload=ERASED)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
