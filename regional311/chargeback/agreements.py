"""How an agreement comes into force: drafted, proposed, accepted, and published as a version.

Whoever drafts cannot propose: a second person of the same partner approves and signs. The other
party holds a row of its own with the same id and answers by its own approver; with acceptance the
version is published in the region's name, in the same transaction, and the version before ends on
the day on which the new one begins. An agreement with one's own bureaus or with an outside body
has no other party here: the second person's approval publishes it. What was billed stays: a version
cannot begin before the end of a period that has been billed under the agreement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import Range

from regional311.allocation.models import CostPool, PoolShare
from regional311.allocation.year import newest_pools
from regional311.audit.service import record
from regional311.catalog.models import Service
from regional311.chargeback.agreement_terms import problems
from regional311.chargeback.calendar import period_of
from regional311.chargeback.models import (
    Agreement,
    AgreementProposal,
    Rate,
    Statement,
    StatementEvent,
    StatementLine,
)
from regional311.database.ids import new_id
from regional311.database.locking import locked
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, Forbidden, InvalidInput
from regional311.exchange.service import tell
from regional311.tenancy.models import Bureau, Tenant
from regional311.tenancy.proposals import SecondPersonNeeded
from regional311.tenancy.revision import raise_revision

PROPOSAL: Final = "agreement_proposal"
ANSWER: Final = "agreement_answer"
STATES: Final = ("draft", "proposed", "accepted", "declined", "withdrawn")
OPEN: Final = ("draft", "proposed")
PAYER_RULES: Final = ("service_owner", "jurisdiction", "referrer", "line_owner")
ACTIVITIES: Final = (
    "contact_handled",
    "request_taken_in",
    "warm_transfer",
    "referral_closed",
    "after_hours_answer",
    "follow_up",
    "interpreter_minute",
    "lent_minute",
)
MAX_REASON: Final = 2000
NO_KEYS: Final = frozenset(
    {"new", "edit", "export", "search", "csv", "preview", "proposals", "calendar"}
)
"""Keys that would hide a page."""
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_ONE_LINE = re.compile(r"\S(.{0,198}\S)?")


class NotOurs(Forbidden):
    """Only a party to an agreement drafts, proposes and answers."""


class WorkAgreedAlready(Conflict):
    """Another agreement bills the same work to the same payer at the same time."""


class BilledAlready(Conflict):
    """A version would begin before the end of a period that was billed under the agreement."""


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that one version of an agreement says; days are half-open."""

    key: str
    name: str
    provider_id: UUID
    payer_id: UUID
    payer_kind: str
    payer_key: str | None
    activities: tuple[str, ...]
    payer_rule: str
    rate_card_key: str | None
    pool_key: str | None
    valid_from: date
    valid_to: date | None
    terms: dict[str, Any]

    @classmethod
    def of_row(cls, row: Any) -> Content:
        """What a version in the region's `agreements` says."""
        return cls(
            row.key,
            row.name,
            row.provider_id,
            row.payer_id,
            row.payer_kind,
            row.payer_key,
            tuple(row.activities),
            row.payer_rule,
            row.rate_card_key,
            row.pool_key,
            row.valid.lower,
            row.valid.upper,
            dict(row.terms),
        )

    @classmethod
    def of(cls, json: Mapping[str, Any]) -> Content:
        """What a proposal says, as `json` wrote it."""
        upper = json["valid_to"]
        return cls(
            **{
                **json,
                "provider_id": UUID(json["provider_id"]),
                "payer_id": UUID(json["payer_id"]),
                "activities": tuple(json["activities"]),
                "valid_from": date.fromisoformat(json["valid_from"]),
                "valid_to": date.fromisoformat(upper) if upper else None,
            }
        )

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            **asdict(self),
            "provider_id": str(self.provider_id),
            "payer_id": str(self.payer_id),
            "activities": list(self.activities),
            "valid_from": self.valid_from.isoformat(),
            "valid_to": self.valid_to.isoformat() if self.valid_to else None,
        }

    @property
    def valid(self) -> Range[date]:
        """The days on which it holds."""
        return Range(self.valid_from, self.valid_to, bounds="[)")

    def other_party(self, me: UUID) -> UUID | None:
        """The party across the table; none when the payer is no partner."""
        if self.payer_kind != "partner":
            return None
        return self.payer_id if self.provider_id == me else self.provider_id


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signs, as what, on which day."""

    name: str
    title: str
    on: date


@dataclass(frozen=True, slots=True)
class Step:
    """What became of a proposal: its state, its row's version, and the version published."""

    id: UUID
    state: str
    version: int
    published_version: int | None = None


# --- drafting -------------------------------------------------------------------------------------


def draft(
    session: TenantSession, content: Content, *, note: str | None = None, now: datetime
) -> UUID:
    """Draft a new agreement, or a new version of one; nobody else sees it yet.

    Raises `InvalidInput` naming the field, `NotOurs`, and `Conflict` for a key that is taken, for
    other parties than before, and beside another proposal that is still open.
    """
    based_on = _check(session, content)
    me = scope_of(session)
    waiting = session.execute(
        select(AgreementProposal.id).where(
            AgreementProposal.tenant_id == me.tenant_id,
            AgreementProposal.agreement_key == content.key,
            AgreementProposal.state.in_(OPEN),
        )
    ).first()
    if waiting is not None:
        raise Conflict("Another proposal for this agreement is still open.", field="key")
    proposal_id = new_id()
    put(
        session,
        AgreementProposal(
            tenant_id=me.tenant_id,
            id=proposal_id,
            side="drafted",
            counterparty_id=content.other_party(me.tenant_id),
            agreement_key=content.key,
            based_on=based_on,
            content=content.json(),
            note=_text(note),
            state="draft",
            signatures=[],
            drafted_by=me.person_id,
            drafted_at=now,
            version=1,
        ),
    )
    _audit(session, now, "agreement:draft", proposal_id, content.key)
    return proposal_id


def edit(
    session: TenantSession,
    proposal_id: UUID,
    content: Content,
    *,
    version: int,
    note: str | None = None,
    now: datetime,
) -> Step:
    """Change a draft; whoever does is its drafter from then on.

    Raises `Stale` when somebody else changed it, and what `draft` raises.
    """
    found = _locked(session, proposal_id, version, {"state": "draft"})
    _standing(found, "draft")
    if content.key != found.agreement_key:
        raise InvalidInput("A proposal keeps its key.", field="key")
    based_on = _check(session, content)
    changed = _change(
        session,
        found,
        content=content.json(),
        counterparty_id=content.other_party(scope_of(session).tenant_id),
        based_on=based_on,
        note=_text(note),
        drafted_by=scope_of(session).person_id,
        drafted_at=now,
    )
    _audit(session, now, "agreement:edit", proposal_id, content.key)
    return changed


# --- proposing and answering ----------------------------------------------------------------------


def propose(
    session: TenantSession, proposal_id: UUID, *, version: int, signed: Signed, now: datetime
) -> Step:
    """Approve and sign a draft as a second person; it goes to the other party, or into force.

    Raises `SecondPersonNeeded` for the drafter, and what publishing raises when nobody else must
    agree.
    """
    found = _locked(session, proposal_id, version, {"state": "proposed"})
    _standing(found, "draft")
    me = scope_of(session)
    if me.person_id is None or me.person_id == found.drafted_by:
        raise SecondPersonNeeded("Whoever drafted this cannot approve it; a second person must.")
    content = Content.of(found.content)
    _check(session, content)
    signatures = [_signature(session, signed)]
    said = {"signatures": signatures, "proposed_by": me.person_id, "proposed_at": now}
    if found.counterparty_id is None:
        published = _publish(session, content, found.based_on, signatures, now)
        _audit(session, now, "agreement:accept", proposal_id, content.key)
        return _change(session, found, state="accepted", published_version=published, **said)
    tell(
        session,
        to=found.counterparty_id,
        kind=PROPOSAL,
        subject_id=proposal_id,
        payload={"content": found.content, "note": found.note, "signatures": signatures},
        now=now,
    )
    row = AgreementProposal(
        tenant_id=found.counterparty_id,
        id=proposal_id,
        side="received",
        counterparty_id=me.tenant_id,
        agreement_key=found.agreement_key,
        based_on=found.based_on,
        content=found.content,
        note=found.note,
        state="proposed",
        signatures=signatures,
        drafted_by=None,
        drafted_at=found.drafted_at,
        proposed_by=None,
        proposed_at=now,
        version=1,
    )
    changed = _change(session, found, state="proposed", **said)
    _audit(session, now, "agreement:propose", proposal_id, content.key)
    with acting_for(session, row.tenant_id):
        put(session, row)
        _audit(session, now, "agreement:receive", proposal_id, content.key)
    return changed


def accept(
    session: TenantSession, proposal_id: UUID, *, version: int, signed: Signed, now: datetime
) -> Step:
    """Accept and sign what the other party proposed: the version is published at once.

    Raises `Conflict` when the agreement has changed meanwhile, `BilledAlready` and
    `WorkAgreedAlready`.
    """
    found = _answered(session, proposal_id, version, "accepted")
    content = Content.of(found.content)
    signatures = [*found.signatures, _signature(session, signed)]
    published = _publish(session, content, found.based_on, signatures, now)
    return _answer(
        session,
        found,
        now=now,
        action="agreement:accept",
        state="accepted",
        signatures=signatures,
        published_version=published,
    )


def decline(
    session: TenantSession, proposal_id: UUID, *, version: int, reason: str, now: datetime
) -> Step:
    """Decline what the other party proposed, with a reason that it reads."""
    found = _answered(session, proposal_id, version, "declined")
    return _answer(
        session,
        found,
        now=now,
        action="agreement:decline",
        state="declined",
        reason=_reason(reason),
    )


def withdraw(
    session: TenantSession, proposal_id: UUID, *, version: int, reason: str, now: datetime
) -> Step:
    """Take back one's own draft or proposal, with a reason."""
    found = _locked(session, proposal_id, version, {"state": "withdrawn"})
    if found.side != "drafted":
        raise NotOurs("Only the side that drafted a proposal withdraws it; decline it instead.")
    _standing(found, *OPEN)
    said = {"state": "withdrawn", "reason": _reason(reason)}
    if found.state == "draft":
        changed = _change(session, found, answered_at=now, **said)
        _audit(session, now, "agreement:withdraw", proposal_id, found.agreement_key)
        return changed
    return _answer(session, found, now=now, action="agreement:withdraw", **said)


def _answered(
    session: TenantSession, proposal_id: UUID, version: int, state: str
) -> AgreementProposal:
    found = _locked(session, proposal_id, version, {"state": state})
    if found.side != "received":
        raise NotOurs("The other party answers a proposal; the side that made it may withdraw it.")
    _standing(found, "proposed")
    if scope_of(session).person_id is None:
        raise SecondPersonNeeded("A proposal is answered by a person.")
    return found


def _answer(
    session: TenantSession,
    found: AgreementProposal,
    *,
    now: datetime,
    action: str,
    **said: Any,
) -> Step:
    """Write the end of a proposal on both sides and tell the other one."""
    key, proposal_id, other_id = found.agreement_key, found.id, found.counterparty_id
    assert other_id is not None
    state = said["state"]
    changed = _change(
        session, found, answered_by=scope_of(session).person_id, answered_at=now, **said
    )
    _audit(session, now, action, proposal_id, key)
    tell(
        session,
        to=other_id,
        kind=ANSWER,
        subject_id=proposal_id,
        payload={"state": state, "reason": said.get("reason"), "at": now.isoformat()},
        now=now,
    )
    with acting_for(session, other_id):
        other = _locked(session, proposal_id, None, {})
        _change(session, other, answered_at=now, **said)
        _audit(session, now, action, proposal_id, key)
    return changed


# --- what a version must be -----------------------------------------------------------------------


def _check(session: TenantSession, content: Content) -> int | None:
    """Refuse a version that could not be published; give the version that it amends."""
    me = scope_of(session).tenant_id
    _check_fields(content)
    if me not in (content.provider_id, content.payer_id):
        raise NotOurs("Only a party to an agreement may draft it.")
    versions = _versions(session, content.key)
    newest = versions[-1] if versions else None
    if newest is not None:
        before = (newest.provider_id, newest.payer_id, newest.payer_kind, newest.payer_key)
        after = (content.provider_id, content.payer_id, content.payer_kind, content.payer_key)
        if me not in (newest.provider_id, newest.payer_id):
            raise Conflict("This key is another agreement's; choose another.", field="key")
        if before != after:
            raise Conflict(
                "The parties of an agreement stay; draft a new agreement for others.",
                field="payer",
            )
        if content.valid_from <= newest.valid.lower:
            raise InvalidInput(
                f"The new version must begin after {newest.valid.lower.isoformat()}, when version"
                f" {newest.version} began.",
                field="valid_from",
            )
    _check_prefix(session, content)
    _check_card(session, content)
    _check_named(session, content)
    _check_alone(session, content)
    return newest.version if newest is not None else None


def _check_fields(content: Content) -> None:
    if not (_KEY.fullmatch(content.key) and len(content.key) <= 60):
        raise InvalidInput(
            "Write the key in small letters, digits and single hyphens.", field="key"
        )
    if content.key in NO_KEYS:
        raise InvalidInput(f"{content.key} is the address of a page; choose another.", field="key")
    if not _ONE_LINE.fullmatch(content.name):
        raise InvalidInput("Give the agreement a name of at most 200 characters.", field="name")
    if content.valid_to is not None and content.valid_to <= content.valid_from:
        raise InvalidInput("It must end after it begins.", field="valid_to")
    if content.payer_kind == "partner" and content.payer_id == content.provider_id:
        raise InvalidInput("A partner does not bill itself; its bureaus may pay.", field="payer")
    if not content.activities and content.pool_key is None:
        raise InvalidInput("It bills nothing: name activities or a pool.", field="activities")
    if bool(content.activities) != (content.rate_card_key is not None):
        raise InvalidInput("Activities, and only these, need a rate card.", field="rate_card")
    if unknown := sorted(set(content.activities) - set(ACTIVITIES)):
        raise InvalidInput(f"{unknown[0]} is no activity that is metered.", field="activities")
    if content.payer_rule not in PAYER_RULES:
        raise InvalidInput("Choose the rule by which the payer is found.", field="payer_rule")
    wrong = problems(content.terms)
    if wrong:
        raise InvalidInput(". ".join(wrong) + ".", field=re.split(r"[.:\[]", wrong[0])[0])
    if content.terms.get("supersedes") == content.key:
        raise InvalidInput("An agreement does not replace itself.", field="supersedes")
    outside = content.terms.get("outside")
    if (content.payer_kind == "outside") != (outside is not None):
        raise InvalidInput("An outside body needs a name and an address.", field="outside")


def _check_prefix(session: TenantSession, content: Content) -> None:
    others = session.execute(
        select(Agreement.provider_id, Agreement.terms["number_prefix"].astext)
        .where(~func.isempty(Agreement.valid))
        .distinct()
    )
    wanted = content.terms["number_prefix"]
    for provider_id, prefix in others:
        if prefix and (provider_id == content.provider_id) != (prefix == wanted):
            raise InvalidInput(
                f"A provider numbers its statements with one prefix of its own, not {wanted}."
                if provider_id != content.provider_id
                else f"The provider numbers its statements with {prefix}.",
                field="number_prefix",
            )


def _check_card(session: TenantSession, content: Content) -> None:
    if content.rate_card_key is None:
        return
    known = session.execute(
        select(
            exists().where(
                Rate.tenant_id == content.provider_id, Rate.card_key == content.rate_card_key
            )
        )
    ).scalar_one()
    if not known:
        raise InvalidInput(
            f"The provider has no rate card {content.rate_card_key}.", field="rate_card"
        )


def _check_named(session: TenantSession, content: Content) -> None:
    """The pool, the bureau and the services that a version names must be the provider's."""
    services = content.terms.get("services") or []
    known = set(
        session.execute(
            select(Service.key).where(
                Service.tenant_id == content.provider_id, Service.key.in_(services)
            )
        ).scalars()
    )
    if missing := [each for each in services if each not in known]:
        raise InvalidInput(f"The provider has no service {missing[0]}.", field="services")
    if content.payer_kind == "bureau" and content.payer_key is not None:
        there = session.execute(
            select(
                exists().where(
                    Bureau.tenant_id == content.provider_id, Bureau.key == content.payer_key
                )
            )
        ).scalar_one()
        if not there:
            raise InvalidInput(f"The provider has no bureau {content.payer_key}.", field="payer")
    if content.payer_kind == "outside":
        taken = session.execute(
            select(exists().where(Tenant.id == Tenant.tenant_id, Tenant.slug == content.payer_key))
        ).scalar_one()
        if taken or not _KEY.fullmatch(content.payer_key or ""):
            raise InvalidInput(
                "Give the outside body a short name in small letters, digits and hyphens that is"
                " no partner's.",
                field="payer",
            )
    if content.pool_key is not None:
        _check_pool(session, content)


def _check_pool(session: TenantSession, content: Content) -> None:
    """The payer must bear a part of the pool; who bears one by a base is known when it is read."""
    with _as(session, content.provider_id):
        rows = session.execute(
            select(CostPool.base_key, PoolShare.payer_slug)
            .outerjoin(
                PoolShare,
                (PoolShare.tenant_id == CostPool.tenant_id) & (PoolShare.pool_id == CostPool.id),
            )
            .where(
                CostPool.tenant_id == content.provider_id,
                CostPool.id.in_(
                    newest_pools(content.provider_id, CostPool.key == content.pool_key)
                ),
            )
        ).all()
    if not rows:
        raise InvalidInput(f"The provider has no pool {content.pool_key}.", field="pool")
    if any(row.base_key is not None for row in rows):
        return
    bearers = {str(row.payer_slug) for row in rows}
    if content.payer_kind == "bureau" and content.payer_key is None:
        bears = any(each.startswith("bureau:") for each in bearers)
    elif content.payer_kind == "partner":
        bears = _slug(session, content.payer_id) in bearers
    else:
        bears = f"{content.payer_kind}:{content.payer_key}" in bearers
    if not bears:
        raise InvalidInput(f"The payer has no share in {content.pool_key}.", field="pool")


def _check_alone(session: TenantSession, content: Content) -> None:
    """No piece of work may be billed to one payer under two agreements."""
    rows = session.execute(
        select(Agreement).where(
            Agreement.provider_id == content.provider_id,
            Agreement.payer_id == content.payer_id,
            Agreement.payer_kind == content.payer_kind,
            Agreement.key != content.key,
            Agreement.valid.overlaps(content.valid),
        )
    ).scalars()
    for row in rows:
        if not _same_payer(row, content):
            continue
        mine, theirs = content.terms.get("services"), row.terms.get("services")
        if mine and theirs and not set(mine) & set(theirs):
            continue
        both = sorted(set(row.activities) & set(content.activities))
        if content.pool_key is not None and content.pool_key == row.pool_key:
            both.append(content.pool_key)
        if both:
            raise WorkAgreedAlready(
                f"{row.name} bills this payer for {', '.join(both)} already.", field="activities"
            )


def _same_payer(row: Any, content: Content) -> bool:
    keys = {row.payer_key, content.payer_key}
    return len(keys) == 1 or (content.payer_kind == "bureau" and None in keys)


# --- publishing -----------------------------------------------------------------------------------


def _publish(
    session: TenantSession,
    content: Content,
    based_on: int | None,
    signatures: Iterable[Mapping[str, Any]],
    now: datetime,
) -> int:
    """Put a version among the region's agreements; the one before ends as it begins."""
    region_id = session.execute(
        select(Tenant.id).where(Tenant.kind == "region", Tenant.id == Tenant.tenant_id)
    ).scalar_one()
    _check_alone(session, content)
    _check_unbilled(session, content)
    with acting_for(session, region_id):
        raise_revision(session)
        versions = _versions(session, content.key)
        newest = versions[-1] if versions else None
        if (newest.version if newest else None) != based_on:
            raise Conflict(
                "The agreement has changed since this was drafted; withdraw it and draft anew."
            )
        if newest is not None and (
            newest.valid.upper is None or newest.valid.upper > content.valid_from
        ):
            session.execute(
                update(Agreement)
                .where(Agreement.tenant_id == region_id, Agreement.id == newest.id)
                .values(valid=Range(newest.valid.lower, content.valid_from, bounds="[)"))
                .execution_options(synchronize_session=False)
            )
        number = _next_version(session, region_id, content.key)
        row_id = new_id()
        put(
            session,
            Agreement(
                tenant_id=region_id,
                id=row_id,
                key=content.key,
                version=number,
                name=content.name,
                provider_id=content.provider_id,
                payer_id=content.payer_id,
                payer_kind=content.payer_kind,
                payer_key=content.payer_key,
                activities=list(content.activities),
                payer_rule=content.payer_rule,
                rate_card_key=content.rate_card_key,
                pool_key=content.pool_key,
                valid=content.valid,
                terms={**content.terms, "signatures": [dict(each) for each in signatures]},
            ),
        )
        send(session)
        record(
            session,
            now=now,
            action="agreement:publish",
            subject_kind="agreement",
            subject_id=row_id,
            detail={"key": content.key, "version": number, "source": "forms"},
        )
        mark_changed(session)
    return number


def _check_unbilled(session: TenantSession, content: Content) -> None:
    issued = exists().where(
        StatementEvent.tenant_id == Statement.tenant_id,
        StatementEvent.statement_id == Statement.id,
        StatementEvent.state == "issued",
    )
    billed = (
        select(StatementLine.service_period)
        .join(
            Statement,
            (Statement.tenant_id == StatementLine.tenant_id)
            & (Statement.id == StatementLine.statement_id),
        )
        .where(
            StatementLine.tenant_id == content.provider_id,
            StatementLine.agreement_key == content.key,
            Statement.side == "issued",
            issued,
        )
        .distinct()
    )
    with _as(session, content.provider_id):
        periods = list(session.execute(billed).scalars())
    ends = [found.end_on for each in periods if (found := period_of(each)) is not None]
    if ends and content.valid_from < max(ends):
        raise BilledAlready(
            f"Work before {max(ends).isoformat()} has been billed under this agreement; let the new"
            " version begin on that day or later.",
            field="valid_from",
        )


def _versions(session: TenantSession, key: str) -> list[Row[Any]]:
    table = Agreement.__table__
    return list(
        session.execute(
            select(table)
            .where(table.c.key == key, ~func.isempty(table.c.valid))
            .order_by(table.c.version)
        )
    )


def _next_version(session: TenantSession, region_id: UUID, key: str) -> int:
    highest = session.execute(
        select(func.max(Agreement.version)).where(
            Agreement.tenant_id == region_id, Agreement.key == key
        )
    ).scalar_one()
    return (highest or 0) + 1


# --- reading --------------------------------------------------------------------------------------


def versions(session: TenantSession, key: str) -> list[Row[Any]]:
    """Every version of an agreement that this partner is a party to, the oldest first."""
    me = scope_of(session).tenant_id
    return [
        row
        for row in _versions(session, key)
        if me in (row.tenant_id, row.provider_id, row.payer_id)
    ]


def proposals(
    session: TenantSession, *, key: str | None = None, states: Iterable[str] = STATES
) -> list[Row[Any]]:
    """This partner's proposals, drafted and received, the newest first."""
    table = AgreementProposal.__table__
    asked = [table.c.agreement_key == key] if key is not None else []
    return list(
        session.execute(
            select(table)
            .where(
                table.c.tenant_id == scope_of(session).tenant_id,
                table.c.state.in_(list(states)),
                *asked,
            )
            .order_by(table.c.drafted_at.desc(), table.c.id)
        )
    )


def parties(session: TenantSession, on: date | None = None) -> list[Row[Any]]:
    """Every version that has days and this partner as a party; on a day, those in force then."""
    table = Agreement.__table__
    me = scope_of(session).tenant_id
    asked = [table.c.valid.contains(on)] if on is not None else []
    return list(
        session.execute(
            select(table)
            .where(
                or_(table.c.tenant_id == me, table.c.provider_id == me, table.c.payer_id == me),
                ~func.isempty(table.c.valid),
                *asked,
            )
            .order_by(table.c.name, table.c.key, table.c.version)
        )
    )


def newest(rows: Iterable[Any]) -> list[Any]:
    """The newest version of each agreement among some."""
    found: dict[str, Any] = {}
    for row in rows:
        if row.key not in found or found[row.key].version < row.version:
            found[row.key] = row
    return list(found.values())


def amended(content: Content, **changes: Any) -> Content:
    """A content with some of its fields or terms changed; a term of None is taken away."""
    fields = {name: changes.pop(name) for name in list(changes) if hasattr(content, name)}
    terms = {**content.terms, **changes}
    kept = {name: value for name, value in terms.items() if value is not None}
    return replace(content, **fields, terms=kept)


# --- small steps ----------------------------------------------------------------------------------


def _locked(
    session: TenantSession, proposal_id: UUID, version: int | None, submitted: dict[str, Any]
) -> AgreementProposal:
    return locked(session, AgreementProposal, proposal_id, version, submitted, "proposal")


def _standing(found: AgreementProposal, *states: str) -> None:
    if found.state not in states:
        raise Conflict(f"This proposal is {found.state}; it cannot be changed any more.")


def _change(session: TenantSession, found: AgreementProposal, **values: Any) -> Step:
    after = found.version + 1
    session.execute(
        update(AgreementProposal)
        .where(
            AgreementProposal.tenant_id == found.tenant_id,
            AgreementProposal.id == found.id,
        )
        .values(version=after, **values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    return Step(found.id, values.get("state", "draft"), after, values.get("published_version"))


def _signature(session: TenantSession, signed: Signed) -> dict[str, Any]:
    for name in ("name", "title"):
        if not _ONE_LINE.fullmatch(getattr(signed, name)):
            raise InvalidInput(
                "Write who signs and as what, each in one line of at most 200 characters.",
                field=name,
            )
    slug = _slug(session, scope_of(session).tenant_id)
    return {"partner": slug, **asdict(signed), "on": signed.on.isoformat()}


def _slug(session: TenantSession, tenant_id: UUID) -> str:
    found: str = session.execute(
        select(Tenant.slug).where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
    ).scalar_one()
    return found


def _reason(reason: str) -> str:
    found = reason.strip()
    if not found or len(found) > MAX_REASON:
        raise InvalidInput(
            f"Give a reason of at most {MAX_REASON} characters; the other side reads it.",
            field="reason",
        )
    return found


def _text(note: str | None) -> str | None:
    found = (note or "").strip()
    if len(found) > MAX_REASON:
        raise InvalidInput(f"Write at most {MAX_REASON} characters.", field="note")
    return found or None


def _as(session: TenantSession, tenant_id: UUID) -> AbstractContextManager[Any]:
    if scope_of(session).tenant_id == tenant_id:
        return nullcontext()
    return acting_for(session, tenant_id)


def _audit(session: TenantSession, now: datetime, action: str, proposal_id: UUID, key: str) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="agreement_proposal",
        subject_id=proposal_id,
        detail={"key": key},
    )
