"""What can be asked of a partner's books: flat rows, paged, a fixed number of statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from regional311.database.session import TenantSession, scope_of
from regional311.ledger.books import DUE_FROM, DUE_TO, Entry, Leg, Problem

PAGE = 50
DUE_FROM_OUTSIDE = "due_from_outside"


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """A month of the books and how much is in it."""

    key: str
    state: str
    entries: int
    total_cents: int


@dataclass(frozen=True, slots=True)
class TrialBalanceRow:
    """What an account came to, in cents."""

    account_key: str
    name: str
    type: str
    external_code: str | None
    debit_cents: int
    credit_cents: int

    @property
    def balance_cents(self) -> int:
        """Debit minus credit."""
        return self.debit_cents - self.credit_cents


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry of the journal; `source_id` is the statement it came from."""

    id: UUID
    period_key: str
    service_period: str
    memo: str
    source_id: UUID | None
    counterparty_id: UUID | None
    counterparty: str | None
    reverses_id: UUID | None
    total_cents: int
    posted_at: datetime
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One leg on an account's page, with the balance after it."""

    entry_id: UUID
    period_key: str
    service_period: str
    memo: str
    source_id: UUID | None
    counterparty: str | None
    debit_cents: int
    credit_cents: int
    balance_cents: int
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class PartnerBalance:
    """What another partner owes to these books, and what these books owe to it, in cents."""

    counterparty_id: UUID
    counterparty: str
    due_from_cents: int
    due_to_cents: int

    @property
    def net_cents(self) -> int:
        """Above zero when the other owes on balance."""
        return self.due_from_cents - self.due_to_cents


def periods(session: TenantSession) -> list[PeriodRow]:
    """Every month of the books, latest first."""
    rows = session.execute(
        text(
            "SELECT p.key, p.state, count(e.id), coalesce(sum(e.total_cents), 0)::bigint"
            " FROM ledger_periods p LEFT JOIN journal_entries e"
            " ON e.tenant_id = p.tenant_id AND e.period_key = p.key"
            " WHERE p.tenant_id = :tenant GROUP BY p.key, p.state ORDER BY p.key DESC"
        ),
        {"tenant": scope_of(session).tenant_id},
    )
    return [PeriodRow(*row) for row in rows]


def trial_balance(
    session: TenantSession,
    period_key: str | None = None,
    *,
    posted_before: datetime | None = None,
) -> list[TrialBalanceRow]:
    """Debits and credits of each account, up to and including a period, or of all time.

    `posted_before` leaves out what was posted from that moment on: the balance as it was known
    then. Accounts without postings are listed with zero.
    """
    rows = session.execute(
        text(
            "SELECT a.key, a.name, a.type, a.external_code,"
            " coalesce(sum(p.debit_cents), 0)::bigint, coalesce(sum(p.credit_cents), 0)::bigint"
            " FROM accounts a LEFT JOIN (postings p JOIN journal_entries e"
            "  ON e.tenant_id = p.tenant_id AND e.id = p.entry_id"
            "  AND e.period_key <= coalesce(:period, '9999-99')"
            "  AND e.posted_at < coalesce(CAST(:before AS timestamptz), 'infinity'))"
            " ON p.tenant_id = a.tenant_id AND p.account_key = a.key"
            " WHERE a.tenant_id = :tenant GROUP BY a.key, a.name, a.type, a.external_code"
            " ORDER BY array_position("
            "  ARRAY['asset', 'liability', 'equity', 'revenue', 'expense'], a.type), a.key"
        ),
        {
            "tenant": scope_of(session).tenant_id,
            "period": period_key,
            "before": posted_before,
        },
    )
    return [TrialBalanceRow(*row) for row in rows]


def journal(
    session: TenantSession,
    *,
    period_key: str | None = None,
    account_key: str | None = None,
    counterparty_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = PAGE,
) -> list[EntryRow]:
    """A page of the journal, latest first; `before` is the last id of the page before."""
    rows = session.execute(
        text(
            "WITH page AS (SELECT e.* FROM journal_entries e WHERE e.tenant_id = :tenant"
            "  AND (CAST(:period AS text) IS NULL OR e.period_key = :period)"
            "  AND (CAST(:before AS uuid) IS NULL OR e.id < :before)"
            "  AND (CAST(:partner AS uuid) IS NULL OR e.counterparty_id = :partner)"
            "  AND (CAST(:account AS text) IS NULL OR EXISTS (SELECT FROM postings p"
            "   WHERE p.tenant_id = e.tenant_id AND p.entry_id = e.id"
            "   AND p.account_key = :account))"
            "  ORDER BY e.id DESC LIMIT :limit)"
            " SELECT e.id, e.period_key, e.service_period, e.memo, e.source_id, e.counterparty_id,"
            " t.short_name, e.reverses_id, e.total_cents, e.posted_at,"
            " (SELECT jsonb_agg(jsonb_build_array(p.account_key, p.debit_cents, p.credit_cents)"
            "   ORDER BY p.leg) FROM postings p"
            "   WHERE p.tenant_id = e.tenant_id AND p.entry_id = e.id) AS legs"
            " FROM page e LEFT JOIN tenants t"
            " ON t.tenant_id = e.counterparty_id AND t.id = e.counterparty_id ORDER BY e.id DESC"
        ),
        {
            "tenant": scope_of(session).tenant_id,
            "period": period_key,
            "account": account_key,
            "partner": counterparty_id,
            "before": before,
            "limit": limit,
        },
    )
    return [
        EntryRow(
            id=row.id,
            period_key=row.period_key,
            service_period=row.service_period,
            memo=row.memo,
            source_id=row.source_id,
            counterparty_id=row.counterparty_id,
            counterparty=row.short_name,
            reverses_id=row.reverses_id,
            total_cents=row.total_cents,
            posted_at=row.posted_at,
            legs=_legs(row.legs, row.counterparty_id),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class LegRow:
    """One leg of an entry with the name of its account."""

    account_key: str
    name: str
    debit_cents: int
    credit_cents: int


def legs_of(session: TenantSession, entry_id: UUID) -> list[LegRow]:
    """The legs of one entry in order."""
    rows = session.execute(
        text(
            "SELECT p.account_key, a.name, p.debit_cents, p.credit_cents FROM postings p"
            " JOIN accounts a ON a.tenant_id = p.tenant_id AND a.key = p.account_key"
            " WHERE p.tenant_id = :tenant AND p.entry_id = :entry ORDER BY p.leg"
        ),
        {"tenant": scope_of(session).tenant_id, "entry": entry_id},
    )
    return [LegRow(*row) for row in rows]


def entry_from(session: TenantSession, source_id: UUID) -> UUID | None:
    """The entry that something posted first in these books, such as a statement; by its id."""
    found: UUID | None = session.execute(
        text(
            "SELECT id FROM journal_entries WHERE tenant_id = :tenant AND source_id = :source"
            " ORDER BY id LIMIT 1"
        ),
        {"tenant": scope_of(session).tenant_id, "source": source_id},
    ).scalar_one_or_none()
    return found


def account_page(
    session: TenantSession, account_key: str, *, offset: int = 0, limit: int = PAGE
) -> list[AccountRow]:
    """A page of one account, earliest first, each leg with the balance after it."""
    rows = session.execute(
        text(
            "SELECT e.id, e.period_key, e.service_period, e.memo, e.source_id, t.short_name,"
            " p.debit_cents, p.credit_cents, (sum(p.debit_cents - p.credit_cents)"
            "  OVER (ORDER BY e.id, p.leg))::bigint, e.posted_at"
            " FROM postings p JOIN journal_entries e"
            " ON e.tenant_id = p.tenant_id AND e.id = p.entry_id LEFT JOIN tenants t"
            " ON t.tenant_id = p.counterparty_id AND t.id = p.counterparty_id"
            " WHERE p.tenant_id = :tenant AND p.account_key = :account"
            " ORDER BY e.id, p.leg LIMIT :limit OFFSET :offset"
        ),
        {
            "tenant": scope_of(session).tenant_id,
            "account": account_key,
            "limit": limit,
            "offset": offset,
        },
    )
    return [AccountRow(*row) for row in rows]


def partner_balances(session: TenantSession) -> list[PartnerBalance]:
    """What is due from and to each other partner, by name."""
    rows = session.execute(
        text(
            "SELECT p.counterparty_id, coalesce(t.short_name, ''),"
            " coalesce(sum(p.debit_cents - p.credit_cents)"
            "  FILTER (WHERE p.account_key = :due_from), 0)::bigint,"
            " coalesce(sum(p.credit_cents - p.debit_cents)"
            "  FILTER (WHERE p.account_key = :due_to), 0)::bigint"
            " FROM postings p LEFT JOIN tenants t"
            " ON t.tenant_id = p.counterparty_id AND t.id = p.counterparty_id"
            " WHERE p.tenant_id = :tenant AND p.account_key IN (:due_from, :due_to)"
            " AND p.counterparty_id IS NOT NULL GROUP BY 1, 2 ORDER BY 2"
        ),
        {"tenant": scope_of(session).tenant_id, "due_from": DUE_FROM, "due_to": DUE_TO},
    )
    return [PartnerBalance(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class ChartRow:
    """An account with where the partner's own general ledger has it, and what it came to."""

    key: str
    name: str
    type: str
    external_code: str | None
    fund_code: str | None
    cost_centre: str | None
    ended_on: date | None
    postings: int
    balance_cents: int


def chart(session: TenantSession) -> list[ChartRow]:
    """The chart of accounts with its codes and balances, in the order of a trial balance."""
    rows = session.execute(
        text(
            "SELECT a.key, a.name, a.type, a.external_code, a.fund_code, a.cost_centre, a.ended_on,"
            " coalesce(p.postings, 0), coalesce(p.balance, 0) FROM accounts a LEFT JOIN ("
            "  SELECT account_key, count(*) AS postings,"
            "  sum(debit_cents - credit_cents)::bigint AS balance"
            "  FROM postings WHERE tenant_id = :tenant GROUP BY account_key) p"
            " ON p.account_key = a.key WHERE a.tenant_id = :tenant ORDER BY array_position("
            "  ARRAY['asset', 'liability', 'equity', 'revenue', 'expense'], a.type), a.key"
        ),
        {"tenant": scope_of(session).tenant_id},
    )
    return [ChartRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class MappingRow:
    """A rule of mapping; what is None fits everything."""

    key: str
    account_key: str | None
    party: str | None
    family: str | None
    external_code: str | None
    fund_code: str | None
    cost_centre: str | None


def mappings(session: TenantSession) -> list[MappingRow]:
    """The rules by which postings map to the partner's own general ledger, by key."""
    rows = session.execute(
        text(
            "SELECT key, account_key, party, family, external_code, fund_code, cost_centre"
            " FROM gl_mappings WHERE tenant_id = :tenant AND ended_on IS NULL ORDER BY key"
        ),
        {"tenant": scope_of(session).tenant_id},
    )
    return [MappingRow(*row) for row in rows]


AGES = (30, 60, 90)
"""Days after which a balance is in the next older class."""


@dataclass(frozen=True, slots=True)
class AgedBalance:
    """What another party owes by the month in which it was booked, in cents: newest class first.

    Credits (payments, memos) are set against the oldest first. `party` is a partner's name, or
    what a posting says, such as `outside:<key>`.
    """

    party: str
    counterparty_id: UUID | None
    account_key: str
    cents: tuple[int, int, int, int]

    @property
    def total_cents(self) -> int:
        """All classes together."""
        return sum(self.cents)


def aged_balances(session: TenantSession, as_of: date) -> list[AgedBalance]:
    """What is due from and to others at the end of a day, aged from the end of the booked month.

    Receivables are above zero, payables below. Entries booked in later months are left out.
    """
    rows = session.execute(
        text(
            "SELECT p.account_key, p.counterparty_id, coalesce(t.short_name, p.party, '') AS party,"
            " l.end_on, sum(p.debit_cents - p.credit_cents)::bigint AS cents FROM postings p"
            " JOIN journal_entries e ON e.tenant_id = p.tenant_id AND e.id = p.entry_id"
            " JOIN ledger_periods l ON l.tenant_id = e.tenant_id AND l.key = e.period_key"
            " LEFT JOIN tenants t ON t.tenant_id = p.counterparty_id AND t.id = p.counterparty_id"
            " WHERE p.tenant_id = :tenant AND l.start_on <= :day"
            " AND p.account_key = ANY(:accounts) GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 2, 4"
        ),
        {
            "tenant": scope_of(session).tenant_id,
            "day": as_of,
            "accounts": [DUE_FROM, DUE_TO, DUE_FROM_OUTSIDE],
        },
    ).all()
    found: dict[tuple[str, UUID | None, str], list[tuple[date, int]]] = {}
    for row in rows:
        about = (row.account_key, row.counterparty_id, row.party)
        found.setdefault(about, []).append((row.end_on, row.cents))
    aged = [
        AgedBalance(party, counterparty_id, account, age(months, as_of, owing=account != DUE_TO))
        for (account, counterparty_id, party), months in found.items()
    ]
    return [each for each in aged if any(each.cents)]


def age(
    months: Sequence[tuple[date, int]], as_of: date, *, owing: bool = True
) -> tuple[int, int, int, int]:
    """Divide the sums of months (exclusive end, debit minus credit) into classes of age.

    What lowers the balance is set against the oldest month first; what is left of it is in the
    newest class. `owing` is whether debits are what is owed.

    >>> age([(date(2026, 8, 1), 100), (date(2026, 11, 1), 50), (date(2026, 12, 1), -120)],
    ...     date(2026, 12, 1))
    (30, 0, 0, 0)
    """
    sign = 1 if owing else -1
    owed = [(end, sign * cents) for end, cents in months if sign * cents > 0]
    lowered = -sum(sign * cents for _end, cents in months if sign * cents < 0)
    classes = [0, 0, 0, 0]
    for end, cents in owed:
        part = min(lowered, cents)
        lowered -= part
        days = (as_of - end).days
        classes[sum(days > each for each in AGES)] += cents - part
    classes[0] -= lowered
    first, second, third, last = (sign * each for each in classes)
    return first, second, third, last


def entries_to_check(
    session: TenantSession,
    service_periods: Iterable[str] | None = None,
    *,
    counterparty_id: UUID | None = None,
) -> list[Entry]:
    """The entries of these books as `books` checks them, of some service periods or of all.

    With `counterparty_id` only those with one other partner.
    """
    rows = session.execute(
        text(
            "SELECT e.tenant_id, e.id, e.service_period, e.leg_count, e.total_cents,"
            " (SELECT jsonb_agg(jsonb_build_array(p.account_key, p.debit_cents, p.credit_cents)"
            "   ORDER BY p.leg) FROM postings p"
            "   WHERE p.tenant_id = e.tenant_id AND p.entry_id = e.id) AS legs,"
            " e.mirror_id, e.counterparty_id FROM journal_entries e WHERE e.tenant_id = :tenant"
            " AND (CAST(:periods AS text[]) IS NULL OR e.service_period = ANY(:periods))"
            " AND (CAST(:partner AS uuid) IS NULL OR e.counterparty_id = :partner)"
            " ORDER BY e.id"
        ),
        {
            "tenant": scope_of(session).tenant_id,
            "periods": None if service_periods is None else list(service_periods),
            "partner": counterparty_id,
        },
    )
    return [
        Entry(
            tenant_id=row.tenant_id,
            id=row.id,
            service_period=row.service_period,
            leg_count=row.leg_count,
            total_cents=row.total_cents,
            legs=_legs(row.legs, row.counterparty_id),
            mirror_id=row.mirror_id,
            counterparty_id=row.counterparty_id,
        )
        for row in rows
    ]


def loose_problems(session: TenantSession) -> list[Problem]:
    """Legs without their entry or account, entries without their month: taken away by somebody.

    The application cannot; no foreign key keeps the database's owner from it.
    """
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(
        text(
            "SELECT DISTINCT p.entry_id, 'Legs of entry ' || p.entry_id || ' are left without it.'"
            " FROM postings p WHERE p.tenant_id = :tenant AND NOT EXISTS (SELECT"
            "  FROM journal_entries e WHERE e.tenant_id = :tenant AND e.id = p.entry_id)"
            " UNION ALL SELECT DISTINCT p.entry_id, 'A leg of entry ' || p.entry_id"
            "  || ' is on the account ' || p.account_key || ', which is not there.'"
            " FROM postings p WHERE p.tenant_id = :tenant AND NOT EXISTS (SELECT"
            "  FROM accounts a WHERE a.tenant_id = :tenant AND a.key = p.account_key)"
            " UNION ALL SELECT e.id, 'Entry ' || e.id || ' is in ' || e.period_key"
            "  || ', a month that is not there.'"
            " FROM journal_entries e WHERE e.tenant_id = :tenant AND NOT EXISTS (SELECT"
            "  FROM ledger_periods p WHERE p.tenant_id = :tenant AND p.key = e.period_key)"
            " ORDER BY 1, 2"
        ),
        {"tenant": tenant_id},
    )
    return [Problem("entry_loose", tenant_id, row[0], row[1]) for row in rows]


def _legs(rows: list[list[Any]] | None, counterparty_id: UUID | None) -> tuple[Leg, ...]:
    return tuple(
        Leg(account, debit, credit, counterparty_id) for account, debit, credit in rows or ()
    )
