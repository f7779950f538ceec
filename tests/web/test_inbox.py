"""The inbox: claim, answer with a template, done and undone; two who answer at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from regional311.chargeback.correcting import Really, correct_work
from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.inbox.receiving import Incoming, receive
from regional311.intake.uploads import upload
from regional311.metering.models import UsageEvent
from regional311.referral.snapshot import published
from tests.intake.pictures_sent import JPEG

CITY = "city-of-portland"
HERE = f"/{CITY}/inbox"


@pytest.fixture(autouse=True)
def monday(clock):
    clock.now = datetime(2026, 10, 5, 18, tzinfo=UTC)


@pytest.fixture
def come(web_engine, people, clock):
    """`come("words")`: somebody of an address of their own writes to the City; gives the number."""

    def write(text: str, *, tenant: str = CITY, **said) -> str:
        region = published(web_engine)
        given = {
            "address": f"{new_id()}@example.org",
            "name": "Ana",
            "subject": "Street light",
            "key": str(new_id()),
        } | said
        with session_scope(web_engine, Scope(people.tenants[tenant])) as session:
            came = Incoming(line=region.lines[f"{tenant}/email"], text=text, **given)
            return receive(session, region, came, now=clock.now).public_id

    return write


@pytest.fixture
def browser(sign_in):
    return sign_in("specialist", CITY)


def press(page, end):
    return next(form for form in page.forms.values() if form.action.endswith(end)).submit(
        status="*"
    )


def on_desk(browser):
    """How many open contacts somebody has at their desk."""
    return len(browser.get(f"/{CITY}/desk").html.select("a.r-card[href*='/contacts/']"))


def answer_form(page):
    return next(form for form in page.forms.values() if form.action.endswith("/answer"))


def test_a_mail_is_claimed_answered_and_done_in_the_end(browser, come, clock, sign_in):
    number = come("It is dark here.\n\nOn Monday, City wrote:\n> old words")
    clock.advance(minutes=90)
    page = browser.get(HERE)
    assert "Ana" in page
    assert "2 hours" in page
    page = page.click("Ana", href=number)
    assert page.html.select_one(".i-words").text == "It is dark here."
    page = press(page, "/claim").follow()
    assert "You have it" in page
    form = answer_form(page)
    form["text"] = "We look at it."
    page = form.submit("then", value="waiting").follow()
    assert "It waits for the person." in page
    assert "On its way" in page
    done = press(page, "/done").follow()
    assert "Done: resolved at the first contact." in done
    back = press(done, "/undo").follow()
    assert "Taken back: it is open again." in back
    assert "Waits for the person" in back
    press(back, "/done").follow()
    contact = browser.get(back.click("Work it at the desk").request.path)
    assert "Answered" in contact


def test_undo_of_a_claim_makes_it_new_again(browser, come, clock):
    page = press(browser.get(f"{HERE}/{come('Hello')}"), "/claim").follow()
    mine = on_desk(browser)
    page = press(page, "/undo").follow()
    assert "it is new again" in page
    assert on_desk(browser) == mine - 1
    page = press(page, "/claim").follow()
    clock.advance(minutes=11)
    stale = press(page, "/undo")
    assert stale.status_int == 409


def test_the_second_of_two_who_answer_sees_the_first(browser, come, sign_in):
    number = come("Who helps?")
    other = sign_in("supervisor", CITY)
    mine, theirs = browser.get(f"{HERE}/{number}"), other.get(f"{HERE}/{number}")
    first, second = answer_form(mine), answer_form(theirs)
    first["text"], second["text"] = "I do.", "No, I."
    assert first.submit("then", value="waiting").status_int == 303
    page = second.submit("then", value="waiting", status=409)
    assert "It was written meanwhile" in page
    assert "I do." in page.html.select_one(".i-messages").text
    assert "Specialist has it." in page


def test_the_same_answer_sent_twice_leaves_once(browser, come):
    number = come("Twice?")
    form = answer_form(browser.get(f"{HERE}/{number}"))
    form["text"] = "Only once."
    form.submit("then", value="waiting")
    page = form.submit("then", value="waiting").follow()
    assert page.html.select_one(".i-messages").text.count("Only once.") == 1


def test_a_template_is_written_checked_and_inserted(browser, come, sign_in):
    boss = sign_in("supervisor", CITY)
    form = boss.get(f"/{CITY}/answer-templates/new").forms["text"]
    form["name"], form["text_en"] = "Thanks", "Dear {nam}, thank you."
    page = form.submit("submit", status=400)
    assert "{nam} is no place that can be filled in" in page
    form = page.forms["text"]
    form["text_en"] = "Dear {name}, thank you. {number}, {me}"
    form.submit("submit").follow()
    number = come("Please")
    form = answer_form(browser.get(f"{HERE}/{number}"))
    form["text"] = "First."
    form["template"].select(text="Thanks (en)")
    token = form["csrf_token"].value
    page = browser.post(
        f"{HERE}/{number}/insert",
        {"csrf_token": token, "text": "First.", "template": form["template"].value},
    )
    assert answer_form(page)["text"].value == (
        f"First.\n\nDear Ana, thank you. {number}, Specialist"
    )


def test_danger_is_on_top_until_somebody_has_looked(browser, come):
    number = come("There is a gas leak in the house")
    page = browser.get(f"{HERE}?tab=done")
    assert "sounds like danger" in page
    page = browser.get(f"{HERE}/{number}")
    assert "This sounds like danger: Smell of gas" in page
    assert "911" in page.html.select_one(".d-emergency").text
    refused = press(page, "/done")
    assert refused.status_int == 409
    form = [each for each in page.forms.values() if each.action.endswith("/danger")][1]
    page = form.submit().follow()
    assert "This sounds like danger" not in page
    press(page, "/done").follow()


def test_what_is_confidential_is_there_for_cleared_people_and_its_holder(browser, come, sign_in):
    number = come("My case", subject="Only for you")
    page = browser.get(f"{HERE}/{number}")
    press(page, "/confidential").follow()
    browser.get(f"{HERE}/{number}", status=404)
    assert "Only for you" not in browser.get(HERE)
    boss = sign_in("supervisor", CITY)
    assert "Only for you" in boss.get(HERE)
    assert "Confidential" in boss.get(HERE)


def test_one_takes_the_next_and_hands_it_on(browser, come, people, sign_in):
    sign_in("supervisor", CITY)
    come("Next one")
    page = press(browser.get(HERE), "/next").follow()
    form = next(form for form in page.forms.values() if form.action.endswith("/hand-on"))
    form["to"].select(text="Supervisor")
    page = form.submit().follow()
    assert "Supervisor has it." in page
    refused = browser.post(
        page.request.path + "/done",
        {"csrf_token": form["csrf_token"].value, "version": "3"},
        status=409,
    )
    assert "Somebody else has it" in refused


def test_it_is_worked_at_the_desk_with_its_words(browser, come):
    number = come("A pothole on Division", address="jo@example.org", name="Jo")
    page = browser.get(f"{HERE}/{number}").click("Work it at the desk")
    assert "What Jo wrote" in page
    assert "A pothole on Division" in page
    form = next(form for form in page.forms.values() if form.action.endswith("/danger"))
    form["answer"] = "none"
    page = form.submit().follow()
    page = browser.get(page.request.path + "?service=city-of-portland/pothole")
    form = page.forms["need"]
    assert form["description"].value == "A pothole on Division"
    assert form["email"].value == "jo@example.org"


@pytest.mark.parametrize("corrected", [0, 1, 2])
def test_what_was_done_and_undone_ends_at_the_desk_and_is_metered_once(
    browser, come, clock, web_engine, people, corrected
):
    """However often its work is corrected in between."""
    page = press(browser.get(f"{HERE}/{come('Where is the depot?')}"), "/claim").follow()
    clock.advance(minutes=5)
    page = press(page, "/done").follow()
    for seconds in range(corrected):
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            event = session.scalars(
                select(UsageEvent)
                .where(UsageEvent.tenant_id == people.tenants[CITY])
                .order_by(UsageEvent.id.desc())
            ).first()
            correct_work(
                session,
                event.id,
                replace(Really.of(event), handle_seconds=seconds),
                reason="wrong_facts",
                now=clock.now,
                booked_on=clock.now.date(),
            )
    page = press(page, "/undo").follow()
    clock.advance(minutes=1)
    desk = page.click("Work it at the desk")
    form = next(form for form in desk.forms.values() if form.action.endswith("/danger"))
    form["answer"] = "none"
    desk = form.submit().follow()
    number = desk.request.path.rpartition("/")[2]
    desk.forms["wrap-up"]["disposition"] = "answered"
    assert desk.forms["wrap-up"].submit().status_int == 303
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        counted = session.execute(
            text(
                "SELECT sum(u.quantity) FROM usage_events u JOIN contacts c"
                " ON c.tenant_id = u.tenant_id AND c.id = u.contact_id"
                " WHERE u.tenant_id = :me AND c.public_id = :number"
                " AND u.activity = 'contact_handled'"
            ),
            {"me": people.tenants[CITY], "number": number},
        ).scalar_one()
    assert counted == 1


def test_work_counts_whoever_did_it(browser, come, clock, sign_in, web_engine, people):
    """Handed on and given back, what was worked stays; while nobody has it nothing counts."""

    def worked(number):
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            return session.execute(
                text("SELECT handled_seconds FROM threads WHERE public_id = :number"),
                {"number": number},
            ).scalar_one()

    colleague = sign_in("supervisor", CITY)
    number = come("Who did what")
    press(browser.get(f"{HERE}/{number}"), "/claim")
    clock.advance(minutes=4)
    form = next(
        form
        for form in browser.get(f"{HERE}/{number}").forms.values()
        if form.action.endswith("/hand-on")
    )
    form["to"].select(text="Supervisor")
    form.submit()
    assert worked(number) == 240
    clock.advance(minutes=3)
    theirs = on_desk(colleague)
    press(colleague.get(f"{HERE}/{number}"), "/give-back")
    assert worked(number) == 420
    assert on_desk(colleague) == theirs - 1
    press(colleague.get(f"{HERE}/{number}"), "/undo")
    assert on_desk(colleague) == theirs
    assert worked(number) == 240
    press(colleague.get(f"{HERE}/{number}"), "/give-back")
    clock.advance(minutes=30)
    press(browser.get(f"{HERE}/{number}"), "/claim")
    clock.advance(minutes=2)
    press(browser.get(f"{HERE}/{number}"), "/done")
    assert worked(number) == 540


def test_a_file_is_given_back_to_be_saved(browser, come):
    number = come("Look", files=(upload("1", "hole.jpg", JPEG),))
    saved = browser.get(f"{HERE}/{number}").click("Save file 1")
    assert saved.content_disposition.startswith("attachment")
    browser.get(
        f"{HERE}/{come('No file')}/file{saved.request.path_qs.partition('file')[2]}", status=404
    )


def test_nothing_is_there_and_nothing_matches(sign_in):
    browser = sign_in("specialist", "211info")
    assert "Nobody waits for an answer." in browser.get("/211info/inbox")
    assert "Nothing matches these filters." in browser.get("/211info/inbox?words=zzz&tab=done")
    assert "Nobody waits for an answer." in browser.get("/211info/inbox?tab=nonsense")


def test_the_pages_stay_flat(browser, come, statements, clock):
    taken = []
    for more in (2, 12):
        for each in range(more):
            number = come(f"Message {each}", address="same@example.org", subject="Flat")
            come(f"Other {each}")
        statements.clear()
        browser.get(HERE)
        listed = len(statements)
        statements.clear()
        browser.get(f"{HERE}/{number}")
        taken.append((listed, len(statements)))
        clock.now += timedelta(minutes=1)
    # whether anything was published is asked once a second, whichever page that meets
    assert all(more <= few + 1 for few, more in zip(*taken, strict=True))
    assert max(taken)[0] <= 8
    assert max(each for _listed, each in taken) <= 10
