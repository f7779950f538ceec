"""A request that is not ours: whose it is by the rules, handing it on, sending it back, its way."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.identity.permissions import Permissions as P
from regional311.intake import lifecycle
from regional311.intake.models import FollowedRequest
from regional311.referral.handing_on import (
    LONGEST,
    SENT_BACK,
    Suggestion,
    hand_on,
    may_send_back,
    send_back,
    suggest,
    targets,
    way,
)
from regional311.web.forms import (
    Choice,
    HiddenWidget,
    Integer,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.service_choices import grouped
from regional311.web.telling import telling
from regional311.web.tree import RequestRecord
from regional311.web.wording import REQUEST_STATES, kind, said


class HandOnForm(Schema):
    """Whose it is, and why."""

    service = SchemaNode(String(220), title=_("Whose it is"))
    words = SchemaNode(
        String(LONGEST, multiline=True),
        title=_("Why, for whoever gets it"),
        widget=TextAreaWidget(rows=3, maxlength=LONGEST),
    )
    message = SchemaNode(
        String(LONGEST, multiline=True),
        title=_("Words for the person"),
        description=_("They keep their number and their link."),
        widget=TextAreaWidget(rows=3, maxlength=LONGEST),
        missing=None,
    )
    version = SchemaNode(Integer(), title="", widget=HiddenWidget())

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        request = kw["request"]
        tell = telling(request)
        found = targets(tell.published, tell.slug, now=request.now)
        key = request.context.record.service_key
        mine = next(
            (each for each in tell.published.directory.of(tell.slug) if each.key == key), None
        )
        self["service"].typ = Choice([each.ref for each in found])
        self["service"].widget = SelectWidget(values=grouped(tell, found, mine), empty=_("Choose"))


class SendBackForm(Schema):
    """Why it is not ours either."""

    words = SchemaNode(
        String(LONGEST, multiline=True),
        title=_("Why it is not yours either"),
        description=_("Whoever handed it on reads this. It can be sent back once."),
        widget=TextAreaWidget(rows=3, maxlength=LONGEST),
    )
    version = SchemaNode(Integer(), title="", widget=HiddenWidget())


def shown(request: Any, context: RequestRecord) -> dict[str, Any]:
    """What the page of one's own request says of the way that it took."""
    tell, found = telling(request), context.record
    here = request.resource_path(context).rstrip("/")
    works = request.has_permission(P.REQUEST_WORK, context)
    moved = found.handed_to_id is not None or found.handed_from_id is not None
    steps = way(request.dbsession, found.id) if moved else []
    there = None if found.handed_to_id is None else _there(request, found.id)
    back = works and may_send_back(found, steps, request.tenant.id)
    return {
        "handed_to": tell.partner(found.handed_to_id) if found.handed_to_id else None,
        "there": there
        and {
            "state": said(REQUEST_STATES, there.state),
            "kind": kind(REQUEST_STATES, there.state),
            "expected": None if there.closed_at else tell.day(there.expected_at),
            "message": there.public_message,
        },
        "way": [
            {
                "title": _("${one} sent it back to ${other}", mapping=_ends(tell, each))
                if each.how == SENT_BACK
                else _("${one} handed it on to ${other}", mapping=_ends(tell, each)),
                "when": tell.when(each.at),
                "words": each.words,
            }
            for each in steps
        ],
        "hand_on_url": f"{here}/hand-on" if works and found.state in lifecycle.OPEN else None,
        "send_back_form": _back_form(context, request) if back else None,
    }


def _there(request: Any, request_id: UUID) -> Any:
    """What its new owner says of a request that was handed on. One statement."""
    return request.dbsession.execute(
        select(
            FollowedRequest.state,
            FollowedRequest.expected_at,
            FollowedRequest.closed_at,
            FollowedRequest.public_message,
        ).where(FollowedRequest.tenant_id == request.tenant.id, FollowedRequest.id == request_id)
    ).one_or_none()


def _ends(tell: Any, each: Any) -> dict[str, str]:
    return {"one": tell.partner(each.from_id), "other": tell.partner(each.to_id)}


def _back_form(context: RequestRecord, request: Any) -> Any:
    return make_form(
        request,
        SendBackForm(),
        submit=_("Send it back"),
        values={"version": context.record.version},
        name="send-back",
        action=f"{request.resource_path(context).rstrip('/')}/send-back",
    )


def _suggested(context: RequestRecord, request: Any) -> Suggestion:
    tell = telling(request)
    return suggest(tell.published, tell.slug, context.record, now=request.now)


def _form(context: RequestRecord, request: Any) -> Any:
    here = request.resource_path(context).rstrip("/")
    return make_form(
        request,
        HandOnForm(),
        submit=_("Hand it on"),
        values={
            "version": context.record.version,
            "service": _suggested(context, request).service or None,
        },
        name="hand-on",
        action=f"{here}/hand-on",
        cancel_url=here,
    )


def _page(context: RequestRecord, request: Any, form: Any) -> dict[str, Any]:
    tell, found = telling(request), context.record
    suggested = _suggested(context, request)
    partner, _slash, key = suggested.service.partition("/")
    return {
        "form": form,
        "found": found,
        "service": tell.service_name(tell.slug, found.service_key),
        "suggested": f"{tell.partner(partner)}: {tell.service_name(partner, key)}"
        if suggested.service
        else None,
        "sentences": suggested.sentences,
        "where": tell.place(found),
        "description": found.description,
        "crumbs": [
            (f"/{tell.slug}/requests", _("Requests")),
            (f"/{tell.slug}/requests/{found.public_id}", found.public_id),
            (None, _("Hand it on")),
        ],
    }


def _own(context: RequestRecord) -> RequestRecord:
    if not hasattr(context.record, "intake_tenant_id"):
        raise lifecycle.StepNotAllowed("This request lives with another partner, who works it.")
    return context


@view_config(
    context=RequestRecord,
    name="hand-on",
    permission=P.REQUEST_WORK,
    request_method="GET",
    renderer="requests/hand_on.jinja2",
)
def hand_on_page(context: RequestRecord, request: Any) -> dict[str, Any]:
    """Whose it is by the rules, and to whom it can go."""
    return _page(_own(context), request, _form(context, request))


@view_config(
    context=RequestRecord,
    name="hand-on",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/hand_on.jinja2",
)
def hand_it_on(context: RequestRecord, request: Any) -> Any:
    """Hand it on."""
    form, tell = _form(_own(context), request), telling(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        slug = hand_on(
            request.dbsession,
            tell.published,
            now=request.now,
            request_id=context.record.id,
            version=values["version"],
            service=values["service"],
            words=values["words"],
            message=values["message"],
            followers=tell.followers(),
        )
        request.flash(
            "success",
            _(
                "${partner} has it now, and everybody who follows it is told.",
                mapping={"partner": tell.partner(slug)},
            ),
        )
        return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))

    return handle_form_submission(request, form, on_success, lambda: _page(context, request, form))


@view_config(
    context=RequestRecord,
    name="send-back",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/request.jinja2",
)
def send_it_back(context: RequestRecord, request: Any) -> Any:
    """Send it back to whoever handed it on."""
    from regional311.web.views.requests import page_of_own

    form, tell = _back_form(_own(context), request), telling(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        slug = send_back(
            request.dbsession,
            tell.published,
            now=request.now,
            request_id=context.record.id,
            version=values["version"],
            words=values["words"],
            followers=tell.followers(),
        )
        request.flash(
            "success", _("It is with ${partner} again.", mapping={"partner": tell.partner(slug)})
        )
        return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))

    return handle_form_submission(
        request,
        form,
        on_success,
        lambda: page_of_own(context, request, **{"send-back": form}),
    )
