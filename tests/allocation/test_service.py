"""Pools on the real database: shares of a month and what they rest on."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from regional311.allocation.models import CostPool
from regional311.allocation.service import PoolMissing, month_shares, year_shares


def test_fixed_shares_are_what_the_agreement_says(dbsession):
    """The City/County agreement on information and referral: 600,000 a year, half each."""
    found = month_shares(dbsession, "i-and-r", fiscal_year=2027, month=3)
    assert found.month_cents == 50_000_00
    assert found.cents == {"city-of-portland": 25_000_00, "multnomah-county": 25_000_00}
    assert found.pool.name == "Information and referral, 503-823-4000"
    assert found.basis["shares"]["multnomah-county"] == {
        "percent": "50",
        "weight": "50",
        "exact_cents": "2500000",
        "cents": 25_000_00,
    }
    assert found.basis["base"] == {"kind": "fixed", "name": "Fixed shares"}


def test_a_year_is_its_months_and_takes_actuals_when_asked(dbsession):
    year = year_shares(dbsession, "i-and-r", fiscal_year=2027)
    assert year.cents == {"city-of-portland": 300_000_00, "multnomah-county": 300_000_00}
    pool = dbsession.execute(
        select(CostPool).where(CostPool.key == "i-and-r", CostPool.fiscal_year == 2027)
    ).scalar_one()
    pool.actual_cents, pool.actual_source = 612_345_67, "Year-end close"
    dbsession.flush()
    actual = year_shares(dbsession, "i-and-r", fiscal_year=2027, actual=True)
    assert actual.year_cents == 612_345_67 == sum(actual.cents.values())
    assert actual.months[0].basis["actual_source"] == "Year-end close"
    assert year_shares(dbsession, "i-and-r", fiscal_year=2027).year_cents == 600_000_00


def test_a_pool_without_an_amount_is_named(dbsession):
    with pytest.raises(PoolMissing, match="fiscal year 2041"):
        month_shares(dbsession, "i-and-r", fiscal_year=2041, month=0)
