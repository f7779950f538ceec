"""What comes to its end by itself: emergencies, lent help, rings, duties."""

from __future__ import annotations

from datetime import datetime

from regional311.cover.aid import end_with_emergencies
from regional311.cover.duty import end_duties
from regional311.cover.emergencies import end_due
from regional311.cover.handovers import lapse
from regional311.database.session import TenantSession


def cover_due(session: TenantSession, now: datetime) -> int:
    """End what is due of the bound partner; for the worker, safe to do again. Gives how much."""
    done = end_due(session, now)
    done += end_with_emergencies(session, now)
    done += lapse(session, now)
    return done + end_duties(session, now=now)
