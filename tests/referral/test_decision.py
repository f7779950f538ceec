"""Decisions: the order of things, and their reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog.directory import Directory, Disposition, Service
from regional311.referral.conditions import Facts
from regional311.referral.decision import (
    SENTENCES,
    Partner,
    Region,
    Sign,
    decide,
    decided_by,
    explain,
    explain_trace,
    screen,
)
from regional311.referral.rules import RULE_OUTCOMES, RuleBook, RuleSet, rules_from
from regional311.tenancy.jurisdiction import NO_PLACE, SEVERAL_PLACES, Boundary, JurisdictionIndex

ON = date(2026, 10, 5)
RESOLVE = (Disposition("resolve"),)
PORTLAND = shapely.box(-122.7, 45.4, -122.5, 45.6)


def line(latitude: float) -> shapely.LineString:
    return shapely.LineString([(-122.65, latitude), (-122.55, latitude)])


INDEX = JurisdictionIndex(
    [
        Boundary("city/portland", "city", "Portland", PORTLAND),
        Boundary("twin/twin", "twin", "Twin", PORTLAND),
        Boundary("county/county", "county", "County", shapely.box(-122.8, 45.3, -122.2, 45.7)),
        Boundary("county/bridges", "county", "Bridges", line(45.52), 30.0),
        Boundary("region/powell", "odot", "Powell", line(45.48), 20.0),
    ]
)
SERVICES = {
    each.ref: each
    for each in (
        Service("city", "pothole", "Pothole", term="pothole", place="required", queue="streets",
                dispositions=RESOLVE),
        Service("city", "hours", "Hours", verb="find", term="hours", dispositions=RESOLVE),
        Service("city", "later", "Later", verb="find", term="later"),
        Service("city", "noise", "Noise", term="noise", place="required", dispositions=RESOLVE),
        Service("twin", "noise", "Noise", term="noise", place="required", dispositions=RESOLVE),
        Service("city", "shelter", "Shelter", verb="request", term="shelter"),
        Service("county", "bridge", "Bridge pothole", term="pothole", place="required",
                boundaries=("county/bridges",), queue="bridges"),
        Service("county", "road", "Road pothole", term="pothole", place="required"),
        Service("211info", "bed", "Bed", verb="request", term="shelter"),
        Service("lonely", "thing", "Thing", term="thing"),
    )
}  # fmt: skip
PARTNERS = {
    "city": Partner("city", "city", "City", "city/portland"),
    "twin": Partner("twin", "city", "Twin", "twin/twin"),
    "county": Partner("county", "county", "County", "county/county"),
    "211info": Partner("211info", "community", "211"),
    "lonely": Partner("lonely", "city", "Lonely"),
}
PAIRS = frozenset(
    frozenset(pair) for pair in (("city", "county"), ("city", "211info"), ("city", "twin"))
)


def region(city=(), county=()) -> Region:
    books = {}
    for tenant, rules in (("city", city), ("county", county)):
        if rules:
            contents = [{"key": f"{tenant}-{at}", **each} for at, each in enumerate(rules)]
            books[tenant] = RuleBook.of(RuleSet(tenant, 7, rules_from(contents)))
    return Region(
        PARTNERS, Directory(SERVICES.values()), books, PAIRS, agencies={"odot": "the State"}
    )


def made(asked: str, point=None, *, city=(), county=(), facts=None, **values):
    located = INDEX.locate(*point) if point else NO_PLACE
    given_facts = facts or Facts(partner="city")
    return decide(region(city, county), SERVICES[asked], given_facts, ON, located=located, **values)


def codes(decision) -> set[str]:
    return {reason[0] for reason in decision.reasons}


@pytest.mark.parametrize(
    ("asked", "point", "outcome", "target", "service"),
    [
        ("city/pothole", (-122.6, 45.5), "open_request", "city", "pothole"),
        ("county/road", (-122.6, 45.5), "open_request", "city", "pothole"),
        ("city/pothole", (-122.6, 45.52), "open_request", "county", "bridge"),
        ("city/pothole", (-122.4, 45.5), "open_request", "county", "road"),
        ("city/pothole", (-122.6, 45.48), "information", "odot", "pothole"),
        ("city/pothole", (-121.0, 44.0), "information", "", "pothole"),
        ("city/pothole", None, "open_request", "city", "pothole"),
        ("city/hours", None, "resolve_here", "city", "hours"),
        ("city/later", None, "information", "city", "later"),
        ("211info/bed", None, "refer", "211info", "bed"),
        ("211info/bed", (-122.6, 45.48), "refer", "211info", "bed"),
        ("lonely/thing", None, "information", "lonely", "thing"),
    ],
)
def test_the_usual_way(asked, point, outcome, target, service):
    decision = made(asked, point)
    assert (decision.outcome, decision.target, decision.service) == (outcome, target, service)


def test_reasons_are_said_in_sentences():
    said = explain(
        made("city/pothole", (-122.4, 45.5)), {"city": "Portland", "county/county": "the County"}
    )
    assert said[0] == "Open a request with county."
    assert "Inside the County." in said
    assert "Outside Portland." in said
    spanish = explain(made("city/hours"), translate=lambda text: text.upper())
    assert spanish[0] == "ANSWER HERE."


def test_ties_and_neighbours_are_shown():
    tie = made("city/noise", (-122.6, 45.5))
    assert tie.ambiguous
    assert (tie.target, "tie" in codes(tie)) == ("city", True)
    assert "Equally specific boundaries of several partners: city, twin." in explain(tie)
    near = made("city/pothole", (-122.6, 45.4 - 0.0001))
    assert near.ambiguous
    assert near.target == "county"
    assert ("city", "pothole", "city/portland") in near.candidates


def test_specialist_picks_among_candidates_only():
    point = (-122.6, 45.4 - 0.0001)
    picked = made("city/pothole", point, chosen="city/pothole")
    assert (picked.target, picked.ambiguous, "chosen" in codes(picked)) == ("city", False, True)
    assert made("city/pothole", point, chosen="211info/bed").target == "county"
    assert made("city/pothole", chosen="county/road").target == "county"


def test_place_is_needed_when_it_decides():
    decision = made("city/pothole")
    assert decision.ambiguous
    assert "place-needed" in codes(decision)
    assert codes(made("city/hours")) == {"no-place", "usual-resolve"}


@pytest.mark.parametrize(
    ("located", "told"),
    [
        (INDEX.locate_words("behind the barn"), "words-unknown"),
        (SEVERAL_PLACES, "words-several"),
    ],
)
def test_words_of_a_place_are_not_told_as_no_place(located, told):
    for asked, more in (("city/hours", "asked-of"), ("city/pothole", "place-needed")):
        decision = decide(region(), SERVICES[asked], Facts(partner="city"), ON, located=located)
        assert {told, more} <= codes(decision)
        assert "no-place" not in codes(decision)


def test_own_rules_decide_and_add():
    decision = made(
        "city/shelter",
        city=[
            {"continues": True, "note": "Say hello", "follow_up_days": 9, "share": ["need"]},
            {"terms": ["shelter"], "outcome": "refer", "target": "211info", "follow_up_days": 2,
             "share": ["phone"], "queue": "beds", "priority": "high", "note": "Then goodbye"},
        ],
    )  # fmt: skip
    assert (decision.outcome, decision.target, decision.service) == ("refer", "211info", "bed")
    assert decision.notes == ("Say hello", "Then goodbye")
    assert (decision.follow_up_days, decision.queue, decision.priority) == (2, "beds", "high")
    assert decision.share == ("need", "phone")
    assert (decision.version, decision.rule) == (7, "city-1")
    assert decided_by(decision.trace()) == 1
    rules = region(city=[{"outcome": "information"}]).rulebooks["city"].rule_set.rules
    assert explain_trace("=", rules) == [("city-0", "matched")]


@pytest.mark.parametrize(
    "rule",
    [
        {"outcome": "refer", "target": "lonely"},
        {"outcome": "refer", "target": "odot"},
        {"outcome": "open_request", "target": "nowhere"},
        {"outcome": "warm_transfer", "target": "lonely"},
    ],
)
def test_what_cannot_be_done_is_passed_over(rule):
    decision = made("city/hours", city=[rule])
    assert decision.tried[0].trace == "n"
    assert decision.outcome == "resolve_here"
    assert decided_by(decision.trace()) is None


def test_transfer_to_an_agency_or_a_bureau():
    for target in ("odot", "self", "211info"):
        decision = made("city/hours", city=[{"outcome": "warm_transfer", "target": target}])
        assert decision.outcome == "warm_transfer"


def test_receiver_decides_too():
    point = (-122.6, 45.52)
    declined = made(
        "city/pothole",
        point,
        county=[{"outcome": "decline", "reason": "no capacity", "note": "Call in spring"}],
    )
    assert (declined.outcome, declined.reason, declined.rule_tenant) == (
        "decline",
        "no capacity",
        "county",
    )
    assert declined.notes == ("Call in spring",)
    assert explain(declined)[0] == "Decline: no capacity."
    queued = made(
        "city/pothole",
        point,
        county=[
            {"outcome": "open_request", "target": "self", "queue": "now", "priority": "urgent"}
        ],
    )
    assert (queued.outcome, queued.queue, queued.priority) == ("open_request", "now", "urgent")
    elsewhere = made("city/pothole", point, county=[{"outcome": "resolve_here"}])
    assert (elsewhere.outcome, elsewhere.queue) == ("open_request", "bridges")
    silent = made("city/pothole", point, county=[{"channels": ["web"], "outcome": "information"}])
    assert [each.trace for each in silent.tried] == ["c"]


def test_facts_that_follow_from_the_place():
    facts = made("city/pothole", (-122.6, 45.52)).facts
    assert (facts.service, facts.asked, facts.owner) == ("bridge", "city/pothole", "county")
    assert facts.boundaries[0] == "county/bridges"
    assert facts.place_known
    assert facts.terms == ("pothole",)


any_rule = st.fixed_dictionaries(
    {
        "outcome": st.sampled_from(RULE_OUTCOMES),
        "target": st.sampled_from(["self", "owner", "county", "211info", "odot"]),
        "reason": st.just("other"),
    }
)


@given(
    st.lists(any_rule, max_size=4),
    st.sampled_from(sorted(SERVICES)),
    st.sampled_from([None, (-122.6, 45.5), (-122.6, 45.52), (-121.0, 44.0)]),
)
def test_no_rule_overrides_danger(rules, asked, point):
    decision = made(asked, point, city=rules, county=rules, signs=("fire",))
    assert (decision.outcome, decision.target) == ("danger", "911")
    assert decision.tried == ()
    assert explain(decision)[0] == "Call 911."


@given(
    st.lists(any_rule, max_size=4),
    st.sampled_from(sorted(SERVICES)),
    st.tuples(st.floats(-122.9, -122.1), st.floats(45.2, 45.8)) | st.none(),
)
def test_every_decision_can_be_carried_out_and_said(rules, asked, point):
    """Work goes only to partners with an agreement, and every reason has its sentence."""
    decision = made(asked, point, city=rules, county=rules)
    if decision.outcome in ("open_request", "refer"):
        assert decision.target in PARTNERS
        assert decision.target == "city" or frozenset(("city", decision.target)) in PAIRS
    assert decision.outcome != "danger"
    assert codes(decision) <= SENTENCES.keys()
    assert len(explain(decision)) == 1 + len(decision.reasons)
    assert all("{" not in sentence for sentence in explain(decision))


def test_screen():
    signs = (Sign("fire", "Fire", ("on fire", "")), Sign("gas", "Gas", ("smell gas",)))
    assert screen(signs, (), "My car is on FIRE!") == ("fire",)
    assert screen(signs, ("gas",), "nothing") == ("gas",)
    assert screen(signs, ("unknown",), "I smell  gas") == ("unknown", "gas")
    assert screen(signs, (), "campfire on fires") == ()
    assert screen(signs, ()) == ()


def test_facts_are_not_changed():
    facts = Facts(partner="city")
    made("city/pothole", (-122.6, 45.5), facts=facts)
    assert facts == replace(Facts(), partner="city")
