"""Passwords: which are accepted, how they are kept.

A password alone protects an account here, so it has 15 characters or more (NIST SP 800-63B-4,
section 3.1.1.2); nothing is asked about its composition, and what everybody tries first is refused.
Kept as Argon2id with OWASP's parameters (19 MiB, 2 passes, 1 lane): about 30 ms a check.
"""

from __future__ import annotations

import re
import unicodedata
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from regional311.errors import DomainError

SHORTEST, LONGEST = 15, 256
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_AT_ONCE = BoundedSemaphore(2)
_COMMON = [
    "password",
    "passwort",
    "passw0rd",
    "letmein",
    "welcome",
    "iloveyou",
    "administrator",
    "admin",
    "changeme",
    "default",
    "secret",
    "qwertyuiop",
    "qwerty",
    "asdfghjkl",
    "asdfgh",
    "zxcvbnm",
    "zxcvbn",
    "abcdefghijklmnopqrstuvwxyz",
    "abc",
    "trustno",
    "master",
    "dragon",
    "monkey",
    "football",
    "baseball",
    "sunshine",
    "princess",
    "superman",
    "batman",
    "shadow",
    "login",
    "guest",
    "test",
    "demo",
    "user",
    "hello",
    "whatever",
    "correcthorsebatterystaple",
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "spring",
    "summer",
    "autumn",
    "fall",
    "winter",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "portland",
    "oregon",
    "multnomah",
    "county",
    "city",
    "regional",
    "region",
    "the",
    "is",
    "my",
    "of",
    "and",
]
_WORDS = re.compile("|".join(sorted(map(re.escape, _COMMON), key=len, reverse=True)))


class PasswordTooWeak(DomainError):
    """The password is too short, too long, or among the first that anybody would try."""


def check_password(password: str, *, known_of_person: tuple[str, ...] = ()) -> None:
    """Refuse a password that is easily guessed; `known_of_person` are their name and e-mail.

    Raises PasswordTooWeak.

    >>> check_password("teapot gravel sunrise 7")
    >>> check_password("Password-2026-Password")
    Traceback (most recent call last):
    regional311.identity.passwords.PasswordTooWeak: This password is one of those tried first; ...
    """
    length = len(unicodedata.normalize("NFC", password))
    if length < SHORTEST:
        raise PasswordTooWeak(
            f"Use at least {SHORTEST} characters; several words make a good password.",
            field="password",
        )
    if length > LONGEST:
        raise PasswordTooWeak(f"Use at most {LONGEST} characters.", field="password")
    if _too_common(password, known_of_person):
        raise PasswordTooWeak(
            "This password is one of those tried first; use words that have nothing to do with"
            " each other or with you.",
            field="password",
        )


def hash_password(password: str) -> str:
    """Return what is stored of a password."""
    with _AT_ONCE:
        return _HASHER.hash(unicodedata.normalize("NFC", password))


def password_matches(password: str, stored: str | None) -> bool:
    """Tell whether this is the password; takes as long when there is no such person.

    At most two are computed at once, so that sign-ins cannot take the machine's memory.
    """
    with _AT_ONCE:
        try:
            _HASHER.verify(stored or _NOBODY, unicodedata.normalize("NFC", password))
        except (VerifyMismatchError, InvalidHashError):
            return False
    return stored is not None


def _too_common(password: str, known_of_person: tuple[str, ...]) -> bool:
    plain = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", password).casefold())
    for known in known_of_person:
        for part in re.split(r"[\W_]+", known.casefold()):
            if len(part) > 2:
                plain = plain.replace(part, "")
    rest = re.sub(r"\d+", "", _WORDS.sub("", plain))
    return len(rest) < 6 or len(set(rest)) < 5


_NOBODY = hash_password("the password of nobody at all")
