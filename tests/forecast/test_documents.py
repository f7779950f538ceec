"""What was given out of an issued statement stays as it was, whatever changes later."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.chargeback.documents import pdf
from regional311.chargeback.documents.keeping import FileDamaged, kept_pdf
from regional311.chargeback.verification import check_books
from regional311.forecast.documents import document_of, write_document
from regional311.settlement import queries as settlement
from tests.ledger.test_seals import tamper

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 5, 17, tzinfo=UTC)
LATE = datetime(2026, 11, 4, 7, 30, tzinfo=UTC)
"""Still November 3 in Portland."""


@pytest.fixture
def billed(region, bill):
    region.agree(
        "city-county",
        "city",
        "county",
        "contact_handled",
        terms={"due_days": 30, "number_prefix": "CITY"},
    )
    region.rate("city", "phone", "contact_handled", "4.905", channel="phone")
    region.use("city", "county")
    bill(region, "2026-10")
    return region


def made(region, slug, number="CITY-00001"):
    file = io.BytesIO()
    with region.of(slug) as session:
        assert write_document(session, number, "pdf", file, now=NOW)
    return file.getvalue()


def test_the_first_pdf_stays_whatever_sets_it_later(billed, monkeypatch):
    first = {slug: made(billed, slug) for slug in ("city", "county")}
    changed = pdf._template().replace(b"Statement", b"Invoice") + b"\n// another\n"
    monkeypatch.setattr(pdf, "_template", lambda: changed)
    monkeypatch.setattr(pdf, "format_cents", lambda cents: f"{cents} cents")
    assert {slug: made(billed, slug) for slug in ("city", "county")} == first
    with billed.of("city") as session:
        found = session.execute(
            text("SELECT content, digest, rendering, made_at FROM statement_files")
        ).all()
        assert [bytes(row.content) for row in found] == [first["city"]]
        assert found[0].rendering.startswith("template ")
        assert "typst" in found[0].rendering
    assert check_books(billed.engine, billed.tenants).ok


def test_a_draft_is_made_anew_each_time(billed, bill):
    billed.use("city", "county", at=(2026, 11, 5, 9))
    bill(billed, "2026-11", "draft")
    with billed.of("city") as session:
        number = session.execute(
            text("SELECT public_id FROM statements WHERE period_key = '2026-11'")
        ).scalar_one()
    made(billed, "city", number)
    with billed.of("city") as session:
        assert session.execute(text("SELECT count(*) FROM statement_files")).scalar_one() == 0


def test_the_day_of_issue_stays_when_the_issuer_moves_to_another_zone(billed, empty_database):
    tamper(
        empty_database,
        ("UPDATE statement_events SET at = :at WHERE number IS NOT NULL", {"at": LATE}),
    )

    def days(slug):
        with billed.of(slug) as session:
            document = document_of(session, "CITY-00001")
            (row,) = settlement.documents(session, NOW.date())
            return document.dated, document.due_on, row.issued_on, row.due_on

    before = {slug: days(slug) for slug in ("city", "county")}
    assert before["city"][0] == before["city"][2] == datetime(2026, 11, 3, tzinfo=UTC).date()
    with billed.of("city") as session:
        session.execute(
            text("UPDATE tenants SET zone = 'Asia/Tokyo' WHERE id = :id"),
            {"id": billed.tenants["city"]},
        )
    with billed.of("city") as session:
        zone = session.execute(
            text("SELECT zone FROM tenants WHERE id = :id"), {"id": billed.tenants["city"]}
        ).scalar_one()
    assert zone == "Asia/Tokyo"
    assert {slug: days(slug) for slug in ("city", "county")} == before


def test_a_kept_pdf_that_was_changed_is_refused_and_named(billed, empty_database):
    made(billed, "city")
    tamper(empty_database, ("UPDATE statement_files SET content = content || '\\x00'",))
    with pytest.raises(FileDamaged):
        made(billed, "city")
    assert problems(billed) == {"file_changed"}
    tamper(empty_database, ("UPDATE statement_files SET digest = encode(sha256(content), 'hex')",))
    with billed.of("city") as session:
        (statement_id,) = session.execute(text("SELECT statement_id FROM statement_files")).one()
        assert kept_pdf(session, statement_id)
    assert problems(billed) == {"file_changed"}
    tamper(empty_database, ("DELETE FROM statement_files",))
    assert problems(billed) == {"file_gone"}


def problems(region):
    report = check_books(region.engine, region.tenants)
    return {each.kind for check in report.checks for each in check.problems}
