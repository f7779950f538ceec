"""A small map of where needs are: outlines of the region and a dot for each square kilometre.

Drawn here as plain shapes, so that no tile of anybody else's is needed. Staff only; beside it
stands the table, which says the same in words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from regional311.web.telling import Telling

WIDTH: Final = 600
CELL: Final = 0.01
"""Degrees of latitude: about a kilometre; longitude is stretched to match."""
MOST_POINTS: Final = 300
LARGEST: Final = 22


@dataclass(frozen=True)
class Dot:
    """A square with needs: where its middle is drawn, how large, and how many."""

    x: float
    y: float
    radius: float
    count: int


@dataclass(frozen=True)
class Drawn:
    """The map: its size, the outlines as paths, and the dots, most first."""

    width: int
    height: int
    paths: Sequence[str]
    dots: Sequence[Dot]


def map_of(tell: Telling, points: Iterable[tuple[float, float, int]]) -> Drawn | None:
    """Draw points (longitude, latitude, how many) over the partners' outlines, if any."""
    rings = [
        ring
        for row in tell.published.boundaries.values()
        if row.kind == "jurisdiction"
        for ring in _rings(row.geometry)
    ]
    return drawn(rings, list(points))


def drawn(
    rings: Sequence[Sequence[tuple[float, float]]], points: Sequence[tuple[float, float, int]]
) -> Drawn | None:
    """Put rings and points of degrees onto a flat picture; points outside it are left out.

    >>> square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    >>> seen = drawn([square], [(0.501, 0.501, 1), (0.502, 0.502, 1), (9.0, 9.0, 1)])
    >>> [(each.count, round(each.x)) for each in seen.dots]
    [(2, 303)]
    """
    corners = [point for ring in rings for point in ring]
    if not corners:
        return None
    west, east = min(x for x, _y in corners), max(x for x, _y in corners)
    south, north = min(y for _x, y in corners), max(y for _x, y in corners)
    if west == east or south == north:
        return None
    narrow = math.cos(math.radians((south + north) / 2))
    scale = WIDTH / ((east - west) * narrow)
    height = round((north - south) * scale)

    def flat(x: float, y: float) -> tuple[float, float]:
        return (x - west) * narrow * scale, (north - y) * scale

    paths = []
    for ring in rings:
        step = max(1, len(ring) // MOST_POINTS)
        spots = " ".join(f"{x:.1f},{y:.1f}" for x, y in (flat(*each) for each in ring[::step]))
        paths.append(f"M{spots}Z")
    wide = CELL / narrow
    cells: Counter[tuple[int, int]] = Counter()
    for x, y, count in points:
        if west <= x <= east and south <= y <= north:
            cells[math.floor(x / wide), math.floor(y / CELL)] += count
    most = max(cells.values(), default=1)
    dots = [
        Dot(
            *flat((column + 0.5) * wide, (row + 0.5) * CELL),
            max(4.0, LARGEST * math.sqrt(count / most)),
            count,
        )
        for (column, row), count in cells.most_common()
    ]
    return Drawn(WIDTH, height, paths, dots)


def _rings(geometry: Any) -> Iterator[list[tuple[float, float]]]:
    if geometry["type"] == "Polygon":
        polygons = [geometry["coordinates"]]
    elif geometry["type"] == "MultiPolygon":
        polygons = geometry["coordinates"]
    else:
        return
    for polygon in polygons:
        yield [(float(x), float(y)) for x, y, *_height in polygon[0]]
