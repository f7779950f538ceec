"""Files that people send with a form: what is taken, by what they are and not by what they say.

Pictures and PDF only, told by their first bytes. A picture is drawn anew (`pictures`); a PDF is
kept as it came, since nobody looks into it. Neither is ever shown: it is given back to be saved.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from regional311.errors import InvalidInput
from regional311.intake import pictures

MEGABYTE: Final = 1024 * 1024
LARGEST_MEGABYTES: Final = 8
"""Size of a file at most: a photo of a telephone has three to six."""
LONGEST_NAME: Final = 100


class FileRefused(InvalidInput):
    """The file is not one that can be taken."""


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda content: content.startswith(starts)


TYPES: Final[tuple[tuple[str, str, Callable[[bytes], bool]], ...]] = (
    ("image/jpeg", "jpg", _begins(b"\xff\xd8\xff")),
    ("image/png", "png", _begins(b"\x89PNG\r\n\x1a\n")),
    ("image/gif", "gif", _begins(b"GIF87a", b"GIF89a")),
    ("image/webp", "webp", lambda content: content[:4] == b"RIFF" and content[8:12] == b"WEBP"),
    ("application/pdf", "pdf", _begins(b"%PDF-")),
)
"""Kinds of files that are taken: media type, ending, and how they are told."""

EMPTY: Final = "The file is empty."
TOO_LARGE: Final = "A file has at most 8 MB."
OTHER_KIND: Final = (
    "Only pictures and PDF can be taken (JPEG, PNG, GIF, WebP, PDF), whatever the file is called."
)


DAMAGED: Final = "The picture is damaged. Open it, save it anew, and send that."
TOO_MANY_POINTS: Final = "The picture has too many points. Save it smaller, and send that."


@dataclass(frozen=True)
class Upload:
    """A file given as the answer to a question; `name` has the ending of what it is."""

    question: str
    name: str
    media_type: str
    content: bytes = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()


def upload(question: str, name: str, content: bytes) -> Upload:
    """Take a file. Raises `FileRefused` for one that is empty, too large, damaged or no picture."""
    if not content:
        raise FileRefused(EMPTY, field=question)
    if len(content) > LARGEST_MEGABYTES * MEGABYTE:
        raise FileRefused(TOO_LARGE, field=question)
    for media_type, ending, told in TYPES:
        if told(content):
            try:
                kept = pictures.bare(media_type, content)
            except pictures.Damaged as error:
                raise FileRefused(DAMAGED, field=question) from error
            except pictures.TooManyPoints as error:
                raise FileRefused(TOO_MANY_POINTS, field=question) from error
            return Upload(question, _named(name, ending), media_type, kept)
    raise FileRefused(OTHER_KIND, field=question)


def _named(name: str, ending: str) -> str:
    """Give the last part of a path, without what cannot be shown, with the right ending.

    >>> _named("photos/hole.exe", "jpg")
    'hole.jpg'
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    shown = "".join(each for each in last if unicodedata.category(each)[0] != "C")
    stem = shown.rpartition(".")[0] if "." in shown else shown
    stem = re.sub(r'["<>:|?*]', "", stem).strip(" .")[:LONGEST_NAME]
    return f"{stem or 'file'}.{ending}"
