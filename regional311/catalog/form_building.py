"""Changes to the questions of a form, one at a time.

Each gives the questions as they would be. What would break another question, because that depends
on it, is refused with the name of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from regional311.catalog.checks import Fault, Known, question_faults
from regional311.catalog.content import (
    Choice,
    ChoiceWords,
    GroupWords,
    Question,
    QuestionGroup,
    QuestionWords,
)
from regional311.catalog.forms import Asked, Groups, resolve
from regional311.errors import Conflict, NotFound
from regional311.keys import key_for
from regional311.strict import Language

"""Characters of a key that is made from words; groups put others before it."""

Questions = tuple[Question, ...]
W = TypeVar("W", bound=QuestionWords | ChoiceWords | GroupWords)


class StillNeeded(Conflict):
    """Another question is asked only after an answer to this one."""


class MustFollow(Conflict):
    """A question would come before the one that it depends on."""


def find(questions: Iterable[Question], key: str) -> Question:
    """Give a question by its key. Raises `NotFound`."""
    for each in questions:
        if each.key == key:
            return each
    raise NotFound("There is no such question in this form any more.")


def added(questions: Questions, new: Question) -> Questions:
    """Put a question at the end."""
    return (*questions, new)


def replaced(questions: Questions, new: Question) -> Questions:
    """Put a question in the place of the one with its key. Raises `NotFound`."""
    find(questions, new.key)
    return tuple(new if each.key == new.key else each for each in questions)


def removed(questions: Questions, key: str) -> Questions:
    """Take a question out. Raises `NotFound`, and `StillNeeded` when others depend on it."""
    gone = find(questions, key)
    needing = [each for each in questions if depends(each, gone)]
    if needing:
        raise StillNeeded(
            f"“{needing[0].label}” is asked only after an answer to “{gone.label}”: "
            "change that one first.",
            field="question",
        )
    return tuple(each for each in questions if each.key != key)


def moved(questions: Questions, key: str, by: int) -> Questions:
    """Move a question up (-1) or down (+1); at the end of the list it stays.

    Raises `NotFound`, and `MustFollow` when it would pass the one that it depends on.
    """
    place = questions.index(find(questions, key))
    there = place + by
    if not 0 <= there < len(questions):
        return questions
    upper, lower = questions[min(place, there)], questions[max(place, there)]
    if depends(lower, upper):
        raise MustFollow(
            f"“{lower.label}” is asked only after an answer to “{upper.label}”, "
            "so that it comes after it.",
            field="question",
        )
    changed = list(questions)
    changed[place], changed[there] = changed[there], changed[place]
    return tuple(changed)


def depends(one: Question, other: Question) -> bool:
    """Whether a question is asked only after an answer to another, or to one of its group."""
    targets = () if one.show_if is None else [each.question for each in one.show_if.parts]
    return any(
        target == other.key or (other.kind == "group" and target.startswith(f"{other.key}-"))
        for target in targets
    )


def targets(questions: Questions, groups: Groups, before: str | None = None) -> list[Asked]:
    """Give the questions that a question may depend on: those before it with answers to choose.

    `before` is the key of that question; left out, it will be the last.
    """
    earlier: list[Question] = []
    for each in questions:
        if each.key == before:
            break
        earlier.append(each)
    return [each for each in resolve(earlier, groups).questions if each.offered]


def new_faults(before: Questions, after: Questions, groups: Groups) -> list[Fault]:
    """Give what is wrong with a form now and was not before."""
    known = Known(groups=groups)
    old = set(question_faults(before, known))
    return [each for each in question_faults(after, known) if each not in old]


# --- answers to choose ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """An answer to choose as somebody wrote it; a new one has no key yet."""

    label: str
    key: str = ""


def offered(offers: Sequence[Offer], before: Iterable[Choice]) -> tuple[Choice, ...]:
    """Make the answers of a question; one that was there keeps its key and its translations.

    Keys never change, since rules, statistics and old answers name them.
    """
    known = {each.key: each for each in before}
    taken = {each.key for each in offers if each.key in known}
    made = []
    for each in offers:
        old = known.get(each.key)
        if old is None:
            key = key_for(each.label, taken, "answer")
            taken.add(key)
            made.append(Choice(key=key, label=each.label))
        else:
            made.append(old.model_copy(update={"label": each.label}))
    return tuple(made)


# --- translations ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Words:
    """A question in another language as somebody wrote it; empty is not said."""

    label: str = ""
    hint: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)


def translated(questions: Questions, language: Language, words: Mapping[str, Words]) -> Questions:
    """Put the words of a language into a form, question by question; those not named stay."""
    return tuple(
        _translated(each, language, words[each.key]) if each.key in words else each
        for each in questions
    )


def _translated(question: Question, language: Language, words: Words) -> Question:
    said = None
    if words.label:
        said = QuestionWords(language=language, label=words.label, hint=words.hint or None)
    return question.model_copy(
        update={
            "translation": _put(question.translation, language, said),
            "choice": tuple(
                _choice_translated(each, language, words.choices.get(each.key, ""))
                for each in question.choice
            ),
        }
    )


def _choice_translated(choice: Choice, language: Language, label: str) -> Choice:
    said = ChoiceWords(language=language, label=label) if label else None
    return choice.model_copy(update={"translation": _put(choice.translation, language, said)})


def _put(before: tuple[W, ...], language: Language, new: W | None) -> tuple[W, ...]:
    """Put words in the place of those in the same language, or at the end; none takes them out."""
    there = [each.language for each in before]
    if new is not None and language not in there:
        return (*before, new)
    every = (new if each.language == language else each for each in before)
    return tuple(each for each in every if each is not None)


def renamed(group: QuestionGroup, language: Language, name: str) -> tuple[GroupWords, ...]:
    """Give the names of a group in other languages with this one; an empty name takes it out."""
    said = GroupWords(language=language, name=name) if name else None
    return _put(group.translation, language, said)
