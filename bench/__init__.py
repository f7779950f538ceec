"""Rates and times of what matters, as ratios of things measured in the same run.

A module of this package is a benchmark when it has `run(site) -> list[Figure]`, or, when it needs
no database, `main()`, which prints its figures and returns 0 or 1. Absolute numbers
depend on the machine; what is asserted is a ratio to a baseline that ran beside it, or a bound that
the project promises.
"""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from regional311.database.embedded import ADMIN_ROLE, APP_ROLE, OWNER_ROLE, EmbeddedServer
from regional311.database.prepare import migrate, prepare_database
from regional311.database.session import make_engine
from regional311.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value and, when something is promised, the bound it must keep."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the promise is kept; a figure without one always is."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    @property
    def promise(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "" if self.at_most is None else f"at most {self.at_most:g}"


@dataclass(frozen=True)
class Site:
    """A durable server with the example region, for one benchmark."""

    settings: Settings
    database_url: str
    owner_url: str
    engine: Engine


@contextmanager
def site() -> Iterator[Site]:
    """Make a server with production's settings and the example region; remove it after."""
    from datetime import UTC, datetime

    from regional311.config.apply import apply

    with tempfile.TemporaryDirectory(prefix="regional311-bench-") as directory:
        var = Path(directory) / "var"
        server = EmbeddedServer(var)
        engine = None
        try:
            address = server.ensure()
            app, owner = address.url(APP_ROLE), address.url(OWNER_ROLE)
            prepare_database(address.url(ADMIN_ROLE, "postgres"), app_url=app, owner_url=owner)
            migrate(owner)
            engine = make_engine(app)
            apply(engine, ROOT, now=datetime.now(UTC))
            settings = Settings.from_environment(var, {})
            yield Site(settings, app, owner, engine)
        finally:
            if engine is not None:
                engine.dispose()
            server.destroy()


def rate(work: Callable[[], object], *, seconds: float = 3.0, warm: int = 20) -> float:
    """How often a second `work` is done, after `warm` times that do not count."""
    for _ in range(warm):
        work()
    gc.collect()
    begun, done = time.perf_counter(), 0
    while (taken := time.perf_counter() - begun) < seconds:
        work()
        done += 1
    return done / taken


def side_by_side(
    works: dict[str, Callable[[], object]], *, rounds: int = 5, seconds: float = 1.0
) -> dict[str, float]:
    """The median rate of each work, measured in turns, so that what the machine does hits all."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds):
        for name, work in works.items():
            rates[name].append(rate(work, seconds=seconds, warm=0 if turn else 20))
    return {name: statistics.median(found) for name, found in rates.items()}


def median_ms(work: Callable[[], object], *, times: int = 200, warm: int = 10) -> float:
    """The median duration of `work` in milliseconds."""
    for _ in range(warm):
        work()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def peak_memory_mb() -> float:
    """The most memory that this process has had, in MB."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def table(figures: Sequence[Figure]) -> str:
    """The figures as text, one a line, promises beside them."""
    width = max((len(figure.name) for figure in figures), default=0)
    return "\n".join(
        f"{'ok ' if figure.ok else 'NO '} {figure.name:<{width}}  {figure.value:>12,.3f}"
        f" {figure.unit:<14} {figure.promise}".rstrip()
        for figure in figures
    )


def workers() -> int:
    """One process a core, as `regional311 serve` runs."""
    return os.cpu_count() or 1
