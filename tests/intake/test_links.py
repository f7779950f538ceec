"""Parts and wholes, and links across partners."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select

from regional311.audit.queries import history
from regional311.database.session import acting_for
from regional311.errors import InvalidInput
from regional311.intake import lifecycle, links, service
from regional311.intake.links import CannotLink
from regional311.intake.models import FollowedRequest, ServiceRequest
from regional311.referral.filing import NotAccepted
from regional311.referral.splitting import CannotSplit, Part, services_for_parts, split
from tests.intake.test_requests import file
from tests.little_region import IDS, IN_CITY, NOW, ON_BRIDGE

LATER = NOW + timedelta(hours=3)
FILLED = "The hole was filled this afternoon."


def of_city(session, region, **values) -> links.Side:
    return links.own_side(session, file(session, region, IN_CITY, **values).request_id)


def stored(session, request_id) -> ServiceRequest:
    session.expire_all()
    return session.execute(
        select(ServiceRequest).where(ServiceRequest.id == request_id)
    ).scalar_one()


def shown(session, side) -> list[tuple[str, str, str]]:
    return [
        (each.kind, each.other_number, each.other_state) for each in links.links(session, side.id)
    ]


def close(session, side, **more):
    return service.change_request(
        session,
        now=LATER,
        request_id=side.id,
        version=None,
        to="closed",
        resolution="completed",
        message=FILLED,
        **more,
    )


def test_a_whole_closes_only_when_it_is_said_what_becomes_of_its_parts(city, region):
    whole, part, other = (of_city(city, region) for _ in range(3))
    links.link(city, whole, "part", part, now=NOW)
    links.link(city, other, "whole", whole, now=NOW)
    assert shown(city, part) == [("whole", whole.public_id, "received")]
    with pytest.raises(lifecycle.PartsOpen, match=part.public_id):
        close(city, whole)
    assert stored(city, whole.id).state == "received"
    close(city, whole, parts="close")
    assert [stored(city, each.id).state for each in (whole, part, other)] == ["closed"] * 3
    assert stored(city, part.id).public_message == FILLED


def test_parts_may_be_left_open_and_show_in_the_whole_when_they_end(city, region):
    whole, part = (of_city(city, region) for _ in range(2))
    links.link(city, whole, "part", part, now=NOW)
    close(city, whole, parts="keep")
    assert stored(city, part.id).state == "received"
    close(city, part)
    assert shown(city, whole) == [("part", part.public_id, "closed")]
    past = history(city, whole.id)
    assert past[-1].action == "request:part_ended"
    assert past[-1].detail["number"] == part.public_id


def test_nothing_is_part_of_itself(city, region):
    a, b, c = (of_city(city, region) for _ in range(3))
    links.link(city, a, "part", b, now=NOW)
    links.link(city, b, "part", c, now=NOW)
    for one, kind, other in ((c, "part", a), (a, "whole", c), (a, "part", a)):
        with pytest.raises(CannotLink):
            links.link(city, one, kind, other, now=NOW)
    with pytest.raises(CannotLink, match="another request already"):
        links.link(city, of_city(city, region), "part", c, now=NOW)


def test_parts_go_five_deep_at_most(city, region):
    line = [of_city(city, region) for _ in range(links.DEEPEST + 1)]
    for whole, part in pairwise(line[:-1]):
        links.link(city, whole, "part", part, now=NOW)
    with pytest.raises(CannotLink, match="deep"):
        links.link(city, line[-2], "part", line[-1], now=NOW)


def test_a_link_across_partners_shows_each_side_what_its_followers_know(city, region):
    one = of_city(city, region)
    bridge = file(city, region, ON_BRIDGE)
    other = links.side_of(city, IDS["county"], bridge.request_public_id)
    mine, _theirs = links.link(city, one, "blocked_by", other, now=NOW)
    with acting_for(city, IDS["county"]):
        assert shown(city, other) == [("blocks", one.public_id, "received")]
        close(city, other)
    assert shown(city, one) == [("blocked_by", other.public_id, "closed")]
    links.unlink(city, one.id, mine, now=LATER)
    assert not shown(city, one)
    assert stored(city, one.id).linked == 0
    with acting_for(city, IDS["county"]):
        assert not shown(city, other)


def test_what_is_confidential_is_linked_with_nothing_else(city, region):
    one = of_city(city, region)
    secret = file(city, region, IN_CITY, service="city/abuse")
    hidden = links.own_side(city, secret.request_id)
    with pytest.raises(CannotLink, match="confidential"):
        links.link(city, one, "related", hidden, now=NOW)
    with acting_for(city, IDS["county"]), pytest.raises(CannotLink, match="There is no request"):
        links.side_of(city, IDS["city"], hidden.public_id)


def test_a_request_is_split_here_and_at_a_partner(city, region):
    whole = of_city(city, region, description="hole and a broken rail")
    offered = {each.ref for each in services_for_parts(region, "city", now=NOW)}
    assert {"city/pothole", "county/bridge-pothole"} <= offered
    made, apart = split(
        city,
        region,
        now=NOW,
        request_id=whole.id,
        version=1,
        parts=[
            Part("city/pothole", "Fill the hole before Friday."),
            Part("county/road-pothole", "Fill the part on the County's road."),
        ],
    )
    assert not apart
    own, theirs = (each for each in links.links(city, whole.id))
    assert [own.other_number, theirs.other_number] == made
    part = stored(city, own.other_id)
    assert (part.description, part.queue, part.inquirer_id) == (
        "Fill the hole before Friday.",
        "streets",
        None,
    )
    assert part.latitude == stored(city, whole.id).latitude
    with acting_for(city, IDS["county"]):
        received = stored(city, theirs.other_id)
        assert received.description == "Fill the part on the County's road."
        assert received.inquirer_id is None
        close(city, links.own_side(city, theirs.other_id))
    followed = city.execute(select(FollowedRequest)).scalars().one()
    assert (followed.state, followed.contact_id) == ("closed", None)
    assert links.links(city, whole.id)[1].ended


@pytest.mark.parametrize(
    "parts",
    [[], [Part("city/hours", "Look into it at once.")], [Part("city/pothole", "short")]],
)
def test_parts_that_make_no_sense_change_nothing(city, region, parts):
    whole = of_city(city, region)
    with pytest.raises((CannotSplit, InvalidInput, NotAccepted)):
        split(city, region, now=NOW, request_id=whole.id, version=1, parts=parts)
    assert not links.links(city, whole.id)


def test_a_part_for_a_confidential_service_is_confidential_and_not_linked(city, region):
    with acting_for(city, IDS["county"]):
        filed = file(city, region, ON_BRIDGE, service="county/bridge-pothole")
        linked, apart = split(
            city,
            region,
            now=NOW,
            request_id=filed.request_id,
            version=1,
            parts=[
                Part("county/road-pothole", "Fill the part on the road."),
                Part("city/abuse", "One of your people threatened somebody."),
            ],
        )
        assert (len(linked), len(apart)) == (1, 1)
        assert [each.other_number for each in links.links(city, filed.request_id)] == linked
        assert not stored(city, filed.request_id).confidential
        followed = city.execute(select(FollowedRequest)).scalars().one()
        assert (followed.public_id, followed.service_key) == (apart[0], "abuse")
    part = city.execute(
        select(ServiceRequest).where(ServiceRequest.public_id == apart[0])
    ).scalar_one()
    assert (part.confidential, part.linked) == (True, 0)


def test_a_confidential_request_is_split_to_confidential_services_of_partners_only(city, region):
    secret = file(city, region, IN_CITY, service="city/abuse").request_id
    with pytest.raises(CannotLink, match="confidential"):
        split(
            city,
            region,
            now=NOW,
            request_id=secret,
            version=1,
            parts=[Part("county/bridge-pothole", "Fill the part on the bridge.")],
        )
