"""What the page on privacy says is so: every table, every kind, every period, every chore."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from regional311.database.base import Base
from regional311.erasure.kinds import KINDS
from regional311.tenancy.retention import KEPT_DAYS
from regional311.web.views import retention as pages

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
for models in sorted(ROOT.glob("regional311/*/models.py")):
    import_module(f"regional311.{models.parent.name}.models")


def test_every_table_was_thought_of():
    told = set(re.findall(r"`([a-z_]+)`", PAGE.partition("## Every table")[2]))
    assert set(Base.metadata.tables) - told == set()


def test_the_periods_are_those_of_the_page():
    rows = re.findall(r"^\| `([a-z]+)` \| (\d+) \|", PAGE, flags=re.MULTILINE)
    assert {kind: int(days) for kind, days in rows} == KEPT_DAYS


def test_every_kind_of_the_policy_is_acted_on():
    keys = [each.key for each in KINDS]
    assert len(keys) == len(set(keys))
    assert set(KEPT_DAYS) <= set(keys)
    assert all(f"`{each.chore}`" in PAGE for each in KINDS)
    assert set(pages.KINDS) == set(pages.SINCE) == set(keys)
