"""Services as rows of a sheet: lossless out and in, and every wrong cell named."""

from __future__ import annotations

import doctest
import io
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from regional311 import spreadsheets
from regional311.catalog import sheets
from regional311.catalog.checks import Known
from regional311.catalog.sheets import (
    COLUMNS,
    LISTS,
    MOST_BYTES,
    MOST_ROWS,
    TITLE,
    Sheet,
    Standing,
    altered,
    compare,
    headings,
    read_sheet,
    written,
)
from regional311.errors import InvalidInput
from regional311.spreadsheets import SheetRefused, read_table, write_csv, write_xlsx

KNOWN = Known(
    bureaus={"pbot", "parks"},
    queues=set(),
    boundaries=set(),
    locations={"hall", "church"},
    organizations=set(),
)
SERVICE: dict[str, Any] = {
    "key": "tools",
    "name": "Tool library",
    "summary": "Tools to borrow.\nFor a week | or two.",
    "verb": "request",
    "bureau": "pbot",
    "term": "tools",
    "group": "Home",
    "keywords": ["drill", "=saw", "-ladder"],
    "hours": {"mon": ["08:00-17:00"], "tue": ["08:00-17:00"]},
    "phone": "+1 503 823 4000",
    "minimum_age": 16,
    "confidential": True,
    "disposition": [
        {"valid_from": "2026-01-01", "valid_to": "2027-01-01", "kind": "resolve", "note": "Plan"},
        {"valid_from": "2027-01-01", "valid_to": "2028-01-01", "kind": "refer"},
    ],
    "document": [{"name": "Proof | of address", "website": "https://example.org/a"}],
    "cost": [{"option": "Adults", "amount": "25.00", "details": "A year"}, {"option": "Others"}],
    "location": [{"location": "hall", "note": "Ring", "hours": {"sat": ["09:00-12:00"]}}],
    "question": [{"key": "which", "label": "Which tool?", "kind": "text"}],
    "translation": [
        {
            "language": "es",
            "name": "Herramientas",
            "summary": "Para llevar.",
            "keywords": ["taladro"],
        }
    ],
}
NAMES = headings(["es", "vi"])
STANDING = {"tools": Standing(3, SERVICE)}


def table(*services: dict[str, Any], names: Any = NAMES) -> list[list[Any]]:
    return [list(names), *(written(each, 3, names) for each in services)]


def through(form: str, rows: list[list[Any]]) -> Sheet:
    """Write a table as a file and read it."""
    write = write_csv if form == "csv" else lambda *each: write_xlsx(TITLE, *each)
    content = write(rows[0], rows[1:])
    return read_sheet(read_table(content, sheet=TITLE, most_bytes=MOST_BYTES, most_rows=MOST_ROWS))


def test_docstring_examples_hold() -> None:
    assert doctest.testmod(sheets).failed == 0
    assert doctest.testmod(spreadsheets).failed == 0


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_sheet_that_comes_back_as_it_went_changes_nothing(form: str) -> None:
    found = compare(through(form, table(SERVICE)), STANDING, KNOWN)
    assert (found.same, found.new, found.changed, found.gone, found.broken) == (1, (), (), (), ())


def test_the_same_services_give_the_same_bytes() -> None:
    rows = table(SERVICE)
    assert write_xlsx(TITLE, rows[0], rows[1:]) == write_xlsx(TITLE, rows[0], rows[1:])
    assert b"'=saw" not in write_csv(rows[0], rows[1:])


def test_what_looks_like_a_formula_goes_out_as_text() -> None:
    said = {**SERVICE, "fee": "=1+1", "wait": "-2 days", "alert": "@here"}
    rows = table(said)
    text = write_csv(rows[0], rows[1:]).decode()
    for cell in ("'=1+1", "'-2 days", "'@here", "'+1 503"):
        assert cell in text
    book = load_workbook(io.BytesIO(write_xlsx(TITLE, rows[0], rows[1:])))
    assert {cell.data_type for cell in book[TITLE][2]} <= {"s", "n"}
    assert compare(through("csv", rows), {"tools": Standing(3, said)}, KNOWN).same == 1


def change(rows: list[list[Any]], **cells: Any) -> list[list[Any]]:
    for name, value in cells.items():
        rows[1][rows[0].index(name.replace("__", "."))] = value
    return rows


def test_changed_cells_are_read_as_people_write_them() -> None:
    rows = change(
        table(SERVICE),
        hours="mon-fri 9am-5pm; sat closed",
        disposition="2026-01-01 | resolve | Plan\n2027-01-01 | refer\n2027-07-01 | resolve",
        cost="Adults | $1,030\nChildren | 0",
        document="Proof of address\nA deposit | https://example.org/b",
        location="church\nhall",
        confidential="no",
        minimum_age="",
        es__keywords="taladro\nsierra",
        vi__name="Dụng cụ",
        vi__summary="Mượn dụng cụ.",
    )
    (found,) = compare(through("csv", rows), STANDING, KNOWN).changed
    said = found.content
    assert found.seen == 3
    assert said["hours"] == {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
    assert [(each["valid_from"], each.get("valid_to")) for each in said["disposition"]] == [
        ("2026-01-01", "2027-01-01"),
        ("2027-01-01", "2027-07-01"),
        ("2027-07-01", None),
    ]
    assert said["cost"] == [
        {"option": "Adults", "amount": "1030.00"},
        {"option": "Children", "amount": "0.00"},
    ]
    assert said["document"][1] == {"name": "A deposit", "website": "https://example.org/b"}
    assert said["location"] == [{"location": "church"}, SERVICE["location"][0]]
    assert "confidential" not in said
    assert "minimum_age" not in said
    assert [each["language"] for each in said["translation"]] == ["es", "vi"]
    assert said["translation"][0]["keywords"] == ["taladro", "sierra"]
    assert said["question"] == SERVICE["question"]


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("name", "", "is missing"),
        ("verb", "sing", "is not one of"),
        ("hours", "mon 9-5", "ends before it begins"),
        ("minimum_age", "16.5", "is not a whole number"),
        ("confidential", "maybe", "neither yes nor no"),
        ("disposition", "soon | refer", "must be a day"),
        ("disposition", "2027-01-01", "must be a day"),
        ("cost", "Adults | cheap", "not an amount"),
        ("phone", "call us", "is not a telephone number"),
        ("bureau", "pbott", "did you mean pbot"),
        ("location", "halls", "there is no location halls"),
        ("version", "77", "there is no version 77"),
        ("version", "x", "there is no version x"),
        ("key", "", "fill this in"),
        ("fee", "=HYPERLINK(1)", "a formula cannot be taken in"),
        ("es.summary", "", "is missing"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_every_wrong_cell_is_named_by_row_and_column(
    form: str, column: str, value: str, why: str
) -> None:
    rows = change(table(SERVICE), **{column.replace(".", "__"): value})
    if form == "xlsx" and value.startswith("="):
        book = Workbook()
        for row in rows:
            book.active.append(row)
        saved = io.BytesIO()
        book.save(saved)
        sheet = read_sheet(
            read_table(saved.getvalue(), sheet=TITLE, most_bytes=MOST_BYTES, most_rows=9)
        )
    elif value.startswith("="):
        plain = write_csv(rows[0], rows[1:]).replace(b"'=HYPER", b"=HYPER")
        sheet = read_sheet(read_table(plain, sheet=TITLE, most_bytes=MOST_BYTES, most_rows=9))
    else:
        sheet = through(form, rows)
    found = compare(sheet, STANDING, KNOWN)
    assert [(each.row, each.column) for each in found.broken] == [(2, column)]
    assert why in found.broken[0].message
    assert (found.new, found.changed) == ((), ())


def test_new_changed_gone_and_broken_rows_are_told_apart() -> None:
    other = {**SERVICE, "key": "paint", "name": "Paint"}
    rows = table(SERVICE, {**other, "name": "Paints"}, {**other, "key": "wood"}, other)
    rows[4][0] = "paint"
    rows.append([None] * len(rows[0]))
    standing = {**STANDING, "paint": Standing(3, other), "glass": Standing(1, other)}
    standing["old"] = Standing(1, other, ended=True)
    found = compare(through("csv", rows), standing, KNOWN)
    assert [each.key for each in found.new] == ["wood"]
    assert [(each.row, each.key) for each in found.changed] == [(3, "paint")]
    assert (found.same, found.gone) == (1, ("glass",))
    assert [(each.row, each.column, each.message) for each in found.broken] == [
        (5, "key", "row 3 has this key already")
    ]
    assert found.rows_broken == 1


def test_what_others_changed_since_is_merged_and_the_same_field_is_told() -> None:
    now = {**SERVICE, "wait": "A week", "fee": "$1"}
    standing = {"tools": Standing(4, now, older={3: SERVICE})}
    rows = change(table(SERVICE), group="Garden")
    (found,) = compare(through("csv", rows), standing, KNOWN).changed
    assert found.overlaps == ()
    assert (found.after["group"], found.after["wait"]) == ("Garden", "A week")
    rows = change(table(SERVICE), fee="Free")
    (found,) = compare(through("csv", rows), standing, KNOWN).changed
    assert [each.field for each in found.overlaps] == ["fee"]


def test_columns_may_be_left_out_and_moved() -> None:
    rows = [["name", "key"], ["Tools", "tools"]]
    (found,) = compare(through("csv", rows), STANDING, KNOWN).changed
    assert found.content == {**SERVICE, "name": "Tools"}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([["key", "nam"], ["a", "b"]], "there is no column 'nam'; did you mean name"),
        ([["key", "name", "name"], ["a", "b", "c"]], "column 3: name is there twice"),
        ([["name"], ["a"]], "the column key is missing"),
        ([["key", "name"]], "no rows below its headings"),
    ],
)
def test_wrong_headings_are_named(rows: list[list[str]], why: str) -> None:
    with pytest.raises(SheetRefused, match=why):
        through("csv", rows)


def test_a_cell_beyond_the_last_column_is_named() -> None:
    found = compare(read_sheet([["key", "name"], ["tools", "Tools", "?"]]), STANDING, KNOWN)
    assert [(each.row, each.column) for each in found.broken] == [(2, "?")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("key,name\na,José".encode("cp1252"), "Line 2: the file is not in UTF-8"),
        ("key,name\na,b".encode("utf-16"), "UTF-16"),
        (b"\xd0\xcf\x11\xe0rest", "old Excel"),
        (b"key,name\na,\0", "neither XLSX nor CSV"),
        (b'key,name\n"a', "not CSV"),
        (b"PK\x03\x04nothing", "not an XLSX workbook"),
        (b"x" * 101, "larger than 100 bytes"),
        (b"key\n" + b"a\n" * 9, "at most 5 rows"),
    ],
)
def test_files_that_cannot_be_read_are_refused_in_a_sentence(content: bytes, why: str) -> None:
    with pytest.raises(SheetRefused, match=why):
        read_table(content, sheet=TITLE, most_bytes=100, most_rows=5)


def test_a_workbook_that_unpacks_to_too_much_is_refused() -> None:
    content = write_xlsx(TITLE, ["key"], [[f"{number}{'a' * 9000}"] for number in range(90)])
    with pytest.raises(SheetRefused, match="too large when unpacked"):
        read_table(content, sheet=TITLE, most_bytes=len(content), most_rows=100)


def test_a_semicolon_may_part_columns() -> None:
    content = "\ufeffkey;name\r\ntools;Tools, and more\r\n".encode()
    sheet = read_sheet(read_table(content, sheet=TITLE, most_bytes=900, most_rows=5))
    assert sheet.rows == ((2, {"key": "tools", "name": "Tools, and more"}),)
    assert Sheet.of_plain(sheet.as_plain()) == sheet


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Zl", "Zp", "Zs"]),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@example(fields={"fee": "=1+1"}, form="xlsx")
@example(fields={"fee": "="}, form="csv")
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "fee": TEXT,
            "alert": TEXT,
            "information": TEXT,
            "keywords": st.lists(TEXT, min_size=1, max_size=3, unique=True),
            "document": st.lists(st.fixed_dictionaries({"name": TEXT}), min_size=1, max_size=3),
            "cost": st.lists(st.fixed_dictionaries({"option": TEXT}), min_size=1, max_size=3),
        },
    ),
    form=st.sampled_from(["csv", "xlsx"]),
)
def test_any_words_come_back_as_they_went(fields: dict[str, Any], form: str) -> None:
    said = {**SERVICE, **fields}
    found = compare(through(form, table(said)), {"tools": Standing(3, said)}, KNOWN)
    assert (found.same, found.broken) == (1, ())


# --- one change of several ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "how", "value", "find", "made"),
    [
        ("bureau", "set", "parks", "", "parks"),
        ("phone", "set", "", "", None),
        ("phone", "replace", "823 4001", "823 4000", "+1 503 823 4001"),
        ("keywords", "add", "DRILL\nhammer", "", ["=saw", "-ladder", "DRILL", "hammer"]),
        ("keywords", "add", "Drill", "", ["drill", "=saw", "-ladder"]),
        ("keywords", "remove", "drill\n=SAW", "", ["-ladder"]),
        ("channels", "set", "phone\nweb", "", ["phone", "web"]),
        ("target_hours", "set", "24", "", 24),
    ],
)
def test_one_change_of_several(field: str, how: str, value: str, find: str, made: Any) -> None:
    assert altered(SERVICE, field, how, value, find).get(field) == made


def test_a_disposition_is_added_from_a_day_on() -> None:
    made = altered(SERVICE, "disposition", "add", "2027-06-01 | resolve")
    assert [each.get("valid_to") for each in made["disposition"]] == [
        "2027-01-01",
        "2027-06-01",
        None,
    ]


@pytest.mark.parametrize(
    ("field", "how", "value", "find", "why"),
    [
        ("bureau", "add", "parks", "", "lists only"),
        ("keywords", "add", " ", "", "write what is added"),
        ("fee", "replace", "a", "", "what is to be replaced"),
        ("minimum_age", "set", "old", "", "not a whole number"),
    ],
)
def test_a_change_that_cannot_be_made_says_why(
    field: str, how: str, value: str, find: str, why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        altered(SERVICE, field, how, value, find)


def test_every_column_is_explained_to_those_who_keep_a_catalogue() -> None:
    from tests.conftest import ROOT

    page = (ROOT / "docs/partners/catalogue.md").read_text(encoding="utf-8")
    for column in COLUMNS:
        assert f"| `{column.name}` |" in page
        assert column.meaning.replace("|", "\\|") in page
    assert {each.name for each in COLUMNS} > LISTS
