"""What somebody wrote, beside the contact that it began: at the desk it is read, not typed anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from regional311.inbox.calls import Heard, of_contact
from regional311.inbox.letters import split_quoted
from regional311.inbox.models import ThreadMessage
from regional311.inbox.queries import Row, thread_of
from regional311.notices.phones import shown
from regional311.web.telling import telling
from regional311.web.tree import viewer

WRITTEN = ("email", "text", "chat")
LATEST = 5
LONGEST = 4000


@dataclass(frozen=True)
class Written:
    """The thread of a contact and what the person wrote in it, the latest last."""

    thread: Row
    url: str
    words: list[tuple[str | None, str]]


def written_on(request: Any, contact: Any) -> Written | None:
    """What was written, for who may see it; at most two statements, once a request."""
    if contact.channel not in WRITTEN:
        return None
    known = getattr(request, "found_written", None)
    if known is None:
        known = request.found_written = (_find(request, contact),)
    found: Written | None = known[0]
    return found


def _find(request: Any, contact: Any) -> Written | None:
    tell = telling(request)
    thread = thread_of(request.dbsession, contact.id)
    if thread is None or not viewer(request).sees(thread):
        return None
    rows = request.dbsession.execute(
        select(ThreadMessage.at, ThreadMessage.text)
        .where(
            ThreadMessage.tenant_id == request.tenant.id,
            ThreadMessage.thread_id == thread.id,
            ThreadMessage.contact_id == contact.id,
            ThreadMessage.direction == "in",
        )
        .order_by(ThreadMessage.id.desc())
        .limit(LATEST)
    )
    return Written(
        thread,
        f"/{tell.slug}/inbox/{thread.public_id}",
        [(tell.when(at), split_quoted(text)[0]) for at, text in rows][::-1],
    )


def call_of(request: Any, contact: Any) -> Heard | None:
    """The call that a contact is, if it is one; one statement, once a request."""
    if contact.channel != "phone":
        return None
    known = getattr(request, "found_call", None)
    if known is None:
        known = request.found_call = (of_contact(request.dbsession, contact.id),)
    found: Heard | None = known[0]
    return found


def called_from(request: Any, contact: Any, inquirer: Any, *, editable: bool) -> Any:
    """From which number somebody calls, as the telephone system said it.

    Nobody is to be called back whom contact would endanger: their number has no link.
    """
    call = call_of(request, contact) if contact.erased_at is None else None
    if call is None or call.caller is None:
        return None
    prohibited = inquirer is not None and inquirer.contact_prohibited
    return {
        "number": shown(call.caller),
        "link": None if prohibited else f"tel:{call.caller}",
        "look_up": editable and contact.inquirer_id is None,
    }


def said_in_writing(request: Any, context: Any) -> dict[str, Any]:
    """What a form about the contact can begin with: the words, and how the person is reached."""
    if context.record.channel == "phone":
        call = call_of(request, context.record)
        return {"phone": shown(call.caller)} if call and call.caller else {}
    found = written_on(request, context.record)
    if found is None:
        return {}
    words = "\n\n".join(text for _at, text in found.words)
    return {
        "description": words[:LONGEST] or None,
        "name": found.thread.name,
        {"email": "email"}.get(found.thread.channel, "phone"): found.thread.address,
    }
