"""A partner's own words in messages: what may stand in them, and that nothing else is read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import configure_mappers

from regional311.database.ids import new_id
from regional311.errors import InvalidInput
from regional311.notices.service import TEXTS, TO_PEOPLE, outbox_row
from regional311.notices.wording import LONGEST_BODY, Words, check, fill, places

NOW = datetime(2026, 10, 5, 17, 0, tzinfo=UTC)
STANDARD = Words(*TEXTS["request_closed"])
GOOD = Words("{number} is done", "{partner}: {message}\n\n{link}")


@pytest.mark.parametrize("event", sorted(TEXTS))
def test_the_usual_words_may_be_said(event):
    check(Words(*TEXTS[event]), Words(*TEXTS[event]))


@pytest.mark.parametrize(
    ("heading", "body", "field", "says"),
    [
        ("", GOOD.body, "heading", "Write a subject"),
        ("x" * 151, GOOD.body, "heading", "at most 150"),
        ("Done\r\nBcc: all@example.org", GOOD.body, "heading", "one line"),
        (GOOD.heading, "", "body", "Write a text"),
        (GOOD.heading, "x" * (LONGEST_BODY + 1), "body", "at most 4000"),
        (GOOD.heading, "{message} {link} {who}", "body", "There is no {who}"),
        (GOOD.heading, "{message}", "body", "needs {link}"),
        (GOOD.heading, "{link}", "body", "needs {message}"),
        (GOOD.heading, "{message} {link} {number.__class__}", "body", "Braces stand only"),
        (GOOD.heading, "{message} {link} {0}", "body", "Braces stand only"),
        (GOOD.heading, "{message} {link} {number!r:>9}", "body", "Braces stand only"),
        (GOOD.heading, "{message} {link} {", "body", "Braces stand only"),
        ("{expected}", GOOD.body, "heading", "There is no {expected}"),
    ],
)
def test_what_could_not_be_sent_is_one_clear_error(heading, body, field, says):
    with pytest.raises(InvalidInput, match=says.replace("{", r"\{")) as refused:
        check(Words(heading, body), STANDARD)
    assert refused.value.field == field


@given(st.text(), st.dictionaries(st.sampled_from(["number", "link"]), st.text()))
def test_filling_reads_nothing_but_names(text, values):
    """Whatever stands in a text or a value, it is copied, never evaluated."""
    filled = fill(text, values)
    if not any(f"{{{name}}}" in text for name in values):
        assert filled == text
    assert fill("{number}", {"number": text}) == text


def test_places_are_those_of_the_usual_text():
    assert places(STANDARD) == ("number", "partner", "message", "link")


def test_a_message_has_the_partners_words_where_there_are_some():
    configure_mappers()
    city, county = new_id(), new_id()

    def wording(tenant_id, event, language, _channel):
        asked = (tenant_id, event, language)
        return GOOD if asked == (city, "request_closed", "es") else None

    def written(tenant_id, language):
        return outbox_row(
            tenant_id,
            event="request_closed",
            recipient="ana@example.org",
            language=language,
            now=NOW,
            values={"number": "R-1", "partner": "Portland", "message": "{link} {number}"},
            address="https://311.example/track/x",
            wording=wording,
        )

    own = written(city, "es")
    assert own.heading == "R-1 is done"
    # what a person wrote is never read as a place
    assert own.body == "Portland: {link} {number}\n\nFollow it here: https://311.example/track/x\n"
    assert written(city, "en").heading == "Your request R-1 is closed"
    assert written(county, "es").heading == "Your request R-1 is closed"


def test_only_messages_to_people_are_worded():
    assert not TO_PEOPLE - set(TEXTS)
    with pytest.raises(InvalidInput):
        check(Words("a", "b"), Words(*TEXTS["referral_sent"]))
