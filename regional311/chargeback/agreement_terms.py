"""The terms of an agreement, read once and with types: days, percents, cents, funding, billing.

An agreement keeps its terms as plain JSON, so that an amendment can be compared and exported field
by field. Everything that reckons with them reads them through `Terms.of`. Amounts are whole cents,
percents and rates exact decimals; days are whole calendar days in the provider's zone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

HUNDRED = Decimal(100)
EVERY = ("month", "quarter", "year")
ROUNDINGS = ("line", "item")
YEAR_ENDS = ("settle", "carry", "keep")
"""What becomes of a fiscal year's balance: a statement, a line of the next bill, the next year."""
FUNDING_KINDS = ("grant", "levy", "subsidy")
MEASURES = ("answer_seconds", "first_contact_percent", "accept_hours", "close_days")
AT_LEAST = frozenset({"first_contact_percent"})
"""Measures of which more is better; of all others less is."""
AGREEMENT_KINDS = ("iga", "sla", "mou")
REMINDED = (180, 90, 30)
REFERENCES = (
    "purchase_order",
    "cost_center",
    "fund",
    "account",
    "project",
    "grant",
    "attention",
)
"""By what names a payer may know what it is billed for."""


@dataclass(frozen=True, slots=True)
class Funding:
    """A source that takes part of the gross amount off the payer: a grant, a levy, a subsidy.

    `authorised_cents` is what it may give in one fiscal year of the provider; None has no limit.
    """

    key: str
    name: str
    kind: str
    percent: Decimal
    authorised_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Discount:
    """A part taken off; with `from_cents` only when the period's gross reaches that amount."""

    name: str
    percent: Decimal
    from_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A level of service that was promised; missing it gives `credit_percent` of the period."""

    key: str
    name: str
    measure: str
    goal: Decimal
    credit_percent: Decimal | None = None

    def met(self, reading: Decimal) -> bool:
        """Whether a reading keeps the promise.

        >>> Target("a", "Answered", "answer_seconds", Decimal(30)).met(Decimal(31))
        False
        """
        return reading >= self.goal if self.measure in AT_LEAST else reading <= self.goal


@dataclass(frozen=True, slots=True)
class Billing:
    """How often it is billed, and how many days after a period's end work may be submitted."""

    every: str = "month"
    submit_days: int = 15


@dataclass(frozen=True, slots=True)
class Outside:
    """A payer that is no partner: its name, where its bills go."""

    name: str
    address: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed for a party, as what, on which day; `partner` is a slug, or the outside body."""

    partner: str
    name: str
    title: str
    on: date


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything an agreement says besides its parties, its work and its dates."""

    due_days: int = 30
    notice_days: int = 90
    dispute_days: int = 30
    late_event_days: int = 10
    number_prefix: str = ""
    kind: str = "iga"
    reference: str = ""
    purpose: str = ""
    targets: tuple[Target, ...] = ()
    rounding: str = "line"
    year_end: str | None = None
    """What becomes of a year's balance, one of `YEAR_ENDS`; None is decided year by year."""
    billing: Billing = Billing()
    interest_percent: Decimal | None = None
    """A year, simple, on what is overdue."""
    discounts: tuple[Discount, ...] = ()
    not_to_exceed_cents: int | None = None
    """The most the payer pays in a fiscal year of the provider."""
    minimum_cents: int | None = None
    """The least the payer pays for a period."""
    overhead_percent: Decimal | None = None
    funding: tuple[Funding, ...] = ()
    prepay_cents: int | None = None
    """Paid in advance of each period and taken off what is due."""
    outside: Outside | None = None
    services: tuple[str, ...] = ()
    """Only these services are covered; none stands for all."""
    supersedes: str | None = None
    ends_notice_days: int | None = None
    """Days before its end by which either side says whether it goes on; None: as `notice_days`."""
    signatures: tuple[Signature, ...] = ()
    expiry_reminder_days: tuple[int, ...] = REMINDED
    payer_reference: Mapping[str, str] = field(default_factory=dict)
    """The payer's own names for what it pays, printed on statements: see `REFERENCES`."""

    @classmethod
    def of(cls, json: Mapping[str, Any]) -> Terms:
        """Read an agreement's terms; what they do not say has its default.

        :raises ValueError: when a stored figure is no figure, which `problems` would have named.

        >>> Terms.of({"due_days": 45, "interest_percent": "6"}).interest_percent
        Decimal('6')
        """
        default = cls()
        billing = json.get("billing") or {}
        outside = json.get("outside")
        return cls(
            due_days=_int(json, "due_days", default.due_days),
            notice_days=_int(json, "notice_days", default.notice_days),
            dispute_days=_int(json, "dispute_days", default.dispute_days),
            late_event_days=_int(json, "late_event_days", default.late_event_days),
            number_prefix=str(json.get("number_prefix") or ""),
            kind=str(json.get("kind") or default.kind),
            reference=str(json.get("reference") or ""),
            purpose=str(json.get("purpose") or ""),
            targets=tuple(
                Target(
                    str(each["key"]),
                    str(each["name"]),
                    str(each["measure"]),
                    _decimal(each["goal"]),
                    _percent(each, "credit_percent"),
                )
                for each in _listed(json, "targets", "target")
            ),
            rounding=str(json.get("rounding") or default.rounding),
            year_end=json.get("year_end") or None,
            billing=Billing(str(billing.get("every") or "month"), _int(billing, "submit_days", 15)),
            interest_percent=_percent(json, "interest_percent"),
            discounts=tuple(
                Discount(str(each["name"]), _decimal(each["percent"]), _cents(each, "from_cents"))
                for each in _listed(json, "discounts")
            ),
            not_to_exceed_cents=_cents(json, "not_to_exceed_cents"),
            minimum_cents=_cents(json, "minimum_cents"),
            overhead_percent=_percent(json, "overhead_percent"),
            funding=tuple(
                Funding(
                    str(each["key"]),
                    str(each["name"]),
                    str(each["kind"]),
                    _decimal(each["percent"]),
                    _cents(each, "authorised_cents"),
                )
                for each in _listed(json, "funding")
            ),
            prepay_cents=_cents(json, "prepay_cents"),
            outside=None
            if not outside
            else Outside(str(outside["name"]), outside.get("address"), outside.get("email")),
            services=tuple(str(each) for each in json.get("services") or ()),
            supersedes=json.get("supersedes") or None,
            ends_notice_days=_cents(json, "ends_notice_days"),
            signatures=tuple(
                Signature(
                    str(each["partner"]),
                    str(each["name"]),
                    str(each["title"]),
                    date.fromisoformat(each["on"]),
                )
                for each in _listed(json, "signatures")
            ),
            expiry_reminder_days=tuple(
                sorted((int(each) for each in days), reverse=True)
                if (days := json.get("expiry_reminder_days")) is not None
                else REMINDED
            ),
            payer_reference={
                str(name): str(value)
                for name, value in (json.get("payer_reference") or {}).items()
                if value
            },
        )

    @property
    def funding_percent(self) -> Decimal:
        """What all sources bear together, in percent of the gross amount."""
        return sum((each.percent for each in self.funding), Decimal(0))


def _listed(json: Mapping[str, Any], *names: str) -> Sequence[Mapping[str, Any]]:
    for name in names:
        found: Sequence[Mapping[str, Any]] | None = json.get(name)
        if found:
            return found
    return ()


def _int(json: Mapping[str, Any], name: str, default: int) -> int:
    found = json.get(name)
    return default if found is None else int(found)


def _cents(json: Mapping[str, Any], name: str) -> int | None:
    found = json.get(name)
    return None if found is None else int(found)


def _percent(json: Mapping[str, Any], name: str) -> Decimal | None:
    found = json.get(name)
    return None if found is None else _decimal(found)


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a decimal number") from None


# --- what is wrong with them ----------------------------------------------------------------------

_DAYS = {
    "due_days": (1, 365),
    "notice_days": (0, 3650),
    "dispute_days": (1, 365),
    "late_event_days": (0, 365),
    "ends_notice_days": (0, 3650),
}
_AMOUNTS = ("not_to_exceed_cents", "minimum_cents", "prepay_cents")
_NAMES = frozenset(Terms.__dataclass_fields__)
_WORDS = re.compile(r"\S(.{0,198}\S)?")
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PREFIX = re.compile(r"[A-Z][A-Z0-9]{1,7}")
_PERCENT = re.compile(r"\d{1,3}(\.\d{1,6})?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
LONGEST_PURPOSE = 4000


def problems(json: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with an agreement's terms, each naming its term.

    >>> problems({"due_days": 30, "number_prefix": "COP", "kind": "iga", "reference": "IGA-1",
    ...           "purpose": "x", "overhead_percent": "101"})
    ['overhead_percent: 101 is not a percentage from 0 to 100']
    """
    return list(_problems(json))


def _problems(json: Mapping[str, Any]) -> Iterator[str]:
    for name in ("due_days", "number_prefix", "kind", "reference", "purpose"):
        if not json.get(name):
            yield f"{name}: is missing"
    yield from _text(json, "reference", _WORDS, "one line of at most 200 characters")
    yield from _text(json, "number_prefix", _PREFIX, "two to eight capital letters and digits")
    if len(str(json.get("purpose") or "")) > LONGEST_PURPOSE:
        yield f"purpose: has more than {LONGEST_PURPOSE} characters"
    yield from _text(json, "supersedes", _KEY, "a key of small letters, digits and hyphens")
    for key in json.get("services") or ():
        yield from _text({"services": key}, "services", _KEY, "a key of a service")
    for name in sorted(set(json) - _NAMES - {"target"}):
        yield f"{name}: is not a term of an agreement"
    yield from _one_of(json, "kind", AGREEMENT_KINDS)
    yield from _one_of(json, "rounding", ROUNDINGS)
    yield from _one_of(json, "year_end", YEAR_ENDS)
    for name, (least, most) in _DAYS.items():
        yield from _whole(json, name, least, most)
    for name in _AMOUNTS:
        yield from _amount(json, name, name)
    for name in ("interest_percent", "overhead_percent"):
        yield from _percentage(json, name, name)
    cap, minimum = json.get("not_to_exceed_cents"), json.get("minimum_cents")
    if type(cap) is int and type(minimum) is int and cap < minimum:
        yield "not_to_exceed_cents: is less than the minimum of one period"
    yield from _billing_problems(json.get("billing"))
    yield from _each(json, ("targets", "target"), "key", _target_problems)
    yield from _each(json, ("funding",), "key", _funding_problems)
    yield from _together(json)
    yield from _each(json, ("discounts",), "name", _discount_problems)
    yield from _outside_problems(json.get("outside"))
    references = json.get("payer_reference") or {}
    for name in sorted(references):
        if name not in REFERENCES:
            yield f"payer_reference: {name} is none of {', '.join(REFERENCES)}"
        yield from _text(
            references, name, _WORDS, "one line of at most 200 characters", "payer_reference."
        )
    days = json.get("expiry_reminder_days")
    if days is not None:
        if not all(type(each) is int and 1 <= each <= 3650 for each in days):
            yield "expiry_reminder_days: each is a number of days from 1 to 3650"
        elif len(set(days)) != len(days):
            yield "expiry_reminder_days: names a day twice"
    yield from _each(json, ("signatures",), None, _signature_problems)


def _text(
    values: Mapping[str, Any], name: str, form: re.Pattern[str], allowed: str, path: str = ""
) -> Iterator[str]:
    found = values.get(name)
    if found and not (isinstance(found, str) and len(found) <= 200 and form.fullmatch(found)):
        yield f"{path}{name}: is not {allowed}"


def _named(values: Mapping[str, Any], path: str, *, keyed: bool) -> Iterator[str]:
    """A name, and a key where there is one: there, and written as such."""
    for name in ("key", "name") if keyed else ("name",):
        if not values.get(name):
            yield f"{path}{name}: is missing"
    if keyed:
        yield from _text(values, "key", _KEY, "a key of small letters, digits and hyphens", path)
    yield from _text(values, "name", _WORDS, "one line of at most 200 characters", path)


def _outside_problems(outside: Mapping[str, Any] | None) -> Iterator[str]:
    if outside is not None:
        yield from _named(outside, "outside.", keyed=False)
        yield from _text(
            outside, "address", _WORDS, "one line of at most 200 characters", "outside."
        )
        yield from _text(outside, "email", _EMAIL, "an e-mail address", "outside.")


def _one_of(
    json: Mapping[str, Any], name: str, allowed: Sequence[str], path: str = ""
) -> Iterator[str]:
    found = json.get(name)
    if found is not None and found not in allowed:
        yield f"{path}{name}: {found} is none of {', '.join(allowed)}"


def _whole(
    json: Mapping[str, Any], name: str, least: int, most: int, path: str = ""
) -> Iterator[str]:
    found = json.get(name)
    if found is not None and not (type(found) is int and least <= found <= most):
        yield f"{path}{name}: {found} is not a number of days from {least} to {most}"


def _amount(json: Mapping[str, Any], name: str, path: str) -> Iterator[str]:
    found = json.get(name)
    if found is not None and not (type(found) is int and found > 0):
        yield f"{path}: {found} is not an amount above zero in whole cents"


def _percentage(json: Mapping[str, Any], name: str, path: str) -> Iterator[str]:
    found = json.get(name)
    if found is not None and _read_percent(found) is None:
        yield f"{path}: {found} is not a percentage from 0 to 100"


def _read_percent(value: Any) -> Decimal | None:
    if not isinstance(value, str) or _PERCENT.fullmatch(value) is None:
        return None
    found = Decimal(value)
    return found if found <= HUNDRED else None


def _each(
    json: Mapping[str, Any],
    names: tuple[str, ...],
    key: str | None,
    check: Callable[[Mapping[str, Any], str], Iterator[str]],
) -> Iterator[str]:
    seen: set[str] = set()
    for index, each in enumerate(_listed(json, *names), 1):
        own = str(index) if key is None else str(each.get(key) or index)
        path = f"{names[0]}[{own}]"
        if own in seen:
            yield f"{path}: is there twice"
        seen.add(own)
        yield from check(each, f"{path}.")


def _billing_problems(billing: Mapping[str, Any] | None) -> Iterator[str]:
    if billing is not None:
        yield from _one_of(billing, "every", EVERY, "billing.")
        yield from _whole(billing, "submit_days", 0, 365, "billing.")


def _target_problems(target: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _named(target, path, keyed=True)
    if not target.get("measure"):
        yield f"{path}measure: is missing"
    yield from _one_of(target, "measure", MEASURES, path)
    goal = target.get("goal")
    if not (type(goal) is int and goal > 0):
        yield f"{path}goal: {goal} is not a whole number above zero"
    elif target.get("measure") == "first_contact_percent" and goal > HUNDRED:
        yield f"{path}goal: {goal} is more than 100 percent"
    yield from _percentage(target, "credit_percent", f"{path}credit_percent")


def _funding_problems(funding: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _named(funding, path, keyed=True)
    for name in ("kind", "percent"):
        if not funding.get(name):
            yield f"{path}{name}: is missing"
    yield from _one_of(funding, "kind", FUNDING_KINDS, path)
    yield from _percentage(funding, "percent", f"{path}percent")
    yield from _amount(funding, "authorised_cents", f"{path}authorised_cents")


def _together(json: Mapping[str, Any]) -> Iterator[str]:
    for name, what in (("funding", "the sources"), ("discounts", "discounts without a threshold")):
        percents = [
            _read_percent(each.get("percent"))
            for each in _listed(json, name)
            if each.get("from_cents") is None
        ]
        total = sum((each for each in percents if each is not None), Decimal(0))
        if total > HUNDRED:
            yield f"{name}: {what} bear {total.normalize():f} % together, more than 100"


def _discount_problems(discount: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _named(discount, path, keyed=False)
    if not discount.get("percent"):
        yield f"{path}percent: is missing"
    yield from _percentage(discount, "percent", f"{path}percent")
    yield from _amount(discount, "from_cents", f"{path}from_cents")


def _signature_problems(signature: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in ("partner", "title"):
        if not signature.get(name):
            yield f"{path}{name}: is missing"
    yield from _text(signature, "title", _WORDS, "one line of at most 200 characters", path)
    yield from _named(signature, path, keyed=False)
    try:
        date.fromisoformat(str(signature.get("on")))
    except ValueError:
        yield f"{path}on: {signature.get('on')} is not a day"
