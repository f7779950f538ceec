"""Counting wrong tries of secrets, by keyed digests of where they come from."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, text

from regional311.errors import DomainError

WINDOW: Final = timedelta(minutes=15)
MOST: Final[Mapping[str, int]] = {
    "answer-link": 30,
    "person-code": 20,
    "chat": 30,
    "mailbox": 20,
    "letter": 3,
}
"""Wrong tries of a kind, or chats begun and links asked for, from one network address within
`WINDOW`; more wait. Letters with such links count for the address to which they go."""

_STEP: Final = timedelta(minutes=1)
_COUNTED = text("SELECT sign_in_failures(:who, :since)")
_NOTE = text("SELECT note_sign_in_failure(:who, :at)")


class TooManyTries(DomainError):
    """Secrets were tried too often from one network address."""


def check(engine: Engine, secret: str, what: str, address: str, now: datetime) -> None:
    """Refuse an address from which too many wrong secrets of a kind came lately.

    Raises :class:`TooManyTries`.
    """
    with engine.connect() as connection:
        found = connection.execute(
            _COUNTED, {"who": who(secret, what, address), "since": now - WINDOW}
        ).scalar_one()
    if found >= MOST[what]:
        raise TooManyTries("Too many tries from here. Wait 15 minutes, then try again.")


def note_wrong(engine: Engine, secret: str, what: str, address: str, now: datetime) -> None:
    """Count one wrong try; it stays although the request that made it is refused."""
    with engine.begin() as connection:
        connection.execute(_NOTE, {"who": who(secret, what, address), "at": counted_at(now)})


def counted_at(now: datetime) -> datetime:
    """The minute to which a wrong try is counted."""
    return now - timedelta(seconds=now.timestamp() % _STEP.total_seconds())


def who(secret: str, what: str, address: str) -> bytes:
    """Who tries what, as it is counted: nobody can read an address out of it."""
    return hmac.digest(secret.encode(), f"{what}:{address}".encode(), hashlib.sha256)
