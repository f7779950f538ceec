"""How many parts a text takes on its way to a telephone. Pure.

Telephones count in the letters of GSM 03.38; one letter outside of them, such as í, 街 or a curly
quotation mark, and the whole text is counted in UTF-16 (3GPP TS 23.038, 23.040).
"""

from __future__ import annotations

from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_TWICE: Final = frozenset("^{}\\[~]|€\f")
"""Letters that take two places."""
_GSM: Final = (160, 153)
_UTF16: Final = (70, 67)
"""Places in a text of one part, and in each part of a longer one."""
_PLAIN: Final = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\u00a0": " "}
)


def plain(text: str) -> str:
    """Give a text with straight quotation marks and the like, which take less room.

    >>> plain("It’s done – thank you…")
    "It's done - thank you..."
    """
    return text.translate(_PLAIN)


def segments(text: str) -> int:
    """Give how many parts a text takes.

    >>> segments("a" * 160), segments("a" * 161), segments("í" * 70), segments("í" * 71)
    (1, 2, 1, 2)
    >>> segments(""), segments("€" * 81), segments("😀" * 36)
    (0, 2, 2)
    """
    letters = set(text)
    if letters <= _BASIC | _TWICE:
        places, (one, each) = len(text) + sum(letter in _TWICE for letter in text), _GSM
    else:
        places, (one, each) = len(text.encode("utf-16-le", "surrogatepass")) // 2, _UTF16
    return -(-places // each) if places > one else min(places, 1)
