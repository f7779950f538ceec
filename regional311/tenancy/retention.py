"""For how long personal values of a kind are kept, as the region's policy says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from regional311.database.session import TenantSession
from regional311.tenancy.queries import PolicyRow, policies, slug_of

KEPT_DAYS: Final[Mapping[str, int]] = {
    "contact": 1095,
    "inquirer": 1095,
    "request": 2190,
    "referral": 730,
    "envelope": 365,
    "message": 180,
    "session": 30,
    "search": 180,
    "conversation": 1095,
    "answer": 30,
}
"""Kinds of records and the days for which they are kept where the policy says nothing else."""


def keep_days(rows: Iterable[PolicyRow], kind: str, slug: str, on: date, *, otherwise: int) -> int:
    """Give for how many days a partner keeps them: its own period, else everybody's.

    `rows` are the region's policies, `otherwise` holds where they say nothing of this kind.
    """
    periods = [
        each
        for row in rows
        if row.key == "retention"
        and row.valid_from <= on
        and (row.valid_to is None or on < row.valid_to)
        for each in row.body.get("retention") or ()
        if each.get("kind") == kind and each.get("tenant") in (None, slug)
    ]
    own = [each for each in periods if each.get("tenant") == slug]
    return min((int(each["keep_days"]) for each in own or periods), default=otherwise)


def kept_before(session: TenantSession, kind: str, now: datetime) -> datetime:
    """Give the moment before which what the bound partner has of a kind is kept no longer."""
    days = keep_days(
        policies(session), kind, slug_of(session), now.date(), otherwise=KEPT_DAYS[kind]
    )
    return now - timedelta(days=days)
