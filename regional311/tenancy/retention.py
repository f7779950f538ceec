"""For how long personal values of a kind are kept, as the region's policy says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from regional311.tenancy.queries import PolicyRow


def keep_days(rows: Iterable[PolicyRow], kind: str, slug: str, on: date, *, otherwise: int) -> int:
    """Give for how many days a partner keeps them: its own period, else everybody's.

    `rows` are the region's policies, `otherwise` holds where they say nothing of this kind.
    """
    periods = [
        each
        for row in rows
        if row.key == "retention"
        and row.valid_from <= on
        and (row.valid_to is None or on < row.valid_to)
        for each in row.body.get("retention") or ()
        if each.get("kind") == kind and each.get("tenant") in (None, slug)
    ]
    own = [each for each in periods if each.get("tenant") == slug]
    return min((int(each["keep_days"]) for each in own or periods), default=otherwise)
