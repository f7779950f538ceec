"""Ring a live contact through to another partner's desk: answered there, or back.

A row on each side with the same id, both changed in one transaction. The receiver's row is locked
first, whoever acts, and the first to change it from `ringing` has done it: there are never two
takers, and what was taken over cannot be withdrawn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import IntegrityError

from regional311.audit.service import record
from regional311.cover import later_rings
from regional311.cover.models import Handover
from regional311.database.ids import new_id, public_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, KeyReused, NotFound
from regional311.exchange.service import ERASED
from regional311.intake.models import Contact, Transfer
from regional311.intake.needs import settle
from regional311.intake.service import ContactEnded, start_contact
from regional311.metering import service as metering
from regional311.metering.models import UsageEvent
from regional311.tenancy.queries import local_day

RINGS: Final = timedelta(minutes=3)
"""How long a desk is rung before the contact counts as unanswered and goes back."""
LONGEST_REASON: Final = 500
LONGEST_NOTE: Final = 4000


class AnsweredAlready(Conflict):
    """Somebody took it over, let it pass, or it was withdrawn: only the first counts."""


class RingsAlready(Conflict):
    """This contact rings at a desk already."""


@dataclass(frozen=True, slots=True)
class Rung:
    """Who is rung, with what: ``line`` is ``partner/key``, ``number`` what its line is called by.

    ``shared`` is exactly what goes along, ``consent_id`` the consent that some of it rests on.
    """

    to: UUID
    slug: str
    line: str
    number: str
    shared: Mapping[str, Any]
    person_id: UUID | None = None
    person_name: str | None = None
    reason: str | None = None
    consent_id: UUID | None = None


def ring(session: TenantSession, contact_id: UUID, rung: Rung, *, now: datetime) -> str:
    """Ring another partner's desk for an open contact; give the hand-over's number.

    Ringing the same partner again is another attempt of the same hand-over.

    :raises RingsAlready: while the contact rings somewhere.
    :raises ContactEnded: when it has ended, and the partner's line is not waited for.
    """
    scope = scope_of(session)
    contact = session.execute(
        select(Contact.channel, Contact.language, Contact.ended_at)
        .where(Contact.tenant_id == scope.tenant_id, Contact.id == contact_id)
        .with_for_update()
    ).one_or_none()
    if contact is None:
        raise NotFound("There is no such contact.")
    if contact.ended_at is not None and not later_rings.waits(session, contact_id, rung.slug):
        raise ContactEnded("This contact has ended already.")
    if rung.to == scope.tenant_id:
        raise InvalidInput("Choose another partner.", field="to")
    reason = (rung.reason or "").strip()[:LONGEST_REASON] or None
    _give_up(session, contact_id, now)
    before = session.execute(
        select(Handover.id, Handover.public_id, Handover.attempts, Handover.state)
        .where(
            Handover.tenant_id == scope.tenant_id,
            Handover.contact_id == contact_id,
            Handover.side == "out",
            Handover.partner_id == rung.to,
        )
        .order_by(Handover.started_at.desc())
        .limit(1)
    ).one_or_none()
    attempt = {
        "at": now.isoformat(),
        "to": rung.person_name or rung.line,
        "ended_at": None,
        "result": None,
    }
    values: dict[str, Any] = {
        "line": rung.line,
        "person_id": rung.person_id,
        "person_name": rung.person_name,
        "shared": dict(rung.shared),
        "consent_id": rung.consent_id,
        "consent_ended": None,
        "consent_ended_at": None,
        "stop_seen_at": None,
        "stop_seen_by": None,
        "reason": reason,
        "state": "ringing",
        "rings_until": now + RINGS,
        "ended_at": None,
        "return_reason": None,
    }
    try:
        if before is not None and before.state != "taken_over":
            number, handover_id = before.public_id, before.id
            if before.state == "ringing":
                raise RingsAlready("This contact rings there already.")
            values["attempts"] = [*before.attempts, attempt]
            _both(session, handover_id, rung.to, scope.tenant_id, values)
        else:
            number, handover_id = public_id("W"), new_id()
            fixed: dict[str, Any] = {
                "id": handover_id,
                "public_id": number,
                "channel": contact.channel,
                "language": contact.language,
                "attempts": [attempt],
                "started_at": now,
                "taken_by": None,
                "taken_name": None,
                "client_id": None,
                "incident": None,
                "digest": None,
                "told": None,
                **values,
            }
            put(
                session,
                new_row(
                    Handover,
                    tenant_id=scope.tenant_id,
                    side="out",
                    partner_id=rung.to,
                    contact_id=contact_id,
                    **fixed,
                ),
            )
            send(session)
            with acting_for(session, rung.to):
                put(
                    session,
                    new_row(
                        Handover,
                        tenant_id=rung.to,
                        side="in",
                        partner_id=scope.tenant_id,
                        contact_id=None,
                        **fixed,
                    ),
                )
    except IntegrityError as error:
        if "uq_handovers_ringing" not in str(error.orig):
            raise
        raise RingsAlready("This contact rings at another desk already.") from error
    _offered(session, contact_id, rung, now)
    _trail(session, handover_id, "ring", now, contact_id, attempt=attempt["to"])
    return str(number)


def _give_up(session: TenantSession, contact_id: UUID, now: datetime) -> None:
    """End a ring of the contact whose time is over and that the worker has not given back yet."""
    over = session.execute(
        select(Handover.public_id, Handover.partner_id).where(
            Handover.tenant_id == scope_of(session).tenant_id,
            Handover.contact_id == contact_id,
            Handover.side == "out",
            Handover.state == "ringing",
            Handover.rings_until <= now,
        )
    ).one_or_none()
    if over is None:
        return
    with acting_for(session, over.partner_id):
        row = _mine(session, over.public_id, "in")
        if row.state == "ringing":
            _end(session, row, "unanswered", now)


def _offered(session: TenantSession, contact_id: UUID, rung: Rung, now: datetime) -> None:
    """See to it that the contact has an offered transfer to this partner."""
    tenant_id = scope_of(session).tenant_id
    there = session.execute(
        select(Transfer.id).where(
            Transfer.tenant_id == tenant_id,
            Transfer.contact_id == contact_id,
            Transfer.target == rung.slug,
            Transfer.result == "offered",
        )
    ).first()
    if there is None:
        put(
            session,
            new_row(
                Transfer,
                tenant_id=tenant_id,
                id=new_id(),
                contact_id=contact_id,
                need_id=None,
                kind="warm",
                target=rung.slug,
                number=rung.number,
                result="offered",
                at=now,
            ),
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """The contact that was opened at the desk which took over."""

    contact_id: UUID
    contact_number: str


def take_over(session: TenantSession, number: str, *, name: str, note: str, now: datetime) -> Taken:
    """Take a ringing hand-over at the bound partner's desk and open its contact here.

    ``name`` is who takes it, as the other side reads it; ``note`` the shared summary in words.
    What 911 brought has its contact already and is claimed. Taken over by the same person before,
    it is that contact again.

    :raises AnsweredAlready: when somebody else was first.
    """
    scope = scope_of(session)
    row = _mine(session, number, "in")
    if row.state == "taken_over" and row.taken_by == scope.person_id is not None:
        return _taken_before(session, row)
    if row.state != "ringing":
        raise AnsweredAlready(
            f"{row.taken_name} has taken it over."
            if row.state == "taken_over"
            else "It does not ring any more."
        )
    if row.person_id is not None and row.person_id != scope.person_id:
        raise AnsweredAlready(f"It rings for {row.person_name}.")
    waited = max(0, int((now - _rang_at(row)).total_seconds()))
    if row.contact_id is not None:
        contact = session.execute(
            update(Contact)
            .where(Contact.tenant_id == scope.tenant_id, Contact.id == row.contact_id)
            .values(specialist_id=scope.person_id, wait_seconds=waited, version=Contact.version + 1)
            .returning(Contact.id, Contact.public_id)
            .execution_options(synchronize_session=False)
        ).one()
        mark_changed(session)
        taken = Taken(contact.id, contact.public_id)
    else:
        started = start_contact(
            session,
            now=now,
            channel=row.channel,
            language=row.language,
            line_key=row.line.partition("/")[2] or None,
            line_owner_id=scope.tenant_id,
            wait_seconds=waited,
        )
        send(session)
        if note:
            session.execute(
                update(Contact)
                .where(Contact.tenant_id == scope.tenant_id, Contact.id == started.id)
                .values(note=note[:LONGEST_NOTE], call_type="transfer")
                .execution_options(synchronize_session=False)
            )
            mark_changed(session)
        taken = Taken(started.id, started.public_id)
    values = {
        "state": "taken_over",
        "ended_at": now,
        "taken_by": scope.person_id,
        "taken_name": name[:200],
        "attempts": _finished(row.attempts, "taken_over", now),
    }
    told = note[:LONGEST_NOTE] if row.contact_id is None else ""
    _write(session, row.id, values | {"contact_id": taken.contact_id, "told": told or None})
    _trail(session, row.id, "take", now, taken.contact_id)
    if row.partner_id is not None:
        with acting_for(session, row.partner_id):
            _write(session, row.id, values)
            _transferred(session, row.id, "taken_over", now)
    return taken


def _taken_before(session: TenantSession, row: Any) -> Taken:
    """What the same person has taken over already: a second click is the same as the first."""
    contact = session.execute(
        select(Contact.id, Contact.public_id).where(
            Contact.tenant_id == row.tenant_id, Contact.id == row.contact_id
        )
    ).one()
    return Taken(contact.id, contact.public_id)


def pass_on(session: TenantSession, number: str, *, reason: str, now: datetime) -> None:
    """Let a ringing hand-over go back, with the reason that the other desk reads.

    :raises AnsweredAlready: when it does not ring any more.
    """
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise InvalidInput("Say why, in a line or two.", field="reason")
    row = _mine(session, number, "in")
    if row.partner_id is None:
        raise InvalidInput("What 911 has handed over is taken, not returned.", field="reason")
    if row.state != "ringing":
        raise AnsweredAlready("It does not ring any more.")
    _end(session, row, "returned", now, return_reason=reason)


def withdraw(
    session: TenantSession,
    number: str,
    *,
    now: datetime,
    contact_id: UUID | None = None,
    unanswered: bool = False,
) -> None:
    """Stop ringing, from the side that rang: nobody answers, or the person is helped otherwise.

    With ``contact_id`` it must be a hand-over of that contact.

    :raises AnsweredAlready: when it was taken over meanwhile.
    """
    mine = _mine(session, number, "out", lock=False)
    if contact_id not in (None, mine.contact_id):
        raise NotFound("This contact has no such hand-over.")
    with acting_for(session, mine.partner_id):
        row = _mine(session, number, "in")
        if row.state != "ringing":
            raise AnsweredAlready("It does not ring any more.")
        _end(session, row, "unanswered" if unanswered else "withdrawn", now)


def lapse(session: TenantSession, now: datetime) -> int:
    """Give back what nobody at the bound partner's desk has answered; for the worker."""
    due = session.execute(
        select(Handover.__table__)
        .where(
            Handover.tenant_id == scope_of(session).tenant_id,
            Handover.side == "in",
            Handover.state == "ringing",
            Handover.rings_until <= now,
        )
        .order_by(Handover.id)
        .with_for_update(skip_locked=True)
    ).all()
    for row in due:
        _end(session, row, "unanswered", now)
    return len(due)


def _end(session: TenantSession, row: Any, state: str, now: datetime, **more: Any) -> None:
    """End a ring on both sides; the bound partner is the one that was rung."""
    result = "returned" if state in ("returned", "unanswered") else "refused"
    values = {
        "state": state,
        "ended_at": now,
        "attempts": _finished(row.attempts, state, now),
        **more,
    }
    _write(session, row.id, values)
    _trail(session, row.id, state, now, None)
    with acting_for(session, row.partner_id):
        _write(session, row.id, values)
        _transferred(session, row.id, result, now)


def _transferred(session: TenantSession, handover_id: UUID, result: str, now: datetime) -> None:
    """Say at the side that rang what came of it, of the transfers to who was rung; meter it.

    What the contact was offered with others stays as it is.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(Handover.contact_id, Handover.partner_id, Handover.line).where(
            Handover.tenant_id == tenant_id, Handover.id == handover_id
        )
    ).one()
    slug = row.line.partition("/")[0]
    changed = session.execute(
        update(Transfer)
        .where(
            Transfer.tenant_id == tenant_id,
            Transfer.contact_id == row.contact_id,
            Transfer.target == slug,
            Transfer.result == "offered",
        )
        .values(result=result)
        .returning(Transfer.need_id)
        .execution_options(synchronize_session=False)
    ).scalars()
    needs = sorted({need_id for need_id in changed if need_id is not None})
    mark_changed(session)
    for need_id in needs:
        settle(session, need_id)
    _trail(session, handover_id, f"told-{result.replace('_', '-')}", now, row.contact_id)
    if result == "taken_over":
        later_rings.taken_over(session, row.contact_id, slug, now=now)
        _meter(session, handover_id, row, slug, now)


def _meter(session: TenantSession, handover_id: UUID, row: Any, slug: str, now: datetime) -> None:
    """Record a warm transfer that was taken over, unless filing a need has recorded it.

    Each desk that takes a contact over is work of its own. A transfer that a rule decided was
    recorded when its need was filed: being taken over is then the same work, not more of it.
    """
    tenant_id = scope_of(session).tenant_id
    taken = list(
        session.execute(
            select(Handover.id).where(
                Handover.tenant_id == tenant_id,
                Handover.contact_id == row.contact_id,
                Handover.side == "out",
                Handover.partner_id == row.partner_id,
                Handover.state == "taken_over",
            )
        ).scalars()
    )
    filed = session.execute(
        select(Transfer.need_id).where(
            Transfer.tenant_id == tenant_id,
            Transfer.contact_id == row.contact_id,
            Transfer.target == slug,
            Transfer.need_id.is_not(None),
        )
    ).scalars()
    keys = {f"contact:{row.contact_id}:transfer:{need_id}" for need_id in filed}
    keys |= {_source(each) for each in taken}
    recorded = session.execute(
        select(func.count()).where(
            UsageEvent.tenant_id == tenant_id,
            UsageEvent.contact_id == row.contact_id,
            UsageEvent.activity == metering.WARM_TRANSFER,
            UsageEvent.source_key.in_(sorted(keys)),
        )
    ).scalar_one()
    if recorded >= len(taken):
        return
    contact = session.execute(
        select(
            Contact.channel,
            Contact.language,
            Contact.after_hours,
            Contact.line_owner_id,
            Contact.started_at,
        ).where(Contact.tenant_id == tenant_id, Contact.id == row.contact_id)
    ).one()
    metering.record(
        session,
        metering.Usage(
            source_key=_source(handover_id),
            activity=metering.WARM_TRANSFER,
            channel=contact.channel,
            language=contact.language,
            after_hours=contact.after_hours,
            service_owner_id=row.partner_id,
            line_owner_id=contact.line_owner_id,
            contact_id=row.contact_id,
            subject_id=row.contact_id,
            occurred_at=contact.started_at,
            received_at=now,
            booked_on=local_day(session, now),
        ),
    )


def _source(handover_id: UUID) -> str:
    return f"handover:{handover_id}:transfer:1"


# --- the end of its consent -----------------------------------------------------------------------


class NothingToStop(Conflict):
    """The consent that this hand-over rests on holds, or its end was seen before."""


def forget(session: TenantSession, consent_id: UUID, *, why: str, now: datetime) -> int:
    """Erase where they went the hand-overs that rest on a consent of the bound partner's.

    What still rings stops. A desk that took it over reads that it may not use it any more, and says
    that it has seen so; where nobody did, nobody is asked. ``why`` is revoked or expired.
    Gives how many there were.
    """
    tenant_id = scope_of(session).tenant_id
    send(session)
    found = session.execute(
        select(Handover.id, Handover.public_id, Handover.partner_id)
        .where(
            Handover.tenant_id == tenant_id,
            Handover.consent_id == consent_id,
            Handover.side == "out",
        )
        .order_by(Handover.id)
    ).all()
    ended: dict[str, Any] = {"consent_ended": why, "consent_ended_at": now}
    for each in found:
        with acting_for(session, each.partner_id):
            row = _mine(session, each.public_id, "in")
            if row.state == "ringing":
                _end(session, row, "withdrawn", now)
            ended["stop_seen_at"] = None if row.state == "taken_over" else now
            _write(session, row.id, {**ended, "shared": ERASED, "reason": None, "told": None})
            if row.told and row.contact_id is not None:
                _forget_note(session, row.contact_id, row.told)
            _trail(session, row.id, "erase", now, row.contact_id)
        _write(session, each.id, ended)
    return len(found)


def mark(
    session: TenantSession, contacts: Collection[UUID], said: Mapping[str, Any], *, now: datetime
) -> list[tuple[UUID, UUID]]:
    """Say something of the person in what went along with contacts, on both sides.

    Gives the partners who took one over, each with its own contact, also where the consent has
    ended: their contact goes on. What may not be used any more stays as it is.
    """
    new = Handover.consent_ended_at.is_(None) & ~Handover.shared.contains(dict(said))
    rows = session.execute(
        select(Handover.id, Handover.partner_id, new.label("new"))
        .where(
            Handover.tenant_id == scope_of(session).tenant_id,
            Handover.contact_id.in_(contacts),
            Handover.side == "out",
        )
        .order_by(Handover.id)
    ).all()
    shared = {"shared": Handover.shared.op("||")(literal(dict(said), type_=JSONB))}
    taken = []
    for each in rows:
        with acting_for(session, each.partner_id):
            if each.new:
                _write(session, each.id, shared)
            there = session.execute(
                select(Handover.contact_id).where(
                    Handover.tenant_id == each.partner_id, Handover.id == each.id
                )
            ).scalar_one()
            if each.new:
                _trail(session, each.id, "prohibit", now, there)
        if each.new:
            _write(session, each.id, shared)
        if there is not None:
            taken.append((each.partner_id, there))
    return taken


def _forget_note(session: TenantSession, contact_id: UUID, told: str) -> None:
    tenant_id = scope_of(session).tenant_id
    note = session.execute(
        select(Contact.note)
        .where(Contact.tenant_id == tenant_id, Contact.id == contact_id)
        .with_for_update()
    ).scalar_one()
    session.execute(
        update(Contact)
        .where(Contact.tenant_id == tenant_id, Contact.id == contact_id)
        .values(note=without(note or "", told) or None, version=Contact.version + 1)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def without(note: str, told: str) -> str:
    r"""Give a note without the lines that a hand-over wrote into it.

    >>> without("Name: Dana\nBed found at St Johns", "Needs a bed\nName: Dana")
    'Bed found at St Johns'
    """
    gone = {line.strip() for line in told.splitlines()}
    return "\n".join(line for line in note.splitlines() if line.strip() not in gone).strip()


def stop_seen(session: TenantSession, number: str, *, now: datetime) -> None:
    """Say, as who was rung, that what came along is not used any more; who rang sees that.

    :raises NothingToStop: when nothing was taken back, or it was said before.
    """
    row = _mine(session, number, "in")
    if row.consent_ended_at is None or row.stop_seen_at is not None or row.partner_id is None:
        raise NothingToStop("There is nothing to confirm here.")
    _write(session, row.id, {"stop_seen_at": now, "stop_seen_by": scope_of(session).person_id})
    _trail(session, row.id, "stop-seen", now, row.contact_id)
    with acting_for(session, row.partner_id):
        _write(session, row.id, {"stop_seen_at": now})


def _finished(attempts: list[dict[str, Any]], result: str, now: datetime) -> list[dict[str, Any]]:
    """The attempts with the last one ended.

    >>> from datetime import UTC
    >>> _finished([{"at": "", "result": None}], "unanswered", datetime(2026, 1, 1, tzinfo=UTC))
    [{'at': '', 'result': 'unanswered', 'ended_at': '2026-01-01T00:00:00+00:00'}]
    """
    if not attempts:
        return []
    return [*attempts[:-1], {**attempts[-1], "result": result, "ended_at": now.isoformat()}]


def _rang_at(row: Any) -> datetime:
    """When the last ring began."""
    if not row.attempts:
        return row.started_at  # type: ignore[no-any-return]
    return datetime.fromisoformat(row.attempts[-1]["at"])


def _mine(session: TenantSession, number: str, side: str, *, lock: bool = True) -> Any:
    statement = select(Handover.__table__).where(
        Handover.tenant_id == scope_of(session).tenant_id,
        Handover.public_id == number,
        Handover.side == side,
    )
    row = session.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise NotFound("There is no such hand-over here.")
    return row


def _both(
    session: TenantSession, handover_id: UUID, to: UUID, sender: UUID, values: dict[str, Any]
) -> None:
    """Change both rows, the receiver's first: it is where everybody meets."""
    for tenant_id in (to, sender):
        with acting_for(session, tenant_id):
            _write(session, handover_id, values)


def _write(session: TenantSession, handover_id: UUID, values: dict[str, Any]) -> None:
    send(session)
    session.execute(
        update(Handover)
        .where(Handover.tenant_id == scope_of(session).tenant_id, Handover.id == handover_id)
        .values(**values),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)


def _trail(
    session: TenantSession,
    handover_id: UUID,
    what: str,
    now: datetime,
    contact_id: UUID | None,
    **detail: Any,
) -> None:
    record(
        session,
        now=now,
        action=f"handover:{what}",
        subject_kind="contact" if contact_id else "handover",
        subject_id=contact_id or handover_id,
        detail={"handover": str(handover_id), **detail},
    )


# --- what 911 hands over --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Brought:
    """A call that a 911 center hands over because it is no emergency."""

    incident: str
    reason: str
    channel: str
    language: str
    shared: Mapping[str, Any]
    digest: str


def bring(
    session: TenantSession,
    client_id: UUID,
    brought: Brought,
    *,
    line_key: str | None,
    after_hours: bool,
    now: datetime,
) -> tuple[str, bool]:
    """Put what 911 hands over into the bound partner's waiting list, as a contact with its reason.

    Give the hand-over's number, and whether it is new: the same incident again is the same one,
    also when it comes twice at once, because the second waits for what became of the first.

    :raises KeyReused: when the incident came before with other content.
    """
    known = _brought(session, client_id, brought)
    if known is not None:
        return known, False
    scope = scope_of(session)
    contact_id, handover_id, number = new_id(), new_id(), public_id("W")
    send(session)
    first = session.execute(
        insert(Contact)
        .values(
            tenant_id=scope.tenant_id,
            id=contact_id,
            public_id=public_id("C"),
            source_key=f"911:{client_id}:{brought.incident}",
            line_key=line_key,
            line_owner_id=scope.tenant_id,
            channel=brought.channel,
            language=brought.language,
            started_at=now,
            after_hours=after_hours,
            specialist_id=None,
            call_type="transfer",
            note=f"911: {brought.reason}",
            version=1,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "source_key"])
        .returning(Contact.id)
    ).one_or_none()
    mark_changed(session)
    if first is None:
        known = _brought(session, client_id, brought)
        assert known is not None
        return known, False
    put(
        session,
        new_row(
            Handover,
            tenant_id=scope.tenant_id,
            id=handover_id,
            public_id=number,
            side="in",
            partner_id=None,
            contact_id=contact_id,
            channel=brought.channel,
            language=brought.language,
            line="",
            person_id=None,
            person_name=None,
            shared=dict(brought.shared),
            reason=brought.reason,
            state="ringing",
            attempts=[],
            rings_until=None,
            started_at=now,
            ended_at=None,
            taken_by=None,
            taken_name=None,
            return_reason=None,
            client_id=client_id,
            incident=brought.incident,
            digest=brought.digest,
            consent_id=None,
            told=None,
            consent_ended=None,
            consent_ended_at=None,
            stop_seen_at=None,
            stop_seen_by=None,
        ),
    )
    _trail(session, handover_id, "bring", now, contact_id, client=str(client_id))
    return number, True


def _brought(session: TenantSession, client_id: UUID, brought: Brought) -> str | None:
    """The number under which an incident came before, or nothing."""
    known = session.execute(
        select(Handover.public_id, Handover.digest).where(
            Handover.tenant_id == scope_of(session).tenant_id,
            Handover.client_id == client_id,
            Handover.incident == brought.incident,
        )
    ).one_or_none()
    if known is None:
        return None
    if known.digest != brought.digest:
        raise KeyReused(
            f"The incident {brought.incident} came before with other content.", field="incident"
        )
    return str(known.public_id)
