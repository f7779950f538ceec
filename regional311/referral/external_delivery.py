"""Telling the system in which a partner works what happened, and fetching what it says.

The worker does it: what is due is leased and written in one transaction, sent outside of any, and
recorded in another. Only what holds now is told, as often as it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import structlog
from sqlalchemy import Engine, Select, and_, or_, select, true, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from regional311.audit.models import AuditEvent
from regional311.database.rows import new_row, put, send
from regional311.database.session import (
    Scope,
    TenantSession,
    acting_for,
    mark_changed,
    scope_of,
    session_scope,
)
from regional311.errors import DomainError
from regional311.exchange import service as exchange
from regional311.exchange import systems
from regional311.exchange.fhir import (
    URI,
    Agreed,
    Handover,
    Identifier,
    Note,
    Progress,
    write_bundle,
)
from regional311.exchange.models import Envelope, ExchangeTask
from regional311.exchange.sealing import SealBroken
from regional311.exchange.searching import Fetched, search
from regional311.exchange.systems import Opened, System
from regional311.exchange.transport import (
    AddressRefused,
    Reply,
    Unreachable,
    ask,
    first_issue,
    judged,
)
from regional311.intake.service import NO_FOLLOWERS, Followers
from regional311.referral import lifecycle, papers
from regional311.referral.external import AHEAD, NOTE_PATH, Overtaken, receive
from regional311.referral.models import Referral, ReferralMessage
from regional311.referral.rings import came_by
from regional311.referral.sending import AnswerLink
from regional311.referral.snapshot import Published, published
from regional311.settings import Settings

BATCH: Final = 20
PAGE: Final = 50
LEASE: Final = timedelta(minutes=5)
POLL: Final = timedelta(seconds=30)
WHOLE: Final = timedelta(minutes=10)
"""How often everything is looked at, and not only what was touched lately."""

LATELY: Final = timedelta(hours=1)
"""How far back the quick look goes: longer than any transaction or difference of clocks."""

INSIDE: Final = ("answers",)
"""Fields that stay inside: answers belong to a form that the other system does not have."""

FINAL: Final = (400, 404, 409, 410, 413, 415, 422)
"""Answers that another attempt would not change."""

LONGEST_ROUND: Final = timedelta(minutes=1)
"""How long a search is read in a round: other partners wait for it, and the next goes on."""

UNREADABLE: Final = "Unreadable"
"""The code of a message that failed in a way nobody foresaw."""

UNEXPECTED: Final = (
    "Something in this connection failed that should not; whoever runs this sees it."
)

log: Final = structlog.get_logger("regional311.referral")


NOTES_REFUSED: Final = (
    "What was written about it may not cross there without consent; say it by telephone."
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A referral leased to be told, as it was when it was leased."""

    id: UUID
    attempt: int
    version: int
    content: dict[str, Any]


def _no_followers(_known: Published) -> Followers:
    return NO_FOLLOWERS


@dataclass(frozen=True, slots=True)
class Taking:
    """With what messages about referrals that were fetched are written, as of those that came in.

    ``link`` makes the addresses at which a receiver answers; ``followers`` says how people are
    written to; ``url`` is the address of this site.
    """

    link: AnswerLink | None = None
    followers: Callable[[Published], Followers] = _no_followers
    url: str = ""


BY_NOBODY: Final = Taking()
"""Nobody is written to."""


# --- out ------------------------------------------------------------------------------------------


def gather(
    session: TenantSession, *, now: datetime, settings: Settings, lately: datetime | None = None
) -> int:
    """Find what the bound partner's system has not heard of; say how much: three statements.

    Its referrals that were open when it was connected, and all since. With ``lately`` only those
    whose history has something since then are looked at, which is quick among many.
    """
    found = systems.opened(session, sealed_by=settings.secret, lock=True)
    if found is None:
        return 0
    tenant_id, system = scope_of(session).tenant_id, found.system
    new = ExchangeTask.system_id.is_distinct_from(system.id)
    news = session.execute(
        select(Referral.id, Referral.version, ExchangeTask.id.label("task"), new.label("new"))
        .outerjoin(
            ExchangeTask,
            and_(ExchangeTask.tenant_id == tenant_id, ExchangeTask.id == Referral.id),
        )
        .where(
            Referral.tenant_id == tenant_id,
            Referral.state != "draft",
            or_(
                and_(~new, Referral.version > ExchangeTask.version),
                and_(
                    new,
                    or_(
                        Referral.state.in_(lifecycle.OPEN),
                        Referral.sent_at >= system.made_at,
                    ),
                ),
            ),
        )
        .where(true() if lately is None else Referral.id.in_(_touched(tenant_id, lately)))
        .order_by(Referral.sent_at, Referral.id)
        .limit(PAGE * 10)
    ).all()
    if not news:
        return 0
    at = max(now, system.gathered_at)
    for row in news:
        # each has a moment of its own, so that who fetches can go on after any of them
        at += timedelta(microseconds=1)
        fresh: dict[str, Any] = {
            "version": row.version,
            "changed_at": at,
            "state": "waiting",
            "attempts": 0,
            "due_at": now,
            "problem": None,
        }
        if row.new:
            # it begins here, or goes over from a connection that has ended
            fresh |= {
                "system_id": system.id,
                "identifier_system": URI,
                "identifier_value": row.id.urn,
                "told_version": 0,
            }
        if row.task is None:
            put(session, new_row(ExchangeTask, tenant_id=tenant_id, id=row.id, **fresh))
        else:
            session.execute(
                update(ExchangeTask)
                .where(ExchangeTask.tenant_id == tenant_id, ExchangeTask.id == row.id)
                .values(fresh)
                .execution_options(synchronize_session=False)
            )
    systems.note(session, system.id, gathered_at=at)
    return len(news)


def _touched(tenant_id: UUID, since: datetime) -> Select[UUID]:
    return select(AuditEvent.subject_id).where(
        AuditEvent.tenant_id == tenant_id,
        AuditEvent.at >= since,
        AuditEvent.subject_kind == "referral",
    )


def written(
    session: TenantSession, system: System, ids: Iterable[UUID], known: Published, *, now: datetime
) -> dict[UUID, tuple[int, Handover]]:
    """Give referrals as they cross now, with their versions.

    Three statements, and for each that was received some more for the way by which the person came.
    Fields that a consent let go are left out when it was taken back or has run out.
    """
    tenant_id, ids = scope_of(session).tenant_id, list(ids)
    # first: what is loaded is dropped by each step to another partner
    ways = _ways(session, ids)
    notes: dict[UUID, list[Note]] = {}
    for line in session.execute(
        select(
            ReferralMessage.referral_id,
            ReferralMessage.id,
            ReferralMessage.side,
            ReferralMessage.body,
            ReferralMessage.written_at,
        )
        .where(
            ReferralMessage.tenant_id == tenant_id,
            ReferralMessage.referral_id.in_(ids),
            ReferralMessage.body.is_not(None),
        )
        .order_by(ReferralMessage.written_at, ReferralMessage.id)
    ):
        notes.setdefault(line.referral_id, []).append(
            Note(line.body or "", line.side, str(line.id), line.written_at)
        )
    rows = session.execute(
        select(
            Referral,
            ExchangeTask.identifier_system,
            ExchangeTask.identifier_value,
            ExchangeTask.changed_at,
            Envelope.consent_id,
            Envelope.expires_at,
            Envelope.payload,
        )
        .join(
            ExchangeTask,
            and_(
                ExchangeTask.tenant_id == tenant_id,
                ExchangeTask.id == Referral.id,
                ExchangeTask.system_id == system.id,
            ),
        )
        .outerjoin(
            Envelope,
            and_(
                Envelope.tenant_id == tenant_id,
                Envelope.kind == exchange.REFERRAL,
                Envelope.subject_id == Referral.id,
            ),
        )
        .where(Referral.tenant_id == tenant_id, Referral.id.in_(ids))
        .execution_options(populate_existing=True)
    ).all()
    found = {}
    for row in rows:
        referral = row.Referral
        handover = _handover(session, system, row, known, now, notes.get(referral.id, ()))
        handover = replace(handover, part_of=ways.get(referral.id, ()))
        found[referral.id] = (referral.version, handover)
        session.expunge(referral)
    return found


def _ways(session: TenantSession, ids: list[UUID]) -> dict[UUID, tuple[Identifier, ...]]:
    """By which referrals the person came, for those that the bound partner received.

    Each is named as the other side may know it, and in a way that says nothing of who had the
    person before: by what it calls it itself, and by names that are numbers alone.
    """
    tenant_id = scope_of(session).tenant_id
    received = session.execute(
        select(Referral.id, Referral.counterparty_id).where(
            Referral.tenant_id == tenant_id,
            Referral.id.in_(ids),
            Referral.side == lifecycle.RECEIVER,
        )
    ).all()
    found = {}
    for row in received:
        way: dict[Identifier, None] = {}
        for whole_id, *holders in came_by(session, row.id, row.counterparty_id):
            for holder_id in holders:
                with acting_for(session, holder_id):
                    named = session.execute(
                        select(ExchangeTask.identifier_system, ExchangeTask.identifier_value).where(
                            ExchangeTask.tenant_id == holder_id, ExchangeTask.id == whole_id
                        )
                    ).one_or_none()
                if named is not None and (named[0] == URI or holder_id == tenant_id):
                    way[Identifier(*named)] = None
            way[Identifier(URI, whole_id.urn)] = None
        if way:
            found[row.id] = tuple(way)
    return found


def changed(
    session: TenantSession,
    system: System,
    known: Published,
    *,
    since: datetime | None,
    limit: int,
    now: datetime,
) -> tuple[list[tuple[UUID, Handover]], bool]:
    """Give referrals that changed after a moment, the oldest change first, and if there are more.

    Two statements.
    """
    query = select(ExchangeTask.id).where(
        ExchangeTask.tenant_id == scope_of(session).tenant_id, ExchangeTask.system_id == system.id
    )
    if since is not None:
        query = query.where(ExchangeTask.changed_at > since)
    ids = list(
        session.scalars(query.order_by(ExchangeTask.changed_at, ExchangeTask.id).limit(limit + 1))
    )
    found = written(session, system, ids[:limit], known, now=now)
    return [(each, found[each][1]) for each in ids[:limit] if each in found], len(ids) > limit


def _handover(
    session: TenantSession,
    system: System,
    row: Any,
    known: Published,
    now: datetime,
    notes: Iterable[Note],
) -> Handover:
    referral: Referral = row.Referral
    mine = known.slugs[scope_of(session).tenant_id]
    other = known.slugs.get(referral.counterparty_id, "")
    received = referral.side == lifecycle.RECEIVER
    personal = known.sharing(known.today(mine, now)).personal
    over = row.expires_at is not None and row.expires_at <= now
    taken_back = received and bool(referral.shared.get("erased"))
    # what its own system sent is not sent back, and what was taken back or is over goes nowhere
    crossing = {
        key: value
        for key, value in referral.shared.items()
        if received and key not in INSIDE and not taken_back and not (over and key in personal)
    }
    receiver = mine if received else other
    offered = known.directory.find(f"{receiver}/{referral.service_key}")
    return Handover(
        progress=Progress(
            Identifier(row.identifier_system, row.identifier_value),
            referral.state,
            row.changed_at,
            referral.received_at is not None,
            referral.reason,
            referral.outcome,
            () if taken_back else tuple(notes),
        ),
        sender=other if received else mine,
        receiver=system.known_as if received else other,
        service=system.services.get(referral.service_key, referral.service_key),
        service_name=offered.name if offered else "",
        sent_at=referral.sent_at,
        urgency=referral.urgency,
        number=referral.public_id,
        consent=Agreed(
            (row.consent_id or referral.id).urn,
            referral.sent_at,
            row.expires_at,
            not taken_back,
            papers.named(row.payload),
        )
        if taken_back
        or any(key in personal for key in crossing)
        or (received and not over and papers.rests_on_consent(row.payload))
        else None,
        shared=crossing,
        language=(known.tenants[mine].settings.get("languages") or [None])[0],
    )


def lease(
    session: TenantSession, system: System, known: Published, *, now: datetime
) -> list[Letter]:
    """Take up to BATCH tasks that are due, written as they are now; others skip them."""
    tenant_id = scope_of(session).tenant_id
    due = (
        select(ExchangeTask.id)
        .where(
            ExchangeTask.tenant_id == tenant_id,
            ExchangeTask.system_id == system.id,
            ExchangeTask.state == "waiting",
            ExchangeTask.due_at <= now,
            or_(ExchangeTask.leased_until.is_(None), ExchangeTask.leased_until <= now),
        )
        .order_by(ExchangeTask.due_at, ExchangeTask.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    send(session)
    taken = session.execute(
        update(ExchangeTask)
        .where(ExchangeTask.tenant_id == tenant_id, ExchangeTask.id.in_(due))
        .values(leased_until=now + LEASE, attempts=ExchangeTask.attempts + 1)
        .returning(ExchangeTask.id, ExchangeTask.attempts)
        .execution_options(synchronize_session=False)
    ).all()
    mark_changed(session)
    if not taken:
        return []
    now_said = written(session, system, [row.id for row in taken], known, now=now)
    return [
        Letter(row.id, row.attempts, version, write_bundle(handover, str(row.id)))
        for row in sorted(taken, key=lambda row: row.id)
        for version, handover in [now_said[row.id]]
    ]


class Errands:
    """The worker's rounds: each looks at what was touched lately, some at everything.

    Every step leaves a trace in the history, so that the quick look finds it; what should have come
    about in another way is found within :data:`WHOLE`.
    """

    def __init__(self, settings: Settings, taking: Taking = BY_NOBODY) -> None:
        self._settings = settings
        self._taking = taking
        self._looked_at_all: dict[UUID, datetime] = {}

    def __call__(self, engine: Engine, tenant_id: UUID, clock: Callable[[], datetime]) -> int:
        """Go one round for a partner."""
        now, before = clock(), self._looked_at_all.get(tenant_id)
        whole = before is None or now - before >= WHOLE
        try:
            done = run_errand(
                engine,
                tenant_id,
                clock,
                settings=self._settings,
                lately=None if whole else now - LATELY,
                taking=self._taking,
            )
        except Exception as error:  # what one partner's system does stops no other's
            if _is_outage(error):
                raise
            log.warning("errand_failed", tenant=str(tenant_id), error=type(error).__name__)
            with session_scope(engine, Scope(tenant_id)) as session:
                systems.note_current(session, problem=UNEXPECTED)
            return 0
        if whole:
            self._looked_at_all[tenant_id] = now
        return done


def run_errand(
    engine: Engine,
    tenant_id: UUID,
    clock: Callable[[], datetime],
    *,
    settings: Settings,
    lately: datetime | None = None,
    taking: Taking = BY_NOBODY,
) -> int:
    """Tell a partner's system what it has not heard, and fetch from one that cannot be told here.

    No transaction is open while the other system is waited for. Says how many messages went or
    came.
    """
    scope = Scope(tenant_id)
    try:
        with session_scope(engine, scope) as session:
            done = gather(session, now=clock(), settings=settings, lately=lately)
            found = systems.opened(session, sealed_by=settings.secret)
    except SealBroken as error:
        with session_scope(engine, scope) as session:
            systems.note_current(session, problem=error.message)
        return 0
    if found is None or found.system.way == "they_poll":
        return done
    known = published(engine)
    done = _tell(engine, scope, found, known, clock, settings)
    if found.system.way == "we_poll" and (
        found.system.polled_at is None or clock() - found.system.polled_at >= POLL
    ):
        done += fetch(engine, scope, found, clock, settings, taking)
    return done


def _tell(
    engine: Engine,
    scope: Scope,
    found: Opened,
    known: Published,
    clock: Callable[[], datetime],
    settings: Settings,
) -> int:
    with session_scope(engine, scope) as session:
        letters = lease(session, found.system, known, now=clock())
    address, down = found.system.address or "", None
    done = 0
    for letter in letters:
        problem, final, withheld = down, False, None
        if down is None:
            try:
                reply = _ask(found, "POST", address, clock(), settings, content=letter.content)
                if _refuses_notes(reply):
                    # where it stands is heard all the same; what was written is for the telephone
                    withheld = NOTES_REFUSED
                    bare = without_notes(letter.content)
                    reply = _ask(found, "POST", address, clock(), settings, content=bare)
            except Unreachable as error:
                problem = down = str(error)
            except AddressRefused as error:
                problem = down = error.message
            except Exception as error:  # noqa: BLE001 - one message stops no other
                log.warning(
                    "message_failed", system=str(found.system.id), error=type(error).__name__
                )
                problem = UNEXPECTED
            else:
                problem, final = judged(reply), reply.status in FINAL
        with session_scope(engine, scope) as session:
            now = clock()
            if problem is None:
                systems.told(session, letter.id, letter.version, now=now, problem=withheld)
                systems.note(session, found.system.id, told_at=now, problem=withheld)
                done += 1
            else:
                systems.failed(session, letter.id, letter.attempt, problem, final=final, now=now)
                systems.note(session, found.system.id, problem=problem)
    return done


def _refuses_notes(reply: Reply) -> bool:
    return reply.status == 422 and first_issue(reply)[1] == NOTE_PATH


def without_notes(bundle: dict[str, Any]) -> dict[str, Any]:
    """Give a message without what people wrote to each other in its Task."""
    entries = []
    for each in bundle["entry"]:
        resource = dict(each["resource"])
        if resource["resourceType"] == "Task":
            resource.pop("note", None)
        entries.append({**each, "resource": resource})
    return {**bundle, "entry": entries}


def _ask(
    found: Opened,
    method: str,
    address: str,
    now: datetime,
    settings: Settings,
    *,
    query: str = "",
    content: Any = None,
) -> Reply:
    return ask(
        method,
        address,
        hosts=settings.exchange_hosts,
        key_id=found.system.key_id,
        secret=found.secret,
        now=now,
        query=query,
        content=content,
    )


def try_out(found: Opened, *, now: datetime, settings: Settings) -> str | None:
    """Ask another system for nothing, signed; say what is wrong, or None when all is well."""
    if found.system.address is None:
        return "This system is never asked: it fetches by itself."
    try:
        reply = _ask(found, "GET", f"{found.system.address}/Task", now, settings, query="_count=0")
    except Unreachable as error:
        return str(error)
    except AddressRefused as error:
        return error.message
    return judged(reply)


@dataclass(frozen=True, slots=True)
class DeadTask:
    """A referral of which the other system could not be told."""

    id: UUID
    number: str
    changed_at: datetime
    attempts: int
    problem: str | None


def dead_tasks(session: TenantSession, system_id: UUID, *, limit: int = PAGE) -> list[DeadTask]:
    """Give what was given up, the latest first: one statement."""
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(
        select(
            ExchangeTask.id,
            Referral.public_id,
            ExchangeTask.changed_at,
            ExchangeTask.attempts,
            ExchangeTask.problem,
        )
        .join(Referral, and_(Referral.tenant_id == tenant_id, Referral.id == ExchangeTask.id))
        .where(
            ExchangeTask.tenant_id == tenant_id,
            ExchangeTask.system_id == system_id,
            ExchangeTask.state == "dead",
        )
        .order_by(ExchangeTask.changed_at.desc())
        .limit(limit)
    )
    return [DeadTask(*row) for row in rows]


# --- fetching -------------------------------------------------------------------------------------


def fetch(
    engine: Engine,
    scope: Scope,
    found: Opened,
    clock: Callable[[], datetime],
    settings: Settings,
    taking: Taking = BY_NOBODY,
) -> int:
    """Fetch what another system has for the partner, page by page; say how much was taken.

    Each is taken in a transaction of its own together with how far we came. What is refused is
    noted, shown to people, and not asked for again; their side still has it.
    """
    cursor, begun = found.system.cursor, clock()
    read = search(
        found.system.address or "",
        cursor,
        lambda address, query: _ask(found, "GET", address, clock(), settings, query=query),
        late=lambda: clock() > begun + LONGEST_ROUND,
    )
    until = read.until if cursor is None or read.until is None else max(cursor, read.until)
    done = 0
    for each in sorted(read.tasks, key=lambda one: one.updated_at):
        moved = None if until is None else min(each.updated_at, until)
        done += _take(engine, scope, found.system, each, clock, taking, moved=moved)
    with session_scope(engine, scope) as session:
        systems.note(session, found.system.id, polled_at=clock(), problem=read.problem)
    return done


def _take(
    engine: Engine,
    scope: Scope,
    system: System,
    task: Fetched,
    clock: Callable[[], datetime],
    taking: Taking,
    *,
    moved: datetime | None,
) -> int:
    """Take one Task; ``moved`` is how far we came with it, None where something may be missing."""
    # what their clock says of the future would hide all that comes until then
    cursor = {} if moved is None else {"cursor": min(moved, clock() + AHEAD)}
    try:
        known = published(engine)
        with session_scope(engine, scope) as session:
            # first, so that two that fetch take turns
            systems.note(session, system.id, **cursor, heard_at=clock())
            try:
                receive(
                    session,
                    system,
                    task.bundle,
                    now=clock(),
                    known=known,
                    followers=taking.followers(known),
                    link=taking.link,
                    url=taking.url,
                )
            except Overtaken as error:
                # what it came with is kept, and so is that it does not follow
                _refused(session, system, task, error.code, clock())
                return 0
    except Exception as error:  # one message of theirs stops no other
        if _is_outage(error):
            raise
        code = UNREADABLE
        if isinstance(error, DomainError):
            code = error.code
        else:
            log.warning("message_failed", system=str(system.id), error=type(error).__name__)
        with session_scope(engine, scope) as session:
            _refused(session, system, task, code, clock())
            systems.note(session, system.id, **cursor, heard_at=clock())
        return 0
    return 1


def _refused(
    session: TenantSession, system: System, task: Fetched, code: str, now: datetime
) -> None:
    """Note what could not be taken: once, however often it is fetched."""
    told = f"{task.task_id}|{task.updated_at.isoformat()}"
    systems.receipt(session, system.id, str(uuid5(system.id, told)), f"refused:{code}", now)


def _is_outage(error: Exception) -> bool:
    """Whether it is our own database that fails: all of it waits then, and nothing is skipped."""
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError))
    )
