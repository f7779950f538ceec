from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from uuid import UUID

import pytest
from sqlalchemy import Engine

from regional311.database.session import Scope, TenantSession, session_scope


@dataclass
class Books:
    """Two partners' books in a database of the test's own."""

    engine: Engine
    tenants: dict[str, UUID]

    def of(self, slug: str) -> AbstractContextManager[TenantSession]:
        return session_scope(self.engine, Scope(self.tenants[slug]))


@pytest.fixture
def books(empty_database) -> Iterator[Books]:
    from regional311.database.ids import new_id
    from regional311.database.rows import put
    from regional311.ledger.service import open_accounts
    from regional311.tenancy.models import Tenant

    engine = empty_database.engine()
    made = Books(engine, {"city": new_id(), "county": new_id()})
    for slug, tenant_id in made.tenants.items():
        with made.of(slug) as session:
            put(
                session,
                Tenant(
                    tenant_id=tenant_id,
                    id=tenant_id,
                    slug=slug,
                    kind="city",
                    name=slug.title(),
                    short_name=slug.title(),
                    zone="America/Los_Angeles",
                    fiscal_year_starts_in=7,
                    settings={},
                ),
            )
            open_accounts(session)
    yield made
    engine.dispose()
