"""Both sides are reminded of an agreement's end, once for each step."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range

from regional311.chargeback import agreement_reminders
from regional311.chargeback.agreement_reminders import remind, steps_due
from regional311.chargeback.agreement_terms import Terms
from regional311.identity.service import grant
from regional311.notices.models import OutboxMessage
from regional311.notices.worker import Chore, work

from .conftest import JULY, Region

ENDS = date(2027, 7, 1)
TERMS = {
    "due_days": 30,
    "number_prefix": "CITY",
    "reference": "IGA-1",
    "notice_days": 60,
    "expiry_reminder_days": [90, 30],
}


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 20, tzinfo=UTC)


def test_examples_in_the_documentation() -> None:
    assert doctest.testmod(agreement_reminders).failed == 0


@settings(max_examples=100, deadline=None)
@given(
    days=st.lists(st.integers(1, 400), unique=True, max_size=4),
    notice=st.integers(0, 400),
    before=st.integers(-10, 900),
)
def test_steps_come_in_order_and_never_go(days: list[int], notice: int, before: int) -> None:
    """Once due a step stays due until the end, and a nearer step means every farther one."""
    terms = Terms(notice_days=notice, expiry_reminder_days=tuple(sorted(days, reverse=True)))
    today = ENDS - timedelta(days=before)
    due = steps_due(terms, ENDS, today)
    assert due == list(terms.expiry_reminder_days)[: len(due)]
    if before > 1:
        assert set(due) <= set(steps_due(terms, ENDS, today + timedelta(days=1)))
    if before <= 0:
        assert due == []


@pytest.fixture
def ending(region: Region) -> Region:
    region.agree("share", "city", "county", "contact_handled", valid=Range(JULY, ENDS), terms=TERMS)
    for slug, name, role in (
        ("city", "finance", "finance"),
        ("city", "specialist", "specialist"),
        ("county", "finance", "finance"),
        ("community", "finance", "finance"),
    ):
        with region.of(slug) as session:
            grant(
                session,
                person_id=uuid4(),
                name=name,
                email=f"{name}@{slug}.example",
                roles=(role,),
            )
    return region


def told(region: Region, slug: str) -> list[str]:
    with region.of(slug) as session:
        rows = session.execute(
            select(OutboxMessage.recipient, OutboxMessage.body)
            .where(OutboxMessage.event == agreement_reminders.EVENT)
            .order_by(OutboxMessage.id)
        ).all()
    assert all("through 2027-06-30. Say by 2027-05-02" in row.body for row in rows)
    return [row.recipient for row in rows]


@pytest.mark.commits
def test_both_sides_are_told_once_a_step(ending: Region) -> None:
    for day, city in (
        (date(2027, 1, 31), 0),
        (date(2027, 2, 1), 1),
        (date(2027, 2, 2), 1),
        (date(2027, 4, 2), 2),
        (date(2027, 7, 1), 2),
    ):
        for slug in ("city", "county", "community"):
            with ending.of(slug) as session:
                remind(session, now=at(day))
        assert told(ending, "city") == ["finance@city.example"] * city
    assert told(ending, "county") == ["finance@county.example"] * 2
    assert told(ending, "community") == []


@pytest.mark.commits
def test_a_worker_that_was_away_sends_the_latest_step_only(ending: Region) -> None:
    for _again in range(2):
        with ending.of("city") as session:
            remind(session, now=at(date(2027, 6, 1)))
    assert told(ending, "city") == ["finance@city.example"]


@pytest.mark.commits
def test_the_worker_does_its_chores_for_every_partner(ending: Region, tmp_path) -> None:
    from regional311.settings import Settings

    chores = [Chore("reminders", 60, lambda session, now: remind(session, now=now))]
    moment = at(date(2027, 2, 1))
    configured = Settings(var=tmp_path, secret="a secret for tests of forty characters..")
    work(ending.engine, configured, once=True, clock=lambda: moment, chores=chores)
    for slug in ("city", "county"):
        assert len(told(ending, slug)) == 1
