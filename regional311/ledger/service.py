"""The only writers of a partner's books: post, reverse, close.

Every function works in the books of the tenant that the session is bound to. Periods are months
and open by themselves the first time something is posted to them. Posting holds the period's row
`FOR SHARE` until the end of the transaction, closing takes it `FOR UPDATE`: nothing slips into a
period that is being closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from regional311.calendars import Period
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, KeyReused, NotFound
from regional311.ledger.books import INTERPARTNER_ACCOUNTS, Leg, leg_problems
from regional311.ledger.models import Account, JournalEntry, LedgerPeriod, Posting

OPEN, SOFT_CLOSED, CLOSED = "open", "soft-closed", "closed"
FURTHEST_PERIOD = 240
"""Months after the wanted one within which there must be an open period."""


class Unbalanced(InvalidInput):
    """Debits and credits of an entry differ, or a leg is not one amount on one side."""


class UnknownAccount(InvalidInput):
    """A leg names an account that the partner's chart does not have."""


class PeriodClosed(Conflict):
    """Nothing may be posted to a period that is closed or being closed."""


class PeriodsCloseInOrder(Conflict):
    """An earlier period is still open."""


class AlreadyReversed(Conflict):
    """An entry can be reversed once, and a reversal not at all."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be posted; `source_key` says what made it and makes posting repeatable.

    `period_key` is where it is booked, `service_period` when the work was done. `mirror_id` ties
    it to the other partner's side.
    """

    period_key: str
    service_period: str
    memo: str
    source_key: str
    legs: Sequence[Leg]
    source_id: UUID | None = None
    counterparty_id: UUID | None = None
    mirror_id: UUID | None = None
    reverses_id: UUID | None = None

    @property
    def total_cents(self) -> int:
        """The sum of its debits."""
        return sum(leg.debit_cents for leg in self.legs)


def post(session: TenantSession, entry: NewEntry, *, now: datetime) -> UUID:
    """Post a balanced entry to an open period and return its id.

    The same `source_key` with the same content gives the first entry's id and changes nothing.

    :raises Unbalanced: saying every fault of the legs.
    :raises PeriodClosed: when the period is not open.
    :raises UnknownAccount: naming the accounts that the chart lacks.
    :raises KeyReused: when the source key stands for another entry.
    """
    if problems := leg_problems(entry.legs):
        raise Unbalanced(" ".join(problems))
    scope = scope_of(session)
    lock_open_period(session, entry.period_key)
    known = _posted(session, entry.source_key)
    if known is not None:
        if _same(session, known, entry):
            return known.id
        raise KeyReused(f"Something else was posted already for {entry.source_key}.")
    _check_accounts(session, {leg.account for leg in entry.legs}, now.date())
    entry_id = new_id()
    put(
        session,
        JournalEntry(
            tenant_id=scope.tenant_id,
            id=entry_id,
            period_key=entry.period_key,
            service_period=entry.service_period,
            memo=entry.memo,
            source_key=entry.source_key,
            source_id=entry.source_id,
            counterparty_id=entry.counterparty_id,
            mirror_id=entry.mirror_id,
            reverses_id=entry.reverses_id,
            leg_count=len(entry.legs),
            total_cents=entry.total_cents,
            posted_by=scope.person_id,
            posted_at=now,
        ),
        *(
            Posting(
                tenant_id=scope.tenant_id,
                entry_id=entry_id,
                leg=number,
                account_key=leg.account,
                debit_cents=leg.debit_cents,
                credit_cents=leg.credit_cents,
                counterparty_id=leg.counterparty_id,
                party=leg.party,
                family=leg.family,
            )
            for number, leg in enumerate(entry.legs, 1)
        ),
    )
    return entry_id


def reverse(
    session: TenantSession, entry_id: UUID, *, period_key: str, memo: str, now: datetime
) -> UUID:
    """Post the opposite of an entry, which stays; return the reversal's id.

    Reversing the same entry again gives the same reversal.

    :raises NotFound: when these books have no such entry.
    :raises AlreadyReversed: when the entry is itself a reversal.
    """
    tenant_id = scope_of(session).tenant_id
    entry = session.execute(
        select(JournalEntry).where(JournalEntry.tenant_id == tenant_id, JournalEntry.id == entry_id)
    ).scalar_one_or_none()
    if entry is None:
        raise NotFound("These books have no such entry.")
    if entry.reverses_id is not None:
        raise AlreadyReversed("This entry is itself a reversal.")
    source_key = f"reversal:{entry_id}"
    known = _posted(session, source_key)
    if known is not None:
        return known.id
    legs = [
        replace(leg, debit_cents=leg.credit_cents, credit_cents=leg.debit_cents)
        for leg in _legs(session, entry_id)
    ]
    reversal = NewEntry(
        period_key=period_key,
        service_period=entry.service_period,
        memo=memo,
        source_key=source_key,
        legs=legs,
        source_id=entry.source_id,
        counterparty_id=entry.counterparty_id,
        reverses_id=entry.id,
    )
    return post(session, reversal, now=now)


def lock_open_period(session: TenantSession, period_key: str) -> None:
    """Hold a period open until the end of the transaction; a month not known yet is opened.

    :raises PeriodClosed: when it is closed or soft-closed.
    :raises BadPeriod: when the key is not a month.
    """
    state = _lock(session, Period.month(period_key))
    if state != OPEN:
        raise PeriodClosed(f"The period {period_key} is {state}; nothing can be posted to it.")


def first_open_period(session: TenantSession, wanted_key: str) -> str:
    """The wanted month, or the first open one after it, held open until the transaction ends.

    :raises PeriodClosed: when twenty years on everything is closed.
    """
    period = Period.month(wanted_key)
    for _ in range(FURTHEST_PERIOD):
        if _lock(session, period) == OPEN:
            return period.label
        period = period.next()
    raise PeriodClosed(f"There is no open period from {wanted_key} on.")


def _lock(session: TenantSession, period: Period) -> str:
    tenant_id = scope_of(session).tenant_id
    query = (
        select(LedgerPeriod.state)
        .where(LedgerPeriod.tenant_id == tenant_id, LedgerPeriod.key == period.label)
        .with_for_update(read=True)
    )
    state = session.execute(query).scalar_one_or_none()
    if state is None:
        session.execute(
            insert(LedgerPeriod)
            .values(
                tenant_id=tenant_id,
                key=period.label,
                start_on=period.start_on,
                end_on=period.end_on,
                state=OPEN,
            )
            .on_conflict_do_nothing()
        )
        mark_changed(session)
        state = session.execute(query).scalar_one()
    return state


def close_period(session: TenantSession, period_key: str, *, soft: bool = False) -> None:
    """Close a month for posting, after every earlier one; closed already is no change.

    Soft-closed refuses postings as well and may still be opened again; closed stays closed.

    :raises NotFound: when nothing was ever posted to it.
    :raises PeriodsCloseInOrder: when an earlier period is not closed.
    :raises PeriodClosed: when a closed period would become soft-closed.
    """
    tenant_id = scope_of(session).tenant_id
    # all earlier ones are locked too, in order: two closings cannot pass each other
    periods = list(
        session.execute(
            select(LedgerPeriod)
            .where(LedgerPeriod.tenant_id == tenant_id, LedgerPeriod.key <= period_key)
            .order_by(LedgerPeriod.key)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).scalars()
    )
    if not periods or periods[-1].key != period_key:
        raise NotFound(f"These books have no period {period_key}.")
    period = periods.pop()
    wanted = SOFT_CLOSED if soft else CLOSED
    if period.state == wanted:
        return
    if period.state == CLOSED:
        raise PeriodClosed(f"The period {period_key} is closed for good.")
    if not soft:
        late = [earlier.key for earlier in periods if earlier.state != CLOSED]
        if late:
            raise PeriodsCloseInOrder(f"Close {late[0]} first: periods close in order.")
    check_pending(session)
    period.state = wanted
    session.flush()


def check_pending(session: TenantSession) -> None:
    """Let the database check what this transaction has posted so far, while its period is open."""
    send(session)
    session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    session.execute(text("SET CONSTRAINTS ALL DEFERRED"))


def open_accounts(
    session: TenantSession, keys: Iterable[str] = tuple(INTERPARTNER_ACCOUNTS)
) -> None:
    """Make sure the chart has the accounts that the shared core posts to; existing ones stay."""
    tenant_id = scope_of(session).tenant_id
    wanted = [
        {
            "tenant_id": tenant_id,
            "key": key,
            "name": INTERPARTNER_ACCOUNTS[key][0],
            "type": INTERPARTNER_ACCOUNTS[key][1],
        }
        for key in keys
    ]
    session.execute(insert(Account).values(wanted).on_conflict_do_nothing())
    mark_changed(session)


def _check_accounts(session: TenantSession, keys: set[str], today: date) -> None:
    """Refuse accounts that the chart lacks or has ended.

    Those between partners stay open whatever the chart says: no payer can stop an issue.
    """
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(
        select(Account.key, Account.ended_on).where(
            Account.tenant_id == tenant_id, Account.key.in_(keys)
        )
    ).all()
    known = {
        row.key
        for row in rows
        if row.ended_on is None or row.ended_on > today or row.key in INTERPARTNER_ACCOUNTS
    }
    if missing := keys - known:
        raise UnknownAccount(
            f"The chart of accounts lacks or has ended {', '.join(sorted(missing))}."
        )


def _posted(session: TenantSession, source_key: str) -> JournalEntry | None:
    tenant_id = scope_of(session).tenant_id
    return session.execute(
        select(JournalEntry).where(
            JournalEntry.tenant_id == tenant_id, JournalEntry.source_key == source_key
        )
    ).scalar_one_or_none()


def _same(session: TenantSession, known: JournalEntry, entry: NewEntry) -> bool:
    return (
        known.service_period == entry.service_period
        and known.mirror_id == entry.mirror_id
        and known.counterparty_id == entry.counterparty_id
        and _legs(session, known.id) == list(entry.legs)
    )


def _legs(session: TenantSession, entry_id: UUID) -> list[Leg]:
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(
        select(
            Posting.account_key,
            Posting.debit_cents,
            Posting.credit_cents,
            Posting.counterparty_id,
            Posting.party,
            Posting.family,
        )
        .where(Posting.tenant_id == tenant_id, Posting.entry_id == entry_id)
        .order_by(Posting.leg)
    )
    return [Leg(*row) for row in rows]
