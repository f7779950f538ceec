"""Record usage events: what was done, once, in the transaction in which it was done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import select

from regional311.database.ids import new_id
from regional311.database.rows import buffered, new_row, put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, InvalidInput, KeyReused, NotFound
from regional311.metering.models import UsageEvent

CONTACT_HANDLED: Final = "contact_handled"
REQUEST_TAKEN_IN: Final = "request_taken_in"
WARM_TRANSFER: Final = "warm_transfer"
REFERRAL_CLOSED: Final = "referral_closed"
FOLLOW_UP: Final = "follow_up"
AFTER_HOURS_ANSWER: Final = "after_hours_answer"
INTERPRETER_MINUTE: Final = "interpreter_minute"
LENT_MINUTE: Final = "lent_minute"
"""A minute of a specialist lent to another partner's lines, outside contacts."""

MOST_REVISIONS: Final = 50
"""As many revisions of one piece of work are looked for."""


AHEAD: Final = timedelta(minutes=5)
"""How far the clock of whoever did the work may be ahead of ours."""


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


class CorrectedBefore(Conflict):
    """Work was corrected already; its latest revision can be corrected again."""


class NotDoneYet(InvalidInput):
    """Work is recorded when it was done, not before."""


class NoRevision(InvalidInput):
    """Corrected work needs a key of its own: the same record and activity, the next revision."""


_CONTENT: Final = tuple(
    each.name for each in fields(Usage) if each.name not in ("received_at", "booked_on")
)


def usage_row(tenant_id: UUID, usage: Usage) -> UsageEvent:
    """Make the provider's row of a fact; every recorded piece of work is made here.

    What takes work back carries its instant, whenever that is.

    :raises NotDoneYet: for work that would be done after it became known.
    """
    if usage.reverses_id is None and usage.occurred_at > usage.received_at + AHEAD:
        raise NotDoneYet(
            f"Work of the future cannot be recorded: {usage.occurred_at:%Y-%m-%d %H:%M} UTC has not"
            " come yet.",
            field="started_at",
        )
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


def correct(
    session: TenantSession,
    original_key: str,
    usage: Usage | None,
    *,
    received_at: datetime,
    booked_on: date,
) -> bool:
    """Take back recorded work by name and record what it really was; tell whether that was new.

    The original stays. An event with the opposite quantity reverses it, done at the same instant
    and received now, and `usage`, whose key names the next revision (`next_revision`), takes its
    place; None takes the work back altogether, as entered in error. The same correction again
    changes nothing.

    :raises NotFound: when no such work was recorded.
    :raises CorrectedBefore: when it was corrected in another way, or is itself a reversal.
    :raises NoRevision: when `usage` has the key of the original.
    :raises KeyReused: when the key of `usage` stands for other work.
    """
    tenant_id = scope_of(session).tenant_id
    if usage is not None and usage.source_key in (original_key, reversal_key(original_key)):
        raise NoRevision("Corrected work needs the key of its next revision.", field="source_key")
    original = session.execute(
        select(UsageEvent).where(
            UsageEvent.tenant_id == tenant_id, UsageEvent.source_key == original_key
        )
    ).scalar_one_or_none()
    if original is None:
        raise NotFound(f"There is no work recorded as {original_key}.")
    if original.reverses_id is not None:
        raise CorrectedBefore(f"{original_key} takes other work back and cannot be corrected.")
    said = {each.name: getattr(original, each.name) for each in fields(Usage)}
    reversal = Usage(
        **said
        | {
            "source_key": reversal_key(original_key),
            "quantity": -original.quantity,
            "reverses_id": original.id,
            "received_at": received_at,
            "booked_on": booked_on,
        }
    )
    if not record(session, reversal):
        if usage is None and not _recorded(session, next_revision(original_key)):
            return False
        if usage is not None and _recorded(session, usage.source_key):
            return record(session, usage)
        raise CorrectedBefore(f"{original_key} was corrected before; correct its latest revision.")
    if usage is not None:
        record(session, replace(usage, received_at=received_at, booked_on=booked_on))
    return True


def next_revision(source_key: str) -> str:
    """The key of the next revision of recorded work.

    >>> next_revision("contact:7:handled:1"), next_revision("contact:7:transfer:need")
    ('contact:7:handled:2', 'contact:7:transfer:need:2')
    """
    what, _, revision = source_key.rpartition(":")
    if what and revision.isdecimal():
        return f"{what}:{int(revision) + 1}"
    return f"{source_key}:2"


def reversal_key(source_key: str) -> str:
    """The key of the event that takes recorded work back."""
    return f"{source_key}:reversed"


def revision_keys(source_key: str) -> list[str]:
    """Every key under which revisions of the same work can stand, reversals too.

    >>> revision_keys("contact:7:handled:2")[:3]
    ['contact:7:handled', 'contact:7:handled:reversed', 'contact:7:handled:1']
    """
    key = source_key.removesuffix(":reversed")
    what, _, revision = key.rpartition(":")
    stem = what if what and revision.isdecimal() else key
    each = [stem, *(f"{stem}:{number}" for number in range(1, MOST_REVISIONS + 1))]
    return [name for key in each for name in (key, reversal_key(key))]


def live_revision(session: TenantSession, source_key: str) -> str | None:
    """The key under which recorded work holds now, whichever of its revisions is asked about.

    None when it was taken back altogether, or never recorded. One statement.
    """
    known = _revisions(session, source_key)
    holds = (key for key in known if not key.endswith(":reversed"))
    return next((key for key in holds if reversal_key(key) not in known), None)


def free_revision(session: TenantSession, source_key: str) -> str:
    """The first key from this one on under which no revision of the work was recorded.

    One statement.
    """
    known = _revisions(session, source_key)
    while source_key in known:
        source_key = next_revision(source_key)
    return source_key


def _revisions(session: TenantSession, source_key: str) -> set[str]:
    """Every key under which the work was recorded, or taken back."""
    return set(
        session.execute(
            select(UsageEvent.source_key).where(
                UsageEvent.tenant_id == scope_of(session).tenant_id,
                UsageEvent.source_key.in_(revision_keys(source_key)),
            )
        ).scalars()
    )


def _recorded(session: TenantSession, source_key: str) -> bool:
    return (
        session.execute(
            select(UsageEvent.id).where(
                UsageEvent.tenant_id == scope_of(session).tenant_id,
                UsageEvent.source_key == source_key,
            )
        ).scalar_one_or_none()
        is not None
    )
