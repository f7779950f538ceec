"""What a first visit weighs: pages, style sheets, scripts and the letters that they are set in."""

from __future__ import annotations

import gzip
import re

import pytest
from webob import Request

from regional311.web.compressing import KINDS

MOST = 150_000
"""Bytes of a first visit besides the map, compressed as a browser gets it."""
FONTS = ("sourcesanspro-regular-webfont", "sourcesanspro-bold-webfont", "Latin-Merriweather-Bold")
"""What a page in a language of Latin letters is set in."""


@pytest.fixture
def get(testapp):
    def ask(path, **headers):
        request = Request.blank(path, headers={"Accept-Encoding": "gzip", **headers})
        answer = request.get_response(testapp.app)
        parts = answer.app_iter
        body = answer.body
        if hasattr(parts, "close"):
            parts.close()
        return answer, body

    return ask


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/search?q=pothole",
        "/services",
        "/services/city-of-portland",
        "/services/city-of-portland/pothole",
        "/report?service=city-of-portland/pothole&danger=none",
        "/accommodation",
        "/partners/city-of-portland",
        "/articles",
        "/chat/211info",
        "/mine",
        "/auth/sign-in",
    ],
)
def test_a_first_visit_is_light(get, path):
    page, body = get(path)
    weight = len(body)
    if page.content_encoding == "gzip":
        page.decode_content()
    sheets = ""
    for part in dict.fromkeys(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)):
        if "leaflet" in part or "map.js" in part:
            continue
        answer, sent = get(part)
        weight += len(sent)
        if answer.content_type == "text/css":
            plain = gzip.decompress(sent) if answer.content_encoding == "gzip" else sent
            sheets += plain.decode()
    for name in FONTS:
        font = re.search(rf'url\("?(?:\.\./)*([^")]*{name}\.woff2)', sheets)[1]
        _answer, sent = get(f"/static/vendor/uswds/{font}")
        weight += len(sent)
    assert weight < MOST, f"{path} weighs {weight} bytes"


def test_our_own_sheets_are_compressed_for_whoever_reads_that(get):
    answer, sent = get("/static/regional311.css")
    assert answer.content_encoding == "gzip"
    assert answer.content_type in KINDS
    assert "Accept-Encoding" in answer.headers["Vary"]
    plain, whole = get("/static/regional311.css", **{"Accept-Encoding": "identity"})
    assert plain.content_encoding is None
    assert gzip.decompress(sent) == whole
    again, same = get("/static/regional311.css")
    assert same == sent
    assert again.content_length == len(sent)


def test_pages_are_compressed_only_where_there_is_no_secret(get):
    page, _body = get("/services/city-of-portland")
    assert page.content_encoding == "gzip"
    assert "Accept-Encoding" in page.vary
    # what may hold a secret beside what was typed is never compressed
    assert get("/report?service=city-of-portland/pothole")[0].content_encoding is None
    assert get("/services/city-of-portland", Cookie="language=es")[0].content_encoding is None
    assert get("/search?q=pothole", Authorization="Bearer x")[0].content_encoding is None
