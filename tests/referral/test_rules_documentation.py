"""The examples of docs/partners/rules.md are what they say: conditions and a file that pass."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine

from regional311.config.rule_file import read_rule_file, rule_file
from regional311.database.session import open_session
from regional311.referral.conditions import compile_condition
from regional311.referral.fitness import fitness
from regional311.referral.snapshot import NOBODY, Published
from regional311.web.rule_forms import EXAMPLES

PAGE = (Path(__file__).parents[2] / "docs" / "partners" / "rules.md").read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", [*examples("cel"), *EXAMPLES.values()])
def test_every_condition_can_be_read(text):
    assert compile_condition(text.strip())


def test_the_file_is_a_version_without_errors_and_its_test_passes(engine: Engine):
    (text,) = examples("toml")
    content = read_rule_file(text.encode())
    assert read_rule_file(rule_file(content).encode()) == content
    with open_session(engine, NOBODY) as session:
        region = Published.load(session)
    found = fitness(region, "city-of-portland", 9, content, date(2026, 11, 20), ())
    assert found.errors == []
    assert [each.passed for each in found.ran] == [True]
