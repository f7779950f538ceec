"""Rules that do not work any more: what is known of them while not everything was looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from regional311.identity.service import grant
from regional311.referral import rule_watch
from regional311.referral.checks import LOOP, WARNING, Problem
from regional311.referral.models import RuleAlert
from regional311.referral.rule_watch import watch_rules

NOW = datetime(2026, 10, 6, 15, tzinfo=UTC)
CIRCLE = Problem("away", "Away", LOOP, "Rule 'Back' of county sends the same back to city.")
SPENT = Problem("", "", LOOP, "There are too many rules to look for every circle.", WARNING)


def test_a_circle_that_was_not_looked_for_is_not_taken_to_be_gone(city, monkeypatch):
    grant(city, person_id=UUID(int=42), name="A", email="a@city.example", roles=["administrator"])

    def watch(hours, *problems):
        monkeypatch.setattr(rule_watch, "decided", lambda *_: problems)
        told = watch_rules(city, NOW + timedelta(hours=hours), url="https://311.example")
        return told, city.scalars(select(RuleAlert.gone_at).order_by(RuleAlert.id)).all()

    assert watch(0, CIRCLE) == (1, [None])
    assert watch(1, SPENT) == (0, [None])
    assert watch(2, CIRCLE) == (0, [None])
    gone = NOW + timedelta(hours=3)
    assert watch(3) == (0, [gone])
    assert watch(4, CIRCLE, SPENT) == (1, [gone, None])
