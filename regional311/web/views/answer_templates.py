"""Templates of answers: written by who runs the desk, inserted by who answers."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.identity.permissions import Permissions as P
from regional311.inbox import templates
from regional311.inbox.queries import templates as listed_templates
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
from regional311.web.telling import telling
from regional311.web.tree import AnswerTemplateRecord, AnswerTemplates
from regional311.web.views.inbox import WRITTEN
from regional311.web.wording import CHANNELS, LANGUAGES, choices, said

WHERE = [(key, CHANNELS[key]) for key in WRITTEN]
SPOKEN = [(key, name) for key, name in LANGUAGES.items() if key != "other"]


class TemplateForm(Schema):
    """The words, their language, and where they are offered."""

    version = SchemaNode(Integer(), title=_("Version"), widget=HiddenWidget(), missing=None)
    name = SchemaNode(
        String(templates.LONGEST_NAME),
        title=_("Name"),
        description=_("As those who answer look for it."),
    )
    language = SchemaNode(
        Choice(SPOKEN), title=_("Language"), widget=SelectWidget(values=SPOKEN, empty=None)
    )
    channel = SchemaNode(
        Choice(WHERE),
        title=_("Channel"),
        widget=SelectWidget(values=WHERE, empty=_("Every channel")),
        missing=None,
    )
    text = SchemaNode(
        String(templates.LONGEST, multiline=True),
        title=_("Text"),
        description=_(
            "These places are filled in: ${places}.",
            mapping={"places": ", ".join(f"{{{each}}}" for each in templates.PLACES)},
        ),
    )


@view_config(
    context=AnswerTemplates,
    permission=P.INBOX_EDIT,
    request_method="GET",
    renderer="inbox/templates.jinja2",
)
def listed(context: AnswerTemplates, request: Any) -> dict[str, Any]:
    """Every template by language and name."""
    listing = Listing(
        request,
        columns=[
            Column("name", _("Name")),
            Column("language", _("Language")),
            Column("channel", _("Channel")),
            Column("text", _("Text")),
        ],
        filters=[
            Filter("language", _("Language"), choices=choices(LANGUAGES)),
            Filter("state", _("State"), choices=[("ended", _("Not offered any more"))]),
        ],
    )
    asked = listing.values
    ended = asked["state"] == "ended"
    rows = [
        each
        for each in listed_templates(request.dbsession, ended=ended)
        if asked["language"] in (None, each.language)
    ]
    listing.fill(
        [
            {
                "id": each.id,
                "name": each.name,
                "language": said(LANGUAGES, each.language),
                "channel": said(CHANNELS, each.channel) if each.channel else _("Every channel"),
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
        TemplateForm(),
        submit=_("Save"),
        values=values,
        name="template",
        cancel_url=f"/{request.tenant.slug}/answer-templates",
    )


@view_config(
    context=AnswerTemplates,
    name="new",
    permission=P.INBOX_EDIT,
    request_method="GET",
    renderer="inbox/template.jinja2",
)
def new(context: AnswerTemplates, request: Any) -> dict[str, Any]:
    """An empty form."""
    return {"form": _form(request, {"language": "en"}), "record": None}


@view_config(
    context=AnswerTemplates,
    name="new",
    permission=P.INBOX_EDIT,
    request_method="POST",
    renderer="inbox/template.jinja2",
)
def add(context: AnswerTemplates, request: Any) -> Any:
    """Add a template."""
    return _save(request, None)


@view_config(
    context=AnswerTemplateRecord,
    permission=P.INBOX_EDIT,
    request_method="GET",
    renderer="inbox/template.jinja2",
)
def template(context: AnswerTemplateRecord, request: Any) -> dict[str, Any]:
    """One template, to be changed."""
    row = context.record
    values = {
        name: getattr(row, name) for name in ("version", "name", "language", "channel", "text")
    }
    return {"form": _form(request, values), "record": row}


@view_config(
    context=AnswerTemplateRecord,
    permission=P.INBOX_EDIT,
    request_method="POST",
    renderer="inbox/template.jinja2",
)
def change(context: AnswerTemplateRecord, request: Any) -> Any:
    """Change a template."""
    return _save(request, context.record)


def _save(request: Any, record: Any) -> Any:
    form = _form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        templates.keep(
            request.dbsession,
            template_id=record.id if record else None,
            now=request.now,
            **values,
        )
        request.flash("success", _("Saved."))
        return HTTPSeeOther(location=f"/{telling(request).slug}/answer-templates")

    return handle_form_submission(
        request, form, on_success, lambda: {"form": form, "record": record}
    )


@view_config(
    context=AnswerTemplateRecord, name="end", permission=P.INBOX_EDIT, request_method="POST"
)
def end(context: AnswerTemplateRecord, request: Any) -> HTTPSeeOther:
    """Offer it no more, or again."""
    ended = context.record.ended_at is None
    templates.end(request.dbsession, context.record.id, ended=ended, now=request.now)
    request.flash("success", _("It is offered no more.") if ended else _("It is offered again."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/answer-templates")
