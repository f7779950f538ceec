"""Keeping another system's secret: sealed by the installation's own secret, for one row only.

A signature by a shared secret needs the secret itself, so that a hash, as it is kept of our own
keys, is not enough. What is stored is useless without the installation's secret, which is not in
the database, and in any other row. The secret is 32 random bytes, no longer than one output of
HMAC-SHA256: it is combined with an output that is used for nothing else, and authenticated.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final
from uuid import UUID

from regional311.errors import Conflict, InvalidInput
from regional311.exchange.signing import SECRET_BYTES

_NONCE: Final = 16
_TAG: Final = 32


class SealBroken(Conflict):
    """What is stored was not sealed here, or the installation's secret is another one now."""


def new_secret() -> str:
    """Make a secret as people copy it."""
    return _text(secrets.token_bytes(SECRET_BYTES))


def secret_bytes(text: str) -> bytes:
    """Read a secret as people copy it. Raises :class:`InvalidInput`."""
    try:
        found = base64.b64decode(text.strip() + "=", altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if len(found) != SECRET_BYTES:
        raise InvalidInput(
            "A secret has 43 letters, digits, - and _, as the other system showed it.",
            field="secret",
        )
    return found


def seal(secret: bytes, *, by: str, tenant_id: UUID, row_id: UUID) -> str:
    """Seal a secret for one row."""
    nonce = secrets.token_bytes(_NONCE)
    bound = nonce + tenant_id.bytes + row_id.bytes
    hidden = _xor(secret, _output(by, b"hide", bound))
    return _text(nonce + hidden + _output(by, b"seal", bound + hidden))


def unseal(sealed: str, *, by: str, tenant_id: UUID, row_id: UUID) -> bytes:
    """Open what was sealed for this row. Raises :class:`SealBroken`."""
    found = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_")
    nonce, hidden, tag = found[:_NONCE], found[_NONCE:-_TAG], found[-_TAG:]
    bound = nonce + tenant_id.bytes + row_id.bytes
    if len(hidden) != SECRET_BYTES or not hmac.compare_digest(
        tag, _output(by, b"seal", bound + hidden)
    ):
        raise SealBroken(
            "The stored secret cannot be opened: the installation's own secret has changed. Enter"
            " the connection's secret again."
        )
    return _xor(hidden, _output(by, b"hide", bound))


def _output(by: str, purpose: bytes, bound: bytes) -> bytes:
    key = hmac.new(by.encode(), b"regional311 external systems", hashlib.sha256).digest()
    return hmac.new(key, purpose + bound, hashlib.sha256).digest()


def _xor(one: bytes, two: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, two, strict=True))


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
