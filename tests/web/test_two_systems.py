"""Two systems on two ports: what one refers the other works, and nothing is lost or doubled."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, NullPool, create_engine, select, text, update

from regional311.app import main
from regional311.audit.queries import history
from regional311.database.embedded import ADMIN_ROLE
from regional311.database.ids import new_token
from regional311.database.rows import put
from regional311.database.session import Scope, acting_for, make_engine, session_scope
from regional311.exchange import systems
from regional311.exchange.fhir import URI
from regional311.exchange.models import Envelope, ExchangeTask
from regional311.exchange.sealing import new_secret
from regional311.intake.models import Need
from regional311.notices.models import OutboxMessage
from regional311.notices.service import outbox_row
from regional311.referral import consents, prohibition, questions, service, snapshot
from regional311.referral.capacity import set_room
from regional311.referral.external_delivery import Errands, try_out, written
from regional311.referral.filing import Asker, ConsentNotWritten, Intake, take_in
from regional311.referral.models import Consent, Referral
from regional311.referral.sending import Outgoing, referral_rows
from regional311.referral.snapshot import published
from regional311.referral.undoing import undo
from regional311.settings import Settings
from tests.little_region import IDS, NOW, little_template
from tests.serving import serving
from tests.web.conftest import Clock

__all__ = ["little_template"]
pytestmark = pytest.mark.commits

CITY, COUNTY, HELP = IDS["city"], IDS["county"], IDS["211info"]
WORK = (
    *("audit_events", "capacities", "contacts", "envelopes", "exchange_tasks"),
    *("exchange_receipts", "external_systems", "outbox_messages"),
    *("referral_messages", "referrals"),
)
"""Tables of what a test leaves behind."""


@dataclass
class Instance:
    """One installation: a database, a server that can be stopped, its worker's errand."""

    engine: Engine
    settings: Settings
    clock: Clock
    port: int = 0
    served: ExitStack | None = None
    errands: Errands | None = None
    application: Any = None

    def start(self) -> None:
        self.application = self.application or main(
            {}, configured=self.settings, engine=self.engine, clock=self.clock
        )
        self.served = ExitStack()
        self.port = self.served.enter_context(serving(self.application, port=self.port, threads=2))

    def stop(self) -> None:
        if self.served is not None:
            self.served.close()
            self.served = None

    def work(self, tenant_id: UUID) -> int:
        self.errands = self.errands or Errands(self.settings)
        return self.errands(self.engine, tenant_id, self.clock)

    def session(self, tenant_id: UUID) -> Any:
        return session_scope(self.engine, Scope(tenant_id))

    def referrals(self, tenant_id: UUID) -> list[Any]:
        with self.session(tenant_id) as session:
            return list(
                session.execute(
                    select(
                        Referral.id,
                        Referral.state,
                        Referral.side,
                        Referral.reason,
                        Referral.outcome,
                        Referral.shared,
                        Referral.version,
                        Referral.received_at,
                    ).where(Referral.tenant_id == tenant_id)
                )
            )

    def one(self, tenant_id: UUID) -> Any:
        (found,) = self.referrals(tenant_id)
        return found

    def lines(self, tenant_id: UUID) -> list[tuple[str, str | None]]:
        """What stands in the thread of the referral, as a page shows it."""
        with self.session(tenant_id) as session:
            found = questions.thread(session, self.one(tenant_id).id)
        return [(each.side, each.body) for each in found]

    def write(self, tenant_id: UUID, how: Any, body: str) -> None:
        found = self.one(tenant_id)
        with self.session(tenant_id) as session:
            how(
                session,
                now=self.clock.now,
                referral_id=found.id,
                version=found.version,
                body=body,
            )

    def task(self, tenant_id: UUID) -> Any:
        with self.session(tenant_id) as session:
            return session.execute(
                select(
                    ExchangeTask.id,
                    ExchangeTask.state,
                    ExchangeTask.attempts,
                    ExchangeTask.problem,
                ).where(ExchangeTask.tenant_id == tenant_id)
            ).one()

    def move(self, tenant_id: UUID, to: str, **more: Any) -> None:
        found = self.one(tenant_id)
        if to == "completed":
            more["booked_on"] = self.clock.now.date()
        with self.session(tenant_id) as session:
            service.move(
                session,
                now=self.clock.now,
                referral_id=found.id,
                version=found.version,
                to=to,
                **more,
            )


@dataclass
class Two:
    """A, where the City refers people to 211; and B, in which 211 really works."""

    a: Instance
    b: Instance
    clock: Clock

    def connect(self, way_of_a: str = "push", way_of_b: str = "push") -> None:
        common = {"key_id": "a-and-b", "now": self.clock.now, "services": {}}
        at_b, at_a = (f"http://127.0.0.1:{each.port}" for each in (self.b, self.a))
        with self.a.session(HELP) as session:
            secret = systems.connect(
                session,
                name="B",
                way=way_of_a,
                address=f"{at_b}/city/fhir",
                secret=None,
                known_as="211info",
                hosts=self.a.settings.exchange_hosts,
                sealed_by=self.a.settings.secret,
                **common,
            )
        assert secret is not None
        with self.b.session(CITY) as session:
            made = systems.connect(
                session,
                name="A",
                way=way_of_b,
                address=f"{at_a}/211info/fhir",
                secret=secret,
                known_as="city",
                hosts=self.b.settings.exchange_hosts,
                sealed_by=self.b.settings.secret,
                **common,
            )
        assert made is None

    def refer(self, **more: Any) -> None:
        """The City refers somebody who needs a bed, with consent."""
        intake = Intake(
            source="desk",
            key=new_token(),
            channel="phone",
            started_at=self.clock.now,
            service="211info/bed",
            description="sleeps in a car",
            asker=Asker(name="Dana Reed", phone="503 555 0101"),
            danger_answer="none",
            **{"consent": "given", **more},
        )
        with session_scope(self.a.engine, Scope(CITY, UUID(int=42))) as session:
            take_in(session, published(self.a.engine), intake, now=self.clock.now)

    def both(self) -> None:
        """Let both workers go round, an hour later, so that what failed before is due again."""
        self.clock.advance(hours=7)
        for _ in range(2):
            self.a.work(HELP)
            self.b.work(CITY)

    def need(self) -> Any:
        with self.a.session(CITY) as session:
            return session.execute(
                select(Need.status, Need.unmet_reason).where(Need.tenant_id == CITY)
            ).one()


@pytest.fixture(scope="module")
def made(server, little_template: str, tmp_path_factory) -> Iterator[tuple[Two, list[str]]]:
    """Two systems for all tests of this module; each begins with nothing referred."""
    var, clock = tmp_path_factory.mktemp("var"), Clock(NOW)
    databases = [server.clone(little_template) for _ in range(2)]
    instances = []
    for name, database in zip("ab", databases, strict=True):
        settings = Settings(var=var, secret=f"the secret of {name} " * 3)
        instances.append(Instance(make_engine(database.app_url), settings, clock))
    for each in instances:
        each.start()
    hosts = tuple(f"http://127.0.0.1:{each.port}" for each in instances)
    for each in instances:
        each.settings = replace(each.settings, exchange_hosts=hosts)
    urls = [server.address.url(ADMIN_ROLE, each.name) for each in databases]
    yield Two(instances[0], instances[1], clock), urls
    for each, database in zip(instances, databases, strict=True):
        each.stop()
        each.engine.dispose()
        server.drop(database.name)


@pytest.fixture
def two(made) -> Two:
    found, urls = made
    for url in urls:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(text(f"TRUNCATE {', '.join(WORK)} CASCADE"))
    snapshot.invalidate()
    found.clock.now = NOW
    for each in (found.a, found.b):
        each.errands = None
        if each.served is None:
            each.start()
    return found


def test_referred_there_worked_there_seen_here(two):
    two.connect()
    two.refer()
    two.a.work(HELP)
    came = two.b.one(HELP)
    assert (came.side, came.state) == ("received", "requested")
    assert came.shared == {
        "name": "Dana Reed",
        "phone": "503 555 0101",
        "language": "en",
        "need": "A bed for tonight",
    }
    with two.b.session(HELP) as session:
        service.opened(session, now=two.clock.now, referral_id=came.id)
    two.b.work(CITY)
    assert two.a.one(CITY).received_at is not None
    two.b.move(HELP, "accepted")
    two.b.work(CITY)
    assert (two.a.one(CITY).state, two.need().status) == ("accepted", "referred")
    two.b.move(HELP, "in_progress")
    two.b.move(HELP, "completed", outcome="met")
    two.b.work(CITY)
    assert (two.a.one(CITY).state, two.a.one(CITY).outcome) == ("completed", "met")
    assert two.need().status == "met"
    # nothing echoes: all is told on both sides
    two.both()
    assert two.a.work(HELP) == two.b.work(CITY) == 0
    assert [
        len(each.referrals(IDS[slug])) for each in (two.a, two.b) for slug in ("city", "211info")
    ] == [1, 1, 1, 1]


@pytest.mark.parametrize("ways", [("push", "push"), ("they_poll", "we_poll")])
def test_what_needs_a_consent_on_paper_goes_over_with_the_paper_named(two, monkeypatch, ways):
    real = snapshot.Published.sharing

    def strict(known: snapshot.Published, on: date) -> snapshot.Sharing:
        return replace(real(known, on), paper_kinds=frozenset({"community"}))

    monkeypatch.setattr(snapshot.Published, "sharing", strict)
    two.connect(*ways)
    with pytest.raises(ConsentNotWritten):
        two.refer()
    two.refer(consent_method="written")
    two.both()
    assert two.b.one(HELP).shared["name"] == "Dana Reed"
    with two.b.session(HELP) as session:
        (kept,) = session.scalars(select(Envelope.payload).where(Envelope.kind == "referral"))
    assert kept["consent"] == {
        "title": "Consent signed on paper, kept by City",
        "on": "2026-10-05",
        "language": "en",
    }
    # what is written later rests on the same paper, and the answer comes back
    two.b.write(HELP, questions.ask, "Is there a dog?")
    two.both()
    two.a.write(CITY, questions.answer, "A small one.")
    two.both()
    assert two.b.lines(HELP)[-1] == ("sent", "A small one.")
    two.b.move(HELP, "accepted")
    two.both()
    assert two.a.one(CITY).state == "accepted"


def test_words_that_may_not_cross_hold_up_no_step(two):
    two.connect()
    two.refer(consent="refused")
    two.both()
    two.b.write(HELP, questions.ask, "Is there a dog?")
    two.both()
    two.a.write(CITY, questions.answer, "Dana has a small one.")
    two.both()
    assert two.b.lines(HELP) == [("received", "Is there a dog?")]
    assert "telephone" in two.a.task(HELP).problem
    two.a.move(CITY, "cancelled", reason="sender_withdrew")
    two.both()
    assert (two.b.one(HELP).state, two.a.task(HELP).state) == ("cancelled", "told")


def test_one_is_down_for_a_while_and_nothing_is_lost_or_doubled(two):
    two.connect()
    two.b.stop()
    two.refer()
    assert two.a.work(HELP) == 0
    waiting = two.a.task(HELP)
    assert (waiting.state, waiting.attempts) == ("waiting", 1)
    assert "did not answer" in waiting.problem
    two.b.start()
    two.both()
    assert two.b.one(HELP).state == "requested"
    # A is down while B goes on; several steps become one message
    two.a.stop()
    two.b.move(HELP, "accepted")
    two.b.work(CITY)
    two.b.move(HELP, "completed", outcome="unmet")
    two.b.work(CITY)
    assert two.a.one(CITY).state == "requested"
    two.a.start()
    two.both()
    assert (two.a.one(CITY).state, two.need().status) == ("completed", "unmet")
    # a worker that died before it wrote that it was told tells again: nothing happens twice
    before = two.b.referrals(HELP), two.a.referrals(CITY)
    for each, tenant_id in ((two.a, HELP), (two.b, CITY)):
        with each.session(tenant_id) as session:
            session.execute(
                update(ExchangeTask).values(state="waiting", due_at=NOW, told_version=0)
            )
    two.both()
    assert (two.b.referrals(HELP), two.a.referrals(CITY)) == before
    assert (two.a.task(HELP).state, two.b.task(CITY).state) == ("told", "told")


def test_one_that_cannot_be_reached_fetches(two):
    two.connect("they_poll", "we_poll")
    two.refer()
    two.a.work(HELP)
    assert two.b.referrals(HELP) == []
    two.both()
    assert two.b.one(HELP).shared["name"] == "Dana Reed"
    two.b.move(HELP, "rejected", reason="no_capacity")
    two.both()
    assert (two.a.one(CITY).state, two.a.one(CITY).reason) == ("rejected", "no_capacity")
    # whether B had the referral was not known when it answered: it is told how it stands once more
    two.both()
    two.both()
    assert (two.a.task(HELP).state, two.b.task(CITY).state) == ("told", "told")
    assert len(two.b.referrals(HELP)) == 1


def test_the_sender_withdraws_and_what_was_shared_does_not_go_again(two):
    two.connect()
    two.refer()
    two.a.work(HELP)
    two.a.move(CITY, "cancelled", reason="person_declined")
    two.both()
    assert (two.b.one(HELP).state, two.b.one(HELP).reason) == ("cancelled", "person_declined")


def test_a_step_that_was_taken_back_there_is_taken_back_here(two):
    two.connect()
    two.refer()
    two.a.work(HELP)
    two.b.move(HELP, "rejected", reason="no_capacity")
    two.b.work(CITY)
    assert two.a.one(CITY).state == "rejected"
    found = two.b.one(HELP)
    with two.b.session(HELP) as session:
        undo(session, now=two.clock.now, referral_id=found.id, version=found.version)
    two.b.work(CITY)
    assert two.a.one(CITY).state == "requested"
    assert two.need().status == "referred"
    two.b.move(HELP, "accepted")
    two.b.work(CITY)
    assert two.a.one(CITY).state == "accepted"


@pytest.mark.parametrize("ways", [("push", "push"), ("they_poll", "we_poll")])
def test_a_question_goes_over_there_and_its_answer_comes_back(two, ways):
    two.connect(*ways)
    two.refer()
    two.both()
    two.b.write(HELP, questions.ask, "Is there a dog?")
    two.both()
    assert two.a.lines(CITY) == two.a.lines(HELP) == [("received", "Is there a dog?")]
    assert two.a.one(CITY).state == "requested"
    with two.a.session(CITY) as session:
        asked_at = session.execute(
            select(Referral.asked_at).where(Referral.tenant_id == CITY)
        ).scalar_one()
    assert asked_at is not None
    two.a.write(CITY, questions.answer, "A small one.")
    two.both()
    whole = [("received", "Is there a dog?"), ("sent", "A small one.")]
    assert two.b.lines(HELP) == two.b.lines(CITY) == whole
    two.b.move(HELP, "accepted")
    two.both()
    assert two.a.one(CITY).state == "accepted"
    # told once on each side, whatever comes again
    for each, tenant_id in ((two.a, HELP), (two.b, CITY)):
        with each.session(tenant_id) as session:
            session.execute(
                update(ExchangeTask).values(state="waiting", due_at=NOW, told_version=0)
            )
    two.both()
    two.both()
    assert two.a.lines(CITY) == two.b.lines(HELP) == whole
    assert (two.a.task(HELP).state, two.b.task(CITY).state) == ("told", "told")


def test_an_answer_that_crosses_with_a_step_is_told_all_the_same(two):
    two.connect()
    two.refer()
    two.a.work(HELP)
    two.b.write(HELP, questions.ask, "Is there a dog?")
    two.b.work(CITY)
    # both write while neither hears the other
    two.a.write(CITY, questions.answer, "Yes, she has one.")
    two.b.move(HELP, "accepted")
    two.b.work(CITY)
    two.both()
    assert two.b.lines(HELP)[-1] == ("sent", "Yes, she has one.")
    assert two.a.one(CITY).state == two.b.one(HELP).state == "accepted"
    assert two.a.lines(CITY) == two.b.lines(HELP)


def test_what_was_written_goes_with_the_consent(two):
    two.connect()
    two.refer()
    two.a.work(HELP)
    two.b.write(HELP, questions.ask, "Which street?")
    two.b.work(CITY)
    two.a.write(CITY, questions.answer, "Dana sleeps on Oak Street.")
    two.both()
    with two.a.session(CITY) as session:
        consent_id = session.execute(
            select(Consent.id).where(Consent.tenant_id == CITY)
        ).scalar_one()
        consents.revoke_consent(session, now=two.clock.now, consent_id=consent_id)
    two.both()
    assert two.b.lines(HELP) == two.b.lines(CITY) == [("received", None), ("sent", None)]


def test_what_is_full_over_there_is_rejected_at_once(two):
    two.connect()
    with two.b.session(HELP) as session:
        set_room(
            session,
            now=two.clock.now,
            service_key="bed",
            state="none",
            until=two.clock.now + timedelta(days=2),
        )
    snapshot.invalidate()
    two.refer()
    two.both()
    assert (two.a.one(CITY).state, two.a.one(CITY).reason) == ("rejected", "no_capacity")
    assert two.b.one(HELP).state == "rejected"


@pytest.mark.parametrize("closed", [False, True])
def test_consent_taken_back_is_told_and_erased_over_there(two, closed):
    two.connect()
    two.refer()
    two.a.work(HELP)
    if closed:
        two.b.move(HELP, "accepted")
        two.b.move(HELP, "completed", outcome="met")
        two.b.work(CITY)
    assert two.b.one(HELP).shared["name"] == "Dana Reed"
    with two.a.session(CITY) as session:
        consent_id = session.execute(
            select(Consent.id).where(Consent.tenant_id == CITY)
        ).scalar_one()
        consents.revoke_consent(session, now=two.clock.now, consent_id=consent_id)
    two.both()
    for tenant_id in (CITY, HELP):
        assert two.b.one(tenant_id).shared == {"erased": True}
    assert two.b.one(HELP).state == ("completed" if closed else "cancelled")
    with two.b.session(HELP) as session:
        assert "Dana" not in str(session.execute(select(Envelope.payload)).all())


def test_both_end_it_at_once_and_people_see_that_it_does_not_fit(two):
    two.connect()
    two.refer()
    two.a.work(HELP)
    two.a.stop()
    two.b.move(HELP, "accepted")
    two.b.move(HELP, "completed", outcome="met")
    two.a.move(CITY, "cancelled", reason="sender_withdrew")
    two.a.start()
    two.both()
    for each, tenant_id in ((two.a, HELP), (two.b, CITY)):
        task = each.task(tenant_id)
        assert task.state == "dead"
        assert "409 (conflict, Task.status)" in task.problem
        with each.session(tenant_id) as session:
            systems.retry(session, task.id, now=two.clock.now)
        assert each.task(tenant_id).state == "waiting"


def test_a_secret_is_replaced_on_one_side_first_and_nothing_stops_for_good(two):
    two.connect()
    two.refer()
    two.a.work(HELP)
    fresh = new_secret()

    def replace_at(each, tenant_id, **how):
        with each.session(tenant_id) as session:
            (current,) = [one for one in systems.systems(session) if one.ended_at is None]
            systems.change_secret(
                session,
                current.id,
                fresh,
                sealed_by=each.settings.secret,
                now=two.clock.now,
                **how,
            )

    replace_at(two.a, HELP)
    # B still signs with the old one, and is heard
    two.b.move(HELP, "accepted")
    two.b.work(CITY)
    assert two.a.one(CITY).state == "accepted"
    replace_at(two.b, CITY)
    two.b.move(HELP, "completed", outcome="met")
    two.both()
    assert two.a.one(CITY).state == "completed"
    # a day later the old one is good for nothing; said to be known to others, never
    with two.a.session(HELP) as session:
        kept = systems.opened(session, sealed_by=two.a.settings.secret)
        assert kept is not None
        assert kept.former is not None
        assert kept.former_until == NOW + systems.FORMER_GOOD
    replace_at(two.a, HELP, known_to_others=True)
    with two.a.session(HELP) as session:
        kept = systems.opened(session, sealed_by=two.a.settings.secret)
        assert kept is not None
        assert kept.former is None


def test_a_test_message_says_what_is_wrong(two):
    two.connect()
    with two.a.session(HELP) as session:
        found = systems.opened(session, sealed_by=two.a.settings.secret)
    assert try_out(found, now=two.clock.now, settings=two.a.settings) is None
    late = two.clock.now + timedelta(minutes=6)
    assert "401 (login)" in try_out(found, now=late, settings=two.a.settings)
    elsewhere = Settings(var=Path(), secret=two.a.settings.secret)
    assert "REGIONAL311_EXCHANGE_HOSTS" in try_out(found, now=two.clock.now, settings=elsewhere)


@pytest.mark.parametrize("ways", [("push", "push"), ("they_poll", "we_poll")])
def test_never_contact_is_heard_over_there_however_late(two, ways):
    two.connect(*ways)
    two.refer()
    two.both()
    two.b.move(HELP, "accepted")
    two.both()
    assert "contact_prohibited" not in two.b.one(HELP).shared
    with two.b.session(CITY) as session:
        put(
            session,
            outbox_row(
                CITY,
                event="request_closed",
                recipient="dana@example.org",
                language="en",
                now=two.clock.now,
                subject_id=two.b.one(CITY).id,
                values={"number": "F", "service": "A bed", "message": "", "partner": "211"},
            ),
        )
    with two.a.session(CITY) as session:
        contact_id = session.scalars(
            select(Referral.contact_id).where(Referral.tenant_id == CITY)
        ).one()
        prohibition.prohibit(session, now=two.clock.now, contact_id=contact_id)
    two.both()
    for tenant_id in (CITY, HELP):
        shared = two.b.one(tenant_id).shared
        assert shared["contact_prohibited"] is True
        assert shared["safe_to_call"] is False
        with two.b.session(tenant_id) as session:
            told = [
                each.action
                for each in history(session, two.b.one(tenant_id).id)
                if each.action == "referral:prohibit"
            ]
        assert told == ["referral:prohibit"]
    with two.b.session(CITY) as session:
        assert session.scalars(
            select(OutboxMessage.state).where(OutboxMessage.tenant_id == CITY)
        ).all() == ["withdrawn"]
    # it stays so, and nothing echoes
    before = two.b.one(HELP).version
    two.both()
    assert two.b.one(HELP).version == before
    assert (two.a.one(CITY).state, two.a.task(HELP).state) == ("accepted", "told")


def said_late(instance, tenant_id) -> list[Any]:
    with instance.session(tenant_id) as session:
        found = history(session, instance.one(tenant_id).id)
    return [each.detail for each in found if each.action == "referral:overtaken"]


def expire(two) -> None:
    two.a.move(CITY, "failed", reason="expired", by="clock")


@pytest.mark.parametrize("ways", [("push", "push"), ("they_poll", "we_poll")])
@pytest.mark.parametrize("answered", [False, True])
def test_what_expired_here_is_over_there_too(two, ways, answered):
    two.connect(*ways)
    two.refer()
    two.both()
    if answered:
        two.b.move(HELP, "accepted")
        two.both()
    expire(two)
    two.both()
    for tenant_id in (CITY, HELP):
        found = two.b.one(tenant_id)
        assert (found.state, found.reason) == ("failed", "expired")
    two.both()
    assert two.a.task(HELP).state == "told"


@pytest.mark.parametrize("ways", [("push", "push"), ("they_poll", "we_poll")])
def test_who_completes_after_it_expired_is_heard_in_the_histories(two, ways):
    two.connect(*ways)
    two.refer()
    two.both()
    two.b.write(HELP, questions.ask, "She came all the same.")
    two.b.move(HELP, "accepted")
    two.b.move(HELP, "completed", outcome="met")
    expire(two)
    two.both()
    two.both()
    assert (two.a.one(CITY).state, two.b.one(HELP).state) == ("failed", "completed")
    assert two.a.lines(CITY) == [("received", "She came all the same.")]
    for tenant_id in (CITY, HELP):
        (detail,) = said_late(two.a, tenant_id)
        assert (detail["state"], detail["outcome"]) == ("completed", "met")
        (back,) = said_late(two.b, tenant_id)
        assert (back["state"], back["reason"]) == ("failed", "expired")
    assert "409" in two.b.task(CITY).problem
    # said again it stands there once
    with two.b.session(CITY) as session:
        systems.retry(session, two.b.task(CITY).id, now=two.clock.now)
    two.both()
    assert len(said_late(two.a, CITY)) == 1


def onward_in_b(two) -> None:
    """211 refers onward to the County, in B, what it has from the City."""
    outgoing = Outgoing(
        "211info",
        "county",
        "clinic",
        {"need": "A bed"},
        "normal",
        "phone",
        3,
        30,
        part_of_id=two.b.one(HELP).id,
    )
    with two.b.session(HELP) as session:
        own, received = referral_rows(published(two.b.engine), outgoing, now=two.clock.now)
        put(session, *own)
        with acting_for(session, COUNTY):
            put(session, *received)


@pytest.mark.parametrize("service_key", ["shelter", "hours"])
def test_nobody_is_sent_round_through_another_system(two, service_key):
    """The City refers to 211, which works in B; from there the person would come to the City."""
    two.connect()
    two.refer()
    two.both()
    two.b.move(HELP, "accepted")
    two.both()
    with two.a.session(HELP) as session:
        secret = systems.opened(session, sealed_by=two.a.settings.secret).secret
    # in B the County stands for the City of A
    with two.b.session(COUNTY) as session:
        systems.connect(
            session,
            name="A again",
            way="we_poll",
            address=f"http://127.0.0.1:{two.a.port}/211info/fhir",
            key_id="a-and-b",
            secret=urlsafe_b64encode(secret).rstrip(b"=").decode(),
            known_as="city",
            services={"clinic": service_key},
            hosts=two.b.settings.exchange_hosts,
            sealed_by=two.b.settings.secret,
            now=two.clock.now,
        )
    onward_in_b(two)
    for _ in range(2):
        two.clock.advance(hours=7)
        two.b.work(COUNTY)
        two.a.work(HELP)
    (there,) = two.b.referrals(COUNTY)
    assert (there.state, there.reason) == ("rejected", "duplicate")
    back = {each.side: each for each in two.a.referrals(HELP)}
    assert (back["sent"].state, back["received"].state) == ("rejected", "accepted")
    with two.a.session(HELP) as session:
        assert (
            session.scalars(
                select(Referral.part_of_id).where(
                    Referral.tenant_id == HELP, Referral.id == back["sent"].id
                )
            ).one()
            == back["received"].id
        )
    # a third system reads neither what another calls it nor where that is
    with two.b.session(CITY) as session:
        session.execute(
            update(ExchangeTask)
            .where(ExchangeTask.tenant_id == CITY)
            .values(identifier_system="https://shelter.example/ids", identifier_value="7")
        )
    with two.b.session(COUNTY) as session:
        system = systems.opened(session, sealed_by=two.b.settings.secret).system
        told = written(session, system, [there.id], published(two.b.engine), now=two.clock.now)
    assert {each.system for each in told[there.id][1].part_of} == {URI}
