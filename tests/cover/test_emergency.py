"""Which emergencies a page shows, and what they switch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.cover.duty import Stint, lent_seconds
from regional311.cover.emergency import InForce, seen_by, switched

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def emergency(tenant: str = "region", *, drill: bool = False, starts: int = -1, ends: int = 1):
    return InForce(
        tenant,
        1,
        "E-1",
        "storm",
        drill,
        {"en": {"title": "Storm"}, "es": {"title": "Tormenta"}},
        (),
        (),
        (),
        (("city/main", "info/main"),),
        NOW + timedelta(hours=starts),
        NOW + timedelta(hours=ends),
    )


@pytest.mark.parametrize(
    ("tenant", "drill", "asked", "staff", "shown"),
    [
        ("region", False, None, False, True),
        ("city", False, None, False, True),
        ("city", False, "city", True, True),
        ("county", False, "city", True, False),
        ("region", False, "city", True, True),
        ("region", True, None, False, False),
        ("region", True, "city", False, False),
        ("region", True, "city", True, True),
        ("county", True, "city", True, False),
    ],
)
def test_a_drill_is_shown_to_staff_only(tenant, drill, asked, staff, shown):
    seen = seen_by([emergency(tenant, drill=drill)], NOW, tenant=asked, staff=staff)
    assert bool(seen) is shown


def test_what_is_real_comes_before_a_drill_that_began_before_it():
    """What both name is taken from the first: it must not be marked DRILL."""
    drill, real = emergency("city", drill=True, starts=-2), emergency()
    seen = seen_by([drill, real], NOW, tenant="city", staff=True)
    assert [each.drill for each in seen] == [False, True]


def test_an_end_is_no_part_of_it():
    it = emergency(ends=0)
    assert not it.on(NOW)
    assert it.on(NOW - timedelta(seconds=1))
    assert not emergency(starts=1, ends=2).on(NOW)


def test_a_drill_switches_nothing():
    assert switched([emergency(drill=True)]) == ()
    assert [each.line for each in switched([emergency()])] == ["city/main"]


def test_words_come_in_the_language_asked_for_or_english():
    assert emergency().said("es")[1]["title"] == "Tormenta"
    assert emergency().said("ru") == ("en", {"title": "Storm"})


STINTS = st.tuples(st.integers(-30, 90), st.integers(1, 60)).map(
    lambda pair: Stint(NOW + timedelta(minutes=pair[0]), NOW + timedelta(minutes=pair[0] + pair[1]))
)


@given(st.lists(STINTS, max_size=6))
def test_lent_and_handled_time_never_add_up_to_more_than_the_duty(handled):
    duty = Stint(NOW, NOW + timedelta(minutes=60))
    lent = lent_seconds(duty, handled)
    covered = {
        minute
        for minute in range(60)
        if any(each.starts <= NOW + timedelta(minutes=minute) < each.ends for each in handled)
    }
    assert lent == (60 - len(covered)) * 60
