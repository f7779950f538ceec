"""Settling through the pages: pay, dispute, credit, net, confirm, with both sides looking on."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from regional311.database.session import Scope, mark_changed, session_scope
from regional311.referral.filing import Intake, take_in
from regional311.referral.snapshot import invalidate, published
from tests.settlement.conftest import Bills
from tests.web.test_billing_pages import draft

pytestmark = pytest.mark.commits

CITY, COUNTY, INFO, REGION = "city-of-portland", "multnomah-county", "211info", "region"
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 5, 17, tzinfo=UTC)
SERVICES = ("pet-license", "library", "property-tax", "pet-license", "elections")


@pytest.fixture(scope="module")
def billed(web_engine, people, clock):
    """Five contacts that the City took in October about County services, and 211 for the City."""
    clock.now = NOW
    invalidate()
    region = published(web_engine)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        for number, service in enumerate(SERVICES):
            at = OCTOBER + timedelta(days=number)
            take_in(
                session,
                region,
                Intake(
                    source="demo",
                    key=f"settle-{number}",
                    channel="phone",
                    started_at=at,
                    ended_at=at + timedelta(minutes=4),
                    handle_seconds=240,
                    service=f"{COUNTY}/{service}",
                    danger_answer="none",
                    consent="refused",
                    after_hours=False,
                ),
                now=at,
            )
    return people.tenants


def post_form(page, ending):
    return next(
        form
        for form in page.forms.values()
        if form.method.lower() == "post" and form.action.endswith(ending)
    )


def table(browser, address):
    return list(csv.DictReader(io.StringIO(browser.get(f"{address}format=csv").text)))


@pytest.fixture(scope="module")
def desks(application, people, billed):
    """Signed-in people, with the City's October statement to the County issued."""
    from webtest import TestApp

    from tests.web.conftest import PASSWORD

    def enter(email):
        browser = TestApp(application)
        form = browser.get("/auth/sign-in").forms["sign-in"]
        form["email"], form["password"] = email, PASSWORD
        form.submit("submit").follow()
        return browser

    found = {
        (slug, role): enter(people.account(slug, role))
        for slug in (CITY, COUNTY, INFO)
        for role in ("finance", "approver")
    }
    # whoever decides disputes is neither preparer nor submitter
    finance, approver = found[CITY, "finance"], found[CITY, "approver"]
    draft(finance)
    (row,) = [
        row
        for row in table(finance, f"/{CITY}/statements?partner={COUNTY}&period=2026-10&")
        if row["state"] == "draft"
    ]
    found["statement"] = row["public_id"]
    issue(finance, approver, row["public_id"])
    return found


def issue(finance, approver, public_id):
    address = f"/{CITY}/statements/{public_id}"
    post_form(finance.get(address), "/submit").submit()
    post_form(approver.get(address), "/approve").submit()
    assert "Issued" in post_form(finance.get(address), "/issue").submit().follow()


def open_cents(browser, slug, page, number=None):
    rows = table(browser, f"/{slug}/settlement/{page}?")
    return sum(int(row["open_cents"]) for row in rows if number in (None, row["public_id"]))


def test_both_sides_see_what_is_open_and_others_see_nothing(desks):
    statement = desks["statement"]
    city, county, info = (desks[slug, "finance"] for slug in (CITY, COUNTY, INFO))
    mine = open_cents(city, CITY, "receivables", statement)
    assert mine > 0
    assert open_cents(county, COUNTY, "payables", statement) == mine
    assert open_cents(info, INFO, "payables") == open_cents(info, INFO, "receivables") == 0
    page = city.get(f"/{CITY}/settlement/receivables")
    assert "Not due yet" in page
    page.click(description="^COP-")
    balance = city.get(f"/{CITY}/settlement")
    assert "Multnomah County" in balance
    balance.click(href=f"receivables\\?partner={COUNTY}$", index=0)
    assert "Nothing has been issued or received yet" in info.get(f"/{INFO}/settlement")
    assert city.get(f"/{CITY}/settlement?format=json").json[0]["claims_cents"] == mine
    county_page = county.get(f"/{COUNTY}/settlement/payables")
    assert "Dispute a line" in county_page
    assert "Record a payment" not in county_page


def test_the_payer_disputes_the_issuer_credits_and_the_balance_goes_down(desks):
    statement = desks["statement"]
    city, approver = desks[CITY, "finance"], desks[CITY, "approver"]
    county = desks[COUNTY, "finance"]
    before = open_cents(county, COUNTY, "payables", statement)
    assert statement in county.get(f"/{COUNTY}/disputes/new")
    line = county.get(f"/{COUNTY}/statements/{statement}/1")
    page = line.click(description="Dispute this line")
    form = page.forms["form"]
    assert form["line"].value == "1"
    form["amount"] = "9999999.00"
    form["reason"] = "wrong_quantity"
    form["evidence"] = "Our log shows fewer."
    refused = form.submit("submit", status=400)
    assert "can be disputed; give an amount above zero" in refused
    form = refused.forms["form"]
    form["amount"] = "0.75"
    opened = form.submit("submit").follow()
    assert "Open" in opened
    number = re.search(r"D-[0-9A-Z]{5}-[0-9A-Z]{5}", opened.text)[0]
    # sent twice, opened once
    assert form.submit("submit").location.endswith(number)
    assert len(table(county, f"/{COUNTY}/disputes?")) == 1
    for slug, browser in ((COUNTY, county), (CITY, city)):
        there = browser.get(f"/{slug}/disputes/{number}")
        assert "Our log shows fewer." in there
        shown = browser.get(f"/{slug}/statements/{statement}")
        assert "of which $0.75 is disputed (Partly disputed)" in shown
    assert "Partly disputed" in city.get(f"/{CITY}/settlement/receivables")
    desks[INFO, "finance"].get(f"/{INFO}/disputes/{number}", status=404)
    desks[INFO, "finance"].get(f"/{CITY}/disputes/{number}", status=404)
    # the preparer is told, the payer cannot decide
    assert "Somebody with the approver" in city.get(f"/{CITY}/disputes/{number}")
    assert "Credit it" not in county.get(f"/{COUNTY}/disputes/{number}")
    comment = city.get(f"/{CITY}/disputes/{number}").forms["comment"]
    comment["note"] = "We look at the recordings."
    comment.submit("submit").follow()
    assert "We look at the recordings." in county.get(f"/{COUNTY}/disputes/{number}")
    credit_form = approver.get(f"/{CITY}/disputes/{number}").forms["credit"]
    credit_form["note"] = ""
    assert "Fill this in." in credit_form.submit("submit", status=400)
    credit_form = approver.get(f"/{CITY}/disputes/{number}").forms["credit"]
    credit_form["amount"] = "0.50"
    credit_form["note"] = "One was a test call."
    decided = credit_form.submit("submit").follow()
    assert "Credited: $0.50" in decided
    assert open_cents(county, COUNTY, "payables", statement) == before
    memo = decided.click(description="Credit memo").request.path.rpartition("/")[2]
    # whoever decided prepared the memo: somebody else submits, a second approver approves
    post_form(city.get(f"/{CITY}/statements/{memo}"), "/submit").submit()
    assert "a second person must approve" in approver.get(f"/{CITY}/statements/{memo}")
    second = desks["second"]
    post_form(second.get(f"/{CITY}/statements/{memo}"), "/approve").submit()
    post_form(city.get(f"/{CITY}/statements/{memo}"), "/issue").submit()
    assert open_cents(county, COUNTY, "payables") == before - 50
    assert open_cents(city, CITY, "receivables") == before - 50
    withdraw = county.get(f"/{COUNTY}/disputes/{number}").forms["withdraw"]
    withdraw["amount"] = "0.25"
    withdraw["note"] = "The rest was right."
    assert "Decided" in withdraw.submit("submit").follow()
    row = table(city, f"/{CITY}/disputes?")[0]
    assert (row["credited_cents"], row["withdrawn_cents"], row["open_cents"]) == ("50", "25", "0")


@pytest.fixture(scope="module", autouse=True)
def second(application, people, desks):
    from webtest import TestApp

    from tests.web.conftest import PASSWORD

    people.make("second@city.example", {CITY: ("approver",)})
    browser = TestApp(application)
    form = browser.get("/auth/sign-in").forms["sign-in"]
    form["email"], form["password"] = "second@city.example", PASSWORD
    form.submit("submit").follow()
    desks["second"] = browser


def test_a_payment_is_recorded_once_shown_on_both_sides_and_undone(desks):
    statement = desks["statement"]
    city, county = desks[CITY, "finance"], desks[COUNTY, "finance"]
    before = open_cents(city, CITY, "receivables")
    page = city.get(f"/{CITY}/settlement/receivables").click(
        href=f"payments/new\\?statement={statement}$"
    )
    form = page.forms["form"]
    form["amount"] = "1.00"
    form["paid_on"] = "2026-11-09"
    form["reference"] = "CHK-100"
    form["method"] = "check"
    refused = form.submit("submit", status=400)
    assert "has not come yet" in refused
    form = refused.forms["form"]
    form["paid_on"] = "2026-11-03"
    made = form.submit("submit").follow()
    assert form.submit("submit").location == made.request.url
    assert "CHK-100" in made
    assert "See it in the ledger" in made
    number = made.request.path.rpartition("/")[2]
    assert open_cents(county, COUNTY, "payables") == before - 100
    theirs = county.get(f"/{COUNTY}/payments/{number}")
    assert "Paid by us" in theirs
    assert "Reverse this payment" not in theirs
    desks[INFO, "finance"].get(f"/{INFO}/payments/{number}", status=404)
    assert len(table(county, f"/{COUNTY}/payments?")) == 1
    again = city.get(f"/{CITY}/payments/new?statement={statement}").forms["form"]
    again["amount"], again["paid_on"], again["reference"] = "1.00", "2026-11-03", "CHK-100"
    again["method"] = "check"
    assert "same amount of the same day" in again.submit("submit", status=400)
    undo = city.get(f"/{CITY}/payments/{number}").forms["reverse"]
    undo["on"] = "2026-11-03"
    undo["reason"] = "The check bounced."
    assert "The check bounced." in undo.submit("submit").follow()
    assert open_cents(county, COUNTY, "payables") == before
    assert "It was undone by" in county.get(f"/{COUNTY}/payments/{number}")


def test_an_advance_is_recorded_applied_and_given_back(desks):
    statement = desks["statement"]
    city, county = desks[CITY, "finance"], desks[COUNTY, "finance"]
    before = open_cents(city, CITY, "receivables")
    page = city.get(f"/{CITY}/payments").click(description="Record an advance")
    form = page.forms["form"]
    form["payer"], form["amount"], form["reference"] = COUNTY, "2.00", "ADV-1"
    form["method"] = "ach"
    form["paid_on"] = "2026-11-03"
    form.submit("submit").follow()
    page = city.get(f"/{CITY}/payments/new?statement={statement}")
    done = post_form(page, "/payments/apply").submit().follow()
    assert "Advance applied" in done
    assert open_cents(county, COUNTY, "payables") == before - 200
    assert "held in advance. It can" not in city.get(f"/{CITY}/payments/new?statement={statement}")
    back = city.get(f"/{CITY}/payments/new?kind=refund").forms["form"]
    back["payer"], back["amount"], back["reference"] = COUNTY, "1.00", "BACK"
    back["method"] = "ach"
    assert "There is $0.00 to give back" in back.submit("submit", status=400)
    city.get(f"/{CITY}/payments/new?statement=S-00000-00000", status=404)


def test_an_agreed_advance_is_asked_for_once_and_both_sides_see_it(desks, web_engine, people):
    finance, payer = desks[CITY, "finance"], desks[COUNTY, "finance"]
    page = finance.get(f"/{CITY}/payments").click("Advances asked for")
    assert "Nothing is to be asked for today" in page
    with session_scope(web_engine, Scope(people.tenants[REGION])) as session:
        session.execute(
            text(
                "UPDATE agreements SET terms = terms || '{\"prepay_cents\": 12345}'"
                " WHERE provider_id = :city AND payer_id = :county AND pool_key IS NOT NULL"
            ),
            {"city": people.tenants[CITY], "county": people.tenants[COUNTY]},
        )
        mark_changed(session)
    try:
        page = finance.get(page.request.path)
        assert "$123.45" in page
        assert "its finance officers" in page
        done = post_form(page, "/advances").submit().follow()
        assert "2 advances were asked for." in done
        assert "Asked for by us" in done
        assert "There is nothing to ask for." in post_form(page, "/advances").submit().follow()
        seen = payer.get(f"/{COUNTY}/payments/advances")
        assert "Asked of us" in seen
        assert "$123.45" in seen
        told = payer.get(f"/{COUNTY}/payments/advances?format=json").json
        assert [each["amount_cents"] for each in told["received"]] == [12345, 12345]
        assert told["issued"] == told["to_ask"] == []
    finally:
        with session_scope(web_engine, Scope(people.tenants[REGION])) as session:
            session.execute(text("UPDATE agreements SET terms = terms - 'prepay_cents'"))
            mark_changed(session)


def test_a_balance_is_confirmed_or_becomes_a_task(desks):
    city, county = desks[CITY, "finance"], desks[COUNTY, "finance"]
    form = city.get(f"/{CITY}/settlement/confirmations").forms["ask"]
    form["partner"], form["as_of_on"] = COUNTY, "2026-11-03"
    form.submit("submit").follow()
    assert "A partner asks us to confirm a balance" in county.get(f"/{COUNTY}/settlement")
    page = county.get(f"/{COUNTY}/settlement/confirmations").click(href="/B-")
    assert "That is what they say." in page
    figures = page.forms["figures"]
    figures["owes"] = "1.00"
    differs = figures.submit("submit").follow()
    assert "They differ" in differs
    task = differs.forms["difference-debt"]
    task["state"], task["note"] = "explained", "A check is on its way."
    task.submit("submit").follow()
    mine = city.get(page.request.path.replace(COUNTY, CITY))
    assert "A check is on its way." in mine
    task = mine.forms["difference-claim"]
    task["state"], task["note"] = "resolved", "It came."
    assert "Resolved" in task.submit("submit").follow()
    form = city.get(f"/{CITY}/settlement/confirmations").forms["ask"]
    form["partner"], form["as_of_on"] = COUNTY, "2026-11-02"
    form.submit("submit").follow()
    page = county.get(f"/{COUNTY}/settlement/confirmations").click(href="/B-", index=0)
    assert "Both agree" in post_form(page, "/accept").submit().follow()
    assert "No balance was asked for yet" in desks[INFO, "finance"].get(
        f"/{INFO}/settlement/confirmations"
    )
    desks[INFO, "finance"].get(page.request.path.replace(COUNTY, INFO), status=404)


def test_there_must_be_something_to_net(desks):
    city = desks[CITY, "finance"]
    form = city.get(f"/{CITY}/settlement/netting").forms["propose"]
    form["parties"] = COUNTY
    assert "Nobody among these partners is owed" in form.submit("submit", status=400)


def test_the_region_sees_who_owes_whom(desks, sign_in):
    for role in ("administrator", "auditor"):
        browser = sign_in(role, REGION)
        page = browser.get("/region/settlement")
        assert "Multnomah County" in page
        rows = table(browser, "/region/settlement?")
        assert [(row["payer"], row["payee"]) for row in rows] == [
            ("Multnomah County", "City of Portland")
        ]
    desks[CITY, "finance"].get("/region/settlement", status=404)


def test_interest_has_a_page_and_nothing_to_assess_yet(desks):
    city = desks[CITY, "finance"]
    page = city.get(f"/{CITY}/settlement/interest")
    assert "There is no interest to assess" in page


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("settlement", 12),
        ("settlement/receivables", 12),
        ("settlement/payables", 12),
        ("payments", 8),
        ("disputes", 8),
        ("settlement/netting", 8),
        ("settlement/confirmations", 8),
    ],
)
def test_a_page_runs_few_statements(desks, statements, path, most):
    browser = desks[CITY, "finance"]
    browser.get(f"/{CITY}/{path}")
    statements.clear()
    browser.get(f"/{CITY}/{path}")
    assert len(statements) <= most, statements


@pytest.fixture(scope="module")
def both_ways(web_engine, people, desks) -> Bills:
    """Bills in a circle, and an old one that bears interest."""

    def of(slug, person=None):
        return session_scope(web_engine, Scope(people.tenants[slug], person))

    bills = Bills(SimpleNamespace(tenants=people.tenants, of=of), count(1))
    bills.bill(COUNTY, CITY, [300], at=NOW)
    bills.bill(INFO, CITY, [200], at=NOW)
    bills.bill(COUNTY, INFO, [150], at=NOW)
    bills.bill(CITY, INFO, [90], at=NOW)
    # its agreement is one that the City really has
    old = NOW - timedelta(days=95)
    bills.agreement = "city-intake-for-county"
    bills.old = bills.bill(CITY, COUNTY, [500_000], at=old, period="2026-07", interest_percent="6")
    return bills


def test_netting_is_proposed_declined_withdrawn_and_executed_by_both(desks, both_ways):
    city, county = desks[CITY, "finance"], desks[COUNTY, "finance"]

    def proposed():
        form = city.get(f"/{CITY}/settlement/netting").forms["propose"]
        form["parties"] = COUNTY
        made = form.submit("submit").follow()
        assert form.submit("submit").location == made.request.url
        return made.request.path.rpartition("/")[2]

    def own(slug, number):
        return f"/{slug}/settlement/netting/{number}"

    first = proposed()
    assert "waits for our answer" in county.get(f"/{COUNTY}/settlement")
    assert "approver's role to consent" in county.get(own(COUNTY, first)).text.replace("&#39;", "'")
    desks[INFO, "finance"].get(own(INFO, first), status=404)
    decline = desks[COUNTY, "approver"].get(own(COUNTY, first)).forms["decline"]
    assert "Fill this in." in decline.submit("submit", status=400)
    decline["reason"] = "We pay in cash."
    assert "Declined" in decline.submit("submit").follow()
    assert "We pay in cash." in city.get(own(CITY, first))

    second = proposed()
    post_form(city.get(own(CITY, second)), "/withdraw").submit()
    assert "Withdrawn" in county.get(own(COUNTY, second))

    third = proposed()
    claims = open_cents(city, CITY, "receivables")
    debts = open_cents(city, CITY, "payables")
    post_form(desks[CITY, "approver"].get(own(CITY, third)), "/consent").submit().follow()
    done = post_form(desks[COUNTY, "approver"].get(own(COUNTY, third)), "/consent").submit()
    assert "it was executed in all books" in done.follow()
    whole = city.get(f"{own(CITY, third)}?format=json").json
    assert whole["state"] == "executed"
    assert claims - open_cents(city, CITY, "receivables") == 300
    assert debts - open_cents(city, CITY, "payables") == 300
    assert "Netting" in county.get(f"/{COUNTY}/payments?kind=netting")


def test_the_region_proposes_a_circle_and_takes_it_back(desks, both_ways, sign_in, statements):
    region = sign_in("administrator", REGION)
    form = region.get("/region/settlement").forms["propose"]
    boxes = list(form.fields["parties"])
    refused = form.submit("submit", status=400)
    assert "Fill this in." in refused or "Choose" in refused
    form = region.get("/region/settlement").forms["propose"]
    for box in form.fields["parties"]:
        box.checked = True
    assert len(boxes) == 3
    page = form.submit("submit").follow()
    assert "of what" in page
    (row,) = desks[INFO, "finance"].get(f"/{INFO}/settlement/netting?format=json").json
    post_form(page, "/withdraw").submit().follow()
    shown = desks[INFO, "finance"].get(f"/{INFO}/settlement/netting/{row['public_id']}")
    assert "Withdrawn" in shown
    assert "Withdraw" not in sign_in("auditor", REGION).get("/region/settlement").text.replace(
        "Withdrawn", ""
    )


def test_interest_is_drafted_once(desks, both_ways):
    city = desks[CITY, "finance"]
    page = city.get(f"/{CITY}/settlement/interest")
    assert "$5,000.00 for" in page
    form = post_form(page, "/interest")
    assert "debit memos were drafted" in form.submit().follow()
    page = form.submit().follow()
    assert "There is no interest to assess" in page
    rows = table(city, f"/{CITY}/statements?kind=debit_memo&")
    assert [row["state"] for row in rows] == ["draft"]


def test_who_answers_is_named_and_a_void_memo_drafted_again(desks, both_ways, second):
    city, county, approver = desks[CITY, "finance"], desks[COUNTY, "finance"], desks["second"]
    owner = city.get(f"/{CITY}/disputes").forms["owner"]
    assert "Fill this in." in owner.submit("submit", status=400)
    owner["partner"] = COUNTY
    owner["owner"] = next(value for value, _, text in owner["owner"].options if text == "Approver")
    assert "Named." in owner.submit("submit").follow()
    public_id = next(
        row["public_id"]
        for row in table(county, f"/{COUNTY}/settlement/payables?")
        if row["period"] == "2026-07"
    )
    form = county.get(f"/{COUNTY}/disputes/new?statement={public_id}").forms["form"]
    form["line"], form["amount"], form["reason"] = "1", "10.00", "other"
    form["evidence"] = "Try"
    assert "could be disputed until" in form.submit("submit", status=400)
    form = county.get(f"/{COUNTY}/disputes/new?statement={desks['statement']}").forms["form"]
    form["line"], form["amount"], form["reason"] = "1", "0.10", "other"
    form["evidence"] = "Try"
    number = form.submit("submit").follow().request.path.rpartition("/")[2]
    assert "Approver" in county.get(f"/{COUNTY}/disputes/{number}")
    assign = city.get(f"/{CITY}/disputes/{number}").forms["assign"]
    assign["owner"] = next(value for value, _, text in assign["owner"].options if text == "Finance")
    assert "Both sides see who answers" in assign.submit("submit").follow()
    assert "Finance" in county.get(f"/{COUNTY}/disputes/{number}")
    credit = approver.get(f"/{CITY}/disputes/{number}").forms["credit"]
    credit["note"] = "Right."
    decided = credit.submit("submit").follow()
    memo = decided.click(description="Credit memo").request.path
    void = approver.get(memo).forms["void"]
    void["reason"] = "Wrong"
    void.submit("submit").follow()
    page = approver.get(f"/{CITY}/disputes/{number}")
    form = post_form(page, "/redraft")
    assert "The credit memo was drafted again" in form.submit().follow()
    uphold = approver.get(f"/{CITY}/disputes/{number}")
    assert "uphold" not in uphold.forms


def test_all_books_hold_after_all_that(desks, sign_in):
    browser = sign_in("auditor", REGION)
    for period in ("2026-10", "2026-11"):
        checks = browser.get(f"/region/checks?period={period}&format=json").json
        for name in ("balanced", "mirrored", "net_zero"):
            assert checks[name], checks
