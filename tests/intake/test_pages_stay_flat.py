"""Every list of requests comes from an index in order, however many requests there are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, create_engine, event, text

from regional311.database.session import Scope, open_session, session_scope
from regional311.intake import lifecycle, queries
from regional311.intake.open_requests import Wanted, open_requests
from tests.little_region import IDS, NOW

ROWS = 20_000
TOUCHED = 400
"""Pages of memory that a page of 25 rows may touch: hundreds, not the thousands of the table."""


@pytest.fixture
def full(committed_engine: Engine, server) -> Engine:
    """A queue of many requests, two in fifty of them open."""
    with session_scope(committed_engine, Scope(IDS["city"])) as session:
        session.execute(
            text(
                "INSERT INTO service_requests (tenant_id, id, public_id, service_key, queue,"
                " intake_tenant_id, state, priority, place_kind, confidential, opened_at,"
                " updated_at, version) SELECT :t, gen_random_uuid(), 'R-' || i,"
                " CASE WHEN i % 7 = 0 THEN 'pothole' ELSE 'graffiti' END,"
                " CASE WHEN i % 11 = 0 THEN 'streets' ELSE 'roads' END, :t,"
                " CASE i % 50 WHEN 0 THEN 'received' WHEN 1 THEN 'assigned' ELSE 'closed' END,"
                " 'normal', 'none', false, :now - i * interval '1 minute',"
                " :now - (i::bigint * 7919 % :rows) * interval '1 minute', 1"
                " FROM generate_series(1, :rows) i"
            ),
            {"t": IDS["city"], "now": NOW, "rows": ROWS},
        )
    owner = create_engine(
        server.database(committed_engine.url.database).owner_url, isolation_level="AUTOCOMMIT"
    )
    with owner.connect() as connection:
        connection.execute(text("ANALYZE service_requests"))
    owner.dispose()
    return committed_engine


@pytest.mark.commits
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"states": lifecycle.OPEN},
        {"states": ("closed",)},
        {"queue": "streets"},
        {"queue": "roads", "states": lifecycle.OPEN},
        {"service_key": "pothole"},
        {"service_key": "pothole", "states": lifecycle.OPEN, "oldest_first": True},
    ],
)
def test_a_page_touches_little(full, asked):
    def pages(session):
        after = queries.requests(session, **asked).after
        queries.requests(session, **asked, after=after)

    touches_little(full, pages, 2)


@pytest.mark.commits
def test_what_changed_lately_is_found_without_reading_all(full):
    lately = Wanted(updated_start=NOW - timedelta(minutes=30))

    def changed(session):
        seen = open_requests(session, lately, open_services={"pothole", "graffiti"}, limit=1000)
        assert len(seen) == 31

    touches_little(full, changed, 1)


def touches_little(engine, ask, statements):
    """Let `ask` use a session, then look at how the last statements that it sent are answered."""
    sent = []

    def record(connection, cursor, statement, parameters, context, executemany) -> None:
        sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", record)
    with open_session(engine, Scope(IDS["city"])) as session:
        ask(session)
        for statement, parameters in sent[-statements:]:
            plan = session.connection().exec_driver_sql(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
            )
            root = plan.scalar_one()[0]["Plan"]
            assert root["Shared Hit Blocks"] + root["Shared Read Blocks"] < TOUCHED, str(root)
            assert "Seq Scan" not in str(root)
        session.rollback()
    event.remove(engine, "before_cursor_execute", record)


def test_only_open_requests_are_overdue(full):
    with open_session(full, Scope(IDS["city"])) as session:
        late = queries.requests(session, overdue_at=NOW + timedelta(days=1), states=("closed",))
        assert late.rows == []
