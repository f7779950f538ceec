"""Taking contacts in on the real database: nothing is lost, nothing leaks, nothing is doubled."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from regional311.audit.models import AuditEvent
from regional311.database.session import Scope, acting_for, open_session, session_scope
from regional311.errors import InvalidInput, KeyReused, NotFound, Stale
from regional311.exchange.models import Envelope
from regional311.identity.queries import tracked as tracked_token
from regional311.intake import queries as intake_queries
from regional311.intake.models import (
    Contact,
    FollowedRequest,
    Inquirer,
    Need,
    ServiceRequest,
    Transfer,
)
from regional311.metering.models import UsageEvent
from regional311.notices.models import OutboxMessage
from regional311.referral import filing
from regional311.referral.filing import Asker, Intake, Place
from regional311.referral.models import Consent, Decision, Referral
from tests.architecture.catalogue_rules import IDENTITY_TABLES
from tests.little_region import IDS, IN_CITY, NIGHT, NOW, ON_BRIDGE, ON_POWELL, OUTSIDE

ANNA = Asker("Anna Canary", "503-555-0111", "anna@canary.example", wants_updates=True)


def at(point: tuple[float, float]) -> Place:
    return Place(longitude=Decimal(str(point[0])), latitude=Decimal(str(point[1])))


def intake(**values) -> Intake:
    given = {
        "source": "desk",
        "key": "a-form-key-of-enough-bits-0123456789",
        "channel": "phone",
        "line": "city/main",
        "started_at": NOW - timedelta(minutes=4),
        "service": "city/pothole",
        "place": at(IN_CITY),
        "danger_answer": "none",
        "description": "A deep hole",
    }
    return Intake(**{**given, **values})


def only(session, model):
    return session.execute(select(model)).scalars().one()


def count(session, model) -> int:
    return len(session.execute(select(model)).scalars().all())


def test_own_request_with_everything(city, region):
    filed = filing.take_in(city, region, intake(asker=ANNA), now=NOW, url="https://311.example")
    assert filed.outcome == "open_request"
    request = only(city, ServiceRequest)
    assert (request.public_id, request.queue, request.bureau_key) == (
        filed.request_public_id,
        "streets",
        "streets",
    )
    assert request.contact_id == filed.contact_id
    assert request.expected_at > NOW + timedelta(days=1)
    contact = only(city, Contact)
    assert (contact.disposition, contact.handle_seconds) == ("request_filed", 240)
    assert only(city, Need).status == "open"
    decision = only(city, Decision)
    assert decision.trace["tried"][0]["codes"] == "lto"
    assert "Canary" not in str(decision.facts) + str(decision.trace)
    events = {each.activity: each for each in city.execute(select(UsageEvent)).scalars()}
    assert set(events) == {"contact_handled", "request_taken_in"}
    assert events["contact_handled"].jurisdiction_id == IDS["city"]
    assert events["contact_handled"].handle_seconds == 240
    message = only(city, OutboxMessage)
    assert f"https://311.example/track/{filed.token}" in message.body
    assert "Canary" not in str([each.detail for each in city.execute(select(AuditEvent)).scalars()])


def test_one_statement_writes_a_local_intake(little_engine, region, statements):
    with open_session(little_engine, Scope(IDS["city"])) as session:
        statements.clear()
        filing.take_in(session, region, intake(asker=ANNA), now=NOW)
        assert [each.split("(")[0].split()[0] for each in statements] == ["WITH"]
        session.rollback()


def test_bridge_pothole_is_the_countys(city, region):
    filed = filing.take_in(city, region, intake(place=at(ON_BRIDGE), asker=ANNA), now=NOW)
    assert (filed.outcome, filed.target) == ("open_request", "county")
    assert count(city, ServiceRequest) == 0
    followed = only(city, FollowedRequest)
    assert followed.public_id == filed.request_public_id
    with acting_for(city, IDS["county"]):
        request = only(city, ServiceRequest)
        assert (request.id, request.public_id) == (filed.request_id, filed.request_public_id)
        assert (request.service_key, request.queue, request.priority) == (
            "bridge-pothole",
            "bridges",
            "urgent",
        )
        assert request.intake_tenant_id == IDS["city"]
        assert request.contact_id is None
        assert request.latitude == Decimal("45.52")
        assert count(city, Inquirer) == 0
        envelope = only(city, Envelope)
        assert envelope.payload["shared"] == {
            "language": "en",
            "need": "Pothole on a bridge",
            "location": {
                "kind": "point",
                "text": None,
                "latitude": "45.52",
                "longitude": "-122.6",
            },
            "problem": "A deep hole",
        }
        assert count(city, Contact) == 0
    assert count(city, FollowedRequest) == 1


def test_referral_carries_exactly_what_was_agreed(city, region):
    asked = intake(
        service="city/shelter", place=Place(), asker=ANNA, consent="given", description="Cold"
    )
    filed = filing.take_in(city, region, asked, now=NOW)
    assert (filed.outcome, filed.target) == ("refer", "211info")
    exactly = {
        "name": "Anna Canary",
        "phone": "503-555-0111",
        "language": "en",
        "need": "A bed for tonight",
    }
    sent = only(city, Referral)
    assert sent.shared == exactly
    assert sent.consent_id == only(city, Consent).id
    assert only(city, Need).status == "referred"
    with acting_for(city, IDS["211info"]):
        received = only(city, Referral)
        assert (received.id, received.side, received.shared) == (sent.id, "received", exactly)
        assert received.contact_id is None
        assert received.need_id is None
        assert only(city, Envelope).payload["shared"] == exactly
    with acting_for(city, IDS["county"]):
        assert count(city, Referral) == 0
        assert count(city, Envelope) == 0


def test_consent_limits_the_fields(city, region):
    asked = intake(
        service="city/shelter",
        place=Place(),
        asker=ANNA,
        consent="given",
        consent_fields=("phone",),
    )
    filing.take_in(city, region, asked, now=NOW)
    assert set(only(city, Referral).shared) == {"phone", "language", "need"}


def test_consent_must_be_asked_and_may_be_refused(city, region):
    asked = intake(service="city/shelter", place=Place(), asker=ANNA)
    with pytest.raises(filing.ConsentNotAsked):
        filing.take_in(city, region, asked, now=NOW)
    filed = filing.take_in(city, region, replace(asked, consent="refused"), now=NOW)
    assert filed.outcome == "refer"
    assert only(city, Referral).shared == {"language": "en", "need": "A bed for tonight"}
    assert count(city, Consent) == 0


def test_danger_comes_before_every_rule(city, region):
    filed = filing.take_in(
        city, region, intake(danger_answer="suicide", service="city/shelter"), now=NOW
    )
    assert (filed.outcome, filed.target) == ("danger", "911")
    assert only(city, Transfer).number == "988"
    assert only(city, Contact).disposition == "danger"
    assert count(city, Referral) == 0
    assert only(city, Decision).trace["tried"] == []


def test_danger_in_the_words_until_somebody_asked(city, region):
    burning = intake(description="There is a car ON FIRE in the pothole")
    assert filing.take_in(city, region, burning, now=NOW).outcome == "danger"
    cleared = replace(burning, key="another-key-0123456789abcdef", cleared=True)
    assert filing.take_in(city, region, cleared, now=NOW).outcome == "open_request"


def test_danger_must_be_asked(city, region):
    with pytest.raises(filing.DangerNotAsked):
        filing.take_in(city, region, intake(danger_answer=None), now=NOW)


def test_danger_without_a_service(city, region):
    filed = filing.take_in(city, region, intake(service="", danger_answer="fire"), now=NOW)
    assert filed.outcome == "danger"


def test_contact_without_a_service(city, region):
    filed = filing.take_in(
        city, region, intake(service="", disposition="hang_up", call_type="hang_up"), now=NOW
    )
    assert filed.outcome == ""
    assert count(city, Decision) == 0
    assert only(city, UsageEvent).service_owner_id == IDS["city"]


def test_state_highway_is_the_states(city, region):
    filed = filing.take_in(city, region, intake(place=at(ON_POWELL)), now=NOW)
    assert (filed.outcome, filed.target) == ("information", "odot")
    assert "Responsible there: the State." in filed.sentences


def test_nobody_is_responsible_outside(city, region):
    filed = filing.take_in(city, region, intake(place=at(OUTSIDE)), now=NOW)
    assert filed.outcome == "information"
    assert (only(city, Need).status, only(city, Need).unmet_reason) == ("unmet", "none_in_area")


def test_receiver_may_decline(city, region):
    filed = filing.take_in(
        city, region, intake(service="county/clinic", channel="text", place=Place()), now=NOW
    )
    assert filed.outcome == "decline"
    assert only(city, Need).unmet_reason == "all_at_capacity"
    assert count(city, FollowedRequest) == 0


def test_211_answers_the_citys_line_at_night(city, region):
    with acting_for(city, IDS["211info"]):
        filing.take_in(city, region, intake(started_at=NIGHT), now=NIGHT + timedelta(minutes=3))
        contact = only(city, Contact)
        assert contact.after_hours
        assert contact.line_owner_id == IDS["city"]
        event = city.execute(
            select(UsageEvent).where(UsageEvent.activity == "contact_handled")
        ).scalar_one()
        assert (event.line_owner_id, event.after_hours) == (IDS["city"], True)


def test_interpreter_minutes_are_rounded_up(city, region):
    filing.take_in(
        city, region, intake(interpreter=True, handle_seconds=301, language="ru"), now=NOW
    )
    event = city.execute(
        select(UsageEvent).where(UsageEvent.activity == "interpreter_minute")
    ).scalar_one()
    assert event.quantity == 6


def test_form_sent_twice_gives_the_first_answer(committed_engine, region):
    scope = Scope(IDS["city"])
    asked = intake(asker=ANNA)
    with session_scope(committed_engine, scope) as session:
        first = filing.take_in(session, region, asked, now=NOW)
    with open_session(committed_engine, scope) as session:
        with pytest.raises(filing.AlreadyTaken):
            filing.take_in(session, region, asked, now=NOW + timedelta(seconds=9))
        session.rollback()
        again = filing.first_answer(session, asked)
        assert again == replace(first, repeated=True)
        assert filing.take_in(session, region, asked, now=NOW, look_first=True) == again
        with pytest.raises(KeyReused):
            filing.first_answer(session, replace(asked, description="Something else"))
        assert count(session, Contact) == 1
        assert count(session, ServiceRequest) == 1
        session.rollback()
    with committed_engine.connect() as connection:
        found = tracked_token(connection, first.token)
        assert (found.tenant_id, found.request_id) == (IDS["city"], first.request_id)


def test_started_contact_is_continued_once(city, region):
    started = filing.start_contact(city, region, now=NOW, channel="phone", line="city/main")
    first = intake(contact_id=started.id, contact_version=started.version, ends=False, asker=ANNA)
    filed = filing.take_in(city, region, first, now=NOW + timedelta(minutes=2))
    assert (filed.contact_id, filed.contact_public_id) == (started.id, started.public_id)
    assert only(city, Contact).ended_at is None
    assert only(city, Contact).inquirer_id == only(city, Inquirer).id
    second = intake(
        key="second-form-0123456789abcdef01234",
        contact_id=started.id,
        contact_version=2,
        service="city/hours",
        place=Place(),
    )
    filing.take_in(city, region, second, now=NOW + timedelta(minutes=5))
    city.expire_all()
    contact = only(city, Contact)
    assert (contact.version, contact.disposition) == (3, "answered")
    handled = city.execute(
        select(UsageEvent).where(UsageEvent.activity == "contact_handled")
    ).scalars()
    assert len(list(handled)) == 1
    with pytest.raises(Stale) as stale:
        filing.take_in(city, region, replace(second, key="third" * 8), now=NOW)
    assert stale.value.current["version"] == 3


def test_contact_of_another_partner_cannot_be_continued(city, region):
    with acting_for(city, IDS["county"]):
        theirs = filing.start_contact(city, region, now=NOW, channel="phone")
    with pytest.raises(NotFound):
        filing.take_in(
            city, region, intake(contact_id=theirs.id, contact_version=1, service=""), now=NOW
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"service": "city/nothing"},
        {"line": "city/nothing"},
        {"channel": "fax"},
        {"urgency": "yesterday"},
        {"disposition": "lost"},
    ],
)
def test_wrong_input_is_refused(city, region, wrong):
    with pytest.raises(InvalidInput):
        filing.take_in(city, region, intake(**wrong), now=NOW)
    assert count(city, Contact) == 0


def many(number: int) -> list[Intake]:
    kinds = (
        {"place": at(IN_CITY)},
        {"place": at(ON_BRIDGE)},
        {"service": "city/shelter", "place": Place()},
        {"service": "city/hours", "place": Place()},
    )
    return [
        intake(source="replay:june", key=str(each), track=False, **kinds[each % len(kinds)])
        for each in range(number)
    ]


def test_batch_is_written_once_with_few_statements(committed_engine, region, statements):
    scope = Scope(IDS["city"])
    with session_scope(committed_engine, scope) as session:
        statements.clear()
        answers = filing.take_in_many(session, region, many(100))
        assert all(answers)
    assert len(statements) < 25
    with session_scope(committed_engine, scope) as session:
        again = filing.take_in_many(session, region, many(101))
        assert [each is None for each in again] == [True] * 100 + [False]
        assert count(session, Contact) == 101
        assert count(session, FollowedRequest) == 25
    with open_session(committed_engine, Scope(IDS["county"])) as session:
        assert count(session, ServiceRequest) == 25
    with open_session(committed_engine, Scope(IDS["211info"])) as session:
        assert count(session, Referral) == 25


def test_referral_is_on_both_sides_or_on_none(committed_engine, region):
    """A failure at the receiver takes the sender's side with it."""
    asked = intake(service="city/shelter", place=Place(), consent="refused")
    with (
        pytest.raises(RuntimeError),
        session_scope(committed_engine, Scope(IDS["city"])) as session,
    ):
        filing.take_in(session, region, asked, now=NOW)
        raise RuntimeError
    for slug in ("city", "211info"):
        with open_session(committed_engine, Scope(IDS[slug])) as session:
            assert count(session, Referral) == 0
            assert count(session, Envelope) == 0


def test_public_sees_status_and_nothing_else(city, region):
    filed = filing.take_in(city, region, intake(place=at(ON_BRIDGE), asker=ANNA), now=NOW)
    shown = intake_queries.tracked(city, filed.request_id)
    assert (shown.public_id, shown.state) == (filed.request_public_id, "received")
    assert "Canary" not in str(shown)
    assert intake_queries.tracked(city, filed.contact_id) is None


def test_canary_is_in_erasable_rows_only(city, region):
    filing.take_in(
        city,
        region,
        intake(service="city/shelter", place=Place(), asker=ANNA, consent="given"),
        now=NOW,
    )
    allowed = {"inquirers", "outbox_messages", "referrals", "envelopes"}
    for slug in ("city", "211info"):
        with acting_for(city, IDS[slug]):
            tables = city.execute(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            ).scalars()
            for table in sorted(tables):
                if table in IDENTITY_TABLES:
                    continue
                found = city.execute(
                    text(f'SELECT count(*) FROM "{table}" t WHERE t::text ILIKE :word'),
                    {"word": "%canary%"},
                ).scalar_one()
                assert not found or table in allowed, table


def test_preview_says_what_would_be_shared(region):
    asked = intake(service="city/shelter", place=Place())
    shown = filing.preview(region, "city", asked, now=NOW)
    assert shown.decision.outcome == "refer"
    assert shown.service.ref == "211info/bed"
    assert set(shown.shared_fields) == {"language", "need"}
    assert set(shown.consent_fields) == {"name", "phone"}
    assert shown.needs_consent
    assert shown.consent_text == (
        "May we share this? With 211Info, until April 3, 2027: Your name, Your number."
    )
    assert shown.sentences[0] == "Refer to 211Info."
    danger = filing.preview(region, "city", replace(asked, description="kill myself"), now=NOW)
    assert [each.number for each in danger.signs] == ["988"]
    assert filing.preview(region, "city", replace(asked, service=""), now=NOW).decision is None


def test_crossing_costs_a_switch_and_one_statement(committed_engine, region, statements):
    """A cross-tenant contact adds the switch there and back and one statement, nothing else."""
    with open_session(committed_engine, Scope(IDS["city"])) as session:
        statements.clear()
        filing.take_in(session, region, intake(place=at(ON_BRIDGE)), now=NOW)
        assert sum(each.startswith("WITH") for each in statements) == 2
        assert len(statements) <= 10
        session.rollback()


def test_messages_are_in_the_persons_language(city, region):
    asked = intake(asker=ANNA, language="es")
    filing.take_in(
        city, region, asked, now=NOW, translate=lambda text, language: f"[{language}] {text}"
    )
    assert only(city, OutboxMessage).heading.startswith("[es] ")


def test_row_by_row_when_a_batch_fails(committed_engine, region):
    """One bad row fails its batch; taken one by one it costs only itself."""
    good, bad = many(3), intake(source="replay:june", key="bad", service="city/nothing")
    scope = Scope(IDS["city"])
    with pytest.raises(InvalidInput), session_scope(committed_engine, scope) as session:
        filing.take_in_many(session, region, [*good, bad])
    taken = 0
    for each in (*good, bad):
        try:
            with session_scope(committed_engine, scope) as session:
                taken += len(filing.take_in_many(session, region, [each]))
        except InvalidInput:
            continue
    assert taken == 3
    with open_session(committed_engine, scope) as session:
        assert count(session, Contact) == 3
