"""Pictures without what they tell beside the picture: where, when and with what they were taken.

A telephone writes the place into a photo, so that a picture of a pothole may say where its
photographer lives. What is kept has the picture, its colours and which way up it is, and nothing
else: only parts that are known to be of the picture are taken over, so that notes, thumbnails,
place, serial numbers and whatever stands behind the end of the picture are left out. The picture
itself is not touched, which needs no decoder; one that has too many points is refused.

Sources: ITU-T T.81 Annex B and Exif 2.32 (JPEG), W3C PNG 3rd edition, GIF89a, RFC 9649 (WebP),
ISO/IEC 14496-12 and 23008-12 (HEIC).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

MOST_POINTS: Final = 120_000_000
"""Points of a picture; the largest sensors of telephones have 108 million in use."""

_EXIF: Final = b"Exif\x00\x00"
_ORIENTATION: Final = 0x0112


class Damaged(ValueError):
    """It is no whole picture of its kind."""


class TooManyPoints(ValueError):
    """It is larger than anybody photographs; a small file can hold a huge empty picture."""


def bare(media_type: str, content: bytes) -> bytes:
    """Give a picture without what it tells beside itself; other kinds of files as they are.

    Raises `Damaged`, `TooManyPoints`.
    """
    strip = _STRIPPED.get(media_type)
    if strip is None:
        return content
    try:
        return strip(content)
    except (struct.error, IndexError) as error:
        raise Damaged(str(error)) from error


def _measured(width: int, height: int) -> None:
    if width * height > MOST_POINTS:
        raise TooManyPoints(f"{width} by {height}")


# --- which way up ---------------------------------------------------------------------------------


def _way_up(tiff: bytes) -> int:
    """Read the orientation (1 to 8) from a block of Exif; 1 where it says none."""
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(min(count, 200)):
            at = start + 2 + 12 * entry
            tag, kind = struct.unpack_from(f"{order}HH", tiff, at)
            if (tag, kind) == (_ORIENTATION, 3):
                (value,) = struct.unpack_from(f"{order}H", tiff, at + 8)
                return int(value) if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1


def _only_way_up(orientation: int) -> bytes:
    """Write a block of Exif that says the orientation and nothing else."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)


# --- JPEG -----------------------------------------------------------------------------------------

_SIZES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of segments that say how large the picture is."""
_NEXT: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends the data of a scan."""


def _jpeg(content: bytes) -> bytes:
    kept, orientation, at, scans = [], 1, 2, 0
    while True:
        if content[at] != 0xFF:
            raise Damaged("no marker where one must be")
        while content[at] == 0xFF:
            at += 1
        marker, at = content[at], at + 1
        if marker == 0xD9:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        (length,) = struct.unpack_from(">H", content, at)
        segment, at = content[at + 2 : at + length], at + length
        if length < 2 or at > len(content):
            raise Damaged("a segment ends beyond the file")
        if marker == 0xE1 and segment.startswith(_EXIF):
            orientation = _way_up(segment[len(_EXIF) :])
        if not _of_a_jpeg(marker, segment):
            continue
        if marker in _SIZES:
            height, width = struct.unpack_from(">HH", segment, 1)
            _measured(width, height)
        kept.append(struct.pack(">BBH", 0xFF, marker, length) + segment)
        if marker == 0xDA:
            scans += 1
            found = _NEXT.search(content, at)
            end = found.start() if found else len(content)
            kept.append(content[at:end])
            if found is None:
                break
            at = end
    if not scans:
        raise Damaged("there is no picture in it")
    told = b""
    if orientation != 1:
        block = _EXIF + _only_way_up(orientation)
        told = struct.pack(">BBH", 0xFF, 0xE1, len(block) + 2) + block
    return b"\xff\xd8" + told + b"".join(kept) + b"\xff\xd9"


def _of_a_jpeg(marker: int, segment: bytes) -> bool:
    if marker == 0xE0:
        return segment.startswith(b"JFIF\x00")
    if marker == 0xE2:
        return segment.startswith(b"ICC_PROFILE\x00")
    if marker == 0xEE:
        return segment.startswith(b"Adobe")
    return marker != 0xFE and not 0xE0 <= marker <= 0xEF


# --- PNG ------------------------------------------------------------------------------------------

_OF_A_PNG: Final = frozenset(
    (
        b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP",
        b"sBIT", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
    )
)  # fmt: skip


def _png(content: bytes) -> bytes:
    kept, at, kind, pictured = [content[:8]], 8, b"", False
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if end > len(content) or (at == 8) != (kind == b"IHDR"):
            raise Damaged("a part is not where it must be")
        if kind == b"IHDR":
            _measured(*struct.unpack_from(">II", content, at + 8))
        if kind == b"eXIf":
            orientation = _way_up(content[at + 8 : end - 4])
            if orientation != 1:
                block = b"eXIf" + _only_way_up(orientation)
                kept.append(struct.pack(">I", len(block) - 4) + block)
                kept.append(struct.pack(">I", zlib.crc32(block)))
        elif kind in _OF_A_PNG:
            kept.append(content[at:end])
            pictured = pictured or kind == b"IDAT"
        at = end
    if not pictured:
        raise Damaged("there is no picture in it")
    return b"".join(kept)


# --- GIF ------------------------------------------------------------------------------------------


def _gif(content: bytes) -> bytes:
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    _measured(width, height)
    at = 13 + _colours(flags)
    kept, pictured = [content[:at]], False
    while content[at] != 0x3B:
        start, kind = at, content[at]
        if kind == 0x2C:
            at += 11 + _colours(content[at + 9])
            wanted = pictured = True
        elif kind == 0x21:
            label, at = content[at + 1], at + 2
            # how a frame follows another, and how often they are shown
            wanted = label == 0xF9 or content[at : at + 12] == b"\x0bNETSCAPE2.0"
        else:
            raise Damaged("an unknown block")
        while content[at]:
            at += 1 + content[at]
        at += 1
        if wanted:
            kept.append(content[start:at])
    if not pictured:
        raise Damaged("there is no picture in it")
    return b"".join(kept) + b"\x3b"


def _colours(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


# --- WebP -----------------------------------------------------------------------------------------

_OF_A_WEBP: Final = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_TELLS_EXIF, _TELLS_XMP = 0x08, 0x04


def _webp(content: bytes) -> bytes:
    (size,) = struct.unpack_from("<I", content, 4)
    end = size + 8
    if end > len(content):
        raise Damaged("it ends before its end")
    parts: list[tuple[bytes, bytes]] = []
    orientation, at = 1, 12
    while at < end:
        kind, length = struct.unpack_from("<4sI", content, at)
        part = content[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
        if at > end + 1 or len(part) < length:
            raise Damaged("a part ends beyond the file")
        if kind == b"EXIF":
            orientation = _way_up(part.removeprefix(_EXIF))
        elif kind in _OF_A_WEBP:
            parts.append((kind, part))
    if not parts:
        raise Damaged("there is no picture in it")
    first, part = parts[0]
    _measured(*_webp_size(first, part))
    if first == b"VP8X":
        told = _TELLS_EXIF if orientation != 1 else 0
        flags = part[0] & ~(_TELLS_EXIF | _TELLS_XMP) | told
        parts[0] = (first, bytes([flags]) + part[1:])
        if told:
            parts.append((b"EXIF", _only_way_up(orientation)))
    body = b"WEBP" + b"".join(
        struct.pack("<4sI", kind, len(each)) + each + b"\x00" * (len(each) % 2)
        for kind, each in parts
    )
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def _webp_size(kind: bytes, part: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return (
            int.from_bytes(part[4:7], "little") + 1,
            int.from_bytes(part[7:10], "little") + 1,
        )
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", part, 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", part, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise Damaged("the picture does not come first")


# --- HEIC -----------------------------------------------------------------------------------------
#
# Parts of the file say where others are, in bytes from its beginning, so that nothing is taken out:
# what is not of the picture is written over with zeros. Which way up it is stands in a property of
# the picture (`irot`, `imir`), not in Exif.

_OF_A_HEIC: Final = frozenset((b"ftyp", b"meta", b"mdat"))
_TOLD: Final = frozenset((b"Exif", b"mime", b"uri "))
"""Kinds of items that tell something beside the picture."""


def _heic(content: bytes) -> bytes:
    bare_ = bytearray(content)
    meta = None
    for kind, start, end in _boxes(content, 0, len(content)):
        if kind == b"meta":
            meta = (start + 4, end)
        elif kind not in _OF_A_HEIC:
            bare_[start:end] = bytes(end - start)
    if meta is None:
        raise Damaged("there is no picture in it")
    parts = {kind: (start, end) for kind, start, end in _boxes(content, *meta)}
    if not {b"iinf", b"iloc", b"iprp"} <= parts.keys():
        raise Damaged("there is no picture in it")
    for kind, start, end in _boxes(content, *parts[b"iprp"]):
        if kind == b"ipco":
            for name, at, _end in _boxes(content, start, end):
                if name == b"ispe":
                    _measured(*struct.unpack_from(">II", content, at + 4))
    told = {item for item, kind in _items(content, *parts[b"iinf"]) if kind in _TOLD}
    inner, erased = parts.get(b"idat", (0, 0))[0], 0
    for item, start, length in _places(content, parts[b"iloc"][0], inner):
        if item in told:
            erased += length
            if not length or start + length > len(content) or erased > len(content):
                raise Damaged("a part is not where it must be")
            bare_[start : start + length] = bytes(length)
    for kind, (start, end) in parts.items():
        if kind in (b"uuid", b"udta", b"free", b"skip"):
            bare_[start:end] = bytes(end - start)
    return bytes(bare_)


def _boxes(content: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Give the kind, start and end of what is in each box; `uuid` has its id in it."""
    while at < end:
        size, kind = struct.unpack_from(">I4s", content, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, at + 8)
            head = 16
        elif size == 0:
            size = end - at
        if size < head or at + size > end:
            raise Damaged("a part ends beyond the file")
        yield kind, at + head, at + size
        at += size


def _items(content: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Give the number and kind of each item that the file lists."""
    version = content[start]
    at = start + (6 if version == 0 else 8)
    for kind, begins, _ends in _boxes(content, at, end):
        if kind != b"infe":
            continue
        if content[begins] < 2:
            raise Damaged("items are listed in a way that no picture uses")
        wide = content[begins] > 2
        (item,) = struct.unpack_from(">I" if wide else ">H", content, begins + 4)
        name = begins + (10 if wide else 8)
        yield item, content[name : name + 4]


def _places(content: bytes, start: int, inner: int) -> Iterator[tuple[int, int, int]]:
    """Give where each item is, part by part: number, start and length in the file."""
    version, sizes, more = content[start], content[start + 4], content[start + 5]
    offset_size, length_size = sizes >> 4, sizes & 15
    base_size, index_size = more >> 4, more & 15 if version else 0
    at = start + 6

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(content):
            raise Damaged("a part ends beyond the file")
        found = int.from_bytes(content[at : at + size], "big")
        at += size
        return found

    wide = 4 if version == 2 else 2
    for _item in range(number(wide)):
        item = number(wide)
        method = number(2) & 15 if version else 0
        number(2)  # the file that it is in: this one
        base = number(base_size)
        extents = number(2)
        if extents > 1 and not length_size:
            raise Damaged("parts without a length")
        for _extent in range(extents):
            number(index_size)
            offset, length = number(offset_size), number(length_size)
            if method == 0:
                yield item, base + offset, length
            elif method == 1:
                yield item, inner + base + offset, length


_STRIPPED: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/gif": _gif,
    "image/webp": _webp,
    "image/heic": _heic,
}
