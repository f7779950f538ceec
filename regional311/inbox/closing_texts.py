"""Texts for closing requests: what a partner says of an outcome, by service and language.

They lie beside the templates of answers and are written in the same way, with places of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, or_, select

from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput
from regional311.inbox.models import AnswerTemplate
from regional311.inbox.templates import filled, write
from regional311.intake import lifecycle
from regional311.intake.models import Contact, Inquirer

PLACES: Final = ("number", "service", "partner", "place", "opened", "closed")
"""What can be filled in: the request's number, what was asked for, ours, where, and the days."""
LONGEST: Final = 2000
"""As long as the words for the person may be."""


@dataclass(frozen=True, slots=True)
class ClosingText:
    """A text for closing; for every service, or with every outcome, where that is empty."""

    id: UUID
    name: str
    language: str
    service_key: str | None
    resolution: str | None
    text: str
    ended_at: datetime | None


def closing_texts(
    session: TenantSession, *, service_key: str | None = None, ended: bool = False
) -> list[ClosingText]:
    """Give the partner's texts by name, or those for one service. One statement."""
    asked = select(*(getattr(AnswerTemplate, each.name) for each in fields(ClosingText))).where(
        AnswerTemplate.tenant_id == scope_of(session).tenant_id,
        AnswerTemplate.purpose == "closing",
        AnswerTemplate.ended_at.is_not(None) if ended else AnswerTemplate.ended_at.is_(None),
    )
    if service_key is not None:
        asked = asked.where(
            or_(AnswerTemplate.service_key.is_(None), AnswerTemplate.service_key == service_key)
        )
    asked = asked.order_by(AnswerTemplate.name, AnswerTemplate.language, AnswerTemplate.id)
    return [ClosingText(*tuple(row)) for row in session.execute(asked)]


def offered(texts: Iterable[ClosingText], language: str) -> list[ClosingText]:
    """Order texts as they are offered: the person's language first, then those for the service.

    >>> def text(name, language, service=None):
    ...     return ClosingText(UUID(int=1), name, language, service, None, "", None)
    >>> texts = [text("All", "en"), text("Hole", "en", "hole"), text("Todo", "es")]
    >>> [each.name for each in offered(texts, "es")]
    ['Todo', 'Hole', 'All']
    """
    return sorted(texts, key=lambda each: (each.language != language, each.service_key is None))


def person_language(
    session: TenantSession, *, inquirer_id: UUID | None, contact_id: UUID | None
) -> str:
    """Give the language of who asked: theirs, else that of the contact, else English."""
    tenant_id = scope_of(session).tenant_id
    own = (
        select(Inquirer.language)
        .where(Inquirer.tenant_id == tenant_id, Inquirer.id == inquirer_id)
        .scalar_subquery()
    )
    heard = (
        select(Contact.language)
        .where(Contact.tenant_id == tenant_id, Contact.id == contact_id)
        .scalar_subquery()
    )
    found: str = session.execute(select(func.coalesce(own, heard, "en"))).scalar_one()
    return found


def words_of(text: ClosingText, values: Mapping[str, str]) -> str:
    """Fill a text's places."""
    return filled(text.text, values, PLACES)


def keep(
    session: TenantSession,
    *,
    text_id: UUID | None,
    version: int | None,
    name: str,
    language: str,
    service_key: str | None,
    resolution: str | None,
    text: str,
    now: datetime,
) -> UUID:
    """Add a text, or change one. Raises `InvalidInput`, `Stale`, `NotFound`."""
    if resolution is not None and resolution not in lifecycle.RESOLUTIONS:
        raise InvalidInput("Choose one of the outcomes listed.", field="resolution")
    return write(
        session,
        row_id=text_id,
        version=version,
        name=name,
        text=text,
        places=PLACES,
        longest=LONGEST,
        now=now,
        purpose="closing",
        language=language,
        service_key=service_key,
        resolution=resolution,
    )
