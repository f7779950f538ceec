"""By what somebody hears of their accommodation: a text that says nothing of it, or a letter."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update

from regional311.database.session import Scope, session_scope
from regional311.notices.models import OutboxMessage
from regional311.notices.segments import segments
from regional311.settings import Settings
from tests.web.conftest import SECRET

SLUG = "city-of-portland"
CITY = f"/{SLUG}"
NUMBER, E164 = "(503) 555-3177", "+15035553177"


@pytest.fixture(scope="module")
def configured(tmp_path_factory) -> Settings:
    """With a provider of texts, which is never asked here."""
    return Settings(
        var=Path(tmp_path_factory.mktemp("var")),
        secret=SECRET,
        url="http://localhost",
        text_url="http://127.0.0.1:9/texts",
        text_key="key",
        text_secret="whsec_" + "c2VjcmV0" * 4,
    )


@pytest.fixture(autouse=True)
def office_hours(clock):
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture
def coordinator(sign_in):
    return sign_in("coordinator", SLUG)


@pytest.fixture
def written(web_engine, people):
    """What was written to an address, in order."""

    def find(recipient):
        with session_scope(web_engine, Scope(people.tenants[SLUG])) as session:
            return session.execute(
                select(OutboxMessage.__table__)
                .where(OutboxMessage.recipient == recipient)
                .order_by(OutboxMessage.id)
            ).all()

    return find


def fill(page, **more):
    form = page.forms["accommodation"]
    form["owner"], form["sort"], form["kind"] = f"{SLUG}/pbot", "request", "sign_language"
    form["details"] = "I cannot hear the hearing; my name is Zephyrine"
    for name, value in more.items():
        form[name] = value
    return form


def ask(browser, language="en", **more):
    page = browser.get(f"/accommodation?lang={language}")
    return fill(page, **more).submit("submit").follow()


def number_in(page) -> str:
    return re.search(r"A-[0-9A-Z]{5}-[0-9A-Z]{5}", page.text).group()


def decide(browser, number, outcome="denied", words="There is none on that day."):
    form = browser.get(f"{CITY}/accommodations/{number}").forms["decide"]
    form["outcome"], form["words"] = outcome, words
    return form.submit("submit").follow()


def test_who_leaves_only_a_number_hears_by_text_and_reads_nothing_of_it_there(
    testapp, coordinator, written
):
    mine = ask(testapp, "es", phone=NUMBER)
    number, at = number_in(mine), f"{CITY}/accommodations/"
    form = coordinator.get(at + number).forms["acknowledge"]
    form["words"] = "We look for an interpreter."
    form.submit("submit")
    decide(coordinator, number)
    first, last = written(E164)
    assert [first.event, last.event] == ["accommodation_acknowledged", "accommodation_decided"]
    assert {each.channel for each in (first, last)} == {"text"}
    for each in (first, last):
        assert number in each.body
        assert each.language == "es"
        assert segments(each.body) <= 2
        assert not re.search(
            "interpret|intérpret|denied|granted|none on|accommodat|accesib|Zephyrine", each.body
        )
    assert "12 de diciembre de 2026" in last.body
    link = re.search(r"http://localhost(/a/\S+)", last.body)[1]
    page = testapp.get(link)
    assert "There is none on that day." in page
    form = page.forms["appeal"]
    form["words"] = "I cannot take part."
    assert form.submit("submit").follow().request.path == link


def test_a_letter_on_paper_says_all_of_it_and_waits_until_it_is_posted(
    testapp, coordinator, written, sign_in
):
    address = "PO Box 7\nPortland OR 97201"
    mine = ask(testapp, "es", updates_by="post", address=address, name="Ines")
    number = number_in(mine)
    decide(coordinator, number)
    listed = coordinator.get(f"{CITY}/accommodations")
    assert number in listed.html.select_one(".usa-alert").get_text()
    page = coordinator.get(f"{CITY}/accommodations/{number}")
    letter = page.click("Letter of", href="letter")
    paper = letter.html.select_one("article.d-letter")
    assert paper["lang"] == "es"
    said = paper.get_text()
    for words in ("Ines", "PO Box 7", "No concedido", "There is none on that day.", "12 de dic"):
        assert words in said
    assert "Puede pedir a la coordinación" in said
    posted = next(f for f in letter.forms.values() if f.action.endswith("/posted"))
    sent = {"csrf_token": posted["csrf_token"].value}
    file = [("letter", "letter.pdf", b"%PDF-1.7")]
    coordinator.post(posted.action, sent, upload_files=file, status=404)
    page = posted.submit().follow()
    assert "in the post since" in page
    posted.submit().follow()
    assert number not in str(coordinator.get(f"{CITY}/accommodations").html.select(".usa-alert"))
    (row,) = written(f"Ines\n{address.replace(chr(10), chr(13) + chr(10))}") or written(
        f"Ines\n{address}"
    )
    assert (row.state, row.channel) == ("sent", "post")
    # what it says is for the coordinator, here and among the messages
    admin = sign_in("administrator", SLUG)
    admin.get(f"{CITY}/accommodations/{number}/letter?letter={row.id}", status=404)
    assert "PO Box" not in admin.get(f"{CITY}/messages/{row.id}")
    other = number_in(ask(testapp))
    coordinator.get(f"{CITY}/accommodations/{other}/letter?letter={row.id}", status=404)
    token = posted["csrf_token"].value
    coordinator.post(
        f"{CITY}/accommodations/{other}/posted",
        {"letter": str(row.id), "csrf_token": token},
        status=404,
    )


def test_a_letter_in_the_post_is_kept_as_sent_though_it_was_taken_back_meanwhile(
    testapp, coordinator, written, web_engine, people
):
    number = number_in(ask(testapp, updates_by="post", address="PO Box 8", name="Ida"))
    decide(coordinator, number)
    page = coordinator.get(f"{CITY}/accommodations/{number}").click("Letter of", href="letter")
    (row,) = written("Ida\nPO Box 8")
    with session_scope(web_engine, Scope(people.tenants[SLUG])) as session:
        session.execute(
            update(OutboxMessage).where(OutboxMessage.id == row.id).values(state="withdrawn")
        )
        session.flush()
    next(f for f in page.forms.values() if f.action.endswith("/posted")).submit().follow()
    assert [each.state for each in written("Ida\nPO Box 8")] == ["sent"]


def test_the_coordinator_is_told_when_nothing_is_sent(testapp, coordinator, written):
    number = number_in(ask(testapp, phone=NUMBER, updates_by="none"))
    before = len(written(E164))
    page = decide(coordinator, number)
    assert "Nothing is sent to the person" in page
    assert len(written(E164)) == before


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({"updates_by": "text", "phone": "503-823"}, "Give a mobile number of this country"),
        ({"updates_by": "post"}, "Give a postal address"),
        ({"updates_by": "email"}, "Give an e-mail address"),
        (
            {"updates_by": "text", "phone": NUMBER, "owner": "multnomah-county/"},
            "This office sends no texts",
        ),
    ],
)
def test_a_way_that_leads_nowhere_is_said_at_once(testapp, left, said):
    refused = fill(testapp.get("/accommodation"), **left).submit("submit", status=400)
    assert said in refused
    assert "Zephyrine" in refused.forms["accommodation"]["details"].value
