"""How the columns and values of an export become contacts: a map file, and pure reading.

A map (TOML) names the export, its columns and formats, and translates its values to channels and
services. What a value translates to is data; a value without a translation goes to the map's
named queue, and a row that cannot be read at all is reported with its line.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from regional311.errors import DomainError
from regional311.intake.models import CHANNELS

LONGEST_TEXT = 4000


class MapInvalid(DomainError):
    """The map file cannot be used; the message has one line for each fault."""


class ExportUnreadable(DomainError):
    """The export is not the file that the map describes; nothing was taken in."""


def _known_channel(value: str) -> str:
    if value not in CHANNELS:
        raise ValueError(f"{value!r} is no channel; allowed are {', '.join(CHANNELS)}")
    return value


def _known_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"{value!r} is no time zone, such as America/Los_Angeles")
    return value


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Source(_Table):
    """What the export is."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Stable name: with the row's own key it makes a second run change nothing."""
    encoding: str = "utf-8-sig"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    zone: Annotated[str, AfterValidator(_known_zone)]
    time_formats: tuple[str, ...] = Field(min_length=1, strict=False)


class Columns(_Table):
    """Which column holds what; only the first four are needed."""

    key: str
    started_at: str
    channel: str
    service: str
    latitude: str | None = None
    longitude: str | None = None
    place: str | None = None
    description: str | None = None
    language: str | None = None
    handle_seconds: str | None = None
    line: str | None = None

    def names(self) -> tuple[str, ...]:
        """The columns that the export must have."""
        return tuple(value for value in self.model_dump().values() if value is not None)


class ReplayMap(_Table):
    """A whole map file."""

    source: Source
    columns: Columns
    channels: dict[str, Annotated[str, AfterValidator(_known_channel)]]
    services: dict[str, str]
    """Value of the export to `service-key`, or `partner/service-key` of another partner."""
    unplaced: str
    """The service that takes rows whose own is not translated: its queue is where they wait."""


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """One contact of an export, ready to be taken in."""

    line: int
    """Line of the file, counted from 1, the header included."""
    key: str
    started_at: datetime
    channel: str
    service: str
    placed: bool
    """Whether the row's service was translated."""
    latitude: float | None = None
    longitude: float | None = None
    place: str | None = None
    description: str | None = None
    language: str = "en"
    handle_seconds: int = 0
    line_key: str | None = None

    @property
    def ended_at(self) -> datetime:
        """When the contact ended."""
        return self.started_at + timedelta(seconds=self.handle_seconds)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be taken in, and why, without any of its values that may be personal."""

    line: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column}: {self.reason}"


def load_map(path: Path) -> ReplayMap:
    """Read a map file.

    Raises `MapInvalid` naming the file and every wrong key at once.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MapInvalid(f"{path}: there is no such file.") from None
    except UnicodeDecodeError:
        raise MapInvalid(f"{path}: must be UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise MapInvalid(f"{path}: is not TOML: {error}") from None
    try:
        return ReplayMap.model_validate(content)
    except ValidationError as error:
        faults = (
            f"{path}: {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise MapInvalid("\n".join(faults)) from None


def check_header(path: Path, replay_map: ReplayMap) -> None:
    """Refuse an export that lacks a column of the map.

    Raises `ExportUnreadable` naming the file and the missing columns.
    """
    with _opened(path, replay_map) as rows:
        header = rows.fieldnames or ()
    missing = [name for name in replay_map.columns.names() if name not in header]
    if missing:
        raise ExportUnreadable(
            f"{path}: column {', '.join(missing)} is missing; "
            f"the file has {', '.join(header) or 'no header'}."
        )


def read_export(path: Path, replay_map: ReplayMap) -> Iterator[ReplayRow | BadRow]:
    """Read an export row by row, in bounded memory.

    Raises `ExportUnreadable` if the file is not in the map's encoding or is no CSV.
    """
    seen_line = 1
    with _opened(path, replay_map) as rows:
        try:
            for row in rows:
                seen_line = rows.line_num
                yield read_row(row, seen_line, replay_map)
        except UnicodeDecodeError:
            raise ExportUnreadable(
                f"{path}: after line {seen_line} is not {replay_map.source.encoding} text."
            ) from None
        except csv.Error as error:
            raise ExportUnreadable(f"{path}: line {seen_line + 1}: {error}.") from None


def read_row(
    row: Mapping[str | None, str | None], line: int, replay_map: ReplayMap
) -> ReplayRow | BadRow:
    """Turn one row of the export into a contact, or say which column is wrong and why."""
    columns, source = replay_map.columns, replay_map.source
    if None in row or None in row.values():
        return BadRow(line, "row", "has more or fewer fields than the header")

    def value(column: str | None) -> str:
        return (row.get(column) or "").strip() if column else ""

    key = value(columns.key)
    if not key:
        return BadRow(line, columns.key, "is empty; every row needs its own key")
    started_at = _read_time(value(columns.started_at), source)
    if started_at is None:
        return BadRow(line, columns.started_at, f"is no time like {source.time_formats[0]}")
    channel = replay_map.channels.get(value(columns.channel))
    if channel is None:
        return BadRow(line, columns.channel, "is not translated in [channels]")
    point = _read_point(value(columns.latitude), value(columns.longitude))
    if isinstance(point, str):
        return BadRow(line, f"{columns.latitude}, {columns.longitude}", point)
    seconds = value(columns.handle_seconds) or "0"
    if not seconds.isascii() or not seconds.isdigit() or int(seconds) > 86_400:
        return BadRow(line, str(columns.handle_seconds), "must be whole seconds, at most 86400")
    for column in (columns.description, columns.place):
        if len(value(column)) > LONGEST_TEXT:
            return BadRow(line, str(column), f"is longer than {LONGEST_TEXT} characters")
    service = replay_map.services.get(value(columns.service))
    return ReplayRow(
        line=line,
        key=key,
        started_at=started_at,
        channel=channel,
        service=service or replay_map.unplaced,
        placed=service is not None,
        latitude=point[0] if point else None,
        longitude=point[1] if point else None,
        place=value(columns.place) or None,
        description=value(columns.description) or None,
        language=value(columns.language) or "en",
        handle_seconds=int(seconds),
        line_key=value(columns.line) or None,
    )


class _opened:  # noqa: N801 - reads as a phrase: with _opened(path, map)
    """An export opened as the map says, with named errors."""

    def __init__(self, path: Path, replay_map: ReplayMap) -> None:
        try:
            self._file = path.open(encoding=replay_map.source.encoding, newline="")
        except FileNotFoundError:
            raise ExportUnreadable(f"{path}: there is no such file.") from None
        except LookupError:
            raise ExportUnreadable(
                f"{path}: {replay_map.source.encoding!r} is no encoding, such as utf-8."
            ) from None
        self._path, self._map = path, replay_map

    def __enter__(self) -> csv.DictReader[str]:
        rows = csv.DictReader(self._file, delimiter=self._map.source.delimiter, strict=True)
        try:
            _ = rows.fieldnames
        except UnicodeDecodeError:
            self._file.close()
            raise ExportUnreadable(
                f"{self._path}: is not {self._map.source.encoding} text."
            ) from None
        return rows

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _read_time(text: str, source: Source) -> datetime | None:
    for pattern in source.time_formats:
        try:
            # an export without a zone is in the zone that its map names
            found = datetime.strptime(text, pattern)  # noqa: DTZ007
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(source.zone))
    return None


def _read_point(latitude: str, longitude: str) -> tuple[float, float] | str | None:
    if not latitude and not longitude:
        return None
    try:
        point = (float(latitude), float(longitude))
    except ValueError:
        return "must both be numbers, or both be empty"
    if not (-90 <= point[0] <= 90 and -180 <= point[1] <= 180):
        return "are outside the earth"
    return point
