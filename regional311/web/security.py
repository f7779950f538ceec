"""Who asks, and whether they may: sessions give the identity, the tree's access lists decide.

Roles come with the identity, in one statement; an access list reads memory only. What somebody who
does not work for a partner gets below that partner's address is 404, as if nothing were there; a
colleague whose role lacks the permission gets 403.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from pyramid.authorization import DENY_ALL, ACLHelper, Allow, Authenticated, Everyone
from pyramid.httpexceptions import HTTPForbidden
from pyramid.security import Allowed, Denied

from regional311.identity import queries
from regional311.identity.clients import Program
from regional311.identity.permissions import ROLE_PERMISSIONS
from regional311.web.sessions import SESSION, session_token, set_cookie


class SignInNeeded(HTTPForbidden):
    """The address needs somebody who is signed in."""


class SessionPolicy:
    """Pyramid's security policy over our sign-in sessions."""

    def __init__(self) -> None:
        self._acl = ACLHelper()

    def identity(self, request: Any) -> queries.Identity | Program | None:
        """Return who is signed in; asked once a request, outside its transaction.

        Below a partner's collections a program that carries a key takes that place (`web.tree`).
        """
        if not hasattr(request, "found_identity"):
            request.found_identity = self._find(request)
        found: queries.Identity | Program | None = request.found_identity
        return found

    def _find(self, request: Any) -> queries.Identity | None:
        token = session_token(request)
        if token is None:
            return None
        with request.registry.autocommit_engine.connect() as connection:
            return queries.identity_of(connection, token, now=request.now)

    def authenticated_userid(self, request: Any) -> str | None:
        identity = self.identity(request)
        return None if identity is None else str(identity.person_id)

    def permits(self, request: Any, context: Any, permission: Any) -> Any:
        identity = self.identity(request)
        if isinstance(identity, Program):
            tenant = getattr(request, "tenant", None)
            if tenant is not None and permission in identity.permissions(tenant.id):
                return Allowed("the key is good for %s", permission)
            return Denied("the key is not good for %s", permission)
        principals = {Everyone}
        if identity is not None:
            principals.add(Authenticated)
            tenant = getattr(request, "tenant", None)
            if tenant is not None:
                principals |= {principal(tenant.id, role) for role in identity.roles(tenant.id)}
        return self._acl.permits(context, principals, permission)

    def remember(self, request: Any, userid: Any, **kw: Any) -> list[tuple[str, str]]:
        raise NotImplementedError("sessions begin in views.auth")

    def forget(self, request: Any, **kw: Any) -> list[tuple[str, str]]:
        raise NotImplementedError("sessions end in views.auth")


def principal(tenant_id: UUID, role: str) -> str:
    """Return the name by which an access list knows a role in a partner."""
    return f"{tenant_id}/{role}"


@cache
def tenant_acl(tenant_id: UUID) -> list[Any]:
    """Return a partner's access list: each role its permissions, nobody anything else."""
    return [
        *(
            (Allow, principal(tenant_id, role), permissions)
            for role, permissions in ROLE_PERMISSIONS.items()
        ),
        DENY_ALL,
    ]


def start_cookie(request: Any, response: Any, token: str, max_age: int) -> None:
    """Give the browser the secret of a new session."""
    set_cookie(request, response, SESSION, token, max_age)


def end_cookie(request: Any, response: Any) -> None:
    """Take the session's secret from the browser."""
    set_cookie(request, response, SESSION, "", None)


def safe_next(target: str) -> str:
    """Return where to go after signing in: an address path of this site, otherwise `/`."""
    if (
        not target.startswith("/")
        or target.startswith(("//", "/\\"))
        or "\\" in target
        or any(ord(character) < 33 or ord(character) == 127 for character in target)
    ):
        return "/"
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or parts.path.startswith(("//", "/auth/")):
        return "/"
    return target[:2000]


def includeme(config: Any) -> None:
    config.registry.autocommit_engine = config.registry.engine.execution_options(
        isolation_level="AUTOCOMMIT"
    )
    config.set_security_policy(SessionPolicy())


def may(request: Any, permission: str) -> bool:
    """Whether the person may do this here."""
    return bool(request.has_permission(permission))
