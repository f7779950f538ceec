"""Identifiers: row ids, public numbers that people say aloud, secret tokens."""

from __future__ import annotations

import hashlib
import secrets
from operator import mul
from uuid import UUID

from uuid_utils import compat

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXY"
"""Digits and letters without I, L, O, U and Z, so that a number can be read over the phone.

There are 31 of them, a prime: a weighted checksum then catches every single wrong character and
every two that were swapped.
"""

_CONFUSED = str.maketrans("ILOZ", "1102")
_LENGTH = 9
_WEIGHTS = range(2, 2 + _LENGTH)


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562): ids made later sort later."""
    return compat.uuid7()


def public_id(prefix: str) -> str:
    """Return a random public number such as `R-7K3M9-QP4TX`; the last character checks the rest.

    Out of 31**9 (2.6e13): among a million records of a tenant any collision has a chance of about
    two in a hundred, and a unique constraint refuses it.
    """
    return public_id_of(prefix, secrets.randbelow(len(ALPHABET) ** _LENGTH))


def public_id_of(prefix: str, number: int) -> str:
    """Return the public number that spells `number` (0 to 31**9 - 1).

    >>> public_id_of("R", 12345)
    'R-00000-0CT7W'
    """
    body = ""
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        body = ALPHABET[digit] + body
    text = body + _check_character(body)
    return f"{prefix}-{text[:5]}-{text[5:]}"


def parse_public_id(text: str, prefix: str) -> str | None:
    """Return the canonical form of what a person typed, or None if it is no `prefix` number.

    Case, spaces, missing dashes and the letters that look like digits are forgiven; a wrong check
    character is not.

    >>> parse_public_id(" r-00000-oct7w ", "R")
    'R-00000-0CT7W'
    """
    compact = "".join(text.upper().split()).replace("-", "")
    if not compact.startswith(prefix):
        return None
    body = compact.removeprefix(prefix).translate(_CONFUSED)
    if len(body) != _LENGTH + 1 or any(character not in ALPHABET for character in body):
        return None
    if _check_character(body[:-1]) != body[-1]:
        return None
    return f"{prefix}-{body[:5]}-{body[5:]}"


def is_public_id(text: str, prefix: str) -> bool:
    """Tell whether `text` is a canonical public number with this prefix."""
    return parse_public_id(text, prefix) == text


def _check_character(body: str) -> str:
    total = sum(map(mul, _WEIGHTS, map(ALPHABET.index, body)))
    return ALPHABET[total % len(ALPHABET)]


def new_token() -> str:
    """Return a secret of 256 bits, safe in an address."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """Return what is stored of a secret: its SHA-256."""
    return hashlib.sha256(token.encode()).digest()
