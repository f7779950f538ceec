"""Ring a closed line when it opens: the person is called back, and nobody is forgotten.

What is asked for stays until the other desk has taken the contact over, or until somebody has said
why it is not needed any more. It belongs to the whole desk, whoever asked for it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, and_, func, select, update
from sqlalchemy.exc import IntegrityError

from regional311.audit.service import record
from regional311.cover.models import LaterRing
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.intake.models import Contact, Inquirer
from regional311.intake.service import ContactEnded
from regional311.notices.phones import e164

REASONS: Final = ("person_declined", "could_not_contact", "resolved_elsewhere", "other")
"""Why it is not needed any more, as somebody chooses it."""
PROHIBITED: Final = "contact_prohibited"
"""Why it ended when nobody may contact the person any more."""
PUT_THROUGH_WITHIN: Final = timedelta(hours=1)
"""So long after a line has opened whoever waits for it should have been put through."""
CALLS_FOR: Final = timedelta(minutes=30)
"""How long somebody who said that they call is taken to be on it."""
MOST: Final = 100
"""So many are shown on a desk, or told of, at a time; the others come up as these are seen to."""


class AskedAlready(Conflict):
    """This contact is to be rung through to that line already."""


class NotCalledBack(InvalidInput):
    """The person cannot be called back: no number, or a call is not safe."""


class OnTheLine(Conflict):
    """A colleague calls the person already."""


class SeenToAlready(Conflict):
    """The other desk took the contact over, or somebody said that it is not needed any more."""


def may_be_called(inquirer: Any) -> bool:
    """Whether the person behind a contact can be called back, as far as they said."""
    return bool(
        inquirer is not None
        and inquirer.phone
        and inquirer.safe_to_call
        and not inquirer.contact_prohibited
    )


@dataclass(frozen=True, slots=True)
class Reach:
    """At which number somebody says that they may safely be called, and until when it is kept."""

    phone: str
    name: str = ""
    kept_until: datetime | None = None


def ask(
    session: TenantSession,
    contact_id: UUID,
    *,
    line: str,
    opens_at: datetime,
    now: datetime,
    reach: Reach | None = None,
) -> UUID:
    """Keep that a contact is to be rung through to a line once it opens; give the ring's id.

    ``line`` is ``partner/key`` and closed, ``opens_at`` what the person is told, ``reach`` what
    they say now of how they are called back, where it was not known.

    :raises ContactEnded: when the contact has ended.
    :raises NotCalledBack: when they cannot be called back; InvalidInput: for what is no number.
    :raises AskedAlready: when it is kept already.
    """
    scope = scope_of(session)
    send(session)
    found = session.execute(
        select(
            Contact.ended_at,
            Contact.language,
            Contact.inquirer_id,
            Inquirer.phone,
            Inquirer.safe_to_call,
            Inquirer.contact_prohibited,
            Inquirer.erased_at,
        )
        .outerjoin(
            Inquirer,
            and_(Inquirer.tenant_id == Contact.tenant_id, Inquirer.id == Contact.inquirer_id),
        )
        .where(Contact.tenant_id == scope.tenant_id, Contact.id == contact_id)
        .with_for_update(of=Contact)
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such contact.")
    if found.ended_at is not None:
        raise ContactEnded("This contact has ended already.")
    if reach is not None and not found.contact_prohibited:
        _reached(session, contact_id, found, reach, now)
    elif not may_be_called(found):
        raise NotCalledBack(
            "Note first at which number the person may be called, and that a call is safe.",
            field="phone",
        )
    ring_id = new_id()
    try:
        with session.begin_nested():
            put(
                session,
                new_row(
                    LaterRing,
                    tenant_id=scope.tenant_id,
                    id=ring_id,
                    contact_id=contact_id,
                    line=line,
                    asked_at=now,
                    asked_by=scope.person_id,
                    opens_at=opens_at,
                    tries=[],
                    taken_by=None,
                    taken_at=None,
                    told_at=None,
                    late_at=None,
                    state="waiting",
                    reason=None,
                    ended_at=None,
                    ended_by=None,
                ),
            )
            send(session)
    except IntegrityError as error:
        if "uq_later_rings_waiting" not in str(error.orig):
            raise
        raise AskedAlready("It is on the list already: that line is rung when it opens.") from error
    _trail(session, contact_id, "later", now, line=line)
    return ring_id


def _reached(
    session: TenantSession, contact_id: UUID, found: Any, reach: Reach, now: datetime
) -> None:
    """Write down how the person behind a contact is called back, and that it changed.

    What was known of a person and has been erased stays so: they are somebody new.
    """
    if e164(reach.phone) is None:
        raise InvalidInput("That is no telephone number: 503-823-4000, or +44 ...", field="phone")
    tenant_id = scope_of(session).tenant_id
    said = {"phone": reach.phone.strip(), "safe_to_call": True}
    if found.inquirer_id is not None and found.erased_at is None:
        session.execute(
            update(Inquirer)
            .where(Inquirer.tenant_id == tenant_id, Inquirer.id == found.inquirer_id)
            .values(**said)
            .execution_options(synchronize_session=False)
        )
    else:
        inquirer_id = new_id()
        put(
            session,
            new_row(
                Inquirer,
                tenant_id=tenant_id,
                id=inquirer_id,
                name=reach.name.strip()[:200] or None,
                language=found.language,
                retain_until=reach.kept_until,
                **said,
            ),
        )
        send(session)
        session.execute(
            update(Contact)
            .where(Contact.tenant_id == tenant_id, Contact.id == contact_id)
            .values(inquirer_id=inquirer_id)
            .execution_options(synchronize_session=False)
        )
    mark_changed(session)
    changed = sorted(name for name, value in said.items() if getattr(found, name) != value)
    if changed:
        record(
            session,
            now=now,
            action="contact:edit",
            subject_kind="contact",
            subject_id=contact_id,
            detail={"fields": changed},
        )


def take(
    session: TenantSession,
    contact_id: UUID,
    ring_id: UUID,
    *,
    now: datetime,
    instead: bool = False,
) -> None:
    """Say that the acting person calls now; whoever said so long before has it no more.

    :raises OnTheLine: when a colleague has said so just now, unless it is ``instead`` of them.
    """
    row = _waiting(session, contact_id, ring_id)
    me = scope_of(session).person_id
    if not instead and _calls(row, now) not in (None, me):
        raise OnTheLine("A colleague calls them already.")
    _write(session, LaterRing.id == ring_id, taken_by=me, taken_at=now)
    _trail(session, contact_id, "later-taken", now, line=row.line)


def _calls(row: Any, now: datetime) -> UUID | None:
    fresh = row.taken_at is not None and now - row.taken_at < CALLS_FOR
    return row.taken_by if fresh else None


def not_reached(session: TenantSession, contact_id: UUID, ring_id: UUID, *, now: datetime) -> int:
    """Keep that the person was called and not reached; give how often that was."""
    row = _waiting(session, contact_id, ring_id)
    by = scope_of(session).person_id
    tries = [*row.tries, {"at": now.isoformat(), "by": str(by) if by else None}]
    _write(session, LaterRing.id == ring_id, tries=tries, taken_by=None, taken_at=None)
    _trail(session, contact_id, "not-reached", now, line=row.line)
    return len(tries)


def danger(session: TenantSession, contact_id: UUID, *, sign: str, now: datetime) -> None:
    """Keep that somebody was in danger when the person was called back; the rest can wait."""
    _trail(session, contact_id, "danger", now, sign=sign)


def drop(
    session: TenantSession, contact_id: UUID, ring_id: UUID, *, reason: str, now: datetime
) -> None:
    """Say that it is not needed any more, and why; the need stays as it is."""
    if reason not in REASONS:
        raise InvalidInput("Say why it is not needed any more.", field="reason")
    row = _waiting(session, contact_id, ring_id)
    _end(session, LaterRing.id == ring_id, "dropped", now, reason=reason)
    _trail(session, contact_id, "later-dropped", now, line=row.line, reason=reason)


def drop_all(session: TenantSession, contact_id: UUID, *, now: datetime) -> None:
    """End what waits for a contact whose person nobody may contact any more."""
    which = LaterRing.contact_id == contact_id
    if _end(session, which, "dropped", now, reason=PROHIBITED):
        _trail(session, contact_id, "later-dropped", now, reason=PROHIBITED)


def taken_over(session: TenantSession, contact_id: UUID, partner: str, *, now: datetime) -> None:
    """End what waits for a contact that a partner's desk has taken over."""
    _end(
        session,
        and_(
            LaterRing.contact_id == contact_id, func.split_part(LaterRing.line, "/", 1) == partner
        ),
        "done",
        now,
    )


def waits(session: TenantSession, contact_id: UUID, partner: str) -> bool:
    """Whether a contact is to be rung through to a partner later, also after it has ended."""
    return (
        session.execute(
            select(LaterRing.id)
            .where(
                *_of(session, LaterRing.contact_id == contact_id),
                func.split_part(LaterRing.line, "/", 1) == partner,
            )
            .limit(1)
        ).first()
        is not None
    )


@dataclass(frozen=True, slots=True)
class Later:
    """A contact that waits for a line, or for somebody to ring it now that it is open."""

    id: UUID
    contact_id: UUID
    contact: str
    language: str
    specialist_id: UUID | None
    line: str
    asked_at: datetime
    asked_by: UUID | None
    opens_at: datetime
    tries: list[dict[str, Any]]
    told_at: datetime | None
    late_at: datetime | None
    taken_by: UUID | None
    taken_at: datetime | None

    def calls(self, now: datetime) -> UUID | None:
        """Who calls the person now; nobody when that was said too long ago to be so still."""
        return _calls(self, now)

    @property
    def partner(self) -> str:
        """The partner whose line it is."""
        return self.line.partition("/")[0]


def waited_for(session: TenantSession) -> dict[str, int]:
    """Give the lines that the bound partner's contacts wait for, and how many do. One statement."""
    rows = session.execute(
        select(LaterRing.line, func.count()).where(*_of(session)).group_by(LaterRing.line)
    )
    return {row[0]: row[1] for row in rows}


def later(
    session: TenantSession, contact_id: UUID | None = None, *, first: Collection[str] = ()
) -> list[Later]:
    """Give what waits at the bound partner, or of one contact, the longest first. One statement.

    What waits for the lines in ``first`` comes before all else; there are at most `MOST`.
    """
    conditions = [] if contact_id is None else [LaterRing.contact_id == contact_id]
    rows = session.execute(
        _rows(session, *conditions)
        .order_by(LaterRing.line.in_(first).desc(), LaterRing.opens_at, LaterRing.id)
        .limit(MOST)
    )
    return [Later(*tuple(row)) for row in rows]


def now_open(session: TenantSession, lines: Collection[str], *, now: datetime) -> list[Later]:
    """Give what waits for these lines and nobody was told of, and keep that it is told now.

    At most `MOST` at a time, the longest first. Each is given to one who asks only: what another
    transaction has in its hands is left to it, or for the next time. So it is below.
    """
    which = and_(LaterRing.line.in_(lines), LaterRing.told_at.is_(None))
    return _claimed(session, which, told_at=now, late_at=None)


def now_late(session: TenantSession, lines: Collection[str], *, now: datetime) -> list[Later]:
    """Give what still waits an hour after it was told of, and keep that it is late now."""
    which = and_(
        LaterRing.line.in_(lines),
        LaterRing.told_at <= now - PUT_THROUGH_WITHIN,
        LaterRing.late_at.is_(None),
    )
    return _claimed(session, which, late_at=now)


def closed_again(session: TenantSession, lines: Collection[str]) -> None:
    """Keep that these lines are closed: at the next opening it is told of again."""
    which = and_(LaterRing.line.in_(lines), LaterRing.told_at.is_not(None))
    _claimed(session, which, told_at=None, late_at=None)


def _claimed(session: TenantSession, which: Any, **values: Any) -> list[Later]:
    rows = session.execute(
        _rows(session, which)
        .order_by(LaterRing.opens_at, LaterRing.id)
        .limit(MOST)
        .with_for_update(of=LaterRing, skip_locked=True)
    )
    found = [Later(*tuple(row)) for row in rows]
    if found:
        _write(session, LaterRing.id.in_([each.id for each in found]), **values)
    return found


def _rows(session: TenantSession, *conditions: Any) -> Select[Any]:
    return (
        select(
            LaterRing.id,
            LaterRing.contact_id,
            Contact.public_id,
            Contact.language,
            Contact.specialist_id,
            LaterRing.line,
            LaterRing.asked_at,
            LaterRing.asked_by,
            LaterRing.opens_at,
            LaterRing.tries,
            LaterRing.told_at,
            LaterRing.late_at,
            LaterRing.taken_by,
            LaterRing.taken_at,
        )
        .join(
            Contact,
            and_(Contact.tenant_id == LaterRing.tenant_id, Contact.id == LaterRing.contact_id),
        )
        .where(*_of(session, *conditions))
    )


def _of(session: TenantSession, *conditions: Any) -> tuple[Any, ...]:
    return (
        LaterRing.tenant_id == scope_of(session).tenant_id,
        LaterRing.state == "waiting",
        *conditions,
    )


def _waiting(session: TenantSession, contact_id: UUID, ring_id: UUID) -> Any:
    row = session.execute(
        select(
            LaterRing.line,
            LaterRing.tries,
            LaterRing.state,
            LaterRing.taken_by,
            LaterRing.taken_at,
        )
        .where(
            LaterRing.tenant_id == scope_of(session).tenant_id,
            LaterRing.contact_id == contact_id,
            LaterRing.id == ring_id,
        )
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("This contact waits for no such line.")
    if row.state != "waiting":
        raise SeenToAlready("Somebody has seen to it already.")
    return row


def _write(session: TenantSession, which: Any, **values: Any) -> int:
    send(session)
    changed = session.execute(
        update(LaterRing)
        .where(*_of(session, which))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    count: int = changed.rowcount  # type: ignore[attr-defined]
    return count


def _end(session: TenantSession, which: Any, state: str, now: datetime, **values: Any) -> int:
    by = scope_of(session).person_id
    return _write(session, which, state=state, ended_at=now, ended_by=by, **values)


def _trail(
    session: TenantSession, contact_id: UUID, what: str, now: datetime, **detail: Any
) -> None:
    record(
        session,
        now=now,
        action=f"handover:{what}",
        subject_kind="contact",
        subject_id=contact_id,
        detail=detail,
    )
