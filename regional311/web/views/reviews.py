"""Keeping services right: what is due to be looked at, saying that it is right, who keeps it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.catalog.freshness import SOON_DAYS, standing
from regional311.catalog.reviews import MOST, verify
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.keeping.keepers import Keepers, keepers, name_keepers
from regional311.keeping.queries import EXPORT, PAGE, Review, counts, reviews
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
from regional311.web.tree import Reviews, ServiceRecord

STANDINGS = {
    "overdue": (_("Overdue"), "danger"),
    "soon": (_("Due soon"), "waiting"),
    "later": (_("Not due"), "neutral"),
    "undated": (_("No day yet"), "neutral"),
}
COLUMNS = ("key", "name", "bureau", "keepers", "verified_on", "review_on", "standing")


@view_config(
    context=Reviews,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="reviews/index.jinja2",
)
def index(context: Reviews, request: Any) -> Any:
    """The partner's services by the day of the next look, filtered, or as CSV or JSON."""
    tell, session = telling(request), request.dbsession
    kept = keepers(session)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Service"), sort=True),
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
                "key": each.key,
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
        total=found.services if not listing.filtered else None,
    )
    return {
        "listing": listing,
        "counts": found,
        "url": f"/{tell.slug}/reviews",
        "services_url": f"/{tell.slug}/services",
        "may_verify": may(request, P.SERVICE_WORK),
        "here": request.path_qs,
        "soon_days": SOON_DAYS,
    }


@view_config(context=Reviews, permission=P.SERVICE_WORK, request_method="POST")
def verify_ticked(context: Reviews, request: Any) -> HTTPSeeOther:
    """Say that the ticked services are still right."""
    back = safe_next(request.POST.get("back", ""))
    if not back.startswith(f"/{request.tenant.slug}/reviews"):
        back = f"/{request.tenant.slug}/reviews"
    keys = request.POST.getall("service")[: MOST + 1]
    if not keys:
        request.flash("warning", _("Tick the services that are still right."))
    elif len(keys) > MOST:
        raise InvalidInput(f"Tick at most {MOST} services at once.", field="service")
    else:
        done = verify(request.dbsession, keys, today=telling(request).today, now=request.now)
        request.flash(
            "success",
            request.localizer.pluralize(
                "${num} service is right as it stands.",
                "${num} services are right as they stand.",
                len(done),
                domain="regional311",
                mapping={"num": len(done)},
            ),
        )
    return HTTPSeeOther(location=back)


@view_config(context=ServiceRecord, name="verify", permission=P.SERVICE_WORK, request_method="POST")
def verify_one(context: ServiceRecord, request: Any) -> HTTPSeeOther:
    """Say that a service is still right, and go on to the next one that is due, if asked."""
    tell, key = telling(request), context.record.key
    verify(request.dbsession, [key], today=tell.today, now=request.now)
    request.flash(
        "success", _("${service} is right as it stands.", mapping={"service": context.record.name})
    )
    if "next" not in request.POST:
        return HTTPSeeOther(location=f"/{tell.slug}/services/{key}")
    kept = keepers(request.dbsession).kept_by(request.identity.person_id)
    following = reviews(request.dbsession, today=tell.today, state="due", kept=kept, limit=1).rows
    if not following:
        request.flash("info", _("Nothing else of yours is due."))
        return HTTPSeeOther(location=f"/{tell.slug}/reviews?keeper=me")
    return HTTPSeeOther(location=f"/{tell.slug}/services/{following[0].key}")


def names_of(kept: Keepers, each: Review) -> str:
    """Who is named to keep a service, in one line; empty when nobody is."""
    return ", ".join(person.name for person in kept.named(each.key, each.bureau))


def bureaus_of(tell: Telling) -> list[tuple[str, str]]:
    """A partner's bureaus, key and name, by name."""
    prefix = f"{tell.slug}/"
    found = [
        (row.key, row.name) for ref, row in tell.published.bureaus.items() if ref.startswith(prefix)
    ]
    return sorted(found, key=lambda each: each[1].casefold())


# --- who keeps what -------------------------------------------------------------------------------


class KeepersForm(Schema):
    """The people who keep a service, or a bureau's services; their names come from the partner."""

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
    """Who keeps each bureau's services, and single services; one of them with its form."""
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
    """Name who keeps a bureau's services or one service."""
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
    """What the address asks about: kind, key and name of a service or bureau that is there."""
    tell = telling(request)
    service, bureau = (request.GET.get(name, "")[:100] for name in ("service", "bureau"))
    if service:
        found = tell.service(tell.slug, service)
        if found is None or not found.offered(tell.today):
            raise HTTPNotFound
        return "service", service, found.name
    if bureau:
        row = tell.published.bureaus.get(f"{tell.slug}/{bureau}")
        if row is None:
            raise HTTPNotFound
        return "bureau", bureau, row.name
    return None


def _keepers_form(request: Any, subject: tuple[Any, str, str]) -> Any:
    kind, key, _name = subject
    kept: Keepers = request.found_keepers
    now = kept.own(key) if kind == "service" else kept.named_for(key)
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
        "services": [
            entry("service", key, tell.service_name(tell.slug, key), kept.own(key))
            for key in sorted(kept.services)
            if kept.own(key)
        ],
        "crumbs": [(f"/{tell.slug}/reviews", _("Reviews")), (None, _("Who keeps what"))],
    }
