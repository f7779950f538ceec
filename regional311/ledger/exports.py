"""Batches for a partner's own general ledger: each entry in exactly one, byte for byte again.

A batch takes every entry booked up to a month that no batch has yet. It keeps the layout and the
mappings as they were and the digest of its bytes, so that it can be sent again as it was, whatever
has changed since; a batch whose bytes come out different is refused and named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text

from regional311.audit.service import record
from regional311.calendars import Period, fiscal_year, month_of_fiscal_year
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, DomainError, NotFound
from regional311.ledger.books import Problem
from regional311.ledger.layouts import Layout, read_layout, render
from regional311.ledger.models import ExportBatch

CODES = ("external_code", "fund_code", "cost_centre")
AT_ONCE = 2_000
BUREAU_PAYS = "interfund_expense"


class NothingToExport(Conflict):
    """Every entry up to that month is in a batch already."""


class BatchDiffers(DomainError):
    """The entries of a batch do not make the bytes any more that were sent."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch as lists show it."""

    id: UUID
    number: int
    layout_name: str
    through_period: str
    entry_count: int
    leg_count: int
    debit_cents: int
    credit_cents: int
    digest: str
    made_by: UUID | None
    made_at: datetime


_FRESH = """FROM journal_entries e WHERE e.tenant_id = :tenant AND e.period_key <= :through
    AND NOT EXISTS (SELECT FROM export_batch_entries x
        WHERE x.tenant_id = e.tenant_id AND x.entry_id = e.id)"""
_WAITING = text(f"SELECT count(*) {_FRESH}")
# Just what was read: an entry that is posted meanwhile waits for the next batch.
_TAKE = text("""
INSERT INTO export_batch_entries (tenant_id, entry_id, batch_id, position)
SELECT :tenant, entry_id, :batch, position
FROM unnest(CAST(:entries AS uuid[]), CAST(:places AS integer[])) AS taken(entry_id, position)
""")
_LEGS = """
SELECT {place} AS place, e.id AS entry_id, e.period_key, e.service_period, e.memo, e.posted_at,
    p.leg, p.account_key, p.debit_cents, p.credit_cents, p.counterparty_id, p.party, p.family
FROM {source}
JOIN postings p ON p.tenant_id = e.tenant_id AND p.entry_id = e.id
ORDER BY 1, p.leg
"""
_BATCH_LEGS = text(
    _LEGS.format(
        place="x.position",
        source="export_batch_entries x JOIN journal_entries e"
        " ON e.tenant_id = x.tenant_id AND e.id = x.entry_id"
        " AND x.tenant_id = :tenant AND x.batch_id = :batch",
    )
)
_FRESH_LEGS = text(
    _LEGS.format(
        place="e.place",
        source=f"(SELECT e.*, row_number() OVER (ORDER BY e.period_key, e.id) AS place {_FRESH}) e",
    )
)
_BATCHES = """
SELECT id, number, layout->>'name', through_period, entry_count, leg_count, debit_cents,
    credit_cents, digest, made_by, made_at FROM export_batches WHERE tenant_id = :tenant
"""


def make_batch(
    session: TenantSession, *, layout_key: str, through_period: str, now: datetime
) -> UUID:
    """Put every entry booked up to a month into a batch, unless one has it; return the batch's id.

    :raises NotFound: when there is no such layout.
    :raises BadPeriod: when `through_period` is not a month.
    :raises NothingToExport: when there is nothing new.
    :raises CodeMissing: when a posting lacks a code that the layout requires; nothing is written.
    """
    scope = scope_of(session)
    Period.month(through_period)
    said = read_layout(layout_key)
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('export_batches:' || :tenant, 0))"),
        {"tenant": str(scope.tenant_id)},
    )
    mappings = current_mappings(session)
    number: int = session.execute(
        text("SELECT coalesce(max(number), 0) + 1 FROM export_batches WHERE tenant_id = :tenant"),
        {"tenant": scope.tenant_id},
    ).scalar_one()
    parameters = {"tenant": scope.tenant_id, "through": through_period}
    count = _Count()
    digest = hashlib.sha256()
    fresh = session.execute(_FRESH_LEGS, parameters, execution_options={"yield_per": AT_ONCE})
    with closing(fresh) as legs:
        for chunk in render(Layout.of(said), count.over(_postings(legs, mappings, number))):
            digest.update(chunk)
    if not count.entries:
        raise NothingToExport(f"Every entry up to {through_period} is in a batch already.")
    batch_id = new_id()
    put(
        session,
        ExportBatch(
            tenant_id=scope.tenant_id,
            id=batch_id,
            number=number,
            through_period=through_period,
            layout=said,
            mappings=mappings,
            entry_count=count.entries,
            leg_count=count.legs,
            debit_cents=count.debits,
            credit_cents=count.credits,
            digest=digest.hexdigest(),
            made_by=scope.person_id,
            made_at=now,
        ),
    )
    session.execute(
        _TAKE,
        {
            "tenant": scope.tenant_id,
            "batch": batch_id,
            "entries": list(count.places),
            "places": list(count.places.values()),
        },
    )
    mark_changed(session)
    content(session, batch_id)
    record(
        session,
        now=now,
        action="export_batch:made",
        subject_kind="export_batch",
        subject_id=batch_id,
        detail={"number": number, "layout": layout_key, "through": through_period},
    )
    return batch_id


def content(session: TenantSession, batch_id: UUID) -> bytes:
    """The batch's file, the same bytes each time.

    :raises NotFound: when these books have no such batch.
    :raises BatchDiffers: when its entries have become others.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        text(
            "SELECT number, layout, mappings, digest FROM export_batches"
            " WHERE tenant_id = :tenant AND id = :batch"
        ),
        {"tenant": tenant_id, "batch": batch_id},
    ).one_or_none()
    if row is None:
        raise NotFound("These books have no such batch.")
    sent = session.execute(
        _BATCH_LEGS,
        {"tenant": tenant_id, "batch": batch_id},
        execution_options={"yield_per": AT_ONCE},
    )
    with closing(sent) as legs:
        made = b"".join(render(Layout.of(row.layout), _postings(legs, row.mappings, row.number)))
    if hashlib.sha256(made).hexdigest() != row.digest:
        raise BatchDiffers(f"The entries of batch {row.number} are not those that were sent.")
    return made


def batches(session: TenantSession) -> list[BatchRow]:
    """Every batch, the latest first."""
    rows = session.execute(
        text(f"{_BATCHES} ORDER BY number DESC"), {"tenant": scope_of(session).tenant_id}
    )
    return [BatchRow(*row) for row in rows]


def batch_numbered(session: TenantSession, number: int) -> BatchRow | None:
    """One batch by its number."""
    row = session.execute(
        text(f"{_BATCHES} AND number = :number"),
        {"tenant": scope_of(session).tenant_id, "number": number},
    ).one_or_none()
    return None if row is None else BatchRow(*row)


def waiting(session: TenantSession, through_period: str) -> int:
    """How many entries up to a month are in no batch yet."""
    count: int = session.execute(
        _WAITING, {"tenant": scope_of(session).tenant_id, "through": through_period}
    ).scalar_one()
    return count


def batch_problems(session: TenantSession) -> list[Problem]:
    """Batches whose entries do not make the bytes any more that were sent."""
    tenant_id = scope_of(session).tenant_id
    problems = []
    for batch in batches(session):
        try:
            content(session, batch.id)
        except DomainError as error:
            problems.append(Problem("batch_differs", tenant_id, batch.id, error.message))
    return problems


def file_name(tenant: str, batch: BatchRow) -> str:
    """What a batch's file is called."""
    return f"{tenant}-gl-{batch.number:05d}.csv"


def current_mappings(session: TenantSession) -> dict[str, Any]:
    """The chart, the rules of mapping and the partners' slugs, as plain values that are kept."""
    tenant_id = scope_of(session).tenant_id
    parameters = {"tenant": tenant_id}
    tenant = session.execute(
        text(
            "SELECT slug, zone, fiscal_year_starts_in FROM tenants"
            " WHERE tenant_id = :tenant AND id = :tenant"
        ),
        parameters,
    ).one()
    chart = session.execute(
        text(
            "SELECT key, name, external_code, fund_code, cost_centre FROM accounts"
            " WHERE tenant_id = :tenant ORDER BY key"
        ),
        parameters,
    )
    rules = session.execute(
        text(
            "SELECT key, account_key, party, family, external_code, fund_code, cost_centre"
            " FROM gl_mappings WHERE tenant_id = :tenant AND ended_on IS NULL ORDER BY key"
        ),
        parameters,
    )
    bureaus = session.execute(
        text(
            "SELECT key, NULL AS external_code, fund_code, cost_centre FROM bureaus"
            " WHERE tenant_id = :tenant ORDER BY key"
        ),
        parameters,
    )
    partners = session.execute(text("SELECT id, slug FROM tenants ORDER BY slug"))
    return {
        "tenant": tenant.slug,
        "zone": tenant.zone,
        "fiscal_year_starts_in": tenant.fiscal_year_starts_in,
        "chart": {row.key: dict(row._mapping) for row in chart},  # noqa: SLF001
        "bureaus": {f"bureau:{row.key}": dict(row._mapping) for row in bureaus},  # noqa: SLF001
        "rules": [dict(row._mapping) for row in rules],  # noqa: SLF001
        "partners": {str(row.id): row.slug for row in partners},
    }


def codes(
    mappings: Mapping[str, Any], account: str, party: str | None, family: str | None
) -> dict[str, str | None]:
    """The partner's own account, fund and cost centre for a posting.

    Of the rules that fit, the one that says most counts; a party says more than a family, a family
    more than an account; among equals the first by key. A code it leaves out is the account's, and
    for what a bureau pays the fund and cost centre of that bureau.
    """
    known = mappings["chart"].get(account, {})
    found = {code: known.get(code) for code in CODES}
    if account == BUREAU_PAYS and party in mappings["bureaus"]:
        found = {code: mappings["bureaus"][party][code] or found[code] for code in CODES}
    best: Mapping[str, Any] | None = None
    for rule in mappings["rules"]:
        fits = (
            rule["account_key"] in (None, account)
            and rule["party"] in (None, party)
            and rule["family"] in (None, family)
        )
        if fits and (best is None or _weight(rule) > _weight(best)):
            best = rule
    if best is not None:
        found |= {code: best[code] for code in CODES if best[code] is not None}
    return found


def _weight(rule: Mapping[str, Any]) -> int:
    return sum(
        weight
        for weight, name in ((4, "party"), (2, "family"), (1, "account_key"))
        if rule[name] is not None
    )


class _Count:
    """What went through, and that debits and credits were the same."""

    def __init__(self) -> None:
        self.legs = self.debits = self.credits = 0
        self.places: dict[UUID, int] = {}

    @property
    def entries(self) -> int:
        return len(self.places)

    def over(self, postings: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for posting in postings:
            self.places[posting["entry_id"]] = posting["place"]
            self.legs += 1
            self.debits += posting["debit"] or 0
            self.credits += posting["credit"] or 0
            yield posting


def _postings(legs: Any, mappings: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """Each leg with everything that a layout may show of it."""
    zone = ZoneInfo(mappings["zone"])
    first_month = mappings["fiscal_year_starts_in"]
    partners = mappings["partners"]
    known: dict[tuple[str, str | None, str | None], dict[str, str | None]] = {}
    for leg in legs:
        party = leg.party or partners.get(str(leg.counterparty_id))
        about = (leg.account_key, party, leg.family)
        if about not in known:
            known[about] = codes(mappings, *about)
        posted_on = leg.posted_at.astimezone(zone).date()
        booked_on = day_in(leg.period_key, posted_on)
        yield {
            "place": leg.place,
            "batch_number": number,
            "entry_id": leg.entry_id,
            "entry_number": f"{number:05d}-{leg.place:06d}",
            "leg": leg.leg,
            "period": leg.period_key,
            "service_period": leg.service_period,
            "booked_on": booked_on,
            "posted_on": posted_on,
            "fiscal_year": (fiscal_year(booked_on, first_month).end_on - timedelta(days=1)).year,
            "fiscal_month": f"{month_of_fiscal_year(booked_on, first_month) + 1:02d}",
            "memo": leg.memo,
            "account": leg.account_key,
            "account_name": mappings["chart"].get(leg.account_key, {}).get("name"),
            "side": "debit" if leg.debit_cents else "credit",
            "amount": leg.debit_cents or leg.credit_cents,
            "debit": leg.debit_cents or None,
            "credit": leg.credit_cents or None,
            "signed": leg.debit_cents - leg.credit_cents,
            "party": party,
            "family": leg.family,
            **known[about],
        }


def day_in(period_key: str, day: date) -> date:
    """The day itself when it lies in the month, else the month's first or last day."""
    period = Period.month(period_key)
    return min(max(day, period.start_on), period.end_on - timedelta(days=1))
