"""Take a list of places in: what it no longer names ends, and the same list changes nothing.

All of it happens in one transaction: until it is committed, places are found as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import select, text

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput
from regional311.gazetteer.lists import Broken, Entry
from regional311.gazetteer.models import KnownPlace, PlaceSource

BATCH: Final = 5_000
SHOWN: Final = 200
"""Broken rows that a report names; all are counted."""


class BrokenRows(InvalidInput):
    """The file has rows that cannot be taken; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Source:
    """A list of places: `key` names it, `licence` says on what terms it may be used."""

    key: str
    name: str
    licence: str
    website: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What an import changes, or would change. `twice` are rows that say what another says."""

    new: int = 0
    gone: int = 0
    same: int = 0
    twice: int = 0
    broken: int = 0
    problems: tuple[Broken, ...] = ()
    applied: bool = False


def take_list(
    session: TenantSession,
    source: Source,
    rows: Iterable[tuple[int, list[Entry] | Broken]],
    *,
    now: datetime,
    dry_run: bool = False,
    skip_broken: bool = False,
) -> Report:
    """Make the bound partner's list what the rows say, or say what that would change.

    Rows are read once, and never held. Raises `BrokenRows` unless they are to be skipped, and
    `InvalidInput` for a list that names no place or whose source says too little.
    """
    _check(source)
    tenant_id = scope_of(session).tenant_id
    known = session.scalar(
        select(PlaceSource)
        .where(PlaceSource.tenant_id == tenant_id, PlaceSource.key == source.key)
        .with_for_update()
    )
    source_id = known.id if known else new_id()
    before = _digests(session, tenant_id, source_id) if known else set()
    left, seen = set(before), set[bytes]()
    twice = broken = 0
    problems: list[Broken] = []
    if known is None and not dry_run:
        known = PlaceSource(
            tenant_id=tenant_id,
            id=source_id,
            key=source.key,
            name=source.name,
            licence=source.licence,
            website=source.website,
            imported_at=now,
            places=0,
        )
        session.add(known)
        session.flush()

    def fresh() -> Iterator[Entry]:
        nonlocal twice, broken
        for _, read in rows:
            if isinstance(read, Broken):
                broken += 1
                if len(problems) < SHOWN:
                    problems.append(read)
                continue
            for entry in read:
                digest = entry.digest
                if digest in seen:
                    twice += 1
                    continue
                seen.add(digest)
                left.discard(digest)
                if digest not in before:
                    yield entry

    new = 0
    for batch in _batches(fresh()):
        new += len(batch)
        if not dry_run:
            _insert(session, tenant_id, source_id, batch)
    report = Report(
        new, len(left), len(seen) - new, twice, broken, tuple(problems), applied=not dry_run
    )
    if dry_run:
        return report
    if broken and not skip_broken:
        lines = [str(each) for each in problems]
        if broken > len(problems):
            lines.append(f"and {broken - len(problems)} more")
        raise BrokenRows("\n".join(lines), field="file")
    if not seen:
        raise InvalidInput("The file names no place.", field="file")
    assert known is not None
    for gone in _parts(sorted(left)):
        session.execute(
            _END, {"tenant": tenant_id, "source": source_id, "now": now, "digests": gone}
        )
    known.name, known.licence, known.website = source.name, source.licence, source.website
    known.imported_at, known.places = now, len(seen)
    mark_changed(session)
    record(
        session,
        now=now,
        action="places:import",
        subject_kind="place_source",
        subject_id=source_id,
        detail={"new": report.new, "gone": report.gone, "same": report.same},
    )
    return report


def _check(source: Source) -> None:
    for name in ("key", "name", "licence"):
        if not getattr(source, name).strip():
            raise InvalidInput(f"Say the list's {name}.", field=name)
    if source.website and urlsplit(source.website).scheme not in ("https", "http"):
        raise InvalidInput("The website begins with https://.", field="website")


def _digests(session: TenantSession, tenant_id: UUID, source_id: UUID) -> set[bytes]:
    found = session.execute(
        select(KnownPlace.digest)
        .where(
            KnownPlace.tenant_id == tenant_id,
            KnownPlace.source_id == source_id,
            KnownPlace.ended_at.is_(None),
        )
        .execution_options(yield_per=BATCH)
    )
    return {bytes(digest) for (digest,) in found}


_COLUMNS: Final = {
    "kind": "text",
    "label": "text",
    "words": "text",
    "bare": "text",
    "city": "text",
    "number": "bigint",
    "last_number": "bigint",
    "latitude": "numeric",
    "longitude": "numeric",
    "last_latitude": "numeric",
    "last_longitude": "numeric",
}

_ARRAYS: Final = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _COLUMNS.items())
_INSERT: Final = text(
    f"INSERT INTO known_places (tenant_id, source_id, id, digest, {', '.join(_COLUMNS)})"
    " SELECT :tenant, :source, given.* FROM unnest(CAST(:id AS uuid[]), CAST(:digest AS bytea[]),"
    f" {_ARRAYS}) AS given"
    " ON CONFLICT (tenant_id, source_id, digest) DO UPDATE SET ended_at = NULL"
)
_END: Final = text(
    "UPDATE known_places SET ended_at = :now WHERE tenant_id = :tenant AND source_id = :source"
    " AND digest = ANY (CAST(:digests AS bytea[]))"
)


def _insert(
    session: TenantSession, tenant_id: UUID, source_id: UUID, batch: Sequence[Entry]
) -> None:
    values = {name: [getattr(each, name) for each in batch] for name in _COLUMNS}
    session.execute(
        _INSERT,
        {
            "tenant": tenant_id,
            "source": source_id,
            "id": [new_id() for _ in batch],
            "digest": [each.digest for each in batch],
            **values,
        },
    )


def _batches(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    for each in entries:
        batch.append(each)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _parts(digests: Sequence[bytes]) -> Iterator[list[bytes]]:
    for at in range(0, len(digests), BATCH):
        yield list(digests[at : at + BATCH])
