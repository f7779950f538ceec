"""What was answered to a form is kept with the need and the request, and crosses as agreed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from regional311.catalog.answers import Kept, Reply, kept_from
from regional311.catalog.content import Question
from regional311.catalog.forms import resolve
from regional311.database.session import Scope, acting_for, open_session
from regional311.exchange.models import Envelope
from regional311.intake.added_files import FileThere, TooManyFiles, add_file
from regional311.intake.lifecycle import StepNotAllowed
from regional311.intake.models import Attachment, Need, ServiceRequest
from regional311.intake.queries import attachment, attachment_of_contact
from regional311.intake.service import erase_attachments
from regional311.intake.uploads import upload
from regional311.referral import filing
from regional311.referral.handing_on import hand_on
from regional311.referral.models import Decision, Referral
from regional311.strict import from_plain
from tests.intake.pictures_sent import JPEG
from tests.little_region import IDS, NOW, ON_BRIDGE
from tests.referral.test_filing import ANNA, at, intake, only

QUESTIONS: list[dict[str, Any]] = [
    {
        "key": "size",
        "label": "How big?",
        "kind": "choice",
        "choice": [{"key": "small", "label": "Small"}, {"key": "large", "label": "Large"}],
    },
    {"key": "seen", "label": "Who saw it?", "kind": "text"},
    {"key": "photo", "label": "A photo?", "kind": "file"},
]
REPLY = Reply({"size": "large"}, {"seen": "Rosa Canary"}, "es")


@pytest.fixture
def form(region, monkeypatch):
    """The City's potholes and shelters are asked about."""
    made = resolve([from_plain(Question, each) for each in QUESTIONS], {}, "city")
    for service in ("city/pothole", "city/shelter"):
        monkeypatch.setitem(region._forms, service, made)
    return made


@pytest.fixture
def answers_cross(region, monkeypatch):
    """The sharing policy lets answers cross, when the person agrees."""
    on = region.today("city", NOW)
    sharing = region.sharing(on)
    grants = tuple(
        replace(each, fields=(*each.fields, "answers")) if each.needs_consent else each
        for each in sharing.grants
    )
    monkeypatch.setitem(region._sharing, on, replace(sharing, grants=grants))


PHOTO = upload("photo", "hole.jpg", JPEG)
WITH_PHOTO = replace(REPLY, told={**REPLY.told, "photo": PHOTO.name})


def files(session: Any) -> list[tuple[Any, str, bytes | None]]:
    rows = session.execute(select(Attachment)).scalars()
    return [(row.subject_id, row.name, row.content) for row in rows]


def kept(row: Any) -> Kept:
    found = kept_from(row.answers)
    assert found is not None
    return found


def test_an_own_request_keeps_form_and_answers(city, region, form):
    filing.take_in(city, region, intake(reply=REPLY), now=NOW)
    for row in (only(city, Need), only(city, ServiceRequest)):
        assert kept(row) == Kept(IDS["city"], form.digest, REPLY)
        assert row.description == "A deep hole"


def test_rules_see_answers_from_lists_only(city, region, form):
    filing.take_in(city, region, intake(reply=REPLY), now=NOW)
    decision = only(city, Decision)
    assert decision.facts["answers"] == ["size:large"]
    assert "Canary" not in str(decision.facts) + str(decision.trace)


def test_answers_cost_no_statement(little_engine, region, form, statements):
    with open_session(little_engine, Scope(IDS["city"])) as session:
        statements.clear()
        filing.take_in(session, region, intake(reply=REPLY, asker=ANNA), now=NOW)
        assert [each.split("(")[0].split()[0] for each in statements] == ["WITH"]
        session.rollback()


def test_who_was_not_asked_has_no_answers(city, region, form):
    filing.take_in(city, region, intake(source="replay:june", key="1"), now=NOW)
    assert only(city, Need).answers is None
    assert only(city, ServiceRequest).answers is None


def test_a_service_without_questions_keeps_nothing(city, region):
    filing.take_in(city, region, intake(reply=Reply()), now=NOW)
    assert only(city, ServiceRequest).answers is None


def test_danger_is_looked_for_in_answers_too(city, region, form):
    burning = replace(REPLY, told={"seen": "the neighbour, the car is on fire"})
    assert filing.take_in(city, region, intake(reply=burning), now=NOW).outcome == "danger"


def test_without_the_answers_field_words_cross_and_lists_do_not(city, region, form):
    filing.take_in(city, region, intake(place=at(ON_BRIDGE), reply=REPLY), now=NOW)
    assert kept(only(city, Need)).reply == REPLY
    with acting_for(city, IDS["county"]):
        request = only(city, ServiceRequest)
        assert request.answers is None
        assert request.description == "A deep hole\nWho saw it? Rosa Canary"


def test_with_consent_the_reference_crosses_in_the_envelope(city, region, form, answers_cross):
    asked = intake(place=at(ON_BRIDGE), reply=REPLY, asker=ANNA, consent="given")
    filing.take_in(city, region, asked, now=NOW)
    with acting_for(city, IDS["county"]):
        request = only(city, ServiceRequest)
        # the form is the City's, who asked: the County reads it there
        assert kept(request) == Kept(IDS["city"], form.digest, REPLY)
        assert request.description == "A deep hole"
        shared = city.execute(select(Envelope)).scalars().one().payload["shared"]
        assert shared["answers"] == kept(request).plain()


def test_refused_consent_keeps_answers_here(city, region, form, answers_cross):
    asked = intake(place=at(ON_BRIDGE), reply=REPLY, asker=ANNA, consent="refused")
    filing.take_in(city, region, asked, now=NOW)
    with acting_for(city, IDS["county"]):
        assert only(city, ServiceRequest).answers is None


def test_a_referral_shares_answers_as_agreed(city, region, form, answers_cross):
    asked = intake(service="city/shelter", reply=REPLY, asker=ANNA, consent="given")
    assert filing.take_in(city, region, asked, now=NOW).outcome == "refer"
    # the rule shares names and numbers only: answers are not among what it wants to share
    assert "answers" not in only(city, Referral).shared


def test_a_file_is_kept_with_its_need(city, region, form):
    asked = intake(reply=WITH_PHOTO, files=(PHOTO,))
    filed = filing.take_in(city, region, asked, now=NOW)
    assert files(city) == [(filed.need_id, "hole.jpg", PHOTO.content)]
    found = attachment(city, "photo", filed.need_id, filed.request_id)
    assert found is not None
    assert (found.name, found.content) == ("hole.jpg", PHOTO.content)
    assert attachment(city, "other", filed.need_id) is None
    assert attachment_of_contact(city, "photo", filed.contact_id, filed.need_id) == found
    assert attachment_of_contact(city, "photo", filed.need_id, filed.need_id) is None


def test_the_same_form_with_another_file_is_not_the_same():
    one, other = (upload("photo", "a.jpg", JPEG[:-3] + each + JPEG[-2:]) for each in (b"1", b"2"))
    asked = intake(reply=WITH_PHOTO, files=(one,))
    assert replace(asked, files=(one,)).digest == asked.digest
    assert replace(asked, files=(other,)).digest != asked.digest


def test_a_file_costs_no_statement(little_engine, region, form, statements):
    with open_session(little_engine, Scope(IDS["city"])) as session:
        statements.clear()
        filing.take_in(session, region, intake(reply=WITH_PHOTO, files=(PHOTO,)), now=NOW)
        assert [each.split("(")[0].split()[0] for each in statements] == ["WITH"]
        session.rollback()


def test_a_file_crosses_with_the_answers_and_not_without(city, region, form, answers_cross):
    here = {"place": at(ON_BRIDGE), "reply": WITH_PHOTO, "files": (PHOTO,), "asker": ANNA}
    filing.take_in(city, region, intake(**here, consent="refused", key="a" * 30), now=NOW)
    with acting_for(city, IDS["county"]):
        assert files(city) == []
    agreed = filing.take_in(city, region, intake(**here, consent="given"), now=NOW)
    with acting_for(city, IDS["county"]):
        assert files(city) == [(agreed.request_id, "hole.jpg", PHOTO.content)]
        erase_attachments(city, agreed.request_id, now=NOW)
        assert files(city) == [(agreed.request_id, "hole.jpg", None)]
        assert attachment(city, "photo", agreed.request_id) is None
    # what the sender has stays the sender's
    assert all(content == PHOTO.content for _subject, _name, content in files(city))


def test_a_file_that_staff_added_stays_when_a_request_is_handed_on(city, region, form, monkeypatch):
    on = region.today("city", NOW)
    sharing = region.sharing(on)
    grants = tuple(replace(each, fields=(*each.fields, "answers")) for each in sharing.grants)
    monkeypatch.setitem(region._sharing, on, replace(sharing, grants=grants))
    agreed = intake(reply=WITH_PHOTO, files=(PHOTO,), asker=ANNA, consent="given")
    filed = filing.take_in(city, region, agreed, now=NOW)
    bill = upload("", "bill.pdf", b"%PDF-1.7 what it cost")
    add_file(city, filed.request_id, bill, now=NOW)
    with pytest.raises(FileThere):
        add_file(city, filed.request_id, bill, now=NOW)
    said = {"service": "county/bridge-pothole", "words": "It is on your bridge."}
    said["message"] = "It is on the bridge, so the County has it now."
    hand_on(city, region, now=NOW, request_id=filed.request_id, version=1, **said)
    assert [name for _subject, name, _content in files(city)] == ["hole.jpg", "bill.pdf"]
    with acting_for(city, IDS["county"]):
        assert files(city) == [(filed.request_id, "hole.jpg", PHOTO.content)]
    with pytest.raises(StepNotAllowed):
        add_file(city, filed.request_id, upload("", "b.pdf", b"%PDF-1.7 more"), now=NOW)


def test_a_request_has_so_many_added_files(city, region, form, monkeypatch):
    monkeypatch.setattr("regional311.intake.added_files.MOST", 1)
    filed = filing.take_in(city, region, intake(reply=REPLY), now=NOW)
    add_file(city, filed.request_id, upload("", "a.pdf", b"%PDF-1.7 a"), now=NOW)
    with pytest.raises(TooManyFiles):
        add_file(city, filed.request_id, upload("", "b.pdf", b"%PDF-1.7 b"), now=NOW)


def test_a_files_name_is_not_told_where_the_file_is_not(city, region, form):
    asked = intake(place=at(ON_BRIDGE), reply=WITH_PHOTO, files=(PHOTO,))
    filing.take_in(city, region, asked, now=NOW)
    with acting_for(city, IDS["county"]):
        assert "hole.jpg" not in only(city, ServiceRequest).description
