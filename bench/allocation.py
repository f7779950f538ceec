"""The reciprocal method of 50 pools over 200 targets, exactly: under 1 s.

Beside it, in the same run, Gaussian elimination in `Fraction`, as a textbook has it, and the same
in floating point, which is not exact.
"""

import random
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from regional311.allocation.methods import Case, Pool, Target, allocate

LIMIT_SECONDS = 1.0
POOLS, TARGETS = 50, 200


def main() -> int:
    """Print the seconds and how far floats are off; fail above the limit or on a wrong answer."""
    case = invented(random.Random(311))
    taken, found = timed(lambda: allocate(case, "reciprocal"))
    plain_taken, plain = timed(lambda: textbook(case, Fraction))
    float_taken, floats = timed(lambda: textbook(case, float))
    same = plain == dict(found.targets)
    worst = max(abs(Fraction(floats[name]) - exact) for name, exact in found.targets.items())
    print(f"{POOLS} pools over {TARGETS} targets, exact: {taken:.3f} s (at most {LIMIT_SECONDS} s)")
    print(f"textbook elimination in fractions: {plain_taken:.3f} s, the same answer: {same}")
    print(f"the same in floats: {float_taken:.3f} s, off by up to {float(worst):.2g} cents")
    return 0 if same and taken < LIMIT_SECONDS else 1


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds that `work` takes, and what it gives."""
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def invented(draw: random.Random) -> Case:
    """A case in which every pool serves every other and every target."""
    pools = [f"pool-{number:02}" for number in range(POOLS)]
    targets = [f"target-{number:03}" for number in range(TARGETS)]
    return Case(
        tuple(
            Pool(
                name,
                draw.randrange(1, 10**9),
                {each: draw.randrange(1, 10**6) for each in (*pools, *targets)},
            )
            for name in pools
        ),
        tuple(Target(name, draw.randrange(10**9)) for name in targets),
    )


def textbook(case: Case, number: Callable[[int], Any]) -> dict[str, Any]:
    """Solve the pools' equations by plain elimination in a kind of number."""
    names = [pool.name for pool in case.pools]
    shares = {
        pool.name: {
            name: number(quantity)
            / number(sum(each for taker, each in pool.serves.items() if taker != pool.name))
            for name, quantity in pool.serves.items()
            if name != pool.name
        }
        for pool in case.pools
    }
    rows = [
        [
            number(1) if row == column else -shares[giver].get(taker, number(0))
            for column, giver in enumerate(names)
        ]
        + [number(case.pools[row].cents)]
        for row, taker in enumerate(names)
    ]
    for step, pivot_row in enumerate(rows):
        for number_of, row in enumerate(rows):
            if number_of != step and row[step]:
                factor = row[step] / pivot_row[step]
                row[step:] = [
                    mine - factor * theirs
                    for mine, theirs in zip(row[step:], pivot_row[step:], strict=True)
                ]
    gross = {name: rows[place][-1] / rows[place][place] for place, name in enumerate(names)}
    return {
        target.name: sum(
            (gross[name] * shares[name][target.name] for name in names), number(target.cents)
        )
        for target in case.targets
    }


if __name__ == "__main__":
    sys.exit(main())
