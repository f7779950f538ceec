"""Who gave requests to whom today: each once, for who gave it last to whoever has it now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import event

from regional311.database.session import scope_of
from regional311.floor import watching
from regional311.intake.giving import give
from regional311.intake.models import ServiceRequest
from regional311.intake.service import assign_request
from regional311.intake.undoing import as_it_was, put_back
from tests.intake.test_requests import file
from tests.little_region import IDS, IN_CITY, NOW

ANA, BEN, XENIA, YUSUF = (UUID(int=each) for each in (101, 102, 201, 202))
TODAY = NOW + timedelta(days=1)


@pytest.fixture
def filed(city, region):
    """A request of the queue `streets`, and how it is given on, an hour after the last time."""
    return Filed(city, file(city, region, IN_CITY).request_id)


class Filed:
    def __init__(self, session, request_id):
        self.session, self.id, self.at = session, request_id, TODAY

    def row(self):
        self.session.expire_all()
        return self.session.get(ServiceRequest, (IDS["city"], self.id))

    def by(self, person):
        self.at += timedelta(hours=1)
        self.session._scope = replace(scope_of(self.session), person_id=person)
        return {"now": self.at, "request_id": self.id, "version": self.row().version}

    def gives(self, person, to, team="streets", **values):
        give(self.session, **self.by(person), team=team, person_id=to, **values)

    def undone(self, person, before, at):
        put_back(self.session, **self.by(person), before=before, changed_at=at)

    def counted(self):
        found = watching.given(self.session, since=TODAY, cleared=True)
        return [(each.by_id, each.person_id, each.queue, each.number) for each in found]


def test_another_priority_gives_nothing_to_anybody(filed):
    filed.at = NOW
    filed.gives(ANA, XENIA)
    filed.at = TODAY
    filed.gives(BEN, XENIA, priority="high")
    assign_request(filed.session, **filed.by(BEN), priority="urgent")
    assign_request(filed.session, **filed.by(BEN), assignee_id=XENIA, queue="streets")
    assert filed.counted() == []
    filed.gives(BEN, YUSUF, priority="low")
    assign_request(filed.session, **filed.by(ANA), priority="high")
    assert filed.counted() == [(BEN, YUSUF, None, 1)]


def test_what_was_undone_is_as_if_it_had_not_been(filed):
    filed.at = NOW
    filed.gives(ANA, XENIA)
    filed.at, before = TODAY, as_it_was(filed.row())
    filed.gives(BEN, YUSUF)
    filed.undone(BEN, before, filed.at)
    assert filed.row().assignee_id == XENIA
    assert filed.counted() == []


def test_what_was_given_on_again_counts_for_who_gave_it_last(filed):
    filed.gives(ANA, XENIA)
    assert filed.counted() == [(ANA, XENIA, None, 1)]
    before = as_it_was(filed.row())
    filed.gives(BEN, YUSUF)
    assert filed.counted() == [(BEN, YUSUF, None, 1)]
    filed.undone(BEN, before, filed.at)
    assert filed.counted() == [(ANA, XENIA, None, 1)]
    filed.gives(BEN, YUSUF)
    filed.gives(XENIA, XENIA)
    # she took it herself; that Ana had given it to her before is over
    assert filed.counted() == []


def test_one_that_goes_to_a_queue_counts_there_in_one_statement(filed):
    filed.gives(ANA, XENIA)
    filed.row().state = "in_progress"
    filed.session.flush()
    filed.gives(BEN, None)
    assert filed.counted() == [(BEN, None, "streets", 1)]
    filed.gives(ANA, None, team="signs")
    assert filed.counted() == [(ANA, None, "signs", 1)]
    sent = []

    def keep(connection, cursor, statement, parameters, context, executemany) -> None:
        sent.append(statement)

    connection = filed.session.connection()
    event.listen(connection, "before_cursor_execute", keep)
    filed.counted()
    event.remove(connection, "before_cursor_execute", keep)
    (statement,) = sent
    # word for word as the condition of the index says it; a parameter would not be served by it
    assert "audit_events.action = 'request:assign'" in statement
