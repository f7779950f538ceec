"""What one piece of work costs, and why: agreement, rate, tier, surcharges, phase, rounding.

The same rules as the rating, for a contact of the past or an invented one; nothing is stored. What
is priced by a ladder is priced as if `done_before` units had been done already in the period.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from regional311.chargeback.charge_models import Done, Phase, Surcharge, Tier, tier_of
from regional311.chargeback.models import Agreement
from regional311.chargeback.rate_cards import RateSaid, known_rates
from regional311.chargeback.rates import Work, resolve, units
from regional311.database.session import TenantSession, scope_of
from regional311.metering.models import UsageEvent
from regional311.money import to_cents


@dataclass(frozen=True, slots=True)
class Case:
    """A piece of work to price; parties are tenants' ids, `done_on` is the provider's day."""

    activity: str
    channel: str
    done_on: date
    language: str = "en"
    after_hours: bool = False
    quantity: Decimal = Decimal(1)
    handle_seconds: int = 0
    service_owner_id: UUID | None = None
    service_key: str | None = None
    bureau_key: str | None = None
    jurisdiction_id: UUID | None = None
    referrer_id: UUID | None = None
    line_owner_id: UUID | None = None
    done_before: Decimal = Decimal(0)

    def party(self, rule: str) -> UUID | None:
        """Who pays by a rule."""
        return {
            "service_owner": self.service_owner_id,
            "jurisdiction": self.jurisdiction_id,
            "referrer": self.referrer_id,
            "line_owner": self.line_owner_id,
        }[rule]


@dataclass(frozen=True, slots=True)
class Told:
    """The price of a piece of work, step by step; `state` as in a rating run."""

    case: Case
    state: str
    agreement: Any = None
    payer_id: UUID | None = None
    payer_kind: str = "partner"
    payer_key: str | None = None
    rate: RateSaid | None = None
    others: tuple[RateSaid, ...] = ()
    """Less particular rates that would fit too."""
    units: Decimal = Decimal(0)
    tier: Tier | None = None
    surcharges: tuple[Surcharge, ...] = ()
    phase: Phase | None = None
    price: Decimal | None = None
    amount: Decimal | None = None
    rounding: str = "line"

    @property
    def cents(self) -> int | None:
        """The amount alone, rounded to cents half away from zero."""
        return None if self.amount is None else to_cents(self.amount)


def choose_agreement(agreements: Iterable[Any], case: Case, provider_id: UUID) -> Any:
    """The agreement that covers some work, None when none does; as the rating chooses it."""
    covering = []
    for agreement in agreements:
        services = agreement.terms.get("services") or None
        if services is None:
            covers = agreement.payer_kind != "outside"
        else:
            covers = case.service_key in services
        if agreement.payer_kind == "bureau":
            covers = covers and case.bureau_key is not None
            covers = covers and agreement.payer_key in (None, case.bureau_key)
        if (
            covers
            and case.activity in agreement.activities
            and case.done_on in agreement.valid
            and agreement.provider_id == provider_id
            and agreement.payer_id == case.party(agreement.payer_rule)
        ):
            covering.append(agreement)
    return min(covering, key=_precedence, default=None)


def _precedence(agreement: Any) -> tuple[Any, ...]:
    kind = {"partner": 0, "outside": 1, "bureau": 2}[agreement.payer_kind]
    every = agreement.payer_kind == "bureau" and agreement.payer_key is None
    return kind, every, agreement.key, agreement.id


def price_work(session: TenantSession, case: Case, *, known_at: datetime | None = None) -> Told:
    """Price a piece of this partner's work, as rates were known at an instant (now unless told)."""
    return price_alike(session, [case], case.done_on, known_at=known_at)[0]


def price_alike(
    session: TenantSession,
    cases: Iterable[Case],
    on: date,
    *,
    known_at: datetime | None = None,
) -> list[Told]:
    """Price pieces of this partner's work that are all done on one day: two statements."""
    me = scope_of(session).tenant_id
    agreements = session.execute(
        select(Agreement.__table__).where(
            Agreement.provider_id == me,
            Agreement.valid.contains(on),
            Agreement.tenant_id.in_(
                text("SELECT tenant_id FROM tenants WHERE kind = 'region' AND id = tenant_id")
            ),
        )
    ).all()
    rates: list[RateSaid] | None = None
    told: list[Told] = []
    for case in cases:
        agreement = choose_agreement(agreements, case, me)
        if agreement is None:
            other = _other_party(agreements, case, me)
            state = "excluded" if other is None else "no_agreement"
            told.append(Told(case, state, payer_id=me if other is None else other))
            continue
        if rates is None:
            rates = [RateSaid.of_row(row) for row in known_rates(session, on=on, known_at=known_at)]
        told.append(price_by(agreement, rates, case))
    return told


def _other_party(agreements: Iterable[Any], case: Case, me: UUID) -> UUID | None:
    parties: list[tuple[str, UUID]] = []
    if case.service_owner_id is not None:
        parties.append(("", case.service_owner_id))
    for each in agreements:
        party = case.party(each.payer_rule)
        services = each.terms.get("services") or None
        if (
            party is not None
            and each.payer_kind == "partner"
            and case.activity in each.activities
            and (services is None or case.service_key in services)
        ):
            parties.append((each.key, party))
    return min((each for each in parties if each[1] != me), default=("", None))[1]


def price_by(agreement: Any, rates: Iterable[RateSaid], case: Case) -> Told:
    """Price a piece of work under an agreement; pure."""
    payer_key = agreement.payer_key
    if agreement.payer_kind == "bureau":
        payer_key = payer_key or case.bureau_key
    said: dict[str, Any] = {
        "agreement": agreement,
        "payer_id": agreement.payer_id,
        "payer_kind": agreement.payer_kind,
        "payer_key": payer_key,
        "rounding": agreement.terms.get("rounding", "line"),
    }
    by_key = {rate.key: rate for rate in rates if rate.card == agreement.rate_card_key}
    work = Work(
        case.activity,
        case.channel,
        case.language,
        case.after_hours,
        case.service_key,
        case.done_on,
    )
    prices = {key: rate.price for key, rate in by_key.items()}
    fitting = []
    while (best := resolve(prices.values(), agreement.rate_card_key, work)) is not None:
        fitting.append(by_key[best.key])
        del prices[best.key]
    if not fitting:
        return Told(case, "unrated", **said)
    rate, tariff = fitting[0], fitting[0].tariff
    counted = units(rate.unit, case.quantity, case.handle_seconds)
    done = Done(counted, case.language, case.after_hours, case.done_on)
    if tariff.is_ladder and case.done_before:
        before = Done(case.done_before, case.language, case.after_hours, case.done_on)
        amount = tariff.charges([before, done])[-1]
    else:
        amount = tariff.charges([done])[0]
    reached = abs(case.done_before + counted)
    begun = [phase for phase in tariff.phases if phase.from_on <= case.done_on]
    return Told(
        case,
        "rated",
        rate=rate,
        others=tuple(fitting[1:]),
        units=counted,
        tier=tier_of(tariff.tiers, reached) if tariff.tiers else None,
        surcharges=tuple(
            each for each in tariff.surcharges if each.applies(case.language, case.after_hours)
        ),
        phase=begun[-1] if begun else None,
        price=(
            tariff.unit_price(case.language, case.after_hours, case.done_on)
            if tariff.model == "unit"
            else None
        ),
        amount=amount,
        **said,
    )


def cases_of_contact(session: TenantSession, contact_id: UUID) -> list[Case]:
    """Everything that was metered for one contact of this partner, in the order it was done."""
    me = scope_of(session).tenant_id
    zone = ZoneInfo(
        session.execute(
            text("SELECT zone FROM tenants WHERE tenant_id = :me AND id = :me"), {"me": me}
        ).scalar_one()
    )
    rows = session.execute(
        select(UsageEvent.__table__)
        .where(UsageEvent.tenant_id == me, UsageEvent.contact_id == contact_id)
        .order_by(UsageEvent.occurred_at, UsageEvent.id)
    )
    return [case_of(row, zone) for row in rows]


def case_of(event: Any, zone: ZoneInfo) -> Case:
    """A usage event as a case."""
    same = (
        "activity",
        "channel",
        "language",
        "after_hours",
        "quantity",
        "handle_seconds",
        "service_owner_id",
        "service_key",
        "bureau_key",
        "jurisdiction_id",
        "referrer_id",
        "line_owner_id",
    )
    return Case(
        done_on=event.occurred_at.astimezone(zone).date(),
        **{name: getattr(event, name) for name in same},
    )
