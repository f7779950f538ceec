"""Business hours, billing periods and fiscal years in a partner's own zone.

Every interval is half-open: it holds its start and not its end. Opening hours are wall-clock
times of the zone; they are turned into instants day by day, so that a day of 23 or 25 hours is
counted as it was lived.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

from regional311.errors import DomainError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY = 24 * 60
DAYS_LOOKED_AHEAD = 3 * 366

_HOURS = re.compile(r"(\d{2}):(\d{2})-(\d{2}):(\d{2})")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_DAYS_KEPT = 4096


class BadHours(DomainError):
    """Opening hours are not two times of a day, or overlap."""


class BadPeriod(DomainError):
    """A period ends before it starts, or a month is not written as year and month."""


class NeverOpens(DomainError):
    """A calendar has no open hours within the next three years."""


class NaiveTime(DomainError):
    """An instant came without its zone."""


@dataclass(frozen=True, slots=True)
class Span:
    """Opening hours of one weekday, in minutes after local midnight; ``closes`` may be 1440."""

    opens: int
    closes: int

    def __post_init__(self) -> None:
        if not 0 <= self.opens < self.closes <= MINUTES_A_DAY:
            raise BadHours("Opening hours must end after they begin, within one day.")


def parse_hours(text: str) -> tuple[Span, ...]:
    """Read ``08:00-18:00``, ``00:00-24:00``, or hours over midnight, which give two spans.

    The second span of ``22:00-06:00`` belongs to the next day.

    :raises BadHours: when the text is not two times of a day.
    """
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise BadHours(f"Write opening hours as 08:00-18:00, not {text!r}.")
    hour, minute, to_hour, to_minute = (int(part) for part in found.groups())
    opens, closes = hour * 60 + minute, to_hour * 60 + to_minute
    if minute > 59 or to_minute > 59 or opens >= MINUTES_A_DAY or closes > MINUTES_A_DAY:
        raise BadHours(f"There is no such time of day as in {text!r}.")
    if opens == closes:
        raise BadHours(f"Opening hours {text!r} begin and end at the same minute.")
    if closes > opens:
        return (Span(opens, closes),)
    if closes == 0:
        return (Span(opens, MINUTES_A_DAY),)
    return (Span(opens, MINUTES_A_DAY), Span(0, closes))


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def instant(zone: str, day: date, minute: int = 0, *, last: bool = False) -> datetime:
    """The instant, in UTC, of a wall-clock minute of a local day.

    A minute that the clocks skip is the instant of the change; a minute that happens twice is
    its first occurrence, or with ``last`` its second. Minute 1440 is the next day's midnight.
    """
    tz = _zone(zone)
    day += timedelta(days=minute // MINUTES_A_DAY)
    minute %= MINUTES_A_DAY
    wall = datetime.combine(day, time(minute // 60, minute % 60), tz)
    first = wall.astimezone(UTC)
    second = wall.replace(fold=1).astimezone(UTC)
    if second < first:
        return _change_between(tz, second, first)
    return second if last else first


def _change_between(tz: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The instant at which the zone's offset changes, to the second."""
    offset = before.astimezone(tz).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(tz).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


@dataclass(frozen=True)
class BusinessCalendar:
    """When a partner is open: a zone, hours for each weekday (Monday first), holidays.

    ``holidays`` maps a date to the holiday's name; on these days ``on_holidays`` counts instead of
    the weekday's hours, and left out they are closed. Spans of one day must not overlap.
    """

    zone: str
    weekly: tuple[tuple[Span, ...], ...]
    holidays: Mapping[date, str] = field(default_factory=dict)
    on_holidays: tuple[Span, ...] = ()
    special: Mapping[date, tuple[Span, ...]] = field(default_factory=dict)
    """Days with hours of their own, holidays or not."""
    _days: dict[date, tuple[tuple[datetime, datetime], ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if len(self.weekly) != 7:
            raise BadHours("A week has seven days of opening hours.")
        _zone(self.zone)
        for spans in (*self.weekly, self.on_holidays, *self.special.values()):
            ordered = sorted(spans, key=lambda span: span.opens)
            for earlier, later in itertools.pairwise(ordered):
                if later.opens < earlier.closes:
                    raise BadHours("Opening hours of one day overlap.")

    @classmethod
    def from_week(
        cls,
        zone: str,
        week: Mapping[str, Iterable[str]],
        holidays: Mapping[date, str] | None = None,
        special: Mapping[date, Iterable[str]] | None = None,
    ) -> BusinessCalendar:
        """Build a calendar from ``{"mon": ["08:00-18:00"], ...}``; days left out are closed.

        The hours of ``holiday`` are those of each holiday; ``special`` days have their own, of
        which what lies after midnight counts at the day's beginning.

        :raises BadHours: for an unknown day or unreadable hours.
        """
        weekly: list[list[Span]] = [[] for _ in DAYS]
        on_holidays: list[Span] = []
        for name, texts in week.items():
            if name == "holiday":
                on_holidays = [span for text in texts for span in parse_hours(text)]
                continue
            if name not in DAYS:
                raise BadHours(f"There is no weekday {name!r}; use one of {', '.join(DAYS)}.")
            for text in texts:
                for shift, span in enumerate(parse_hours(text)):
                    weekly[(DAYS.index(name) + shift) % 7].append(span)
        return cls(
            zone,
            tuple(tuple(sorted(spans, key=lambda span: span.opens)) for spans in weekly),
            dict(holidays or {}),
            tuple(sorted(on_holidays, key=lambda span: span.opens)),
            {
                day: tuple(
                    sorted(
                        (span for text in texts for span in parse_hours(text)),
                        key=lambda span: span.opens,
                    )
                )
                for day, texts in (special or {}).items()
            },
        )

    def local_date(self, at: datetime) -> date:
        """The calendar day of an instant in this zone."""
        if at.tzinfo is None:
            raise NaiveTime("A time needs its zone.")
        return at.astimezone(_zone(self.zone)).date()

    def open_spans(self, day: date) -> tuple[tuple[datetime, datetime], ...]:
        """The open intervals of one local day as instants in UTC, in order and apart."""
        known = self._days.get(day)
        if known is None:
            if len(self._days) >= _DAYS_KEPT:
                self._days.clear()
            known = self._days[day] = tuple(self._spans(day))
        return known

    def _spans(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        spans = self.special.get(day)
        if spans is None:
            spans = self.on_holidays if day in self.holidays else self.weekly[day.weekday()]
        opened: datetime | None = None
        closed: datetime | None = None
        for span in sorted(spans, key=lambda item: item.opens):
            opens = instant(self.zone, day, span.opens)
            closes = instant(self.zone, day, span.closes, last=span.closes < MINUTES_A_DAY)
            if opened is not None and closed is not None:
                if opens <= closed:
                    closed = max(closed, closes)
                    continue
                yield opened, closed
            opened, closed = opens, closes
        if opened is not None and closed is not None and opened < closed:
            yield opened, closed

    def is_open(self, at: datetime) -> bool:
        """Whether the partner is open at an instant; a closing time is already closed."""
        return any(opens <= at < closes for opens, closes in self.open_spans(self.local_date(at)))

    def after_hours(self, at: datetime) -> bool:
        """Whether work at an instant is outside business hours, as rates see it."""
        return not self.is_open(at)

    def _spans_from(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """Open intervals from a local day on; raises when three years in a row are closed."""
        closed_days = 0
        while closed_days < DAYS_LOOKED_AHEAD:
            spans = self.open_spans(day)
            yield from spans
            closed_days = 0 if spans else closed_days + 1
            day += timedelta(days=1)
        raise NeverOpens("This calendar has no open hours for three years.")

    def next_opening(self, at: datetime) -> datetime:
        """The instant itself when open, otherwise the next one at which the doors open.

        :raises NeverOpens: when there is none within three years.
        """
        at = at.astimezone(UTC)
        return next(
            max(at, opens) for opens, closes in self._spans_from(self.local_date(at)) if at < closes
        )

    def add_business_hours(self, start: datetime, hours: int | Fraction | timedelta) -> datetime:
        """The first instant by which that much open time has passed since ``start``.

        Eight hours from an opening of eight hours end at its closing, not at the next opening;
        zero hours end at once.

        :raises NeverOpens: when three years in a row are closed.
        :raises BadHours: when the time to add is negative.
        """
        left = hours if isinstance(hours, timedelta) else _duration(hours)
        if left < timedelta(0):
            raise BadHours("Business hours to add cannot be negative.")
        at = start.astimezone(UTC)
        if not left:
            return at
        spans = self._spans_from(self.local_date(at))
        while True:
            opens, closes = next(spans)
            begins = max(at, opens)
            if begins >= closes:
                continue
            if closes - begins >= left:
                return begins + left
            left -= closes - begins

    def business_time(self, start: datetime, end: datetime) -> timedelta:
        """How much open time lies between two instants; negative when they come in reverse."""
        if end < start:
            return -self.business_time(end, start)
        # within one zone Python subtracts wall clocks, which miss the hour of a clock change
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        total = timedelta(0)
        day, last = self.local_date(start), self.local_date(end)
        while day <= last:
            for opens, closes in self.open_spans(day):
                total += max(timedelta(0), min(end, closes) - max(start, opens))
            day += timedelta(days=1)
        return total


def _duration(hours: int | Fraction) -> timedelta:
    exact = Fraction(hours) * 3_600_000_000
    return timedelta(microseconds=round(exact))


@dataclass(frozen=True, order=True, slots=True)
class Period:
    """A run of whole local days: ``start_on`` belongs to it, ``end_on`` no longer does."""

    start_on: date
    end_on: date

    def __post_init__(self) -> None:
        if self.end_on <= self.start_on:
            raise BadPeriod("A period must end after it starts.")

    @classmethod
    def of(cls, year: int, month: int) -> Period:
        """One calendar month.

        >>> Period.of(2026, 12).end_on
        datetime.date(2027, 1, 1)
        """
        if not (1 <= month <= 12 and date.min.year <= year < date.max.year):
            raise BadPeriod("Write a month as year and month, for example 2026-10.")
        return cls(date(year, month, 1), _first_of_month(year, month + 1))

    @classmethod
    def month_of(cls, day: date) -> Period:
        """The calendar month a day lies in."""
        return cls.of(day.year, day.month)

    @classmethod
    def month(cls, text: str) -> Period:
        """Read ``2026-10``.

        :raises BadPeriod: for anything else.
        """
        found = _MONTH.fullmatch(text.strip())
        if found is None:
            raise BadPeriod(f"Write a month as year and month, for example 2026-10, not {text!r}.")
        return cls.of(int(found[1]), int(found[2]))

    @property
    def is_month(self) -> bool:
        """Whether this is exactly one calendar month."""
        return self.start_on.day == 1 and self == Period.month_of(self.start_on)

    @property
    def label(self) -> str:
        """``2026-10`` for a month, otherwise first and last day."""
        if self.is_month:
            return f"{self.start_on:%Y-%m}"
        return f"{self.start_on.isoformat()}..{(self.end_on - timedelta(days=1)).isoformat()}"

    def __contains__(self, day: date) -> bool:
        return self.start_on <= day < self.end_on

    def overlaps(self, other: Period) -> bool:
        """Whether the two share a day."""
        return self.start_on < other.end_on and other.start_on < self.end_on

    def next(self) -> Period:
        """The period that follows without a gap: the next month, or as many days again."""
        if self.is_month:
            return Period.month_of(self.end_on)
        return Period(self.end_on, self.end_on + (self.end_on - self.start_on))

    def previous(self) -> Period:
        """The period before without a gap: the month before, or as many days."""
        if self.is_month:
            return Period.month_of(self.start_on - timedelta(days=1))
        return Period(self.start_on - (self.end_on - self.start_on), self.start_on)

    def bounds(self, zone: str) -> tuple[datetime, datetime]:
        """First instant, and first instant after, in UTC, of this period in a zone."""
        return instant(zone, self.start_on), instant(zone, self.end_on)

    def months(self) -> Iterator[Period]:
        """The calendar months of a period that consists of whole months, in order.

        :raises BadPeriod: when it does not.
        """
        if self.start_on.day != 1 or self.end_on.day != 1:
            raise BadPeriod("Only a period of whole months has months.")
        month = Period.month_of(self.start_on)
        while month.start_on < self.end_on:
            yield month
            month = month.next()


def _first_of_month(year: int, month: int) -> date:
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)


def fiscal_year(day: date, first_month: int = 7) -> Period:
    """The fiscal year a day lies in; in Oregon it runs from July 1 to June 30.

    >>> fiscal_year(date(2026, 10, 5))
    Period(start_on=datetime.date(2026, 7, 1), end_on=datetime.date(2027, 7, 1))
    """
    if not 1 <= first_month <= 12:
        raise BadPeriod("A fiscal year starts in one of twelve months.")
    year = day.year if day.month >= first_month else day.year - 1
    return Period(date(year, first_month, 1), date(year + 1, first_month, 1))


def fiscal_year_label(day: date, first_month: int = 7) -> str:
    """The fiscal year's name: both calendar years it touches.

    >>> fiscal_year_label(date(2026, 10, 5)), fiscal_year_label(date(2026, 6, 30))
    ('FY 2026-27', 'FY 2025-26')
    """
    year = fiscal_year(day, first_month)
    last = year.end_on - timedelta(days=1)
    if last.year == year.start_on.year:
        return f"FY {last.year}"
    return f"FY {year.start_on.year}-{last.year % 100:02d}"


def month_of_fiscal_year(day: date, first_month: int = 7) -> int:
    """Which month of its fiscal year a day lies in, from 0 to 11."""
    return (day.month - first_month) % 12
