"""Suggestions: what somebody says that a field should say, approved or declined by its owner.

A specialist's goes from partner to partner by an envelope and becomes a row on each side; who wrote
it stays with their own partner. A visitor's goes to the owner straight away, with an e-mail address
when they want to be thanked, which is emptied as soon as that is done. What was written is data: it
is shown as text, and nothing of it is published but what the owner approves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, func, or_, select, update

from regional311.audit.service import record
from regional311.catalog import versions
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.exchange import service as exchange
from regional311.keeping.fields import kind_of, with_text
from regional311.keeping.models import Suggestion
from regional311.notices.service import Translate, outbox_row, withdraw

LONGEST: Final = 4000
AN_HOUR: Final = timedelta(hours=1)
A_DAY: Final = timedelta(days=1)
MOST_AN_HOUR: Final = 10
"""Suggestions that one visitor sends to one partner within an hour."""
MOST_A_DAY: Final = 300
"""Suggestions that all visitors together send to one partner within a day."""

_TABLE: Final = Suggestion.__table__


class SuggestionRefused(InvalidInput):
    """What was written is no suggestion about a field."""


class TooMany(Conflict):
    """More came from visitors than anybody can read."""


class Decided(Conflict):
    """The suggestion was approved or declined already."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants a field to say; `language` is that of a translation."""

    kind: str
    key: str
    name: str
    """What the entry is called."""
    field: str
    said: str
    wanted: str
    reason: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Thanks:
    """What a letter of thanks says: names of the field and its owner, and a link."""

    field: str
    partner: str
    address: str
    translate: Translate


def suggest(
    session: TenantSession,
    owner_id: UUID,
    wish: Wish,
    *,
    now: datetime,
    written_in: str,
) -> UUID:
    """Send a specialist's suggestion to the owner of an entry; give its id on both sides.

    Raises `InvalidInput` for a field that such an entry does not have, or an empty wish.
    """
    _check(wish)
    scope = scope_of(session)
    suggestion_id = new_id()
    own = owner_id == scope.tenant_id
    values = {**_wish_values(wish), "written_in": written_in, "owner_id": owner_id}
    _insert(
        session,
        suggestion_id,
        now,
        **values,
        from_tenant_id=scope.tenant_id,
        person_id=scope.person_id,
    )
    _record(session, "send", suggestion_id, wish, now)
    if own:
        return suggestion_id
    exchange.tell(
        session,
        to=owner_id,
        kind=exchange.SUGGESTION,
        subject_id=suggestion_id,
        payload={**_wish_values(wish), "written_in": written_in},
        now=now,
    )
    with acting_for(session, owner_id):
        _insert(session, suggestion_id, now, **values, from_tenant_id=scope.tenant_id)
        _record(session, "receive", suggestion_id, wish, now)
    return suggestion_id


def suggest_as_visitor(
    session: TenantSession,
    wish: Wish,
    *,
    now: datetime,
    written_in: str,
    email: str | None,
    sender_digest: str,
) -> UUID:
    """Take a visitor's suggestion about an entry of the bound partner; give its id.

    Raises `TooMany` for a flood, `InvalidInput` as `suggest` does.
    """
    _check(wish)
    _refuse_flood(session, sender_digest, now)
    suggestion_id = new_id()
    _insert(
        session,
        suggestion_id,
        now,
        **_wish_values(wish),
        owner_id=scope_of(session).tenant_id,
        written_in=written_in,
        email=email,
        sender_digest=sender_digest,
    )
    _record(session, "receive", suggestion_id, wish, now)
    return suggestion_id


def approve(
    session: TenantSession,
    suggestion_id: UUID,
    text: str,
    *,
    publish: bool,
    today: date,
    now: datetime,
    thanks: Thanks,
) -> versions.Saved:
    """Let a field say a text: published at once, or a draft where the person may not publish.

    `text` is what the owner made of the suggestion. Raises `Decided`, `fields.FieldRefused` for a
    text that the field cannot say, and what `versions.change_published` raises.
    """
    row = _open(session, suggestion_id)
    saved = versions.change_published(
        session,
        row.subject_kind,
        row.subject_key,
        lambda model: with_text(model, row.field, text, row.language),
        publish=publish,
        today=today,
        now=now,
        source="suggestion",
        note=f"Suggested: {row.field}",
    )
    version = saved.number if saved.changed else None
    _decide(session, row, "approved", now, thanks, version=version, answer=None)
    return saved


def settle(
    session: TenantSession,
    suggestion_id: UUID,
    *,
    answer: str | None,
    now: datetime,
    thanks: Thanks,
) -> None:
    """Say that what was suggested is taken over by hand, or was so already."""
    row = _open(session, suggestion_id)
    _decide(session, row, "approved", now, thanks, version=None, answer=answer)


def decline(
    session: TenantSession,
    suggestion_id: UUID,
    *,
    answer: str,
    now: datetime,
    thanks: Thanks,
) -> None:
    """Leave the field as it is; the writer is told why."""
    row = _open(session, suggestion_id)
    if not answer.strip():
        raise InvalidInput("Say why, so that whoever wrote it can understand.", field="answer")
    _decide(session, row, "declined", now, thanks, version=None, answer=answer.strip())


def erase(session: TenantSession, suggestion_id: UUID, *, now: datetime) -> None:
    """Empty everything that the writer wrote, and their address; that there was one stays.

    Letters to them that have not left are withdrawn, the address is taken off those that have.
    """
    row = _locked(session, suggestion_id)
    if row.erased_at is not None:
        return
    _set(
        session,
        suggestion_id,
        wanted="",
        reason=None,
        email=None,
        sender_digest=None,
        erased_at=now,
    )
    withdraw(session, suggestion_id)
    exchange.erase(session, suggestion_id)
    record(
        session,
        now=now,
        action="suggestion:erase",
        subject_kind="suggestion",
        subject_id=suggestion_id,
        detail={"key": row.subject_key, "field": row.field},
    )


def mark_seen(session: TenantSession, *, now: datetime) -> int:
    """Say that the acting person has read all answers to what they wrote; say how many."""
    scope = scope_of(session)
    send(session)
    found = session.execute(
        update(Suggestion)
        .where(
            Suggestion.tenant_id == scope.tenant_id,
            Suggestion.person_id == scope.person_id,
            Suggestion.state != "new",
            Suggestion.seen_at.is_(None),
        )
        .values(seen_at=now)
        .returning(Suggestion.id),
        execution_options={"synchronize_session": False},
    ).all()
    mark_changed(session)
    return len(found)


def forget_senders(session: TenantSession, *, now: datetime) -> int:
    """Empty the digests of visitors' addresses after a day; say how many."""
    found = session.execute(
        update(Suggestion)
        .where(
            Suggestion.tenant_id == scope_of(session).tenant_id,
            Suggestion.sender_digest.is_not(None),
            Suggestion.made_at < now - A_DAY,
        )
        .values(sender_digest=None)
        .returning(Suggestion.id),
        execution_options={"synchronize_session": False},
    ).all()
    if found:
        mark_changed(session)
    return len(found)


def _check(wish: Wish) -> None:
    if kind_of(wish.kind, wish.field) is None:
        raise SuggestionRefused("Choose one of the fields listed.", field="field")
    if not wish.wanted.strip():
        raise SuggestionRefused("Say what it should say.", field="wanted")
    if wish.wanted.strip() == wish.said.strip():
        raise SuggestionRefused("That is what it says now.", field="wanted")
    if max(len(wish.wanted), len(wish.reason or "")) > LONGEST:
        raise SuggestionRefused("Say it in fewer words.", field="wanted")


def _refuse_flood(session: TenantSession, sender_digest: str, now: datetime) -> None:
    within = Suggestion.made_at > now - AN_HOUR
    mine, every = session.execute(
        select(
            func.count().filter(within, Suggestion.sender_digest == sender_digest),
            func.count(),
        ).where(
            Suggestion.tenant_id == scope_of(session).tenant_id,
            Suggestion.from_tenant_id.is_(None),
            Suggestion.made_at > now - A_DAY,
            or_(Suggestion.state == "new", within),
        )
    ).one()
    if mine >= MOST_AN_HOUR:
        raise TooMany("That is a lot within one hour. Thank you; please go on a little later.")
    if every >= MOST_A_DAY:
        raise TooMany("So much came today that nobody can read it. Please try again tomorrow.")


def _wish_values(wish: Wish) -> dict[str, Any]:
    return {
        "subject_kind": wish.kind,
        "subject_key": wish.key,
        "subject_name": wish.name,
        "field": wish.field,
        "language": wish.language,
        "said": wish.said,
        "wanted": wish.wanted.strip(),
        "reason": (wish.reason or "").strip() or None,
    }


def _insert(session: TenantSession, suggestion_id: UUID, now: datetime, **values: Any) -> None:
    put(
        session,
        Suggestion(
            tenant_id=scope_of(session).tenant_id,
            id=suggestion_id,
            state="new",
            made_at=now,
            **values,
        ),
    )


def _record(
    session: TenantSession, verb: str, suggestion_id: UUID, wish: Wish, now: datetime
) -> None:
    record(
        session,
        now=now,
        action=f"suggestion:{verb}",
        subject_kind="suggestion",
        subject_id=suggestion_id,
        detail={"key": wish.key, "field": wish.field},
    )


def _locked(session: TenantSession, suggestion_id: UUID) -> Row[Any]:
    me = scope_of(session).tenant_id
    row = session.execute(
        select(_TABLE)
        .where(_TABLE.c.tenant_id == me, _TABLE.c.id == suggestion_id, _TABLE.c.owner_id == me)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such suggestion.")
    return row


def _open(session: TenantSession, suggestion_id: UUID) -> Row[Any]:
    row = _locked(session, suggestion_id)
    if row.state != "new":
        raise Decided("Somebody decided this suggestion already.")
    return row


def _decide(
    session: TenantSession,
    row: Row[Any],
    state: str,
    now: datetime,
    thanks: Thanks,
    *,
    version: int | None,
    answer: str | None,
) -> None:
    scope = scope_of(session)
    if row.email:
        put(
            session,
            outbox_row(
                scope.tenant_id,
                event=f"suggestion_{state}",
                recipient=row.email,
                language=row.written_in,
                now=now,
                subject_id=row.id,
                values={
                    "service": row.subject_name,
                    "field": thanks.translate(thanks.field, row.written_in),
                    "partner": thanks.partner,
                    "message": answer or "",
                    "address": thanks.address,
                },
                translate=thanks.translate,
            ),
        )
    outcome = {"state": state, "answer": answer, "decided_at": now}
    _set(
        session,
        row.id,
        **outcome,
        version=version,
        decided_by=scope.person_id,
        email=None,
        sender_digest=None,
    )
    record(
        session,
        now=now,
        action=f"suggestion:{'approve' if state == 'approved' else 'decline'}",
        subject_kind="suggestion",
        subject_id=row.id,
        detail={"key": row.subject_key, "field": row.field, "version": version},
    )
    if row.from_tenant_id in (None, scope.tenant_id):
        return
    exchange.tell(
        session,
        to=row.from_tenant_id,
        kind=exchange.SUGGESTION_ANSWER,
        subject_id=row.id,
        payload={"state": state, "answer": answer},
        now=now,
    )
    with acting_for(session, row.from_tenant_id):
        _set(session, row.id, **outcome)


def _set(session: TenantSession, suggestion_id: UUID, **values: Any) -> None:
    send(session)
    session.execute(
        update(Suggestion)
        .where(Suggestion.tenant_id == scope_of(session).tenant_id, Suggestion.id == suggestion_id)
        .values(values),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)
