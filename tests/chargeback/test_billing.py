from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from regional311.allocation.shares import SharesDoNotSum
from regional311.calendars import Period
from regional311.chargeback import billing, issuing
from regional311.chargeback.billing import (
    AlreadyIssued,
    DeliveryDamaged,
    PoolMissing,
    RunSuperseded,
)
from regional311.chargeback.checks import NAMES, check_region, who_owes_whom
from regional311.chargeback.rating import run_rating
from regional311.chargeback.statement import (
    ApproverUnknown,
    MoveNotAllowed,
    PreparerMayNotApprove,
)
from regional311.database.ids import new_id
from regional311.errors import NotFound
from regional311.ledger import service as ledger
from regional311.ledger.periods import close_period
from tests.pools import next_version

pytestmark = pytest.mark.commits

OCTOBER = Period.of(2026, 10)
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


def rows(region, slug, query, **parameters):
    with region.of(slug) as session:
        return session.execute(text(query), {"tenant": region.tenants[slug], **parameters}).all()


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


def totals(region, slug):
    return rows(region, slug, "SELECT counterparty_id, total_cents FROM statements ORDER BY 2")


def states(region, slug, statement_id):
    found = rows(
        region,
        slug,
        "SELECT state FROM statement_events WHERE statement_id = :statement ORDER BY position",
        statement=statement_id,
    )
    return [row.state for row in found]


def test_every_check_holds_after_a_month(october):
    _, drafts = rate_and_draft(october)
    through(october, "city", drafts)
    checks = check_region(october.engine, october.tenants)
    assert {check.name: check.problems for check in checks} == dict.fromkeys(NAMES, ())
    owed = {
        (each.creditor_id, each.debtor_id): each.cents
        for each in who_owes_whom(october.engine, october.tenants)
    }
    ids = october.tenants
    assert owed == {
        (ids["city"], ids["county"]): 25_028_85,
        (ids["city"], ids["community"]): 491,
    }


def test_whoever_prepared_or_submitted_cannot_approve(october):
    _, (draft, _) = rate_and_draft(october)
    third = uuid4()
    with october.of("city", third) as session:
        billing.submit(session, draft, now=NOW)
    for person in (october.preparer, third):
        with october.of("city", person) as session, pytest.raises(PreparerMayNotApprove):
            billing.approve(session, draft, now=NOW)
    with october.of("city") as session, pytest.raises(ApproverUnknown):
        billing.approve(session, draft, now=NOW)
    with october.of("city", october.approver) as session:
        billing.approve(session, draft, now=NOW)
    assert states(october, "city", draft) == ["draft", "in_review", "approved"]


def test_steps_come_in_order_and_for_ones_own_statements_only(october):
    _, (draft, _) = rate_and_draft(october)
    with october.of("city", october.approver) as session:
        for step in (billing.approve, billing.issue):
            with pytest.raises(MoveNotAllowed):
                step(session, draft, now=NOW)
    through(october, "city", [draft])
    with october.of("city", october.approver) as session, pytest.raises(MoveNotAllowed):
        billing.void(session, draft, reason="Too late", now=NOW)
    for stranger in ("county", "community"):
        with october.of(stranger, october.approver) as session:
            for step in (billing.submit, billing.approve, billing.issue):
                with pytest.raises(NotFound):
                    step(session, draft, now=NOW)


def test_issuing_twice_changes_nothing(october):
    _, drafts = rate_and_draft(october)
    first = through(october, "city", drafts)
    before = totals(october, "county"), len(rows(october, "city", "SELECT 1 FROM journal_entries"))
    with october.of("city", october.approver) as session:
        again = [billing.issue(session, draft, now=NOW) for draft in drafts]
    assert [each.number for each in again] == [each.number for each in first]
    assert [each.again for each in first + again] == [False, False, True, True]
    after = totals(october, "county"), len(rows(october, "city", "SELECT 1 FROM journal_entries"))
    assert after == before


def test_two_people_issuing_at_once_issue_once(october):
    _, (draft, _) = rate_and_draft(october)
    through(october, "city", [draft], until="approved")
    results = []

    def issue():
        with october.of("city", october.approver) as session:
            results.append(billing.issue(session, draft, now=NOW))

    threads = [threading.Thread(target=issue) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {each.number for each in results} == {"CITY-00001"}
    assert sorted(each.again for each in results) == [False, True, True]


@pytest.mark.parametrize("step", ["_send", "_receive", "_items_seal", "post"])
def test_a_crash_in_the_middle_of_issuing_leaves_nothing(october, monkeypatch, step):
    _, drafts = rate_and_draft(october)
    through(october, "city", drafts, until="approved")
    original = getattr(issuing, step)

    def crash(*args, **kwargs):
        original(*args, **kwargs)
        raise RuntimeError("power cut")

    monkeypatch.setattr(issuing, step, crash)
    with pytest.raises(RuntimeError), october.of("city", october.preparer) as session:
        billing.issue(session, drafts[0], now=NOW)
    monkeypatch.undo()
    assert totals(october, "county") == totals(october, "community") == []
    for slug in ("city", "county", "community"):
        assert rows(october, slug, "SELECT 1 FROM journal_entries") == []
        assert rows(october, slug, "SELECT 1 FROM envelopes") == []
    with october.of("city", october.preparer) as session:
        numbers = [billing.issue(session, draft, now=NOW).number for draft in drafts]
    assert numbers == ["CITY-00001", "CITY-00002"]
    assert all(check.holds for check in check_region(october.engine, october.tenants))


def test_a_copy_that_comes_out_different_is_not_issued(october, monkeypatch):
    _, drafts = rate_and_draft(october)
    through(october, "city", drafts, until="approved")
    lossy = str(issuing._UNPACK_ITEMS).replace("WHERE", "WHERE i->>4 <> 'interpreter' AND")
    monkeypatch.setattr(issuing, "_UNPACK_ITEMS", text(lossy))
    county = drafts[1]
    with pytest.raises(DeliveryDamaged), october.of("city", october.preparer) as session:
        billing.issue(session, county, now=NOW)
    assert states(october, "city", county)[-1] == "approved"
    assert totals(october, "county") == []


def test_the_payer_sees_its_copy_only_and_no_contact(october):
    _, drafts = rate_and_draft(october)
    assert totals(october, "county") == []
    through(october, "city", drafts)
    assert [row.total_cents for row in totals(october, "county")] == [25_028_85]
    assert [row.total_cents for row in totals(october, "community")] == [491]
    assert totals(october, "region") == []
    mine = rows(october, "county", "SELECT * FROM statement_items")
    assert len(mine) == 7
    assert {row.contact_id for row in mine} == {row.usage_event_id for row in mine} == {None}
    theirs = rows(october, "city", "SELECT id, contact_id, contact_reference FROM statement_items")
    known = {row.id: row for row in theirs}
    assert all(known[row.id].contact_reference == row.contact_reference for row in mine)
    assert all(str(known[row.id].contact_id) not in str(row) for row in mine)
    packed = rows(october, "county", "SELECT payload::text AS payload, received_at FROM envelopes")
    assert len(packed) == 2
    for envelope in packed:
        assert envelope.received_at == NOW
        assert not any(str(row.contact_id) in envelope.payload for row in theirs)


def test_the_same_contact_has_one_reference_in_a_statement_and_another_in_the_next(october):
    contact = new_id()
    for day in (2, 3):
        october.use("city", "county", at=(2026, 10, day, 9), contact_id=contact)
    references = []
    for hour in (1, 2):
        rate_and_draft(october, now=NOW + timedelta(hours=hour))
        references.append(
            {
                row.contact_reference
                for row in rows(
                    october,
                    "city",
                    "SELECT i.contact_reference FROM statement_items i JOIN statement_lines l"
                    " ON l.id = i.line_id JOIN statement_events v"
                    " ON v.statement_id = l.statement_id WHERE i.contact_id = :contact"
                    " GROUP BY i.id, i.contact_reference HAVING bool_and(v.state <> 'void')",
                    contact=contact,
                )
            }
        )
    assert [len(each) for each in references] == [1, 1]
    assert references[0] != references[1]


def test_many_items_travel_in_several_envelopes(october, monkeypatch):
    monkeypatch.setattr(issuing, "ITEMS_AN_ENVELOPE", 3)
    _, drafts = rate_and_draft(october)
    through(october, "city", drafts)
    counts = rows(
        october,
        "county",
        "SELECT payload->>'part' AS part, (payload->>'count')::int AS count FROM envelopes"
        " WHERE kind = 'statement_items' ORDER BY 1",
    )
    assert [tuple(row) for row in counts] == [("0", 3), ("1", 3), ("2", 1)]
    assert all(check.holds for check in check_region(october.engine, october.tenants))


def test_a_closed_period_of_the_payer_delays_nothing(october):
    with october.of("county") as session:
        ledger.lock_open_period(session, "2026-10")
        close_period(session, "2026-10", now=NOW)
    _, drafts = rate_and_draft(october)
    through(october, "city", drafts)
    (entry,) = rows(october, "county", "SELECT period_key, service_period FROM journal_entries")
    assert tuple(entry) == ("2026-11", "2026-10")
    mine = rows(october, "city", "SELECT DISTINCT period_key FROM journal_entries")
    assert [row.period_key for row in mine] == ["2026-10"]
    assert all(check.holds for check in check_region(october.engine, october.tenants))


def test_a_new_run_supersedes_and_voids_the_earlier_drafts(october):
    first, old = rate_and_draft(october)
    with october.of("city", october.preparer) as session:
        assert billing.draft_statements(session, first.id, now=NOW) == old
        billing.submit(session, old[0], now=NOW)
    october.use("city", "county", at=(2026, 10, 20, 9))
    second, new = rate_and_draft(october, now=NOW + timedelta(hours=1))
    assert second.number == first.number + 1
    assert set(old).isdisjoint(new)
    assert states(october, "city", old[0]) == ["draft", "in_review", "void"]
    assert states(october, "city", old[1]) == ["draft", "void"]
    with october.of("city", october.preparer) as session, pytest.raises(RunSuperseded):
        billing.draft_statements(session, first.id, now=NOW)
    through(october, "city", new)
    assert all(check.holds for check in check_region(october.engine, october.tenants))


def test_what_was_issued_is_not_drafted_again(october):
    _, drafts = rate_and_draft(october)
    through(october, "city", drafts[:1])
    _, again = rate_and_draft(october)
    assert len(again) == 1
    through(october, "city", again)
    with pytest.raises(AlreadyIssued):
        rate_and_draft(october)
    assert all(check.holds for check in check_region(october.engine, october.tenants))


def test_a_void_statement_leaves_no_gap_in_the_numbers(october):
    _, drafts = rate_and_draft(october)
    with october.of("city", october.preparer) as session:
        billing.void(session, drafts[0], reason="Wrong month", now=NOW)
    (issued,) = through(october, "city", drafts[1:])
    assert issued.number == "CITY-00001"


def test_the_application_cannot_change_what_was_issued(october):
    _, drafts = rate_and_draft(october)
    through(october, "city", drafts)
    frozen = (
        "statements",
        "statement_lines",
        "statement_items",
        "statement_events",
        "charges",
        "rating_runs",
        "usage_events",
    )
    for slug in ("city", "county"):
        for table in frozen:
            for statement in (
                f"UPDATE {table} SET tenant_id = tenant_id",
                f"DELETE FROM {table}",
                f"TRUNCATE {table} CASCADE",
            ):
                with (
                    pytest.raises(DBAPIError, match="permission denied"),
                    october.of(slug) as session,
                ):
                    session.execute(text(statement))


@pytest.mark.parametrize("whose", ["nobody's", "a neighbour's"])
def test_an_item_has_a_line_of_its_own_partner(october, whose):
    _, drafts = rate_and_draft(october)
    through(october, "city", drafts)
    line = uuid4()
    if whose == "a neighbour's":
        theirs, ours = (
            {row.id for row in rows(october, slug, "SELECT id FROM statement_lines")}
            for slug in ("city", "county")
        )
        line = min(theirs - ours)
    with (
        pytest.raises(IntegrityError, match=f"no statement line {line}"),
        october.of("county") as session,
    ):
        session.execute(
            text(
                "INSERT INTO statement_items (tenant_id, id, line_id, contact_reference,"
                " occurred_at, activity, channel, language, after_hours, quantity, amount)"
                " SELECT tenant_id, uuidv7(), CAST(:line AS uuid), contact_reference, occurred_at,"
                " activity, channel, language, after_hours, quantity, amount FROM statement_items"
            ),
            {"line": line},
        )


def test_a_line_added_to_an_issued_statement_is_noticed(october):
    _, drafts = rate_and_draft(october)
    through(october, "city", drafts)
    with october.of("county") as session:
        session.execute(
            text(
                "INSERT INTO statement_lines (tenant_id, id, statement_id, position, kind,"
                " service_period, line_key, label, agreement_key, basis, quantity, price,"
                " exact_amount,"
                " amount_cents, item_count) SELECT tenant_id, uuidv7(), statement_id, 99, kind,"
                " service_period, line_key, label, agreement_key, basis, quantity, price,"
                " exact_amount,"
                " amount_cents, 0 FROM statement_lines WHERE kind = 'pool'"
            )
        )
    failed = {
        check.name for check in check_region(october.engine, october.tenants) if not check.holds
    }
    assert failed == {"totals_match_lines"}


def test_a_missing_pool_and_shares_that_do_not_sum_stop_the_draft(region):
    region.agree("city-county", "city", "county", pool_key="i-and-r")
    with pytest.raises(PoolMissing, match="2027"):
        rate_and_draft(region)
    region.pool("city", "i-and-r", 100, {"city": 50, "county": 49})
    with pytest.raises(SharesDoNotSum, match="99 %"):
        rate_and_draft(region)


def test_an_old_run_bills_what_its_pool_was_then(region):
    region.agree("city-county", "city", "county", pool_key="i-and-r")
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    run, first = rate_and_draft(region)
    later = NOW + timedelta(hours=1)
    with region.of("city", region.preparer) as session:
        next_version(
            session,
            "i-and-r",
            now=NOW,
            yearly_cents=90_000_000,
            shares={"city": Decimal(40), "county": Decimal(60)},
        )
        again = billing.draft_statements(session, run.id, now=later)
        anew = run_rating(session, period=OCTOBER, now=later)
        fresh = billing.draft_statements(session, anew.id, now=later)
    found = {row.id: row for row in rows(region, "city", "SELECT * FROM statements")}
    old, same, new = (found[one] for (one,) in (first, again, fresh))
    assert old.total_cents == same.total_cents == 25_000_00
    assert old.digest == same.digest
    assert new.total_cents == 45_000_00


def test_a_share_of_nothing_makes_no_line(region):
    region.agree("city-county", "city", "county", pool_key="i-and-r")
    region.pool("city", "i-and-r", 100, {"city": 100, "county": 0})
    _, drafts = rate_and_draft(region)
    assert drafts == []


def test_a_year_of_months_bills_the_pool_to_the_cent(region):
    region.agree("city-county", "city", "county", pool_key="i-and-r")
    region.pool("city", "i-and-r", 500_000, {"city": 0, "county": 100})
    for month in Period(date(2026, 7, 1), date(2027, 7, 1)).months():
        with region.of("city", region.preparer) as session:
            run = run_rating(session, period=month, now=NOW)
            billing.draft_statements(session, run.id, now=NOW)
    amounts = rows(region, "city", "SELECT total_cents FROM statements ORDER BY period_key")
    assert [row.total_cents for row in amounts] == [41667] * 8 + [41666] * 4


def test_work_and_its_reversal_come_to_nothing_and_post_nothing(region):
    region.agree("city-county", "city", "county", "contact_handled")
    region.rate("city", "phone", "contact_handled", "4.905")
    region.use("city", "county")
    region.use("city", "county", quantity=Decimal(-1))
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    assert [row.total_cents for row in totals(region, "county")] == [0]
    assert rows(region, "county", "SELECT 1 FROM journal_entries") == []
    assert all(check.holds for check in check_region(region.engine, region.tenants))


def test_two_partners_that_bill_each_other_do_not_block_each_other(region):
    for provider, payer in (("city", "county"), ("county", "city")):
        region.agree(f"{provider}-{payer}", provider, payer, "contact_handled")
        region.rate(provider, "phone", "contact_handled", "4.905")
        region.use(provider, payer)
    drafts = {}
    for provider in ("city", "county"):
        _, drafts[provider] = rate_and_draft(region, provider)
        through(region, provider, drafts[provider], until="approved")
    errors = []

    def issue(provider):
        try:
            with region.of(provider, region.preparer) as session:
                billing.issue(session, drafts[provider][0], now=NOW)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(error)

    threads = [threading.Thread(target=issue, args=(provider,)) for provider in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert all(check.holds for check in check_region(region.engine, region.tenants))
