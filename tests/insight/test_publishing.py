"""What partners publish of their months: once, without anybody, for all to read."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from regional311.database.session import acting_for
from regional311.insight.models import Trend
from regional311.insight.publishing import publish_months, published_months, trends
from tests.insight.rows import need, referral
from tests.little_region import IDS

AUGUST = datetime(2026, 8, 20, 18, tzinfo=UTC)
LATER = datetime(2026, 9, 12, 18, tzinfo=UTC)


def fill(session):
    for language, count in (("en", 9), ("es", 3), ("ru", 4)):
        for _ in range(count):
            need(
                session,
                started_at=AUGUST,
                status="unmet",
                unmet_reason="cost",
                language=language,
                area="city/portland",
            )
    for partner, count in (("211info", 6), ("county", 2)):
        for _ in range(count):
            referral(session, counterparty_id=IDS[partner], sent_at=AUGUST)
    referral(session, side="received", sent_at=AUGUST)


def test_a_month_is_published_when_it_is_over_and_settled(city):
    fill(city)
    assert publish_months(city, now=datetime(2026, 9, 9, tzinfo=UTC)) == 0
    assert publish_months(city, now=LATER) == 1
    (row,) = trends(city, since=date(2026, 8, 1), until=date(2026, 8, 1))
    assert (row.tenant_id, row.month_on, row.threshold) == (IDS["city"], date(2026, 8, 1), 5)
    assert row.figures["unmet"] == {
        "total": 16,
        "divided": {
            "term": {"shelter": 16},
            "area": {"city/portland": 16},
            "language": {"en": 9, "es": "few", "ru": "few"},
            "unmet_reason": {"cost": 16},
        },
    }
    assert row.figures["sent"] == {
        "total": 8,
        "divided": {"loop": {"open": 8}, "partner": {"211info": "withheld", "county": "few"}},
    }


def test_a_month_is_published_once_and_never_changed(city):
    fill(city)
    publish_months(city, now=LATER)
    need(city, started_at=AUGUST, status="unmet")
    assert publish_months(city, now=LATER) == 0
    with pytest.raises(DBAPIError, match="permission denied"), city.begin_nested():
        city.execute(
            update(Trend).values(threshold=3), execution_options={"synchronize_session": False}
        )


def test_a_month_belongs_to_the_partners_own_clock(city):
    night = datetime(2026, 9, 1, 6, 30, tzinfo=UTC)
    for _ in range(5):
        need(city, started_at=night, status="unmet")
    publish_months(city, now=LATER)
    assert published_months(city) == [date(2026, 8, 1)]


def test_all_partners_read_it_and_only_its_own_writes_it(city):
    fill(city)
    publish_months(city, now=LATER)
    with acting_for(city, IDS["county"]):
        assert publish_months(city, now=LATER) == 0
        assert [
            row.tenant_id for row in trends(city, since=date(2026, 1, 1), until=LATER.date())
        ] == [IDS["city"]]
        assert city.execute(select(Trend)).scalar_one().tenant_id == IDS["city"]


def test_months_that_were_missed_are_published_later(city):
    for month in (5, 6, 8):
        for _ in range(6):
            need(city, started_at=datetime(2026, month, 10, tzinfo=UTC), status="unmet")
    assert publish_months(city, now=LATER) == 3
    assert published_months(city) == [date(2026, 8, 1), date(2026, 6, 1), date(2026, 5, 1)]
