"""What a referral's page says of time and consent: the steps ahead, the end of its use."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.database.ids import parse_public_id
from regional311.identity.permissions import Permissions as P
from regional311.referral import consents, kept_on, lifecycle, person_links, queries
from regional311.referral.loop import loop_of
from regional311.referral.service import MAX_NOTE
from regional311.referral.silence import Silence, planned
from regional311.web.forms import sent_version
from regional311.web.i18n import _
from regional311.web.loop_wording import CONSENT_ENDS, STEPS
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import ReferralRecord, Referrals
from regional311.web.wording import said


def part(context: ReferralRecord, request: Any, found: Any, contact: str | None) -> dict[str, Any]:
    """Give what the page of a referral says of its loop; `contact` is the sender's number of it."""
    tell = telling(request)
    sent = found.side == lifecycle.SENDER
    here = request.resource_path(context).rstrip("/")
    row = context.record
    steps = _steps(tell, request, found) if sent else []
    facts: list[tuple[Any, Any]] = [
        (_("May be used until"), tell.day(found.use_until) if not found.consent_ended else None)
    ]
    return {
        "prohibited": bool(row.shared.get("contact_prohibited")),
        "stop": _stop(tell, found, f"{here}/stop-seen", sent=sent),
        "facts": facts if facts[0][1] else [],
        "steps": steps,
        "above": _above(tell, row, here),
        "finish": _finish(tell, request, found, contact),
        "again": _again(tell, request, found, contact)
        if sent and found.state in ("rejected", "failed", "cancelled")
        else None,
    }


def _above(tell: Telling, row: Any, here: str) -> dict[str, Any] | None:
    """What is to be decided of one that was referred onward and whose own beginning has ended."""
    if not kept_on.waits_for_word(row) or not may(tell.request, P.REFERRAL_ACCEPT):
        return None
    return {
        "when": tell.when(row.above_ended_at),
        "withdraw": f"{here}/withdraw-too",
        "keep": f"{here}/keep-on",
        "most": MAX_NOTE,
    }


def _stop(tell: Telling, found: Any, url: str, *, sent: bool) -> dict[str, Any] | None:
    if found.consent_ended is None:
        return None
    seen = None
    if found.stop_seen_at is not None:
        seen = _("Seen by the receiver: ${when}.", mapping={"when": tell.when(found.stop_seen_at)})
    elif sent:
        seen = _("The receiver has not said yet that it saw this.")
    accepts = may(tell.request, P.REFERRAL_ACCEPT)
    return {
        "why": said(CONSENT_ENDS, found.consent_ended),
        "url": url if not sent and accepts and found.stop_seen_at is None else None,
        "seen": seen,
    }


def _steps(tell: Telling, request: Any, found: Any) -> list[dict[str, Any]]:
    """The steps that come if nobody says anything; those taken stand in the history."""
    if found.state not in lifecycle.OPEN or found.state == "on_hold" or found.asked_at:
        return []
    word_by = found.due_at if found.state == "requested" else found.finish_by
    calendar = tell.published.calendars[tell.slug]
    since = found.heard_at or found.answered_at or found.sent_at
    taken = queries.reminders_of(request.dbsession, found.id)
    silence = Silence(
        found.state,
        found.urgency,
        calendar.local_date(since),
        calendar.local_date(word_by) if word_by else None,
        {step: calendar.local_date(at) for begun, step, at in taken if begun == since},
    )
    loop = loop_of(tell.published.tenant(tell.slug).settings)
    return [
        {"when": tell.day(on), "title": said(STEPS, step)}
        for step, on in planned(silence, loop, calendar)
    ]


def _finish(tell: Telling, request: Any, found: Any, contact: str | None) -> str | None:
    """Where a draft is finished or changed."""
    if found.state != "draft" or contact is None or not may(request, P.CONTACT_EDIT):
        return None
    service = f"{tell.published.slugs.get(found.counterparty_id, '')}/{found.service_key}"
    asked = {"need": str(found.need_id), "draft": found.public_id, "service": service}
    return f"/{tell.slug}/contacts/{contact}/refer?{urlencode(asked)}"


def _again(tell: Telling, request: Any, found: Any, contact: str | None) -> str | None:
    if found.need_id is None or contact is None or not may(request, P.CONTACT_EDIT):
        return None
    asked = urlencode({"need": str(found.need_id), "replaces": found.public_id})
    return f"/{tell.slug}/contacts/{contact}/refer?{asked}"


@view_config(
    context=ReferralRecord, name="stop-seen", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def stop_seen(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Say that what was shared is not used any more; the sender is told."""
    consents.stop_seen(request.dbsession, now=request.now, referral_id=context.record.id)
    request.flash("success", _("Thank you. The sender sees that you have seen it."))
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


@view_config(
    context=ReferralRecord, name="withdraw-too", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def withdraw_too(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Withdraw what was referred onward, because what it is part of has ended."""
    kept_on.withdraw_too(
        request.dbsession,
        now=request.now,
        referral_id=context.record.id,
        version=sent_version(request),
        followers=telling(request).followers(),
    )
    request.flash("success", _("Withdrawn; the other partner sees it."))
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


@view_config(
    context=ReferralRecord, name="keep-on", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def keep_on(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Keep what was referred onward, and say why."""
    kept_on.keep_on(
        request.dbsession,
        now=request.now,
        referral_id=context.record.id,
        version=sent_version(request),
        words=request.POST.get("words", ""),
    )
    request.flash("success", _("Kept. It goes on as it was."))
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


def take_back(
    context: ReferralRecord, request: Any, found: Any, given: queries.ConsentRow | None
) -> str | None:
    """Where the consent to a referral onward is taken back, while it runs; null: not here.

    That of a contact is taken back on the contact's page.
    """
    if given is None or found.contact_id is not None or not may(request, P.REFERRAL_ACCEPT):
        return None
    runs = given.revoked_at is None and given.expired_at is None
    return f"{request.resource_path(context).rstrip('/')}/revoke" if runs else None


@view_config(
    context=ReferralRecord, name="revoke", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def revoke(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Take the consent to a referral onward back, as the person asks."""
    consents.revoke_onward(
        request.dbsession,
        now=request.now,
        referral_id=context.record.id,
        followers=telling(request).followers(),
    )
    request.flash("success", _("Taken back: what was shared is erased, and they are told."))
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


@view_config(
    context=Referrals,
    name="find",
    permission=P.REFERRAL_READ,
    request_method="GET",
    renderer="referrals/find.jinja2",
)
def find(context: Referrals, request: Any) -> Any:
    """Find a referral by its number, or by the code that the person shows at the desk."""
    typed = request.GET.get("q", "")[:40]
    here = f"/{request.tenant.slug}/referrals"
    number = parse_public_id(typed, "F")
    code = person_links.code_from(typed)
    if number is None and code is not None:
        number = person_links.referral_of_code(request.dbsession, code)
    if number is not None and context.child(number) is not None:
        return HTTPSeeOther(location=f"{here}/{number}")
    return {"here": here, "typed": typed, "crumbs": [(here, _("Referrals")), (None, _("Find it"))]}
