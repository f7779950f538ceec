"""A partner's referral rules: what a rule says, and which of them applies.

Rules are an ordered list, published together as one version. The first that matches decides; one
that continues never decides, it only adds a note, a priority or a follow-up. Each rule tried
leaves one letter in the trace, so that *why* can be answered years later without storing what was
said.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any, Final

import cel

from regional311.errors import InvalidInput
from regional311.intake.models import CHANNELS
from regional311.referral.conditions import (
    DISPOSITIONS,
    URGENCIES,
    VERBS,
    BadCondition,
    Condition,
    Facts,
    compile_condition,
)

RESOLVE_HERE: Final = "resolve_here"
OPEN_REQUEST: Final = "open_request"
REFER: Final = "refer"
WARM_TRANSFER: Final = "warm_transfer"
INFORMATION: Final = "information"
DECLINE: Final = "decline"
DANGER: Final = "danger"

RULE_OUTCOMES: Final = (RESOLVE_HERE, OPEN_REQUEST, REFER, WARM_TRANSFER, INFORMATION, DECLINE)
"""What a rule may say. ``danger`` is the region's alone."""

CROSSING: Final = frozenset({OPEN_REQUEST, REFER, WARM_TRANSFER})
"""Outcomes that hand work to a partner."""

MATCHED: Final = "="
ADDED: Final = "+"

TRACE_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "d": "dates",
        "s": "services",
        "v": "verbs",
        "t": "terms",
        "b": "boundaries",
        "c": "channels",
        "l": "languages",
        "h": "hours",
        "f": "confidential",
        "u": "urgency",
        "o": "owner",
        "p": "disposition",
        "x": "condition",
        "k": "branches",
        "n": "no agreement",
        "z": "switched off",
        ADDED: "added",
        MATCHED: "matched",
    }
)
"""One letter a rule tried: which matcher refused first, or that it matched."""


class BadRule(InvalidInput):
    """A rule that cannot be read; ``rule`` is its key."""

    def __init__(self, message: str, rule: str, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Matchers:
    """The typed cases of a rule. An empty matcher lets everything pass.

    Services and boundaries are the rule's own partner's, or another's as ``partner/key``. Owners
    are partners and agencies, or ``self``, ``other`` and ``nobody``. Branches are terms of a
    taxonomy (``taxonomy:code``) and hold the services of all terms below them.
    """

    services: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    terms: frozenset[str] = frozenset()
    branches: frozenset[str] = frozenset()
    boundaries: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    hours: str = ""
    confidential: bool | None = None
    urgency: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    dispositions: frozenset[str] = frozenset()

    @property
    def always(self) -> bool:
        """Whether every contact passes."""
        return self == Matchers()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. It is valid from ``valid_from`` up to, not including, ``valid_to``.

    ``share`` names the fields that may cross with a referral; the sharing policy can only take
    away from them. ``follow_up_days`` counts from the contact. One that is ``off`` stays in its
    place and is not tried. ``note`` is told to the person; ``remark`` is for who reads the rules,
    ``basis`` names the agreement or policy it rests on, ``group`` the heading it stands under.
    """

    key: str
    name: str
    outcome: str = ""
    match: Matchers = Matchers()
    condition: str = ""
    continues: bool = False
    target: str = ""
    queue: str = ""
    priority: str = ""
    follow_up_days: int | None = None
    share: tuple[str, ...] = ()
    note: str = ""
    reason: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    off: bool = False
    group: str = ""
    basis: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """One published version of a partner's rules."""

    tenant: str
    version: int
    rules: tuple[Rule, ...]
    id: str = ""


_SETS: Final = (
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
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "verbs": VERBS,
    "channels": CHANNELS,
    "urgency": URGENCIES,
    "dispositions": DISPOSITIONS,
}
_MATCHERS: Final = frozenset((*_SETS, "owner", "hours", "confidential"))
_ALSO: Final[Mapping[str, str]] = {"continue": "continues", "notice": "note"}
_TEXTS: Final = (
    "name",
    "condition",
    "outcome",
    "target",
    "queue",
    "priority",
    "note",
    "reason",
    "group",
    "basis",
    "remark",
)


def rule_from(content: Mapping[str, Any]) -> Rule:
    """Read one rule as it is stored and as it is written in TOML.

    Matchers stand beside the other keys, or together in a table ``match``.

    Raises :class:`BadRule` for an unknown key, a wrong type or a value outside its vocabulary.

    >>> rule_from({"key": "shelter", "name": "Shelter", "match": {"services": ["shelter"]},
    ...            "outcome": "refer", "target": "211info"}).target
    '211info'
    """
    key = content.get("key")
    if not isinstance(key, str) or not key:
        raise BadRule("A rule needs a key.", "", "key")

    def refuse(problem: str, field: str) -> BadRule:
        return BadRule(f"Rule {key!r}: {problem}", str(key), field)

    values: dict[str, Any] = {"key": key, "name": key}
    matchers: dict[str, Any] = {}
    for written, value in content.items():
        if written == "key" or value is None:
            continue
        name = _ALSO.get(written, written)
        if name in _TEXTS:
            if not isinstance(value, str):
                raise refuse(f"{name} must be text.", name)
            values[name] = value
        elif name == "match":
            if not isinstance(value, Mapping):
                raise refuse("match must be a table.", "match")
            matchers.update(value)
        elif name in _MATCHERS:
            matchers[name] = value
        elif name in ("valid_from", "valid_to"):
            values[name] = _day(value, refuse, name)
        elif name in ("continues", "off"):
            if not isinstance(value, bool):
                raise refuse(f"{name} must be true or false.", name)
            values[name] = value
        elif name == "follow_up_days":
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 365:
                raise refuse("follow_up_days must be a number of days up to 365.", name)
            values[name] = value
        elif name == "share":
            values[name] = tuple(_texts(value, refuse, name))
        else:
            raise refuse(f"there is no key {name!r}.", name)
    rule = Rule(**values, match=_matchers(matchers, refuse))
    _check_outcome(rule, refuse)
    if rule.valid_from and rule.valid_to and rule.valid_to <= rule.valid_from:
        raise refuse("it ends before it begins.", "valid_to")
    if rule.condition:
        try:
            compile_condition(rule.condition)
        except BadCondition as error:
            raise refuse(error.message, "condition") from error
    return rule


def _check_outcome(rule: Rule, refuse: Callable[[str, str], BadRule]) -> None:
    if rule.outcome == DANGER:
        raise refuse("danger is decided by the region's screen, not by a rule.", "outcome")
    if rule.continues:
        return
    if rule.outcome not in RULE_OUTCOMES:
        raise refuse(f"the outcome is one of {', '.join(RULE_OUTCOMES)}.", "outcome")
    if rule.outcome in (REFER, WARM_TRANSFER) and not rule.target:
        raise refuse(f"{rule.outcome} needs a target.", "target")
    if rule.outcome == DECLINE and not rule.reason:
        raise refuse("decline needs a reason.", "reason")


def rules_from(contents: Iterable[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Read an ordered list of rules; the first that cannot be read raises :class:`BadRule`."""
    return tuple(rule_from(each) for each in contents)


def _matchers(content: Mapping[str, Any], refuse: Callable[[str, str], BadRule]) -> Matchers:
    values: dict[str, Any] = {}
    for written, given in content.items():
        if given is None or given in ([], ()):
            continue
        name, value = ("owners", [given]) if written == "owner" else (written, given)
        if name in _SETS:
            texts = _texts(value, refuse, written)
            allowed = _VALUES.get(name)
            for each in texts:
                if allowed and each not in allowed:
                    raise refuse(f"{name}: {each!r} is none of {', '.join(allowed)}.", written)
            values[name] = frozenset(texts)
        elif name == "hours":
            if value not in ("open", "closed"):
                raise refuse("hours is open or closed.", written)
            values[name] = value
        elif name == "confidential":
            if not isinstance(value, bool):
                raise refuse("confidential is true or false.", written)
            values[name] = value
        else:
            raise refuse(f"there is no matcher {name!r}.", written)
    return Matchers(**values)


def _texts(value: Any, refuse: Callable[[str, str], BadRule], name: str) -> Sequence[str]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise refuse(f"{name} must be a list of texts.", name)
    return value


def _day(value: Any, refuse: Callable[[str, str], BadRule], name: str) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise refuse(f"{name} must be a date such as 2026-07-01.", name) from error


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of trying a partner's rules.

    ``trace`` has one letter a rule tried; ``matched`` decided, ``added`` only added.
    """

    tenant: str
    version: int
    trace: str
    matched: Rule | None = None
    added: tuple[Rule, ...] = ()


MOST_KNOWN: Final = 5000
"""For how many kinds of contacts a rule book remembers which rules cannot fit."""

_SETTLING: Final = ("service", "channel")
_Test = tuple[str, str, frozenset[Any], bool]


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: Rule
    tests: tuple[_Test, ...]
    condition: Condition | None


_Left = tuple[int, Rule, tuple[_Test, ...], Condition | None]


@dataclass(frozen=True, slots=True)
class RuleBook:
    """A version of a partner's rules, compiled once and tried for every contact."""

    rule_set: RuleSet
    _compiled: tuple[_Compiled, ...] = field(repr=False, compare=False)
    _known: dict[tuple[Any, ...], tuple[str, tuple[_Left, ...]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of(
        cls, rule_set: RuleSet, in_branch: Callable[[str], frozenset[str]] = lambda _: frozenset()
    ) -> "RuleBook":
        """Compile a version; ``in_branch`` gives the services of a branch as ``partner/key``.

        Raises :class:`BadCondition` for a condition that cannot be read.
        """
        tenant = rule_set.tenant
        return cls(rule_set, tuple(_compiled(rule, tenant, in_branch) for rule in rule_set.rules))

    def try_rules(
        self,
        facts: Facts,
        on: date,
        *,
        context: cel.Context | None = None,
        allowed: Callable[[Rule], bool] | None = None,
        to_end: bool = False,
    ) -> Tried:
        """Try the rules in order until one decides.

        ``allowed`` can refuse a rule that matched, for want of an agreement with its target.
        ``to_end`` tries those after it, too, so that the trace says which others would match.
        """
        tenant = self.rule_set.tenant
        relation = "self" if facts.owner == tenant else "other" if facts.owner else "nobody"
        values: dict[str, Any] = {
            "service": (f"{facts.owner}/{facts.service}", facts.asked),
            "owner": (facts.owner, relation),
            "disposition": facts.disposition,
            "verb": facts.verb,
            "terms": facts.terms,
            "boundaries": facts.boundaries,
            "channel": facts.channel,
            "language": facts.language,
            "open": facts.open,
            "confidential": facts.confidential,
            "urgency": facts.urgency,
        }
        settled, left = self._settled(values)
        trace = list(settled)
        added: list[Rule] = []
        matched: Rule | None = None
        for at, rule, tests, condition in left:
            code = ""
            for letter, name, wanted, many in tests:
                value = values[name]
                if wanted.isdisjoint(value) if many else value not in wanted:
                    code = letter
                    break
            if not code:
                if (rule.valid_from and on < rule.valid_from) or (
                    rule.valid_to and on >= rule.valid_to
                ):
                    code = "d"
                elif condition is not None:
                    context = context or facts.context()
                    if not condition.holds(context):
                        code = "x"
            if not code and not rule.continues and allowed is not None and not allowed(rule):
                code = "n"
            if code:
                trace[at] = code
            elif rule.continues:
                trace[at] = ADDED
                added.append(rule)
            else:
                trace[at] = MATCHED
                matched = matched or rule
                if not to_end:
                    del trace[at + 1 :]
                    break
        return self._tried(trace, matched, added)

    def _settled(self, values: Mapping[str, Any]) -> tuple[str, tuple[_Left, ...]]:
        """Give the trace as far as a few facts settle it, and the rules and tests that are left.

        Many contacts are alike in these facts, so that most rules need not be looked at again.
        """
        key = tuple([values[name] for name in _SETTLING])
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            letters: list[str] = []
            left: list[_Left] = []
            for at, each in enumerate(self._compiled):
                code = "z" if each.rule.off else ""
                passed = 0
                for letter, name, wanted, many in each.tests:
                    if code or name not in _SETTLING:
                        break
                    value = values[name]
                    if wanted.isdisjoint(value) if many else value not in wanted:
                        code = letter
                    passed += 1
                letters.append(code or " ")
                if not code:
                    left.append((at, each.rule, each.tests[passed:], each.condition))
            known = self._known[key] = "".join(letters), tuple(left)
        return known

    @property
    def uses(self) -> frozenset[str]:
        """Names of the facts that its rules look at: nothing else can change what they decide."""
        found: set[str] = set()
        for each in self._compiled:
            for _letter, name, _wanted, _many in each.tests:
                found.update(("service", "asked", "owner") if name == "service" else (name,))
            if each.condition is not None:
                found |= each.condition.facts
        return frozenset(found)

    def _tried(self, trace: list[str], matched: Rule | None, added: list[Rule]) -> Tried:
        rule_set = self.rule_set
        return Tried(rule_set.tenant, rule_set.version, "".join(trace), matched, tuple(added))


def qualified(keys: Iterable[str], tenant: str) -> frozenset[str]:
    """Give keys as ``partner/key``, those without a partner being ``tenant``'s own."""
    return frozenset(key if "/" in key else f"{tenant}/{key}" for key in keys)


def _compiled(rule: Rule, tenant: str, in_branch: Callable[[str], frozenset[str]]) -> _Compiled:
    match = rule.match
    tests: list[_Test] = []
    for letter, name, wanted, many in (
        ("s", "service", qualified(match.services, tenant), True),
        ("v", "verb", match.verbs, False),
        ("t", "terms", match.terms, True),
        ("b", "boundaries", qualified(match.boundaries, tenant), True),
        ("c", "channel", match.channels, False),
        ("l", "language", match.languages, False),
        ("u", "urgency", match.urgency, False),
        ("p", "disposition", match.dispositions, False),
        ("o", "owner", match.owners, True),
    ):
        if wanted:
            tests.append((letter, name, wanted, many))
    if match.branches:
        inside = frozenset().union(*(in_branch(each) for each in match.branches))
        tests.append(("k", "service", inside, True))
    if match.hours:
        tests.append(("h", "open", frozenset({match.hours == "open"}), False))
    if match.confidential is not None:
        tests.append(("f", "confidential", frozenset({match.confidential}), False))
    return _Compiled(
        rule, tuple(tests), compile_condition(rule.condition) if rule.condition else None
    )
