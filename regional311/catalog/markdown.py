"""Markdown as articles use it, made safe: HTML for pages, plain words for lists and the search.

HTML in the text is shown as text, never obeyed; what is made is cleaned once more by an allow-list.
Pictures are left out (their words stay), links keep only addresses that open a page, a mail or a
call, and headings begin where the page has room for them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

_TAGS: Final = frozenset(
    [
        *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li"),
        *("strong", "em", "code", "pre", "blockquote", "a"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    ]
)
_ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES: Final = {"http", "https", "mailto", "tel"}
_BLANKS: Final = re.compile(r"\s+")


def _picture(_self: Any, tokens: list[Token], index: int, _options: Any, _env: Any) -> str:
    return str(escape(tokens[index].content))


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", _picture)
    return parser


_MARKDOWN: Final = _parser()


@lru_cache(maxsize=2048)
def html(text: str, first_heading: int = 2) -> Markup:
    r"""Return the text as safe HTML; its largest heading is of level `first_heading`.

    >>> str(html("# Hours\n<script>x</script>", 3))
    '<h3>Hours</h3>\n<p>&lt;script&gt;x&lt;/script&gt;</p>\n'
    """
    tokens = _MARKDOWN.parse(text)
    levels = [int(each.tag[1]) for each in tokens if each.type == "heading_open"]
    shift = first_heading - min(levels, default=first_heading)
    for each in tokens:
        if each.type in ("heading_open", "heading_close"):
            each.tag = f"h{min(6, int(each.tag[1]) + shift)}"
    made = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    cleaned = nh3.clean(
        made,
        tags=set(_TAGS),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        url_schemes=set(_SCHEMES),
        link_rel="noopener noreferrer",
    )
    return Markup(cleaned)  # noqa: S704 (cleaned by an allow-list)


def plain(text: str) -> str:
    r"""Return the words of the text without their marks, in one line.

    >>> plain("# Hours\n\nWe *open* at [eight](https://example.org).")
    'Hours We open at eight.'
    """
    words: list[str] = []
    for block in _MARKDOWN.parse(text):
        if block.type in ("fence", "code_block"):
            words.append(block.content)
        words.extend(
            " " if each.type in ("softbreak", "hardbreak") else each.content
            for each in block.children or ()
        )
        words.append(" ")
    return _BLANKS.sub(" ", "".join(words)).strip()
