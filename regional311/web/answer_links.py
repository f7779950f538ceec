"""Links that answer a referral once, without an account: made, and read again.

A link holds ids and its own expiry, signed with the site's secret; no word about the person. That
it was used stands at the referral: a link works once, and says so kindly afterwards.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from regional311.referral.sending import AnswerLink
from regional311.settings import Settings

_PURPOSE: Final = b"answer a referral\0"
_SIGNATURE: Final = 20
_CONTENT: Final = 16 + 16 + 5
LENGTH: Final = (_CONTENT + _SIGNATURE) * 4 // 3
"""Characters of a token."""


@dataclass(frozen=True, slots=True)
class Answering:
    """What a link answers, and until when it works."""

    tenant_id: UUID
    referral_id: UUID
    expires_at: datetime


def make_token(secret: str, answering: Answering) -> str:
    """Sign what a link answers.

    >>> from uuid import UUID
    >>> found = Answering(UUID(int=1), UUID(int=2), datetime(2026, 11, 3, tzinfo=UTC))
    >>> read_token("key", make_token("key", found)) == found
    True
    """
    content = (
        answering.tenant_id.bytes
        + answering.referral_id.bytes
        + int(answering.expires_at.timestamp()).to_bytes(5, "big")
    )
    token = base64.urlsafe_b64encode(content + _signature(secret, content))
    return token.decode()


def read_token(secret: str, token: str) -> Answering | None:
    """Read a token; nothing when it is not one of this site's, whatever is wrong with it."""
    if len(token) != LENGTH or not token.isascii():
        return None
    try:
        read = base64.b64decode(token, altchars=b"-_", validate=True)
    except ValueError:
        return None
    content, signature = read[:_CONTENT], read[_CONTENT:]
    if not hmac.compare_digest(signature, _signature(secret, content)):
        return None
    expires_at = datetime.fromtimestamp(int.from_bytes(content[32:], "big"), UTC)
    return Answering(UUID(bytes=content[:16]), UUID(bytes=content[16:32]), expires_at)


def _signature(secret: str, content: bytes) -> bytes:
    return hmac.digest(secret.encode(), _PURPOSE + content, hashlib.sha256)[:_SIGNATURE]


def answer_link(request: Any) -> AnswerLink | None:
    """Give what makes links for this site; None while it does not know its own address."""
    return links_of(request.registry.configured)


def links_of(configured: Settings) -> AnswerLink | None:
    """Give what makes links for an installation, also where nobody asks for a page."""
    if not configured.url:
        return None

    def link(tenant_id: UUID, referral_id: UUID, expires_at: datetime) -> str:
        token = make_token(configured.secret, Answering(tenant_id, referral_id, expires_at))
        return f"{configured.url}/answer/{token}"

    return link
