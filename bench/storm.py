"""A storm: four times the peak hour of a real export, through every door at once, for ten minutes.

The arrivals are those of the peak hour of the Los Angeles export (725 requests; 58 hours of calls,
apps and drivers), four of each, in their order and rhythm, compressed into `--minutes`: ten by
default, and in fewer so many less that the pace is the same. The export itself lies in the system
as its history, moved to Portland. Who called is taken in by specialists at the desk, in nine steps
with pauses between them; apps and drivers are Open311 clients; the rest is the public door.

Everything is real: the processes of `regional311 serve` with its worker, HTTP, a mail server that
counts letters. People press twice, connections break before the answer is read and the same form
or key is sent again. Afterwards the database must hold every acknowledged request once and none
beyond, and every contact once. What is asserted of time is a ratio: the desk's p95 in the storm to
its p95 before it. `REGIONAL311_STORM_EXPORT` names another export of the same columns.
"""

from __future__ import annotations

import csv
import html
import http.client
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiosmtpd.controller import Controller
from sqlalchemy import func, select

from bench import ROOT, Client, Figure, Site
from regional311.database.ids import new_token
from regional311.database.session import Scope, session_scope
from regional311.identity import clients
from regional311.identity.service import create_person, grant
from regional311.intake.models import Contact, ServiceRequest
from regional311.notices.models import OutboxMessage
from regional311.referral.snapshot import published
from regional311.replay.service import replay

EXPORT = Path(
    os.environ.get("REGIONAL311_STORM_EXPORT")
    or ROOT.parent / "shared/data/311/la_myla311_2020_jan_requests.csv"
)
CITY = "city-of-portland"
TIMES, MINUTES = 4, 10.0
SPECIALISTS, PROGRAMS, VISITORS = 80, 24, 12
PAUSE = 2.5
"""Seconds between two steps of a specialist in the storm: an hour's pauses, compressed, too."""

QUIET_CONTACTS = 40
IDLE = 30.0
"""Seconds after which a connection is not used again."""

AGAIN = {"pressed twice": 0.05, "answer lost": 0.05}
"""How often a form or a call is sent again, and how."""

SERVICES = {
    "Bulky Items": "illegal-dumping",
    "Graffiti Removal": "graffiti",
    "Illegal Dumping Pickup": "illegal-dumping",
    "Metal/Household Appliances": "illegal-dumping",
    "Homeless Encampment": "campsite",
    "Electronic Waste": "illegal-dumping",
    "Single Streetlight Issue": "street-light",
    "Multiple Streetlight Issue": "street-light",
}
OTHERWISE = "pothole"
DOORS = {"Call": "desk", "Mobile App": "open311", "Driver Self Report": "open311"}
PEOPLE_SAY = {
    "illegal-dumping": "dumped garbage",
    "graffiti": "graffiti on a wall",
    "campsite": "homeless camp",
    "street-light": "street light is out",
    "pothole": "hole in the street",
}
INFORMED = ("Give this information", "helps with this")
"""What is said where nothing is filed, as of a road of the State."""

LOS_ANGELES = ((33.7, 34.35), (-118.67, -118.15))
PORTLAND = ((45.47, 45.58), (-122.72, -122.56))
HISTORY = """
unplaced = "something-else"

[source]
name = "storm-history"
zone = "America/Los_Angeles"
time_formats = ["%Y-%m-%d %H:%M"]

[columns]
key = "number"
started_at = "at"
channel = "source"
service = "type"
latitude = "latitude"
longitude = "longitude"
description = "text"

[channels]
desk = "phone"
open311 = "app"
public = "web"

[services]
"""
HIDDEN = re.compile(r"<input\b[^>]*\btype=\"hidden\"[^>]*>")
NUMBER = re.compile(r"d-number[^>]*>\s*(R-[0-9A-Z-]+)")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the export, moved to Portland."""

    number: str
    at: datetime
    door: str
    service: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who comes, so many seconds after the storm begins."""

    after: float
    key: str
    row: Row


def read(export: Path) -> list[Row]:
    """Read the export."""
    with export.open(encoding="utf-8-sig", newline="") as file:
        return [
            Row(
                each["srnumber"],
                datetime.strptime(each["createddate"], "%m/%d/%y %H:%M"),  # noqa: DTZ007 local
                DOORS.get(each["requestsource"], "public"),
                SERVICES.get(each["requesttype"], OTHERWISE),
                moved(float(each["latitude"]), 0),
                moved(float(each["longitude"]), 1),
            )
            for each in csv.DictReader(file)
            if each["latitude"] and each["longitude"]
        ]


def moved(value: float, axis: int) -> float:
    """Move a coordinate from Los Angeles to Portland.

    >>> moved(33.7, 0), moved(34.35, 0)
    (45.47, 45.58)
    """
    (low, high), (to_low, to_high) = LOS_ANGELES[axis], PORTLAND[axis]
    share = min(max((value - low) / (high - low), 0), 1)
    return round(to_low + share * (to_high - to_low), 6)


def arrivals(rows: Sequence[Row], minutes: float) -> list[Arrival]:
    """Give who comes, and when: the peak hour's rhythm, four times its people, compressed."""
    hours = Counter(each.at.replace(minute=0) for each in rows)
    peak = max(hours, key=lambda hour: (hours[hour], hour))
    chance = random.Random(311)
    copies = TIMES * minutes / MINUTES
    found = []
    for row in rows:
        if row.at.replace(minute=0) != peak:
            continue
        more = chance.random() < copies % 1
        for copy in range(int(copies) + more):
            after = (row.at.minute + chance.random()) * minutes
            near = replace(
                row,
                latitude=round(row.latitude + chance.uniform(-0.01, 0.01), 6),
                longitude=round(row.longitude + chance.uniform(-0.01, 0.01), 6),
            )
            found.append(Arrival(after, f"{row.number}/{copy}", near))
    return sorted(found, key=lambda each: each.after)


# --- what is counted ------------------------------------------------------------------------------


class Unexpected(Exception):
    """An answer that nobody should get."""


@dataclass
class Tally:
    """What came of it; any thread may write."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """By arrival: the number that was told."""
    informed: set[str] = field(default_factory=set)
    """Arrivals that were answered without a request, such as about the State's roads."""
    contacts: set[str] = field(default_factory=set)
    """Contacts that specialists began."""
    promised: set[str] = field(default_factory=set)
    """Addresses of those who asked to hear of the request whose number they were told."""
    taken: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each action of the desk."""
    errors: list[str] = field(default_factory=list)
    again: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def told(self, arrival: Arrival, number: str, email: str | None) -> None:
        """Note the number that somebody was told; two different ones are an error.

        Who was told a number and gave an `email` is to hear of it there.
        """
        with self.lock:
            if not number.startswith("R-"):
                self.informed.add(arrival.key)
                return
            if self.acknowledged.setdefault(arrival.key, number) != number:
                self.errors.append(f"{arrival.key} was told two numbers")
            if email is not None:
                self.promised.add(email)

    def took(self, action: str, seconds: float) -> None:
        """Note how long an action of the desk took."""
        with self.lock:
            self.taken.setdefault(action, []).append(seconds)

    def wrong(self, what: str) -> None:
        """Note an error."""
        with self.lock:
            self.errors.append(what)

    def durations(self) -> list[float]:
        """Give how long every action of the desk took."""
        return [each for found in self.taken.values() for each in found]


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 do not exceed.

    >>> p95([float(each) for each in range(1, 101)])
    95.05
    """
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


# --- who takes part -------------------------------------------------------------------------------


@dataclass
class Answer:
    """What the server said."""

    status: int
    page: str
    location: str


class Browser(Client):
    """A browser that notes what should not be, and sends again what was not answered."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.connection.timeout = 60
        self.used = time.monotonic()
        self.headers: dict[str, str] = {}

    def send(
        self,
        method: str,
        path: str,
        sent: dict[str, str] | None = None,
        *,
        allow: Sequence[int] = (200, 303),
    ) -> Answer:
        """Send a request and give what came back. Raises `Unexpected` for other statuses."""
        if time.monotonic() - self.used > IDLE:
            # the server closes what is idle for a minute; a browser opens a new one, too
            self.connection.close()
        self._request(self.connection, method, path, sent)
        self.used = time.monotonic()
        found = self.connection.getresponse()
        for name, value in found.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        page = found.read().decode()
        if found.status not in allow:
            raise Unexpected(f"{method} {path.partition('?')[0]}: {found.status} {_title(page)}")
        return Answer(found.status, page, _path(found.getheader("Location") or ""))

    def _request(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        sent: dict[str, str] | None,
    ) -> None:
        headers = {"Cookie": "; ".join(f"{name}={each}" for name, each in self.cookies.items())}
        headers |= self.headers
        if sent is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, urlencode(sent) if sent else None, headers)

    def send_anyhow(
        self, path: str, sent: dict[str, str], how: str | None, allow: Sequence[int]
    ) -> list[Answer]:
        """Send a form, perhaps again; every answer that came is given."""
        if how == "answer lost":
            lost = http.client.HTTPConnection("127.0.0.1", self.connection.port, timeout=60)
            self._request(lost, "POST", path, sent)
            lost.close()
        if how != "pressed twice":
            return [self.send("POST", path, sent, allow=allow)]
        other = Browser(self.connection.port)
        other.cookies, other.headers = dict(self.cookies), dict(self.headers)
        found: list[Answer | Exception] = []

        def press(browser: Browser) -> None:
            try:
                found.append(browser.send("POST", path, sent, allow=allow))
            except (Unexpected, OSError, http.client.HTTPException) as error:
                found.append(error)

        second = threading.Thread(target=press, args=(other,))
        second.start()
        press(self)
        second.join()
        other.connection.close()
        for each in found:
            if isinstance(each, Exception):
                raise each
        return [each for each in found if isinstance(each, Answer)]


def hidden(page: str, name: str) -> dict[str, str]:
    """Give the hidden fields of a form of a page, its button pressed."""
    found = page.partition(f'id="{name}"')[2].partition("</form>")[0]
    if not found:
        raise Unexpected(f"no form {name}: {_title(page)}")
    fields = {"submit": "submit"}
    for each in HIDDEN.findall(found):
        key, value = re.search(r'name="([^"]*)"', each), re.search(r'value="([^"]*)"', each)
        if key and value:
            fields[key[1]] = html.unescape(value[1])
    return fields


def _title(page: str) -> str:
    return page.partition("<title>")[2].partition("</title>")[0] or page[:200]


def _path(location: str) -> str:
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _number(answers: Sequence[Answer]) -> str:
    found = {(NUMBER.search(each.page) or [None, ""])[1] for each in answers}
    informed = any(each in answers[0].page for each in INFORMED)
    if len(found) != 1 or (found == {""} and not informed):
        raise Unexpected(f"no number, or several: {found}, {_title(answers[0].page)}")
    return str(found.pop())


class Person:
    """Somebody who takes part: their browser, what they note, and how they send again."""

    def __init__(self, port: int, tally: Tally, seed: str) -> None:
        self.browser = Browser(port)
        self.tally = tally
        self.chance = random.Random(seed)

    def again(self) -> str | None:
        """Say whether, and how, this is sent again."""
        drawn = self.chance.random()
        for how, share in AGAIN.items():
            if drawn < share:
                with self.tally.lock:
                    self.tally.again[how] += 1
                return how
            drawn -= share
        return None

    def mail(self) -> dict[str, str]:
        """Three of ten want to hear by mail."""
        if self.chance.random() >= 0.3:
            return {}
        address = f"{self.chance.getrandbits(48):x}@people.example"
        return {"email": address, "wants_updates": "true"}

    def place(self, row: Row) -> dict[str, str]:
        """Say where, as a form takes it."""
        return {
            "place": f"{self.chance.randrange(1, 9999)} NE Alberta Street",
            "latitude": str(row.latitude),
            "longitude": str(row.longitude),
        }


class Specialist(Person):
    """Takes a contact in at the desk, in nine steps."""

    def __init__(self, port: int, tally: Tally, email: str, password: str) -> None:
        super().__init__(port, tally, email)
        form = hidden(self.browser.send("GET", "/auth/sign-in").page, "sign-in")
        self.browser.send("POST", "/auth/sign-in", form | {"email": email, "password": password})

    def serve(self, arrival: Arrival, pause: float) -> None:
        """Take one contact in, from the first ring to the end."""
        row, desk = arrival.row, f"/{CITY}/desk"
        page = self._act("open the desk", "GET", desk, None, pause).page
        form = hidden(page, "start") | {
            "channel": "phone",
            "line": f"{CITY}/main",
            "language": "en",
        }
        here = self._act("start", "POST", desk, form, pause).location
        with self.tally.lock:
            self.tally.contacts.add(here.rpartition("/")[2])
        form = hidden(self._act("contact", "GET", here, None, pause).page, "screen")
        self._act("danger", "POST", f"{here}/danger", form | {"answer": "none"}, pause)
        said = urlencode({"q": PEOPLE_SAY[row.service]})
        page = self._act("search", "GET", f"{here}?{said}", None, pause).page
        wanted = urlencode({"service": f"{CITY}/{row.service}"})
        page = self._act("service", "GET", f"{here}?{wanted}", None, pause).page
        form = hidden(page, "need") | {
            "place_kind": "address",
            **self.place(row),
            "description": "It has been there since the night",
            "urgency": "normal",
            **self.mail(),
        }
        self._act("who is responsible", "POST", f"{here}/preview", form | {"preview": "yes"}, pause)
        begun = time.perf_counter()
        answers = self.browser.send_anyhow(f"{here}/need", form, self.again(), (200,))
        self.tally.took("file", time.perf_counter() - begun)
        number = _number(answers)
        self.tally.told(arrival, number, form.get("email"))
        self._wait(pause)
        form = hidden(answers[-1].page, "wrap-up") | {"disposition": "request_filed", "note": ""}
        self._act("wrap up", "POST", f"{here}/wrap-up", form, pause)
        if self.chance.random() < 0.2:
            self._act("the queue", "GET", f"/{CITY}/requests", None, pause)
            self._act("a request", "GET", f"/{CITY}/requests/{number}", None, pause)

    def _act(
        self, action: str, method: str, path: str, sent: dict[str, str] | None, pause: float
    ) -> Answer:
        begun = time.perf_counter()
        answer = self.browser.send(method, path, sent)
        self.tally.took(action, time.perf_counter() - begun)
        self._wait(pause)
        return answer

    def _wait(self, pause: float) -> None:
        time.sleep(self.chance.uniform(0.5, 1.5) * pause)


class Visitor(Person):
    """Reports something at the public door, and looks at it by its secret link."""

    def serve(self, arrival: Arrival, pause: float) -> None:  # noqa: ARG002
        """Report, in the steps of a browser without a script."""
        row, browser = arrival.row, self.browser
        service = urlencode({"service": f"{CITY}/{row.service}"})
        browser.send("GET", "/search?" + urlencode({"q": PEOPLE_SAY[row.service]}))
        form = hidden(browser.send("GET", f"/report?{service}").page, "screen")
        where = browser.send("POST", f"/report?{service}", form | {"danger": "none"}).location
        form = hidden(browser.send("GET", where).page, "report")
        form |= self.place(row) | self.mail() | {"description": "It has been there for days"}
        answers = browser.send_anyhow(where, form, self.again(), (200, 303))
        if 'name="same_as"' in answers[0].page:
            # others reported something here: this is something else
            form |= hidden(answers[0].page, "report") | {"same_as": "other"}
            answers = browser.send_anyhow(where, form, self.again(), (303,))
        answers = [browser.send("GET", each.location) for each in answers]
        self.tally.told(arrival, _number(answers), form.get("email"))
        link = re.search(r"/track/[\w-]+", answers[0].page)
        if link is not None:
            browser.send("GET", link[0])


class Program(Person):
    """An app that posts by Open311 and reads what it posted."""

    def __init__(self, port: int, tally: Tally, key: str, seed: str) -> None:
        super().__init__(port, tally, seed)
        self.key = key

    def serve(self, arrival: Arrival, pause: float) -> None:  # noqa: ARG002
        """Post a request and read it again."""
        row, browser = arrival.row, self.browser
        mail = self.mail()
        browser.headers = {"Idempotency-Key": new_token()}
        sent = {
            "api_key": self.key,
            "service_code": row.service,
            "lat": str(row.latitude),
            "long": str(row.longitude),
            "description": "Seen on the way",
        } | ({"email": mail["email"]} if mail else {})
        path = f"/{CITY}/open311/v2/requests.json"
        answers = browser.send_anyhow(path, sent, self.again(), (201,))
        browser.headers = {}
        found = {
            (re.search(r'"(?:service_request_id|token)":\s*"([^"]+)"', each.page) or [None, ""])[1]
            for each in answers
        }
        if len(found) != 1 or found == {""}:
            raise Unexpected(f"no number, or several: {found}, {answers[0].page[:200]}")
        number = str(found.pop())
        self.tally.told(arrival, number, mail.get("email"))
        if number.startswith("R-"):
            browser.send("GET", f"/{CITY}/open311/v2/requests/{number}.json")


# --- the storm ------------------------------------------------------------------------------------


def run(site: Site, minutes: float = MINUTES) -> list[Figure]:
    """Measure the desk in quiet and in the storm, and hold the database against what was told."""
    if not EXPORT.exists():
        print(f"storm is left out: there is no {EXPORT}.", file=sys.stderr)
        return []
    rows = read(EXPORT)
    coming = arrivals(rows, minutes)
    _history(site, rows)
    people, password = _people(site)
    with tempfile.TemporaryFile() as log, _mail_server() as (mail_port, letters):
        with _served(site, mail_port, log) as port:
            begun = datetime.now(UTC)
            key = _key(site)
            warm, quiet, storm = Tally(), Tally(), Tally()
            staff = [Specialist(port, storm, email, password) for email in people]
            alone = staff[0]
            lull = [Arrival(0, f"quiet/{at}", each.row) for at, each in enumerate(coming)]
            for tally, some in ((warm, lull[:5]), (quiet, lull[5 : 5 + QUIET_CONTACTS])):
                alone.tally = tally
                for each in some:
                    _serve(alone, each, 0.02)
            alone.tally = storm
            seconds = _storm(coming, minutes, staff, port, key, storm)
            pending = _drained(site)
        log.seek(0)
        failed = [each for each in log.read().decode().splitlines() if '"level": "error"' in each]
    storm.errors += [*warm.errors, *quiet.errors, *(f"log: {each[:300]}" for each in failed)]
    for each in storm.errors[:20]:
        print(f"  {each}", file=sys.stderr)
    told = [*warm.acknowledged.values(), *quiet.acknowledged.values()]
    told += storm.acknowledged.values()
    lost, beyond, doubled = _compared(site, begun, told)
    contacts = len(coming) + len(lull[: 5 + QUIET_CONTACTS])
    for action, each in sorted(storm.taken.items()):
        before = quiet.taken.get(action)
        calm = f"{p95(before) * 1000:7.0f}" if before and len(before) > 1 else "      -"
        print(f"    {action:<20} p95 {calm} ms quiet, {p95(each) * 1000:7.0f} ms in the storm")
    calm, rough = p95(quiet.durations()), p95(storm.durations())
    promised = warm.promised | quiet.promised | storm.promised
    return [
        Figure(f"requests in {minutes:g} min", len(coming), ""),
        Figure("answered", len(storm.acknowledged) + len(storm.informed), "", at_least=len(coming)),
        Figure("sent twice, or again", sum(storm.again.values()), ""),
        Figure("errors", len(storm.errors), "", at_most=0),
        Figure("lost requests", len(lost), "", at_most=0),
        Figure("requests beyond those told", len(beyond), "", at_most=0),
        Figure("numbers told to two", doubled, "", at_most=0),
        Figure("contacts too few or too many", abs(_contacts(site, begun) - contacts), "", None, 0),
        Figure("letters that wait or are dead", pending, "", at_most=0),
        Figure("letters that came twice", letters.twice, "", at_most=0),
        Figure("asked to hear of it", len(promised), ""),
        Figure("asked to hear of it, and did not", len(promised - letters.reached), "", None, 0),
        Figure("seconds until all were served", seconds, "s"),
        Figure("desk, p95 when quiet", calm * 1000, "ms"),
        Figure("desk, p95 in the storm", rough * 1000, "ms"),
        Figure("desk, storm to quiet", rough / calm, "", at_most=3),
    ]


def _serve(person: Any, arrival: Arrival, pause: float) -> None:
    try:
        person.serve(arrival, pause)
    except (Unexpected, OSError, http.client.HTTPException) as error:
        person.tally.wrong(f"{type(person).__name__}: {type(error).__name__}: {error}")
        person.browser.connection.close()


def _storm(
    coming: Sequence[Arrival],
    minutes: float,
    staff: Sequence[Specialist],
    port: int,
    key: str,
    tally: Tally,
) -> float:
    """Let everybody come in their time; give the seconds until the last was served."""
    doors: dict[str, Queue[Arrival]] = {each: Queue() for each in ("desk", "open311", "public")}
    over = threading.Event()
    programs = [Program(port, tally, key, f"program {at}") for at in range(PROGRAMS)]
    visitors = [Visitor(port, tally, f"visitor {at}") for at in range(VISITORS)]

    def attend(person: Any, door: Queue[Arrival], pause: float) -> None:
        while True:
            try:
                arrival = door.get(timeout=0.2)
            except Empty:
                if over.is_set():
                    return
                continue
            _serve(person, arrival, pause)

    everybody = [
        *((each, doors["desk"], PAUSE) for each in staff),
        *((each, doors["open311"], 0.0) for each in programs),
        *((each, doors["public"], 0.0) for each in visitors),
    ]
    threads = [threading.Thread(target=attend, args=each, daemon=True) for each in everybody]
    for each in threads:
        each.start()
    begun = time.perf_counter()
    for each in coming:
        time.sleep(max(0.0, each.after - (time.perf_counter() - begun)))
        doors[each.row.door].put(each)
    over.set()
    for thread in threads:
        thread.join(timeout=60 * minutes + 600)
    return time.perf_counter() - begun


# --- what is there before, and after --------------------------------------------------------------


def _history(site: Site, rows: Sequence[Row]) -> None:
    """Replay the export as what the city took in during the last days."""
    latest = max(each.at for each in rows)
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="regional311-storm-") as directory:
        export, map_file = Path(directory) / "history.csv", Path(directory) / "map.toml"
        services = sorted({each.service for each in rows})
        map_file.write_text(HISTORY + "".join(f'{each} = "{each}"\n' for each in services))
        with export.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("number", "at", "source", "type", "latitude", "longitude", "text"))
            for row in rows:
                at = (now - timedelta(days=1) - (latest - row.at)).strftime("%Y-%m-%d %H:%M")
                place = (row.latitude, row.longitude)
                writer.writerow((row.number, at, row.door, row.service, *place, "as reported"))
        replay(site.engine, export, tenant=CITY, map_file=map_file, now=now)


def _people(site: Site) -> tuple[list[str], str]:
    """Make the specialists, who all have one password."""
    from regional311.identity.passwords import hash_password

    password = new_token()
    hashed = hash_password(password)
    emails = [f"storm-{at}@{CITY}.example" for at in range(SPECIALISTS)]
    with session_scope(site.engine, Scope(published(site.engine).ids[CITY])) as session:
        for email in emails:
            person_id = create_person(
                session,
                email=email,
                name="Storm",
                password=None,
                password_hash=hashed,
                now=datetime.now(UTC),
            )
            grant(session, person_id=person_id, name="Storm", email=email, roles=["specialist"])
    return emails, password


def _key(site: Site) -> str:
    with session_scope(site.engine, Scope(published(site.engine).ids[CITY])) as session:
        return clients.make_client(
            session,
            name="Storm",
            scopes=["open311:requests"],
            a_minute=clients.MOST_A_MINUTE,
            now=datetime.now(UTC),
        )


class _Letters:
    """Takes every letter: which were there before by their message ids, and whom they reached."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.twice = 0
        self.reached: set[str] = set()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Take a letter."""
        head = envelope.content.decode(errors="replace").partition("\r\n\r\n")[0]
        found = re.search(r"(?im)^message-id:\s*(\S+)", head)
        name = found[1] if found else head
        self.twice += name in self.seen
        self.seen.add(name)
        self.reached.update(each.lower() for each in envelope.rcpt_tos)
        return "250 2.0.0 Kept"


@contextmanager
def _mail_server() -> Iterator[tuple[int, _Letters]]:
    letters = _Letters()
    controller = Controller(letters, hostname="127.0.0.1", port=_free_port())
    controller.start()
    try:
        yield controller.port, letters
    finally:
        controller.stop()


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _served(site: Site, mail_port: int, log: Any) -> Iterator[int]:
    """Run `regional311 serve` as anybody does; give its port."""
    settings = replace(
        site.settings, database_url=site.database_url, smtp_url=f"smtp://127.0.0.1:{mail_port}"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "regional311.cli", "serve", "--port", "0"],
        env=os.environ | settings.as_environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline().decode()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if found is None:
            log.seek(0)
            raise RuntimeError(f"serve did not begin: {line}{log.read().decode()[-2000:]}")
        # what else it says must not fill the pipe
        threading.Thread(target=_forward(process.stdout, log), daemon=True).start()
        yield int(found[1])
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _forward(source: Any, log: Any) -> Callable[[], None]:
    def forward() -> None:
        for line in source:
            log.write(line)

    return forward


def _drained(site: Site) -> int:
    """Wait until the worker has delivered what it owes; give what is left or was given up."""
    until = time.monotonic() + 300
    while True:
        left = 0
        for tenant_id in published(site.engine).ids.values():
            with session_scope(site.engine, Scope(tenant_id)) as session:
                left += session.execute(
                    select(func.count()).where(
                        OutboxMessage.tenant_id == tenant_id,
                        OutboxMessage.state.in_(("pending", "dead")),
                        OutboxMessage.recipient.like("%@people.example"),
                    )
                ).scalar_one()
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.5)


def _compared(site: Site, begun: datetime, told: Sequence[str]) -> tuple[set[str], set[str], int]:
    """Give the numbers that are lost, those that nobody was told, and how many went to two."""
    stored: Counter[str] = Counter()
    for tenant_id in published(site.engine).ids.values():
        with session_scope(site.engine, Scope(tenant_id)) as session:
            stored.update(
                session.scalars(
                    select(ServiceRequest.public_id).where(
                        ServiceRequest.tenant_id == tenant_id, ServiceRequest.opened_at >= begun
                    )
                )
            )
    twice = sum(each - 1 for each in Counter(told).values())
    twice += sum(each - 1 for each in stored.values())
    return set(told) - stored.keys(), stored.keys() - set(told), twice


def _contacts(site: Site, begun: datetime) -> int:
    found = 0
    for tenant_id in published(site.engine).ids.values():
        with session_scope(site.engine, Scope(tenant_id)) as session:
            found += session.execute(
                select(func.count()).where(
                    Contact.tenant_id == tenant_id, Contact.started_at >= begun
                )
            ).scalar_one()
    return found
