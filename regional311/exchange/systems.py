"""The outside systems of partners: set up, checked, used, ended; secrets shown once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.exchange.models import ExchangeReceipt, ExchangeTask, ExternalSystem
from regional311.exchange.sealing import SealBroken, new_secret, seal, secret_bytes, unseal
from regional311.exchange.signing import Claim, Message, SignatureRefused, claim, verify
from regional311.exchange.transport import check_address

WAYS: Final = ("push", "they_poll", "we_poll")
RETRIES: Final = 12
FORMER_GOOD: Final = timedelta(days=1)
"""How long what comes in may still be signed with a secret that was replaced."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.ASCII)


class ConnectedAlready(Conflict):
    """This partner has a system already; end it before another is set up."""


@dataclass(frozen=True, slots=True)
class System:
    """A connection as its partner's administrators see it; the secret is never among it."""

    id: UUID
    name: str
    way: str
    address: str | None
    key_id: str
    known_as: str
    services: Mapping[str, str]
    made_at: datetime
    ended_at: datetime | None
    waits_for_secret: bool
    gathered_at: datetime
    cursor: datetime | None
    polled_at: datetime | None
    told_at: datetime | None
    heard_at: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection with the secret that signs for it."""

    system: System
    secret: bytes
    former: bytes | None = None
    """The secret before, which what comes in may be signed with until `former_until`."""
    former_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """How much of a connection is told, waits, or was given up."""

    told: int
    waiting: int
    dead: int
    oldest: datetime | None
    """Since when the first that waits has waited."""


_COMPUTED: Final[Mapping[str, Any]] = {
    "waits_for_secret": ExternalSystem.sealed_secret.is_(None).label("waits_for_secret")
}


def _columns() -> list[Any]:
    return [
        _COMPUTED[each.name] if each.name in _COMPUTED else getattr(ExternalSystem, each.name)
        for each in fields(System)
    ]


def systems(session: Session) -> list[System]:
    """Give this partner's connections, the current one first: one statement."""
    rows = session.execute(
        select(*_columns())
        .where(ExternalSystem.tenant_id == scope_of(session).tenant_id)
        .order_by(ExternalSystem.ended_at.desc().nulls_first(), ExternalSystem.made_at.desc())
    )
    return [System(*row) for row in rows]


def queue(session: Session, system_id: UUID) -> Queue:
    """Count the tasks of a connection: one statement."""
    row = session.execute(
        select(
            func.count().filter(ExchangeTask.state == "told"),
            func.count().filter(ExchangeTask.state == "waiting"),
            func.count().filter(ExchangeTask.state == "dead"),
            func.min(ExchangeTask.changed_at).filter(ExchangeTask.state == "waiting"),
        ).where(
            ExchangeTask.tenant_id == scope_of(session).tenant_id,
            ExchangeTask.system_id == system_id,
        )
    ).one()
    return Queue(*row)


def connect(
    session: TenantSession,
    *,
    name: str,
    way: str,
    address: str | None,
    key_id: str,
    secret: str | None,
    known_as: str,
    services: Mapping[str, str],
    hosts: Sequence[str],
    sealed_by: str,
    now: datetime,
) -> str | None:
    """Set up the system in which the bound partner works; give the secret if one was made for it.

    ``secret`` is the one that the other side made, or None to make one here, which is shown this
    once. Its tasks begin with the referrals that are open now.

    :raises InvalidInput: naming the field: name, way, address, key_id, secret, known_as.
    :raises ConnectedAlready: when there is a connection that has not ended.
    """
    checked = _checked(name, way, address, key_id, known_as, services)
    if checked["address"] is not None:
        check_address(checked["address"], hosts)
    made = None if secret else new_secret()
    system_id = new_id()
    sealed = seal(
        secret_bytes(secret or made or ""),
        by=sealed_by,
        tenant_id=scope_of(session).tenant_id,
        row_id=system_id,
    )
    _make(session, system_id, {**checked, "sealed_secret": sealed}, now)
    return made


def prepare(
    session: TenantSession,
    *,
    name: str,
    way: str,
    address: str | None,
    key_id: str,
    known_as: str,
    services: Mapping[str, str],
    now: datetime,
) -> UUID:
    """Set up a connection without its secret: it waits until somebody makes or enters one.

    Whether its host is allowed shows when it is asked. Raises as :func:`connect`.
    """
    system_id = new_id()
    checked = _checked(name, way, address, key_id, known_as, services)
    _make(session, system_id, {**checked, "sealed_secret": None}, now)
    return system_id


def amend(
    session: TenantSession,
    system_id: UUID,
    *,
    name: str,
    way: str,
    address: str | None,
    key_id: str,
    known_as: str,
    services: Mapping[str, str],
    now: datetime,
    hosts: Sequence[str] | None = None,
) -> None:
    """Change a connection in place: its secret, its queue and how far it has come stay.

    With ``hosts`` the address is held against what the operator allows. Raises as
    :func:`connect`, and :class:`NotFound` for one that has ended.
    """
    checked = _checked(name, way, address, key_id, known_as, services)
    if checked["address"] is not None and hosts is not None:
        check_address(checked["address"], hosts)
    _change(session, system_id, {**checked, "problem": None})
    told = {"way": way, "address": checked["address"]}
    _audit(session, now, "system:change", system_id, told)


def _checked(
    name: str,
    way: str,
    address: str | None,
    key_id: str,
    known_as: str,
    services: Mapping[str, str],
) -> dict[str, Any]:
    if not name.strip():
        raise InvalidInput("Give the system a name.", field="name")
    if way not in WAYS:
        raise InvalidInput(f"Choose among {', '.join(WAYS)}.", field="way")
    for field, value in (("key_id", key_id), ("known_as", known_as)):
        if _NAME.fullmatch(value) is None:
            raise InvalidInput("Use small letters, digits, dots and dashes.", field=field)
    address = (address or "").strip().rstrip("/") or None
    if way == "they_poll":
        address = None
    elif address is None:
        raise InvalidInput("Give the address at which it is asked.", field="address")
    return {
        "name": name.strip(),
        "way": way,
        "address": address,
        "key_id": key_id,
        "known_as": known_as,
        "services": dict(services),
    }


def _make(
    session: TenantSession, system_id: UUID, values: Mapping[str, Any], now: datetime
) -> None:
    scope = scope_of(session)
    if any(each.ended_at is None for each in systems(session)):
        raise ConnectedAlready("End the connection that there is before making another.")
    put(
        session,
        ExternalSystem(
            tenant_id=scope.tenant_id,
            id=system_id,
            **values,
            made_by=scope.person_id,
            made_at=now,
            gathered_at=now,
        ),
    )
    detail = {"way": values["way"], "address": values["address"]}
    _audit(session, now, "system:connect", system_id, detail)


def change_secret(
    session: TenantSession,
    system_id: UUID,
    secret: str | None,
    *,
    sealed_by: str,
    now: datetime,
    known_to_others: bool = False,
) -> str | None:
    """Replace a connection's secret, by the given one or a new one, which is given.

    What comes in may be signed with the one before for a day, unless it may be known to others.
    What goes out is signed with the new one; until the other side has it, it is tried again.
    """
    made = None if secret else new_secret()
    sealed = seal(
        secret_bytes(secret or made or ""),
        by=sealed_by,
        tenant_id=scope_of(session).tenant_id,
        row_id=system_id,
    )
    former = None if known_to_others else ExternalSystem.sealed_secret
    until = None if known_to_others else now + FORMER_GOOD
    _change(
        session,
        system_id,
        {"sealed_secret": sealed, "sealed_former": former, "former_until": until},
    )
    _audit(session, now, "system:secret", system_id, {"at_once": known_to_others})
    return made


def end(session: TenantSession, system_id: UUID, *, now: datetime) -> None:
    """End a connection at once: nothing goes out or comes in by it any more."""
    _change(session, system_id, {"ended_at": now})
    _audit(session, now, "system:end", system_id, {})


def retry(session: TenantSession, task_id: UUID, *, now: datetime) -> None:
    """Put a task that was given up back into the queue. Raises :class:`NotFound`."""
    send(session)
    found = session.execute(
        update(ExchangeTask)
        .where(
            ExchangeTask.tenant_id == scope_of(session).tenant_id,
            ExchangeTask.id == task_id,
            ExchangeTask.state == "dead",
        )
        .values(state="waiting", attempts=0, due_at=now, leased_until=None)
        .returning(ExchangeTask.id)
        .execution_options(synchronize_session=False)
    ).first()
    if found is None:
        raise NotFound("There is no such message that was given up.")
    mark_changed(session)
    _audit(session, now, "system:retry", task_id, {})


def opened(session: TenantSession, *, sealed_by: str, lock: bool = False) -> Opened | None:
    """Give the current connection with its secret, or nothing; ``lock`` for gathering.

    One that waits for its secret is as good as none.
    """
    tenant_id = scope_of(session).tenant_id
    query = select(
        *_columns(),
        ExternalSystem.sealed_secret,
        ExternalSystem.sealed_former,
        ExternalSystem.former_until,
    ).where(ExternalSystem.tenant_id == tenant_id, ExternalSystem.ended_at.is_(None))
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None or row.waits_for_secret:
        return None
    *values, sealed, sealed_former, until = row
    system = System(*values)
    former = None
    if sealed_former is not None:
        # one that was sealed by another secret of the installation is good for nothing
        with suppress(SealBroken):
            former = unseal(sealed_former, by=sealed_by, tenant_id=tenant_id, row_id=system.id)
    secret = unseal(sealed, by=sealed_by, tenant_id=tenant_id, row_id=system.id)
    return Opened(system, secret, former, until)


def heard(
    session: TenantSession,
    message: Message,
    headers: Mapping[str, str],
    *,
    what: str,
    sealed_by: str,
    now: datetime,
) -> System:
    """Check a signed message to the bound partner and note that it came: three statements.

    Whose partner it is, who signed, what was signed, when, and that it never came before.

    :raises SignatureRefused: saying which of these does not hold.
    """
    said = claim(headers)
    found = opened(session, sealed_by=sealed_by)
    if found is None or found.system.key_id != said.key_id:
        raise SignatureRefused("This partner knows no such key.")
    try:
        verify(message, headers, said, secret=found.secret, now=now)
    except SignatureRefused:
        if found.former is None or found.former_until is None or now >= found.former_until:
            raise
        verify(message, headers, said, secret=found.former, now=now)
    _receive(session, found.system, said, what, now)
    return found.system


def _receive(session: TenantSession, system: System, said: Claim, what: str, now: datetime) -> None:
    if not receipt(session, system.id, said.nonce, what, now):
        raise SignatureRefused("This message came before: its nonce was used.")
    note(session, system.id, heard_at=now)


def receipt(
    session: TenantSession,
    system_id: UUID,
    nonce: str,
    what: str,
    now: datetime,
    subject_id: UUID | None = None,
) -> bool:
    """Note that a message came; False when one with this nonce did before."""
    send(session)
    found = session.execute(
        insert(ExchangeReceipt)
        .values(
            tenant_id=scope_of(session).tenant_id,
            id=new_id(),
            system_id=system_id,
            nonce=nonce,
            at=now,
            what=what,
            subject_id=subject_id,
        )
        .on_conflict_do_nothing()
        .returning(ExchangeReceipt.id)
    ).first()
    mark_changed(session)
    return found is not None


def refused_lately(session: Session, system_id: UUID, *, limit: int = 20) -> list[tuple[Any, ...]]:
    """Give what was fetched and could not be taken, the latest first: (at, what, subject)."""
    rows = session.execute(
        select(ExchangeReceipt.at, ExchangeReceipt.what, ExchangeReceipt.subject_id)
        .where(
            ExchangeReceipt.tenant_id == scope_of(session).tenant_id,
            ExchangeReceipt.system_id == system_id,
            ExchangeReceipt.what.startswith("refused:"),
        )
        .order_by(ExchangeReceipt.at.desc())
        .limit(limit)
    )
    return [tuple(row) for row in rows]


def note(session: TenantSession, system_id: UUID, **values: Any) -> None:
    """Write down how a connection fares."""
    send(session)
    session.execute(
        update(ExternalSystem)
        .where(
            ExternalSystem.tenant_id == scope_of(session).tenant_id, ExternalSystem.id == system_id
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def note_current(session: TenantSession, **values: Any) -> None:
    """Write down how the current connection fares, also when its secret cannot be opened."""
    for each in systems(session):
        if each.ended_at is None:
            note(session, each.id, **values)


def acknowledge(session: TenantSession, system_id: UUID, until: datetime, *, now: datetime) -> None:
    """Take the moment after which another system asks as its word that it has what came before."""
    send(session)
    session.execute(
        update(ExchangeTask)
        .where(
            ExchangeTask.tenant_id == scope_of(session).tenant_id,
            ExchangeTask.system_id == system_id,
            ExchangeTask.changed_at <= until,
            ExchangeTask.state == "waiting",
        )
        .values(state="told", told_version=ExchangeTask.version, told_at=now, problem=None)
        .execution_options(synchronize_session=False)
    )
    note(session, system_id, polled_at=now, told_at=now, problem=None)


def wait_after(attempt: int) -> timedelta | None:
    """How long to wait after a failed attempt: half a minute, doubling to six hours; None gives up.

    >>> [str(wait_after(attempt)) for attempt in (1, 2, 11, 12)]
    ['0:00:30', '0:01:00', '6:00:00', 'None']
    """
    if attempt >= RETRIES:
        return None
    return min(timedelta(seconds=30) * (1 << (attempt - 1)), timedelta(hours=6))


def failed(
    session: TenantSession, task_id: UUID, attempt: int, problem: str, *, final: bool, now: datetime
) -> None:
    """Write that an attempt failed: it is tried again later, or given up."""
    wait = None if final else wait_after(attempt)
    send(session)
    session.execute(
        update(ExchangeTask)
        .where(
            ExchangeTask.tenant_id == scope_of(session).tenant_id,
            ExchangeTask.id == task_id,
            ExchangeTask.state == "waiting",
        )
        .values(
            leased_until=None,
            problem=problem,
            **({"state": "dead"} if wait is None else {"due_at": now + wait}),
        )
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def told(
    session: TenantSession,
    task_id: UUID,
    version: int,
    *,
    now: datetime,
    problem: str | None = None,
) -> None:
    """Write that a version was taken; a later one that came up meanwhile still waits.

    ``problem`` says what of it was not.
    """
    send(session)
    session.execute(
        update(ExchangeTask)
        .where(ExchangeTask.tenant_id == scope_of(session).tenant_id, ExchangeTask.id == task_id)
        .values(
            told_version=func.greatest(ExchangeTask.told_version, version),
            state=case((ExchangeTask.version <= version, "told"), else_="waiting"),
            attempts=0,
            leased_until=None,
            told_at=now,
            problem=problem,
        )
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def _change(session: TenantSession, system_id: UUID, values: dict[str, Any]) -> None:
    send(session)
    found = session.execute(
        update(ExternalSystem)
        .where(
            ExternalSystem.tenant_id == scope_of(session).tenant_id,
            ExternalSystem.id == system_id,
            ExternalSystem.ended_at.is_(None),
        )
        .values(**values)
        .returning(ExternalSystem.id)
        .execution_options(synchronize_session=False)
    ).first()
    if found is None:
        raise NotFound("There is no such connection, or it has ended.")
    mark_changed(session)


def _audit(
    session: TenantSession, now: datetime, action: str, subject_id: UUID, detail: dict[str, Any]
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="system",
        subject_id=subject_id,
        detail=detail,
    )
