"""Links that work for a time: two ids and an expiry, signed for one purpose. Pure.

A link holds no word about a person, and nothing is stored to make one. One that was made for
another purpose, or by another installation, is not read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

_SIGNATURE: Final = 20
_CONTENT: Final = 16 + 16 + 5
LENGTH: Final = (_CONTENT + _SIGNATURE) * 4 // 3
"""Characters of a token."""


@dataclass(frozen=True, slots=True)
class Expiring:
    """What a link opens at which partner, and until when it works."""

    tenant_id: UUID
    subject_id: UUID
    expires_at: datetime


def make_token(secret: str, purpose: str, link: Expiring) -> str:
    """Sign a link for a purpose, to the second.

    >>> made = Expiring(UUID(int=1), UUID(int=2), datetime(2026, 11, 3, tzinfo=UTC))
    >>> token = make_token("key", "open", made)
    >>> read_token("key", "open", token) == made, read_token("key", "close", token)
    (True, None)
    """
    content = (
        link.tenant_id.bytes
        + link.subject_id.bytes
        + int(link.expires_at.timestamp()).to_bytes(5, "big")
    )
    signature = _signature(secret, purpose, content)
    return base64.urlsafe_b64encode(content + signature).decode()


def read_token(secret: str, purpose: str, token: str) -> Expiring | None:
    """Read a token, also an expired one; nothing when it was not made here for this purpose."""
    if len(token) != LENGTH or not token.isascii():
        return None
    try:
        read = base64.b64decode(token, altchars=b"-_", validate=True)
    except ValueError:
        return None
    content, signature = read[:_CONTENT], read[_CONTENT:]
    if not hmac.compare_digest(signature, _signature(secret, purpose, content)):
        return None
    expires_at = datetime.fromtimestamp(int.from_bytes(content[32:], "big"), UTC)
    return Expiring(UUID(bytes=content[:16]), UUID(bytes=content[16:32]), expires_at)


def _signature(secret: str, purpose: str, content: bytes) -> bytes:
    signed = f"{purpose}\0".encode() + content
    return hmac.digest(secret.encode(), signed, hashlib.sha256)[:_SIGNATURE]
