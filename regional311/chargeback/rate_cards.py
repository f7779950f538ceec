"""A rate in full, as forms, sheets and proposals say it, and a partner's rates as once known."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, and_, any_, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from regional311.chargeback.charge_models import MODELS, BadTariff, Tariff
from regional311.chargeback.models import Rate
from regional311.chargeback.rates import Price, Scope
from regional311.database.session import scope_of
from regional311.errors import InvalidInput

ACTIVITIES = (
    "contact_handled",
    "request_taken_in",
    "warm_transfer",
    "referral_closed",
    "after_hours_answer",
    "follow_up",
    "interpreter_minute",
    "lent_minute",
)
CHANNELS = ("phone", "walk_in", "web", "email", "text", "chat", "social", "app", "voicemail")
LANGUAGES = ("en", "es", "vi", "zh-Hant", "ru")
HOURS = ("any", "business", "after")
UNITS = ("each", "minute")

_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_KEY, _LONGEST_SOURCE = 60, 200
_MOST = Decimal(10) ** 12


class BadRate(InvalidInput):
    """A rate says something that is not allowed; `field` names where."""


@dataclass(frozen=True, slots=True)
class RateSaid:
    """A rate: for which work, from a day on until another (exclusive), how much.

    None in channel, service, language means any. `steps`, `surcharges`, `phases` are as
    `charge_models` describes them.
    """

    key: str
    card: str
    activity: str
    amount: Decimal
    valid_from: date | None
    valid_to: date | None = None
    channel: str | None = None
    service: str | None = None
    language: str | None = None
    hours: str = "any"
    unit: str = "each"
    model: str = "unit"
    steps: dict[str, Any] | None = None
    surcharges: list[dict[str, Any]] = field(default_factory=list)
    phases: list[dict[str, Any]] = field(default_factory=list)
    source: str | None = None

    @classmethod
    def of_row(cls, row: Any) -> RateSaid:
        """Read a row of the table."""
        return cls(
            key=row.key,
            card=row.card_key,
            activity=row.activity,
            amount=row.amount,
            valid_from=row.valid.lower,
            valid_to=row.valid.upper,
            channel=row.channel,
            service=row.service_key,
            language=row.language,
            hours=row.hours,
            unit=row.unit,
            model=row.model,
            steps=row.steps,
            surcharges=list(row.surcharges),
            phases=list(row.phases),
            source=row.source,
        )

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> RateSaid:
        """Read what `as_json` gave."""
        days = {
            name: None if said[name] is None else date.fromisoformat(said[name])
            for name in ("valid_from", "valid_to")
        }
        return cls(**(dict(said) | days | {"amount": Decimal(said["amount"])}))

    def as_json(self) -> dict[str, Any]:
        """The rate as plain values; amounts are text without needless noughts."""
        return asdict(self) | {
            "amount": plain(self.amount),
            "valid_from": None if self.valid_from is None else self.valid_from.isoformat(),
            "valid_to": None if self.valid_to is None else self.valid_to.isoformat(),
        }

    @property
    def scope(self) -> Scope:
        """The work that it is for."""
        return Scope(
            self.card, self.activity, self.service, self.language, self.channel, self.hours
        )

    @property
    def tariff(self) -> Tariff:
        """How it turns quantities into dollars."""
        return Tariff.of(self.amount, self.model, self.steps, self.surcharges, self.phases)

    @property
    def price(self) -> Price:
        """The rate as the rules resolve it."""
        return Price(
            self.key,
            self.scope,
            self.amount,
            self.valid_from or date.min,
            self.valid_to,
            self.unit,
            self.tariff,
        )

    def values(self) -> dict[str, Any]:
        """The columns of a row, without those that say whose it is and when it was known."""
        return {
            "key": self.key,
            "card_key": self.card,
            "activity": self.activity,
            "channel": self.channel,
            "service_key": self.service,
            "language": self.language,
            "hours": self.hours,
            "unit": self.unit,
            "model": self.model,
            "steps": self.steps,
            "surcharges": self.surcharges,
            "phases": self.phases,
            "amount": self.amount,
            "valid": Range(self.valid_from, self.valid_to),
            "source": self.source,
        }

    def check(self) -> None:
        """Refuse what no rate may say.

        :raises BadRate: or `BadTariff`, naming the field and what is allowed.
        """
        for name in ("key", "card"):
            value = getattr(self, name)
            if len(value) > _LONGEST_KEY or not _KEY.fullmatch(value):
                raise BadRate(
                    "Write small letters, digits and single dashes, at most 60.", field=name
                )
        if self.service is not None and not _KEY.fullmatch(self.service):
            raise BadRate("A service is named by its key.", field="service")
        for name, allowed, optional in (
            ("activity", ACTIVITIES, False),
            ("channel", CHANNELS, True),
            ("language", LANGUAGES, True),
            ("hours", HOURS, False),
            ("unit", UNITS, False),
            ("model", MODELS, False),
        ):
            value = getattr(self, name)
            if value not in allowed and not (optional and value is None):
                raise BadRate(f"Allowed are {', '.join(allowed)}.", field=name)
        if self.amount != round(self.amount, 6) or self.amount >= _MOST:
            raise BadRate("A price has at most six decimal places.", field="amount")
        if self.amount <= 0:
            raise BadRate("A price is more than zero.", field="amount")
        if self.valid_from is None:
            raise BadRate("Say the first day on which it holds.", field="valid_from")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise BadRate("It ends after it begins.", field="valid_to")
        if self.source is not None and len(self.source) > _LONGEST_SOURCE:
            raise BadRate("At most 200 characters.", field="source")
        tariff = self.tariff
        if tariff.tiers and tariff.tiers[0].price != self.amount:
            raise BadTariff("The price is that of the first tier.", field="amount")
        unknown = {each for one in tariff.surcharges for each in one.languages} - set(LANGUAGES)
        if unknown:
            raise BadTariff(
                f"Languages are {', '.join(LANGUAGES)}; {min(unknown)} is none.",
                field="surcharges",
            )
        if tariff.phases and tariff.phases[0].from_on > self.valid_from:
            raise BadTariff("The first phase begins no later than the price.", field="phases")


def plain(amount: Decimal) -> str:
    """A number as text without needless noughts.

    >>> plain(Decimal("4.900000")), plain(Decimal("100"))
    ('4.9', '100')
    """
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def known_rates(
    session: Session,
    *,
    on: date | None = None,
    known_at: datetime | None = None,
    provider_id: UUID | None = None,
    activity: str | None = None,
    card: str | None = None,
    keys: Collection[str] | None = None,
    after: RatePlace | None = None,
    limit: int | None = None,
) -> list[Row[Any]]:
    """A partner's rates (this one's unless told), as they were known at an instant.

    `on` keeps those that hold on a day, `activity` and `card` those of some work and of a card,
    `keys` those that are named;
    `known_at` None is what is known now. A correction counts from the instant at which it was
    recorded. In the order of cards, work and days; a page begins `after` the place of a rate.
    """
    table = Rate.__table__
    begun, ended = func.lower(table.c.recorded), func.upper(table.c.recorded)
    conditions = [
        table.c.tenant_id == (provider_id or scope_of(session).tenant_id),
        ~func.isempty(table.c.recorded),
    ]
    if known_at is None:
        conditions.append(ended.is_(None))
    else:
        conditions.append(
            and_(or_(begun.is_(None), begun <= known_at), or_(ended.is_(None), ended > known_at))
        )
    if on is not None:
        conditions.append(table.c.valid.contains(on))
    if activity is not None:
        conditions.append(table.c.activity == activity)
    if card is not None:
        conditions.append(table.c.card_key == card)
    if keys is not None:
        conditions.append(table.c.key == any_(literal(sorted(set(keys)), ARRAY(Text))))
    place = (
        table.c.card_key,
        table.c.activity,
        func.coalesce(table.c.channel, ""),
        func.coalesce(table.c.service_key, ""),
        func.coalesce(table.c.language, ""),
        table.c.hours,
        func.coalesce(func.lower(table.c.valid), date.min),
        table.c.key,
    )
    if after is not None:
        conditions.append(tuple_(*place) > tuple_(*after.values))
    return list(session.execute(select(table).where(*conditions).order_by(*place).limit(limit)))


@dataclass(frozen=True, slots=True)
class RatePlace:
    """Where a rate stands in the order of cards, work and days."""

    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Any) -> RatePlace:
        """The place of a row."""
        return cls(
            (
                row.card_key,
                row.activity,
                row.channel or "",
                row.service_key or "",
                row.language or "",
                row.hours,
                row.valid.lower or date.min,
                row.key,
            )
        )

    @classmethod
    def read(cls, said: str | None) -> RatePlace | None:
        """Read what `str` wrote; None for anything else.

        >>> str(RatePlace.read("intake|contact_handled|||es|any|2026-07-01|phone"))
        'intake|contact_handled|||es|any|2026-07-01|phone'
        """
        parts: list[Any] = (said or "").split("|")
        if len(parts) != _PLACES:
            return None
        try:
            parts[_DAY] = date.fromisoformat(parts[_DAY])
        except ValueError:
            return None
        return cls(tuple(parts))

    def __str__(self) -> str:
        return "|".join(str(each) for each in self.values)


_PLACES, _DAY = 8, 6


def rated_work(session: Session) -> list[tuple[str, str]]:
    """Every card and activity that this partner has or had rates for: one statement."""
    rows = session.execute(
        select(Rate.card_key, Rate.activity)
        .where(Rate.tenant_id == scope_of(session).tenant_id, ~func.isempty(Rate.recorded))
        .distinct()
        .order_by(Rate.card_key, Rate.activity)
    )
    return [(row.card_key, row.activity) for row in rows]
