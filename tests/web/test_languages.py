"""Every word of the public pages is there in every language, and says what the original says."""

from __future__ import annotations

import re
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path

import pytest

from regional311.locale import catalogues
from regional311.web.i18n import LANGUAGE_NAMES

TEMPLATES = Path(catalogues.PACKAGE) / "web" / "templates"
PUBLIC = sorted(
    [
        *TEMPLATES.glob("public/*.jinja2"),
        *TEMPLATES.glob("errors/*.jinja2"),
        *TEMPLATES.glob("auth/*.jinja2"),
        *TEMPLATES.glob("suggestions/field*.jinja2"),
        *(TEMPLATES / f"home/{name}.jinja2" for name in ("landing", "partner", "door", "follow")),
        TEMPLATES / "layout.jinja2",
        TEMPLATES / "macros/spoken.jinja2",
        TEMPLATES / "macros/page.jinja2",
    ]
)
FILES = {path.parent.parent.name: path for path in catalogues.files("po")}
PLACES = re.compile(r"\$\{\w+\}|%\(\w+\)s|(?<![$%])\{\w+\}")
SAME = {"Regional 311", "TTY", "fax", "No", "video", "Error:", "Error %(status)s"}
"""What may be the same in another language."""


def template():
    return {message.id: message for message in catalogues.extracted() if message.id}


def test_all_four_languages_are_there():
    assert set(FILES) == {"es", "vi", "zh_Hant", "ru"}
    assert {"en", *(name.replace("_", "-") for name in FILES)} == set(LANGUAGE_NAMES)


@pytest.mark.parametrize("language", FILES)
def test_everything_that_the_public_pages_say_is_translated(language):
    catalogue = catalogues.read(FILES[language])
    there = {message.id: message for message in catalogue if message.id}
    wanted = template()
    assert sorted(map(str, set(wanted) - set(there))) == [], "run: make languages, and translate"
    assert sorted(map(str, set(there) - set(wanted))) == [], "no longer said: make languages"
    empty = [
        key
        for key, message in there.items()
        if message.fuzzy or not all(forms(message)) or not forms(message)
    ]
    assert empty == []


def test_a_table_that_was_renamed_is_missed_at_once():
    source = BytesIO(b'OPENINGS = {"a": "Hello."}\n')
    with pytest.raises(LookupError, match="names tables that are not there: SAYS"):
        list(catalogues.extract_tables(source, (), (), {"names": "OPENINGS SAYS"}))


def forms(message) -> list[str]:
    found = message.string
    return list(found) if isinstance(found, (tuple, list)) else [found]


@pytest.mark.parametrize("language", FILES)
def test_placeholders_and_plurals_agree(language):
    catalogue = catalogues.read(FILES[language])
    for message in catalogue:
        if not message.id:
            continue
        said = list(message.id) if message.pluralizable else [message.id]
        translated = forms(message)
        assert len(translated) == (catalogue.num_plurals if message.pluralizable else 1), message.id
        places = [set(PLACES.findall(each)) for each in said]
        for each in translated:
            # a singular may leave its number out where the original does
            assert set.intersection(*places) <= set(PLACES.findall(each)) <= set.union(*places)
            # a line break at either end is part of how texts are put together
            assert each.endswith("\n") == said[0].endswith("\n"), message.id
            assert each == each.strip(" "), message.id
        assert not list(message.check(catalogue)), message.id


@pytest.mark.parametrize("language", FILES)
def test_nothing_was_left_in_english(language):
    for message in catalogues.read(FILES[language]):
        if message.id and not message.pluralizable and message.id not in SAME:
            words = re.sub(PLACES, "", message.id)
            if re.search(r"[a-zA-Z]{3}", words):
                assert message.string != message.id


@pytest.mark.parametrize("language", FILES)
def test_the_compiled_catalogue_says_the_same(language):
    assert catalogues.compile_catalogues() == []
    with FILES[language].with_suffix(".mo").open("rb") as file:
        compiled = GNUTranslations(file)
    for message in catalogues.read(FILES[language]):
        if not message.id:
            continue
        if message.pluralizable:
            for number in (1, 2, 5, 21):
                assert compiled.ngettext(*message.id, number) in message.string
        else:
            assert compiled.gettext(message.id) == message.string


def test_a_catalogue_that_changed_is_compiled_again(tmp_path):
    made = tmp_path / "es" / "LC_MESSAGES" / "regional311.po"
    made.parent.mkdir(parents=True)
    made.write_bytes(FILES["es"].read_bytes())
    assert catalogues.compile_catalogues(tmp_path) == [made.with_suffix(".mo")]
    assert catalogues.compile_catalogues(tmp_path) == []
    assert [each.name for each in made.parent.iterdir() if each.suffix == ".new"] == []


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.relative_to(TEMPLATES).as_posix())
def test_no_template_says_something_that_cannot_be_translated(path):
    source = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    bare = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", source, flags=re.DOTALL)
    for attribute in re.findall(r'\b(?:aria-label|title|placeholder|alt)="([^"]*)"', bare):
        assert not re.search(r"[A-Za-z]", attribute), attribute
    shown = re.sub(r'<[^>]*>|&\w+;|\blang=""', " ", bare)
    words = re.findall(r"[A-Za-z]{2,}", shown)
    assert words == []


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("es", "Una región, muchas instituciones"),
        ("vi", "Một vùng, nhiều đối tác"),
        ("zh-Hant", "一個地區、多個機構"),
        ("ru", "Один регион, много партнёров"),
    ],
)
def test_a_visitor_is_met_in_their_language(testapp, language, words):
    page = testapp.get("/", headers={"Accept-Language": f"{language},en;q=0.5"})
    assert page.html.html["lang"] == language
    assert words in page
    assert "Accept-Language" in page.headers["Vary"]
    asked = testapp.get(f"/?lang={language}")
    assert words in asked
    assert asked.html.select_one('nav a[aria-current="true"]')["lang"] == language
    assert words in testapp.get("/"), "the choice is remembered"
    testapp.get("/?lang=en")
    assert testapp.get("/").html.html["lang"] == "en"


def test_a_page_leads_to_itself_in_each_language(testapp):
    page = testapp.get("/search?q=pothole&lang=es")
    there = {each["lang"]: each["href"] for each in page.html.select("nav.r-languages a")}
    assert list(there) == list(LANGUAGE_NAMES)
    assert there["zh-Hant"] == "/search?q=pothole&lang=zh-Hant"
    found = testapp.get(there["ru"])
    assert "по запросу «pothole»" in found
    assert found.html.select_one("#question")["value"] == "pothole"


def test_errors_and_forms_speak_the_language(testapp):
    missing = testapp.get("/services/nobody?lang=es", status=404)
    assert "Aquí no hay tal página" in missing
    form = testapp.get("/report?service=city-of-portland/pothole").forms["screen"]
    assert "Elija una opción." in form.submit("submit", status=400)


def test_staff_pages_stay_english(sign_in):
    browser = sign_in("specialist", "city-of-portland")
    browser.set_cookie("language", "es")
    desk = browser.get("/city-of-portland/desk")
    assert desk.html.html["lang"] == "en"
    assert "Sign out" in desk
    assert desk.html.select_one("nav.r-languages") is None
    assert browser.get("/").html.html["lang"] == "es"
