"""The memory that a CSV export takes: of a million requests beside a tenth of them.

The City has the many, the County the tenth, in one database, and the server runs in this process.
`REGIONAL311_BENCH_REQUESTS` sets how many the City has.
"""

from __future__ import annotations

import gc
import time

import psutil
from sqlalchemy import text

from bench import Figure, Site, signed_in
from bench.lists import CITY, COUNTY, FILL, MANY
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import published

_CHUNK = 64 * 1024
_MEGABYTE = 1024 * 1024


def run(site: Site) -> list[Figure]:
    """Fill both partners, then read both exports to their end and watch the process grow."""
    region = published(site.engine)
    sizes = {CITY: MANY, COUNTY: MANY // 10}
    for tenant, many in sizes.items():
        with session_scope(site.engine, Scope(region.ids[tenant])) as session:
            session.execute(FILL, {"tenant": region.ids[tenant], "many": many})
    with site.owner() as connection:
        connection.execute(text("VACUUM ANALYZE service_requests"))
    figures = []
    peaks = {}
    with signed_in(site, "worker", CITY) as many, signed_in(site, "worker", COUNTY) as few:
        many.ask("GET", f"/{CITY}/requests")
        for tenant, client in ((COUNTY, few), (CITY, many)):
            gc.collect()
            before = psutil.Process().memory_info().rss
            begun = time.perf_counter()
            lines, peaks[tenant] = _read(client, f"/{tenant}/requests?format=csv")
            taken = time.perf_counter() - begun
            assert lines == sizes[tenant] + 1, lines
            name = f"{sizes[tenant]} requests"
            figures += [
                Figure(f"peak of {name}", peaks[tenant] / _MEGABYTE, "MB"),
                Figure(f"grown by {name}", (peaks[tenant] - before) / _MEGABYTE, "MB", at_most=64),
                Figure(f"rows a second of {name}", sizes[tenant] / taken, "/s"),
            ]
    ratio = peaks[CITY] / peaks[COUNTY]
    return [*figures, Figure("peak, ten times as many", ratio, "", at_most=1.15)]


def _read(client, path: str) -> tuple[int, int]:
    """Read an answer in pieces; give its lines, and the most memory meanwhile in bytes."""
    cookies = "; ".join(f"{name}={each}" for name, each in client.cookies.items())
    client.connection.request("GET", path, None, {"Cookie": cookies})
    answer = client.connection.getresponse()
    assert answer.status == 200, answer.status
    process, lines, peak = psutil.Process(), 0, 0
    while piece := answer.read(_CHUNK):
        lines += piece.count(b"\n")
        peak = max(peak, process.memory_info().rss)
    return lines, peak
