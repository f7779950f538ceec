"""Contacts that were, as facts: what checks sample and backtests decide again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import select

from regional311.database.session import TenantSession, scope_of
from regional311.referral.checks import Sample
from regional311.referral.conditions import FACTS, Facts
from regional311.referral.models import Decision
from regional311.referral.rules import DANGER

SAMPLE: Final = 1000
"""How many contacts a check looks at, the latest first."""

SAMPLE_DAYS: Final = 30

_KNOWN: Final = frozenset(each.name for each in fields(Facts))


def facts_from(stored: Mapping[str, Any]) -> Facts:
    """Read the facts of a stored decision; facts of another release that are no more are left out.

    >>> facts_from({"channel": "web", "terms": ["pothole"]}).terms
    ('pothole',)
    """
    known: dict[str, Any] = {
        name: tuple(value) if FACTS[name].type == "texts" else value
        for name, value in stored.items()
        if name in _KNOWN
    }
    return Facts(**known)


def sampled(session: TenantSession, *, since: datetime, limit: int = SAMPLE) -> Iterator[Sample]:
    """Give the latest contacts that rules decided since a moment: one statement."""
    rows = session.execute(
        select(Decision.contact_id, Decision.facts, Decision.trace["on"].astext)
        .where(
            Decision.tenant_id == scope_of(session).tenant_id,
            Decision.decided_at >= since,
            Decision.outcome != DANGER,
        )
        .order_by(Decision.decided_at.desc(), Decision.id.desc())
        .limit(limit)
    )
    for contact_id, facts, on in rows:
        if on is not None:
            yield Sample(facts_from(facts), date.fromisoformat(on), str(contact_id))
