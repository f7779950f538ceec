"""Prepared texts, for answers and for closing: written by who runs the desk, put in by all."""

from __future__ import annotations

from typing import Any, Final

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.casework import prepared_texts
from regional311.identity.permissions import Permissions as P
from regional311.intake import lifecycle
from regional311.notices.wording import LANGUAGES as WORDED_IN
from regional311.web.forms import (
    Choice,
    Form,
    HiddenWidget,
    Integer,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.spoken import own_language
from regional311.web.telling import Telling, telling
from regional311.web.tree import PreparedTextRecord, PreparedTexts
from regional311.web.views.inbox import WRITTEN
from regional311.web.wording import CHANNELS, LANGUAGES, RESOLUTIONS, choices, said

WHERE: Final = [(key, CHANNELS[key]) for key in WRITTEN]
SAID: Final = {
    "answer": {
        "title": _("Templates of answers"),
        "lead": _("Words that are sent often, inserted by picking and changed before they leave."),
        "add": _("Add a template"),
        "empty": _("There is no template yet."),
    },
    "closing": {
        "title": _("Texts for closing"),
        "lead": _(
            "What a request is closed with: put in by picking, in the person’s language first, and"
            " changed before it is sent."
        ),
        "add": _("Add a text"),
        "empty": _("There is no text yet."),
    },
}


class _TextForm(Schema):
    """The words by language, and for what they are offered."""

    version = SchemaNode(Integer(), title=_("Version"), widget=HiddenWidget(), missing=None)
    name = SchemaNode(
        String(prepared_texts.LONGEST_NAME),
        title=_("Name"),
        description=_("As those who put it in look for it."),
    )


class AnswerForm(_TextForm):
    """Where it is offered."""

    channel = SchemaNode(
        Choice(WHERE),
        title=_("Channel"),
        widget=SelectWidget(values=WHERE, empty=_("Every channel")),
        missing=None,
    )


class ClosingForm(_TextForm):
    """For which service and which outcome it is offered."""

    service_key = SchemaNode(String(200), title=_("Service"), missing=None)
    resolution = SchemaNode(
        Choice(lifecycle.RESOLUTIONS),
        title=_("How it was resolved"),
        widget=SelectWidget(values=choices(RESOLUTIONS), empty=_("Every outcome")),
        missing=None,
    )

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        services = _services(telling(kw["request"]))
        self["service_key"].typ = Choice([key for key, _name in services])
        self["service_key"].widget = SelectWidget(values=services, empty=_("Every service"))


_FORMS: Final = {"answer": AnswerForm, "closing": ClosingForm}


def _services(tell: Telling) -> list[tuple[str, str]]:
    every = [(each.key, each.name) for each in tell.published.directory.of(tell.slug)]
    return sorted(every, key=lambda each: each[1].casefold())


@view_config(
    context=PreparedTexts,
    permission=P.INBOX_EDIT,
    request_method="GET",
    renderer="prepared_texts/list.jinja2",
)
def listed(context: PreparedTexts, request: Any) -> dict[str, Any]:
    """Every text by name, with the languages that it has."""
    tell, closing = telling(request), context.purpose == "closing"
    about = (
        [Column("service", _("Service")), Column("resolution", _("How it was resolved"))]
        if closing
        else [Column("channel", _("Channel"))]
    )
    listing = Listing(
        request,
        columns=[
            Column("name", _("Name")),
            Column("language", _("Languages")),
            *about,
            Column("text", _("Text")),
        ],
        filters=[
            Filter("language", _("Language"), choices=_languages(tell)),
            *([Filter("service", _("Service"), choices=_services(tell))] if closing else []),
            Filter("state", _("State"), choices=[("ended", _("Not offered any more"))]),
        ],
    )
    asked = listing.values
    ended = asked["state"] == "ended"
    rows = [
        each
        for each in prepared_texts.texts(request.dbsession, context.purpose, ended=ended)
        if (asked["language"] is None or asked["language"] in each.words)
        and (not asked.get("service") or each.service_key in (None, asked["service"]))
    ]
    own = own_language(tell.published.tenants[tell.slug])
    listing.fill([_row(tell, each, own) for each in rows], total=len(rows))
    return {"listing": listing, "ended": ended, "about": about, "said": SAID[context.purpose]}


def _row(tell: Telling, each: prepared_texts.Prepared, own: str) -> dict[str, Any]:
    shown = prepared_texts.language_for(each.words, own, own)
    return {
        "id": each.id,
        "name": each.name,
        "language": ", ".join(
            tell.request.localizer.translate(said(LANGUAGES, language))
            for language in WORDED_IN
            if language in each.words
        ),
        "channel": said(CHANNELS, each.channel) if each.channel else _("Every channel"),
        "service": tell.service_name(tell.slug, each.service_key)
        if each.service_key
        else _("Every service"),
        "resolution": said(RESOLUTIONS, each.resolution) if each.resolution else _("Every outcome"),
        "text": each.words[shown],
        "spoken": shown,
    }


def _languages(tell: Telling) -> list[tuple[str, Any]]:
    """The languages, the partner's own first."""
    own = own_language(tell.published.tenants[tell.slug])
    known = [(key, LANGUAGES[key]) for key in WORDED_IN]
    return sorted(known, key=lambda each: each[0] != own)


def _form(context: PreparedTexts, request: Any, values: dict[str, Any] | None = None) -> Form:
    schema, places = _FORMS[context.purpose](), prepared_texts.PLACES[context.purpose]
    hint = _(
        "Say it plainly: the person reads it. These places are filled in: ${places}.",
        mapping={"places": ", ".join(f"{{{each}}}" for each in places)},
    )
    for position, (language, name) in enumerate(_languages(telling(request))):
        schema.add(
            SchemaNode(
                String(prepared_texts.LONGEST[context.purpose], multiline=True),
                name=f"text_{language}",
                title=_("Text in ${language}", mapping={"language": name}),
                description=hint if position == 0 else "",
                widget=TextAreaWidget(rows=4),
                missing=None,
            )
        )
    return make_form(
        request,
        schema,
        submit=_("Save"),
        values=values,
        name="text",
        cancel_url=request.resource_path(context).rstrip("/"),
    )


def _page(context: PreparedTexts, request: Any, form: Form, record: Any) -> dict[str, Any]:
    return {
        "form": form,
        "record": record,
        "said": SAID[context.purpose],
        "list_url": request.resource_path(context).rstrip("/"),
    }


@view_config(
    context=PreparedTexts,
    name="new",
    permission=P.INBOX_EDIT,
    request_method="GET",
    renderer="prepared_texts/text.jinja2",
)
def new(context: PreparedTexts, request: Any) -> dict[str, Any]:
    """An empty form."""
    return _page(context, request, _form(context, request), None)


@view_config(
    context=PreparedTexts,
    name="new",
    permission=P.INBOX_EDIT,
    request_method="POST",
    renderer="prepared_texts/text.jinja2",
)
def add(context: PreparedTexts, request: Any) -> Any:
    """Add a text."""
    return _save(context, request, None)


@view_config(
    context=PreparedTextRecord,
    permission=P.INBOX_EDIT,
    request_method="GET",
    renderer="prepared_texts/text.jinja2",
)
def text(context: PreparedTextRecord, request: Any) -> dict[str, Any]:
    """One text, to be changed."""
    row, of = context.record, _of(context)
    names = {"answer": ("channel",), "closing": ("service_key", "resolution")}[of.purpose]
    values = {name: getattr(row, name) for name in ("version", "name", *names)}
    values |= {f"text_{language}": words for language, words in row.words.items()}
    return _page(of, request, _form(of, request, values), row)


@view_config(
    context=PreparedTextRecord,
    permission=P.INBOX_EDIT,
    request_method="POST",
    renderer="prepared_texts/text.jinja2",
)
def change(context: PreparedTextRecord, request: Any) -> Any:
    """Change a text."""
    return _save(_of(context), request, context.record)


def _of(context: PreparedTextRecord) -> PreparedTexts:
    assert isinstance(context.__parent__, PreparedTexts)
    return context.__parent__


def _save(context: PreparedTexts, request: Any, record: Any) -> Any:
    form = _form(context, request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        words = {language: values.pop(f"text_{language}") or "" for language in WORDED_IN}
        prepared_texts.keep(
            request.dbsession,
            context.purpose,
            text_id=record.id if record else None,
            words=words,
            now=request.now,
            **values,
        )
        request.flash("success", _("Saved."))
        return _back(context, request)

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, form, record)
    )


@view_config(context=PreparedTextRecord, name="end", permission=P.INBOX_EDIT, request_method="POST")
def end(context: PreparedTextRecord, request: Any) -> HTTPSeeOther:
    """Offer it no more, or again."""
    ended = context.record.ended_at is None
    prepared_texts.end(request.dbsession, context.record.id, ended=ended, now=request.now)
    request.flash("success", _("It is offered no more.") if ended else _("It is offered again."))
    return _back(_of(context), request)


def _back(context: PreparedTexts, request: Any) -> HTTPSeeOther:
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))
