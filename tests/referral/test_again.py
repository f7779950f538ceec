"""Deciding many again is deciding one by one, whatever the rules and the contacts are."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.catalog.directory import Directory, Disposition, Service
from regional311.referral.again import Again, Came, decide_again
from regional311.referral.conditions import DISPOSITIONS, URGENCIES, VERBS, Facts
from regional311.referral.decision import Partner, Region
from regional311.referral.past import facts_from
from regional311.referral.rules import RuleBook, RuleSet, rules_from

FIRST = date(2026, 10, 1)
MIDDLE = FIRST + timedelta(days=3)
SERVICES = (
    Service("city", "pothole", "Pothole", term="pothole", bureau="streets",
            dispositions=(Disposition("resolve", None, MIDDLE), Disposition("refer", MIDDLE))),
    Service("county", "road", "Road", term="pothole", ended_on=FIRST + timedelta(days=5)),
    Service("211", "shelter", "Shelter", verb="find", term="shelter", confidential=True),
)  # fmt: skip
CHANNELS = ("phone", "web", "chat")
BOUNDARIES = ("city/city", "county/county", "county/bridge")

a_rule = st.fixed_dictionaries(
    {
        "services": st.lists(
            st.sampled_from(["pothole", "county/road", "211/shelter"]), max_size=2
        ),
        "channels": st.lists(st.sampled_from(CHANNELS), max_size=2),
        "boundaries": st.lists(st.sampled_from(BOUNDARIES), max_size=2),
        "urgency": st.lists(st.sampled_from(URGENCIES), max_size=2),
        "verbs": st.lists(st.sampled_from(VERBS), max_size=1),
        "owners": st.lists(st.sampled_from(["self", "other", "nobody", "county"]), max_size=2),
        "dispositions": st.lists(st.sampled_from(DISPOSITIONS), max_size=1),
        "hours": st.sampled_from([None, "open", "closed"]),
        "confidential": st.sampled_from([None, True, False]),
        "condition": st.sampled_from(
            ["", "hour >= 17", '"pothole" in terms && anonymous', "weekday > 5 || near_boundary"]
        ),
        "off": st.booleans(),
        "valid_from": st.sampled_from([None, MIDDLE]),
        "valid_to": st.sampled_from([None, FIRST + timedelta(days=6)]),
        "ends": st.sampled_from(
            [
                {"outcome": "information"},
                {"outcome": "open_request", "target": "owner"},
                {"outcome": "refer", "target": "county"},
                {"outcome": "decline", "reason": "no capacity"},
                {"outcome": "warm_transfer", "target": "self"},
                {"continues": True, "note": "Say so."},
            ]
        ),
    }
)
some_facts = st.builds(
    Facts,
    service=st.sampled_from(["pothole", "road", "shelter"]),
    asked=st.sampled_from([each.ref for each in SERVICES]),
    owner=st.sampled_from(["city", "county", "211", ""]),
    disposition=st.sampled_from(DISPOSITIONS),
    verb=st.sampled_from(VERBS),
    terms=st.sampled_from([(), ("pothole",), ("shelter",)]),
    partner=st.just("city"),
    channel=st.sampled_from(CHANNELS),
    urgency=st.sampled_from(URGENCIES),
    open=st.booleans(),
    hour=st.integers(0, 23),
    weekday=st.integers(1, 7),
    boundaries=st.lists(st.sampled_from(BOUNDARIES), max_size=2, unique=True).map(tuple),
    near_boundary=st.booleans(),
    confidential=st.booleans(),
    anonymous=st.booleans(),
)


def book(tenant, contents):
    rules = [
        {"key": f"r{at}", "name": f"Rule {at}", **{k: v for k, v in each.items() if k != "ends"}}
        | each["ends"]
        for at, each in enumerate(contents)
    ]
    return RuleBook.of(RuleSet(tenant, 1, rules_from(rules)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(a_rule, max_size=6),
    st.lists(a_rule, max_size=3),
    st.lists(st.tuples(some_facts, st.integers(0, 9)), min_size=1, max_size=12),
)
def test_the_same_as_one_by_one(mine, theirs, contacts):
    regions = {
        FIRST + timedelta(days=day): Region(
            {slug: Partner(slug, "city") for slug in ("city", "county", "211")},
            Directory(SERVICES),
            {"city": book("city", mine), "county": book("county", theirs)},
            frozenset({frozenset({"city", "county"})}),
        )
        for day in range(10)
    }
    same = Region(
        regions[FIRST].partners,
        Directory(SERVICES),
        regions[FIRST].rulebooks,
        regions[FIRST].partnerships,
    )
    again = Again(lambda _on: same)
    for facts, day in [*contacts, *contacts]:
        on = FIRST + timedelta(days=day)
        assert again.decide(facts.values(), on) == decide_again(regions[on], facts, on)


def test_facts_that_no_rule_looks_at_are_no_difference():
    region = Region(
        {"city": Partner("city", "city")},
        Directory(SERVICES),
        {"city": book("city", [])},
    )
    again = Again(lambda _on: region)
    for hour in range(24):
        facts = Facts(asked="city/pothole", owner="city", service="pothole", partner="city")
        found = again.decide(facts.values() | {"hour": hour}, FIRST)
        assert found == Came("open_request", "city", "pothole", "city", "", "")
    assert len(again._known) == 1


def test_a_service_that_is_gone_is_said_and_old_facts_are_left_out():
    region = Region({"city": Partner("city", "city")}, Directory(SERVICES))
    assert decide_again(region, Facts(asked="city/gone", owner="city"), FIRST) is None
    assert facts_from({"hour": 3, "gone": True}) == Facts(hour=3)
