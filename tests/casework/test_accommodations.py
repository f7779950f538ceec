"""Reminders of accommodations, who hears them, and what is left when details are erased."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select

from regional311.casework import accommodations
from regional311.casework.accommodation_keeping import forget
from regional311.casework.accommodation_letters import Letters
from regional311.casework.accommodation_reminders import TASKS, remind, step_on
from regional311.casework.accommodations import Asked
from regional311.casework.coordinators import terms_of
from regional311.casework.models import Accommodation, AccommodationNote
from regional311.casework.paper import papers, posted, to_post
from regional311.database.ids import new_id
from regional311.database.session import Scope, scope_of
from regional311.notices.models import NoticeStop, OutboxMessage
from regional311.tenancy.models import Tenant

RECEIVED = datetime(2026, 10, 13, 18, tzinfo=UTC)
URL = "https://311.example"
BUREAU, WHOLE = "access@pbot.example", "coordinator@city-of-portland.example"


@pytest.fixture
def city(tenants):
    """The City of the example files, with its coordinators."""
    return Scope(tenants["city-of-portland"])


@pytest.fixture
def letters(dbsession):
    me = scope_of(dbsession).tenant_id
    settings = dbsession.execute(select(Tenant.settings).where(Tenant.id == me)).scalar_one()
    return Letters("Portland", "city-of-portland", URL, terms_of(settings))


@pytest.fixture
def taken(dbsession, letters):
    """One for the Bureau of Transportation, with everything said; the letters so far are gone."""
    asked = Asked(
        "request",
        "sign_language",
        "I cannot hear.",
        source_key="one",
        token="a secret of more than twenty",
        bureau_key="pbot",
        language="es",
        needed_on=date(2026, 11, 2),
        **dict.fromkeys(("place", "name", "phone", "reach"), "Zephyrine"),
        email="z@zephyr.example",
        address="Zephyrine's house",
        updates_by="email",
    )
    number = accommodations.take(
        dbsession,
        asked,
        letters,
        acknowledge_by=date(2026, 10, 15),
        decide_by=date(2026, 11, 3),
        now=RECEIVED,
    )
    row = dbsession.scalars(select(Accommodation).where(Accommodation.public_id == number)).one()
    told(dbsession)
    return row


def told(session):
    """Who was written what since the last time, by address and event."""
    rows = session.execute(
        select(OutboxMessage.id, OutboxMessage.recipient, OutboxMessage.event).where(
            OutboxMessage.event.like("accommodation%")
        )
    ).all()
    seen = session.info.setdefault("seen", set())
    fresh = [(to, event) for each, to, event in rows if each not in seen]
    seen.update(each for each, _to, _event in rows)
    return sorted(fresh)


def on(day, month=10):
    return datetime(2026, month, day, 18, tzinfo=UTC)


def test_each_step_is_told_once_and_who_leads_hears_what_is_overdue(dbsession, taken, letters):
    def hear(at):
        remind(dbsession, now=at, url=URL)
        return told(dbsession)

    due, overdue = "accommodation_due", "accommodation_overdue"
    assert hear(on(13)) == []
    assert hear(on(14)) == [(BUREAU, due)]
    assert hear(on(14)) == []
    assert hear(on(15)) == [(BUREAU, due)]
    # at eleven in the evening of the fifteenth it is the sixteenth elsewhere only
    assert hear(datetime(2026, 10, 16, 6, tzinfo=UTC)) == []
    assert hear(on(16)) == [(BUREAU, overdue), (WHOLE, overdue)]
    assert hear(on(22)) == []
    assert hear(on(23)) == [(BUREAU, overdue), (WHOLE, overdue)]
    accommodations.acknowledge(
        dbsession, row_id=taken.id, version=taken.version, words="", letters=letters, now=on(23)
    )
    assert told(dbsession) == [("z@zephyr.example", "accommodation_acknowledged")]
    assert hear(on(24)) == []
    # a worker that was away tells the latest step only
    assert hear(on(4, 11)) == [(BUREAU, overdue), (WHOLE, overdue)]


def test_a_letter_that_nobody_posts_is_said_the_day_after_and_each_week(dbsession, letters):
    asked = Asked(
        "request",
        "interpreter",
        "I cannot read a screen.",
        source_key="paper",
        token="a secret of more than twenty too",
        bureau_key="pbot",
        address="PO Box 7",
        updates_by="post",
    )
    number = accommodations.take(
        dbsession,
        asked,
        letters,
        acknowledge_by=date(2026, 10, 20),
        decide_by=date(2026, 12, 1),
        now=RECEIVED,
    )
    row = dbsession.scalars(select(Accommodation).where(Accommodation.public_id == number)).one()
    accommodations.acknowledge(
        dbsession, row_id=row.id, version=row.version, words="", letters=letters, now=on(13)
    )
    told(dbsession)

    def hear(at):
        remind(dbsession, now=at, url=URL)
        return told(dbsession)

    overdue = "accommodation_overdue"
    assert hear(on(13)) == []
    assert hear(on(14)) == [(BUREAU, overdue)]
    assert hear(on(16)) == []
    assert hear(on(20)) == [(BUREAU, overdue), (WHOLE, overdue)]
    (letter,) = papers(dbsession, row.id)
    posted(dbsession, row.id, letter.id, now=on(20))
    assert hear(on(28)) == []


def test_who_takes_it_back_gets_no_letter_any_more(dbsession, taken, letters):
    taken.updates_by = "post"
    dbsession.flush()
    accommodations.acknowledge(
        dbsession, row_id=taken.id, version=taken.version, words="", letters=letters, now=on(14)
    )
    assert to_post(dbsession, bureaus=None) == [taken.public_id]
    accommodations.withdraw(dbsession, row_id=taken.id, now=on(15))
    assert to_post(dbsession, bureaus=None) == []
    assert papers(dbsession, taken.id) == []


def test_an_appeal_has_its_own_day(dbsession, taken, letters):
    decide(dbsession, taken, letters, on(14))
    accommodations.appeal(
        dbsession,
        row_id=taken.id,
        words="I do not agree.",
        today=date(2026, 10, 20),
        answer_by=date(2026, 11, 10),
        letters=letters,
        now=on(20),
    )
    told(dbsession)
    remind(dbsession, now=on(6, 11), url=URL)
    assert told(dbsession) == []
    remind(dbsession, now=on(7, 11), url=URL)
    assert told(dbsession) == [(BUREAU, "accommodation_due")]
    remind(dbsession, now=on(11, 11), url=URL)
    assert (WHOLE, "accommodation_overdue") in told(dbsession)


def decide(session, row, letters, at):
    accommodations.decide(
        session,
        row_id=row.id,
        version=row.version,
        outcome="denied",
        words="There is nobody who could.",
        today=at.date(),
        letters=letters,
        now=at,
    )
    session.refresh(row)


def test_only_what_is_counted_is_left_when_the_time_is_over(dbsession, taken, letters):
    accommodations.add_words(
        dbsession, row_id=taken.id, words="Zephyrine", internal=True, letters=letters, now=on(13)
    )
    decide(dbsession, taken, letters, on(14))
    dbsession.execute(
        insert(NoticeStop).values(
            tenant_id=taken.tenant_id,
            id=new_id(),
            address="zephyrine@canary.example",
            subject_id=taken.id,
            changed_at=on(14),
        )
    )
    kept = letters.terms.keep_days
    assert forget(dbsession, on(14) + timedelta(days=kept)) == 0
    assert forget(dbsession, on(15) + timedelta(days=kept)) == 1
    assert forget(dbsession, on(15) + timedelta(days=kept)) == 0
    dbsession.expire_all()
    row = (
        dbsession.execute(select(Accommodation.__table__).where(Accommodation.id == taken.id))
        .one()
        ._mapping
    )
    left = {name for name, value in row.items() if value not in (None, "")}
    assert left == {
        *("tenant_id", "id", "public_id", "source_key", "token_hash", "sort", "kind"),
        *("bureau_key", "channel", "language", "state", "outcome", "received_at"),
        *("acknowledge_by", "decide_by", "acknowledged_at", "decided_at", "appeal_until"),
        *("forgotten_at", "updated_at", "version"),
    }
    assert "Zephyrine" not in str(dict(row))
    stop = dbsession.execute(
        select(NoticeStop.id, NoticeStop.address).where(NoticeStop.subject_id == taken.id)
    ).one()
    assert stop.address == str(stop.id)
    assert accommodations.by_token(dbsession, "a secret of more than twenty") is None
    notes = dbsession.scalars(
        select(AccommodationNote.words).where(AccommodationNote.accommodation_id == taken.id)
    ).all()
    assert set(notes) == {""}
    letters_left = dbsession.execute(
        select(OutboxMessage.recipient, OutboxMessage.body).where(
            OutboxMessage.subject_id == taken.id
        )
    ).all()
    assert set(letters_left) == {("", "")}


def test_what_is_open_or_waits_for_an_appeal_is_kept(dbsession, taken, letters):
    later = on(14) + timedelta(days=40_000)
    assert forget(dbsession, later) == 0
    decide(dbsession, taken, letters, on(14))
    accommodations.appeal(
        dbsession,
        row_id=taken.id,
        words="I do not agree.",
        today=date(2026, 10, 20),
        answer_by=date(2026, 11, 10),
        letters=letters,
        now=on(20),
    )
    assert forget(dbsession, later) == 0


def test_an_appeal_is_answered_once(dbsession, taken, letters):
    decide(dbsession, taken, letters, on(14))
    accommodations.appeal(
        dbsession,
        row_id=taken.id,
        words="I do not agree.",
        today=date(2026, 10, 20),
        answer_by=date(2026, 11, 10),
        letters=letters,
        now=on(20),
    )
    dbsession.refresh(taken)
    answer = {
        "row_id": taken.id,
        "version": taken.version,
        "words": "We found somebody after all.",
        "letters": letters,
        "now": on(21),
    }
    with pytest.raises(accommodations.NotWanted):
        accommodations.answer_appeal(dbsession, outcome="withdrawn", **answer)
    accommodations.answer_appeal(dbsession, outcome="granted", **answer)
    dbsession.refresh(taken)
    assert (taken.outcome, taken.appeal_outcome) == ("denied", "granted")
    with pytest.raises(accommodations.AlreadyDecided):
        accommodations.answer_appeal(
            dbsession, outcome="denied", **(answer | {"version": taken.version})
        )


@given(st.sampled_from(sorted(TASKS)), st.integers(-400, 400), st.integers(1, 30))
def test_steps_go_on_and_never_back(task, days, more):
    due = date(2026, 11, 30)

    def place(step):
        order = {None: -3, "before": -2, "due": -1}
        return order[step] if step in order else int(step.partition("-")[2])

    first = place(step_on(task, due, due + timedelta(days=days)))
    assert first <= place(step_on(task, due, due + timedelta(days=days + more)))
