"""The four methods: published examples, what they refuse, and what holds for every case."""

from __future__ import annotations

import doctest
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.allocation import methods
from regional311.allocation.methods import (
    METHODS,
    BadCase,
    Case,
    ClosedGroup,
    Pool,
    Target,
    allocate,
    capped_split,
    to_whole_cents,
)


def test_docstring_examples_hold():
    assert doctest.testmod(methods).failed == 0


# Published examples


def lumen():
    """Lumen, Managerial Accounting 14.2: Maintenance first, then Administration."""
    return Case(
        (
            Pool(
                "Maintenance",
                8_000_00,
                {"Administration": 2000, "Machining": 1500, "Assembly": 2500},
            ),
            Pool("Administration", 4_000_00, {"Machining": 250, "Assembly": 150}),
        ),
        (Target("Machining", 32_000_00), Target("Assembly", 36_000_00)),
    )


def horngren():
    """Horngren, Cost Accounting, 14th edition, Exhibit 15-4."""
    return Case(
        (
            Pool(
                "Plant maintenance",
                6_300_000_00,
                {"Information systems": 4_000, "Machining": 6_000, "Assembly": 10_000},
            ),
            Pool("Information systems", 1_452_150_00, {"Machining": 4_000, "Assembly": 500}),
        ),
        (Target("Machining", 4_000_000_00), Target("Assembly", 2_000_000_00)),
    )


def regina():
    """University of Regina, BUS 388: HR, data processing, risk management."""
    return Case(
        (
            Pool("HR", 80_000_00, {"DP": 20, "RM": 10, "Mach": 40, "Asm": 30}),
            Pool("DP", 120_000_00, {"HR": 8, "RM": 7, "Mach": 30, "Asm": 55}),
            Pool("RM", 40_000_00, {"Mach": 50, "Asm": 50}),
        ),
        (Target("Mach"), Target("Asm")),
    )


def hansen():
    """Hansen/Mowen: M = 100,000 + 0.15625 G; G = 270,000 + 0.1 M."""
    return Case(
        (
            Pool("M", 100_000_00, {"G": Decimal("0.1"), "rest": Decimal("0.9")}),
            Pool("G", 270_000_00, {"M": Decimal("0.15625"), "rest": Decimal("0.84375")}),
        ),
        (Target("rest"),),
    )


@pytest.mark.parametrize(
    ("case", "method", "expected"),
    [
        (lumen(), "direct", [37_500_00, 42_500_00]),
        (lumen(), "step-down", [38_166_67, 41_833_33]),
        (horngren(), "step-down", [8_300_800_00, 5_451_350_00]),
        (regina(), "direct", [108_067_23, 131_932_77]),
        (regina(), "step-down", [105_521_74, 134_478_26]),
        (regina(), "reciprocal", [107_276_42, 132_723_58]),
    ],
    ids=["lumen-direct", "lumen-step", "horngren", "regina-direct", "regina-step", "regina-all"],
)
def test_published_examples_of_targets(case, method, expected):
    assert list(allocate(case, method).cents.values()) == expected


def test_hansen_mowen_reciprocal_costs_of_the_pools():
    assert allocate(hansen(), "reciprocal").gross_cents == {"M": 144_444_44, "G": 284_444_44}


def test_regina_double_step_down_worked_by_hand():
    """First round HR 80,000; DP 120,000 + 16,000; RM 40,000 + 8,000 + 9,520 (7 of 100).

    HR gets 10,880 back and steps it down: DP 2,176; RM 1,088; DP then 7/92 of its own to RM.
    """
    found = allocate(regina(), "double-step-down")
    dp = 136_000 + Fraction(2_176)
    rm = 57_520 + 1_088 + Fraction(2_176) * 7 / 92
    assert found.gross == {"HR": 90_880 * 100, "DP": dp * 100, "RM": rm * 100}
    assert sum(found.cents.values()) == 240_000_00


def test_keshav_capped_split():
    """Keshav, max-min fair share: 10 among 2, 2.6, 4, 5 gives 2, 2.6, 2.7, 2.7."""
    assert capped_split(10_00, [2_00, 2_60, 4_00, 5_00]) == [2_00, 2_60, 2_70, 2_70]


# What is refused, and what zeros and negatives mean


def case_of(pools, targets=("t", "u")):
    return Case(tuple(Pool(*each) for each in pools), tuple(Target(name) for name in targets))


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (case_of([("a", 1, {"x": 1})]), "x, which is neither"),
        (case_of([("a", 1, {"t": -1})]), "cannot be negative"),
        (case_of([("t", 1, {"u": 1})]), "given twice"),
    ],
)
def test_cases_that_no_method_could_divide(case, says):
    for method in METHODS:
        with pytest.raises(BadCase, match=says):
            allocate(case, method)


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(BadCase, match="direct, step-down"):
        allocate(lumen(), "triple")


def test_a_closed_group_is_refused_with_its_members_only():
    case = case_of(
        [
            ("feeder", 100, {"a": 1, "t": 1}),
            ("a", 100, {"b": 3}),
            ("b", 100, {"a": 1}),
            ("fine", 100, {"t": 1}),
        ]
    )
    with pytest.raises(ClosedGroup, match="a and b serve only one another") as refused:
        allocate(case, "reciprocal")
    assert refused.value.members == ("a", "b")
    assert allocate(case, "step-down").unallocated_cents == {"b": 250}


def test_a_pool_that_serves_only_itself_is_a_closed_group_of_one():
    case = case_of([("a", 100, {"a": 5})])
    with pytest.raises(ClosedGroup, match="a serves only itself"):
        allocate(case, "reciprocal")
    assert allocate(case, "direct").unallocated_cents == {"a": 100}


@pytest.mark.parametrize("method", METHODS)
def test_a_base_of_zeros_leaves_an_amount_unallocated_in_view(method):
    case = case_of([("a", 700, {"idle": 1, "t": 6}), ("idle", 50, {"t": 0, "a": 0})])
    found = allocate(case, method)
    received = 0 if method == "direct" else 100
    assert found.unallocated_cents == {"idle": 50 + received}
    assert found.as_dict()["unallocated"] == [{"name": "idle", "cents": 50 + received}]
    assert sum(found.cents.values()) + 50 + received == found.total_cents == 750


@pytest.mark.parametrize("method", METHODS)
def test_what_a_pool_does_for_itself_moves_nothing(method):
    one = case_of([("a", 1000, {"a": 7, "t": 1, "u": 2}), ("b", 500, {"a": 1, "u": 1})])
    two = case_of([("a", 1000, {"t": 1, "u": 2}), ("b", 500, {"a": 1, "u": 1})])
    assert allocate(one, method).as_dict() == allocate(two, method).as_dict()


def test_a_negative_pool_is_the_mirror_image():
    case = lumen()
    negative = Case(
        tuple(Pool(each.name, -each.cents, each.serves) for each in case.pools),
        tuple(Target(each.name, -each.cents) for each in case.targets),
    )
    for method in METHODS:
        assert allocate(negative, method).cents == {
            name: -cents for name, cents in allocate(case, method).cents.items()
        }


def test_capped_split_refuses_negatives_and_stops_at_the_demands():
    with pytest.raises(BadCase):
        capped_split(-1, [1])
    with pytest.raises(BadCase):
        capped_split(1, [-1])
    assert capped_split(100, [10, 20]) == [10, 20]
    assert capped_split(100, []) == []


def test_only_amounts_that_make_whole_cents_are_rounded_together():
    with pytest.raises(ValueError, match="whole cents"):
        to_whole_cents({"a": Fraction(1, 3)})


# What holds for every case

QUANTITIES = st.integers(0, 1000) | st.decimals(0, 100, places=2, allow_nan=False)


@st.composite
def cases(draw, *, services=True, acyclic=False):
    pools = [f"p{number}" for number in range(draw(st.integers(1, 4)))]
    targets = [f"t{number}" for number in range(draw(st.integers(1, 4)))]
    made = []
    for place, name in enumerate(pools):
        serves = {target: draw(QUANTITIES) for target in targets}
        if services:
            others = pools[place + 1 :] if acyclic else pools
            serves |= {other: draw(QUANTITIES) for other in others}
        made.append(Pool(name, draw(st.integers(-(10**9), 10**9)), serves))
    own = st.integers(-(10**6), 10**6)
    return Case(tuple(made), tuple(Target(target, draw(own)) for target in targets))


def closed(case, members):
    """Whether these pools serve nobody but one another."""
    served = set()
    for pool in case.pools:
        if pool.name in members:
            served |= {name for name, quantity in pool.serves.items() if quantity}
    return served <= set(members)


def answers(case):
    for method in METHODS:
        try:
            yield allocate(case, method)
        except ClosedGroup as error:
            if method != "reciprocal" or not closed(case, error.members):
                raise


@settings(max_examples=60, deadline=None)
@given(cases())
def test_nothing_is_lost_and_each_is_within_a_cent(case):
    for found in answers(case):
        cents = sum(found.cents.values()) + sum(found.unallocated_cents.values())
        assert cents == case.total_cents
        assert sum(found.targets.values()) + sum(found.unallocated.values()) == case.total_cents
        for exact, rounded in (
            (found.targets, found.cents),
            (found.unallocated, found.unallocated_cents),
        ):
            assert all(abs(exact[name] - rounded[name]) < 1 for name in exact)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_every_pool_distributes_what_it_has(case):
    for found in answers(case):
        flows = found.flows()
        for pool in case.pools:
            given_on = sum(amount for (giver, _), amount in flows.items() if giver == pool.name)
            assert given_on + found.unallocated.get(pool.name, 0) == found.gross[pool.name]
            received = sum(amount for (_, taker), amount in flows.items() if taker == pool.name)
            assert pool.cents + received == found.gross[pool.name]


@settings(max_examples=60, deadline=None)
@given(cases(), st.randoms(use_true_random=False), st.integers(1, 50))
def test_neither_the_order_of_targets_nor_a_common_factor_changes_anything(case, draw, factor):
    targets = list(case.targets)
    draw.shuffle(targets)
    scaled = []
    for pool in case.pools:
        serves = [(name, Fraction(quantity) * factor) for name, quantity in pool.serves.items()]
        draw.shuffle(serves)
        scaled.append(Pool(pool.name, pool.cents, dict(serves)))
    other = Case(tuple(scaled), tuple(targets))
    for one, two in zip(answers(case), answers(other), strict=True):
        assert one.cents == two.cents
        assert one.gross == two.gross


@settings(max_examples=50, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_pools_changes_nothing_where_nobody_steps(case, draw):
    pools = list(case.pools)
    draw.shuffle(pools)
    other = Case(tuple(pools), case.targets)
    for method in ("direct", "reciprocal"):
        try:
            one = allocate(case, method)
        except ClosedGroup:
            continue
        assert one.cents == allocate(other, method).cents


@settings(max_examples=60, deadline=None)
@given(cases(services=False))
def test_without_services_between_pools_all_methods_agree(case):
    first, *others = answers(case)
    assert all(found.cents == first.cents for found in others)


@settings(max_examples=60, deadline=None)
@given(cases(acyclic=True))
def test_services_without_a_circle_step_down_in_their_order_to_the_reciprocal(case):
    _, step_down, double, reciprocal = answers(case)
    assert step_down.targets == double.targets == reciprocal.targets
    assert step_down.cents == double.cents == reciprocal.cents


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_capped_split_is_fair_and_never_more_than_asked(total, demands):
    parts = capped_split(total, demands)
    assert sum(parts) == min(total, sum(demands))
    assert all(part <= demand for part, demand in zip(parts, demands, strict=True))
    short = [part for part, demand in zip(parts, demands, strict=True) if part < demand]
    assert not short or max(parts) - min(short) <= 1
