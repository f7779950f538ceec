"""A large change of rates is approved at once and taken over by the worker, whole and once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from regional311.chargeback import rate_approvals, rate_changes
from regional311.chargeback.rate_approvals import latest_approval
from regional311.chargeback.rate_cards import RateSaid, known_rates
from regional311.chargeback.rate_changes import (
    Change,
    ProposerMayNotApprove,
    approve,
    current,
    proposals,
    propose,
    send_for_approval,
    withdraw,
)
from regional311.errors import Conflict
from regional311.identity.service import grant
from regional311.notices.models import OutboxMessage

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
JULY = date(2026, 7, 1)
PHONE = RateSaid("phone", "card", "contact_handled", Decimal("4.90"), JULY, channel="phone")
SERVICES = ("a", "b", "c")


@pytest.fixture
def office(region, monkeypatch):
    """One rate there, and an approver; more than two changes are many."""
    monkeypatch.setattr(rate_changes, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(rate_changes, "STEP", 1)
    with region.of("city") as session:
        session.execute(
            text("SELECT register_person(:id, 'app@city.example', 'App', NULL, :at)"),
            {"id": region.approver, "at": NOW},
        )
        grant(
            session,
            person_id=region.approver,
            name="App",
            email="app@city.example",
            roles=["approver"],
        )
    region.rate("city", "phone", "contact_handled", "4.90", channel="phone")
    return region


def proposed(region, amount="5"):
    """Four changes that wait for a second person: the price that is there, and three new ones."""
    with region.of("city", region.preparer) as session:
        row = current(session)[1]["phone"]
        changes = [Change("phone", row, replace(PHONE, amount=Decimal(amount)))] + [
            Change(key, None, replace(PHONE, key=key, service=key)) for key in SERVICES
        ]
        proposal_id = propose(session, changes, note=None, now=NOW)
        send_for_approval(session, proposal_id, now=NOW)
    return proposal_id


def approved(region, proposal_id):
    with region.of("city", region.approver) as session:
        assert approve(session, proposal_id, now=NOW) is False


def take(region, at):
    """Begin to take over the next approval as a worker that dies then."""
    return rate_approvals._take(region.engine, region.tenants["city"], at)


def worker(region, at=NOW + timedelta(seconds=1)):
    return rate_approvals.work(region.engine, region.tenants["city"], lambda: at)


def standing(region, proposal_id):
    """The state of a proposal, who decided it, and the prices that are known."""
    with region.of("city") as session:
        row = next(each for each in proposals(session) if each.id == proposal_id)
        prices = {rate.key: rate.amount for rate in known_rates(session)}
        return row.state, row.decided_by, prices


def told(region):
    with region.of("city") as session:
        return session.execute(
            select(OutboxMessage.recipient, OutboxMessage.body).where(
                OutboxMessage.event == rate_approvals.EVENT
            )
        ).all()


def test_the_approval_is_recorded_at_once_and_the_worker_takes_it_over(office, monkeypatch):
    proposal_id = proposed(office)
    with office.of("city", office.preparer) as session, pytest.raises(ProposerMayNotApprove):
        approve(session, proposal_id, now=NOW)
    approved(office, proposal_id)
    assert standing(office, proposal_id) == (
        "approving",
        office.approver,
        {"phone": Decimal("4.9")},
    )
    with office.of("city", office.approver) as session:
        for again in (approve, withdraw):
            with pytest.raises(Conflict, match="approving"):
                again(session, proposal_id, now=NOW)

    seen = []
    original = rate_approvals.take_over

    def watched(session, proposal_id, *, now, progress):
        def look(done):
            progress(done)
            with office.of("city") as beside:
                seen.append((latest_approval(beside, proposal_id).done, len(known_rates(beside))))

        original(session, proposal_id, now=now, progress=look)

    monkeypatch.setattr(rate_approvals, "take_over", watched)
    assert worker(office) == 1
    assert seen == [(1, 1), (2, 1), (3, 1), (4, 1)], "nothing holds before all of it does"
    state, by, prices = standing(office, proposal_id)
    assert (state, by) == ("approved", office.approver)
    assert prices == {"phone": 5} | dict.fromkeys(SERVICES, Decimal("4.9"))
    assert worker(office) == 0
    assert told(office) == []
    with office.of("city") as session:
        trail = session.execute(
            text("SELECT action FROM audit_events WHERE action LIKE 'rate:%' ORDER BY id")
        ).scalars()
        assert list(trail)[-2:] == ["rate:approve", "rate:take_over"]


def test_what_no_longer_fits_waits_again_and_the_approver_is_told(office):
    first, second = proposed(office), proposed(office, "6")
    approved(office, first)
    approved(office, second)
    assert worker(office) == 2
    state, by, prices = standing(office, second)
    assert (state, by, prices["phone"]) == ("proposed", None, 5)
    ((recipient, body),) = told(office)
    assert recipient == "app@city.example"
    assert "a change of 4 rates" in body
    assert "The rate phone was changed meanwhile." in body
    with office.of("city") as session:
        assert "changed meanwhile" in latest_approval(session, second).problem
    with office.of("city", office.preparer) as session:
        withdraw(session, second, now=NOW)


def test_a_worker_that_died_is_replaced_and_cannot_write_any_more(office):
    proposal_id = proposed(office)
    approved(office, proposal_id)
    slow = take(office, NOW)
    assert worker(office, NOW + timedelta(minutes=4)) == 0
    assert worker(office, NOW + timedelta(minutes=6)) == 1
    before = standing(office, proposal_id)
    assert before[0] == "approved"
    with pytest.raises(rate_approvals._Lost):
        rate_approvals._take_over(office.engine, slow, lambda: NOW + timedelta(minutes=7))
    assert standing(office, proposal_id) == before


def test_two_workers_at_one_approval_write_it_once(office):
    proposal_id = proposed(office)
    approved(office, proposal_id)
    slow = take(office, NOW)
    later = NOW + timedelta(minutes=6)
    other = take(office, later)
    with pytest.raises(rate_approvals._Lost):
        rate_approvals._take_over(office.engine, slow, lambda: later)
    assert standing(office, proposal_id)[0] == "approving"
    rate_approvals._take_over(office.engine, other, lambda: later)
    assert standing(office, proposal_id)[0] == "approved"
    with office.of("city") as session:
        assert len(known_rates(session)) == 4


def test_an_approval_at_which_every_worker_dies_is_not_begun_for_ever(office):
    proposal_id = proposed(office)
    approved(office, proposal_id)
    for times in range(3):
        assert take(office, NOW + timedelta(minutes=6 * times)) is not None
    assert worker(office, NOW + timedelta(minutes=18)) == 0
    assert standing(office, proposal_id)[:2] == ("proposed", None)
    ((_, body),) = told(office)
    assert "begun three times" in body
    approved(office, proposal_id)
    assert worker(office, NOW + timedelta(minutes=19)) == 1
    assert standing(office, proposal_id)[0] == "approved"


def test_few_changes_hold_at_once(office, monkeypatch):
    monkeypatch.setattr(rate_changes, "MOST_AT_ONCE", 4)
    proposal_id = proposed(office)
    with office.of("city", office.approver) as session:
        assert approve(session, proposal_id, now=NOW) is True
    assert standing(office, proposal_id)[0] == "approved"
    assert worker(office) == 0
