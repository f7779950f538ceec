"""The roles, the database and its schema, on the embedded server or on any other.

Two roles: the owner makes and changes the schema, the application's role does everything else and
is held by row-level security because it owns nothing and cannot bypass it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from sqlalchemy import NullPool, create_engine
from sqlalchemy.engine import URL, make_url

from regional311.database.embedded import ADMIN_ROLE, APP_ROLE, OWNER_ROLE, EmbeddedServer
from regional311.errors import DomainError
from regional311.settings import SettingRefused, Settings

if TYPE_CHECKING:
    from alembic.config import Config

MINIMUM_VERSION = 18
ROOT = Path(__file__).resolve().parents[2]


class ServerUnsuitable(DomainError):
    """The PostgreSQL server, its database or a role of it cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The SQLAlchemy URLs of one database, by role.

    `owner` and `admin` are None where an outside server's were not given.
    """

    app: str = field(repr=False)
    owner: str | None = field(default=None, repr=False)
    admin: str | None = field(default=None, repr=False)
    embedded: bool = True

    def owner_or_refuse(self) -> str:
        """The owner's URL; raises SettingRefused when it was not given."""
        if self.owner is None:
            name = "REGIONAL311_OWNER_DATABASE_URL"
            raise SettingRefused(
                f"{name} must be set to the owner's address of the database"
                " (postgresql://owner:password@host/database).",
                field=name,
            )
        return self.owner


@contextmanager
def reach(settings: Settings) -> Iterator[Addresses]:
    """Give the database's addresses; the embedded server runs at least as long as the block.

    With REGIONAL311_DATABASE_URL set, that server is used and nothing is started.
    """
    if settings.database_url is not None:
        yield Addresses(
            app=settings.database_url,
            owner=settings.owner_database_url,
            admin=settings.admin_database_url,
            embedded=False,
        )
        return
    server = EmbeddedServer(settings.var)
    try:
        address = server.ensure()
        yield Addresses(
            app=address.url(APP_ROLE),
            owner=address.url(OWNER_ROLE),
            admin=address.url(ADMIN_ROLE, "postgres"),
        )
    finally:
        server.stop()


def prepare_database(admin_url: str, *, app_url: str, owner_url: str) -> None:
    """Make the two roles and the database that the two addresses name; nothing that exists is lost.

    `admin_url` is a role that may create roles and databases. Passwords in the addresses are set,
    sent as SCRAM verifiers. Raises ServerUnsuitable for a server older than 18, a database in
    another encoding, or an application role that could get around row-level security.
    """
    app, owner = make_url(app_url), make_url(owner_url)
    if app.username == owner.username:
        raise ServerUnsuitable(
            "The owner and the application need two different roles; the application's would"
            " otherwise own the tables that row-level security protects."
        )
    if app.username != APP_ROLE:
        raise ServerUnsuitable(f"The application's role must be named {APP_ROLE}: grants name it.")
    assert owner.database is not None
    with _connect(admin_url) as connection:
        version = connection.info.server_version // 10_000
        if version < MINIMUM_VERSION:
            raise ServerUnsuitable(
                f"PostgreSQL {MINIMUM_VERSION} or newer is needed; this server is {version}."
            )
        (superuser,) = _row(
            connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        )
        for url, creates in ((owner, True), (app, False)):
            _make_role(connection, url, creates_databases=creates, superuser=superuser)
        if not superuser:
            connection.execute(
                sql.SQL("GRANT {} TO CURRENT_USER WITH SET TRUE").format(_name(owner.username))
            )
        _make_database(connection, owner.database, owner.username)
        connection.execute(
            sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(_name(owner.database))
        )
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                _name(owner.database), _name(app.username)
            )
        )
        _refuse_unsafe(connection, app.username)


def migrate(owner_url: str, revision: str = "head") -> None:
    """Bring the schema up to `revision`, as the owner; nothing happens when it is there already."""
    from alembic import command

    configuration = alembic_configuration()
    engine = create_engine(owner_url, poolclass=NullPool)
    with engine.connect() as connection:
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, revision)


def draft_revision(owner_url: str, message: str) -> None:
    """Write a draft of the next migration: what the models have and the database has not."""
    from alembic import command

    configuration = alembic_configuration()
    engine = create_engine(owner_url, poolclass=NullPool)
    with engine.connect() as connection:
        configuration.attributes["connection"] = connection
        command.revision(configuration, message, autogenerate=True)


def alembic_configuration() -> Config:
    """Alembic's configuration of this checkout: where its migrations lie."""
    from alembic.config import Config

    configuration = Config(ROOT / "alembic.ini")
    configuration.set_main_option("script_location", str(ROOT / "migrations"))
    return configuration


def _make_role(
    connection: psycopg.Connection[Any], url: URL, *, creates_databases: bool, superuser: bool
) -> None:
    role = url.username
    if _row(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role) is None:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(_name(role)))
    options = ["LOGIN", "CREATEDB" if creates_databases else "NOCREATEDB", "NOCREATEROLE"]
    if superuser:
        options += ["NOSUPERUSER", "NOBYPASSRLS", "NOREPLICATION"]
    connection.execute(sql.SQL("ALTER ROLE {} {}").format(_name(role), sql.SQL(" ".join(options))))
    if url.password:
        verifier = connection.pgconn.encrypt_password(
            str(url.password).encode(), str(role).encode(), b"scram-sha-256"
        )
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(_name(role), verifier.decode())
        )


def _make_database(connection: psycopg.Connection[Any], name: str, owner: str | None) -> None:
    found = _row(
        connection,
        "SELECT pg_encoding_to_char(encoding), pg_get_userbyid(datdba) FROM pg_database"
        " WHERE datname = %s",
        name,
    )
    if found is None:
        connection.execute(
            sql.SQL(
                "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
                " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
            ).format(_name(name), _name(owner))
        )
        return
    encoding, present_owner = found
    if encoding != "UTF8":
        raise ServerUnsuitable(f"The database {name} is in {encoding}; it must be in UTF8.")
    if present_owner != owner:
        raise ServerUnsuitable(f"The database {name} belongs to {present_owner}, not to {owner}.")


def _refuse_unsafe(connection: psycopg.Connection[Any], role: str | None) -> None:
    found = _row(
        connection,
        "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication FROM pg_roles"
        " WHERE rolname = %s",
        role,
    )
    if found is None or found[0]:
        raise ServerUnsuitable(
            f"The role {role} is a superuser, bypasses row-level security or makes roles; the"
            " application's role must not."
        )


def _connect(url: str) -> psycopg.Connection[Any]:
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(address, autocommit=True, connect_timeout=10)


def _row(connection: psycopg.Connection[Any], statement: str, *values: Any) -> Any:
    return connection.execute(statement.encode(), values or None).fetchone()


def _name(name: str | None) -> sql.Identifier:
    assert name is not None
    return sql.Identifier(name)
