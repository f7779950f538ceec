"""From what work and shares cost to what the payer pays: the terms of an agreement, in their order.

The gross lines of an agreement in a period (usage and pool shares) are followed by further lines:

1. *funding*: each source pays its percentage of the gross, never past what it was authorised for
   the fiscal year;
2. *overhead*: a percentage on what funding left;
3. *discounts*: a percentage of what is then to pay; those without a threshold, and of the tiers
   the highest one that the gross reached;
4. *credits* for missed service levels, a percentage of the gross;
5. *cap*: what would exceed the most that the payer pays in a fiscal year is taken off;
6. *minimum*: on the final run of a period, what lacks to the least that a period costs, within the
   cap.

Every step is a line of its own that says in its basis how it was reckoned; with the gross lines
they sum to what is paid. Funding, discounts and credits never turn a gross amount around. Amounts
are exact to a millionth of a dollar and rounded to cents once, half away from zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Protocol

from regional311.chargeback.agreement_terms import Discount, Terms
from regional311.chargeback.statement import Line, posts_as
from regional311.money import format_cents, from_cents, to_cents

MICRO = Decimal("0.000001")
GROSS = frozenset({"usage", "pool"})


class MissedLevel(Protocol):
    """What a missed service level gives back, as `service_levels.Credit` says it."""

    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def reading(self) -> Decimal: ...
    @property
    def goal(self) -> Decimal: ...
    @property
    def percent(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Earlier:
    """What other statements of the provider's fiscal year have counted already, in cents.

    `paid_cents` is what this payer was billed under the agreement; `funded_cents` is what each
    source has given to it, by the source's key, whoever the payer was.
    """

    paid_cents: int = 0
    funded_cents: Mapping[str, int] = field(default_factory=dict)


def further_lines(
    gross: Sequence[Line],
    terms: Terms,
    *,
    agreement_key: str,
    period_key: str,
    earlier: Earlier | None = None,
    missed: Iterable[MissedLevel] = (),
    final: bool = True,
) -> list[Line]:
    """The lines that an agreement's terms add to its gross lines of one period, in order.

    `final` is whether the run has all work of the period; before that no minimum is due.

    >>> def used(cents):
    ...     return Line(0, "usage", "2026-10", "k", "Work", "a", {}, Decimal(1), None,
    ...                 from_cents(cents), 0)
    >>> def reckon(cents, terms, **said):
    ...     lines = further_lines([used(cents)], terms, agreement_key="a",
    ...                           period_key="2026-10", **said)
    ...     return [(line.kind, line.amount_cents) for line in lines]
    >>> reckon(50_00, Terms(not_to_exceed_cents=100_00), earlier=Earlier(paid_cents=70_00))
    [('cap', -2000)]
    >>> reckon(50_00, Terms(minimum_cents=100_00))
    [('minimum', 5000)]
    """
    steps = _Steps(gross, agreement_key, period_key)
    earlier = earlier or Earlier()
    _fund(steps, terms, earlier)
    _overhead(steps, terms)
    _discount(steps, terms)
    _credit(steps, missed)
    _bound(steps, terms, earlier, final=final)
    return steps.lines


def payable_cents(lines: Iterable[Line]) -> int:
    """What the lines of an agreement come to for the payer."""
    return sum(line.amount_cents for line in lines)


class _Steps:
    """The lines so far and what is left to pay after them."""

    def __init__(self, gross: Sequence[Line], agreement_key: str, period_key: str) -> None:
        self.gross_cents = payable_cents(gross)
        self.left_cents = self.gross_cents
        self.lines: list[Line] = []
        self._agreement_key = agreement_key
        self._period_key = period_key
        shares = gross and all(posts_as(line.kind, line.basis) == "share" for line in gross)
        self._books = "share" if shares else "service"

    def part(self, base_cents: int, percent: Decimal) -> Decimal:
        """A percentage of an amount in cents, in dollars to a millionth."""
        exact = from_cents(base_cents) * percent / 100
        return exact.quantize(MICRO, rounding=ROUND_HALF_UP)

    def take(self, wanted: Decimal, most_cents: int | None = None) -> tuple[Decimal, int]:
        """How much of an amount can be taken off: as much as is left, and no more than `most`.

        Below zero everything is the other way round, and nothing limits what is given back.
        """
        sign = -1 if self.gross_cents < 0 else 1
        amount = to_cents(wanted)
        allowed = max(0, sign * self.left_cents)
        if most_cents is not None and sign > 0:
            allowed = min(allowed, most_cents)
        if sign * amount <= allowed:
            return wanted, amount
        return from_cents(sign * allowed), sign * allowed

    def add(
        self, kind: str, what: str | None, label: str, exact: Decimal, basis: Mapping[str, Any]
    ) -> None:
        """Add a line unless it comes to less than half a cent."""
        key = "|".join(each for each in (self._agreement_key, kind, what) if each is not None)
        line = Line(
            position=0,
            kind=kind,
            service_period=self._period_key,
            line_key=key,
            label=label,
            agreement_key=self._agreement_key,
            basis={**basis, "books": self._books},
            quantity=Decimal(1),
            price=None,
            exact_amount=exact,
            item_count=0,
        )
        if line.amount_cents:
            self.lines.append(line)
            self.left_cents += line.amount_cents


def _fund(steps: _Steps, terms: Terms, earlier: Earlier) -> None:
    for source in terms.funding:
        wanted = steps.part(steps.gross_cents, source.percent)
        given_before = earlier.funded_cents.get(source.key, 0)
        most = None
        if source.authorised_cents is not None:
            most = max(0, source.authorised_cents - given_before)
        given, cents = steps.take(wanted, most)
        basis: dict[str, Any] = {
            "source": source.name,
            "source_key": source.key,
            "source_kind": source.kind,
            "percent": _plain(source.percent),
            "of_cents": steps.gross_cents,
            "reason": f"{source.name} pays {_plain(source.percent)} % of "
            f"{format_cents(steps.gross_cents)}.",
        }
        if source.authorised_cents is not None:
            basis |= {"authorised_cents": source.authorised_cents, "given_cents": given_before}
            if cents != to_cents(wanted):
                basis["reason"] = (
                    f"{source.name} pays {_plain(source.percent)} % but no more than "
                    f"{format_cents(source.authorised_cents)} a fiscal year, of which "
                    f"{format_cents(given_before)} were given before."
                )
        label = f"{source.name}: {_plain(source.percent)} %"
        steps.add("funding", source.key, label, -given, basis)


def _overhead(steps: _Steps, terms: Terms) -> None:
    if terms.overhead_percent is None:
        return
    percent, base = terms.overhead_percent, steps.left_cents
    basis = {
        "percent": _plain(percent),
        "of_cents": base,
        "reason": f"{_plain(percent)} % on {format_cents(base)}.",
    }
    label = f"Overhead: {_plain(percent)} %"
    steps.add("overhead", None, label, steps.part(base, percent), basis)


def _discount(steps: _Steps, terms: Terms) -> None:
    base = steps.left_cents
    for discount in due_discounts(terms.discounts, steps.gross_cents):
        wanted, _ = steps.take(steps.part(base, discount.percent))
        basis: dict[str, Any] = {
            "name": discount.name,
            "percent": _plain(discount.percent),
            "of_cents": base,
            "reason": f"{discount.name}: {_plain(discount.percent)} % of {format_cents(base)}.",
        }
        if discount.from_cents is not None:
            basis |= {"from_cents": discount.from_cents, "gross_cents": steps.gross_cents}
            basis["reason"] = (
                f"{discount.name}: {_plain(discount.percent)} % of {format_cents(base)}, because "
                f"{format_cents(steps.gross_cents)} reached {format_cents(discount.from_cents)}."
            )
        label = f"{discount.name}: {_plain(discount.percent)} %"
        steps.add("discount", discount.name, label, -wanted, basis)


def due_discounts(discounts: Iterable[Discount], gross_cents: int) -> list[Discount]:
    """The discounts that apply: all without a threshold, and the highest tier that is reached.

    >>> tiers = [Discount("Five", Decimal(5), 100_00), Discount("Ten", Decimal(10), 500_00)]
    >>> [each.name for each in due_discounts(tiers, 600_00)]
    ['Ten']
    """
    always = [each for each in discounts if each.from_cents is None]
    reached = [
        each for each in discounts if each.from_cents is not None and each.from_cents <= gross_cents
    ]
    if reached:
        always.append(max(reached, key=lambda each: each.from_cents or 0))
    return always


def _credit(steps: _Steps, missed: Iterable[MissedLevel]) -> None:
    for level in missed:
        wanted, _ = steps.take(steps.part(steps.gross_cents, level.percent))
        basis = {
            "target": level.key,
            "target_name": level.name,
            "reading": _plain(level.reading),
            "goal": _plain(level.goal),
            "percent": _plain(level.percent),
            "of_cents": steps.gross_cents,
            "reason": f"{level.name}: {_plain(level.reading)} against a goal of "
            f"{_plain(level.goal)} gives back {_plain(level.percent)} %.",
        }
        label = f"Credit for a missed level of service: {level.name}"
        steps.add("credit", level.key, label, -wanted, basis)


def _bound(steps: _Steps, terms: Terms, earlier: Earlier, *, final: bool) -> None:
    room = None
    if terms.not_to_exceed_cents is not None:
        room = max(0, terms.not_to_exceed_cents - earlier.paid_cents)
        if steps.left_cents > room:
            cap = format_cents(terms.not_to_exceed_cents)
            basis = {
                "cap_cents": terms.not_to_exceed_cents,
                "billed_cents": earlier.paid_cents,
                "before_cents": steps.left_cents,
                "reason": f"At most {cap} in a fiscal year, of which "
                f"{format_cents(earlier.paid_cents)} were billed before.",
            }
            over = from_cents(room - steps.left_cents)
            steps.add("cap", None, f"Not to exceed {cap} in a fiscal year", over, basis)
    if final and terms.minimum_cents is not None:
        least = terms.minimum_cents if room is None else min(terms.minimum_cents, room)
        if steps.left_cents < least:
            minimum = format_cents(terms.minimum_cents)
            basis = {
                "minimum_cents": terms.minimum_cents,
                "before_cents": steps.left_cents,
                "reason": f"A period costs at least {minimum}; the work came to "
                f"{format_cents(steps.left_cents)}.",
            }
            lacks = from_cents(least - steps.left_cents)
            steps.add("minimum", None, f"Up to the minimum of {minimum}", lacks, basis)


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
