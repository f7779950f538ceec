"""How alike two entries of different partners are, and by what signs: the rule and nothing else.

Two directories describe the same food bank in words of their own. Signs that both give (a name, a
telephone number, an address, a web address, an e-mail address, an id) each make it likelier that
they mean the same; several weigh more than one, none is a proof. Who is likely enough is shown to
people; nothing is ever merged.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import asin, cos, radians, sin, sqrt
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

ENOUGH: Final = 70
"""Score from which people are asked."""

COMMON: Final = 8
"""What more entries of one kind and partner than this share tells nothing: a hotline, a portal."""

NEAR_NAME: Final = 0.6
"""Share of three-letter pieces that two spellings of a name have in common."""

NEAR_METRES: Final = 60

WEIGHTS: Final[Mapping[str, Mapping[str, float]]] = {
    "organization": {
        "id": 0.95,
        "name": 0.75,
        "near_name": 0.5,
        "website": 0.5,
        "email": 0.45,
        "phone": 0.4,
        "address": 0.35,
    },
    "location": {
        "id": 0.95,
        "address": 0.75,
        "name": 0.5,
        "near_name": 0.25,
        "point": 0.45,
        "phone": 0.35,
        "website": 0.3,
    },
    "service": {
        "id": 0.95,
        "name": 0.6,
        "near_name": 0.4,
        "organization": 0.3,
        "website": 0.45,
        "phone": 0.45,
        "email": 0.4,
        "address": 0.35,
    },
}
"""How much each sign says, by kind. What is left of doubt is multiplied: two signs of a half leave
a quarter. A service needs its name: an organisation's services share all the rest."""

SIGNS: Final = ("id", "website", "email", "phone", "address", "organization")
"""Signs that are there or not, beside names and points."""

Ref = tuple[str, UUID, str]
"""Kind, partner and key of an entry."""


@dataclass(frozen=True)
class Described:
    """An entry as it is compared: what it says, brought into one spelling by the functions below.

    `names` and every sign are sets: an entry may have several, and one in common is enough.
    """

    kind: str
    tenant: UUID
    key: str
    names: frozenset[str]
    signs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    point: tuple[float, float] | None = None
    """Latitude and longitude in degrees."""

    @property
    def ref(self) -> Ref:
        """What tells it from every other entry."""
        return self.kind, self.tenant, self.key


@dataclass(frozen=True, slots=True)
class Likeness:
    """How likely two entries are the same, out of a hundred, and the signs, the strongest first."""

    score: int
    reasons: tuple[str, ...]


# --- one spelling --------------------------------------------------------------------------------

_LEFT_OUT: Final = frozenset(
    (
        "a",
        "an",
        "and",
        "at",
        "co",
        "corp",
        "for",
        "in",
        "inc",
        "llc",
        "ltd",
        "of",
        "on",
        "the",
        "to",
    )
)
_STREETS: Final = {
    "avenue": "ave",
    "boulevard": "blvd",
    "circle": "cir",
    "court": "ct",
    "drive": "dr",
    "east": "e",
    "highway": "hwy",
    "lane": "ln",
    "north": "n",
    "northeast": "ne",
    "northwest": "nw",
    "parkway": "pkwy",
    "place": "pl",
    "road": "rd",
    "south": "s",
    "southeast": "se",
    "southwest": "sw",
    "square": "sq",
    "street": "st",
    "terrace": "ter",
    "west": "w",
}
_ROOM: Final = re.compile(r"\b(?:suite|ste|apt|unit|room|rm|floor|fl)\b.*|#.*")
_DIGITS: Final = re.compile(r"\d+")
_SHORTEST_NUMBER: Final = 7
_WHOLE_NUMBER: Final = 10


def _plain(text: str) -> str:
    spread = unicodedata.normalize("NFKD", text.casefold().replace("&", " and "))
    kept = "".join(each for each in spread if not unicodedata.combining(each))
    return re.sub(r"[^\w\s]|_", " ", kept.replace("'", "").replace("’", ""))


def name_of(text: str | None) -> frozenset[str]:
    """Give a name in one spelling: its words, sorted; nothing when no word is left.

    >>> name_of("The Food Bank of Oregon, Inc.") == name_of("Oregon food bank")
    True
    """
    words = _plain(text or "").split()
    kept = sorted({each for each in words if each not in _LEFT_OUT} or words)
    return frozenset([" ".join(kept)] if kept else [])


def phone_of(text: str | None) -> frozenset[str]:
    """Give a telephone number as its ten digits; nothing for short ones such as 211.

    >>> phone_of("+1 (503) 555-0100") == phone_of("503.555.0100")
    True
    """
    digits = "".join(_DIGITS.findall(text or ""))
    if len(digits) == _WHOLE_NUMBER + 1 and digits.startswith("1"):
        digits = digits[1:]
    return frozenset([digits] if len(digits) >= _SHORTEST_NUMBER else [])


def website_of(text: str | None) -> frozenset[str]:
    """Give a web address without what may differ between two ways of writing it.

    >>> website_of("https://www.Pantry.example/help/") == website_of("http://pantry.example/help")
    True
    """
    told = (text or "").strip()
    try:
        parts = urlsplit(told if "//" in told else f"//{told}")
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return frozenset()
    return frozenset([f"{host}{parts.path.rstrip('/')}"] if "." in host else [])


def email_of(text: str | None) -> frozenset[str]:
    """Give an e-mail address in small letters."""
    told = (text or "").strip().casefold()
    return frozenset([told] if "@" in told else [])


def address_of(street: str | None, city: str | None, postal_code: str | None) -> frozenset[str]:
    """Give an address with its city and with its ZIP code; nothing when it has no number or place.

    The floor or room does not count.

    >>> one = address_of("3401 Southeast 17th Avenue, Suite 4", "Portland", None)
    >>> one & address_of("3401 SE 17th Ave.", "Portland", "97202-1234")
    frozenset({'3401 se 17th ave, portland'})
    """
    words = _ROOM.sub(" ", (street or "").casefold())
    line = " ".join(_STREETS.get(each, each) for each in _plain(words).split())
    if not any(each.isdigit() for each in line):
        return frozenset()
    places = (" ".join(_plain(city or "").split()), "".join(_DIGITS.findall(postal_code or ""))[:5])
    return frozenset(f"{line}, {place}" for place in places if place)


# --- the rule ------------------------------------------------------------------------------------


def likeness(one: Described, other: Described) -> Likeness:
    """Say how likely two entries of one kind are the same; who comes first makes no difference.

    Signs that too many have in common must have been left out before (`find_alike` does).
    """
    weights = WEIGHTS[one.kind]
    found = [sign for sign in SIGNS if sign in weights and _shared(one, other, sign)]
    if one.names & other.names:
        found.append("name")
    elif any(near(mine, theirs) for mine in one.names for theirs in other.names):
        found.append("near_name")
    elif one.kind == "service" and "id" not in found:
        return Likeness(0, ())
    if "point" in weights and _metres(one.point, other.point) <= NEAR_METRES:
        found.append("point")
    doubt = 1.0
    for sign in sorted(found):
        doubt *= 1 - weights[sign]
    reasons = sorted(found, key=lambda sign: (-weights[sign], sign))
    return Likeness(round(100 * (1 - doubt)), tuple(reasons))


def near(one: str, other: str) -> bool:
    """Whether two names in one spelling are nearly the same; numbers in them must be equal.

    >>> near("pantry rose", "pantries rose"), near("shelter 1", "shelter 2")
    (True, False)
    """
    if _DIGITS.findall(one) != _DIGITS.findall(other):
        return False
    mine, theirs = _pieces(one), _pieces(other)
    return 2 * len(mine & theirs) >= NEAR_NAME * (len(mine) + len(theirs))


@lru_cache(maxsize=50_000)
def _pieces(name: str) -> frozenset[str]:
    padded = f"  {name} "
    return frozenset(padded[place : place + 3] for place in range(len(padded) - 2))


def _shared(one: Described, other: Described, sign: str) -> bool:
    mine, theirs = one.signs.get(sign), other.signs.get(sign)
    return bool(mine and theirs and not mine.isdisjoint(theirs))


def _metres(one: tuple[float, float] | None, other: tuple[float, float] | None) -> float:
    if one is None or other is None:
        return float("inf")
    (north, east), (other_north, other_east) = sorted((one, other))
    across = sin(radians(other_north - north) / 2) ** 2
    along = sin(radians(other_east - east) / 2) ** 2
    both = across + cos(radians(north)) * cos(radians(other_north)) * along
    return 2 * 6_371_008 * asin(sqrt(min(1.0, both)))


# --- finding -------------------------------------------------------------------------------------


def find_alike(
    mine: Collection[Described], others: Iterable[Described]
) -> dict[tuple[Ref, Ref], Likeness]:
    """Give the pairs of one partner's entry and another's that are likely enough the same.

    Only entries that have a sign in common are compared, so that it takes little more time than
    reading them. The order of what is given makes no difference; neither does whose turn it is,
    as long as all entries of both partners are given.
    """
    theirs = list(others)
    common = _common((*mine, *theirs))
    index: dict[tuple[str, str, str], list[Described]] = {}
    for entry in (_telling(each, common) for each in theirs):
        for block in _blocks(entry):
            index.setdefault(block, []).append(entry)
    found: dict[tuple[Ref, Ref], Likeness] = {}
    for entry in (_telling(each, common) for each in mine):
        candidates = {
            other.ref: other
            for block in _blocks(entry)
            for other in index.get(block, ())
            if other.tenant != entry.tenant
        }
        for ref, other in candidates.items():
            said = likeness(entry, other)
            if said.score >= ENOUGH:
                found[entry.ref, ref] = said
    return found


def _values(entry: Described) -> Iterator[tuple[str, str, str]]:
    """Give what may be too common: a service's name is not, it counts beside who gives it."""
    if entry.kind != "service":
        for name in entry.names:
            yield entry.kind, "name", name
    for sign in SIGNS:
        if sign not in ("id", "organization"):
            for value in entry.signs.get(sign, ()):
                yield entry.kind, sign, value


def _common(entries: Iterable[Described]) -> frozenset[tuple[str, str, str]]:
    counted: Counter[Any] = Counter(
        (entry.tenant, value) for entry in entries for value in _values(entry)
    )
    return frozenset(value for (_tenant, value), count in counted.items() if count > COMMON)


def _telling(entry: Described, common: frozenset[tuple[str, str, str]]) -> Described:
    """Give an entry without what too many have."""
    shared = {value for value in _values(entry) if value in common}
    if not shared:
        return entry
    names = frozenset(each for each in entry.names if (entry.kind, "name", each) not in shared)
    signs = {
        sign: frozenset(each for each in values if (entry.kind, sign, each) not in shared)
        for sign, values in entry.signs.items()
    }
    return Described(entry.kind, entry.tenant, entry.key, names, signs, entry.point)


def _blocks(entry: Described) -> Iterator[tuple[str, str, str]]:
    """Give what two entries must have one of to be compared at all."""
    for sign in SIGNS:
        if sign != "organization":
            for value in entry.signs.get(sign, ()):
                yield entry.kind, sign, value
    for name in entry.names:
        if entry.kind != "service":
            yield entry.kind, "name", name
        for body in entry.signs.get("organization", ()) if entry.kind == "service" else ():
            yield entry.kind, "name", f"{name}\n{body}"
