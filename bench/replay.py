"""A replay of an export through the services: contacts a second, and memory that does not grow.

The export is made here: calls about streets, a tenth of them on the County's bridges, so that a
part of the contacts crosses to another partner. Each replay runs in a process of its own, whose
peak memory is then known. `REGIONAL311_BENCH_ROWS` sets the rows of the large one.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import ROOT, Figure, Site

SMALL = 10_000
LARGE = int(os.environ.get("REGIONAL311_BENCH_ROWS", "50000"))
MAP = """
unplaced = "something-else"

[source]
name = "{name}"
zone = "America/Los_Angeles"
time_formats = ["%Y-%m-%d %H:%M"]

[columns]
key = "id"
started_at = "created"
channel = "source"
service = "type"
latitude = "latitude"
longitude = "longitude"
description = "text"

[channels]
Call = "phone"

[services]
Pothole = "pothole"
Graffiti = "graffiti"
Garbage = "garbage"
"""
CHILD = """
import json, resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from regional311.database.session import make_engine
from regional311.replay.service import replay

begun = time.perf_counter()
report = replay(make_engine(sys.argv[1]), Path(sys.argv[2]), tenant="city-of-portland",
                map_file=Path(sys.argv[3]), now=datetime.now(UTC))
print(json.dumps({"taken": report.taken, "seconds": time.perf_counter() - begun,
                  "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "outcomes": report.outcomes}))
"""


def run(site: Site) -> list[Figure]:
    """Replay a small and a large export, each in its own process."""
    with tempfile.TemporaryDirectory(prefix="regional311-replay-") as directory:
        small = _replay(site, Path(directory), "small", SMALL)
        large = _replay(site, Path(directory), "large", LARGE)
    return [
        Figure(f"contacts a second, {SMALL} rows", small["taken"] / small["seconds"], "/s", 400),
        Figure(f"contacts a second, {LARGE} rows", large["taken"] / large["seconds"], "/s", 400),
        Figure(f"peak memory, {SMALL} rows", small["mb"], "MB"),
        Figure("peak memory, large to small", large["mb"] / small["mb"], "", at_most=1.1),
    ]


def _replay(site: Site, directory: Path, name: str, many: int) -> dict:
    export, map_file = directory / f"{name}.csv", directory / f"{name}.toml"
    map_file.write_text(MAP.format(name=name))
    with export.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "created", "source", "type", "latitude", "longitude", "text"))
        for number in range(many):
            kind = ("Pothole", "Graffiti", "Garbage")[number % 3]
            point = (45.5132, -122.6706) if number % 10 == 0 else (45.52, -122.63)
            created = f"2026-10-{number % 28 + 1:02} {8 + number % 9:02}:{number % 60:02}"
            writer.writerow((number, created, "Call", kind, *point, f"number {number}"))
    command = [sys.executable, "-c", CHILD, site.database_url, str(export), str(map_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)
