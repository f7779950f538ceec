"""Referrals: exactly what was shared, answered by the receiver, seen at once by the sender."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from regional311.database.ids import new_token
from regional311.database.session import Scope, session_scope
from regional311.intake.added_files import keyed
from regional311.intake.attachments import SENT
from regional311.intake.uploads import upload
from regional311.referral.consents import revoke_consent
from regional311.referral.filing import Asker, Intake, take_in
from regional311.referral.models import Referral
from regional311.referral.snapshot import published
from regional311.web.telling import Telling
from tests.intake.pictures_sent import JPEG

CITY, HELP = "/city-of-portland", "/211info"


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland: 211's rule of nights does not hold."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture
def sent(web_engine, people, clock):
    """Refer somebody who needs shelter to 211info, as the desk does."""

    def refer(**more):
        person = people.known[people.account("city-of-portland", "specialist")]
        given = {"consent": "given"} | more
        intake = Intake(
            source="desk",
            key=new_token(),
            channel="phone",
            started_at=clock.now,
            service="211info/shelter",
            description="sleeps in a car",
            asker=Asker(name="Dana Reed", phone="503 555 0101", safe_to_call=True),
            danger_answer="none",
            note="caller cried",
            **given,
        )
        scope = Scope(people.tenants["city-of-portland"], person)
        with session_scope(web_engine, scope) as session:
            return take_in(session, published(web_engine), intake, now=clock.now)

    return refer


@pytest.fixture
def partner(sign_in):
    return sign_in("partner", "211info")


def press(page, end):
    form = next(f for f in page.forms.values() if f.action.endswith(end))
    return form.submit().follow()


def test_the_receiver_accepts_and_completes_and_the_sender_sees_it(partner, sign_in, sent):
    answer = sent()
    number = answer.referral_public_id
    page = partner.get(f"{HELP}/referrals").click(number)
    for shared in ("Dana Reed", "503 555 0101", "sleeps in a car", "City of Portland"):
        assert shared in page
    assert "caller cried" not in page
    page = press(page, "/accept")
    assert number in partner.get(f"{HELP}/referrals?view=mine")
    assert number not in partner.get(f"{HELP}/referrals")
    page = press(page, "/progress")
    form = page.forms["complete"]
    form["outcome"] = "met"
    form["note"] = "bed 4 at the annex"
    page = form.submit("submit").follow()
    assert "The need is met" in page
    assert "bed 4 at the annex" in page

    city = sign_in("specialist", "city-of-portland")
    contact = city.get(f"{CITY}/contacts/{answer.contact_public_id}")
    assert "Completed" in contact
    assert "The need is met" in contact
    mine = city.get(f"{CITY}/referrals?view=sent").click(number)
    assert "Agreed to" in mine
    assert "bed 4" not in mine


def test_without_consent_nothing_personal_crosses(partner, sent):
    answer = sent(consent="refused")
    page = partner.get(f"{HELP}/referrals/{answer.referral_public_id}", status="*")
    assert "Dana Reed" not in page


def test_the_sender_sees_of_the_photos_besides_those_that_crossed(
    partner, sign_in, sent, web_engine, people, clock
):
    photo = keyed(upload("", "car.jpg", JPEG), SENT)
    agreed, refused = sent(files=(photo,)), sent(files=(photo,), consent="refused")
    specialist = sign_in("specialist", "city-of-portland")
    file = f"file?question={photo.question}"

    def neither_has_it(answer):
        for browser, slug in ((specialist, CITY), (partner, HELP)):
            at = f"{slug}/referrals/{answer.referral_public_id}"
            assert "car.jpg" not in browser.get(at)
            browser.get(f"{at}/{file}", status=404)

    neither_has_it(refused)
    for browser, slug in ((specialist, CITY), (partner, HELP)):
        page = browser.get(f"{slug}/referrals/{agreed.referral_public_id}")
        assert page.click("^car.jpg$").body == photo.content
    with session_scope(web_engine, Scope(people.tenants["city-of-portland"])) as session:
        consent_id = session.execute(
            select(Referral.consent_id).where(Referral.id == agreed.referral_id)
        ).scalar_one()
        revoke_consent(session, now=clock.now, consent_id=consent_id)
    neither_has_it(agreed)


def test_rejecting_needs_a_reason(partner, sign_in, sent):
    answer = sent()
    path = f"{HELP}/referrals/{answer.referral_public_id}"
    form = partner.get(path).forms["reject"]
    assert "Fill this in" in form.submit("submit", status=400)
    form["reason"] = "no_capacity"
    page = form.submit("submit").follow()
    assert "No capacity" in page
    city = sign_in("specialist", "city-of-portland")
    contact = city.get(f"{CITY}/contacts/{answer.contact_public_id}")
    assert "Rejected" in contact


def test_another_reason_is_said_in_words_that_the_sender_reads(partner, sign_in, sent):
    number = sent().referral_public_id
    form = partner.get(f"{HELP}/referrals/{number}").forms["reject"]
    form["reason"] = "other"
    again = form.submit("submit", status=400)
    assert "Say in your own words why" in again
    form = again.forms["reject"]
    form["words"] = "The house is being rebuilt"
    page = form.submit("submit").follow()
    assert "The house is being rebuilt" in page
    city = sign_in("specialist", "city-of-portland")
    theirs = city.get(f"{CITY}/referrals/{number}")
    assert "The house is being rebuilt" in theirs
    assert "Another reason" in theirs


def test_the_sender_says_that_it_was_entered_in_error_even_after_it_ended(partner, sign_in, sent):
    number = sent().referral_public_id
    page = partner.get(f"{HELP}/referrals/{number}")
    assert "in-error" not in page.forms
    form = page.forms["reject"]
    form["reason"] = "no_capacity"
    form.submit("submit")
    city = sign_in("specialist", "city-of-portland")
    form = city.get(f"{CITY}/referrals/{number}").forms["in-error"]
    assert "Entered in error" in form.submit("submit").follow()
    page = partner.get(f"{HELP}/referrals/{number}")
    assert "Entered in error" in page
    assert "reject" not in page.forms


def test_on_hold_and_on_again(partner, sent):
    page = partner.get(f"{HELP}/referrals/{sent().referral_public_id}")
    page = press(page, "/accept")
    form = page.forms["hold"]
    form["reason"] = "waitlist"
    page = form.submit("submit").follow()
    assert "On hold" in page
    assert "In progress" in press(page, "/progress")


def test_the_sender_cancels(sign_in, sent):
    answer = sent()
    city = sign_in("specialist", "city-of-portland")
    page = city.get(f"{CITY}/referrals/{answer.referral_public_id}")
    assert "accept" not in page.forms
    form = page.forms["cancel"]
    form["reason"] = "sender_withdrew"
    assert "Cancelled" in form.submit("submit").follow()


def test_overdue_after_the_days_for_an_answer(sign_in, sent, clock):
    number = sent().referral_public_id
    clock.advance(days=10)
    late = sign_in("partner", "211info")
    assert number in late.get(f"{HELP}/referrals?view=overdue")
    assert "overdue" in late.get(f"{HELP}/referrals/{number}")


def test_a_stale_form_shows_both_versions(partner, sent):
    page = partner.get(f"{HELP}/referrals/{sent().referral_public_id}")
    press(page, "/accept")
    answer = next(f for f in page.forms.values() if f.action.endswith("/accept")).submit(status=409)
    assert "Somebody else" in answer


def test_statements_of_the_pages(partner, sign_in, sent, statements):
    answer = sent()
    city = sign_in("specialist", "city-of-portland")
    for browser, address, limit in (
        (partner, f"{HELP}/referrals", 8),
        (partner, f"{HELP}/referrals?view=mine", 8),
        (partner, f"{HELP}/referrals/{answer.referral_public_id}", 10),
        (city, f"{CITY}/referrals?view=sent", 8),
        (city, f"{CITY}/referrals/{answer.referral_public_id}", 10),
        (city, f"{CITY}/contacts/{answer.contact_public_id}", 10),
    ):
        browser.get(address)
        statements.clear()
        browser.get(address)
        assert len(statements) <= limit, (address, statements)


def test_the_export(partner, sent):
    number = sent().referral_public_id
    export = partner.get(f"{HELP}/referrals?format=csv")
    assert number in export
    assert "Dana" not in export


def test_who_is_not_cleared_sees_their_own_confidential_referrals_only(
    sign_in, people, sent, monkeypatch
):
    secret = (people.tenants["211info"], "shelter")
    monkeypatch.setattr(Telling, "confidential_services", frozenset({secret}))
    number = sent().referral_public_id
    mine = sign_in("specialist", "city-of-portland")
    assert "Dana Reed" in mine.get(f"{CITY}/referrals/{number}")
    assert number in mine.get(f"{CITY}/referrals?view=sent")
    assert number in mine.get(f"{CITY}/referrals?view=sent&format=csv")
    people.make("other@specialists.example", {"city-of-portland": ("specialist",)})
    other = sign_in("city-of-portland", email="other@specialists.example")
    other.get(f"{CITY}/referrals/{number}", status=404)
    assert number not in other.get(f"{CITY}/referrals?view=sent")
    assert number not in other.get(f"{CITY}/referrals?view=sent&format=csv")
    cleared = sign_in("supervisor", "city-of-portland")
    assert number in cleared.get(f"{CITY}/referrals?view=sent")
    cleared.get(f"{CITY}/referrals/{number}")
    # whoever received it works it, confidential or not
    assert number in sign_in("partner", "211info").get(f"{HELP}/referrals")
