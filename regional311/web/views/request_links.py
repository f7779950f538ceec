"""What a request has to do with others: parts and wholes, what it follows, what it holds up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.audit.service import record
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.intake import lifecycle, links
from regional311.referral.splitting import MOST, Part, services_for_parts, split
from regional311.tenancy.once import once
from regional311.web.forms import (
    Choice,
    HiddenWidget,
    Integer,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    TextWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.forms.rows import pressed, rows
from regional311.web.i18n import _
from regional311.web.service_choices import grouped
from regional311.web.telling import Telling, telling
from regional311.web.tree import RequestRecord
from regional311.web.wording import LINKS, REQUEST_STATES, choices, kind, said


class LinkForm(Schema):
    """Another request, and what it is to this one."""

    kind = SchemaNode(
        Choice(tuple(LINKS)),
        title=_("The other one is, to this one"),
        widget=SelectWidget(values=choices(LINKS)),
    )
    number = SchemaNode(
        String(40),
        title=_("Its number"),
        widget=TextWidget(maxlength=40, autocomplete="off"),
    )
    partner = SchemaNode(Choice(()), title=_("With whom it is"))

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        tell = telling(kw["request"])
        partners = [(tell.slug, tell.partner(tell.slug))]
        region = tell.published.region(tell.today)
        partners += [
            (slug, tell.partner(slug))
            for slug in sorted(tell.published.ids)
            if slug != tell.slug and region.may_send(tell.slug, slug)
        ]
        self["partner"].typ = Choice([slug for slug, _name in partners])
        self["partner"].widget = SelectWidget(values=partners, empty=None)


class PartRow(Schema):
    """One part."""

    service = SchemaNode(String(200), title=_("Service"))
    words = SchemaNode(
        String(2000, multiline=True),
        title=_("What is to be done"),
        widget=TextAreaWidget(rows=2, maxlength=2000),
    )

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        tell = telling(kw["request"])
        services = services_for_parts(tell.published, tell.slug, now=kw["request"].now)
        self["service"].typ = Choice([each.ref for each in services])
        self["service"].widget = SelectWidget(values=grouped(tell, services), empty=_("Choose"))


class SplitForm(Schema):
    """The parts of a request."""

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.add(SchemaNode(Integer(), name="version", title="", widget=HiddenWidget()))
        self.add(
            rows(
                "parts",
                PartRow(),
                title=_("Parts"),
                row_title=_("Part ${number}"),
                add=_("Add a part"),
            )
        )


def shown(request: Any, context: RequestRecord) -> dict[str, Any]:
    """What the page of one's own request says of its links, and the form to add one."""
    tell, found = telling(request), context.record
    known = linked(request, found)
    works = request.has_permission(P.REQUEST_WORK, context)
    here = request.resource_path(context).rstrip("/")
    still_open = links.open_parts(known)
    parts = [each for each in known if each.kind == "part"]
    return {
        "links": [_link(tell, request, each) for each in known],
        "parts_open": len(still_open),
        "parts_done": bool(parts) and not still_open and found.state not in lifecycle.CLOSED,
        "link_form": make_form(
            request, LinkForm(), submit=_("Link them"), name="link", action=f"{here}/link"
        )
        if works
        else None,
        "split_url": f"{here}/split" if works and found.state not in lifecycle.CLOSED else None,
        "unlink_url": f"{here}/unlink" if works else None,
    }


def linked(request: Any, found: Any) -> list[links.Linked]:
    """The links of the request that this page is about, asked once; none when it has none."""
    made: list[links.Linked] | None = getattr(request, "made_links", None)
    if made is None:
        made = links.links(request.dbsession, found.id) if getattr(found, "linked", 0) else []
        request.made_links = made
    return made


def _link(tell: Telling, request: Any, each: links.Linked) -> dict[str, Any]:
    here = each.other_tenant_id == request.tenant.id
    return {
        "id": each.id,
        "kind": said(LINKS, each.kind),
        "number": each.other_number,
        # one's own, and parts at other partners, which are followed here
        "url": f"/{tell.slug}/requests/{each.other_number}"
        if here or each.kind == "part"
        else None,
        "service": tell.service_name(each.other_tenant_id, each.other_service_key),
        "partner": None if here else tell.partner(each.other_tenant_id),
        "state": said(REQUEST_STATES, each.other_state),
        "state_kind": kind(REQUEST_STATES, each.other_state),
    }


@view_config(
    context=RequestRecord,
    name="link",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/request.jinja2",
)
def link(context: RequestRecord, request: Any) -> Any:
    """Link the request with another one."""
    from regional311.web.views.requests import page_of_own

    tell = telling(request)
    here = request.resource_path(_own(context)).rstrip("/")
    form = make_form(request, LinkForm(), submit=_("Link them"), name="link", action=f"{here}/link")

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        session = request.dbsession
        other = links.side_of(session, tell.published.ids[values["partner"]], values["number"])
        one = links.own_side(session, context.record.id)
        links.link(session, one, values["kind"], other, now=request.now)
        request.flash("success", _("The two are linked, and both show it."))
        return HTTPSeeOther(location=here)

    return handle_form_submission(
        request, form, on_success, lambda: page_of_own(context, request, link=form)
    )


@view_config(context=RequestRecord, name="unlink", permission=P.REQUEST_WORK, request_method="POST")
def unlink(context: RequestRecord, request: Any) -> HTTPSeeOther:
    """End a link."""
    try:
        link_id = UUID(str(request.POST.get("link", "")))
    except ValueError:
        raise InvalidInput(_("Choose one of those listed."), field="link") from None
    number = links.unlink(request.dbsession, _own(context).record.id, link_id, now=request.now)
    request.flash("success", _("The link with ${number} has ended.", mapping={"number": number}))
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


def _split_form(context: RequestRecord, request: Any) -> Any:
    here = request.resource_path(_own(context)).rstrip("/")
    return make_form(
        request,
        SplitForm(),
        submit=_("Split it"),
        values={"version": context.record.version},
        name="split",
        action=f"{here}/split",
        cancel_url=here,
        once=True,
    )


def _split_page(context: RequestRecord, request: Any, form: Any) -> dict[str, Any]:
    tell, found = telling(request), context.record
    return {
        "form": form,
        "found": found,
        "service": tell.service_name(tell.slug, found.service_key),
        "where": tell.place(found),
        "description": found.description,
        "crumbs": [
            (f"/{tell.slug}/requests", _("Requests")),
            (f"/{tell.slug}/requests/{found.public_id}", found.public_id),
            (None, _("Split")),
        ],
    }


@view_config(
    context=RequestRecord,
    name="split",
    permission=P.REQUEST_WORK,
    request_method="GET",
    renderer="requests/split.jinja2",
)
def split_page(context: RequestRecord, request: Any) -> dict[str, Any]:
    """Which parts a request is to have."""
    return _split_page(context, request, _split_form(context, request))


@view_config(
    context=RequestRecord,
    name="split",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/split.jinja2",
)
def split_up(context: RequestRecord, request: Any) -> Any:
    """Split a request into parts."""
    form = _split_form(context, request)
    if pressed(request, form):
        return _split_page(context, request, form)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        parts = [Part(each["service"], each["words"]) for each in values["parts"]]
        if len(parts) > MOST:
            raise InvalidInput(
                _("At most ${most} parts at once.", mapping={"most": MOST}), field="parts"
            )

        def make() -> dict[str, Any]:
            numbers, apart = split(
                request.dbsession,
                telling(request).published,
                now=request.now,
                request_id=context.record.id,
                version=values["version"],
                parts=parts,
            )
            record(
                request.dbsession,
                now=request.now,
                action="request:split",
                subject_kind="request",
                subject_id=context.record.id,
                detail={"numbers": numbers},
            )
            return {"numbers": numbers, "apart": apart}

        made = once(request.dbsession, f"split:{form_key(request)}", values, make)
        if made["numbers"]:
            request.flash(
                "success",
                _("Its parts are ${numbers}.", mapping={"numbers": ", ".join(made["numbers"])}),
            )
        if made["apart"]:
            request.flash(
                "success",
                _(
                    "Confidential, and not linked here: ${numbers}. Keep it if you need it.",
                    mapping={"numbers": ", ".join(made["apart"])},
                ),
            )
        return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))

    return handle_form_submission(
        request, form, on_success, lambda: _split_page(context, request, form)
    )


def _own(context: RequestRecord) -> RequestRecord:
    if not hasattr(context.record, "intake_tenant_id"):
        raise InvalidInput(_("This request lives with another partner, who works it."))
    return context
