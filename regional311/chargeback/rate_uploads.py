"""Spreadsheets of rates that people send: read by the worker, then a draft or what is broken.

A file of twenty thousand rates takes longer to read than anybody waits for a page, so sending one
only keeps it. The worker reads it row by row, tells how far it is, and drafts what it would change
in the name of whoever sent it. Nothing of it holds before a second person approves that draft. What
was sent is erased once it was read.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Engine, Row, and_, func, or_, select, update
from sqlalchemy.exc import DataError, DBAPIError

from regional311.audit.models import AuditEvent
from regional311.audit.service import record
from regional311.chargeback import rate_changes
from regional311.chargeback.models import RateSheet
from regional311.chargeback.rate_sheets import MOST_BYTES, changes_from, read_sheet
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put
from regional311.database.session import (
    Scope,
    TenantSession,
    mark_changed,
    scope_of,
    session_scope,
)
from regional311.errors import DomainError
from regional311.identity.models import Membership
from regional311.identity.permissions import Permissions, permissions_of
from regional311.identity.queries import may_sign_in
from regional311.spreadsheets import SheetRefused
from regional311.tenancy.models import Tenant

log = structlog.get_logger("regional311.rates")

OPEN: Final = ("waiting", "reading")
SHOWN: Final = 20
PATIENCE: Final = timedelta(minutes=5)
"""A worker that said nothing for so long has died, and another one begins again."""
MOST_TAKES: Final = 3
"""So often a file is begun; one at which every worker dies is not begun for ever."""

NOT_UNDERSTOOD: Final = (
    "Something in the file could not be understood. Nothing was taken in. Tell an operator, who"
    " finds the reason in the log."
)
TOO_OFTEN: Final = (
    "Reading the file was begun three times and never came to an end. Nothing was taken in. Send it"
    " again in parts, or tell an operator."
)
NOT_ANY_MORE: Final = "Whoever sent this may not change rates any more. Nothing was taken in."
READ_AGAIN: Final = "rate:read_sheet_again"
_TABLE: Final = RateSheet.__table__
_BRIEF: Final = [column for column in _TABLE.c if column.name != "content"]


@dataclass
class _Held:
    """A file that this worker reads, and what it last said of when it was at it."""

    sheet: Row[Any]
    seen_at: datetime


class _Lost(Exception):
    """Another worker has the file by now: this one was taken to have died."""


def send_sheet(session: TenantSession, *, name: str, content: bytes, now: datetime) -> UUID:
    """Keep a file until the worker reads it; return its id.

    :raises SheetRefused: for a file that is empty or too large.
    """
    if not content:
        raise SheetRefused("Choose a file that is not empty.", field="sheet")
    if len(content) > MOST_BYTES:
        raise SheetRefused(
            f"The file is too large; at most {MOST_BYTES:,} bytes are taken.", field="sheet"
        )
    scope = scope_of(session)
    sheet_id = new_id()
    put(
        session,
        new_row(
            RateSheet,
            tenant_id=scope.tenant_id,
            id=sheet_id,
            name=" ".join(name.split())[-120:] or "rates.xlsx",
            size=len(content),
            content=content,
            state="waiting",
            errors=[],
            sent_by=scope.person_id,
            sent_at=now,
        ),
    )
    record(
        session, now=now, action="rate:send_sheet", subject_kind="rate_sheet", subject_id=sheet_id
    )
    return sheet_id


def sheets(session: TenantSession) -> list[Row[Any]]:
    """The latest files that were sent, the last first, without what is in them. One statement."""
    return list(
        session.execute(
            select(*_BRIEF)
            .where(_TABLE.c.tenant_id == scope_of(session).tenant_id)
            .order_by(_TABLE.c.id.desc())
            .limit(SHOWN)
        )
    )


def sheet(session: TenantSession, sheet_id: UUID) -> Row[Any] | None:
    """One file that was sent, without what is in it. One statement."""
    return session.execute(
        select(*_BRIEF).where(
            _TABLE.c.tenant_id == scope_of(session).tenant_id, _TABLE.c.id == sheet_id
        )
    ).one_or_none()


def work(engine: Engine, tenant_id: UUID, clock: Callable[[], datetime]) -> int:
    """Read the files of a partner that wait, the oldest first; return how many were read.

    An errand of the worker. No transaction is open while a file is read; the draft, or what is
    broken, is written in one. A file whose worker died is read again from the start; whatever that
    worker still wants to write of it, should it only have been slow, is not written.
    """
    done = 0
    while (held := _take(engine, tenant_id, clock())) is not None:
        try:
            _read(engine, held, clock)
        except _Lost:
            log.info("rate_sheet_lost", sheet=str(held.sheet.id))
        done += 1
    return done


def _take(engine: Engine, tenant_id: UUID, now: datetime) -> _Held | None:
    with session_scope(engine, Scope(tenant_id)) as session:
        due = session.execute(
            select(_TABLE)
            .where(
                _TABLE.c.tenant_id == tenant_id,
                or_(
                    _TABLE.c.state == "waiting",
                    and_(_TABLE.c.state == "reading", _TABLE.c.seen_at < now - PATIENCE),
                ),
            )
            .order_by(_TABLE.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).one_or_none()
        if due is None:
            return None
        again = due.state != "reading" or _begin_again(session, due.id, now)
        if again:
            _write(session, due.id, state="reading", rows_read=0, seen_at=now)
        else:
            _write(session, due.id, **_ended(now), state="refused", problem=TOO_OFTEN)
    return _Held(due, now) if again else _take(engine, tenant_id, now)


def _begin_again(session: TenantSession, sheet_id: UUID, now: datetime) -> bool:
    """Whether a file whose worker died is begun once more; that it was is kept in the trail."""
    begun = session.execute(
        select(func.count()).where(
            AuditEvent.tenant_id == scope_of(session).tenant_id,
            AuditEvent.subject_id == sheet_id,
            AuditEvent.action == READ_AGAIN,
        )
    ).scalar_one()
    if begun >= MOST_TAKES - 1:
        return False
    record(session, now=now, action=READ_AGAIN, subject_kind="rate_sheet", subject_id=sheet_id)
    return True


def _read(engine: Engine, held: _Held, clock: Callable[[], datetime]) -> None:
    due = held.sheet

    def progress(rows: int, known: int | None) -> None:
        at = clock()
        with session_scope(engine, Scope(due.tenant_id)) as session:
            _set(session, held, rows_read=rows, rows_known=known, seen_at=at)
        held.seen_at = at

    try:
        found = read_sheet(due.content, progress)
        if found.errors:
            _end(
                engine,
                held,
                clock(),
                state="broken",
                rows_read=len(found.rates) + len(found.errors),
                errors=[
                    {"row": each.row, "column": each.column, "message": each.message}
                    for each in found.errors
                ],
            )
            return
        now = clock()
        with session_scope(engine, Scope(due.tenant_id, due.sent_by)) as session:
            if not _may_change_rates(session):
                _set(session, held, **_ended(now), state="refused", problem=NOT_ANY_MORE)
                return
            known, rows = rate_changes.current(session)
            changes = changes_from(found, known, rows, _today(session, now))
            proposal_id = rate_changes.propose(session, changes, note=due.name, now=now)
            _set(
                session,
                held,
                **_ended(now),
                state="drafted",
                rows_read=len(found.rates),
                proposal_id=proposal_id,
            )
    except rate_changes.NothingChanges as same:
        _end(engine, held, clock(), state="same", problem=same.message)
    except DomainError as error:
        _end(engine, held, clock(), state="refused", problem=error.message)
    except _Lost:
        raise
    except Exception as error:
        if isinstance(error, DBAPIError) and not isinstance(error, DataError):
            raise
        # somebody's file has found a mistake of ours: it must not stop the worker for everybody;
        # what the error says may quote the file, so only its kind and its place are logged
        frame = traceback.extract_tb(error.__traceback__)[-1]
        log.warning(
            "rate_sheet_not_understood",
            sheet=str(due.id),
            error=type(error).__name__,
            file=Path(frame.filename).name,
            line=frame.lineno,
        )
        _end(engine, held, clock(), state="refused", problem=NOT_UNDERSTOOD)


def _end(engine: Engine, held: _Held, now: datetime, **values: Any) -> None:
    with session_scope(engine, Scope(held.sheet.tenant_id)) as session:
        _set(session, held, **_ended(now), **values)


def _ended(now: datetime) -> dict[str, Any]:
    return {"content": None, "ended_at": now, "seen_at": now}


def _set(session: TenantSession, held: _Held, **values: Any) -> None:
    """Write of a file that this worker has still; what else the transaction did goes with it.

    :raises _Lost: when another worker has it.
    """
    mine = RateSheet.state == "reading", RateSheet.seen_at == held.seen_at
    if _write(session, held.sheet.id, *mine, **values) != 1:
        raise _Lost


def _write(session: TenantSession, sheet_id: UUID, *which: Any, **values: Any) -> int:
    changed = session.execute(
        update(RateSheet)
        .where(RateSheet.tenant_id == scope_of(session).tenant_id, RateSheet.id == sheet_id, *which)
        .values(values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    count: int = changed.rowcount  # type: ignore[attr-defined]
    return count


def _may_change_rates(session: TenantSession) -> bool:
    """Whether the bound person may change this partner's rates, as of now, and sign in at all."""
    scope = scope_of(session)
    row = session.execute(
        select(Membership.person_id, Membership.email, Membership.roles).where(
            Membership.tenant_id == scope.tenant_id,
            Membership.person_id == scope.person_id,
            Membership.ended_at.is_(None),
        )
    ).one_or_none()
    return (
        row is not None
        and Permissions.RATE_EDIT in permissions_of(row.roles)
        and may_sign_in(session, person_id=row.person_id, email=row.email)
    )


def _today(session: TenantSession, now: datetime) -> Any:
    tenant_id = scope_of(session).tenant_id
    zone = session.execute(
        select(Tenant.zone).where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
    ).scalar_one()
    return now.astimezone(ZoneInfo(zone)).date()
