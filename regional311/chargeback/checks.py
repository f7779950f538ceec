"""Whether the books and bills of the region hold: named checks, each with what is wrong.

Partners are visited one by one, each in a session of its own; nothing sees two partners at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from regional311.chargeback.planning import joined_by_hash
from regional311.chargeback.series import number_of
from regional311.chargeback.statement import Line, Payer, content_digest, document_digest
from regional311.chargeback.unbilled import EVERY, UNBILLED
from regional311.database.session import Scope, TenantSession, scope_of, session_scope
from regional311.ledger.books import (
    DUE_FROM,
    DUE_TO,
    Entry,
    Problem,
    entry_problems,
    mirror_problems,
    net_zero_problems,
)
from regional311.ledger.queries import entries_to_check, loose_problems, partner_balances

NAMES = (
    "balanced",
    "mirrored",
    "net_zero",
    "totals_match_lines",
    "leaves_sum_to_lines",
    "every_event_once",
    "numbers_gap_free",
)


@dataclass(frozen=True, slots=True)
class Check:
    """A named check; it holds when it has no problems."""

    name: str
    problems: tuple[Problem, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Owed:
    """What one partner owes another by the creditor's books, in cents."""

    creditor_id: UUID
    debtor_id: UUID
    cents: int


@dataclass(frozen=True, slots=True)
class _Copy:
    """One side's copy of an issued statement."""

    tenant_id: UUID
    counterparty_id: UUID
    side: str
    digest: str


_LEAVES = text("""
SELECT s.id, l.position, l.exact_amount, l.amount_cents, l.item_count,
    coalesce(i.amount, 0) AS amount, coalesce(i.items, 0) AS items
FROM statements s
JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
LEFT JOIN LATERAL (
    SELECT sum(amount) AS amount, sum(round(amount, 2)) * 100 AS rounded, count(*) AS items
    FROM statement_items
    WHERE tenant_id = l.tenant_id AND line_id = l.id
) i ON true
WHERE s.tenant_id = :tenant AND (CAST(:period AS text) IS NULL OR s.period_key = :period)
    AND (l.item_count <> coalesce(i.items, 0)
        OR (l.kind IN ('usage', 'correction')
            AND coalesce(l.basis->'corrects'->>'kind', l.kind) = 'usage'
            AND l.exact_amount <> coalesce(i.amount, 0))
        OR CASE WHEN l.basis->>'rounding' = 'item'
            THEN l.kind = 'usage' AND coalesce(i.rounded, 0) <> l.amount_cents
            ELSE abs(l.exact_amount * 100 - l.amount_cents) > 1
                OR (l.kind <> 'correction' AND round(l.exact_amount * 100) <> l.amount_cents) END)
ORDER BY s.id, l.position
""")

# Compared as whole sets: while a month is fresh nothing is known of its size, and a join might
# be made row by row.
_LOST = text("""
WITH latest AS (
    SELECT DISTINCT ON (period_key) * FROM rating_runs
    WHERE tenant_id = :tenant AND (CAST(:period AS text) IS NULL OR period_key = :period)
    ORDER BY period_key, number DESC
)
SELECT period_key, id FROM (
    SELECT r.period_key, e.id FROM latest r
    JOIN usage_events e ON e.tenant_id = :tenant AND e.occurred_at >= r.service_from
        AND e.occurred_at < r.service_to AND e.received_at < r.stored_before
    EXCEPT
    SELECT r.period_key, c.usage_event_id FROM latest r
    JOIN charges c ON c.tenant_id = :tenant AND c.run_id = r.id
) lost ORDER BY id LIMIT 20
""")

_EVERY = EVERY.format(key="s.period_key")

_LIVE = f"""
WITH live AS (
    SELECT s.id, s.run_id, s.counterparty_id, s.payer_kind, s.payer_key,
        {_EVERY} AS every
    FROM statements s
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind = 'bill' AND s.run_id IS NOT NULL
        AND (CAST(:period AS text) IS NULL OR s.period_key = :period)
        AND NOT EXISTS (SELECT 1 FROM statement_events v WHERE v.tenant_id = :tenant
            AND v.statement_id = s.id AND v.state = 'void')
), items AS (
    SELECT i.usage_event_id, live.run_id FROM live
    JOIN statement_lines l ON l.tenant_id = :tenant AND l.statement_id = live.id
    JOIN statement_items i ON i.tenant_id = :tenant AND i.line_id = l.id
)"""

_TWICE = text(f"""{_LIVE}
SELECT usage_event_id AS id, count(*) AS times FROM items
GROUP BY usage_event_id HAVING count(*) > 1 LIMIT 20
""")

_UNBILLED = text(f"""{_LIVE}
SELECT id FROM (
    SELECT c.run_id, c.usage_event_id AS id FROM live
    JOIN charges c ON c.tenant_id = :tenant AND c.run_id = live.run_id
        AND c.payer_id = live.counterparty_id AND c.payer_kind = live.payer_kind
        AND coalesce(c.payer_key, '') = coalesce(live.payer_key, '') AND c.state = 'rated'
    JOIN agreements a ON a.id = c.agreement_id AND a.provider_id = :tenant
        AND coalesce(a.terms->'billing'->>'every', 'month') = live.every
    EXCEPT
    SELECT run_id, usage_event_id FROM items
) unbilled ORDER BY id LIMIT 20
""")

# Where something of a period was issued, what its latest run gives each payer is on a statement of
# that payer, also on one that is being prepared.
_NOWHERE = text(f"""
WITH periods AS MATERIALIZED (
    SELECT DISTINCT s.period_key FROM statements s
    JOIN statement_events v ON v.tenant_id = s.tenant_id AND v.statement_id = s.id
        AND v.state = 'issued'
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind = 'bill'
        AND (CAST(:period AS text) IS NULL OR s.period_key = :period)
), {UNBILLED}
SELECT period_key, usage_event_id AS id FROM unbilled WHERE new ORDER BY id LIMIT 20
""")

# All statements of a corrected period add up, line by line, to the rating behind the last of them.
_DRIFTED = text(f"""
WITH issued AS (
    SELECT s.id, s.kind, s.run_id, s.counterparty_id, s.payer_kind,
        coalesce(s.payer_key, '') AS payer_key, s.period_key,
        {_EVERY} AS every
    FROM statements s
    JOIN statement_events v ON v.tenant_id = s.tenant_id AND v.statement_id = s.id
        AND v.state = 'issued'
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind IN ('bill', 'correction')
        AND (CAST(:period AS text) IS NULL OR s.period_key = :period)
), corrected AS (
    SELECT * FROM (
        SELECT DISTINCT ON (counterparty_id, payer_kind, payer_key, period_key) * FROM issued
        ORDER BY counterparty_id, payer_kind, payer_key, period_key, id DESC
    ) latest WHERE kind = 'correction'
), billed AS (
    SELECT c.id, l.line_key, sum(l.quantity) AS quantity, sum(l.exact_amount) AS amount
    FROM corrected c
    JOIN issued s USING (counterparty_id, payer_kind, payer_key, period_key)
    JOIN statement_lines l ON l.tenant_id = :tenant AND l.statement_id = s.id
    WHERE l.kind IN ('usage', 'correction')
        AND coalesce(l.basis->'corrects'->>'kind', l.kind) = 'usage'
    GROUP BY c.id, l.line_key HAVING sum(l.quantity) <> 0 OR sum(l.exact_amount) <> 0
), rated AS (
    SELECT c.id, w.line_key, sum(w.quantity) AS quantity, sum(w.amount) AS amount
    FROM corrected c
    JOIN charges w ON w.tenant_id = :tenant AND w.run_id = c.run_id AND w.state = 'rated'
        AND w.payer_id = c.counterparty_id AND w.payer_kind = c.payer_kind
        AND coalesce(w.payer_key, '') = c.payer_key
    JOIN agreements a ON a.id = w.agreement_id AND a.provider_id = :tenant
        AND coalesce(a.terms->'billing'->>'every', 'month') = c.every
    GROUP BY c.id, w.line_key HAVING sum(w.quantity) <> 0 OR sum(w.amount) <> 0
)
SELECT id, line_key FROM billed FULL JOIN rated USING (id, line_key)
WHERE (billed.quantity, billed.amount) IS DISTINCT FROM (rated.quantity, rated.amount)
ORDER BY id, line_key LIMIT 20
""")

# What an issued statement is over stands in the issuer's book as owed, or as a bureau's expense.
_TOTALS = text("""
SELECT s.id, s.public_id, s.period_key, s.total_cents, s.line_count, s.item_count, s.digest,
    v.number IS NOT NULL AS posts, coalesce(posted.cents, 0) AS posted_cents
FROM statements s
LEFT JOIN statement_events v ON v.tenant_id = s.tenant_id AND v.statement_id = s.id
    AND v.state = 'issued'
LEFT JOIN LATERAL (
    SELECT sum(p.debit_cents - p.credit_cents)::bigint AS cents
    FROM journal_entries e
    JOIN postings p ON p.tenant_id = e.tenant_id AND p.entry_id = e.id
        AND p.account_key IN ('due_from_partners', 'due_from_outside', 'interfund_expense')
    WHERE e.tenant_id = s.tenant_id AND e.source_key = concat_ws(':', 'statement', s.id, 'issued')
) posted ON true
WHERE s.tenant_id = :tenant AND (CAST(:period AS text) IS NULL OR s.period_key = :period)
ORDER BY s.id
""")

_INTERFUND = text("""
SELECT party, sum(debit_cents - credit_cents)::bigint AS cents FROM postings
WHERE tenant_id = :tenant AND account_key IN ('interfund_expense', 'interfund_revenue')
GROUP BY party HAVING sum(debit_cents) <> sum(credit_cents) ORDER BY party
""")

_NUMBERS = text("""
SELECT coalesce(array_agg(e.number), '{}') AS numbers,
    (SELECT coalesce(max(last_number), 0) FROM statement_counters WHERE tenant_id = :tenant) AS last
FROM statement_events e
JOIN statements s ON s.tenant_id = e.tenant_id AND s.id = e.statement_id AND s.side = 'issued'
WHERE e.tenant_id = :tenant AND e.number IS NOT NULL
""")


def check_partner(session: TenantSession, period_key: str | None = None) -> list[Check]:
    """The checks that one partner's own books and bills allow, of one month or of all time."""
    return _checks(_own_problems(session, period_key), only_own=True)


def check_region(
    engine: Engine, tenants: Mapping[str, UUID], period_key: str | None = None
) -> list[Check]:
    """All checks over all partners (slug to id), of one month or of all time."""
    found: defaultdict[str, list[Problem]] = defaultdict(list)
    entries: list[Entry] = []
    balances: list[tuple[UUID, UUID, str, int]] = []
    copies: defaultdict[UUID, list[_Copy]] = defaultdict(list)
    for tenant_id in sorted(tenants.values()):
        with session_scope(engine, Scope(tenant_id)) as session:
            for name, problems in _own_problems(session, period_key).items():
                found[name] += problems
            entries += _entries(session, period_key)
            for row in partner_balances(session):
                balances.append((tenant_id, row.counterparty_id, DUE_FROM, row.due_from_cents))
                balances.append((tenant_id, row.counterparty_id, DUE_TO, -row.due_to_cents))
            found["net_zero"] += _interfund_problems(session)
            for statement_id, copy in _copies(session, period_key):
                copies[statement_id].append(copy)
    found["mirrored"] += mirror_problems(entries)
    found["mirrored"] += _copy_problems(copies)
    found["net_zero"] += net_zero_problems(balances)
    return _checks(found, only_own=False)


def who_owes_whom(engine: Engine, tenants: Mapping[str, UUID]) -> list[Owed]:
    """What each partner owes each other one, by the creditors' books; nothing owed is left out."""
    owed = []
    for tenant_id in sorted(tenants.values()):
        with session_scope(engine, Scope(tenant_id)) as session:
            owed += [
                Owed(tenant_id, row.counterparty_id, row.due_from_cents)
                for row in partner_balances(session)
                if row.due_from_cents
            ]
    return owed


@dataclass(frozen=True, slots=True)
class OwedInMonth:
    """What one partner owes another for the work of a month, by the creditor's books, in cents."""

    period_key: str
    creditor_id: UUID
    debtor_id: UUID
    cents: int


def owed_by_month(engine: Engine, tenants: Mapping[str, UUID]) -> list[OwedInMonth]:
    """What each partner owes each other one, by service month, the latest first."""
    found = []
    for tenant_id in sorted(tenants.values()):
        with session_scope(engine, Scope(tenant_id)) as session:
            rows = session.execute(
                text(
                    "SELECT e.service_period, p.counterparty_id,"
                    " sum(p.debit_cents - p.credit_cents)::bigint FROM postings p"
                    " JOIN journal_entries e ON e.tenant_id = p.tenant_id AND e.id = p.entry_id"
                    " WHERE p.tenant_id = :tenant AND p.account_key = :account"
                    " AND p.counterparty_id IS NOT NULL GROUP BY 1, 2"
                ),
                {"tenant": tenant_id, "account": DUE_FROM},
            )
            found += [OwedInMonth(row[0], tenant_id, row[1], row[2]) for row in rows if row[2]]
    return sorted(found, key=lambda each: each.period_key, reverse=True)


def _checks(found: Mapping[str, list[Problem]], *, only_own: bool) -> list[Check]:
    return [
        Check(name, tuple(found.get(name, ())))
        for name in NAMES
        if not (only_own and name in ("mirrored", "net_zero"))
    ]


def _own_problems(session: TenantSession, period_key: str | None) -> dict[str, list[Problem]]:
    return {
        "balanced": [
            *(each for entry in _entries(session, period_key) for each in entry_problems(entry)),
            *loose_problems(session),
        ],
        "totals_match_lines": _total_problems(session, period_key),
        "leaves_sum_to_lines": _leaf_problems(session, period_key),
        "every_event_once": _event_problems(session, period_key),
        "numbers_gap_free": _number_problems(session),
    }


def _entries(session: TenantSession, period_key: str | None) -> list[Entry]:
    return entries_to_check(session, None if period_key is None else [period_key])


def _parameters(session: TenantSession, period_key: str | None) -> dict[str, Any]:
    return {"tenant": scope_of(session).tenant_id, "period": period_key}


def _total_problems(session: TenantSession, period_key: str | None) -> list[Problem]:
    tenant_id = scope_of(session).tenant_id
    problems = []
    rows = session.execute(_TOTALS, _parameters(session, period_key)).all()
    lines_of = _lines(session, period_key)
    for row in rows:
        lines = lines_of.get(row.id, [])
        has = (
            sum(line.amount_cents for line in lines),
            len(lines),
            sum(line.item_count for line in lines),
            content_digest(row.period_key, lines),
        )
        if has != (row.total_cents, row.line_count, row.item_count, row.digest):
            problems.append(
                Problem(
                    "total_differs",
                    tenant_id,
                    row.id,
                    f"Statement {row.public_id} was made over {row.total_cents} cents in "
                    f"{row.line_count} lines and has {has[0]} in {has[1]}.",
                )
            )
        if row.posts and row.posted_cents != row.total_cents:
            problems.append(
                Problem(
                    "posted_differs",
                    tenant_id,
                    row.id,
                    f"Statement {row.public_id} is over {row.total_cents} cents, and "
                    f"{row.posted_cents} are posted for it.",
                )
            )
    return problems


def _interfund_problems(session: TenantSession) -> list[Problem]:
    """What a partner's own bureaus expense and what it earns from them must be the same."""
    tenant_id = scope_of(session).tenant_id
    return [
        Problem(
            "interfund_differs",
            tenant_id,
            None,
            f"Expense and revenue of {row.party or 'nobody'} differ by {row.cents} cents.",
        )
        for row in session.execute(_INTERFUND, {"tenant": tenant_id})
    ]


def _lines(session: TenantSession, period_key: str | None) -> dict[UUID, list[Line]]:
    """The lines of every statement, by statement and in order: one statement for all of them."""
    found: defaultdict[UUID, list[Line]] = defaultdict(list)
    rows = session.execute(
        text(
            "SELECT l.statement_id, l.position, l.kind, l.service_period, l.line_key,"
            " l.label, l.agreement_key, l.basis, l.quantity, l.price, l.exact_amount, l.item_count,"
            " l.amount_cents"
            " FROM statements s JOIN statement_lines l"
            " ON l.tenant_id = s.tenant_id AND l.statement_id = s.id"
            " WHERE s.tenant_id = :tenant"
            " AND (CAST(:period AS text) IS NULL OR s.period_key = :period)"
            " ORDER BY l.statement_id, l.position"
        ),
        _parameters(session, period_key),
    )
    for statement_id, *line in rows:
        found[statement_id].append(Line(*line))
    return found


def _leaf_problems(session: TenantSession, period_key: str | None) -> list[Problem]:
    tenant_id = scope_of(session).tenant_id
    return [
        Problem(
            "leaves_differ",
            tenant_id,
            row.id,
            f"Line {row.position} is {row.exact_amount:f} over {row.item_count} pieces of work "
            f"({row.amount_cents} cents); its leaves are {row.amount:f} over {row.items}.",
        )
        for row in session.execute(_LEAVES, _parameters(session, period_key))
    ]


def _event_problems(session: TenantSession, period_key: str | None) -> list[Problem]:
    tenant_id = scope_of(session).tenant_id
    parameters = _parameters(session, period_key)
    problems = [
        Problem("event_lost", tenant_id, row.id, f"Not in the latest run of {row.period_key}.")
        for row in session.execute(_LOST, parameters)
    ]
    problems += [
        Problem("event_billed_twice", tenant_id, row.id, f"On {row.times} live lines.")
        for row in session.execute(_TWICE, parameters)
    ]
    problems += [
        Problem("event_not_billed", tenant_id, row.id, "Rated, and on no line of its statement.")
        for row in session.execute(_UNBILLED, parameters)
    ]
    with joined_by_hash(session):
        nowhere = session.execute(_NOWHERE, parameters | {"drafts": True}).all()
    problems += [
        Problem(
            "event_not_billed",
            tenant_id,
            row.id,
            f"Rated in {row.period_key}, and on no live statement of its payer.",
        )
        for row in nowhere
    ]
    problems += [
        Problem(
            "correction_drifts",
            tenant_id,
            row.id,
            f"With its corrections {row.line_key} differs from a fresh rating.",
        )
        for row in session.execute(_DRIFTED, parameters)
    ]
    return problems


def _number_problems(session: TenantSession) -> list[Problem]:
    parameters = {"tenant": scope_of(session).tenant_id}
    row = session.execute(_NUMBERS, parameters).one()
    numbers = sorted(number_of(number) for number in row.numbers)
    return _gaps(parameters["tenant"], numbers, row.last)


def _gaps(tenant_id: UUID, numbers: list[int], last: int) -> list[Problem]:
    times = Counter(numbers)
    wanted = set(range(1, last + 1))
    return [
        Problem("number_missing", tenant_id, None, f"Number {number} was given to no statement.")
        for number in sorted(wanted - set(times))
    ] + [
        Problem("number_wrong", tenant_id, None, f"Number {number} is doubled or was never given.")
        for number, count in sorted(times.items())
        if count > 1 or number not in wanted
    ]


_ISSUED = text("""
SELECT s.id, s.public_id, s.side, s.kind, s.counterparty_id, s.payer_kind, s.payer_key,
    s.corrects_id, s.period_key, s.total_cents, s.line_count, s.item_count, s.digest, s.parties,
    s.terms, v.number, v.at
FROM statements s
JOIN statement_events v ON v.tenant_id = s.tenant_id AND v.statement_id = s.id
    AND v.state IN ('issued', 'received')
WHERE s.tenant_id = :tenant AND (CAST(:period AS text) IS NULL OR s.period_key = :period)
ORDER BY s.id
""")


@dataclass(frozen=True, slots=True)
class IssuedStatement:
    """A statement that was issued or received, with its digest as its rows are now."""

    id: UUID
    public_id: str
    side: str
    payer_kind: str
    counterparty_id: UUID
    issued_at: datetime
    digest: str


def issued_statements(
    session: TenantSession, period_key: str | None = None
) -> list[IssuedStatement]:
    """Every statement that this partner issued or received, its digest made anew."""
    tenant_id = scope_of(session).tenant_id
    found = []
    rows = session.execute(_ISSUED, _parameters(session, period_key)).mappings()
    for row in map(dict, rows):
        mine = row["side"] == "issued"
        issuer_id = tenant_id if mine else row["counterparty_id"]
        payer = (
            Payer(row["counterparty_id"], row["payer_kind"], row["payer_key"])
            if mine
            else Payer(tenant_id)
        )
        found.append(
            IssuedStatement(
                row["id"],
                row["public_id"],
                row["side"],
                row["payer_kind"],
                row["counterparty_id"],
                row["at"],
                document_digest(row, issuer_id, payer, row["number"], row["at"]),
            )
        )
    return found


def _copies(session: TenantSession, period_key: str | None) -> Iterable[tuple[UUID, _Copy]]:
    tenant_id = scope_of(session).tenant_id
    for each in issued_statements(session, period_key):
        if each.payer_kind == "partner":
            yield each.id, _Copy(tenant_id, each.counterparty_id, each.side, each.digest)


def _copy_problems(copies: Mapping[UUID, list[_Copy]]) -> list[Problem]:
    problems = []
    for statement_id, sides in copies.items():
        if sorted(side.side for side in sides) != ["issued", "received"]:
            message = "The statement is not there just once with issuer and payer."
        elif sides[0].digest != sides[1].digest:
            message = "The copies of issuer and payer differ."
        elif any(
            one.counterparty_id != other.tenant_id for one, other in (sides, list(reversed(sides)))
        ):
            message = "Issuer and payer do not name each other."
        else:
            continue
        problems.append(Problem("copy_differs", sides[0].tenant_id, statement_id, message))
    return problems
