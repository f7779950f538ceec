"""The application on a committed database of its own, and people who sign in to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, text
from webtest import TestApp

from regional311.app import main
from regional311.database.ids import new_id, public_id
from regional311.database.rows import new_row, put
from regional311.database.session import Scope, make_engine, session_scope
from regional311.identity.service import create_person, grant
from regional311.intake.models import FollowedRequest
from regional311.referral.snapshot import published
from regional311.settings import Settings

PASSWORD = "teapot gravel sunrise 7"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""For the passwords of tests; that real ones are slow to try is tested where they are made."""
SECRET = "a secret for tests of forty characters.."


@dataclass
class Clock:
    """The time that the application sees; it stands still until a test moves it."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@dataclass
class People:
    """Makes accounts: one for each combination of roles and partner, on demand."""

    engine: Engine
    tenants: dict[str, UUID]
    known: dict[str, UUID] = field(default_factory=dict)
    _hash: str = ""

    def account(self, tenant: str, *roles: str) -> str:
        """Return the e-mail of somebody with these roles in this partner."""
        email = f"{'-'.join(roles) or 'nobody'}@{tenant}.example"
        if email not in self.known:
            self.make(email, {tenant: roles} if roles else {})
        return email

    def make(self, email: str, memberships: dict[str, tuple[str, ...]]) -> UUID:
        self._hash = self._hash or QUICK.hash(PASSWORD)
        name = email.partition("@")[0].replace("-", " ").title()
        with session_scope(self.engine, Scope(self.tenants["region"])) as session:
            person_id = create_person(
                session,
                email=email,
                name=name,
                password=None,
                password_hash=self._hash,
                now=datetime.now(UTC),
            )
        for tenant, roles in memberships.items():
            with session_scope(self.engine, Scope(self.tenants[tenant])) as session:
                grant(session, person_id=person_id, name=name, email=email, roles=roles)
        self.known[email] = person_id
        return person_id


@pytest.fixture(scope="module")
def web_database(server, region_template) -> Iterator:
    """A database that the tests of one module share; what they commit stays for the module."""
    made = server.clone(region_template)
    yield made
    server.drop(made.name)


@pytest.fixture(scope="module")
def web_engine(web_database) -> Iterator[Engine]:
    made = make_engine(web_database.app_url)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def people(web_engine: Engine) -> People:
    with web_engine.connect() as connection:
        rows = connection.execute(text("SELECT slug, id FROM tenants"))
        return People(web_engine, {slug: UUID(str(tenant_id)) for slug, tenant_id in rows})


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def configured(tmp_path_factory) -> Settings:
    return Settings(var=Path(tmp_path_factory.mktemp("var")), secret=SECRET)


@pytest.fixture(scope="module")
def application(web_engine: Engine, configured: Settings, clock: Clock, compiled_templates):
    """The WSGI application, made once a module."""
    return main({}, configured=configured, engine=web_engine, clock=clock, **compiled_templates)


@pytest.fixture
def testapp(application) -> TestApp:
    """A browser without cookies."""
    return TestApp(application)


@pytest.fixture
def sign_in(application, people: People) -> Callable[..., TestApp]:
    """`sign_in("specialist", "city-of-portland")` returns a signed-in browser of its own."""

    def enter(*roles: str, email: str | None = None) -> TestApp:
        *roles, tenant = roles or ("",)
        browser = TestApp(application)
        page = browser.get("/auth/sign-in")
        form = page.forms["sign-in"]
        form["email"] = email or people.account(tenant, *roles)
        form["password"] = PASSWORD
        form.submit("submit").follow()
        return browser

    return enter


_ELSEWHERE = (
    {"latitude": f"{45.476 + 0.004 * row:.4f}", "longitude": f"{-122.66 + 0.005 * column:.4f}"}
    for row in range(18)
    for column in range(16)
)


def elsewhere():
    """A point in the City, as a form takes it, with nothing reported around it by another test."""
    return next(_ELSEWHERE)


def follow_confidential(engine: Engine, people: People, clock: Clock) -> str:
    """Let the City follow a confidential request at 211info; give its number."""
    known = published(engine)
    secret = next(each.key for each in known.directory.of("211info") if each.confidential)
    number, city = public_id("R"), people.tenants["city-of-portland"]
    with session_scope(engine, Scope(city)) as session:
        row = new_row(
            FollowedRequest,
            tenant_id=city,
            id=new_id(),
            public_id=number,
            owner_id=people.tenants["211info"],
            service_key=secret,
            contact_id=None,
            need_id=None,
            state="received",
            sent_at=clock.now,
            expected_at=None,
            updated_at=clock.now,
        )
        put(session, row)
    return number
