"""The little region's fixtures, and somebody who works its requests."""

from __future__ import annotations

from uuid import uuid4

import pytest

from regional311.database.session import Scope, open_session
from regional311.identity.service import grant
from tests.little_region import (
    IDS,
    city,
    committed_engine,
    little_engine,
    little_template,
    region,
)

__all__ = ["city", "committed_engine", "little_engine", "little_template", "region", "work"]


@pytest.fixture
def work(little_engine):
    """A session of Wren, who works the City's requests, in a transaction that is rolled back."""
    wren = uuid4()
    with little_engine.connect() as connection, connection.begin() as transaction:
        with open_session(
            connection, Scope(IDS["city"], wren), join_transaction_mode="create_savepoint"
        ) as session:
            grant(session, person_id=wren, name="Wren", email="wren@city.example", roles=["worker"])
            yield session
        transaction.rollback()
