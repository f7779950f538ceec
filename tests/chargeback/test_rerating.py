from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import Range

from regional311.chargeback import billing, recorded_work
from regional311.chargeback.checks import check_region
from regional311.chargeback.freed import freed as list_freed
from regional311.chargeback.memos import draft_memo
from regional311.chargeback.rating import run_rating
from regional311.chargeback.rerating import (
    NothingIssued,
    draft_corrections,
    late_work,
    preview_corrections,
)
from regional311.chargeback.year_end import settle_year
from tests.chargeback.test_billing import NOW, OCTOBER, rate_and_draft, rows, through
from tests.pools import next_base, next_readings, next_version

pytestmark = pytest.mark.commits

LATER = NOW + timedelta(days=20)
ARRIVED = datetime(2026, 11, 10, 17, tzinfo=UTC)
LONG_AFTER = datetime(2026, 11, 20, 17, tzinfo=UTC)
JULY = date(2026, 7, 1)


@pytest.fixture
def issued(region):
    """An October that was issued: the County owes 5 × 10.00 and a share, the Community nothing."""
    region.agree("city-county", "city", "county", "contact_handled", pool_key="i-and-r")
    region.agree("city-community", "city", "community", "contact_handled")
    region.rate("city", "phone", "contact_handled", "10", channel="phone")
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    region.events = [region.use("city", "county", at=(2026, 10, day, 9)) for day in range(1, 6)]
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    return region


def correct(region, now=LATER):
    with region.of("city", region.preparer) as session:
        return draft_corrections(session, OCTOBER, now=now)


def lines(region, slug, kind="correction"):
    return [
        tuple(row)
        for row in rows(
            region,
            slug,
            "SELECT l.basis->'corrects'->>'change', l.quantity, l.amount_cents, l.item_count"
            " FROM statements s JOIN statement_lines l ON l.statement_id = s.id"
            " WHERE s.tenant_id = :tenant AND s.kind = :kind AND NOT EXISTS"
            " (SELECT FROM statement_events v WHERE v.statement_id = s.id AND v.state = 'void')"
            " ORDER BY s.id, l.position",
            kind=kind,
        )
    ]


def reprice(region, amount):
    """Correct the price, as known from the day after the issue on."""
    at = NOW + timedelta(days=1)
    with region.of("city") as session:
        session.execute(
            text("UPDATE rates SET recorded = tstzrange(NULL, :at) WHERE upper_inf(recorded)"),
            {"at": at},
        )
    region.rate(
        "city", "phone", "contact_handled", amount, channel="phone", recorded=Range(at, None)
    )


def sums(region, slug):
    """Everything billed for the period, by line key: quantity, exact amount, cents."""
    return {
        row.line_key: tuple(row)[1:]
        for row in rows(
            region,
            slug,
            "SELECT l.line_key, sum(l.quantity), sum(l.exact_amount), sum(l.amount_cents)"
            " FROM statements s JOIN statement_lines l ON l.statement_id = s.id"
            " JOIN statement_events e ON e.statement_id = s.id"
            " AND e.state IN ('issued', 'received')"
            " WHERE s.tenant_id = :tenant GROUP BY 1"
            " HAVING sum(l.amount_cents) <> 0",
        )
    }


def holds(region):
    checks = check_region(region.engine, region.tenants)
    return [(check.name, problem.message) for check in checks for problem in check.problems]


def test_three_late_contacts_are_billed_as_the_difference(issued):
    """Source: re-rating, 5 → 8 units at 10 is +30."""
    assert correct(issued) == []
    for day in (6, 7, 8):
        issued.use("city", "county", at=(2026, 10, day, 9), received_at=ARRIVED)
    before = kept(issued)
    with issued.of("city", issued.preparer) as session:
        (due,) = preview_corrections(session, OCTOBER, now=LATER)
    assert (due.corrects, due.total_cents) == ("CITY-00001", 3000)
    assert kept(issued) == before
    drafts = correct(issued)
    assert lines(issued, "city") == [("difference", 3, 3000, 3)]
    (made,) = through(issued, "city", drafts)
    assert made.number == "CITY-00002"
    assert lines(issued, "county") == [("difference", 3, 3000, 3)]
    (mine,) = rows(
        issued,
        "county",
        "SELECT s.kind, s.period_key, s.total_cents, o.number FROM statements s"
        " JOIN statement_events o ON o.statement_id = s.corrects_id WHERE s.kind = 'correction'",
    )
    assert tuple(mine) == ("correction", "2026-10", 3000, "CITY-00001")
    leaves = rows(
        issued,
        "county",
        "SELECT sum(i.amount) FROM statement_items i JOIN statement_lines l"
        " ON l.id = i.line_id WHERE l.kind = 'correction'",
    )
    assert leaves[0][0] == 30
    assert holds(issued) == []


def kept(region):
    """How many runs, charges and steps of the audit trail there are."""
    return rows(
        region,
        "city",
        "SELECT (SELECT count(*) FROM rating_runs), (SELECT count(*) FROM charges),"
        " (SELECT count(*) FROM audit_events)",
    )


def bills(region):
    """The bill with its lines, on both sides."""
    query = (
        "SELECT s.digest, s.total_cents, l.* FROM statements s JOIN statement_lines l"
        " ON l.statement_id = s.id WHERE s.tenant_id = :tenant AND s.kind = 'bill'"
        " ORDER BY l.position"
    )
    return {slug: rows(region, slug, query) for slug in ("city", "county")}


def test_a_corrected_price_takes_the_line_back_and_bills_it_anew(issued):
    before = bills(issued)
    reprice(issued, "8.50")
    drafts = correct(issued)
    assert lines(issued, "city") == [("reversal", -5, -5000, 5), ("replacement", 5, 4250, 5)]
    through(issued, "city", drafts)
    assert sum(row[2] for row in sums(issued, "county").values()) == 25_042_50
    assert holds(issued) == []
    assert correct(issued, LATER + timedelta(days=1)) == []
    assert bills(issued) == before


def test_drafting_again_is_free_and_identical(issued):
    issued.use("city", "county", at=(2026, 10, 9, 9), received_at=ARRIVED)
    reprice(issued, "9")
    first = correct(issued)
    said = [
        tuple(row)
        for row in rows(issued, "city", "SELECT digest FROM statements WHERE kind = 'correction'")
    ]
    second = correct(issued)
    assert first != second
    digests = rows(issued, "city", "SELECT digest FROM statements WHERE kind = 'correction'")
    assert {tuple(row) for row in digests} == set(said)
    assert lines(issued, "city") == [("reversal", -5, -5000, 5), ("replacement", 6, 5400, 6)]


def test_all_runs_of_a_period_add_up_to_one_fresh_rating(issued):
    for number, (price, day) in enumerate([("9.123", 10), ("9.123", 11), ("4.905", 12)]):
        issued.use("city", "county", at=(2026, 10, day, 9), received_at=ARRIVED)
        issued.use("city", "community", at=(2026, 10, day, 10), received_at=ARRIVED)
        if number != 1:
            with issued.of("city") as session:
                session.execute(text("UPDATE rates SET amount = :price"), {"price": Decimal(price)})
        through(issued, "city", correct(issued, LATER + timedelta(days=number)))
    with issued.of("city") as session:
        run = session.execute(
            text("SELECT id FROM rating_runs ORDER BY number DESC LIMIT 1")
        ).scalar_one()
        fresh = billing.fresh_lines(session, run)
    for slug in ("county", "community"):
        (wanted,) = [each for payer, each in fresh.items() if payer.id == issued.tenants[slug]]
        assert sums(issued, slug) == {
            line.line_key: (line.quantity, line.exact_amount, line.amount_cents) for line in wanted
        }
    assert holds(issued) == []


def test_a_first_contact_of_a_payer_gives_it_a_bill(issued):
    issued.use("city", "community", received_at=ARRIVED)
    drafts = correct(issued)
    kinds = rows(issued, "city", "SELECT kind FROM statements WHERE id = ANY(:ids)", ids=drafts)
    assert [row.kind for row in kinds] == ["bill"]
    through(issued, "city", drafts)
    assert holds(issued) == []


def test_work_is_of_an_issued_period_whatever_was_rated_since(issued):
    """A later rating that issued nothing takes no bill away; the Community has none."""
    after = issued.use("city", "community", at=(2026, 10, 9, 9))
    with issued.of("city", issued.preparer) as session:
        run_rating(session, period=OCTOBER, now=LATER)
        found = recorded_work.rated(session, [*issued.events, after])
    assert {each: row.issued for each, row in found.items()} == {
        **dict.fromkeys(issued.events, True),
        after: False,
    }


def test_a_period_that_is_open_is_not_corrected(region):
    with region.of("city") as session, pytest.raises(NothingIssued, match="2026-10"):
        draft_corrections(session, OCTOBER, now=NOW)


def test_late_work_is_counted_before_and_after_the_window(issued):
    issued.use("city", "county", received_at=ARRIVED)
    issued.use("city", "county", received_at=LONG_AFTER)
    issued.use("city", "county", at=(2026, 11, 1, 0), received_at=ARRIVED)
    reprice(issued, "1")
    with issued.of("city") as session:
        (late,) = late_work(session, zone="America/Los_Angeles")
    assert (late.period_key, late.events, late.after_window) == ("2026-10", 2, 1)
    assert late.window_end == datetime(2026, 11, 11, 7, tzinfo=UTC)
    assert (late.rates, late.open_drafts, late.total_cents) == (["phone"], 0, 25_050_00)
    correct(issued)
    with issued.of("city") as session:
        (late,) = late_work(session, zone="America/Los_Angeles", period_key="2026-10")
    assert late.open_drafts == 1


def shared(region, period="2026-10"):
    """What the list of late work says of pools and bases: their keys, and whether there is work."""
    with region.of("city") as session:
        (late,) = late_work(session, zone="America/Los_Angeles", period_key=period)
    return late.pools, late.bases, late.anything


def test_a_pool_that_was_changed_since_is_named_until_it_is_billed(issued):
    assert shared(issued) == ([], [], False)
    with issued.of("city") as session:
        next_version(session, "i-and-r", now=LATER, note="A word that changes nobody's part")
    assert shared(issued) == ([], [], False)
    with issued.of("city") as session:
        next_version(session, "i-and-r", now=LATER, shares={"city": 60, "county": 40})
    assert shared(issued) == (["i-and-r"], [], True)
    drafts = correct(issued, now=LATER + timedelta(seconds=1))
    assert shared(issued) == (["i-and-r"], [], True)
    through(issued, "city", drafts)
    assert shared(issued) == ([], [], False)


def test_readings_and_bases_of_since_are_named_with_the_pool_they_divide(issued):
    halves = {"city": "1", "county": "1"}
    with issued.of("city") as session:
        next_base(session, "heads", kind="population")
        next_base(session, "mixed", kind="mix", parts={"heads": Decimal(100)})
        next_base(session, "idle", kind="population")
        next_readings(session, "heads", halves, as_of=JULY, now=LATER)
        next_readings(session, "idle", halves, as_of=JULY, now=LATER)
        next_version(session, "i-and-r", now=LATER, base_key="mixed", shares={})
    assert shared(issued) == ([], [], False)
    with issued.of("city") as session:
        next_readings(session, "heads", {"county": "1"}, as_of=JULY, now=LATER)
    assert shared(issued) == (["i-and-r"], ["heads"], True)
    through(issued, "city", correct(issued, now=LATER + timedelta(seconds=1)))
    assert shared(issued) == ([], [], False)


def test_the_community_that_newly_bears_a_pool_is_seen_too(issued):
    issued.agree("new-share", "city", "community", "contact_handled", pool_key="i-and-r")
    with issued.of("city") as session:
        said = {"city": 50, "county": 40, "community": 10}
        next_version(session, "i-and-r", now=LATER, shares=said)
    assert shared(issued)[0] == ["i-and-r"]


def listed(region):
    """What the list of late work says of October: events, prices, corrections being prepared."""
    with region.of("city") as session:
        (late,) = late_work(session, zone="America/Los_Angeles")
    return late.events, late.rates, late.open_drafts


def lost(region):
    """The names and the number of problems that the check of every event finds."""
    checks = {check.name: check for check in check_region(region.engine, region.tenants)}
    return [problem.kind for problem in checks["every_event_once"].problems]


def test_another_payers_bill_hides_no_late_work(issued):
    """The County's bill is of run 1; two contacts for it arrive; run 2 bills the Community."""
    for day in (6, 7):
        issued.use("city", "county", at=(2026, 10, day, 9), received_at=ARRIVED)
    issued.use("city", "community", received_at=ARRIVED)
    assert listed(issued) == (3, [], 0)
    _, drafts = rate_and_draft(issued, now=LATER)
    assert listed(issued) == (2, [], 1)
    assert lost(issued) == ["event_not_billed"] * 2
    through(issued, "city", drafts)
    assert listed(issued) == (2, [], 0)
    assert lost(issued) == ["event_not_billed"] * 2
    drafts = correct(issued, LATER + timedelta(days=1))
    assert (listed(issued), lost(issued)) == ((2, [], 1), [])
    through(issued, "city", drafts)
    assert (listed(issued), holds(issued)) == ((0, [], 0), [])


def test_a_price_corrected_before_another_payers_bill_stays_on_the_list(issued):
    issued.use("city", "community", received_at=ARRIVED)
    reprice(issued, "9")
    _, drafts = rate_and_draft(issued, now=LATER)
    through(issued, "city", drafts)
    assert listed(issued) == (0, ["phone"], 0)
    through(issued, "city", correct(issued, LATER + timedelta(days=1)))
    assert listed(issued) == (0, [], 0)


def test_work_that_was_on_its_way_while_a_run_read_is_late(issued):
    """It came in before the cut-off, and its transaction ended after the run had read."""
    issued.use("city", "county", at=(2026, 10, 9, 9), received_at=NOW - timedelta(seconds=1))
    assert listed(issued) == (1, [], 0)
    through(issued, "city", correct(issued))
    assert (listed(issued), holds(issued)) == ((0, [], 0), [])


def test_a_payer_of_a_billed_period_without_a_live_statement_is_found(region):
    region.agree("city-county", "city", "county", "contact_handled")
    region.agree("city-community", "city", "community", "contact_handled")
    region.rate("city", "phone", "contact_handled", "10")
    region.use("city", "county")
    left_out = region.use("city", "community")
    _, drafts = rate_and_draft(region)
    community, county = drafts
    through(region, "city", [county])
    assert (listed(region), lost(region)) == ((0, [], 1), [])
    with region.of("city", region.preparer) as session:
        billing.void(session, community, reason="Wrong address", now=NOW)
    assert listed(region) == (1, [], 0)
    checks = {check.name: check for check in check_region(region.engine, region.tenants)}
    (problem,) = checks["every_event_once"].problems
    assert (problem.kind, problem.subject_id) == ("event_not_billed", left_out)
    _, drafts = rate_and_draft(region, now=LATER)
    assert (listed(region), lost(region)) == ((0, [], 1), [])


def test_late_work_that_was_taken_back_leaves_nothing_to_bill(issued):
    """It is late until the month was rated again, which finds nothing to bill for it."""
    done = issued.use("city", "county", received_at=ARRIVED)
    issued.use("city", "county", received_at=ARRIVED, quantity=Decimal(-1), reverses_id=done)
    assert listed(issued) == (2, [], 0)
    assert correct(issued) == []
    assert (listed(issued), holds(issued)) == ((0, [], 0), [])


def test_room_that_a_correction_frees_under_a_yearly_cap_lists_the_later_month(region):
    """At most 150.00 a year: October 100.00, November 100.00 less 50.00. Two contacts of October
    are taken back: 20.00 of what the cap took off November are due again, once.
    """
    terms = {"due_days": 30, "number_prefix": "CITY", "not_to_exceed_cents": 150_00}
    region.agree("city-county", "city", "county", "contact_handled", terms=terms)
    region.rate("city", "phone", "contact_handled", "10")
    done = [
        region.use("city", "county", at=(2026, month, day, 9))
        for month in (10, 11)
        for day in range(1, 11)
    ]
    months, december = (OCTOBER, OCTOBER.next()), datetime(2026, 12, 3, 17, tzinfo=UTC)
    for period in months:
        with region.of("city", region.preparer) as session:
            run = run_rating(session, period=period, now=december)
            drafts = billing.draft_statements(session, run.id, now=december)
        through(region, "city", drafts)

    def freed():
        with region.of("city") as session:
            found = late_work(session, zone="America/Los_Angeles")
        return {each.period_key: each.freed_cents for each in found if each.anything}

    def again(period, now):
        with region.of("city", region.preparer) as session:
            drafts = draft_corrections(session, period, now=now)
        before = freed()
        through(region, "city", drafts)
        return before

    assert freed() == {}
    for taken in done[:2]:
        region.use(
            "city",
            "county",
            at=(2026, 10, 1, 9),
            received_at=december + timedelta(days=1),
            quantity=Decimal(-1),
            reverses_id=taken,
        )
    again(months[0], december + timedelta(days=2))
    assert freed() == {"2026-11": 20_00}
    with region.of("city") as session:
        (room,) = list_freed(session)
    assert (room.kind, room.period_key, room.agreement_key) == ("cap", "2026-11", "city-county")
    assert (room.authorised_cents, room.used_cents) == (150_00, 130_00)
    assert (room.held_back_cents, room.freed_cents) == (50_00, 20_00)
    assert (room.number, room.run) == ("CITY-00002", 1)
    assert (room.freed_by_period, room.freed_by_void) == ("2026-10", False)
    assert again(months[1], december + timedelta(days=3)) == {}
    assert freed() == {}
    assert lines(region, "county")[-1] == ("difference", 0, 20_00, 0)
    assert holds(region) == []


@pytest.mark.parametrize("gone", ["corrected", "void"])
def test_what_a_source_may_give_again_is_listed_and_goes_to_the_payer_once(region, gone):
    """A grant bears half, at most 60.00 a year: 50.00 of October, so 10.00 of November. Of October
    20.00 or all of it are taken back: the grant bears 10.00 or 40.00 more of November.
    """
    grant = {"key": "grant", "name": "Grant", "kind": "grant", "percent": "50"}
    terms = {
        "due_days": 30,
        "number_prefix": "CITY",
        "funding": [grant | {"authorised_cents": 60_00}],
    }
    region.agree("city-county", "city", "county", "contact_handled", terms=terms)
    region.rate("city", "phone", "contact_handled", "10")
    done = [
        region.use("city", "county", at=(2026, month, day, 9))
        for month in (10, 11)
        for day in range(1, 11)
    ]
    months, december = (OCTOBER, OCTOBER.next()), datetime(2026, 12, 3, 17, tzinfo=UTC)
    drafts = {}
    for period in months:
        with region.of("city", region.preparer) as session:
            run = run_rating(session, period=period, now=december)
            drafts[period] = billing.draft_statements(session, run.id, now=december)
    through(region, "city", drafts[months[1]])
    if gone == "void":
        with region.of("city", region.preparer) as session:
            billing.void(session, drafts[months[0]][0], reason="Wrong", now=december)
    else:
        through(region, "city", drafts[months[0]])
        for taken in done[:2]:
            region.use(
                "city",
                "county",
                at=(2026, 10, 1, 9),
                received_at=december + timedelta(days=1),
                quantity=Decimal(-1),
                reverses_id=taken,
            )
        with region.of("city", region.preparer) as session:
            made = draft_corrections(session, months[0], now=december + timedelta(days=2))
        through(region, "city", made)
    back = 40_00 if gone == "void" else 10_00
    with region.of("city") as session:
        (room,) = list_freed(session)
        (late,) = (each for each in late_work(session, zone="America/Los_Angeles") if each.anything)
    assert (room.kind, room.source, room.period_key) == ("source", "Grant", "2026-11")
    assert (room.held_back_cents, room.freed_cents) == (40_00, back)
    assert (room.freed_by_period, room.freed_by_void) == ("2026-10", gone == "void")
    assert (late.period_key, late.freed_cents) == ("2026-11", back)
    with region.of("city", region.preparer) as session:
        again = draft_corrections(session, months[1], now=december + timedelta(days=3))
    through(region, "city", again)
    with region.of("city") as session:
        assert list_freed(session) == []
    assert lines(region, "county")[-1][2] == -back
    assert holds(region) == []


def test_a_clock_change_moves_no_work_between_months(region):
    """November 1, 2026 has 25 hours: what was done in either of its two hours from 1 to 2 counts
    in November, and October ends at its first midnight.
    """
    region.agree("city-county", "city", "county", "contact_handled")
    region.rate("city", "phone", "contact_handled", "1")
    for at in ((2026, 10, 31, 23, 59, 59), (2026, 11, 30, 23, 59, 59), (2026, 12, 1, 0)):
        region.use("city", "county", at=at)
    region.use("city", "county", at=(2026, 11, 1, 0))
    for fold in (0, 1):
        region.use("city", "county", at=(2026, 11, 1, 1, 30), fold=fold)
    counted = {}
    for period in (OCTOBER, OCTOBER.next(), OCTOBER.next().next()):
        with region.of("city", region.preparer) as session:
            run = run_rating(session, period=period, now=datetime(2027, 1, 5, tzinfo=UTC))
            counted[period.label] = run.counts["rated"]
    assert counted == {"2026-10": 1, "2026-11": 4, "2026-12": 1}


def test_terms_are_reckoned_again_and_every_line_telescopes(region):
    """A discount, overhead and a cap of 100.00 a year over 15 units at 10.00, then 16 at 5.00.

    Source: volume 15 at 10 → 16 at 5 is −150 and +80. An amendment in the middle of the month
    leaves one line for both versions.
    """
    terms = {
        "due_days": 30,
        "number_prefix": "CITY",
        "overhead_percent": "10",
        "discounts": [{"name": "Early", "percent": "5"}],
        "not_to_exceed_cents": 100_00,
    }
    middle = date(2026, 10, 15)
    region.agree(
        "city-county", "city", "county", "contact_handled", terms=terms, valid=Range(JULY, middle)
    )
    region.agree(
        "city-county",
        "city",
        "county",
        "contact_handled",
        terms=terms,
        valid=Range(middle, None),
        version=2,
    )
    steps = {"tiers": [{"up_to": "15", "price": "10"}, {"price": "5"}]}
    region.rate("city", "phone", "contact_handled", "0", model="volume", steps=steps)
    for day in range(1, 16):
        region.use("city", "county", at=(2026, 10, day * 2, 9))
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    kinds = "SELECT kind, amount_cents FROM statement_lines ORDER BY position"
    assert [tuple(row) for row in rows(region, "county", kinds)] == [
        ("usage", 150_00),
        ("overhead", 15_00),
        ("discount", -8_25),
        ("cap", -56_75),
    ]
    region.use("city", "county", at=(2026, 10, 31, 9), received_at=ARRIVED)
    through(region, "city", correct(region))
    assert lines(region, "county") == [
        ("reversal", -15, -150_00, 15),
        ("replacement", 16, 80_00, 16),
        ("difference", 0, -7_00, 0),
        ("difference", 0, 3_85, 0),
        ("reversal", -1, 56_75, 0),
    ]
    assert sum(row[2] for row in sums(region, "county").values()) == 83_60
    assert holds(region) == []


def test_bureaus_and_outside_bodies_are_corrected_and_credited_in_one_book(region):
    """Parks: 3 × 10.00 and a share of 75.00; Power: 2 × 10.00 under a minimum of 100.00.

    A contact more for each: Parks owes 10.00 more; for Power the minimum gives way by as much.
    A true-up of the centre, 1,300.00 instead of 1,200.00, is Parks' and Water's.
    """
    terms = {"due_days": 30, "number_prefix": "CITY"}
    own = {"payer_kind": "bureau", "pool_key": "centre", "terms": terms}
    region.agree("bureaus", "city", "city", "contact_handled", **own)
    power = terms | {
        "minimum_cents": 100_00,
        "services": ["power"],
        "outside": {"name": "Power", "address": "1 Main Street", "email": "a@example.org"},
    }
    outside = {"payer_kind": "outside", "payer_key": "power", "terms": power}
    region.agree("utilities", "city", "city", "contact_handled", **outside)
    region.rate("city", "contact", "contact_handled", "10")
    region.pool("city", "centre", 1_200_00, {"bureau:parks": 75, "bureau:water": 25})
    for _ in range(3):
        region.use("city", "city", bureau_key="parks")
    for _ in range(2):
        region.use("city", "city", bureau_key="power", service_key="power")
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    assert holds(region) == []
    for bureau, service in (("parks", "pothole"), ("power", "power")):
        region.use("city", "city", bureau_key=bureau, service_key=service, received_at=ARRIVED)
    through(region, "city", correct(region))
    said = rows(
        region,
        "city",
        "SELECT s.payer_kind, s.payer_key, l.basis->'corrects'->>'kind', l.amount_cents"
        " FROM statements s JOIN statement_lines l ON l.statement_id = s.id"
        " WHERE s.kind = 'correction' ORDER BY s.id, l.position",
    )
    assert sorted(tuple(row) for row in said) == [
        ("bureau", "parks", "usage", 10_00),
        ("outside", "power", "minimum", -10_00),
        ("outside", "power", "usage", 10_00),
    ]
    with region.of("city", region.preparer) as session:
        parks = session.execute(
            text("SELECT id FROM statements WHERE payer_key = 'parks' AND kind = 'bill'")
        ).scalar_one()
        memo = draft_memo(session, parks, [(1, 5_00, "Agreed")], kind="credit_memo", now=LATER)
    through(region, "city", [memo])
    over = datetime(2027, 7, 10, 17, tzinfo=UTC)
    with region.of("city", region.preparer) as session:
        next_version(session, "centre", actual_cents=1_300_00, actual_source="Closed books")
        done = settle_year(session, 2027, {("pool", "centre"): "settle"}, now=over)
    through(region, "city", done.statements)
    (made,) = done.true_ups
    assert (made.roll.billed_cents, made.roll.owed_cents) == (100_00, 1_300_00)
    assert holds(region) == []
