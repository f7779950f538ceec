"""Bills for every kind of payer and by the terms of an agreement, on the real database."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import billing, true_up
from regional311.chargeback.billing import NoBillingPeriod, RunSuperseded
from regional311.chargeback.checks import NAMES, check_region, who_owes_whom
from regional311.chargeback.models import ServiceLevelReading
from regional311.chargeback.rating import run_rating
from regional311.chargeback.statement import Line, Payer
from regional311.database.ids import new_id
from regional311.database.rows import put
from tests.chargeback.test_billing import NOW, OCTOBER, rate_and_draft, rows, through

pytestmark = pytest.mark.commits

TERMS = {"due_days": 30, "number_prefix": "CITY"}
QUARTER = Period(date(2026, 10, 1), date(2027, 1, 1))
JANUARY = datetime(2027, 1, 5, 17, tzinfo=UTC)


def lines_of(region, slug, period_key="2026-10"):
    """Payer, kind and cents of each line of what a partner issues or drafts, in order."""
    return [
        (row.payer_key or row.payer_kind, row.kind, row.amount_cents)
        for row in rows(
            region,
            slug,
            "SELECT s.payer_kind, s.payer_key, l.kind, l.amount_cents FROM statements s"
            " JOIN statement_lines l ON l.statement_id = s.id WHERE s.side = 'issued'"
            " AND s.period_key = :period AND NOT EXISTS (SELECT 1 FROM statement_events v"
            "  WHERE v.statement_id = s.id AND v.state = 'void')"
            " ORDER BY s.payer_kind DESC, s.payer_key, s.id, l.position",
            period=period_key,
        )
    ]


def balances(region, slug):
    return {
        (row.account_key, row.party): row.cents
        for row in rows(
            region,
            slug,
            "SELECT account_key, party, sum(debit_cents - credit_cents)::bigint AS cents"
            " FROM postings GROUP BY 1, 2",
        )
    }


@pytest.fixture
def october(region):
    """Bureaus, an outside body and a partner, reckoned by hand.

    Each contact 10.00. Parks has 3 and water 1, with 10 % overhead: 33.00 and 11.00. A pool of
    1,200.00 a year shared 75/25 by them: 75.00 and 25.00 a month, with the same 10 %. Utilities
    have 2 contacts under a minimum of 100.00. County has 4.
    """
    region.agree(
        "bureaus",
        "city",
        "city",
        "contact_handled",
        payer_kind="bureau",
        pool_key="centre",
        terms=TERMS | {"overhead_percent": "10"},
    )
    region.agree(
        "utilities",
        "city",
        "city",
        "contact_handled",
        payer_kind="outside",
        payer_key="power",
        terms=TERMS
        | {
            "minimum_cents": 100_00,
            "services": ["power"],
            "outside": {"name": "Power Company", "address": "1 Example Street"},
        },
    )
    region.agree("county", "city", "county", "contact_handled")
    region.rate("city", "contact", "contact_handled", "10")
    region.pool("city", "centre", 1_200_00, {"bureau:parks": 75, "bureau:water": 25})
    for _ in range(3):
        region.use("city", "city", bureau_key="parks")
    region.use("city", "city", bureau_key="water")
    for _ in range(2):
        region.use("city", "city", bureau_key="power", service_key="power")
    for _ in range(4):
        region.use("city", "county")
    return region


def test_every_kind_of_payer_by_hand(october):
    _, drafts = rate_and_draft(october)
    assert lines_of(october, "city") == [
        ("partner", "usage", 40_00),
        ("power", "usage", 20_00),
        ("power", "minimum", 80_00),
        ("parks", "usage", 30_00),
        ("parks", "pool", 75_00),
        ("parks", "overhead", 10_50),
        ("water", "usage", 10_00),
        ("water", "pool", 25_00),
        ("water", "overhead", 3_50),
    ]
    issued = through(october, "city", drafts)
    assert [each.number for each in issued] == [f"CITY-0000{n}" for n in range(1, 5)]
    assert balances(october, "city") == {
        ("due_from_partners", None): 40_00,
        ("service_revenue", None): -40_00,
        ("due_from_outside", "outside:power"): 100_00,
        ("service_revenue", "outside:power"): -100_00,
        ("interfund_expense", "bureau:parks"): 115_50,
        ("interfund_revenue", "bureau:parks"): -115_50,
        ("interfund_expense", "bureau:water"): 38_50,
        ("interfund_revenue", "bureau:water"): -38_50,
    }
    checks = check_region(october.engine, october.tenants)
    assert {check.name: check.problems for check in checks} == dict.fromkeys(NAMES, ())
    (owed,) = who_owes_whom(october.engine, october.tenants)
    assert owed.cents == 40_00


def test_payers_without_books_get_no_copy_and_keep_name_and_address(october):
    _, drafts = rate_and_draft(october)
    through(october, "city", drafts)
    received = rows(october, "county", "SELECT side, total_cents FROM statements")
    assert [tuple(row) for row in received] == [("received", 40_00)]
    assert len(rows(october, "city", "SELECT 1 FROM statements")) == 4
    named = rows(
        october,
        "city",
        "SELECT payer_kind, parties->'payer' AS payer FROM statements"
        " ORDER BY payer_kind, payer_key",
    )
    assert [(row.payer_kind, row.payer["slug"], row.payer["name"]) for row in named] == [
        ("bureau", "city/parks", "parks"),
        ("bureau", "city/water", "water"),
        ("outside", "power", "Power Company"),
        ("partner", "county", "County"),
    ]
    assert named[2].payer["contact"] == {"address": "1 Example Street"}


def test_drafting_again_is_free_and_identical(october):
    shown = "SELECT payer_kind, payer_key, digest, total_cents, item_count FROM statements ORDER BY"
    shown += " created_at DESC, payer_kind, payer_key LIMIT 4"
    _, first = rate_and_draft(october)
    before = rows(october, "city", shown)
    with october.of("city", october.preparer) as session:
        run = session.execute(text("SELECT id FROM rating_runs")).scalar_one()
        assert billing.draft_statements(session, run, now=NOW) == first
    _, second = rate_and_draft(october, now=NOW.replace(hour=18))
    assert not set(first) & set(second)
    assert rows(october, "city", shown) == before


def test_fresh_lines_are_what_drafts_have_and_change_nothing(october):
    with october.of("city", october.preparer) as session:
        run = run_rating(session, period=OCTOBER, now=NOW)
        fresh = billing.fresh_lines(session, run.id)
        assert billing.fresh_lines(session, run.id) == fresh
    city, county = october.tenants["city"], october.tenants["county"]
    assert list(fresh) == [
        Payer(county),
        Payer(city, "outside", "power"),
        Payer(city, "bureau", "parks"),
        Payer(city, "bureau", "water"),
    ]
    assert not rows(october, "city", "SELECT 1 FROM statements")


def test_before_the_end_of_the_month_no_minimum_is_due(october):
    rate_and_draft(october, now=datetime(2026, 10, 31, 12, tzinfo=UTC))
    assert [each for each in lines_of(october, "city") if each[1] == "minimum"] == []


def test_a_minimum_is_due_without_any_work(region):
    region.agree(
        "power",
        "city",
        "city",
        payer_kind="outside",
        payer_key="power",
        terms=TERMS | {"minimum_cents": 50_00, "outside": {"name": "Power"}},
    )
    rate_and_draft(region)
    assert lines_of(region, "city") == [("power", "minimum", 50_00)]


def test_a_cap_counts_the_other_months_drafts_too(region):
    region.agree(
        "county", "city", "county", "contact_handled", terms=TERMS | {"not_to_exceed_cents": 100_00}
    )
    region.rate("city", "contact", "contact_handled", "10")
    for month, contacts in ((9, 7), (10, 5)):
        for _ in range(contacts):
            region.use("city", "county", at=(2026, month, 5, 12))
    with region.of("city", region.preparer) as session:
        for month in (9, 10):
            run = run_rating(session, period=Period.of(2026, month), now=NOW)
            billing.draft_statements(session, run.id, now=NOW)
    assert lines_of(region, "city", "2026-09") == [("partner", "usage", 70_00)]
    assert lines_of(region, "city") == [
        ("partner", "usage", 50_00),
        ("partner", "cap", -20_00),
    ]


def test_a_source_gives_one_authorisation_to_all_bureaus_together(region):
    grant = {"key": "grant", "name": "Grant", "kind": "grant", "percent": "50"}
    region.agree(
        "bureaus",
        "city",
        "city",
        "contact_handled",
        payer_kind="bureau",
        terms=TERMS | {"funding": [grant | {"authorised_cents": 25_00}]},
    )
    region.rate("city", "contact", "contact_handled", "10")
    for bureau in ("parks", "water"):
        for _ in range(4):
            region.use("city", "city", bureau_key=bureau)
    rate_and_draft(region)
    assert lines_of(region, "city") == [
        ("parks", "usage", 40_00),
        ("parks", "funding", -20_00),
        ("water", "usage", 40_00),
        ("water", "funding", -5_00),
    ]


def test_what_a_source_gave_on_an_issued_bill_is_gone_for_the_others(region):
    """Parks was billed with 20.00 of 25.00; its work was taken back since, water finds 5.00."""
    grant = {"key": "grant", "name": "Grant", "kind": "grant", "percent": "50"}
    region.agree(
        "bureaus",
        "city",
        "city",
        "contact_handled",
        payer_kind="bureau",
        terms=TERMS | {"funding": [grant | {"authorised_cents": 25_00}]},
    )
    region.rate("city", "contact", "contact_handled", "10")
    done = [region.use("city", "city", bureau_key="parks") for _ in range(4)]
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    for each in done:
        region.use("city", "city", bureau_key="parks", quantity=Decimal(-1), reverses_id=each)
    for _ in range(4):
        region.use("city", "city", bureau_key="water")
    rate_and_draft(region, now=NOW.replace(hour=18))
    assert lines_of(region, "city") == [
        ("parks", "usage", 40_00),
        ("parks", "funding", -20_00),
        ("water", "usage", 40_00),
        ("water", "funding", -5_00),
    ]


def test_rounding_each_item_or_each_line_is_agreed(region):
    """Three contacts at 0.125: each to 0.13 makes 0.39, together 0.375 makes 0.38."""
    for slug, level in (("county", "item"), ("community", "line")):
        region.agree(slug, "city", slug, "contact_handled", terms=TERMS | {"rounding": level})
        for _ in range(3):
            region.use("city", slug)
    region.rate("city", "contact", "contact_handled", "0.125")
    _, drafts = rate_and_draft(region)
    found = rows(
        region,
        "city",
        "SELECT l.amount_cents, l.exact_amount FROM statement_lines l ORDER BY agreement_key",
    )
    assert [tuple(row) for row in found] == [(38, Decimal("0.375")), (39, Decimal("0.375"))]
    through(region, "city", drafts)
    checks = check_region(region.engine, region.tenants)
    assert {check.name: check.problems for check in checks} == dict.fromkeys(NAMES, ())


def test_what_is_billed_by_the_quarter_waits_for_it(region):
    """Monthly for the community; the County by the quarter, with a share of a pool each month."""
    region.agree("community", "city", "community", "contact_handled")
    region.agree(
        "county",
        "city",
        "county",
        "contact_handled",
        pool_key="centre",
        terms=TERMS | {"billing": {"every": "quarter", "submit_days": 15}},
    )
    region.rate("city", "contact", "contact_handled", "10")
    region.pool("city", "centre", 1_200_00, {"city": 50, "county": 50})
    for month in (10, 11, 12):
        region.use("city", "county", at=(2026, month, 5, 12))
        region.use("city", "community", at=(2026, month, 5, 12))
    _, monthly = rate_and_draft(region)
    assert lines_of(region, "city") == [("partner", "usage", 10_00)]
    with region.of("city", region.preparer) as session:
        run = run_rating(session, period=QUARTER, now=JANUARY)
        quarterly = billing.draft_statements(session, run.id, now=JANUARY)
    assert lines_of(region, "city", QUARTER.label) == [
        ("partner", "usage", 30_00),
        ("partner", "pool", 50_00),
        ("partner", "pool", 50_00),
        ("partner", "pool", 50_00),
    ]
    through(region, "city", [*monthly, *quarterly])
    booked = rows(
        region,
        "county",
        "SELECT period_key, service_period, total_cents FROM journal_entries",
    )
    assert [tuple(row) for row in booked] == [("2026-12", QUARTER.label, 180_00)]
    checks = check_region(region.engine, region.tenants)
    assert {check.name: check.problems for check in checks} == dict.fromkeys(NAMES, ())


@pytest.mark.parametrize("label", ["2026-10-01..2026-11-30", "2026-13", "October", ""])
def test_only_months_quarters_and_years_are_billed(label):
    with pytest.raises(NoBillingPeriod):
        billing.billing_period(label)


def test_a_statement_below_zero_posts_the_other_way_round(region):
    region.agree("county", "city", "county", "contact_handled")
    region.rate("city", "contact", "contact_handled", "10")
    taken_back = region.use("city", "county", at=(2026, 9, 5, 12))
    region.use("city", "county", quantity=Decimal(-1), reverses_id=taken_back)
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    assert balances(region, "city") == {
        ("due_from_partners", None): -10_00,
        ("service_revenue", None): 10_00,
    }
    assert balances(region, "county") == {
        ("service_expense", None): -10_00,
        ("due_to_partners", None): 10_00,
    }


def test_two_runs_at_once_leave_one_set_of_drafts(october):
    errors = []

    def draft():
        try:
            rate_and_draft(october)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(error)

    threads = [threading.Thread(target=draft) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert len(rows(october, "city", "SELECT 1 FROM rating_runs")) == 2
    assert len(lines_of(october, "city")) == 9
    with october.of("city", october.preparer) as session:
        first = session.execute(text("SELECT id FROM rating_runs WHERE number = 1")).scalar_one()
        with pytest.raises(RunSuperseded):
            billing.draft_statements(session, first, now=NOW)


def test_what_a_year_left_is_a_line_of_the_months_bill(october, monkeypatch):
    """A share that was carried forward stands on the payer's next bill, after everything else."""
    county = Payer(october.tenants["county"])
    line = Line(
        position=0,
        kind="carry_forward",
        service_period="2026-10",
        line_key="county|carry_forward|pool|centre|2026",
        label="Centre: carried forward from fiscal year 2026",
        agreement_key="county",
        basis={"pool": "centre", "from_fiscal_year": 2026},
        quantity=Decimal(1),
        price=None,
        exact_amount=Decimal("-12.34"),
        item_count=0,
    )
    monkeypatch.setattr(true_up, "carried", lambda *_: [(county, line)])
    _, drafts = rate_and_draft(october)
    assert lines_of(october, "city")[:2] == [
        ("partner", "usage", 40_00),
        ("partner", "carry_forward", -12_34),
    ]
    through(october, "city", drafts)
    assert balances(october, "county") == {
        ("service_expense", None): 40_00,
        ("share_expense", None): -12_34,
        ("due_to_partners", None): -27_66,
    }


def test_a_missed_promise_gives_a_part_back(region):
    target = {"key": "answer", "name": "Answered", "measure": "answer_seconds", "goal": 30}
    region.agree(
        "county",
        "city",
        "county",
        "contact_handled",
        terms=TERMS | {"targets": [target | {"credit_percent": "5"}]},
    )
    region.rate("city", "contact", "contact_handled", "10")
    for _ in range(4):
        region.use("city", "county")
    with region.of("city") as session:
        put(
            session,
            ServiceLevelReading(
                tenant_id=region.tenants["city"],
                id=new_id(),
                agreement_key="county",
                target_key="answer",
                period_key="2026-10",
                reading=Decimal(45),
                source="Telephone exchange",
                entered_at=NOW,
            ),
        )
    rate_and_draft(region)
    assert lines_of(region, "city") == [
        ("partner", "usage", 40_00),
        ("partner", "credit", -2_00),
    ]
