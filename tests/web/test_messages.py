"""Messages that were sent: word for word, for who may read them; dead ones are handled."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.inbox.receiving import Incoming, receive
from regional311.notices.models import OutboxMessage
from regional311.referral.snapshot import published
from regional311.web.message_wording import EVENTS, without_keys

pytestmark = pytest.mark.commits

CITY, COUNTY = "city-of-portland", "multnomah-county"
HERE = f"/{CITY}/messages"
REASON = "The mail server refused the recipient (550)."


@pytest.fixture(autouse=True)
def monday(clock):
    clock.now = datetime(2026, 10, 5, 18, tzinfo=UTC)


@pytest.fixture
def write(web_engine, people, clock):
    """`write(state="dead")`: a message of the City to an address of its own; gives its id."""

    def made(**said):
        message_id = new_id()
        given = {
            "event": "request_status",
            "recipient": f"{message_id}@example.org",
            "heading": "News on your request",
            "body": "It is fixed.\n\nhttps://311.example/track/abcdefghijklmnopqrstuvwx\n",
            "created_at": clock.now,
            "due_at": clock.now,
        } | said
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            put(session, OutboxMessage(tenant_id=people.tenants[CITY], id=message_id, **given))
        return message_id

    return made


@pytest.fixture
def admin(sign_in):
    return sign_in("administrator", CITY)


def state_of(engine, people, message_id):
    with session_scope(engine, Scope(people.tenants[CITY])) as session:
        return session.execute(
            text("SELECT state, attempts, sendings FROM outbox_messages WHERE id = :id"),
            {"id": message_id},
        ).one()


def press(page, end):
    return next(form for form in page.forms.values() if form.action.endswith(end)).submit().follow()


def test_every_event_has_a_name():
    from regional311.notices.service import TEXTS

    assert set(TEXTS) <= set(EVENTS)


def test_a_message_is_shown_word_for_word_but_its_links_stay_the_persons(admin, write):
    sent = write(state="sent", sent_at=datetime(2026, 10, 5, 17, tzinfo=UTC))
    more = write(state="sent", sent_body="It is fixed.\n\nThe library is closed.\n")
    page = admin.get(f"{HERE}?state=sent").click(href=str(sent))
    assert "It is fixed." in page
    assert f"{sent}@example.org" in page
    assert "/track/abcd…" in page
    assert "abcdefghijklmnopqrstuvwx" not in page
    assert "The library is closed." in admin.get(f"{HERE}/{more}")


def test_lists_are_filtered_sorted_and_exported(admin, write):
    ids = [write(event=event) for event in ("request_closed", "request_status", "request_closed")]
    text_one = write(event="text_help", channel="text", recipient="+15035550123", heading="")
    page = admin.get(f"{HERE}?event=request_closed")
    assert str(ids[0]) in page
    assert str(ids[1]) not in page
    assert "(503) 555-0123" in admin.get(f"{HERE}?channel=text")
    for spelled in ("%2B15035550123", "503-555-0123", "(503)+555+0123"):
        assert str(text_one) in admin.get(f"{HERE}?to={spelled}")
    found = admin.get(f"{HERE}?to={ids[1]}@EXAMPLE.org")
    assert str(ids[1]) in found
    assert str(ids[0]) not in found
    by_event = admin.get(f"{HERE}?sort=event").text
    assert by_event.index(str(ids[0])) < by_event.index(str(ids[1])) < by_event.index(str(text_one))
    rows = list(
        csv.DictReader(io.StringIO(admin.get(f"{HERE}?event=request_closed&format=csv").text))
    )
    assert [rows[0]["id"], rows[1]["id"]] == [str(ids[2]), str(ids[0])]
    assert rows[0]["text"] == "It is fixed.\n\nhttps://311.example/track/abcd…\n"
    assert "written about this" in admin.get(f"{HERE}?about=nonsense")
    assert admin.get(f"{HERE}?after=nonsense&sort=nonsense").status_int == 200


@pytest.mark.parametrize("sort", ["written", "-written", "event", "-attempts", "state"])
def test_pages_go_on_where_the_last_one_ended(admin, write, sort):
    ids = {str(write(event="me_too_status", attempts=number % 3)) for number in range(60)}
    seen: list[str] = []
    page = admin.get(f"{HERE}?event=me_too_status&sort={sort}")
    while True:
        seen += [
            link.get("href").rpartition("/")[2] for link in page.html.select("tbody th a.usa-link")
        ]
        following = page.html.find("a", rel="next")
        if following is None:
            break
        page = page.goto(following["href"])
    assert len(seen) == len(set(seen))
    assert ids <= set(seen)


def test_dead_ones_are_seen_and_sent_again_or_set_aside(admin, sign_in, write, web_engine, people):
    dead = write(state="dead", attempts=104, last_error=REASON, event="request_received")
    assert "could not be sent" in admin.get(f"/{CITY}")
    assert "could not be sent" not in sign_in("specialist", CITY).get(f"/{CITY}")
    assert "could not be sent" in admin.get(f"/{CITY}/settings")
    listed = admin.get(f"{HERE}?state=dead")
    assert REASON in listed
    page = press(listed.click(href=str(dead)), "/aside")
    assert "was set aside" in page
    assert state_of(web_engine, people, dead).state == "aside"
    page = press(page, "/back")
    page = press(page, "/again")
    assert "will be sent again" in page
    assert tuple(state_of(web_engine, people, dead)) == ("pending", 0, 2)


def test_all_that_match_are_sent_again(admin, write, web_engine, people):
    mine = [write(state="dead", event="referral_sent") for _ in range(3)]
    other = write(state="dead", event="referral_answered")
    page = press(admin.get(f"{HERE}?state=dead&event=referral_sent"), "/again")
    assert "3 messages will be sent again" in page
    assert {state_of(web_engine, people, each).state for each in mine} == {"pending"}
    assert state_of(web_engine, people, other).state == "dead"
    page = press(admin.get(f"{HERE}?state=dead&event=referral_answered"), "/aside")
    assert "1 message was set aside" in page


def test_what_is_confidential_is_for_who_may_read_it(
    admin, sign_in, write, web_engine, people, clock
):
    region = published(web_engine)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        came = Incoming(
            line=region.lines[f"{CITY}/email"],
            text="I need help",
            address="quiet@example.org",
            key=str(new_id()),
        )
        kept = receive(session, region, came, now=clock.now)
        session.execute(
            text("UPDATE threads SET confidential = true WHERE id = :id"), {"id": kept.thread_id}
        )
    secret = write(
        event="thread_answer",
        subject_id=kept.thread_id,
        recipient="quiet@example.org",
        heading="Re: help",
        body="We can meet.",
        state="dead",
        last_error=REASON,
    )
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        contact = session.execute(
            text("SELECT contact_id FROM threads WHERE id = :id"), {"id": kept.thread_id}
        ).scalar_one()
    # from its contact, too
    assert str(secret) in admin.get(f"{HERE}?about={contact}")
    assert "written about this" in admin.get(f"{HERE}?about={new_id()}")
    page = admin.get(f"{HERE}?about={kept.thread_id}")
    assert str(secret) in page
    assert "Confidential" in page
    one = admin.get(f"{HERE}/{secret}")
    for shown in (page, one):
        assert "quiet@example.org" not in shown
        assert "Re: help" not in shown
        assert "We can meet." not in shown
    assert str(secret) not in admin.get(f"{HERE}?to=quiet@example.org")
    exported = admin.get(f"{HERE}?about={kept.thread_id}&format=csv")
    assert "quiet@" not in exported
    assert "We can meet." not in exported
    # it can be handled all the same, without being read
    assert "was set aside" in press(one, f"{secret}/aside")
    accommodation = write(event="accommodation_new", heading="A-1 needs a coordinator")
    assert "needs a coordinator" not in admin.get(f"{HERE}/{accommodation}")
    # a supervisor works requests, and is cleared
    assert "We can meet." in sign_in("supervisor", CITY).get(f"{HERE}/{secret}")


def test_a_message_of_another_partner_is_not_there(sign_in, write):
    sign_in("administrator", COUNTY).get(f"/{COUNTY}/messages/{write()}", status=404)


def test_the_list_takes_few_statements(admin, write, statements):
    for _ in range(5):
        write()
    admin.get(HERE)
    statements.clear()
    admin.get(HERE)
    assert len(statements) <= 8


def test_only_keys_are_cut():
    assert without_keys("https://a.example/city/requests/R-7K3M9-QP4TX") == (
        "https://a.example/city/requests/R-7K3M9-QP4TX"
    )
    assert without_keys("/accommodation/city-of-portland/abcdefghijklmnop") == (
        "/accommodation/city-of-portland/abcd…"
    )
    assert (
        without_keys("/answer/abcdefghijk and /mine/M-ABCDE-FGHIJ")
        == "/answer/abcd… and /mine/M-AB…"
    )
