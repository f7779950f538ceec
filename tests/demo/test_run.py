"""The whole demo on a small month: what it counts, and that a second run adds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from regional311.demo.run import DemoReport, OtherDemo, run
from regional311.referral.snapshot import invalidate
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
