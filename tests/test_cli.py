"""The commands as an operator types them: output, one line for an error, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from regional311 import cli
from regional311.referral.snapshot import invalidate
from regional311.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def regional311(committed_database, tmp_path, monkeypatch, capsys):
    """Run a command on a database of the test's own.

    In this process, except for those that set up a process of their own.
    """
    given = {
        "REGIONAL311_DATABASE_URL": committed_database.app_url,
        "REGIONAL311_OWNER_DATABASE_URL": committed_database.owner_url,
        "REGIONAL311_VAR": str(tmp_path / "var"),
    }
    monkeypatch.chdir(ROOT)
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        if arguments[0] in {"--help", "work"}:
            return subprocess.run(
                [sys.executable, "-m", "regional311.cli", *arguments],
                env=os.environ | given | more,
                capture_output=True,
                text=True,
                check=False,
            )
        for name, value in (given | more).items():
            monkeypatch.setenv(name, value)
        code = 0
        try:
            cli.main(list(arguments))
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    yield run
    signal.signal(signal.SIGTERM, handler)
    invalidate()


def assert_one_line(done: subprocess.CompletedProcess[str], says: str, code: int = 1) -> None:
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("regional311: ")


def test_help_names_every_command(regional311) -> None:
    done = regional311("--help")
    assert done.returncode == 0
    known = (
        "apply bill check demo docs explain export init migrate plan replay serve statement work"
    )
    for command in known.split():
        assert f"\n  {command} " in done.stdout
    assert "web-process" not in done.stdout


def test_the_installed_files_are_right_and_change_nothing(regional311) -> None:
    assert regional311("check").stdout.endswith("nothing wrong.\n")
    assert regional311("plan").stdout == "No changes.\n"
    assert regional311("apply").stdout == "No changes.\n"


def test_what_is_exported_applies_as_no_change(regional311, tmp_path) -> None:
    assert regional311("export", str(tmp_path / "out")).returncode == 0
    assert regional311("plan", "--root", str(tmp_path / "out")).stdout == "No changes.\n"


def test_a_directory_goes_out_and_comes_in_again(regional311, tmp_path) -> None:
    package = tmp_path / "region.zip"
    assert regional311("hsds", "export", str(package)).stdout.startswith("The package is in")
    first = package.read_bytes()
    regional311("hsds", "export", str(package))
    assert package.read_bytes() == first
    done = regional311("hsds", "export", str(tmp_path / "tables"), "--tenant", "211info")
    assert "services.csv" in done.stdout
    for name in ("region.json", "region.ndjson"):
        assert "services are in" in regional311("hsds", "export", str(tmp_path / name)).stdout
    taken = ("hsds", "import", str(package), "--tenant", "multnomah-county", "--json")
    dry = json.loads(regional311(*taken, "--dry-run").stdout)
    assert dry["dry_run"]
    assert dry["broken"] == 0
    assert dry["entries"]["services"]["new"] > 20
    assert json.loads(regional311(*taken).stdout)["entries"] == dry["entries"]
    again = json.loads(regional311(*taken).stdout)
    assert set(again["entries"]["services"]) == {"unchanged"}
    assert {tuple(counts) for counts in again["files"].values()} == {("unchanged",)}


def test_a_broken_package_is_refused_by_file_and_row(regional311, tmp_path) -> None:
    (tmp_path / "services.csv").write_text("id,name,status\n1,,active\n2,Pantry,active\n")
    taken = ("hsds", "import", str(tmp_path), "--tenant", "211info")
    refused = regional311(*taken)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "services.csv row 2, name: is missing" in refused.stderr
    assert "1 broken" in regional311(*taken, "--dry-run").stdout
    assert "1 new" in regional311(*taken, "--skip-broken").stdout
    assert regional311(*taken, "--skip-broken", "--as", "nobody@example.org").returncode == 1
    assert "no bureau x" in regional311(*taken, "--skip-broken", "--bureau", "x").stderr


def test_the_worker_ends_when_nothing_is_due(regional311) -> None:
    done = regional311("work", "--once")
    assert (done.returncode, done.stdout) == (0, "Nothing due.\n")


def test_a_month_without_work_is_billed_too(regional311) -> None:
    done = regional311("bill", "2026-10")
    assert done.returncode == 0, done.stderr


def test_a_statement_is_written_in_every_form_and_explained(regional311, tmp_path) -> None:
    drafts = json.loads(regional311("bill", "2026-10", "--json").stdout)
    (number, *_) = [each["public_id"] for each in drafts if each["state"] == "draft"]
    asks = ("--tenant", "city-of-portland")
    begins = {"pdf": b"%PDF", "xlsx": b"PK", "csv": b"statement,", "json": b'{"schema"'}
    for form, start in begins.items():
        target = tmp_path / f"made.{form}"
        done = regional311("statement", number, *asks, "--format", form, "--output", str(target))
        assert done.stdout == f"{target}\n", done.stderr
        assert target.read_bytes().startswith(start)
    said = regional311("explain", number, *asks).stdout.splitlines()
    assert number in said[0]
    assert said[1].startswith("  ")
    told = json.loads(regional311("explain", number, *asks, "--json").stdout)
    assert told["kind"] == "statement"


def test_what_is_not_there_is_said(regional311) -> None:
    done = regional311("explain", "S-1", "--tenant", "211info")
    assert_one_line(done, "211info has no statement S-1")
    done = regional311("statement", "S-1", "--tenant", "211info")
    assert_one_line(done, "211info has no statement S-1")
    assert_one_line(regional311("plan", "--tenant", "nobody"), "nobody")


def test_a_tree_of_terms_is_taken_in_and_tied(regional311, tmp_path) -> None:
    tree, ties = tmp_path / "tree.csv", tmp_path / "ties.csv"
    tree.write_text("code,name,parent\nfood,Food,\nmeals,Meals,food\n")
    ties.write_text("term,relation,other\nour-tree:food,narrower,regional:streets\n")
    to = ["--tenant", "211info", "--key", "our-tree"]
    assert_one_line(regional311("taxonomy", "import", str(tree), *to), "needs a name")
    named = [*to, "--name", "Our tree", "--description", "Of our own."]
    done = regional311("taxonomy", "import", str(tree), *named, "--dry-run")
    assert done.stdout.endswith(
        "It would be: 2 new, 0 changed, 0 gone, 0 as they were, 0 broken.\n"
    )
    assert regional311("taxonomy", "import", str(tree), *named).returncode == 0
    again = regional311("taxonomy", "import", str(tree), *to, "--json")
    counts = json.loads(again.stdout)["counts"]
    assert counts == {"new": 0, "changed": 0, "gone": 0, "same": 2, "broken": 0}
    done = regional311("taxonomy", "crosswalk", str(ties), "--tenant", "211info")
    assert "Taken in: 1 new" in done.stdout
    tree.write_text("code,name,parent\nfood,Food,fod\n")
    assert_one_line(
        regional311("taxonomy", "import", str(tree), *to), "row 2, parent: there is no term fod"
    )


def test_a_list_of_places_is_taken_in_and_ended(regional311, tmp_path) -> None:
    sheet = tmp_path / "crossings.csv"
    row = "Oak St,3rd Ave,45.52,-122.67"
    sheet.write_text(f"street,cross_street,latitude,longitude\n{row}\n")
    to = ["--tenant", "211info", "--key", "crossings"]
    assert_one_line(regional311("places", "import", str(sheet), *to), "Say the list's name")
    named = [*to, "--name", "Crossings", "--licence", "CC0"]
    done = regional311("places", "import", str(sheet), *named, "--dry-run")
    assert done.stdout == ("It would be: 1 new, 0 gone, 0 as they were, 0 named twice, 0 broken.\n")
    assert regional311("places", "import", str(sheet), *named).returncode == 0
    again = json.loads(regional311("places", "import", str(sheet), *to, "--json").stdout)
    assert (again["new"], again["same"], again["applied"]) == (0, 1, True)
    sheet.write_text(f"street,cross_street,latitude,longitude\n{row}\nOak St,,45.52,-122.67\n")
    assert_one_line(regional311("places", "import", str(sheet), *to), "row 3: number is missing")
    done = regional311("places", "import", str(sheet), *to, "--skip-broken")
    assert "1 as they were, 0 named twice, 1 broken." in done.stdout
    assert regional311("places", "end", *to).stdout == "1 places ended.\n"
    assert_one_line(regional311("places", "end", "--tenant", "211info", "--key", "x"), "no list x")


@pytest.mark.parametrize(
    "arguments",
    [["bill", "2026-13"], ["serve", "--port", "99999"], ["replay"], ["nonsense"]],
    ids=lambda arguments: arguments[0],
)
def test_a_wrong_argument_is_exit_code_2(regional311, arguments) -> None:
    done = regional311(*arguments)
    assert done.returncode == 2
    assert "Error:" in done.stderr


def test_a_database_that_is_down_is_one_line(regional311) -> None:
    down = "postgresql://regional311_app:x@127.0.0.1:1/region"
    assert_one_line(regional311("plan", REGIONAL311_DATABASE_URL=down), "cannot be reached")
    assert_one_line(
        regional311("work", "--once", REGIONAL311_DATABASE_URL=down), "cannot be reached"
    )


def test_a_wrong_setting_is_one_line(regional311) -> None:
    done = regional311("plan", REGIONAL311_DATABASE_URL="mysql://a/b")
    assert_one_line(done, "REGIONAL311_DATABASE_URL must begin with postgresql://")


def test_an_old_schema_says_what_to_run(regional311, committed_database) -> None:
    engine = create_engine(committed_database.owner_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    assert_one_line(regional311("plan"), "run regional311 migrate")


def test_init_on_an_outside_server_names_what_is_missing(regional311) -> None:
    assert_one_line(regional311("init"), "REGIONAL311_ADMIN_DATABASE_URL must be set")
    done = regional311("init", REGIONAL311_OWNER_DATABASE_URL="")
    assert_one_line(done, "REGIONAL311_OWNER_DATABASE_URL must be set")


def test_init_and_migrate_on_an_outside_server(regional311, server) -> None:
    admin = server.address.url("postgres", "postgres")
    for _ in range(2):
        done = regional311("init", REGIONAL311_ADMIN_DATABASE_URL=admin)
        assert (done.returncode, done.stdout) == (0, "The database is ready.\n"), done.stderr
    assert regional311("migrate").stdout == "The schema is up to date.\n"


def test_a_var_that_cannot_be_used_is_one_line(regional311, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    done = regional311("plan", "--var", str(tmp_path / "file" / "var"))
    assert_one_line(done, "Not a directory")


def test_the_worker_forgets_no_chore(tmp_path):
    """What ends, expires, reminds or is forgotten by itself is nobody else's to do."""
    known = cli.chores(Settings.from_environment(tmp_path, {}))
    apart = [each.name for each in known if getattr(each, "apart", False)]
    assert apart == ["program_news"], "mail and texts wait for nobody's program"
    chores = [each.name for each in known]
    assert set(chores) == {
        *("agreement_reminders", "payment_reminders", "budget_warnings", "loops", "consents"),
        *("partners_left", "keeping", "trends", "ledger_seals", "catalogue_due", "cover"),
        *("line_openings", "rule_watch"),
        *("outside_systems", "backtests", "search_documents", "search_words", "alike_entries"),
        *("front_desk_names", "me_too_addresses", "packages", "bulk_changes", "texts"),
        *("accommodation_reminders", "accommodation_details", "answers_back", "digests"),
        *("program_news", "held_files", "conversations", "contact_drafts", "internal_notes"),
        *("old_contacts", "old_people", "old_requests", "old_referrals", "old_messages"),
        *("old_envelopes", "old_answers", "old_sessions", "rate_sheets", "prepayments"),
        "rate_approvals",
    }
