"""The examples in the descriptions of what has no session."""

from __future__ import annotations

import doctest

import pytest

from regional311.cover import duty, emergency, handovers
from regional311.web import emergency_map
from regional311.web.emergency_map import CELL, WIDTH, drawn

SQUARE = [(-122.9, 45.4), (-122.4, 45.4), (-122.4, 45.7), (-122.9, 45.7)]


@pytest.mark.parametrize("module", [duty, emergency, handovers, emergency_map])
def test_the_examples_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_a_map_needs_outlines_with_room():
    assert drawn([], [(-122.5, 45.5, 1)]) is None
    assert drawn([[(-122.5, 45.5), (-122.5, 45.6)]], []) is None


def test_needs_of_a_square_are_one_dot_and_more_of_them_a_larger_one():
    many = [(-122.601, 45.501, 1)] * 2 + [(-122.601, 45.501, 2), (-122.601 + 10 * CELL, 45.501, 1)]
    seen = drawn([SQUARE], [*many, (0.0, 0.0, 9)])
    assert seen is not None
    assert [each.count for each in seen.dots] == [4, 1]
    assert seen.dots[0].radius > seen.dots[1].radius
    assert all(0 <= each.x <= WIDTH and 0 <= each.y <= seen.height for each in seen.dots)
    # a dot is the middle of its square, never the place itself
    assert seen.dots == drawn([SQUARE], [(x + CELL / 10, y, n) for x, y, n in many]).dots
