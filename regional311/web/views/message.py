"""A message that nobody answered live (voicemail, mail, text, social media), filed in one form.

Nobody is on the line: the contact is filed whole and ends at once, in one transaction.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.catalog.directory import Service
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.referral import filing
from regional311.web.answer_links import answer_link
from regional311.web.desk_search import hits_of, record_pick
from regional311.web.forms import (
    Choice,
    Date,
    Form,
    HiddenWidget,
    RadioWidget,
    SchemaNode,
    SelectWidget,
    String,
    form_key,
    handle_form_submission,
    make_form,
    start_over,
)
from regional311.web.i18n import _
from regional311.web.news import offer_news
from regional311.web.questions import add_questions, asking, files_of
from regional311.web.telling import Telling, telling
from regional311.web.tree import Desk
from regional311.web.views.contacts import (
    PLACE,
    NeedForm,
    asker_of,
    offered,
    place_of,
)
from regional311.web.wording import CHANNELS, LANGUAGES, choices

WRITTEN = ("voicemail", "email", "text", "social", "web", "app")
CONSENTS = {
    "refused": _("Not said: share nothing that names them"),
    "given": _("The message says so"),
}


class MessageForm(NeedForm):
    """What a message says, and how it came."""

    service = SchemaNode(String(200), title=_("Service"), widget=HiddenWidget())
    channel = SchemaNode(
        Choice(WRITTEN),
        title=_("Channel"),
        widget=SelectWidget(
            values=[(value, label) for value, label in choices(CHANNELS) if value in WRITTEN],
            empty=None,
        ),
    )
    language = SchemaNode(
        Choice(tuple(LANGUAGES)),
        title=_("Language"),
        widget=SelectWidget(values=choices(LANGUAGES), empty=None),
    )
    received_on = SchemaNode(Date(), title=_("Received on"))
    consent = SchemaNode(
        Choice(tuple(CONSENTS)),
        title=_("Agrees that their details go along"),
        widget=SelectWidget(values=choices(CONSENTS), empty=None),
        missing="refused",
    )


def _danger(tell: Telling) -> SchemaNode:
    screen = tell.published.screen(tell.today)
    signs = [("none", _("None of these"))] + [(sign.key, sign.name) for sign in screen.signs]
    return SchemaNode(
        Choice(tuple(key for key, _name in signs)),
        name="danger",
        title=screen.ask or _("Is anybody in danger?"),
        widget=RadioWidget(values=signs),
    )


def made_form(request: Any, service: Service, values: dict[str, Any] | None = None) -> Form:
    """Make the form of a message about a service."""
    tell = telling(request)
    schema = MessageForm()
    for name in ("version", "chosen", "same_as", "shown", "cleared", "interpreter"):
        del schema[name]
    if service.place == "none":
        for name in PLACE:
            del schema[name]
    offer_news(request, schema, tell.slug, _("Wants news"))
    add_questions(request, schema, service)
    known = {child.name: child for child in schema.children}
    first = ("channel", "language", "received_on")
    schema.children = [
        _danger(tell),
        *(known[name] for name in first),
        *(child for name, child in known.items() if name not in first),
    ]
    return make_form(
        request,
        schema,
        submit=_("File it"),
        values=values,
        name="message",
        once=True,
        cancel_url=f"/{tell.slug}/desk",
    )


def _page(request: Any, service: Service | None, form: Form | None) -> dict[str, Any]:
    tell = telling(request)
    here = f"/{tell.slug}/desk/message"
    return {
        "here": here,
        "desk_url": f"/{tell.slug}/desk",
        "form": form,
        "service": service.name if service else None,
        "who": tell.partner(service.tenant) if service else None,
        **({} if service else hits_of(request, here)),
    }


@view_config(
    context=Desk,
    name="message",
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="desk/message.jinja2",
)
def message(context: Desk, request: Any) -> dict[str, Any]:
    """Pick a service by the message's words, then a form for the rest."""
    tell = telling(request)
    ref = request.GET.get("service", "")
    if not ref:
        return _page(request, None, None)
    service = offered(request, ref)
    record_pick(request, f"service:{service.ref}")
    started = {
        "service": ref,
        "channel": "voicemail",
        "language": "en",
        "received_on": tell.today,
        "place_kind": "address",
        "urgency": "normal",
        "consent": "refused",
    }
    return _page(request, service, made_form(request, service, started))


@view_config(
    context=Desk,
    name="message",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="desk/message.jinja2",
)
def file_message(context: Desk, request: Any) -> Any:
    """File a message whole. The same form sent twice gives the same contact."""
    tell = telling(request)
    service = offered(request, request.POST.get("service", ""))
    form = made_form(request, service)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        if values["received_on"] > tell.today:
            raise InvalidInput(_("A message cannot have come in the future."), field="received_on")
        intake = _intake(tell, request, service, values)
        try:
            filed = filing.take_in(
                request.dbsession,
                tell.published,
                intake,
                now=request.now,
                url=request.registry.configured.url,
                translate=tell.translate,
                link=answer_link(request),
            )
        except filing.AlreadyTaken:
            start_over(request)
            known = filing.first_answer(request.dbsession, intake)
            if known is None:
                raise
            filed = known
        return HTTPSeeOther(location=f"/{tell.slug}/contacts/{filed.contact_public_id}")

    return handle_form_submission(request, form, on_success, lambda: _page(request, service, form))


def _intake(tell: Telling, request: Any, service: Service, values: dict[str, Any]) -> filing.Intake:
    received = request.now
    if values["received_on"] != tell.today:
        received = datetime.combine(values["received_on"], time(12), tzinfo=tell.zone)
    return filing.Intake(
        source="desk",
        key=form_key(request),
        channel=values["channel"],
        started_at=received,
        ended_at=received,
        handle_seconds=0,
        service=service.ref,
        language=values["language"],
        accommodation=values.get("accommodation"),
        asker=asker_of(values),
        place=place_of(values),
        description=values.get("description") or "",
        urgency=values["urgency"],
        reply=asking(request, service).reply(values),
        files=files_of(values),
        danger_answer=values["danger"],
        cleared=values["danger"] == "none",
        consent=values["consent"],
        consent_method="written",
    )
