"""Nobody is sent round in a circle, however many partners are in it and whoever sends them."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from regional311.audit.queries import history
from regional311.database.session import acting_for
from regional311.errors import InvalidInput
from regional311.exchange.models import Envelope
from regional311.referral import prohibition, rings, sending_on, service
from regional311.referral.models import Referral
from regional311.referral.snapshot import Published
from tests.little_region import IDS, county_bed
from tests.referral.test_receiving import LATER, THERE, refer

COUNTY = IDS["county"]


@pytest.fixture
def three(city) -> Published:
    """A region in which three partners help with the same."""
    county_bed(city)
    return Published.load(city)


def onward(session, found, referral_id, tenant_id, target) -> Referral:
    """Accept a referral as its receiver and refer it onward; give the receiver's new row."""
    with acting_for(session, tenant_id):
        service.move(session, now=LATER, referral_id=referral_id, version=1, to="accepted")
        (number,) = sending_on.send_on(
            session,
            found,
            now=LATER,
            referral_id=referral_id,
            version=2,
            targets=[target],
            consent="given",
        )
        return session.execute(
            select(Referral).where(Referral.tenant_id == tenant_id, Referral.public_id == number)
        ).scalar_one()


def test_who_passed_somebody_on_does_not_get_them_again(city, three):
    """The City refers to 211, 211 onward to the County, and the County would refer to the City."""
    first = refer(city, three).referral_id
    second = onward(city, three, first, THERE, "county/bed")
    with acting_for(city, COUNTY):
        service.move(city, now=LATER, referral_id=second.id, version=1, to="accepted")
        assert rings.came_through(city, second.id) == {THERE, IDS["city"]}
        with pytest.raises(InvalidInput, match="City passed the person on before") as refused:
            sending_on.send_on(
                city,
                three,
                now=LATER,
                referral_id=second.id,
                version=2,
                targets=["city/shelter"],
                consent="given",
            )
        assert refused.value.field == "targets"
        sent = select(Referral.id).where(Referral.side == "sent", Referral.tenant_id == COUNTY)
        assert city.execute(sent).first() is None


def test_the_way_is_told_by_its_referrals_the_nearest_first(city, three):
    first = refer(city, three).referral_id
    second = onward(city, three, first, THERE, "county/bed").id
    with acting_for(city, COUNTY):
        assert rings.came_by(city, second, THERE) == [(first, THERE, IDS["city"])]
    with acting_for(city, THERE):
        assert rings.came_by(city, first, IDS["city"]) == []


def test_never_contact_goes_on_to_whoever_was_asked_onward(city, three):
    """The City refers to 211, 211 onward to the County; then nobody may call any more."""
    filed = refer(city, three)
    second = onward(city, three, filed.referral_id, THERE, "county/bed").id
    prohibition.prohibit(city, now=LATER, contact_id=filed.contact_id)
    holders = {filed.referral_id: (IDS["city"], THERE), second: (THERE, COUNTY)}
    for referral_id, partners in holders.items():
        for tenant_id in partners:
            with acting_for(city, tenant_id):
                shared = city.scalars(
                    select(Referral.shared).where(
                        Referral.tenant_id == tenant_id, Referral.id == referral_id
                    )
                ).one()
                assert shared["contact_prohibited"] is True
                assert (shared["safe_to_call"], shared["may_leave_message"]) == (False, False)
                (told,) = [
                    each
                    for each in history(city, referral_id)
                    if each.action == "referral:prohibit"
                ]
                assert told.at == LATER
    with acting_for(city, COUNTY):
        kinds = city.scalars(
            select(Envelope.kind).where(Envelope.tenant_id == COUNTY, Envelope.subject_id == second)
        ).all()
    assert prohibition.CONTACT_PROHIBITED in kinds


def test_nor_when_it_is_offered_to_others_on_the_way(city, three):
    first = refer(city, three).referral_id
    second = onward(city, three, first, THERE, "county/bed")
    with acting_for(city, THERE), pytest.raises(InvalidInput, match="passed the person on before"):
        sending_on.send_on(
            city,
            three,
            now=LATER,
            referral_id=second.id,
            version=second.version,
            targets=["city/shelter"],
            consent="given",
        )
