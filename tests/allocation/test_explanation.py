"""The steps by which a target's cents of a pool came about."""

from __future__ import annotations

import doctest
from decimal import Decimal

from regional311.allocation import explanation
from regional311.allocation.explanation import steps
from regional311.allocation.service import month_shares
from regional311.money import from_cents


def test_docstring_examples_hold():
    assert doctest.testmod(explanation).failed == 0


def test_the_steps_of_the_example_region_sum_to_the_cents_but_for_the_rounding(dbsession):
    for key in ("i-and-r", "people-services", "technology", "contact-centre"):
        found = month_shares(dbsession, key, fiscal_year=2027, month=4)
        for target, cents in found.cents.items():
            told = steps(found.basis, target)
            assert len(told) == 1 + len(found.basis["received"])
            assert abs(sum(step.dollars for step in told) - from_cents(cents)) < Decimal("0.01")
    facts = steps(found.basis, "bureau:water")[0].facts
    assert facts["base"] == "Contacts by bureau"
    assert facts["reading"] == "340000"
    assert facts["fraction"] == "85/208"
    assert facts["snapshot"] == "1"


def test_an_older_basis_and_a_pool_of_nothing_have_no_steps():
    assert steps({"shares": {"a": {"percent": "50", "cents": 1}}}, "a") == []
    share = {"weight": "1", "exact_cents": "0", "cents": 0}
    assert steps({"own_cents": 0, "received": {}, "shares": {"a": share}}, "a") == []


def test_a_long_fraction_is_told_in_per_cent():
    share = {"weight": "12345", "exact_cents": "12345", "cents": 12345}
    basis = {"own_cents": 1234567, "received": {}, "shares": {"a": share}, "pool": "p"}
    assert steps(basis, "a")[0].label == "0.999946 % of p's own $12,345.67"
