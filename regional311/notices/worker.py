"""The worker: what must happen after a commit or with the days, tenant by tenant.

Chores are what higher floors have it do now and then, such as reminders and seals: the worker
knows when, not what.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from regional311.database.session import Scope, TenantSession, session_scope
from regional311.errors import DomainError
from regional311.notices.delivery import Complete, Fate, as_written, deliver_due
from regional311.settings import Settings
from regional311.tenancy.models import Tenant

POLL_SECONDS = 1.0
OUTAGE_SECONDS = 5.0

log = structlog.get_logger("regional311.worker")


@dataclass(frozen=True)
class Chore:
    """Something to do for each tenant every so many seconds, in a transaction of its own.

    `do` gets the tenant's session and the moment and says how much it did; it must be safe to do
    again. A rule that it breaks (`DomainError`), or something stored that it cannot read
    (`ValueError`), is logged and tried again the next time: deliveries go on.
    """

    name: str
    every_seconds: float
    do: Callable[[TenantSession, datetime], int]


@dataclass(frozen=True)
class Errand:
    """Something to do outside for each tenant every so many seconds: it may have to wait.

    `do` gets the engine, the tenant and the clock, holds no transaction while it waits, and says
    how much it did. What it breaks is logged and tried again the next time, as with a chore.
    `apart`: it waits for others so long that nothing else may wait for it.
    """

    name: str
    every_seconds: float
    do: Callable[[Engine, UUID, Callable[[], datetime]], int]
    apart: bool = False


def _now() -> datetime:
    return datetime.now(UTC)


def work(
    engine: Engine,
    settings: Settings,
    *,
    once: bool = False,
    stop_event: threading.Event | None = None,
    clock: Callable[[], datetime] = _now,
    chores: Sequence[Chore | Errand] = (),
    complete: Complete = as_written,
) -> Counter[Fate]:
    """Deliver every tenant's outbox until `stop_event` is set; `once` ends when nothing is due.

    Each chore is done at the start and then as often as it says, beside the deliveries: a mail
    server may take ten minutes over a letter. Errands apart wait for no chore either. With `once`
    all come first, one after the other. `complete` adds to letters what holds at the moment at
    which they leave.

    Returns how many attempts ended how. A database that is down is waited for; with `once` its
    error is raised.
    """
    stop = stop_event or threading.Event()
    apart = [each for each in chores if isinstance(each, Errand) and each.apart]
    beside = {"chores": [each for each in chores if each not in apart]}
    beside |= {each.name: [each] for each in apart}
    threads = [
        threading.Thread(target=_beside, args=(engine, each, stop, clock), name=name)
        for name, each in beside.items()
        if each and not once
    ]
    for thread in threads:
        thread.start()
    try:
        return _rounds(engine, settings, chores if once else (), stop, clock, complete, once=once)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _rounds(
    engine: Engine,
    settings: Settings,
    first: Sequence[Chore | Errand],
    stop: threading.Event,
    clock: Callable[[], datetime],
    complete: Complete,
    *,
    once: bool,
) -> Counter[Fate]:
    total: Counter[Fate] = Counter()
    done_at: dict[str, datetime] = {}
    while not stop.is_set():
        try:
            _do_chores(engine, first, done_at, stop=stop, clock=clock)
            fates = visit_all(engine, settings, stop=stop, clock=clock, complete=complete)
        except DBAPIError as error:
            if once:
                raise
            _unreachable(error, stop)
            continue
        total += fates
        if not fates:
            if once:
                break
            stop.wait(POLL_SECONDS)
    return total


def _beside(
    engine: Engine,
    chores: Sequence[Chore | Errand],
    stop: threading.Event,
    clock: Callable[[], datetime],
) -> None:
    done_at: dict[str, datetime] = {}
    pause = min(POLL_SECONDS, *(each.every_seconds for each in chores))
    try:
        while not stop.is_set():
            try:
                _do_chores(engine, chores, done_at, stop=stop, clock=clock)
            except DBAPIError as error:
                _unreachable(error, stop)
            stop.wait(pause)
    except BaseException:
        # a worker of which a part has died is begun again as a whole
        stop.set()
        raise


def _unreachable(error: DBAPIError, stop: threading.Event) -> None:
    log.warning("database_unreachable", error=type(error.orig).__name__)
    stop.wait(OUTAGE_SECONDS)


def visit_all(
    engine: Engine,
    settings: Settings,
    *,
    stop: threading.Event,
    clock: Callable[[], datetime] = _now,
    complete: Complete = as_written,
) -> Counter[Fate]:
    """Deliver one batch for each tenant, in id order, each in transactions of its own."""
    fates: Counter[Fate] = Counter()
    for tenant_id in _tenants(engine):
        if stop.is_set():
            break
        for outcome in deliver_due(engine, settings, tenant_id, clock=clock, complete=complete):
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


def _do_chores(
    engine: Engine,
    chores: Sequence[Chore | Errand],
    done_at: dict[str, datetime],
    *,
    stop: threading.Event,
    clock: Callable[[], datetime],
) -> None:
    for chore in chores:
        before, now = done_at.get(chore.name), clock()
        if before is not None and (now - before).total_seconds() < chore.every_seconds:
            continue
        done_at[chore.name] = now
        for tenant_id in _tenants(engine):
            if stop.is_set():
                return
            try:
                if isinstance(chore, Errand):
                    done = chore.do(engine, tenant_id, clock)
                else:
                    with session_scope(engine, Scope(tenant_id)) as session:
                        done = chore.do(session, now)
            except (DomainError, ValueError) as error:
                log.warning(
                    "chore_refused",
                    chore=chore.name,
                    tenant=str(tenant_id),
                    error=type(error).__name__,
                )
                continue
            if done:
                log.info("chore", chore=chore.name, tenant=str(tenant_id), done=done)


def _tenants(engine: Engine) -> list[UUID]:
    # Which partners there are is published: no tenant needs to be bound to read it.
    with engine.connect() as connection:
        return list(connection.scalars(select(Tenant.id).order_by(Tenant.id)))
