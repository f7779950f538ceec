"""Conditions of referral rules: a small, typed part of the Common Expression Language.

The language itself is neither strict nor bounded: ``false && typo`` is accepted and nested ``map``
can run for seconds. A condition is therefore read here first, by a checker that knows the
documented facts and their types, and only what it accepts is compiled by the ``cel`` library. What
passes is total: it is boolean, it ends, and it raises nothing for any :class:`Facts`.

Accepted: the names in :data:`FACTS`, text, whole numbers, ``true`` and ``false``, lists of texts,
``! && || == != < <= > >= in ?:``, parentheses, ``size(x)``, ``x.size()``, ``x.contains("…")``,
``x.startsWith("…")`` and ``x.endsWith("…")``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, NoReturn

import cel

from regional311.errors import InvalidInput
from regional311.intake.models import CHANNELS

MAX_LENGTH: Final = 500
"""Characters in one condition."""

MAX_LIST: Final = 50
"""Items in one list literal."""

MAX_DEPTH: Final = 20
"""Levels of parentheses, negations and branches."""

VERBS: Final = ("find", "report", "request", "apply", "pay")
URGENCIES: Final = ("low", "normal", "high", "urgent")
DISPOSITIONS: Final = ("resolve", "refer", "undecided")


class BadCondition(InvalidInput):
    """A condition that is not in the accepted language, or names something that does not exist.

    ``reason`` is one of ``syntax``, ``unknown-fact``, ``function``, ``type``, ``value``, ``length``
    and ``depth``.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, field="condition")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fact:
    """What one name in a condition means.

    ``type`` is ``"text"``, ``"number"``, ``"flag"`` or ``"texts"``; ``values`` lists every value a
    closed vocabulary has, and is empty when the vocabulary is configured (service keys, places).
    """

    type: str
    meaning: str
    values: tuple[str, ...] = ()


FACTS: Final[Mapping[str, Fact]] = {
    "service": Fact("text", "Key of the responsible partner's service."),
    "asked": Fact("text", "Service that was picked at first, as partner/service."),
    "owner": Fact("text", "Partner or agency responsible there; empty when nobody is."),
    "disposition": Fact("text", "What 311 does with the service that day.", DISPOSITIONS),
    "bureau": Fact("text", "Key of the bureau that provides the service; empty without one."),
    "verb": Fact("text", "What the person wants to do with the service.", VERBS),
    "terms": Fact("texts", "Kinds of thing the need is of."),
    "partner": Fact("text", "Partner that took the contact in."),
    "channel": Fact("text", "Channel the contact came by.", CHANNELS),
    "language": Fact("text", "Language spoken, as a code such as en or es."),
    "urgency": Fact("text", "Urgency of the need.", URGENCIES),
    "open": Fact("flag", "The line that took the contact is within its hours."),
    "hour": Fact("number", "Local hour of the day, 0 to 23."),
    "weekday": Fact("number", "Local day of the week, 1 Monday to 7 Sunday."),
    "place_known": Fact("flag", "The place was given and found."),
    "boundaries": Fact("texts", "Areas and lines the place lies in or on, as partner/key."),
    "near_boundary": Fact("flag", "The place lies so near a boundary that another may be right."),
    "confidential": Fact("flag", "The service or the person asks for confidential handling."),
    "anonymous": Fact("flag", "The person gave no name."),
    "consent": Fact("flag", "The person agreed to share what the referral needs."),
    "interpreter": Fact("flag", "An interpreter is needed."),
    "accommodation": Fact("flag", "An accommodation is needed."),
    "answers": Fact(
        "texts", 'Answers from lists to the service\'s questions, each as "question:answer".'
    ),
}
"""Every name a condition may use. The documentation of the rules is made from this table."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision is made from: codes only, never a personal value.

    >>> Facts(service="pothole", channel="phone").hour
    12
    """

    service: str = ""
    asked: str = ""
    owner: str = ""
    disposition: str = "resolve"
    bureau: str = ""
    verb: str = "report"
    terms: tuple[str, ...] = ()
    partner: str = ""
    channel: str = "phone"
    language: str = "en"
    urgency: str = "normal"
    open: bool = True
    hour: int = 12
    weekday: int = 1
    place_known: bool = False
    boundaries: tuple[str, ...] = ()
    near_boundary: bool = False
    confidential: bool = False
    anonymous: bool = True
    consent: bool = False
    interpreter: bool = False
    accommodation: bool = False
    answers: tuple[str, ...] = ()

    def values(self) -> dict[str, object]:
        """Give every fact by name, with tuples as lists: what a decision stores."""
        return {
            name: list(value) if isinstance(value := getattr(self, name), tuple) else value
            for name in _NAMES
        }

    def context(self) -> cel.Context:
        """Prepare the facts once for all the conditions of a decision."""
        return cel.Context(self.values())


_NAMES: Final = tuple(entry.name for entry in fields(Facts))


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked and compiled condition.

    ``facts`` are the names it uses; ``literals`` are the (fact, text) pairs it compares, so that
    the checks before publishing can find services and places that do not exist.
    """

    text: str
    facts: frozenset[str]
    literals: frozenset[tuple[str, str]]
    program: cel.Program = field(compare=False, repr=False)

    def holds(self, context: cel.Context) -> bool:
        """Tell whether the condition is true of the prepared facts."""
        return self.program.execute(context) is True


@lru_cache(maxsize=4096)
def compile_condition(text: str) -> Condition:
    """Check a condition and compile it, once for each text.

    Raises :class:`BadCondition` with the column and the reason.

    >>> compile_condition('channel == "phone" && !open').facts == {"channel", "open"}
    True
    """
    if len(text) > MAX_LENGTH:
        raise BadCondition(
            f"The condition has {len(text)} characters; {MAX_LENGTH} are allowed.", reason="length"
        )
    checker = _Checker(text)
    checker.check()
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise BadCondition(f"The condition cannot be read: {text}", reason="syntax") from error
    if frozenset(program.variables()) != frozenset(checker.facts):
        raise BadCondition(f"The condition cannot be read: {text}", reason="syntax")
    return Condition(text, frozenset(checker.facts), frozenset(checker.literals), program)


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<text>"(?:[^"\\\r\n]|\\["\\])*"|'[^'\\\r\n"]*')
    |(?P<number>[0-9]{1,9}(?![0-9A-Za-z_.]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[<>!?:().,\[\]-])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class _Typed:
    """The type of a sub-expression, with the fact or the literals it consists of."""

    type: str
    fact: str = ""
    literals: tuple[str, ...] = ()


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise BadCondition(f"Unexpected {text[at]!r} at column {at + 1}.", reason="syntax")
        kind = str(found.lastgroup)
        if kind != "space":
            yield _Token(kind, found.group(), at + 1)
        at = found.end()
    yield _Token("end", "", len(text) + 1)


class _Checker:
    """Reads a condition by precedence and gives every part a type."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.at = 0
        self.depth = 0
        self.facts: set[str] = set()
        self.literals: set[tuple[str, str]] = set()

    def check(self) -> None:
        result = self._choice()
        if self._next.kind != "end":
            self._refuse(f"Unexpected {self._next.text!r}")
        if result.type != "flag":
            raise BadCondition(
                f"The condition gives a {result.type}, not true or false.", reason="type"
            )

    @property
    def _next(self) -> _Token:
        return self.tokens[self.at]

    def _take(self) -> _Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def _accept(self, *signs: str) -> str:
        token = self._next
        if token.kind == "sign" and token.text in signs:
            self.at += 1
            return token.text
        return ""

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            self._refuse(f"{sign!r} is missing")

    def _refuse(self, problem: str, reason: str = "syntax") -> NoReturn:
        raise BadCondition(f"{problem} at column {self._next.column}.", reason)

    def _want(self, part: _Typed, kind: str, what: str) -> None:
        if part.type != kind:
            self._refuse(f"{what} needs a {kind}, not a {part.type}", "type")

    def _choice(self) -> _Typed:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._refuse("The condition is nested too deeply", "depth")
        first = self._either()
        if self._accept("?"):
            self._want(first, "flag", "'?'")
            then = self._choice()
            self._expect(":")
            other = self._choice()
            if then.type != other.type:
                self._refuse("Both sides of ':' must be of one type", "type")
            first = _Typed(then.type)
        self.depth -= 1
        return first

    def _either(self) -> _Typed:
        first = self._both()
        while self._accept("||"):
            self._want(first, "flag", "'||'")
            self._want(self._both(), "flag", "'||'")
            first = _Typed("flag")
        return first

    def _both(self) -> _Typed:
        first = self._compared()
        while self._accept("&&"):
            self._want(first, "flag", "'&&'")
            self._want(self._compared(), "flag", "'&&'")
            first = _Typed("flag")
        return first

    def _compared(self) -> _Typed:
        first = self._negated()
        if self._next.kind == "name" and self._next.text == "in":
            self._take()
            second = self._negated()
            self._want(second, "texts", "'in'")
            self._want(first, "text", "'in'")
            self._compare(first, second)
            return self._alone(_Typed("flag"))
        sign = self._accept("==", "!=", "<", "<=", ">", ">=")
        if not sign:
            return first
        second = self._negated()
        if first.type != second.type or first.type == "texts":
            self._refuse(f"{sign!r} cannot compare a {first.type} with a {second.type}", "type")
        if sign not in ("==", "!=") and first.type != "number":
            self._refuse(f"{sign!r} needs numbers", "type")
        self._compare(first, second)
        return self._alone(_Typed("flag"))

    def _alone(self, part: _Typed) -> _Typed:
        if self._next.text in ("==", "!=", "<", "<=", ">", ">=", "in"):
            self._refuse("Comparisons cannot be chained; use &&")
        return part

    def _compare(self, first: _Typed, second: _Typed) -> None:
        for one, other in ((first, second), (second, first)):
            if one.fact:
                self._remember(one.fact, other.literals)

    def _remember(self, fact: str, literals: tuple[str, ...]) -> None:
        known = FACTS[fact].values
        for literal in literals:
            if known and literal not in known:
                raise BadCondition(
                    f"{fact} is never {literal!r}; it is one of {', '.join(known)}.", reason="value"
                )
            self.literals.add((fact, literal))

    def _negated(self) -> _Typed:
        if self._accept("!"):
            self.depth += 1
            if self.depth > MAX_DEPTH:
                self._refuse("The condition is nested too deeply", "depth")
            self._want(self._negated(), "flag", "'!'")
            self.depth -= 1
            return _Typed("flag")
        if self._accept("-"):
            if self._next.kind != "number":
                self._refuse("'-' needs a number")
            self._take()
            return _Typed("number")
        return self._called()

    def _called(self) -> _Typed:
        part = self._single()
        while self._accept("."):
            name = self._take()
            if name.kind != "name" or name.text not in _METHODS:
                raise BadCondition(
                    f"Unknown function {name.text!r} at column {name.column}; "
                    f"there are {', '.join(_METHODS)}.",
                    reason="function",
                )
            self._expect("(")
            if name.text == "size":
                self._sized(part)
            else:
                self._want(part, "text", f"{name.text}()")
                self._want(self._choice(), "text", f"{name.text}()")
            self._expect(")")
            part = _Typed("number" if name.text == "size" else "flag")
        return part

    def _sized(self, part: _Typed) -> None:
        if part.type not in ("text", "texts"):
            self._refuse("size() needs a text or a list", "type")

    def _single(self) -> _Typed:
        token = self._take()
        if token.kind == "text":
            return _Typed("text", literals=(_unquoted(token.text),))
        if token.kind == "number":
            return _Typed("number")
        if token.kind == "name":
            return self._named(token)
        if token.text == "(":
            part = self._choice()
            self._expect(")")
            return part
        if token.text == "[":
            return self._listed()
        raise BadCondition(
            f"Unexpected {token.text or 'end'!r} at column {token.column}.", reason="syntax"
        )

    def _named(self, token: _Token) -> _Typed:
        if token.text in ("true", "false"):
            return _Typed("flag")
        if token.text == "size" and self._accept("("):
            self._sized(self._choice())
            self._expect(")")
            return _Typed("number")
        fact = FACTS.get(token.text)
        if fact is None:
            near = get_close_matches(token.text, FACTS, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise BadCondition(
                f"Unknown fact {token.text!r} at column {token.column}.{meant}",
                reason="unknown-fact",
            )
        self.facts.add(token.text)
        return _Typed(fact.type, fact=token.text)

    def _listed(self) -> _Typed:
        items: list[str] = []
        while not self._accept("]"):
            if items:
                self._expect(",")
            token = self._take()
            if token.kind != "text":
                raise BadCondition(
                    f"A list holds texts only, at column {token.column}.", reason="type"
                )
            items.append(_unquoted(token.text))
            if len(items) > MAX_LIST:
                self._refuse(f"A list holds at most {MAX_LIST} texts", "length")
        return _Typed("texts", literals=tuple(items))


_METHODS: Final = ("contains", "endsWith", "size", "startsWith")


def _unquoted(text: str) -> str:
    return str(json.loads(text)) if text[0] == '"' else text[1:-1]
