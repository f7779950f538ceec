"""How the words of a place are brought into one spelling, so that two people mean the same by it.

Abbreviations follow Publication 28 of the United States Postal Service. Nothing is looked up here.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

CROSSES: Final = "&"
"""Stands between the two streets of a crossing."""

_DIRECTIONS: Final = {
    "north": "n",
    "south": "s",
    "east": "e",
    "west": "w",
    "northeast": "ne",
    "northwest": "nw",
    "southeast": "se",
    "southwest": "sw",
}
DIRECTIONS: Final = frozenset(_DIRECTIONS.values())
_TYPES: Final = {
    "alley": "aly",
    "av": "ave",
    "aven": "ave",
    "avenue": "ave",
    "avn": "ave",
    "boulevard": "blvd",
    "boul": "blvd",
    "boulv": "blvd",
    "circle": "cir",
    "circ": "cir",
    "court": "ct",
    "crescent": "cres",
    "drive": "dr",
    "driv": "dr",
    "drv": "dr",
    "lane": "ln",
    "loops": "loop",
    "parkway": "pkwy",
    "pky": "pkwy",
    "place": "pl",
    "road": "rd",
    "str": "st",
    "street": "st",
    "strt": "st",
    "terrace": "ter",
    "terr": "ter",
    "trail": "trl",
    "wy": "way",
}
TYPES: Final = frozenset(_TYPES.values())
"""What a street is, as it is abbreviated; people leave it out."""
_OTHERS: Final = {
    "bridge": "brg",
    "brdge": "brg",
    "center": "ctr",
    "centre": "ctr",
    "expressway": "expy",
    "fort": "ft",
    "freeway": "fwy",
    "frwy": "fwy",
    "heights": "hts",
    "highway": "hwy",
    "highwy": "hwy",
    "hiway": "hwy",
    "interstate": "i",
    "mount": "mt",
    "mountain": "mtn",
    "plaza": "plz",
    "route": "rte",
    "saint": "st",
    "square": "sq",
    "apartment": "apt",
    "floor": "fl",
    "room": "rm",
    "suite": "ste",
}
_ORDINALS: Final = {
    "first": "1st",
    "second": "2nd",
    "third": "3rd",
    "fourth": "4th",
    "fifth": "5th",
    "sixth": "6th",
    "seventh": "7th",
    "eighth": "8th",
    "ninth": "9th",
    "tenth": "10th",
    "eleventh": "11th",
    "twelfth": "12th",
}
_SPELLINGS: Final = {**_DIRECTIONS, **_TYPES, **_OTHERS, **_ORDINALS}
_BETWEEN: Final = frozenset({"and", "at", "y", "con", "va", "и", "和", "與"})
"""What stands between two streets, in the region's languages."""
_LEADING: Final = frozenset({"corner", "intersection", "of", "the", "near", "esquina", "de"})
_NUMBERED: Final = frozenset({"hwy", "i", "us", "rte", "or", "exit"})
"""After these a number is a road's own and not that of a street."""
_UNITS: Final = frozenset({"apt", "unit", "ste", "rm", "fl", "#"})
_STATE: Final = frozenset({"or", "oregon", "wa", "washington", "usa"})
_NUMBER: Final = re.compile(r"(\d{1,6})[a-z]?")
_ZIP: Final = re.compile(r"\d{5}")
_PARTS: Final = re.compile(r"[^\W_]+|[&#]")
LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Said:
    """A place as somebody says it, in one spelling.

    `words` are all of it but what follows the street, `bare` the same without directions and kinds
    of street. `number` is a house number, of `street` (bare). `tail` is what follows the street: a
    city, a neighbourhood. A crossing has its two streets in alphabetical order.
    """

    words: str
    bare: str
    number: int | None = None
    street: str = ""
    tail: str = ""


def spelled(text: str) -> str:
    """Give words in one spelling; spelling them again changes nothing.

    >>> spelled("1120 S.W. Fifth Avenue"), spelled("North East Martin Luther King, Jr. Boulevard")
    ('1120 sw 5th ave', 'ne martin luther king jr blvd')
    >>> spelled("SE 82nd / Division St."), spelled("Oak @ Pine")
    ('se 82nd & division st', 'oak & pine')
    """
    return " ".join(_tokens(text))


def said(text: str) -> Said:
    """Read the words of a place: an address, a crossing in either order, or a name.

    >>> said("1120 SW Fifth Avenue, Apt 3, Portland OR 97204")
    Said(words='1120 sw 5th ave', bare='1120 5th', number=1120, street='5th', tail='portland')
    >>> said("corner of SE Division and 82").words, said("82nd at SE Division").words
    ('82nd & se division', '82nd & se division')
    """
    head, _, after = text[:LONGEST].partition(",")
    tokens = _tokens(head)
    while tokens and tokens[0] in _LEADING:
        tokens = tokens[1:]
    tail = _tail(_tokens(after))
    if CROSSES in tokens[1:-1]:
        return _crossing(tokens, tail)
    number = _NUMBER.fullmatch(tokens[0]) if len(tokens) > 1 else None
    if number is None:
        words = " ".join(_without_zip(tokens))
        return Said(words, bare(words), tail=tail)
    street, more = _cut(tokens[1:])
    street = _ordinal(street)
    words = " ".join((number[1], *street))
    return Said(
        words, f"{number[1]} {_bare(street)}", int(number[1]), _bare(street), tail or _tail(more)
    )


def bare(words: str) -> str:
    """Leave directions and kinds of street out of words in one spelling, where more remains.

    >>> bare("1120 sw 5th ave"), bare("82nd & se division st"), bare("nw st")
    ('1120 5th', '82nd & division', 'nw st')
    """
    sides = [_bare(side.split()) for side in words.split(f" {CROSSES} ")]
    return f" {CROSSES} ".join(sorted(sides) if len(sides) > 1 else sides)


def crossing(one: str, other: str) -> str:
    """Give the words of a crossing; the order does not count.

    >>> crossing("SE Division St", "SE 82nd Avenue")
    'se 82nd ave & se division st'
    """
    sides = (" ".join(_ordinal(_tokens(each, CROSSES))) for each in (one, other))
    return f" {CROSSES} ".join(sorted(sides))


def within(fewer: str, more: str) -> bool:
    """Whether all that was said is in the words of a known place: parts may be left out.

    >>> within("82nd & division", "se 82nd ave & se division st"), within("ne 82nd", "se 82nd ave")
    (True, False)
    """
    return not Counter(fewer.split()) - Counter(more.split())


def _tokens(text: str, but: str = "") -> list[str]:
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    flat = "".join(each for each in flat if not unicodedata.combining(each))
    flat = re.sub(r"\b1[/\u2044]2\b", " ", flat)
    flat = re.sub(r"(?<=\b\w)\.(?=\w\b)|['’`]", "", flat)
    flat = re.sub(r"[@/]", f" {CROSSES} ", flat)
    spelled_out = (_SPELLINGS.get(each, each) for each in _PARTS.findall(flat))
    found: list[str] = []
    for each in spelled_out:
        token = CROSSES if each in _BETWEEN else each
        if token == but or (token == CROSSES and found[-1:] == [CROSSES]):
            continue
        if found and found[-1] in ("n", "s") and token in ("e", "w"):
            found[-1] += token
        else:
            found.append(token)
    return found


def _crossing(tokens: list[str], tail: str) -> Said:
    at = tokens.index(CROSSES, 1)
    second, more = _cut([each for each in tokens[at + 1 :] if each != CROSSES])
    sides = sorted(" ".join(_ordinal(each)) for each in (tokens[:at], second))
    words = f" {CROSSES} ".join(sides)
    return Said(words, bare(words), tail=tail or _tail(more))


def _cut(street: list[str]) -> tuple[list[str], list[str]]:
    """Part a street from what follows it: a unit, or whatever comes after the kind of street."""
    for at, each in enumerate(street):
        if at and each in _UNITS:
            return street[:at], street[at + 2 :]
    whole = _without_zip(street)
    ends = [
        at
        for at, each in enumerate(whole)
        if each in TYPES and not DIRECTIONS.issuperset(whole[:at])
    ]
    if not ends:
        return whole, []
    end = ends[-1] + 1
    if end < len(whole) and whole[end] in DIRECTIONS:
        end += 1
    return whole[:end], whole[end:]


def _without_zip(tokens: list[str]) -> list[str]:
    kept = list(tokens)
    if len(kept) > 2 and _ZIP.fullmatch(kept[-1]):
        kept.pop()
        if len(kept) > 1 and kept[-1] in _STATE:
            kept.pop()
    return kept


def _tail(tokens: list[str]) -> str:
    kept: list[str] = []
    skip = False
    for each in tokens:
        if skip or each in _STATE or each.isdigit():
            skip = False
            continue
        skip = each in _UNITS
        if not skip:
            kept.append(each)
    return " ".join(kept)


def _ordinal(street: Iterable[str]) -> list[str]:
    return list(_ordinals(list(street)))


def _ordinals(street: list[str]) -> Iterator[str]:
    for at, each in enumerate(street):
        before = street[at - 1] if at else ""
        if each.isascii() and each.isdigit() and len(each) <= 3 and before not in _NUMBERED:
            yield each + _ending(int(each))
        else:
            yield each


def _ending(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _bare(street: Iterable[str]) -> str:
    whole = list(street)
    kept = [each for each in whole if each not in DIRECTIONS and each not in TYPES]
    if not kept or (len(kept) == 1 and len(whole) > 1 and _NUMBER.fullmatch(kept[0])):
        # “st” of “1120 st” is all that its street has; so is “n” of “n st”
        return " ".join(whole)
    return " ".join(kept)
