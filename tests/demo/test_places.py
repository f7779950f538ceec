"""The demo's example list of places."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from regional311.database.session import Scope, make_engine, session_scope
from regional311.demo.places import CITY, SOURCE, list_places
from regional311.gazetteer.queries import ONE, SEVERAL, find, sources
from regional311.gazetteer.service import end_list
from regional311.referral.snapshot import published

NOW = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.mark.commits
def test_the_demo_knows_a_few_places_and_takes_them_in_once(committed_database):
    engine = make_engine(committed_database.app_url)
    region = published(engine)
    list_places(engine, region, now=NOW)
    city = region.ids[CITY]
    with session_scope(engine, Scope(city)) as session:
        assert find(session, "82nd and Division").how == ONE
        assert find(session, "1120 SW Fifth Avenue, Portland OR 97204").how == ONE
        assert find(session, "12th & Main").how == SEVERAL
        for each in find(session, "12th & Main").places:
            found = region.jurisdictions.locate(float(each.longitude), float(each.latitude))
            assert "city-of-portland/city" in found.keys
        end_list(session, SOURCE.key, now=NOW)
    list_places(engine, region, now=NOW)
    with session_scope(engine, Scope(city)) as session:
        assert [each.places for each in sources(session, city)] == [0]
    engine.dispose()
