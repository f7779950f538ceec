"""Letters about accommodations: that there is something, where, and by when; never what.

Whoever reads over a shoulder, at a mail server or on a locked screen learns neither who asked for
what nor how it was decided. That stands on the pages to which mail and texts lead. A letter on
paper, which is closed, says it itself: who asks for one may have no page to look at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from regional311.casework.coordinators import Terms
from regional311.casework.paper import Paper, paper_row
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.identity.permissions import Permissions
from regional311.identity.queries import who_may
from regional311.locale.sentences import in_language
from regional311.notices.service import day_in, outbox_row, reached_at
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
    outcome: str = "",
    words: str = "",
    now: datetime,
) -> None:
    """Tell the person, in their language and in the way that they chose, that there is news.

    `outcome` and `words` are for paper only. Who has no such way looks at their page, or is called.
    """
    by = heard_by(row)
    if by == "post":
        put(
            session,
            paper_row(
                row,
                event,
                Paper(
                    letters.partner,
                    link_of(letters, row),
                    letters.terms.coordinator(row.bureau_key),
                    letters.terms.appeals.get(row.language) or letters.terms.appeal,
                ),
                day=day,
                outcome=outcome,
                words=words,
                now=now,
            ),
        )
        return
    reached = None if by == "none" else reached_at(by, row.email, row.phone)
    if reached is None:
        return
    channel, recipient = reached
    put(
        session,
        outbox_row(
            row.tenant_id,
            event=event,
            recipient=recipient,
            channel=channel,
            language=row.language,
            now=now,
            subject_id=row.id,
            values={
                "number": row.public_id,
                "partner": letters.partner,
                "day": day_in(day, row.language),
            },
            address=link_of(letters, row),
            translate=in_language,
            wording=letters.wording,
            confidential=True,
        ),
    )


def heard_by(row: Any) -> str:
    """By what somebody hears of theirs: email, text, post, or none."""
    return row.updates_by or ("email" if row.email else "none")


def link_of(letters: Letters, row: Any) -> str:
    """Where the person's own page is, in an address that says nothing of what it is about."""
    return f"{letters.url}/a/{letters.slug}/{row.link_token}" if row.link_token else ""
