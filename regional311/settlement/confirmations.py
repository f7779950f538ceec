"""Balance confirmations: two partners say at a day what they owe each other, each by its own books.

One asks and states its figures; the other accepts them or states its own. A figure that differs is
a task on both sides, with somebody on each side who follows it up, until it is resolved.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update

from regional311.audit.service import record
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.identity.queries import members
from regional311.settlement import queries
from regional311.settlement.models import BalanceConfirmation, SettlementDifference
from regional311.settlement.relations import (
    both_ways,
    cleaned,
    deliver,
    lock_relations,
    parties,
    today_of,
)

STATES: Final = ("open", "explained", "resolved")
LONGEST_NOTE: Final = 2000
MOST_CENTS: Final = 10**13


class AlreadyAnswered(Conflict):
    """The other side has answered a confirmation; its figures stay."""


def figures(session: TenantSession, other_id: UUID, day: date) -> tuple[int, int]:
    """What another partner owes this one and is owed by it at a day, by this one's own rows."""
    claims = owes = 0
    for row in queries.documents(session, day, counterparty_id=other_id):
        if row.payer_kind == "partner":
            if row.side == "issued":
                claims += row.open.open_cents
            else:
                owes += row.open.open_cents
    return claims, owes


def ask(session: TenantSession, other_id: UUID, *, as_of_on: date, now: datetime) -> UUID:
    """Ask another partner to confirm the balance at a day; give the confirmation's id.

    :raises InvalidInput: when it is no other partner, or the day has not come.
    :raises Conflict: when that day was asked for already.
    """
    me = scope_of(session).tenant_id
    known = parties(session)
    if other_id not in known or known[other_id].kind == "region" or other_id == me:
        raise InvalidInput("Choose another partner of the region.", field="partner")
    if as_of_on > today_of(known[me], now):
        raise InvalidInput(f"{as_of_on.isoformat()} has not come yet.", field="as_of_on")
    lock_relations(session, both_ways(me, other_id))
    there = session.execute(
        select(BalanceConfirmation.public_id).where(
            BalanceConfirmation.tenant_id == me,
            BalanceConfirmation.counterparty_id == other_id,
            BalanceConfirmation.as_of_on == as_of_on,
        )
    ).scalars()
    if (first := next(iter(there), None)) is not None:
        raise Conflict(f"{first} asks for the balance of that day already.", field="as_of_on")
    claims, owes = figures(session, other_id, as_of_on)
    confirmation_id, number = new_id(), public_id("B")
    fields = {
        "id": confirmation_id,
        "public_id": number,
        "as_of_on": as_of_on,
        "state": "asked",
        "asked_at": now,
    }
    payload = {"number": number, "as_of_on": as_of_on.isoformat(), "claims": claims, "owes": owes}
    deliver(
        session,
        to=other_id,
        kind="balance",
        subject_id=confirmation_id,
        payload=payload,
        now=now,
    )
    put(
        session,
        BalanceConfirmation(
            tenant_id=me,
            counterparty_id=other_id,
            asked_by_us=True,
            claims_cents=claims,
            owes_cents=owes,
            stated_by=scope_of(session).person_id,
            **fields,
        ),
    )
    _note(session, confirmation_id, "ask", now)
    with acting_for(session, other_id):
        put(
            session,
            BalanceConfirmation(
                tenant_id=other_id,
                counterparty_id=me,
                asked_by_us=False,
                their_claims_cents=claims,
                their_owes_cents=owes,
                **fields,
            ),
        )
        _note(session, confirmation_id, "receive", now)
    return confirmation_id


def accept(session: TenantSession, confirmation_id: UUID, *, now: datetime) -> str:
    """Accept what the other side states, as our own figures; give the state, which is agreed."""
    row = _asked(session, confirmation_id)
    assert row.their_owes_cents is not None
    assert row.their_claims_cents is not None
    return _state(session, row, row.their_owes_cents, row.their_claims_cents, now)


def state_figures(
    session: TenantSession,
    confirmation_id: UUID,
    *,
    claims_cents: int,
    owes_cents: int,
    now: datetime,
) -> str:
    """State our own figures; give the state: agreed, or differs with a task for each difference.

    :raises InvalidInput: for an amount that is out of reason.
    """
    for field, cents in (("claims", claims_cents), ("owes", owes_cents)):
        if abs(cents) > MOST_CENTS:
            raise InvalidInput("This amount is out of reason.", field=field)
    return _state(session, _asked(session, confirmation_id), claims_cents, owes_cents, now)


def _state(
    session: TenantSession, row: BalanceConfirmation, claims: int, owes: int, now: datetime
) -> str:
    scope = scope_of(session)
    confirmation_id, other_id = row.id, row.counterparty_id
    their_claims, their_owes = row.their_claims_cents, row.their_owes_cents
    assert their_claims is not None
    assert their_owes is not None
    # what we claim they owe, and the other way round
    differences = [
        (new_id(), what, ours, theirs)
        for what, ours, theirs in (("claim", claims, their_owes), ("debt", owes, their_claims))
        if ours != theirs
    ]
    state = "differs" if differences else "agreed"
    deliver(
        session,
        to=other_id,
        kind="balance_answer",
        subject_id=confirmation_id,
        payload={"claims": claims, "owes": owes, "state": state},
        now=now,
    )
    for tenant_id in sorted({scope.tenant_id, other_id}):
        mine = tenant_id == scope.tenant_id
        with acting_for(session, tenant_id):
            values: dict[str, Any] = {"state": state, "answered_at": now}
            if mine:
                values |= {"claims_cents": claims, "owes_cents": owes, "stated_by": scope.person_id}
            else:
                values |= {"their_claims_cents": claims, "their_owes_cents": owes}
            session.execute(
                update(BalanceConfirmation)
                .where(
                    BalanceConfirmation.tenant_id == tenant_id,
                    BalanceConfirmation.id == confirmation_id,
                )
                .values(values)
                .execution_options(synchronize_session=False)
            )
            mark_changed(session)
            for difference_id, what, ours, theirs in differences:
                put(
                    session,
                    SettlementDifference(
                        tenant_id=tenant_id,
                        id=difference_id,
                        confirmation_id=confirmation_id,
                        what=what if mine else {"claim": "debt", "debt": "claim"}[what],
                        ours_cents=ours if mine else theirs,
                        theirs_cents=theirs if mine else ours,
                        changed_at=now,
                    ),
                )
            _note(session, confirmation_id, state, now)
    return state


def follow_up(
    session: TenantSession,
    difference_id: UUID,
    *,
    state: str,
    note: str,
    owner_id: UUID | None,
    now: datetime,
) -> None:
    """Say where a difference stands; both sides see state and note, each has its own owner.

    :raises NotFound: when this partner has no such difference.
    :raises InvalidInput: naming the field: state, note, owner.
    :raises Conflict: when it was resolved already.
    """
    me = scope_of(session).tenant_id
    if state not in STATES:
        raise InvalidInput(f"A difference is {', '.join(STATES)}.", field="state")
    told = cleaned(note, "note", LONGEST_NOTE, lines=True)
    if owner_id is not None and owner_id not in {
        each.person_id for each in members(session) if each.ended_at is None
    }:
        raise InvalidInput("Choose somebody who works here.", field="owner")
    found = session.execute(
        select(BalanceConfirmation.counterparty_id, BalanceConfirmation.id)
        .join(
            SettlementDifference,
            (SettlementDifference.tenant_id == BalanceConfirmation.tenant_id)
            & (SettlementDifference.confirmation_id == BalanceConfirmation.id),
        )
        .where(SettlementDifference.tenant_id == me, SettlementDifference.id == difference_id)
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such difference.")
    other_id, confirmation_id = found
    lock_relations(session, both_ways(me, other_id))
    now_is = session.execute(
        select(SettlementDifference.state).where(
            SettlementDifference.tenant_id == me, SettlementDifference.id == difference_id
        )
    ).scalar_one()
    if now_is == "resolved":
        raise Conflict("This difference was resolved already.", field="state")
    deliver(
        session,
        to=other_id,
        kind="balance_difference",
        subject_id=difference_id,
        payload={"state": state, "note": told},
        now=now,
    )
    for tenant_id in sorted({me, other_id}):
        with acting_for(session, tenant_id):
            values: dict[str, Any] = {"state": state, "note": told, "changed_at": now}
            if tenant_id == me:
                values["owner_id"] = owner_id
            session.execute(
                update(SettlementDifference)
                .where(
                    SettlementDifference.tenant_id == tenant_id,
                    SettlementDifference.id == difference_id,
                )
                .values(values)
                .execution_options(synchronize_session=False)
            )
            mark_changed(session)
            _note(session, confirmation_id, f"difference_{state}", now)


def _asked(session: TenantSession, confirmation_id: UUID) -> BalanceConfirmation:
    """What another partner asked of this one, locked and not answered yet."""
    me = scope_of(session).tenant_id
    query = select(BalanceConfirmation).where(
        BalanceConfirmation.tenant_id == me, BalanceConfirmation.id == confirmation_id
    )
    row = session.execute(query).scalar_one_or_none()
    if row is None:
        raise NotFound("There is no such confirmation.")
    lock_relations(session, both_ways(me, row.counterparty_id))
    fresh: BalanceConfirmation = session.execute(
        query.execution_options(populate_existing=True)
    ).scalar_one()
    if fresh.asked_by_us:
        raise Conflict("The other side answers what we have asked.")
    if fresh.state != "asked":
        raise AlreadyAnswered("This balance was answered already.")
    return fresh


def _note(session: TenantSession, confirmation_id: UUID, action: str, now: datetime) -> None:
    record(
        session,
        now=now,
        action=f"balance:{action}",
        subject_kind="balance",
        subject_id=confirmation_id,
    )


def confirmations(
    session: TenantSession, *, before: UUID | None = None, limit: int = 50
) -> list[BalanceConfirmation]:
    """A page of the confirmations that this partner asked for or was asked, the latest first."""
    me = scope_of(session).tenant_id
    query = select(BalanceConfirmation).where(BalanceConfirmation.tenant_id == me)
    if before is not None:
        query = query.where(BalanceConfirmation.id < before)
    return list(session.scalars(query.order_by(BalanceConfirmation.id.desc()).limit(limit)))


def differences(
    session: TenantSession, confirmation_id: UUID | None = None
) -> list[SettlementDifference]:
    """The differences of a confirmation, or all that are not resolved. One statement."""
    me = scope_of(session).tenant_id
    query = select(SettlementDifference).where(SettlementDifference.tenant_id == me)
    if confirmation_id is None:
        query = query.where(SettlementDifference.state != "resolved")
    else:
        query = query.where(SettlementDifference.confirmation_id == confirmation_id)
    return list(session.scalars(query.order_by(SettlementDifference.id)))


def waiting(session: TenantSession) -> int:
    """How many balances wait for this partner's answer. One statement."""
    return int(
        session.execute(
            select(func.count())
            .select_from(BalanceConfirmation)
            .where(
                BalanceConfirmation.tenant_id == scope_of(session).tenant_id,
                BalanceConfirmation.state == "asked",
                BalanceConfirmation.asked_by_us.is_(False),
            )
        ).scalar_one()
    )
