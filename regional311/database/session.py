"""Sessions that know whose they are.

A session has a `Scope`: the tenant whose rows it sees and the person who acts. The scope is bound
to the database once at the start of each transaction, by the function `bind_tenant`, and row-level
security does the rest. `acting_for` is the only way to step into another tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from uuid import UUID

import orjson
import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction

from regional311.errors import DomainError

_BIND = text("SELECT bind_tenant(:tenant, :person)")


class NoTenantBound(DomainError):
    """A session was used without saying whose rows it may see."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a session sees, and who acts; `person_id` is None for the system itself."""

    tenant_id: UUID
    person_id: UUID | None = None


class TenantSession(Session):
    """A session bound to one tenant in every transaction it begins."""

    mark_changed: Any = None

    def __init__(self, bind: Engine | Connection, scope: Scope, **options: Any) -> None:
        if scope is None:
            raise NoTenantBound("A database session needs a tenant.")
        super().__init__(bind=bind, expire_on_commit=False, **options)
        self._scope = scope

    @property
    def scope(self) -> Scope:
        """Whose rows this session sees now; only `acting_for` changes it."""
        return self._scope

    def begin_nested(self) -> SessionTransaction:
        """Begin a savepoint; what was buffered before it does not depend on its end."""
        _rows().send(self)
        return super().begin_nested()

    def rollback(self) -> None:
        """Roll back, buffered rows included, also when nothing has reached the database yet."""
        _rows().discard(self)
        super().rollback()

    def close(self) -> None:
        """Close, and forget what was neither written nor committed."""
        _rows().discard(self)
        super().close()


def _rows() -> ModuleType:
    """The module of buffered rows, which itself builds on this one."""
    from regional311.database import rows

    return rows


@event.listens_for(TenantSession, "after_begin")
def _bind_at_begin(
    session: TenantSession, transaction: SessionTransaction, connection: Connection
) -> None:
    if not transaction.nested and not _begin_bound(connection, session.scope):
        _bind(connection, session.scope)


def _begin_bound(connection: Connection, scope: Scope) -> bool:
    """Begin the transaction and bind it in one round trip; tell whether that was possible.

    Every unit of work pays for this, and through all the layers it took a quarter of a small one.
    It does what `bind_tenant` does where nothing can be deferred yet. Where it is not possible
    nothing has happened: the ordinary way works or says what is wrong, such as a lost connection.
    """
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    database = raw.pgconn
    if (
        raw.autocommit
        or raw.read_only is not None
        or raw.deferrable is not None
        or database.transaction_status != TransactionStatus.IDLE
    ):
        return False
    begin = "BEGIN"
    if raw.isolation_level is not None:
        level = psycopg.IsolationLevel(raw.isolation_level).name.replace("_", " ")
        begin = f"BEGIN ISOLATION LEVEL {level}"
    person = "" if scope.person_id is None else scope.person_id
    statement = (
        f"{begin}; SET LOCAL app.tenant = '{scope.tenant_id}'; SET LOCAL app.person = '{person}'"
    )
    with suppress(psycopg.Error):
        if database.exec_(statement.encode()).status == ExecStatus.COMMAND_OK:
            return True
        if database.transaction_status == TransactionStatus.INERROR:
            database.exec_(b"ROLLBACK")
    return False


def _bind(connection: Connection, scope: Scope) -> None:
    connection.execute(_BIND, {"tenant": scope.tenant_id, "person": scope.person_id})


def make_engine(url: str, **options: Any) -> Engine:
    """Return an engine for the application's role; `url` is a PostgreSQL address."""
    address = url.replace("postgresql://", "postgresql+psycopg://", 1)
    options.setdefault("pool_size", 5)
    options.setdefault("max_overflow", 5)
    options.setdefault("pool_timeout", 10)
    # an error's text goes to the log, and the parameters are what people said
    options.setdefault("hide_parameters", True)
    options.setdefault("json_deserializer", orjson.loads)
    return create_engine(address, **options)


def open_session(engine: Engine | Connection, scope: Scope, **options: Any) -> TenantSession:
    """Return a session that sees `scope`'s tenant only.

    Raises `NoTenantBound` before anything reaches the database if there is no tenant.
    """
    return TenantSession(engine, scope, **options)


@contextmanager
def session_scope(engine: Engine | Connection, scope: Scope) -> Iterator[TenantSession]:
    """Open a session for one unit of work outside the web: commit at the end, or roll back."""
    with open_session(engine, scope) as session:
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise


def scope_of(session: Session) -> Scope:
    """Return whose rows this session sees now.

    Raises `NoTenantBound` for a session that was not opened by `open_session`.
    """
    if not isinstance(session, TenantSession):
        raise NoTenantBound("A database session needs a tenant.")
    return session.scope


def ask(session: TenantSession, statement: bytes, *values: str | None) -> str | None:
    """The one value that a statement answers with; values are text, as PostgreSQL writes them.

    For what is small and happens often: it goes past the layers of SQLAlchemy and of the driver,
    which took as long as the database. Buffered rows are sent before, and an error is the one that
    `session.execute` would raise.
    """
    _rows().send(session)
    sent = [None if each is None else each.encode() for each in values]
    with _driver_of(session, statement) as raw:
        result = raw.pgconn.exec_params(statement, sent)
        if result.status != ExecStatus.TUPLES_OK:
            raise error_from_result(result)
    value = result.get_value(0, 0)
    return None if value is None else value.decode()


def tell(session: TenantSession, statement: bytes, *values: str) -> None:
    """Run a statement that answers nothing, and that the driver keeps prepared when it comes often.

    For what is large: it is not read again by each layer. Its places are ``$1`` and on, values are
    text, nothing is sent before it, and an error is the one that `session.execute` would raise.
    """
    connection = session.connection()
    with _driver_of(session, statement) as raw:
        cursor = psycopg.RawCursor(raw)
        for heard in connection.dispatch.before_cursor_execute:
            heard(connection, cursor, statement.decode(), values, None, False)
        cursor.execute(statement, values)


@contextmanager
def _driver_of(session: TenantSession, statement: bytes) -> Iterator[psycopg.Connection]:
    """The driver's own connection; its errors become SQLAlchemy's, and a lost one is dropped."""
    connection = session.connection()
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    try:
        yield raw
    except psycopg.Error as error:
        if raw.closed:
            connection.invalidate(error)
        raise DBAPIError.instance(
            statement.decode(),
            None,
            error,
            psycopg.Error,
            True,
            connection_invalidated=raw.closed,
        ) from error


def mark_changed(session: Session) -> None:
    """Say that set-based SQL has written: the transaction manager would drop it otherwise."""
    changed = getattr(session, "mark_changed", None)
    if changed is not None:
        changed(session)


@contextmanager
def acting_for(session: TenantSession, tenant_id: UUID) -> Iterator[TenantSession]:
    """Step into another tenant within the same transaction, and back.

    Both ways everything pending is written, and `bind_tenant` checks every deferred constraint
    while the tenant that it belongs to is still bound; loaded objects are dropped from the session,
    so that none of them is seen or written under the wrong tenant. The person who acts stays the
    same.

    If the body raises, the transaction must be rolled back: a failed statement has ended it, and
    the scope is put back without asking the database.
    """
    with _scoped(session, Scope(tenant_id, session.scope.person_id)):
        yield session


@contextmanager
def in_nobodys_name(session: TenantSession) -> Iterator[TenantSession]:
    """Do something that names nobody, whoever is signed in, and step back as `acting_for` does."""
    with _scoped(session, Scope(session.scope.tenant_id, None)):
        yield session


@contextmanager
def _scoped(session: TenantSession, scope: Scope) -> Iterator[None]:
    home = session.scope
    if home == scope:
        yield
        return
    _switch(session, scope)
    try:
        yield
    except BaseException:
        session.expunge_all()
        session._scope = home  # noqa: SLF001
        if session.is_active and session.in_transaction():
            _rebind_quietly(session, home)
        raise
    _switch(session, home)


def _switch(session: TenantSession, scope: Scope) -> None:
    _rows().send(session)
    session.flush()
    session.expunge_all()
    session._scope = scope  # noqa: SLF001
    _bind(session.connection(), scope)


def _rebind_quietly(session: TenantSession, home: Scope) -> None:
    """Bind back after an error in the body; an aborted transaction refuses, and that is fine."""
    _rows().discard(session)
    try:
        _bind(session.connection(), home)
    except DBAPIError:
        session.rollback()
