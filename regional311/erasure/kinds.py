"""Every kind of record that is kept for a time only, and what is done when it is over.

One list, of which the worker makes a chore each. A round takes a bounded part, skips what another
worker has in hand, and counts what it erased; the next round goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select, text, update

from regional311.casework.accommodation_keeping import forget as forget_accommodations
from regional311.catalog.search_log import forget_words
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.erasure import due, records
from regional311.erasure.models import Erasure
from regional311.exchange.models import Envelope
from regional311.exchange.service import ERASED
from regional311.inbox.forgetting import forget as forget_conversations
from regional311.intake import me_too
from regional311.intake.models import Contact, Inquirer, ServiceRequest
from regional311.notices.models import OutboxMessage
from regional311.referral.models import Referral
from regional311.tenancy.models import IdempotencyKey, Tenant
from regional311.tenancy.retention import kept_before

AT_ONCE: Final = 300
"""Records of one round."""
SOON: Final = 300
DAILY: Final = 86_400
_ANSWERS: Final = 2000
_FORGET_SESSIONS: Final = text("SELECT forget_sessions(:before, :most)")


@dataclass(frozen=True, slots=True)
class Erased:
    """How many records a round erased; of some, where the next one begins."""

    count: int
    last_at: datetime | None = None
    last_id: UUID | None = None


Forget = Callable[[TenantSession, datetime], Erased | int]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record: its key, the worker's chore, how often it is done, and what it does."""

    key: str
    chore: str
    every_seconds: float
    forget: Forget

    def do(self, session: TenantSession, now: datetime) -> int:
        """Erase what has been kept long enough at the bound partner; count it, and say so."""
        done = self.forget(session, now)
        erased = done if isinstance(done, Erased) else Erased(done)
        if erased.count:
            count(session, self.key, erased, now)
        return erased.count


def count(
    session: TenantSession,
    key: str,
    erased: Erased,
    now: datetime,
    *,
    reason: str | None = None,
) -> None:
    """Keep how many records of a kind were erased, and by whom if not by the worker."""
    scope = scope_of(session)
    put(
        session,
        new_row(
            Erasure,
            tenant_id=scope.tenant_id,
            id=new_id(),
            kind=key,
            count=erased.count,
            at=now,
            by_id=scope.person_id,
            reason=reason,
            last_at=erased.last_at,
            last_id=erased.last_id,
        ),
    )


def _contacts(session: TenantSession, now: datetime) -> int:
    before = kept_before(session, "contact", now)
    found = _taken(session, due.contacts(scope_of(session).tenant_id, before), Contact)
    records.erase_contacts(session, found, now)
    return len(found)


def _inquirers(session: TenantSession, now: datetime) -> int:
    before = kept_before(session, "inquirer", now)
    found = _taken(session, due.inquirers(scope_of(session).tenant_id, before, now), Inquirer)
    records.erase_inquirers(session, found, now)
    return len(found)


def _requests(session: TenantSession, now: datetime) -> int:
    before = kept_before(session, "request", now)
    found = _taken(session, due.requests(scope_of(session).tenant_id, before), ServiceRequest)
    records.erase_requests(session, found, now)
    return len(found)


def _referrals(session: TenantSession, now: datetime) -> int:
    before = kept_before(session, "referral", now)
    found = _taken(session, due.all_referrals(scope_of(session).tenant_id, before), Referral)
    records.erase_referrals(session, found, now)
    return len(found)


def _messages(session: TenantSession, now: datetime) -> int:
    before = kept_before(session, "message", now)
    found = _taken(session, due.messages(scope_of(session).tenant_id, before), OutboxMessage)
    if found:
        records.empty_messages(session, found)
    return len(found)


def _envelopes(session: TenantSession, now: datetime) -> Erased:
    """Empty what came in envelopes; what was skipped because it is open goes with its record."""
    tenant_id = scope_of(session).tenant_id
    before = kept_before(session, "envelope", now)
    since = _latest(session, "envelope", Erasure.last_at)
    found = _taken(session, due.envelopes(tenant_id, since, before), Envelope, skip=False)
    if not found:
        return Erased(0)
    emptied = session.execute(
        update(Envelope)
        .where(Envelope.tenant_id == tenant_id, Envelope.id.in_(found))
        .values(payload=ERASED)
        .returning(Envelope.sent_at)
        .execution_options(synchronize_session=False)
    ).scalars()
    last = max(emptied)
    mark_changed(session)
    return Erased(len(found), last_at=last)


def _answers(session: TenantSession, now: datetime) -> Erased:
    """Empty the first answers to what must not happen twice; that it came once stays known.

    Their ids say when they were made (UUIDv7), and they come in that order.
    """
    row, tenant_id = IdempotencyKey, scope_of(session).tenant_id
    before = _first_id(kept_before(session, "answer", now))
    since = _latest(session, "answer", Erasure.last_id)
    query = (
        select(row.id)
        .where(row.tenant_id == tenant_id, row.id < before, ~row.answer.has_key("erased"))
        .order_by(row.id)
    )
    if since is not None:
        query = query.where(row.id > since)
    found = list(session.scalars(query.limit(_ANSWERS).with_for_update()))
    if not found:
        return Erased(0)
    session.execute(
        update(row)
        .where(row.tenant_id == tenant_id, row.id.in_(found))
        .values(answer=ERASED)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    return Erased(len(found), last_id=found[-1])


def _sessions(session: TenantSession, now: datetime) -> int:
    """Delete sign-ins that ended long ago, and failed ones: they belong to no partner."""
    tenant_id = scope_of(session).tenant_id
    kind = session.scalar(
        select(Tenant.kind).where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
    )
    if kind != "region":
        return 0
    before = kept_before(session, "session", now)
    done = session.scalar(_FORGET_SESSIONS, {"before": before, "most": _ANSWERS})
    mark_changed(session)
    return int(done or 0)


KINDS: Final[tuple[Kind, ...]] = (
    Kind("contact", "old_contacts", SOON, _contacts),
    Kind("inquirer", "old_people", SOON, _inquirers),
    Kind("request", "old_requests", SOON, _requests),
    Kind("referral", "old_referrals", SOON, _referrals),
    Kind("conversation", "conversations", SOON, forget_conversations),
    Kind("message", "old_messages", SOON, _messages),
    Kind("envelope", "old_envelopes", SOON, _envelopes),
    Kind("answer", "old_answers", SOON, _answers),
    Kind("session", "old_sessions", SOON, _sessions),
    Kind("search", "search_words", DAILY, forget_words),
    Kind("accommodation", "accommodation_details", DAILY, forget_accommodations),
    Kind("me_too", "me_too_addresses", DAILY, me_too.forget),
)
"""What is kept for a time only. Accommodations have their own period, in `tenant.toml`; who said
*me too* is forgotten once the request can be opened again no more."""


def _taken(
    session: TenantSession, query: Select[Any], model: Any, *, skip: bool = True
) -> list[UUID]:
    """Give the ids of a part of what is due, locked; what another worker has is left to it.

    Without `skip` the other one is waited for: where the next round begins after this one, nothing
    may be left behind.
    """
    return list(session.scalars(query.limit(AT_ONCE).with_for_update(skip_locked=skip, of=model)))


def _latest(session: TenantSession, key: str, column: Any) -> Any:
    return session.scalar(
        select(column)
        .where(Erasure.tenant_id == scope_of(session).tenant_id, Erasure.kind == key)
        .order_by(Erasure.at.desc(), Erasure.id.desc())
        .limit(1)
    )


def _first_id(at: datetime) -> UUID:
    """Give the smallest UUIDv7 of a moment.

    >>> from datetime import UTC
    >>> str(_first_id(datetime(2026, 1, 1, tzinfo=UTC)))
    '019b76da-a800-7000-8000-000000000000'
    """
    milliseconds = int(at.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0x8 << 60)
