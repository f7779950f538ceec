"""The books as beancount text, so that an independent program can check them.

Each partner's accounts stand below a component of its own, each entry is a transaction on a day of
the month that it is booked in, and after each month every account's balance is asserted as the
trial balance has it. Amounts are dollars; debits are positive, as in beancount.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text

from regional311.calendars import Period
from regional311.database.session import TenantSession, scope_of
from regional311.ledger.exports import day_in
from regional311.money import from_cents

ROOTS = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "revenue": "Income",
    "expense": "Expenses",
}
CURRENCY = "USD"
_DATA = {"yield_per": 2_000}

# Balances and entries in one statement, the balances first: an entry that is posted meanwhile is in
# both or in neither.
_BOOKS = text("""
WITH legs AS MATERIALIZED (
    SELECT e.id, e.period_key, e.service_period, e.memo, e.posted_at, t.slug AS counterparty,
        e.mirror_id, p.leg, p.debit_cents - p.credit_cents AS cents, a.type, a.key,
        coalesce(p.party, o.slug) AS party
    FROM journal_entries e
    JOIN postings p ON p.tenant_id = e.tenant_id AND p.entry_id = e.id
    JOIN accounts a ON a.tenant_id = p.tenant_id AND a.key = p.account_key
    LEFT JOIN tenants t ON t.tenant_id = e.counterparty_id AND t.id = e.counterparty_id
    LEFT JOIN tenants o ON o.tenant_id = p.counterparty_id AND o.id = p.counterparty_id
    WHERE e.tenant_id = :tenant
)
SELECT * FROM (
    SELECT NULL AS id, period_key, NULL AS service_period, NULL AS memo, NULL AS posted_at,
        NULL AS counterparty, NULL AS mirror_id, NULL AS leg, sum(cents)::bigint AS cents, type,
        key, party
    FROM legs GROUP BY period_key, type, key, party
    UNION ALL
    SELECT * FROM legs
) found
ORDER BY (id IS NOT NULL), period_key, id, leg, type, key, party NULLS FIRST
""")


def head(title: str) -> Iterator[str]:
    """The options that open a file, once whatever books follow."""
    yield f"option {_quoted('title')} {_quoted(title)}\n"
    yield f"option {_quoted('operating_currency')} {_quoted(CURRENCY)}\n"


def books(session: TenantSession) -> Iterator[str]:
    """One partner's books in pieces of text: its accounts, its entries, its balances by month."""
    tenant_id = scope_of(session).tenant_id
    tenant = session.execute(
        text("SELECT slug, name, zone FROM tenants WHERE tenant_id = :tenant AND id = :tenant"),
        {"tenant": tenant_id},
    ).one()
    rows = session.execute(_BOOKS, {"tenant": tenant_id}, execution_options=_DATA)
    sums: list[Any] = []
    entries: Iterable[Any] = ()
    for row in rows:
        if row.id is not None:
            entries = chain([row], rows)
            break
        sums.append(row)
    yield f"\n; {tenant.name}\n\n"
    yield from _openings(tenant.slug, sums)
    yield from _transactions(tenant, entries)
    yield from _assertions(tenant.slug, sums)


def account(tenant: str, kind: str, key: str, party: str | None) -> str:
    """An account's name in beancount.

    >>> account("city-of-portland", "asset", "due_from_partners", "211info")
    'Assets:City-Of-Portland:Due-From-Partners:211info'
    """
    parts = [ROOTS[kind], _component(tenant), _component(key)]
    return ":".join([*parts, *([_component(party)] if party else [])])


def _component(words: str) -> str:
    found = "-".join(
        word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", words) if word
    )
    return found or "X"


def _openings(tenant: str, sums: Iterable[Any]) -> Iterator[str]:
    first: dict[str, date] = {}
    for row in sums:
        name = account(tenant, row.type, row.key, row.party)
        first.setdefault(name, Period.month(row.period_key).start_on)
    for name, day in sorted(first.items()):
        yield f"{day} open {name} {CURRENCY}\n"


def _transactions(tenant: Any, legs: Iterable[Any]) -> Iterator[str]:
    zone = ZoneInfo(tenant.zone)
    entry_id = None
    for leg in legs:
        if leg.id != entry_id:
            entry_id = leg.id
            day = day_in(leg.period_key, leg.posted_at.astimezone(zone).date())
            payee = f"{_quoted(leg.counterparty)} " if leg.counterparty else ""
            yield f"\n{day} * {payee}{_quoted(leg.memo)}\n"
            yield f"  entry: {_quoted(str(leg.id))}\n"
            yield f"  service: {_quoted(leg.service_period)}\n"
            if leg.mirror_id is not None:
                yield f"  mirror: {_quoted(str(leg.mirror_id))}\n"
        name = account(tenant.slug, leg.type, leg.key, leg.party)
        yield f"  {name}  {_amount(leg.cents)}\n"


def _assertions(tenant: str, sums: Iterable[Any]) -> Iterator[str]:
    """After each month, what every account that moved in it has come to."""
    running: dict[str, int] = {}
    yield "\n"
    for row in sums:
        name = account(tenant, row.type, row.key, row.party)
        running[name] = running.get(name, 0) + row.cents
        yield f"{Period.month(row.period_key).end_on} balance {name} {_amount(running[name])}\n"


def _amount(cents: int) -> str:
    amount: Decimal = from_cents(cents)
    return f"{amount:.2f} {CURRENCY}"


def _quoted(words: str) -> str:
    return json.dumps(" ".join(words.split()), ensure_ascii=False)
