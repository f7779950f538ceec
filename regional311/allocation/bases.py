"""What costs are divided by: the weights that the snapshots of a base make.

A snapshot holds readings by target as they were known once. A plain base uses its newest; a rolling
one averages the newest of each of its last quarters; a mix weighs the shares that other bases make.
"Newest" is the latest day that readings tell of and, for that day, the highest number.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from regional311.errors import InvalidInput

KINDS = (
    "fixed",
    "equal",
    "fte",
    "budget",
    "population",
    "assessed_value",
    "contact_count",
    "handle_minutes",
    "mix",
)
COUNTED = ("contact_count", "handle_minutes")
"""Kinds whose readings are counted from recorded work."""
COUNTS = ("bureaus", "partners", "all")
"""Whose contacts a counted base counts."""

POOL = "pool:"
"""What the name of a target begins with when it is itself a pool."""

LONGEST_KEY = 60
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_WORDS_OF_PAGES = ("new", "methods", "flow", "edit", "proposals")
_READING = re.compile(r"\d{1,15}(\.\d{1,6})?")
_TARGET = re.compile(r"((bureau|outside|pool):)?[a-z0-9]+(-[a-z0-9]+)*")


class BadReading(InvalidInput):
    """A reading is not a plain number, or its target has no name that could be a target's."""


class BadKey(InvalidInput):
    """A text is not a key."""


class BaseWithoutReadings(InvalidInput):
    """A base has no snapshot yet, or a part of a mix reads nothing but zeros."""


class MixGoesRound(InvalidInput):
    """A mix has itself as a part, or its percentages do not make 100."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Readings of a base: `as_of` is the last day they tell of."""

    number: int
    as_of: date
    source: str
    readings: Mapping[str, Decimal]
    digest: str = ""

    @property
    def name(self) -> dict[str, Any]:
        """What names it in an explanation, as plain values."""
        return {
            "number": self.number,
            "as_of": self.as_of.isoformat(),
            "source": self.source,
            "digest": self.digest,
        }


@dataclass(frozen=True, slots=True)
class Base:
    """A version of a base with the base's snapshots; `parts` are the other bases of a mix with
    their percentages.
    """

    key: str
    name: str
    kind: str
    snapshots: Sequence[Snapshot] = ()
    rolling_quarters: int | None = None
    parts: Mapping[str, Decimal] = field(default_factory=dict)
    counts: str | None = None
    note: str | None = None
    number: int = 1
    valid_from: date | None = None
    """Months that end on this day or later are divided by it; none: every month."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of each target, and where the weights came from as plain values."""

    by_target: Mapping[str, Fraction]
    basis: dict[str, Any]


def read_readings(said: Mapping[str, str]) -> dict[str, Decimal]:
    """Read readings as people and files write them.

    :raises BadReading: naming the target.

    >>> read_readings({"bureau:water": "340000", "multnomah-county": "0.5"})["bureau:water"]
    Decimal('340000')
    """
    if not said:
        raise BadReading("A snapshot needs at least one reading.", field="readings")
    found = {}
    for target, text in said.items():
        check_target(target, field="readings")
        if _READING.fullmatch(text) is None or not text.isascii():
            raise BadReading(
                f"The reading of {target} must be a number such as 1500 or 0.5, not {text}.",
                field="readings",
            )
        found[target] = Decimal(text)
    return found


def check_key(key: str, *, field: str = "key") -> None:
    """Refuse what cannot be a key.

    :raises BadKey: in words that say what is allowed.
    """
    if len(key) > LONGEST_KEY or _KEY.fullmatch(key) is None or key in _WORDS_OF_PAGES:
        raise BadKey(
            "A key is lower case letters, digits and hyphens, at most 60, and not the name of a"
            " page such as new.",
            field=field,
        )


def check_target(target: str, *, field: str) -> None:
    """Refuse a name that could not be a target's.

    :raises BadReading: naming it and what is allowed.
    """
    if _TARGET.fullmatch(target) is None:
        raise BadReading(
            f"{target} is not a target: name a partner, bureau:<key>, outside:<key> or pool:<key>.",
            field=field,
        )


def readings_text(readings: Mapping[str, Decimal]) -> dict[str, str]:
    """Write readings as they are stored: plain decimal text, by target in order.

    >>> readings_text({"b": Decimal("2.500"), "a": Decimal("1E+2")})
    {'a': '100', 'b': '2.5'}
    """
    return {target: plain(readings[target]) for target in sorted(readings)}


def plain(number: Decimal) -> str:
    """A decimal without an exponent and without closing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def snapshot_digest(as_of: date, source: str, readings: Mapping[str, Decimal]) -> str:
    """Return the SHA-256 by which a snapshot is known to be the same."""
    content = [as_of.isoformat(), source, readings_text(readings)]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def newest(snapshots: Iterable[Snapshot], before: date) -> Snapshot | None:
    """The newest snapshot that tells of nothing on or after a day."""
    known = [each for each in snapshots if each.as_of < before]
    return max(known, key=lambda each: (each.as_of, each.number), default=None)


def holding(versions: Iterable[Base], before: date | None = None) -> dict[str, Base]:
    """The version of each base that holds for days before one: the newest that has begun by then.

    Without a day, the newest. A base whose every version begins later is not there.

    >>> first, second = Base("a", "A", "fte"), Base("a", "A", "equal", number=2,
    ...     valid_from=date(2027, 1, 1))
    >>> [holding([first, second], day)["a"].number for day in (date(2027, 1, 1), date(2027, 2, 1))]
    [1, 2]
    """
    found: dict[str, Base] = {}
    for each in sorted(versions, key=lambda one: (one.key, one.number)):
        if before is None or each.valid_from is None or each.valid_from < before:
            found[each.key] = each
    return found


def weights(base: Base, every: Mapping[str, Base], before: date) -> Weights:
    """What a base says on the day `before`, from the snapshots that tell of earlier days.

    :raises BaseWithoutReadings: when it has none, or a part of a mix reads only zeros.
    :raises MixGoesRound: when a mix has itself as a part or its parts do not make 100 %.

    Source: Snohomish County 911, 54 % calls over eight quarters, 23 % assessed value, 23 %
    population.
    """
    return _weights(base, every, before, ())


def _weights(
    base: Base, every: Mapping[str, Base], before: date, above: tuple[str, ...]
) -> Weights:
    about: dict[str, Any] = {"key": base.key, "name": base.name, "kind": base.kind}
    if base.number > 1:
        about["version"] = base.number
    if base.kind == "mix":
        return _mixed(base, every, before, above, about)
    if base.rolling_quarters is None:
        last = newest(base.snapshots, before)
        used = [] if last is None else [last]
    else:
        used = _of_quarters(base.snapshots, before, base.rolling_quarters)
        about["rolling_quarters"] = base.rolling_quarters
    if not used:
        raise BaseWithoutReadings(
            f"The base {base.name} has no readings from before {before}.", field=base.key
        )
    totals: dict[str, Fraction] = {}
    for each in used:
        for target, reading in each.readings.items():
            totals[target] = totals.get(target, Fraction(0)) + Fraction(reading)
    average = {target: total / len(used) for target, total in totals.items()}
    about["snapshots"] = [each.name for each in used]
    about["readings"] = {target: fraction_text(average[target]) for target in sorted(average)}
    return Weights(average, about)


def _of_quarters(snapshots: Iterable[Snapshot], before: date, quarters: int) -> list[Snapshot]:
    """The newest snapshot of each of the last quarters that have one, the latest first."""
    by_quarter: dict[tuple[int, int], Snapshot] = {}
    for each in sorted(snapshots, key=lambda one: (one.as_of, one.number)):
        if each.as_of < before:
            by_quarter[each.as_of.year, (each.as_of.month - 1) // 3] = each
    return [by_quarter[quarter] for quarter in sorted(by_quarter, reverse=True)[:quarters]]


def _mixed(
    base: Base,
    every: Mapping[str, Base],
    before: date,
    above: tuple[str, ...],
    about: dict[str, Any],
) -> Weights:
    if base.key in above:
        raise MixGoesRound(f"The base {base.name} is a part of itself.", field=base.key)
    check_mix(base.name, base.parts)
    shares: dict[str, Fraction] = {}
    about["parts"] = []
    for key in sorted(base.parts):
        if key not in every:
            raise BaseWithoutReadings(f"There is no base {key}.", field=base.key)
        part = _weights(every[key], every, before, (*above, base.key))
        whole = sum(part.by_target.values(), Fraction(0))
        if whole == 0:
            raise BaseWithoutReadings(
                f"The base {every[key].name}, a part of {base.name}, reads only zeros.",
                field=base.key,
            )
        for target, weight in part.by_target.items():
            share = Fraction(base.parts[key]) * weight / whole
            shares[target] = shares.get(target, Fraction(0)) + share
        about["parts"].append({"percent": plain(base.parts[key]), "base": part.basis})
    about["readings"] = {target: fraction_text(shares[target]) for target in sorted(shares)}
    return Weights(shares, about)


def check_mix(name: str, parts: Mapping[str, Decimal]) -> None:
    """Refuse a mix whose percentages do not make exactly 100.

    :raises MixGoesRound: naming what they make.
    """
    whole = sum(parts.values(), Decimal(0))
    if whole != 100:
        raise MixGoesRound(f"The parts of {name} make {plain(whole)} %, not 100 %.", field="parts")


def fraction_text(number: Fraction) -> str:
    """An exact number as text: a decimal when it ends within six places, otherwise a fraction.

    >>> fraction_text(Fraction(5, 2)), fraction_text(Fraction(1, 3))
    ('2.5', '1/3')
    """
    if 10**6 % number.denominator == 0:
        return plain(Decimal(number.numerator * (10**6 // number.denominator)).scaleb(-6))
    return f"{number.numerator}/{number.denominator}"
