"""A new referral, answered with the link in the message about it, without an account.

Looking changes nothing: programs that look at mail follow links, too. Answering is a form of its
own with its secret, works once, and says kindly when it is too late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.renderers import render_to_response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config
from sqlalchemy import select

from regional311.catalog.queries import forms
from regional311.referral.by_link import (
    LinkUsed,
    answer_by_link,
    ask_by_link,
    can_answer,
    can_say_late,
    say_late,
)
from regional311.referral.lifecycle import SENDER
from regional311.referral.models import Referral
from regional311.referral.questions import MAX_BODY, thread
from regional311.web.forms import (
    Choice,
    Form,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.questions import told_again
from regional311.web.receiving import finish_days, kept_of, shared_said
from regional311.web.telling import telling
from regional311.web.tree import AnswerLink
from regional311.web.wording import DECLINE_REASONS, PRIORITIES, choices, said


class AcceptForm(Schema):
    """Nothing more is needed to accept; a note stays on one's own side."""

    note = SchemaNode(
        String(4000, multiline=True),
        title=_("Note"),
        description=_("For your own side only."),
        widget=TextAreaWidget(rows=2, maxlength=4000),
        missing=None,
    )


class DeclineForm(Schema):
    """Why it is declined: the sender sees it and looks for somebody else."""

    reason = SchemaNode(
        Choice(DECLINE_REASONS),
        title=_("Reason"),
        widget=SelectWidget(values=choices(DECLINE_REASONS)),
    )
    words = SchemaNode(
        String(MAX_BODY, multiline=True),
        title=_("In your own words"),
        description=_("The sender reads it. Needed where no reason above fits."),
        widget=TextAreaWidget(rows=2, maxlength=MAX_BODY),
        missing=None,
    )
    note = SchemaNode(
        String(4000, multiline=True),
        title=_("Note"),
        description=_("For your own side only."),
        widget=TextAreaWidget(rows=2, maxlength=4000),
        missing=None,
    )


class AskForm(Schema):
    """What must be known before it can be answered; the link goes on to work."""

    body = SchemaNode(
        String(MAX_BODY, multiline=True),
        title=_("Your question"),
        description=_("The sender reads it; you are written to when they have answered."),
        widget=TextAreaWidget(rows=3, maxlength=MAX_BODY),
    )


class LateForm(Schema):
    """What became of the person, where nobody answered in time."""

    body = SchemaNode(
        String(MAX_BODY, multiline=True),
        title=_("Say what became of the person all the same"),
        description=_("The sender reads it and records it."),
        widget=TextAreaWidget(rows=4, maxlength=MAX_BODY),
    )


LATE = "late"
ASK = "ask"

FORMS: dict[str, tuple[type[Schema], Any, str]] = {
    "accept": (AcceptForm, _("Accept it"), "accepted"),
    "decline": (DeclineForm, _("Decline it"), "rejected"),
}


def _row(context: AnswerLink, request: Any) -> Any:
    partner, referral_id = context.partner, context.answering.subject_id
    row = request.dbsession.execute(
        select(Referral.__table__).where(
            Referral.tenant_id == partner.id, Referral.id == referral_id
        )
    ).one_or_none()
    if row is None:
        raise HTTPNotFound
    return row


def _late_form(context: AnswerLink, request: Any) -> Form:
    return make_form(
        request,
        LateForm(),
        submit=_("Tell them"),
        name=LATE,
        action=f"/answer/{context.__name__}/{LATE}",
    )


def _ask_form(context: AnswerLink, request: Any) -> Form:
    return make_form(
        request,
        AskForm(),
        submit=_("Ask them"),
        name=ASK,
        action=f"/answer/{context.__name__}/{ASK}",
    )


def _form(context: AnswerLink, request: Any, name: str) -> Form:
    schema, submit, _state = FORMS[name]
    return make_form(
        request, schema(), submit=submit, name=name, action=f"/answer/{context.__name__}/{name}"
    )


@view_config(
    context=AnswerLink,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="answering/referral.jinja2",
)
def look(context: AnswerLink, request: Any) -> dict[str, Any]:
    """What was shared, and the two answers; nothing of it once it is answered."""
    return _page(context, request)


def _page(context: AnswerLink, request: Any, **failed: Form) -> dict[str, Any]:
    row, tell = _row(context, request), telling(request)
    request.response.headers["Referrer-Policy"] = "no-referrer"
    request.response.headers["Cache-Control"] = "no-store"
    open_still = can_answer(row, context.answering.expires_at, request.now)
    shown: dict[str, Any] = {
        "number": row.public_id,
        "partner": context.partner.name,
        "open": open_still,
        "over": request.now >= context.answering.expires_at,
        "inbox": f"/{context.partner.slug}/referrals/{row.public_id}",
        "done": None,
        "opened": next(iter(failed), None),
        "late": None,
    }
    if not open_still:
        session, until = request.dbsession, context.answering.expires_at
        if can_say_late(session, row, until, request.now):
            shown["late"] = failed.get(LATE) or _late_form(context, request)
        shown |= {"thread": [], "waits": False}
        return shown | {"service": None, "facts": [], "shared": [], "asked": [], "forms": []}
    kept = kept_of(row.shared)
    asked = forms(request.dbsession, [kept.form] if kept else ())
    sender = tell.partner(row.counterparty_id)
    return shown | {
        "service": tell.service_name(context.partner.slug, row.service_key),
        "facts": [
            (_("From"), sender),
            (_("Urgency"), said(PRIORITIES, row.urgency)),
            (_("Sent"), tell.when(row.sent_at)),
            (_("Answer due"), tell.day(row.due_at)),
        ],
        "shared": shared_said(tell, request, row.shared),
        "asked": told_again(request, kept, asked, files_at=""),
        "forms": [
            (name, FORMS[name][1], failed.get(name) or _form(context, request, name))
            for name in FORMS
        ]
        + [(ASK, _("Ask something first"), failed.get(ASK) or _ask_form(context, request))],
        "thread": [
            {
                "when": tell.when(each.written_at),
                "who": sender if each.side == SENDER else context.partner.name,
                "body": each.body,
            }
            for each in thread(request.dbsession, row.id)
            if each.body
        ],
        "waits": row.asked_at is not None,
    }


def _answered(context: AnswerLink, request: Any, name: str) -> Any:
    form = _form(context, request, name)
    row, tell = _row(context, request), telling(request)

    def on_success(values: dict[str, Any]) -> Any:
        try:
            answer_by_link(
                request.dbsession,
                now=request.now,
                referral_id=row.id,
                expires_at=context.answering.expires_at,
                to=FORMS[name][2],
                finish_days=finish_days(tell, row),
                followers=tell.followers(),
                **values,
            )
        except LinkUsed:
            request.response.status_int = 409
            return _page(context, request)
        shown = _page(context, request) | {"done": name}
        return render_to_response("answering/referral.jinja2", shown, request=request)

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, **{name: form})
    )


@view_config(
    context=AnswerLink,
    name="accept",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="answering/referral.jinja2",
)
def accept(context: AnswerLink, request: Any) -> Any:
    """Accept it, once."""
    return _answered(context, request, "accept")


@view_config(
    context=AnswerLink,
    name="decline",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="answering/referral.jinja2",
)
def decline(context: AnswerLink, request: Any) -> Any:
    """Decline it with a reason, once."""
    return _answered(context, request, "decline")


@view_config(
    context=AnswerLink,
    name=LATE,
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="answering/referral.jinja2",
)
def late(context: AnswerLink, request: Any) -> Any:
    """Say what became of the person of one that expired, once."""
    return _said(context, request, LATE, _late_form(context, request), say_late)


@view_config(
    context=AnswerLink,
    name=ASK,
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="answering/referral.jinja2",
)
def ask(context: AnswerLink, request: Any) -> Any:
    """Ask the sender something before answering; the link still answers once."""
    return _said(context, request, ASK, _ask_form(context, request), ask_by_link)


def _said(
    context: AnswerLink, request: Any, name: str, form: Any, act: Callable[..., object]
) -> Any:
    def on_success(values: dict[str, Any]) -> Any:
        try:
            act(
                request.dbsession,
                now=request.now,
                referral_id=context.answering.subject_id,
                expires_at=context.answering.expires_at,
                **values,
            )
        except LinkUsed:
            request.response.status_int = 409
            return _page(context, request)
        shown = _page(context, request) | {"done": name}
        return render_to_response("answering/referral.jinja2", shown, request=request)

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, **{name: form})
    )
