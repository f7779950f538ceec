"""The receiving side through its services: policies, room, waitlist, questions, offers, undo."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from regional311.database.ids import new_id
from regional311.database.session import Scope, acting_for
from regional311.errors import InvalidInput, Stale
from regional311.exchange.models import Envelope
from regional311.intake.models import Need
from regional311.notices.models import OutboxMessage
from regional311.referral import (
    by_link,
    capacity,
    consents,
    filing,
    further,
    lifecycle,
    offers,
    queries,
    questions,
    sending_on,
    service,
    undoing,
    waiting,
    worklist,
)
from regional311.referral.acceptance import Acceptance, Eligibility, Progress
from regional311.referral.answered import tell_of_answer as answered_by_letter
from regional311.referral.filing import Asker, Intake
from regional311.referral.models import Consent, Referral
from regional311.referral.policies import end_policy, write_policy, write_word
from regional311.referral.snapshot import Published
from regional311.referral.waitlist import estimate_days
from tests.little_region import IDS, NOW, county_bed

ANNA = Asker("Anna Canary", "503-555-0111", "anna@canary.example", wants_updates=True)
LATER = NOW + timedelta(hours=5)
THERE, COUNTY, CITY = IDS["211info"], IDS["county"], IDS["city"]
DAY = date(2026, 10, 5)


def again(session) -> Published:
    """What is published now, as this transaction sees it."""
    return Published.load(session)


def intake(**more) -> Intake:
    return Intake(
        **(
            {
                "source": "desk",
                "key": str(new_id()),
                "channel": "phone",
                "started_at": NOW,
                "service": "city/shelter",
                "danger_answer": "none",
                "asker": ANNA,
                "consent": "given",
            }
            | more
        )
    )


def refer(session, region, *, link=None, now=NOW, **more) -> filing.Filed:
    return filing.take_in(session, region, intake(**more), now=now, link=link)


def policy(session, tenant_id=THERE, **more) -> Published:
    with acting_for(session, tenant_id):
        made = Acceptance(**({"key": "beds", "name": "Beds", "services": ("bed",)} | more))
        write_policy(session, made, None, now=NOW)
    return again(session)


def room(session, state, **more) -> Published:
    with acting_for(session, THERE):
        capacity.set_room(session, now=NOW, service_key="bed", state=state, **more)
    return again(session)


def row(session, referral_id, tenant_id=CITY) -> Referral:
    with acting_for(session, tenant_id):
        return session.execute(
            select(Referral.__table__).where(
                Referral.tenant_id == tenant_id, Referral.id == referral_id
            )
        ).one()


def both(session, referral_id):
    return row(session, referral_id).state, row(session, referral_id, THERE).state


def county_shelter(session) -> Published:
    """Let the County offer shelter, too."""
    county_bed(session)
    return again(session)


# --- before anything is promised ------------------------------------------------------------------


def test_a_policy_that_says_no_files_nothing_and_says_why(city, region):
    found = policy(city, mode="closed")
    with pytest.raises(filing.NotAccepted, match="211Info takes nothing at present"):
        refer(city, found)
    assert city.execute(select(Need)).first() is None


def test_the_preview_says_it_and_who_could_help_instead(city, region):
    county_shelter(city)
    found = room(city, "none")
    seen = filing.preview(found, "city", intake(consent="unasked"), now=NOW)
    assert seen.decision.verdict.refused
    assert seen.decision.alternatives == ("county/bed",)
    assert "211Info has no room." in seen.sentences
    assert "County beds could help instead." in seen.sentences
    instead = filing.preview(found, "city", intake(chosen="county/bed"), now=NOW)
    assert (instead.decision.target, instead.decision.service) == ("county", "bed")
    assert not instead.decision.verdict.refused
    filed = refer(city, found, chosen="county/bed")
    assert row(city, filed.referral_id).counterparty_id == COUNTY


def test_those_who_refuse_are_no_alternative(city, region):
    county_shelter(city)
    room(city, "none")
    found = policy(city, COUNTY, mode="closed")
    seen = filing.preview(found, "city", intake(), now=NOW)
    assert seen.decision.alternatives == ()
    with pytest.raises(filing.NotAccepted):
        refer(city, found, chosen="county/bed")


def test_what_is_replayed_is_not_refused_after_the_fact(city, region):
    found = policy(city, mode="closed")
    assert refer(city, found, source="replay:x").referral_id is not None


def test_taken_at_once(city, region):
    filed = refer(city, policy(city, mode="accept", finish_days=7))
    assert both(city, filed.referral_id) == ("accepted", "accepted")
    theirs = row(city, filed.referral_id, THERE)
    assert theirs.answered_at == NOW
    assert theirs.finish_by == NOW + timedelta(days=7)


def test_warm_only_becomes_a_transfer_on_the_line_and_a_refusal_elsewhere(city, region):
    found = policy(city, mode="warm")
    filed = refer(city, found)
    assert filed.outcome == "warm_transfer"
    assert filed.referral_id is None
    with pytest.raises(filing.NotAccepted, match="with the person on the line"):
        refer(city, found, channel="email")


def test_conditions_are_asked_first(city, region):
    asks = Eligibility(key="child", ask="Is there a child?", why="only families")
    found = policy(city, question=(asks,), needs=("phone",), mode="accept")
    with pytest.raises(filing.NotAccepted, match="needs a telephone number"):
        refer(city, found, asker=Asker("Anna"))
    with pytest.raises(filing.NotAccepted, match="only families"):
        refer(city, found, eligible=(("child", "no"),))
    assert both(city, refer(city, found).referral_id)[0] == "requested"
    known = refer(city, found, eligible=(("child", "yes"),))
    assert both(city, known.referral_id)[0] == "accepted"


def test_what_must_be_known_must_also_be_allowed_to_cross(city, region):
    found = policy(city, needs=("phone",))
    with pytest.raises(filing.NotAccepted, match="only if the person agrees"):
        refer(city, found, consent="refused")
    assert refer(city, found).referral_id is not None


def test_an_ended_policy_counts_no_more(city, region):
    with acting_for(city, THERE):
        made = Acceptance(key="shut", name="Shut", mode="closed")
        row_id = write_policy(city, made, None, now=NOW)
        end_policy(city, row_id, "shut", today=DAY, now=NOW)
    assert refer(city, again(city)).referral_id is not None


def test_a_wrong_policy_is_refused_at_its_field(city):
    with pytest.raises(InvalidInput) as refused:
        wrong = Acceptance(key="a", name="A", mode="closed", notify=("a@example.org",))
        write_policy(city, wrong, None, now=NOW)
    assert refused.value.field == "notify"


# --- room -----------------------------------------------------------------------------------------


def test_room_is_said_kept_and_forgotten_after_its_time(city, region):
    room(city, "has", places=4, note="Only women")
    found = room(city, "none", until=NOW + timedelta(hours=2))
    assert found.reception.room("211info/bed", NOW).state == "none"
    assert found.reception.room("211info/bed", NOW + timedelta(hours=3)) is None
    with acting_for(city, THERE):
        said = capacity.said_of(city, "bed")
    assert {(each.state, each.places) for each in said} == {("none", None), ("has", 4)}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"state": "plenty"}, "state"),
        ({"state": "none", "places": 2}, "places"),
        ({"state": "has", "places": 0}, "places"),
        ({"state": "has", "until": NOW}, "until"),
        ({"state": "has", "until": NOW + timedelta(days=100)}, "until"),
        ({"state": "has", "note": "x" * 201}, "note"),
        ({"state": "has", "location_key": "nowhere"}, "location"),
        ({"state": "has", "service_key": "pothole"}, "service"),
    ],
)
def test_room_that_cannot_be(city, wrong, field):
    given = {"service_key": "bed", **wrong}
    with acting_for(city, THERE), pytest.raises(InvalidInput) as refused:
        capacity.set_room(city, now=NOW, **given)
    assert refused.value.field == field


# --- the waitlist ---------------------------------------------------------------------------------


def test_the_waitlist_moves_and_each_sender_sees_its_own_place(city, region):
    found = room(city, "none_waitlist")
    filed = [
        refer(city, found, now=NOW + timedelta(seconds=number)).referral_id for number in range(3)
    ]

    def places():
        return [row(city, each).waitlist_position for each in filed]

    assert places() == [1, 2, 3]
    assert both(city, filed[0]) == ("on_hold", "on_hold")

    def act(what, number):
        with acting_for(city, THERE):
            version = row(city, filed[number], THERE).version
            what(city, now=LATER, referral_id=filed[number], version=version)

    act(waiting.move_up, 2)
    assert places() == [1, 3, 2]
    act(waiting.move_up, 0)
    assert places() == [1, 3, 2]
    act(waiting.offer_place, 0)
    assert places() == [0, 2, 1]
    with acting_for(city, THERE):
        version = row(city, filed[0], THERE).version
        service.move(city, now=LATER, referral_id=filed[0], version=version, to="in_progress")
        listed = waiting.waiting_list(city, now=LATER)
    assert places() == [None, 2, 1]
    assert [(each.referral_id, each.position, each.days) for each in listed] == [
        (filed[2], 1, None),
        (filed[1], 2, None),
    ]
    mine = row(city, filed[2])
    service.move(
        city,
        now=LATER,
        referral_id=filed[2],
        version=mine.version,
        to="cancelled",
        reason="sender_withdrew",
    )
    assert places() == [None, 1, None]
    with pytest.raises(waiting.NotWaiting):
        act(waiting.offer_place, 0)


def test_what_is_told_of_the_waitlist_holds_nobody_elses_referral(city, region):
    found = room(city, "none_waitlist")
    mine = refer(city, found).referral_id
    with acting_for(city, COUNTY):
        for number in range(2):
            asked = intake(service="211info/bed", key=str(new_id()))
            filing.take_in(city, found, asked, now=NOW + timedelta(seconds=number + 1))
    envelopes = city.execute(
        select(Envelope.payload).where(Envelope.tenant_id == CITY, Envelope.kind == "waitlist")
    ).scalars()
    told = {place["id"] for payload in envelopes for place in payload["places"]}
    assert told == {str(mine)}


def test_a_place_is_put_and_the_pace_is_said_honestly(city, region):
    filed = refer(city, region).referral_id
    with acting_for(city, THERE):
        waiting.put_on_list(city, now=LATER, referral_id=filed, version=1)
        with pytest.raises(waiting.NotWaiting):
            version = row(city, filed, THERE).version
            waiting.put_on_list(city, now=LATER, referral_id=filed, version=version)
    assert both(city, filed) == ("on_hold", "on_hold")
    assert row(city, filed).waitlist_position == 1
    assert row(city, filed).waitlist_days is None
    assert estimate_days(2, 4) == 28
    assert estimate_days(2, 2) is None
    assert estimate_days(0, 100) is None


# --- whose it is ----------------------------------------------------------------------------------


def test_the_first_to_take_it_has_it(city, region):
    filed = refer(city, region).referral_id
    one, two = UUID(int=1), UUID(int=2)
    city._scope = Scope(CITY, one)
    with acting_for(city, THERE):
        service.claim(city, now=LATER, referral_id=filed, version=1)
    city._scope = Scope(CITY, two)
    with acting_for(city, THERE):
        with pytest.raises(service.AlreadyClaimed):
            service.claim(city, now=LATER, referral_id=filed, version=2)
        service.unclaim(city, now=LATER, referral_id=filed, version=2)
        service.claim(city, now=LATER, referral_id=filed, version=3)
    assert row(city, filed, THERE).claimed_by == two


def test_own_words_stand_for_common_states(city, region):
    filed = refer(city, region).referral_id
    with acting_for(city, THERE):
        write_word(
            city, Progress(key="booked", name="Interview", state="in_progress"), None, now=NOW
        )
        service.move(city, now=LATER, referral_id=filed, version=1, to="accepted")
        changed = service.say_progress(
            city, now=LATER, referral_id=filed, version=2, word="booked", state="in_progress"
        )
        service.say_progress(
            city,
            now=LATER,
            referral_id=filed,
            version=changed.version,
            word="met",
            state="in_progress",
        )
    mine = row(city, filed)
    assert (mine.state, mine.progress) == ("in_progress", "met")
    assert again(city).progress["211info"]["booked"].name == "Interview"


# --- questions back -------------------------------------------------------------------------------


def test_a_question_stops_the_clock_and_its_answer_opens_it_again(city, region):
    filed = refer(city, region).referral_id
    due = row(city, filed).due_at
    with acting_for(city, THERE):
        with pytest.raises(InvalidInput):
            questions.ask(city, now=NOW, referral_id=filed, version=1, body="  ")
        questions.ask(city, now=NOW, referral_id=filed, version=1, body="Since when?")
        for tab, number in (("new", 0), ("asked", 1), ("overdue", 0)):
            page = worklist.listed(city, tab, now=due + timedelta(days=9), person_id=None)
            assert len(page.rows) == number, tab
    me = city.scope.person_id
    assert worklist.counts(city, now=NOW, person_id=me)["questions"] == 1
    answered = NOW + timedelta(days=2)
    version = row(city, filed).version
    questions.answer(city, now=answered, referral_id=filed, version=version, body="For two nights.")
    for tenant_id in (CITY, THERE):
        with acting_for(city, tenant_id):
            said = [(each.side, each.body) for each in questions.thread(city, filed)]
        assert said == [("received", "Since when?"), ("sent", "For two nights.")]
        assert row(city, filed, tenant_id).due_at == due + timedelta(days=2)
        assert row(city, filed, tenant_id).asked_at is None
    with pytest.raises(questions.NothingAsked):
        questions.answer(
            city,
            now=answered,
            referral_id=filed,
            version=row(city, filed).version,
            body="And more.",
        )


def test_taking_the_consent_back_empties_the_thread(city, region):
    filed = refer(city, region).referral_id
    with acting_for(city, THERE):
        questions.ask(city, now=NOW, referral_id=filed, version=1, body="Is Anna Canary there?")
    consent = city.execute(select(Consent.id).where(Consent.tenant_id == CITY)).scalar_one()
    consents.revoke_consent(city, now=LATER, consent_id=consent)
    with acting_for(city, THERE):
        assert [each.body for each in questions.thread(city, filed)] == [None]
        payloads = city.execute(select(Envelope.payload).where(Envelope.subject_id == filed))
        assert "Canary" not in str(payloads.all())


# --- several partners -----------------------------------------------------------------------------


@pytest.fixture
def offered(city, region):
    """A need that both 211 and the County may take: the region, and both referrals."""
    found = county_shelter(city)
    first = refer(city, found).referral_id
    sending_on.send_on(
        city,
        found,
        now=NOW,
        referral_id=first,
        version=1,
        targets=["county/bed"],
        consent="given",
    )
    second = city.execute(
        select(Referral.id).where(Referral.tenant_id == CITY, Referral.id != first)
    ).scalar_one()
    return found, first, second


def test_the_first_partner_to_accept_has_it(city, offered):
    _found, first, second = offered
    with acting_for(city, COUNTY):
        service.move(city, now=LATER, referral_id=second, version=1, to="accepted")
    assert row(city, second).state == "accepted"
    assert (row(city, first).state, row(city, first).reason) == ("cancelled", "taken_elsewhere")
    assert row(city, first, THERE).state == "cancelled"
    assert city.execute(select(Need.status)).scalar_one() == "referred"
    with acting_for(city, THERE), pytest.raises((Stale, lifecycle.StepNotAllowed)):
        version = row(city, first, THERE).version
        service.move(city, now=LATER, referral_id=first, version=version, to="accepted")


def test_one_who_declines_leaves_it_to_the_others(city, offered):
    _found, first, second = offered
    with acting_for(city, THERE):
        version = row(city, first, THERE).version
        service.move(
            city,
            now=LATER,
            referral_id=first,
            version=version,
            to="rejected",
            reason="no_capacity",
        )
    assert row(city, second).state == "requested"
    assert city.execute(select(Need.status)).scalar_one() == "referred"


def test_a_lost_race_is_told(city, offered):
    _found, first, second = offered
    with acting_for(city, CITY):
        taken = city.execute(select(Referral.offer_id).where(Referral.id == first)).scalar_one()
    with acting_for(city, COUNTY):
        assert offers.take(city, second, now=LATER).id == taken
    with acting_for(city, THERE), pytest.raises(offers.TakenElsewhere):
        offers.take(city, first, now=LATER)


# --- to somebody else, and onward -----------------------------------------------------------------


def test_after_a_refusal_the_person_is_referred_to_somebody_else(city, region):
    found = county_shelter(city)
    first = refer(city, found, description="sleeps in a car").referral_id
    with acting_for(city, THERE):
        service.move(
            city,
            now=LATER,
            referral_id=first,
            version=1,
            to="rejected",
            reason="no_capacity",
        )
    filed = refer_again(city, found, first, method="written")
    new = filed.referral_id
    sent, got = row(city, new), row(city, new, COUNTY)
    assert sent.replaces_id == first
    assert sent.shared == got.shared
    assert sent.shared["name"] == "Anna Canary"
    assert sent.shared["note"] == "sleeps in a car"
    methods = city.execute(select(Consent.method).where(Consent.tenant_id == CITY)).scalars()
    assert sorted(methods) == ["spoken", "written"]
    assert (
        city.execute(select(Consent.words).where(Consent.method == "written"))
        .scalar_one()
        .startswith("May we share this? With ")
    )
    assert city.execute(select(Need.status)).scalar_one() == "referred"
    assert [each.id for each in queries.related(city, first)] == [new]


def refer_again(city, found, first, **more):
    """Refer the need of a referral that came to nothing to the County."""
    old = row(city, first)
    return further.refer_again(
        city,
        found,
        now=LATER,
        contact_id=old.contact_id,
        need_id=old.need_id,
        service="county/bed",
        consent="given",
        key=str(new_id()),
        replaces=old.public_id,
        **more,
    )


def test_a_receiver_refers_onward_in_its_own_name(city, region):
    found = county_shelter(city)
    first = refer(city, found).referral_id
    with acting_for(city, THERE):
        service.move(city, now=LATER, referral_id=first, version=1, to="accepted")
        with pytest.raises(InvalidInput) as refused:
            sending_on.send_on(
                city,
                found,
                now=LATER,
                referral_id=first,
                version=2,
                targets=["county/bed"],
                consent="refused",
            )
        assert refused.value.field == "consent"
        numbers = sending_on.send_on(
            city,
            found,
            now=LATER,
            referral_id=first,
            version=2,
            targets=["county/bed"],
            consent="given",
        )
        new = city.execute(
            select(Referral).where(Referral.tenant_id == THERE, Referral.public_id == numbers[0])
        ).scalar_one()
        assert (new.part_of_id, new.contact_id, new.side) == (first, None, "sent")
        given = city.execute(select(Consent).where(Consent.tenant_id == THERE)).scalar_one()
        assert (given.referral_id, given.contact_id) == (first, None)
        consents.revoke_consent(city, now=LATER, consent_id=given.id)
    with acting_for(city, COUNTY):
        theirs = city.execute(select(Referral).where(Referral.tenant_id == COUNTY)).scalar_one()
        assert theirs.part_of_id is None
        assert (theirs.state, theirs.shared) == ("cancelled", {"erased": True})


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"targets": []}, "targets"),
        ({"targets": ["211info/bed"]}, "targets"),
        ({"targets": ["county/none"]}, "targets"),
        ({"consent": "unasked"}, "consent"),
    ],
)
def test_what_cannot_be_sent_on(city, region, more, field):
    found = county_shelter(city)
    first = refer(city, found).referral_id
    given = {"targets": ["county/bed"], "consent": "given", **more}
    with pytest.raises(InvalidInput) as refused:
        sending_on.send_on(city, found, now=LATER, referral_id=first, version=1, **given)
    assert refused.value.field == field


def test_nobody_is_sent_where_they_would_be_refused(city, region):
    county_shelter(city)
    first = refer(city, again(city)).referral_id
    found = policy(city, COUNTY, mode="closed")
    with pytest.raises(filing.NotAccepted):
        sending_on.send_on(
            city,
            found,
            now=LATER,
            referral_id=first,
            version=1,
            targets=["county/bed"],
            consent="given",
        )


# --- taking back ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "more"),
    [("accepted", {}), ("rejected", {"reason": "no_capacity"})],
)
def test_the_last_step_is_taken_back_on_both_sides(city, region, to, more):
    filed = refer(city, region).referral_id
    with acting_for(city, THERE):
        service.move(city, now=LATER, referral_id=filed, version=1, to=to, **more)
        soon = LATER + timedelta(minutes=5)
        undoing.undo(city, now=soon, referral_id=filed, version=2)
    assert both(city, filed) == ("requested", "requested")
    mine = row(city, filed)
    assert (mine.reason, mine.answered_at, mine.closed_at, mine.finish_by) == (None,) * 4
    assert city.execute(select(Need.status)).scalar_one() == "referred"
    left = city.execute(
        select(OutboxMessage.state).where(OutboxMessage.event == "referral_answered")
    ).scalars()
    assert set(left) <= {"withdrawn"}
    with acting_for(city, THERE), pytest.raises(undoing.TooLate):
        undoing.undo(city, now=soon, referral_id=filed, version=row(city, filed, THERE).version)


def test_what_cannot_be_taken_back(city, region):
    found = county_shelter(city)
    filed = refer(city, found).referral_id

    def undo(now=LATER):
        with acting_for(city, THERE):
            version = row(city, filed, THERE).version
            undoing.undo(city, now=now, referral_id=filed, version=version)

    with pytest.raises(undoing.TooLate):
        undo()
    with acting_for(city, THERE):
        service.move(
            city, now=LATER, referral_id=filed, version=1, to="rejected", reason="no_capacity"
        )
    with pytest.raises(undoing.TooLate):
        undo(LATER + timedelta(minutes=11))
    with pytest.raises(sending_on.CannotSendOn):
        sending_on.send_on(
            city,
            found,
            now=LATER,
            referral_id=filed,
            version=row(city, filed).version,
            targets=["county/bed"],
            consent="given",
        )
    refer_again(city, found, filed)
    with pytest.raises(undoing.TooLate):
        undo(LATER + timedelta(minutes=1))


# --- the link -------------------------------------------------------------------------------------


def link_to(tenant_id, referral_id, until):
    return f"https://example.org/answer/{tenant_id}/{referral_id}/{until:%Y%m%d}"


def test_the_message_about_a_new_one_names_nobody(city, region):
    found = policy(city, notify=("desk@help.example", "night@help.example"))
    filed = refer(city, found, link=link_to, description="sleeps in a car")
    with acting_for(city, THERE):
        letters = city.execute(
            select(OutboxMessage).where(OutboxMessage.event == "referral_new")
        ).scalars()
        letters = list(letters)
        assert {each.recipient for each in letters} == {"desk@help.example", "night@help.example"}
        for each in letters:
            text = f"{each.heading} {each.body}"
            assert filed.referral_public_id in text
            assert f"/answer/{THERE}/{filed.referral_id}/" in text
            for private in ("Anna", "Canary", "503-555-0111", "car"):
                assert private not in text


def test_an_answer_is_told_at_once_with_a_new_link(city, region):
    found = policy(city, notify=("desk@help.example",))
    filed = refer(city, found, link=link_to, description="sleeps in a car").referral_id
    until, answered = NOW + timedelta(days=14), NOW + timedelta(days=3)
    with acting_for(city, THERE), pytest.raises(by_link.LinkUsed):
        by_link.ask_by_link(city, now=until, referral_id=filed, expires_at=until, body="Who?")
    with acting_for(city, THERE):
        by_link.ask_by_link(city, now=LATER, referral_id=filed, expires_at=until, body="A pet?")
    version = row(city, filed).version
    questions.answer(city, now=answered, referral_id=filed, version=version, body="A small dog.")

    def tell(known=found, link=link_to) -> int:
        return answered_by_letter(city, known, now=answered, referral_id=filed, link=link)

    assert tell(link=None) == tell(known=region) == 0
    assert tell() == 1
    with acting_for(city, THERE):
        (letter,) = city.execute(
            select(OutboxMessage.__table__).where(OutboxMessage.event == "question_answered")
        )
        assert letter.recipient == "desk@help.example"
        assert letter.state == "pending"
        assert link_to(THERE, filed, answered + timedelta(days=14)) in letter.body
        assert "dog" not in f"{letter.heading} {letter.body}"
        by_link.answer_by_link(
            city, now=answered, referral_id=filed, expires_at=until, to="accepted"
        )
    assert both(city, filed) == ("accepted", "accepted")
    assert tell() == 0


def test_a_link_answers_once(city, region):
    filed = refer(city, region).referral_id
    until = NOW + timedelta(days=14)

    def answer(now=LATER, **more):
        with acting_for(city, THERE):
            by_link.answer_by_link(city, now=now, referral_id=filed, expires_at=until, **more)

    with pytest.raises(by_link.LinkUsed):
        answer(now=until, to="accepted")
    with pytest.raises(by_link.LinkUsed):
        answer(to="completed")
    answer(to="rejected", reason="not_eligible", note="no bed for couples")
    assert both(city, filed) == ("rejected", "rejected")
    with pytest.raises(by_link.LinkUsed):
        answer(to="accepted")
    with acting_for(city, THERE):
        undoing.undo(city, now=LATER, referral_id=filed, version=row(city, filed, THERE).version)
    assert both(city, filed) == ("requested", "requested")
    with pytest.raises(by_link.LinkUsed):
        answer(to="accepted")
