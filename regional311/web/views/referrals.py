"""One referral with exactly what was shared, and the steps that end or hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyramid.httpexceptions import HTTPForbidden, HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.catalog.queries import forms
from regional311.identity.permissions import Permissions as P
from regional311.intake.attachments import SENT, FileRow, sent_besides
from regional311.intake.queries import attachment
from regional311.referral import lifecycle, queries, service
from regional311.referral.own_words import move_in_words
from regional311.referral.questions import MAX_BODY
from regional311.web.forms import (
    Choice,
    HiddenWidget,
    Integer,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    handle_form_submission,
    make_form,
    sent_version,
)
from regional311.web.histories import steps_asked, whole_history
from regional311.web.i18n import _, translated
from regional311.web.noting import notes_shown
from regional311.web.questions import besides, told_again
from regional311.web.receiving import (
    ANSWERS,
    finish_days,
    kept_of,
    more_of,
    progress_said,
    shared_said,
    standing_said,
)
from regional311.web.representations import file_response
from regional311.web.telling import Telling, telling
from regional311.web.tree import ReferralRecord
from regional311.web.views import referral_loop
from regional311.web.wording import (
    ACTIONS,
    CONSENT_METHODS,
    DECLINE_REASONS,
    END_REASONS,
    HOLD_REASONS,
    OUTCOMES,
    PRIORITIES,
    REFERRAL_STATES,
    choices,
    kind,
    said,
)

SENT_FILE = "referral:sent_file"
_REASONS = {**DECLINE_REASONS, **END_REASONS, **HOLD_REASONS}


def _service_name(tell: Telling, row: Any) -> str:
    owner = tell.slug if row.side == lifecycle.RECEIVER else row.counterparty_id
    return tell.service_name(owner, row.service_key)


def _late(row: Any, request: Any) -> bool:
    waits = row.state == "requested" and row.asked_at is None
    return waits and row.due_at is not None and row.due_at < request.now


# --- forms ----------------------------------------------------------------------------------------


def _note() -> SchemaNode:
    return SchemaNode(
        String(4000, multiline=True),
        name="note",
        title=_("Note"),
        description=_("For your own side only."),
        widget=TextAreaWidget(rows=2, maxlength=4000),
        missing=None,
    )


def _version() -> SchemaNode:
    return SchemaNode(Integer(), name="version", title=_("Version"), widget=HiddenWidget())


def _reason(words: Any) -> SchemaNode:
    return SchemaNode(
        Choice(words),
        name="reason",
        title=_("Reason"),
        widget=SelectWidget(values=choices(words)),
    )


def _words() -> SchemaNode:
    return SchemaNode(
        String(MAX_BODY, multiline=True),
        name="words",
        title=_("In your own words"),
        description=_("The other side reads it. Needed where no reason above fits."),
        widget=TextAreaWidget(rows=2, maxlength=MAX_BODY),
        missing=None,
    )


class RejectForm(Schema):
    """Why it is rejected."""

    reason = _reason(DECLINE_REASONS)
    words = _words()
    note = _note()
    version = _version()


class HoldForm(Schema):
    """Why it waits."""

    reason = _reason(HOLD_REASONS)
    words = _words()
    note = _note()
    version = _version()


class EndForm(Schema):
    """Why it ends without success."""

    reason = _reason(
        {key: each for key, each in END_REASONS.items() if key not in lifecycle.BY_THEMSELVES}
    )
    words = _words()
    note = _note()
    version = _version()


class CompleteForm(Schema):
    """What became of the person's need."""

    outcome = SchemaNode(
        Choice(OUTCOMES), title=_("What became of it"), widget=RadioWidget(values=choices(OUTCOMES))
    )
    note = _note()
    version = _version()


class ErrorForm(Schema):
    """That it should never have been sent."""

    note = _note()
    version = _version()


FORMS: dict[str, tuple[type[Schema], Any, str]] = {
    "complete": (CompleteForm, _("Complete it"), "completed"),
    "hold": (HoldForm, _("Put it on hold"), "on_hold"),
    "reject": (RejectForm, _("Reject it"), "rejected"),
    "fail": (EndForm, _("End it without success"), "failed"),
    "cancel": (EndForm, _("Cancel it"), "cancelled"),
    "in-error": (ErrorForm, _("It was entered in error"), "entered_in_error"),
}
BY_SENDER: Final = ("cancel", "in-error")


# --- one referral ---------------------------------------------------------------------------------


@view_config(
    context=ReferralRecord,
    permission=P.REFERRAL_READ,
    request_method="GET",
    renderer="referrals/referral.jinja2",
)
def referral(context: ReferralRecord, request: Any) -> dict[str, Any]:
    """One referral: exactly what was shared, what to do next, history."""
    return _page(context, request)


def _page(context: ReferralRecord, request: Any, **failed: Any) -> dict[str, Any]:
    tell = telling(request)
    session = request.dbsession
    detail = queries.referral_detail(session, context.record.id, past=steps_asked(request))
    found = detail.referral
    people: Mapping[Any, str] = detail.people
    sent = found.side == lifecycle.SENDER
    other = tell.partner(found.counterparty_id)
    given = None
    if sent and found.consent_id is not None:
        given = queries.consent_of(session, found.consent_id)
    contact = detail.contact
    return {
        "found": found,
        "service": _service_name(tell, found),
        "state": said(REFERRAL_STATES, found.state),
        "kind": kind(REFERRAL_STATES, found.state),
        "late": _late(found, request),
        "crumbs": [
            (f"/{tell.slug}/referrals" + ("?view=sent" if sent else ""), _("Referrals")),
            (None, found.public_id),
        ],
        "internal": notes_shown(request, found, "referrals", writes=True),
        "facts": [
            (_("To") if sent else _("From"), other),
            (_("Contact"), contact),
            (_("Urgency"), said(PRIORITIES, found.urgency)),
            (_("Sent"), tell.when(found.sent_at)),
            (
                _("Answer due"),
                tell.when(found.due_at) if found.answered_at is None else None,
            ),
            (
                _("To be done by"),
                tell.day(found.finish_by) if found.state in lifecycle.OPEN else None,
            ),
            (_("Progress"), progress_said(tell, found)),
            (_("Waitlist"), standing_said(tell, found)),
            (_("Answered"), tell.when(found.answered_at)),
            (_("Closed"), tell.when(found.closed_at)),
            (_("Reason"), said(_REASONS, found.reason) if found.reason else None),
            (_("Outcome"), said(OUTCOMES, found.outcome) if found.outcome else None),
            (_("Worked by"), people.get(found.claimed_by)),
            (_("Note of this side"), detail.note),
        ],
        "contact_url": f"/{tell.slug}/contacts/{contact}" if contact else None,
        "shared_lead": _("This is all that ${partner} can see.", mapping={"partner": other})
        if sent
        else _("This is all that ${partner} sent.", mapping={"partner": other}),
        "shared": shared_said(tell, request, detail.shared),
        "asked": _asked(context, request, detail),
        "consent": None if given is None else _consent(tell, given),
        "take_back": referral_loop.take_back(context, request, found, given),
        "history_whole": whole_history(request, detail.history),
        "history": [
            {
                "when": tell.when(each.at),
                "title": said(ACTIONS, each.action),
                "by": people.get(each.person_id),
                "note": ": ".join(_came_to(request, each.detail)) or None,
            }
            for each in reversed(detail.history)
        ],
        "opened": next(iter(failed), None),
        "loop": referral_loop.part(context, request, found, contact),
        **_to_do(context, request, found, failed),
        **more_of(context, request, detail),
    }


def _came_to(request: Any, detail: dict[str, Any]) -> list[str]:
    """The state to which a line of the history leads, and what became of the need."""
    state, outcome = detail.get("to") or detail.get("state"), detail.get("outcome")
    found = [(REFERRAL_STATES, state), (OUTCOMES, outcome)]
    return [translated(request, said(words, code)) for words, code in found if code]


def _to_do(
    context: ReferralRecord, request: Any, found: Any, failed: dict[str, Any]
) -> dict[str, Any]:
    here = request.resource_path(context).rstrip("/")
    nothing: dict[str, Any] = {"main": [], "details": []}
    offered: tuple[str, ...] = tuple(FORMS)
    if found.side == lifecycle.SENDER:
        if not request.has_permission(P.CONTACT_TAKE, context):
            return nothing
        offered = BY_SENDER
    elif not request.has_permission(P.REFERRAL_ACCEPT, context):
        return nothing
    next_states = lifecycle.next_states(found.state, found.side)
    main = []
    if "accepted" in next_states:
        main.append({"url": f"{here}/accept", "label": _("Accept it")})
    if "in_progress" in next_states and found.side == lifecycle.RECEIVER:
        label = _("Go on working") if found.state == "on_hold" else _("Start work")
        main.append({"url": f"{here}/progress", "label": label})
    details = []
    for name in offered:
        schema, label, state = FORMS[name]
        if state in next_states:
            label = _("Discard the draft") if found.state == "draft" else label
            form = failed.get(name) or make_form(
                request,
                schema(),
                submit=label,
                values={"version": found.version},
                name=name,
                action=f"{here}/{name}",
            )
            details.append((name, label, form))
    return {"main": main, "details": details}


def _consent(tell: Telling, row: Any) -> list[tuple[Any, Any]]:
    names = tell.published.sharing(tell.today).fields
    return [
        (_("Agreed to"), ", ".join(names.get(each, each) for each in row.fields)),
        (_("Read out"), row.words),
        (_("How"), said(CONSENT_METHODS, row.method)),
        (_("Given"), tell.when(row.given_at)),
        (_("Until"), tell.day(row.expires_at)),
        (_("Taken back"), tell.when(row.revoked_at)),
        (_("Its time was up"), tell.when(row.expired_at)),
    ]


def _asked(context: ReferralRecord, request: Any, detail: Any) -> list[dict[str, Any]]:
    """The questions that were asked and the answers that crossed, and files besides."""
    kept = kept_of(detail.shared)
    here = request.resource_path(context).rstrip("/")
    asked = forms(request.dbsession, [kept.form] if kept else ())
    files_at = f"{here}/file?question="
    return [
        *told_again(request, kept, asked, files_at=files_at),
        *besides(_sent_besides(context, request, detail.history), files_at=files_at),
    ]


def _sent_besides(context: ReferralRecord, request: Any, history: Any) -> list[FileRow]:
    """Files that crossed with the referral besides the answers, where the trail says so.

    Its sender has them with the need.
    """
    record = context.record
    if record.consent_ended_at is not None or not any(each.action == SENT_FILE for each in history):
        return []
    found = sent_besides(request.dbsession, record.id, record.need_id)
    return [each for files in found.values() for each in files]


# --- what may be done -----------------------------------------------------------------------------


def _back(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


@view_config(
    context=ReferralRecord, name="accept", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def accept(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Take the referral on."""
    return _step(
        context, request, "accepted", _("The referral is accepted, and the sender sees it.")
    )


@view_config(
    context=ReferralRecord, name="progress", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def progress(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Start or go on working."""
    return _step(context, request, "in_progress", _("The referral is in progress."))


def _step(context: ReferralRecord, request: Any, to: str, done: Any) -> HTTPSeeOther:
    service.move(
        request.dbsession,
        now=request.now,
        referral_id=context.record.id,
        version=sent_version(request),
        to=to,
        finish_days=finish_days(telling(request), context.record),
        followers=telling(request).followers(),
    )
    request.flash("success", done)
    return _back(context, request)


def _submitted(context: ReferralRecord, request: Any, name: str) -> Any:
    schema, label, state = FORMS[name]
    here = request.resource_path(context).rstrip("/")
    form = make_form(request, schema(), submit=label, name=name, action=f"{here}/{name}")

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        given = dict(values)
        if state == "completed":
            given["booked_on"] = telling(request).today
        move_in_words(
            request.dbsession,
            now=request.now,
            referral_id=context.record.id,
            to=state,
            followers=telling(request).followers(),
            **given,
        )
        request.flash("success", _("Saved; the other partner sees it."))
        return _back(context, request)

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, **{name: form})
    )


@view_config(
    context=ReferralRecord,
    name="complete",
    permission=P.REFERRAL_ACCEPT,
    request_method="POST",
    renderer="referrals/referral.jinja2",
)
def complete(context: ReferralRecord, request: Any) -> Any:
    """Finish it and say what became of the need."""
    return _submitted(context, request, "complete")


@view_config(
    context=ReferralRecord,
    name="hold",
    permission=P.REFERRAL_ACCEPT,
    request_method="POST",
    renderer="referrals/referral.jinja2",
)
def hold(context: ReferralRecord, request: Any) -> Any:
    """Put it on hold with a reason."""
    return _submitted(context, request, "hold")


@view_config(
    context=ReferralRecord,
    name="reject",
    permission=P.REFERRAL_ACCEPT,
    request_method="POST",
    renderer="referrals/referral.jinja2",
)
def reject(context: ReferralRecord, request: Any) -> Any:
    """Decline it with a reason."""
    return _submitted(context, request, "reject")


@view_config(
    context=ReferralRecord,
    name="fail",
    permission=P.REFERRAL_ACCEPT,
    request_method="POST",
    renderer="referrals/referral.jinja2",
)
def fail(context: ReferralRecord, request: Any) -> Any:
    """End it without success, with a reason."""
    return _submitted(context, request, "fail")


@view_config(
    context=ReferralRecord,
    name="cancel",
    permission=P.REFERRAL_READ,
    request_method="POST",
    renderer="referrals/referral.jinja2",
)
def cancel(context: ReferralRecord, request: Any) -> Any:
    """Withdraw it: the sender's specialist or whoever answers referrals at the receiver."""
    sent = context.record.side == lifecycle.SENDER
    needed = P.CONTACT_TAKE if sent else P.REFERRAL_ACCEPT
    if not request.has_permission(needed, context):
        raise HTTPForbidden
    return _submitted(context, request, "cancel")


@view_config(
    context=ReferralRecord,
    name="in-error",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="referrals/referral.jinja2",
)
def in_error(context: ReferralRecord, request: Any) -> Any:
    """Say that it should never have been sent, however far it went: by its sender."""
    return _submitted(context, request, "in-error")


@view_config(
    context=ReferralRecord,
    name="file",
    permission=P.REFERRAL_READ,
    request_method="GET",
)
def file(context: ReferralRecord, request: Any) -> Any:
    """A file that was shared with the referral, to be saved."""
    asked, record = request.GET.get("question", "")[:250], context.record
    # what was not shared, or not any more, is not here either
    told = (record.shared.get(ANSWERS) or {}).get("told") or {}
    if asked.startswith(SENT):
        past = queries.referral_detail(request.dbsession, record.id).history
        told = {each.question for each in _sent_besides(context, request, past)}
    if asked not in told:
        raise HTTPNotFound
    found = attachment(request.dbsession, asked, record.need_id, record.id)
    if found is None:
        raise HTTPNotFound
    return file_response(found.name, found.content)
