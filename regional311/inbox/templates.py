"""Templates of answers: words with a few places to fill in, checked before they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from string import Formatter
from typing import Final
from uuid import UUID

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.locking import locked
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput
from regional311.inbox.letters import clean
from regional311.inbox.models import CHANNELS, AnswerTemplate

PLACES: Final = ("name", "number", "partner", "line", "me")
"""What can be filled in: the person's name, the thread's number, ours, and who answers."""
LONGEST_NAME: Final = 100
LONGEST: Final = 10_000


def check_text(text: str, places: Sequence[str] = PLACES) -> None:
    """Refuse places that nothing fills. Raises `InvalidInput` that names the first of them.

    >>> check_text("Dear {name}, thank you. {{as it is}}")
    """
    allowed = ", ".join(f"{{{each}}}" for each in places)
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        raise InvalidInput(
            f"A brace stands alone. Places are {allowed}; a brace itself is written twice.",
            field="text",
        ) from None
    for _words, place, form, conversion in parts:
        if place is not None and (place not in places or form or conversion):
            raise InvalidInput(
                f"{{{place}}} is no place that can be filled in. Places are {allowed}.",
                field="text",
            )


def filled(text: str, values: Mapping[str, str], places: Sequence[str] = PLACES) -> str:
    """Fill a template's places; one without a value is left empty.

    >>> filled("Hello {name}!", {"name": "Ana"})
    'Hello Ana!'
    """
    return text.format(**{each: values.get(each, "") for each in places})


def keep(
    session: TenantSession,
    *,
    template_id: UUID | None,
    version: int | None,
    name: str,
    language: str,
    channel: str | None,
    text: str,
    now: datetime,
) -> UUID:
    """Add a template, or change one. Raises `InvalidInput`, `Stale`, `NotFound`."""
    if channel is not None and channel not in CHANNELS:
        raise InvalidInput("Choose one of the channels listed.", field="channel")
    return write(
        session,
        row_id=template_id,
        version=version,
        name=name,
        text=text,
        places=PLACES,
        longest=LONGEST,
        now=now,
        language=language,
        channel=channel,
    )


def write(
    session: TenantSession,
    *,
    row_id: UUID | None,
    version: int | None,
    name: str,
    text: str,
    places: Sequence[str],
    longest: int,
    now: datetime,
    **more: str | None,
) -> UUID:
    """Add a row with words that have these places, or change one; `more` are its other columns.

    Raises `InvalidInput`, `Stale`, `NotFound`.
    """
    words = clean(text).strip()
    if not name.strip() or len(name.strip()) > LONGEST_NAME:
        raise InvalidInput(f"Give it a name of at most {LONGEST_NAME} characters.", field="name")
    if not words or len(words) > longest:
        raise InvalidInput(f"Write something, at most {longest} characters.", field="text")
    check_text(words, places)
    scope = scope_of(session)
    values = {"name": name.strip(), "text": words, **more}
    if row_id is None:
        made = new_id()
        put(
            session,
            new_row(
                AnswerTemplate,
                tenant_id=scope.tenant_id,
                id=made,
                **values,
                changed_at=now,
                changed_by=scope.person_id,
                version=1,
            ),
        )
    else:
        made = row_id
        row = locked(session, AnswerTemplate, row_id, version, values, "template")
        for field, value in values.items():
            setattr(row, field, value)
        row.changed_at, row.changed_by = now, scope.person_id
        session.flush()
    _note(session, "template:keep", made, now)
    return made


def end(session: TenantSession, template_id: UUID, *, ended: bool, now: datetime) -> None:
    """Offer a template no more, or again."""
    row = locked(session, AnswerTemplate, template_id, None, {}, "template")
    row.ended_at = now if ended else None
    session.flush()
    _note(session, "template:end" if ended else "template:restore", template_id, now)


def _note(session: TenantSession, action: str, template_id: UUID, now: datetime) -> None:
    record(session, now=now, action=action, subject_kind="template", subject_id=template_id)
