"""Notes for colleagues on contacts, referrals and threads."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.identity.permissions import Permissions as P
from regional311.web.forms import Form, handle_form_submission
from regional311.web.i18n import _
from regional311.web.noting import (
    Subject,
    contact_subject,
    keep_note,
    note_form,
    referral_subject,
    thread_subject,
    to_mention,
)
from regional311.web.tree import ContactRecord, ReferralRecord, ThreadRecord


def _page(request: Any, subject: Subject, form: Form) -> dict[str, Any]:
    return {
        "form": form,
        "handles": to_mention(request, subject),
        "number": subject.number,
        "url": subject.url,
    }


def _note(request: Any, subject: Subject) -> Any:
    form = note_form(request, subject)
    if request.method == "GET":
        return _page(request, subject, form)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        keep_note(request, subject, values["text"])
        request.flash("success", _("The note is added."))
        return HTTPSeeOther(location=f"{subject.url}#notes-heading")

    def on_failure() -> dict[str, Any]:
        # what was asked before the transaction began anew is not known any more
        request.made_members = None
        return _page(request, subject, form)

    return handle_form_submission(request, form, on_success, on_failure)


@view_config(
    context=ContactRecord,
    name="note",
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="notes/note.jinja2",
)
@view_config(
    context=ContactRecord,
    name="note",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="notes/note.jinja2",
)
def contact_note(context: ContactRecord, request: Any) -> Any:
    """A note on a contact, open or ended."""
    return _note(request, contact_subject(request, context.record))


@view_config(
    context=ReferralRecord,
    name="note",
    permission=P.REFERRAL_READ,
    request_method="GET",
    renderer="notes/note.jinja2",
)
@view_config(
    context=ReferralRecord,
    name="note",
    permission=P.REFERRAL_READ,
    request_method="POST",
    renderer="notes/note.jinja2",
)
def referral_note(context: ReferralRecord, request: Any) -> Any:
    """A note on a referral: it stays on this side."""
    return _note(request, referral_subject(request, context.record))


@view_config(
    context=ThreadRecord,
    name="note",
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="notes/note.jinja2",
)
@view_config(
    context=ThreadRecord,
    name="note",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="notes/note.jinja2",
)
def thread_note(context: ThreadRecord, request: Any) -> Any:
    """A note beside what was written; it is never sent."""
    return _note(request, thread_subject(request, context.record))
