from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from regional311.calendars import Period
from regional311.chargeback.month import bill_month
from tests.chargeback.conftest import Region, region

__all__ = ["region"]


@pytest.fixture
def bill() -> Callable[..., object]:
    """Bill a month of the City as far as issued, a few days after it."""

    def run(made: Region, month: str, until: str = "issued") -> object:
        period = Period.month(month)
        return bill_month(
            made.engine,
            made.tenants,
            period,
            preparer={made.tenants["city"]: made.preparer},
            approver={made.tenants["city"]: made.approver},
            until=until,
            now=datetime(period.end_on.year, period.end_on.month, 3, 17, tzinfo=UTC),
        )

    return run
