"""What a later rating of a billed period changes: correction lines, and the statements they go on.

A period that was issued is rated again in full and the difference is billed, in the words of the
lines that it changes. The same price gives one line with the difference; another price, or another
basis, takes back what was billed and bills it anew, so that no line is a bare amount. Everything
billed for a period, line by line, always adds up to one fresh rating of it, to the cent: the
corrections telescope.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from regional311.chargeback.series import number_of
from regional311.chargeback.statement import Line

CORRECTION: Final = "correction"
DIFFERENCE, REVERSAL, REPLACEMENT, ADDITION = "difference", "reversal", "replacement", "addition"
"""What a correction line does: bills more or less at the same price, takes a line back, bills it
anew, or bills what was on no line before."""

DESCRIBED: Final = frozenset(
    {"label", "channel", "hours", "service", "service_name", "services", "source", "valid_to"}
)
"""Parts of a basis that describe the work of a line; more work may change them, not the price."""

RECKONED: Final = frozenset(
    {"corrects", "reason", "of_cents", "gross_cents", "given_cents", "billed_cents", "before_cents"}
)
"""Parts of a basis that say what a term was reckoned on; the term itself stays."""

_ORDER: Final = ("usage", "pool", "funding", "overhead", "discount", "cap", "minimum")


@dataclass(frozen=True, slots=True)
class IssuedLine:
    """A line of an issued bill or correction, and the number of the statement that it is on."""

    statement: str
    line: Line

    @property
    def change(self) -> str | None:
        """What it does as a correction line; None on a bill."""
        found: str | None = self.line.basis.get("corrects", {}).get("change")
        return found

    @property
    def kind(self) -> str:
        """The kind of the line, or of the one that it corrects."""
        return str(self.line.basis.get("corrects", {}).get("kind", self.line.kind))


@dataclass(frozen=True, slots=True)
class Standing:
    """What has been billed under one line key: the line that names the price, and the sums."""

    anchor: IssuedLine
    quantity: Decimal
    exact_amount: Decimal
    cents: int

    @property
    def nothing(self) -> bool:
        """Whether all of it was taken back."""
        return not (self.quantity or self.exact_amount or self.cents)


def standing(issued: Iterable[IssuedLine]) -> dict[str, Standing]:
    """What was billed of a period so far, by line key, whatever the order of the lines."""
    by_key: defaultdict[str, list[IssuedLine]] = defaultdict(list)
    for each in sorted(issued, key=lambda each: (number_of(each.statement), each.line.position)):
        by_key[each.line.line_key].append(each)
    found = {}
    for key, lines in by_key.items():
        named = [each for each in lines if each.change not in (DIFFERENCE, REVERSAL)]
        found[key] = Standing(
            anchor=named[-1],
            quantity=sum((each.line.quantity for each in lines), Decimal(0)),
            exact_amount=sum((each.line.exact_amount for each in lines), Decimal(0)),
            cents=sum(each.line.amount_cents for each in lines),
        )
    return found


def same_price(one: Line, other: Line) -> bool:
    """Whether two lines are priced the same way, so that their difference says all.

    The price of a volume depends on all of it: there the amount for each unit is compared.
    """
    if one.price != other.price or _terms(one) != _terms(other):
        return False
    return one.basis.get("model") != "volume" or (
        one.exact_amount * other.quantity == other.exact_amount * one.quantity
    )


def _terms(line: Line) -> dict[str, Any]:
    return {key: value for key, value in line.basis.items() if key not in DESCRIBED | RECKONED}


def difference(issued: Iterable[IssuedLine], fresh: Iterable[Line]) -> list[Line]:
    """The correction lines that bring what one payer was billed for a period to a fresh rating.

    `issued` are all lines of its bill and corrections, `fresh` the lines of the new rating. Each
    line keeps its service period and its line key and names in ``basis["corrects"]`` the statement
    and the line that it corrects. Nothing changed gives no lines; the order of neither list
    matters. Another basis that leaves price and amount as they are gives no line. Where nothing was
    issued the fresh lines themselves are due.

    Source: re-rating of 5 to 8 units at 10 is +30, of 15 units at 10 to 16 at 5 is -150 and +80.
    """
    issued, fresh = list(issued), list(fresh)
    if not issued:
        return fresh
    bill = min((each.statement for each in issued), key=number_of)
    stands = standing(issued)
    wanted = _together(fresh)
    lines = []
    for key in stands.keys() | wanted.keys():
        before, after = stands.get(key), wanted.get(key)
        if before is None or before.nothing:
            if after is not None and _matters(after):
                lines.append(_as_correction(after, _corrects(bill, None, after.kind, ADDITION)))
        elif after is None:
            lines.append(_reversal(before))
        elif same_price(before.anchor.line, after):
            lines += _differs(before, after)
        elif not _same_amount(before, after):
            lines += [_reversal(before), _replacement(before, after)]
    return sorted(lines, key=_order)


def _together(fresh: Iterable[Line]) -> dict[str, Line]:
    """The lines of a rating by key; two versions of an agreement in one period may share one."""
    found: dict[str, Line] = {}
    for line in fresh:
        first = found.get(line.line_key)
        if first is not None:
            line = replace(  # noqa: PLW2901
                first,
                quantity=first.quantity + line.quantity,
                price=first.price if first.price == line.price else None,
                exact_amount=first.exact_amount + line.exact_amount,
                item_count=first.item_count + line.item_count,
                cents=first.amount_cents + line.amount_cents,
            )
        found[line.line_key] = line
    return found


def _same_amount(before: Standing, after: Line) -> bool:
    """Whether another basis leaves quantity, price and amount as they were billed."""
    return (
        before.anchor.line.price == after.price
        and before.quantity == after.quantity
        and before.exact_amount == after.exact_amount
        and before.cents == after.amount_cents
    )


def _matters(line: Line) -> bool:
    return bool(line.quantity or line.exact_amount or line.amount_cents)


def _order(line: Line) -> tuple[int, str, bool]:
    corrects = line.basis["corrects"]
    kind = corrects["kind"]
    rank = _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
    return rank, line.line_key, corrects["change"] != REVERSAL


def _corrects(statement: str, position: int | None, kind: str, change: str) -> dict[str, Any]:
    return {"statement": statement, "line": position, "kind": kind, "change": change}


def _of(before: Standing, change: str) -> dict[str, Any]:
    anchor = before.anchor
    return _corrects(anchor.statement, anchor.line.position, anchor.kind, change) | {
        "billed_quantity": f"{before.quantity.normalize():f}",
        "billed_cents": before.cents,
    }


def _as_correction(line: Line, corrects: Mapping[str, Any]) -> Line:
    return replace(
        line,
        position=0,
        kind=CORRECTION,
        basis={**line.basis, "corrects": dict(corrects)},
        cents=line.amount_cents,
    )


def _reversal(before: Standing) -> Line:
    return replace(
        _as_correction(before.anchor.line, _of(before, REVERSAL)),
        quantity=-before.quantity,
        exact_amount=-before.exact_amount,
        cents=-before.cents,
        item_count=0,
    )


def _replacement(before: Standing, after: Line) -> Line:
    return _as_correction(after, _of(before, REPLACEMENT))


def _differs(before: Standing, after: Line) -> list[Line]:
    quantity = after.quantity - before.quantity
    exact_amount = after.exact_amount - before.exact_amount
    cents = after.amount_cents - before.cents
    if not (quantity or exact_amount or cents):
        return []
    line = replace(
        _as_correction(after, _of(before, DIFFERENCE)),
        quantity=quantity,
        exact_amount=exact_amount,
        cents=cents,
        item_count=0,
    )
    return [line]
