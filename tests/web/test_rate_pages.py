"""Rates: forms, proposals, the grid, spreadsheets, and the price of a contact."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from openpyxl import load_workbook
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Range

from regional311.chargeback import rate_approvals, rate_changes, rate_uploads
from regional311.chargeback.models import Rate
from regional311.chargeback.rate_cards import RateSaid
from regional311.chargeback.rate_changes import Change, propose
from regional311.chargeback.rate_sheets import COLUMNS
from regional311.config.export import export
from regional311.config.plan import plan
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.intake.models import Contact
from regional311.metering.models import UsageEvent
from regional311.referral import snapshot

pytestmark = pytest.mark.commits

CITY, COUNTY = "city-of-portland", "multnomah-county"
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)


@pytest.fixture(autouse=True)
def today(clock):
    clock.now = NOW


@pytest.fixture
def finance(sign_in):
    return sign_in("finance", CITY)


@pytest.fixture
def approver(sign_in):
    return sign_in("approver", CITY)


@pytest.fixture
def rate(web_engine, people):
    """A rate of the test's own, with nothing else priced like it."""
    key = f"try-{new_id().hex[-12:]}"
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        put(session, priced(people.tenants[CITY], key))
    return key


def priced(tenant, key, **changes):
    said = {
        "key": key,
        "card_key": key,
        "activity": "follow_up",
        "hours": "any",
        "unit": "each",
        "amount": "4.00",
        "valid": Range(date(2026, 7, 1), None),
        "recorded": Range(None, None),
    }
    return Rate(tenant_id=tenant, id=new_id(), **(said | changes))


def rates_of(engine, tenant, key):
    with session_scope(engine, Scope(tenant)) as session:
        return session.scalars(
            select(Rate).where(Rate.tenant_id == tenant, Rate.key.startswith(key)).order_by(Rate.id)
        ).all()


def change(browser, key, **values):
    form = browser.get(f"/{CITY}/rates/{key}/edit").forms["form"]
    for name, value in values.items():
        form[name] = value
    return form


def press(page, action):
    form = next(form for form in page.forms.values() if form.action.endswith(f"/{action}"))
    return form.submit().follow()


def agreed(finance, approver, key, **values):
    """Change a price through both persons; return the proposal as the approver last saw it."""
    page = change(finance, key, **values).submit("submit").follow()
    address = page.request.path
    assert "Waits for approval" in press(page, "send")
    return press(approver.get(address), "approve")


def test_a_second_person_approves_a_new_price(
    finance, approver, rate, web_engine, people, statements
):
    page = change(finance, rate, amount="4.75", valid_from="2026-12-01").submit("submit").follow()
    assert "$4.75 each" in page
    assert "$4.00 each" in page
    assert "Draft" in page
    assert len(rates_of(web_engine, people.tenants[CITY], rate)) == 1
    sent = press(page, "send")
    assert not any(form.action.endswith("/approve") for form in sent.forms.values())
    address = page.request.path
    assert approver.get(f"/{CITY}/rates/proposals").click(f"{rate}").request.path == address
    assert "The prices were approved." in press(approver.get(address), "approve")
    rows = rates_of(web_engine, people.tenants[CITY], rate)
    known = [row for row in rows if row.recorded.upper is None]
    assert [(row.key, str(row.amount.normalize()), str(row.valid.lower)) for row in known] == [
        (rate, "4", "2026-07-01"),
        (f"{rate}-2026-12-01", "4.75", "2026-12-01"),
    ]
    assert str(known[0].valid.upper) == "2026-12-01"
    (replaced,) = [row for row in rows if row.recorded.upper is not None]
    assert replaced.valid.upper is None
    # what was approved is read anew now, and not in the middle of what is counted
    snapshot.invalidate()
    finance.get(f"/{CITY}/rates")
    for path, most in (
        (f"rates/{rate}-2026-12-01", 10),
        (f"rates/{rate}-2026-12-01/edit", 10),
        ("rates/grid", 10),
        ("rates/proposals", 10),
        (address.removeprefix(f"/{CITY}/"), 12),
    ):
        statements.clear()
        finance.get(f"/{CITY}/{path}")
        assert len(statements) <= most, statements
    assert rate in finance.get(f"/{CITY}/rates?as_of=2026-12-02&format=csv")


def test_a_price_is_asked_as_it_was_known(finance, approver, rate, clock):
    agreed(finance, approver, rate, amount="9.25", valid_from="2026-07-01")
    listed = f"/{CITY}/rates?as_of=2026-10-01&card={rate}&format=json"
    assert [each["amount"] for each in finance.get(listed).json] == ["9.250000"]
    (before,) = finance.get(f"{listed}&known_on=2026-11-02").json
    assert before["amount"] == "4.000000"
    assert "As it was known on" in finance.get(f"/{CITY}/rates?known_on=2026-11-02")
    cells = finance.get(f"/{CITY}/rates/grid?card={rate}&format=json").json
    assert cells[0]["cells"][0]["kind"] == "price"


def test_the_same_price_form_sent_twice_drafts_it_once(finance, rate):
    form = change(finance, rate, amount="5.00", valid_from="2027-01-01")
    first, second = form.submit("submit"), form.submit("submit")
    assert first.location == second.location


def test_who_made_a_change_may_not_approve_it(sign_in, rate):
    both = sign_in("finance", "approver", CITY)
    page = change(both, rate, amount="5.00", valid_from="2027-01-01").submit("submit").follow()
    sent = press(page, "send")
    assert "You made this change" in sent
    token = sent.forms["refusal"]["csrf_token"].value
    refused = both.post(f"{page.request.path}/approve", {"csrf_token": token}, expect_errors=True)
    assert refused.status_int == 403
    assert "a second person must" in refused


def test_a_change_is_refused_with_a_reason_or_withdrawn(finance, approver, rate):
    page = change(finance, rate, amount="5.00", valid_from="2027-01-01").submit("submit").follow()
    press(page, "send")
    form = approver.get(page.request.path).forms["refusal"]
    assert form.submit("submit", status=400)
    form["reason"] = "The council has not met"
    form.submit("submit").follow()
    assert "The council has not met" in finance.get(page.request.path)
    page = change(finance, rate, amount="6.00", valid_from="2027-01-01").submit("submit").follow()
    assert "withdrawn" in press(page, "withdraw")


def test_a_stale_price_form_shows_both(finance, approver, rate):
    mine = change(finance, rate, amount="6.00", valid_from="2027-01-01")
    agreed(finance, approver, rate, amount="5.00", valid_from="2027-02-01")
    page = mine.submit("submit", status=409)
    assert "Somebody else saved first" in page
    assert "<strong>6</strong>" in page
    page.forms["form"].submit("submit").follow()


def test_a_proposal_that_was_overtaken_says_so(finance, approver, rate):
    old = change(finance, rate, amount="6.00", valid_from="2027-01-01").submit("submit").follow()
    agreed(finance, approver, rate, amount="5.00", valid_from="2027-02-01")
    assert f"The rate {rate} was changed meanwhile" in finance.get(old.request.path)


def test_overlaps_and_gaps_are_seen_before_anything_is_saved(finance, rate, people, web_engine):
    tenant = people.tenants[CITY]
    form = finance.get(f"/{CITY}/rates/new").forms["form"]
    for name, value in {
        "key": f"{rate}-too",
        "card": rate,
        "activity": "follow_up",
        "amount": "5",
        "valid_from": "2026-10-01",
    }.items():
        form[name] = value
    page = form.submit("submit").follow()
    assert "Two prices would hold at the same time" in page
    assert "Overlap" in page
    assert not any(each.action.endswith("/send") for each in page.forms.values())
    with session_scope(web_engine, Scope(tenant)) as session:
        session.execute(
            text("UPDATE rates SET valid = '[2026-07-01,2026-09-01)' WHERE key = :key"),
            {"key": rate},
        )
    page = finance.get(page.request.path)
    assert "There are days without a price" in page
    assert "Gap: unrated" in page
    assert any(each.action.endswith("/send") for each in page.forms.values())


def test_a_rate_with_tiers_surcharges_and_phases(finance, approver, rate):
    page = agreed(
        finance,
        approver,
        rate,
        amount="10",
        model="graduated",
        steps="10: 10 + 2; rest: 5 + 3",
        surcharges="night: after 25 %; spanish: es 0.40",
        phases="2026-07-01: 33.333 %",
        valid_from="2026-12-01",
    )
    assert "by tiers, with surcharges, phased in" in page
    shown = finance.get(f"/{CITY}/rates/{rate}-2026-12-01")
    assert "10: 10 + 2; rest: 5 + 3" in shown
    form = shown.click("Change the price").forms["form"]
    assert form["surcharges"].value == "night: after 25 %; spanish: es 0.40"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"amount": "0"}, "more than zero"),
        ({"amount": "abc"}, "Enter a number"),
        ({"amount": "NaN"}, "Enter a number"),
        ({"model": "graduated"}, "Write tiers as"),
        ({"surcharges": "much"}, "Write surcharges as"),
        ({"phases": "2027: 5"}, "Write phases as"),
        ({"phases": "2027-01-01: 50 %"}, "begins no later than the price"),
        ({"valid_from": "2020-01-01"}, "choose that day or a later one"),
    ],
)
def test_a_price_that_is_none_is_refused(finance, rate, values, message):
    said = {"amount": "5", "valid_from": "2026-12-01"} | values
    assert message in change(finance, rate, **said).submit("submit", status=400)


def test_a_new_rate_needs_a_free_key_and_words_that_are_known(finance, rate):
    form = finance.get(f"/{CITY}/rates/new").forms["form"]
    for name, value in {
        "key": rate,
        "card": rate,
        "activity": "follow_up",
        "amount": "5",
        "valid_from": "2026-10-01",
    }.items():
        form[name] = value
    assert "already" in form.submit("submit", status=400)
    form["key"] = "No Key"
    assert "small letters" in form.submit("submit", status=400)


def test_what_was_approved_is_exported_and_then_plans_as_no_change(
    finance, approver, web_engine, tmp_path
):
    listed = list(csv.DictReader(io.StringIO(finance.get(f"/{CITY}/rates?format=csv").text)))
    key = next(
        row["key"]
        for row in listed
        if not row["key"].startswith("try-") and not row["surcharges"] and row["model"] == "unit"
    )
    agreed(finance, approver, key, amount="7.77", valid_from="2026-12-24")
    export(web_engine, tmp_path, now=NOW)
    assert 'amount = "7.77"' in (tmp_path / "tenants" / CITY / "rates.toml").read_text()
    assert str(plan(web_engine, tmp_path, now=NOW)) == "No changes."


def upload(browser, content):
    form = browser.get(f"/{CITY}/rates/sheet").forms["sheet-form"]
    form["sheet"] = ("rates.xlsx", content) if content is not None else ""
    return form.submit(status="*")


def saved(book):
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


@pytest.fixture
def worker(web_engine, people, clock):
    return lambda: rate_uploads.work(web_engine, people.tenants[CITY], lambda: clock.now)


def test_a_spreadsheet_goes_out_is_edited_and_comes_in_again(
    finance, approver, rate, web_engine, people, worker
):
    content = finance.get(f"/{CITY}/rates/export").body

    def sent(content):
        page = upload(finance, content).follow()
        assert "Waits to be read" in page
        assert 'hx-trigger="every 2s"' in page
        assert worker() == 1
        return finance.get(page.request.path)

    same = sent(content)
    assert "Everything is as it was" in same
    assert "every 2s" not in same
    book = load_workbook(io.BytesIO(content))
    sheet = book["Rates"]
    mine = next(row for row in sheet.iter_rows(min_row=2) if row[0].value == rate)
    mine[COLUMNS.index("amount")].value = 4.25
    page = sent(saved(book)).click("See what changes")
    assert "Changed" in page
    assert "$4.25 each" in page
    assert len(rates_of(web_engine, people.tenants[CITY], rate)) == 1
    press(page, "send")
    press(approver.get(page.request.path), "approve")
    (known,) = [
        row
        for row in rates_of(web_engine, people.tenants[CITY], rate)
        if row.recorded.upper is None
    ]
    assert known.amount == Decimal("4.25")
    mine[COLUMNS.index("amount")].value = "=1+1"
    broken = sent(saved(book))
    assert "A formula cannot be taken in" in broken
    told = finance.get(f"{broken.request.path}?format=json").json
    assert [each["column"] for each in told["errors"]] == ["amount"]
    assert "not an XLSX workbook" in sent(b"nothing")
    assert "Choose a file" in upload(finance, None)
    listed = finance.get(f"/{CITY}/rates/sheet")
    assert listed.text.count("rates.xlsx") >= 4
    assert approver.get(broken.request.path, status="*").status_int == 403


def test_a_large_change_is_taken_over_in_the_background(
    finance, approver, rate, web_engine, people, worker, clock, monkeypatch
):
    monkeypatch.setattr(rate_changes, "MOST_AT_ONCE", 0)
    book = load_workbook(io.BytesIO(finance.get(f"/{CITY}/rates/export").body))
    row = next(row for row in book["Rates"].iter_rows(min_row=2) if row[0].value == rate)
    row[COLUMNS.index("amount")].value = 6.25
    sent = upload(finance, saved(book)).follow()
    worker()
    page = finance.get(sent.request.path).click("See what changes")
    press(page, "send")
    approved = press(approver.get(page.request.path), "approve")
    assert "taken over in the background" in approved
    assert "0 of 1 rates" in approved
    assert 'hx-trigger="every 2s"' in approved
    assert "/approve" not in approved
    clock.now += timedelta(seconds=1)
    rate_approvals.work(web_engine, people.tenants[CITY], lambda: clock.now)
    done = approver.get(page.request.path)
    assert "every 2s" not in done
    assert approver.get(f"{page.request.path}?format=json").json["state"] == "approved"
    known = rates_of(web_engine, people.tenants[CITY], rate)
    assert [each.amount for each in known if each.recorded.upper is None] == [Decimal("6.25")]


def test_a_sheet_sent_twice_is_read_once(finance, worker):
    form = finance.get(f"/{CITY}/rates/sheet").forms["sheet-form"]
    form["sheet"] = ("rates.xlsx", b"twice")
    assert form.submit().location == form.submit().location
    assert worker() == 1


def test_an_invented_contact_is_priced_step_by_step(finance):
    form = finance.get(f"/{CITY}/rates/price").forms["form"]
    form["channel"] = "phone"
    form["payer"] = COUNTY
    form["done_on"] = "2026-10-05"
    page = form.submit("submit")
    assert "It costs" in page
    assert "City takes contacts for the County" in page
    assert "phone-2026" in page
    assert "In cents" in page
    form["payer"] = ""
    form["service"] = "pothole"
    assert "billed to nobody" in form.submit("submit")
    form["handle_seconds"] = "-5"
    assert "cannot be negative" in form.submit("submit", status=400)
    form["handle_seconds"] = "0"
    form["contact"] = "C-0000000000"
    assert "no such contact" in form.submit("submit", status=400)


def test_a_past_contact_is_priced_by_what_was_metered(finance, people, web_engine):
    tenant, contact, number = people.tenants[CITY], new_id(), public_id("C")
    with session_scope(web_engine, Scope(tenant)) as session:
        put(
            session,
            Contact(
                tenant_id=tenant,
                id=contact,
                public_id=number,
                source_key=f"try:{contact}",
                line_owner_id=tenant,
                channel="phone",
                started_at=NOW,
                ended_at=NOW,
            ),
        )
        put(
            session,
            *(
                UsageEvent(
                    tenant_id=tenant,
                    id=new_id(),
                    source_key=f"try:{contact}:{activity}",
                    content_digest="",
                    activity=activity,
                    channel="phone",
                    language="en",
                    after_hours=False,
                    service_owner_id=people.tenants[COUNTY],
                    contact_id=contact,
                    occurred_at=NOW,
                    received_at=NOW,
                    booked_on=date(2026, 11, 3),
                )
                for activity in ("contact_handled", "warm_transfer")
            ),
        )
    form = finance.get(f"/{CITY}/rates/price").forms["form"]
    form["contact"] = number
    page = form.submit("submit")
    assert "Warm transfer" in page
    assert "warm-transfer" in page
    assert "phone-2026" in page


def test_a_card_of_many_rates_is_read_by_pages_each_rate_once(finance, people, web_engine):
    card, tenant = f"many-{new_id().hex[-12:]}", people.tenants[CITY]
    with session_scope(web_engine, Scope(tenant)) as session:
        for number in range(120):
            put(
                session,
                priced(
                    tenant,
                    f"{card}-{number}",
                    card_key=card,
                    channel=("phone", "web", None)[number % 3],
                    service_key=None if number < 3 else f"service-{number // 3}",
                ),
            )
    url = f"/{CITY}/rates?card={card}&as_of=2026-11-03"
    everything = [row["key"] for row in finance.get(f"{url}&format=json").json]
    assert len(everything) == len(set(everything)) == 120
    page, seen = finance.get(url), []
    while True:
        found = [
            link["href"].rpartition("/")[2] for link in page.html.select("main tbody th a[href]")
        ]
        assert 0 < len(found) <= 50
        seen += found
        if not page.html.select("a[rel=next]"):
            break
        page = page.click(href=".*after=")
    assert seen == everything
    assert "Nothing matches" not in finance.get(f"{url}&after=nonsense")
    assert len(finance.get(f"{url}&format=csv").text.splitlines()) == 121


def test_the_grid_is_read_by_pages_and_says_of_all_where_nothing_holds(
    finance, people, web_engine, statements
):
    """120 kinds of work, one of them, on the last page, without a price in September."""
    card, tenant = f"grid-{new_id().hex[-12:]}", people.tenants[CITY]
    with session_scope(web_engine, Scope(tenant)) as session:
        for number in range(120):
            said = {"card_key": card, "service_key": f"service-{number:03}"}
            until = date(2026, 9, 1) if number == 117 else None
            valid = Range(date(2026, 7, 1), until)
            put(session, priced(tenant, f"{card}-{number}", valid=valid, **said))
            if until:
                later = Range(date(2026, 10, 1), None)
                put(session, priced(tenant, f"{card}-later", valid=later, **said))
    url = f"/{CITY}/rates/grid?card={card}&as_of=2026-07-01"
    finance.get(url)
    statements.clear()
    page, seen = finance.get(url), 0
    assert len(statements) <= 8
    while True:
        assert "There are days without a price" in page
        assert f"{card}-117" in page
        rows = page.html.select("main tbody tr")
        assert 0 < len(rows) <= 50
        seen += len(rows)
        if not page.html.select("a[rel=next]"):
            break
        page = page.click(href=".*after=")
    assert seen == 120
    assert "Gap: unrated" in page
    only = finance.get(f"{url}&standing=gaps")
    assert len(only.html.select("main tbody tr")) == 1
    assert "There are days without a price" not in finance.get(url.replace("07-01", "10-01"))
    everything = finance.get(f"{url}&format=json").json
    assert len(everything) == 120
    assert [row["scope"]["service"] for row in everything if row["cells"][1]["kind"] == "gap"] == [
        "service-117"
    ]


def test_a_proposal_of_many_changes_is_read_by_pages(
    finance, approver, people, web_engine, statements
):
    tenant, person = people.tenants[CITY], people.known[people.account(CITY, "finance")]
    card = f"large-{new_id().hex[-12:]}"
    with session_scope(web_engine, Scope(tenant, person)) as session:
        changes = [
            Change(
                f"{card}-{number}",
                None,
                RateSaid(
                    key=f"{card}-{number}",
                    card=card,
                    activity="follow_up",
                    amount=Decimal(number + 1),
                    valid_from=date(2026, 7, 1),
                    service=f"service-{number}",
                ),
            )
            for number in range(60)
        ]
        proposal_id = propose(session, changes, note=None, now=NOW)
    url = f"/{CITY}/rates/proposals/{proposal_id}"
    finance.get(url)
    statements.clear()
    first = finance.get(url)
    assert len(statements) <= 10
    later = first.click(href=".*after=")
    shown = [row.th.text for page in (first, later) for row in page.html.select("main tbody tr")]
    assert {f"{card}-{number}" for number in range(60)} <= set(shown)
    assert len(finance.get(f"{url}?format=json").json["changes"]) == 60
    press(later, "send")
    statements.clear()
    press(approver.get(url), "approve")
    assert len(statements) < 60
    assert len(rates_of(web_engine, tenant, card)) == 60


def test_proposals_are_read_by_pages_however_many_rates_each_changes(finance, people, web_engine):
    tenant, person = people.tenants[CITY], people.known[people.account(CITY, "finance")]
    card = f"sheet-{new_id().hex[-12:]}"

    def said(number, amount):
        return RateSaid(
            key=f"{card}-{number}",
            card=card,
            activity="follow_up",
            amount=Decimal(amount),
            valid_from=date(2026, 7, 1),
            service=f"service-{number}",
        )

    with session_scope(web_engine, Scope(tenant, person)) as session:
        for amount in range(1, 53):
            changes = [Change(f"{card}-{n}", None, said(n, amount)) for n in range(5)]
            propose(session, changes, note=None, now=NOW)
    first = finance.get(f"/{CITY}/rates/proposals?state=draft")
    assert "and 2 more" in first
    assert len(first.html.select("main tbody tr")) == 50
    later = first.click(href=".*after=")
    assert len(later.html.select("main tbody tr")) >= 2
    rows = finance.get(f"/{CITY}/rates/proposals?state=draft&format=json").json
    assert rows[0]["keys"] == [f"{card}-{number}" for number in range(5)]
    with session_scope(web_engine, Scope(tenant, person)) as session:
        session.execute(
            text(
                "INSERT INTO rate_proposals SELECT (jsonb_populate_record(p, jsonb_build_object("
                "'id', uuidv7(), 'state', 'withdrawn'))).* FROM rate_proposals p,"
                " generate_series(1, 1001) WHERE p.tenant_id = :me AND p.id = :id"
            ),
            {"me": tenant, "id": rows[0]["id"]},
        )
    whole = finance.get(f"/{CITY}/rates/proposals?state=withdrawn&format=json").json
    assert len(whole) >= 1001
