"""One request as its link shows it, and what the person who asked does there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.database.session import acting_for
from regional311.errors import InvalidInput
from regional311.intake import from_person, me_too, queries
from regional311.intake.added_files import TooManyFiles
from regional311.intake.attachments import FileRow, content_of, for_person
from regional311.intake.undoing import in_words
from regional311.web.danger import tell_of_danger
from regional311.web.files import FILE, file_node
from regional311.web.forms import (
    Choice,
    Form,
    RadioWidget,
    Schema,
    SchemaNode,
    String,
    TextAreaWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.public_pages import spoken_name
from regional311.web.removed import removed
from regional311.web.representations import file_response
from regional311.web.telling import telling
from regional311.web.tree import TrackedRequest
from regional311.web.wording import HELPED, REQUEST_STATES, choices, kind, said


def _text(title: Any, **more: Any) -> SchemaNode:
    return SchemaNode(
        String(from_person.LONGEST, multiline=True),
        title=title,
        widget=TextAreaWidget(rows=3, maxlength=from_person.LONGEST),
        **more,
    )


class AddForm(Schema):
    """What the person adds: words, a file, or both."""

    text = _text(_("What do you want to add?"), missing=None)


class ReopenForm(Schema):
    """Why it is not solved."""

    text = _text(_("What is still wrong?"))


class RateForm(Schema):
    """Whether it helped."""

    helped = SchemaNode(
        Choice(HELPED),
        title=_("Did this help?"),
        widget=RadioWidget(values=choices(HELPED)),
    )
    text = _text(_("Why?"), missing=None)


FORMS: Mapping[str, tuple[type[Schema], Any, Any]] = {
    "add": (AddForm, _("Send it"), _("Sent. Whoever works on it reads it.")),
    "reopen": (ReopenForm, _("Open it again"), _("It is open again.")),
    "rate": (
        RateForm,
        _("Send it"),
        _("Thank you. It is read by those who answer for this service."),
    ),
}
"""What can be sent: the form, its button, and what is said when it came."""
WITH_FILE = frozenset({"add", "reopen"})
"""Forms that take a file, too."""


def _tracked(context: TrackedRequest, request: Any) -> queries.Tracked:
    found = queries.tracked(request.dbsession, context.request_id)
    if found is None:
        raise HTTPNotFound
    return found


def _form(context: TrackedRequest, request: Any, name: str) -> Form:
    kind_of, submit, _said = FORMS[name]
    schema = kind_of()
    if name in WITH_FILE:
        schema.add(file_node(request, context.partner.slug, _("A photo, or a letter as PDF")))
    action = f"/track/{context.__name__}/{name}"
    return make_form(request, schema, submit=submit, name=name, action=action)


@view_config(
    context=TrackedRequest,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/tracked.jinja2",
)
def tracked(context: TrackedRequest, request: Any) -> dict[str, Any]:
    """What the holder of a link may know and do: status, expected day, words; nobody's name.

    Of what was erased it says that, and nothing else.
    """
    found = _tracked(context, request)
    if found.erased_at is not None:
        return removed(request, context.partner.slug)
    return _page(context, request, found)


def _page(
    context: TrackedRequest, request: Any, found: queries.Tracked, **failed: Form
) -> dict[str, Any]:
    tell = telling(request)
    slug = tell.published.slugs.get(found.owner_id, "")
    # who said *me too* of something may not read what it became when that is confidential
    unsaid = (
        context.me_too_id is not None
        and (found.owner_id, found.service_key) in tell.confidential_services
    )
    with acting_for(request.dbsession, found.owner_id):
        messages = [] if unsaid else queries.told(request.dbsession, context.request_id)
        files = _files(context, request)
        waits = found.state == "waiting_person"
        stands = waits and queries.stands(request.dbsession, context.request_id)
    # what was merged goes on under another number, and who said *me too* did not file it
    acts = found.merged is None and context.me_too_id is None
    offered = {
        "add": acts and found.state not in ("closed", "merged", "in_transit"),
        "reopen": acts and from_person.can_reopen(found.state, found.closed_at, request.now),
        "rate": acts and found.state == "closed",
    }
    hears = context.me_too_id is not None and me_too.hears(request.dbsession, context.me_too_id)
    return {
        "found": found,
        "service_name": None if unsaid else spoken_name(request, slug, found.service_key),
        "owner_name": tell.partner(found.owner_id),
        "state": said(REQUEST_STATES, found.state),
        "state_kind": kind(REQUEST_STATES, found.state),
        "opened": tell.day(found.opened_at, "long"),
        "expected": tell.day(found.expected_at, "long") if found.closed_at is None else None,
        "closed": tell.day(found.closed_at, "long"),
        "messages": [
            {
                "when": tell.when(each.at),
                "by": _("You") if each.from_person else tell.partner(found.owner_id),
                "title": in_words(each.text, tell.translate),
            }
            for each in messages
            if context.me_too_id is None or not each.from_person
        ],
        "files": [
            {
                "name": each.name,
                "when": tell.when(each.stored_at),
                "url": f"/track/{context.__name__}/file?question={each.question}",
            }
            for each in files
        ],
        "merged": found.merged,
        "me_too": context.me_too_id is not None,
        "stop_url": f"/track/{context.__name__}/stop" if hears else None,
        "phone": tell.phone(slug),
        "waits": waits,
        "stands": stands,
        "forms": {
            name: failed.get(name) or _form(context, request, name)
            for name, there in offered.items()
            if there
        },
        "failed": next(iter(failed), None),
    }


def _files(context: TrackedRequest, request: Any) -> list[FileRow]:
    """What the person may have: theirs, and what staff show them. Who said *me too* has none."""
    if context.me_too_id is not None:
        return []
    return for_person(request.dbsession, context.request_id)


@view_config(
    context=TrackedRequest, name="file", permission=NO_PERMISSION_REQUIRED, request_method="GET"
)
def file(context: TrackedRequest, request: Any) -> Any:
    """A file that the person may have, to be saved."""
    found, asked = _tracked(context, request), request.GET.get("question", "")[:250]
    with acting_for(request.dbsession, found.owner_id):
        known = next((e for e in _files(context, request) if e.question == asked), None)
        content = None if known is None else content_of(request.dbsession, known.id)
    if known is None or content is None:
        raise HTTPNotFound
    return file_response(known.name, content)


@view_config(
    context=TrackedRequest, name="stop", permission=NO_PERMISSION_REQUIRED, request_method="POST"
)
def stop(context: TrackedRequest, request: Any) -> HTTPSeeOther:
    """Send no more news to who said *me too*."""
    if context.me_too_id is None:
        raise HTTPNotFound
    me_too.stop(request.dbsession, me_too_id=context.me_too_id, now=request.now)
    request.flash("success", _("You get no more letters about this."))
    return HTTPSeeOther(location=f"/track/{context.__name__}")


@view_config(
    context=TrackedRequest,
    name="add",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/tracked.jinja2",
)
@view_config(
    context=TrackedRequest,
    name="reopen",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/tracked.jinja2",
)
@view_config(
    context=TrackedRequest,
    name="rate",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/tracked.jinja2",
)
def send(context: TrackedRequest, request: Any) -> Any:
    """Add words to a request, open it again, or say whether it helped."""
    name = request.view_name
    found = _tracked(context, request)
    if context.me_too_id is not None or found.merged is not None or found.erased_at is not None:
        raise HTTPNotFound
    form = _form(context, request, name)
    session, now = request.dbsession, request.now

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        about = {"owner_id": found.owner_id, "request_id": context.request_id, "now": now}
        try:
            if name == "rate":
                from_person.rate(session, **about, **values)
            else:
                if not values["text"] and not values[FILE]:
                    raise InvalidInput(_("Write something, or choose a file."), field="text")
                act = from_person.add_words if name == "add" else from_person.reopen
                act(session, **about, **values, followers=telling(request).followers())
        except from_person.TooLate:
            request.flash("warning", _("Something else has happened since: see below."))
        except from_person.TooMany:
            request.flash("warning", _("You have written often already. Please call instead."))
        except TooManyFiles:
            request.flash("warning", _("You have sent many files already. Please call instead."))
        else:
            request.flash("success", FORMS[name][2])
            tell_of_danger(request, "track", values["text"] or "")
        return HTTPSeeOther(location=f"/track/{context.__name__}")

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, found, **{name: form})
    )
