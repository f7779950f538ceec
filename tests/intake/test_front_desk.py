"""Numbers of the day, who is called next, and what is forgotten."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from regional311.database.session import Scope, acting_for, open_session, session_scope
from regional311.errors import InvalidInput, NotFound
from regional311.intake import front_desk, service
from regional311.intake.front_desk import (
    Arrival,
    NobodyWaits,
    NotWaiting,
    Seen,
    arrive,
    call,
    come_back,
    leave,
    to_show,
    usual_wait,
    visits,
)
from regional311.intake.models import Contact, Visit
from regional311.metering.models import UsageEvent
from tests.intake.test_requests import only
from tests.little_region import IDS, NOW

TODAY = date(2026, 10, 5)
LATER = NOW + timedelta(minutes=12)


def come(session, **said):
    return arrive(session, Arrival(**said), today=TODAY, now=NOW)


def next_one(session, now=LATER, **more):
    def begin(visit, waited):
        return service.start_contact(
            session, now=now, channel="walk_in", language=visit.language, wait_seconds=waited
        )

    return call(session, today=TODAY, now=now, begin=begin, **more)


def test_numbers_are_of_the_day_and_of_the_partner(city, region):
    assert [come(city), come(city)] == [1, 2]
    assert arrive(city, Arrival(), today=TODAY + timedelta(days=1), now=NOW) == 1
    with acting_for(city, IDS["county"]):
        assert come(city) == 1
        assert len(visits(city, TODAY)) == 1


def test_who_waited_longest_is_called_and_the_wait_is_known(city, region):
    come(city, name="Rosa", reason="Water bill", language="es", interpreter=True)
    come(city)
    number, contact_number = next_one(city, to="Window 2")
    contact = only(city, Contact)
    assert (number, contact.public_id) == (1, contact_number)
    assert (contact.channel, contact.wait_seconds, contact.language) == ("walk_in", 720, "es")
    assert (contact.interpreter, contact.note) == (True, "Water bill")
    first, second = visits(city, TODAY)
    assert (first.state, first.called_to, first.contact) == ("called", "Window 2", contact_number)
    assert (second.state, second.contact) == ("waiting", None)


def test_one_may_be_called_before_others_and_only_once(city, region):
    come(city)
    come(city)
    second = visits(city, TODAY)[1].id
    assert next_one(city, visit_id=second)[0] == 2
    with pytest.raises(NotWaiting):
        next_one(city, visit_id=second)
    assert next_one(city)[0] == 1
    with pytest.raises(NobodyWaits):
        next_one(city)
    assert len(city.execute(select(Contact)).all()) == 2


def test_who_does_not_come_ends_as_a_hang_up_and_can_be_put_back(city, region):
    come(city, name="Rosa")
    next_one(city)
    visit = visits(city, TODAY)[0].id
    assert leave(city, visit_id=visit, today=TODAY, now=LATER) == 1
    assert leave(city, visit_id=visit, today=TODAY, now=LATER) == 1
    contact = only(city, Contact)
    assert (contact.disposition, contact.ended_at) == ("hang_up", LATER)
    assert only(city, UsageEvent).activity == "contact_handled"
    assert come_back(city, visit_id=visit, today=TODAY, now=LATER) == 1
    assert visits(city, TODAY)[0].state == "waiting"
    assert next_one(city)[0] == 1
    with pytest.raises(NotWaiting):
        come_back(city, visit_id=visit, today=TODAY, now=LATER)


def test_who_was_helped_and_goes_changes_nothing(city, region):
    come(city)
    next_one(city)
    contact = only(city, Contact)
    service.close_contact(
        city,
        now=LATER,
        contact_id=contact.id,
        version=contact.version,
        disposition="answered",
        zone_day=TODAY,
    )
    leave(city, visit_id=visits(city, TODAY)[0].id, today=TODAY, now=LATER)
    assert only(city, Contact).disposition == "answered"


def test_a_neighbour_calls_nobody(city, region):
    come(city, name="Rosa")
    visit = visits(city, TODAY)[0].id
    with acting_for(city, IDS["county"]):
        with pytest.raises(NotWaiting):
            next_one(city, visit_id=visit)
        with pytest.raises(NobodyWaits):
            next_one(city)
        with pytest.raises(NotFound):
            leave(city, visit_id=visit, today=TODAY, now=LATER)
        assert front_desk.how_many_wait(city, TODAY) == 0
    assert front_desk.how_many_wait(city, TODAY) == 1


@pytest.mark.parametrize("field", ["name", "reason", "accommodation"])
def test_too_many_words_are_refused(city, region, field):
    with pytest.raises(InvalidInput) as refused:
        come(city, **{field: "x" * 301})
    assert refused.value.field == field
    assert visits(city, TODAY) == []


def test_names_are_forgotten_when_the_day_is_over(city, region):
    come(city, name="Rosa", reason="Water bill")
    come(city)
    assert front_desk.forget(city, NOW) == 0
    assert front_desk.forget(city, NOW + timedelta(days=1)) == 1
    assert front_desk.forget(city, NOW + timedelta(days=1)) == 0
    first = visits(city, TODAY)[0]
    assert (first.number, first.name, first.reason) == (1, None, None)


def test_two_who_call_at_once_call_two_people(committed_engine, region):
    scope = Scope(IDS["city"], UUID(int=42))
    with session_scope(committed_engine, scope) as session:
        come(session)
        come(session)
    called, both = [], threading.Barrier(2)

    def at_a_window():
        with session_scope(committed_engine, scope) as session:
            both.wait()
            called.append(next_one(session)[0])
            both.wait()

    windows = [threading.Thread(target=at_a_window) for _ in range(2)]
    for each in windows:
        each.start()
    for each in windows:
        each.join(30)
    assert sorted(called) == [1, 2]
    with open_session(committed_engine, scope) as session:
        assert session.execute(select(func.count()).select_from(Visit)).scalar_one() == 2


def seen(waited, state="called", called=True):
    arrived = NOW
    return Seen(
        id=UUID(int=1),
        number=1,
        line_key=None,
        name=None,
        reason=None,
        language="en",
        interpreter=False,
        accommodation=None,
        state=state,
        arrived_at=arrived,
        called_at=arrived + timedelta(seconds=waited) if called else None,
        called_by=None,
        called_to=None,
        left_at=None,
        for_id=None,
        contact=None,
        ended_at=None,
    )


@given(st.lists(st.integers(0, 10_000), max_size=30))
def test_the_usual_wait_lies_within_those_of_the_last_ten(waits):
    usual = usual_wait([seen(each) for each in waits])
    if len(waits) < front_desk.TELLING:
        assert usual is None
        return
    last = sorted(waits)[-front_desk.REMEMBERED :]
    assert timedelta(seconds=min(last)) <= usual <= timedelta(seconds=max(last))


def test_the_screen_shows_who_was_called_lately_and_nobody_else():
    lately, long_ago = seen(60), seen(0)
    waits = seen(0, state="waiting", called=False)
    now = NOW + timedelta(minutes=10, seconds=30)
    assert to_show([long_ago, waits, lately], now) == [lately]
