"""The example in the documentation is what the program prints and what the region bills."""

from __future__ import annotations

import re
from pathlib import Path

from regional311.allocation.case import read_case
from regional311.allocation.comparison import table_text
from regional311.allocation.methods import METHODS, allocate
from regional311.allocation.service import month_shares, year_shares
from regional311.money import format_cents

PAGE = Path(__file__).resolve().parents[2] / "docs/finance/allocation.md"


def test_the_case_prints_the_table_beside_it(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    (case,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "case.toml"
    path.write_text(case, encoding="utf-8")
    read = read_case(path)
    assert table_text([allocate(read, method) for method in METHODS]) in text


def test_the_figures_worked_by_hand_are_those_of_the_example_region(dbsession):
    text = PAGE.read_text(encoding="utf-8")
    keys = ("contact-centre", "people-services", "technology")
    for key in keys:
        july = month_shares(dbsession, key, fiscal_year=2027, month=0)
        assert format_cents(july.cents["bureau:water"], symbol="") in text
    years = [year_shares(dbsession, key, fiscal_year=2027) for key in keys]
    water = sum(year.cents["bureau:water"] for year in years)
    assert abs(water - 1_071_206_73) <= len(years) * 12
    assert sum(year.year_cents for year in years) == 2_915_000_00
