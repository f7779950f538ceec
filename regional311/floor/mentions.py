"""`@name` in an internal note: who is meant, and whether they may read it. Pure rules."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol
from uuid import UUID

from regional311.errors import InvalidInput

_MENTION: Final = re.compile(r"(?<![\w@.+-])@([a-z0-9]+(?:[._-][a-z0-9]+)*)", re.IGNORECASE)
MOST: Final = 20
"""People who can be mentioned in one note."""


class Colleague(Protocol):
    """Somebody who works for the partner."""

    @property
    def person_id(self) -> UUID: ...
    @property
    def name(self) -> str: ...


class MayNotRead(InvalidInput):
    """Somebody is mentioned who may not read what the note is about."""


def handles(colleagues: Iterable[Colleague]) -> dict[str, UUID]:
    """Give everybody's handle: the name in small letters, with dots.

    Of several who are called the same, whoever came second is `.2`, and so on.

    >>> from collections import namedtuple
    >>> Someone = namedtuple("Someone", "person_id name")
    >>> handles([Someone(1, "Ana López"), Someone(2, "Bo"), Someone(3, "Ana Lopez")])
    {'ana.lopez': 1, 'ana.lopez.2': 3, 'bo': 2}
    """
    found: dict[str, UUID] = {}
    for each in sorted(colleagues, key=lambda one: one.person_id):
        plain = unicodedata.normalize("NFKD", each.name).encode("ascii", "ignore").decode().lower()
        handle = ".".join(re.findall(r"[a-z0-9]+", plain)) or "colleague"
        number = 1
        while (name := handle if number == 1 else f"{handle}.{number}") in found:
            number += 1
        found[name] = each.person_id
    return dict(sorted(found.items()))


def mentioned(text: str) -> list[str]:
    """Give the handles in a text, each once, in order; addresses of mail are none.

    >>> mentioned("@Ana.Lopez, ask bo@example.org or @bo. Thanks @ana.lopez!")
    ['ana.lopez', 'bo']
    """
    return list(dict.fromkeys(each.lower() for each in _MENTION.findall(text)))


def who_is_meant(
    text: str,
    known: Mapping[str, UUID],
    may_read: Callable[[UUID], bool],
    name_of: Mapping[UUID, str],
    *,
    number: str,
) -> tuple[Sequence[UUID], Sequence[str]]:
    """Give the people who are mentioned, and the handles that are nobody's here.

    Raises `MayNotRead` when one of them may not read what the note is about, `InvalidInput` when
    they are too many: then nothing may be kept of the note.
    """
    asked = mentioned(text)
    if len(asked) > MOST:
        raise InvalidInput(f"Mention at most {MOST} people in one note.", field="text")
    people = [known[each] for each in asked if each in known]
    for each in asked:
        if each in known and not may_read(known[each]):
            raise MayNotRead(
                f"{name_of[known[each]]} (@{each}) may not read {number}. Nothing was kept: take"
                " the mention out, or ask somebody who may.",
                field="text",
            )
    return people, [each for each in asked if each not in known]
