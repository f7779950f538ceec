from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from regional311.database.session import Scope, session_scope
from regional311.intake.models import Contact, ServiceRequest
from regional311.metering.models import UsageEvent
from regional311.referral.snapshot import invalidate
from regional311.replay.mapping import ExportUnreadable
from regional311.replay.service import ServiceUnknown, replay

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
CITY = "city-of-portland"
ROOT = Path(__file__).resolve().parents[2]
LOS_ANGELES = ROOT.parent / "shared/data/311/la_myla311_2020_jan_requests.csv"
MAP = """
unplaced = "something-else"

[source]
name = "small"
zone = "America/Los_Angeles"
time_formats = ["%Y-%m-%d %H:%M"]

[columns]
key = "id"
started_at = "created"
channel = "source"
service = "type"
description = "text"

[channels]
Call = "phone"

[services]
Graffiti = "graffiti"
"""


@pytest.fixture
def city(committed_database):
    """A committed database of the test's own, and the City's scope in it."""
    invalidate()
    engine = committed_database.engine()
    with engine.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT id FROM tenants WHERE slug = '{CITY}'")
        scope = Scope(found.scalar_one())
    yield engine, scope
    invalidate()


@pytest.fixture
def map_file(tmp_path: Path) -> Path:
    path = tmp_path / "map.toml"
    path.write_text(MAP)
    return path


def write(path: Path, rows: Iterable[tuple[str, ...]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "created", "source", "type", "text"))
        writer.writerows(rows)
    return path


def some(many: int, start: int = 0) -> list[tuple[str, ...]]:
    return [
        (str(number), "2026-10-05 10:15", "Call", "Graffiti", f"on wall {number}")
        for number in range(start, start + many)
    ]


def count(engine, scope: Scope, model) -> int:
    with session_scope(engine, scope) as session:
        return session.scalar(
            select(func.count()).select_from(model).where(model.tenant_id == scope.tenant_id)
        )


def test_a_second_run_changes_nothing(city, tmp_path: Path, map_file: Path) -> None:
    engine, scope = city
    file = write(tmp_path / "export.csv", some(7))

    first = replay(engine, file, tenant=CITY, map_file=map_file, now=NOW)
    after_first = [count(engine, scope, each) for each in (Contact, ServiceRequest, UsageEvent)]
    second = replay(engine, file, tenant=CITY, map_file=map_file, now=NOW)

    assert (first.rows, first.taken, first.known, first.bad) == (7, 7, 0, 0)
    assert first.outcomes == {"open_request": 7}
    assert (second.taken, second.known) == (0, 7)
    assert after_first[:2] == [7, 7]
    assert [
        count(engine, scope, each) for each in (Contact, ServiceRequest, UsageEvent)
    ] == after_first


def test_a_dry_run_writes_nothing_and_says_the_same(city, tmp_path: Path, map_file: Path) -> None:
    engine, scope = city
    file = write(tmp_path / "export.csv", [*some(3), ("9", "never", "Call", "Graffiti", "")])

    tried = replay(engine, file, tenant=CITY, map_file=map_file, dry_run=True, now=NOW)
    assert count(engine, scope, Contact) == 0
    done = replay(engine, file, tenant=CITY, map_file=map_file, now=NOW)

    assert tried.as_dict() | {"dry_run": False} == done.as_dict()
    assert "would be taken in" in str(tried)
    assert "line 5, created" in str(done)


def test_what_is_not_translated_waits_in_the_named_queue(
    city, tmp_path: Path, map_file: Path
) -> None:
    engine, scope = city
    rows = [("1", "2026-10-05 10:15", "Call", "Llama on the loose", "")]
    file = write(tmp_path / "export.csv", rows)

    report = replay(engine, file, tenant=CITY, map_file=map_file, now=NOW)

    assert report.unplaced == 1
    with session_scope(engine, scope) as session:
        request = session.scalars(
            select(ServiceRequest).where(ServiceRequest.tenant_id == scope.tenant_id)
        ).one()
    assert request.queue == "unplaced"


def test_one_row_that_the_database_refuses_costs_only_itself(
    city, tmp_path: Path, map_file: Path
) -> None:
    engine, scope = city
    bad = ("99", "2026-10-05 10:15", "Call", "Graffiti", "nul \x00 inside")
    file = write(tmp_path / "export.csv", [*some(3), bad, *some(3, start=3)])

    report = replay(engine, file, tenant=CITY, map_file=map_file, now=NOW)

    assert (report.taken, report.bad) == (6, 1)
    assert count(engine, scope, Contact) == 6
    assert report.bad_rows[0].line == 5


def test_a_service_that_nobody_has_is_named_before_anything_is_taken(
    city, tmp_path: Path, map_file: Path
) -> None:
    engine, scope = city
    map_file.write_text(MAP.replace('"graffiti"', '"graffitti"'))
    file = write(tmp_path / "export.csv", some(3))

    with pytest.raises(
        ServiceUnknown, match=r"services\.Graffiti: there is no service .*graffitti"
    ):
        replay(engine, file, tenant=CITY, map_file=map_file, now=NOW)

    assert count(engine, scope, Contact) == 0


def test_a_wrong_header_changes_nothing(city, tmp_path: Path, map_file: Path) -> None:
    engine, scope = city
    file = tmp_path / "export.csv"
    file.write_text("id;created;source\n1;2;3\n")

    with pytest.raises(ExportUnreadable, match="is missing"):
        replay(engine, file, tenant=CITY, map_file=map_file, now=NOW)

    assert count(engine, scope, Contact) == 0


def test_a_killed_replay_loses_nothing_that_it_acknowledged(
    city, committed_database, tmp_path: Path, map_file: Path
) -> None:
    engine, scope = city
    many = 4000
    file = write(tmp_path / "export.csv", some(many))
    script = f"""
import sys
from datetime import datetime, UTC
from pathlib import Path
from regional311.database.session import make_engine
from regional311.replay.service import replay
total = 0
def acknowledged(many):
    global total
    total += many
    print(total, flush=True)
replay(make_engine(sys.argv[1]), Path({str(file)!r}), tenant={CITY!r},
       map_file=Path({str(map_file)!r}), now=datetime(2026, 11, 2, tzinfo=UTC),
       progress=acknowledged)
"""
    command = [sys.executable, "-c", script, committed_database.app_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        told = [child.stdout.readline()]
        time.sleep(0.05)
        os.kill(child.pid, signal.SIGKILL)
        told += child.stdout.read().split()
    acknowledged = int(told[-1])

    kept = count(engine, scope, Contact)
    assert 0 < acknowledged <= kept < many
    assert count(engine, scope, ServiceRequest) == kept

    again = replay(engine, file, tenant=CITY, map_file=map_file, now=NOW)
    assert (again.known, again.taken) == (kept, many - kept)
    assert count(engine, scope, Contact) == many


@pytest.mark.skipif(
    not LOS_ANGELES.exists(), reason="the export of Los Angeles is not beside this checkout"
)
def test_a_real_export_of_ten_thousand_rows(city) -> None:
    engine, scope = city
    map_file = Path(__file__).with_name("myla311.toml")

    report = replay(engine, LOS_ANGELES, tenant=CITY, map_file=map_file, now=NOW)

    assert (report.rows, report.taken, report.bad) == (10_000, 10_000, 0)
    assert report.unplaced == 115
    assert count(engine, scope, Contact) == 10_000
    with session_scope(engine, scope) as session:
        channels = dict(
            session.execute(
                select(Contact.channel, func.count())
                .where(Contact.tenant_id == scope.tenant_id)
                .group_by(Contact.channel)
            ).all()
        )
    assert channels == {"phone": 4548, "app": 4387, "web": 1014, "email": 51}
