"""A spreadsheet of rates is read by the worker: drafted whole, or refused whole."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from openpyxl import load_workbook
from sqlalchemy import text

from regional311.chargeback import rate_changes, rate_sheets, rate_uploads
from regional311.chargeback.rate_cards import RateSaid, known_rates
from regional311.chargeback.rate_sheets import COLUMNS, MOST_BYTES, SheetRefused, write_sheet
from regional311.identity.service import disable_person, grant

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
JULY = date(2026, 7, 1)
PHONE = RateSaid("phone", "card", "contact_handled", Decimal("4.90"), JULY, channel="phone")


@pytest.fixture
def office(region):
    """Somebody who may change the City's rates, with one rate there."""
    with region.of("city") as session:
        session.execute(
            text("SELECT register_person(:id, 'fin@city.example', 'Fin', NULL, :at)"),
            {"id": region.preparer, "at": NOW},
        )
        grant(
            session,
            person_id=region.preparer,
            name="Fin",
            email="fin@city.example",
            roles=["finance"],
        )
    region.rate("city", "phone", "contact_handled", "4.90", channel="phone")
    return region


def send(region, content, name="rates.xlsx"):
    with region.of("city", region.preparer) as session:
        return rate_uploads.send_sheet(session, name=name, content=content, now=NOW)


def read(region, at=NOW):
    return rate_uploads.work(region.engine, region.tenants["city"], lambda: at)


def sheet(region, sheet_id, slug="city"):
    with region.of(slug) as session:
        return rate_uploads.sheet(session, sheet_id)


def kept(region):
    """What there is of rates and proposals, and what is kept of files."""
    with region.of("city") as session:
        return session.execute(
            text(
                "SELECT (SELECT count(*) FROM rates), (SELECT count(*) FROM rate_proposals),"
                " (SELECT count(*) FROM rate_sheets WHERE content IS NOT NULL)"
            )
        ).one()


def broken(**cells):
    book = load_workbook(io.BytesIO(write_sheet([PHONE])))
    for name, value in cells.items():
        book["Rates"].cell(2, COLUMNS.index(name) + 1).value = value
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def test_a_file_becomes_a_draft_of_whoever_sent_it(office, monkeypatch):
    monkeypatch.setattr(rate_sheets, "STEP", 1)
    told = []
    set_ = rate_uploads._set
    monkeypatch.setattr(
        rate_uploads,
        "_set",
        lambda session, held, **values: (told.append(values), set_(session, held, **values)),
    )
    web = replace(PHONE, key="web", channel="web", amount=Decimal("0.20"))
    dearer = replace(PHONE, amount=Decimal(5))
    sheet_id = send(office, write_sheet([dearer, web]), "  City   rates.xlsx ")
    waiting = sheet(office, sheet_id)
    assert (waiting.state, waiting.name, waiting.rows_read) == ("waiting", "City rates.xlsx", 0)
    assert read(office) == 1
    assert read(office) == 0
    found = sheet(office, sheet_id)
    assert (found.state, found.rows_read, found.errors) == ("drafted", 2, [])
    assert found.ended_at == NOW
    # how far it is was told on the way, each in a transaction of its own
    assert [each["rows_read"] for each in told if "rows_known" in each] == [1, 2]
    assert tuple(kept(office)) == (1, 1, 0)
    with office.of("city") as session:
        (row,) = rate_changes.proposals(session)
        assert (row.id, row.proposed_by, row.note) == (
            found.proposal_id,
            office.preparer,
            "City rates.xlsx",
        )
        assert row.names == ["phone", "web"]
        assert [rate.amount for rate in known_rates(session)] == [Decimal("4.9")]
        trail = session.scalars(text("SELECT action FROM audit_events ORDER BY id")).all()
        assert trail == ["rate:send_sheet", "rate:draft"]
    assert sheet(office, sheet_id, "county") is None


@pytest.mark.parametrize(
    ("content", "state", "said"),
    [
        (broken(amount="=4+1"), "broken", [(2, "amount", "formula")]),
        (broken(valid_from="2026-07-01"), "broken", [(2, "valid_from", "is text, not a date")]),
        (b"key,card\n", "refused", "not an XLSX workbook"),
        (write_sheet([PHONE]), "same", "Everything is as it was"),
        (
            write_sheet([PHONE, replace(PHONE, amount=Decimal(6))]),
            "broken",
            [(3, "key", "Row 2 has this key already")],
        ),
    ],
    ids=["formula", "day as text", "no workbook", "same", "twice"],
)
def test_what_cannot_be_taken_is_named_and_nothing_is_drafted(office, content, state, said):
    sheet_id = send(office, content)
    assert read(office) == 1
    found = sheet(office, sheet_id)
    assert (found.state, found.proposal_id) == (state, None)
    if state == "broken":
        assert [(each["row"], each["column"]) for each in found.errors] == [
            (row, column) for row, column, _ in said
        ]
        for each, (_, _, message) in zip(found.errors, said, strict=True):
            assert message in each["message"]
    else:
        assert said in found.problem
    assert tuple(kept(office)) == (1, 0, 0)


def test_files_that_are_none_are_refused_at_once(office):
    for content, said in ((b"", "not empty"), (b"x" * (MOST_BYTES + 1), "too large")):
        with pytest.raises(SheetRefused, match=said):
            send(office, content)
    assert tuple(kept(office)) == (1, 0, 0)


def test_a_worker_that_died_is_replaced_and_one_at_work_is_left_alone(office):
    sheet_id = send(office, write_sheet([replace(PHONE, amount=Decimal(5))]))
    take(office, NOW)
    assert read(office, NOW + timedelta(minutes=4)) == 0
    assert read(office, NOW + timedelta(minutes=6)) == 1
    assert sheet(office, sheet_id).state == "drafted"


def take(region, at):
    """Begin to read the next file as a worker that dies then."""
    return rate_uploads._take(region.engine, region.tenants["city"], at)


@pytest.mark.parametrize("other_is_done", [True, False])
@pytest.mark.parametrize("content", [write_sheet([replace(PHONE, amount=Decimal(5))]), b"none"])
def test_a_worker_that_was_slow_writes_nothing_of_what_another_has(office, content, other_is_done):
    sheet_id = send(office, content)
    slow = take(office, NOW)
    later = NOW + timedelta(minutes=6)
    if other_is_done:
        assert read(office, later) == 1
    else:
        take(office, later)
    before = tuple(sheet(office, sheet_id)), tuple(kept(office))
    with pytest.raises(rate_uploads._Lost):
        rate_uploads._read(office.engine, slow, lambda: later + timedelta(seconds=1))
    assert (tuple(sheet(office, sheet_id)), tuple(kept(office))) == before


def test_a_worker_that_lost_its_file_while_it_read_goes_on_with_the_next(office, monkeypatch):
    monkeypatch.setattr(rate_sheets, "STEP", 1)
    first = send(office, write_sheet([replace(PHONE, amount=Decimal(5))]))
    second = send(office, write_sheet([replace(PHONE, amount=Decimal(6))]))
    original = rate_uploads.read_sheet

    def slowly(*args):
        monkeypatch.setattr(rate_uploads, "read_sheet", original)
        take(office, NOW + timedelta(minutes=6))
        return original(*args)

    monkeypatch.setattr(rate_uploads, "read_sheet", slowly)
    assert read(office) == 2
    assert sheet(office, first).state == "reading"
    assert sheet(office, second).state == "drafted"


def test_a_file_at_which_every_worker_dies_is_not_begun_for_ever(office):
    deadly = send(office, write_sheet([replace(PHONE, amount=Decimal(5))]))
    for times in range(3):
        assert take(office, NOW + timedelta(minutes=6 * times)).sheet.id == deadly
    good = send(office, write_sheet([replace(PHONE, amount=Decimal(6))]))
    assert read(office, NOW + timedelta(minutes=18)) == 1
    found = sheet(office, deadly)
    assert (found.state, found.problem) == ("refused", rate_uploads.TOO_OFTEN)
    assert sheet(office, good).state == "drafted"
    assert kept(office)[2] == 0


@pytest.mark.parametrize("how", ["role", "left", "disabled"])
def test_who_may_not_change_rates_any_more_drafts_nothing(office, how):
    sheet_id = send(office, write_sheet([replace(PHONE, amount=Decimal(5))]))
    with office.of("city") as session:
        if how == "role":
            session.execute(text("UPDATE memberships SET roles = '{auditor}'"))
        elif how == "left":
            session.execute(text("UPDATE memberships SET ended_at = now()"))
        else:
            disable_person(session, person_id=office.preparer, now=NOW)
    assert read(office) == 1
    found = sheet(office, sheet_id)
    assert (found.state, found.proposal_id) == ("refused", None)
    assert "may not change rates any more" in found.problem
    assert tuple(kept(office)) == (1, 0, 0)


def test_a_mistake_of_ours_refuses_the_file_and_stops_nobody(office, monkeypatch):
    first = send(office, write_sheet([replace(PHONE, amount=Decimal(5))]))
    second = send(office, write_sheet([replace(PHONE, amount=Decimal(6))]))
    original = rate_uploads.read_sheet

    def once(*args):
        monkeypatch.setattr(rate_uploads, "read_sheet", original)
        raise RuntimeError("Ana Q, 503-555-0100")

    monkeypatch.setattr(rate_uploads, "read_sheet", once)
    assert read(office) == 2
    assert sheet(office, first).problem == rate_uploads.NOT_UNDERSTOOD
    assert sheet(office, second).state == "drafted"
