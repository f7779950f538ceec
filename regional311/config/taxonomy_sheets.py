"""Trees of terms and crosswalks from CSV files into the database, as commands do it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from regional311.catalog import queries
from regional311.catalog.taxonomy_imports import Report, head_of, take_crosswalks, take_taxonomy
from regional311.catalog.taxonomy_sheet import (
    MOST_BYTES,
    SheetRefused,
    read_crosswalks,
    read_terms,
)
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate, published


def import_taxonomy(
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
    """Make a partner's taxonomy what a file says, or say what that would change.

    `head` is what the taxonomy says of itself: name, description, version, website, licence.
    Raises `SheetRefused`, `BrokenRows`, `TaxonomyTaken`, `InvalidInput`, `NotFound`.
    """
    sheet = read_terms(_content(path))
    row = published(engine).tenant(tenant)
    today = published(engine).today(tenant, now)
    with session_scope(engine, Scope(row.id)) as session:
        said = head_of(session, key, **head)
        report = take_taxonomy(
            session, said, sheet, dry_run=dry_run, skip_broken=skip_broken, today=today, now=now
        )
    invalidate()
    return report


def import_crosswalks(
    engine: Engine,
    path: Path,
    *,
    tenant: str,
    dry_run: bool,
    skip_broken: bool,
    now: datetime,
) -> Report:
    """Add a file's crosswalks to those of a partner, or say what that would change.

    Raises `SheetRefused`, `BrokenRows`, `NotFound`.
    """
    sheet = read_crosswalks(_content(path))
    snapshot = published(engine)
    with session_scope(engine, Scope(snapshot.tenant(tenant).id)) as session:
        codes = queries.terms(session, snapshot.slugs).codes
        report = take_crosswalks(
            session, sheet, codes, dry_run=dry_run, skip_broken=skip_broken, now=now
        )
    invalidate()
    return report


def _content(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise SheetRefused(f"The file is larger than {MOST_BYTES:,} bytes.", field="file")
    return path.read_bytes()
