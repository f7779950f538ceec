"""Answering referrals on the real database: both sides always say the same."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from regional311.audit.queries import history
from regional311.database.ids import new_id
from regional311.database.session import acting_for
from regional311.errors import InvalidInput, NotFound, Stale
from regional311.exchange.models import Envelope
from regional311.intake.models import Need
from regional311.metering.models import UsageEvent
from regional311.notices.models import OutboxMessage
from regional311.referral import consents, filing, lifecycle, queries, service, worklist
from regional311.referral.decision import explain_stored
from regional311.referral.filing import Asker, Intake
from regional311.referral.models import Consent, Referral
from tests.little_region import IDS, NOW

ANNA = Asker("Anna Canary", "503-555-0111", "anna@canary.example", wants_updates=True)
LATER = NOW + timedelta(hours=5)
DAY = date(2026, 10, 5)
THERE = IDS["211info"]


def refer(session, region) -> filing.Filed:
    asked = Intake(
        source="desk",
        key=str(new_id()),
        channel="phone",
        started_at=NOW,
        service="city/shelter",
        danger_answer="none",
        asker=ANNA,
        consent="given",
    )
    return filing.take_in(session, region, asked, now=NOW)


def only(session, model):
    session.expire_all()
    return session.execute(select(model)).scalars().one()


def sides(session) -> tuple[tuple, tuple]:
    def side():
        row = only(session, Referral)
        return (row.state, row.reason, row.outcome, row.received_at, row.closed_at)

    sent = side()
    with acting_for(session, THERE):
        return sent, side()


def test_accepted_and_completed_is_seen_at_once(city, region):
    filed = refer(city, region)
    with acting_for(city, THERE):
        assert service.opened(city, now=NOW, referral_id=filed.referral_id)
        assert not service.opened(city, now=LATER, referral_id=filed.referral_id)
        accepted = service.move(
            city,
            to="accepted",
            now=LATER,
            referral_id=filed.referral_id,
            version=2,
            note="Bed 12 is free",
        )
        service.move(
            city,
            to="completed",
            now=LATER,
            referral_id=filed.referral_id,
            version=accepted.version,
            outcome="partially_met",
            booked_on=DAY,
        )
        event = only(city, UsageEvent)
        assert (event.activity, event.referrer_id, event.service_owner_id) == (
            "referral_closed",
            IDS["city"],
            THERE,
        )
        assert only(city, Referral).note == "Bed 12 is free"
    sent, received = sides(city)
    assert sent == received == ("completed", None, "partially_met", NOW, LATER)
    assert only(city, Need).status == "partially_met"
    assert only(city, Referral).note is None
    envelopes = city.execute(select(Envelope)).scalars().all()
    assert "Bed 12" not in str([each.payload for each in envelopes])
    events = [each.event for each in city.execute(select(OutboxMessage)).scalars()]
    assert events.count("referral_answered") == 2
    shown = queries.referrals_of_contact(city, filed.contact_id)
    assert [each.state for each in shown] == ["completed"]


def test_rejection_needs_a_reason_and_reopens_the_need(city, region):
    filed = refer(city, region)
    with acting_for(city, THERE):
        values = {"now": LATER, "referral_id": filed.referral_id, "version": 1}
        with pytest.raises(lifecycle.ReasonNeeded):
            service.move(city, to="rejected", reason="bored", **values)
        service.move(city, to="rejected", reason="no_capacity", **values)
    assert sides(city)[0][:2] == ("rejected", "no_capacity")
    assert only(city, Need).status == "open"


def test_completing_needs_an_outcome_and_a_day(city, region):
    filed = refer(city, region)
    with acting_for(city, THERE):
        service.move(city, to="accepted", now=LATER, referral_id=filed.referral_id, version=1)
        values = {"now": LATER, "referral_id": filed.referral_id, "version": 2}
        with pytest.raises(lifecycle.OutcomeNeeded):
            service.move(city, to="completed", outcome="great", booked_on=DAY, **values)
        with pytest.raises(InvalidInput):
            service.move(city, to="completed", outcome="met", **values)


def test_sender_cannot_accept_and_receiver_cannot_withdraw(city, region):
    filed = refer(city, region)
    values = {"now": LATER, "referral_id": filed.referral_id, "version": 1}
    with pytest.raises(lifecycle.StepNotAllowed):
        service.move(city, to="accepted", **values)
    with acting_for(city, THERE), pytest.raises(lifecycle.StepNotAllowed):
        service.move(city, to="entered_in_error", **values)
    service.move(city, to="cancelled", reason="resolved_elsewhere", **values)
    assert sides(city)[1][:2] == ("cancelled", "resolved_elsewhere")


def test_stale_and_unknown(city, region):
    filed = refer(city, region)
    with acting_for(city, THERE):
        service.claim(city, now=LATER, referral_id=filed.referral_id, version=1)
        with pytest.raises(Stale) as stale:
            service.move(city, to="accepted", now=LATER, referral_id=filed.referral_id, version=1)
        assert stale.value.current["state"] == "requested"
    with acting_for(city, IDS["county"]):
        with pytest.raises(NotFound):
            service.move(city, to="accepted", now=LATER, referral_id=filed.referral_id, version=1)
        with pytest.raises(NotFound):
            queries.referral_detail(city, filed.referral_id)
        assert worklist.listed(city, "new", now=NOW, person_id=None).rows == []


def test_inbox(city, region):
    for _ in range(3):
        refer(city, region)
    with acting_for(city, THERE):
        me = city.scope.person_id

        def listed(tab, now=LATER, **more):
            return worklist.listed(city, tab, now=now, person_id=me, **more)

        page = listed("new", limit=2)
        assert len(page.rows) == 2
        rest = listed("new", limit=2, after=page.after)
        assert len(rest.rows) == 1
        first = page.rows[0]
        service.claim(city, now=LATER, referral_id=first.id, version=1)
        service.move(city, to="accepted", now=LATER, referral_id=first.id, version=2)
        assert [each.id for each in listed("mine").rows] == [first.id]
        assert [each.id for each in listed("work").rows] == [first.id]
        assert listed("ageing").rows == []
        late = NOW + timedelta(days=40)
        assert [each.id for each in listed("ageing", late).rows] == [first.id]
        assert len(listed("overdue", late).rows) == 2
        counts = worklist.counts(city, person_id=me, now=late)
        assert {name: each for name, each in counts.items() if each} == {
            "new": 2,
            "mine": 1,
            "overdue": 2,
            "ageing": 1,
            "work": 1,
        }
        detail = queries.referral_detail(city, first.id)
        assert detail.shared["name"] == "Anna Canary"
        assert detail.contact is None
        assert [each.action for each in detail.history] == [
            "referral:receive",
            "referral:claim",
            "referral:accept",
        ]
    sent = worklist.listed(city, "sent", now=LATER, person_id=None)
    assert len(sent.rows) == 3
    assert queries.referral_detail(city, sent.rows[0].id).contact.startswith("C-")


def test_revoked_consent_erases_what_was_shared(city, region):
    filed = refer(city, region)
    consent = only(city, Consent)
    assert consents.revoke_consent(city, now=LATER, consent_id=consent.id) == 1
    assert [each.revoked_at for each in queries.consents_of_contact(city, filed.contact_id)] == [
        LATER
    ]
    sent, received = sides(city)
    assert sent[0] == received[0] == "cancelled"
    with acting_for(city, THERE):
        assert only(city, Referral).shared == consents.ERASED
        payloads = [each.payload for each in city.execute(select(Envelope)).scalars()]
        assert "Canary" not in str(payloads)
        assert "referral:erase" in [each.action for each in history(city, filed.referral_id)]
    with pytest.raises(NotFound):
        consents.revoke_consent(city, now=LATER, consent_id=new_id())


def test_decisions_can_be_said_again(city, region):
    filed = refer(city, region)
    (stored,) = queries.decisions_of_contact(city, filed.contact_id)
    assert tuple(explain_stored(stored.outcome, stored.trace, region.names)) == filed.sentences


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.sampled_from(["sent", "received"]), st.integers(0, 9)), max_size=6))
def test_both_sides_always_agree(city, region, steps):
    savepoint = city.begin_nested()
    refer(city, region)
    for side, choice in steps:
        home = IDS["city"] if side == "sent" else THERE
        with acting_for(city, home):
            row = only(city, Referral)
            possible = lifecycle.next_states(row.state, side)
            if not possible:
                continue
            to = possible[choice % len(possible)]
            service.move(
                city,
                now=LATER,
                referral_id=row.id,
                version=row.version,
                to=to,
                reason=next(iter(lifecycle.REASONS.get(to, ())), None),
                outcome="met" if to == "completed" else None,
                booked_on=DAY,
            )
        sent, received = sides(city)
        assert sent == received
    savepoint.rollback()
