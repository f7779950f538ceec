"""Two people's work on one thing, brought together field by field.

Both began from the same content. What one of them changed and the other left alone is kept, from
either side; where both changed the same field differently, a person chooses, and sees both. Fields
are named by path, as in `differences`: things in lists by their own keys, so that one person may
correct a phone number while another adds a location. Words in a list of words (`SETS`) come and go
one by one; any other list of plain values, such as a day's hours, is one field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from regional311.differences import own_keys

Side = Literal["mine", "theirs"]
Plain = Mapping[str, Any]

SETS: Final = frozenset(
    {"keywords", "channels", "taxonomy", "languages", "areas", "answers", "services"}
)
"""Lists of words whose order means little: each word is added or taken out by itself."""

ORDER: Final = "(order)"
_ABSENT: Final = object()


@dataclass(frozen=True)
class Overlap:
    """One field that both changed, each differently; None is absent."""

    field: str
    base: Any
    mine: Any
    theirs: Any


@dataclass(frozen=True)
class Merge:
    """What comes of two people's work.

    `content` has both; at each overlap it has what was chosen, and theirs, which came first, where
    nothing was. `mine` and `theirs` are the fields that only one of the two had changed.
    """

    content: dict[str, Any]
    overlaps: tuple[Overlap, ...]
    mine: tuple[str, ...]
    theirs: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nobody has to choose."""
        return not self.overlaps


def merge(
    base: Plain, mine: Plain, theirs: Plain, choices: Mapping[str, Side] | None = None
) -> Merge:
    """Bring two contents together that began as `base`.

    `choices` says whose a field is that both changed; fields without a choice stay overlaps.

    >>> merge({"name": "A", "fee": "1"}, {"name": "B", "fee": "1"}, {"name": "A"}).content
    {'name': 'B'}
    """
    merging = _Merging(choices or {})
    content = merging.mapping("", base, mine, theirs)
    return Merge(content, tuple(merging.overlaps), tuple(merging.mine), tuple(merging.theirs))


def merge_whole_fields(
    base: Plain, mine: Plain, theirs: Plain, choices: Mapping[str, Side] | None = None
) -> Merge:
    """Bring two contents together with each top-level field taken whole from one side.

    For the rare case in which the finer merge makes something that nobody may say, such as a list
    that must not be empty and of which both took out what the other left in.
    """
    merging = _Merging(choices or {})
    content: dict[str, Any] = {}
    for name in dict.fromkeys([*theirs, *mine]):
        merging.keep(
            content,
            name,
            merging.atom(name, *(each.get(name, _ABSENT) for each in (base, mine, theirs))),
        )
    for name in base:
        if name not in mine and name not in theirs:
            merging.theirs.append(name)
    return Merge(content, tuple(merging.overlaps), tuple(merging.mine), tuple(merging.theirs))


class _Merging:
    """One walk over three contents; notes on the way whose each changed field is."""

    def __init__(self, choices: Mapping[str, Side]) -> None:
        self.choices = choices
        self.overlaps: list[Overlap] = []
        self.mine: list[str] = []
        self.theirs: list[str] = []

    @staticmethod
    def keep(content: dict[str, Any], name: str, value: Any) -> None:
        if value is not _ABSENT:
            content[name] = value

    def mapping(self, path: str, base: Plain, mine: Plain, theirs: Plain) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for name in dict.fromkeys([*theirs, *mine, *base]):
            where = f"{path}.{name}" if path else name
            sides = (each.get(name, _ABSENT) for each in (base, mine, theirs))
            self.keep(content, name, self.value(where, name, *sides))
        return content

    def value(self, path: str, name: str, base: Any, mine: Any, theirs: Any) -> Any:
        """Merge one field, as fine as its kind allows."""
        if mine == theirs or base in (mine, theirs) or _ABSENT in (mine, theirs):
            return self.atom(path, base, mine, theirs)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            return self.mapping(path, base if isinstance(base, Mapping) else {}, mine, theirs)
        if isinstance(mine, list) and isinstance(theirs, list):
            before = base if isinstance(base, list) else []
            if name in SETS and all(_unique(each) for each in (before, mine, theirs)):
                return self._words(path, before, mine, theirs)
            keys = tuple(own_keys(each) for each in (before, mine, theirs))
            if None not in keys:
                return self._things(
                    path,
                    name,
                    *(
                        dict(zip(own or (), each, strict=True))
                        for own, each in zip(keys, (before, mine, theirs), strict=True)
                    ),
                )
        return self.atom(path, base, mine, theirs)

    def atom(self, path: str, base: Any, mine: Any, theirs: Any) -> Any:
        """Take a field whole from the side that changed it; from neither when both did."""
        if mine == theirs:
            return theirs
        if theirs == base:
            self.mine.append(path)
            return mine
        if mine == base:
            self.theirs.append(path)
            return theirs
        chosen = self.choices.get(path)
        if chosen == "mine":
            return mine
        if chosen is None:
            known = (None if each is _ABSENT else each for each in (base, mine, theirs))
            self.overlaps.append(Overlap(path, *known))
        return theirs

    def _words(self, path: str, base: list[Any], mine: list[Any], theirs: list[Any]) -> list[Any]:
        self.mine.append(path)
        self.theirs.append(path)
        gone = [word for word in base if word not in mine]
        added = [word for word in mine if word not in base and word not in theirs]
        return [word for word in theirs if word not in gone] + added

    def _things(self, path: str, name: str, base: Plain, mine: Plain, theirs: Plain) -> Any:
        found: dict[str, Any] = {}
        for key in dict.fromkeys([*theirs, *mine, *base]):
            sides = (each.get(key, _ABSENT) for each in (base, mine, theirs))
            self.keep(found, key, self.value(f"{path}[{key}]", name, *sides))
        return [found[key] for key in self._order(path, list(found), base, mine, theirs)]

    def _order(
        self, path: str, keys: list[str], base: Plain, mine: Plain, theirs: Plain
    ) -> list[str]:
        """Put the keys in the order of the side that changed it.

        What the other side added follows the thing that it followed there.
        """
        common = [key for key in base if key in mine and key in theirs]
        before, left, right = (
            [key for key in each if key in common] for each in (base, mine, theirs)
        )
        where = f"{path} {ORDER}"
        first = theirs
        if left != right:
            if right == before:
                self.mine.append(where)
                first = mine
            elif left == before:
                self.theirs.append(where)
            elif self.choices.get(where) == "mine":
                first = mine
            elif where not in self.choices:
                self.overlaps.append(Overlap(where, before, left, right))
        second = theirs if first is mine else mine
        wanted = set(keys)
        ordered = [key for key in first if key in wanted]
        place = 0
        for key in second:
            if key in ordered:
                place = ordered.index(key) + 1
            elif key in wanted:
                ordered.insert(place, key)
                place += 1
        return ordered


def _unique(words: Iterable[Any]) -> bool:
    listed = list(words)
    return all(isinstance(word, str) for word in listed) and len(set(listed)) == len(listed)
