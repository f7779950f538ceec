"""How a question is read: which words of the search documents each of its words may mean.

Pure: what people typed and what the vocabulary knows of it come in, a `Reading` goes out. Each word
of the question is a place; a place has several ways to be met, and a document is as good there as
the best of them. What is rare weighs more than what is everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from typing import Final
from uuid import UUID

from regional311.catalog.words import (
    is_function_word,
    is_han,
    joined,
    languages_of,
    slips_between,
    spoken,
)

MOST_WORDS: Final = 16
"""Words of a question that are looked at."""

LANGUAGES: Final = ("en", "es", "vi", "zh-Hant", "ru")
SAME: Final = "same"
WHOLE: Final = "whole"
BEGINS: Final = "begins"
SLIP: Final = "slip"
LIKE: Final = "like"
SYNONYM: Final = "synonym"
"""How a word is met: as it is, written as one with its neighbour, as a beginning, with a slip, as
something that begins like it, by a synonym."""

_FACTORS: Final = {SAME: 1.0, WHOLE: 1.25, BEGINS: 0.8, SYNONYM: 0.85, LIKE: 0.35}
_SLIPS: Final = {1: 0.75, 2: 0.55}
_WHOLE_BEGINS: Final = 1.05
_BEGINS_KNOWN: Final = 0.55
"""What a beginning counts when it is a word itself: *park*, *parking*."""

_SHORTEST_SLIP: Final = 4
_SHORTEST_TWO_SLIPS: Final = 7
_SAME_LANGUAGE: Final = 0.75
"""Part of the best language's words that another must know, too, to be asked as well."""

_COMMON: Final = 0.15
"""Part of the documents above which a word alone finds nothing when there is a rarer one."""

_PART: Final = 0.4
"""Part of a question's weight that is enough to be looked at."""

_NEARLY: Final = 0.75
"""Where no two words weigh so much: the part of the heaviest two that is enough."""

_MOST_PHRASES: Final = 24


@dataclass(frozen=True, slots=True)
class Form:
    """A word of the question in a language, or two neighbours written as one.

    ``at`` and ``until`` are the first and the last of the words it stands for. A word of speech
    is asked about as part of a phrase only (``content`` is false).
    """

    at: int
    until: int
    language: str
    word: str
    content: bool = True
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the vocabulary says of a form, or of a synonym of some of the words.

    ``stems`` are several where a phrase is meant; ``word`` is what people read.
    """

    how: str
    at: int
    until: int
    language: str
    word: str
    stems: tuple[str, ...]
    documents: int
    tenant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """One way to meet a place of the question: any of ``phrases``, each of one or more stems.

    ``factor`` is what it counts beside the word itself. With ``tenant_id`` it holds for documents
    of that partner only.
    """

    how: str
    factor: float
    phrases: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    tenant_id: UUID | None = None

    def query(self, labels: str = "") -> str:
        """Give it as PostgreSQL's text search query, of words with one of these weights."""
        return " | ".join(f"({_all_of(stems, labels)})" for stems in self.phrases)


@dataclass(frozen=True, slots=True)
class Place:
    """A word of the question: what it weighs, and how it may be met."""

    at: int
    word: str
    weight: float
    documents: int
    ways: tuple[Way, ...]

    def query(self) -> str:
        """Give the text search query of what meets it in any way."""
        return " | ".join(way.query() for way in self.ways)


@dataclass(frozen=True, slots=True)
class Interpretation:
    """The question in one language.

    ``whole`` are the phrases that all of the words together may be, ``parts`` those that some of
    them may be, as stems in alphabetical order.
    """

    language: str
    places: tuple[Place, ...]
    whole: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    share: float = 1.0
    """How likely it is beside the likeliest language."""

    @property
    def weight(self) -> float:
        """What all its words weigh together."""
        return sum(place.weight for place in self.places)

    @property
    def all_places(self) -> str:
        """Give the text search query of what meets every word."""
        return " & ".join(f"({place.query()})" for place in self.places)

    @property
    def better_part(self) -> str:
        """Give the text search query of what meets two words, or one that weighs as much."""
        heavy = [place for place in self.places if place.weight >= self.weight * _PART]
        pairs = [
            (one.weight + other.weight, one, other)
            for one, other in combinations(
                [place for place in self.places if place not in heavy], 2
            )
        ]
        need = min(self.weight * _PART, max((pair[0] for pair in pairs), default=0.0) * _NEARLY)
        return " | ".join(
            [
                *(place.query() for place in heavy),
                *(
                    f"({one.query()}) & ({other.query()})"
                    for weight, one, other in pairs
                    if weight >= need
                ),
            ]
        )

    @property
    def some_places(self) -> str:
        """Give the text search query of what meets a word.

        A word that is everywhere finds nothing by itself, unless there is no other.
        """
        enough = min(max(place.weight for place in self.places), _weight(_COMMON))
        return " | ".join(place.query() for place in self.places if place.weight >= enough)


@dataclass(frozen=True, slots=True)
class Correction:
    """A word of the question that nobody uses, and the one that was looked for instead."""

    typed: str
    meant: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A question as it was understood; no interpretation means that no word of it is known."""

    words: tuple[str, ...] = ()
    interpretations: tuple[Interpretation, ...] = ()
    corrections: tuple[Correction, ...] = ()

    @property
    def language(self) -> str | None:
        """The language that it is most likely in."""
        return self.interpretations[0].language if self.interpretations else None


@dataclass(frozen=True, slots=True)
class Question:
    """The words of a question, and what is asked of the vocabulary about them."""

    words: tuple[tuple[str, str], ...]
    """Each plain, and as it was said."""
    forms: tuple[Form, ...] = field(default=())


def question(text: str, *, typing: bool) -> Question:
    """Split what was typed; while ``typing``, its last word may be the beginning of one."""
    words = tuple(spoken(text)[:MOST_WORDS])
    forms: list[Form] = []
    last = len(words) - 1
    unfinished = typing and not text[-1:].isspace()
    for language in LANGUAGES:
        content = []
        for at, (word, said) in enumerate(words):
            if language not in languages_of(said):
                continue
            begins = unfinished and at == last
            # the beginning of a word may look like a word of speech
            if begins or not is_function_word(word, said, language):
                content.append((at, word))
                forms.append(Form(at, at, language, word, begins=begins))
            else:
                forms.append(Form(at, at, language, word, content=False))
        for (at, one), (until, other) in pairwise(content):
            forms.extend(
                Form(at, until, language, both, begins=unfinished and until == last)
                for both in joined((one, other))
            )
    return Question(words, tuple(forms))


def read(
    asked: Question, known: Iterable[Known], documents: dict[str, int], *, language: str
) -> Reading:
    """Understand a question by what the vocabulary knows of its words.

    ``documents`` counts the search documents by language. ``language`` is that of the page: it
    decides when several are as likely.
    """
    by_language: dict[str, list[Known]] = {}
    for each in known:
        by_language.setdefault(each.language, []).append(each)
    found: list[tuple[float, Interpretation, tuple[Correction, ...]]] = []
    # nothing but the page's own words of speech is no question in another language either
    silent = all(is_function_word(word, said, language) for word, said in asked.words)
    for name in LANGUAGES:
        if name not in by_language or (silent and name != language):
            continue
        places, corrections = _places(asked, name, by_language[name], documents.get(name, 0))
        if places:
            evidence = _evidence(asked, name, places) + (0.01 if name == language else 0.0)
            found.append((evidence, _interpretation(name, places), corrections))
    found.sort(key=lambda each: -each[0])
    kept = [
        each
        for each in found
        if each[0] >= found[0][0] * _SAME_LANGUAGE or _translated(each[1], found[0][1])
    ]
    return Reading(
        tuple(said for _word, said in asked.words),
        tuple(
            replace(interpretation, share=evidence / found[0][0])
            for evidence, interpretation, _corrections in kept
        ),
        kept[0][2] if kept else (),
    )


def _translated(other: Interpretation, likeliest: Interpretation) -> bool:
    """Whether synonyms say in another language what all the heavy words of the question mean."""
    said = {place.at for place in other.places if any(way.how == SYNONYM for way in place.ways)}
    return len(said) > 1 and len(said) >= len(likeliest.places) / 2


def _places(
    asked: Question, language: str, known: Sequence[Known], documents: int
) -> tuple[list[Place], tuple[Correction, ...]]:
    """Give the words of the question that can be met, and those that were taken for others."""
    places = []
    corrections = []
    typed = {
        form.at: form for form in asked.forms if form.language == language and form.at == form.until
    }
    for each in known:
        # a synonym in this language of words of another one
        for at in range(each.at, each.until + 1) if each.how == SYNONYM else ():
            typed.setdefault(at, Form(at, at, language, asked.words[at][0]))
    for at, form in sorted(typed.items()):
        about = [each for each in known if each.at <= at <= each.until]
        if not form.content and not _alone(form, typed, about):
            continue
        ways = list(_ways(form, about))
        if not ways:
            continue
        slip = next((way for way in ways if way.how == SLIP), None)
        if slip is not None:
            corrections.append(Correction(asked.words[at][1], slip.words[0]))
        seen = sum(each.documents for each in about if each.how == SAME and each.until == each.at)
        seen = seen or max((each.documents for each in about), default=0)
        weight = _weight(seen / documents if documents else 1.0)
        places.append(Place(at, asked.words[at][1], weight, seen, tuple(ways)))
    return places, tuple(corrections)


def _alone(form: Form, typed: Mapping[int, Form], about: Sequence[Known]) -> bool:
    """Whether a word of speech begins a phrase that means something and has no other words."""
    return any(
        each.how == SYNONYM
        and each.at == form.at
        and not any(typed[at].content for at in range(each.at, each.until + 1) if at in typed)
        for each in about
    )


def _ways(form: Form, about: Sequence[Known]) -> Iterable[Way]:
    same = [each for each in about if each.how == SAME and each.at == each.until]
    if same:
        stems = tuple(each.stems for each in same)
        yield Way(SAME, _FACTORS[SAME], stems, (form.word,))
    for how, factor in ((SAME, _FACTORS[WHOLE]), (BEGINS, _WHOLE_BEGINS)):
        together = [each for each in about if each.how == how and each.at < each.until]
        if together:
            stems = tuple(each.stems for each in together)
            yield Way(WHOLE, factor, stems, tuple(each.word for each in together))
    begun = [each for each in about if each.how == BEGINS and each.at == each.until]
    if begun:
        factor = _BEGINS_KNOWN if same else _FACTORS[BEGINS]
        yield Way(
            BEGINS, factor, tuple(each.stems for each in begun), tuple(each.word for each in begun)
        )
    for tenant_id in dict.fromkeys(each.tenant_id for each in about if each.how == SYNONYM):
        meant = [each for each in about if each.how == SYNONYM and each.tenant_id == tenant_id]
        yield Way(
            SYNONYM,
            _FACTORS[SYNONYM],
            tuple(each.stems for each in meant),
            tuple(each.word for each in meant),
            tenant_id,
        )
    if same or begun or any(each.at < each.until and each.how != SYNONYM for each in about):
        return
    near = _nearest(form.word, [each for each in about if each.how == SLIP])
    if near:
        slips = slips_between(form.word, near[0].word, 2) or 1
        yield Way(
            SLIP,
            _SLIPS[slips],
            tuple(dict.fromkeys(each.stems for each in near)),
            tuple(each.word for each in near),
        )
        return
    alike = [each for each in about if each.how == LIKE]
    if alike:
        yield Way(
            LIKE,
            _FACTORS[LIKE],
            tuple(each.stems for each in alike),
            tuple(each.word for each in alike),
        )


def _nearest(word: str, candidates: Sequence[Known]) -> list[Known]:
    """Give the words with the fewest slips, those that more documents have first; three at most."""
    found = []
    for each in candidates:
        length = max(len(word), len(each.word))
        slips = slips_between(word, each.word, 2 if length >= _SHORTEST_TWO_SLIPS else 1)
        # people get the first letter of a word right, above all of a short one
        first = each.word[0] == word[0]
        if slips is not None and (first or length >= _SHORTEST_TWO_SLIPS):
            found.append((slips + (not first), -each.documents, each.word, each))
    found.sort(key=lambda one: one[:3])
    return [each for slips, _many, _word, each in found if slips == found[0][0]][:3]


def _weight(part: float) -> float:
    """Give what a word weighs that this part of the documents has, from about 0 to 1.

    >>> round(_weight(1.0), 2), round(_weight(0.1), 2), round(_weight(0.002), 2)
    (0.1, 0.35, 0.9)
    """
    return math.log(1 + 1 / min(1.0, max(part, 0.001))) / math.log(1001)


def _evidence(asked: Question, language: str, places: Sequence[Place]) -> float:
    """Say how much of the question is in a language: its own words of speech count, too."""
    functional = sum(
        is_function_word(word, said, language) and language in languages_of(said)
        for word, said in asked.words
    )
    return functional + sum(max(min(way.factor, 1.0) for way in place.ways) for place in places)


def _interpretation(language: str, places: Sequence[Place]) -> Interpretation:
    whole, parts = _phrases(places)
    return Interpretation(language, tuple(places), whole, parts)


def _phrases(places: Sequence[Place]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the phrases that the words may be: all of them, and any two or three neighbours."""
    choices = [
        list(
            dict.fromkeys(
                phrase
                for way in place.ways
                if way.how in (SAME, SLIP, SYNONYM) and way.tenant_id is None
                for phrase in way.phrases
            )
        )
        for place in places
        if not is_han(place.word)
    ]
    whole = _combined(choices)
    parts: dict[str, None] = {}
    for length in (3, 2, 1):
        for start in range(len(choices) - length + 1):
            if length < len(choices):
                parts.update(dict.fromkeys(_combined(choices[start : start + length])))
    return tuple(whole), tuple(parts)[:_MOST_PHRASES]


def _combined(choices: Sequence[Sequence[tuple[str, ...]]]) -> list[str]:
    made: list[tuple[str, ...]] = [()]
    for each in choices:
        made = [(*one, *more) for one in made for more in each][:_MOST_PHRASES]
    return list(dict.fromkeys("=" + " ".join(sorted(set(one))) for one in made if one))


def _all_of(stems: Iterable[str], labels: str) -> str:
    suffix = f":{labels}" if labels else ""
    return " & ".join(quoted(stem) + suffix for stem in stems)


def quoted(stem: str) -> str:
    """Write a word of a text search query, whatever is in it.

    >>> quoted("o'brien")
    "'o''brien'"
    """
    return "'" + stem.replace("\\", "\\\\").replace("'", "''") + "'"
