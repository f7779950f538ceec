"""The region's partners by slug and id: published facts, read at most every few seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from sqlalchemy import Engine, select

from regional311.tenancy.models import Tenant

REGION = "region"
FRESH_SECONDS = 5.0


@dataclass(frozen=True)
class Partner:
    """A tenant as everybody may know it."""

    id: UUID
    slug: str
    kind: str
    name: str
    short_name: str
    zone: str


class Partners:
    """All partners of the region, one statement every `FRESH_SECONDS` at most."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = monotonic) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._clock = clock
        self._read_at = float("-inf")
        self._by_slug: dict[str, Partner] = {}
        self._by_id: dict[UUID, Partner] = {}

    def by_slug(self, slug: str) -> Partner | None:
        """Return the partner with this slug, or None."""
        self._refresh()
        return self._by_slug.get(slug)

    def by_id(self, tenant_id: UUID) -> Partner | None:
        """Return the partner with this id, or None."""
        self._refresh()
        return self._by_id.get(tenant_id)

    def all(self) -> list[Partner]:
        """Return every partner by name, the region itself last."""
        self._refresh()
        return sorted(self._by_id.values(), key=lambda each: (each.slug == REGION, each.name))

    def forget(self) -> None:
        """Read again at the next question."""
        self._read_at = float("-inf")

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._read_at < FRESH_SECONDS:
            return
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(
                    Tenant.id,
                    Tenant.slug,
                    Tenant.kind,
                    Tenant.name,
                    Tenant.short_name,
                    Tenant.zone,
                )
            )
            found = [Partner(*row) for row in rows]
        self._by_slug = {each.slug: each for each in found}
        self._by_id = {each.id: each for each in found}
        self._read_at = now
