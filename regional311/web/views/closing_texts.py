"""Texts for closing requests: written by who runs the desk, put in by who closes."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.identity.permissions import Permissions as P
from regional311.inbox import closing_texts, templates
from regional311.intake import lifecycle
from regional311.web.forms import (
    Choice,
    Form,
    HiddenWidget,
    Integer,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.telling import Telling, telling
from regional311.web.tree import ClosingTextRecord, ClosingTexts
from regional311.web.wording import LANGUAGES, RESOLUTIONS, choices, said

SPOKEN = [(key, name) for key, name in LANGUAGES.items() if key != "other"]


class ClosingTextForm(Schema):
    """The words, their language, and for what they are offered."""

    version = SchemaNode(Integer(), title=_("Version"), widget=HiddenWidget(), missing=None)
    name = SchemaNode(
        String(templates.LONGEST_NAME),
        title=_("Name"),
        description=_("As those who close look for it."),
    )
    language = SchemaNode(
        Choice(SPOKEN), title=_("Language"), widget=SelectWidget(values=SPOKEN, empty=None)
    )
    service_key = SchemaNode(String(200), title=_("Service"), missing=None)
    resolution = SchemaNode(
        Choice(lifecycle.RESOLUTIONS),
        title=_("How it was resolved"),
        widget=SelectWidget(values=choices(RESOLUTIONS), empty=_("Every outcome")),
        missing=None,
    )
    text = SchemaNode(
        String(closing_texts.LONGEST, multiline=True),
        title=_("Text"),
        description=_(
            "Say what happened, plainly: the person reads it. These places are filled in:"
            " ${places}.",
            mapping={"places": ", ".join(f"{{{each}}}" for each in closing_texts.PLACES)},
        ),
    )

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        services = _services(telling(kw["request"]))
        self["service_key"].typ = Choice([key for key, _name in services])
        self["service_key"].widget = SelectWidget(values=services, empty=_("Every service"))


def _services(tell: Telling) -> list[tuple[str, str]]:
    every = [(each.key, each.name) for each in tell.published.directory.of(tell.slug)]
    return sorted(every, key=lambda each: each[1].casefold())


@view_config(
    context=ClosingTexts,
    permission=P.INBOX_EDIT,
    request_method="GET",
    renderer="closing_texts/list.jinja2",
)
def listed(context: ClosingTexts, request: Any) -> dict[str, Any]:
    """Every text by name and language."""
    tell = telling(request)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Name")),
            Column("language", _("Language")),
            Column("service", _("Service")),
            Column("resolution", _("How it was resolved")),
            Column("text", _("Text")),
        ],
        filters=[
            Filter("language", _("Language"), choices=choices(LANGUAGES)),
            Filter("service", _("Service"), choices=_services(tell)),
            Filter("state", _("State"), choices=[("ended", _("Not offered any more"))]),
        ],
    )
    asked = listing.values
    ended = asked["state"] == "ended"
    rows = [
        each
        for each in closing_texts.closing_texts(
            request.dbsession, service_key=asked["service"], ended=ended
        )
        if asked["language"] in (None, each.language)
    ]
    listing.fill(
        [
            {
                "id": each.id,
                "name": each.name,
                "language": said(LANGUAGES, each.language),
                "service": tell.service_name(tell.slug, each.service_key)
                if each.service_key
                else _("Every service"),
                "resolution": said(RESOLUTIONS, each.resolution)
                if each.resolution
                else _("Every outcome"),
                "text": each.text,
            }
            for each in rows
        ],
        total=len(rows),
    )
    return {"listing": listing, "ended": ended}


def _form(request: Any, values: dict[str, Any] | None = None) -> Form:
    return make_form(
        request,
        ClosingTextForm(),
        submit=_("Save"),
        values=values,
        name="closing-text",
        cancel_url=f"/{request.tenant.slug}/closing-texts",
    )


@view_config(
    context=ClosingTexts,
    name="new",
    permission=P.INBOX_EDIT,
    request_method="GET",
    renderer="closing_texts/text.jinja2",
)
def new(context: ClosingTexts, request: Any) -> dict[str, Any]:
    """An empty form."""
    return {"form": _form(request, {"language": "en"}), "record": None}


@view_config(
    context=ClosingTexts,
    name="new",
    permission=P.INBOX_EDIT,
    request_method="POST",
    renderer="closing_texts/text.jinja2",
)
def add(context: ClosingTexts, request: Any) -> Any:
    """Add a text."""
    return _save(request, None)


@view_config(
    context=ClosingTextRecord,
    permission=P.INBOX_EDIT,
    request_method="GET",
    renderer="closing_texts/text.jinja2",
)
def text(context: ClosingTextRecord, request: Any) -> dict[str, Any]:
    """One text, to be changed."""
    row = context.record
    shown = ("version", "name", "language", "service_key", "resolution", "text")
    return {"form": _form(request, {name: getattr(row, name) for name in shown}), "record": row}


@view_config(
    context=ClosingTextRecord,
    permission=P.INBOX_EDIT,
    request_method="POST",
    renderer="closing_texts/text.jinja2",
)
def change(context: ClosingTextRecord, request: Any) -> Any:
    """Change a text."""
    return _save(request, context.record)


def _save(request: Any, record: Any) -> Any:
    form = _form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        closing_texts.keep(
            request.dbsession, text_id=record.id if record else None, now=request.now, **values
        )
        request.flash("success", _("Saved."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/closing-texts")

    return handle_form_submission(
        request, form, on_success, lambda: {"form": form, "record": record}
    )


@view_config(context=ClosingTextRecord, name="end", permission=P.INBOX_EDIT, request_method="POST")
def end(context: ClosingTextRecord, request: Any) -> HTTPSeeOther:
    """Offer it no more, or again."""
    ended = context.record.ended_at is None
    templates.end(request.dbsession, context.record.id, ended=ended, now=request.now)
    request.flash("success", _("It is offered no more.") if ended else _("It is offered again."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/closing-texts")
