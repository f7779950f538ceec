"""What was reported with an e-mail address: a link sent there on request, and the list it opens.

It stands for signing in: nobody needs an account, and who can read the mailbox sees the list. The
page says the same whether the address is known or not.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import colander
from babel.dates import format_time
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.database.rows import put
from regional311.database.session import Scope, open_session
from regional311.identity import attempts
from regional311.identity.expiring_links import Expiring, make_token
from regional311.intake import mailboxes
from regional311.intake.lifecycle import CLOSED
from regional311.notices.service import outbox_row
from regional311.web.forms import (
    Form,
    Schema,
    SchemaNode,
    String,
    TextWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _, page_language
from regional311.web.telling import telling
from regional311.web.tree import MAILBOX, REPORTED, Mailbox, Mine, enter
from regional311.web.wording import REQUEST_STATES, kind, said

WORKS: Final = timedelta(hours=1)
"""How long a link that was sent works, and those in its list."""


class LetterForm(Schema):
    """Where the link goes."""

    email = SchemaNode(
        String(254),
        title=_("Your e-mail address"),
        widget=TextWidget(type="email", autocomplete="email"),
        validator=colander.Email(_("Enter an e-mail address such as name@example.org.")),
    )


def letter_form(request: Any) -> Form:
    """Make the form that asks for a link."""
    return make_form(
        request, LetterForm(), submit=_("Send me the link"), name="letter", action="/mine/letter"
    )


@view_config(
    context=Mine,
    name="letter",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/mailbox_letter.jinja2",
)
def send_link(context: Mine, request: Any) -> Any:
    """Send a link to an address with which something was reported; say nothing about it here."""
    form, now = letter_form(request), request.now
    common = (request.registry.engine, request.registry.configured.secret)
    asked = (*common, "mailbox", request.client_addr or "unknown", now)
    attempts.check(*asked)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        email = values["email"]
        attempts.note_wrong(*asked)
        letter = (*common, "letter", email.lower(), now)
        try:
            attempts.check(*letter)
        except attempts.TooManyTries:
            pass  # the letters that went there work still
        else:
            attempts.note_wrong(*letter)
            _send(request, email)
        request.flash(
            "success",
            _("If something was reported with this address, a letter with the link is on its way."),
        )
        return HTTPSeeOther(location="/mine")

    return handle_form_submission(request, form, on_success, lambda: {"form": form})


def _send(request: Any, email: str) -> None:
    """Write the letter as the partner that heard from this address last.

    None is written where somebody with it may not be contacted, at whichever partner.
    """
    known: dict[UUID, mailboxes.Owner] = {}
    published = telling(request).published
    for slug in published.partners:
        scope = Scope(published.ids[slug])
        with open_session(request.registry.engine, scope) as session:
            owner = mailboxes.owner_of(session, email)
            session.rollback()
        if owner is not None:
            known[scope.tenant_id] = owner
    configured = request.registry.configured
    if not configured.url or not known or any(each.forbidden for each in known.values()):
        return
    tenant_id, owner = max(known.items(), key=lambda each: each[1].inquirer_id)
    partner = request.registry.partners.by_id(tenant_id)
    if partner is None:
        return
    enter(request, partner)
    expires_at = request.now + WORKS
    link = Expiring(tenant_id, owner.inquirer_id, expires_at)
    token = make_token(configured.secret, MAILBOX, link)
    put(
        request.dbsession,
        outbox_row(
            tenant_id,
            event="mailbox_link",
            recipient=owner.email,
            language=page_language(request),
            now=request.now,
            subject_id=owner.inquirer_id,
            translate=telling(request).translate,
            values={
                "address": f"{configured.url}/mine/{token}",
                "until": _clock_time(request, expires_at),
            },
        ),
    )


def _clock_time(request: Any, at: datetime) -> str:
    tell = telling(request)
    return str(format_time(at, "short", tzinfo=tell.zone, locale=tell.locale))


@view_config(
    context=Mailbox,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/mailbox.jinja2",
)
def reports(context: Mailbox, request: Any) -> Any:
    """List what was reported with the address, at whichever partner, the newest first."""
    link = context.link
    if link.expires_at <= request.now:
        request.flash("warning", _("That link no longer works. Ask for a new one."))
        return HTTPSeeOther(location="/mine")
    request.response.headers["Cache-Control"] = "no-store"
    tell = telling(request)
    rows = sorted(_reported(request, link), key=lambda each: each[1].opened_at, reverse=True)
    return {
        "until": _clock_time(request, link.expires_at),
        "rows": [
            {
                "number": each.number,
                "url": f"/track/{_one(request, partner_id, each, link)}",
                "service": tell.service_name(each.owner_id, each.service_key),
                "owner": tell.partner(each.owner_id),
                "state": said(REQUEST_STATES, each.state),
                "kind": kind(REQUEST_STATES, each.state),
                "open": each.state not in CLOSED,
                "day": tell.day(each.opened_at, "long"),
            }
            for partner_id, each in rows
        ],
    }


def _reported(request: Any, link: Expiring) -> list[tuple[UUID, mailboxes.Reported]]:
    """What was reported with the address of a link, each once, and which partner shows it."""
    published, engine = telling(request).published, request.registry.engine
    with open_session(engine, Scope(link.tenant_id)) as session:
        email = mailboxes.address_of(session, link.subject_id)
        session.rollback()
    if email is None:
        return []
    found: dict[UUID, tuple[UUID, mailboxes.Reported]] = {}
    for slug in published.partners:
        tenant_id = published.ids[slug]
        with open_session(engine, Scope(tenant_id)) as session:
            owner = mailboxes.owner_of(session, email)
            if owner is not None and owner.forbidden:
                return []
            rows = [] if owner is None else mailboxes.reported_with(session, email)
            session.rollback()
        for each in rows:
            service = published.directory.find(
                f"{published.slugs.get(each.owner_id, '')}/{each.service_key}"
            )
            if service is not None and not service.confidential:
                found.setdefault(each.request_id, (tenant_id, each))
    return list(found.values())


def _one(request: Any, tenant_id: UUID, each: mailboxes.Reported, link: Expiring) -> str:
    opens = Expiring(tenant_id, each.request_id, link.expires_at)
    return make_token(request.registry.configured.secret, REPORTED, opens)
