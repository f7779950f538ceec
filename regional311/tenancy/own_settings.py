"""A partner's own settings, changed a part at a time from forms; files see them as their own."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from sqlalchemy import select, update

from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.tenancy.models import Tenant


def locked_settings(session: TenantSession) -> tuple[dict[str, Any], int]:
    """Give a copy of the bound partner's settings to change, and their revision.

    Nobody else changes them until this transaction ends.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(Tenant.settings, Tenant.revision)
        .where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
        .with_for_update()
    ).one()
    return deepcopy(dict(row.settings)), row.revision


def keep_settings(session: TenantSession, settings: Mapping[str, Any]) -> None:
    """Keep what was changed of settings that are locked; what is published is read anew."""
    tenant_id = scope_of(session).tenant_id
    session.execute(
        update(Tenant)
        .where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
        .values(settings=dict(settings), revision=Tenant.revision + 1)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
