"""One version of a partner's rules as a file, and a file as the content of a draft."""

from __future__ import annotations

import tomllib
from datetime import date, datetime, time
from typing import Any, Final

from regional311.config import schema
from regional311.config.files import rule_faults
from regional311.config.writer import toml_text
from regional311.errors import InvalidInput
from regional311.referral.drafting import Content
from regional311.referral.rules import BadRule, rule_from
from regional311.strict import canonical, from_plain, problems

MOST_BYTES: Final = 2_000_000
"""A file of rules is no longer than this."""


class BadRuleFile(InvalidInput):
    """A file that is not one of rules; `problems` says each thing that is wrong, with its key."""

    def __init__(self, found: list[str]) -> None:
        self.problems = tuple(found)
        more = f" And {len(found) - 5} more." if len(found) > 5 else ""
        super().__init__(" ".join(found[:5]) + more, field="file")


def rule_file(content: Content, valid_from: date | None = None) -> str:
    """Write a version as `rules.toml`; reading it gives the same content."""
    table = {"valid_from": valid_from, "title": content.title}
    said = {"rule_set": table, "rule": list(content.rules), "case": list(content.cases)}
    return toml_text(from_plain(schema.RulesFile, said))


def canonical_rule(said: dict[str, Any]) -> dict[str, Any]:
    """Give a rule in the form in which versions hold it, from values as a form has them.

    Raises :class:`BadRule` for what no rule can say.
    """
    wrong = problems(schema.Rule, said)
    if wrong:
        path, words = wrong[0]
        field = str(path[0]) if path else "name"
        raise BadRule(f"{field.replace('_', ' ').capitalize()} {words}.", said["key"], field)
    found = canonical(from_plain(schema.Rule, said))
    rule_from(found)
    return found


def read_rule_file(raw: bytes) -> Content:
    """Read `rules.toml`. Raises :class:`BadRuleFile` with everything that is wrong in it."""
    if len(raw) > MOST_BYTES:
        raise BadRuleFile([f"The file is larger than {MOST_BYTES // 1_000_000} MB."])
    try:
        data = tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadRuleFile(["The file is not UTF-8 text."]) from None
    except tomllib.TOMLDecodeError as error:
        raise BadRuleFile([f"The file is not TOML: {error}."]) from None
    data.setdefault("rule_set", {})
    wrong = [f"{_where(data, path)}: {words}." for path, words in problems(schema.RulesFile, data)]
    wrong += _times(data)
    if wrong:
        raise BadRuleFile(wrong)
    model = from_plain(schema.RulesFile, data)
    said = canonical(model)
    wrong = [f"{each.key}: {each.message.rstrip('.')}." for each in rule_faults(model)]
    if wrong:
        raise BadRuleFile(wrong)
    return Content(tuple(said["rule"]), tuple(said.get("case", ())), model.rule_set.title)


def _times(data: Any, path: str = "") -> list[str]:
    """Days only: a time of day would be lost."""
    if isinstance(data, dict):
        return [
            each
            for key, value in data.items()
            for each in _times(value, f"{path}.{key}" if path else key)
        ]
    if isinstance(data, list):
        return [
            each for at, value in enumerate(data) for each in _times(value, f"{path}[{at + 1}]")
        ]
    return [f"{path}: must be a date."] if isinstance(data, datetime | time) else []


def _where(data: Any, path: tuple[str | int, ...]) -> str:
    """Name a place in the file by the keys of its rules, such as `rule[night].hours`."""
    said, here = "", data
    for part in path:
        if isinstance(part, int):
            here = here[part] if isinstance(here, list) and part < len(here) else None
            key = here.get("key") if isinstance(here, dict) else None
            said += f"[{key or part + 1}]"
        else:
            here = here.get(part) if isinstance(here, dict) else None
            said += f".{part}" if said else part
    return said
