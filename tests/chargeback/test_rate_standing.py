"""What the database says of many rates is what the pure rules say of the same."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import Range

from regional311.chargeback import rate_standing
from regional311.chargeback.rate_cards import RateSaid
from regional311.chargeback.rate_changes import (
    Change,
    NothingChanges,
    current,
    propose,
)
from regional311.chargeback.rate_standing import Asked
from regional311.chargeback.rates import rate_problems

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
JULY = date(2026, 7, 1)
CHANNELS = [None, "phone", "web"]


def test_docstring_examples_hold():
    assert doctest.testmod(rate_standing).failed == 0


def day(number):
    return JULY + timedelta(days=number)


SPANS = st.lists(st.integers(0, 40), min_size=2, max_size=8, unique=True).map(sorted)
"""Days of which every two begin and end a rate: of one kind of work none overlap."""

PROPOSED = st.lists(
    st.tuples(st.sampled_from(CHANNELS), st.integers(0, 40), st.none() | st.integers(1, 20)),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    known=st.dictionaries(st.sampled_from(CHANNELS), SPANS),
    proposed=PROPOSED,
    gone=st.integers(0, 3),
    since=st.integers(0, 45),
)
def test_gaps_overlaps_and_pages_are_those_of_the_pure_rules(region, known, proposed, gone, since):
    card = f"card-{next(region.numbers)}"
    for channel, days in known.items():
        for number, (one, two) in enumerate(zip(days[::2], days[1::2], strict=False)):
            valid = Range(day(one), day(two))
            key = f"{card}-{channel or 'any'}-{number}"
            said = {"card_key": card, "channel": channel, "valid": valid}
            region.rate("city", key, "follow_up", "5", **said)
    with region.of("city", region.preparer) as session:
        everything, rows = current(session)
        mine = [rate for rate in everything if rate.card == card]
        asked = Asked(card=card, since=day(since))
        found = rate_standing.standing(session, asked)
        wanted = [
            each
            for each in rate_problems(rate.price for rate in mine)
            if each.to_on is None or each.to_on > day(since)
        ]
        assert (found.overlaps, set(found.first)) == (0, set(wanted))
        assert found.gaps == len(wanted)

        scopes = sorted(
            {rate.scope for rate in mine},
            key=lambda each: rate_standing.place_of(each).split("|"),
        )
        read, after = [], None
        while page := rate_standing.work_page(session, asked, after=after, limit=1):
            read += page
            after = rate_standing.place_of(page[-1])
        assert read == scopes
        with_gaps = rate_standing.work_page(session, asked, after=None, limit=9, with_gaps=True)
        by_key = {rate.key: rate.scope for rate in mine}
        assert set(with_gaps) == {by_key[each.keys[1]] for each in wanted}
        some = rate_standing.rates_of_work(session, scopes[:1])
        assert set(map(str, some)) == {str(each) for each in mine if each.scope in scopes[:1]}

        changes = [Change(rate.key, rows[rate.key], None) for rate in mine[:gone]]
        changes += [
            Change(
                f"{card}-new-{number}",
                None,
                RateSaid(
                    f"{card}-new-{number}",
                    card,
                    "follow_up",
                    Decimal(6),
                    day(begins),
                    None if lasts is None else day(begins + lasts),
                    channel=channel,
                ),
            )
            for number, (channel, begins, lasts) in enumerate(proposed)
        ]
        would = {rate.key: rate for rate in mine}
        would |= {change.key: change.rate for change in changes}
        here = [rate for rate in would.values() if rate is not None]
        reached = {rate.scope for rate in mine[:gone]}
        reached |= {change.rate.scope for change in changes if change.rate}
        wanted = rate_problems(rate.price for rate in here if rate.scope in reached)
        proposal = propose(session, changes, note=None, now=NOW)
        stands = rate_standing.standing_with(session, proposal)
        for kind, many in (("overlap", stands.overlaps), ("gap", stands.gaps)):
            assert many == sum(each.kind == kind for each in wanted)
            assert {(each.keys[1], each.from_on, each.to_on) for each in stands.of(kind)} == {
                (each.keys[1], each.from_on, each.to_on) for each in wanted if each.kind == kind
            }
        fit = rate_standing.fit(session, proposal)
        assert (fit.new, fit.changed, fit.gone) == (len(proposed), 0, len(mine[:gone]))
        assert fit.overtaken is None
        together = rate_standing.rates_with(session, proposal, reached)
        assert sorted(map(str, together)) == sorted(
            str(rate) for rate in here if rate.scope in reached
        )
        places = [
            place
            for after in range(len(changes))
            for place, _said in rate_standing.changes_page(session, proposal, after=after, limit=1)
        ]
        assert places == list(range(1, len(changes) + 1))
        removed = rate_standing.changes_page(session, proposal, after=0, limit=None, verdict="gone")
        assert len(removed) == fit.gone


def test_what_was_known_once_is_asked_as_it_was_known(region):
    """A gap that was mended later was there before."""
    early, late = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 2, tzinfo=UTC)
    region.rate("city", "one", "follow_up", "5", valid=Range(day(0), day(10)))
    region.rate("city", "two", "follow_up", "5", valid=Range(day(20), None))
    region.rate(
        "city",
        "mended",
        "follow_up",
        "5",
        valid=Range(day(10), day(20)),
        recorded=Range(late, None),
    )
    with region.of("city") as session:
        (gap,) = rate_standing.standing(session, Asked(known_at=early)).first
        assert (gap.kind, gap.keys, gap.from_on, gap.to_on) == (
            "gap",
            ("one", "two"),
            day(10),
            day(20),
        )
        assert rate_standing.standing(session, Asked(known_at=late)).first == ()
        assert rate_standing.standing(session, Asked()).gaps == 0
        (scope,) = rate_standing.work_page(session, Asked(known_at=early), after=None, limit=5)
        keys = {
            at: {rate.key for rate in rate_standing.rates_of_work(session, [scope], known_at=at)}
            for at in (early, None)
        }
    assert keys == {early: {"one", "two"}, None: {"one", "two", "mended"}}
    with region.of("county") as session:
        assert rate_standing.work_page(session, Asked(), after=None, limit=5) == []
        assert rate_standing.standing(session, Asked()).gaps == 0


def test_a_proposal_is_found_overtaken(region):
    region.rate("city", "phone", "contact_handled", "4.00", channel="phone")
    with region.of("city", region.preparer) as session:
        known, rows = current(session)
        with pytest.raises(NothingChanges):
            propose(session, [Change("phone", rows["phone"], known[0])], note=None, now=NOW)
        change = Change("phone", region.preparer, None)
        proposal = propose(session, [change], note=None, now=NOW)
        assert rate_standing.fit(session, proposal).overtaken == "phone"
