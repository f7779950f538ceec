"""Backtests: a draft of rules run over the contacts of a past period, a part at a time.

Asking for one only writes a row. The worker does a part of it in each of its rounds and keeps how
far it came, so that a page can show progress and a worker that ends in between loses nothing but
the part it was at.

What really was decided then is compared with what the draft would decide: the services of now, the
other partners' rules and the agreements of each day. Contacts with a sign of danger are left out,
since no rule decides them; what a person chose against the rules, or a receiver takes only warm, is
counted apart, since no rule would come to it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import (
    ColumnElement,
    Row,
    Text,
    and_,
    cast,
    false,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONPATH

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, DomainError, InvalidInput, NotFound
from regional311.metering.service import (
    CONTACT_HANDLED,
    REFERRAL_CLOSED,
    REQUEST_TAKEN_IN,
    WARM_TRANSFER,
)
from regional311.referral.again import Again, Came
from regional311.referral.drafting import Content
from regional311.referral.models import Backtest, Decision, RuleSet
from regional311.referral.room_history import RoomHistory, history
from regional311.referral.rules import DANGER, INFORMATION, REFER, rules_from
from regional311.referral.rules import OPEN_REQUEST as REQUEST
from regional311.referral.rules import WARM_TRANSFER as TRANSFER
from regional311.referral.snapshot import Published, published

MOST_DAYS: Final = 800
PART: Final = 20_000
"""Contacts in one part: a few seconds of work."""

EXAMPLES: Final = 60
EXAMPLES_EACH: Final = 3
"""Examples kept in all, and of each kind of move."""

OPEN: Final = ("waiting", "running")

BY_RULES: Final = '@ == "rule" || @ == "no-agreement" || @ starts with "usual-"'
"""Codes of reasons of which each decision by rules has one."""

BY_PEOPLE: Final = '@ == "again" || @ == "chosen"'
"""Codes of a person's choice; among several that are responsible, rules follow it."""

AGAINST_RULES: Final = '@ == "unmet" || @ == "offer-chosen"'
"""Codes of what a person decided whatever the rules say."""

TAKEN_WARM: Final = '@ == "offer-warm"'
"""Code of what a receiver takes only with the person on the line."""

_TABLE: Final = Backtest.__table__


class BadPeriod(InvalidInput):
    """The period to test over is empty, too long, or not over."""


class AlreadyWaiting(Conflict):
    """One backtest of a version at a time."""


@dataclass
class Tally:
    """What has been found so far; it is kept as plain values between the parts."""

    moved: int = 0
    same: int = 0
    gone: int = 0
    """Contacts whose service is not in the directory any more."""
    apart: int = 0
    """Contacts that a person decided, or the receiver's policy, and no rule."""
    moves: dict[str, int] = field(default_factory=dict)
    services: dict[str, list[int]] = field(default_factory=dict)
    partners: dict[str, list[int]] = field(default_factory=dict)
    """Of each partner or agency: contacts that it would have lost, and those it would have got."""
    bureaus: dict[str, list[int]] = field(default_factory=dict)
    boundaries: dict[str, list[int]] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    days: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of each partner: contacts that it would have got, by day."""
    closed: dict[str, int] = field(default_factory=dict)
    """Of each partner: those of them that came while the line that took them was closed."""
    room: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of each partner: contacts that it would have got, by the room that it had said it had."""
    work: dict[str, int] = field(default_factory=dict)
    """Pieces of work that would have been more (or less): activity, owner, service, and so on."""
    examples: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Tally:
        """Read what is kept."""
        return cls(**stored)

    def plain(self) -> dict[str, Any]:
        """Give what is kept."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def count(self, past: Past, came: Came | None, history: RoomHistory) -> None:
        """Count one contact: what it came to, and what it would come to.

        ``history`` says what room there was at its moment.
        """
        if past.apart:
            self.apart += 1
            return
        if came is None:
            self.gone += 1
            return
        if past.refused and came.target == past.target and came.outcome in (REFER, REQUEST):
            # the person did not want that partner to know of it, and would not want it again
            came = replace(came, outcome=INFORMATION)
        moved = (past.outcome, past.target) != (came.outcome, came.target)
        facts = past.facts
        first = (facts.get("boundaries") or [""])[0]
        for counts, key in (
            (self.services, f"{facts.get('owner') or ''}/{facts.get('service') or ''}"),
            (self.bureaus, f"{facts.get('owner') or ''}/{facts.get('bureau') or ''}"),
            (self.boundaries, first),
        ):
            pair = counts.get(key)
            if pair is None:
                pair = counts[key] = [0, 0]
            pair[0] += moved
            pair[1] += 1
        if not moved:
            self.same += 1
            return
        self.moved += 1
        move = f"{past.outcome}|{past.target}|{came.outcome}|{came.target}"
        self.moves[move] = self.moves.get(move, 0) + 1
        rule = f"{came.rule_tenant}/{came.rule}" if came.rule else ""
        self.rules[rule] = self.rules.get(rule, 0) + 1
        if past.target != came.target:
            self.partners.setdefault(past.target, [0, 0])[0] += 1
            self.partners.setdefault(came.target, [0, 0])[1] += 1
            if came.target:
                days = self.days.setdefault(came.target, {})
                day = past.on.isoformat()
                days[day] = days.get(day, 0) + 1
                said = history.state(f"{came.target}/{came.service}", past.at)
                rooms = self.room.setdefault(came.target, {})
                rooms[said] = rooms.get(said, 0) + 1
                if not facts.get("open", True):
                    self.closed[came.target] = self.closed.get(came.target, 0) + 1
        for sign, pieces in ((-1, _work(past, past.was)), (1, _work(past, came))):
            for each in pieces:
                self.work[each] = self.work.get(each, 0) + sign
        if self.moves[move] <= EXAMPLES_EACH and len(self.examples) < EXAMPLES:
            self.examples.append(
                {
                    "contact": past.contact,
                    "decision": past.decision,
                    "on": past.on.isoformat(),
                    "move": move,
                    "rule": rule,
                    "was": past.rule,
                    "service": f"{facts.get('owner') or ''}/{facts.get('service') or ''}",
                }
            )


@dataclass(frozen=True, slots=True)
class Past:
    """A contact that was, as it was decided then."""

    contact: str
    on: date
    at: datetime
    facts: dict[str, Any]
    outcome: str
    target: str
    service: str
    rule: str
    refused: bool = False
    """The person refused that the partner be told."""
    decision: str = ""
    """The id of what was decided then."""
    apart: bool = False
    """No rule decided it: a person did, or the receiver's policy."""

    @property
    def was(self) -> Came:
        """What it came to."""
        owner = self.facts.get("owner") or ""
        return Came(self.outcome, self.target, self.service, owner, self.rule, "")


def _work(past: Past, came: Came) -> Iterator[str]:
    """Give the pieces of work that are recorded for an outcome: what may be charged.

    All are done here, but that a referral is closed: that is its receiver's work, and the receiver
    stands where the owner of the service otherwise does.
    """
    facts = past.facts
    owner = came.target if came.outcome == REQUEST else came.owner
    area = (facts.get("boundaries") or [""])[0].partition("/")[0]
    about = "|".join(
        (
            owner,
            came.service,
            str(facts.get("bureau") or ""),
            str(facts.get("channel") or ""),
            str(facts.get("language") or ""),
            "" if facts.get("open", True) else "after",
            area,
        )
    )
    yield f"{CONTACT_HANDLED}|{about}"
    if came.outcome == REQUEST:
        yield f"{REQUEST_TAKEN_IN}|{about}"
    elif came.outcome == TRANSFER:
        yield f"{WARM_TRANSFER}|{about}"
    elif came.outcome == REFER:
        channel, language = (str(facts.get(name) or "") for name in ("channel", "language"))
        yield f"{REFERRAL_CLOSED}|{came.target}|{came.service}||{channel}|{language}||"


# --- asking for one -------------------------------------------------------------------------------


def ask(
    session: TenantSession,
    version: Row[Any],
    *,
    first_on: date,
    last_on: date,
    today: date,
    now: datetime,
) -> UUID:
    """Ask for a backtest of a version over some days, both included; give its id.

    Raises :class:`BadPeriod`, :class:`AlreadyWaiting`, :class:`BadRule`.
    """
    if last_on < first_on:
        raise BadPeriod("The last day lies before the first.", field="last_on")
    if last_on > today:
        raise BadPeriod(f"Choose {today.isoformat()} or an earlier day.", field="last_on")
    if (last_on - first_on).days >= MOST_DAYS:
        raise BadPeriod(f"Choose at most {MOST_DAYS} days.", field="first_on")
    content = Content.of(version)
    rules_from(content.rules)
    scope = scope_of(session)
    # one asker after another, so that the second sees what the first asked for
    session.execute(
        select(RuleSet.id)
        .where(RuleSet.tenant_id == scope.tenant_id, RuleSet.id == version.id)
        .with_for_update()
    )
    waiting = session.execute(
        select(_TABLE.c.id)
        .where(
            _TABLE.c.tenant_id == scope.tenant_id,
            _TABLE.c.rule_set_id == version.id,
            _TABLE.c.state.in_(OPEN),
        )
        .limit(1)
    ).first()
    if waiting is not None:
        raise AlreadyWaiting("A backtest of this version is under way; wait for it or stop it.")
    backtest_id = new_id()
    put(
        session,
        new_row(
            Backtest,
            tenant_id=scope.tenant_id,
            id=backtest_id,
            rule_set_id=version.id,
            rules=content.plain()["rules"],
            first_on=first_on,
            until_on=last_on + timedelta(days=1),
            state="waiting",
            done=0,
            result={},
            asked_by=scope.person_id,
            asked_at=now,
        ),
    )
    record(
        session,
        now=now,
        action="rules:backtest",
        subject_kind="rule_set",
        subject_id=version.id,
        detail={"version": version.version, "first_on": first_on.isoformat()},
    )
    return backtest_id


def stop(session: TenantSession, backtest_id: UUID, *, now: datetime) -> None:
    """Stop a backtest that is under way; what was found so far stays. Raises :class:`NotFound`."""
    row = session.execute(
        select(_TABLE.c.state)
        .where(_TABLE.c.tenant_id == scope_of(session).tenant_id, _TABLE.c.id == backtest_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such backtest.")
    if row.state in OPEN:
        _set(session, backtest_id, state="stopped", ended_at=now)


def backtests(session: TenantSession, rule_set_id: UUID, limit: int = 20) -> list[Row[Any]]:
    """Give the backtests of a version, the newest first, without their rules. One statement."""
    return list(
        session.execute(
            select(*(column for column in _TABLE.c if column.name not in ("rules", "result")))
            .add_columns(_TABLE.c.result["moved"].astext.label("moved"))
            .where(
                _TABLE.c.tenant_id == scope_of(session).tenant_id,
                _TABLE.c.rule_set_id == rule_set_id,
            )
            .order_by(_TABLE.c.id.desc())
            .limit(limit)
        )
    )


@dataclass(frozen=True, slots=True)
class Example:
    """One contact that would have moved: what was decided then, and what it is kept as."""

    contact_id: UUID
    on: date
    move: str
    outcome: str
    facts: dict[str, Any]
    trace: dict[str, Any]

    @property
    def refused(self) -> bool:
        """Whether the person refused that the partner be told."""
        return ["consent-refused"] in (self.trace.get("reasons") or [])


def example(session: TenantSession, examples: Sequence[dict[str, Any]], place: int) -> Example:
    """Give one of a backtest's examples with the decision that it was. One statement.

    Raises :class:`NotFound` where there is none; a backtest of a former release has none.
    """
    kept = examples[place] if 0 <= place < len(examples) else None
    if kept is None or not kept.get("decision"):
        raise NotFound("There is no such example.")
    row = session.execute(
        select(Decision.contact_id, Decision.outcome, Decision.facts, Decision.trace).where(
            Decision.tenant_id == scope_of(session).tenant_id,
            Decision.id == UUID(kept["decision"]),
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such example.")
    return Example(
        row.contact_id,
        date.fromisoformat(kept["on"]),
        kept["move"],
        row.outcome,
        row.facts,
        row.trace,
    )


# --- doing it -------------------------------------------------------------------------------------


def work(session: TenantSession, now: datetime, *, part: int = PART) -> int:
    """Do a part of the oldest backtest that waits; give how many contacts it decided.

    A chore of the worker: safe to do again, in the transaction of its caller.
    """
    row = session.execute(
        select(_TABLE)
        .where(_TABLE.c.tenant_id == scope_of(session).tenant_id, _TABLE.c.state.in_(OPEN))
        .order_by(_TABLE.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return 0
    region = published(session.connection().engine)
    try:
        return _part(session, region, row, now, part)
    except (DomainError, ValueError) as error:
        words = error.message if isinstance(error, DomainError) else "Something could not be read."
        _set(session, row.id, state="failed", problem=words, ended_at=now)
        return 0


def work_all(session: TenantSession, now: datetime) -> int:
    """Do all backtests that wait to their end: for a worker that is to end itself, too."""
    done = 0
    while part := work(session, now):
        done += part
    return done


def _part(
    session: TenantSession, region: Published, row: Row[Any], now: datetime, part: int
) -> int:
    slug = region.slugs[row.tenant_id]
    zone = ZoneInfo(region.tenant(slug).zone)
    since = datetime.combine(row.first_on, time(), zone)
    until = datetime.combine(row.until_on, time(), zone)
    values: dict[str, Any] = {"state": "running"}
    if row.state == "waiting":
        values["started_at"] = now
        values["total"] = session.execute(
            select(func.count()).select_from(Decision).where(*_wanted(row, since, until))
        ).scalar_one()
    again = _again(region, slug, row)
    tally = Tally.of(row.result)
    said = history(session, region.slugs, since, until)
    done, last = 0, None
    for each in _contacts(session, row, since, until, part):
        done, last = done + 1, each
        past = Past(
            str(each.contact_id),
            date.fromisoformat(each.on) if each.on else each.decided_at.astimezone(zone).date(),
            each.decided_at,
            orjson.loads(each.facts),
            each.outcome,
            each.target or "",
            each.service or "",
            each.rule_key or "",
            each.refused,
            str(each.id),
            each.apart,
        )
        tally.count(past, again.decide(past.facts, past.on), said)
    values |= {"done": row.done + done, "result": tally.plain()}
    if last is not None:
        values |= {"cursor": last.id, "cursor_at": last.decided_at}
    if done < part:
        values |= {"state": "done", "ended_at": now}
        _kept.clear()
    _set(session, row.id, **values)
    return done


_kept: Final[dict[tuple[UUID, int], Again]] = {}
"""What the parts of the backtest under way have decided so far, so that none is decided twice."""


def _again(region: Published, slug: str, row: Row[Any]) -> Again:
    key = (row.id, region.revision)
    again = _kept.get(key)
    if again is None:
        book = region.compiled(slug, 0, row.rules)
        _kept.clear()
        again = _kept[key] = Again(lambda on: region.with_book(book, on))
    return again


def _wanted(row: Row[Any], since: datetime, until: datetime) -> tuple[Any, ...]:
    return (
        Decision.tenant_id == row.tenant_id,
        Decision.decided_at >= since,
        Decision.decided_at < until,
        Decision.outcome != DANGER,
    )


def _said(codes: str) -> ColumnElement[bool]:
    """Whether a decision has a reason with one of these codes."""
    path = cast(f"$.reasons[*][0] ? ({codes})", JSONPATH)
    return func.coalesce(func.jsonb_path_exists(Decision.trace, path), false())


def _apart() -> ColumnElement[bool]:
    return or_(
        _said(AGAINST_RULES),
        and_(Decision.outcome == TRANSFER, _said(TAKEN_WARM)),
        and_(_said(BY_PEOPLE), ~_said(BY_RULES)),
    )


def _contacts(
    session: TenantSession, row: Row[Any], since: datetime, until: datetime, part: int
) -> Any:
    query = select(
        Decision.id,
        Decision.contact_id,
        # read faster than by the driver, which matters for so many
        cast(Decision.facts, Text).label("facts"),
        Decision.outcome,
        Decision.rule_key,
        Decision.decided_at,
        Decision.trace["on"].astext.label("on"),
        Decision.trace["target"].astext.label("target"),
        Decision.trace["service"].astext.label("service"),
        Decision.trace["reasons"].contains([["consent-refused"]]).label("refused"),
        _apart().label("apart"),
    ).where(*_wanted(row, since, until))
    if row.cursor is not None:
        query = query.where(
            tuple_(Decision.decided_at, Decision.id) > tuple_(row.cursor_at, row.cursor)
        )
    return session.execute(query.order_by(Decision.decided_at, Decision.id).limit(part))


def _set(session: TenantSession, backtest_id: UUID, **values: object) -> None:
    send(session)
    session.execute(
        update(Backtest)
        .where(Backtest.tenant_id == scope_of(session).tenant_id, Backtest.id == backtest_id)
        .values(values)
        .execution_options(synchronize_session=False)
    )
