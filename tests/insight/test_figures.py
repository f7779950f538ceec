"""What each figure counts, and that it opens to exactly what it counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import acting_for
from regional311.insight.figures import FIGURES
from regional311.insight.queries import Chosen, Part, divided, overview, rows_of
from regional311.intake.models import Need
from tests.insight.rows import DAY, HOUR, need, referral
from tests.little_region import IDS, NOW

WEEK = Chosen(before=NOW - 14 * DAY, first=NOW - 7 * DAY, until=NOW)
BEFORE = NOW - 8 * DAY


def test_nothing_is_counted_where_nothing_is(city):
    found = overview(city, WEEK)
    assert (found.now.sent, found.now.closure, found.now.accept_median) == (0, None, None)
    assert found.partners == found.services == found.reasons == []
    assert found.needs == Part("needs", 0, 0)


def test_a_loop_is_closed_only_when_what_became_of_the_person_is_on_record(city):
    ends = [
        {"state": "completed", "outcome": "met"},
        {"state": "completed", "outcome": "unmet"},
        {"state": "rejected", "reason": "no_capacity"},
        {"state": "failed", "reason": "no_show"},
    ]
    silent = [
        {"state": "completed", "outcome": "unknown"},
        {"state": "failed", "reason": "expired"},
        {"state": "cancelled", "reason": "error"},
    ]
    for each in (*ends, *silent):
        referral(city, answered_at=HOUR, closed_at=2 * HOUR, **each)
    referral(city, state="accepted", answered_at=HOUR)
    referral(city)
    referral(city, state="entered_in_error")
    referral(city, state="cancelled", reason="taken_elsewhere", closed_at=HOUR)
    now = overview(city, WEEK).now
    assert (now.sent, now.closed, now.never_known, now.open, now.waiting) == (9, 4, 3, 2, 1)
    assert now.closure == pytest.approx(4 / 9)


def test_times_are_of_those_accepted_and_of_those_completed(city):
    for hours in (1, 2, 3, 4, 10):
        referral(
            city,
            state="completed",
            outcome="met",
            answered_at=hours * HOUR,
            closed_at=2 * hours * HOUR,
        )
    referral(
        city, state="rejected", reason="no_capacity", answered_at=99 * HOUR, closed_at=99 * HOUR
    )
    referral(city, state="cancelled", reason="no_show", answered_at=9 * HOUR, closed_at=9 * HOUR)
    now = overview(city, WEEK).now
    assert (now.accepted, now.completed) == (5, 5)
    hour = HOUR.total_seconds()
    assert (now.accept_median, now.outcome_median) == (3 * hour, 6 * hour)
    assert now.accept_90 == pytest.approx(7.6 * hour)
    assert now.outcome_90 == pytest.approx(15.2 * hour)


def test_the_period_is_compared_with_the_one_before(city):
    referral(city, state="rejected", reason="no_capacity")
    for _ in range(2):
        referral(city, sent_at=BEFORE, state="rejected", reason="out_of_area")
    referral(city, sent_at=NOW - 15 * DAY)
    referral(city, sent_at=NOW)
    found = overview(city, WEEK)
    assert (found.now.sent, found.before.sent) == (1, 2)
    assert found.reasons == [Part("no_capacity", 1, 0), Part("out_of_area", 0, 2)]


def test_each_pair_of_partners_stands_by_itself(city):
    referral(city)
    referral(city, state="accepted", answered_at=HOUR)
    referral(city, side="received", counterparty_id=IDS["county"], service_key="shelter")
    found = overview(city, WEEK)
    assert [(row.side, row.partner_id, row.now.sent) for row in found.partners] == [
        ("sent", IDS["211info"], 2),
        ("received", IDS["county"], 1),
    ]
    assert [(row.service_key, row.now.sent) for row in found.services] == [
        ("bed", 2),
        ("shelter", 1),
    ]


@pytest.mark.parametrize(
    ("earlier", "later", "counts"),
    [
        pytest.param("sent 211info", "received 211info", 1, id="sent away, and back at once"),
        pytest.param("sent 211info", "received county", 1, id="back by way of a third"),
        pytest.param("received county", "sent county", 1, id="sent back where it came from"),
        pytest.param("received county", "sent 211info", 0, id="passed on to a third"),
        pytest.param("sent 211info", "sent 211info", 0, id="sent once more"),
    ],
)
@pytest.mark.parametrize("known_by", ["chain", "phone", "country", "extension", "email", "both"])
def test_ping_pong(city, earlier, later, counts, known_by):
    shared = {
        "chain": ({"phone": "1"}, {"phone": "2"}),
        "phone": ({"phone": "(503) 555-0101"}, {"phone": "503 555 0101"}),
        "country": ({"phone": "+1 503 555 0101"}, {"phone": "503-555-0101"}),
        "extension": ({"phone": "503-555-0101 ext. 12"}, {"phone": "5035550101"}),
        "email": ({"email": "Dana@example.org"}, {"email": "dana@example.org"}),
        # the first partner may know more than the second
        "both": (
            {"phone": "503-555-0101", "email": "dana@example.org"},
            {"email": "dana@example.org"},
        ),
    }[known_by]
    (first_side, first_with), (side, partner) = earlier.split(), later.split()
    first = referral(
        city,
        side=first_side,
        counterparty_id=IDS[first_with],
        shared=shared[0],
        sent_at=NOW - 20 * DAY,
    )
    referral(
        city,
        side=side,
        counterparty_id=IDS[partner],
        shared=shared[1],
        part_of_id=first.id if known_by == "chain" else None,
    )
    assert overview(city, WEEK).now.ping_pong == counts
    assert len(rows_of(city, "ping-pong", WEEK).rows) == counts


def test_the_latest_before_counts_by_number_or_by_address(city):
    both = {"phone": "5035550101", "email": "dana@example.org"}
    referral(city, side="received", shared={"phone": "5035550101"}, sent_at=NOW - 20 * DAY)
    referral(city, shared={"email": "dana@example.org"}, sent_at=NOW - 19 * DAY)
    referral(city, shared=both, sent_at=NOW - 3 * DAY)
    assert overview(city, WEEK).now.ping_pong == 0
    referral(city, side="received", shared=both, sent_at=NOW - 2 * DAY)
    assert overview(city, WEEK).now.ping_pong == 1


def test_ping_pong_needs_the_same_person_the_same_need_and_thirty_days(city):
    for more in ({"term": "food"}, {"shared": {"phone": "2"}}, {"sent_at": NOW - 33 * DAY}):
        referral(city, **{"shared": {"phone": "1"}, "sent_at": NOW - 10 * DAY, **more})
    for _ in range(2):
        referral(city, side="received", shared={})
    referral(city, side="received", shared={"phone": "1"})
    assert overview(city, WEEK).now.ping_pong == 0


def test_unmet_needs_are_divided_by_area_language_reason_and_term(city):
    need(city, status="unmet", unmet_reason="cost", area="city/portland", language="es")
    need(city, status="unmet", unmet_reason="cost", area="city/portland")
    need(city, status="unmet", started_at=BEFORE)
    need(city, status="met", area="city/portland")
    found = overview(city, WEEK)
    assert (found.needs, found.unmet) == (Part("needs", 3, 1), Part("unmet", 2, 1))
    assert found.unmet_by == {
        "area": [Part("city/portland", 2, 0), Part("unknown", 0, 1)],
        "language": [Part("en", 1, 1), Part("es", 1, 0)],
        "unmet_reason": [Part("cost", 2, 0), Part("other", 0, 1)],
        "term": [Part("shelter", 2, 1)],
    }


def test_a_transfer_is_avoided_when_anothers_service_is_settled_here(city):
    need(city)
    need(city, disposition="answered")
    need(city, disposition="transferred")
    need(city, disposition="hang_up")
    need(city, service_owner_id=IDS["city"], disposition="answered")
    found = overview(city, WEEK)
    assert (found.avoided.now, found.transferred.now) == (2, 1)


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"side": "received"},
        {"partner_id": IDS["211info"]},
        {"service_key": "bed"},
        {"side": "sent", "partner_id": IDS["county"], "service_key": "clinic"},
    ],
)
def test_each_figure_opens_to_as_many_rows_as_it_says(city, filters):
    states = [
        {"state": "requested"},
        {"state": "accepted", "answered_at": HOUR},
        {"state": "rejected", "reason": "no_capacity", "answered_at": HOUR, "closed_at": HOUR},
        {"state": "completed", "outcome": "met", "answered_at": HOUR, "closed_at": 3 * HOUR},
        {"state": "completed", "outcome": "unknown", "answered_at": HOUR, "closed_at": 3 * HOUR},
        {"state": "failed", "reason": "expired", "closed_at": 3 * HOUR},
    ]
    for side, partner, key in (
        ("sent", "211info", "bed"),
        ("sent", "county", "clinic"),
        ("received", "county", "shelter"),
    ):
        for each in states:
            referral(
                city,
                side=side,
                counterparty_id=IDS[partner],
                service_key=key,
                shared={"phone": "1"},
                **each,
            )
    for owner, key in (("211info", "bed"), ("county", "clinic")):
        for disposition in ("answered", "transferred"):
            for status in ("unmet", "met"):
                need(
                    city,
                    service_owner_id=IDS[owner],
                    service_key=key,
                    disposition=disposition,
                    status=status,
                    area="city/portland",
                )
    chosen = replace(WEEK, **filters)
    found = overview(city, chosen)
    said = {
        name: getattr(found.now, name.replace("-", "_"))
        for name, figure in FIGURES.items()
        if figure.of == "referral"
    }
    said |= {
        name: getattr(found, name).now for name in ("needs", "unmet", "avoided", "transferred")
    }
    assert set(said) == set(FIGURES)
    assert {name: len(rows_of(city, name, chosen).rows) for name in FIGURES} == said
    for part in found.reasons:
        assert (
            len(rows_of(city, "rejected", chosen, narrowed={"reason": part.key}).rows) == part.now
        )
    for part in found.outcomes:
        rows = rows_of(city, "completed", chosen, narrowed={"outcome": part.key}).rows
        assert len(rows) == part.now
    for name, parts in found.unmet_by.items():
        for part in parts:
            assert len(rows_of(city, "unmet", chosen, narrowed={name: part.key}).rows) == part.now
    # what stands above the rows counts as they do, and so does each pair
    for name, figure in FIGURES.items():
        counted = divided(city, name, chosen)
        assert set(counted) == set(figure.by)
        for by, values in counted.items():
            for key, count in values:
                rows = rows_of(city, name, chosen, narrowed={by: key}).rows
                assert len(rows) == count
            assert sum(count for _key, count in values) == said[name]
    for (side, partner_id, service_key), parts in found.reasons_between.items():
        pair = replace(
            chosen,
            side=side,
            partner_id=partner_id,
            service_key=service_key or chosen.service_key,
        )
        for part in parts:
            rows = rows_of(city, "rejected", pair, narrowed={"reason": part.key}).rows
            assert len(rows) == part.now


def test_needs_and_contacts_stand_by_whose_services_they_are_about(city):
    """A contact about two partners' services counts for each of them, and once in all."""
    need(city, disposition="answered")
    need(city, service_owner_id=IDS["county"], disposition="transferred", status="unmet")
    need(city, service_owner_id=IDS["city"], disposition="answered")
    both = need(city, disposition="answered")
    put(
        city,
        Need(
            tenant_id=city.scope.tenant_id,
            id=new_id(),
            contact_id=both.id,
            created_at=NOW,
            service_owner_id=IDS["county"],
            service_key="clinic",
            term="clinic",
            status="open",
        ),
    )
    found = overview(city, WEEK)
    said = {
        each.partner_id: tuple(
            part.now for part in (each.needs, each.unmet, each.avoided, each.transferred)
        )
        for each in found.whose
    }
    assert said == {
        IDS["211info"]: (2, 0, 2, 0),
        IDS["county"]: (2, 1, 1, 1),
        IDS["city"]: (1, 0, 0, 0),
    }
    assert (found.needs.now, found.unmet.now) == (5, 1)
    assert (found.avoided.now, found.transferred.now) == (2, 1)
    for partner_id, counts in said.items():
        chosen = replace(WEEK, partner_id=partner_id)
        names = ("needs", "unmet", "avoided", "transferred")
        assert tuple(len(rows_of(city, name, chosen).rows) for name in names) == counts


def test_rows_go_on_from_page_to_page_each_once(city):
    made = {referral(city).id for _ in range(5)}
    seen: list[UUID] = []
    after = None
    while True:
        page = rows_of(city, "sent", WEEK, after=after, limit=2)
        seen.extend(row.id for row in page.rows)
        if page.after is None:
            break
        after = UUID(page.after)
    assert len(seen) == 5
    assert set(seen) == made


def test_nobody_counts_what_is_anothers(city):
    referral(city)
    need(city, status="unmet")
    with acting_for(city, IDS["county"]):
        found = overview(city, WEEK)
        assert (found.now.sent, found.unmet.now, found.avoided.now) == (0, 0, 0)


def test_statements_are_few_however_much_there_is(city, statements):
    for at in range(30):
        referral(city, sent_at=NOW - timedelta(hours=at + 1), service_key=f"s{at}")
    overview(city, WEEK)
    statements.clear()
    overview(city, WEEK)
    assert len(statements) == 4


def test_what_is_confidential_is_in_no_figure_and_no_row_of_who_is_not_cleared(city):
    """What came in for a confidential service is its receivers' work, and stays counted."""
    secret = (IDS["211info"], "bed")
    referral(city)
    referral(city, state="rejected", reason="no_capacity", answered_at=HOUR, closed_at=HOUR)
    referral(city, service_key="food")
    referral(city, side="received")
    need(city, status="unmet")
    need(city, service_key="food", status="unmet")
    need(city, disposition="transferred")
    chosen = replace(WEEK, without=frozenset({secret}))
    found = overview(city, chosen)
    assert (found.now.sent, found.now.rejected, found.reasons) == (2, 0, [])
    assert {(each.side, each.service_key) for each in found.services} == {
        ("received", "bed"),
        ("sent", "food"),
    }
    assert (found.needs.now, found.unmet.now, found.transferred.now) == (1, 1, 0)
    assert found.avoided.now == 1
    for name in FIGURES:
        said = rows_of(city, name, chosen).rows
        assert not [row for row in said if row.service_key == "bed" and row.side != "received"]
    assert overview(city, WEEK).needs.now == 3
