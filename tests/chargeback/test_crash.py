"""A statement is issued whole or not at all, wherever its process dies.

A process of its own issues a statement and kills itself (SIGKILL) before one SQL statement after
another, every eighth of those that it takes, and once after the commit; another loses its
connection to the server. After every death both partners' rows are looked at. The control commits
half-way and must be found.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from regional311.chargeback import billing
from regional311.chargeback.checks import check_region
from regional311.chargeback.rating import run_rating
from regional311.database.embedded import ADMIN_ROLE
from tests.chargeback.test_billing import NOW, OCTOBER, rate_and_draft, rows, through

pytestmark = pytest.mark.commits

SCRIPT = Path(__file__).with_name("issuing.py")
ROOT = SCRIPT.parents[2]
NOTHING = {"city": (0, 0, 0, 0), "county": (0, 0, 0, 0)}


@pytest.fixture
def approved(region):
    """Two approved statements of a small month."""
    for payer in ("county", "community"):
        region.agree(f"city-{payer}", "city", payer, "contact_handled")
        for day in (1, 5, 20):
            region.use("city", payer, at=(2026, 10, day, 9))
    region.rate("city", "phone", "contact_handled", "4.905", channel="phone")
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts, until="approved")
    region.drafts = drafts
    return region


@pytest.fixture(scope="module")
def killed():
    """A process that forks one that issues, for each order; gives the function to order with."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def order(region, statement, how, number=0):
        given = {
            "url": region.engine.url.render_as_string(hide_password=False),
            "tenant": str(region.tenants["city"]),
            "person": str(region.preparer),
            "statements": [str(statement)],
            "now": NOW.isoformat(),
            "how": how,
            "number": number,
        }
        process.stdin.write(f"{json.dumps(given)}\n")
        process.stdin.flush()
        return process.stdout.readline().split()

    yield order
    process.stdin.close()
    process.stdout.close()
    process.wait(10)


def stands(region):
    """What each side has of issued statements: events, numbers taken, entries, rows delivered."""
    query = (
        "SELECT (SELECT count(*) FROM statement_events WHERE tenant_id = :tenant"
        "  AND state IN ('issued', 'received')),"
        " (SELECT coalesce(max(last_number), 0) FROM statement_counters"
        "  WHERE tenant_id = :tenant),"
        " (SELECT count(*) FROM journal_entries WHERE tenant_id = :tenant),"
        " (SELECT count(*) FROM envelopes WHERE tenant_id = :tenant)"
    )
    return {slug: tuple(rows(region, slug, query)[0]) for slug in ("city", "county")}


def half_done(region):
    """What is wrong after a death; nothing when a statement is there whole or not at all."""
    if stands(region) == NOTHING:
        return []
    return [
        f"{check.name}: {problem.message}"
        for check in check_region(region.engine, region.tenants)
        for problem in check.problems
    ]


def wait_for_the_backends(region):
    """Until the server has noticed that the processes are gone."""
    with region.of("city") as session:
        for _ in range(200):
            others = session.execute(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND usename = current_user"
                )
            ).scalar_one()
            if not others:
                return
            session.execute(text("SELECT pg_sleep(0.01), pg_stat_clear_snapshot()"))
    raise AssertionError("the killed process still holds the server")


def test_killed_anywhere_it_is_issued_whole_or_not_at_all(approved, killed):
    community, county = approved.drafts
    points = 0
    for number in range(1, 400, 8):
        ended = killed(approved, county, "before", number)
        if ended[0] == "done":
            break
        assert ended == ["killed", "9"]
        wait_for_the_backends(approved)
        assert stands(approved) == NOTHING, f"killed before statement {number}"
        points += 1
    assert points > 3
    assert stands(approved)["city"][:3] == (1, 1, 1)
    assert killed(approved, county, "never")[0] == "done"
    assert stands(approved)["city"][:3] == (1, 1, 1)
    (last,) = through_issue(approved, [community])
    assert last.number == "CITY-00002"
    assert half_done(approved) == []


def through_issue(region, statements):
    with region.of("city", region.preparer) as session:
        return [billing.issue(session, each, now=NOW) for each in statements]


def test_killed_after_the_commit_it_is_issued_and_nothing_is_issued_again(approved, killed):
    county = approved.drafts[1]
    assert killed(approved, county, "after") == ["killed", "9"]
    before = stands(approved)
    assert half_done(approved) == []
    (again,) = through_issue(approved, [county])
    assert (again.number, again.again) == ("CITY-00001", True)
    assert stands(approved) == before


def test_the_control_that_commits_half_way_is_found(approved, killed):
    assert killed(approved, approved.drafts[1], "half") == ["killed", "9"]
    wait_for_the_backends(approved)
    assert half_done(approved)


def test_a_lost_server_connection_issues_nothing_and_loses_no_number(approved, empty_database):
    county = approved.drafts[1]
    url = empty_database.address.url(ADMIN_ROLE, "postgres").replace("+psycopg", "")
    with pytest.raises(OperationalError), approved.of("city", approved.preparer) as session:
        pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        billing.issue(session, county, now=NOW)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert stands(approved) == NOTHING
    (issued,) = through_issue(approved, [county])
    assert issued.number == "CITY-00001"
    assert half_done(approved) == []


def at_once(*jobs):
    """Run jobs in threads that begin together; return what went wrong in them."""
    together, wrong = threading.Barrier(len(jobs)), []

    def run(job):
        together.wait()
        try:
            job()
        except Exception as error:  # noqa: BLE001
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_two_that_issue_at_once_give_each_statement_one_number(approved):
    forward, backward = approved.drafts, list(reversed(approved.drafts))
    assert not at_once(
        lambda: [through_issue(approved, [each]) for each in forward],
        lambda: [through_issue(approved, [each]) for each in backward],
    )
    assert stands(approved)["city"][:3] == (2, 2, 2)
    assert half_done(approved) == []


def test_two_runs_at_once_leave_one_set_of_drafts(region):
    region.agree("city-county", "city", "county", "contact_handled")
    region.rate("city", "phone", "contact_handled", "4.905")
    region.use("city", "county")

    def run():
        with region.of("city", region.preparer) as session:
            made = run_rating(session, period=OCTOBER, now=NOW)
            billing.draft_statements(session, made.id, now=NOW)

    assert not at_once(run, run, run)
    live = rows(
        region,
        "city",
        "SELECT s.id FROM statements s WHERE NOT EXISTS (SELECT FROM statement_events v"
        " WHERE v.statement_id = s.id AND v.state = 'void')",
    )
    assert len(live) == 1
    numbers = [row.number for row in rows(region, "city", "SELECT number FROM rating_runs")]
    assert sorted(numbers) == [1, 2, 3]
