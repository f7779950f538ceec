"""The whole demo on a small month: what it counts, and that a second run adds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from regional311.calendars import Period
from regional311.chargeback.checks import check_region
from regional311.chargeback.documents.content import read_document
from regional311.chargeback.queries import statements
from regional311.database.session import Scope, session_scope
from regional311.demo.run import DemoReport, OtherDemo, run
from regional311.metering.models import UsageEvent
from regional311.referral.snapshot import invalidate, published
from regional311.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CONTACTS = 400

pytestmark = pytest.mark.commits


@pytest.fixture(scope="module")
def site(server, region_template, tmp_path_factory):
    """A database and a directory of the module's own."""
    database = server.clone(region_template)
    invalidate()
    yield database.engine(), Settings(var=tmp_path_factory.mktemp("var"))
    invalidate()
    server.drop(database.name)


@pytest.fixture(scope="module")
def report(site) -> DemoReport:
    engine, settings = site
    return run(engine, settings, contacts=CONTACTS, as_json=True, root=ROOT)


def test_a_small_month_is_billed_and_its_books_hold(report: DemoReport) -> None:
    told = report.as_dict()

    assert report.ok, report.problems
    assert told["contacts"] == sum(told["decisions"].values()) == CONTACTS
    assert told["requests"] > 0
    assert told["referrals"] > 0
    assert told["usage_events"]["rated"] > 0
    assert sum(each["items"] for each in told["statements"]) == told["usage_events"]["rated"]
    assert {each["state"] for each in told["statements"]} == {"issued"}
    assert all(each["number"] for each in told["statements"])
    # own bureaus and outside bodies owe nothing between partners
    billed = {
        (each["issuer"], each["payer"], each["total_cents"])
        for each in told["statements"]
        if "/" not in each["payer"]
    }
    payers = {each["payer"] for each in told["statements"]}
    assert {"city-of-portland/water", "outside/joint-utilities", "multnomah-county"} <= payers
    owed = {(each["creditor"], each["debtor"]): each["cents"] for each in told["owed"]}
    paid = {
        (creditor, debtor): total - owed.pop((creditor, debtor), 0)
        for creditor, debtor, total in billed
    }
    assert owed == {}
    totals = {(creditor, debtor): total for creditor, debtor, total in billed}
    county, helpline = ("city-of-portland", "multnomah-county"), ("city-of-portland", "211info")
    assert paid.pop(county) == totals[county] // 2
    assert paid.pop(helpline, 0) == totals.get(helpline, 0)
    assert set(paid.values()) == {0}
    assert set(told["seconds"]) == {"configure", "people", "contacts", "work", "bill", "check"}


def test_covers_compare_with_the_year_before_which_was_paid(site, report: DemoReport) -> None:
    """A twelfth less work at the prices of its days, and the same share of what is shared."""
    engine, _settings = site
    region = published(engine)
    partners = {slug: region.ids[slug] for slug in region.partners}
    for period in (Period.of(2025, 10), None):
        label = None if period is None else period.label
        failing = [each for each in check_region(engine, partners, label) if not each.holds]
        assert failing == []
    (bill,) = [
        each
        for each in report.statements
        if (each["issuer"], each["payer"]) == ("city-of-portland", "multnomah-county")
    ]
    with session_scope(engine, Scope(partners["multnomah-county"])) as session:
        document = read_document(session, bill["number"])
        earlier = [
            row.total_cents
            for row in statements(session, side="received", period_key="2025-10")
            if row.counterparty_id == partners["city-of-portland"]
        ]
        months = {row.source_key[:8] for row in session.scalars(select(UsageEvent))}
    period, cents = document.last_year
    assert (period, [cents]) == ("October 2025", earlier)
    assert 0 < cents < bill["total_cents"] == document.total_cents
    assert "more than for October 2025" in " ".join(document.sentences)
    share = next(part for part in document.parts if part.kind == "pool")
    assert (share.amount_cents, share.last_year_cents) == (2_500_000, 2_500_000)
    assert "2025-10:" in months


def test_everybody_has_an_account_and_the_password_stays_private(site, report: DemoReport) -> None:
    _engine, settings = site
    roles = {(each.tenant, each.role) for each in report.accounts}

    assert {("211info", "partner"), ("region", "auditor")} <= roles
    assert report.password not in str(report.as_dict())
    assert (settings.var / "demo-password").stat().st_mode & 0o077 == 0


def test_a_second_run_adds_nothing(site, report: DemoReport) -> None:
    engine, settings = site
    again = run(engine, settings, contacts=CONTACTS, as_json=True, root=ROOT)

    assert again.as_dict() | {"seconds": {}} == report.as_dict() | {"seconds": {}}
    assert again.password == report.password


def test_another_size_is_refused(site, report: DemoReport) -> None:
    engine, settings = site

    with pytest.raises(OtherDemo, match=f"demo of {report.contacts} contacts"):
        run(engine, settings, contacts=CONTACTS + 1, as_json=True, root=ROOT)
