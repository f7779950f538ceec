"""What people say for the words that services are described in: kept, checked, ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from regional311.catalog.content import Synonym
from regional311.catalog.words import content_words, spoken
from regional311.strict import from_plain

LONGEST_PHRASE: Final = 4
"""Words of a phrase; of Chinese, pairs of neighbours."""

Fault = tuple[str, str]
"""Where in the synonym, and what is wrong in one sentence."""


def synonym_faults(synonym: Synonym) -> Iterator[Fault]:
    """Give what is wrong with a synonym beyond the shape of its fields."""
    said, means = (
        [phrase_of(each) for each in phrases] for phrases in (synonym.said, synonym.means)
    )
    other = synonym.means_language or synonym.language
    if synonym.both_ways and other != synonym.language:
        yield "both_ways", "words of two languages are not the same both ways; make two synonyms"
    for where, language, phrases, plain in (
        ("said", synonym.language, synonym.said, said),
        ("means", other, synonym.means, means),
    ):
        for phrase, words in zip(phrases, plain, strict=True):
            # several such words together may say something: *pick up*
            alone = where == "means" or " " not in words
            if alone and not content_words(phrase, language):
                yield where, f"“{phrase}” has no word that says what is asked for"
            elif words.count(" ") >= LONGEST_PHRASE:
                yield where, f"“{phrase}” is longer than {LONGEST_PHRASE} words"
        for twice in sorted({each for each in plain if plain.count(each) > 1}):
            yield where, f"“{twice}” is there twice"
    for both in sorted(set(said) & set(means)) if other == synonym.language else ():
        yield "means", f"“{both}” means itself"


def phrase_of(text: str) -> str:
    """Write a phrase in plain words, as questions are read.

    >>> phrase_of("Picked-up")
    'picked up'
    """
    return " ".join(word for word, _said in spoken(text))


def synonym_columns(model: Synonym) -> dict[str, Any]:
    """Give the columns of `synonyms` that hold what a synonym says."""
    return {
        "language": model.language,
        "said": list(model.said),
        "means": list(model.means),
        "means_language": model.means_language,
        "both_ways": model.both_ways,
        "said_words": [phrase_of(each) for each in model.said],
        "means_words": [phrase_of(each) for each in model.means],
    }


def said_synonym(row: Any) -> Synonym:
    """Read a row of `synonyms` back into what the partner says."""
    names = ("key", "language", "said", "means", "means_language", "both_ways")
    return from_plain(Synonym, {name: getattr(row, name) for name in names})
