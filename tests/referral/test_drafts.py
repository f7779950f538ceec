"""A referral that waits before it is sent: kept, changed, finished, discarded, left."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from regional311.database.ids import new_id
from regional311.database.session import acting_for
from regional311.errors import InvalidInput, NotFound
from regional311.exchange.models import Envelope
from regional311.identity.service import grant
from regional311.intake.models import Need
from regional311.notices.models import OutboxMessage
from regional311.referral import drafts, filing, further, lifecycle, service, worklist
from regional311.referral.filing import Asker, Intake
from regional311.referral.models import Referral
from regional311.referral.reminders import keep_loops
from tests.little_region import IDS, NOW, county_bed

CITY, THERE = IDS["city"], IDS["211info"]
LATER = NOW + timedelta(hours=5)
ANNA = Asker("Anna Canary", "503-555-0111")


@pytest.fixture
def filed(city, region):
    """A need that nobody can meet yet."""
    return filing.take_in(
        city,
        region,
        Intake(
            source="desk",
            key=str(new_id()),
            channel="phone",
            started_at=NOW,
            service="city/shelter",
            danger_answer="none",
            asker=ANNA,
            unmet="all_at_capacity",
        ),
        now=NOW,
    )


def kept(session, region, filed, **more) -> str:
    given = {"service": "211info/bed", "waits_for": "waiting_for_person"} | more
    return further.keep_draft(
        session,
        region,
        now=NOW,
        contact_id=filed.contact_id,
        need_id=filed.need_id,
        **given,
    )


def sent(session, region, filed, number, **more):
    given = {"service": "211info/bed", "consent": "given", "key": str(new_id())} | more
    return further.refer_again(
        session,
        region,
        now=LATER,
        contact_id=filed.contact_id,
        need_id=filed.need_id,
        draft=number,
        **given,
    )


def mine(session):
    """The City's referrals as they are stored."""
    return session.execute(
        select(Referral.__table__).where(Referral.tenant_id == CITY).order_by(Referral.id)
    ).all()


def there(session):
    """What the receiver has: referrals and envelopes."""
    with acting_for(session, THERE):
        return [
            *session.execute(select(Referral.id).where(Referral.tenant_id == THERE)),
            *session.execute(select(Envelope.id).where(Envelope.tenant_id == THERE)),
        ]


def test_a_draft_is_the_senders_alone(city, region, filed):
    number = kept(city, region, filed)
    (row,) = mine(city)
    assert (row.public_id, row.state, row.reason) == (number, "draft", "waiting_for_person")
    assert (row.shared, row.consent_id, row.due_at) == ({}, None, None)
    assert there(city) == []
    assert city.execute(select(Need.status)).scalar_one() == "unmet"
    found = worklist.listed(city, "drafts", now=NOW, person_id=None)
    assert [each.public_id for each in found.rows] == [number]
    assert worklist.counts(city, now=NOW, person_id=None)["drafts"] == 1
    with pytest.raises(drafts.DraftThere):
        kept(city, region, filed)


def test_a_draft_is_changed(city, region, filed):
    number = kept(city, region, filed)
    again = kept(
        city,
        region,
        filed,
        number=number,
        service="211info/food",
        waits_for="waiting_for_documents",
    )
    assert again == number
    (row,) = mine(city)
    assert (row.service_key, row.reason, row.version) == ("food", "waiting_for_documents", 2)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"waits_for": "rain"}, InvalidInput),
        ({"service": "city/shelter"}, InvalidInput),
        ({"number": "F-00000-00000"}, NotFound),
    ],
)
def test_what_is_no_draft(city, region, filed, more, error):
    with pytest.raises(error):
        kept(city, region, filed, **more)
    assert mine(city) == []


def test_a_draft_is_finished_as_the_referral_that_it_is(city, region, filed):
    number = kept(city, region, filed)
    done = sent(city, region, filed, number)
    (row,) = mine(city)
    assert (row.id, row.public_id) == (done.referral_id, number)
    assert (row.state, row.reason, row.sent_at) == ("requested", None, LATER)
    assert row.shared["name"] == "Anna Canary"
    assert row.consent_id is not None
    with acting_for(city, THERE):
        got = city.execute(
            select(Referral.state, Referral.public_id).where(Referral.tenant_id == THERE)
        ).one()
    assert tuple(got) == ("requested", number)
    assert city.execute(select(Need.status)).scalar_one() == "referred"
    with acting_for(city, THERE):
        service.move(city, now=LATER, referral_id=row.id, version=1, to="accepted")
    assert mine(city)[0].state == "accepted"
    with pytest.raises(NotFound):
        sent(city, region, filed, number, service="211info/food")


def test_a_draft_is_sent_only_with_what_a_referral_needs(city, region, filed):
    number = kept(city, region, filed)
    (row,) = mine(city)
    with pytest.raises(filing.ConsentNotAsked):
        sent(city, region, filed, number, consent="unasked")
    with pytest.raises(lifecycle.StepNotAllowed):
        service.move(city, now=LATER, referral_id=row.id, version=row.version, to="requested")
    assert mine(city)[0].state == "draft"
    assert there(city) == []


def test_a_draft_is_discarded_and_nobody_else_hears_of_it(city, region, filed):
    kept(city, region, filed)
    (row,) = mine(city)
    service.move(city, now=LATER, referral_id=row.id, version=row.version, to="entered_in_error")
    assert mine(city)[0].state == "entered_in_error"
    assert there(city) == []
    kept(city, region, filed)


def test_a_draft_that_is_left_is_reminded_of_and_expires(city, region, filed):
    for name, role in (("desk", "specialist"), ("lead", "supervisor")):
        grant(city, person_id=new_id(), name=name, email=f"{name}@city.example", roles=(role,))
    kept(city, region, filed)
    for day in range(40):
        keep_loops(city, now=NOW + timedelta(days=day), url="https://example.org")
        keep_loops(city, now=NOW + timedelta(days=day, minutes=1), url="https://example.org")
    told = city.execute(
        select(OutboxMessage.recipient).where(OutboxMessage.event == "draft_left")
    ).scalars()
    assert sorted(told) == ["desk@city.example", "lead@city.example"]
    (row,) = mine(city)
    assert (row.state, row.reason) == ("entered_in_error", "expired")
    assert there(city) == []
    assert city.execute(select(Need.status)).scalar_one() == "unmet"


def test_partners_with_a_draft_can_be_asked_as_others(city, region, filed):
    county_bed(city)
    number = kept(city, region, filed, service="211info/food")
    done = sent(city, region, filed, "", service="211info/bed")
    assert done.referral_public_id != number
    assert {each.state for each in mine(city)} == {"draft", "requested"}
