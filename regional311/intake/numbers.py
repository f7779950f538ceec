"""The public numbers of contacts, for pages that know them by id only."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from regional311.database.session import scope_of
from regional311.intake.models import Contact


def contact_numbers(session: Session, contact_ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """The public numbers of this partner's contacts by id: one statement, none for nothing."""
    wanted = {each for each in contact_ids if each is not None}
    if not wanted:
        return {}
    rows = session.execute(
        select(Contact.id, Contact.public_id).where(
            Contact.tenant_id == scope_of(session).tenant_id, Contact.id.in_(sorted(wanted))
        )
    )
    return {row.id: row.public_id for row in rows}
