"""Closed lines that are rung when they open: kept until somebody has seen to it, told of once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from regional311.audit.models import AuditEvent
from regional311.cover import handovers, later_rings
from regional311.cover.handovers import Rung
from regional311.cover.later_rings import (
    AskedAlready,
    NotCalledBack,
    OnTheLine,
    Reach,
    SeenToAlready,
)
from regional311.cover.models import LaterRing
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import Scope, acting_for, session_scope
from regional311.errors import InvalidInput, NotFound
from regional311.floor import line_openings
from regional311.floor.line_openings import tell_of_openings
from regional311.floor.watching import at_risk
from regional311.identity.models import Membership
from regional311.identity.service import grant
from regional311.intake.models import Contact, Inquirer, Need, Transfer
from regional311.intake.service import ContactEnded, close_contact, start_contact
from regional311.notices.models import OutboxMessage
from regional311.referral.prohibition import prohibit
from tests.little_region import IDS

NIGHT = datetime(2026, 10, 6, 5, tzinfo=UTC)
"""A Monday, ten at night in Portland."""
OPENS = datetime(2026, 10, 6, 15, tzinfo=UTC)
"""Tuesday at eight."""
LINE = "county/main"
ME = IDS["city"]
URL = "https://311.example"


def caller(session, **said):
    """A contact of somebody who may be called back."""
    started = start_contact(session, now=NIGHT, channel="phone", language="es")
    send(session)
    inquirer_id = new_id()
    values = {"phone": "503-555-0142", "safe_to_call": True, **said}
    put(session, new_row(Inquirer, tenant_id=ME, id=inquirer_id, **values))
    send(session)
    session.execute(update(Contact).where(Contact.id == started.id).values(inquirer_id=inquirer_id))
    return started


def ask(session, contact_id, line=LINE):
    return later_rings.ask(session, contact_id, line=line, opens_at=OPENS, now=NIGHT)


def end(session, contact_id):
    close_contact(
        session,
        now=NIGHT + timedelta(minutes=5),
        contact_id=contact_id,
        version=session.scalar(select(Contact.version).where(Contact.id == contact_id)),
        disposition="answered",
        zone_day=NIGHT.date(),
    )


def county():
    return Rung(IDS["county"], "county", LINE, "503-555-0100", {"need": "A bed"})


def state(session, ring_id):
    return session.execute(
        select(LaterRing.state, LaterRing.reason).where(LaterRing.id == ring_id)
    ).one()


def letters(session):
    return session.execute(
        select(OutboxMessage.event, OutboxMessage.recipient)
        .where(OutboxMessage.event.like("line_open%"))
        .order_by(OutboxMessage.id)
    ).all()


@pytest.mark.parametrize(
    "said",
    [{"phone": None}, {"safe_to_call": False}, {"phone": ""}],
    ids=["none", "unsafe", "empty"],
)
def test_who_cannot_be_called_is_not_promised_a_call(city, said):
    started = caller(city, **said)
    with pytest.raises(NotCalledBack, match="at which number") as refused:
        ask(city, started.id)
    assert refused.value.field == "phone"
    assert later_rings.later(city) == []


def test_nobody_known_and_nothing_open_is_not_promised_a_call(city):
    unnamed = start_contact(city, now=NIGHT, channel="phone", language="en")
    with pytest.raises(NotCalledBack):
        ask(city, unnamed.id)
    with pytest.raises(NotFound):
        ask(city, new_id())
    ended = caller(city)
    end(city, ended.id)
    with pytest.raises(ContactEnded):
        ask(city, ended.id)


def test_how_to_call_back_is_written_down_with_it(city):
    unnamed = start_contact(city, now=NIGHT, channel="phone", language="vi")
    send(city)

    def said(phone, contact_id=unnamed.id, line=LINE):
        reach = Reach(phone, "Dana", NIGHT + timedelta(days=365))
        return later_rings.ask(city, contact_id, line=line, opens_at=OPENS, now=NIGHT, reach=reach)

    with pytest.raises(InvalidInput) as refused:
        said("twelve")
    assert refused.value.field == "phone"
    said("503-555-0142")
    people = select(Inquirer.name, Inquirer.phone, Inquirer.safe_to_call, Inquirer.language).join(
        Contact, Contact.inquirer_id == Inquirer.id
    )
    person = city.execute(people.where(Contact.id == unnamed.id)).one()
    assert person == ("Dana", "503-555-0142", True, "vi")
    # who is known is not made a second person
    known = caller(city, name="Ana", phone=None, safe_to_call=False)
    said("503-555-0199", known.id)
    person = city.execute(people.where(Contact.id == known.id)).one()
    assert person[:3] == ("Ana", "503-555-0199", True)
    # that it changed is kept with the contact, without the number, and once
    said("503-555-0199", known.id, "211info/main")
    trail = select(AuditEvent.detail).where(AuditEvent.action == "contact:edit")
    assert city.scalars(trail.where(AuditEvent.subject_id == known.id)).all() == [
        {"fields": ["phone", "safe_to_call"]}
    ]
    # what was erased of somebody is not filled again: they are somebody new
    erased = caller(city, phone=None, safe_to_call=False, erased_at=NIGHT)
    before = city.scalar(select(Contact.inquirer_id).where(Contact.id == erased.id))
    said("503-555-0188", erased.id)
    assert city.execute(people.where(Contact.id == erased.id)).one()[1] == "503-555-0188"
    kept = select(Inquirer.phone, Inquirer.safe_to_call).where(Inquirer.id == before)
    assert city.execute(kept).one() == (None, False)
    never = caller(city)
    prohibit(city, now=NIGHT, contact_id=never.id)
    with pytest.raises(NotCalledBack):
        said("503-555-0199", never.id)


def test_it_is_kept_once_a_line_and_only_by_its_own_partner(city):
    started = caller(city)
    ask(city, started.id)
    with pytest.raises(AskedAlready):
        ask(city, started.id)
    ask(city, started.id, "211info/main")
    waits = later_rings.later(city, started.id)
    assert [(each.contact, each.partner) for each in waits] == [
        (started.public_id, "county"),
        (started.public_id, "211info"),
    ]
    with acting_for(city, IDS["county"]):
        assert later_rings.later(city) == []


def test_an_ended_contact_is_rung_through_to_who_it_waits_for_and_to_nobody_else(city):
    started = caller(city)
    ring_id = ask(city, started.id)
    end(city, started.id)
    other = Rung(IDS["211info"], "211info", "211info/main", "211", {})
    with pytest.raises(ContactEnded):
        handovers.ring(city, started.id, other, now=OPENS)
    number = handovers.ring(city, started.id, county(), now=OPENS)
    with acting_for(city, IDS["county"]):
        handovers.pass_on(city, number, reason="All on the line", now=OPENS)
    # what came back still waits: the next attempt is of the same hand-over
    assert state(city, ring_id).state == "waiting"
    again = OPENS + timedelta(minutes=10)
    assert handovers.ring(city, started.id, county(), now=again) == number
    with acting_for(city, IDS["county"]):
        handovers.take_over(city, number, name="Ana", note="A bed", now=again)
    assert state(city, ring_id).state == "done"
    assert later_rings.later(city) == []
    results = city.scalars(select(Transfer.result).where(Transfer.contact_id == started.id))
    assert sorted(results) == ["returned", "taken_over"]
    with pytest.raises(ContactEnded):
        handovers.ring(city, started.id, county(), now=again)


def test_calls_that_reach_nobody_are_kept_and_a_reason_takes_it_off(city):
    started = caller(city)
    ring_id = ask(city, started.id)
    assert later_rings.not_reached(city, started.id, ring_id, now=OPENS) == 1
    assert later_rings.not_reached(city, started.id, ring_id, now=OPENS) == 2
    assert len(later_rings.later(city)[0].tries) == 2
    with pytest.raises(InvalidInput) as refused:
        later_rings.drop(city, started.id, ring_id, reason="bored", now=OPENS)
    assert refused.value.field == "reason"
    with pytest.raises(NotFound):
        later_rings.drop(city, caller(city).id, ring_id, reason="other", now=OPENS)
    later_rings.drop(city, started.id, ring_id, reason="person_declined", now=OPENS)
    assert state(city, ring_id) == ("dropped", "person_declined")
    with pytest.raises(SeenToAlready):
        later_rings.not_reached(city, started.id, ring_id, now=OPENS)
    ask(city, started.id)  # and it may be asked for once more


def test_one_calls_at_a_time_and_whoever_forgot_it_has_it_no_more(city):
    started = caller(city)
    ring_id = ask(city, started.id)

    def calls(at):
        return later_rings.later(city)[0].calls(at)

    assert calls(OPENS) is None
    later_rings.take(city, started.id, ring_id, now=OPENS)
    assert calls(OPENS + timedelta(minutes=29)) == UUID(int=42)
    assert calls(OPENS + timedelta(minutes=30)) is None
    later_rings.not_reached(city, started.id, ring_id, now=OPENS + timedelta(minutes=5))
    assert calls(OPENS + timedelta(minutes=6)) is None


def test_whom_a_colleague_calls_is_called_by_another_only_instead(city):
    started = caller(city)
    ring_id = ask(city, started.id)
    ben = UUID(int=43)
    city.execute(update(LaterRing).values(taken_by=ben, taken_at=OPENS))

    def take(at, **how):
        later_rings.take(city, started.id, ring_id, now=at, **how)
        return later_rings.later(city)[0].taken_by

    soon = OPENS + timedelta(minutes=29)
    with pytest.raises(OnTheLine):
        take(soon)
    assert later_rings.later(city)[0].taken_by == ben
    assert take(soon, instead=True) == UUID(int=42)
    assert take(soon + timedelta(minutes=1)) == UUID(int=42)
    city.execute(update(LaterRing).values(taken_by=ben, taken_at=OPENS))
    assert take(OPENS + timedelta(minutes=30)) == UUID(int=42)


def test_whoever_must_not_be_contacted_is_not_called(city):
    started = caller(city)
    ring_id = ask(city, started.id)
    prohibit(city, now=NIGHT, contact_id=started.id)
    assert state(city, ring_id) == ("dropped", "contact_prohibited")
    assert later_rings.later(city) == []
    with pytest.raises(NotCalledBack):
        ask(city, started.id)


@pytest.fixture
def staff(city):
    """A specialist who asks (the acting person), another one, and a supervisor."""
    people = ((UUID(int=42), "specialist"), (new_id(), "specialist"), (new_id(), "supervisor"))
    for (person_id, role), name in zip(people, ("Ana", "Ben", "Sue"), strict=True):
        email = f"{name}@city.example"
        grant(city, person_id=person_id, name=name, email=email, roles=[role])


def test_who_asked_is_told_once_an_opening_and_who_leads_when_it_is_late(city, staff):
    started = caller(city)
    ring_id = ask(city, started.id)
    assert tell_of_openings(city, NIGHT, url=URL) == 0
    assert tell_of_openings(city, OPENS, url=URL) == 1
    assert tell_of_openings(city, OPENS + timedelta(minutes=59), url=URL) == 0
    assert letters(city) == [("line_open", "ana@city.example")]
    assert tell_of_openings(city, OPENS + timedelta(hours=1), url=URL) == 1
    assert tell_of_openings(city, OPENS + timedelta(hours=5), url=URL) == 0
    assert letters(city)[1:] == [("line_open_late", "sue@city.example")]
    told = city.execute(
        select(OutboxMessage.heading, OutboxMessage.body).where(OutboxMessage.event == "line_open")
    ).one()
    assert started.public_id in told.heading
    assert f"{URL}/city/contacts/{started.public_id}/handover" in told.body
    assert "0142" not in told.body  # a number is read on the page, by who may
    # nobody called all day: it is not forgotten at night, and told again in the morning
    assert tell_of_openings(city, OPENS + timedelta(hours=12), url=URL) == 0
    assert later_rings.later(city)[0].told_at is None
    assert tell_of_openings(city, OPENS + timedelta(days=1), url=URL) == 1
    later_rings.drop(city, started.id, ring_id, reason="other", now=OPENS + timedelta(days=1))
    assert tell_of_openings(city, OPENS + timedelta(days=1, hours=2), url=URL) == 0


def test_old_promises_keep_nobody_from_being_told(city, staff, monkeypatch):
    monkeypatch.setattr(later_rings, "MOST", 2)
    for _old in range(3):
        ask(city, caller(city).id, "county/closed-down")
    assert tell_of_openings(city, NIGHT, url=URL) == 2
    assert tell_of_openings(city, NIGHT, url=URL) == 1
    new = caller(city)
    ring_id = later_rings.ask(
        city, new.id, line=LINE, opens_at=OPENS + timedelta(days=1), now=NIGHT
    )
    assert tell_of_openings(city, OPENS, url=URL) >= 1
    told = select(LaterRing.told_at).where(LaterRing.id == ring_id)
    assert city.scalar(told) == OPENS
    # and a desk that shows the first few shows those first whose line is open
    assert later_rings.waited_for(city) == {"county/closed-down": 3, LINE: 1}
    assert ring_id not in [each.id for each in later_rings.later(city)]
    assert later_rings.later(city, first=[LINE])[0].id == ring_id


@pytest.mark.commits
def test_two_workers_write_one_letter_and_none_for_what_has_just_ended(committed_engine):
    def session():
        return session_scope(committed_engine, Scope(ME, UUID(int=42)))

    with session() as made:
        grant(made, person_id=UUID(int=42), name="A", email="a@a.example", roles=["specialist"])
        ask(made, caller(made).id)
        ended = caller(made)
        ring_id = ask(made, ended.id)
    with session() as desk, session() as first, session() as second:
        for each in (first, second):
            each.execute(text("SET LOCAL lock_timeout = '5s'"))
        later_rings.drop(desk, ended.id, ring_id, reason="other", now=OPENS)
        assert tell_of_openings(first, OPENS, url=URL) == 1
        assert tell_of_openings(second, OPENS, url=URL) == 0
    with session() as after:
        assert tell_of_openings(after, OPENS, url=URL) == 0
        assert len(letters(after)) == 1


def test_of_a_confidential_contact_only_who_may_open_it_is_told(city, staff):
    """A letter names the line, and the line says what it is about."""
    started = caller(city)
    put(
        city,
        new_row(
            Need,
            tenant_id=ME,
            id=new_id(),
            contact_id=started.id,
            service_owner_id=ME,
            service_key="abuse",
            term="abuse",
            created_at=NIGHT,
        ),
    )
    ask(city, started.id)
    plain = caller(city)
    ask(city, plain.id)
    # whoever asked is gone, and somebody else has the contacts
    gone = Membership.person_id == UUID(int=42)
    city.execute(update(Membership).where(gone).values(ended_at=NIGHT))
    city.execute(update(Contact).values(specialist_id=None))
    assert tell_of_openings(city, OPENS, url=URL) == 3
    heard = select(OutboxMessage.recipient).where(OutboxMessage.subject_id == started.id)
    assert city.scalars(heard).all() == ["sue@city.example"]
    assert tell_of_openings(city, OPENS + timedelta(hours=1), url=URL) == 2
    assert city.scalars(heard).all() == ["sue@city.example"] * 2


def test_a_line_that_is_no_more_is_told_of_at_once(city, staff):
    started = caller(city)
    ask(city, started.id, "county/closed-down")
    assert tell_of_openings(city, NIGHT, url=URL) == 1
    # as what it is, and who leads is told of a person who still waits for it
    assert tell_of_openings(city, NIGHT + timedelta(hours=2), url=URL) == 1
    assert tell_of_openings(city, NIGHT + timedelta(hours=4), url=URL) == 0
    heard = select(OutboxMessage.event, OutboxMessage.recipient, OutboxMessage.body)
    told = city.execute(heard.where(OutboxMessage.subject_id == started.id)).all()
    assert {each[:2] for each in told} == {
        ("line_gone", "ana@city.example"),
        ("line_gone", "sue@city.example"),
    }
    assert all("is there no more" in each.body and "is open" not in each.body for each in told)


def test_a_line_that_ends_after_it_opened_is_told_of_to_who_leads(city, staff, monkeypatch):
    started = caller(city)
    ask(city, started.id)
    assert tell_of_openings(city, OPENS, url=URL) == 1
    monkeypatch.setattr(line_openings, "is_gone", lambda _region, _line: True)
    assert tell_of_openings(city, OPENS + timedelta(hours=2), url=URL) == 1
    heard = select(OutboxMessage.event, OutboxMessage.recipient)
    told = city.execute(heard.where(OutboxMessage.subject_id == started.id)).all()
    assert sorted(map(tuple, told)) == [
        ("line_gone", "sue@city.example"),
        ("line_open", "ana@city.example"),
    ]


def test_the_floor_counts_who_is_to_be_put_through(city):
    ask(city, caller(city).id)

    def counted(at):
        found = at_risk(city, today=at.date(), now=at, cleared=True)
        return [(each.overdue, each.soon) for each in found if each.kind == "put_through"]

    assert counted(OPENS - timedelta(days=2)) == []
    assert counted(NIGHT) == [(0, 1)]
    assert counted(OPENS + timedelta(minutes=30)) == [(0, 1)]
    assert counted(OPENS + timedelta(hours=2)) == [(1, 0)]
