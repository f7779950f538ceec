"""Which partner's areas and lines a place lies in or on, the most specific first.

Pure geometry in memory: the boundaries of the region are few (hundreds), so an index of them is
built once for each version of the configuration and asked for every contact.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from regional311.errors import InvalidInput

METRES_PER_DEGREE: Final = 111_320.0
"""Length of a degree of latitude; of longitude too, once scaled by the latitude's cosine."""

NEAR_METRES: Final = 25.0
"""So near an edge, the neighbour is shown beside the area that the point lies in."""

FAR_METRES: Final = 50_000.0
"""So far from the box around all boundaries, a point is a mistake: typed wrongly, or swapped."""

SAME_METRES: Final = 1.0
"""Two lines whose distances differ by less than this are equally near."""

AREA: Final = "area"
LINE: Final = "line"

WITHIN: Final = "within"
AT_THE_EDGE: Final = "edge"
"""How two boundaries meet."""


class BadBoundary(InvalidInput):
    """A boundary that cannot be used: not GeoJSON, not closed, or crossing itself."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """An area, or a line such as a road or bridge, for which a partner is responsible.

    ``geometry`` is in longitude and latitude (WGS 84). ``tolerance_m`` is the distance in metres
    within which a point counts as on a line; areas have none. ``names`` are other words by which
    people give the place (neighbourhoods, road names).
    """

    key: str
    tenant: str
    name: str
    geometry: BaseGeometry = field(compare=False, repr=False)
    tolerance_m: float = 0.0
    names: tuple[str, ...] = ()
    illustrative: bool = False

    @property
    def kind(self) -> str:
        """``"line"`` or ``"area"``."""
        return LINE if self.geometry.geom_type in ("LineString", "MultiLineString") else AREA


@dataclass(frozen=True, slots=True)
class Candidate:
    """One boundary that a place may belong to.

    ``rank`` orders candidates: 0 is the most specific, equal ranks are ties. ``inside`` is false
    for a neighbour that is only near. ``distance_m`` is to the line, or to the area's edge when
    that is near, else 0.
    """

    key: str
    tenant: str
    name: str
    kind: str
    rank: int
    inside: bool
    distance_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Located:
    """Where a place lies; ``reasons`` are (code, argument) pairs that the decision repeats.

    ``how`` is ``point``, ``words`` or ``none``. ``near`` says that a neighbour is so near that the
    person who decides must see both.
    """

    how: str
    candidates: tuple[Candidate, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()
    near: bool = False

    @property
    def known(self) -> bool:
        """Whether the place was found in or on at least one boundary."""
        return any(each.inside for each in self.candidates)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the boundaries the place lies in or on, most specific first."""
        return tuple(each.key for each in self.candidates if each.inside)

    @property
    def ambiguous(self) -> bool:
        """Whether the most specific boundaries belong to more than one partner."""
        first = {each.tenant for each in self.candidates if each.inside and each.rank == 0}
        return len(first) > 1


NO_PLACE: Final = Located("none", reasons=(("no-place", ""),))
"""A contact that is about no place, or whose place nobody knows."""

SEVERAL_PLACES: Final = Located("none", reasons=(("words-several", ""),))
"""The words of a place mean more than one."""


def geometry_from(geojson: Mapping[str, Any] | str) -> BaseGeometry:
    """Read a GeoJSON geometry or feature into a polygon or line.

    Raises :class:`BadBoundary`, saying where a boundary crosses itself.
    """
    try:
        content = json.loads(geojson) if isinstance(geojson, str) else dict(geojson)
        if content.get("type") == "Feature":
            content = content["geometry"]
        found = shapely.from_geojson(json.dumps(content))
    except (ValueError, TypeError, KeyError, AttributeError, shapely.GEOSException) as error:
        raise BadBoundary("The boundary is not a GeoJSON geometry.") from error
    if found is None or found.is_empty:
        raise BadBoundary("The boundary is empty.")
    if found.geom_type not in ("Polygon", "MultiPolygon", "LineString", "MultiLineString"):
        raise BadBoundary(f"A boundary is an area or a line, not a {found.geom_type}.")
    west, south, east, north = found.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise BadBoundary("The boundary is not in longitude and latitude.")
    if not found.is_valid:
        raise BadBoundary(f"The boundary is not valid: {shapely.is_valid_reason(found)}.")
    return found


@dataclass(frozen=True, slots=True)
class Reach:
    """The box in which a point can be meant: everything in the region, and what is not far off.

    In degrees, to one decimal. Without any boundary it is the whole Earth.

    >>> Reach(-122.7, 45.4, -122.5, 45.6).holds(-122.6, 45.5)
    True
    """

    west: float = -180.0
    south: float = -90.0
    east: float = 180.0
    north: float = 90.0

    def holds(self, longitude: float, latitude: float) -> bool:
        """Whether a point lies in it."""
        return self.west <= longitude <= self.east and self.south <= latitude <= self.north


class JurisdictionIndex:
    """Answers "which boundaries is this place in or on?" for all boundaries of the region.

    >>> square = shapely.box(-122.7, 45.4, -122.5, 45.6)
    >>> index = JurisdictionIndex([Boundary("portland", "city-of-portland", "Portland", square)])
    >>> index.locate(-122.6, 45.5).keys
    ('portland',)
    """

    def __init__(self, boundaries: Iterable[Boundary], *, near_m: float = NEAR_METRES) -> None:
        self.boundaries: tuple[Boundary, ...] = tuple(sorted(boundaries, key=lambda b: b.key))
        self.by_key: Mapping[str, Boundary] = {each.key: each for each in self.boundaries}
        self._near_m = near_m
        latitudes = [each.geometry.centroid.y for each in self.boundaries]
        middle = sum(latitudes) / len(latitudes) if latitudes else 0.0
        self._scale = np.array(
            [METRES_PER_DEGREE * math.cos(math.radians(middle)), METRES_PER_DEGREE]
        )
        flat = [self._flat(each.geometry) for each in self.boundaries]
        self._shapes = np.array(flat, dtype=object)
        self._edges = np.array([_edge(each) for each in flat], dtype=object)
        self._lines = np.array([each.kind == LINE for each in self.boundaries], dtype=bool)
        self._reach = np.array(
            [each.tolerance_m if each.kind == LINE else near_m for each in self.boundaries]
        )
        self._area = [each.area for each in flat]
        self._margin = float(max(self._reach, default=0.0))
        shapely.prepare(self._shapes)
        shapely.prepare(self._edges)
        self._tree = STRtree(flat)
        self._words = self._word_index()
        self._at = {each.key: at for at, each in enumerate(self.boundaries)}
        self._meetings: dict[tuple[str, str], str] = {}
        self.reach = self._reach_of_all()

    def _reach_of_all(self) -> Reach:
        if not self.boundaries:
            return Reach()
        sides = shapely.total_bounds([each.geometry for each in self.boundaries])
        wide, high = FAR_METRES / self._scale
        west, south, east, north = (
            round(float(side), 1) for side in sides + np.array([-wide, -high, wide, high])
        )
        return Reach(max(west, -180.0), max(south, -90.0), min(east, 180.0), min(north, 90.0))

    def locate(self, longitude: float, latitude: float) -> Located:
        """Find the boundaries of a point, the most specific first.

        Lines within their tolerance come before areas, nearest first; a smaller area comes before
        a larger one. Areas whose edge is nearer than ``near_m`` are shown even when the point lies
        just outside them.
        """
        x = longitude * float(self._scale[0])
        y = latitude * float(self._scale[1])
        margin = self._margin
        hits = self._tree.query(shapely.box(x - margin, y - margin, x + margin, y + margin))
        if not len(hits):
            return Located("point", reasons=(("outside-region", ""),))
        point = shapely.Point(x, y)
        within = shapely.intersects(self._shapes[hits], point)
        close = shapely.dwithin(self._edges[hits], point, self._reach[hits])  # type: ignore[call-overload]
        found: list[tuple[tuple[float, ...], int, bool, float]] = []
        for at, inside, near in zip(hits.tolist(), within.tolist(), close.tolist(), strict=True):
            if not (inside or near):
                continue
            line = bool(self._lines[at])
            distance = float(shapely.distance(self._edges[at], point)) if near else 0.0
            if line:
                steps = round(distance / SAME_METRES)
                found.append(((0, steps), at, True, distance))
            else:
                found.append(((1 if inside else 2, self._area[at]), at, inside, distance))
        if not found:
            return Located("point", reasons=(("outside-region", ""),))
        found.sort(key=lambda each: (each[0], self.boundaries[each[1]].key))
        return self._located("point", found)

    def locate_words(self, text: str) -> Located:
        """Find the boundaries that an address, a neighbourhood or a road name mentions.

        Only whole names count. A ZIP code alone never decides, because many straddle a line.
        """
        words = f" {_plain(text)} "
        hits = {at for name, places in self._words.items() if f" {name} " in words for at in places}
        if not hits:
            return Located("none", reasons=(("words-unknown", ""),))
        return self._named("words", hits)

    def locate_in(self, keys: Iterable[str]) -> Located:
        """Give what is known of a place that lies in or on these boundaries; none is *no place*.

        A boundary that there is not is left out.
        """
        wanted = frozenset(keys)
        hits = {at for at, each in enumerate(self.boundaries) if each.key in wanted}
        return self._named("point", hits) if hits else NO_PLACE

    def meeting(self, one: str, other: str) -> str:
        """Say whether a place can lie in or on both: `WITHIN`, `AT_THE_EDGE` or never, "".

        Areas that only touch, or overlap in a strip as narrow as what counts as near, meet at the
        edge. What is not known here may meet anything.
        """
        if one == other or not {one, other} <= self.by_key.keys():
            return WITHIN
        pair = (min(one, other), max(one, other))
        found = self._meetings.get(pair)
        if found is None:
            found = self._meetings[pair] = self._meeting(*map(self._at.__getitem__, pair))
        return found

    def _meeting(self, one: int, other: int) -> str:
        first, second = self._shapes[one], self._shapes[other]
        reach = float(self._reach[one] + self._reach[other])
        if not shapely.dwithin(first, second, reach):
            return ""
        if self._lines[one] or self._lines[other]:
            return WITHIN
        deep = any(
            shapely.intersects(shapely.buffer(each, -self._near_m), beside)
            for each, beside in ((first, second), (second, first))
        )
        return WITHIN if deep else AT_THE_EDGE

    def _named(self, how: str, hits: Iterable[int]) -> Located:
        found: list[tuple[tuple[float, ...], int, bool, float]] = [
            ((0, 0.0) if self._lines[at] else (1, self._area[at]), at, True, 0.0) for at in hits
        ]
        found.sort(key=lambda each: (each[0], self.boundaries[each[1]].key))
        return self._located(how, found)

    def _located(
        self, how: str, found: Sequence[tuple[tuple[float, ...], int, bool, float]]
    ) -> Located:
        candidates: list[Candidate] = []
        reasons: list[tuple[str, str]] = []
        rank = -1
        before: tuple[float, ...] = ()
        near = False
        tenants = {self.boundaries[at].tenant for _, at, inside, _ in found if inside}
        for order, at, inside, distance in found:
            if not (before and _same(order, before)):
                rank += 1
                before = order
            boundary = self.boundaries[at]
            kind = LINE if self._lines[at] else AREA
            candidates.append(
                Candidate(
                    boundary.key, boundary.tenant, boundary.name, kind, rank, inside, distance
                )
            )
            near = near or (kind == AREA and distance > 0.0) or (not inside)
            if kind == LINE:
                reasons.append(("on-line", boundary.key))
            elif inside:
                reasons.append(("inside", boundary.key))
            else:
                reasons.append(("just-outside", boundary.key))
        located = Located(how, tuple(candidates), tuple(reasons), near and len(found) > 0)
        if located.ambiguous:
            return Located(how, located.candidates, (*reasons, ("tie", str(len(tenants)))), near)
        return located

    def _flat(self, geometry: BaseGeometry) -> BaseGeometry:
        flat: BaseGeometry = shapely.transform(geometry, lambda xy: xy * self._scale)
        return flat

    def _word_index(self) -> dict[str, list[int]]:
        index: dict[str, list[int]] = {}
        for at, boundary in enumerate(self.boundaries):
            for name in {_plain(each) for each in (boundary.name, *boundary.names)}:
                if name and not name.isdigit():
                    index.setdefault(name, []).append(at)
        return index


def _edge(shape: BaseGeometry) -> BaseGeometry:
    return shape if "Line" in shape.geom_type else shape.boundary


def _same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] == other[0] and math.isclose(one[1], other[1], rel_tol=1e-6)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
