"""Hand-overs over HTTP: on both desks, and from a 911 center."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, update

from regional311.cover import later_rings
from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.identity.clients import make_client
from regional311.intake.models import Contact, Inquirer, Need
from regional311.referral.snapshot import published

CITY, INFO, COUNTY = "city-of-portland", "211info", "multnomah-county"


@pytest.fixture(autouse=True)
def afternoon(clock):
    before, clock.now = clock.now, datetime(2026, 12, 3, 22, tzinfo=UTC)
    yield
    clock.now = before


def begin(app, tenant):
    page = app.get(f"/{tenant}/desk").forms["start"].submit().follow()
    screen = page.forms["screen"]
    screen["answer"] = "none"
    return screen.submit().follow().request.path


def go_on_duty(app, tenant, *languages):
    desk = app.get(f"/{tenant}/desk")
    form = next(each for each in desk.forms.values() if each.action.endswith("/duty"))
    for each in form.fields["language"]:
        each.checked = each._value in languages
    return form.submit("verb", value="on").follow()


def form_with(page, verb):
    return next(
        each
        for each in page.forms.values()
        if "verb" in each.fields and verb in [field._value for field in each.fields["verb"]]
    )


def test_both_desks_see_it_and_one_takes_it_over(sign_in):
    ours, theirs = sign_in("specialist", CITY), sign_in("specialist", INFO)
    off = theirs.get(f"/{INFO}/desk")
    assert "You are on duty" in go_on_duty(theirs, INFO, "es", "en")
    duty = next(each for each in off.forms.values() if each.action.endswith("/duty"))
    assert "You are on duty already" in duty.submit("verb", value="on").follow()
    contact = begin(ours, CITY)
    page = ours.get(contact + "/handover?language=es")
    assert "speaks it" in page
    form = form_with(page, "ring")
    form["target"] = "line:211info/main"
    form["reason"] = "Needs a bed tonight"
    rung = form.submit().follow()
    assert "Rings" in rung
    assert "rings there already" in form.submit().follow()
    assert rung.html.select("[hx-get]")
    # asking again without a change is answered with nothing, and costs no picture
    address = rung.html.select_one("#rung [hx-get]")["hx-get"]
    assert ours.get(address, headers={"HX-Request": "true"}).status_int == 204
    desk = theirs.get(f"/{INFO}/desk")
    assert "1 contact rings here" in desk
    part = theirs.get(f"/{INFO}/desk/waiting", headers={"HX-Request": "true"})
    assert "From City of Portland" in part
    ring = theirs.get(part.html.select_one("a.r-card")["href"])
    assert "Needs a bed tonight" in ring
    taken = form_with(ring, "take").submit("verb", value="take").follow()
    assert "Ask first whether anybody is in danger" in taken
    assert "/contacts/C-" in taken.request.path
    after = ours.get(address, headers={"HX-Request": "true"})
    assert "has taken it over" in after
    again = theirs.post(
        f"/{INFO}/desk/ring",
        {
            "csrf_token": form_with(ring, "take")["csrf_token"].value,
            "number": form_with(ring, "take")["number"].value,
            "verb": "take",
        },
    ).follow()
    assert again.request.path == taken.request.path  # a second click is the first


def test_what_is_taken_back_is_said_to_the_other_desk(sign_in, web_engine, people):
    ours, theirs = sign_in("specialist", CITY), sign_in("specialist", INFO)
    contact = begin(ours, CITY)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        session.execute(
            update(Contact)
            .where(Contact.public_id == contact.rpartition("/")[2])
            .values(note="sleeps in a car")
        )
    form = form_with(ours.get(contact + "/handover"), "ring")
    form["target"] = "line:211info/main"
    boxes = form.fields["agreed"]
    for each in boxes:
        each.checked = True
    form.submit().follow()
    part = theirs.get(f"/{INFO}/desk/waiting", headers={"HX-Request": "true"})
    ring = theirs.get(part.html.select("a.r-card")[-1]["href"])
    assert "sleeps in a car" in ring
    there = form_with(ring, "take").submit("verb", value="take").follow().request.path
    assert "sleeps in a car" in theirs.get(there + "/handover")
    page = ours.get(contact + "/consents")
    assert "Taken over" in page
    back = next(f for f in page.forms.values() if f.action.endswith("/revoke"))
    back.submit().follow()
    assert "sleeps in a car" not in theirs.get(there)
    seen = theirs.get(there + "/handover")
    assert "sleeps in a car" not in seen
    assert "Erase it wherever else you wrote it down" in seen
    desk = theirs.get(f"/{INFO}/desk")
    stop = desk.html.find(id="to-stop-heading").find_next("a")["href"]
    done = form_with(theirs.get(stop), "stop-seen").submit().follow()
    assert done.html.find(id="to-stop-heading") is None
    assert "Seen by the receiver" in ours.get(contact + "/handover")


def test_a_named_person_lets_it_pass_with_a_reason(sign_in):
    ours, theirs = sign_in("supervisor", CITY), sign_in("supervisor", INFO)
    go_on_duty(theirs, INFO, "ru")
    contact = begin(ours, CITY)
    page = ours.get(contact + "/handover?language=ru")
    form = form_with(page, "ring")
    person = next(
        value for value, *_rest in form.fields["target"][0].options if value.startswith("person:")
    )
    form["target"] = person
    form.submit().follow()
    other = sign_in("specialist", INFO)
    seen = other.get(f"/{INFO}/desk/waiting", headers={"HX-Request": "true"})
    ring = other.get(seen.html.select("a.r-card")[-1]["href"])
    assert "Take it over" not in ring
    mine = theirs.get(ring.request.path_qs)
    form = form_with(mine, "return")
    form["reason"] = "Nobody free before six"
    form.submit("verb", value="return").follow()
    back = ours.get(contact + "/handover")
    assert "Nobody free before six" in back
    assert "Let pass" in back


def test_danger_comes_before_a_hand_over(sign_in):
    app = sign_in("specialist", CITY)
    page = app.get(f"/{CITY}/desk").forms["start"].submit().follow()
    contact = page.request.path
    unasked = app.get(contact + "/handover")
    assert "Ask first whether anybody is in danger" in unasked
    screen = page.forms["screen"]
    screen["answer"] = "fire"
    screen.submit().follow()
    assert "911 comes first" in app.get(contact + "/handover")


# --- a line that is closed ------------------------------------------------------------------------


def known_by_number(web_engine, people, tenant, contact):
    """Write down whom to call back, and that a call is safe."""
    with session_scope(web_engine, Scope(people.tenants[tenant])) as session:
        inquirer_id = new_id()
        session.add(
            Inquirer(
                tenant_id=people.tenants[tenant],
                id=inquirer_id,
                name="Dana",
                phone="503-555-0142",
                safe_to_call=True,
            )
        )
        session.flush()
        session.execute(
            update(Contact)
            .where(Contact.public_id == contact.rpartition("/")[2])
            .values(inquirer_id=inquirer_id)
        )


def ends(web_engine, people, tenant, contact):
    with session_scope(web_engine, Scope(people.tenants[tenant])) as session:
        session.execute(
            update(Contact)
            .where(Contact.public_id == contact.rpartition("/")[2])
            .values(ended_at=Contact.started_at, disposition="answered")
        )


def test_a_closed_line_says_who_answers_and_is_rung_when_it_opens(
    sign_in, web_engine, people, clock
):
    clock.now = datetime(2026, 12, 4, 5, tzinfo=UTC)  # Thursday, nine in the evening
    app = sign_in("specialist", COUNTY)
    contact = begin(app, COUNTY)
    page = app.get(contact + "/handover")
    assert "211info answers now at" in page
    assert "opens tomorrow at 8:00" in page.text.replace("\u202f", " ")
    instead = page.html.find(id="instead-city-of-portland-main")
    assert instead["value"] == "line:211info/main"
    later = {"later": f"{CITY}/main"}
    assert page.html.select_one("button[name=later]")["value"].startswith(CITY)
    fields = {"csrf_token": form_with(page, "ring")["csrf_token"].value, "verb": "ring"}
    refused = app.post(contact + "/handover", fields | later, status=400)
    assert "at which number the person may be called" in refused
    phone = {"phone": "503-555-0142", "name": "Dana"}
    refused = app.post(contact + "/handover", fields | later | phone, status=400)
    assert "Ask whether a call to that number is safe" in refused
    kept = app.post(contact + "/handover", fields | later | phone | {"safe": "yes"}).follow()
    assert "we call you back when City of Portland opens" in kept
    assert "It is on the list already" in app.post(contact + "/handover", fields | later).follow()
    for wrong in ("211info/main", f"{COUNTY}/main", "nowhere/main"):
        refused = app.post(contact + "/handover", fields | {"later": wrong}, status=400)
        assert "line" in refused
    ends(web_engine, people, COUNTY, contact)
    desk = app.get(f"/{COUNTY}/desk")
    assert "1 contact waits for a line to open" in desk
    closed = app.get(contact + "/handover")
    assert "Rung when City of Portland opens" in closed
    # other lines of theirs are open all night
    values = [each["value"] for each in closed.html.select("input[name=target]")]
    assert f"line:{CITY}/main" not in values
    assert "line:211info/main" not in values

    clock.now = datetime(2026, 12, 4, 16, 30, tzinfo=UTC)
    # whoever is at the desk in the morning finds it, not only who promised it
    app = sign_in("supervisor", COUNTY)
    desk = app.get(f"/{COUNTY}/desk")
    assert "Open now: call back, and put through" in desk
    page = app.get(desk.html.find(id="line-open-heading").find_next("a")["href"])
    # nobody is called by two at once: who calls says so, and then reads the number
    assert page.html.find("a", href="tel:+15035550142") is None
    calls = form_with(page, "call").submit().follow()
    assert calls.html.find("a", href="tel:+15035550142")
    colleague = sign_in("specialist", COUNTY)
    assert "Supervisor calls them" in colleague.get(f"/{COUNTY}/desk")
    taken = colleague.get(contact + "/handover")
    assert "I call them instead" in taken
    # a page that was opened before the colleague said so takes it from nobody
    old = {"csrf_token": form_with(taken, "call")["csrf_token"].value, "verb": "call"}
    old["id"] = form_with(taken, "call")["id"].value
    late = colleague.post(contact + "/handover", old).follow()
    assert "A colleague calls them already" in late
    assert late.html.find("a", href="tel:+15035550142") is None
    instead = form_with(late, "call").submit().follow()
    assert instead.html.find("a", href="tel:+15035550142")
    # only whom the person was promised to, and danger is asked again first
    values = [each["value"] for each in page.html.select("input[name=target]")]
    assert values
    assert all(each.startswith(f"line:{CITY}/") for each in values)
    fields = {"csrf_token": form_with(page, "ring")["csrf_token"].value, "verb": "ring"}
    target = {"target": f"line:{CITY}/main"}
    refused = app.post(contact + "/handover", fields | target, status=409)
    assert "Ask first whether anybody is in danger" in refused
    stopped = app.post(contact + "/handover", fields | target | {"danger": "fire"}).follow()
    assert "Call 911" in stopped
    assert "Rings" not in stopped.html.find(id="rung").text
    tried = form_with(stopped, "not-reached").submit().follow()
    assert "Not reached:" in tried
    rung = app.post(contact + "/handover", fields | target | {"danger": "none"}).follow()
    assert "Rings" in rung.html.find(id="rung").text
    theirs = sign_in("specialist", CITY)
    part = theirs.get(f"/{CITY}/desk/waiting", headers={"HX-Request": "true"})
    ring = theirs.get(part.html.select("a.r-card")[-1]["href"])
    form_with(ring, "take").submit("verb", value="take").follow()
    after = app.get(contact + "/handover")
    assert "has taken it over" in after
    assert after.html.select('[id^="later-"]') == []
    assert "line-open-heading" not in app.get(f"/{COUNTY}/desk")


def test_a_desk_says_how_many_more_wait_than_it_shows(
    sign_in, web_engine, people, clock, monkeypatch
):
    clock.now = datetime(2026, 12, 4, 5, tzinfo=UTC)
    app = sign_in("specialist", COUNTY)
    contact = begin(app, COUNTY)
    known_by_number(web_engine, people, COUNTY, contact)
    fields = {"csrf_token": form_with(app.get(contact + "/handover"), "ring")["csrf_token"].value}
    app.post(contact + "/handover", fields | {"verb": "ring", "later": f"{CITY}/main"})
    monkeypatch.setattr(later_rings, "MOST", 0)
    assert "not listed" in app.get(f"/{COUNTY}/desk")
    clock.now = datetime(2026, 12, 4, 16, 30, tzinfo=UTC)
    desk = sign_in("specialist", COUNTY).get(f"/{COUNTY}/desk")
    assert "as these are seen to" in desk.html.find(id="waiting").text
    assert "not listed" not in desk


def test_what_waits_for_a_line_is_taken_off_with_a_reason(sign_in, web_engine, people, clock):
    clock.now = datetime(2026, 12, 4, 5, tzinfo=UTC)
    app = sign_in("specialist", COUNTY)
    contact = begin(app, COUNTY)
    known_by_number(web_engine, people, COUNTY, contact)
    form = form_with(app.get(contact + "/handover"), "ring")
    fields = {"csrf_token": form["csrf_token"].value, "verb": "ring"}
    page = app.post(contact + "/handover", fields | {"later": f"{CITY}/main"}).follow()
    off = form_with(page, "drop")
    assert "Say why" in off.submit(status=400)
    off["reason"] = "person_declined"
    assert "Nobody is rung for it any more" in off.submit().follow()
    assert "Not to be rung through any more" in app.get(contact)
    off["reason"] = "other"
    assert "seen to it already" in off.submit().follow()


def test_a_confidential_contact_that_waits_is_not_shown_to_colleagues(
    sign_in, web_engine, people, clock
):
    """The line says what it is about, and the page behind the link is not theirs to see."""
    clock.now = datetime(2026, 12, 4, 5, tzinfo=UTC)
    ours, colleague = sign_in("specialist", COUNTY), ("specialist", "coordinator", COUNTY)
    contact = begin(ours, COUNTY)
    number = contact.rpartition("/")[2]
    known_by_number(web_engine, people, COUNTY, contact)
    fields = {"csrf_token": form_with(ours.get(contact + "/handover"), "ring")["csrf_token"].value}
    ours.post(contact + "/handover", fields | {"verb": "ring", "later": f"{CITY}/main"})

    def desk(*who):
        return sign_in(*who).get(f"/{COUNTY}/desk").html.find(id="waiting").text

    assert number in desk(*colleague)
    owner, key = min(published(web_engine).confidential_services())
    with session_scope(web_engine, Scope(people.tenants[COUNTY])) as session:
        session.add(
            Need(
                tenant_id=people.tenants[COUNTY],
                id=new_id(),
                contact_id=session.scalar(select(Contact.id).where(Contact.public_id == number)),
                service_owner_id=owner,
                service_key=key,
                term=key,
                created_at=clock.now,
            )
        )
    for at in (clock.now, datetime(2026, 12, 4, 16, 30, tzinfo=UTC)):
        clock.now = at
        assert number not in desk(*colleague)
        assert number in desk("specialist", COUNTY)
        assert number in desk("supervisor", COUNTY)


# --- 911 ------------------------------------------------------------------------------------------


@pytest.fixture
def key(web_engine, people, clock):
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        known = getattr(people, "center_key", None)
        if known is None:
            known = people.center_key = make_client(
                session, name="BOEC", scopes=["911:handovers"], now=clock.now
            )
        return known


def call(testapp, key, said, status=201):
    return testapp.post_json(
        f"/{CITY}/911", said, headers={"Authorization": f"Bearer {key}"}, status=status
    )


def test_a_911_center_hands_over_and_the_desk_claims(testapp, sign_in, key, web_engine, people):
    said = {
        "incident": "P26-77",
        "reason": "Loud party, nobody hurt",
        "phone": "503-555-0142",
        "note": "third call tonight",
        "language": "en",
    }
    first = call(testapp, key, said).json
    assert first["state"] == "waiting"
    assert first["danger"] == []
    assert call(testapp, key, said, 200).json["handover"] == first["handover"]
    refused = call(testapp, key, {**said, "reason": "other"}, 409).json
    assert (refused["error"], refused["field"]) == ("KeyReused", "incident")
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        assert (
            session.scalar(
                select(func.count())
                .select_from(Contact)
                .where(Contact.source_key.like("911:%P26-77"))
            )
            == 1
        )
    app = sign_in("specialist", CITY)
    desk = app.get(f"/{CITY}/desk")
    assert "Loud party, nobody hurt" in desk
    ring = app.get(f"/{CITY}/desk/ring?number={first['handover']}")
    assert "third call tonight" in ring
    assert "let it pass" not in ring.text.lower()
    contact = form_with(ring, "take").submit("verb", value="take").follow()
    assert "First: is anyone in danger?" in contact
    state = testapp.get(
        f"/{CITY}/911?incident=P26-77", headers={"Authorization": f"Bearer {key}"}
    ).json
    assert state["state"] == "taken_over"


def test_words_of_danger_are_named_first(testapp, sign_in, key):
    said = {"incident": "P26-78", "reason": "No fire, but he has a gun"}
    answer = call(testapp, key, said).json
    assert answer["danger"] == [{"key": "violence", "number": "911"}]
    ring = sign_in("specialist", CITY).get(f"/{CITY}/desk/ring?number={answer['handover']}")
    assert ring.text.index("Call 911 first?") < ring.text.index("Take it over")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "incident"),
        ({"incident": "1"}, "reason"),
        ({"incident": "1", "reason": "x" * 501}, "reason"),
        ({"incident": "1", "reason": "x", "channel": "pigeon"}, "channel"),
        ({"incident": "1", "reason": "x", "language": "tlh"}, "language"),
        ({"incident": "1", "reason": "x", "colour": "red"}, "colour"),
        ({"incident": 1, "reason": "x"}, "incident"),
        ([], None),
    ],
)
def test_what_cannot_be_read_names_its_field_and_changes_nothing(testapp, key, said, field):
    refused = call(testapp, key, said, 400).json
    assert (refused["error"], refused["field"]) == ("InvalidInput", field)


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer nope"}, {"Authorization": "Basic x"}]
)
def test_without_a_good_key_nothing_is_taken(testapp, header):
    answer = testapp.post_json(
        f"/{CITY}/911", {"incident": "9", "reason": "x"}, headers=header, status=403
    )
    assert answer.json["error"] == "KeyRefused"
    testapp.get(f"/{CITY}/911?incident=9", headers=header, status=403)


def test_a_key_is_good_at_its_own_partner_only(testapp, key):
    testapp.post_json(
        f"/{COUNTY}/911",
        {"incident": "9", "reason": "x"},
        headers={"Authorization": f"Bearer {key}"},
        status=403,
    )


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("huele a gas", "911"),
        ("我想自殺", "988"),
        ("cháy nhà rồi", "911"),
        ("пахнет газом", "911"),
        ("my neighbor has a gun", "911"),
    ],
)
def test_the_search_box_names_danger_first_in_every_language(testapp, words, number):
    page = testapp.get("/search", {"q": words})
    assert page.html.find("a", href=f"tel:{number}")


def test_languages_are_the_persons_on_their_page_at_the_admins_and_where_others_ring(sign_in):
    theirs, boss = sign_in("specialist", INFO), sign_in("administrator", INFO)
    page = theirs.get(f"/{INFO}/me")
    form = page.forms["languages"]
    for each in form.fields["languages"]:
        each.checked = each._value in ("vi", "en")
    assert "Saved: others see it" in form.submit("submit").follow()
    listed = boss.get(f"/{INFO}/people?language=vi")
    assert "Vietnamese" in listed

    # the next duty begins with them, and nothing is asked again
    def its_form():
        forms = theirs.get(f"/{INFO}/desk").forms.values()
        return next(each for each in forms if each.action.endswith("/duty"))

    duty = its_form()
    if "language" not in duty.fields:
        duty.submit("verb", value="off").follow()
        duty = its_form()
    spoken = {each._value for each in duty.fields["language"] if each.checked}
    assert spoken == {"en", "vi"}
    duty.submit("verb", value="on").follow()
    ours = sign_in("specialist", CITY)
    contact = begin(ours, CITY)
    assert "speaks it" in ours.get(contact + "/handover?language=vi")
    # what an administrator corrects is seen at once, also of somebody who is on duty
    name = "Specialist"
    person = boss.get(f"/{INFO}/people").click(name, index=0)
    form = person.forms["languages"]
    for each in form.fields["languages"]:
        each.checked = each._value == "ru"
    form.submit("submit").follow()
    assert "speaks it" not in ours.get(contact + "/handover?language=vi")
    assert "speaks it" in ours.get(contact + "/handover?language=ru")
