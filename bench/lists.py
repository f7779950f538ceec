"""The pages of a list over a million requests beside the same pages over ten thousand.

The City has the many, the County the few, in one database. `REGIONAL311_BENCH_REQUESTS` sets how
many the City has.
"""

from __future__ import annotations

import os
import statistics
import time

from sqlalchemy import text

from bench import Figure, Site, signed_in
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import published

MANY = int(os.environ.get("REGIONAL311_BENCH_REQUESTS", "1000000"))
FEW = 10_000
CITY, COUNTY = "city-of-portland", "multnomah-county"
PAGES = {
    "all": "",
    "one state": "?state=assigned",
    "one queue": "?queue=street-maintenance",
    "oldest first": "?sort=opened",
}
FILL = text("""
INSERT INTO service_requests (
    tenant_id, id, public_id, service_key, bureau_key, queue, intake_tenant_id, state, priority,
    place_kind, confidential, opened_at, updated_at, version
)
SELECT :tenant, uuidv7(make_interval(mins => -number)),
    'R-' || lpad(upper(to_hex(number)), 10, '0'), 'pothole', 'pbot',
    (ARRAY['street-maintenance', 'parks', 'permits', 'dispatch'])[1 + number % 4],
    :tenant, (ARRAY['received', 'triaged', 'assigned', 'in_progress', 'closed'])[1 + number % 5],
    'normal', 'none', false, now() - make_interval(mins => number), now(), 1
FROM generate_series(1, :many) AS number
""")


def run(site: Site) -> list[Figure]:
    """Fill both partners, then time the same pages in turns."""
    region = published(site.engine)
    for tenant, many in ((CITY, MANY), (COUNTY, FEW)):
        with session_scope(site.engine, Scope(region.ids[tenant])) as session:
            session.execute(FILL, {"tenant": region.ids[tenant], "many": many})
    with site.owner() as connection:
        connection.execute(text("VACUUM ANALYZE service_requests"))
    figures = []
    with signed_in(site, "worker", CITY) as many, signed_in(site, "worker", COUNTY) as few:
        for name, query in PAGES.items():
            taken: dict[str, list[float]] = {CITY: [], COUNTY: []}
            for _ in range(60):
                for tenant, client in ((CITY, many), (COUNTY, few)):
                    begun = time.perf_counter()
                    status, page = client.ask("GET", f"/{tenant}/requests{query}")
                    taken[tenant].append(time.perf_counter() - begun)
                    assert status == 200, page
            large, small = (statistics.median(taken[each]) for each in (CITY, COUNTY))
            figures += [
                Figure(f"{name}: {MANY} requests", large * 1000, "ms"),
                Figure(f"{name}: {MANY} to {FEW}", large / small, "", at_most=1.5),
            ]
    return figures
