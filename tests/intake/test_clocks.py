"""The clock of a request as it is worked, on the real database."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event, select, update

from regional311.audit.queries import history
from regional311.database.ids import new_id
from regional311.database.session import acting_for
from regional311.floor import watching
from regional311.intake import from_person, queries, service
from regional311.intake.models import FollowedRequest, ServiceRequest
from regional311.intake.undoing import as_it_was, put_back
from regional311.referral import filing, handing_on
from regional311.referral.filing import Intake, Place
from regional311.referral.snapshot import Published
from regional311.referral.splitting import Part, split
from regional311.tenancy.models import Tenant
from tests.little_region import IDS, IN_CITY, NOW, ON_BRIDGE

HOUR = timedelta(hours=1)
DUE = NOW + 31 * HOUR
"""Sixteen business hours after ten on a Monday, from eight to five: Tuesday at five."""

WEDNESDAY = NOW + 46 * HOUR
"""Wednesday at eight, when the doors open."""

LEVELS = {
    "service_levels": [
        {"priority": "urgent", "hours": 4, "warn_at_percent": 50},
        {"priority": "normal", "hours": 50},
    ]
}


@pytest.fixture
def levels(city):
    """The City's own levels by priority."""
    for slug in ("city", "county"):
        with acting_for(city, IDS[slug]):
            kept = city.scalars(select(Tenant.settings).where(Tenant.id == IDS[slug])).one()
            city.execute(
                update(Tenant)
                .where(Tenant.tenant_id == IDS[slug], Tenant.id == IDS[slug])
                .values(settings={**kept, **LEVELS})
            )
    return Published.load(city)


def file(session, region, point=IN_CITY, **values):
    given = {
        "source": "desk",
        "key": str(new_id()),
        "channel": "phone",
        "started_at": NOW,
        "service": "city/pothole",
        "place": Place(longitude=Decimal(str(point[0])), latitude=Decimal(str(point[1]))),
        "danger_answer": "none",
    }
    return filing.take_in(session, region, Intake(**{**given, **values}), now=NOW).request_id


def get(session, request_id):
    session.flush()
    session.expire_all()
    return session.scalars(select(ServiceRequest).where(ServiceRequest.id == request_id)).one()


def move(session, request_id, to, hours, **values):
    service.change_request(
        session, now=NOW + hours * HOUR, request_id=request_id, version=None, to=to, **values
    )
    return get(session, request_id)


def steps(session, request_id):
    return [
        {name: each.detail[name] for name in ("clock", "expected_at") if name in each.detail}
        for each in history(session, request_id)
    ]


def test_a_request_is_filed_with_its_promise_and_its_warning(city, region):
    request = get(city, file(city, region))
    # three quarters of sixteen hours: thirteen on Tuesday
    assert (request.expected_at, request.warn_at) == (DUE, NOW + 27 * HOUR)
    assert request.stands_since is request.left_seconds is request.stood_seconds is None


def test_the_levels_of_the_partner_count_where_the_service_has_none(city, levels):
    request = get(city, file(city, levels, service="city/abuse"))
    assert request.expected_at == NOW + timedelta(days=7, hours=5)
    assert get(city, file(city, levels)).expected_at == DUE


def test_a_part_has_a_promise_of_its_own(city, levels):
    whole = file(city, levels)
    split(
        city,
        levels,
        now=NOW + HOUR,
        request_id=whole,
        version=1,
        parts=[Part("city/pothole", "Fill it, please, for good.")],
    )
    part = city.scalars(select(ServiceRequest).where(ServiceRequest.opened_at == NOW + HOUR)).one()
    assert (part.expected_at, part.warn_at) == (WEDNESDAY + HOUR, NOW + 28 * HOUR)


def test_time_stands_still_while_it_waits_for_the_person_and_goes_on_when_they_write(city, region):
    request_id = file(city, region)
    request = move(city, request_id, "waiting_person", 1, message="Which side of the street?")
    assert (request.expected_at, request.warn_at) == (None, None)
    assert (request.stands_since, request.left_seconds) == (NOW + HOUR, 15 * 3600)
    assert queries.requests(city, overdue_at=NOW + timedelta(days=99)).rows == []
    from_person.add_words(
        city,
        owner_id=IDS["city"],
        request_id=request_id,
        text="On the north side",
        now=NOW + 25 * HOUR,
    )
    request = get(city, request_id)
    assert request.state == "in_progress"
    assert request.expected_at == DUE + 24 * HOUR
    assert (request.stands_since, request.left_seconds) == (None, None)
    assert request.stood_seconds == 9 * 3600
    assert steps(city, request_id)[1:] == [
        {"clock": "stands"},
        {},
        {"clock": "goes_on", "expected_at": (DUE + 24 * HOUR).isoformat()},
    ]


def test_a_change_that_leaves_the_clock_alone_asks_for_nothing_more(city, region):
    request_id, sent = file(city, region), []

    def keep(_connection, _cursor, statement, *_rest) -> None:
        sent.append(statement)

    connection = city.connection()
    event.listen(connection, "before_cursor_execute", keep)
    move(city, request_id, "triaged", 1)
    move(city, request_id, "closed", 2, resolution="completed", message="It is filled now.")
    event.remove(connection, "before_cursor_execute", keep)
    assert not [each for each in sent if "tenants" in each]


def test_what_is_overdue_stays_so_while_it_waits(city, region):
    request_id = file(city, region)
    request = move(city, request_id, "waiting_person", 24 * 3)
    assert (request.expected_at, request.stands_since) == (DUE, None)
    late = queries.requests(city, overdue_at=NOW + 72 * HOUR)
    assert [each.id for each in late.rows] == [request_id]


def test_opened_again_it_has_what_was_left(city, region):
    request_id = file(city, region)
    move(city, request_id, "waiting_person", 1)
    closed = move(
        city, request_id, "closed", 2, resolution="completed", message="It is filled now."
    )
    # as if it had gone on when it was closed
    assert (closed.expected_at, closed.stands_since) == (WEDNESDAY + HOUR, None)
    assert "clock" not in steps(city, request_id)[-1]
    again = move(city, request_id, "triaged", 24)
    assert again.expected_at == WEDNESDAY + 8 * HOUR
    late = file(city, region)
    done = {"resolution": "completed", "message": "It is filled now."}
    move(city, late, "closed", 24 * 4, **done)
    # four hours, a quarter of sixteen
    assert move(city, late, "triaged", 24 * 7).expected_at == NOW + (24 * 7 + 4) * HOUR


def test_another_priority_is_another_promise_and_those_who_follow_hear_it(city, levels):
    # the bridge is the County's: high, eight hours
    request_id = file(city, levels, ON_BRIDGE)
    with acting_for(city, IDS["county"]):
        before = get(city, request_id)
        was = before.expected_at
        low = service.assign_request(
            city, now=NOW + HOUR, request_id=request_id, version=1, priority="low"
        )
        assert get(city, request_id).expected_at == NOW + 23 * HOUR
        assert steps(city, request_id)[-1] == {"expected_at": (NOW + 23 * HOUR).isoformat()}
    assert (was, low.version) == (NOW + 4 * HOUR, 2)
    followed = city.scalars(select(FollowedRequest)).one()
    assert followed.expected_at == NOW + 23 * HOUR


def test_a_priority_while_it_waits_and_one_at_its_end(city, levels):
    request_id = file(city, levels)
    move(city, request_id, "waiting_person", 1)
    request = move(city, request_id, "assigned", 24, priority="urgent", assignee_id=new_id())
    # three of four hours are left, and half of four is the warning
    assert request.expected_at == NOW + 27 * HOUR
    assert request.warn_at == NOW + 25 * HOUR


def test_a_change_of_the_clock_is_taken_back_with_the_change(city, levels):
    request_id = file(city, levels)
    before = as_it_was(get(city, request_id))
    waits = move(city, request_id, "waiting_person", 1)
    put_back(
        city,
        now=NOW + 2 * HOUR,
        request_id=request_id,
        version=waits.version,
        before=before,
        changed_at=NOW + HOUR,
    )
    assert as_it_was(get(city, request_id)) == before
    changed = service.assign_request(
        city, now=NOW + HOUR, request_id=request_id, version=3, priority="urgent"
    )
    put_back(
        city,
        now=NOW + 2 * HOUR,
        request_id=request_id,
        version=changed.version,
        before={**before, "note": "a note"},
        changed_at=NOW + HOUR,
    )
    assert get(city, request_id).expected_at == DUE


def test_handed_on_while_it_waits_it_goes_on_at_its_new_owner(city, region):
    request_id = file(city, region)
    request = move(city, request_id, "waiting_person", 1)
    handing_on.hand_on(
        city,
        region,
        now=NOW + 2 * HOUR,
        request_id=request_id,
        version=request.version,
        service="county/road-pothole",
        words="It is on a County road.",
    )
    with acting_for(city, IDS["county"]):
        there = get(city, request_id)
        assert (there.expected_at, there.stood_seconds) == (WEDNESDAY + HOUR, 3600)
        assert there.warn_at == NOW + 28 * HOUR


def test_supervisors_see_at_risk_what_has_used_up_its_share(city, region):
    def risks(hours):
        found = watching.at_risk(city, today=NOW.date(), now=NOW + hours * HOUR, cleared=True)
        return [(each.overdue, each.soon) for each in found if each.kind == "request"]

    request_id = file(city, region)
    assert [risks(hours) for hours in (26, 27, 47)] == [[], [(0, 1)], [(1, 0)]]
    assert [each.id for each in queries.requests(city, at_risk_at=NOW + 27 * HOUR).rows] == [
        request_id
    ]
    assert queries.requests(city, at_risk_at=NOW + 47 * HOUR).rows == []
    move(city, request_id, "waiting_person", 1)
    assert risks(47) == []
