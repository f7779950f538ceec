"""Tell those who keep rules that a rule that decides does not work any more: the worker's part.

A version is checked before it is approved. Afterwards a target can retire, an agreement end, a
partner's policy close. What is decided about the version that decides is looked at again whenever
something published has changed; each finding is told of once, for as long as it holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.identity.permissions import Permissions
from regional311.identity.queries import who_may
from regional311.keeping.letters import letterhead, tell
from regional311.notices.service import STOPPED
from regional311.referral.checks import DECIDED, ERROR, LOOP, WARNING, Problem
from regional311.referral.drafting import Content
from regional311.referral.fitness import decided
from regional311.referral.models import RuleAlert, RuleSet
from regional311.referral.snapshot import published

CLOSED: Final = "closed"
"""A target's own policy takes nothing of what a rule sends, or not all of it."""
LONGEST: Final = 500


def stops(problem: Problem) -> bool:
    """Whether a rule with this problem does not do what it says, or not all of it."""
    return problem.how == DECIDED and (problem.level == ERROR or problem.code == CLOSED)


def watch_rules(session: TenantSession, now: datetime, *, url: str) -> int:
    """Look at the bound partner's rules that decide today; give how many letters were written.

    What is not so any more is marked as gone; coming back later it is told of again. Nobody is told
    before somebody keeps rules here.
    """
    me = scope_of(session).tenant_id
    region = published(session.connection().engine)
    slug = region.slugs.get(me)
    if slug is None:
        return 0
    today = region.today(slug, now)
    version = session.execute(
        select(RuleSet.id, RuleSet.version, RuleSet.rules, RuleSet.cases, RuleSet.title).where(
            RuleSet.tenant_id == me, RuleSet.published.contains(today)
        )
    ).one_or_none()
    problems = () if version is None else decided(region, slug, Content.of(version).rules, today)
    found = [each for each in problems if stops(each)]
    given_up = any(each.code == LOOP and each.level == WARNING for each in problems)
    _gone(session, version, found, now, unsure=[LOOP] if given_up else [])
    if version is None or not found:
        return 0
    people = who_may(session, Permissions.RULE_EDIT)
    if not people:
        return 0
    fresh = _first(session, version, found, len(people), now)
    if not fresh:
        return 0
    head = letterhead(session, url)
    line = head.sentence(STOPPED)
    return tell(
        session,
        head,
        "rules_stopped",
        [(people, line.format(name=row.name or slug, why=row.message)) for row in fresh],
        page="rules",
        now=now,
    )


def _gone(
    session: TenantSession,
    version: Any,
    found: Iterable[Problem],
    now: datetime,
    *,
    unsure: Collection[str],
) -> None:
    """Mark what was found before and is not so any more, or of another version.

    What is of a kind that was not wholly looked for, ``unsure``, is taken to be so still.
    """
    me = scope_of(session).tenant_id
    rows = session.execute(
        select(
            RuleAlert.id, RuleAlert.rule_set_id, RuleAlert.rule, RuleAlert.code, RuleAlert.message
        ).where(RuleAlert.tenant_id == me, RuleAlert.gone_at.is_(None))
    ).all()
    holds = {_key(each) for each in found}
    gone = [
        row.id
        for row in rows
        if version is None
        or row.rule_set_id != version.id
        or (row.code not in unsure and (row.rule, row.code, row.message) not in holds)
    ]
    if gone:
        session.execute(
            update(RuleAlert)
            .where(RuleAlert.tenant_id == me, RuleAlert.id.in_(gone))
            .values(gone_at=now)
            .execution_options(synchronize_session=False)
        )
        mark_changed(session)


def _key(problem: Problem) -> tuple[str, str, str]:
    return problem.rule, problem.code, problem.message[:LONGEST]


def _first(
    session: TenantSession, version: Any, found: Iterable[Problem], told: int, now: datetime
) -> list[Any]:
    """Keep what was found; give what was not known yet, in the order of the rules."""
    me = scope_of(session).tenant_id
    names = {_key(each): each.name for each in found}
    made = session.execute(
        insert(RuleAlert)
        .values(
            [
                {
                    "tenant_id": me,
                    "id": new_id(),
                    "rule_set_id": version.id,
                    "rule": rule,
                    "name": name,
                    "code": code,
                    "message": message,
                    "told": told,
                    "found_at": now,
                }
                for (rule, code, message), name in names.items()
            ]
        )
        .on_conflict_do_nothing()
        .returning(RuleAlert.id, RuleAlert.rule, RuleAlert.name, RuleAlert.message)
    ).all()
    if made:
        mark_changed(session)
    order = {key[0]: place for place, key in enumerate(names)}
    return sorted(made, key=lambda row: (order[row.rule], row.id))
