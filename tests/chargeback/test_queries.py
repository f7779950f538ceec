from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from regional311.calendars import Period
from regional311.chargeback import queries
from regional311.chargeback.checks import NAMES, check_partner, check_region
from regional311.chargeback.explain import explain
from regional311.chargeback.month import UnknownStep, bill_month, billed

pytestmark = pytest.mark.commits

OCTOBER = Period.of(2026, 10)
NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
ZONE = "America/Los_Angeles"


@pytest.fixture
def busy(region):
    """Forty contacts of the City for the County at 4.905, one of each that waits, a pool."""
    region.agree("city-county", "city", "county", "contact_handled", pool_key="i-and-r")
    region.rate("city", "phone", "contact_handled", "4.905", channel="phone")
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    for number in range(40):
        region.use("city", "county", at=(2026, 10, 1 + number % 5, 9, number))
    region.use("city", "county", channel="web")
    region.use("city", "community")
    region.use("city", "city")
    return region


def bill(region, until="issued", **options):
    preparers = {region.tenants["city"]: region.preparer}
    approvers = {region.tenants["city"]: region.approver}
    return bill_month(
        region.engine,
        region.tenants,
        OCTOBER,
        preparer=preparers,
        approver=approvers,
        until=until,
        now=NOW,
        **options,
    )


@pytest.mark.parametrize(
    ("until", "state"),
    [
        ("draft", "draft"),
        ("in_review", "in_review"),
        ("approved", "approved"),
        ("issued", "issued"),
    ],
)
def test_a_month_is_billed_as_far_as_asked(busy, until, state):
    said = []
    (only,) = bill(busy, until, progress=lambda slug, step: said.append((slug, step)))
    assert (only.state, only.total_cents, only.item_count) == (state, 25_196_20, 40)
    assert only.number == ("CITY-00001" if until == "issued" else None)
    assert said == [("city", "draft")] + ([("city", until)] if until != "draft" else [])
    again = bill(busy)
    assert [(each.number, each.total_cents) for each in again] == [("CITY-00001", 25_196_20)]
    assert bill(busy) == again == billed(busy.engine, busy.tenants, OCTOBER)
    assert all(check.holds for check in check_region(busy.engine, busy.tenants, "2026-10"))


def test_billing_goes_no_further_than_there_are_steps(busy):
    with pytest.raises(UnknownStep):
        bill(busy, until="paid")


def test_the_months_and_what_became_of_their_usage(busy, statements):
    busy.use("city", "county", at=(2026, 8, 31, 23))
    with busy.of("city") as session:
        before = queries.months(session)
    assert [(row.period_key, row.events, row.counts) for row in before] == [
        ("2026-10", 43, None),
        ("2026-09", 0, None),
        ("2026-08", 1, None),
    ]
    bill(busy)
    counts = {"rated": 40, "unrated": 1, "no_agreement": 1, "excluded": 1}
    with busy.of("city") as session:
        statements.clear()
        (october, *_) = queries.months(session)
        assert (october.events, october.counts, october.statements) == (43, counts, 1)
        assert october.total_cents == 25_196_20
        (run,) = queries.runs(session, "2026-10")
        assert (run.number, run.counts) == (1, counts)
        states = queries.usage_by_state(session, "2026-10")
        assert {row.state: row.events for row in states} == counts
        assert states[0].amount == Decimal("196.2")
        (waits,) = queries.usage(session, "2026-10", zone=ZONE, state="no_agreement")
        assert (waits.payer, waits.amount, waits.service_key) == ("Community", None, "pothole")
    with busy.of("county") as session:
        assert queries.months(session) == []
    assert len(statements) < 10


def test_usage_is_paged_without_gap_or_overlap(busy):
    bill(busy, "draft")
    seen, before = [], None
    with busy.of("city") as session:
        while page := queries.usage(session, "2026-10", zone=ZONE, before=before, limit=7):
            seen += page
            before = (page[-1].occurred_at, page[-1].id)
    assert len({row.id for row in seen}) == len(seen) == 43
    assert seen == sorted(seen, key=lambda row: (row.occurred_at, row.id), reverse=True)


@pytest.mark.parametrize("slug", ["city", "county"])
def test_a_statement_down_to_its_leaves(busy, statements, slug):
    bill(busy)
    side = "issued" if slug == "city" else "received"
    with busy.of(slug) as session:
        statements.clear()
        (row,) = queries.statements(session, side=side, period_key="2026-10", states=[side])
        assert (row.side, row.state, row.number) == (side, side, "CITY-00001")
        for wanted in (row.id, row.public_id, row.number):
            detail = queries.statement(session, wanted)
            assert detail.row == row
        assert detail.parties["issuer"]["name"] == "City"
        assert detail.terms["due_days"] == 30
        lines = queries.lines(session, row.id)
        assert [line.position for line in lines] == [1, 2]
        assert queries.line(session, row.id, 2) == lines[1]
        assert queries.line(session, row.id, 3) is None
        assert sum(line.amount_cents for line in lines) == row.total_cents
        leaves, after = [], None
        while page := queries.leaves(session, lines[0].id, after=after, limit=15):
            leaves += page
            after = (page[-1].occurred_at, page[-1].id)
        assert len({leaf.id for leaf in leaves}) == len(leaves) == 40
        assert sum(leaf.amount for leaf in leaves) == lines[0].exact_amount
        assert all((leaf.contact_id is not None) is (slug == "city") for leaf in leaves)
        if slug == "city":
            steps = ["draft", "in_review", "approved", "issued"]
            assert detail.prepared_by == detail.submitted_by == busy.preparer
        else:
            steps = ["received"]
            assert detail.prepared_by is None
        assert [event.state for event in detail.events] == steps
    assert len(statements) < 20


@pytest.mark.parametrize("slug", ["city", "county"])
def test_every_figure_of_an_explanation_is_the_sum_of_its_parts(busy, slug):
    busy.rate("city", "web", "contact_handled", "0.124", channel="web")
    bill(busy)
    with busy.of(slug) as session:
        tree = explain(session, "CITY-00001")
        part = explain(session, "CITY-00001", position=2)

    def check(node):
        if node.children:
            assert sum(child.amount for child in node.children) == node.amount
        for child in node.children:
            check(child)

    check(tree)
    assert sum(leaf.amount for leaf in tree.leaves()) == Decimal("25196.32")
    assert part in tree.children
    assert [leaf.kind for leaf in part.leaves()] == ["work", "rounding"]
    assert part.as_json()["children"][1]["amount"] == "-0.004000"
    facts = tree.children[0].children[0].facts
    assert ("contact_id" in facts) is (slug == "city")


def test_what_is_not_there_is_none(busy):
    bill(busy)
    with busy.of("community") as session:
        assert queries.statements(session) == []
        for wanted in ("CITY-00001", uuid4()):
            assert queries.statement(session, wanted) is None
            assert explain(session, wanted) is None
    with busy.of("city") as session:
        assert explain(session, "CITY-00001", position=9) is None


ITEM = "SELECT i.id FROM statement_items i WHERE i.tenant_id = :tenant ORDER BY i.id LIMIT 1"
SAME_EVENT = """
UPDATE statement_items SET usage_event_id =
    (SELECT usage_event_id FROM statement_items WHERE tenant_id = :tenant ORDER BY id DESC LIMIT 1)
WHERE id = (SELECT id FROM statement_items WHERE tenant_id = :tenant ORDER BY id LIMIT 1)
"""
CLAIM_MORE = """
UPDATE postings SET debit_cents = debit_cents + 1 WHERE account_key = 'due_from_partners'
"""


@pytest.mark.parametrize(
    ("damage", "failed"),
    [
        (CLAIM_MORE, "balanced"),
        (CLAIM_MORE, "net_zero"),
        ("UPDATE journal_entries SET service_period = '2026-09'", "mirrored"),
        ("UPDATE statements SET total_cents = total_cents + 1", "totals_match_lines"),
        ("UPDATE statements SET total_cents = total_cents + 1", "mirrored"),
        ("UPDATE statements SET counterparty_id = tenant_id", "mirrored"),
        ("DELETE FROM statement_events", "mirrored"),
        ("UPDATE statement_items SET amount = amount + 1", "leaves_sum_to_lines"),
        (f"DELETE FROM statement_items WHERE id = ({ITEM})", "every_event_once"),
        (SAME_EVENT, "every_event_once"),
        ("DELETE FROM charges WHERE state = 'unrated'", "every_event_once"),
        ("UPDATE statement_counters SET last_number = 2", "numbers_gap_free"),
        ("UPDATE statement_events SET number = 'CITY-2' WHERE number > ''", "numbers_gap_free"),
    ],
)
def test_damage_behind_the_application_is_found(busy, empty_database, damage, failed):
    bill(busy)
    damage_as_owner(empty_database, busy.tenants["city"], damage)
    checks = check_region(busy.engine, busy.tenants)
    assert [check.name for check in checks] == list(NAMES)
    broken = {check.name for check in checks if not check.holds}
    assert failed in broken
    for check in checks:
        assert all(problem.message for problem in check.problems)
    with busy.of("city") as session:
        own = check_partner(session, "2026-10")
    assert [check.name for check in own] == [
        name for name in NAMES if name not in ("mirrored", "net_zero")
    ]


def damage_as_owner(database, tenant_id, statement):
    """Change one partner's rows as nobody should: as the schema's owner."""
    engine = create_engine(database.owner_url)
    with engine.begin() as connection:
        connection.execute(text("SELECT bind_tenant(:tenant, NULL)"), {"tenant": tenant_id})
        connection.execute(text(statement), {"tenant": tenant_id})
    engine.dispose()


def test_one_leaf_and_where_its_statement_is(busy):
    bill(busy)
    with busy.of("county") as session:
        (row,) = queries.statements(session)
        line = queries.line(session, row.id, 1)
        first = queries.leaves(session, line.id, limit=1)[0]
        assert queries.leaf(session, line.id, first.id) == first
        assert queries.leaf(session, line.id, uuid4()) is None
        assert queries.statement_address(session, row.id) == row.public_id
    with busy.of("community") as session:
        assert queries.statement_address(session, row.id) is None
