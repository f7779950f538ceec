"""What the floor counts comes from indexes in order, however much was done before."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import create_engine, event, text

from regional311.database.ids import new_id
from regional311.database.session import Scope, open_session, session_scope
from regional311.floor import watching
from tests.little_region import IDS, NOW

ROWS = 20_000
TOUCHED = 400
"""Pages of memory that a count may touch: hundreds, not the thousands of the table."""
ANA = new_id()


@pytest.fixture
def long_ago(committed_engine, server):
    """Many requests that were closed late, and forty that are open, one in four of them Ana's."""
    with session_scope(committed_engine, Scope(IDS["city"])) as session:
        session.execute(
            text(
                "INSERT INTO service_requests (tenant_id, id, public_id, service_key, queue,"
                " intake_tenant_id, state, priority, place_kind, confidential, assignee_id,"
                " opened_at, expected_at, warn_at, updated_at, version)"
                " SELECT :t, gen_random_uuid(), 'R-' || i, 'pothole',"
                " CASE WHEN i % 2 = 0 THEN 'streets' END, :t,"
                " CASE WHEN i <= 40 THEN 'assigned' ELSE 'closed' END, 'normal', 'none', i = 40,"
                " CASE WHEN i % 4 = 0 THEN CAST(:ana AS uuid) END,"
                " :now - interval '9 days', :now - (i - 10) * interval '1 hour',"
                # of three of the ten that are not late nobody is warned yet
                " :now - (i - 3) * interval '1 hour', :now, 1"
                " FROM generate_series(1, :rows) i"
            ),
            {"t": IDS["city"], "now": NOW, "rows": ROWS, "ana": ANA},
        )
    owner = create_engine(
        server.database(committed_engine.url.database).owner_url, isolation_level="AUTOCOMMIT"
    )
    with owner.connect() as connection:
        connection.execute(text("ANALYZE service_requests"))
    owner.dispose()
    return committed_engine


@pytest.mark.commits
def test_what_is_late_is_counted_by_queue_and_person_from_an_index(long_ago):
    sent = []

    def keep(connection, cursor, statement, parameters, context, executemany) -> None:
        sent.append((statement, parameters))

    today = NOW.date()
    event.listen(long_ago, "before_cursor_execute", keep)
    with open_session(long_ago, Scope(IDS["city"])) as session:
        cleared = watching.at_risk(session, today=today, now=NOW, cleared=True)
        others = watching.at_risk(session, today=today, now=NOW, cleared=False)
        for statement, parameters in sent[-2:]:
            plan = session.connection().exec_driver_sql(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
            )
            root = plan.scalar_one()[0]["Plan"]
            assert root["Shared Hit Blocks"] + root["Shared Read Blocks"] < TOUCHED
        session.rollback()
    event.remove(long_ago, "before_cursor_execute", keep)
    # the first ten are due at or after now, the other thirty were due before
    assert sum(each.overdue for each in cleared) == 30
    assert sum(each.soon for each in cleared) == 8
    assert sum(each.overdue for each in others) == 29
    hers = [each for each in cleared if each.person_id == ANA]
    assert {each.queue for each in hers} == {"streets"}
    assert sum(each.overdue + each.soon for each in hers) == 10
    assert min(each.first for each in cleared) == NOW - timedelta(hours=30)
