"""Backtests as the worker does them: in parts, to the end, with what would have moved."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from regional311.database.session import Scope, session_scope
from regional311.errors import DomainError
from regional311.referral import backtest, drafting, further, service
from regional311.referral.acceptance import Acceptance, Reception
from regional311.referral.backtest import Tally
from regional311.referral.drafting import Content
from regional311.referral.filing import Filed, Intake, Place, take_in
from regional311.referral.models import Backtest, RuleSet
from regional311.referral.snapshot import invalidate, published
from tests.little_region import IDS

AT = datetime(2026, 10, 5, 18, tzinfo=UTC)
NOW = datetime(2026, 10, 20, 18, tzinfo=UTC)
EVERYTHING = {"key": "all", "name": "All", "outcome": "information"}


def file(engine, number: int, asked_for: str, channel: str = "phone", **more) -> Filed:
    at = AT + timedelta(hours=number)
    with session_scope(engine, Scope(IDS["city"], UUID(int=42))) as session:
        return take_in(
            session,
            published(engine),
            Intake(
                source="desk",
                key=f"{number:030d}",
                channel=channel,
                started_at=at,
                service=asked_for,
                place=Place(""),
                danger_answer="none",
                consent="refused" if number == 6 else "given",
                **more,
            ),
            now=at,
        )


def asked(engine, rules, first=date(2026, 10, 1), last=date(2026, 10, 19)):
    with session_scope(engine, Scope(IDS["city"], UUID(int=42))) as session:
        version = drafting.begin(session, Content(tuple(rules)), now=NOW)
        row = stored(session, version)
        made = backtest.ask(session, row, first_on=first, last_on=last, today=NOW.date(), now=NOW)
    return made, version


def stored(session, version):
    return session.execute(
        select(RuleSet.__table__).where(
            RuleSet.tenant_id == IDS["city"], RuleSet.version == version
        )
    ).one()


def run(engine, made, part):
    seen = []
    for _ in range(20):
        with session_scope(engine, Scope(IDS["city"])) as session:
            backtest.work(session, NOW, part=part)
        with session_scope(engine, Scope(IDS["city"])) as session:
            row = session.execute(select(Backtest.__table__).where(Backtest.id == made)).one()
        seen.append((row.state, row.done))
        if row.state not in backtest.OPEN:
            return row, seen
    raise AssertionError(seen)


@pytest.mark.commits
def test_the_rules_of_now_move_nothing_and_others_do(committed_engine):
    engine = committed_engine
    invalidate()
    for number in range(7):
        file(engine, number, "city/hours" if number % 2 else "city/shelter")
    with session_scope(engine, Scope(IDS["city"])) as session:
        now = [dict(each) for each in stored(session, 3).rules]
    made, _version = asked(engine, now)
    row, seen = run(engine, made, part=3)
    assert [done for _state, done in seen] == [3, 6, 7]
    assert (row.state, row.total) == ("done", 7)
    tally = Tally.of(row.result)
    assert (tally.moved, tally.same, tally.gone) == (0, 7, 0)

    made, version = asked(engine, [EVERYTHING])
    in_parts, _seen = run(engine, made, part=2)
    tally = Tally.of(in_parts.result)
    assert tally.moved + tally.same == 7
    assert tally.moved > 0
    assert sum(tally.moves.values()) == tally.moved
    assert sum(moved for moved, _all in tally.services.values()) == tally.moved
    assert sum(every for _moved, every in tally.bureaus.values()) == 7
    assert tally.rules == {"city/all": tally.moved}
    assert tally.examples
    assert {each["rule"] for each in tally.examples} == {"city/all"}
    with session_scope(engine, Scope(IDS["city"], UUID(int=42))) as session:
        again = backtest.ask(
            session,
            stored(session, version),
            first_on=date(2026, 10, 1),
            last_on=date(2026, 10, 19),
            today=NOW.date(),
            now=NOW,
        )
    with session_scope(engine, Scope(IDS["city"])) as session:
        assert backtest.work_all(session, NOW) == 7
        at_once = session.execute(select(Backtest.__table__).where(Backtest.id == again)).one()
    assert (at_once.state, at_once.result) == ("done", in_parts.result)
    invalidate()


@pytest.mark.commits
def test_what_cannot_be_asked_and_what_is_stopped(committed_engine):
    engine = committed_engine
    invalidate()
    file(engine, 1, "city/pothole")
    made, version = asked(engine, [EVERYTHING])
    scope = Scope(IDS["city"], UUID(int=42))
    for first, last, words in (
        (date(2026, 10, 1), date(2026, 10, 2), "under way"),
        (date(2026, 10, 3), date(2026, 10, 2), "before the first"),
        (date(2026, 10, 3), date(2026, 10, 22), "or an earlier day"),
        (date(2020, 10, 3), date(2026, 10, 2), "at most"),
    ):
        with (
            pytest.raises(DomainError, match=words),
            session_scope(engine, scope) as session,
        ):
            backtest.ask(
                session,
                stored(session, version),
                first_on=first,
                last_on=last,
                today=NOW.date(),
                now=NOW,
            )
    with session_scope(engine, scope) as session:
        backtest.stop(session, made, now=NOW)
    with session_scope(engine, scope) as session:
        assert backtest.work(session, NOW) == 0
        assert [row.state for row in backtest.backtests(session, stored(session, version).id)] == [
            "stopped"
        ]
    with pytest.raises(DomainError), session_scope(engine, scope) as session:
        backtest.stop(session, UUID(int=9), now=NOW)
    invalidate()


@pytest.mark.commits
def test_what_people_and_receivers_decided_moves_nothing_by_the_rules_of_now(
    committed_engine, monkeypatch
):
    engine = committed_engine
    invalidate()
    first = datetime(2026, 9, 1, 18, tzinfo=UTC)
    before = first - AT
    hours = int(before.total_seconds() // 3600)
    plain = file(engine, hours, "211info/bed")
    filed = file(engine, hours + 1, "211info/bed")
    file(engine, hours + 2, "211info/bed", unmet="all_at_capacity")
    with session_scope(engine, Scope(IDS["211info"])) as session:
        service.move(
            session,
            now=first,
            referral_id=filed.referral_id,
            version=1,
            to="rejected",
            reason="no_capacity",
        )
    with session_scope(engine, Scope(IDS["city"], UUID(int=42))) as session:
        further.refer_again(
            session,
            published(engine),
            now=first,
            contact_id=filed.contact_id,
            need_id=filed.need_id,
            service="211info/food",
            consent="given",
            key="again" * 6,
            replaces=filed.referral_public_id,
        )
    policy = Acceptance(key="warm", name="Warm", mode="warm")
    with monkeypatch.context() as patched:
        patched.setattr(Reception, "policy", lambda *_, **__: policy)
        warm = file(engine, hours + 3, "211info/bed")
    assert (plain.outcome, warm.outcome) == ("refer", "warm_transfer")
    with session_scope(engine, Scope(IDS["city"])) as session:
        now = [dict(each) for each in stored(session, 3).rules]
    days = {"first": date(2026, 8, 31), "last": date(2026, 9, 3)}
    made, _version = asked(engine, now, **days)
    row, _seen = run(engine, made, part=3)
    tally = Tally.of(row.result)
    assert (row.total, tally.moved, tally.same, tally.apart) == (5, 0, 2, 3)
    # what rules decide still moves
    made, _version = asked(engine, [EVERYTHING], **days)
    tally = Tally.of(run(engine, made, part=2)[0].result)
    assert (tally.moved, tally.apart) == (2, 3)
    invalidate()


def test_one_that_was_decided_apart_is_only_counted():
    past = backtest.Past("c", NOW.date(), NOW, {}, "refer", "211info", "bed", "", apart=True)
    tally = Tally()
    tally.count(past, None, None)
    assert (tally.apart, tally.gone, tally.moved, tally.same) == (1, 0, 0, 0)
