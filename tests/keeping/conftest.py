"""A partner's people who may keep entries right."""

from collections.abc import Callable
from uuid import UUID

import pytest

from regional311.database.ids import new_id
from regional311.database.session import TenantSession
from regional311.identity.service import grant


@pytest.fixture
def person(dbsession: TenantSession) -> Callable[..., UUID]:
    """`person("Ana", "worker")` works for the session's partner in these roles."""

    def make(name: str, *roles: str) -> UUID:
        person_id = new_id()
        email = f"{name.lower()}@city.example"
        grant(dbsession, person_id=person_id, name=name, email=email, roles=roles)
        return person_id

    return make
