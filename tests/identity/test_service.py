"""People, roles and sessions on the real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import ProgrammingError

from regional311.database.ids import new_id, token_hash
from regional311.database.session import Scope, session_scope
from regional311.errors import InvalidInput, NotFound
from regional311.identity import attempts, queries, service
from regional311.identity.passwords import PasswordTooWeak
from regional311.identity.permissions import Permissions

PASSWORD = "teapot gravel sunrise 7"
NOW = datetime(2026, 10, 5, 9, tzinfo=UTC)
SECRET = "a secret for tests of forty characters.."


@pytest.fixture
def region(committed_database):
    engine = committed_database.engine()
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT slug, id FROM tenants"))
        tenants = dict(tuple(row) for row in rows)
    yield engine, tenants
    engine.dispose()


@pytest.fixture
def rosa(region):
    engine, tenants = region
    with session_scope(engine, Scope(tenants["city-of-portland"])) as session:
        person_id = service.create_person(
            session, email=" Rosa@Example.org ", name="Rosa Diaz", password=PASSWORD, now=NOW
        )
        service.grant(
            session,
            person_id=person_id,
            name="Rosa Diaz",
            email="rosa@example.org",
            roles=["specialist", "specialist"],
        )
    return person_id


def enter(engine, password=PASSWORD, now=NOW, **kw):
    values = {"email": "ROSA@example.org", "address": "192.0.2.1", "secret": SECRET} | kw
    return service.sign_in(engine, password=password, now=now, **values)


def identity(engine, token, now=NOW):
    with engine.connect() as connection:
        return queries.identity_of(connection, token, now=now)


def test_a_session_gives_the_person_and_their_roles(region, rosa):
    engine, tenants = region
    found = identity(engine, enter(engine).token)
    assert found.person_id == rosa
    assert found.name == "Rosa Diaz"
    assert found.roles(tenants["city-of-portland"]) == {"specialist"}
    assert found.roles(tenants["region"]) == frozenset()
    assert Permissions.CONTACT_TAKE in found.permissions(tenants["city-of-portland"])
    assert found.csrf_secret not in repr(found)


def test_the_identity_takes_one_statement(region, rosa, statements):
    engine, _tenants = region
    token = enter(engine).token
    statements.clear()
    identity(engine, token)
    assert len(statements) == 1


def test_only_the_hash_of_the_secret_is_kept(region, rosa, committed_database):
    engine, _tenants = region
    token = enter(engine).token
    owner = create_engine(committed_database.owner_url, poolclass=NullPool)
    with owner.connect() as connection:
        stored = connection.execute(text("SELECT token_hash FROM sign_in_sessions")).scalar_one()
    assert bytes(stored) == token_hash(token)


def test_the_application_cannot_list_people(region, rosa):
    engine, _tenants = region
    for table in ("people", "sign_in_sessions", "sign_in_attempts", "tracking_tokens"):
        with engine.connect() as connection, pytest.raises(ProgrammingError):
            connection.execute(text(f"SELECT * FROM {table}"))


def test_sessions_end(region, rosa):
    engine, _tenants = region
    token = enter(engine).token
    assert identity(engine, token, NOW + queries.IDLE + timedelta(seconds=1)) is None
    service.sign_out(engine, token)
    assert identity(engine, token) is None
    assert identity(engine, "nonsense") is None


def test_a_new_session_ends_the_one_before(region, rosa):
    engine, _tenants = region
    first = enter(engine).token
    second = enter(engine, former_token=first).token
    assert identity(engine, first) is None
    assert identity(engine, second) is not None
    assert second not in repr(enter(engine))


def test_a_new_password_ends_every_session(region, rosa):
    engine, tenants = region
    token = enter(engine).token
    with session_scope(engine, Scope(tenants["region"])) as session:
        service.change_password(session, person_id=rosa, password="velvet otter umbrella")
    assert identity(engine, token) is None
    with pytest.raises(service.SignInRefused):
        enter(engine)
    assert identity(engine, enter(engine, "velvet otter umbrella").token) is not None


def test_a_disabled_person_is_out_at_once(region, rosa):
    engine, tenants = region
    token = enter(engine).token
    with session_scope(engine, Scope(tenants["region"])) as session:
        service.disable_person(session, person_id=rosa, now=NOW)
    assert identity(engine, token) is None
    with pytest.raises(service.SignInRefused):
        enter(engine)


def test_failures_are_counted_though_the_sign_in_is_refused(region, rosa):
    engine, _tenants = region
    for _ in range(service.PER_EMAIL):
        with pytest.raises(service.SignInRefused):
            enter(engine, "wrong", address="192.0.2.9")
    with pytest.raises(service.TooManyAttempts):
        enter(engine)
    assert enter(engine, now=NOW + attempts.WINDOW + timedelta(minutes=1))


def test_a_person_is_made_once(region, rosa):
    engine, tenants = region
    with session_scope(engine, Scope(tenants["multnomah-county"])) as session:
        again = service.create_person(
            session, email="rosa@example.org", name="Another", password=None, now=NOW
        )
    assert again == rosa
    assert identity(engine, enter(engine).token).name == "Rosa Diaz"


@pytest.mark.parametrize(
    ("email", "name", "password", "error"),
    [
        ("nobody", "A", None, InvalidInput),
        ("@x", "A", None, InvalidInput),
        ("x@", "A", None, InvalidInput),
        ("a b@x", "A", None, InvalidInput),
        ("a@b@c", "A", None, InvalidInput),
        ("a@b.example", " ", None, InvalidInput),
        ("a@b.example", "A", "short", PasswordTooWeak),
    ],
)
def test_a_person_needs_an_address_and_a_name(dbsession, email, name, password, error):
    with pytest.raises(error):
        service.create_person(dbsession, email=email, name=name, password=password, now=NOW)


def test_somebody_without_a_password_does_not_get_in(region):
    engine, tenants = region
    with session_scope(engine, Scope(tenants["region"])) as session:
        service.create_person(
            session, email="rosa@example.org", name="Rosa", password=None, now=NOW
        )
    with pytest.raises(service.SignInRefused):
        enter(engine, "")


def test_roles_are_replaced_and_ended(region, rosa):
    engine, tenants = region
    scope = Scope(tenants["city-of-portland"])
    with session_scope(engine, scope) as session:
        service.grant(
            session, person_id=rosa, name="Rosa", email="rosa@example.org", roles=["supervisor"]
        )
        assert [(each.name, each.roles) for each in queries.members(session)] == [
            ("Rosa", ("supervisor",))
        ]
    with session_scope(engine, scope) as session:
        service.end_membership(session, person_id=rosa, now=NOW)
    assert identity(engine, enter(engine).token).memberships == {}
    with session_scope(engine, scope) as session:
        with pytest.raises(NotFound):
            service.end_membership(session, person_id=rosa, now=NOW)
        assert queries.members(session)[0].ended_at == NOW


def test_another_partner_s_people_are_not_seen(region, rosa):
    engine, tenants = region
    with session_scope(engine, Scope(tenants["211info"])) as session:
        assert queries.members(session) == []


def test_a_role_must_exist(dbsession):
    with pytest.raises(service.UnknownRole, match="specialist"):
        service.grant(dbsession, person_id=new_id(), name="A", email="a@b", roles=["king"])


def test_an_unknown_tracking_token_leads_nowhere(engine):
    with engine.connect() as connection:
        assert queries.tracked(connection, "nothing") is None
