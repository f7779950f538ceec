"""What to look at before statements are sent, and steps for several of them at once."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import Range

from regional311.chargeback import billing
from regional311.chargeback.readiness import NAMES, draft_checks, progress
from regional311.chargeback.several import take_together
from regional311.errors import InvalidInput
from tests.chargeback.test_billing import NOW, OCTOBER, rate_and_draft

pytestmark = pytest.mark.commits

ZONE = "America/Los_Angeles"


def looked_at(region, now=NOW):
    with region.of("city") as session:
        found = draft_checks(session, OCTOBER, zone=ZONE, now=now)
    return {check.name: (check.count, [row.key for row in check.rows]) for check in found}


def public_ids(region, statements):
    with region.of("city") as session:
        rows = session.execute(
            text("SELECT id, public_id FROM statements WHERE tenant_id = :tenant"),
            {"tenant": region.tenants["city"]},
        )
        named = {row.id: row.public_id for row in rows}
    return [named[each] for each in statements]


def test_nothing_to_look_at(region):
    region.agree("county", "city", "county", "contact_handled")
    region.rate("city", "contact", "contact_handled", "10")
    region.use("city", "county")
    assert looked_at(region) == {"period_over": (0, [])}
    rate_and_draft(region)
    assert looked_at(region) == dict.fromkeys(NAMES, (0, []))


def test_everything_to_look_at_is_named(region):
    """No rate, no agreement, late work, an ended and an idle agreement, a bill over nothing."""
    region.agree("county", "city", "county", "contact_handled", "follow_up")
    region.agree("idle", "city", "community", "warm_transfer")
    ended = Range(date(2026, 1, 1), date(2026, 10, 1))
    region.agree("ended", "city", "community", "contact_handled", valid=ended)
    region.rate("city", "contact", "contact_handled", "10")
    done = region.use("city", "county", at=(2026, 9, 30, 12))
    region.use("city", "county")
    region.use("city", "county", quantity=Decimal(-1), reverses_id=done)
    region.use("city", "county", activity="follow_up")
    region.use("city", "community")
    _, (draft,) = rate_and_draft(region)
    region.use("city", "county", received_at=datetime(2026, 11, 10, tzinfo=UTC))
    assert looked_at(region, now=datetime(2026, 10, 20, tzinfo=UTC)) == {
        "period_over": (1, []),
        "all_in_run": (1, []),
        "all_rated": (1, []),
        "all_agreed": (1, []),
        "agreements_hold": (1, ["ended"]),
        "everybody_billed": (1, ["idle"]),
        "nothing_zero": (1, public_ids(region, [draft])),
        "nothing_unusual": (0, []),
    }


def test_what_is_refused_for_one_stops_no_other(region):
    for payer in ("county", "community"):
        region.agree(payer, "city", payer, "contact_handled")
        region.use("city", payer)
    region.rate("city", "contact", "contact_handled", "10")
    _, drafts = rate_and_draft(region)
    one, other = public_ids(region, drafts)
    with region.of("city", region.preparer) as session:
        taken = take_together(session, "2026-10", [one], billing.submit, now=NOW)
        assert (taken.done, taken.refused) == ((one,), ())
    with region.of("city", region.preparer) as session:
        taken = take_together(session, "2026-10", [one, other], billing.submit, now=NOW)
    assert taken.done == (other,)
    assert taken.refused == ((one, "This statement is in review; it cannot become in review."),)
    with region.of("city", region.preparer) as session:
        taken = take_together(session, "2026-10", [one, other], billing.approve, now=NOW)
    assert (taken.done, len(taken.refused)) == ((), 2)
    with region.of("city", region.approver) as session:
        take_together(session, "2026-10", [one], billing.approve, now=NOW)
    with region.of("city", region.preparer) as session:
        taken = take_together(session, "2026-10", [one, other], billing.issue, now=NOW)
    assert taken.done == (one,)
    with region.of("city") as session:
        stands = [
            (each.state, each.statements, each.total_cents) for each in progress(session, "2026-10")
        ]
    assert stands == [("in_review", 1, 10_00), ("issued", 1, 10_00)]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([], "at least one"),
        (["S-NONE"], "no statement S-NONE"),
        ([f"S-{number}" for number in range(600)], "at most"),
    ],
)
def test_a_choice_that_cannot_be_taken_changes_nothing(region, chosen, said):
    with region.of("city") as session, pytest.raises(InvalidInput, match=said):
        take_together(session, "2026-10", chosen, billing.submit, now=NOW)
