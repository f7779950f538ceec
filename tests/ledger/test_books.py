from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.ledger.books import (
    DUE_FROM,
    DUE_TO,
    Entry,
    Leg,
    credit,
    debit,
    entry_problems,
    leg_problems,
    mirror_problems,
    net_zero_problems,
)
from regional311.ledger.queries import age

TENANTS = {"city": UUID(int=1), "county": UUID(int=2), "211": UUID(int=3)}


def read_books(text):
    """Read `tenant mirror service-period counterparty` headers with legs indented below."""
    entries = []
    for row in text.strip().splitlines():
        words = row.split()
        if row.strip().startswith("-"):
            account, cents = words[1], int(words[2])
            entries[-1] = replace(
                entries[-1], legs=(*entries[-1].legs, debit(account, cents, None))
            )
        else:
            tenant, mirror, period, other = words
            entries.append(
                Entry(
                    TENANTS[tenant],
                    UUID(int=100 + len(entries)),
                    period,
                    0,
                    0,
                    (),
                    UUID(int=int(mirror)),
                    TENANTS[other],
                )
            )
    return [
        replace(
            entry,
            leg_count=len(entry.legs),
            total_cents=sum(leg.debit_cents for leg in entry.legs),
        )
        for entry in entries
    ]


def problems_in(text):
    entries = read_books(text)
    found = [problem for entry in entries for problem in entry_problems(entry)]
    return [problem.message for problem in [*found, *mirror_problems(entries)]]


def test_balanced_and_mirrored(request):
    """
    city 1 2026-10 county
      - due_from_partners 300
      - service_revenue -100
      - share_revenue -200
    county 1 2026-10 city
      - service_expense 100
      - share_expense 200
      - due_to_partners -300
    """
    assert problems_in(request.function.__doc__) == []


def test_unbalanced(request):
    """
    city 1 2026-10 county
      - due_from_partners 300
      - service_revenue -299
    county 1 2026-10 city
      - service_expense 299
      - due_to_partners -300
    """
    assert problems_in(request.function.__doc__) == [
        "Debits of 300 cents and credits of 299 cents do not balance.",
        "Debits of 299 cents and credits of 300 cents do not balance.",
    ]


def test_missing_other_side(request):
    """
    city 1 2026-10 county
      - due_from_partners 300
      - service_revenue -300
    """
    assert problems_in(request.function.__doc__) == ["There are 1 sides instead of two."]


def test_sides_for_different_periods(request):
    """
    city 1 2026-10 county
      - due_from_partners 300
      - service_revenue -300
    county 1 2026-11 city
      - service_expense 300
      - due_to_partners -300
    """
    assert problems_in(request.function.__doc__) == [
        "One side is for 2026-10, the other for 2026-11."
    ]


def test_sides_that_name_a_third(request):
    """
    city 1 2026-10 county
      - due_from_partners 300
      - service_revenue -300
    county 1 2026-10 211
      - service_expense 300
      - due_to_partners -300
    """
    assert problems_in(request.function.__doc__) == ["The two sides do not name each other."]


def test_sides_on_accounts_that_do_not_mirror(request):
    """
    city 1 2026-10 county
      - due_from_partners 300
      - service_revenue -300
    county 1 2026-10 city
      - share_expense 300
      - due_to_partners -300
    """
    assert problems_in(request.function.__doc__) == [
        "The amounts of the two sides are not opposite."
    ]


def test_an_entry_whose_legs_changed_since_it_was_made():
    (entry,) = read_books("city 1 2026-10 county\n - cash 5\n - sales -5")
    doubled = replace(entry, legs=entry.legs * 2)
    assert [problem.message for problem in entry_problems(doubled)] == [
        "The entry was made with 2 legs and has 4.",
        "The entry was made over 5 cents and has 10.",
    ]


def test_entries_without_another_side_need_none():
    (entry,) = read_books("city 1 2026-10 county\n - cash 5\n - sales -5")
    assert mirror_problems([replace(entry, mirror_id=None)]) == []


@pytest.mark.parametrize(
    ("legs", "sentence"),
    [
        ([], "An entry needs at least two legs."),
        ([Leg("a", 1, 1), Leg("b", 1, 1)], "Leg 1 must have either a debit or a credit."),
        ([Leg("a"), Leg("b")], "Leg 2 must have either a debit or a credit."),
        ([Leg("a", -1), Leg("b", credit_cents=-1)], "Leg 1 has a negative amount."),
        ([Leg("a", 2), Leg("b", 0, 1)], "Debits of 2 cents and credits of 1 cents do not balance."),
    ],
)
def test_says_what_is_wrong_with_legs(legs, sentence):
    assert sentence in leg_problems(legs)


@given(st.integers(-(10**9), 10**9).filter(bool))
def test_a_negative_debit_is_a_credit(cents):
    assert debit("a", cents).net_cents == cents
    assert credit("a", cents).net_cents == -cents
    assert min(debit("a", cents).debit_cents, debit("a", cents).credit_cents) == 0


def test_claims_and_debts_of_a_pair_net_to_zero():
    city, county, community = TENANTS.values()
    balances = [
        (city, county, DUE_FROM, 300),
        (county, city, DUE_TO, -300),
        (county, city, DUE_FROM, 50),
        (city, county, DUE_TO, -40),
        (community, city, "service_revenue", -7),
    ]
    (problem,) = net_zero_problems(balances)
    assert (problem.tenant_id, problem.subject_id) == (county, city)
    assert "differ by 10 cents" in problem.message


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(-(10**6), 10**6).filter(bool)), max_size=9),
    st.booleans(),
)
def test_classes_of_age_sum_to_the_balance(months, owing):
    day = date(2026, 12, 1)
    sums = sorted((day - timedelta(days=ago), cents) for ago, cents in months)
    assert sum(age(sums, day, owing=owing)) == sum(cents for _day, cents in sums)


def test_what_lowers_a_balance_is_set_against_the_oldest():
    day = date(2026, 12, 1)
    months = [
        (day - timedelta(days=100), 100),
        (day - timedelta(days=70), 40),
        (day - timedelta(days=31), 30),
        (day, -110),
    ]
    assert age(months, day) == (0, 30, 30, 0)
    assert age([(day, -30)], day) == (-30, 0, 0, 0)
    assert age([(end, -cents) for end, cents in months], day, owing=False) == (0, -30, -30, 0)
