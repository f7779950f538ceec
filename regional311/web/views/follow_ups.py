"""Follow-ups: a worklist of whom to ask, one with what was tried, and the next try."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.intake import needs
from regional311.intake.queries import EXPORT, PAGE
from regional311.intake.queries import people as people_of
from regional311.referral import follow_up, follow_up_queries, follow_ups, prohibition
from regional311.referral.loop import loop_of
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
    TextWidget,
    handle_form_submission,
    make_form,
    sent_version,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.loop_wording import (
    FOLLOW_UP_CHANNELS,
    FOLLOW_UP_STATES,
    RESULTS,
    STOP_REASONS,
)
from regional311.web.representations import csv_response, wanted
from regional311.web.telling import call_link, telling
from regional311.web.tree import FollowUpRecord, FollowUps
from regional311.web.views.outcomes import outcome_choices, said_in
from regional311.web.wording import (
    ACTIONS,
    LANGUAGES,
    NEED_STATES,
    PRIORITIES,
    UNMET_REASONS,
    choices,
    kind,
    said,
)

TABS = {
    "due": _("Due"),
    "overdue": _("Overdue"),
    "mine": _("Mine"),
    "ahead": _("Still to come"),
    "held": _("On hold"),
    "done": _("Done"),
}


@view_config(
    context=FollowUps,
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="follow_ups/list.jinja2",
)
def listed(context: FollowUps, request: Any) -> Any:
    """Whom to ask, the most pressing first, by parts, filtered, or as CSV."""
    tell, session = telling(request), request.dbsession
    chosen = request.GET.get("view", "")
    chosen = chosen if chosen in TABS else "due"
    listing = Listing(
        request,
        columns=[
            Column("number", _("Number")),
            Column("service", _("About")),
            Column("status", _("Need")),
            Column("urgency", _("Urgency")),
            Column("language", _("Language")),
            Column("due", _("Due")),
            Column("tries", _("Tries"), number=True),
            Column("claimed", _("Taken by")),
        ],
        filters=[
            Filter("view", _("Show"), choices=list(TABS.items()), type="hidden"),
            Filter("urgency", _("Urgency"), choices=choices(PRIORITIES)),
            Filter("language", _("Language"), choices=choices(LANGUAGES)),
        ],
        csv=True,
    )
    as_csv = wanted(request) == "csv"
    page = follow_up_queries.follow_ups(
        session,
        view=chosen,
        today=tell.today,
        person_id=request.identity.person_id,
        urgency=listing.values["urgency"],
        language=listing.values["language"],
        after=listing.after,
        limit=EXPORT if as_csv else PAGE,
    )
    if as_csv:
        return csv_response(
            request,
            f"follow-ups-{chosen}.csv",
            [
                "number",
                "contact",
                "service",
                "need",
                "urgency",
                "language",
                "due",
                "tries",
                "state",
            ],
            [
                [
                    row.public_id,
                    row.contact,
                    row.service_key,
                    row.status,
                    row.urgency,
                    row.language,
                    row.due_on,
                    row.attempts,
                    row.reason or row.state,
                ]
                for row in page.rows
            ],
        )
    people = people_of(session, [row.claimed_by for row in page.rows])
    listing.fill(
        [
            {
                "public_id": row.public_id,
                "service": tell.service_name(row.service_owner_id, row.service_key),
                "status": said(NEED_STATES, row.status),
                "kind": kind(NEED_STATES, row.status),
                "urgency": said(PRIORITIES, row.urgency),
                "language": said(LANGUAGES, row.language),
                "due": tell.day(row.due_on) if row.state == "open" else tell.day(row.closed_at),
                "late": row.state == "open" and row.held_at is None and row.due_on < tell.today,
                "tries": row.attempts,
                "claimed": people.get(row.claimed_by) if row.claimed_by else None,
                "ended": said(STOP_REASONS, row.reason) if row.reason else None,
            }
            for row in page.rows
        ],
        after=page.after,
    )
    counted = follow_up_queries.counts(
        session, today=tell.today, person_id=request.identity.person_id
    )
    numbers = {
        "due": counted.due,
        "overdue": counted.overdue,
        "mine": counted.mine,
        "held": counted.held,
    }
    here = f"/{tell.slug}/follow-ups"
    return {
        "listing": listing,
        "title": TABS[chosen],
        "done": chosen == "done",
        "tabs": [
            (
                here if key == "due" else f"{here}?view={key}",
                _("${name} (${count})", mapping={"name": label, "count": numbers[key]})
                if numbers.get(key)
                else label,
                key == chosen,
            )
            for key, label in TABS.items()
        ],
    }


class AttemptForm(Schema):
    """What came of trying to ask."""

    result = SchemaNode(
        Choice(RESULTS), title=_("What came of it"), widget=RadioWidget(values=choices(RESULTS))
    )
    channel = SchemaNode(
        Choice(FOLLOW_UP_CHANNELS),
        title=_("How you tried"),
        widget=SelectWidget(values=choices(FOLLOW_UP_CHANNELS), empty=None),
        missing="phone",
        default="phone",
    )
    outcome = SchemaNode(
        String(60),
        title=_("What became of the need"),
        description=_("Ask for it when the person was reached."),
        missing=None,
    )
    unmet_words = SchemaNode(
        String(needs.MAX_WORDS),
        title=_("Why it is not met, in your own words"),
        description=_("For another reason than those listed."),
        widget=TextWidget(),
        missing=None,
    )
    note = SchemaNode(
        String(follow_ups.MAX_NOTE, multiline=True),
        title=_("Note"),
        widget=TextAreaWidget(rows=2, maxlength=follow_ups.MAX_NOTE),
        missing=None,
    )
    version = SchemaNode(Integer(), title=_("Version"), widget=HiddenWidget())


def _form(context: FollowUpRecord, request: Any, found: Any, *, may_leave: bool) -> Any:
    schema = AttemptForm()
    offered = [each for each in choices(RESULTS) if may_leave or each[0] != "left_message"]
    schema["result"].widget = RadioWidget(values=offered)
    schema["outcome"].widget = SelectWidget(values=outcome_choices(request))
    return make_form(
        request,
        schema,
        submit=_("Keep this try"),
        values={"version": found.version, "channel": "phone"},
        name="attempt",
        action=f"{request.resource_path(context).rstrip('/')}/attempt",
    )


@view_config(
    context=FollowUpRecord,
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="follow_ups/follow_up.jinja2",
)
def one(context: FollowUpRecord, request: Any) -> dict[str, Any]:
    """Whom to ask about what, what was tried, and the form for the next try."""
    return _page(context, request)


def _page(context: FollowUpRecord, request: Any, form: Any = None) -> dict[str, Any]:
    tell = telling(request)
    detail = follow_up_queries.follow_up_detail(request.dbsession, context.record.id)
    found = detail.follow_up
    here = request.resource_path(context).rstrip("/")
    is_open = found.state == "open"
    safe = is_open and not detail.contact_prohibited
    loop = loop_of(tell.published.tenant(tell.slug).settings)
    mine = found.claimed_by == request.identity.person_id
    return {
        "found": found,
        "crumbs": [(f"/{tell.slug}/follow-ups", _("Follow-ups")), (None, found.public_id)],
        "service": tell.service_name(found.service_owner_id, found.service_key),
        "state": said(FOLLOW_UP_STATES, found.state),
        "kind": kind(FOLLOW_UP_STATES, found.state),
        "late": is_open and found.held_at is None and found.due_on < tell.today,
        "prohibited": detail.contact_prohibited,
        "contact_url": f"/{tell.slug}/contacts/{found.contact}",
        "call": call_link(detail.phone) if safe and detail.phone and detail.safe_to_call else None,
        "facts": [
            (_("Name"), detail.name if safe else None),
            (_("Phone"), detail.phone if safe and detail.safe_to_call else None),
            (_("Email"), detail.email if safe else None),
            (_("Language"), said(LANGUAGES, found.language)),
            (_("Interpreter"), _("Yes") if detail.interpreter else None),
            (_("May leave a message"), _("Yes") if detail.may_leave_message else _("No")),
            (_("Urgency"), said(PRIORITIES, found.urgency)),
            (_("Due"), tell.day(found.due_on) if is_open else None),
            (_("The clock stands still since"), tell.when(found.held_at) if is_open else None),
            (
                _("Tries"),
                _("${done} of ${most}", mapping={"done": found.attempts, "most": loop.attempts}),
            ),
            (_("Need"), said(NEED_STATES, found.status)),
            (_("Taken by"), detail.people.get(found.claimed_by) if found.claimed_by else None),
            (_("Ended"), tell.when(found.closed_at)),
            (_("Reason"), said(STOP_REASONS, found.reason) if found.reason else None),
        ],
        "claim_url": f"{here}/claim" if is_open and not mine else None,
        "stop_url": f"{here}/stop" if is_open else None,
        "form": (form or _form(context, request, found, may_leave=detail.may_leave_message))
        if safe
        else None,
        "attempts": [
            {
                "when": tell.when(each.at),
                "by": detail.people.get(each.by_id) if each.by_id else None,
                "title": _(
                    "${result} (${channel})",
                    mapping={
                        "result": request.localizer.translate(said(RESULTS, each.result)),
                        "channel": request.localizer.translate(
                            said(FOLLOW_UP_CHANNELS, each.channel)
                        ),
                    },
                ),
                "note": " ".join(
                    filter(
                        None,
                        (
                            request.localizer.translate(said(NEED_STATES, each.need_status))
                            if each.need_status
                            else None,
                            request.localizer.translate(said(UNMET_REASONS, each.unmet_reason))
                            if each.unmet_reason
                            else None,
                            each.note,
                        ),
                    )
                )
                or None,
            }
            for each in reversed(detail.attempts)
        ],
        "history": [
            {
                "when": tell.when(each.at),
                "title": said(ACTIONS, each.action),
                "by": detail.people.get(each.person_id) if each.person_id else None,
            }
            for each in reversed(detail.history)
        ],
    }


@view_config(
    context=FollowUpRecord,
    name="attempt",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="follow_ups/follow_up.jinja2",
)
def attempt(context: FollowUpRecord, request: Any) -> Any:
    """Keep what came of trying to ask."""
    tell, session = telling(request), request.dbsession
    detail = follow_up_queries.follow_up_detail(session, context.record.id)
    form = _form(context, request, detail.follow_up, may_leave=detail.may_leave_message)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        status = reason = None
        if values["outcome"]:
            status, reason = said_in(values["outcome"], values["unmet_words"])
        elif values["result"] == "reached":
            raise InvalidInput(
                _("Say what became of the need, as the person told you."), field="outcome"
            )
        follow_ups.attempt(
            session,
            follow_ups.Tried(
                values["result"],
                values["channel"],
                status,
                reason,
                values["note"],
                values["unmet_words"],
            ),
            now=request.now,
            follow_up_id=context.record.id,
            version=values["version"],
            loop=loop_of(tell.published.tenant(tell.slug).settings),
            calendar=tell.published.calendars[tell.slug],
        )
        if values["result"] == "not_safe":
            prohibition.prohibit(
                session,
                now=request.now,
                contact_id=detail.follow_up.contact_id,
                url=request.registry.configured.url,
            )
        request.flash("success", _("Kept."))
        return HTTPSeeOther(location=f"/{tell.slug}/follow-ups/{context.__name__}")

    return handle_form_submission(request, form, on_success, lambda: _page(context, request, form))


@view_config(context=FollowUpRecord, name="claim", permission=P.CONTACT_TAKE, request_method="POST")
def claim(context: FollowUpRecord, request: Any) -> HTTPSeeOther:
    """Take it oneself."""
    follow_ups.claim(
        request.dbsession,
        now=request.now,
        follow_up_id=context.record.id,
        version=sent_version(request),
    )
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


@view_config(context=FollowUpRecord, name="stop", permission=P.CONTACT_TAKE, request_method="POST")
def stop(context: FollowUpRecord, request: Any) -> HTTPSeeOther:
    """End it: nobody needs to ask any more."""
    follow_ups.stop(
        request.dbsession,
        now=request.now,
        follow_up_id=context.record.id,
        version=sent_version(request),
        reason="not_needed",
    )
    request.flash("success", _("Stopped."))
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


assert set(RESULTS) == set(follow_up.RESULTS)
assert set(UNMET_REASONS) == set(needs.UNMET_REASONS)
