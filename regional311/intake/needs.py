"""What became of a need: derived from all that was done for it and from what people said.

A need may have several referrals, one after the other or at once, a request, a transfer. Its
status follows from all of them, and from the newest word of a person. A receiver that completed its
part has not thereby met the need: the outcome it gives says what it knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, text, update

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.intake.models import Need, NeedStatement

OPEN: Final = "open"
REFERRED: Final = "referred"
PARTIALLY_MET: Final = "partially_met"
MET: Final = "met"
UNMET: Final = "unmet"
UNKNOWN: Final = "unknown"

SAYABLE: Final = (MET, PARTIALLY_MET, UNMET, OPEN, UNKNOWN)
"""What a person can say of a need; that it is referred follows from a referral alone."""

UNMET_REASONS: Final = (
    "no_service_exists",
    "none_in_area",
    "none_open_now",
    "all_at_capacity",
    "out_of_funds",
    "not_eligible",
    "inaccessible",
    "cost",
    "person_refused",
    "other",
)
"""Why a need is unmet, asked at the moment that it is found out."""
OTHER: Final = "other"
MAX_WORDS: Final = 500
"""Characters of a reason in somebody's own words."""

WITHOUT_OUTCOME: Final = (OPEN, REFERRED, UNKNOWN)
"""Statuses that say what was tried and not what became of it."""

WAITING: Final = "waiting"
"""Of a part: somebody is at it."""
ENDED: Final = "ended"
"""Of a part: it came to nothing, and says nothing of the need."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing done for a need: a referral, a request or a transfer.

    `result` is ``waiting``, ``ended``, or what it says of the need: met, partially_met, unmet,
    unknown. `referred` tells whether somebody else has it. `began_at` and `moved_at` are when it
    was begun and when its result last changed.
    """

    result: str
    referred: bool
    began_at: datetime
    moved_at: datetime
    unmet_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said of a need."""

    status: str
    unmet_reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a need stands; a reason with an unmet one only."""

    status: str
    unmet_reason: str | None = None


def standing(parts: Iterable[Part], said: Said | None = None) -> Standing:
    """Say where a need stands.

    A person's word counts until something newer speaks of the need: work begun after it and still
    under way, or a result that came after it. That a need is met, once a person said so, only a
    person takes back. Without a word, the best result counts; work under way before what is unmet
    or not known; parts that came to nothing leave the need open.

    >>> from datetime import UTC
    >>> days = [datetime(2026, 11, day, tzinfo=UTC) for day in (2, 3, 4)]
    >>> rejected = Part("ended", True, days[0], days[1])
    >>> standing([rejected]).status
    'open'
    >>> standing([rejected, Part("waiting", True, days[1], days[1])]).status
    'referred'
    >>> standing([rejected], Said("unmet", "cost", days[2])).unmet_reason
    'cost'
    """
    known = tuple(parts)
    if said is not None:
        if said.status == MET:
            return Standing(MET)
        known = tuple(
            each
            for each in known
            if (each.result == WAITING and each.began_at > said.at)
            or (each.result not in (WAITING, ENDED) and each.moved_at > said.at)
        )
        if not known:
            return Standing(said.status, said.unmet_reason if said.status == UNMET else None)
    results = {each.result for each in known}
    waiting = [each for each in known if each.result == WAITING]
    for best in (MET, PARTIALLY_MET):
        if best in results:
            return Standing(best)
    if waiting:
        return Standing(REFERRED if any(each.referred for each in waiting) else OPEN)
    if UNMET in results:
        newest = max((each for each in known if each.result == UNMET), key=lambda e: e.moved_at)
        return Standing(UNMET, newest.unmet_reason or "other")
    return Standing(UNKNOWN if UNKNOWN in results else OPEN)


def check_statement(status: str, unmet_reason: str | None, words: str | None) -> None:
    """Refuse what cannot be said of a need: an unmet one needs its reason, and *other* its words.

    Raises :class:`InvalidInput`.
    """
    if status not in SAYABLE:
        raise InvalidInput("Choose what became of the need.", field="status")
    if status == UNMET and unmet_reason not in UNMET_REASONS:
        raise InvalidInput("Say why the need is unmet.", field="unmet_reason")
    if status == UNMET and unmet_reason == OTHER and not (words or "").strip():
        raise InvalidInput("Say in your own words why it is not met.", field="unmet_words")
    if len(words or "") > MAX_WORDS:
        raise InvalidInput(f"Say it in at most {MAX_WORDS} characters.", field="unmet_words")


def kept_words(status: str, unmet_reason: str | None, words: str | None) -> str | None:
    """Give the words that are kept with a statement: those of the reason *other*.

    >>> kept_words("unmet", "other", " no bus "), kept_words("unmet", "cost", "no bus")
    ('no bus', None)
    """
    if status != UNMET or unmet_reason != OTHER:
        return None
    return (words or "").strip() or None


_RESULT_OF_RESOLUTION: Final = {
    "completed": MET,
    "no_action_needed": MET,
    "duplicate": MET,
    "not_our_responsibility": UNMET,
    "out_of_funds": UNMET,
}

# Referrals belong to a higher floor, and the resolution of a request lives with its owner; a need's
# parts are read together, in one statement. Of a request elsewhere that a need joined, its owner's
# envelopes about the need tell; of one that was handed on since, what is followed.
_PARTS: Final = text(
    """
    SELECT 'referral' AS kind, state, outcome AS said, reason, sent_at AS began_at,
           coalesce(closed_at, heard_at, answered_at, sent_at) AS moved_at
    FROM referrals
    WHERE tenant_id = :tenant AND need_id = :need AND side = 'sent'
      AND state NOT IN ('draft', 'entered_in_error')
    UNION ALL
    SELECT 'request', kept.state, kept.resolution, NULL, r.opened_at,
           coalesce(kept.closed_at, r.opened_at)
    FROM service_requests r
    JOIN service_requests kept
      ON kept.tenant_id = r.tenant_id AND kept.id = coalesce(r.merged_into_id, r.id)
    WHERE r.tenant_id = :tenant AND r.need_id = :need AND kept.handed_to_id IS NULL
    UNION ALL
    SELECT 'request', kept.state, kept.resolution, NULL, m.at, coalesce(kept.closed_at, m.at)
    FROM me_toos m
    JOIN service_requests r ON r.tenant_id = m.tenant_id AND r.id = m.request_id
    JOIN service_requests kept
      ON kept.tenant_id = r.tenant_id AND kept.id = coalesce(r.merged_into_id, r.id)
    WHERE m.tenant_id = :tenant AND m.need_id = :need AND kept.handed_to_id IS NULL
    UNION ALL
    SELECT 'followed', f.state,
           (SELECT e.payload->>'resolution' FROM envelopes e
            WHERE e.tenant_id = :tenant AND e.subject_id = f.id AND e.kind = 'request_status'
            ORDER BY e.id DESC LIMIT 1),
           NULL, j.at, coalesce(f.closed_at, f.sent_at)
    FROM (
        SELECT r.merged_into_id AS id, r.opened_at AS at
        FROM service_requests r
        WHERE r.tenant_id = :tenant AND r.need_id = :need AND r.merged_into_id IS NOT NULL
        UNION ALL
        SELECT coalesce(r.merged_into_id, r.id), m.at
        FROM me_toos m JOIN service_requests r ON r.tenant_id = m.tenant_id AND r.id = m.request_id
        WHERE m.tenant_id = :tenant AND m.need_id = :need
    ) j
    JOIN followed_requests f ON f.tenant_id = :tenant AND f.id = j.id AND f.owner_id <> f.tenant_id
    UNION ALL
    (SELECT 'request', e.payload->>'state', e.payload->>'resolution', NULL,
            min(e.sent_at) OVER (),
            coalesce((e.payload->>'closed_at')::timestamptz, e.sent_at)
     FROM envelopes e
     WHERE e.tenant_id = :tenant AND e.subject_id = :need AND e.kind = 'request_status'
     ORDER BY e.id DESC LIMIT 1)
    UNION ALL
    SELECT 'followed', f.state,
           (SELECT e.payload->>'resolution' FROM envelopes e
            WHERE e.tenant_id = :tenant AND e.subject_id = f.id AND e.kind = 'request_status'
            ORDER BY e.id DESC LIMIT 1),
           NULL, f.sent_at, coalesce(f.closed_at, f.sent_at)
    FROM followed_requests f
    WHERE f.tenant_id = :tenant AND f.need_id = :need AND f.owner_id <> f.tenant_id
    UNION ALL
    SELECT 'transfer', result, NULL, NULL, at, at
    FROM transfers WHERE tenant_id = :tenant AND need_id = :need
    """
)


def part_of(row: Any) -> Part:
    """Read one thing that was done for a need from its row."""
    if row.kind in ("request", "followed"):
        return request_part(row.state, row.said, row.began_at, row.moved_at)
    if row.kind == "referral":
        result = {"completed": row.said or UNKNOWN}.get(row.state, WAITING)
        if row.state in ("rejected", "failed", "cancelled"):
            result = ENDED
    else:
        result = ENDED if row.state in ("returned", "refused") else WAITING
    return Part(result, referred=True, began_at=row.began_at, moved_at=row.moved_at)


def request_part(state: str, resolution: str | None, began_at: datetime, at: datetime) -> Part:
    """Give what a request says of its need; a merged one waits for the one that goes on.

    >>> now = datetime(2026, 11, 2)
    >>> request_part("closed", "completed", now, now).result
    'met'
    """
    if state != "closed":
        return Part(WAITING, referred=False, began_at=began_at, moved_at=at)
    said = resolution or ""
    return Part(
        _RESULT_OF_RESOLUTION.get(said, UNKNOWN),
        referred=False,
        began_at=began_at,
        moved_at=at,
        unmet_reason="out_of_funds" if said == "out_of_funds" else None,
    )


def settle(session: TenantSession, need_id: UUID) -> Standing:
    """Set a need's status from all that is known of it: three statements."""
    tenant_id = scope_of(session).tenant_id
    send(session)
    parts = [
        part_of(row)
        for row in session.execute(_PARTS, {"tenant": tenant_id, "need": need_id}).all()
    ]
    row = session.execute(
        select(NeedStatement.status, NeedStatement.unmet_reason, NeedStatement.said_at)
        .where(NeedStatement.tenant_id == tenant_id, NeedStatement.need_id == need_id)
        .order_by(NeedStatement.said_at.desc(), NeedStatement.id.desc())
        .limit(1)
    ).one_or_none()
    found = standing(parts, Said(row.status, row.unmet_reason, row.said_at) if row else None)
    session.execute(
        update(Need)
        .where(Need.tenant_id == tenant_id, Need.id == need_id)
        .values(
            status=found.status,
            unmet_reason=found.unmet_reason,
            unmet_words=Need.unmet_words if _as_said(row, found) else None,
        )
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    return found


def _as_said(row: Any, found: Standing) -> bool:
    """Whether a need stands as somebody said last, so that their words are still about it."""
    return row is not None and (row.status, row.unmet_reason) == (found.status, found.unmet_reason)


def say(
    session: TenantSession,
    *,
    now: datetime,
    need_id: UUID,
    status: str,
    unmet_reason: str | None = None,
    words: str | None = None,
    how: str = "page",
    contact_id: UUID | None = None,
) -> Standing:
    """Record what a person says became of a need; what was said before stays in its history.

    With `contact_id` the need must be one of that contact. `words` say the reason *other*: they
    stay at the need, and only the newest are kept. Raises :class:`NotFound` and
    :class:`InvalidInput`.
    """
    check_statement(status, unmet_reason, words)
    scope = scope_of(session)
    known = select(Need.contact_id).where(Need.tenant_id == scope.tenant_id, Need.id == need_id)
    if contact_id is not None:
        known = known.where(Need.contact_id == contact_id)
    found = session.execute(known.with_for_update()).scalar_one_or_none()
    if found is None:
        raise NotFound("There is no such need.")
    reason = unmet_reason if status == UNMET else None
    put(
        session,
        new_row(
            NeedStatement,
            tenant_id=scope.tenant_id,
            id=new_id(),
            contact_id=found,
            need_id=need_id,
            status=status,
            unmet_reason=reason,
            how=how,
            said_by=scope.person_id,
            said_at=now,
        ),
    )
    session.execute(
        update(Need)
        .where(Need.tenant_id == scope.tenant_id, Need.id == need_id)
        .values(unmet_words=kept_words(status, unmet_reason, words))
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    record(
        session,
        now=now,
        action="need:status",
        subject_kind="contact",
        subject_id=found,
        detail={"need": str(need_id), "status": status, "reason": reason, "how": how},
    )
    return settle(session, need_id)
