"""Secrets by which a partner's provider of texts, or its telephone system, signs what it brings.

They are kept sealed by the installation's secret, each bound to its row, and shown once. One that
is replaced is good for a day more, so that both sides need not change at the same moment.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, NotFound
from regional311.exchange.sealing import SealBroken, new_secret, seal, secret_bytes, unseal
from regional311.exchange.webhooks import PREFIX
from regional311.inbox.models import HOOKS, HookSecret

FORMER_GOOD: Final = timedelta(days=1)
"""How long a secret that was replaced is still good."""


class MadeAlready(Conflict):
    """There is a secret of this kind: it is replaced, or revoked first."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret as administrators see it: never itself."""

    id: UUID
    hook: str
    made_at: datetime
    made_by: UUID | None
    former_until: datetime | None


def kept(session: Session) -> dict[str, Kept]:
    """Give this partner's current secrets by what they are for: one statement."""
    columns = [getattr(HookSecret, name) for name in Kept.__dataclass_fields__]
    rows = session.execute(
        select(*columns).where(
            HookSecret.tenant_id == scope_of(session).tenant_id, HookSecret.revoked_at.is_(None)
        )
    )
    return {row.hook: Kept(*row) for row in rows}


def keys(session: Session, hook: str, *, sealed_by: str, now: datetime) -> list[bytes] | None:
    """Give the keys that are good for a partner's hook now; None when it has none of its own.

    One that was sealed by another secret of the installation is good for nothing.
    """
    row = session.execute(
        select(
            HookSecret.id,
            HookSecret.sealed_secret,
            HookSecret.sealed_former,
            HookSecret.former_until,
        ).where(
            HookSecret.tenant_id == scope_of(session).tenant_id,
            HookSecret.hook == hook,
            HookSecret.revoked_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        return None
    sealed = [row.sealed_secret]
    if row.sealed_former is not None and row.former_until is not None and now < row.former_until:
        sealed.append(row.sealed_former)
    bound = {"by": sealed_by, "tenant_id": scope_of(session).tenant_id, "row_id": row.id}
    found = []
    for each in sealed:
        with suppress(SealBroken):
            found.append(unseal(each, **bound))
    return found


def make(session: TenantSession, hook: str, *, sealed_by: str, now: datetime) -> str:
    """Make the secret of a hook, and give it this once. Raises `NotFound` and `MadeAlready`."""
    if hook not in HOOKS:
        raise NotFound("There is no such hook.")
    if hook in kept(session):
        raise MadeAlready("There is a secret already: replace it.")
    scope, row_id, fresh = scope_of(session), new_id(), new_secret()
    put(
        session,
        HookSecret(
            tenant_id=scope.tenant_id,
            id=row_id,
            hook=hook,
            sealed_secret=_sealed(session, row_id, fresh, sealed_by),
            made_at=now,
            made_by=scope.person_id,
        ),
    )
    _note(session, "hook:make", row_id, hook, now)
    return _spelled(fresh)


def replace(
    session: TenantSession, hook: str, *, sealed_by: str, now: datetime, at_once: bool = False
) -> str:
    """Make another secret and give it this once; the one before is good for a day more.

    With ``at_once`` it is refused from now on: others may know it. Raises `NotFound`.
    """
    row = _current(session, hook)
    fresh = new_secret()
    row.sealed_former = None if at_once else row.sealed_secret
    row.former_until = None if at_once else now + FORMER_GOOD
    row.sealed_secret = _sealed(session, row.id, fresh, sealed_by)
    row.made_at, row.made_by = now, scope_of(session).person_id
    session.flush()
    _note(session, "hook:replace", row.id, hook, now, at_once=at_once)
    return _spelled(fresh)


def revoke(session: TenantSession, hook: str, *, now: datetime) -> None:
    """End a secret at once, and the one before it. Raises `NotFound`."""
    row = _current(session, hook)
    row.revoked_at = now
    row.sealed_former, row.former_until = None, None
    session.flush()
    _note(session, "hook:revoke", row.id, hook, now)


def _current(session: TenantSession, hook: str) -> HookSecret:
    send(session)
    row = session.execute(
        select(HookSecret)
        .where(
            HookSecret.tenant_id == scope_of(session).tenant_id,
            HookSecret.hook == hook,
            HookSecret.revoked_at.is_(None),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if row is None:
        raise NotFound("There is no secret of that kind.")
    return row


def _sealed(session: TenantSession, row_id: UUID, secret: str, sealed_by: str) -> str:
    tenant_id = scope_of(session).tenant_id
    return seal(secret_bytes(secret), by=sealed_by, tenant_id=tenant_id, row_id=row_id)


def _spelled(secret: str) -> str:
    """A secret as Standard Webhooks spells it."""
    return PREFIX + base64.b64encode(secret_bytes(secret)).decode()


def _note(
    session: TenantSession, action: str, row_id: UUID, hook: str, now: datetime, **more: Any
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="hook",
        subject_id=row_id,
        detail={"hook": hook, **more},
    )
