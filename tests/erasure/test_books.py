"""The books do not change when people are erased, and a dispute keeps whom it is about."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.explain import explain
from regional311.chargeback.models import StatementItem
from regional311.chargeback.rating import run_rating
from regional311.chargeback.verification import check_books
from regional311.database.ids import public_id
from regional311.database.rows import new_row, put
from regional311.erasure.kinds import KINDS
from regional311.intake.models import Contact, Inquirer
from regional311.ledger import seals
from regional311.settlement.disputes import open_dispute, withdraw
from tests.chargeback.conftest import Region, region  # noqa: F401

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
SOON = datetime(2026, 11, 20, 17, tzinfo=UTC)
YEARS = NOW + timedelta(days=3650)
BOOKS = (
    *("usage_events", "charges", "statements", "statement_lines", "statement_items"),
    *("statement_events", "journal_entries", "postings", "ledger_seals", "ledger_seal_entries"),
)


@pytest.fixture
def billed(region: Region) -> Region:  # noqa: F811
    """October: the City answered three people for the County, each with a name and a note."""
    region.agree("city-county", "city", "county", "contact_handled")
    region.rate("city", "phone", "contact_handled", "4.905", channel="phone")
    for day in (1, 5, 31):
        event_id = region.use("city", "county", at=(2026, 10, day, 9))
        with region.of("city") as session:
            contact_id, at = session.execute(
                text("SELECT contact_id, occurred_at FROM usage_events WHERE id = :id"),
                {"id": event_id},
            ).one()
            tenant_id = region.tenants["city"]
            put(
                session,
                new_row(Inquirer, tenant_id=tenant_id, id=event_id, name="Dana Canary"),
            )
            put(
                session,
                new_row(
                    Contact,
                    tenant_id=tenant_id,
                    id=contact_id,
                    public_id=public_id("C"),
                    source_key=f"desk:{event_id}",
                    line_owner_id=tenant_id,
                    channel="phone",
                    started_at=at,
                    ended_at=at,
                    inquirer_id=event_id,
                    note="canary",
                ),
            )
    with region.of("city", region.preparer) as session:
        run = run_rating(session, period=Period.of(2026, 10), now=NOW)
        drafts = billing.draft_statements(session, run.id, now=NOW)
        for draft in drafts:
            billing.submit(session, draft, now=NOW)
    with region.of("city", region.approver) as session:
        for draft in drafts:
            billing.approve(session, draft, now=NOW)
            billing.issue(session, draft, now=NOW)
    for slug in region.tenants:
        with region.of(slug) as session:
            seals.seal_everything(session, NOW)
    return region


def erase(billed, now=YEARS):
    """What the worker erased at every partner, by kind."""
    found: dict[str, int] = {}
    for slug in billed.tenants:
        for kind in KINDS:
            with billed.of(slug) as session:
                found[kind.key] = found.get(kind.key, 0) + kind.do(session, now)
    return found


def books(billed):
    """Every row of the books, word for word, of every partner."""
    found = {}
    for slug in billed.tenants:
        with billed.of(slug) as session:
            for table in BOOKS:
                rows = session.scalars(text(f"SELECT t::text FROM {table} t ORDER BY 1"))
                found[slug, table] = list(rows)
    return found


def contacts(billed):
    with billed.of("city") as session:
        return list(session.scalars(select(Contact.note)))


def test_books_stay_as_they_are_and_pass_every_check(billed):
    before = books(billed)
    assert before["city", "statement_items"]
    done = erase(billed)
    assert (done["contact"], done["inquirer"]) == (3, 3)
    assert contacts(billed) == [None] * 3
    assert books(billed) == before
    report = check_books(billed.engine, billed.tenants)
    assert report.ok, str(report)
    with billed.of("city") as session:
        seals.seal_everything(session, YEARS)
    assert check_books(billed.engine, billed.tenants).ok


def test_a_line_is_still_explained_down_to_its_contacts(billed):
    erase(billed)
    with billed.of("city") as session:
        items = session.execute(
            select(StatementItem.contact_id, Contact.public_id)
            .join(Contact, Contact.id == StatementItem.contact_id)
            .where(StatementItem.tenant_id == Contact.tenant_id)
        ).all()
        statement_id = session.scalar(text("SELECT id FROM statements"))
        assert explain(session, statement_id)
    assert len(items) == 3


def test_a_dispute_that_is_open_keeps_whom_it_is_about(billed):
    with billed.of("county", billed.approver) as session:
        statement_id = session.scalar(text("SELECT id FROM statements"))
        dispute_id = open_dispute(
            session,
            statement_id,
            1,
            amount_cents=100,
            reason="wrong_quantity",
            evidence="One call less.",
            now=SOON,
        )
    done = erase(billed)
    assert (done["contact"], done["inquirer"]) == (0, 0)
    assert contacts(billed) == ["canary"] * 3
    with billed.of("county", billed.approver) as session:
        withdraw(session, dispute_id, amount_cents=100, note="We found it.", now=SOON)
    assert erase(billed)["contact"] == 3


def test_a_partner_keeps_people_as_long_as_the_policy_says_of_it(billed):
    entries = [
        {"key": "all", "kind": "contact", "keep_days": 30, "then": "redact"},
        {"key": "city", "kind": "contact", "keep_days": 5000, "then": "redact", "tenant": "city"},
    ]
    with billed.of("region") as session:
        session.execute(
            text(
                "INSERT INTO policies (tenant_id, id, key, body, valid_from)"
                " VALUES (:t, gen_random_uuid(), 'retention', CAST(:body AS jsonb), '2020-01-01')"
            ),
            {
                "t": billed.tenants["region"],
                "body": json.dumps({"retention": entries}),
            },
        )
    assert erase(billed)["contact"] == 0
    assert erase(billed, NOW + timedelta(days=5001))["contact"] == 3
