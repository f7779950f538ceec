"""Who is calling: look them up with their consent; and the language of the contact."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.errors import DomainError, InvalidInput
from regional311.floor.callers import Caller, asked_by, find_callers, say_who
from regional311.identity.permissions import Permissions as P
from regional311.intake.service import update_contact
from regional311.notices.phones import shown
from regional311.web.forms import sent_version, start_over
from regional311.web.i18n import _
from regional311.web.telling import telling
from regional311.web.tree import ContactRecord
from regional311.web.views.contact_company import person_sent
from regional311.web.wording import CHANNELS, LANGUAGES, said
from regional311.web.written import call_of


@view_config(
    context=ContactRecord,
    name="caller",
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="contacts/caller.jinja2",
)
def ask(context: ContactRecord, request: Any) -> dict[str, Any]:
    """What to look for, and the question to the person; the number that calls stands there."""
    return _page(context, request, words=_calling(context, request))


def _calling(context: ContactRecord, request: Any) -> str:
    """The number from which this contact called, as the telephone system said it; or nothing."""
    call = call_of(request, context.record)
    return shown(call.caller) if call and call.caller else ""


def _page(
    context: ContactRecord,
    request: Any,
    *,
    words: str = "",
    found: list[Caller] | None = None,
    problem: Any = None,
) -> dict[str, Any]:
    tell = telling(request)
    here = f"/{tell.slug}/contacts/{context.record.public_id}"
    return {
        "crumbs": [
            (f"/{tell.slug}/desk", _("Desk")),
            (here, context.record.public_id),
            (None, _("Who is calling")),
        ],
        "here": here,
        "words": words,
        "problem": problem,
        "known": context.record.inquirer_id is not None,
        "found": None
        if found is None
        else [_shown(request, each, whole=asked_by(words)[0] == "phone") for each in found],
    }


def _shown(request: Any, each: Caller, *, whole: bool) -> dict[str, Any]:
    """One who was found; of several by a name, only the end of the number tells them apart."""
    tell = telling(request)
    cleared = request.identity.cleared(request.tenant.id)
    return {
        "id": each.id,
        "name": each.name or _("No name given"),
        "reach": " · ".join(filter(None, (each.phone, each.email)))
        if whole
        else f"… {each.phone[-4:]}"
        if each.phone
        else "",
        "language": said(LANGUAGES, each.language),
        "prohibited": each.contact_prohibited,
        "contacts": [
            {
                "url": f"/{tell.slug}/contacts/{one.public_id}",
                "number": one.public_id,
                "when": tell.when(one.started_at),
                "channel": said(CHANNELS, one.channel),
                "confidential": one.confidential,
                "services": ", ".join(tell.service_name(*service) for service in one.services)
                if cleared or not one.confidential
                else None,
            }
            for one in each.contacts
        ],
    }


@view_config(
    context=ContactRecord,
    name="caller",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="contacts/caller.jinja2",
)
def look_up(context: ContactRecord, request: Any) -> Any:
    """Show who called before by that number or name; with `calling`, by the number that calls.

    That number is read here: it is in no address and no form.
    """
    calling = request.POST.get("calling") == "yes"
    words = _calling(context, request) if calling else request.POST.get("q", "")[:200]
    try:
        found = find_callers(
            request.dbsession,
            context.record.id,
            words,
            consent=request.POST.get("consent") == "yes",
            secret=telling(request).confidential_services,
            now=request.now,
        )
    except InvalidInput as error:
        start_over(request)
        request.response.status_int = 400
        return _page(context, request, words=words, problem=error)
    return _page(context, request, words=words, found=found)


@view_config(context=ContactRecord, name="known", permission=P.CONTACT_TAKE, request_method="POST")
def known(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Say that the caller is one of those that were found, or none of them."""
    chosen = None if request.POST.get("who") == "nobody" else person_sent(request, "who")
    here = f"/{request.tenant.slug}/contacts/{context.record.public_id}"
    try:
        with request.dbsession.begin_nested():
            say_who(request.dbsession, context.record.id, chosen, now=request.now)
    except DomainError as error:
        request.flash("info", error.message)
        return HTTPSeeOther(location=here)
    request.flash(
        "success",
        _("The form begins with what is known of them.")
        if chosen
        else _("It is nobody who was found."),
    )
    return HTTPSeeOther(location=here)


@view_config(context=ContactRecord, name="about", permission=P.CONTACT_TAKE, request_method="POST")
def about(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Say in which language it is held, and whether an interpreter is there."""
    language = request.POST.get("language", "")
    version = sent_version(request)
    if language not in LANGUAGES:
        raise InvalidInput(_("Choose one of the languages listed."), field="language")
    update_contact(
        request.dbsession,
        now=request.now,
        contact_id=context.record.id,
        version=version,
        language=language,
        interpreter=request.POST.get("interpreter") == "yes",
    )
    request.flash("success", _("The language of the contact is changed."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/contacts/{context.record.public_id}")
