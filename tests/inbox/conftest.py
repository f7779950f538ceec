"""The example region's City, its mailbox line, and somebody who answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine

from regional311.database.ids import new_id
from regional311.database.session import Scope, TenantSession, open_session
from regional311.inbox.receiving import Incoming, Received, receive
from regional311.referral.snapshot import Published, published
from regional311.settings import Settings

NOW = datetime(2026, 10, 5, 17, 0, tzinfo=UTC)
SECRET = "a secret for tests of forty characters.."
ADDRESS = "311@portland.example"


@pytest.fixture
def region(engine: Engine) -> Published:
    return published(engine)


@pytest.fixture
def me() -> UUID:
    return new_id()


@pytest.fixture
def desk(engine: Engine, city: Scope, me: UUID) -> Iterator[TenantSession]:
    """A session of somebody of the City, rolled back at the end."""
    with engine.connect() as connection, connection.begin() as transaction:
        scope = Scope(city.tenant_id, me)
        with open_session(connection, scope, join_transaction_mode="create_savepoint") as session:
            yield session
        transaction.rollback()


@pytest.fixture
def write(desk: TenantSession, region: Published) -> Callable[..., Received]:
    """`write("words", key=...)`: somebody writes to the City's mailbox."""

    def come(text: str, *, at: datetime = NOW, line: str = "email", **said) -> Received:
        given = {
            "key": f"<{new_id()}@example.org>",
            "address": "ana@example.org",
            "name": "Ana",
            "subject": "Street light",
        } | said
        came = Incoming(line=region.lines[f"city-of-portland/{line}"], text=text, **given)
        return receive(desk, region, came, now=at)

    return come


@pytest.fixture
def settings() -> Settings:
    return Settings(var=Path("unused"), secret=SECRET, mail_listen=("127.0.0.1", 0))
