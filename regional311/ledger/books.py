"""What must be true of books, as checks that return lists of located problems.

An entry balances by itself. Two partners' entries about the same thing mirror: what one has due
from the other, the other owes to the first. Over the region everything between partners nets to
zero.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

DUE_FROM = "due_from_partners"
DUE_TO = "due_to_partners"

MIRRORS = {
    DUE_FROM: DUE_TO,
    "service_revenue": "service_expense",
    "share_revenue": "share_expense",
    "interest_revenue": "interest_expense",
    "advances_to_partners": "advances_from_partners",
    "cash": "cash",
    "netting_clearing": "netting_clearing",
}
"""The account on the provider's side and the one that mirrors it on the payer's."""

INTERPARTNER_ACCOUNTS = {
    DUE_FROM: ("Due from partners", "asset"),
    DUE_TO: ("Due to partners", "liability"),
    "service_revenue": ("Revenue from services to partners", "revenue"),
    "service_expense": ("Expense for services of partners", "expense"),
    "share_revenue": ("Revenue from cost shares", "revenue"),
    "share_expense": ("Expense for cost shares", "expense"),
    "interest_revenue": ("Interest from partners", "revenue"),
    "interest_expense": ("Interest to partners", "expense"),
    "advances_to_partners": ("Paid to partners in advance", "asset"),
    "advances_from_partners": ("Received from partners in advance", "liability"),
    "cash": ("Cash", "asset"),
    "netting_clearing": ("Netting between partners", "asset"),
    "due_from_outside": ("Due from bodies outside the region", "asset"),
    "interfund_revenue": ("Revenue from the partner's own bureaus", "revenue"),
    "interfund_expense": ("Expense of the partner's own bureaus", "expense"),
}
"""Name and type of the accounts that the shared core posts to."""

_MIRROR_OF = MIRRORS | {payer: provider for provider, payer in MIRRORS.items()}


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of an entry in cents: a debit or a credit, never both, never nothing.

    `counterparty_id` is another partner; `party` is whom it is about otherwise: `bureau:<key>` or
    `outside:<key>`. `family` is what it is about, such as an agreement's key.
    """

    account: str
    debit_cents: int = 0
    credit_cents: int = 0
    counterparty_id: UUID | None = None
    party: str | None = None
    family: str | None = None

    @property
    def net_cents(self) -> int:
        """Debit minus credit."""
        return self.debit_cents - self.credit_cents


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal entry as it stands in one partner's books."""

    tenant_id: UUID
    id: UUID
    service_period: str
    leg_count: int
    total_cents: int
    legs: tuple[Leg, ...]
    mirror_id: UUID | None = None
    counterparty_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in somebody's books, and where."""

    kind: str
    tenant_id: UUID | None
    subject_id: UUID | None
    message: str


def debit(
    account: str,
    cents: int,
    counterparty_id: UUID | None = None,
    *,
    party: str | None = None,
    family: str | None = None,
) -> Leg:
    """A debit of so many cents; a negative amount is a credit."""
    return Leg(account, max(cents, 0), max(-cents, 0), counterparty_id, party, family)


def credit(
    account: str,
    cents: int,
    counterparty_id: UUID | None = None,
    *,
    party: str | None = None,
    family: str | None = None,
) -> Leg:
    """A credit of so many cents; a negative amount is a debit."""
    return debit(account, -cents, counterparty_id, party=party, family=family)


def leg_problems(legs: Sequence[Leg]) -> list[str]:
    """What is wrong with the legs of an entry that is about to be posted, in sentences."""
    problems = []
    if len(legs) < 2:
        problems.append("An entry needs at least two legs.")
    for number, leg in enumerate(legs, 1):
        if leg.debit_cents < 0 or leg.credit_cents < 0:
            problems.append(f"Leg {number} has a negative amount.")
        if (leg.debit_cents == 0) == (leg.credit_cents == 0):
            problems.append(f"Leg {number} must have either a debit or a credit.")
    debited = sum(leg.debit_cents for leg in legs)
    credited = sum(leg.credit_cents for leg in legs)
    if debited != credited:
        problems.append(
            f"Debits of {debited} cents and credits of {credited} cents do not balance."
        )
    return problems


def entry_problems(entry: Entry) -> list[Problem]:
    """What is wrong with one entry by itself: balance, and the legs and total it was made with."""
    found = leg_problems(entry.legs)
    if len(entry.legs) != entry.leg_count:
        found.append(f"The entry was made with {entry.leg_count} legs and has {len(entry.legs)}.")
    total = sum(leg.debit_cents for leg in entry.legs)
    if total != entry.total_cents:
        found.append(f"The entry was made over {entry.total_cents} cents and has {total}.")
    return [Problem("unbalanced", entry.tenant_id, entry.id, message) for message in found]


def mirror_problems(entries: Iterable[Entry]) -> list[Problem]:
    """Entries between partners whose other side is missing, doubled or different.

    Each pair shares a `mirror_id`; the sides name each other, agree in the service period (the
    period of posting may differ), and have opposite amounts on mirroring accounts.
    """
    pairs: defaultdict[UUID, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.mirror_id is not None:
            pairs[entry.mirror_id].append(entry)
    problems = []
    for mirror_id, sides in pairs.items():
        if len(sides) != 2:
            problems.append(
                Problem(
                    "not_mirrored",
                    sides[0].tenant_id,
                    mirror_id,
                    f"There are {len(sides)} sides instead of two.",
                )
            )
            continue
        one, other = sides
        if one.counterparty_id != other.tenant_id or other.counterparty_id != one.tenant_id:
            message = "The two sides do not name each other."
        elif one.service_period != other.service_period:
            message = f"One side is for {one.service_period}, the other for {other.service_period}."
        elif _by_account(one.legs) != _mirrored(other.legs):
            message = "The amounts of the two sides are not opposite."
        else:
            continue
        problems.append(Problem("not_mirrored", one.tenant_id, mirror_id, message))
    return problems


def _by_account(legs: Iterable[Leg]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for leg in legs:
        sums[leg.account] += leg.net_cents
    return {account: cents for account, cents in sums.items() if cents}


def _mirrored(legs: Iterable[Leg]) -> dict[str, int]:
    return {
        _MIRROR_OF.get(account, account): -cents for account, cents in _by_account(legs).items()
    }


def net_zero_problems(
    balances: Iterable[tuple[UUID, UUID, str, int]],
) -> list[Problem]:
    """Pairs of partners of whom one claims what the other does not owe.

    `balances` are (tenant, counterparty, account, debit minus credit in cents) of the accounts
    due from and due to partners, from all books.
    """
    net: Counter[tuple[UUID, UUID]] = Counter()
    for tenant_id, counterparty_id, account, cents in balances:
        if account == DUE_FROM:
            net[tenant_id, counterparty_id] += cents
        elif account == DUE_TO:
            net[counterparty_id, tenant_id] += cents
    return [
        Problem(
            "not_net_zero",
            creditor,
            debtor,
            f"What is due from and what is due to differ by {cents} cents.",
        )
        for (creditor, debtor), cents in net.items()
        if cents
    ]
