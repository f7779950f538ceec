"""The ids by which others know what is in the catalogue: the same in every instance.

HSDS wants UUIDs that never change. What is kept here is known by its partner's slug and its key,
so its id is made from them (UUIDv5, RFC 9562); what was imported keeps the UUID of its package, or
gets one made from the id that it has there. Importing again, here or elsewhere, gives the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid5

NAMESPACE: Final = UUID("5d0e7c2c-3c1b-5f0e-9a51-311311311311")
"""The namespace of every id that is made from names."""


def entry_id(slug: str, kind: str, *keys: str) -> UUID:
    """Give the id of something that a partner keeps under these keys.

    >>> entry_id("city-of-portland", "service", "pothole").version
    5
    """
    return uuid5(NAMESPACE, "/".join((slug, kind, *keys)))


def imported_id(slug: str, feed: str, kind: str, source_id: str) -> UUID:
    """Give the id of something whose package does not say a UUID of its own."""
    return uuid5(NAMESPACE, f"{slug}/imported/{feed}/{kind}/{source_id}")


def as_uuid(text: str) -> UUID | None:
    """Read a UUID in any spelling; None when it is something else.

    >>> as_uuid("135836") is None
    True
    """
    try:
        return UUID(text)
    except ValueError:
        return None


class Children:
    """Makes the ids of what belongs to one thing: phones, schedules, documents, ...

    A child is known by what it says, so that its id stays when others come before it; of two that
    say the same the second counts as another.
    """

    def __init__(self, owner: UUID | str) -> None:
        self._owner = UUID(str(owner))
        self._seen: Counter[str] = Counter()

    def id(self, kind: str, *says: object) -> str:
        """Give the id of a child that says this."""
        name = "\x1f".join((kind, *map(str, says)))
        self._seen[name] += 1
        number = self._seen[name]
        return str(uuid5(self._owner, name if number == 1 else f"{name}\x1f{number}"))

    def named(self, kind: str, child: Mapping[str, Any]) -> dict[str, Any]:
        """Give a child with an id made from everything that it says."""
        says = [f"{name}={value}" for name, value in sorted(child.items())]
        return {"id": self.id(kind, *says), **child}
