"""The receiving side through its pages: worklist, room, policies, questions, and links."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import text, update
from webtest import TestApp

from regional311.database.ids import new_token
from regional311.database.session import Scope, session_scope
from regional311.identity.attempts import MOST
from regional311.identity.expiring_links import Expiring, make_token, read_token
from regional311.notices.models import OutboxMessage
from regional311.referral.acceptance import Acceptance, Eligibility
from regional311.referral.filing import Asker, Intake, take_in
from regional311.referral.models import AcceptancePolicy, Capacity
from regional311.referral.policies import write_policy
from regional311.referral.snapshot import invalidate, published
from regional311.web.answer_links import PURPOSE
from tests.web.conftest import SECRET

pytestmark = pytest.mark.commits

CITY, HELP, COUNTY = "/city-of-portland", "/211info", "/multnomah-county"
VIEWS = (
    "mine",
    "overdue",
    "ageing",
    "work",
    "asked",
    "on_hold",
    "waitlist",
    "questions",
    "sent",
    "closed",
)
PLACE = "shelter"
"""The service of 211info that is asked for."""


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland: 211's rule of nights does not hold."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture
def inside(web_engine, people):
    """A session of a partner, to arrange things."""

    def enter(slug):
        return session_scope(web_engine, Scope(people.tenants[slug]))

    return enter


@pytest.fixture
def policy(inside, clock):
    """Let 211info have one policy for a test, and none after it."""
    made = []

    def write(**more):
        key = f"trial-{new_token()[:6].lower()}".replace("_", "x").replace("-", "y")
        found = Acceptance(**({"key": key, "name": "Trial", "services": (PLACE,)} | more))
        with inside("211info") as session:
            made.append(write_policy(session, found, None, now=clock.now))
        invalidate()
        return found

    yield write
    with inside("211info") as session:
        for row_id in made:
            session.execute(
                update(AcceptancePolicy)
                .where(AcceptancePolicy.id == row_id)
                .values(ended_on=clock.now.date())
            )
    invalidate()


@pytest.fixture
def sent(web_engine, people, clock):
    """Refer somebody who needs shelter to 211info, as the desk does."""

    def refer(**more):
        invalidate()
        person = people.known[people.account("city-of-portland", "specialist")]
        given = {
            "source": "desk",
            "key": new_token(),
            "channel": "phone",
            "started_at": clock.now,
            "service": f"211info/{PLACE}",
            "description": "sleeps in a car",
            "asker": Asker(name="Dana Reed", phone="503 555 0101", safe_to_call=True),
            "danger_answer": "none",
            "consent": "given",
        }
        scope = Scope(people.tenants["city-of-portland"], person)

        def link(tenant_id, referral_id, expires_at):
            token = make_token(SECRET, PURPOSE, Expiring(tenant_id, referral_id, expires_at))
            return f"https://example.org/answer/{token}"

        with session_scope(web_engine, scope) as session:
            return take_in(
                session,
                published(web_engine),
                Intake(**(given | more)),
                now=clock.now,
                link=link,
            )

    return refer


@pytest.fixture
def partner(sign_in):
    return sign_in("partner", "211info")


def press(page, end, **fields):
    form = next(f for f in page.forms.values() if f.action.endswith(end))
    for name, value in fields.items():
        form[name] = value
    return form.submit().follow()


# --- the worklist ---------------------------------------------------------------------------------


def test_each_part_of_the_worklist_says_how_much_waits(partner, sent):
    answer = sent()
    page = partner.get(f"{HELP}/referrals")
    assert re.search(r"New \(\d+\)", page.text)
    assert answer.referral_public_id in page
    for view in [
        "mine",
        "overdue",
        "ageing",
        "work",
        "asked",
        "on_hold",
        "waitlist",
        "questions",
        "sent",
        "closed",
    ]:
        assert partner.get(f"{HELP}/referrals?view={view}").status_int == 200
    for sort in ("sent", "-sent", "due", "-due"):
        assert answer.referral_public_id in partner.get(f"{HELP}/referrals?sort={sort}")
    assert answer.referral_public_id in partner.get(f"{HELP}/referrals?partner=city-of-portland")
    assert answer.referral_public_id not in partner.get(
        f"{HELP}/referrals?partner=multnomah-county"
    )


def test_several_are_taken_at_once_and_those_that_cannot_be_are_named(partner, sent):
    numbers = [sent().referral_public_id for _ in range(2)]
    press(partner.get(f"{HELP}/referrals/{numbers[0]}"), "/accept")
    page = partner.get(f"{HELP}/referrals")
    form = page.forms["bulk"]
    values = {"csrf_token": form["csrf_token"].value, "view": "new", "step": "accept"}
    done = partner.post(
        f"{HELP}/referrals/bulk", [*values.items(), *(("number", each) for each in numbers)]
    ).follow()
    assert "Done: 1." in done
    assert f"Not possible as they are now: {numbers[0]}" in done
    assert numbers[1] in partner.get(f"{HELP}/referrals?view=mine")
    for wrong in ({"step": "erase"}, {}):
        partner.post(f"{HELP}/referrals/bulk", values | wrong, status=400)


def test_claim_and_give_back(partner, sent):
    number = sent().referral_public_id
    page = press(partner.get(f"{HELP}/referrals/{number}"), "/claim")
    assert "It is yours now" in page
    assert number in partner.get(f"{HELP}/referrals?view=mine")
    page = press(page, "/unclaim")
    assert number not in partner.get(f"{HELP}/referrals?view=mine")


def test_a_question_goes_there_and_back(partner, sign_in, sent):
    number = sent().referral_public_id
    path = f"{HELP}/referrals/{number}"
    page = press(partner.get(path), "/ask", body="Since when, and how many of you?")
    assert "Since when" in page
    assert number in partner.get(f"{HELP}/referrals?view=asked")
    city = sign_in("specialist", "city-of-portland")
    assert number in city.get(f"{CITY}/referrals?view=questions")
    mine = city.get(f"{CITY}/referrals/{number}")
    assert "Since when" in mine
    page = press(mine, "/reply", body="Two nights, three people.")
    assert "Two nights" in partner.get(path)
    assert number in partner.get(f"{HELP}/referrals")
    assert not any(form.action.endswith("/reply") for form in page.forms.values())


def test_own_words_are_kept_in_a_form_and_seen_by_the_sender(partner, sign_in, sent):
    administrator = sign_in("administrator", "211info")
    page = administrator.get(f"{HELP}/receiving/words")
    form = page.forms["word"]
    form["name"] = "Intake interview booked"
    form["state"] = "in_progress"
    page = form.submit("submit").follow()
    assert "Intake interview booked" in page
    invalidate()
    number = sent().referral_public_id
    page = press(partner.get(f"{HELP}/referrals/{number}"), "/accept")
    page = press(page, "/word", word="intake-interview-booked")
    assert "In progress" in page
    city = sign_in("specialist", "city-of-portland")
    assert "Intake interview booked" in city.get(f"{CITY}/referrals/{number}")
    page = administrator.get(f"{HELP}/receiving/words")
    form = next(
        f for f in page.forms.values() if "word" in f.fields and f.action.endswith("/words")
    )
    assert "ended" in form.submit().follow()


def test_the_last_step_is_taken_back(partner, sent):
    page = partner.get(f"{HELP}/referrals/{sent().referral_public_id}")
    page = press(page, "/accept")
    assert "can be taken back" in page
    page = press(page, "/undo")
    assert "Accept it" in page
    assert "Last step taken back" in page


def test_the_waitlist_in_order(partner, sign_in, sent):
    numbers = [sent().referral_public_id for _ in range(2)]
    for number in numbers:
        press(partner.get(f"{HELP}/referrals/{number}"), "/waitlist")
    page = partner.get(f"{HELP}/referrals/waitlist")
    assert page.text.index(numbers[0]) < page.text.index(numbers[1])
    assert "cannot be said" in page
    press(page, f"{numbers[1]}/move-up")
    page = partner.get(f"{HELP}/referrals/waitlist")
    assert page.text.index(numbers[1]) < page.text.index(numbers[0])
    city = sign_in("specialist", "city-of-portland")
    assert "Number 2." in city.get(f"{CITY}/referrals/{numbers[0]}")
    press(page, f"{numbers[1]}/offer-place")
    assert "A place is offered" in city.get(f"{CITY}/referrals/{numbers[1]}")
    assert "Number 1." in city.get(f"{CITY}/referrals/{numbers[0]}")
    press(partner.get(f"{HELP}/referrals/waitlist"), f"{numbers[1]}/progress")
    assert numbers[1] not in partner.get(f"{HELP}/referrals/waitlist")


def open_contact(browser) -> str:
    page = browser.get(f"{CITY}/desk")
    form = next(f for f in page.forms.values() if "channel" in f.fields)
    page = form.submit()
    page = page.follow() if page.status_int in (302, 303) else page
    danger = next(f for f in page.forms.values() if f.action.endswith("/danger"))
    danger["answer"] = "none"
    danger.submit().follow()
    return page.request.path


# --- policies -------------------------------------------------------------------------------------


def test_a_policy_is_written_changed_ended_and_brought_back(sign_in):
    administrator = sign_in("administrator", "211info")
    form = administrator.get(f"{HELP}/receiving/new").forms["acceptance"]
    form["name"] = "Beds at night"
    form["mode"] = "ask"
    form["hours"] = "mon-fri 8-17"
    form["questions"] = "Is there a child under 18? yes: only families\nNot a question"
    answer = form.submit("submit", status=400)
    assert "question mark" in answer
    form = answer.forms["acceptance"]
    form["questions"] = "Is there a child under 18? yes: only families"
    form["notify"] = "not an address"
    answer = form.submit("submit", status=400)
    assert "is not an e-mail address" in answer
    form = answer.forms["acceptance"]
    form["notify"] = "desk@help.example"
    page = form.submit("submit").follow()
    assert "Beds at night" in page
    page = administrator.get(f"{HELP}/receiving/beds-at-night")
    form = page.forms["acceptance"]
    assert form["questions"].value == "Is there a child under 18? yes: only families"
    assert form["hours"].value == "mon-fri 08:00-17:00"
    form["mode"] = "closed"
    form["notify"] = ""
    form.submit("submit").follow()
    # who opened it before that change does not undo it unseen
    form["mode"] = "accept"
    assert "Somebody else saved first" in form.submit("submit", status=409)
    page = press(administrator.get(f"{HELP}/receiving/beds-at-night"), "/end")
    assert "Ended" in page
    page = press(administrator.get(f"{HELP}/receiving/beds-at-night"), "/restore")
    press(administrator.get(f"{HELP}/receiving/beds-at-night"), "/end")
    read = sign_in("partner", "211info").get(f"{HELP}/receiving/beds-at-night")
    assert "Nothing is taken" in read
    assert "acceptance" not in read.forms
    invalidate()


def test_the_desk_sees_a_refusal_and_files_nothing(sign_in, policy):
    policy(
        question=(Eligibility(key="child", ask="Is there a child?", why="only families"),),
        message="Ring the night desk first.",
    )
    city = sign_in("specialist", "city-of-portland")
    contact = open_contact(city)
    page = city.get(f"{contact}?service=211info/{PLACE}")
    form = page.forms["need"]
    fields = [
        (name, value)
        for name, value in form.submit_fields()
        if name not in ("preview", "walk", "consent")
    ]
    fields = [
        (name, "2" if name.endswith("people") and not value else value) for name, value in fields
    ]
    page = city.post(f"{contact}/preview", fields)
    assert "They ask first: Is there a child?" in page
    assert "Ring the night desk first." in page
    refused = city.post(
        f"{contact}/need", [*fields, ("meets-child", "no"), ("consent", "given")], status=400
    )
    assert "only families" in refused
    asked = city.post(
        f"{contact}/preview",
        [*fields, ("meets-child", "no")],
        headers={"HX-Request": "true"},
    )
    assert "Promise nothing yet" in asked
    assert 'value="no" form="need" checked' in asked
    filed = city.post(f"{contact}/need", [*fields, ("meets-child", "yes"), ("consent", "given")])
    assert "Referred to 211info" in filed


# --- the link without an account ------------------------------------------------------------------


@pytest.fixture
def letter(inside, policy, sent):
    """A referral with the link that was written about it."""

    def write():
        policy(notify=("desk@help.example",))
        answer = sent()
        with inside("211info") as session:
            body = (
                session.query(OutboxMessage)
                .filter(OutboxMessage.subject_id == answer.referral_id)
                .one()
                .body
            )
        return answer, re.search(r"https://example\.org(/answer/\S+)", body)[1]

    return write


def test_a_link_shows_what_was_shared_and_looking_changes_nothing(letter, testapp, inside):
    answer, path = letter()
    for _ in range(3):
        page = testapp.get(path)
        for shared in ("Dana Reed", "503 555 0101", "sleeps in a car"):
            assert shared in page
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in page.headers["Cache-Control"]
    with inside("211info") as session:
        row = session.execute(
            text("SELECT state, received_at, version FROM referrals WHERE id = :id"),
            {"id": answer.referral_id},
        ).one()
    assert tuple(row) == ("requested", None, 1)


def test_a_link_declines_once_and_says_so_afterwards(letter, testapp, sign_in):
    answer, path = letter()
    form = testapp.get(path).forms["decline"]
    assert "Fill this in" in form.submit("submit", status=400)
    form["reason"] = "not_eligible"
    page = form.submit("submit")
    assert "Declined" in page
    assert "Dana Reed" not in page
    assert "answered already" in testapp.get(path)
    again = form.submit("submit", status=409)
    assert "answered already" in again
    city = sign_in("specialist", "city-of-portland")
    mine = city.get(f"{CITY}/referrals/{answer.referral_public_id}")
    assert "Rejected" in mine
    assert "Not eligible" in mine
    assert "Refer the person to somebody else" not in mine
    refer = mine.click("Refer again")
    form = next(each for each in refer.forms.values() if "service" in each.fields)
    form["service"] = form["service"].options[1][0]
    assert "Read out" in form.submit()


def test_a_link_accepts(letter, testapp, partner):
    answer, path = letter()
    assert "Accepted" in testapp.get(path).forms["accept"].submit("submit")
    page = partner.get(f"{HELP}/referrals/{answer.referral_public_id}")
    assert "Answered by the link in the message" in page


def test_a_link_asks_and_still_answers(letter, testapp, sign_in):
    answer, path = letter()
    form = testapp.get(path).forms["ask"]
    assert "Fill this in" in form.submit("submit", status=400)
    form["body"] = "Is there a dog?"
    page = form.submit("submit")
    assert "this link still answers" in page
    assert "The sender has not answered yet" in page
    city = sign_in("specialist", "city-of-portland")
    mine = city.get(f"{CITY}/referrals/{answer.referral_public_id}")
    assert "Is there a dog?" in press(mine, "/reply", body="A small one.")
    page = testapp.get(path)
    assert "A small one." in page
    assert "Accepted" in page.forms["accept"].submit("submit")
    assert "A small one." not in testapp.get(path)
    form["body"] = "And a cat?"
    assert "answered already" in form.submit("submit", status=409)


def test_a_link_expires_kindly(letter, testapp, clock):
    _answer, path = letter()
    form = testapp.get(path).forms["accept"]
    clock.advance(days=15)
    page = testapp.get(path)
    assert "has expired" in page
    assert "Dana Reed" not in page
    assert "has expired" in form.submit("submit", status=409)


def test_answering_needs_the_forms_secret(letter, application):
    _answer, path = letter()
    assert TestApp(application).post(f"{path}/accept", status=400)


def test_forged_links_lead_nowhere_and_not_for_long(letter, application, clock):
    _answer, path = letter()
    token = path.rpartition("/")[2]
    assert read_token("another secret", PURPOSE, token) is None
    stranger = TestApp(application, extra_environ={"REMOTE_ADDR": "203.0.113.9"})
    wrong = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    for each in (wrong, "x", "x" * 76):
        stranger.get(f"/answer/{each}", status=404)
    for _ in range(MOST["answer-link"]):
        stranger.get(f"/answer/{wrong}", status="*")
    assert "Wait 15 minutes" in stranger.get(path, status=429)
    clock.advance(minutes=16)
    assert "Dana Reed" in stranger.get(path)


# --- statements -----------------------------------------------------------------------------------


def test_statements_stay_flat_however_much_waits(partner, sent, statements, letter, testapp):
    numbers = [sent().referral_public_id for _ in range(3)]
    found = {}
    addresses = [
        (f"{HELP}/referrals", 8),
        (f"{HELP}/referrals?view=mine", 8),
        (f"{HELP}/referrals?view=ageing&sort=finish", 8),
        (f"{HELP}/referrals/waitlist", 8),
        (f"{HELP}/referrals/room?service={PLACE}", 8),
        (f"{HELP}/receiving", 8),
        (f"{HELP}/referrals/{numbers[0]}", 10),
    ]

    def fewest(address):
        # now and then a page also asks whether anything was published, or a connection is new
        numbers = []
        for _ in range(4):
            statements.clear()
            partner.get(address)
            numbers.append(len(statements))
        return min(numbers)

    for address, limit in addresses:
        found[address] = fewest(address)
        assert found[address] <= limit, (address, statements)
    for _ in range(10):
        sent()
    for address, _limit in addresses:
        assert fewest(address) == found[address], (address, statements)
    _answer, path = letter()
    statements.clear()
    testapp.get(path)
    assert len(statements) <= 6, statements


# --- room, last: it counts for every referral -----------------------------------------------------


def test_room_is_said_in_two_clicks_seen_by_senders_and_forgotten(
    partner, sign_in, clock, inside, policy
):
    policy()
    page = partner.get(f"{HELP}/referrals")
    assert "Our room" in page
    form = next(f for f in page.forms.values() if f.action.endswith("/room-now"))
    page = form.submit("state", value="none").follow()
    assert "No room" in page
    invalidate()
    city = sign_in("specialist", "city-of-portland")
    contact = open_contact(city)
    hits = city.get(f"{contact}/services?q=shelter+tonight")
    assert "No room" in hits
    clock.advance(hours=25)
    late = sign_in("partner", "211info").get(f"{HELP}/referrals")
    assert "Say it again" in late
    clock.advance(hours=-25)
    detail = partner.get(f"{HELP}/referrals/room?service={PLACE}")
    form = detail.forms["room"]
    form["state"] = "has"
    form["places"] = "4"
    form["note"] = "only families"
    form["until"] = "2026-10-14T09:00"
    form.submit("submit").follow()
    detail = partner.get(f"{HELP}/referrals/room?service={PLACE}")
    assert "4 places" in detail
    assert "only families" in detail
    form = detail.forms["room"]
    form["until"] = "2026-10-01T09:00"
    form["state"] = "none"
    assert "later than now" in form.submit("submit", status=400)
    with inside("211info") as session:
        assert session.query(Capacity).filter(Capacity.service_key == PLACE).count() == 2
