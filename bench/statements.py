"""A statement of 100,000 lines beside one of 1,000: its pages, its exports, its explanation.

Each line has one piece of work. Memory is how much the process grew while it worked, sampled, so
that what the database driver and openpyxl hold counts too. `REGIONAL311_BENCH_LINES` sets how many
lines the long one has.
"""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psutil
from sqlalchemy import event, text

from bench import Figure, Site, signed_in
from regional311.chargeback.explain import walk
from regional311.database.ids import new_id, public_id
from regional311.database.session import Scope, session_scope
from regional311.forecast.documents import write_document
from regional311.referral.snapshot import published

MANY = int(os.environ.get("REGIONAL311_BENCH_LINES", "100000"))
FEW = 1000
CITY, COUNTY = "city-of-portland", "multnomah-county"
MOST_MB = 128
"""How much the process may grow by, however long the statement is."""

STATEMENT = text("""
WITH head AS (
    INSERT INTO statements (tenant_id, id, public_id, side, kind, payer_kind, counterparty_id,
        period_key, total_cents, line_count, item_count, digest, parties, terms, created_at)
    VALUES (:tenant, :id, :number, 'issued', 'bill', 'partner', :payer, '2026-10', 491 * :lines,
        :lines, :lines, repeat('0', 64),
        '{"issuer": {"name": "City of Portland"}, "payer": {"name": "Multnomah County"}}',
        '{"agreements": {}, "due_days": 30}', now())
)
INSERT INTO statement_events (tenant_id, id, statement_id, position, state, at)
SELECT :tenant, uuidv7(), :id, 1, 'draft', now()
""")
LINES = text("""
INSERT INTO statement_lines (tenant_id, id, statement_id, position, kind, service_period, line_key,
    label, agreement_key, basis, quantity, price, exact_amount, amount_cents, item_count)
SELECT :tenant, uuidv7(), :id, n, 'usage', '2026-10', 'line|' || n,
    'Service ' || n % 400 || ': contact handled, phone', 'city-intake-for-county',
    jsonb_build_object('activity', 'contact_handled', 'channel', 'phone', 'unit', 'each',
        'service_name', 'Service ' || n % 400, 'rate', 'phone', 'card', 'intake'),
    1, 4.905, 4.905, 491, 1
FROM generate_series(1, :lines) AS n
""")
ITEMS = text("""
INSERT INTO statement_items (tenant_id, id, line_id, contact_reference, occurred_at, activity,
    channel, language, after_hours, quantity, price, amount)
SELECT :tenant, uuidv7(), id, 'C-' || md5(id::text), now(), 'contact_handled', 'phone', 'en',
    false, 1, 4.905, 4.905
FROM statement_lines WHERE tenant_id = :tenant AND statement_id = :id
""")


@dataclass
class Grown:
    """How much the process grew, in MB."""

    mb: float = 0.0


@contextmanager
def growth() -> Iterator[Grown]:
    """Sample the process's memory while the body works."""
    gc.collect()
    process, found, done = psutil.Process(), Grown(), threading.Event()
    before = process.memory_info().rss

    def sample() -> None:
        while not done.wait(0.005):
            found.mb = max(found.mb, (process.memory_info().rss - before) / 1e6)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def make(site: Site, lines: int) -> tuple[UUID, str]:
    """Put a statement of the City to the County with so many lines; give its id and number."""
    ids = published(site.engine).ids
    statement_id, number = new_id(), public_id("S")
    about = {
        "tenant": ids[CITY],
        "payer": ids[COUNTY],
        "id": statement_id,
        "number": number,
        "lines": lines,
    }
    with session_scope(site.engine, Scope(ids[CITY])) as session:
        for each in (STATEMENT, LINES, ITEMS):
            session.execute(each, about)
    return statement_id, number


def run(site: Site) -> list[Figure]:
    """Time the long statement's pages beside the short one's; export and explain both."""
    made = {lines: make(site, lines) for lines in (FEW, MANY)}
    with site.owner() as connection:
        connection.execute(text("VACUUM ANALYZE statement_lines, statement_items, statements"))
    figures = pages(site, made)
    scope = Scope(published(site.engine).ids[CITY])

    def export(statement_id: UUID, form: str) -> None:
        with session_scope(site.engine, scope) as session, tempfile.TemporaryFile() as file:
            assert write_document(session, statement_id, form, file, now=datetime.now(UTC))

    def explain(statement_id: UUID, _: str) -> None:
        with session_scope(site.engine, scope) as session:
            assert sum(1 for _ in walk(session, statement_id)) > FEW

    works: dict[str, Callable[[UUID, str], None]] = dict.fromkeys(
        ("csv", "json", "xlsx", "pdf"), export
    )
    for name, work in (works | {"explain": explain}).items():
        taken = {}
        work(made[FEW][0], name)
        for lines in (FEW, MANY):
            with growth() as grown:
                begun = time.perf_counter()
                work(made[lines][0], name)
                taken[lines] = time.perf_counter() - begun
        figures += [
            Figure(f"{name}: {MANY} lines", taken[MANY], "s"),
            Figure(f"{name}: a line, {MANY} to {FEW}", taken[MANY] / taken[FEW] * FEW / MANY, ""),
            Figure(f"{name}: memory for {MANY} lines", grown.mb, "MB", at_most=MOST_MB),
        ]
    return figures


def pages(site: Site, made: dict[int, tuple[UUID, str]]) -> list[Figure]:
    """The first page, one in the middle, and a line of both statements, in turns."""
    figures = []
    with signed_in(site, "finance", CITY) as client:
        for name, path in (
            ("page", ""),
            ("page in the middle", "?after={half}"),
            ("line", "/{half}"),
        ):
            taken: dict[int, list[float]] = {FEW: [], MANY: []}
            sent: dict[int, int] = {}
            for _ in range(25):
                for lines, (_, number) in made.items():
                    address = f"/{CITY}/statements/{number}{path.format(half=lines // 2)}"
                    with counted(site) as statements:
                        begun = time.perf_counter()
                        status, page = client.ask("GET", address)
                        taken[lines].append(time.perf_counter() - begun)
                    assert status == 200, page
                    sent[lines] = len(statements)
            large, small = (statistics.median(taken[lines]) for lines in (MANY, FEW))
            figures += [
                Figure(f"{name}: {MANY} lines", large * 1000, "ms"),
                Figure(f"{name}: {MANY} to {FEW}", large / small, "", at_most=4.0),
                Figure(
                    f"{name}: statements, {MANY} less {FEW}", sent[MANY] - sent[FEW], "", at_most=0
                ),
            ]
    return figures


@contextmanager
def counted(site: Site) -> Iterator[list[str]]:
    """The SQL that is sent meanwhile."""
    found: list[str] = []

    def remember(_connection, _cursor, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(site.engine, "before_cursor_execute", remember)
    try:
        yield found
    finally:
        event.remove(site.engine, "before_cursor_execute", remember)
