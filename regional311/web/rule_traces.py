"""Decisions in full, as they were or would be: every rule that was tried, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final

from regional311.referral.conditions import Facts, compile_condition
from regional311.referral.decision import (
    Decision,
    Region,
    explain,
    explain_stored,
    facts_at,
    rule_name_key,
)
from regional311.referral.rules import ADDED, MATCHED, RuleBook
from regional311.referral.snapshot import Published
from regional311.web.i18n import _
from regional311.web.rule_pages import words_of_rules
from regional311.web.telling import telling

OF_THE_PERSON: Final = frozenset({"accommodation", "anonymous", "interpreter"})
"""Facts that are about who asked, and not about what was asked for."""
NOT_SHOWN: Final[Any] = _("It looks at who asked, which is not shown here.")


def of_decision(
    request: Any,
    region: Region,
    decision: Decision,
    rules: Iterable[Mapping[str, Any]],
    version: int,
    on: date,
    hides: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Say what rules that are tried come to: the answer, why, and every rule of both partners.

    ``rules`` are this partner's as they are stored; ``region`` has them as its rule book. Of rules
    that look at a fact in ``hides`` it is not said whether they fit, unless one of them decides.
    """
    tell = telling(request)
    names = dict(tell.published.names)
    for stored in rules:
        names[rule_name_key(tell.slug, version, stored["key"])] = stored["name"]
    answer, *why = explain(decision, names, tell.explain)
    tried = []
    for at, each in enumerate(decision.tried):
        book = region.rulebooks[each.tenant]
        about = decision.facts if not at else _receivers_facts(decision, tell.published, book, on)
        tried.append(_tried(request, book, each.trace, about, hides, ours=not at))
    return {"answer": answer, "why": why, "explained_in": tell.explained_in, "tried": tried}


def of_stored(
    request: Any,
    outcome: str,
    trace: Mapping[str, Any],
    facts: Facts,
    hides: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Say a decision that was: the answer, why, and every rule, by the rules that decided then."""
    tell = telling(request)
    answer, *why = explain_stored(outcome, trace, tell.published.names, tell.explain)
    tried = []
    for at, each in enumerate(trace.get("tried") or ()):
        book = tell.published.rule_book(each["tenant"], each["version"])
        if book is not None:
            about = facts if not at else replace(facts, owner=each["tenant"])
            tried.append(_tried(request, book, each["codes"], about, hides, ours=not at))
    return {"answer": answer, "why": why, "explained_in": tell.explained_in, "tried": tried}


def _tried(
    request: Any,
    book: RuleBook,
    codes: str,
    facts: Facts,
    hides: frozenset[str],
    *,
    ours: bool,
) -> dict[str, Any]:
    """Say of each rule of a set what came of trying it, by the letters that a decision keeps."""
    tell = telling(request)
    words = words_of_rules(request, tell.explain_filled)
    listed = []
    for place, rule in enumerate(book.rule_set.rules):
        code = codes[place] if place < len(codes) else ""
        uses = compile_condition(rule.condition).facts if rule.condition else frozenset()
        hidden = code not in ("", MATCHED) and not hides.isdisjoint(uses)
        listed.append(
            {
                "number": place + 1,
                "name": rule.name,
                "why": tell.explain_filled(NOT_SHOWN) if hidden else words.why(code, facts),
                "matched": code == MATCHED,
                "added": code == ADDED and not hidden,
                "tried": bool(code),
            }
        )
    return {
        "partner": tell.partner(book.rule_set.tenant),
        "version": book.rule_set.version,
        "ours": ours,
        "rules": listed,
    }


def _receivers_facts(decision: Decision, published: Published, book: RuleBook, on: date) -> Any:
    """Give the facts as the receiving partner's rules see them."""
    receiver = book.rule_set.tenant
    service = published.directory.find(f"{receiver}/{decision.service}")
    if service is None:
        return replace(decision.facts, owner=receiver)
    return facts_at(receiver, service, decision.facts, on)


def values(facts: Facts, only: Collection[str] | None = None) -> list[tuple[str, str]]:
    """Give the facts as rules see them; ``only`` names those that are wanted."""
    found = []
    for name, value in facts.values().items():
        if only is not None and name not in only:
            continue
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, list):
            text = ", ".join(value)
        else:
            text = str(value)
        found.append((name, text or "–"))
    return found
