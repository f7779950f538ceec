"""Working contacts and requests on the real database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import select, update

from regional311.audit.queries import history, trail
from regional311.database.ids import new_id, public_id
from regional311.database.rows import new_row, put
from regional311.database.session import Scope, acting_for, open_session, session_scope
from regional311.errors import InvalidInput, KeyReused, NotFound, Stale
from regional311.exchange.models import Envelope
from regional311.intake import drafts, lifecycle, needs, queries, service
from regional311.intake.giving import give
from regional311.intake.models import (
    Contact,
    FollowedRequest,
    Inquirer,
    Need,
    RequestNote,
    ServiceRequest,
    Transfer,
)
from regional311.intake.needs import settle
from regional311.intake.service import Followers, NewRequest
from regional311.metering import service as metering
from regional311.metering.models import UsageEvent
from regional311.metering.service import Usage
from regional311.notices.models import OutboxMessage
from regional311.referral import filing
from regional311.referral.filing import Asker, Intake, Place
from tests.little_region import IDS, IN_CITY, NOW, ON_BRIDGE

ANNA = Asker("Anna Canary", None, "anna@canary.example", wants_updates=True)
LATER = NOW + timedelta(hours=3)
NAMES = Followers({str(IDS["county"]): "the County", str(IDS["city"]): "the City"})


def file(session, region, point, **values) -> filing.Filed:
    given = {
        "source": "desk",
        "key": str(new_id()),
        "channel": "phone",
        "started_at": NOW,
        "service": "city/pothole",
        "place": Place(longitude=Decimal(str(point[0])), latitude=Decimal(str(point[1]))),
        "danger_answer": "none",
        "asker": ANNA,
    }
    return filing.take_in(session, region, Intake(**{**given, **values}), now=NOW)


def only(session, model, **by):
    session.expire_all()
    return session.execute(select(model).filter_by(**by)).scalars().one()


def test_status_crosses_and_notes_do_not(city, region):
    filed = file(city, region, ON_BRIDGE)
    with acting_for(city, IDS["county"]):
        service.add_note(
            city, now=LATER, request_id=filed.request_id, text="Crew is angry about this"
        )
        changed = service.change_request(
            city,
            now=LATER,
            request_id=filed.request_id,
            version=1,
            to="closed",
            resolution="completed",
            message="We filled the hole this afternoon.",
            followers=NAMES,
        )
        assert changed.version == 2
        assert only(city, RequestNote).internal
    followed = only(city, FollowedRequest)
    assert (followed.state, followed.public_message, followed.closed_at) == (
        "closed",
        "We filled the hole this afternoon.",
        LATER,
    )
    assert only(city, Need).status == "met"
    assert city.execute(select(RequestNote)).scalars().all() == []
    status = only(city, Envelope)
    assert status.kind == "request_status"
    assert "angry" not in str(status.payload)
    messages = {each.event: each for each in city.execute(select(OutboxMessage)).scalars()}
    closed = messages["request_closed"]
    assert closed.recipient == "anna@canary.example"
    assert "the County closed your request" in closed.body
    assert "We filled the hole" in closed.body


def test_public_note_crosses(city, region):
    filed = file(city, region, ON_BRIDGE)
    with acting_for(city, IDS["county"]):
        service.add_note(
            city, now=LATER, request_id=filed.request_id, text="Crew comes Friday", internal=False
        )
    assert only(city, FollowedRequest).public_message == "Crew comes Friday"


def test_own_request_through_its_life(city, region):
    filed = file(city, region, IN_CITY)
    steps = (
        {"to": "triaged", "priority": "high"},
        {"to": "assigned", "assignee_id": UUID(int=42)},
        {"to": "in_progress"},
        {"to": "waiting_person", "message": "Please tell us the colour"},
        {"to": "closed", "resolution": "out_of_funds", "message": "There is no money for this."},
        {"to": "triaged"},
    )
    for version, step in enumerate(steps, start=1):
        service.change_request(
            city, now=LATER, request_id=filed.request_id, version=version, **step
        )
        if step["to"] == "closed":
            assert (only(city, Need).status, only(city, Need).unmet_reason) == (
                "unmet",
                "out_of_funds",
            )
    request = only(city, ServiceRequest)
    assert (request.state, request.closed_at, request.resolution) == ("triaged", None, None)
    assert only(city, Need).status == "open"
    actions = [each.action for each in history(city, filed.request_id)]
    assert actions == [
        "request:open",
        "request:triage",
        "request:assign",
        "request:start",
        "request:wait",
        "request:close",
        "request:reopen",
    ]


def test_another_priority_leaves_work_as_it_is(city, region):
    filed = file(city, region, IN_CITY)
    who = UUID(int=42)
    steps = (
        {"to": "assigned", "assignee_id": who},
        {"to": "in_progress"},
        {"to": "waiting_person"},
    )
    for version, step in enumerate(steps, start=1):
        service.change_request(
            city, now=LATER, request_id=filed.request_id, version=version, **step
        )
    given = {"now": LATER, "request_id": filed.request_id, "team": None}
    version = only(city, ServiceRequest).version
    give(city, **given, version=version, person_id=who, priority="urgent")
    request = only(city, ServiceRequest)
    assert (request.state, request.priority) == ("waiting_person", "urgent")
    give(city, **given, version=request.version, person_id=UUID(int=43))
    assert only(city, ServiceRequest).assignee_id == UUID(int=43)


def test_a_caller_of_another_language_hears_of_a_day(city, region):
    filed = file(city, region, IN_CITY, language="other")
    assert filed.expected_at is not None
    assert only(city, OutboxMessage).language == "other"


def test_a_late_preview_brings_no_draft_back(city, region):
    contact = file(city, region, IN_CITY).contact_id
    city.execute(update(Contact).values(ended_at=None))
    version = only(city, Contact).version
    fields = [("description", "A hole")]
    drafts.keep_draft(city, contact, "city/pothole", fields, version=version - 1, now=NOW)
    assert only(city, Contact).draft is None
    drafts.keep_draft(city, contact, "city/pothole", fields, version=version, now=NOW)
    assert drafts.forget(city, NOW + timedelta(days=1)) == 0
    drafts.drop_draft(city, contact)
    assert drafts.forget(city, NOW + timedelta(days=9)) == 0


def test_who_saved_first_is_shown(city, region):
    filed = file(city, region, IN_CITY)
    service.assign_request(city, now=LATER, request_id=filed.request_id, version=1, queue="roads")
    with pytest.raises(Stale) as stale:
        service.assign_request(
            city, now=LATER, request_id=filed.request_id, version=1, queue="streets"
        )
    assert stale.value.current == {
        "assignee_id": None,
        "queue": "roads",
        "priority": "normal",
        "version": 2,
    }
    assert stale.value.submitted["queue"] == "streets"


def test_neighbour_finds_nothing(city, region):
    filed = file(city, region, IN_CITY)
    with acting_for(city, IDS["county"]):
        with pytest.raises(NotFound):
            service.change_request(
                city, now=LATER, request_id=filed.request_id, version=1, to="triaged"
            )
        with pytest.raises(NotFound):
            service.add_note(city, now=LATER, request_id=filed.request_id, text="Hello")
        with pytest.raises(NotFound):
            queries.contact_detail(city, filed.contact_id)
        assert queries.requests(city).rows == []
        assert queries.contacts(city).rows == []
        assert queries.tracked(city, filed.request_id) is None
        detail = queries.request_detail(city, filed.request_id)
        assert (detail.notes, detail.inquirer, detail.history) == ([], None, [])


def test_contact_is_closed_once_and_metered(city, region):
    started = service.start_contact(city, now=NOW, channel="walk_in", after_hours=False)
    changed = service.update_contact(
        city, now=NOW, contact_id=started.id, version=1, language="ru", danger_answer="none"
    )
    closed = service.close_contact(
        city,
        now=NOW + timedelta(minutes=6),
        contact_id=started.id,
        version=changed.version,
        disposition="answered",
        zone_day=date(2026, 10, 5),
        note="Asked for the hours",
    )
    contact = only(city, Contact)
    assert (contact.handle_seconds, contact.language) == (360, "ru")
    assert contact.specialist_id == UUID(int=42)
    event = only(city, UsageEvent)
    assert (event.activity, event.channel, event.booked_on) == (
        "contact_handled",
        "walk_in",
        date(2026, 10, 5),
    )
    with pytest.raises(service.ContactEnded):
        service.close_contact(
            city,
            now=NOW,
            contact_id=started.id,
            version=closed.version,
            disposition="answered",
            zone_day=date(2026, 10, 5),
        )
    with pytest.raises(InvalidInput):
        service.update_contact(
            city, now=NOW, contact_id=started.id, version=closed.version, call_type="odd"
        )
    with pytest.raises(NotFound):
        service.update_contact(city, now=NOW, contact_id=new_id(), version=1)


def test_needs_are_answered(city, region):
    filed = file(city, region, IN_CITY)
    with pytest.raises(InvalidInput):
        needs.say(city, now=LATER, need_id=filed.need_id, status="unmet")
    needs.say(city, now=LATER, need_id=filed.need_id, status="unmet", unmet_reason="cost")
    assert only(city, Need).unmet_reason == "cost"
    with pytest.raises(InvalidInput):
        needs.say(city, now=LATER, need_id=filed.need_id, status="unmet", unmet_reason="other")
    said = {"need_id": filed.need_id, "status": "unmet", "unmet_reason": "other"}
    needs.say(city, now=LATER, **said, words=" The bus ended. ")
    assert only(city, Need).unmet_words == "The bus ended."
    needs.settle(city, filed.need_id)
    assert only(city, Need).unmet_words == "The bus ended."
    needs.say(
        city,
        now=LATER + timedelta(minutes=1),
        need_id=filed.need_id,
        status="unmet",
        unmet_reason="cost",
        words="The bus ended.",
    )
    assert only(city, Need).unmet_words is None
    with pytest.raises(NotFound):
        needs.say(city, now=LATER, need_id=new_id(), status="met")


def test_empty_note_is_refused(city, region):
    with pytest.raises(service.NoteEmpty):
        service.add_note(city, now=LATER, request_id=new_id(), text="  ")


def test_confidential_requests_are_in_no_list(city, region):
    file(city, region, IN_CITY, service="city/abuse")
    assert queries.requests(city).rows == []
    assert [row.confidential for row in queries.requests(city, cleared=True).rows] == [True]


def fill_queue(session, number: int) -> list[UUID]:
    states = [state for state in lifecycle.STATES if state != "merged"]
    made = []
    for each in range(number):
        new = NewRequest(
            id=new_id(),
            public_id=public_id("R"),
            intake_tenant_id=IDS["city"],
            service_key="pothole" if each % 2 else "graffiti",
            opened_at=datetime(2026, 9, 1, tzinfo=UTC) + timedelta(minutes=each // 3),
            queue="streets" if each % 3 else None,
        )
        request, trail = service.request_rows(
            IDS["city"], new, now=NOW, person_id=None, action="request:open"
        )
        request.__dict__["state"] = states[each % len(states)]
        put(session, request, trail)
        made.append(new.id)
    return made


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"states": lifecycle.OPEN},
        {"states": ("closed",)},
        {"queue": "streets"},
        {"service_key": "pothole", "states": lifecycle.OPEN, "oldest_first": True},
    ],
)
def test_pages_give_every_row_once_in_order(city, asked):
    fill_queue(city, 90)
    whole = queries.requests(city, **asked, limit=500)
    assert whole.after is None
    seen, after = [], None
    for _ in range(50):
        page = queries.requests(city, **asked, limit=7, after=after)
        seen += page.rows
        after = page.after
        if after is None:
            break
    assert seen == whole.rows
    assert len({row.id for row in seen}) == len(seen)
    times = [row.opened_at for row in seen]
    assert times == sorted(times, reverse=not asked.get("oldest_first"))


def test_a_number_is_found_as_typed(city):
    fill_queue(city, 5)
    row = queries.requests(city).rows[0]
    typed = row.public_id.lower().replace("-", " ")
    assert [each.id for each in queries.requests(city, number=typed).rows] == [row.id]
    assert queries.requests(city, number=row.public_id[:5]).rows
    assert queries.requests(city, number="nothing%").rows == []


def test_forged_cursor_is_refused(city):
    for forged in ("", "x", "2026-01-01_x", "_"):
        with pytest.raises(queries.BadCursor):
            queries.requests(city, after=forged)


def test_statements_per_page(city, region, statements):
    filed = file(city, region, ON_BRIDGE)
    for ask, most in (
        (lambda: queries.requests(city, states=lifecycle.OPEN), 1),
        (lambda: queries.contacts(city), 1),
        (lambda: queries.followed_requests(city), 1),
        (lambda: queries.contact_detail(city, filed.contact_id), 6),
        (lambda: queries.request_detail(city, filed.request_id), 4),
        (lambda: queries.tracked(city, filed.request_id), 1),
    ):
        statements.clear()
        ask()
        assert len(statements) <= most


def test_contact_shows_what_came_of_it(city, region):
    filed = file(city, region, ON_BRIDGE)
    detail = queries.contact_detail(city, filed.contact_id)
    assert detail.inquirer.name == "Anna Canary"
    assert [each.public_id for each in detail.requests] == [filed.request_public_id]
    assert detail.requests[0].owner_id == IDS["county"]
    assert [each.service_key for each in detail.needs] == ["bridge-pothole"]
    own = file(city, region, IN_CITY)
    assert [each.owner_id for each in queries.contact_detail(city, own.contact_id).requests] == [
        IDS["city"]
    ]
    around = queries.request_detail(city, own.request_id)
    assert around.contact == own.contact_public_id
    assert around.inquirer.email == "anna@canary.example"


def test_two_workers_at_once_cannot_both_win(committed_engine, region):
    scope = Scope(IDS["city"])
    with session_scope(committed_engine, scope) as session:
        filed = file(session, region, IN_CITY)
    values = {"now": LATER, "request_id": filed.request_id, "version": 1}
    with open_session(committed_engine, scope) as first:
        service.change_request(first, to="triaged", **values)
        first.commit()
    with open_session(committed_engine, scope) as second:
        with pytest.raises(Stale):
            service.change_request(second, to="in_progress", **values)
        second.rollback()


def test_work_is_metered_once(city):
    from_desk = Usage(
        source_key="contact:1:handled:1",
        activity="contact_handled",
        channel="phone",
        occurred_at=NOW,
        received_at=NOW,
        booked_on=date(2026, 10, 5),
    )
    assert metering.record(city, from_desk)
    assert not metering.record(city, replace(from_desk, received_at=LATER))
    only(city, UsageEvent)
    assert not metering.record(city, from_desk)
    with pytest.raises(KeyReused):
        metering.record(city, replace(from_desk, handle_seconds=9))


def test_lists_are_filtered(city, region):
    file(city, region, IN_CITY)
    file(city, region, ON_BRIDGE, channel="web", line="")
    assert [row.channel for row in queries.contacts(city, channel="web").rows] == ["web"]
    assert len(queries.contacts(city, disposition="request_filed", since=NOW).rows) == 2
    assert queries.contacts(city, until=NOW).rows == []
    assert len(queries.contacts(city, ended=True).rows) == 2
    assert queries.contacts(city, ended=False).rows == []
    assert len(queries.followed_requests(city, states=("received",)).rows) == 1
    assert queries.followed_requests(city, owner_id=IDS["211info"]).rows == []
    ids = [row.id for row in queries.contacts(city).rows]
    assert {key for asked in queries.needed(city, ids).values() for _, key in asked} == {
        "pothole",
        "bridge-pothole",
    }
    assert queries.needed(city, []) == {}


def test_open_contacts_are_ones_own(city, region):
    started = service.start_contact(city, now=NOW, channel="phone")
    assert [each.id for each in queries.open_contacts(city, UUID(int=42), 50)] == [started.id]
    assert queries.open_contacts(city, UUID(int=43), 50) == []


def test_the_trail_is_asked(city, region):
    filed = file(city, region, IN_CITY)
    assert {each.action for each in trail(city, action="request:")} == {"request:open"}
    assert [each.subject_id for each in trail(city, action="contact:file")] == [filed.contact_id]
    assert len(trail(city, person_id=UUID(int=42), since=NOW, until=LATER)) == 2
    newest = trail(city, limit=1)
    assert len(trail(city, before=newest[0].id)) == 1
    assert len(trail(city, subject_id=filed.request_id)) == 1


def test_request_without_a_contact(city):
    new = NewRequest(
        id=new_id(),
        public_id=public_id("R"),
        intake_tenant_id=IDS["city"],
        service_key="pothole",
        opened_at=NOW,
    )
    assert service.open_request(city, new, now=NOW).state == "received"
    service.change_request(
        city,
        now=LATER,
        request_id=new.id,
        version=1,
        to="merged",
    )
    assert only(city, ServiceRequest).resolution == "duplicate"


def test_a_transfer_that_comes_back_leaves_the_need_open(city, region):
    filed = file(city, region, IN_CITY, service="city/hours")
    put(
        city,
        new_row(
            Transfer,
            tenant_id=IDS["city"],
            id=new_id(),
            contact_id=filed.contact_id,
            need_id=filed.need_id,
            kind="warm",
            target="county",
            number="503-555-0100",
            result="offered",
            at=NOW,
        ),
    )
    settle(city, filed.need_id)
    assert only(city, Need).status == "referred"
    other = new_id()
    put(
        city,
        new_row(
            Transfer,
            tenant_id=IDS["city"],
            id=other,
            contact_id=filed.contact_id,
            need_id=None,
            kind="warm",
            target="211info",
            number="211",
            result="offered",
            at=NOW,
        ),
    )
    returned = {"now": LATER, "contact_id": filed.contact_id, "result": "returned"}
    service.record_transfer(city, transfer_id=only(city, Transfer, target="county").id, **returned)
    assert only(city, Transfer, target="211info").result == "offered"
    with pytest.raises(NotFound):
        service.record_transfer(
            city, transfer_id=only(city, Transfer, target="county").id, **returned
        )
    assert only(city, Need).status == "open"


@pytest.mark.parametrize("point", [IN_CITY, ON_BRIDGE])
def test_a_text_about_something_confidential_leaves_out_what_was_said(city, region, point):
    """Also at the partner who took it in; a letter has it, which nobody reads over a shoulder."""
    said = "The shelter on Main Street has a bed."
    for by, whole in (("text", False), ("email", True)):
        filed = file(city, region, point, asker=replace(ANNA, phone="503-555-0123"))
        city.execute(update(Inquirer).values(updates_by=by))
        owner = IDS["city"] if point == IN_CITY else IDS["county"]
        with acting_for(city, owner):
            city.execute(update(ServiceRequest).values(confidential=True))
            service.change_request(
                city,
                version=1,
                now=LATER,
                request_id=filed.request_id,
                to="in_progress",
                message=said,
                followers=NAMES,
            )
        letter = only(city, OutboxMessage, event="request_status", subject_id=filed.request_id)
        assert (said in letter.body) is whole
        assert ("see the link in our first text" in letter.body) is not whole
