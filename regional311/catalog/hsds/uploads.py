"""Packages that people upload: kept until the worker has checked and, once ordered, taken them.

A person sends a file and sees what it would change; nothing changes until they order it. What was
sent is erased as soon as it is not needed any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select, update

from regional311.audit.service import record
from regional311.catalog.hsds.importing import bureau_of
from regional311.catalog.models import PackageImport
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound

MOST_BYTES: Final = 11_000_000
"""Size of an uploaded file; larger packages are taken in by the command."""

SHOWN: Final = 30
_PACKAGES: Final = PackageImport.__table__
_BRIEF: Final = [column for column in _PACKAGES.c if column.name not in ("content", "report")]


class UploadRefused(InvalidInput):
    """The file is missing, empty or too large; nothing was kept."""


class NotChecked(Conflict):
    """Only what was checked, and is not taken or discarded yet, can be taken or discarded."""


class StillBroken(Conflict):
    """Something in the package is broken, and nobody said to take the rest."""


def upload(
    session: TenantSession,
    *,
    name: str,
    content: bytes,
    bureau: str | None,
    feed: str,
    now: datetime,
) -> UUID:
    """Keep a file to be checked; give its id. Raises `UploadRefused`, `NoBureau`."""
    if not content:
        raise UploadRefused("Choose a file that is not empty.", field="package")
    if len(content) > MOST_BYTES:
        raise UploadRefused(
            f"The file has more than {MOST_BYTES // 1_000_000} MB. An operator takes larger ones in"
            " with the command `regional311 hsds import`.",
            field="package",
        )
    row_id = new_id()
    put(
        session,
        PackageImport(
            tenant_id=scope_of(session).tenant_id,
            id=row_id,
            name=" ".join(name.split())[-120:] or "package",
            feed=feed,
            bureau_key=bureau_of(session, bureau),
            size=len(content),
            content=content,
            state="waiting",
            choices={},
            uploaded_by=scope_of(session).person_id,
            uploaded_at=now,
        ),
    )
    return row_id


def order(
    session: TenantSession,
    package_id: UUID,
    *,
    skip_broken: bool,
    choices: Mapping[str, str],
    now: datetime,
) -> None:
    """Have a checked package taken in. Raises `NotFound`, `NotChecked`, `StillBroken`."""
    row = _checked(session, package_id)
    if (row.report or {}).get("broken") and not skip_broken:
        raise StillBroken(
            "Some rows are broken. Mend the file and send it again, or say to take the rest.",
            field="skip_broken",
        )
    known = {f"{each['kind']}/{each['key']}" for each in (row.report or {}).get("conflicts", ())}
    chosen = {ref: side for ref, side in choices.items() if ref in known}
    _set(
        session,
        package_id,
        state="ordered",
        skip_broken=skip_broken,
        choices=chosen,
        ordered_by=scope_of(session).person_id,
    )
    _audit(session, "order", package_id, now)


def discard(session: TenantSession, package_id: UUID, *, now: datetime) -> None:
    """Let a package go that nobody wants. Raises `NotFound`, `NotChecked`."""
    _checked(session, package_id)
    _set(session, package_id, state="discarded", content=None, done_at=now)
    _audit(session, "discard", package_id, now)


def packages(session: TenantSession) -> list[Row[Any]]:
    """Give the latest packages of the bound partner, the last first, without what is in them."""
    return list(
        session.execute(
            select(*_BRIEF)
            .where(_PACKAGES.c.tenant_id == scope_of(session).tenant_id)
            .order_by(_PACKAGES.c.id.desc())
            .limit(SHOWN)
        )
    )


def next_due(session: TenantSession) -> Row[Any] | None:
    """Give the oldest package that the worker has to look at, locked; none when there is none."""
    return session.execute(
        select(_PACKAGES)
        .where(
            _PACKAGES.c.tenant_id == scope_of(session).tenant_id,
            _PACKAGES.c.state.in_(("waiting", "ordered")),
        )
        .order_by(_PACKAGES.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()


def checked(session: TenantSession, package_id: UUID, report: dict[str, Any]) -> None:
    """Keep what a package would change."""
    _set(session, package_id, state="checked", report=report)


def taken(session: TenantSession, package_id: UUID, report: dict[str, Any], now: datetime) -> None:
    """Keep what a package changed, and erase what was sent."""
    _set(session, package_id, state="taken", report=report, content=None, done_at=now)


def refused(session: TenantSession, package_id: UUID, problem: str, now: datetime) -> None:
    """Keep why a package was not taken, and erase what was sent."""
    _set(session, package_id, state="refused", problem=problem, content=None, done_at=now)


def _checked(session: TenantSession, package_id: UUID) -> Any:
    row = session.execute(
        select(_PACKAGES.c.state, _PACKAGES.c.report)
        .where(_PACKAGES.c.tenant_id == scope_of(session).tenant_id, _PACKAGES.c.id == package_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such package.")
    if row.state != "checked":
        raise NotChecked(
            "This package is not waiting for a decision any more. Load the page again."
        )
    return row


def _set(session: TenantSession, package_id: UUID, **values: Any) -> None:
    send(session)
    session.execute(
        update(PackageImport)
        .where(
            PackageImport.tenant_id == scope_of(session).tenant_id, PackageImport.id == package_id
        )
        .values(values),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)


def _audit(session: TenantSession, verb: str, package_id: UUID, now: datetime) -> None:
    record(
        session,
        now=now,
        action=f"package:{verb}",
        subject_kind="package_import",
        subject_id=package_id,
    )
