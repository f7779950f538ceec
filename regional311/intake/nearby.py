"""Open requests that may be the same as one that is about to be filed, or that is looked at.

The same kind of thing, not far away, not long ago: how far and how long is the service's own to
say. Confidential requests are never among them. What is given is what the public may know of a
request, so that a neighbouring partner's desk and the public's form can show it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import cos, radians
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from regional311.database.session import scope_of
from regional311.intake.models import SEEN
from regional311.intake.open_requests import PUBLIC_CHANNELS

DEFAULT_METRES: Final = 250
DEFAULT_HOURS: Final = 24 * 30
"""Where a service says nothing."""
SHOWN: Final = 5
METRES_A_DEGREE: Final = 111_320
"""Of latitude; of longitude it is this times the cosine of the latitude."""
CELL: Final = Decimal("0.0025")
"""Side of a square of the grid in degrees: less than 280 metres."""
ACROSS: Final = 144_000
"""Squares around the Earth."""


_SPOT: Final = re.compile(r"[0-9&/]| and ")


@dataclass(frozen=True, slots=True)
class Sought:
    """What the same would be: services of one partner for the same kind of thing, and where.

    `metres` and `hours` are how far away and how old it may be.
    """

    service_keys: Sequence[str]
    latitude: Decimal | None = None
    longitude: Decimal | None = None
    place_text: str | None = None
    metres: int = DEFAULT_METRES
    hours: int = DEFAULT_HOURS


@dataclass(frozen=True, slots=True)
class Near:
    """An open request that may be the same; `metres` away, null where only the words agree."""

    id: UUID
    public_id: str
    service_key: str
    state: str
    opened_at: datetime
    expected_at: datetime | None
    place_text: str | None
    me_too: int
    description: str | None
    """What was said, when the person knew that others read it."""
    picture: str | None
    """The question to which a picture was sent; staff of the owner may open it."""
    metres: int | None


def words_of(place: str | None) -> str | None:
    """The words of a place as they are compared; none where they name no spot but an area.

    A spot has a number or is a crossing.

    >>> words_of("  12 main  ST "), words_of("Oak and Pine"), words_of("Downtown")
    ('12 main st', 'oak and pine', None)
    """
    words = " ".join((place or "").split()).lower()
    return words if _SPOT.search(words) else None


def cell(latitude: Decimal | None, longitude: Decimal | None) -> int | None:
    """The square of the grid in which a point is; none for no point.

    >>> cell(Decimal("45.5"), Decimal("-122.6")), cell(None, None)
    (7804822960, None)
    """
    if latitude is None or longitude is None:
        return None
    return _row(latitude) * ACROSS + _column(longitude)


def _row(latitude: Decimal) -> int:
    return int((Decimal(latitude) + 90) // CELL)


def _column(longitude: Decimal) -> int:
    return int((Decimal(longitude) + 180) // CELL)


def cells(latitude: Decimal, longitude: Decimal, metres: int) -> list[int]:
    """The squares that the circle of `metres` around a point can reach.

    >>> len(cells(Decimal("45.5"), Decimal("-122.6"), 250))
    8
    """
    up = Decimal(metres) / METRES_A_DEGREE
    across = up / Decimal(max(0.01, cos(radians(float(latitude)))))
    return [
        row * ACROSS + column
        for row in range(_row(latitude - up), _row(latitude + up) + 1)
        for column in range(_column(longitude - across), _column(longitude + across) + 1)
    ]


# What the partial indexes leave out is written as they write it, or they are not used.
_SOUGHT = f"""tenant_id = :tenant AND service_key = ANY (:services)
            AND opened_at > :since AND {SEEN} AND id IS DISTINCT FROM :but"""

_NEAR = text(f"""
WITH places AS (
    SELECT id, sqrt(((latitude - :latitude)::float8 * {METRES_A_DEGREE}) ^ 2
        + ((longitude - :longitude)::float8 * :a_degree) ^ 2) AS metres
    FROM service_requests
    WHERE place_cell = ANY (CAST(:cells AS bigint[])) AND {_SOUGHT}
    UNION ALL
    SELECT id, NULL FROM service_requests
    WHERE place_words = :words AND {_SOUGHT}
), nearest AS (
    SELECT id, min(metres) AS metres FROM places
    WHERE metres IS NULL OR metres <= :metres
    GROUP BY id ORDER BY min(metres) NULLS FIRST, id DESC LIMIT :shown
)
SELECT r.id, r.public_id, r.service_key, r.state, r.opened_at, r.expected_at, r.place_text,
    r.me_too, CASE WHEN c.channel = ANY (:public) THEN r.description END AS description,
    (SELECT a.question FROM attachments a
     WHERE a.tenant_id = :tenant AND a.subject_id IN (r.id, r.need_id)
        AND a.media_type LIKE 'image/%' AND a.content IS NOT NULL LIMIT 1) AS picture,
    round(nearest.metres)::int AS metres
FROM nearest
JOIN service_requests r ON r.tenant_id = :tenant AND r.id = nearest.id
LEFT JOIN contacts c ON c.tenant_id = :tenant AND c.id = r.contact_id
ORDER BY nearest.metres NULLS FIRST, r.id DESC
""")


def near(session: Session, sought: Sought, *, now: datetime, but: UUID | None = None) -> list[Near]:
    """Give the bound partner's open requests that may be the same, the nearest first.

    One statement, none without a place. Those at a place called the same come first. `but` is the
    request that is looked at, and is left out.
    """
    words = words_of(sought.place_text)
    point = (sought.latitude, sought.longitude)
    around: list[int] = []
    if point[0] is not None and point[1] is not None:
        around = cells(point[0], point[1], sought.metres)
    if not sought.service_keys or not (around or words):
        return []
    rows = session.execute(
        _NEAR,
        {
            "tenant": scope_of(session).tenant_id,
            "services": sorted(sought.service_keys),
            "since": now - timedelta(hours=sought.hours),
            "but": but,
            "cells": around,
            "latitude": point[0],
            "longitude": point[1],
            "a_degree": METRES_A_DEGREE * cos(radians(float(point[0] or 0))),
            "words": words,
            "metres": sought.metres,
            "shown": SHOWN,
            "public": list(PUBLIC_CHANNELS),
        },
    )
    return [Near(**row._asdict()) for row in rows]
