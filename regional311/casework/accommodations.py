"""Accommodation requests and civil-rights complaints: one door, one coordinator, days that count.

Somebody asks for what makes a service reachable (ADA, Title VI), or complains that they were
treated worse for who they are. It goes to the coordinator of the bureau concerned and to nobody
else: it is in no list of requests, no map, no search and no export. What everybody may know are
counts without persons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, or_, select

from regional311.audit.service import record
from regional311.casework.accommodation_letters import Letters, tell_coordinator, tell_person
from regional311.casework.hearing import LONGEST_ADDRESS
from regional311.casework.models import Accommodation, AccommodationNote
from regional311.casework.paper import withdraw_letters
from regional311.database.ids import new_id, public_id, token_hash
from regional311.database.locking import locked
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, InvalidInput

REQUEST: Final = "request"
COMPLAINT: Final = "complaint"
SORTS: Final = (REQUEST, COMPLAINT)
KINDS: Final = (
    "modification",
    "policy_change",
    "auxiliary_aid",
    "assistive_listening",
    "interpreter",
    "sign_language",
    "translated_document",
    "large_print",
    "physical_access",
    "assistant",
    "other",
)
"""What is asked for."""

BASES: Final = (
    "disability",
    "race",
    "colour",
    "national_origin",
    "language",
    "sex",
    "religion",
    "age",
    "retaliation",
    "other",
)
"""For what somebody was treated worse."""

STATES: Final = ("received", "acknowledged", "decided", "withdrawn")
OPEN: Final = ("received", "acknowledged")
OUTCOMES: Final[Mapping[str, tuple[str, ...]]] = {
    REQUEST: ("granted", "granted_differently", "denied", "withdrawn"),
    COMPLAINT: ("resolved", "found", "not_found", "sent_on", "withdrawn"),
}
"""How each sort can end."""

NEEDS_REASON: Final = frozenset(
    {"granted_differently", "denied", "not_found", "sent_on", "withdrawn"}
)
MIN_REASON: Final = 10
LONGEST: Final = 4000
LONGEST_NAME: Final = 200
APPEAL_DAYS: Final = 60
"""Days after the decision within which the person can say here that they do not agree."""


class NotWanted(InvalidInput):
    """Something that was said of an accommodation is missing, too long or not on a list."""


class AlreadyDecided(Conflict):
    """It has ended, so this cannot be done any more."""


class NotDecided(Conflict):
    """Only what was decided can be appealed, and only for some time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for or complains of, as it comes in by any door.

    `token` is the secret of the person's own page. `source_key` makes it count once.
    """

    sort: str
    kind: str
    details: str
    source_key: str
    token: str
    channel: str = "web"
    language: str = "en"
    bureau_key: str | None = None
    needed_on: date | None = None
    place: str | None = None
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    address: str | None = None
    """Where letters on paper go."""
    updates_by: str = "none"
    """By what they hear, as `hearing.way` gives it."""
    reach: str | None = None
    """How they want to be reached, in their own words: relay, large print, a friend."""


def check(asked: Asked) -> None:
    """Refuse what cannot be taken. Raises :class:`NotWanted`."""
    if asked.sort not in SORTS:
        raise NotWanted(f"It is one of {', '.join(SORTS)}.", field="sort")
    if asked.kind not in (KINDS if asked.sort == REQUEST else BASES):
        raise NotWanted("Choose what it is about.", field="kind")
    if not asked.details.strip():
        raise NotWanted("Say what is needed, or what happened.", field="details")
    if len(asked.details) > LONGEST:
        raise NotWanted(f"At most {LONGEST} characters.", field="details")
    for name in ("name", "phone", "email", "place", "reach"):
        if len(getattr(asked, name) or "") > LONGEST_NAME:
            raise NotWanted(f"At most {LONGEST_NAME} characters.", field=name)
    if len(asked.address or "") > LONGEST_ADDRESS:
        raise NotWanted(f"At most {LONGEST_ADDRESS} characters.", field="address")


def take(
    session: TenantSession,
    asked: Asked,
    letters: Letters,
    *,
    acknowledge_by: date,
    decide_by: date,
    now: datetime,
) -> str:
    """Take it in for the bound partner, and tell its coordinator; give its number.

    Where nobody is named to coordinate it, those who name coordinators are told.

    The letters say that there is something, and nothing of what. Raises :class:`NotWanted`.
    """
    check(asked)
    scope = scope_of(session)
    row_id, number = new_id(), public_id("A")
    put(
        session,
        new_row(
            Accommodation,
            tenant_id=scope.tenant_id,
            id=row_id,
            public_id=number,
            source_key=asked.source_key,
            token_hash=token_hash(asked.token),
            link_token=None if asked.updates_by == "none" else asked.token,
            sort=asked.sort,
            kind=asked.kind,
            bureau_key=asked.bureau_key or None,
            channel=asked.channel,
            language=asked.language,
            details=asked.details.strip(),
            needed_on=asked.needed_on,
            place=asked.place or None,
            name=asked.name or None,
            phone=asked.phone or None,
            email=asked.email or None,
            address=asked.address or None,
            updates_by=asked.updates_by,
            reach=asked.reach or None,
            state="received",
            received_at=now,
            acknowledge_by=acknowledge_by,
            decide_by=decide_by,
            taken_by=scope.person_id,
            updated_at=now,
            version=1,
        ),
    )
    _note(session, row_id, "accommodation:take", now, {"channel": asked.channel})
    tell_coordinator(session, letters, row_id, number, asked.bureau_key, acknowledge_by, now=now)
    return number


def acknowledge(
    session: TenantSession,
    *,
    row_id: UUID,
    version: int,
    words: str | None,
    letters: Letters,
    now: datetime,
) -> None:
    """Say that somebody has it, and tell the person where to read it.

    Raises :class:`AlreadyDecided`, `NotFound` and `Stale`.
    """
    row = _open(session, row_id, version)
    if row.acknowledged_at is None:
        row.acknowledged_at = now
    row.state = "acknowledged"
    row.coordinator_id = row.coordinator_id or scope_of(session).person_id
    row.updated_at = now
    session.flush()
    _note(session, row_id, "accommodation:acknowledge", now, {})
    if words and words.strip():
        _say(session, row_id, words, now, internal=False)
    tell_person(session, letters, row, "accommodation_acknowledged", words=words or "", now=now)


def decide(
    session: TenantSession,
    *,
    row_id: UUID,
    version: int,
    outcome: str,
    words: str,
    today: date,
    letters: Letters,
    now: datetime,
) -> None:
    """Decide it, with words that the person reads; a letter names the last day to disagree.

    Whatever gives the person less than they asked for needs the reason. Raises
    :class:`NotWanted`, :class:`AlreadyDecided`, `NotFound` and `Stale`.
    """
    row = _open(session, row_id, version)
    if outcome not in OUTCOMES[row.sort]:
        raise NotWanted("Choose how it ends.", field="outcome")
    if outcome in NEEDS_REASON and len(words.strip()) < MIN_REASON:
        raise NotWanted("Say why, in words that the person understands.", field="words")
    if len(words) > LONGEST:
        raise NotWanted(f"At most {LONGEST} characters.", field="words")
    until = None if outcome == "withdrawn" else today + timedelta(days=APPEAL_DAYS)
    _end(session, row, outcome, words, until, now)
    event = "accommodation_decided" if until else "accommodation_news"
    tell_person(
        session,
        letters,
        row,
        event,
        day=until,
        outcome=outcome if until else "",
        words=words,
        now=now,
    )


def _end(
    session: TenantSession,
    row: Accommodation,
    outcome: str,
    words: str,
    appeal_until: date | None,
    now: datetime,
) -> None:
    row_id = row.id
    row.appeal_until = appeal_until
    row.state = "withdrawn" if outcome == "withdrawn" else "decided"
    row.outcome = outcome
    row.outcome_words = words.strip() or None
    row.acknowledged_at = row.acknowledged_at or now
    row.decided_at = now
    row.updated_at = now
    session.flush()
    if outcome == "withdrawn":
        withdraw_letters(session, row_id)
    _note(session, row_id, "accommodation:decide", now, {"outcome": outcome})


def withdraw(session: TenantSession, *, row_id: UUID, now: datetime) -> None:
    """The person takes it back, by their own page. Raises :class:`AlreadyDecided`."""
    _end(session, _open(session, row_id, None), "withdrawn", "", None, now)


def may_appeal(row: Any, today: date) -> bool:
    """Whether the person can say now that they do not agree: once, and through the last day."""
    return (
        row.state == "decided"
        and row.appealed_at is None
        and row.appeal_until is not None
        and bool(today <= row.appeal_until)
        and row.forgotten_at is None
    )


def appeal(
    session: TenantSession,
    *,
    row_id: UUID,
    words: str,
    today: date,
    answer_by: date,
    letters: Letters,
    now: datetime,
) -> None:
    """The person does not agree. It is open again for the coordinator, who is told.

    Raises :class:`NotDecided` and :class:`NotWanted`.
    """
    row = locked(session, Accommodation, row_id, None, {}, "accommodation")
    if not may_appeal(row, today):
        raise NotDecided("It cannot be appealed here now. The coordinator says what can be done.")
    if not words.strip() or len(words) > LONGEST:
        raise NotWanted("Say why you do not agree.", field="words")
    row.appealed_at, row.appeal, row.appeal_by = now, words.strip(), answer_by
    row.updated_at = now
    number, bureau = row.public_id, row.bureau_key
    session.flush()
    _note(session, row_id, "accommodation:appeal", now, {})
    tell_coordinator(
        session, letters, row_id, number, bureau, answer_by, event="accommodation_appeal", now=now
    )


def answer_appeal(
    session: TenantSession,
    *,
    row_id: UUID,
    version: int,
    outcome: str,
    words: str,
    letters: Letters,
    now: datetime,
) -> None:
    """Answer an appeal: the decision stays, or another one holds from now on.

    What was decided first stays visible beside it. Raises :class:`NotWanted`,
    :class:`NotDecided`, :class:`AlreadyDecided` and `Stale`.
    """
    row = locked(session, Accommodation, row_id, version, {}, "accommodation")
    if row.appealed_at is None:
        raise NotDecided("Nobody has appealed.")
    if row.appeal_answered_at is not None:
        raise AlreadyDecided("The appeal is answered already.")
    if outcome not in on_appeal(row.sort):
        raise NotWanted("Choose what holds now.", field="outcome")
    if len(words.strip()) < MIN_REASON:
        raise NotWanted(
            "Say what became of it, in words that the person understands.", field="words"
        )
    if len(words) > LONGEST:
        raise NotWanted(f"At most {LONGEST} characters.", field="words")
    before = row.outcome
    row.appeal_answer, row.appeal_outcome = words.strip(), outcome
    row.appeal_answered_at = row.updated_at = now
    session.flush()
    _note(
        session,
        row_id,
        "accommodation:answer_appeal",
        now,
        {"before": before, "outcome": outcome},
    )
    tell_person(
        session,
        letters,
        row,
        "accommodation_appeal_answered",
        outcome=outcome,
        words=words,
        now=now,
    )


def on_appeal(sort: str) -> tuple[str, ...]:
    """What can hold after an appeal: every outcome but that it was taken back.

    >>> on_appeal("request")
    ('granted', 'granted_differently', 'denied')
    """
    return tuple(each for each in OUTCOMES[sort] if each != "withdrawn")


def give_to(
    session: TenantSession,
    *,
    row_id: UUID,
    version: int,
    bureau: str | None,
    letters: Letters,
    now: datetime,
) -> None:
    """Give it to another bureau, or with None to who coordinates the whole partner, who is told.

    Its days stay. Raises :class:`NotWanted` for where it is already, :class:`AlreadyDecided` when
    nothing is left to do, `NotFound` and `Stale`.
    """
    row = locked(session, Accommodation, row_id, version, {}, "accommodation")
    day, before, number = due_on(row), row.bureau_key, row.public_id
    if day is None:
        raise AlreadyDecided("It has ended already.")
    if bureau == before:
        raise NotWanted("It is there already.", field="bureau")
    row.bureau_key, row.coordinator_id, row.updated_at = bureau, None, now
    session.flush()
    _note(session, row_id, "accommodation:give", now, {"from": before, "to": bureau})
    tell_coordinator(
        session, letters, row_id, number, bureau, day, event="accommodation_given", now=now
    )


def add_words(
    session: TenantSession,
    *,
    row_id: UUID,
    words: str,
    internal: bool,
    letters: Letters,
    now: datetime,
    from_person: bool = False,
) -> None:
    """Keep words: the coordinator's own, to the person, or from them; who is meant to read them
    is told that there are some. Raises :class:`NotWanted` and :class:`AlreadyDecided`.
    """
    if not words.strip() or len(words) > LONGEST:
        raise NotWanted(f"Write at most {LONGEST} characters.", field="words")
    row = locked(session, Accommodation, row_id, None, {}, "accommodation")
    if row.forgotten_at is not None:
        raise AlreadyDecided("What it was about is erased.")
    number, bureau, day = row.public_id, row.bureau_key, due_on(row) or row.decide_by
    _say(session, row_id, words, now, internal=internal, from_person=from_person)
    _note(session, row_id, "accommodation:note", now, {"internal": internal})
    if from_person:
        tell_coordinator(
            session, letters, row_id, number, bureau, day, event="accommodation_added", now=now
        )
    elif not internal:
        tell_person(session, letters, row, "accommodation_news", words=words, now=now)


def _say(
    session: TenantSession,
    row_id: UUID,
    words: str,
    now: datetime,
    *,
    internal: bool,
    from_person: bool = False,
) -> None:
    scope = scope_of(session)
    put(
        session,
        new_row(
            AccommodationNote,
            tenant_id=scope.tenant_id,
            id=new_id(),
            accommodation_id=row_id,
            author_id=scope.person_id,
            internal=internal,
            from_person=from_person,
            words=words.strip(),
            at=now,
        ),
    )


def _open(session: TenantSession, row_id: UUID, version: int | None) -> Accommodation:
    row = locked(session, Accommodation, row_id, version, {}, "accommodation")
    if row.state not in OPEN:
        raise AlreadyDecided("It has ended already.")
    return row


def _note(
    session: TenantSession, row_id: UUID, action: str, now: datetime, detail: dict[str, Any]
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="accommodation",
        subject_id=row_id,
        detail=detail,
    )


# --- what may be asked ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One of a list, without the person and without their words."""

    id: UUID
    public_id: str
    sort: str
    kind: str
    bureau_key: str | None
    state: str
    outcome: str | None
    received_at: datetime
    acknowledge_by: date
    decide_by: date
    appealed_at: datetime | None
    appeal_by: date | None
    appeal_outcome: str | None
    appeal_answered_at: datetime | None

    @property
    def appealed(self) -> bool:
        """Whether an appeal waits for its answer."""
        return self.appealed_at is not None and self.appeal_answered_at is None

    @property
    def holds(self) -> str | None:
        """The outcome that holds: that of the appeal, or else the first."""
        return self.appeal_outcome or self.outcome

    @property
    def due_on(self) -> date | None:
        """The next day by which something must be done."""
        return due_on(self)


def due_on(row: Any) -> date | None:
    """The next day by which something must be done about a row; None when nothing must."""
    match row.state:
        case "received":
            day = row.acknowledge_by
        case "acknowledged":
            day = row.decide_by
        case _:
            day = row.appeal_by if row.appealed_at and not row.appeal_answered_at else None
    found: date | None = day
    return found


def listed(
    session: TenantSession,
    *,
    bureaus: Sequence[str] | None,
    still_open: bool | None = None,
    sort: str | None = None,
    limit: int = 500,
) -> list[Item]:
    """Give those that somebody may see, what is due first on top: one statement."""
    query = select(*(getattr(Accommodation, name) for name in Item.__slots__)).where(
        Accommodation.tenant_id == scope_of(session).tenant_id
    )
    if bureaus is not None:
        query = query.where(Accommodation.bureau_key.in_(list(bureaus)))
    waits = and_(Accommodation.appealed_at.is_not(None), Accommodation.appeal_answered_at.is_(None))
    if still_open is not None:
        there = or_(Accommodation.state.in_(OPEN), waits)
        query = query.where(there if still_open else ~there)
    if sort is not None:
        query = query.where(Accommodation.sort == sort)
    rows = session.execute(query.order_by(Accommodation.received_at.desc()).limit(limit))
    return sorted(
        (Item(*row) for row in rows),
        key=lambda each: (each.due_on is None, each.due_on or date.max),
    )


@dataclass(frozen=True, slots=True)
class Words:
    """Words that were kept."""

    author_id: UUID | None
    internal: bool
    from_person: bool
    words: str
    at: datetime


def words_on(session: TenantSession, row_id: UUID, *, public: bool = False) -> list[Words]:
    """Give what was said of one, in order; `public`: only what the person may read."""
    query = select(*(getattr(AccommodationNote, name) for name in Words.__slots__)).where(
        AccommodationNote.tenant_id == scope_of(session).tenant_id,
        AccommodationNote.accommodation_id == row_id,
        AccommodationNote.words != "",
    )
    if public:
        query = query.where(AccommodationNote.internal.is_(False))
    return [Words(*row) for row in session.execute(query.order_by(AccommodationNote.id))]


def by_token(session: TenantSession, token: str) -> Any:
    """Give the flat row whose secret link it is, or None: one statement."""
    table = Accommodation.__table__
    return session.execute(
        select(table).where(
            table.c.tenant_id == scope_of(session).tenant_id,
            table.c.token_hash == token_hash(token),
        )
    ).one_or_none()
