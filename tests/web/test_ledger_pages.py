"""The books as a finance officer, a second person and an auditor see them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.database.session import Scope, acting_for, session_scope
from regional311.ledger import seals
from regional311.ledger.books import credit, debit
from regional311.ledger.service import NewEntry, open_accounts, post

pytestmark = pytest.mark.commits

CITY, COUNTY = "city-of-portland", "multnomah-county"
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
PAGES = (
    "",
    "/journal",
    "/accounts",
    "/accounts/due_from_partners",
    "/balances",
    "/periods",
    "/periods/2026-09",
    "/checks",
    "/seals",
    "/exports",
    "/recovery",
)


@pytest.fixture(scope="module", autouse=True)
def posted(web_engine, people):
    """The City has 300.00 due from the County for September, mirrored, and 5.00 from a port."""
    me, other = people.tenants[CITY], people.tenants[COUNTY]
    with session_scope(web_engine, Scope(me)) as session:
        open_accounts(session)
        legs = [
            debit("due_from_partners", 30_000, other),
            credit("service_revenue", 30_000, other),
        ]
        entry = NewEntry(
            "2026-09", "2026-09", "=Work", "pages:1", legs, counterparty_id=other, mirror_id=me
        )
        post(session, entry, now=NOW)
        legs = [
            debit("due_from_outside", 500, party="outside:port"),
            credit("service_revenue", 500, party="outside:port"),
        ]
        post(session, NewEntry("2026-10", "2026-10", "Fees", "pages:2", legs), now=NOW)
        with acting_for(session, other):
            open_accounts(session)
            legs = [debit("service_expense", 30_000, me), credit("due_to_partners", 30_000, me)]
            entry = NewEntry(
                "2026-09", "2026-09", "Work", "pages:1", legs, counterparty_id=me, mirror_id=me
            )
            post(session, entry, now=NOW)
    with session_scope(web_engine, Scope(me)) as session:
        seals.seal_everything(session, NOW)


@pytest.mark.parametrize("path", PAGES)
def test_an_auditor_opens_every_page_and_has_no_button(sign_in, path):
    page = sign_in("auditor", CITY).get(f"/{CITY}/ledger{path}")
    assert page.status_int == 200
    main = page.html.find("main") if hasattr(page, "html") and page.html else None
    content = str(main) if main else page.text.split("<main", 1)[1]
    assert 'method="post"' not in content
    assert content.count("<h1") == 1


@pytest.mark.parametrize(
    "path", ["", "/journal", "/accounts", "/balances", "/periods", "/recovery"]
)
@pytest.mark.parametrize("form", ["csv", "json"])
def test_lists_are_there_for_programs_too(sign_in, path, form):
    found = sign_in("auditor", CITY).get(f"/{CITY}/ledger{path}?format={form}")
    assert found.content_type == {"csv": "text/csv", "json": "application/json"}[form]
    if (path, form) == ("/journal", "csv"):
        assert "'=Work" in found.text


def test_the_books_hold_beside_the_countys(sign_in):
    page = sign_in("auditor", CITY).get(f"/{CITY}/ledger/checks")
    assert "Does not hold" not in page.text
    assert "$300.00" in page.text
    told = sign_in("auditor", CITY).get(f"/{CITY}/ledger/checks?format=json").json
    assert (told["holds"], told["problems"]) == (True, [])
    assert told["looked_at"]["entries"] == 2


def test_balances_are_aged_at_the_end_of_a_day(sign_in):
    browser = sign_in("auditor", CITY)

    def aged(day):
        found = browser.get(f"/{CITY}/ledger/balances?as_of={day}&format=json").json["balances"]
        return {row["party"]: row for row in found}

    assert aged("2026-08-31") == {}
    assert aged("2026-10-15")["Multnomah"]["to_30_cents"] == 30_000
    later = aged("2027-01-31")
    assert later["Multnomah"]["older_cents"] == 30_000
    assert later["outside:port"]["total_cents"] == 500


def test_the_trial_balance_as_it_was_known(sign_in):
    browser = sign_in("auditor", CITY)

    def total(query):
        rows = browser.get(f"/{CITY}/ledger?format=json&{query}").json["accounts"]
        return sum(row["debit_cents"] for row in rows)

    assert total("") == 30_500
    assert total("period=2026-09") == 30_000
    assert total("posted=2026-11-03") == 30_500
    assert total("posted=2026-11-02") == 0
    assert total("posted=never") == 30_500


def test_the_journal_of_one_partner(sign_in, people):
    browser = sign_in("auditor", CITY)
    address = f"/{CITY}/ledger/journal?format=json&partner={people.tenants[COUNTY]}"
    assert {leg["memo"] for leg in browser.get(address).json} == {"=Work"}


def test_a_month_is_closed_and_opened_again_by_two_people(sign_in):
    officer, approver = sign_in("finance", CITY), sign_in("approver", CITY)
    url = f"/{CITY}/ledger/periods/2026-09"
    page = officer.get(url)
    page = page.forms[_form_to(page, "/soft-close")].submit().follow()
    assert "soft-closed" in page.text
    page = page.forms[_form_to(page, "/close")].submit().follow()
    assert "Nothing can be posted to it." in page.text
    page = page.forms["reason-form"]
    page["reason"] = "  "
    refused = page.submit(expect_errors=True)
    assert refused.status_int == 400
    form = refused.forms["reason-form"]
    form["reason"] = "A letter came late"
    page = form.submit("submit").follow()
    assert "asks to open it again: A letter came late" in page.text
    assert 'method="post"' not in page.text.split("<main", 1)[1]
    waiting = approver.get(url)
    declined = waiting.forms["reason-form"]
    declined["reason"] = "Book it in October"
    assert "Left closed" in declined.submit("submit").follow().text
    form = officer.get(url).forms["reason-form"]
    form["reason"] = "October is closed too"
    form.submit("submit").follow()
    page = approver.get(url)
    page = page.forms[_form_to(page, "/approve-reopening")].submit().follow()
    assert "It is open" in page.text
    told = officer.get(f"{url}?format=json").json
    assert (told["state"], len(told["events"])) == ("open", 6)


def _form_to(page, ending):
    return next(
        key
        for key, form in page.forms.items()
        if isinstance(key, int) and form.action.endswith(ending)
    )


def test_months_close_in_order_and_say_so(sign_in):
    officer = sign_in("finance", CITY)
    page = officer.get(f"/{CITY}/ledger/periods/2026-10")
    refused = page.forms[_form_to(page, "/close")].submit(expect_errors=True)
    assert refused.status_int == 409
    assert "Close 2026-09 first" in refused.text


def test_a_batch_is_made_once_and_sent_again(sign_in, web_engine, people):
    officer = sign_in("finance", CITY)
    url = f"/{CITY}/ledger/exports"
    form = officer.get(url).forms["batch-form"]
    form["through"], form["layout"] = "2026-10", "sap"
    page = form.submit("submit").follow()
    assert "Batch 1 is ready" in page.text
    again = form.submit("submit").follow()
    assert "Batch 1 is ready" in again.text
    form = again.forms["batch-form"]
    form["through"], form["layout"] = "2026-10", "sap"
    refused = form.submit("submit", expect_errors=True)
    assert refused.status_int == 400
    assert "in a batch already" in refused.text
    made = sign_in("auditor", CITY).get(f"{url}/1")
    assert made.content_disposition == f'attachment; filename="{CITY}-gl-00001.csv"'
    assert made.body.count(b"\r\n") == 5
    # what the City has due from the County goes to an account of its own
    assert b";131051;300.00;" in made.body
    assert officer.get(f"{url}/1").body == made.body
    with web_engine.connect() as connection, connection.begin():
        connection.execute(text("SELECT bind_tenant(:t, NULL)"), {"t": people.tenants[CITY]})
        assert connection.execute(text("SELECT count(*) FROM export_batches")).scalar_one() == 1


def test_downloads(sign_in):
    browser = sign_in("auditor", CITY)
    heads = browser.get(f"/{CITY}/ledger/heads")
    assert seals.read_heads(heads.text)[CITY].number == 1
    assert browser.get(f"/{CITY}/ledger/focus").text.startswith("BilledCost,")
    assert browser.get(f"/{CITY}/ledger/focus?side=received").content_type == "text/csv"
    books = browser.get(f"/{CITY}/ledger/beancount").text
    assert "Assets:City-Of-Portland:Due-From-Partners:Multnomah-County" in books


def test_pages_ask_a_fixed_number_of_statements(sign_in, statements):
    browser = sign_in("auditor", CITY)
    most = {"": 8, "/accounts": 6, "/balances": 6, "/periods": 5, "/seals": 6, "/exports": 6}
    for path, bound in most.items():
        browser.get(f"/{CITY}/ledger{path}")
        statements.clear()
        browser.get(f"/{CITY}/ledger{path}")
        assert len(statements) <= bound, (path, statements)
