"""Words of a place to its point, among the addresses and crossings of a large city.

The places are made by set-based SQL as a list would make them. Look-ups are timed as the
application's role sends them, reading of the words included. The baseline is a look at one place by
its id in the same session; beside it stands what would be done without any of this, a search of the
labels for the words.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from sqlalchemy import select, text

from bench import Figure, Site
from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.gazetteer.models import KnownPlace
from regional311.gazetteer.queries import ONE, UNKNOWN, Answer, find
from regional311.referral.snapshot import published

CITY = "city-of-portland"
STREETS, NUMBERS = 3_000, 100
"""A hundred houses on each of three thousand streets; each street crosses twenty others."""

SOURCE = text("""
INSERT INTO place_sources (tenant_id, id, key, name, licence, imported_at, places)
VALUES (:city, :source, 'bench', 'Bench', 'none', now(), 0)
""")
ADDRESSES = text("""
INSERT INTO known_places (tenant_id, id, source_id, digest, kind, label, words, bare, city, number,
    latitude, longitude)
SELECT :city, uuidv7(), :source, sha256(convert_to('a' || street || '.' || house, 'UTF8')),
    'address', house * 10 || ' SE Street' || street || ' Ave, Portland',
    house * 10 || ' se street' || street || ' ave', house * 10 || ' street' || street,
    'portland', house * 10, 45.4 + street * 0.00006, -122.7 + house * 0.002
FROM generate_series(1, :streets) AS street, generate_series(1, :numbers) AS house
""")
CROSSINGS = text("""
INSERT INTO known_places (tenant_id, id, source_id, digest, kind, label, words, bare, city,
    latitude, longitude)
SELECT :city, uuidv7(), :source, sha256(convert_to('c' || street || '.' || other, 'UTF8')),
    'crossing', 'SE Street' || street || ' Ave & SE Cross' || street + other || ' St, Portland',
    'se cross' || street + other || ' st & se street' || street || ' ave',
    'cross' || street + other || ' & street' || street,
    'portland', 45.4 + street * 0.00006, -122.7 + other * 0.01
FROM generate_series(1, :streets) AS street, generate_series(1, 20) AS other
""")
NAIVE = text("SELECT label FROM known_places WHERE label ILIKE '%' || :words || '%' LIMIT 5")


def run(site: Site) -> list[Figure]:
    city, source, draw = published(site.engine).ids[CITY], new_id(), random.Random(311)
    values = {"city": city, "source": source, "streets": STREETS}
    with session_scope(site.engine, Scope(city)) as session:
        session.execute(SOURCE, {"city": city, "source": source})
        session.execute(ADDRESSES, values | {"numbers": NUMBERS})
        session.execute(CROSSINGS, values)
    with site.owner() as owner:
        owner.execute(text("VACUUM ANALYZE known_places"))
    with session_scope(site.engine, Scope(city)) as session:
        ids = session.scalars(select(KnownPlace.id).limit(1000)).all()

        def street() -> int:
            return draw.randrange(1, STREETS + 1)

        def house() -> int:
            return draw.randrange(1, NUMBERS + 1) * 10

        def plain() -> None:
            session.execute(
                select(KnownPlace.label).where(
                    KnownPlace.tenant_id == city, KnownPlace.id == draw.choice(ids)
                )
            ).all()

        def looked(words: Callable[[], str], how: str) -> Callable[[], None]:
            def look() -> None:
                answer: Answer = find(session, words())
                assert answer.how == how, answer

            return look

        def crossing() -> str:
            at = street()
            return f"corner of Street{at} and SE Cross{at + draw.randrange(1, 21)} Street"

        def search() -> None:
            session.execute(NAIVE, {"words": f"{house()} SE Street{street()} Ave"}).all()

        one = _median_ms(plain)
        address = _median_ms(looked(lambda: f"{house()} Southeast Street{street()} Avenue", ONE))
        crossed = _median_ms(looked(crossing, ONE))
        slip = _median_ms(looked(lambda: f"{house()} SE Stret{street()} Ave", UNKNOWN))
        slipped = _median_ms(looked(lambda: f"SE Stret{street()} & SE Crss{street()}", UNKNOWN))
        unknown = _median_ms(looked(lambda: f"behind the blue barn {street()}", UNKNOWN))
        naive = _median_ms(search, times=20)
    return [
        Figure("an address by its words", address, "ms", at_most=5),
        Figure("a crossing by its words", crossed, "ms", at_most=5),
        Figure("an address with a slip of the pen", slip, "ms", at_most=50),
        Figure("a crossing with a slip of the pen", slipped, "ms", at_most=50),
        Figure("words that nobody knows", unknown, "ms", at_most=50),
        Figure("one place by its id", one, "ms"),
        Figure("an address, times one by its id", address / one, ""),
        Figure("a search of all labels", naive, "ms"),
    ]


def _median_ms(work: Callable[[], None], *, times: int = 100) -> float:
    for _ in range(5):
        work()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)
