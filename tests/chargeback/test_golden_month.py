"""A month of three partners, closed to the cent, as a file that a person can read and reckon.

`REGIONAL311_WRITE_GOLDEN=1` writes the file anew; read the difference before committing it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.checks import check_region, who_owes_whom
from regional311.chargeback.month import bill_month
from regional311.chargeback.rerating import draft_corrections
from regional311.money import format_cents

pytestmark = pytest.mark.commits

GOLDEN = Path(__file__).parent / "golden" / "2026-10.txt"
OCTOBER = Period.of(2026, 10)
PARTNERS = ("city", "community", "county")
CLOSED = datetime(2026, 11, 3, 17, tzinfo=UTC)
LATER = datetime(2026, 11, 20, 17, tzinfo=UTC)


@pytest.fixture
def month(region):
    """What is agreed, what it costs, what was done; every figure of the file follows from this."""
    _agree(region)
    region.rate("city", "phone", "contact_handled", "4.905", channel="phone")
    region.rate("city", "web", "contact_handled", "1.25", channel="web")
    region.rate("city", "late", "contact_handled", "9.81", channel="phone", hours="after")
    region.rate("city", "minutes", "interpreter", "0.90", unit="minute")
    region.rate("county", "contact", "contact_handled", "5.10")
    region.rate("community", "night", "after_hours_answer", "7.335")
    region.pool("city", "i-and-r", 60_000_00, {"city": 50, "county": 50})
    region.pool("city", "centre", 12_000_00, {"bureau:parks": "66.67", "bureau:water": "33.33"})
    for day in range(1, 11):
        region.use("city", "county", at=(2026, 10, day, 9))
    for _ in range(3):
        region.use("city", "county", channel="web")
    region.use("city", "county", after_hours=True, at=(2026, 10, 31, 23, 59, 59))
    region.use("city", "county", activity="interpreter", handle_seconds=100)
    for _ in range(6):
        region.use("city", "community", service_key="shelter")
    for _ in range(4):
        region.use("city", "city", bureau_key="parks")
    for _ in range(2):
        region.use("city", "city", bureau_key="water", channel="web")
    for _ in range(3):
        region.use("city", "city", bureau_key="power", service_key="power")
    for _ in range(5):
        region.use("county", "city")
    for owner, many in (("city", 4), ("county", 3)):
        for _ in range(many):
            region.use(
                "community",
                owner,
                activity="after_hours_answer",
                line_owner=owner,
                after_hours=True,
            )
    region.use("city", "county", channel="walk_in")
    region.use("county", "community")
    return region


def _agree(region):
    terms = {"due_days": 30, "number_prefix": "CITY"}
    grant = {"key": "library-levy", "name": "Library levy", "kind": "levy", "percent": "40"}
    region.agree(
        "city-county",
        "city",
        "county",
        "contact_handled",
        "interpreter",
        pool_key="i-and-r",
        terms=terms | {"not_to_exceed_cents": 2_540_00},
    )
    region.agree(
        "city-community",
        "city",
        "community",
        "contact_handled",
        terms=terms
        | {
            "funding": [grant | {"authorised_cents": 10_00}],
            "overhead_percent": "4.5",
            "discounts": [{"name": "Shared training", "percent": "2"}],
        },
    )
    region.agree(
        "city-bureaus",
        "city",
        "city",
        "contact_handled",
        payer_kind="bureau",
        pool_key="centre",
        terms=terms | {"overhead_percent": "10"},
    )
    region.agree(
        "city-power",
        "city",
        "city",
        "contact_handled",
        payer_kind="outside",
        payer_key="power",
        terms=terms
        | {"minimum_cents": 25_00, "services": ["power"], "outside": {"name": "Power Company"}},
    )
    county = terms | {"number_prefix": "COUNTY", "rounding": "item"}
    region.agree("county-city", "county", "city", "contact_handled", terms=county)
    night = terms | {"number_prefix": "NIGHT"}
    for payer in ("city", "county"):
        region.agree(
            f"night-{payer}",
            "community",
            payer,
            "after_hours_answer",
            rule="line_owner",
            terms=night,
        )


def close(region):
    """Bill October on November 3, then what came in and changed until November 20."""
    people = {region.tenants[slug]: region.preparer for slug in PARTNERS}
    others = {region.tenants[slug]: region.approver for slug in PARTNERS}
    partners = {slug: region.tenants[slug] for slug in PARTNERS}
    bill_month(region.engine, partners, OCTOBER, preparer=people, approver=others, now=CLOSED)
    late = datetime(2026, 11, 6, 12, tzinfo=UTC)
    for _ in range(2):
        region.use("county", "city", at=(2026, 10, 30, 12), received_at=late)
    with region.of("county", region.preparer) as session:
        drafts = draft_corrections(session, OCTOBER, now=LATER)
        for draft in drafts:
            billing.submit(session, draft, now=LATER)
    with region.of("county", region.approver) as session:
        for draft in drafts:
            billing.approve(session, draft, now=LATER)
    with region.of("county", region.preparer) as session:
        for draft in drafts:
            billing.issue(session, draft, now=LATER)


def rendered(region):
    """The whole month as text: what waits, each statement, each book, who owes whom."""
    told = ["October 2026, closed to the cent: three partners, two bureaus, one body outside", ""]
    for slug in PARTNERS:
        with region.of(slug) as session:
            told += [f"{slug.upper()} AS ISSUER", "", *_runs(session)]
            told += _statements(session)
    for slug in PARTNERS:
        with region.of(slug) as session:
            told += [f"BOOKS OF {slug.upper()}", "", *_journal(session), *_balances(session)]
    told += ["WHO OWES WHOM", ""]
    names = {tenant_id: slug for slug, tenant_id in region.tenants.items()}
    owed = who_owes_whom(region.engine, {slug: region.tenants[slug] for slug in PARTNERS})
    lines = [
        f"  {names[each.debtor_id]:<10} owes {names[each.creditor_id]:<10}"
        f"{format_cents(each.cents):>14}"
        for each in owed
    ]
    return "\n".join(line.rstrip() for line in [*told, *sorted(lines)]) + "\n"


def _all(session, query):
    return session.execute(text(query), {"tenant": session.scope.tenant_id}).all()


def _runs(session):
    rows = _all(
        session,
        "SELECT number, counts FROM rating_runs WHERE tenant_id = :tenant ORDER BY number",
    )
    return [
        f"  Run {row.number}: "
        + ", ".join(f"{each} {row.counts[each]}" for each in sorted(row.counts))
        for row in rows
    ] + [""]


def _statements(session):
    told = []
    rows = _all(
        session,
        "SELECT s.id, s.kind, e.number, s.total_cents, s.parties, s.payer_kind FROM statements s"
        " JOIN statement_events e ON e.tenant_id = s.tenant_id AND e.statement_id = s.id"
        " AND e.state = 'issued' WHERE s.tenant_id = :tenant ORDER BY e.number",
    )
    lines = _all(
        session,
        "SELECT statement_id, position, kind, label, quantity, price, exact_amount, amount_cents,"
        " basis->>'reason' AS reason FROM statement_lines WHERE tenant_id = :tenant"
        " ORDER BY position",
    )
    for row in rows:
        told.append(f"  {row.number}  {row.kind} to {row.parties['payer']['slug']}")
        for line in lines:
            if line.statement_id != row.id:
                continue
            told.append(
                f"    {line.position:>2} {line.kind:<11}{line.label:<56}"
                f"{format_cents(line.amount_cents):>12}"
            )
            if line.price is not None:
                told.append(
                    f"{'':>18}{_plain(line.quantity)} x {_plain(line.price)}"
                    f" = {_plain(line.exact_amount)}"
                )
            if line.reason is not None:
                told.append(f"{'':>18}{line.reason}")
        told += [f"{'':>18}{'Total':<56}{format_cents(row.total_cents):>12}", ""]
    return told


def _plain(number):
    return f"{Decimal(number).normalize():f}"


def _journal(session):
    rows = _all(
        session,
        "SELECT e.memo, e.period_key, e.service_period, p.leg, p.account_key, p.debit_cents,"
        " p.credit_cents, coalesce(t.slug, p.party, '') AS about FROM journal_entries e"
        " JOIN postings p ON p.tenant_id = e.tenant_id AND p.entry_id = e.id"
        " LEFT JOIN tenants t ON t.tenant_id = p.counterparty_id AND t.id = p.counterparty_id"
        " WHERE e.tenant_id = :tenant ORDER BY e.memo, p.leg",
    )
    told = []
    for row in rows:
        if row.leg == 1:
            told.append(f"  {row.memo}, booked in {row.period_key} for {row.service_period}")
        debit = format_cents(row.debit_cents) if row.debit_cents else ""
        credit = format_cents(row.credit_cents) if row.credit_cents else ""
        told.append(f"    {row.account_key:<22}{row.about:<16}{debit:>13}{credit:>13}")
    return [*told, ""]


def _balances(session):
    rows = _all(
        session,
        "SELECT account_key, sum(debit_cents - credit_cents)::bigint AS cents FROM postings"
        " WHERE tenant_id = :tenant GROUP BY account_key ORDER BY account_key",
    )
    told = ["  Balances (credits below zero)"]
    told += [f"    {row.account_key:<38}{format_cents(row.cents):>13}" for row in rows]
    total = sum(row.cents for row in rows)
    return [*told, f"    {'Together':<38}{format_cents(total):>13}", ""]


def test_the_month_is_the_golden_file_to_the_cent(month):
    close(month)
    checks = check_region(month.engine, {slug: month.tenants[slug] for slug in PARTNERS})
    assert [check.name for check in checks if not check.holds] == []
    found = rendered(month)
    if os.environ.get("REGIONAL311_WRITE_GOLDEN"):
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")
