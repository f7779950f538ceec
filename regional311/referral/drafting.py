"""Drafts of a partner's rules: begun, edited a change at a time, undone, checked, given up.

A draft decides nothing. Each change keeps what was there before it, so that nothing is lost and
the last one can be undone. Checking a draft says that its author is done with it; another person
approves it (`publishing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, func, select, text, update

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.referral import rule_editing
from regional311.referral.models import RuleEdit, RuleSet
from regional311.referral.rule_editing import Stored
from regional311.referral.rules import rule_from, rules_from
from regional311.strict import digest

OPEN: Final = frozenset({"draft", "checked"})
"""States of versions that may be edited."""

_VERSIONS: Final = RuleSet.__table__
_EDITS: Final = RuleEdit.__table__


class NotADraft(Conflict):
    """The version was published or given up: it is never edited again."""


class ChangedMeanwhile(Conflict):
    """Somebody else changed the same rule since it was shown."""


class NothingToUndo(Conflict):
    """The draft has not been changed yet."""


class Unfit(InvalidInput):
    """A draft has errors, or a test of it fails; `problems` says each."""

    def __init__(self, message: str, problems: Sequence[str]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Content:
    """What a version says: its rules in order, and its tests."""

    rules: tuple[Stored, ...]
    cases: tuple[Stored, ...] = ()
    title: str | None = None

    @classmethod
    def of(cls, row: Any) -> Content:
        """Read a stored version."""
        return cls(tuple(flat(each) for each in row.rules), tuple(row.cases), row.title)

    def plain(self) -> dict[str, Any]:
        """Give it as it is stored."""
        rules = [dict(each) for each in self.rules]
        return {"rules": rules, "cases": [dict(each) for each in self.cases], "title": self.title}


def flat(stored: Stored) -> dict[str, Any]:
    """Give a stored rule with its matchers beside its other keys, as files write it."""
    found = {key: value for key, value in stored.items() if key != "match"}
    found.update(stored.get("match") or {})
    return found


def content_digest(rules: Sequence[Stored], cases: Sequence[Stored]) -> str:
    """Give the digest by which files and database remember a version."""
    said: dict[str, Any] = {"rule": list(rules)}
    if cases:
        said["case"] = list(cases)
    return digest(said)


def begin(
    session: TenantSession,
    content: Content,
    *,
    now: datetime,
    based_on: int | None = None,
) -> int:
    """Begin a draft; give its version. Raises :class:`BadRule` for a rule that cannot be read."""
    rules_from(content.rules)
    scope = scope_of(session)
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"),
        {"what": f"{scope.tenant_id} rules"},
    )
    last = session.execute(
        select(func.max(_VERSIONS.c.version)).where(_VERSIONS.c.tenant_id == scope.tenant_id)
    ).scalar_one()
    version, draft_id = (last or 0) + 1, new_id()
    put(
        session,
        new_row(
            RuleSet,
            tenant_id=scope.tenant_id,
            id=draft_id,
            version=version,
            state="draft",
            based_on=based_on,
            edits=0,
            digest=content_digest(content.rules, content.cases),
            drafted_by=scope.person_id,
            created_at=now,
            **content.plain(),
        ),
    )
    _audit(session, "draft", draft_id, now, version=version, based_on=based_on)
    return version


def change(
    session: TenantSession,
    version: int,
    what: str,
    subject: str | None,
    make: Callable[[Content], Content],
    *,
    now: datetime,
) -> Content:
    """Change a draft; what it was is kept. What was checked is a draft again.

    `make` gets the newest content, so that two people's changes of different rules both stay.
    Raises :class:`NotFound`, :class:`NotADraft`, :class:`BadRule` and what `make` raises.
    """
    row = _locked(session, version)
    before = Content.of(row)
    after = make(before)
    if after == before:
        return before
    for each in after.rules:
        if each not in before.rules:
            rule_from(each)
    plain = after.plain()
    scope = scope_of(session)
    put(
        session,
        new_row(
            RuleEdit,
            tenant_id=scope.tenant_id,
            id=new_id(),
            rule_set_id=row.id,
            number=row.edits + 1,
            what=what,
            subject=subject,
            before=before.plain(),
            made_by=scope.person_id,
            made_at=now,
        ),
    )
    _set(
        session,
        row.id,
        **plain,
        edits=row.edits + 1,
        state="draft",
        checked_by=None,
        checked_at=None,
        digest=content_digest(plain["rules"], plain["cases"]),
    )
    return after


def save_rule(
    session: TenantSession,
    version: int,
    new: Stored,
    *,
    key: str | None,
    seen: str | None = None,
    at: int | None = None,
    now: datetime,
) -> None:
    """Add a rule (no `key`), or put `new` in the place of the rule `key`; `at` moves it there.

    `seen` is the digest of the rule as it was shown. Raises :class:`ChangedMeanwhile` when it is
    another by now.
    """

    def make(content: Content) -> Content:
        if key is None:
            rules = rule_editing.added(content.rules, new, at)
        else:
            there = rule_editing.find(content.rules, key)
            if seen is not None and digest(there) != seen:
                raise ChangedMeanwhile(
                    "Somebody else changed this rule since you opened it; nothing was saved."
                    " Open it again to see what it says now."
                )
            rules = rule_editing.replaced(content.rules, key, new)
            if at is not None:
                rules = rule_editing.moved(rules, key, at)
        return replace(content, rules=tuple(rules))

    change(session, version, "add" if key is None else "edit", new["key"], make, now=now)


def change_rules(
    session: TenantSession,
    version: int,
    what: str,
    key: str,
    make: Callable[[Sequence[Stored]], Sequence[Stored]],
    *,
    now: datetime,
) -> None:
    """Change the list of rules by one of `rule_editing`'s functions."""
    change(
        session,
        version,
        what,
        key,
        lambda content: replace(content, rules=tuple(make(content.rules))),
        now=now,
    )


def save_case(session: TenantSession, version: int, new: Stored, *, now: datetime) -> None:
    """Keep a test with the rules; one of the same key is replaced."""

    def make(content: Content) -> Content:
        if any(each["key"] == new["key"] for each in content.cases):
            cases = rule_editing.replaced(content.cases, new["key"], new)
        elif len(content.cases) >= rule_editing.MOST_CASES:
            raise rule_editing.TooMany(f"At most {rule_editing.MOST_CASES} tests are kept.")
        else:
            cases = [*content.cases, new]
        return replace(content, cases=tuple(cases))

    change(session, version, "case", new["key"], make, now=now)


def remove_case(session: TenantSession, version: int, key: str, *, now: datetime) -> None:
    """Keep a test no longer; undo brings it back."""
    change(
        session,
        version,
        "case",
        key,
        lambda content: replace(content, cases=tuple(rule_editing.removed(content.cases, key))),
        now=now,
    )


def rename(session: TenantSession, version: int, title: str | None, *, now: datetime) -> None:
    """Say what a draft is about."""
    change(
        session,
        version,
        "title",
        None,
        lambda content: replace(content, title=title or None),
        now=now,
    )


def undo(session: TenantSession, version: int, *, now: datetime) -> None:
    """Make the draft what it was before its last change; once more takes that back, too.

    Raises :class:`NothingToUndo`.
    """
    row = _locked(session, version)
    last = session.execute(
        select(_EDITS.c.before).where(
            _EDITS.c.tenant_id == scope_of(session).tenant_id,
            _EDITS.c.rule_set_id == row.id,
            _EDITS.c.number == row.edits,
        )
    ).scalar_one_or_none()
    if last is None:
        raise NothingToUndo("Nothing has been changed in this draft yet.")
    before = Content(tuple(last["rules"]), tuple(last["cases"]), last["title"])
    change(session, version, "undo", None, lambda _content: before, now=now)


def mark_checked(
    session: TenantSession, version: int, problems: Sequence[str], *, now: datetime
) -> None:
    """Say that a draft is done and can be approved; `problems` are its errors and failed tests.

    Raises :class:`Unfit` when there are any.
    """
    row = _locked(session, version)
    refuse_unfit(problems)
    _set(session, row.id, state="checked", checked_by=scope_of(session).person_id, checked_at=now)
    _audit(session, "check", row.id, now, version=version)


def refuse_unfit(problems: Sequence[str]) -> None:
    """Raise :class:`Unfit` naming the first problems when there are any."""
    if problems:
        more = f" And {len(problems) - 3} more." if len(problems) > 3 else ""
        raise Unfit(" ".join(problems[:3]) + more, problems)


def discard(session: TenantSession, version: int, *, now: datetime) -> None:
    """Give a draft up; it stays to be read."""
    row = _locked(session, version)
    _set(session, row.id, state="discarded")
    _audit(session, "discard", row.id, now, version=version)


def editors(session: TenantSession, rule_set_id: UUID) -> set[UUID]:
    """Give everybody who changed a draft: none of them may approve it. One statement."""
    return set(
        session.execute(
            select(_EDITS.c.made_by)
            .where(
                _EDITS.c.tenant_id == scope_of(session).tenant_id,
                _EDITS.c.rule_set_id == rule_set_id,
                _EDITS.c.made_by.is_not(None),
            )
            .distinct()
        ).scalars()
    )


def history(session: TenantSession, rule_set_id: UUID, limit: int = 30) -> list[Row[Any]]:
    """Give the last changes of a draft, the newest first. One statement."""
    return list(
        session.execute(
            select(
                _EDITS.c.number, _EDITS.c.what, _EDITS.c.subject, _EDITS.c.made_by, _EDITS.c.made_at
            )
            .where(
                _EDITS.c.tenant_id == scope_of(session).tenant_id,
                _EDITS.c.rule_set_id == rule_set_id,
            )
            .order_by(_EDITS.c.number.desc())
            .limit(limit)
        )
    )


def _locked(session: TenantSession, version: int) -> Row[Any]:
    send(session)
    row = session.execute(
        select(_VERSIONS)
        .where(_VERSIONS.c.tenant_id == scope_of(session).tenant_id, _VERSIONS.c.version == version)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such version of the rules.")
    if row.state not in OPEN:
        raise NotADraft("This version is no draft any more; begin a new draft from it.")
    return row


def _set(session: TenantSession, rule_set_id: UUID, **values: object) -> None:
    session.execute(
        update(RuleSet)
        .where(RuleSet.tenant_id == scope_of(session).tenant_id, RuleSet.id == rule_set_id)
        .values(values)
        .execution_options(synchronize_session=False)
    )


def _audit(session: TenantSession, verb: str, subject: UUID, now: datetime, **detail: Any) -> None:
    record(
        session,
        now=now,
        action=f"rules:{verb}",
        subject_kind="rule_set",
        subject_id=subject,
        detail={key: value for key, value in detail.items() if value is not None},
    )
