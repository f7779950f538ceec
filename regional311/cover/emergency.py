"""What an emergency is while it is on: whom it concerns, what it says, when it is over. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from regional311.strict import Key, Language, Model, Prose, Words
from regional311.tenancy.answering import Surge, Target

REGION: Final = "region"
PlaceKind = Literal["shelter", "closure", "water", "warming", "cooling"]
CLOSURE: Final = "closure"
LONGEST_HOURS: Final = 31 * 24
"""An emergency is planned for a month at most; it can be prolonged."""


class EmergencyText(Model):
    """What is told to everybody, in one language."""

    language: Language = Field(description="Language of the words.")
    title: Words = Field(description="One line, at the top of every page.")
    text: Prose = Field(description="What to know and what to do, in plain words.")


class SurgeSaid(Model):
    """Who answers a line for the time of the emergency, before its own fallbacks."""

    line: Target = Field(description="The line, as `partner/line`.")
    answer: Target = Field(description="Partner or `partner/line` that answers; `voicemail`.")


class PlaceSaid(Model):
    """A shelter or a closure that is known before the emergency."""

    kind: PlaceKind = Field(description="What it is: `closure` is closed, all others are open.")
    name: Words | None = Field(
        default=None, description="Name; left out where a service is named: the service's."
    )
    service: Target | None = Field(
        default=None, description="Service that is open for it or closed, as `partner/key`."
    )
    location: Target | None = Field(
        default=None,
        description="Location that is concerned, as `partner/key`: with a service only that one"
        " there, without one everything there.",
    )
    address: Words | None = Field(default=None, description="Address.")
    note: Words | None = Field(default=None, description="What else to know.")


class EmergencyKind(Model):
    """A kind of emergency, with everything prepared for it."""

    key: Key = Field(description="Key, unique among the kinds.")
    name: Words = Field(description="Name shown to staff.")
    hours: int = Field(
        default=24, ge=1, le=LONGEST_HOURS, description="Hours after which it ends by itself."
    )
    services: tuple[Target, ...] = Field(
        default=(), description="Services shown first, as `partner/key`."
    )
    articles: tuple[Target, ...] = Field(
        default=(), description="Scripts and answers shown first, as `partner/key`."
    )
    text: tuple[EmergencyText, ...] = Field(
        min_length=1, description="What is told, in each language."
    )
    place: tuple[PlaceSaid, ...] = Field(
        default=(), description="Shelters that are opened and what is closed."
    )
    surge: tuple[SurgeSaid, ...] = Field(
        default=(), description="Who answers lines meanwhile, also where they would be closed."
    )


@dataclass(frozen=True, slots=True)
class InForce:
    """An emergency as pages and decisions see it; ``tenant`` is the slug of whose it is."""

    tenant: str
    id: Any
    public_id: str
    kind: str
    drill: bool
    texts: Mapping[str, Mapping[str, str]] = field(compare=False)
    services: tuple[str, ...]
    articles: tuple[str, ...]
    places: tuple[Mapping[str, str], ...] = field(compare=False)
    surges: tuple[tuple[str, str], ...]
    started_at: datetime
    ends_at: datetime
    ended_at: datetime | None = None

    def on(self, at: datetime) -> bool:
        """Whether it is on at a moment; its end is no part of it."""
        return self.started_at <= at < (self.ended_at or self.ends_at)

    def concerns(self, tenant: str) -> bool:
        """Whether it is a partner's: its own, or the whole region's."""
        return self.tenant in (tenant, REGION)

    def said(self, language: str) -> tuple[str, Mapping[str, str]]:
        """What it says, with the language in which it says it: the one asked for, or English, or
        any.

        >>> storm = InForce("region", 1, "E-1", "storm", False, {"en": {"title": "Storm"}}, (), (),
        ...     (), (), datetime(2026, 1, 1), datetime(2026, 1, 2))
        >>> storm.said("es")
        ('en', {'title': 'Storm'})
        """
        for each in (language, "en", *self.texts):
            if each in self.texts:
                return each, self.texts[each]
        return language, {"title": self.kind, "text": ""}


def switched(emergencies: Iterable[InForce]) -> tuple[Surge, ...]:
    """The targets that emergencies put before fallbacks; a drill switches nothing."""
    return tuple(
        Surge(line, answer, each.started_at, each.ended_at or each.ends_at)
        for each in emergencies
        if not each.drill
        for line, answer in each.surges
    )


def surges_over(
    tables: Sequence[tuple[datetime, Iterable[tuple[str, str]]]], until: datetime
) -> tuple[Surge, ...]:
    """The targets that one emergency put before fallbacks, as its table was changed meanwhile.

    ``tables`` are what it said from each moment on, in order; each holds up to the next.

    >>> at = lambda hour: datetime(2026, 1, 1, hour)
    >>> tables = [(at(8), [("a/main", "b")]), (at(9), [("a/main", "c")]), (at(9), [])]
    >>> [(each.answer, each.ends_at.hour) for each in surges_over(tables, at(12))]
    [('b', 9)]
    """
    ends = [*(at for at, _table in tables[1:]), until]
    return tuple(
        Surge(line, answer, at, end)
        for (at, table), end in zip(tables, ends, strict=True)
        if at < end
        for line, answer in table
    )


def told(
    emergencies: Iterable[InForce], at: datetime, *, tenant: str, language: str
) -> list[tuple[str, str]]:
    """Give title and text of each real emergency that concerns a partner at a moment."""
    found = [
        each.said(language)[1]
        for each in emergencies
        if not each.drill and each.on(at) and each.concerns(tenant)
    ]
    return [(said["title"], said.get("text") or "") for said in found]


def seen_by(
    emergencies: Sequence[InForce], at: datetime, *, tenant: str | None, staff: bool
) -> list[InForce]:
    """Those that a page shows: real ones to everybody, drills to staff whom they concern.

    Real ones come first: what both name is no drill. ``tenant`` None is a page of the whole region,
    which shows those of every partner.
    """
    return real_first(
        each
        for each in emergencies
        if each.on(at)
        and (tenant is None or each.concerns(tenant))
        and (not each.drill or (staff and tenant is not None))
    )


def real_first(emergencies: Iterable[InForce]) -> list[InForce]:
    """Put drills behind what is real, each as they were."""
    return sorted(emergencies, key=lambda each: each.drill)
