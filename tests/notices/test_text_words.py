"""Notices as texts: the parts that they take, what is cut so that they fit, what may be said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.errors import InvalidInput
from regional311.locale.sentences import in_language
from regional311.notices.phones import texted
from regional311.notices.segments import plain, segments
from regional311.notices.service import STATES, TO_PEOPLE, with_fragments
from regional311.notices.texts import HOW_TO_STOP, LINKED_BEFORE, MORE, SHORT, below, fit
from regional311.notices.wording import LANGUAGES, Words, check, places

LINK = "https://311.example.org/track/" + "x" * 22
SAID = "Hemos reparado la farola de la esquina. Gracias por avisarnos; llame si se apaga. " * 6


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 0),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("ñ¿é" * 53, 1),
        ("í" * 70, 1),
        ("í" * 134, 2),
        ("街" * 135, 3),
        ("[" * 80, 1),
        ("[" * 81, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
def test_parts_are_counted_as_telephones_do(text, parts):
    assert segments(text) == parts


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", sorted(SHORT))
def test_the_usual_words_take_two_parts_with_how_to_stop(event, language):
    """However much was said, with a link and the longest words for how far it is."""
    line, more = in_language(HOW_TO_STOP, language), in_language(MORE, language)
    assert language == "en" or (line, more) != (HOW_TO_STOP, MORE)
    state = max((in_language(each, language) for each in STATES.values()), key=len)
    # requests that somebody filed have their link in the first text; the others in each
    address = LINK if event not in LINKED_BEFORE else ""
    if event.startswith("me_too"):
        state = in_language(STATES["in_progress"], language)
    for said in ("", SAID, "街" * 500):
        values = with_fragments(
            {"partner": "City of Portland", "number": "R-7K3M9-QP4TX", "state": state}
            | {"message": said},
            language=language,
            expected_on="2026-11-03",
            address=address,
            translate=in_language,
            channel="text",
        )
        words = in_language(SHORT[event], language)
        whole = fit(words, values, more=more)
        for withhold in (False, True):
            text = fit(words, values, room_for=line, more=more, withhold=withhold)
            assert segments(below(text, line)) <= 2, text
            assert address in text
            assert "\n\n" not in text
            if "{number}" in SHORT[event]:
                assert "R-7K3M9-QP4TX" in text
            if event in LINKED_BEFORE:
                assert text.endswith(more) == bool(said), text
            else:
                assert more not in text
            if withhold and said:
                assert said[:4] not in text
                assert "..." not in text
        assert said[:4] in whole or "{message}" not in words


def test_what_fits_says_nothing_of_a_link():
    values = {"number": "R-1", "message": "We have repaired it."}
    said = fit("{number}: {message}", values, room_for="STOP", more=MORE)
    assert said == "R-1: We have repaired it."
    kept = fit("{number}: {message}", values, room_for="STOP", more=MORE, withhold=True)
    assert kept == f"R-1:\n{MORE}"


@given(st.text(max_size=600), st.sampled_from(["", LINK]))
def test_only_what_was_said_is_cut(said, link):
    values = {"number": "R-1", "message": said, "link": link, "expected": "Soon. "}
    text = fit("{number}: {message} {link} {expected}", values, room_for="STOP")
    assert text.startswith("R-1:")
    assert link in text
    assert segments(below(text, "STOP")) <= 2
    whole = fit("{number}: {message}", {**values, "expected": ""}, room_for="STOP")
    begun = whole.removeprefix("R-1:").strip()
    flat = "\n".join(filter(None, (" ".join(each.split()) for each in plain(said).splitlines())))
    assert begun == flat.strip() or flat.startswith(begun.removesuffix("...").rstrip())


def test_a_place_in_what_was_said_is_not_read():
    assert fit("{number}: {message}", {"number": "R-1", "message": "{number}"}) == "R-1: {number}"


def test_texts_are_told_of_what_people_are_told():
    assert set(SHORT) <= TO_PEOPLE
    for body in SHORT.values():
        check(Words("", body), Words("", body))
        assert "service" not in places(Words("", body))


@pytest.mark.parametrize(
    ("heading", "body", "field", "says"),
    [
        ("News", "{number} {message} {link}", "heading", "has no subject"),
        ("", "{number} {message}", "body", "needs {link}"),
        ("", "{service} {message} {link}", "body", "There is no {service}"),
        ("", "{message} {link} " + "í" * 134, "body", "at most 2 parts"),
        ("", "{message} {link} " + "a" * 310, "body", "at most 2 parts"),
        ("", " ", "body", "Write a text"),
    ],
)
def test_what_could_not_be_sent_is_one_clear_error(heading, body, field, says):
    standard = Words("", SHORT["request_closed"])
    with pytest.raises(InvalidInput, match=says.replace("{", r"\{")) as refused:
        check(Words(heading, body), standard)
    assert refused.value.field == field


@given(st.text(max_size=80))
def test_whatever_is_typed_is_a_number_or_none(typed):
    found = texted(typed)
    assert found is None or (found.startswith("+1") and len(found) == 12)
    assert found is None or texted(found) == found
