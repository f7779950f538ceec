"""Threads of one person on one channel, and their messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import TENANT, Base, RowId, TenantId, tenant_reference

CHANNELS = ("email", "text", "chat")
STATES = ("new", "claimed", "waiting", "done")
DIRECTIONS = ("in", "out")
HOOKS = ("texts", "calls")


def _among(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


class Thread(Base):
    """What one person and a partner write each other on one channel.

    Each time it begins anew it has a contact of its own; automatic mail begins none.
    """

    __tablename__ = "threads"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        tenant_reference("contacts", "contact_id"),
        CheckConstraint(_among("channel", CHANNELS), name="channel_known"),
        CheckConstraint(_among("state", STATES), name="state_known"),
        CheckConstraint(
            "(state IN ('claimed', 'waiting')) = (claimed_by IS NOT NULL)", name="claimed_by_one"
        ),
        Index(None, "tenant_id", "state", "waiting_since", "id"),
        Index(None, "tenant_id", "channel", "address"),
        Index(None, "tenant_id", "contact_id"),
        Index(
            "ix_threads_danger",
            "tenant_id",
            "last_at",
            postgresql_where=text("danger IS NOT NULL"),
        ),
        Index(
            "ix_threads_chat",
            "tenant_id",
            "secret_hash",
            postgresql_where=text("secret_hash IS NOT NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    channel: Mapped[str]
    line_key: Mapped[str]
    address: Mapped[str | None]
    """E-mail address in lower case, or telephone number as E.164; a chat has none."""
    name: Mapped[str | None]
    subject: Mapped[str | None]
    language: Mapped[str] = mapped_column(default="en")
    state: Mapped[str] = mapped_column(default="new")
    """new (nobody has it), claimed, waiting (for the person), done."""
    claimed_by: Mapped[UUID | None]
    contact_id: Mapped[UUID | None]
    """The contact of what is being asked now; none for automatic mail."""
    danger: Mapped[str | None]
    """The sign of danger that its words point at, until somebody has settled it."""
    confidential: Mapped[bool] = mapped_column(default=False)
    automatic: Mapped[str | None]
    """Why it is taken for automatic mail, which nobody needs to answer."""
    began_at: Mapped[datetime]
    waiting_since: Mapped[datetime]
    """Since when the person waits for us, or we for the person."""
    acted_at: Mapped[datetime | None]
    """When somebody last claimed or answered: work is counted from there."""
    last_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    undeliverable_at: Mapped[datetime | None]
    """When it was said that our answers do not arrive."""
    stopped_at: Mapped[datetime | None]
    """Since when the person wants no more texts: they sent STOP."""
    handled_seconds: Mapped[int] = mapped_column(default=0)
    closings: Mapped[int] = mapped_column(default=0)
    """How often its contact was ended; each is work of its own revision."""
    erased_at: Mapped[datetime | None]
    """When its words and who wrote them were forgotten, because their time was up."""
    secret_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The link of a chat, as a hash."""
    before: Mapped[dict[str, Any] | None]
    """What the last step changed, while it can be taken back."""
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda v: (v or 0) + 1}


class ThreadMessage(Base):
    """One message of a thread, word for word; the id of one of ours is that of its outbox row."""

    __tablename__ = "thread_messages"
    __table_args__ = (
        UniqueConstraint("tenant_id", "external_key"),
        tenant_reference("threads", "thread_id"),
        tenant_reference("contacts", "contact_id"),
        CheckConstraint(_among("direction", DIRECTIONS), name="direction_known"),
        Index(None, "tenant_id", "thread_id", "id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    thread_id: Mapped[UUID]
    contact_id: Mapped[UUID | None]
    direction: Mapped[str]
    at: Mapped[datetime]
    author_id: Mapped[UUID | None]
    """Who of us wrote it; none when the person or a machine did."""
    sender: Mapped[str | None]
    """From where it came, when that is not the thread's own address."""
    subject: Mapped[str | None]
    text: Mapped[str]
    external_key: Mapped[str | None]
    """What makes it come once: the channel and the sender's own id of it."""
    signs: Mapped[list[str]] = mapped_column(default=list)
    """Signs of danger in its words."""
    automatic: Mapped[str | None]
    left_out: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """Files that came along and were not taken, each with its name and why."""
    files: Mapped[int] = mapped_column(default=0)
    """How many files were kept: attachments of this message, named 1, 2, ..."""


class Call(Base):
    """A call as a telephone system tells of it, until it is a contact or is called back."""

    __tablename__ = "calls"
    __table_args__ = (
        UniqueConstraint("tenant_id", "call_key"),
        tenant_reference("contacts", "contact_id"),
        CheckConstraint("rings IN ('here', 'beside', 'lent', 'elsewhere')", name="rings_known"),
        Index(None, "tenant_id", "contact_id"),
        Index(
            "ix_calls_open",
            "tenant_id",
            "rang_at",
            postgresql_where=text("contact_id IS NULL AND settled_at IS NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    call_key: Mapped[str]
    """The telephone system's own id of it."""
    line_key: Mapped[str]
    caller: Mapped[str | None]
    """As E.164; none when it is withheld."""
    rang_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    contact_id: Mapped[UUID | None]
    settled_at: Mapped[datetime | None]
    """When somebody called back whom nobody had answered, or left it at that."""
    settled_by: Mapped[UUID | None]
    line_owner_id: Mapped[UUID | None]
    """Whose line it is, where this partner answers for another; none for its own."""
    rings: Mapped[str] = mapped_column(default="here", server_default="here")
    """`here`: at every desk of this partner, which calls back, too; `beside`: at every desk, beside
    its owner's; `lent`: at those who are lent to its owner; or `elsewhere`: only at others."""
    others: Mapped[list[UUID]] = mapped_column(
        ARRAY(Uuid()), default=list, server_default=text("'{}'")
    )
    """On the row of the line's owner: the other partners that have a row of it."""


class HookSecret(Base):
    """The secret by which what brings a partner texts, or tells of its calls, signs."""

    __tablename__ = "hook_secrets"
    __table_args__ = (
        CheckConstraint(_among("hook", HOOKS), name="hook_known"),
        Index(
            "ix_hook_secrets_one",
            "tenant_id",
            "hook",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    hook: Mapped[str]
    sealed_secret: Mapped[str]
    sealed_former: Mapped[str | None]
    """The secret before, good until `former_until`."""
    former_until: Mapped[datetime | None]
    made_at: Mapped[datetime]
    made_by: Mapped[UUID | None]
    revoked_at: Mapped[datetime | None]
