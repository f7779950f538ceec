"""A form as it is asked: groups put in, what is shown to whom, and the digest it is kept by.

A service names its questions and the groups of questions that it shares with others. `resolve`
puts the groups in, which gives one flat list. That list is what the desk, the public page, Open311
and JSON Schema are made from, and what is kept of a form that somebody answered: it says all it
needs by itself, in every language, whatever happens to the service and its groups later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from pydantic import Field

from regional311.catalog.content import (
    Condition,
    Question,
    QuestionGroup,
    QuestionPath,
    QuestionWords,
    ShowIf,
)
from regional311.strict import Model, Words, canonical, digest, from_plain

CHOOSES: Final = ("choice", "choices")
CODED: Final = ("choice", "choices", "yes_no")
"""Kinds whose answers come from a list: nothing in them can say who somebody is."""
YES_NO: Final[Mapping[str, tuple[str, str]]] = {
    "en": ("Yes", "No"),
    "es": ("Sí", "No"),
    "vi": ("Có", "Không"),
    "zh-Hant": ("是", "否"),
    "ru": ("Да", "Нет"),
}
OWN_LANGUAGE: Final = "en"
"""The language of what has no translation."""
DEEPEST: Final = 3
"""Groups within groups within a group."""
MOST_QUESTIONS: Final = 200
"""Questions of a form with its groups put in."""

Clause = tuple[Condition, ...]
"""Conditions of which any one is enough."""
Groups = Mapping[str, QuestionGroup]
"""A partner's groups of questions by key."""


class Within(Model):
    """The group that a question came from, in the words of this form: a heading."""

    key: QuestionPath = Field(description="Where the group was put in.")
    label: Words = Field(description="Heading.")
    hint: Words | None = Field(default=None, description="Help below the heading.")
    translation: tuple[QuestionWords, ...] = Field(
        default=(), description="The heading in other languages."
    )


class Asked(Question):
    """One question of a form with its groups put in."""

    key: QuestionPath = Field(description="Key, unique in the form.")
    within: Within | None = Field(default=None, description="Heading above it.")
    also_if: tuple[ShowIf, ...] = Field(
        default=(), description="When its groups are asked: all of these must hold too."
    )

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """What must hold for the question to be asked, all of it; empty when it always is."""
        return clauses_of(self.also_if if self.show_if is None else (*self.also_if, self.show_if))

    @property
    def offered(self) -> tuple[str, ...]:
        """Keys of the answers that it offers; empty where anything may be typed."""
        if self.kind == "yes_no":
            return ("yes", "no")
        return tuple(each.key for each in self.choice)

    def options(self, language: str = OWN_LANGUAGE) -> list[tuple[str, str]]:
        """Give the answers that it offers with their words in a language."""
        if self.kind == "yes_no":
            return list(zip(("yes", "no"), YES_NO.get(language, YES_NO["en"]), strict=True))
        return [(each.key, _translated(each, language) or each.label) for each in self.choice]


@dataclass(frozen=True)
class Said:
    """A question's words, and the language that they are in."""

    label: str
    hint: str | None
    language: str


def headed(heading: str, label: str) -> str:
    """Say a question of a group after the heading of the group.

    >>> headed("The owner", "Name"), headed("Who was driving?", "Name")
    ('The owner: Name', 'Who was driving? Name')
    """
    return f"{heading} {label}" if heading[-1:] in "?!.:" else f"{heading}: {label}"


def said(asked: Question | Within, language: str = OWN_LANGUAGE) -> Said:
    """Give a question's words in a language, or else in the partner's own."""
    for each in asked.translation:
        if each.language == language:
            return Said(each.label, each.hint or asked.hint, language)
    return Said(asked.label, asked.hint, OWN_LANGUAGE)


@dataclass(frozen=True)
class Form:
    """The questions of a form in order, each with a key of its own."""

    questions: tuple[Asked, ...] = ()
    owner: str = field(default="", compare=False)
    """Slug of the partner whose form it is; no part of what is asked."""

    @cached_property
    def content(self) -> dict[str, Any]:
        """What is kept of it, as plain values."""
        return {"question": [canonical(each) for each in self.questions]}

    @cached_property
    def digest(self) -> str:
        """What it is kept by: the same questions have the same digest."""
        return digest(self.content)

    def find(self, key: str) -> Asked | None:
        """Give a question by its key."""
        return next((each for each in self.questions if each.key == key), None)

    def shown(self, answers: Mapping[str, Any]) -> tuple[Asked, ...]:
        """Give the questions that are asked of somebody who answered so far, in order.

        `answers` maps a question to an answer or to several. An answer to a question that is not
        asked counts for nothing, so that what depends on it is not asked either.
        """
        counted: dict[str, Collection[str]] = {}
        found = []
        for each in self.questions:
            if all(any(holds(one, counted) for one in clause) for clause in each.clauses):
                found.append(each)
                counted[each.key] = as_list(answers.get(each.key))
        return tuple(found)


EMPTY: Final = Form()


def as_list(answer: Any) -> tuple[str, ...]:
    """Give an answer, several or none as a list of them."""
    if answer is None or answer == "":
        return ()
    return (answer,) if isinstance(answer, str) else tuple(answer)


def clauses_of(conditions: Iterable[ShowIf]) -> tuple[Clause, ...]:
    """Write conditions that must all hold as clauses, of each of which any part must hold."""
    found: list[Clause] = []
    for each in conditions:
        found.extend([each.parts] if each.match == "any" else [(one,) for one in each.parts])
    return tuple(found)


def holds(condition: Condition, counted: Mapping[str, Collection[str]]) -> bool:
    """Whether a question was answered so that another is asked."""
    return not set(condition.answers).isdisjoint(counted.get(condition.question, ()))


def form_from(content: Mapping[str, Any], owner: str = "") -> Form:
    """Read a form that was kept. Raises `strict.StoredUnreadable`."""
    return Form(tuple(from_plain(Asked, each) for each in content.get("question") or ()), owner)


# --- putting groups in ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Loop:
    """A group that comes again within itself, or too deep: where, and the way there."""

    key: str
    way: tuple[str, ...]
    deep: bool = False


@dataclass
class _Resolving:
    groups: Groups
    asked: list[Asked] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    full: bool = False

    def put(
        self,
        questions: Iterable[Question],
        way: tuple[str, ...],
        prefix: str = "",
        within: Within | None = None,
        also_if: tuple[ShowIf, ...] = (),
    ) -> None:
        for each in questions:
            if self.full or len(self.asked) >= MOST_QUESTIONS:
                self.full = True
                return
            key, show_if = prefix + each.key, each.show_if
            if show_if is not None and prefix:
                show_if = _within(show_if, prefix)
            if each.kind == "group":
                self._group(each, key, way, also_if if show_if is None else (*also_if, show_if))
                continue
            words = {name: getattr(each, name) for name in Question.model_fields}
            changed = {"key": key, "show_if": show_if, "within": within, "also_if": also_if}
            self.asked.append(Asked.model_construct(**(words | changed)))

    def _group(
        self, each: Question, key: str, way: tuple[str, ...], also_if: tuple[ShowIf, ...]
    ) -> None:
        group = self.groups.get(each.group or "")
        if group is None:
            return
        further = (*way, group.key)
        if group.key in way or len(further) > DEEPEST:
            self.loops.append(Loop(key, further, deep=group.key not in way))
            return
        heading = Within(key=key, label=each.label, hint=each.hint, translation=each.translation)
        self.put(group.question, further, f"{key}-", heading, also_if)


def _within(show_if: ShowIf, prefix: str) -> ShowIf:
    first, *also = (
        Condition(question=prefix + each.question, answers=each.answers) for each in show_if.parts
    )
    return ShowIf(
        question=first.question, answers=first.answers, also=tuple(also), match=show_if.match
    )


def resolve(questions: Iterable[Question], groups: Groups, owner: str = "") -> Form:
    """Put the groups into a list of questions.

    A question of a group is called by the place where the group was put in and its own key, so
    that a group may be put in twice: ``owner-phone``, ``finder-phone``. A group that is not there,
    or that comes again within itself, gives no questions; `catalog.checks` tells of it.
    """
    resolving = _Resolving(groups)
    resolving.put(questions, ())
    return Form(tuple(resolving.asked), owner)


def resolved(
    questions: Iterable[Question], groups: Groups, way: tuple[str, ...] = ()
) -> tuple[list[Asked], list[Loop], bool]:
    """Put groups in and tell of what went wrong: the questions, loops, whether there are too many.

    `way` are the groups within which the questions stand.
    """
    resolving = _Resolving(groups)
    resolving.put(questions, way)
    return resolving.asked, resolving.loops, resolving.full


def groups_used(questions: Iterable[Question], groups: Groups) -> set[str]:
    """Give the keys of the groups that a list of questions puts in, directly or within others."""
    found: set[str] = set()
    waiting = [each.group for each in questions if each.group]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            inner = groups[key].question if key in groups else ()
            waiting.extend(each.group for each in inner if each.group)
    return found


# --- translations ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gap:
    """Words of a question that are not said in a language: `label`, `hint` or an answer's key."""

    question: str
    language: str
    what: str


def gaps(questions: Iterable[Question], languages: Iterable[str]) -> Iterator[Gap]:
    """Give everything that a list of questions does not say in these languages yet."""
    wanted = [each for each in languages if each != OWN_LANGUAGE]
    for each in questions:
        for language in wanted:
            words = next((one for one in each.translation if one.language == language), None)
            if words is None:
                yield Gap(each.key, language, "label")
            if each.hint and (words is None or not words.hint):
                yield Gap(each.key, language, "hint")
            for one in each.choice:
                if _translated(one, language) is None:
                    yield Gap(each.key, language, one.key)


def _translated(choice: Any, language: str) -> str | None:
    return next((each.label for each in choice.translation if each.language == language), None)
