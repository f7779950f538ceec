"""Read a list of places from a CSV or GeoJSON file, a row at a time: a city has 300,000 addresses.

CSV has a first row of names: `kind`, `name`, `number`, `street`, `cross_street`, `city`,
`latitude`, `longitude`, and for a stretch of a street `last_number`, `last_latitude`,
`last_longitude`. Only what a kind needs has to be there. GeoJSON features have the same names as
properties; a point is where it is, a line is a stretch from its first to its last point. A
collection and a feature a line are both read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import IO, Any, Final

from regional311.errors import InvalidInput
from regional311.gazetteer.spelling import bare, crossing, said, spelled

KINDS: Final = ("address", "crossing", "landmark", "stretch")
COLUMNS: Final = (
    "kind",
    "name",
    "number",
    "street",
    "cross_street",
    "city",
    "latitude",
    "longitude",
    "last_number",
    "last_latitude",
    "last_longitude",
)
_ALSO: Final = {
    "lat": "latitude",
    "y": "latitude",
    "lon": "longitude",
    "long": "longitude",
    "lng": "longitude",
    "x": "longitude",
    "house_number": "number",
    "last_lat": "last_latitude",
    "last_lon": "last_longitude",
}
LONGEST: Final = 200
"""Characters of a field."""
_CHUNK = _HEAD = 1 << 16
"""Characters that are read at once."""
_MOST_OF_ONE: Final = 1 << 20
"""Characters of one GeoJSON feature."""


class ListRefused(InvalidInput):
    """The file cannot be read at all; the message says why."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that cannot be taken: its number in the file, the first row being 1, and why."""

    row: int
    message: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.message}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A place as the list has it, and how it is found; as `models.KnownPlace`."""

    kind: str
    label: str
    words: str
    bare: str
    city: str
    latitude: Decimal
    longitude: Decimal
    number: int | None = None
    last_number: int | None = None
    last_latitude: Decimal | None = None
    last_longitude: Decimal | None = None

    @property
    def digest(self) -> bytes:
        """The same for the same entry, and for no other."""
        parts = (
            self.kind,
            self.label,
            self.words,
            self.city,
            *(
                "" if each is None else f"{each:.6f}"
                for each in (
                    self.latitude,
                    self.longitude,
                    self.last_number,
                    self.last_latitude,
                    self.last_longitude,
                )
            ),
        )
        return blake2b("\x1f".join(parts).encode(), digest_size=16).digest()


def read(file: IO[bytes], name: str) -> Iterator[tuple[int, list[Entry] | Broken]]:
    """Give each row's number with its entries, or what is wrong with it.

    `name` is the file's: `.csv`, or `.geojson`, `.json`, `.geojsonl`. Raises `ListRefused`.
    """
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    lowered = name.casefold()
    try:
        if lowered.endswith(".csv"):
            rows = _csv(text)
        elif lowered.endswith((".geojson", ".json", ".geojsonl", ".ndjson")):
            rows = _features(text)
        else:
            raise ListRefused("The file is named .csv or .geojson.", field="file")
        for number, fields in rows:
            try:
                yield number, entries_of(fields)
            except InvalidInput as error:
                yield number, Broken(number, error.message)
    except UnicodeDecodeError as error:
        raise ListRefused("The file is not UTF-8.", field="file") from error
    finally:
        text.detach()


def entries_of(given: Mapping[str, Any]) -> list[Entry]:
    """Make the entries of one row: a building with an address is found by both.

    Raises `InvalidInput`.

    >>> row = {"street": "SE Division St", "cross_street": "SE 82nd Ave", "city": "Portland"}
    >>> [entry] = entries_of({**row, "lat": "45.50457", "lon": "-122.57852"})
    >>> entry.kind, entry.label, entry.bare
    ('crossing', 'SE Division St & SE 82nd Ave, Portland', '82nd & division')
    """
    fields = _fields(given)
    kind = fields["kind"] or _kind(fields)
    if kind not in KINDS:
        raise InvalidInput(f"kind is {', '.join(KINDS[:-1])} or {KINDS[-1]}.")
    for name in _NEEDS[kind]:
        if not fields[name]:
            raise InvalidInput(f"{name} is missing; {kind} needs it.")
    at: dict[str, Any] = {
        "city": spelled(fields["city"]),
        "latitude": _degrees(fields, "latitude", 90),
        "longitude": _degrees(fields, "longitude", 180),
    }
    city = f", {fields['city']}" if fields["city"] else ""
    if kind == "crossing":
        words = crossing(fields["street"], fields["cross_street"])
        label = f"{fields['street']} & {fields['cross_street']}{city}"
        return [Entry(kind, label, words, bare(words), **at)]
    if kind == "stretch":
        street = said(f"1 {fields['street']}")
        return [
            Entry(
                kind,
                f"{fields['street']}{city}",
                street.words.partition(" ")[2],
                street.street,
                number=_number(fields, "number"),
                last_number=_number(fields, "last_number"),
                last_latitude=_degrees(fields, "last_latitude", 90),
                last_longitude=_degrees(fields, "last_longitude", 180),
                **at,
            )
        ]
    found = []
    if fields["number"] and fields["street"]:
        number = _number(fields, "number")
        label = f"{fields['number']} {fields['street']}"
        found.append(_named("address", label, f"{label}{city}", number=number, **at))
    if kind == "landmark":
        found.append(_named("landmark", fields["name"], f"{fields['name']}{city}", **at))
    return found


_NEEDS: Final = {
    "address": ("number", "street"),
    "crossing": ("street", "cross_street"),
    "landmark": ("name",),
    "stretch": ("street", "number", "last_number", "last_latitude", "last_longitude"),
}


def _named(kind: str, name: str, label: str, **more: Any) -> Entry:
    read = said(name.replace(",", " "))
    if not read.words:
        raise InvalidInput("It has no words by which it could be found.")
    return Entry(kind, label, read.words, read.bare, **more)


def _fields(given: Mapping[str, Any]) -> dict[str, str]:
    fields = dict.fromkeys(COLUMNS, "")
    for key, value in given.items():
        name = str(key or "").strip().casefold().replace(" ", "_")
        name = _ALSO.get(name, name)
        if name not in fields or value is None:
            continue
        said_there = " ".join(str(value).split())
        if len(said_there) > LONGEST:
            raise InvalidInput(f"{name} is longer than {LONGEST} characters.")
        if any(not each.isprintable() for each in said_there):
            raise InvalidInput(f"{name} has characters that cannot be shown.")
        fields[name] = said_there
    return fields


def _kind(fields: Mapping[str, str]) -> str:
    if fields["cross_street"]:
        return "crossing"
    if fields["last_number"]:
        return "stretch"
    return "landmark" if fields["name"] else "address"


def _degrees(fields: Mapping[str, str], name: str, most: int) -> Decimal:
    try:
        found = Decimal(fields[name])
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or abs(found) > most:
        raise InvalidInput(f"{name} is a number of degrees between -{most} and {most}.")
    return round(found, 6)


def _number(fields: Mapping[str, str], name: str) -> int:
    digits = fields[name].rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz ")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 6):
        raise InvalidInput(f"{name} is a house number such as 1120.")
    return int(digits)


def _csv(text: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(text, strict=True)
    try:
        head = next(reader, [])
        names = {_ALSO.get(each, each) for each in (one.strip().casefold() for one in head)}
        if not {"latitude", "longitude"} <= names:
            raise ListRefused("The first row names the columns latitude and longitude.")
        for number, row in enumerate(reader, start=2):
            if any(each.strip() for each in row):
                yield number, dict(zip(head, row, strict=False))
    except csv.Error as error:
        raise ListRefused(f"The file is not CSV: {error}.", field="file") from error


def _features(text: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the features one by one; of a collection no more than one is held."""
    decoder = json.JSONDecoder()
    buffer = text.read(_HEAD)
    opening = buffer.find('"features"')
    first = buffer.find("[", opening)
    buffer = buffer[first + 1 :] if opening >= 0 and first >= 0 else buffer
    number = 0
    while True:
        buffer = buffer.lstrip(" \t\r\n,\x1e")
        if buffer.startswith("]"):
            return
        try:
            feature, end = decoder.raw_decode(buffer)
        except (json.JSONDecodeError, RecursionError) as error:
            more = text.read(_CHUNK)
            if not more and not buffer:
                return
            if not more or len(buffer) > _MOST_OF_ONE:
                raise ListRefused(
                    f"The file is not GeoJSON after feature {number}.", field="file"
                ) from error
            buffer += more
            continue
        buffer = buffer[end:]
        number += 1
        yield number, _feature(feature)


def _feature(feature: Any) -> dict[str, Any]:
    try:
        geometry, fields = feature["geometry"], dict(feature.get("properties") or {})
        points = geometry["coordinates"]
        if geometry["type"] == "Point":
            points = [points]
        elif geometry["type"] != "LineString":
            points = []
        if points:
            fields["longitude"], fields["latitude"] = points[0][:2]
        if len(points) > 1:
            fields["last_longitude"], fields["last_latitude"] = points[-1][:2]
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        return {}
    return fields
