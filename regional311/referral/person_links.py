"""The code by which a person sees and withdraws what was asked for them: made, found, ended.

The code says nothing by itself, and is kept readable at the partner that gave it, so that its desk
can read it out again; elsewhere only its digest is known, so that a receiver's desk finds the
referral of who shows it. What is confidential stays unsaid unless the person gives the word that
they chose.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, select, text, update

from regional311.audit.service import record
from regional311.database.ids import (
    ALPHABET,
    new_id,
    parse_public_id,
    public_id,
    public_id_of,
    token_hash,
)
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.identity.models import PersonCode
from regional311.identity.passwords import hash_password, password_matches
from regional311.intake.models import Contact
from regional311.intake.service import NO_FOLLOWERS, Followers
from regional311.referral import lifecycle
from regional311.referral.held import hold
from regional311.referral.models import PersonLink, Referral
from regional311.referral.service import move

PREFIX: Final = "M"
DAYS: Final = 365
"""Days for which a code works."""
SHORTEST_WORD: Final = 4
LONGEST_WORD: Final = 100
WORD_TRIES: Final = 5
"""Wrong words after which the word does not work any more."""

_FIND: Final = text("SELECT tenant_id, contact_id FROM person_code(:code)")


@dataclass(frozen=True, slots=True)
class Found:
    """Whose contact a code opens."""

    tenant_id: UUID
    contact_id: UUID


def code_of(key: str) -> str:
    """Give the code that belongs to a form's key; only who knows the key can make it again.

    >>> code_of("a form's key") == code_of("a form's key"), code_of("a")[:2]
    (True, 'M-')
    """
    number = int.from_bytes(hashlib.sha256(f"person:{key}".encode()).digest())
    return public_id_of(PREFIX, number % len(ALPHABET) ** 9)


def link_rows(tenant_id: UUID, contact_id: UUID, code: str, *, now: datetime) -> tuple[Any, Any]:
    """Make the rows of a new code: readable for the partner, a digest for whoever shows it."""
    return (
        new_row(
            PersonLink,
            tenant_id=tenant_id,
            id=new_id(),
            contact_id=contact_id,
            code=code,
            made_at=now,
            expires_at=now + timedelta(days=DAYS),
        ),
        new_row(PersonCode, code_hash=token_hash(code), tenant_id=tenant_id, contact_id=contact_id),
    )


def give_code(session: TenantSession, *, now: datetime, contact_id: UUID) -> str:
    """Give a contact's person a new code; the codes that they had before end."""
    tenant_id = scope_of(session).tenant_id
    sent = session.execute(
        select(Referral.id).where(
            Referral.tenant_id == tenant_id, Referral.contact_id == contact_id
        )
    ).scalars()
    hold(session, *sent)
    end_codes(session, now=now, contact_id=contact_id)
    code = public_id(PREFIX)
    put(session, *link_rows(tenant_id, contact_id, code, now=now))
    held = session.execute(
        update(Referral)
        .where(Referral.tenant_id == tenant_id, Referral.contact_id == contact_id)
        .values(code_hash=token_hash(code))
        .returning(Referral.id, Referral.counterparty_id)
        .execution_options(synchronize_session=False)
    ).all()
    for receiver_id in sorted({row.counterparty_id for row in held}):
        with acting_for(session, receiver_id):
            session.execute(
                update(Referral)
                .where(
                    Referral.tenant_id == receiver_id,
                    Referral.id.in_([r.id for r in held if r.counterparty_id == receiver_id]),
                )
                .values(code_hash=token_hash(code))
                .execution_options(synchronize_session=False)
            )
    _record(session, "link:give", contact_id, now)
    return code


def end_codes(session: TenantSession, *, now: datetime, contact_id: UUID) -> int:
    """Let a contact's codes open nothing any more; say how many did."""
    ended = session.execute(
        update(PersonLink)
        .where(
            PersonLink.tenant_id == scope_of(session).tenant_id,
            PersonLink.contact_id == contact_id,
            PersonLink.ended_at.is_(None),
        )
        .values(ended_at=now)
        .returning(PersonLink.id)
        .execution_options(synchronize_session=False)
    ).all()
    mark_changed(session)
    if ended:
        _record(session, "link:end", contact_id, now)
    return len(ended)


def set_word(session: TenantSession, *, now: datetime, contact_id: UUID, word: str) -> None:
    """Keep the word with which the person sees what is confidential, too; never readable again.

    Raises :class:`InvalidInput`, and :class:`NotFound` when the contact has no code.
    """
    said = _plain(word)
    if not SHORTEST_WORD <= len(said) <= LONGEST_WORD:
        raise InvalidInput(
            f"Choose a word of {SHORTEST_WORD} to {LONGEST_WORD} letters.", field="word"
        )
    changed = session.execute(
        update(PersonLink)
        .where(
            PersonLink.tenant_id == scope_of(session).tenant_id,
            PersonLink.contact_id == contact_id,
            PersonLink.ended_at.is_(None),
        )
        .values(word_hash=hash_password(said), word_tries=0)
        .returning(PersonLink.id)
        .execution_options(synchronize_session=False)
    ).all()
    mark_changed(session)
    if not changed:
        raise NotFound("This contact has no code yet.")
    _record(session, "link:word", contact_id, now)


def word_fits(session: TenantSession, *, code: str, word: str) -> bool:
    """Whether it is the word of a code; a wrong one is counted, and after five none is right.

    A wrong word must stay counted: the caller commits although it is refused.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(PersonLink.id, PersonLink.word_hash, PersonLink.word_tries)
        .where(PersonLink.tenant_id == tenant_id, PersonLink.code == code)
        .with_for_update()
    ).one_or_none()
    if row is None or row.word_hash is None or row.word_tries >= WORD_TRIES:
        return False
    fits = password_matches(_plain(word)[: LONGEST_WORD + 1], row.word_hash)
    session.execute(
        update(PersonLink)
        .where(PersonLink.tenant_id == tenant_id, PersonLink.id == row.id)
        .values(word_tries=0 if fits else row.word_tries + 1)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    return fits


def code_from(typed: str) -> str | None:
    """Give the code that a person typed, or nothing when it can be none.

    >>> code_from(" m-00000-oct7w ")
    'M-00000-0CT7W'
    """
    return parse_public_id(typed, PREFIX)


def find(connection: Connection, code: str) -> Found | None:
    """Give whose contact a code opens, whatever its partner has said of it since. One statement."""
    row = connection.execute(_FIND, {"code": token_hash(code)}).one_or_none()
    return None if row is None else Found(UUID(str(row.tenant_id)), UUID(str(row.contact_id)))


def running(session: TenantSession, code: str, *, now: datetime) -> PersonLink | None:
    """Give the bound partner's link of a code while it works. One statement."""
    return session.execute(
        select(PersonLink).where(
            PersonLink.tenant_id == scope_of(session).tenant_id,
            PersonLink.code == code,
            PersonLink.ended_at.is_(None),
            PersonLink.expires_at > now,
        )
    ).scalar_one_or_none()


def was_erased(session: TenantSession, contact_id: UUID) -> bool:
    """Whether what was known of a contact's person is not kept any more. One statement."""
    found = session.execute(
        select(Contact.erased_at).where(
            Contact.tenant_id == scope_of(session).tenant_id, Contact.id == contact_id
        )
    ).scalar_one_or_none()
    return found is not None


def referral_of_code(session: TenantSession, code: str) -> str | None:
    """Give the number of the newest referral that the bound partner has of who shows a code."""
    return session.execute(
        select(Referral.public_id)
        .where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.code_hash == token_hash(code),
        )
        .order_by(Referral.sent_at.desc(), Referral.id.desc())
        .limit(1)
    ).scalar_one_or_none()


def _plain(word: str) -> str:
    return " ".join(word.split()).casefold()


def _record(session: TenantSession, action: str, contact_id: UUID, now: datetime) -> None:
    record(session, now=now, action=action, subject_kind="contact", subject_id=contact_id)


def withdraw_referral(
    session: TenantSession,
    *,
    now: datetime,
    contact_id: UUID,
    number: str,
    followers: Followers = NO_FOLLOWERS,
) -> None:
    """Take a referral back as the person asks, by their code. Raises :class:`NotFound`.

    What is over already stays over, and nothing is raised: the person sees how it stands.
    """
    row = session.execute(
        select(Referral.id, Referral.state, Referral.version).where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.contact_id == contact_id,
            Referral.public_id == number,
            Referral.side == lifecycle.SENDER,
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such referral.")
    if "cancelled" not in lifecycle.next_states(row.state, lifecycle.SENDER):
        return
    record(
        session,
        now=now,
        action="link:withdraw",
        subject_kind="referral",
        subject_id=row.id,
        detail={"by": "link"},
    )
    move(
        session,
        now=now,
        referral_id=row.id,
        version=row.version,
        to="cancelled",
        reason="person_declined",
        followers=followers,
    )
