"""Take a contact in, whole: contact, need, decision, and whatever follows from it.

:func:`plan` says, without a statement, which rows a contact makes at the partner that takes it in
and at the partner that gets it. :func:`take_in` writes the first in one statement, and the second
in one more as the receiver; :func:`take_in_many` does the same for a whole batch. The desk, the
public door, the replay of exports and the demonstration all come through here.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import case, exists, select, update
from sqlalchemy.exc import IntegrityError

from regional311.audit.service import audit_row
from regional311.catalog.answers import Kept, Reply, coded_facts, told_lines
from regional311.catalog.directory import Service
from regional311.catalog.forms import EMPTY, Form
from regional311.database.base import Base
from regional311.database.ids import new_id, public_id, token_hash
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import ComeAgain, Conflict, InvalidInput, KeyReused, NotFound, Stale
from regional311.exchange import service as exchange
from regional311.gazetteer.queries import ONE, SEVERAL
from regional311.identity.models import TrackingToken
from regional311.intake import lifecycle as intake_lifecycle
from regional311.intake import me_too, needs
from regional311.intake.added_files import sent_note
from regional311.intake.attachments import SENT
from regional311.intake.models import (
    CHANNELS,
    Attachment,
    Contact,
    FollowedRequest,
    Inquirer,
    Need,
    NeedStatement,
    Transfer,
)
from regional311.intake.service import NewRequest, Started, attachment_rows, request_rows
from regional311.intake.service import start_contact as begin_contact
from regional311.intake.uploads import Upload
from regional311.metering import service as metering
from regional311.notices.service import Translate, outbox_row, reached_at
from regional311.referral.acceptance import ANSWER_DAYS, REFUSALS, withheld
from regional311.referral.conditions import URGENCIES, Facts
from regional311.referral.decision import (
    EMERGENCY,
    Decision,
    Offered,
    Sign,
    decide,
    explain,
    said,
    screen,
)
from regional311.referral.follow_ups import follow_up_row
from regional311.referral.lifecycle import UNMET_BY_DECLINE
from regional311.referral.loop import loop_of, working_days_after
from regional311.referral.models import Consent
from regional311.referral.models import Decision as StoredDecision
from regional311.referral.papers import paper_of
from regional311.referral.person_links import code_of, link_rows
from regional311.referral.prohibition import prohibit
from regional311.referral.rules import (
    DANGER,
    DECLINE,
    INFORMATION,
    OPEN_REQUEST,
    REFER,
    RESOLVE_HERE,
    WARM_TRANSFER,
)
from regional311.referral.sending import AnswerLink, Outgoing, referral_rows
from regional311.referral.snapshot import Line, Published
from regional311.referral.waitlist import tell_position
from regional311.tenancy.answering import PARTNER
from regional311.tenancy.jurisdiction import AREA, SEVERAL_PLACES, Located, Reach
from regional311.tenancy.models import IdempotencyKey
from regional311.tenancy.once import remembered

ASKED_IN_PERSON: Final = ("desk", "web")
"""Sources where a person can be asked: the danger screen and consent must have been."""

ANSWERED: Final = (*ASKED_IN_PERSON, "open311", "api")
"""Sources that wait for an answer: it is kept, and given again when the same comes twice."""

ALWAYS_SHARED: Final = frozenset({"need", "urgency", "location", "problem"})
"""What a rule's list of fields cannot leave out; the sharing policy still can."""

_FIXED_DISPOSITION: Final[Mapping[str, str]] = {
    RESOLVE_HERE: "answered",
    INFORMATION: "answered",
    OPEN_REQUEST: "request_filed",
    REFER: "referred",
    WARM_TRANSFER: "transferred",
    DECLINE: "declined",
    DANGER: "danger",
}
_CALL_TYPE: Final[Mapping[str, str]] = {
    RESOLVE_HERE: "information",
    INFORMATION: "information",
    OPEN_REQUEST: "assistance",
    REFER: "referral",
    WARM_TRANSFER: "transfer",
    DECLINE: "out_of_scope",
    DANGER: "crisis",
}


_ONCE: Final = (
    "uq_idempotency_keys",
    "uq_contacts_tenant_id_source_key",
    "pk_tracking_tokens",
    "pk_person_codes",
    "uq_person_links_tenant_id_code",
)
"""The constraints that a form sent twice meets, whichever the database looks at first."""


class DangerNotAsked(Conflict):
    """The danger screen comes before anything else, and was not asked."""


class ConsentNotAsked(InvalidInput):
    """More would be shared with consent: the person must be asked, and may refuse."""


class NotAccepted(InvalidInput):
    """The receiver's policy, or its lack of room, says no: nothing was promised or filed.

    ``codes`` are the reasons, to be said in another language.
    """

    def __init__(self, codes: Iterable[tuple[str, ...]], names: Mapping[str, str]) -> None:
        self.codes = tuple(codes)
        super().__init__(" ".join(said(self.codes, names)), field="service")


class ConsentNeeded(InvalidInput):
    """Nothing at all may go to this partner without the person's consent."""


class ConsentNotWritten(InvalidInput):
    """Partners of this kind see and show nothing without a consent on paper, with its day."""


class FarAway(InvalidInput):
    """The point is nowhere near the region; ``reach`` is the box in which one can be meant."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        super().__init__(
            f"This point is far from the region: latitude is {reach.south} to {reach.north}, "
            f"longitude {reach.west} to {reach.east}.",
            field="latitude",
        )


class NoTexts(InvalidInput):
    """News by text are wanted, and the number cannot get any."""


class AlreadyTaken(ComeAgain):
    """The same form was filed before; :func:`first_answer` gives what was answered then.

    The transaction cannot be used any more: roll it back first.
    """


def stored_key(source: str, key: str) -> str:
    """What is stored of a submission's key: of a form's, its digest only."""
    if source in ANSWERED:
        return f"{source}:{hashlib.sha256(key.encode()).hexdigest()[:40]}"
    return f"{source}:{key}"


@dataclass(frozen=True, slots=True)
class Asker:
    """What the person said of themselves; every part may be left out.

    ``may_follow_up``: they agreed to be asked later what became of it. ``contact_prohibited``:
    contact would put them in danger, whatever else was said. ``updates_by``: news, if they want
    any, go by ``email`` or as a ``text`` to their telephone, never by both.
    """

    name: str | None = None
    phone: str | None = None
    email: str | None = None
    safe_to_call: bool = False
    may_leave_message: bool = False
    wants_updates: bool = False
    may_follow_up: bool = False
    contact_prohibited: bool = False
    updates_by: str = "email"

    @property
    def news_to(self) -> tuple[str, str] | None:
        """Channel and address of news; None when they want none, or cannot have any."""
        if not self.may("wants_updates"):
            return None
        return reached_at(self.updates_by, self.email, self.phone)

    def may(self, name: str) -> bool:
        """Whether a kind of contact is allowed, by the name of its flag."""
        return bool(getattr(self, name)) and not self.contact_prohibited


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is: a point, an address or a neighbourhood in words, or no place.

    ``looked_up`` says what the words gave when nobody picked: ``one``, whose point this is, or
    ``several``. It is not what the person said, and may be another tomorrow.
    """

    text: str = ""
    latitude: Decimal | None = None
    longitude: Decimal | None = None
    kind: str = ""
    looked_up: str = ""

    @property
    def stored_kind(self) -> str:
        """``point``, ``address``, ``neighbourhood`` or ``none``."""
        if self.kind:
            return self.kind
        pointed = self.latitude is not None and self.longitude is not None
        if pointed and not self.looked_up:
            return "point"
        return "address" if self.text else "none"

    def as_said(self) -> dict[str, Any]:
        """Give what was said, without what was looked up."""
        found = self.looked_up == ONE
        return {
            "text": self.text,
            "latitude": None if found else self.latitude,
            "longitude": None if found else self.longitude,
            "kind": self.kind,
        }


@dataclass(frozen=True, slots=True)
class Intake:
    """A contact as it is filed.

    ``source`` is ``desk``, ``web``, ``open311``, ``api``, ``demo`` or ``replay:<file>``, and
    ``key`` is unique in it: a random key (128 bits or more), or the row's own. ``service`` is
    ``partner/key``; empty when nothing was asked for. ``contact_id`` and ``contact_version``
    continue a contact that was started at the desk. ``danger_answer`` is ``none`` or the key of a
    sign, ``None`` when the screen was not asked. ``cleared`` says that words of danger were seen
    and asked about. ``reply`` is what was answered to the service's questions, ``None`` when they
    were not asked; ``files`` are those given in answer.
    ``eligible`` are the answers to the receiver's own questions, ``(key, yes or no)``.
    ``chosen`` is the candidate that a specialist picked. ``consent`` is ``given``, ``refused`` or
    ``unasked``. ``unmet`` is why nobody can meet the need, found out before anything was filed:
    then nothing is sent, and the reason is kept. ``line`` is ``partner/key``. ``ends`` is false to
    go on with another need.
    ``same_as`` is the number of an open request with whoever is responsible: nothing new is filed
    there, it counts one more.
    """

    source: str
    key: str
    channel: str
    started_at: datetime
    service: str = ""
    line: str = ""
    language: str = "en"
    interpreter: bool = False
    accommodation: str | None = None
    ended_at: datetime | None = None
    wait_seconds: int = 0
    handle_seconds: int | None = None
    after_hours: bool | None = None
    asker: Asker | None = None
    place: Place = Place()
    description: str = ""
    urgency: str = "normal"
    reply: Reply | None = None
    files: tuple[Upload, ...] = ()
    danger_answer: str | None = None
    cleared: bool = False
    chosen: str = ""
    eligible: tuple[tuple[str, str], ...] = ()
    consent: str = "unasked"
    consent_method: str = "spoken"
    consent_fields: tuple[str, ...] = ()
    same_as: str = ""
    unmet: str = ""
    unmet_words: str = ""
    contact_id: UUID | None = None
    contact_version: int = 0
    call_type: str | None = None
    disposition: str | None = None
    note: str | None = None
    ends: bool = True
    track: bool = True

    @property
    def source_key(self) -> str:
        """What the contact is stored under."""
        return stored_key(self.source, self.key)

    @property
    def digest(self) -> str:
        """A digest of the content; times do not count."""
        content = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name not in ("started_at", "ended_at", "handle_seconds", "key")
        }
        content["place"] = self.place.as_said()
        content["files"] = [(each.question, each.digest) for each in self.files]
        return hashlib.sha256(orjson.dumps(content, str, orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
class Filed:
    """What the person is told: numbers are real as soon as the transaction is committed.

    ``sentences`` say why. ``waits`` says that it is on the receiver's waitlist. ``token`` is the
    secret of the tracking link, ``code`` that by which the person sees what was asked for them.
    ``repeated`` is true when this is the first answer given again.
    """

    contact_id: UUID
    contact_public_id: str
    outcome: str = ""
    target: str = ""
    owner: str = ""
    need_id: UUID | None = None
    request_id: UUID | None = None
    request_public_id: str = ""
    referral_id: UUID | None = None
    referral_public_id: str = ""
    token: str = ""
    code: str = ""
    expected_at: datetime | None = None
    notes: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    waits: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen, before anything is filed.

    ``signs`` were found in the words and come before everything else. ``consent_fields`` would
    cross only with consent, ``shared_fields`` cross without. ``consent_text`` is what is read out,
    word for word, in ``consent_language``, and ``consent_english`` the same for the specialist;
    ``written``: only a consent on paper counts.
    """

    decision: Decision | None
    located: Located
    signs: tuple[Sign, ...] = ()
    sentences: tuple[str, ...] = ()
    service: Service | None = None
    shared_fields: tuple[str, ...] = ()
    consent_fields: tuple[str, ...] = ()
    consent_text: str = ""
    written: bool = False
    consent_language: str = "en"
    consent_english: str = ""

    @property
    def needs_consent(self) -> bool:
        """Whether the person should be asked before this is filed."""
        return bool(self.consent_fields)


@dataclass(slots=True)
class Plan:
    """The rows that one contact makes, and what is answered.

    ``received`` holds the rows that the receiver writes in its own name.
    """

    filed: Filed
    rows: list[Base] = field(default_factory=list)
    received: dict[UUID, list[Base]] = field(default_factory=dict)
    continues: Mapping[str, Any] | None = None
    joins: tuple[UUID, me_too.Joins] | None = None
    """The owner of a request that this is the same as, and what is said there."""


def preview(published: Published, slug: str, intake: Intake, *, now: datetime) -> Preview:
    """Say where a contact would go and why, what would be shared, and whether danger was named."""
    located, decision, signs = _decided(published, slug, intake, now)
    on = published.today(slug, now)
    found = tuple(each for each in published.screen(on).signs if each.key in signs)
    if decision is None:
        return Preview(None, located, found)
    if intake.unmet and decision.outcome != DANGER:
        decision = _nobody_helps(decision, intake.unmet)
    told = sharing_of(published, slug, decision, on=on, language=intake.language)
    return Preview(
        decision,
        located,
        found,
        tuple(explain(decision, published.names)),
        published.directory.find(f"{decision.target}/{decision.service}")
        or published.directory.find(intake.service),
        told.shared,
        told.with_consent,
        told.words,
        told.written,
        told.language,
        told.english,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """What crosses without and with consent, what is read out, whether only paper counts.

    ``words`` are in ``language``, ``english`` are the same in English.
    """

    shared: tuple[str, ...] = ()
    with_consent: tuple[str, ...] = ()
    words: str = ""
    written: bool = False
    language: str = "en"
    english: str = ""


def sharing_of(
    published: Published, slug: str, decision: Decision, *, on: date, language: str = "en"
) -> Told:
    """Say what the sharing policy of a day lets cross by a decision."""
    purpose = _purpose(decision, slug)
    if not purpose:
        return Told()
    kind, sender = (published.partners[each].kind for each in (decision.target, slug))
    sharing = published.sharing(on)
    shared = _fields(sharing.allowed(purpose, kind, consent=False, sender=sender)[0], decision)
    allowed, _missing, days = sharing.allowed(
        purpose, kind, consent=True, written=True, sender=sender
    )
    more = tuple(name for name in _fields(allowed, decision) if name not in shared)
    partner = published.names.get(decision.target, decision.target)
    until = on + timedelta(days=days)
    return Told(
        shared,
        more,
        sharing.words(more, partner, until, language),
        sharing.needs_paper(purpose, kind, sender=sender),
        sharing.asks_in(language),
        sharing.words(more, partner, until),
    )


def start_contact(
    session: TenantSession,
    published: Published,
    *,
    now: datetime,
    channel: str,
    line: str = "",
    language: str = "en",
    wait_seconds: int = 0,
    rang_at: datetime | None = None,
) -> Started:
    """Begin a contact at the desk, on one's own line or on a closed partner's (``partner/key``).

    ``rang_at`` is when the caller rang, where that was before: who answered the line then counts.
    """
    slug = published.slugs[scope_of(session).tenant_id]
    known = _line(published, line)
    owner = known.tenant if known else slug
    return begin_contact(
        session,
        now=now,
        channel=channel,
        language=language,
        line_key=known.key if known else None,
        line_owner_id=published.ids[owner],
        after_hours=_after_hours(published, slug, known, rang_at or now),
        wait_seconds=wait_seconds,
    )


def take_in(
    session: TenantSession,
    published: Published,
    intake: Intake,
    *,
    now: datetime,
    url: str = "",
    translate: Translate | None = None,
    look_first: bool = False,
    link: AnswerLink | None = None,
) -> Filed:
    """File a contact once.

    Everything at this partner leaves in one statement; what another partner receives leaves in one
    more, as that partner. Raises :class:`AlreadyTaken` when the same form was filed before (roll
    back, then :func:`first_answer`; or come again with ``look_first``), :class:`KeyReused` when the
    same key came with other content, :class:`DangerNotAsked`, :class:`ConsentNotAsked`,
    :class:`NotAccepted` when the receiver says no, :class:`Stale` for a contact that somebody else
    has changed, and :class:`InvalidInput`. ``link`` makes the links by which receivers without
    accounts answer.
    """
    if look_first:
        answer = first_answer(session, intake)
        if answer is not None:
            return answer
    protected, forbidden_before = _protected(session, intake)
    made = plan(
        published,
        scope_of(session).tenant_id,
        protected,
        now=now,
        person_id=scope_of(session).person_id,
        url=url,
        translate=translate,
        link=link,
    )
    rows, filed = made.rows, made.filed
    if made.continues is not None:
        # the contact points to the person, who must be there first
        put(session, *(row for row in rows if isinstance(row, Inquirer)))
        rows = [row for row in rows if not isinstance(row, Inquirer)]
        try:
            filed = replace(filed, contact_public_id=_continue(session, intake, made.continues))
        except Stale as error:
            if first_answer(session, intake) is None:
                raise
            # it was this same form, pressed twice, that changed the contact meanwhile
            raise AlreadyTaken("This was filed before.") from error
        for row in rows:
            if isinstance(row, IdempotencyKey):
                row.__dict__["answer"] = _stored(filed)
                row.__dict__["content_digest"] = intake.digest
    put(session, *rows)
    try:
        send(session)
    except IntegrityError as error:
        if _is_repeat(error):
            raise AlreadyTaken("This was filed before.") from error
        raise
    if made.joins is not None:
        with acting_for(session, made.joins[0]):
            me_too.join(session, made.joins[1])
    for tenant_id in sorted(made.received):
        with acting_for(session, tenant_id):
            put(session, *made.received[tenant_id])
            if filed.waits and filed.referral_id is not None:
                tell_position(session, filed.referral_id, now=now)
    said = intake.asker is not None and intake.asker.contact_prohibited
    if intake.contact_id is not None and said and not forbidden_before:
        # what was filed for them before must stop, too
        prohibit(session, now=now, contact_id=intake.contact_id, url=url)
    return filed


def _protected(session: TenantSession, intake: Intake) -> tuple[Intake, bool]:
    """Give an intake with the ban that its contact has, and whether it has one; one statement.

    A form that was opened before, or in which nobody ticked it again, lifts none. A ban that comes
    at the same moment changes the contact's version, so that the form is out of date.
    """
    if intake.contact_id is None:
        return intake, False
    tenant_id = scope_of(session).tenant_id
    forbidden = session.execute(
        select(Inquirer.contact_prohibited)
        .join(Contact, (Contact.tenant_id == tenant_id) & (Contact.inquirer_id == Inquirer.id))
        .where(Inquirer.tenant_id == tenant_id, Contact.id == intake.contact_id)
    ).scalar_one_or_none()
    if not forbidden:
        return intake, False
    asker = replace(intake.asker or Asker(), contact_prohibited=True)
    return replace(intake, asker=asker), True


def take_in_many(
    session: TenantSession,
    published: Published,
    intakes: Sequence[Intake],
    *,
    now: datetime | None = None,
    url: str = "",
) -> list[Filed | None]:
    """File a batch: one look for what is known, one statement here, one for each receiver.

    Those known by their ``source_key`` give ``None`` and change nothing. ``now`` left out takes
    each contact's own time. Any error fails the whole batch: roll back and take its rows one by
    one. Everything else is as in :func:`take_in`.
    """
    scope = scope_of(session)
    known = set(
        session.execute(
            select(Contact.source_key).where(
                Contact.tenant_id == scope.tenant_id,
                Contact.source_key.in_([each.source_key for each in intakes]),
            )
        ).scalars()
    )
    answers: list[Filed | None] = []
    received: dict[UUID, list[Base]] = {}
    for intake in intakes:
        if intake.source_key in known:
            answers.append(None)
            continue
        known.add(intake.source_key)
        made = plan(
            published,
            scope.tenant_id,
            intake,
            now=now or intake.ended_at or intake.started_at,
            person_id=scope.person_id,
            url=url,
        )
        put(session, *made.rows)
        for tenant_id, rows in made.received.items():
            received.setdefault(tenant_id, []).extend(rows)
        answers.append(made.filed)
    send(session)
    for tenant_id in sorted(received):
        with acting_for(session, tenant_id):
            put(session, *received[tenant_id])
    return answers


def first_answer(session: TenantSession, intake: Intake) -> Filed | None:
    """Give what was answered when this form was filed first, or nothing.

    Raises :class:`KeyReused` when the key is known with other content, and
    :class:`AnswerForgotten` when its answer was erased.
    """
    row = session.execute(
        select(IdempotencyKey.content_digest, IdempotencyKey.answer).where(
            IdempotencyKey.tenant_id == scope_of(session).tenant_id,
            IdempotencyKey.key == intake.source_key,
        )
    ).one_or_none()
    if row is None:
        return None
    if row.content_digest != intake.digest:
        raise KeyReused("This form was filed before with other content.")
    return _answered(row.answer, intake.key)


def answer_to(session: TenantSession, source: str, key: str) -> Filed | None:
    """Give again what was answered to a form, to who holds its key; None for an unknown key."""
    answer = _kept_answer(session, stored_key(source, key))
    return None if answer is None else _answered(answer, key)


def answer_under(session: TenantSession, stored: str) -> Filed | None:
    """Give what was answered under a :func:`stored_key`, without the secrets of its key.

    None for what nobody knows, or was kept long enough.
    """
    answer = _kept_answer(session, stored)
    return None if answer is None or "erased" in answer else _filed_from(answer, "", "")


def _kept_answer(session: TenantSession, stored: str) -> dict[str, Any] | None:
    return session.execute(
        select(IdempotencyKey.answer).where(
            IdempotencyKey.tenant_id == scope_of(session).tenant_id,
            IdempotencyKey.key == stored,
        )
    ).scalar_one_or_none()


def _answered(answer: dict[str, Any], key: str) -> Filed:
    remembered(answer)
    return _filed_from(
        answer,
        tracking_token(key) if answer.get("tracked") else "",
        code_of(key) if answer.get("coded") else "",
    )


def plan(
    published: Published,
    tenant_id: UUID,
    intake: Intake,
    *,
    now: datetime,
    person_id: UUID | None = None,
    url: str = "",
    translate: Translate | None = None,
    link: AnswerLink | None = None,
) -> Plan:
    """Decide a contact and make its rows; no statement is sent. Raises what `take_in` does."""
    _check_news(published, tenant_id, intake.asker)
    if intake.source in ANSWERED:
        check_near(published, intake.place)
    return Planner(published, tenant_id, intake, now, person_id, url, translate, link).plan()


def check_near(published: Published, place: Place) -> None:
    """Refuse a point that nobody here can mean. Raises `FarAway`."""
    reach = published.jurisdictions.reach
    if (
        place.longitude is not None
        and place.latitude is not None
        and not reach.holds(float(place.longitude), float(place.latitude))
    ):
        raise FarAway(reach)


def _check_news(published: Published, tenant_id: UUID, asker: Asker | None) -> None:
    if asker is None or asker.updates_by == "email" or not asker.may("wants_updates"):
        return
    if asker.updates_by != "text" or published.text_number(published.slugs[tenant_id]) is None:
        raise NoTexts("No news are sent by text here.", field="updates_by")
    if asker.news_to is None:
        raise NoTexts(
            "Give a number that gets texts, in this country, such as 503-555-0123.", field="phone"
        )


class Planner:
    """Makes the rows of one contact, each table in its own method."""

    def __init__(
        self,
        published: Published,
        tenant_id: UUID,
        intake: Intake,
        now: datetime,
        person_id: UUID | None,
        url: str,
        translate: Translate | None,
        link: AnswerLink | None,
    ) -> None:
        self.published = published
        self.tenant_id = tenant_id
        self.slug = published.slugs[tenant_id]
        self.intake = intake
        self.now = now
        self.person_id = person_id
        self.url = url
        self.translate = translate
        self.link = link
        self.today = published.today(self.slug, now)
        self.line = _line(published, intake.line)
        self.words = _words(published, intake)
        self.answers = self._answers()
        self.rows: list[Base] = []
        self.received: dict[UUID, list[Base]] = {}
        self.contact_id = intake.contact_id or new_id()
        self.contact_number = public_id("C")
        self.need_id: UUID | None = None
        self.inquirer_id: UUID | None = None
        self.token = ""
        self.joins: tuple[UUID, me_too.Joins] | None = None
        self.code = ""
        self.replaces: tuple[UUID, UUID] | None = None
        self.begun: tuple[UUID, str] | None = None
        self.finished: Base | None = None
        self.decision: Decision | None = None

    def refer_need(
        self,
        decision: Decision,
        *,
        need_id: UUID,
        number: str,
        inquirer_id: UUID | None,
        answers: dict[str, Any] | None,
        code: str,
        replaces: tuple[UUID, UUID] | None,
        followed: bool,
    ) -> Filed:
        """Make the rows of another referral of a need that is stored.

        `number` is its contact's, `code` the person's, if they have one; `replaces` the id and the
        receiver of the referral that it takes the place of; `followed`: somebody is going to ask
        about the need already.
        """
        self.need_id, self.inquirer_id, self.answers = need_id, inquirer_id, answers
        self.contact_number, self.code, self.replaces = number, code, replaces
        decision = self._with_consent(decision)
        if decision.outcome != REFER:
            raise ConsentNeeded(
                "Nothing may go to this partner unless the person agrees.", field="consent"
            )
        self.decision = decision
        self._decision(decision)
        if not followed:
            self._follow_up(decision)
        filed = Filed(
            self.contact_id,
            number,
            outcome=REFER,
            target=decision.target,
            owner=decision.owner,
            need_id=need_id,
        )
        filed = self._referral(decision, filed)
        self._notice(decision, filed)
        return filed

    def plan(self) -> Plan:
        intake = self.intake
        _check(intake)
        self.located, decision, signs = _decided(self.published, self.slug, intake, self.now)
        if decision is not None and intake.unmet and decision.outcome != DANGER:
            decision = _nobody_helps(decision, intake.unmet)
        if decision is not None:
            self.check_accepted(decision)
            decision = self._with_consent(decision)
        self.decision = decision
        self._inquirer()
        self._contact(signs)
        filed = Filed(self.contact_id, self.contact_number)
        if decision is not None:
            filed = self._follow(decision, filed)
        if intake.ends:
            self._usage(metering.CONTACT_HANDLED, self.contact_id, "handled")
            if intake.interpreter and self.handle_seconds:
                minutes = math.ceil(self.handle_seconds / 60)
                self._usage(
                    metering.INTERPRETER_MINUTE, self.contact_id, "interpreter", Decimal(minutes)
                )
        self._audit("contact:file", "contact", self.contact_id, filed)
        if intake.source in ANSWERED:
            self.rows.append(
                new_row(
                    IdempotencyKey,
                    tenant_id=self.tenant_id,
                    id=new_id(),
                    key=intake.source_key,
                    content_digest=intake.digest,
                    answer=_stored(filed),
                )
            )
        return Plan(filed, self.rows, self.received, self.continued, self.joins)

    def _answers(self) -> dict[str, Any] | None:
        """What is kept of the answers to the form that was asked."""
        reply, form = self.intake.reply, _form(self.published, self.intake)
        if reply is None or not form.questions:
            return None
        return Kept(self.published.ids[form.owner], form.digest, reply).plain()

    def check_accepted(self, decision: Decision) -> None:
        """Refuse what the receiver refuses, and say who could help instead."""
        if decision.verdict is None or not decision.verdict.refused:
            return
        told = [code for code in decision.reasons if code[0] in REFUSALS or code[0] == "offer-next"]
        raise NotAccepted(told, self.published.names)

    def _with_consent(self, decision: Decision) -> Decision:
        """Find what may cross; ask for consent where a person can be asked."""
        self.fields: tuple[str, ...] = ()
        self.expires_days = 365
        purpose = _purpose(decision, self.slug)
        if not purpose:
            return decision
        sharing = self.published.sharing(self.today)
        kind, sender = (self.published.partners[each].kind for each in (decision.target, self.slug))
        given = self.intake.consent == "given"
        written = given and self.intake.consent_method == "written"
        if given and not written and sharing.needs_paper(purpose, kind, sender=sender):
            raise ConsentNotWritten(
                "Nothing goes to or from this partner without a consent on paper.", field="consent"
            )
        allowed, missing, self.expires_days = sharing.allowed(
            purpose, kind, consent=given, written=written, sender=sender
        )
        fields = _fields(allowed, decision)
        without = sharing.allowed(purpose, kind, consent=False, sender=sender)[0]
        if given and self.intake.consent_fields:
            agreed = {*self.intake.consent_fields, *without}
            fields = tuple(name for name in fields if name in agreed)
        self.fields = fields
        self.consent_words = sharing.words(
            [name for name in fields if name not in without],
            self.published.names.get(decision.target, decision.target),
            self.today + timedelta(days=self.expires_days),
            self.intake.language,
        )
        self.consent_language = sharing.asks_in(self.intake.language)
        verdict = decision.verdict
        refused = purpose == "referral" and self.intake.consent == "refused"
        if verdict is not None and refused and withheld(verdict.policy, fields):
            raise NotAccepted([("offer-consent", decision.target)], self.published.names)
        if purpose == "referral" and not given:
            with_it = sharing.allowed(purpose, kind, consent=True, written=True, sender=sender)
            more = set(_fields(with_it[0], decision))
            if (
                self.intake.consent == "unasked"
                and self.intake.source in ASKED_IN_PERSON
                and more - set(fields)
            ):
                raise ConsentNotAsked(
                    "Ask the person whether this may be shared with the partner.", field="consent"
                )
            if missing:
                return replace(
                    decision,
                    outcome=INFORMATION,
                    reasons=(*decision.reasons, ("consent-refused", decision.target)),
                )
        return decision

    def _inquirer(self) -> None:
        asker = self.intake.asker
        if asker is None or not (
            asker.name or asker.phone or asker.email or asker.contact_prohibited
        ):
            return
        self.inquirer_id = new_id()
        self.rows.append(
            new_row(
                Inquirer,
                tenant_id=self.tenant_id,
                id=self.inquirer_id,
                name=asker.name,
                phone=asker.phone,
                email=asker.email,
                language=self.intake.language,
                safe_to_call=asker.may("safe_to_call"),
                may_leave_message=asker.may("may_leave_message"),
                wants_updates=asker.may("wants_updates"),
                updates_by=asker.updates_by,
                may_follow_up=asker.may("may_follow_up"),
                contact_prohibited=asker.contact_prohibited,
                retain_until=self.published.people_kept_until(self.slug, self.now),
            )
        )

    def _contact(self, signs: tuple[str, ...]) -> None:
        intake, decision = self.intake, self.decision
        ended = intake.ended_at or self.now if intake.ends else None
        self.handle_seconds = (
            intake.handle_seconds
            if intake.handle_seconds is not None
            else max(0, int(((ended or self.now) - intake.started_at).total_seconds()))
        )
        self.after_hours = (
            intake.after_hours
            if intake.after_hours is not None
            else _after_hours(self.published, self.slug, self.line, intake.started_at)
        )
        outcome = decision.outcome if decision else ""
        values = {
            "language": intake.language,
            "interpreter": intake.interpreter,
            "accommodation": intake.accommodation,
            "ended_at": max(ended, intake.started_at) if ended else None,
            "handle_seconds": self.handle_seconds if ended else 0,
            "inquirer_id": self.inquirer_id,
            "call_type": intake.call_type or _CALL_TYPE.get(outcome, "information"),
            "disposition": intake.disposition or _FIXED_DISPOSITION.get(outcome),
            "danger_answer": signs[0] if signs else intake.danger_answer,
            "note": intake.note,
        }
        self.continued: Mapping[str, Any] | None = None
        if intake.contact_id is not None:
            self.continued = values
            return
        self.rows.append(
            new_row(
                Contact,
                tenant_id=self.tenant_id,
                id=self.contact_id,
                public_id=self.contact_number,
                source_key=intake.source_key,
                line_key=self.line.key if self.line else None,
                line_owner_id=self.published.ids[self.line.tenant if self.line else self.slug],
                channel=intake.channel,
                started_at=intake.started_at,
                wait_seconds=intake.wait_seconds,
                after_hours=self.after_hours,
                specialist_id=self.person_id if intake.source == "desk" else None,
                version=1,
                **values,
            )
        )

    def _follow(self, decision: Decision, filed: Filed) -> Filed:
        intake = self.intake
        filed = replace(
            filed,
            outcome=decision.outcome,
            target=decision.target,
            owner=decision.owner,
            notes=decision.notes,
            sentences=(
                tuple(explain(decision, self.published.names)) if intake.source in ANSWERED else ()
            ),
        )
        if decision.outcome != DANGER:
            self.need_id = new_id()
            filed = replace(filed, need_id=self.need_id)
            self._need(decision)
            self._follow_up(decision)
            self.rows.extend(
                attachment_rows(self.tenant_id, self.need_id, intake.files, now=self.now)
            )
        self._decision(decision)
        if intake.same_as and decision.outcome != OPEN_REQUEST:
            raise me_too.NotOpen("Nobody takes a request for this now.", field="same_as")
        if decision.outcome == OPEN_REQUEST and intake.same_as:
            filed = self._same(decision, filed)
        elif decision.outcome == OPEN_REQUEST:
            filed = self._request(decision, filed)
        elif decision.outcome == REFER:
            filed = self._referral(decision, filed)
        elif decision.outcome in (WARM_TRANSFER, DANGER):
            self._transfer(decision)
        if filed.request_id is not None and intake.track and intake.source in ANSWERED:
            self.token = _token(intake)
            self.rows.append(
                new_row(
                    TrackingToken,
                    token_hash=token_hash(self.token),
                    tenant_id=self.tenant_id,
                    request_id=filed.request_id,
                )
            )
            filed = replace(filed, token=self.token)
        self._notice(decision, filed)
        return filed

    def _need(self, decision: Decision) -> None:
        intake = self.intake
        asked = self.published.directory.find(intake.service)
        owner = decision.owner if decision.owner in self.published.ids else ""
        status, reason = _need_status(decision)
        if intake.unmet:
            self.rows.append(
                new_row(
                    NeedStatement,
                    tenant_id=self.tenant_id,
                    id=new_id(),
                    contact_id=self.contact_id,
                    need_id=self.need_id,
                    status=needs.UNMET,
                    unmet_reason=intake.unmet,
                    how="decision",
                    said_by=self.person_id,
                    said_at=self.now,
                )
            )
        self.rows.append(
            new_row(
                Need,
                tenant_id=self.tenant_id,
                id=self.need_id,
                contact_id=self.contact_id,
                service_owner_id=self.published.ids[
                    owner or (asked.tenant if asked else self.slug)
                ],
                service_key=decision.service,
                term=asked.term if asked else "",
                urgency=intake.urgency,
                status=status,
                unmet_reason=reason,
                unmet_words=needs.kept_words(status, intake.unmet or None, intake.unmet_words),
                description=intake.description or None,
                place_kind=intake.place.stored_kind,
                place_text=intake.place.text or None,
                latitude=intake.place.latitude,
                longitude=intake.place.longitude,
                answers=self.answers,
                created_at=self.now,
            )
        )

    def _follow_up(self, decision: Decision) -> None:
        """Plan to ask what became of it, where others have it and the person agreed to be asked."""
        asker = self.intake.asker
        if (
            decision.outcome not in (REFER, WARM_TRANSFER, INFORMATION)
            or self.intake.unmet
            or self.need_id is None
            or self.inquirer_id is None
            or asker is None
            or not asker.may("may_follow_up")
            or not (asker.email or (asker.phone and asker.safe_to_call))
        ):
            return
        days = decision.follow_up_days
        if days is None:
            days = loop_of(self.published.tenant(self.slug).settings).days(self.intake.urgency)
        calendar = self.published.calendars[self.slug]
        self.rows.append(
            follow_up_row(
                self.tenant_id,
                contact_id=self.contact_id,
                need_id=self.need_id,
                inquirer_id=self.inquirer_id,
                due_on=working_days_after(calendar, self.today, days),
                urgency=self.intake.urgency,
                language=self.intake.language,
                now=self.now,
            )
        )

    def _decision(self, decision: Decision) -> None:
        target = self.published.ids.get(decision.target)
        self.rows.append(
            new_row(
                StoredDecision,
                tenant_id=self.tenant_id,
                id=new_id(),
                contact_id=self.contact_id,
                need_id=self.need_id,
                rule_set_version=decision.version,
                rule_key=decision.rule or None,
                outcome=decision.outcome,
                target_tenant_id=target,
                facts=decision.facts.values(),
                trace={**decision.trace(), "on": self.today.isoformat()},
                decided_at=self.now,
            )
        )

    def _same(self, decision: Decision, filed: Filed) -> Filed:
        """The request is there already. An address goes to no other partner for it."""
        intake, owner_id = self.intake, self.published.ids[decision.target]
        asker = intake.asker
        to = asker.news_to if asker is not None and owner_id == self.tenant_id else None
        channel, address = to or (None, None)
        tracked = intake.track and intake.source in ANSWERED
        self.joins = (
            owner_id,
            me_too.Joins(
                number=intake.same_as,
                service_keys=self.published.directory.alike(
                    f"{decision.target}/{decision.service}", self.today
                ),
                source_key=intake.source_key,
                token=_token(intake) if tracked else "",
                need_id=self.need_id,
                intake_tenant_id=self.tenant_id,
                email=address if channel == "email" else None,
                phone=address if channel == "text" else None,
                language=intake.language,
                at=self.now,
            ),
        )
        return replace(
            filed, request_public_id=intake.same_as, token=_token(intake) if tracked else ""
        )

    def _request(self, decision: Decision, filed: Filed) -> Filed:
        intake, published = self.intake, self.published
        owner = decision.target
        service = published.directory.find(f"{owner}/{decision.service}")
        request_id, number = new_id(), public_id("R")
        priority = decision.priority if decision.priority in URGENCIES else "normal"
        expected, warn = published.promised(owner, service, priority, self.now)
        queue = decision.queue if decision.queue in published.queues(owner) else ""
        new = NewRequest(
            id=request_id,
            public_id=number,
            intake_tenant_id=self.tenant_id,
            service_key=decision.service,
            opened_at=self.now,
            bureau_key=(service.bureau or None) if service else None,
            queue=queue or (service.queue if service else "") or published.unplaced_queue(owner),
            priority=priority,
            confidential=bool(service and service.confidential),
            expected_at=expected,
            warn_at=warn,
        )
        if owner == self.slug:
            new = replace(
                new,
                description=intake.description or None,
                place_kind=intake.place.stored_kind,
                place_text=intake.place.text or None,
                latitude=intake.place.latitude,
                longitude=intake.place.longitude,
                answers=self.answers,
                contact_id=self.contact_id,
                need_id=self.need_id,
                inquirer_id=self.inquirer_id,
            )
            self.rows.extend(
                request_rows(
                    self.tenant_id,
                    new,
                    now=self.now,
                    person_id=self.person_id,
                    action="request:open",
                )
            )
            self.rows.extend(
                sent_note(self.tenant_id, "request", request_id, intake.files, now=self.now)
            )
        else:
            self._cross_request(decision, new)
        self._usage(metering.REQUEST_TAKEN_IN, request_id, "taken_in")
        return replace(filed, request_id=request_id, request_public_id=number, expected_at=expected)

    def _cross_request(self, decision: Decision, new: NewRequest) -> None:
        receiver_id = self.published.ids[decision.target]
        shared = self._shared(decision)
        payload = {
            "public_id": new.public_id,
            "service_key": new.service_key,
            "bureau_key": new.bureau_key,
            "queue": new.queue,
            "priority": new.priority,
            "expected_at": new.expected_at.isoformat() if new.expected_at else None,
            "shared": shared,
        }
        self.rows.append(
            new_row(
                FollowedRequest,
                tenant_id=self.tenant_id,
                id=new.id,
                public_id=new.public_id,
                owner_id=receiver_id,
                service_key=new.service_key,
                contact_id=self.contact_id,
                need_id=self.need_id,
                state="received",
                sent_at=self.now,
                expected_at=new.expected_at,
                updated_at=self.now,
            )
        )
        self.rows.append(
            exchange.envelope_row(
                to=receiver_id,
                sender=self.tenant_id,
                kind=exchange.REQUEST,
                subject_id=new.id,
                payload=payload,
                now=self.now,
                consent_id=self._consent(decision),
                expires_at=self.now + timedelta(days=self.expires_days),
            )
        )
        rows = self.received.setdefault(receiver_id, [])
        rows.extend(received_request(receiver_id, self.tenant_id, new, shared, now=self.now))
        rows.extend(self._received_files(receiver_id, "request", new.id, shared))

    def _referral(self, decision: Decision, filed: Filed) -> Filed:
        consent_id = self._consent(decision)
        code = self._code()
        verdict = decision.verdict
        usual = verdict.answer_days if verdict else ANSWER_DAYS
        out = Outgoing(
            self.slug,
            decision.target,
            decision.service,
            self._shared(decision),
            self.intake.urgency,
            self.intake.channel,
            min(decision.follow_up_days or usual, usual),
            self.expires_days,
            verdict,
            consent_id,
            self.contact_id,
            self.need_id,
            replaces=self.replaces,
            paper=paper_of(
                self.intake.consent_method if consent_id else None,
                self.published.names.get(self.slug, self.slug),
                self.today,
                self.consent_language,
            ),
            code_hash=token_hash(code) if code else None,
        )
        if self.begun is not None:
            out = replace(out, id=self.begun[0], public_id=self.begun[1])
        own, received = referral_rows(self.published, out, now=self.now, link=self.link)
        if self.begun is not None:
            # the draft is a row already
            self.finished = own.pop(0)
        self.rows.extend(own)
        self._audit("referral:send", "referral", out.id, filed)
        receiver_id = self.published.ids[decision.target]
        files = self._received_files(receiver_id, "referral", out.id, out.shared)
        self.received.setdefault(receiver_id, []).extend([*received, *files])
        # the sender's page says what is seen there: files besides the answers go all or none
        crossed = [each for each in files if isinstance(each, Attachment)]
        self.rows.extend(sent_note(self.tenant_id, "referral", out.id, crossed, now=self.now))
        return replace(
            filed,
            referral_id=out.id,
            referral_public_id=out.public_id,
            waits=out.waits,
            code=code,
        )

    def _code(self) -> str:
        """The person's code; whoever takes contacts from files has nobody to give it to."""
        if self.code or self.intake.source not in ASKED_IN_PERSON:
            return self.code
        code = code_of(self.intake.key)
        self.rows.extend(link_rows(self.tenant_id, self.contact_id, code, now=self.now))
        return code

    def _received_files(
        self, receiver_id: UUID, kind: str, subject_id: UUID, shared: Mapping[str, Any]
    ) -> list[Base]:
        """The receiver's files: they go with the answers that name them, or not at all.

        What answers no question goes where the person's words may go.
        """
        if not self.intake.files:
            return []
        assert self.decision is not None
        ref = f"{self.decision.target}/{self.decision.service}"
        words = words_cross(self.fields, self.published.directory.find(ref))
        going = [
            each
            for each in self.intake.files
            if (words if each.question.startswith(SENT) else "answers" in shared)
        ]
        return [
            *attachment_rows(receiver_id, subject_id, going, now=self.now),
            *sent_note(receiver_id, kind, subject_id, going, now=self.now),
        ]

    def _transfer(self, decision: Decision) -> None:
        number = self._number(decision)
        self.rows.append(
            new_row(
                Transfer,
                tenant_id=self.tenant_id,
                id=new_id(),
                contact_id=self.contact_id,
                need_id=self.need_id,
                kind="warm",
                target=decision.target,
                number=number,
                result="offered",
                at=self.now,
            )
        )
        if decision.outcome == WARM_TRANSFER:
            self._usage(metering.WARM_TRANSFER, self.contact_id, "transfer")

    def _number(self, decision: Decision) -> str:
        if decision.outcome == DANGER:
            signs = {each.key: each for each in self.published.screen(self.today).signs}
            named = [code[1] for code in decision.reasons if code[0] == "danger"]
            return next((signs[key].number for key in named if key in signs), EMERGENCY)
        agency = self.published.agencies(self.today).get(decision.target)
        if agency is not None:
            return agency.phone
        contact = self.published.tenant(decision.target).settings.get("contact") or {}
        return self._answered_on(decision.target, str(contact.get("phone") or ""))

    def _answered_on(self, target: str, number: str) -> str:
        """The number of whoever answers a partner's telephone now; its own when nobody does."""
        for line in self.published.lines.values():
            if line.tenant == target and line.address == number and not line.ended:
                found = self.published.who_answers(line.ref, self.now)
                if found.kind == PARTNER:
                    return self.published.lines[found.line].address
        return number

    def _consent(self, decision: Decision) -> UUID | None:
        if self.intake.consent != "given" or decision.target not in self.published.ids:
            return None
        consent_id = new_id()
        self.rows.append(
            new_row(
                Consent,
                tenant_id=self.tenant_id,
                id=consent_id,
                contact_id=self.contact_id,
                to_tenant_id=self.published.ids[decision.target],
                fields=list(self.fields),
                method=self.intake.consent_method,
                given_at=self.now,
                expires_at=self.now + timedelta(days=self.expires_days),
                words=self.consent_words or None,
                language=self.consent_language,
                purpose=_purpose(decision, self.slug) or "referral",
                recorded_by=self.person_id,
            )
        )
        return consent_id

    def _shared(self, decision: Decision) -> dict[str, Any]:
        """Give exactly the fields that may cross and have a value."""
        intake = self.intake
        asker = intake.asker or Asker()
        asked = self.published.directory.find(f"{decision.target}/{decision.service}")
        place = {
            "kind": intake.place.stored_kind,
            "text": intake.place.text or None,
            "latitude": str(intake.place.latitude) if intake.place.latitude is not None else None,
            "longitude": (
                str(intake.place.longitude) if intake.place.longitude is not None else None
            ),
        }
        bound = asked is not None and asked.place == "required"
        # answers that do not go along by themselves are part of what the person told
        apart = self.answers is not None and "answers" in self.fields
        told = (intake.description if apart else self.words) or None
        coded = intake.reply.coded if intake.reply else {}
        values: dict[str, Any] = {
            "name": asker.name,
            "phone": asker.phone,
            "email": asker.email,
            "safe_to_call": asker.may("safe_to_call") if intake.asker else None,
            "may_leave_message": asker.may("may_leave_message") if intake.asker else None,
            "place": place if place["kind"] != "none" else None,
            "location": place if place["kind"] != "none" and bound else None,
            "note": told,
            "problem": told if bound else None,
            "language": intake.language,
            "interpreter": intake.interpreter or None,
            "accommodation": intake.accommodation,
            "need": asked.name if asked else decision.service,
            "urgency": intake.urgency,
            "answers": self.answers,
        }
        shared = {
            name: value
            for name in self.fields
            if (value := values.get(name, coded.get(name))) is not None
        }
        if asker.contact_prohibited:
            # a warning, and no fact about the person: it goes whatever the policy and the rule say
            shared["contact_prohibited"] = True
        return shared

    def _usage(
        self, activity: str, subject_id: UUID, what: str, quantity: Decimal = Decimal(1)
    ) -> None:
        intake, decision = self.intake, self.decision
        owner: UUID | None = None
        service_key = bureau = None
        if decision is not None:
            owner = self.published.ids.get(decision.owner)
            if decision.outcome == OPEN_REQUEST:
                owner = self.published.ids.get(decision.target)
            found = self.published.directory.find(f"{decision.owner}/{decision.service}")
            service_key = decision.service
            bureau = found.bureau if found else None
        area = next(
            (
                each.tenant
                for each in self.located.candidates
                if each.kind == AREA and each.inside and each.tenant in self.published.ids
            ),
            "",
        )
        line_owner = self.published.ids[self.line.tenant if self.line else self.slug]
        contact = what in ("handled", "interpreter")
        self.rows.append(
            metering.usage_row(
                self.tenant_id,
                metering.Usage(
                    source_key=(
                        f"{'contact' if subject_id == self.contact_id else 'request'}"
                        f":{subject_id}:{what}:{self.need_id if what == 'transfer' else 1}"
                    ),
                    activity=activity,
                    channel=intake.channel,
                    language=intake.language,
                    after_hours=self.after_hours,
                    service_owner_id=owner or line_owner,
                    service_key=service_key,
                    bureau_key=bureau or None,
                    jurisdiction_id=self.published.ids.get(area),
                    referrer_id=None,
                    line_owner_id=line_owner,
                    contact_id=self.contact_id,
                    subject_id=subject_id,
                    quantity=quantity,
                    handle_seconds=self.handle_seconds if contact else 0,
                    occurred_at=intake.started_at,
                    received_at=self.now,
                    booked_on=self.today,
                ),
            )
        )

    def _audit(self, action: str, kind: str, subject_id: UUID, filed: Filed) -> None:
        detail: dict[str, Any] = {"source": self.intake.source, "channel": self.intake.channel}
        if self.decision is not None:
            detail |= {
                "outcome": self.decision.outcome,
                "target": self.decision.target,
                "service": self.decision.service,
            }
        if filed.request_id is not None:
            detail["request"] = str(filed.request_id)
        if filed.referral_id is not None:
            detail["referral"] = str(filed.referral_id)
        self.rows.append(
            audit_row(
                self.tenant_id,
                at=self.now,
                action=action,
                subject_kind=kind,
                subject_id=subject_id,
                person_id=self.person_id,
                detail=detail,
            )
        )

    def _notice(self, decision: Decision, filed: Filed) -> None:
        asker = self.intake.asker
        to = asker.news_to if asker is not None else None
        if to is None:
            return
        if filed.request_id is None and filed.referral_id is None:
            return
        expected = ""
        if filed.expected_at is not None:
            expected = self.published.today(decision.target, filed.expected_at).isoformat()
        options: dict[str, Any] = {}
        if self.translate is not None:
            options["translate"] = self.translate
        self.rows.append(
            outbox_row(
                self.tenant_id,
                event="request_received" if filed.request_id else "referral_sent",
                channel=to[0],
                recipient=to[1],
                language=self.intake.language,
                now=self.now,
                subject_id=filed.request_id or filed.referral_id,
                values={
                    "number": filed.request_public_id or filed.referral_public_id,
                    "partner": self.published.names.get(decision.target, decision.target),
                    "service": self.published.names.get(
                        f"{decision.target}/{decision.service}", decision.service
                    ),
                },
                expected_on=expected,
                address=self._follow_at(filed),
                wording=self.published.wording,
                **options,
            )
        )

    def _follow_at(self, filed: Filed) -> str:
        """Where the person sees how it stands; a referral's message says nothing else."""
        if filed.code and self.url:
            return f"{self.url}/mine/{filed.code}"
        return f"{self.url}/track/{filed.token}" if filed.token and self.url else ""


def words_cross(fields: Collection[str], service: Service | None) -> bool:
    """Whether a person's words may cross with a service, and what they sent besides with them.

    ``fields`` are those that may cross; of a place they may be told as the problem there.
    """
    bound = service is not None and service.place == "required"
    return "note" in fields or (bound and "problem" in fields)


def received_request(
    tenant_id: UUID,
    sender_id: UUID,
    new: NewRequest,
    shared: Mapping[str, Any],
    *,
    now: datetime,
) -> list[Base]:
    """Make the receiver's rows of a request that came in an envelope, from what it shared."""
    rows: list[Base] = []
    inquirer_id = None
    prohibited = bool(shared.get("contact_prohibited"))
    if any(shared.get(name) for name in ("name", "phone", "email")):
        inquirer_id = new_id()
        rows.append(
            new_row(
                Inquirer,
                tenant_id=tenant_id,
                id=inquirer_id,
                name=shared.get("name"),
                phone=shared.get("phone"),
                email=shared.get("email"),
                language=shared.get("language") or "en",
                safe_to_call=bool(shared.get("safe_to_call")) and not prohibited,
                may_leave_message=bool(shared.get("may_leave_message")) and not prohibited,
                wants_updates=False,
                contact_prohibited=bool(shared.get("contact_prohibited")),
            )
        )
    place = shared.get("location") or shared.get("place") or {}
    rows.extend(
        request_rows(
            tenant_id,
            replace(
                new,
                intake_tenant_id=sender_id,
                description=shared.get("problem") or shared.get("note"),
                answers=shared.get("answers"),
                place_kind=place.get("kind") or "none",
                place_text=place.get("text"),
                latitude=Decimal(place["latitude"]) if place.get("latitude") else None,
                longitude=Decimal(place["longitude"]) if place.get("longitude") else None,
                inquirer_id=inquirer_id,
                contact_id=None,
                need_id=None,
            ),
            now=now,
            person_id=None,
            action="request:receive",
        )
    )
    return rows


def _decided(
    published: Published, slug: str, intake: Intake, now: datetime
) -> tuple[Located, Decision | None, tuple[str, ...]]:
    on = published.today(slug, now)
    region = published.region(on)
    ticked = () if intake.danger_answer in (None, "none") else (intake.danger_answer,)
    signs = screen(region.signs, ticked, "" if intake.cleared else _words(published, intake))
    place = intake.place
    located = published.locate(
        longitude=float(place.longitude) if place.longitude is not None else None,
        latitude=float(place.latitude) if place.latitude is not None else None,
        words=place.text,
    )
    if place.looked_up == SEVERAL and located.how == "none":
        located = SEVERAL_PLACES
    asked = published.directory.find(intake.service)
    if asked is None:
        if intake.service:
            raise InvalidInput(f"There is no service {intake.service}.", field="service")
        if not signs:
            return located, None, ()
        asked = Service(slug, "", "")
    line = _line(published, intake.line)
    local = intake.started_at.astimezone(ZoneInfo(published.tenant(slug).zone))
    facts = Facts(
        partner=slug,
        channel=intake.channel,
        language=intake.language,
        urgency=intake.urgency,
        open=not _after_hours(published, slug, line, intake.started_at),
        hour=local.hour,
        weekday=local.isoweekday(),
        anonymous=intake.asker is None or not intake.asker.name,
        consent=intake.consent == "given",
        interpreter=intake.interpreter,
        accommodation=bool(intake.accommodation),
        answers=coded_facts(intake.reply.coded) if intake.reply else (),
    )
    # what is replayed or shown has happened: nobody can be asked any more
    offered = (
        Offered(now, known_of(published, intake), dict(intake.eligible))
        if intake.source in ANSWERED
        else None
    )
    decision = decide(
        region,
        asked,
        facts,
        on,
        located=located,
        signs=signs,
        chosen=intake.chosen,
        offered=offered,
    )
    return located, decision, signs


def known_of(published: Published, intake: Intake) -> frozenset[str]:
    """What kinds of things are known of the person; not what they are."""
    asker = intake.asker or Asker()
    return frozenset(
        name
        for name, value in (
            ("name", asker.name),
            ("phone", asker.phone),
            ("email", asker.email),
            ("place", intake.place.stored_kind != "none"),
            ("note", _words(published, intake)),
        )
        if value
    )


def _form(published: Published, intake: Intake) -> Form:
    """The form of the service that was picked at first: what was asked, whoever gets it."""
    asked = published.directory.find(intake.service)
    return published.form(asked) if asked is not None else EMPTY


def _words(published: Published, intake: Intake) -> str:
    """All that the person told: in their own words, and in answer to questions."""
    told: list[str] = []
    if intake.reply is not None and intake.reply.told:
        told = told_lines(_form(published, intake), intake.reply.told, intake.reply.language)
    return "\n".join(filter(None, (intake.description, *told)))


def _after_hours(published: Published, slug: str, line: Line | None, at: datetime) -> bool:
    if line is not None and line.ended:
        return not line.is_open(at)
    if line is not None:
        return published.who_answers(line.ref, at).after_hours
    return not published.calendars[slug].is_open(at)


def _line(published: Published, ref: str) -> Line | None:
    if not ref:
        return None
    line = published.lines.get(ref)
    if line is None:
        raise InvalidInput(f"There is no line {ref}.", field="line")
    return line


def _purpose(decision: Decision, slug: str) -> str:
    """What the sharing policy calls it; empty when nothing crosses to a partner."""
    if decision.target == slug:
        return ""
    return {OPEN_REQUEST: "request", REFER: "referral"}.get(decision.outcome, "")


def _fields(allowed: Iterable[str], decision: Decision) -> tuple[str, ...]:
    """The policy's fields, less those that the rule does not want to share."""
    if not decision.share:
        return tuple(allowed)
    return tuple(name for name in allowed if name in ALWAYS_SHARED or name in decision.share)


def _need_status(decision: Decision) -> tuple[str, str | None]:
    if decision.outcome == RESOLVE_HERE:
        return "met", None
    if decision.outcome in (REFER, WARM_TRANSFER):
        return "referred", None
    if decision.outcome == DECLINE:
        reason = decision.reason.replace(" ", "_")
        return "unmet", UNMET_BY_DECLINE.get(reason, "other")
    unmet = next((code[1] for code in decision.reasons if code[0] == "unmet"), None)
    if unmet is not None:
        return "unmet", unmet
    if decision.outcome == INFORMATION:
        return ("unknown", None) if decision.owner else ("unmet", "none_in_area")
    return "open", None


def _nobody_helps(decision: Decision, reason: str) -> Decision:
    """Keep why it was decided as it was, and send nothing: the specialist found the need unmet."""
    return replace(decision, outcome=INFORMATION, reasons=(*decision.reasons, ("unmet", reason)))


def _check(intake: Intake) -> None:
    if intake.channel not in CHANNELS:
        raise InvalidInput(f"There is no channel {intake.channel}.", field="channel")
    if intake.urgency not in URGENCIES:
        raise InvalidInput("Choose how urgent it is.", field="urgency")
    if intake.unmet:
        needs.check_statement(needs.UNMET, intake.unmet, intake.unmet_words)
    if intake.disposition not in (None, *intake_lifecycle.DISPOSITIONS):
        raise InvalidInput("Choose how the contact ended.", field="disposition")
    if intake.source in ASKED_IN_PERSON and intake.danger_answer is None:
        raise DangerNotAsked("Ask first whether anybody is in danger.", field="danger_answer")


def _continue(session: TenantSession, intake: Intake, values: Mapping[str, Any]) -> str:
    """Write what was filed into the contact that was started at the desk; give its number."""
    tenant_id = scope_of(session).tenant_id
    new_inquirer = values.get("inquirer_id")
    changed = {
        name: value
        for name, value in values.items()
        if name != "inquirer_id" and (value is not None or name == "ended_at")
    }
    if new_inquirer is not None:
        changed["inquirer_id"] = new_inquirer
    elif intake.source == "desk" and intake.asker is None and intake.service:
        # the form began with whoever was looked up: what was left blank at first means nobody
        before = exists().where(Need.tenant_id == tenant_id, Need.contact_id == intake.contact_id)
        changed["inquirer_id"] = case((before, Contact.inquirer_id), else_=None)
    del changed["handle_seconds"]
    if intake.ends:
        changed["handle_seconds"] = values["handle_seconds"]
    updated = session.execute(
        update(Contact)
        .where(
            Contact.tenant_id == tenant_id,
            Contact.id == intake.contact_id,
            Contact.version == intake.contact_version,
            Contact.ended_at.is_(None),
        )
        .values(version=Contact.version + 1, **changed)
        .returning(Contact.public_id)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    mark_changed(session)
    if updated is not None:
        return str(updated)
    row = session.execute(
        select(Contact.version, Contact.ended_at, Contact.disposition).where(
            Contact.tenant_id == tenant_id, Contact.id == intake.contact_id
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such contact.")
    raise Stale(
        "Somebody else has changed this contact.",
        current={
            "version": row.version,
            "ended_at": row.ended_at,
            "disposition": row.disposition,
        },
        submitted={"version": intake.contact_version, "disposition": values["disposition"]},
    )


def _token(intake: Intake) -> str:
    return tracking_token(intake.key)


def tracking_token(key: str) -> str:
    """Give the tracking secret of what was filed by `key`: only who knows that can make it.

    128 bits: nobody guesses them, and a text has room for the link.
    """
    secret = hashlib.sha256(f"track:{key}".encode()).digest()[:16]
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


def _is_repeat(error: IntegrityError) -> bool:
    text = str(error.orig)
    return any(name in text for name in _ONCE)


def _stored(filed: Filed) -> dict[str, Any]:
    content = {
        each.name: str(value) if isinstance(value, UUID) else value
        for each in fields(filed)
        if (value := getattr(filed, each.name))
        and each.name not in ("token", "code", "expected_at")
    }
    if filed.expected_at is not None:
        content["expected_at"] = filed.expected_at.isoformat()
    content["tracked"] = bool(filed.token)
    content["coded"] = bool(filed.code)
    return content


def _filed_from(answer: Mapping[str, Any], token: str, code: str) -> Filed:
    def uuid(name: str) -> UUID | None:
        return UUID(answer[name]) if answer.get(name) else None

    expected = answer.get("expected_at")
    return Filed(
        contact_id=UUID(answer["contact_id"]),
        contact_public_id=answer["contact_public_id"],
        outcome=answer.get("outcome", ""),
        target=answer.get("target", ""),
        owner=answer.get("owner", ""),
        need_id=uuid("need_id"),
        request_id=uuid("request_id"),
        request_public_id=answer.get("request_public_id", ""),
        referral_id=uuid("referral_id"),
        referral_public_id=answer.get("referral_public_id", ""),
        token=token,
        code=code,
        expected_at=datetime.fromisoformat(expected) if expected else None,
        notes=tuple(answer.get("notes", ())),
        sentences=tuple(answer.get("sentences", ())),
        waits=answer.get("waits", False),
        repeated=True,
    )
