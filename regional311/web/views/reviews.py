"""Keeping entries right: what is due to be looked at, saying that it is right, who keeps it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.catalog.freshness import SOON_DAYS, standing
from regional311.catalog.reviews import MOST, TABLES, Reviewed, verify
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.keeping.keepers import Keepers, keepers, name_keepers
from regional311.keeping.queries import (
    EXPORT,
    PAGE,
    Review,
    counts,
    entry_names,
    reviews,
)
from regional311.web.catalogue_wording import KINDS
from regional311.web.forms import (
    CheckboxGroupWidget,
    Choices,
    Schema,
    SchemaNode,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.representations import exported, wanted
from regional311.web.security import may, safe_next
from regional311.web.telling import Telling, telling
from regional311.web.tree import ArticleRecord, OrganizationRecord, Reviews, ServiceRecord
from regional311.web.views.catalogue_versions import url_of
from regional311.web.wording import said

STANDINGS = {
    "overdue": (_("Overdue"), "danger"),
    "soon": (_("Due soon"), "waiting"),
    "later": (_("Not due"), "neutral"),
    "undated": (_("No day yet"), "neutral"),
}
COLUMNS = ("kind", "key", "name", "bureau", "keepers", "verified_on", "review_on", "standing")


@view_config(
    context=Reviews,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="reviews/index.jinja2",
)
def index(context: Reviews, request: Any) -> Any:
    """The partner's entries by the day of the next look, filtered, or as CSV or JSON."""
    tell, session = telling(request), request.dbsession
    kept = keepers(session)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Entry"), sort=True),
            Column("kind", _("Kind")),
            Column("bureau", _("Bureau")),
            Column("keepers", _("Keepers")),
            Column("checked", _("Last checked"), sort=True),
            Column("due", _("Check by"), sort=True),
            *([Column("tick", _("Looked at"))] if may(request, P.SERVICE_WORK) else []),
        ],
        filters=[
            Filter(
                "state",
                _("State"),
                choices=[
                    ("overdue", _("Overdue")),
                    ("due", _("Due within ${days} days", mapping={"days": SOON_DAYS})),
                    ("never", _("Never checked")),
                ],
            ),
            Filter("kind", _("Kind"), choices=[(each, said(KINDS, each)) for each in TABLES]),
            Filter("bureau", _("Bureau"), choices=bureaus_of(tell)),
            Filter(
                "keeper",
                _("Kept by"),
                choices=[
                    ("me", _("Me")),
                    *((str(each.person_id), each.name) for each in kept.everybody),
                ],
            ),
        ],
        sort="due",
        csv=True,
    )
    asked = listing.values
    form = wanted(request)
    keeper = asked["keeper"]
    person = request.identity.person_id if keeper == "me" else UUID(keeper) if keeper else None
    page = reviews(
        session,
        today=tell.today,
        kind=asked["kind"],
        state=asked["state"],
        bureau=asked["bureau"],
        kept=kept.kept_by(person) if person else None,
        order=listing.sort or "due",
        after=listing.after,
        limit=PAGE if form == "html" else EXPORT,
    )
    if form != "html":
        return exported(
            request,
            form,
            "reviews.csv",
            COLUMNS,
            [
                {
                    "kind": each.kind,
                    "key": each.key,
                    "name": each.name,
                    "bureau": each.bureau,
                    "keepers": names_of(kept, each),
                    "verified_on": each.verified_on,
                    "review_on": each.review_on,
                    "standing": standing(each.review_on, tell.today),
                }
                for each in page.rows
            ],
        )
    found = counts(session, today=tell.today)
    listing.fill(
        [
            {
                "entry": f"{each.kind} {each.key}",
                "kind": said(KINDS, each.kind),
                "url": url_of(request, each.kind, each.key),
                "name": each.name,
                "bureau": tell.bureau(tell.slug, each.bureau),
                "keepers": names_of(kept, each) or _("Nobody named"),
                "checked": tell.day(each.verified_on) or _("Never"),
                "due": tell.day(each.review_on),
                "state": STANDINGS[standing(each.review_on, tell.today)],
            }
            for each in page.rows
        ],
        after=page.after,
        total=found.entries if not listing.filtered else None,
    )
    return {
        "listing": listing,
        "counts": found,
        "url": f"/{tell.slug}/reviews",
        "may_verify": may(request, P.SERVICE_WORK),
        "here": request.path_qs,
        "soon_days": SOON_DAYS,
    }


@view_config(context=Reviews, permission=P.SERVICE_WORK, request_method="POST")
def verify_ticked(context: Reviews, request: Any) -> HTTPSeeOther:
    """Say that the ticked entries are still right."""
    back = safe_next(request.POST.get("back", ""))
    if not back.startswith(f"/{request.tenant.slug}/reviews"):
        back = f"/{request.tenant.slug}/reviews"
    ticked = request.POST.getall("entry")[: MOST + 1]
    if not ticked:
        request.flash("warning", _("Tick the entries that are still right."))
    elif len(ticked) > MOST:
        raise InvalidInput(f"Tick at most {MOST} entries at once.", field="entry")
    else:
        done = 0
        named = [each.partition(" ") for each in ticked]
        if unknown := {kind for kind, _blank, _key in named} - set(TABLES):
            raise InvalidInput(f"There is no kind of entry {min(unknown)[:40]!r}.", field="entry")
        for kind in TABLES:
            keys = [key for each, _blank, key in named if each == kind]
            if keys:
                today, now = telling(request).today, request.now
                done += len(verify(request.dbsession, keys, kind=kind, today=today, now=now))
        request.flash(
            "success",
            request.localizer.pluralize(
                "${num} entry is right as it stands.",
                "${num} entries are right as they stand.",
                done,
                domain="regional311",
                mapping={"num": done},
            ),
        )
    return HTTPSeeOther(location=back)


@view_config(context=ServiceRecord, name="verify", permission=P.SERVICE_WORK, request_method="POST")
@view_config(context=ArticleRecord, name="verify", permission=P.SERVICE_WORK, request_method="POST")
@view_config(
    context=OrganizationRecord, name="verify", permission=P.SERVICE_WORK, request_method="POST"
)
def verify_one(context: Any, request: Any) -> HTTPSeeOther:
    """Say that an entry is still right, and go on to the next one that is due, if asked."""
    tell, row = telling(request), context.record
    verify(request.dbsession, [row.key], kind=context.kind, today=tell.today, now=request.now)
    name = getattr(row, "name", None) or row.title
    request.flash("success", _("${entry} is right as it stands.", mapping={"entry": name}))
    if "next" not in request.POST:
        return HTTPSeeOther(location=url_of(request, context.kind, row.key))
    kept = keepers(request.dbsession).kept_by(request.identity.person_id)
    following = reviews(request.dbsession, today=tell.today, state="due", kept=kept, limit=1).rows
    if not following:
        request.flash("info", _("Nothing else of yours is due."))
        return HTTPSeeOther(location=f"/{tell.slug}/reviews?keeper=me")
    return HTTPSeeOther(location=url_of(request, following[0].kind, following[0].key))


def looked_at(request: Any, kind: Reviewed, row: Any, bureau: str | None = None) -> dict[str, Any]:
    """What the page of an article or organisation says of its last and next look, and its keepers.

    Nothing where such an entry is not looked at again.
    """
    tell = telling(request)
    over = row.ended_on is not None and row.ended_on <= tell.today
    if over or getattr(row, "kind", "") == "notice" or getattr(row, "source", "") == "imported":
        return {"looked": None}
    named = keepers(request.dbsession).named((kind, row.key), bureau)
    words, tag = STANDINGS[standing(row.review_on, tell.today)]
    return {
        "looked": {
            "facts": [
                (
                    _("Kept right by"),
                    ", ".join(each.name for each in named) or _("Everybody who works on entries"),
                ),
                (_("Last checked"), tell.day(row.verified_on) or _("Never")),
                (_("Check by"), tell.day(row.review_on)),
            ],
            "state": words,
            "tag": tag,
            "due": standing(row.review_on, tell.today) in ("overdue", "soon"),
            "verify_url": f"{url_of(request, kind, row.key)}/verify"
            if may(request, P.SERVICE_WORK)
            else None,
            "keepers_url": f"/{tell.slug}/reviews/keepers?{urlencode([(kind, row.key)])}"
            if may(request, P.SERVICE_PUBLISH)
            else None,
        }
    }


def names_of(kept: Keepers, each: Review) -> str:
    """Who is named to keep a service, in one line; empty when nobody is."""
    return ", ".join(person.name for person in kept.named(each.entry, each.bureau))


def bureaus_of(tell: Telling) -> list[tuple[str, str]]:
    """A partner's bureaus, key and name, by name."""
    prefix = f"{tell.slug}/"
    found = [
        (row.key, row.name) for ref, row in tell.published.bureaus.items() if ref.startswith(prefix)
    ]
    return sorted(found, key=lambda each: each[1].casefold())


# --- who keeps what -------------------------------------------------------------------------------


class KeepersForm(Schema):
    """The people who keep an entry, or a bureau's entries; their names come from the partner."""

    people = SchemaNode(
        Choices(()),
        title=_("People"),
        description=_("They are told by e-mail when something is due."),
        widget=CheckboxGroupWidget(),
        missing=(),
    )

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        offered = [
            (str(each.person_id), each.name) for each in kw["request"].found_keepers.everybody
        ]
        self["people"].typ = Choices([value for value, _label in offered])
        self["people"].widget = CheckboxGroupWidget(values=offered)


@view_config(
    context=Reviews,
    name="keepers",
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="reviews/keepers.jinja2",
)
def keepers_page(context: Reviews, request: Any) -> dict[str, Any]:
    """Who keeps each bureau's entries, and single entries; one of them with its form."""
    request.found_keepers = keepers(request.dbsession)
    subject = _subject(request)
    form = _keepers_form(request, subject) if subject and may(request, P.SERVICE_PUBLISH) else None
    return _keepers_page(request, subject, form)


@view_config(
    context=Reviews,
    name="keepers",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="reviews/keepers.jinja2",
)
def set_keepers(context: Reviews, request: Any) -> Any:
    """Name who keeps a bureau's entries or one entry."""
    request.found_keepers = keepers(request.dbsession)
    subject = _subject(request)
    if subject is None:
        raise HTTPNotFound
    form = _keepers_form(request, subject)
    kind, key, name = subject

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        people = [UUID(each) for each in values["people"]]
        name_keepers(request.dbsession, kind, key, people, now=request.now)
        request.flash("success", _("Saved: who keeps ${name}.", mapping={"name": name}))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/reviews/keepers")

    return handle_form_submission(
        request, form, on_success, lambda: _keepers_page(request, subject, form)
    )


def _subject(request: Any) -> tuple[Any, str, str] | None:
    """What the address asks about: kind, key and name of an entry or bureau that is there."""
    tell = telling(request)
    for kind in TABLES:
        if key := request.GET.get(kind, "")[:100]:
            found = entry_names(request.dbsession, [(kind, key)]).get((kind, key))
            if found is None:
                raise HTTPNotFound
            return kind, key, found
    if bureau := request.GET.get("bureau", "")[:100]:
        row = tell.published.bureaus.get(f"{tell.slug}/{bureau}")
        if row is None:
            raise HTTPNotFound
        return "bureau", bureau, row.name
    return None


def _keepers_form(request: Any, subject: tuple[Any, str, str]) -> Any:
    kind, key, _name = subject
    kept: Keepers = request.found_keepers
    now = kept.named_for(key) if kind == "bureau" else kept.own((kind, key))
    return make_form(
        request,
        KeepersForm(),
        submit=_("Save"),
        values={"people": [str(each.person_id) for each in now]},
        name="keepers",
        action=f"/{request.tenant.slug}/reviews/keepers?{urlencode({kind: key})}",
        cancel_url=f"/{request.tenant.slug}/reviews/keepers",
    )


def _keepers_page(request: Any, subject: Any, form: Any) -> dict[str, Any]:
    tell = telling(request)
    kept: Keepers = request.found_keepers
    url = f"/{tell.slug}/reviews/keepers"
    names = entry_names(request.dbsession, kept.entries)

    def entry(kind: str, key: str, name: str, people: Any) -> dict[str, Any]:
        return {
            "name": name,
            "people": ", ".join(each.name for each in people),
            "url": f"{url}?{urlencode({kind: key})}",
        }

    return {
        "subject": subject[2] if subject else None,
        "form": form,
        "may_name": may(request, P.SERVICE_PUBLISH),
        "everybody": ", ".join(each.name for each in kept.everybody),
        "bureaus": [
            entry("bureau", key, name, kept.named_for(key)) for key, name in bureaus_of(tell)
        ],
        "entries": [
            {
                **entry(kind, key, names.get((kind, key), key), kept.own((kind, key))),
                "kind": said(KINDS, kind),
            }
            for kind, key in sorted(kept.entries)
            if kept.own((kind, key))
        ],
        "crumbs": [(f"/{tell.slug}/reviews", _("Reviews")), (None, _("Who keeps what"))],
    }
