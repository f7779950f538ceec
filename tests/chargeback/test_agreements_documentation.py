"""What docs/finance/agreements.md says of the example region is what the files and rules say."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from regional311.calendars import Period, fiscal_year
from regional311.chargeback.agreement_terms import Terms
from regional311.chargeback.calendar import due
from regional311.chargeback.statement import Line
from regional311.chargeback.waterfall import further_lines
from regional311.config.agreements import terms_of
from regional311.config.files import read_region
from regional311.money import from_cents

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/finance/agreements.md").read_text(encoding="utf-8")
AGREEMENTS = {each.agreement.key: each for each in read_region(ROOT).policies.agreements}


def terms(key: str) -> Terms:
    return Terms.of(terms_of(AGREEMENTS[key]))


def further(key: str, gross_cents: int) -> list[tuple[str, int]]:
    gross = Line(
        1, "usage", "2026-10", f"{key}|x", "Work", key, {}, Decimal(1), None,
        from_cents(gross_cents), 1,
    )  # fmt: skip
    lines = further_lines([gross], terms(key), agreement_key=key, period_key="2026-10")
    return [(line.kind, line.amount_cents) for line in lines]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("after-hours-city", "a grant bears 10 %, at most $25,000.00 a year"),
        ("after-hours-county", "5 % from $20,000.00 a month"),
        ("referrals-city", "2 % when nine in ten were not closed within ten days"),
        ("referrals-county", "$60,000.00"),
        ("utilities-intake", "$100.00 a month"),
        ("city-intake-for-county", "6 %"),
    ],
)
def test_each_example_is_named_with_its_term(key: str, said: str) -> None:
    assert f"*{AGREEMENTS[key].agreement.name}*: {said}" in PAGE


def test_the_examples_terms_are_those_named() -> None:
    (grant,) = terms("after-hours-city").funding
    assert (grant.percent, grant.authorised_cents) == (10, 25_000_00)
    (discount,) = terms("after-hours-county").discounts
    assert (discount.percent, discount.from_cents) == (5, 20_000_00)
    close = next(each for each in terms("referrals-city").targets if each.key == "close")
    assert (close.goal, close.credit_percent) == (10, 2)
    assert terms("referrals-county").not_to_exceed_cents == 60_000_00
    assert terms("utilities-intake").minimum_cents == 100_00
    assert terms("city-intake-for-county").interest_percent == 6


def test_the_sums_by_hand_come_out() -> None:
    assert 600_000_00 * 50 // 100 // 12 == 25_000_00
    assert further("after-hours-city", 1_200_00) == [("funding", -120_00)]
    assert further("after-hours-city", 300_000_00) == [("funding", -25_000_00)]
    assert 12 * 490 == 58_80
    assert further("utilities-intake", 58_80) == [("minimum", 41_20)]
    for said in ("**$25,000.00**", "**$1,080.00**", "$41.20", "**$100.00**"):
        assert said in PAGE


def test_octobers_days_are_those_of_the_table() -> None:
    year = fiscal_year(date(2026, 10, 1), 7)
    october = next(
        each
        for each in due("x", Terms(), year, None, None)
        if each.period == Period.month("2026-10")
    )
    for row, day in (
        ("run from", october.run_on),
        ("bill by", october.submit_on),
        ("due by", october.due_on),
        ("dispute by", october.dispute_on),
        ("late work until", october.late_on),
    ):
        (line,) = [each for each in PAGE.splitlines() if each.startswith(f"| {row} |")]
        assert f"{day:%B} {day.day}, {day.year}" in line
