"""What may happen to a referral, in which order, by which side.

Modelled on the states of a task in HL7 FHIR as the SDOH Clinical Care guide uses them; *received*
is a time and not a state. A completed referral says that the receiver did its part; whether the
need is met is asked apart from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from regional311.errors import Conflict, InvalidInput

SENDER: Final = "sent"
RECEIVER: Final = "received"
BOTH: Final = frozenset({SENDER, RECEIVER})
CLOCK: Final = "clock"
"""Nobody's side: what time alone does, once everybody was reminded."""

_BY_SENDER: Final = frozenset({SENDER})
_BY_RECEIVER: Final = frozenset({RECEIVER})
_BY_CLOCK: Final = frozenset({CLOCK})
_WORK: Final[Mapping[str, frozenset[str]]] = {
    "completed": _BY_RECEIVER,
    "failed": frozenset({RECEIVER, CLOCK}),
    "cancelled": BOTH,
}

TRANSITIONS: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "": {"draft": _BY_SENDER, "requested": _BY_SENDER},
    "draft": {"requested": _BY_SENDER},
    "requested": {
        "accepted": _BY_RECEIVER,
        "rejected": _BY_RECEIVER,
        "cancelled": BOTH,
        "failed": _BY_CLOCK,
    },
    "accepted": {"in_progress": _BY_RECEIVER, "on_hold": _BY_RECEIVER, **_WORK},
    "in_progress": {"on_hold": _BY_RECEIVER, **_WORK},
    "on_hold": {"in_progress": _BY_RECEIVER, **_WORK, "failed": _BY_RECEIVER},
    "rejected": {},
    "completed": {},
    "failed": {},
    "cancelled": {},
    "entered_in_error": {},
}
"""From, to, and the side that may take the step. ``entered_in_error`` is the sender's from any."""

STATES: Final = tuple(state for state in TRANSITIONS if state)
OPEN: Final = ("requested", "accepted", "in_progress", "on_hold")
CLOSED: Final = tuple(state for state in STATES if state not in OPEN and state != "draft")

DECLINE_REASONS: Final = (
    "no_capacity",
    "waitlist_only",
    "out_of_area",
    "not_eligible",
    "missing_documents",
    "out_of_funds",
    "service_ended",
    "duplicate",
    "needs_assessment",
    "wrong_agency",
    "other",
)
END_REASONS: Final = (
    "person_declined",
    "could_not_contact",
    "no_show",
    "resolved_elsewhere",
    "sender_withdrew",
    "consent_ended",
    "expired",
    "taken_elsewhere",
    "partner_left",
    "error",
    "other",
)
EXPIRED: Final = "expired"
"""Why a referral failed about which nobody said anything."""

BY_THEMSELVES: Final = frozenset({"consent_ended", "expired", "taken_elsewhere", "partner_left"})
"""Ends that come about without anybody choosing them."""
HOLD_REASONS: Final = (
    "waiting_for_person",
    "waiting_for_documents",
    "waitlist",
    "needs_assessment",
    "other",
)
REASONS: Final[Mapping[str, tuple[str, ...]]] = {
    "rejected": DECLINE_REASONS,
    "cancelled": END_REASONS,
    "failed": END_REASONS,
    "on_hold": HOLD_REASONS,
}
"""States that need a reason, and the reasons each of them takes."""

UNDOABLE: Final = frozenset({"accepted", "rejected", "in_progress", "on_hold"})
"""Steps of the receiver that it can take back for a short time.

What ended, was metered or was told to the person as done is not among them: a new referral is made.
"""

OUTCOMES: Final = ("met", "partially_met", "unmet", "unknown")
"""What became of the person's need, said when a referral is completed."""

UNMET_BY_DECLINE: Final[Mapping[str, str]] = {
    "no_capacity": "all_at_capacity",
    "waitlist_only": "all_at_capacity",
    "out_of_area": "none_in_area",
    "not_eligible": "not_eligible",
    "out_of_funds": "out_of_funds",
    "service_ended": "no_service_exists",
}
"""Why a need is unmet when it is declined for a reason; any other reason is *other*."""


class StepNotAllowed(Conflict):
    """The referral is not in a state from which this side can take this step."""


class ReasonNeeded(InvalidInput):
    """This step needs a reason from its list."""


class OutcomeNeeded(InvalidInput):
    """Completing needs to say what became of the need."""


def next_states(state: str, side: str) -> tuple[str, ...]:
    """Give the states that one side may move a referral to.

    >>> next_states("requested", "received")
    ('accepted', 'rejected', 'cancelled')
    """
    steps = tuple(to for to, sides in TRANSITIONS[state].items() if side in sides)
    if side == SENDER and state not in ("", "entered_in_error"):
        return (*steps, "entered_in_error")
    return steps


def check_transition(
    state: str, to: str, side: str, *, reason: str | None = None, outcome: str | None = None
) -> None:
    """Refuse a step that is not in the table, or that lacks its reason or outcome.

    Raises :class:`StepNotAllowed`, :class:`ReasonNeeded` or :class:`OutcomeNeeded`.
    """
    if to not in next_states(state, side):
        who = {SENDER: "sender", RECEIVER: "receiver"}.get(side, "passing of time")
        raise StepNotAllowed(
            f"The {who} cannot move a referral that is {_said(state)} to {_said(to)}.",
            field="state",
        )
    reasons = REASONS.get(to)
    if reasons is not None and reason not in reasons:
        raise ReasonNeeded(f"Say why the referral is {_said(to)}.", field="reason")
    if to == "completed" and outcome not in OUTCOMES:
        raise OutcomeNeeded("Say what became of the need.", field="outcome")


def _said(state: str) -> str:
    return state.replace("_", " ") or "new"


def may_be_asked_about(state: str, reason: str | None) -> bool:
    """Whether the two sides still write about a referral: open, or expired and answered late.

    >>> may_be_asked_about("on_hold", None), may_be_asked_about("failed", EXPIRED)
    (True, True)
    >>> may_be_asked_about("failed", "no_show"), may_be_asked_about("cancelled", None)
    (False, False)
    """
    return state in OPEN or (state == "failed" and reason == EXPIRED)
