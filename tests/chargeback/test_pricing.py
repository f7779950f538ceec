"""What one piece of work costs, step by step; that it agrees with the rating is tried there."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID

from sqlalchemy.dialects.postgresql import Range

from regional311.chargeback.pricing import Case, choose_agreement, price_by
from regional311.chargeback.rate_cards import RateSaid

ME, COUNTY = UUID(int=1), UUID(int=2)
JULY, DAY = date(2026, 7, 1), date(2026, 10, 5)
ANY = RateSaid("any", "card", "contact_handled", Decimal(4), JULY)
PHONE = RateSaid(
    "phone",
    "card",
    "contact_handled",
    Decimal("5.05"),
    JULY,
    channel="phone",
    surcharges=[
        {"key": "night", "hours": "after", "percent": "25"},
        {"key": "interpreted", "languages": ["es"], "amount": "0.40"},
    ],
    phases=[{"from": "2026-07-01", "percent": "50"}],
)
TIERS = RateSaid(
    "tiers",
    "ladders",
    "contact_handled",
    Decimal(10),
    JULY,
    model="graduated",
    steps={"tiers": [{"up_to": "10", "price": "10", "flat": "2"}, {"price": "5", "flat": "3"}]},
)


def agreement(key="one", **changes):
    said = {
        "id": UUID(int=9),
        "key": key,
        "provider_id": ME,
        "payer_id": COUNTY,
        "payer_kind": "partner",
        "payer_key": None,
        "payer_rule": "service_owner",
        "activities": ["contact_handled"],
        "rate_card_key": "card",
        "valid": Range(JULY, None),
        "terms": {},
    }
    return SimpleNamespace(**(said | changes))


def case(**changes):
    said = {
        "activity": "contact_handled",
        "channel": "phone",
        "done_on": DAY,
        "service_owner_id": COUNTY,
    }
    return Case(**(said | changes))


def test_every_step_to_the_cent_is_told():
    told = price_by(agreement(), [ANY, PHONE], case(language="es", after_hours=True))
    assert told.rate is PHONE
    assert told.others == (ANY,)
    assert [each.key for each in told.surcharges] == ["night", "interpreted"]
    assert told.phase.percent == 50
    assert (told.price, told.amount, told.cents) == (
        Decimal("3.35625"),
        Decimal("3.35625"),
        336,
    )
    assert price_by(agreement(), [], case()).state == "unrated"
    assert price_by(agreement(), [TIERS], case()).state == "unrated"


def test_a_ladder_is_priced_after_what_was_done_before():
    ladders = agreement(rate_card_key="ladders", terms={"rounding": "item"})
    first = price_by(ladders, [TIERS], case())
    assert (first.amount, first.tier.price, first.price) == (12, 10, None)
    eleventh = price_by(ladders, [TIERS], case(done_before=Decimal(10)))
    assert (eleventh.amount, eleventh.tier.price) == (8, 5)
    assert eleventh.rounding == "item"


def test_a_partner_comes_first_then_outside_then_a_bureau_then_every_bureau():
    own = {"payer_id": ME}
    every = agreement("a-every", payer_kind="bureau", **own)
    water = agreement("b-water", payer_kind="bureau", payer_key="water", **own)
    zoo = agreement(
        "c-zoo", payer_kind="outside", payer_key="zoo", terms={"services": ["zoo"]}, **own
    )
    county = agreement("d-county", payer_rule="line_owner", terms={"services": ["zoo"]})
    work = case(service_owner_id=ME, service_key="zoo", bureau_key="water", line_owner_id=COUNTY)
    everything = [every, water, zoo, county]
    chosen = []
    while (best := choose_agreement(everything, work, ME)) is not None:
        chosen.append(best.key)
        everything.remove(best)
    assert chosen == ["d-county", "c-zoo", "b-water", "a-every"]
    no_bureau = case(service_owner_id=ME)
    assert choose_agreement([every, water, zoo], no_bureau, ME) is None
    assert choose_agreement([every], case(service_owner_id=ME, bureau_key="parks"), ME) is every
    assert choose_agreement([agreement(valid=Range(JULY, DAY))], case(), ME) is None
    assert choose_agreement([agreement(activities=["follow_up"])], case(), ME) is None
    outside = agreement(payer_kind="outside", payer_key="zoo", **own)
    assert choose_agreement([outside], case(service_owner_id=ME), ME) is None


def test_a_bureau_pays_as_itself_where_every_bureau_is_meant():
    every = agreement(payer_kind="bureau", payer_id=ME)
    told = price_by(every, [ANY], case(service_owner_id=ME, bureau_key="parks"))
    assert (told.payer_kind, told.payer_key, told.amount) == ("bureau", "parks", 4)
