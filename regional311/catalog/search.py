"""Find the service that a person means by the words a person uses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from regional311.catalog.directory import Service

_NAME: Final = 6.0
_KEYWORD: Final = 5.0
_TERM: Final = 2.0
_GROUP: Final = 1.5
_SUMMARY: Final = 1.0
_PREFIX: Final = 0.7
_TYPO: Final = 0.45
_MIN_TYPO_LENGTH: Final = 4
_OWN: Final = 1.15
_STOP: Final = frozenset(
    [
        "a",
        "an",
        "and",
        "at",
        "by",
        "for",
        "from",
        "i",
        "in",
        "is",
        "it",
        "my",
        "of",
        "on",
        "or",
        "our",
        "please",
        "the",
        "there",
        "to",
        "want",
        "with",
    ]
)
MAX_WORDS: Final = 12
"""Words of the question that are looked at."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A service found; a higher ``score`` is a better match."""

    service: Service
    score: float


class SearchIndex:
    """The words of a list of services, prepared once.

    Names and callers' words weigh most, then the kind of thing, the heading and the summary. A
    word counts less as the beginning of another, and less again when it is one slip away from it.
    """

    def __init__(self, services: Iterable[Service]) -> None:
        self.services = tuple(services)
        self._words: dict[str, dict[int, float]] = {}
        self._phrases: list[frozenset[str]] = []
        for at, service in enumerate(self.services):
            weights: dict[str, float] = {}
            phrases = set()
            for text, weight in (
                (service.name, _NAME),
                (service.term.replace("-", " "), _TERM),
                (service.group, _GROUP),
                (service.summary, _SUMMARY),
                *((keyword, _KEYWORD) for keyword in service.keywords),
            ):
                words = words_of(text)
                if weight >= _KEYWORD:
                    phrases.add(" ".join(words))
                for word in words:
                    weights[word] = max(weights.get(word, 0.0), weight)
            self._phrases.append(frozenset(phrases))
            for word, weight in weights.items():
                self._words.setdefault(word, {})[at] = weight

    def rank(self, text: str, limit: int = 10, *, prefer: str = "") -> list[Hit]:
        """Give the best services for what was typed, the best first.

        ``prefer`` names the partner whose services come first among equals. Nothing typed finds
        nothing.
        """
        words = words_of(text)[:MAX_WORDS]
        scores: dict[int, float] = {}
        for word in words:
            for at, score in self._matches(word).items():
                scores[at] = scores.get(at, 0.0) + score
        phrase = " ".join(words)
        hits = []
        for at, score in scores.items():
            service = self.services[at]
            whole = 2.0 if phrase in self._phrases[at] else 1.0
            own = _OWN if service.tenant == prefer else 1.0
            hits.append(Hit(service, round(score * whole * own, 4)))
        hits.sort(key=lambda hit: (-hit.score, hit.service.name, hit.service.ref))
        return hits[:limit]

    def _matches(self, word: str) -> dict[int, float]:
        found: dict[int, float] = {}
        for known, places in self._words.items():
            if known == word:
                factor = 1.0
            elif len(word) > 1 and known.startswith(word):
                factor = _PREFIX
            elif (
                len(word) >= _MIN_TYPO_LENGTH
                and abs(len(known) - len(word)) <= 1
                and one_slip(word, known)
            ):
                factor = _TYPO
            else:
                continue
            for at, weight in places.items():
                found[at] = max(found.get(at, 0.0), weight * factor)
        return found


def rank(services: Iterable[Service], text: str, limit: int = 10) -> list[Hit]:
    """Rank a few services once; keep a :class:`SearchIndex` for many questions.

    >>> rank([Service("city", "pothole", "Pothole in a street")], "potholes")[0].service.key
    'pothole'
    """
    return SearchIndex(services).rank(text, limit)


def words_of(text: str) -> list[str]:
    """Split into plain words: no case, no accents, no plural *s*, none that say nothing."""
    plain = "".join(
        each
        for each in unicodedata.normalize("NFKD", text.casefold())
        if not unicodedata.combining(each)
    )
    words = (_singular(each) for each in re.findall(r"\w+", plain))
    return [each for each in words if each not in _STOP]


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def one_slip(one: str, other: str) -> bool:
    """Whether one letter was missed, added, changed, or two neighbours swapped.

    >>> one_slip("pothole", "pohtole"), one_slip("pothole", "graffiti")
    (True, False)
    """
    if len(one) > len(other):
        one, other = other, one
    at = 0
    while at < len(one) and one[at] == other[at]:
        at += 1
    if len(one) < len(other):
        return len(other) - len(one) == 1 and one[at:] == other[at + 1 :]
    if one[at + 1 :] == other[at + 1 :]:
        return True
    return one[at : at + 2] == other[at : at + 2][::-1] and one[at + 2 :] == other[at + 2 :]
