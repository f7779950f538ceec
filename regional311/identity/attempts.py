"""Counting tries of secrets in addresses, by keyed digests of where they come from."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, text

from regional311.errors import DomainError

WINDOW: Final = timedelta(minutes=15)
MOST: Final = 30
"""Wrong tries from one network address within `WINDOW` after which nothing is looked at."""

_STEP: Final = timedelta(minutes=1)
_COUNTED = text("SELECT sign_in_failures(:who, :since)")
_NOTE = text("SELECT note_sign_in_failure(:who, :at)")


class TooManyTries(DomainError):
    """Secrets in addresses were tried too often from one network address."""


def too_many(engine: Engine, secret: str, what: str, address: str, now: datetime) -> bool:
    """Whether an address has tried wrong secrets of a kind too often lately."""
    with engine.begin() as connection:
        found = connection.execute(
            _COUNTED, {"who": _who(secret, what, address), "since": now - WINDOW}
        ).scalar_one()
    return int(found) >= MOST


def note_wrong(engine: Engine, secret: str, what: str, address: str, now: datetime) -> None:
    """Count one wrong try; it stays although the request that made it is refused."""
    at = now - timedelta(seconds=now.timestamp() % _STEP.total_seconds())
    with engine.begin() as connection:
        connection.execute(_NOTE, {"who": _who(secret, what, address), "at": at})


def _who(secret: str, what: str, address: str) -> bytes:
    return hmac.digest(secret.encode(), f"{what}:{address}".encode(), hashlib.sha256)
