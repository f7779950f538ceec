"""Pictures are kept without where they were taken, upright, and as nothing but pictures."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from regional311.intake.pictures import LONGEST_SIDE, Damaged, TooManyPoints, bare
from regional311.intake.uploads import TYPES

from .pictures_sent import GIF, JPEG, PNG, WEBP, gps_exif, with_exif


def opened(content: bytes) -> Image.Image:
    picture = Image.open(BytesIO(content))
    picture.load()
    return picture


def drawn(kind: str, size: tuple[int, int] = (16, 8), **more) -> bytes:
    """A picture, red on the left and blue on the right."""
    picture = Image.new("RGB", size, "blue")
    picture.paste("red", (0, 0, size[0] // 2, size[1]))
    written = BytesIO()
    picture.save(written, kind, **more)
    return written.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_loses_its_place(kind):
    place = Image.Exif()
    place[0x0110] = "Telephone 9"
    place.get_ifd(0x8825)[2] = (45.0, 30.0, 55.0)
    photo = drawn(kind, exif=place.tobytes())
    assert b"Telephone 9" in photo
    kept = bare(f"image/{kind.lower()}", photo)
    assert b"Telephone 9" not in kept
    assert not opened(kept).getexif()
    assert opened(kept).size == (16, 8)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_photo_that_was_taken_on_its_side_is_kept_upright(order):
    photo = with_exif(JPEG, gps_exif(6, order))
    assert b"GPS-45.5152" in photo
    kept = bare("image/jpeg", photo)
    assert b"GPS-45.5152" not in kept
    assert opened(kept).size == (8, 16)


def test_notes_and_what_stands_behind_the_end_are_left_out():
    hidden = b"<script>alert(1)</script>"
    segments = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(hidden) + 2) + hidden for marker in (0xFE, 0xE1, 0xED)
    )
    assert hidden not in bare("image/jpeg", JPEG[:2] + segments + JPEG[2:] + hidden + b"PK\x03\x04")
    assert hidden not in bare("image/png", PNG + hidden)
    assert hidden not in bare("image/gif", GIF[:-1] + b"\x21\xfe\x19" + hidden + b"\x00;" + hidden)


def test_colours_stay():
    red = opened(bare("image/jpeg", JPEG)).convert("RGB").getpixel((2, 2))
    assert red[0] > 180
    assert max(red[1:]) < 90
    assert b"ICC_PROFILE" in bare("image/jpeg", JPEG)


def test_a_large_photo_is_made_smaller():
    kept = opened(bare("image/jpeg", drawn("JPEG", (6000, 3000))))
    assert max(kept.size) == LONGEST_SIDE


def test_printers_colours_and_transparency_are_taken():
    written = BytesIO()
    Image.new("CMYK", (4, 4)).save(written, "JPEG")
    assert opened(bare("image/jpeg", written.getvalue())).mode == "RGB"
    written = BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(written, "PNG")
    assert opened(bare("image/png", written.getvalue())).getpixel((1, 1)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("image/jpeg", JPEG.replace(struct.pack(">HH", 8, 16), struct.pack(">HH", 60_000, 60_000))),
        ("image/png", drawn("PNG")[:16] + struct.pack(">II", 100_000, 100_000) + drawn("PNG")[24:]),
        ("image/gif", GIF[:6] + struct.pack("<HH", 65_535, 65_535) + GIF[10:]),
    ],
)
def test_a_small_file_with_a_huge_picture_is_refused(media_type, content):
    with pytest.raises((TooManyPoints, Damaged)):
        bare(media_type, content)


def test_a_bomb_is_refused_before_it_is_decoded():
    bomb = BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < 200_000
    with pytest.raises(TooManyPoints):
        bare("image/png", bomb.getvalue())


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("image/jpeg", b"\xff\xd8\xff\xe0 a picture"),
        ("image/jpeg", JPEG[:100]),
        ("image/png", PNG[:40]),
        ("image/png", JPEG),
        ("image/gif", b"GIF89a"),
        ("image/webp", WEBP[:30]),
    ],
)
def test_what_is_no_whole_picture_is_refused(media_type, content):
    with pytest.raises(Damaged):
        bare(media_type, content)


def test_a_pdf_stays_as_it_came():
    assert bare("application/pdf", b"%PDF-1.7\nanything") == b"%PDF-1.7\nanything"


PICTURES = {
    "image/jpeg": with_exif(JPEG, gps_exif(6)),
    "image/png": PNG,
    "image/gif": GIF,
    "image/webp": WEBP,
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
    assert not opened(kept).getexif()


def test_every_kind_of_picture_that_is_taken_is_drawn_anew():
    assert {media_type for media_type, *_rest in TYPES} == {*PICTURES, "application/pdf"}
