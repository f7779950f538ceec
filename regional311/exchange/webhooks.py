"""Signatures of webhooks as Standard Webhooks says them (https://www.standardwebhooks.com).

Signed are the message's id, the moment and the body, by a shared secret. So nothing can be changed,
and nothing is taken long after it was sent; what comes again in time is known by its id. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from regional311.exchange.signing import SignatureRefused

WINDOW: Final = timedelta(minutes=5)
"""How far the sender's clock may be from ours."""
PREFIX: Final = "whsec_"
LONGEST_ID: Final = 200


def key_of(secret: str) -> bytes:
    """Give the key that a secret spells: `whsec_` and base64. Raises ValueError.

    >>> key_of("whsec_" + "c2VjcmV0" * 4)[:6]
    b'secret'
    """
    if not secret.startswith(PREFIX):
        raise ValueError("it does not begin with whsec_")
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    if not 24 <= len(key) <= 64:
        raise ValueError("it must have 24 to 64 bytes")
    return key


def sign(message_id: str, body: bytes, *, key: bytes, now: datetime) -> dict[str, str]:
    """Give the headers that sign a message."""
    moment = str(int(now.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{_mac(message_id, moment, body, key)}",
    }


def verify(headers: Mapping[str, str], body: bytes, *, key: bytes, now: datetime) -> str:
    """Check a message and give its id. Raises :class:`SignatureRefused`."""
    message_id = headers.get("webhook-id", "")
    moment = headers.get("webhook-timestamp", "")
    if not message_id or len(message_id) > LONGEST_ID or not message_id.isprintable():
        raise SignatureRefused("The message names no webhook-id.")
    if not (moment.isascii() and moment.isdecimal() and len(moment) <= 12):
        raise SignatureRefused("The message has no webhook-timestamp in seconds.")
    wanted = _mac(message_id, moment, body, key).encode()
    given = [each.partition(",") for each in headers.get("webhook-signature", "").split(" ")]
    if not any(
        version == "v1" and hmac.compare_digest(mac.encode(), wanted)
        for version, _comma, mac in given
    ):
        raise SignatureRefused("The signature is not that of this message by this secret.")
    if abs(now.timestamp() - int(moment)) > WINDOW.total_seconds():
        raise SignatureRefused(
            f"It was signed more than {WINDOW.seconds // 60} minutes from now: look at the clocks."
        )
    return message_id


def _mac(message_id: str, moment: str, body: bytes, key: bytes) -> str:
    signed = b".".join((message_id.encode(), moment.encode(), body))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
