"""How the database joins the large sets of a month."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from regional311.database.session import TenantSession

_NESTED_LOOPS = text("SELECT set_config('enable_nestloop', :setting, true)")


@contextmanager
def joined_by_hash(session: TenantSession) -> Iterator[None]:
    """Keep the planner from joining two large sets row by row.

    A month that was just taken in has no statistics yet and the planner takes it for one row
    (measured: 20,000 events rated in 7 s instead of 0.9 s). If the body raises, the transaction is
    given up and the setting with it.
    """
    session.execute(_NESTED_LOOPS, {"setting": "off"})
    yield
    session.execute(_NESTED_LOOPS, {"setting": "on"})
