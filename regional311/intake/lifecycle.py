"""What may happen to a service request, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from unicodedata import east_asian_width

from regional311.errors import Conflict, InvalidInput

WAITING: Final = ("waiting_person", "waiting_partner")
CLOSED: Final = ("closed", "merged")
_ENDS: Final = ("closed", "merged")

TRANSITIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("received",),
    "received": ("triaged", "assigned", "in_progress", *WAITING, *_ENDS),
    "triaged": ("assigned", "in_progress", *WAITING, *_ENDS),
    "assigned": ("triaged", "in_progress", *WAITING, *_ENDS),
    "in_progress": ("assigned", *WAITING, *_ENDS),
    "waiting_person": ("assigned", "in_progress", "waiting_partner", *_ENDS),
    "waiting_partner": ("assigned", "in_progress", "waiting_person", *_ENDS),
    "closed": ("triaged",),
    "merged": ("triaged",),
}
"""From, and where to. Out of *closed* and *merged* there is one way: it is triaged again."""

STATES: Final = tuple(state for state in TRANSITIONS if state)
OPEN: Final = tuple(state for state in STATES if state not in CLOSED)

RESOLUTIONS: Final = (
    "completed",
    "no_action_needed",
    "not_found",
    "duplicate",
    "not_our_responsibility",
    "out_of_funds",
    "person_withdrew",
    "other",
)
HELPED: Final = ("yes", "partly", "no")
"""Whether it helped, as the person says once it is closed."""

REOPEN_DAYS: Final = 30
"""Days after closing within which a person can open their request again."""

PRIORITIES: Final = ("low", "normal", "high", "urgent")
MIN_MESSAGE: Final = 10
"""Letters of the words that tell a person what happened; see :func:`says_enough`."""
_WIDE: Final = 3
"""Letters for which one Chinese character stands, or another that is as wide."""

DISPOSITIONS: Final = (
    "answered",
    "request_filed",
    "referred",
    "transferred",
    "declined",
    "hang_up",
    "danger",
)
CALL_TYPES: Final = (
    "information",
    "referral",
    "assistance",
    "crisis",
    "follow_up",
    "transfer",
    "out_of_scope",
    "hang_up",
)
RESOLVED_AT_FIRST: Final = frozenset({"answered", "request_filed"})
"""Dispositions that count as first-contact resolution: nobody else had to be asked."""


class StepNotAllowed(Conflict):
    """The request is not in a state from which it can go there."""


class ResolutionNeeded(InvalidInput):
    """Closing needs a resolution from the list."""


class MessageNeeded(InvalidInput):
    """Closing needs plain words that say what happened."""


class AssigneeNeeded(InvalidInput):
    """Assigning needs somebody to assign to."""


class PartsOpen(InvalidInput):
    """Parts of the request are still open; whoever closes it says what becomes of them."""


CLOSE_PARTS: Final = "close"
KEEP_PARTS: Final = "keep"
PARTS: Final = (CLOSE_PARTS, KEEP_PARTS)
"""What becomes of open parts when their whole is closed."""


def says_enough(words: str | None) -> bool:
    """Whether words can tell a person what happened: they are not too few.

    >>> [says_enough(each) for each in ("It is filled.", "Done.", None, "已經修好。", "好")]
    [True, False, False, True, False]
    """
    said = (words or "").strip()
    wide = sum(east_asian_width(each) in "WF" for each in said)
    return len(said) + (_WIDE - 1) * wide >= MIN_MESSAGE


def next_states(state: str) -> tuple[str, ...]:
    """Give the states that a request can go to from here."""
    return TRANSITIONS[state]


def check_transition(
    state: str,
    to: str,
    *,
    resolution: str | None = None,
    message: str | None = None,
    assignee: object = None,
) -> None:
    """Refuse a step that is not in the table, or that lacks what it needs.

    Raises :class:`StepNotAllowed`, :class:`ResolutionNeeded`, :class:`MessageNeeded` or
    :class:`AssigneeNeeded`.
    """
    if to not in TRANSITIONS[state]:
        raise StepNotAllowed(
            f"A request that is {_said(state)} cannot become {_said(to)}.", field="state"
        )
    if to == "assigned" and assignee is None:
        raise AssigneeNeeded("Choose who will work the request.", field="assignee")
    if to == "closed":
        if resolution not in RESOLUTIONS:
            raise ResolutionNeeded("Choose how the request was resolved.", field="resolution")
        if not says_enough(message):
            raise MessageNeeded(
                "Say in plain words what happened; the person reads this.", field="message"
            )


def public_state(state: str) -> str:
    """Give what the public sees, as in Open311: open or closed.

    >>> public_state("waiting_partner"), public_state("merged")
    ('open', 'closed')
    """
    return "closed" if state in CLOSED else "open"


UPDATE_STATUSES: Final = (
    "OPEN",
    "CLOSED",
    "FIXED",
    "INVESTIGATING",
    "ACTION_SCHEDULED",
    "IN_PROGRESS",
    "PLANNED",
    "NO_FURTHER_ACTION",
    "NOT_COUNCILS_RESPONSIBILITY",
    "DUPLICATE",
    "INTERNAL_REFERRAL",
    "CANCELLED",
    "REOPEN",
    "FOR_TRIAGE",
)
"""What can have happened to a request, in the words of mySociety's extension of Open311."""

_STATUS_OF: Final[Mapping[str, str]] = {
    "received": "OPEN",
    "triaged": "INVESTIGATING",
    "assigned": "ACTION_SCHEDULED",
    "in_progress": "IN_PROGRESS",
    "waiting_person": "INVESTIGATING",
    "waiting_partner": "INTERNAL_REFERRAL",
    "merged": "DUPLICATE",
    "completed": "FIXED",
    "no_action_needed": "NO_FURTHER_ACTION",
    "not_found": "NO_FURTHER_ACTION",
    "duplicate": "DUPLICATE",
    "not_our_responsibility": "NOT_COUNCILS_RESPONSIBILITY",
    "out_of_funds": "NO_FURTHER_ACTION",
    "person_withdrew": "CANCELLED",
    "other": "CLOSED",
}


def update_status(before: str, to: str, resolution: str | None = None) -> str:
    """Give what a step means to those who follow a request elsewhere.

    >>> update_status("closed", "triaged"), update_status("in_progress", "closed", "completed")
    ('REOPEN', 'FIXED')
    """
    if before in CLOSED and to not in CLOSED:
        return "REOPEN"
    return _STATUS_OF[resolution or "other"] if to == "closed" else _STATUS_OF[to]


def first_contact_resolution(disposition: str | None) -> bool:
    """Whether the contact ended with everything done that it needed."""
    return disposition in RESOLVED_AT_FIRST


def _said(state: str) -> str:
    return state.replace("_", " ") or "new"
