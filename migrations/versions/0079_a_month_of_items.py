"""A month of items: their lines are looked for once a statement, and envelopes kept as they are.

The application can delete no line, so what was there when an item was written stays there.
"""

from __future__ import annotations

from alembic import op

revision = "0079"
down_revision = "0078"
branch_labels = None
depends_on = None

CHECK_ITEMS = """
CREATE FUNCTION check_items() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    missing uuid;
BEGIN
    SELECT w.line_id INTO missing FROM (SELECT DISTINCT tenant_id, line_id FROM written) w
    WHERE NOT EXISTS (
        SELECT FROM statement_lines l WHERE l.tenant_id = w.tenant_id AND l.id = w.line_id
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'there is no statement line % for an item', missing
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$
"""
LINE = "fk_statement_items_tenant_id_line_id"


def upgrade() -> None:
    op.execute("ALTER TABLE envelopes ALTER COLUMN payload SET STORAGE EXTERNAL")
    op.drop_constraint(op.f(LINE), "statement_items", type_="foreignkey")
    op.execute(CHECK_ITEMS)
    op.execute(
        "CREATE TRIGGER items_have_lines AFTER INSERT ON statement_items"
        " REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION check_items()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER items_have_lines ON statement_items")
    op.execute("DROP FUNCTION check_items()")
    op.create_foreign_key(
        op.f(LINE),
        "statement_items",
        "statement_lines",
        ["tenant_id", "line_id"],
        ["tenant_id", "id"],
    )
    op.execute("ALTER TABLE envelopes ALTER COLUMN payload SET STORAGE EXTENDED")
