"""What the pages for everybody share: their addresses in each language, and pinned notices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from regional311.catalog import markdown
from regional311.catalog.article_queries import Shelved
from regional311.referral.snapshot import Published
from regional311.tenancy.queries import TenantRow
from regional311.web.i18n import ASKED, LANGUAGE_NAMES, offered, page_language
from regional311.web.spoken import Spoken, own_language, spoken_article, spoken_service
from regional311.web.telling import telling


def address_of(request: Any, path: str, language: str | None = None, /, **query: str) -> str:
    """Return the whole address of a page, in a language when one is named."""
    asked = {**query, ASKED: language} if language else query
    base = request.registry.configured.url.rstrip("/")
    return f"{base}{path}{'?' if asked else ''}{urlencode(asked)}"


def canonical(request: Any, *names: str) -> str:
    """Return the one address of this page: in the language asked for, with the query's `names`."""
    asked = {name: request.GET[name] for name in names if request.GET.get(name)}
    language = request.GET.get(ASKED)
    known = language if language in offered(request) else None
    return address_of(request, request.path, known, **asked)


def alternates(request: Any, languages: Iterable[str]) -> list[tuple[str, str]]:
    """Return (hreflang, address) of this page in each language in which there is something."""
    found = [
        (each, address_of(request, request.path, each))
        for each in languages
        if each in offered(request)
    ]
    return [*found, ("x-default", address_of(request, request.path))]


def languages_of(request: Any, languages: Sequence[str]) -> list[dict[str, Any]]:
    """Return the page's own switch: a link for each language in which there is something."""
    here = page_language(request)
    return [
        {
            "code": each,
            "name": LANGUAGE_NAMES[each],
            "url": f"{request.path}?{urlencode({ASKED: each})}",
            "chosen": each == here,
        }
        for each in languages
        if each in offered(request)
    ]


def shown_notices(
    request: Any, found: Iterable[Shelved], *, staff: bool = False
) -> list[dict[str, Any]]:
    """Return the notices that hold at this moment on their partner's clock.

    Their part for staff is only among it when `staff` says so.
    """
    tell = telling(request)
    shown = []
    for each in found:
        slug = tell.published.slugs.get(each.tenant_id)
        if slug is None:
            continue
        row = tell.published.tenants[slug]
        if not each.said.holds(local_now(request, row)):
            continue
        spoken = spoken_article(each.said, own_language(row), page_language(request))
        shown.append(
            {
                "level": each.said.level,
                "title": spoken.title,
                "html": markdown.html(spoken.text.text, 3) if spoken.text else None,
                "language": spoken.text.language if spoken.text else spoken.title.language,
                "partner": row.name,
                "internal": markdown.html(each.said.internal, 3)
                if staff and each.said.internal
                else None,
            }
        )
    return shown


def with_region(published: Published, tenant_id: UUID) -> list[UUID]:
    """Return whose notices stand on a partner's pages: its own, and the region's."""
    region = published.ids.get("region")
    return [tenant_id] if region is None else [tenant_id, region]


def local_now(request: Any, partner: TenantRow) -> datetime:
    """Return this moment on a partner's clock."""
    now: datetime = request.now
    return now.astimezone(ZoneInfo(partner.zone))


def spoken_name(request: Any, slug: str, key: str) -> Spoken:
    """Give a service's name in the language of the page; its key when there is none any more."""
    tell = telling(request)
    found, row = tell.service(slug, key), tell.published.tenants.get(slug)
    own = "en" if row is None else own_language(row)
    if found is None:
        return Spoken(key, own)
    return spoken_service(found, own, page_language(request)).name
