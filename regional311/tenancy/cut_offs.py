"""Keep what a run of bills read apart from what is stored later.

A run reads prices, pools and bases that were stored before its cut-off; a change is stored with an
instant from which it counts. Each takes the partner's row of `cut_offs` until its transaction ends,
so that a change is either seen by a run, or counts from the run's cut-off or later, whatever the
clocks of the two said. The same cut-off then always reads the same.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.tenancy.models import CutOff


def read_before(session: TenantSession, cut_off: datetime, *, now: datetime) -> None:
    """Let this transaction read what was stored before a cut-off; changes wait until it ends.

    What is stored until a cut-off that is still to come belongs to it: only until now is held.
    """
    _take(session, min(cut_off, now))


def stamp(session: TenantSession, now: datetime) -> datetime:
    """Give the instant from which a change of this transaction counts: now, or the latest cut-off.

    Runs and other changes of this partner wait until the transaction ends.
    """
    return _take(session, now)


def _take(session: TenantSession, wanted: datetime) -> datetime:
    send(session)
    row = insert(CutOff).values(tenant_id=scope_of(session).tenant_id, latest=wanted)
    latest = session.execute(
        row.on_conflict_do_update(
            index_elements=[CutOff.tenant_id],
            set_={"latest": func.greatest(CutOff.latest, row.excluded.latest)},
        ).returning(CutOff.latest),
        execution_options={"populate_existing": True},
    ).scalar_one()
    mark_changed(session)
    return latest
