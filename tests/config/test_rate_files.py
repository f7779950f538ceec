"""Rates in files: every charge model there and back, and what is refused."""

from __future__ import annotations

import tomllib
from types import SimpleNamespace

import pytest

from regional311.chargeback import rate_cards
from regional311.chargeback.charge_models import MODELS
from regional311.config import schema
from regional311.config.rates import rate_plain, rate_said
from regional311.config.writer import toml_text
from regional311.errors import DomainError
from regional311.strict import from_plain

HEAD = """
[[rate]]
key = "one"
card = "card"
activity = "contact_handled"
valid_from = 2026-07-01
"""
FILES = {
    "unit": 'amount = "4.90"',
    "graduated": 'model = "graduated"\namount = "10"\n'
    '[[rate.tier]]\nup_to = "10"\nprice = "10"\nflat = "2"\n[[rate.tier]]\nprice = "5"',
    "volume": 'model = "volume"\namount = "0.0006"\n[[rate.tier]]\nprice = "0.0006"\nflat = "10"',
    "package": 'model = "package"\namount = "5"\npackage_size = "100"\npackage_free = "100"',
    "percentage": 'model = "percentage"\namount = "10"\nfloor = "0.50"\ncap = "20"',
    "surcharges": 'amount = "5.05"\n[[rate.surcharge]]\nkey = "night"\nhours = "after"\n'
    'percent = "125"\n[[rate.surcharge]]\nkey = "es"\nlanguages = ["es", "vi"]\namount = "0.40"',
    "phases": 'amount = "6"\n[[rate.phase]]\npercent = "16.667"\nvalid_from = 2026-07-01\n'
    '[[rate.phase]]\npercent = "33.333"\nvalid_from = 2027-07-01',
}


def read(text):
    return from_plain(schema.RatesFile, tomllib.loads(HEAD + text)).rate[0]


@pytest.mark.parametrize("name", FILES)
def test_every_charge_model_goes_into_the_database_and_comes_back(name):
    rate = read(FILES[name])
    said = rate_said(rate)
    said.check()
    row = SimpleNamespace(**said.values())
    again = from_plain(schema.Rate, rate_plain(row))
    assert rate_said(again) == said
    written = tomllib.loads(toml_text(schema.RatesFile(rate=(again,))))
    assert rate_said(from_plain(schema.RatesFile, written).rate[0]) == said


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('amount = "5"\npackage_size = "5"', "steps"),
        ('amount = "5"\n[[rate.tier]]\nprice = "5"', "steps"),
        ('model = "graduated"\namount = "5"', "steps.tiers"),
        ('model = "volume"\namount = "5"\n[[rate.tier]]\nprice = "4"', "amount"),
        ('model = "package"\namount = "5"', "steps.size"),
        ('model = "percentage"\namount = "5"\nfloor = "5"\ncap = "1"', "steps.floor"),
        ('amount = "5"\n[[rate.surcharge]]\nkey = "a"\namount = "1"', "surcharges[1].hours"),
        ('amount = "5"\n[[rate.phase]]\npercent = "5"\nvalid_from = 2027-07-01', "phases"),
    ],
)
def test_what_does_not_fit_its_charge_model_is_refused(text, field):
    with pytest.raises(DomainError) as wrong:
        rate_said(read(text)).check()
    assert wrong.value.field == field


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (schema.Activity, rate_cards.ACTIVITIES),
        (schema.Channel, rate_cards.CHANNELS),
        (schema.Language, rate_cards.LANGUAGES),
    ],
)
def test_vocabularies_are_those_of_rates(ours, theirs):
    assert set(ours.__args__) == set(theirs)


def test_charge_models_are_those_of_rates():
    assert set(schema.Rate.model_fields["model"].annotation.__args__) == set(MODELS)
