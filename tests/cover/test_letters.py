"""Letters that leave in an emergency say so, in their reader's language and for its time only."""

from __future__ import annotations

from datetime import timedelta

import pytest

from regional311.cover import emergencies as service
from regional311.cover.letters import with_emergencies
from regional311.database.ids import new_id
from regional311.database.session import acting_for
from regional311.notices.delivery import Letter
from regional311.notices.service import TEXTS, TO_PEOPLE
from tests.cover.test_emergencies import NOW, STORM, begin
from tests.little_region import IDS


def letter(language: str, event: str = "request_received") -> Letter:
    return Letter(new_id(), 1, "ana@example.org", language, "News", "Here it is.\n", event)


def test_what_a_letter_says_is_in_its_readers_language_and_ends_with_the_emergency(city):
    row = begin(city)
    letters = [letter("es"), letter("ru"), letter("en", "reviews_due")]
    spanish, russian, staff = with_emergencies(city, letters, NOW + timedelta(hours=1))
    assert spanish.body == "Here it is.\n\nTormenta\n"
    assert russian.body == "Here it is.\n\nStorm\nStay in.\n"
    assert staff == letters[2]
    assert with_emergencies(city, letters, STORM.ends_at) == letters
    service.end(city, row.id, now=NOW + timedelta(hours=2))
    assert with_emergencies(city, letters, NOW + timedelta(hours=3)) == letters


@pytest.mark.parametrize(
    ("whose", "drill", "said"),
    [("region", False, True), ("city", True, False), ("county", False, False)],
)
def test_the_regions_counts_too_a_drill_or_another_partners_does_not(city, whose, drill, said):
    with acting_for(city, IDS[whose]):
        begin(city, drill=drill)
    (found,) = with_emergencies(city, [letter("es")], NOW + timedelta(hours=1))
    assert ("Tormenta" in found.body) is said


def test_only_letters_that_there_are_go_to_people():
    assert set(TEXTS) > TO_PEOPLE
