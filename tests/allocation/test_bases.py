"""What the snapshots of a base make: newest, rolling, mixed."""

from __future__ import annotations

import doctest
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from regional311.allocation import bases
from regional311.allocation.bases import (
    BadReading,
    Base,
    BaseWithoutReadings,
    MixGoesRound,
    Snapshot,
    read_readings,
    weights,
)


def snapshot(number, as_of, **readings):
    return Snapshot(
        number, date.fromisoformat(as_of), "count", {k: Decimal(v) for k, v in readings.items()}
    )


def test_docstring_examples_hold():
    assert doctest.testmod(bases).failed == 0


def test_the_newest_snapshot_counts_and_a_later_one_changes_only_what_comes_later():
    base = Base(
        "calls",
        "Calls",
        "contact_count",
        [
            snapshot(1, "2026-06-30", a=1, b=1),
            snapshot(2, "2026-06-30", a=1, b=3),
            snapshot(3, "2026-12-31", a=9, b=1),
        ],
    )
    assert weights(base, {}, date(2026, 11, 1)).by_target == {"a": 1, "b": 3}
    found = weights(base, {}, date(2027, 1, 1))
    assert found.by_target == {"a": 9, "b": 1}
    assert found.basis["snapshots"][0]["number"] == 3
    with pytest.raises(BaseWithoutReadings, match="Calls has no readings"):
        weights(base, {}, date(2026, 6, 30))


def test_a_rolling_base_averages_one_snapshot_a_quarter():
    quarters = ["2024-09-30", "2024-12-31", "2025-03-31", "2025-06-30"]
    base = Base(
        "calls",
        "Calls",
        "contact_count",
        [snapshot(n, as_of, a=n, b=4) for n, as_of in enumerate(quarters, 1)]
        + [snapshot(5, "2025-06-30", a=10, b=4)],
        rolling_quarters=3,
    )
    found = weights(base, {}, date(2025, 7, 1))
    assert found.by_target == {"a": Fraction(2 + 3 + 10, 3), "b": 4}
    assert [each["number"] for each in found.basis["snapshots"]] == [5, 3, 2]


def test_snohomish_mix_of_calls_value_and_population():
    """Snohomish County 911: 54 % calls, 23 % assessed value, 23 % population."""
    every = {
        "calls": Base("calls", "Calls", "contact_count", [snapshot(1, "2026-06-30", a=3, b=1)]),
        "value": Base("value", "Value", "assessed_value", [snapshot(1, "2026-06-30", a=1, b=1)]),
        "people": Base("people", "People", "population", [snapshot(1, "2026-06-30", a=1, b=3)]),
    }
    parts = {"calls": Decimal(54), "value": Decimal(23), "people": Decimal(23)}
    mix = Base("mix", "Mix", "mix", parts=parts)
    found = weights(mix, every, date(2026, 7, 1))
    assert found.by_target == {
        "a": Fraction(54 * 3, 4) + Fraction(23, 2) + Fraction(23, 4),
        "b": Fraction(54, 4) + Fraction(23, 2) + Fraction(23 * 3, 4),
    }
    assert sum(found.by_target.values()) == 100
    assert [part["percent"] for part in found.basis["parts"]] == ["54", "23", "23"]


def test_a_mix_is_refused_when_it_goes_round_or_rests_on_nothing():
    one = Base("one", "One", "mix", parts={"two": Decimal(100)})
    two = Base("two", "Two", "mix", parts={"one": Decimal(100)})
    every = {"one": one, "two": two}
    with pytest.raises(MixGoesRound, match="part of itself"):
        weights(one, every, date(2026, 7, 1))
    with pytest.raises(MixGoesRound, match=r"99\.5 %"):
        weights(Base("m", "M", "mix", parts={"one": Decimal("99.5")}), every, date(2026, 7, 1))
    zero = Base("zero", "Zero", "fte", [snapshot(1, "2026-06-30", a=0)])
    mix = Base("m", "M", "mix", parts={"zero": Decimal(100)})
    with pytest.raises(BaseWithoutReadings, match="reads only zeros"):
        weights(mix, {"zero": zero}, date(2026, 7, 1))
    with pytest.raises(BaseWithoutReadings, match="no base zero"):
        weights(mix, {}, date(2026, 7, 1))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({}, "at least one"),
        ({"Water": "1"}, "Water is not a target"),
        ({"bureau:": "1"}, "is not a target"),
        ({"bureau:water": "-1"}, "bureau:water must be a number"),
        ({"bureau:water": "1e3"}, "must be a number"),
        ({"bureau:water": "NaN"}, "must be a number"),
        ({"bureau:water": "١"}, "must be a number"),
    ],
)
def test_bad_readings_are_refused_by_name(said, says):
    with pytest.raises(BadReading, match=says):
        read_readings(said)
