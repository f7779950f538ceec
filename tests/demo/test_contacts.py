from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.demo.contacts import LineAnswer, Month

MONTH = Month.example()
PHONES: dict[str, str] = defaultdict(lambda: "phone")


def always_open(line: str, _at: datetime) -> LineAnswer:
    return LineAnswer(line.partition("/")[0], after_hours=False)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3000))
def test_a_month_has_exactly_as_many_contacts_as_asked_for(count: int) -> None:
    drawn = list(MONTH.contacts(count, always_open, PHONES))

    assert [each.number for each in drawn] == list(range(1, count + 1))
    assert all(one.started_at <= other.started_at for one, other in pairwise(drawn))
    assert all(
        MONTH.start_on <= each.started_at.astimezone(MONTH.zone).date() < MONTH.end_on
        for each in drawn
    )


def test_the_same_month_comes_out_every_time() -> None:
    first = list(Month.example().contacts(500, always_open, PHONES))

    assert list(Month.example().contacts(500, always_open, PHONES)) == first


def test_nobody_calls_a_line_that_nobody_answers() -> None:
    def only_211(line: str, _at: datetime) -> LineAnswer | None:
        return LineAnswer("211info", after_hours=True) if line.startswith("211info") else None

    drawn = list(MONTH.contacts(200, only_211, PHONES))

    assert {each.answered_by for each in drawn} == {"211info"}
    assert all(each.after_hours for each in drawn)


def test_people_call_by_day_and_mostly_about_their_own_city() -> None:
    drawn = list(MONTH.contacts(5000, always_open, PHONES))
    hours = Counter(each.started_at.astimezone(MONTH.zone).hour for each in drawn)
    partners = Counter(each.line.partition("/")[0] for each in drawn)

    assert hours[10] > 10 * hours[3]
    assert partners["city-of-portland"] > partners["211info"] > 0
    assert drawn[0].started_at >= datetime(2026, 10, 1, 7, tzinfo=UTC)
