"""Recorded work on its pages: what is confidential stays so, and a file has all of it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from regional311.chargeback import recorded_work
from regional311.chargeback.correcting import Really, correct_work
from regional311.database.session import Scope, acting_for, session_scope
from regional311.metering.models import UsageEvent
from regional311.referral import service as referrals
from regional311.referral.filing import Asker, Intake, take_in
from regional311.referral.models import Referral
from regional311.referral.snapshot import invalidate, published

pytestmark = pytest.mark.commits

CITY, COUNTY = "city-of-portland", "multnomah-county"
DONE = datetime(2026, 10, 6, 17, tzinfo=UTC)
LATER = datetime(2026, 11, 3, 18, tzinfo=UTC)


@pytest.fixture
def city(web_engine, people, clock):
    """A session of the City's, three weeks after the work."""
    clock.now = LATER
    invalidate()
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        yield session


@pytest.fixture
def took(city, web_engine):
    """Take in a contact about a service; give the events of its work."""

    def take(service, key):
        filed = take_in(
            city,
            published(web_engine),
            Intake(
                source="demo",
                key=key,
                channel="phone",
                started_at=DONE,
                ended_at=DONE + timedelta(minutes=4),
                handle_seconds=240,
                service=service,
                asker=Asker(name="Ana Q"),
                danger_answer="none",
                consent="given",
                after_hours=False,
            ),
            now=DONE,
        )
        city.flush()
        found = select(UsageEvent).where(
            UsageEvent.tenant_id == city.scope.tenant_id,
            UsageEvent.contact_id == filed.contact_id,
        )
        return filed, list(city.scalars(found))

    return take


def correct(session, event, **really):
    return correct_work(
        session,
        event.id,
        replace(Really.of(event), **really),
        reason="wrong_service",
        now=LATER,
        booked_on=date(2026, 11, 3),
    )


def test_work_of_a_confidential_contact_stays_so_when_it_is_corrected(
    city, took, web_engine, sign_in, people
):
    """Neither the pages of its work nor the list of what to look at say which contact it was."""
    services = published(web_engine).directory.services
    service = next(
        each
        for each in services
        if each.confidential and each.tenant == COUNTY and each.place != "required"
    )
    filed, (event,) = took(f"{COUNTY}/{service.key}", "in-confidence")
    corrected = correct(city, event, service_owner_id=people.tenants[CITY], service_key="pothole")

    def step(to, **more):
        row = city.execute(
            select(Referral.version).where(
                Referral.tenant_id == city.scope.tenant_id, Referral.id == filed.referral_id
            )
        ).one()
        referrals.move(
            city,
            now=LATER,
            referral_id=filed.referral_id,
            version=row.version,
            to=to,
            booked_on=LATER.date(),
            **more,
        )

    with acting_for(city, people.tenants[COUNTY]):
        step("accepted")
        step("completed", outcome="met")
    step("entered_in_error")
    city.commit()
    browser, county = sign_in("finance", CITY), sign_in("finance", COUNTY)
    page = browser.get(f"/{CITY}/recorded-work/{corrected}")
    assert "confidential" in page
    assert filed.contact_public_id not in page
    usage = browser.get(f"/{CITY}/billing/2026-10/usage")
    assert str(corrected) in usage
    assert filed.contact_public_id not in usage
    listed = county.get(f"/{COUNTY}/recorded-work")
    assert "(confidential)" in listed
    assert filed.referral_public_id not in listed


def test_a_file_of_corrected_work_has_all_of_it(city, took, sign_in, monkeypatch):
    """However many chunks it is read in, each correction once, the latest first."""
    monkeypatch.setattr(recorded_work, "CHUNK", 2)
    _filed, (event, *_others) = took(f"{CITY}/pothole", "again-and-again")
    made = []
    for number in range(1, 6):
        made.append(correct(city, event, handle_seconds=number))
        event = city.get_one(UsageEvent, (city.scope.tenant_id, made[-1]))
    city.commit()
    browser = sign_in("finance", CITY)
    told = browser.get(f"/{CITY}/recorded-work?format=json").json
    assert {row["anew"] for row in told} >= set(map(str, made))
    assert len({row["reversal"] for row in told}) == len(told)
    lines = list(csv.DictReader(io.StringIO(browser.get(f"/{CITY}/recorded-work?format=csv").text)))
    assert [row["reversal"] for row in lines] == [row["reversal"] for row in told]
