"""The demo's month worked by hand in docs/finance/billing.md: its sums come out, from the files."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path

from regional311.allocation.service import month_shares
from regional311.allocation.shares import shares_of_month
from regional311.money import format_cents, to_cents

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/finance/billing.md").read_text(encoding="utf-8")
MONTH = PAGE[PAGE.index("## October 2026 of the demo") : PAGE.index("## Who may do what")]


def cents(said):
    return to_cents(Decimal(said.replace(",", "").replace("−", "-")))


def amounts(heading):
    """The last column of the table under a heading, by its first."""
    table = MONTH[MONTH.index(heading) :].split("\n\n")
    rows = next(block for block in table if block.startswith("| what"))
    cells = [line.strip("|").split("|") for line in rows.splitlines()[2:]]
    return {row[0].strip(" *"): cents(row[-1].strip(" *")) for row in cells}


def rates(partner):
    file = ROOT / "tenants" / partner / "rates.toml"
    return {rate["key"]: rate for rate in tomllib.loads(file.read_text("utf-8"))["rate"]}


def test_the_countys_bill_is_the_sum_of_its_parts():
    work, share, total = amounts("### COP-00002").values()
    assert work + share == total == cents("29,526.28")
    assert share == shares_of_month(600_000_00, 3, {"c": Decimal(50), "d": Decimal(50)})["d"]
    assert rates("city-of-portland")["phone-2026"]["amount"] == "4.90"
    assert "15 contacts × 4.90 = **73.50**" in MONTH
    minute = next(
        rate
        for rate in rates("city-of-portland").values()
        if rate["activity"] == "interpreter_minute"
    )
    exact = Decimal("3.65") * Decimal(minute["amount"])
    assert (f"{exact}", to_cents(exact)) == ("3.4675", 347)
    before = total - cents("561.19")
    assert format_cents(before, symbol="") in MONTH
    assert f"{Decimal(56119) * 100 / before:.1f} %" in MONTH
    assert format_cents(before - share, symbol="") in MONTH


def test_the_bill_of_two_agreements_is_the_sum_of_its_parts():
    contacts, minutes, gross, grant, referrals, total = amounts("### INFO211-00003").values()
    assert contacts + minutes == gross
    (source,) = tomllib.loads(
        (ROOT / "policies/agreements/after-hours-city.toml").read_text("utf-8")
    )["funding"]
    assert grant == -to_cents(Decimal(gross) / 100 * Decimal(source["percent"]) / 100)
    assert referrals == 360 * 1250
    assert gross + grant + referrals == total
    assert {rate["amount"] for rate in rates("211info").values()} >= {"12.50"}


def test_the_bureaus_of_october_are_those_of_the_example_region(dbsession):
    parts = {}
    for key in ("contact-centre", "people-services", "technology"):
        found = month_shares(dbsession, key, fiscal_year=2027, month=3).cents
        for target, each in found.items():
            parts.setdefault(target, {})[key] = each
    water = parts["bureau:water"]["contact-centre"]
    assert format_cents(water, symbol="") in MONTH
    said = re.search(r"\n((?:[\d,.]+ \+ )+[\d,.]+) = ([\d,.]+)\n", MONTH)
    five = [cents(each) for each in said[1].split(" + ")]
    assert sum(five) == cents(said[2])
    centre = {each.get("contact-centre", 0) for each in parts.values()}
    assert set(five) <= centre
