"""A statement from its preparer to a credited line, each step by the person whose step it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from regional311.calendars import Period
from regional311.database.session import Scope, session_scope
from regional311.referral.filing import Intake, take_in
from regional311.referral.snapshot import invalidate, published

from .conftest import PHONE, follow

CITY, COUNTY = "city-of-portland", "multnomah-county"


@pytest.fixture(scope="module")
def worked(site) -> Period:
    """A month that is over, in which the City took contacts for the County."""
    invalidate()
    region = published(site.engine)
    today = datetime.now(UTC)
    month = Period.month(f"{today.replace(day=1) - timedelta(days=1):%Y-%m}")
    service = next(each for each in region.directory.services if each.tenant == COUNTY)
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        for number in range(6):
            at = datetime(month.start_on.year, month.start_on.month, 3 + number, 18, tzinfo=UTC)
            intake = Intake(
                source="demo",
                key=f"statement-journey-{number}",
                channel="phone",
                started_at=at,
                ended_at=at,
                handle_seconds=240,
                service=f"{service.tenant}/{service.key}",
                danger_answer="none",
                consent="refused",
                after_hours=False,
            )
            take_in(session, region, intake, now=at)
    return month


def test_prepared_approved_issued_paid_by_and_read(open_page, examine, worked):
    preparer = open_page("finance", CITY, width=PHONE)
    preparer.goto(f"/{CITY}/billing/{worked.label}")
    follow(preparer.get_by_role("button", name=re.compile("^Draft statements for")))
    examine(preparer, "month-drafted")
    follow(preparer.locator("tr", has_text="Multnomah").get_by_role("link").first)
    draft = preparer.url
    follow(preparer.get_by_role("button", name="Submit for review"))
    assert preparer.get_by_role("button", name="Approve").count() == 0

    approver = open_page("approver", CITY, width=PHONE)
    approver.goto(draft)
    examine(approver, "statement-to-approve")
    follow(approver.get_by_role("button", name="Approve"))

    preparer.goto(draft)
    follow(preparer.get_by_role("button", name="Issue"))
    number = re.search(r"[A-Z]+-\d{5}", preparer.locator("h1").inner_text())
    assert number is not None

    payer = open_page("finance", COUNTY, width=PHONE)
    payer.goto(f"/{COUNTY}/statements/received")
    follow(payer.get_by_role("link", name=number.group()))
    examine(payer, "statement-to-pay")
    with payer.expect_download() as download:
        payer.get_by_role("link", name="PDF").click()
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    follow(payer.locator("main tbody a").first)
    assert payer.get_by_text("contact").count()

    stranger = open_page("finance", "211info", width=PHONE)
    assert stranger.request.get(payer.url).status == 404

    auditor = open_page("auditor", CITY, width=PHONE)
    auditor.goto(draft)
    assert auditor.locator("main").get_by_role("button").count() == 0
    assert auditor.goto(f"/{CITY}/ledger/checks").status == 200
    examine(auditor, "books-checked")
    assert auditor.get_by_text("Does not hold").count() == 0
