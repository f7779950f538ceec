"""Open requests that may be the same as one that is about to be filed, or that is looked at.

The same kind of thing, not far away, not long ago: how far and how long is the service's own to
say. Confidential requests are never among them. What is given is what the public may know of a
request, so that a neighbouring partner's desk and the public's form can show it.
"""

from __future__ import annotations

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

    @property
    def words(self) -> str:
        """The place in words, as it is compared."""
        return " ".join((self.place_text or "").split()).lower()


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


def box(
    latitude: Decimal, longitude: Decimal, metres: int
) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """South, north, west and east of a square that holds the circle around a point, in degrees.

    >>> [round(each, 3) for each in box(Decimal("60"), Decimal("10"), 1113)]
    [Decimal('59.990'), Decimal('60.010'), Decimal('9.980'), Decimal('10.020')]
    """
    up = Decimal(metres) / METRES_A_DEGREE
    across = up / Decimal(max(0.01, cos(radians(float(latitude)))))
    return latitude - up, latitude + up, longitude - across, longitude + across


# What the partial indexes leave out is written as they write it, or they are not used.
_SOUGHT = f"""tenant_id = :tenant AND service_key = ANY (:services)
            AND opened_at > :since AND {SEEN} AND id IS DISTINCT FROM :but"""

_NEAR = text(f"""
WITH places AS (
    SELECT id, sqrt(((latitude - :latitude)::float8 * {METRES_A_DEGREE}) ^ 2
        + ((longitude - :longitude)::float8 * :a_degree) ^ 2) AS metres
    FROM service_requests
    WHERE latitude IS NOT NULL AND latitude BETWEEN :south AND :north
        AND longitude BETWEEN :west AND :east AND {_SOUGHT}
    UNION ALL
    SELECT id, NULL FROM service_requests
    WHERE place_text IS NOT NULL AND lower(place_text) = :words AND {_SOUGHT}
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
    pointed = sought.latitude is not None and sought.longitude is not None
    if not sought.service_keys or not (pointed or sought.words):
        return []
    around: dict[str, Decimal | float | None] = dict.fromkeys(
        ("latitude", "longitude", "south", "north", "west", "east", "a_degree")
    )
    if sought.latitude is not None and sought.longitude is not None:
        south, north, west, east = box(sought.latitude, sought.longitude, sought.metres)
        around = {
            "latitude": sought.latitude,
            "longitude": sought.longitude,
            "south": south,
            "north": north,
            "west": west,
            "east": east,
            "a_degree": METRES_A_DEGREE * cos(radians(float(sought.latitude))),
        }
    rows = session.execute(
        _NEAR,
        {
            **around,
            "tenant": scope_of(session).tenant_id,
            "services": sorted(sought.service_keys),
            "since": now - timedelta(hours=sought.hours),
            "but": but,
            "words": sought.words or None,
            "metres": sought.metres,
            "shown": SHOWN,
            "public": list(PUBLIC_CHANNELS),
        },
    )
    return [Near(**row._asdict()) for row in rows]
