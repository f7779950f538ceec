"""Keys: short names in addresses and files, made of what people call a thing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

LONGEST_KEY: Final = 40
"""Letters of a key that is made here; one in a file may be longer."""


def key_for(words: str, taken: Collection[str], fallback: str) -> str:
    """Make a key of words that nothing else has yet; of the fallback where no letter can be used.

    >>> key_for("¿Qué tan grande es?", {"que-tan-grande-es"}, "question")
    'que-tan-grande-es-2'
    """
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    parts = re.findall(r"[a-z0-9]+", plain)
    made = ""
    for each in parts:
        if len(made) + len(each) >= LONGEST_KEY:
            break
        made = f"{made}-{each}" if made else each
    made = made or (parts[0][:LONGEST_KEY] if parts else fallback)
    found, number = made, 2
    while found in taken:
        found, number = f"{made}-{number}", number + 1
    return found
