"""Make the database what the files say, in one transaction, or change nothing.

What is in force stays: prices, rules, policies and agreements get new versions, a thing that is
left out ends today. Each change is in the audit trail of its partner. Applied by an operator,
files publish; applied as a person they reach one partner, with that person's rights, and rules
wait for somebody else's approval.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, func, select, text

from regional311.audit.service import audit_row
from regional311.catalog import versions
from regional311.catalog.kinds import KINDS as VERSIONED
from regional311.catalog.refresh import refresh, together
from regional311.config.files import RegionFiles, load, read_region
from regional311.config.objects import Desk, RateKind
from regional311.config.plan import (
    NOBODY,
    Compared,
    Item,
    Plan,
    Sides,
    Verdict,
    chosen,
    compare,
    tenant_ids,
)
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, acting_for, session_scope
from regional311.errors import Conflict, Forbidden
from regional311.identity.models import Membership
from regional311.identity.permissions import Permissions, permissions_of
from regional311.tenancy.cut_offs import stamp
from regional311.tenancy.models import ConfiguredObject
from regional311.tenancy.revision import raise_revision

_SAID_OF_SERVICES = {"tenant", "bureau", "organization", "location", "taxonomy", "service"}
_SAID_OF_ARTICLES = {"tenant", "article"}
_READ_BY_RUNS = {"rate", "pool", "base", "base_snapshot"}
"""Kinds of things that search documents tell of."""

APPLY_LOCK = 311_0001
"""Key of the advisory lock that lets one apply run at a time."""


class ChangedOnBothSides(Conflict):
    """Things were changed in the files and in the forms since they last agreed."""

    def __init__(self, plan: Plan) -> None:
        lines = [
            "Nothing was applied: these were changed in the file and in the forms.",
            str(Plan(plan.conflicts)),
        ]
        super().__init__("\n".join(lines))
        self.plan = plan


class NeedsApproval(Forbidden):
    """Two partners sign this; files applied as one person cannot change it."""


@dataclass(frozen=True)
class Applied:
    """What an apply did; `str` is the readable form."""

    plan: Plan
    drafts: tuple[Item, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give what was done for programs."""
        return {
            **self.plan.as_dict(),
            "drafts": [{"tenant": each.tenant, "kind": each.kind} for each in self.drafts],
        }

    def __str__(self) -> str:
        counts = Counter(item.verdict for item in self.plan.changes)
        if not counts:
            return "No changes."
        done = ", ".join(f"{counts[each]} {each.value}" for each in Verdict if counts[each])
        waiting = [f"{each.tenant}: {each.name} waits for approval." for each in self.drafts]
        return "\n".join([f"{done}.", *waiting])


def apply_directories(engine: Engine, tenants: Path, policies: Path, *, now: datetime) -> Applied:
    """Apply two directories as an operator does; see `apply`."""
    return apply(engine, load(tenants, policies), now=now)


def apply(
    engine: Engine,
    source: Path | RegionFiles,
    *,
    now: datetime,
    tenant: str | None = None,
    person: str | None = None,
) -> Applied:
    """Apply the files below `source`, for every partner or for one.

    With `person` (an e-mail address, together with `tenant`) it has that person's rights. Raises
    `ConfigInvalid` for wrong files, `ChangedOnBothSides` for conflicts, `AlreadyInForce` for what
    would rewrite history, `Forbidden` and `NeedsApproval` for what the person may not do; then
    nothing is changed.
    """
    files = source if isinstance(source, RegionFiles) else read_region(source)
    if person is not None and tenant is None:
        raise Forbidden("Applied as a person, files reach one partner: name it.", field="tenant")
    with session_scope(engine, NOBODY) as session:
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": APPLY_LOCK})
        known = tenant_ids(session)
        ids = known | {
            each.slug: new_id() for each in files.every_tenant() if each.slug not in known
        }
        partners = sorted(chosen(files, tenant), key=lambda each: ids[each.slug])
        plans: list[Item] = []
        drafts: list[Item] = []
        every: list[Sides] = []
        for each in partners:
            with acting_for(session, ids[each.slug]):
                sides = compare(session, files, each, ids, fresh=each.slug not in known, now=now)
            every.append(sides)
            plans.extend(one.item for one in sides.compared)
        plan = Plan(tuple(plans))
        if plan.conflicts:
            raise ChangedOnBothSides(plan)
        for sides in every:
            with acting_for(session, sides.desk.tenant_id):
                if person is not None:
                    _act_as(session, sides, person)
                drafts.extend(_write(session, sides))
    return Applied(plan, tuple(drafts))


def _act_as(session: TenantSession, sides: Sides, person: str) -> None:
    """Check a person's rights over everything that would change, and act in their name."""
    member = session.execute(
        select(Membership).where(
            Membership.tenant_id == sides.desk.tenant_id,
            func.lower(Membership.email) == person.lower(),
            Membership.ended_at.is_(None),
        )
    ).scalar_one_or_none()
    if member is None:
        raise Forbidden(f"{person} does not work for {sides.slug}.")
    allowed = permissions_of(member.roles)
    changes = [one for one in sides.compared if _moves(one)]
    for one in changes:
        if one.kind.permission not in allowed:
            raise Forbidden(f"{person} may not change {one.item.name}: {one.kind.permission}.")
        if one.kind.needs_approval:
            raise NeedsApproval(f"{one.item.name}: two partners sign it; an operator applies it.")
    sides.desk.person_id = member.person_id
    sides.desk.drafts = True
    if Permissions.SERVICE_PUBLISH not in allowed:
        for one in changes:
            if one.kind.name in VERSIONED and one.said is None:
                raise Forbidden(
                    f"{person} may not end {one.item.name}: {Permissions.SERVICE_PUBLISH}."
                )
        sides.drafted = {
            (one.kind.name, one.item.key) for one in changes if one.kind.name in VERSIONED
        }


def _moves(one: Compared) -> bool:
    return one.item.verdict in (Verdict.ADDED, Verdict.CHANGED, Verdict.ENDED)


def _write(session: TenantSession, sides: Sides) -> list[Item]:
    desk = sides.desk
    moved = [one for one in sides.compared if _moves(one)]
    if not desk.fresh and any(one.item.kind in _READ_BY_RUNS for one in moved):
        desk.now = stamp(session, desk.now)
    drafts: list[Item] = []
    for one in moved:
        if isinstance(one.kind, RateKind) and one.stored is not None:
            one.kind.release(desk, one.stored)
    with together(session):
        for one in moved:
            if (one.kind.name, one.item.key) in sides.drafted:
                _draft(one, desk)
                drafts.append(one.item)
                continue
            subject = _move(one, desk)
            _audit(session, one, desk, subject)
            if desk.drafts and one.item.kind == "rules":
                drafts.append(one.item)
        kinds = {one.item.kind for one in moved}
        if kinds & _SAID_OF_SERVICES:
            refresh(session, "service")
        if kinds & _SAID_OF_ARTICLES:
            refresh(session, "article")
    _agree(session, sides)
    if moved and not desk.fresh:
        raise_revision(session)
    send(session)
    return drafts


def _move(one: Compared, desk: Desk) -> UUID:
    key, stored = one.item.key, one.stored
    if one.said is None:
        assert stored is not None
        one.kind.end(desk, key, stored)
        return stored.id
    if one.item.verdict is Verdict.ADDED:
        return one.kind.add(desk, key, one.said, stored)
    assert stored is not None
    return one.kind.change(desk, key, one.said, stored)


def _draft(one: Compared, desk: Desk) -> None:
    """Leave what the catalogue is to say as a draft of what is published, or of a new thing."""
    session, kind, key = desk.session, one.kind.name, one.item.key
    rows = versions.history(session, kind, key)
    seen = next((row.number for row in rows if row.state == "published"), None)
    if seen is None:
        found = versions.opened(session, kind, key)
        seen = None if found is None else found.number
    versions.save_draft(
        session,
        kind,
        one.kind.content(one.said),
        seen=seen,
        now=desk.now,
        source="file",
        made_by=desk.person_id,
    )


def _audit(session: TenantSession, one: Compared, desk: Desk, subject: UUID) -> None:
    verb = {Verdict.ADDED: "add", Verdict.CHANGED: "change", Verdict.ENDED: "end"}
    if desk.drafts and one.item.kind == "rules":
        action = "rules:draft"
    else:
        action = f"{one.item.kind}:{verb[one.item.verdict]}"
    row = audit_row(
        desk.tenant_id,
        at=desk.now,
        action=action,
        subject_kind=one.item.kind,
        subject_id=subject,
        person_id=desk.person_id,
        detail={
            "key": one.item.key,
            "source": "files",
            "digest": one.digest,
            "fields": [each.field for each in one.item.fields][:50],
        },
    )
    put(session, row)


def _agree(session: TenantSession, sides: Sides) -> None:
    """Remember what both sides now agree on, also where they came to it by themselves."""
    desk = sides.desk
    known = {(row.kind, row.key): row for row in desk.rows(ConfiguredObject)}
    for one in sides.compared:
        kind, key = one.kind.name, one.item.key
        if one.item.verdict is Verdict.AHEAD or (kind, key) in sides.drafted:
            continue
        if one.item.verdict is Verdict.UNCHANGED and one.said is None:
            continue
        row = known.get((kind, key))
        if row is None:
            put(
                session,
                ConfiguredObject(
                    tenant_id=desk.tenant_id, id=new_id(), kind=kind, key=key, digest=one.digest
                ),
            )
        elif row.digest != one.digest:
            desk.change(ConfiguredObject, row.id, {"digest": one.digest})
