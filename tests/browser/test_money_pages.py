"""Every page about money and set-up in a real browser: axe, no sideways scrolling at 360 px."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.rate_changes import current
from regional311.chargeback.rate_sheets import write_sheet
from regional311.chargeback.rate_uploads import send_sheet
from regional311.chargeback.rate_uploads import work as read_sheets
from regional311.chargeback.rating import run_rating
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.notices.models import OutboxMessage
from regional311.referral.filing import Intake, take_in
from regional311.referral.models import RuleSet
from regional311.referral.snapshot import invalidate, published

from .conftest import PHONE

CITY, COUNTY = "city-of-portland", "multnomah-county"
OCTOBER = datetime(2026, 10, 5, 17, tzinfo=UTC)
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
ROLES = ("finance", "approver", "administrator", "auditor", "specialist")


@pytest.fixture(scope="module")
def month(site) -> dict[str, str]:
    """A month taken in by the City, billed in part, with one statement issued to the County."""
    invalidate()
    region = published(site.engine)
    wanted = [s for s in region.directory.services if s.tenant in (CITY, COUNTY)]
    me = site.tenants[CITY]
    people = {}
    for role in ("finance", "approver"):
        email = site.account(CITY, role)
        with session_scope(site.engine, Scope(me)) as session:
            people[role] = session.execute(
                text("SELECT person_id FROM memberships WHERE email = :e"), {"e": email}
            ).scalar_one()
    with session_scope(site.engine, Scope(me)) as session:
        for number in range(70):
            service = wanted[number * len(wanted) // 70]
            at = OCTOBER + timedelta(hours=7 * number)
            intake = Intake(
                source="demo",
                key=f"shot-{number}",
                channel=("phone", "chat", "email")[number % 3],
                started_at=at,
                ended_at=at,
                handle_seconds=200 + number,
                service=f"{service.tenant}/{service.key}",
                danger_answer="none",
                consent="refused",
                after_hours=False,
            )
            take_in(session, region, intake, now=at)
    with session_scope(site.engine, Scope(me, people["finance"])) as session:
        run = run_rating(session, period=Period.month("2026-10"), now=NOW)
        drafts = billing.draft_statements(session, run.id, now=NOW)
        used = session.execute(
            text(
                "SELECT s.id FROM statements s JOIN statement_lines l ON l.tenant_id = s.tenant_id"
                " AND l.statement_id = s.id WHERE s.tenant_id = :t AND s.payer_kind = 'partner'"
                " AND l.kind = 'usage' ORDER BY s.id LIMIT 1"
            ),
            {"t": me},
        ).scalar_one()
        drafts = [used, *(each for each in drafts if each != used)]
        billing.submit(session, drafts[0], now=NOW)
    with session_scope(site.engine, Scope(me, people["approver"])) as session:
        billing.approve(session, drafts[0], now=NOW)
    with session_scope(site.engine, Scope(me, people["finance"])) as session:
        billing.issue(session, drafts[0], now=NOW)
        run = run_rating(session, period=Period.month("2026-09"), now=NOW)
        pending = billing.draft_statements(session, run.id, now=NOW)
        put(
            session,
            OutboxMessage(
                tenant_id=me,
                id=new_id(),
                event="request_received",
                recipient="person@example.org",
                heading="Your request",
                body="We have it.",
                state="dead",
                attempts=12,
                created_at=NOW,
                due_at=NOW,
                last_error="The mail server refused the recipient (550).",
            ),
        )
        rules = session.execute(
            text("SELECT rules FROM rule_sets WHERE tenant_id = :t AND version = 1"), {"t": me}
        ).scalar_one()
        put(
            session,
            RuleSet(
                tenant_id=me,
                id=new_id(),
                version=2,
                state="draft",
                published=None,
                rules=rules[1:],
                digest="0" * 64,
                created_at=NOW,
            ),
        )

    sheets = {}
    with session_scope(site.engine, Scope(me, people["finance"])) as session:
        known, _rows = current(session)
        dearer = [replace(rate, amount=rate.amount + 1) for rate in known if rate.model == "unit"]
        for name, rates in (("drafted", dearer), ("broken", [*dearer, *dearer])):
            sheets[name] = send_sheet(session, name=name, content=write_sheet(rates), now=NOW)
    read_sheets(site.engine, me, lambda: NOW)

    def one(sql: str, **values: object) -> str:
        with session_scope(site.engine, Scope(me)) as session:
            return str(session.execute(text(sql), {"t": me, **values}).scalar_one())

    numbered = "SELECT public_id FROM statements WHERE tenant_id = :t AND id = :id"
    issued = one(numbered, id=drafts[0])
    line = one(
        "SELECT position FROM statement_lines WHERE tenant_id = :t AND statement_id = :id"
        " AND kind = 'usage' ORDER BY item_count DESC LIMIT 1",
        id=drafts[0],
    )
    pool = one(
        "SELECT position FROM statement_lines WHERE tenant_id = :t AND statement_id = :id"
        " AND kind = 'pool'",
        id=drafts[0],
    )
    item = one(
        "SELECT i.id FROM statement_items i JOIN statement_lines l ON l.id = i.line_id"
        " WHERE i.tenant_id = :t AND l.statement_id = :id AND l.position = :line LIMIT 1",
        id=drafts[0],
        line=int(line),
    )
    return {
        "issued": issued,
        "draft": one(numbered, id=pending[0]),
        "line": line,
        "pool": pool,
        "item": item,
        "entry": one("SELECT id FROM journal_entries WHERE tenant_id = :t LIMIT 1"),
        "rate": one(
            "SELECT key FROM rates WHERE tenant_id = :t AND upper_inf(recorded)"
            " ORDER BY key LIMIT 1"
        ),
        "person": str(people["finance"]),
        "broken_sheet": str(sheets["broken"]),
        "rate_proposal": one(
            "SELECT proposal_id FROM rate_sheets WHERE tenant_id = :t AND id = :id",
            id=sheets["drafted"],
        ),
    }


PAGES = {
    "finance": (
        ("billing", "billing"),
        ("billing-month", "billing/2026-10"),
        ("billing-usage", "billing/2026-10/usage"),
        ("billing-checks", "billing/2026-10/checks"),
        ("billing-bills", "billing/2026-10/bills"),
        ("statements", "statements"),
        ("statements-received", "statements/received"),
        ("statement-draft", "statements/{draft}"),
        ("statement-issued", "statements/{issued}"),
        ("statement-line", "statements/{issued}/{line}"),
        ("statement-pool-line", "statements/{issued}/{pool}"),
        ("statement-item", "statements/{issued}/{line}/{item}"),
        ("ledger", "ledger"),
        ("ledger-journal", "ledger/journal"),
        ("ledger-entry", "ledger/{entry}"),
        ("ledger-account", "ledger/accounts/due_from_partners"),
        ("ledger-accounts", "ledger/accounts"),
        ("ledger-balances", "ledger/balances?as_of=2027-01-31"),
        ("ledger-periods", "ledger/periods"),
        ("ledger-period", "ledger/periods/2026-10"),
        ("ledger-checks", "ledger/checks"),
        ("ledger-seals", "ledger/seals"),
        ("ledger-exports", "ledger/exports"),
        ("ledger-recovery", "ledger/recovery"),
        ("agreements", "agreements"),
        ("agreement", "agreements/city-intake-for-county"),
        ("rates", "rates"),
        ("rate", "rates/{rate}"),
        ("rate-edit", "rates/{rate}/edit"),
        ("rate-new", "rates/new"),
        ("rates-grid", "rates/grid?card=intake"),
        ("rate-price", "rates/price"),
        ("rate-sheet", "rates/sheet"),
        ("rate-sheet-broken", "rates/sheets/{broken_sheet}"),
        ("rate-proposal", "rates/proposals/{rate_proposal}"),
        ("rate-proposals", "rates/proposals"),
        ("pools", "pools?as_of=2026-10-15"),
        ("pool", "pools/i-and-r?as_of=2026-10-15"),
    ),
    "administrator": (
        ("rules", "rules"),
        ("rules-draft", "rules/2"),
        ("people", "people"),
        ("person", "people/{person}"),
        ("person-new", "people/new"),
        ("settings", "settings"),
        ("audit", "audit"),
    ),
}


@pytest.mark.parametrize("role", PAGES)
def test_pages_of_a_role(open_page, examine, month, role):
    page = open_page(role, CITY, width=PHONE)
    for name, path in PAGES[role]:
        page.goto(f"/{CITY}/{path.format(**month)}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)


def test_the_payers_copy_and_the_region(open_page, examine, month):
    page = open_page("finance", COUNTY, width=PHONE)
    page.goto(f"/{COUNTY}/statements/received")
    examine(page, "payer-received")
    page.goto(f"/{COUNTY}/statements/{month['issued']}")
    examine(page, "payer-statement")
    page.goto(f"/{COUNTY}/statements/{month['issued']}/{month['line']}/{month['item']}")
    examine(page, "payer-item") if "no such page" not in page.content() else None
    page = open_page("administrator", "region", width=PHONE)
    for name, path in (("region", ""), ("region-checks", "/checks?period=2026-10")):
        page.goto(f"/region{path}")
        examine(page, name)
