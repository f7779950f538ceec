"""Notes for colleagues under a record, and whom one may mention in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from regional311.floor.mentions import handles, who_is_meant
from regional311.floor.notes import LONGEST, Mentioned, notes, tell_mentioned, write_note
from regional311.floor.watching import contact_is_confidential
from regional311.identity.permissions import Permissions as P
from regional311.identity.permissions import permissions_of
from regional311.identity.queries import Member, members
from regional311.web.forms import Form, Schema, SchemaNode, String, TextAreaWidget, make_form
from regional311.web.i18n import _
from regional311.web.telling import telling


@dataclass(frozen=True)
class Subject:
    """What a note is about, and who may read it."""

    kind: str
    """request, contact, referral or thread."""
    id: UUID
    number: str
    url: str
    """Its page, as a path."""
    may_read: Callable[[Member], bool]


def _holds(member: Member, permission: P) -> bool:
    return permission in permissions_of(member.roles)


def request_subject(request: Any, found: Any) -> Subject:
    """A request; a confidential one is for who works requests."""

    def may_read(member: Member) -> bool:
        needed = P.REQUEST_WORK if found.confidential else P.REQUEST_READ
        return _holds(member, needed)

    return _subject(request, "request", "requests", found, may_read)


def contact_subject(request: Any, found: Any) -> Subject:
    """A contact; a confidential one is for who works requests and for who has it."""
    secret = contact_is_confidential(
        request.dbsession, found.id, telling(request).confidential_services
    )

    def may_read(member: Member) -> bool:
        if not (_holds(member, P.CONTACT_READ) and _holds(member, P.INQUIRER_READ)):
            return False
        return (
            not secret or _holds(member, P.REQUEST_WORK) or member.person_id == found.specialist_id
        )

    return _subject(request, "contact", "contacts", found, may_read)


def referral_subject(request: Any, found: Any) -> Subject:
    """A referral."""
    return _subject(
        request, "referral", "referrals", found, lambda member: _holds(member, P.REFERRAL_READ)
    )


def thread_subject(request: Any, found: Any) -> Subject:
    """A thread; a confidential one is for who works requests and for who has it."""

    def may_read(member: Member) -> bool:
        return _holds(member, P.CONTACT_TAKE) and (
            not found.confidential
            or _holds(member, P.REQUEST_WORK)
            or member.person_id == found.claimed_by
        )

    return _subject(request, "thread", "inbox", found, may_read)


def _subject(
    request: Any, kind: str, place: str, found: Any, may_read: Callable[[Member], bool]
) -> Subject:
    url = f"/{request.tenant.slug}/{place}/{found.public_id}"
    return Subject(kind, found.id, found.public_id, url, may_read)


def everybody(request: Any) -> list[Member]:
    """Who works for the partner; asked once a page."""
    found: list[Member] | None = getattr(request, "made_members", None)
    if found is None:
        found = request.made_members = [
            each for each in members(request.dbsession) if each.ended_at is None
        ]
    return found


def to_mention(request: Any, subject: Subject) -> list[tuple[str, str]]:
    """Give whom one may mention, as (handle, name), oneself left out."""
    people = {each.person_id: each for each in everybody(request)}
    return [
        (handle, people[person].name)
        for handle, person in handles(people.values()).items()
        if person != request.identity.person_id and subject.may_read(people[person])
    ]


def meant(request: Any, subject: Subject, text: str) -> tuple[list[Mentioned], Sequence[str]]:
    """Give who is mentioned in a text, and the handles of nobody. Raises `MayNotRead`."""
    people = {each.person_id: each for each in everybody(request)}
    found, unknown = who_is_meant(
        text,
        handles(people.values()),
        lambda person: subject.may_read(people[person]),
        {person: each.name for person, each in people.items()},
        number=subject.number,
    )
    return [Mentioned(person, people[person].email) for person in found], unknown


def tell_who_is_meant(
    request: Any, subject: Subject, found: Sequence[Mentioned], unknown: Sequence[str]
) -> None:
    """Put it on their lists, mail it, and say which handles are nobody's."""
    tell_mentioned(
        request.dbsession,
        found,
        subject_kind=subject.kind,
        subject_id=subject.id,
        number=subject.number,
        address=f"{request.registry.configured.url}{subject.url}",
        now=request.now,
    )
    if unknown:
        request.flash(
            "info",
            _(
                "Nobody here is ${names}: nobody else was told.",
                mapping={"names": ", ".join(f"@{each}" for each in unknown)},
            ),
        )


class InternalNoteForm(Schema):
    """A note for colleagues."""

    text = SchemaNode(
        String(LONGEST, multiline=True),
        title=_("Note"),
        description=_("For colleagues only. @ and a name tells somebody that they are meant."),
        widget=TextAreaWidget(rows=3, maxlength=LONGEST),
    )


def note_form(request: Any, subject: Subject) -> Form:
    """The form of a note on a contact, a referral or a thread."""
    return make_form(
        request,
        InternalNoteForm(),
        submit=_("Add the note"),
        name="internal",
        action=f"{subject.url}/note",
    )


def notes_shown(
    request: Any, found: Any, place: str, *, writes: bool, any_there: bool = True
) -> dict[str, Any]:
    """The notes on a record, and where the next is written; one statement.

    None when it is known that there are none yet (``any_there``).
    """
    tell = telling(request)
    return {
        "notes": [
            {"text": each.text, "when": tell.when(each.at), "by": each.author}
            for each in (notes(request.dbsession, found.id) if any_there else ())
        ],
        "url": f"/{tell.slug}/{place}/{found.public_id}/note" if writes else None,
    }


def keep_note(request: Any, subject: Subject, text: str) -> None:
    """Keep a note and tell who is mentioned in it. Raises `MayNotRead`, `InvalidInput`."""
    found, unknown = meant(request, subject, text)
    write_note(
        request.dbsession,
        subject_kind=subject.kind,
        subject_id=subject.id,
        text=text,
        now=request.now,
    )
    tell_who_is_meant(request, subject, found, unknown)
