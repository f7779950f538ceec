"""What must hold of bills and books whatever was done, in whatever order it came in.

Each test is an invariant of the accounting; docs/finance/invariants.md says where the others are.
"""

from __future__ import annotations

import csv
import io
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError

from regional311.calendars import Period
from regional311.chargeback import billing, focus
from regional311.chargeback.checks import check_region
from regional311.chargeback.month import bill_month
from regional311.chargeback.queries import usage_by_state
from regional311.chargeback.rating import run_rating
from regional311.chargeback.rerating import draft_corrections
from regional311.errors import KeyReused
from regional311.ledger import queries as ledger_queries
from regional311.ledger.exports import content, make_batch
from regional311.ledger.periods import close_period
from regional311.metering.service import Usage, record
from regional311.settlement import queries as settlement
from tests.chargeback.test_billing import NOW, OCTOBER, rate_and_draft, rows, through

pytestmark = pytest.mark.commits

ZONE = ZoneInfo("America/Los_Angeles")
few = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LADDER = {
    "tiers": [
        {"up_to": "2", "price": "10", "flat": "2"},
        {"up_to": "4.5", "price": "5", "flat": "3"},
        {"price": "1.25"},
    ]
}
MODELS = {
    "contact_handled": {"model": "unit"},
    "follow_up": {"model": "graduated", "steps": LADDER},
    "warm_transfer": {"model": "volume", "steps": LADDER},
    "interpreter": {"model": "package", "steps": {"size": "2", "free": "1"}},
}
NIGHT = [
    {"key": "night", "hours": "after", "percent": "12.5"},
    {"key": "es", "languages": ["es"], "amount": "0.4"},
]
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "activity": st.sampled_from(sorted(MODELS)),
            "language": st.sampled_from(["en", "es"]),
            "after_hours": st.booleans(),
            "quantity": st.sampled_from([Decimal(1), Decimal(-1), Decimal("2.5")]),
            "at": st.sampled_from([(2026, 10, 1, 0), (2026, 10, 9, 23), (2026, 10, 31, 23)]),
        }
    ),
    min_size=2,
    max_size=9,
)


@few
@given(events=EVENTS, draw=st.randoms(use_true_random=False))
def test_the_order_in_which_events_come_in_changes_no_charge(region, events, draw):
    """Also of tiers and packages, and of work done at the same instant."""
    run = next(region.numbers)
    mixed = events[:]
    draw.shuffle(mixed)
    charges = {}
    for provider, payer, came in (("city", "county", events), ("community", "county", mixed)):
        card = f"{provider}-{run}"
        for activity, model in MODELS.items():
            said = {"card_key": card, "surcharges": NIGHT, **model}
            region.rate(provider, f"{activity}-{run}", f"{activity}-{run}", "10", **said)
        each = [f"{activity}-{run}" for activity in MODELS]
        region.agree(card, provider, payer, *each, rate_card_key=card)
        for number, event in enumerate(came):
            # a key is made when the work comes in, and says nothing but that
            done = event | {
                "activity": f"{event['activity']}-{run}",
                "source_key": f"work:{run}:{number:03}",
            }
            region.use(provider, payer, **done)
        with region.of(provider) as session:
            made = run_rating(session, period=OCTOBER, now=NOW)
            found = session.execute(
                text(
                    "SELECT e.activity, e.occurred_at, e.language, e.after_hours, c.quantity,"
                    " c.amount FROM charges c JOIN usage_events e ON e.id = c.usage_event_id"
                    " WHERE c.run_id = :run AND e.source_key LIKE :mine ORDER BY 1, 2, 3, 4, 5, 6"
                ),
                {"run": made.id, "mine": f"work:{run}:%"},
            )
            charges[provider] = [tuple(row) for row in found]
    assert len(charges["city"]) == len(events)
    assert charges["city"] == charges["community"]


NEAR = st.tuples(
    st.sampled_from(
        [
            datetime(2026, 10, 1),  # noqa: DTZ001 - local
            datetime(2026, 11, 1),  # noqa: DTZ001
            datetime(2026, 11, 1, 2),  # noqa: DTZ001 - the clocks go back
            datetime(2026, 12, 1),  # noqa: DTZ001
        ]
    ),
    st.integers(-4 * 3600, 4 * 3600),
    st.integers(0, 1),
    st.decimals("0.01", 9, places=2),
)


@few
@given(done=st.lists(NEAR, min_size=1, max_size=8), cut=st.integers(0, 8 * 3600))
def test_periods_that_meet_have_each_quantity_once(region, done, cut):
    """Across midnights, ends of months and the hour that comes twice, however a month is cut.

    Of two prices that meet at a midnight each piece of work has the one of its own day.
    """
    run = next(region.numbers)
    activity, card = f"near-{run}", f"near-{run}"
    november = date(2026, 11, 1)
    region.agree(card, "city", "county", activity, rate_card_key=card)
    for key, valid in (("old", Range(None, november)), ("new", Range(november, None))):
        region.rate("city", f"{key}-{run}", activity, "1", card_key=card, valid=valid)
    expected = {}
    for base, seconds, fold, quantity in done:
        at = base.replace(tzinfo=ZONE, fold=fold).astimezone(UTC) + timedelta(seconds=seconds)
        local = at.astimezone(ZONE)
        event = region.use(
            "city",
            "county",
            at=(*local.timetuple()[:6],),
            fold=local.fold,
            activity=activity,
            quantity=quantity,
        )
        key = "old" if local.date() < november else "new"
        expected[event] = (quantity, f"{key}-{run}", Period.month_of(local.date()).label)
    found = {}
    with region.of("city") as session:
        for month in (9, 10, 11, 12):
            period = Period.of(2026, month)
            begins, ends = period.bounds(str(ZONE))
            whole = run_rating(session, period=period, now=datetime(2027, 1, 5, tzinfo=UTC))
            until = min(ends, begins + timedelta(days=29, seconds=cut))
            part = run_rating(
                session, period=period, now=datetime(2027, 1, 5, tzinfo=UTC), service_to=until
            )
            charges = {
                each.id: {
                    row.usage_event_id: (row.quantity, row.key, period.label)
                    for row in session.execute(
                        text(
                            "SELECT c.usage_event_id, c.quantity, r.key FROM charges c"
                            " JOIN rates r ON r.id = c.rate_id WHERE c.run_id = :run"
                            " AND r.card_key = :card"
                        ),
                        {"run": each.id, "card": card},
                    )
                }
                for each in (whole, part)
            }
            assert not found.keys() & charges[whole.id].keys()
            found |= charges[whole.id]
            before = session.scalars(
                text("SELECT id FROM usage_events WHERE activity = :a AND occurred_at < :until"),
                {"a": activity, "until": until},
            )
            assert charges[part.id].keys() == charges[whole.id].keys() & set(before)
    assert found == expected


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    price=st.decimals("0.0001", 50, places=4),
    work=st.lists(st.tuples(st.sampled_from(["phone", "web"]), st.booleans()), max_size=7),
    yearly=st.integers(0, 10**7),
    terms=st.sampled_from([{}, {"overhead_percent": "12.345"}, {"not_to_exceed_cents": 4_321}]),
)
def test_total_lines_payable_general_ledger_and_focus_are_one_amount(
    region, price, work, yearly, terms
):
    """On both sides, whatever was billed: each is summed by itself, and all are the same cents."""
    run = next(region.numbers)
    period = Period.of(2027 + run // 12 % 50, run % 12 + 1)
    key, begins = f"five-{run}", period.start_on
    said = {"due_days": 30, "number_prefix": "CITY"} | terms
    region.agree(
        key,
        "city",
        "county",
        "contact_handled",
        pool_key=key,
        rate_card_key=key,
        terms=said,
        valid=Range(begins, period.end_on),
    )
    rated = {"card_key": key, "surcharges": NIGHT, "valid": Range(begins, period.end_on)}
    region.rate("city", key, "contact_handled", price, **rated)
    fiscal = begins.year + (begins.month >= 7)
    region.pool("city", key, yearly, {"city": "33.33", "county": "66.67"}, fiscal_year=fiscal)
    for channel, late in work:
        at = (begins.year, begins.month, 3, 9)
        region.use("city", "county", at=at, channel=channel, after_hours=late)
    now = datetime(period.end_on.year, period.end_on.month, 3, 17, tzinfo=UTC)
    billed = bill_month(
        region.engine,
        region.tenants,
        period,
        preparer={region.tenants["city"]: region.preparer},
        approver={region.tenants["city"]: region.approver},
        now=now,
    )
    total = sum(bill.total_cents for bill in billed)
    for slug, side, account, sign in (
        ("city", "issued", "due_from_partners", 1),
        ("county", "received", "due_to_partners", -1),
    ):
        with region.of(slug) as session:
            lines = session.execute(
                text(
                    "SELECT coalesce(sum(l.amount_cents), 0)::bigint FROM statement_lines l"
                    " JOIN statements s ON s.id = l.statement_id WHERE s.period_key = :period"
                ),
                {"period": period.label},
            ).scalar_one()
            payable = session.execute(
                text(
                    "SELECT coalesce(sum(p.debit_cents - p.credit_cents), 0)::bigint"
                    " FROM postings p JOIN journal_entries e ON e.id = p.entry_id"
                    " WHERE p.account_key = :account AND e.service_period = :period"
                ),
                {"account": account, "period": period.label},
            ).scalar_one()
            in_focus = sum(
                Decimal(row["BilledCost"])
                for row in focus.charge_rows(session, side=side, period_key=period.label)
            )
            general = Decimal(0)
            if payable:
                session.execute(text("UPDATE accounts SET external_code = 'GL ' || key"))
                batch = make_batch(
                    session, layout_key="plain", through_period=period.label, now=now
                )
                sent = csv.DictReader(io.StringIO(content(session, batch).decode(), newline=""))
                general = sum(Decimal(row["amount"]) for row in sent if row["account"] == account)
        assert (lines, sign * payable, in_focus * 100, sign * general * 100) == (total,) * 4


def figures(region, slug):
    """Every figure that a partner sees of its own money, by name."""
    with region.of(slug) as session:
        return {
            "trial balance": ledger_queries.trial_balance(session),
            "balances": ledger_queries.partner_balances(session),
            "by age": ledger_queries.aged_balances(session, date(2026, 12, 31)),
            "usage": usage_by_state(session, "2026-10"),
            "issued": list(focus.charge_rows(session)),
            "received": list(focus.charge_rows(session, side="received")),
            "open": settlement.documents(session, date(2026, 12, 31)),
        }


def test_no_figure_of_a_partner_holds_anything_of_others(region):
    """Whatever the others bill one another: sums are of one's own rows, to the cent."""
    pairs = [("city", "county"), ("county", "city"), ("city", "community"), ("community", "city")]
    for provider, payer in pairs:
        region.agree(f"{provider}-{payer}", provider, payer, "contact_handled")
    for provider in ("city", "county", "community"):
        region.rate(provider, "contact", "contact_handled", "4.905")
    for provider, payer in pairs[:2]:
        region.use(provider, payer)
        _, drafts = rate_and_draft(region, provider)
        through(region, provider, drafts)
    before = figures(region, "county")
    assert all(before.values())
    for provider, payer in pairs[2:]:
        for _ in range(3):
            region.use(provider, payer, service_key="shelter")
        _, drafts = rate_and_draft(region, provider)
        through(region, provider, drafts)
    assert figures(region, "county") == before
    assert figures(region, "city") != before
    region.use("county", "community")
    region.agree("county-community", "county", "community", "contact_handled")
    _, drafts = rate_and_draft(region, "county")
    through(region, "county", drafts)
    after = figures(region, "county")
    changed = {name for name in after if after[name] != before[name]}
    assert changed >= {"trial balance", "balances", "usage", "issued", "open"}
    assert after["received"] == before["received"]


def test_a_part_of_no_cents_makes_no_line_and_no_posting(region):
    """Source: the specification's worked split: 0.01 by 95 and 5 is 0.01 and 0.00."""
    for payer in ("county", "community"):
        region.agree(f"city-{payer}", "city", payer, pool_key="cent")
    region.pool("city", "cent", 12, {"county": 95, "community": 5})
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    statements = rows(region, "city", "SELECT counterparty_id, total_cents FROM statements")
    assert [tuple(row) for row in statements] == [(region.tenants["county"], 1)]
    assert rows(region, "community", "SELECT 1 FROM statements") == []
    legs = rows(region, "city", "SELECT counterparty_id, debit_cents, credit_cents FROM postings")
    assert {row.counterparty_id for row in legs} <= {region.tenants["county"], None}
    assert Counter((row.debit_cents, row.credit_cents) for row in legs) == {(1, 0): 1, (0, 1): 1}
    assert rows(region, "community", "SELECT 1 FROM journal_entries") == []


def test_late_work_of_a_closed_year_is_billed_and_enters_no_closed_month(region):
    """The year is closed in both books; what comes in then is booked in the first open month."""
    region.agree("city-county", "city", "county", "contact_handled")
    region.rate("city", "contact", "contact_handled", "10")
    region.use("city", "county")
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    later = datetime(2027, 7, 6, 17, tzinfo=UTC)
    for slug in ("city", "county"):
        with region.of(slug, region.preparer) as session:
            close_period(session, "2026-10", now=later)
    closed = {
        slug: rows(
            region,
            slug,
            "SELECT count(*), sum(debit_cents) FROM postings p JOIN journal_entries e"
            " ON e.id = p.entry_id WHERE e.period_key = '2026-10'",
        )
        for slug in ("city", "county")
    }
    region.use("city", "county", at=(2026, 10, 9, 9), received_at=later - timedelta(days=1))
    with region.of("city", region.preparer) as session:
        drafts = draft_corrections(session, OCTOBER, now=later)
    with region.of("city", region.preparer) as session:
        billing.submit(session, drafts[0], now=later)
    with region.of("city", region.approver) as session:
        billing.approve(session, drafts[0], now=later)
    with region.of("city", region.preparer) as session:
        billing.issue(session, drafts[0], now=later)
    for slug in ("city", "county"):
        entries = rows(
            region,
            slug,
            "SELECT period_key, service_period FROM journal_entries ORDER BY id DESC LIMIT 1",
        )
        assert [tuple(row) for row in entries] == [("2026-11", "2026-10")]
        now_closed = rows(
            region,
            slug,
            "SELECT count(*), sum(debit_cents) FROM postings p JOIN journal_entries e"
            " ON e.id = p.entry_id WHERE e.period_key = '2026-10'",
        )
        assert now_closed == closed[slug]
    checks = check_region(region.engine, region.tenants)
    assert [problem.message for check in checks for problem in check.problems] == []


def test_the_same_fact_recorded_by_many_at_once_is_there_once(region):
    """Whoever comes second changes nothing, and has the same answer when it asks again."""
    usage = Usage(
        source_key="contact:7:handled:1",
        activity="contact_handled",
        channel="phone",
        occurred_at=NOW,
        received_at=NOW,
        booked_on=NOW.date(),
    )
    together, answers = threading.Barrier(4), []

    def tell():
        together.wait()
        try:
            with region.of("city") as session:
                first = record(session, usage)
        except IntegrityError:
            first = None
        answers.append(first)

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(answers), answers.count(True)) == (4, 1)
    with region.of("city") as session:
        assert record(session, usage) is False
        with pytest.raises(KeyReused):
            record(session, replace(usage, handle_seconds=1))
    assert len(rows(region, "city", "SELECT 1 FROM usage_events")) == 1
