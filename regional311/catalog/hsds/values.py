"""Single values as others write them, in the form that the catalogue takes: pure text work."""

from __future__ import annotations

import re
from typing import Any, Final

_WORDS: Final = re.compile(r"\S(.*\S)?")
_WEB: Final = re.compile(r"https?://\S+")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE: Final = re.compile(r"[0-9+][0-9 +-]{1,19}", re.ASCII)
_EXTENSION: Final = re.compile(r"(?:\bext(?:ension)?\.?|\bx|#)\s*(\d{1,6})\b", re.IGNORECASE)
_NEXT_NUMBER: Final = re.compile(r"\s*(?:[;,/|]|\bor\b|\band\b)\s*(?=[(+\d])", re.IGNORECASE)
_KEYPAD: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(?:Z|[+-]\d{2}:?\d{2})?")
_LONGEST_LINE: Final = 200
_LONGEST_PROSE: Final = 4000
_LONGEST_ADDRESS: Final = 300


def one_line(value: Any) -> str | None:
    """Give words of one line, at most 200 characters; a longer text is cut with an ellipsis."""
    text = "" if value is None else str(value)
    if _WORDS.fullmatch(text) and len(text) <= _LONGEST_LINE:
        return text
    return _cut(" ".join(text.split()), _LONGEST_LINE) or None


def prose(value: Any) -> str | None:
    """Give text of several lines, at most 4,000 characters; blank text is none."""
    text = "" if value is None else str(value)
    return _cut(text, _LONGEST_PROSE) if text.strip() else None


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    head = text[: longest - 1]
    space = head.rfind(" ")
    return (head[:space] if space > longest // 2 else head).rstrip() + "…"


def whole(value: Any, least: int, most: int) -> int | None:
    """Give a whole number within bounds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if float(value).is_integer() and least <= value <= most else None


def web_address(value: Any) -> str | None:
    """Give an address of the web with its scheme, at most 300 characters.

    >>> web_address("www.example.org/help")
    'https://www.example.org/help'
    """
    text = str(value or "").strip()
    if re.fullmatch(r"www\.\S+", text, re.IGNORECASE):
        text = f"https://{text}"
    scheme, _, rest = text.partition("://")
    text = f"{scheme.lower()}://{rest}"
    return text if _WEB.fullmatch(text) and len(text) <= _LONGEST_ADDRESS else None


def email_address(value: Any) -> str | None:
    """Give an e-mail address in the form that the catalogue takes, or nothing."""
    text = str(value or "").strip()
    return text if _EMAIL.fullmatch(text) and len(text) <= _LONGEST_LINE else None


def phone_number(text: str) -> tuple[str | None, int | None]:
    """Give a telephone number and an extension out of what somebody wrote in one field.

    Of several numbers the first counts. Letters stand for the digits on a keypad.

    >>> phone_number("(312) 938-2106 ext. 12")
    ('312-938-2106', 12)
    >>> phone_number("1-800-LAW-REP-4")
    ('1-800-529-7374', None)
    >>> phone_number("no phone")
    (None, None)
    """
    for spelled in (text, text.strip().strip("\"'").strip()):
        if _PHONE.fullmatch(spelled):
            return spelled, None
    text = spelled
    found = _EXTENSION.search(text)
    extension = int(found[1]) if found else None
    text = text[: found.start()] if found else text
    text = _NEXT_NUMBER.split(text.strip())[0]
    if not re.search(r"\d", text):
        return None, None
    # a number in letters is often said again in digits, in brackets
    text = re.sub(r"(?<=\w)\s+\([^)]*\)\s*$", "", text)
    digits = re.sub(r"[^0-9+]", "", text.upper().translate(_KEYPAD))
    if not 3 <= len(digits.lstrip("+")) <= 15:
        return None, None
    if len(digits) == 10 and "+" not in digits:
        return f"{digits[:3]}-{digits[3:6]}-{digits[6:]}", extension
    if len(digits) == 11 and digits.startswith("1"):
        return f"1-{digits[1:4]}-{digits[4:7]}-{digits[7:]}", extension
    return (digits, extension) if _PHONE.fullmatch(digits) else (None, None)


def clock(value: Any) -> str | None:
    """Give a time of day as HH:MM, with seconds only when there are any; zones are left aside.

    >>> clock("9:00"), clock("10:00:00Z"), clock("23:59:59"), clock("25:00")
    ('09:00', '10:00', '23:59:59', None)
    """
    found = _CLOCK.fullmatch(str(value or "").strip())
    if found is None:
        return None
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour == 24 and minute == second == 0:
        return "24:00"
    if hour > 23 or minute > 59 or second > 59:
        return None
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")
