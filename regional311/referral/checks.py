"""What is wrong with a set of rules before it is published, each problem with its rule's name.

What can be told from the rules and the region alone is *decided*; what cannot, such as whether a
condition ever leaves anything for a later rule, is looked for in contacts that were (`sampled`).
Each problem says which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from regional311.catalog.directory import Service
from regional311.referral.acceptance import Acceptance, policy_for
from regional311.referral.conditions import BadCondition, Facts, compile_condition
from regional311.referral.decision import Region
from regional311.referral.rules import (
    CROSSING,
    MATCHED,
    OPEN_REQUEST,
    REFER,
    RULE_OUTCOMES,
    BadRule,
    Matchers,
    Rule,
    RuleBook,
    qualified,
    rule_from,
)
from regional311.tenancy.jurisdiction import AT_THE_EDGE, WITHIN

ERROR: Final = "error"
WARNING: Final = "warning"
DECIDED: Final = "decided"
SAMPLED: Final = "sampled"
LOOP: Final = "loop"
"""What we send away comes back; as a warning: not every circle was looked for."""
_NAMED: Final = 4
"""Services that a problem names one by one."""

_RELATIONS: Final = frozenset({"self", "other", "nobody"})
_SET_FIELDS: Final = (
    "services",
    "verbs",
    "terms",
    "branches",
    "boundaries",
    "channels",
    "languages",
    "urgency",
    "owners",
    "dispositions",
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one rule; an ``error`` keeps the set from being published.

    ``how`` says whether it was decided or only seen in the contacts that were sampled. A problem of
    the whole set has no rule.
    """

    rule: str
    name: str
    code: str
    message: str
    level: str = ERROR
    how: str = DECIDED


@dataclass(frozen=True, slots=True)
class Known:
    """What rules of one partner may refer to.

    ``services`` and ``boundaries`` are ``partner/key``; ``partnerships`` are the partners this one
    has an agreement with; ``others`` are the other partners' rules and ``offered`` the terms of
    each partner's services. ``ended`` are services that can be asked for no more, ``branches`` the
    terms of taxonomies, ``directory`` the services that are offered, ``taking`` what each partner
    takes from others. ``meeting`` says how two boundaries meet.
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
    ended: frozenset[str] = frozenset()
    branches: frozenset[str] = frozenset()
    directory: tuple[Service, ...] = ()
    taking: Mapping[str, tuple[Acceptance, ...]] = field(default_factory=dict)
    meeting: Callable[[str, str], str] = lambda _one, _other: WITHIN

    @classmethod
    def of(
        cls,
        region: Region,
        tenant: str,
        boundaries: Iterable[str] = (),
        queues: Iterable[str] = (),
        fields: Iterable[str] = (),
        *,
        branches: Iterable[str] = (),
        on: date | None = None,
        meeting: Callable[[str, str], str] = lambda _one, _other: WITHIN,
    ) -> Known:
        """Take what is known from the region as it stands; of a day, what has not ended by then."""
        services = region.directory.services
        offered = tuple(each for each in services if on is None or each.offered(on))
        ended = frozenset(each.ref for each in services) - {each.ref for each in offered}
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
            ended,
            frozenset(branches),
            offered,
            region.reception.policies,
            meeting,
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
    plain = [_plain(rule.match, known.tenant) for rule in rules]
    circles = _Circles(known)
    for at, rule in enumerate(rules):
        if rule.key in seen:
            problems.append(_problem(rule, "duplicate", "Another rule has the same key."))
        elif rule.name in names:
            problems.append(_problem(rule, "duplicate", f"Rule {names[rule.name]} has this name."))
        seen.setdefault(rule.key, at)
        names.setdefault(rule.name, rule.key)
        if rule.off:
            continue
        problems.extend(_unknown(rule, known))
        problems.extend(_cannot_be_done(rule, known))
        problems.extend(circles.of(rule))
        shadow = next(
            (each for each in range(at) if _covers(rules[each], rule, plain[each], plain[at])), None
        )
        if shadow is not None:
            problems.append(
                _problem(
                    rule,
                    "shadowed",
                    f"Rule {rules[shadow].name!r} before it always matches first.",
                )
            )
    if circles.given_up:
        words = (
            "There are too many rules to look for every circle; those that were found are named."
        )
        problems.append(Problem("", "", LOOP, words, WARNING))
    return problems


def open_owners(rules: Iterable[Rule], known: Known) -> frozenset[str]:
    """Give for whose services a contact may match nothing; empty: decided, there is no gap.

    Only rules that look at nothing but who is responsible count as sure to match. An empty text
    stands for nobody.
    """
    everybody = known.partners | known.agencies | {""}
    covered: set[str] = set()
    for rule in rules:
        plain = replace(rule.match, owners=frozenset()).always
        dated = rule.valid_from is not None or rule.valid_to is not None
        possible = rule.outcome not in CROSSING or rule.target in ("self", known.tenant)
        if plain and possible and not (rule.off or rule.continues or rule.condition or dated):
            covered |= _owners(rule.match, known, known.tenant)
    return frozenset(everybody - covered)


@dataclass(frozen=True, slots=True)
class Sample:
    """A contact that was: its facts, the day, and the id by which it is opened."""

    facts: Facts
    on: date
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Sampled:
    """What trying a set of rules on contacts that were has shown.

    ``gaps`` are the contacts that no rule decided, as far as they are kept.
    """

    problems: tuple[Problem, ...]
    size: int
    unmatched: int = 0
    gaps: tuple[Sample, ...] = ()


def check_sampled(book: RuleBook, samples: Iterable[Sample], most_gaps: int = 5) -> Sampled:
    """Look for rules that never get a turn, and for contacts that no rule decides."""
    rules = book.rule_set.rules
    fits, decided = [0] * len(rules), [0] * len(rules)
    took: list[Counter[str]] = [Counter() for _ in rules]
    size = unmatched = 0
    gaps: list[Sample] = []
    for sample in samples:
        size += 1
        tried = book.try_rules(sample.facts, sample.on, to_end=True)
        if tried.matched is None:
            unmatched += 1
            if len(gaps) < most_gaps:
                gaps.append(sample)
        first = True
        for at, code in enumerate(tried.trace):
            if code == MATCHED:
                fits[at] += 1
                if first:
                    decided[at] += 1
                    first = False
                elif tried.matched is not None:
                    took[at][tried.matched.name] += 1
    problems: list[Problem] = []
    for at, rule in enumerate(rules):
        if rule.off or rule.continues or decided[at] or not size:
            continue
        if fits[at]:
            names = ", ".join(repr(name) for name, _count in took[at].most_common(2))
            message = (
                f"It would fit {fits[at]} of {size} contacts, and a rule before it decided each: "
                f"{names}."
            )
            problems.append(Problem(rule.key, rule.name, "shadowed", message, WARNING, SAMPLED))
        else:
            message = f"It fits none of {size} contacts."
            problems.append(Problem(rule.key, rule.name, "unused", message, WARNING, SAMPLED))
    if unmatched:
        message = f"No rule decides {unmatched} of {size} contacts: they go the usual way."
        problems.append(Problem("", "", "gap", message, WARNING, SAMPLED))
    return Sampled(tuple(problems), size, unmatched, tuple(gaps))


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
    for each in sorted(qualified(match.services, known.tenant) & known.ended):
        yield _problem(rule, "ended", f"The service {each} has ended.")
    for each in sorted(match.branches - known.branches):
        yield _problem(rule, "unknown-branch", f"No taxonomy has the term {each}.")
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
    if rule.outcome in CROSSING:
        for partner in sorted(_sent_to(rule) & known.partners - {known.tenant}):
            yield from _nothing_taken(rule, partner, known)
    if known.directory and _fits_no_service(rule, known):
        yield _problem(
            rule, "unreachable", "No service fits what it says of services, kinds and verbs."
        )
    if rule.target == "owner" and rule.match.owners == {"nobody"}:
        yield _problem(rule, "unreachable", "It sends to the owner where nobody is responsible.")


def _sent_to(rule: Rule) -> frozenset[str]:
    """The partners, as far as it names them, to which a rule sends."""
    return rule.match.owners if rule.target in ("", "owner") else frozenset({rule.target})


def _nothing_taken(rule: Rule, partner: str, known: Known) -> Iterator[Problem]:
    """Say where a partner takes nothing by its own policy: of all that the rule sends, or a part.

    A policy that is open at some hours, or has no room today, is no such policy: what it says is
    asked again for each contact.
    """
    policies = known.taking.get(partner, ())
    if not any(each.mode == "closed" for each in policies):
        return
    match, wanted = rule.match, qualified(rule.match.services, known.tenant)
    kinds = match.terms | {
        each.term for each in known.directory if each.ref in wanted and each.term
    }
    sent = [
        each
        for each in known.directory
        if each.tenant == partner
        and (each.ref in wanted or each.term in kinds or not (wanted or match.terms))
    ]
    shut: list[str] = []
    taken: list[str] = []
    for key, name in [(each.key, each.name) for each in sent] or [("", partner)]:
        policy = policy_for(policies, key, known.tenant)
        (shut if policy is not None and policy.mode == "closed" else taken).append(name)
    if shut and not taken:
        yield _problem(
            rule, "closed", f"By its own policy {partner} takes nothing of this at present."
        )
    elif shut:
        more = f" and {len(shut) - _NAMED} more" if len(shut) > _NAMED else ""
        yield _problem(
            rule,
            "closed",
            f"By its own policy {partner} does not take this at present:"
            f" {', '.join(shut[:_NAMED])}{more}.",
            WARNING,
        )


def _fits_no_service(rule: Rule, known: Known) -> bool:
    """Whether no service that is offered could make the rule match, wherever it is asked for."""
    match = rule.match
    wanted = qualified(match.services, known.tenant)
    if not (wanted and (match.terms or match.verbs)):
        return False
    for each in known.directory:
        if each.ref in wanted and (not match.terms or each.term in match.terms):
            kin = {one.verb for one in known.directory if each.term and one.term == each.term}
            if not match.verbs or match.verbs & (kin | {each.verb}):
                return False
    return True


@dataclass(frozen=True, slots=True)
class _Reach:
    """Which contacts a partner's rule can match: what is compared again and again, told once."""

    rule: Rule
    owners: frozenset[str]
    services: frozenset[str]
    boundaries: frozenset[str]

    @property
    def alike(self) -> tuple[object, ...]:
        """What `_overlap` looks at: rules with the same of it meet the same rules."""
        rule, match = self.rule, self.rule.match
        return (
            *(self.owners, self.services, self.boundaries),
            *(match.terms, match.verbs, match.channels),
            *(match.languages, match.urgency, match.hours, match.confidential),
            *(rule.valid_from, rule.valid_to),
        )


def _reach(rule: Rule, of: str, known: Known) -> _Reach:
    keys = {each.partition("/")[2] for each in qualified(rule.match.services, of)}
    return _Reach(
        rule,
        _owners(rule.match, known, of),
        frozenset(keys),
        qualified(rule.match.boundaries, of),
    )


class _Way:
    """The rules of one partner by which something may come back, found by what a rule is about.

    Of those that match the same and send to the same the first stands for all.
    """

    def __init__(self, rules: Iterable[tuple[_Reach, list[str]]]) -> None:
        first: dict[object, tuple[_Reach, list[str]]] = {}
        for reach, to in rules:
            first.setdefault((reach.alike, *to), (reach, to))
        self._rules = list(first.values())
        self._by_term = _places(each.rule.match.terms for each, _to in self._rules)
        self._by_service = _places(each.services for each, _to in self._rules)

    def meeting(self, one: _Reach) -> Iterator[tuple[_Reach, list[str]]]:
        """Give, in their order, those that may meet a rule as far as what both are about goes."""
        places: set[int] | None = None
        for index, values in (
            (self._by_term, one.rule.match.terms),
            (self._by_service, one.services),
        ):
            if values:
                found = set(index.get("", ())).union(*(index.get(each, ()) for each in values))
                places = found if places is None else places & found
        if places is None:
            yield from self._rules
        else:
            for place in sorted(places):
                yield self._rules[place]


def _places(values: Iterable[frozenset[str]]) -> dict[str, list[int]]:
    """Where each value stands; an empty set of values stands under no name: it fits all."""
    found: dict[str, list[int]] = {}
    for place, each in enumerate(values):
        for value in each or ("",):
            found.setdefault(value, []).append(place)
    return found


_Ways = Mapping[str, _Way]
"""Of each other partner the rules by which something may come back to us, and to whom they send."""


def _ways_back(known: Known) -> _Ways:
    """Give the rules of others that send to us, or to somebody whose rules lead to us."""
    sending = {
        partner: [
            (each, _sent_to(each) - {partner})
            for each in rules
            if not (each.continues or each.off) and each.outcome in CROSSING
        ]
        for partner, rules in known.others.items()
    }
    leading = {known.tenant}
    while more := {
        partner
        for partner, rules in sending.items()
        if partner not in leading and any(to & leading for _rule, to in rules)
    }:
        leading |= more
    return {
        partner: _Way(
            (_reach(rule, partner, known), sorted(to & leading))
            for rule, to in rules
            if to & leading
        )
        for partner, rules in sending.items()
        if partner in leading
    }


_Step = tuple[str, Rule, str]
"""A partner, its rule, and to whom that rule sends."""

MOST_STEPS: Final = 100_000
"""So many pairs of rules are held against each other for one version: a second or so."""
OWN_STEPS: Final = 1_000
"""So many are looked at for each of our rules however many others took: as many as a partner has
rules, so that the one partner a rule names is always found when it sends straight back."""


class _Circles:
    """The search for rules by which what we send away comes back to us."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._ways = _ways_back(known)
        self._found: dict[object, tuple[list[_Step], str]] = {}
        self._steps = 0
        self.given_up = False
        """Whether there were too many pairs to look at all of them."""

    def of(self, rule: Rule) -> Iterator[Problem]:
        """Say by which other partners' rules what this one sends away comes back.

        Each rule on the way must be able to match together with this one and with the one before
        it; conditions are taken as able to hold. Where that takes a place at the edge of two areas
        it is a warning: such places go round, and all others do not.
        """
        if rule.continues or rule.outcome not in CROSSING:
            return
        ours = _reach(rule, self._known.tenant, self._known)
        to = _sent_to(rule)
        key = (ours.alike, to)
        if key not in self._found:
            way, level = self._way_back(ours, to, (WITHIN, AT_THE_EDGE)), ERROR
            if way:
                inside = self._way_back(ours, to, (WITHIN,))
                way, level = (inside, ERROR) if inside else (way, WARNING)
            self._found[key] = way, level
        way, level = self._found[key]
        steps = [
            f"ule {each.name!r} of {partner} sends the same"
            f" {'back to' if target == self._known.tenant else 'on to'} {target}"
            for partner, each, target in way
        ]
        if steps:
            where = "" if level == ERROR else ", for places at the edge of both areas"
            yield _problem(rule, LOOP, f"R{', and r'.join(steps)}{where}.", level)

    def _way_back(self, ours: _Reach, to: frozenset[str], near: tuple[str, ...]) -> list[_Step]:
        """Find the shortest chain of other partners' rules that ends at this partner.

        ``near`` is how the boundaries of two rules must meet for a place to lie in both.
        """
        reached: list[tuple[str, _Reach, list[_Step]]] = [
            (partner, ours, []) for partner in sorted(to & self._ways.keys())
        ]
        seen: set[tuple[str, str, str]] = set()
        own = self._steps + OWN_STEPS
        for partner, sent_by, so_far in reached:
            for each, targets in self._ways[partner].meeting(ours):
                if self._steps >= max(own, MOST_STEPS):
                    self.given_up = True
                    return []
                self._steps += 1
                if not (
                    _overlap(ours, each, self._known, near)
                    and (sent_by is ours or _overlap(sent_by, each, self._known, near))
                ):
                    continue
                for target in targets:
                    way = [*so_far, (partner, each.rule, target)]
                    if target == self._known.tenant:
                        return way
                    if (partner, each.rule.key, target) not in seen:
                        seen.add((partner, each.rule.key, target))
                        reached.append((target, each, way))
        return []


def _overlap(
    one: _Reach, other: _Reach, known: Known, near: tuple[str, ...] = (WITHIN, AT_THE_EDGE)
) -> bool:
    """Whether some contact could match two partners' rules; conditions are taken to hold."""
    first, second = one.rule.match, other.rule.match
    for mine, theirs in (
        (first.terms, second.terms),
        (first.verbs, second.verbs),
        (first.channels, second.channels),
        (first.languages, second.languages),
        (first.urgency, second.urgency),
        (one.services, other.services),
    ):
        if mine and theirs and mine.isdisjoint(theirs):
            return False
    if first.hours and second.hours and first.hours != second.hours:
        return False
    if first.confidential is not None and second.confidential not in (None, first.confidential):
        return False
    if not _days_meet(one.rule, other.rule):
        return False
    if not _in_both(one.boundaries, other.boundaries, known, near):
        return False
    owners = one.owners & other.owners
    terms = first.terms & second.terms or first.terms or second.terms
    return bool(owners) and (
        not terms or any(terms & known.offered.get(owner, terms) for owner in owners)
    )


def _in_both(
    mine: frozenset[str], theirs: frozenset[str], known: Known, near: tuple[str, ...]
) -> bool:
    """Whether a place can lie in a boundary of each; a rule without boundaries takes any place."""
    if not (mine and theirs) or mine & theirs:
        return True
    return any(known.meeting(one, other) in near for one in mine for other in theirs)


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


_Plain = tuple[frozenset[str], ...]


def _covers(earlier: Rule, later: Rule, first: _Plain, second: _Plain) -> bool:
    """Whether the earlier rule matches whenever the later one would, by their plain matchers."""
    if earlier.continues or earlier.off or later is earlier:
        return False
    if earlier.condition and earlier.condition != later.condition:
        return False
    if not _spans(earlier, later):
        return False
    for wide, narrow in zip(first, second, strict=True):
        if wide and not (narrow and narrow <= wide):
            return False
    if earlier.match.hours and earlier.match.hours != later.match.hours:
        return False
    return earlier.match.confidential in (None, later.match.confidential) and not (
        earlier.match.confidential is not None and later.match.confidential is None
    )


def _plain(match: Matchers, tenant: str) -> _Plain:
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
