"""What people and programs see when something cannot be done: one message, nothing changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import orjson
from pyramid.exceptions import BadCSRFOrigin, BadCSRFToken, PredicateMismatch
from pyramid.httpexceptions import (
    HTTPException,
    HTTPForbidden,
    HTTPNotFound,
    HTTPRedirection,
    HTTPSeeOther,
    HTTPServerError,
)
from pyramid.renderers import render
from pyramid.response import Response
from pyramid.view import exception_view_config, forbidden_view_config, notfound_view_config
from pyramid_retry import mark_error_retryable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from regional311.database.ids import new_token
from regional311.errors import (
    ComeAgain,
    Conflict,
    DomainError,
    Forbidden,
    KeyReused,
    NotFound,
    Stale,
)
from regional311.exchange.fhir import outcome
from regional311.exchange.transport import JSON as FHIR_JSON
from regional311.identity.attempts import WINDOW, TooManyTries
from regional311.identity.clients import KeyRefused, Program, TooOften
from regional311.web import open311
from regional311.web.api.operations import refusal_of
from regional311.web.i18n import _, translated
from regional311.web.open311 import asked_format
from regional311.web.partners import REGION
from regional311.web.pipeline import wrong_method
from regional311.web.problems import problem
from regional311.web.programs import is_program
from regional311.web.readable import Unreadable
from regional311.web.sessions import current_identity
from regional311.web.tree import TenantNode

log = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 30
FHIR_CODES = {400: "value", 403: "forbidden", 404: "not-found", 409: "conflict"}
CHALLENGE = 'Bearer realm="regional311"'


def error_page(
    request: Any,
    status: int,
    title: Any,
    message: Any,
    *,
    code: str | None = None,
    field: str | None = None,
    errors: Sequence[Mapping[str, str]] = (),
    template: str = "errors/error.jinja2",
    headers: dict[str, str] | None = None,
    **values: Any,
) -> Response:
    """Return an error as a page, a part of a page for htmx, or problem+json (RFC 9457)."""
    title, message = translated(request, title), translated(request, message)
    if (form := asked_format(request)) is not None:
        answer = open311.errors(form, status, message)
    elif _is_of(request, "fhir"):
        told = outcome([("error", FHIR_CODES.get(status, "processing"), message, field)])
        answer = Response(orjson.dumps(told), status=status, content_type=FHIR_JSON)
    elif _wants_json(request):
        named = [{"parameter": field, "detail": message}] if field and not errors else errors
        answer = problem(status, title, message, code=code, errors=named)
    else:
        if "HX-Request" in request.headers:
            template = "errors/part.jinja2"
        page = {"status": status, "title": title, "message": message, **values}
        answer = Response(render(template, page, request=request), status=status)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers.update(headers or {})
    return answer


def _wants_json(request: Any) -> bool:
    if f"{request.environ.get('PATH_INFO', '')}/".startswith("/hsds/") or _is_of(request, "911"):
        return True
    if is_program(request):
        return True
    offers = ["text/html", "application/json", "application/problem+json"]
    found = request.accept.acceptable_offers(offers)
    return bool(found) and found[0][0] != "text/html"


def _is_of(request: Any, interface: str) -> bool:
    """Whether an address is of a partner's interface for programs, as it came."""
    return interface in request.environ.get("PATH_INFO", "").split("/")[2:3]


@notfound_view_config()
@exception_view_config(NotFound)
def not_found(error: Any, request: Any) -> Response:
    """404, also for what belongs to another partner; 405 when only the method is wrong."""
    if isinstance(error, PredicateMismatch) and (mismatch := wrong_method(request)):
        return error_page(
            request,
            405,
            _("This address cannot be used that way"),
            _("Nothing was changed. Go back and try again from the page before."),
            headers={"Allow": mismatch.headers["Allow"]},
        )
    return error_page(
        request,
        404,
        _("There is no such page here"),
        _("The address may be mistyped, or what it shows belongs to somebody else."),
    )


@forbidden_view_config()
@exception_view_config(Forbidden)
def forbidden(error: Any, request: Any) -> Any:
    """Sign-in for visitors, 404 for people of other partners, 403 for the wrong role."""
    identity = current_identity(request)
    tenant = getattr(request, "tenant", None)
    if isinstance(identity, Program) and not isinstance(error, DomainError):
        said = getattr(getattr(error, "result", None), "msg", "")
        return error_page(
            request,
            403,
            "This key is not good for that",
            f"{said}.".capitalize() if said else "What is asked for is for people of the partner.",
            code="ScopeMissing",
        )
    if identity is None and not isinstance(error, DomainError):
        if request.method in {"GET", "HEAD"} and not _wants_json(request):
            node = getattr(request, "context", None)
            if isinstance(node, TenantNode) and not request.view_name:
                # who does not work there looks for the partner, not for its desk
                return HTTPSeeOther(location=_public_home(node))
            query = urlencode({"next": request.path_qs})
            return HTTPSeeOther(location=f"/auth/sign-in?{query}")
        program = is_program(request)
        return error_page(
            request,
            401 if program else 403,
            _("Sign in first"),
            _("Nothing was saved. Sign in and try again."),
            headers={"WWW-Authenticate": CHALLENGE} if program else None,
        )
    if identity is not None and tenant is not None and not identity.roles(tenant.id):
        return not_found(HTTPNotFound(), request)
    message = error.message if isinstance(error, DomainError) else None
    return error_page(
        request,
        403,
        _("Your role does not include this"),
        message or _("Ask an administrator of your partner if you need it. Nothing was changed."),
    )


@exception_view_config(BadCSRFToken)
@exception_view_config(BadCSRFOrigin)
def forged(error: Any, request: Any) -> Response:
    """A form without this session's secret: an old page, or another site's."""
    return error_page(
        request,
        400,
        _("This form is out of date"),
        _("Nothing was saved. Go back, load the page again and send the form again."),
        code="BadCSRFToken",
    )


@exception_view_config(UnicodeDecodeError)
def undecodable(error: Any, request: Any) -> Response:
    """An address or a form that is not UTF-8."""
    return error_page(
        request,
        400,
        _("This cannot be read"),
        _("The address or the form has characters that are not UTF-8. Nothing was saved."),
    )


@exception_view_config(Unreadable)
def unreadable(error: Unreadable, request: Any) -> Response:
    """A text that no record can keep."""
    return error_page(
        request,
        400,
        _("This cannot be read"),
        error.message,
        code="InvalidInput",
        field=error.field,
    )


@exception_view_config(Stale)
def stale(error: Stale, request: Any) -> Response:
    """Somebody else saved first: both versions, and the way back to the form."""
    return error_page(
        request,
        412 if _operation(request) else 409,
        _("Somebody else saved first"),
        error.message,
        code=error.code,
        template="errors/stale.jinja2",
        current=error.current,
        submitted=error.submitted,
    )


@exception_view_config(TooManyTries)
def too_many(error: TooManyTries, request: Any) -> Response:
    """Too many secrets that nobody was given: none is looked up for a while."""
    return error_page(
        request,
        429,
        _("Too many tries"),
        _("Wait 15 minutes, then try again, or call us."),
        code=error.code,
        headers={"Retry-After": str(int(WINDOW.total_seconds()))},
    )


@exception_view_config(ComeAgain)
def come_again(error: ComeAgain, request: Any) -> Response:
    """The same form was done a moment ago: the request is made again, and gets that answer."""
    mark_error_retryable(error)
    return broken_rule(error, request)


@exception_view_config(DomainError)
def broken_rule(error: DomainError, request: Any) -> Response:
    """A rule was broken outside a form that could show it."""
    status = 409 if isinstance(error, Conflict) else 400
    errors = []
    if _operation(request) is not None:
        status = 422 if isinstance(error, KeyReused) or status == 400 else status
        errors = refusal_of(error)
    return error_page(
        request, status, _("This cannot be done"), error.message, code=error.code, errors=errors
    )


@exception_view_config(KeyRefused)
def unknown_key(error: KeyRefused, request: Any) -> Response:
    """A program showed a key that is not good here; programs are told in English."""
    return error_page(
        request,
        401,
        "This key is not good here",
        "Send a key of this partner as Authorization: Bearer. Nothing was changed.",
        code=error.code,
        headers={"WWW-Authenticate": CHALLENGE},
    )


@exception_view_config(TooOften)
def too_often(error: TooOften, request: Any) -> Response:
    """A program asked more often than agreed."""
    return error_page(
        request,
        429,
        "Wait a little",
        error.message,
        code=error.code,
        headers={"Retry-After": str(error.retry_after)},
    )


def _public_home(node: TenantNode) -> str:
    return "/" if node.partner.slug == REGION else f"/partners/{node.partner.slug}"


def _operation(request: Any) -> Any:
    """The operation of the API that was called; None for a page."""
    return getattr(request, "operation", None)


@exception_view_config(HTTPException)
def http_error(error: HTTPException, request: Any) -> Any:
    """What a view raised on purpose."""
    if isinstance(error, HTTPRedirection):
        return error
    if isinstance(error, HTTPForbidden):
        return forbidden(error, request)
    if isinstance(error, HTTPServerError):
        return failed(error, request)
    phrase = HTTPStatus(error.status_int).phrase
    return error_page(
        request, error.status_int, _("This cannot be done"), error.detail or f"{phrase}."
    )


@exception_view_config(DBAPIError)
@exception_view_config(PoolTimeout)
def database_error(error: Any, request: Any) -> Response:
    """503 when the database cannot be reached; anything else it says is our mistake."""
    request.database_failed = True
    if not _unreachable(error):
        return failed(error, request)
    log.error("the database is not reached: %s", type(getattr(error, "orig", error)).__name__)
    return error_page(
        request,
        503,
        _("We cannot reach our records right now"),
        _("Nothing was saved or half done. Wait half a minute, then try again."),
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


@exception_view_config(Exception)
def failed(error: Any, request: Any) -> Response:
    """A mistake of ours: a reference for the log, never a trace for the visitor."""
    reference = new_token()[:8]
    request.database_failed = True
    log.error("error %s", reference, exc_info=error)
    return error_page(
        request,
        500,
        _("Something went wrong"),
        _(
            "Nothing was saved. If it happens again, tell us this reference: ${reference}.",
            mapping={"reference": reference},
        ),
    )


def _unreachable(error: Any) -> bool:
    if isinstance(error, PoolTimeout) or getattr(error, "connection_invalidated", False):
        return True
    original = getattr(error, "orig", None)
    state = getattr(original, "sqlstate", None)
    if state is None:
        return type(original).__name__ == "OperationalError"
    return state.startswith(("08", "57P")) or state == "53300"
