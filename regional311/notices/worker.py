"""The worker: what must happen after a commit, tenant by tenant."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from regional311.notices.delivery import Fate, deliver_due
from regional311.settings import Settings
from regional311.tenancy.models import Tenant

POLL_SECONDS = 1.0
OUTAGE_SECONDS = 5.0

log = structlog.get_logger("regional311.worker")


def _now() -> datetime:
    return datetime.now(UTC)


def work(
    engine: Engine,
    settings: Settings,
    *,
    once: bool = False,
    stop_event: threading.Event | None = None,
    clock: Callable[[], datetime] = _now,
) -> Counter[Fate]:
    """Deliver every tenant's outbox until `stop_event` is set; `once` ends when nothing is due.

    Returns how many attempts ended how. A database that is down is waited for; with `once` its
    error is raised.
    """
    stop = stop_event or threading.Event()
    total: Counter[Fate] = Counter()
    while not stop.is_set():
        try:
            fates = visit_all(engine, settings, stop=stop, clock=clock)
        except DBAPIError as error:
            if once:
                raise
            log.warning("database_unreachable", error=type(error.orig).__name__)
            stop.wait(OUTAGE_SECONDS)
            continue
        total += fates
        if not fates:
            if once:
                break
            stop.wait(POLL_SECONDS)
    return total


def visit_all(
    engine: Engine,
    settings: Settings,
    *,
    stop: threading.Event,
    clock: Callable[[], datetime] = _now,
) -> Counter[Fate]:
    """Deliver one batch for each tenant, in id order, each in transactions of its own."""
    fates: Counter[Fate] = Counter()
    for tenant_id in _tenants(engine):
        if stop.is_set():
            break
        for outcome in deliver_due(engine, settings, tenant_id, clock=clock):
            fates[outcome.fate] += 1
            log.info(
                "delivery",
                tenant=str(tenant_id),
                message=str(outcome.letter.id),
                attempt=outcome.letter.attempt,
                fate=outcome.fate.value,
                reason=outcome.reason,
            )
    return fates


def _tenants(engine: Engine) -> list[UUID]:
    # Which partners there are is published: no tenant needs to be bound to read it.
    with engine.connect() as connection:
        return list(connection.scalars(select(Tenant.id).order_by(Tenant.id)))
