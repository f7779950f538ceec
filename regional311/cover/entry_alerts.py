"""What an emergency says of an entry of the directory: that it is open for it, or closed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from regional311.cover.emergency import CLOSURE, InForce


@dataclass(frozen=True, slots=True)
class EntryAlert:
    """One shelter or closure of an emergency, as it stands at an entry of the directory.

    ``location`` is the key of the location that is concerned; empty is the service everywhere.
    """

    emergency: InForce
    kind: str
    name: str
    address: str
    note: str
    location: str

    @property
    def closed(self) -> bool:
        """Whether nothing can be had there meanwhile."""
        return self.kind == CLOSURE

    @property
    def whole(self) -> bool:
        """Whether it is about the service wherever it is given."""
        return not self.location


def alerts_of(
    emergencies: Iterable[InForce], at: datetime, ref: str, locations: Collection[str] = ()
) -> list[EntryAlert]:
    """Give what emergencies say at a moment of a service (`partner/key`), closures first.

    ``locations`` are keys of the locations at which its partner gives it: what is said of one of
    these is said of the service there. A drill says nothing.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> ice = InForce("city", 1, "E-1", "storm", False, {}, (), (), (
    ...     {"kind": "closure", "name": "Hall", "location": "city/hall"},), (), now,
    ...     datetime(2026, 1, 2, tzinfo=UTC))
    >>> [(each.name, each.closed) for each in alerts_of([ice], now, "city/pool", ["hall"])]
    [('Hall', True)]
    >>> alerts_of([ice], now, "city/pool", ["park"]), alerts_of([ice], ice.ends_at, "city/pool")
    ([], [])
    """
    slug = ref.partition("/")[0]
    found = []
    for each in emergencies:
        if each.drill or not each.on(at):
            continue
        for place in each.places:
            partner, _slash, location = place.get("location", "").partition("/")
            there = partner == slug and location in locations
            if place.get("service", ref if there else "") != ref or (location and not there):
                continue
            found.append(
                EntryAlert(
                    each,
                    place["kind"],
                    place["name"],
                    place.get("address", ""),
                    place.get("note", ""),
                    location,
                )
            )
    return sorted(found, key=lambda each: (not each.closed, not each.whole, each.name))


def entries_named(emergencies: Iterable[InForce], at: datetime) -> bool:
    """Whether any emergency says something of an entry at a moment."""
    return any(
        place.get("service") or place.get("location")
        for each in emergencies
        if not each.drill and each.on(at)
        for place in each.places
    )
