"""Pools and bases of tests: another version of one, as if a second person had approved it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from regional311.allocation.pool_changes import said_of
from regional311.allocation.pools import newest, save_pool
from regional311.allocation.snapshots import BaseSaid, ReadingsSaid, save_base, take_snapshot

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def next_version(session, key, fiscal_year=2027, *, now=LONG_AGO, **changes):
    """Store a version of a pool that says some things otherwise; `now` is since when."""
    said = replace(said_of(session, newest(session, key, fiscal_year)), **changes)
    return save_pool(session, key, fiscal_year, said, now=now)


def next_base(session, key, *, now=LONG_AGO, new=False, **said):
    """Store a version of a base as if a second person had approved it; `now` is since when."""
    return save_base(session, key, BaseSaid(**({"name": key.title()} | said)), now=now, new=new)


def next_readings(session, key, readings, *, as_of, source="Counted", now=None):
    """Store a snapshot of a base as if a second person had approved it; `now` is since when, else
    since the day after the last that it tells of.
    """
    now = now or datetime.combine(as_of + timedelta(days=1), time(), UTC)
    return take_snapshot(session, key, ReadingsSaid(as_of, source, readings), now=now)
