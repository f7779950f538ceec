"""Versions of things of the catalogue: what changed, what waits, and each step to publication.

These pages are the same for every kind in `kinds.KINDS`. Drafts are seen by those who may edit;
what was published, with who and when, by everybody who may read the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.catalog import versions
from regional311.catalog.kinds import KINDS as THINGS
from regional311.catalog.kinds import named_things
from regional311.catalog.merge import Side
from regional311.catalog.versions import OPEN, Faulty, Overlapping
from regional311.errors import DomainError
from regional311.identity.permissions import Permissions as P
from regional311.identity.queries import members
from regional311.referral.snapshot import invalidate
from regional311.web.article_pages import previewed
from regional311.web.catalogue_wording import (
    COLLECTION_NAMES,
    KINDS,
    SOURCES,
    STATES,
    Wording,
)
from regional311.web.forms import (
    Date,
    Integer,
    Schema,
    SchemaNode,
    handle_form_submission,
    make_form,
    start_over,
)
from regional311.web.forms import HiddenWidget as Hidden
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import Catalogue, CatalogueRecord, UnpublishedRecord
from regional311.web.wording import kind as tag_of
from regional311.web.wording import said

COLLECTIONS = {
    "service": "services",
    "organization": "organizations",
    "location": "locations",
    "article": "articles",
    "question_group": "question-groups",
}
"""Where each kind is in the tree."""


def url_of(request: Any, kind: str, key: str, *more: str) -> str:
    """The address of a thing of this partner, or of a page of it."""
    return "/".join(("", request.tenant.slug, COLLECTIONS[kind], key, *more))


def version_url(request: Any, kind: str, key: str, number: int) -> str:
    """The address of one version."""
    return f"{url_of(request, kind, key, 'version')}?number={number}"


def state_of(row: Any) -> str:
    """The state of a version as pages say it: reviewed with a day is scheduled."""
    return "scheduled" if row.state == "reviewed" and row.effective_on else str(row.state)


class Page:
    """What the pages of one request are told with: names of people and things, words."""

    def __init__(self, context: CatalogueRecord, request: Any) -> None:
        self.context, self.request = context, request
        self.session = request.dbsession
        self.kind, self.key = context.kind, context.key
        self.tell: Telling = telling(request)
        self.may_edit = may(request, P.SERVICE_EDIT)
        self.may_publish = may(request, P.SERVICE_PUBLISH)
        self.model = THINGS[self.kind].model
        self.url = url_of(request, self.kind, self.key)

    def people(self) -> dict[Any, str]:
        """Names of the partner's people by id."""
        return {each.person_id: each.name for each in members(self.session)}

    def wording(self) -> Wording:
        """How paths and values are said, with names of what they point to."""
        return Wording(self.request, named_things(self.session))

    def row(self, row: Any, people: Mapping[Any, str]) -> dict[str, Any]:
        """A version as lists show it."""
        state = state_of(row)
        steps = [
            (_("Saved"), row.made_by, row.made_at),
            (_("Reviewed"), row.reviewed_by, row.reviewed_at),
            (_("Published"), row.published_by, row.published_at),
        ]
        return {
            "number": row.number,
            "url": f"{self.url}/version?number={row.number}",
            "state": said(STATES, state),
            "tag": tag_of(STATES, state),
            "on": self.tell.day(row.effective_on) if row.state in OPEN else None,
            "source": said(SOURCES, row.source),
            "note": row.note,
            "problem": row.problem if row.state == "draft" else None,
            "open": row.state in OPEN,
            "steps": [
                (words, people.get(person, ""), self.tell.when(at))
                for words, person, at in steps
                if at is not None
            ],
        }

    def shown(self, **values: Any) -> dict[str, Any]:
        """The values of a page."""
        name = self.name()
        return {
            "kind_words": said(KINDS, self.kind),
            "collection": said(COLLECTION_NAMES, self.kind),
            "kind": self.kind,
            "key": self.key,
            "name": name,
            "url": self.url,
            "may_edit": self.may_edit,
            "may_publish": self.may_publish,
            "collection_url": f"/{self.request.tenant.slug}/{COLLECTIONS[self.kind]}",
            "published": not isinstance(self.context, UnpublishedRecord),
            **values,
        }

    def name(self) -> str:
        """What the thing is called: as it is published, or by its key."""
        record = self.context.record
        return str(getattr(record, "name", None) or getattr(record, "title", None) or self.key)


@view_config(
    context=UnpublishedRecord,
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="catalogue/version.jinja2",
)
def unpublished(context: UnpublishedRecord, request: Any) -> Any:
    """A thing that is only drafted so far has no page but its newest draft's."""
    found = versions.opened(request.dbsession, context.kind, context.key)
    return _version_page(context, request, number=None if found is None else found.number)


@view_config(
    context=CatalogueRecord,
    name="versions",
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="catalogue/versions.jinja2",
)
def history(context: CatalogueRecord, request: Any) -> dict[str, Any]:
    """Every version with who and when; any two can be compared."""
    page = Page(context, request)
    rows = [
        row
        for row in versions.history(page.session, page.kind, page.key)
        if page.may_edit or row.state in ("published", "retired")
    ]
    if not rows and isinstance(context, UnpublishedRecord):
        raise HTTPNotFound
    numbers = [row.number for row in rows]
    asked = [_number(request.GET.get(name)) for name in ("old", "new")]
    compared = None
    if all(number in numbers for number in asked):
        old, new = (number for number in asked if number is not None)
        said_by = versions.contents(page.session, page.kind, page.key, old, new)
        compared = {
            "old": old,
            "new": new,
            "changes": page.wording().changes(page.model, said_by[old], said_by[new]),
        }
    people = page.people()
    first = _number(request.GET.get("after"))
    listed = [row for row in rows if first is None or row.number < first][:PAGE_SIZE]
    last = listed[-1].number if listed else 0
    older = last if any(number < last for number in numbers) else None
    return page.shown(
        versions=[page.row(row, people) for row in listed],
        numbers=numbers,
        chosen=asked if compared else [numbers[1] if len(numbers) > 1 else None, *numbers[:1]],
        compared=compared,
        older=older,
        ended=page.tell.day(getattr(context.record, "ended_on", None)),
    )


def _number(text: str | None) -> int | None:
    found = text or ""
    return int(found) if found.isascii() and found.isdecimal() and len(found) < 7 else None


@view_config(
    context=CatalogueRecord,
    name="version",
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="catalogue/version.jinja2",
)
def version(context: CatalogueRecord, request: Any) -> dict[str, Any]:
    """One version: what it changes, where it stands, what is in its way, the next step."""
    return _version_page(context, request)


def _version_page(
    context: CatalogueRecord,
    request: Any,
    *,
    number: int | None = None,
    problem: Any = None,
    publish_form: Any = None,
) -> dict[str, Any]:
    page = Page(context, request)
    rows = {row.number: row for row in versions.history(page.session, page.kind, page.key)}
    asked = number or _number(request.GET.get("number") or request.POST.get("number"))
    row = rows.get(asked or max(rows, default=0))
    if row is None or not (page.may_edit or row.state in ("published", "retired")):
        raise HTTPNotFound
    is_open = row.state in OPEN
    published = next((each.number for each in rows.values() if each.state == "published"), None)
    before = published if is_open else row.based_on
    wanted = {row.number, before} - {None}
    said_by = versions.contents(page.session, page.kind, page.key, *wanted)
    content = said_by[row.number]
    words = page.wording()
    faults: tuple[Any, ...] = ()
    against = None
    if is_open:
        faults = versions.faults(page.session, page.kind, content)
        against = versions.to_merge(page.session, page.kind, page.key, row.number, now=request.now)
    number = row.number
    return page.shown(
        version=page.row(row, page.people()),
        name=content.get("name") or content.get("title") or page.key,
        state=state_of(row),
        before=before,
        changes=[] if before is None else words.changes(page.model, said_by[before], content),
        everything=words.facts(page.model, content),
        faults=[(words.path(where), message) for where, message in faults],
        overlaps=[]
        if against is None
        else [words.path(one.field) for one in against.merge.overlaps],
        against=against,
        problem=problem,
        edit_url=f"{page.url}/edit?number={number}",
        merge_url=f"{page.url}/merge?number={number}",
        publish_form=publish_form or _publish_form(page, number, row),
        preview=previewed(request, page.kind, content),
    )


class PublishForm(Schema):
    """When a reviewed version is to be published."""

    number = SchemaNode(Integer(), title="", widget=Hidden())
    on = SchemaNode(
        Date(),
        title=_("From which day"),
        description=_("Empty: at once. A later day: in the first minutes of that day."),
        missing=None,
    )


def _publish_form(page: Page, number: int, row: Any) -> Any:
    return make_form(
        page.request,
        PublishForm(),
        submit=_("Publish"),
        name="publish-form",
        action=f"{page.url}/publish",
        values={"number": number, "on": row.effective_on if row is not None else None},
    )


def _step(
    context: CatalogueRecord,
    request: Any,
    do: Callable[[Page, int], str],
) -> Any:
    """Take one step with the version that was sent; a rule that it breaks is told on its page."""
    page = Page(context, request)
    number = _number(request.POST.get("number"))
    if number is None:
        raise HTTPNotFound
    try:
        location = do(page, number)
    except (Faulty, Overlapping) as refused:
        start_over(request)
        request.response.status_int = 400
        return _version_page(context, request, problem=refused.message)
    except DomainError as refused:
        start_over(request)
        request.flash("error", refused.message)
        location = f"{page.url}/versions"
    return HTTPSeeOther(location=location)


@view_config(
    context=CatalogueRecord,
    name="review",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="catalogue/version.jinja2",
)
def review(context: CatalogueRecord, request: Any) -> Any:
    """Say that a draft is right."""

    def do(page: Page, number: int) -> str:
        versions.review(page.session, page.kind, page.key, number, now=request.now)
        request.flash("success", _("Reviewed. Publish it at once, or give it a day."))
        return version_url(request, page.kind, page.key, number)

    return _step(context, request, do)


@view_config(
    context=CatalogueRecord,
    name="publish",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="catalogue/version.jinja2",
)
def publish(context: CatalogueRecord, request: Any) -> Any:
    """Publish a reviewed version, at once or on a day."""
    page = Page(context, request)
    number = _number(request.POST.get("number"))
    if number is None:
        raise HTTPNotFound
    form = _publish_form(page, number, None)

    def save(values: dict[str, Any]) -> Any:
        today = page.tell.today
        done = versions.publish(
            page.session,
            page.kind,
            page.key,
            number,
            today=today,
            now=request.now,
            on=values["on"],
        )
        if values["on"] is not None and values["on"] > today:
            day = page.tell.day(values["on"])
            request.flash("success", _("It will be published on ${day}.", mapping={"day": day}))
            return HTTPSeeOther(location=version_url(request, page.kind, page.key, done))
        invalidate()
        request.flash("success", _("Published."))
        return HTTPSeeOther(location=page.url)

    return handle_form_submission(
        request, form, save, lambda: _version_page(context, request, publish_form=form)
    )


@view_config(
    context=CatalogueRecord,
    name="unschedule",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="catalogue/version.jinja2",
)
def unschedule(context: CatalogueRecord, request: Any) -> Any:
    """Take the day of a version back."""

    def do(page: Page, number: int) -> str:
        versions.unschedule(page.session, page.kind, page.key, number, now=request.now)
        request.flash("success", _("It has no day any more, and waits."))
        return version_url(request, page.kind, page.key, number)

    return _step(context, request, do)


@view_config(
    context=CatalogueRecord,
    name="discard",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="catalogue/version.jinja2",
)
def discard(context: CatalogueRecord, request: Any) -> Any:
    """Give a draft up."""

    def do(page: Page, number: int) -> str:
        versions.discard(page.session, page.kind, page.key, number, now=request.now)
        request.flash(
            "success",
            _(
                "Version ${number} was given up; it can be brought back.",
                mapping={"number": number},
            ),
        )
        return f"{page.url}/versions"

    return _step(context, request, do)


@view_config(
    context=CatalogueRecord,
    name="bring-back",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="catalogue/version.jinja2",
)
def bring_back(context: CatalogueRecord, request: Any) -> Any:
    """Make an earlier version the draft."""

    def do(page: Page, number: int) -> str:
        saved = versions.bring_back(page.session, page.kind, page.key, number, now=request.now)
        if not saved.changed:
            request.flash("info", _("It says the same already."))
        else:
            request.flash(
                "success",
                _(
                    "Version ${number} is a draft again. Review it, then publish it.",
                    mapping={"number": number},
                ),
            )
        return version_url(request, page.kind, page.key, saved.number)

    return _step(context, request, do)


@view_config(
    context=CatalogueRecord,
    name="undo",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="catalogue/version.jinja2",
)
def undo(context: CatalogueRecord, request: Any) -> Any:
    """Take back what one version changed, and nothing that was changed since."""

    def do(page: Page, number: int) -> str:
        saved = versions.undo(page.session, page.kind, page.key, number, now=request.now)
        words = Wording(request)
        if saved.overlaps:
            request.flash(
                "warning",
                _(
                    "These were changed again since and stay as they are: ${fields}.",
                    mapping={"fields": ", ".join(words.path(one.field) for one in saved.overlaps)},
                ),
            )
        request.flash(
            "success" if saved.changed else "info",
            _("What it changed is taken back in a draft.")
            if saved.changed
            else _("Nothing of it is left to take back."),
        )
        return version_url(request, page.kind, page.key, saved.number)

    return _step(context, request, do)


# --- two people's work ----------------------------------------------------------------------------


@view_config(
    context=CatalogueRecord,
    name="merge",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="catalogue/merge.jinja2",
)
def merge(context: CatalogueRecord, request: Any) -> Any:
    """Two versions side by side where both changed the same, to choose between."""
    return _merge_page(context, request)


def _merge_page(context: CatalogueRecord, request: Any, problem: Any = None) -> Any:
    page = Page(context, request)
    number = _number(request.GET.get("number") or request.POST.get("number")) or 0
    try:
        against = versions.to_merge(page.session, page.kind, page.key, number, now=request.now)
    except versions.NotOpen:
        against = None
    if against is None:
        return page.shown(against=None, number=number, problem=problem)
    rows = {row.number: row for row in versions.history(page.session, page.kind, page.key)}
    people = page.people()
    words = page.wording()
    chosen = _choices(request)
    found = against.merge

    def who(version_number: int) -> dict[str, Any]:
        row = page.row(rows[version_number], people)
        saved = row["steps"][-1]
        return {"number": version_number, "by": saved[1], "at": saved[2], "state": row["state"]}

    return page.shown(
        against=against,
        number=number,
        other=against.number,
        mine=who(number),
        theirs=who(against.number),
        overlaps=[
            {
                "path": one.field,
                "field": words.path(one.field),
                "base": words.value(one.field, one.base),
                "mine": words.value(one.field, one.mine),
                "theirs": words.value(one.field, one.theirs),
                "chosen": chosen.get(one.field),
            }
            for one in found.overlaps
        ],
        kept_mine=list(dict.fromkeys(words.path(each) for each in found.mine)),
        kept_theirs=list(dict.fromkeys(words.path(each) for each in found.theirs)),
        problem=problem,
    )


def _choices(request: Any) -> dict[str, Side]:
    """What was chosen: each field's path to whose."""
    return {
        name.removeprefix("choice "): "mine" if value == "mine" else "theirs"
        for name, value in request.POST.items()
        if name.startswith("choice ") and value in ("mine", "theirs")
    }


@view_config(
    context=CatalogueRecord,
    name="merge",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="catalogue/merge.jinja2",
)
def resolve(context: CatalogueRecord, request: Any) -> Any:
    """Make one draft of two, as was chosen."""
    page = Page(context, request)
    number, other = (_number(request.POST.get(name)) for name in ("number", "other"))
    if number is None or other is None:
        raise HTTPNotFound
    try:
        saved = versions.resolve(
            page.session, page.kind, page.key, number, other, _choices(request), now=request.now
        )
    except versions.NotOpen as refused:
        start_over(request)
        request.flash("error", refused.message)
        return HTTPSeeOther(location=f"{page.url}/versions")
    if saved.overlaps:
        request.response.status_int = 400
        return _merge_page(
            context, request, problem=_("Choose for every field; nothing was changed.")
        )
    request.flash("success", _("Both are one draft now. Nothing of either was lost."))
    return HTTPSeeOther(location=version_url(request, page.kind, page.key, saved.number))


# --- the end of a thing ---------------------------------------------------------------------------


class EndForm(Schema):
    """When a thing is no more."""

    on = SchemaNode(
        Date(),
        title=_("First day on which it is no more"),
        description=_("Today ends it at once. Its history stays, and it can go on again."),
    )


def _end_form(page: Page) -> Any:
    return make_form(
        page.request,
        EndForm(),
        submit=_("End it"),
        values={"on": page.tell.today},
        cancel_url=page.url,
    )


@view_config(
    context=CatalogueRecord,
    name="end",
    permission=P.SERVICE_PUBLISH,
    request_method="GET",
    renderer="catalogue/end.jinja2",
)
def ending(context: CatalogueRecord, request: Any) -> dict[str, Any]:
    """Where a thing is ended."""
    page = Page(context, request)
    return page.shown(form=_end_form(page))


@view_config(
    context=CatalogueRecord,
    name="end",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="catalogue/end.jinja2",
)
def end(context: CatalogueRecord, request: Any) -> Any:
    """End a thing on a day."""
    page = Page(context, request)
    form = _end_form(page)

    def save(values: dict[str, Any]) -> Any:
        versions.end(
            page.session,
            page.kind,
            page.key,
            on=values["on"],
            today=page.tell.today,
            now=request.now,
        )
        invalidate()
        day = page.tell.day(values["on"])
        request.flash("success", _("It ends on ${day}.", mapping={"day": day}))
        return HTTPSeeOther(location=f"{page.url}/versions")

    return handle_form_submission(request, form, save, lambda: page.shown(form=form))


@view_config(
    context=CatalogueRecord, name="resume", permission=P.SERVICE_PUBLISH, request_method="POST"
)
def resume(context: CatalogueRecord, request: Any) -> Any:
    """Let a thing go on that has ended or was to end."""
    page = Page(context, request)
    versions.resume(page.session, page.kind, page.key, now=request.now)
    invalidate()
    request.flash("success", _("It goes on."))
    return HTTPSeeOther(location=page.url)


# --- everything that waits ------------------------------------------------------------------------


@view_config(
    context=Catalogue,
    name="drafts",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="catalogue/drafts.jinja2",
)
def drafts(context: Catalogue, request: Any) -> dict[str, Any]:
    """What waits to be reviewed or published, and what has its day, of all kinds."""
    tell = telling(request)
    people = {each.person_id: each.name for each in members(request.dbsession)}
    found = []
    for row in versions.open_versions(request.dbsession):
        if row.kind not in COLLECTIONS:
            continue
        state = state_of(row)
        found.append(
            {
                "kind": said(KINDS, row.kind),
                "name": row.called,
                "number": row.number,
                "url": version_url(request, row.kind, row.key, row.number),
                "state": said(STATES, state),
                "tag": tag_of(STATES, state),
                "by": people.get(row.made_by, ""),
                "at": tell.when(row.made_at),
                "on": tell.day(row.effective_on),
                "day": row.effective_on,
                "note": row.note,
                "problem": row.problem,
            }
        )
    return {
        "waiting": [each for each in found if each["day"] is None],
        "dated": sorted(
            (each for each in found if each["day"] is not None), key=lambda one: one["day"]
        ),
        "collection_url": f"/{request.tenant.slug}/services",
    }
