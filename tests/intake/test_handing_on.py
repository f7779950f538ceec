"""Handing a request on to whose it is, and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from regional311.database.rows import put
from regional311.database.session import acting_for
from regional311.errors import InvalidInput
from regional311.exchange.models import Envelope
from regional311.floor.watching import contact_is_confidential
from regional311.intake import links, me_too, needs, queries, service
from regional311.intake.added_files import keyed
from regional311.intake.attachments import SENT, for_person
from regional311.intake.from_person import add_words
from regional311.intake.merging import merge
from regional311.intake.models import (
    Attachment,
    FollowedRequest,
    Need,
    RequestUpdate,
    ServiceRequest,
)
from regional311.intake.service import attachment_rows
from regional311.intake.uploads import upload
from regional311.notices.models import OutboxMessage
from regional311.referral.filing import Place
from regional311.referral.handing_on import (
    CannotHandOn,
    hand_on,
    may_send_back,
    send_back,
    suggest,
    targets,
    way,
)
from tests.intake.pictures_sent import JPEG
from tests.intake.test_requests import NAMES, file
from tests.little_region import IDS, IN_CITY, NOW, ON_BRIDGE

LATER = NOW + timedelta(hours=3)
CITY, COUNTY = IDS["city"], IDS["county"]
BRIDGE = "county/bridge-pothole"
WHY = "The hole is on your bridge, not in our street."
SAID = "It is on the bridge, so the County has it now."
FILLED = "The County filled the hole on the bridge."


def row_of(session, tenant_id, request_id) -> ServiceRequest:
    session.expire_all()
    return session.execute(
        select(ServiceRequest).where(
            ServiceRequest.tenant_id == tenant_id, ServiceRequest.id == request_id
        )
    ).scalar_one()


def filled(session, filed) -> None:
    """The County closes what it has."""
    with acting_for(session, COUNTY):
        service.change_request(
            session,
            now=LATER,
            request_id=filed.request_id,
            version=1,
            to="closed",
            resolution="completed",
            message=FILLED,
            followers=NAMES,
        )


def handed(session, region, **more):
    filed = file(session, region, IN_CITY, **more)
    went = hand_on(
        session,
        region,
        now=LATER,
        request_id=filed.request_id,
        version=1,
        service=BRIDGE,
        words=WHY,
        message=SAID,
        followers=NAMES,
    )
    assert went == "county"
    return filed


def test_what_was_merged_into_one_that_went_on_is_told_of_as_its_new_owner_says(city, region):
    kept, other = file(city, region, IN_CITY), file(city, region, IN_CITY)
    merge(
        city,
        request_id=other.request_id,
        version=1,
        into=kept.request_public_id,
        message="It is the same hole.",
        now=NOW,
    )
    version = row_of(city, CITY, kept.request_id).version
    said = {"service": BRIDGE, "words": WHY, "followers": NAMES}
    hand_on(city, region, now=LATER, request_id=kept.request_id, version=version, **said)
    shown = queries.tracked(city, other.request_id)
    assert (shown.state, shown.merged) == ("received", kept.request_public_id)
    filled(city, kept)
    shown = queries.tracked(city, other.request_id)
    assert (shown.state, shown.public_message) == (
        "closed",
        FILLED,
    )


def test_number_history_clock_and_followers_go_along(city, region):
    filed = file(city, region, IN_CITY, description="deep hole")
    service.add_note(
        city,
        now=LATER,
        request_id=filed.request_id,
        text="A crew looked at it.",
        internal=False,
        followers=NAMES,
    )
    service.add_note(city, now=LATER, request_id=filed.request_id, text="they grumbled")
    before = row_of(city, CITY, filed.request_id)
    opened, expected = before.opened_at, before.expected_at
    hand_on(
        city,
        region,
        now=LATER,
        request_id=filed.request_id,
        version=before.version,
        service=BRIDGE,
        words=WHY,
        message=SAID,
        followers=NAMES,
    )
    with acting_for(city, COUNTY):
        theirs = row_of(city, COUNTY, filed.request_id)
        assert theirs.public_id == filed.request_public_id
        assert (theirs.opened_at, theirs.expected_at) == (opened, expected)
        assert (theirs.service_key, theirs.queue) == ("bridge-pothole", "bridges")
        assert (theirs.description, theirs.inquirer_id) == ("deep hole", None)
        said = [each.message for each in city.execute(select(RequestUpdate)).scalars()]
        assert "A crew looked at it." in said
        assert not queries.request_detail(city, filed.request_id).notes
        assert [(each.how, each.words) for each in way(city, filed.request_id)] == [("handed", WHY)]
    filled(city, filed)
    found = queries.tracked(city, filed.request_id)
    assert (found.owner_id, found.state) == (COUNTY, "closed")
    letters = [each.heading for each in city.execute(select(OutboxMessage)).scalars()]
    assert sum(filed.request_public_id in each and "closed" in each for each in letters) == 1
    assert city.execute(select(Need.status)).scalar_one() == "met"


def test_whoever_took_it_in_follows_it_with_its_new_owner(city, region):
    filed = file(city, region, ON_BRIDGE)
    with acting_for(city, COUNTY):
        hand_on(
            city,
            region,
            now=LATER,
            request_id=filed.request_id,
            version=1,
            service="city/pothole",
            words="This one lies on your side of it.",
            followers=NAMES,
        )
    mine = row_of(city, CITY, filed.request_id)
    assert (mine.intake_tenant_id, mine.need_id) == (CITY, filed.need_id)
    assert mine.contact_id == filed.contact_id
    assert queries.tracked(city, filed.request_id).owner_id == CITY


def test_it_is_sent_back_once_and_not_handed_there_again(city, region):
    filed = handed(city, region)
    with acting_for(city, COUNTY):
        theirs = row_of(city, COUNTY, filed.request_id)
        assert may_send_back(theirs, way(city, filed.request_id), COUNTY)
        back = "It is in a street of yours beside our bridge."
        known = {"now": LATER, "request_id": filed.request_id, "words": back}
        assert send_back(city, region, version=1, followers=NAMES, **known) == "city"
        left = row_of(city, COUNTY, filed.request_id)
        assert (left.state, left.handed_to_id) == ("closed", CITY)
        with pytest.raises(CannotHandOn, match="ended"):
            send_back(city, region, version=left.version, followers=NAMES, **known)
    mine = row_of(city, CITY, filed.request_id)
    assert (mine.state, mine.handed_to_id, mine.service_key) == ("triaged", None, "pothole")
    assert [each.how for each in way(city, filed.request_id)] == ["handed", "sent_back"]
    assert queries.tracked(city, filed.request_id).owner_id == CITY
    with pytest.raises(CannotHandOn, match="sent it back before"):
        hand_on(
            city,
            region,
            now=LATER,
            request_id=filed.request_id,
            version=mine.version,
            service=BRIDGE,
            words=WHY,
        )
    with pytest.raises(CannotHandOn, match="sent back once"):
        send_back(city, region, version=mine.version, **known)


def test_whose_it_is_too_still_hears(city, region):
    filed = file(city, region, IN_CITY)
    me_too.join(
        city,
        me_too.Joins(
            number=filed.request_public_id,
            service_keys=("pothole",),
            source_key="too",
            token="t" * 32,
            need_id=None,
            intake_tenant_id=CITY,
            email="ben@canary.example",
            language="en",
            at=NOW,
        ),
    )
    version = row_of(city, CITY, filed.request_id).version
    hand_on(
        city,
        region,
        now=LATER,
        request_id=filed.request_id,
        version=version,
        service=BRIDGE,
        words=WHY,
        followers=NAMES,
    )
    with acting_for(city, COUNTY):
        service.change_request(
            city,
            now=LATER,
            request_id=filed.request_id,
            version=1,
            to="in_progress",
            message="A crew is on the bridge.",
            followers=NAMES,
        )
    sent = [
        each.body
        for each in city.execute(select(OutboxMessage)).scalars()
        if each.recipient == "ben@canary.example"
    ]
    assert any("the County says" in each and "A crew is on the bridge." in each for each in sent)


def test_a_need_that_was_merged_into_it_is_met_by_its_new_owner(city, region):
    kept, other = file(city, region, IN_CITY), file(city, region, IN_CITY)
    merge(
        city,
        now=NOW,
        request_id=other.request_id,
        version=1,
        into=kept.request_public_id,
        message="It is the same hole.",
    )
    hand_on(
        city,
        region,
        now=LATER,
        request_id=kept.request_id,
        version=row_of(city, CITY, kept.request_id).version,
        service=BRIDGE,
        words=WHY,
        followers=NAMES,
    )

    def status() -> str:
        return city.execute(
            select(Need.status).where(Need.tenant_id == CITY, Need.id == other.need_id)
        ).scalar_one()

    needs.settle(city, other.need_id)
    assert status() == "open"
    with acting_for(city, COUNTY):
        service.change_request(
            city,
            now=LATER,
            request_id=kept.request_id,
            version=1,
            to="closed",
            resolution="completed",
            message="The hole on the bridge is filled.",
            followers=NAMES,
        )
    assert status() == "met"


def test_its_links_go_along(city, region):
    whole = links.own_side(city, file(city, region, IN_CITY).request_id)
    part = links.own_side(city, file(city, region, IN_CITY).request_id)
    links.link(city, whole, "part", part, now=NOW)
    hand_on(city, region, now=LATER, request_id=part.id, version=1, service=BRIDGE, words=WHY)
    seen = links.links(city, whole.id)
    assert [(each.other_tenant_id, each.other_service_key) for each in seen] == [
        (COUNTY, "bridge-pothole")
    ]
    with acting_for(city, COUNTY):
        assert [each.kind for each in links.links(city, part.id)] == ["whole"]
        assert row_of(city, COUNTY, part.id).linked == 1
    assert row_of(city, CITY, part.id).linked == 0


def test_the_rules_say_whose_it_is(city, region):
    place = Place(longitude=str(ON_BRIDGE[0]), latitude=str(ON_BRIDGE[1]))
    filed = file(city, region, IN_CITY)
    request = row_of(city, CITY, filed.request_id)
    assert suggest(region, "city", request, now=LATER).service == ""
    request.latitude, request.longitude = place.latitude, place.longitude
    found = suggest(region, "city", request, now=LATER)
    assert found.service == BRIDGE
    assert found.sentences
    city.rollback()
    assert BRIDGE in {each.ref for each in targets(region, "city", now=LATER)}


@pytest.mark.parametrize("change", [{"service": "city/pothole"}, {"words": "no"}])
def test_what_makes_no_sense_changes_nothing(city, region, change):
    filed = file(city, region, IN_CITY)
    asked = {"service": BRIDGE, "words": WHY, **change}
    with pytest.raises(InvalidInput):
        hand_on(city, region, now=LATER, request_id=filed.request_id, version=1, **asked)
    assert not city.execute(select(FollowedRequest)).all()


def test_the_same_photo_twice_goes_along_once_there_and_back(city, region):
    photo = keyed(upload("", "hole.jpg", JPEG), SENT)
    filed = file(city, region, IN_CITY, files=(photo,), description="deep hole")
    add_words(
        city,
        owner_id=CITY,
        request_id=filed.request_id,
        text="Here it is again.",
        file=upload("", "again.jpg", JPEG),
        now=NOW,
    )
    assert len(city.execute(select(Attachment)).all()) == 1
    # as it was kept before it was looked for with the need
    put(city, *attachment_rows(CITY, filed.request_id, [photo], now=NOW))
    known = {"now": LATER, "request_id": filed.request_id, "words": WHY}
    version = row_of(city, CITY, filed.request_id).version
    hand_on(city, region, version=version, service=BRIDGE, **known)
    with acting_for(city, COUNTY):
        (theirs,) = city.execute(select(Attachment)).scalars()
        assert (theirs.subject_id, theirs.content) == (filed.request_id, photo.content)
        hand_on(city, region, version=1, service="city/pothole", **known)
    assert row_of(city, CITY, filed.request_id).handed_to_id is None
    assert len(city.execute(select(Attachment)).all()) == 2


def test_a_file_that_came_back_is_there_once(city, region):
    photo = keyed(upload("", "hole.jpg", JPEG), SENT)
    filed = file(city, region, IN_CITY, files=(photo,), description="deep hole")
    known = {"now": LATER, "request_id": filed.request_id, "words": WHY}
    hand_on(city, region, version=1, service=BRIDGE, **known)
    with acting_for(city, COUNTY):
        hand_on(city, region, version=1, service="city/pothole", **known)
    (mine,) = city.execute(select(Attachment)).scalars()
    assert mine.subject_id == filed.need_id


def test_what_the_person_sent_by_link_goes_along_and_back_once(city, region):
    filed = file(city, region, IN_CITY, description="deep hole")
    known = {"request_id": filed.request_id, "now": NOW}

    def add(owner_id, text, letter):
        sent = upload("", "letter.pdf", b"%PDF-1.7 " + letter)
        add_words(city, owner_id=owner_id, text=text, file=sent, **known)

    def there():
        texts = [each.text for each in queries.told(city, filed.request_id) if each.from_person]
        return sorted(texts), [each.digest for each in for_person(city, filed.request_id)]

    add(CITY, "It is by the school.", b"a")
    hand_on(
        city,
        region,
        version=row_of(city, CITY, filed.request_id).version,
        service=BRIDGE,
        words=WHY,
        **known,
    )
    with acting_for(city, COUNTY):
        assert there()[0] == ["It is by the school."]
        assert len(there()[1]) == 1
    add(COUNTY, "It is deeper now.", b"b")
    with acting_for(city, COUNTY):
        version = row_of(city, COUNTY, filed.request_id).version
        send_back(city, region, version=version, words="It is beside our bridge.", **known)
    texts, digests = there()
    assert texts == ["It is by the school.", "It is deeper now."]
    assert len(digests) == len(set(digests)) == 2


def test_a_photo_without_words_goes_along(city, region):
    photo = keyed(upload("", "hole.jpg", JPEG), SENT)
    filed = handed(city, region, files=(photo,))
    with acting_for(city, COUNTY):
        assert row_of(city, COUNTY, filed.request_id).description is None
        assert city.execute(select(Attachment.content)).scalars().all() == [photo.content]


def test_a_photo_stays_where_words_may_not_cross(city, region, monkeypatch):
    on = region.today("city", LATER)
    sharing = region.sharing(on)
    grants = tuple(replace(each, fields=("need", "place", "location")) for each in sharing.grants)
    monkeypatch.setitem(region._sharing, on, replace(sharing, grants=grants))
    filed = file(city, region, IN_CITY, files=(keyed(upload("", "hole.jpg", JPEG), SENT),))
    known = {"request_id": filed.request_id, "now": NOW}
    add_words(city, owner_id=CITY, text="It is by the school.", **known)
    version = row_of(city, CITY, filed.request_id).version
    hand_on(city, region, version=version, service=BRIDGE, words=WHY, **known)
    with acting_for(city, COUNTY):
        assert queries.told(city, filed.request_id) == []
        assert city.execute(select(Attachment)).all() == []


# --- to a confidential service --------------------------------------------------------------------

ABUSE = "city/abuse"
SECRET_WHY = "One of your own people threatened somebody."


def by_info(session, region):
    """211info took it in, the County has it; its session."""
    with acting_for(session, IDS["211info"]):
        return file(session, region, ON_BRIDGE, service=BRIDGE, description="a man shouted")


def test_what_goes_to_a_confidential_service_is_confidential_with_everybody(city, region):
    filed = by_info(city, region)
    with acting_for(city, COUNTY):
        assert ABUSE in {each.ref for each in targets(region, "county", now=LATER)}
        hand_on(
            city,
            region,
            now=LATER,
            request_id=filed.request_id,
            version=1,
            service=ABUSE,
            words=SECRET_WHY,
            message="Somebody else looks after this now.",
            followers=NAMES,
        )
        assert row_of(city, COUNTY, filed.request_id).confidential
        assert not queries.requests(city, cleared=False).rows
    assert row_of(city, CITY, filed.request_id).confidential
    with acting_for(city, IDS["211info"]):
        secret = region.confidential_services()
        assert contact_is_confidential(city, filed.contact_id, secret)
        assert not queries.followed_requests(city, without=sorted(secret)).rows


def test_of_what_is_confidential_others_hear_how_it_stands_and_no_words(city, region):
    filed = by_info(city, region)
    with acting_for(city, COUNTY):
        asked = {"service": ABUSE, "words": SECRET_WHY, "followers": NAMES}
        hand_on(city, region, now=LATER, request_id=filed.request_id, version=1, **asked)
    version = row_of(city, CITY, filed.request_id).version
    service.change_request(
        city,
        now=LATER,
        request_id=filed.request_id,
        version=version,
        to="closed",
        resolution="completed",
        message="He was dismissed for the threats.",
        followers=NAMES,
    )
    for partner in ("211info", "county"):
        with acting_for(city, IDS[partner]):
            city.expire_all()
            followed = city.execute(select(FollowedRequest)).scalars().one()
            assert (followed.state, followed.public_message) == ("closed", None)
            told = city.execute(select(Envelope).where(Envelope.kind == "request_status")).scalars()
            letters = city.execute(select(OutboxMessage)).scalars().all()
            assert "dismissed" not in str([each.payload for each in told])
            with_words = [each for each in letters if "dismissed" in each.body]
            assert {each.recipient for each in with_words} <= {"anna@canary.example"}
            assert partner != "county" or not with_words


def test_one_that_comes_back_to_a_confidential_service_is_confidential(city, region):
    filed = handed(city, region)
    with acting_for(city, COUNTY):
        asked = {"service": ABUSE, "words": SECRET_WHY}
        hand_on(city, region, now=LATER, request_id=filed.request_id, version=1, **asked)
    assert row_of(city, CITY, filed.request_id).confidential
