"""A partner leaves the region: what is open with it comes back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from regional311.database.session import acting_for
from regional311.intake.models import Need
from regional311.referral import leaving
from regional311.referral.leaving import bring_back
from regional311.referral.models import Referral
from tests.little_region import IDS, NOW
from tests.referral.test_loop import as_receiver, one, refer

THERE = IDS["211info"]
DAY_AFTER = NOW + timedelta(days=1)


def end_agreements(session, *, but=0):
    """End the agreements of 211, all but some, yesterday."""
    with acting_for(session, IDS["region"]):
        session.execute(
            text(
                "UPDATE agreements SET valid = daterange('2020-01-01', :day) WHERE id IN (SELECT id"
                " FROM agreements WHERE :left IN (provider_id, payer_id) ORDER BY id OFFSET :but)"
            ),
            {"day": NOW.date(), "left": THERE, "but": but},
        )


def test_what_is_open_comes_back_and_the_need_with_it(city, region):
    filed = refer(city, region)
    assert bring_back(city, now=DAY_AFTER) == 0
    end_agreements(city)
    assert bring_back(city, now=DAY_AFTER) == 1
    (row,) = one(city, Referral)
    assert (row.state, row.reason) == ("cancelled", "partner_left")
    assert one(city, Need)[0].status == "open"
    with acting_for(city, THERE):
        (theirs,) = one(city, Referral, Referral.id == filed.referral_id)
        assert (theirs.state, theirs.reason) == ("cancelled", "partner_left")
        assert bring_back(city, now=DAY_AFTER) == 0
    assert bring_back(city, now=DAY_AFTER) == 0


def test_what_is_over_stays_and_who_has_an_agreement_left_stays(city, region):
    filed = refer(city, region)
    end_agreements(city, but=1)
    assert bring_back(city, now=DAY_AFTER) == 0
    as_receiver(city, filed, "rejected", reason="no_capacity")
    end_agreements(city)
    assert bring_back(city, now=DAY_AFTER) == 0
    assert one(city, Referral)[0].reason == "no_capacity"


@pytest.mark.parametrize("until", [None, "2099-12-31"])
def test_a_partner_that_signed_for_later_has_not_left(city, region, until):
    refer(city, region)
    end_agreements(city)
    with acting_for(city, IDS["region"]):
        city.execute(
            text(
                "UPDATE agreements SET valid = daterange('2099-01-01', :until) WHERE id = (SELECT"
                " max(id::text)::uuid FROM agreements WHERE :left IN (provider_id, payer_id))"
            ),
            {"left": THERE, "until": until},
        )
    assert bring_back(city, now=DAY_AFTER) == 0


def test_all_of_it_comes_back_in_one_round_and_what_changes_meanwhile_in_the_next(
    city, region, monkeypatch
):
    monkeypatch.setattr(leaving, "BATCH", 2)
    filed = [refer(city, region).referral_id for _ in range(5)]
    end_agreements(city)
    real = leaving.move

    def somebody_was_quicker(session, *, referral_id, version, **given):
        seen = version - 1 if referral_id == filed[2] else version
        return real(session, referral_id=referral_id, version=seen, **given)

    monkeypatch.setattr(leaving, "move", somebody_was_quicker)
    assert bring_back(city, now=DAY_AFTER) == 4
    assert [each.id for each in one(city, Referral, Referral.state == "requested")] == [filed[2]]
    monkeypatch.setattr(leaving, "move", real)
    assert bring_back(city, now=DAY_AFTER) == 1
