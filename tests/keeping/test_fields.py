"""Fields of an entry as text, both ways."""

import doctest
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog.articles import Article
from regional311.catalog.content import (
    DispositionEntry,
    Document,
    Location,
    Organization,
    Service,
    ServiceWords,
)
from regional311.keeping import fields
from regional311.keeping.fields import (
    FIELDS,
    FieldRefused,
    has_words,
    kind_of,
    read_week,
    text_of,
    week_text,
    with_text,
)
from regional311.strict import Week, canonical

SERVICE = Service(
    key="food-box",
    name="Food box",
    summary="A box of groceries.",
    verb="request",
    bureau="help",
    term="food-box",
    group="Food",
    phone="503-555-0100",
    keywords=("groceries", "food"),
    hours=Week(mon=("09:00-12:00",), tue=("09:00-12:00",)),
    document=(Document(name="Any letter", website="https://letter.example"),),
    disposition=(DispositionEntry(kind="refer", valid_from=date(2026, 1, 1)),),
    translation=(
        ServiceWords(
            language="es", name="Caja de comida", summary="Una caja.", documents=("Una carta",)
        ),
    ),
)
PLACE = Location(key="hall", name="Hall", address="1 Main Street", city="Example")


def test_the_examples_hold():
    assert doctest.testmod(fields).failed == 0


def test_every_field_is_one_of_its_model_or_a_note():
    models = {
        "service": Service,
        "location": Location,
        "organization": Organization,
        "article": Article,
    }
    for kind, names in FIELDS.items():
        for name, how in names.items():
            assert how == "note" or name in models[kind].model_fields


def test_a_line_a_text_a_list_and_hours_are_read_and_written():
    assert text_of(canonical(SERVICE), "phone") == "503-555-0100"
    changed = with_text(SERVICE, "phone", " 503-555-0199\n")
    assert changed.phone == "503-555-0199"
    assert changed.model_copy(update={"phone": SERVICE.phone}) == SERVICE
    assert text_of(canonical(SERVICE), "keywords") == "groceries\nfood"
    assert with_text(SERVICE, "keywords", "food\n\n bread ").keywords == ("food", "bread")
    assert text_of(canonical(SERVICE), "hours") == "mon-tue 09:00-12:00"
    assert with_text(SERVICE, "hours", "Mon - Wed: 9-12, 13-17\nsaturday 10:00-14:00").hours == (
        Week(
            mon=("09:00-12:00", "13:00-17:00"),
            tue=("09:00-12:00", "13:00-17:00"),
            wed=("09:00-12:00", "13:00-17:00"),
            sat=("10:00-14:00",),
        )
    )
    assert with_text(PLACE, "address", "2 Main Street").address == "2 Main Street"


def test_a_document_keeps_its_address_by_its_name():
    changed = with_text(SERVICE, "document", "Any letter\nA photo")
    assert changed.document == (*SERVICE.document, Document(name="A photo"))


def test_an_optional_field_is_taken_away_and_a_needed_one_is_not():
    assert with_text(SERVICE, "phone", "").phone is None
    assert with_text(SERVICE, "hours", "").hours is None
    with pytest.raises(FieldRefused, match="cannot be left empty"):
        with_text(SERVICE, "name", " ")


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("phone", "call Rosa", "telephone number in digits"),
        ("email", "rosa at example", "e-mail address such as"),
        ("website", "javascript:alert(1)", "begins with https"),
        ("name", "x" * 201, "at most 200 characters"),
        ("hours", "closed on Mondays", "is not a line of hours"),
        ("hours", "mon 17:00-08:00", "is not after"),
        ("hours", "mon 8-12\nmon 13-17", "mon is there twice"),
        ("hours", "fri-mon 8-12", "is not a line of hours"),
        ("hours", "mon 25:00-26:00", "is not a span of hours"),
        ("place", "Next door", "cannot be corrected by itself"),
        ("disposition", "resolve", "cannot be corrected by itself"),
    ],
)
def test_what_a_field_cannot_say_is_refused_in_a_sentence(field, text, told):
    with pytest.raises(FieldRefused, match=told) as refused:
        with_text(SERVICE, field, text)
    assert refused.value.field == "text"


def test_markup_is_text_like_any_other():
    text = "<script>alert(1)</script> & more"
    assert with_text(SERVICE, "summary", text).summary == text


def test_a_translation_is_changed_without_the_rest():
    said = canonical(SERVICE)
    assert text_of(said, "name", "es") == "Caja de comida"
    assert text_of(said, "document", "es") == "Una carta"
    assert text_of(said, "name", "ru") == ""
    changed = with_text(SERVICE, "summary", "Una caja de comida.", "es")
    assert changed.summary == SERVICE.summary
    assert changed.translation[0].summary == "Una caja de comida."
    assert with_text(SERVICE, "document", "Una foto", "es").translation[0].documents == (
        "Una foto",
    )
    with pytest.raises(FieldRefused, match="no such translation"):
        with_text(SERVICE, "name", "Коробка", "ru")
    with pytest.raises(FieldRefused, match="no such translation"):
        with_text(SERVICE, "phone", "503-555-0199", "es")
    assert has_words("service", "summary")
    assert not has_words("service", "phone")
    assert has_words("article", "text")
    assert not has_words("location", "name")


def test_articles_and_organisations_are_corrected_the_same_way():
    article = Article.model_validate(
        {
            "key": "bins",
            "kind": "answer",
            "title": "Which bin?",
            "text": "The *blue* one.",
            "translation": ({"language": "es", "title": "¿Cuál?", "text": "El azul."},),
        }
    )
    changed = with_text(article, "text", "The **green** one.")
    assert (changed.text, changed.title) == ("The **green** one.", "Which bin?")
    assert with_text(article, "text", "El verde.", "es").translation[0].text == "El verde."
    body = Organization(key="pantry", name="Pantry", description="Food.")
    assert with_text(body, "website", "https://pantry.example").website == "https://pantry.example"
    with pytest.raises(FieldRefused, match="open the entry"):
        with_text(body, "phone", "503-555-0100")


def test_unknown_kinds_and_fields_are_none():
    assert kind_of("service", "disposition") is None
    assert kind_of("bureau", "name") is None


SPANS = st.tuples(st.integers(0, 22), st.integers(1, 23)).filter(lambda each: each[0] < each[1])
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")


@given(st.dictionaries(st.sampled_from(DAYS), SPANS.map(lambda each: [each])))
def test_hours_are_read_as_they_are_written(week):
    said = {day: [f"{a:02d}:00-{b:02d}:30" for a, b in spans] for day, spans in week.items()}
    assert read_week(week_text(said)) == said


@given(st.text())
def test_no_text_breaks_reading_hours(text):
    with suppress(FieldRefused):
        assert set(read_week(text)) <= set(DAYS)
