"""What a scenario assumes: other rates, shares, method, volumes or rules of payment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from regional311.calendars import BadPeriod, Period
from regional311.errors import InvalidInput

METHODS = ("direct", "step_down", "double_step_down", "reciprocal")
PAYER_RULES = ("service_owner", "jurisdiction", "referrer", "line_owner")
MOST_PERCENT = Decimal(1000)
LEAST_PERCENT = Decimal(-100)
_NAMES = frozenset(
    {
        "rates",
        "rates_percent",
        "shares",
        "pools",
        "pools_percent",
        "method",
        "volume_percent",
        "volume_activity",
        "work_of",
        "payer_rules",
        "terms",
    }
)


class BadChange(InvalidInput):
    """A scenario assumes something that there is not, or that no figure can be made of."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is assumed to be otherwise; what is left out stays as it is.

    Percentages are changes: 10 is a tenth more, -100 nothing at all.
    """

    rates: Mapping[str, Decimal] = field(default_factory=dict)
    """New prices by the key of the rate; only rates without tiers have one price."""
    rates_percent: Decimal | None = None
    """All rates, their tiers and surcharges in dollars, by so much."""
    shares: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    """Fixed shares in percent, by pool and target, instead of its shares or its base."""
    pools: Mapping[str, int] = field(default_factory=dict)
    """Yearly amounts in cents by pool."""
    pools_percent: Decimal | None = None
    method: str | None = None
    """How pools are allocated that serve one another."""
    volume_percent: Decimal | None = None
    """More or less work, spread evenly over what was done."""
    volume_activity: str | None = None
    """Only work of this activity; None stands for all of it."""
    work_of: str | None = None
    """A month whose work stands in for the period's own, which has not been done yet."""
    payer_rules: Mapping[str, str] = field(default_factory=dict)
    """Who pays, by agreement."""
    terms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Terms laid over those of an agreement: discounts, caps, funding and so on."""

    @property
    def none(self) -> bool:
        """Whether everything stays as it is."""
        return self == Changes()

    def as_json(self) -> dict[str, Any]:
        """The same as plain data; decimals are text, what was left out is left out."""
        found = {
            "rates": {key: f"{amount:f}" for key, amount in self.rates.items()},
            "rates_percent": _spelled(self.rates_percent),
            "shares": {
                pool: {target: f"{percent:f}" for target, percent in parts.items()}
                for pool, parts in self.shares.items()
            },
            "pools": dict(self.pools),
            "pools_percent": _spelled(self.pools_percent),
            "method": self.method,
            "volume_percent": _spelled(self.volume_percent),
            "volume_activity": self.volume_activity,
            "work_of": self.work_of,
            "payer_rules": dict(self.payer_rules),
            "terms": {key: dict(terms) for key, terms in self.terms.items()},
        }
        return {name: value for name, value in found.items() if value not in (None, {})}

    @classmethod
    def of(cls, json: Mapping[str, Any]) -> Changes:
        """Read plain data, strictly.

        :raises BadChange: naming what is unknown or no figure.

        >>> Changes.of({"rates_percent": "3.5"}).rates_percent
        Decimal('3.5')
        """
        unknown = sorted(set(json) - _NAMES)
        if unknown:
            raise BadChange(
                f"A scenario cannot change {', '.join(unknown)}; it can change"
                f" {', '.join(sorted(_NAMES))}.",
                field=unknown[0],
            )
        made = cls(
            rates={
                key: _decimal(amount, f"rates.{key}")
                for key, amount in _mapping(json, "rates").items()
            },
            rates_percent=_percent(json, "rates_percent"),
            shares={
                pool: {
                    target: _decimal(percent, f"shares.{pool}.{target}")
                    for target, percent in _inner(parts, f"shares.{pool}").items()
                }
                for pool, parts in _mapping(json, "shares").items()
            },
            pools={
                key: _cents(cents, f"pools.{key}") for key, cents in _mapping(json, "pools").items()
            },
            pools_percent=_percent(json, "pools_percent"),
            method=json.get("method"),
            volume_percent=_percent(json, "volume_percent"),
            volume_activity=json.get("volume_activity"),
            work_of=json.get("work_of"),
            payer_rules={key: str(rule) for key, rule in _mapping(json, "payer_rules").items()},
            terms={
                key: _inner(terms, f"terms.{key}") for key, terms in _mapping(json, "terms").items()
            },
        )
        made.check()
        return made

    def check(self) -> None:
        """Refuse what no figure can be made of.

        :raises BadChange: naming the field and what is allowed.
        """
        if self.method is not None and self.method not in METHODS:
            raise BadChange(f"The method is one of {', '.join(METHODS)}.", field="method")
        for key, rule in self.payer_rules.items():
            if rule not in PAYER_RULES:
                raise BadChange(
                    f"Who pays is one of {', '.join(PAYER_RULES)}.", field=f"payer_rules.{key}"
                )
        for key, amount in self.rates.items():
            if amount < 0:
                raise BadChange("A price is zero or more.", field=f"rates.{key}")
        for pool, parts in self.shares.items():
            if sum(parts.values(), Decimal(0)) != 100 or any(each < 0 for each in parts.values()):
                raise BadChange(
                    f"The shares of {pool} make {sum(parts.values(), Decimal(0)):f} %, not 100 %.",
                    field=f"shares.{pool}",
                )
        for key, cents in self.pools.items():
            if cents < 0:
                raise BadChange("A pool costs zero or more.", field=f"pools.{key}")
        if self.work_of is not None:
            try:
                Period.month(self.work_of)
            except BadPeriod as bad:
                raise BadChange(bad.message, field="work_of") from None


def _spelled(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _mapping(json: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _inner(json.get(name) or {}, name)


def _inner(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadChange(f"{name} names things and gives each its figure.", field=name)
    return value


def _decimal(value: Any, name: str) -> Decimal:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or abs(found) >= 10**12:
        raise BadChange(f"{value!r} is not a decimal number.", field=name)
    return found


def _cents(value: Any, name: str) -> int:
    if type(value) is not int:
        raise BadChange(f"{value!r} is not an amount in whole cents.", field=name)
    return value


def _percent(json: Mapping[str, Any], name: str) -> Decimal | None:
    value = json.get(name)
    if value is None:
        return None
    found = _decimal(value, name)
    if not LEAST_PERCENT <= found <= MOST_PERCENT:
        raise BadChange(
            f"A change in percent lies between {LEAST_PERCENT} and {MOST_PERCENT}.", field=name
        )
    return found
