"""One contact's person: what they agreed to, their code, whether they may be contacted or asked."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.erasure.known import known_of
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.intake import queries as intake
from regional311.referral import consents, follow_ups, person_links, prohibition
from regional311.referral.follow_up_queries import follow_ups_of_contact
from regional311.referral.loop import loop_of, working_days_after
from regional311.referral.queries import consents_of_contact, links_of_contact, referrals_of_contact
from regional311.web.i18n import _
from regional311.web.loop_wording import FOLLOW_UP_STATES, STOP_REASONS
from regional311.web.representations import json_response
from regional311.web.ringing import STATES as HANDOVER_STATES
from regional311.web.telling import telling
from regional311.web.tree import ContactRecord
from regional311.web.views.outcomes import need_asked
from regional311.web.wording import CONSENT_METHODS, LANGUAGES, REFERRAL_STATES, kind, said


@view_config(
    context=ContactRecord,
    name="consents",
    permission=P.INQUIRER_READ,
    request_method="GET",
    renderer="contacts/consents.jinja2",
)
def listed(context: ContactRecord, request: Any) -> dict[str, Any]:
    """What the person of a contact agreed to, with what rests on it; code and follow-up beside."""
    tell, session, found = telling(request), request.dbsession, context.record
    here = request.resource_path(context).rstrip("/")
    names = tell.published.sharing(tell.today).fields
    sent = referrals_of_contact(session, found.id)
    detail = intake.contact_detail(session, found.id)
    links = links_of_contact(session, found.id, now=request.now)
    planned = follow_ups_of_contact(session, found.id)
    edits = bool(request.has_permission(P.CONTACT_EDIT, context))
    person = detail.inquirer
    reachable = (
        person is not None
        and not person.contact_prohibited
        and person.erased_at is None
        and bool(person.phone or person.email)
    )
    calendar = tell.published.calendars[tell.slug]
    loop = loop_of(tell.published.tenant(tell.slug).settings)
    asked = {each.need_id for each in planned if each.state == "open"}
    return {
        "here": here,
        "crumbs": [
            (f"/{tell.slug}/contacts", _("Contacts")),
            (here, found.public_id),
            (None, _("Consent, code and follow-up")),
        ],
        "number": found.public_id,
        "edits": edits,
        "prohibited": person is not None and person.contact_prohibited,
        "may_prohibit": edits and person is not None and not person.contact_prohibited,
        "consents": [
            {
                "id": each.id,
                "to": tell.partner(each.to_tenant_id),
                "runs": each.revoked_at is None and each.expired_at is None,
                "facts": [
                    (_("Agreed to"), ", ".join(names.get(name, name) for name in each.fields)),
                    (_("Read out"), each.words),
                    (_("Read out in"), said(LANGUAGES, each.language) if each.words else None),
                    (_("How"), said(CONSENT_METHODS, each.method)),
                    (_("Given"), tell.when(each.given_at)),
                    (_("Until"), tell.day(each.expires_at)),
                    (_("Taken back"), tell.when(each.revoked_at)),
                    (_("Its time was up"), tell.when(each.expired_at)),
                ],
                "rests": [
                    (
                        f"/{tell.slug}/referrals/{referral.public_id}",
                        referral.public_id,
                        said(REFERRAL_STATES, referral.state),
                        kind(REFERRAL_STATES, referral.state),
                    )
                    for referral in sent
                    if referral.consent_id == each.id
                ]
                + [
                    (
                        f"{here}/handover",
                        number,
                        HANDOVER_STATES[state],
                        "done" if state == "taken_over" else "neutral",
                    )
                    for number, state in each.handed
                ],
            }
            for each in consents_of_contact(session, found.id)
        ],
        "links": [
            {
                "code": each.code,
                "url": f"{request.host_url}/mine/{each.code}",
                "until": tell.day(each.expires_at),
                "word": each.word_hash is not None,
            }
            for each in links
        ],
        "follow_ups": [
            {
                "url": f"/{tell.slug}/follow-ups/{each.public_id}",
                "number": each.public_id,
                "due": tell.day(each.due_on),
                "state": said(FOLLOW_UP_STATES, each.state),
                "kind": kind(FOLLOW_UP_STATES, each.state),
                "reason": said(STOP_REASONS, each.reason) if each.reason else None,
            }
            for each in planned
        ],
        "plan": [
            {
                "id": need.id,
                "service": tell.service_name(need.service_owner_id, need.service_key),
                "day": working_days_after(calendar, tell.today, loop.days(need.urgency)),
            }
            for need in detail.needs
            if reachable and edits and need.id not in asked
        ],
        "today": tell.today,
        "agreed": person is not None and person.may_follow_up,
        "may_give": bool(request.has_permission(P.INQUIRER_ISSUE, context)),
    }


def _back(context: ContactRecord, request: Any, where: str = "") -> HTTPSeeOther:
    here = request.resource_path(context).rstrip("/")
    return HTTPSeeOther(location=f"{here}/consents{where}")


@view_config(
    context=ContactRecord, name="all-known", permission=P.INQUIRER_ISSUE, request_method="POST"
)
def all_known(context: ContactRecord, request: Any) -> Any:
    """Everything that is known of the person, as a file for them."""
    number = context.record.public_id
    found = known_of(request.dbsession, number=number, now=request.now)
    partners = telling(request).partner
    for each in (*found["referrals"], *found["requests_elsewhere"], *found["consents"]):
        for key in ("counterparty_id", "owner_id", "to_tenant_id"):
            if key in each:
                each["partner"] = partners(each.pop(key))
    response = json_response(found)
    response.content_disposition = f'attachment; filename="{number}.json"'
    response.headers["Cache-Control"] = "no-store"
    return response


@view_config(context=ContactRecord, name="revoke", permission=P.CONTACT_EDIT, request_method="POST")
def revoke(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Take a consent back, as the person asks; the receiver is told and must confirm."""
    try:
        consent_id = UUID(str(request.POST.get("consent", "")))
    except ValueError:
        raise InvalidInput(_("Choose one of the consents listed."), field="consent") from None
    consents.revoke_consent(
        request.dbsession,
        now=request.now,
        consent_id=consent_id,
        contact_id=context.record.id,
        followers=telling(request).followers(),
    )
    request.flash("success", _("Taken back: what was shared is erased, and they are told."))
    return _back(context, request)


@view_config(
    context=ContactRecord, name="prohibit", permission=P.CONTACT_EDIT, request_method="POST"
)
def prohibit(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Let nobody contact this person, here or where they were referred to."""
    prohibition.prohibit(
        request.dbsession,
        now=request.now,
        contact_id=context.record.id,
        url=request.registry.configured.url,
    )
    request.flash("success", _("Nobody contacts this person any more; the partners are told."))
    return _back(context, request)


@view_config(context=ContactRecord, name="code", permission=P.CONTACT_TAKE, request_method="POST")
def code(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Give the person a new code, or let those they have open nothing any more."""
    session, found = request.dbsession, context.record
    if request.POST.get("end"):
        person_links.end_codes(session, now=request.now, contact_id=found.id)
        request.flash("success", _("The code does not work any more."))
    else:
        person_links.give_code(session, now=request.now, contact_id=found.id)
        request.flash("success", _("Here is a new code; older ones do not work any more."))
    return _back(context, request, "#code")


@view_config(context=ContactRecord, name="word", permission=P.CONTACT_TAKE, request_method="POST")
def word(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Keep the word by which the person sees what is confidential, too."""
    person_links.set_word(
        request.dbsession,
        now=request.now,
        contact_id=context.record.id,
        word=request.POST.get("word", ""),
    )
    request.flash("success", _("Kept. Nobody can read it again: tell the person to remember it."))
    return _back(context, request, "#code")


@view_config(
    context=ContactRecord, name="follow-up", permission=P.CONTACT_EDIT, request_method="POST"
)
def follow_up(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Plan to ask the person later what became of a need."""
    try:
        due_on = date.fromisoformat(request.POST.get("due_on", ""))
    except ValueError:
        raise InvalidInput(_("Enter a day."), field="due_on") from None
    follow_ups.begin(
        request.dbsession,
        now=request.now,
        contact_id=context.record.id,
        need_id=need_asked(request.POST),
        due_on=due_on,
        agreed=request.POST.get("agreed") == "true",
    )
    request.flash("success", _("Somebody asks on that day."))
    return _back(context, request, "#follow-ups")
