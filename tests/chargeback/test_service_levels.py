"""How well promises were kept: measured from work, entered with a source, credited when missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import select

from regional311.calendars import Period
from regional311.chargeback import agreements, service_levels
from regional311.chargeback.models import ServiceLevelReading
from regional311.chargeback.service_levels import Credit, behind, enter, levels, share
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.errors import Forbidden, InvalidInput, NotFound
from regional311.exchange.models import Envelope
from regional311.intake.models import Contact
from regional311.referral.models import Referral

from .conftest import Region

pytestmark = pytest.mark.commits

OCTOBER = Period.month("2026-10")
NOW = datetime(2026, 11, 2, 18, tzinfo=UTC)
FINANCE = uuid4()
TARGETS = [
    {
        "key": "answer",
        "name": "Nine in ten within a minute",
        "measure": "answer_seconds",
        "goal": 60,
        "credit_percent": "2",
    },
    {
        "key": "first",
        "name": "Resolved at once",
        "measure": "first_contact_percent",
        "goal": 80,
        "credit_percent": "1.5",
    },
    {"key": "accept", "name": "Answered in four hours", "measure": "accept_hours", "goal": 4},
    {
        "key": "close",
        "name": "Closed in ten days",
        "measure": "close_days",
        "goal": 10,
        "credit_percent": "3",
    },
]


@pytest.fixture
def october(region: Region) -> Region:
    region.agree(
        "share",
        "city",
        "county",
        "contact_handled",
        terms={"due_days": 30, "number_prefix": "CITY", "targets": TARGETS},
    )
    return region


def contact(region: Region, number: int, *, wait: int = 0, disposition="answered", **fields):
    """One contact of the City's about a service of the County's."""
    contact_id, city = new_id(), region.tenants["city"]
    day = 1 + number % 28
    said = {"owner": "county"} | fields
    event = region.use(
        "city", said.pop("owner"), at=(2026, 10, day, 12), contact_id=contact_id, **said
    )
    at = datetime(2026, 10, day, 19, tzinfo=UTC)
    with region.of("city") as session:
        put(
            session,
            Contact(
                tenant_id=city,
                id=contact_id,
                public_id=f"C-{number:09}",
                source_key=f"test:{number}",
                line_owner_id=city,
                channel=said.get("channel", "phone"),
                started_at=at,
                ended_at=at,
                wait_seconds=wait,
                disposition=disposition,
            ),
        )
    return event


def referral(region: Region, number: int, sent: datetime, answered=None, closed=None, **fields):
    said = {
        "tenant_id": region.tenants["city"],
        "side": "received",
        "counterparty_id": region.tenants["county"],
        "state": "completed" if closed else "requested",
    }
    with region.of("city") as session:
        put(
            session,
            Referral(
                id=new_id(),
                public_id=f"F-{number:09}",
                service_key="pothole",
                term="pothole",
                shared={},
                channel="phone",
                sent_at=sent,
                answered_at=answered,
                closed_at=closed,
                **(said | fields),
            ),
        )


def read(region: Region, slug: str = "city", period: Period = OCTOBER):
    with region.of(slug) as session:
        row = agreements.versions(session, "share")[-1]
        return {each.target.key: each for each in levels(session, row, period)}


def test_waiting_is_what_nine_in_ten_waited(october: Region) -> None:
    for number in range(10):
        contact(october, number, wait=10 * (number + 1))
    contact(october, 10, wait=900, channel="chat")
    contact(october, 11, wait=900, owner="city")
    found = read(october)["answer"]
    assert (found.reading, found.count, found.met) == (Decimal(90), 10, False)
    assert found.source == service_levels.MEASURED


def test_waiting_that_nobody_recorded_is_not_measured(october: Region) -> None:
    contact(october, 1)
    found = read(october)["answer"]
    assert (found.reading, found.met, found.source) == (None, None, None)
    with october.of("city") as session:
        row = agreements.versions(session, "share")[-1]
        assert [each.key for each in service_levels.credits(session, row, OCTOBER)] == []


def test_first_contact_leaves_out_who_hung_up_and_what_was_corrected(october: Region) -> None:
    for number, end in enumerate(
        ["answered", "request_filed", "answered", "referred", "hang_up", None]
    ):
        contact(october, number, disposition=end)
    wrong = contact(october, 7, disposition="transferred")
    october.use("city", "county", reverses_id=wrong, quantity=Decimal(-1))
    found = read(october)["first"]
    assert (found.reading, found.count, found.met) == (Decimal(75), 4, False)
    with october.of("city") as session:
        row = agreements.versions(session, "share")[-1]
        worst = behind(session, row, found.target, OCTOBER)
    assert (worst[0].public_id, worst[0].value) == ("C-000000003", 0)


def test_referrals_count_when_answered_and_while_overdue(october: Region) -> None:
    first = datetime(2026, 10, 5, 17, tzinfo=UTC)
    hour = timedelta(hours=1)
    referral(october, 1, first, first + hour, first + 24 * hour)
    referral(october, 2, first, first + 2 * hour, first + 24 * 5 * hour)
    # still unanswered at the end of October: twenty-six days and more
    referral(october, 3, first)
    # sent an hour before the end: not late yet
    referral(october, 4, datetime(2026, 11, 1, 5, tzinfo=UTC))
    # another partner's, and of another month
    referral(october, 5, first, counterparty_id=october.tenants["community"])
    referral(october, 6, first, datetime(2026, 11, 3, tzinfo=UTC), state="accepted")
    found = read(october)
    assert found["accept"].count == 4
    assert found["accept"].met is False
    assert found["close"].count == 4
    assert found["close"].reading > 26
    assert read(october, period=Period.month("2026-09"))["close"].reading is None


def test_a_missed_promise_gives_its_credit(october: Region) -> None:
    contact(october, 1, wait=61, disposition="referred")
    with october.of("city") as session:
        row = agreements.versions(session, "share")[-1]
        assert service_levels.credits(session, row, OCTOBER) == [
            Credit("answer", "Nine in ten within a minute", Decimal(61), Decimal(60), Decimal(2)),
            Credit("first", "Resolved at once", Decimal(0), Decimal(80), Decimal("1.5")),
        ]
        with pytest.raises(NotFound):
            service_levels.credits(session, row, Period.month("2020-10"))


def test_an_entered_figure_is_on_both_sides_and_goes_first(october: Region) -> None:
    contact(october, 1, wait=61)
    with october.of("city", FINANCE) as session:
        row = agreements.versions(session, "share")[-1]
        for figure in ("45", "50.5"):
            enter(
                session,
                row,
                target_key="answer",
                period_key="2026-10",
                reading=Decimal(figure),
                source="Telephone system, report of November 1",
                now=NOW,
            )
    for slug in ("city", "county"):
        found = read(october, slug)["answer"]
        assert (found.reading, found.entered, found.met) == (Decimal("50.5"), True, True)
    assert read(october, "county")["first"].reading is None
    with october.of("county") as session:
        rows = list(session.execute(select(ServiceLevelReading)).scalars())
        assert [each.entered_by for each in rows] == [None, None]
        kinds = session.execute(
            select(Envelope.kind).where(Envelope.tenant_id == october.tenants["county"])
        )
        assert set(kinds.scalars()) == {service_levels.READING}
    with october.of("community") as session:
        assert session.execute(select(ServiceLevelReading)).first() is None


def test_what_was_measured_is_shared_once(october: Region) -> None:
    contact(october, 1, wait=61)
    with october.of("city", FINANCE) as session:
        row = agreements.versions(session, "share")[-1]
        assert share(session, row, OCTOBER, now=NOW) == 2
        assert share(session, row, OCTOBER, now=NOW) == 0
    theirs = read(october, "county")
    assert theirs["answer"].reading == Decimal(61)
    assert theirs["answer"].source == "Measured from contacts and referrals (1)"


def test_a_figure_that_cannot_be_is_refused(october: Region) -> None:
    said = {
        "target_key": "answer",
        "period_key": "2026-10",
        "reading": Decimal(1),
        "source": "A report",
        "now": NOW,
    }
    with october.of("city", FINANCE) as session:
        row = agreements.versions(session, "share")[-1]
        for changes in (
            {"target_key": "golf"},
            {"period_key": "soon"},
            {"reading": Decimal(-1)},
            {"reading": Decimal("NaN")},
            {"target_key": "first", "reading": Decimal(101)},
            {"source": " "},
        ):
            with pytest.raises(InvalidInput):
                enter(session, row, **(said | changes))
    with pytest.raises(Forbidden), october.of("county", FINANCE) as session:
        enter(session, row, **said)


def test_own_bureaus_and_outside_bodies_have_their_own_work(region: Region) -> None:
    city = region.tenants["city"]
    terms = {"due_days": 30, "number_prefix": "CITY", "targets": TARGETS[:1]}
    region.agree("share", "city", "city", payer_kind="bureau", payer_key="water", terms=terms)
    region.agree(
        "transit",
        "city",
        "city",
        payer_kind="outside",
        payer_key="transit",
        terms={**terms, "services": ["bus-stop"]},
    )
    contact(region, 1, wait=30, owner="city", bureau_key="water")
    contact(region, 2, wait=99, owner="city", bureau_key="parks")
    contact(region, 3, wait=77, owner="city", service_key="bus-stop")
    assert read(region)["answer"].reading == Decimal(30)
    with region.of("city") as session:
        row = agreements.versions(session, "transit")[-1]
        assert row.payer_id == city
        assert levels(session, row, OCTOBER)[0].reading == Decimal(77)
