"""Emergencies, drills, duty and lent help on a real database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, select, text

from regional311.audit.models import AuditEvent
from regional311.cover import aid, duty, queries
from regional311.cover import emergencies as service
from regional311.cover.due import cover_due
from regional311.cover.emergencies import EmergencyOver, Known, Plan
from regional311.cover.emergency import InForce
from regional311.cover.models import Aid, Duty, Emergency
from regional311.database.base import Base
from regional311.database.ids import new_id, new_token, public_id
from regional311.database.rows import put, send
from regional311.database.session import Scope, acting_for, session_scope
from regional311.errors import Forbidden, InvalidInput, NotFound, Stale
from regional311.intake.models import Contact, Need, ServiceRequest
from regional311.intake.service import close_contact, start_contact
from regional311.metering.models import UsageEvent
from regional311.referral.filing import Intake, plan
from regional311.referral.snapshot import NOBODY, Published
from tests.little_region import IDS

NOW = datetime(2026, 11, 25, 20, tzinfo=UTC)
KNOWN = Known({"storm"}, {"city/pothole"}, {"city/main", "211info/main"}, {"city", "211info"})
STORM = Plan(
    "storm",
    {"en": {"title": "Storm", "text": "Stay in."}, "es": {"title": "Tormenta", "text": ""}},
    NOW + timedelta(hours=10),
    services=("city/pothole",),
    places=({"kind": "shelter", "name": "Hall"},),
    surges=(("city/main", "211info"),),
)


def begin(session, *, drill: bool = False, plan: Plan = STORM):
    number = service.start(session, plan, reason="Ice", drill=drill, known=KNOWN, now=NOW)
    send(session)
    return session.execute(select(Emergency.__table__).where(Emergency.public_id == number)).one()


def test_it_starts_is_changed_and_ends_and_the_trail_says_so(city):
    row = begin(city)
    wetter = Plan(STORM.kind, STORM.texts, NOW + timedelta(hours=20))
    service.change(city, row.id, wetter, version=row.version, known=KNOWN, now=NOW)
    with pytest.raises(Stale):
        service.change(city, row.id, STORM, version=row.version, known=KNOWN, now=NOW)
    assert service.end(city, row.id, now=NOW + timedelta(hours=1)) is True
    assert service.end(city, row.id, now=NOW + timedelta(hours=2)) is False
    with pytest.raises(EmergencyOver):
        service.change(city, row.id, STORM, version=3, known=KNOWN, now=NOW)
    actions = city.execute(
        select(AuditEvent.action, AuditEvent.detail)
        .where(AuditEvent.subject_id == row.id)
        .order_by(AuditEvent.id)
    ).all()
    assert [each.action for each in actions] == [
        "emergency:start",
        "emergency:edit",
        "emergency:end",
    ]
    assert actions[1].detail["before"]["services"] == ["city/pothole"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"kind": "comet"}, "kind"),
        ({"texts": {}}, "texts"),
        ({"texts": {"en": {"title": "x" * 201}}}, "texts"),
        ({"ends_at": NOW}, "ends_at"),
        ({"ends_at": NOW + timedelta(days=400)}, "ends_at"),
        ({"services": ("city/none",)}, "services"),
        ({"surges": (("city/none", "211info"),)}, "surges"),
        ({"surges": (("city/main", "city"),)}, "surges"),
        ({"surges": (("city/main", "moon"),)}, "surges"),
        ({"places": ({"kind": "pub", "name": "Hall"},)}, "places"),
    ],
)
def test_a_plan_that_cannot_be_names_its_field_and_changes_nothing(city, changed, field):
    fields = {name: getattr(STORM, name) for name in Plan.__dataclass_fields__}
    with pytest.raises(InvalidInput) as refused:
        begin(city, plan=Plan(**fields | changed))
    assert refused.value.field == field
    assert city.execute(select(Emergency.id)).all() == []


def test_a_reason_is_needed(city):
    with pytest.raises(InvalidInput) as refused:
        service.start(city, STORM, reason="  ", drill=False, known=KNOWN, now=NOW)
    assert refused.value.field == "reason"


def test_it_ends_at_its_planned_end_by_the_worker_once(city):
    row = begin(city)
    late = STORM.ends_at + timedelta(minutes=3)
    assert service.end_due(city, STORM.ends_at - timedelta(seconds=1)) == 0
    assert cover_due(city, late) == 1
    assert cover_due(city, late) == 0
    ended = city.execute(
        select(Emergency.ended_at, Emergency.ended_by).where(Emergency.id == row.id)
    ).one()
    assert ended == (STORM.ends_at, None)


def test_a_partner_changes_its_own_only(city):
    row = begin(city)
    with acting_for(city, IDS["county"]), pytest.raises(NotFound):
        service.end(city, row.id, now=NOW)


def test_lines_are_answered_by_the_surge_partner_for_its_time(city):
    before = Published.load(city)
    begin(city)
    after = Published.load(city)
    assert after.revision == before.revision + 1
    noon = NOW + timedelta(minutes=1)
    assert after.emergencies[0].on(noon)
    night = NOW + timedelta(hours=8)
    assert after.who_answers("city/main", night).surge
    assert not after.who_answers("city/main", STORM.ends_at + timedelta(hours=1)).surge


def test_an_ended_line_keeps_its_own_hours_for_contacts_of_before(city):
    city.execute(
        text("UPDATE lines SET ended_on = '2026-11-01' WHERE tenant_id = :me"), {"me": IDS["city"]}
    )
    after = Published.load(city)
    assert after.who_answers("city/main", NOW).kind == "nobody"
    intake = Intake(
        source="replay:old",
        key="1",
        channel="phone",
        started_at=datetime(2026, 10, 6, 17, tzinfo=UTC),
        line="city/main",
    )
    made = plan(after, IDS["city"], intake, now=NOW)
    contact = next(row for row in made.rows if isinstance(row, Contact))
    assert contact.__dict__["after_hours"] is False


# --- drills ---------------------------------------------------------------------------------------


def everything(session) -> dict[str, list]:
    """All rows of all tables that the application can read, less what a drill may write."""
    own = {"emergencies", "emergency_entries", "audit_events"}
    found = {}
    for table in Base.metadata.sorted_tables:
        if table.name in own or table.info.get("kind") == "identity":
            continue
        columns = [
            each for each in table.columns if (table.name, each.name) != ("tenants", "revision")
        ]
        found[table.name] = sorted(map(repr, session.execute(select(*columns)).all()))
    return found


def test_a_drill_changes_no_row_outside_its_own_tables(city):
    before = everything(city)
    decided = Published.load(city)
    row = begin(city, drill=True)
    drill = queries.in_force(row, "city")
    for _ in range(3):
        service.log_entry(
            city,
            drill,
            form_key=new_token(),
            service="city/pothole",
            area="Mill Park",
            note="cold",
            danger=False,
            contact_id=None,
            now=NOW,
        )
    service.change(
        city,
        row.id,
        Plan(STORM.kind, STORM.texts, NOW + timedelta(hours=20)),
        version=row.version,
        known=KNOWN,
        now=NOW,
    )
    during = Published.load(city)
    at = NOW + timedelta(hours=8)
    for ref in during.lines:
        assert during.who_answers(ref, at) == decided.who_answers(ref, at)
    assert service.counted(city, row.id) == [("Mill Park", "city/pothole", 3)]
    service.end(city, row.id, now=NOW + timedelta(hours=1))
    assert everything(city) == before


def test_a_drill_makes_no_contact_and_the_same_form_counts_once(city):
    drill = queries.in_force(begin(city, drill=True), "city")
    entry = {
        "service": "city/pothole",
        "area": "",
        "note": None,
        "danger": False,
        "now": NOW,
    }
    with pytest.raises(InvalidInput):
        service.log_entry(city, drill, form_key="k" * 30, contact_id=IDS["city"], **entry)
    assert service.log_entry(city, drill, form_key="k" * 30, contact_id=None, **entry)
    assert not service.log_entry(city, drill, form_key="k" * 30, contact_id=None, **entry)
    over = {**entry, "now": STORM.ends_at}
    with pytest.raises(EmergencyOver):
        service.log_entry(city, drill, form_key="l" * 30, contact_id=None, **over)


def test_no_help_is_lent_in_a_drill(city):
    row = begin(city, drill=True)
    with pytest.raises(InvalidInput) as refused:
        lend(city, row)
    assert refused.value.field == "emergency"


# --- looking back ---------------------------------------------------------------------------------


def a_need(session, key="bed", place="Kenton", *, secret=False, started_at=NOW):
    """Write a contact with a need at a neighborhood, and maybe its confidential request."""
    started = start_contact(session, now=started_at, channel="phone", line_key="main")
    need = Need(
        tenant_id=IDS["city"],
        id=new_id(),
        contact_id=started.id,
        service_owner_id=IDS["city"],
        service_key=key,
        term=key,
        place_kind="neighbourhood",
        place_text=place,
        latitude=Decimal("45.5"),
        longitude=Decimal("-122.6"),
        created_at=started_at,
    )
    put(session, need)
    send(session)
    if secret:
        session.execute(
            insert(ServiceRequest).values(
                tenant_id=IDS["city"],
                id=new_id(),
                public_id=public_id("R"),
                intake_tenant_id=IDS["city"],
                contact_id=started.id,
                need_id=need.id,
                service_key=key,
                state="received",
                priority="normal",
                confidential=True,
                opened_at=started_at,
                updated_at=started_at,
            )
        )


def test_needs_are_counted_by_place_and_confidential_ones_for_the_cleared_only(city, monkeypatch):
    for _ in range(3):
        a_need(city)
    a_need(city, key="refuge", place="Mill Park")
    a_need(city, key="claim", place="Lents", secret=True)
    a_need(city, started_at=NOW + timedelta(hours=2))

    def seen(**asked):
        found, of_all = queries.needs_since(city, NOW, NOW + timedelta(hours=1), **asked)
        return {(each.place_text, each.service_key): each.count for each in found}, of_all

    open_to_all = {("Kenton", "bed"): 3}
    rest = {("Mill Park", "refuge"): 1, ("Lents", "claim"): 1}
    assert seen() == (open_to_all | rest, 5)
    assert seen(secret={(IDS["city"], "refuge")}) == (open_to_all, 3)
    monkeypatch.setattr(queries, "MOST_PLACES", 1)
    assert seen() == (open_to_all, 5)


def test_contacts_on_a_line_are_counted_in_the_times_asked_for(city):
    for minutes in (0, 30, 90, 150):
        start_contact(city, now=NOW + timedelta(minutes=minutes), channel="phone", line_key="main")
    send(city)
    hour = timedelta(hours=1)
    both = [(NOW, NOW + hour), (NOW + 2 * hour, NOW + 3 * hour)]
    parts = [(IDS["city"], "main", both), (IDS["211info"], "main", both)]
    assert queries.taken_in(city, parts) == [3, 0]
    assert queries.taken_in(city, []) == []


# --- mutual aid -----------------------------------------------------------------------------------


def lend(session, row, *, me=None):
    person = str(me or session.scope.person_id)
    return aid.offer(
        session,
        emergency_id=row.id,
        to=IDS["county"],
        people=[{"id": person, "name": "Sam", "languages": ["es"]}],
        lines=["county/main"],
        note=None,
        now=NOW,
    )


def test_lent_time_is_metered_once_less_what_was_handled(city):
    row = begin(city)
    aid_id = lend(city, row)
    with pytest.raises(InvalidInput):
        duty.go_on_duty(city, name="Sam", languages=["es"], now=NOW, aid_id=aid_id)
    with pytest.raises(Forbidden):
        aid.answer(city, aid_id, accept=True, now=NOW)
    with acting_for(city, IDS["county"]):
        aid.answer(city, aid_id, accept=True, now=NOW)
        with pytest.raises(aid.AidOver):
            aid.answer(city, aid_id, accept=False, now=NOW)
    duty.go_on_duty(city, name="Sam", languages=["es"], now=NOW, aid_id=aid_id)
    with pytest.raises(duty.AlreadyOnDuty), city.begin_nested():
        duty.go_on_duty(city, name="Sam", languages=["es"], now=NOW)
    assert queries.lent_lines(city, city.scope.person_id, NOW) == ["county/main"]
    started = start_contact(
        city,
        now=NOW + timedelta(minutes=10),
        channel="phone",
        line_key="main",
        line_owner_id=IDS["county"],
    )
    close_contact(
        city,
        now=NOW + timedelta(minutes=30),
        contact_id=started.id,
        version=1,
        disposition="answered",
        zone_day=NOW.date(),
    )
    # the emergency ends, the worker looks twice, and the lender's people are off duty
    service.end(city, row.id, now=NOW + timedelta(hours=1))
    assert cover_due(city, NOW + timedelta(hours=1)) == 1
    assert cover_due(city, NOW + timedelta(hours=2)) == 0
    events = city.execute(
        select(UsageEvent.activity, UsageEvent.quantity, UsageEvent.line_owner_id)
        .where(UsageEvent.activity.in_(["lent_minute", "contact_handled"]))
        .order_by(UsageEvent.activity)
    ).all()
    # an hour: 20 minutes are the contact's, 40 were lent; no minute is in both
    assert [(each.activity, each.quantity) for each in events] == [
        ("contact_handled", Decimal(1)),
        ("lent_minute", Decimal(40)),
    ]
    assert {each.line_owner_id for each in events} == {IDS["county"]}
    assert queries.lent_lines(city, city.scope.person_id, NOW) == []
    assert not duty.go_off_duty(city, now=NOW + timedelta(hours=3))
    for tenant in ("city", "county"):
        with acting_for(city, IDS[tenant]):
            states = city.execute(select(Aid.state).where(Aid.id == aid_id)).scalars().all()
            assert states == ["ended"]


@pytest.mark.parametrize(
    ("given", "lent"),
    [
        ({"line_owner_id": IDS["211info"]}, 30),  # metered to a third partner
        ({}, 30),  # the lender's own work
        ({"channel": "walk_in"}, 30),
        ({"channel": "email", "handle_seconds": 300}, 55),
        ({"channel": "text", "line_owner_id": IDS["county"], "handle_seconds": 300}, 55),
        ({"channel": "text", "line_owner_id": IDS["county"], "open": True}, 30),
        ({"channel": "email", "open": True}, 60),
        ({"channel": "email", "handle_seconds": 86_400}, 30),
    ],
)
def test_what_somebody_lent_does_otherwise_is_not_lent(city, given, lent):
    row = begin(city)
    aid_id = lend(city, row)
    with acting_for(city, IDS["county"]):
        aid.answer(city, aid_id, accept=True, now=NOW)
    duty.go_on_duty(city, name="Sam", languages=["es"], now=NOW, aid_id=aid_id)
    started = start_contact(
        city,
        now=NOW + timedelta(minutes=30),
        channel=given.get("channel", "phone"),
        line_key="main",
        line_owner_id=given.get("line_owner_id", IDS["city"]),
    )
    if "open" not in given:
        close_contact(
            city,
            now=NOW + timedelta(minutes=60),
            contact_id=started.id,
            version=1,
            disposition="answered",
            zone_day=NOW.date(),
            handle_seconds=given.get("handle_seconds"),
        )
    assert duty.go_off_duty(city, now=NOW + timedelta(hours=1))
    metered = city.execute(
        select(UsageEvent.quantity).where(UsageEvent.activity == "lent_minute")
    ).scalar_one()
    assert metered == lent


def test_who_goes_off_duty_late_was_lent_until_the_emergency_ended(city):
    row = begin(city)
    aid_id = lend(city, row)
    with acting_for(city, IDS["county"]):
        aid.answer(city, aid_id, accept=True, now=NOW)
    duty.go_on_duty(city, name="Sam", languages=["es"], now=NOW, aid_id=aid_id)
    service.end(city, row.id, now=NOW + timedelta(hours=1))
    assert duty.go_off_duty(city, now=NOW + timedelta(hours=3))
    lent, ended = (
        city.execute(each).scalar_one()
        for each in (
            select(UsageEvent.quantity).where(UsageEvent.activity == "lent_minute"),
            select(Duty.ended_at),
        )
    )
    assert (lent, ended) == (60, NOW + timedelta(hours=1))


def test_help_ends_with_its_emergency_however_late_the_worker_comes(city):
    row = begin(city)
    aid_id = lend(city, row)
    with acting_for(city, IDS["county"]):
        aid.answer(city, aid_id, accept=True, now=NOW)
    duty.go_on_duty(city, name="Sam", languages=["es"], now=NOW, hours=16, aid_id=aid_id)
    late = STORM.ends_at + timedelta(hours=5)
    assert queries.lent_lines(city, city.scope.person_id, late) == []
    assert cover_due(city, late) == 2
    lent = city.execute(
        select(UsageEvent.quantity).where(UsageEvent.activity == "lent_minute")
    ).scalar_one()
    assert lent == 10 * 60
    assert city.execute(select(Aid.ended_at)).scalar_one() == STORM.ends_at
    assert city.execute(select(Duty.ended_at)).scalar_one() == STORM.ends_at


def test_nobody_joins_help_whose_emergency_is_over(city):
    row = begin(city)
    first, second = lend(city, row), lend(city, row)
    over = STORM.ends_at
    with acting_for(city, IDS["county"]):
        aid.answer(city, first, accept=True, now=NOW)
        with pytest.raises(aid.AidOver):
            aid.answer(city, second, accept=True, now=over)
    with pytest.raises(InvalidInput):
        duty.go_on_duty(city, name="Sam", languages=["es"], now=over, aid_id=first)


def test_lent_time_is_booked_on_the_lenders_day_whoever_ends_it(city):
    row = begin(city)
    aid_id = lend(city, row)
    with acting_for(city, IDS["county"]):
        aid.answer(city, aid_id, accept=True, now=NOW)
    duty.go_on_duty(city, name="Sam", languages=["es"], now=NOW, aid_id=aid_id)
    with acting_for(city, IDS["county"]):
        city.execute(
            text("UPDATE tenants SET zone = 'Pacific/Auckland' WHERE id = :id"),
            {"id": IDS["county"]},
        )
        aid.finish(city, aid_id, now=NOW + timedelta(hours=1))
    booked = city.execute(
        select(UsageEvent.booked_on).where(UsageEvent.activity == "lent_minute")
    ).scalar_one()
    assert booked == date(2026, 11, 25)


def test_help_that_was_not_accepted_is_withdrawn_with_the_emergency(city):
    row = begin(city)
    aid_id = lend(city, row)
    cover_due(city, STORM.ends_at)
    assert city.execute(select(Aid.state).where(Aid.id == aid_id)).scalar_one() == "withdrawn"


def test_a_third_partner_sees_no_help(city):
    row = begin(city)
    aid_id = lend(city, row)
    with acting_for(city, IDS["211info"]):
        assert queries.aids_of(city) == []
        with pytest.raises(NotFound):
            aid.finish(city, aid_id, now=NOW)


def test_a_duty_ends_by_itself(city):
    duty.go_on_duty(city, name="Sam", languages=["en", "en"], now=NOW, hours=2)
    assert [each.name for each in queries.on_duty(city, NOW)] == ["Sam"]
    assert queries.on_duty(city, NOW + timedelta(hours=2)) == []
    assert cover_due(city, NOW + timedelta(hours=3)) == 1
    ended = city.execute(select(Duty.ended_at, Duty.languages)).one()
    assert ended == (NOW + timedelta(hours=2), ["en"])


def test_nobody_reads_another_partners_log(committed_engine):
    with session_scope(committed_engine, Scope(IDS["city"])) as session:
        row = begin(session)
        service.log_entry(
            session,
            queries.in_force(row, "city"),
            form_key="k" * 30,
            service="city/pothole",
            area="",
            note=None,
            danger=False,
            contact_id=None,
            now=NOW,
        )
    with session_scope(committed_engine, Scope(IDS["county"])) as session:
        assert service.counted(session, row.id) == []
        assert session.execute(text("SELECT count(*) FROM emergency_entries")).scalar_one() == 0
    with session_scope(committed_engine, NOBODY) as session:
        assert Published.load(session).emergencies[0] == InForce(
            **{
                name: getattr(queries.in_force(row, "city"), name)
                for name in InForce.__dataclass_fields__
            }
        )
