"""Take a list of places in: what it no longer names ends, and the same list changes nothing.

All of it happens in one transaction: until it is committed, places are found as before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.gazetteer.lists import Broken, Entry
from regional311.gazetteer.models import KnownPlace, PlaceSource

BATCH: Final = 5_000
SHOWN: Final = 200
"""Broken rows that a report names; all are counted."""


class BrokenRows(InvalidInput):
    """The file has rows that cannot be taken; the caller rolls back what was taken."""


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

    def __str__(self) -> str:
        lines = [f"  ! {line}" for line in _told(self.problems, self.broken)]
        done = "Taken in" if self.applied else "It would be"
        counts = (
            f"{self.new} new, {self.gone} gone, {self.same} as they were,"
            f" {self.twice} named twice, {self.broken} broken."
        )
        return "\n".join((*lines, f"{done}: {counts}"))


def _told(problems: Sequence[Broken], broken: int) -> Iterator[str]:
    yield from map(str, problems)
    if broken > len(problems):
        yield f"and {broken - len(problems)} more"


def source_of(
    session: TenantSession,
    key: str,
    *,
    name: str | None = None,
    licence: str | None = None,
    website: str | None = None,
) -> Source:
    """Give what a list says of itself: what is given, else what is stored.

    Raises `InvalidInput` for a new one without a name and a licence.
    """
    old = _stored(session, key)
    source = Source(
        key,
        name or (old.name if old else ""),
        licence or (old.licence if old else ""),
        website or (old.website if old else None),
    )
    _check(source)
    return source


def _stored(session: TenantSession, key: str, *, lock: bool = False) -> PlaceSource | None:
    asked = select(PlaceSource).where(
        PlaceSource.tenant_id == scope_of(session).tenant_id, PlaceSource.key == key
    )
    return session.scalars(asked.with_for_update() if lock else asked).one_or_none()


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
    known = _stored(session, source.key, lock=True)
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
        raise BrokenRows("\n".join(_told(problems, broken)), field="file")
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


def end_list(session: TenantSession, key: str, *, now: datetime) -> int:
    """End every place of a list of the bound partner; give how many there were.

    The list itself stays, and may be taken in again. Raises `NotFound`.
    """
    tenant_id = scope_of(session).tenant_id
    known = _stored(session, key, lock=True)
    if known is None:
        raise NotFound(f"There is no list {key}.")
    ended = session.execute(_END_ALL, {"tenant": tenant_id, "source": known.id, "now": now})
    known.places = 0
    mark_changed(session)
    count: int = ended.rowcount  # type: ignore[attr-defined]
    record(
        session,
        now=now,
        action="places:end",
        subject_kind="place_source",
        subject_id=known.id,
        detail={"gone": count},
    )
    return count


_KEY: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST: Final = 200
"""Characters of what a list says of itself."""


def _check(source: Source) -> None:
    if len(source.key) > LONGEST or not _KEY.fullmatch(source.key):
        raise InvalidInput(
            "The list's key is of lower case letters, digits and hyphens.", field="key"
        )
    for name in ("name", "licence"):
        words = getattr(source, name).strip()
        if not words:
            raise InvalidInput(f"Say the list's {name}.", field=name)
        if len(words) > LONGEST or not words.isprintable():
            raise InvalidInput(
                f"The list's {name} is one line of at most {LONGEST} characters.", field=name
            )
    if source.website and not _ADDRESS.fullmatch(source.website):
        raise InvalidInput("The website begins with https://.", field="website")


_ADDRESS: Final = re.compile(r"https?://[^\s\x00-\x1f]{1,300}")


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
_END_ALL: Final = text(
    "UPDATE known_places SET ended_at = :now"
    " WHERE tenant_id = :tenant AND source_id = :source AND ended_at IS NULL"
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
