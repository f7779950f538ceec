"""What an agreement has the payer pay in advance is taken off the period's bill."""

from __future__ import annotations

from datetime import timedelta

import pytest

from regional311.settlement import queries
from regional311.settlement.payments import Whom, reverse_payment
from regional311.settlement.prepayments import take_off
from tests.settlement.test_payments import DAY, NOW, balance, check_books, open_of, pay

pytestmark = pytest.mark.commits


def taken(region, now=NOW):
    with region.of("city") as session:
        return take_off(session, now=now)


def test_500_agreed_of_800_held_are_taken_off_a_bill_once(region, bills):
    with region.of("city") as session:
        pay(session, amount=800_00, whom=Whom(region.tenants["county"]))
    plain = bills.bill("city", "county", [100_00])
    bill = bills.bill("city", "county", [700_00], prepay_cents=500_00)
    assert (taken(region), taken(region)) == (1, 0)
    assert open_of(region, "county", bill) == open_of(region, "city", bill) == 200_00
    assert open_of(region, "city", plain) == 100_00
    assert balance(region, "city", "advances_from_partners") == -300_00
    second = bills.bill("city", "county", [700_00], period="2026-11", at=NOW, prepay_cents=500_00)
    assert taken(region) == 1
    assert open_of(region, "county", second) == 400_00
    assert balance(region, "county", "advances_to_partners") == 0
    check_books(region)


def test_nothing_is_taken_off_without_an_advance_or_for_another_payer(region, bills):
    bill = bills.bill("city", "county", [700_00], prepay_cents=500_00)
    assert taken(region) == 0
    with region.of("city") as session:
        pay(session, amount=800_00, whom=Whom(region.tenants["community"]))
    assert taken(region) == 0
    assert open_of(region, "city", bill) == 700_00


def test_what_somebody_reversed_is_not_taken_off_again(region, bills):
    with region.of("city") as session:
        pay(session, amount=500_00, whom=Whom(region.tenants["county"]))
    bill = bills.bill("city", "county", [700_00], prepay_cents=500_00)
    assert taken(region) == 1
    with region.of("city") as session:
        (used,) = [each for each in queries.payments(session) if each.kind == "application"]
        reverse_payment(session, used.id, reason="Agreed otherwise", on=DAY, now=NOW)
    assert taken(region, NOW + timedelta(hours=1)) == 0
    assert open_of(region, "city", bill) == 700_00
