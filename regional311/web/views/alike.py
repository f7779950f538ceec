"""What may be the same as something of another partner's: listed, looked at, decided."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.catalog import alike, content
from regional311.catalog.alike import Pair, Side
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.strict import Model
from regional311.web.catalogue_wording import KINDS, Wording
from regional311.web.i18n import _, translated
from regional311.web.listing import Column, Filter, Listing
from regional311.web.representations import exported, wanted
from regional311.web.security import may, safe_next
from regional311.web.telling import Telling, telling
from regional311.web.tree import Alike, AlikeRecord
from regional311.web.wording import kind as tag_of
from regional311.web.wording import said

STANDINGS = {
    "open": (_("Possibly the same"), "waiting"),
    "same": (_("The same"), "done"),
    "different": (_("Not the same"), "neutral"),
    "disputed": (_("Partners differ"), "danger"),
    "over": (_("Not alike any more"), "neutral"),
}
VIEWS = (
    ("", _("To decide")),
    ("same", _("The same")),
    ("different", _("Not the same")),
    ("disputed", _("Partners differ")),
)
REASONS = {
    "id": _("Id"),
    "name": _("Name"),
    "near_name": _("Name, nearly"),
    "website": _("Web address"),
    "email": _("E-mail address"),
    "phone": _("Telephone"),
    "address": _("Address"),
    "organization": _("Organisation"),
    "point": _("Spot on the map"),
}
SHOWN: dict[str, tuple[type[Model], tuple[str, ...]]] = {
    "service": (
        content.Service,
        (
            *("name", "alternate_name", "organization", "summary", "status", "information"),
            *("eligibility", "minimum_age", "maximum_age", "how_to_apply", "wait", "fee", "cost"),
            *("document", "languages", "hours", "phone", "email", "website", "location"),
            *("taxonomy", "keywords"),
        ),
    ),
    "organization": (
        content.Organization,
        (
            *("name", "alternate_name", "description", "parent", "legal_status", "phone"),
            *("email", "website", "location"),
        ),
    ),
    "location": (
        content.Location,
        (
            *("name", "kind", "organization", "description", "address", "address_2", "city"),
            *("state", "postal_code", "latitude", "longitude", "transportation", "website"),
            *("hours", "languages", "phone", "accessibility"),
        ),
    ),
}
"""What is put beside each other: what the public reads, not how a partner works."""

PLACES = {"service": "services", "organization": "organizations", "location": "locations"}
COLUMNS = ("kind", "key", "name", "partner", "their_key", "their_name", "score", "reasons", "state")
EXPORT = 20_000


@view_config(
    context=Alike,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="alike/index.jinja2",
)
def index(context: Alike, request: Any) -> Any:
    """The pairs that wait for somebody, or those that were decided; also as CSV or JSON."""
    tell, session = telling(request), request.dbsession
    may_decide = may(request, P.SERVICE_WORK)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Entry")),
            Column("kind", _("Kind")),
            Column("theirs", _("At the other partner")),
            Column("reasons", _("What is alike")),
            Column("score", _("How likely"), number=True),
            Column("state", _("State")),
            *([Column("tick", _("Decide"))] if may_decide else []),
        ],
        filters=[
            Filter("state", _("State"), choices=VIEWS[1:], type="hidden"),
            Filter("q", _("Name"), type="search"),
            Filter("kind", _("Kind"), choices=[(name, KINDS[name]) for name in SHOWN]),
            Filter("partner", _("Partner"), choices=_partners(tell)),
        ],
        csv=True,
    )
    asked, form = listing.values, wanted(request)
    page = alike.pairs(
        session,
        today=tell.today,
        state=asked["state"] or "open",
        kind=asked["kind"],
        other=tell.published.ids[asked["partner"]] if asked["partner"] else None,
        words=asked["q"],
        after=listing.after,
        limit=alike.PAGE if form == "html" else EXPORT,
    )
    if form != "html":
        rows = [_exported(tell, each) for each in page.rows]
        return exported(request, form, "possibly-the-same.csv", COLUMNS, rows)
    listing.fill([_row(tell, each) for each in page.rows], after=page.after)
    return {
        "listing": listing,
        "url": _url(request),
        "state": asked["state"] or "",
        "views": VIEWS,
        "waiting": alike.count_open(session, today=tell.today),
        "reasons": REASONS,
        "may_decide": may_decide,
        "here": request.path_qs,
    }


@view_config(context=Alike, permission=P.SERVICE_WORK, request_method="POST")
def decide_ticked(context: Alike, request: Any) -> HTTPSeeOther:
    """Say of all ticked pairs that they are the same, or that they are not."""
    back = safe_next(request.POST.get("back", ""))
    if not back.startswith(_url(request)):
        back = _url(request)
    ticked = {_as_id(each) for each in request.POST.getall("pair")} - {None}
    if not ticked:
        request.flash("warning", _("Tick the pairs that you decide."))
        return HTTPSeeOther(location=back)
    verdict = request.POST.get("verdict", "")
    wanted = None if verdict == "undo" else verdict
    alike.decide(request.dbsession, [each for each in ticked if each], wanted, now=request.now)
    request.flash(
        "success",
        request.localizer.pluralize(
            "${num} pair is decided.",
            "${num} pairs are decided.",
            len(ticked),
            domain="regional311",
            mapping={"num": len(ticked)},
        )
        if wanted
        else _("The decision is taken back."),
    )
    return HTTPSeeOther(location=back)


def _partners(tell: Telling) -> list[tuple[str, str]]:
    found = [(each.slug, each.name) for each in tell.published.tenants.values()]
    return sorted(
        (each for each in found if each[0] != tell.slug), key=lambda each: each[1].casefold()
    )


def _exported(tell: Telling, each: Pair) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "key": each.key,
        "name": each.name,
        "partner": tell.published.slugs.get(each.other, ""),
        "their_key": each.other_key,
        "their_name": each.other_name,
        "score": each.score,
        "reasons": " ".join(each.reasons),
        "state": each.standing,
    }


def _row(tell: Telling, each: Pair) -> dict[str, Any]:
    return {
        "id": each.id,
        "url": f"{_url(tell.request)}/{each.id}",
        "name": each.name,
        "kind": KINDS[each.kind],
        "theirs": each.other_name,
        "partner": tell.partner(each.other),
        "reasons": each.reasons,
        "score": each.score,
        "state": said(STANDINGS, each.standing),
        "tag": tag_of(STANDINGS, each.standing),
    }


@view_config(
    context=AlikeRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="alike/pair.jinja2",
)
def pair(context: AlikeRecord, request: Any) -> dict[str, Any]:
    """Both entries of a pair beside each other, field by field, and what either partner says."""
    tell, session = telling(request), request.dbsession
    found = alike.pair(session, context.record.id, today=tell.today)
    mine, theirs = alike.sides(session, found)
    fields = _fields(request, found, mine, theirs)
    by: dict[Any, str] = {**names_of(session, [found.decided_by])}
    slug = tell.published.slugs.get(found.other, "")
    last = _as_id(request.GET.get("last"))
    return {
        "pair": found,
        "kind": KINDS[found.kind],
        "standing": (said(STANDINGS, found.standing), tag_of(STANDINGS, found.standing)),
        "reasons": [REASONS[each] for each in found.reasons],
        "fields": fields,
        "here": tell.partner(tell.slug),
        "there": tell.partner(found.other),
        "facts": [
            (_("How likely"), _("${score} of 100", mapping={"score": found.score})),
            (
                tell.partner(tell.slug),
                _says(tell, found.verdict, found.decided_at, by.get(found.decided_by)),
            ),
            (
                tell.partner(found.other),
                _says(tell, found.their_verdict, found.their_decided_at, None),
            ),
        ],
        "url": f"{_url(request)}/{found.id}",
        "own_url": f"/{tell.slug}/{PLACES[found.kind]}/{found.key}",
        "public_url": f"/services/{slug}/{found.other_key}" if found.kind == "service" else None,
        "suggest_url": f"/{tell.slug}/suggestions/new?about={slug}/{found.other_key}"
        if found.kind == "service"
        else None,
        "may_decide": may(request, P.SERVICE_WORK),
        "last": f"{_url(request)}/{last}" if last else None,
        "crumbs": [(_url(request), _("Possibly the same")), (None, found.name)],
    }


def _says(tell: Telling, verdict: str | None, at: Any, who: str | None) -> Any:
    """What a partner decided, when and by whom; the other partner's people are not named."""
    if verdict is None:
        return _("Has not decided")
    words = translated(tell.request, said(STANDINGS, verdict))
    return " · ".join(filter(None, (words, tell.when(at), who)))


def _fields(request: Any, found: Pair, mine: Side, theirs: Side) -> list[dict[str, Any]]:
    """What either says, field by field in one order, with what differs marked."""
    model, names = SHOWN[found.kind]
    told = []
    for side in (mine, theirs):
        wording = Wording(request, side.names)
        shown = {name: side.said[name] for name in names if name in side.said}
        if "organization" in names:
            shown.setdefault("organization", telling(request).partner(side.tenant))
        # in the order in which people compare, and not that of the model
        told.append({name: wording.facts(model, {name: value}) for name, value in shown.items()})
    titles = Wording(request)
    return [
        {"title": titles.path(name), "here": here, "there": there, "same": here == there}
        for name in names
        for here, there in [[_values(each.get(name)) for each in told]]
        if here or there
    ]


def _values(facts: list[tuple[str, list[str]]] | None) -> list[str]:
    return [value for _field, values in facts or () for value in values]


@view_config(context=AlikeRecord, name="decide", permission=P.SERVICE_WORK, request_method="POST")
def decide(context: AlikeRecord, request: Any) -> HTTPSeeOther:
    """Say that the two are the same, or not, and go on to the next; or take it back."""
    tell, session = telling(request), request.dbsession
    verdict = request.POST.get("verdict", "")
    pair_id = context.record.id
    alike.decide(session, [pair_id], None if verdict == "undo" else verdict, now=request.now)
    if verdict == "undo":
        request.flash("success", _("The decision is taken back."))
        return HTTPSeeOther(location=f"{_url(request)}/{pair_id}")
    words = _("Kept: they are the same.") if verdict == "same" else _("Kept: not the same.")
    request.flash("success", words)
    kinds = (context.record.kind, None)
    following = (alike.pairs(session, today=tell.today, kind=kind, limit=1).rows for kind in kinds)
    found = next(filter(None, following), None)
    if found is None:
        return HTTPSeeOther(location=_url(request))
    return HTTPSeeOther(location=f"{_url(request)}/{found[0].id}?last={pair_id}")


def same_elsewhere(request: Any, kind: str, key: str) -> list[dict[str, Any]]:
    """What of other partners is, or may be, the same as an entry; for the entry's own page."""
    tell = telling(request)
    return [
        _row(tell, each)
        for each in alike.pairs_about(request.dbsession, kind, key, today=tell.today)
    ]


def _url(request: Any) -> str:
    return f"/{request.tenant.slug}/alike"


def _as_id(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
