"""How much of a record's history its page shows: the newest steps, or all when that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regional311.audit.queries import HISTORY


def steps_asked(request: Any) -> int | None:
    """How many of the newest steps are asked for; None: all."""
    return None if request.GET.get("history") == "all" else HISTORY


def whole_history(request: Any, shown: Sequence[Any]) -> str | None:
    """Where the whole history is, when there may be more than what is shown."""
    if steps_asked(request) is None or len(shown) < HISTORY:
        return None
    return f"{request.path}?history=all#history-heading"
