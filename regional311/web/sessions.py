"""What the browser keeps: the session's secret, the anonymous CSRF token, one-time messages.

Cookies are HttpOnly and SameSite=Lax, and Secure with the `__Host-` prefix when the configured
address is https.
"""

from __future__ import annotations

import hmac
from typing import Any

from pyramid.csrf import ICSRFStoragePolicy
from webob.cookies import JSONSerializer, SignedSerializer
from zope.interface import implementer

from regional311.database.ids import new_token
from regional311.web.i18n import translated

SESSION, CSRF, FLASH = "session", "csrf", "messages"
KINDS = ("success", "info", "warning", "error")


def cookie_name(request: Any, name: str) -> str:
    """Return the cookie's full name at this installation's address."""
    return f"__Host-{name}" if request.registry.configured.secure else name


def session_token(request: Any) -> str | None:
    """Return the session's secret that the browser sent, if any."""
    found = request.cookies.get(cookie_name(request, SESSION), "")
    return found if 20 <= len(found) <= 100 and found.isascii() and found.isprintable() else None


def set_cookie(request: Any, response: Any, name: str, value: str, max_age: int | None) -> None:
    """Write one of our cookies; an empty value deletes it."""
    response.set_cookie(
        cookie_name(request, name),
        value or None,
        max_age=max_age if value else 0,
        path="/",
        secure=request.registry.configured.secure,
        httponly=True,
        samesite="Lax",
        overwrite=True,
    )


class SignedCookies:
    """Reads and writes cookies that only this installation can have written."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def read(self, request: Any, name: str) -> Any:
        sent = request.cookies.get(cookie_name(request, name), "")
        if not sent or len(sent) > 4000:
            return None
        try:
            return self._serializer(name).loads(sent.encode())
        except (ValueError, UnicodeError):
            return None

    def write(self, request: Any, response: Any, name: str, value: Any) -> None:
        text = "" if value is None else self._serializer(name).dumps(value).decode()
        set_cookie(request, response, name, text, None)

    def _serializer(self, name: str) -> SignedSerializer:
        return SignedSerializer(
            self._secret, f"regional311.{name}", "sha256", serializer=JSONSerializer()
        )


@implementer(ICSRFStoragePolicy)
class CsrfTokens:
    """The token of the session for who is signed in, a signed cookie for everybody else."""

    def new_csrf_token(self, request: Any) -> str:
        if (identity := current_identity(request)) is not None:
            return str(identity.csrf_secret)
        token = new_token()
        request.anonymous_csrf_token = token
        request.add_response_callback(
            lambda request, response: request.registry.signed_cookies.write(
                request, response, CSRF, token
            )
        )
        return token

    def get_csrf_token(self, request: Any) -> str:
        return self._known(request) or self.new_csrf_token(request)

    def check_csrf_token(self, request: Any, supplied_token: str) -> bool:
        expected = self._known(request)
        return expected is not None and hmac.compare_digest(
            expected.encode(), str(supplied_token).encode("utf-8", "replace")
        )

    def _known(self, request: Any) -> str | None:
        if (identity := current_identity(request)) is not None:
            return str(identity.csrf_secret)
        made = getattr(request, "anonymous_csrf_token", None)
        if made is None:
            made = request.registry.signed_cookies.read(request, CSRF)
        return made if isinstance(made, str) else None


def current_identity(request: Any) -> Any:
    """Return who is signed in; nobody, without asking, once the database has failed."""
    return None if getattr(request, "database_failed", False) else request.identity


def flash(request: Any, kind: str, message: Any) -> None:
    """Show a message on the next page: `request.flash("success", _("Saved."))`.

    Kinds: success, info, warning, error. Never put personal values in it.
    """
    if kind not in KINDS:
        raise ValueError(kind)
    waiting = _waiting(request)
    waiting.append([kind, translated(request, message)[:500]])
    _keep(request)


def take_messages(request: Any) -> list[tuple[str, str]]:
    """Return the messages for this page; they are shown once."""
    waiting = _waiting(request)
    found = [(kind, message) for kind, message in waiting]
    if waiting:
        waiting.clear()
        _keep(request)
    return found


def _waiting(request: Any) -> list[Any]:
    waiting = getattr(request, "waiting_messages", None)
    if waiting is None:
        sent = request.registry.signed_cookies.read(request, FLASH)
        waiting = sent if isinstance(sent, list) else []
        request.waiting_messages = waiting
    return waiting


def _keep(request: Any) -> None:
    if getattr(request, "keeps_messages", False):
        return
    request.keeps_messages = True
    request.add_response_callback(
        lambda request, response: request.registry.signed_cookies.write(
            request, response, FLASH, request.waiting_messages or None
        )
    )


def includeme(config: Any) -> None:
    config.registry.signed_cookies = SignedCookies(config.registry.configured.secret)
    config.set_csrf_storage_policy(CsrfTokens())
    config.set_default_csrf_options(require_csrf=True, token="csrf_token", header="X-CSRF-Token")  # noqa: S106
    config.add_request_method(flash, "flash")
