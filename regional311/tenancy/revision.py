"""Saying that something published has changed, so that every process reads it again."""

from __future__ import annotations

from sqlalchemy import update

from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.tenancy.models import Tenant


def raise_revision(session: TenantSession) -> None:
    """Raise the bound partner's revision: what is kept in memory of it is out of date."""
    tenant_id = scope_of(session).tenant_id
    send(session)
    session.execute(
        update(Tenant)
        .where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
        .values(revision=Tenant.revision + 1),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)
