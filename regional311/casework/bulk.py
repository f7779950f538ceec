"""The same change of many requests: each by itself, in somebody's name, and undone within minutes.

Which requests are meant is fixed when the change is asked for. Few are changed at once; many are
changed by the worker, a part at a time, so that a page can show how far it is. One that cannot be
changed is left as it is, with the reason, and stops no other. Letters wait until the time to undo
is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine, any_, func, literal, select, update
from sqlalchemy.exc import DBAPIError

from regional311.audit.service import record
from regional311.casework.closing import Closing
from regional311.casework.models import BulkChange, BulkRow
from regional311.casework.prepared_texts import person_languages
from regional311.casework.tags import add_tag, remove_tag, tag_of
from regional311.database.ids import new_id
from regional311.database.locking import locked_kept
from regional311.database.rows import new_row, put, send
from regional311.database.session import Scope, TenantSession, mark_changed, scope_of, session_scope
from regional311.errors import Conflict, DomainError, InvalidInput, NotFound
from regional311.identity.models import Membership
from regional311.identity.permissions import Permissions, permissions_of
from regional311.intake import lifecycle
from regional311.intake.models import RequestNote, ServiceRequest
from regional311.intake.service import (
    MAX_NOTE,
    Followers,
    add_note,
    assign_request,
    change_request,
)
from regional311.intake.undoing import as_it_was, put_back
from regional311.notices.service import release, withdraw_caused
from regional311.tenancy.models import Tenant

ACTIONS: Final = ("assign", "move", "close", "tag", "untag", "note")
MOST: Final = 5000
"""Requests of one change."""

AT_ONCE: Final = 25
"""Up to so many are changed while the person waits for the page."""

PART: Final = 50
"""Requests in one part of the worker's."""

UNDO: Final = timedelta(minutes=10)
"""How long a change can be undone once it is done; letters about it wait as long."""

HELD: Final = timedelta(days=30)
"""How long letters wait at most while a change goes on; its end lets them leave after `UNDO`."""

MOVES: Final = ("triaged", "in_progress", *lifecycle.WAITING)
"""States to which many can be moved; closing and assigning are changes of their own."""


class TooMany(InvalidInput):
    """More requests than one change takes."""


class NothingChosen(InvalidInput):
    """A change is of one request at least."""


class CannotUndo(Conflict):
    """The change is not done yet, is undone already, or its time to undo is over."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is done to each request; only what the action needs is given.

    ``words`` are those of a prepared text by language, ``own`` the partner's: each person reads
    them in theirs, below what was typed for all.
    """

    action: str
    assignee_id: UUID | None = None
    queue: str | None = None
    priority: str | None = None
    state: str | None = None
    resolution: str | None = None
    message: str | None = None
    tag: str | None = None
    note: str | None = None
    words: Mapping[str, str] | None = None
    own: str | None = None

    def plain(self) -> dict[str, Any]:
        """The wanted change as it is stored."""
        return {
            name: str(value) if isinstance(value, UUID) else value
            for name in self.__slots__
            if name != "action" and (value := getattr(self, name)) is not None
        }


def wanted_from(action: str, values: Mapping[str, Any]) -> Wanted:
    """Read a stored change."""
    given = dict(values)
    if given.get("assignee_id"):
        given["assignee_id"] = UUID(given["assignee_id"])
    return Wanted(action, **given)


def check(wanted: Wanted) -> None:
    """Refuse a change that could be made of no request. Raises `InvalidInput`."""
    match wanted.action:
        case "assign":
            if not (wanted.assignee_id or wanted.queue or wanted.priority):
                raise InvalidInput("Choose a colleague, a queue or a priority.", field="assignee")
        case "move":
            if wanted.state not in MOVES:
                raise InvalidInput("Choose the status to which they go.", field="state")
        case "close":
            if wanted.resolution not in lifecycle.RESOLUTIONS:
                raise lifecycle.ResolutionNeeded(
                    "Choose how they were resolved.", field="resolution"
                )
            if not wanted.words and not lifecycle.says_enough(wanted.message):
                raise lifecycle.MessageNeeded(
                    "Pick a text, or say in plain words what happened; the people read this.",
                    field="message",
                )
        case "tag" | "untag":
            tag_of(wanted.tag or "")
        case "note":
            if not (wanted.note or "").strip() or len(wanted.note or "") > MAX_NOTE:
                raise InvalidInput(f"Write a note of at most {MAX_NOTE} characters.", field="note")
        case _:
            raise InvalidInput(f"What is done is one of {', '.join(ACTIONS)}.", field="action")


def ask(
    session: TenantSession, wanted: Wanted, chosen: Sequence[tuple[UUID, str]], *, now: datetime
) -> UUID:
    """Ask for a change of requests, given as (id, number). Give its id; nothing is changed yet.

    Raises `InvalidInput`, :class:`NothingChosen` and :class:`TooMany`.
    """
    check(wanted)
    chosen = list(dict.fromkeys(chosen))
    if not chosen:
        raise NothingChosen("Choose at least one request.", field="action")
    if len(chosen) > MOST:
        raise TooMany(f"At most {MOST} requests are changed at once.", field="action")
    scope = scope_of(session)
    bulk_id = new_id()
    put(
        session,
        new_row(
            BulkChange,
            tenant_id=scope.tenant_id,
            id=bulk_id,
            person_id=scope.person_id,
            action=wanted.action,
            wanted=wanted.plain(),
            state="waiting",
            total=len(chosen),
            made_at=now,
        ),
        *(
            new_row(
                BulkRow,
                tenant_id=scope.tenant_id,
                id=new_id(),
                bulk_id=bulk_id,
                position=position,
                request_id=request_id,
                number=number,
                result="waiting",
            )
            for position, (request_id, number) in enumerate(chosen, 1)
        ),
    )
    record(
        session,
        now=now,
        action="bulk:ask",
        subject_kind="bulk",
        subject_id=bulk_id,
        detail={"action": wanted.action, "requests": len(chosen)},
    )
    return bulk_id


def go_on(
    session: TenantSession, bulk_id: UUID, *, now: datetime, followers: Followers, most: int = PART
) -> int:
    """Do the next part of a change, or of its undoing, as the bound person; give how many it was.

    Safe to do again: a part that is under way elsewhere is left alone.
    """
    change = session.execute(
        select(BulkChange)
        .where(BulkChange.tenant_id == scope_of(session).tenant_id, BulkChange.id == bulk_id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if change is None or change.state not in ("waiting", "running", "undoing"):
        return 0
    undoing, wanted = change.state == "undoing", wanted_from(change.action, change.wanted)
    may, undone = _may_work(session), list[UUID]()
    rows = session.execute(
        select(BulkRow.id, BulkRow.request_id, BulkRow.before, BulkRow.version, BulkRow.at)
        .where(
            BulkRow.tenant_id == change.tenant_id,
            BulkRow.bulk_id == bulk_id,
            BulkRow.result == ("changed" if undoing else "waiting"),
        )
        .order_by(BulkRow.position)
        .limit(most)
    ).all()
    closing = (
        None
        if undoing
        else _closing(session, wanted, [each.request_id for each in rows], followers)
    )
    for row in rows:
        try:
            if not may:
                raise NotFound("Whoever asked for it does not work requests any more.")
            send(session)
            with session.begin_nested():
                if undoing:
                    values = _undo(session, wanted, row, now, followers)
                else:
                    held = replace(followers, hold=HELD, cause_id=row.id)
                    values = _change(session, wanted, row.request_id, now, held, closing)
                send(session)
            if undoing:
                undone.append(row.id)
        except DomainError as error:
            values = {"result": "kept" if undoing else "refused", "why": error.message}
        session.execute(
            update(BulkRow)
            .where(BulkRow.tenant_id == scope_of(session).tenant_id, BulkRow.id == row.id)
            .values(values)
            .execution_options(synchronize_session=False)
        )
    withdraw_caused(session, undone)
    over = len(rows) < most
    state = ("undone" if undoing else "done") if over else ("undoing" if undoing else "running")
    ended: dict[str, Any] = {"state": state}
    if over and undoing:
        ended["undone_at"] = now
        release(session, _rows_with(session, bulk_id, "kept"), at=now)
    elif over:
        ended |= {"ended_at": now, "undo_until": now + UNDO}
        release(session, _rows_with(session, bulk_id, "changed"), at=now + UNDO)
    session.execute(
        update(BulkChange)
        .where(BulkChange.tenant_id == scope_of(session).tenant_id, BulkChange.id == bulk_id)
        .values(ended)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    return len(rows)


def _closing(
    session: TenantSession, wanted: Wanted, request_ids: Sequence[UUID], followers: Followers
) -> Closing | None:
    if not wanted.words:
        return None
    tenant_id = scope_of(session).tenant_id
    zone = session.execute(
        select(Tenant.zone).where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
    ).scalar_one()
    languages = person_languages(session, request_ids)
    return Closing(wanted.words, languages, wanted.own or "en", zone, followers)


def _rows_with(session: TenantSession, bulk_id: UUID, result: str) -> list[UUID]:
    return list(
        session.scalars(
            select(BulkRow.id).where(
                BulkRow.tenant_id == scope_of(session).tenant_id,
                BulkRow.bulk_id == bulk_id,
                BulkRow.result == result,
            )
        )
    )


def _change(
    session: TenantSession,
    wanted: Wanted,
    request_id: UUID,
    now: datetime,
    followers: Followers,
    closing: Closing | None,
) -> dict[str, Any]:
    request = locked_kept(session, ServiceRequest, request_id, None, {}, "request")
    before, version = as_it_was(request), request.version
    known: dict[str, Any] = {"now": now, "request_id": request_id, "version": version}
    match wanted.action:
        case "assign":
            given: dict[str, Any] = {
                "assignee_id": wanted.assignee_id,
                "queue": wanted.queue,
                "priority": wanted.priority,
            }
            if before["state"] in lifecycle.CLOSED:
                raise lifecycle.StepNotAllowed("It has ended; nobody works it.", field="state")
            if wanted.assignee_id and "assigned" in lifecycle.next_states(before["state"]):
                version = change_request(
                    session, to="assigned", followers=followers, **known, **given
                ).version
            else:
                version = assign_request(session, **known, **given).version
        case "move" | "close":
            message = wanted.message
            if closing:
                said = closing.said(request, message, now)
                message = said(closing.language(request_id))
                followers = replace(followers, said=said)
            version = change_request(
                session,
                to=wanted.state or "closed",
                resolution=wanted.resolution,
                message=message,
                followers=followers,
                **known,
            ).version
        case "tag":
            add_tag(session, request_id, wanted.tag or "", now=now)
        case "untag":
            remove_tag(session, request_id, wanted.tag or "", now=now)
        case "note":
            note_id = add_note(session, now=now, request_id=request_id, text=wanted.note or "")
            before["note"] = str(note_id)
    return {"result": "changed", "before": before, "version": version, "at": now, "why": None}


def _undo(
    session: TenantSession, wanted: Wanted, row: Any, now: datetime, followers: Followers
) -> dict[str, Any]:
    match wanted.action:
        case "tag":
            remove_tag(session, row.request_id, wanted.tag or "", now=now)
        case "untag":
            add_tag(session, row.request_id, wanted.tag or "", now=now)
        case "note":
            session.execute(
                update(RequestNote)
                .where(
                    RequestNote.tenant_id == scope_of(session).tenant_id,
                    RequestNote.id == UUID(row.before["note"]),
                )
                .values(withdrawn_at=now)
                .execution_options(synchronize_session=False)
            )
            record(
                session,
                now=now,
                action="request:undo",
                subject_kind="request",
                subject_id=row.request_id,
            )
        case _:
            put_back(
                session,
                now=now,
                request_id=row.request_id,
                version=row.version,
                before=row.before,
                changed_at=row.at,
                followers=followers,
            )
    return {"result": "undone", "why": None}


def undo(session: TenantSession, bulk_id: UUID, *, now: datetime) -> None:
    """Begin to undo a change that the acting person asked for. Raises :class:`CannotUndo`."""
    change = _own(session, bulk_id)
    if change.state in ("undoing", "undone"):
        return
    if change.state != "done" or change.undo_until is None:
        raise CannotUndo("It is still being done. Wait until it is, then undo it.")
    if now >= change.undo_until:
        raise CannotUndo("The time to undo it is over: letters may have left.")
    change.state = "undoing"
    session.flush()
    # none leaves while there is more to undo
    release(session, _rows_with(session, bulk_id, "changed"), at=now + HELD)
    record(session, now=now, action="bulk:undo", subject_kind="bulk", subject_id=bulk_id)


def _own(session: TenantSession, bulk_id: UUID) -> BulkChange:
    scope = scope_of(session)
    row = session.execute(
        select(BulkChange)
        .where(
            BulkChange.tenant_id == scope.tenant_id,
            BulkChange.id == bulk_id,
            BulkChange.person_id == scope.person_id,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if row is None:
        raise NotFound("There is no such change of yours.")
    return row


def _may_work(session: TenantSession) -> bool:
    """Whether the bound person works requests here, as of now."""
    scope = scope_of(session)
    roles = session.execute(
        select(Membership.roles).where(
            Membership.tenant_id == scope.tenant_id,
            Membership.person_id == scope.person_id,
            Membership.ended_at.is_(None),
        )
    ).scalar_one_or_none()
    return Permissions.REQUEST_WORK in permissions_of(roles or ())


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a change is: how many requests have which result."""

    total: int
    results: Mapping[str, int]

    def many(self, *results: str) -> int:
        """How many have one of these results."""
        return sum(self.results.get(each, 0) for each in results)


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one request."""

    position: int
    number: str
    result: str
    why: str | None


def progress(session: TenantSession, bulk_id: UUID, total: int) -> Progress:
    """Say how far a change is: one statement."""
    rows = session.execute(
        select(BulkRow.result, func.count())
        .where(BulkRow.tenant_id == scope_of(session).tenant_id, BulkRow.bulk_id == bulk_id)
        .group_by(BulkRow.result)
    )
    return Progress(total, Counter({row[0]: row[1] for row in rows}))


def rows_of(
    session: TenantSession, bulk_id: UUID, *, results: Sequence[str] = (), limit: int = 200
) -> list[Row]:
    """Give what became of each request, in order: one statement."""
    query = (
        select(BulkRow.position, BulkRow.number, BulkRow.result, BulkRow.why)
        .where(BulkRow.tenant_id == scope_of(session).tenant_id, BulkRow.bulk_id == bulk_id)
        .order_by(BulkRow.position)
        .limit(limit)
    )
    if results:
        query = query.where(BulkRow.result == any_(literal(list(results))))
    return [Row(*row) for row in session.execute(query)]


def work(
    engine: Engine,
    tenant_id: UUID,
    clock: Callable[[], datetime],
    *,
    followers: Callable[[Engine], Followers],
) -> int:
    """Do a part of every change that is under way, in the name of whoever asked for it.

    An errand of the worker: each part is a transaction of its own.
    """
    with session_scope(engine, Scope(tenant_id)) as session:
        waiting = session.execute(
            select(BulkChange.id, BulkChange.person_id)
            .where(
                BulkChange.tenant_id == tenant_id,
                BulkChange.state.in_(("waiting", "running", "undoing")),
            )
            .order_by(BulkChange.id)
        ).all()
    done = 0
    for each in waiting:
        try:
            with session_scope(engine, Scope(tenant_id, each.person_id)) as session:
                done += go_on(
                    session,
                    each.id,
                    now=clock(),
                    followers=followers(engine),
                )
        except DBAPIError as error:
            # two at the same requests: the part is done again in the next round
            if getattr(error.orig, "sqlstate", "") not in ("40P01", "40001"):
                raise
    return done
