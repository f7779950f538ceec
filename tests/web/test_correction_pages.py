"""After the issue: late work, a memo, the end of the year; by the issuer, and by the payer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from regional311.allocation.year import read_year
from regional311.calendars import Period
from regional311.chargeback import billing, true_up
from regional311.chargeback.freed import Freed
from regional311.chargeback.rating import run_rating
from regional311.chargeback.statement import Payer
from regional311.database.session import Scope, session_scope
from regional311.referral.filing import Intake, take_in
from regional311.referral.snapshot import invalidate, published
from regional311.web.views import corrections
from tests.pools import next_version

pytestmark = pytest.mark.commits

CITY, COUNTY, INFO = "city-of-portland", "multnomah-county", "211info"
NOVEMBER = datetime(2026, 11, 3, 18, tzinfo=UTC)
LATE = datetime(2026, 11, 9, 18, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, 18, tzinfo=UTC)
YEAR_OVER = datetime(2027, 7, 12, 18, tzinfo=UTC)
OCTOBER = Period.of(2026, 10)


def contact(engine, tenants, number, day, now):
    at = datetime(2026, 10, day, 17, tzinfo=UTC)
    with session_scope(engine, Scope(tenants[CITY])) as session:
        take_in(
            session,
            published(engine),
            Intake(
                source="demo",
                key=f"late-{number}",
                channel="phone",
                started_at=at,
                ended_at=at + timedelta(minutes=4),
                handle_seconds=240,
                service=f"{COUNTY}/pet-license",
                danger_answer="none",
                consent="refused",
                after_hours=False,
            ),
            now=now,
        )


@pytest.fixture(scope="module")
def issue(web_engine, people):
    """Take drafts of the City through review by its two people, and issue them."""
    tenant = people.tenants[CITY]
    for role in ("finance", "approver"):
        people.account(CITY, role)
    prepares = Scope(tenant, people.known[people.account(CITY, "finance")])
    approves = Scope(tenant, people.known[people.account(CITY, "approver")])

    def all_open(now):
        query = text(
            "SELECT s.id FROM statements s CROSS JOIN LATERAL (SELECT state FROM statement_events"
            " WHERE statement_id = s.id ORDER BY position DESC LIMIT 1) e"
            " WHERE s.tenant_id = :me AND s.side = 'issued' AND e.state = 'draft' ORDER BY s.id"
        )
        with session_scope(web_engine, prepares) as session:
            drafts = list(session.execute(query, {"me": tenant}).scalars())
            for each in drafts:
                billing.submit(session, each, now=now)
        with session_scope(web_engine, approves) as session:
            for each in drafts:
                billing.approve(session, each, now=now)
        with session_scope(web_engine, prepares) as session:
            return [billing.issue(session, each, now=now).number for each in drafts]

    return all_open


@pytest.fixture(scope="module")
def issued(web_engine, people, clock, issue):
    """An October with three contacts about a County service that was issued; one more came late."""
    invalidate()
    for number, day in enumerate((5, 6, 7)):
        contact(web_engine, people.tenants, number, day, NOVEMBER - timedelta(days=10))
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        run = run_rating(session, period=OCTOBER, now=NOVEMBER)
        billing.draft_statements(session, run.id, now=NOVEMBER)
    issue(NOVEMBER)
    contact(web_engine, people.tenants, 9, 8, LATE)
    clock.now = DECEMBER
    return people.tenants


def address(engine, tenants, slug, kind="bill"):
    with session_scope(engine, Scope(tenants[slug])) as session:
        return session.execute(
            text(
                "SELECT public_id FROM statements WHERE tenant_id = :me AND kind = :kind"
                " AND counterparty_id = :other ORDER BY id DESC LIMIT 1"
            ),
            {
                "me": tenants[slug],
                "kind": kind,
                "other": tenants[COUNTY if slug == CITY else CITY],
            },
        ).scalar_one()


def form(page, ending):
    return next(
        each
        for each in page.forms.values()
        if each.method == "post" and each.action.endswith(ending)
    )


def test_late_work_is_shown_tried_and_drafted(issued, sign_in, issue, web_engine):
    browser = sign_in("finance", CITY)
    listed = browser.get(f"/{CITY}/corrections")
    assert "October 2026" in listed
    (row,) = browser.get(f"/{CITY}/corrections?format=json").json
    assert (row["period"], row["events"] >= 1, row["after_window"]) == ("2026-10", True, 0)
    assert browser.get(f"/{CITY}/corrections?format=csv").text.count("2026-10") == 1
    page = browser.get(f"/{CITY}/corrections/2026-10")
    tried = form(page, "/preview").submit()
    assert "What would be billed" in tried
    assert "Multnomah County" in tried
    assert ", line " in tried
    one = browser.get(f"/{CITY}/corrections/2026-10?format=json").json
    assert one["open_drafts"] == 0
    answer = form(tried, "/draft").submit()
    assert answer.status_int == 303
    assert "corrections are ready" in answer.follow()
    again = form(browser.get(f"/{CITY}/corrections/2026-10"), "/draft").submit()
    assert again.status_int == 303
    numbers = issue(DECEMBER)
    assert numbers
    after = form(browser.get(f"/{CITY}/corrections/2026-10"), "/preview").submit()
    assert "Nothing: rated again" in after
    payer = sign_in("finance", COUNTY)
    memos = payer.get(f"/{COUNTY}/memos")
    assert "Correction" in memos
    assert numbers[0] in memos
    correction = address(web_engine, issued, COUNTY, "correction")
    assert payer.get(f"/{COUNTY}/statements/{correction}").status_int == 200
    assert payer.get(f"/{COUNTY}/statements/{correction}/1").status_int == 200


def test_recorded_work_is_corrected_by_a_person_and_billed_as_a_difference(
    issued, sign_in, issue, web_engine, clock
):
    browser = sign_in("finance", CITY)
    usage = browser.get(f"/{CITY}/billing/2026-10/usage?format=json").json
    event = [row for row in usage if row["activity"] == "contact_handled"][-1]
    url = f"/{CITY}/recorded-work/{event['id']}"
    page = browser.get(f"/{CITY}/billing/2026-10/usage").click(href=f"/recorded-work/{event['id']}")
    sent = page.forms["correct"]
    sent["channel"] = "web"
    sent["reason"] = "wrong_facts"
    tried = sent.submit("try")
    assert "What it would cost" in tried
    assert "$0.20" in tried
    assert len(browser.get(f"{url}?format=json").json) == 1
    same = browser.get(url).forms["correct"]
    same["reason"] = "agreed"
    assert "recorded already" in same.submit("submit", status=400)
    wrong = browser.get(url).forms["correct"]
    wrong["reason"], wrong["quantity"] = "agreed", "-1"
    assert "above zero" in wrong.submit("submit", status=400)
    sent = tried.forms["correct"]
    corrected = sent.submit("submit")
    again = sent.submit("submit")
    assert again.location == corrected.location
    after = corrected.follow()
    assert "The rating has not seen the correction yet" in after
    rows = browser.get(f"{url}?format=json").json
    assert [float(row["quantity"]) for row in rows] == [1, -1, 1]
    assert "There is a later revision" in browser.get(url)
    assert "correct" not in browser.get(url).forms
    listed = browser.get(f"/{CITY}/recorded-work")
    assert "Time, channel, language or hours were wrong" in listed
    (row,) = browser.get(f"/{CITY}/recorded-work?format=json").json
    assert (row["event"], row["reason"]) == (event["id"], "wrong_facts")
    assert "wrong_facts" in browser.get(f"/{CITY}/recorded-work?format=csv")
    due = form(browser.get(f"/{CITY}/corrections/2026-10"), "/preview").submit()
    assert "What would be billed" in due
    taken = browser.get(corrected.location).forms["correct"]
    taken["reason"] = "entered_in_error"
    gone = taken.submit("take_back").follow()
    assert "This work was taken back" in gone
    rows = browser.get(f"{url}?format=json").json
    assert sum(float(row["quantity"]) for row in rows) == 0
    reader = sign_in("auditor", CITY)
    assert "correct" not in reader.get(url).forms
    clock.now = DECEMBER + timedelta(hours=1)
    drafted = form(browser.get(f"/{CITY}/corrections/2026-10"), "/draft").submit()
    assert "corrections are ready" in drafted.follow()
    assert issue(clock.now)
    assert "rating has not seen" not in browser.get(url)
    clock.now = DECEMBER


def test_an_authorisation_with_room_again_is_listed_with_where_it_comes_from(
    issued, sign_in, web_engine, monkeypatch
):
    statement = address(web_engine, issued, CITY, "bill")
    cap = Freed(
        kind="cap",
        period_key="2026-10",
        payer=Payer(issued[COUNTY]),
        agreement_key="city-county",
        agreement="City takes contacts",
        source=None,
        authorised_cents=150_00,
        used_cents=130_00,
        held_back_cents=50_00,
        freed_cents=20_00,
        statement=statement,
        number="COP-00001",
        run=1,
        run_at=DECEMBER,
        freed_by=statement,
        freed_by_period="2026-09",
        freed_by_void=True,
    )
    grant = replace(cap, kind="source", source="The grant", freed_by=None, freed_by_period=None)
    monkeypatch.setattr(corrections, "freed", lambda session, periods=None: [cap, grant])
    browser = sign_in("finance", CITY)
    for page in ("corrections", "corrections/2026-10"):
        listed = browser.get(f"/{CITY}/{page}")
        assert "Authorisations with room again" in listed
        assert "Not to exceed, City takes contacts" in listed
        assert "The grant, City takes contacts" in listed
        assert "$20.00" in listed
        assert "a draft of September 2026 made void" in listed
        assert "drafts that were made again" in listed
        assert "run 1 of" in listed
        assert f"/{CITY}/statements/{statement}" in listed
    told = browser.get(f"/{CITY}/corrections/2026-10?format=json").json
    assert [row["freed_cents"] for row in told["freed"]] == [20_00, 20_00]


def test_a_period_that_was_not_issued_says_what_to_do(issued, sign_in):
    browser = sign_in("finance", CITY)
    page = browser.get(f"/{CITY}/corrections/2026-09")
    assert "No statement of this period has been issued" in page
    assert browser.get(f"/{CITY}/corrections/2026-09?format=json").json is None
    browser.get(f"/{CITY}/corrections/2026-13", status=404)
    browser.get(f"/{CITY}/corrections/2026-07-01..2026-07-15", status=200)


def test_a_memo_is_drafted_on_a_line_and_bounded_by_it(issued, sign_in, issue, web_engine):
    browser = sign_in("finance", CITY)
    bill = address(web_engine, issued, CITY)
    url = f"/{CITY}/statements/{bill}/memo"
    page = browser.get(f"/{CITY}/statements/{bill}/1").click("Draft a credit or debit memo")
    sent = page.forms["form"]
    assert sent["line"].value == "1"
    sent["amount"] = "100000.00"
    sent["reason"] = "Agreed"
    refused = sent.submit("submit", status=400)
    assert "left to credit" in refused
    sent = browser.get(url).forms["form"]
    sent["line"] = "1"
    sent["amount"] = "1.00"
    sent["reason"] = "One was a test call"
    made = sent.submit("submit").follow()
    assert "drafted" in made
    assert "$1.00" in made
    (number,) = issue(DECEMBER)
    payer = sign_in("finance", COUNTY)
    memos = payer.get(f"/{COUNTY}/memos?kind=credit_memo&side=received")
    assert number in memos
    assert payer.get(f"/{COUNTY}/memos?format=csv").text.count("credit_memo") == 1
    (row,) = payer.get(f"/{COUNTY}/memos?kind=credit_memo&format=json").json
    assert (row["total_cents"], row["about"] is not None) == (-100, True)
    credit = address(web_engine, issued, COUNTY, "credit_memo")
    line = payer.get(f"/{COUNTY}/statements/{credit}/1")
    assert "One was a test call" in line
    original = line.click("line 1 of ")
    assert "What changed it since" in original
    assert "One was a test call" in original
    assert "Draft a credit or debit memo" not in original
    payer.get(f"/{COUNTY}/statements/{credit}/memo", status=404)


def test_the_year_is_settled_and_a_service_tested(issued, sign_in, clock, web_engine, monkeypatch):
    with session_scope(web_engine, Scope(issued[CITY])) as session:
        budget = read_year(session, 2027).pool("i-and-r").yearly_cents
        next_version(
            session, "i-and-r", actual_cents=budget + 1_000_000, actual_source="Closed books"
        )
    browser = sign_in("finance", CITY)
    assert "2027" in browser.get(f"/{CITY}/true-ups")
    assert 2027 in browser.get(f"/{CITY}/true-ups?format=json").json
    page = browser.get(f"/{CITY}/true-ups/2027")
    early = form(page, "/settle")
    early["pool.i-and-r"] = "settle"
    assert "is over on" in early.submit("submit", status=400)
    clock.now = YEAR_OVER
    browser = sign_in("finance", CITY)
    entered = form(browser.get(f"/{CITY}/true-ups/2027"), "/cost")
    entered["card"] = "intake"
    entered["allowable"] = "100.00"
    entered["non_cash"] = "4.00"
    entered["source"] = "Closed books"
    tested = entered.submit("submit").follow()
    assert "The 60-day test" in tested
    assert "$16.00" in tested
    sent = form(tested, "/settle")
    sent["pool.i-and-r"] = "settle"
    done = sent.submit("submit").follow()
    assert "Settle now by a statement" in done
    assert "Multnomah County" in done
    assert browser.get(f"/{CITY}/true-ups/2027?format=csv").text.count("settle") == 1
    rows = browser.get(f"/{CITY}/true-ups/2027?format=json").json
    (pool,) = [row for row in rows if row["key"] == "i-and-r"]
    assert (
        pool["closing_cents"] == pool["opening_cents"] + pool["billed_cents"] - pool["owed_cents"]
    )
    assert "out of date" not in done
    monkeypatch.setattr(
        true_up, "unsettled_again", lambda session, year: {("pool", "i-and-r"): "settle"}
    )
    assert "is out of date" in browser.get(f"/{CITY}/true-ups/2027")
    draft = address(web_engine, issued, CITY, "true_up")
    assert browser.get(f"/{CITY}/statements/{draft}").status_int == 200
    assert browser.get(f"/{CITY}/statements/{draft}/1").status_int == 200
    clock.now = DECEMBER
