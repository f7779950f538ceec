"""A few well-known places for the demo: an example, written for it; points are near, not exact."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from regional311.database.session import Scope, session_scope
from regional311.gazetteer.lists import read
from regional311.gazetteer.queries import sources
from regional311.gazetteer.service import Source, take_list
from regional311.referral.snapshot import Published

CITY = "city-of-portland"
FILE = Path(__file__).with_name("places.csv")
SOURCE = Source(
    "example-places", "Well-known places (example)", "CC0 1.0; an example, points are approximate"
)


def list_places(engine: Engine, region: Published, *, now: datetime) -> None:
    """Take the example list in for the City, unless it was taken in before."""
    city = region.ids[CITY]
    with session_scope(engine, Scope(city)) as session, FILE.open("rb") as file:
        if all(each.key != SOURCE.key for each in sources(session, city)):
            take_list(session, SOURCE, read(file, FILE.name), now=now)
