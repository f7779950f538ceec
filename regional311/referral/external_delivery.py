"""Telling the system in which a partner works what happened, and fetching what it says.

The worker does it: what is due is leased and written in one transaction, sent outside of any, and
recorded in another. Only what holds now is told, as often as it takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit
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
    RESOURCES,
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
from regional311.exchange.systems import Opened, System
from regional311.exchange.transport import AddressRefused, Reply, Unreachable, ask
from regional311.intake.service import NO_FOLLOWERS, Followers
from regional311.referral import lifecycle, papers
from regional311.referral.external import AHEAD, NOTE_PATH, Overtaken, receive
from regional311.referral.models import Referral, ReferralMessage
from regional311.referral.rings import before
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

MOST_PAGES: Final = 20
"""Pages of one search that are read in a round; the next round goes on."""

ASKED: Final = 3
"""Resources that are asked for one by one, for each Task."""

LEADS_TO: Final = ("focus", "for", "subject", "supportingInfo")
"""Elements that lead from a Task to what belongs to it."""

UNREADABLE: Final = "Unreadable"
UNDATED: Final = "A Task of the other system says no time at which it was changed: it was left."
ELSEWHERE: Final = "The next page of the other system's search is at another host."
IN_A_CIRCLE: Final = "The pages of the other system's search lead back to each other."
OUT_OF_ORDER: Final = (
    "The other system has more Tasks than one search brings, and gives them in no order."
)
UNEXPECTED: Final = (
    "Something in this connection failed that should not; whoever runs this sees it."
)

log: Final = structlog.get_logger("regional311.referral")
_LOGICAL: Final = re.compile(r"[A-Za-z]+/[A-Za-z0-9.-]{1,64}", re.ASCII)


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
    written to.
    """

    link: AnswerLink | None = None
    followers: Callable[[Published], Followers] = _no_followers


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

    Each is named as any system knows it: the other side finds its own among them, and nothing else
    says who was there before.
    """
    received = session.execute(
        select(Referral.id, Referral.counterparty_id).where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.id.in_(ids),
            Referral.side == lifecycle.RECEIVER,
        )
    ).all()
    found = {}
    for row in received:
        way: dict[Identifier, None] = {}
        for whole_id, holders in before(session, row.id, row.counterparty_id):
            for holder_id in holders:
                with acting_for(session, holder_id):
                    named = session.execute(
                        select(ExchangeTask.identifier_system, ExchangeTask.identifier_value).where(
                            ExchangeTask.tenant_id == holder_id, ExchangeTask.id == whole_id
                        )
                    ).one_or_none()
                if named is not None:
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

    def __init__(self, settings: Settings, taking: Taking | None = None) -> None:
        self._settings = settings
        self._taking = taking or Taking()
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
            if is_outage(error):
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
    taking: Taking | None = None,
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
    down: str | None = None
    done = 0
    for letter in letters:
        problem, final, withheld = down, False, None
        if down is None:
            try:
                reply = _ask(found, "POST", "", clock(), settings, content=letter.content)
                if _refuses_notes(reply):
                    # where it stands is heard all the same; what was written is for the telephone
                    withheld = NOTES_REFUSED
                    bare = without_notes(letter.content)
                    reply = _ask(found, "POST", "", clock(), settings, content=bare)
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
    return reply.status == 422 and _first_issue(reply)[1] == NOTE_PATH


def without_notes(bundle: dict[str, Any]) -> dict[str, Any]:
    """Give a message without what people wrote to each other in its Task."""
    entries = []
    for each in bundle["entry"]:
        resource = dict(each["resource"])
        if resource["resourceType"] == "Task":
            resource.pop("note", None)
        entries.append({**each, "resource": resource})
    return {**bundle, "entry": entries}


def judged(reply: Reply) -> str | None:
    """Say in our own words why an answer is no success; None when it is one.

    The other system's own words are left out: they may repeat what a person said.
    """
    if 200 <= reply.status < 300:
        return None
    about = ", ".join(each[:100] for each in _first_issue(reply) if each is not None)
    return f"The other system refused it: {reply.status}{f' ({about})' if about else ''}."


def _first_issue(reply: Reply) -> tuple[str | None, str | None]:
    """The code and the path of an OperationOutcome's first issue; the words are left out."""
    content = reply.content if isinstance(reply.content, dict) else {}
    issues = content.get("issue")
    issue = issues[0] if isinstance(issues, list) and issues else {}
    code = issue.get("code") if isinstance(issue, dict) else None
    where = issue.get("expression") if isinstance(issue, dict) else None
    path = where[0] if isinstance(where, list) and where else None
    return code if isinstance(code, str) else None, path if isinstance(path, str) else None


def _ask(
    found: Opened,
    method: str,
    path: str,
    now: datetime,
    settings: Settings,
    *,
    query: str = "",
    content: Any = None,
) -> Reply:
    path = f"{urlsplit(found.system.address or '').path}{path}"
    return _ask_at(found, method, path, now, settings, query=query, content=content)


def _ask_at(
    found: Opened,
    method: str,
    path: str,
    now: datetime,
    settings: Settings,
    *,
    query: str = "",
    content: Any = None,
) -> Reply:
    """Ask for a whole path of the system's host."""
    base = urlsplit(found.system.address or "")
    return ask(
        method,
        f"{base.scheme}://{base.netloc}{path}",
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
        reply = _ask(found, "GET", "/Task", now, settings, query="_count=0")
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


@dataclass(frozen=True, slots=True)
class Fetched:
    """A Task that another system has, with the resources that it leads to."""

    updated_at: datetime
    task_id: str
    bundle: dict[str, Any]


@dataclass
class Round:
    """What was read of a search: its Tasks, and whether that was all, in which order."""

    tasks: list[Fetched]
    problem: str | None = None
    whole: bool = False

    @property
    def in_order(self) -> bool:
        """Whether nothing that was not read can be older than what was."""
        times = [each.updated_at for each in self.tasks]
        return self.whole or all(a <= b for a, b in pairwise(times))


def fetch(
    engine: Engine,
    scope: Scope,
    found: Opened,
    clock: Callable[[], datetime],
    settings: Settings,
    taking: Taking | None = None,
) -> int:
    """Fetch what another system has for the partner, page by page; say how much was taken.

    Each is taken in a transaction of its own together with how far we came. What is refused is
    noted, shown to people, and not asked for again; their side still has it.
    """
    cursor = found.system.cursor
    read = _read(found, cursor, clock, settings)
    # of a search that broke off and went backwards, what is older may be among the rest
    moves = read.in_order
    fresh = [each for each in read.tasks if cursor is None or each.updated_at > cursor]
    done = 0
    for each in sorted(fresh, key=lambda one: one.updated_at):
        done += _take(engine, scope, found.system, each, clock, taking or Taking(), moves=moves)
    with session_scope(engine, scope) as session:
        systems.note(session, found.system.id, polled_at=clock(), problem=read.problem)
    return done


def _read(
    found: Opened, cursor: datetime | None, clock: Callable[[], datetime], settings: Settings
) -> Round:
    """Read a search with its further pages, at most :data:`MOST_PAGES` of them."""
    read = Round([])
    since = f"_lastUpdated=gt{quote(cursor.isoformat(), safe='')}&" if cursor else ""
    wanted = "_sort=_lastUpdated&_include=Task:focus&_include=Task:patient"
    path, query = (
        f"{urlsplit(found.system.address or '').path}/Task",
        f"{since}{wanted}&_count={PAGE}",
    )
    seen: set[tuple[str, str]] = set()
    while (path, query) not in seen and len(seen) < MOST_PAGES:
        seen.add((path, query))
        try:
            reply = _ask_at(found, "GET", path, clock(), settings, query=query)
            read.problem = judged(reply) or _no_search(reply.content)
            if read.problem is not None:
                return read
            tasks, undated = _tasks(reply.content)
            read.tasks += [
                _completed(found, each, clock, settings)
                if cursor is None or each.updated_at > cursor
                else each
                for each in tasks
            ]
        except (Unreachable, AddressRefused) as error:
            read.problem = str(error)
            return read
        if undated:
            read.problem = UNDATED
        following = _next(reply.content)
        if following is None:
            read.whole = True
            return read
        onward = _same_host(found.system.address or "", path, query, following)
        if onward is None:
            read.problem = ELSEWHERE
            return read
        path, query = onward
    if (path, query) in seen:
        read.problem, read.whole = IN_A_CIRCLE, True
    elif not read.in_order:
        read.problem = OUT_OF_ORDER
    return read


def _no_search(content: Any) -> str | None:
    if isinstance(content, dict) and content.get("resourceType") == "Bundle":
        return None
    return "The other system's answer to a search is no Bundle."


def _next(content: dict[str, Any]) -> str | None:
    """The address of the next page of a search."""
    links = content.get("link")
    for each in links if isinstance(links, list) else ():
        if isinstance(each, dict) and each.get("relation") == "next":
            return each["url"] if isinstance(each.get("url"), str) else None
    return None


def _same_host(address: str, path: str, query: str, url: str) -> tuple[str, str] | None:
    """The path and query of a further page; None when it is not where the system itself is.

    >>> _same_host("https://a.example/fhir", "/fhir/Task", "", "https://a.example/fhir?page=2")
    ('/fhir', 'page=2')
    >>> _same_host("https://a.example/fhir", "/fhir/Task", "", "?page=2")
    ('/fhir/Task', 'page=2')
    >>> _same_host("https://a.example/fhir", "/fhir/Task", "", "https://b.example/?page=2") is None
    True
    """
    base = urlsplit(address)
    try:
        onward = urlsplit(urljoin(f"{base.scheme}://{base.netloc}{path}?{query}", url))
        same = (onward.hostname, onward.port) == (base.hostname, base.port)
    except ValueError:
        return None
    if not same or not (onward.path + onward.query).isascii() or " " in url:
        return None
    return onward.path, onward.query


def _tasks(content: dict[str, Any]) -> tuple[list[Fetched], bool]:
    """Put each Task of a search with the resources that it leads to; say if one had no time."""
    entries = content.get("entry")
    by_reference: dict[str, dict[str, Any]] = {}
    tasks = []
    for entry in entries if isinstance(entries, list) else ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict) or resource.get("resourceType") not in RESOURCES:
            continue
        by_reference[f"{resource['resourceType']}/{resource.get('id')}"] = resource
        if isinstance(entry.get("fullUrl"), str):
            by_reference[entry["fullUrl"]] = resource
        if resource["resourceType"] == "Task":
            tasks.append(resource)
    found, undated = [], False
    for task in tasks:
        updated_at = _updated_at(task)
        if updated_at is None:
            undated = True
            continue
        bundle = _gathered(task, by_reference.get)
        found.append(Fetched(updated_at, str(task.get("id")), bundle))
    return found, undated


def _updated_at(task: dict[str, Any]) -> datetime | None:
    """When a Task was changed, on their clock; a time without a zone is taken as UTC."""
    meta = task.get("meta")
    for said in (
        meta.get("lastUpdated") if isinstance(meta, dict) else None,
        task.get("lastModified"),
    ):
        try:
            at = datetime.fromisoformat(str(said))
        except ValueError:
            continue
        if 1900 <= at.year <= 9000:
            return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return None


def _gathered(
    task: dict[str, Any], look_up: Callable[[str], dict[str, Any] | None]
) -> dict[str, Any]:
    """A Task with what it leads to, one resource of each kind."""
    belongs = {"Task": task}
    # it grows while it is walked: a consent is named by the request
    for kind in RESOURCES:
        each = belongs.get(kind, {})
        for name in LEADS_TO:
            for reference in _references(each.get(name)):
                resource = look_up(_plain(reference)) or look_up(reference)
                if resource is not None:
                    belongs.setdefault(str(resource["resourceType"]), resource)
    entry = [{"resource": each} for each in belongs.values()]
    return {"resourceType": "Bundle", "type": "collection", "entry": entry}


def _completed(
    found: Opened, task: Fetched, clock: Callable[[], datetime], settings: Settings
) -> Fetched:
    """Ask once for what a Task leads to and its page did not have: a server need not include it."""
    here: dict[str, dict[str, Any]] = {
        each["resource"]["resourceType"]: each["resource"] for each in task.bundle["entry"]
    }
    asked: dict[str, Any] = {}

    def look_up(reference: str) -> dict[str, Any] | None:
        kind = reference.partition("/")[0]
        if kind in here:
            return here[kind]
        if kind not in RESOURCES or _LOGICAL.fullmatch(reference) is None or len(asked) >= ASKED:
            return None
        if reference not in asked:
            reply = _ask(found, "GET", f"/{reference}", clock(), settings)
            content = reply.content if isinstance(reply.content, dict) else {}
            is_one = reply.status == 200 and content.get("resourceType") == kind
            asked[reference] = content if is_one else None
        one: dict[str, Any] | None = asked[reference]
        return one

    bundle = _gathered(here["Task"], look_up)
    have = {each["resource"]["resourceType"] for each in bundle["entry"]}
    for kind, resource in here.items():
        if kind not in have:
            bundle["entry"].append({"resource": resource})
    return replace(task, bundle=bundle)


def _references(value: Any) -> list[str]:
    return [
        each["reference"]
        for each in (value if isinstance(value, list) else [value])
        if isinstance(each, dict) and isinstance(each.get("reference"), str)
    ]


def _plain(reference: str) -> str:
    """A reference as kind and id, whatever address stands before and version behind.

    >>> _plain("https://a.example/fhir/ServiceRequest/7/_history/2"), _plain("Patient/1")
    ('ServiceRequest/7', 'Patient/1')
    """
    parts = reference.partition("/_history/")[0].split("/")
    return "/".join(parts[-2:])


def _take(
    engine: Engine,
    scope: Scope,
    system: System,
    task: Fetched,
    clock: Callable[[], datetime],
    taking: Taking,
    *,
    moves: bool,
) -> int:
    """Take one Task; ``moves`` when what is older than it has been read, too."""
    # what their clock says of the future would hide all that comes until then
    cursor = {"cursor": min(task.updated_at, clock() + AHEAD)} if moves else {}
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
                )
            except Overtaken as error:
                # what it came with is kept, and so is that it does not follow
                _refused(session, system, task, error.code, clock())
                return 0
    except Exception as error:  # one message of theirs stops no other
        if is_outage(error):
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


def is_outage(error: Exception) -> bool:
    """Whether it is our own database that fails: all of it waits then, and nothing is skipped."""
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError))
    )
