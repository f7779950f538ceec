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
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Protocol

from regional311.chargeback.agreement_terms import Discount, Funding, Terms
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


def _overhead(steps: _Steps, terms: Terms, about: str | None = None) -> None:
    if terms.overhead_percent is None:
        return
    percent, base = terms.overhead_percent, steps.left_cents
    basis = {
        "percent": _plain(percent),
        "of_cents": base,
        "reason": f"{_plain(percent)} % on {format_cents(base)}.",
    }
    label = f"Overhead: {_plain(percent)} %"
    steps.add("overhead", about, label, steps.part(base, percent), basis)


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


# --- the end of a year ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class YearSoFar:
    """What a payer was billed under an agreement for a fiscal year, in cents.

    `paid_cents` is all of it, `gross_cents` its work and shares, `cap_cents` (zero or less) and
    `minimum_cents` what these took off and added. `funded_cents` is what each source has given to
    this payer, `funded_to_all_cents` to every payer. `periods` is how many were billed.
    """

    paid_cents: int = 0
    gross_cents: int = 0
    cap_cents: int = 0
    minimum_cents: int = 0
    funded_cents: Mapping[str, int] = field(default_factory=dict)
    funded_to_all_cents: Mapping[str, int] = field(default_factory=dict)
    periods: int = 0

    def with_lines(self, lines: Iterable[Line]) -> YearSoFar:
        """The same after some lines of a true-up."""
        found = self
        for line in lines:
            cents = line.amount_cents
            found = replace(found, paid_cents=found.paid_cents + cents)
            if line.kind == "cap":
                found = replace(found, cap_cents=found.cap_cents + cents)
            elif line.kind == "minimum":
                found = replace(found, minimum_cents=found.minimum_cents + cents)
            elif line.kind == "funding":
                key = line.basis["source_key"]
                to_all = found.funded_to_all_cents
                found = replace(
                    found,
                    funded_cents=_plus(found.funded_cents, key, -cents),
                    funded_to_all_cents=_plus(to_all, key, -cents),
                )
            elif line.kind == "true_up":
                found = replace(found, gross_cents=found.gross_cents + cents)
        return found


def _plus(sums: Mapping[str, int], key: str, cents: int) -> dict[str, int]:
    return {**sums, key: sums.get(key, 0) + cents}


def year_end_lines(line: Line, terms: Terms, so_far: YearSoFar) -> list[Line]:
    """The lines that an agreement's terms add to the gross line of a true-up, in order.

    The payer bears of a difference what it bears of a bill. Sources bear their percentage, up or
    down, within what is left of their authorisation; one that its authorisation held short gives
    until the year's cost is below it. Overhead and discounts follow what is left; of the discounts'
    tiers the one counts that an average period of the year reached. Cap and minimum are those of
    the whole year: what the cap took off before is borne before anything is paid back, and the
    minimum of every period billed stays paid. Missed levels of service were credited with the bills
    and are not reckoned again.

    >>> def due(cents):
    ...     return Line(0, "true_up", "2026", "a|true_up", "Centre", "a", {}, Decimal(1), None,
    ...                 from_cents(cents), 0)
    >>> capped = YearSoFar(paid_cents=100_00, gross_cents=150_00, cap_cents=-50_00, periods=12)
    >>> [(each.kind, each.amount_cents)
    ...  for each in year_end_lines(due(-30_00), Terms(not_to_exceed_cents=100_00), capped)]
    [('cap', 3000)]
    """
    steps = _Steps([line], line.agreement_key, line.service_period)
    about = line.line_key.removeprefix(f"{line.agreement_key}|")
    for source in terms.funding:
        _fund_year(steps, source, so_far, about)
    _overhead(steps, terms, about)
    average = (so_far.gross_cents + steps.gross_cents) // max(1, so_far.periods)
    base = steps.left_cents
    for discount in due_discounts(terms.discounts, average):
        basis = {
            "name": discount.name,
            "percent": _plain(discount.percent),
            "of_cents": base,
            "reason": f"{discount.name}: {_plain(discount.percent)} % of {format_cents(base)}.",
        }
        label = f"{discount.name}: {_plain(discount.percent)} %"
        taken = steps.part(base, discount.percent)
        steps.add("discount", f"{discount.name}|{about}", label, -taken, basis)
    _bound_year(steps, terms, so_far, about)
    return steps.lines


def _fund_year(steps: _Steps, source: Funding, so_far: YearSoFar, about: str) -> None:
    exact = steps.part(steps.gross_cents, source.percent)
    wanted = cents = to_cents(exact)
    percent, of = _plain(source.percent), format_cents(steps.gross_cents)
    basis: dict[str, Any] = {
        "source": source.name,
        "source_key": source.key,
        "source_kind": source.kind,
        "percent": percent,
        "of_cents": steps.gross_cents,
        "reason": f"{source.name} pays {percent} % of {of}.",
    }
    if source.authorised_cents is not None:
        to_all = so_far.funded_to_all_cents.get(source.key, 0)
        basis |= {"authorised_cents": source.authorised_cents, "given_cents": to_all}
        if wanted > 0:
            cents = min(wanted, max(0, source.authorised_cents - to_all))
        else:
            year = to_cents(steps.part(so_far.gross_cents + steps.gross_cents, source.percent))
            cents = min(0, max(wanted, year - so_far.funded_cents.get(source.key, 0)))
        if cents != wanted:
            exact = from_cents(cents)
            basis["reason"] = (
                f"{source.name} pays {percent} % but no more than "
                f"{format_cents(source.authorised_cents)} a fiscal year, of which "
                f"{format_cents(to_all)} were given before."
            )
    steps.add("funding", f"{source.key}|{about}", f"{source.name}: {percent} %", -exact, basis)


def _bound_year(steps: _Steps, terms: Terms, so_far: YearSoFar, about: str) -> None:
    cap = terms.not_to_exceed_cents
    if terms.minimum_cents is not None:
        least = terms.minimum_cents * so_far.periods
        if cap is not None:
            least = min(least, cap)
        before, change = (
            so_far.paid_cents - so_far.cap_cents - so_far.minimum_cents,
            steps.left_cents,
        )
        kept = max(least, before + change) - max(least, before)
        minimum = format_cents(terms.minimum_cents)
        basis = {
            "minimum_cents": terms.minimum_cents,
            "before_cents": change,
            "reason": f"Each of {so_far.periods} periods cost at least {minimum}; that stays paid.",
        }
        label = f"Within the minimum of {minimum}"
        steps.add("minimum", about, label, from_cents(kept - change), basis)
    if cap is not None:
        change = steps.left_cents
        most = max(cap, so_far.paid_cents)
        allowed = min(most, so_far.paid_cents - so_far.cap_cents + change) - so_far.paid_cents
        basis = {
            "cap_cents": cap,
            "billed_cents": so_far.paid_cents,
            "before_cents": change,
            "reason": f"At most {format_cents(cap)} in a fiscal year, of which "
            f"{format_cents(so_far.paid_cents)} were billed before and "
            f"{format_cents(-so_far.cap_cents)} taken off.",
        }
        label = f"Not to exceed {format_cents(cap)} in a fiscal year"
        steps.add("cap", about, label, from_cents(allowed - change), basis)


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
