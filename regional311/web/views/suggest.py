"""The public's way to correct an entry: no account, one field at a time, thanks when wanted."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.database.session import open_session
from regional311.keeping.suggestions import suggest_as_visitor
from regional311.referral.snapshot import NOBODY
from regional311.tenancy.once import once
from regional311.web.danger import tell_of_danger
from regional311.web.forms import form_key, handle_form_submission
from regional311.web.i18n import page_language
from regional311.web.suggesting import (
    PublicSuggestionForm,
    Subject,
    chosen,
    field_page,
    languages,
    listed,
    subjects,
    suggestion_form,
    wish,
)
from regional311.web.telling import telling
from regional311.web.tree import Root, enter

URL = "/suggest"


@view_config(
    context=Root,
    name="suggest",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/suggest.jinja2",
)
def suggest(context: Root, request: Any) -> dict[str, Any]:
    """What a service or an article says, field by field; or the form for one; or thanks."""
    found = _subjects(request)
    asked = chosen(request, found)
    if asked is None:
        return _page(request, found)
    subject, field = asked
    form = suggestion_form(
        request, subject, field, PublicSuggestionForm(), cancel_url=_address(subject)
    )
    return _page(request, found, subject, field, form)


@view_config(
    context=Root,
    name="suggest",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/suggest.jinja2",
)
def send(context: Root, request: Any) -> Any:
    """Take a suggestion for the owner; what a program sent is thanked for and forgotten."""
    found = _subjects(request)
    asked = chosen(request, found)
    if asked is None:
        return HTTPSeeOther(location=_address(found[0]))
    subject, field = asked
    form = suggestion_form(
        request, subject, field, PublicSuggestionForm(), cancel_url=_address(subject)
    )
    done = f"{URL}?{urlencode({**subject.query, 'sent': 'yes'})}"
    key = form_key(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        if values.pop("homepage"):
            return HTTPSeeOther(location=done)
        enter(request, request.registry.partners.by_slug(subject.about.owner))
        said = wish(subject, field, values)

        def keep() -> dict[str, Any]:
            suggest_as_visitor(
                request.dbsession,
                said,
                now=request.now,
                written_in=page_language(request),
                email=values["email"],
                sender_digest=_digest(request),
            )
            return {}

        once(request.dbsession, f"suggest:{key}", [subject.query, field, values], keep)
        tell_of_danger(request, "web", " ".join((values["wanted"] or "", values["reason"] or "")))
        return HTTPSeeOther(location=done)

    return handle_form_submission(
        request, form, on_success, lambda: _page(request, found, subject, field, form)
    )


def _subjects(request: Any) -> list[Subject]:
    with open_session(request.registry.engine, NOBODY) as session:
        return subjects(request, session, page_language(request), public=True)


def _address(subject: Subject) -> str:
    return f"{URL}?{urlencode({**subject.query})}"


def _digest(request: Any) -> str:
    """Who sent it, as far as a flood goes: keyed, and another one each day."""
    secret = request.registry.configured.secret
    who = f"suggestion:{request.now:%Y-%m-%d}:{request.client_addr or 'unknown'}"
    return hmac.new(secret.encode(), who.encode(), hashlib.sha256).hexdigest()


def _page(
    request: Any,
    found: list[Subject],
    subject: Subject | None = None,
    field: str | None = None,
    form: Any = None,
) -> dict[str, Any]:
    tell = telling(request)
    about = found[0].about
    owner = tell.partner(about.owner)
    page: dict[str, Any] = {
        "about": about,
        "entry": about.name,
        "owner": owner,
        "sent": "sent" in request.GET,
        "again_url": f"{URL}?{urlencode({'about': about.ref})}",
        "phone": tell.phone(about.owner, about.bureau),
        "form": None,
    }
    if subject is None or field is None:
        return {
            **page,
            "subjects": listed(request, found, URL),
            "languages": languages(found[0], URL),
        }
    return {**page, **field_page(request, subject, field, form, owner)}
