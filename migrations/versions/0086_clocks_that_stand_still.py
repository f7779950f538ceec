"""Time stands still while a request waits for the person, and staff are warned in time.

Requests that are open already are warned of after three quarters of their time by the calendar.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0086"
down_revision = "0085"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
INDEX = "ix_service_requests_promised"
OPEN = "state NOT IN ('closed', 'merged')"

FILL = f"""
UPDATE service_requests SET
    warn_at = least(expected_at, opened_at + (expected_at - opened_at) * 0.75)
WHERE expected_at IS NOT NULL AND {OPEN}
"""

GO_ON = """
UPDATE service_requests SET expected_at = now() + make_interval(secs => left_seconds)
WHERE stands_since IS NOT NULL
"""


def upgrade() -> None:
    op.add_column("service_requests", sa.Column("warn_at", TIME))
    op.add_column("service_requests", sa.Column("stands_since", TIME))
    op.add_column("service_requests", sa.Column("left_seconds", sa.BigInteger()))
    op.add_column("service_requests", sa.Column("stood_seconds", sa.BigInteger()))
    _for_all(FILL)
    op.drop_index(INDEX, table_name="service_requests")
    op.create_index(
        INDEX,
        "service_requests",
        ["tenant_id", "warn_at"],
        postgresql_where=sa.text(f"warn_at IS NOT NULL AND {OPEN}"),
    )


def downgrade() -> None:
    op.drop_index(INDEX, table_name="service_requests")
    # nothing stands still before; what was left runs by the calendar
    _for_all(GO_ON)
    op.create_index(
        INDEX,
        "service_requests",
        ["tenant_id", "expected_at"],
        postgresql_where=sa.text(f"expected_at IS NOT NULL AND {OPEN}"),
    )
    for name in ("stood_seconds", "left_seconds", "stands_since", "warn_at"):
        op.drop_column("service_requests", name)


def _for_all(statement: str) -> None:
    op.execute("ALTER TABLE service_requests NO FORCE ROW LEVEL SECURITY")
    op.execute(statement)
    op.execute("ALTER TABLE service_requests FORCE ROW LEVEL SECURITY")
