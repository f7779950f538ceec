"""What may be said of counts of people without saying who they are.

A count below the threshold is not said, only that it is *few*. The total is said as well, and
taking the other counts from it would give a hidden one away: then one more is hidden (*withheld*),
or the total is not divided at all. What is hidden depends on nothing but what is said: whoever
knows these rules and reads everything that is published has at least two numbers to choose from
for each count that is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from regional311.errors import InvalidInput

THRESHOLD: Final = 5
LEAST_THRESHOLD: Final = 3
"""Below it *few* would leave one number only."""

FEW: Final = "few"
WITHHELD: Final = "withheld"

Said = int | str
"""A count, or FEW, or WITHHELD."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A total (FEW when it is small) and the ways it is divided; None where it is not divided.

    Counts of nobody are left out.
    """

    total: Said
    divided: Mapping[str, Mapping[str, Said] | None]


def suppress(
    total: int, divided: Mapping[str, Mapping[str, int]], threshold: int = THRESHOLD
) -> Counted:
    """Say of a total and the ways it is divided what can be said.

    Each way must add up to the total.

    >>> suppress(12, {"area": {"north": 9, "south": 3}}).divided
    {'area': {'north': 'withheld', 'south': 'few'}}

    :raises InvalidInput: for a threshold under 3, a count below nothing, or a way that does not
        add up.
    """
    if threshold < LEAST_THRESHOLD:
        raise InvalidInput(f"Counts are small below {LEAST_THRESHOLD} or more.", field="threshold")
    for name, cells in divided.items():
        if any(count < 0 for count in cells.values()) or sum(cells.values()) != total:
            raise InvalidInput(f"{name} does not add up to {total}.", field=name)
    if 0 < total < threshold:
        return Counted(FEW, dict.fromkeys(divided))
    return Counted(total, {name: _divided(cells, threshold) for name, cells in divided.items()})


def _divided(cells: Mapping[str, int], threshold: int) -> dict[str, Said] | None:
    """Hide counts of one way of dividing a total that is said; None when that is not enough.

    Two small counts or more hide each other, unless all are as small or as great as they can be.
    Then, and beside a single one, the first other count in the order of the keys is hidden, too:
    choosing it by its size would say something of its size.
    """
    small = {key: count for key, count in cells.items() if 0 < count < threshold}
    said: dict[str, Said] = {
        key: FEW if key in small else cells[key] for key in sorted(cells) if cells[key]
    }
    least, most = len(small), len(small) * (threshold - 1)
    hidden = sum(small.values())
    if not small or (len(small) > 1 and least < hidden < most):
        return said
    beside = next((key for key, each in said.items() if each != FEW), None)
    if beside is None:
        return None
    hidden += cells[beside]
    # one small count may be anything that leaves the other great; several are all least or all most
    enough = least + threshold + 1 if len(small) == 1 else most + threshold
    if hidden < enough:
        return None
    return said | {beside: WITHHELD}
