"""Netting: nobody's net position changes, everybody consents, both books mirror."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.database.ids import new_id
from regional311.errors import Forbidden, InvalidInput, NotFound
from regional311.settlement import queries
from regional311.settlement.circulation import net_positions, set_off, spread
from regional311.settlement.netting import (
    BalancesChanged,
    NettingEnded,
    NothingToNet,
    answers_of,
    consent,
    decline,
    entry_legs,
    proposals_waiting,
    propose,
    sets,
    withdraw,
)
from regional311.settlement.payments import NotReversible, record_payment, reverse_payment
from tests.settlement.test_payments import balance, check_books

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
DAY = date(2026, 11, 20)
NAMES = st.sampled_from("abcdefg")
DEBTS = st.dictionaries(
    st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] != pair[1]), st.integers(0, 10**6)
)


@given(DEBTS)
@settings(max_examples=100, deadline=None)
def test_setting_off_changes_no_net_position_and_leaves_no_circle(debts):
    gone = set_off(debts)
    assert all(0 < cents <= debts[pair] for pair, cents in gone.items())
    assert gone == set_off(dict(reversed(debts.items())))
    assert all(cents == 0 for cents in net_positions(gone).values())
    left = {pair: cents - gone.get(pair, 0) for pair, cents in debts.items()}
    before, after = net_positions(debts), net_positions(left)
    assert {k: v for k, v in before.items() if v} == {k: v for k, v in after.items() if v}
    assert sum(after.values()) == 0
    assert set_off(left) == {}
    clearing: dict[str, int] = {}
    for one in "abcdefg":
        for other in "abcdefg":
            if one == other:
                continue
            legs = entry_legs(gone.get((one, other), 0), gone.get((other, one), 0), new_id())
            assert sum(leg.net_cents for leg in legs) == 0
            through = sum(leg.net_cents for leg in legs if leg.account == "netting_clearing")
            clearing[one] = clearing.get(one, 0) + through
    assert not any(clearing.values())


@given(st.integers(0, 500), st.lists(st.integers(1, 100), max_size=6))
@settings(max_examples=50, deadline=None)
def test_an_amount_is_spread_over_statements_in_order(cents, opens):
    parts = dict(spread(cents, [(str(n), each) for n, each in enumerate(opens)]))
    assert sum(parts.values()) == min(cents, sum(opens))
    assert all(0 < part <= opens[int(name)] for name, part in parts.items())


def say_yes(region, partner, netting_id, now=NOW):
    with region.of(partner, region.approver) as session:
        return consent(session, netting_id, now=now)


def nets(region):
    found = {}
    for partner in ("city", "county", "community"):
        with region.of(partner) as session:
            rows = queries.balances(queries.documents(session, DAY))
            found[partner] = sum(row.net_cents for row in rows)
    return found


@pytest.mark.commits
def test_two_partners_set_off_what_they_owe_each_other(region, bills):
    to_county = [bills.bill("city", "county", [6000]), bills.bill("city", "county", [5000])]
    to_city = bills.bill("county", "city", [8000])
    before = nets(region)
    with region.of("city", region.preparer) as session:
        made = propose(session, [region.tenants["county"]], now=NOW)
    with region.of("county") as session:
        assert proposals_waiting(session) == 1
        (waiting,) = sets(session)
        assert sum(each["netted_cents"] for each in waiting.positions) == 16000
    assert say_yes(region, "city", made) == "proposed"
    assert say_yes(region, "city", made) == "proposed"
    with region.of("city") as session:
        assert proposals_waiting(session) == 0
    assert say_yes(region, "county", made) == "executed"
    assert say_yes(region, "county", made) == "executed"
    assert nets(region) == before
    with region.of("county") as session:
        rows = {row.id: row.open.open_cents for row in queries.documents(session, DAY)}
        assert [rows[each] for each in to_county] == [0, 3000]
        assert rows[to_city] == 0
        netted = [row for row in queries.payments(session) if row.kind == "netting"]
        assert sum(row.applied_cents for row in netted) == 16000
        assert {row.netting_id for row in netted} == {made}
        (mine,) = [row for row in netted if row.side == "received"]
        with pytest.raises(NotReversible):
            reverse_payment(session, mine.id, reason="No", on=DAY, now=NOW)
    assert balance(region, "city", "due_from_partners") == 3000
    assert balance(region, "city", "due_to_partners") == 0
    assert balance(region, "city", "netting_clearing") == 0
    check_books(region)
    for partner in ("city", "county"):
        with region.of(partner) as session:
            assert [each.answer for each in answers_of(session, made)] == ["consented"] * 2
            assert sets(session)[0].state == "executed"
    with region.of("community") as session:
        assert sets(session) == []
        with pytest.raises(NotFound):
            consent(session, made, now=NOW)


@pytest.mark.commits
def test_the_region_sets_off_a_circle_of_three(region, bills):
    """Source: docs/finance/settlement.md, *Netting*."""
    bills.bill("city", "county", [5000])
    bills.bill("county", "community", [4000])
    bills.bill("community", "city", [7000])
    before = nets(region)
    wanted = [region.tenants[each] for each in ("city", "county", "community")]
    with region.of("region", region.preparer) as session:
        made = propose(session, wanted, now=NOW)
        (mine,) = sets(session)
        assert {each["statement"] for each in mine.positions} == {""}
    with region.of("city") as session:
        (theirs,) = sets(session)
        ids = {UUID(part) for each in theirs.positions for part in (each["creditor"],)}
        assert ids == {region.tenants["city"], region.tenants["community"]}
    assert say_yes(region, "city", made) == "proposed"
    assert say_yes(region, "county", made) == "proposed"
    assert say_yes(region, "community", made) == "executed"
    assert nets(region) == before
    for partner in ("city", "county", "community"):
        assert balance(region, partner, "netting_clearing") == 0
    assert balance(region, "city", "due_from_partners") == 1000
    assert balance(region, "city", "due_to_partners") == -3000
    assert balance(region, "county", "due_from_partners") == 0
    check_books(region)


@pytest.mark.commits
def test_what_changed_meanwhile_is_refused_and_nothing_happens(region, bills):
    bill = bills.bill("city", "county", [6000])
    bills.bill("county", "city", [8000])
    with region.of("county", region.preparer) as session:
        made = propose(session, [region.tenants["city"]], now=NOW)
    say_yes(region, "county", made)
    with region.of("city") as session:
        record_payment(
            session,
            statement_id=bill,
            amount_cents=1,
            paid_on=DAY,
            reference="x",
            method="ach",
            key="x",
            now=NOW,
        )
    with pytest.raises(BalancesChanged, match="has changed since"):
        say_yes(region, "city", made)
    with region.of("city") as session:
        assert [row.kind for row in queries.payments(session)] == ["payment"]
        with pytest.raises(Forbidden):
            withdraw(session, made, now=NOW)
    with region.of("county") as session:
        with pytest.raises(NettingEnded, match="has consented"):
            decline(session, made, reason="No", now=NOW)
        withdraw(session, made, now=NOW)
    with region.of("city") as session:
        assert sets(session)[0].state == "withdrawn"
        with pytest.raises(NettingEnded):
            consent(session, made, now=NOW)
    check_books(region)


@pytest.mark.commits
def test_one_no_ends_it(region, bills):
    bills.bill("city", "county", [6000])
    bills.bill("county", "city", [8000])
    with region.of("county") as session:
        made = propose(session, [region.tenants["city"]], now=NOW)
    with region.of("city") as session:
        with pytest.raises(InvalidInput):
            decline(session, made, reason=" ", now=NOW)
        decline(session, made, reason="We pay in cash", now=NOW)
    with region.of("county") as session:
        assert sets(session)[0].state == "declined"
        with pytest.raises(NettingEnded):
            withdraw(session, made, now=NOW)


@pytest.mark.commits
def test_who_may_propose_what(region, bills):
    tenants = region.tenants
    with region.of("city") as session:
        with pytest.raises(NothingToNet):
            propose(session, [tenants["county"]], now=NOW)
        with pytest.raises(Forbidden):
            propose(session, [tenants["county"], tenants["community"]], now=NOW)
        for wrong in ([], [tenants["region"]], [new_id()]):
            with pytest.raises(InvalidInput):
                propose(session, wrong, now=NOW)
    with region.of("region") as session, pytest.raises(InvalidInput):
        propose(session, [tenants["city"]], now=NOW)
