"""Articles for everybody: the public part, and only that, in the languages that it has."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.catalog import markdown
from regional311.catalog.article_queries import Shelved, public_articles
from regional311.database.session import open_session
from regional311.referral.snapshot import NOBODY
from regional311.web.i18n import page_language
from regional311.web.public_pages import alternates, canonical, languages_of, local_now
from regional311.web.spoken import own_language, spoken_article, spoken_service
from regional311.web.suggesting import ARTICLE
from regional311.web.telling import telling
from regional311.web.tree import PublicArticle, PublicArticles, PublicArticlesOf

DESCRIPTION = 300
"""Characters of an article that stand for all of it in search results."""


@view_config(
    context=PublicArticles,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/articles.jinja2",
)
def articles(context: PublicArticles, request: Any) -> dict[str, Any]:
    """What all partners answer, partner by partner."""
    tell = telling(request)
    with open_session(request.registry.engine, NOBODY) as session:
        found = public_articles(session, tell.today)
    return {"partner": None, **_listed(request, found)}


@view_config(
    context=PublicArticlesOf,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/articles.jinja2",
)
def articles_of(context: PublicArticlesOf, request: Any) -> dict[str, Any]:
    """What one partner answers."""
    tell = telling(request)
    with open_session(request.registry.engine, NOBODY) as session:
        found = public_articles(session, tell.today, tenants=[context.partner.id])
    return {"partner": context.partner, **_listed(request, found)}


def _listed(request: Any, found: list[Shelved]) -> dict[str, Any]:
    tell = telling(request)
    wanted = page_language(request)
    shown = []
    for each in found:
        slug = tell.published.slugs.get(each.tenant_id)
        if slug is not None:
            spoken = spoken_article(each.said, own_language(tell.published.tenants[slug]), wanted)
            shown.append(
                {
                    "slug": slug,
                    "url": f"/articles/{slug}/{each.said.key}",
                    "title": spoken.title,
                    "summary": spoken.summary,
                }
            )
    shown.sort(key=lambda each: (each["slug"] == "region", each["slug"]))
    return {
        "partners": [
            {"name": tell.partner(slug), "slug": slug, "articles": list(group)}
            for slug, group in groupby(shown, key=lambda each: each["slug"])
        ],
        "canonical": canonical(request),
    }


@view_config(
    context=PublicArticle,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/article.jinja2",
)
def article(context: PublicArticle, request: Any) -> dict[str, Any]:
    """One article's public part; one that is over says so, and one that is not yet is not there."""
    tell = telling(request)
    published = tell.published
    found, partner = context.article, context.partner
    row = published.tenants[partner.slug]
    own, wanted = own_language(row), page_language(request)
    spoken = spoken_article(found.said, own, wanted)
    over = not found.offered(tell.today) or not found.said.holds(local_now(request, row))
    if over:
        request.response.status_int = 410
    services = [published.directory.find(ref) for ref in found.said.refs(partner.slug)]
    text = spoken.text
    return {
        "partner": partner,
        "spoken": spoken,
        "over": over,
        "html": markdown.html(text.text) if text and not over else None,
        "description": (spoken.summary.text if spoken.summary else "")
        or (markdown.plain(text.text)[:DESCRIPTION] if text else ""),
        "services": [
            {
                "url": f"/services/{each.ref}",
                "name": spoken_service(
                    each, own_language(published.tenants[each.tenant]), wanted
                ).name,
                "who": tell.partner(each.tenant),
            }
            for each in services
            if each is not None and each.offered(tell.today)
        ],
        "updated": tell.day(found.updated_on, "long"),
        "verified": tell.day(found.verified_on, "long"),
        "suggest_url": None
        if over
        else f"/suggest?{urlencode({'about': f'{ARTICLE}{partner.slug}/{found.said.key}'})}",
        "canonical": canonical(request),
        "alternates": [] if over else alternates(request, spoken.languages),
        "languages": languages_of(request, spoken.languages),
    }
