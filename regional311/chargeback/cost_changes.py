"""Approve changes of pools and bases, and tell everybody whose part changes, bodies outside too.

Where a body outside is reached is a term of its agreement, which pools and bases know nothing of.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text

from regional311.allocation import base_changes, pool_changes
from regional311.database.session import TenantSession, scope_of

# the newest version of each agreement that shares a pool has the address of today
_ADDRESSES: Final = text("""
SELECT DISTINCT ON (a.payer_key) 'outside:' || a.payer_key AS target,
    a.terms->'outside'->>'email' AS email
FROM agreements a
JOIN tenants region ON region.tenant_id = a.tenant_id AND region.kind = 'region'
WHERE a.provider_id = :me AND a.payer_kind = 'outside' AND a.pool_key IS NOT NULL
ORDER BY a.payer_key, a.version DESC, a.key
""")


def approve_pool(session: TenantSession, proposal_id: UUID, *, now: datetime) -> int:
    """Store a proposed version of a pool; see `pool_changes.approve`."""
    return pool_changes.approve(session, proposal_id, addresses=_addresses(session), now=now)


def approve_base(session: TenantSession, proposal_id: UUID, *, now: datetime) -> int:
    """Store a proposed version or readings of a base; see `base_changes.approve`."""
    return base_changes.approve(session, proposal_id, addresses=_addresses(session), now=now)


def _addresses(session: TenantSession) -> dict[str, str]:
    """The e-mail of bodies outside that share a pool, by target, where an agreement names one."""
    rows = session.execute(_ADDRESSES, {"me": scope_of(session).tenant_id})
    return {row.target: row.email for row in rows if row.email}
