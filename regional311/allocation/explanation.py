"""How a target's cents of a pool came about, from the basis that a month's shares carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

from regional311.allocation.bases import fraction_text
from regional311.allocation.methods import nearest_cent
from regional311.money import format_cents

MICRO = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a target's amount: `dollars` to a millionth, `facts` as plain values."""

    label: str
    dollars: Decimal
    facts: dict[str, Any]


def steps(basis: Mapping[str, Any], target: str) -> list[Step]:
    """What a target bears of the pool's own cost in the month, and of what other pools gave it.

    The steps sum to the exact amount, up to a millionth of a dollar a step; what is left to the
    cents is the rounding. A basis without the arithmetic, as pools had before bases, gives none.

    >>> basis = {"pool_name": "Desk", "own_cents": 3000, "gross_cents": 3400,
    ...     "received": {"it": "400"}, "base": {"kind": "fte", "name": "Positions"},
    ...     "shares": {"a": {"weight": "1", "exact_cents": "850", "cents": 850}}}
    >>> for step in steps(basis, "a"):
    ...     print(step.label, step.dollars)
    1/4 of Desk's own $30.00 7.500000
    1/4 of the $4.00 that it gave 1.000000
    """
    share = basis.get("shares", {}).get(target, {})
    if "own_cents" not in basis or "exact_cents" not in share:
        return []
    received = {key: Fraction(text) for key, text in basis.get("received", {}).items()}
    gross = basis["own_cents"] + sum(received.values(), Fraction(0))
    if not gross:
        return []
    part = Fraction(share["exact_cents"]) / gross
    facts = _facts(basis, target, part)
    name = basis.get("pool_name") or basis.get("pool") or "the pool"
    own = format_cents(basis["own_cents"])
    found = [
        Step(f"{_said(part)} of {name}'s own {own}", _dollars(part * basis["own_cents"]), facts)
    ]
    found += [
        Step(
            f"{_said(part)} of the {format_cents(nearest_cent(amount))} that {key} gave",
            _dollars(part * amount),
            {"pool": key, "given_cents": fraction_text(amount)},
        )
        for key, amount in sorted(received.items())
    ]
    return found


def _facts(basis: Mapping[str, Any], target: str, part: Fraction) -> dict[str, Any]:
    base = basis.get("base", {})
    facts: dict[str, Any] = {
        "method": basis.get("method"),
        "base": base.get("name"),
        "reading": basis["shares"][target].get("weight"),
        "fraction": f"{part.numerator}/{part.denominator}",
    }
    snapshots = base.get("snapshots", [])
    if snapshots:
        facts["snapshot"] = ", ".join(str(each["number"]) for each in snapshots)
        facts["source"] = snapshots[0]["source"]
    return {name: value for name, value in facts.items() if value is not None}


def _said(part: Fraction) -> str:
    """A fraction in a sentence: as it is when short, otherwise in per cent."""
    if part.denominator < 10_000:
        return f"{part.numerator}/{part.denominator}"
    return f"{float(part) * 100:.6f} %"


def _dollars(cents: Fraction) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        return (Decimal(cents.numerator) / cents.denominator / 100).quantize(
            MICRO, rounding=ROUND_HALF_UP
        )
