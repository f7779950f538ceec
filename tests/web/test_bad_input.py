"""Bad input at every door: one clear refusal that names the field, and nothing is kept of it."""

from __future__ import annotations

import gc
import html
import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest
from PIL import Image
from sqlalchemy import text

from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.exchange.webhooks import key_of, sign
from regional311.identity.clients import API_SCOPES, make_client
from regional311.settings import Settings
from tests.intake.pictures_sent import PNG
from tests.web.conftest import SECRET, elsewhere

pytestmark = [
    pytest.mark.commits,
    # what is large is read by way of a file, which is closed when it is forgotten
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CITY = "city-of-portland"
OPEN: Final = datetime(2026, 10, 5, 18, tzinfo=UTC)
"""A Monday at eleven in Portland: the chat and the front desk are there."""
WHSEC = "whsec_" + "c2VjcmV0" * 4
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

KEPT: Final = (
    "accommodations",
    "attachments",
    "calls",
    "contacts",
    "inquirers",
    "needs",
    "outbox_messages",
    "referrals",
    "request_updates",
    "service_requests",
    "thread_messages",
    "threads",
    "visits",
)
"""Where a door puts what it takes."""

_numbers = count(1)


@pytest.fixture(scope="module")
def configured(tmp_path_factory) -> Settings:
    return Settings(
        var=Path(tmp_path_factory.mktemp("var")),
        secret=SECRET,
        phone_secret=WHSEC,
        text_secret=WHSEC,
    )


@pytest.fixture(autouse=True)
def monday(clock):
    clock.now = OPEN


@pytest.fixture
def kept(web_engine, people):
    """How much every door has kept so far, by table."""

    def counted() -> dict[str, int]:
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            return {
                each: session.execute(text(f"SELECT count(*) FROM {each}")).scalar_one()
                for each in KEPT
            }

    return counted


@pytest.fixture(scope="module")
def keys(web_engine, people):
    """A key of each interface for programs."""
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        return {
            name: make_client(session, name=name, scopes=scopes, a_minute=6_000, now=OPEN)
            for name, scopes in (
                ("open311", ["open311:requests", "open311:updates"]),
                ("api", list(API_SCOPES)),
            )
        }


class Door:
    """A door: what it takes when all is well, and how that is sent with some of it changed."""

    def __init__(self, app: Any, path: str, good: dict[str, Any], **headers: str) -> None:
        self.app, self.path, self.good, self.headers = app, path, good, headers

    def body(self, changes: dict[str, Any]) -> tuple[bytes, str]:
        values = {**self.good, **changes}
        pairs = [
            (name, each)
            for name, value in values.items()
            for each in (value if isinstance(value, list) else [value])
        ]
        return urlencode(pairs, encoding="utf-8", errors="surrogatepass").encode(), FORM

    def send(
        self, changes: dict[str, Any] | None = None, *, raw: Any = None, kind: str = ""
    ) -> Any:
        body, usual = self.body(changes or {})
        body = body if raw is None else raw
        headers = self.more(body) | {"Content-Type": kind or usual}
        return self.app.post(self.path, body, headers, status="*")

    def more(self, _body: bytes) -> dict[str, str]:
        return self.headers


class JsonDoor(Door):
    """A door that takes one JSON object."""

    def body(self, changes: dict[str, Any]) -> tuple[bytes, str]:
        found: dict[str, Any] = json.loads(json.dumps(self.good))
        for name, value in changes.items():
            *parts, last = name.split("/")
            place = found
            for part in parts:
                place = place.setdefault(part, {})
            place[last] = value
        return json.dumps(found).encode(), JSON

    def more(self, _body: bytes) -> dict[str, str]:
        return {**self.headers, "Idempotency-Key": f"call-{next(_numbers)}"}


class SignedDoor(JsonDoor):
    """A door whose messages are signed."""

    def more(self, body: bytes) -> dict[str, str]:
        return sign(str(new_id()), body, key=key_of(WHSEC), now=OPEN)


def _public(app: Any, page: str, path: str, form: str | None, **values: Any) -> Door:
    shown = app.get(page)
    found = (
        shown.forms[form]
        if form
        else next(each for each in shown.forms.values() if each.action.endswith(path))
    )
    fields = {name: value for name, value in found.submit_fields() if name}
    return Door(app, path, {**fields, **values})


def _report(app: Any, _keys: Any, _sign_in: Any) -> Door:
    path = f"/report?service={CITY}/pothole"
    point = elsewhere()
    return _public(app, f"{path}&danger=none", path, "report", place="SW Main", submit="", **point)


def _accommodation(app: Any, _keys: Any, _sign_in: Any) -> Door:
    return _public(
        app, "/accommodation", "/accommodation", "accommodation",
        owner=f"{CITY}/pbot", sort="request", kind="physical_access",
        details="A ramp is missing.", submit="",
    )  # fmt: skip


def _chat(app: Any, _keys: Any, _sign_in: Any) -> Door:
    return _public(app, f"/chat/{CITY}", f"/chat/{CITY}", None, text="Where is my bin?")


def _front_desk(_app: Any, _keys: Any, sign_in: Any) -> Door:
    path = f"/{CITY}/front-desk"
    browser = sign_in("specialist", CITY)
    return _public(browser, path, path, "arrive", reason="A bill", submit="")


def _texts(app: Any, _keys: Any, _sign_in: Any) -> Door:
    data = {"id": str(new_id()), "from": "+15035550188", "to": "503-555-0171", "text": "A hole"}
    return SignedDoor(app, "/texts", {"type": "message.received", "data": data})


def _calls(app: Any, _keys: Any, _sign_in: Any) -> Door:
    data = {"id": str(new_id()), "from": "+15035550188", "to": "(503) 823-4000"}
    return SignedDoor(app, "/calls", {"type": "call.ringing", "data": data})


def _open311(app: Any, keys: Any, _sign_in: Any) -> Door:
    point = elsewhere()
    values = {
        "api_key": keys["open311"],
        "service_code": "pothole",
        "lat": point["latitude"],
        "long": point["longitude"],
        "description": "A hole.",
    }
    return Door(app, f"/{CITY}/open311/v2/requests.json", values)


def _open311_region(app: Any, keys: Any, _sign_in: Any) -> Door:
    door = _open311(app, keys, None)
    return Door(app, "/open311/v2/requests.xml", {**door.good, "jurisdiction_id": CITY})


def _api(app: Any, keys: Any, _sign_in: Any) -> Door:
    point = {name: float(value) for name, value in elsewhere().items()}
    good = {"service": "pothole", "place": point, "answers": {"size": "wheel"}}
    return JsonDoor(app, f"/{CITY}/requests", good, Authorization=f"Bearer {keys['api']}")


def _api_contact(app: Any, keys: Any, _sign_in: Any) -> Door:
    good = {"channel": "phone", "danger": "none", "note": "A question"}
    return JsonDoor(app, f"/{CITY}/contacts", good, Authorization=f"Bearer {keys['api']}")


DOORS: Final[dict[str, Callable[[Any, Any, Any], Door]]] = {
    "report": _report,
    "accommodation": _accommodation,
    "chat": _chat,
    "front desk": _front_desk,
    "texts": _texts,
    "calls": _calls,
    "open311": _open311,
    "open311 of the region": _open311_region,
    "api": _api,
    "api contact": _api_contact,
}


@pytest.fixture
def door(request, testapp, keys, sign_in):
    return DOORS[request.param](testapp, keys, sign_in)


every = pytest.mark.parametrize("door", DOORS, indirect=True)


@pytest.fixture
def refused(door, kept):
    """Send what is wrong: it is refused with a word that names the field, and nothing is kept."""
    before = kept()

    def send(word: str = "", status: int | None = None, **sent: Any) -> str:
        answer = door.send(**sent)
        said = html.unescape(answer.text)
        about = f"{sent}: {answer.status_int} {said[:3000]}"
        assert 400 <= answer.status_int < 500, about
        assert status in (None, answer.status_int), about
        assert word in said, about
        assert kept() == before, about
        return said

    yield send
    # the same form is good once it is mended
    assert door.send().status_int in (200, 201, 303)
    assert kept() != before
    gc.collect()


@every
def test_what_is_no_form_and_no_json(refused):
    for raw, kind in (
        (b"<a/>", "application/xml"),
        (b"hello", "text/plain"),
        (b"", "application/octet-stream"),
        (b"x", "multipart/form-data"),
        (b"--a\r\nx", "multipart/form-data; boundary=a"),
        (b"[]", JSON),
        (b"[" * 100_000, JSON),
        (b'{"a": "\xff"}', JSON),
        (b"description=\xe9\xff&text=\xff", FORM),
        (b"a=b", f"{FORM}; charset=klingon"),
        (b"a=1&" * 20_000, FORM),
    ):
        refused(raw=raw, kind=kind)


@every
def test_what_is_too_large(refused):
    refused("too large", 413, raw=b"a=" + b"x" * 3_000_000, kind=FORM)


TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "report": ("place", "name", "phone", "email", "description*"),
    "accommodation": ("name", "email", "details*"),
    "chat": ("name", "text*"),
    "front desk": ("name", "reason", "accommodation"),
    "texts": ("data/id", "data/text*"),
    "calls": ("data/id",),
    "open311": (
        *("address_string", "address_id", "first_name", "last_name", "phone", "email"),
        *("media_url", "description*"),
    ),
    "open311 of the region": ("first_name", "last_name", "description*"),
    "api": ("place/text", "person/name", "person/phone", "person/email", "description*"),
    "api contact": ("note*",),
}
"""Fields for words; a star marks those of several lines."""
CLEANED: Final = (("chat", "text*"), ("chat", "name"), ("texts", "data/text*"))
"""Control characters are taken out of what somebody wrote there, and the rest is heard."""
WRONG: Final = {
    "long": "x" * 50_000,
    "nul": "a\0b",
    "half": "a\ud83d",
    "control": "a\x07b\x1b[2J",
    "header": "Rosa\r\nBcc: all@example.org",
}


@every
def test_words_that_cannot_be_taken(request, refused):
    door = request.node.callspec.params["door"]
    for field in TEXTS[door]:
        for what, value in WRONG.items():
            if what == "header" and field.endswith("*"):
                continue
            if what in ("control", "header") and (door, field) in CLEANED:
                continue
            name = field.rstrip("*")
            refused(SAID.get((door, what), name.rpartition("/")[2]), changes={name: value})


SAID: Final = {
    **{(each, what): "at most" for each in ("report", "front desk", "accommodation", "chat")
       for what in ("long",)},
    **{(each, what): "characters that cannot be shown"
       for each in ("report", "front desk", "accommodation") for what in ("control", "header")},
}  # fmt: skip
"""A form shows it at the field, in a sentence of its own."""

POINTS: Final = {
    "report": ("latitude", "longitude", "latitude", "latitude"),
    "open311": ("lat", "long", "lat", "lat and long"),
    "open311 of the region": ("lat", "long", "lat", "lat and long"),
    "api": ("place/latitude", "place/longitude", "place", "place/latitude"),
}
"""How a point is sent, and how what is wrong with it is named: with one of the two, and far off."""


@pytest.mark.parametrize("door", POINTS, indirect=True)
def test_a_place_where_nobody_of_the_region_is(request, door, refused):
    latitude, longitude, one, far = POINTS[request.node.callspec.params["door"]]
    plain = isinstance(door, JsonDoor)
    for north, east, word in (
        ("-33.86", "151.2", far),
        ("0", "0", far),
        ("45.5152", "122.6784", far),
        ("-122.6784", "45.5152", "90"),
        ("NaN", "NaN", one),
        ("Infinity", "-122.6784", one),
        ("45.5152", "", "long" if "lat" in latitude else one),
        ("4e1", "-122.6784", "" if plain else far if latitude == "lat" else "number"),
    ):
        values = (None if each == "" else float(each) for each in (north, east))
        sent = dict(zip((latitude, longitude), values if plain else (north, east), strict=True))
        refused(word, changes=sent)


@pytest.mark.parametrize(
    "door", ["report", "accommodation", "chat", "front desk", "open311", "open311 of the region"],
    indirect=True,
)  # fmt: skip
def test_what_is_there_twice(request, door, refused):
    words = [each.rstrip("*") for each in TEXTS[request.node.callspec.params["door"]]]
    for field in [*words, *({"lat", "extensions"} if "lat" in door.good else ())]:
        value = "a@example.org" if field == "email" else "45.5"
        refused("twice", changes={field: [value, f"{value}1"]})


@pytest.mark.parametrize("door", ["texts", "calls", "api", "api contact"], indirect=True)
def test_a_name_that_a_message_has_twice(door, refused):
    body, _kind = door.body({})
    name = next(iter(door.good))
    twice = json.dumps(name).encode() + b": 1, " + body[1:]
    assert f"“{name}” is there twice" in refused(status=400, raw=b"{" + twice, kind=JSON)


def bomb() -> bytes:
    """A picture of a few thousand bytes that would fill the memory."""
    made = BytesIO()
    Image.new("1", (30_000, 30_000)).save(made, "PNG")
    return made.getvalue()


def _with_picture(door: Door, content: bytes) -> Any:
    """Send a picture along."""
    part = "media" if "open311" in door.path else "file"
    values = {name: value for name, value in door.good.items() if name != part}
    return door.app.post(door.path, values, upload_files=[(part, "a.png", content)], status="*")


@pytest.mark.parametrize("door", ["report", "open311"], indirect=True)
def test_a_picture_that_would_fill_the_memory(door, kept):
    before = kept()
    for content, word in (
        (bomb(), "too many points"),
        (b"PK\x03\x04" + b"\0" * 5000, "Only pictures and PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "Only pictures and PDF"),
        (PNG[:40], "damaged"),
    ):
        answer = _with_picture(door, content)
        assert answer.status_int == 400, word
        assert word in html.unescape(answer.text)
        assert kept() == before
    assert _with_picture(door, PNG).status_int in (201, 303)
    assert kept() != before
    gc.collect()


MARKUP = "<svg onload=alert(1)></svg><script>alert(2)</script>"


def test_markup_is_words(testapp, keys, sign_in):
    """Wherever it is shown again, it is shown as it was written."""
    door = _report(testapp, keys, sign_in)
    pages = [door.send({"place": f"{MARKUP} Main"}).follow()]
    number = _open311(testapp, keys, sign_in).send({"description": MARKUP, "first_name": MARKUP})
    number = number.json[0]["service_request_id"]
    worker = sign_in("worker", CITY)
    pages += [
        worker.get(f"/{CITY}/requests/{number}"),
        worker.get(f"/{CITY}/requests?q=svg"),
        testapp.get(f"/{CITY}/open311/v2/requests/{number}.xml"),
        testapp.get(f"/search?q={quote(MARKUP)}"),
    ]
    assert MARKUP.replace("<", "&lt;").replace(">", "&gt;") in pages[1].text
    chat = _chat(testapp, keys, sign_in)
    pages.append(chat.send({"text": MARKUP, "name": MARKUP}).follow())
    for page in pages:
        assert "<svg onload" not in page.text
        assert "<script>alert" not in page.text


@pytest.mark.parametrize("door", ["chat", "texts"], indirect=True)
def test_what_cannot_be_shown_is_taken_out_and_the_rest_is_heard(door, web_engine, people):
    field = "text" if door.path.startswith("/chat") else "data/text"
    door.send({field: "My\x07 street\x1b[2J\r\nis dark\u202e"})
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        said = "SELECT text FROM thread_messages ORDER BY at DESC, id DESC LIMIT 1"
        assert session.execute(text(said)).scalar_one() == "My street[2J\nis dark"


@pytest.mark.parametrize(
    "query",
    [
        "requests.json?start_date=yesterday",
        "requests.json?start_date=9999-12-31T00:00:00Z",
        "requests.json?bbox=NaN,1,2,3",
        "requests.json?bbox=1,2",
        "requests.json?page=0",
        "requests.json?page_size=1e3",
        "requests.json?status=open&status=closed",
        "requests.xml?page=1&page=2",
        "bulk.csv?start_date=never",
        "bulk.csv?start_date=2026-01-01&start_date=2026-02-01",
        "servicerequestupdates.json?start_date=2026-13-01",
        "servicerequestupdates.json?page=-1",
        "services.json?extensions=true&extensions=false",
    ],
)
def test_questions_that_cannot_be_answered(testapp, query):
    name = query.partition("?")[2].partition("=")[0]
    at = query.replace("bulk.csv", "requests.csv")
    answer = testapp.get(f"/{CITY}/open311/v2/{at}", status=400)
    assert name in answer.text
