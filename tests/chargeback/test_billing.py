from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.rating import run_rating

pytestmark = pytest.mark.commits

OCTOBER = Period.month(2026, 10)
NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)


def rate_and_draft(region, provider="city", now=NOW):
    with region.of(provider, region.preparer) as session:
        run = run_rating(session, period=OCTOBER, now=now)
        return run, billing.draft_statements(session, run.id, now=now)


def through(region, provider, drafts, until="issued"):
    """Take statements through review by two people."""
    with region.of(provider, region.preparer) as session:
        for draft in drafts:
            billing.submit(session, draft, now=NOW)
    with region.of(provider, region.approver) as session:
        for draft in drafts:
            billing.approve(session, draft, now=NOW)
    if until == "approved":
        return []
    with region.of(provider, region.preparer) as session:
        return [billing.issue(session, draft, now=NOW) for draft in drafts]


def rows(region, slug, statement, **parameters):
    with region.of(slug) as session:
        return session.execute(
            text(statement), {"tenant": region.tenants[slug], **parameters}
        ).all()


@pytest.fixture
def october(region):
    """October of a small region, reckoned by hand.

    City for County: 3 phone contacts at 4.905 = 14.715 -> 14.72; 1 web at 0.125 -> 0.13;
    2 after hours at 6.25 = 12.50; 100 seconds of interpreter at 0.90 a minute
    = 1.666667 x 0.90 = 1.500000 -> 1.50. Share of 600,000 a year, 50 %: 25,000.00.
    Total 25,028.85. City for Community: 1 phone at 4.905 -> 4.91.
    """
    region.agree(
        "city-county", "city", "county", "contact_handled", "interpreter", pool_key="i-and-r"
    )
    region.agree("city-community", "city", "community", "contact_handled")
    region.rate("city", "phone", "contact_handled", "4.905", channel="phone")
    region.rate("city", "web", "contact_handled", "0.125", channel="web")
    region.rate("city", "late", "contact_handled", "6.25", channel="phone", hours="after")
    region.rate("city", "interpreter", "interpreter", "0.90", unit="minute")
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    for day in (1, 5, 31):
        region.use("city", "county", at=(2026, 10, day, 9))
    region.use("city", "county", channel="web")
    region.use("city", "county", after_hours=True)
    region.use("city", "county", after_hours=True, at=(2026, 10, 31, 23, 59, 59))
    region.use("city", "county", activity="interpreter", handle_seconds=100)
    region.use("city", "community", service_key="shelter")
    region.use("city", "city")
    region.use("city", "county", channel="walk_in")
    region.use("city", "county", activity="warm_transfer")
    region.use("city", "county", at=(2026, 11, 1, 0))
    region.use("city", "county", at=(2026, 9, 30, 23, 59, 59))
    return region


def test_a_month_by_hand_to_the_cent(october):
    run, drafts = rate_and_draft(october)
    assert run.counts == {"rated": 8, "unrated": 1, "no_agreement": 1, "excluded": 1}
    assert len(drafts) == 2
    issued = through(october, "city", drafts)
    assert [each.number for each in issued] == ["CITY-00001", "CITY-00002"]
    (mine,) = rows(
        october,
        "county",
        "SELECT side, total_cents, line_count, item_count, run_id, prepared_by FROM statements",
    )
    assert tuple(mine) == ("received", 25_028_85 - 0, 5, 7, None, None)
    lines = rows(
        october,
        "county",
        "SELECT label, quantity, price, exact_amount, amount_cents FROM statement_lines"
        " ORDER BY position",
    )
    assert [tuple(line) for line in lines] == [
        ("county/pothole: contact handled, phone", 3, Decimal("4.905"), Decimal("14.715"), 1472),
        (
            "county/pothole: contact handled, phone, after hours",
            2,
            Decimal("6.25"),
            Decimal("12.5"),
            1250,
        ),
        ("county/pothole: contact handled, web", 1, Decimal("0.125"), Decimal("0.125"), 13),
        (
            "county/pothole: interpreter, phone",
            Decimal("1.666667"),
            Decimal("0.9"),
            Decimal("1.5"),
            150,
        ),
        ("I-And-R: 50 % of month 4 of 12", 1, None, Decimal(25000), 25_000_00),
    ]
    (community,) = rows(october, "community", "SELECT total_cents FROM statements")
    assert community.total_cents == 491
    balances = {
        slug: dict(
            rows(
                october,
                slug,
                "SELECT account_key, sum(debit_cents - credit_cents)::bigint FROM postings"
                " GROUP BY 1",
            )
        )
        for slug in ("city", "county", "community")
    }
    assert balances == {
        "city": {
            "due_from_partners": 25_028_85 + 491,
            "service_revenue": -(28_85 + 491),
            "share_revenue": -25_000_00,
        },
        "county": {
            "service_expense": 28_85,
            "share_expense": 25_000_00,
            "due_to_partners": -25_028_85,
        },
        "community": {"service_expense": 491, "due_to_partners": -491},
    }
