"""Versions of a partner's rules: the list of them, and the approval that lets a draft decide.

A draft decides nothing. A person other than its drafter approves it for a day; from then on it
decides, and the version before ends on that day. Versions are never edited or deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import Range

from regional311.audit.service import record
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound
from regional311.referral.drafting import OPEN, editors, refuse_unfit
from regional311.referral.models import RuleSet
from regional311.referral.rules import RuleBook, rules_from
from regional311.referral.rules import RuleSet as CompiledSet
from regional311.tenancy.revision import raise_revision

_VERSIONS = RuleSet.__table__


class DrafterMayNotApprove(Forbidden):
    """Whoever drafted the rules may not let them decide."""


class NoDraft(Conflict):
    """Only a draft can be approved."""


class NotChecked(Conflict):
    """A draft is checked before it is approved."""


class VersionBegins(InvalidInput):
    """A version would begin on or before the day on which the one it follows begins."""


def versions(session: TenantSession) -> list[Row]:  # type: ignore[type-arg]
    """Every version of this partner's rules, the newest first."""
    return list(
        session.execute(
            select(_VERSIONS)
            .where(_VERSIONS.c.tenant_id == scope_of(session).tenant_id)
            .order_by(_VERSIONS.c.version.desc())
        )
    )


def approve_rules(
    session: TenantSession,
    version: int,
    *,
    decides_from: date,
    today: date,
    now: datetime,
    problems: Callable[[Row], Sequence[str]],  # type: ignore[type-arg]
) -> None:
    """Let a checked draft decide from a day on; the version that decides until then ends there.

    `problems` gives the errors and the failed tests of the stored version on that day: the region
    may have changed since it was checked. Raises `NotFound`, `NoDraft`, `NotChecked`,
    `DrafterMayNotApprove`, `VersionBegins`, `Unfit`, or what is wrong with a rule that cannot be
    read.
    """
    scope = scope_of(session)
    rows = {
        row.version: row
        for row in session.execute(
            select(_VERSIONS)
            .where(_VERSIONS.c.tenant_id == scope.tenant_id)
            .order_by(_VERSIONS.c.version)
            .with_for_update()
        )
    }
    draft = rows.get(version)
    if draft is None:
        raise NotFound("There is no such version of the rules.")
    if draft.state not in OPEN:
        raise NoDraft("These rules were approved already, or given up.")
    if scope.person_id is None or scope.person_id in {
        draft.drafted_by,
        *editors(session, draft.id),
    }:
        raise DrafterMayNotApprove(
            "Whoever drafted or changed these rules cannot approve them;"
            " another administrator must."
        )
    if draft.state != "checked":
        raise NotChecked("Check this draft first; then it can be approved.")
    if decides_from < today:
        raise VersionBegins(
            f"Choose {today.isoformat()} or a later day: what was decided stays decided.",
            field="decides_from",
        )
    RuleBook.of(CompiledSet("", version, rules_from(draft.rules)))
    refuse_unfit(problems(draft))
    for row in rows.values():
        span = row.published
        if span is None or span.isempty or (span.upper is not None and span.upper <= decides_from):
            continue
        if span.lower is not None and span.lower >= decides_from:
            raise VersionBegins(
                f"Version {row.version} begins on {span.lower.isoformat()};"
                " these rules must begin on a later day.",
                field="decides_from",
            )
        _set(session, row.id, published=Range(span.lower, decides_from))
    _set(
        session,
        draft.id,
        state="published",
        published=Range(decides_from, None),
        approved_by=scope.person_id,
    )
    raise_revision(session)
    record(
        session,
        now=now,
        action="rules:approve",
        subject_kind="rule_set",
        subject_id=draft.id,
        detail={"version": version, "decides_from": decides_from.isoformat()},
    )


def _set(session: TenantSession, rule_set_id: UUID, **values: object) -> None:
    session.execute(
        update(RuleSet)
        .where(RuleSet.tenant_id == scope_of(session).tenant_id, RuleSet.id == rule_set_id)
        .values(values)
        .execution_options(synchronize_session=False)
    )
