"""What was referred onward follows the person's word: taken back, never to be contacted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from regional311.audit.models import AuditEvent
from regional311.database.ids import new_id, public_id
from regional311.database.session import acting_for
from regional311.exchange.models import Envelope
from regional311.exchange.service import ERASED
from regional311.referral import consents, filing, lifecycle, questions, sending_on, service
from regional311.referral.filing import Asker, Intake
from regional311.referral.models import Consent, Referral
from regional311.referral.snapshot import Published
from tests.little_region import IDS, NOW, county_bed

CITY, HELP, COUNTY, STATE = (IDS[slug] for slug in ("city", "211info", "county", "region"))
LATER = NOW + timedelta(hours=5)
ANNA = Asker("Anna Canary", "503-555-0111", safe_to_call=True, may_leave_message=True)


@dataclass(frozen=True)
class Chain:
    """The City referred somebody to 211, 211 to the County, and the County to a fourth partner."""

    first: filing.Filed
    second: UUID
    third: UUID

    def rows(self, session) -> Iterator[tuple[UUID, Referral]]:
        """Every row of the three referrals, with whose it is."""
        for tenant_id in (CITY, HELP, COUNTY, STATE):
            with acting_for(session, tenant_id):
                for row in session.execute(
                    select(Referral.__table__).where(Referral.tenant_id == tenant_id)
                ):
                    yield tenant_id, row


def refer(session, region) -> filing.Filed:
    return filing.take_in(
        session,
        region,
        Intake(
            source="desk",
            key=str(new_id()),
            channel="phone",
            started_at=NOW,
            service="city/shelter",
            danger_answer="none",
            asker=ANNA,
            consent="given",
        ),
        now=NOW,
    )


def row_of(session, tenant_id, referral_id):
    with acting_for(session, tenant_id):
        return session.execute(
            select(Referral.__table__).where(
                Referral.tenant_id == tenant_id, Referral.id == referral_id
            )
        ).one()


def accepted(session, tenant_id, referral_id) -> int:
    """Accept as the receiver; give the version."""
    with acting_for(session, tenant_id):
        return service.move(
            session,
            now=NOW,
            referral_id=referral_id,
            version=row_of(session, tenant_id, referral_id).version,
            to="accepted",
        ).version


def sent_on(session, published, referral_id, *, consent="given") -> UUID:
    """Refer onward from 211 to the County."""
    version = accepted(session, HELP, referral_id)
    with acting_for(session, HELP):
        (number,) = sending_on.send_on(
            session,
            published,
            now=NOW,
            referral_id=referral_id,
            version=version,
            targets=["county/bed"],
            consent=consent,
        )
        return session.execute(
            select(Referral.id).where(Referral.tenant_id == HELP, Referral.public_id == number)
        ).scalar_one()


def by_hand(session, sender_id, receiver_id, part_of_id, shared) -> UUID:
    """Refer onward what could not be chosen there: the rows of both sides as they would be."""
    new, number = new_id(), public_id("F")
    sides = ((sender_id, receiver_id, "sent"), (receiver_id, sender_id, "received"))
    for tenant_id, other_id, side in sides:
        with acting_for(session, tenant_id):
            session.add(
                Referral(
                    tenant_id=tenant_id,
                    id=new,
                    public_id=number,
                    side=side,
                    counterparty_id=other_id,
                    service_key="bed",
                    term="shelter",
                    shared=shared,
                    channel="phone",
                    state="requested",
                    part_of_id=part_of_id if side == "sent" else None,
                    sent_at=NOW,
                )
            )
            session.flush()
    return new


@pytest.fixture
def chain(city) -> Chain:
    county_bed(city)
    published = Published.load(city)
    first = refer(city, published)
    second = sent_on(city, published, first.referral_id)
    accepted(city, COUNTY, second)
    shared = row_of(city, COUNTY, second).shared
    return Chain(first, second, by_hand(city, COUNTY, STATE, second, shared))


def consent_of(session, tenant_id) -> Consent:
    with acting_for(session, tenant_id):
        return session.execute(
            select(Consent.__table__).where(Consent.tenant_id == tenant_id)
        ).one()


# --- the end of a consent -------------------------------------------------------------------------


def test_taking_it_back_reaches_everybody_to_whom_it_went_onward(city, chain):
    with acting_for(city, COUNTY):
        version = row_of(city, COUNTY, chain.second).version
        questions.ask(
            city, now=NOW, referral_id=chain.second, version=version, body="Is Anna Canary alone?"
        )
    given = consent_of(city, CITY)
    assert consents.revoke_consent(city, now=LATER, consent_id=given.id) == 1
    found = list(chain.rows(city))
    assert len(found) == 6
    for tenant_id, row in found:
        assert (row.state, row.reason) == ("cancelled", "person_declined")
        assert (row.consent_ended, row.consent_ended_at) == ("revoked", LATER)
        if tenant_id != CITY:
            assert row.shared == ERASED
    for tenant_id in (HELP, COUNTY, STATE):
        with acting_for(city, tenant_id):
            kept = city.execute(
                select(Envelope.payload).where(
                    Envelope.tenant_id == tenant_id, Envelope.from_tenant_id != tenant_id
                )
            )
            assert "Canary" not in str(kept.all())
            for each in (chain.first.referral_id, chain.second, chain.third):
                assert not any(line.body for line in questions.thread(city, each))
    assert consent_of(city, HELP).revoked_at == LATER
    for tenant_id, told in ((HELP, chain.first.referral_id), (COUNTY, chain.second)):
        with acting_for(city, tenant_id):
            kinds = city.execute(
                select(Envelope.kind).where(
                    Envelope.tenant_id == tenant_id, Envelope.subject_id == told
                )
            ).scalars()
            assert consents.CONSENT_ENDED in set(kinds)


def test_what_is_over_onward_is_erased_and_stays_over(city, chain):
    with acting_for(city, COUNTY):
        for to in ("in_progress", "completed"):
            service.move(
                city,
                now=NOW,
                referral_id=chain.second,
                version=row_of(city, COUNTY, chain.second).version,
                to=to,
                outcome="met" if to == "completed" else None,
                booked_on=date(2026, 10, 5),
            )
    consents.revoke_consent(city, now=LATER, consent_id=consent_of(city, CITY).id)
    for tenant_id in (HELP, COUNTY):
        row = row_of(city, tenant_id, chain.second)
        assert (row.state, row.outcome, row.shared) == ("completed", "met", ERASED)
    assert row_of(city, STATE, chain.third).shared == ERASED


def test_when_only_time_is_up_what_the_person_agreed_to_onward_goes_on(city):
    county_bed(city)
    published = Published.load(city)
    first = refer(city, published)
    second = sent_on(city, published, first.referral_id)
    with acting_for(city, HELP):
        own = city.execute(select(Consent).where(Consent.tenant_id == HELP)).scalar_one()
        own.expires_at += timedelta(days=30)
        own_id = own.id
        city.flush()
    late = NOW + timedelta(days=181)
    assert consents.expire_consents(city, now=late) == 1
    assert row_of(city, HELP, first.referral_id).shared == ERASED
    for tenant_id in (HELP, COUNTY):
        row = row_of(city, tenant_id, second)
        assert (row.state, row.consent_ended) == ("requested", None)
        assert row.shared["name"] == "Anna Canary"
    later = late + timedelta(days=31)
    with acting_for(city, HELP):
        assert consents.expire_consents(city, now=later) == 1
        assert city.get(Consent, (HELP, own_id)).expired_at == later
    # 211 had it from the City only, and may not keep it either
    for tenant_id in (HELP, COUNTY):
        assert row_of(city, tenant_id, second).shared == ERASED


def test_what_went_onward_without_consent_ends_with_what_it_is_part_of(city):
    first = refer(city, Published.load(city))
    second = by_hand(city, HELP, COUNTY, first.referral_id, {"need": "County beds"})
    consents.expire_consents(city, now=NOW + timedelta(days=181))
    row = row_of(city, COUNTY, second)
    assert (row.state, row.reason, row.shared) == ("cancelled", "consent_ended", ERASED)


def test_each_end_is_in_the_history_of_whom_it_concerns(city, chain):
    consents.revoke_consent(city, now=LATER, consent_id=consent_of(city, CITY).id)
    for tenant_id, referral_id in ((HELP, chain.second), (COUNTY, chain.second)):
        with acting_for(city, tenant_id):
            said = city.execute(
                select(AuditEvent.action).where(
                    AuditEvent.tenant_id == tenant_id, AuditEvent.subject_id == referral_id
                )
            ).scalars()
            assert "referral:erase" in set(said)
    assert row_of(city, HELP, chain.second).side == lifecycle.SENDER
