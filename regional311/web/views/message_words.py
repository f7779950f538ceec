"""What messages to people say: the partner's own words, tried before anybody gets them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from babel import Locale
from babel.dates import format_date
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.database.ids import new_token
from regional311.errors import InvalidInput
from regional311.identity.members import find_member
from regional311.identity.permissions import Permissions as P
from regional311.locale.sentences import in_language
from regional311.notices.phones import shown as shown_number
from regional311.notices.phones import texted
from regional311.notices.segments import segments
from regional311.notices.service import TO_PEOPLE, with_fragments
from regional311.notices.texts import HOW_TO_STOP, LINKED_BEFORE, MORE, SHORT, below, fit
from regional311.notices.wording import (
    LANGUAGES,
    LONGEST_BODY,
    LONGEST_HEADING,
    MOST_PARTS,
    NEEDED,
    Words,
    check,
    fill,
    places,
)
from regional311.notices.wording_settings import mark, set_wording, standard
from regional311.notices.wording_tests import send_test
from regional311.referral.filing import tracking_token
from regional311.strict import digest
from regional311.tenancy.once import once
from regional311.web.forms import (
    Form,
    HiddenWidget,
    Schema,
    SchemaNode,
    String,
    TextAreaWidget,
    TextWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.message_wording import CHANNELS, EVENTS
from regional311.web.news import sends_texts
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


_LINK: Final = {"email": "…", "text": tracking_token("example")}
"""What stands for a secret link: in a text, where each letter counts, one as long as they are."""


def _own(request: Any, event: str, language: str, channel: str) -> Words | None:
    return telling(request).published.wording(request.tenant.id, event, language, channel)


def _usual(event: str, language: str, channel: str) -> Words:
    words = standard(event, channel)
    heading = in_language(words.heading, language) if words.heading else ""
    return Words(heading, in_language(words.body, language))


def _name(event: str, language: str, channel: str) -> str:
    return f"{event}.{language}" if channel == "email" else f"{event}.{language}.{channel}"


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
        "sent": sends_texts(request, request.tenant.slug),
        "channels": [
            {
                "key": channel,
                "name": said(CHANNELS, channel),
                "rows": [
                    {
                        "event": said(EVENTS, event),
                        "cells": [
                            {
                                "url": f"{here}/{_name(event, language, channel)}",
                                "language": said(SPOKEN, language),
                                "own": _own(request, event, language, channel) is not None,
                            }
                            for language in LANGUAGES
                        ],
                    }
                    for event in sorted(events)
                ],
            }
            for channel, events in (("email", TO_PEOPLE), ("text", SHORT))
        ],
    }


def _form(context: MessageWordsRecord, request: Any, shown: Words, *, seen: str) -> Form:
    event, _language, channel = context.record
    schema = Schema()
    offered = places(standard(event, channel))
    if channel == "email":
        schema.add(
            SchemaNode(
                String(LONGEST_HEADING + 50),
                name="heading",
                title=_("Subject"),
                description=_(
                    "At most ${num} characters, one line.", mapping={"num": LONGEST_HEADING}
                ),
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
            widget=TextAreaWidget(rows=12 if channel == "email" else 4),
        )
    )
    if channel == "text":
        schema.add(
            SchemaNode(
                String(40),
                name="number",
                title=_("Number for a test"),
                description=_(
                    "Only for the test, ten an hour at most; it is kept with that message."
                ),
                widget=TextWidget(type="tel", autocomplete="tel"),
                missing="",
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
        buttons=(
            ("preview", _("Preview")),
            ("test", _("Send me a test") if channel == "email" else _("Send a test")),
        ),
        values={"body": shown.body, "seen": seen}
        | ({"heading": shown.heading} if channel == "email" else {}),
        name="words",
        once=True,
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
    event, language, channel = context.record
    here = f"/{request.tenant.slug}/message-words"
    usual = _usual(*context.record)
    own = _own(request, *context.record)
    example = _example(request, event, language, channel, shown) if shown else None
    return {
        "channel": channel,
        "channel_name": said(CHANNELS, channel),
        "parts": _parts(request, example, language) if example and channel == "text" else None,
        "form": form,
        "event": said(EVENTS, event),
        "language": language,
        "language_name": said(SPOKEN, language),
        "own": own is not None,
        "seen": mark(own),
        "usual": usual,
        "preview": example,
        "places": [
            (f"{{{each}}}", _meaning(each, event, channel), each in NEEDED)
            for each in places(standard(event, channel))
        ],
        "here": f"{here}/{_name(*context.record)}",
        "crumbs": [(here, _("Words of messages")), (None, said(EVENTS, event))],
        "trail_url": f"/{request.tenant.slug}/audit?action=settings:wording"
        if P.AUDIT_READ in request.identity.permissions(request.tenant.id)
        else None,
    }


def _meaning(place: str, event: str, channel: str) -> Any:
    if place == "link" and event in LINKED_BEFORE:
        return _("needed, but empty here: the link is a secret of the first message")
    if place == "link" and channel == "text":
        return _("the address where the person follows it; needed")
    return PLACES.get(place, place)


def _parts(request: Any, example: Words, language: str) -> dict[str, Any]:
    """Say how many parts an example takes, and with how to stop below it."""
    line = in_language(HOW_TO_STOP, language)
    alone, first = segments(example.body), segments(below(example.body, line))
    pluralize = request.localizer.pluralize
    return {
        "alone": pluralize(
            "It takes ${num} part.", "It takes ${num} parts.", alone, mapping={"num": alone}
        ),
        "below": line,
        "first": pluralize(
            "With that it takes ${num} part.",
            "With that it takes ${num} parts.",
            first,
            mapping={"num": first},
        ),
        "more": max(alone, first) > MOST_PARTS,
    }


def _example(request: Any, event: str, language: str, channel: str, words: Words) -> Words:
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
        address=""
        if event in LINKED_BEFORE
        else f"{request.registry.configured.url}/track/{_LINK[channel]}",
        translate=in_language,
        channel=channel,
    )
    if channel == "text":
        line = in_language(HOW_TO_STOP, language)
        more = in_language(MORE, language)
        return Words("", fit(words.body, filled, room_for=line, more=more))
    return Words(fill(words.heading, filled), fill(words.body, filled).rstrip("\n") + "\n")


@view_config(
    context=MessageWordsRecord,
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="messages/worded.jinja2",
)
def keep(context: MessageWordsRecord, request: Any) -> Any:
    """Use these words, show them with examples, or send them to oneself."""
    event, language, channel = context.record
    form = _form(context, request, Words("", ""), seen="")
    shown: list[Words] = []

    def on_success(values: dict[str, Any]) -> Any:
        heading, body = values.get("heading", ""), values["body"]
        words = Words(heading.strip(), body.strip().replace("\r\n", "\n"))
        if "preview" in request.POST or "test" in request.POST:
            check(words, standard(event, channel))
            shown.append(words)
            if "test" in request.POST:
                to = _tester(request, channel, values.get("number", ""))
                _send_test(request, form, context.record, words, to)
            return _page(context, request, form, words)
        set_wording(
            request.dbsession,
            event=event,
            language=language,
            channel=channel,
            words=None if words == _usual_plain(*context.record) else words,
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


def _usual_plain(event: str, language: str, channel: str) -> Words:
    words = _usual(event, language, channel)
    return Words(words.heading.strip(), words.body.strip())


def _tester(request: Any, channel: str, number: str) -> str:
    """Where a test goes: to one's own address, or to a number that was given for it."""
    if channel == "text":
        if not sends_texts(request, request.tenant.slug):
            raise InvalidInput(_("No texts are sent here: no provider is set up."), field="number")
        found = texted(number)
        if found is None:
            raise InvalidInput(_("Give a number that gets texts, in this country."), field="number")
        return found
    member = find_member(request.dbsession, request.identity.person_id)
    if member is None:
        raise InvalidInput("You have no address here.", field="heading")
    return member.email


def _send_test(
    request: Any, form: Form, record: tuple[str, str, str], words: Words, to: str
) -> None:
    event, language, channel = record
    tried = _example(request, event, language, channel, words)
    asked = {"words": record, "heading": words.heading, "body": words.body, "to": to}

    def do() -> dict[str, Any]:
        made = send_test(
            request.dbsession,
            event=event,
            language=language,
            channel=channel,
            words=tried,
            to=to,
            now=request.now,
        )
        return {"message": str(made)}

    # a page that is loaded again sends nothing again; other words of the same page are a new test
    once(request.dbsession, f"wording-test:{form_key(request)}:{digest(asked)}", asked, do)
    form.form_key = new_token()
    where = shown_number(to) if channel == "text" else to
    request.flash("success", _("The test is on its way to ${to}.", mapping={"to": where}))


@view_config(
    context=MessageWordsRecord, name="usual", permission=P.SETTINGS_EDIT, request_method="POST"
)
def usual(context: MessageWordsRecord, request: Any) -> HTTPSeeOther:
    """Say the usual words again."""
    event, language, channel = context.record
    set_wording(
        request.dbsession,
        event=event,
        language=language,
        channel=channel,
        words=None,
        seen=request.POST.get("seen", "")[:32],
        now=request.now,
    )
    request.flash("success", _("Messages say the usual words again."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/message-words/{context.__name__}")
