"""How cost flows, as a picture: pools in their order as a stair, targets at the right end.

The height of a box is its amount and the width of a band what flows. A band that leads back to an
earlier pool leaves on the left and is hatched. The picture is SVG without a script or a style; a
table with the same figures stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 960.0, 440.0
TOP, GAP, BOX = 24.0, 22.0, 16.0
LABELS = 190.0
"""Room for the names of targets."""


@dataclass(frozen=True, slots=True)
class Node:
    """A pool (with its own cost) or a target."""

    key: str
    name: str
    own: float = 0.0
    target: bool = False


@dataclass(slots=True)
class Box:
    """A drawn node."""

    name: str
    amount: float
    x: float
    y: float
    height: float
    target: bool
    left: float = 0.0
    right: float = 0.0


@dataclass(frozen=True, slots=True)
class Band:
    """A drawn flow: the outline of the band, what it says, and which colour it has."""

    path: str
    title: str
    colour: int
    back: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes and bands with the size of the picture."""

    width: float
    height: float
    boxes: Sequence[Box] = field(default_factory=list)
    bands: Sequence[Band] = field(default_factory=list)


def draw(nodes: Sequence[Node], flows: Mapping[tuple[str, str], float]) -> Picture:
    """Lay out pools, targets and what flows between them; credits are drawn by their size.

    >>> picture = draw(
    ...     [Node("p", "Pool", 100.0), Node("t", "Target", target=True)], {("p", "t"): 100.0}
    ... )
    >>> [box.name for box in picture.boxes], len(picture.bands)
    (['Pool', 'Target'], 1)
    """
    sizes = {flow: abs(amount) for flow, amount in flows.items() if amount}
    place = {node.key: number for number, node in enumerate(nodes)}
    pools = [node for node in nodes if not node.target]
    targets = [node for node in nodes if node.target]
    back = {flow for flow in sizes if place[flow[1]] < place[flow[0]]}
    heights = {}
    for node in nodes:
        gives = sum(size for flow, size in sizes.items() if flow[0] == node.key)
        gets = sum(size for flow, size in sizes.items() if flow[1] == node.key)
        heights[node.key] = max(abs(node.own) + gets, gives, gets)
    rooms = [
        (sum(heights[node.key] for node in side), GAP * max(len(side) - 1, 0))
        for side in (pools, targets)
    ]
    scale = min((HEIGHT - TOP - gaps) / max(sizes_of, 1.0) for sizes_of, gaps in rooms)
    step = (WIDTH - LABELS - BOX) / max(len(pools), 1)
    boxes = {}
    below = TOP
    for number, node in enumerate(pools):
        height = heights[node.key] * scale
        boxes[node.key] = Box(node.name, heights[node.key], number * step, below, height, False)
        below += height + GAP
    last = (len(pools) - 1) * step + BOX
    below = TOP
    for node in targets:
        boxes[node.key] = Box(
            node.name,
            heights[node.key],
            WIDTH - LABELS - BOX,
            below,
            heights[node.key] * scale,
            True,
        )
        below += heights[node.key] * scale + GAP
    bands = []
    to_pools = {node.key for node in pools}
    for giver, taker in sorted(
        sizes, key=lambda flow: (place[flow[0]], flow[1] in to_pools, place[flow[1]])
    ):
        bands.append(
            _band(
                boxes[giver],
                boxes[taker],
                sizes[giver, taker] * scale,
                place[giver],
                (giver, taker) in back,
                last,
            )
        )
    bottom = max(box.y + box.height for box in boxes.values()) if boxes else HEIGHT
    return Picture(WIDTH, max(bottom, 60.0) + 8, list(boxes.values()), bands)


def _band(giver: Box, taker: Box, width: float, colour: int, back: bool, last: float) -> Band:
    """One band; to a target it runs level until the last pool, so that it crosses none."""
    title = f"{giver.name} → {taker.name}"
    if back:
        start, end = giver.x, taker.x + BOX
        above, under = giver.y + giver.left, taker.y + taker.right
        giver.left += width
        taker.right += width
    else:
        start, end = giver.x + BOX, taker.x
        above, under = giver.y + giver.right, taker.y + taker.left
        giver.right += width
        taker.left += width
    bend = max(start, last) if taker.target else start
    middle = (bend + end) / 2
    path = (
        f"M{start:.1f},{above:.1f}L{bend:.1f},{above:.1f}"
        f"C{middle:.1f},{above:.1f} {middle:.1f},{under:.1f}"
        f" {end:.1f},{under:.1f}L{end:.1f},{under + width:.1f}C{middle:.1f},{under + width:.1f}"
        f" {middle:.1f},{above + width:.1f} {bend:.1f},{above + width:.1f}"
        f"L{start:.1f},{above + width:.1f}Z"
    )
    return Band(path, title, colour % 6, back)
