"""A script is walked by a path of choices, and every path has a place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog.articles import Article, walk_faults
from regional311.catalog.walking import LONGEST, walk
from regional311.strict import from_plain
from tests.catalog.test_articles import PLAIN, step


def steps(*said):
    return from_plain(Article, {**PLAIN, "kind": "script", "step": list(said)}).step


WATER = steps(
    step("ground", "step:wires", "step:drain", "service:pothole"),
    step("wires", "danger", "step:tell", "step:ground"),
    step("drain", "end"),
    step("tell"),
)


def test_a_path_leads_to_its_step():
    assert walk(WATER, []).here.key == "ground"
    found = walk(WATER, ["c0"])
    assert (found.here.key, found.end, found.path) == ("wires", None, ("c0",))
    assert [each.step.key for each in found.taken] == ["ground"]


def test_a_path_comes_to_an_end():
    assert walk(WATER, ["c0", "c0"]).end == "danger"
    assert walk(WATER, ["c2", "c0", "c0"]).end == "service:pothole"
    assert walk(WATER, ["c1", "c0"]).end == "end"
    last = walk(WATER, ["c0", "c1"])
    assert (last.here.key, last.end) == ("tell", "end")


def test_a_path_that_the_script_no_longer_has_ends_where_it_parts():
    assert walk(WATER, ["c0", "gone", "c0"]).path == ("c0",)
    assert walk(steps(step("a", "step:gone")), ["c0"]).here.key == "a"


def test_going_in_circles_ends():
    assert len(walk(WATER, ["c0", "c2"] * LONGEST).taken) == LONGEST


@given(st.lists(st.sampled_from(["c0", "c1", "c2", "x"]), max_size=12))
def test_what_was_walked_can_be_walked_again(path):
    assert not list(walk_faults(WATER))
    found = walk(WATER, path)
    assert walk(WATER, found.path) == found
    assert (found.here is None) == (found.end is not None and found.end != "end") or found.end
