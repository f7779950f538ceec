"""Tell a desk that a line is open which somebody is to be rung through to: the worker's part.

Whoever asked for it is told at each opening, until it is seen to, and when the line is there no
more; who leads them is told when the line has been open for an hour and nothing was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from regional311.cover import later_rings
from regional311.cover.later_rings import Later
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.floor.watching import confidential_contacts
from regional311.identity.permissions import Permissions, permissions_of
from regional311.identity.queries import Member, who_may
from regional311.keeping.letters import letterhead
from regional311.locale.sentences import in_language
from regional311.notices.service import outbox_row
from regional311.referral.snapshot import Published, published
from regional311.tenancy.answering import HERE

_SUPERVISOR: Final = "supervisor"


def is_gone(published: Published, line: str) -> bool:
    """Whether a line is there no more."""
    known = published.lines.get(line)
    return known is None or known.ended


def is_due(published: Published, line: str, now: datetime) -> bool:
    """Whether who waits for a line can be seen to: it answers now, or is there no more."""
    return is_gone(published, line) or published.who_answers(line, now).kind == HERE


def tell_of_openings(session: TenantSession, now: datetime, *, url: str) -> int:
    """Tell of the bound partner's contacts whose line is open now; give how many letters."""
    lines = later_rings.waited_for(session)
    if not lines:
        return 0
    region = published(session.connection().engine)
    opened = [line for line in lines if is_due(region, line, now)]
    later_rings.closed_again(session, lines.keys() - opened)
    answered = [line for line in opened if not is_gone(region, line)]
    letters: list[tuple[str, bool, Later]] = [
        *(
            ("line_open" if row.line in answered else "line_gone", False, row)
            for row in later_rings.now_open(session, opened, now=now)
        ),
        *(
            ("line_open_late" if row.line in answered else "line_gone", True, row)
            for row in later_rings.now_late(session, opened, now=now)
        ),
    ]
    if not letters:
        return 0
    head = letterhead(session, url)
    people = who_may(session, Permissions.CONTACT_TAKE)
    secret = confidential_contacts(
        session, (row.contact_id for _event, _late, row in letters), region.confidential_services()
    )
    written = 0
    for event, late, row in letters:
        known = region.lines.get(row.line)
        for person in _whom(row, people, late=late, secret=row.contact_id in secret):
            written += 1
            put(
                session,
                outbox_row(
                    scope_of(session).tenant_id,
                    event=event,
                    recipient=person.email,
                    language=head.language,
                    now=now,
                    subject_id=row.contact_id,
                    values={
                        "number": row.contact,
                        "partner": region.names.get(row.partner, row.partner),
                        "line": known.name if known else row.line,
                        "address": f"{head.address}/contacts/{row.contact}/handover",
                    },
                    translate=in_language,
                ),
            )
    return written


def _whom(row: Later, people: Sequence[Member], *, late: bool, secret: bool) -> Sequence[Member]:
    """Who asked for it, or all who could do it when they are gone; who leads them when it is late.

    A partner without supervisors has its whole desk told. Of a contact that is ``secret`` only who
    may open it is told: its specialist, and who is cleared.
    """
    if secret:
        people = [each for each in people if _may_open(each, row)]
    if not late:
        mine = [each for each in people if each.person_id == row.asked_by]
        return mine or people
    return [each for each in people if _SUPERVISOR in each.roles] or people


def _may_open(person: Member, row: Later) -> bool:
    return person.person_id == row.specialist_id or Permissions.REQUEST_WORK in permissions_of(
        person.roles
    )
