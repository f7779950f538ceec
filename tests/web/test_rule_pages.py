"""The editor of rules through HTTP: drafts, one rule, order, tests, checks, approval, files."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select
from webtest import Upload

from regional311.database.session import Scope, session_scope
from regional311.notices.models import OutboxMessage
from regional311.referral import backtest
from regional311.referral.acceptance import Acceptance
from regional311.referral.filing import Intake, Place, take_in
from regional311.referral.models import RuleSet
from regional311.referral.policies import end_policy, write_policy
from regional311.referral.rule_watch import watch_rules
from regional311.referral.snapshot import invalidate, published

CITY, COUNTY = "city-of-portland", "multnomah-county"


@pytest.fixture
def admin(sign_in):
    return sign_in("administrator", CITY)


def begin(browser, title="Try"):
    form = browser.get(f"/{CITY}/rules/new").forms["begin"]
    form["title"] = title
    page = form.submit("submit").follow()
    return page, page.request.path


def names(page) -> list[str]:
    found = page.html.select(".r-rules > li")
    return [each["id"] for each in found]


def pick(form, name, value):
    next(box for box in form.fields[name] if box._value == value).checked = True


def press(page, action, value):
    form = page.forms["change"]
    answer = page.goto(
        f"{form.action.rpartition('/')[0]}/{action}",
        method="post",
        params={"csrf_token": form["csrf_token"].value, "rule": value},
    )
    return answer.follow()


def test_a_draft_begins_with_what_decides_and_is_changed_in_steps(admin, statements):
    page, url = begin(admin, "Winter")
    assert "Winter" in page
    assert "It decides nothing until somebody approves it" in page
    before = names(page)
    page = press(page, "move", f"{before[2]} up")
    assert names(page)[1:3] == [before[2], before[1]]
    page = press(page, "move", f"{before[2]} 1")
    assert names(page)[0] == before[2]
    page = press(page, "copy", before[0])
    assert len(names(page)) == len(before) + 1
    assert "Switched off" in page
    page = press(page, "switch", before[0])
    page = press(page, "remove", before[1])
    assert before[1] not in names(page)
    page = press(page, "undo", "")
    assert before[1] in names(page)
    assert "Undid a change" in page
    assert "There is no gone in this version" in press(page, "remove", "gone")
    statements.clear()
    admin.get(url)
    assert len(statements) <= 10, statements


def test_a_rule_is_picked_together_and_a_bad_condition_named_at_its_field(admin):
    page, url = begin(admin)
    form = admin.get(f"{url}/rule").forms["rule"]
    form["name"] = "Trees at night"
    form["group"] = "Night"
    form["place"] = "1"
    form["hours"] = "closed"
    form["outcome"] = "open_request"
    form["target"] = "self"
    pick(form, "owners", "self")
    form["condition"] = "hour >= 17 && typo"
    form["basis"] = "IGA 12"
    refused = form.submit("submit", status=400)
    assert refused.html.select("#rule-condition-error")
    assert "Unknown fact &#39;typo&#39; at column 15" in refused
    form = refused.forms["rule"]
    form["condition"] = "hour >= 17"
    page = form.submit("submit").follow()
    assert names(page)[0] == "trees-at-night"
    assert "It rests on: IGA 12." in page
    assert "Night" in page
    form = admin.get(f"{url}/rule?rule=trees-at-night").forms["rule"]
    assert form["condition"].value == "hour >= 17"
    form["outcome"] = "refer"
    form["target"] = ""
    refused = form.submit("submit", status=400)
    assert "refer needs a target" in refused


def test_two_people_change_one_rule_and_the_second_is_told(admin, sign_in):
    page, url = begin(admin)
    key = names(page)[0]
    mine = admin.get(f"{url}/rule?rule={key}").forms["rule"]
    theirs = sign_in("administrator", CITY).get(f"{url}/rule?rule={key}").forms["rule"]
    theirs["name"] = "Theirs"
    theirs.submit("submit").follow()
    mine["name"] = "Mine"
    assert "Somebody else changed this rule" in mine.submit("submit", status=400)


def test_a_condition_is_looked_at_while_it_is_written(admin):
    page, url = begin(admin)
    token = page.forms["change"]["csrf_token"].value
    ask = lambda text: admin.post(  # noqa: E731
        f"{url}/condition", {"csrf_token": token, "condition": text}
    )
    assert "This can be read" in ask("!open && hour > 17")
    assert "is missing" in ask("(open")
    assert ask("").text == ""


def test_try_it_shows_every_rule_and_keeps_a_test(admin):
    _page, url = begin(admin)
    form = admin.get(f"{url}/try").forms["facts"]
    form["asked"] = f"{CITY}/pothole"
    pick(form, "boundaries", f"{CITY}/city")
    form["hour"] = "22"
    form["closed"] = True
    shown = form.submit("submit")
    assert "Open a request with" in shown
    assert "It fits, and decides." in shown
    assert "It is not tried: a rule before it decides." in shown
    keep = next(form for form in shown.forms.values() if form.action.endswith("/case"))
    kept = keep.submit().follow()
    assert "All 1 tests pass" in kept or "The one test passes" in kept
    again = kept.click(href="try\\?case=")
    assert "It fits, and decides." in again
    assert again.forms["facts"]["hour"].value == "22"


def test_a_test_that_fails_keeps_the_draft_from_being_checked(admin, sign_in):
    _page, url = begin(admin)
    form = admin.get(f"{url}/try").forms["facts"]
    form["asked"] = f"{CITY}/pothole"
    pick(form, "boundaries", f"{CITY}/city")
    shown = form.submit("submit")
    keep = next(form for form in shown.forms.values() if form.action.endswith("/case"))
    keep["name"] = "Potholes are ours"
    keep["outcome"] = "decline"
    keep.submit().follow()
    checks = admin.get(f"{url}/checks")
    check = next(form for form in checks.forms.values() if form.action.endswith("/check"))
    refused = check.submit(status=400)
    assert "Test &#39;Potholes are ours&#39; must come to decline" in refused
    assert "Nothing was changed" in refused
    tests = admin.get(f"{url}/cases")
    gone = next(form for form in tests.forms.values() if form.action.endswith("/remove-case"))
    gone.submit().follow()
    checks = admin.get(f"{url}/checks")
    check = next(form for form in checks.forms.values() if form.action.endswith("/check"))
    done = check.submit().follow()
    assert "Somebody else can approve it now" in done
    assert "form" not in done.forms
    other = sign_in("administrator", CITY, email=None)
    assert other.get(url)


def test_a_second_person_approves_what_was_checked_and_it_decides(admin, people, sign_in):
    page, url = begin(admin, "For the second person")
    page = press(page, "remove", names(page)[-1])
    checks = admin.get(f"{url}/checks")
    assert "decided" in checks
    next(form for form in checks.forms.values() if form.action.endswith("/check")).submit()
    assert "another administrator must approve" in admin.get(url)
    people.make("second@city.example", {CITY: ("administrator",)})
    second = sign_in("administrator", CITY, email="second@city.example")
    approve = second.get(url).forms["form"]
    approve["decides_from"] = "2026-12-20"
    done = approve.submit("submit").follow()
    assert "The rules were approved" in done
    assert "Decides later" in done
    assert f"Version {url.rpartition('/')[2]}, which" in admin.get(
        f"/{CITY}/rules?as_of=2026-12-21"
    )
    differs = second.get(f"{url}/diff")
    assert "Left out" in differs
    assert admin.get(f"{url}/rule", status=409)


def test_what_has_ended_since_is_named_beside_the_rules_that_decide(admin, web_engine, people):
    """Nothing tells a rule that its target closes its door: the page of the rules does."""
    changed = "What these rules rest on has changed"
    assert changed not in admin.get(f"/{CITY}/rules")
    there, now = Scope(people.tenants["211info"]), datetime.now(UTC)
    shut = Acceptance(key="shut", name="Nothing for now", mode="closed", senders=(CITY,))
    with session_scope(web_engine, there) as session:
        row_id = write_policy(session, shut, None, now=now)
    invalidate()
    page = admin.get(f"/{CITY}/rules")
    assert changed in page
    rule = page.html.select_one("#community-services")
    assert "By its own policy 211info does not take this at present:" in rule.text
    assert "(decided)" in rule.text
    one = admin.get(page.html.select_one("th[scope=row] a")["href"])
    assert changed in one
    assert changed not in admin.get(f"/{CITY}/rules?as_of=2026-01-01")
    with session_scope(web_engine, there) as session:
        end_policy(session, row_id, "shut", today=now.date(), now=now)
    invalidate()
    assert changed not in admin.get(f"/{CITY}/rules")


def test_whoever_keeps_rules_is_told_once_of_one_that_stops(admin, sign_in, web_engine, people):
    here, there = Scope(people.tenants[CITY]), Scope(people.tenants["211info"])
    now = datetime.now(UTC)

    def watch(at=now):
        invalidate()
        with session_scope(web_engine, here) as session:
            return watch_rules(session, at, url="https://311.example")

    def letters():
        with session_scope(web_engine, here) as session:
            return session.execute(
                select(OutboxMessage.recipient, OutboxMessage.heading, OutboxMessage.body).where(
                    OutboxMessage.event == "rules_stopped"
                )
            ).all()

    assert watch() == 0
    assert letters() == []
    shut = Acceptance(key="shut-again", name="Nothing for now", mode="closed", senders=(CITY,))
    with session_scope(web_engine, there) as session:
        row_id = write_policy(session, shut, None, now=now)
    keepers = {f"administrator@{CITY}.example"}
    assert watch() >= 1
    told = letters()
    assert keepers <= {each.recipient for each in told}
    assert "to mend: rules of City of Portland" in told[0].heading
    assert "- Food, shelter, health" in told[0].body or "By its own policy 211info" in told[0].body
    assert f"https://311.example/{CITY}/rules" in told[0].body
    # once, and not every day
    assert watch(now + timedelta(days=1)) == 0
    assert len(letters()) == len(told)
    listed = admin.get(f"/{CITY}/for-you?view=rules")
    assert "A rule that decides does not work any more" in listed
    opened = admin.get(listed.html.select_one(".d-for-you a")["href"]).follow()
    assert "What these rules rest on has changed" in opened
    assert "does not work any more" not in sign_in("specialist", CITY).get(f"/{CITY}/for-you")
    other = sign_in("administrator", COUNTY)
    assert "does not work any more" not in other.get(f"/{COUNTY}/for-you")
    # each keeper chooses how they hear of it by mail
    page = admin.get(f"/{CITY}/notices")
    assert "Rules that decide do not work any more" in page
    assert "Rules that decide do not work" not in sign_in("specialist", CITY).get(
        f"/{CITY}/notices"
    )
    with session_scope(web_engine, there) as session:
        end_policy(session, row_id, "shut-again", today=now.date(), now=now)
    assert watch() == 0
    assert "does not work any more" not in admin.get(f"/{CITY}/for-you")
    # mended, and stopped again: that is news
    with session_scope(web_engine, there) as session:
        write_policy(session, shut, row_id, now=now)
    assert watch() >= 1
    assert len(letters()) > len(told)
    with session_scope(web_engine, there) as session:
        end_policy(session, row_id, "shut-again", today=now.date(), now=now)
    watch()


def test_a_version_goes_out_as_a_file_and_comes_in_the_same(admin):
    _page, url = begin(admin, "As a file")
    raw = admin.get(f"{url}/file").body
    said = tomllib.loads(raw.decode())
    assert said["rule_set"]["title"] == "As a file"
    form = next(
        form
        for form in admin.get(f"/{CITY}/rules/new").forms.values()
        if form.action.endswith("/read")
    )
    form["file"] = Upload("rules.toml", raw)
    taken = form.submit().follow()
    assert admin.get(f"{taken.request.path}/file").body == raw
    form["file"] = Upload("rules.toml", b"[[rule]]\nkey='a'\nname='A'\noutcome='fly'\n")
    refused = form.submit(status=400)
    assert "rule[a].outcome" in refused
    form["file"] = Upload("rules.toml", b"not toml")
    assert "The file is not TOML" in form.submit(status=400)


def test_nobody_elses_rules(sign_in, admin):
    _page, url = begin(admin)
    sign_in("administrator", COUNTY).get(url, status=404)
    assert "forms" not in sign_in("specialist", CITY).get(url).html.text
    sign_in("specialist", CITY).get(f"{url}/rule", status=403)


ALL_TO_THE_COUNTY = (
    b"[[rule]]\nkey='all'\nname='All to the County'\noutcome='refer'\ntarget='multnomah-county'\n"
)


def taken_in(admin, content) -> str:
    """Where the draft is that a file begins."""
    form = next(
        form
        for form in admin.get(f"/{CITY}/rules/new").forms.values()
        if form.action.endswith("/read")
    )
    form["file"] = Upload("rules.toml", content)
    return form.submit().follow().request.path


def test_a_backtest_is_asked_for_followed_and_read(admin, sign_in, web_engine, people, statements):
    scope = Scope(people.tenants[CITY])
    invalidate()
    at = datetime.now(UTC) - timedelta(days=3)
    shelter = next(
        each.ref for each in published(web_engine).directory.services if each.term == "shelter"
    )
    for number, service in enumerate([shelter, f"{CITY}/pothole", f"{CITY}/pothole"]):
        with session_scope(web_engine, scope) as session:
            take_in(
                session,
                published(web_engine),
                Intake(
                    source="desk",
                    key=f"{number:030d}",
                    channel="walk_in",  # by phone it would depend on the line's hours
                    started_at=at,
                    service=service,
                    place=Place("", Decimal("45.5231"), Decimal("-122.6300")),
                    danger_answer="none",
                    consent="given",
                ),
                now=at,
            )
    url = taken_in(admin, ALL_TO_THE_COUNTY)
    ask = admin.get(f"{url}/backtests").forms["form"]
    first, last = ask["first_on"].value, ask["last_on"].value
    ask["first_on"] = last
    ask["last_on"] = first
    assert "before the first" in ask.submit("submit", status=400)
    ask["first_on"], ask["last_on"] = first, last
    page = ask.submit("submit").follow()
    assert "Waits for the worker" in page
    assert 'hx-get="' in page
    again = admin.get(f"{url}/backtests").forms["form"]
    assert "is under way" in again.submit("submit", status=400)
    with session_scope(web_engine, scope) as session:
        backtest.work(session, datetime.now(UTC))
    here = page.request.path
    part = admin.get(here, headers={"HX-Request": "true"})
    assert "<html" not in part
    assert "of 3 contacts would have gone elsewhere" in part
    assert "Refer to Multnomah County" in part
    assert "What it would have met" in part
    assert "had said it had at the moment of each contact" in part
    assert "Nothing said: " in part
    assert "What it would have cost" in part
    rows = cost_rows(part)
    assert rows[0] == ["211info", "City of Portland", "Rated", "-1", "-$12.50"]
    assert {row[0] for row in rows} == {"211info", "City of Portland", "Multnomah County"}
    assert all("City of Portland" in row[:2] for row in rows)
    assert "hx-get" not in part
    assert "All to the County" in admin.get(f"{here}?format=csv")
    assert admin.get(f"{here}?format=json").json["state"] == "done"
    supervisor = sign_in("supervisor", CITY)
    seen = supervisor.get(here)
    assert f'href="/{CITY}/contacts/C-' in seen
    assert "What it would have cost" not in seen
    statements.clear()
    admin.get(here)
    assert len(statements) <= 10, statements
    # who keeps rules opens an example without the contact: codes, and both decisions in full
    part = admin.get(here)
    assert part.html.select(f'a[href^="/{CITY}/contacts/C-"]') == []
    links = [each["href"] for each in part.html.select('a[href*="/example?n="]')]
    assert len(links) == 3
    statements.clear()
    opened = admin.get(links[0])
    assert len(statements) <= 10, statements
    assert "What was decided then" in opened
    assert "What these rules decide" in opened
    assert "All to the County" in opened
    assert "Rules of City of Portland" in opened
    assert opened.html.select(f'a[href^="/{CITY}/contacts/"]') == []
    shown = {each.text for each in opened.html.select("dl.r-summary dt")}
    assert {"service", "owner", "hour", "boundaries"} <= shown
    # nothing of who asked, and of what nobody's rule looks at nothing is shown
    assert shown.isdisjoint({"anonymous", "accommodation", "interpreter"})
    quiet = opened.html.find("strong", string=re.compile("needs an accommodation"))
    assert "It looks at who asked, which is not shown here." in quiet.find_parent("li").text
    whole = supervisor.get(links[0]).html.find("strong", string=re.compile("an accommodation"))
    assert "who asked, which is not shown" not in whole.find_parent("li").text
    uses = {
        each
        for book in published(web_engine).region(datetime.now(UTC).date()).rulebooks.values()
        for each in book.uses
    }
    for fact in {"answers", "consent", "bureau"} - uses:
        assert fact not in shown
    assert "Next example" in opened
    said = admin.get(f"{links[0]}&format=json").json
    assert said["after"] == {"outcome": "refer", "target": COUNTY, "rule": "all"}
    assert said["before"]["outcome"] != "refer" or said["before"]["target"] != COUNTY
    assert f'href="/{CITY}/contacts/C-' in supervisor.get(links[0])
    for wrong in ("", "?n=99", "?n=-1", "?n=x"):
        admin.get(f"{here}/example{wrong}", status=404)
    sign_in("administrator", COUNTY).get(links[0], status=404)
    # a contact that no rule decides opens in the same way
    few = taken_in(
        admin,
        b"[[rule]]\nkey='few'\nname='Few'\nservices=['street-light']\noutcome='information'\n",
    )
    statements.clear()
    checks = admin.get(f"{few}/checks")
    assert len(statements) <= 10, statements
    gap = checks.html.find("p", string=re.compile("No rule decides")).find_next("details")
    told = {each.text for each in gap.select("dt")}
    assert {"service", "channel", "boundaries"} <= told
    assert told.isdisjoint({"anonymous", "accommodation", "interpreter", "answers"})
    assert gap.select("a") == []
    theirs = supervisor.get(f"{few}/checks")
    assert theirs.html.select_one(f'details a[href^="/{CITY}/contacts/C-"]')
    invalidate()


def test_an_example_of_something_confidential_is_for_who_is_cleared(
    admin, sign_in, web_engine, people
):
    scope = Scope(people.tenants[CITY])
    invalidate()
    secret = next(
        each.ref
        for each in published(web_engine).directory.services
        if each.confidential and each.tenant == CITY
    )
    at = datetime(2026, 9, 1, 18, tzinfo=UTC)
    with session_scope(web_engine, scope) as session:
        take_in(
            session,
            published(web_engine),
            Intake(
                source="desk",
                key="s" * 30,
                channel="walk_in",
                started_at=at,
                service=secret,
                place=Place("", Decimal("45.5231"), Decimal("-122.6300")),
                danger_answer="none",
                consent="given",
            ),
            now=at,
        )
    url = taken_in(admin, ALL_TO_THE_COUNTY)
    with session_scope(web_engine, scope) as session:
        row = session.execute(
            select(RuleSet.__table__).where(
                RuleSet.tenant_id == scope.tenant_id, RuleSet.version == int(url.rpartition("/")[2])
            )
        ).one()
        day = at.date()
        made = backtest.ask(session, row, first_on=day, last_on=day, today=day, now=at)
    with session_scope(web_engine, scope) as session:
        backtest.work_all(session, at)
    here = f"{url}/backtests/{made}"
    supervisor = sign_in("supervisor", CITY)
    assert "/example?n=0" in supervisor.get(here)
    supervisor.get(f"{here}/example?n=0")
    assert "/example?n=" not in admin.get(here)
    admin.get(f"{here}/example?n=0", status=404)
    invalidate()


def cost_rows(page) -> list[list[str]]:
    table = page.html.find("h3", id="cost").find_next("table")
    return [[cell.text.strip() for cell in row.find_all(["th", "td"])] for row in table.tbody("tr")]


def test_what_differs_is_said_rule_by_rule(admin):
    page, url = begin(admin)
    order = names(page)
    press(page, "move", f"{order[2]} 1")
    page = press(admin.get(url), "switch", order[0])
    page = press(page, "remove", order[-1])
    number = url.rpartition("/")[2]
    said = admin.get(f"{url}/diff?format=json").json
    assert str(said["version"]) == number
    assert [(each["key"], each["tag"], each["field"]) for each in said["changes"]] == [
        (order[2], "Moved", "Place"),
        (order[0], "Changed", "Switched off"),
        (order[-1], "Left out", None),
    ]
    assert said["changes"][0]["new"] == "First"
    assert "There is no other version" not in admin.get(f"{url}/diff?with=1")
    assert admin.get(f"{url}/diff?with=nonsense")


def test_a_contact_says_every_rule_that_was_tried(sign_in, web_engine, people):
    invalidate()
    at = datetime.now(UTC) - timedelta(days=3)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        filed = take_in(
            session,
            published(web_engine),
            Intake(
                source="desk",
                key="w" * 30,
                channel="phone",
                started_at=at,
                service=f"{CITY}/pothole",
                place=Place("", Decimal("45.5231"), Decimal("-122.6300")),
                danger_answer="none",
            ),
            now=at,
        )
    browser = sign_in("supervisor", CITY)
    contact = browser.get(f"/{CITY}/contacts/{filed.contact_public_id}")
    page = contact.click(description="Every rule that was tried")
    assert "As it was decided then" in page
    assert "It fits, and decides." in page
    assert "It is about other services than Pothole" in page
    shapes = browser.get(f"/{CITY}/rules/shapes").json
    assert {each["properties"]["key"] for each in shapes["features"]} >= {f"{CITY}/city"}
    invalidate()
