"""What the person who asked does with their request, by its link."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from regional311.database.session import acting_for
from regional311.errors import InvalidInput, NotFound
from regional311.intake import from_person, queries, service
from regional311.intake.added_files import TooManyFiles
from regional311.intake.from_person import MOST_NOTES, TooLate, TooMany, add_words, rate, reopen
from regional311.intake.models import FollowedRequest, Need, RequestNote, ServiceRequest
from regional311.intake.uploads import upload
from tests.intake.pictures_sent import JPEG
from tests.intake.test_requests import LATER, NAMES, file, only
from tests.little_region import IDS, IN_CITY, NOW, ON_BRIDGE


def change(session, filed, to, **more):
    request = only(session, ServiceRequest)
    return service.change_request(
        session, now=LATER, request_id=filed.request_id, version=request.version, to=to, **more
    )


def close(session, filed):
    change(session, filed, "closed", resolution="completed", message="The hole is filled now.")


def words(session, filed, text="It is beside the blue house.", *, owner="city", now=LATER):
    add_words(session, owner_id=IDS[owner], request_id=filed.request_id, text=text, now=now)


def test_words_are_a_note_that_waits_for_an_answer(city, region):
    filed = file(city, region, IN_CITY)
    words(city, filed)
    note = only(city, RequestNote)
    assert (note.from_person, note.internal, note.author_id) == (True, False, None)
    assert only(city, ServiceRequest).heard_at == LATER
    assert [each.id for each in queries.requests(city, heard=True).rows] == [filed.request_id]
    service.add_note(city, now=LATER, request_id=filed.request_id, text="Thanks", internal=False)
    assert queries.requests(city, heard=True).rows == []
    told = queries.told(city, filed.request_id)
    assert {(each.from_person, each.text) for each in told} == {
        (True, "It is beside the blue house."),
        (False, "Thanks"),
    }


def test_work_that_waited_for_the_person_goes_on(city, region):
    filed = file(city, region, IN_CITY)
    change(city, filed, "waiting_person", message="Which colour is the house?")
    words(city, filed)
    assert only(city, ServiceRequest).state == "in_progress"


def test_the_same_form_sent_twice_is_one_note(city, region):
    filed = file(city, region, IN_CITY)
    words(city, filed)
    words(city, filed)
    assert len(city.execute(select(RequestNote)).all()) == 1
    words(city, filed, now=LATER + timedelta(minutes=11))
    assert len(city.execute(select(RequestNote)).all()) == 2


def test_words_cross_to_the_partner_that_has_the_request(city, region):
    filed = file(city, region, ON_BRIDGE)
    words(city, filed, owner="county")
    assert city.execute(select(RequestNote)).all() == []
    with acting_for(city, IDS["county"]):
        assert only(city, RequestNote).from_person
        close(city, filed)
    assert only(city, Need).status == "met"
    reopen(
        city,
        owner_id=IDS["county"],
        request_id=filed.request_id,
        text="The hole is there again.",
        now=LATER + timedelta(days=2),
        followers=NAMES,
    )
    assert only(city, FollowedRequest).state == "triaged"
    assert only(city, Need).status == "open"


def test_a_request_is_opened_again_within_a_time_only(city, region):
    filed = file(city, region, IN_CITY)
    again = {"owner_id": IDS["city"], "request_id": filed.request_id, "text": "Still there."}
    with pytest.raises(TooLate):
        reopen(city, **again, now=LATER)
    close(city, filed)
    with pytest.raises(TooLate):
        reopen(city, **again, now=LATER + timedelta(days=31))
    assert only(city, ServiceRequest).state == "closed"
    reopen(city, **again, now=LATER + timedelta(days=30))
    request = only(city, ServiceRequest)
    assert (request.state, request.resolution, request.closed_at) == ("triaged", None, None)
    assert request.opened_at == NOW


def test_whether_it_helped_is_asked_when_it_is_closed(city, region):
    filed = file(city, region, IN_CITY)
    said = {"owner_id": IDS["city"], "request_id": filed.request_id, "now": LATER}
    with pytest.raises(TooLate):
        rate(city, **said, helped="yes", text=None)
    close(city, filed)
    rate(city, **said, helped="no", text="Wrong hole.")
    rate(city, **said, helped="partly", text=None)
    request = only(city, ServiceRequest)
    assert (request.helped, request.helped_words, request.helped_at) == ("partly", None, LATER)
    with pytest.raises(InvalidInput):
        rate(city, **said, helped="perhaps", text=None)
    reopen(city, owner_id=IDS["city"], request_id=filed.request_id, text="No.", now=LATER)
    assert only(city, ServiceRequest).helped is None


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (from_person.LONGEST + 1)])
def test_no_words_and_too_many_are_refused(city, region, text):
    filed = file(city, region, IN_CITY)
    with pytest.raises(InvalidInput):
        words(city, filed, text)
    assert city.execute(select(RequestNote)).all() == []


def test_nobody_writes_without_end(city, region):
    filed = file(city, region, IN_CITY)
    for number in range(MOST_NOTES):
        words(city, filed, f"Word {number}")
    with pytest.raises(TooMany):
        words(city, filed, "One more")


def test_another_partner_has_no_such_request(city, region):
    filed = file(city, region, IN_CITY)
    with pytest.raises(NotFound):
        words(city, filed, owner="county")


def test_with_a_file_too_many_the_words_are_not_kept_either(city, region, monkeypatch):
    monkeypatch.setattr("regional311.intake.added_files.MOST_SENT", 0)
    filed = file(city, region, IN_CITY)
    change(city, filed, "waiting_person", message="Which colour is the house?")
    known = {"owner_id": IDS["city"], "request_id": filed.request_id, "now": LATER}
    with pytest.raises(TooManyFiles):
        add_words(city, text="It is blue.", file=upload("", "blue.jpg", JPEG), **known)
    assert city.execute(select(RequestNote)).all() == []
    add_words(city, text="It is blue.", **known)
    assert only(city, ServiceRequest).state == "in_progress"
