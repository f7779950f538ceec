"""Links by which a person stops notices, and addresses to which mail comes back.

Both hold ids only, each signed for its own purpose with the site's secret. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final
from uuid import UUID

_LINK: Final = b"stop notices\0"
_RETURN: Final = b"mail comes back\0"
_SIGNATURE: Final = 16
_MARK: Final = 10
LENGTH: Final = (16 + 16 + _SIGNATURE) * 4 // 3
"""Characters of a link's token."""
LONGEST_LOCAL: Final = 64
_COMES_BACK: Final = re.compile(r"\+b([a-z2-7]{48})@", re.IGNORECASE)


def make_token(secret: str, tenant_id: UUID, message_id: UUID) -> str:
    """Sign by which message a person stops notices.

    >>> read_token("key", make_token("key", UUID(int=1), UUID(int=2))) == (UUID(int=1), UUID(int=2))
    True
    """
    content = tenant_id.bytes + message_id.bytes
    return base64.urlsafe_b64encode(content + _sign(secret, _LINK, content, _SIGNATURE)).decode()


def read_token(secret: str, token: str) -> tuple[UUID, UUID] | None:
    """Read a token: the partner and the message; None when it is not one of this site's."""
    if len(token) != LENGTH or not token.isascii():
        return None
    try:
        read = base64.b64decode(token, altchars=b"-_", validate=True)
    except ValueError:
        return None
    content, signature = read[:32], read[32:]
    if not hmac.compare_digest(signature, _sign(secret, _LINK, content, _SIGNATURE)):
        return None
    return UUID(bytes=content[:16]), UUID(bytes=content[16:])


def return_address(address: str, secret: str, tenant_id: UUID, message_id: UUID) -> str:
    """Give the address to which mail servers say that a message did not arrive.

    It names the message; an address whose own name is too long for that is left as it is.

    >>> made = return_address("311@city.example", "s", UUID(int=7), UUID(int=9))
    >>> read_return(made.upper(), "s", [UUID(int=5), UUID(int=7)]) == (UUID(int=7), UUID(int=9))
    True
    >>> read_return(made, "another", [UUID(int=7)]), read_return("311@city.example", "s", [])
    (None, None)
    """
    local, _at, domain = address.rpartition("@")
    content = tenant_id.bytes[-4:] + message_id.bytes
    mark = base64.b32encode(content + _sign(secret, _RETURN, tenant_id.bytes + content, _MARK))
    made = f"{local}+b{mark.decode().lower()}"
    return f"{made}@{domain}" if len(made) <= LONGEST_LOCAL else address


def read_return(address: str, secret: str, tenants: list[UUID]) -> tuple[UUID, UUID] | None:
    """Give the partner and the message that an address names, when its mark is right."""
    found = _COMES_BACK.search(address)
    if found is None:
        return None
    read = base64.b32decode(found.group(1).upper())
    content, mark = read[:20], read[20:]
    for tenant_id in tenants:
        if tenant_id.bytes[-4:] != content[:4]:
            continue
        if hmac.compare_digest(mark, _sign(secret, _RETURN, tenant_id.bytes + content, _MARK)):
            return tenant_id, UUID(bytes=content[4:])
    return None


def _sign(secret: str, purpose: bytes, content: bytes, length: int) -> bytes:
    return hmac.digest(secret.encode(), purpose + content, hashlib.sha256)[:length]
