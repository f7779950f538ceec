"""What comes of trying to ask a person: the results there are, and what each leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from regional311.errors import Conflict, InvalidInput
from regional311.intake.needs import check_statement

RESULTS: Final = (
    "reached",
    "no_answer",
    "left_message",
    "wrong_number",
    "declined",
    "not_safe",
)
CHANNELS: Final = ("phone", "text", "email", "walk_in")

STOP_REASONS: Final = (
    "not_reached",
    "wrong_number",
    "declined",
    "not_safe",
    "contact_prohibited",
    "consent_withdrawn",
    "not_needed",
)
"""Why nobody asks any more."""

_STOPS: Final[Mapping[str, str]] = {
    "wrong_number": "wrong_number",
    "declined": "declined",
    "not_safe": "not_safe",
}


class NoMessage(InvalidInput):
    """The person did not allow a message to be left."""


class FollowUpClosed(Conflict):
    """The follow-up is over."""


@dataclass(frozen=True, slots=True)
class Next:
    """What a follow-up is after an attempt: its state, and why it was stopped."""

    state: str
    reason: str | None = None


def after(result: str, attempts: int, most: int) -> Next:
    """Say what a follow-up is after its so-many-eth attempt, of at most `most`.

    >>> after("no_answer", 2, 3), after("no_answer", 3, 3).reason, after("reached", 1, 3).state
    (Next(state='open', reason=None), 'not_reached', 'done')
    """
    if result == "reached":
        return Next("done")
    if result in _STOPS:
        return Next("stopped", _STOPS[result])
    return Next("stopped", "not_reached") if attempts >= most else Next("open")


def check_attempt(
    result: str,
    channel: str,
    *,
    may_leave_message: bool,
    status: str | None = None,
    unmet_reason: str | None = None,
    words: str | None = None,
) -> None:
    """Refuse an attempt that lacks what it must say, or leaves a message where none is allowed.

    Whoever was reached has said what became of the need. Raises :class:`NoMessage` and
    :class:`InvalidInput`.
    """
    if channel not in CHANNELS:
        raise InvalidInput("Choose how you tried to reach the person.", field="channel")
    if result not in RESULTS:
        raise InvalidInput("Choose what came of it.", field="result")
    if result == "left_message" and not may_leave_message:
        raise NoMessage("The person did not allow a message to be left.", field="result")
    if result == "reached" or status is not None:
        check_statement(status or "", unmet_reason, words)
