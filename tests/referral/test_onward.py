"""What was referred onward follows the person's word: taken back, never to be contacted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import select

from regional311.audit.models import AuditEvent
from regional311.cover import handovers
from regional311.cover.models import Handover
from regional311.database.ids import new_id, public_id
from regional311.database.session import acting_for
from regional311.errors import InvalidInput, Stale
from regional311.exchange.models import Envelope
from regional311.exchange.service import ERASED
from regional311.identity.service import grant
from regional311.intake.models import (
    Contact,
    FollowedRequest,
    Inquirer,
    RequestHanding,
    ServiceRequest,
)
from regional311.intake.queries import contact_detail
from regional311.intake.service import Followers, change_request
from regional311.notices.models import OutboxMessage
from regional311.referral import (
    consents,
    filing,
    kept_on,
    lifecycle,
    prohibition,
    questions,
    sending_on,
    service,
    worklist,
)
from regional311.referral.filing import Asker, Intake
from regional311.referral.handing_over import ring_through
from regional311.referral.models import Consent, Referral
from regional311.referral.reminders import keep_loops
from regional311.referral.snapshot import Published
from tests.little_region import IDS, IN_CITY, NOW, ON_BRIDGE, county_bed

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


# --- never contact --------------------------------------------------------------------------------

NEVER = {"contact_prohibited": True, "safe_to_call": False, "may_leave_message": False}


@pytest.fixture
def staff(city):
    """Somebody at each partner who is told; at 211 one of two works it."""
    made = {}
    for tenant_id, role in ((HELP, "partner"), (COUNTY, "supervisor"), (STATE, "partner")):
        with acting_for(city, tenant_id):
            made[tenant_id] = new_id()
            grant(
                city,
                person_id=made[tenant_id],
                name="Who works it",
                email=f"{tenant_id.int % 1000}@partner.example",
                roles=(role,),
            )
    return made


def letters(session, tenant_id):
    with acting_for(session, tenant_id):
        return session.execute(
            select(OutboxMessage.recipient, OutboxMessage.heading, OutboxMessage.body).where(
                OutboxMessage.tenant_id == tenant_id, OutboxMessage.event == "never_contact"
            )
        ).all()


def envelopes(session, tenant_id, subject_id):
    with acting_for(session, tenant_id):
        return list(
            session.execute(
                select(Envelope.from_tenant_id).where(
                    Envelope.tenant_id == tenant_id,
                    Envelope.subject_id == subject_id,
                    Envelope.kind == prohibition.CONTACT_PROHIBITED,
                )
            ).scalars()
        )


def test_never_contact_goes_along_everything_that_was_referred_onward(city, chain, staff):
    prohibition.prohibit(
        city, now=LATER, contact_id=chain.first.contact_id, url="https://311.example"
    )
    found = list(chain.rows(city))
    assert len(found) == 6
    assert all(NEVER.items() <= row.shared.items() for _tenant, row in found)
    number = row_of(city, COUNTY, chain.second).public_id
    ((recipient, heading, body),) = letters(city, COUNTY)
    assert (recipient, number in heading) == (f"{COUNTY.int % 1000}@partner.example", True)
    assert f"https://311.example/county/referrals/{number}" in body
    # who has it from 211 does not learn that 211 has it from the City
    assert "211Info says" in body
    assert "City" not in body
    assert len(letters(city, HELP)) == len(letters(city, STATE)) == 1
    assert envelopes(city, HELP, chain.first.referral_id) == [CITY]
    assert envelopes(city, COUNTY, chain.second) == [HELP]
    assert envelopes(city, STATE, chain.third) == [COUNTY]
    prohibition.prohibit(city, now=LATER, contact_id=chain.first.contact_id)
    assert len(letters(city, COUNTY)) == 1
    assert row_of(city, COUNTY, chain.second).version == found[-3][1].version


def test_the_word_goes_on_where_a_consent_between_has_ended(city, staff):
    county_bed(city)
    published = Published.load(city)
    first = refer(city, published)
    second = sent_on(city, published, first.referral_id)
    with acting_for(city, HELP):
        own = city.execute(select(Consent).where(Consent.tenant_id == HELP)).scalar_one()
        own.expires_at += timedelta(days=30)
        city.flush()
    late = NOW + timedelta(days=181)
    assert consents.expire_consents(city, now=late) == 1
    prohibition.prohibit(city, now=late, contact_id=first.contact_id)
    assert row_of(city, HELP, first.referral_id).shared == ERASED
    assert NEVER.items() <= row_of(city, COUNTY, second).shared.items()
    assert (letters(city, HELP), len(letters(city, COUNTY))) == ([], 1)


def test_each_contact_of_somebody_who_was_found_again_counts(city, region, staff):
    first, again = refer(city, region), refer(city, region)
    prohibition.prohibit(city, now=LATER, contact_id=first.contact_id)
    assert NEVER.items() <= row_of(city, HELP, again.referral_id).shared.items()


def test_who_shares_a_number_and_has_another_name_may_be_contacted(city, region, staff):
    first = refer(city, region)
    other = needs_of(city, region, replace(ANNA, name="Bo Canary"))(SHELTER)
    prohibition.prohibit(city, now=LATER, contact_id=first.contact_id)
    assert not NEVER.items() <= row_of(city, HELP, other.referral_id).shared.items()


@pytest.mark.parametrize(
    ("to", "reason", "ends"),
    [
        ("cancelled", "person_declined", "person_declined"),
        ("entered_in_error", None, "error"),
        ("cancelled", "sender_withdrew", None),
    ],
)
def test_what_the_person_does_not_want_ends_onward_too(city, staff, to, reason, ends):
    county_bed(city)
    published = Published.load(city)
    first = refer(city, published)
    second = sent_on(city, published, first.referral_id)
    version = row_of(city, CITY, first.referral_id).version
    service.move(
        city, now=LATER, referral_id=first.referral_id, version=version, to=to, reason=reason
    )
    for tenant_id in (HELP, COUNTY):
        row = row_of(city, tenant_id, second)
        assert (row.state, row.reason) == (("cancelled", ends) if ends else ("requested", None))


SHELTER, HOLE = {"service": "city/shelter", "consent": "given"}, {"service": "city/pothole"}


def needs_of(session, region, asker):
    """Begin a contact at the desk; what it gives files a need of it, whatever version is known."""
    started = filing.start_contact(session, region, now=NOW, channel="phone")

    def file(what, *, said=asker, version=None):
        session.expire_all()
        contact = session.get(Contact, (CITY, started.id))
        intake = Intake(
            source="desk",
            key=str(new_id()),
            channel="phone",
            started_at=NOW,
            danger_answer="none",
            asker=said,
            contact_id=started.id,
            contact_version=contact.version if version is None else version,
            ends=False,
            place=filing.Place("", *(Decimal(str(each)) for each in reversed(IN_CITY))),
            **what,
        )
        return filing.take_in(session, region, intake, now=LATER)

    return file


def test_each_need_of_a_contact_counts_and_no_news_goes_out(city, region, staff):
    file = needs_of(city, region, replace(ANNA, email="anna@x.example", wants_updates=True))
    hole, bed = file(HOLE), file(SHELTER)
    prohibition.prohibit(city, now=LATER, contact_id=bed.contact_id)
    assert {each.contact_prohibited for each in who_asked(city, CITY)} == {True}
    version = city.get(ServiceRequest, (CITY, hole.request_id)).version
    change_request(
        city,
        now=LATER,
        request_id=hole.request_id,
        version=version,
        to="triaged",
        message="We look at it.",
        followers=Followers({}, "https://311.example"),
    )
    written = city.execute(select(OutboxMessage.recipient, OutboxMessage.state)).all()
    assert not [each for each in written if each == ("anna@x.example", "pending")]


def test_a_form_that_says_nothing_of_it_lifts_no_ban(city, region, staff):
    file = needs_of(city, region, ANNA)
    first = file(SHELTER)
    before = city.get(Contact, (CITY, first.contact_id)).version
    prohibition.prohibit(city, now=LATER, contact_id=first.contact_id)
    with pytest.raises(Stale):
        file(SHELTER, version=before)
    shared = row_of(city, HELP, file(SHELTER).referral_id).shared
    assert shared["contact_prohibited"]
    assert not shared.get("safe_to_call")
    assert {each.contact_prohibited for each in who_asked(city, CITY)} == {True}


def test_said_with_the_second_need_it_holds_for_the_first(city, region, staff):
    file = needs_of(city, region, ANNA)
    first = file(SHELTER)
    file(SHELTER, said=replace(ANNA, contact_prohibited=True))
    assert NEVER.items() <= row_of(city, HELP, first.referral_id).shared.items()


def on_the_bridge(session, region) -> filing.Filed:
    """Report a pothole whose repair is the County's; the person agrees that it knows them."""
    longitude, latitude = (Decimal(str(each)) for each in ON_BRIDGE)
    intake = Intake(
        source="desk",
        key=str(new_id()),
        channel="phone",
        started_at=NOW,
        service="city/pothole",
        place=filing.Place("", latitude, longitude),
        danger_answer="none",
        asker=ANNA,
        consent="given",
    )
    return filing.take_in(session, region, intake, now=NOW)


def who_asked(session, tenant_id):
    with acting_for(session, tenant_id):
        return session.execute(
            select(Inquirer.phone, Inquirer.contact_prohibited).where(
                Inquirer.tenant_id == tenant_id
            )
        ).all()


def test_never_contact_reaches_the_owner_of_a_request(city, region, staff):
    filed = on_the_bridge(city, region)
    assert who_asked(city, COUNTY) == [("503-555-0111", False)]
    prohibition.prohibit(city, now=LATER, contact_id=filed.contact_id)
    assert who_asked(city, COUNTY) == [("503-555-0111", True)]
    ((_recipient, heading, body),) = letters(city, COUNTY)
    assert filed.request_public_id in heading
    assert "City" in body
    assert envelopes(city, COUNTY, filed.request_id) == [CITY]
    with acting_for(city, COUNTY):
        said = city.execute(
            select(AuditEvent.action).where(AuditEvent.subject_id == filed.request_id)
        ).scalars()
        assert "request:prohibit" in set(said)
    prohibition.prohibit(city, now=LATER, contact_id=filed.contact_id)
    assert len(letters(city, COUNTY)) == 1


def test_never_contact_reaches_who_had_a_request_before_its_owner(city, region, staff):
    filed = on_the_bridge(city, region)
    with acting_for(city, COUNTY):
        there = city.execute(
            select(ServiceRequest.__table__).where(ServiceRequest.tenant_id == COUNTY)
        ).one()
        step = {"from_id": COUNTY, "to_id": HELP, "how": "handed", "words": "Not ours.", "at": NOW}
    with acting_for(city, HELP):
        asker = new_id()
        city.add(Inquirer(tenant_id=HELP, id=asker, phone="503-555-0111", safe_to_call=True))
        city.flush()
        values = there._asdict() | {"tenant_id": HELP, "inquirer_id": asker}
        values |= {"assignee_id": staff[HELP]}
        computed = {each.name for each in ServiceRequest.__table__.columns if each.computed}
        city.add(
            ServiceRequest(**{name: each for name, each in values.items() if name not in computed})
        )
        city.flush()
        city.add(RequestHanding(tenant_id=HELP, id=new_id(), request_id=filed.request_id, **step))
        city.flush()
    followed = city.get(FollowedRequest, (CITY, filed.request_id))
    followed.owner_id = HELP
    city.flush()
    prohibition.prohibit(city, now=LATER, contact_id=filed.contact_id)
    assert [each.contact_prohibited for each in who_asked(city, HELP)] == [True]
    assert [each.contact_prohibited for each in who_asked(city, COUNTY)] == [True]


@pytest.mark.parametrize("ended", [False, True])
def test_never_contact_reaches_the_desk_that_took_the_call_over(city, region, staff, ended):
    filed = refer(city, region)
    city.get(Contact, (CITY, filed.contact_id)).ended_at = None
    city.flush()
    number = ring_through(
        city,
        region,
        contact_detail(city, filed.contact_id),
        to="211info",
        line="211info/main",
        person_id=None,
        person_name=None,
        agreed=("name", "phone"),
        reason="Needs a bed",
        now=NOW,
    )
    with acting_for(city, HELP):
        taken = handovers.take_over(city, number, name="Lee", note="", now=NOW)
        asker = new_id()
        city.add(Inquirer(tenant_id=HELP, id=asker, phone="503-555-0111", safe_to_call=True))
        city.flush()
        city.get(Contact, (HELP, taken.contact_id)).inquirer_id = asker
        city.flush()
    if ended:
        late = NOW + timedelta(days=2)
        assert consents.expire_consents(city, now=late)
    prohibition.prohibit(city, now=LATER, contact_id=filed.contact_id)
    assert who_asked(city, HELP) == [("503-555-0111", True)]
    if ended:
        return
    for tenant_id in (CITY, HELP):
        with acting_for(city, tenant_id):
            shared = city.execute(
                select(Handover.shared).where(Handover.tenant_id == tenant_id)
            ).scalar_one()
            assert NEVER.items() <= shared.items()


# --- what goes on after what it is part of has ended ----------------------------------------------


@pytest.fixture
def onward(city):
    """The City referred somebody to 211, and 211 referred them onward to the County."""
    county_bed(city)
    published = Published.load(city)
    first = refer(city, published)
    with acting_for(city, HELP):
        for name, role in (("worker", "partner"), ("lead", "supervisor")):
            grant(city, person_id=new_id(), name=name, email=f"{name}@211.example", roles=(role,))
    return first.referral_id, sent_on(city, published, first.referral_id)


def ended(session, referral_id, to="cancelled", reason="sender_withdrew", **more) -> None:
    service.move(
        session,
        now=NOW,
        referral_id=referral_id,
        version=row_of(session, CITY, referral_id).version,
        to=to,
        reason=reason,
        **more,
    )


def decide(session, second, do, **more):
    with acting_for(session, HELP):
        version = row_of(session, HELP, second).version
        return do(session, now=LATER, referral_id=second, version=version, **more)


def test_what_a_sender_withdraws_is_asked_about_where_it_went_onward(city, onward):
    first, second = onward
    with pytest.raises(kept_on.NothingToDecide):
        decide(city, second, kept_on.withdraw_too)
    ended(city, first)
    assert row_of(city, COUNTY, second).state == "requested"
    row = row_of(city, HELP, second)
    assert (row.state, row.above_ended_at) == ("requested", NOW)
    with acting_for(city, HELP):
        found = worklist.listed(city, "onward", now=LATER, person_id=None)
        assert [each.id for each in found.rows] == [second]
        assert worklist.counts(city, now=LATER, person_id=None)["onward"] == 1
    assert decide(city, second, kept_on.withdraw_too).state == "cancelled"
    row = row_of(city, COUNTY, second)
    assert (row.state, row.reason) == ("cancelled", "sender_withdrew")
    with pytest.raises(kept_on.NothingToDecide):
        decide(city, second, kept_on.withdraw_too)


def test_what_goes_on_is_kept_with_words_that_stay_here(city, onward):
    first, second = onward
    ended(city, first)
    for words in ("  ", "x" * (service.MAX_NOTE + 1)):
        with pytest.raises(InvalidInput):
            decide(city, second, kept_on.keep_on, words=words)
    decide(city, second, kept_on.keep_on, words=" She moves in on Monday. ")
    row = row_of(city, HELP, second)
    assert (row.state, row.above_ended_at) == ("requested", None)
    assert row.note == "She moves in on Monday."
    assert row_of(city, COUNTY, second).note is None
    with pytest.raises(kept_on.NothingToDecide):
        decide(city, second, kept_on.keep_on, words="Again.")


def test_whoever_referred_onward_is_asked_until_they_have_decided(city, onward):
    first, _second = onward
    ended(city, first)
    for hour in range(0, 24 * 9, 12):
        with acting_for(city, HELP):
            keep_loops(city, now=NOW + timedelta(hours=hour), url="https://example.org")
    with acting_for(city, HELP):
        told = [
            each.recipient
            for each in city.execute(
                select(OutboxMessage.recipient)
                .where(OutboxMessage.tenant_id == HELP, OutboxMessage.event == "onward_goes_on")
                .order_by(OutboxMessage.id)
            )
        ]
    assert sorted(told[:2]) == ["lead@211.example", "worker@211.example"]
    assert told[2:] == ["lead@211.example"]


@pytest.mark.parametrize(
    ("to", "reason", "more"),
    [
        ("completed", None, {"outcome": "met", "booked_on": date(2026, 10, 5)}),
        ("cancelled", "person_declined", {}),
    ],
)
def test_nobody_is_asked_where_it_was_done_or_ends_by_itself(city, onward, to, reason, more):
    first, second = onward
    with acting_for(city, HELP):
        version = row_of(city, HELP, first).version
        service.move(
            city, now=NOW, referral_id=first, version=version, to=to, reason=reason, **more
        )
    assert row_of(city, HELP, second).above_ended_at is None
