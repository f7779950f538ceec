"""What may be the same, looked for among a million requests of one partner.

The requests are made by set-based SQL: half of them open, over the city and three years, a fifth of
one service. Statements are timed as the application's role sends them, under forced row security,
planning and fetching included, at places that lie among the requests. The baseline is a look at one
request by its number, in the same session.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import select, text

from bench import Figure, Site
from regional311.database.session import Scope, session_scope
from regional311.intake.models import ServiceRequest
from regional311.intake.nearby import Sought, near
from regional311.referral.snapshot import published

CITY = "city-of-portland"
REQUESTS = 1_000_000
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SOUTH, WEST, HIGH, WIDE = 45.45, -122.75, 0.15, 0.25

FILL = text("""
INSERT INTO service_requests (tenant_id, id, public_id, service_key, intake_tenant_id, state,
    priority, place_kind, place_text, latitude, longitude, place_cell, place_words,
    confidential, opened_at, closed_at, updated_at, version)
SELECT :city, uuidv7(), 'R-' || lpad(number::text, 10, '0'),
    CASE WHEN number % 5 = 0 THEN 'pothole' ELSE 'service-' || number % 60 END, :city,
    CASE WHEN number % 2 = 0 THEN 'received' ELSE 'closed' END, 'normal', 'address',
    number % 90000 || ' Main Street', latitude, longitude,
    floor((latitude + 90) / 0.0025) * 144000 + floor((longitude + 180) / 0.0025),
    number % 90000 || ' main street', false, at, CASE WHEN number % 2 = 1 THEN at END, at, 1
FROM (
    SELECT number, CAST(:now AS timestamptz) - number * (interval '3 years' / :many) AS at,
        :south + :high * random() AS latitude, :west + :wide * random() AS longitude
    FROM generate_series(1, :many) AS number
) made
""")


def run(site: Site) -> list[Figure]:
    city = published(site.engine).ids[CITY]
    draw = random.Random(311)
    with session_scope(site.engine, Scope(city)) as session:
        values = {"city": city, "now": NOW, "many": REQUESTS}
        area = {"south": SOUTH, "west": WEST, "high": HIGH, "wide": WIDE}
        session.execute(FILL, values | area)
    with site.owner() as owner:
        owner.execute(text("VACUUM ANALYZE service_requests"))
    places = [
        (
            Decimal(f"{SOUTH + HIGH * draw.random():.6f}"),
            Decimal(f"{WEST + WIDE * draw.random():.6f}"),
        )
        for _ in range(200)
    ]
    with session_scope(site.engine, Scope(city)) as session:
        found = [0]

        def look(place: int, **more: int) -> None:
            latitude, longitude = places[place % len(places)]
            words = f"{draw.randrange(90000)} Main Street"
            sought = Sought(("pothole",), latitude, longitude, words, **more)
            found[0] += len(near(session, sought, now=NOW))

        def one(_place: int) -> None:
            number = f"R-{draw.randrange(REQUESTS):010}"
            session.execute(
                select(ServiceRequest.state).where(
                    ServiceRequest.tenant_id == city, ServiceRequest.public_id == number
                )
            ).all()

        plain = _median_ms(one)
        usual = _median_ms(look)
        wide = _median_ms(lambda place: look(place, metres=250, hours=24 * 365 * 3))
        close = _median_ms(lambda place: look(place, metres=45, hours=3))
        assert found[0]
    return [
        Figure("the same within 250 m and 30 days", usual, "ms", at_most=10),
        Figure("the same within 250 m and three years", wide, "ms", at_most=10),
        Figure("the same within 45 m and 3 hours", close, "ms", at_most=10),
        Figure("one request by its number", plain, "ms"),
        Figure("times one request", usual / plain, ""),
    ]


def _median_ms(work: Callable[[int], None]) -> float:
    for place in range(20):
        work(place)
    taken = []
    for place in range(200):
        begun = time.perf_counter()
        work(place)
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)
