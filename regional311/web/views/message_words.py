"""What messages to people say: the partner's own words, tried before anybody gets them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from babel import Locale
from babel.dates import format_date
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put
from regional311.errors import InvalidInput
from regional311.identity.members import find_member
from regional311.identity.permissions import Permissions as P
from regional311.locale.sentences import in_language
from regional311.notices.models import OutboxMessage
from regional311.notices.service import TO_PEOPLE, with_fragments
from regional311.notices.wording import (
    LANGUAGES,
    LONGEST_BODY,
    LONGEST_HEADING,
    NEEDED,
    Words,
    check,
    fill,
    places,
)
from regional311.notices.wording_settings import mark, set_wording, standard
from regional311.web.forms import (
    Form,
    HiddenWidget,
    Schema,
    SchemaNode,
    String,
    TextAreaWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.message_wording import EVENTS
from regional311.web.telling import telling
from regional311.web.tree import MessageWords, MessageWordsRecord
from regional311.web.wording import LANGUAGES as SPOKEN
from regional311.web.wording import said

EXAMPLES: Final = {
    "number": "R-7K3M9-QP4TX",
    "service": _("Street light out"),
    "state": _("in progress"),
    "message": _("We have repaired the light at the corner. Thank you for telling us."),
}
"""What stands in a message that is only shown or tried."""
PLACES: Final = {
    "number": _("the request’s number"),
    "partner": _("the partner that has it"),
    "service": _("what was asked for"),
    "state": _("how far it is"),
    "message": _("what was said to the person; needed"),
    "day": _("until which day; needed"),
    "expected": _("until when it should be done, a sentence of its own"),
    "link": _("where the person follows it, a sentence of its own; needed"),
}


def _own(request: Any, event: str, language: str) -> Words | None:
    return telling(request).published.wording(request.tenant.id, event, language)


def _usual(event: str, language: str) -> Words:
    words = standard(event)
    return Words(in_language(words.heading, language), in_language(words.body, language))


@view_config(
    context=MessageWords,
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="messages/words.jinja2",
)
def listed(context: MessageWords, request: Any) -> dict[str, Any]:
    """Every message to people in every language, and whose words it has."""
    here = f"/{request.tenant.slug}/message-words"
    return {
        "languages": [said(SPOKEN, each) for each in LANGUAGES],
        "rows": [
            {
                "event": said(EVENTS, event),
                "cells": [
                    {
                        "url": f"{here}/{event}.{language}",
                        "language": said(SPOKEN, language),
                        "own": _own(request, event, language) is not None,
                    }
                    for language in LANGUAGES
                ],
            }
            for event in sorted(TO_PEOPLE)
        ],
    }


def _form(context: MessageWordsRecord, request: Any, shown: Words, *, seen: str) -> Form:
    event, _language = context.record
    schema = Schema()
    offered = places(standard(event))
    schema.add(
        SchemaNode(
            String(LONGEST_HEADING + 50),
            name="heading",
            title=_("Subject"),
            description=_("At most ${num} characters, one line.", mapping={"num": LONGEST_HEADING}),
        )
    )
    schema.add(
        SchemaNode(
            String(LONGEST_BODY + 200, multiline=True),
            name="body",
            title=_("Text"),
            description=_(
                "These places are filled in: ${places}.",
                mapping={"places": ", ".join(f"{{{each}}}" for each in offered)},
            ),
            widget=TextAreaWidget(rows=12),
        )
    )
    schema.add(
        SchemaNode(
            String(32),
            name="seen",
            title=_("Version"),
            widget=HiddenWidget(),
            missing="",
        )
    )
    return make_form(
        request,
        schema,
        submit=_("Use these words"),
        buttons=(("preview", _("Preview")), ("test", _("Send me a test"))),
        values={"heading": shown.heading, "body": shown.body, "seen": seen},
        name="words",
        cancel_url=f"/{request.tenant.slug}/message-words",
    )


@view_config(
    context=MessageWordsRecord,
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="messages/worded.jinja2",
)
def worded(context: MessageWordsRecord, request: Any) -> dict[str, Any]:
    """The words as they are, and as a person would get them."""
    own = _own(request, *context.record)
    shown = own or _usual(*context.record)
    form = _form(context, request, shown, seen=mark(own))
    return _page(context, request, form, shown)


def _page(
    context: MessageWordsRecord, request: Any, form: Form, shown: Words | None
) -> dict[str, Any]:
    event, language = context.record
    here = f"/{request.tenant.slug}/message-words"
    usual = _usual(event, language)
    own = _own(request, event, language)
    return {
        "form": form,
        "event": said(EVENTS, event),
        "language": language,
        "language_name": said(SPOKEN, language),
        "own": own is not None,
        "seen": mark(own),
        "usual": usual,
        "preview": _example(request, event, language, shown) if shown else None,
        "places": [
            (f"{{{each}}}", PLACES.get(each, each), each in NEEDED)
            for each in places(standard(event))
        ],
        "here": f"{here}/{event}.{language}",
        "crumbs": [(here, _("Words of messages")), (None, said(EVENTS, event))],
        "trail_url": f"/{request.tenant.slug}/audit?action=settings:wording"
        if P.AUDIT_READ in request.identity.permissions(request.tenant.id)
        else None,
    }


def _example(request: Any, event: str, language: str, words: Words) -> Words:
    """The words with examples in their places, as the person would get them."""
    tell = telling(request)
    day = format_date(tell.today + timedelta(days=5), "long", locale=Locale.parse(language, "-"))
    values = {name: tell.translate(str(text), language) for name, text in EXAMPLES.items()} | {
        "partner": request.tenant.name,
        "day": day,
    }
    filled = with_fragments(
        values,
        language=language,
        expected_on=(tell.today + timedelta(days=5)).isoformat(),
        address=f"{request.registry.configured.url}/track/…",
        translate=in_language,
    )
    return Words(fill(words.heading, filled), fill(words.body, filled).rstrip("\n") + "\n")


@view_config(
    context=MessageWordsRecord,
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="messages/worded.jinja2",
)
def keep(context: MessageWordsRecord, request: Any) -> Any:
    """Use these words, show them with examples, or send them to oneself."""
    event, language = context.record
    form = _form(context, request, Words("", ""), seen="")
    shown: list[Words] = []

    def on_success(values: dict[str, Any]) -> Any:
        words = Words(values["heading"].strip(), values["body"].strip().replace("\r\n", "\n"))
        if "preview" in request.POST or "test" in request.POST:
            check(words, standard(event))
            shown.append(words)
            if "test" in request.POST:
                _send_test(request, event, language, words)
            return _page(context, request, form, words)
        set_wording(
            request.dbsession,
            event=event,
            language=language,
            words=None if words == _usual_plain(event, language) else words,
            seen=values["seen"],
            now=request.now,
        )
        request.flash("success", _("Messages say this from now on."))
        return HTTPSeeOther(location=request.path)

    return handle_form_submission(
        request,
        form,
        on_success,
        lambda: _page(context, request, form, shown[0] if shown else None),
    )


def _usual_plain(event: str, language: str) -> Words:
    words = _usual(event, language)
    return Words(words.heading.strip(), words.body.strip())


def _send_test(request: Any, event: str, language: str, words: Words) -> None:
    session, me = request.dbsession, request.identity.person_id
    member = find_member(session, me)
    if member is None:
        raise InvalidInput("You have no address here.", field="heading")
    tried = _example(request, event, language, words)
    message_id = new_id()
    put(
        session,
        new_row(
            OutboxMessage,
            tenant_id=request.tenant.id,
            id=message_id,
            event="wording_test",
            recipient=member.email,
            language=language,
            heading=tried.heading,
            body=tried.body,
            state="pending",
            attempts=0,
            created_at=request.now,
            due_at=request.now,
        ),
    )
    record(
        session,
        now=request.now,
        action="message:test",
        subject_kind="message",
        subject_id=message_id,
        detail={"event": event, "language": language},
    )
    request.flash("success", _("The test is on its way to ${to}.", mapping={"to": member.email}))


@view_config(
    context=MessageWordsRecord, name="usual", permission=P.SETTINGS_EDIT, request_method="POST"
)
def usual(context: MessageWordsRecord, request: Any) -> HTTPSeeOther:
    """Say the usual words again."""
    event, language = context.record
    set_wording(
        request.dbsession,
        event=event,
        language=language,
        words=None,
        seen=request.POST.get("seen", "")[:32],
        now=request.now,
    )
    request.flash("success", _("Messages say the usual words again."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/message-words/{event}.{language}")
