"""Rates as text, as a spreadsheet, side by side over time, and as changes that two persons make."""

from __future__ import annotations

import doctest
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from sqlalchemy import text

from regional311.chargeback import rate_cards, rate_changes, rate_texts
from regional311.chargeback.charge_models import BadTariff
from regional311.chargeback.rate_cards import BadRate, RateSaid, known_rates
from regional311.chargeback.rate_changes import (
    Change,
    NothingChanges,
    ProposerMayNotApprove,
    RatesOverlap,
    approve,
    current,
    price_change,
    proposals,
    propose,
    refuse,
    send_for_approval,
    withdraw,
)
from regional311.chargeback.rate_grid import grid
from regional311.chargeback.rate_sheets import (
    COLUMNS,
    MOST_BYTES,
    SheetRefused,
    changes_from,
    read_sheet,
    write_sheet,
)
from regional311.chargeback.rates import rate_problems
from regional311.errors import Conflict, NotFound, Stale

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
JULY = date(2026, 7, 1)
PLAIN = RateSaid("phone", "card", "contact_handled", Decimal("4.90"), JULY, channel="phone")
LADDER = RateSaid(
    "ladder",
    "card",
    "warm_transfer",
    Decimal(10),
    JULY,
    date(2027, 7, 1),
    model="graduated",
    steps={"tiers": [{"up_to": "10", "price": "10", "flat": "2"}, {"price": "5", "flat": "3"}]},
    surcharges=[
        {"key": "night", "hours": "after", "percent": "25"},
        {"key": "spanish", "languages": ["es", "vi"], "amount": "0.40"},
    ],
    phases=[{"from": "2026-07-01", "percent": "16.667"}],
    source="Council, June 2026",
)


@pytest.mark.parametrize("module", [rate_texts, rate_cards, rate_changes])
def test_docstring_examples_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("model", "written"),
    [
        ("unit", ""),
        ("graduated", "10: 10 + 2; 20: 5 + 3; rest: 5 + 3"),
        ("volume", "rest: 0.0006"),
        ("package", "100 after 100"),
        ("package", "100"),
        ("percentage", "floor 0.50; cap 20"),
        ("percentage", ""),
    ],
)
def test_steps_are_read_as_they_are_written(model, written):
    assert rate_texts.say_steps(model, rate_texts.read_steps(model, written)) == written


def test_surcharges_and_phases_are_read_as_they_are_written():
    for written in ("night: after 25 %; spanish: es zh-Hant 0.40; both: business vi 1 %", ""):
        assert rate_texts.say_surcharges(rate_texts.read_surcharges(written)) == written
    written = "2026-07-01: 16.667 %; 2027-07-01: 33.333 %"
    assert rate_texts.say_phases(rate_texts.read_phases(written)) == written
    assert rate_texts.read_phases("2026-07-01: 50\n2027-07-01: 100") == [
        {"from": "2026-07-01", "percent": "50"},
        {"from": "2027-07-01", "percent": "100"},
    ]


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (lambda said: rate_texts.read_steps("unit", said), "10: 5"),
        (lambda said: rate_texts.read_steps("graduated", said), ""),
        (lambda said: rate_texts.read_steps("graduated", said), "10 - 5"),
        (lambda said: rate_texts.read_steps("package", said), "10; 20"),
        (lambda said: rate_texts.read_steps("package", said), "ten"),
        (lambda said: rate_texts.read_steps("percentage", said), "most 5"),
        (rate_texts.read_surcharges, "night 25 %"),
        (rate_texts.read_surcharges, "night: after business 25 %"),
        (rate_texts.read_phases, "July: 5 %"),
    ],
)
def test_what_cannot_be_read_says_how_to_write_it(read, written):
    with pytest.raises(BadTariff):
        read(written)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key": "Phone"}, "key"),
        ({"card": "a--b"}, "card"),
        ({"service": "Pot Hole"}, "service"),
        ({"activity": "gossip"}, "activity"),
        ({"channel": "fax"}, "channel"),
        ({"language": "fr"}, "language"),
        ({"hours": "night"}, "hours"),
        ({"unit": "hour"}, "unit"),
        ({"model": "flat"}, "model"),
        ({"amount": Decimal("1.0000001")}, "amount"),
        ({"amount": Decimal(0)}, "amount"),
        ({"amount": Decimal(-1)}, "amount"),
        ({"valid_from": None}, "valid_from"),
        ({"valid_to": JULY}, "valid_to"),
        ({"source": "x" * 201}, "source"),
        ({"model": "volume", "steps": {"tiers": [{"price": "5"}]}}, "amount"),
        ({"surcharges": [{"key": "x", "languages": ["fr"], "amount": "1"}]}, "surcharges"),
        ({"phases": [{"from": "2026-08-01", "percent": "50"}]}, "phases"),
    ],
)
def test_a_rate_says_nothing_that_is_not_allowed(changes, field):
    with pytest.raises((BadRate, BadTariff)) as wrong:
        replace(PLAIN, **changes).check()
    assert wrong.value.field == field


def test_a_rate_survives_json_and_a_sheet():
    for rate in (PLAIN, LADDER):
        rate.check()
        assert RateSaid.of_json(rate.as_json()) == rate
    content = write_sheet([PLAIN, LADDER])
    assert write_sheet([PLAIN, LADDER]) == content
    sheet = read_sheet(content)
    assert sheet.errors == ()
    assert sheet.rates == ((2, PLAIN), (3, LADDER))


def edited(**cells):
    """The sheet of one plain rate with some cells of its row changed."""
    book = load_workbook(io.BytesIO(write_sheet([PLAIN])))
    sheet = book["Rates"]
    for name, value in cells.items():
        sheet.cell(2, COLUMNS.index(name) + 1).value = value
    return saved(book)


def saved(book):
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


@pytest.mark.parametrize(
    ("cells", "column", "message"),
    [
        ({"amount": "=4+1"}, "amount", "formula"),
        ({"source": "=A1"}, "source", "formula"),
        ({"valid_from": "2026-07-01"}, "valid_from", "is text, not a date"),
        ({"valid_to": datetime(2027, 7, 1, 12)}, "valid_to", "no time"),  # noqa: DTZ001
        ({"amount": 1 / 3}, "amount", "not exact"),
        ({"amount": True}, "amount", "Write a number"),
        ({"amount": "4,90"}, "amount", "not a number"),
        ({"amount": "4.9.0"}, "amount", "not a number"),
        ({"amount": None}, "amount", "Fill this in"),
        ({"amount": 0}, "amount", "more than zero"),
        ({"key": 5}, "key", "must be text"),
        ({"channel": date(2026, 1, 1)}, "channel", "must be text"),
        ({"channel": "fax"}, "channel", "Allowed are"),
        ({"model": "graduated"}, "steps", "Write tiers"),
        ({"surcharges": "night 5"}, "surcharges", "cannot be read"),
    ],
)
def test_a_cell_that_cannot_be_trusted_is_named_by_row_and_column(cells, column, message):
    sheet = read_sheet(edited(**cells))
    assert sheet.rates == ()
    (error,) = sheet.errors
    assert (error.row, error.column) == (2, column)
    assert message in error.message


def test_numbers_that_are_exact_are_taken():
    for value, amount in ((5, 5), (4.9, Decimal("4.9")), ("4.90", Decimal("4.90"))):
        ((_, rate),) = read_sheet(edited(amount=value)).rates
        assert rate.amount == amount
    ((_, rate),) = read_sheet(edited(valid_from=datetime(2026, 8, 1))).rates  # noqa: DTZ001
    assert rate.valid_from == date(2026, 8, 1)


def test_files_that_are_no_sheet_of_rates_are_refused():
    with pytest.raises(SheetRefused, match="not an XLSX workbook"):
        read_sheet(b"key,card\n")
    with pytest.raises(SheetRefused, match="at most"):
        read_sheet(b"x" * (MOST_BYTES + 1))
    book = load_workbook(io.BytesIO(write_sheet([PLAIN])))
    book["Rates"].cell(1, 3).value = "work"
    with pytest.raises(SheetRefused, match="Row 1, column C: the heading must be 'activity'"):
        read_sheet(saved(book))
    book = load_workbook(io.BytesIO(write_sheet([PLAIN])))
    book["Rates"].cell(1, 17).value = "more"
    with pytest.raises(SheetRefused, match="column Q"):
        read_sheet(saved(book))
    twice = read_sheet(write_sheet([PLAIN, PLAIN]))
    assert [(error.row, error.column) for error in twice.errors] == [(3, "key")]
    book = load_workbook(io.BytesIO(write_sheet([PLAIN])))
    book["Rates"].cell(2, 18).value = "more"
    assert read_sheet(saved(book)).errors[0].column == "R"


def test_a_rate_without_a_row_ends_and_one_that_ended_needs_none():
    over = replace(PLAIN, key="over", valid_from=date(2019, 7, 1), valid_to=JULY)
    later = replace(PLAIN, key="later", valid_from=date(2027, 7, 1))
    rows = {key: uuid4() for key in ("phone", "over", "later")}
    sheet = read_sheet(write_sheet([LADDER]))
    changes = changes_from(sheet, [PLAIN, over, later], rows, date(2026, 11, 3))
    found = {change.key: change.rate for change in changes}
    assert found == {
        "ladder": LADDER,
        "phone": replace(PLAIN, valid_to=date(2026, 11, 3)),
        "later": None,
    }


def test_a_grid_shows_prices_gaps_and_overlaps():
    rates = [
        replace(PLAIN, valid_to=date(2026, 10, 1)),
        replace(PLAIN, key="again", valid_from=date(2026, 11, 1)),
        replace(PLAIN, key="twice", valid_from=date(2026, 12, 1), valid_to=date(2027, 1, 1)),
        replace(PLAIN, key="web", channel="web", valid_from=date(2026, 10, 1)),
    ]
    found = grid(rates, changed=frozenset({"twice"}))
    assert [stretch.since.isoformat() for stretch in found.stretches] == [
        "2026-07-01",
        "2026-10-01",
        "2026-11-01",
        "2026-12-01",
        "2027-01-01",
    ]
    phone, web = found.rows
    assert [cell.kind for cell in phone.cells] == ["price", "gap", "price", "overlap", "price"]
    assert [cell.kind for cell in web.cells] == ["none", *["price"] * 4]
    assert [cell.changed for cell in phone.cells] == [False, False, False, True, False]
    assert (found.gaps, found.overlaps) == (1, 1)
    assert len(grid(rates, since=date(2026, 12, 1)).stretches) == 2
    assert grid([]).stretches == ()
    always = replace(PLAIN, valid_from=None)
    assert [cell.kind for cell in grid([always]).rows[0].cells] == ["price"]


DAYS = st.integers(0, 30).map(lambda days: JULY + timedelta(days=days))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(DAYS, st.one_of(st.none(), DAYS)), max_size=5))
def test_a_grid_has_an_overlap_or_gap_just_where_the_rules_find_one(spans):
    rates = [
        replace(PLAIN, key=f"rate-{number}", valid_from=since, valid_to=until)
        for number, (since, until) in enumerate(spans)
        if until is None or since < until
    ]
    kinds = {problem.kind for problem in rate_problems(rate.price for rate in rates)}
    laid = grid(rates)
    assert bool(laid.overlaps) == ("overlap" in kinds)
    assert bool(laid.gaps) == ("gap" in kinds)


def kept(region, person=None):
    return region.of("city", person)


def test_a_second_person_lets_a_price_change(region):
    region.rate("city", "phone", "contact_handled", "4.00", channel="phone")
    with kept(region, region.preparer) as session:
        known, rows = current(session)
        changes = price_change(
            session,
            "phone",
            rate=replace(known[0], amount=Decimal("4.75")),
            valid_from=date(2026, 12, 1),
            expected_id=rows["phone"],
        )
        proposal = propose(session, changes, note="Council", now=NOW)
        with pytest.raises(Conflict, match="is draft"):
            approve(session, proposal, now=NOW)
        send_for_approval(session, proposal, now=NOW)
        with pytest.raises(ProposerMayNotApprove):
            approve(session, proposal, now=NOW)
    with kept(region) as session, pytest.raises(ProposerMayNotApprove):
        approve(session, proposal, now=NOW)
    with kept(region, region.approver) as session:
        assert [row.amount for row in known_rates(session)] == [4]
        approve(session, proposal, now=NOW)
        with pytest.raises(Conflict, match="is approved"):
            approve(session, proposal, now=NOW)
    with kept(region) as session:
        now_known = known_rates(session)
        assert [(row.key, row.amount, row.valid.upper) for row in now_known] == [
            ("phone", 4, date(2026, 12, 1)),
            ("phone-2026-12-01", Decimal("4.75"), None),
        ]
        before = known_rates(session, known_at=NOW - timedelta(seconds=1))
        assert [(row.key, row.valid.upper) for row in before] == [("phone", None)]
        assert len(known_rates(session, known_at=NOW)) == 2
        actions = session.scalars(
            text("SELECT action FROM audit_events WHERE action LIKE 'rate:%' ORDER BY id")
        ).all()
    assert actions == ["rate:draft", "rate:propose", "rate:approve"]


def test_what_does_not_fit_any_more_is_refused(region):
    region.rate("city", "phone", "contact_handled", "4.00", channel="phone")
    with kept(region, region.preparer) as session:
        known, rows = current(session)
        said = {"rate": known[0], "valid_from": JULY, "expected_id": rows["phone"]}
        with pytest.raises(NothingChanges):
            propose(session, price_change(session, "phone", **said), note=None, now=NOW)
        with pytest.raises(NotFound):
            price_change(session, "fax", **said)
        with pytest.raises(Stale):
            price_change(session, "phone", **(said | {"expected_id": uuid4()}))
        dearer = replace(known[0], amount=Decimal(5))
        same_day = price_change(session, "phone", **(said | {"rate": dearer}))
        assert [(change.key, change.rate.amount) for change in same_day] == [("phone", 5)]
        first = propose(session, same_day, note=None, now=NOW)
        second = propose(session, same_day, note=None, now=NOW)
        third = propose(session, same_day, note=None, now=NOW)
        overlapping = replace(dearer, key="phone-too")
        fourth = propose(session, [Change("phone-too", None, overlapping)], note=None, now=NOW)
        with pytest.raises(RatesOverlap, match="both hold"):
            send_for_approval(session, fourth, now=NOW)
        for each in (first, second, third):
            send_for_approval(session, each, now=NOW)
        withdraw(session, third, now=NOW)
        withdraw(session, fourth, now=NOW)
    with kept(region, region.approver) as session:
        approve(session, first, now=NOW)
        with pytest.raises(Stale, match="changed meanwhile"):
            approve(session, second, now=NOW)
        refuse(session, second, reason="Too late", now=NOW)
        states = {row.id: (row.state, row.reason) for row in proposals(session)}
    assert states == {
        first: ("approved", None),
        second: ("refused", "Too late"),
        third: ("withdrawn", None),
        fourth: ("withdrawn", None),
    }


def test_the_figures_worked_by_hand_in_the_documentation():
    """Source: docs/finance/rates.md."""
    city = replace(
        PLAIN,
        amount=Decimal("5.05"),
        surcharges=rate_texts.read_surcharges("night: after 25 %; interpreted: es vi 0.40"),
    )
    assert city.tariff.unit_price("es", True, JULY) == Decimal("6.7125")
    tiers = rate_texts.read_steps("graduated", "10: 10 + 2; 20: 5 + 3; rest: 5 + 3")
    lago = replace(PLAIN, amount=Decimal(10), model="graduated", steps=tiers).tariff
    assert (lago.total(Decimal(12)), lago.total(Decimal(11)) - lago.total(Decimal(10))) == (115, 8)
    share = rate_texts.read_steps("percentage", "floor 1; cap 5")
    part = replace(PLAIN, amount=Decimal(10), model="percentage", steps=share).tariff
    assert part.total(Decimal(300)) == 5
