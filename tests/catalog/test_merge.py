"""Two people's work on one thing is brought together, and none of it is lost."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311 import differences as differing
from regional311.catalog import merge as merging
from regional311.catalog.merge import ORDER, merge, merge_whole_fields
from regional311.differences import differences

BASE: dict[str, Any] = {
    "name": "Food pantry",
    "fee": "Free",
    "keywords": ["food", "pantry"],
    "hours": {"mon": ["09:00-12:00"], "tue": ["09:00-12:00"]},
    "location": [
        {"location": "hall", "phone": [{"number": "503-823-4000"}]},
        {"location": "church"},
    ],
}


def changed(**fields: Any) -> dict[str, Any]:
    return {**BASE, **fields}


def test_docstring_examples_hold() -> None:
    assert doctest.testmod(merging).failed == 0
    assert doctest.testmod(differing).failed == 0


def test_what_only_one_changed_is_kept_from_either_side() -> None:
    found = merge(BASE, changed(fee="$1"), changed(name="Pantry"))
    assert found.content == changed(fee="$1", name="Pantry")
    assert (found.mine, found.theirs, found.overlaps) == (("fee",), ("name",), ())


def test_a_phone_of_one_and_a_location_of_the_other_are_both_kept() -> None:
    mine = changed(
        location=[{"location": "hall", "phone": [{"number": "503-823-4001"}]}, BASE["location"][1]]
    )
    theirs = changed(location=[*BASE["location"], {"location": "school"}])
    found = merge(BASE, mine, theirs)
    assert found.clean
    assert [each["location"] for each in found.content["location"]] == ["hall", "church", "school"]
    assert found.content["location"][0]["phone"] == [{"number": "503-823-4001"}]


def test_what_both_changed_differently_is_shown_side_by_side() -> None:
    found = merge(BASE, changed(fee="$1"), changed(fee="$2", name="Pantry"))
    assert [(each.field, each.base, each.mine, each.theirs) for each in found.overlaps] == [
        ("fee", "Free", "$1", "$2")
    ]
    assert found.content == changed(fee="$2", name="Pantry")
    for side, fee in (("mine", "$1"), ("theirs", "$2")):
        chosen = merge(BASE, changed(fee="$1"), changed(fee="$2"), {"fee": side})
        assert (chosen.clean, chosen.content["fee"]) == (True, fee)


def test_words_come_and_go_one_by_one() -> None:
    mine, theirs = changed(keywords=["food", "groceries"]), changed(keywords=["food", "box"])
    mine["keywords"].append("pantry")
    assert merge(BASE, mine, theirs).content["keywords"] == ["food", "box", "groceries"]


def test_a_day_s_hours_are_one_field() -> None:
    mine = changed(hours={"mon": ["10:00-12:00"], "tue": ["09:00-12:00"]})
    theirs = changed(hours={"mon": ["08:00-11:00"], "wed": ["09:00-12:00"]})
    found = merge(BASE, mine, theirs)
    assert [each.field for each in found.overlaps] == ["hours.mon"]
    assert found.content["hours"] == {"mon": ["08:00-11:00"], "wed": ["09:00-12:00"]}


def test_taking_out_what_the_other_changed_is_an_overlap() -> None:
    mine = changed(location=BASE["location"][1:])
    theirs = changed(location=[{"location": "hall", "note": "Ring"}, BASE["location"][1]])
    found = merge(BASE, mine, theirs)
    (overlap,) = found.overlaps
    assert (overlap.field, overlap.mine, overlap.theirs) == (
        "location[hall]",
        None,
        theirs["location"][0],
    )
    taken_out = merge(BASE, mine, theirs, {"location[hall]": "mine"})
    assert taken_out.content["location"] == BASE["location"][1:]


@pytest.mark.parametrize("side", ["mine", "theirs", None])
def test_two_orders_are_an_overlap(side: Any) -> None:
    def listed(*keys: str) -> dict[str, Any]:
        return {"question": [{"key": key} for key in keys]}

    choices = {} if side is None else {f"question {ORDER}": side}
    mine, theirs = listed("b", "a", "c"), listed("c", "a", "b")
    found = merge(listed("a", "b", "c"), mine, theirs, choices)
    assert found.clean == (side is not None)
    assert found.content == (mine if side == "mine" else theirs)
    one_side = merge(listed("a", "b", "c"), mine, listed("a", "x", "b", "c"))
    assert one_side.content == listed("b", "a", "x", "c")


def test_whole_fields_are_taken_from_one_side() -> None:
    base = {"disposition": [{"valid_from": "2026-01-01"}, {"valid_from": "2027-01-01"}]}
    mine, theirs = (
        {"disposition": base["disposition"][1:]},
        {"disposition": base["disposition"][:1]},
    )
    assert merge(base, mine, theirs).content == {"disposition": []}
    found = merge_whole_fields(base, mine, theirs)
    assert [each.field for each in found.overlaps] == ["disposition"]
    assert merge_whole_fields(base, mine, theirs, {"disposition": "mine"}).content == mine
    assert merge_whole_fields({"a": 1, "b": 2}, {"a": 1}, {"a": 2, "b": 2}).content == {"a": 2}


# --- what holds for any contents ----------------------------------------------------------------

WORDS = st.text("abc", min_size=1, max_size=2)
THINGS = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from("pqrst")}, optional={"x": WORDS, "y": WORDS}),
    max_size=4,
    unique_by=lambda one: one["key"],
)
CONTENTS = st.fixed_dictionaries(
    {"name": WORDS},
    optional={
        "fee": WORDS,
        "hours": st.dictionaries(
            st.sampled_from(["mon", "tue"]), st.lists(WORDS, min_size=1), min_size=1
        ),
        "keywords": st.lists(WORDS, max_size=4, unique=True),
        "question": THINGS,
    },
)


def paths(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    return {each.field for each in differences(old, new)}


def plain(content: dict[str, Any]) -> dict[str, Any]:
    """The content without the order of its lists, and without what is empty."""
    said = dict(content)
    for name, identity in (("question", lambda one: one["key"]), ("keywords", str)):
        if name in said:
            said[name] = sorted(said[name], key=identity)
    return {name: value for name, value in said.items() if value not in ([], {})}


@settings(deadline=None)
@given(CONTENTS, CONTENTS)
def test_one_person_s_work_is_taken_as_it_is(base: dict[str, Any], mine: dict[str, Any]) -> None:
    assert merge(base, mine, base).content == mine
    assert merge(base, base, mine).content == mine
    assert merge(base, mine, mine).content == mine
    assert merge(base, mine, base).clean


@settings(deadline=None)
@given(CONTENTS, CONTENTS, CONTENTS)
def test_who_came_first_makes_no_difference_unless_somebody_must_choose(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    one, other = merge(base, mine, theirs), merge(base, theirs, mine)
    assert {each.field for each in one.overlaps} == {each.field for each in other.overlaps}
    if one.clean:
        assert plain(one.content) == plain(other.content)


@settings(deadline=None)
@given(CONTENTS, CONTENTS, CONTENTS)
def test_nothing_that_anybody_changed_is_lost(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    """A field that only one changed has that one's value; one that both changed is either equal
    or up for choice."""
    found = merge(base, mine, theirs)
    overlapping = {each.field for each in found.overlaps}
    for name in set(base) | set(mine) | set(theirs):
        old, left, right = base.get(name), mine.get(name), theirs.get(name)
        up_for_choice = any(
            each == name or each.startswith((f"{name}.", f"{name}[", f"{name} "))
            for each in overlapping
        )
        if left == old:
            assert found.content.get(name) == right
        elif right == old:
            assert found.content.get(name) == left
        elif name in ("name", "fee"):
            assert left == right or up_for_choice
    for word in set(mine.get("keywords", ())) - set(base.get("keywords", ())):
        assert word in found.content.get("keywords", ()) or "keywords" in overlapping


@settings(deadline=None)
@given(CONTENTS, CONTENTS, CONTENTS)
def test_every_choice_is_obeyed(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    found = merge(base, mine, theirs)
    for side, other in (("mine", theirs), ("theirs", mine)):
        chosen = merge(base, mine, theirs, {each.field: side for each in found.overlaps})
        assert chosen.clean
        wanted = mine if side == "mine" else theirs
        left_over = paths(wanted, chosen.content) & {each.field for each in found.overlaps}
        assert not left_over or other == wanted
