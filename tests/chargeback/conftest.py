from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import Range

from regional311.allocation.models import CostPool, PoolShare
from regional311.chargeback.models import Agreement, Rate
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, TenantSession, session_scope
from regional311.metering.models import UsageEvent
from regional311.tenancy.models import Tenant

ZONE = ZoneInfo("America/Los_Angeles")
PARTNERS = {"city": "city", "county": "county", "community": "community", "region": "region"}
JULY = date(2026, 7, 1)


@dataclass
class Region:
    """Three partners and the region in a database of the test's own, with nothing priced yet."""

    engine: Engine
    tenants: dict[str, UUID]
    preparer: UUID = field(default_factory=uuid4)
    approver: UUID = field(default_factory=uuid4)
    numbers: Iterator[int] = field(default_factory=count)

    def of(self, slug: str, person: UUID | None = None) -> AbstractContextManager[TenantSession]:
        return session_scope(self.engine, Scope(self.tenants[slug], person))

    def agree(self, key, provider, payer, *activities, rule="service_owner", **fields):
        said = {
            "version": 1,
            "name": key.title(),
            "rate_card_key": "card",
            "pool_key": None,
            "valid": Range(JULY, None),
            "terms": {"due_days": 30, "number_prefix": provider.upper()},
        }
        with self.of("region") as session:
            put(
                session,
                Agreement(
                    tenant_id=self.tenants["region"],
                    id=new_id(),
                    key=key,
                    provider_id=self.tenants[provider],
                    payer_id=self.tenants[payer],
                    activities=list(activities),
                    payer_rule=rule,
                    **(said | fields),
                ),
            )

    def rate(self, provider, key, activity, amount, **fields):
        said = {
            "card_key": "card",
            "valid": Range(JULY, None),
            "recorded": Range(None, None),
            "hours": "any",
            "unit": "each",
        }
        with self.of(provider) as session:
            put(
                session,
                Rate(
                    tenant_id=self.tenants[provider],
                    id=new_id(),
                    key=key,
                    activity=activity,
                    amount=Decimal(amount),
                    **(said | fields),
                ),
            )

    def pool(self, provider, key, yearly_cents, shares, fiscal_year=2027):
        tenant_id, pool_id = self.tenants[provider], new_id()
        with self.of(provider) as session:
            put(
                session,
                CostPool(
                    tenant_id=tenant_id,
                    id=pool_id,
                    key=key,
                    fiscal_year=fiscal_year,
                    name=key.title(),
                    yearly_cents=yearly_cents,
                    source="The plan",
                ),
                *(
                    PoolShare(
                        tenant_id=tenant_id,
                        id=new_id(),
                        pool_id=pool_id,
                        payer_slug=slug,
                        percent=Decimal(percent),
                    )
                    for slug, percent in shares.items()
                ),
            )

    def use(self, provider, owner=None, at=(2026, 10, 5, 12), fold=0, **fields):
        """Record one usage event; `owner`, `referrer` and so on are slugs, `at` is local time."""
        number = next(self.numbers)
        done = datetime(*at, tzinfo=ZONE, fold=fold).astimezone(UTC)
        said = {
            "activity": "contact_handled",
            "channel": "phone",
            "language": "en",
            "after_hours": False,
            "service_key": "pothole" if owner else None,
            "contact_id": new_id(),
            "received_at": done,
            "handle_seconds": 240,
            "quantity": Decimal(1),
        }
        parties = {
            f"{name}_id": self.tenants[fields.pop(name)]
            for name in ("jurisdiction", "referrer", "line_owner")
            if name in fields
        }
        event_id = new_id()
        with self.of(provider) as session:
            put(
                session,
                UsageEvent(
                    tenant_id=self.tenants[provider],
                    id=event_id,
                    source_key=fields.pop("source_key", f"test:{number}"),
                    content_digest="",
                    service_owner_id=self.tenants[owner] if owner else None,
                    occurred_at=done,
                    booked_on=date(*at[:3]),
                    **parties,
                    **(said | fields),
                ),
            )
        return event_id


@pytest.fixture
def region(empty_database) -> Iterator[Region]:
    engine = empty_database.engine()
    made = Region(engine, {slug: new_id() for slug in PARTNERS})
    for slug, kind in PARTNERS.items():
        with made.of(slug) as session:
            put(
                session,
                Tenant(
                    tenant_id=made.tenants[slug],
                    id=made.tenants[slug],
                    slug=slug,
                    kind=kind,
                    name=slug.title(),
                    short_name=slug.title(),
                    zone="America/Los_Angeles",
                    fiscal_year_starts_in=7,
                    settings={"contact": {"phone": "503-823-4000"}},
                ),
            )
    yield made
    engine.dispose()
