"""The checks before publishing: every problem with its rule's name."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import combinations, pairwise
from unittest import mock

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog.directory import Service
from regional311.intake.models import CHANNELS
from regional311.referral.acceptance import Acceptance
from regional311.referral.checks import (
    Known,
    Sample,
    _overlap,
    _reach,
    _Way,
    check_contents,
    check_rules,
    check_sampled,
    open_owners,
)
from regional311.referral.conditions import Facts
from regional311.referral.fitness import decided
from regional311.referral.rules import Matchers, Rule, RuleBook, RuleSet, rules_from
from regional311.tenancy.jurisdiction import Boundary, JurisdictionIndex

KNOWN = Known(
    tenant="city",
    services=frozenset({"city/pothole", "county/road"}),
    boundaries=frozenset({"city/portland"}),
    terms=frozenset({"pothole", "shelter"}),
    partners=frozenset({"city", "county", "211info", "lonely"}),
    agencies=frozenset({"odot"}),
    partnerships=frozenset({"county", "211info"}),
    queues=frozenset({"streets"}),
    fields=frozenset({"need"}),
    others={
        "county": rules_from(
            [
                {"key": "back", "name": "Back", "outcome": "refer", "target": "city",
                 "terms": ["shelter"]},
            ]
        )
    },
)  # fmt: skip
INFORM = {"outcome": "information"}


def problems(*rules) -> list[tuple[str, str]]:
    contents = [{"key": f"r{at}", "name": f"Rule {at}", **each} for at, each in enumerate(rules)]
    return [(each.name, each.code) for each in check_contents(contents, KNOWN)]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"services": ["nothing"], **INFORM}, "unknown-service"),
        ({"boundaries": ["nowhere"], **INFORM}, "unknown-boundary"),
        ({"terms": ["odd"], **INFORM}, "unknown-term"),
        ({"owners": ["nobody-known"], **INFORM}, "unknown-owner"),
        ({"outcome": "refer", "target": "nowhere"}, "unknown-target"),
        ({"queue": "none", **INFORM}, "unknown-queue"),
        ({"share": ["shoe-size"], **INFORM}, "unknown-field"),
        ({"condition": "typo", **INFORM}, "unreadable"),
        ({"condition": 'service == "nothing"', **INFORM}, "unknown-service"),
        ({"condition": '"nowhere" in boundaries', **INFORM}, "unknown-boundaries"),
        ({"condition": 'owner == "who"', **INFORM}, "unknown-owner"),
        ({"outcome": "danger"}, "danger"),
        ({"outcome": "refer", "target": "self"}, "target"),
        ({"outcome": "open_request", "target": "odot"}, "target"),
        ({"outcome": "open_request", "target": "lonely"}, "no-agreement"),
        ({"owners": ["nobody"], "outcome": "open_request", "target": "owner"}, "unreachable"),
        ({"outcome": "refer", "target": "county", "terms": ["shelter"]}, "loop"),
        ({"outcome": "refer", "target": "owner", "owners": ["county"]}, "loop"),
    ],
)
def test_each_problem_has_its_code(rule, code):
    assert problems(rule) == [("Rule 0", code)]


@pytest.mark.parametrize(
    "rule",
    [
        {"services": ["pothole", "county/road"], **INFORM},
        {"owners": ["self", "odot"], "condition": 'owner == ""', **INFORM},
        {"outcome": "refer", "target": "county", "terms": ["pothole"]},
        {"outcome": "warm_transfer", "target": "odot"},
        {"outcome": "warm_transfer", "target": "self"},
        {"queue": "elsewhere", "outcome": "open_request", "target": "county",
         "terms": ["pothole"]},
        {"continues": True, "note": "Hello"},
    ],
)  # fmt: skip
def test_good_rules_have_none(rule):
    assert problems(rule) == []


@pytest.mark.parametrize(
    ("earlier", "later", "shadowed"),
    [
        ({}, {"channels": ["web"]}, True),
        ({"channels": ["web", "phone"]}, {"channels": ["web"]}, True),
        ({"channels": ["web"]}, {"channels": ["web", "phone"]}, False),
        ({"channels": ["web"]}, {}, False),
        ({"continues": True}, {}, False),
        ({"condition": "open"}, {}, False),
        ({"condition": "open"}, {"condition": "open", "channels": ["web"]}, True),
        ({"hours": "open"}, {"hours": "open", "verbs": ["pay"]}, True),
        ({"hours": "open"}, {}, False),
        ({"confidential": True}, {}, False),
        ({"confidential": True}, {"confidential": True}, True),
        ({"services": ["pothole"]}, {"services": ["city/pothole"]}, True),
        ({"valid_to": "2027-01-01"}, {}, False),
        ({"valid_from": "2020-01-01"}, {"valid_from": "2021-01-01"}, True),
        ({"valid_to": "2027-01-01"}, {"valid_to": "2026-01-01"}, True),
    ],
)
def test_shadows(earlier, later, shadowed):
    found = problems({**INFORM, **earlier}, {**INFORM, **later})
    assert (("Rule 1", "shadowed") in found) is shadowed


def test_duplicates():
    same = {"key": "same", "name": "Same", "channels": ["web"], **INFORM}
    other = {"key": "same", "name": "Other", "channels": ["phone"], **INFORM}
    named = {"key": "new", "name": "Same", "channels": ["text"], **INFORM}
    found = check_contents([same, other, named], KNOWN)
    assert [(each.rule, each.code) for each in found] == [
        ("same", "duplicate"),
        ("new", "duplicate"),
    ]
    assert found[1].message == "Rule same has this name."


@pytest.mark.parametrize(
    "apart",
    [
        {"terms": ["pothole"]},
        {"terms": ["shelter"], "valid_to": "2000-01-01"},
    ],
)
def test_no_loop_when_nothing_can_match_both(apart):
    later = Known(
        "city",
        frozenset(),
        frozenset(),
        frozenset({"pothole", "shelter"}),
        frozenset({"city", "county"}),
        partnerships=frozenset({"county"}),
        others={
            "county": rules_from(
                [
                    {
                        "key": "b",
                        "outcome": "refer",
                        "target": "city",
                        "terms": ["shelter"],
                        "valid_from": "2020-01-01",
                    }
                ]
            )
        },
    )
    rules = rules_from([{"key": "a", "outcome": "refer", "target": "county", **apart}])
    assert check_rules(rules, later) == []


def chain(*, terms=("shelter",), way=("county", "211info", "city")) -> Known:
    """The County sends what it gets to 211, and 211 to the City."""
    return replace(
        KNOWN,
        others={
            partner: rules_from(
                [
                    {"key": "on", "name": f"On from {partner}", "outcome": "refer", "target": to,
                     "terms": list(terms)},
                ]
            )
            for partner, to in pairwise(way)
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (("county", "city"), "Rule 'On from county' of county sends the same back to city."),
        (
            ("county", "211info", "city"),
            (
                "Rule 'On from county' of county sends the same on to 211info,"
                " and rule 'On from 211info' of 211info sends the same back to city."
            ),
        ),
        (("county", "211info", "lonely"), None),
        (("211info", "county", "211info"), None),
    ],
)
def test_a_circle_over_any_number_of_partners_is_found(way, said):
    """Only a circle through our own rule is ours to mend."""
    rules = rules_from([{"key": "a", "outcome": "refer", "target": "county", "terms": ["shelter"]}])
    messages = [each.message for each in check_rules(rules, chain(way=way))]
    assert messages == ([said] if said else [])


def test_a_circle_that_no_contact_can_walk_is_none():
    rules = rules_from([{"key": "a", "outcome": "refer", "target": "county", "terms": ["shelter"]}])
    assert check_rules(rules, chain(terms=("pothole",))) == []


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        ([], ["error"]),
        (["city/west"], ["error"]),
        (["middle"], ["error"]),
        (["east"], ["warning"]),
        (["far"], []),
        (["far", "road"], ["error"]),
        (["unheard"], ["error"]),
    ],
)
def test_areas_that_lie_apart_make_no_circle(theirs, found):
    """A square of the City's, and what the County sends back lies in it, beside it or far off."""
    index = JurisdictionIndex(
        [
            Boundary("city/west", "city", "West", shapely.box(-122.8, 45.4, -122.7, 45.5)),
            Boundary("county/middle", "county", "Middle", shapely.box(-122.71, 45.4, -122.6, 45.5)),
            Boundary("county/east", "county", "East", shapely.box(-122.7, 45.4, -122.6, 45.5)),
            Boundary("county/far", "county", "Far", shapely.box(-122.5, 45.4, -122.4, 45.5)),
            Boundary(
                "county/road",
                "county",
                "Road",
                shapely.LineString([(-122.75, 45.45), (-122.4, 45.45)]),
                tolerance_m=20,
            ),
        ]
    )
    (back,) = rules_from(
        [{"key": "b", "name": "B", "outcome": "refer", "target": "city", "boundaries": theirs}]
    )
    known = replace(
        KNOWN,
        boundaries=frozenset(index.by_key),
        others={"county": (back,)},
        meeting=index.meeting,
    )
    rules = rules_from(
        [{"key": "a", "outcome": "refer", "target": "county", "boundaries": ["west"]}]
    )
    problems = check_rules(rules, known)
    assert [(each.code, each.level) for each in problems] == [("loop", level) for level in found]
    assert all(("at the edge" in each.message) == (each.level == "warning") for each in problems)


PARTNERS = ("city", "p1", "p2", "p3", "p4")


@given(st.lists(st.tuples(st.sampled_from(PARTNERS[1:]), st.sampled_from(PARTNERS)), max_size=12))
def test_a_circle_is_found_exactly_when_there_is_one(sent):
    """Held against reaching our partner over who sends to whom, in whatever order they are."""
    known = Known(
        "city",
        frozenset(),
        frozenset(),
        frozenset(),
        frozenset(PARTNERS),
        partnerships=frozenset(PARTNERS[1:]),
        others={
            partner: rules_from(
                [
                    {"key": f"r{at}", "name": f"R{at}", "outcome": "refer", "target": to}
                    for at, (sender, to) in enumerate(sent)
                    if sender == partner
                ]
            )
            for partner in PARTNERS[1:]
        },
    )
    reached, todo = set(), ["p1"]
    while todo:
        at = todo.pop()
        if at not in reached:
            reached.add(at)
            todo.extend(to for sender, to in sent if sender == at and at != "city")
    rules = rules_from([{"key": "a", "outcome": "refer", "target": "p1"}])
    codes = [each.code for each in check_rules(rules, known)]
    assert codes == (["loop"] if "city" in reached else [])


some = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2).map(frozenset)
matchers = st.builds(
    Matchers,
    terms=some,
    services=some,
    verbs=st.sets(st.sampled_from(["report", "pay"]), max_size=1).map(frozenset),
    owners=st.sets(st.sampled_from(["self", "other", "p1"]), max_size=2).map(frozenset),
)


@given(matchers, st.lists(matchers, max_size=8))
def test_what_is_found_by_its_subject_is_all_that_may_meet(mine, theirs):
    """What stands by terms and services leaves out nothing that looking at each would find."""
    rule = Rule("r", "R", outcome="refer")
    ours = _reach(replace(rule, match=mine), "city", KNOWN)
    all_of_them = [
        (_reach(replace(rule, key=f"r{at}", match=each), "county", KNOWN), ["city"])
        for at, each in enumerate(theirs)
    ]

    def meets(found):
        return [each.rule.key for each, _to in found if _overlap(ours, each, KNOWN)]

    # of those that are alike the first stands for all
    first = {each.alike: each.rule.key for each, _to in reversed(all_of_them)}
    wanted = [key for key in meets(all_of_them) if key in first.values()]
    assert meets(_Way(all_of_them).meeting(ours)) == wanted


def test_many_rules_that_differ_in_nothing_are_looked_at_once_and_the_search_ends():
    """Nobody waits for a page because twenty partners have written hundreds of rules."""
    partners = tuple(f"p{at}" for at in range(8))

    def sends(to, channels, languages=("en",)):
        return [
            {
                "key": f"r{at}", "name": f"R{at}", "outcome": "refer", "target": to(at),
                "channels": channels(at), "languages": list(languages),
                "condition": f"hour == {at}",
            }
            for at in range(20)
        ]  # fmt: skip

    def one(_at):
        return ["web"]

    def known(channels):
        others = {
            partner: rules_from(sends(lambda at: partners[at % 8], channels))
            for partner in partners
        }
        # the only way back is for nobody who speaks what we send
        others["p7"] = rules_from(sends(lambda _at: "city", channels, ["ru"]))
        return replace(
            KNOWN,
            partners=frozenset({"city", *partners}),
            partnerships=frozenset(partners),
            others=others,
        )

    ours = [{**each, "name": f"Ours {each['key']}"} for each in sends(lambda _at: "p0", one)]
    assert check_rules(rules_from(ours), known(one)) == []
    some = list(combinations(CHANNELS, 3))
    many = [{**each, "channels": list(some[at])} for at, each in enumerate(ours)]
    region = known(lambda at: list(some[at]))
    with (
        mock.patch("regional311.referral.checks.MOST_STEPS", 200),
        mock.patch("regional311.referral.checks.OWN_STEPS", 20),
    ):
        (found,) = check_rules(rules_from(many), region)
        # and what the others took keeps nobody who sends straight back from being found
        straight = {"key": "b", "name": "Straight", "outcome": "refer"}
        back = {**region.others, "p8": rules_from([{**straight, "target": "city"}])}
        last = replace(
            region,
            partners=region.partners | {"p8"},
            partnerships=region.partnerships | {"p8"},
            others=back,
        )
        away = {**straight, "target": "p8", "channels": ["chat"]}
        circle, spent = check_rules(rules_from([*many, away]), last)
    assert (found.code, found.level, found.rule) == ("loop", "warning", "")
    assert "too many rules" in found.message
    assert (circle.code, circle.level, circle.rule) == ("loop", "error", "b")
    assert spent == found


def test_a_circle_of_others_ends_the_search():
    known = replace(
        KNOWN,
        others={
            partner: rules_from([{"key": "r", "outcome": "refer", "target": to}])
            for partner, to in (("county", "211info"), ("211info", "county"))
        },
    )
    rules = rules_from([{"key": "a", "outcome": "refer", "target": "county"}])
    assert check_rules(rules, known) == []


def test_what_is_decided_is_looked_at_once_in_a_snapshot(region):
    """The pages of rules ask for it on every visit."""
    day = date(2026, 10, 5)
    rules = [{"key": "a", "name": "A", "outcome": "refer", "target": "nowhere"}]
    found = decided(region, "city", rules, day)
    assert [each.code for each in found] == ["unknown-target"]
    assert decided(region, "city", [dict(rules[0])], day) is found
    assert decided(region, "city", [{**rules[0], "target": "county"}], day) is not found
    assert decided(region, "city", rules, date(2026, 10, 6)) is not found
    assert decided(region, "county", rules, day) is not found


def test_known_of_the_region(region):
    from tests.little_region import NOW

    on = region.today("city", NOW)
    known = Known.of(region.region(on), "city", region.boundaries, region.queues("city"))
    assert "city/pothole" in known.services
    assert known.partnerships == {"county", "211info"}
    rules = region.region(on).rulebooks["city"].rule_set.rules
    assert check_rules(rules, known) == []


SERVICES = (
    Service("city", "pothole", "Pothole", verb="report", term="pothole"),
    Service("county", "road", "Road", verb="request", term="pothole"),
)
WHOLE = replace(
    KNOWN,
    directory=SERVICES,
    ended=frozenset({"county/road"}),
    branches=frozenset({"region:roads"}),
)


def found(*rules, known=WHOLE) -> list[tuple[str, str]]:
    contents = [{"key": f"r{at}", "name": f"Rule {at}", **each} for at, each in enumerate(rules)]
    return [(each.rule, each.code) for each in check_contents(contents, known)]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"services": ["county/road"], **INFORM}, "ended"),
        ({"branches": ["region:gone"], **INFORM}, "unknown-branch"),
        ({"services": ["pothole"], "terms": ["shelter"], **INFORM}, "unreachable"),
        ({"services": ["pothole"], "verbs": ["pay"], **INFORM}, "unreachable"),
    ],
)
def test_what_the_directory_decides(rule, code):
    assert found(rule) == [("r0", code)]


BEDS = (
    Service("211info", "bed", "A bed", verb="request", term="shelter"),
    Service("211info", "food", "Food", verb="request", term="food"),
)


@pytest.mark.parametrize(
    ("policies", "rule", "level"),
    [
        ([{"mode": "closed"}], {}, "error"),
        ([{"mode": "closed"}], {"outcome": "warm_transfer"}, "error"),
        ([{"mode": "closed"}], {"target": "owner", "owners": ["211info"]}, "error"),
        ([{"mode": "closed"}], {"terms": ["shelter"]}, "error"),
        ([{"mode": "closed", "services": ("bed",)}], {"services": ["211info/bed"]}, "error"),
        ([{"mode": "closed", "services": ("bed",)}], {"terms": ["shelter"]}, "error"),
        ([{"mode": "closed", "services": ("bed",)}], {}, "warning"),
        ([{"mode": "closed", "services": ("bed",)}], {"terms": ["food"]}, None),
        ([{"mode": "closed", "senders": ("county",)}], {}, None),
        ([{"mode": "warm"}], {}, None),
        ([{"mode": "closed"}, {"key": "city", "senders": ("city",)}], {}, None),
        ([{"mode": "closed"}], {"outcome": "information"}, None),
    ],
)
def test_a_target_that_takes_nothing_is_named(policies, rule, level):
    known = replace(
        KNOWN,
        terms=KNOWN.terms | {"food"},
        services=KNOWN.services | {each.ref for each in BEDS},
        directory=BEDS,
        taking={
            "211info": tuple(
                Acceptance(**{"key": "all", "name": "All", **each}) for each in policies
            )
        },
    )
    contents = [{"key": "r", "outcome": "refer", "target": "211info", **rule}]
    seen = [(each.code, each.level, each.how) for each in check_contents(contents, known)]
    assert seen == ([("closed", level, "decided")] if level else [])


def test_many_services_that_are_not_taken_are_not_all_named():
    many = tuple(Service("211info", f"s{at}", f"Service {at}") for at in range(6))
    known = replace(
        KNOWN,
        directory=(*many, *BEDS),
        taking={
            "211info": (
                Acceptance(
                    key="all", name="All", mode="closed", services=tuple(each.key for each in many)
                ),
            )
        },
    )
    (seen,) = check_contents([{"key": "r", "outcome": "refer", "target": "211info"}], known)
    assert seen.message.endswith(": Service 0, Service 1, Service 2, Service 3 and 2 more.")


def test_what_can_be_reached_by_a_service_of_the_same_kind_is_no_problem():
    assert found({"services": ["pothole"], "verbs": ["request"], **INFORM}) == []
    assert found({"branches": ["region:roads"], **INFORM}) == []


def test_a_rule_that_is_off_shadows_nothing_and_is_not_looked_at():
    assert found({"off": True, **INFORM}, {"owners": ["self"], **INFORM}) == []
    assert found({"off": True, "services": ["nothing"], **INFORM}) == []
    assert found({**INFORM}, {"off": True, "owners": ["self"], **INFORM}) == []


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ([INFORM], set()),
        ([{**INFORM, "condition": "open"}], {"", "odot", "city", "county", "211info", "lonely"}),
        ([{"owners": ["other"], **INFORM}], {"", "city"}),
        (
            [
                {"owners": ["self"], "outcome": "open_request", "target": "self"},
                {"owners": ["nobody", "odot"], **INFORM},
                {"owners": ["county", "lonely"], "outcome": "open_request", "target": "owner"},
            ],
            {"county", "211info", "lonely"},
        ),
    ],
)
def test_a_gap_is_decided_where_only_the_responsible_counts(rules, left):
    contents = [{"key": f"r{at}", "name": f"Rule {at}", **each} for at, each in enumerate(rules)]
    assert open_owners(rules_from(contents), KNOWN) == left


def test_what_is_seen_in_contacts_that_were():
    contents = [
        {"key": "night", "name": "Night", "condition": "hour >= 17", **INFORM},
        {"key": "late", "name": "Late", "condition": "hour >= 20", **INFORM},
        {"key": "chat", "name": "Chat", "channels": ["chat"], **INFORM},
        {"key": "adds", "name": "Adds", "continues": True, "note": "Say so."},
        {"key": "off", "name": "Off", "off": True, **INFORM},
    ]
    book = RuleBook.of(RuleSet("city", 1, rules_from(contents)))
    samples = [
        Sample(Facts(partner="city", hour=hour), date(2026, 10, 5), f"c{hour}")
        for hour in (9, 18, 21, 22)
    ]
    seen = check_sampled(book, samples)
    assert [(each.rule, each.code, each.how) for each in seen.problems] == [
        ("late", "shadowed", "sampled"),
        ("chat", "unused", "sampled"),
        ("", "gap", "sampled"),
    ]
    assert "fit 2 of 4 contacts" in seen.problems[0].message
    assert "'Night'" in seen.problems[0].message
    assert (seen.size, seen.unmatched) == (4, 1)
    assert [each.contact for each in seen.gaps] == ["c9"]
    assert {each.level for each in seen.problems} == {"warning"}
    assert check_sampled(book, ()).problems == ()
