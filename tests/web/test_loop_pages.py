"""The loop's pages: refer again, outcomes, consents, follow-ups, the person's own page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from regional311.database.ids import new_id, new_token, public_id
from regional311.database.session import Scope, acting_for, session_scope
from regional311.identity.expiring_links import Expiring, make_token
from regional311.referral.filing import Asker, Intake, take_in
from regional311.referral.models import Consent, Referral
from regional311.referral.reminders import keep_loops
from regional311.referral.snapshot import published
from regional311.web.answer_links import PURPOSE
from tests.web.conftest import SECRET

CITY, HELP = "/city-of-portland", "/211info"


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture
def sent(web_engine, people, clock):
    """Refer somebody who needs shelter to 211info, as the desk does, and end the contact."""

    def refer(**more):
        person = people.known[people.account("city-of-portland", "specialist")]
        given = {"consent": "given"} | more
        intake = Intake(
            source="desk",
            key=new_token(),
            channel="phone",
            started_at=clock.now,
            ended_at=clock.now,
            service="211info/shelter",
            description="sleeps in a car",
            asker=Asker(
                name="Dana Reed",
                phone="503 555 0101",
                email="dana@example.org",
                safe_to_call=True,
                wants_updates=True,
                may_follow_up=True,
            ),
            danger_answer="none",
            **given,
        )
        scope = Scope(people.tenants["city-of-portland"], person)
        with session_scope(web_engine, scope) as session:
            return take_in(
                session,
                published(web_engine),
                intake,
                now=clock.now,
                url="http://localhost",
            )

    return refer


@pytest.fixture
def city(sign_in):
    return sign_in("specialist", "city-of-portland")


@pytest.fixture
def partner(sign_in):
    return sign_in("partner", "211info")


def form_to(page, address, /, **fields):
    """The form of a page whose action ends so and whose hidden fields have these values."""
    for form in page.forms.values():
        if (form.action or "").endswith(address) and all(
            name in form.fields and form[name].value == value for name, value in fields.items()
        ):
            return form
    raise AssertionError(address)


def reject(partner, answer):
    page = partner.get(f"{HELP}/referrals/{answer.referral_public_id}")
    form = page.forms["reject"]
    form["reason"] = "no_capacity"
    form.submit("submit").follow()


def test_rejected_and_referred_again(city, partner, sent):
    answer = sent()
    reject(partner, answer)
    page = city.get(f"{CITY}/referrals/{answer.referral_public_id}").click("Refer again")
    assert "It takes the place of" in page
    choosing = form_to(page, "/refer")
    choosing["service"] = (
        "211info/food-box" if "211info/food-box" in page else choosing["service"].options[1][0]
    )
    page = choosing.submit()
    assert "Read out" in page
    assert "until April" in page
    form = next(
        f for f in page.forms.values() if f.method.upper() == "POST" and "consent" in f.fields
    )
    refused = form.submit(status=400)
    assert "Nothing was sent" in refused
    form["consent"] = "given"
    page = form.submit().follow()
    assert "Referred: F-" in page
    assert "Refer again, after" not in page
    assert len(page.html.select("article.d-card a[href*='/referrals/F-']")) == 2


def test_what_became_of_it_with_history(city, sent):
    answer = sent()
    page = city.get(f"{CITY}/contacts/{answer.contact_public_id}")
    form = form_to(page, "/outcome")
    form["outcome"] = "unmet:cost"
    page = form.submit().follow()
    assert "Not met because: Too expensive" in page
    form = form_to(page, "/outcome")
    form["outcome"] = "met"
    page = form.submit().follow()
    assert "Not met because" not in page
    assert "Not met: Too expensive" in page.html.select("section ol.r-timeline")[0].get_text()
    form.submit(status=303)
    form["outcome"] = "unmet:other"
    assert "in your own words" in form.submit(status=400)
    form["unmet_words"] = "The bus ended."
    assert "Not met because: Another reason: The bus ended." in form.submit().follow()
    form["outcome"].force_value("unmet")
    assert "why the need is unmet" in form.submit(status=400)


def test_ending_asks_for_what_nobody_is_at(city, partner, sent, web_engine, people, clock):
    answer = sent(ends=False)
    reject(partner, answer)
    page = city.get(f"{CITY}/contacts/{answer.contact_public_id}")
    assert not page.html.select("button[data-key='a']")
    form = page.forms["wrap-up"]
    form["disposition"] = "referred"
    assert "Say what became of it before the contact ends" in form.submit(status=400)
    field = next(name for name in form.fields if name and name.endswith("-outcome"))
    form[field] = "unmet:other"
    assert "in your own words" in form.submit(status=400)
    form[field] = "unmet:all_at_capacity"
    assert "Finished" in form.submit().follow()
    assert "Not met because: All are full" in city.get(
        f"{CITY}/contacts/{answer.contact_public_id}"
    )


def test_follow_up_from_the_list_to_the_need(sign_in, sent, clock):
    answer = sent()
    clock.advance(days=40)
    city = sign_in("specialist", "city-of-portland")
    page = city.get(f"{CITY}/follow-ups?view=overdue")
    assert "Dana Reed" not in page
    number = page.html.select_one("th a").get_text()
    page = page.click(number)
    assert "Dana Reed" in page
    page = form_to(page, "/claim").submit().follow()
    assert number in city.get(f"{CITY}/follow-ups?view=mine")
    form = page.forms["attempt"]
    assert "left_message" not in [value for value, *_ in form["result"].options]
    form["result"] = "reached"
    assert "Say what became of the need" in form.submit("submit", status=400)
    form["outcome"] = "unmet:other"
    assert "in your own words" in form.submit("submit", status=400)
    form["outcome"] = "partially_met"
    page = form.submit("submit").follow()
    assert "Asked" in page
    assert "attempt" not in page.forms
    contact = city.get(f"{CITY}/contacts/{answer.contact_public_id}")
    assert "Partly met" in contact
    rows = city.get(f"{CITY}/follow-ups?view=done&format=csv").text
    assert number in rows


def test_needs_without_outcome(sign_in, sent, clock):
    answer = sent()
    clock.advance(days=35)
    city = sign_in("specialist", "city-of-portland")
    page = city.get(f"{CITY}/outcomes?age=30")
    assert answer.contact_public_id in page
    assert "(missed)" in page
    assert answer.contact_public_id not in city.get(f"{CITY}/outcomes?age=90")
    assert answer.contact_public_id in city.get(f"{CITY}/outcomes?format=csv").text


def test_consent_is_taken_back_and_the_receiver_confirms(city, partner, sent):
    answer = sent()
    page = city.get(f"{CITY}/contacts/{answer.contact_public_id}/consents")
    assert "With 211info, until" in page
    form_to(page, "/revoke").submit().follow()
    theirs = partner.get(f"{HELP}/referrals?view=to_stop").click(answer.referral_public_id)
    assert "Do not use it any more" in theirs
    assert "Dana Reed" not in theirs
    theirs = form_to(theirs, "/stop-seen").submit().follow()
    assert answer.referral_public_id not in partner.get(f"{HELP}/referrals?view=to_stop")
    mine = city.get(f"{CITY}/referrals/{answer.referral_public_id}")
    assert "Seen by the receiver" in mine


def test_never_contact(city, partner, sent):
    answer = sent()
    page = city.get(f"{CITY}/contacts/{answer.contact_public_id}/consents")
    page = form_to(page, "/prohibit").submit().follow()
    assert "Never contact this person" in page
    theirs = partner.get(f"{HELP}/referrals/{answer.referral_public_id}")
    assert "Never contact this person" in theirs
    number = city.get(f"{CITY}/follow-ups?view=done").html.select("th a")[0].get_text()
    page = city.get(f"{CITY}/follow-ups/{number}")
    assert "503 555 0101" not in page


def test_the_receivers_desk_finds_it_by_the_code(city, partner, sent):
    answer = sent()
    typed = answer.code.replace("-", " ").lower()
    found = partner.get(f"{HELP}/referrals/find", {"q": typed}, status=303)
    assert found.location.endswith(answer.referral_public_id)
    assert "Not found" in partner.get(f"{HELP}/referrals/find?q=M-00000-00000")


def test_steps_ahead_on_the_senders_page(city, partner, sent):
    answer = sent()
    page = city.get(f"{CITY}/referrals/{answer.referral_public_id}")
    assert "They are reminded" in page
    assert "It fails as expired" in page
    reject(partner, answer)
    page = city.get(f"{CITY}/referrals/{answer.referral_public_id}")
    assert "They are reminded" not in page


def test_what_is_said_after_it_expired_is_read_and_answered(sign_in, sent, web_engine, clock):
    answer, begun = sent(), clock.now
    sender = Scope(published(web_engine).ids["city-of-portland"])
    for count in range(40):
        with session_scope(web_engine, sender) as session:
            keep_loops(session, now=begun + timedelta(days=count), url="http://localhost")
    clock.now = begun + timedelta(days=40)
    city, partner = sign_in("specialist", "city-of-portland"), sign_in("partner", "211info")
    here = f"{HELP}/referrals/{answer.referral_public_id}"
    page = partner.get(here)
    form = form_to(page, "/ask")
    assert "Say what became of the person all the same" in page
    form["body"] = "She came all the same."
    assert "They record what became of the person" in form.submit().follow()
    assert answer.referral_public_id in city.get(f"{CITY}/referrals?view=questions")
    page = city.get(f"{CITY}/referrals/{answer.referral_public_id}")
    assert "She came all the same." in page
    assert "The receiver said what became of it, after it had expired" in page
    form = form_to(page, "/reply")
    form["body"] = "Thank you, it is recorded."
    form.submit().follow()
    assert answer.referral_public_id not in city.get(f"{CITY}/referrals?view=questions")
    assert "Thank you, it is recorded." in partner.get(here)


def test_a_link_says_once_what_became_of_one_that_expired(
    testapp, sign_in, sent, web_engine, people, clock
):
    answer, begun = sent(), clock.now
    receiver = people.tenants["211info"]
    token = make_token(
        SECRET, PURPOSE, Expiring(receiver, answer.referral_id, begun + timedelta(days=14))
    )
    with session_scope(web_engine, Scope(people.tenants["city-of-portland"])) as session:
        for count in range(40):
            keep_loops(session, now=begun + timedelta(days=count), url="http://localhost")
    clock.now = begun + timedelta(days=40)
    page = testapp.get(f"/answer/{token}")
    assert "This referral has expired" in page
    assert "Dana" not in page
    form = form_to(page, "/late")
    assert "Fill this in" in form.submit("submit", status=400)
    form["body"] = "She came all the same."
    assert "Told" in form.submit("submit")
    again = form.submit("submit", status=409)
    assert "This link has expired" in again
    assert "late" not in testapp.get(f"/answer/{token}").forms
    city = sign_in("specialist", "city-of-portland")
    assert answer.referral_public_id in city.get(f"{CITY}/referrals?view=questions")
    page = city.get(f"{CITY}/referrals/{answer.referral_public_id}")
    assert "She came all the same." in page
    assert "The receiver said what became of it, after it had expired" in page
    theirs = sign_in("partner", "211info").get(f"{HELP}/referrals/{answer.referral_public_id}")
    assert "Answered by the link in the message" in theirs


# --- the person's own page ------------------------------------------------------------------------


def test_the_persons_page_says_how_it_stands(testapp, sent, web_engine, people):
    answer = sent()
    page = testapp.get("/mine")
    form = page.forms[0] if 0 in page.forms else form_to(page, "/mine")
    form["code"] = "nonsense"
    assert "This is no code" in form.submit(status=400)
    form["code"] = answer.code.lower()
    page = form.submit().follow()
    assert page.html.title.get_text().startswith("Your page")
    assert "We asked them" in page
    # the keyboard reaches the way out first, after the link that skips the head of the page
    _skip, out = page.html.body.select("a, button, input, select, textarea, summary")[:2]
    assert out.get_text() == "Leave this page now"
    assert "data-way-out" in out.attrs
    for secret in ("Dana", "503 555 0101", "sleeps in a car"):
        assert secret not in page
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"


def test_the_persons_page_in_spanish(testapp, sent):
    page = testapp.get(f"/mine/{sent().code}?lang=es")
    assert "Les preguntamos. Todavía no han respondido." in page
    assert "Salir de esta página ahora" in page


def test_the_person_takes_a_referral_and_a_consent_back(testapp, sent, partner):
    answer = sent()
    page = testapp.get(f"/mine/{answer.code}")
    page = form_to(page, "/withdraw").submit().follow()
    assert "It was taken back" in page
    assert "Cancelled" in partner.get(f"{HELP}/referrals/{answer.referral_public_id}")
    page = form_to(page, "/consent").submit().follow()
    assert "What you agreed to share" not in page
    assert "Dana Reed" not in partner.get(f"{HELP}/referrals/{answer.referral_public_id}")


def test_nothing_is_done_without_the_forms_secret_or_for_anothers(testapp, sent):
    answer, other = sent(), sent()
    for name in ("withdraw", "consent", "word"):
        testapp.post(f"/mine/{answer.code}/{name}", {}, status=400)
    page = testapp.get(f"/mine/{answer.code}")
    form = form_to(page, "/withdraw")
    form["referral"].force_value(other.referral_public_id)
    form.submit(status=404)


def test_what_is_confidential_needs_the_word(testapp, city, sent, monkeypatch):
    from regional311.web.views import mine

    monkeypatch.setattr(mine, "_confidential", lambda _tell, _referral: True)
    answer = sent()
    page = testapp.get(f"/mine/{answer.code}")
    assert "Something confidential" in page
    assert "211info" not in page
    assert "Call us to hear about it" in page
    consents = city.get(f"{CITY}/contacts/{answer.contact_public_id}/consents")
    form = form_to(consents, "/word")
    form["word"] = "blue heron"
    form.submit().follow()
    form = form_to(testapp.get(f"/mine/{answer.code}"), "/word")
    form["word"] = "wrong"
    assert "That is not the word" in form.submit()
    form["word"] = "Blue Heron"
    shown = form.submit()
    assert "211info" in shown
    assert "211info" not in testapp.get(f"/mine/{answer.code}")


def test_ended_and_unknown_codes_are_the_same(testapp, city, sent):
    answer = sent()
    consents = city.get(f"{CITY}/contacts/{answer.contact_public_id}/consents")
    form_to(consents, "/code", end="yes").submit().follow()
    testapp.get(f"/mine/{answer.code}", status=404)


def test_guessing_is_stopped(application, clock):
    from webtest import TestApp

    from regional311.database.ids import public_id
    from regional311.identity.attempts import MOST

    guesser = TestApp(application, extra_environ={"REMOTE_ADDR": "203.0.113.9"})
    for _ in range(MOST["person-code"]):
        guesser.get(f"/mine/{public_id('M')}", status=404)
    assert "Too many tries" in guesser.get(f"/mine/{public_id('M')}", status=429)
    # each kind of secret is counted by itself
    for _ in range(MOST["answer-link"]):
        guesser.get("/answer/nobody-made-this", status=404)
    assert "Too many tries" in guesser.get("/answer/nobody-made-this", status=429)
    clock.advance(minutes=16)
    guesser.get(f"/mine/{public_id('M')}", status=404)
    guesser.get("/answer/nobody-made-this", status=404)


def test_statements_of_the_pages(sign_in, testapp, sent, statements, clock):
    answer = sent()
    clock.advance(days=40)
    city = sign_in("specialist", "city-of-portland")
    number = city.get(f"{CITY}/follow-ups").html.select_one("th a").get_text()
    for browser, address, limit in (
        (city, f"{CITY}/follow-ups", 8),
        (city, f"{CITY}/follow-ups/{number}", 10),
        (city, f"{CITY}/outcomes", 8),
        (city, f"{CITY}/contacts/{answer.contact_public_id}/consents", 10),
        (city, f"{CITY}/referrals/{answer.referral_public_id}", 10),
        (testapp, f"/mine/{answer.code}", 8),
    ):
        counted = []
        # once in a while a page also looks whether the region has changed
        for _ in range(3):
            statements.clear()
            browser.get(address)
            counted.append(len(statements))
        assert min(counted) <= limit, (address, counted)


def test_the_days_are_set_in_a_form(sign_in, sent):
    admin = sign_in("administrator", "city-of-portland")
    page = admin.get(f"{CITY}/settings").click("Follow-ups and reminders")
    form = page.forms["loop"]
    form["attempts"] = "0"
    assert "from 1 to 20" in form.submit("submit", status=400)
    form["attempts"] = "4"
    form["follow_up_normal"] = "3"
    form.submit("submit").follow()
    assert admin.get(f"{CITY}/settings/loop").forms["loop"]["attempts"].value == "4"
    stale = form.submit("submit", status=409)
    assert "Somebody else" in stale


@pytest.fixture
def onward(web_engine, people, clock, sent):
    """Number of a referral that 211info has referred onward to the County, with consent."""
    answer = sent()
    help_id, county_id = people.tenants["211info"], people.tenants["multnomah-county"]
    new, consent_id, number = new_id(), new_id(), public_id("F")
    with session_scope(web_engine, Scope(help_id)) as session:
        session.add(
            Consent(
                tenant_id=help_id,
                id=consent_id,
                referral_id=answer.referral_id,
                to_tenant_id=county_id,
                fields=["name"],
                method="spoken",
                given_at=clock.now,
                expires_at=clock.now + timedelta(days=90),
            )
        )
        for side, me, other in (("sent", help_id, county_id), ("received", county_id, help_id)):
            with acting_for(session, me):
                session.add(
                    Referral(
                        tenant_id=me,
                        id=new,
                        public_id=number,
                        side=side,
                        counterparty_id=other,
                        service_key="shelter",
                        term="BH-1800",
                        consent_id=consent_id if side == "sent" else None,
                        part_of_id=answer.referral_id if side == "sent" else None,
                        shared={"name": "Dana Reed"},
                        channel="phone",
                        state="requested",
                        sent_at=clock.now,
                    )
                )
    return number


def test_who_referred_onward_takes_the_consent_back_as_the_person_asks(partner, sign_in, onward):
    county = sign_in("partner", "multnomah-county")
    theirs = f"/multnomah-county/referrals/{onward}"
    assert "Dana Reed" in county.get(theirs)
    page = partner.get(f"{HELP}/referrals/{onward}")
    assert "Agreed to" in page
    page = form_to(page, "/revoke").submit().follow()
    assert "The receiver has not said yet that it saw this." in page
    assert not [each for each in page.forms.values() if (each.action or "").endswith("/revoke")]
    page = county.get(theirs)
    assert "Do not use it any more" in page
    assert "Dana Reed" not in page


def test_the_consent_of_a_contact_is_not_taken_back_on_the_page_of_its_referral(sign_in, sent):
    supervisor = sign_in("supervisor", "city-of-portland")
    page = supervisor.get(f"{CITY}/referrals/{sent().referral_public_id}")
    assert "Agreed to" in page
    assert not [each for each in page.forms.values() if (each.action or "").endswith("/revoke")]


def part_of(partner, onward) -> str:
    """Give the number of the referral that one onward is part of."""
    page = partner.get(f"{HELP}/referrals/{onward}")
    return page.html.select_one("section[aria-labelledby=related-heading] a").get_text()


def test_what_goes_on_onward_after_its_beginning_ended_is_decided(city, partner, onward):
    assert onward not in partner.get(f"{HELP}/referrals?view=onward")
    number = part_of(partner, onward)
    cancel = form_to(city.get(f"{CITY}/referrals/{number}"), "/cancel")
    cancel["reason"] = "sender_withdrew"
    cancel.submit("submit").follow()
    assert onward in partner.get(f"{HELP}/referrals?view=onward")
    page = partner.get(f"{HELP}/referrals/{onward}")
    assert "What it is part of has ended" in page
    keep = form_to(page, "/keep-on")
    assert "Say why it goes on" in keep.submit(status=400)
    keep["words"] = "She moves in on Monday."
    page = keep.submit().follow()
    assert "She moves in on Monday." in page
    assert "What it is part of has ended" not in page


def test_what_goes_on_onward_is_withdrawn_too(city, partner, onward, sign_in):
    number = part_of(partner, onward)
    cancel = form_to(city.get(f"{CITY}/referrals/{number}"), "/cancel")
    cancel["reason"] = "sender_withdrew"
    cancel.submit("submit")
    page = form_to(partner.get(f"{HELP}/referrals/{onward}"), "/withdraw-too").submit().follow()
    assert "Cancelled" in page
    county = sign_in("partner", "multnomah-county")
    assert "Cancelled" in county.get(f"/multnomah-county/referrals/{onward}")


def test_a_draft_is_kept_found_and_finished(city, partner, sent):
    answer = sent()
    reject(partner, answer)
    contact = f"{CITY}/contacts/{answer.contact_public_id}"
    page = city.get(contact).click("Refer to another partner")
    choosing = next(each for each in page.forms.values() if "service" in each.fields)
    choosing["service"] = choosing["service"].options[1][0]
    page = form_to(choosing.submit(), "/refer-later").submit().follow()
    number = re.search(r"Kept as a draft: (F-[0-9A-Z-]+)", page.text)[1]
    assert "Draft" in page
    assert number in city.get(f"{CITY}/referrals?view=drafts")
    assert number not in partner.get(f"{HELP}/referrals?view=new")
    page = city.get(f"{CITY}/referrals/{number}")
    assert "Nothing has gone out" in page
    assert "Discard the draft" in page
    page = page.click("Finish or change it")
    form = next(
        f for f in page.forms.values() if f.method.upper() == "POST" and "form_key" in f.fields
    )
    if "consent" in form.fields:
        form["consent"] = "given"
    assert f"Referred: {number}" in form.submit().follow()
    assert number in partner.get(f"{HELP}/referrals?view=new")
