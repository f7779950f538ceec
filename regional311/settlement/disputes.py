"""Disputes: a payer does not accept a part of a line, its issuer answers, both see one thread.

The payer opens and withdraws; the issuer upholds (the charge stands) or credits, which drafts a
credit memo that goes the way of every memo. Whoever prepared the statement decides nothing about
it. Each side has its own rows; what one side does reaches the other as an envelope and is written
into its rows in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update

from regional311.audit.service import record
from regional311.chargeback import memos
from regional311.chargeback.models import Statement, StatementEvent
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound
from regional311.identity.permissions import Permissions
from regional311.identity.queries import Member, who_may
from regional311.settlement import queries
from regional311.settlement.dispute import (
    CREDITED,
    REASONS,
    UPHELD,
    WITHDRAWN,
    Amounts,
    check_amount,
    check_in_time,
)
from regional311.settlement.models import Dispute, DisputeEvent, SettlementRelation
from regional311.settlement.relations import (
    both_ways,
    cleaned,
    deliver,
    lock_relations,
    parties,
    today_of,
)

LONGEST_TEXT: Final = 4000


class PreparerMayNotDecide(Forbidden):
    """Whoever prepared or submitted a statement may not decide a dispute about it."""


class DeciderUnknown(Forbidden):
    """Only a person may decide a dispute, never the system."""


# --- by the payer ---------------------------------------------------------------------------------


def open_dispute(
    session: TenantSession,
    statement_id: UUID,
    position: int,
    *,
    amount_cents: int,
    reason: str,
    evidence: str,
    now: datetime,
) -> UUID:
    """Dispute an amount of a line of a statement that this partner received; give the dispute's id.

    The issuer then has as many days to answer as the agreement gave to dispute. It is answered by
    whom the issuer named for this partner's disputes, else by who prepared the statement.

    :raises NotFound: when this partner received no such statement.
    :raises DisputeTooLate: naming the last day on which it could be disputed.
    :raises MoreThanDisputable: naming what of the line can be.
    :raises InvalidInput: naming the field: line, reason, evidence.
    """
    if reason not in REASONS:
        raise InvalidInput(f"A reason is one of {', '.join(REASONS)}.", field="reason")
    told = cleaned(evidence, "evidence", LONGEST_TEXT, lines=True)
    scope = scope_of(session)
    me = parties(session)[scope.tenant_id]
    row = queries.document(session, statement_id, today_of(me, now))
    if row is None or row.side != "received":
        raise NotFound("This partner has received no such statement.")
    issuer = parties(session)[row.counterparty_id]
    lock_relations(session, both_ways(scope.tenant_id, issuer.id))
    lines = queries.disputable(session, statement_id, position=position)
    if not lines:
        raise InvalidInput(f"{row.number} has no line {position}.", field="line")
    line = lines[0]
    days = row.dispute_days(line.agreement_key)
    today = today_of(issuer, now)
    check_in_time(row.issued_on, days, today)
    check_amount(amount_cents, line.undisputed_cents)
    dispute_id = new_id()
    fields = {
        "id": dispute_id,
        "public_id": public_id("D"),
        "statement_id": statement_id,
        "line_id": line.id,
        "line_position": position,
        "reason": reason,
        "evidence": told,
        "amount_cents": amount_cents,
        "open_cents": amount_cents,
        "opened_on": today,
        "answer_by": today + timedelta(days=days),
        "opened_at": now,
    }
    deliver(
        session,
        to=issuer.id,
        kind="dispute",
        subject_id=dispute_id,
        payload={name: str(value) for name, value in fields.items()},
        now=now,
    )
    with acting_for(session, issuer.id):
        owner = _first_owner(session, scope.tenant_id, statement_id)
        put(
            session,
            Dispute(
                tenant_id=issuer.id,
                side="issued",
                counterparty_id=scope.tenant_id,
                owner_id=owner and owner.person_id,
                owner_name=owner and owner.name,
                **fields,
            ),
        )
        _event(session, dispute_id, 1, "opened", amount_cents, told, scope.tenant_id, now)
    put(
        session,
        Dispute(
            tenant_id=scope.tenant_id,
            side="received",
            counterparty_id=issuer.id,
            owner_name=owner and owner.name,
            opened_by=scope.person_id,
            **fields,
        ),
    )
    _event(session, dispute_id, 1, "opened", amount_cents, told, scope.tenant_id, now)
    return dispute_id


def withdraw(
    session: TenantSession, dispute_id: UUID, *, amount_cents: int, note: str, now: datetime
) -> None:
    """Take back a part of what is open, or all of it, as the payer who opened it.

    :raises Forbidden: to the issuer.
    :raises MoreThanOpen: naming what is open.
    """
    dispute = _locked(session, dispute_id)
    if dispute.side != "received":
        raise Forbidden("Only the payer who opened a dispute can withdraw it.")
    _end(session, dispute, WITHDRAWN, amount_cents, note, now)


# --- by the issuer --------------------------------------------------------------------------------


def uphold(
    session: TenantSession, dispute_id: UUID, *, amount_cents: int, note: str, now: datetime
) -> None:
    """Decide that the charge stands for a part of what is open, or for all of it.

    :raises PreparerMayNotDecide: to whoever prepared or submitted the statement.
    """
    dispute = _locked(session, dispute_id)
    _check_decider(session, dispute)
    _end(session, dispute, UPHELD, amount_cents, note, now)


def credit(
    session: TenantSession, dispute_id: UUID, *, amount_cents: int, note: str, now: datetime
) -> UUID:
    """Decide to credit a part of what is open, or all of it; give the id of the drafted memo.

    The credited part stays out of the ageing until its memo is issued and lowers what is owed.

    :raises PreparerMayNotDecide: to whoever prepared or submitted the statement.
    :raises CreditExceedsLine: when the line does not have that much left to credit.
    """
    dispute = _locked(session, dispute_id)
    _check_decider(session, dispute)
    _amounts(dispute).move(CREDITED, amount_cents)
    memo_id = _draft_memo(session, dispute, amount_cents, note, now)
    _end(session, dispute, CREDITED, amount_cents, note, now, memo_id=memo_id)
    return memo_id


def redraft_memo(session: TenantSession, dispute_id: UUID, *, now: datetime) -> UUID:
    """Draft the credit memo of a decision again after it was made void; give the memo's id.

    :raises Conflict: when no memo of this dispute is void and waiting for another.
    """
    dispute = _locked(session, dispute_id)
    _check_decider(session, dispute)
    steps = [row for row in queries.thread(session, dispute_id) if row.memo_id is not None]
    followed = {row.note for row in steps if row.kind == "redrafted"}
    for row in steps:
        if row.memo_state == "void" and str(row.memo_id) not in followed:
            reason = f"Dispute {dispute.public_id}"
            memo_id = _draft_memo(session, dispute, row.amount_cents, reason, now)
            _both_sides(
                session,
                dispute,
                _amounts(dispute),
                "redrafted",
                row.amount_cents,
                str(row.memo_id),
                now,
                memo_id=memo_id,
            )
            return memo_id
    raise Conflict("No credit memo of this dispute is void.")


def assign(session: TenantSession, dispute_id: UUID, person_id: UUID, *, now: datetime) -> None:
    """Name who answers a dispute; both sides see the name.

    :raises InvalidInput: when the person may not answer disputes here.
    """
    dispute = _locked(session, dispute_id)
    if dispute.side != "issued":
        raise Forbidden("The issuer names who answers a dispute.")
    person = next((each for each in answerers(session) if each.person_id == person_id), None)
    if person is None:
        raise InvalidInput("Choose somebody who may answer disputes here.", field="owner")
    _both_sides(session, dispute, _amounts(dispute), "assigned", 0, "", now, owner=person)


def answerers(session: TenantSession) -> list[Member]:
    """Who may answer disputes in the bound partner, by name. One statement."""
    return who_may(session, Permissions.DISPUTE_EDIT, Permissions.DISPUTE_APPROVE)


# --- by both --------------------------------------------------------------------------------------


def comment(session: TenantSession, dispute_id: UUID, *, note: str, now: datetime) -> None:
    """Say something in the thread, which both sides read; also after it was decided."""
    told = cleaned(note, "note", LONGEST_TEXT, lines=True)
    dispute = _locked(session, dispute_id)
    _both_sides(session, dispute, _amounts(dispute), "comment", 0, told, now)


# --- how it is written ----------------------------------------------------------------------------


def _end(
    session: TenantSession,
    dispute: Dispute,
    outcome: str,
    amount_cents: int,
    note: str,
    now: datetime,
    *,
    memo_id: UUID | None = None,
) -> None:
    told = cleaned(note, "note", LONGEST_TEXT, lines=True)
    amounts = _amounts(dispute).move(outcome, amount_cents)
    _both_sides(session, dispute, amounts, outcome, amount_cents, told, now, memo_id=memo_id)


def _both_sides(
    session: TenantSession,
    dispute: Dispute,
    amounts: Amounts,
    kind: str,
    amount_cents: int,
    note: str,
    now: datetime,
    *,
    memo_id: UUID | None = None,
    owner: Member | None = None,
) -> None:
    me = scope_of(session).tenant_id
    dispute_id, other_id = dispute.id, dispute.counterparty_id
    position = (
        1
        + session.execute(
            select(func.max(DisputeEvent.position)).where(
                DisputeEvent.tenant_id == me, DisputeEvent.dispute_id == dispute_id
            )
        ).scalar_one()
    )
    payload: dict[str, Any] = {"kind": kind, "amount_cents": amount_cents, "note": note}
    payload |= {"position": position, "memo": None if memo_id is None else str(memo_id)}
    deliver(
        session, to=other_id, kind="dispute_event", subject_id=dispute_id, payload=payload, now=now
    )
    for tenant_id in sorted({me, other_id}):
        with acting_for(session, tenant_id):
            values: dict[str, Any] = asdict(amounts) | {"open_cents": amounts.open_cents}
            if owner is not None:
                values |= {"owner_name": owner.name}
                if tenant_id == me:
                    values |= {"owner_id": owner.person_id}
            session.execute(
                update(Dispute)
                .where(Dispute.tenant_id == tenant_id, Dispute.id == dispute_id)
                .values(values)
                .execution_options(synchronize_session=False)
            )
            mark_changed(session)
            _event(session, dispute_id, position, kind, amount_cents, note, me, now, memo_id)


def _event(
    session: TenantSession,
    dispute_id: UUID,
    position: int,
    kind: str,
    amount_cents: int,
    note: str,
    by_partner_id: UUID,
    now: datetime,
    memo_id: UUID | None = None,
) -> None:
    scope = scope_of(session)
    mine = scope.tenant_id == by_partner_id
    put(
        session,
        DisputeEvent(
            tenant_id=scope.tenant_id,
            id=new_id(),
            dispute_id=dispute_id,
            position=position,
            kind=kind,
            amount_cents=amount_cents,
            note=note,
            by_partner_id=by_partner_id,
            person_id=scope.person_id if mine else None,
            memo_id=memo_id,
            at=now,
        ),
    )
    record(
        session,
        now=now,
        action=f"dispute:{kind}",
        subject_kind="dispute",
        subject_id=dispute_id,
        detail={"amount_cents": amount_cents},
    )


def _locked(session: TenantSession, dispute_id: UUID) -> Dispute:
    """This partner's row of a dispute, with what both sides settle held."""
    me = scope_of(session).tenant_id
    query = select(Dispute).where(Dispute.tenant_id == me, Dispute.id == dispute_id)
    found = session.execute(query).scalar_one_or_none()
    if found is None:
        raise NotFound("There is no such dispute.")
    lock_relations(session, both_ways(me, found.counterparty_id))
    fresh: Dispute = session.execute(query.execution_options(populate_existing=True)).scalar_one()
    return fresh


def _amounts(dispute: Dispute) -> Amounts:
    return Amounts(
        dispute.amount_cents,
        dispute.upheld_cents,
        dispute.credited_cents,
        dispute.withdrawn_cents,
    )


def _check_decider(session: TenantSession, dispute: Dispute) -> None:
    if dispute.side != "issued":
        raise Forbidden("The issuer of the statement decides a dispute.")
    person_id = scope_of(session).person_id
    if person_id is None:
        raise DeciderUnknown("A dispute is decided by a person.")
    if person_id in preparers(session, dispute.statement_id):
        raise PreparerMayNotDecide(
            "Whoever prepared or submitted this statement cannot decide disputes about it; a second"
            " person must."
        )


def preparers(session: TenantSession, statement_id: UUID) -> set[UUID | None]:
    """Who prepared and who submitted a statement that the bound partner issued."""
    me = scope_of(session).tenant_id
    rows: Iterable[UUID | None] = session.execute(
        select(Statement.prepared_by)
        .where(Statement.tenant_id == me, Statement.id == statement_id)
        .union_all(
            select(StatementEvent.person_id).where(
                StatementEvent.tenant_id == me,
                StatementEvent.statement_id == statement_id,
                StatementEvent.state == "in_review",
            )
        )
    ).scalars()
    return {each for each in rows if each is not None}


def _draft_memo(
    session: TenantSession, dispute: Dispute, cents: int, note: str, now: datetime
) -> UUID:
    told = " ".join(note.split())
    reason = f"{dispute.public_id}: {told}"[: memos.LONGEST_REASON]
    return memos.draft_memo(
        session,
        dispute.statement_id,
        [(dispute.line_position, cents, reason)],
        kind=memos.CREDIT_MEMO,
        now=now,
    )


def _first_owner(session: TenantSession, payer_id: UUID, statement_id: UUID) -> Member | None:
    """Who answers a new dispute of a payer, in the issuer's books."""
    me = scope_of(session).tenant_id
    wanted = [
        session.execute(
            select(SettlementRelation.owner_id).where(
                SettlementRelation.tenant_id == me,
                SettlementRelation.counterparty_id == payer_id,
            )
        ).scalar_one_or_none(),
        session.execute(
            select(Statement.prepared_by).where(
                Statement.tenant_id == me, Statement.id == statement_id
            )
        ).scalar_one_or_none(),
    ]
    people = answerers(session)
    known = {each.person_id: each for each in people}
    for person_id in wanted:
        if person_id in known:
            return known[person_id]
    return people[0] if people else None


def name_owner(session: TenantSession, payer_id: UUID, person_id: UUID, *, now: datetime) -> None:
    """Name who answers a partner's disputes from now on.

    :raises InvalidInput: when the person may not answer disputes here.
    """
    me = scope_of(session).tenant_id
    if person_id not in {each.person_id for each in answerers(session)}:
        raise InvalidInput("Choose somebody who may answer disputes here.", field="owner")
    lock_relations(session, [(me, payer_id)])
    session.execute(
        update(SettlementRelation)
        .where(SettlementRelation.tenant_id == me, SettlementRelation.counterparty_id == payer_id)
        .values(owner_id=person_id)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    record(
        session,
        now=now,
        action="dispute:owner",
        subject_kind="partner",
        subject_id=payer_id,
        detail={"person": str(person_id)},
    )


def state_of(row: queries.DisputeRow) -> str:
    """How a dispute stands: open, partly_decided, or how it ended."""
    return Amounts(
        row.amount_cents, row.upheld_cents, row.credited_cents, row.withdrawn_cents
    ).state
