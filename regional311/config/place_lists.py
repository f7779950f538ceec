"""Lists of places from files into the database, as commands do it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from regional311.database.session import Scope, session_scope
from regional311.gazetteer.lists import read
from regional311.gazetteer.service import Report, end_list, source_of, take_list
from regional311.referral.snapshot import published


def import_places(
    engine: Engine,
    path: Path,
    *,
    tenant: str,
    key: str,
    dry_run: bool,
    skip_broken: bool,
    now: datetime,
    **head: str | None,
) -> Report:
    """Make a partner's list of places what a file says, or say what that would change.

    `head` is what the list says of itself: name, licence, website. Raises `ListRefused`,
    `BrokenRows`, `InvalidInput`, `NotFound`.
    """
    row = published(engine).tenant(tenant)
    with session_scope(engine, Scope(row.id)) as session, path.open("rb") as file:
        return take_list(
            session,
            source_of(session, key, **head),
            read(file, path.name),
            now=now,
            dry_run=dry_run,
            skip_broken=skip_broken,
        )


def end_places(engine: Engine, *, tenant: str, key: str, now: datetime) -> int:
    """End every place of a partner's list; give how many there were. Raises `NotFound`."""
    row = published(engine).tenant(tenant)
    with session_scope(engine, Scope(row.id)) as session:
        return end_list(session, key, now=now)
