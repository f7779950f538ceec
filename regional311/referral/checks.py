"""What is wrong with a set of rules before it is published, each problem with its rule's name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from regional311.referral.conditions import BadCondition, compile_condition
from regional311.referral.decision import Region
from regional311.referral.rules import (
    CROSSING,
    OPEN_REQUEST,
    REFER,
    RULE_OUTCOMES,
    BadRule,
    Matchers,
    Rule,
    qualified,
    rule_from,
)

ERROR: Final = "error"
WARNING: Final = "warning"
_RELATIONS: Final = frozenset({"self", "other", "nobody"})
_SET_FIELDS: Final = (
    "services",
    "verbs",
    "terms",
    "boundaries",
    "channels",
    "languages",
    "urgency",
    "owners",
    "dispositions",
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one rule; an ``error`` keeps the set from being published."""

    rule: str
    name: str
    code: str
    message: str
    level: str = ERROR


@dataclass(frozen=True, slots=True)
class Known:
    """What rules of one partner may refer to.

    ``services`` and ``boundaries`` are ``partner/key``; ``partnerships`` are the partners this one
    has an agreement with; ``others`` are the other partners' rules and ``offered`` the terms of
    each partner's services.
    """

    tenant: str
    services: frozenset[str]
    boundaries: frozenset[str]
    terms: frozenset[str]
    partners: frozenset[str]
    agencies: frozenset[str] = frozenset()
    partnerships: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    others: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    offered: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        region: Region,
        tenant: str,
        boundaries: Iterable[str] = (),
        queues: Iterable[str] = (),
        fields: Iterable[str] = (),
    ) -> Known:
        """Take what is known from the region as it stands."""
        return cls(
            tenant,
            frozenset(each.ref for each in region.directory.services),
            frozenset(boundaries),
            frozenset(each.term for each in region.directory.services),
            frozenset(region.partners),
            frozenset(region.agencies),
            frozenset(other for pair in region.partnerships if tenant in pair for other in pair)
            - {tenant},
            frozenset(queues),
            frozenset(fields),
            {
                slug: book.rule_set.rules
                for slug, book in region.rulebooks.items()
                if slug != tenant
            },
            {
                slug: frozenset(each.term for each in region.directory.of(slug))
                for slug in region.partners
            },
        )


def check_contents(contents: Iterable[Mapping[str, Any]], known: Known) -> list[Problem]:
    """Check rules as they are written; those that cannot be read are reported and left out."""
    problems: list[Problem] = []
    rules: list[Rule] = []
    for number, content in enumerate(contents, start=1):
        try:
            rules.append(rule_from(content))
        except BadRule as error:
            name = str(content.get("name") or content.get("key") or f"number {number}")
            code = "danger" if "danger" in error.message else "unreadable"
            problems.append(Problem(error.rule, name, code, error.message))
    return problems + check_rules(rules, known)


def check_rules(rules: Iterable[Rule], known: Known) -> list[Problem]:
    """Give every problem of an ordered list of rules, in the order of the rules."""
    rules = tuple(rules)
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    names: dict[str, str] = {}
    for at, rule in enumerate(rules):
        if rule.key in seen:
            problems.append(_problem(rule, "duplicate", "Another rule has the same key."))
        elif rule.name in names:
            problems.append(_problem(rule, "duplicate", f"Rule {names[rule.name]} has this name."))
        problems.extend(_unknown(rule, known))
        problems.extend(_cannot_be_done(rule, known))
        problems.extend(_loops(rule, known))
        shadow = next((each for each in rules[:at] if _covers(each, rule, known.tenant)), None)
        if shadow is not None:
            problems.append(
                _problem(rule, "shadowed", f"Rule {shadow.name!r} before it always matches first.")
            )
        seen.setdefault(rule.key, at)
        names.setdefault(rule.name, rule.key)
    return problems


def _problem(rule: Rule, code: str, message: str, level: str = ERROR) -> Problem:
    return Problem(rule.key, rule.name, code, message, level)


def _unknown(rule: Rule, known: Known) -> Iterator[Problem]:
    match = rule.match
    for what, given, allowed in (
        ("service", qualified(match.services, known.tenant), known.services),
        ("boundary", qualified(match.boundaries, known.tenant), known.boundaries),
        ("term", match.terms, known.terms),
        ("owner", match.owners, known.partners | known.agencies | _RELATIONS),
    ):
        for each in sorted(given - allowed):
            yield _problem(rule, f"unknown-{what}", f"There is no {what} {each}.")
    targets = known.partners | known.agencies | {"", "owner", "self"}
    if rule.target not in targets:
        yield _problem(rule, "unknown-target", f"There is no partner or agency {rule.target}.")
    if (
        rule.queue not in ("", *known.queues)
        and known.queues
        and rule.target in ("", "self", known.tenant)
    ):
        yield _problem(rule, "unknown-queue", f"There is no queue {rule.queue}.")
    for each in rule.share:
        if known.fields and each not in known.fields:
            yield _problem(rule, "unknown-field", f"The sharing policy has no field {each}.")
    if rule.condition:
        yield from _condition(rule, known)


def _condition(rule: Rule, known: Known) -> Iterator[Problem]:
    try:
        condition = compile_condition(rule.condition)
    except BadCondition as error:
        yield _problem(rule, error.reason, error.message)
        return
    keys = {ref.partition("/")[2] for ref in known.services}
    allowed: Mapping[str, frozenset[str] | set[str]] = {
        "service": keys,
        "asked": known.services,
        "boundaries": known.boundaries,
        "terms": known.terms,
        "owner": known.partners | known.agencies | {""},
        "partner": known.partners,
    }
    for fact, literal in sorted(condition.literals):
        if fact in allowed and literal not in allowed[fact]:
            yield _problem(
                rule, f"unknown-{fact}", f"The condition names {literal!r}, which is no {fact}."
            )


def _cannot_be_done(rule: Rule, known: Known) -> Iterator[Problem]:
    if rule.valid_from and rule.valid_to and rule.valid_to <= rule.valid_from:
        yield _problem(rule, "unreachable", "It ends before it begins.")
    if rule.continues:
        return
    if rule.outcome not in RULE_OUTCOMES:
        yield _problem(
            rule, "danger", "The danger screen decides before any rule and cannot be overridden."
        )
    own = rule.target in ("self", known.tenant)
    if rule.outcome == REFER and own:
        yield _problem(rule, "target", f"{rule.outcome} to the partner itself does nothing.")
    if rule.target in known.agencies and rule.outcome in (OPEN_REQUEST, REFER):
        yield _problem(
            rule, "target", f"{rule.target} takes no part; it can only be told about or called."
        )
    if (
        rule.outcome in CROSSING
        and rule.target in known.partners
        and not own
        and rule.target not in known.partnerships
    ):
        yield _problem(rule, "no-agreement", f"There is no agreement with {rule.target}.")
    if rule.target == "owner" and rule.match.owners == {"nobody"}:
        yield _problem(rule, "unreachable", "It sends to the owner where nobody is responsible.")


def _loops(rule: Rule, known: Known) -> Iterator[Problem]:
    if rule.continues or rule.outcome not in CROSSING:
        return
    target = rule.match.owners if rule.target in ("", "owner") else {rule.target}
    for partner in sorted(target & known.others.keys()):
        for back in known.others[partner]:
            if (
                not back.continues
                and back.outcome in CROSSING
                and back.target == known.tenant
                and _overlap(rule, back, known, partner)
            ):
                yield _problem(
                    rule,
                    "loop",
                    f"Rule {back.name!r} of {partner} sends the same back to {known.tenant}.",
                )
                break


def _overlap(one: Rule, other: Rule, known: Known, partner: str) -> bool:
    """Whether some contact could match both; conditions are taken as able to hold."""
    tenant = known.tenant
    if not _days_meet(one, other):
        return False
    first, second = one.match, other.match
    mine, theirs = _owners(first, known, tenant), _owners(second, known, partner)
    owners = mine & theirs
    if not owners:
        return False
    terms = first.terms & second.terms or first.terms or second.terms
    if terms and not any(terms & known.offered.get(owner, terms) for owner in owners):
        return False
    for name in ("verbs", "terms", "channels", "languages", "urgency"):
        mine, theirs = getattr(first, name), getattr(second, name)
        if mine and theirs and mine.isdisjoint(theirs):
            return False
    services = {each.partition("/")[2] for each in qualified(first.services, tenant)}
    back = {each.partition("/")[2] for each in qualified(second.services, partner)}
    if services and back and services.isdisjoint(back):
        return False
    if first.hours and second.hours and first.hours != second.hours:
        return False
    return first.confidential is None or second.confidential in (None, first.confidential)


def _owners(match: Matchers, known: Known, tenant: str) -> frozenset[str]:
    """Who may be responsible when a partner's rule matches."""
    everybody = known.partners | known.agencies | {"", tenant}
    if not match.owners:
        return everybody
    found: set[str] = set(match.owners - _RELATIONS)
    if "self" in match.owners:
        found.add(tenant)
    if "nobody" in match.owners:
        found.add("")
    if "other" in match.owners:
        found |= everybody - {tenant, ""}
    return frozenset(found)


def _covers(earlier: Rule, later: Rule, tenant: str) -> bool:
    """Whether the earlier rule matches whenever the later one would."""
    if earlier.continues or later is earlier:
        return False
    if earlier.condition and earlier.condition != later.condition:
        return False
    if not _spans(earlier, later):
        return False
    first, second = _plain(earlier.match, tenant), _plain(later.match, tenant)
    for wide, narrow in zip(first, second, strict=True):
        if wide and not (narrow and narrow <= wide):
            return False
    if earlier.match.hours and earlier.match.hours != later.match.hours:
        return False
    return earlier.match.confidential in (None, later.match.confidential) and not (
        earlier.match.confidential is not None and later.match.confidential is None
    )


def _plain(match: Matchers, tenant: str) -> tuple[frozenset[str], ...]:
    return tuple(
        qualified(getattr(match, name), tenant)
        if name in ("services", "boundaries")
        else getattr(match, name)
        for name in _SET_FIELDS
    )


def _spans(earlier: Rule, later: Rule) -> bool:
    starts = earlier.valid_from is None or (
        later.valid_from is not None and earlier.valid_from <= later.valid_from
    )
    ends = earlier.valid_to is None or (
        later.valid_to is not None and later.valid_to <= earlier.valid_to
    )
    return starts and ends


def _days_meet(one: Rule, other: Rule) -> bool:
    first, last = date.min, date.max
    return max(one.valid_from or first, other.valid_from or first) < min(
        one.valid_to or last, other.valid_to or last
    )
