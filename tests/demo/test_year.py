"""A fiscal year of the demo's region, billed month by month: its books are checked from outside."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from beancount import loader
from beancount.core.data import Balance, Transaction

from regional311.calendars import Period
from regional311.chargeback.checks import check_region
from regional311.chargeback.month import bill_month
from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.demo.contacts import Month
from regional311.demo.run import take_in_month
from regional311.ledger import beancount
from regional311.referral.snapshot import invalidate, published

CONTACTS_A_MONTH = 30
MONTHS = [*(f"2026-{month:02}" for month in range(7, 13)), *(f"2027-{m:02}" for m in range(1, 7))]

pytestmark = pytest.mark.commits


@pytest.fixture(scope="module")
def year(server, region_template):
    """Twelve months taken in and billed, each in the first days of the next."""
    database = server.clone(region_template)
    invalidate()
    engine = database.engine()
    region = published(engine)
    partners = {slug: region.ids[slug] for slug in region.partners}
    preparer = {tenant_id: new_id() for tenant_id in partners.values()}
    approver = {tenant_id: new_id() for tenant_id in partners.values()}
    for name in MONTHS:
        month = Month.example(name)
        take_in_month(engine, region, month, CONTACTS_A_MONTH, lambda _many: None)
        ended = datetime(month.end_on.year, month.end_on.month, month.end_on.day, tzinfo=month.zone)
        bill_month(
            engine,
            partners,
            Period.month(name),
            preparer=preparer,
            approver=approver,
            now=ended + timedelta(days=2),
        )
    yield engine, partners
    invalidate()
    server.drop(database.name)


def test_each_month_of_the_year_holds(year):
    engine, partners = year
    for name in MONTHS:
        failing = [each for each in check_region(engine, partners, name) if not each.holds]
        assert failing == [], name


def test_bean_check_accepts_the_books_of_the_year(year, tmp_path: Path):
    engine, partners = year
    file = tmp_path / "books.beancount"
    with file.open("w") as out:
        out.writelines(beancount.head("The region"))
        for tenant_id in partners.values():
            with session_scope(engine, Scope(tenant_id)) as session:
                out.writelines(beancount.books(session))
    entries, errors, _ = loader.load_file(str(file))

    assert errors == []
    assert {f"{each.date:%Y-%m}" for each in entries if isinstance(each, Transaction)} == set(
        MONTHS
    )
    totals = [each.amount.number for each in entries if isinstance(each, Balance)]
    assert any(totals)
    biggest = f"{max(totals):f}"
    file.write_text(file.read_text().replace(f"{biggest} USD", f"{max(totals) + 1:f} USD", 1))
    assert loader.load_file(str(file))[1] != []
