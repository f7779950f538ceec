"""Changing many requests at once, and taking that back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from regional311.audit.queries import history
from regional311.casework import bulk
from regional311.casework.bulk import (
    CannotUndo,
    TooMany,
    Wanted,
    ask,
    go_on,
    progress,
    rows_of,
    undo,
)
from regional311.casework.models import BulkChange
from regional311.casework.prepared_texts import asked, text_faults
from regional311.casework.tags import tags
from regional311.database.session import acting_for, scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.identity.service import grant
from regional311.intake import me_too, queries, service
from regional311.intake.merging import merge
from regional311.intake.models import FollowedRequest, Need, ServiceRequest
from regional311.intake.undoing import TAKEN_BACK, as_it_was, put_back
from regional311.notices.models import OutboxMessage
from regional311.referral.filing import Asker
from tests.intake.test_requests import NAMES, file
from tests.little_region import IDS, IN_CITY, NOW, ON_BRIDGE

LATER = NOW + timedelta(hours=1)
FILLED = "All holes of this street were filled today."
CLOSE = Wanted("close", resolution="completed", message=FILLED)


def filed(session, region, many=3):
    made = [file(session, region, IN_CITY) for _ in range(many)]
    return [(each.request_id, each.request_public_id) for each in made]


def do(session, bulk_id, now=LATER, most=bulk.PART):
    while go_on(session, bulk_id, now=now, followers=NAMES, most=most) == most:
        pass


def states(session, chosen):
    session.expire_all()
    rows = session.execute(
        select(ServiceRequest.id, ServiceRequest.state).where(
            ServiceRequest.id.in_([each for each, _number in chosen])
        )
    )
    found = {row.id: row.state for row in rows}
    return [found[each] for each, _number in chosen]


def test_each_is_changed_by_itself_and_what_cannot_be_says_why(work, region):
    chosen = filed(work, region)
    service.change_request(
        work,
        now=NOW,
        request_id=chosen[1][0],
        version=1,
        to="closed",
        resolution="completed",
        message=FILLED,
    )
    bulk_id = ask(work, CLOSE, chosen, now=LATER)
    assert states(work, chosen) == ["received", "closed", "received"]
    do(work, bulk_id, most=2)
    assert states(work, chosen) == ["closed"] * 3
    found = rows_of(work, bulk_id)
    assert [each.result for each in found] == ["changed", "refused", "changed"]
    assert "cannot become closed" in found[1].why
    far = progress(work, bulk_id, 3)
    assert (far.many("changed"), far.many("refused"), far.many("waiting")) == (2, 1, 0)


def test_few_chinese_characters_say_enough(work, region):
    chosen, words = filed(work, region, 1), {"zh-Hant": "已經修好。"}
    assert list(text_faults("closing", "Filled", list(words.items()))) == []
    do(work, ask(work, replace(CLOSE, message=None, words=words, own="zh-Hant"), chosen, now=LATER))
    assert states(work, chosen) == ["closed"]


def test_a_text_is_read_in_the_language_of_each_who_is_told(work, region):
    """Who filed it, who has it too, who filed what was merged, and who came through a partner."""

    def filed_in(language, point=IN_CITY):
        return file(
            work,
            region,
            point,
            language=language,
            asker=Asker("P", None, f"{language}@asks.example", wants_updates=True),
        )

    kept, merged, bridge = filed_in("es"), filed_in("ru"), filed_in("en", ON_BRIDGE)
    me_too.join(
        work,
        me_too.Joins(
            number=kept.request_public_id,
            service_keys=("pothole",),
            source_key="web:spoken",
            at=NOW,
            intake_tenant_id=IDS["city"],
            token="secret of spoken",
            email="zh@too.example",
            language="zh-Hant",
        ),
    )
    merge(
        work,
        now=NOW,
        request_id=merged.request_id,
        version=1,
        into=kept.request_public_id,
        message="It is the same one.",
    )
    words = {
        "en": "{number} is filled.",
        "es": "{number} está tapado.",
        "vi": "{number} đã được lấp.",
        "zh-Hant": "{number} 的坑洞已經填好。",
    }
    close = replace(CLOSE, message="Ticket 7.", words=words, own="vi")
    do(work, ask(work, close, [(kept.request_id, kept.request_public_id)], now=LATER))
    person = scope_of(work).person_id
    with acting_for(work, IDS["county"]):
        grant(work, person_id=person, name="Wren", email="w@county.example", roles=["worker"])
        do(work, ask(work, close, [(bridge.request_id, bridge.request_public_id)], now=LATER))
        work.expire_all()
        there = work.get(ServiceRequest, (IDS["county"], bridge.request_id)).public_message
    letters = work.execute(
        select(OutboxMessage.recipient, OutboxMessage.body).where(
            OutboxMessage.event.in_(["request_closed", "request_status", "me_too_closed"]),
            OutboxMessage.created_at == LATER,
        )
    ).all()
    read = {each.recipient: each.body for each in letters}
    number = kept.request_public_id
    for recipient, said in (
        ("es@asks.example", words["es"].format(number=number)),
        ("zh@too.example", words["zh-Hant"].format(number=number)),
        # there is none in Russian: the partner's own
        ("ru@asks.example", words["vi"].format(number=number)),
        ("en@asks.example", words["en"].format(number=bridge.request_public_id)),
    ):
        assert f"Ticket 7.\n\n{said}" in read.pop(recipient)
    assert not read
    # the request says it to all: as who asked reads it, or, not knowing them, as the partner does
    work.expire_all()
    here = work.get(ServiceRequest, (IDS["city"], kept.request_id)).public_message
    assert here == f"Ticket 7.\n\n{words['es'].format(number=number)}"
    assert there == f"Ticket 7.\n\n{words['vi'].format(number=bridge.request_public_id)}"
    spoken = asked(work, [kept.request_id, merged.request_id])
    assert [(each.language, each.number) for each in spoken] == [("es", 1), ("ru", 1)]
    with acting_for(work, IDS["county"]):
        assert [each.language for each in asked(work, [bridge.request_id])] == [None]


def test_undoing_puts_back_what_nobody_has_touched_since(work, region):
    chosen = filed(work, region)
    bulk_id = ask(work, CLOSE, chosen, now=LATER)
    do(work, bulk_id)
    letters = select(OutboxMessage.state, OutboxMessage.due_at).where(
        OutboxMessage.event == "request_closed"
    )
    assert set(work.execute(letters)) == {("pending", LATER + bulk.UNDO)}
    service.change_request(work, now=LATER, request_id=chosen[0][0], version=2, to="triaged")
    soon = LATER + timedelta(minutes=5)
    undo(work, bulk_id, now=soon)
    undo(work, bulk_id, now=soon)
    do(work, bulk_id, now=soon, most=2)
    assert states(work, chosen) == ["triaged", "received", "received"]
    assert [each.result for each in rows_of(work, bulk_id)] == ["kept", "undone", "undone"]
    assert "Somebody else" in rows_of(work, bulk_id)[0].why
    left = [state for state, _due in work.execute(letters)]
    assert sorted(left) == ["pending", "withdrawn", "withdrawn"]
    past = [each.action for each in history(work, chosen[1][0])]
    assert past[-2:] == ["request:close", "request:undo"]
    needs = [
        each.status
        for each in work.execute(select(Need)).scalars()
        if each.contact_id == work.get(ServiceRequest, (IDS["city"], chosen[1][0])).contact_id
    ]
    assert needs == ["open"]


def dues(session, event):
    session.expire_all()
    rows = session.execute(
        select(OutboxMessage.state, OutboxMessage.due_at).where(OutboxMessage.event == event)
    )
    return [(row.state, row.due_at) for row in rows]


def test_undoing_forgets_whose_mailbox_it_was(work, region):
    ((request_id, _number),) = filed(work, region, many=1)
    before = as_it_was(work.get(ServiceRequest, (IDS["city"], request_id)))
    closing = {"to": "closed", "resolution": "completed", "message": FILLED}
    service.change_request(work, now=LATER, request_id=request_id, version=1, **closing)
    # it was tried once, and no mail server answered
    work.execute(
        update(OutboxMessage)
        .where(OutboxMessage.event == "request_closed")
        .values(begins_for="a digest", begins_at=LATER)
    )
    put_back(work, now=LATER, request_id=request_id, version=2, before=before, changed_at=LATER)
    work.expire_all()
    letters = select(OutboxMessage.state, OutboxMessage.begins_for).where(
        OutboxMessage.event == "request_closed"
    )
    assert list(work.execute(letters)) == [("withdrawn", None)]


def test_letters_of_a_long_change_wait_until_all_of_it_can_no_more_be_undone(work, region):
    """Parts are hours apart; nothing leaves while there is more to do, or it can be undone."""
    chosen = filed(work, region, many=4)
    bulk_id = ask(work, CLOSE, chosen, now=LATER)
    for hours in range(2):
        now = LATER + timedelta(hours=hours)
        assert go_on(work, bulk_id, now=now, followers=NAMES, most=2) == 2
        assert all(due > now + timedelta(days=1) for _state, due in dues(work, "request_closed"))
    ended = LATER + timedelta(hours=5)
    assert go_on(work, bulk_id, now=ended, followers=NAMES, most=2) == 0
    assert dues(work, "request_closed") == [("pending", ended + bulk.UNDO)] * 4


def test_letters_wait_for_an_undoing_that_takes_long(work, region):
    chosen = filed(work, region)
    bulk_id = ask(work, CLOSE, chosen, now=LATER)
    do(work, bulk_id)
    service.change_request(work, now=LATER, request_id=chosen[0][0], version=2, to="triaged")
    last = LATER + bulk.UNDO - timedelta(seconds=1)
    undo(work, bulk_id, now=last)
    assert all(due > last + bulk.UNDO for _state, due in dues(work, "request_closed"))
    ended = LATER + timedelta(hours=1)
    do(work, bulk_id, now=ended, most=2)
    # what somebody has touched since stays closed, and its letter leaves
    assert min(dues(work, "request_closed")) == ("pending", ended)
    assert [state for state, _due in dues(work, "request_closed")].count("withdrawn") == 2


def test_who_has_it_too_hears_nothing_of_what_was_undone(work, region):
    """Letters to those who said *me too* are withdrawn, at this partner and at others."""
    ((request_id, number),) = filed(work, region, many=1)
    me_too.join(
        work,
        me_too.Joins(
            number=number,
            service_keys=("pothole",),
            source_key="web:bulk",
            at=LATER,
            intake_tenant_id=IDS["city"],
            token="secret of bulk",
            email="eva@me.example",
        ),
    )
    bridge = file(work, region, ON_BRIDGE)
    bulk_id = ask(work, CLOSE, [(request_id, number)], now=LATER)
    do(work, bulk_id)
    assert dues(work, "me_too_closed") == [("pending", LATER + bulk.UNDO)]
    undo(work, bulk_id, now=LATER)
    do(work, bulk_id)
    assert [state for state, _due in dues(work, "me_too_closed")] == ["withdrawn"]
    person = scope_of(work).person_id
    with acting_for(work, IDS["county"]):
        grant(work, person_id=person, name="Wren", email="w@county.example", roles=["worker"])
        theirs = ask(work, CLOSE, [(bridge.request_id, bridge.request_public_id)], now=LATER)
        do(work, theirs)
    before = dues(work, "request_closed")
    # the letter of the partner that took it in waits, too, and goes with the undoing
    assert ("pending", LATER + bulk.UNDO) in before
    with acting_for(work, IDS["county"]):
        undo(work, theirs, now=LATER)
        do(work, theirs)
    assert "pending" not in [state for state, _due in dues(work, "request_closed")]


def test_who_took_it_in_hears_that_it_was_undone(work, region):
    bridge = file(work, region, ON_BRIDGE)
    person = scope_of(work).person_id
    with acting_for(work, IDS["county"]):
        grant(work, person_id=person, name="Wren", email="w@county.example", roles=["worker"])
        bulk_id = ask(work, CLOSE, [(bridge.request_id, bridge.request_public_id)], now=LATER)
        do(work, bulk_id)
    followed = select(FollowedRequest.state).where(FollowedRequest.id == bridge.request_id)
    assert work.execute(followed).scalar_one() == "closed"
    with acting_for(work, IDS["county"]):
        undo(work, bulk_id, now=LATER)
        do(work, bulk_id)
    assert work.execute(followed).scalar_one() == "received"
    word = select(FollowedRequest.public_message).where(FollowedRequest.id == bridge.request_id)
    assert work.execute(word).scalar_one() == TAKEN_BACK
    need = select(Need.status).where(Need.id == bridge.need_id)
    assert work.execute(need).scalar_one() == "open"
    assert {
        each.state
        for each in work.execute(select(OutboxMessage)).scalars()
        if each.event == "request_closed"
    } == {"withdrawn"}


def test_who_has_heard_already_hears_that_it_was_taken_back(work, region):
    """Also whoever filed what was merged into it: theirs are letters about their own request."""
    (kept, number), (merged, other) = filed(work, region, 2)
    service.change_request(
        work, now=NOW, request_id=kept, version=1, to="triaged", message="We come on Monday."
    )
    merge(work, now=NOW, request_id=merged, version=1, into=number, message="It is the same one.")
    bulk_id = ask(work, CLOSE, [(kept, number)], now=LATER)
    do(work, bulk_id)
    work.execute(
        update(OutboxMessage)
        .where(OutboxMessage.event == "request_closed", OutboxMessage.subject_id == merged)
        .values(state="sent")
    )
    undo(work, bulk_id, now=LATER)
    do(work, bulk_id, now=LATER + timedelta(minutes=9))
    letters = work.execute(
        select(OutboxMessage.subject_id, OutboxMessage.event, OutboxMessage.state)
        .where(OutboxMessage.created_at >= LATER)
        .order_by(OutboxMessage.created_at)
    ).all()
    assert {tuple(each) for each in letters} == {
        (kept, "request_closed", "withdrawn"),
        (merged, "request_closed", "sent"),
        (merged, "request_status", "pending"),
    }
    answer = work.scalars(
        select(OutboxMessage).where(
            OutboxMessage.event == "request_status", OutboxMessage.created_at > LATER
        )
    ).one()
    assert other in answer.heading
    assert TAKEN_BACK in answer.body
    # what was said before holds again, and the person reads that the rest was a mistake
    said = [each.text for each in queries.told(work, kept)]
    assert said[:2] == [TAKEN_BACK, FILLED]
    assert work.get(ServiceRequest, (IDS["city"], kept)).public_message == "We come on Monday."


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        (
            Wanted("assign", queue="roads", priority="urgent"),
            ("received", "roads", "urgent", [], 0),
        ),
        (Wanted("move", state="in_progress"), ("in_progress", "streets", "normal", [], 0)),
        (
            Wanted("tag", tag="Winter  Storm"),
            ("received", "streets", "normal", ["winter storm"], 0),
        ),
        (Wanted("note", note="crew of Tuesday"), ("received", "streets", "normal", [], 1)),
    ],
)
def test_every_action_is_done_and_undone(work, region, wanted, seen):
    ((request_id, number),) = filed(work, region, 1)

    def now_is():
        work.expire_all()
        row = work.get(ServiceRequest, (IDS["city"], request_id))
        notes = queries.request_detail(work, request_id).notes
        return row.state, row.queue, row.priority, tags(work, request_id), len(notes)

    before = now_is()
    bulk_id = ask(work, wanted, [(request_id, number)], now=LATER)
    do(work, bulk_id)
    assert now_is() == seen
    undo(work, bulk_id, now=LATER)
    do(work, bulk_id)
    assert now_is() == before


def test_time_to_undo_is_over_after_some_minutes(work, region):
    bulk_id = ask(work, CLOSE, filed(work, region, 1), now=LATER)
    with pytest.raises(CannotUndo, match="still being done"):
        undo(work, bulk_id, now=LATER)
    do(work, bulk_id)
    with pytest.raises(CannotUndo, match="over"):
        undo(work, bulk_id, now=LATER + bulk.UNDO)


def test_a_request_of_another_partner_is_not_there(work, region):
    bridge = file(work, region, ON_BRIDGE)
    bulk_id = ask(work, CLOSE, [(bridge.request_id, bridge.request_public_id)], now=LATER)
    do(work, bulk_id)
    assert [each.why for each in rows_of(work, bulk_id)] == ["There is no such request."]


def test_rights_are_those_of_now(work, region):
    bulk_id = ask(work, CLOSE, filed(work, region, 1), now=LATER)
    from regional311.identity.models import Membership

    for each in work.execute(select(Membership)).scalars():
        each.roles = ["specialist"]
    work.flush()
    do(work, bulk_id)
    assert [each.result for each in rows_of(work, bulk_id)] == ["refused"]


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted("assign"),
        Wanted("move", state="closed"),
        Wanted("close", resolution="completed", message="done"),
        Wanted("close", message=FILLED),
        Wanted("tag", tag="a, b"),
        Wanted("note", note=" "),
        Wanted("erase"),
    ],
)
def test_what_could_be_done_to_none_is_refused_whole(work, region, wanted):
    with pytest.raises(InvalidInput):
        ask(work, wanted, filed(work, region, 1), now=LATER)
    with pytest.raises(TooMany):
        ask(work, CLOSE, [(IDS["city"], str(each)) for each in range(bulk.MOST + 1)], now=LATER)
    with pytest.raises(InvalidInput):
        ask(work, CLOSE, [], now=LATER)
    assert not work.execute(select(BulkChange)).all()


def test_nobody_undoes_for_somebody_else(city, work, region):
    bulk_id = ask(work, CLOSE, filed(work, region, 1), now=LATER)
    do(work, bulk_id)
    work._scope = replace(scope_of(work), person_id=IDS["region"])
    with pytest.raises(NotFound):
        undo(work, bulk_id, now=LATER)
