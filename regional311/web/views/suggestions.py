"""Suggestions among partners: sending one from the desk, and deciding those that came."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.catalog.kinds import KINDS
from regional311.identity.permissions import Permissions as P
from regional311.identity.queries import members
from regional311.keeping.fields import FieldRefused, kind_of, text_of, with_text
from regional311.keeping.queries import EXPORT, PAGE, open_suggestions, suggestions
from regional311.keeping.suggestions import (
    LONGEST,
    Thanks,
    approve,
    decline,
    erase,
    mark_seen,
    settle,
    suggest,
)
from regional311.strict import canonical
from regional311.tenancy.once import once
from regional311.web.forms import (
    Form,
    Schema,
    SchemaNode,
    String,
    TextAreaWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import LANGUAGE_NAMES, _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.representations import exported, wanted
from regional311.web.security import may
from regional311.web.suggesting import (
    SuggestionForm,
    chosen,
    field_name,
    field_page,
    languages,
    listed,
    subjects,
    suggestion_form,
    wish,
)
from regional311.web.telling import Telling, telling
from regional311.web.tree import SuggestionRecord, Suggestions
from regional311.web.views.catalogue_versions import url_of
from regional311.web.wording import choices, kind, said

STATES = {
    "new": (_("New"), "open"),
    "approved": (_("Taken over"), "done"),
    "declined": (_("Declined"), "refused"),
}
WRITERS = {
    "public": _("The public"),
    "partner": _("Another partner"),
    "own": _("Our own people"),
}
COLUMNS = ("id", "entry", "kind", "key", "field", "state", "made_at", "decided_at", "from")


@view_config(
    context=Suggestions,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="suggestions/index.jinja2",
)
def index(context: Suggestions, request: Any) -> Any:
    """What was suggested to this partner, or (`?view=sent`) by its people."""
    tell, session = telling(request), request.dbsession
    sent = request.GET.get("view") == "sent"
    listing = Listing(
        request,
        columns=[
            Column("entry", _("Entry")),
            Column("field", _("Field")),
            Column("who", _("Sent to") if sent else _("Sent by")),
            Column("received", _("Sent"), sort=True),
            Column("state", _("State")),
        ],
        filters=[
            Filter("view", _("View"), choices=[("sent", _("Sent"))], type="hidden"),
            Filter("state", _("State"), choices=choices(STATES)),
            Filter("writer", _("Written by"), choices=[("me", _("Me"))])
            if sent
            else Filter("writer", _("Sent by"), choices=choices(WRITERS)),
        ],
        sort="-received",
        csv=True,
    )
    asked, form = listing.values, wanted(request)
    page = suggestions(
        session,
        received=not sent,
        state=asked["state"],
        writer=None if sent else asked["writer"],
        person_id=request.identity.person_id if sent and asked["writer"] else None,
        after=listing.after,
        oldest_first=listing.sort == "received",
        limit=PAGE if form == "html" else EXPORT,
    )
    if form != "html":
        return exported(
            request,
            form,
            "suggestions.csv",
            COLUMNS,
            [
                {
                    "id": str(each.id),
                    "entry": each.subject_name,
                    "kind": each.subject_kind,
                    "key": each.subject_key,
                    "field": each.field,
                    "state": each.state,
                    "made_at": each.made_at,
                    "decided_at": each.decided_at,
                    "from": tell.published.slugs.get(each.from_tenant_id, "public"),
                }
                for each in page.rows
            ],
        )
    url = f"/{tell.slug}/suggestions"
    listing.fill(
        [
            {
                "id": each.id,
                "entry": each.subject_name,
                "field": field_name(each.subject_kind, each.field),
                "who": tell.partner(each.owner_id) if sent else _writer(tell, each),
                "when": tell.when(each.made_at),
                "state": said(STATES, each.state),
                "kind": kind(STATES, each.state),
                "fresh": sent
                and each.person_id == request.identity.person_id
                and each.state != "new"
                and each.seen_at is None,
            }
            for each in page.rows
        ],
        after=page.after,
    )
    return {
        "listing": listing,
        "url": url,
        "sent": sent,
        "waiting": open_suggestions(session, received=True),
        "unread": open_suggestions(session, received=False),
    }


@view_config(context=Suggestions, name="seen", permission=P.SERVICE_READ, request_method="POST")
def seen(context: Suggestions, request: Any) -> HTTPSeeOther:
    """Say that one has read the answers to what one wrote."""
    mark_seen(request.dbsession, now=request.now)
    return HTTPSeeOther(location=f"/{request.tenant.slug}/suggestions?view=sent")


# --- sending --------------------------------------------------------------------------------------


@view_config(
    context=Suggestions,
    name="new",
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="suggestions/new.jinja2",
)
def new(context: Suggestions, request: Any) -> dict[str, Any]:
    """What an entry of any partner says, field by field; or the form for one field."""
    found = subjects(request, request.dbsession)
    asked = chosen(request, found)
    form = None if asked is None else _new_form(request, *asked)
    return _new_page(request, found, asked, form)


@view_config(
    context=Suggestions,
    name="new",
    permission=P.SERVICE_READ,
    request_method="POST",
    renderer="suggestions/new.jinja2",
)
def send(context: Suggestions, request: Any) -> Any:
    """Send a suggestion to the owner of the entry."""
    key = form_key(request)
    found = subjects(request, request.dbsession)
    asked = chosen(request, found)
    if asked is None:
        raise HTTPNotFound
    subject, field = asked
    form = _new_form(request, subject, field)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        owner = telling(request).published.ids[subject.about.owner]

        def keep() -> dict[str, Any]:
            suggest(
                request.dbsession,
                owner,
                wish(subject, field, values),
                now=request.now,
                written_in="en",
            )
            return {}

        once(request.dbsession, f"suggest:{key}", [subject.query, field, values], keep)
        request.flash("success", _("Sent. You find the answer here as soon as there is one."))
        query = urlencode({"view": "sent", "writer": "me"})
        return HTTPSeeOther(location=f"/{request.tenant.slug}/suggestions?{query}")

    return handle_form_submission(
        request, form, on_success, lambda: _new_page(request, found, asked, form)
    )


def _new_form(request: Any, subject: Any, field: str) -> Form:
    return suggestion_form(
        request,
        subject,
        field,
        SuggestionForm(),
        cancel_url=f"/{request.tenant.slug}/suggestions/new?{urlencode(subject.query)}",
    )


def _new_page(request: Any, found: Any, asked: Any, form: Form | None) -> dict[str, Any]:
    tell = telling(request)
    url = f"/{tell.slug}/suggestions/new"
    about = found[0].about
    owner = tell.partner(about.owner)
    crumbs: list[tuple[str | None, Any]] = [
        (f"/{tell.slug}/suggestions", _("Suggestions")),
        (f"{url}?{urlencode({'about': about.ref})}", about.name),
    ]
    page: dict[str, Any] = {"entry": about.name, "owner": owner, "form": None}
    if asked is None or form is None:
        return {
            **page,
            "crumbs": crumbs,
            "subjects": listed(request, found, url),
            "languages": languages(found[0], url),
        }
    subject, field = asked
    crumbs.append((None, field_name(subject.kind, field)))
    return {**page, **field_page(request, subject, field, form, owner), "crumbs": crumbs}


# --- deciding -------------------------------------------------------------------------------------


class ApproveForm(Schema):
    """What the field is to say from now on."""

    text = SchemaNode(
        String(LONGEST, multiline=True),
        title=_("It will say"),
        widget=TextAreaWidget(rows=4, maxlength=LONGEST),
        missing="",
    )


class SettleForm(Schema):
    """What was done, for whoever wrote it."""

    answer = SchemaNode(
        String(500, multiline=True),
        title=_("What was done"),
        widget=TextAreaWidget(rows=2, maxlength=500),
        missing=None,
    )


class DeclineForm(Schema):
    """Why it stays as it is, for whoever wrote it."""

    answer = SchemaNode(
        String(500, multiline=True),
        title=_("Why it stays as it is"),
        description=_("Whoever wrote it reads this."),
        widget=TextAreaWidget(rows=2, maxlength=500),
    )


@view_config(
    context=SuggestionRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="suggestions/suggestion.jinja2",
)
def suggestion(context: SuggestionRecord, request: Any) -> dict[str, Any]:
    """One suggestion: what the field said, what it should say, and what came of it."""
    return _page(context, request)


@view_config(
    context=SuggestionRecord,
    name="approve",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="suggestions/suggestion.jinja2",
)
def approve_it(context: SuggestionRecord, request: Any) -> Any:
    """Let the field say it: published by who may publish, else as a draft."""
    row = _received(context, request)
    form = _approve_form(request, row, "")

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        publish = may(request, P.SERVICE_PUBLISH)
        saved = approve(
            request.dbsession,
            row.id,
            values["text"],
            publish=publish,
            today=telling(request).today,
            now=request.now,
            thanks=_thanks(request, row),
        )
        if not saved.changed:
            request.flash("success", _("It says so already."))
        elif publish:
            request.flash("success", _("Published."))
        else:
            request.flash("success", _("It is a draft now; whoever may publish reviews it."))
        return HTTPSeeOther(location=_url(request, row))

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, approving=form)
    )


@view_config(
    context=SuggestionRecord,
    name="settle",
    permission=P.SERVICE_WORK,
    request_method="POST",
    renderer="suggestions/suggestion.jinja2",
)
def settle_it(context: SuggestionRecord, request: Any) -> Any:
    """Say that it was taken over by hand."""
    row = _received(context, request)
    form = _settle_form(request, row)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        settle(
            request.dbsession,
            row.id,
            answer=values["answer"],
            now=request.now,
            thanks=_thanks(request, row),
        )
        request.flash("success", _("Noted as taken over."))
        return HTTPSeeOther(location=_url(request, row))

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, settling=form)
    )


@view_config(
    context=SuggestionRecord,
    name="decline",
    permission=P.SERVICE_WORK,
    request_method="POST",
    renderer="suggestions/suggestion.jinja2",
)
def decline_it(context: SuggestionRecord, request: Any) -> Any:
    """Leave the field as it is, with a reason."""
    row = _received(context, request)
    form = _decline_form(request, row)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        decline(
            request.dbsession,
            row.id,
            answer=values["answer"],
            now=request.now,
            thanks=_thanks(request, row),
        )
        request.flash("success", _("Declined; whoever wrote it is told why."))
        return HTTPSeeOther(location=_url(request, row))

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, declining=form)
    )


@view_config(
    context=SuggestionRecord, name="erase", permission=P.SERVICE_WORK, request_method="POST"
)
def erase_it(context: SuggestionRecord, request: Any) -> HTTPSeeOther:
    """Empty what was written and the address of who wrote it."""
    row = _received(context, request)
    erase(request.dbsession, row.id, now=request.now)
    request.flash("success", _("Erased. That there was a suggestion stays."))
    return HTTPSeeOther(location=_url(request, row))


def _received(context: SuggestionRecord, request: Any) -> Any:
    if context.record.owner_id != request.tenant.id:
        raise HTTPNotFound
    return context.record


def _url(request: Any, row: Any) -> str:
    return f"/{request.tenant.slug}/suggestions/{row.id}"


def _writer(tell: Telling, row: Any) -> Any:
    if row.from_tenant_id is None:
        return WRITERS["public"]
    return tell.partner(row.from_tenant_id)


def _thanks(request: Any, row: Any) -> Thanks:
    tell = telling(request)
    base = request.registry.configured.url.rstrip("/")
    shelf = "articles" if row.subject_kind == "article" else "services"
    path = f"/{shelf}/{tell.slug}"
    if row.subject_kind in ("service", "article"):
        path = f"{path}/{row.subject_key}"
    return Thanks(
        field=str(field_name(row.subject_kind, row.field)),
        partner=request.tenant.name,
        address=f"{base}{path}",
        translate=tell.translate,
    )


def _approve_form(request: Any, row: Any, text: str) -> Form:
    return make_form(
        request,
        ApproveForm(),
        submit=_("Approve and publish") if may(request, P.SERVICE_PUBLISH) else _("Approve"),
        values={"text": text or None},
        name="approve",
        action=f"{_url(request, row)}/approve",
    )


def _settle_form(request: Any, row: Any) -> Form:
    return make_form(
        request,
        SettleForm(),
        submit=_("It is taken over"),
        name="settle",
        action=f"{_url(request, row)}/settle",
    )


def _decline_form(request: Any, row: Any) -> Form:
    return make_form(
        request,
        DeclineForm(),
        submit=_("Decline"),
        name="decline",
        action=f"{_url(request, row)}/decline",
    )


def _page(
    context: SuggestionRecord,
    request: Any,
    *,
    approving: Form | None = None,
    settling: Form | None = None,
    declining: Form | None = None,
) -> dict[str, Any]:
    tell, row = telling(request), context.record
    mine = row.owner_id == request.tenant.id
    open_ = mine and row.state == "new"
    now, imported = _stored(request, row) if mine else (None, False)
    mechanical = now is not None and not imported and kind_of(row.subject_kind, row.field) != "note"
    works = open_ and may(request, P.SERVICE_WORK)
    edits = open_ and may(request, P.SERVICE_EDIT) and mechanical
    if edits and approving is None:
        approving = _approve_form(request, row, _proposed(row, now))
    says = None if now is None else text_of(canonical(now), row.field, row.language)
    people = {each.person_id: each.name for each in members(request.dbsession)}
    return {
        "crumbs": [
            (f"/{tell.slug}/suggestions" + ("" if mine else "?view=sent"), _("Suggestions")),
            (None, row.subject_name),
        ],
        "row": row,
        "field": field_name(row.subject_kind, row.field),
        "owner": tell.partner(row.owner_id),
        "mine": mine,
        "state": said(STATES, row.state),
        "kind": kind(STATES, row.state),
        "facts": [
            (_("Entry"), row.subject_name),
            (_("Field"), field_name(row.subject_kind, row.field)),
            (_("Language"), LANGUAGE_NAMES.get(row.language) if row.language else None),
            (_("Sent by"), people.get(row.person_id) or _writer(tell, row)),
            (_("Sent to"), None if mine else tell.partner(row.owner_id)),
            (_("Sent"), tell.when(row.made_at)),
            (
                _("Wants to be thanked at"),
                row.email if mine and may(request, P.SERVICE_WORK) else None,
            ),
            (_("Decided"), tell.when(row.decided_at)),
            (_("Decided by"), people.get(row.decided_by) if mine else None),
            (_("Version"), row.version),
        ],
        "entry_url": url_of(request, row.subject_kind, row.subject_key) if mine else None,
        "says": says,
        "changed_since": mechanical and row.said is not None and says != row.said,
        "imported": imported,
        "note": kind_of(row.subject_kind, row.field) == "note",
        "approve": approving if edits else None,
        "settle": (settling or _settle_form(request, row)) if works else None,
        "decline": (declining or _decline_form(request, row)) if works else None,
        "erase_url": f"{_url(request, row)}/erase"
        if mine and row.erased_at is None and may(request, P.SERVICE_WORK)
        else None,
    }


def _stored(request: Any, row: Any) -> tuple[Any, bool]:
    """The entry as it is published now, None when it is no more; and whether it was imported."""
    kind_of_entry = KINDS[row.subject_kind]
    found = kind_of_entry.stored(request.dbsession, row.subject_key)
    if found is None or found.ended_on is not None:
        return None, False
    table = kind_of_entry.table
    if not hasattr(table, "source"):
        return found.model, False
    source = request.dbsession.execute(
        select(table.source).where(table.tenant_id == request.tenant.id, table.id == found.id)
    ).scalar_one()
    return found.model, source == "imported"


def _proposed(row: Any, now: Any) -> str:
    """The text that the approver starts from: the suggested one, when the field can say it."""
    try:
        with_text(now, row.field, row.wanted, row.language)
    except FieldRefused:
        return text_of(canonical(now), row.field, row.language)
    return str(row.wanted)
