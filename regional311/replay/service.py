"""Taking in an export: batch by batch, each row once, in bounded memory.

A contact is acknowledged when its batch is committed. A batch that fails is taken again row by
row, so that one bad row costs only itself. A row is known by its own key, so a second run, or one
after a crash, changes nothing that was taken before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, select
from sqlalchemy.exc import DataError, IntegrityError

from regional311.database.session import Scope, session_scope
from regional311.errors import DomainError, InvalidInput
from regional311.intake.models import Contact
from regional311.referral.filing import Filed, Intake, Place, plan, take_in_many
from regional311.referral.snapshot import Published, published
from regional311.replay.mapping import (
    BadRow,
    ReplayMap,
    ReplayRow,
    check_header,
    load_map,
    read_export,
)

BATCH = 500
SHOWN_BAD_ROWS = 100
NOT_TAKEN = "could not be taken in"

Item = TypeVar("Item")
Progress = Callable[[int], None]
"""Called with how many contacts were acknowledged since the last call."""


class ServiceUnknown(InvalidInput):
    """The map translates to a service that no partner has."""


@dataclass(slots=True)
class ReplayReport:
    """What a replay did; `bad_rows` holds the first hundred, `bad` counts them all."""

    rows: int = 0
    taken: int = 0
    known: int = 0
    unplaced: int = 0
    bad: int = 0
    dry_run: bool = False
    outcomes: Counter[str] = field(default_factory=Counter)
    bad_rows: list[BadRow] = field(default_factory=list)

    def note_bad(self, row: BadRow) -> None:
        """Count a row that was not taken in, and keep it if there is room."""
        self.bad += 1
        if len(self.bad_rows) < SHOWN_BAD_ROWS:
            self.bad_rows.append(row)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "rows": self.rows,
            "taken": self.taken,
            "known": self.known,
            "unplaced": self.unplaced,
            "bad": self.bad,
            "dry_run": self.dry_run,
            "outcomes": dict(sorted(self.outcomes.items())),
            "bad_rows": [str(row) for row in self.bad_rows],
        }

    def __str__(self) -> str:
        verb = "would be taken in" if self.dry_run else "taken in"
        lines = [
            f"{self.rows} rows: {self.taken} {verb}, {self.known} known before, {self.bad} bad.",
            f"{self.unplaced} of them wait where what is unplaced goes.",
            *(f"  {outcome}: {count}" for outcome, count in sorted(self.outcomes.items())),
            *(f"  {row}" for row in self.bad_rows),
        ]
        if self.bad > len(self.bad_rows):
            lines.append(f"  and {self.bad - len(self.bad_rows)} more bad rows")
        return "\n".join(lines)


def replay(
    engine: Engine,
    file: Path,
    *,
    tenant: str,
    map_file: Path,
    dry_run: bool = False,
    now: datetime,
    progress: Progress | None = None,
) -> ReplayReport:
    """Take in an export as contacts of a partner (its slug); each row once, whoever runs it again.

    Raises `MapInvalid`, `ServiceUnknown`, `ExportUnreadable` and `NotFound` before anything is
    taken in. With `dry_run` every row is read and decided, and nothing is written.
    """
    replay_map = load_map(map_file)
    region = published(engine)
    scope = Scope(region.tenant(tenant).id)
    _check_services(replay_map, region, tenant, map_file)
    check_header(file, replay_map)
    report = ReplayReport(dry_run=dry_run)
    take = _tried if dry_run else take_in_batch
    rows = read_export(file, replay_map)
    for batch in batches(rows, BATCH):
        report.rows += len(batch)
        good = []
        for row in batch:
            if isinstance(row, BadRow):
                report.note_bad(row)
            else:
                good.append(row)
        intakes = [as_intake(row, replay_map, tenant) for row in good]
        for row, answer in zip(good, take(engine, scope, region, intakes, now), strict=True):
            if answer is None:
                report.known += 1
            elif isinstance(answer, Filed):
                report.taken += 1
                report.unplaced += not row.placed
                report.outcomes[answer.outcome] += 1
            else:
                report.note_bad(BadRow(row.line, "row", answer))
        if progress is not None:
            progress(len(batch))
    return report


def as_intake(row: ReplayRow, replay_map: ReplayMap, tenant: str) -> Intake:
    """A row of an export as the contact that is filed."""
    point = row.latitude is not None and row.longitude is not None
    return Intake(
        source=f"replay:{replay_map.source.name}",
        key=row.key,
        channel=row.channel,
        started_at=row.started_at,
        ended_at=row.ended_at,
        handle_seconds=row.handle_seconds,
        service=_reference(row.service, tenant),
        line=_reference(row.line_key, tenant) if row.line_key else "",
        language=row.language,
        place=Place(
            text=row.place or "",
            latitude=Decimal(str(row.latitude)) if point else None,
            longitude=Decimal(str(row.longitude)) if point else None,
        ),
        description=row.description or "",
        danger_answer="none",
        consent="refused",
        track=False,
    )


def take_in_batch(
    engine: Engine,
    scope: Scope,
    region: Published,
    intakes: Sequence[Intake],
    now: datetime | None = None,
) -> list[Filed | str | None]:
    """Commit a batch, or its rows one by one if it fails.

    Gives for each contact what was filed, None if it was known before, or why it was refused.
    A database that is down is not a bad row: its error is raised, and what was committed stays.
    """
    try:
        return list(_committed(engine, scope, region, intakes, now))
    except (DomainError, IntegrityError, DataError):
        answers: list[Filed | str | None] = []
        for intake in intakes:
            try:
                answers += _committed(engine, scope, region, [intake], now)
            except DomainError as error:
                answers.append(error.message)
            except (IntegrityError, DataError):
                answers.append(NOT_TAKEN)
        return answers


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut a stream into lists of at most `size`."""
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch


def _committed(
    engine: Engine,
    scope: Scope,
    region: Published,
    intakes: Sequence[Intake],
    now: datetime | None,
) -> list[Filed | None]:
    with session_scope(engine, scope) as session:
        return take_in_many(session, region, intakes, now=now)


def _tried(
    engine: Engine,
    scope: Scope,
    region: Published,
    intakes: Sequence[Intake],
    now: datetime,
) -> list[Filed | str | None]:
    """Decide a batch as if it were taken in, and write nothing."""
    keys = [each.source_key for each in intakes]
    with session_scope(engine, scope) as session:
        known = set(
            session.scalars(
                select(Contact.source_key).where(
                    Contact.tenant_id == scope.tenant_id, Contact.source_key.in_(keys)
                )
            )
        )
    answers: list[Filed | str | None] = []
    for intake in intakes:
        if intake.source_key in known:
            answers.append(None)
            continue
        known.add(intake.source_key)
        try:
            answers.append(plan(region, scope.tenant_id, intake, now=now).filed)
        except DomainError as error:
            answers.append(error.message)
    return answers


def _check_services(replay_map: ReplayMap, region: Published, tenant: str, path: Path) -> None:
    named = {f"services.{value}": target for value, target in replay_map.services.items()}
    faults = [
        f"{path}: {key}: there is no service {_reference(target, tenant)}"
        for key, target in (named | {"unplaced": replay_map.unplaced}).items()
        if region.directory.find(_reference(target, tenant)) is None
    ]
    if faults:
        raise ServiceUnknown("\n".join(faults))


def _reference(key: str, tenant: str) -> str:
    return key if "/" in key else f"{tenant}/{key}"
