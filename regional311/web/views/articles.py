"""Articles as staff read them: one's own, and those of every partner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPNotFound
from pyramid.view import view_config

from regional311.catalog import versions
from regional311.catalog.article_queries import Shelved, article, every_article
from regional311.catalog.article_writer import said_article
from regional311.catalog.articles import Article
from regional311.identity.permissions import Permissions as P
from regional311.web.catalogue_wording import ARTICLE_KINDS, PINNED, STATES
from regional311.web.i18n import _, translated
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.public_pages import local_now
from regional311.web.representations import csv_response, wanted
from regional311.web.security import may
from regional311.web.shelf import path_of, shown_article
from regional311.web.telling import Telling, telling
from regional311.web.tree import ArticleRecord, Articles
from regional311.web.views.catalogue_versions import state_of, url_of, version_url
from regional311.web.views.reviews import looked_at
from regional311.web.wording import choices, said
from regional311.web.wording import kind as tag_of

FEW = 2
"""Services that a list names; the article's page names all."""
READERS = {"public": _("Public"), "staff": _("Staff only")}
STANDINGS = {
    "shown": (_("Shown"), "done"),
    "coming": (_("Not yet"), "waiting"),
    "over": (_("Over"), "neutral"),
    "ended": (_("Ended"), "neutral"),
}


@view_config(
    context=Articles,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="articles/list.jinja2",
)
def articles(context: Articles, request: Any) -> Any:
    """The articles of this partner, or of all, by title."""
    tell = telling(request)
    may_edit = may(request, P.SERVICE_EDIT)
    partners = sorted(
        (slug, row.name) for slug, row in tell.published.tenants.items() if slug != tell.slug
    )
    listing = Listing(
        request,
        columns=[
            Column("title", _("Title"), sort=True),
            Column("kind", _("Kind")),
            Column("readers", _("Read by")),
            Column("services", _("Services")),
            Column("changed", _("Changed"), sort=True),
            Column("state", _("State")),
        ],
        filters=[
            Filter("q", _("Words in it"), type="search"),
            Filter("kind", _("Kind"), choices=choices(ARTICLE_KINDS)),
            Filter("readers", _("Read by"), choices=choices(READERS)),
            Filter("state", _("State"), choices=choices(STANDINGS)),
            Filter("of", _("Kept by"), choices=[("all", _("Every partner")), *partners]),
        ],
        sort="title",
        csv=True,
    )
    asked = listing.values
    slug = asked["of"] or tell.slug
    owner = None if slug == "all" else tell.published.ids[slug]
    drafts: dict[str, list[Any]] = {}
    if may_edit and owner == request.tenant.id:
        for draft in versions.open_versions(request.dbsession, "article"):
            drafts.setdefault(draft.key, []).append(draft)
    rows = [
        _row(tell, each, drafts.pop(each.said.key, []))
        for each in every_article(request.dbsession, owner)
        if each.tenant_id in tell.published.slugs
    ]
    rows += [_drafted(request, key, waiting) for key, waiting in drafts.items()]
    rows = [row for row in rows if _wanted(row, asked)]
    newest = (listing.sort or "title").endswith("changed")
    rows.sort(
        key=lambda row: (row["day"] if newest else row["title"].casefold(), row["key"]),
        reverse=(listing.sort or "").startswith("-"),
    )
    if wanted(request) == "csv":
        columns = ("partner", "key", "title", "kind", "readers", "services", "day", "standing")
        return csv_response(
            request,
            "articles.csv",
            columns,
            [[translated(request, row[name]) for name in columns] for row in rows],
        )
    after = listing.after or ""
    start = int(after) if after.isdecimal() and after.isascii() else 0
    following = str(start + PAGE_SIZE) if start + PAGE_SIZE < len(rows) else None
    listing.fill(rows[start : start + PAGE_SIZE], after=following, total=len(rows))
    return {
        "listing": listing,
        "new": [
            (f"/{tell.slug}/articles/new?{urlencode({'kind': kind})}", title)
            for kind, title in choices(ARTICLE_KINDS)
        ]
        if may_edit
        else [],
        "drafts_url": f"/{tell.slug}/articles/drafts",
    }


def _standing(tell: Telling, each: Shelved) -> str:
    now = local_now(tell.request, tell.published.tenants[tell.published.slugs[each.tenant_id]])
    if not each.offered(now.date()):
        return "ended"
    if each.said.holds(now):
        return "shown"
    begun = each.said.valid_from is None or each.said.valid_from < now.date()
    return "over" if begun else "coming"


def _row(tell: Telling, each: Shelved, waiting: list[Any]) -> dict[str, Any]:
    slug = tell.published.slugs[each.tenant_id]
    standing = _standing(tell, each)
    own = slug == tell.slug
    services = [tell.published.names.get(ref, ref) for ref in each.said.refs(slug)]
    return {
        "key": each.said.key,
        "partner": slug,
        "title": each.said.title,
        "url": url_of(tell.request, "article", each.said.key)
        if own
        else f"/{tell.slug}/articles/read?{urlencode({'article': f'{slug}/{each.said.key}'})}",
        "code": each.said.kind,
        "kind": said(ARTICLE_KINDS, each.said.kind),
        "reads": "public" if each.said.public else "staff",
        "readers": READERS["public" if each.said.public else "staff"],
        "services": ", ".join(services),
        "few": ", ".join(services[:FEW]) + (" …" if len(services) > FEW else ""),
        "day": each.updated_on.isoformat(),
        "changed": tell.day(each.updated_on),
        "standing": standing,
        "state": said(STANDINGS, standing),
        "tag": tag_of(STANDINGS, standing),
        "words": " ".join(_said(each.said)).casefold(),
        "versions": [_waiting(tell, each.said.key, row) for row in waiting],
    }


def _said(each: Article) -> Iterator[str]:
    yield from (each.title, *each.keywords, each.text or "", each.internal or "")
    for step in each.step:
        yield from (step.text, *(way.label for way in step.choice))


def _drafted(request: Any, key: str, waiting: list[Any]) -> dict[str, Any]:
    tell = telling(request)
    return {
        "key": key,
        "partner": tell.slug,
        "title": waiting[-1].called,
        "url": url_of(request, "article", key),
        "code": None,
        "kind": "",
        "reads": None,
        "readers": "",
        "services": "",
        "few": "",
        "day": "",
        "changed": None,
        "standing": None,
        "state": None,
        "tag": None,
        "words": str(waiting[-1].called).casefold(),
        "versions": [_waiting(tell, key, row) for row in waiting],
    }


def _wanted(row: dict[str, Any], asked: Any) -> bool:
    return (
        asked["kind"] in (None, row["code"])
        and asked["readers"] in (None, row["reads"])
        and asked["state"] in (None, row["standing"])
        and (asked["q"] or "").casefold() in row["words"]
    )


def _waiting(tell: Telling, key: str, row: Any) -> tuple[str, Any, str, str | None]:
    state = state_of(row)
    return (
        version_url(tell.request, "article", key, row.number),
        said(STATES, state),
        tag_of(STATES, state),
        tell.day(row.effective_on),
    )


@view_config(
    context=ArticleRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="articles/article.jinja2",
)
def own_article(context: ArticleRecord, request: Any) -> dict[str, Any]:
    """One of this partner's articles, both parts; a guide can be walked."""
    row = context.record
    found = Shelved(row.tenant_id, said_article(row), row.version, row.updated_on, row.ended_on)
    tell = telling(request)
    url = url_of(request, "article", row.key)
    may_edit = may(request, P.SERVICE_EDIT)
    waiting = []
    if may_edit:
        for each in versions.open_versions(request.dbsession, "article"):
            if each.key == row.key:
                address, words, _tag, day = _waiting(tell, row.key, each)
                waiting.append((address, each.number, words, day))
    page = _page(request, found, url)
    return {
        **page,
        **looked_at(request, "article", row, found.said.bureau),
        "suggest_url": f"/{tell.slug}/suggestions/new?about=article:{tell.slug}/{row.key}",
        "waiting": waiting,
        "edit_url": f"{url}/edit" if may_edit else None,
        "versions_url": f"{url}/versions",
    }


@view_config(
    context=Articles,
    name="read",
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="articles/article.jinja2",
)
def read(context: Articles, request: Any) -> dict[str, Any]:
    """An article of any partner, `?article=slug/key`, as its staff read it."""
    tell = telling(request)
    ref = request.GET.get("article") or request.GET.get("walk", "").partition(":")[0]
    slug, _slash, key = ref[:200].partition("/")
    found = None
    if slug in tell.published.ids:
        found = article(request.dbsession, tell.published.ids[slug], key)
    if found is None or not found.offered(tell.today):
        raise HTTPNotFound
    page = _page(request, found, f"/{tell.slug}/articles/read")
    return {
        **page,
        "looked": None,
        "suggest_url": f"/{tell.slug}/suggestions/new?about=article:{slug}/{key}",
        "waiting": [],
        "edit_url": None,
        "versions_url": None,
    }


def _page(request: Any, found: Shelved, here: str) -> dict[str, Any]:
    tell = telling(request)
    each = found.said
    slug = tell.published.slugs[found.tenant_id]
    walked = request.GET.get("walk", "")
    path = path_of(walked.partition(":")[2])
    screen = tell.published.screen(tell.today)
    standing = _standing(tell, found)
    services = []
    for ref in each.refs(slug):
        known = tell.published.directory.find(ref)
        own = known is not None and known.tenant == tell.slug
        name = tell.published.names.get(ref, ref)
        owner = tell.partner(ref.partition("/")[0])
        services.append(
            (f"/{tell.slug}/services/{known.key}" if known and own else None, name)
            if own
            else (None, f"{name}, {owner}")
        )
    return {
        "article": shown_article(
            tell,
            found,
            path=path,
            service_url=lambda ref: (
                f"/{tell.slug}/services/{ref.partition('/')[2]}"
                if ref.startswith(f"{tell.slug}/")
                else f"/services/{ref}"
            ),
        ),
        "kind": said(ARTICLE_KINDS, each.kind),
        "here": here,
        "crumbs": [(f"/{tell.slug}/articles", _("Articles")), (None, each.title)],
        "away": None if standing == "shown" else said(STANDINGS, standing),
        "services": services,
        "emergency": screen.number,
        "signs": (),
        "urls": {"danger": None},
        "facts": [
            (_("Read by"), READERS["public" if each.public else "staff"]),
            (_("Kept by"), tell.bureau(slug, each.bureau) if each.bureau else tell.partner(slug)),
            (_("From"), _moment(tell, each.valid_from, each.from_time)),
            (_("Until"), _moment(tell, each.valid_to, each.to_time)),
            (
                _("Pinned"),
                ", ".join(translated(request, said(PINNED, one)) for one in each.shown)
                if each.kind == "notice"
                else None,
            ),
            (_("Callers’ words"), ", ".join(each.keywords) or None),
            (_("Changed"), tell.day(found.updated_on)),
            (_("Key"), f"{slug}/{each.key}"),
        ],
    }


def _moment(tell: Telling, day: Any, time: str | None) -> str | None:
    return None if day is None else " ".join(filter(None, (tell.day(day), time)))
