"""Programs that ask: the key that a call carries, and what counts as a call of a program.

A key is good for one partner, and only for the operations of the JSON API (`web.api`): a page for
people refuses it. Keys stand in no address and in no log.
"""

from __future__ import annotations

import hmac
from typing import Any, Final
from uuid import UUID

from pyramid.httpexceptions import HTTPNotAcceptable

from regional311.database.session import Scope, open_session
from regional311.identity.clients import KeyRefused, Program, TooOften, program_of
from regional311.web.representations import wanted

JSON: Final = "application/json"
_LONGEST: Final = 200


def sent_key(request: Any) -> str | None:
    """Return the key of `Authorization: Bearer`; None when the call carries none."""
    kind, blank, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip()[:_LONGEST] if blank and kind.lower() == "bearer" else None


def program_asking(request: Any) -> Program:
    """Return the program whose key the call carries, at the partner that was entered.

    The call is counted in a transaction of its own, so that a refused one counts, too. Raises
    `KeyRefused` and `TooOften`.
    """
    return counted(request, sent_key(request) or "", request.tenant.id)


def counted(request: Any, key: str, tenant_id: UUID) -> Program:
    """Return the program whose key it is at a partner, and count a use of it for good.

    Raises `KeyRefused` and `TooOften`.
    """
    if not key.isascii():
        raise KeyRefused("This key is not good here.")
    with open_session(request.registry.engine, Scope(tenant_id)) as session:
        try:
            found = program_of(session, key, now=request.now)
        except TooOften:
            session.commit()
            raise
        session.commit()
    return found


def secret_key(request: Any, client_id: Any, repeat: str) -> str:
    """Return the key under which what a client sends is done once.

    A request's secret link is derived from it, and clients choose keys that others can guess.
    """
    secret = request.registry.configured.secret.encode()
    return hmac.digest(secret, f"once:{client_id}:{repeat}".encode(), "sha256").hex()


def is_program(request: Any) -> bool:
    """Whether a program asks: it carries a key, sends JSON, or wants JSON more than a page."""
    if sent_key(request) is not None or request.content_type == JSON:
        return True
    return request.method in ("GET", "HEAD") and wanted(request) == "json"


class AsksAsProgram:
    """The predicate `api=True` of views: they answer programs, the page beside them people."""

    def __init__(self, value: bool, config: Any) -> None:
        self.value = value

    def text(self) -> str:
        return f"api = {self.value}"

    phash = text

    def __call__(self, context: Any, request: Any) -> bool:
        return is_program(request) is self.value


def people_only(view: Any, info: Any) -> Any:
    """Refuse a key at whatever is no operation of the API."""
    if info.exception_only or hasattr(info.original_view, "operation"):
        return view

    def refusing(context: Any, request: Any) -> Any:
        if isinstance(getattr(request, "found_identity", None), Program):
            raise HTTPNotAcceptable("This address is a page for people; /api says what is not.")
        return view(context, request)

    return refusing


def includeme(config: Any) -> None:
    config.add_view_predicate("api", AsksAsProgram)
    config.add_view_deriver(people_only, "people_only")
