"""Links that answer a referral once, without an account: made, and read again.

That one was used stands at the referral: it works once, and says so kindly afterwards.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from regional311.identity.expiring_links import Expiring, make_token
from regional311.referral.sending import AnswerLink
from regional311.settings import Settings

PURPOSE: Final = "answer a referral"


def answer_link(request: Any) -> AnswerLink | None:
    """Give what makes links for this site; None while it does not know its own address."""
    return links_of(request.registry.configured)


def links_of(configured: Settings) -> AnswerLink | None:
    """Give what makes links for an installation, also where nobody asks for a page."""
    if not configured.url:
        return None

    def link(tenant_id: UUID, referral_id: UUID, expires_at: datetime) -> str:
        answering = Expiring(tenant_id, referral_id, expires_at)
        return f"{configured.url}/answer/{make_token(configured.secret, PURPOSE, answering)}"

    return link
