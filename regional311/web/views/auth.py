"""Signing in and out, choosing a language."""

from __future__ import annotations

from typing import Any

import colander
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.identity import service
from regional311.identity.queries import LONGEST, identity_of
from regional311.web.forms import (
    HiddenWidget,
    PasswordWidget,
    Schema,
    SchemaNode,
    Secret,
    String,
    TextWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.security import end_cookie, safe_next, start_cookie
from regional311.web.sessions import session_token
from regional311.web.tree import Auth


class SignInForm(Schema):
    """E-mail and password."""

    email = SchemaNode(
        String(254), title=_("E-mail"), widget=TextWidget(type="email", autocomplete="username")
    )
    password = SchemaNode(Secret(), title=_("Password"), widget=PasswordWidget())
    next = SchemaNode(String(2000), title=_("Next"), missing="/", widget=HiddenWidget())


@view_config(
    context=Auth,
    name="sign-in",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="auth/sign_in.jinja2",
)
def ask(context: Auth, request: Any) -> Any:
    """The sign-in page; who is signed in already goes on."""
    target = safe_next(request.GET.get("next", "/"))
    if request.identity is not None:
        return HTTPSeeOther(location=target)
    return {"form": _sign_in_form(request, {"next": target})}


@view_config(
    context=Auth,
    name="sign-in",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="auth/sign_in.jinja2",
)
def enter(context: Auth, request: Any) -> Any:
    """Start a session. What is said on failure is the same whatever was wrong."""
    form = _sign_in_form(request)

    def on_success(values: dict[str, Any]) -> Any:
        signed_in = service.sign_in(
            request.registry.engine,
            email=values["email"],
            password=values["password"],
            address=request.client_addr or "unknown",
            secret=request.registry.configured.secret,
            now=request.now,
            former_token=session_token(request),
        )
        target = safe_next(values["next"])
        answer = HTTPSeeOther(location=_home(request, signed_in.token) if target == "/" else target)
        start_cookie(request, answer, signed_in.token, int(LONGEST.total_seconds()))
        return answer

    def on_failure() -> dict[str, Any]:
        form["password"].cstruct = colander.null
        return {"form": form}

    return handle_form_submission(request, form, on_success, on_failure)


@view_config(
    context=Auth, name="sign-out", permission=NO_PERMISSION_REQUIRED, request_method="POST"
)
def leave(context: Auth, request: Any) -> Any:
    """End the session here and in the database."""
    token = session_token(request)
    if token is not None:
        service.sign_out(request.registry.engine, token)
    request.flash("success", _("You are signed out."))
    answer = HTTPSeeOther(location="/")
    end_cookie(request, answer)
    return answer


def _home(request: Any, token: str) -> str:
    """Where somebody begins: at their partner, or at the choice when there are several."""
    with request.registry.autocommit_engine.connect() as connection:
        identity = identity_of(connection, token, now=request.now)
    partners = list(identity.memberships) if identity else []
    home = request.registry.partners.by_id(partners[0]) if len(partners) == 1 else None
    return "/" if home is None else f"/{home.slug}"


def _sign_in_form(request: Any, values: dict[str, Any] | None = None) -> Any:
    return make_form(request, SignInForm(), submit=_("Sign in"), values=values, name="sign-in")
