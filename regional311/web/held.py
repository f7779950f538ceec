"""A file that was sent stays with its form: while something is corrected, and while it is asked
whether it is known already.

It is held in a transaction of its own, since what a refused form wrote is taken back.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from regional311.database.session import Scope, session_scope
from regional311.intake.held_files import held, hold
from regional311.intake.uploads import LARGEST_MEGABYTES, MEGABYTE, FileRefused, Upload, upload
from regional311.web.telling import telling

FIELD: Final = "held_files"
"""Hidden fields of this name carry `question:token`."""


def _scope(request: Any, owner: str) -> Scope:
    """Where it is held: with the partner at whose desk it is sent, else with the form's."""
    tenant = getattr(request, "tenant", None)
    identity = request.identity
    if tenant is not None and identity is not None and identity.roles(tenant.id):
        return Scope(tenant.id)
    return Scope(telling(request).published.ids[owner])


def given_back(request: Any, owner: str, question: str) -> Upload | None:
    """Give the file that the form carries for a question, if it is still there; asked once."""
    known: dict[str, Upload | None] = getattr(request, "made_held", {})
    if question not in known:
        token = _token(request, question)
        found = None
        if token and owner in telling(request).published.ids:
            with session_scope(request.registry.engine, _scope(request, owner)) as session:
                found = held(session, token, question, now=request.now)
        known[question] = found
        request.made_held = known
    return known[question]


def _token(request: Any, question: str) -> str | None:
    for value in request.POST.getall(FIELD):
        key, _colon, token = str(value).rpartition(":")
        if key == question and 20 <= len(token) <= 100 and token.isascii():
            return token
    return None


def kept_with(
    request: Any, owner: str, question: str, sent: Any
) -> tuple[str, str] | Literal[False] | None:
    """Hold what was sent for a question, or go on holding what was; give (field's value, name).

    ``sent`` is the file as the browser sent it, or nothing. False when it was sent and is not held.
    """
    if getattr(sent, "filename", None) and owner in telling(request).published.ids:
        sent.file.seek(0)
        content = sent.file.read(LARGEST_MEGABYTES * MEGABYTE + 1)
        try:
            taken = upload(question, str(sent.filename), content)
        except FileRefused:
            return False
        with session_scope(request.registry.engine, _scope(request, owner)) as session:
            token = hold(session, taken, now=request.now)
        return token is not None and (f"{question}:{token}", taken.name)
    found = given_back(request, owner, question)
    token = _token(request, question)
    return None if found is None or token is None else (f"{question}:{token}", found.name)
