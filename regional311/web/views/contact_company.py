"""A contact and colleagues: who looks along, giving it on, and when the person has gone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNoContent, HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.response import Response
from pyramid.view import view_config

from regional311.audit.queries import history
from regional311.errors import InvalidInput
from regional311.floor.giving import give_contact, say_gone
from regional311.identity.permissions import Permissions as P
from regional311.inbox.queries import colleagues
from regional311.intake.queries import people
from regional311.web.company import company_of, to_give_to
from regional311.web.forms import sent_version
from regional311.web.i18n import _
from regional311.web.telling import telling
from regional311.web.tree import ContactRecord, SecretContactRecord
from regional311.web.wording import CHANNELS, said


def person_sent(request: Any, name: str) -> UUID:
    """Read the person that was chosen. Raises `InvalidInput`."""
    try:
        return UUID(request.POST.get(name, ""))
    except ValueError:
        raise InvalidInput(_("Choose one of those listed."), field=name) from None


@view_config(context=ContactRecord, name="company", permission=P.CONTACT_TAKE, request_method="GET")
def company(context: ContactRecord, request: Any) -> Any:
    """Who looks along, and who has it now, as a part of the page; nothing when it is as seen."""
    found, session = context.record, request.dbsession
    past = history(session, found.id)
    names = people(session, [found.specialist_id, *(each.person_id for each in past)])
    shown = company_of(request, found, past, names)
    if shown is None:
        # it has ended: there is nothing left to ask for
        return Response("")
    if request.GET.get("seen") == shown["seen"]:
        return HTTPNoContent()
    if shown["give_url"]:
        shown["colleagues"] = to_give_to(request, found)
    return render_to_response("contacts/company.jinja2", {"company": shown}, request=request)


@view_config(context=ContactRecord, name="give", permission=P.FLOOR_RUN, request_method="POST")
def give(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Take the contact over, or give it to a colleague; whoever had it is told."""
    tell, to = telling(request), person_sent(request, "to")
    names = colleagues(request.dbsession)
    give_contact(request.dbsession, context.record.id, to=to, colleagues=names, now=request.now)
    if to == request.identity.person_id:
        request.flash("success", _("You have it now. Whoever had it is told."))
        return HTTPSeeOther(location=f"/{tell.slug}/contacts/{context.record.public_id}")
    request.flash("success", _("${name} has it now, and is told.", mapping={"name": names[to]}))
    return HTTPSeeOther(location=f"/{tell.slug}/floor")


@view_config(context=ContactRecord, name="gone", permission=P.CONTACT_TAKE, request_method="POST")
def gone(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Say that the person has gone, and the wrap-up begins; or that they are still there."""
    away = request.POST.get("gone") != "no"
    say_gone(
        request.dbsession,
        context.record.id,
        sent_version(request),
        gone=away,
        now=request.now,
    )
    request.flash(
        "success",
        _("The person has gone: wrap it up. The time that counts has stopped.")
        if away
        else _("The person is still there."),
    )
    return HTTPSeeOther(location=f"/{request.tenant.slug}/contacts/{context.record.public_id}")


@view_config(
    context=SecretContactRecord,
    permission=P.CONTACT_READ,
    request_method="GET",
    renderer="contacts/secret.jinja2",
)
def secret(context: SecretContactRecord, request: Any) -> dict[str, Any]:
    """That there is such a contact, and nothing of what it says."""
    tell, found = telling(request), context.record
    names = people(request.dbsession, [found.specialist_id])
    return {
        "crumbs": [(f"/{tell.slug}/contacts", _("Contacts")), (None, found.public_id)],
        "number": found.public_id,
        "facts": [
            (_("Channel"), said(CHANNELS, found.channel)),
            (_("Started"), tell.when(found.started_at)),
            (_("Ended"), tell.when(found.ended_at)),
            (_("Taken by"), names.get(found.specialist_id)),
        ],
    }
