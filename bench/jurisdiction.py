"""Time to find the boundaries of a point among 150: the median must be under 0.2 ms."""

import random
import statistics
import sys
import time

import shapely

from regional311.tenancy.jurisdiction import Boundary, JurisdictionIndex

LIMIT_MS = 0.2


def main() -> int:
    """Print the median and the 99th percentile in milliseconds; fail above the limit."""
    draw = random.Random(311)
    boundaries = [
        Boundary(
            f"b{number}",
            f"partner-{number % 12}",
            f"Area {number}",
            shapely.Point(draw.uniform(-123, -122), draw.uniform(45, 46)).buffer(
                draw.uniform(0.01, 0.15), quad_segs=60
            ),
        )
        for number in range(120)
    ]
    for number in range(30):
        start = (draw.uniform(-123, -122), draw.uniform(45, 46))
        line = shapely.LineString(
            [(start[0] + step * 0.001, start[1] + draw.uniform(0, 0.0005)) for step in range(200)]
        )
        boundaries.append(Boundary(f"l{number}", "county", f"Road {number}", line, 20.0))
    index = JurisdictionIndex(boundaries)
    points = [(draw.uniform(-123, -122), draw.uniform(45, 46)) for _ in range(5000)]
    taken = []
    for longitude, latitude in points:
        start_at = time.perf_counter()
        index.locate(longitude, latitude)
        taken.append((time.perf_counter() - start_at) * 1000)
    median = statistics.median(taken)
    print(f"150 boundaries: median {median:.3f} ms, 99 % {sorted(taken)[4950]:.3f} ms")
    return 0 if median < LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
