"""Live hand-overs on a real database: both sides, one taker, attempts, and what 911 brings."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from regional311.cover import handovers, queries
from regional311.cover.due import cover_due
from regional311.cover.handovers import AnsweredAlready, Brought, RingsAlready, Rung
from regional311.cover.models import Handover
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import Scope, acting_for, session_scope
from regional311.errors import InvalidInput, KeyReused, NotFound
from regional311.intake.models import Contact, Transfer
from regional311.intake.service import ContactEnded, close_contact, start_contact
from regional311.metering import service as metering
from regional311.metering.models import UsageEvent
from regional311.referral.models import Consent
from tests.little_region import IDS

NOW = datetime(2026, 11, 25, 20, tzinfo=UTC)
DAY = NOW.date()
SHARED = {"need": "A bed", "language": "es"}


def rung(**more):
    return Rung(
        IDS["211info"],
        "211info",
        "211info/main",
        "211",
        SHARED,
        **{"reason": "Needs a bed", **more},
    )


def begin(session):
    started = start_contact(session, now=NOW, channel="phone", language="es")
    send(session)
    return started


def row_of(session, tenant, number):
    with acting_for(session, IDS[tenant]):
        return session.execute(
            select(Handover.__table__).where(
                Handover.tenant_id == IDS[tenant], Handover.public_id == number
            )
        ).one()


def test_it_is_taken_over_with_its_summary_and_clock(city):
    started = begin(city)
    number = handovers.ring(city, started.id, rung(), now=NOW)
    later = NOW + timedelta(seconds=45)
    with acting_for(city, IDS["211info"]):
        seen = queries.waiting(city, later)
        assert [(each.public_id, each.shared, each.reason) for each in seen] == [
            (number, SHARED, "Needs a bed")
        ]
        taken = handovers.take_over(city, number, name="Ana", note="Needs a bed", now=later)
        contact = city.execute(
            select(Contact.__table__).where(Contact.public_id == taken.contact_number)
        ).one()
        assert (contact.wait_seconds, contact.note, contact.language) == (45, "Needs a bed", "es")
        assert contact.danger_answer is None  # asked again by who speaks with the person now
        assert queries.waiting(city, later) == []
    ours, theirs = row_of(city, "city", number), row_of(city, "211info", number)
    assert (ours.state, ours.taken_name, ours.contact_id) == ("taken_over", "Ana", started.id)
    assert (theirs.state, theirs.contact_id) == ("taken_over", taken.contact_id)
    assert ours.attempts == theirs.attempts
    assert ours.attempts[0]["result"] == "taken_over"
    transfer = city.execute(select(Transfer.target, Transfer.result)).one()
    assert transfer == ("211info", "taken_over")
    events = city.execute(
        select(UsageEvent.source_key).where(UsageEvent.activity == "warm_transfer")
    ).scalars()
    assert list(events) == [f"handover:{ours.id}:transfer:1"]
    with pytest.raises(AnsweredAlready):
        handovers.withdraw(city, number, now=later)


def test_what_nobody_answers_goes_back_and_counts_as_an_attempt(city):
    started = begin(city)
    number = handovers.ring(city, started.id, rung(), now=NOW)
    with pytest.raises(RingsAlready):
        handovers.ring(city, started.id, rung(), now=NOW)
    late = NOW + handovers.RINGS
    with acting_for(city, IDS["211info"]):
        assert queries.waiting(city, late) == []
        assert cover_due(city, late) == 1
        assert cover_due(city, late) == 0
    again = handovers.ring(city, started.id, rung(person_name="Ana"), now=late)
    assert again == number
    ours = row_of(city, "city", number)
    assert [(each["to"], each["result"]) for each in ours.attempts] == [
        ("211info/main", "unanswered"),
        ("Ana", None),
    ]
    with acting_for(city, IDS["211info"]):
        handovers.pass_on(city, number, reason="We are full", now=late)
    ours = row_of(city, "city", number)
    assert (ours.state, ours.return_reason) == ("returned", "We are full")
    results = city.execute(select(Transfer.result).order_by(Transfer.id)).scalars().all()
    assert results == ["returned", "returned"]
    # nothing was handed over, so nothing is charged
    assert (
        city.execute(select(UsageEvent.id).where(UsageEvent.activity == "warm_transfer")).all()
        == []
    )


def test_it_can_be_stopped_and_rung_elsewhere(city):
    started = begin(city)
    number = handovers.ring(city, started.id, rung(), now=NOW)
    with pytest.raises(NotFound):
        handovers.withdraw(city, number, now=NOW, contact_id=begin(city).id)
    assert row_of(city, "211info", number).state == "ringing"
    handovers.withdraw(city, number, now=NOW, contact_id=started.id, unanswered=True)
    assert row_of(city, "211info", number).state == "unanswered"
    other = Rung(IDS["county"], "county", "county/main", "1", {})
    assert handovers.ring(city, started.id, other, now=NOW) != number
    with acting_for(city, IDS["211info"]), pytest.raises(AnsweredAlready):
        handovers.take_over(city, number, name="Ana", note="", now=NOW)


@pytest.mark.parametrize("taken", [True, False])
def test_the_end_of_a_consent_is_confirmed_by_who_took_over_and_stands_behind_rings(city, taken):
    consent_id = new_id()
    put(
        city,
        new_row(
            Consent,
            tenant_id=IDS["city"],
            id=consent_id,
            contact_id=(started := begin(city)).id,
            to_tenant_id=IDS["211info"],
            fields=["name"],
            method="spoken",
            given_at=NOW,
            purpose="handover",
        ),
    )
    number = handovers.ring(city, started.id, rung(consent_id=consent_id), now=NOW)
    if taken:
        with acting_for(city, IDS["211info"]):
            handovers.take_over(city, number, name="Ana", note="", now=NOW)
    later = NOW + timedelta(seconds=5)
    assert handovers.forget(city, consent_id, why="revoked", now=later) == 1
    rings = handovers.ring(city, begin(city).id, rung(), now=later)
    with acting_for(city, IDS["211info"]):
        waits = [each.public_id for each in queries.waiting(city, later)]
    assert waits == ([rings, number] if taken else [rings])


def test_a_ring_whose_time_is_over_keeps_nobody_waiting_for_the_worker(city):
    started = begin(city)
    number = handovers.ring(city, started.id, rung(), now=NOW)
    late = NOW + handovers.RINGS
    other = Rung(IDS["county"], "county", "county/main", "1", {})
    handovers.ring(city, started.id, other, now=late)
    assert row_of(city, "211info", number).state == "unanswered"
    assert handovers.ring(city, started.id, rung(), now=late + handovers.RINGS) == number


def test_a_second_click_is_the_same_as_the_first(city):
    number = handovers.ring(city, begin(city).id, rung(), now=NOW)
    with acting_for(city, IDS["211info"]):
        taken = handovers.take_over(city, number, name="Ana", note="", now=NOW)
        assert handovers.take_over(city, number, name="Ana", note="", now=NOW) == taken
        contacts = city.execute(select(Contact.id).where(Contact.tenant_id == IDS["211info"]))
        assert contacts.scalars().all() == [taken.contact_id]


def test_a_named_person_answers_and_nobody_else(city):
    started = begin(city)
    number = handovers.ring(city, started.id, rung(person_id=new_id(), person_name="Bo"), now=NOW)
    with acting_for(city, IDS["211info"]), pytest.raises(AnsweredAlready, match="Bo"):
        handovers.take_over(city, number, name="Ana", note="", now=NOW)


def test_what_cannot_be_rung(city):
    started = begin(city)
    with pytest.raises(InvalidInput):
        handovers.ring(city, started.id, Rung(IDS["city"], "city", "city/main", "", {}), now=NOW)
    with pytest.raises(NotFound):
        handovers.ring(city, new_id(), rung(), now=NOW)
    number = handovers.ring(city, started.id, rung(), now=NOW)
    with acting_for(city, IDS["county"]), pytest.raises(NotFound):
        handovers.take_over(city, number, name="Eve", note="", now=NOW)
    with acting_for(city, IDS["211info"]), pytest.raises(InvalidInput):
        handovers.pass_on(city, number, reason=" ", now=NOW)
    close_contact(
        city,
        now=NOW,
        contact_id=started.id,
        version=1,
        disposition="hang_up",
        zone_day=DAY,
    )
    handovers.withdraw(city, number, now=NOW)
    with pytest.raises(ContactEnded):
        handovers.ring(city, started.id, rung(), now=NOW)


def test_there_are_never_two_takers(committed_engine):
    with session_scope(committed_engine, Scope(IDS["city"], new_id())) as session:
        numbers = [handovers.ring(session, begin(session).id, rung(), now=NOW) for _ in range(4)]
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def act(name: str) -> None:
        scope = Scope(IDS["city" if name == "stop" else "211info"], new_id())
        for number in numbers:
            start.wait(timeout=60)
            try:
                with session_scope(committed_engine, scope) as session:
                    if name == "stop":
                        handovers.withdraw(session, number, now=NOW)
                    elif name == "pass":
                        handovers.pass_on(session, number, reason="full", now=NOW)
                    else:
                        handovers.take_over(session, number, name=name, note="", now=NOW)
                outcomes.append(number)
            except AnsweredAlready:
                pass

    threads = [threading.Thread(target=act, args=(each,)) for each in ("Ana", "Bo", "pass", "stop")]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=120)
    assert sorted(outcomes) == sorted(numbers)
    with session_scope(committed_engine, Scope(IDS["city"])) as session:
        for number in numbers:
            ours, theirs = row_of(session, "city", number), row_of(session, "211info", number)
            assert (ours.state, ours.attempts) == (theirs.state, theirs.attempts)
            assert (theirs.contact_id is not None) == (theirs.state == "taken_over")


def offer(session, contact_id, target, need_id=None):
    put(
        session,
        new_row(
            Transfer,
            tenant_id=IDS["city"],
            id=new_id(),
            contact_id=contact_id,
            need_id=need_id,
            kind="warm",
            target=target,
            number="1",
            result="offered",
            at=NOW,
        ),
    )
    send(session)


def taken_at(city, contact_id, partner):
    other = Rung(IDS[partner], partner, f"{partner}/main", "1", {})
    number = handovers.ring(city, contact_id, other, now=NOW)
    with acting_for(city, IDS[partner]):
        handovers.take_over(city, number, name="Ana", note="", now=NOW)
    return row_of(city, "city", number)


def metered(city):
    return city.execute(
        select(UsageEvent.service_owner_id, UsageEvent.source_key)
        .where(UsageEvent.activity == "warm_transfer")
        .order_by(UsageEvent.id)
    ).all()


def test_an_answer_changes_only_the_transfer_that_it_belongs_to(city):
    started = begin(city)
    offer(city, started.id, "county")
    number = handovers.ring(city, started.id, rung(), now=NOW)
    with acting_for(city, IDS["211info"]):
        handovers.pass_on(city, number, reason="full", now=NOW)
    found = dict(city.execute(select(Transfer.target, Transfer.result)).all())
    assert found == {"county": "offered", "211info": "returned"}


def test_each_desk_that_takes_a_contact_over_is_metered_once(city):
    started = begin(city)
    first = taken_at(city, started.id, "211info")
    second = taken_at(city, started.id, "county")
    again = taken_at(city, started.id, "county")
    assert [tuple(each) for each in metered(city)] == [
        (IDS["211info"], f"handover:{first.id}:transfer:1"),
        (IDS["county"], f"handover:{second.id}:transfer:1"),
        (IDS["county"], f"handover:{again.id}:transfer:1"),
    ]


def test_a_transfer_that_filing_has_metered_is_not_metered_again(city):
    started = begin(city)
    need_id = new_id()
    offer(city, started.id, "county", need_id)
    metering.record(
        city,
        metering.Usage(
            source_key=f"contact:{started.id}:transfer:{need_id}",
            activity="warm_transfer",
            channel="phone",
            language="es",
            after_hours=False,
            service_owner_id=IDS["211info"],  # whose service it is need not be who answers
            line_owner_id=IDS["city"],
            contact_id=started.id,
            subject_id=started.id,
            occurred_at=NOW,
            received_at=NOW,
            booked_on=DAY,
        ),
    )
    taken_at(city, started.id, "county")
    assert len(metered(city)) == 1
    once_more = taken_at(city, started.id, "county")
    assert metered(city)[-1].source_key == f"handover:{once_more.id}:transfer:1"


# --- 911 ------------------------------------------------------------------------------------------


def brought(**more):
    return Brought(
        **{
            "incident": "P26-001",
            "reason": "Loud music, nobody in danger",
            "channel": "phone",
            "language": "en",
            "shared": {"note": "since ten"},
            "digest": "a",
        }
        | more
    )


def test_what_911_brings_is_a_contact_with_its_reason_that_is_claimed_once(city):
    client = new_id()
    number, new = handovers.bring(
        city, client, brought(), line_key="main", after_hours=False, now=NOW
    )
    assert new
    assert handovers.bring(
        city, client, brought(), line_key="main", after_hours=False, now=NOW
    ) == (number, False)
    with pytest.raises(KeyReused):
        handovers.bring(
            city, client, brought(digest="b"), line_key="main", after_hours=False, now=NOW
        )
    hours = NOW + timedelta(hours=3)
    assert [each.reason for each in queries.waiting(city, hours)] == [brought().reason]
    assert handovers.lapse(city, hours) == 0
    contact = city.execute(select(Contact.note, Contact.specialist_id)).one()
    assert contact == ("911: Loud music, nobody in danger", None)
    with pytest.raises(InvalidInput):
        handovers.pass_on(city, number, reason="no", now=NOW)
    taken = handovers.take_over(city, number, name="Ana", note="", now=hours)
    claimed = city.execute(select(Contact.__table__).where(Contact.id == taken.contact_id)).one()
    assert (claimed.specialist_id, claimed.wait_seconds) == (city.scope.person_id, 3 * 3600)
    assert handovers.take_over(city, number, name="Ana", note="", now=hours) == taken
    city.execute(update(Handover).values(taken_by=new_id()))
    with pytest.raises(AnsweredAlready, match="Ana has taken it over"):
        handovers.take_over(city, number, name="Bo", note="", now=hours)


@pytest.mark.parametrize("same", [True, False])
def test_an_incident_that_comes_twice_at_once_is_one_contact(committed_engine, same):
    client, scope = new_id(), Scope(IDS["211info"])
    given = {"line_key": "main", "after_hours": False, "now": NOW}
    called = threading.Event()
    answers: list[tuple[str, bool] | str] = []

    def send_again() -> None:
        with session_scope(committed_engine, scope) as session:
            session.execute(select(1))
            called.set()
            try:
                answers.append(
                    handovers.bring(session, client, brought(digest="a" if same else "b"), **given)
                )
            except KeyReused:
                answers.append("other content")

    again = threading.Thread(target=send_again)
    with session_scope(committed_engine, scope) as session:
        first = handovers.bring(session, client, brought(), **given)
        send(session)
        again.start()
        assert called.wait(timeout=60)
        time.sleep(0.2)  # the second is in the middle of it when the first commits
    again.join(timeout=120)
    assert first[1]
    assert answers == [(first[0], False) if same else "other content"]
    with session_scope(committed_engine, scope) as session:
        contacts = session.execute(
            select(Contact.id).where(Contact.source_key.startswith(f"911:{client}"))
        )
        assert len(contacts.all()) == 1
