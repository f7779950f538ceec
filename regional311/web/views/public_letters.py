"""What somebody gets from a partner by mail, as the link in every message shows it.

Looking changes nothing, so that programs which open links on their own stop nobody's mail. One
press in a mail program (RFC 8058) is a POST without a cookie; it stops what the message was about.
"""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPBadRequest, HTTPNotFound, HTTPSeeOther
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.notices.stopping import Getting, change, getting
from regional311.web.i18n import _
from regional311.web.tree import LetterLink


def _got(context: LetterLink, request: Any) -> Getting:
    found = getting(request.dbsession, context.message_id)
    if found is None:
        raise HTTPNotFound
    return found


def _hidden(address: str) -> str:
    """An address that only its owner recognises.

    >>> _hidden("ana.lopez@example.org"), _hidden("a@b")
    ('a…@example.org', 'a…@b')
    """
    local, _at, domain = address.partition("@")
    return f"{local[:1]}…@{domain}"


@view_config(
    context=LetterLink,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/letters.jinja2",
)
def letters(context: LetterLink, request: Any) -> dict[str, Any]:
    """What they get; nothing changes by looking."""
    got = _got(context, request)
    return {
        "got": got,
        "partner": context.partner.name,
        "address": _hidden(got.address),
        "url": f"/letters/{context.__name__}",
    }


@view_config(context=LetterLink, permission=NO_PERMISSION_REQUIRED, request_method="POST")
def changed(context: LetterLink, request: Any) -> HTTPSeeOther:
    """Stop or start what they chose."""
    got = _got(context, request)
    what, how = request.POST.get("what", ""), request.POST.get("how", "")
    if what not in ("about", "all") or how not in ("stop", "start"):
        raise HTTPBadRequest
    change(
        request.dbsession,
        got,
        everything=what == "all" or got.subject_id is None,
        stopped=how == "stop",
        now=request.now,
    )
    request.flash(
        "success",
        _("You get no more of these messages.")
        if how == "stop"
        else _("You get these messages again."),
    )
    return HTTPSeeOther(location=f"/letters/{context.__name__}")


@view_config(
    context=LetterLink,
    name="one-click",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    require_csrf=False,  # a mail program sends it with the signed link alone, never with a cookie
)
def one_click(context: LetterLink, request: Any) -> Response:
    """Stop what the message was about: one press in a mail program (RFC 8058)."""
    if request.POST.get("List-Unsubscribe") != "One-Click":
        raise HTTPBadRequest
    got = _got(context, request)
    change(
        request.dbsession,
        got,
        everything=got.subject_id is None,
        stopped=True,
        now=request.now,
        by="one_click",
    )
    return Response("", content_type="text/plain", charset="utf-8")


@view_config(
    context=LetterLink,
    name="one-click",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
)
def one_click_opened(context: LetterLink, request: Any) -> HTTPSeeOther:
    """Whoever opens that link in a browser is shown the page; nothing is stopped."""
    return HTTPSeeOther(location=f"/letters/{context.__name__}")
