"""One embedded server for the whole run, a template migrated once, a database for each worker.

The server starts when the first test asks for a database, whichever worker that is; the controller
stops it and deletes its files at the end, also after Ctrl-C.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import hypothesis
import psutil
import psycopg
import pytest
from jinja2 import FileSystemBytecodeCache
from psycopg import sql
from sqlalchemy import Engine, NullPool, create_engine, event, text

from regional311.database.embedded import (
    ADMIN_ROLE,
    APP_ROLE,
    OWNER_ROLE,
    EmbeddedServer,
    ServerAddress,
)
from regional311.database.prepare import migrate, prepare_database
from regional311.database.session import Scope, TenantSession, make_engine, open_session
from regional311.locale.catalogues import compile_catalogues
from regional311.referral import snapshot

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parents[1]
MIGRATED, REGION = "template_migrated", "template_region"
PREFIX = "regional311-tests-"
DIRECTORY = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    given = getattr(config, "workerinput", {}).get("regional311_directory")
    if given is None:
        remove_left_over()
        compile_catalogues()
        given = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    config.stash[DIRECTORY] = Path(given)


def remove_left_over() -> None:
    """Remove the servers of runs that were killed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        number = directory.name.removeprefix(PREFIX).split("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            remove(directory)


def remove(directory: Path) -> None:
    if os.access(directory, os.W_OK):
        EmbeddedServer(directory / "var", for_tests=True).destroy()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    node.workerinput["regional311_directory"] = str(node.config.stash[DIRECTORY])


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or DIRECTORY not in config.stash:
        return
    remove(config.stash[DIRECTORY])


@dataclass(frozen=True)
class Database:
    """One database of the test server and its addresses by role."""

    name: str
    app_url: str
    owner_url: str
    address: ServerAddress

    def engine(self) -> Engine:
        """An engine of the application's role that keeps no connection."""
        return create_engine(self.app_url, poolclass=NullPool)


class Server:
    """The test server: makes databases from templates."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with self._lock():
            self._embedded = EmbeddedServer(directory / "var", for_tests=True)
            self.address = self._embedded.ensure()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._directory / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def database(self, name: str) -> Database:
        return Database(
            name=name,
            app_url=self.address.url(APP_ROLE, name),
            owner_url=self.address.url(OWNER_ROLE, name),
            address=self.address,
        )

    def template(self, name: str, make: Callable[[Database], None]) -> str:
        """Make the template database `name` once in a run; one that failed half-way is not kept."""
        with self._lock():
            if not self._exists(name):
                draft = f"{name}_draft"
                self.drop(draft)
                make(self.database(draft))
                self.run("ALTER DATABASE {} RENAME TO {}", draft, name)
        return name

    def clone(self, template: str, name: str | None = None) -> Database:
        name = name or f"test_{uuid4().hex[:12]}"
        with self._lock():
            self.run(
                "CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY",
                name,
                OWNER_ROLE,
                template,
            )
        # A clone does not inherit the rights on the database itself.
        self.run("REVOKE ALL ON DATABASE {} FROM PUBLIC", name)
        self.run("GRANT CONNECT ON DATABASE {} TO {}", name, APP_ROLE)
        return self.database(name)

    def drop(self, name: str) -> None:
        self.run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _exists(self, name: str) -> bool:
        with self._connect() as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            return found.fetchone() is not None

    def run(self, statement: str, *names: str) -> None:
        with self._connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _connect(self) -> psycopg.Connection:
        url = self.address.url(ADMIN_ROLE, "postgres").replace("+psycopg", "")
        return psycopg.connect(url, autocommit=True)


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Server:
    """The test server, started by whoever needs it first."""
    return Server(pytestconfig.stash[DIRECTORY])


@pytest.fixture(scope="session")
def compiled_templates(pytestconfig: pytest.Config) -> dict[str, Any]:
    """Settings with which the applications of all tests compile a page's template once."""
    directory = pytestconfig.stash[DIRECTORY] / "templates"
    directory.mkdir(exist_ok=True)
    return {"jinja2.bytecode_caching": FileSystemBytecodeCache(str(directory))}


@pytest.fixture(scope="session")
def migrated_template(server: Server) -> str:
    """A database with the schema and nothing in it."""

    def make(database: Database) -> None:
        prepare_database(
            server.address.url(ADMIN_ROLE, "postgres"),
            app_url=database.app_url,
            owner_url=database.owner_url,
        )
        migrate(database.owner_url)

    return server.template(MIGRATED, make)


@pytest.fixture(scope="session")
def region_template(server: Server, migrated_template: str) -> str:
    """A database with the example region of `tenants/` and `policies/` applied."""

    def make(database: Database) -> None:
        server.run("CREATE DATABASE {} OWNER {} TEMPLATE {}", database.name, OWNER_ROLE, MIGRATED)
        apply_region(database)

    return server.template(REGION, make)


def apply_region(database: Database) -> None:
    """Apply the example region to an empty database, as `regional311 apply` does."""
    from regional311.config.apply import apply

    # before the months that tests bill: a run sees only snapshots that were taken before it
    apply(database.engine(), ROOT, now=datetime(2026, 7, 1, 12, tzinfo=UTC))


@pytest.fixture(scope="session")
def database(server: Server, region_template: str) -> Iterator[Database]:
    """This worker's own database with the example region; tests leave it as they found it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    made = server.clone(region_template, f"worker_{worker}")
    yield made
    server.drop(made.name)


@pytest.fixture(scope="session")
def engine(database: Database) -> Iterator[Engine]:
    """The application's role in this worker's database."""
    made = make_engine(database.app_url)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def owner_engine(database: Database) -> Iterator[Engine]:
    """The schema's owner in this worker's database."""
    made = create_engine(database.owner_url, poolclass=NullPool)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def tenants(engine: Engine) -> dict[str, UUID]:
    """The example region's tenants: slug to id."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT slug, id FROM tenants ORDER BY slug"))
        return {slug: UUID(str(tenant_id)) for slug, tenant_id in rows}


@pytest.fixture
def city(tenants: dict[str, UUID]) -> Scope:
    """The City of Portland, with nobody acting."""
    return Scope(tenants["city-of-portland"])


@pytest.fixture
def dbsession(engine: Engine, city: Scope) -> Iterator[TenantSession]:
    """A session of the City in a transaction that is rolled back; commits inside are savepoints."""
    with engine.connect() as connection, connection.begin() as transaction:
        with open_session(connection, city, join_transaction_mode="create_savepoint") as session:
            yield session
        transaction.rollback()


@pytest.fixture
def committed_database(server: Server, region_template: str) -> Iterator[Database]:
    """A database of the test's own with the example region, for what really commits."""
    made = server.clone(region_template)
    yield made
    server.drop(made.name)


@pytest.fixture
def empty_database(server: Server, migrated_template: str) -> Iterator[Database]:
    """A database of the test's own with the schema and nothing in it."""
    made = server.clone(migrated_template)
    yield made
    server.drop(made.name)


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every SQL statement sent while the test runs, by any engine; `clear()` starts over.

    Savepoints are left out: they belong to the test's own transaction. What was published before
    is read anew by the test's first request. Whether it is still the newest is asked once a second,
    in the middle of a slow request: that does not count.
    """
    snapshot.invalidate()
    recorded: list[str] = []

    def record(connection, cursor, statement, parameters, context, executemany) -> None:
        if "SAVEPOINT" not in statement and "sum(tenants.revision)" not in statement:
            recorded.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    yield recorded
    event.remove(Engine, "before_cursor_execute", record)
