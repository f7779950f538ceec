"""Changes of pools: drafted by one person, approved by a second one, then held as a version.

A draft counts for nothing. Approved, it is stored as the next version of its pool and year, and the
partners whose part of the cost it changes are told (`pool_telling`). An old version comes back as a
new draft with its content, never by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select

from regional311.allocation.models import CostPool, PoolProposal
from regional311.allocation.pool_telling import Cause, changes_of, tell_payers
from regional311.allocation.pools import (
    PoolExists,
    PoolSaid,
    check_of_year,
    newest,
    save_pool,
    shares_of,
)
from regional311.allocation.year import read_year
from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput, NotFound, Stale
from regional311.tenancy.cut_offs import stamp
from regional311.tenancy.proposals import (
    STATES,
    VERBS,
    SecondPersonNeeded,
    listed_proposals,
    locked_proposal,
    move_proposal,
)

MAX_WORDS: Final = 500


class NothingChanges(InvalidInput):
    """What was sent says what holds already."""


def draft(
    session: TenantSession,
    key: str,
    fiscal_year: int,
    said: PoolSaid,
    *,
    why: str,
    now: datetime,
    new: bool = False,
    based_on: int | None = None,
    brings_back: int | None = None,
) -> UUID:
    """Keep a version as a draft, to be looked at and sent to a second person; return its id.

    `based_on` is the version that the form showed; without it, the one that holds.

    :raises PoolExists: when it is to be new and is there.
    :raises NothingChanges: when it says what holds.
    :raises Stale: when another version than the one that was shown holds.
    :raises InvalidInput: without a reason, or as `check_of_year` does.
    """
    reason = words(why, field="why")
    check_of_year(session, key, fiscal_year, said)
    holds = newest(session, key, fiscal_year)
    if holds is not None:
        if new:
            raise PoolExists(
                f"The pool {key} has an amount for {fiscal_year} already.", field="key"
            )
        if based_on is not None and holds.number != based_on:
            raise _overtaken(holds.number, based_on)
        if said_of(session, holds).as_json() == said.as_json():
            raise NothingChanges("Everything is as it was: there is nothing to propose.")
    scope = scope_of(session)
    proposal_id = new_id()
    put(
        session,
        PoolProposal(
            tenant_id=scope.tenant_id,
            id=proposal_id,
            state="draft",
            pool_key=key,
            fiscal_year=fiscal_year,
            based_on=None if holds is None else holds.number,
            brings_back=brings_back,
            content=said.as_json(),
            why=reason,
            proposed_by=scope.person_id,
            proposed_at=now,
        ),
    )
    _told(session, now, "pool:draft", proposal_id, {"key": key, "fiscal_year": fiscal_year})
    return proposal_id


def bring_back(
    session: TenantSession, key: str, fiscal_year: int, number: int, *, why: str, now: datetime
) -> UUID:
    """Draft a version that says again what an old one said; return the draft's id.

    :raises NotFound: when there is no such version.
    :raises NothingChanges: when that is what holds.
    """
    old = next(
        (each for each in versions(session, key, fiscal_year) if each.number == number), None
    )
    if old is None:
        raise NotFound("There is no such version.")
    said = said_of(session, old)
    return draft(session, key, fiscal_year, said, why=why, now=now, brings_back=number)


def versions(session: TenantSession, key: str, fiscal_year: int) -> list[CostPool]:
    """Every version of a pool of a year, the newest first."""
    return list(
        session.execute(
            select(CostPool)
            .where(
                CostPool.tenant_id == scope_of(session).tenant_id,
                CostPool.key == key,
                CostPool.fiscal_year == fiscal_year,
            )
            .order_by(CostPool.number.desc())
        ).scalars()
    )


def said_of(session: TenantSession, version: CostPool) -> PoolSaid:
    """What a version says."""
    return PoolSaid.of_row(version, shares_of(session, [version.id])[version.id])


def proposals(
    session: TenantSession,
    *,
    key: str | None = None,
    states: Iterable[str] = STATES,
    before: UUID | None = None,
    limit: int | None = None,
) -> list[Row[Any]]:
    """This partner's drafts and what became of them, the latest first, without their content.

    A page begins after the proposal `before`.
    """
    asked = [] if key is None else [PoolProposal.pool_key == key]
    return listed_proposals(
        session, PoolProposal, *asked, states=states, before=before, limit=limit
    )


def tied_methods(session: TenantSession, proposal: Any) -> list[str]:
    """The names of pools that would take another method with this one, because they are tied."""
    method = proposal.content["method"]
    year = read_year(session, proposal.fiscal_year)
    if proposal.pool_key not in year.pools:
        return []
    return [
        each.name
        for each in year.perhaps_with(proposal.pool_key)
        if each.key != proposal.pool_key and each.method != method
    ]


def send_for_approval(session: TenantSession, proposal_id: UUID, *, now: datetime) -> None:
    """Ask a second person to approve a draft.

    :raises Stale: when another version was stored meanwhile.
    """
    proposal = _locked(session, proposal_id, "proposed")
    _check_newest(session, proposal)
    _move(session, proposal, "proposed", now)


def approve(
    session: TenantSession,
    proposal_id: UUID,
    *,
    addresses: Mapping[str, str] = MappingProxyType({}),
    now: datetime,
) -> int:
    """Store a proposed version and tell those whose part changes; return its number.

    `addresses` has the e-mail of bodies outside, by target (`chargeback.cost_changes`).

    :raises SecondPersonNeeded: when nobody, or the person who drafted it, approves.
    :raises Conflict: when it is not waiting for approval.
    :raises Stale: when another version was stored meanwhile.
    """
    scope = scope_of(session)
    proposal = _locked(session, proposal_id, "approved")
    if scope.person_id is None or scope.person_id == proposal.proposed_by:
        raise SecondPersonNeeded("Whoever drafted this cannot approve it; a second person must.")
    since = stamp(session, now)
    _check_newest(session, proposal)
    before = read_year(session, proposal.fiscal_year)
    stored = save_pool(
        session,
        proposal.pool_key,
        proposal.fiscal_year,
        PoolSaid.of_json(proposal.content),
        now=since,
        made_by=proposal.proposed_by,
        why=proposal.why,
        new=proposal.based_on is None,
    )
    after = read_year(session, proposal.fiscal_year, starts_in=before.starts_in)
    _move(session, proposal, "approved", now, number=stored.number)
    cause = Cause(
        stored.id, stored.name, stored.fiscal_year, stored.number, stored.why, pool=stored.key
    )
    changes = changes_of(before, after, [stored.key])
    tell_payers(session, cause, changes, addresses=addresses, now=now)
    return stored.number


def refuse(session: TenantSession, proposal_id: UUID, *, reason: str, now: datetime) -> None:
    """Refuse what was proposed, saying why."""
    proposal = _locked(session, proposal_id, "refused")
    _move(session, proposal, "refused", now, reason=words(reason, field="reason"))


def withdraw(session: TenantSession, proposal_id: UUID, *, now: datetime) -> None:
    """Give up a draft, or what was proposed."""
    _move(session, _locked(session, proposal_id, "withdrawn"), "withdrawn", now)


def overtaken(session: TenantSession, proposal: Any) -> bool:
    """Whether another version than the one that a proposal follows holds by now."""
    holds = newest(session, proposal.pool_key, proposal.fiscal_year)
    return bool((None if holds is None else holds.number) != proposal.based_on)


def _check_newest(session: TenantSession, proposal: Any) -> None:
    if overtaken(session, proposal):
        holds = newest(session, proposal.pool_key, proposal.fiscal_year)
        raise _overtaken(None if holds is None else holds.number, proposal.based_on)


def _overtaken(now: int | None, shown: int | None) -> Stale:
    return Stale(
        "Another version of this pool was stored meanwhile. Withdraw this and begin again.",
        current={"version": str(now or "")},
        submitted={"version": str(shown or "")},
    )


def _locked(session: TenantSession, proposal_id: UUID, wanted: str) -> Any:
    return locked_proposal(session, PoolProposal, proposal_id, wanted)


def _move(session: TenantSession, proposal: Any, state: str, now: datetime, **values: Any) -> None:
    move_proposal(session, PoolProposal, proposal.id, state, now, **values)
    detail = {"key": proposal.pool_key, "fiscal_year": proposal.fiscal_year}
    _told(session, now, f"pool:{VERBS[state]}", proposal.id, detail)


def words(text: str, *, field: str) -> str:
    """The reason of a change; refused when it is empty or too long."""
    found = text.strip()
    if not found or len(found) > MAX_WORDS:
        raise InvalidInput(f"Give a reason of at most {MAX_WORDS} characters.", field=field)
    return found


def _told(
    session: TenantSession, now: datetime, action: str, proposal_id: UUID, detail: dict[str, Any]
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="pool_proposal",
        subject_id=proposal_id,
        detail=detail,
    )
