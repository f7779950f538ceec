"""Reminders, escalation, expiry: each once, in order, never for what is closed or on hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from regional311.calendars import BusinessCalendar
from regional311.referral import lifecycle
from regional311.referral.loop import Loop, working_days_after, working_days_between
from regional311.referral.silence import STEPS, Silence, due_on, next_step, planned

OFFICE = BusinessCalendar.from_week(
    "America/Los_Angeles", {each: ["08:00-17:00"] for each in ("mon", "tue", "wed", "thu", "fri")}
)
NEVER = BusinessCalendar.from_week("America/Los_Angeles", {})
MONDAY = date(2026, 11, 2)
LOOPS = st.builds(
    Loop,
    remind_days=st.integers(0, 5),
    escalate_days=st.integers(1, 5),
    expire_days=st.integers(1, 15),
)
SILENCES = st.builds(
    Silence,
    state=st.sampled_from(lifecycle.STATES),
    urgency=st.sampled_from(["urgent", "high", "normal", "low"]),
    since=st.dates(MONDAY, MONDAY + timedelta(days=40)),
    answer_on=st.none() | st.dates(MONDAY, MONDAY + timedelta(days=60)),
)


def walk(silence: Silence, loop: Loop, visits: list[int]) -> list[tuple[date, str]]:
    """What a worker does that comes round on some days only, and remembers what it did."""
    taken: list[tuple[date, str]] = []
    today = silence.since
    for days in visits:
        today += timedelta(days=days)
        step = next_step(silence, today, loop, OFFICE)
        if step is None:
            continue
        taken.append((today, step))
        silence = replace(silence, done={**silence.done, step: today})
        if step == "expired":
            silence = replace(silence, state="failed")
    return taken


@given(SILENCES, LOOPS, st.lists(st.integers(0, 9), max_size=80))
def test_each_step_once_and_in_order(silence, loop, visits):
    taken = [step for _, step in walk(silence, loop, visits)]
    assert taken == list(STEPS[: len(taken)])


@given(SILENCES, LOOPS, st.lists(st.integers(0, 30), max_size=80))
def test_nothing_fails_before_both_were_told_on_earlier_days(silence, loop, visits):
    taken = {step: on for on, step in walk(silence, loop, visits)}
    if "expired" in taken:
        assert taken["reminded"] < taken["escalated"] < taken["expired"]
        passed = working_days_between(OFFICE, taken["escalated"], taken["expired"])
        assert passed >= loop.expire_days


@given(SILENCES, LOOPS, st.integers(0, 4000))
def test_nothing_is_due_for_what_is_closed_or_on_hold(silence, loop, days):
    waits = silence.state in lifecycle.OPEN and silence.state != "on_hold"
    step = next_step(silence, silence.since + timedelta(days=days), loop, OFFICE)
    assert waits or step is None
    assert waits or planned(silence, loop, OFFICE) == ()


@given(SILENCES, LOOPS)
def test_what_is_planned_is_in_order_of_days(silence, loop):
    days = [on for _, on in planned(silence, loop, OFFICE)]
    assert days == sorted(days)
    if silence.counts:
        assert next_step(silence, days[0] - timedelta(days=1), loop, OFFICE) is None
        assert next_step(silence, days[0], loop, OFFICE) == "reminded"


@given(st.dates(MONDAY, MONDAY + timedelta(days=900)), st.integers(0, 60))
def test_working_days_there_and_back(day, days):
    assert working_days_between(OFFICE, day, working_days_after(OFFICE, day, days)) == days


def test_weekends_do_not_count():
    silence = Silence("requested", "normal", MONDAY, answer_on=date(2026, 11, 6))
    loop = Loop(remind_days=1, escalate_days=2, expire_days=5)
    assert planned(silence, loop, OFFICE) == (
        ("reminded", date(2026, 11, 5)),
        ("escalated", date(2026, 11, 10)),
        ("expired", date(2026, 11, 17)),
    )


def test_news_of_what_was_accepted_is_due_by_urgency():
    accepted = Silence("accepted", "urgent", MONDAY)
    assert due_on(accepted, Loop(), OFFICE) == date(2026, 11, 4)


def test_a_partner_that_is_never_open_counts_every_day():
    assert working_days_after(NEVER, MONDAY, 3) == date(2026, 11, 5)
