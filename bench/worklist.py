"""The worklist of a partner with 100,000 open referrals beside one with ten thousand.

211info has the many, the County the few, in one database; the same pages are asked for in turns.
"""

from __future__ import annotations

import statistics
import time

from sqlalchemy import text

from bench import Figure, Site, signed_in
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import published

MANY, FEW = 100_000, 10_000
FULL, SMALL, SENDER = "211info", "multnomah-county", "city-of-portland"
PAGES = {
    "new": "",
    "overdue": "?view=overdue",
    "ageing": "?view=ageing",
    "in work, by finish": "?view=work&sort=finish",
    "waitlist": "?view=waitlist",
}
FILL = text("""
INSERT INTO referrals (
    tenant_id, id, public_id, side, counterparty_id, service_key, term, shared, urgency, channel,
    state, reason, sent_at, answered_at, due_at, finish_by, waitlist_position, version
)
SELECT :tenant, uuidv7(at - now()),
    'F-' || lpad(upper(to_hex(number)), 10, '0'), 'received', :sender, 'bench', 'rent', '{}',
    'normal', 'phone', state,
    CASE WHEN state = 'on_hold' THEN 'waitlist' END, at,
    CASE WHEN state <> 'requested' THEN at END, at + interval '7 days',
    CASE WHEN state <> 'requested' THEN at + interval '21 days' END,
    CASE WHEN state = 'on_hold' THEN number END, 1
FROM (
    SELECT number, now() - number * (interval '70 days' / :many) AS at,
        (ARRAY['requested', 'accepted', 'in_progress', 'on_hold'])[1 + number % 4] AS state
    FROM generate_series(1, :many) AS number
) made
""")


def run(site: Site) -> list[Figure]:
    """Fill both partners, then time the same pages in turns."""
    ids = published(site.engine).ids
    for tenant, many in ((FULL, MANY), (SMALL, FEW)):
        with session_scope(site.engine, Scope(ids[tenant])) as session:
            values = {"tenant": ids[tenant], "sender": ids[SENDER], "many": many}
            session.execute(FILL, values)
    with site.owner() as connection:
        connection.execute(text("VACUUM ANALYZE referrals"))
    figures = []
    with signed_in(site, "supervisor", FULL) as many, signed_in(site, "supervisor", SMALL) as few:
        for name, query in PAGES.items():
            taken: dict[str, list[float]] = {FULL: [], SMALL: []}
            for _ in range(40):
                for tenant, client in ((FULL, many), (SMALL, few)):
                    begun = time.perf_counter()
                    status, page = client.ask("GET", f"/{tenant}/referrals{query}")
                    taken[tenant].append(time.perf_counter() - begun)
                    assert status == 200, page
            large, small = (statistics.median(taken[each]) for each in (FULL, SMALL))
            figures += [
                Figure(f"{name}: {MANY} open referrals", large * 1000, "ms"),
                Figure(f"{name}: {MANY} to {FEW}", large / small, "", at_most=1.5),
            ]
    return figures
