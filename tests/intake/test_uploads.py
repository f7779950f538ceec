"""Files are taken by what they are, whatever they are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.intake.uploads import LARGEST_MEGABYTES, MEGABYTE, FileRefused, upload

from .pictures_sent import GIF, JPEG, PNG, WEBP


@pytest.mark.parametrize(
    ("content", "media_type", "name"),
    [
        (JPEG, "image/jpeg", "hole.jpg"),
        (PNG, "image/png", "hole.png"),
        (GIF, "image/gif", "hole.gif"),
        (WEBP, "image/webp", "hole.webp"),
        (b"%PDF-1.7\n", "application/pdf", "hole.pdf"),
    ],
)
def test_what_is_taken_has_the_ending_of_what_it_is(content, media_type, name):
    taken = upload("photo", "hole.exe", content)
    assert (taken.media_type, taken.name) == (media_type, name)
    assert len(taken.digest) == 64
    assert "content" not in repr(taken)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"<html><script>alert(1)</script>", "Only pictures and PDF"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "Only pictures and PDF"),
        (b"MZ\x90\x00", "Only pictures and PDF"),
        (b"PK\x03\x04", "Only pictures and PDF"),
        (JPEG[:100], "damaged"),
        (JPEG + b"0" * LARGEST_MEGABYTES * MEGABYTE, "at most 8 MB"),
    ],
)
def test_what_is_refused(content, what):
    with pytest.raises(FileRefused, match=what) as caught:
        upload("photo", "hole.jpg", content)
    assert caught.value.field == "photo"


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("C:\\photos\\hole.JPG", "hole.jpg"),
        ("../../etc/passwd", "passwd.jpg"),
        ("..", "file.jpg"),
        ("", "file.jpg"),
        ("a\r\nSet-Cookie: b.png", "aSet-Cookie b.jpg"),
        ("фото 1.png", "фото 1.jpg"),
        ("x" * 300 + ".jpg", "x" * 100 + ".jpg"),
    ],
)
def test_names_are_harmless(given_, kept):
    assert upload("photo", given_, JPEG).name == kept


@given(st.text(max_size=300))
def test_every_name_can_be_given_back(name):
    kept = upload("photo", name, JPEG).name
    assert kept.endswith(".jpg")
    assert len(kept) <= 104
    assert not set(kept) & set('/\\"\r\n\0')
