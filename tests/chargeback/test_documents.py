"""A statement as PDF, XLSX, CSV and JSON: readable, complete, and the same bytes every time."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from openpyxl import load_workbook

from regional311.chargeback.documents.content import (
    Budget,
    Document,
    Done,
    Part,
    Party,
    line_note,
    period_words,
    read_document,
    read_lines,
    year_before,
)
from regional311.chargeback.documents.exports import COLUMNS, stream_csv, stream_json
from regional311.chargeback.documents.pdf import PRINTED, render_pdf, render_picture
from regional311.chargeback.documents.workbook import write_xlsx
from regional311.chargeback.queries import LineRow

LINE = LineRow(
    id=UUID(int=1),
    position=1,
    kind="usage",
    label="Library: contact handled, phone",
    agreement_key="city-county",
    basis={"activity": "contact_handled"},
    quantity=Decimal("40.000000"),
    price=Decimal("4.905000"),
    exact_amount=Decimal("196.200000"),
    amount_cents=19620,
    item_count=40,
    service_period="2026-10",
)
CORRECTION = replace(
    LINE,
    id=UUID(int=2),
    position=2,
    kind="correction",
    label="=1+1 is no formula, <b> no markup, #strong[no] typst",
    basis={
        "corrects": {"statement": "CITY-00001", "line": 3},
        "reason": "Two contacts were merged",
    },
    quantity=Decimal("-2.000000"),
    exact_amount=Decimal("-9.810000"),
    amount_cents=-981,
    item_count=0,
)
DOCUMENT = Document(
    id=UUID(int=7),
    title="Statement CITY-00002",
    number="CITY-00002",
    public_id="S-00000-00002",
    side="issued",
    kind="bill",
    state="issued",
    warning=None,
    period_key="2026-10",
    period="October 2026",
    issuer=Party("City of Portland", ("1120 SW Fifth Avenue", "503-823-4000")),
    payer=Party("Multnomah County", ()),
    dated=date(2026, 11, 3),
    made_at=datetime(2026, 11, 3, 17, tzinfo=UTC),
    due_on=date(2026, 12, 3),
    corrects=None,
    agreements=(("city-county", "City takes contacts for the County"),),
    references=(("Purchase order", "PO-4711"), ("Fund", "1000")),
    agreement_references={"city-county": (("Purchase order", "PO-4711"), ("Fund", "1000"))},
    done=(Done("contact_handled", Decimal(40), 19620),),
    parts=(
        Part("Library", "usage", 19620, 40, 10000),
        Part("Correction", "correction", -981, 0, 0),
    ),
    by_terms=(("funding", -2000), ("discount", -100), ("minimum", 0)),
    last_year=("October 2025", 10000),
    budget=Budget("FY 2026-27", 1_000_000, 400_000, Decimal("33.3")),
    total_cents=18639,
    line_count=2,
    item_count=40,
    digest="ab" * 32,
)


WITHOUT_ZONE = datetime(2026, 11, 3, 17, tzinfo=UTC).replace(tzinfo=None)


def test_the_cover_says_what_it_cost_in_plain_words():
    assert DOCUMENT.sentences == (
        "Multnomah County pays City of Portland $186.39 for October 2026.",
        "For that, City of Portland did this work: 40 contacts handled.",
        "Funding from others takes $20.00 off.",
        "The agreed discounts take $1.00 off.",
        "That is $86.39 (86.4 %) more than for October 2025.",
        (
            "Of the budget of $10,000.00 for FY 2026-27, $4,000.00 (40 %) is used with this"
            " statement, when 33.3 % of the year has gone by."
        ),
    )
    memo = replace(
        DOCUMENT,
        kind="credit_memo",
        total_cents=-500,
        corrects="CITY-00001",
        done=(),
        by_terms=(),
        parts=(Part("I&R", "pool", 5, 0),),
        last_year=("October 2025", -500),
        budget=Budget("FY 2026-27", 100, 150, Decimal(50)),
    )
    assert memo.sentences == (
        "City of Portland credits Multnomah County with $5.00 for October 2026.",
        "It is about statement CITY-00001, which stays as it is.",
        "It is a share of a cost that the partners bear together.",
        "That is as much as for October 2025.",
        (
            "Of the budget of $1.00 for FY 2026-27, $1.50 (150 %) is used with this statement,"
            " when 50 % of the year has gone by."
        ),
        "The budget is exceeded by $0.50.",
    )


def test_a_correcting_line_names_what_it_corrects():
    assert line_note(CORRECTION) == (
        "Corrects line 3 of statement CITY-00001. Two contacts were merged."
    )
    assert line_note(LINE) is None
    assert line_note(replace(LINE, basis={"corrects": {}})) == "Corrects an earlier statement."


def test_periods_and_the_year_before():
    quarter = "2026-07-01..2026-09-30"
    assert year_before(quarter) == "2025-07-01..2025-09-30"
    assert year_before("2026-07-03..2026-07-09") is None
    assert year_before("2028-02-01..2028-02-29") == "2027-02"
    assert period_words(quarter) == "July 1, 2026 through September 30, 2026"


def test_the_pdf_is_tagged_titled_and_says_its_language():
    made = render_pdf(DOCUMENT, [LINE, CORRECTION])
    assert made.startswith(b"%PDF-1.7")
    for mark in (b"/StructTreeRoot", b"/Lang(en-US)", b"/MarkInfo<</Marked true", b"pdfuaid:part"):
        assert mark in made, mark
    assert b"CreationDate(D:20261103170000Z)" in made
    assert b"Statement CITY-00002, City of Portland to Multnomah County" in made
    assert render_picture(DOCUMENT, [LINE]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "other",
    [
        replace(DOCUMENT, parts=(), done=(), agreements=(), references=(), budget=None),
        replace(DOCUMENT, last_year=None, due_on=None, warning="Draft: nothing is owed."),
        replace(DOCUMENT, kind="credit_memo", total_cents=-981, corrects="CITY-00001"),
        replace(DOCUMENT, line_count=100_000),
    ],
)
def test_every_shape_of_statement_is_set_as_pdf_ua(other):
    assert b"pdfuaid:part" in render_pdf(other, [LINE, CORRECTION])


IN_A_PROCESS = """
import hashlib, io, sys
sys.path.insert(0, {directory!r})
from test_documents import CORRECTION, DOCUMENT, LINE, render_pdf, write_xlsx
book = io.BytesIO()
write_xlsx(DOCUMENT, [LINE, CORRECTION], book)
for made in (render_pdf(DOCUMENT, [LINE, CORRECTION]), book.getvalue()):
    print(hashlib.sha256(made).hexdigest())
"""


def test_another_process_makes_the_same_bytes(pytestconfig):
    directory = str(pytestconfig.rootpath / "tests" / "chargeback")
    told = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS.format(directory=directory)],
        capture_output=True,
        text=True,
        check=True,
        env={"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"},
    ).stdout.split()
    book = io.BytesIO()
    write_xlsx(DOCUMENT, [LINE, CORRECTION], book)
    here = [render_pdf(DOCUMENT, [LINE, CORRECTION]), book.getvalue()]
    assert told == [hashlib.sha256(made).hexdigest() for made in here]


def test_the_workbook_has_numbers_and_no_formula():
    made = io.BytesIO()
    write_xlsx(DOCUMENT, [LINE, CORRECTION], made)
    with zipfile.ZipFile(made) as parts:
        assert {each.date_time for each in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"<f>" not in b"".join(parts.read(name) for name in parts.namelist())
    book = load_workbook(made)
    assert book.properties.created == book.properties.modified == WITHOUT_ZONE
    heads, line, correction = book["Lines"].iter_rows(values_only=True)
    assert len(heads) == len(COLUMNS)
    told = dict(zip(heads, line, strict=True))
    assert (told["Quantity"], told["Price"], told["Amount"]) == (40, 4.905, 196.2)
    assert told["Your reference"] == "Purchase order: PO-4711; Fund: 1000"
    assert correction[4].startswith("=1+1")
    assert correction[6:8] == ("CITY-00001", 3)
    cover = {row[0]: row[1] for row in book["Cover"].iter_rows(values_only=True) if len(row) > 1}
    assert cover["Total"] == 186.39
    assert cover["Due"].date() == date(2026, 12, 3)


def test_csv_and_json_have_every_line_and_defuse_formulas():
    lines = [LINE, CORRECTION] * 700
    rows = list(csv.DictReader(io.StringIO(b"".join(stream_csv(DOCUMENT, lines)).decode())))
    assert len(rows) == 1400
    assert rows[1]["label"].startswith("'=1+1")
    assert rows[1]["quantity"] == "-2.000000"
    told = json.loads(b"".join(stream_json(DOCUMENT, lines, {"terms": {"due_days": 30}})))
    assert told["schema"] == "regional311/statement/1"
    assert told["terms"] == {"due_days": 30}
    assert sum(line["amount_cents"] for line in told["lines"]) == 700 * (19620 - 981)
    assert told["lines"][1]["corrects_statement"] == "CITY-00001"
    assert json.loads(b"".join(stream_json(DOCUMENT, [])))["lines"] == []


@pytest.mark.commits
class TestFrozen:
    """The document of an issued statement, read from the database."""

    @pytest.fixture
    def billed(self, region):
        region.agree(
            "city-county",
            "city",
            "county",
            "contact_handled",
            pool_key="i-and-r",
            terms={
                "due_days": 30,
                "number_prefix": "CITY",
                "payer_reference": {"purchase_order": "PO-4711", "fund": "1000"},
            },
        )
        region.rate("city", "phone", "contact_handled", "4.905", channel="phone")
        region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
        for number in range(5):
            region.use("city", "county", at=(2026, 10, 1 + number, 9))
        bill(region)
        return region

    def test_both_sides_have_the_same_document_for_ever(self, billed):
        made = {}
        for slug in ("city", "county"):
            with billed.of(slug) as session:
                found = read_document(session, "CITY-00001")
                lines = list(read_lines(session, found.id))
                made[slug] = render_pdf(found, lines[:PRINTED])
        assert found.references == (("Purchase order", "PO-4711"), ("Fund", "1000"))
        assert found.due_on == date(2026, 12, 3)
        assert found.done[0].words == "5 contacts handled"
        assert {part.kind for part in found.parts} == {"usage", "pool"}
        assert made["city"] == made["county"]
        billed.use("city", "county", at=(2026, 10, 20, 9))
        bill(billed, month=11)
        with billed.of("city") as session:
            again = read_document(session, "CITY-00001")
            assert render_pdf(again, read_lines(session, again.id)) == made["city"]
            assert [line.position for line in read_lines(session, again.id, limit=1)] == [1]
            assert read_document(session, "CITY-09999") is None

        bill(billed, month=12, until="draft")
        with billed.of("city") as session:
            (row,) = [each for each in statements(session) if each.state == "draft"]
            found = read_document(session, row.id)
        assert found.warning.startswith("Draft")
        assert found.due_on is None

    def test_last_year_stands_beside_it(self, billed):
        billed.pool("city", "i-and-r", 72_000_000, {"city": 50, "county": 50}, fiscal_year=2028)
        bill(billed, year=2027)
        with billed.of("county") as session:
            found = read_document(session, "CITY-00002")
        assert found.last_year == ("October 2026", 2_502_453)
        assert found.parts[0].amount_cents == 3_000_000
        assert found.parts[0].last_year_cents == 2_500_000
        assert "more than for October 2026" in " ".join(found.sentences)


def statements(session):
    from regional311.chargeback import queries

    return queries.statements(session)


def bill(region, year=2026, month=10, until="issued"):
    from regional311.calendars import Period
    from regional311.chargeback.month import bill_month

    period = Period.of(year, month)
    return bill_month(
        region.engine,
        region.tenants,
        period,
        preparer={region.tenants["city"]: region.preparer},
        approver={region.tenants["city"]: region.approver},
        until=until,
        now=datetime(period.end_on.year, period.end_on.month, 3, 17, tzinfo=UTC),
    )
