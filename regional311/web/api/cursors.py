"""Where a list goes on: opaque to whoever walks it, and good for the same list only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from regional311.errors import InvalidInput

_SIGNED = 12


class BadCursor(InvalidInput):
    """The cursor is not one that was given out for this list with these filters."""


def seal(secret: str, walk: str, place: str) -> str:
    """Return the cursor of a place in a list; `walk` names the list, its order and filters.

    >>> open_cursor("s", "requests", seal("s", "requests", "2026-10-01_7"))
    '2026-10-01_7'
    """
    return (
        base64.urlsafe_b64encode(_mark(secret, walk, place) + place.encode()).decode().rstrip("=")
    )


def open_cursor(secret: str, walk: str, cursor: str) -> str:
    """Return the place that a cursor stands for. Raises `BadCursor`."""
    try:
        sent = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        place = sent[_SIGNED:].decode()
    except (binascii.Error, ValueError):
        place, sent = "", b""
    if not place or not hmac.compare_digest(sent[:_SIGNED], _mark(secret, walk, place)):
        raise BadCursor(
            "This is no cursor of this list with these filters; begin again without it.",
            field="after",
        )
    return place


def _mark(secret: str, walk: str, place: str) -> bytes:
    key = hashlib.sha256(b"regional311.cursor\0" + secret.encode()).digest()
    return hmac.digest(key, f"{walk}\0{place}".encode(), "sha256")[:_SIGNED]
