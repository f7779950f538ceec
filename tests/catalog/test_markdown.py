"""Markdown is shown, and nothing in it is obeyed."""

from __future__ import annotations

import doctest
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog import articles, markdown
from regional311.catalog.markdown import html, plain

ALLOWED = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "strong", "em"),
    *("code", "pre", "blockquote", "a", "table", "thead", "tbody", "tr", "th", "td"),
}


def tags_of(made: str) -> list[tuple[str, dict[str, str]]]:
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append(  # type: ignore[method-assign]
        (tag, {name: value or "" for name, value in attrs})
    )
    parser.feed(made)
    return found


def test_what_articles_use():
    made = html("# Hours\n\n- *Monday*\n- **Tuesday**\n\n1. one\n\n`code`\n\n> said", 2)
    for each in ("<h2>Hours</h2>", "<em>Monday</em>", "<strong>Tuesday</strong>", "<ol>", "<code>"):
        assert each in made
    assert "<td>8–5</td>" in html("| Day | Hours |\n| --- | :-- |\n| Monday | 8–5 |")


def test_headings_begin_where_the_page_says():
    assert html("### Low\n\n#### Lower", 2) == "<h2>Low</h2>\n<h3>Lower</h3>\n"
    assert html("# Top\n\n###### Deep", 3) == "<h3>Top</h3>\n<h6>Deep</h6>\n"


def test_links_open_pages_mails_and_calls():
    made = html("[a](https://example.org) [b](mailto:a@example.org) [c](tel:+15038234000) [d](/x)")
    assert made.count('rel="noopener noreferrer"') == 4
    for href in ("https://example.org", "mailto:a@example.org", "tel:+15038234000", "/x"):
        assert f'href="{href}"' in made


BAD = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#115;cript:alert(1))",
    "[x](&#x6A;avascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![x](https://elsewhere.example/pixel.gif)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    '[x](https://example.org "\\" onmouseover=alert(1)")',
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<!-- --><iframe src=//evil.example>",
    "```\n</code><script>alert(1)</script>\n```",
    "<div style='position:fixed'>x</div>",
]


@pytest.mark.parametrize("text", BAD)
def test_what_could_do_harm_is_defused(text):
    for tag, attributes in tags_of(html(text)):
        assert tag in ALLOWED
        assert set(attributes) <= {"href", "title", "rel", "start"}
        assert re.match(r"https?:|mailto:|tel:|/|$", attributes.get("href", ""))


@given(st.text(alphabet="<>\"'()[]!&;:#`*_-|\\ \nahref=jvscript/onx", max_size=80))
def test_only_tags_of_the_list_come_out(text):
    for tag, attributes in tags_of(html(text)):
        assert tag in ALLOWED
        assert set(attributes) <= {"href", "title", "rel", "start"}
        href = attributes.get("href", "")
        assert not re.match(r"\s*(javascript|vbscript|data|file):", href, re.IGNORECASE)


def test_a_picture_leaves_its_words():
    assert html("![A map of the park](https://x.example/a.png)") == "<p>A map of the park</p>\n"
    assert plain("![A map](a.png) *of* the\npark\n\n```\ncode\n```") == "A map of the park code"


def test_the_examples_hold():
    for module in (articles, markdown):
        found = doctest.testmod(module)
        assert found.attempted
        assert not found.failed
