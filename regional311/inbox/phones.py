"""Telephone numbers as people spell them: a hundred spellings are one number."""

from __future__ import annotations

from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

COUNTRY: Final = "US"
"""Where a number without a country is."""


def e164(spelled: str) -> str | None:
    """Give a number as E.164, or None when it cannot be one.

    >>> e164("(503) 823-4000"), e164("+1 503.823.4000"), e164("tel:503-823-4000;ext=2")
    ('+15038234000', '+15038234000', '+15038234000')
    >>> e164("311"), e164("call me"), e164("+44 20 7946 0018")
    (None, None, '+442079460018')
    """
    try:
        number = phonenumbers.parse(spelled[:60], COUNTRY)
    except NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def shown(number: str) -> str:
    """Give a number as people of this country read it; what is none stays as it is.

    >>> shown("+15038234000"), shown("311")
    ('(503) 823-4000', '311')
    """
    try:
        parsed = phonenumbers.parse(number, COUNTRY)
    except NumberParseException:
        return number
    if not phonenumbers.is_possible_number(parsed):
        return number
    home = parsed.country_code == phonenumbers.country_code_for_region(COUNTRY)
    form = PhoneNumberFormat.NATIONAL if home else PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(parsed, form)
