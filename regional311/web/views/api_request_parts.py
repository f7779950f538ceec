"""What belongs to a request, for programs: duplicates, tags, attachments, and who takes it."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from pyramid.httpexceptions import HTTPNotFound

from regional311.casework import tags
from regional311.errors import Conflict
from regional311.identity.clients import Program
from regional311.identity.permissions import Permissions as P
from regional311.intake import added_files, merging, queries
from regional311.intake.attachments import PREFIX, attachments
from regional311.web.api.operations import Call, Told, operation
from regional311.web.api.shapes import Changed, Line, Nothing, Page, PartAsked, Shape, Short, Words
from regional311.web.tree import RequestRecord
from regional311.web.views.api_requests import (
    GROUP,
    FileContent,
    changed,
    follows,
    give,
    own,
    taken,
)


class NobodyAsks(Conflict):
    """A key is nobody who could work a request."""


class Merging(Shape):
    """Which one it is the same as, and words for who filed it."""

    into: Short = Field(description="Number of the request that goes on.")
    message: Words = Field(
        min_length=4,
        description="Words for the person; ten letters at least, a Chinese character is three.",
    )


class TakingOut(Shape):
    """Words for who filed it; they may be left out."""

    message: Words | None = None


class Duplicates(Shape):
    """Requests that are one."""

    merged_into: str | None = Field(description="Number of the one that goes on, or null.")
    merged: list[str] = Field(description="Numbers of those that are merged into this one.")


class Tag(Shape):
    """A few words by which requests are found."""

    tag: Line = Field(min_length=1)


class Tagged(Shape):
    """The tags of a request, in their order."""

    tags: list[str]


class AttachmentEntry(Shape):
    """A file that was sent with a request."""

    question: str = Field(
        description="Key of the question that it answers. `added:` begins that of one that staff "
        "added and `sent:` that of one that the person sent besides; they answer none."
    )
    name: str
    media_type: str
    size: int = Field(description="Bytes.")
    sha256: str
    stored_at: datetime
    erased: bool = Field(description="Its content is forgotten.")
    audience: Literal["staff", "person"] = Field(
        description="Who may have it: staff only, or the person who asked, too, by their link."
    )


class AttachmentAsked(Shape):
    """Which file."""

    question: Line = Field(min_length=1, description="Its `question` in the list of files.")


class NewAttachment(Shape):
    """A file for a request that is there: a picture or a PDF of at most 8 MB."""

    name: Line = Field(min_length=1)
    content: FileContent
    audience: Literal["internal", "staff", "person"] = Field(
        default="staff",
        description="Who may have it: staff of this partner only (`internal` says the same), or "
        "the person who asked, too, by their link.",
    )


class AttachmentWhole(AttachmentEntry):
    """A file with its content."""

    content: str = Field(description="In base64. Pictures hold no place data.")


_READ: dict[str, Any] = {"group": GROUP, "context": RequestRecord, "permission": P.REQUEST_READ}
_STEP: dict[str, Any] = {
    "group": GROUP,
    "context": RequestRecord,
    "method": "POST",
    "permission": P.REQUEST_WORK,
    "changes": True,
}


@operation(**_STEP, path="/requests/{number}/claim", name="claim", answer=Changed)
def claim_request(call: Call[Nothing, None]) -> Any:
    """Take a request: whoever asks works it now.

    For signed-in persons; a key is nobody, and names a person with `assign`.
    """
    if isinstance(call.request.identity, Program):
        raise NobodyAsks("A key is nobody who could work it: name a person with assign.")
    return give(call, assignee=call.request.identity.person_id)


# --- duplicates -----------------------------------------------------------------------------------


@operation(
    **_READ,
    path="/requests/{number}/duplicates",
    name="duplicates",
    answer=Duplicates,
    tagged=True,
)
def list_duplicates(call: Call[Nothing, None]) -> Any:
    """What is merged into a request, and what it is merged into."""
    row = _own_row(call)
    found = queries.merged_with(call.session, row.id, row.merged_into_id)
    return {
        "merged_into": next(
            (each.public_id for each in found if each.id == row.merged_into_id), None
        ),
        "merged": [each.public_id for each in found if each.id != row.merged_into_id],
    }


@operation(**_STEP, path="/requests/{number}/merge", name="merge", body=Merging, answer=Changed)
def merge_request(call: Call[Nothing, Merging]) -> Any:
    """Merge a request into another that says the same; who filed it is told.

    Both are this partner's, equally confidential, and the other one is open.
    """
    said = call.body
    done = merging.merge(
        call.session,
        **own(call),
        into=said.into,
        message=said.message,
        followers=call.tell.followers(),
    )
    return changed(call, done)


@operation(
    **_STEP, path="/requests/{number}/take-out", name="take-out", body=TakingOut, answer=Changed
)
def take_request_out(call: Call[Nothing, TakingOut]) -> Any:
    """Take a merged request out again: it is open, with its own history and clock."""
    done = merging.take_out(
        call.session, **own(call), message=call.body.message, followers=call.tell.followers()
    )
    return changed(call, done)


# --- tags -----------------------------------------------------------------------------------------


@operation(**_READ, path="/requests/{number}/tags", name="tags", answer=Tagged, tagged=True)
def list_tags(call: Call[Nothing, None]) -> Any:
    """The tags of a request."""
    return {"tags": tags.tags(call.session, _own_row(call).id)}


@operation(**_STEP, path="/requests/{number}/tag", name="tag", body=Tag, answer=Tagged)
def tag_request(call: Call[Nothing, Tag]) -> Any:
    """Put a tag on a request; it has at most 12."""
    return _tagged(call, tags.add_tag)


@operation(**_STEP, path="/requests/{number}/untag", name="untag", body=Tag, answer=Tagged)
def untag_request(call: Call[Nothing, Tag]) -> Any:
    """Take a tag off a request."""
    return _tagged(call, tags.remove_tag)


def _tagged(call: Call[Nothing, Tag], do: Any) -> Told:
    row = _own_row(call)
    do(call.session, row.id, call.body.tag, now=call.request.now)
    return Told({"tags": tags.tags(call.session, row.id)}, row.version)


# --- attachments ----------------------------------------------------------------------------------


@operation(
    **_READ,
    path="/requests/{number}/attachments",
    name="attachments",
    query=PartAsked,
    answer=Page[AttachmentEntry],
)
def list_attachments(call: Call[PartAsked, None]) -> Any:
    """The files that were sent with a request, by the question that each answers."""
    row = _own_row(call)
    found = attachments(
        call.session, row.need_id, row.id, after=call.after(), limit=call.query.limit
    )
    return call.page([_file(each) for each in found.rows], found.after)


@operation(
    **_READ,
    path="/requests/{number}/attachment",
    name="attachment",
    query=AttachmentAsked,
    answer=AttachmentWhole,
    tagged=True,
)
def read_attachment(call: Call[AttachmentAsked, None]) -> Any:
    """One file with its content."""
    row, question = _own_row(call), call.query.question
    file = queries.attachment(call.session, question, row.need_id, row.id)
    found = attachments(call.session, row.need_id, row.id, question=question)
    if file is None or not found.rows:
        raise HTTPNotFound
    return {**_file(found.rows[0]), "content": base64.b64encode(file.content).decode()}


@operation(
    group=GROUP,
    context=RequestRecord,
    method="POST",
    permission=P.REQUEST_WORK,
    path="/requests/{number}/attachments",
    name="attachments",
    body=NewAttachment,
    answer=AttachmentEntry,
    status=201,
    creates=True,
)
def add_attachment(call: Call[Nothing, NewAttachment]) -> Any:
    """Add a file to a request, open or closed; its history says so.

    What it is is told by its first bytes. A picture is drawn anew, so that it holds no place data;
    its digest is that of what is kept. At most 20 are added to one request.
    """
    row, said = _own_row(call), call.body
    file = taken(PREFIX, said.name, said.content, field="content")
    audience = "person" if said.audience == "person" else "staff"
    return _file(
        added_files.add_file(call.session, row.id, file, audience=audience, now=call.request.now)
    )


def _file(row: Any) -> dict[str, Any]:
    return {
        "question": row.question,
        "name": row.name,
        "media_type": row.media_type,
        "size": row.size,
        "sha256": row.digest,
        "stored_at": row.stored_at,
        "erased": row.erased_at is not None,
        "audience": row.audience,
    }


def _own_row(call: Call[Any, Any]) -> Any:
    """The request, when it lives here; one that lives with another partner has none of this."""
    if follows(call.record):
        raise HTTPNotFound
    return call.record
