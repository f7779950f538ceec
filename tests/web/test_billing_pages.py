"""A finance officer at work: draft, read down to the contact, submit, approve, issue."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from regional311.chargeback.models import StatementEvent
from regional311.database.session import Scope, session_scope
from regional311.referral.filing import Intake, take_in
from regional311.referral.snapshot import invalidate, published

pytestmark = pytest.mark.commits

CITY, COUNTY, INFO = "city-of-portland", "multnomah-county", "211info"
NOVEMBER = datetime(2026, 11, 3, 18, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 5, 17, tzinfo=UTC)
SERVICES = ("pet-license", "library", "property-tax", "pet-license", "elections")


@pytest.fixture(scope="module")
def october(web_engine, people, clock):
    """Seven contacts that the City took in October 2026, five of them about County services.

    As many in September and in August, which one test each takes all the way; October stays in
    drafts for the others.
    """
    clock.now = NOVEMBER
    invalidate()
    region = published(web_engine)
    own = [s.key for s in region.directory.services if s.tenant == CITY][:2]
    wanted = [f"{COUNTY}/{key}" for key in SERVICES] + [f"{CITY}/{key}" for key in own]
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        for number, service in enumerate(wanted * 3):
            months_before, day = divmod(number, len(wanted))
            at = OCTOBER + timedelta(days=day - 30 * months_before)
            filed = take_in(
                session,
                region,
                Intake(
                    source="demo",
                    key=f"october-{number}",
                    channel="phone" if number % 2 == 0 else "chat",
                    started_at=at,
                    ended_at=at + timedelta(minutes=4),
                    handle_seconds=240,
                    service=service,
                    danger_answer="none",
                    consent="refused",
                    after_hours=False,
                ),
                now=at,
            )
            assert filed.contact_public_id
    return people.tenants


def draft(browser, month="2026-10"):
    page = browser.get(f"/{CITY}/billing/{month}")
    return _form(page, "/draft").submit()


def _form(page, ending):
    return next(
        form
        for form in page.forms.values()
        if form.method == "post" and form.action.endswith(ending)
    )


@pytest.fixture
def drafted(october, sign_in):
    browser = sign_in("finance", CITY)
    answer = draft(browser)
    return browser, answer.follow()


def county_statement(browser, month="2026-10"):
    """The address of the live statement from City to County."""
    query = f"format=csv&partner={COUNTY}&period={month}"
    answer = browser.get(f"/{CITY}/statements?{query}")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    (row,) = [row for row in rows if row["state"] != "void"]
    return f"/{CITY}/statements/{row['public_id']}"


def test_the_month_shows_usage_by_state_and_one_main_action(october, sign_in):
    browser = sign_in("finance", CITY)
    page = browser.get(f"/{CITY}/billing")
    assert "Draft statements for October 2026" in page
    usage = browser.get(f"/{CITY}/billing/2026-10/usage")
    assert "C-" in usage


def test_drafting_again_is_free_and_only_replaces_drafts(drafted):
    browser, month = drafted
    assert "drafts are ready" in month or "draft" in month
    first = county_statement(browser)
    draft(browser)
    second = county_statement(browser)
    assert first != second
    assert "Void" in browser.get(first)
    month = browser.get(f"/{CITY}/billing/2026-10")
    for state in ("rated", "excluded"):
        assert f"usage?state={state}" in month
        listed = browser.get(f"/{CITY}/billing/2026-10/usage?state={state}&format=csv")
        assert len(listed.text.splitlines()) > 1


def test_the_same_form_sent_twice_drafts_once(october, sign_in, web_engine):
    browser = sign_in("finance", CITY)
    page = browser.get(f"/{CITY}/billing")
    assert "Draft statements for October 2026" in page
    form = _form(page, "/draft")
    count = "SELECT count(*) FROM rating_runs"
    form.submit()
    with session_scope(web_engine, Scope(october[CITY])) as session:
        before = session.execute(text(count)).scalar_one()
    form.submit().follow()
    with session_scope(web_engine, Scope(october[CITY])) as session:
        assert session.execute(text(count)).scalar_one() == before


def test_a_figure_is_read_down_to_rate_rule_and_contact(drafted):
    browser, _ = drafted
    address = county_statement(browser)
    page = browser.get(address)
    assert "Multnomah County would owe City of Portland" in page
    assert "The lines sum to the total." in page
    assert "Holds" in page
    whole = browser.get(address, headers={"Accept": "application/json"}).json
    assert whole["total_cents"] == sum(line["amount_cents"] for line in whole["lines"])
    usage = next(line for line in whole["lines"] if line["kind"] == "usage")
    line = browser.get(f"{address}/{usage['position']}")
    assert "The work below sums to this line, to the cent." in line
    assert "Does not hold" not in line
    told = browser.get(f"{address}/{usage['position']}?format=json").json
    assert sum(Decimal(each["amount"]) for each in told["work"]) == Decimal(told["exact_amount"])
    item = line.click(href=f"{address}/{usage['position']}/[0-9a-f-]{{36}}", index=0)
    assert "×" in item
    assert "by the rate" in item
    assert "Multnomah County pays by the agreement City takes contacts for the County" in item
    assert re.search(r"Contact C-[0-9A-Z]{5}-[0-9A-Z]{5}", item.text)
    contact = item.click(href="/contacts/C-")
    assert "Why:" in contact
    pool = next(line for line in whole["lines"] if line["kind"] == "pool")
    share = browser.get(f"{address}/{pool['position']}")
    assert "$600,000.00" in share
    assert "$25,000.00" in share
    assert "The parts of all bearers sum to the month" in share


def test_a_csv_is_the_same_resource(drafted):
    browser, _ = drafted
    address = county_statement(browser)
    rows = list(csv.DictReader(io.StringIO(browser.get(f"{address}?format=csv").text)))
    whole = browser.get(address, headers={"Accept": "application/json"}).json
    assert sum(int(row["amount_cents"]) for row in rows) == whole["total_cents"]
    assert browser.get(address, headers={"Accept": "text/csv"}).content_type == "text/csv"


def test_the_preparer_is_told_that_a_second_person_must_approve(drafted, sign_in, people):
    browser, _ = drafted
    address = county_statement(browser)
    assert "In review" in _form(browser.get(address), "/submit").submit().follow()
    page = browser.get(address)
    assert "a second person must approve it" in page
    token = page.forms["void"]["csrf_token"].value
    browser.post(f"{address}/approve", {"csrf_token": token, "form_key": "k" * 43}, status=403)
    both = "both@city.example"
    people.make(both, {CITY: ("finance", "approver")})
    double = sign_in("finance", CITY, email=both)
    draft(double)
    address = county_statement(double)
    _form(double.get(address), "/submit").submit()
    page = double.get(address)
    assert "You prepared or submitted this statement" in page
    token = page.forms["void"]["csrf_token"].value
    refused = double.post(
        f"{address}/approve", {"csrf_token": token, "form_key": "k" * 43}, status=403
    )
    assert "a second person must" in refused


def test_void_needs_a_reason(drafted):
    browser, _ = drafted
    address = county_statement(browser)
    refused = browser.get(address).forms["void"].submit("submit", status=400)
    assert "Fill this in." in refused
    form = browser.get(address).forms["void"]
    form["reason"] = "Drafted for practice."
    page = form.submit("submit").follow()
    assert "Drafted for practice." in page
    assert "owes nothing" in page


def test_the_whole_story_to_both_ledgers_and_the_payers_copy(sign_in, web_engine, october):
    finance = sign_in("finance", CITY)
    draft(finance, "2026-09")
    address = county_statement(finance, "2026-09")
    _form(finance.get(address), "/submit").submit()
    approver = sign_in("approver", CITY)
    form = _form(approver.get(address), "/approve")
    assert "Approved" in form.submit().follow()
    assert form.submit().status_int == 303
    form = _form(finance.get(address), "/issue")
    page = form.submit().follow()
    assert "Issued" in page
    assert form.submit().location == page.request.url
    with session_scope(web_engine, Scope(october[CITY])) as session:
        issued = session.execute(
            StatementEvent.__table__.select().where(StatementEvent.state == "issued")
        ).all()
    assert [row.number for row in issued] == ["COP-00001"]
    assert "Statement COP-00001" in page
    total = finance.get(f"{address}?format=json").json["total_cents"]

    ledger = finance.get(f"/{CITY}/ledger")
    assert "Debits and credits are the same." in ledger
    assert "Does not hold" not in ledger
    assert "Multnomah County owes us" in ledger or "owes us $" in ledger
    entry = page.click(description="See it in the ledger")
    mirror = re.search(r"([0-9a-f-]{36}): the entry", entry.text)[1]
    assert "COP-00001" in finance.get(f"/{CITY}/ledger/journal")

    payer = sign_in("finance", COUNTY)
    mine = payer.get(f"/{COUNTY}/statements/received")
    assert "COP-00001" in mine
    copy = mine.click(description="COP-00001")
    assert "Multnomah County owes City of Portland" in copy
    assert payer.get(f"{copy.request.path}?format=json").json["total_cents"] == total
    lines = payer.get(f"{copy.request.path}?format=json").json["lines"]
    usage = next(line for line in lines if line["kind"] == "usage")
    line = payer.get(f"{copy.request.path}/{usage['position']}")
    assert "to the cent" in line
    assert "Does not hold" not in line
    item = line.click(href=r"/[0-9a-f-]{36}$", index=0)
    assert "Who the person is stays with the partner that helped them" in item
    assert "Contact C-" not in item.text.replace("Known to you as C-", "")
    theirs = copy.click(description="See it in the ledger")
    assert mirror in theirs
    assert "Does not hold" not in payer.get(f"/{COUNTY}/ledger")
    assert payer.get(f"/{COUNTY}/ledger?format=json").json["partners"][0]["due_to_cents"] == total
    account = payer.get(f"/{COUNTY}/ledger/accounts/due_to_partners")
    assert "COP-00001" in account
    payer.get(f"/{COUNTY}/ledger/accounts/nonsense", status=404)

    region = sign_in("auditor", "region").get("/region")
    assert "Who owes whom for September 2026" in region
    assert "Multnomah County owes City of Portland" in region
    checks = sign_in("administrator", "region").get("/region/checks?period=2026-09")
    assert "Does not hold" not in checks
    assert checks.text.count("Holds") == 7
    own = finance.get(f"/{CITY}/billing/2026-09/checks")
    assert "Does not hold" not in own

    issue_the_others(finance, approver)
    done = finance.get(f"/{CITY}/billing/2026-09")
    assert "All statements of September 2026 were issued" in done


def issue_the_others(finance, approver):
    """Own bureaus and outside bodies have statements of September too."""
    for each in finance.get(f"/{CITY}/statements?period=2026-09&format=json").json["items"]:
        if each["state"] == "draft":
            address = f"/{CITY}/statements/{each['public_id']}"
            _form(finance.get(address), "/submit").submit()
            _form(approver.get(address), "/approve").submit()
            _form(finance.get(address), "/issue").submit()


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("billing", 8),
        ("billing/2026-10", 10),
        ("billing/2026-10/usage", 8),
        ("billing/2026-10/checks", 14),
        ("billing/2026-10/bills", 8),
        ("statements", 8),
        ("statements/received", 8),
        ("ledger", 8),
        ("ledger/journal", 8),
        ("ledger/accounts/due_from_partners", 8),
        ("agreements", 8),
        ("agreements/city-intake-for-county", 10),
        ("rates", 8),
        ("pools", 8),
        ("pools/i-and-r", 10),
    ],
)
def test_pages_run_few_statements(drafted, statements, path, most):
    browser, _ = drafted
    browser.get(f"/{CITY}/{path}")
    statements.clear()
    browser.get(f"/{CITY}/{path}")
    assert len(statements) <= most, statements


def test_a_statement_its_lines_and_work_run_few_statements(drafted, statements):
    browser, _ = drafted
    address = county_statement(browser)
    line = browser.get(f"{address}/1")
    item = line.click(href=r"/[0-9a-f-]{36}$", index=0).request.path
    for path in (address, f"{address}/1", item):
        browser.get(path)
        statements.clear()
        browser.get(path)
        assert len(statements) <= 10, (path, statements)


def test_the_region_page_runs_few_statements(october, sign_in, statements):
    browser = sign_in("administrator", "region")
    browser.get("/region")
    statements.clear()
    browser.get("/region")
    assert len(statements) <= 10, statements


def choose(page, step, *, only=None, status=None):
    """Tick the statements of the page, all or some, and press the button of a step."""
    form = next(form for form in page.forms.values() if "statement" in form.fields)
    for box in form.fields["statement"]:
        box.checked = only is None or box._value in only
    form.action = f"{page.request.path.removesuffix('/bills')}/{step}"
    return form.submit(status=status)


def test_several_statements_take_a_step_at_once(october, sign_in):
    finance, approver = sign_in("finance", CITY), sign_in("approver", CITY)
    month = f"/{CITY}/billing/2026-08"
    draft(finance, "2026-08")
    listed = finance.get(f"{month}/bills", headers={"Accept": "application/json"}).json
    assert {each["payer_kind"] for each in listed} == {"partner", "bureau", "outside"}
    few = finance.get(f"{month}/bills?payer=bureau", headers={"Accept": "application/json"}).json
    assert 0 < len(few) < len(listed)
    everything = finance.get(f"{month}/bills")
    assert "Send to review" in everything
    assert f"{len(listed)} are in review." in choose(everything, "submit").follow()
    nothing = choose(approver.get(f"{month}/bills"), "approve", only=(), status=400)
    assert "Choose at least one statement." in nothing
    some = {each["public_id"] for each in few}
    answer = choose(approver.get(f"{month}/bills"), "approve", only=some).follow()
    assert f"{len(few)} are approved." in answer
    page = approver.get(f"{month}/bills?state=in_review")
    form = next(form for form in page.forms.values() if "all" in form.fields)
    form["all"].checked = True
    form.action = f"{month}/approve"
    left = len(listed) - len(few)
    assert f"{left} are approved." in form.submit().follow()
    everyone = {each["public_id"] for each in listed}
    answer = choose(approver.get(f"{month}/bills"), "issue", only=some).follow()
    assert f"{len(few)} were issued." in answer
    answer = choose(approver.get(f"{month}/bills"), "approve", only=everyone - some).follow()
    assert "cannot become approved" in answer
    now = finance.get(f"{month}/bills", headers={"Accept": "application/json"}).json
    assert {each["public_id"] for each in now if each["state"] == "issued"} == some
    assert f"Issued: {len(few)}" in finance.get(month)


def test_the_preparer_approves_none_of_several(drafted, sign_in):
    finance, _ = drafted
    month = f"/{CITY}/billing/2026-10"
    choose(finance.get(f"{month}/bills"), "submit")
    assert "Approve" not in [
        button.text for button in finance.get(f"{month}/bills").html.find_all("button")
    ]
    finance.post(f"{month}/approve", status=403)


def test_the_month_says_what_to_look_at_before_sending(drafted):
    browser, _ = drafted
    page = browser.get(f"/{CITY}/billing/2026-10")
    assert "Before statements are sent" in page
    assert "The period is over." in page
    assert "No statement comes to nothing." in page


def test_a_quarter_is_a_period_of_its_own(october, sign_in):
    browser = sign_in("finance", CITY)
    quarter = browser.get(f"/{CITY}/billing/2026-07-01..2026-09-30")
    assert "has not been priced yet" in quarter
    browser.get(f"/{CITY}/billing/2026-07-01..2026-08-31", status=404)
    assert "nothing to bill" in draft(browser, "2026-07-01..2026-09-30").follow()
    browser.get(f"/{CITY}/billing/2026-07-01..2026-09-30/usage")
