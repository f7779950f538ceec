"""The page for auditors names tests that exist, files that exist, and every rule."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/finance/invariants.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py(?:::\w+)+)`", PAGE)))
RULES = re.search(r"## Rules\n(.*?)\n## ", PAGE, re.DOTALL)[1]
REFUSED = PAGE[PAGE.index("## What is refused") :]

SPECIFIED = (
    *("balance of every entry", "append-only", "reversal is neutral", "mirror and net-zero"),
    *("idempotency", "order in which events come in", "exactly one live line", "at most one rate"),
    *("half-open time", "allocation loses nothing", "common factor", "direct = step-down"),
    *("step-down in that order = reciprocal", "additive at any cut", "cap holds", "telescopes"),
    *("same cut-offs", "what-if changes nothing", "frozen", "payable = general ledger = focus"),
    *("credits never exceed", "only the listed steps", "dispute's cents", "closed period"),
    *("balance as of any date", "tampering", "one's own rows only", "explain is complete"),
    *("waterfall sum", "exported once"),
)
"""The invariants that were agreed on, in their order."""


@cache
def names_in(file):
    """The tests of a file, those of classes as `Class::test`."""
    found = set()
    for node in ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{each.name}"
                for each in node.body
                if isinstance(each, ast.FunctionDef)
            }
    return found


def test_each_test_that_is_named_exists():
    assert len(NAMED) > 60
    split = [each.partition("::") for each in NAMED]
    assert [f"{file}::{name}" for file, _, name in split if name not in names_in(file)] == []


def test_every_rule_has_its_row_its_place_and_its_test():
    rows = [line.split("|")[1:-1] for line in RULES.splitlines() if line.startswith("| ")][1:]
    rows = [row for row in rows if set(row[0]) != set(" -")]
    for wanted in SPECIFIED:
        assert [row for row in rows if wanted in row[0].lower()], wanted
    for rule, kept, shown in rows:
        assert kept.strip(), rule
        assert re.search(r"`[\w/]+\.py::\w+", shown), rule
    for file in re.findall(r"`([a-z_/]+\.py)`", RULES):
        assert (ROOT / "regional311" / file).exists(), file


def test_the_examples_say_their_source_where_they_are_tested():
    """Each source of the table stands in the file of its test."""
    table = PAGE[PAGE.index("## Worked examples") : PAGE.index("A whole month of three")]
    for line in table.splitlines():
        if "::" not in line:
            continue
        _example, source, tests = line.split("|")[1:-1]
        name = re.split(r"[,;]", source.strip())[0]
        files = re.findall(r"`([\w/]+\.py)::", tests)
        assert any(name in (ROOT / "tests" / file).read_text(encoding="utf-8") for file in files), (
            source
        )


def test_all_bad_input_is_named_with_its_test():
    for what in (
        *("overlap", "99.99 %", "base of zeros", "negative pool", "only one another"),
        *("of the future", "closed year", "ended agreement", "payment in a closed period"),
        *("approval by the preparer", "approval form sent again", "two runs at once"),
        *("crash in the middle of issuing", "formulas or dates as text"),
    ):
        (row,) = [line for line in REFUSED.splitlines() if what in line.partition("`")[0]]
        assert re.search(r"`[\w/]+\.py::\w+", row), what
