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
from regional311.intake.models import Need, ServiceRequest
from regional311.referral import filing
from regional311.referral.models import Decision, Referral
from regional311.strict import from_plain
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
        assert [each.split("(")[0].split()[0] for each in statements] == ["SELECT", "WITH"]
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
