"""Words of the loop: follow-ups, reminders, the end of a consent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from regional311.web.i18n import _

FOLLOW_UP_STATES: Final[Mapping[str, tuple[Any, str]]] = {
    "open": (_("To be asked"), "open"),
    "done": (_("Asked"), "done"),
    "stopped": (_("Stopped"), "neutral"),
}

RESULTS: Final[Mapping[str, Any]] = {
    "reached": _("Reached: they said what became of it"),
    "no_answer": _("No answer"),
    "left_message": _("Left a message"),
    "wrong_number": _("Wrong number or address"),
    "declined": _("They do not want to be asked"),
    "not_safe": _("It was not safe to talk: never contact them"),
}

STOP_REASONS: Final[Mapping[str, Any]] = {
    "not_reached": _("Tried as often as may be, and not reached"),
    "wrong_number": _("Wrong number or address"),
    "declined": _("They do not want to be asked"),
    "not_safe": _("It is not safe"),
    "contact_prohibited": _("Nobody may contact this person"),
    "consent_withdrawn": _("The person took the consent back"),
    "not_needed": _("Not needed any more"),
}

FOLLOW_UP_CHANNELS: Final[Mapping[str, Any]] = {
    "phone": _("Phone"),
    "text": _("Text message"),
    "email": _("E-mail"),
    "walk_in": _("In person"),
}

STEPS: Final[Mapping[str, Any]] = {
    "reminded": _("They are reminded"),
    "escalated": _("Their supervisors are told"),
    "expired": _("It fails as expired"),
}
"""What happens when nobody says anything."""

CONSENT_ENDS: Final[Mapping[str, Any]] = {
    "revoked": _("The person took the consent back"),
    "expired": _("The time of the consent is up"),
}
