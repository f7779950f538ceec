"""A person's own page: what was asked of whom for them, and how to take it back.

Whoever holds the code sees it, so it is made for a screen that somebody else may look at: a title
that says nothing, a way out, nobody's name, and nothing of what is confidential until the word is
given that the person chose at the desk.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.errors import InvalidInput
from regional311.referral import consents, lifecycle, person_links
from regional311.referral.queries import consents_of_contact, referrals_of_contact
from regional311.tenancy.hours import calendar_of
from regional311.web.i18n import _, page_language, translated
from regional311.web.opening import opening
from regional311.web.removed import removed
from regional311.web.spoken import own_language, spoken_service
from regional311.web.telling import Telling, call_link, telling
from regional311.web.tree import Mine, PersonPage
from regional311.web.views.mailbox import letter_form
from regional311.web.wording import OUTCOMES, said

STATES = {
    "requested": _("We asked them. They have not answered yet."),
    "accepted": _("They said yes. They will contact you."),
    "rejected": _("They cannot help with this. Call us: we look for somebody else."),
    "in_progress": _("They are working on it."),
    "on_hold": _("It waits for now."),
    "completed": _("They say that it is done."),
    "failed": _("It came to nothing. Call us: we look for somebody else."),
    "cancelled": _("It was taken back."),
    "entered_in_error": _("It was sent by mistake and taken back."),
}
"""How a referral stands, in plain words."""

FIELDS = {
    "name": _("Your name"),
    "phone": _("Your phone number"),
    "email": _("Your e-mail address"),
    "place": _("Your address or the place"),
    "note": _("What you told us"),
    "language": _("Your language"),
    "need": _("What you need"),
    "household": _("How many people you are"),
    "accommodation": _("What you need so that you can take part"),
    "safe_to_call": _("Whether it is safe to call you"),
    "answers": _("Your answers to our questions"),
    "urgency": _("How urgent it is"),
    "location": _("Where the problem is"),
    "problem": _("What the problem is"),
}
"""What the sharing policy's fields are to the person; any other is called as the policy says."""


@view_config(
    context=Mine,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/mine_code.jinja2",
)
def ask(context: Mine, request: Any) -> dict[str, Any]:
    """Ask for the code."""
    return {"problem": None, "typed": "", "letter": letter_form(request)}


@view_config(
    context=Mine,
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/mine_code.jinja2",
)
def enter(context: Mine, request: Any) -> Any:
    """Go to the page of a code that was typed; what cannot be one is said at once."""
    typed = request.POST.get("code", "")[:40]
    code = person_links.code_from(typed)
    if code is None:
        request.response.status_int = 400
        problem = _("This is no code. It begins with M and has ten letters and digits.")
        return {
            "problem": problem,
            "typed": typed,
            "letter": letter_form(request),
        }
    return HTTPSeeOther(location=f"/mine/{code}")


@view_config(
    context=PersonPage,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/mine.jinja2",
)
def page(context: PersonPage, request: Any) -> dict[str, Any]:
    """What was asked for the person, and what they can do; or that it was erased."""
    if person_links.was_erased(request.dbsession, context.contact_id):
        return removed(request, context.partner.slug)
    return _page(context, request)


@view_config(
    context=PersonPage,
    name="word",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/mine.jinja2",
)
def word(context: PersonPage, request: Any) -> dict[str, Any]:
    """Show what is confidential, too, for this once, to who gives the word."""
    _running(context, request)
    fits = person_links.word_fits(
        request.dbsession, code=context.code, word=request.POST.get("word", "")[:200]
    )
    problem = None if fits else _("That is not the word. After five tries it does not work.")
    return _page(context, request, passed=fits, problem=problem)


@view_config(
    context=PersonPage,
    name="withdraw",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
)
def withdraw(context: PersonPage, request: Any) -> HTTPSeeOther:
    """Take a referral back."""
    _running(context, request)
    person_links.withdraw_referral(
        request.dbsession,
        now=request.now,
        contact_id=context.contact_id,
        number=request.POST.get("referral", "")[:20],
        followers=telling(request).followers(),
    )
    request.flash("success", _("Taken back."))
    return HTTPSeeOther(location=f"/mine/{context.code}")


@view_config(
    context=PersonPage,
    name="consent",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
)
def consent(context: PersonPage, request: Any) -> HTTPSeeOther:
    """Take a consent back: what rests on it is erased where it went."""
    _running(context, request)
    try:
        consent_id = UUID(str(request.POST.get("consent", "")))
    except ValueError:
        raise InvalidInput(_("Choose one of those listed."), field="consent") from None
    consents.revoke_consent(
        request.dbsession,
        now=request.now,
        consent_id=consent_id,
        contact_id=context.contact_id,
        followers=telling(request).followers(),
    )
    request.flash("success", _("Taken back. What they got from us is erased."))
    return HTTPSeeOther(location=f"/mine/{context.code}")


def _running(context: PersonPage, request: Any) -> Any:
    """The code's row while it works; an ended one is as unknown as any other."""
    found = person_links.running(request.dbsession, context.code, now=request.now)
    if found is None:
        raise HTTPNotFound
    return found


def _page(
    context: PersonPage, request: Any, *, passed: bool = False, problem: Any = None
) -> dict[str, Any]:
    tell, session = telling(request), request.dbsession
    link = _running(context, request)
    has_word = link.word_hash is not None
    # nobody else's page, and none that is found again in a browser's memory
    request.response.headers["Cache-Control"] = "no-store"
    request.response.headers["Referrer-Policy"] = "no-referrer"
    every = [
        each
        for each in referrals_of_contact(session, context.contact_id)
        if each.side == lifecycle.SENDER
    ]
    sent = [each for each in every if each.state not in ("draft", "entered_in_error")]
    hidden = {each.id for each in every if not passed and _confidential(tell, each)}
    by_consent = {each.consent_id for each in every if each.id in hidden}
    names = tell.published.sharing(tell.today).fields
    here = f"/mine/{context.code}"
    return {
        "here": here,
        "code": context.code,
        "problem": problem,
        "asks_word": bool(hidden) and has_word,
        "calls": bool(hidden) and not has_word,
        "phone": tell.phone(context.partner.slug),
        "from_name": context.partner.name,
        "referrals": [_one(tell, each, shown=each.id not in hidden) for each in reversed(sent)],
        "consents": [
            {
                "id": each.id,
                "to": tell.partner(each.to_tenant_id),
                "fields": ", ".join(
                    translated(request, FIELDS[name]) if name in FIELDS else names.get(name, name)
                    for name in each.fields
                ),
                "until": tell.day(each.expires_at, "long"),
            }
            for each in consents_of_contact(session, context.contact_id)
            if each.revoked_at is None
            and each.expired_at is None
            and each.id not in by_consent
            and (passed or not _strict(tell, each.to_tenant_id))
        ],
    }


def _strict(tell: Telling, partner_id: Any) -> bool:
    """Whether a partner is of a kind whose very name says too much."""
    partner = tell.published.partners.get(tell.published.slugs.get(partner_id, ""))
    return partner is not None and partner.kind in tell.published.sharing(tell.today).paper_kinds


def _confidential(tell: Telling, referral: Any) -> bool:
    """Whether neither who helps nor with what may stand on a screen without the word."""
    found = tell.service(referral.counterparty_id, referral.service_key)
    hidden = found is not None and found.confidential
    return hidden or _strict(tell, referral.counterparty_id)


def _one(tell: Telling, referral: Any, *, shown: bool) -> dict[str, Any]:
    may_withdraw = "cancelled" in lifecycle.next_states(referral.state, lifecycle.SENDER)
    told: dict[str, Any] = {
        "number": referral.public_id,
        "state": said(STATES, referral.state),
        "outcome": said(OUTCOMES, referral.outcome) if referral.outcome else None,
        "sent": tell.day(referral.sent_at, "long"),
        "may_withdraw": may_withdraw,
        "service": None,
        "partner": None,
        "documents": (),
        "phone": None,
        "call": None,
        "opening": None,
        "own": "en",
    }
    if not shown:
        return told
    slug = tell.published.slugs.get(referral.counterparty_id, "")
    row = tell.published.tenants[slug]
    own = own_language(row)
    found = tell.service(slug, referral.service_key)
    phone = (found.details.get("phone") if found else None) or tell.phone(slug)
    week = found.details.get("hours") if found else None
    calendar = calendar_of(row, week) if week else tell.published.calendars[slug]
    told |= {
        "partner": row.name,
        "phone": phone,
        "call": call_link(phone) if phone else None,
        "opening": opening(tell, calendar),
        "own": own,
    }
    if found is not None:
        spoken = spoken_service(found, own, page_language(tell.request))
        told |= {"service": spoken.name, "documents": spoken.documents}
    return told
