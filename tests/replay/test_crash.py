"""The database server is killed in the middle of a replay: nothing acknowledged is lost."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from regional311.config.apply import apply
from regional311.database.embedded import ADMIN_ROLE, APP_ROLE, OWNER_ROLE, EmbeddedServer
from regional311.database.prepare import migrate, prepare_database
from regional311.database.session import Scope, make_engine, session_scope
from regional311.intake.models import Contact, ServiceRequest
from regional311.metering.models import UsageEvent
from regional311.referral.snapshot import invalidate, published
from regional311.replay.service import replay
from tests.replay.test_service import CITY, MAP, ROOT

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
MANY = 6000
REPLAY = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from regional311.database.session import make_engine
from regional311.replay.service import replay
total = 0
def acknowledged(many):
    global total
    total += many
    print(total, flush=True)
replay(make_engine(sys.argv[1]), Path(sys.argv[2]), tenant="city-of-portland",
       map_file=Path(sys.argv[3]), now=datetime(2026, 11, 2, tzinfo=UTC), progress=acknowledged)
"""


def test_a_killed_server_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    export, map_file = tmp_path / "export.csv", tmp_path / "map.toml"
    map_file.write_text(MAP)
    with export.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "created", "source", "type", "text"))
        for number in range(MANY):
            writer.writerow((number, "2026-10-05 10:15", "Call", "Graffiti", "wall"))
    server = EmbeddedServer(tmp_path / "var")
    try:
        address = server.ensure()
        app, owner = address.url(APP_ROLE), address.url(OWNER_ROLE)
        prepare_database(address.url(ADMIN_ROLE, "postgres"), app_url=app, owner_url=owner)
        migrate(owner)
        engine = make_engine(app)
        apply(engine, ROOT, now=NOW)
        engine.dispose()

        command = [sys.executable, "-c", REPLAY, app, str(export), str(map_file)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        ) as child:
            assert child.stdout is not None
            told = [child.stdout.readline(), child.stdout.readline()]
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            told += child.stdout.read().split()
        assert child.returncode != 0
        acknowledged = int(told[-1])

        server.stop()  # it has ended: only what is left of its process is taken away
        server.ensure()
        engine = make_engine(app)
        invalidate()
        scope = Scope(published(engine).ids[CITY])

        def count(model) -> int:
            with session_scope(engine, scope) as session:
                return session.scalar(
                    select(func.count())
                    .select_from(model)
                    .where(model.tenant_id == scope.tenant_id)
                )

        kept = count(Contact)
        assert 0 < acknowledged <= kept < MANY
        assert count(ServiceRequest) == kept

        report = replay(engine, export, tenant=CITY, map_file=map_file, now=NOW)
        assert (report.known, report.taken) == (kept, MANY - kept)
        assert count(Contact) == count(ServiceRequest) == MANY
        assert count(UsageEvent) == 2 * MANY
        engine.dispose()
    finally:
        invalidate()
        server.destroy()
