"""The pages about settling in a real browser: axe, no sideways scrolling at 360 px."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.settlement.confirmations import ask, state_figures
from regional311.settlement.disputes import open_dispute
from regional311.settlement.netting import propose
from regional311.settlement.payments import Whom, record_payment
from tests.settlement.conftest import Bills

from .conftest import PHONE

CITY, COUNTY, INFO = "city-of-portland", "multnomah-county", "211info"


@pytest.fixture(scope="module")
def settled(site) -> dict[str, str]:
    """Bills both ways, part paid, in part disputed, proposed to be netted, confirmed."""
    now = datetime.now(UTC) - timedelta(minutes=1)
    before = now - timedelta(days=75)
    agreed = {"interest_percent": "6", "dispute_days": 365}

    def of(slug, person=None):
        return session_scope(site.engine, Scope(site.tenants[slug], person))

    def month(at: datetime) -> str:
        return f"{at:%Y-%m}"

    bills = Bills(SimpleNamespace(tenants=site.tenants, of=of), count(1))
    late = bills.bill(CITY, COUNTY, [480_000, 125_050], at=before, period=month(before), **agreed)
    fresh = bills.bill(CITY, COUNTY, [90_000], at=now, period=month(now))
    bills.bill(COUNTY, CITY, [70_000], at=now, period=month(now))
    bills.bill(INFO, CITY, [33_333], at=now, period=month(now))
    today = date.fromisoformat(f"{now.astimezone(UTC):%Y-%m-%d}") - timedelta(days=1)
    with of(CITY, new_id()) as session:
        paid = record_payment(
            session,
            statement_id=late,
            amount_cents=100_000,
            paid_on=today,
            reference="CHK-2231",
            method="check",
            key="one",
            now=now,
        )
        record_payment(
            session,
            whom=Whom(site.tenants[COUNTY]),
            amount_cents=25_000,
            paid_on=today,
            reference="ACH-77",
            method="ach",
            key="two",
            now=now,
        )
    with of(COUNTY, new_id()) as session:
        disputed = open_dispute(
            session,
            late,
            1,
            amount_cents=60_000,
            reason="wrong_quantity",
            evidence="Our own log of transfers shows 120 calls fewer than the line.",
            now=now - timedelta(days=2),
        )
        netted = propose(session, [site.tenants[CITY]], now=now)
        asked = ask(session, site.tenants[CITY], as_of_on=today, now=now)
    with of(CITY, new_id()) as session:
        state_figures(session, asked, claims_cents=1, owes_cents=2, now=now)

    def name(table: str, row_id: object) -> str:
        with of(CITY) as session:
            query = text(f"SELECT public_id FROM {table} WHERE id = :id")
            return str(session.execute(query, {"id": row_id}).scalar_one())

    return {
        "late": name("statements", late),
        "fresh": name("statements", fresh),
        "paid": name("payments", paid),
        "disputed": name("disputes", disputed),
        "netted": name("netting_sets", netted),
        "asked": name("balance_confirmations", asked),
    }


PAGES = {
    (CITY, "finance"): (
        ("settlement", "settlement"),
        ("settlement-receivables", "settlement/receivables"),
        ("settlement-interest", "settlement/interest"),
        ("settlement-netting", "settlement/netting"),
        ("settlement-confirmations", "settlement/confirmations"),
        ("settlement-confirmation", "settlement/confirmations/{asked}"),
        ("payments", "payments"),
        ("payment", "payments/{paid}"),
        ("payment-new", "payments/new?statement={fresh}"),
        ("payment-advance", "payments/new"),
        ("disputes", "disputes"),
        ("dispute-issuer", "disputes/{disputed}"),
    ),
    (CITY, "approver"): (
        ("dispute-approver", "disputes/{disputed}"),
        ("settlement-netting-set", "settlement/netting/{netted}"),
    ),
    (COUNTY, "finance"): (
        ("settlement-payables", "settlement/payables"),
        ("dispute-payer", "disputes/{disputed}"),
        ("dispute-new", "disputes/new"),
        ("dispute-new-line", "disputes/new?statement={late}"),
    ),
    (INFO, "auditor"): (("settlement-empty", "disputes"),),
}


@pytest.mark.parametrize("who", PAGES, ids="-".join)
def test_pages_about_settling(open_page, examine, settled, who):
    slug, role = who
    page = open_page(role, slug, width=PHONE)
    for name, path in PAGES[who]:
        page.goto(f"/{slug}/{path.format(**settled)}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)


def test_the_regions_matrix(open_page, examine, settled):
    page = open_page("administrator", "region", width=PHONE)
    page.goto("/region/settlement")
    examine(page, "region-settlement")
