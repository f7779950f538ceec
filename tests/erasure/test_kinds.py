"""What has been kept long enough goes, what is open stays, and the figures do not change."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select, text, update

from regional311.audit.models import AuditEvent
from regional311.cover.models import EmergencyEntry, Handover
from regional311.database.base import Base
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import Scope, acting_for, scope_of, session_scope
from regional311.erasure import due
from regional311.erasure.kinds import KINDS
from regional311.erasure.models import Erasure
from regional311.errors import AnswerForgotten, RecordErased
from regional311.exchange.models import Envelope
from regional311.floor import notes
from regional311.floor.models import InternalNote
from regional311.inbox.models import Thread
from regional311.inbox.working import came_back
from regional311.intake import from_person, needs, service
from regional311.intake.models import (
    Attachment,
    Contact,
    FollowedRequest,
    Inquirer,
    Need,
    RequestUpdate,
    ServiceRequest,
)
from regional311.metering.models import UsageEvent
from regional311.notices.models import OutboxMessage
from regional311.referral import filing, follow_ups
from regional311.referral import service as referrals
from regional311.referral.filing import Asker, Intake, Place
from regional311.referral.models import FollowUp, FollowUpAttempt, Referral, ReferralMessage
from regional311.tenancy.models import IdempotencyKey
from regional311.tenancy.once import once
from tests.little_region import IDS, IN_CITY, NOW, ON_BRIDGE

DO = {each.key: each.do for each in KINDS}
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
YEARS = NOW + timedelta(days=3650)
THERE = IDS["211info"]


def file(city, region, point=IN_CITY, **more):
    given = {
        "source": "desk",
        "key": str(new_id()),
        "channel": "phone",
        "started_at": NOW,
        "service": "city/pothole",
        "place": Place(
            longitude=Decimal(str(point[0])), latitude=Decimal(str(point[1])), text="1 Canary Road"
        ),
        "danger_answer": "none",
        "asker": DANA,
        "description": "A canary fell into the hole",
    } | more
    return filing.take_in(city, region, Intake(**given), now=NOW)


def refer(city, region, **more):
    """A referral to 211 of somebody whom nobody asks later what became of it."""
    given = {"place": Place(), "consent": "given", "asker": replace(DANA, may_follow_up=False)}
    return file(city, region, service="city/shelter", **{**given, **more})


def rows(session, model, *conditions):
    send(session)
    found = session.scalars(
        select(model)
        .where(model.tenant_id == scope_of(session).tenant_id, *conditions)
        .execution_options(populate_existing=True)
    )
    return list(found)


def close(session, filed, owner="city"):
    with at(session, owner):
        (row,) = rows(session, ServiceRequest, ServiceRequest.id == filed.request_id)
        service.change_request(
            session,
            now=LATER,
            request_id=row.id,
            version=row.version,
            to="closed",
            resolution="completed",
            message="Mrs Canary, we filled it.",
        )


@contextmanager
def at(session, slug):
    if scope_of(session).tenant_id == IDS[slug]:
        yield
    else:
        with acting_for(session, IDS[slug]):
            yield


def answer(session, filed, to, **more):
    with acting_for(session, THERE):
        (row,) = rows(session, Referral, Referral.id == filed.referral_id)
        referrals.move(
            session,
            now=LATER,
            referral_id=row.id,
            version=row.version,
            to=to,
            booked_on=NOW.date(),
            **more,
        )


def sent(session):
    """All that waits to leave has left."""
    session.execute(
        update(OutboxMessage)
        .where(OutboxMessage.tenant_id == scope_of(session).tenant_id)
        .values(state="sent", sent_at=LATER)
        .execution_options(synchronize_session=False)
    )


def everything(session, now):
    return {key: do(session, now) for key, do in DO.items()}


def canaries(session):
    """Every table of the bound partner's in which something personal still stands."""
    send(session)
    session.flush()
    found = []
    for table in Base.metadata.sorted_tables:
        if "tenant_id" in table.c and table.info["kind"] != "identity":
            there = session.scalar(
                text(
                    f"SELECT count(*) FROM {table.name} t"
                    " WHERE tenant_id = :me AND t::text ~* 'canary|5035550101|503 555 0101'"
                ),
                {"me": scope_of(session).tenant_id},
            )
            if there:
                found.append(table.name)
    return found


def test_nothing_personal_is_left_anywhere_and_the_figures_are_the_same(city, region):
    mine, handed = file(city, region), file(city, region, ON_BRIDGE)
    referred = refer(city, region)
    tenant_id = scope_of(city).tenant_id
    close(city, mine)
    close(city, handed, "county")
    answer(city, referred, "accepted")
    answer(city, referred, "completed", outcome="met", note="saw Mrs Canary")
    put(
        city,
        new_row(
            InternalNote,
            tenant_id=tenant_id,
            id=new_id(),
            subject_kind="contact",
            subject_id=mine.contact_id,
            text="the canary lady",
            at=NOW,
        ),
        new_row(
            ReferralMessage,
            tenant_id=tenant_id,
            id=new_id(),
            referral_id=referred.referral_id,
            side="sent",
            body="Is it canary?",
            written_at=NOW,
        ),
        new_row(
            Attachment,
            tenant_id=tenant_id,
            id=new_id(),
            subject_id=mine.need_id,
            question="photo",
            name="photo",
            media_type="image/png",
            size=6,
            digest="",
            content=b"canary",
            stored_at=NOW,
        ),
        new_row(
            EmergencyEntry,
            tenant_id=tenant_id,
            id=new_id(),
            emergency_id=new_id(),
            form_key="one",
            contact_id=mine.contact_id,
            service="city/pothole",
            area="",
            note="canary",
            danger=False,
            at=NOW,
        ),
    )
    city.execute(
        update(Contact)
        .where(Contact.id == mine.contact_id)
        .values(note="Ms Canary", accommodation="canary")
        .execution_options(synchronize_session=False)
    )
    assert {"inquirers", "contacts", "service_requests", "outbox_messages"} <= set(canaries(city))
    counted = [
        select(func.count(), func.sum(UsageEvent.handle_seconds)).select_from(UsageEvent),
        select(Contact.public_id, Contact.channel, Contact.disposition, Contact.call_type).order_by(
            Contact.public_id
        ),
        select(ServiceRequest.public_id, ServiceRequest.state, ServiceRequest.resolution).order_by(
            ServiceRequest.public_id
        ),
        select(Referral.public_id, Referral.state, Referral.outcome).order_by(Referral.public_id),
        select(Need.id, Need.term, Need.status, Need.urgency).order_by(Need.id),
    ]
    before = [city.execute(each).all() for each in counted]
    for slug in ("city", "county", "211info"):
        with at(city, slug):
            sent(city)
            everything(city, YEARS)
            assert canaries(city) == []
            assert set(everything(city, YEARS).values()) == {0}, "nothing is erased twice"
    assert [city.execute(each).all() for each in counted] == before
    (request,) = rows(city, ServiceRequest)
    assert (request.erased_at, request.closed_at) == (YEARS, LATER)
    assert (request.latitude, request.longitude) == (Decimal("45.500000"), Decimal("-122.600000"))
    files = city.execute(select(Attachment.erased_at, Attachment.content)).all()
    assert files == [(YEARS, None)]
    counts = dict(city.execute(select(Erasure.kind, Erasure.count)).all())
    assert (counts["contact"], counts["request"], counts["referral"]) == (3, 1, 1)
    assert {each.action for each in rows(city, AuditEvent, AuditEvent.at == YEARS)} >= {
        "contact:forget",
        "request:forget",
        "referral:forget",
        "inquirer:forget",
    }


def test_each_kind_goes_when_its_own_time_is_up(city, region):
    filed = file(city, region)
    close(city, filed)
    sent(city)
    days = {"inquirer": 365, "message": 180, "contact": 1095, "request": 2190}
    for kind, kept in days.items():
        assert DO[kind](city, LATER + timedelta(days=kept, hours=-4)) == 0, kind
        assert DO[kind](city, LATER + timedelta(days=kept + 1)) >= 1, kind


def test_where_the_person_was_goes_with_the_words_of_a_need(city, region):
    filed = file(city, region)
    said = {"status": "unmet", "unmet_reason": "other", "words": "The bus ended."}
    needs.say(city, now=LATER, need_id=filed.need_id, **said)
    close(city, filed)
    assert DO["contact"](city, YEARS) == 1
    (need,) = rows(city, Need)
    assert need.unmet_words is None
    assert (need.place_kind, need.place_text, need.latitude) == ("none", None, None)
    (contact,) = rows(city, Contact)
    assert (contact.note, contact.erased_at) == (None, YEARS)
    assert rows(city, ServiceRequest)[0].description, "the request is kept longer"


def test_a_file_of_a_request_is_kept_with_it(city, region):
    filed = file(city, region)
    close(city, filed)
    put(
        city,
        new_row(
            Attachment,
            tenant_id=scope_of(city).tenant_id,
            id=new_id(),
            subject_id=filed.need_id,
            question="photo",
            name="photo",
            media_type="image/png",
            size=1,
            digest="",
            content=b"x",
            stored_at=NOW,
        ),
    )
    DO["contact"](city, YEARS)
    assert rows(city, Attachment)[0].content == b"x"
    DO["request"](city, YEARS)
    assert rows(city, Attachment)[0].content is None


def test_where_a_confidential_request_was_goes_altogether(city, region):
    filed = file(city, region)
    close(city, filed)
    city.execute(
        update(ServiceRequest)
        .where(ServiceRequest.id == filed.request_id)
        .values(confidential=True)
        .execution_options(synchronize_session=False)
    )
    DO["request"](city, YEARS)
    (row,) = rows(city, ServiceRequest)
    assert (row.place_kind, row.latitude, row.longitude) == ("none", None, None)


# --- what is open keeps its person ----------------------------------------------------------------


def kept(city):
    """What the chores for records would erase now at the City."""
    return {key: DO[key](city, YEARS) for key in ("contact", "inquirer", "request", "referral")}


NOTHING = {"contact": 0, "inquirer": 0, "request": 0, "referral": 0}


def test_an_open_request_keeps_its_person(city, region):
    filed = file(city, region)
    assert kept(city) == NOTHING
    assert rows(city, Inquirer)[0].name == "Dana Canary"
    close(city, filed)
    assert kept(city) == {"contact": 1, "inquirer": 1, "request": 1, "referral": 0}


def test_a_request_that_is_open_elsewhere_keeps_its_person(city, region):
    file(city, region, ON_BRIDGE)
    assert kept(city) == NOTHING


def test_an_open_referral_keeps_its_person(city, region):
    filed = refer(city, region)
    assert kept(city) == NOTHING
    answer(city, filed, "rejected", reason="no_capacity")
    assert kept(city) == {"contact": 1, "inquirer": 1, "request": 0, "referral": 1}


def test_a_follow_up_that_is_planned_keeps_its_person(city, region):
    filed = refer(city, region, asker=DANA)
    answer(city, filed, "rejected", reason="no_capacity")
    assert [each.state for each in rows(city, FollowUp)] == ["open"]
    assert kept(city) == NOTHING
    follow_ups.stop_for_contact(city, filed.contact_id, reason="consent_withdrawn", now=LATER)
    assert kept(city) == {"contact": 1, "inquirer": 1, "request": 0, "referral": 1}


def test_a_call_that_rings_keeps_its_person(city, region):
    filed = refer(city, region)
    answer(city, filed, "rejected", reason="no_capacity")
    put(
        city,
        new_row(
            Handover,
            tenant_id=scope_of(city).tenant_id,
            id=new_id(),
            public_id="H-1",
            side="out",
            contact_id=filed.contact_id,
            channel="phone",
            language="en",
            line="county/main",
            shared={},
            state="ringing",
            attempts=[],
            started_at=NOW,
        ),
    )
    assert kept(city) == NOTHING | {"referral": 1}


def test_what_is_merged_into_an_open_request_is_open(city, region):
    one, other = file(city, region), file(city, region)
    city.execute(
        update(ServiceRequest)
        .where(ServiceRequest.id == one.request_id)
        .values(state="merged", merged_into_id=other.request_id)
        .execution_options(synchronize_session=False)
    )
    assert kept(city) == NOTHING
    close(city, other)
    assert kept(city)["request"] == 2


def test_who_comes_again_is_kept_from_then_on(city, region):
    filed = file(city, region)
    close(city, filed)
    (dana,) = rows(city, Inquirer)
    city.execute(
        update(Contact)
        .where(Contact.id == filed.contact_id)
        .values(started_at=YEARS - timedelta(days=10), ended_at=YEARS - timedelta(days=10))
        .execution_options(synchronize_session=False)
    )
    assert DO["inquirer"](city, YEARS) == 0
    assert DO["inquirer"](city, YEARS + timedelta(days=400)) == 1
    assert rows(city, Inquirer)[0].id == dana.id


# --- messages, envelopes, answers, sign-ins ------------------------------------------------------


def test_messages_about_what_is_open_can_still_be_shown(city, region):
    filed = file(city, region)
    sent(city)
    assert DO["message"](city, YEARS) == 0
    close(city, filed)
    sent(city)
    assert DO["message"](city, YEARS) >= 1
    assert {(each.recipient, each.body) for each in rows(city, OutboxMessage)} == {("", "")}


def test_a_message_that_somebody_must_look_at_is_kept(city, region):
    filed = file(city, region)
    close(city, filed)
    city.execute(update(OutboxMessage).values(state="dead"))
    assert DO["message"](city, YEARS) == 0


def test_envelopes_are_emptied_and_their_receipts_stay(city, region):
    filed = refer(city, region)
    with acting_for(city, THERE):
        assert DO["envelope"](city, YEARS) == 0, "it is open"
    answer(city, filed, "rejected", reason="no_capacity")
    with acting_for(city, THERE):
        assert DO["envelope"](city, YEARS) == 1
        assert [each.payload for each in rows(city, Envelope)] == [{"erased": True}]
        assert DO["envelope"](city, YEARS) == 0


def test_statements_stay_in_their_envelopes(city):
    put(
        city,
        new_row(
            Envelope,
            tenant_id=scope_of(city).tenant_id,
            id=new_id(),
            from_tenant_id=scope_of(city).tenant_id,
            kind="statement",
            subject_id=new_id(),
            payload={"count": 1},
            sent_at=NOW,
        ),
    )
    assert DO["envelope"](city, YEARS) == 0
    assert rows(city, Envelope)[0].payload == {"count": 1}


def test_an_answer_is_forgotten_and_nothing_is_done_twice(city):
    done = []

    def do():
        done.append(1)
        return {"number": "A-1"}

    once(city, "key", ["content"], do)
    now = datetime.now(UTC)
    assert DO["answer"](city, now + timedelta(days=29)) == 0
    assert DO["answer"](city, now + timedelta(days=31)) == 1
    with pytest.raises(AnswerForgotten):
        once(city, "key", ["content"], do)
    assert done == [1]
    assert DO["answer"](city, now + timedelta(days=31)) == 0
    once(city, "another", ["content"], do)
    assert DO["answer"](city, now + timedelta(days=62)) == 1
    assert {each.answer["erased"] for each in rows(city, IdempotencyKey)} == {True}


def test_a_form_that_comes_again_years_later_is_refused(city, region):
    intake = Intake(
        source="web",
        key=str(new_id()),
        channel="web",
        started_at=NOW,
        service="city/hours",
        danger_answer="none",
    )
    filing.take_in(city, region, intake, now=NOW)
    assert filing.first_answer(city, intake)
    DO["answer"](city, datetime.now(UTC) + timedelta(days=31))
    with pytest.raises(AnswerForgotten):
        filing.first_answer(city, intake)


def test_sign_ins_that_ended_long_ago_are_deleted_by_the_region_alone(city):
    token = b"t" * 32
    city.execute(
        text("SELECT start_session(:token, :person, '', :at, :until)"),
        {"token": token, "person": new_id(), "at": NOW, "until": NOW},
    )
    assert DO["session"](city, YEARS) == 0
    with acting_for(city, IDS["region"]):
        assert DO["session"](city, NOW + timedelta(days=29)) == 0
        assert DO["session"](city, NOW + timedelta(days=31)) == 1


def test_what_was_written_of_tries_to_reach_somebody_goes(city, region):
    filed = refer(city, region)
    answer(city, filed, "rejected", reason="no_capacity")
    tenant_id = scope_of(city).tenant_id
    (inquirer,) = rows(city, Inquirer)
    follow_up_id = new_id()
    put(
        city,
        new_row(
            FollowUp,
            tenant_id=tenant_id,
            id=follow_up_id,
            public_id="U-1",
            contact_id=filed.contact_id,
            need_id=filed.need_id,
            inquirer_id=inquirer.id,
            due_on=NOW.date(),
            urgency="normal",
            language="en",
            state="done",
            created_at=NOW,
            closed_at=NOW,
        ),
    )
    put(
        city,
        new_row(
            FollowUpAttempt,
            tenant_id=tenant_id,
            id=new_id(),
            follow_up_id=follow_up_id,
            number=1,
            at=NOW,
            channel="phone",
            result="reached",
            note="canary answered",
        ),
    )
    assert DO["contact"](city, YEARS) == 1
    assert [each.note for each in rows(city, FollowUpAttempt)] == [None]


# --- two workers, another partner's period --------------------------------------------------------


def test_two_workers_share_what_is_due(committed_engine, region):
    with session_scope(committed_engine, Scope(IDS["city"])) as session:
        for _ in range(3):
            close(session, file(session, region))
    query = due.requests(IDS["city"], YEARS).limit(2).with_for_update(skip_locked=True)
    with session_scope(committed_engine, Scope(IDS["city"])) as one:
        taken = set(one.scalars(query))
        with session_scope(committed_engine, Scope(IDS["city"])) as two:
            assert DO["request"](two, YEARS) == 1
        assert len(taken) == 2
    with session_scope(committed_engine, Scope(IDS["city"])) as session:
        assert DO["request"](session, YEARS) == 2


def test_another_partners_rows_stay(city, region):
    filed = file(city, region, ON_BRIDGE)
    close(city, filed, "county")
    everything(city, YEARS)
    with acting_for(city, IDS["county"]):
        (theirs,) = rows(city, ServiceRequest)
        assert theirs.erased_at is None
        assert [each.message for each in rows(city, RequestUpdate) if each.message]
    assert [each.public_message for each in rows(city, FollowedRequest)] == [None]


def test_a_partners_own_period_takes_the_place_of_everybodys(region):
    own = copy(region)
    entries = [
        {"kind": "inquirer", "keep_days": 365},
        {"kind": "inquirer", "keep_days": 900, "tenant": "city"},
    ]
    own._policies = [
        replace(each, body={"retention": entries}) if each.key == "retention" else each
        for each in region._policies
    ]
    assert own.people_kept_until("city", NOW) == NOW + timedelta(days=900)
    assert own.people_kept_until("county", NOW) == NOW + timedelta(days=365)


# --- what was erased stays so ---------------------------------------------------------------------


def test_nothing_is_added_to_what_was_erased(city, region):
    filed = file(city, region)
    close(city, filed)
    kept(city)
    (request,) = rows(city, ServiceRequest)
    (contact,) = rows(city, Contact)
    with pytest.raises(RecordErased, match="request was erased"):
        service.add_note(city, now=YEARS, request_id=request.id, text="Ms Canary called")
    with pytest.raises(RecordErased):
        service.change_request(
            city, now=YEARS, request_id=request.id, version=request.version, to="in_progress"
        )
    with pytest.raises(RecordErased, match="contact was erased"):
        service.update_contact(
            city, now=YEARS, contact_id=contact.id, version=contact.version, note="Ms Canary"
        )
    with pytest.raises(RecordErased):
        from_person.rate(
            city,
            owner_id=scope_of(city).tenant_id,
            request_id=request.id,
            helped="no",
            text="Canary",
            now=YEARS,
        )
    assert canaries(city) == []


def test_a_note_of_colleagues_on_what_was_erased_goes_again(city, region):
    filed = file(city, region)
    close(city, filed)
    kept(city)
    notes.write_note(
        city, subject_kind="contact", subject_id=filed.contact_id, text="canary", now=YEARS
    )
    assert notes.forget(city, YEARS) == 1
    assert canaries(city) == []


def test_a_letter_that_did_not_arrive_brings_nothing_back_that_was_forgotten(city):
    thread_id = new_id()
    put(
        city,
        new_row(
            Thread,
            tenant_id=scope_of(city).tenant_id,
            id=thread_id,
            public_id="T-1",
            channel="email",
            line_key="email",
            state="done",
            began_at=NOW,
            waiting_since=NOW,
            last_at=NOW,
            done_at=NOW,
            erased_at=NOW,
        ),
    )
    assert came_back(city, thread_id, now=LATER) is False
    assert rows(city, Thread)[0].state == "done"


def test_two_workers_count_an_answer_once(committed_engine):
    now = datetime.now(UTC) + timedelta(days=31)
    city = Scope(IDS["city"])
    with session_scope(committed_engine, city) as session:
        once(session, "key", [], lambda: {"number": "A-1"})
    counts = []

    def second():
        with session_scope(committed_engine, city) as session:
            counts.append(DO["answer"](session, now))

    other = threading.Thread(target=second)
    with session_scope(committed_engine, city) as session:
        counts.append(DO["answer"](session, now))
        other.start()
        other.join(0.5)
        assert other.is_alive(), "it waits for the first"
    other.join()
    assert sorted(counts) == [0, 1]
