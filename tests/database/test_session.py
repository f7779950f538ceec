"""How a transaction begins, and what is asked past the layers."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, ask, open_session, session_scope
from regional311.ledger.models import Account

SETTINGS = text(
    "SELECT current_setting('app.tenant'), current_setting('app.person'),"
    " current_setting('transaction_isolation')"
)


@pytest.fixture
def scope(tenants) -> Scope:
    return Scope(tenants["city-of-portland"], new_id())


def test_a_transaction_is_bound_from_its_first_statement(engine, scope, statements) -> None:
    for each in (scope, Scope(scope.tenant_id)):
        with open_session(engine, each) as session:
            tenant, person, level = session.execute(SETTINGS).one()
            assert tenant == str(each.tenant_id)
            assert person == ("" if each.person_id is None else str(each.person_id))
            assert level == "read committed"
    assert len(statements) == 2


def test_a_transaction_keeps_the_isolation_that_was_asked_for(engine, scope) -> None:
    steady = engine.execution_options(isolation_level="REPEATABLE READ")
    with steady.connect() as connection, open_session(connection, scope) as session:
        tenant, _person, level = session.execute(SETTINGS).one()
    assert (tenant, level) == (str(scope.tenant_id), "repeatable read")


def test_a_transaction_that_others_began_is_bound_too(engine, scope) -> None:
    with engine.connect() as connection, connection.begin():
        connection.execute(text("SELECT 1"))
        with open_session(connection, scope) as session:
            assert session.execute(SETTINGS).one()[0] == str(scope.tenant_id)


@pytest.fixture
def alone(committed_database):
    """An engine whose only connection can be cut."""
    engine = create_engine(committed_database.app_url, pool_size=1, max_overflow=0)
    yield engine
    engine.dispose()


def cut(database, engine, scope) -> None:
    with session_scope(engine, scope) as session:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
    other = create_engine(database.app_url)
    with other.begin() as connection:
        assert connection.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    other.dispose()


@pytest.mark.parametrize(
    "use", [lambda session: session.connection(), lambda s: ask(s, b"SELECT 1")]
)
def test_a_lost_connection_is_one_error_and_not_the_next(
    committed_database, alone, scope, use
) -> None:
    cut(committed_database, alone, scope)
    with open_session(alone, scope) as session, pytest.raises(OperationalError) as caught:
        use(session)
    assert caught.value.connection_invalidated
    with open_session(alone, scope) as session:
        assert session.execute(SETTINGS).one()[0] == str(scope.tenant_id)


def test_asking_gives_one_value_as_text(dbsession) -> None:
    assert ask(dbsession, b"SELECT $1::int + $2::int", "1", "2") == "3"
    assert ask(dbsession, b"SELECT $1::text", None) is None
    assert ask(dbsession, b"SELECT $1::text", 'Señora Nuñez\'s "dog"') == 'Señora Nuñez\'s "dog"'


def test_asking_sends_what_is_buffered_before(dbsession) -> None:
    key = str(new_id())
    put(dbsession, Account(tenant_id=dbsession.scope.tenant_id, key=key, name="x", type="asset"))
    assert ask(dbsession, b"SELECT count(*) FROM accounts WHERE key = $1", key) == "1"


def test_asking_fails_as_any_statement_does(dbsession) -> None:
    insert = b"INSERT INTO accounts (tenant_id, key, name, type) VALUES ($1, 'x', 'x', $2)"
    tenant = str(dbsession.scope.tenant_id)
    with pytest.raises(IntegrityError, match="type_known") as caught, dbsession.begin_nested():
        ask(dbsession, insert, tenant, "joy")
    assert caught.value.orig.sqlstate == "23514"
    with pytest.raises(DBAPIError, match="does not exist"), dbsession.begin_nested():
        ask(dbsession, b"SELECT nothing")
    assert ask(dbsession, b"SELECT 1") == "1"
