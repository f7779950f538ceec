"""Let the key of a program be changed without a gap: the one before goes on until a moment.

The previous release goes on beside it: columns are nullable.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

COLUMNS = (
    ("before_hash", sa.LargeBinary()),
    ("before_until", sa.DateTime(timezone=True)),
    ("rotated_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("api_clients", sa.Column(name, kind))


def downgrade() -> None:
    for name, _kind in COLUMNS:
        op.drop_column("api_clients", name)
