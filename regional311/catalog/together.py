"""Many services changed together: by a spreadsheet, or by one change of several.

Everything here makes drafts with one `batch`, so that they are reviewed, published or taken back
together. Each is merged with what others saved meanwhile, as any save is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, tuple_, update

from regional311.catalog import versions
from regional311.catalog.kinds import known_keys
from regional311.catalog.models import ContentVersion, Service, SheetUpload
from regional311.catalog.sheets import Comparison, Sheet, Standing, compare
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, DomainError, NotFound

_VERSIONS: Final = ContentVersion.__table__
_EMPTY: Final[dict[str, Any]] = {"columns": [], "rows": []}


class RowsBroken(Conflict):
    """Some rows of a sheet cannot be taken in, and nobody said that the rest may be."""


def standing(session: TenantSession, sheet: Sheet | None = None) -> dict[str, Standing]:
    """Give every service of the bound partner by key: its newest draft, or what is published.

    With the versions that the rows of `sheet` were written from. Three statements at most.
    """
    me = scope_of(session).tenant_id
    ended = {
        row.key: row.ended_on is not None
        for row in session.execute(
            select(Service.key, Service.ended_on).where(Service.tenant_id == me)
        )
    }
    newest: dict[str, Any] = {}
    rows = session.execute(
        select(
            _VERSIONS.c.key,
            _VERSIONS.c.number,
            _VERSIONS.c.state,
            _VERSIONS.c.content,
            _VERSIONS.c.effective_on,
        )
        .where(
            _VERSIONS.c.tenant_id == me,
            _VERSIONS.c.kind == "service",
            _VERSIONS.c.state.in_((*versions.OPEN, "published")),
        )
        .order_by(_VERSIONS.c.key, _VERSIONS.c.number)
    )
    for row in rows:
        scheduled = row.state == "reviewed" and row.effective_on is not None
        if not scheduled or row.key not in newest:
            newest[row.key] = row
    older = _older(session, sheet, newest)
    return {
        key: Standing(row.number, row.content, ended.get(key, False), older.get(key, {}))
        for key, row in newest.items()
    }


def _older(
    session: TenantSession, sheet: Sheet | None, newest: Mapping[str, Any]
) -> dict[str, dict[int, dict[str, Any]]]:
    named = set()
    for _number, cells in () if sheet is None else sheet.rows:
        key, version = cells.get("key"), cells.get("version")
        if isinstance(version, str) and version.isdecimal() and len(version) < 10:
            there = newest.get(key) if isinstance(key, str) else None
            if there is not None and there.number != int(version):
                named.add((key, int(version)))
    found: dict[str, dict[int, dict[str, Any]]] = {}
    if named:
        rows = session.execute(
            select(_VERSIONS.c.key, _VERSIONS.c.number, _VERSIONS.c.content).where(
                _VERSIONS.c.tenant_id == scope_of(session).tenant_id,
                _VERSIONS.c.kind == "service",
                tuple_(_VERSIONS.c.key, _VERSIONS.c.number).in_(sorted(named)),
            )
        )
        for row in rows:
            found.setdefault(row.key, {})[row.number] = row.content
    return found


# --- spreadsheets ---------------------------------------------------------------------------------


def keep_sheet(session: TenantSession, sheet: Sheet, name: str, *, now: datetime) -> UUID:
    """Keep a sheet until it is applied; give its id.

    Earlier ones of the same person are emptied.
    """
    scope = scope_of(session)
    _empty(session, SheetUpload.made_by == scope.person_id, SheetUpload.applied_at.is_(None))
    upload_id = new_id()
    put(
        session,
        SheetUpload(
            tenant_id=scope.tenant_id,
            id=upload_id,
            name=name,
            sheet=sheet.as_plain(),
            made_by=scope.person_id,
            made_at=now,
        ),
    )
    return upload_id


def _empty(session: TenantSession, *conditions: Any, **values: Any) -> None:
    send(session)
    session.execute(
        update(SheetUpload)
        .where(SheetUpload.tenant_id == scope_of(session).tenant_id, *conditions)
        .values(sheet=_EMPTY, **values),
        execution_options={"synchronize_session": False},
    )


@dataclass(frozen=True)
class Upload:
    """A sheet that waits for its application."""

    id: UUID
    name: str
    sheet: Sheet


def kept_sheet(session: TenantSession, upload_id: UUID) -> Upload:
    """Give a sheet that waits. Raises `NotFound` when it was applied or replaced."""
    row = session.execute(
        select(SheetUpload.name, SheetUpload.sheet, SheetUpload.applied_at).where(
            SheetUpload.tenant_id == scope_of(session).tenant_id, SheetUpload.id == upload_id
        )
    ).one_or_none()
    if row is None or row.applied_at is not None or not row.sheet["rows"]:
        raise NotFound("This sheet does not wait any more; send it again.")
    return Upload(upload_id, row.name, Sheet.of_plain(row.sheet))


def dry_run(session: TenantSession, sheet: Sheet) -> Comparison:
    """Say what a sheet would do now; changes nothing."""
    return compare(sheet, standing(session, sheet), known_keys(session))


@dataclass(frozen=True)
class Applied:
    """What became of many changes: drafts made, those to be merged by a person, things ended."""

    drafts: int = 0
    to_choose: tuple[str, ...] = ()
    ended: int = 0


def apply_sheet(
    session: TenantSession,
    upload: Upload,
    *,
    now: datetime,
    today: date,
    without_broken: bool,
    end_gone: bool,
) -> Applied:
    """Make drafts of what a sheet says; end what has no row any more when asked to.

    Raises `RowsBroken` unless `without_broken` says that the rest is to be taken in.
    """
    found = dry_run(session, upload.sheet)
    if found.broken and not without_broken:
        raise RowsBroken(
            "1 row cannot be taken in: mend it, or take in the rest."
            if found.rows_broken == 1
            else f"{found.rows_broken} rows cannot be taken in: mend them, or take in the rest."
        )
    drafts, to_choose = 0, []
    for row in (*found.new, *found.changed):
        saved = versions.save_draft(
            session,
            "service",
            row.content,
            seen=row.seen,
            now=now,
            source="sheet",
            note=upload.name,
            batch=upload.id,
        )
        drafts += saved.changed
        if saved.overlaps:
            to_choose.append(row.key)
    ended = 0
    if end_gone:
        for key in found.gone:
            versions.end(session, "service", key, on=today, today=today, now=now)
            ended += 1
    _empty(session, SheetUpload.id == upload.id, applied_at=now)
    return Applied(drafts, tuple(to_choose), ended)


# --- several at once ------------------------------------------------------------------------------


def change_several(
    session: TenantSession,
    contents: Iterable[tuple[int, dict[str, Any]]],
    *,
    batch: UUID,
    note: str,
    now: datetime,
) -> Applied:
    """Make drafts of new contents, each with the version that it was made of."""
    drafts, to_choose = 0, []
    for seen, said in contents:
        saved = versions.save_draft(
            session, "service", said, seen=seen, now=now, source="bulk", note=note, batch=batch
        )
        drafts += saved.changed
        if saved.overlaps:
            to_choose.append(said["key"])
    return Applied(drafts, tuple(to_choose))


def each_of_batch(
    session: TenantSession,
    rows: Iterable[Any],
    do: Callable[[Any], object],
) -> tuple[int, list[tuple[Any, str]]]:
    """Take a step with each version of a batch; give how many, and those refused with the reason.

    One that is refused changes nothing and keeps no other from its step.
    """
    done, refused = 0, []
    for row in rows:
        try:
            with session.begin_nested():
                do(row)
        except DomainError as error:
            refused.append((row, error.message))
            continue
        done += 1
    return done, refused
