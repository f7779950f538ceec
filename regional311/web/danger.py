"""What is said at once to whoever writes of danger where nobody reads at once."""

from __future__ import annotations

from typing import Any

from regional311.web.i18n import _
from regional311.web.searching import danger_in, log_danger
from regional311.web.telling import telling


def tell_of_danger(request: Any, channel: str, words: str) -> None:
    """Say on the next page whom to call when words sound like danger, and log the sign."""
    signs = danger_in(telling(request), words)
    log_danger(channel, signs)
    for sign in signs[:1]:
        request.flash(
            "error",
            _(
                "Call ${number} now if anybody is in danger: nobody reads this at once.",
                mapping={"number": sign.number},
            ),
        )
