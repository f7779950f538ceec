"""What programs may ask the directory (HSDS 3.2.3), and how its answers travel.

Parameters come in the address or, with POST, in a form or a JSON object; an empty one counts as
absent, one that HSDS does not know is passed over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from pyramid.response import Response

from regional311.catalog.hsds.identifiers import as_uuid
from regional311.catalog.hsds.queries import Around, Asked, middle_of
from regional311.catalog.hsds.region import Region
from regional311.config.directories import region_of
from regional311.database.session import TenantSession, open_session
from regional311.errors import InvalidInput
from regional311.referral.snapshot import NOBODY, Published, published
from regional311.web.entry_alerts import directory_alerts
from regional311.web.partners import REGION, Partner

PAGE_SIZE: Final = 50
LARGEST_PAGE: Final = 500
EVERYTHING: Final = 100_000
"""Entries of a page of `minimal` ones, which are meant to come all at once."""

FRESH_SECONDS: Final = 60
STREAMS: Final = 2
"""Streams at the same time in one process: each holds a connection as long as somebody reads."""

_CHUNK: Final = 64 * 1024
_KEPT_REGIONS: Final = 40
_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})


class BadParameter(InvalidInput):
    """A parameter has a value that is not allowed; the message names it and says what is."""


class Parameters:
    """The parameters of one request."""

    def __init__(self, request: Any) -> None:
        found: dict[str, Any] = dict(request.GET.items())
        if request.method == "POST":
            found |= _posted(request)
        self._values = {
            name: str(value).strip()
            for name, value in found.items()
            if value is not None and str(value).strip()
        }

    def text(self, name: str, longest: int = 200) -> str | None:
        """Give words."""
        value = self._values.get(name)
        if value is not None and len(value) > longest:
            raise _bad(name, f"at most {longest} characters")
        return value

    def number(self, name: str, least: int, most: int) -> int | None:
        """Give a whole number within bounds."""
        value = self._values.get(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and least <= int(value[:12]) <= most):
            raise _bad(name, f"a whole number from {least} to {most}")
        return int(value)

    def flag(self, name: str) -> bool:
        """Give yes or no; absent is no."""
        value = self._values.get(name, "false").casefold()
        if value in _TRUE | _FALSE:
            return value in _TRUE
        raise _bad(name, "true or false")

    def uuid(self, name: str) -> UUID | None:
        """Give an id."""
        value = self._values.get(name)
        if value is None:
            return None
        found = as_uuid(value)
        if found is None:
            raise _bad(name, "a UUID")
        return found

    def moment(self, name: str) -> datetime | None:
        """Give a moment; one without a zone is UTC."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            # a plus sign in an address is a blank unless it is escaped
            found = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
        except ValueError:
            raise _bad(name, "a moment such as 2026-07-01T12:00:00Z") from None
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

    def choice(self, name: str, *choices: str) -> str:
        """Give one of these; absent is the first."""
        value = self._values.get(name, choices[0])
        if value not in choices:
            raise _bad(name, " or ".join(choices))
        return value

    def metres(self) -> float | None:
        """Give the distance that `proximity` asks for."""
        value = self._values.get("proximity")
        if value is None:
            return None
        try:
            found = float(value)
        except ValueError:
            found = -1
        if not 0 < found <= 20_037_508:
            raise _bad("proximity", "a distance in metres")
        if "postcode" not in self._values:
            raise BadParameter(
                "proximity is measured from a postcode: give postcode, too.", field="postcode"
            )
        return found

    def asked(self, *, places: bool = False) -> Asked:
        """Give what is asked of a list of services, or of services at locations."""
        return Asked(
            search=self.text("search"),
            term=self.uuid("taxonomy_term_id"),
            taxonomy=self.uuid("taxonomy_id"),
            organization=self.uuid("organization_id"),
            modified_after=self.moment("modified_after"),
            postcode=self.text("postcode", 20) if places else None,
            metres=self.metres() if places else None,
        )

    def page(self, usual: int = PAGE_SIZE, largest: int = LARGEST_PAGE) -> tuple[int, int]:
        """Give the number of the page and how many entries it may hold."""
        number = self.number("page", 1, 10_000_000)
        size = self.number("per_page", 1, largest)
        return number or 1, size or usual


def _posted(request: Any) -> dict[str, Any]:
    if request.content_type == "application/json":
        try:
            body = orjson.loads(request.body or b"{}")
        except orjson.JSONDecodeError as error:
            raise BadParameter("The body is no JSON.") from error
        if not isinstance(body, Mapping):
            raise BadParameter("The body must be one JSON object of parameters.")
        return {
            name: ("true" if value else "false") if isinstance(value, bool) else value
            for name, value in body.items()
        }
    return {name: value for name, value in request.POST.items() if isinstance(value, str)}


def _bad(name: str, allowed: str) -> BadParameter:
    return BadParameter(f"{name} must be {allowed}.", field=name)


# --- the directory as it stands ------------------------------------------------------------------


class View:
    """One request's view of the directory: what is published, for all partners or for one."""

    def __init__(self, request: Any, partner: Partner | None) -> None:
        self.request = request
        self.partner = partner
        self.published: Published = published(request.registry.engine)
        slug = partner.slug if partner is not None else REGION
        zone = ZoneInfo(self.published.tenants[slug].zone)
        self.today: date = request.now.astimezone(zone).date()
        self.url = f"{request.host_url}/hsds" + (f"/{slug}" if partner is not None else "")

    @property
    def region(self) -> Region:
        """What stands around the entries, made once for each revision, day and emergency."""
        kept: dict[Any, Region] = self.request.registry.directories
        key = (self.published.revision, self.today, self.url, self.emergencies)
        found = kept.get(key)
        if found is None:
            if len(kept) >= _KEPT_REGIONS:
                kept.clear()
            slug = None if self.partner is None else self.partner.slug
            found = kept[key] = region_of(
                self.published,
                self.request.now,
                self.url,
                slug=slug,
                alerts=directory_alerts(self.published, self.request.now),
            )
        return found

    @property
    def emergencies(self) -> tuple[str, ...]:
        """Numbers of the emergencies that are on; one ends at its time without a new revision."""
        return tuple(
            each.public_id
            for each in self.published.emergencies
            if not each.drill and each.on(self.request.now)
        )

    def session(self) -> TenantSession:
        """Open a session that sees what is published and owns nothing."""
        return open_session(self.request.registry.engine, NOBODY)

    def around(self, session: TenantSession, asked: Asked) -> Around | None:
        """Give where a postcode is, when one is asked for."""
        if asked.postcode is None:
            return None
        middle = middle_of(session, asked.postcode, self.today)
        if middle is None:
            return Around()
        keys = self.published.jurisdictions.locate(middle[1], middle[0]).keys
        ids = self.published.ids
        covered = [key.partition("/")[::2] for key in keys]
        outlines = {slug: each.outline for slug, each in self.published.partners.items()}
        return Around(
            latitude=middle[0],
            longitude=middle[1],
            covered=tuple(f"{ids[slug]}/{key}" for slug, key in covered if slug in ids),
            whole=tuple(
                ids[slug] for slug, outline in outlines.items() if not outline or outline in keys
            ),
        )

    @property
    def tag(self) -> str:
        """What changes whenever an answer may be another one."""
        asked = f"{self.request.path_qs}\0{self.request.host_url}".encode()
        said = sha256(asked + (self.request.body if self.request.method == "POST" else b""))
        on = "".join(f"-{each}" for each in self.emergencies)
        return f"{self.published.revision}-{self.today}{on}-{said.hexdigest()[:16]}"


# --- answers -------------------------------------------------------------------------------------


def answer(view: View, make: Callable[[], Any]) -> Response:
    """Answer with JSON that may be kept for a minute and asked again by its tag."""
    request = view.request
    response = Response(content_type="application/json", charset=None)
    response.etag = (view.tag, False)
    response.cache_control = f"public, max-age={FRESH_SECONDS}"
    if request.method in ("GET", "HEAD") and view.tag in request.if_none_match:
        response.status_int = 304
        del response.headers["Content-Type"]
        return response
    response.body = orjson.dumps(make())
    return response


def paged(contents: list[Any], total: int, number: int, size: int) -> dict[str, Any]:
    """Give a page of a list as HSDS wants it; `size` is how many entries it may hold."""
    pages = -(-total // size)
    return {
        "total_items": total,
        "total_pages": pages,
        "page_number": number,
        "size": len(contents),
        "first_page": number == 1,
        "last_page": number >= pages,
        "empty": not contents,
        "contents": contents,
    }


class TooManyStreams(Exception):
    """As many streams as one process gives at a time are being read."""


class Stream:
    """Documents as lines of JSON, made while they are read, in the memory of a few."""

    def __init__(self, request: Any, session: TenantSession, documents: Iterable[Any]) -> None:
        gate: threading.BoundedSemaphore = request.registry.directory_streams
        if not gate.acquire(blocking=False):
            session.close()
            raise TooManyStreams
        self._gate: threading.BoundedSemaphore | None = gate
        self._session = session
        self._documents = iter(documents)

    def __iter__(self) -> Iterator[bytes]:
        try:
            lines: list[bytes] = []
            held = 0
            for document in self._documents:
                lines.append(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
                held += len(lines[-1])
                if held >= _CHUNK:
                    yield b"".join(lines)
                    lines, held = [], 0
            yield b"".join(lines)
        finally:
            self.close()

    def close(self) -> None:
        """Give back the connection; the server calls this also when the reader goes away."""
        gate, self._gate = self._gate, None
        if gate is not None:
            self._session.close()
            gate.release()


def streamed(view: View, session: TenantSession, documents: Iterable[Any]) -> Response:
    """Answer with documents as lines of JSON."""
    lines = Stream(view.request, session, documents)
    response = Response(content_type="application/x-ndjson", charset=None)
    response.app_iter = lines
    response.cache_control = "no-store"
    return response


def includeme(config: Any) -> None:
    config.registry.directories = {}
    config.registry.directory_streams = threading.BoundedSemaphore(STREAMS)
