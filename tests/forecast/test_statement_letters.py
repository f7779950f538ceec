"""A body outside gets its statement by e-mail: written with the issue, its PDF as it leaves."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from regional311.chargeback.outside import sent_out
from regional311.forecast.documents import write_document
from regional311.forecast.statement_letters import with_statements
from regional311.notices.delivery import as_written, compose, lease
from regional311.notices.troubles import note_trouble
from tests.ledger.test_seals import tamper

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 5, 17, tzinfo=UTC)
POWER = {"name": "Power Company", "address": "1 Example Street"}


@pytest.fixture
def billed(region, bill):
    def run(**reached):
        region.agree(
            "utilities",
            "city",
            "city",
            "contact_handled",
            payer_kind="outside",
            payer_key="power",
            terms={
                "due_days": 30,
                "number_prefix": "CITY",
                "minimum_cents": 100_00,
                "services": ["power"],
                "outside": POWER | reached,
            },
        )
        region.rate("city", "contact", "contact_handled", "10")
        region.use("city", "city", bureau_key="power", service_key="power")
        bill(region, "2026-10")
        return region

    return run


def leaving(session, now=NOW):
    leased = lease(session, now=now, until=now + timedelta(minutes=5))
    return with_statements(as_written)(session, leased, now)


def test_the_letter_is_written_with_the_issue_and_brings_the_kept_pdf(billed):
    region = billed(email="bills@power.example")
    with region.of("city") as session:
        (row,) = session.execute(
            text("SELECT event, recipient, heading, body, state FROM outbox_messages")
        ).all()
        assert (row.event, row.recipient) == ("statement_outside", "bills@power.example")
        assert row.heading == "Statement CITY-00001 of City"
        assert "October 2026: $100.00, due on December 3, 2026." in row.body
        assert session.execute(text("SELECT count(*) FROM statement_files")).scalar_one() == 0
    with region.of("city") as session:
        (letter,) = leaving(session)
    message = compose(letter, mail_from="311@city.example", now=NOW)
    (attached,) = message.iter_attachments()
    assert attached.get_filename() == "CITY-00001.pdf"
    assert attached.get_content_type() == "application/pdf"
    assert message.get_body().get_content().startswith("City has issued statement CITY-00001")
    shown = io.BytesIO()
    with region.of("city") as session:
        assert write_document(session, "CITY-00001", "pdf", shown, now=NOW)
        found = sent_out(session, letter.subject_id)
        assert (found.recipient, found.state) == ("bills@power.example", "pending")
    assert attached.get_content() == shown.getvalue()
    with region.of("county") as session:
        assert sent_out(session, letter.subject_id) is None


def test_a_letter_that_came_back_counts_as_not_sent(billed):
    region = billed(email="Bills@power.example")
    with region.of("city") as session:
        session.execute(
            text("UPDATE outbox_messages SET state = 'sent', sent_at = :at"), {"at": NOW}
        )
        statement_id = session.execute(text("SELECT id FROM statements")).scalar_one()
        assert sent_out(session, statement_id).state == "sent"
        note_trouble(
            session,
            "bills@power.example",
            "5.1.1",
            message_id=None,
            lasting=True,
            now=NOW + timedelta(minutes=1),
        )
    with region.of("city") as session:
        assert sent_out(session, statement_id).state == "returned"


def test_without_an_address_no_letter_is_written(billed):
    region = billed()
    with region.of("city") as session:
        assert session.execute(text("SELECT count(*) FROM outbox_messages")).scalar_one() == 0
        statement_id = session.execute(text("SELECT id FROM statements")).scalar_one()
        assert sent_out(session, statement_id) is None


def test_a_letter_whose_document_is_damaged_does_not_leave(billed, empty_database):
    region = billed(email="bills@power.example")
    with region.of("city") as session:
        write_document(session, "CITY-00001", "pdf", io.BytesIO(), now=NOW)
    tamper(empty_database, ("UPDATE statement_files SET content = content || '\\x00'",))
    with region.of("city") as session:
        assert leaving(session) == []
    with region.of("city") as session:
        row = session.execute(text("SELECT state, last_error FROM outbox_messages")).one()
    assert row.state == "dead"
    assert "by post" in row.last_error


def test_other_letters_leave_as_they_are(billed):
    region = billed(email="bills@power.example")
    with region.of("city") as session:
        session.execute(text("UPDATE outbox_messages SET event = 'budget_warning'"))
    with region.of("city") as session:
        (letter,) = leaving(session)
    assert letter.files == ()
