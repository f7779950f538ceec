"""Pools of tests: another version of one, as if a second person had approved it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from regional311.allocation.pool_changes import said_of
from regional311.allocation.pools import newest, save_pool

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def next_version(session, key, fiscal_year=2027, *, now=LONG_AGO, **changes):
    """Store a version of a pool that says some things otherwise; `now` is since when."""
    said = replace(said_of(session, newest(session, key, fiscal_year)), **changes)
    return save_pool(session, key, fiscal_year, said, now=now)
