"""One partner's books held against another's: only what the two have with each other."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.ledger.books import DUE_FROM, DUE_TO, Entry, Problem, mirror_problems
from regional311.ledger.queries import entries_to_check


@dataclass(frozen=True, slots=True)
class Mirror:
    """What two partners' books say of each other, in cents, and where they differ.

    `we_claim` and `we_owe` are by these books, `they_owe` and `they_claim` by the other's.
    """

    counterparty_id: UUID
    entries: int
    their_entries: int
    we_claim: int
    they_owe: int
    we_owe: int
    they_claim: int
    problems: tuple[Problem, ...]

    @property
    def net_zero(self) -> bool:
        """Whether each claims just what the other owes."""
        return self.we_claim == self.they_owe and self.we_owe == self.they_claim

    @property
    def mirrored(self) -> bool:
        """Whether every entry has its other side, with opposite amounts for the same period."""
        return not self.problems


def mirror_with(session: TenantSession, counterparty_id: UUID) -> Mirror:
    """Hold these books against another partner's, entry by entry of those that name each other."""
    me = scope_of(session).tenant_id
    mine = entries_to_check(session, counterparty_id=counterparty_id)
    with acting_for(session, counterparty_id):
        theirs = entries_to_check(session, counterparty_id=me)
    return Mirror(
        counterparty_id=counterparty_id,
        entries=len(mine),
        their_entries=len(theirs),
        we_claim=_net(mine, DUE_FROM),
        they_owe=-_net(theirs, DUE_TO),
        we_owe=-_net(mine, DUE_TO),
        they_claim=_net(theirs, DUE_FROM),
        problems=tuple(mirror_problems([*mine, *theirs])),
    )


def _net(entries: list[Entry], account: str) -> int:
    return sum(leg.net_cents for each in entries for leg in each.legs if leg.account == account)
