"""Open311 GeoReport v2 on the wire: one content, as XML or JSON; what callers may ask, checked.

The text of the standard is http://wiki.open311.org/GeoReport_v2. What it leaves open is decided
here and said in `docs/open311.md`.
"""

from __future__ import annotations

import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from pyramid.response import Response

from regional311.referral.snapshot import Published

FORMATS: Final = {"json": "application/json", "xml": "text/xml"}
SPECIFICATION: Final = "http://wiki.open311.org/GeoReport_v2"
LONGEST_DESCRIPTION: Final = 4_000
MOST_DAYS: Final = 90
MOST_REQUESTS: Final = 1_000
STATUSES: Final = ("open", "closed")
_ITEMS: Final = {
    "endpoints": "endpoint",
    "formats": "format",
    "services": "service",
    "attributes": "attribute",
    "values": "value",
    "service_requests": "request",
    "service_request_updates": "request_update",
    "errors": "error",
}
"""What one thing of a list is called in XML."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that XML 1.0 has no way to write."""
_ISO: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?"
)


class Refused(Exception):
    """A call that cannot be answered: the status of HTTP and one sentence."""

    def __init__(
        self, status: int, description: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.headers = dict(headers or {})


def seen_by_everybody(published: Published, slug: str) -> set[str]:
    """The codes whose requests may be seen: about a place, also of services that have ended.

    What a person asks for themselves, such as help with the rent, is nobody else's business.
    """
    return {
        each.key
        for each in published.directory.of(slug)
        if each.on_web_form and not each.confidential and each.place == "required"
    }


def reply(form: str, root: str, content: Any, *, status: int = 200) -> Response:
    """Answer with content in a format: `root` names the document in XML.

    A list is a bare array in JSON, and elements in `root` in XML.
    """
    if form == "json":
        body = orjson.dumps(content, default=_as_json)
    else:
        body = ET.tostring(_element(root, content), encoding="utf-8", xml_declaration=True)
    answer = Response(body, status=status)
    answer.headers["Content-Type"] = f"{FORMATS[form]}; charset=utf-8"
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer


def errors(form: str, status: int, description: str) -> Response:
    """Answer with an error, in the format that was asked for."""
    return reply(form, "errors", [{"code": status, "description": description}], status=status)


def asked_format(request: Any) -> str | None:
    """The format in which an error of this interface is told; None for other addresses."""
    # as it came: the address may be the error, because it is not UTF-8
    parts = request.environ.get("PATH_INFO", "").split("/")
    if "open311" not in parts[1:3]:
        return None
    name, dot, form = parts[-1].rpartition(".")
    return form if name and dot and form in FORMATS else "xml"


def moment(at: datetime | None, zone: ZoneInfo) -> str | None:
    """Write a time as the W3C does, to the second, on a partner's clock."""
    return None if at is None else at.astimezone(zone).isoformat(timespec="seconds")


def given(values: Mapping[str, Any], name: str) -> str:
    """Return a parameter; an empty one counts as absent."""
    return str(values.get(name, "")).strip()


def line(values: Mapping[str, Any], name: str, most: int) -> str:
    """Return one line of text. Raises `Refused` for more than `most` characters, and for others."""
    return _text(values, name, most, "", "one line, without line breaks or control characters")


def lines(values: Mapping[str, Any], name: str, most: int) -> str:
    """Return a text, its line breaks as single line feeds. Raises `Refused` as `line` does."""
    return _text(values, name, most, "\n\t", "text without control characters")


def _text(values: Mapping[str, Any], name: str, most: int, allowed: str, what: str) -> str:
    said = given(values, name).replace("\r\n", "\n").replace("\r", "\n")
    if len(said) > most:
        raise Refused(400, f"{name} has at most {most:,} characters; this has {len(said):,}.")
    if any(each not in allowed and unicodedata.category(each) == "Cc" for each in said):
        raise Refused(400, f"{name} is {what}.")
    return said


def given_twice(values: Any) -> str | None:
    """Return the first parameter that is given twice with two values; answers may have several."""
    for name in dict.fromkeys(values):
        if name.startswith("attribute["):
            continue
        first, *others = values.getall(name)
        if any(each != first for each in others):
            return str(name)
    return None


def listed(values: Mapping[str, Any], name: str) -> list[str]:
    """Return a list with commas between, without empty parts."""
    return [each for part in given(values, name).split(",") if (each := part.strip())]


def instant(values: Mapping[str, Any], name: str, zone: ZoneInfo) -> datetime | None:
    """Return a time; without a zone it is on the partner's clock. Raises `Refused`."""
    said = given(values, name)
    if not said:
        return None
    if "T" in said:
        # a plus sign that was not escaped comes as a space
        said = said.replace(" ", "+")
    try:
        found = datetime.fromisoformat(said) if _ISO.fullmatch(said) else None
    except ValueError:
        found = None
    if found is None or not 1900 <= found.year <= 2199:
        raise Refused(400, f"{name} is not a date and time such as 2026-10-01T00:00:00Z.")
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def window(
    values: Mapping[str, Any], zone: ZoneInfo, now: datetime, *, usual: bool = True
) -> tuple[datetime | None, datetime | None]:
    """Return from when and until when requests are asked for: the last 90 days by default.

    `usual` is false where something else says which: then without dates all are asked for.
    One end alone reaches 90 days from there. Raises `Refused` for a longer span.
    """
    start, end = instant(values, "start_date", zone), instant(values, "end_date", zone)
    span = timedelta(days=MOST_DAYS)
    if start is None and end is None:
        return (now - span if usual else None), None
    if start is None:
        assert end is not None
        return end - span, end
    if end is None:
        return start, start + span
    if end < start:
        raise Refused(400, "end_date is before start_date.")
    if end - start > span:
        raise Refused(400, f"Ask for at most {MOST_DAYS} days at once.")
    return start, end


def statuses(values: Mapping[str, Any]) -> bool | None:
    """Return whether open or closed ones are asked for; None for both. Raises `Refused`."""
    said = set(listed(values, "status"))
    if unknown := sorted(said - set(STATUSES)):
        raise Refused(400, f"status {unknown[0]} is unknown; it is open or closed.")
    return None if len(said) != 1 else said == {"open"}


def whole(values: Mapping[str, Any], name: str, default: int, most: int | None) -> int:
    """Return a whole number from 1 to `most`. Raises `Refused`."""
    said = given(values, name)
    if not said:
        return default
    if not (said.isascii() and said.isdecimal() and len(said) <= 9 and int(said) >= 1):
        raise Refused(400, f"{name} is a whole number from 1.")
    if most is not None and int(said) > most:
        raise Refused(400, f"{name} is at most {most}.")
    return int(said)


def box(values: Mapping[str, Any]) -> tuple[Decimal, Decimal, Decimal, Decimal] | None:
    """Return west, south, east and north of `bbox`, in degrees. Raises `Refused`."""
    said = listed(values, "bbox")
    if not said:
        return None
    if len(said) != 4:
        raise Refused(400, "bbox is four numbers: west, south, east, north.")
    west, south, east, north = (degrees(each, "bbox", 180) for each in said)
    if west > east or south > north:
        raise Refused(400, "bbox is west, south, east, north, in this order.")
    return west, south, east, north


def point(values: Mapping[str, Any]) -> tuple[Decimal, Decimal] | None:
    """Return latitude and longitude; None when neither is given. Raises `Refused` for one alone."""
    latitude, longitude = given(values, "lat"), given(values, "long")
    if not latitude and not longitude:
        return None
    if not latitude or not longitude:
        raise Refused(400, "lat and long come together.")
    return degrees(latitude, "lat", 90), degrees(longitude, "long", 180)


def degrees(said: str, name: str, most: int) -> Decimal:
    """Read degrees between minus and plus `most`, to six places. Raises `Refused`."""
    try:
        found = Decimal(said) if said.isascii() and "_" not in said else Decimal("NaN")
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or not -most <= found <= most:
        raise Refused(400, f"{name} is a number of degrees between -{most} and {most}.")
    return round(found, 6)


def _element(name: str, content: Any) -> ET.Element:
    made = ET.Element(name)
    if isinstance(content, Mapping):
        made.extend(_element(key, value) for key, value in content.items())
    elif isinstance(content, Sequence) and not isinstance(content, str):
        made.extend(_element(_ITEMS[name], each) for each in content)
    else:
        made.text = _spelled(content)
    return made


def _spelled(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return _CONTROL.sub("", str(value))


def _as_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"cannot write a {type(value).__name__}")
