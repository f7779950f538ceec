"""The share of a yearly cost that each partner bears in a month, to the cent."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from regional311.errors import DomainError
from regional311.money import split

MONTHS = 12


class SharesDoNotSum(DomainError):
    """The shares of a pool make more or less than exactly 100 %."""


class NoSuchMonth(DomainError):
    """A fiscal year has months 0 to 11."""


def check_shares(percents: Mapping[str, Decimal]) -> None:
    """Refuse shares that do not make exactly 100 %.

    :raises SharesDoNotSum: naming what they make.
    """
    total = sum(percents.values(), Decimal(0))
    if total != 100:
        raise SharesDoNotSum(
            f"The shares make {total.normalize():f} %, they must make exactly 100 %.",
            field="share",
        )


def month_of_year(yearly_cents: int, month: int) -> int:
    """What one month of a fiscal year (0 to 11) bears of a yearly amount.

    The twelve months sum to the year; earlier months take the odd cents.

    >>> [month_of_year(500_000, month) for month in (0, 7, 8, 11)]
    [41667, 41667, 41666, 41666]
    """
    if not 0 <= month < MONTHS:
        raise NoSuchMonth("A fiscal year has months 0 to 11.")
    return split(yearly_cents, [1] * MONTHS)[month]


def shares_of_month(
    yearly_cents: int, month: int, percents: Mapping[str, Decimal]
) -> dict[str, int]:
    """What each bearer, named by key, pays of a yearly amount in one month of its fiscal year.

    The shares of a month sum to the month and those of all months to the year.

    :raises SharesDoNotSum: when the percentages do not make exactly 100.

    Source: the City/County agreement on information and referral, 600,000 a year, half each.

    >>> shares_of_month(60_000_000, 3, {"city": Decimal(50), "county": Decimal(50)})
    {'city': 2500000, 'county': 2500000}
    """
    check_shares(percents)
    keys = sorted(percents)
    parts = split(month_of_year(yearly_cents, month), [percents[key] for key in keys], keys)
    return dict(zip(keys, parts, strict=True))
