"""Row security and grants of a new table, by its kind: what migrations lay around it.

The kinds are those of `database.base`. These functions print statements and know no model, so that
a revision stays what it was when the models go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

APPLICATION = "regional311_app"
_MINE = "tenant_id = nullif(current_setting('app.tenant', true), '')::uuid"


def protect(
    *,
    tenant: Iterable[str] = (),
    append_only: Iterable[str] = (),
    published: Iterable[str] = (),
    for_ever: Iterable[str] = (),
) -> Iterator[str]:
    """Give the statements that force row security on new tables and grant what may be done.

    >>> list(protect(tenant=["payments"]))[-1]
    'GRANT SELECT, INSERT, UPDATE ON payments TO regional311_app'
    """
    for table in (*tenant, *append_only, *published, *for_ever):
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
        yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    for table in (*tenant, *append_only):
        yield f"CREATE POLICY own_rows ON {table} USING ({_MINE}) WITH CHECK ({_MINE})"
    for table in (*published, *for_ever):
        yield f"CREATE POLICY all_read ON {table} FOR SELECT USING (true)"
        yield f"CREATE POLICY own_insert ON {table} FOR INSERT WITH CHECK ({_MINE})"
        yield f"CREATE POLICY own_update ON {table} FOR UPDATE USING ({_MINE}) WITH CHECK ({_MINE})"
    for table in (*append_only, *for_ever):
        yield f"GRANT SELECT, INSERT ON {table} TO {APPLICATION}"
    for table in (*tenant, *published):
        yield f"GRANT SELECT, INSERT, UPDATE ON {table} TO {APPLICATION}"
