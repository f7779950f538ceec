"""Changes of prices: seen as a whole first, approved by a second person, then known from now on.

A change says what a rate of some key will say, or that it is gone. Nothing is ever overwritten: the
row that is known now is closed as *recorded* and a new one stands beside it, so that what was
billed keeps the row that priced it. A price that changes on a day becomes two rates: the old one
ends there, the new one has a key of its own, because a file names each price once. A change of very
many rates is approved at once and taken over by the worker (`rate_approvals`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, any_, cast, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONPATH, Range

from regional311.audit.service import record
from regional311.chargeback import rate_standing
from regional311.chargeback.models import Rate, RateApproval, RateProposal
from regional311.chargeback.rate_cards import RateSaid, known_rates, plain
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound, Stale
from regional311.tenancy.cut_offs import stamp
from regional311.tenancy.models import Tenant
from regional311.tenancy.proposals import VERBS, locked_proposal, move_proposal

_DATED = re.compile(r"-\d{4}(-\d{2}(-\d{2})?)?$")
_LONGEST_KEY = 60
KEYS_TOLD = 50
"""Keys that the audit trail names; the proposal has them all."""
MOST_AT_ONCE: Final = 500
"""More changes than that are taken over by the worker: nobody waits for a page so long."""
STEP: Final = 1_000
"""Changes after which it is told how many are taken over."""


class RatesOverlap(Conflict):
    """Two prices of the same work would hold at the same time."""


class PriceNotPositive(InvalidInput):
    """A price is more than zero; work without a price waits as unrated."""


class NothingChanges(InvalidInput):
    """What was sent says what is known already."""


class BadKey(Conflict):
    """A rate of this key is there already."""


class ProposerMayNotApprove(Forbidden):
    """Whoever proposed a price may not approve it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a rate will say; `rate` None: it is gone. `expected` is the row it was made from."""

    key: str
    expected: UUID | None
    rate: RateSaid | None

    def as_json(self) -> dict[str, Any]:
        """The change as plain values."""
        return {
            "key": self.key,
            "expected": None if self.expected is None else str(self.expected),
            "rate": None if self.rate is None else self.rate.as_json(),
        }

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Change:
        """Read what `as_json` gave."""
        return cls(
            said["key"],
            None if said["expected"] is None else UUID(said["expected"]),
            None if said["rate"] is None else RateSaid.of_json(said["rate"]),
        )


def current(
    session: TenantSession, keys: Collection[str] | None = None
) -> tuple[list[RateSaid], dict[str, UUID]]:
    """What is known now, all of it or of some keys, and the row of each key."""
    rows = known_rates(session, keys=keys)
    return [RateSaid.of_row(row) for row in rows], {row.key: row.id for row in rows}


def price_change(
    session: TenantSession,
    key: str,
    *,
    rate: RateSaid,
    valid_from: date,
    expected_id: UUID,
) -> list[Change]:
    """The changes by which a rate says something else from a day on.

    `rate` holds what it will say; its key and days come from here. On the very day on which the
    old one begins this is a correction under the same key.

    :raises NotFound: when there is no such rate.
    :raises Stale: when the row that the form showed is not the one that is known now.
    :raises PriceNotPositive: for a price of zero or less.
    :raises InvalidInput: for a day on which the price does not hold.
    """
    known, rows = current(session, [key])
    if not known:
        raise NotFound("There is no such rate.")
    (old,) = known
    if rate.amount <= 0:
        raise PriceNotPositive("A price is more than zero.", field="amount")
    if rows[key] != expected_id:
        raise Stale(
            "Somebody else changed this rate.",
            current=_said(old.amount, old.valid_from),
            submitted=_said(rate.amount, valid_from),
        )
    if old.valid_from is not None and valid_from < old.valid_from:
        raise InvalidInput(
            f"This price begins on {old.valid_from.isoformat()}; choose that day or a later one.",
            field="valid_from",
        )
    if old.valid_to is not None and valid_from >= old.valid_to:
        raise InvalidInput(
            f"This price ends on {old.valid_to.isoformat()}; change the one that follows it.",
            field="valid_from",
        )
    if old.valid_from == valid_from:
        new = replace(rate, key=key, valid_from=valid_from, valid_to=old.valid_to)
        return [Change(key, expected_id, new)]
    new_key = free_key(key, valid_from, _keys(session))
    new = replace(rate, key=new_key, valid_from=valid_from, valid_to=old.valid_to)
    return [
        Change(key, expected_id, replace(old, valid_to=valid_from)),
        Change(new_key, None, new),
    ]


def _keys(session: TenantSession) -> list[str]:
    return list(
        session.scalars(
            select(Rate.key).where(
                Rate.tenant_id == scope_of(session).tenant_id,
                ~func.isempty(Rate.recorded),
                func.upper(Rate.recorded).is_(None),
            )
        )
    )


def free_key(key: str, valid_from: date, taken: Iterable[str]) -> str:
    """A key for the price that follows.

    >>> free_key("phone-2026", date(2027, 7, 1), ["phone-2026", "phone-2027-07-01"])
    'phone-2027-07-01-2'
    """
    stem = _DATED.sub("", key)[: _LONGEST_KEY - 14]
    wanted = dated = f"{stem}-{valid_from.isoformat()}"
    number = 2
    while wanted in set(taken):
        wanted = f"{dated}-{number}"
        number += 1
    return wanted


def propose(
    session: TenantSession, changes: Sequence[Change], *, note: str | None, now: datetime
) -> UUID:
    """Keep changes as a draft, to be looked at and sent to a second person; return its id.

    :raises NothingChanges: when everything is as it is known.
    :raises BadRate: or `BadTariff`, when a rate says what is not allowed.
    """
    known, _rows = current(session, [change.key for change in changes])
    before = {rate.key: rate for rate in known}
    for change in changes:
        if change.rate is not None:
            change.rate.check()
    real = [
        change for change in changes if change.rate is None or change.rate != before.get(change.key)
    ]
    if not real:
        raise NothingChanges("Everything is as it was: there is nothing to propose.")
    scope = scope_of(session)
    proposal_id = new_id()
    put(
        session,
        RateProposal(
            tenant_id=scope.tenant_id,
            id=proposal_id,
            state="draft",
            changes=[change.as_json() for change in real],
            note=note,
            proposed_by=scope.person_id,
            proposed_at=now,
        ),
    )
    keys = [change.key for change in real]
    _told(session, now, "rate:draft", proposal_id, {"rates": len(keys), "keys": keys[:KEYS_TOLD]})
    return proposal_id


def proposals(
    session: TenantSession,
    *,
    state: str | None = None,
    before: UUID | None = None,
    limit: int | None = None,
    keys: int | None = None,
) -> list[Row[Any]]:
    """This partner's proposals, the latest first, with how many `changes` each has and their keys.

    A proposal may change every rate there is: `keys` says how many of its keys are wanted, and what
    each rate will say stays where it is (`changes_of`). A page begins after the proposal `before`.
    """
    table = RateProposal.__table__
    path = "$[*].key" if keys is None else f"$[0 to {keys - 1}].key"
    conditions = [table.c.tenant_id == scope_of(session).tenant_id]
    if state is not None:
        conditions.append(table.c.state == state)
    if before is not None:
        conditions.append(table.c.id < before)
    return list(
        session.execute(
            select(
                *(each for each in table.c if each.name != "changes"),
                func.jsonb_array_length(table.c.changes).label("count_of_changes"),
                func.jsonb_path_query_array(table.c.changes, cast(path, JSONPATH)).label("names"),
            )
            .where(*conditions)
            .order_by(table.c.id.desc())
            .limit(limit)
        )
    )


def changes_of(proposal: Any) -> list[Change]:
    """The changes of a proposal's row."""
    return [Change.of_json(each) for each in proposal.changes]


def send_for_approval(session: TenantSession, proposal_id: UUID, *, now: datetime) -> None:
    """Ask a second person to approve a draft.

    :raises RatesOverlap: when two prices would hold at the same time.
    :raises Stale: when a rate was changed meanwhile.
    """
    proposal = locked_proposal(session, RateProposal, proposal_id, "proposed")
    _check_fits(session, proposal_id, changes_of(proposal))
    _move(session, proposal_id, "proposed", now)


def approve(session: TenantSession, proposal_id: UUID, *, now: datetime) -> bool:
    """Approve proposed prices; say whether they hold at once, as known from now on.

    More than `MOST_AT_ONCE` changes are taken over by the worker: they are approved in the name of
    the bound person now, and hold together when it is done.

    :raises ProposerMayNotApprove: when nobody, or the person who proposed it, approves.
    :raises Conflict: when it is not waiting for approval.
    :raises RatesOverlap: or `Stale`, when it no longer fits what is known.
    """
    scope = scope_of(session)
    proposal = locked_proposal(session, RateProposal, proposal_id, "approved", without=("changes",))
    if scope.person_id is None or scope.person_id == proposal.proposed_by:
        raise ProposerMayNotApprove(
            "Whoever proposed these prices cannot approve them; a second person must."
        )
    many = session.execute(
        select(func.jsonb_array_length(RateProposal.changes)).where(
            RateProposal.tenant_id == scope.tenant_id, RateProposal.id == proposal_id
        )
    ).scalar_one()
    if many <= MOST_AT_ONCE:
        take_over(session, proposal_id, now=now)
        _move(session, proposal_id, "approved", now)
        return True
    put(
        session,
        RateApproval(
            tenant_id=scope.tenant_id,
            id=new_id(),
            proposal_id=proposal_id,
            approved_by=scope.person_id,
            approved_at=now,
            changes=many,
        ),
    )
    move_proposal(session, RateProposal, proposal_id, "approving", now)
    _told(session, now, "rate:approve", proposal_id, {"rates": many})
    return False


def take_over(
    session: TenantSession,
    proposal_id: UUID,
    *,
    now: datetime,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Let the prices of a locked proposal hold, as known from now on; its state is the caller's.

    :raises RatesOverlap: or `Stale`, when it no longer fits what is known.
    """
    tenant_id = scope_of(session).tenant_id
    changes = changes_of(
        session.execute(
            select(RateProposal.changes).where(
                RateProposal.tenant_id == tenant_id, RateProposal.id == proposal_id
            )
        ).one()
    )
    # one approval after another, so that the second sees what the first made
    since = stamp(session, now)
    _check_fits(session, proposal_id, changes)
    closed = [change.expected for change in changes if change.expected is not None]
    session.execute(
        update(Rate)
        .where(Rate.tenant_id == tenant_id, Rate.id == any_(literal(closed, ARRAY(Uuid))))
        .values(recorded=func.tstzrange(func.lower(Rate.recorded), since, "[)"))
        .execution_options(synchronize_session=False)
    )
    for first in range(0, len(changes), STEP):
        some = changes[first : first + STEP]
        put(
            session,
            *(
                new_row(
                    Rate,
                    tenant_id=tenant_id,
                    id=new_id(),
                    recorded=Range(since, None, bounds="[)"),
                    **change.rate.values(),
                )
                for change in some
                if change.rate is not None
            ),
        )
        send(session)
        if progress is not None:
            progress(first + len(some))
    session.execute(
        update(Tenant)
        .where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
        .values(revision=Tenant.revision + 1)
        .execution_options(synchronize_session=False)
    )


def refuse(session: TenantSession, proposal_id: UUID, *, reason: str, now: datetime) -> None:
    """Refuse what was proposed, saying why."""
    locked_proposal(session, RateProposal, proposal_id, "refused")
    _move(session, proposal_id, "refused", now, reason)


def withdraw(session: TenantSession, proposal_id: UUID, *, now: datetime) -> None:
    """Give up a draft, or what was proposed."""
    locked_proposal(session, RateProposal, proposal_id, "withdrawn")
    _move(session, proposal_id, "withdrawn", now)


def _check_fits(session: TenantSession, proposal_id: UUID, changes: Sequence[Change]) -> None:
    """Refuse changes that no longer fit what is known, however many: two statements."""
    overtaken = rate_standing.fit(session, proposal_id).overtaken
    if overtaken is not None:
        now_is = next(iter(current(session, [overtaken])[0]), None)
        wanted = next(change.rate for change in changes if change.key == overtaken)
        raise Stale(
            f"The rate {overtaken} was changed meanwhile. Withdraw this and begin again.",
            current=_said(now_is.amount, now_is.valid_from) if now_is else {},
            submitted=_said(wanted.amount, wanted.valid_from) if wanted else {},
        )
    for overlap in rate_standing.standing_with(session, proposal_id).of("overlap")[:1]:
        raise RatesOverlap(f"{overlap.message} Nothing was changed.", field="valid_from")


def _move(
    session: TenantSession, proposal_id: UUID, state: str, now: datetime, reason: str | None = None
) -> None:
    move_proposal(session, RateProposal, proposal_id, state, now, reason=reason)
    _told(session, now, f"rate:{VERBS[state]}", proposal_id, {})


def _told(
    session: TenantSession, now: datetime, action: str, proposal_id: UUID, detail: dict[str, Any]
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="rate_proposal",
        subject_id=proposal_id,
        detail=detail,
    )


def _said(amount: Decimal, valid_from: date | None) -> dict[str, str]:
    return {
        "price": plain(amount),
        "holds from": "" if valid_from is None else valid_from.isoformat(),
    }
