"""What a partner knows beside its services: answers, scripts for the desk, and pinned notices.

An article has a part for everybody (`text`) and a part for staff of any partner (`internal`), both
Markdown. A script is walked step by step by a specialist; its steps are for staff, too. The models
serve files and forms alike; what is wrong with an article beyond the shape of its fields is told by
`article_faults`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from regional311.catalog.checks import Fault, missing, twice
from regional311.strict import Key, Language, Model, Prose, Words

ArticleKind = Literal["answer", "script", "notice"]

Markdown = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
ServiceRef = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]+(-[a-z0-9]+)*/)?[a-z0-9]+(-[a-z0-9]+)*$", max_length=121
    ),
]
"""A service's key; another partner's as ``slug/key``."""
Target = Annotated[
    str,
    StringConstraints(
        pattern=r"^(end|danger|step:[a-z0-9]+(-[a-z0-9]+)*"
        r"|service:([a-z0-9]+(-[a-z0-9]+)*/)?[a-z0-9]+(-[a-z0-9]+)*)$",
        max_length=130,
    ),
]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class LabelWords(Model):
    """A choice in another language."""

    language: Language = Field(description="Language.")
    label: Words = Field(description="The choice as shown.")


class StepChoice(Model):
    """One way on from a step."""

    key: Key = Field(description="Key, unique in the step.")
    label: Words = Field(description="The answer or finding, in a few words.")
    to: Target = Field(
        description="Where it leads: `step:<key>`, `service:<key>` (another partner's as "
        "`service:<slug>/<key>`), `danger` (the danger screen: call 911), or `end`."
    )
    translation: tuple[LabelWords, ...] = Field(
        default=(), description="The choice in other languages."
    )


class StepWords(Model):
    """A step in another language, for reading it out."""

    language: Language = Field(description="Language.")
    text: Prose = Field(description="What to ask, say or do. Markdown.")


class Step(Model):
    """One step of a script; a step without choices is an end."""

    key: Key = Field(description="Key, unique in the script; the first step is the start.")
    text: Prose = Field(description="What to ask, say or do. Markdown.")
    choice: tuple[StepChoice, ...] = Field(
        default=(), description="Ways on; left out: the script ends here."
    )
    translation: tuple[StepWords, ...] = Field(
        default=(), description="The step in other languages."
    )


class ArticleWords(Model):
    """The public part in another language; what is left out is shown in the partner's own."""

    language: Language = Field(description="Language.")
    title: Words = Field(description="The question, or the title.")
    summary: Words | None = Field(default=None, description="One sentence for lists.")
    text: Markdown | None = Field(default=None, description="The part for everybody. Markdown.")
    keywords: tuple[Words, ...] = Field(default=(), description="Callers' words for it.")


class Article(Model):
    """A question with its answer, a script for the desk, or a notice."""

    key: Key = Field(description="Key, unique among the partner's articles.")
    kind: ArticleKind = Field(
        description="`answer`: a question and its answer. `script`: a guide for specialists, step "
        "by step. `notice`: pinned while it holds."
    )
    title: Words = Field(description="The question, or the title.")
    summary: Words | None = Field(default=None, description="One sentence for lists.")
    text: Markdown | None = Field(
        default=None, description="The part for everybody; left out: staff only. Markdown."
    )
    internal: Markdown | None = Field(
        default=None,
        description="The part for staff of any partner, never shown to the public. Markdown.",
    )
    bureau: Key | None = Field(default=None, description="Bureau that keeps it.")
    services: tuple[ServiceRef, ...] = Field(
        default=(),
        description="Services it is about; another partner's as `slug/key`.",
    )
    keywords: tuple[Words, ...] = Field(
        default=(), description="Callers' words for it, singular and lower case."
    )
    valid_from: date | None = Field(
        default=None, description="First day on which it is shown; left out: at once."
    )
    valid_to: date | None = Field(
        default=None, description="First day on which it is shown no more; a notice needs it."
    )
    from_time: TimeOfDay | None = Field(
        default=None, description='Time on the first day, such as `"14:00"`; for notices only.'
    )
    to_time: TimeOfDay | None = Field(
        default=None,
        description="Time on the day `valid_to` until which it is shown; for notices only.",
    )
    level: Literal["info", "warning", "emergency"] = Field(
        default="info", description="How loud a notice is."
    )
    shown: tuple[Literal["desk", "public"], ...] = Field(
        default=("desk", "public"), description="Where a notice is pinned."
    )
    step: tuple[Step, ...] = Field(default=(), description="Steps of a script, the start first.")
    translation: tuple[ArticleWords, ...] = Field(
        default=(), description="The public part in other languages."
    )

    @property
    def public(self) -> bool:
        """Whether everybody may read it: it has a public part, and is not for the desk only."""
        return self.text is not None and (self.kind != "notice" or "public" in self.shown)

    def holds(self, at: datetime) -> bool:
        """Whether it is shown at a moment of the partner's local time."""
        day, time = at.date(), at.strftime("%H:%M")
        begun = self.valid_from is None or (
            (self.valid_from, self.from_time or "00:00") <= (day, time)
        )
        over = self.valid_to is not None and (
            (self.valid_to, self.to_time or "00:00") <= (day, time)
        )
        return begun and not over

    def refs(self, tenant: str) -> tuple[str, ...]:
        """Give the services it names, as ``slug/key``, those of its steps too, each once."""
        named = [*self.services, *(ref for _, ref in _leads(self.step, "service"))]
        return tuple(dict.fromkeys(full_ref(tenant, each) for each in named))


def full_ref(tenant: str, ref: str) -> str:
    """Give a service named in a partner's article as ``slug/key``.

    >>> full_ref("city", "pothole"), full_ref("city", "county/jail")
    ('city/pothole', 'county/jail')
    """
    return ref if "/" in ref else f"{tenant}/{ref}"


def article_faults(
    article: Article,
    tenant: str,
    *,
    bureaus: Collection[str] | None = None,
    services: Collection[str] | None = None,
) -> Iterator[Fault]:
    """Give everything that is wrong with an article of a partner.

    `bureaus` are the partner's keys, `services` those of everybody as ``slug/key``; None where they
    could not be read.
    """
    yield from _parts(article)
    yield from _dates(article)
    yield from missing("bureau", article.bureau, bureaus, "bureau")
    yield from twice("services", [full_ref(tenant, each) for each in article.services], "service")
    for each in article.services:
        yield from missing("services", full_ref(tenant, each), services, "service")
    yield from _languages("", article.translation)
    yield from twice("step", [each.key for each in article.step])
    for step in article.step:
        path = f"step[{step.key}]"
        yield from _languages(f"{path}.", step.translation)
        yield from twice(f"{path}.choice", [each.key for each in step.choice])
        for choice in step.choice:
            where = f"{path}.choice[{choice.key}]"
            yield from _languages(f"{where}.", choice.translation)
            kind, _, name = choice.to.partition(":")
            if kind == "step":
                yield from missing(f"{where}.to", name, [s.key for s in article.step], "step")
            elif kind == "service":
                yield from missing(f"{where}.to", full_ref(tenant, name), services, "service")
    yield from walk_faults(article.step)


def walk_faults(steps: tuple[Step, ...]) -> Iterator[Fault]:
    """Give what is wrong with the ways through a script: nobody may get lost in it.

    Each step must be led to from the first one, and from each there must be a way to an end: a
    service, the danger screen, the word *end*, or a step without choices.
    """
    if not steps:
        return
    ways = {step.key: [name for _, name in _leads((step,), "step")] for step in steps}
    reached = _closure({steps[0].key}, ways)
    for step in steps:
        if step.key not in reached:
            yield f"step[{step.key}]", "no step leads here"
    ends = {
        step.key
        for step in steps
        if not step.choice or any(not each.to.startswith("step:") for each in step.choice)
    }
    back: dict[str, list[str]] = {}
    for key, targets in ways.items():
        for target in targets:
            back.setdefault(target, []).append(key)
    saved = _closure(ends, back)
    if not ends & reached:
        yield "step", "the script has no end: no step leads to a service, to danger or to an end"
        return
    for step in steps:
        if step.key in reached and step.key not in saved:
            yield f"step[{step.key}]", "goes round in circles: no way from here leads to an end"


def _closure(start: set[str], ways: dict[str, list[str]]) -> set[str]:
    found = set(start)
    waiting = list(start)
    while waiting:
        for target in ways.get(waiting.pop(), ()):
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


def _leads(steps: Iterable[Step], kind: str) -> Iterator[tuple[str, str]]:
    for step in steps:
        for choice in step.choice:
            found, _, name = choice.to.partition(":")
            if found == kind and name:
                yield step.key, name


def _parts(article: Article) -> Iterator[Fault]:
    if (article.kind == "script") != bool(article.step):
        yield "step", "a script, and only a script, has steps"
    if article.kind != "script" and article.text is None and article.internal is None:
        yield "text", "give a part for everybody, or one for staff"
    if article.kind != "notice":
        for name, default in (("level", "info"), ("shown", ("desk", "public"))):
            if getattr(article, name) != default:
                yield name, "is for notices only"
        return
    if not article.shown:
        yield "shown", "name desk, public or both"
    if "public" in article.shown and article.text is None:
        yield "text", "a notice for the public needs a part for everybody"


def _dates(article: Article) -> Iterator[Fault]:
    for time, day in (("from_time", "valid_from"), ("to_time", "valid_to")):
        if getattr(article, time) is None:
            continue
        if article.kind != "notice":
            yield time, "is for notices only"
        elif getattr(article, day) is None:
            yield time, f"needs a day: give {day}"
    if article.kind == "notice" and article.valid_to is None:
        yield "valid_to", "a notice says when it ends"
    if article.valid_from is not None and article.valid_to is not None:
        begins = (article.valid_from, article.from_time or "00:00")
        ends = (article.valid_to, article.to_time or "00:00")
        if ends <= begins:
            yield (
                "valid_to",
                f"{' '.join(map(str, ends))} is not after {' '.join(map(str, begins))}",
            )


def _languages(
    path: str, words: Iterable[ArticleWords | StepWords | LabelWords]
) -> Iterator[Fault]:
    yield from twice(f"{path}translation", [each.language for each in words], "language")
