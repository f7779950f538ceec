"""A specialist's day at the desk: contacts, the danger screen, needs, consent, the end."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from regional311.intake import queries
from regional311.web import histories
from tests.web.conftest import elsewhere

CITY, COUNTY, HELP = "/city-of-portland", "/multnomah-county", "/211info"
POTHOLE = "city-of-portland/pothole"


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland: every line is open."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture
def browser(sign_in):
    return sign_in("specialist", "city-of-portland")


def start(browser, **chosen):
    form = browser.get(f"{CITY}/desk").forms["start"]
    for name, value in chosen.items():
        form[name] = value
    return form.submit().follow()


def screened(browser, **chosen):
    page = start(browser, **chosen)
    form = page.forms["screen"]
    form["answer"] = "none"
    return form.submit().follow()


def test_the_newest_of_many_open_contacts_are_on_the_desk_and_the_others_a_click_away(
    sign_in, monkeypatch
):
    monkeypatch.setattr(queries, "OPEN_SHOWN", 2)
    browser = sign_in("specialist", "supervisor", "city-of-portland")
    numbers = [start(browser).html.select_one("h1").text.strip() for _ in range(3)]
    desk = browser.get(f"{CITY}/desk")
    shown = [each.text for each in desk.html.select(".r-card__title")]
    assert shown == numbers[1:]
    assert numbers[0] in desk.click("See all open contacts of yours")


def test_a_long_history_shows_its_newest_steps_and_all_when_asked(browser, monkeypatch):
    monkeypatch.setattr(histories, "HISTORY", 1)
    place = screened(browser).request.path
    page = browser.get(place)
    assert len(page.html.select(".r-timeline li")) == 1
    whole = page.click("Show the older ones, too")
    assert len(whole.html.select(".r-timeline li")) > 1
    assert "Show the older ones" not in whole


def picked(page, words, name):
    search = next(form for form in page.forms.values() if form.method.upper() == "GET")
    search["q"] = words
    link = next(a for a in search.submit().html.select("a.d-hit") if name in a["href"])
    return page.test_app.get(link["href"])


def described(page, **values):
    form = page.forms["need"]
    for name, value in values.items():
        form[name] = value
    return form


def tick(page, **values):
    """Fill what stands outside the form and belongs to it, as a browser would send it."""
    form = page.forms["need"]
    sent = [(name, value) for name, value in form.submit_fields() if name not in values]
    shown = page.html.select_one("input[name=shown]")
    if shown is not None and "shown" not in dict(sent):
        sent.append(("shown", shown["value"]))
    return [*sent, *values.items()]


def look(page, **values):
    """Press *Who is responsible?*, which stands outside the form."""
    path = page.forms["need"].action.removesuffix("need") + "preview"
    return page.test_app.post(path, [*tick(page, **values), ("preview", "yes")])


def file_it(page, **values):
    return page.test_app.post(page.forms["need"].action, tick(page, **values))


def test_a_contact_starts_on_the_server_at_once(browser):
    page = start(browser)
    number = page.request.path.rpartition("/")[2]
    assert number.startswith("C-")
    assert number in browser.get(f"{CITY}/desk")


def test_several_contacts_are_open_at_once(browser):
    first, second = start(browser), start(browser, channel="walk_in")
    desk = browser.get(f"{CITY}/desk")
    for page in (first, second):
        assert page.request.path.rpartition("/")[2] in desk


def test_a_start_that_is_sent_twice_is_one_contact(browser):
    form = browser.get(f"{CITY}/desk").forms["start"]
    assert form.submit().location == form.submit().location


def test_danger_is_asked_before_anything_else(browser):
    page = start(browser)
    assert "screen" in page.forms
    assert "need" not in page.forms
    assert "wrap-up" not in page.forms
    unasked = browser.get(f"{page.request.path}?service={POTHOLE}")
    assert "need" not in unasked.forms


def test_a_need_cannot_be_filed_before_danger_was_asked(browser):
    page = start(browser)
    token = page.forms["screen"]["csrf_token"].value
    sent = {
        "csrf_token": token,
        "form_key": "k" * 30,
        "service": POTHOLE,
        "version": "1",
        "place": "NE Alberta",
    }
    answer = browser.post(f"{page.request.path}/need", sent, status=409)
    assert "Ask first whether anybody is in danger" in answer


def test_a_sign_of_danger_says_911_and_offers_the_transfer(browser):
    page = start(browser)
    form = page.forms["screen"]
    form["answer"] = "fire"
    page = form.submit().follow()
    assert page.html.select_one("#danger-heading").text.strip() == "Call 911"
    assert "need" not in page.forms
    taken = next(f for f in page.forms.values() if f.action.endswith("/transfer"))
    page = taken.submit().follow()
    assert "Taken over" in page
    assert page.forms["wrap-up"]["disposition"].value == "danger"


def test_words_of_danger_come_before_the_service(browser):
    page = picked(screened(browser), "pothole", POTHOLE)
    described(page, description="the house is on fire", place="Downtown")
    seen = look(page)
    assert "Call 911 first" in seen
    filed = file_it(seen, cleared="true")
    assert "R-" in filed.html.select_one(".d-number").text


def test_a_pothole_is_filed_with_the_city(browser):
    page = picked(screened(browser), "potholes", POTHOLE)
    described(page, place="SW 5th and Main", latitude="45.5152", longitude="-122.6784")
    seen = look(page)
    preview = seen.html.select_one("#preview").text
    assert "City of Portland" in preview
    filed = file_it(seen)
    card = filed.html.select_one(".d-card--done").text
    assert re.search(r"R-[0-9A-Z]{5}-[0-9A-Z]{5}", card)
    assert "/track/" in card
    assert "Expected to be done by" in card
    done = filed.forms["wrap-up"].submit().follow()
    assert "resolved at the first contact" in done


def test_the_same_form_twice_gets_the_same_answer(browser):
    page = picked(screened(browser), "pothole", POTHOLE)
    form = described(page, place="Downtown", latitude="45.5152", longitude="-122.6784")
    first, second = form.submit(), form.submit()
    number = first.html.select_one(".d-number").text
    assert second.html.select_one(".d-number").text == number
    assert len(second.html.select("article.d-card")) == 1


def test_somebody_else_saved_first(browser):
    page = picked(screened(browser), "pothole", POTHOLE)
    other = browser.get(page.request.path)
    other.forms["wrap-up"]["disposition"] = "hang_up"
    other.forms["wrap-up"].submit()
    form = described(page, latitude="45.5152", longitude="-122.6784")
    answer = form.submit(status=409)
    assert "Somebody else saved first" in answer
    assert "Stored now" in answer


def test_a_place_is_asked_for_where_it_decides(browser):
    page = picked(screened(browser), "pothole", POTHOLE)
    described(page, place_kind="none")
    answer = page.forms["need"].submit(status=400)
    assert "Say where it is" in answer


def test_half_a_point_is_refused(browser):
    page = picked(screened(browser), "pothole", POTHOLE)
    described(page, latitude="45.5")
    answer = page.forms["need"].submit(status=400)
    assert "A point has a latitude and a longitude." in answer


def test_shelter_is_referred_with_consent(browser):
    page = picked(screened(browser), "shelter for tonight", "211info/")
    described(
        page, description="a mother with two children", name="Dana Reed", phone="503 555 0101"
    )
    for name in ("answer-people",):
        if name in page.forms["need"].fields:
            page.forms["need"][name] = "3"
    unasked = page.forms["need"].submit(status=400)
    assert "Ask the person" in unasked.html.select_one("#consent-error").text
    filed = file_it(unasked, consent="given")
    assert "Referred to 211info" in filed.html.select_one(".d-card--done").text
    assert filed.forms["wrap-up"]["disposition"].value == "referred"


@pytest.mark.parametrize(
    ("language", "asks", "named"),
    [
        ("es", "¿Podemos compartir esto", "Número de teléfono"),
        ("vi", "Chúng tôi có thể chia sẻ", "Số điện thoại"),
        ("zh-Hant", "我們可以把這些資料", "電話號碼"),
        ("ru", "Можно ли передать это", "Номер телефона"),
    ],
)
def test_consent_is_read_in_the_persons_language_and_kept_so(browser, language, asks, named):
    page = picked(screened(browser, language=language), "shelter for tonight", "211info/")
    described(page, name="Dana Reed", phone="503 555 0101")
    if "answer-people" in page.forms["need"].fields:
        page.forms["need"]["answer-people"] = "3"
    unasked = page.forms["need"].submit(status=400)
    legend = unasked.html.select_one(f'legend span[lang="{language}"]').text
    assert legend.startswith(asks)
    assert named in legend
    assert "In English: “May we share this" in unasked
    filed = file_it(unasked, consent="given")
    here = filed.request.path.removesuffix("/need")
    kept = browser.get(f"{here}/consents")
    assert legend in kept
    assert "Read out in" in kept
    need = browser.get(here).html.select_one("[id^=need-]")["id"].removeprefix("need-")
    listed = browser.get(f"{here}/refer?need={need}").html.select("#service option")
    county = next(each["value"] for each in listed if each["value"].startswith("multnomah-county/"))
    another = browser.get(f"{here}/refer?need={need}&service={county}")
    read = another.html.select_one(f'legend span[lang="{language}"]').text
    assert read.startswith(asks)
    assert "Multnomah County" in read
    assert "In English: “May we share this" in another


def test_the_preview_is_a_part_of_the_page_for_htmx(browser):
    page = picked(screened(browser), "pothole", POTHOLE)
    sent = described(page, latitude="45.5152", longitude="-122.6784").submit_fields()
    part = browser.post(page.request.path + "/preview", sent, headers={"HX-Request": "true"})
    assert "<html" not in part
    assert "City of Portland" in part


def test_statements_of_the_pages(browser, statements):
    page = picked(screened(browser), "pothole", POTHOLE)
    filed = described(page, latitude="45.5152", longitude="-122.6784").submit()
    contact = filed.request.path.removesuffix("/need")
    for path, limit in (
        (f"{CITY}/desk", 12),
        (f"{CITY}/contacts", 8),
        (f"{CITY}/contacts?channel=phone&state=open&sort=started", 8),
        (contact, 13),
        (f"{contact}?q=pothole", 12),
        (f"{contact}/services?q=pothole", 6),
        (f"{contact}?service=city-of-portland/pothole", 12),
    ):
        browser.get(path)
        statements.clear()
        browser.get(path)
        assert len(statements) <= limit, (path, statements)


def test_the_list_filters_and_exports(browser):
    page = screened(browser, channel="walk_in")
    number = page.request.path.rpartition("/")[2]
    assert number in browser.get(f"{CITY}/contacts?channel=walk_in&state=open&specialist=me")
    assert number not in browser.get(f"{CITY}/contacts?channel=email")
    assert number not in browser.get(f"{CITY}/contacts?until=2020-01-01")
    export = browser.get(f"{CITY}/contacts?format=csv")
    assert export.content_type == "text/csv"
    assert number in export


def test_a_closed_line_means_staying_on_the_line(browser, clock):
    clock.now = datetime(2026, 10, 13, 4, tzinfo=UTC)
    page = picked(screened(browser), "shelter for tonight", "211info/")
    described(page, **{"answer-people": "3"})
    filed = file_it(page)
    assert "Offer to transfer to 211info" in filed
    taken = next(f for f in filed.forms.values() if f.action.endswith("/transfer"))
    assert "Taken over" in taken.submit().follow()


def test_a_partner_answers_the_lines_that_are_its_own_when_closed(sign_in):
    browser = sign_in("specialist", "211info")
    form = browser.get("/211info/desk").forms["start"]
    offered = {value for value, _selected, _label in form["line"].options}

    assert "city-of-portland/main" in offered
    assert "city-of-portland/water" not in offered

    form["line"] = "city-of-portland/main"
    page = form.submit().follow()
    assert "City of Portland" in page.text

    form = browser.get("/211info/desk").forms["start"]
    form["line"].force_value("city-of-portland/water")
    assert "Choose one of the lines listed" in form.submit(status=400).text


def test_who_bills_sees_what_was_done_but_not_who_asked(browser, sign_in):
    page = picked(screened(browser), "pothole", "city-of-portland/pothole")
    filed = file_it(
        page,
        place="SE Hawthorne and 37th",
        description="Hole by the bakery",
        name="Canary Person",
        email="canary@example.org",
    )
    path = filed.request.path.removesuffix("/need")
    assert "Canary Person" in browser.get(path).text

    seen = sign_in("finance", "city-of-portland").get(path).text

    assert "Pothole" in seen
    for hidden in ("Canary", "canary@", "bakery", "Hawthorne"):
        assert hidden not in seen


def test_what_was_picked_and_what_was_filed_have_the_focus(browser):
    """Then single keys work, and a screen reader goes on there, not at the top of the page."""
    page = picked(screened(browser), "pothole", POTHOLE)
    assert [each["id"] for each in page.html.select("[autofocus]")] == ["need-heading"]
    assert page.html.select_one("form#need")["aria-labelledby"] == "need-heading"
    described(page, latitude="45.5250", longitude="-122.6400")
    filed = file_it(look(page))
    assert [each["id"] for each in filed.html.select("[autofocus]")] == ["filed-heading"]


def test_what_is_known_is_counted_at_the_desk(browser):
    page = picked(screened(browser), "potholes", POTHOLE)
    described(page, place="SW 5th and Main", latitude="45.5450", longitude="-122.6500")
    number = file_it(look(page)).html.select_one(".d-number").text.strip()
    page = picked(screened(browser), "potholes", POTHOLE)
    described(page, latitude="45.5450", longitude="-122.6501")
    seen = look(page)
    same = {each["value"] for each in seen.html.select("#preview input[name=same_as]")}
    assert same == {number, ""}
    assert seen.html.select_one(f'a[href$="/requests/{number}"]')
    counted = file_it(page, same_as=number)
    assert "Counted with" in counted.html.select_one(".d-card--done").text
    assert counted.html.select_one(".d-number").text.strip() == number


def test_why_is_said_in_the_language_that_the_specialist_chose(browser, sign_in):
    point = elsewhere()
    page = picked(screened(browser), "pothole", "pothole")
    filed = file_it(page, place="there", **point)
    contact = page.forms["need"].action.removesuffix("/need")
    assert "Decided by rule" in filed or "No rule applies" in filed
    why = browser.get(f"{contact}/why")
    assert why.html.select_one('[aria-label="Explained in"] a[aria-current=true]').text == "English"
    assert "no such language" not in browser.get(f"{contact}/why?explained=tlh").text
    spanish = browser.get(f"{contact}/why?explained=es")
    answer = spanish.html.select_one('.t-answer[lang="es"]')
    assert "Abrir una solicitud con" in answer.text
    tried = spanish.html.select('ol.t-trace p[lang="es"]')
    assert "Se aplica y decide." in {each.text for each in tried}
    assert "Se aplica" not in why
    # from now on, before something is filed and afterwards, in this browser
    told = browser.get(contact).html.select_one('ul.d-why[lang="es"]')
    assert "Responsable allí" in told.text
    seen = look(picked(screened(browser), "pothole", "pothole"), **point)
    assert "Abrir una solicitud con" in seen.html.select_one(".d-preview h3[lang=es]").text
    other = sign_in("supervisor", "city-of-portland")
    assert "Abrir una solicitud" not in other.get(contact)
