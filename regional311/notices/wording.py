"""The words of messages to people, as a partner wants them: what may stand in them, and filling.

A place is a name in braces, such as ``{number}``: nothing but the name is read, so that no wording
reaches into what stands behind a value. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from regional311.errors import InvalidInput
from regional311.notices.segments import plain, segments

LONGEST_HEADING: Final = 150
LONGEST_BODY: Final = 4_000
MOST_PARTS: Final = 2
"""Parts of a text that its words alone may take."""
LANGUAGES: Final = ("en", "es", "vi", "zh-Hant", "ru")
NEEDED: Final = ("message", "link", "address", "day")
"""Places without which a message would be of no use; needed where the usual text has them."""

_PLACE: Final = re.compile(r"\{([a-z_]{1,40})\}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Words:
    """Heading and body of a message, with places; a text to a telephone has no heading."""

    heading: str
    body: str


Wording = Callable[[UUID, str, str, str], Words | None]
"""From a partner, an event, a language and a channel to the partner's own words; None: the usual
ones."""


def usual(_tenant_id: UUID, _event: str, _language: str, _channel: str) -> Words | None:
    """Every partner says the usual words."""
    return None


def places(words: Words) -> tuple[str, ...]:
    """Give the places in words, in the order in which they come.

    >>> places(Words("News on {number}", "{partner} says about {number}: {state}."))
    ('number', 'partner', 'state')
    """
    return tuple(dict.fromkeys(_PLACE.findall(f"{words.heading} {words.body}")))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values into a text; a place without a value stays as it is, and values are not read.

    >>> fill("{number}: {state} {x.__class__}", {"number": "R-1", "state": "{number}"})
    'R-1: {number} {x.__class__}'
    """
    return _PLACE.sub(lambda found: values.get(found.group(1), found.group(0)), text)


def check(wanted: Words, standard: Words) -> None:
    """Refuse words that could not be sent. Raises `InvalidInput` that names heading or body."""
    heading, body = wanted.heading.strip(), wanted.body.strip()
    if not standard.heading:
        _check_text(heading, body)
    elif not heading or len(heading) > LONGEST_HEADING:
        raise InvalidInput(
            f"Write a subject of at most {LONGEST_HEADING} characters.", field="heading"
        )
    if _CONTROL.search(heading):
        raise InvalidInput("The subject is one line.", field="heading")
    if not body or len(body) > LONGEST_BODY:
        raise InvalidInput(f"Write a text of at most {LONGEST_BODY} characters.", field="body")
    offered = places(standard)
    named = ", ".join(f"{{{each}}}" for each in offered)
    for field, text in (("heading", heading), ("body", body)):
        unknown = [each for each in _PLACE.findall(text) if each not in offered]
        if unknown:
            raise InvalidInput(
                f"There is no {{{unknown[0]}}} in this message. There are: {named}.", field=field
            )
        rest = _PLACE.sub("", text)
        if "{" in rest or "}" in rest:
            raise InvalidInput(
                f"Braces stand only around one of these names: {named}.", field=field
            )
    missing = [
        each for each in NEEDED if f"{{{each}}}" in standard.body and f"{{{each}}}" not in body
    ]
    if missing:
        raise InvalidInput(
            f"The text needs {{{missing[0]}}}: without it the message is of no use.", field="body"
        )


def _check_text(heading: str, body: str) -> None:
    if heading:
        raise InvalidInput("A text has no subject.", field="heading")
    if segments(plain(_PLACE.sub("", body))) > MOST_PARTS:
        raise InvalidInput(
            f"Write words that take at most {MOST_PARTS} parts of a text: 306 letters, or 134 where"
            " one of them is not among those that telephones know.",
            field="body",
        )


def own_words(
    rows: Iterable[Mapping[str, Any]], event: str, language: str, channel: str
) -> Words | None:
    """Find words among a partner's own, as its settings keep them."""
    for each in rows:
        if worded(each) == (event, language, channel):
            return Words(each.get("heading") or "", each["body"])
    return None


def worded(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Give what a row of a partner's own words is for: the event, the language, the channel."""
    return row["event"], row["language"], row.get("channel") or "email"
