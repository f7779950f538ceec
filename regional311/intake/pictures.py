"""Pictures as they are kept: the picture alone, drawn anew.

A telephone writes the place into a photo, so that a picture of a pothole may say where its
photographer lives; and a file may be a picture and something else at once. So each picture is
decoded and written anew, by its kind's own decoder only: upright, with its colours, and without
place, notes, thumbnails, further pictures or what stands behind the end.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

from PIL import Image
from PIL.ExifTags import Base

KINDS: Final = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
}
"""Media types of pictures, and the decoder of each."""

MOST_POINTS: Final = 50_000_000
"""Points of a picture that is decoded at all: 150 to 200 MB of memory."""

LONGEST_SIDE: Final = 4096
"""Points of the longer side of what is kept; a larger picture is made smaller."""

_QUALITY: Final = 90
_COLOURS: Final = {"JPEG": ("L", "RGB"), "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
"""How points may be written; others are made red, green and blue."""

_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a picture is turned by its orientation (Exif 2.32, tag 274)."""

# The limit is MOST_POINTS, which is looked at before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


class Damaged(ValueError):
    """It is no whole picture of its kind."""


class TooManyPoints(ValueError):
    """It is larger than anybody photographs; a small file can hold a huge empty picture."""


def bare(media_type: str, content: bytes) -> bytes:
    """Draw a picture anew, its first one where it moves; other kinds of files stay as they are.

    Raises `Damaged`, `TooManyPoints`.
    """
    kind = KINDS.get(media_type)
    if kind is None:
        return content
    # what a decoder raises for the bytes of a stranger is on no list
    try:
        picture = Image.open(BytesIO(content), formats=[kind])
    except Exception as error:
        raise Damaged(type(error).__name__) from error
    if picture.width * picture.height > MOST_POINTS:
        raise TooManyPoints(f"{picture.width} by {picture.height}")
    try:
        return _drawn(picture, kind)
    except Exception as error:
        raise Damaged(type(error).__name__) from error


def _drawn(picture: Image.Image, kind: str) -> bytes:
    picture.draft(None, (LONGEST_SIDE, LONGEST_SIDE))
    picture.load()
    turn = _UPRIGHT.get(_way_up(picture))
    profile = picture.info.get("icc_profile")
    transparency = picture.info.get("transparency")
    picture.info = {} if transparency is None else {"transparency": transparency}
    if kind in _COLOURS and picture.mode not in _COLOURS[kind]:
        picture = picture.convert("RGB")
    if turn is not None:
        picture = picture.transpose(turn)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    more = {"icc_profile": profile} if profile and picture.mode in ("RGB", "RGBA") else {}
    written = BytesIO()
    picture.save(written, kind, quality=_QUALITY, **more)
    return written.getvalue()


def _way_up(picture: Image.Image) -> int:
    """Give the orientation that a photo says it has, 1 to 8; 1 where nobody can tell."""
    try:
        return int(picture.getexif().get(Base.Orientation, 1))
    except Exception:  # noqa: BLE001 (a photo with broken Exif is a photo)
        return 1
