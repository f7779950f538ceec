from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.allocation.year import read_year
from regional311.calendars import Period
from regional311.chargeback import billing, true_up
from regional311.chargeback.checks import check_region
from regional311.chargeback.memos import draft_memo
from regional311.chargeback.rating import run_rating
from regional311.chargeback.reconciliation import NobodyWasBilled, Roll
from regional311.chargeback.rerating import draft_corrections, late_work
from regional311.chargeback.statement import Payer
from regional311.chargeback.year_end import (
    ActualsMissing,
    AgreedOtherwise,
    YearNotOver,
    settle_year,
)
from regional311.errors import InvalidInput
from tests.chargeback.test_billing import NOW, rate_and_draft, rows, through
from tests.pools import next_version

pytestmark = pytest.mark.commits

OVER = datetime(2027, 7, 10, 17, tzinfo=UTC)
POOL, CARD = ("pool", "i-and-r"), ("card", "card")


@pytest.fixture
def october(region):
    """The County was billed October: a share of 25,000.00, and 5 × 10.00 of work."""
    region.agree("city-county", "city", "county", "contact_handled", pool_key="i-and-r")
    region.rate("city", "phone", "contact_handled", "10", channel="phone")
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    for day in range(1, 6):
        region.use("city", "county", at=(2026, 10, day, 9))
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    return region


def actual(region, cents, year=2027):
    with region.of("city") as session:
        for key in [*read_year(session, year).pools]:
            next_version(session, key, year, actual_cents=cents, actual_source="Closed books")


def settle(region, choices, year=2027, now=OVER):
    with region.of("city", region.preparer) as session:
        return settle_year(session, year, choices, now=now)


def cost(region, cents, non_cash=0):
    with region.of("city", region.preparer) as session:
        true_up.enter_cost(
            session,
            "card",
            2027,
            allowable_cents=cents,
            non_cash_cents=non_cash,
            source="Closed books",
            now=OVER,
        )


def openings(session, year):
    return true_up.openings_of(session, true_up.year_of(session, year), year)


def opens(region, year):
    """What the County brings into a fiscal year, by subject and key."""
    with region.of("city") as session:
        return {(row.subject, row.key): row.cents for row in openings(session, year)}


def states(region, ids):
    with region.of("city") as session:
        return [
            session.execute(
                text(
                    "SELECT state FROM statement_events WHERE statement_id = :id"
                    " ORDER BY position DESC LIMIT 1"
                ),
                {"id": each},
            ).scalar_one()
            for each in ids
        ]


def received(region, kind):
    return [
        tuple(row)
        for row in rows(
            region,
            "county",
            "SELECT l.kind, l.amount_cents, l.label FROM statements s JOIN statement_lines l"
            " ON l.statement_id = s.id WHERE s.kind = :kind ORDER BY s.id, l.position",
            kind=kind,
        )
    ]


def test_a_year_settles_to_the_cent_and_again_for_what_changed_since(october):
    """618,000.00 were spent; half is 309,000.00, of which 25,000.00 was billed."""
    actual(october, 61_700_000)
    (replaced,) = settle(october, {POOL: "settle"}).statements
    actual(october, 61_800_000)
    done = settle(october, {POOL: "settle"})
    last = "SELECT state FROM statement_events WHERE statement_id = :id ORDER BY position DESC"
    assert rows(october, "city", last, id=replaced)[0].state == "void"
    (made,) = done.true_ups
    assert made.roll == Roll(0, 2_500_000, 30_900_000)
    through(october, "city", done.statements)
    assert received(october, "true_up") == [
        ("true_up", 28_400_000, "I-And-R: true-up of fiscal year 2027")
    ]
    actual(october, 61_900_000)
    again = settle(october, {POOL: "settle"})
    assert again.true_ups[0].roll == Roll(0, 30_900_000, 30_950_000)
    through(october, "city", again.statements)
    assert [line[1] for line in received(october, "true_up")] == [28_400_000, 50_000]
    assert settle(october, {POOL: "settle"}).statements == ()
    balance = rows(
        october,
        "county",
        "SELECT sum(debit_cents)::bigint FROM postings WHERE account_key = 'share_expense'",
    )
    assert balance[0][0] == 30_950_000
    checks = check_region(october.engine, october.tenants)
    assert [(c.name, p.message) for c in checks for p in c.problems] == []


def test_a_balance_that_is_carried_forward_stands_on_the_next_bill(october):
    actual(october, 4_000_000)
    done = settle(october, {POOL: "carry"})
    assert done.true_ups[0].roll.closing_cents == 500_000
    assert done.statements == ()
    october.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50}, fiscal_year=2028)
    july = Period.of(2027, 7)
    with october.of("city") as session:
        ((payer, line),) = true_up.carried(session, july)
        assert true_up.carried(session, july.next()) == []
    assert payer == Payer(october.tenants["county"])
    assert (line.kind, line.amount_cents) == ("carry_forward", -500_000)
    august = datetime(2027, 8, 3, 17, tzinfo=UTC)
    with october.of("city", october.preparer) as session:
        run = run_rating(session, period=july, now=august)
        drafts = billing.draft_statements(session, run.id, now=august)
    through(october, "city", drafts)
    assert [line[:2] for line in received(october, "bill")][-2:] == [
        ("pool", 2_500_000),
        ("carry_forward", -500_000),
    ]
    actual(october, 4_000_000, year=2028)
    later = settle(october, {POOL: "settle"}, 2028, datetime(2028, 7, 5, 17, tzinfo=UTC))
    assert later.true_ups[0].roll == Roll(500_000, 2_000_000, 2_000_000)
    through(october, "city", later.statements)
    assert received(october, "true_up")[0][1] == -500_000


def test_a_balance_carried_to_an_issued_bill_stays_there_when_the_year_is_settled_again(october):
    """5,000.00 over and credited in July; then 4,000.00 only: 1,000.00 is due for July, once."""
    october.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50}, fiscal_year=2028)
    july, august = Period.of(2027, 7), Period.of(2027, 8)
    actual(october, 4_000_000)
    settle(october, {POOL: "carry"})
    in_august, in_september = (datetime(2027, month, 3, 17, tzinfo=UTC) for month in (8, 9))

    def bill(period, now):
        with october.of("city", october.preparer) as session:
            run = run_rating(session, period=period, now=now)
            drafts = billing.draft_statements(session, run.id, now=now)
        through(october, "city", drafts)

    def correct(now):
        with october.of("city", october.preparer) as session:
            drafts = draft_corrections(session, july, now=now)
        through(october, "city", drafts)
        return len(drafts)

    def changed():
        with october.of("city") as session:
            found = late_work(session, zone="America/Los_Angeles")
        return {each.period_key: each.carried_cents for each in found if each.anything}

    bill(july, in_august)
    settle(october, {POOL: "carry"}, now=in_august)
    assert correct(in_august) == 0
    assert changed() == {}
    actual(october, 4_200_000)
    settle(october, {POOL: "keep"}, now=in_august)
    assert changed() == {"2027-07": 500_000}, "it stands on the bill and opens the year as well"
    settle(october, {POOL: "carry"}, now=in_august)
    assert changed() == {"2027-07": 100_000}
    bill(august, in_september)
    assert correct(in_september) == 1
    assert changed() == {}
    assert correct(in_september) == 0
    carried = rows(
        october,
        "county",
        "SELECT s.kind, l.service_period, l.amount_cents FROM statements s"
        " JOIN statement_lines l ON l.statement_id = s.id"
        " WHERE l.line_key LIKE '%|carry_forward|%' ORDER BY s.id, l.position",
    )
    assert [row[:2] for row in carried] == [("bill", "2027-07")] + [
        ("correction", "2027-07") for _ in carried[1:]
    ]
    assert (carried[0].amount_cents, sum(row.amount_cents for row in carried)) == (
        -500_000,
        -400_000,
    )
    checks = check_region(october.engine, october.tenants)
    assert [(c.name, p.message) for c in checks for p in c.problems] == []


def test_settling_a_second_pool_leaves_the_statement_of_the_first(october):
    """The pool settles first (284,000.00 due), then the service (8.00 back): both are billed."""
    actual(october, 61_800_000)
    cost(october, 4_200)
    (first,) = settle(october, {POOL: "settle"}).statements
    (second,) = settle(october, {CARD: "settle"}).statements
    assert states(october, [first, second]) == ["draft", "draft"]
    through(october, "city", [first, second])
    assert [line[1] for line in received(october, "true_up")] == [28_400_000, -800]
    assert opens(october, 2028) == {}


def test_what_stands_on_one_statement_is_settled_again_together(october):
    actual(october, 61_800_000)
    cost(october, 4_200)
    (first,) = settle(october, {POOL: "settle", CARD: "settle"}).statements
    cost(october, 4_300)
    again = settle(october, {CARD: "settle"})
    assert {each.key for each in again.true_ups} == {"card", "i-and-r"}
    assert states(october, [first, *again.statements]) == ["void", "draft"]
    through(october, "city", again.statements)
    assert sorted(line[1] for line in received(october, "true_up")) == [-700, 28_400_000]


def test_a_true_up_made_void_by_hand_leaves_its_balance_to_the_next_year(october):
    actual(october, 61_800_000)
    (draft,) = settle(october, {POOL: "settle"}).statements
    assert opens(october, 2028) == {}
    with october.of("city", october.preparer) as session:
        billing.void(session, draft, reason="Not agreed", now=OVER)
        (share,) = true_up.share_rows(session, 2027, *POOL)
    assert (share.due_cents, share.statement_public_id) == (28_400_000, None)
    assert opens(october, 2028) == {POOL: -28_400_000}


def test_a_balance_that_is_carried_late_opens_the_year_of_its_month_only(october):
    """5,000.00 over in 2026-27, carried in August 2028: 2027-28 has nothing of it."""
    actual(october, 4_000_000)
    settle(october, {POOL: "carry"}, now=datetime(2028, 8, 3, 17, tzinfo=UTC))
    assert [opens(october, year) for year in (2028, 2029, 2030)] == [{}, {POOL: 500_000}, {}]


TERMS = {
    "due_days": 30,
    "number_prefix": "CITY",
    "funding": [{"key": "grant", "name": "Grant", "kind": "grant", "percent": "20"}],
    "overhead_percent": "10",
    "discounts": [{"name": "Early", "percent": "5"}],
}


def under_terms(region, **more):
    """The County bears half of a centre of 12,000.00 a year by an agreement with these terms.

    October: 500.00, the grant bears 100.00; 10 % overhead on 400.00 is 40.00, 5 % off 440.00 is
    22.00; 418.00 are to pay.
    """
    region.agree("city-county", "city", "county", pool_key="i-and-r", terms=TERMS | more)
    region.pool("city", "i-and-r", 12_000_00, {"city": 50, "county": 50})
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    assert [row[:2] for row in received(region, "bill")] == [
        ("pool", 500_00),
        ("funding", -100_00),
        ("overhead", 40_00),
        ("discount", -22_00),
    ]


def test_a_true_up_goes_through_the_terms_of_the_agreement(region):
    """13,200.00 were spent. Half is 6,600.00, 500.00 of it billed: 6,100.00 more. The grant bears
    1,220.00, overhead on 4,880.00 is 488.00, 5 % off 5,368.00 is 268.40: 5,099.60. At most 5,000.00
    a year, of which 418.00 were billed, leave 4,582.00: the cap takes 517.60 off.
    """
    under_terms(region, not_to_exceed_cents=5_000_00)
    actual(region, 13_200_00)
    done = settle(region, {POOL: "settle"})
    through(region, "city", done.statements)
    assert [row[:2] for row in received(region, "true_up")] == [
        ("true_up", 6_100_00),
        ("funding", -1_220_00),
        ("overhead", 488_00),
        ("discount", -268_40),
        ("cap", -517_60),
    ]
    assert settle(region, {POOL: "settle"}).statements == ()
    actual(region, 13_100_00)
    again = settle(region, {POOL: "settle"})
    through(region, "city", again.statements)
    assert [row[:2] for row in received(region, "true_up")][5:] == [
        ("true_up", -50_00),
        ("funding", 10_00),
        ("overhead", -4_00),
        ("discount", 2_20),
        ("cap", 41_80),
    ]
    checks = check_region(region.engine, region.tenants)
    assert [(c.name, p.message) for c in checks for p in c.problems] == []


def test_a_carried_balance_stands_on_the_bill_after_the_terms_and_closes_the_next_year(region):
    """900.00 were spent: 450.00 owed, 500.00 billed; of 50.00 back the grant gets 10.00, and
    40.00 + 4.00 - 2.20 = 41.80 are credited to the County.
    """
    under_terms(region)
    actual(region, 900_00)
    settle(region, {POOL: "carry"})
    with region.of("city") as session:
        ((_, line),) = true_up.carried(session, Period.of(2027, 7))
        (share,) = true_up.share_rows(session, 2027, *POOL)
    assert (share.due_cents, share.to_pay_cents) == (-50_00, -41_80)
    assert (line.amount_cents, line.basis["due_cents"]) == (-41_80, -50_00)
    assert [step["cents"] for step in line.basis["further"]] == [10_00, -4_00, 2_20]
    assert opens(region, 2028) == {POOL: 41_80}
    region.pool("city", "i-and-r", 12_000_00, {"city": 50, "county": 50}, fiscal_year=2028)
    august = datetime(2027, 8, 3, 17, tzinfo=UTC)
    with region.of("city", region.preparer) as session:
        run = run_rating(session, period=Period.of(2027, 7), now=august)
        drafts = billing.draft_statements(session, run.id, now=august)
    through(region, "city", drafts)
    actual(region, 1_000_00, year=2028)
    later = settle(region, {POOL: "keep"}, 2028, datetime(2028, 7, 5, 17, tzinfo=UTC))
    assert later.true_ups[0].roll == Roll(41_80, 458_20, 500_00)


@pytest.mark.parametrize("agreed", ["settle", "carry", "keep"])
def test_what_was_agreed_of_a_balance_holds_whatever_is_chosen(region, agreed):
    """Half of 618,000.00 is owed; the Community, which agreed nothing, has what was chosen."""
    terms = {"due_days": 30, "number_prefix": "CITY"}
    region.agree(
        "city-county", "city", "county", pool_key="i-and-r", terms=terms | {"year_end": agreed}
    )
    region.agree("city-community", "city", "community", pool_key="i-and-r", terms=terms)
    region.pool("city", "i-and-r", 60_000_000, {"city": 25, "county": 50, "community": 25})
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    actual(region, 61_800_000)
    chosen = "keep" if agreed == "carry" else "carry"
    done = settle(region, {POOL: chosen})
    with region.of("city") as session:
        (said,) = true_up.agreed_ends(session, true_up.year_of(session, 2027))
        shares = {
            each.payer.id: each for each in true_up.share_rows(session, 2027, "pool", "i-and-r")
        }
        brought = {row.payer_id: row.cents for row in openings(session, 2028)}
    county, community = region.tenants["county"], region.tenants["community"]
    assert (said.payer.id, said.year_end, said.about("pool", "i-and-r")) == (county, agreed, True)
    assert (shares[county].statement_public_id is not None) == (agreed == "settle")
    assert (shares[county].carried_to is not None) == (agreed == "carry")
    assert (shares[community].carried_to is not None) == (chosen == "carry")
    assert shares[community].statement_public_id is None
    assert len(done.statements) == (agreed == "settle")
    assert (county in brought) == (agreed != "settle")
    assert community in brought


def test_a_choice_that_no_payer_agreed_to_is_refused(region):
    region.agree(
        "city-county",
        "city",
        "county",
        pool_key="i-and-r",
        terms={"due_days": 30, "number_prefix": "CITY", "year_end": "carry"},
    )
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    actual(region, 61_800_000)
    with pytest.raises(AgreedOtherwise, match="say carry, not settle"):
        settle(region, {POOL: "settle"})
    assert settle(region, {POOL: "carry"}).statements == ()


def test_a_billed_service_rolls_and_is_tested_for_sixty_days(october):
    """50.00 billed, 42.00 allowable, 2.00 of it depreciation: 8.00 over, and 6.66 may be kept."""
    cost(october, 9_000)
    cost(october, 4_200, non_cash=200)
    with october.of("city") as session:
        (row,) = [each for each in true_up.year_rows(session, 2027) if each.subject == "card"]
        assert (row.billed_cents, row.owed_cents, row.closing_cents) == (5_000, 4_200, 800)
        test = true_up.working_capital(true_up.year_rows(session, 2027))
    assert (test.limit_cents, test.holds, test.excess_cents) == (666, False, 134)
    settle(october, {CARD: "keep"})
    with october.of("city") as session:
        (share,) = true_up.share_rows(session, 2027, *CARD)
        (after,) = [each for each in true_up.year_rows(session, 2028) if each.subject == "card"]
        assert true_up.years(session) == [2027]
    assert (share.due_cents, share.carried_to, share.statement_public_id) == (-800, None, None)
    assert (after.opening_cents, after.billed_cents, after.closing_cents) == (800, 0, None)


def test_memos_count_with_the_pool_and_the_service(october):
    with october.of("city", october.preparer) as session:
        bill = session.execute(text("SELECT id FROM statements WHERE kind = 'bill'")).scalar_one()
        memo = draft_memo(
            session,
            bill,
            [(1, 1_000, "Agreed"), (2, 100_000, "Agreed")],
            kind="credit_memo",
            now=NOW,
        )
    through(october, "city", [memo])
    with october.of("city") as session:
        billed = {row.subject: row.billed_cents for row in true_up.year_rows(session, 2027)}
    assert billed == {"card": 4_000, "pool": 2_400_000}


def test_what_cannot_be_settled_is_refused(october):
    with october.of("city") as session:
        rows_ = {row.subject: row for row in true_up.year_rows(session, 2027)}
    pool = rows_["pool"]
    assert (pool.owed_cents, pool.actual, pool.treatment) == (30_000_000, False, None)
    assert f"{pool.recovery_percent}" == "8.3"
    assert rows_["card"].closing_cents is None
    before = datetime(2027, 6, 30, 17, tzinfo=UTC)
    wrong = [
        ({POOL: "settle"}, YearNotOver, before, None),
        ({POOL: "settle"}, ActualsMissing, OVER, "i-and-r"),
        ({("pool", "other"): "settle"}, ActualsMissing, OVER, "other"),
        ({CARD: "settle"}, ActualsMissing, OVER, "card"),
        ({POOL: "forget"}, InvalidInput, OVER, "treatment"),
        ({("bus", "x"): "keep"}, InvalidInput, OVER, "subject"),
        ({}, InvalidInput, OVER, "treatment"),
    ]
    for choices, error, now, field in wrong:
        with pytest.raises(error) as refused:
            settle(october, choices, now=now)
        assert field in (None, refused.value.field)
    with pytest.raises(InvalidInput, match="part of the cost"):
        cost(october, 5, non_cash=6)
    assert rows(october, "city", "SELECT count(*) FROM true_ups")[0][0] == 0


def test_a_service_that_billed_nothing_has_nobody_to_bear_its_cost(region):
    region.rate("city", "phone", "contact_handled", "10")
    cost(region, 100)
    with pytest.raises(NobodyWasBilled):
        settle(region, {CARD: "settle"})


NEXT = datetime(2028, 7, 10, 17, tzinfo=UTC)


@pytest.fixture
def two_years(october):
    """5,000.00 too much in 2026-27, kept; in 2027-28 nothing was billed and 20,000.00 are owed."""
    october.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50}, fiscal_year=2028)
    actual(october, 4_000_000)
    settle(october, {POOL: "keep"})
    actual(october, 4_000_000, year=2028)
    return october


def due(region, year):
    with region.of("city") as session:
        return [share.due_cents for share in true_up.share_rows(session, year, *POOL)]


@pytest.mark.parametrize("issued", [False, True])
def test_settling_an_older_year_again_settles_the_next_again_and_bills_nothing_twice(
    two_years, issued
):
    """The next year gave the 5,000.00 back; settled in the older year instead, it takes them."""
    (first,) = settle(two_years, {POOL: "settle"}, 2028, NEXT).statements
    assert due(two_years, 2028) == [1_500_000]
    if issued:
        through(two_years, "city", [first])
    done = settle(two_years, {POOL: "settle"}, 2027, NEXT)
    assert list(done.again) == [2028]
    assert states(two_years, [first]) == ["issued" if issued else "void"]
    through(two_years, "city", [*done.statements, *done.again[2028].statements])
    amounts = sorted(line[1] for line in received(two_years, "true_up"))
    assert amounts == sorted([1_500_000, 500_000, -500_000] if issued else [2_000_000, -500_000])
    assert sum(amounts) == 1_500_000, "40,000.00 are owed, 25,000.00 was billed before"
    with two_years.of("city") as session:
        assert true_up.unsettled_again(session, 2028) == {}
        (row,) = (each for each in true_up.year_rows(session, 2028) if each.key == "i-and-r")
        assert (row.closing_cents, row.again_for, row.stale) == (0, 2027, False)
    checks = check_region(two_years.engine, two_years.tenants)
    assert [(c.name, p.message) for c in checks for p in c.problems] == []


def test_a_later_year_that_does_not_rest_on_what_changed_stays_as_it_is(two_years):
    (first,) = settle(two_years, {POOL: "settle"}, 2028, NEXT).statements
    done = settle(two_years, {POOL: "keep"}, 2027, NEXT)
    assert done.again == {}
    assert states(two_years, [first]) == ["draft"]


def test_three_years_in_a_row_are_settled_again_one_after_the_other(two_years):
    two_years.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50}, fiscal_year=2029)
    actual(two_years, 4_000_000, year=2029)
    later = datetime(2029, 7, 10, 17, tzinfo=UTC)
    settle(two_years, {POOL: "keep"}, 2028, NEXT)
    settle(two_years, {POOL: "settle"}, 2029, later)
    actual(two_years, 4_200_000)
    done = settle(two_years, {POOL: "keep"}, 2027, later)
    assert list(done.again) == [2028, 2029]
    assert [due(two_years, year) for year in (2027, 2028, 2029)] == [
        [-400_000],
        [1_600_000],
        [3_600_000],
    ]


def test_a_void_made_by_hand_leaves_the_next_year_named_as_out_of_date(two_years):
    (older,) = settle(two_years, {POOL: "settle"}).statements
    settle(two_years, {POOL: "settle"}, 2028, NEXT)
    with two_years.of("city", two_years.preparer) as session:
        billing.void(session, older, reason="Not agreed", now=NEXT)
    with two_years.of("city") as session:
        assert true_up.unsettled_again(session, 2028) == {POOL: "settle"}
        assert [row.key for row in true_up.year_rows(session, 2028) if row.stale] == ["i-and-r"]
    settle(two_years, {POOL: "settle"}, 2028, NEXT)
    assert due(two_years, 2028) == [1_500_000]
