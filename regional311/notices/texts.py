"""Notices as texts to a telephone: their usual words, and how they are made to fit. Pure.

A text says as little as will do: it may be read on a locked screen, and each part of it costs. Our
words never name what was asked for; what somebody of the partner says to the person may, and is
left out of a text about something confidential.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from regional311.notices.segments import plain, segments
from regional311.notices.wording import MOST_PARTS, fill

SHORT: Final[Mapping[str, str]] = {
    "request_received": "{partner}: we have your request {number}. {expected}{link}",
    "request_status": "{partner}: {number} is {state}. {message} {link}",
    "request_closed": "{partner}: {number} is closed. {message} {link}",
    "me_too_status": "{partner}: {number}, yours too, is {state}. {message} {link}",
    "me_too_closed": "{partner}: {number}, yours too, is closed. {message} {link}",
    "referral_sent": "There is something new for you. {link}",
    "referral_answered": "There is something new for you: an answer. {link}",
    "accommodation_acknowledged": "{partner}: somebody has {number} in hand. {link}",
    "accommodation_decided": "{partner}: there is an answer on {number}. Read it by {day}: {link}",
    "accommodation_news": "{partner}: there is something new on {number}. {link}",
    "accommodation_appeal_answered": "{partner}: {number} was looked at again. {link}",
}
"""The text of each event that is told by text, too. ``{link}`` is the bare address."""

HOW_TO_STOP: Final = "STOP ends these texts."
"""Below the first text that a number gets from a partner."""


MORE: Final = "More: see the link in our first text."
"""Below a text without a link that leaves out something of what was said."""
LINKED_BEFORE: Final = frozenset({"request_status", "request_closed"})
"""Events without a link of their own: it is a secret that only the first message has."""


def fit(
    words: str,
    values: Mapping[str, str],
    *,
    room_for: str = "",
    more: str = "",
    withhold: bool = False,
) -> str:
    """Fill a text so that it takes two parts with ``room_for`` below it, if that can be.

    What is expected is left out first, then what was said is cut short; ``withhold`` leaves all of
    that out. It stands where the link leads, and ``more`` says so where the text has none.
    Whatever else is longer stays.
    """
    said = values.get("message", "") if "{message}" in words else ""
    line = "" if values.get("link") else more
    shorter = {**values, "expected": ""}

    def up_to(length: int) -> str:
        text = _filled(words, {**shorter, "message": _cut(said, length)})
        return below(text, line) if line else text

    if said and withhold:
        return up_to(0)
    for text in (_filled(words, values), _filled(words, shorter)):
        if _fits(text, room_for):
            return text
    if not said:
        return _filled(words, shorter)
    low, high = 0, len(said)  # the longest beginning that fits, by halving
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(up_to(middle), room_for):
            low = middle
        else:
            high = middle - 1
    return up_to(low)


def below(text: str, line: str) -> str:
    """Put a line below a text."""
    return f"{text.rstrip()}\n{line}"


def _fits(text: str, room_for: str) -> bool:
    return segments(below(text, room_for) if room_for else text) <= MOST_PARTS


def _filled(words: str, values: Mapping[str, str]) -> str:
    """Fill a text; lines without anything in them, and spaces beside nothing, are left out."""
    lines = (" ".join(each.split()) for each in plain(fill(words, values)).splitlines())
    return "\n".join(filter(None, lines))


def _cut(said: str, length: int) -> str:
    """Cut words short at the end of one, where there is one near.

    >>> _cut("We have repaired the light", 12), _cut("街燈已經修好", 3), _cut("Done", 0)
    ('We have...', '街燈已...', '')
    """
    if length >= len(said) or not length:
        return said[:length]
    begun = said[:length]
    word = begun.rpartition(" ")[0] if not said[length : length + 1].isspace() else begun
    return f"{(word or begun).rstrip(' ,;:')}..."
