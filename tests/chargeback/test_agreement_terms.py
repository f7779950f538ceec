"""The terms of an agreement as everything that reckons with them reads them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.chargeback import agreement_terms
from regional311.chargeback.agreement_terms import (
    Billing,
    Discount,
    Funding,
    Outside,
    Signature,
    Target,
    Terms,
    problems,
)

LEAST: dict[str, Any] = {
    "due_days": 30,
    "number_prefix": "COP",
    "kind": "iga",
    "reference": "IGA-2019-001",
    "purpose": "City and County share the cost.",
}
FULL: dict[str, Any] = {
    **LEAST,
    "notice_days": 120,
    "dispute_days": 45,
    "late_event_days": 5,
    "targets": [
        {
            "key": "answer",
            "name": "Answered in two minutes",
            "measure": "answer_seconds",
            "goal": 120,
            "credit_percent": "2.5",
        }
    ],
    "rounding": "item",
    "billing": {"every": "quarter", "submit_days": 20},
    "interest_percent": "6",
    "discounts": [{"name": "Volume", "percent": "5", "from_cents": 1_000_000}],
    "not_to_exceed_cents": 5_000_000,
    "minimum_cents": 10_000,
    "overhead_percent": "10",
    "funding": [
        {
            "key": "lep",
            "name": "Language access grant",
            "kind": "grant",
            "percent": "40",
            "authorised_cents": 2_500_000,
        }
    ],
    "prepay_cents": 50_000,
    "outside": {"name": "Transit district", "address": "1800 First Avenue", "email": "a@b.example"},
    "services": ["bus-stop"],
    "supersedes": "old-share",
    "ends_notice_days": 200,
    "signatures": [
        {"partner": "city-of-portland", "name": "Ann Lee", "title": "Director", "on": "2026-05-04"}
    ],
    "expiry_reminder_days": [30, 90],
}


def test_what_terms_do_not_say_has_its_default() -> None:
    terms = Terms.of(LEAST)
    assert terms == Terms(
        due_days=30,
        number_prefix="COP",
        kind="iga",
        reference="IGA-2019-001",
        purpose="City and County share the cost.",
    )
    assert (terms.notice_days, terms.dispute_days, terms.late_event_days) == (90, 30, 10)
    assert terms.billing == Billing("month", 15)
    assert terms.expiry_reminder_days == (180, 90, 30)
    assert terms.funding_percent == 0


def test_every_term_is_read_with_its_type() -> None:
    assert Terms.of(FULL) == Terms(
        due_days=30,
        notice_days=120,
        dispute_days=45,
        late_event_days=5,
        number_prefix="COP",
        kind="iga",
        reference="IGA-2019-001",
        purpose="City and County share the cost.",
        targets=(
            Target(
                "answer", "Answered in two minutes", "answer_seconds", Decimal(120), Decimal("2.5")
            ),
        ),
        rounding="item",
        billing=Billing("quarter", 20),
        interest_percent=Decimal(6),
        discounts=(Discount("Volume", Decimal(5), 1_000_000),),
        not_to_exceed_cents=5_000_000,
        minimum_cents=10_000,
        overhead_percent=Decimal(10),
        funding=(Funding("lep", "Language access grant", "grant", Decimal(40), 2_500_000),),
        prepay_cents=50_000,
        outside=Outside("Transit district", "1800 First Avenue", "a@b.example"),
        services=("bus-stop",),
        supersedes="old-share",
        ends_notice_days=200,
        signatures=(Signature("city-of-portland", "Ann Lee", "Director", date(2026, 5, 4)),),
        expiry_reminder_days=(90, 30),
    )
    assert problems(FULL) == []


def test_a_stored_figure_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a decimal number"):
        Terms.of({**LEAST, "interest_percent": "six"})


@pytest.mark.parametrize(
    ("measure", "goal", "reading", "met"),
    [
        ("answer_seconds", 30, 30, True),
        ("answer_seconds", 30, "30.01", False),
        ("first_contact_percent", 80, 80, True),
        ("first_contact_percent", 80, "79.9", False),
        ("accept_hours", 4, 3, True),
        ("close_days", 10, 11, False),
    ],
)
def test_a_target_is_met_on_its_own_side(
    measure: str, goal: int, reading: int | str, met: bool
) -> None:
    assert Target("a", "A", measure, Decimal(goal)).met(Decimal(reading)) is met


GRANT = FULL["funding"][0]
TARGET = FULL["targets"][0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"due_days": None}, "due_days: is missing"),
        ({"due_days": 400}, "due_days: 400 is not a number of days from 1 to 365"),
        ({"kind": "deal"}, "kind: deal is none of iga, sla, mou"),
        ({"rounding": "page"}, "rounding: page is none of line, item"),
        ({"colour": "red"}, "colour: is not a term of an agreement"),
        (
            {"interest_percent": "100.01"},
            "interest_percent: 100.01 is not a percentage from 0 to 100",
        ),
        ({"interest_percent": "NaN"}, "interest_percent: NaN is not a percentage from 0 to 100"),
        ({"interest_percent": "x"}, "interest_percent: x is not a percentage from 0 to 100"),
        ({"interest_percent": 0.5}, "interest_percent: 0.5 is not a percentage from 0 to 100"),
        (
            {"minimum_cents": 0},
            "minimum_cents: 0 is not an amount above zero in whole cents",
        ),
        (
            {"not_to_exceed_cents": 5, "minimum_cents": 6},
            "not_to_exceed_cents: is less than the minimum of one period",
        ),
        ({"billing": {"every": "week"}}, "billing.every: week is none of month, quarter, year"),
        (
            {"billing": {"submit_days": -1}},
            "billing.submit_days: -1 is not a number of days from 0 to 365",
        ),
        ({"targets": [TARGET, TARGET]}, "targets[answer]: is there twice"),
        ({"targets": [{**TARGET, "name": ""}]}, "targets[answer].name: is missing"),
        (
            {"targets": [{**TARGET, "goal": "3"}]},
            "targets[answer].goal: 3 is not a whole number above zero",
        ),
        (
            {"targets": [{**TARGET, "measure": "first_contact_percent", "goal": 120}]},
            "targets[answer].goal: 120 is more than 100 percent",
        ),
        ({"funding": [{**GRANT, "kind": "gift"}]}, "funding[lep].kind: gift is none of"),
        ({"funding": [{**GRANT, "percent": None}]}, "funding[lep].percent: is missing"),
        (
            {"funding": [{**GRANT, "authorised_cents": -1}]},
            "funding[lep].authorised_cents: -1 is not an amount above zero in whole cents",
        ),
        (
            {"funding": [GRANT, {**GRANT, "key": "levy", "percent": "60.01"}]},
            "funding: the sources bear 100.01 % together, more than 100",
        ),
        ({"discounts": [{"name": "Volume", "percent": ""}]}, "discounts[Volume].percent"),
        ({"outside": {"address": "x"}}, "outside.name: is missing"),
        ({"expiry_reminder_days": [0]}, "expiry_reminder_days: each is a number of days"),
        ({"expiry_reminder_days": [9, 9]}, "expiry_reminder_days: names a day twice"),
        (
            {"signatures": [{"partner": "c", "name": "A", "title": "", "on": "2026-02-30"}]},
            "signatures[1].on: 2026-02-30 is not a day",
        ),
    ],
)
def test_each_problem_names_its_term(wrong: dict[str, Any], said: str) -> None:
    assert any(each.startswith(said) for each in problems({**FULL, **wrong}))


def test_all_problems_are_told_at_once() -> None:
    found = problems({"overhead_percent": "-1", "billing": {"every": "day"}})
    assert len(found) == 7


@settings(max_examples=60, deadline=None)
@given(
    json=st.fixed_dictionaries(
        {},
        optional={
            "due_days": st.integers(-5, 400),
            "overhead_percent": st.decimals(0, 120, places=3).map(str),
            "minimum_cents": st.integers(-3, 10**9),
            "rounding": st.sampled_from(["line", "item", "page"]),
            "expiry_reminder_days": st.lists(st.integers(-1, 400), max_size=4),
        },
    )
)
def test_terms_without_a_problem_can_be_read(json: dict[str, Any]) -> None:
    full = {**LEAST, **json}
    if not problems(full):
        terms = Terms.of(full)
        assert terms.rounding in agreement_terms.ROUNDINGS
        assert list(terms.expiry_reminder_days) == sorted(terms.expiry_reminder_days, reverse=True)
