"""A partner's own system: steps are caught up, and nothing is lost or doubled."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from regional311.catalog.models import Service
from regional311.database.ids import new_id, new_token
from regional311.database.session import Scope, make_engine, session_scope
from regional311.errors import Conflict
from regional311.exchange import systems
from regional311.exchange.fhir import (
    Agreed,
    Fault,
    Handover,
    Identifier,
    Note,
    Paper,
    Progress,
    write_bundle,
)
from regional311.exchange.models import Envelope, ExchangeTask
from regional311.exchange.sealing import new_secret
from regional311.exchange.service import ERASED
from regional311.exchange.transport import Reply
from regional311.intake.models import Contact, Inquirer
from regional311.referral import (
    consents,
    external_delivery,
    lifecycle,
    questions,
    service,
    worklist,
)
from regional311.referral.external import minimised, receive, steps_to
from regional311.referral.external_delivery import Errands, gather, judged, lease, written
from regional311.referral.filing import Asker, Intake, take_in
from regional311.referral.models import Referral
from regional311.referral.snapshot import Published, published
from regional311.settings import Settings
from tests.little_region import IDS, NOW, county_bed
from tests.referral.test_onward import sent_on

pytestmark = pytest.mark.commits

CITY, HELP, COUNTY = IDS["city"], IDS["211info"], IDS["county"]


@pytest.mark.parametrize(
    ("state", "to", "side", "steps"),
    [
        ("requested", "accepted", "received", ("accepted",)),
        ("requested", "in_progress", "received", ("accepted", "in_progress")),
        ("requested", "completed", "received", ("accepted", "completed")),
        ("requested", "on_hold", "received", ("accepted", "on_hold")),
        ("on_hold", "completed", "received", ("completed",)),
        ("requested", "cancelled", "sent", ("cancelled",)),
        ("requested", "accepted", "sent", None),
        ("completed", "accepted", "received", None),
        ("rejected", "completed", "received", None),
    ],
)
def test_steps_that_were_missed(state, to, side, steps):
    assert steps_to(state, to, side) == steps


@given(
    st.sampled_from(lifecycle.STATES),
    st.sampled_from(lifecycle.STATES),
    st.sampled_from(["sent", "received"]),
)
def test_each_step_on_the_way_is_allowed_and_needs_no_reason(state, to, side):
    steps = steps_to(state, to, side)
    if steps is None:
        assert to not in lifecycle.next_states(state, side)
        return
    at = state
    for step in steps:
        assert step in lifecycle.next_states(at, side)
        at = step
    assert at == to
    assert not any(step in lifecycle.REASONS for step in steps[:-1])


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(200, None), None),
        (Reply(302, None), "The other system refused it: 302."),
        (Reply(500, ["x"]), "The other system refused it: 500."),
        (
            Reply(422, {"issue": [{"code": "value", "expression": ["Task.status"]}]}),
            "The other system refused it: 422 (value, Task.status).",
        ),
        (
            Reply(400, {"issue": [{"code": 7, "diagnostics": "Dana Reed", "expression": "x"}]}),
            "The other system refused it: 400.",
        ),
    ],
)
def test_an_answer_is_judged_in_our_own_words(reply, says):
    assert judged(reply) == says


@pytest.mark.parametrize("strict", ["community", "city"])
def test_from_outside_a_consent_on_paper_is_asked_for_on_both_sides(region, monkeypatch, strict):
    policy = replace(region.sharing(NOW.date()), paper_kinds=frozenset({strict}))
    monkeypatch.setattr(region, "sharing", lambda _on: policy)
    progress = Progress(Identifier("urn:x", "1"), "requested", NOW)
    spoken = Agreed("1", NOW)
    paper = Paper("Signed", NOW.date())
    for agreed in (
        None,
        spoken,
        replace(spoken, paper=paper, active=False),
        replace(spoken, paper=replace(paper, signed_on=NOW.date() + timedelta(days=2))),
    ):
        sent = Handover(
            progress,
            "city",
            "211info",
            "bed",
            NOW,
            consent=agreed,
            shared={"need": "A bed"} if agreed is None else {"name": "Dana"},
        )
        with pytest.raises(Fault):
            minimised(region, sent, "city", NOW.date(), NOW)
    sent = replace(sent, consent=replace(spoken, paper=paper))
    assert minimised(region, sent, "city", NOW.date(), NOW)[0] == {"name": "Dana"}


@pytest.mark.parametrize(
    ("place", "good"),
    [
        ({"text": "Oak Street", "latitude": "45.5", "longitude": -122.6}, True),
        (None, True),
        ("Oak Street", False),
        ({"text": 7}, False),
        ({"latitude": "north"}, False),
        ({"latitude": "nan"}, False),
        ({"longitude": [1]}, False),
        ({"longitude": 181}, False),
    ],
)
def test_a_place_from_outside_is_one(region, monkeypatch, place, good):
    policy = region.sharing(NOW.date())
    monkeypatch.setattr(
        type(policy), "allowed", lambda *_, **__: (("place",), (), 30), raising=True
    )
    sent = Handover(
        Progress(Identifier("urn:x", "1"), "requested", NOW),
        "city",
        "211info",
        "bed",
        NOW,
        consent=Agreed("1", NOW),
        shared={"place": place},
    )
    if good:
        assert minimised(region, sent, "city", NOW.date(), NOW)[0] == {"place": place}
        return
    with pytest.raises(Fault, match=r"ServiceRequest\.extension: "):
        minimised(region, sent, "city", NOW.date(), NOW)


# --- two systems under any interleaving ----------------------------------------------------------


class Pair:
    """Two databases whose systems know each other; messages are carried by hand, or lost."""

    def __init__(self, engines: tuple[Any, Any], tmp: Any) -> None:
        self.engines = engines
        self.settings = [Settings(var=tmp, secret=f"{name} " * 20) for name in "ab"]
        self.places = (HELP, CITY)
        secret = new_secret()
        for at in (0, 1):
            with self.session(at, self.places[at]) as session:
                systems.connect(
                    session,
                    name="the other",
                    way="push",
                    address="http://127.0.0.1:9",
                    key_id="k",
                    secret=secret,
                    known_as="211info",
                    services={},
                    hosts=("http://127.0.0.1:9",),
                    sealed_by=self.settings[at].secret,
                    now=NOW - timedelta(days=1),
                )
        self.ticks = count(1)

    def session(self, at: int, tenant_id: UUID) -> Any:
        return session_scope(self.engines[at], Scope(tenant_id))

    @property
    def now(self) -> Any:
        return NOW + timedelta(hours=8 * next(self.ticks))

    def work(self, at: int, fate: str = "arrives") -> None:
        """Let one worker go round; what it sends may be lost, or its reply."""
        now, engine = self.now, self.engines[at]
        with self.session(at, self.places[at]) as session:
            gather(session, now=now, settings=self.settings[at])
            found = systems.opened(session, sealed_by=self.settings[at].secret)
            letters = lease(session, found.system, published(engine), now=now)
        for letter in letters:
            problem, final = None, False
            if fate == "lost":
                problem = "lost"
            else:
                for _ in range(2 if fate == "twice" else 1):
                    problem, final = self.deliver(1 - at, letter.content, now)
                if fate == "reply lost":
                    problem, final = "lost", False
            if fate == "worker died":
                continue
            with self.session(at, self.places[at]) as session:
                if problem is None:
                    systems.told(session, letter.id, letter.version, now=now)
                else:
                    systems.failed(
                        session, letter.id, letter.attempt, problem, final=final, now=now
                    )

    def deliver(self, to: int, content: Any, now: Any) -> tuple[str | None, bool]:
        try:
            with self.session(to, self.places[to]) as session:
                system = systems.opened(session, sealed_by=self.settings[to].secret).system
                receive(session, system, content, now=now, known=published(self.engines[to]))
        except Conflict as error:
            return error.code, True
        return None, False

    def refer(self, consent: str = "given", at: int = 0) -> UUID:
        with self.session(at, CITY) as session:
            filed = take_in(
                session,
                published(self.engines[at]),
                Intake(
                    source="desk",
                    key=new_token(),
                    channel="phone",
                    started_at=NOW,
                    service="211info/bed",
                    asker=Asker(name="Dana Reed"),
                    consent=consent,
                    danger_answer="none",
                ),
                now=NOW,
            )
        assert filed.referral_id is not None
        return filed.referral_id

    def rows(self, at: int, tenant_id: UUID) -> dict[UUID, Any]:
        with self.session(at, tenant_id) as session:
            found = session.execute(
                select(Referral.id, Referral.state, Referral.version, Referral.outcome).where(
                    Referral.tenant_id == tenant_id
                )
            ).all()
        return {row.id: row for row in found}

    def step(self, at: int, tenant_id: UUID, referral_id: UUID, to: str) -> None:
        """Take a step as a person would, if the state allows it."""
        row = self.rows(at, tenant_id).get(referral_id)
        side = "sent" if tenant_id == CITY else "received"
        if row is None or to not in lifecycle.next_states(row.state, side):
            return
        with self.session(at, tenant_id) as session:
            service.move(
                session,
                now=self.now,
                referral_id=referral_id,
                version=row.version,
                to=to,
                reason=(lifecycle.REASONS.get(to) or (None,))[0],
                outcome="met" if to == "completed" else None,
                booked_on=NOW.date() if to == "completed" else None,
            )


@pytest.fixture(scope="module")
def pair(server, little_template, tmp_path_factory):
    databases = [server.clone(little_template) for _ in range(2)]
    engines = tuple(make_engine(each.app_url) for each in databases)
    yield Pair(engines, tmp_path_factory.mktemp("var"))
    for engine, database in zip(engines, databases, strict=True):
        engine.dispose()
        server.drop(database.name)


def test_the_quick_look_finds_what_was_touched_and_the_whole_one_all(pair):
    referral_id = pair.refer()
    place, given = pair.places[0], {"settings": pair.settings[0]}
    with pair.session(0, place) as session:
        assert gather(session, now=NOW, lately=NOW - timedelta(hours=1), **given) >= 1
    with pair.session(0, place) as session:
        assert gather(session, now=NOW, lately=NOW - timedelta(hours=1), **given) == 0
        session.execute(
            update(Referral)
            .where(Referral.tenant_id == place, Referral.id == referral_id)
            .values(version=Referral.version + 1)
        )
    later = pair.now
    with pair.session(0, place) as session:
        assert gather(session, now=later, lately=later - timedelta(hours=1), **given) == 0
        assert gather(session, now=later, **given) == 1
    pair.work(0)


def test_a_note_that_comes_again_hides_no_answer_of_ours(pair):
    before = set(pair.rows(1, HELP))
    referral_id = pair.refer()
    with pair.session(0, HELP) as session:
        gather(session, now=pair.now, settings=pair.settings[0])
        system = systems.opened(session, sealed_by=pair.settings[0].secret).system
        letters = lease(session, system, published(pair.engines[0]), now=pair.now)
    content = next(each.content for each in letters if each.id == referral_id)
    assert pair.deliver(1, content, pair.now) == (None, False)
    (there,) = set(pair.rows(1, HELP)) - before
    # its reply is lost; meanwhile the receiver accepts, and a note comes with the same message
    pair.step(1, HELP, there, "accepted")
    task = next(
        each["resource"] for each in content["entry"] if each["resource"]["resourceType"] == "Task"
    )
    task["note"] = [{"id": str(new_id()), "text": "Call after nine"}]
    for _ in range(2):
        assert pair.deliver(1, content, pair.now) == (None, False)
    for _ in range(2):
        pair.work(1)
        pair.work(0)
    assert pair.rows(0, CITY)[referral_id].state == "accepted"


def test_what_a_system_says_of_an_expired_referral_waits_for_the_sender(pair):
    """Its own is still open over there; what it writes is kept, and can be answered."""
    before = set(pair.rows(1, HELP))
    referral_id = pair.refer()
    pair.work(0)
    (there,) = set(pair.rows(1, HELP)) - before

    def write(at: int, place: UUID, of: UUID, how: Any, body: str) -> None:
        version = pair.rows(at, place)[of].version
        with pair.session(at, place) as session:
            how(session, now=pair.now, referral_id=of, version=version, body=body)

    def waits() -> list[bool]:
        """Whether a word waits for an answer: in the sender's row, and in the receiver's."""
        found = []
        for place in (CITY, HELP):
            with pair.session(0, place) as session:
                row = session.get_one(Referral, (place, referral_id))
                found.append(row.asked_at is not None)
        return found

    with pair.session(0, CITY) as session:
        service.move(
            session,
            now=pair.now,
            referral_id=referral_id,
            version=pair.rows(0, CITY)[referral_id].version,
            to="failed",
            reason=lifecycle.EXPIRED,
            by=lifecycle.CLOCK,
        )
    write(1, HELP, there, questions.ask, "She came all the same.")
    pair.work(1)
    assert waits() == [True, True]
    with pair.session(0, CITY) as session:
        (line,) = questions.thread(session, referral_id)
        assert line.body == "She came all the same."
        waiting = worklist.listed(session, "questions", now=pair.now, person_id=None).rows
        assert [each.id for each in waiting] == [referral_id]
    assert pair.rows(0, CITY)[referral_id].state == "failed"
    write(0, CITY, referral_id, questions.answer, "Good to know.")
    assert waits() == [False, False]


def test_what_was_said_late_is_answered_or_erased_by_the_senders_own_system(pair):
    before = set(pair.rows(1, HELP))
    referral_id = pair.refer()
    pair.work(0)
    (there,) = set(pair.rows(1, HELP)) - before

    def late() -> None:
        with pair.session(1, HELP) as session:
            row = session.get_one(Referral, (HELP, there))
            version = row.version
            questions.ask(
                session, now=pair.now, referral_id=there, version=version, body="She came."
            )

    def waits() -> bool:
        with pair.session(1, CITY) as session:
            return session.get_one(Referral, (CITY, there)).asked_at is not None

    with pair.session(1, CITY) as session:
        service.move(
            session,
            now=pair.now,
            referral_id=there,
            version=pair.rows(1, CITY)[there].version,
            to="failed",
            reason=lifecycle.EXPIRED,
            by=lifecycle.CLOCK,
        )
    late()
    assert waits()
    with pair.session(1, CITY) as session:
        questions.take(
            session, now=pair.now, referral_id=there, message_id=new_id(), body="Good to know."
        )
    assert not waits()
    late()
    assert waits()
    with pair.session(0, CITY) as session:
        (consent,) = session.scalars(
            select(Referral.consent_id).where(
                Referral.tenant_id == CITY, Referral.id == referral_id
            )
        )
        consents.revoke_consent(session, now=pair.now, consent_id=consent)
    pair.work(0)
    assert not waits()


@pytest.mark.parametrize("why", ["revoked", "expired"])
def test_a_consent_kept_elsewhere_ends_everything_that_came_of_it(pair, why):
    """211 has referred the person onward: told, erased and over at both, whoever keeps it."""
    before = set(pair.rows(1, HELP))
    referral_id = pair.refer()
    pair.work(0)
    (there,) = set(pair.rows(1, HELP)) - before
    with pair.session(1, COUNTY) as session:
        if not session.scalars(
            select(Service.id).where(Service.tenant_id == COUNTY, Service.key == "bed")
        ).all():
            county_bed(session)
    with pair.session(1, HELP) as session:
        onward = sent_on(session, Published.load(session), there, consent="given")
    if why == "revoked":
        with pair.session(0, CITY) as session:
            rests_on = select(Referral.consent_id).where(
                Referral.tenant_id == CITY, Referral.id == referral_id
            )
            consent_id = session.execute(rests_on).scalar_one()
            consents.revoke_consent(session, now=pair.now, consent_id=consent_id)
        pair.work(0)
    else:
        with pair.session(1, CITY) as session:
            until = session.get_one(Referral, (CITY, there)).use_until
            consents.expire_consents(session, now=until - timedelta(minutes=1))
            assert not session.get_one(Referral, (CITY, there)).consent_ended_at
            assert consents.expire_consents(session, now=until) > 0
            assert consents.expire_consents(session, now=until) == 0
    ends = [(CITY, there), (HELP, there)]
    # to what was asked onward the person agreed for longer
    ends += [(HELP, onward), (COUNTY, onward)] if why == "revoked" else []
    for tenant_id, at in ends:
        with pair.session(1, tenant_id) as session:
            row = session.get_one(Referral, (tenant_id, at))
            assert (row.shared, row.state, row.consent_ended) == (ERASED, "cancelled", why)
    last, at = ends[-1]
    with pair.session(1, last) as session:
        kinds = session.scalars(select(Envelope.kind).where(Envelope.subject_id == at))
        assert "consent_ended" in set(kinds)


def test_rounds_look_at_everything_now_and_then(pair, monkeypatch):
    seen = []
    monkeypatch.setattr(
        external_delivery, "run_errand", lambda *_, lately, **__: seen.append(lately) or 0
    )
    errands, at = Errands(pair.settings[0]), [NOW]
    for minutes in (0, 1, 9, 11, 12):
        at[0] = NOW + timedelta(minutes=minutes)
        errands(pair.engines[0], HELP, lambda: at[0])
    assert [each is None for each in seen] == [True, False, False, True, False]


def test_what_the_sender_writes_later_crosses_only_with_a_consent(pair):
    """A referral without names needs none; words about the person do, whenever they come."""
    before = set(pair.rows(1, HELP))
    referral_id = pair.refer(consent="refused")
    pair.work(0)
    (there,) = set(pair.rows(1, HELP)) - before
    with pair.session(0, HELP) as session:
        system = systems.opened(session, sealed_by=pair.settings[0].secret).system
        _version, told = written(
            session, system, [referral_id], published(pair.engines[0]), now=NOW
        )[referral_id]
    assert told.consent is None

    def deliver(**more: Any) -> int:
        """Let the City's system write another line; give the lines that B keeps."""
        line = Note("Dana sleeps on Oak Street.", "sent", str(new_id()), NOW)
        said = replace(told.progress, changed_at=pair.now, notes=(line,))
        content = write_bundle(replace(told, progress=said, **more), "1")
        pair.deliver(1, content, pair.now)
        with pair.session(1, HELP) as session:
            return len(questions.thread(session, there))

    # not in the City's name, whatever its state; B's rows are as they were
    with pytest.raises(Fault, match=r"Task\.note"):
        deliver()
    assert pair.rows(1, HELP)[there].state == "requested"
    assert deliver(consent=Agreed("1", NOW)) == 1
    # a Task alone is held against what the referral rested on when it came
    with pytest.raises(Fault, match=r"Task\.note"):
        deliver()
    assert deliver(consent=Agreed("1", NOW)) == 2


def test_never_contact_is_said_of_the_person_who_is_known_here(pair):
    """Of a referral that began here its own system says so: all of their contact is stopped."""
    referral_id = pair.refer(at=1)
    with pair.session(1, CITY) as session:
        gather(session, now=pair.now, settings=pair.settings[1])
        system = systems.opened(session, sealed_by=pair.settings[1].secret).system
        _version, told = written(
            session, system, [referral_id], published(pair.engines[1]), now=NOW
        )[referral_id]
    said = replace(told.progress, changed_at=pair.now)
    shared = {"safe_to_call": False}

    def deliver() -> tuple[dict[str, Any], bool]:
        content = write_bundle(
            replace(told, progress=said, shared=shared, consent=Agreed("1", NOW)), "1"
        )
        pair.deliver(1, content, pair.now)
        with pair.session(1, HELP) as session:
            row = session.get_one(Referral, (HELP, referral_id))
        with pair.session(1, CITY) as session:
            prohibited = session.scalars(
                select(Inquirer.contact_prohibited)
                .join(Contact, Contact.inquirer_id == Inquirer.id)
                .join(Referral, Referral.contact_id == Contact.id)
                .where(Referral.tenant_id == CITY, Referral.id == referral_id)
            ).one()
        return row.shared, prohibited

    first, prohibited = deliver()
    assert (first["safe_to_call"], "contact_prohibited" in first, prohibited) == (
        False,
        False,
        False,
    )
    shared["contact_prohibited"] = True
    second, prohibited = deliver()
    assert (second["contact_prohibited"], prohibited) == (True, True)
    # what allows is not heard
    shared.clear()
    shared["safe_to_call"] = True
    assert deliver()[0]["safe_to_call"] is False
    # the other side has no such partner: nothing of it is to go there in what follows
    with pair.session(1, CITY) as session:
        session.execute(
            update(ExchangeTask)
            .where(ExchangeTask.id == referral_id)
            .values(state="told", version=1000, told_version=1000)
        )


fates = st.sampled_from(["arrives", "lost", "reply lost", "twice", "worker died"])
acts = st.one_of(
    st.tuples(st.just("work"), st.sampled_from([0, 1]), fates),
    st.tuples(
        st.just("receiver"),
        st.sampled_from(["accepted", "rejected", "in_progress", "on_hold", "completed", "failed"]),
    ),
    st.tuples(st.just("sender"), st.sampled_from(["cancelled", "entered_in_error"])),
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(acts, max_size=8))
def test_nothing_is_lost_or_doubled_under_any_interleaving(pair, steps):
    before = set(pair.rows(1, HELP))
    referral_id = pair.refer()
    for step in steps:
        there = set(pair.rows(1, HELP)) - before
        match step:
            case ("work", at, fate):
                pair.work(at, fate)
            case ("receiver", to) if there:
                pair.step(1, HELP, next(iter(there)), to)
            case ("sender", to):
                pair.step(0, CITY, referral_id, to)
    for _ in range(3):
        pair.work(0)
        pair.work(1)
    here = {tenant: pair.rows(0, IDS[tenant])[referral_id] for tenant in ("city", "211info")}
    # in each region both partners see the same
    assert here["city"].state == here["211info"].state
    made = {
        tenant: {key: row for key, row in pair.rows(1, IDS[tenant]).items() if key not in before}
        for tenant in ("city", "211info")
    }
    assert len(made["211info"]) <= 1
    assert {key: row.state for key, row in made["city"].items()} == {
        key: row.state for key, row in made["211info"].items()
    }
    if not made["211info"]:
        # it was over before it was handed over
        assert here["city"].state in lifecycle.CLOSED
        return
    ((over_there, row),) = made["211info"].items()
    if row.state == here["city"].state:
        # a result that was on its way when all of it was an error is not heard any more
        assert row.state == "entered_in_error" or row.outcome == here["city"].outcome
        return
    # only where both ended it at once do they differ, and then people are told on both sides
    assert {row.state, here["city"].state} <= set(lifecycle.CLOSED)
    for at, place, task_id in ((0, HELP, referral_id), (1, CITY, over_there)):
        with pair.session(at, place) as session:
            task = session.execute(
                select(ExchangeTask.state).where(
                    ExchangeTask.tenant_id == place, ExchangeTask.id == task_id
                )
            ).scalar_one()
            assert task == "dead"
            session.execute(update(ExchangeTask).values(state="told"))
