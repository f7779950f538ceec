"""Whether what was paid holds: each payment as it was recorded, as it is posted, on both sides.

What is open of a statement, its age and its interest come from payments; so they are held against
the digest that was sealed when they were recorded, against the books, and against the other side's
copy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from regional311.chargeback import verification
from regional311.chargeback.checks import Check
from regional311.chargeback.verification import BooksReport
from regional311.database.session import Scope, TenantSession, scope_of, session_scope
from regional311.ledger.books import Problem
from regional311.ledger.seals import Head, kept_documents
from regional311.settlement.payments import Effect, Whom, payment_digest, payment_legs

_PAYMENTS = text("""
SELECT p.*, e.id AS entry_id, e.period_key AS entry_period, coalesce((
    SELECT jsonb_object_agg(account_key, cents) FROM (
        SELECT account_key, sum(debit_cents - credit_cents)::bigint AS cents FROM postings
        WHERE tenant_id = :tenant AND entry_id = e.id
            AND party IS NOT DISTINCT FROM 'outside:' || p.payer_key
            AND counterparty_id IS NOT DISTINCT FROM
                CASE WHEN p.payer_kind = 'partner' THEN p.counterparty_id END
        GROUP BY account_key
    ) sums), '{}') AS posted
FROM payments p
LEFT JOIN journal_entries e ON e.tenant_id = :tenant
    AND e.source_key = concat_ws(':', 'payment', p.id, p.side)
WHERE p.tenant_id = :tenant ORDER BY p.id
""")

_UNPAID = text("""
SELECT e.id, e.memo FROM journal_entries e
WHERE e.tenant_id = :tenant AND e.source_key LIKE 'payment:%' AND NOT EXISTS (
    SELECT FROM payments p WHERE p.tenant_id = :tenant AND p.id = e.source_id)
ORDER BY e.id
""")

# What netting settled of both sides' statements, against what its entries set off.
_NETTED = text("""
WITH paid AS (
    SELECT netting_id, counterparty_id,
        sum(netted_cents) FILTER (WHERE side = 'received') AS claims,
        sum(netted_cents) FILTER (WHERE side = 'paid') AS debts
    FROM payments WHERE tenant_id = :tenant AND netting_id IS NOT NULL GROUP BY 1, 2
), posted AS (
    SELECT e.source_id AS netting_id, e.counterparty_id,
        sum(p.credit_cents - p.debit_cents) FILTER (WHERE p.account_key = 'due_from_partners')
            AS claims,
        sum(p.debit_cents - p.credit_cents) FILTER (WHERE p.account_key = 'due_to_partners')
            AS debts
    FROM journal_entries e
    JOIN postings p ON p.tenant_id = :tenant AND p.entry_id = e.id
    WHERE e.tenant_id = :tenant AND e.source_key LIKE 'netting:%' GROUP BY 1, 2
)
SELECT netting_id, counterparty_id FROM paid FULL JOIN posted USING (netting_id, counterparty_id)
WHERE coalesce(paid.claims, 0) <> coalesce(posted.claims, 0)
    OR coalesce(paid.debts, 0) <> coalesce(posted.debts, 0)
ORDER BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class _Copy:
    """One side's copy of a payment between partners."""

    tenant_id: UUID
    counterparty_id: UUID
    public_id: str
    side: str
    digest: str


def check_books(
    engine: Engine,
    tenants: Mapping[str, UUID],
    *,
    tenant: str | None = None,
    heads: Mapping[str, Head] | None = None,
) -> BooksReport:
    """All checks of bills and books, and with them those of payments.

    :raises NotFound: when there is no partner `tenant`.
    :raises InvalidInput: when a head is of an unknown partner.
    """
    report = verification.check_books(engine, tenants, tenant=tenant, heads=heads)
    problems: list[Problem] = []
    copies: defaultdict[UUID, list[_Copy]] = defaultdict(list)
    for slug in report.looked:
        with session_scope(engine, Scope(tenants[slug])) as session:
            rows = _payments(session)
            problems += _own_problems(session, rows)
            for payment_id, copy in _copies(session, rows):
                copies[payment_id].append(copy)
    if tenant is None:
        problems += _copy_problems(copies)
    return replace(report, checks=(*report.checks, Check("payments_kept", tuple(problems))))


def payment_problems(session: TenantSession) -> list[Problem]:
    """What is wrong with this partner's own payments."""
    return _own_problems(session, _payments(session))


def _payments(session: TenantSession) -> list[Mapping[str, Any]]:
    rows = session.execute(_PAYMENTS, {"tenant": scope_of(session).tenant_id})
    return [dict(row) for row in rows.mappings()]


def _own_problems(session: TenantSession, rows: Iterable[Mapping[str, Any]]) -> list[Problem]:
    tenant_id = scope_of(session).tenant_id
    kept = kept_documents(session, "payment")
    problems = []
    for row in rows:
        what = kept.problem(row["id"], _digest(tenant_id, row), row["recorded_at"])
        if what is not None:
            message = (
                "is not as it was recorded."
                if what == "changed"
                else "has lost what was kept of it when it was recorded."
            )
            problems.append(_problem(f"payment_{what}", tenant_id, row, message))
        if row["netting_id"] is None and not _is_posted(row):
            problems.append(
                _problem("payment_posted_differs", tenant_id, row, "is not as its entry posts it.")
            )
    problems += [
        Problem("payment_missing", tenant_id, row.id, f"{row.memo}: its payment is gone.")
        for row in session.execute(_UNPAID, {"tenant": tenant_id})
    ]
    problems += [
        Problem(
            "netting_differs",
            tenant_id,
            row.netting_id,
            "What was settled by this netting differs from what its entries set off.",
        )
        for row in session.execute(_NETTED, {"tenant": tenant_id})
    ]
    return problems


def _problem(kind: str, tenant_id: UUID, row: Mapping[str, Any], message: str) -> Problem:
    return Problem(kind, tenant_id, row["id"], f"Payment {row['public_id']} {message}")


def _digest(tenant_id: UUID, row: Mapping[str, Any]) -> str:
    sides = (tenant_id, row["counterparty_id"])
    return payment_digest(row, *(sides if row["side"] == "received" else reversed(sides)))


def _is_posted(row: Mapping[str, Any]) -> bool:
    """Whether a payment's entry moves what the payment says, in its month."""
    effect = Effect(*(row[f"{name}_cents"] for name in ("cash", "netted", "applied", "advance")))
    whom = Whom(row["counterparty_id"], row["payer_key"])
    legs = payment_legs(effect, row["side"], whom.id, whom.party)
    wanted = {leg.account: leg.net_cents for leg in legs}
    return row["posted"] == wanted and (
        not legs if row["entry_id"] is None else row["entry_period"] == row["period_key"]
    )


def _copies(
    session: TenantSession, rows: Iterable[Mapping[str, Any]]
) -> Iterable[tuple[UUID, _Copy]]:
    tenant_id = scope_of(session).tenant_id
    for row in rows:
        if row["payer_kind"] == "partner":
            yield (
                row["id"],
                _Copy(
                    tenant_id,
                    row["counterparty_id"],
                    row["public_id"],
                    row["side"],
                    _digest(tenant_id, row),
                ),
            )


def _copy_problems(copies: Mapping[UUID, list[_Copy]]) -> list[Problem]:
    problems = []
    for payment_id, sides in copies.items():
        if sorted(each.side for each in sides) != ["paid", "received"]:
            message = "is not there just once with receiver and payer."
        elif sides[0].digest != sides[1].digest:
            message = "differs between receiver and payer."
        else:
            continue
        problems.append(
            Problem(
                "payment_copy_differs",
                sides[0].tenant_id,
                payment_id,
                f"Payment {sides[0].public_id} {message}",
            )
        )
    return problems
