"""Telling a program by webhook that a request of its partner has moved on.

A program has one address, on a host that the operator named. It is told that something happened and
reads what by the interface, with its key: so nothing personal lies in a queue, and what it may see
is decided when it looks. Messages are signed as Standard Webhooks says
(:mod:`regional311.exchange.webhooks`), stand in the outbox like all others, are tried again for
days, and are seen, sent again or set aside by a person.

What happened is read from the trail, in which each change writes in its own transaction; the
moments before are looked at again each time, since a change may be committed late. A message's id
follows from the event and the program, so that each is written once, whatever its address is then.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from sqlalchemy import Text, case, cast, exists, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from regional311.audit.models import AuditEvent
from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import Scope, TenantSession, mark_changed, scope_of, session_scope
from regional311.errors import Conflict, NotFound
from regional311.exchange.sealing import SealBroken, new_secret, seal, secret_bytes, unseal
from regional311.exchange.transport import AddressRefused, NoAnswer, call, check_address
from regional311.exchange.webhooks import PREFIX, sign
from regional311.identity.clients import CONFIDENTIAL
from regional311.identity.models import ApiClient
from regional311.identity.permissions import Permissions
from regional311.intake.models import ProgramHook, ServiceRequest
from regional311.notices.delivery import LEASE, Fate, Letter, Outcome, lease, still_leaves
from regional311.notices.delivery import record as note_outcome
from regional311.notices.models import OutboxMessage
from regional311.settings import Settings

CHANNEL: Final = "webhook"
EVENT: Final = "program_told"
"""How the outbox names such a message."""
LOOK_BACK: Final = timedelta(minutes=2)
"""How long a change may take from its moment to its commit."""
AT_ONCE: Final = 500
"""Changes that are read by one statement."""
SLOW: Final = timedelta(seconds=2)
"""An answer that takes as long ends a program's turn."""
LONGEST: Final = 300
GONE: Final = 410
"""The answer by which a program says that it wants no more."""
NO_MORE: Final = f"The program wants no more ({GONE})."

TOLD: Final[Mapping[str, str]] = {
    "request:open": "request.opened",
    "request:receive": "request.opened",
    "request:reopen": "request.reopened",
    "request:close": "request.closed",
    "request:merge": "request.merged",
    "request:heard": "request.person_wrote",
    "request:sent_file": "request.person_wrote",
}
"""The type of an event by what the trail says; all else that was done is `request.changed`."""
UNTOLD: Final = ("request:rate",)
"""What is no news for a program; that it was erased is, for whoever has copied it."""


class NoReading(Conflict):
    """The program's key does not reach requests, so that there is nothing to tell it."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a program is told, as administrators see it."""

    id: UUID
    client_id: UUID
    address: str
    made_at: datetime


def hook_of(session: Session, client_id: UUID) -> Hook | None:
    """Give where a program is told, None when it is not: one statement."""
    row = session.execute(
        select(*(getattr(ProgramHook, name) for name in Hook.__slots__)).where(
            ProgramHook.tenant_id == scope_of(session).tenant_id,
            ProgramHook.client_id == client_id,
            ProgramHook.ended_at.is_(None),
        )
    ).one_or_none()
    return None if row is None else Hook(*row)


def set_hook(
    session: TenantSession,
    client_id: UUID,
    address: str,
    *,
    hosts: Sequence[str],
    sealed_by: str,
    now: datetime,
) -> str:
    """Tell a program at an address from now on; give the secret, this once.

    One that it had ends, and what it has not been told by that goes there; so does what was given
    up for any that it had. Raises `AddressRefused`, :class:`NoReading`, `NotFound`.
    """
    address = address.strip()
    if len(address) > LONGEST:
        raise AddressRefused(f"An address has at most {LONGEST} characters.", field="address")
    check_address(address, hosts)
    tenant_id = scope_of(session).tenant_id
    scopes = session.execute(
        select(ApiClient.scopes).where(
            ApiClient.tenant_id == tenant_id,
            ApiClient.id == client_id,
            ApiClient.revoked_at.is_(None),
        )
    ).scalar_one_or_none()
    if scopes is None:
        raise NotFound("There is no such program, or its key is revoked.")
    if Permissions.REQUEST_READ not in scopes:
        raise NoReading("Its key must be good for reading requests: what it is told is read by it.")
    before = _end(session, client_id, "replaced", now)
    hook_id, secret = new_id(), new_secret()
    raw = secret_bytes(secret)
    put(
        session,
        new_row(
            ProgramHook,
            tenant_id=tenant_id,
            id=hook_id,
            client_id=client_id,
            address=address,
            sealed_secret=seal(raw, by=sealed_by, tenant_id=tenant_id, row_id=hook_id),
            told_until=now if before is None else before.told_until,
            made_at=now if before is None else before.made_at,
        ),
    )
    # what a worker has in hand for the old address is let go, and may come twice
    waits = OutboxMessage.state == "pending"
    had = select(cast(ProgramHook.id, Text)).where(
        ProgramHook.tenant_id == tenant_id, ProgramHook.client_id == client_id
    )
    session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == tenant_id,
            OutboxMessage.channel == CHANNEL,
            OutboxMessage.recipient.in_(had),
            OutboxMessage.state.in_(("pending", "dead", "aside")),
        )
        .values(
            recipient=str(hook_id),
            attempts=case((waits, 0), else_=OutboxMessage.attempts),
            due_at=case((waits, now), else_=OutboxMessage.due_at),
            leased_until=None,
        )
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    _note(session, client_id, "client:hook", now, {"host": urlsplit(address).hostname})
    return spelled(raw)


def end_hook(
    session: TenantSession,
    client_id: UUID,
    *,
    hook_id: UUID | None = None,
    why: str = "",
    now: datetime,
) -> None:
    """Tell a program nothing any more, by its webhook or that one. Twice is as good as once."""
    if _end(session, client_id, why, now, hook_id=hook_id) is not None:
        _note(session, client_id, "client:hook_end", now, {"why": why} if why else {})


def try_hook(session: TenantSession, client_id: UUID, *, now: datetime) -> None:
    """Write a message that only says that it is a test. Raises `NotFound`."""
    hook = hook_of(session, client_id)
    if hook is None:
        raise NotFound("This program has no webhook.")
    row = _row(hook.id, new_id(), scope_of(session).tenant_id, None, now)
    put(session, new_row(OutboxMessage, **row))


def spelled(secret: bytes) -> str:
    """Spell a secret as Standard Webhooks does.

    >>> spelled(b"0" * 32)[:10]
    'whsec_MDAw'
    """
    return PREFIX + base64.b64encode(secret).decode()


def gather(session: TenantSession, now: datetime) -> int:
    """Write what happened since the last time for each program that is told; give how many."""
    tenant_id = scope_of(session).tenant_id
    told = 0
    hooks = session.execute(
        select(
            ProgramHook.id,
            ProgramHook.client_id,
            ProgramHook.told_until,
            ProgramHook.made_at,
            ApiClient.scopes,
        )
        .join(
            ApiClient,
            (ApiClient.tenant_id == ProgramHook.tenant_id)
            & (ApiClient.id == ProgramHook.client_id),
        )
        .where(
            ProgramHook.tenant_id == tenant_id,
            ProgramHook.ended_at.is_(None),
            ApiClient.revoked_at.is_(None),
        )
        # whoever sets another address waits, and takes along what is written here
        .with_for_update(of=ProgramHook)
    ).all()
    for hook in hooks:
        for events in _events(session, hook, cleared=CONFIDENTIAL in hook.scopes):
            rows = [
                _row(hook.id, uuid5(hook.client_id, str(each.id)), tenant_id, each, now)
                for each in events
            ]
            made = session.execute(
                insert(OutboxMessage)
                .values(rows)
                .on_conflict_do_nothing()
                .returning(OutboxMessage.id)
            ).all()
            told += len(made)
        if now > hook.told_until:
            session.execute(
                update(ProgramHook)
                .where(ProgramHook.tenant_id == tenant_id, ProgramHook.id == hook.id)
                .values(told_until=now)
                .execution_options(synchronize_session=False)
            )
            mark_changed(session)
    return told


def _events(session: Session, hook: Any, *, cleared: bool) -> Iterator[Sequence[Any]]:
    """What happened to requests that a program is to hear of, the first first, in pages."""
    query = (
        select(
            AuditEvent.id,
            AuditEvent.at,
            AuditEvent.action,
            AuditEvent.subject_id,
            ServiceRequest.public_id,
            ServiceRequest.service_key,
            ServiceRequest.state,
            ServiceRequest.version,
        )
        .join(
            ServiceRequest,
            (ServiceRequest.tenant_id == AuditEvent.tenant_id)
            & (ServiceRequest.id == AuditEvent.subject_id),
        )
        .where(
            AuditEvent.tenant_id == scope_of(session).tenant_id,
            AuditEvent.at > max(hook.told_until - LOOK_BACK, hook.made_at),
            AuditEvent.subject_kind == "request",
            AuditEvent.action.not_in(UNTOLD),
        )
        .order_by(AuditEvent.at, AuditEvent.id)
        .limit(AT_ONCE)
    )
    if not cleared:
        query = query.where(ServiceRequest.confidential.is_(False))
    page = session.execute(query).all()
    while page:
        yield page
        if len(page) < AT_ONCE:
            return
        beyond = tuple_(AuditEvent.at, AuditEvent.id) > (page[-1].at, page[-1].id)
        page = session.execute(query.where(beyond)).all()


def _row(
    hook_id: UUID, message_id: UUID, tenant_id: UUID, event: Any | None, now: datetime
) -> dict[str, Any]:
    """The outbox row of an event, or of a test."""
    content: dict[str, Any] = {"type": "test", "timestamp": now.isoformat(), "data": {}}
    if event is not None:
        content = {
            "type": TOLD.get(event.action, "request.changed"),
            "timestamp": event.at.isoformat(),
            "data": {
                "number": event.public_id,
                "service": event.service_key,
                "state": event.state,
                "version": event.version,
            },
        }
    return {
        "tenant_id": tenant_id,
        "id": message_id,
        "event": EVENT,
        "subject_id": None if event is None else event.subject_id,
        "channel": CHANNEL,
        "recipient": str(hook_id),
        "language": "en",
        "heading": content["type"],
        "body": json.dumps(content),
        "state": "pending",
        "attempts": 0,
        "created_at": now,
        "due_at": now,
    }


@dataclass(frozen=True, slots=True)
class ProgramNews:
    """The errand of the worker: write what happened, and hand on what is due.

    It is done apart from everything else, so that mail and texts wait for nobody's program. An
    answer that takes long, or none, ends a program's turn, and the others have theirs.
    """

    settings: Settings

    def __call__(self, engine: Any, tenant_id: UUID, clock: Callable[[], datetime]) -> int:
        scope = Scope(tenant_id)
        with session_scope(engine, scope) as session:
            gather(session, clock())
        with session_scope(engine, scope) as session:
            now = clock()
            leased = lease(session, now=now, until=now + LEASE, channel=CHANNEL, by_turns=True)
        slow: set[str] = set()
        silent: dict[str, str | None] = {}
        for letter in leased:
            with session_scope(engine, scope) as session:
                leaves = still_leaves(session, letter)
                hook = _target(session, letter.recipient) if leaves else None
            if not leaves:
                continue
            if hook is None:
                outcome = Outcome(letter, Fate.DEAD, "The program is told nothing any more.")
            elif letter.recipient in silent:
                outcome = Outcome(letter, Fate.RETRY, silent[letter.recipient])
            elif letter.recipient in slow:
                outcome = Outcome(letter, Fate.UNTRIED)
            else:
                began = clock()
                outcome = self._post(letter, hook, tenant_id, began)
                if outcome.fate is Fate.RETRY:
                    silent[letter.recipient] = outcome.reason
                elif clock() - began >= SLOW:
                    slow.add(letter.recipient)
            with session_scope(engine, scope) as session:
                if hook is not None and outcome.reason == NO_MORE:
                    # that one: it may have got another address meanwhile
                    end_hook(session, hook.client_id, hook_id=hook.id, why=str(GONE), now=clock())
                note_outcome(session, outcome, now=clock())
        return len(leased)

    def _post(self, letter: Letter, hook: Any, tenant_id: UUID, now: datetime) -> Outcome:
        """Hand one message to a program. No redirect is followed; any 2xx means that it has it."""
        try:
            check_address(hook.address, self.settings.exchange_hosts)
            key = unseal(
                hook.sealed_secret, by=self.settings.secret, tenant_id=tenant_id, row_id=hook.id
            )
        except (AddressRefused, SealBroken) as error:
            # the installation's own setting, which somebody mends
            return Outcome(letter, Fate.RETRY, error.message)
        body = letter.body.encode()
        headers = sign(letter.key, body, key=key, now=now) | {"Content-Type": "application/json"}
        try:
            status, _said = call("POST", hook.address, body, headers)
        except NoAnswer as error:
            return Outcome(letter, Fate.RETRY, f"The program did not answer ({error}).")
        if 200 <= status < 300:
            return Outcome(letter, Fate.SENT)
        if status == GONE:
            return Outcome(letter, Fate.DEAD, NO_MORE)
        return Outcome(letter, Fate.RETRY, f"The program refused it ({status}).")


def _target(session: Session, recipient: str) -> Any | None:
    """Where a message to a webhook goes now, None when it is told nothing any more."""
    return session.execute(
        select(
            ProgramHook.id, ProgramHook.client_id, ProgramHook.address, ProgramHook.sealed_secret
        ).where(
            ProgramHook.tenant_id == scope_of(session).tenant_id,
            ProgramHook.id == UUID(recipient),
            ProgramHook.ended_at.is_(None),
            exists().where(
                ApiClient.tenant_id == ProgramHook.tenant_id,
                ApiClient.id == ProgramHook.client_id,
                ApiClient.revoked_at.is_(None),
            ),
        )
    ).one_or_none()


def _end(
    session: TenantSession,
    client_id: UUID,
    why: str,
    now: datetime,
    *,
    hook_id: UUID | None = None,
) -> Any | None:
    send(session)
    done = session.execute(
        update(ProgramHook)
        .where(
            ProgramHook.tenant_id == scope_of(session).tenant_id,
            ProgramHook.client_id == client_id,
            ProgramHook.ended_at.is_(None),
            *(() if hook_id is None else (ProgramHook.id == hook_id,)),
        )
        .values(ended_at=now, ended_why=why or None)
        .returning(ProgramHook.id, ProgramHook.told_until, ProgramHook.made_at)
        .execution_options(synchronize_session=False)
    ).first()
    if done is not None:
        mark_changed(session)
    return done


def _note(
    session: TenantSession, client_id: UUID, action: str, now: datetime, detail: dict[str, Any]
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="client",
        subject_id=client_id,
        detail=detail,
    )
