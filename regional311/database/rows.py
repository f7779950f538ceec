"""New rows are buffered and leave together, in one statement.

A use case touches many tables: a contact, its need, the decision, a request, a usage event, the
audit trail, the outbox. Sent one by one each costs a round trip; `put` collects them and `send`
writes all of them as one data-modifying statement. It goes out by itself before the next read, at
a switch of tenant and at commit, so no caller has to think of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache, lru_cache, partial
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import Table, event, inspect, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import ORMExecuteState, Session

from regional311.database.base import Base
from regional311.database.session import TenantSession, mark_changed, scope_of, tell
from regional311.errors import DomainError

_PLAIN = orjson.OPT_PASSTHROUGH_DATACLASS
"""Ranges are dataclasses, and are spelled as PostgreSQL reads them instead."""


_TO_BE_MADE: Final = object()
"""Stands for what a column's default makes anew for each row."""


class WrongTenant(DomainError):
    """A row of one tenant was about to be written in the scope of another."""


_New = TypeVar("_New", bound=Base)


def new_row(model: type[_New], /, **values: Any) -> _New:
    """Make a row for `put` and nothing else, without the bookkeeping of a loaded object.

    That takes a tenth of the time of the model's own constructor. Raises `TypeError` for a column
    that the table does not have.
    """
    unknown = values.keys() - _names(model)
    if unknown:
        raise TypeError(f"{model.__name__} has no column {', '.join(sorted(unknown))}")
    made = model.__new__(model)
    made.__dict__.update(values)
    return made


def put(session: TenantSession, *objects: Base) -> None:
    """Buffer new rows, given as transient model objects of any tables, in any order.

    Columns that were not set take the model's default, or null. Raises `WrongTenant` at once for
    a row that belongs to another tenant (envelopes excepted: their tenant is the receiver).
    """
    buffer: dict[Table, list[dict[str, Any]]] = session.info.setdefault("buffered_rows", {})
    tenant_id = scope_of(session).tenant_id
    for new in objects:
        table, usual, made = _columns(type(new))
        row = usual | new.__dict__
        row.pop("_sa_instance_state", None)
        for name, default in made:
            if row[name] is _TO_BE_MADE:
                row[name] = default()
        if row.get("tenant_id", tenant_id) != tenant_id and table.info["kind"] != "envelope":
            raise WrongTenant(f"A row of {table.name} belongs to another partner.")
        buffer.setdefault(table, []).append(row)
    # joining the transaction manager must happen now: at commit it would be too late
    mark_changed(session)


def send(session: TenantSession) -> None:
    """Write all buffered rows in one statement; nothing happens when there are none."""
    buffer: dict[Table, list[dict[str, Any]]] | None = session.info.pop("buffered_rows", None)
    if not buffer:
        return
    tables = tuple(sorted(buffer, key=lambda table: table.name))
    written = (orjson.dumps(buffer[table], _as_json, _PLAIN).decode() for table in tables)
    tell(session, _statement(tables), *written)
    mark_changed(session)


def rewrite(session: TenantSession, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Change rows of one table of the bound tenant in one statement.

    Each gives `id` and the new values of the same columns; ids that are not there change nothing.
    """
    if not rows:
        return
    send(session)
    table = _columns(model)[0]
    names = [name for name in rows[0] if name != "id"]
    values = ", ".join(f'"{name}" = n."{name}"' for name in names)
    session.connection().execute(
        text(
            f"UPDATE {table.name} AS t SET {values}"
            f" FROM json_populate_recordset(NULL::{table.name}, CAST(:rows AS json)) AS n"
            " WHERE t.tenant_id = :tenant AND t.id = n.id"
        ),
        {
            "rows": orjson.dumps([dict(row) for row in rows], _as_json, _PLAIN).decode(),
            "tenant": scope_of(session).tenant_id,
        },
    )
    mark_changed(session)


def discard(session: TenantSession) -> None:
    """Forget what is buffered, because its transaction is being given up."""
    session.info.pop("buffered_rows", None)


def buffered(session: TenantSession, model: type[Base]) -> list[dict[str, Any]]:
    """Return the rows of one table that have not left yet."""
    table = _columns(model)[0]
    return list(session.info.get("buffered_rows", {}).get(table, ()))


@cache
def _names(model: type[Base]) -> frozenset[str]:
    return frozenset(_columns(model)[1])


@cache
def _columns(
    model: type[Base],
) -> tuple[Table, dict[str, Any], tuple[tuple[str, Callable[[], Any]], ...]]:
    """The table, what its columns hold when nothing was said, and what is made for each row."""
    table = inspect(model).local_table
    assert isinstance(table, Table)
    usual: dict[str, Any] = {}
    made = []
    for column in table.columns:
        if column.computed is not None:
            continue
        value = None if column.default is None else column.default.arg
        if callable(value):
            made.append((column.name, partial(value, None)))
            value = _TO_BE_MADE
        usual[column.name] = value
    return table, usual, tuple(made)


@lru_cache(maxsize=256)
def _statement(tables: tuple[Table, ...]) -> bytes:
    parts = []
    for place, table in enumerate(tables, 1):
        names = ", ".join(f'"{column.name}"' for column in table.columns if column.computed is None)
        parts.append(
            f"INSERT INTO {table.name} ({names}) SELECT {names} "
            f"FROM json_populate_recordset(NULL::{table.name}, CAST(${place} AS json))"
        )
    *others, last = parts
    also = ", ".join(f"w{place} AS ({part})" for place, part in enumerate(others))
    return (f"WITH {also} {last}" if also else last).encode()


def _as_json(value: Any) -> Any:
    match value:
        case Decimal():
            return str(value)
        case bytes():
            return "\\x" + value.hex()
        case Range():
            lower = "" if value.lower is None else value.lower.isoformat()
            upper = "" if value.upper is None else value.upper.isoformat()
            return f"{value.bounds[0]}{lower},{upper}{value.bounds[1]}"
        case set() | frozenset() | tuple():
            return list(value)
    raise TypeError(f"cannot store a {type(value).__name__}")


@event.listens_for(TenantSession, "do_orm_execute")
def _send_before_read(state: ORMExecuteState) -> None:
    if isinstance(state.session, TenantSession):
        send(state.session)


@event.listens_for(TenantSession, "before_flush")
def _send_before_flush(session: Session, *_: Any) -> None:
    if isinstance(session, TenantSession):
        send(session)


@event.listens_for(TenantSession, "before_commit")
def _send_before_commit(session: Session) -> None:
    if isinstance(session, TenantSession):
        send(session)


@event.listens_for(TenantSession, "after_soft_rollback")
def _forget_at_rollback(session: Session, *_: Any) -> None:
    if isinstance(session, TenantSession):
        discard(session)
