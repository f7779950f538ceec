"""Letters to those who keep a partner's entries: one to each person, in the partner's language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from sqlalchemy import select

from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.identity.queries import Member
from regional311.locale.sentences import in_language
from regional311.notices.service import AND_MORE, outbox_row
from regional311.tenancy.models import Tenant

LISTED: Final = 20
"""Entries that an e-mail names; the others are counted."""


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Whose letters they are: the partner's name, where its pages are, its language and zone."""

    partner: str
    address: str
    language: str
    zone: str

    def today(self, now: datetime) -> date:
        """The day that it is at the partner's."""
        return now.astimezone(ZoneInfo(self.zone)).date()

    def day(self, on: date) -> str:
        """A day as the language writes it."""
        return format_date(on, "long", locale=Locale.parse(self.language, sep="-"))

    def sentence(self, text: str) -> str:
        """A sentence in the partner's language."""
        return in_language(text, self.language)

    def listed(self, lines: Sequence[str]) -> str:
        r"""Join lines; those beyond the first twenty are counted.

        >>> head = Letterhead("Portland", "https://311.example/portland", "en", "UTC")
        >>> head.listed([f"- {number}" for number in range(25)]).splitlines()[-2:]
        ['- 19', '- and 5 more']
        """
        shown = list(lines[:LISTED])
        if len(lines) > LISTED:
            shown.append(self.sentence(AND_MORE).format(number=len(lines) - LISTED))
        return "\n".join(shown)


def letterhead(session: TenantSession, url: str) -> Letterhead:
    """Give that of the bound partner, whose pages are below `url`.

    The first of its languages is its own. People have none of their own: pages for staff are in
    one language, and what a partner writes to its people is in that of the partner.
    """
    me = scope_of(session).tenant_id
    row = session.execute(
        select(
            Tenant.slug, Tenant.name, Tenant.zone, Tenant.settings["languages"].label("spoken")
        ).where(Tenant.tenant_id == me, Tenant.id == me)
    ).one()
    language = str((row.spoken or ["en"])[0])
    return Letterhead(row.name, f"{url.rstrip('/')}/{row.slug}", language, row.zone)


def tell(
    session: TenantSession,
    head: Letterhead,
    event: str,
    lines: Iterable[tuple[Iterable[Member], str]],
    *,
    page: str,
    now: datetime,
) -> int:
    """Write one letter to each person, with the lines that are for them; say how many letters.

    `page` is the partner's page that the letter leads to, such as `reviews`.
    """
    found: dict[UUID, tuple[Member, list[str]]] = {}
    for people, line in lines:
        for person in people:
            found.setdefault(person.person_id, (person, []))[1].append(line)
    for person, mine in found.values():
        put(
            session,
            outbox_row(
                scope_of(session).tenant_id,
                event=event,
                recipient=person.email,
                language=head.language,
                now=now,
                values={
                    "partner": head.partner,
                    "number": str(len(mine)),
                    "services": head.listed(mine),
                    "address": f"{head.address}/{page}",
                },
                translate=in_language,
            ),
        )
    return len(found)
