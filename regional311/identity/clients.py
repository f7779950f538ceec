"""Programs that a partner lets use its interfaces: keys, what each may do, how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import case, select, update

from regional311.audit.service import record
from regional311.database.ids import new_id, new_token, token_hash
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound
from regional311.identity.models import ApiClient

SCOPES: Final = ("open311:requests", "open311:updates", "911:handovers")
"""What a key can be good for: send requests, send updates of them, hand calls over from 911."""

A_MINUTE: Final = 60
MOST_A_MINUTE: Final = 6_000


class KeyRefused(Forbidden):
    """No key came, it is unknown or revoked, or it is not good for this."""


class TooOften(Conflict):
    """The key was used more often in this minute than agreed."""


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


def use_key(session: TenantSession, key: str, scope: str, *, now: datetime) -> UUID:
    """Count a use of a key and give its client's id. One statement.

    :raises KeyRefused: when the key is not good for `scope` at this partner.
    :raises TooOften: when this minute's calls are used up.
    """
    if not key:
        raise KeyRefused("Send your api_key.", field="api_key")
    minute = now.replace(second=0, microsecond=0)
    same = ApiClient.minute_at == minute
    send(session)
    row = session.execute(
        update(ApiClient)
        .where(
            ApiClient.tenant_id == scope_of(session).tenant_id,
            ApiClient.key_hash == token_hash(key),
            ApiClient.revoked_at.is_(None),
        )
        .values(
            used_at=now,
            minute_at=minute,
            minute_calls=case((same, ApiClient.minute_calls + 1), else_=1),
        )
        .returning(ApiClient.id, ApiClient.scopes, ApiClient.a_minute, ApiClient.minute_calls),
        execution_options={"synchronize_session": False},
    ).one_or_none()
    if row is None or scope not in row.scopes:
        raise KeyRefused("This api_key is not good for this.", field="api_key")
    if row.minute_calls > row.a_minute:
        raise TooOften(
            f"This api_key may be used {row.a_minute} times a minute; wait a little.",
            field="api_key",
        )
    return row.id  # type: ignore[no-any-return]
