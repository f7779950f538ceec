from __future__ import annotations

import doctest
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.chargeback import charge_models
from regional311.chargeback.charge_models import (
    BadTariff,
    Done,
    Tariff,
    Tier,
    graduated,
    packages,
    shortfall,
    tier_of,
    volume,
)

DAY = date(2026, 10, 5)
LAGO = {
    "tiers": [
        {"up_to": "10", "price": "10", "flat": "2"},
        {"up_to": "20", "price": "5", "flat": "3"},
        {"price": "5", "flat": "3"},
    ]
}
FALLING = {"tiers": [{"up_to": "15", "price": "10"}, {"price": "5"}]}


def done(units, language="en", after_hours=False, on=DAY):
    return Done(Decimal(units), language, after_hours, on)


def tariff(amount="10", *args, **kwargs):
    return Tariff.of(Decimal(amount), *args, **kwargs)


def test_docstring_examples_hold():
    assert doctest.testmod(charge_models).failed == 0


@pytest.mark.parametrize(
    ("quantity", "cost"), [(0, 2), (1, 12), (10, 102), (11, 110), (12, 115), (21, 163)]
)
def test_graduated_as_lago_publishes_it(quantity, cost):
    """Source: Lago, graduated charge model: 0-10 at 10 and 2, 11-20 at 5 and 3, 21 on the same."""
    assert tariff("10", "graduated", LAGO).total(Decimal(quantity)) == cost


def test_volume_as_published():
    """Source: Lago, volume charge model: 65,000 units at 0.0006 and a flat fee of 10."""
    steps = {
        "tiers": [
            {"up_to": "10000", "price": "0.0010", "flat": "10"},
            {"price": "0.0006", "flat": "10"},
        ]
    }
    assert tariff("0.001", "volume", steps).total(Decimal(65000)) == 49


def test_package_as_published():
    """Source: Lago, package charge model: 5 for each 100 after 100 free units, 201 used."""
    package = tariff("5", "package", {"size": "100", "free": "100"})
    assert package.total(Decimal(201)) == 10
    assert [package.total(Decimal(q)) for q in (0, 100, 101, 200)] == [0, 0, 5, 5]


def test_minimum_as_published():
    """Source: the specification's minimum: used 50 of an agreed 100, true-up 50."""
    assert shortfall(Decimal(50), Decimal(100)) == 50
    assert shortfall(Decimal(150), Decimal(100)) == 0


def test_rerating_units_and_a_volume_as_published():
    """Source: the specification's re-rating: 5 to 8 units at 10, and 15 at 10 to 16 at 5."""
    flat = tariff("10")
    assert flat.total(Decimal(8)) - flat.total(Decimal(5)) == 30
    falling = tariff("10", "volume", FALLING)
    assert -falling.total(Decimal(15)) == -150
    assert falling.total(Decimal(16)) == 80


def test_phases_in_over_years_as_in_dakota_county():
    """Source: Dakota County's dispatch agreement: 16.667 %, 33.333 %, 50 % as exact numbers."""
    phased = tariff(
        "6",
        phases=[
            {"from": "2026-07-01", "percent": "16.667"},
            {"from": "2027-07-01", "percent": "33.333"},
            {"from": "2028-07-01", "percent": "50"},
        ],
    )
    assert [
        phased.unit_price("en", False, on)
        for on in (
            date(2026, 6, 30),
            date(2026, 7, 1),
            date(2027, 6, 30),
            date(2027, 7, 1),
            date(2028, 7, 1),
        )
    ] == [
        6,
        Decimal("1.00002"),
        Decimal("1.00002"),
        Decimal("1.99998"),
        3,
    ]


def test_surcharges_add_to_the_price_and_do_not_compound():
    night = tariff(
        "4.90",
        surcharges=[
            {"key": "night", "hours": "after", "percent": "25"},
            {"key": "spanish", "languages": ["es", "vi"], "amount": "0.40"},
            {"key": "night-vi", "hours": "after", "languages": ["vi"], "percent": "10"},
        ],
    )
    assert night.unit_price("en", False, DAY) == Decimal("4.90")
    assert night.unit_price("en", True, DAY) == Decimal("6.125")
    assert night.unit_price("es", False, DAY) == Decimal("5.30")
    assert night.unit_price("vi", True, DAY) == Decimal("7.015")


def test_a_percentage_keeps_its_floor_and_cap_for_each_piece_of_work():
    share = tariff("10", "percentage", {"floor": "1", "cap": "5"})
    works = [done(units) for units in ("3", "30", "300", "-300", "-3")]
    assert share.charges(works) == [1, 3, 5, -5, -1]
    assert tariff("10", "percentage", {}).charges(works[2:3]) == [30]


def test_what_a_piece_of_work_costs_is_what_it_adds():
    ladder = tariff("10", "graduated", LAGO)
    assert ladder.charges([done(9), done(2), done(-2), done(1)]) == [92, 18, -18, 10]
    assert ladder.charges([done(1), done(-1)]) == [12, -12]
    falling = tariff("10", "volume", {"tiers": [{"up_to": "3", "price": "10"}, {"price": "5"}]})
    assert falling.charges([done(2), done(2)]) == [10, 10]
    assert falling.charges([done(2), done(2), done(-1)]) == [20, 20, -10]
    package = tariff("5", "package", {"size": "2", "free": "1"})
    assert package.charges([done(1), done(1), done(1), done(1), done(-1)]) == [0, 5, 0, 5, -5]


def test_volume_puts_the_flat_fee_on_the_first_piece():
    steps = {"tiers": [{"price": "2", "flat": "10"}]}
    assert tariff("2", "volume", steps).charges([done(1), done(3)]) == [12, 6]
    assert tariff("2", "volume", steps).charges([done(1), done(-1)]) == [12, -12]
    assert tariff("2", "volume", steps).charges([done(1), done(-1), done(3)]) == [12, -12, 16]


def test_surcharges_and_phases_apply_to_each_piece_of_a_ladder():
    ladder = tariff(
        "10",
        "graduated",
        LAGO,
        surcharges=[
            {"key": "night", "hours": "after", "percent": "50"},
            {"key": "es", "languages": ["es"], "amount": "1"},
        ],
        phases=[{"from": "2026-10-06", "percent": "50"}],
    )
    assert ladder.charges(
        [
            done(1),
            done(1, after_hours=True),
            done(2, "es"),
            done(1, on=DAY + timedelta(days=1)),
        ]
    ) == [12, 15, 22, 5]


MONEY = st.decimals(0, 100, places=4)
UNITS = st.decimals(0, 50, places=2)
STEPS = st.lists(st.tuples(st.decimals("0.01", 20, places=2), MONEY, MONEY), min_size=1, max_size=5)


@st.composite
def tiers(draw):
    found, top = [], Decimal(0)
    for width, price, flat in draw(STEPS):
        top += width
        found.append(Tier(top, price, flat))
    return [*found[:-1], Tier(None, found[-1].price, found[-1].flat)]


def as_steps(found):
    return {
        "tiers": [
            {"price": f"{tier.price:f}", "flat": f"{tier.flat:f}"}
            | ({} if tier.up_to is None else {"up_to": f"{tier.up_to:f}"})
            for tier in found
        ]
    }


@settings(max_examples=100, deadline=None)
@given(tiers(), UNITS, st.decimals("0.01", 60, places=2))
def test_graduated_tiers_are_additive_at_any_cut(found, quantity, cut):
    """A tier cut in two costs the same: the second part has the price and no fee of its own."""
    halves = []
    below = Decimal(0)
    for tier in found:
        if cut > below and (tier.up_to is None or cut < tier.up_to):
            halves += [Tier(cut, tier.price, tier.flat), Tier(tier.up_to, tier.price)]
        else:
            halves.append(tier)
        below = tier.up_to or below
    assert graduated(halves, quantity) == graduated(found, quantity)


@settings(max_examples=100, deadline=None)
@given(tiers(), st.lists(UNITS, min_size=1, max_size=6))
def test_pieces_of_graduated_and_package_work_sum_to_the_whole(found, quantities):
    whole = sum(quantities)
    works = [done(quantity) for quantity in quantities]
    for one in (
        tariff("1", "graduated", as_steps(found)),
        tariff("1.25", "package", {"size": "7", "free": "3"}),
    ):
        assert sum(one.charges(works)) == (one.total(whole) if whole else 0)
    many = tariff("1", "volume", as_steps(found))
    assert abs(sum(many.charges(works)) - (many.total(whole) if whole else 0)) < Decimal("0.00001")


@settings(max_examples=100, deadline=None)
@given(
    tiers(),
    st.sampled_from(["graduated", "volume", "package", "percentage", "unit"]),
    st.lists(st.tuples(UNITS, st.sampled_from(["en", "es"]), st.booleans()), max_size=5),
)
def test_reversing_everything_in_reverse_order_leaves_nothing(found, model, said):
    steps = {
        "unit": None,
        "package": {"size": "3", "free": "1"},
        "percentage": {"floor": "0.5"},
    }.get(model, as_steps(found))
    one = tariff(
        "1.5",
        model,
        steps,
        surcharges=[{"key": "es", "languages": ["es"], "percent": "12.5"}],
        phases=[{"from": "2026-07-01", "percent": "33.333"}],
    )
    works = [done(*each) for each in said]
    back = [done(-each[0], *each[1:]) for each in reversed(said)]
    costs = one.charges(works + back)
    assert costs[len(works) :] == [-cost for cost in reversed(costs[: len(works)])]


@given(tiers(), UNITS)
def test_one_tier_prices_a_volume(found, quantity):
    tier = tier_of(found, quantity)
    assert volume(found, quantity) == tier.price * quantity + tier.flat
    assert tier.up_to is None or quantity <= tier.up_to
    assert packages(quantity, Decimal(5), Decimal(0)) * 5 >= quantity


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"model": "cheap"}, "model"),
        ({"steps": {}}, "steps"),
        ({"model": "graduated"}, "steps"),
        ({"model": "graduated", "steps": {}}, "steps.tiers"),
        ({"model": "graduated", "steps": {"tiers": []}}, "steps.tiers"),
        ({"model": "graduated", "steps": {"tiers": ["x"]}}, "steps.tiers[1]"),
        ({"model": "volume", "steps": {"tiers": [{"price": 1}]}}, "steps.tiers[1].price"),
        ({"model": "volume", "steps": {"tiers": [{"price": "1e3"}]}}, "steps.tiers[1].price"),
        ({"model": "volume", "steps": {"tiers": [{"price": "1.1234567"}]}}, "steps.tiers[1].price"),
        ({"model": "volume", "steps": {"tiers": [{"price": "NaN"}]}}, "steps.tiers[1].price"),
        (
            {"model": "volume", "steps": {"tiers": [{"price": "1", "up_to": "5"}]}},
            "steps.tiers[1].up_to",
        ),
        (
            {"model": "volume", "steps": {"tiers": [{"price": "1"}, {"price": "1"}]}},
            "steps.tiers[1].up_to",
        ),
        (
            {
                "model": "volume",
                "steps": {
                    "tiers": [
                        {"price": "1", "up_to": "5"},
                        {"price": "1", "up_to": "5"},
                        {"price": "1"},
                    ]
                },
            },
            "steps.tiers[2].up_to",
        ),
        ({"model": "volume", "steps": {"tiers": [{"price": "1", "x": 1}]}}, "steps.tiers[1].x"),
        ({"model": "package", "steps": {"size": "0"}}, "steps.size"),
        ({"model": "package", "steps": {"size": "5", "tiers": []}}, "steps.tiers"),
        ({"model": "percentage", "steps": {"floor": "2", "cap": "1"}}, "steps.floor"),
        ({"surcharges": "x"}, "surcharges"),
        ({"surcharges": ["x"]}, "surcharges[1]"),
        ({"surcharges": [{"key": "A B", "hours": "after", "amount": "1"}]}, "surcharges[1].key"),
        ({"surcharges": [{"key": "a", "hours": "late", "amount": "1"}]}, "surcharges[1].hours"),
        (
            {"surcharges": [{"key": "a", "languages": "es", "amount": "1"}]},
            "surcharges[1].languages",
        ),
        ({"surcharges": [{"key": "a", "amount": "1"}]}, "surcharges[1].hours"),
        ({"surcharges": [{"key": "a", "hours": "after"}]}, "surcharges[1].percent"),
        ({"surcharges": [{"key": "a", "hours": "after", "amount": "0"}]}, "surcharges[1].amount"),
        ({"surcharges": [{"key": "a", "hours": "after", "amount": "1"}] * 2}, "surcharges[2].key"),
        ({"phases": "x"}, "phases"),
        ({"phases": ["x"]}, "phases[1]"),
        ({"phases": [{"from": "soon", "percent": "1"}]}, "phases[1].from"),
        ({"phases": [{"from": 5, "percent": "1"}]}, "phases[1].from"),
        ({"phases": [{"from": "2026-07-01", "percent": "101"}]}, "phases[1].percent"),
        ({"phases": [{"from": "2026-07-01", "percent": "1"}] * 2}, "phases[2].from"),
    ],
)
def test_a_tariff_that_cannot_be_read_names_the_place(said, field):
    with pytest.raises(BadTariff) as wrong:
        tariff("1", **said)
    assert wrong.value.field == field
