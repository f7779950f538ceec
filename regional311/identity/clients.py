"""Programs that a partner lets use its interfaces: keys, what each may do, how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import and_, case, or_, select, update

from regional311.audit.service import record
from regional311.database.ids import new_id, new_token, token_hash
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound
from regional311.identity.models import ApiClient
from regional311.identity.permissions import Permissions

CONFIDENTIAL: Final = "request:confidential"
"""Good for what is confidential, too, as far as the key's other scopes reach."""

API_SCOPES: Final[tuple[str, ...]] = (
    Permissions.REQUEST_READ,
    Permissions.REQUEST_WORK,
    CONFIDENTIAL,
    Permissions.REFERRAL_READ,
    Permissions.REFERRAL_ACCEPT,
    Permissions.CONTACT_READ,
    Permissions.CONTACT_TAKE,
    Permissions.CONTACT_EDIT,
    Permissions.INQUIRER_READ,
    Permissions.SERVICE_READ,
    Permissions.STATEMENT_READ,
)
"""Scopes of the JSON API: each is the permission that a person needs for the same."""

SCOPES: Final[tuple[str, ...]] = (
    "open311:requests",
    "open311:updates",
    "911:handovers",
    *(str(each) for each in API_SCOPES),
)
"""What a key can be good for: send requests, send updates of them, hand calls over from 911; and
the JSON API."""

A_MINUTE: Final = 60
MOST_A_MINUTE: Final = 6_000
GRACE: Final = timedelta(days=1)
"""How long the key before goes on when a key is changed without a gap."""


class KeyRefused(Forbidden):
    """No key came, it is unknown or revoked, or it is not good for this."""


class TooOften(Conflict):
    """The key was used more often in this minute than agreed; `retry_after` are seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, field="api_key")
        self.retry_after = retry_after


class NameTaken(Conflict):
    """Another client has this name."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client as its partner's administrators see it."""

    id: UUID
    name: str
    key_end: str
    scopes: list[str]
    a_minute: int
    made_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    rotated_at: datetime | None
    before_until: datetime | None


@dataclass(frozen=True, slots=True)
class Program:
    """A program that showed its key: what a signed-in person's `Identity` is for people.

    It belongs to one partner. What it does is told under its id, as a person's is.
    """

    id: UUID
    tenant_id: UUID
    name: str
    scopes: frozenset[str]
    csrf_secret: str = field(default_factory=new_token, repr=False)
    """Nobody has it: a key is never good for a form."""

    @property
    def person_id(self) -> UUID:
        """Whoever acts, in trails and beside what is done."""
        return self.id

    def roles(self, tenant_id: UUID) -> frozenset[str]:
        """Return what it is at a partner; nothing at any but its own."""
        return frozenset({"program"} if tenant_id == self.tenant_id else ())

    def permissions(self, tenant_id: UUID) -> frozenset[Permissions]:
        """Return what it may do in this partner."""
        mine = self.scopes if tenant_id == self.tenant_id else ()
        return frozenset(each for each in Permissions if each in mine)

    def cleared(self, tenant_id: UUID) -> bool:
        """Whether it may see what is confidential there."""
        return tenant_id == self.tenant_id and CONFIDENTIAL in self.scopes


def clients(session: TenantSession) -> list[Client]:
    """Give this partner's clients by name, revoked ones last."""
    columns = [getattr(ApiClient, name) for name in Client.__dataclass_fields__]
    rows = session.execute(
        select(*columns)
        .where(ApiClient.tenant_id == scope_of(session).tenant_id)
        .order_by(ApiClient.revoked_at.is_not(None), ApiClient.name)
    )
    return [Client(*row) for row in rows]


def make_client(
    session: TenantSession,
    *,
    name: str,
    scopes: Sequence[str],
    a_minute: int = A_MINUTE,
    now: datetime,
) -> str:
    """Make a client and give its key, which is shown this once and stored as a hash only.

    :raises InvalidInput: naming the field: name, scopes, a_minute.
    :raises NameTaken: when a client has the name, also a revoked one.
    """
    scope = scope_of(session)
    if not name.strip():
        raise InvalidInput("Give the client a name.", field="name")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidInput(f"Choose among {', '.join(SCOPES)}.", field="scopes")
    if not 1 <= a_minute <= MOST_A_MINUTE:
        raise InvalidInput(f"Allow 1 to {MOST_A_MINUTE} calls a minute.", field="a_minute")
    if any(each.name == name.strip() for each in clients(session)):
        raise NameTaken("Another client has this name.", field="name")
    key, client_id = new_token(), new_id()
    put(
        session,
        ApiClient(
            tenant_id=scope.tenant_id,
            id=client_id,
            name=name.strip(),
            key_hash=token_hash(key),
            key_end=key[-4:],
            scopes=list(scopes),
            a_minute=a_minute,
            made_by=scope.person_id,
            made_at=now,
        ),
    )
    record(
        session,
        now=now,
        action="client:make",
        subject_kind="client",
        subject_id=client_id,
        detail={"scopes": list(scopes), "a_minute": a_minute},
    )
    return key


def revoke(session: TenantSession, client_id: UUID, *, now: datetime) -> None:
    """End a client's key at once; a second time changes nothing.

    :raises NotFound: when this partner has no such client.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(ApiClient.revoked_at).where(
            ApiClient.tenant_id == tenant_id, ApiClient.id == client_id
        )
    ).one_or_none()
    if row is None:
        raise NotFound("This partner has no such client.")
    if row.revoked_at is not None:
        return
    session.execute(
        update(ApiClient)
        .where(ApiClient.tenant_id == tenant_id, ApiClient.id == client_id)
        .values(revoked_at=now),
        execution_options={"synchronize_session": False},
    )
    record(session, now=now, action="client:revoke", subject_kind="client", subject_id=client_id)


def rotate(session: TenantSession, client_id: UUID, *, now: datetime, at_once: bool = False) -> str:
    """Give a client a new key; the one before goes on for a day, or ends `at_once`.

    The key before that one ends in any case. Raises `NotFound` for one that is revoked or unknown.
    """
    tenant_id = scope_of(session).tenant_id
    key = new_token()
    send(session)
    done = session.execute(
        update(ApiClient)
        .where(
            ApiClient.tenant_id == tenant_id,
            ApiClient.id == client_id,
            ApiClient.revoked_at.is_(None),
        )
        .values(
            before_hash=None if at_once else ApiClient.key_hash,
            before_until=None if at_once else now + GRACE,
            key_hash=token_hash(key),
            key_end=key[-4:],
            rotated_at=now,
        )
        .returning(ApiClient.id),
        execution_options={"synchronize_session": False},
    ).one_or_none()
    if done is None:
        raise NotFound("This partner has no such client.")
    mark_changed(session)
    record(
        session,
        now=now,
        action="client:rotate",
        subject_kind="client",
        subject_id=client_id,
        detail={"at_once": at_once},
    )
    return key


def use_key(session: TenantSession, key: str, scope: str, *, now: datetime) -> UUID:
    """Count a use of a key and give its client's id. One statement.

    :raises KeyRefused: when the key is not good for `scope` at this partner.
    :raises TooOften: when this minute's calls are used up.
    """
    found = program_of(session, key, now=now)
    if scope not in found.scopes:
        raise KeyRefused("This api_key is not good for this.", field="api_key")
    return found.id


def program_of(session: TenantSession, key: str, *, now: datetime) -> Program:
    """Count a use of a key and say whose it is. One statement.

    :raises KeyRefused: when this partner has no such key.
    :raises TooOften: when this minute's calls are used up.
    """
    if not key:
        raise KeyRefused("Send your api_key.", field="api_key")
    minute = now.replace(second=0, microsecond=0)
    same = ApiClient.minute_at == minute
    digest = token_hash(key)
    tenant_id = scope_of(session).tenant_id
    send(session)
    row = session.execute(
        update(ApiClient)
        .where(
            ApiClient.tenant_id == tenant_id,
            or_(
                ApiClient.key_hash == digest,
                and_(ApiClient.before_hash == digest, ApiClient.before_until > now),
            ),
            ApiClient.revoked_at.is_(None),
        )
        .values(
            used_at=now,
            minute_at=minute,
            minute_calls=case((same, ApiClient.minute_calls + 1), else_=1),
        )
        .returning(
            ApiClient.id,
            ApiClient.name,
            ApiClient.scopes,
            ApiClient.a_minute,
            ApiClient.minute_calls,
        ),
        execution_options={"synchronize_session": False},
    ).one_or_none()
    if row is None:
        raise KeyRefused("This api_key is not good for this.", field="api_key")
    mark_changed(session)
    if row.minute_calls > row.a_minute:
        raise TooOften(
            f"This api_key may be used {row.a_minute} times a minute; wait a little.",
            retry_after=60 - now.second,
        )
    return Program(row.id, tenant_id, row.name, frozenset(row.scopes))
