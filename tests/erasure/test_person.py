"""One person is erased because they ask: here, and where their data went, if nothing is open."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from regional311.audit.models import AuditEvent
from regional311.database.ids import new_id, public_id
from regional311.database.rows import new_row, put
from regional311.database.session import acting_for, scope_of
from regional311.erasure.known import known_of
from regional311.erasure.models import Erasure
from regional311.erasure.person import ErasedAlready, Open, StillOpen, erase_person, find
from regional311.errors import InvalidInput, NotFound
from regional311.exchange.models import Envelope
from regional311.inbox.models import Call, Thread, ThreadMessage
from regional311.intake import service
from regional311.intake.models import Contact, Inquirer, ServiceRequest
from regional311.notices.models import MailTrouble, NoticeStop, OutboxMessage
from regional311.referral.filing import Place
from regional311.referral.models import FollowUp, PersonLink, Referral
from tests.erasure.test_kinds import (
    DANA,
    LATER,
    THERE,
    answer,
    canaries,
    close,
    file,
    refer,
    rows,
    sent,
)
from tests.little_region import IDS, ON_BRIDGE

NEXT = LATER + timedelta(days=1)
OTHER = replace(DANA, name="Otto Other", phone=None, email="otto@other.example")


def erase(city, filed, reason="asked"):
    return erase_person(city, now=NEXT, number=filed.contact_public_id, reason=reason)


def test_a_person_goes_here_and_where_their_data_went(city, region):
    mine, elsewhere = file(city, region), file(city, region, ON_BRIDGE, consent="given")
    referred = refer(city, region)
    close(city, mine)
    close(city, elsewhere, "county")
    answer(city, referred, "rejected", reason="no_capacity")
    sent(city)
    with acting_for(city, THERE):
        assert "referrals" in canaries(city)
    assert erase(city, mine) >= 5
    for slug in ("city", "211info"):
        with acting_for(city, IDS[slug]):
            assert set(canaries(city)) == set(), slug
    with acting_for(city, THERE):
        (theirs,) = rows(city, Referral)
        assert (theirs.shared, theirs.consent_ended) == ({"erased": True}, "revoked")
        assert {each.kind for each in rows(city, Envelope)} >= {"consent_ended"}
    with acting_for(city, IDS["county"]):
        assert rows(city, Inquirer)[0].name is None
        assert "request:erase" in {each.action for each in rows(city, AuditEvent)}
    (kept,) = rows(city, Erasure)
    assert (kept.kind, kept.reason, kept.by_id) == ("person", "asked", scope_of(city).person_id)
    (trail,) = rows(city, AuditEvent, AuditEvent.action == "person:erase")
    assert trail.detail == {"reason": "asked", "records": kept.count}
    with pytest.raises(ErasedAlready):
        erase(city, mine)


def test_somebody_else_stays(city, region):
    mine, other = file(city, region), file(city, region, asker=replace(DANA, name="Otto Other"))
    close(city, mine)
    close(city, other)
    erase(city, mine)
    names = {each.id: each.name for each in rows(city, Inquirer)}
    assert sorted(names.values(), key=str) == [None, "Otto Other"]
    (request,) = rows(city, ServiceRequest, ServiceRequest.id == other.request_id)
    assert request.erased_at is None


@pytest.mark.parametrize(
    "opens", ["request", "request elsewhere", "referral", "follow_up", "thread", "contact"]
)
def test_it_is_refused_while_something_is_open(city, region, opens):
    if opens == "request":
        filed = file(city, region)
    elif opens == "request elsewhere":
        filed = file(city, region, ON_BRIDGE)
    elif opens == "follow_up":
        filed = file(
            city, region, service="city/shelter", consent="given", place=Place(), asker=DANA
        )
        answer(city, filed, "rejected", reason="no_capacity")
        assert rows(city, FollowUp)[0].state == "open"
    else:
        filed = refer(city, region)
        if opens != "referral":
            answer(city, filed, "rejected", reason="no_capacity")
    if opens == "thread":
        thread(city, filed, state="new")
    if opens == "contact":
        city.execute(update(Contact).values(ended_at=None))
    with pytest.raises(StillOpen) as refused:
        erase(city, filed)
    assert [each.kind for each in refused.value.what] == [opens.split()[0]]
    assert "Close it first." in str(refused.value)
    assert rows(city, Inquirer)[0].name == "Dana Canary"
    assert rows(city, Erasure) == []


def thread(city, filed, **values):
    thread_id = new_id()
    tenant_id = scope_of(city).tenant_id
    put(
        city,
        new_row(
            Thread,
            tenant_id=tenant_id,
            id=thread_id,
            public_id=public_id("T"),
            channel="email",
            line_key="email",
            address="dana@canary.example",
            contact_id=filed.contact_id,
            began_at=LATER,
            waiting_since=LATER,
            last_at=LATER,
            **values,
        ),
    )
    put(
        city,
        new_row(
            ThreadMessage,
            tenant_id=tenant_id,
            id=new_id(),
            thread_id=thread_id,
            direction="in",
            at=LATER,
            text="Canary speaking",
        ),
    )
    return thread_id


def test_conversations_and_what_did_not_arrive_go_and_a_stop_stays(city, region):
    filed = refer(city, region)
    answer(city, filed, "rejected", reason="no_capacity")
    thread(city, filed, state="done", done_at=LATER)
    tenant_id = scope_of(city).tenant_id
    put(
        city,
        new_row(
            MailTrouble,
            tenant_id=tenant_id,
            id=new_id(),
            address="dana@canary.example",
            reason="5.1.1",
            last_at=LATER,
        ),
        new_row(
            NoticeStop,
            tenant_id=tenant_id,
            id=new_id(),
            address="dana@canary.example",
            changed_at=LATER,
            stopped_at=LATER,
        ),
    )
    sent(city)
    erase(city, filed)
    assert canaries(city) == ["notice_stops"], "what a person said of news is kept for them"
    assert rows(city, Thread)[0].erased_at == NEXT


def test_who_said_nothing_of_themselves_is_the_one_contact(city, region):
    filed, other = file(city, region, asker=None), file(city, region, asker=None)
    for each in (filed, other):
        close(city, each)
    found = find(city, filed.contact_public_id)
    assert (found.inquirers, found.contacts) == ((), (filed.contact_id,))
    erase(city, filed)
    erased = {each.id: each.erased_at for each in rows(city, Contact)}
    assert erased == {filed.contact_id: NEXT, other.contact_id: None}


def test_any_number_of_theirs_leads_to_the_person(city, region):
    filed = file(city, region)
    referred = refer(city, region)
    elsewhere = file(city, region, ON_BRIDGE)
    all_of_them = tuple(sorted(each.contact_id for each in (filed, referred, elsewhere)))
    assert find(city, filed.request_public_id.lower()).contacts == all_of_them
    assert find(city, referred.referral_public_id).contacts == all_of_them
    assert find(city, elsewhere.request_public_id).contacts == all_of_them
    with acting_for(city, THERE):
        received = find(city, referred.referral_public_id)
        assert (received.contacts, received.referrals) == ((), (referred.referral_id,))
    with pytest.raises(NotFound):
        find(city, public_id("C"))
    with pytest.raises(InvalidInput):
        find(city, "Dana Canary")
    with pytest.raises(NotFound), acting_for(city, IDS["county"]):
        find(city, filed.contact_public_id)


def test_why_must_be_said(city, region):
    filed = file(city, region)
    close(city, filed)
    with pytest.raises(InvalidInput):
        erase(city, filed, reason="because")


def test_a_code_shows_nothing_any_more(city, region):
    filed = refer(city, region)
    answer(city, filed, "rejected", reason="no_capacity")
    erase(city, filed)
    assert [each.ended_at for each in rows(city, PersonLink)] == [NEXT]


def test_messages_that_wait_are_not_sent(city, region):
    filed = file(city, region)
    close(city, filed)
    assert "pending" in {each.state for each in rows(city, OutboxMessage)}
    erase(city, filed)
    states = city.scalars(
        select(OutboxMessage.state).where(OutboxMessage.subject_id == filed.request_id)
    )
    assert set(states) <= {"withdrawn", "sent"}


def test_a_person_is_given_what_is_known_of_them_and_nothing_of_others(city, region):
    mine, other = file(city, region), file(city, region, asker=OTHER, description="not mine")
    sent(city)
    service.add_note(city, now=LATER, request_id=mine.request_id, text="for colleagues only")
    service.add_note(
        city, now=LATER, request_id=mine.request_id, text="We come on Monday.", internal=False
    )
    found = known_of(city, number=mine.request_public_id, now=NEXT)
    assert [each["name"] for each in found["people"]] == ["Dana Canary"]
    assert [each["public_id"] for each in found["contacts"]] == [mine.contact_public_id]
    (request,) = found["requests"]
    assert request["description"] == "A canary fell into the hole"
    assert [each["text"] for each in found["words_about_requests"]] == ["We come on Monday."]
    assert {each["recipient"] for each in found["messages"]} == {"dana@canary.example"}
    said = str(found)
    assert not any(each in said for each in ("not mine", "Otto", "for colleagues only"))
    assert str(other.contact_public_id) not in said
    (trail,) = rows(city, AuditEvent, AuditEvent.action == "person:give")
    assert trail.detail == {"records": 3}


def test_a_person_is_given_what_was_shared_and_written(city, region):
    filed = refer(city, region)
    thread(city, filed, state="done", done_at=LATER)
    found = known_of(city, number=filed.contact_public_id, now=NEXT)
    (referral,) = found["referrals"]
    assert referral["shared"]["name"] == "Dana Canary"
    (consent,) = found["consents"]
    assert "phone" in consent["fields"]
    assert [each["text"] for each in found["conversations"]] == ["Canary speaking"]


def test_what_was_written_and_called_from_their_addresses_is_theirs(city, region):
    caller = replace(DANA, phone="(503) 823-4000", may_follow_up=False)
    mine, anonymous = file(city, region, asker=caller), file(city, region, asker=None)
    for each in (mine, anonymous):
        close(city, each)
    thread(city, anonymous, state="done", done_at=LATER)
    waiting, settled = new_id(), new_id()
    given = {"tenant_id": scope_of(city).tenant_id, "line_key": "main", "rang_at": LATER}
    for each, at in ((waiting, None), (settled, LATER)):
        call = {"id": each, "call_key": str(each), "caller": "+15038234000", "settled_at": at}
        put(city, new_row(Call, **given, **call))
    assert set(find(city, mine.contact_public_id).contacts) == {
        mine.contact_id,
        anonymous.contact_id,
    }
    erase(city, mine)
    assert canaries(city) == []
    callers = {each.id: each.caller for each in rows(city, Call)}
    assert callers == {waiting: "+15038234000", settled: None}, "somebody calls back who waits"


def test_the_number_of_what_is_confidential_is_not_said(city, region):
    filed = file(city, region)
    city.execute(
        update(ServiceRequest)
        .where(ServiceRequest.id == filed.request_id)
        .values(confidential=True)
        .execution_options(synchronize_session=False)
    )
    with pytest.raises(StillOpen) as refused:
        erase(city, filed)
    assert refused.value.what == (Open("request", ""),)
    assert filed.request_public_id not in str(refused.value)
    assert "confidential" in str(refused.value)
