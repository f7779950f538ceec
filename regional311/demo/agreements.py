"""What the demo shows of agreements in motion: an amendment that waits, and a figure entered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import Engine

from regional311.calendars import Period
from regional311.chargeback import agreements, service_levels
from regional311.chargeback.agreements import Content, Signed
from regional311.database.session import Scope, session_scope

CITY: Final = "city-of-portland"
AMENDED: Final = "city-intake-for-county"
CAP_CENTS: Final = 150_000_000


def set_in_motion(
    engine: Engine,
    ids: Mapping[str, UUID],
    period: Period,
    *,
    finance: UUID,
    approver: UUID,
    now: datetime,
) -> None:
    """Let the City propose a cap to the County, and enter how long its callers waited.

    A second time nothing happens.
    """
    city = ids[CITY]
    with session_scope(engine, Scope(city, finance)) as session:
        versions = agreements.versions(session, AMENDED)
        if not versions or agreements.proposals(session, key=AMENDED):
            return
        row = versions[-1]
        amended = agreements.amended(
            Content.of_row(row),
            not_to_exceed_cents=CAP_CENTS,
            valid_from=_after_next(period.end_on),
        )
        proposal_id = agreements.draft(
            session,
            amended,
            note="The County asked for a limit that its budget can name.",
            now=now,
        )
        service_levels.enter(
            session,
            row,
            target_key="answer",
            period_key=period.label,
            reading=Decimal(41),
            source="Telephone system, example",
            now=now,
        )
    with session_scope(engine, Scope(city, approver)) as session:
        agreements.propose(
            session,
            proposal_id,
            version=1,
            signed=Signed("Alex Example", "Director, Community & Civic Life", now.date()),
            now=now,
        )


def _after_next(end_on: date) -> date:
    """The first day of the second month after a period, so that there is time to answer."""
    return Period.month_of(end_on).next().next().start_on
