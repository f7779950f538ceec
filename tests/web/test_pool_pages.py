"""Pools, bases and splits of bills: the pages that finance works with."""

from __future__ import annotations

import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from openpyxl import Workbook
from sqlalchemy import select
from webtest import Upload

from regional311.calendars import Period
from regional311.chargeback.billing import draft_statements
from regional311.chargeback.models import Statement, StatementLine
from regional311.chargeback.rating import run_rating
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope

CITY, COUNTY = "city-of-portland", "multnomah-county"
DAY = "as_of=2026-10-15"
NOVEMBER = datetime(2026, 11, 3, 18, tzinfo=UTC)

pytestmark = pytest.mark.commits


@pytest.fixture
def finance(sign_in):
    return sign_in("finance", CITY)


@pytest.fixture
def approver(sign_in):
    return sign_in("approver", CITY)


def test_the_list_shows_what_each_pool_is_divided_by(finance):
    page = finance.get(f"/{CITY}/pools?{DAY}")
    assert "311 contact centre" in page
    assert "Contacts by bureau" in page
    assert "Water Bureau 40.87\u00a0%" in page or "Water Bureau 40.87 %" in page
    table = finance.get(f"/{CITY}/pools?{DAY}&format=csv").text
    assert "contact-centre,2027,311 contact centre,215000000,bureau:water,40.865385" in table


def test_a_pool_shows_what_it_is_made_of_and_what_supports_it(finance):
    page = finance.get(f"/{CITY}/pools/contact-centre?{DAY}")
    for words in (
        "Personnel, 28 positions",
        "-$300,000.00",
        "Stays with the general fund",
        "What other pools add",
        "People services",
        "Contacts by bureau",
    ):
        assert words in page
    assert "Does not hold" not in page
    shares = finance.get(f"/{CITY}/pools/contact-centre?{DAY}&format=json").json["shares"]
    assert sum(row["month_cents"] for row in shares) > 2_150_000_00 // 12


def test_a_pool_that_serves_pools_shows_that_they_pass_it_on(finance):
    page = finance.get(f"/{CITY}/pools/people-services?{DAY}")
    assert "(a pool, which passes it on)" in page


def test_the_methods_stand_side_by_side_with_their_differences(finance):
    page = finance.get(f"/{CITY}/pools/methods?{DAY}")
    assert "Reciprocal" in page
    assert "(billed)" in page
    assert re.search(r"\+\$[\d,]+\.\d\d", page.text)
    rows = finance.get(f"/{CITY}/pools/methods?{DAY}&format=json").json
    for method in ("direct", "step_down", "double_step_down", "reciprocal"):
        total = sum(row[method] for row in rows)
        assert total == 440_000_00 + 325_000_00 + 2_150_000_00 + 600_000_00
    water = next(row for row in rows if row["target"] == "bureau:water")
    assert len({water[each] for each in ("direct", "step_down", "reciprocal")}) == 3
    assert "bureau:water" in finance.get(f"/{CITY}/pools/methods?{DAY}&format=csv")


@pytest.mark.parametrize("method", ["", "&method=direct", "&method=reciprocal", "&method=nonsense"])
def test_the_picture_has_a_title_a_description_and_its_table(finance, method):
    page = finance.get(f"/{CITY}/pools/flow?{DAY}{method}")
    assert page.text.count("<svg") == 2
    assert 'aria-labelledby="flow-title-1 flow-text-1"' in page
    assert "<caption" in page
    assert ("r-flow__band--back" in page) == (method == "&method=reciprocal")
    assert "<script" not in page.text.split("<svg", 1)[1].split("</svg>", 1)[0]
    assert "style=" not in page.text.split("<svg", 1)[1].split("</svg>", 1)[0]


def test_a_year_without_pools_says_so(finance):
    for path in ("pools", "pools/methods", "pools/flow"):
        page = finance.get(f"/{CITY}/{path}?as_of=2041-10-15")
        assert "fiscal year" in page


# Forms


def filled(page, **values):
    form = page.forms["form"]
    for name, value in values.items():
        form[name] = value
    return form


def pressed(page, action):
    """Press the button of a form whose address ends so."""
    return next(each for each in page.forms.values() if each.action.endswith(action)).submit()


def approved(page, approver):
    """Send a draft, and let the second person approve it: the page of versions."""
    sent = pressed(page, "/send").follow()
    assert "Another person approves it." not in sent
    return pressed(approver.get(sent.request.path), "/approve").follow()


def test_a_pool_is_drafted_refused_in_words_approved_and_changed(finance, approver):
    page = finance.get(f"/{CITY}/pools/new")
    form = filled(
        page,
        key="front-desk",
        fiscal_year="2027",
        name="Front desk",
        amount="20,000.00",
        source="311 plan",
        share="bureau:water; 60\nbureau:parks; 39.99",
        why="A desk of its own",
    )
    refused = form.submit("submit", status=400)
    assert "The shares make 99.99 %, they must make exactly 100 %." in refused
    form = filled(refused, share="bureau:water; 60\nbureau:parks; 40")
    draft = form.submit("submit").follow()
    assert "Front desk" in draft
    assert "Share: Water Bureau" in draft
    finance.get(f"/{CITY}/pools/front-desk", status=404)
    approved(draft, approver)
    done = finance.get(f"/{CITY}/pools/front-desk?{DAY}")
    assert "$12,000.00" in done
    again = filled(
        finance.get(f"/{CITY}/pools/front-desk/edit?{DAY}"),
        amount="10000.00",
        sources="Personnel; 511000; 12000.00",
        revenues="Grant; 1,999.99",
        why="Less is needed",
    ).submit("submit", status=400)
    assert "make 10,000.01, the amount is 10,000.00" in again
    draft = (
        filled(again, revenues="Grant; 2,000", actual="9876.54", actual_source="Close")
        .submit("submit")
        .follow()
    )
    assert "$20,000.00" in draft
    assert "$10,000.00" in draft
    assert "Account: Personnel" in draft
    assert "Less is needed" in draft
    approved(draft, approver)
    done = finance.get(f"/{CITY}/pools/front-desk?{DAY}")
    assert "$9,876.54 (Close)" in done
    assert "-$2,000.00" in done
    twice = filled(
        finance.get(f"/{CITY}/pools/new"),
        key="front-desk",
        fiscal_year="2027",
        name="Front desk",
        amount="1",
        source="x",
        share="bureau:water; 100",
        why="x",
    ).submit("submit", status=400)
    assert "has an amount for 2027 already" in twice


def test_versions_stand_side_by_side_and_an_old_one_comes_back(finance, approver, sign_in):
    page = finance.get(f"/{CITY}/pools/i-and-r/edit?{DAY}")
    form = filled(page, share="city-of-portland; 60\nmultnomah-county; 40", why="The board decided")
    page = approved(form.submit("submit").follow(), approver)
    page = finance.get(f"/{CITY}/pools/i-and-r/versions?{DAY}")
    assert "The board decided" in page
    assert "the files" in page
    table = page.html.find_all("table")[-1].get_text(" ", strip=True)
    assert "Share: Multnomah County 50\u00a0% 40\u00a0%" in table
    back = page.click("Bring back version 1")
    draft = filled(back, why="It was a mistake").submit("submit").follow()
    assert "Brings back version" in draft
    approved(draft, approver)
    told = finance.get(f"/{CITY}/pools/i-and-r/versions?{DAY}&format=json").json
    assert [(each["number"], each["why"]) for each in told] == [
        (3, "It was a mistake"),
        (2, "The board decided"),
        (1, None),
    ]
    assert told[0]["made_by"] != told[0]["approved_by"]
    side = finance.get(f"/{CITY}/pools/i-and-r/versions?{DAY}&old=1&new=3")
    assert "Nothing differs." in side
    finance.get(f"/{CITY}/pools/i-and-r/again?{DAY}&version=3", status=404)
    county = sign_in("finance", COUNTY)
    agreement = county.get(f"/{COUNTY}/agreements/information-and-referral-share")
    assert "Changes of the shared cost" in agreement
    assert "$240,000.00" in agreement
    assert "$360,000.00" not in agreement
    assert "Changes of the shared cost" not in finance.get(
        f"/{CITY}/agreements/information-and-referral-share"
    )


def test_a_draft_is_refused_withdrawn_and_overtaken(finance, approver):
    def drafted(note):
        page = finance.get(f"/{CITY}/pools/people-services/edit?{DAY}")
        return filled(page, note=note, why=note).submit("submit").follow()

    stale = drafted("One")
    first = drafted("Two")
    sent = pressed(first, "/send").follow()
    assert "Another person approves it." not in finance.get(sent.request.path)
    page = approver.get(sent.request.path)
    form = page.forms["refusal"]
    form["reason"] = "Not yet"
    assert "Nothing was proposed yet" not in form.submit("submit").follow()
    assert "Not yet" in finance.get(sent.request.path)
    approved(drafted("Three"), approver)
    page = finance.get(stale.request.path)
    assert "Another version was stored meanwhile" in page
    listed = pressed(page, "/withdraw").follow()
    assert "Withdrawn" in listed
    rows = finance.get(f"/{CITY}/pools/proposals?format=json").json
    rows = [row for row in rows if row["pool_key"] == "people-services"]
    assert [row["state"] for row in rows] == ["approved", "refused", "withdrawn"]
    refused = finance.get(f"/{CITY}/pools/proposals?state=refused&format=json").json
    assert rows[1] in refused
    assert rows[0] not in refused
    said = finance.get(f"/{CITY}/pools/proposals/{rows[0]['id']}?format=json").json
    assert said["content"]["note"] == "Three"


def test_a_method_goes_for_all_pools_that_serve_one_another(finance, approver):
    for method, words in (("reciprocal", "Reciprocal"), ("step_down", "Step-down")):
        page = finance.get(f"/{CITY}/pools/technology/edit?{DAY}")
        draft = filled(page, method=method, why="Fairer").submit("submit").follow()
        assert "take the same method" in draft
        approved(draft, approver)
        for key in ("technology", "people-services", "contact-centre"):
            page = finance.get(f"/{CITY}/pools/{key}?{DAY}")
            assert f"<dd>{words}</dd>" in page
            assert "Does not hold" not in page


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("sources", "Personnel", "Write line 1 as: Personnel; 511000"),
        ("revenues", "Grant; much", "Grant: Write the amount"),
        ("share", "bureau:water; x", "x is not a percentage"),
        ("share", "bureau:water; 50\nbureau:water; 50", "bureau:water is there twice"),
        ("step_order", "1000", "between 0 and 999"),
        ("base", "contacts", "a base or shares, not both"),
    ],
)
def test_lines_of_a_pool_are_refused_by_line(finance, field, value, says):
    page = finance.get(f"/{CITY}/pools/i-and-r/edit?{DAY}")
    assert says in filled(page, why="x", **{field: value}).submit("submit", status=400)


def test_a_base_is_made_read_and_corrected_by_two_people(finance, approver):
    form = filled(
        finance.get(f"/{CITY}/bases/new"), key="floor", name="Floor area", why="New", kind="fixed"
    )
    draft = form.submit("submit").follow()
    finance.get(f"/{CITY}/bases/floor", status=404)
    done = approved(draft, approver)
    assert "Nothing can be divided by this base yet" in done
    page = finance.get(f"/{CITY}/bases/floor/snapshot")
    form = filled(page, source="Plans", readings="bureau:water; 3\nbureau:parks; x", why="First")
    refused = form.submit("submit", status=400)
    assert "The reading of bureau:parks must be a number" in refused
    form = filled(refused, readings="bureau:water; 3\nbureau:parks; 1")
    draft = form.submit("submit").follow()
    assert "Reading: Water Bureau" in draft
    assert finance.get(f"/{CITY}/bases/floor?format=json").json == []
    assert "75" in approved(draft, approver)
    page = finance.get(f"/{CITY}/bases/floor/snapshot")
    assert "bureau:water; 3" in page.forms["form"]["readings"].value
    form = filled(page, source="New plans", readings="bureau:water; 1", why="Moved")
    approved(form.submit("submit").follow(), approver)
    found = finance.get(f"/{CITY}/bases/floor?format=json").json
    assert [each["readings"] for each in found] == [
        {"bureau:parks": "1", "bureau:water": "3"},
        {"bureau:water": "1"},
    ]
    assert "floor" in finance.get(f"/{CITY}/bases?format=csv")
    page = finance.get(f"/{CITY}/bases/floor").click("Bring back snapshot 1")
    assert page.forms["form"]["source"].value == "Plans"
    back = filled(page, why="It was right").submit("submit").follow()
    assert "Brings back" in back
    assert "It was right" in approved(back, approver)


def test_versions_of_a_base_stand_side_by_side_and_an_old_one_comes_back(finance, approver):
    form = filled(finance.get(f"/{CITY}/bases/positions/edit"), rolling_quarters="8", why="Steady")
    form["valid_from"] = "2027-01-01"
    draft = form.submit("submit").follow()
    assert "Quarters that are averaged" in draft
    stale = finance.get(f"/{CITY}/bases/positions/edit")
    assert "8 quarters" in approved(draft, approver)
    filled(stale, note="Late", why="x").submit("submit", status=409)
    side = finance.get(f"/{CITY}/bases/positions/versions")
    assert "Steady" in side
    assert "the files" in side
    table = side.html.find_all("table")[-1].get_text(" ", strip=True)
    assert "Quarters that are averaged nothing 8" in table
    draft = filled(side.click("Bring back version 1"), why="A mistake").submit("submit").follow()
    approved(draft, approver)
    told = finance.get(f"/{CITY}/bases/positions/versions?format=json").json
    assert [(each["number"], each["valid_from"], each["why"]) for each in told] == [
        (3, None, "A mistake"),
        (2, "2027-01-01", "Steady"),
        (1, None, None),
    ]
    assert told[0]["made_by"] != told[0]["approved_by"]
    assert "Nothing differs." in finance.get(f"/{CITY}/bases/positions/versions?old=1&new=3")
    finance.get(f"/{CITY}/bases/positions/again?version=3", status=404)


def test_a_change_of_a_base_is_refused_withdrawn_and_overtaken(finance, approver):
    def drafted(note):
        page = finance.get(f"/{CITY}/bases/contacts/edit")
        return filled(page, note=note, why=note).submit("submit").follow()

    stale = drafted("One")
    sent = pressed(drafted("Two"), "/send").follow()
    page = approver.get(sent.request.path)
    form = page.forms["refusal"]
    form["reason"] = "Not yet"
    assert "Nothing was proposed yet" not in form.submit("submit").follow()
    assert "Not yet" in finance.get(sent.request.path)
    approved(drafted("Three"), approver)
    page = finance.get(stale.request.path)
    assert "Something newer was stored meanwhile" in page
    assert "Withdrawn" in pressed(page, "/withdraw").follow()
    rows = finance.get(f"/{CITY}/bases/proposals?format=json").json
    rows = [row for row in rows if row["base_key"] == "contacts"]
    assert [row["state"] for row in rows] == ["approved", "refused", "withdrawn"]
    refused = finance.get(f"/{CITY}/bases/proposals?state=refused&format=json").json
    assert rows[1] in refused
    assert rows[0] not in refused
    said = finance.get(f"/{CITY}/bases/proposals/{rows[0]['id']}?format=json").json
    assert (said["what"], said["content"]["note"]) == ("base", "Three")


def test_a_mix_shows_its_parts_and_takes_no_readings(finance):
    page = finance.get(f"/{CITY}/bases/calls-and-positions")
    assert "Contacts by bureau" in page
    assert "Add readings" not in page
    finance.get(f"/{CITY}/bases/calls-and-positions/snapshot", status=404)
    form = filled(
        finance.get(f"/{CITY}/bases/calls-and-positions/edit"),
        parts="contacts; 40\npositions; 59",
        why="x",
    )
    assert "make 99 %, not 100 %" in form.submit("submit", status=400)


def test_a_counted_base_offers_what_was_counted(finance):
    page = finance.get(f"/{CITY}/bases/contacts/snapshot?from=2026-10-01&to=2026-09-01")
    assert "Choose a first and a later last day." in page
    page = finance.get(f"/{CITY}/bases/contacts/snapshot?from=2031-10-01&to=2031-10-31")
    assert "No work was recorded then." in page


def upload(browser, content, name="readings.csv", status=200):
    page = browser.get(f"/{CITY}/bases/positions/snapshot")
    form = next(each for each in page.forms.values() if each.action.endswith("/upload"))
    form["file"] = Upload(name, content)
    return form.submit(status=status)


def workbook(*rows):
    book = Workbook()
    for row in rows:
        book.active.append(row)
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def test_a_sheet_fills_the_form_and_keeps_nothing_by_itself(finance):
    for content in (
        b"target,reading\r\nbureau:water,560\r\npool:technology,32.5\r\n",
        b"target;reading\nbureau:water;560\n\npool:technology;32.5\n",
        workbook(("Target", "Reading"), ("bureau:water", 560), ("pool:technology", 32.5)),
    ):
        page = upload(finance, content)
        assert page.forms["form"]["readings"].value.splitlines() == [
            "bureau:water; 560",
            "pool:technology; 32.5",
        ]
    assert len(finance.get(f"/{CITY}/bases/positions?format=json").json) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no readings"),
        (b"who,reading\na,1\n", "must be the headings"),
        (b"target,reading\na\n", "Row 2 must have a target and a reading"),
        (b"target,reading\na,1\na,2\n", "Row 3: a is there twice"),
        (b"\xff\xfe", "neither XLSX nor CSV"),
        (b"PK\x03\x04nonsense", "not a workbook"),
        (workbook(("target", "reading"), ("a", "=1+1")), "Row 2 has a formula"),
        (workbook(("target", "reading"), ("a", date(2026, 1, 1))), "which is not a reading"),
    ],
    ids=range(8),
)
def test_a_bad_sheet_is_refused_by_row(finance, content, says):
    assert says in upload(finance, content, status=400)


def test_a_rule_divides_our_bill(sign_in):
    county = sign_in("finance", COUNTY)
    assert "Information and referral" in county.get(f"/{COUNTY}/splits")
    page = county.get(f"/{COUNTY}/splits/information-and-referral")
    assert "607" in page
    refused = filled(
        county.get(f"/{COUNTY}/splits/new"),
        key="rest",
        name="The rest",
        agreement="city-intake-for-county",
        parts="60; library; 1510;\n40; nowhere; ;",
    ).submit("submit", status=400)
    assert "There is no bureau nowhere." in refused
    done = filled(refused, parts="60; library; 1510;\n40; health; ;").submit("submit").follow()
    assert "The rest" in done
    edited = filled(county.get(f"/{COUNTY}/splits/rest/edit"), parts="99; library; ;")
    assert "The parts make 99 %" in edited.submit("submit", status=400)


def test_who_may_not_edit_sees_no_form(sign_in):
    auditor = sign_in("auditor", CITY)
    assert "Add a pool" not in auditor.get(f"/{CITY}/pools")
    auditor.get(f"/{CITY}/pools/new", status=403)
    auditor.get(f"/{CITY}/bases/contacts/edit", status=403)


def bureau_bill(people, bureau):
    """The draft that a bureau of the City gets for October, made anew: its number and lines."""
    with session_scope(people.engine, Scope(people.tenants[CITY])) as session:
        run = run_rating(session, period=Period.month("2026-10"), now=NOVEMBER)
        drafts = draft_statements(session, run.id, now=NOVEMBER)
        row = session.execute(
            select(Statement.public_id, StatementLine.position, StatementLine.amount_cents)
            .join(
                StatementLine,
                (StatementLine.tenant_id == Statement.tenant_id)
                & (StatementLine.statement_id == Statement.id),
            )
            .where(
                Statement.id.in_(drafts),
                Statement.payer_key == bureau,
                StatementLine.kind == "pool",
            )
        ).one()
        return row.public_id, row.position, row.amount_cents


def test_a_bureaus_line_explains_base_snapshot_and_support(people, finance):
    number, line, cents = bureau_bill(people, "parks")
    assert cents == 12_598_04
    page = finance.get(f"/{CITY}/statements/{number}/{line}")
    for words in (
        "Divided by Contacts by bureau, snapshot 1",
        "Parks &amp; Recreation: reading 58000, $12,598.04.",
        "that people-services gave",
        "Rounded to whole cents",
    ):
        assert words in page.text, words
    assert "Does not hold" not in page


def test_our_own_parts_of_a_bill_sum_to_it(people, sign_in, finance):
    number, _line, _cents = bureau_bill(people, "parks")
    assert "We issued this statement ourselves." in finance.get(
        f"/{CITY}/statements/{number}/parts"
    )
    lines = {1: ("information-and-referral-share", 25_000_01), 2: ("other", 999)}
    number = public_id("S")
    with session_scope(people.engine, Scope(people.tenants[COUNTY])) as session:
        statement_id = new_id()
        put(
            session,
            Statement(
                tenant_id=people.tenants[COUNTY],
                id=statement_id,
                public_id=number,
                side="received",
                counterparty_id=people.tenants[CITY],
                period_key="2026-10",
                total_cents=25_010_00,
                line_count=2,
                item_count=0,
                digest="0" * 64,
                parties={},
                terms={},
                created_at=NOVEMBER,
            ),
            *(
                StatementLine(
                    tenant_id=people.tenants[COUNTY],
                    id=new_id(),
                    statement_id=statement_id,
                    position=position,
                    kind="pool",
                    service_period="2026-10",
                    line_key=agreement,
                    label="A share",
                    agreement_key=agreement,
                    basis={},
                    quantity=Decimal(1),
                    exact_amount=Decimal(cents) / 100,
                    amount_cents=cents,
                    item_count=0,
                )
                for position, (agreement, cents) in lines.items()
            ),
        )
    county = sign_in("finance", COUNTY)
    found = county.get(f"/{COUNTY}/statements/{number}/parts?format=json").json
    assert [(row["line"], row["fund"], row["cost_centre"], row["cents"]) for row in found] == [
        (1, "1000", "608", 10_000_00),
        (1, "1000", "607", 15_000_01),
        (2, None, None, 999),
    ]
    page = county.get(f"/{COUNTY}/statements/{number}/parts")
    assert "$25,010.00" in page
    assert "Not divided" in page
    assert f"statements/{number}/parts" in county.get(f"/{COUNTY}/splits")
    assert "607" in county.get(f"/{COUNTY}/statements/{number}/parts?format=csv")


def test_a_year_adds_up_its_months_each_by_what_was_known(finance, approver):
    form = filled(finance.get(f"/{CITY}/bases/new"), key="late", name="Late", why="New")
    approved(form.submit("submit").follow(), approver)
    form = filled(
        finance.get(f"/{CITY}/bases/late/snapshot"),
        as_of="2026-08-15",
        source="Count",
        readings="bureau:water; 1",
        why="New",
    )
    approved(form.submit("submit").follow(), approver)
    form = filled(
        finance.get(f"/{CITY}/pools/new"),
        key="late-pool",
        fiscal_year="2027",
        name="Late pool",
        amount="1200.00",
        source="Budget",
        base="late",
        why="New",
    )
    approved(form.submit("submit").follow(), approver)
    page = finance.get(f"/{CITY}/pools/late-pool?{DAY}")
    assert "The base Late has no readings from before 2026-08-01." in page
    shares = finance.get(f"/{CITY}/pools/late-pool?{DAY}&format=json").json["shares"]
    assert [(row["target"], row["year_cents"], row["month_cents"]) for row in shares] == [
        ("bureau:water", 11 * 100_00, 100_00)
    ]
