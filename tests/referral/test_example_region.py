"""The stories of the example region, decided with its own files."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine, text

from regional311.database.session import Scope, open_session, session_scope
from regional311.referral import filing, snapshot
from regional311.referral.checks import Known, check_rules
from regional311.referral.filing import Intake, Place
from regional311.referral.snapshot import NOBODY, Published

NOW = datetime(2026, 10, 5, 17, 0, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture(scope="session")
def example(engine: Engine) -> Published:
    with open_session(engine, NOBODY) as session:
        return Published.load(session)


@pytest.mark.parametrize("slug", ["city-of-portland", "multnomah-county", "211info"])
def test_rules_of_the_example_have_no_problem(example, slug):
    region = example.region(TODAY)
    known = Known.of(region, slug, example.boundaries, example.queues(slug))
    found = check_rules(region.rulebooks[slug].rule_set.rules, known)
    assert [each for each in found if each.level == "error"] == []


def told(example, service: str, words: str = "", **values):
    asked = Intake(
        source="desk",
        key="k" * 30,
        channel="phone",
        started_at=NOW,
        service=f"city-of-portland/{service}",
        place=Place(words),
        danger_answer="none",
        **values,
    )
    return filing.preview(example, "city-of-portland", asked, now=NOW)


def test_pothole_on_a_bridge_is_the_countys(example):
    shown = told(example, "pothole", "middle of the Burnside Bridge")
    assert (shown.decision.outcome, shown.decision.target) == ("open_request", "multnomah-county")
    assert shown.decision.queue == "bridges"
    assert {"location", "need"} <= set(shown.shared_fields)


def test_pothole_in_the_city_is_its_own(example):
    asked = Intake(
        source="desk",
        key="k" * 30,
        channel="phone",
        started_at=NOW,
        service="city-of-portland/pothole",
        place=Place("", Decimal("45.5231"), Decimal("-122.6300")),
        danger_answer="none",
    )
    shown = filing.preview(example, "city-of-portland", asked, now=NOW)
    assert (shown.decision.outcome, shown.decision.target) == ("open_request", "city-of-portland")


def test_state_highway(example):
    shown = told(example, "pothole", "SE Powell and 52nd")
    assert (shown.decision.outcome, shown.decision.target) == ("information", "odot")


def test_shelter_is_referred_to_211(example):
    asked = Intake(
        source="desk",
        key="k" * 30,
        channel="phone",
        started_at=NOW,
        service="211info/shelter",
        danger_answer="none",
    )
    shown = filing.preview(example, "city-of-portland", asked, now=NOW)
    assert (shown.decision.outcome, shown.decision.target) == ("refer", "211info")
    assert "name" in shown.consent_fields


def test_snapshot_is_kept_until_something_is_published(committed_database, monkeypatch, statements):
    engine = committed_database.engine()
    snapshot.invalidate()
    clock = iter(float(second) for second in range(0, 1000, 5))
    monkeypatch.setattr(snapshot.time, "monotonic", lambda: next(clock))
    first = snapshot.published(engine)
    statements.clear()
    assert snapshot.published(engine) is first
    assert statements == []
    tenant_id = first.ids["city-of-portland"]
    with session_scope(engine, Scope(tenant_id)) as session:
        session.execute(
            text("UPDATE tenants SET revision = revision + 1 WHERE tenant_id = :t"),
            {"t": tenant_id},
        )
    second = snapshot.published(engine)
    assert second is not first
    assert second.revision == first.revision + 1
    snapshot.invalidate()
