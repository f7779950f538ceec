"""The loop on the database: another referral, reminders, follow-ups, the end of consent, codes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select, text

from regional311.audit.models import AuditEvent
from regional311.cover import handovers
from regional311.cover import queries as cover
from regional311.cover.models import Handover
from regional311.database.ids import new_id
from regional311.database.session import acting_for
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.exchange.models import Envelope
from regional311.exchange.service import ERASED
from regional311.identity.models import Membership
from regional311.identity.service import grant
from regional311.intake import needs
from regional311.intake import queries as intake_queries
from regional311.intake.models import Contact, Inquirer, Need, NeedStatement
from regional311.metering.models import UsageEvent
from regional311.notices.models import OutboxMessage
from regional311.referral import (
    by_link,
    consents,
    filing,
    follow_up_queries,
    follow_ups,
    further,
    lifecycle,
    person_links,
    prohibition,
    queries,
    questions,
    reminders,
    sending_on,
    service,
    worklist,
)
from regional311.referral.filing import Asker, Intake
from regional311.referral.handing_over import ring_through
from regional311.referral.loop import Loop
from regional311.referral.models import Consent, FollowUp, Referral, ReferralReminder
from regional311.referral.reminders import keep_loops
from regional311.referral.silence import next_step
from regional311.referral.snapshot import Published
from tests.little_region import IDS, NOW, ON_BRIDGE, county_bed

DANA = Asker(
    "Dana Canary",
    "503 555 0101",
    "dana@canary.example",
    safe_to_call=True,
    may_leave_message=True,
    wants_updates=True,
    may_follow_up=True,
)
LATER = NOW + timedelta(hours=3)
THERE = IDS["211info"]
URL = "https://311.example"


def refer(city, region, **more):
    given = {
        "source": "desk",
        "key": str(new_id()),
        "channel": "phone",
        "started_at": NOW,
        "service": "city/shelter",
        "asker": DANA,
        "danger_answer": "none",
        "consent": "given",
        "description": "sleeps in a car",
    } | more
    return filing.take_in(city, region, Intake(**given), now=NOW)


def one(session, model, *conditions):
    session.flush()
    found = session.execute(
        select(model)
        .where(model.tenant_id == session.scope.tenant_id, *conditions)
        .execution_options(populate_existing=True)
    ).scalars()
    return list(found)


def as_receiver(city, filed, to, **more):
    with acting_for(city, THERE):
        (row,) = one(city, Referral, Referral.id == filed.referral_id)
        more.setdefault("booked_on", NOW.date())
        service.move(city, now=LATER, referral_id=row.id, version=row.version, to=to, **more)


def again(city, region, filed, **more):
    given = {
        "service": "211info/food",
        "consent": "given",
        "replaces": filed.referral_public_id,
        "key": str(new_id()),
    } | more
    return further.refer_again(
        city, region, now=LATER, contact_id=filed.contact_id, need_id=filed.need_id, **given
    )


# --- several referrals of one need ----------------------------------------------------------------


def test_after_a_rejection_another_names_the_old_one(city, region):
    filed = refer(city, region)
    as_receiver(city, filed, "rejected", reason="no_capacity")
    assert one(city, Need)[0].status == "open"
    new = again(city, region, filed)
    assert one(city, Need)[0].status == "referred"
    (mine,) = one(city, Referral, Referral.id == new.referral_id)
    assert (mine.replaces_id, mine.need_id) == (filed.referral_id, filed.need_id)
    assert mine.shared["name"] == "Dana Canary"
    assert one(city, Consent, Consent.id == mine.consent_id)[0].words.endswith(
        "Your name, Your number, Your e-mail address, What you told us."
    )
    with acting_for(city, THERE):
        (theirs,) = one(city, Referral, Referral.id == new.referral_id)
        assert theirs.shared == mine.shared
    as_receiver(city, new, "accepted")
    as_receiver(city, new, "completed", outcome="met")
    assert one(city, Need)[0].status == "met"


def test_another_partner_does_not_learn_who_was_asked_before(city, region):
    filed = refer(city, region)
    as_receiver(city, filed, "rejected", reason="not_eligible")
    new = again(city, region, filed, service="county/clinic")
    with acting_for(city, IDS["county"]):
        (theirs,) = one(city, Referral)
        assert (theirs.id, theirs.replaces_id) == (new.referral_id, None)
        assert one(city, Referral, Referral.id == filed.referral_id) == []


def test_side_by_side_the_need_waits_for_the_last(city, region):
    filed = refer(city, region)
    second = again(city, region, filed, replaces="")
    as_receiver(city, filed, "accepted")
    as_receiver(city, filed, "completed", outcome="unmet")
    assert one(city, Need)[0].status == "referred"
    as_receiver(city, second, "rejected", reason="out_of_funds")
    assert one(city, Need)[0].status == "unmet"


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"service": "211info/none", "replaces": ""}, InvalidInput),
        ({"service": "city/shelter", "replaces": ""}, InvalidInput),
        ({"service": "211info/bed", "replaces": ""}, further.AskedAlready),
        ({}, Conflict),
        ({"replaces": "F-00000-00000"}, NotFound),
        ({"replaces": "", "consent": "unasked"}, filing.ConsentNotAsked),
        (
            {"replaces": "", "service": "county/clinic", "consent": "refused"},
            filing.ConsentNeeded,
        ),
    ],
)
def test_what_is_not_sent_again(city, region, more, error):
    filed = refer(city, region)
    with pytest.raises(error):
        again(city, region, filed, **more)
    assert len(one(city, Referral)) == 1


def test_only_needs_of_the_contact(city, region):
    filed = refer(city, region)
    with pytest.raises(NotFound):
        further.refer_again(
            city,
            region,
            now=LATER,
            contact_id=new_id(),
            need_id=filed.need_id,
            service="211info/food",
            consent="given",
            key="k",
        )


def test_unmet_at_the_moment_it_is_found(city, region):
    filed = refer(city, region, unmet="all_at_capacity")
    (need,) = one(city, Need)
    assert (need.status, need.unmet_reason) == ("unmet", "all_at_capacity")
    assert one(city, Referral) == []
    (said,) = one(city, NeedStatement)
    assert said.how == "decision"
    needs.say(city, now=LATER, need_id=filed.need_id, status="met", how="page")
    assert [each.status for each in one(city, NeedStatement)] == ["unmet", "met"]
    assert one(city, Need)[0].status == "met"
    with pytest.raises(InvalidInput):
        refer(city, region, unmet="because")


def test_unmet_for_another_reason_is_said_in_words(city, region):
    with pytest.raises(InvalidInput) as caught:
        refer(city, region, unmet="other")
    assert caught.value.field == "unmet_words"
    refer(city, region, unmet="other", unmet_words="Nobody speaks Mam.")
    (need,) = one(city, Need)
    assert (need.status, need.unmet_reason) == ("unmet", "other")
    assert need.unmet_words == "Nobody speaks Mam."


# --- reminders ------------------------------------------------------------------------------------


@pytest.fixture
def people(city):
    """A worker and a supervisor at the receiver."""
    with acting_for(city, THERE):
        for name, role in (("worker", "partner"), ("lead", "supervisor")):
            grant(city, person_id=new_id(), name=name, email=f"{name}@211.example", roles=(role,))
        assert len(one(city, Membership)) == 2


def letters(city):
    with acting_for(city, THERE):
        return [(each.event, each.recipient) for each in one(city, OutboxMessage)]


def days(count: int) -> datetime:
    return NOW + timedelta(days=count)


def test_reminded_escalated_expired_each_once(city, region, people):
    filed = refer(city, region)
    for count in range(40):
        keep_loops(city, now=days(count), url=URL)
        keep_loops(city, now=days(count) + timedelta(minutes=1), url=URL)
    assert letters(city) == [
        ("referral_waits", "lead@211.example"),
        ("referral_waits", "worker@211.example"),
        ("referral_unanswered", "lead@211.example"),
    ]
    (mine,) = one(city, Referral)
    assert (mine.state, mine.reason) == ("failed", "expired")
    steps = {each.step: each.at for each in one(city, ReferralReminder)}
    assert list(steps) == ["reminded", "escalated", "expired"]
    assert steps["reminded"] < steps["escalated"] < steps["expired"]
    with acting_for(city, THERE):
        assert one(city, Referral)[0].state == "failed"
        actions = [each.action for each in queries.referral_detail(city, filed.referral_id).history]
        assert {"referral:reminded", "referral:escalated", "referral:answer"} <= set(actions)
    assert one(city, Need)[0].status == "open"


def test_who_is_quicker_than_the_clock_takes_nothing_from_the_others(
    city, region, people, monkeypatch
):
    quick, slow = refer(city, region), refer(city, region)
    for count in range(3, 9):
        keep_loops(city, now=days(count), url=URL)
    late = days(39)

    def accepted_meanwhile(silence, *given):
        step = next_step(silence, *given)
        (row,) = one(city, Referral, Referral.id == quick.referral_id)
        if row.state == "requested":
            as_receiver(city, quick, "accepted")
        return step

    monkeypatch.setattr(reminders, "next_step", accepted_meanwhile)
    assert keep_loops(city, now=late, url=URL) == 1
    states = {each.id: each.state for each in one(city, Referral)}
    assert states == {quick.referral_id: "accepted", slow.referral_id: "failed"}
    # nothing stays of a step that was not taken
    expired = one(city, ReferralReminder, ReferralReminder.step == "expired")
    assert [each.referral_id for each in expired] == [slow.referral_id]


def test_a_word_ends_the_silence_and_hold_stops_the_clock(city, region, people):
    filed = refer(city, region)
    keep_loops(city, now=days(2), url=URL)
    as_receiver(city, filed, "accepted")
    as_receiver(city, filed, "on_hold", reason="waitlist")
    for count in range(3, 60):
        keep_loops(city, now=days(count), url=URL)
    assert {event for event, _ in letters(city)} == {"referral_waits"}
    assert one(city, Referral)[0].state == "on_hold"


def test_who_answers_after_it_expired_is_told_how_it_stands(city, region, people):
    filed = refer(city, region)
    for count in range(40):
        keep_loops(city, now=days(count), url=URL)
    with pytest.raises(lifecycle.StepNotAllowed):
        as_receiver(city, filed, "accepted")


def expired(city, region):
    filed = refer(city, region)
    for count in range(40):
        keep_loops(city, now=days(count), url=URL)
    assert (one(city, Referral)[0].state, one(city, Referral)[0].reason) == ("failed", "expired")
    return filed


def test_a_question_that_nobody_answers_is_reminded_of_and_ends(city, region, people):
    grant(city, person_id=new_id(), name="boss", email="boss@city.example", roles=("supervisor",))
    filed = refer(city, region)
    with acting_for(city, THERE):
        (row,) = one(city, Referral, Referral.id == filed.referral_id)
        version = row.version
        questions.ask(
            city, now=days(1), referral_id=filed.referral_id, version=version, body="How many?"
        )
    for count in range(40):
        keep_loops(city, now=days(count), url=URL)
    assert letters(city) == []
    told = [each for each in one(city, OutboxMessage) if each.event == "question_unanswered"]
    assert [each.recipient for each in told] == ["boss@city.example"] * 2
    assert "211Info asked something" in told[0].body
    assert (one(city, Referral)[0].state, one(city, Referral)[0].reason) == ("failed", "expired")


def late_word(city, filed, body="She came all the same, and has a bed.") -> None:
    with acting_for(city, THERE):
        (row,) = one(city, Referral, Referral.id == filed.referral_id)
        questions.ask(
            city, now=days(50), referral_id=filed.referral_id, version=row.version, body=body
        )


def test_a_link_says_once_what_became_of_it(city, region, people):
    filed, until = expired(city, region), days(14)

    def say(day=50, body="She came all the same."):
        with acting_for(city, THERE):
            by_link.say_late(
                city, now=days(day), referral_id=filed.referral_id, expires_at=until, body=body
            )

    with pytest.raises(by_link.LinkUsed):
        say(day=14 + by_link.LATE_DAYS)
    with pytest.raises(InvalidInput):
        say(body="  ")
    say()
    waiting = worklist.listed(city, "questions", now=days(50), person_id=None).rows
    assert [each.id for each in waiting] == [filed.referral_id]
    assert [each.body for each in questions.thread(city, filed.referral_id)] == [
        "She came all the same."
    ]
    with pytest.raises(by_link.LinkUsed):
        say()


def test_a_link_says_nothing_of_one_that_is_open_or_forgotten(city, region, people):
    filed = refer(city, region)

    def may(now):
        with acting_for(city, THERE):
            (row,) = one(city, Referral, Referral.id == filed.referral_id)
            return by_link.can_say_late(city, row, days(14), now)

    assert not may(days(1))
    for count in range(40):
        keep_loops(city, now=days(count), url=URL)
    assert may(days(41))
    with acting_for(city, THERE):
        (row,) = one(city, Referral, Referral.id == filed.referral_id)
        row.consent_ended_at = days(41)
        city.flush()
    assert not may(days(42))
    (mine,) = one(city, Referral, Referral.id == filed.referral_id)
    assert not by_link.can_say_late(city, mine, days(14), days(41))


def test_what_the_receiver_says_after_it_expired_reaches_the_sender(city, region, people):
    """The referral stays as it ended; the word waits among the sender's questions."""
    filed = expired(city, region)
    late_word(city, filed)
    (row,) = one(city, Referral, Referral.id == filed.referral_id)
    assert (row.state, row.reason, row.asked_at) == ("failed", "expired", days(50))
    waiting = worklist.listed(city, "questions", now=days(50), person_id=None).rows
    assert [each.id for each in waiting] == [filed.referral_id]
    assert worklist.counts(city, now=days(50), person_id=None)["questions"] == 1
    history = [
        each.action for each in one(city, AuditEvent, AuditEvent.subject_id == filed.referral_id)
    ]
    assert "referral:told_late" in history
    with acting_for(city, THERE):
        assert worklist.listed(city, "asked", now=days(50), person_id=None).rows == []
        history = [
            each.action
            for each in one(city, AuditEvent, AuditEvent.subject_id == filed.referral_id)
        ]
        assert "referral:late" in history
    questions.answer(
        city, now=days(51), referral_id=row.id, version=row.version, body="Good to know."
    )
    assert worklist.counts(city, now=days(51), person_id=None)["questions"] == 0
    assert one(city, Referral, Referral.id == filed.referral_id)[0].state == "failed"


def test_nothing_is_said_late_once_the_consent_is_over_or_about_what_ended_otherwise(
    city, region, people
):
    filed = expired(city, region)
    consents.revoke_consent(city, now=days(45), consent_id=one(city, Consent)[0].id)
    with pytest.raises(questions.NothingAsked):
        late_word(city, filed)
    other = refer(city, region)
    as_receiver(city, other, "rejected", reason="no_capacity")
    with pytest.raises(questions.NothingAsked):
        late_word(city, other)


def test_a_late_word_waits_for_nobody_once_the_consent_has_ended(city, region, people):
    """Its words are gone and cannot be answered: it is no question any more on either side."""
    filed = expired(city, region)
    late_word(city, filed)
    consents.revoke_consent(city, now=days(51), consent_id=one(city, Consent)[0].id)
    assert worklist.counts(city, now=days(52), person_id=None)["questions"] == 0
    assert worklist.listed(city, "questions", now=days(52), person_id=None).rows == []
    asked = [one(city, Referral, Referral.id == filed.referral_id)[0].asked_at]
    with acting_for(city, THERE):
        asked += [one(city, Referral, Referral.id == filed.referral_id)[0].asked_at]
    assert asked == [None, None]


# --- follow-ups -----------------------------------------------------------------------------------


def calendar(region):
    return region.calendars["city"]


def tried(city, region, found, result, *, now=LATER, most=3, **more):
    return follow_ups.attempt(
        city,
        follow_ups.Tried(result, **more),
        now=now,
        follow_up_id=found.id,
        version=found.version,
        loop=Loop(attempts=most),
        calendar=calendar(region),
    )


def test_only_with_consent_and_never_when_prohibited(city, region):
    refer(city, region, asker=replace(DANA, may_follow_up=False))
    refer(city, region, asker=replace(DANA, contact_prohibited=True))
    refer(city, region, asker=replace(DANA, email=None, safe_to_call=False))
    refer(city, region, asker=None)
    assert one(city, FollowUp) == []
    refer(city, region)
    (found,) = one(city, FollowUp)
    assert (found.state, found.due_on) == ("open", datetime(2026, 10, 23, tzinfo=UTC).date())


def test_three_tries_then_it_is_over_and_metered_once(city, region):
    refer(city, region)
    for number in (1, 2, 3):
        (found,) = one(city, FollowUp)
        assert found.state == "open"
        tried(city, region, found, "no_answer")
        assert one(city, FollowUp)[0].attempts == number
    (found,) = one(city, FollowUp)
    assert (found.state, found.reason) == ("stopped", "not_reached")
    with pytest.raises(Conflict):
        tried(city, region, found, "no_answer")
    events = one(city, UsageEvent, UsageEvent.activity == "follow_up")
    assert [each.subject_id for each in events] == [found.id]
    assert one(city, Need)[0].status == "referred"


def test_whoever_is_reached_scores_the_need_again(city, region):
    refer(city, region)
    (found,) = one(city, FollowUp)
    with pytest.raises(InvalidInput):
        tried(city, region, found, "reached")
    tried(city, region, found, "reached", status="unmet", unmet_reason="cost")
    (need,) = one(city, Need)
    assert (need.status, need.unmet_reason) == ("unmet", "cost")
    assert one(city, FollowUp)[0].state == "done"


def test_no_message_where_none_may_be_left(city, region):
    refer(city, region, asker=replace(DANA, may_leave_message=False))
    (found,) = one(city, FollowUp)
    with pytest.raises(InvalidInput):
        tried(city, region, found, "left_message")


def test_the_clock_stands_still_on_hold(city, region):
    filed = refer(city, region)
    as_receiver(city, filed, "accepted")
    due = one(city, FollowUp)[0].due_on
    as_receiver(city, filed, "on_hold", reason="waitlist")
    assert one(city, FollowUp)[0].held_at == LATER
    with acting_for(city, THERE):
        (row,) = one(city, Referral)
        service.move(
            city,
            now=LATER + timedelta(days=7),
            referral_id=row.id,
            version=row.version,
            to="in_progress",
        )
    (found,) = one(city, FollowUp)
    assert found.held_at is None
    assert (found.due_on - due).days == 7


def test_planned_by_hand(city, region):
    filed = refer(city, region, asker=replace(DANA, may_follow_up=False))
    plan = {
        "now": LATER,
        "contact_id": filed.contact_id,
        "need_id": filed.need_id,
        "due_on": LATER.date(),
    }
    with pytest.raises(follow_ups.NotAgreed):
        follow_ups.begin(city, **plan, agreed=False)
    number = follow_ups.begin(city, **plan, agreed=True)
    assert one(city, FollowUp)[0].public_id == number
    with pytest.raises(Conflict):
        follow_ups.begin(city, **plan, agreed=True)
    page = follow_up_queries.follow_ups(city, view="due", today=LATER.date(), person_id=None)
    assert [each.public_id for each in page.rows] == [number]
    assert follow_up_queries.counts(city, today=LATER.date(), person_id=None).due == 1


def test_never_contact_holds_everywhere(city, region):
    county_bed(city)
    region = Published.load(city)
    filed = refer(city, region)
    as_receiver(city, filed, "accepted")
    with acting_for(city, THERE):
        (got,) = one(city, Referral)
        sending_on.send_on(
            city,
            region,
            now=LATER,
            referral_id=got.id,
            version=got.version,
            targets=["county/bed"],
            consent="given",
        )
    with acting_for(city, IDS["county"]):
        assert "contact_prohibited" not in one(city, Referral)[0].shared
    prohibition.prohibit(city, now=LATER, contact_id=filed.contact_id)
    assert one(city, FollowUp)[0].reason == "contact_prohibited"
    (person,) = one(city, Inquirer)
    assert (person.safe_to_call, person.wants_updates, person.may_leave_message) == (False,) * 3
    assert {each.state for each in one(city, OutboxMessage)} == {"withdrawn"}
    for tenant_id, many in ((THERE, 2), (IDS["county"], 1)):
        with acting_for(city, tenant_id):
            theirs = one(city, Referral)
            assert len(theirs) == many
            for each in theirs:
                assert each.shared["contact_prohibited"] is True
                assert each.shared.get("safe_to_call") is False
    before = len(one(city, OutboxMessage))
    with acting_for(city, THERE):
        (got,) = one(city, Referral, Referral.side == "received")
        service.move(city, now=LATER, referral_id=got.id, version=got.version, to="in_progress")
    assert len(one(city, OutboxMessage)) == before
    with pytest.raises(follow_ups.NotAgreed):
        follow_ups.begin(
            city,
            now=LATER,
            contact_id=filed.contact_id,
            need_id=filed.need_id,
            due_on=LATER.date(),
            agreed=True,
        )


def test_what_programs_are_told_stays_when_nobody_may_contact_the_person(city, region):
    filed = refer(city, region)
    letter = one(city, OutboxMessage)[0]
    hook_id = str(new_id())
    for state in ("pending", "dead"):
        news = OutboxMessage(
            tenant_id=letter.tenant_id,
            id=new_id(),
            event="program_told",
            subject_id=letter.subject_id,
            channel="webhook",
            recipient=hook_id,
            heading="request.changed",
            body="{}",
            state=state,
            created_at=NOW,
            due_at=NOW,
        )
        city.add(news)
    city.flush()
    prohibition.prohibit(city, now=LATER, contact_id=filed.contact_id)
    city.expire_all()
    told = one(city, OutboxMessage, OutboxMessage.channel == "webhook")
    assert {(each.state, each.recipient, each.body) for each in told} == {
        ("pending", hook_id, "{}"),
        ("dead", hook_id, "{}"),
    }
    letters = one(city, OutboxMessage, OutboxMessage.channel != "webhook")
    assert {(each.state, each.recipient) for each in letters} == {("withdrawn", "")}


def test_the_warning_goes_along_whatever_the_policy_says(city, region):
    refer(city, region, asker=replace(DANA, contact_prohibited=True), consent="refused")
    with acting_for(city, THERE):
        assert one(city, Referral)[0].shared["contact_prohibited"] is True


# --- consent --------------------------------------------------------------------------------------


def test_the_receiver_confirms_that_it_stopped(city, region):
    filed = refer(city, region)
    (consent,) = one(city, Consent)
    consents.revoke_consent(city, now=LATER, consent_id=consent.id)
    with acting_for(city, THERE):
        assert worklist.counts(city, person_id=None, now=LATER)["to_stop"] == 1
        consents.stop_seen(city, now=LATER, referral_id=filed.referral_id)
        assert worklist.counts(city, person_id=None, now=LATER)["to_stop"] == 0
        with pytest.raises(consents.NothingToStop):
            consents.stop_seen(city, now=LATER, referral_id=filed.referral_id)
    assert one(city, Referral)[0].stop_seen_at == LATER
    assert one(city, FollowUp)[0].reason == "consent_withdrawn"


def test_consent_ends_by_itself_and_once(city, region):
    filed = refer(city, region)
    assert consents.expire_consents(city, now=NOW + timedelta(days=179)) == 0
    late = NOW + timedelta(days=181)
    assert consents.expire_consents(city, now=late) == 1
    assert consents.expire_consents(city, now=late) == 0
    (mine,) = one(city, Referral)
    assert (mine.state, mine.reason, mine.consent_ended) == (
        "cancelled",
        "consent_ended",
        "expired",
    )
    with acting_for(city, THERE):
        assert one(city, Referral)[0].shared == ERASED
        payloads = [each.payload for each in one(city, Envelope)]
        assert "Canary" not in str(payloads)
    assert one(city, Need)[0].status == "open"
    assert filed.need_id == one(city, Need)[0].id


def test_a_request_keeps_its_work_and_loses_its_person(city, region):
    longitude, latitude = (Decimal(str(each)) for each in ON_BRIDGE)
    place = filing.Place("", latitude, longitude)
    filed = refer(city, region, service="city/pothole", place=place)
    assert filed.request_id is not None
    (consent,) = one(city, Consent)
    assert consent.purpose == "request"
    assert consents.revoke_consent(city, now=LATER, consent_id=consent.id) == 1
    with acting_for(city, IDS["county"]):
        (person,) = one(city, Inquirer)
        assert (person.name, person.erased_at) == (None, LATER)


def test_victim_services_see_and_show_nothing_without_paper(city, region):
    sharing = replace(region.sharing(NOW.date()), paper_kinds=frozenset({"community"}))
    assert sharing.allowed("referral", "community", consent=False) == ((), True, 365)
    assert sharing.allowed("referral", "community", consent=True)[0] == ()
    assert sharing.allowed("referral", "community", consent=True, written=True)[0]
    assert sharing.allowed("request", "county", consent=False, sender="community")[0] == ()
    assert sharing.needs_paper("referral", "community")
    assert not sharing.needs_paper("referral", "county", sender="city")


def test_a_spoken_consent_is_not_enough_for_them(city, region, monkeypatch):
    strict = replace(region.sharing(NOW.date()), paper_kinds=frozenset({"community"}))
    monkeypatch.setitem(region._sharing, region.today("city", NOW), strict)
    with pytest.raises(filing.ConsentNotWritten):
        refer(city, region)
    refused = refer(city, region, consent="refused")
    assert refused.outcome == "information"
    filed = refer(city, region, consent_method="written")
    assert filed.referral_id is not None
    (consent,) = one(city, Consent)
    assert (consent.method, consent.given_at) == ("written", NOW)


# --- the person's code ----------------------------------------------------------------------------


def test_the_code_opens_the_contact_and_finds_the_referral(city, region):
    filed = refer(city, region)
    found = person_links.find(city.connection(), filed.code)
    assert (found.tenant_id, found.contact_id) == (IDS["city"], filed.contact_id)
    assert person_links.running(city, filed.code, now=LATER) is not None
    with acting_for(city, THERE):
        number = person_links.referral_of_code(city, filed.code)
        assert number == filed.referral_public_id
    with acting_for(city, IDS["county"]):
        assert person_links.referral_of_code(city, filed.code) is None
        assert person_links.running(city, filed.code, now=LATER) is None
    assert person_links.find(city.connection(), "M-00000-00000") is None


def test_a_new_code_ends_the_old_one_on_both_sides(city, region):
    filed = refer(city, region)
    code = person_links.give_code(city, now=LATER, contact_id=filed.contact_id)
    assert person_links.running(city, filed.code, now=LATER) is None
    assert person_links.running(city, code, now=LATER) is not None
    assert person_links.running(city, code, now=LATER + timedelta(days=366)) is None
    with acting_for(city, THERE):
        assert person_links.referral_of_code(city, code) == filed.referral_public_id
        assert person_links.referral_of_code(city, filed.code) is None


def test_the_word_and_its_five_tries(city, region):
    filed = refer(city, region)
    with pytest.raises(InvalidInput):
        person_links.set_word(city, now=LATER, contact_id=filed.contact_id, word="abc")
    assert not person_links.word_fits(city, code=filed.code, word="")
    person_links.set_word(city, now=LATER, contact_id=filed.contact_id, word="Blue Heron")
    assert person_links.word_fits(city, code=filed.code, word=" blue  heron ")
    for _ in range(person_links.WORD_TRIES):
        assert not person_links.word_fits(city, code=filed.code, word="grey heron")
    assert not person_links.word_fits(city, code=filed.code, word="blue heron")


def test_the_person_takes_it_back(city, region):
    filed = refer(city, region)
    asked = {"now": LATER, "contact_id": filed.contact_id}
    with pytest.raises(NotFound):
        person_links.withdraw_referral(city, **asked, number="F-00000-00000")
    for _ in range(2):
        person_links.withdraw_referral(city, **asked, number=filed.referral_public_id)
    (mine,) = one(city, Referral)
    assert (mine.state, mine.reason) == ("cancelled", "person_declined")


def test_the_answer_given_again_has_the_same_code(city, region):
    intake = Intake(
        source="desk",
        key="the same form",
        channel="phone",
        started_at=NOW,
        service="city/shelter",
        asker=DANA,
        danger_answer="none",
        consent="given",
    )
    first = filing.take_in(city, region, intake, now=NOW)
    second = filing.first_answer(city, intake)
    assert second.code == first.code
    stored = city.execute(
        text("SELECT count(*) FROM idempotency_keys WHERE answer::text LIKE :code"),
        {"code": f"%{first.code}%"},
    ).scalar_one()
    assert stored == 0


# --- outcomes nobody recorded ---------------------------------------------------------------------


def test_needs_without_an_outcome_are_listed_and_counted(city, region):
    filed = refer(city, region, ended_at=NOW)
    late = NOW + timedelta(days=40)
    page = follow_up_queries.missing_outcomes(city, now=late)
    assert [each.id for each in page.rows] == [filed.need_id]
    assert follow_up_queries.missing_by_age(city, now=late) == [0, 0, 1, 0]
    needs.say(city, now=late, need_id=filed.need_id, status="met")
    assert follow_up_queries.missing_outcomes(city, now=late).rows == []
    assert follow_up_queries.missing_by_age(city, now=late) == [0, 0, 0, 0]


def test_the_neighbour_sees_nothing(city, region):
    filed = refer(city, region)
    with acting_for(city, IDS["county"]):
        for model in (FollowUp, NeedStatement, ReferralReminder, Consent, Referral, Need):
            assert one(city, model) == []
        assert (
            follow_up_queries.follow_ups(city, view="ahead", today=NOW.date(), person_id=None).rows
            == []
        )
        with pytest.raises(NotFound):
            needs.say(city, now=LATER, need_id=filed.need_id, status="met")
        with pytest.raises(NotFound):
            consents.stop_seen(city, now=LATER, referral_id=filed.referral_id)
        with pytest.raises(NotFound):
            prohibition.prohibit(city, now=LATER, contact_id=filed.contact_id)
    assert city.execute(select(func.count()).select_from(FollowUp)).scalar_one() == 1


def test_ending_a_consent_empties_what_a_hand_over_carried(city, region):
    refer(city, region, service="city/hours")
    note = "Needs a bed\nName: Dana Canary"
    number = ring_with_consent(city, region)
    with acting_for(city, THERE):
        taken = handovers.take_over(city, number, name="Ana", note=note, now=LATER)
        contact = one(city, Contact, Contact.id == taken.contact_id)[0]
        contact.note += "\nBed found at St Johns"
        city.flush()
    (consent,) = [each for each in one(city, Consent) if each.to_tenant_id == THERE]
    assert consent.recorded_by == city.scope.person_id
    assert consent.words == ("May we share this? With 211Info, until October 6, 2026: Your name.")
    assert consents.revoke_consent(city, now=LATER, consent_id=consent.id) == 1
    (ours,) = one(city, Handover)
    assert ours.shared["name"] == "Dana Canary"  # the partner's own knowledge of its own contact
    assert ours.consent_ended == "revoked"
    with acting_for(city, THERE):
        (theirs,) = one(city, Handover)
        assert (theirs.shared, theirs.reason, theirs.told) == (ERASED, None, None)
        assert one(city, Contact, Contact.id == taken.contact_id)[0].note == "Bed found at St Johns"
        assert [each.public_id for each in cover.waiting(city, LATER)] == [number]
        handovers.stop_seen(city, number, now=LATER)
        assert cover.waiting(city, LATER) == []
        with pytest.raises(handovers.NothingToStop):
            handovers.stop_seen(city, number, now=LATER)
    assert one(city, Handover)[0].stop_seen_at == LATER


def test_a_ring_stops_when_its_consent_is_taken_back(city, region):
    refer(city, region, service="city/hours")
    number = ring_with_consent(city, region)
    (consent,) = [each for each in one(city, Consent) if each.to_tenant_id == THERE]
    consents.revoke_consent(city, now=LATER, consent_id=consent.id)
    with acting_for(city, THERE), pytest.raises(handovers.AnsweredAlready):
        handovers.take_over(city, number, name="Ana", note="", now=LATER)
    # without what needs consent it can be rung again, and nothing is left to stop
    ring_with_consent(city, region, agreed=())
    with acting_for(city, THERE):
        (theirs,) = one(city, Handover)
        assert "name" not in theirs.shared
        assert theirs.consent_ended is None


def ring_with_consent(city, region, agreed=("name",)):
    (contact,) = one(city, Contact)
    contact.ended_at = None
    city.flush()
    return ring_through(
        city,
        region,
        intake_queries.contact_detail(city, contact.id),
        to="211info",
        line="211info/main",
        person_id=None,
        person_name=None,
        agreed=agreed,
        reason="Needs a bed",
        now=NOW,
    )
