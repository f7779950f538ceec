from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from regional311.replay.mapping import (
    BadRow,
    ExportUnreadable,
    MapInvalid,
    ReplayRow,
    check_header,
    load_map,
    read_export,
)

MAP = """
unplaced = "something-else"

[source]
name = "small"
zone = "America/Los_Angeles"
time_formats = ["%m/%d/%y %H:%M", "%Y-%m-%dT%H:%M:%S%z"]

[columns]
key = "id"
started_at = "created"
channel = "source"
service = "type"
latitude = "lat"
longitude = "lon"
handle_seconds = "seconds"
description = "text"

[channels]
Call = "phone"

[services]
Pothole = "pothole"

"""
HEADER = "id,created,source,type,lat,lon,seconds,text\n"


@pytest.fixture
def replay_map(tmp_path: Path):
    path = tmp_path / "map.toml"
    path.write_text(MAP)
    return load_map(path)


def read(tmp_path: Path, replay_map, *lines: str) -> list[ReplayRow | BadRow]:
    path = tmp_path / "export.csv"
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return list(read_export(path, replay_map))


def test_a_row_becomes_a_contact(tmp_path: Path, replay_map) -> None:
    (row,) = read(tmp_path, replay_map, "7,1/2/20 10:15,Call,Pothole,45.5,-122.6,60,deep")

    assert isinstance(row, ReplayRow)
    assert row.key == "7"
    assert row.line == 2
    assert row.started_at == datetime(2020, 1, 2, 18, 15, tzinfo=UTC)
    assert (row.channel, row.service, row.placed) == ("phone", "pothole", True)
    assert (row.latitude, row.longitude, row.handle_seconds) == (45.5, -122.6, 60)


def test_an_unknown_service_goes_to_the_service_for_what_is_unplaced(
    tmp_path: Path, replay_map
) -> None:
    (row,) = read(tmp_path, replay_map, "7,2020-01-02T10:15:00+00:00,Call,Llama,,,,")

    assert isinstance(row, ReplayRow)
    assert (row.service, row.placed) == ("something-else", False)
    assert row.latitude is None


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (",1/2/20 10:15,Call,Pothole,,,,", "id", "is empty"),
        ("7,yesterday,Call,Pothole,,,,", "created", "is no time like"),
        ("7,1/2/20 10:15,Pigeon,Pothole,,,,", "source", "is not translated"),
        ("7,1/2/20 10:15,Call,Pothole,45.5,,,", "lat, lon", "must both be numbers"),
        ("7,1/2/20 10:15,Call,Pothole,145.5,1,,", "lat, lon", "outside the earth"),
        ("7,1/2/20 10:15,Call,Pothole,,,1.5,", "seconds", "whole seconds"),
        ("7,1/2/20 10:15,Call,Pothole,,,," + "x" * 4001, "text", "longer than 4000"),
        ("7,1/2/20 10:15,Call", "row", "more or fewer fields"),
        ("7,1/2/20 10:15,Call,Pothole,,,,a,b", "row", "more or fewer fields"),
    ],
)
def test_a_bad_row_says_its_line_and_column(
    tmp_path: Path, replay_map, line: str, column: str, reason: str
) -> None:
    (row,) = read(tmp_path, replay_map, line)

    assert isinstance(row, BadRow)
    assert (row.line, row.column) == (2, column)
    assert reason in row.reason
    assert str(row).startswith(f"line 2, {column}: ")


def test_bad_rows_do_not_hide_good_ones(tmp_path: Path, replay_map) -> None:
    rows = read(
        tmp_path,
        replay_map,
        "1,1/2/20 10:15,Call,Pothole,,,,",
        "2,1/2/20 10:15,Pigeon,Pothole,,,,",
        "3,1/2/20 10:15,Call,Pothole,,,,",
    )

    assert [type(row).__name__ for row in rows] == ["ReplayRow", "BadRow", "ReplayRow"]


def test_all_faults_of_a_map_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(
        MAP.replace('zone = "America/Los_Angeles"', 'zone = "Mars"')
        .replace('Call = "phone"', 'Call = "pigeon"')
        .replace('key = "id"', 'kee = "id"')
    )

    with pytest.raises(MapInvalid) as caught:
        load_map(path)

    told = caught.value.message.split("\n")
    assert all(line.startswith(f"{path}: ") for line in told)
    for part in ("source.zone", "columns.key", "columns.kee", "channels.Call"):
        assert any(part in line for line in told), part


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"[source"])
def test_a_map_that_is_no_toml_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "map.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(MapInvalid, match=str(path)):
        load_map(path)


def test_a_missing_column_is_named_before_anything_is_read(tmp_path: Path, replay_map) -> None:
    path = tmp_path / "export.csv"
    path.write_text("id,created,source\n")

    with pytest.raises(ExportUnreadable, match="type, lat, lon, text, seconds is missing"):
        check_header(path, replay_map)


def test_a_wrong_encoding_is_named(tmp_path: Path, replay_map) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(HEADER.encode() + "7,1/2/20 10:15,Call,Pothole,,,,café\n".encode("latin-1"))

    with pytest.raises(ExportUnreadable, match="is not utf-8"):
        list(read_export(path, replay_map))

    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExportUnreadable, match="is not utf-8"):
        check_header(path, replay_map)


def test_a_missing_export_is_named(tmp_path: Path, replay_map) -> None:
    with pytest.raises(ExportUnreadable, match="no such file"):
        check_header(tmp_path / "none.csv", replay_map)
