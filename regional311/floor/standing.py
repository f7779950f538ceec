"""What a specialist is doing, by the contacts that they have open: pure rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

AVAILABLE: Final = "available"
ON_CONTACT: Final = "on_contact"
WRAP_UP: Final = "wrap_up"
AWAY: Final = "away"
STATES: Final = (ON_CONTACT, WRAP_UP, AVAILABLE, AWAY)


@dataclass(frozen=True, slots=True)
class Busy:
    """An open contact, as far as it says what somebody is doing.

    ``live`` is false for mail and texts, which wait by themselves; ``gone_at`` is when the person
    was gone.
    """

    started_at: datetime
    gone_at: datetime | None = None
    live: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody is doing, and since when; since when is not known of who is not on duty."""

    state: str
    since: datetime | None


def standing(
    contacts: Sequence[Busy], on_duty_since: datetime | None, last_ended_at: datetime | None
) -> Standing:
    """Say what somebody is doing.

    With a person there they are *on a contact*, since the first of those began; when everybody is
    gone they *wrap up*, since the last one went; without either they are *available*, since the
    person of their last contact went or they came; and *away* when they are not on duty.

    >>> from datetime import UTC, datetime
    >>> at = lambda minute: datetime(2026, 1, 1, 9, minute, tzinfo=UTC)
    >>> found = standing([Busy(at(5), at(9))], at(0), None)
    >>> found.state, found.since.minute
    ('wrap_up', 9)
    """
    live = [each for each in contacts if each.live]
    there = [each.started_at for each in live if each.gone_at is None]
    if there:
        return Standing(ON_CONTACT, min(there))
    gone = [each.gone_at for each in live if each.gone_at is not None]
    if gone:
        return Standing(WRAP_UP, max(gone))
    if on_duty_since is None:
        return Standing(AWAY, None)
    return Standing(AVAILABLE, max(on_duty_since, last_ended_at or on_duty_since))
