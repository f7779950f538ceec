"""Start, change and end emergencies and their drills, and keep the simplified log.

A drill writes its own rows and the trail, and nothing else: no contact, no decision, no usage.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, get_args
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from regional311.audit.service import record
from regional311.cover.emergency import LONGEST_HOURS, InForce, PlaceKind
from regional311.cover.models import Emergency, EmergencyEntry
from regional311.database.ids import new_id, public_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound, Stale
from regional311.tenancy.revision import raise_revision

PLACE_KINDS: Final = get_args(PlaceKind)
LONGEST_REASON: Final = 500
MOST_TEXT: Final = 4000


class EmergencyOver(Conflict):
    """The emergency has ended; what it did is not changed any more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an emergency says and does."""

    kind: str
    texts: Mapping[str, Mapping[str, str]]
    ends_at: datetime
    services: tuple[str, ...] = ()
    articles: tuple[str, ...] = ()
    places: tuple[Mapping[str, str], ...] = ()
    surges: tuple[tuple[str, str], ...] = ()

    def columns(self) -> dict[str, Any]:
        """The columns that hold it."""
        return {
            "kind": self.kind,
            "texts": {language: dict(said) for language, said in self.texts.items()},
            "ends_at": self.ends_at,
            "services": list(self.services),
            "articles": list(self.articles),
            "places": [dict(each) for each in self.places],
            "surges": [{"line": line, "answer": answer} for line, answer in self.surges],
        }


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to name in a plan: services and articles and lines as ``partner/key``.

    ``entries`` and ``locations`` are those of the directory that it may open or close: a partner's
    own, for the region everybody's.
    """

    kinds: Collection[str]
    services: Collection[str]
    lines: Collection[str]
    partners: Collection[str]
    entries: Collection[str] = ()
    locations: Collection[str] = ()


def start(
    session: TenantSession, plan: Plan, *, reason: str, drill: bool, known: Known, now: datetime
) -> str:
    """Start an emergency of the bound partner, or its drill; give its public number.

    :raises InvalidInput: naming the field: reason, kind, texts, ends_at, services, surges, places.
    """
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise InvalidInput("Say why, in a line or two.", field="reason")
    check_plan(plan, known, now)
    scope = scope_of(session)
    number, emergency_id = public_id("E"), new_id()
    put(
        session,
        new_row(
            Emergency,
            tenant_id=scope.tenant_id,
            id=emergency_id,
            public_id=number,
            drill=drill,
            reason=reason,
            started_at=now,
            started_by=scope.person_id,
            ended_at=None,
            ended_by=None,
            version=1,
            **plan.columns(),
        ),
    )
    raise_revision(session)
    record(
        session,
        now=now,
        action="emergency:start",
        subject_kind="emergency",
        subject_id=emergency_id,
        detail={
            "number": number,
            "kind": plan.kind,
            "drill": drill,
            "ends_at": plan.ends_at.isoformat(),
            "surges": [list(each) for each in plan.surges],
        },
    )
    return number


def change(
    session: TenantSession,
    emergency_id: UUID,
    plan: Plan,
    *,
    version: int,
    known: Known,
    now: datetime,
) -> None:
    """Change what an emergency says and does, also how long it is planned for.

    The trail keeps what it was, so that it can be put back.

    :raises EmergencyOver: when it has ended.
    :raises Stale: when somebody changed it since.
    """
    row = _row(session, emergency_id)
    if row.ended_at is not None or row.ends_at <= now:
        raise EmergencyOver("This emergency has ended.")
    check_plan(plan, known, now, started_at=row.started_at)
    after = plan.columns()
    before = {name: getattr(row, name) for name in after}
    if row.version != version:
        raise Stale(
            "Somebody else has changed this emergency.",
            current=before | {"version": row.version},
            submitted=after | {"version": version},
        )
    changed = [name for name in after if before[name] != after[name]]
    if not changed:
        return
    _write(session, emergency_id, {name: after[name] for name in changed})
    raise_revision(session)
    record(
        session,
        now=now,
        action="emergency:edit",
        subject_kind="emergency",
        subject_id=emergency_id,
        detail={
            "fields": changed,
            "before": {name: _plain(before[name]) for name in changed},
            "after": {name: _plain(after[name]) for name in changed},
        },
    )


def end(session: TenantSession, emergency_id: UUID, *, now: datetime) -> bool:
    """End an emergency at once; tell whether it was still on."""
    row = _row(session, emergency_id)
    if row.ended_at is not None:
        return False
    _end(session, row, at=min(now, row.ends_at), now=now, person_id=scope_of(session).person_id)
    return True


def end_due(session: TenantSession, now: datetime) -> int:
    """End the bound partner's emergencies that have come to their planned end; for the worker."""
    due = session.execute(
        select(Emergency.id, Emergency.ends_at, Emergency.drill)
        .where(
            Emergency.tenant_id == scope_of(session).tenant_id,
            Emergency.ended_at.is_(None),
            Emergency.ends_at <= now,
        )
        .with_for_update(skip_locked=True)
    ).all()
    for row in due:
        _end(session, row, at=row.ends_at, now=now, person_id=None)
    return len(due)


def _end(
    session: TenantSession, row: Any, *, at: datetime, now: datetime, person_id: UUID | None
) -> None:
    _write(session, row.id, {"ended_at": at, "ended_by": person_id})
    raise_revision(session)
    record(
        session,
        now=now,
        action="emergency:end",
        subject_kind="emergency",
        subject_id=row.id,
        detail={"planned": person_id is None, "drill": row.drill},
    )


def _write(session: TenantSession, emergency_id: UUID, values: dict[str, Any]) -> None:
    send(session)
    session.execute(
        update(Emergency)
        .where(Emergency.tenant_id == scope_of(session).tenant_id, Emergency.id == emergency_id)
        .values(version=Emergency.version + 1, **values),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)


def _row(session: TenantSession, emergency_id: UUID) -> Any:
    row = session.execute(
        select(Emergency.__table__)
        .where(Emergency.tenant_id == scope_of(session).tenant_id, Emergency.id == emergency_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("This partner has no such emergency.")
    return row


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def check_plan(
    plan: Plan, known: Known, now: datetime, *, started_at: datetime | None = None
) -> None:
    """Refuse a plan that names what there is not, or says nothing.

    :raises InvalidInput: naming the field.
    """
    if plan.kind not in known.kinds:
        raise InvalidInput("Choose one of the kinds listed.", field="kind")
    if not plan.texts or not any(said.get("title") for said in plan.texts.values()):
        raise InvalidInput("Say in at least one language what is the matter.", field="texts")
    for said in plan.texts.values():
        if len(said.get("title", "")) > 200 or len(said.get("text", "")) > MOST_TEXT:
            raise InvalidInput("The words are too long.", field="texts")
    if plan.ends_at <= now:
        raise InvalidInput("The planned end must lie ahead.", field="ends_at")
    if plan.ends_at - (started_at or now) > timedelta(hours=4 * LONGEST_HOURS):
        raise InvalidInput("Plan for at most four months in all.", field="ends_at")
    gone = next((each for each in plan.services if each not in known.services), None)
    if gone is not None:
        raise InvalidInput(f"There is no service {gone}.", field="services")
    for line, answer in plan.surges:
        partner, slash, _key = answer.partition("/")
        if line not in known.lines:
            raise InvalidInput(f"There is no line {line}.", field="surges")
        if answer == line or (not slash and partner == line.partition("/")[0]):
            raise InvalidInput("A line does not answer for itself.", field="surges")
        if answer != "voicemail" and (
            answer not in known.lines if slash else partner not in known.partners
        ):
            raise InvalidInput(f"Nobody is called {answer}.", field="surges")
    for place in plan.places:
        for name, there, what in (
            ("service", known.entries, "service"),
            ("location", known.locations, "location"),
        ):
            if place.get(name) and place[name] not in there:
                raise InvalidInput(
                    f"There is no {what} {place[name]} that this emergency could open or close.",
                    field="places",
                )
        if place.get("kind") not in PLACE_KINDS or not place.get("name"):
            raise InvalidInput("A place has a kind and a name.", field="places")


# --- the simplified log ---------------------------------------------------------------------------


def log_entry(
    session: TenantSession,
    emergency: InForce,
    *,
    form_key: str,
    service: str,
    area: str,
    note: str | None,
    danger: bool,
    contact_id: UUID | None,
    now: datetime,
) -> bool:
    """Keep one line of the log; tell whether it was new. A drill has no contact.

    :raises EmergencyOver: when the emergency is not on any more.
    :raises InvalidInput: when a drill names a contact.
    """
    if not emergency.on(now):
        raise EmergencyOver("This emergency has ended: log the contact at the desk.")
    if emergency.drill and contact_id is not None:
        raise InvalidInput("A drill makes no contact.", field="contact")
    scope = scope_of(session)
    send(session)
    new = session.execute(
        insert(EmergencyEntry)
        .values(
            tenant_id=scope.tenant_id,
            id=new_id(),
            emergency_id=emergency.id,
            form_key=form_key,
            contact_id=contact_id,
            service=service,
            area=area,
            note=(note or "").strip()[:500] or None,
            danger=danger,
            person_id=scope.person_id,
            at=now,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "form_key"])
        .returning(EmergencyEntry.id)
    ).one_or_none()
    mark_changed(session)
    return new is not None


def counted(session: TenantSession, emergency_id: UUID) -> list[tuple[str, str, int]]:
    """What this partner's people logged: area, service and how often, most first."""
    rows = session.execute(
        select(EmergencyEntry.area, EmergencyEntry.service, func.count())
        .where(
            EmergencyEntry.tenant_id == scope_of(session).tenant_id,
            EmergencyEntry.emergency_id == emergency_id,
        )
        .group_by(EmergencyEntry.area, EmergencyEntry.service)
        .order_by(func.count().desc(), EmergencyEntry.area, EmergencyEntry.service)
    )
    return [(area, service, count) for area, service, count in rows]
