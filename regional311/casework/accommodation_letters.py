"""Letters about accommodations: that there is something, where, and by when; never what.

Whoever reads over a shoulder, or at a mail server, learns neither who asked for what nor how it was
decided. That stands on the pages to which the letters lead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from regional311.casework.coordinators import Terms
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.identity.permissions import Permissions
from regional311.identity.queries import who_may
from regional311.locale.sentences import in_language
from regional311.notices.service import day_in, outbox_row
from regional311.notices.wording import Wording, usual


@dataclass(frozen=True, slots=True)
class Letters:
    """What a partner's letters are written with; `url` is where the region's pages are."""

    partner: str
    slug: str
    url: str
    terms: Terms = field(default_factory=Terms)
    wording: Wording = usual


def tell_coordinator(
    session: TenantSession,
    letters: Letters,
    row_id: UUID,
    number: str,
    bureau: str | None,
    day: date,
    *,
    event: str = "accommodation_new",
    task: str = "",
    lead: bool = False,
    now: datetime,
) -> int:
    """Tell whoever coordinates it what must be done by when; say how many were told.

    `lead`: who coordinates the whole partner hears it, too. Where nobody is named who could be
    written to, those who can name somebody are told that.
    """
    terms = letters.terms
    both = (terms.coordinator(bureau), terms.whole if lead else None)
    people = {each.email: None for each in both if each is not None and each.email}
    address = f"{letters.url}/{letters.slug}/accommodations/{number}"
    if not people:
        event = "accommodation_unplaced"
        people = {each.email: None for each in who_may(session, Permissions.SETTINGS_EDIT)}
        address = f"{letters.url}/{letters.slug}/settings/accommodation"
    for email in people:
        put(
            session,
            outbox_row(
                scope_of(session).tenant_id,
                event=event,
                recipient=email,
                language="en",
                now=now,
                subject_id=row_id,
                values={
                    "number": number,
                    "partner": letters.partner,
                    "day": day_in(day, "en"),
                    "task": task,
                },
                address=address,
            ),
        )
    return len(people)


def tell_person(
    session: TenantSession,
    letters: Letters,
    row: Any,
    event: str,
    *,
    day: date | None = None,
    now: datetime,
) -> None:
    """Tell the person, in their language and if they gave an address, that there is news."""
    if not row.email:
        return
    link = f"{letters.url}/accommodation/{letters.slug}/{row.link_token}" if row.link_token else ""
    put(
        session,
        outbox_row(
            row.tenant_id,
            event=event,
            recipient=row.email,
            language=row.language,
            now=now,
            subject_id=row.id,
            values={
                "number": row.public_id,
                "partner": letters.partner,
                "day": day_in(day, row.language),
            },
            address=link,
            translate=in_language,
            wording=letters.wording,
        ),
    )
