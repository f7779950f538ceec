"""Links between requests: parts of a whole, what follows what, what blocks what.

A link has a row on each side, also when the two live with different partners. Each side knows of
the other one what its followers know: number, service and state. A confidential request has links
only with confidential ones of the same partner. A request is part of one whole at most, and no
request is part of itself, however many lie between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import func, select, update

from regional311.audit.service import audit_row
from regional311.database.ids import new_id, parse_public_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.intake import lifecycle
from regional311.intake.models import LINK_KINDS, RequestLink, ServiceRequest

OTHER_SIDE: Final[Mapping[str, str]] = {
    "whole": "part",
    "part": "whole",
    "related": "related",
    "follows": "precedes",
    "precedes": "follows",
    "blocks": "blocked_by",
    "blocked_by": "blocks",
}
"""What a link is called on the other side."""

DEEPEST: Final = 5
"""Levels of parts within parts."""

MOST: Final = 100
"""Links of one request."""


class CannotLink(InvalidInput):
    """These two cannot be linked so: the same, a circle, or one of them is confidential."""


class NotLinked(Conflict):
    """There is no such link, or it has ended."""


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a link."""

    tenant_id: UUID
    id: UUID
    public_id: str
    service_key: str
    state: str
    confidential: bool


@dataclass(frozen=True, slots=True)
class Linked:
    """A link as the page of a request shows it."""

    id: UUID
    kind: str
    other_tenant_id: UUID
    other_id: UUID
    other_number: str
    other_service_key: str
    other_state: str

    @property
    def ended(self) -> bool:
        """Whether the other request has ended."""
        return self.other_state in lifecycle.CLOSED


def side_of(session: TenantSession, owner_id: UUID, number: str) -> Side:
    """Find a request by its number and owner, as the end of a link.

    Of another partner only what is not confidential can be found. Raises :class:`CannotLink`.
    """
    whole = parse_public_id(number, "R")
    here = scope_of(session).tenant_id
    with acting_for(session, owner_id):
        row = session.execute(
            select(
                ServiceRequest.tenant_id,
                ServiceRequest.id,
                ServiceRequest.public_id,
                ServiceRequest.service_key,
                ServiceRequest.state,
                ServiceRequest.confidential,
            ).where(ServiceRequest.tenant_id == owner_id, ServiceRequest.public_id == whole)
        ).one_or_none()
    if row is None or (row.confidential and owner_id != here):
        raise CannotLink(f"There is no request {number.strip()[:40]!r} there.", field="number")
    return Side(*row)


def link(
    session: TenantSession, one: Side, kind: str, other: Side, *, now: datetime
) -> tuple[UUID, UUID]:
    """Link two requests: to `one`, `other` is its `kind`. Give the ids of the two rows.

    `one` belongs to the bound tenant. Raises :class:`CannotLink`.
    """
    if kind not in LINK_KINDS:
        raise CannotLink(f"A link is one of {', '.join(LINK_KINDS)}.", field="kind")
    if one.id == other.id:
        raise CannotLink("A request has no link with itself.", field="number")
    if one.confidential != other.confidential or (
        one.confidential and one.tenant_id != other.tenant_id
    ):
        raise CannotLink(
            f"One of the two is confidential, and {other.public_id} would tell of it.",
            field="number",
        )
    if kind in ("whole", "part"):
        _check_family(session, *((other, one) if kind == "whole" else (one, other)))
    pair_id = uuid4()
    ids = []
    for mine, theirs, called in ((one, other, kind), (other, one, OTHER_SIDE[kind])):
        with acting_for(session, mine.tenant_id):
            ids.append(_write(session, mine, theirs, called, pair_id, now))
    return ids[0], ids[1]


def _write(
    session: TenantSession, mine: Side, theirs: Side, kind: str, pair_id: UUID, now: datetime
) -> UUID:
    """Write one side's row; both sides count."""
    send(session)
    counted = session.execute(
        update(ServiceRequest)
        .where(ServiceRequest.tenant_id == mine.tenant_id, ServiceRequest.id == mine.id)
        .values(linked=ServiceRequest.linked + 1)
        .returning(ServiceRequest.linked)
        .execution_options(synchronize_session=False)
    ).scalar_one()
    if counted > MOST:
        raise CannotLink(f"{mine.public_id} has {MOST} links already.", field="number")
    known = session.execute(
        select(RequestLink.kind, RequestLink.other_id).where(
            RequestLink.tenant_id == mine.tenant_id,
            RequestLink.request_id == mine.id,
            RequestLink.ended_at.is_(None),
        )
    ).all()
    if any(each.other_id == theirs.id for each in known):
        raise CannotLink(
            f"{mine.public_id} and {theirs.public_id} are linked already.", field="number"
        )
    if kind == "whole" and any(each.kind == "whole" for each in known):
        raise CannotLink(f"{mine.public_id} is part of another request already.", field="number")
    link_id = new_id()
    put(
        session,
        new_row(
            RequestLink,
            tenant_id=mine.tenant_id,
            id=link_id,
            pair_id=pair_id,
            request_id=mine.id,
            kind=kind,
            other_tenant_id=theirs.tenant_id,
            other_id=theirs.id,
            other_number=theirs.public_id,
            other_service_key=theirs.service_key,
            other_state=theirs.state,
            made_at=now,
            made_by=scope_of(session).person_id,
        ),
        audit_row(
            mine.tenant_id,
            at=now,
            action="request:link",
            subject_kind="request",
            subject_id=mine.id,
            person_id=scope_of(session).person_id,
            detail={"kind": kind, "number": theirs.public_id},
        ),
    )
    return link_id


def _check_family(session: TenantSession, whole: Side, part: Side) -> None:
    """Refuse a circle, and more levels than anybody can follow.

    All who make families wait for each other, so that two links cannot close a circle at once.
    """
    send(session)
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext("request families"))))
    above = 1
    tenant_id, request_id = whole.tenant_id, whole.id
    while True:
        if request_id == part.id:
            raise CannotLink(
                f"{whole.public_id} is itself a part of {part.public_id}.", field="number"
            )
        with acting_for(session, tenant_id):
            up = session.execute(
                select(RequestLink.other_tenant_id, RequestLink.other_id).where(
                    RequestLink.tenant_id == tenant_id,
                    RequestLink.request_id == request_id,
                    RequestLink.kind == "whole",
                    RequestLink.ended_at.is_(None),
                )
            ).one_or_none()
        if up is None:
            break
        tenant_id, request_id = up
        above += 1
    if above + _levels_below(session, part, DEEPEST) > DEEPEST:
        raise CannotLink(f"Parts within parts go {DEEPEST} deep at most.", field="number")


def _levels_below(session: TenantSession, part: Side, most: int) -> int:
    level, ends = 0, [(part.tenant_id, part.id)]
    while ends and level <= most:
        level += 1
        below: list[tuple[UUID, UUID]] = []
        for tenant_id in sorted({each[0] for each in ends}):
            with acting_for(session, tenant_id):
                below.extend(
                    (row.other_tenant_id, row.other_id)
                    for row in session.execute(
                        select(RequestLink.other_tenant_id, RequestLink.other_id).where(
                            RequestLink.tenant_id == tenant_id,
                            RequestLink.request_id.in_(
                                [each[1] for each in ends if each[0] == tenant_id]
                            ),
                            RequestLink.kind == "part",
                            RequestLink.ended_at.is_(None),
                        )
                    )
                )
        ends = below
    return level


def unlink(session: TenantSession, request_id: UUID, link_id: UUID, *, now: datetime) -> str:
    """End a link on both sides; give the other one's number. Raises :class:`NotLinked`."""
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(
            RequestLink.pair_id,
            RequestLink.other_tenant_id,
            RequestLink.other_id,
            RequestLink.other_number,
        ).where(
            RequestLink.tenant_id == tenant_id,
            RequestLink.id == link_id,
            RequestLink.request_id == request_id,
            RequestLink.ended_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        raise NotLinked("There is no such link any more.")
    for owner_id, mine in ((tenant_id, request_id), (row.other_tenant_id, row.other_id)):
        with acting_for(session, owner_id):
            send(session)
            ended = session.execute(
                update(RequestLink)
                .where(
                    RequestLink.tenant_id == owner_id,
                    RequestLink.pair_id == row.pair_id,
                    RequestLink.request_id == mine,
                    RequestLink.ended_at.is_(None),
                )
                .values(ended_at=now)
                .returning(RequestLink.id)
                .execution_options(synchronize_session=False)
            ).first()
            if ended is None:
                raise NotLinked("There is no such link any more.")
            session.execute(
                update(ServiceRequest)
                .where(ServiceRequest.tenant_id == owner_id, ServiceRequest.id == mine)
                .values(linked=ServiceRequest.linked - 1)
                .execution_options(synchronize_session=False)
            )
            mark_changed(session)
            put(
                session,
                audit_row(
                    owner_id,
                    at=now,
                    action="request:unlink",
                    subject_kind="request",
                    subject_id=mine,
                    person_id=scope_of(session).person_id,
                    detail={} if owner_id != tenant_id else {"number": row.other_number},
                ),
            )
    return str(row.other_number)


def links(session: TenantSession, request_id: UUID) -> list[Linked]:
    """Give the links of a request, parts first, in the order in which they were made.

    One statement.
    """
    rows = session.execute(
        select(
            RequestLink.id,
            RequestLink.kind,
            RequestLink.other_tenant_id,
            RequestLink.other_id,
            RequestLink.other_number,
            RequestLink.other_service_key,
            RequestLink.other_state,
        )
        .where(
            RequestLink.tenant_id == scope_of(session).tenant_id,
            RequestLink.request_id == request_id,
            RequestLink.ended_at.is_(None),
        )
        .order_by(RequestLink.id)
    )
    return sorted((Linked(*row) for row in rows), key=lambda each: LINK_KINDS.index(each.kind))


def open_parts(known: Sequence[Linked]) -> list[Linked]:
    """Give the parts that have not ended."""
    return [each for each in known if each.kind == "part" and not each.ended]


def tell_linked(session: TenantSession, request: Any, *, now: datetime) -> None:
    """Let every request that is linked with this one know its state.

    A whole has it in its history when a part of it ends.
    """
    tenant_id, request_id, state = request.tenant_id, request.id, request.state
    number = request.public_id
    rows = session.execute(
        select(
            RequestLink.pair_id,
            RequestLink.kind,
            RequestLink.other_tenant_id,
            RequestLink.other_id,
        ).where(
            RequestLink.tenant_id == tenant_id,
            RequestLink.request_id == request_id,
            RequestLink.ended_at.is_(None),
        )
    ).all()
    for owner_id in sorted({each.other_tenant_id for each in rows}):
        theirs = [each for each in rows if each.other_tenant_id == owner_id]
        with acting_for(session, owner_id):
            send(session)
            session.execute(
                update(RequestLink)
                .where(
                    RequestLink.tenant_id == owner_id,
                    RequestLink.pair_id.in_([each.pair_id for each in theirs]),
                    RequestLink.other_id == request_id,
                )
                .values(other_state=state)
                .execution_options(synchronize_session=False)
            )
            mark_changed(session)
            for each in theirs:
                if each.kind == "whole" and state in lifecycle.CLOSED:
                    put(
                        session,
                        audit_row(
                            owner_id,
                            at=now,
                            action="request:part_ended",
                            subject_kind="request",
                            subject_id=each.other_id,
                            detail={"number": number, "to": state},
                        ),
                    )


def end_all(session: TenantSession, request_id: UUID, *, now: datetime) -> None:
    """End every link of a request of the bound partner, on both sides."""
    for each in links(session, request_id):
        unlink(session, request_id, each.id, now=now)


def move(
    session: TenantSession, request_id: UUID, *, to: UUID, service_key: str, now: datetime
) -> None:
    """Let the links of a request go with it to another partner, who has it under the same id."""
    tenant_id = scope_of(session).tenant_id
    send(session)
    rows = session.execute(
        update(RequestLink)
        .where(
            RequestLink.tenant_id == tenant_id,
            RequestLink.request_id == request_id,
            RequestLink.ended_at.is_(None),
        )
        .values(ended_at=now)
        .returning(*RequestLink.__table__.c)
        .execution_options(synchronize_session=False)
    ).all()
    if not rows:
        return
    session.execute(
        update(ServiceRequest)
        .where(ServiceRequest.tenant_id == tenant_id, ServiceRequest.id == request_id)
        .values(linked=0)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    for owner_id in sorted({row.other_tenant_id for row in rows}):
        with acting_for(session, owner_id):
            session.execute(
                update(RequestLink)
                .where(
                    RequestLink.tenant_id == owner_id,
                    RequestLink.pair_id.in_([row.pair_id for row in rows]),
                    RequestLink.other_id == request_id,
                )
                .values(other_tenant_id=to, other_service_key=service_key)
                .execution_options(synchronize_session=False)
            )
            mark_changed(session)
    with acting_for(session, to):
        put(
            session,
            *(
                new_row(
                    RequestLink,
                    **{**row._asdict(), "tenant_id": to, "id": new_id(), "ended_at": None},
                )
                for row in rows
            ),
        )
        send(session)
        session.execute(
            update(ServiceRequest)
            .where(ServiceRequest.tenant_id == to, ServiceRequest.id == request_id)
            .values(linked=ServiceRequest.linked + len(rows))
            .execution_options(synchronize_session=False)
        )
        mark_changed(session)


def own_side(session: TenantSession, request_id: UUID) -> Side:
    """Give one's own request as the end of a link. Raises :class:`NotFound`."""
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(
            ServiceRequest.tenant_id,
            ServiceRequest.id,
            ServiceRequest.public_id,
            ServiceRequest.service_key,
            ServiceRequest.state,
            ServiceRequest.confidential,
        ).where(ServiceRequest.tenant_id == tenant_id, ServiceRequest.id == request_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such request.")
    return Side(*row)
