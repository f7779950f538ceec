"""What people wrote and called about is forgotten when its time is up, and nothing that waits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import scope_of
from regional311.inbox.forgetting import KEEP_DAYS, forget
from regional311.inbox.models import Call, Thread, ThreadMessage
from regional311.inbox.working import From, answer, came_back, claim
from regional311.notices.models import OutboxMessage
from tests.inbox.conftest import ADDRESS, NOW, SECRET

LATER = NOW + timedelta(days=KEEP_DAYS + 1)
SENDER = From(ADDRESS, "Mail", "City of Portland", SECRET)


def row(desk, thread_id):
    return desk.scalars(
        select(Thread).where(Thread.id == thread_id).execution_options(populate_existing=True)
    ).one()


@pytest.fixture
def answered(desk, write):
    """A thread that was answered, and is done."""
    came = write("My name is Ana and the light is out.")
    claim(desk, came.thread_id, now=NOW)
    answer(
        desk,
        came.thread_id,
        row(desk, came.thread_id).version,
        text="Dear Ana, we look at it.",
        sender=SENDER,
        done=True,
        today=NOW.date(),
        now=NOW,
    )
    send(desk)
    desk.execute(
        update(OutboxMessage)
        .where(OutboxMessage.tenant_id == scope_of(desk).tenant_id)
        .values(state="sent", sent_at=NOW),
        execution_options={"synchronize_session": False},
    )
    return came.thread_id


def test_words_names_and_answers_go_and_the_count_stays(desk, answered):
    assert forget(desk, NOW + timedelta(days=KEEP_DAYS - 1)) == 0
    assert forget(desk, LATER) == 1
    found = row(desk, answered)
    assert (found.address, found.name, found.subject) == (None, None, None)
    assert (found.state, found.erased_at, found.began_at) == ("done", LATER, NOW)
    messages = desk.execute(
        select(ThreadMessage.id, ThreadMessage.text, ThreadMessage.direction).where(
            ThreadMessage.thread_id == answered
        )
    ).all()
    assert sorted(each.direction for each in messages) == ["in", "out"]
    assert {each.text for each in messages} == {""}
    letters = desk.execute(
        select(OutboxMessage.recipient, OutboxMessage.body).where(
            OutboxMessage.id.in_([each.id for each in messages])
        )
    ).all()
    assert letters == [("", "")]
    assert forget(desk, LATER) == 0


def test_who_still_waits_is_not_forgotten(desk, write):
    came = write("Nobody has answered me.")
    assert forget(desk, LATER) == 0
    assert row(desk, came.thread_id).address == "ana@example.org"


def test_what_comes_later_begins_a_thread_of_its_own(desk, write, answered):
    forget(desk, LATER)
    again = write("It is out again.", at=LATER)
    assert again.thread_id != answered


def test_a_number_that_called_is_forgotten_once_it_is_settled(desk):
    given = {"tenant_id": scope_of(desk).tenant_id, "line_key": "main", "rang_at": NOW}
    settled, waiting = new_id(), new_id()
    for each, at in ((settled, NOW), (waiting, None)):
        put(
            desk,
            new_row(
                Call,
                id=each,
                call_key=str(each),
                caller="+15035550123",
                settled_at=at,
                **given,
            ),
        )
    send(desk)
    assert forget(desk, LATER) == 1
    callers = dict(
        desk.execute(select(Call.id, Call.caller).where(Call.id.in_([settled, waiting]))).all()
    )
    assert callers == {settled: None, waiting: "+15035550123"}


def test_an_answer_that_did_not_arrive_brings_its_thread_back(desk, answered):
    assert came_back(desk, answered, now=LATER) is True
    found = row(desk, answered)
    assert (found.state, found.claimed_by, found.done_at) == ("new", None, None)
    assert (found.undeliverable_at, found.waiting_since) == (LATER, LATER)
    assert came_back(desk, new_id(), now=LATER) is False
