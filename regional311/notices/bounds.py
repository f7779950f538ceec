"""How many matters one mailbox or number is told of: whoever asks may name somebody else's.

A request is taken in whatever address it names; what is bounded is what leaves. Only messages that
**begin** a matter at an address count, such as that a request was received: who was told of one
hears how it goes on. What is too much for an hour waits, since messages gather by night and while
a mail server is down; what is too much for a day waits for a person, who may have it sent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from regional311.database.session import mark_changed, scope_of
from regional311.notices.delivery import Letter
from regional311.notices.models import OutboxMessage
from regional311.notices.service import TO_PEOPLE

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
MOST: Final[Mapping[str, tuple[int, int]]] = {"email": (10, 30), "text": (5, 12)}
"""Matters that begin at one address in an hour and in a day, by channel."""
LATER: Final = "It waits an hour: so many requests have named this address or number just now."
TOO_MANY: Final = (
    "Too many requests have named this address or number lately: somebody may be naming another's."
    " Look at them; what is meant for whoever is there can be sent again."
)

_DOTLESS: Final = frozenset({"gmail.com", "googlemail.com"})
"""Where dots in a name mean nothing."""


def mailbox(channel: str, address: str, *, secret: str) -> str:
    """Give what all spellings of an address that reach one mailbox have in common, as a digest.

    It is keyed by the installation's secret: there are few enough numbers to try them all.

    >>> from functools import partial
    >>> digest = partial(mailbox, secret="s")
    >>> digest("email", "Ana+1@Example.org") == digest("email", "ana@example.org")
    True
    >>> digest("email", "a.n.a@gmail.com") == digest("email", "ana+x@googlemail.com")
    True
    >>> digest("text", "+15035550123") == digest("text", "+15035550124")
    False
    >>> digest("text", "+15035550123") == mailbox("text", "+15035550123", secret="another")
    False
    """
    known = address.strip().lower()
    if channel == "email":
        name, _at, domain = known.rpartition("@")
        name = name.partition("+")[0] or name
        if domain in _DOTLESS:
            name, domain = name.replace(".", ""), "gmail.com"
        known = f"{name}@{domain}"
    said = f"regional311 bounds of {channel}:{known}".encode()
    return hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Beyond:
    """Which letters do not leave now."""

    hour: Mapping[UUID, datetime]
    """They wait until fewer have left: until when."""
    day: AbstractSet[UUID]
    """They are given up; a person looks."""


def too_many(session: Session, letters: Sequence[Letter], now: datetime, *, secret: str) -> Beyond:
    """Give which letters would begin one matter too many; those that begin one are marked.

    What somebody has sent again leaves; how a matter goes on waits with what begins it. Two
    statements, none where nobody outside is written to, and one to mark.
    """
    asked = [
        each
        for each in letters
        if each.event in TO_PEOPLE and each.subject_id is not None and each.sendings == 1
    ]
    if not asked:
        return Beyond({}, set())
    tenant_id = scope_of(session).tenant_id
    begun = (OutboxMessage.state == "sent") | OutboxMessage.begins_at.is_not(None)
    postponed = (OutboxMessage.state == "pending") & (OutboxMessage.last_error == LATER)
    told: set[tuple[str, UUID | None]] = set()
    waits: dict[tuple[str, UUID | None], tuple[UUID, datetime]] = {}
    in_hand = {each.id for each in asked}
    for row in session.execute(
        select(
            OutboxMessage.id,
            OutboxMessage.recipient,
            OutboxMessage.subject_id,
            OutboxMessage.due_at,
            begun.label("begun"),
        )
        .where(
            OutboxMessage.tenant_id == tenant_id,
            OutboxMessage.subject_id.in_({each.subject_id for each in asked}),
            OutboxMessage.recipient.in_({each.recipient for each in asked}),
            begun | postponed,
        )
        .order_by(OutboxMessage.id)
    ):
        if row.begun:
            told.add((row.recipient, row.subject_id))
        elif row.id not in in_hand:
            waits.setdefault((row.recipient, row.subject_id), (row.id, row.due_at))
    places = {each.id: mailbox(each.channel, each.recipient, secret=secret) for each in asked}
    counted = {
        row.begins_for: (row.hour, row.day, row.oldest or now)
        for row in session.execute(
            select(
                OutboxMessage.begins_for,
                func.count().filter(OutboxMessage.begins_at > now - HOUR).label("hour"),
                func.count().label("day"),
                func.min(OutboxMessage.begins_at)
                .filter(OutboxMessage.begins_at > now - HOUR)
                .label("oldest"),
            )
            .where(
                OutboxMessage.tenant_id == tenant_id,
                OutboxMessage.begins_for.in_(set(places.values())),
                OutboxMessage.begins_at > now - DAY,
            )
            .group_by(OutboxMessage.begins_for)
        )
    }
    later: dict[UUID, datetime] = {}
    given_up: set[UUID] = set()
    begins: dict[UUID, str] = {}
    for letter in asked:
        matter = (letter.recipient, letter.subject_id)
        if matter in told:
            continue
        first, until = waits.get(matter, (letter.id, now))
        if first < letter.id:
            # one that is due may be in another worker's hands
            later[letter.id] = max(until, now + MINUTE)
            continue
        place = places[letter.id]
        hour, day, oldest = counted.get(place, (0, 0, now))
        an_hour, a_day = MOST[letter.channel]
        if day >= a_day:
            given_up.add(letter.id)
            continue
        if hour >= an_hour:
            later[letter.id] = oldest + HOUR
            waits[matter] = (letter.id, oldest + HOUR)
            continue
        counted[place] = (hour + 1, day + 1, oldest)
        told.add(matter)
        begins[letter.id] = place
    if begins:
        session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.tenant_id == tenant_id, OutboxMessage.id.in_(begins))
            .values(begins_for=case(begins, value=OutboxMessage.id), begins_at=now)
            .execution_options(synchronize_session=False)
        )
        mark_changed(session)
    return Beyond(later, given_up)
