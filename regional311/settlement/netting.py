"""Netting: partners set off what they owe each other, when every one of them consents.

A set is proposed with amounts frozen: by a partner between itself and another, from its own books,
or by the region among several, from what all of them may know of each other. Each party's row holds
the positions in which it is creditor or debtor. When the last party consents the set is executed:
an entry for each pair and service period in both
books, due from against due to, and every statement settled by what
was netted of it. If anything changed meanwhile it is refused and nothing happens.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update

from regional311.audit.service import record
from regional311.calendars import Period
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound
from regional311.ledger.books import DUE_FROM, DUE_TO, Leg, credit, debit
from regional311.ledger.service import NewEntry, first_open_period, open_accounts, post
from regional311.settlement import queries
from regional311.settlement.circulation import set_off, spread
from regional311.settlement.models import NettingAnswer, NettingSet
from regional311.settlement.payments import Effect, Whom, write_side
from regional311.settlement.relations import (
    cleaned,
    deliver,
    lock_relations,
    parties,
    today_of,
)

CLEARING: Final = "netting_clearing"
PROPOSED, EXECUTED, DECLINED, WITHDRAWN = "proposed", "executed", "declined", "withdrawn"
LONGEST_REASON: Final = 500


class NothingToNet(Conflict):
    """Nobody among the parties is owed and owes in turn."""


class BalancesChanged(Conflict):
    """What is open is no longer what it was when the set was proposed."""


class NettingEnded(Conflict):
    """The set was executed, declined or withdrawn already."""


@dataclass(frozen=True, slots=True)
class Position:
    """What a set settles of one statement; ids are text, as they are stored."""

    creditor: str
    debtor: str
    statement: str
    number: str
    period: str
    open_cents: int
    """What was open and undisputed when it was proposed."""
    netted_cents: int


def entry_legs(creditor_of: int, debtor_of: int, counterparty_id: UUID) -> list[Leg]:
    """The legs of one side of a pair: what it is owed and what it owes both fall.

    What is not set off within the pair goes through a clearing account, which over all pairs of a
    set comes to zero in every book.

    >>> [(leg.account, leg.net_cents) for leg in entry_legs(50, 30, UUID(int=1))]
    [('due_from_partners', -50), ('due_to_partners', 30), ('netting_clearing', 20)]
    """
    legs = [
        credit(DUE_FROM, creditor_of, counterparty_id),
        debit(DUE_TO, debtor_of, counterparty_id),
        debit(CLEARING, creditor_of - debtor_of, counterparty_id),
    ]
    return [leg for leg in legs if leg.net_cents]


# --- proposing ------------------------------------------------------------------------------------


def propose(session: TenantSession, party_ids: Iterable[UUID], *, now: datetime) -> UUID:
    """Propose to set off everything that can be among some partners; give the set's id.

    A partner proposes between itself and one other, the region among any. Whoever proposes as a
    party still consents like the others.

    :raises InvalidInput: when they are not at least two partners of the region.
    :raises Forbidden: when a partner would set off among others.
    :raises NothingToNet: when nobody is owed and owes in turn.
    """
    me = scope_of(session).tenant_id
    known = parties(session)
    wanted = sorted(set(party_ids) | ({me} if known[me].kind != "region" else set()))
    if len(wanted) < 2 or any(each not in known or known[each].kind == "region" for each in wanted):
        raise InvalidInput("Choose at least two partners of the region.", field="parties")
    if known[me].kind != "region" and len(wanted) != 2:
        raise Forbidden("A partner nets with one other; the region proposes among several.")
    today = today_of(known[me], now)
    opens = _open_between(session, wanted, today)
    positions = frozen(opens)
    if not positions:
        raise NothingToNet("Nobody among these partners is owed and owes in turn.")
    netting_id, number, period = new_id(), public_id("N"), Period.month_of(today).label
    digest = _digest(positions)
    holders = sorted({me, *wanted})
    for tenant_id in holders:
        own = [each for each in positions if str(tenant_id) in (each.creditor, each.debtor)]
        stored = [asdict(each) for each in (own if tenant_id in wanted else by_pair(positions))]
        if tenant_id != me:
            deliver(
                session,
                to=tenant_id,
                kind="netting",
                subject_id=netting_id,
                payload={"number": number, "period": period, "digest": digest, "positions": stored},
                now=now,
            )
        with acting_for(session, tenant_id):
            put(
                session,
                NettingSet(
                    tenant_id=tenant_id,
                    id=netting_id,
                    public_id=number,
                    proposer_id=me,
                    period_key=period,
                    parties=[str(each) for each in wanted],
                    positions=stored,
                    digest=digest,
                    proposed_at=now,
                ),
            )
            _note(session, netting_id, "propose", now)
    return netting_id


def _open_between(
    session: TenantSession, party_ids: Sequence[UUID], today: date
) -> dict[tuple[str, str], list[queries.OpenRow]]:
    """What is open and undisputed between parties, by creditor and debtor, due earliest first.

    A partner knows what it issued and received; the region asks each creditor.
    """
    me = scope_of(session).tenant_id
    found: dict[tuple[str, str], list[queries.OpenRow]] = defaultdict(list)
    askers = [me] if me in party_ids else list(party_ids)
    for asker in askers:
        with acting_for(session, asker):
            for row in queries.documents(session, today):
                if row.payer_kind != "partner" or row.counterparty_id not in party_ids:
                    continue
                if row.side == "received" and len(askers) > 1:
                    continue
                pair = (str(asker), str(row.counterparty_id))
                if row.open.undisputed_cents > 0:
                    found[pair if row.side == "issued" else pair[::-1]].append(row)
    for rows in found.values():
        rows.sort(key=lambda row: (row.due_on, row.id))
    return dict(found)


def frozen(opens: dict[tuple[str, str], list[queries.OpenRow]]) -> list[Position]:
    """The positions that a set over these open statements has."""
    gone = set_off(
        {pair: sum(row.open.undisputed_cents for row in rows) for pair, rows in opens.items()}
    )
    positions = []
    for (creditor, debtor), cents in gone.items():
        rows = {str(row.id): row for row in opens[creditor, debtor]}
        parts = spread(cents, [(name, row.open.undisputed_cents) for name, row in rows.items()])
        positions += [
            Position(
                creditor,
                debtor,
                name,
                rows[name].number,
                rows[name].period_key,
                rows[name].open.undisputed_cents,
                part,
            )
            for name, part in parts
        ]
    return positions


def by_pair(positions: Iterable[Position]) -> list[Position]:
    """The sums of each creditor and debtor, for who is no party and sees no statements."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for each in positions:
        opened, netted = sums.get((each.creditor, each.debtor), (0, 0))
        sums[each.creditor, each.debtor] = (
            opened + each.open_cents,
            netted + each.netted_cents,
        )
    return [Position(*pair, "", "", "", *cents) for pair, cents in sums.items()]


def _digest(positions: Iterable[Position]) -> str:
    content = [asdict(each) for each in positions]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# --- answering ------------------------------------------------------------------------------------


def consent(session: TenantSession, netting_id: UUID, *, now: datetime) -> str:
    """Say yes as a party; give the state that the set has then. Saying it again changes nothing.

    With the last consent the set is executed.

    :raises NotFound: when this partner is no party.
    :raises NettingEnded: when it has ended otherwise.
    :raises BalancesChanged: naming what changed; then it can only be declined or withdrawn.
    """
    me = scope_of(session).tenant_id
    found = _locked(session, netting_id)
    if str(me) not in found.parties:
        raise NotFound("This partner is no party of such a netting set.")
    answers = _answers(session, netting_id)
    if answers.get(me) == "consented":
        return found.state
    _check_proposed(found)
    _check_unchanged(session, [me], netting_id, now)
    holders = _answer(session, found, "consented", None, now)
    wanted = [UUID(each) for each in found.parties]
    if set(answers) | {me} < set(wanted):
        return PROPOSED
    _execute(session, netting_id, found.public_id, wanted, now)
    _close(session, netting_id, holders, EXECUTED, now)
    return EXECUTED


def decline(session: TenantSession, netting_id: UUID, *, reason: str, now: datetime) -> None:
    """Say no as a party; the set ends, nothing is posted.

    :raises NettingEnded: when it has ended already.
    """
    me = scope_of(session).tenant_id
    why = cleaned(reason, "reason", LONGEST_REASON)
    found = _locked(session, netting_id)
    if str(me) not in found.parties:
        raise NotFound("This partner is no party of such a netting set.")
    _check_proposed(found)
    if me in _answers(session, netting_id):
        raise NettingEnded("This partner has consented; the proposer can withdraw the set.")
    holders = _answer(session, found, "declined", why, now)
    _close(session, netting_id, holders, DECLINED, now)


def withdraw(session: TenantSession, netting_id: UUID, *, now: datetime) -> None:
    """Take a proposal back, as who proposed it.

    :raises Forbidden: to the others.
    :raises NettingEnded: when it has ended already.
    """
    me = scope_of(session).tenant_id
    found = _locked(session, netting_id)
    if found.proposer_id != me:
        raise Forbidden("Only who proposed a netting set can withdraw it.")
    _check_proposed(found)
    holders = sorted({me, *(UUID(each) for each in found.parties)})
    _close(session, netting_id, holders, WITHDRAWN, now)


def answers_of(session: TenantSession, netting_id: UUID) -> list[NettingAnswer]:
    """What the parties have said so far, the earliest first. One statement."""
    return list(
        session.scalars(
            select(NettingAnswer)
            .where(
                NettingAnswer.tenant_id == scope_of(session).tenant_id,
                NettingAnswer.netting_id == netting_id,
            )
            .order_by(NettingAnswer.at, NettingAnswer.id)
        )
    )


def sets(
    session: TenantSession, *, before: UUID | None = None, limit: int = 50
) -> list[NettingSet]:
    """A page of the netting sets that this partner or the region has, the latest first."""
    me = scope_of(session).tenant_id
    query = select(NettingSet).where(NettingSet.tenant_id == me)
    if before is not None:
        query = query.where(NettingSet.id < before)
    return list(session.scalars(query.order_by(NettingSet.id.desc()).limit(limit)))


# --- how it is written ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    id: UUID
    public_id: str
    proposer_id: UUID
    parties: list[str]
    state: str


def _locked(session: TenantSession, netting_id: UUID) -> _Found:
    """A set, with everything that its parties settle among each other held."""
    me = scope_of(session).tenant_id
    query = select(NettingSet).where(NettingSet.tenant_id == me, NettingSet.id == netting_id)
    row = session.execute(query).scalar_one_or_none()
    if row is None:
        raise NotFound("There is no such netting set.")
    wanted = [UUID(each) for each in row.parties]
    lock_relations(session, [(one, other) for one in wanted for other in wanted if one != other])
    fresh = session.execute(query.execution_options(populate_existing=True)).scalar_one()
    return _Found(fresh.id, fresh.public_id, fresh.proposer_id, list(fresh.parties), fresh.state)


def _check_proposed(found: _Found) -> None:
    if found.state != PROPOSED:
        raise NettingEnded(f"This netting set was {found.state} already.")


def _answers(session: TenantSession, netting_id: UUID) -> dict[UUID, str]:
    return {each.party_id: each.answer for each in answers_of(session, netting_id)}


def _answer(
    session: TenantSession, found: _Found, answer: str, reason: str | None, now: datetime
) -> list[UUID]:
    """Tell everybody concerned what this party says; give who that is."""
    scope = scope_of(session)
    holders = sorted({found.proposer_id, *(UUID(each) for each in found.parties)})
    for tenant_id in holders:
        if tenant_id != scope.tenant_id:
            deliver(
                session,
                to=tenant_id,
                kind="netting_answer",
                subject_id=found.id,
                payload={"answer": answer, "reason": reason},
                now=now,
            )
        with acting_for(session, tenant_id):
            put(
                session,
                NettingAnswer(
                    tenant_id=tenant_id,
                    id=new_id(),
                    netting_id=found.id,
                    party_id=scope.tenant_id,
                    answer=answer,
                    reason=reason,
                    person_id=scope.person_id if tenant_id == scope.tenant_id else None,
                    at=now,
                ),
            )
            _note(session, found.id, answer, now)
    return holders


def _close(
    session: TenantSession, netting_id: UUID, holders: Iterable[UUID], state: str, now: datetime
) -> None:
    for tenant_id in holders:
        with acting_for(session, tenant_id):
            session.execute(
                update(NettingSet)
                .where(NettingSet.tenant_id == tenant_id, NettingSet.id == netting_id)
                .values(state=state, ended_at=now)
                .execution_options(synchronize_session=False)
            )
            mark_changed(session)
            _note(session, netting_id, state, now)


def _note(session: TenantSession, netting_id: UUID, action: str, now: datetime) -> None:
    record(
        session, now=now, action=f"netting:{action}", subject_kind="netting", subject_id=netting_id
    )


def _check_unchanged(
    session: TenantSession, asked: Iterable[UUID], netting_id: UUID, now: datetime
) -> list[Position]:
    """The positions of the parties asked, as creditor or debtor, if they are still as proposed."""
    known = parties(session)
    found: dict[str, Position] = {}
    for tenant_id in asked:
        with acting_for(session, tenant_id):
            stored = session.execute(
                select(NettingSet.positions).where(
                    NettingSet.tenant_id == tenant_id, NettingSet.id == netting_id
                )
            ).scalar_one()
            today = today_of(known[tenant_id], now)
            rows = {str(row.id): row for row in queries.documents(session, today)}
        for each in stored:
            position = Position(**each)
            row = rows.get(position.statement)
            now_open = 0 if row is None else row.open.undisputed_cents
            if now_open != position.open_cents:
                raise BalancesChanged(
                    f"What is open of {position.number} has changed since this was proposed."
                    " Decline or withdraw it, and propose it again."
                )
            found[position.statement] = position
    return list(found.values())


def _execute(
    session: TenantSession, netting_id: UUID, number: str, wanted: Sequence[UUID], now: datetime
) -> None:
    positions = _check_unchanged(session, wanted, netting_id, now)
    known = parties(session)
    sums: dict[tuple[UUID, UUID, str], int] = defaultdict(int)
    for each in positions:
        sums[UUID(each.creditor), UUID(each.debtor), each.period] += each.netted_cents
    pairs = sorted({(min(one, other), max(one, other), period) for one, other, period in sums})
    mirrors = {pair: new_id() for pair in pairs}
    payments = {each.statement: (new_id(), public_id("P")) for each in positions}
    day = max(today_of(known[each], now) for each in wanted)
    month = Period.month_of(day).label
    for tenant_id in sorted(wanted):
        with acting_for(session, tenant_id):
            open_accounts(session)
            period = first_open_period(session, month)
            for first, second, service_period in pairs:
                if tenant_id not in (first, second):
                    continue
                other = first if second == tenant_id else second
                legs = entry_legs(
                    sums.get((tenant_id, other, service_period), 0),
                    sums.get((other, tenant_id, service_period), 0),
                    other,
                )
                entry = NewEntry(
                    period_key=period,
                    service_period=service_period,
                    memo=f"Netting {number}",
                    source_key=f"netting:{netting_id}:{other}:{service_period}",
                    legs=legs,
                    source_id=netting_id,
                    counterparty_id=other,
                    mirror_id=mirrors[first, second, service_period],
                )
                post(session, entry, now=now)
            for each in positions:
                _settle(session, each, payments[each.statement], netting_id, period, day, now)


def _settle(
    session: TenantSession,
    position: Position,
    called: tuple[UUID, str],
    netting_id: UUID,
    period: str,
    day: date,
    now: datetime,
) -> None:
    """Write the bound party's row of what was netted of a statement, when it concerns it."""
    me = scope_of(session).tenant_id
    if str(me) not in (position.creditor, position.debtor):
        return
    side = "received" if str(me) == position.creditor else "paid"
    other = UUID(position.debtor if side == "received" else position.creditor)
    effect = Effect(netted=position.netted_cents, applied=position.netted_cents)
    fields: dict[str, Any] = {
        "id": called[0],
        "public_id": called[1],
        "kind": "netting",
        "payer_kind": "partner",
        "payer_key": None,
        "statement_id": UUID(position.statement),
        "paid_on": day,
        "cash_cents": 0,
        "netted_cents": effect.netted,
        "applied_cents": effect.applied,
        "advance_cents": 0,
        "reference": "netting",
        "method": "other",
        "reason": None,
        "reverses_id": None,
        "recorded_at": now,
    }
    write_side(
        session,
        fields,
        side,
        Whom(other),
        period,
        position.period,
        "",
        effect,
        now,
        netting_id=netting_id,
    )


def proposals_waiting(session: TenantSession) -> int:
    """How many sets wait for this partner's answer. One statement."""
    me = scope_of(session).tenant_id
    answered = select(NettingAnswer.netting_id).where(
        NettingAnswer.tenant_id == me, NettingAnswer.party_id == me
    )
    return int(
        session.execute(
            select(func.count())
            .select_from(NettingSet)
            .where(
                NettingSet.tenant_id == me,
                NettingSet.state == PROPOSED,
                NettingSet.id.not_in(answered),
            )
        ).scalar_one()
    )
