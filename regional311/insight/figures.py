"""What each figure counts, said once: the page counts with it and its rows are found with it.

Every condition reads the columns of :mod:`regional311.insight.queries`' *paths*, *asked* and
*taken*; none of them knows a period, a partner or a service, which are chosen beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, or_, true

from regional311.referral.lifecycle import CLOSED, OPEN

PING_PONG_DAYS: Final = 30
"""So long after a referral another one for the same person counts as a way back."""

PING_PONG: Final = timedelta(days=PING_PONG_DAYS)

NOT_COUNTED: Final = ("draft", "entered_in_error")
"""States of referrals that never were."""

TAKEN_ELSEWHERE: Final = "taken_elsewhere"
"""Why an offer to several partners ended for those who were not the first: it is no loop."""

SETTLED_HERE: Final = ("answered", "request_filed", "referred")
"""How a contact ends that needs nobody else on the line."""

Columns = Any
Condition = Callable[[Columns], ColumnElement[bool]]


def each_one(_of: Columns) -> ColumnElement[bool]:
    """Everything that the base holds."""
    return true()


def accepted(of: Columns) -> ColumnElement[bool]:
    """The receiver said yes, whatever came later."""
    return and_(
        of.answered_at.is_not(None),
        of.state != "rejected",
        or_(of.closed_at.is_(None), of.closed_at > of.answered_at),
    )


def closed(of: Columns) -> ColumnElement[bool]:
    """The loop is closed: it ended, and what became of the person is on record.

    Completed with an outcome other than *unknown*, or rejected, cancelled or failed for any reason
    but silence (*expired*) and *error*.
    """
    return or_(
        and_(of.state == "completed", of.outcome.is_not(None), of.outcome != "unknown"),
        and_(
            of.state.in_(("rejected", "cancelled", "failed")),
            of.reason.is_not(None),
            of.reason.not_in(("expired", "error")),
        ),
    )


def never_known(of: Columns) -> ColumnElement[bool]:
    """It ended, and nobody recorded what became of the person."""
    return and_(of.state.in_(CLOSED), ~closed(of))


def returned(of: Columns) -> ColumnElement[bool]:
    """Ping-pong: the person came back to, or was sent back to, where they had been before.

    The referral before it in its chain (which it names as replaced or as the one that it is part
    of), or else the one before it for the same telephone number or e-mail address and the same
    kind of need, at most :data:`PING_PONG_DAYS` days ago, went the other way: sent away before and
    received now, from whomever; or received before and sent now to the partner it came from. A
    referral that is passed on to a third partner is none.
    """
    return or_(
        _back(of, of.chain_side, of.chain_with),
        and_(
            of.chain_side.is_(None),
            of.last_at >= of.sent_at - PING_PONG,
            _back(of, of.last_side, of.last_with),
        ),
    )


def _back(of: Columns, side: Any, partner: Any) -> ColumnElement[bool]:
    return or_(
        and_(side == "sent", of.side == "received"),
        and_(side == "received", of.side == "sent", partner == of.counterparty_id),
    )


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a page: what it counts, and by what its rows may be narrowed further.

    ``of`` is ``referral``, ``need`` or ``contact``; ``by`` names the column whose value an address
    may ask for, as in the referrals that were rejected for *no capacity*.
    """

    of: str
    counts: Condition
    by: tuple[str, ...] = ()


FIGURES: Final[Mapping[str, Figure]] = {
    "sent": Figure("referral", each_one),
    "waiting": Figure("referral", lambda of: of.state == "requested"),
    "open": Figure("referral", lambda of: of.state.in_(OPEN)),
    "accepted": Figure("referral", accepted),
    "rejected": Figure("referral", lambda of: of.state == "rejected", ("reason",)),
    "completed": Figure("referral", lambda of: of.state == "completed", ("outcome",)),
    "closed": Figure("referral", closed),
    "never-known": Figure("referral", never_known),
    "ping-pong": Figure("referral", returned),
    "needs": Figure("need", each_one),
    "unmet": Figure(
        "need", lambda of: of.status == "unmet", ("area", "language", "unmet_reason", "term")
    ),
    "avoided": Figure("contact", lambda of: of.disposition.in_(SETTLED_HERE)),
    "transferred": Figure("contact", lambda of: of.disposition == "transferred"),
}
"""Every figure that opens to its rows, by its name in an address."""
