"""What happens to messages as they leave: stops, quiet hours, digests, bounces, ways out."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from email import message_from_bytes, policy
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select, text

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.errors import InvalidInput, NotFound
from regional311.inbox.mail_server import _Controller
from regional311.notices.bounds import mailbox
from regional311.notices.choosing import ALWAYS, TO_STAFF, choices, choose, gather
from regional311.notices.delivery import Fate, Letter, compose
from regional311.notices.handling import send_again
from regional311.notices.leaving import leaving, with_way_out
from regional311.notices.leaving import who_gets as gets
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.notices.quiet import TEXTS, Hours, leaves_at, next_digest
from regional311.notices.service import withdraw_to
from regional311.notices.stopping import change, getting
from regional311.notices.troubles import bounced, did_not_arrive, lift, note_trouble, troubles
from regional311.notices.ways_out import make_token, read_return, read_token, return_address
from regional311.notices.worker import work
from regional311.settings import Settings
from tests.notices.test_delivery import Mailbox, settings_for

NOW = datetime(2026, 10, 5, 17, 0, tzinfo=UTC)
"""Ten in the morning in Portland."""
NIGHT = datetime(2026, 10, 6, 5, 0, tzinfo=UTC)
"""Ten in the evening."""
ZONE = ZoneInfo("America/Los_Angeles")
who_gets = partial(gets, secret="a secret of tests")


@pytest.fixture
def own_engine(committed_database) -> Engine:
    return committed_database.engine()


@pytest.fixture
def tenant_id(own_engine: Engine) -> UUID:
    with own_engine.connect() as connection:
        return UUID(
            str(connection.scalar(text("SELECT id FROM tenants WHERE slug = 'city-of-portland'")))
        )


@pytest.fixture
def city(own_engine, tenant_id):
    with session_scope(own_engine, Scope(tenant_id)) as session:
        yield session


def leased(session, **said) -> Letter:
    """A message of the outbox as a worker takes it."""
    message_id = new_id()
    given = {
        "event": "request_status",
        "recipient": f"{message_id}@Example.org",
        "heading": "News",
        "body": "It is fixed.\n",
        "channel": "email",
        "subject_id": new_id(),
        "created_at": NOW,
        "due_at": NOW,
        "attempts": 1,
    } | said
    tenant_id = session.scope.tenant_id
    put(session, OutboxMessage(tenant_id=tenant_id, id=message_id, **given))
    return Letter(
        message_id,
        1,
        given["recipient"],
        "en",
        given["heading"],
        given["body"],
        event=given["event"],
        headers=given.get("headers"),
        subject_id=given["subject_id"],
        tenant_id=tenant_id,
        channel=given["channel"],
    )


def row_of(session, letter):
    return session.execute(
        select(OutboxMessage.__table__).where(OutboxMessage.id == letter.id)
    ).one()


# Bounds


def begun(session, address, number, **said):
    """So many requests that name an address, each with the message that it was received."""
    return [
        leased(session, recipient=address, event="request_received", **said) for _ in range(number)
    ]


def sent(session, letter, at):
    session.execute(
        text("UPDATE outbox_messages SET state = 'sent', sent_at = :at WHERE id = :id"),
        {"at": at, "id": letter.id},
    )


def test_one_mailbox_is_told_of_a_few_new_matters_an_hour_however_it_is_spelled(city):
    victim = f"ana.{new_id()}"
    letters = [
        *begun(city, f"{victim}@example.org", 6),
        *begun(city, f"{victim}+1@Example.org", 3),
        *begun(city, f"{victim.upper()}@EXAMPLE.org", 3),
    ]
    assert who_gets(city, letters, NOW) == letters[:10]
    # what had waited, such as for a mail server, waits for its hour and leaves then
    row = row_of(city, letters[10])
    assert (row.state, row.attempts, row.due_at) == ("pending", 0, NOW + timedelta(hours=1))
    assert "It waits an hour" in row.last_error
    assert not did_not_arrive(city, letters[10].subject_id)
    other = leased(city, event="request_received")
    assert who_gets(city, [other], NOW) == [other]
    later = NOW + timedelta(minutes=61)
    more = [*letters[10:], *begun(city, f"{victim}@example.org", 9)]
    assert who_gets(city, more, later) == more[:10]
    # a day's are told: a person must look
    much_later = begun(city, f"{victim}@example.org", 11)
    assert who_gets(city, much_later, NOW + timedelta(hours=5)) == much_later[:10]
    row = row_of(city, much_later[10])
    assert (row.state, row.attempts) == ("dead", 0)
    assert "somebody may be naming another" in row.last_error
    assert did_not_arrive(city, much_later[10].subject_id)
    # a person has looked, and has it sent
    assert send_again(city, [much_later[10].id], now=NOW) == 1
    again = replace(much_later[10], sendings=2)
    assert who_gets(city, [again], NOW + timedelta(hours=5)) == [again]
    assert who_gets(city, begun(city, f"{victim}@example.org", 1), NOW + timedelta(hours=7)) == []
    tomorrow = begun(city, f"{victim}@example.org", 1)
    assert who_gets(city, tomorrow, NOW + timedelta(hours=26)) == tomorrow


def test_who_was_told_of_a_matter_hears_how_it_goes_on(city):
    number = "+15035550188"
    first = begun(city, number, 5, channel="text")
    assert who_gets(city, first, NOW) == first
    for letter in first:
        sent(city, letter, NOW)
    assert who_gets(city, begun(city, number, 1, channel="text"), NOW) == []
    news = leased(city, recipient=number, channel="text", subject_id=first[0].subject_id)
    assert who_gets(city, [news], NOW) == [news]


def test_that_it_is_closed_waits_for_that_it_was_received(city):
    address = f"{new_id()}@example.org"
    first, others = begun(city, address, 1), begun(city, address, 9)
    assert who_gets(city, first, NOW) == first
    assert who_gets(city, others, NOW + timedelta(minutes=20)) == others
    received = leased(city, recipient=address, event="request_received")
    closed = leased(city, recipient=address, event="request_closed", subject_id=received.subject_id)
    assert who_gets(city, [received], NOW + timedelta(minutes=30)) == []
    # as soon as the oldest that counts is an hour old
    due = NOW + timedelta(hours=1)
    assert row_of(city, received).due_at == due
    assert who_gets(city, [closed], NOW + timedelta(minutes=40)) == []
    row = row_of(city, closed)
    assert (row.state, row.attempts, row.due_at) == ("pending", 0, due)
    # by now there is room; still the first goes first
    assert who_gets(city, [closed], due + timedelta(seconds=1)) == []
    assert row_of(city, closed).due_at == due + timedelta(seconds=61)
    both = [received, closed]
    assert who_gets(city, both, due + timedelta(minutes=1)) == both


def test_a_message_that_is_tried_again_counts_once_and_colleagues_never(city):
    address = f"{new_id()}@example.org"
    letters = begun(city, address, 10)
    assert who_gets(city, letters, NOW) == letters
    assert who_gets(city, letters, NOW + timedelta(minutes=1)) == letters
    staff = [leased(city, recipient=address, event="reviews_due") for _each in range(12)]
    assert who_gets(city, staff, NOW) == staff


def test_whose_mailbox_it_was_is_forgotten_with_the_address(city):
    (letter,) = begun(city, "+15035550199", 1, channel="text")
    assert who_gets(city, [letter], NOW) == [letter]
    digest = row_of(city, letter).begins_for
    assert digest == mailbox("text", letter.recipient, secret="a secret of tests")
    withdraw_to(city, [letter.recipient], [letter.subject_id], [letter.event])
    assert row_of(city, letter).begins_for is None


def test_what_begins_is_marked_by_one_statement_each_for_its_own_mailbox(city):
    letters = [*begun(city, f"{new_id()}@example.org", 2), *begun(city, f"{new_id()}@b.example", 2)]
    said = []

    def note(_connection, _cursor, statement, *_more):
        said.append(statement)

    engine = city.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    try:
        who_gets(city, letters, NOW)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert sum("begins_at=" in each.replace(" ", "") for each in said if "UPDATE" in each) == 1
    digests = [row_of(city, each).begins_for for each in letters]
    assert len(digests[0]) == 64
    assert digests[0] == digests[1] != digests[2] == digests[3]


# Stops


def test_who_stops_one_matter_hears_of_the_others(city):
    first, second = leased(city), leased(city)
    second = replace(second, recipient=first.recipient)
    got = getting(city, first.id)
    assert (got.about, got.anything) == (True, True)
    change(city, got, everything=False, stopped=True, now=NOW)
    change(city, got, everything=False, stopped=True, now=NOW)
    assert who_gets(city, [first, second], NOW) == [second]
    row = row_of(city, first)
    assert (row.state, row.attempts) == ("withdrawn", 0)
    assert "wants no such" in row.last_error
    assert getting(city, first.id).about is False
    change(city, got, everything=False, stopped=False, now=NOW)
    assert getting(city, first.id).about is True


def test_who_stops_everything_still_gets_answers(city):
    letter = leased(city)
    answer = leased(city, event="thread_answer", recipient=letter.recipient)
    change(city, getting(city, letter.id), everything=True, stopped=True, now=NOW)
    assert who_gets(city, [letter, answer], NOW) == [answer]
    assert getting(city, letter.id).anything is False


def test_who_was_erased_has_nothing_to_stop(city):
    letter = leased(city, recipient="", heading="", body="")
    assert getting(city, letter.id) is None
    assert getting(city, new_id()) is None


# Quiet hours


@given(
    st.timedeltas(timedelta(), timedelta(days=365)).map(lambda later: NOW + later),
    st.tuples(st.times(), st.times()).filter(lambda each: each[0] < each[1]),
)
def test_a_message_leaves_within_the_hours_and_within_a_day(now, span):
    hours = Hours(*span)
    at = leaves_at(now, hours, ZONE)
    assert now <= at <= now + timedelta(hours=25)
    assert at == now or at.astimezone(ZONE).time() == hours.opens


def test_texts_wait_for_the_morning_but_not_in_a_conversation(city):
    text_one = {"channel": "text", "recipient": "+15035550123", "event": "thread_answer"}
    late = leased(city, **text_one, headers={"from": ["", "+15035550171"]})
    live = leased(city, **text_one, headers={"from": ["", "+15035550171"], "live": True})
    stop = leased(city, **text_one | {"event": "text_stop"})
    assert who_gets(city, [late, live, stop], NIGHT) == [live, stop]
    due = row_of(city, late).due_at
    assert due.astimezone(ZONE).time() == TEXTS.opens
    assert "waits for the hours" in row_of(city, late).last_error
    assert who_gets(city, [late], due) == [late]


def test_mail_leaves_at_any_time_unless_the_partner_says_when(city):
    letter, colleague = leased(city), leased(city, event="reviews_due")
    assert who_gets(city, [letter], NIGHT) == [letter]
    city.execute(
        text("UPDATE tenants SET settings = settings || :said WHERE id = :me AND tenant_id = :me"),
        {"said": '{"notices": {"mail": "07:00-20:00"}}', "me": city.scope.tenant_id},
    )
    assert who_gets(city, [letter, colleague], NIGHT) == [colleague]
    assert row_of(city, letter).due_at.astimezone(ZONE).time() == time(7)


# Colleagues' choices


def test_colleagues_choose_what_they_get(city, own_engine):
    me, address = new_id(), "wren@city.example"
    choose(city, me, address, {"reviews_due": "daily", "budget_warning": "never"}, now=NOW)
    assert choices(city, me) == {"reviews_due": "daily", "budget_warning": "never"}
    first = leased(city, event="reviews_due", recipient=address, heading="One", body="1\n")
    second = leased(city, event="reviews_due", recipient="Wren@City.example", heading="Two")
    never = leased(city, event="budget_warning", recipient=address)
    other = leased(city, event="reviews_due")
    assert who_gets(city, [first, second, never, other], NOW) == [other]
    assert row_of(city, never).state == "withdrawn"
    waits = row_of(city, first)
    assert (waits.state, waits.digest) == ("pending", True)
    assert waits.due_at == next_digest(NOW, ZONE)
    assert gather(city, NOW, url="https://311.example") == 0
    assert gather(city, waits.due_at, url="https://311.example") == 1
    assert gather(city, waits.due_at, url="https://311.example") == 0
    day = city.execute(
        select(OutboxMessage.__table__).where(
            OutboxMessage.event == "digest", OutboxMessage.recipient == address
        )
    ).one()
    assert day.heading == "2 notices from City of Portland"
    assert day.body.index("* One\n\n1") < day.body.index("* Two")
    assert "https://311.example/city-of-portland/notices" in day.body
    assert row_of(city, first).state == row_of(city, second).state == "gathered"


def test_what_may_not_be_turned_off(city):
    assert ALWAYS < TO_STAFF
    with pytest.raises(InvalidInput, match="always come at once"):
        choose(city, new_id(), "a@b.example", {"accommodation_new": "never"}, now=NOW)
    with pytest.raises(InvalidInput):
        choose(city, new_id(), "a@b.example", {"request_closed": "never"}, now=NOW)


# Where mail does not arrive


def test_what_bounces_for_good_stops_further_mail_until_lifted(city):
    letter = leased(city, state="sent")
    assert bounced(city, letter.id, "5.1.1", lasting=True, now=NOW) == letter.subject_id
    row = row_of(city, letter)
    assert (row.state, row.bounced_at) == ("dead", NOW)
    assert "5.1.1" in row.last_error
    assert did_not_arrive(city, letter.subject_id)
    news = leased(city, recipient=letter.recipient)
    answer = leased(city, event="thread_answer", recipient=letter.recipient)
    assert who_gets(city, [news, answer], NOW) == []
    assert (row_of(city, news).state, row_of(city, answer).state) == ("aside", "dead")
    (found,) = [each for each in troubles(city) if each.address == letter.recipient.lower()]
    lift(city, found.id, now=NOW)
    assert who_gets(city, [news], NOW) == [news]
    with pytest.raises(NotFound):
        lift(city, found.id, now=NOW)
    note_trouble(city, letter.recipient, "550", message_id=None, lasting=True, now=NOW)
    assert who_gets(city, [news], NOW) == []


def test_what_does_not_arrive_in_passing_is_counted_only(city):
    letter = leased(city, state="sent")
    for _ in range(3):
        bounced(city, letter.id, "4.2.2", lasting=False, now=NOW)
    assert row_of(city, letter).state == "sent"
    assert who_gets(city, [letter], NOW) == [letter]
    (found,) = [each for each in troubles(city) if each.address == letter.recipient.lower()]
    assert (found.passing, found.stopped_at) == (3, None)


@pytest.mark.parametrize("state", ["pending", "withdrawn"])
def test_what_did_not_leave_cannot_come_back(city, state):
    letter = leased(city, state=state)
    assert bounced(city, letter.id, "5.1.1", lasting=True, now=NOW) is None
    assert bounced(city, new_id(), "5.1.1", lasting=True, now=NOW) is None


# Ways out


@given(st.uuids(), st.uuids(), st.text(max_size=80))
def test_tokens_are_for_one_purpose_and_cannot_be_made_up(tenant, message, junk):
    token = make_token("secret", tenant, message)
    assert read_token("secret", token) == (tenant, message)
    assert read_token("other", token) is None
    assert read_token("secret", junk) is None
    flipped = ("B" if token[0] == "A" else "A") + token[1:]
    assert read_token("secret", flipped) is None
    back = return_address("311@city.example", "secret", tenant, message)
    assert len(back.partition("@")[0]) <= 64
    assert read_return(back, "secret", [tenant]) == (tenant, message)
    assert read_return(back.replace("+b", "+bx"), "secret", [tenant]) is None
    assert read_return(junk, "secret", [tenant]) is None


def test_an_address_that_is_too_long_for_a_mark_stays_as_it_is():
    address = f"{'x' * 20}@city.example"
    assert return_address(address, "s", new_id(), new_id()) == address


def test_messages_to_people_carry_the_way_out(tmp_path):
    settings = Settings(
        var=tmp_path,
        url="https://311.example",
        secret="s" * 40,
        mail_from="311@city.example",
        mail_listen=("127.0.0.1", 2525),
    )
    letter = Letter(new_id(), 1, "a@b.example", "es", "Hola", "Texto\n", event="request_closed")
    letter = replace(letter, tenant_id=new_id())
    out = with_way_out(letter, settings)
    made = compose(out, mail_from="311@city.example", now=NOW)
    link = made["List-Unsubscribe"].strip("<>")
    # mail programs read the header as it is: in one piece, in no encoding
    assert f"List-Unsubscribe: <{link}>\r\n".encode() in made.as_bytes()
    assert made["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link.startswith("https://311.example/letters/")
    assert link.endswith("/one-click")
    assert link.removesuffix("/one-click") in out.body
    assert out.returns_to.startswith("311+b")
    staff = with_way_out(replace(letter, event="reviews_due"), settings)
    assert (staff.way_out, staff.body) == ("", "Texto\n")
    assert staff.returns_to
    answer = with_way_out(
        replace(letter, event="thread_answer", headers={"from": ["", "a@b.example"]}), settings
    )
    assert (answer.way_out, answer.returns_to) == ("", "")


def test_a_refused_recipient_stops_further_mail_and_others_go_on(own_engine, tenant_id, tmp_path):
    """A real server refuses one address for good, another for now."""
    box = Mailbox()
    box.refuse = {"gone@example.org": "550 5.1.1 nobody", "full@example.org": "452 4.2.2 full"}
    senders: list[str] = []
    lock = threading.Lock()
    real = box.handle_DATA

    async def seen(server, session, envelope):
        with lock:
            senders.append(envelope.mail_from)
        return await real(server, session, envelope)

    box.handle_DATA = seen
    controller = _Controller(box, hostname="127.0.0.1", port=0)
    controller.start()
    try:
        port = controller.port
        settings = replace(
            settings_for(None, port=port), secret="s" * 40, mail_listen=("127.0.0.1", 2525)
        )
        for address in ("gone@example.org", "full@example.org", "ana@example.org"):
            with session_scope(own_engine, Scope(tenant_id)) as session:
                leased(session, recipient=address, attempts=0)
        fates = work(own_engine, settings, once=True, clock=lambda: NOW, complete=leaving(settings))
        assert fates == {Fate.DEAD: 1, Fate.RETRY: 1, Fate.SENT: 1}
        with session_scope(own_engine, Scope(tenant_id)) as session:
            leased(session, recipient="Gone@example.org", attempts=0)
        fates = work(own_engine, settings, once=True, clock=lambda: NOW, complete=leaving(settings))
        assert fates == {Fate.HELD: 1}
    finally:
        controller.stop()
    with session_scope(own_engine, Scope(tenant_id)) as session:
        stopped = session.scalars(
            select(MailTrouble.address).where(MailTrouble.stopped_at.is_not(None))
        )
        assert "gone@example.org" in list(stopped)
        assert not set(troubles(session, stopped=True)) & set(troubles(session, stopped=False))
    (sender,) = senders
    assert read_return(sender, "s" * 40, [tenant_id]) is not None
    (message,) = box.messages
    assert message["List-Unsubscribe"]
    assert "/letters/" in message.get_content()
    assert message_from_bytes(message.as_bytes(), policy=policy.default)["To"] == "ana@example.org"
