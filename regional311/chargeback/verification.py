"""Whether the books hold, for an auditor: what was looked at, each check, each problem by name.

The checks of bills and books are those of `checks`; here come the chain of seals, the payable of
each statement in the ledger, postings to months that had been closed, and the batches that went to
the partner's own general ledger. Partners are visited one by one, each in a session of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from regional311.chargeback.checks import Check, check_partner, check_region, issued_statements
from regional311.chargeback.documents.keeping import file_problems
from regional311.database.session import Scope, TenantSession, scope_of, session_scope
from regional311.errors import InvalidInput, NotFound
from regional311.ledger.books import Problem
from regional311.ledger.exports import batch_problems
from regional311.ledger.seals import GENESIS, Head, kept_documents, verify

OWN = ("chain", "payable_posted", "statements_kept", "periods_kept", "batches_whole")
"""Checks that are made here, beside those of `checks`."""


@dataclass(frozen=True, slots=True)
class Looked:
    """How much of one partner's books was looked at."""

    entries: int
    legs: int
    debit_cents: int
    credit_cents: int
    seals: int
    sealed_entries: int
    unsealed_entries: int
    head_number: int
    head_hash: str
    periods: int
    statements: int
    lines: int
    batches: int


@dataclass(frozen=True, slots=True)
class BooksReport:
    """What was looked at (by slug), and every check with its problems."""

    looked: Mapping[str, Looked]
    checks: tuple[Check, ...]
    slugs: Mapping[UUID, str]

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "ok": self.ok,
            "looked_at": {slug: asdict(looked) for slug, looked in self.looked.items()},
            "checks": [
                {
                    "name": check.name,
                    "holds": check.holds,
                    "problems": [
                        {
                            "kind": each.kind,
                            "tenant": self._slug(each.tenant_id),
                            "subject_id": None if each.subject_id is None else str(each.subject_id),
                            "message": each.message,
                        }
                        for each in check.problems
                    ],
                }
                for check in self.checks
            ],
        }

    def _slug(self, tenant_id: UUID | None) -> str | None:
        return None if tenant_id is None else self.slugs.get(tenant_id, str(tenant_id))

    def __str__(self) -> str:
        lines = []
        for slug, looked in self.looked.items():
            lines.append(
                f"{slug}: {looked.entries:,} entries with {looked.legs:,} legs over"
                f" {looked.debit_cents / 100:,.2f} in {looked.periods:,} months,"
                f" {looked.seals:,} seals over {looked.sealed_entries:,} entries and documents"
                f" ({looked.unsealed_entries:,} wait), {looked.statements:,} statements with"
                f" {looked.lines:,} lines, {looked.batches:,} batches;"
                f" head {looked.head_number} {looked.head_hash[:12]}"
            )
        for check in self.checks:
            lines.append(f"{'holds' if check.holds else 'FAILS':5}  {check.name}")
            for each in check.problems:
                where = " ".join(
                    str(part)
                    for part in (self._slug(each.tenant_id), each.kind, each.subject_id)
                    if part
                )
                lines.append(f"       {where}: {each.message}")
        count = sum(len(check.problems) for check in self.checks)
        lines.append("The books hold." if self.ok else f"{count} problems.")
        return "\n".join(lines)


_LOOKED = text("""
SELECT (SELECT count(*) FROM journal_entries WHERE tenant_id = :tenant) AS entries,
    p.legs, p.debits, p.credits,
    (SELECT count(*) FROM ledger_periods WHERE tenant_id = :tenant) AS periods,
    (SELECT count(*) FROM statements WHERE tenant_id = :tenant) AS statements,
    (SELECT count(*) FROM statement_lines WHERE tenant_id = :tenant) AS lines,
    (SELECT count(*) FROM export_batches WHERE tenant_id = :tenant) AS batches
FROM (SELECT count(*) AS legs, coalesce(sum(debit_cents), 0)::bigint AS debits,
        coalesce(sum(credit_cents), 0)::bigint AS credits
    FROM postings WHERE tenant_id = :tenant) p
""")

_PAYABLE = text("""
SELECT * FROM (
    SELECT s.id, s.public_id, s.side, s.total_cents, e.id IS NULL AS unposted, coalesce((
        SELECT sum(CASE
            WHEN p.account_key = 'due_from_partners' THEN p.debit_cents - p.credit_cents
            WHEN p.account_key = 'due_from_outside' THEN p.debit_cents - p.credit_cents
            WHEN p.account_key = 'due_to_partners' THEN p.credit_cents - p.debit_cents
            WHEN p.account_key = 'interfund_revenue' THEN p.credit_cents - p.debit_cents
            ELSE 0 END)
        FROM postings p WHERE p.tenant_id = :tenant AND p.entry_id = e.id), 0)::bigint AS posted
    FROM statements s
    LEFT JOIN journal_entries e ON e.tenant_id = :tenant
        AND e.source_key = 'statement:' || s.id::text || ':' || s.side
    WHERE s.tenant_id = :tenant AND EXISTS (SELECT FROM statement_events v
        WHERE v.tenant_id = :tenant AND v.statement_id = s.id
        AND v.state IN ('issued', 'received'))
) found WHERE posted <> total_cents ORDER BY id
""")

_UNSTATED = text("""
SELECT e.id, e.memo FROM journal_entries e
WHERE e.tenant_id = :tenant AND e.source_key LIKE 'statement:%' AND NOT EXISTS (
    SELECT FROM statements s WHERE s.tenant_id = :tenant AND s.id = e.source_id)
ORDER BY e.id
""")

_AFTER_CLOSE = text("""
SELECT e.id, e.memo, e.period_key, e.posted_at, last.at FROM journal_entries e
JOIN LATERAL (
    SELECT v.kind, v.at FROM ledger_period_events v
    WHERE v.tenant_id = :tenant AND v.period_key = e.period_key AND v.at < e.posted_at
        AND v.kind IN ('soft_closed', 'closed', 'reopened')
    ORDER BY v.position DESC LIMIT 1
) last ON last.kind <> 'reopened'
WHERE e.tenant_id = :tenant ORDER BY e.id
""")


def check_books(
    engine: Engine,
    tenants: Mapping[str, UUID],
    *,
    tenant: str | None = None,
    heads: Mapping[str, Head] | None = None,
) -> BooksReport:
    """Check all partners' books against one another, or one partner's by themselves.

    `heads` are heads that were exported before (slug to head): the chain must still have them.

    :raises NotFound: when there is no partner `tenant`.
    :raises InvalidInput: when a head is of an unknown partner.
    """
    if tenant is not None and tenant not in tenants:
        raise NotFound(f"There is no partner {tenant}.")
    for slug in heads or {}:
        if slug not in tenants:
            raise InvalidInput(f"The heads name {slug}, which is no partner here.", field="heads")
    chosen = {slug: tenants[slug] for slug in sorted(tenants) if tenant in (None, slug)}
    looked: dict[str, Looked] = {}
    found: defaultdict[str, list[Problem]] = defaultdict(list)
    checks: list[Check] = []
    for slug, tenant_id in chosen.items():
        with session_scope(engine, Scope(tenant_id)) as session:
            looked[slug], problems = own_books(session, (heads or {}).get(slug))
            for name, each in problems.items():
                found[name] += each
            if tenant is not None:
                checks = check_partner(session)
    if tenant is None:
        checks = check_region(engine, tenants)
    mine = [Check(name, tuple(found[name])) for name in OWN]
    return BooksReport(looked, (*mine, *checks), {each: slug for slug, each in tenants.items()})


def own_books(
    session: TenantSession, exported: Head | None = None
) -> tuple[Looked, dict[str, list[Problem]]]:
    """What one partner's own books allow to check here, by the names of `OWN`."""
    tenant_id = scope_of(session).tenant_id
    parameters = {"tenant": tenant_id}
    chain = verify(session, exported)
    row = session.execute(_LOOKED, parameters).one()
    looked = Looked(
        entries=row.entries,
        legs=row.legs,
        debit_cents=row.debits,
        credit_cents=row.credits,
        seals=chain.seals,
        sealed_entries=chain.sealed_entries,
        unsealed_entries=chain.unsealed_entries,
        head_number=chain.head.number,
        head_hash="" if chain.head.hash == GENESIS else chain.head.hash,
        periods=row.periods,
        statements=row.statements,
        lines=row.lines,
        batches=row.batches,
    )
    payable = [
        Problem(
            "payable_differs",
            tenant_id,
            each.id,
            f"Statement {each.public_id} ({each.side}) is over {each.total_cents} cents; "
            + (
                "no entry posts it."
                if each.unposted
                else f"its entry has {each.posted} cents payable."
            ),
        )
        for each in session.execute(_PAYABLE, parameters)
    ]
    payable += [
        Problem("statement_missing", tenant_id, each.id, f"{each.memo}: its statement is gone.")
        for each in session.execute(_UNSTATED, parameters)
    ]
    kept = kept_documents(session, "statement")
    changed = [
        Problem(
            f"statement_{what}",
            tenant_id,
            each.id,
            f"Statement {each.public_id} ({each.side}): "
            + (
                "its parties, terms, day or content are not as they were when it was issued."
                if what == "changed"
                else "what was kept of it when it was issued is gone."
            ),
        )
        for each in issued_statements(session)
        if (what := kept.problem(each.id, each.digest, each.issued_at))
    ]
    late = [
        Problem(
            "posted_after_close",
            tenant_id,
            each.id,
            f"{each.memo} is in {each.period_key}, which was closed on {each.at:%Y-%m-%d}, and was"
            f" posted on {each.posted_at:%Y-%m-%d}.",
        )
        for each in session.execute(_AFTER_CLOSE, parameters)
    ]
    return looked, {
        "chain": list(chain.problems),
        "payable_posted": payable,
        "statements_kept": [*changed, *file_problems(session)],
        "periods_kept": late,
        "batches_whole": batch_problems(session),
    }
