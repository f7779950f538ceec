"""Statements as pages and documents: every kind of line, downloads, and what a contact cost."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from openpyxl import load_workbook
from sqlalchemy import text

from regional311.chargeback import queries
from regional311.chargeback.explain import explain
from regional311.chargeback.models import Statement, StatementEvent, StatementLine
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.money import from_cents
from regional311.notices.service import outbox_row
from regional311.referral.filing import Intake, take_in
from regional311.referral.snapshot import invalidate, published
from regional311.web.billing_wording import LINE_KINDS

pytestmark = pytest.mark.commits

CITY, COUNTY = "city-of-portland", "multnomah-county"
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 5, 17, tzinfo=UTC)
LINES = 230


@pytest.fixture(scope="module")
def billed(web_engine, people, clock):
    """An issued bill of October, and by hand a correction of it with every kind of line."""
    from regional311.calendars import Period
    from regional311.chargeback.month import bill_month

    clock.now = NOW
    invalidate()
    region = published(web_engine)
    city, county = people.tenants[CITY], people.tenants[COUNTY]
    with session_scope(web_engine, Scope(city)) as session:
        for number in range(4):
            at = OCTOBER + timedelta(days=number)
            take_in(
                session,
                region,
                Intake(
                    source="demo",
                    key=f"october-{number}",
                    channel="phone",
                    started_at=at,
                    ended_at=at + timedelta(minutes=4),
                    handle_seconds=240,
                    service=f"{COUNTY}/library",
                    danger_answer="none",
                    consent="refused",
                    after_hours=False,
                ),
                now=at,
            )
    preparer, approver = people.make("p@city.example", {}), people.make("a@city.example", {})
    bill_month(
        web_engine,
        {CITY: city},
        Period.of(2026, 10),
        preparer={city: preparer},
        approver={city: approver},
        now=NOW,
    )
    with session_scope(web_engine, Scope(city)) as session:
        original = session.execute(
            text("SELECT id FROM statements WHERE side = 'issued' AND counterparty_id = :county"),
            {"county": county},
        ).scalar_one()
        made = put_by_hand(session, county, original)
    return people.tenants, made


def put_by_hand(session, county, original):
    city = session.scope.tenant_id
    kinds = [
        ("correction", -981, {"corrects": {"statement": "COP-00001", "line": 1}}),
        ("funding", -2000, {"reason": "Levy, 20 % of the gross"}),
        ("overhead", 1000, {"percent": "10", "of_cents": 10000}),
        *((kind, 100, {}) for kind in ("discount", "cap", "minimum", "credit", "debit")),
        *((kind, 100, {}) for kind in ("interest", "true_up", "carry_forward")),
    ]
    kinds += [("debit", 1, {})] * (LINES - len(kinds))
    statement_id, number = new_id(), public_id("S")
    total = sum(cents for _, cents, _ in kinds)
    put(
        session,
        Statement(
            tenant_id=city,
            id=statement_id,
            public_id=number,
            side="issued",
            kind="correction",
            counterparty_id=county,
            corrects_id=original,
            period_key="2026-10",
            total_cents=total,
            line_count=len(kinds),
            item_count=0,
            digest="0" * 64,
            parties={"issuer": {"name": "City"}, "payer": {"name": "County"}},
            terms={
                "agreements": {
                    "a": {
                        "name": "An agreement",
                        "terms": {"payer_reference": {"purchase_order": "PO-9"}},
                    }
                }
            },
            created_at=NOW,
        ),
        StatementEvent(
            tenant_id=city,
            id=new_id(),
            statement_id=statement_id,
            position=1,
            state="draft",
            at=NOW,
        ),
        *(
            StatementLine(
                tenant_id=city,
                id=new_id(),
                statement_id=statement_id,
                position=position,
                kind=kind,
                service_period="2026-10",
                line_key=f"{kind}|{position}",
                label=f"{kind} {position}",
                agreement_key="a",
                basis=basis,
                quantity=Decimal(1),
                exact_amount=Decimal(cents) / 100,
                amount_cents=cents,
                item_count=0,
            )
            for position, (kind, cents, basis) in enumerate(kinds, 1)
        ),
    )
    return number


@pytest.fixture
def bill_of(billed, sign_in):
    """The address of the October bill, as its issuer or as its payer has it."""

    def find(slug):
        browser = sign_in("finance", slug)
        partner = COUNTY if slug == CITY else CITY
        query = f"format=json&kind=bill&period=2026-10&partner={partner}"
        side = "" if slug == CITY else "/received"
        (row,) = browser.get(f"/{slug}/statements{side}?{query}").json["items"]
        return browser, f"/{slug}/statements/{row['public_id']}"

    return find


@pytest.mark.parametrize("slug", [CITY, COUNTY])
def test_each_side_downloads_every_format(bill_of, slug):
    browser, address = bill_of(slug)
    page = browser.get(address)
    for form in ("pdf", "xlsx", "csv", "json"):
        assert f"{address}?format={form}" in page
    pdf = browser.get(f"{address}?format=pdf")
    assert pdf.content_type == "application/pdf"
    assert pdf.body.startswith(b"%PDF")
    assert pdf.headers["Content-Disposition"] == 'attachment; filename="COP-00001.pdf"'
    assert browser.get(f"{address}?format=pdf").body == pdf.body
    book = load_workbook(io.BytesIO(browser.get(f"{address}?format=xlsx").body))
    assert book.sheetnames == ["Cover", "Lines"]
    whole = browser.get(f"{address}?format=json").json
    assert whole["total_cents"] == sum(line["amount_cents"] for line in whole["lines"])
    assert whole["terms"]["due_days"] == 30
    rows = list(csv.DictReader(io.StringIO(browser.get(f"{address}?format=csv").text)))
    assert sum(int(row["amount_cents"]) for row in rows) == whole["total_cents"]


def test_both_sides_file_the_same_pdf(bill_of):
    made = []
    for slug in (CITY, COUNTY):
        browser, address = bill_of(slug)
        made.append(browser.get(f"{address}?format=pdf").body)
    assert made[0] == made[1]


def test_lists_filter_by_kind_and_payer(billed, sign_in):
    browser = sign_in("finance", CITY)
    listed = browser.get(f"/{CITY}/statements?kind=correction&payer=partner")
    assert billed[1] in listed
    assert "Correction" in listed
    assert billed[1] not in browser.get(f"/{CITY}/statements?kind=bill")
    bureaus = browser.get(f"/{CITY}/statements?payer=bureau&format=json").json["items"]
    assert {row["payer_kind"] for row in bureaus} <= {"bureau"}
    assert "Nothing matches" in browser.get(f"/{CITY}/statements?payer=bureau&kind=true_up")


def test_corrections_and_what_they_are_about_name_each_other(billed, bill_of):
    browser, address = bill_of(CITY)
    about = f"/{CITY}/statements/{billed[1]}"
    page = browser.get(address)
    assert "Related statements" in page
    assert about in page
    correction = browser.get(about)
    assert address in correction
    assert "on statement COP-00001, which stays as it is" in correction
    assert "Corrects line 1 of statement COP-00001." in correction
    assert "Purchase order: PO-9" in correction


def test_a_long_statement_is_paged(billed, sign_in, statements):
    browser = sign_in("finance", CITY)
    url = f"/{CITY}/statements/{billed[1]}"
    seen, address = [], url
    while address:
        page = browser.get(address)
        seen += re.findall(
            rf'<th scope="row"[^>]*><a class="usa-link" href="{url}/(\d+)"', page.text
        )
        further = page.html.find("a", rel="next")
        address = further["href"] if further else None
    assert [int(each) for each in seen] == list(range(1, LINES + 1))
    assert f"Lines 201 to {LINES} of {LINES}." in page
    assert "Does not hold" not in page
    statements.clear()
    browser.get(url)
    assert len(statements) <= 10, statements


def test_every_statement_of_the_month_is_explained_to_the_cent(billed, web_engine):
    """Explain complete: at every level the parts sum to the whole, for every kind of payer."""
    for slug, tenant_id in billed[0].items():
        with session_scope(web_engine, Scope(tenant_id)) as session:
            for row in queries.statements(session, limit=500):
                whole = explain(session, row.id)
                leaves = sum((leaf.amount for leaf in whole.leaves()), Decimal(0))
                assert leaves == whole.amount == from_cents(row.total_cents), (slug, row)
                for line in whole.children:
                    assert sum(part.amount for part in line.children) == line.amount, line


@pytest.mark.parametrize("position", range(1, 12))
def test_every_kind_of_line_has_its_page_and_arithmetic(billed, sign_in, position):
    browser = sign_in("auditor", CITY)
    page = browser.get(f"/{CITY}/statements/{billed[1]}/{position}")
    assert "How the amount came about" in page
    assert "The steps above sum to this line, to the cent." in page
    assert "Does not hold" not in page
    told = browser.get(f"/{CITY}/statements/{billed[1]}/{position}?format=json").json
    assert told["work"] == []
    assert told["kind"] in LINE_KINDS


def test_a_line_exports_its_work(bill_of):
    browser, address = bill_of(COUNTY)
    lines = browser.get(f"{address}?format=json").json["lines"]
    usage = next(line for line in lines if line["kind"] == "usage")
    told = json.loads(browser.get(f"{address}/{usage['position']}?format=json").body)
    assert len(told["work"]) == usage["items"] == 4
    assert sum(Decimal(each["amount"]) for each in told["work"]) == Decimal(usage["exact_amount"])
    rows = browser.get(f"{address}/{usage['position']}?format=csv").text.splitlines()
    assert len(rows) == 5
    assert "contact_reference" in rows[0]


def test_a_contact_shows_every_cent_to_who_reads_billing(billed, bill_of, sign_in):
    browser, address = bill_of(CITY)
    usage = next(
        line
        for line in browser.get(f"{address}?format=json").json["lines"]
        if line["kind"] == "usage"
    )
    item = browser.get(f"{address}/{usage['position']}").click(href=r"/[0-9a-f-]{36}$", index=0)
    page = item.click(href="/contacts/C-")
    assert "What this contact cost, to the cent" in page
    assert "COP-00001, line" in page
    assert "Its rounding belongs to the line" in page
    specialist = sign_in("specialist", CITY).get(page.request.path)
    assert "to the cent" not in specialist


def test_the_payer_sees_what_one_contact_cost_by_its_reference(bill_of):
    browser, address = bill_of(COUNTY)
    usage = next(
        line
        for line in browser.get(f"{address}?format=json").json["lines"]
        if line["kind"] == "usage"
    )
    item = browser.get(f"{address}/{usage['position']}").click(href=r"/[0-9a-f-]{36}$", index=0)
    page = item.click(description="Everything that this contact caused")
    assert "What one contact cost" in page
    assert "Billed for this contact" in page
    told = browser.get(page.request.path_qs + "&format=json").json
    assert [each["line"] for each in told]
    for wrong in ("C-0123", "", "a b", "x" * 65):
        browser.get(f"{address}/contact", {"reference": wrong}, status=404)


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (None, "By post: no e-mail went out"),
        ("pending", "By e-mail to bills@port.example; it has not left yet."),
        ("sent", "By e-mail to bills@port.example, "),
        ("dead", "By post: the e-mail to bills@port.example did not arrive"),
    ],
)
def test_the_page_says_how_a_payer_outside_gets_it(billed, web_engine, sign_in, state, wanted):
    city = billed[0][CITY]
    statement_id, number = new_id(), public_id("S")
    with session_scope(web_engine, Scope(city)) as session:
        put(
            session,
            Statement(
                tenant_id=city,
                id=statement_id,
                public_id=number,
                side="issued",
                kind="bill",
                counterparty_id=city,
                payer_kind="outside",
                payer_key="port",
                period_key="2026-08",
                total_cents=0,
                line_count=0,
                item_count=0,
                digest="0" * 64,
                parties={"issuer": {"name": "City"}, "payer": {"name": "Port"}},
                terms={"agreements": {}},
                created_at=NOW,
            ),
            StatementEvent(
                tenant_id=city,
                id=new_id(),
                statement_id=statement_id,
                position=1,
                state="issued",
                number=f"PORT-{number}",
                at=NOW,
            ),
        )
        if state is not None:
            row = outbox_row(
                city,
                event="statement_outside",
                recipient="bills@port.example",
                language="en",
                now=NOW,
                subject_id=statement_id,
                values={},
            )
            put(session, row)
            session.execute(
                text(
                    "UPDATE outbox_messages SET state = :state, sent_at = :at"
                    " WHERE subject_id = :statement"
                ),
                {
                    "state": state,
                    "at": NOW if state == "sent" else None,
                    "statement": statement_id,
                },
            )
    page = sign_in("finance", CITY).get(f"/{CITY}/statements/{number}")
    assert wanted in " ".join(page.html.text.split())
    partners = sign_in("finance", CITY).get(f"/{CITY}/statements/{billed[1]}")
    assert "By e-mail" not in partners
    assert "By post" not in partners
