"""The books from the command line: what is printed, what is written, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regional311 import cli
from regional311.database.session import Scope, session_scope
from regional311.ledger.books import credit, debit
from regional311.ledger.service import NewEntry, open_accounts, post
from regional311.referral.snapshot import invalidate
from tests.ledger.test_seals import tamper

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
CITY = "city-of-portland"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(committed_database, tmp_path, monkeypatch, capsys):
    """Run a command on the example region in a database of the test's own."""
    monkeypatch.setenv("REGIONAL311_DATABASE_URL", committed_database.app_url)
    monkeypatch.setenv("REGIONAL311_OWNER_DATABASE_URL", committed_database.owner_url)
    monkeypatch.setenv("REGIONAL311_VAR", str(tmp_path / "var"))
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = 0
        try:
            cli.main([str(each) for each in arguments])
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    yield command
    signal.signal(signal.SIGTERM, handler)
    invalidate()


@pytest.fixture
def posted(committed_database, tenants):
    """Two entries in the City's books; every account that they touch is mapped."""
    engine = committed_database.engine()
    with session_scope(engine, Scope(tenants[CITY])) as session:
        open_accounts(session)
        for number, cents in enumerate((12_345, 5)):
            legs = [
                debit("due_from_outside", cents, party="outside:port"),
                credit("service_revenue", cents, party="outside:port"),
            ]
            post(session, NewEntry("2026-10", "2026-10", "Fees", f"f{number}", legs), now=NOW)
    engine.dispose()


def test_check_still_reads_the_files(run, monkeypatch):
    monkeypatch.chdir(ROOT)
    for arguments in (["check"], ["check", "files"], ["check", "--root", "."]):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (0, "4 partners, nothing wrong.\n")


def test_sealed_checked_and_tampered_with(run, posted, committed_database, tmp_path):
    done = run("books", "seal", "--tenant", CITY)
    assert done.stdout.startswith(f"{CITY}: 1 new seals; head 1 ")
    assert run("books", "heads", "--output", "heads.json").returncode == 0
    assert json.loads(Path("heads.json").read_text())["heads"][CITY]["number"] == 1
    assert json.loads(run("books", "heads").stdout)["heads"]["region"]["number"] == 0
    done = run("check", "books", "--heads", "heads.json")
    assert done.returncode == 0, done.stdout
    assert f"{CITY}: 2 entries with 4 legs over 123.50" in done.stdout
    assert "holds  net_zero" in done.stdout
    tamper(
        committed_database,
        ("DELETE FROM ledger_seal_entries",),
        ("DELETE FROM ledger_seals",),
    )
    assert run("check", "books", "--tenant", CITY).returncode == 0
    done = run("check", "books", "--heads", "heads.json", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == (1, False)
    (chain,) = [check for check in told["checks"] if not check["holds"]]
    assert (chain["name"], chain["problems"][0]["tenant"]) == ("chain", CITY)
    Path("heads.json").write_text("{}")
    assert run("check", "books", "--heads", "heads.json").returncode == 1


def test_a_batch_is_written_and_written_again(run, posted):
    made = run("books", "export", "gl", "--tenant", CITY, "--layout", "sap", "--through", "2026-10")
    assert made.returncode == 0, made.stderr
    file = Path(f"{CITY}-gl-00001.csv")
    content = file.read_bytes()
    assert content.count(b"\r\n") == 5
    file.unlink()
    again = run("books", "export", "gl", "--tenant", CITY, "--batch", "1", "--output", "again.csv")
    assert again.returncode == 0
    assert Path("again.csv").read_bytes() == content
    for arguments, code in (
        (("--layout", "sap", "--through", "2026-10"), 1),
        (("--batch", "9"), 1),
        (("--batch", "1", "--layout", "sap", "--through", "2026-10"), 2),
        (("--layout", "sap"), 2),
        ((), 2),
    ):
        assert run("books", "export", "gl", "--tenant", CITY, *arguments).returncode == code


def test_beancount_and_focus_are_written(run, posted):
    from beancount import loader

    for arguments, name in (
        (("beancount",), "region.beancount"),
        (("beancount", "--tenant", CITY), f"{CITY}.beancount"),
    ):
        assert run("books", "export", *arguments).stdout == f"{name}\n"
        entries, errors, _ = loader.load_file(name)
        assert errors == []
        assert len(entries) == 6
    done = run("books", "export", "focus", "--tenant", CITY, "--month", "2026-10")
    assert done.returncode == 0
    assert Path(f"{CITY}-focus.csv").read_text().startswith("BilledCost,")
    assert run("books", "export", "focus", "--tenant", CITY, "--month", "x").returncode == 1
