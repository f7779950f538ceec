"""A month of contacts, drawn from the mix in `month.toml`: the same seed gives the same month.

Pure: what a line's hours are and who answers when it is closed is asked of the caller.
"""

from __future__ import annotations

import tomllib
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import accumulate
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from regional311.money import split


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """Who answers a line at a moment, and whether it is after its hours."""

    partner: str
    after_hours: bool


AnswerOf = Callable[[str, datetime], LineAnswer | None]
"""The line's `partner/key` and a moment to who answers then; None when nobody does."""


@dataclass(frozen=True, slots=True)
class DrawnContact:
    """One contact of the month, before anything is decided about it."""

    number: int
    started_at: datetime
    line: str
    answered_by: str
    after_hours: bool
    subject: str
    language: str
    seconds: int
    longitude: float
    latitude: float
    consents: bool
    danger: bool


class _Choice:
    """A weighted choice that costs one random number."""

    def __init__(self, weights: Mapping[Any, float]) -> None:
        self._values = list(weights)
        self._steps = list(accumulate(weights.values()))

    def draw(self, random: Random) -> Any:
        return self._values[bisect(self._steps, random.random() * self._steps[-1])]


class Month:
    """The mix of one month, read from its file."""

    def __init__(self, mix: Mapping[str, Any]) -> None:
        year, month = (int(part) for part in mix["period"].split("-"))
        self.period: str = mix["period"]
        self.zone = ZoneInfo(mix["zone"])
        self.start_on = date(year, month, 1)
        self.end_on = date(year + month // 12, month % 12 + 1, 1)
        self._seed: int = mix["seed"]
        self._lines = _Choice({each["line"]: each["share"] for each in mix["line"]})
        self._subjects_of = {each["line"]: each["subjects"] for each in mix["line"]}
        self._subjects = {name: _Choice(weights) for name, weights in mix["subjects"].items()}
        self._languages = _Choice(mix["languages"])
        self._hours: Mapping[str, Sequence[int]] = mix["hours"]
        self._seconds: Mapping[str, Sequence[float]] = mix["seconds"]
        self._areas = _Choice(
            {(*each["centre"], each["spread"]): each["weight"] for each in mix["area"]}
        )
        self._bridges: Sequence[Sequence[float]] = mix["bridges"]["places"]
        self._on_bridges = frozenset(mix["bridges"]["subjects"])
        self._consent: int = mix["people"]["consent"]
        self._danger: int = mix["people"]["danger"]

    @classmethod
    def example(cls, period: str | None = None) -> Month:
        """The month of the example region, or another (`2026-11`) in the same mix."""
        content = files("regional311.demo").joinpath("month.toml").read_text(encoding="utf-8")
        mix = tomllib.loads(content)
        return cls(mix if period is None else {**mix, "period": period})

    def contacts(
        self, count: int, answer_of: AnswerOf, channel_of: Mapping[str, str]
    ) -> Iterator[DrawnContact]:
        """Draw exactly `count` contacts in order of time, in bounded memory.

        `channel_of` maps a line's `partner/key` to its channel.
        """
        random = Random(self._seed)  # noqa: S311 - a demo must come out the same every time
        number = 0
        for slot, many in self._slots(count):
            offsets = sorted(random.random() * 3600 for _ in range(many))
            for offset in offsets:
                at = slot + timedelta(seconds=int(offset))
                number += 1
                yield self._draw(random, number, at, answer_of, channel_of)

    def _slots(self, count: int) -> Iterator[tuple[datetime, int]]:
        """Share the contacts out over the hours of the month, to the last one."""
        slots: list[datetime] = []
        weights: list[int] = []
        day = self.start_on
        while day < self.end_on:
            profile = self._hours["weekend" if day.weekday() >= 5 else "weekday"]
            for hour, weight in enumerate(profile):
                local = datetime(day.year, day.month, day.day, hour, tzinfo=self.zone)
                slots.append(local.astimezone(UTC))
                weights.append(weight)
            day += timedelta(days=1)
        yield from zip(slots, split(count, weights), strict=True)

    def _draw(
        self,
        random: Random,
        number: int,
        at: datetime,
        answer_of: AnswerOf,
        channel_of: Mapping[str, str],
    ) -> DrawnContact:
        while True:
            line = self._lines.draw(random)
            answer = answer_of(line, at)
            if answer is not None:
                break
        subject = self._subjects[self._subjects_of[line]].draw(random)
        if subject in self._on_bridges:
            longitude, latitude = random.choice(self._bridges)
        else:
            longitude, latitude, spread = self._areas.draw(random)
            longitude, latitude = random.gauss(longitude, spread), random.gauss(latitude, spread)
        middle, sigma = self._seconds.get(channel_of[line], (0, 0))
        seconds = int(random.lognormvariate(0, sigma) * middle) if middle else 0
        return DrawnContact(
            number=number,
            started_at=at,
            line=line,
            answered_by=answer.partner,
            after_hours=answer.after_hours,
            subject=subject,
            language=self._languages.draw(random),
            seconds=min(seconds, 7200),
            longitude=round(longitude, 6),
            latitude=round(latitude, 6),
            consents=random.randrange(1000) < self._consent,
            danger=random.randrange(1000) < self._danger,
        )
