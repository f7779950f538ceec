"""What happens around every view: hosts, limits, headers, transactions, strictness of addresses.

Order from outside: `guard` (host, size, headers, last resort), pyramid_tm, error views, view.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pyramid.httpexceptions import (
    HTTPMethodNotAllowed,
    HTTPNotFound,
    HTTPRedirection,
    HTTPRequestEntityTooLarge,
)
from pyramid.response import Response
from pyramid.static import static_view
from pyramid.tweens import INGRESS
from sqlalchemy import event
from transaction import TransactionManager
from zope.sqlalchemy.datamanager import ZopeTransactionEvents

from regional311.database.session import NoTenantBound, Scope, TenantSession
from regional311.web import open311
from regional311.web.i18n import _
from regional311.web.problems import problem
from regional311.web.programs import is_program

log = logging.getLogger(__name__)

LARGEST_BODY = 2 * 1024 * 1024
LARGEST_UPLOAD = 12 * 1024 * 1024
"""With files in it; each is measured by itself again."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), payment=(), usb=(), geolocation=(self)",
}


def guard_factory(handler, registry):
    """Refuse what no view should see, and put the security headers on every answer."""
    configured = registry.configured
    host = (urlsplit(configured.url).hostname or "").lower()
    hosts = LOOPBACK if host in LOOPBACK else frozenset({host})

    def guard(request):
        request.environ.pop("HTTP_X_VHM_ROOT", None)
        if not _known_host(request, hosts):
            response = _plain(400, "This site does not answer to that host name.")
        else:
            try:
                if (request.content_length or 0) > _largest(request):
                    response = _too_large(request)
                else:
                    response = handler(request)
            except Exception:
                log.exception("an error page could not be made")
                response = _plain(500, "Something went wrong. Nothing was saved.")
        if isinstance(response, HTTPRedirection):
            response.empty_body = True  # no browser shows the page that would be made of it
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if configured.secure:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if "Cache-Control" not in response.headers:
            private = getattr(request, "tenant", None) is not None or request.cookies
            response.headers["Cache-Control"] = "no-store" if private else "private, no-cache"
        return response

    return guard


def _largest(request) -> int:
    """How much may be sent: files come in parts, or in JSON with what a program files or adds."""
    parts = request.environ.get("PATH_INFO", "").split("/")[2:]
    with_files = request.content_type == "multipart/form-data" or (
        request.content_type == "application/json"
        and (parts == ["requests"] or (parts[:1], parts[2:]) == (["requests"], ["attachments"]))
    )
    return LARGEST_UPLOAD if with_files else LARGEST_BODY


def _known_host(request, hosts: frozenset[str]) -> bool:
    # load balancers ask for the health of one machine by its address
    if request.environ.get("PATH_INFO") == "/healthz":
        return True
    try:
        asked = urlsplit(f"//{request.host}").hostname
    except ValueError:
        return False
    return asked in hosts


def _too_large(request) -> Response:
    said = "What was sent is too large. Nothing was saved."
    if (form := open311.asked_format(request)) is not None:
        return open311.errors(form, 413, said)
    if is_program(request):
        return problem(413, "Too large", f"{said} Send at most {_largest(request)} bytes.")
    error = HTTPRequestEntityTooLarge(
        _(
            "What was sent is too large: at most ${size} MB at once. Nothing was saved. Go back "
            "and leave out some files, or choose smaller ones.",
            mapping={"size": _largest(request) // 1024 // 1024},
        )
    )
    # this is outside of what shows errors: the person gets a page all the same
    answer: Response = request.invoke_exception_view((type(error), error, None))
    return answer


def _plain(status: int, text: str) -> Response:
    return Response(text, status=status, content_type="text/plain", charset="utf-8")


def database_session(request) -> TenantSession:
    """Return the request's session, bound to its partner and person, part of its transaction."""
    partner = getattr(request, "tenant", None)
    if partner is None:
        raise NoTenantBound("This address belongs to no partner, so it has no database session.")
    identity = request.identity
    scope = Scope(partner.id, None if identity is None else identity.person_id)
    session = _RequestSession(request.registry.engine, scope)
    session.joining = ZopeTransactionEvents(transaction_manager=request.tm)
    session.mark_changed = session.joining.mark_changed
    return session


class _RequestSession(TenantSession):
    """Part of its request's transaction.

    What `zope.sqlalchemy.register` does, listening to the class: a tenth of a millisecond less for
    each request than listening to every session anew.
    """

    joining: ZopeTransactionEvents


def _join(name: str) -> None:
    def joined(first: Any, *rest: Any) -> None:
        session = first if isinstance(first, _RequestSession) else first.session
        getattr(session.joining, name)(first, *rest)

    event.listen(_RequestSession, name, joined)


for _name in (
    "after_begin",
    "after_attach",
    "after_flush",
    "after_bulk_update",
    "after_bulk_delete",
    "before_commit",
    "do_orm_execute",
):
    _join(_name)


def explicit_manager(request) -> TransactionManager:
    """A transaction manager of this request alone, never begun behind its back."""
    return TransactionManager(explicit=True)


def needs_transaction(request) -> bool:
    """Static files and health checks have none."""
    return not request.environ.get("PATH_INFO", "").startswith(("/static/", "/healthz"))


def strict_address(view, info):
    """Answer 404 for anything after the view's name: `/new/x` is not `/new`."""
    if isinstance(info.original_view, static_view) or info.exception_only:
        return view

    def strict(context, request):
        if request.subpath:
            raise HTTPNotFound
        return view(context, request)

    return strict


@dataclass(frozen=True)
class DeclaredView:
    """What a view said about itself; tests walk these, and 405 answers come from them."""

    callable: Any
    context: Any
    name: str
    methods: frozenset[str]
    permission: Any
    exception_only: bool


def remember_view(view, info):
    """Note what each view declares."""
    methods = info.options.get("request_method") or ()
    info.registry.declared_views.append(
        DeclaredView(
            callable=info.original_view,
            context=info.options.get("context"),
            name=info.options.get("name") or "",
            methods=frozenset((methods,) if isinstance(methods, str) else methods),
            permission=info.options.get("permission"),
            exception_only=bool(info.exception_only),
        )
    )
    return view


def wrong_method(request) -> HTTPMethodNotAllowed | None:
    """Return the 405 answer if another method would have found a view here."""
    name = getattr(request, "view_name", "")
    for kind in type(getattr(request, "context", None)).__mro__:
        allowed = frozenset[str]().union(
            *(
                each.methods
                for each in request.registry.declared_views
                if each.context is kind and each.name == name and not each.exception_only
            )
        )
        if allowed:
            if request.method in allowed:
                return None
            shown = sorted(allowed | ({"HEAD"} if "GET" in allowed else set()))
            return HTTPMethodNotAllowed(headers={"Allow": ", ".join(shown)})
    return None


def has_page(request) -> bool:
    """Whether the address can be asked for again: a link to it does not end in a 405."""
    name = getattr(request, "view_name", "")
    kinds = type(getattr(request, "context", None)).__mro__
    return any(
        each.context in kinds and each.name == name and "GET" in each.methods
        for each in request.registry.declared_views
        if not each.exception_only
    )


def includeme(config) -> None:
    config.add_tween("regional311.web.pipeline.guard_factory", under=INGRESS)
    config.add_settings(
        {
            "tm.manager_hook": explicit_manager,
            "tm.commit_veto": "pyramid_tm.default_commit_veto",
            "tm.activate_hook": needs_transaction,
            "tm.annotate_user": False,
            "retry.attempts": 3,
        }
    )
    config.registry.declared_views = []
    config.include("pyramid_retry")
    config.include("pyramid_tm")
    config.add_request_method(lambda request: request.registry.clock(), "now", reify=True)
    config.add_request_method(database_session, "dbsession", reify=True)
    config.add_view_deriver(strict_address, "strict_address")
    config.add_view_deriver(remember_view, "remember_view")


def clock() -> datetime:
    """The time, for what happens now."""
    return datetime.now(UTC)
