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
from itertools import product

from sqlalchemy import select, text

from bench import Figure, Site
from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.gazetteer.models import KnownPlace
from regional311.gazetteer.queries import ONE, UNKNOWN, find
from regional311.referral.snapshot import published

CITY = "city-of-portland"
STREETS, NUMBERS = 3_000, 100
"""A hundred houses on each of three thousand streets; each street crosses twenty others."""
SYLLABLES = [
    "ar",
    "be",
    "cal",
    "dor",
    "el",
    "fin",
    "gar",
    "hol",
    "is",
    "jun",
    "kel",
    "lo",
    "mar",
    "nor",
    "ol",
    "pen",
    "rus",
    "sal",
    "tor",
    "ul",
    "ver",
    "wil",
]

SOURCE = text("""
INSERT INTO place_sources (tenant_id, id, key, name, licence, imported_at, places)
VALUES (:city, :source, 'bench', 'Bench', 'none', now(), 0)
""")
STREETS_NAMED = "unnest(CAST(:names AS text[])) WITH ORDINALITY AS street(name, at)"
ADDRESSES = text(f"""
INSERT INTO known_places (tenant_id, id, source_id, digest, kind, label, words, bare, city, number,
    latitude, longitude)
SELECT :city, uuidv7(), :source, sha256(convert_to(number || name, 'UTF8')), 'address',
    number || ' SE ' || initcap(name) || ' Ave, Portland', number || ' se ' || name || ' ave',
    number || ' ' || name, 'portland', number, 45.4 + at * 0.00006, -122.7 + house * 0.002
FROM (SELECT *, house * 100 + at * 37 % 100 AS number
    FROM {STREETS_NAMED}, generate_series(1, :numbers) AS house) AS made
""")
CROSSINGS = text(f"""
INSERT INTO known_places (tenant_id, id, source_id, digest, kind, label, words, bare, city,
    latitude, longitude)
SELECT :city, uuidv7(), :source, sha256(convert_to(one || other, 'UTF8')), 'crossing',
    'SE ' || initcap(one) || ' Ave & SE ' || initcap(other) || ' Ave, Portland',
    'se ' || one || ' ave & se ' || other || ' ave', one || ' & ' || other, 'portland',
    45.4 + at * 0.00006, -122.7 + step * 0.01
FROM (SELECT at, step, least(street.name, crossed.name) AS one,
        greatest(street.name, crossed.name) AS other
    FROM {STREETS_NAMED}, generate_series(1, 20) AS step,
        LATERAL (SELECT (CAST(:names AS text[]))[1 + (at + step * 7) % :streets] AS name) AS crossed
    ) AS made
""")
NAIVE = text("SELECT label FROM known_places WHERE label ILIKE '%' || :words || '%' LIMIT 5")


def run(site: Site) -> list[Figure]:
    city, source, draw = published(site.engine).ids[CITY], new_id(), random.Random(311)
    every = ["".join(each) for each in product(SYLLABLES, repeat=3)]
    names = draw.sample(every, STREETS)
    values = {"city": city, "source": source, "names": names}
    with session_scope(site.engine, Scope(city)) as session:
        session.execute(SOURCE, {"city": city, "source": source})
        session.execute(ADDRESSES, values | {"numbers": NUMBERS})
        session.execute(CROSSINGS, values | {"streets": STREETS})
    with site.owner() as owner:
        owner.execute(text("VACUUM ANALYZE known_places"))
    with session_scope(site.engine, Scope(city)) as session:
        ids = session.scalars(select(KnownPlace.id).limit(1000)).all()

        def house(slip: int = 0) -> str:
            at = draw.randrange(1, STREETS + 1)
            number = draw.randrange(1, NUMBERS + 1) * 100 + at * 37 % 100
            return f"{number} SE {_slipped(names[at - 1], slip)} Ave"

        def crossing(slip: int = 0) -> str:
            at = draw.randrange(STREETS)
            other = (at + 1 + draw.randrange(1, 21) * 7) % STREETS
            return f"corner of {names[other].title()} and SE {_slipped(names[at], slip)} Avenue"

        def plain() -> None:
            session.execute(
                select(KnownPlace.label).where(
                    KnownPlace.tenant_id == city, KnownPlace.id == draw.choice(ids)
                )
            ).all()

        def looked(words: Callable[[], str], how: str) -> Callable[[], None]:
            def look() -> None:
                answer = find(session, words())
                assert answer.how == how, answer

            return look

        one = _median_ms(plain)
        address = _median_ms(looked(house, ONE))
        crossed = _median_ms(looked(crossing, ONE))
        slip = _median_ms(looked(lambda: house(1), UNKNOWN))
        slipped = _median_ms(looked(lambda: crossing(1), UNKNOWN))
        unknown = _median_ms(looked(lambda: f"behind the blue barn {draw.random()}", UNKNOWN))
        naive = _median_ms(lambda: session.execute(NAIVE, {"words": house()}).all(), times=20)
    return [
        Figure("an address by its words", address, "ms", at_most=5),
        Figure("a crossing by its words", crossed, "ms", at_most=5),
        Figure("an address with a slip of the pen", slip, "ms", at_most=20),
        Figure("a crossing with a slip of the pen", slipped, "ms", at_most=50),
        Figure("words that nobody knows", unknown, "ms", at_most=50),
        Figure("one place by its id", one, "ms"),
        Figure("an address, times one by its id", address / one, "", at_most=5),
        Figure("a search of all labels", naive, "ms"),
    ]


def _slipped(name: str, slip: int) -> str:
    """The name as it is written; with a slip, without a letter of its middle."""
    at = len(name) // 2
    return (name[:at] + name[at + slip :]).title()


def _median_ms(work: Callable[[], None], *, times: int = 100) -> float:
    for _ in range(5):
        work()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)
