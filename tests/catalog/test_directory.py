"""The services of every partner in memory."""

from __future__ import annotations

from datetime import date

from regional311.catalog.directory import Directory, Disposition, Service

SERVICES = (
    Service("city", "pothole", "Pothole in a street", term="pothole"),
    Service("county", "bridge-pothole", "Pothole on a County bridge", term="pothole"),
    Service("city", "graffiti", "Graffiti"),
)


def test_directory():
    ended = Service("city", "old", "Old", term="pothole", ended_on=date(2026, 1, 1))
    directory = Directory((*SERVICES, ended))
    on = date(2026, 10, 5)
    pothole = directory.find("city/pothole")
    assert [each.ref for each in directory.family(pothole, on)] == [
        "city/pothole",
        "county/bridge-pothole",
    ]
    assert directory.find("city/none") is None
    assert [each.key for each in directory.of("city", on)] == ["graffiti", "pothole"]
    assert len(directory.of("city")) == 3
    graffiti = directory.find("city/graffiti")
    assert directory.family(graffiti, on) == (graffiti,)


def test_disposition_changes_on_a_date():
    service = Service(
        "city",
        "x",
        "X",
        dispositions=(
            Disposition("refer", None, date(2027, 7, 1)),
            Disposition("resolve", date(2027, 7, 1)),
        ),
    )
    assert service.disposition(date(2027, 6, 30)) == "refer"
    assert service.disposition(date(2027, 7, 1)) == "resolve"
    assert Service("city", "y", "Y").disposition(date(2027, 7, 1)) == "undecided"
