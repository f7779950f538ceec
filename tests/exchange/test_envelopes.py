"""Envelopes: the only way across, and only under one's own name."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import acting_for
from regional311.exchange.models import Envelope
from regional311.exchange.service import envelope_row, erase, tell
from tests.little_region import IDS, NOW


def test_only_the_receiver_reads_it(city):
    subject = new_id()
    tell(
        city, to=IDS["county"], kind="request_status", subject_id=subject, payload={"a": 1}, now=NOW
    )
    send(city)
    assert city.execute(select(Envelope)).all() == []
    with acting_for(city, IDS["211info"]):
        assert city.execute(select(Envelope)).all() == []
    with acting_for(city, IDS["county"]):
        received = city.execute(select(Envelope)).scalar_one()
        assert (received.from_tenant_id, received.payload) == (IDS["city"], {"a": 1})
        assert received.received_at == NOW


def test_forged_sender_is_refused(city):
    forged = envelope_row(
        to=IDS["county"],
        sender=IDS["211info"],
        kind="referral",
        subject_id=new_id(),
        payload={},
        now=NOW,
    )
    put(city, forged)
    with pytest.raises(DBAPIError, match="row-level security"):
        send(city)


def test_erased_leaves_a_receipt(city):
    subject, other = new_id(), new_id()
    for each in (subject, other):
        tell(
            city, to=IDS["county"], kind="referral", subject_id=each, payload={"name": "A"}, now=NOW
        )
    with acting_for(city, IDS["county"]):
        erase(city, subject)
        found = {row.subject_id: row.payload for row in city.execute(select(Envelope)).scalars()}
        assert found == {subject: {"erased": True}, other: {"name": "A"}}


def test_an_envelope_in_transit_has_no_receipt():
    row = envelope_row(
        to=IDS["county"],
        sender=IDS["city"],
        kind="request",
        subject_id=new_id(),
        payload={},
        now=NOW,
        delivered=False,
    )
    assert row.__dict__["received_at"] is None
