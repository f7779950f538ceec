"""`python -m bench [NAME ...]`: run the benchmarks; fails when a promise is not kept.

`--json` gives the figures to programs; `--minutes` shortens or lengthens what takes its time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from dataclasses import asdict
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules

import bench


def main(arguments: list[str]) -> int:
    # Known, and settled by pinning setuptools.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated as an API")
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--minutes", type=float)
    asked = parser.parse_args(arguments)
    as_json, wanted = asked.json, asked.names
    if asked.minutes is not None and not 0 < asked.minutes <= 120:
        parser.error("--minutes is more than 0, and at most 120.")
    known = [found.name for found in iter_modules(bench.__path__) if found.name != "__main__"]
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(known)}.")
        return 2
    failed = False
    everything: list[bench.Figure] = []
    for name in wanted or known:
        module = import_module(f"bench.{name}")
        if not hasattr(module, "run"):
            if not as_json:
                print(name, flush=True)
                failed = bool(module.main()) or failed
            continue
        begun = time.perf_counter()
        timed = asked.minutes is not None and "minutes" in signature(module.run).parameters
        options = {"minutes": asked.minutes} if timed else {}
        with bench.site() as site:
            figures = module.run(site, **options)
        everything += figures
        if not as_json:
            print(f"{name} ({time.perf_counter() - begun:.0f} s)")
            print(bench.table(figures), flush=True)
    if as_json:
        print(json.dumps([asdict(figure) | {"ok": figure.ok} for figure in everything]))
    return 1 if failed or not all(figure.ok for figure in everything) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
