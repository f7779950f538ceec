"""A backtest meets the room that had been said at each contact's moment, not that of today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from regional311.database.rows import send
from regional311.database.session import acting_for
from regional311.referral.again import Came
from regional311.referral.backtest import Past, Tally
from regional311.referral.capacity import set_room
from regional311.referral.room_history import history
from tests.little_region import IDS

DAY = datetime(2026, 10, 5, 8, tzinfo=UTC)
SLUGS = {tenant_id: slug for slug, tenant_id in IDS.items()}


def hour(number: float) -> datetime:
    return DAY + timedelta(hours=number)


def said(session, state, since, until, service="bed"):
    with acting_for(session, IDS["211info"]):
        set_room(session, now=hour(since), service_key=service, state=state, until=hour(until))
        send(session)


def test_what_was_said_by_then_counts_and_only_while_it_held(city):
    said(city, "has", 0, 12)
    said(city, "none_waitlist", 4, 6)
    said(city, "has", 5, 20, service="food")
    said(city, "none", 30, 40)
    kept = history(city, SLUGS, hour(1), hour(24))
    beds = [kept.state("211info/bed", hour(each)) for each in (-1, 1, 4, 5, 7, 13, 31)]
    # what replaced another counts to its own end; then nothing is known, as it was then
    assert beds == [
        "unknown",
        "has",
        "none_waitlist",
        "none_waitlist",
        "unknown",
        "unknown",
        "unknown",
    ]
    assert kept.state("211info/food", hour(6)) == "has"
    assert kept.state("county/bed", hour(1)) == "unknown"
    tally = Tally()
    came = Came("refer", "211info", "bed", "city", "all", "city")
    for at in (1, 2, 5, 13):
        past = Past("c", hour(at).date(), hour(at), {}, "information", "", "bed", "")
        tally.count(past, came, kept)
    assert tally.room == {"211info": {"has": 2, "none_waitlist": 1, "unknown": 1}}
    assert Tally.of(tally.plain()).room == tally.room


def test_a_kept_result_from_before_is_still_read(city):
    stored = {name: value for name, value in Tally().plain().items() if name != "room"}
    assert Tally.of(stored).room == {}
