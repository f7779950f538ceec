"""The only writers of a partner's books: post and reverse; `periods` closes them.

Every function works in the books of the tenant that the session is bound to. Periods are months
and open by themselves the first time something is posted to them. Posting holds the period's row
`FOR SHARE` until the end of the transaction, closing takes it `FOR UPDATE`: nothing slips into a
period that is being closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Text, any_, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert

from regional311.calendars import Period
from regional311.database.ids import new_id
from regional311.database.rows import send
from regional311.database.session import TenantSession, ask, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, KeyReused, NotFound
from regional311.ledger.books import INTERPARTNER_ACCOUNTS, Leg, leg_problems
from regional311.ledger.models import Account, JournalEntry, LedgerPeriod, Posting

OPEN, SOFT_CLOSED, CLOSED = "open", "soft-closed", "closed"
FURTHEST_PERIOD = 240
"""Months after the wanted one within which there must be an open period."""
AT_ONCE = 1_000
"""Entries that `post_many` writes with one statement."""
_KEPT_OPEN = f"{{{','.join(INTERPARTNER_ACCOUNTS)}}}"
"""An array literal: accounts between partners take postings whatever the chart says."""


class Unbalanced(InvalidInput):
    """Debits and credits of an entry differ, or a leg is not one amount on one side."""


class UnknownAccount(InvalidInput):
    """A leg names an account that the partner's chart does not have."""


class PeriodClosed(Conflict):
    """Nothing may be posted to a period that is closed or being closed."""


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


_POST = b"SELECT post_entry($1, $2, $3, $4, $5)"
"""Locks the period, looks at the chart, and writes unless the same thing was posted before: one
statement, whose plan the database keeps, and which refuses legs that do not come to the total."""

_POST_MANY = """
WITH entries AS (
    INSERT INTO journal_entries (tenant_id, id, period_key, service_period, memo, source_key,
        source_id, counterparty_id, mirror_id, reverses_id, leg_count, total_cents, posted_by,
        posted_at)
    SELECT %(tenant)s, e.*, %(person)s, %(now)s FROM jsonb_to_recordset(%(entries)s) AS e (id uuid,
        period_key text, service_period text, memo text, source_key text, source_id uuid,
        counterparty_id uuid, mirror_id uuid, reverses_id uuid, leg_count bigint,
        total_cents bigint)
)
INSERT INTO postings (tenant_id, entry_id, leg, account_key, debit_cents, credit_cents,
    counterparty_id, party, family)
SELECT %(tenant)s, e.id, leg.number, leg.account, leg.debit, leg.credit, leg.counterparty_id,
    leg.party, leg.family
FROM jsonb_to_recordset(%(entries)s) AS e (id uuid, legs jsonb)
CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(e.legs) AS (account text, debit bigint,
    credit bigint, counterparty_id uuid, party text, family text))
    WITH ORDINALITY AS leg (account, debit, credit, counterparty_id, party, family, number)
"""


def _told(entry: NewEntry, entry_id: UUID) -> dict[str, Any]:
    """An entry as the statements above read it."""
    return {
        "id": entry_id,
        "period_key": entry.period_key,
        "service_period": entry.service_period,
        "memo": entry.memo,
        "source_key": entry.source_key,
        "source_id": entry.source_id,
        "counterparty_id": entry.counterparty_id,
        "mirror_id": entry.mirror_id,
        "reverses_id": entry.reverses_id,
        "leg_count": len(entry.legs),
        "total_cents": entry.total_cents,
        "legs": [
            {
                "account": leg.account,
                "debit": leg.debit_cents,
                "credit": leg.credit_cents,
                "counterparty_id": leg.counterparty_id,
                "party": leg.party,
                "family": leg.family,
            }
            for leg in entry.legs
        ],
    }


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
    entry_id = new_id()
    said = orjson.dumps(_told(entry, entry_id) | {"today": now.date()}).decode()
    person = None if scope.person_id is None else str(scope.person_id)
    told = (str(scope.tenant_id), person, now.isoformat(), said, _KEPT_OPEN)
    while ask(session, _POST, *told) != "t":
        known = _posted(session, entry.source_key)
        if known is not None:
            return _same_or_refuse(session, known, entry)
        # opens a month that nobody has used; what was refused is named here
        lock_open_period(session, entry.period_key)
        _check_accounts(session, {leg.account for leg in entry.legs}, now.date())
    mark_changed(session)
    return entry_id


def post_many(session: TenantSession, entries: Sequence[NewEntry], *, now: datetime) -> list[UUID]:
    """Post many balanced entries, all or none, and return their ids in the same order.

    One statement writes a thousand of them. Each is checked as `post` checks it: what was posted
    before under the same `source_key` keeps its id.

    :raises Unbalanced: saying every fault of the first entry that has one.
    :raises PeriodClosed: when a period is not open.
    :raises UnknownAccount: naming the accounts that the chart lacks.
    :raises KeyReused: when a source key stands for another entry, or twice in this lot.
    """
    for entry in entries:
        if problems := leg_problems(entry.legs):
            raise Unbalanced(f"{entry.source_key}: {' '.join(problems)}")
    ids = _posted_before(session, entries)
    fresh = [entry for entry in entries if entry.source_key not in ids]
    for period_key in sorted({entry.period_key for entry in fresh}):
        lock_open_period(session, period_key)
    if fresh:
        used = {leg.account for entry in fresh for leg in entry.legs}
        _check_accounts(session, used, now.date())
    scope = scope_of(session)
    send(session)
    for begin in range(0, len(fresh), AT_ONCE):
        lot = [_told(entry, new_id()) for entry in fresh[begin : begin + AT_ONCE]]
        ids |= {each["source_key"]: each["id"] for each in lot}
        parameters = {
            "tenant": scope.tenant_id,
            "person": scope.person_id,
            "now": now,
            "entries": orjson.dumps(lot).decode(),
        }
        session.connection().exec_driver_sql(_POST_MANY, parameters)
    mark_changed(session)
    return [ids[entry.source_key] for entry in entries]


def _posted_before(session: TenantSession, entries: Sequence[NewEntry]) -> dict[str, UUID]:
    tenant_id = scope_of(session).tenant_id
    wanted = {entry.source_key: entry for entry in entries}
    if len(wanted) != len(entries):
        raise KeyReused("A source key stands twice among these entries.")
    known = session.execute(
        select(JournalEntry).where(
            JournalEntry.tenant_id == tenant_id,
            JournalEntry.source_key == any_(literal(list(wanted), ARRAY(Text))),
        )
    ).scalars()
    return {
        each.source_key: _same_or_refuse(session, each, wanted[each.source_key])
        for each in known.all()
    }


def _same_or_refuse(session: TenantSession, known: JournalEntry, entry: NewEntry) -> UUID:
    if not _same(session, known, entry):
        raise KeyReused(f"Something else was posted already for {entry.source_key}.")
    return known.id


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
        lock_calendar(session)
        session.execute(
            _OPEN_PERIOD,
            {
                "tenant": tenant_id,
                "key": period.label,
                "start": period.start_on,
                "end": period.end_on,
            },
        )
        mark_changed(session)
        state = session.execute(query).scalar_one()
    return state


# A month that nobody used before a later one was closed is closed with it.
_OPEN_PERIOD = text("""
INSERT INTO ledger_periods (tenant_id, key, start_on, end_on, state)
SELECT :tenant, :key, :start, :end, coalesce(
    (SELECT max(state) FILTER (WHERE state = 'soft-closed') FROM ledger_periods
        WHERE tenant_id = :tenant AND key > :key
        HAVING count(*) FILTER (WHERE state = 'closed') = 0),
    (SELECT 'closed' FROM ledger_periods
        WHERE tenant_id = :tenant AND key > :key AND state = 'closed' LIMIT 1),
    'open')
ON CONFLICT DO NOTHING
""")


def lock_calendar(session: TenantSession) -> None:
    """Let nobody else begin, close or reopen a period of these books until the transaction ends."""
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('ledger_periods:' || :tenant, 0))"),
        {"tenant": str(scope_of(session).tenant_id)},
    )


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
