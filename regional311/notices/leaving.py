"""What happens to messages at the moment at which they leave: who wants them, when, and how.

Nothing is decided before, so that a person who stops notices, or mail that does not arrive, counts
at once for what was written already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from regional311.database.session import mark_changed, scope_of
from regional311.locale.sentences import in_language
from regional311.notices.bounds import LATER, TOO_MANY, too_many
from regional311.notices.choosing import ALWAYS
from regional311.notices.delivery import Complete, Letter, as_written
from regional311.notices.models import MailTrouble, NoticeChoice, NoticeStop, OutboxMessage
from regional311.notices.quiet import hours_of, leaves_at, next_digest
from regional311.notices.service import TO_OUTSIDE, TO_PEOPLE, WAY_OUT
from regional311.notices.texts import HOW_TO_STOP, below
from regional311.notices.ways_out import make_token, return_address
from regional311.notices.wording import fill
from regional311.settings import Settings
from regional311.tenancy.models import Tenant

ANSWERS: Final = frozenset({"thread_answer"})
"""What a person of ours wrote to somebody who wrote to us."""
STOP_ANSWERS: Final = frozenset({"text_stop", "text_start", "text_help"})
"""What answers the words that telephone companies want honoured: whoever sent one gets texts."""
DANGER_NUMBER: Final = "danger_number"
ALWAYS_ANSWERED: Final = STOP_ANSWERS | {DANGER_NUMBER}
"""What leaves whatever was stopped or came back before: the person has just written, and waits."""

STOPPED: Final = "The person wants no such messages any more."
NOT_WANTED: Final = "Whoever it was for gets no such messages by mail."
QUIET: Final = "It waits for the hours in which messages leave."
GATHERS: Final = "It waits for the letter of the day."
NO_MAIL: Final = "Mail does not arrive at this address; none is sent there until that is lifted."
NO_TEXTS: Final = "Texts do not arrive at this number; none is sent there until that is lifted."


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the addresses of a batch."""

    zone: ZoneInfo
    settings: Mapping[str, Any]
    stops: AbstractSet[tuple[str, UUID | None]]
    troubled: AbstractSet[str]
    choices: Mapping[tuple[str, str], str]


def leaving(settings: Settings, more: Complete = as_written) -> Complete:
    """Give what completes letters: who may get them gets them, with `more` and with a way out."""

    def complete(session: Session, letters: Sequence[Letter], now: datetime) -> list[Letter]:
        kept = who_gets(session, letters, now, secret=settings.secret)
        whole = with_how_to_stop(session, more(session, kept, now))
        return [with_way_out(each, settings) for each in whole]

    return complete


def who_gets(
    session: Session, letters: Sequence[Letter], now: datetime, *, secret: str
) -> list[Letter]:
    """Give the leased letters that leave now; what becomes of the others is written down.

    ``secret`` is the installation's, by which mailboxes are counted without naming them.

    Three statements, those of :func:`regional311.notices.bounds.too_many`, and one a reason.
    """
    if not letters:
        return []
    known = _known(session, letters)
    decided = [(letter, _instead(letter, known, now)) for letter in letters]
    leave = [letter for letter, values in decided if values is None]
    beyond = too_many(session, leave, now, secret=secret)
    kept: list[Letter] = []
    for letter, values in decided:
        if letter.id in beyond.day:
            values = {"state": "dead", "died_at": now, "last_error": TOO_MANY}  # noqa: PLW2901
        elif letter.id in beyond.hour:
            values = {"due_at": beyond.hour[letter.id], "last_error": LATER}  # noqa: PLW2901
        if values is None:
            kept.append(letter)
            continue
        give_back(session, letter, values)
    return kept


def give_back(session: Session, letter: Letter, values: Mapping[str, Any]) -> None:
    """End the lease of a letter that does not leave now, and write down what becomes of it."""
    session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.id == letter.id,
        )
        .values(leased_until=None, attempts=letter.attempt - 1, **values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def _instead(letter: Letter, known: _Known, now: datetime) -> dict[str, Any] | None:
    """What is written down of a letter that does not leave now; None: it leaves."""
    address, to_people = letter.recipient.lower(), letter.event in TO_PEOPLE
    # who sends STOP gets no text any more, of whichever kind; whoever writes of a danger is told
    # whom to call all the same
    always = letter.event in ALWAYS_ANSWERED
    stops = (to_people or letter.channel == "text") and not always
    if stops and not known.stops.isdisjoint({(address, None), (address, letter.subject_id)}):
        return {"state": "withdrawn", "last_error": STOPPED}
    if address in known.troubled and not always:
        # what somebody waits for must be given in another way: a person has to know; all else is
        # there to be sent again once the address is lifted
        waited_for = ANSWERS | ALWAYS | TO_OUTSIDE
        waits = letter.event in waited_for or letter.event.startswith("accommodation")
        why = NO_MAIL if letter.channel == "email" else NO_TEXTS
        return {"state": "dead" if waits else "aside", "died_at": now, "last_error": why}
    if not to_people and letter.channel == "email":
        chosen = known.choices.get((address, letter.event))
        how = None if letter.event in ALWAYS else chosen
        if how == "never":
            return {"state": "withdrawn", "last_error": NOT_WANTED}
        if how == "daily":
            due = next_digest(now, known.zone)
            return {"digest": True, "due_at": due, "last_error": GATHERS}
    live = letter.channel == "text" and bool((letter.headers or {}).get("live"))
    if (to_people or (letter.channel == "text" and letter.event in ANSWERS)) and not live:
        due = leaves_at(now, hours_of(known.settings, letter.channel), known.zone)
        if due > now:
            return {"due_at": due, "last_error": QUIET}
    return None


def _known(session: Session, letters: Sequence[Letter]) -> _Known:
    tenant_id = scope_of(session).tenant_id
    addresses = sorted({each.recipient.lower() for each in letters})
    mine = session.execute(
        select(Tenant.zone, Tenant.settings).where(
            Tenant.tenant_id == tenant_id, Tenant.id == tenant_id
        )
    ).one()
    stops = session.execute(
        select(NoticeStop.address, NoticeStop.subject_id).where(
            NoticeStop.tenant_id == tenant_id,
            NoticeStop.address.in_(addresses),
            NoticeStop.stopped_at.is_not(None),
        )
    )
    troubled = session.scalars(
        select(MailTrouble.address).where(
            MailTrouble.tenant_id == tenant_id,
            MailTrouble.address.in_(addresses),
            MailTrouble.stopped_at.is_not(None),
            MailTrouble.lifted_at.is_(None),
        )
    )
    choices = session.execute(
        select(NoticeChoice.address, NoticeChoice.event, NoticeChoice.how).where(
            NoticeChoice.tenant_id == tenant_id, NoticeChoice.address.in_(addresses)
        )
    )
    return _Known(
        ZoneInfo(mine.zone),
        mine.settings,
        {(row.address, row.subject_id) for row in stops},
        set(troubled),
        {(row.address, row.event): row.how for row in choices},
    )


def with_how_to_stop(session: Session, letters: Sequence[Letter]) -> list[Letter]:
    """Say below the first text to each number how to end them. One statement, or none.

    First is what no other notice of this partner went before; it is said once more after a text
    whose fate nobody knows.
    """
    numbers = {each.recipient for each in letters if _is_text_notice(each)}
    if not numbers:
        return list(letters)
    told = set(
        session.scalars(
            select(OutboxMessage.recipient)
            .where(
                OutboxMessage.tenant_id == scope_of(session).tenant_id,
                OutboxMessage.recipient.in_(sorted(numbers)),
                OutboxMessage.channel == "text",
                OutboxMessage.state == "sent",
                OutboxMessage.event.in_(TO_PEOPLE),
            )
            .distinct()
        )
    )
    made: list[Letter] = []
    for letter in letters:
        if _is_text_notice(letter) and letter.recipient not in told:
            told.add(letter.recipient)
            line = in_language(HOW_TO_STOP, letter.language)
            letter = replace(letter, body=below(letter.body, line))  # noqa: PLW2901
        made.append(letter)
    return made


def _is_text_notice(letter: Letter) -> bool:
    return letter.channel == "text" and letter.event in TO_PEOPLE


def with_way_out(letter: Letter, settings: Settings) -> Letter:
    """Give a letter with where it comes back to and, to people, the link that stops them."""
    if letter.channel != "email" or letter.tenant_id is None or not settings.secret:
        return letter
    secret, tenant_id = settings.secret, letter.tenant_id
    if letter.headers is None and settings.mail_listen is not None:
        returns = return_address(settings.mail_from, secret, tenant_id, letter.id)
        letter = replace(letter, returns_to=returns)
    if letter.event not in TO_PEOPLE or not settings.url:
        return letter
    link = f"{settings.url}/letters/{make_token(secret, tenant_id, letter.id)}"
    said = fill(in_language(WAY_OUT, letter.language), {"address": link})
    return replace(
        letter, body=f"{letter.body.rstrip()}\n\n-- \n{said}\n", way_out=f"{link}/one-click"
    )
