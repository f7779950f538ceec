"""Cents, exact splits, and the one rounding rule.

Rates and charges are ``Decimal``; from the statement line on every amount is an integer number of
cents. Rounding is half away from zero everywhere, which is what PostgreSQL's ``round`` does too.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from math import lcm
from typing import Any, TypeAlias

from regional311.errors import DomainError

Weight: TypeAlias = int | Decimal | Fraction

_AMOUNT = re.compile(r"(?P<sign>-?)\$?(?P<dollars>\d{1,3}(?:,\d{3})+|\d+)(?:\.(?P<cents>\d{1,2}))?")


class NothingToSplitBy(DomainError):
    """Every weight is zero, so the amount has no owner and stays unallocated."""


class BadWeight(DomainError):
    """A weight is negative, not finite, a float, or its key appears twice."""


class BadAmount(DomainError):
    """A text or number is not an amount of money."""


def split(
    total_cents: int, weights: Sequence[Weight], keys: Sequence[Hashable] | None = None
) -> list[int]:
    """Divide an amount of cents among targets in proportion to their weights, losing nothing.

    Every target gets the whole cents of its exact share; the cents left go one each to the largest
    remainders, ties by the target's key (its position when no keys are given). The parts sum to
    the total, each lies within a cent of its exact share, a zero weight gets zero, and neither the
    order of the targets nor a common factor in the weights changes anything. A negative total
    splits as the mirror image of the positive one, so a reversal cancels part by part.

    Weights are integers, ``Decimal`` or ``Fraction``: floats are refused.

    :raises NothingToSplitBy: when all weights are zero and the total is not.
    :raises BadWeight: when a weight is negative, not finite or a float, or keys repeat.

    Source: largest remainder (Hamilton) apportionment.

    >>> split(18225, [98, 2], ["city", "county"])
    [17861, 364]
    """
    if keys is None:
        order: Sequence[Any] = range(len(weights))
    else:
        order = keys
        if len(keys) != len(weights) or len(set(keys)) != len(keys):
            raise BadWeight("Each target of a split needs one key of its own.", field="keys")
    scaled = _whole_weights(weights)
    whole = sum(scaled)
    if whole == 0:
        if total_cents == 0:
            return [0] * len(scaled)
        raise NothingToSplitBy(
            "All weights are zero, so the amount cannot be allocated.", field="weights"
        )
    sign = -1 if total_cents < 0 else 1
    amount = abs(total_cents)
    parts = []
    remainders = []
    for weight in scaled:
        part, remainder = divmod(amount * weight, whole)
        parts.append(part)
        remainders.append(remainder)
    left = amount - sum(parts)
    if left:
        ranked = sorted(range(len(parts)), key=lambda i: (-remainders[i], order[i]))
        for index in ranked[:left]:
            parts[index] += 1
    return parts if sign > 0 else [-part for part in parts]


def _whole_weights(weights: Sequence[Weight]) -> Sequence[int]:
    """The weights as integers in the same proportion."""
    if all(type(weight) is int for weight in weights):
        whole: Sequence[Any] = weights
    else:
        exact = [_exact(weight) for weight in weights]
        common = lcm(*(fraction.denominator for fraction in exact))
        whole = [int(fraction * common) for fraction in exact]
    if whole and min(whole) < 0:
        raise BadWeight("A weight cannot be negative.", field="weights")
    return whole


def _exact(weight: object) -> Fraction:
    if isinstance(weight, bool) or not isinstance(weight, int | Decimal | Fraction):
        raise BadWeight(
            f"A weight must be an integer, a decimal or a fraction, not {type(weight).__name__}.",
            field="weights",
        )
    if isinstance(weight, Decimal) and not weight.is_finite():
        raise BadWeight("A weight must be a finite number.", field="weights")
    return Fraction(weight)


def to_cents(amount: Decimal) -> int:
    """Round dollars to whole cents, half away from zero.

    :raises BadAmount: when the amount is not a finite ``Decimal``.

    >>> to_cents(Decimal("0.125")), to_cents(Decimal("-0.125"))
    (13, -13)
    """
    if not isinstance(amount, Decimal) or not amount.is_finite():
        raise BadAmount("An amount of money must be a finite decimal.")
    with localcontext() as context:
        context.prec = max(28, len(amount.as_tuple().digits) + abs(amount.adjusted()) + 4)
        return int(amount.scaleb(2).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def from_cents(cents: int) -> Decimal:
    """Whole cents as dollars with two places.

    >>> from_cents(-1205)
    Decimal('-12.05')
    """
    return Decimal(f"{cents}e-2")


def format_cents(cents: int, symbol: str = "$") -> str:
    """Cents as a person reads them, with separators and the minus sign in front.

    >>> format_cents(123456), format_cents(-5), format_cents(7, symbol="")
    ('$1,234.56', '-$0.05', '0.07')
    """
    dollars, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{symbol}{dollars:,}.{rest:02d}"


def parse_cents(text: str) -> int:
    """Read an amount as a person writes it: ``12``, ``12.5``, ``$1,234.56``, ``-$0.05``.

    :raises BadAmount: for anything else, three decimals and exponents among them.
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or not text.isascii():
        raise BadAmount("Write the amount as dollars and cents, for example 1,234.56.")
    cents = int(found["dollars"].replace(",", "")) * 100 + int((found["cents"] or "").ljust(2, "0"))
    return -cents if found["sign"] else cents
