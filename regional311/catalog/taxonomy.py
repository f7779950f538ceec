"""What is wrong with a tree of terms, and what belongs to a branch; for files, imports, queries.

A reference to a term is `taxonomy:code`. Crosswalks tie terms of different trees, so that a branch
of one holds what others sort elsewhere: what is exactly the same or narrower is in it, what is only
related is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Protocol

Fault = tuple[str, str]
"""Where in the taxonomy, as a path of keys, and what is wrong in one sentence."""


class Placed(Protocol):
    """A term as far as its place in the tree goes."""

    @property
    def code(self) -> str:
        """Code of the term."""

    @property
    def parent(self) -> str | None:
        """Code of the term above, if any."""


class Tied(Protocol):
    """A crosswalk as far as its ends go."""

    @property
    def term(self) -> str:
        """Reference of the one term."""

    @property
    def other(self) -> str:
        """Reference of the other term."""

    @property
    def relation(self) -> Any:
        """What the other is to the first."""


def term_faults(terms: Iterable[Placed]) -> Iterator[Fault]:
    """Give what is wrong with a tree: codes twice, parents that are not there, loops.

    A loop is named once, by the first of its terms in the order given.
    """
    parents: dict[str, str | None] = {}
    for position, each in enumerate(terms, 1):
        if each.code in parents:
            yield f"term[{each.code}].code", f"{each.code} is used twice (entry {position})"
            continue
        parents[each.code] = each.parent
    for code, parent in parents.items():
        if parent is not None and parent not in parents:
            close = get_close_matches(parent, parents, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield f"term[{code}].parent", f"there is no term {parent}{hint}"
    sound: set[str] = set()
    for code in parents:
        path: dict[str, None] = {}
        here: str | None = code
        while here is not None and here in parents and here not in sound:
            if here in path:
                loop = list(path)[list(path).index(here) :]
                yield (
                    f"term[{loop[0]}].parent",
                    f"is below itself: {' below '.join([*loop, loop[0]])}",
                )
                break
            path[here] = None
            here = parents[here]
        sound.update(path)


def crosswalk_faults(
    crosswalks: Iterable[Tied], codes: Mapping[str, Iterable[str]]
) -> Iterator[Fault]:
    """Give what is wrong with crosswalks, when taxonomies with these codes are known.

    A term of a taxonomy that is not among them is not missed: it may have been imported.
    """
    known = {taxonomy: frozenset(each) for taxonomy, each in codes.items()}
    seen: set[frozenset[str]] = set()
    for each in crosswalks:
        path = f"crosswalk[{each.term} {each.other}]"
        pair = frozenset((each.term, each.other))
        if taxonomy_of(each.term) == taxonomy_of(each.other):
            yield f"{path}.other", "is of the same taxonomy; a crosswalk ties two"
        elif pair in seen:
            yield path, "these two terms are tied already"
        seen.add(pair)
        for name, ref in (("term", each.term), ("other", each.other)):
            if fault := missing_term(ref, known):
                yield f"{path}.{name}", fault


def missing_term(ref: str, known: Mapping[str, frozenset[str]]) -> str | None:
    """Say that a term is not in its taxonomy, when that one is known; None when nothing is wrong.

    >>> missing_term("region:fod", {"region": frozenset({"food"})})
    'there is no term fod in region; did you mean food?'
    """
    taxonomy, _, code = ref.partition(":")
    codes = known.get(taxonomy)
    if codes is None or code in codes:
        return None
    close = get_close_matches(code, codes, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"there is no term {code} in {taxonomy}{hint}"


def taxonomy_of(ref: str) -> str:
    """Give the key of a reference's taxonomy.

    >>> taxonomy_of("region:food")
    'region'
    """
    return ref.partition(":")[0]


@dataclass(frozen=True, slots=True)
class TreeTerm:
    """A term in its tree; `ref` is `taxonomy:code`, `parent` the reference of the term above."""

    ref: str
    name: str
    parent: str | None = None
    description: str = ""
    names: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Language to the term in it."""
    source_id: str | None = None
    """The id that it has where it was imported from."""

    def named(self, language: str) -> str:
        """The term in a language, or as it was first said."""
        return self.names.get(language, self.name)


@dataclass(frozen=True, slots=True)
class Tree:
    """A taxonomy as everybody may know it; `tenant` is the slug of the partner that keeps it."""

    key: str
    name: str
    tenant: str
    description: str = ""
    version: str = ""
    website: str = ""
    licence: str = ""
    imported: bool = False
    source_id: str | None = None
    """The id that it has where it was imported from."""


@dataclass(frozen=True, slots=True)
class Link:
    """A crosswalk, as `content.Crosswalk` says it."""

    term: str
    other: str
    relation: str


class Terms:
    """Every taxonomy of the region with the crosswalks between them; never changed."""

    def __init__(
        self,
        taxonomies: Iterable[Tree] = (),
        terms: Iterable[TreeTerm] = (),
        links: Iterable[Link] = (),
    ) -> None:
        self.taxonomies: Mapping[str, Tree] = {each.key: each for each in taxonomies}
        self.links = tuple(links)
        self._terms = {each.ref: each for each in terms}
        self._below: dict[str, list[str]] = {}
        self._tops: dict[str, list[str]] = {}
        for each in self._terms.values():
            if each.parent is not None and each.parent in self._terms:
                self._below.setdefault(each.parent, []).append(each.ref)
            else:
                self._tops.setdefault(taxonomy_of(each.ref), []).append(each.ref)
        self._within: dict[str, list[str]] = {}
        for link in self.links:
            if link.relation in ("exact", "narrower"):
                self._within.setdefault(link.term, []).append(link.other)
            if link.relation in ("exact", "broader"):
                self._within.setdefault(link.other, []).append(link.term)

    def find(self, ref: str) -> TreeTerm | None:
        """Give a term by its reference."""
        return self._terms.get(ref)

    def of(self, taxonomy: str) -> tuple[TreeTerm, ...]:
        """Give all terms of a taxonomy, each after the one above it."""
        found: list[TreeTerm] = []
        waiting = list(reversed(self._tops.get(taxonomy, ())))
        while waiting:
            ref = waiting.pop()
            found.append(self._terms[ref])
            waiting.extend(reversed(self._below.get(ref, ())))
        return tuple(found)

    @property
    def codes(self) -> dict[str, frozenset[str]]:
        """The codes of every taxonomy, by its key."""
        return {
            key: frozenset(each.ref.partition(":")[2] for each in self.of(key))
            for key in self.taxonomies
        }

    def tops(self, taxonomy: str) -> tuple[TreeTerm, ...]:
        """Give the terms that are below no other."""
        return tuple(self._terms[ref] for ref in self._tops.get(taxonomy, ()))

    def below(self, ref: str) -> tuple[TreeTerm, ...]:
        """Give the terms right below one."""
        return tuple(self._terms[each] for each in self._below.get(ref, ()))

    def path(self, ref: str) -> tuple[TreeTerm, ...]:
        """Give the terms from the top of the tree down to this one, itself the last."""
        found: list[TreeTerm] = []
        here = self._terms.get(ref)
        while here is not None and here not in found:
            found.append(here)
            here = self._terms.get(here.parent or "")
        return tuple(reversed(found))

    def terms_of(self, branch: str) -> frozenset[str]:
        """Give the references of a branch: the term, all below it, and what crosswalks add.

        Terms that are exactly the same or narrower elsewhere are in it with all below them, and so
        on from there. A reference that no taxonomy has is a branch of its own.

        >>> trees = Terms(terms=[TreeTerm("a:food", "Food"), TreeTerm("b:meals", "Meals"),
        ...                      TreeTerm("b:soup", "Soup", "b:meals")],
        ...               links=[Link("a:food", "b:meals", "narrower")])
        >>> sorted(trees.terms_of("a:food"))
        ['a:food', 'b:meals', 'b:soup']
        """
        found = {branch}
        waiting = [branch]
        while waiting:
            here = waiting.pop()
            for each in (*self._below.get(here, ()), *self._within.get(here, ())):
                if each not in found:
                    found.add(each)
                    waiting.append(each)
        return frozenset(found)
