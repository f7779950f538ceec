"""The pools of a year together: months, groups, and what stays the same as with fixed shares."""

from __future__ import annotations

import doctest
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.allocation import network
from regional311.allocation.network import (
    MethodsDiffer,
    PoolServesNoPool,
    YearPool,
    month_of,
    side_by_side,
    together,
)
from regional311.allocation.shares import month_of_year, shares_of_month


def pool(key, cents, weights, method="step_down", order=0):
    return YearPool(
        key, key.title(), cents, method, order, {n: Fraction(w) for n, w in weights.items()}
    )


def test_docstring_examples_hold():
    assert doctest.testmod(network).failed == 0


SUPPORT = {"it": {"pool:desk": 4, "bureau:water": 1, "bureau:parks": 5}}


def plan(method):
    """IT serves the desk with four tenths; both are divided over Water and Parks."""
    return (
        pool("it", 120_000_00, SUPPORT["it"], method, 1),
        pool("desk", 360_000_00, {"bureau:water": 3, "bureau:parks": 1}, method, 2),
    )


def test_a_month_of_two_pools_by_hand():
    """10,000.00 IT: 4,000 to the desk, 1,000 and 5,000; 34,000.00 desk: 25,500 and 8,500."""
    (group,) = together(plan("step_down"))
    months = month_of(group, 0)
    assert months["it"].cents == {"bureau:water": 1_000_00, "bureau:parks": 5_000_00}
    assert months["it"].given == {"desk": 4_000_00}
    assert months["desk"].received == {"it": 4_000_00}
    assert months["desk"].gross == 34_000_00
    assert months["desk"].cents == {"bureau:water": 25_500_00, "bureau:parks": 8_500_00}


def test_direct_leaves_out_what_the_desk_used():
    (group,) = together(plan("direct"))
    months = month_of(group, 0)
    assert months["it"].month_cents == 10_000_00
    assert months["desk"].month_cents == 30_000_00
    assert months["desk"].received == {}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-(10**9), 10**9),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=5),
    st.integers(0, 11),
    st.sampled_from(["direct", "step_down", "double_step_down", "reciprocal"]),
)
def test_a_pool_by_itself_is_divided_as_by_fixed_shares(cents, cuts, month, method):
    ends = sorted([0, *cuts, 10**6])
    percents = {
        f"t{place}": Decimal(ends[place + 1] - ends[place]) / 10_000
        for place in range(len(ends) - 1)
    }
    ((alone,),) = together([pool("alone", cents, percents, method)])
    assert month_of((alone,), month)["alone"].cents == shares_of_month(cents, month, percents)


WEIGHT = st.integers(0, 20)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-(10**8), 10**8), min_size=3, max_size=3),
    st.lists(WEIGHT, min_size=12, max_size=12),
    st.integers(0, 11),
    st.sampled_from(["direct", "step_down", "double_step_down", "reciprocal"]),
)
def test_a_month_of_many_pools_loses_nothing(cents, drawn, month, method):
    names = ["a", "b", "c"]
    draw = iter(drawn)
    pools = []
    for name, amount in zip(names, cents, strict=True):
        weights = {f"pool:{other}": next(draw) for other in names if other != name}
        weights |= {"t": next(draw) + 1, "u": next(draw)}
        pools.append(pool(name, amount, weights, method))
    total = 0
    for group in together(pools):
        for found in month_of(group, month).values():
            assert found.month_cents == sum(found.cents.values())
            for target, part in found.cents.items():
                assert abs(part - found.exact[target]) < 1
            total += found.month_cents
    assert total == sum(month_of_year(amount, month) for amount in cents)


def test_a_base_of_zeros_stays_with_the_pool():
    (group,) = together([pool("idle", 1200, {"bureau:water": 0})])
    found = month_of(group, 0)["idle"]
    assert (found.unallocated_cents, found.cents) == (100, {"bureau:water": 0})
    assert found.basis(group[0].weights)["unallocated_cents"] == 100


def test_pools_of_one_group_need_one_method():
    with pytest.raises(MethodsDiffer, match="desk step_down, it direct"):
        together(
            [
                pool("it", 1, {"pool:desk": 1, "t": 1}, "direct"),
                pool("desk", 1, {"t": 1}, "step_down"),
            ]
        )


def test_a_pool_that_is_served_has_a_cost_in_the_year():
    with pytest.raises(PoolServesNoPool, match="the pool desk"):
        together([pool("it", 1, {"pool:desk": 1})])


def test_the_methods_side_by_side_differ_and_each_sums():
    (group,) = together(plan("step_down"))
    found = side_by_side(group)
    assert [each.method for each in found] == [
        "direct",
        "step-down",
        "double-step-down",
        "reciprocal",
    ]
    assert found[0].cents != found[1].cents
    assert {each.total_cents for each in found} == {480_000_00}


def test_a_method_that_cannot_divide_is_left_out_beside_the_others():
    group = together([pool("a", 1, {"pool:b": 1}), pool("b", 1, {"pool:a": 1})])[0]
    assert [each.method for each in side_by_side(group)] == [
        "direct",
        "step-down",
        "double-step-down",
    ]
