"""The rarer things that are refused, each in words, and what is left out of an answer."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from regional311.allocation.bases import BadKey, Base, MixGoesRound, weights
from regional311.allocation.bill_splits import rules_of
from regional311.allocation.models import BillSplit, CostPool
from regional311.allocation.network import MethodsDiffer, percents
from regional311.allocation.pools import PoolSaid, save_pool
from regional311.allocation.service import month_shares
from regional311.allocation.shares import NoSuchMonth
from regional311.allocation.year import PoolMissing, fiscal_year_of, read_year
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.errors import InvalidInput
from tests.pools import next_base

NOW = datetime(2026, 12, 5, 18, tzinfo=UTC)


def said(**fields):
    given = {"name": "Test", "yearly_cents": 1200, "source": "Budget", "base_key": "contacts"}
    return PoolSaid(**(given | fields))


@pytest.mark.parametrize("key", ["", "Water", "a b", "new", "x" * 61])
def test_what_is_no_key(dbsession, key):
    with pytest.raises(BadKey):
        save_pool(dbsession, key, 2027, said(), now=NOW)


def test_a_year_and_a_place_have_bounds(dbsession):
    with pytest.raises(InvalidInput, match="between 2000 and 2100"):
        save_pool(dbsession, "test", 1999, said(), now=NOW)
    with pytest.raises(InvalidInput, match="between 0 and 999"):
        save_pool(dbsession, "test", 2027, said(step_order=-1), now=NOW)
    with pytest.raises(InvalidInput, match="1 to 40 quarters"):
        next_base(dbsession, "b", kind="fte", rolling_quarters=41)
    with pytest.raises(NoSuchMonth):
        month_shares(dbsession, "i-and-r", fiscal_year=2027, month=12)


def test_a_new_pool_takes_the_method_of_those_that_it_is_tied_to(dbsession):
    shares = {"bureau:water": Decimal(50), "pool:technology": Decimal(50)}
    pool = said(base_key=None, shares=shares, method="direct")
    with pytest.raises(MethodsDiffer, match="has another"):
        save_pool(dbsession, "test", 2027, pool, now=NOW, new=True)


def test_a_change_of_method_goes_for_all_that_are_tied(dbsession):
    pool = read_year(dbsession, 2027).pool("technology")
    changed = PoolSaid(
        name=pool.name,
        yearly_cents=pool.yearly_cents,
        source=pool.source,
        base_key=pool.base_key,
        step_order=pool.step_order,
        method="reciprocal",
    )
    save_pool(dbsession, "technology", 2027, changed, now=NOW)
    methods = {key: each.method for key, each in read_year(dbsession, 2027).pools.items()}
    assert methods == {
        "contact-centre": "reciprocal",
        "i-and-r": "step_down",
        "people-services": "reciprocal",
        "technology": "reciprocal",
    }


def test_a_base_that_is_not_there_is_named(dbsession, city):
    put(
        dbsession,
        CostPool(
            tenant_id=city.tenant_id,
            id=new_id(),
            key="lost",
            fiscal_year=2027,
            name="Lost",
            yearly_cents=1,
            source="x",
            base_key="nowhere",
        ),
        BillSplit(
            tenant_id=city.tenant_id, id=new_id(), key="lost", name="Lost", base_key="nowhere"
        ),
    )
    with pytest.raises(PoolMissing, match="the base nowhere, which is not there"):
        month_shares(dbsession, "lost", fiscal_year=2027, month=0)
    with pytest.raises(InvalidInput, match="no base nowhere"):
        rules_of(dbsession, before=date(2026, 11, 1))


def test_nothing_has_no_parts_in_per_cent():
    assert percents({"a": Fraction(0)}) == {}


def test_a_fiscal_year_is_named_for_the_year_in_which_it_ends():
    assert fiscal_year_of(date(2026, 6, 30), 7) == 2026
    assert fiscal_year_of(date(2026, 7, 1), 7) == 2027
    assert fiscal_year_of(date(2026, 7, 1), 1) == 2026


def test_only_a_mix_goes_round():
    one = Base("one", "One", "mix", parts={"one": Decimal(100)})
    with pytest.raises(MixGoesRound):
        weights(one, {"one": one}, date(2026, 7, 1))
