"""Rates and times of what matters, as ratios of things measured in the same run.

A module of this package is a benchmark when it has `run(site) -> list[Figure]`, or, when it needs
no database, `main()`, which prints its figures and returns 0 or 1. Absolute numbers
depend on the machine; what is asserted is a ratio to a baseline that ran beside it, or a bound that
the project promises.
"""

from __future__ import annotations

import gc
import http.client
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, Engine, create_engine

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
    def owner(self) -> Iterator[Connection]:
        """A connection of the schema's owner, outside transactions."""
        engine = create_engine(self.owner_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            yield connection
        engine.dispose()


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


@contextmanager
def signed_in(
    site: Site, role: str, tenant: str, *, extend: Callable[[Any], None] | None = None
) -> Iterator[Client]:
    """Serve the application with waitress, and give a browser of somebody with this role."""
    import threading

    from waitress.server import create_server

    from regional311.app import main as make_app

    email, password = member(site, role, tenant)
    app = make_app({}, configured=site.settings, engine=site.engine, extend=extend)
    server = create_server(app, host="127.0.0.1", port=0, threads=4)
    threading.Thread(target=server.run, daemon=True).start()
    try:
        client = Client(server.effective_port)
        client.sign_in(email, password)
        yield client
    finally:
        server.close()


def member(site: Site, role: str, tenant: str) -> tuple[str, str]:
    """Make somebody with this role; give their address and password."""
    from datetime import UTC, datetime

    from regional311.database.ids import new_token
    from regional311.database.session import Scope, session_scope
    from regional311.identity.service import create_person, grant
    from regional311.referral.snapshot import published

    token, password = new_token(), new_token()
    email = f"{token[:8].lower()}@{tenant}.example"
    scope = Scope(published(site.engine).ids[tenant])
    with session_scope(site.engine, scope) as session:
        person_id = create_person(
            session, email=email, name="Bench", password=password, now=datetime.now(UTC)
        )
        grant(session, person_id=person_id, name="Bench", email=email, roles=[role])
    return email, password


@contextmanager
def served(site: Site, processes: int) -> Iterator[int]:
    """Serve the application as `regional311 serve` does, its worker beside it; give the port."""
    import threading

    from regional311.web.serve import serve

    stop, ready = threading.Event(), threading.Event()
    address: list[str] = []

    def told(url: str) -> None:
        address.append(url)
        ready.set()

    options = {"port": 0, "processes": processes, "on_ready": told, "stop": stop}
    running = threading.Thread(
        target=serve, args=(site.settings, site.database_url), kwargs=options
    )
    running.start()
    try:
        assert ready.wait(90), "the processes did not start"
        yield int(address[0].rpartition(":")[2])
    finally:
        stop.set()
        running.join()


class Client:
    """One browser on one connection that stays open."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, sent: dict[str, str] | None = None) -> tuple[int, str]:
        """Send a request, and give its status and page."""
        headers = {"Cookie": "; ".join(f"{name}={each}" for name, each in self.cookies.items())}
        if sent is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, urlencode(sent) if sent else None, headers)
        answer = self.connection.getresponse()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        return answer.status, answer.read().decode()

    def sign_in(self, email: str, password: str) -> None:
        """Sign in by the form."""
        form = self.form("/auth/sign-in", "sign-in")
        status, page = self.ask(
            "POST", "/auth/sign-in", form | {"email": email, "password": password}
        )
        assert status == 303, page

    def form(self, path: str, name: str) -> dict[str, str]:
        """Open a page, and give the hidden fields of one of its forms, its button pressed."""
        page = self.ask("GET", path)[1]
        found = page.partition(f'id="{name}"')[2].partition("</form>")[0]
        hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', found)
        return dict(hidden) | {"submit": "submit"}


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
