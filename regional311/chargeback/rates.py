"""Which rate prices a piece of work, and what is wrong with a list of rates.

The database resolves rates set by set; `resolve` says the same for one piece of work, in the words
the rating must agree with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

from regional311.chargeback.charge_models import MICRO, Tariff


@dataclass(frozen=True, slots=True)
class Scope:
    """The work a rate is meant for; None means any, `hours` is any, business or after."""

    card: str
    activity: str
    service: str | None = None
    language: str | None = None
    channel: str | None = None
    hours: str = "any"

    @property
    def specificity(self) -> int:
        """How particular the scope is: service before language before channel before hours.

        No two different scopes that fit the same work have the same number, so one rate wins.

        >>> Scope("card", "contact_handled", service="pothole").specificity
        8
        """
        return (
            8 * (self.service is not None)
            + 4 * (self.language is not None)
            + 2 * (self.channel is not None)
            + (self.hours != "any")
        )


@dataclass(frozen=True, slots=True)
class Price:
    """A rate: dollars for each unit in a scope, from a day on until another (exclusive)."""

    key: str
    scope: Scope
    amount: Decimal
    valid_from: date
    valid_to: date | None = None
    unit: str = "each"
    tariff: Tariff | None = None
    """How quantities become dollars; None is so much a unit."""

    def valid_on(self, day: date) -> bool:
        """Whether it holds on a day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True, slots=True)
class Work:
    """What a usage event says about the work, as far as its price is concerned."""

    activity: str
    channel: str
    language: str
    after_hours: bool
    service: str | None
    done_on: date
    """The provider's local day of the work."""


@dataclass(frozen=True, slots=True)
class RateProblem:
    """Two rates of one scope that meet at the same time, or leave days without a price."""

    kind: str
    """overlap or gap."""
    keys: tuple[str, str]
    from_on: date
    to_on: date | None
    """Exclusive; None when there is no end."""

    @property
    def message(self) -> str:
        """One sentence for the person who wrote the rates."""
        first, second = self.keys
        until = "on" if self.to_on is None else f"to {self.to_on} (exclusive)"
        if self.kind == "overlap":
            return f"Rates {first} and {second} both hold from {self.from_on} {until}."
        return f"Between rates {first} and {second} nothing holds from {self.from_on} {until}."


def fits(scope: Scope, card: str, work: Work) -> bool:
    """Whether a rate of this scope may price the work."""
    return (
        scope.card == card
        and scope.activity == work.activity
        and scope.service in (None, work.service)
        and scope.language in (None, work.language)
        and scope.channel in (None, work.channel)
        and scope.hours in ("any", "after" if work.after_hours else "business")
    )


def resolve(prices: Iterable[Price], card: str, work: Work) -> Price | None:
    """The most particular rate that holds on the day of the work; None leaves it *unrated*."""
    fitting = [
        price for price in prices if price.valid_on(work.done_on) and fits(price.scope, card, work)
    ]
    return max(fitting, key=lambda price: price.scope.specificity, default=None)


def units(unit: str, quantity: Decimal, handle_seconds: int) -> Decimal:
    """How many units a usage event counts for, to a millionth.

    A rate by the minute counts handle time, or the quantity itself for work that is metered in
    minutes (it has no handle time). A reversal has a negative quantity and takes back as much.

    >>> units("minute", Decimal(1), 90), units("minute", Decimal(12), 0)
    (Decimal('1.500000'), Decimal('12.000000'))
    """
    if unit == "minute" and handle_seconds > 0:
        sign = (quantity > 0) - (quantity < 0)
        quantity = Decimal(sign * handle_seconds) / 60
    return quantity.quantize(MICRO, ROUND_HALF_UP)


def charge(price: Decimal, counted: Decimal) -> Decimal:
    """The amount of a charge in dollars, to a millionth, half away from zero."""
    return (price * counted).quantize(MICRO, ROUND_HALF_UP)


def rate_problems(prices: Iterable[Price]) -> list[RateProblem]:
    """Every overlap of two rates in one scope and every gap between two, in order of time.

    A gap is not an error by itself: work in it waits as *unrated*.
    """
    by_scope: defaultdict[Scope, list[Price]] = defaultdict(list)
    for price in prices:
        by_scope[price.scope].append(price)
    problems = []
    for same in by_scope.values():
        same.sort(key=lambda price: (price.valid_from, price.key))
        longest = same[0]
        for _, price in pairwise(same):
            keys = (longest.key, price.key)
            end = longest.valid_to
            if end is None or price.valid_from < end:
                ends = [day for day in (end, price.valid_to) if day is not None]
                until = min(ends) if ends else None
                problems.append(RateProblem("overlap", keys, price.valid_from, until))
            elif end < price.valid_from:
                problems.append(RateProblem("gap", keys, end, price.valid_from))
            if end is not None and (price.valid_to is None or price.valid_to > end):
                longest = price
    return sorted(problems, key=lambda problem: (problem.from_on, problem.keys))
