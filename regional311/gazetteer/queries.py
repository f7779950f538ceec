"""Which known places somebody means: exactly said, said in part, or nearly said so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from math import cos, hypot, radians
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from regional311.gazetteer.spelling import Said, said, within

SHOWN: Final = 5
SAME_METRES: Final = 60.0
"""Two lists that name the same place do not agree to the metre."""
ALIKE: Final = 0.5
"""How like words must be to be asked about: 1 is the same."""
ALIKE_STREET: Final = 0.3
"""How like a street must be whose house number is the same: short words share few trigrams."""
_READ: Final = 60
_METRES_A_DEGREE: Final = 111_320.0

ONE: Final = "one"
SEVERAL: Final = "several"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Found:
    """A known place; in a stretch of a street its number is part of the label and of the id."""

    id: str
    kind: str
    label: str
    latitude: Decimal
    longitude: Decimal


@dataclass(frozen=True, slots=True)
class Answer:
    """What the words of a place mean: `how` is `one`, `several` or `unknown`.

    Places whose words are only alike are offered, and never taken without being asked about: then
    it is *unknown* with places.
    """

    how: str
    places: tuple[Found, ...] = ()

    @property
    def one(self) -> Found | None:
        """The place, where it is sure."""
        return self.places[0] if self.how == ONE else None


NOT_KNOWN: Final = Answer(UNKNOWN)

_SHOWN: Final = "id, kind, label, words, city, number, last_number, latitude, longitude"
_SAID: Final = text(f"""
(SELECT {_SHOWN}, last_latitude, last_longitude FROM known_places
 WHERE ended_at IS NULL AND bare = :bare AND kind <> 'stretch' LIMIT {_READ})
UNION ALL
(SELECT {_SHOWN}, last_latitude, last_longitude FROM known_places
 WHERE ended_at IS NULL AND bare = :street AND kind = 'stretch' AND number % 2 = :number % 2
    AND :number BETWEEN least(number, last_number) AND greatest(number, last_number)
 LIMIT {_READ})
""")
_ALIKE_ADDRESS: Final = text(f"""
SELECT {_SHOWN}, NULL AS last_latitude, NULL AS last_longitude FROM (
    SELECT *, similarity(substr(words, strpos(words, ' ') + 1), :street) AS alike
    FROM known_places WHERE ended_at IS NULL AND kind = 'address' AND number = :number
) AS same_number WHERE alike >= {ALIKE_STREET} ORDER BY alike DESC, words LIMIT {SHOWN}
""")
_ALIKE: Final = text(f"""
SELECT {_SHOWN}, NULL AS last_latitude, NULL AS last_longitude FROM known_places
WHERE ended_at IS NULL AND kind IN ('crossing', 'landmark') AND bare % :bare
    AND similarity(bare, :bare) >= {ALIKE}
ORDER BY similarity(words, :words) DESC, words LIMIT {SHOWN}
""")


def find(session: Session, words: str, *, located: bool = False) -> Answer:
    """Give the places that these words mean: at most two statements, by index.

    What was left out does not count (a direction, a kind of street), what was said does. A city
    that was said chooses among places of the same words. Where what was said after the street is
    no city of theirs, it may name another: they are asked about, unless it is `located`, so that
    the caller holds them against it. Raises nothing for any words.
    """
    asked = said(words)
    if not asked.bare:
        return NOT_KNOWN
    rows = session.execute(
        _SAID, {"bare": asked.bare, "street": asked.street, "number": asked.number or 0}
    ).all()
    exact = [each for each in rows if _words(each, asked) == asked.words]
    part = exact or [each for each in rows if within(asked.words, _words(each, asked))]
    named = [each for each in part if each.city and f" {each.city} " in f" {asked.tail} "]
    found = tuple(_apart(_shown(each, asked) for each in named or part)[:SHOWN])
    if not found:
        return Answer(UNKNOWN, tuple(_alike(session, asked)))
    if asked.tail and not (named or located):
        return Answer(UNKNOWN, found)
    return Answer(ONE if len(found) == 1 else SEVERAL, found)


def _alike(session: Session, asked: Said) -> list[Found]:
    if asked.number is not None:
        street = asked.words.partition(" ")[2]
        rows = session.execute(_ALIKE_ADDRESS, {"number": asked.number, "street": street}).all()
    else:
        rows = session.execute(_ALIKE, {"bare": asked.bare, "words": asked.words}).all()
    return _apart(_shown(each, asked) for each in rows)


def _words(row: Any, asked: Said) -> str:
    words = str(row.words)
    return f"{asked.number} {words}" if row.kind == "stretch" else words


def _shown(row: Any, asked: Said) -> Found:
    if row.kind != "stretch":
        return Found(str(row.id), row.kind, row.label, row.latitude, row.longitude)
    assert asked.number is not None
    length = row.last_number - row.number
    share = Decimal(asked.number - row.number) / length if length else Decimal(0)
    return Found(
        f"{row.id}.{asked.number}",
        row.kind,
        f"{asked.number} {row.label}",
        round(row.latitude + (row.last_latitude - row.latitude) * share, 6),
        round(row.longitude + (row.last_longitude - row.longitude) * share, 6),
    )


def _apart(places: Iterable[Found]) -> list[Found]:
    """Leave out what lies where another one does: several lists name the same place.

    An address comes before a stretch of its street.
    """
    kept: list[Found] = []
    for each in places:
        if all(_metres(each, other) > SAME_METRES for other in kept) and not (
            each.kind == "stretch" and any(other.kind == "address" for other in kept)
        ):
            kept.append(each)
    return kept


def _metres(one: Found, other: Found) -> float:
    up = float(one.latitude - other.latitude)
    across = float(one.longitude - other.longitude) * cos(radians(float(one.latitude)))
    return hypot(up, across) * _METRES_A_DEGREE


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of places as an administrator sees it."""

    tenant_id: UUID
    key: str
    name: str
    licence: str
    website: str | None
    imported_at: Any
    places: int


def sources(session: Session, tenant_id: UUID) -> list[Listed]:
    """Give the lists that a partner keeps."""
    rows = session.execute(
        text(
            "SELECT tenant_id, key, name, licence, website, imported_at, places"
            " FROM place_sources WHERE tenant_id = :tenant ORDER BY key"
        ),
        {"tenant": tenant_id},
    )
    return [Listed(**row._asdict()) for row in rows]
