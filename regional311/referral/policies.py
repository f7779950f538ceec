"""Writing what a partner takes from whom, and its own words for how far a referral is."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.catalog.checks import week_faults
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput, Stale
from regional311.referral.acceptance import Acceptance, Progress, acceptance_faults
from regional311.referral.models import AcceptancePolicy, ProgressWord
from regional311.strict import canonical, digest
from regional311.tenancy.revision import raise_revision


def seen_digest(row: Any) -> str:
    """A digest of a policy's row, by which its form notices that somebody changed it."""
    return digest({"said": row.said, "ended": row.ended_on is not None})


def write_policy(
    session: TenantSession,
    policy: Acceptance,
    known: UUID | None,
    *,
    now: datetime,
    seen: str | None = None,
) -> UUID:
    """Add a policy of the bound partner, or change the one ``known``; give its id.

    Senders see it at their next decision. Raises :class:`InvalidInput` for what is wrong with it,
    and :class:`Stale` when it is not as it was ``seen`` any more.
    """
    faults = list(acceptance_faults(policy))
    if policy.hours is not None:
        faults.extend(("hours", message) for _, message in week_faults(policy.hours, "hours"))
    for where, message in faults:
        raise InvalidInput(f"{message[:1].upper()}{message[1:]}.", field=where)
    row_id = known or new_id()
    values = {"said": canonical(policy), "ended_on": None}
    if known is None:
        put(session, _new(session, AcceptancePolicy, row_id, policy.key, values))
    else:
        if seen is not None:
            _check_seen(session, known, seen, policy)
        _change(session, AcceptancePolicy, row_id, values)
    _record(session, "acceptance:edit", row_id, policy.key, now)
    return row_id


def _check_seen(session: TenantSession, row_id: UUID, seen: str, policy: Acceptance) -> None:
    """Lock a policy's row, and refuse if somebody has changed it."""
    row = session.execute(
        select(AcceptancePolicy.said, AcceptancePolicy.ended_on)
        .where(
            AcceptancePolicy.tenant_id == scope_of(session).tenant_id,
            AcceptancePolicy.id == row_id,
        )
        .with_for_update()
    ).one()
    if seen_digest(row) != seen:
        raise Stale(
            "Somebody else has changed this.",
            current=dict(row.said),
            submitted=dict(canonical(policy)),
        )


def end_policy(
    session: TenantSession, row_id: UUID, key: str, *, today: date, now: datetime
) -> None:
    """End a policy: what it was about is taken as usual; writing it again brings it back."""
    _change(session, AcceptancePolicy, row_id, {"ended_on": today})
    _record(session, "acceptance:end", row_id, key, now)


def write_word(
    session: TenantSession, word: Progress, known: UUID | None, *, now: datetime
) -> UUID:
    """Add a word of the bound partner's own for how far a referral is, or change it."""
    row_id = known or new_id()
    values = {"name": word.name, "state": word.state, "ended_on": None}
    if known is None:
        put(session, _new(session, ProgressWord, row_id, word.key, values))
    else:
        _change(session, ProgressWord, row_id, values)
    _record(session, "progress:edit", row_id, word.key, now)
    return row_id


def end_word(session: TenantSession, row_id: UUID, key: str, *, today: date, now: datetime) -> None:
    """End a word: referrals that have it keep their common state."""
    _change(session, ProgressWord, row_id, {"ended_on": today})
    _record(session, "progress:end", row_id, key, now)


def _new(
    session: TenantSession, model: type[Any], row_id: UUID, key: str, values: dict[str, Any]
) -> Any:
    return new_row(model, tenant_id=scope_of(session).tenant_id, id=row_id, key=key, **values)


def _change(session: TenantSession, model: type[Any], row_id: UUID, values: dict[str, Any]) -> None:
    send(session)
    session.execute(
        update(model)
        .where(model.tenant_id == scope_of(session).tenant_id, model.id == row_id)
        .values(values),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)


def _record(session: TenantSession, action: str, row_id: UUID, key: str, now: datetime) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="acceptance",
        subject_id=row_id,
        detail={"key": key},
    )
    raise_revision(session)
