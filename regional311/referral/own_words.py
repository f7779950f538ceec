"""A step for a reason that stands in no list: the other side reads it in words.

The words cross as a line of the thread does, and are erased with it. They move no clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from regional311.database.session import TenantSession
from regional311.intake.service import Changed
from regional311.referral import questions
from regional311.referral.lifecycle import ReasonNeeded
from regional311.referral.service import move

OTHER: Final = "other"


def move_in_words(
    session: TenantSession,
    *,
    now: datetime,
    referral_id: UUID,
    reason: str | None = None,
    words: str | None = None,
    **step: Any,
) -> Changed:
    """Take a step as :func:`regional311.referral.service.move` does, and tell the other side why.

    ``words`` are needed for the reason *other*, and can go with any. Raises
    :class:`regional311.referral.lifecycle.ReasonNeeded`, and what `move` does.
    """
    words = (words or "").strip()
    if reason == OTHER and not words:
        raise ReasonNeeded("Say in your own words why; the other side reads it.", field="words")
    if len(words) > questions.MAX_BODY:
        raise ReasonNeeded(f"Say it in at most {questions.MAX_BODY} characters.", field="words")
    changed = move(session, now=now, referral_id=referral_id, reason=reason, **step)
    if words:
        questions.remark(session, now=now, referral_id=referral_id, body=words)
    return changed
