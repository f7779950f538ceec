"""How much some work costs under a rate: charge models, surcharges and phase-in, as pure rules.

A rate of the table `rates` says it in four columns; amounts, quantities and percentages in the JSON
are decimal text of at most six places, days are ISO text, and keys that are not named here are
refused:

`model` and `steps`
    ``unit``: `amount` dollars for each unit; `steps` is null.
    ``graduated``: each unit at the price of the tier it falls in, and each tier that is reached
    adds its flat fee; `amount` repeats the first tier's price.
    ``{"tiers": [{"up_to": "10", "price": "10", "flat": "2"}, {"price": "5", "flat": "3"}]}``;
    `up_to` belongs to its tier, the last tier has none, `flat` may be left out.
    ``volume``: the whole quantity at the price of the tier that the total falls in, and that
    tier's flat fee; `steps` as before.
    ``package``: `amount` dollars for each package of `size` units that is begun, after `free`
    units. ``{"size": "100", "free": "100"}``; `free` may be left out.
    ``percentage``: `amount` per cent of the quantity, which is an amount in dollars, for each
    piece of work at least `floor` and at most `cap` dollars. ``{"floor": "0.50", "cap": "20"}``;
    both may be left out.
`surcharges`
    ``[{"key": "after-hours", "hours": "after", "percent": "25"},
    {"key": "spanish", "languages": ["es"], "amount": "0.40"}]``: added when the work fits `hours`
    (business or after) and is in one of `languages`; at least one of the two is said, and exactly
    one of `percent` (of the price before surcharges) and `amount` (dollars a unit).
`phases`
    ``[{"from": "2026-07-01", "percent": "16.667"}, {"from": "2027-07-01", "percent": "33.333"}]``:
    from that day on this part of the price, surcharges included, is charged; on days before the
    first phase the whole price is.

Prices and charges are rounded to a millionth of a dollar, half away from zero; only statement lines
have cents. Graduated, volume and package prices depend on how much was done before: they are
reckoned over all work that one rate prices for one payer in a run (a *ladder*), in the order in
which the work was done. What a piece of work costs is what it adds to the total, so that the pieces
sum exactly, and a reversal, which has a negative quantity, takes back exactly what the last units
cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import pairwise
from typing import Any

from regional311.errors import InvalidInput

MODELS = ("unit", "graduated", "volume", "package", "percentage")
LADDERS = ("graduated", "volume", "package")
"""Models whose price depends on the quantity of all work together."""
HOURS = ("business", "after")

MICRO = Decimal("0.000001")
"""Charges are kept to a millionth of a dollar; only statement lines have cents."""

NOTHING = Decimal(0)
_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,6})?")
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MOST_STEPS = 50


class BadTariff(InvalidInput):
    """What a charge model needs is missing, does not fit it, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A stretch of quantities: up to `up_to`, which belongs to it; None is the last one."""

    up_to: Decimal | None
    price: Decimal
    flat: Decimal = NOTHING


@dataclass(frozen=True, slots=True)
class Surcharge:
    """What is added to the price of some work: a percentage of it, or an amount a unit."""

    key: str
    hours: str | None = None
    languages: tuple[str, ...] = ()
    percent: Decimal | None = None
    amount: Decimal | None = None

    def applies(self, language: str, after_hours: bool) -> bool:
        """Whether work in this language, after hours or not, bears it.

        >>> Surcharge("night", hours="after", percent=Decimal(25)).applies("en", True)
        True
        """
        return self.hours in (None, "after" if after_hours else "business") and (
            not self.languages or language in self.languages
        )


@dataclass(frozen=True, slots=True)
class Phase:
    """The part of the price that is charged from a day on, as a percentage."""

    from_on: date
    percent: Decimal


@dataclass(frozen=True, slots=True)
class Done:
    """A piece of work as far as the amount of its charge is concerned; `units` are counted."""

    units: Decimal
    language: str
    after_hours: bool
    done_on: date


@dataclass(frozen=True, slots=True)
class Tariff:
    """How a rate turns quantities into dollars."""

    amount: Decimal
    model: str = "unit"
    tiers: tuple[Tier, ...] = ()
    size: Decimal = Decimal(1)
    free: Decimal = NOTHING
    floor: Decimal | None = None
    cap: Decimal | None = None
    surcharges: tuple[Surcharge, ...] = ()
    phases: tuple[Phase, ...] = ()

    @classmethod
    def of(
        cls,
        amount: Decimal,
        model: str = "unit",
        steps: Mapping[str, Any] | None = None,
        surcharges: Sequence[Mapping[str, Any]] = (),
        phases: Sequence[Mapping[str, Any]] = (),
    ) -> Tariff:
        """Read the columns of a rate.

        :raises BadTariff: naming what is wrong, with the path to it as `field`.

        >>> Tariff.of(Decimal(5), "package", {"size": "100", "free": "100"}).total(Decimal(201))
        Decimal('10.000000')
        """
        if model not in MODELS:
            raise BadTariff(f"There is no charge model {model!r}.", field="model")
        return cls(
            amount=amount,
            model=model,
            **_steps_of(model, steps),
            surcharges=_surcharges_of(surcharges),
            phases=_phases_of(phases),
        )

    @property
    def is_ladder(self) -> bool:
        """Whether a price depends on how much other work there is."""
        return self.model in LADDERS

    def part(self, day: date) -> Decimal:
        """The part of the price that is charged for work of a day: 1 is all of it."""
        begun = [phase for phase in self.phases if phase.from_on <= day]
        return begun[-1].percent / 100 if begun else Decimal(1)

    def added(self, language: str, after_hours: bool) -> tuple[Decimal, Decimal]:
        """The surcharges on some work: a fraction of the price, and dollars a unit."""
        found = [each for each in self.surcharges if each.applies(language, after_hours)]
        return (
            sum((each.percent / 100 for each in found if each.percent is not None), NOTHING),
            sum((each.amount for each in found if each.amount is not None), NOTHING),
        )

    def unit_price(self, language: str, after_hours: bool, day: date) -> Decimal:
        """The price of one unit under the unit model, surcharges and phase included.

        >>> dakota = Tariff.of(Decimal(6), phases=[{"from": "2026-07-01", "percent": "16.667"}])
        >>> dakota.unit_price("en", False, date(2026, 10, 1))
        Decimal('1.000020')
        """
        fraction, each = self.added(language, after_hours)
        with localcontext(prec=60):
            return to_micro((self.amount * (1 + fraction) + each) * self.part(day))

    def total(self, quantity: Decimal) -> Decimal:
        """What a quantity costs altogether, without surcharges and phases.

        Nothing done still owes the flat fee of the first tier reached; a negative quantity is
        the mirror image of the positive one.
        """
        sign = -1 if quantity < 0 else 1
        return to_micro(sign * self._of(abs(quantity)))

    def _of(self, quantity: Decimal) -> Decimal:
        with localcontext(prec=60):
            match self.model:
                case "graduated":
                    return graduated(self.tiers, quantity)
                case "volume":
                    return volume(self.tiers, quantity)
                case "package":
                    return self.amount * packages(quantity, self.size, self.free)
                case "percentage":
                    return percentage(self.amount, quantity, self.floor, self.cap)
                case _:
                    return self.amount * quantity

    def charges(self, works: Sequence[Done]) -> list[Decimal]:
        """What each piece of work costs, in the order in which it was done.

        `works` are all pieces of a ladder. Work that was taken back entirely costs nothing, flat
        fees included.
        """
        costs: list[Decimal] = []
        before = NOTHING
        whole = sum((work.units for work in works), NOTHING)
        with localcontext(prec=60):
            for work in works:
                if self.model == "unit":
                    price = self.unit_price(work.language, work.after_hours, work.done_on)
                    costs.append(to_micro(price * work.units))
                    continue
                if self.model == "percentage":
                    base = self._reached(work.units)
                elif self.model == "volume":
                    tier = tier_of(self.tiers, abs(whole))
                    step = _sign(before + work.units) - _sign(before)
                    base = tier.price * work.units + step * tier.flat
                else:
                    base = self._reached(before + work.units) - self._reached(before)
                before += work.units
                fraction, each = self.added(work.language, work.after_hours)
                cost = base * (1 + fraction) + each * work.units
                costs.append(to_micro(cost * self.part(work.done_on)))
        return costs

    def _reached(self, quantity: Decimal) -> Decimal:
        """What has come together at a quantity, to a millionth; nothing at zero."""
        if quantity == 0:
            return NOTHING
        return to_micro(self._of(abs(quantity)).copy_sign(quantity))


def to_micro(amount: Decimal) -> Decimal:
    """Round to a millionth, half away from zero, as PostgreSQL rounds `numeric`."""
    with localcontext(prec=60):
        return amount.quantize(MICRO, ROUND_HALF_UP)


def tier_of(tiers: Sequence[Tier], quantity: Decimal) -> Tier:
    """The tier that a quantity falls in; a boundary belongs to the tier below it."""
    return next(tier for tier in tiers if tier.up_to is None or quantity <= tier.up_to)


def graduated(tiers: Sequence[Tier], quantity: Decimal) -> Decimal:
    """Each unit at the price of its tier; each tier that is reached adds its flat fee.

    Source: Lago, graduated charges: 0-10 at 10 and 2, 11-20 at 5 and 3, from 21 at 5 and 3.

    >>> lago = [Tier(Decimal(10), Decimal(10), Decimal(2)), Tier(None, Decimal(5), Decimal(3))]
    >>> [int(graduated(lago, Decimal(q))) for q in (0, 1, 10, 11)]
    [2, 12, 102, 110]
    """
    cost = below = NOTHING
    for number, tier in enumerate(tiers):
        if number and quantity <= below:
            break
        top = quantity if tier.up_to is None else min(quantity, tier.up_to)
        cost += tier.flat + tier.price * (top - below)
        if tier.up_to is None:
            break
        below = tier.up_to
    return cost


def _sign(quantity: Decimal) -> int:
    return (quantity > 0) - (quantity < 0)


def volume(tiers: Sequence[Tier], quantity: Decimal) -> Decimal:
    """The whole quantity at the price of its tier, and that tier's flat fee.

    >>> volume([Tier(None, Decimal("0.0006"), Decimal(10))], Decimal(65000))
    Decimal('49.0000')
    """
    tier = tier_of(tiers, quantity)
    return tier.price * quantity + tier.flat


def packages(quantity: Decimal, size: Decimal, free: Decimal) -> int:
    """How many packages are begun by a quantity after the free units.

    >>> packages(Decimal(201), Decimal(100), Decimal(100))
    2
    """
    whole, begun = divmod(max(NOTHING, quantity - free), size)
    return int(whole) + (begun > 0)


def percentage(
    percent: Decimal, base: Decimal, floor: Decimal | None, cap: Decimal | None
) -> Decimal:
    """A percentage of an amount, at least the floor and at most the cap.

    >>> percentage(Decimal(3), Decimal(10), Decimal("0.50"), Decimal(2))
    Decimal('0.50')
    """
    cost = percent * base / 100
    if floor is not None:
        cost = max(cost, floor)
    return cost if cap is None else min(cost, cap)


def shortfall(used: Decimal, minimum: Decimal) -> Decimal:
    """What tops usage up to an agreed minimum, in whatever both are counted.

    >>> shortfall(Decimal(50), Decimal(100))
    Decimal('50')
    """
    return max(NOTHING, minimum - used)


def _steps_of(model: str, steps: Mapping[str, Any] | None) -> dict[str, Any]:
    if model == "unit":
        if steps is not None:
            raise BadTariff("A price by the unit has no steps.", field="steps")
        return {}
    if not isinstance(steps, Mapping):
        raise BadTariff(f"A {model} price needs steps.", field="steps")
    if model in ("graduated", "volume"):
        _only(steps, {"tiers"}, "steps")
        return {"tiers": _tiers_of(steps.get("tiers"))}
    if model == "package":
        _only(steps, {"size", "free"}, "steps")
        size = _decimal(steps.get("size"), "steps.size")
        if size <= 0:
            raise BadTariff("A package has more than no units.", field="steps.size")
        return {"size": size, "free": _decimal(steps.get("free", "0"), "steps.free")}
    _only(steps, {"floor", "cap"}, "steps")
    bounds = {
        name: None if steps.get(name) is None else _decimal(steps[name], f"steps.{name}")
        for name in ("floor", "cap")
    }
    floor, cap = bounds["floor"], bounds["cap"]
    if floor is not None and cap is not None and floor > cap:
        raise BadTariff("The floor is above the cap.", field="steps.floor")
    return bounds


def _tiers_of(said: Any) -> tuple[Tier, ...]:
    if not isinstance(said, list) or not 1 <= len(said) <= _MOST_STEPS:
        raise BadTariff(f"There must be 1 to {_MOST_STEPS} tiers.", field="steps.tiers")
    tiers = []
    for number, each in enumerate(said, 1):
        field = f"steps.tiers[{number}]"
        if not isinstance(each, Mapping):
            raise BadTariff("A tier has a price and says up to which quantity.", field=field)
        _only(each, {"up_to", "price", "flat"}, field)
        up_to = each.get("up_to")
        if (up_to is None) != (number == len(said)):
            raise BadTariff(
                "Every tier but the last says up to which quantity; the last one has no end.",
                field=f"{field}.up_to",
            )
        tiers.append(
            Tier(
                None if up_to is None else _decimal(up_to, f"{field}.up_to"),
                _decimal(each.get("price"), f"{field}.price"),
                _decimal(each.get("flat", "0"), f"{field}.flat"),
            )
        )
    below = NOTHING
    for number, tier in enumerate(tiers, 1):
        if tier.up_to is not None and tier.up_to <= below:
            raise BadTariff(
                "Each tier ends above the one before it.", field=f"steps.tiers[{number}].up_to"
            )
        below = tier.up_to or below
    return tuple(tiers)


def _surcharges_of(said: Sequence[Mapping[str, Any]]) -> tuple[Surcharge, ...]:
    if not isinstance(said, list | tuple) or len(said) > _MOST_STEPS:
        raise BadTariff(f"There are at most {_MOST_STEPS} surcharges.", field="surcharges")
    found: list[Surcharge] = []
    for number, each in enumerate(said, 1):
        field = f"surcharges[{number}]"
        if not isinstance(each, Mapping):
            raise BadTariff("A surcharge says when it applies, and how much it is.", field=field)
        _only(each, {"key", "hours", "languages", "percent", "amount"}, field)
        key, hours, languages = each.get("key"), each.get("hours"), each.get("languages") or []
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise BadTariff("A surcharge has a key of small letters.", field=f"{field}.key")
        if key in {other.key for other in found}:
            raise BadTariff(f"There are two surcharges {key}.", field=f"{field}.key")
        if hours not in (None, *HOURS):
            raise BadTariff("The hours are business or after.", field=f"{field}.hours")
        if not isinstance(languages, list | tuple) or not all(
            isinstance(code, str) and code for code in languages
        ):
            raise BadTariff("Languages are a list of codes.", field=f"{field}.languages")
        if hours is None and not languages:
            raise BadTariff("A surcharge is for some hours or languages.", field=f"{field}.hours")
        if (each.get("percent") is None) == (each.get("amount") is None):
            raise BadTariff("A surcharge is a percentage or an amount.", field=f"{field}.percent")
        name = "amount" if each.get("percent") is None else "percent"
        much = _decimal(each[name], f"{field}.{name}")
        if much <= 0:
            raise BadTariff("A surcharge is more than zero.", field=f"{field}.{name}")
        found.append(Surcharge(key, hours, tuple(languages), **{name: much}))
    return tuple(found)


def _phases_of(said: Sequence[Mapping[str, Any]]) -> tuple[Phase, ...]:
    if not isinstance(said, list | tuple) or len(said) > _MOST_STEPS:
        raise BadTariff(f"There are at most {_MOST_STEPS} phases.", field="phases")
    found = []
    for number, each in enumerate(said, 1):
        field = f"phases[{number}]"
        if not isinstance(each, Mapping):
            raise BadTariff("A phase has a day and a percentage.", field=field)
        _only(each, {"from", "percent"}, field)
        try:
            day = date.fromisoformat(each.get("from") or "")
        except (TypeError, ValueError):
            raise BadTariff("Write the day as 2026-07-01.", field=f"{field}.from") from None
        percent = _decimal(each.get("percent"), f"{field}.percent")
        if percent > 100:
            raise BadTariff("A phase is at most 100 percent.", field=f"{field}.percent")
        found.append(Phase(day, percent))
    for number, (one, two) in enumerate(pairwise(found), 2):
        if two.from_on <= one.from_on:
            raise BadTariff(
                "Each phase begins after the one before it.", field=f"phases[{number}].from"
            )
    return tuple(found)


def _only(said: Mapping[str, Any], allowed: Iterable[str], field: str) -> None:
    if unknown := sorted(set(said) - set(allowed)):
        raise BadTariff(f"{unknown[0]!r} does not belong here.", field=f"{field}.{unknown[0]}")


def _decimal(said: Any, field: str) -> Decimal:
    if not isinstance(said, str) or not said.isascii() or _DECIMAL.fullmatch(said) is None:
        raise BadTariff("Write a number as text with at most six decimal places.", field=field)
    return Decimal(said)
