"""For you: mentions, what one has, what came back, what is due; seen or unread."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.view import view_config

from regional311.errors import InvalidInput
from regional311.floor import for_you
from regional311.floor.for_you import Item
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.web.i18n import _
from regional311.web.telling import Telling, telling
from regional311.web.tree import ForYou

SHOWS: Final = {
    "request": P.REQUEST_READ,
    "contact": P.CONTACT_READ,
    "referral": P.REFERRAL_READ,
    "thread": P.CONTACT_TAKE,
    "visit": P.CONTACT_TAKE,
    "rules": P.RULE_EDIT,
}
"""What opens each sort of thing."""
PLACES: Final = {
    "request": "requests",
    "contact": "contacts",
    "referral": "referrals",
    "thread": "inbox",
}
WHAT: Final = {
    "mentioned": _("You are mentioned in a note"),
    "given": _("Given to you"),
    "taken": _("Taken over from you"),
    "looked": _("A colleague looked along"),
    "assigned": _("You work it"),
    "wrote": _("The person wrote"),
    "reopened": _("Opened again"),
    "claimed": _("You answer it"),
    "asked": _("The receiver asks something"),
    "came_back": _("Came back: declined or ended"),
    "answer": _("Waits for your answer"),
    "follow_up": _("Ask what became of it"),
    "line_open": _("Call back who waits for a line"),
    "rule": _("A rule that decides does not work any more"),
}
VIEWS: Final = {
    "mentions": (_("Mentions"), ("mentioned",)),
    "colleagues": (_("From colleagues"), ("given", "taken", "looked")),
    "mine": (_("You have it"), ("assigned", "claimed", "answer")),
    "back": (_("Came back"), ("wrote", "reopened", "asked", "came_back")),
    "due": (_("Calls due"), ("follow_up", "line_open")),
    "rules": (_("Rules to mend"), ("rule",)),
}


def _items(request: Any) -> list[Item]:
    permissions = request.identity.permissions(request.tenant.id)
    return for_you.for_you(
        request.dbsession,
        today=telling(request).today,
        now=request.now,
        shows=[sort for sort, permission in SHOWS.items() if permission in permissions],
        cleared=request.identity.cleared(request.tenant.id),
    )


@view_config(
    context=ForYou, permission=P.TENANT_ENTER, request_method="GET", renderer="for_you/list.jinja2"
)
def listed(context: ForYou, request: Any) -> Any:
    """Everything that is for this person, unread first; or the way to one, which then is seen."""
    tell = telling(request)
    items = _items(request)
    if "go" in request.GET:
        return _go(request, items, request.GET["go"])
    names = names_of(request.dbsession, [each.by_id for each in items])
    asked = request.GET.get("view", "")
    chosen = VIEWS[asked][1] if asked in VIEWS else for_you.KINDS
    here = f"/{tell.slug}/for-you"
    return {
        "here": here,
        "rows": [_row(tell, each, names, here) for each in items if each.kind in chosen],
        "unread": sum(each.unread for each in items),
        "tabs": [
            (here, _("All"), len(items), asked not in VIEWS),
            *(
                (
                    f"{here}?view={key}",
                    title,
                    sum(each.kind in kinds for each in items),
                    key == asked,
                )
                for key, (title, kinds) in VIEWS.items()
            ),
        ],
        "undo": request.GET.get("seen", "")[:40] or None,
    }


def _row(tell: Telling, each: Item, names: Any, here: str) -> dict[str, Any]:
    late = each.due_at is not None and each.due_at < tell.request.now
    number = each.number
    return {
        "key": each.key,
        "what": WHAT[each.kind],
        "number": _("Number ${number}", mapping={"number": number})
        if each.subject_kind == "visit"
        else number,
        "url": f"{here}?{urlencode({'go': each.key})}",
        "by": names.get(each.by_id) if each.by_id else None,
        "service": tell.service_name(each.owner_id, each.service_key) if each.service_key else None,
        "when": tell.when(each.at) if each.kind != "follow_up" else tell.day(each.at.date()),
        "due": tell.day(each.due_at) if each.due_at and each.kind != "follow_up" else None,
        "late": late and each.kind != "follow_up",
        "unread": each.unread,
    }


@view_config(context=ForYou, name="count", permission=P.TENANT_ENTER, request_method="GET")
def count(context: ForYou, request: Any) -> Any:
    """How many are unread, as a part of every page's head."""
    unread = sum(each.unread for each in _items(request))
    return render_to_response("for_you/count.jinja2", {"unread": unread}, request=request)


def _go(request: Any, items: list[Item], key: str) -> HTTPSeeOther:
    found = next((each for each in items if each.key == key), None)
    here = f"/{request.tenant.slug}"
    if found is None:
        request.flash("info", _("That is not in your list any more."))
        return HTTPSeeOther(location=f"{here}/for-you")
    for_you.see(request.dbsession, [found.key], now=request.now)
    if found.kind == "follow_up":
        return HTTPSeeOther(location=f"{here}/follow-ups/{found.number}")
    if found.kind == "rule":
        return HTTPSeeOther(location=f"{here}/rules")
    if found.kind == "line_open":
        return HTTPSeeOther(location=f"{here}/contacts/{found.number}/handover")
    if found.subject_kind == "visit":
        return HTTPSeeOther(location=f"{here}/front-desk")
    return HTTPSeeOther(location=f"{here}/{PLACES[found.subject_kind]}/{found.number}")


@view_config(context=ForYou, name="seen", permission=P.TENANT_ENTER, request_method="POST")
def seen(context: ForYou, request: Any) -> HTTPSeeOther:
    """Keep that one is seen, or all of them."""
    key = request.POST.get("item", "")
    items = _items(request)
    keys = [each.key for each in items if each.unread and key in ("all", each.key)]
    for_you.see(request.dbsession, keys, now=request.now)
    here = f"/{request.tenant.slug}/for-you"
    if not keys:
        return HTTPSeeOther(location=here)
    return HTTPSeeOther(location=f"{here}?{urlencode({'seen': request.now.isoformat()})}")


@view_config(context=ForYou, name="undo", permission=P.TENANT_ENTER, request_method="POST")
def undo(context: ForYou, request: Any) -> HTTPSeeOther:
    """Make what was just seen unread again."""
    try:
        at = datetime.fromisoformat(request.POST.get("seen", ""))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidInput(_("There is nothing to take back."), field="seen")
    if for_you.unsee(request.dbsession, at):
        request.flash("success", _("Unread again."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/for-you")
