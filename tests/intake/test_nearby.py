"""What may be the same, *me too*, and merging."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from math import cos, radians, sin, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from regional311.database.ids import new_id
from regional311.database.session import acting_for
from regional311.exchange.models import Envelope
from regional311.identity.queries import tracked as tracked_token
from regional311.intake import me_too, needs, queries, service
from regional311.intake.lifecycle import MessageNeeded
from regional311.intake.merging import CannotMerge, NotMerged, merge, take_out
from regional311.intake.models import Contact, FollowedRequest, MeToo, Need, ServiceRequest
from regional311.intake.nearby import Sought, cell, cells, near
from regional311.metering.models import UsageEvent
from regional311.notices.models import OutboxMessage
from regional311.referral import filing
from regional311.referral.filing import Asker, Place
from regional311.referral.prohibition import prohibit
from tests.intake.test_requests import ANNA, LATER, NAMES, file, only
from tests.little_region import IDS, IN_CITY, NOW, ON_BRIDGE

HERE = {"latitude": Decimal("45.50"), "longitude": Decimal("-122.60")}
SAME = "It is the same hole as another one that we know of."


def close(session, filed, resolution="completed"):
    service.change_request(
        session,
        now=LATER,
        request_id=filed.request_id,
        version=1,
        to="closed",
        resolution=resolution,
        message="The hole is filled now.",
        followers=NAMES,
    )


def ids(session, sought=None, **more):
    sought = sought or Sought(("pothole",), **HERE, **more)
    return [each.id for each in near(session, sought, now=LATER)]


@given(st.floats(-80, 80), st.floats(-170, 170), st.integers(1, 5000), st.floats(0, 360))
def test_the_squares_hold_the_circle(latitude, longitude, metres, bearing):
    way = metres * 0.99
    north = latitude + way * cos(radians(bearing)) / 111_320
    east = longitude + way * sin(radians(bearing)) / (111_320 * cos(radians(latitude)))
    reached = cells(Decimal(latitude), Decimal(longitude), metres)
    assert cell(Decimal(north), Decimal(east)) in reached
    assert len(reached) == len(set(reached))


def test_open_ones_nearby_are_found_the_nearest_first(city, region):
    far = file(city, region, (IN_CITY[0] + 0.001, IN_CITY[1])).request_id
    close = file(city, region, IN_CITY).request_id
    file(city, region, (IN_CITY[0] + 0.02, IN_CITY[1]))
    found = near(city, Sought(("pothole",), **HERE), now=LATER)
    assert [each.id for each in found] == [close, far]
    east = 0.001 * 111_320 * cos(radians(45.5))
    assert (found[0].metres, found[1].metres) == (0, round(east))
    assert ids(city, metres=45) == [close]
    assert [each.id for each in near(city, Sought(("pothole",), **HERE), now=LATER, but=close)] == [
        far
    ]


def test_corner_of_the_box_is_too_far(city, region):
    side = 0.0009
    file(city, region, (IN_CITY[0] + side / cos(radians(45.5)), IN_CITY[1] + side))
    assert sqrt(2) * side * 111_320 > 110
    assert ids(city, metres=110) == []
    assert len(ids(city, metres=150)) == 1


def test_old_and_closed_and_other_ones_are_not_found(city, region):
    filed = file(city, region, IN_CITY)
    assert ids(city, hours=4) == [filed.request_id]
    assert ids(city, hours=2) == []
    assert ids(city, Sought(("tree",), **HERE)) == []
    assert ids(city, Sought((), **HERE)) == []
    assert ids(city, Sought(("pothole",))) == []
    with acting_for(city, IDS["county"]):
        assert ids(city) == []
    close(city, filed)
    assert ids(city) == []


def test_confidential_ones_are_never_found(city, region):
    filed = file(city, region, IN_CITY)
    city.get(ServiceRequest, (IDS["city"], filed.request_id)).confidential = True
    city.flush()
    assert ids(city) == []
    with pytest.raises(me_too.NotOpen):
        joined(city, filed)


def test_a_place_called_the_same_is_found_without_a_point(city, region):
    point = {"latitude": HERE["latitude"], "longitude": HERE["longitude"]}
    filed = file(city, region, IN_CITY, place=Place("12 Main St", **point))
    assert ids(city, Sought(("pothole",), place_text="  12 main  ST ")) == [filed.request_id]
    assert ids(city, Sought(("pothole",), place_text="13 Main St")) == []
    assert ids(city, Sought(("pothole",), place_text="12 Main St", **HERE)) == [filed.request_id]
    file(city, region, IN_CITY, place=Place("Downtown"))
    assert ids(city, Sought(("pothole",), place_text="Downtown")) == []


def test_words_are_shown_only_when_others_may_read_them(city, region):
    file(city, region, IN_CITY, description="By the blue house of Anna")
    file(city, region, IN_CITY, source="web", channel="web", description="A deep hole")
    found = near(city, Sought(("pothole",), **HERE), now=LATER)
    assert [each.description for each in found] == ["A deep hole", None]


def joined(session, filed, key="web:1", **more):
    said = me_too.Joins(
        number=filed.request_public_id,
        service_keys=("pothole",),
        source_key=key,
        at=LATER,
        intake_tenant_id=IDS["city"],
        token=f"secret of {key}",
        **more,
    )
    return me_too.join(session, said)


def test_me_too_counts_once_a_form(city, region):
    filed = file(city, region, IN_CITY)
    assert joined(city, filed) == joined(city, filed) == filed.request_id
    joined(city, filed, "web:2")
    request = only(city, ServiceRequest)
    assert (request.me_too, request.version) == (2, 1)


def test_who_said_me_too_hears_and_can_stop(city, region):
    filed = file(city, region, IN_CITY, asker=None)
    joined(city, filed, email="eva@me.example", language="es")
    joined(city, filed, "web:2")
    found = tracked_token(city.connection(), "secret of web:1")
    row = city.execute(select(MeToo).where(MeToo.email.is_not(None))).scalars().one()
    assert (found.tenant_id, found.request_id, found.me_too_id) == (
        IDS["city"],
        filed.request_id,
        row.id,
    )
    change = {"now": LATER, "request_id": filed.request_id, "followers": NAMES}
    service.change_request(city, version=1, to="in_progress", message="A crew is there.", **change)
    letter = only(city, OutboxMessage)
    assert (letter.event, letter.recipient, letter.language) == (
        "me_too_status",
        "eva@me.example",
        "es",
    )
    assert "/track/secret of web:1" in letter.body
    me_too.stop(city, me_too_id=row.id, now=LATER)
    me_too.stop(city, me_too_id=row.id, now=LATER)
    service.add_note(city, text="Still there.", internal=False, **change)
    assert only(city, OutboxMessage).event == "me_too_status"
    assert only(city, ServiceRequest).me_too == 2
    row = city.execute(select(MeToo).where(MeToo.ended_at.is_not(None))).scalars().one()
    assert (row.email, row.token) == (None, None)


def test_news_that_wait_are_taken_back_from_who_wants_no_more(city, region):
    """What was written before a merge, and after it; others' letters leave."""
    kept, other = two(city, region)
    joined(city, other, phone="+15035550123")
    joined(city, other, "web:2", email="bo@me.example")
    change = {"now": LATER, "followers": NAMES}
    service.change_request(
        city, version=1, request_id=other.request_id, to="in_progress", message="Soon.", **change
    )
    merged(city, kept, other, version=2)
    service.add_note(
        city, text="Still there.", internal=False, request_id=kept.request_id, **change
    )
    assert len(texts_to(city, "+15035550123")) >= 2
    city.execute(
        update(OutboxMessage)
        .where(OutboxMessage.subject_id == other.request_id)
        .values(state="aside")
    )
    others = texts_to(city, "bo@me.example")
    row = city.execute(select(MeToo).where(MeToo.phone.is_not(None))).scalars().one()
    me_too.stop(city, me_too_id=row.id, now=LATER)
    assert texts_to(city, "+15035550123") == []
    gone = select(OutboxMessage.body).where(OutboxMessage.state == "withdrawn").distinct()
    assert city.execute(gone).scalars().all() == [""]
    assert texts_to(city, "bo@me.example") == others != []


def texts_to(session, address):
    rows = select(OutboxMessage.id).where(OutboxMessage.recipient == address)
    return session.execute(rows.order_by(OutboxMessage.id)).scalars().all()


def test_addresses_are_forgotten_when_it_cannot_be_opened_again(city, region):
    kept, other = two(city, region)
    joined(city, kept, email="eva@me.example")
    joined(city, other, "web:2", email="bo@me.example")
    merged(city, kept, other)
    month = LATER + timedelta(days=31)
    assert me_too.forget(city, month) == 0
    close(city, kept)
    assert me_too.forget(city, LATER + timedelta(days=29)) == 0
    assert me_too.forget(city, month) == 2
    assert me_too.forget(city, month) == 0
    assert city.execute(select(MeToo.email).distinct()).scalars().all() == [None]


def test_a_neighbour_cannot_count_ones_own(city, region):
    filed = file(city, region, IN_CITY)
    with acting_for(city, IDS["county"]), pytest.raises(me_too.NotOpen):
        joined(city, filed)


def two(city, region, **more):
    kept = file(city, region, IN_CITY, **more)
    return kept, file(
        city, region, IN_CITY, asker=Asker("Bo", None, "bo@x.example", wants_updates=True)
    )


def merged(city, kept, other, **more):
    given = {"version": 1, "into": kept.request_public_id, "message": SAME, "now": LATER}
    return merge(city, request_id=other.request_id, **{**given, **more})


def one(city, filed):
    city.expire_all()
    return city.get(ServiceRequest, (IDS["city"], filed.request_id))


def test_merged_ones_are_told_of_the_one_that_goes_on(city, region):
    kept, other = two(city, region)
    joined(city, other, "web:9", email="eva@me.example")
    merged(city, kept, other)
    assert (one(city, other).state, one(city, other).merged_into_id) == ("merged", kept.request_id)
    assert one(city, kept).me_too == 2
    close(city, kept)
    closed = {
        each.recipient: each
        for each in city.execute(select(OutboxMessage)).scalars()
        if "filled" in each.body
    }
    assert set(closed) == {"anna@canary.example", "bo@x.example", "eva@me.example"}
    assert other.request_public_id in closed["bo@x.example"].heading
    shown = queries.tracked(city, other.request_id)
    assert (shown.public_id, shown.state, shown.merged) == (
        other.request_public_id,
        "closed",
        kept.request_public_id,
    )
    assert shown.public_message == "The hole is filled now."


def test_the_need_of_a_merged_one_waits_for_the_one_that_goes_on(city, region):
    kept, other = two(city, region)
    too = same(city, region, other)
    merged(city, kept, other)

    def needs():
        city.expire_all()
        return [city.get(Need, (IDS["city"], each.need_id)).status for each in (other, too)]

    assert needs() == ["open", "open"]
    close(city, kept, "out_of_funds")
    assert needs() == ["unmet", "unmet"]


def test_what_was_merged_goes_along_and_can_be_taken_out(city, region):
    kept, other = two(city, region)
    third = file(city, region, IN_CITY)
    merged(city, other, third)
    merged(city, kept, other)
    assert one(city, third).merged_into_id == kept.request_id
    assert (one(city, kept).me_too, one(city, other).me_too) == (2, 0)
    version = one(city, other).version
    changed = take_out(city, now=LATER, request_id=other.request_id, version=version)
    assert changed.state == "triaged"
    out = one(city, other)
    assert (out.merged_into_id, out.closed_at, out.resolution) == (None, None, None)
    assert one(city, kept).me_too == 1
    with pytest.raises(NotMerged):
        take_out(city, now=LATER, request_id=other.request_id, version=out.version)


def test_one_that_others_took_in_is_told_across(city, region):
    kept = file(city, region, ON_BRIDGE)
    other = file(city, region, ON_BRIDGE)
    with acting_for(city, IDS["county"]):
        merged(city, kept, other)
        close(city, kept)
    city.expire_all()
    states = {each.id: each for each in city.execute(select(FollowedRequest)).scalars()}
    assert states[other.request_id].state == "closed"
    assert states[other.request_id].public_message == "The hole is filled now."


@pytest.mark.parametrize(
    "spoil", ["itself", "unknown", "confidential", "closed", "no words", "merged"]
)
def test_what_cannot_be_merged_is_refused(city, region, spoil):
    kept, other = two(city, region)
    more, expected = {}, CannotMerge
    if spoil == "itself":
        more = {"into": other.request_public_id}
    elif spoil == "unknown":
        more = {"into": "R-0000-0000"}
    elif spoil == "confidential":
        one(city, kept).confidential = True
        city.flush()
    elif spoil in ("closed", "merged"):
        service.change_request(
            city,
            now=LATER,
            request_id=kept.request_id,
            version=1,
            to=spoil,
            resolution="completed",
            message=SAME,
        )
    else:
        more, expected = {"message": " short "}, MessageNeeded
    before = one(city, kept).version
    with pytest.raises(expected):
        merged(city, kept, other, **more)
    assert one(city, other).state == "received"
    assert (one(city, kept).version, one(city, kept).me_too) == (before, 0)


def test_a_neighbour_merges_nothing(city, region):
    kept, other = two(city, region)
    with acting_for(city, IDS["county"]), pytest.raises(CannotMerge):
        merged(city, kept, other)
    assert one(city, other).merged_into_id is None


def same(city, region, filed, point=IN_CITY, **more):
    return file(city, region, point, same_as=filed.request_public_id, **more)


def test_the_same_is_filed_as_a_contact_and_no_request(city, region):
    filed = file(city, region, IN_CITY)
    key = str(new_id())
    too = same(city, region, filed, source="web", channel="web", key=key)
    assert (too.request_id, too.request_public_id) == (None, filed.request_public_id)
    request = only(city, ServiceRequest)
    assert request.me_too == 1
    assert len(city.execute(select(Contact)).all()) == 2
    row = only(city, MeToo)
    assert (row.need_id, row.email) == (too.need_id, "anna@canary.example")
    activities = [each.activity for each in city.execute(select(UsageEvent)).scalars()]
    assert sorted(activities) == ["contact_handled", "contact_handled", "request_taken_in"]
    again = filing.take_in(
        city,
        region,
        filing.Intake(
            source="web",
            key=key,
            channel="web",
            started_at=NOW,
            service="city/pothole",
            place=Place(longitude=Decimal(str(IN_CITY[0])), latitude=Decimal(str(IN_CITY[1]))),
            danger_answer="none",
            asker=ANNA,
            same_as=filed.request_public_id,
        ),
        now=NOW,
        look_first=True,
    )
    assert (again.repeated, again.token) == (True, too.token)
    assert only(city, ServiceRequest).me_too == 1


def test_the_need_ends_as_the_request_does(city, region):
    filed = file(city, region, ON_BRIDGE)
    too = same(city, region, filed, ON_BRIDGE)
    with acting_for(city, IDS["county"]):
        assert only(city, ServiceRequest).me_too == 1
        assert only(city, MeToo).email is None
        close(city, filed)
    city.expire_all()
    assert city.get(Need, (IDS["city"], too.need_id)).status == "met"
    assert len(city.execute(select(FollowedRequest)).all()) == 1


def test_a_need_that_is_settled_anew_remembers_what_it_joined_elsewhere(city, region):
    filed = file(city, region, ON_BRIDGE)
    too = same(city, region, filed, ON_BRIDGE)
    waiting = needs.settle(city, too.need_id)
    assert waiting.status == "open"
    with acting_for(city, IDS["county"]):
        close(city, filed)
    assert needs.settle(city, too.need_id).status == "met"
    with acting_for(city, IDS["county"]):
        request = only(city, ServiceRequest)
        service.change_request(
            city,
            now=LATER,
            request_id=request.id,
            version=request.version,
            to="triaged",
            message="It is back.",
        )
    assert needs.settle(city, too.need_id).status == "open"
    payloads = city.execute(
        select(Envelope.payload).where(Envelope.subject_id == too.need_id).order_by(Envelope.id)
    ).scalars()
    assert [each["state"] for each in payloads] == ["received", "closed", "triaged"]


def test_an_address_goes_to_no_other_partner(city, region):
    filed = file(city, region, ON_BRIDGE)
    same(city, region, filed, ON_BRIDGE, consent="given")
    with acting_for(city, IDS["county"]):
        assert only(city, MeToo).email is None


def test_who_must_not_be_contacted_hears_nothing(city, region):
    filed = file(city, region, IN_CITY)
    silent = replace(ANNA, contact_prohibited=True)
    same(city, region, filed, asker=silent)
    too = same(city, region, filed)
    emails = select(MeToo.email).order_by(MeToo.id)
    assert city.execute(emails).scalars().all() == [None, "anna@canary.example"]
    service.add_note(
        city,
        now=LATER,
        request_id=filed.request_id,
        text="Still there.",
        internal=False,
        followers=NAMES,
    )
    waits = select(OutboxMessage.state, OutboxMessage.recipient).where(
        OutboxMessage.event == "me_too_status"
    )
    assert city.execute(waits).all() == [("pending", "anna@canary.example")]
    prohibit(city, now=LATER, contact_id=too.contact_id)
    assert city.execute(emails).scalars().all() == [None, None]
    assert city.execute(waits).all() == [("withdrawn", "")]


def test_what_is_closed_meanwhile_takes_no_more(city, region):
    filed = file(city, region, IN_CITY)
    close(city, filed)
    with pytest.raises(me_too.NotOpen):
        same(city, region, filed)
    with pytest.raises(me_too.NotOpen):
        file(city, region, IN_CITY, service="city/hours", same_as=filed.request_public_id)


def test_a_request_for_something_else_is_not_joined(city, region):
    filed = file(city, region, IN_CITY)
    row = city.get(ServiceRequest, (IDS["city"], filed.request_id))
    row.service_key = "tree"
    city.flush()
    with pytest.raises(me_too.NotOpen):
        same(city, region, filed)
