"""A directory of 211's size through its packages: in, in again, and out line by line.

The package is made here: organisations with services at one or two sites, each with hours, phones,
addresses, languages and terms. Whatever is measured runs in a process of its own, whose peak
memory is then known. `REGIONAL311_BENCH_SERVICES` sets the services of the large one.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bench import ROOT, Figure, Site

PACKAGE = 2_000
LARGE = int(os.environ.get("REGIONAL311_BENCH_SERVICES", "20000"))
IMPORT = """
import json, resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from sqlalchemy import event
from regional311.catalog.hsds.importing import Order
from regional311.config.directories import import_directory
from regional311.database.session import make_engine

engine, sent = make_engine(sys.argv[1]), []
event.listen(engine, "before_cursor_execute", lambda *each: sent.append(each[2]))
taken = []
for _ in range(2):
    sent.clear()
    begun, spent = time.perf_counter(), time.process_time()
    report = import_directory(engine, Path(sys.argv[2]), tenant="211info",
                              order=Order(feed=sys.argv[3]), now=datetime.now(UTC), url="http://x")
    taken.append({"seconds": time.perf_counter() - begun, "changes": report.changes,
                  "processor": time.process_time() - spent,
                  "statements": len(sent)})
print(json.dumps({"first": taken[0], "second": taken[1],
                  "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
ALIKE = """
import json, sys, time
from datetime import UTC, datetime
from pathlib import Path
from sqlalchemy import event, text
from regional311.catalog.alike import Finder
from regional311.catalog.hsds.importing import Order
from regional311.config.directories import import_directory
from regional311.database.session import Scope, make_engine, session_scope

engine, sent, now = make_engine(sys.argv[1]), [], datetime.now(UTC)
import_directory(engine, Path(sys.argv[2]), tenant="multnomah-county",
                 order=Order(feed="small"), now=now, url="http://x")
event.listen(engine, "before_cursor_execute", lambda *each: sent.append(each[2]))
with engine.connect() as connection:
    ids = dict(connection.execute(text("SELECT slug, id FROM tenants")).all())
find, told = Finder(), {}
def look(name, slug):
    begun, spent = time.perf_counter(), time.process_time()
    sent.clear()
    with session_scope(engine, Scope(ids[slug])) as session:
        written = find(session, now)
    told[name] = [time.perf_counter() - begun, time.process_time() - spent, written, len(sent)]
look("first", "211info")
look("other", "multnomah-county")
look("idle", "211info")
with session_scope(engine, Scope(ids["multnomah-county"])) as session:
    session.execute(text("UPDATE tenants SET revision = revision + 1 WHERE id = :me"),
                    {"me": ids["multnomah-county"]})
    session.commit()
look("again", "211info")
print(json.dumps(told))
"""
STREAM = """
import json, resource, sys, time, warnings
warnings.filterwarnings("ignore", message="pkg_resources is deprecated as an API")
from pathlib import Path
from sqlalchemy import event
from webob import Request
from regional311.app import main
from regional311.database.session import make_engine
from regional311.referral.snapshot import Published, invalidate, published
from regional311.settings import Settings

engine, sent = make_engine(sys.argv[1]), []
event.listen(engine, "before_cursor_execute", lambda *each: sent.append(each[2]))
settings = Settings.from_environment(Path(sys.argv[2]), {})
app = main({}, configured=settings, engine=engine)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
begun = time.perf_counter()
published(engine)
found = {"snapshot": time.perf_counter() - begun}
def ask(path):
    sent.clear()
    begun = time.perf_counter()
    answer = Request.blank(path, base_url=settings.url).get_response(app)
    size = sum(map(len, answer.app_iter))
    answer.app_iter.close() if hasattr(answer.app_iter, "close") else None
    assert answer.status_int == 200, answer.body
    return time.perf_counter() - begun, size, len(sent)
ask("/hsds/services?full=true&per_page=500")
before = peak()
found["stream"] = ask("/hsds/services?full=true&format=ndjson")
found["growth"] = peak() - before
found["page"] = ask("/hsds/services?full=true&per_page=50&page=40")
found["minimal"] = ask("/hsds/services?minimal=true")
found["search"] = ask("/hsds/services?search=pantry")
print(json.dumps(found))
"""


def run(site: Site) -> list[Figure]:
    """Import a package twice, then fill the directory and stream all of it."""
    with tempfile.TemporaryDirectory(prefix="regional311-hsds-") as directory:
        small = Path(directory) / "small.zip"
        small.write_bytes(package(PACKAGE))
        first = _child(IMPORT, site.database_url, str(small), "small")
        large = Path(directory) / "large.zip"
        large.write_bytes(package(LARGE - PACKAGE, seed=1))
        rest = _child(IMPORT, site.database_url, str(large), "large")
        out = _child(STREAM, site.database_url, str(site.settings.var))
        alike = _child(ALIKE, site.database_url, str(small))
    seconds, size, statements = out["stream"]
    return [
        Figure(f"import of {PACKAGE} services", first["first"]["seconds"], "s", at_most=10),
        Figure("processor time of it", first["first"]["processor"], "s"),
        Figure("statements of it", first["first"]["statements"], ""),
        Figure("the same again", first["second"]["seconds"], "s", at_most=10),
        Figure("entries that it changed", first["second"]["changes"], "", at_most=0),
        Figure(f"import of {LARGE - PACKAGE} services", rest["first"]["seconds"], "s"),
        Figure("statements of it", rest["first"]["statements"], ""),
        Figure("its peak memory", rest["mb"], "MB"),
        Figure(f"ndjson of {LARGE} services in full", seconds, "s"),
        Figure("size", size / 1e6, "MB"),
        Figure("its statements", statements, "", at_most=4),
        Figure("memory that it added to a page of 500", out["growth"], "MB", at_most=40),
        Figure("a full page of 50", out["page"][0] * 1000, "ms"),
        Figure("its statements", out["page"][2], "", at_most=4),
        Figure("all ids with dates", out["minimal"][0] * 1000, "ms"),
        Figure("search", out["search"][0] * 1000, "ms"),
        Figure(f"snapshot with {LARGE} services", out["snapshot"], "s"),
        Figure(f"comparing {LARGE} services with {PACKAGE} the first time", alike["first"][0], "s"),
        Figure("processor time of it", alike["first"][1], "s"),
        Figure("pairs that it found", alike["first"][2], "", at_least=PACKAGE),
        Figure("after the other partner published", alike["again"][0], "s"),
        Figure("rows that it wrote", alike["again"][2], "", at_most=0),
        Figure("statements while nobody publishes", alike["idle"][3], "", at_most=2),
    ]


def package(services: int, seed: int = 0) -> bytes:
    """Make a package of HSDS 3 with this many services."""
    draw = random.Random(seed)
    tables: dict[str, list[list[object]]] = {name: [list(head)] for name, head in HEADS.items()}
    organizations = max(1, services // 5)
    for number in range(organizations):
        name = f"{draw.choice(PLACES)} {draw.choice(BODIES)} {number}"
        tables["organizations"].append(
            [f"o{number}", name, f"{name} helps people.", f"https://o{number}.example"]
        )
        tables["phones"].append([f"po{number}", "", f"o{number}", "", _phone(draw)])
    for number in range(len(TERMS)):
        tables["taxonomy_terms"].append([f"t{number}", TERMS[number], TERMS[number], "tree"])
    tables["taxonomies"].append(["tree", "Bench tree", "Terms"])
    for number in range(services):
        kind = draw.choice(TERMS)
        owner = f"o{number % organizations}"
        place = [f"l{number}", owner, f"{draw.choice(PLACES)} hall {number}", "physical"]
        place += [f"{45.4 + draw.random() / 4:.5f}", f"{-122.8 + draw.random() / 2:.5f}"]
        tables["locations"].append(place)
        tables["addresses"].append(
            [
                *(f"a{number}", f"l{number}", f"{number} Main Street", "Portland", "OR"),
                *(f"97{number % 99:02}1", "US", "physical"),
            ]
        )
        tables["services"].append(
            [
                *(f"s{number}", owner, f"{kind} {number}", f"{kind} for everybody. " * 8),
                *("active", "Come by or call.", "Everybody", "Free", f"https://s{number}.example"),
            ]
        )
        for site in range(1 + number % 2):
            tables["service_at_location"].append(
                [f"x{number}-{site}", f"s{number}", f"l{(number + site) % (number + 1)}", "Ring."]
            )
        for days, opens in (("MO,TU,WE", "09:00"), ("TH,FR", "10:00")):
            tables["schedules"].append(
                [f"h{number}{opens}", f"s{number}", "WEEKLY", days, opens, "17:00"]
            )
        tables["phones"].append([f"p{number}", f"s{number}", "", f"l{number}", _phone(draw)])
        tables["languages"].append([f"g{number}", f"s{number}", "Spanish", "es"])
        term = f"t{TERMS.index(kind)}"
        tables["attributes"].append([f"b{number}", f"s{number}", "service", term])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in tables.items():
            text = io.StringIO(newline="")
            csv.writer(text).writerows(rows)
            archive.writestr(f"{name}.csv", text.getvalue())
    return stream.getvalue()


PLACES = ["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Hazel", "Juniper", "Larch", "Maple"]
BODIES = ["Food Bank", "Family Center", "Clinic", "Legal Aid", "Shelter", "Parish", "Union"]
TERMS = ["Food pantry", "Rent help", "Health clinic", "Child care", "Legal advice", "Rides"]
HEADS = {
    "organizations": ("id", "name", "description", "website"),
    "services": (
        *("id", "organization_id", "name", "description", "status", "application_process"),
        *("eligibility_description", "fees_description", "url"),
    ),
    "locations": ("id", "organization_id", "name", "location_type", "latitude", "longitude"),
    "addresses": (
        *("id", "location_id", "address_1", "city", "state_province", "postal_code", "country"),
        "address_type",
    ),
    "service_at_location": ("id", "service_id", "location_id", "description"),
    "phones": ("id", "service_id", "organization_id", "location_id", "number"),
    "schedules": ("id", "service_id", "freq", "byday", "opens_at", "closes_at"),
    "languages": ("id", "service_id", "name", "code"),
    "attributes": ("id", "link_id", "link_entity", "taxonomy_term_id"),
    "taxonomy_terms": ("id", "name", "description", "taxonomy_id"),
    "taxonomies": ("id", "name", "description"),
}


def _phone(draw: random.Random) -> str:
    return f"(503) 555-{draw.randrange(10_000):04}"


def _child(program: str, *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)
