"""A full intake over HTTP beside two baselines, on one server in one run.

The intake is the desk's form for a message: session, form, decision, contact, need, request, usage
events, audit trail, outbox and idempotency key, in one transaction. On the same server:

- *bare*: a view that binds the tenant and inserts one row; no session, no form;
- *round trip*: a view that authenticates and parses the same form, then sends begin, bind, the same
  rows and commit to the database at once and waits once.

Both baselines exist only here. One client keeps its connection and asks the three in turns.

Then the intake alone, served as in production by one process and by two, with eight clients;
clients, database and worker on the same cores.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import psycopg
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from bench import Client, Figure, Site, member, rate, served, side_by_side, signed_in
from regional311.audit.models import AuditEvent
from regional311.database import rows
from regional311.database.ids import new_id, new_token, public_id
from regional311.database.session import Scope, session_scope
from regional311.identity.permissions import Permissions
from regional311.referral import filing
from regional311.referral.snapshot import published
from regional311.web.forms import form_key
from regional311.web.tree import Desk
from regional311.web.views import message

CITY = "city-of-portland"
CLIENTS = 8
SERVICE = f"{CITY}/graffiti"
FIELDS = {
    "danger": "none",
    "channel": "voicemail",
    "language": "en",
    "place_kind": "address",
    "place": "SE Hawthorne Boulevard at 37th",
    "latitude": "45.512",
    "longitude": "-122.625",
    "description": "Big letters on the wall of the school",
    "urgency": "normal",
    "name": "Ana Example",
    "email": "ana@example.org",
    "wants_updates": "true",
    "consent": "refused",
    "service": SERVICE,
}


class RoundTrip:
    """The same rows as an intake's under new ids, sent with everything else at once."""

    def __init__(self, site: Site) -> None:
        region = published(site.engine)
        self.tenant_id = region.ids[CITY]
        now = datetime.now(UTC)
        intake = filing.Intake(
            source="desk",
            key=new_token(),
            channel="voicemail",
            started_at=now,
            ended_at=now,
            service=SERVICE,
            asker=filing.Asker(name="Ana Example", email="ana@example.org", wants_updates=True),
            place=filing.Place("SE Hawthorne Boulevard at 37th"),
            description=FIELDS["description"],
            danger_answer="none",
            consent="refused",
        )
        with session_scope(site.engine, Scope(self.tenant_id)) as session:
            rows.put(session, *filing.plan(region, self.tenant_id, intake, now=now).rows)
            buffer = session.info["buffered_rows"]
            self.tables = tuple(sorted(buffer, key=lambda table: table.name))
            self.rows = [list(map(dict, buffer[table])) for table in self.tables]
            rows.discard(session)
        self.statement = rows._statement(self.tables)  # noqa: SLF001
        self.url = site.database_url.replace("+psycopg", "")
        self.local = threading.local()

    def write(self) -> None:
        """Begin, bind, write and commit, and wait once."""
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = psycopg.connect(self.url)
        fresh: dict[Any, Any] = {}
        values = []
        for found in self.rows:
            renewed = [
                {name: self._fresh(fresh, name, value) for name, value in row.items()}
                for row in found
            ]
            values.append(orjson.dumps(renewed, rows._as_json, rows._PLAIN).decode())  # noqa: SLF001
        with connection.pipeline():
            connection.execute("SELECT bind_tenant(%s, NULL)", (self.tenant_id,))
            psycopg.RawCursor(connection).execute(self.statement, values, prepare=True)
            connection.commit()

    def _fresh(self, fresh: dict[Any, Any], name: str, value: Any) -> Any:
        own = name == "id" or (name.endswith("_id") and name not in self.shared)
        if value is None or not (own or name in ("source_key", "key", "token_hash")):
            return value
        if value not in fresh:
            if name == "public_id":
                fresh[value] = public_id(value[0])
            elif name == "token_hash":
                fresh[value] = new_token().encode()
            else:
                fresh[value] = new_id() if own else new_token()
        return fresh[value]

    shared = frozenset(
        {
            "tenant_id",
            "line_owner_id",
            "service_owner_id",
            "jurisdiction_id",
            "referrer_id",
            "intake_tenant_id",
            "target_tenant_id",
            "person_id",
        }
    )


def run(site: Site) -> list[Figure]:
    """Measure the intake as ratios to both baselines."""
    round_trip = RoundTrip(site)
    round_trip.write()

    def bare(_context: Desk, request: Any) -> Response:
        tenant_id = round_trip.tenant_id
        rows.put(
            request.dbsession,
            rows.new_row(
                AuditEvent,
                tenant_id=tenant_id,
                id=new_id(),
                at=request.now,
                person_id=None,
                action="bench:bare",
                subject_kind="bench",
                subject_id=tenant_id,
                detail={},
            ),
        )
        return Response("ok")

    def at_once(_context: Desk, request: Any) -> Response:
        service = message.offered(request, request.POST.get("service", ""))
        message.made_form(request, service).validate(list(request.POST.items()))
        form_key(request)
        round_trip.write()
        return Response("ok")

    def extend(config: Any) -> None:
        common = {"context": Desk, "request_method": "POST"}
        config.add_view(
            bare, name="bare", permission=NO_PERMISSION_REQUIRED, require_csrf=False, **common
        )
        config.add_view(at_once, name="at-once", permission=Permissions.CONTACT_TAKE, **common)

    with signed_in(site, "specialist", CITY, extend=extend) as client:
        post = _posting(client)
        rates = side_by_side(
            {
                "intake": lambda: post("message", 303),
                "round trip": lambda: post("at-once", 200),
                "bare": lambda: post("bare", 200),
            },
            rounds=7,
            seconds=2.0,
        )
    many = _by_processes(site)
    return [
        *(Figure(f"{name}, a second", each, "/s") for name, each in rates.items()),
        Figure("intake to bare", rates["intake"] / rates["bare"], "", at_least=0.4),
        Figure("intake to round trip", rates["intake"] / rates["round trip"], "", at_least=0.75),
        *(Figure(f"intake by {number}, a second", each, "/s") for number, each in many.items()),
        Figure("two processes to one", many[2] / many[1], "", at_least=1.4),
    ]


def _posting(client: Client) -> Callable[[str, int], None]:
    """Send the message to a view of the desk, each time a new one."""
    form = client.form(f"/{CITY}/desk/message?service={SERVICE}", "message")
    today = datetime.now(ZoneInfo("America/Los_Angeles")).date().isoformat()

    def post(view: str, expected: int) -> None:
        sent = form | FIELDS | {"form_key": new_token(), "received_on": today}
        status, page = client.ask("POST", f"/{CITY}/desk/{view}", sent)
        assert status == expected, page

    return post


def _by_processes(site: Site, *, rounds: int = 3, seconds: float = 6.0) -> dict[int, float]:
    """The median rate with one and with two processes, measured in turns."""
    email, password = member(site, "specialist", CITY)
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for number, rates in found.items():
            with served(site, number) as port, ThreadPoolExecutor(CLIENTS) as pool:
                clients = [Client(port) for _ in range(CLIENTS)]
                for client in clients:
                    client.sign_in(email, password)
                works = [partial(_posting(client), "message", 303) for client in clients]
                rates.append(sum(pool.map(lambda work: rate(work, seconds=seconds), works)))
    return {number: median(rates) for number, rates in found.items()}
