"""Telephone numbers as people spell them: a hundred spellings are one number."""

from __future__ import annotations

from typing import Final

import phonenumbers
from phonenumbers import (
    NumberParseException,
    PhoneNumberFormat,
    PhoneNumberType,
    ValidationResult,
)

COUNTRY: Final = "US"
"""Where a number without a country is."""
TEXTED: Final = frozenset({"US", "PR", "VI", "GU", "AS", "MP"})
"""Where texts are sent to: this country and its territories. Texts to numbers abroad are how forms
that anybody may fill in are made to ring up a bill."""
GET_TEXTS: Final = frozenset(
    {
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.PERSONAL_NUMBER,
        PhoneNumberType.VOIP,
    }
)
"""Kinds of numbers that may get texts; in this country the number alone tells no mobile apart."""


def e164(spelled: str) -> str | None:
    """Give a number as E.164, or None when it cannot be one.

    >>> e164("(503) 823-4000"), e164("+1 503.823.4000"), e164("tel:503-823-4000;ext=2")
    ('+15038234000', '+15038234000', '+15038234000')
    >>> e164("311"), e164("823-4000"), e164("call me"), e164("+44 20 7946 0018")
    (None, None, None, '+442079460018')
    """
    try:
        number = phonenumbers.parse(spelled[:60], COUNTRY)
    except NumberParseException:
        return None
    # without its area code a number is one in many places
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def texted(spelled: str) -> str | None:
    """Give a number that may get texts as E.164; None for what is none, or cannot, or is abroad.

    >>> texted("(503) 823-4000"), texted("503-823"), texted("800-555-0100"), texted("+447400123456")
    ('+15038234000', None, None, None)
    """
    try:
        number = phonenumbers.parse(spelled[:60], COUNTRY)
    except NumberParseException:
        return None
    if (
        number.extension
        or not phonenumbers.is_valid_number(number)
        or phonenumbers.region_code_for_number(number) not in TEXTED
        or phonenumbers.number_type(number) not in GET_TEXTS
    ):
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
