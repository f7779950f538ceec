"""Accommodation requests and complaints: every door, the coordinator, the person, the figures."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.audit.models import AuditEvent
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate

SLUG = "city-of-portland"
CITY = f"/{SLUG}"
SECRET_WORDS = "I cannot hear the hearing; my name is Zephyrine"


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


def fill(page, *, owner=f"{SLUG}/pbot", sort="request", what="sign_language", **more):
    form = page.forms["accommodation"]
    form["owner"], form["sort"] = owner, sort
    form["kind" if sort == "request" else "basis"] = what
    form["details"] = SECRET_WORDS
    for name, value in more.items():
        form[name] = value
    return form


def number_in(page) -> str:
    return re.search(r"A-[0-9A-Z]{5}-[0-9A-Z]{5}", page.text).group()


@pytest.fixture
def sent(testapp):
    """Somebody asked on the public page; their own page."""
    return fill(testapp.get("/accommodation"), email="z@zephyr.example").submit("submit").follow()


@pytest.fixture
def coordinator(sign_in):
    return sign_in("coordinator", SLUG)


def test_what_is_asked_for_is_acknowledged_decided_and_appealed(sent, coordinator, clock):
    number = number_in(sent)
    assert "Oct 15, 2026" in sent
    assert "Equity and access coordinator" in sent
    listed = coordinator.get(f"{CITY}/accommodations")
    assert "Zephyrine" not in listed
    page = listed.click(number)
    assert SECRET_WORDS in page
    form = page.forms["acknowledge"]
    form["words"] = "We look for an interpreter."
    page = form.submit("submit").follow()
    form = page.forms["decide"]
    form["outcome"] = "denied"
    page = form.submit("submit", status=400)
    assert "Say why" in page
    form = page.forms["decide"]
    form["outcome"], form["words"] = "denied", "There is none on that day; we offer captions."
    page = form.submit("submit").follow()
    mine = sent.goto(sent.request.path)
    assert "Not granted" in mine
    assert "We look for an interpreter." in mine
    assert "U.S. Department of Justice" in mine
    form = mine.forms["appeal"]
    form["words"] = "Captions do not help me."
    mine = form.submit("submit").follow()
    assert "appealed" in coordinator.get(f"{CITY}/accommodations")
    page = coordinator.get(f"{CITY}/accommodations/{number}")
    assert "Nov 3, 2026" in page  # fifteen working days later, the holiday left out
    form = page.forms["answer-appeal"]
    assert form["outcome"].options[0][0] == "denied"
    form["words"] = "We found an interpreter after all."
    assert "required" in form.submit("submit", status=400).text.lower()
    form["outcome"] = "granted"
    page = form.submit("submit").follow()
    assert "Not granted, now: Granted" in page
    assert "answer-appeal" not in page.forms
    mine = sent.goto(sent.request.path)
    assert "We found an interpreter after all." in mine
    shown = mine.html.get_text(" ", strip=True)
    assert "Decision Not granted" in shown
    assert "What holds now Granted" in shown
    assert "appeal" not in mine.forms
    ended = coordinator.get(f"{CITY}/accommodations?show=ended")
    assert "Granted" in ended.html.find("a", string=number).find_parent("tr").get_text()


def test_letters_tell_the_person_where_and_by_when_and_never_what(testapp, coordinator, letters_to):
    page = fill(testapp.get("/accommodation?_language=es"), email="ines@zephyr.example")
    mine = page.submit("submit").follow()
    number, link = number_in(mine), mine.request.path_url
    at = f"{CITY}/accommodations/{number}"
    coordinator.get(at).forms["acknowledge"].submit("submit")
    form = coordinator.get(at).forms["note"]
    form["audience"], form["words"] = "public", "Which day do you mean?"
    form.submit("submit")
    form = coordinator.get(at).forms["decide"]
    form["outcome"], form["words"] = "denied", "There is none on that day."
    form.submit("submit")
    spanish = testapp.get(link, headers={"Accept-Language": "es"})
    assert "Puede pedir a la coordinación" in spanish
    form = testapp.get(link).forms["appeal"]
    assert "You can ask the City" in testapp.get(link)
    form["words"] = "I cannot take part."
    form.submit("submit")
    form = coordinator.get(at).forms["answer-appeal"]
    form["outcome"], form["words"] = "granted", "We found somebody after all."
    form.submit("submit")
    letters = letters_to("ines@zephyr.example")
    assert [each.event.removeprefix("accommodation_") for each in letters] == [
        *("acknowledged", "news", "decided", "appeal_answered")
    ]
    assert all(link.rpartition("/")[2] in each.body for each in letters)
    said = " ".join(f"{each.heading} {each.body}" for each in letters)
    assert not re.search(
        "denied|granted|day do you|somebody after|interpret|sign", said, re.IGNORECASE
    )
    told = letters_to("access@pbot.example")
    assert any(each.event == "accommodation_appeal" and number in each.heading for each in told)


def test_a_decision_can_be_disagreed_with_through_the_day_that_the_letter_names(
    sent, coordinator, clock, letters_to
):
    form = coordinator.get(f"{CITY}/accommodations/{number_in(sent)}").forms["decide"]
    form["outcome"] = "granted"
    form.submit("submit")
    assert any("December 12, 2026" in each.body for each in letters_to("z@zephyr.example"))
    clock.now = datetime(2026, 12, 13, 7, 30, tzinfo=UTC)  # still the twelfth in Portland
    assert "appeal" in sent.goto(sent.request.path).forms
    clock.now = datetime(2026, 12, 13, 9, tzinfo=UTC)
    assert "appeal" not in sent.goto(sent.request.path).forms


@pytest.fixture
def letters_to(web_engine, people):
    """What was written to an address at the City, the first letter first."""

    def find(email):
        with session_scope(web_engine, Scope(people.tenants[SLUG])) as session:
            return session.execute(
                text(
                    "SELECT event, heading, body, language FROM outbox_messages"
                    " WHERE recipient = :to ORDER BY id"
                ),
                {"to": email},
            ).all()

    return find


def test_the_person_adds_words_and_takes_it_back(sent, coordinator):
    form = sent.forms["add"]
    form["words"] = "Rather the week after."
    page = form.submit("submit").follow()
    assert "Rather the week after." in page
    page = next(f for f in page.forms.values() if f.action.endswith("/withdraw")).submit().follow()
    assert "Taken back" in page
    seen = coordinator.get(f"{CITY}/accommodations/{number_in(sent)}")
    assert "Rather the week after." in seen
    assert "decide" not in seen.forms


def test_a_form_sent_twice_is_one(testapp, coordinator):
    form = fill(testapp.get("/accommodation"), what="interpreter")
    first, second = form.submit("submit"), form.submit("submit")
    assert first.location == second.location


def test_the_desk_takes_one_in_for_a_partner_and_does_not_see_it_again(sign_in, coordinator):
    specialist = sign_in("specialist", SLUG)
    page = specialist.get(f"{CITY}/accommodation?channel=walk_in&language=es")
    assert page.forms["accommodation"]["language"].value == "es"
    page = fill(page, owner="multnomah-county/", sort="complaint", what="language").submit("submit")
    number = number_in(page)
    link = re.search(r"/accommodation/multnomah-county/[\w-]{20,60}", page.text).group()
    specialist.get(f"{CITY}/accommodations/{number}", status=404)
    specialist.get(f"{CITY}/accommodations", status=403)
    coordinator.get(f"{CITY}/accommodations/{number}", status=404)
    theirs = sign_in("coordinator", "multnomah-county")
    seen = theirs.get(f"/multnomah-county/accommodations/{number}")
    assert "Walk-in" in seen
    assert "Spanish" in seen
    assert number in specialist.get(link)
    specialist.get(link.replace("multnomah-county", SLUG), status=404)


def test_a_coordinator_of_one_bureau_sees_that_bureau(people, sign_in, testapp):
    if "access@pbot.example" not in people.known:
        people.make("access@pbot.example", {SLUG: ("coordinator",)})
    theirs = sign_in(SLUG, email="access@pbot.example")
    mine = number_in(fill(testapp.get("/accommodation")).submit("submit").follow())
    other = number_in(
        fill(testapp.get("/accommodation"), owner=f"{SLUG}/parks").submit("submit").follow()
    )
    listed = theirs.get(f"{CITY}/accommodations")
    assert mine in listed
    assert other not in listed
    theirs.get(f"{CITY}/accommodations/{other}", status=404)


def test_it_is_given_to_the_office_that_it_is_about(people, sign_in, testapp, letters_to, clock):
    clock.now = datetime(2026, 10, 14, 18, tzinfo=UTC)
    number = number_in(
        fill(testapp.get("/accommodation"), owner=f"{SLUG}/").submit("submit").follow()
    )
    whole = sign_in("coordinator", SLUG)
    form = whole.get(f"{CITY}/accommodations/{number}").forms["office"]
    form["bureau"] = "pbot"
    page = form.submit("submit").follow()
    assert "Bureau of Transportation" in page.html.select_one(".r-timeline").get_text()
    told = letters_to("access@pbot.example")
    assert any(each.event == "accommodation_given" and number in each.heading for each in told)
    if "access@pbot.example" not in people.known:
        people.make("access@pbot.example", {SLUG: ("coordinator",)})
    theirs = sign_in(SLUG, email="access@pbot.example")
    form = theirs.get(f"{CITY}/accommodations/{number}").forms["office"]
    assert "pbot" not in [value for value, _chosen, _label in form["bureau"].options]
    form["bureau"] = "parks"
    page = form.submit("submit").follow()
    assert "It is given on" in page
    assert number not in page.html.select_one("main").get_text()
    theirs.get(f"{CITY}/accommodations/{number}", status=404)
    assert whole.get(f"{CITY}/accommodations/{number}").forms["office"]


def test_who_is_not_named_as_coordinator_sees_nothing(people, sign_in, sent):
    people.make("somebody@else.example", {SLUG: ("coordinator", "supervisor")})
    theirs = sign_in(SLUG, email="somebody@else.example")
    page = theirs.get(f"{CITY}/accommodations")
    assert "You are not named as a coordinator" in page
    assert number_in(sent) not in page
    theirs.get(f"{CITY}/accommodations/{number_in(sent)}", status=404)
    for form in ("csv", "json"):
        assert "accommodation:" not in theirs.get(f"{CITY}/audit?format={form}")


def test_where_nobody_coordinates_those_who_can_name_somebody_hear(
    testapp, sign_in, people, web_engine
):
    people.account("multnomah-county", "administrator")
    admin = sign_in("administrator", "multnomah-county")
    form = admin.get("/multnomah-county/settings/accommodation").forms["accommodation"]
    form.set("email", "", index=0)
    form.submit("submit").follow()
    invalidate()
    number = number_in(
        fill(testapp.get("/accommodation"), owner="multnomah-county/").submit("submit").follow()
    )
    with session_scope(web_engine, Scope(people.tenants["multnomah-county"])) as session:
        told = session.execute(
            text("SELECT recipient, body FROM outbox_messages WHERE event = :event"),
            {"event": "accommodation_unplaced"},
        ).all()
    assert any(
        to == "administrator@multnomah-county.example" and number in body for to, body in told
    )


def test_danger_is_asked_about_first(testapp):
    form = fill(testapp.get("/accommodation"))
    form["details"] = "my house is on fire"
    page = form.submit("submit", status=400)
    assert "Call 911 now" in page
    assert "stay on the line" not in page
    form = page.forms["accommodation"]
    form["details"] = "I want to kill myself"
    page = form.submit("submit", status=400)
    assert page.html.select_one(".usa-alert--error").get_text().count("988") == 1
    form = page.forms["accommodation"]
    form["cleared"].checked = True
    assert "We have it" in form.submit("submit").follow()


def test_the_desk_is_asked_about_danger_too(sign_in):
    form = fill(sign_in("specialist", SLUG).get(f"{CITY}/accommodation"))
    form["details"] = "my house is on fire"
    page = form.submit("submit", status=400)
    assert "Call 911 now" in page
    form = page.forms["accommodation"]
    form["cleared"].checked = True
    assert number_in(form.submit("submit"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("owner", ""), ("kind", ""), ("details", ""), ("details", "x" * 5000), ("name", "x" * 300)],
)
def test_what_is_missing_or_too_long_is_said_and_nothing_is_kept(testapp, web_engine, name, value):
    form = fill(testapp.get("/accommodation"))
    if name in ("owner", "kind"):
        form[name].force_value(value)
    else:
        form[name] = value
    page = form.submit("submit", status=400)
    assert page.forms["accommodation"]["sort"].value == "request"
    assert "There is a problem" in page or "usa-error-message" in page


def test_nothing_tells_of_it_elsewhere(sent, sign_in, web_engine, people):
    number = number_in(sent)
    supervisor = sign_in("supervisor", SLUG)
    for path in ("requests", f"accommodations/{number}", "audit", "insight"):
        answer = supervisor.get(f"{CITY}/{path}", expect_errors=True)
        assert "Zephyrine" not in answer
        assert number not in answer
    assert "accommodation:" not in supervisor.get(f"{CITY}/audit?format=csv")
    with session_scope(web_engine, Scope(people.tenants[SLUG])) as session:
        letters = session.execute(
            text("SELECT recipient, heading || body FROM outbox_messages WHERE event = :event"),
            {"event": "accommodation_new"},
        ).all()
        details = [str(each.detail) for each in session.query(AuditEvent).all()]
    assert any(number in words for to, words in letters if to == "access@pbot.example")
    assert not any("Zephyrine" in words or "sign" in words for _to, words in letters)
    assert not any("Zephyrine" in each or "sign_language" in each for each in details)


def test_somebody_who_is_signed_in_is_not_named_by_it(sign_in, web_engine, people):
    worker = sign_in("worker", SLUG)
    page = fill(worker.get("/accommodation")).submit("submit").follow()
    form = page.forms["add"]
    form["words"] = "It was my own supervisor."
    form.submit("submit").follow()
    with session_scope(web_engine, Scope(people.tenants[SLUG])) as session:
        events = session.query(AuditEvent).filter(
            AuditEvent.subject_kind == "accommodation",
            AuditEvent.action.in_(("accommodation:take", "accommodation:note")),
        )
        person_id = people.known[people.account(SLUG, "worker")]
        assert events.count() >= 2
        assert person_id not in {each.person_id for each in events}


def test_figures_hide_small_counts(testapp, sign_in, clock):
    clock.now = datetime(2025, 3, 4, 19, tzinfo=UTC)
    for kind, many in (("interpreter", 6), ("large_print", 2)):
        for _ in range(many):
            fill(testapp.get("/accommodation"), what=kind).submit("submit")
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)
    supervisor = sign_in("supervisor", SLUG)
    page = supervisor.get(f"{CITY}/accommodation-figures?year=2025")
    assert "Requests: 8" in page
    assert "few" in page
    assert "withheld" in page
    rows = supervisor.get(f"{CITY}/accommodation-figures?year=2025&format=csv").text
    assert "2025,2026-01-01,request,total,,8," in rows
    assert "2025,2026-01-01,request,kind,large_print,few,,,,," in rows
    assert "2025,2026-01-01,complaint,total,,0,,,,," in rows


def test_figures_count_what_holds_after_appeals_and_times_where_they_are_many(
    testapp, sign_in, coordinator, clock
):
    clock.now = datetime(2024, 3, 4, 19, tzinfo=UTC)
    own = [
        fill(testapp.get("/accommodation"), owner=f"{SLUG}/parks").submit("submit").follow()
        for _ in range(6)
    ]
    clock.advance(days=4)
    for place, each in enumerate(own):
        at = f"{CITY}/accommodations/{number_in(each)}"
        form = coordinator.get(at).forms["decide"]
        form["outcome"], form["words"] = "denied", "There is nobody who could."
        form.submit("submit")
        form = testapp.get(each.request.path).forms["appeal"]
        form["words"] = "I do not agree."
        form.submit("submit")
        if place:
            form = coordinator.get(at).forms["answer-appeal"]
            form["outcome"], form["words"] = "granted", "We found somebody after all."
            form.submit("submit")
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)
    rows = sign_in("supervisor", SLUG).get(f"{CITY}/accommodation-figures?year=2024&format=csv")
    # nobody was told within two days; one denial that stays would be told by the five that do not
    assert "2024,2025-01-01,request,total,,6,0,100,4,100," in rows
    assert "request,bureau,parks,6,0,100,4,," in rows
    assert "100,83" not in rows
    assert "request,outcome" not in rows
    page = sign_in("auditor", SLUG).get(f"{CITY}/accommodation-figures?year=2024")
    assert "By outcome: withheld" in page


def test_what_comes_in_this_month_is_not_counted_yet(testapp, sign_in):
    supervisor = sign_in("supervisor", SLUG)
    before = supervisor.get(f"{CITY}/accommodation-figures?format=csv").text
    fill(testapp.get("/accommodation")).submit("submit")
    assert supervisor.get(f"{CITY}/accommodation-figures?format=csv").text == before
    assert "through Sep 30, 2026" in supervisor.get(f"{CITY}/accommodation-figures")


def test_terms_are_kept_in_a_form(sign_in, testapp):
    admin = sign_in("administrator", "211info")
    form = admin.get("/211info/settings/accommodation").forms["accommodation"]
    form["acknowledge_days"], form["decide_days"] = "9", "3"
    page = form.submit("submit", status=400)
    form = page.forms["accommodation"]
    form["acknowledge_days"], form["decide_days"] = "1", "5"
    form.set("name", "Access desk of 211info", index=0)
    form.set("bureau", "", index=0)
    page = form.submit("submit", status=400)
    form = page.forms["accommodation"]
    form.set("bureau", "*", index=0)
    form["keep_days"] = "60"
    page = form.submit("submit", status=400)
    assert "from 90 to" in page
    form = page.forms["accommodation"]
    form["keep_days"] = "400"
    form["appeal_es"] = "Llame al 211."
    page = form.submit("submit", status=400)
    assert "Say it in your own language first." in page
    form = page.forms["accommodation"]
    form["appeal"] = "Call 211."
    form.submit("submit").follow()
    form = admin.get("/211info/settings/accommodation").forms["accommodation"]
    assert (form["appeal"].value, form["appeal_es"].value) == ("Call 211.", "Llame al 211.")
    invalidate()
    mine = fill(testapp.get("/accommodation"), owner="211info/").submit("submit").follow()
    assert "Access desk of 211info" in mine
    assert "Oct 14, 2026" in mine
