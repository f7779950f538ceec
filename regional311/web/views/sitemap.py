"""What search engines are told: where every public page is, in which languages, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from xml.sax.saxutils import escape

from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.catalog.article_queries import public_articles
from regional311.database.session import open_session
from regional311.referral.snapshot import NOBODY
from regional311.web.i18n import offered
from regional311.web.public_pages import address_of, local_now
from regional311.web.spoken import own_language, spoken_article, spoken_service
from regional311.web.telling import telling
from regional311.web.tree import Root
from regional311.web.views.public_services import open_services

ENTRIES: Final = 5_000
"""Pages of one file, each named once a language: far below what search engines allow."""
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_XMLNS: Final = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


@dataclass(frozen=True)
class PublicPage:
    """A page for everybody: its path, the languages that it is in, and its last change."""

    path: str
    languages: tuple[str, ...]
    changed_on: date | None = None


@view_config(
    context=Root, name="sitemap.xml", permission=NO_PERMISSION_REQUIRED, request_method="GET"
)
def sitemap(context: Root, request: Any) -> Response:
    """All public pages; when they are many, an index of parts."""
    pages = list(_pages(request))
    parts = max(1, -(-len(pages) // ENTRIES))
    asked = request.GET.get("part")
    if asked is None and parts > 1:
        body = _index(request, parts)
    else:
        number = asked or "1"
        if not (number.isascii() and number.isdecimal() and 1 <= int(number[:6]) <= parts):
            raise HTTPNotFound
        start = (int(number) - 1) * ENTRIES
        body = _listed(request, pages[start : start + ENTRIES])
    return Response(body.encode(), content_type="application/xml", charset="utf-8")


def _pages(request: Any) -> Iterator[PublicPage]:
    tell = telling(request)
    known = offered(request)
    yield PublicPage("/", known)
    yield PublicPage("/services", known)
    for slug in tell.published.partners:
        own = own_language(tell.published.tenants[slug])
        services = open_services(tell, slug)
        yield PublicPage(f"/partners/{slug}", known)
        if services:
            yield PublicPage(f"/services/{slug}", known)
        for each in services:
            languages = spoken_service(each, own, own).languages
            changed = max(filter(None, (each.updated_on, each.verified_on)), default=None)
            yield PublicPage(f"/services/{each.ref}", tuple(languages), changed)
    yield PublicPage("/articles", known)
    yield from _articles(request)


def _articles(request: Any) -> Iterator[PublicPage]:
    tell = telling(request)
    with open_session(request.registry.engine, NOBODY) as session:
        found = public_articles(session, tell.today)
    for each in found:
        slug = tell.published.slugs.get(each.tenant_id)
        if slug is None or not each.said.holds(local_now(request, tell.published.tenants[slug])):
            continue
        own = own_language(tell.published.tenants[slug])
        languages = spoken_article(each.said, own, own).languages
        yield PublicPage(f"/articles/{slug}/{each.said.key}", tuple(languages), each.updated_on)


def _listed(request: Any, pages: Iterable[PublicPage]) -> str:
    known = offered(request)
    lines = [
        f'{_HEAD}<urlset {_XMLNS} xmlns:xhtml="http://www.w3.org/1999/xhtml">',
    ]
    for page in pages:
        languages = [each for each in page.languages if each in known]
        links = "".join(
            f'<xhtml:link rel="alternate" hreflang="{code}" href="{escape(address)}"/>'
            for code, address in [
                *((each, address_of(request, page.path, each)) for each in languages),
                ("x-default", address_of(request, page.path)),
            ]
        )
        changed = f"<lastmod>{page.changed_on}</lastmod>" if page.changed_on else ""
        addresses = [address_of(request, page.path, each) for each in languages]
        lines.extend(
            f"<url><loc>{escape(each)}</loc>{changed}{links}</url>"
            for each in [address_of(request, page.path), *addresses]
        )
    return "\n".join([*lines, "</urlset>\n"])


def _index(request: Any, parts: int) -> str:
    listed = "\n".join(
        f"<sitemap><loc>{escape(address_of(request, '/sitemap.xml', part=str(number)))}</loc>"
        "</sitemap>"
        for number in range(1, parts + 1)
    )
    return f"{_HEAD}<sitemapindex {_XMLNS}>\n{listed}\n</sitemapindex>\n"


@view_config(
    context=Root, name="robots.txt", permission=NO_PERMISSION_REQUIRED, request_method="GET"
)
def robots(context: Root, request: Any) -> Response:
    """Public pages may be read by programs; forms, tracking links and staff pages may not."""
    kept = ["/auth/", "/found", "/letters/", "/report", "/search?", "/suggest", "/track"]
    kept += [f"/{each.slug}" for each in request.registry.partners.all()]
    lines = ["User-agent: *", *(f"Disallow: {each}" for each in kept), "Allow: /", ""]
    lines.append(f"Sitemap: {address_of(request, '/sitemap.xml')}")
    return Response("\n".join(lines) + "\n", content_type="text/plain", charset="utf-8")
