"""Trees of terms and crosswalks as CSV: both layouts, and what is broken by row."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog.taxonomy import term_faults
from regional311.catalog.taxonomy_sheet import (
    MOST_BYTES,
    MOST_ROWS,
    SheetRefused,
    read_crosswalks,
    read_terms,
)

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "211"
OWN = """\
code,name,parent,description,name_es,name_zh-Hant
food,Food,,What people eat,Comida,食物
groceries,Groceries,food,,,
meals,Hot meals,food,,Comidas,
"""
LEVELS = """\
slug,level0:name_en,level0:name_es,level1:name_en,level1:name_es
kinds,Kinds,Clases
kinds:food,Kinds,Clases,Food,Comida
kinds:food:meals,Kinds,Clases,Food,Comida,Meals,Comidas
"""


def said(text: str):
    return read_terms(text.encode())


def broken(text: str) -> list[str]:
    return [str(each) for each in said(text).broken]


def test_our_own_layout():
    food, groceries, meals = said(OWN).entries
    assert (food.code, food.name, food.parent, food.description) == (
        "food",
        "Food",
        None,
        "What people eat",
    )
    assert {each.language: each.name for each in food.translation} == {
        "es": "Comida",
        "zh-Hant": "食物",
    }
    assert (groceries.parent, groceries.translation) == ("food", ())
    assert meals.name == "Hot meals"
    assert said(OWN).rows == (2, 3, 4)


def test_blanks_semicolons_tabs_and_a_byte_order_mark_do_not_matter():
    plain = said("code,name\nfood,Food\n")
    for text in (
        "code;name\n food ; Food \n\n",
        "code\tname\nfood\tFood\n",
        "\ufeffcode,name\nfood,Food",
    ):
        assert said(text).entries == plain.entries


def test_levels_that_go_on_beyond_their_headings():
    kinds, food, meals = said(LEVELS).entries
    assert [each.code for each in (kinds, food, meals)] == [
        "kinds",
        "kinds.food",
        "kinds.food.meals",
    ]
    assert (meals.name, meals.parent) == ("Meals", "kinds.food")
    assert meals.translation[0].name == "Comidas"


def test_a_language_that_is_none_here_is_left_out_and_said():
    sheet = said(LEVELS.replace("_es", "_he"))
    assert sheet.notes == ("Names in he were left out: not a language here.",)
    assert sheet.entries[0].translation == ()


def test_each_broken_row_is_named_and_the_rest_is_sound():
    text = (
        OWN
        + "food,Twice,,,,\n"
        + "br/ead,Bread,,,,\n"
        + ",Nameless,,,,\n"
        + "water,,,,,\n"
        + "tea,Tea,watr,,,\n"
        + "mint,Mint tea,tea,,,\n"
        + "one,One,two,,,\n"
        + "two,Two,one,,,\n"
        + "evil,=1+1,,,,\n"
        + "long,Long,,,,,,more\n"
    )
    assert broken(text) == [
        "row 5, code: food is used in row 2 already",
        (
            "row 6, code: br/ead is not a code: letters, digits, and between them dots, hyphens "
            "and underscores"
        ),
        "row 7, code: is missing",
        "row 8, name: is missing",
        "row 9, parent: there is no term watr",
        "row 10, parent: stands below tea, which is broken",
        "row 11, parent: is below itself: one below two below one",
        "row 12, parent: stands below one, which is broken",
        "row 13, name: is a formula to a spreadsheet; write its value",
        "row 14, row: has more cells than the first row names",
    ]
    assert [each.code for each in said(text).entries] == ["food", "groceries", "meals"]


def test_a_row_deeper_than_its_slug_is_broken():
    text = LEVELS + "kinds:other,Kinds,Clases,Other,Otro,Too deep,Muy hondo\n"
    assert broken(text) == ["row 5, slug: kinds:other is 2 deep, and the row names more"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no rows below"),
        (b"code,name\n", "no rows below"),
        (b"PK\x03\x04", "is a workbook"),
        (b"code,name\nf\xe9e,Caf\xe9\n", "Line 2 is not UTF-8"),
        (b"code,name\nfood,Fo\0od\n", "not text"),
        (b'code,name\nfood,"Food\n', "not CSV: line 2"),
        (b"kode,name\nfood,Food\n", "must name the column code; it names kode, name"),
        (b"code,name,parrent\nfood,Food,\n", "no column parrent here; did you mean parent"),
        (b"code,name,name\nfood,Food,\n", "column name is there twice"),
        (b"code,name,name_he\nfood,Food,x\n", "no column name_he"),
        (b"slug,level0:name_es\nfood,Comida\n", "level0:name_en"),
        (b"slug,level0:name_en,level0:name_en\nfood,Food,Food\n", None),
        (b"x" * (MOST_BYTES + 1), "larger than 5,000,000 bytes"),
        (b"code,name\n" + b"a,A\n" * (MOST_ROWS + 1), "more than 20,000 rows"),
    ],
)
def test_what_is_no_such_table_is_refused_in_a_sentence(content, told):
    if told is None:
        assert read_terms(content).entries
        return
    with pytest.raises(SheetRefused, match=told):
        read_terms(content)


def test_crosswalks():
    sheet = read_crosswalks(
        b"term,relation,other,note\n"
        b"region:food,narrower,open:food.meals,Same words\n"
        b"region:food,same,open:food\n"
        b"region:food,exact,region:meals\n"
        b"open:food.meals,broader,region:food\n"
        b"food,exact,open:food\n"
        b"region:food,exact,\n"
    )
    (only,) = sheet.entries
    assert (only.term, only.relation, only.other, only.note) == (
        "region:food",
        "narrower",
        "open:food.meals",
        "Same words",
    )
    assert [str(each) for each in sheet.broken] == [
        "row 3, relation: same is not one of exact, broader, narrower, related",
        "row 4, other: is of the same taxonomy; a crosswalk ties two",
        "row 5, term: ties what row 2 ties already",
        "row 6, term: food is not a term, such as region:food",
        "row 7, other: is missing",
    ]
    with pytest.raises(SheetRefused, match="must name the column relation"):
        read_crosswalks(b"term,other\na:b,c:d\n")


CODES = st.sampled_from(["a", "b", "c", "d", "e f", ""])


@given(st.lists(st.tuples(CODES, st.sampled_from(["A", "", "=A"]), CODES), min_size=1))
def test_what_is_taken_is_a_sound_tree_and_every_row_is_taken_or_broken(rows):
    text = "code,name,parent\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows)
    filled = [each for each in rows if any(each)]
    if not filled:
        return
    sheet = said(text)
    assert not list(term_faults(sheet.entries))
    lines = {*sheet.rows, *(each.row for each in sheet.broken)}
    assert len(lines) == len(filled)
    assert not set(sheet.rows) & {each.row for each in sheet.broken}


@given(st.binary(max_size=400))
def test_no_bytes_break_reading(content):
    for read in (read_terms, read_crosswalks):
        try:
            read(content)
        except SheetRefused as refused:
            told = refused.message
            assert told


@pytest.mark.parametrize(("name", "count"), [("services", 190), ("situations", 218)])
def test_open_eligibility_as_it_is_published(name, count):
    path = DATA / f"open_eligibility_kolzchut_{name}_en_he.csv"
    if not path.exists():
        pytest.skip("the published files are not beside the project")
    sheet = read_terms(path.read_bytes())
    assert (len(sheet.entries), sheet.broken) == (count, ())
    deepest = max(sheet.entries, key=lambda each: each.code.count("."))
    assert deepest.code.count(".") >= 3
    assert {each.parent for each in sheet.entries if "." not in each.code} == {None}
