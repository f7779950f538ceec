"""How somebody hears of their accommodation: by e-mail, by text, by post, or on their page only.

Whoever cannot read a screen, has no telephone or trusts neither asks for paper. What is not said is
taken from what they left: an address of a mailbox, else a number that gets texts, else a postal
address. Pure.
"""

from __future__ import annotations

from typing import Final

from regional311.errors import InvalidInput
from regional311.notices.phones import texted

WAYS: Final = ("email", "text", "post", "none")
"""``none``: they look at their own page, or call."""
LONGEST_ADDRESS: Final = 500

NO_EMAIL: Final = "Give an e-mail address for news by e-mail."
NO_TEXTS: Final = "This office sends no texts. Choose another way."
NO_NUMBER: Final = "Give a mobile number of this country for news by text, such as 503-555-0123."
NO_ADDRESS: Final = "Give a postal address for letters."
"""Why news cannot go the way that was chosen."""


class CannotHear(InvalidInput):
    """News cannot go the way that was chosen."""


def way(
    chosen: str | None,
    *,
    email: str | None,
    phone: str | None,
    address: str | None,
    texts: bool,
) -> str:
    """Give by what somebody hears; ``texts`` says whether the partner sends any.

    >>> left = {"email": None, "phone": "503-555-0123", "address": None}
    >>> way(None, **left, texts=True), way(None, **left, texts=False)
    ('text', 'none')
    >>> way("post", **left | {"address": "PO Box 7, Portland OR 97201"}, texts=True)
    'post'

    Raises :class:`CannotHear` for a way that was chosen and leads nowhere.
    """
    number = texted(phone or "")
    if chosen is None:
        by_text = texts and number is not None
        return "email" if email else "text" if by_text else "post" if address else "none"
    if chosen not in WAYS:
        raise CannotHear("Choose one of those listed.", field="updates_by")
    if chosen == "email" and not email:
        raise CannotHear(NO_EMAIL, field="email")
    if chosen == "text" and not texts:
        raise CannotHear(NO_TEXTS, field="updates_by")
    if chosen == "text" and number is None:
        raise CannotHear(NO_NUMBER, field="phone")
    if chosen == "post" and not address:
        raise CannotHear(NO_ADDRESS, field="address")
    return chosen
