"""Changes of bases and their readings: drafted by one person, approved by a second one, then held.

A draft counts for nothing. Approved, it is stored as the next version of its base, or as the base's
next snapshot, and whoever bears another part of a pool because of it is told (`pool_telling`). What
was said before comes back as a new draft, never by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select

from regional311.allocation.bases import read_readings, snapshot_digest
from regional311.allocation.models import AllocationBase, BaseProposal, CostPool
from regional311.allocation.pool_changes import NothingChanges, words
from regional311.allocation.pool_telling import Cause, changes_of, tell_payers
from regional311.allocation.snapshots import (
    BaseSaid,
    KeyTaken,
    ReadingsSaid,
    check_base,
    check_readings,
    newest,
    save_base,
    snapshots_of,
    take_snapshot,
)
from regional311.allocation.year import Year, read_year
from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import NotFound, Stale
from regional311.tenancy.cut_offs import stamp
from regional311.tenancy.proposals import (
    STATES,
    VERBS,
    SecondPersonNeeded,
    listed_proposals,
    locked_proposal,
    move_proposal,
)

BASE: Final = "base"
READINGS: Final = "readings"


def draft(
    session: TenantSession,
    key: str,
    said: BaseSaid,
    *,
    why: str,
    now: datetime,
    new: bool = False,
    based_on: int | None = None,
    brings_back: int | None = None,
) -> UUID:
    """Keep a version as a draft, to be looked at and sent to a second person; return its id.

    `based_on` is the version that the form showed; without it, the newest.

    :raises KeyTaken: when it is to be new and is there.
    :raises NothingChanges: when it says what the newest version says.
    :raises Stale: when another version than the one that was shown is the newest.
    :raises InvalidInput: without a reason, or as `check_base` does.
    """
    said = check_base(session, key, said)
    holds = newest(session, key)
    if holds is not None:
        if new:
            raise KeyTaken(f"There is a base {key} already.", field="key")
        if based_on is not None and holds.number != based_on:
            raise _overtaken(holds.number, based_on)
        if BaseSaid.of_row(holds).as_json() == said.as_json():
            raise NothingChanges("Everything is as it was: there is nothing to propose.")
    number = None if holds is None else holds.number
    return _keep(session, BASE, key, said.as_json(), number, brings_back, why=why, now=now)


def draft_readings(
    session: TenantSession,
    key: str,
    said: ReadingsSaid,
    *,
    why: str,
    now: datetime,
    brings_back: int | None = None,
) -> UUID:
    """Keep readings as a draft, to be looked at and sent to a second person; return its id.

    :raises NothingChanges: when the newest snapshot says the same.
    :raises NotFound: when there is no such base, or no snapshot that is to come back.
    :raises InvalidInput: without a reason, or as `check_readings` does.
    """
    said = check_readings(session, key, said, now=now)
    past = snapshots_of(session, key)
    if brings_back is not None and brings_back not in {each.number for each in past}:
        raise NotFound("There is no such snapshot.")
    digest = snapshot_digest(said.as_of, said.source, read_readings(said.readings))
    if past and past[0].digest == digest:
        raise NothingChanges("These are the newest readings already.")
    based_on = past[0].number if past else None
    return _keep(session, READINGS, key, said.as_json(), based_on, brings_back, why=why, now=now)


def _keep(
    session: TenantSession,
    what: str,
    key: str,
    content: dict[str, Any],
    based_on: int | None,
    brings_back: int | None,
    *,
    why: str,
    now: datetime,
) -> UUID:
    scope = scope_of(session)
    proposal = BaseProposal(
        tenant_id=scope.tenant_id,
        id=new_id(),
        state="draft",
        what=what,
        base_key=key,
        based_on=based_on,
        brings_back=brings_back,
        content=content,
        why=words(why, field="why"),
        proposed_by=scope.person_id,
        proposed_at=now,
    )
    put(session, proposal)
    _told(session, now, "base:draft", proposal.id, {"key": key, "what": what})
    return proposal.id


def bring_back(session: TenantSession, key: str, number: int, *, why: str, now: datetime) -> UUID:
    """Draft a version that says again what an old one said; return the draft's id.

    :raises NotFound: when there is no such version.
    :raises NothingChanges: when that is what the newest says.
    """
    old = next((each for each in versions(session, key) if each.number == number), None)
    if old is None:
        raise NotFound("There is no such version.")
    return draft(session, key, BaseSaid.of_row(old), why=why, now=now, brings_back=number)


def versions(session: TenantSession, key: str) -> list[AllocationBase]:
    """Every version of a base, the newest first."""
    return list(
        session.execute(
            select(AllocationBase)
            .where(
                AllocationBase.tenant_id == scope_of(session).tenant_id, AllocationBase.key == key
            )
            .order_by(AllocationBase.number.desc())
        ).scalars()
    )


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
    asked = [] if key is None else [BaseProposal.base_key == key]
    return listed_proposals(
        session, BaseProposal, *asked, states=states, before=before, limit=limit
    )


def send_for_approval(session: TenantSession, proposal_id: UUID, *, now: datetime) -> None:
    """Ask a second person to approve a draft.

    :raises Stale: when it was overtaken meanwhile.
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
    """Store what was proposed and tell those whose part changes; return its number.

    `addresses` has the e-mail of bodies outside, by target (`chargeback.cost_changes`).

    :raises SecondPersonNeeded: when nobody, or the person who drafted it, approves.
    :raises Conflict: when it is not waiting for approval.
    :raises Stale: when it was overtaken meanwhile.
    """
    scope = scope_of(session)
    proposal = _locked(session, proposal_id, "approved")
    if scope.person_id is None or scope.person_id == proposal.proposed_by:
        raise SecondPersonNeeded("Whoever drafted this cannot approve it; a second person must.")
    since = stamp(session, now)
    _check_newest(session, proposal)
    before = [read_year(session, year) for year in _years(session)]
    number, stored_id = _stored(session, proposal, since)
    _move(session, proposal, "approved", now, number=number)
    key = proposal.base_key
    holds = newest(session, key)
    name = key if holds is None else holds.name
    for year in before:
        after = read_year(session, year.fiscal_year, starts_in=year.starts_in)
        cause = Cause(stored_id, name, year.fiscal_year, number, proposal.why, base=key)
        changes = changes_of(year, after, _divided_by(year, after, key))
        tell_payers(session, cause, changes, addresses=addresses, now=now)
    return number


def _stored(session: TenantSession, proposal: Any, since: datetime) -> tuple[int, UUID]:
    """Store a proposal's content; give its number, and the id of the version or snapshot."""
    if proposal.what == BASE:
        version = save_base(
            session,
            proposal.base_key,
            BaseSaid.of_json(proposal.content),
            now=since,
            made_by=proposal.proposed_by,
            why=proposal.why,
            new=proposal.based_on is None,
        )
        return version.number, version.id
    said = ReadingsSaid.of_json(proposal.content)
    take_snapshot(
        session, proposal.base_key, said, now=since, taken_by=proposal.proposed_by, why=proposal.why
    )
    newest_one = snapshots_of(session, proposal.base_key)[0]
    return newest_one.number, newest_one.id


def _years(session: TenantSession) -> list[int]:
    """The fiscal years in which this partner has pools."""
    return list(
        session.execute(
            select(CostPool.fiscal_year)
            .where(CostPool.tenant_id == scope_of(session).tenant_id)
            .distinct()
            .order_by(CostPool.fiscal_year)
        ).scalars()
    )


def _divided_by(before: Year, after: Year, base_key: str) -> set[str]:
    """The pools that were or are divided by a base, or by a mix that it is a part of."""
    return {
        key
        for year in (before, after)
        for key, pool in year.pools.items()
        if pool.base_key is not None and base_key in year.bases_in(pool.base_key)
    }


def refuse(session: TenantSession, proposal_id: UUID, *, reason: str, now: datetime) -> None:
    """Refuse what was proposed, saying why."""
    proposal = _locked(session, proposal_id, "refused")
    _move(session, proposal, "refused", now, reason=words(reason, field="reason"))


def withdraw(session: TenantSession, proposal_id: UUID, *, now: datetime) -> None:
    """Give up a draft, or what was proposed."""
    _move(session, _locked(session, proposal_id, "withdrawn"), "withdrawn", now)


def overtaken(session: TenantSession, proposal: Any) -> bool:
    """Whether another version than the one that a proposal follows is the newest by now.

    Readings are overtaken by newer ones of the same day; those of other days stand beside them.
    """
    return bool(_standing(session, proposal) != proposal.based_on)


def _standing(session: TenantSession, proposal: Any) -> int | None:
    if proposal.what == BASE:
        holds = newest(session, proposal.base_key)
        return None if holds is None else holds.number
    as_of = ReadingsSaid.of_json(proposal.content).as_of
    rivals = [
        each.number
        for each in snapshots_of(session, proposal.base_key)
        if each.as_of == as_of and each.number > (proposal.based_on or 0)
    ]
    return max(rivals, default=proposal.based_on)


def _check_newest(session: TenantSession, proposal: Any) -> None:
    standing = _standing(session, proposal)
    if standing != proposal.based_on:
        raise _overtaken(standing, proposal.based_on)


def _overtaken(now: int | None, shown: int | None) -> Stale:
    return Stale(
        "Something newer about this base was stored meanwhile. Withdraw this and begin again.",
        current={"version": str(now or "")},
        submitted={"version": str(shown or "")},
    )


def _locked(session: TenantSession, proposal_id: UUID, wanted: str) -> Any:
    return locked_proposal(session, BaseProposal, proposal_id, wanted)


def _move(session: TenantSession, proposal: Any, state: str, now: datetime, **values: Any) -> None:
    move_proposal(session, BaseProposal, proposal.id, state, now, **values)
    detail = {"key": proposal.base_key, "what": proposal.what}
    _told(session, now, f"base:{VERBS[state]}", proposal.id, detail)


def _told(
    session: TenantSession, now: datetime, action: str, proposal_id: UUID, detail: dict[str, Any]
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="base_proposal",
        subject_id=proposal_id,
        detail=detail,
    )
