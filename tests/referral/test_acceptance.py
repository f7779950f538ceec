"""What a receiver says to an offer: examples, and what must hold whatever the policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.calendars import BusinessCalendar
from regional311.referral import acceptance
from regional311.referral.acceptance import (
    REFUSALS,
    ROOM_STATES,
    SENTENCES,
    Acceptance,
    Eligibility,
    Offer,
    Reception,
    Room,
    acceptance_faults,
    check,
    policy_for,
    room_now,
)
from regional311.referral.decision import said
from regional311.referral.lifecycle import DECLINE_REASONS
from regional311.strict import Week, canonical, from_plain

NOW = datetime(2026, 10, 5, 17, tzinfo=UTC)
NIGHT = datetime(2026, 10, 6, 5, tzinfo=UTC)
OPEN = BusinessCalendar.from_week("America/Los_Angeles", {"mon": ["08:00-17:00"]}, {})
KNOWS_ALL = frozenset({"name", "phone", "email", "place", "note"})


def offer(**more):
    return Offer(**({"sender": "city", "service": "bed", "channel": "phone"} | more))


def room(state, **more):
    return Room(**({"state": state, "until": NOW + timedelta(hours=1)} | more))


def policy(**more):
    return Acceptance(**({"key": "beds", "name": "Beds"} | more))


def asked(found, of=None, *, at=NOW, rooms=(), calendar=None):
    return check(found, of or offer(), at=at, receiver="help", rooms=rooms, calendar=calendar)


CHILDREN = Eligibility(key="child", ask="Is there a child?", why="only families")


@pytest.mark.parametrize(
    ("found", "of", "more", "answer", "code"),
    [
        (None, {}, {}, "ask", "offer-asked"),
        (policy(mode="accept"), {}, {}, "accept", "offer-at-once"),
        (policy(mode="closed"), {}, {}, "refuse", "offer-closed"),
        (policy(mode="warm"), {}, {}, "warm", "offer-warm"),
        (policy(mode="warm"), {"channel": "web"}, {}, "refuse", "offer-warm-only"),
        (policy(mode="accept"), {}, {"at": NIGHT, "calendar": OPEN}, "ask", "offer-later"),
        (policy(mode="warm"), {}, {"at": NIGHT, "calendar": OPEN}, "refuse", "offer-shut"),
        (
            policy(mode="accept", outside_hours="refuse"),
            {},
            {"at": NIGHT, "calendar": OPEN},
            "refuse",
            "offer-shut",
        ),
        (policy(mode="accept"), {}, {"calendar": OPEN}, "accept", "offer-at-once"),
        (policy(areas=("town",)), {}, {}, "ask", "offer-area-unknown"),
        (policy(areas=("town",), mode="accept"), {}, {}, "ask", "offer-area-unknown"),
        (policy(areas=("town",)), {"place_known": True}, {}, "refuse", "offer-area"),
        (
            policy(areas=("town",), mode="accept"),
            {"place_known": True, "boundaries": frozenset({"help/town"})},
            {},
            "accept",
            "offer-at-once",
        ),
        (policy(question=(CHILDREN,), mode="accept"), {}, {}, "ask", "offer-unanswered"),
        (
            policy(question=(CHILDREN,)),
            {"answers": {"child": "no"}},
            {},
            "refuse",
            "offer-not-eligible",
        ),
        (
            policy(question=(CHILDREN,), mode="accept"),
            {"answers": {"child": "yes"}},
            {},
            "accept",
            "offer-at-once",
        ),
        (policy(needs=("phone",)), {}, {}, "refuse", "offer-missing-phone"),
        (policy(needs=("phone",)), {"has": KNOWS_ALL}, {}, "ask", "offer-asked"),
        (None, {}, {"rooms": [room("none")]}, "refuse", "offer-full"),
        (policy(capacity="ignored"), {}, {"rooms": [room("none")]}, "ask", "offer-asked"),
        (None, {}, {"rooms": [room("none_waitlist")]}, "waitlist", "offer-waitlist"),
        (
            policy(mode="accept"),
            {},
            {"rooms": [room("assessment")]},
            "ask",
            "offer-assessment",
        ),
        (policy(mode="accept"), {}, {"rooms": [room("has", places=3)]}, "accept", "offer-places"),
        (policy(documents=("A paper",)), {}, {}, "ask", "offer-documents"),
        (policy(message="Ring the desk."), {}, {}, "ask", "offer-message"),
    ],
)
def test_what_a_receiver_says(found, of, more, answer, code):
    verdict = asked(found, offer(**of), **more)
    assert verdict.answer == answer
    assert code in {each[0] for each in verdict.codes}


def test_room_is_forgotten_after_its_time():
    over = room("none", until=NOW)
    assert room_now([over], NOW) is None
    assert asked(None, rooms=[over]).answer == "ask"


def test_the_whole_service_counts_before_its_sites_and_the_best_site_before_others():
    north, south = room("none", site="north"), room("has", site="south", places=2)
    assert room_now([north, south], NOW) is south
    whole = room("none_waitlist")
    assert room_now([north, south, whole], NOW) is whole


def test_the_most_specific_policy_counts():
    general, beds = policy(key="a"), policy(key="b", services=("bed",))
    city, both = (
        policy(key="c", senders=("city",)),
        policy(key="d", services=("bed",), senders=("city",)),
    )
    every = (general, beds, city, both)
    assert policy_for(every, "bed", "city") is both
    assert policy_for(every, "bed", "county") is beds
    assert policy_for(every, "food", "city") is city
    assert policy_for(every, "food", "county") is general
    assert policy_for((both,), "food", "city") is None
    assert policy_for((policy(key="z"), general), "food", "city") is general


def test_the_reception_finds_policy_hours_and_room():
    reception = Reception(
        {"help": (policy(mode="warm", hours=Week(mon=("08:00-17:00",))),)},
        {"help/bed": (room("has"),)},
        {"help/beds": OPEN},
    )
    assert reception.verdict("help", offer(), NOW).answer == "warm"
    assert reception.verdict("help", offer(), NIGHT).refused
    assert reception.verdict("other", offer(), NOW).answer == "ask"
    assert reception.room("help/bed", NOW).state == "has"
    assert reception.room("help/bed", NIGHT) is None


def test_days_come_from_the_policy_or_are_the_usual_ones():
    assert asked(None).answer_days == acceptance.ANSWER_DAYS
    assert asked(None).finish_days == acceptance.FINISH_DAYS
    verdict = asked(policy(answer_days=1, finish_days=7))
    assert (verdict.answer_days, verdict.finish_days) == (1, 7)


def test_every_refusal_that_has_a_reason_has_one_of_the_table():
    assert set(acceptance.DECLINE_REASON) <= REFUSALS
    assert set(acceptance.DECLINE_REASON.values()) <= set(DECLINE_REASONS)


def test_faults_say_where():
    wrong = policy(
        services=("bed", "bed"),
        mode="closed",
        notify=("a@example.org",),
        outside_hours="refuse",
    )
    assert [where for where, _ in acceptance_faults(wrong)] == [
        "services",
        "notify",
        "outside_hours",
    ]
    assert list(acceptance_faults(policy(hours=Week(), outside_hours="refuse"))) == []


# --- whatever the policy --------------------------------------------------------------------------

keys = st.sampled_from(("child", "age"))
policies = st.builds(
    Acceptance,
    key=st.just("p"),
    name=st.just("P"),
    mode=st.sampled_from(("accept", "ask", "warm", "closed")),
    outside_hours=st.sampled_from(("ask", "refuse")),
    capacity=st.sampled_from(("respected", "ignored")),
    documents=st.sampled_from(((), ("A paper",))),
    areas=st.sampled_from(((), ("town",), ("city/portland", "town"))),
    needs=st.lists(st.sampled_from(sorted(KNOWS_ALL)), unique=True).map(tuple),
    question=st.lists(keys, unique=True, max_size=2).map(
        lambda found: tuple(Eligibility(key=key, ask=f"{key}?") for key in found)
    ),
    message=st.sampled_from((None, "Ring first.")),
    answer_days=st.sampled_from((None, 1, 9)),
)
offers = st.builds(
    Offer,
    sender=st.just("city"),
    service=st.just("bed"),
    channel=st.sampled_from(("phone", "walk_in", "web", "email")),
    boundaries=st.sets(st.sampled_from(("help/town", "city/portland"))).map(frozenset),
    place_known=st.booleans(),
    has=st.sets(st.sampled_from(sorted(KNOWS_ALL))).map(frozenset),
    answers=st.dictionaries(keys, st.sampled_from(("yes", "no"))),
)
rooms = st.lists(
    st.builds(
        Room,
        state=st.sampled_from(ROOM_STATES),
        until=st.sampled_from((NOW, NOW + timedelta(hours=1))),
        site=st.sampled_from(("", "north", "south")),
    ),
    max_size=4,
)
calendars = st.sampled_from((None, OPEN))
moments = st.sampled_from((NOW, NIGHT))
situations = st.tuples(st.none() | policies, offers, rooms, calendars, moments)


def judged(situation):
    found, of, room_said, calendar, at = situation
    return asked(found, of, at=at, rooms=room_said, calendar=calendar)


@given(situations)
def test_it_refuses_exactly_when_it_says_why(situation):
    verdict = judged(situation)
    codes = {code[0] for code in verdict.codes}
    assert verdict.refused == bool(codes & REFUSALS)
    assert codes <= set(SENTENCES)
    assert verdict.answer in ("accept", "ask", "warm", "waitlist", "refuse")
    assert all(said(verdict.codes, {}))


@given(situations)
def test_nothing_is_taken_at_once_that_somebody_should_look_at(situation):
    found, of, _, calendar, at = situation
    verdict = judged(situation)
    if verdict.answer == "accept":
        assert found is not None
        assert found.mode == "accept"
        assert set(found.needs) <= of.has
        assert all(of.answers.get(each.key) == each.answer for each in found.question)
        assert not found.areas or of.place_known
        assert calendar is None or calendar.is_open(at)


@given(situations)
def test_knowing_more_never_makes_a_refusal(situation):
    found, of, room_said, calendar, at = situation
    before = judged(situation)
    more = Offer(
        of.sender, of.service, of.channel, of.boundaries, of.place_known, KNOWS_ALL, of.answers
    )
    after = judged((found, more, room_said, calendar, at))
    assert before.refused or not after.refused
    assert after.missing == ()


@given(situations)
def test_a_closed_policy_and_a_full_house_refuse_whatever_is_known(situation):
    found, of, _, calendar, at = situation
    if found is not None:
        closed = found.model_copy(update={"mode": "closed"})
        assert judged((closed, of, [], calendar, at)).refused
    full = [Room("none", at + timedelta(hours=1))]
    if found is None or found.capacity == "respected":
        assert judged((found, of, full, calendar, at)).refused


@given(policies)
def test_a_policy_is_the_same_after_it_was_stored(found):
    assert from_plain(Acceptance, canonical(found)) == found


@given(situations)
def test_no_word_about_the_person_can_be_in_what_is_said(situation):
    """An offer has no field in which a name could stand; what is said comes from the policy."""
    found, of, *_ = situation
    allowed = {"help"}
    if found is not None:
        allowed |= {*found.documents, found.message or "", *(q.ask for q in found.question)}
    for _, *arguments in judged(situation).codes:
        for word in ", ".join(arguments).split(", "):
            assert word in allowed or word.isdecimal()
    assert of.sender == "city"
