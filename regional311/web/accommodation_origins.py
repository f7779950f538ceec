"""From what somebody wrote or said to the form for accommodations: nobody types it twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from regional311.casework.accommodations import LONGEST, LONGEST_NAME
from regional311.identity.permissions import Permissions as P
from regional311.inbox import queries, working
from regional311.inbox.letters import split_quoted
from regional311.inbox.models import Thread
from regional311.intake.models import Contact
from regional311.intake.queries import contact_detail
from regional311.web.security import may
from regional311.web.tree import Collection, ContactRecord, Contacts, Inbox, ThreadRecord

MOST_MESSAGES = 20


@dataclass(frozen=True, slots=True)
class Origin:
    """A contact or a thread of the inbox, and what of it the form begins with."""

    number: str
    url: str
    values: dict[str, Any]
    thread: str | None = None
    """Number of the thread in which they wrote."""
    written: bool = True
    """Whether it is answered in writing: the way back leads to the thread."""


def origin_of(request: Any, number: str | None) -> Origin | None:
    """Find what `C-...` or `T-...` names; None when there is none that this person may see."""
    if not number or not may(request, P.CONTACT_TAKE):
        return None
    if number.startswith("T-"):
        return _of_thread(request, number)
    return _of_contact(request, number) if number.startswith("C-") else None


def _found(request: Any, kind: type[Collection], number: str) -> Any:
    name = "inbox" if kind is Inbox else "contacts"
    # through the tree, which shows of what is confidential that it is there and nothing else
    child = kind(request, name, request.context.__parent__).child(number)
    return child.record if isinstance(child, ContactRecord | ThreadRecord) else None


def _of_thread(request: Any, number: str) -> Origin | None:
    found = _found(request, Inbox, number)
    if found is None:
        return None
    words = [
        split_quoted(each.text)[0].strip()
        for each in queries.messages(request.dbsession, found.id)[-MOST_MESSAGES:]
        if each.direction == "in"
    ]
    contacts = {"email": "email", "text": "phone"}
    values = {
        "channel": found.channel,
        "language": found.language,
        "details": "\n\n".join(filter(None, words))[:LONGEST],
        "name": (found.name or "")[:LONGEST_NAME] or None,
    }
    if found.channel in contacts:
        values[contacts[found.channel]] = found.address
    return Origin(number, f"/{request.tenant.slug}/inbox/{number}", values, number)


def _of_contact(request: Any, number: str) -> Origin | None:
    found: Contact | None = _found(request, Contacts, number)
    if found is None:
        return None
    detail = contact_detail(request.dbsession, found.id)
    thread = request.dbsession.execute(
        select(Thread.public_id).where(
            Thread.tenant_id == request.tenant.id, Thread.contact_id == found.id
        )
    ).scalar_one_or_none()
    written = None if thread is None else _of_thread(request, thread)
    values: dict[str, Any] = {"channel": found.channel, "language": found.language}
    if written is not None:
        values |= written.values
    if detail.accommodation:
        values["details"] = detail.accommodation
    person = detail.inquirer
    if person is not None and person.erased_at is None and not person.contact_prohibited:
        known = {"name": person.name, "phone": person.phone, "email": person.email}
        values |= {name: value for name, value in known.items() if value}
    url = f"/{request.tenant.slug}/contacts/{number}"
    return Origin(number, url, values, thread, written=False)


def keep_to_the_cleared(request: Any, origin: Origin) -> None:
    """Show a thread that an accommodation came from to cleared people and to whoever has it only.

    One that nobody has is this person's from now on.
    """
    if origin.thread is None:
        return
    found = _found(request, Inbox, origin.thread)
    if found is None:
        return
    if found.claimed_by is None and found.state == "new":
        working.claim(request.dbsession, found.id, now=request.now)
    if not found.confidential:
        working.keep_confidential(request.dbsession, found.id, None, on=True, now=request.now)
