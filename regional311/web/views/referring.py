"""Refer a need again, or to another partner beside the first: choose, read out, send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.database.ids import new_token
from regional311.errors import DomainError, InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.intake import queries
from regional311.referral import further
from regional311.referral.decision import said as sentences
from regional311.referral.drafts import WAITS_FOR
from regional311.referral.sending_on import verdict_of
from regional311.tenancy.once import once
from regional311.web.answer_links import answer_link
from regional311.web.forms import form_key
from regional311.web.i18n import _
from regional311.web.telling import Telling, telling
from regional311.web.tree import ContactRecord
from regional311.web.views.outcomes import need_asked
from regional311.web.wording import DECLINE_REASONS, read_out, said

WAITS: Final[Mapping[str, Any]] = {
    "waiting_for_person": _("The person's consent or word"),
    "waiting_for_documents": _("Documents"),
    "other": _("Something else"),
}


@view_config(
    context=ContactRecord,
    name="refer",
    permission=P.CONTACT_EDIT,
    request_method="GET",
    renderer="contacts/refer.jinja2",
)
def choose(context: ContactRecord, request: Any) -> dict[str, Any]:
    """Choose who is asked; then what goes there, and the words to read out."""
    return _page(context, request, request.GET, None)


@view_config(
    context=ContactRecord,
    name="refer",
    permission=P.CONTACT_EDIT,
    request_method="POST",
    renderer="contacts/refer.jinja2",
)
def send(context: ContactRecord, request: Any) -> Any:
    """Send the referral; the same form sent twice sends one."""
    tell, session = telling(request), request.dbsession
    given = request.POST
    need_id = need_asked(given)
    answer = given.get("consent", "")
    asked = {
        "need": str(need_id),
        "service": given.get("service", "")[:200],
        "replaces": given.get("replaces", "")[:20],
        "consent": answer,
        "draft": given.get("draft", "")[:20],
    }

    def act() -> dict[str, str]:
        if answer not in ("given", "written", "refused", ""):
            raise InvalidInput(_("Choose one of the answers listed."), field="consent")
        filed = further.refer_again(
            session,
            tell.published,
            now=request.now,
            contact_id=context.record.id,
            need_id=need_id,
            service=asked["service"],
            consent={"written": "given", "": "unasked"}.get(answer, answer),
            method="written" if answer == "written" else "spoken",
            replaces=asked["replaces"],
            draft=asked["draft"],
            key=form_key(request),
            url=request.registry.configured.url,
            translate=tell.translate,
            link=answer_link(request),
        )
        return {"referral": filed.referral_public_id}

    savepoint = session.begin_nested()
    try:
        done = once(session, f"refer:{form_key(request)}", asked, act)
    except DomainError as error:
        savepoint.rollback()
        request.response.status_int = 400
        return _page(context, request, asked, error.message)
    savepoint.commit()
    request.flash("success", _("Referred: ${number}.", mapping={"number": done["referral"]}))
    here = request.resource_path(context).rstrip("/")
    return HTTPSeeOther(location=f"{here}#need-{need_id}")


@view_config(
    context=ContactRecord,
    name="refer-later",
    permission=P.CONTACT_EDIT,
    request_method="POST",
    renderer="contacts/refer.jinja2",
)
def keep(context: ContactRecord, request: Any) -> Any:
    """Keep the referral as a draft, or change the one that it is; nothing goes out."""
    given = request.POST
    need_id = need_asked(given)
    asked = {name: given.get(name, "")[:200] for name in ("service", "waits_for", "draft")}
    session = request.dbsession
    savepoint = session.begin_nested()
    try:
        number = further.keep_draft(
            session,
            telling(request).published,
            now=request.now,
            contact_id=context.record.id,
            need_id=need_id,
            service=asked["service"],
            waits_for=asked["waits_for"],
            number=asked["draft"],
        )
    except DomainError as error:
        savepoint.rollback()
        request.response.status_int = 400
        return _page(context, request, {"need": str(need_id), **asked}, error.message)
    savepoint.commit()
    request.flash("success", _("Kept as a draft: ${number}.", mapping={"number": number}))
    here = request.resource_path(context).rstrip("/")
    return HTTPSeeOther(location=f"{here}#need-{need_id}")


def _page(context: ContactRecord, request: Any, given: Any, problem: Any) -> dict[str, Any]:
    tell, session = telling(request), request.dbsession
    need_id = need_asked(given)
    detail = queries.contact_detail(session, context.record.id)
    need = next((each for each in detail.needs if each.id == need_id), None)
    if need is None:
        raise HTTPNotFound
    here = request.resource_path(context).rstrip("/")
    ref = given.get("service", "")[:200]
    replaces = given.get("replaces", "")[:20]
    draft = given.get("draft", "")[:20]
    offer = None
    if ref:
        try:
            offer = _told(tell, need, context.record, detail.inquirer, ref)
        except InvalidInput as error:
            problem = problem or error.message
    return {
        "crumbs": [
            (f"/{tell.slug}/contacts", _("Contacts")),
            (here, context.record.public_id),
            (None, _("Refer")),
        ],
        "title": _(
            "Refer again: ${service}",
            mapping={"service": tell.service_name(need.service_owner_id, need.service_key)},
        ),
        "problem": problem,
        "here": f"{here}/refer",
        "back": f"{here}#need-{need_id}",
        "need": str(need_id),
        "replaces": replaces,
        "draft": draft,
        "later": {
            "url": f"{here}/refer-later",
            "choices": [(each, said(WAITS, each)) for each in WAITS_FOR],
        },
        "form_key": new_token(),
        "groups": _groups(tell, need, request),
        "chosen": ref,
        "offer": offer,
        "consent": given.get("consent", ""),
        "again_url": f"{here}/refer?{urlencode({'need': str(need_id), 'replaces': replaces})}",
    }


def _told(tell: Telling, need: Any, contact: Any, asker: Any, ref: str) -> dict[str, Any]:
    """What would go there, and why not: the receiver is asked before the person is."""
    published, now = tell.published, tell.request.now
    found = further.offer(published, tell.slug, need, contact, ref, now=now)
    refused = None
    if found.refused is not None:
        refused = said(DECLINE_REASONS, found.refused.replace(" ", "_"))
    else:
        place = {"text": need.place_text, "latitude": need.latitude, "longitude": need.longitude}
        known = {
            "place": place if need.place_kind != "none" else None,
            "note": need.description,
            **{name: getattr(asker, name, None) for name in ("name", "phone", "email")},
        }
        verdict = verdict_of(
            published, tell.slug, found.service, known, channel=contact.channel, now=now
        )
        if verdict.refused:
            refused = " ".join(sentences(verdict.codes, published.names, tell.translate))
    names = tell.published.sharing(tell.today).fields
    return {
        "partner": tell.partner(found.service.tenant),
        "service": found.service.name,
        "refused": refused,
        "always": [names.get(each, each) for each in found.shared_fields],
        "fields": [names.get(each, each) for each in found.consent_fields],
        "words": read_out(found.words, found.language, found.english, contact.language),
        "written": found.written,
    }


def _groups(tell: Telling, need: Any, request: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for each in further.choices_for(tell.published, tell.slug, need, now=request.now):
        groups.setdefault(tell.partner(each.tenant), []).append((each.ref, each.name))
    return list(groups.items())
