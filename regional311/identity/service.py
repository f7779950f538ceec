"""Signing in and out; making people and giving them roles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Engine, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from regional311.database.ids import new_id, new_token, token_hash
from regional311.database.session import mark_changed, scope_of
from regional311.errors import DomainError, InvalidInput, NotFound
from regional311.identity import attempts
from regional311.identity.models import Membership
from regional311.identity.passwords import check_password, hash_password, password_matches
from regional311.identity.permissions import ROLE_PERMISSIONS
from regional311.identity.queries import LONGEST

PER_EMAIL, PER_ADDRESS = 5, 50
"""Failures within `attempts.WINDOW` after which no password is looked at any more. Many people may
sit behind one address, so it has more."""

_FAILURES = text("SELECT sign_in_failures(:email, :since), sign_in_failures(:address, :since)")
_NOTE = text("SELECT note_sign_in_failure(:email, :at), note_sign_in_failure(:address, :at)")
_CANDIDATE = text("SELECT person_id, password_hash FROM sign_in_candidate(:email)")
_START = text("SELECT start_session(:token, :person, :csrf, :at, :expires)")
_END = text("SELECT end_session(:token)")
_REGISTER = text("SELECT register_person(:id, :email, :name, :hash, :at)")
_CHANGE = text("SELECT change_password(:person, :hash)")
_DISABLE = text("SELECT disable_person(:person, :at)")


class SignInRefused(DomainError):
    """E-mail and password do not belong together; which of them is wrong is not said."""


class TooManyAttempts(DomainError):
    """Signing in failed too often with this e-mail or from this address."""


class UnknownRole(DomainError):
    """There is no such role."""


@dataclass(frozen=True)
class SignedIn:
    """A new session: the secret for the cookie, and when it ends at the latest."""

    person_id: UUID
    token: str = field(repr=False)
    expires_at: datetime


def sign_in(
    engine: Engine,
    *,
    email: str,
    password: str,
    address: str,
    secret: str,
    now: datetime,
    former_token: str | None = None,
) -> SignedIn:
    """Start a session for whoever gives the right password; `former_token`'s session ends.

    It takes an engine, not a session: a counted failure must stay although the sign-in is refused,
    and no connection is held while the password is computed. Failures are counted by keyed digests
    of e-mail and network address, before any password is looked at.

    Raises SignInRefused or TooManyAttempts.
    """
    email = email.strip().lower()
    counted = {
        "email": attempts.who(secret, "email", email),
        "address": attempts.who(secret, "address", address),
    }
    with engine.begin() as connection:
        by_email, by_address = connection.execute(
            _FAILURES, counted | {"since": now - attempts.WINDOW}
        ).one()
        if by_email >= PER_EMAIL or by_address >= PER_ADDRESS:
            raise TooManyAttempts("Signing in failed too often. Wait 15 minutes, then try again.")
        candidate = connection.execute(_CANDIDATE, {"email": email}).one_or_none()
    matches = password_matches(password, candidate.password_hash if candidate else None)
    if not matches or candidate is None:
        with engine.begin() as connection:
            connection.execute(_NOTE, counted | {"at": attempts.counted_at(now)})
        raise SignInRefused("This e-mail and password do not belong together.")
    started = SignedIn(UUID(str(candidate.person_id)), new_token(), now + LONGEST)
    with engine.begin() as connection:
        if former_token is not None:
            connection.execute(_END, {"token": token_hash(former_token)})
        connection.execute(
            _START,
            {
                "token": token_hash(started.token),
                "person": started.person_id,
                "csrf": new_token(),
                "at": now,
                "expires": started.expires_at,
            },
        )
    return started


def sign_out(engine: Engine, token: str) -> None:
    """End the session of this token; its cookie is worth nothing from now on."""
    with engine.begin() as connection:
        connection.execute(_END, {"token": token_hash(token)})


def create_person(
    session: Session,
    *,
    email: str,
    name: str,
    password: str | None,
    now: datetime,
    password_hash: str | None = None,
) -> UUID:
    """Make a person known and return their id; one whose e-mail is known already stays as is.

    `password_hash` is for callers that make many accounts with one password. Somebody without
    either cannot sign in yet. Raises PasswordTooWeak or InvalidInput.
    """
    email, name = email.strip().lower(), name.strip()
    if email.count("@") != 1 or email.startswith("@") or email.endswith("@") or " " in email:
        raise InvalidInput("This is no e-mail address.", field="email")
    if not name:
        raise InvalidInput("Give the person's name.", field="name")
    if password is not None:
        check_password(password, known_of_person=(name, email))
        password_hash = password_hash or hash_password(password)
    known = session.execute(
        _REGISTER,
        {"id": new_id(), "email": email, "name": name, "hash": password_hash, "at": now},
    ).scalar_one()
    mark_changed(session)
    return UUID(str(known))


def grant(
    session: Session, *, person_id: UUID, name: str, email: str, roles: Iterable[str]
) -> None:
    """Give a person exactly these roles in the session's partner. Raises UnknownRole."""
    wanted = sorted(set(roles))
    for role in wanted:
        if role not in ROLE_PERMISSIONS:
            allowed = ", ".join(ROLE_PERMISSIONS)
            raise UnknownRole(f"There is no role {role}; choose from {allowed}.", field="roles")
    values = {"name": name, "email": email.strip().lower(), "roles": wanted, "ended_at": None}
    session.execute(
        insert(Membership)
        .values(tenant_id=scope_of(session).tenant_id, person_id=person_id, **values)
        .on_conflict_do_update(index_elements=["tenant_id", "person_id"], set_=values)
    )
    mark_changed(session)


def end_membership(session: Session, *, person_id: UUID, now: datetime) -> None:
    """Take all roles in the session's partner from a person, from now on. Raises NotFound."""
    ended = session.execute(
        update(Membership)
        .where(
            Membership.tenant_id == scope_of(session).tenant_id,
            Membership.person_id == person_id,
            Membership.ended_at.is_(None),
        )
        .values(ended_at=now)
        .returning(Membership.person_id)
    ).one_or_none()
    if ended is None:
        raise NotFound("This person does not work here.")
    mark_changed(session)


def change_password(session: Session, *, person_id: UUID, password: str) -> None:
    """Set a person's password; all their sessions end. Raises PasswordTooWeak."""
    check_password(password)
    session.execute(_CHANGE, {"person": person_id, "hash": hash_password(password)})
    mark_changed(session)


def disable_person(session: Session, *, person_id: UUID, now: datetime) -> None:
    """Let a person sign in no more, anywhere; all their sessions end."""
    session.execute(_DISABLE, {"person": person_id, "at": now})
    mark_changed(session)
