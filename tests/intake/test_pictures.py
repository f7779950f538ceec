"""Pictures are kept without where they were taken; the picture itself is not touched."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regional311.intake.pictures import Damaged, TooManyPoints, bare
from regional311.intake.uploads import TYPES

from .pictures_sent import GIF, JPEG, PNG, WEBP, gps_exif, heic, with_exif

PLACE = b"45/1 30/1"


def png_part(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def in_png(*parts: bytes) -> bytes:
    """The picture with parts after its head."""
    return PNG[:33] + b"".join(parts) + PNG[33:]


def in_webp(*parts: tuple[bytes, bytes], flags: int = 0x20) -> bytes:
    body = WEBP[8:20] + bytes([WEBP[20] | flags]) + WEBP[21:]
    for kind, content in parts:
        body += struct.pack("<4sI", kind, len(content)) + content + b"\x00" * (len(content) % 2)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def test_a_photo_of_a_telephone_loses_its_place_and_keeps_which_way_up_it_is():
    photo = with_exif(JPEG, gps_exif(orientation=6))
    assert b"GPS-45.5152" in photo
    kept = bare("image/jpeg", photo)
    assert b"GPS-45.5152" not in kept
    assert b"Telephone 9" not in kept
    assert kept.startswith(b"\xff\xd8\xff\xe1\x00\x22Exif\x00\x00MM\x00*")
    # the one entry that is left: orientation, one short, 6
    assert kept[30 - 8 :][:12] == struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    # the picture is the same to the last byte
    assert kept.endswith(JPEG[JPEG.index(b"\xff\xdb") :])
    assert b"ICC_PROFILE" in kept


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 3, 8])
def test_which_way_up_is_read_in_either_order_of_bytes(order, orientation):
    kept = bare("image/jpeg", with_exif(JPEG, gps_exif(orientation, order)))
    assert (b"Exif" in kept) is (orientation != 1)
    assert bare("image/jpeg", kept) == kept


def test_notes_thumbnails_and_what_stands_behind_the_end_are_left_out():
    hidden = b"<script>alert(1)</script>"
    segments = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(hidden) + 2) + hidden
        for marker in (0xFE, 0xE1, 0xED, 0xE2, 0xE0)
    )
    photo = JPEG[:2] + segments + JPEG[2:] + hidden + b"PK\x03\x04"
    assert bare("image/jpeg", photo) == JPEG


def test_the_others_lose_what_they_tell_too():
    told = png_part(b"eXIf", gps_exif(6)), png_part(b"tEXt", b"Comment\x00" + PLACE)
    kept = bare("image/png", in_png(*told) + b"behind the end")
    assert PLACE not in kept
    assert b"GPS-45.5152" not in kept
    assert b"behind" not in kept
    assert kept.count(b"eXIf") == 1
    assert bare("image/png", in_png(told[1])) == PNG
    kept = bare("image/webp", in_webp((b"EXIF", gps_exif(1)), (b"XMP ", PLACE), flags=0x0C))
    assert kept == WEBP
    kept = bare("image/webp", in_webp((b"EXIF", gps_exif(6)), flags=0x08))
    assert b"GPS-45.5152" not in kept
    assert b"EXIF" in kept
    comment = b"\x21\xfe" + bytes([len(PLACE)]) + PLACE + b"\x00"
    assert bare("image/gif", GIF[:-1] + comment + b"\x3b" + PLACE) == GIF


def test_in_a_heic_the_place_is_written_over_where_it_stands():
    photo = heic(gps_exif(6), b"<x:xmpmeta>45.5152</x:xmpmeta>", b"the picture")
    kept = bare("image/heic", photo)
    assert len(kept) == len(photo)
    assert b"GPS-45.5152" not in kept
    assert b"xmpmeta" not in kept
    assert b"the picture" in kept
    assert bare("image/heic", kept) == kept


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("image/jpeg", JPEG.replace(struct.pack(">HH", 8, 16), struct.pack(">HH", 60_000, 60_000))),
        ("image/png", PNG[:16] + struct.pack(">II", 100_000, 100_000) + PNG[24:]),
        ("image/gif", GIF[:6] + struct.pack("<HH", 65_535, 65_535) + GIF[10:]),
        ("image/webp", WEBP[:24] + b"\xff\xff\x00\xff\xff\x00" + WEBP[30:]),
        ("image/heic", heic(b"", b"", b"", size=(60_000, 60_000))),
    ],
)
def test_a_small_file_with_a_huge_picture_is_refused(media_type, content):
    with pytest.raises(TooManyPoints):
        bare(media_type, content)


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("image/jpeg", b"\xff\xd8\xff\xe0 a picture"),
        ("image/jpeg", b"\xff\xd8\xff\xd9"),
        ("image/png", PNG[:8]),
        ("image/png", PNG[:40]),
        ("image/png", PNG[:33] + PNG[-12:]),
        ("image/gif", b"GIF89a"),
        ("image/gif", GIF[:-4]),
        ("image/webp", WEBP[:-3]),
        ("image/webp", b"RIFF\x04\x00\x00\x00WEBP"),
        ("image/heic", b"\x00\x00\x00\x18ftypheic\x00"),
    ],
)
def test_what_is_no_whole_picture_is_refused(media_type, content):
    with pytest.raises(Damaged):
        bare(media_type, content)


def test_a_pdf_stays_as_it_came():
    assert bare("application/pdf", b"%PDF-1.7\nanything") == b"%PDF-1.7\nanything"


PICTURES = {
    "image/jpeg": with_exif(JPEG, gps_exif(6)),
    "image/png": in_png(png_part(b"eXIf", gps_exif(6))),
    "image/gif": GIF,
    "image/webp": in_webp((b"EXIF", gps_exif(6)), flags=0x08),
    "image/heic": heic(gps_exif(6), b"<x/>", b"the picture"),
}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(PICTURES)), st.data())
def test_whatever_arrives_is_kept_bare_or_refused(media_type, data):
    """Any byte may be another, and any end may be missing: nothing else is ever raised."""
    sent = bytearray(PICTURES[media_type])
    for _change in range(data.draw(st.integers(0, 6))):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    whole = bytes(sent[: data.draw(st.integers(0, len(sent)))])
    try:
        kept = bare(media_type, whole)
    except (Damaged, TooManyPoints):
        return
    assert bare(media_type, kept) == kept


def test_every_kind_of_picture_that_is_taken_is_made_bare():
    assert {media_type for media_type, *_rest in TYPES} == {*PICTURES, "application/pdf"}
