from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError

from regional311.calendars import Period, fiscal_year
from regional311.chargeback.billing import draft_statements
from regional311.chargeback.charge_models import Done, Tariff
from regional311.chargeback.checks import check_partner
from regional311.chargeback.models import Agreement
from regional311.chargeback.pricing import case_of, price_work
from regional311.chargeback.rates import Price, Scope, Work, resolve, units
from regional311.chargeback.rating import CutOffsReversed, run_rating
from regional311.database.ids import new_id
from regional311.database.rows import put

pytestmark = pytest.mark.commits

OCTOBER = Period.of(2026, 10)
NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
PORTLAND = ZoneInfo("America/Los_Angeles")


def rated(region, provider="city", **cut_offs):
    """Rate October and return each event's charge."""
    with region.of(provider) as session:
        run = run_rating(session, period=OCTOBER, now=NOW, **cut_offs)
        found = session.execute(
            text(
                "SELECT c.usage_event_id, c.state, c.price, c.amount, c.payer_id, r.key"
                " FROM charges c LEFT JOIN rates r ON r.id = c.rate_id"
                " WHERE c.tenant_id = :tenant AND c.run_id = :run"
            ),
            {"tenant": region.tenants[provider], "run": run.id},
        ).all()
    slugs = {tenant_id: slug for slug, tenant_id in region.tenants.items()}
    return run, {row[0]: (row.state, slugs[row.payer_id], row.key, row.amount) for row in found}


def test_each_state_has_its_name(region):
    region.agree("city-county", "city", "county", "contact_handled")
    region.rate("city", "phone", "contact_handled", "4.90", channel="phone")
    events = {
        "rated": region.use("city", "county"),
        "no rate": region.use("city", "county", channel="chat"),
        "no agreement": region.use("city", "community"),
        "activity not agreed": region.use("city", "county", activity="warm_transfer"),
        "own": region.use("city", "city"),
        "nobody's": region.use("city"),
    }
    run, charges = rated(region)
    assert {name: charges[event] for name, event in events.items()} == {
        "rated": ("rated", "county", "phone", Decimal("4.9")),
        "no rate": ("unrated", "county", None, None),
        "no agreement": ("no_agreement", "community", None, None),
        "activity not agreed": ("no_agreement", "county", None, None),
        "own": ("excluded", "city", None, None),
        "nobody's": ("excluded", "city", None, None),
    }
    assert run.counts == {"rated": 1, "unrated": 1, "no_agreement": 2, "excluded": 2}


def test_lent_minutes_are_priced_as_such_and_paid_by_whose_line_it_is(region):
    region.agree("city-county", "city", "county", "lent_minute", rule="line_owner")
    region.rate("city", "lent", "lent_minute", "0.80", unit="minute")
    lent = region.use(
        "city",
        "county",
        activity="lent_minute",
        quantity=Decimal(40),
        handle_seconds=0,
        line_owner="county",
        contact_id=None,
        service_key=None,
    )
    handled = region.use("city", "county", line_owner="county")
    _, charges = rated(region)
    assert charges[lent] == ("rated", "county", "lent", Decimal(32))
    # the contact is work of its own, and not part of what was lent
    assert charges[handled][0] == "no_agreement"


@pytest.mark.parametrize(
    ("rule", "party"),
    [
        ("service_owner", None),
        ("jurisdiction", "jurisdiction"),
        ("referrer", "referrer"),
        ("line_owner", "line_owner"),
    ],
)
def test_the_payer_is_whom_the_rule_of_the_agreement_names(region, rule, party):
    region.agree("city-county", "city", "county", "contact_handled", rule=rule)
    region.rate("city", "any", "contact_handled", "1")
    owner = "county" if party is None else "city"
    named = region.use("city", owner, **({} if party is None else {party: "county"}))
    other = region.use("city", "city")
    _, charges = rated(region)
    assert charges[named][:2] == ("rated", "county")
    assert charges[other][:2] == ("excluded", "city")


def test_only_the_region_can_make_an_agreement(region):
    region.rate("city", "any", "contact_handled", "1")
    with region.of("city") as session:
        put(
            session,
            Agreement(
                tenant_id=region.tenants["city"],
                id=new_id(),
                key="ours",
                version=1,
                name="Ours alone",
                provider_id=region.tenants["city"],
                payer_id=region.tenants["county"],
                activities=["contact_handled"],
                payer_rule="service_owner",
                rate_card_key="card",
                pool_key=None,
                valid=Range(date(2026, 1, 1), None),
                terms={},
            ),
        )
    event = region.use("city", "county")
    _, charges = rated(region)
    assert charges[event][0] == "no_agreement"


def test_prices_and_agreements_change_on_local_days(region):
    first, second = date(2026, 10, 15), date(2026, 10, 20)
    region.agree("city-county", "city", "county", "contact_handled", valid=Range(first, None))
    region.rate("city", "old", "contact_handled", "1", valid=Range(first, second))
    region.rate("city", "new", "contact_handled", "2", valid=Range(second, None))
    before = region.use("city", "county", at=(2026, 10, 14, 23, 59, 59))
    old = region.use("city", "county", at=(2026, 10, 19, 23, 59, 59))
    new = region.use("city", "county", at=(2026, 10, 20, 0))
    _, charges = rated(region)
    assert [charges[event][2] for event in (before, old, new)] == [None, "old", "new"]
    assert charges[before][0] == "no_agreement"


def test_a_rate_corrected_later_does_not_change_what_was_known(region):
    region.agree("city-county", "city", "county", "contact_handled")
    monday, tuesday = NOW, NOW + timedelta(days=1)
    region.rate("city", "phone", "contact_handled", "1", recorded=Range(None, tuesday))
    region.rate("city", "phone", "contact_handled", "2", recorded=Range(tuesday, None))
    event = region.use("city", "county")
    first, before = rated(region, stored_before=monday)
    _, at = rated(region, stored_before=tuesday)
    _, after = rated(region, stored_before=tuesday + timedelta(seconds=1))
    again, once_more = rated(region, stored_before=monday)
    assert [found[event][3] for found in (before, at, after, once_more)] == [1, 1, 2, 1]
    assert first.digest == again.digest


def test_two_rates_for_one_instant_are_refused(region):
    region.rate("city", "one", "contact_handled", "1")
    with pytest.raises(IntegrityError, match="ex_rates_one_an_instant"):
        region.rate("city", "two", "contact_handled", "2", valid=Range(date(2027, 1, 1), None))


def test_cut_offs_bound_what_was_done_and_what_had_come_in(region):
    region.agree("city-county", "city", "county", "contact_handled")
    region.rate("city", "any", "contact_handled", "1")
    in_time = region.use("city", "county")
    late = region.use("city", "county", received_at=NOW)
    last = region.use("city", "county", at=(2026, 10, 31, 23, 59, 59))
    _, charges = rated(region)
    assert set(charges) == {in_time, last}
    _, charges = rated(region, stored_before=NOW + timedelta(microseconds=1))
    assert set(charges) == {in_time, late, last}
    half = datetime(2026, 10, 16, tzinfo=PORTLAND)
    _, charges = rated(region, service_to=half)
    assert set(charges) == {in_time}
    for wrong in (datetime(2026, 10, 1, tzinfo=PORTLAND), datetime(2026, 11, 2, tzinfo=PORTLAND)):
        with pytest.raises(CutOffsReversed):
            rated(region, service_to=wrong)


def test_a_month_without_work_makes_an_empty_run(region):
    run, charges = rated(region)
    assert charges == {}
    assert run.counts == {"rated": 0, "unrated": 0, "no_agreement": 0, "excluded": 0}


def test_a_bureau_pays_for_its_own_work_and_partners_come_first(region):
    region.agree("bureaus", "city", "city", "contact_handled", payer_kind="bureau")
    region.agree(
        "a-water", "city", "city", "contact_handled", payer_kind="bureau", payer_key="water"
    )
    region.agree(
        "zoo",
        "city",
        "city",
        "contact_handled",
        payer_kind="outside",
        payer_key="zoo",
        terms={"services": ["elephants"]},
    )
    region.agree(
        "line",
        "city",
        "county",
        "contact_handled",
        rule="line_owner",
        terms={"services": ["potholes"]},
    )
    region.rate("city", "any", "contact_handled", "1")
    events = {
        "a bureau": region.use("city", "city", bureau_key="parks"),
        "one bureau's agreement": region.use("city", "city", bureau_key="water"),
        "no bureau": region.use("city", "city"),
        "outside": region.use("city", "city", bureau_key="parks", service_key="elephants"),
        "partner first": region.use(
            "city", "city", bureau_key="parks", service_key="potholes", line_owner="county"
        ),
        "partner, another service": region.use(
            "city", "city", bureau_key="parks", service_key="sewers", line_owner="county"
        ),
    }
    with region.of("city") as session:
        run = run_rating(session, period=OCTOBER, now=NOW)
        found = {
            row.usage_event_id: (row.state, row.payer_kind, row.payer_key, row.line_key)
            for row in session.execute(
                text("SELECT * FROM charges WHERE run_id = :run"), {"run": run.id}
            )
        }
        for row in session.execute(text("SELECT * FROM usage_events")):
            told = price_work(session, case_of(row, PORTLAND))
            assert (told.state, told.payer_kind, told.payer_key) == found[row.id][:3]
    said = {name: found[event] for name, event in events.items()}
    assert said["a bureau"][:3] == ("rated", "bureau", "parks")
    assert said["one bureau's agreement"][:3] == ("rated", "bureau", "water")
    assert said["one bureau's agreement"][3].startswith("a-water/water|contact_handled|")
    assert said["no bureau"][:3] == ("excluded", "partner", None)
    assert said["outside"][:3] == ("rated", "outside", "zoo")
    assert said["partner first"][:3] == ("rated", "partner", None)
    assert said["partner, another service"][:3] == ("rated", "bureau", "parks")
    assert said["a bureau"][3].startswith("bureaus/parks|")


def test_quarters_and_fiscal_years_are_rated_like_months(region):
    region.agree("city-county", "city", "county", "contact_handled")
    region.rate("city", "any", "contact_handled", "1")
    for month in (7, 9, 10):
        region.use("city", "county", at=(2026, month, 30, 12))
    quarter = Period(date(2026, 7, 1), date(2026, 10, 1))
    year = fiscal_year(date(2026, 10, 5))
    with region.of("city") as session:
        runs = [run_rating(session, period=period, now=NOW) for period in (quarter, year, OCTOBER)]
    assert [run.counts["rated"] for run in runs] == [2, 3, 1]
    assert [run.number for run in runs] == [1, 1, 1]
    assert runs[0].period_key == quarter.label


def test_a_closed_version_of_the_same_instant_was_never_known(region):
    region.agree("city-county", "city", "county", "contact_handled")
    region.rate("city", "gone", "contact_handled", "1", recorded=Range(NOW, NOW))
    event = region.use("city", "county")
    assert rated(region)[1][event][0] == "unrated"


LAGO = {
    "tiers": [
        {"up_to": "2", "price": "10", "flat": "2"},
        {"up_to": "4.5", "price": "5", "flat": "3"},
        {"price": "1.25"},
    ]
}
TARIFFS = st.builds(
    lambda model, surcharges, phases: {
        "model": model[0],
        "steps": model[1],
        "surcharges": surcharges,
        "phases": phases,
    },
    st.sampled_from(
        [
            ("unit", None),
            ("unit", None),
            ("graduated", LAGO),
            ("volume", LAGO),
            ("package", {"size": "2", "free": "1"}),
            ("percentage", {"floor": "0.5", "cap": "1.5"}),
            ("percentage", {}),
        ]
    ),
    st.sampled_from(
        [
            [],
            [{"key": "night", "hours": "after", "percent": "25"}],
            [
                {"key": "es", "languages": ["es"], "amount": "0.4"},
                {"key": "night", "hours": "business", "languages": ["es", "en"], "percent": "7.5"},
            ],
        ]
    ),
    st.sampled_from(
        [
            [],
            [
                {"from": "2026-07-01", "percent": "16.667"},
                {"from": "2026-10-10", "percent": "33.333"},
            ],
        ]
    ),
)
PRICES = st.lists(
    st.tuples(
        st.builds(
            Scope,
            st.just("card"),
            st.just("contact_handled"),
            st.sampled_from([None, "pothole", "shelter"]),
            st.sampled_from([None, "en", "es"]),
            st.sampled_from([None, "phone", "web"]),
            st.sampled_from(["any", "business", "after"]),
        ),
        st.decimals("0.0001", "99", places=4),
        st.sampled_from(["each", "minute"]),
        st.sampled_from([date(2026, 7, 1), date(2026, 10, 10)]),
        TARIFFS,
    ),
    max_size=6,
    unique_by=lambda price: price[0],
)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "owner": st.sampled_from([None, "city", "county", "community"]),
            "service_key": st.sampled_from([None, "pothole", "shelter"]),
            "language": st.sampled_from(["en", "es"]),
            "channel": st.sampled_from(["phone", "web"]),
            "after_hours": st.booleans(),
            "handle_seconds": st.integers(0, 1000),
            "quantity": st.sampled_from([Decimal(1), Decimal(-1), Decimal("2.5"), Decimal(30)]),
            "at": st.sampled_from(
                [(2026, 10, 1, 0), (2026, 10, 9, 23), (2026, 10, 10, 0), (2026, 10, 31, 23)]
            ),
        }
    ),
    max_size=8,
)


MIXED = text("""
SELECT line_key FROM charges WHERE run_id = :run AND state = 'rated' GROUP BY payer_id, line_key
HAVING count(DISTINCT rate_id) > 1 OR count(DISTINCT agreement_id) > 1
    OR count(DISTINCT coalesce(price, -1)) > 1
""")


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(prices=PRICES, events=EVENTS)
def test_every_event_becomes_one_charge_and_as_the_pure_rules_price_it(region, prices, events):
    card = f"card-{next(region.numbers)}"
    activity = f"activity-{card}"
    region.agree(f"agreement-{card}", "city", "county", activity, rate_card_key=card)
    pure = []
    for number, (scope, amount, unit, start, tariff) in enumerate(prices):
        region.rate(
            "city",
            f"rate-{number}",
            activity,
            amount,
            card_key=card,
            service_key=scope.service,
            language=scope.language,
            channel=scope.channel,
            hours=scope.hours,
            unit=unit,
            valid=Range(start, None),
            **tariff,
        )
        mine = Scope(card, activity, scope.service, scope.language, scope.channel, scope.hours)
        pure.append(
            Price(f"rate-{number}", mine, amount, start, None, unit, Tariff.of(amount, **tariff))
        )
    expected = {}
    priced = defaultdict(list)
    for number, event in enumerate(events):
        key = f"{card}:{number}"
        event_id = region.use("city", activity=activity, source_key=key, **event)
        work = Work(
            activity,
            event["channel"],
            event["language"],
            event["after_hours"],
            event["service_key"],
            date(*event["at"][:3]),
        )
        price = resolve(pure, card, work) if event["owner"] == "county" else None
        if event["owner"] in (None, "city"):
            expected[event_id] = ("excluded", "city", None, None)
        elif event["owner"] == "community":
            expected[event_id] = ("no_agreement", "community", None, None)
        elif price is None:
            expected[event_id] = ("unrated", "county", None, None)
        else:
            counted = units(price.unit, event["quantity"], event["handle_seconds"])
            done = Done(counted, event["language"], event["after_hours"], work.done_on)
            order = (event["at"], event["after_hours"], event["language"], -counted, key)
            priced[price].append((order, event_id, done))
    for price, together in priced.items():
        # of the same instant: by what changes the price, and not by what came in first
        together.sort(key=lambda one: one[0])
        amounts = price.tariff.charges([done for *_, done in together])
        for (_, event_id, _), amount in zip(together, amounts, strict=True):
            expected[event_id] = ("rated", "county", price.key, amount)
    first, charges = rated(region)
    assert {event: charges[event] for event in expected} == expected
    second, _ = rated(region)
    assert second.digest == first.digest
    with region.of("city") as session:
        assert not session.execute(MIXED, {"run": first.id}).all()
        for row in session.execute(text("SELECT * FROM usage_events")):
            if row.id not in expected:
                continue
            told = price_work(session, case_of(row, PORTLAND))
            assert told.state == expected[row.id][0]
            if told.state == "rated" and not told.rate.tariff.is_ladder:
                assert (told.rate.key, told.amount) == expected[row.id][2:]
        assert all(check.holds for check in check_partner(session))


@pytest.mark.parametrize("model", ["graduated", "volume"])
@pytest.mark.parametrize(
    ("recorded", "really", "total"), [(False, True, "13.5"), (True, False, "12")]
)
def test_corrected_work_on_a_ladder_comes_to_what_it_really_was(
    region, recorded, really, total, model
):
    """It is taken back and recorded anew at its instant, whatever the keys of the three are."""
    region.agree("city-county", "city", "county", "warm_transfer")
    night = [{"key": "night", "hours": "after", "percent": "12.5"}]
    steps = {"tiers": [{"up_to": "1", "price": "10", "flat": "2"}, {"price": "5"}]}
    told = {"model": model, "steps": steps, "surcharges": night}
    region.rate("city", "ladder", "warm_transfer", "10", **told)
    for key, after_hours, quantity in (
        ("contact:1:transfer:7", recorded, 1),
        ("contact:1:transfer:7:2", really, 1),
        ("contact:1:transfer:7:reversed", recorded, -1),
    ):
        region.use(
            "city",
            "county",
            activity="warm_transfer",
            source_key=key,
            after_hours=after_hours,
            quantity=Decimal(quantity),
        )
    _, charges = rated(region)
    assert sum(amount for *_, amount in charges.values()) == Decimal(total)


def test_a_ladder_is_one_line_whose_pieces_sum_to_it(region):
    """Source: Lago's graduated example, 12 units over two channels."""
    region.agree("city-county", "city", "county", "contact_handled")
    steps = {
        "tiers": [
            {"up_to": "10", "price": "10", "flat": "2"},
            {"up_to": "20", "price": "5", "flat": "3"},
            {"price": "5", "flat": "3"},
        ]
    }
    region.rate("city", "tiers", "contact_handled", "10", model="graduated", steps=steps)
    for number in range(12):
        region.use("city", "county", channel="phone" if number % 2 else "web")
    with region.of("city", region.preparer) as session:
        run = run_rating(session, period=OCTOBER, now=NOW)
        (statement,) = draft_statements(session, run.id, now=NOW)
        lines = session.execute(
            text(
                "SELECT id, price, quantity, amount_cents FROM statement_lines"
                " WHERE statement_id = :statement"
            ),
            {"statement": statement},
        ).all()
        assert [(line.price, line.quantity, line.amount_cents) for line in lines] == [
            (None, 12, 11500)
        ]
        leaves = session.scalars(
            text("SELECT amount FROM statement_items WHERE line_id = :line"), {"line": lines[0].id}
        ).all()
    assert (len(leaves), sum(leaves), max(leaves)) == (12, 115, 12)
