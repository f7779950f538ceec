"""Where a need stands, from anything that was done for it and anything that was said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.errors import InvalidInput
from regional311.intake import needs
from regional311.intake.needs import Part, Said, Standing, standing

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
RESULTS = ("waiting", "ended", "met", "partially_met", "unmet", "unknown")


def day(number: int) -> datetime:
    return START + timedelta(days=number)


@st.composite
def parts(draw: st.DrawFn) -> Part:
    began = draw(st.integers(0, 20))
    moved = draw(st.integers(began, 30))
    return Part(draw(st.sampled_from(RESULTS)), draw(st.booleans()), day(began), day(moved), None)


@st.composite
def words(draw: st.DrawFn) -> Said:
    status = draw(st.sampled_from(needs.SAYABLE))
    reason = draw(st.sampled_from(needs.UNMET_REASONS)) if status == needs.UNMET else None
    return Said(status, reason, day(draw(st.integers(0, 40))))


@given(st.lists(parts(), max_size=6), st.none() | words())
def test_a_need_stands_somewhere_and_only_an_unmet_one_has_a_reason(done, said):
    found = standing(done, said)
    assert found.status in (*needs.SAYABLE, needs.REFERRED)
    assert (found.unmet_reason is not None) == (found.status == needs.UNMET)


@given(st.lists(parts(), max_size=6), st.none() | words(), st.randoms())
def test_the_order_in_which_parts_are_read_does_not_count(done, said, random):
    shuffled = list(done)
    random.shuffle(shuffled)
    assert standing(shuffled, said).status == standing(done, said).status


@given(st.lists(parts(), max_size=6))
def test_what_came_to_nothing_never_counts(done):
    ended = [Part("ended", True, day(0), day(1))]
    assert standing([*done, *ended]) == standing(done)
    assert standing(ended) == Standing("open")


@given(st.lists(parts(), max_size=6), words())
def test_the_newest_word_of_a_person_counts(done, said):
    late = replace(said, at=day(50))
    assert standing(done, late) == Standing(late.status, late.unmet_reason)


@given(st.lists(parts(), max_size=6), words())
def test_nothing_but_a_person_takes_back_that_a_need_is_met(done, said):
    assert standing(done, replace(said, status="met", unmet_reason=None)).status == "met"


@given(st.lists(parts(), max_size=6))
def test_completed_is_met_only_when_somebody_says_so(done):
    completed = Part("unknown", True, day(0), day(1))
    found = standing([completed, *done]).status
    assert (found == "met") == any(each.result == "met" for each in done)


@pytest.mark.parametrize(
    ("results", "status"),
    [
        (("ended", "waiting"), "referred"),
        (("unmet", "waiting"), "referred"),
        (("partially_met", "waiting"), "partially_met"),
        (("ended", "unmet"), "unmet"),
        (("unknown", "unmet"), "unmet"),
        (("unknown", "ended"), "unknown"),
        (("met", "unmet"), "met"),
        ((), "open"),
    ],
)
def test_several_referrals_of_a_need(results, status):
    done = [Part(each, True, day(0), day(1)) for each in results]
    assert standing(done).status == status


def test_a_new_referral_after_it_was_said_to_be_unmet():
    said = Said("unmet", "all_at_capacity", day(2))
    rejected = Part("ended", True, day(0), day(3))
    assert standing([rejected], said) == Standing("unmet", "all_at_capacity")
    assert standing([rejected, Part("waiting", True, day(4), day(4))], said).status == "referred"
    assert standing([rejected, Part("met", True, day(1), day(4))], said).status == "met"


@pytest.mark.parametrize(
    ("status", "reason", "words", "field"),
    [
        ("referred", None, None, "status"),
        ("gone", None, None, "status"),
        ("unmet", None, None, "unmet_reason"),
        ("unmet", "other", None, "unmet_words"),
        ("unmet", "other", "  ", "unmet_words"),
        ("unmet", "other", "x" * 501, "unmet_words"),
    ],
)
def test_what_cannot_be_said(status, reason, words, field):
    with pytest.raises(InvalidInput) as caught:
        needs.check_statement(status, reason, words)
    assert caught.value.field == field
