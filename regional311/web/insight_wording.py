"""How figures, changes and spans of time are said on the pages of insight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from regional311.insight.figures import PING_PONG_DAYS
from regional311.web.i18n import _

FIGURE_NAMES: Final[Mapping[str, tuple[Any, Any]]] = {
    "sent": (_("Referrals"), _("Sent in this time, whatever became of them.")),
    "closed": (
        _("Loops closed"),
        _("Ended, and what became of the person is on record."),
    ),
    "never-known": (
        _("Ended, and nobody knows how"),
        _("Expired, or completed without saying what became of the need."),
    ),
    "open": (_("Open"), _("Not ended yet.")),
    "waiting": (_("Waiting for a first answer"), _("Neither accepted nor rejected yet.")),
    "accepted": (_("Accepted"), _("The receiver said yes, whatever came later.")),
    "rejected": (_("Rejected"), _("The receiver said no, with a reason.")),
    "completed": (_("Completed"), _("The receiver did its part.")),
    "ping-pong": (
        _("Sent back and forth"),
        _(
            "The person came back, or was sent back, to where they had been for the same need in"
            " the ${days} days before.",
            mapping={"days": PING_PONG_DAYS},
        ),
    ),
    "needs": (_("Needs"), _("What was asked for in contacts of this time.")),
    "unmet": (_("Needs not met"), _("Found to be unmet, as far as is known today.")),
    "avoided": (
        _("Transfers avoided"),
        _("About another partner's service, and settled here without passing the person on."),
    ),
    "transferred": (_("Transfers"), _("Contacts that were passed on.")),
}
"""Each figure's name and what it counts."""

BY_NAMES: Final[Mapping[str, Any]] = {
    "reason": _("Why they were rejected"),
    "outcome": _("What became of the need"),
    "area": _("By area"),
    "language": _("By language"),
    "unmet_reason": _("By reason"),
    "term": _("By need"),
    "partner": _("By partner they were sent to"),
    "loop": _("By whether the loop is closed"),
}

LOOPS: Final[Mapping[str, Any]] = {
    "closed": _("Closed"),
    "open": _("Open still"),
    "never_known": _("Ended, and nobody knows how"),
}


def duration(request: Any, seconds: float | None) -> Any:
    """Say a span in the unit that fits it; nothing when there is none."""
    if seconds is None:
        return None
    for size, one, many in (
        (86_400, "${num} day", "${num} days"),
        (3_600, "${num} hour", "${num} hours"),
    ):
        if seconds >= size:
            number = round(seconds / size, 1)
            shown = f"{number:g}"
            return request.localizer.pluralize(
                one, many, 1 if number == 1 else 2, domain="regional311", mapping={"num": shown}
            )
    minutes = round(seconds / 60)
    return request.localizer.pluralize(
        "${num} minute", "${num} minutes", minutes, domain="regional311", mapping={"num": minutes}
    )


def percent(part: float | None) -> str | None:
    """Say a part as per cent.

    >>> percent(0.256)
    '26 %'
    """
    return None if part is None else f"{part:.0%}".replace("%", " %")


def change(now: float, before: float) -> str:
    """Say by how much a count rose or fell.

    >>> change(5, 3), change(3, 5), change(4, 4)
    ('+2', '−2', '0')
    """
    by = now - before
    return f"+{by:g}" if by > 0 else f"−{-by:g}" if by < 0 else "0"
