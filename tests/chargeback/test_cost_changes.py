"""Bodies outside and own bureaus are told of a shared cost that changes, each of its own part."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import select

from regional311.allocation import base_changes, pool_changes
from regional311.allocation.pools import newest
from regional311.allocation.snapshots import ReadingsSaid
from regional311.chargeback.cost_changes import approve_base, approve_pool
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.identity.members import add_member
from regional311.notices.choosing import TO_STAFF
from regional311.notices.models import OutboxMessage
from regional311.notices.service import WITH_STATEMENT
from regional311.tenancy.models import Bureau
from tests.chargeback.test_billing import NOW
from tests.pools import next_base, next_readings, next_version

pytestmark = pytest.mark.commits

LAST = date(2026, 6, 30)
SHARES = {"outside:power": 25, "bureau:parks": 50, "county": 25}


@pytest.fixture
def outside(region):
    """A pool that the power company, two bureaus and the County bear."""
    for key, email in (("power", "bills@power.example"), ("gas", None)):
        body = {"name": key.title()} | ({"email": email} if email else {})
        terms = {"due_days": 30, "outside": body, "services": [key]}
        said = {"payer_kind": "outside", "payer_key": key, "pool_key": "desk", "terms": terms}
        region.agree(key, "city", "city", "contact_handled", **said)
    region.pool("city", "desk", 1_200_00, SHARES)
    with region.of("city") as session:
        tenant_id = region.tenants["city"]
        for key in ("parks", "water"):
            bureau = {"key": key, "name": f"{key.title()} Bureau", "kind": "bureau"}
            put(session, Bureau(tenant_id=tenant_id, id=new_id(), **bureau))
        add_member(session, name="Fin", email="fin@city.test", roles=["finance"], now=NOW)
        add_member(session, name="Aud", email="aud@city.test", roles=["auditor"], now=NOW)
    return region


def letters(session):
    rows = session.execute(
        select(OutboxMessage).where(OutboxMessage.event.like("pool_changed%"))
    ).scalars()
    return {(row.event, row.recipient): row.body for row in rows}


def test_a_body_outside_and_own_bureaus_are_told_of_their_parts(outside):
    shares = {
        "outside:power": 15,
        "outside:gas": 10,
        "bureau:parks": 40,
        "bureau:water": 10,
        "county": 25,
    }
    with outside.of("city", outside.preparer) as session:
        said = pool_changes.said_of(session, newest(session, "desk", 2027))
        said = replace(said, shares={who: Decimal(part) for who, part in shares.items()})
        made = pool_changes.draft(session, "desk", 2027, said, why="The board", now=NOW)
        pool_changes.send_for_approval(session, made, now=NOW)
    with outside.of("city", outside.approver) as session:
        approve_pool(session, made, now=NOW)
    with outside.of("city") as session:
        found = letters(session)
    assert found.keys() == {
        ("pool_changed_outside", "bills@power.example"),
        ("pool_changed_bureaus", "fin@city.test"),
    }
    to_power = found["pool_changed_outside", "bills@power.example"]
    assert "Desk: $300.00 before, $180.00 now" in to_power
    assert "The board" in to_power
    assert "tell City" in to_power
    assert "480.00" not in to_power
    to_finance = found["pool_changed_bureaus", "fin@city.test"]
    assert "Parks Bureau, Desk: $600.00 before, $480.00 now" in to_finance
    assert "Water Bureau, Desk: $0.00 before, $120.00 now" in to_finance
    assert "180.00" not in to_finance
    with outside.of("county") as session:
        assert not letters(session)


def test_new_readings_are_told_like_a_new_version(outside):
    with outside.of("city") as session:
        next_base(session, "heads", kind="population")
        next_readings(session, "heads", {"outside:power": "1", "bureau:parks": "1"}, as_of=LAST)
        next_version(session, "desk", base_key="heads", shares={})
    said = ReadingsSaid(LAST, "A recount", {"outside:power": "1", "bureau:parks": "3"})
    with outside.of("city", outside.preparer) as session:
        made = base_changes.draft_readings(session, "heads", said, why="Recount", now=NOW)
        base_changes.send_for_approval(session, made, now=NOW)
    with outside.of("city", outside.approver) as session:
        approve_base(session, made, now=NOW)
    with outside.of("city") as session:
        found = letters(session)
    to_power = found["pool_changed_outside", "bills@power.example"]
    assert "City changed Heads for the fiscal year 2027" in to_power
    assert "Desk: $600.00 before, $300.00 now" in to_power


def test_such_a_letter_brings_no_statement_and_is_chosen_by_no_colleague():
    assert "pool_changed_outside" not in WITH_STATEMENT | TO_STAFF
    assert "pool_changed_bureaus" in TO_STAFF
