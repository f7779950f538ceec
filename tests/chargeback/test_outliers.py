from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.outliers import of_drafts, outliers, stands_out, subject, usual
from regional311.chargeback.rating import run_rating
from tests.chargeback.test_billing import OCTOBER, rate_and_draft, through

YEAR = [100_00, 104_00, 98_00, 101_00, 99_00, 103_00, 97_00, 100_00, 102_00, 100_00, 99_00, 101_00]


def test_a_line_that_doubles_stands_out_and_says_by_how_much():
    (found,) = outliers({"phone": 200_00}, {"phone": YEAR}, {"phone": "Pothole: phone"})
    assert (found.kind, found.usual_cents, found.spread_cents) == ("more", 100_00, 1_00)
    assert found.difference_cents == 100_00
    assert found.message == (
        "Pothole: phone: $200.00, usually $100.00 over 12 periods; $100.00 more."
    )


def test_one_strange_month_does_not_make_the_next_one_usual():
    assert usual([*YEAR, 9_000_00])[0] == 100_00
    assert stands_out(9_000_00, [*YEAR, 9_000_00])


def test_small_differences_are_left_alone():
    assert not stands_out(149_99, YEAR)
    assert stands_out(150_00, YEAR)
    assert not stands_out(10_900_00, [10_000_00] * 12)
    assert stands_out(11_000_00, [10_000_00] * 12)


def test_what_varies_much_must_differ_more():
    lively = [0, 400_00, 100_00, 300_00, 200_00]
    assert usual(lively) == (200_00, 100_00)
    assert not stands_out(500_00, lively)
    assert stands_out(501_00, lively)


def test_new_and_missing_lines_are_named():
    found = outliers({"web": 80_00}, {"phone": YEAR}, {"web": "Web", "phone": "Phone"})
    assert [(each.subject, each.kind) for each in found] == [("phone", "missing"), ("web", "new")]
    assert [each.message for each in found] == [
        "Phone: nothing, usually $100.00 over 12 periods.",
        "Web: $80.00, and nothing in the last 12 periods.",
    ]


def test_without_a_past_nothing_is_unusual():
    assert outliers({"phone": 1_000_000_00}, {}, {}) == []
    assert outliers({"phone": 1_000_000_00}, {"phone": [1, 1]}, {}) == []


def test_another_rate_does_not_make_another_line():
    old = "city-county|contact_handled|county/pothole|phone|business|*|fy26|2025-07-01"
    new = "city-county|contact_handled|county/pothole|phone|business|*|fy27|2026-07-01"
    assert subject("usage", old) == subject("usage", new)
    assert subject("pool", "city-county|pool|i-and-r") == "city-county|pool|i-and-r"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**7), min_size=3, max_size=12), st.integers(0, 10**7))
def test_the_order_of_periods_changes_nothing(history, cents):
    assert stands_out(cents, history) == stands_out(cents, sorted(history))
    assert not stands_out(usual(history)[0], history)


@pytest.mark.commits
def test_a_draft_beside_the_periods_before_it(region):
    """Five phone contacts a month from July on, then thirty in October and none by interpreter."""
    region.agree("city-county", "city", "county", "contact_handled", "interpreter")
    region.rate("city", "phone", "contact_handled", "10")
    region.rate("city", "interpreter", "interpreter", "60")
    for month in (7, 8, 9):
        for day in range(1, 6):
            region.use("city", "county", at=(2026, month, day, 9))
        region.use("city", "county", at=(2026, month, 9, 9), activity="interpreter")
        period = Period.of(2026, month)
        now = datetime(2026, month + 1, 3, 17, tzinfo=UTC)
        with region.of("city", region.preparer) as session:
            run = run_rating(session, period=period, now=now)
            drafts = billing.draft_statements(session, run.id, now=now)
        through(region, "city", drafts)
    for day in range(1, 31):
        region.use("city", "county", at=(2026, 10, day, 9))
    region.use("city", "community", at=(2026, 10, 1, 9))
    rate_and_draft(region)
    with region.of("city") as session:
        (draft,) = of_drafts(session, OCTOBER)
        assert of_drafts(session, OCTOBER.next()) == []
    assert [(each.kind, each.cents, each.usual_cents) for each in draft.found] == [
        ("more", 300_00, 50_00),
        ("missing", 0, 60_00),
    ]
    assert draft.found[0].message.endswith("$300.00, usually $50.00 over 3 periods; $250.00 more.")
