"""What a specialist is doing: on a contact, wrapping up, available, away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from regional311.floor.standing import AVAILABLE, AWAY, ON_CONTACT, STATES, WRAP_UP, Busy, standing

AT = datetime(2026, 10, 13, 16, tzinfo=UTC)


def at(minute: int) -> datetime:
    return AT + timedelta(minutes=minute)


def test_with_somebody_there_since_the_first_began():
    found = standing([Busy(at(5), at(9)), Busy(at(7)), Busy(at(12))], at(0), at(3))
    assert (found.state, found.since) == (ON_CONTACT, at(7))


def test_wrap_up_begins_when_the_last_has_gone():
    found = standing([Busy(at(1), at(4)), Busy(at(2), at(6))], None, None)
    assert (found.state, found.since) == (WRAP_UP, at(6))


def test_available_since_the_last_contact_or_since_coming():
    assert standing([], at(0), None).since == at(0)
    assert standing([], at(0), at(9)).since == at(9)
    assert standing([], at(10), at(9)).since == at(10)


def test_mail_that_waits_is_no_contact():
    assert standing([Busy(at(1), live=False)], at(3), None).state == AVAILABLE
    assert standing([Busy(at(1), live=False)], None, None).state == AWAY


minutes = st.integers(0, 600).map(at)
busy = st.builds(Busy, minutes, st.none() | minutes, st.booleans())


@given(st.lists(busy), st.none() | minutes, st.none() | minutes)
def test_only_who_is_away_has_no_since(contacts, came, last):
    found = standing(contacts, came, last)
    assert found.state in STATES
    assert (found.since is None) == (found.state == AWAY)
    if found.state == AWAY:
        assert came is None
        assert not any(each.live for each in contacts)
