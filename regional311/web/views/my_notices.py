"""Which notices one gets by mail at a partner: at once, once a day with others, or never."""

from __future__ import annotations

from typing import Any, Final

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.errors import NotFound
from regional311.identity.members import find_member
from regional311.identity.permissions import Permissions as P
from regional311.notices.choosing import ALWAYS, TO_STAFF, choices, choose
from regional311.web.forms import (
    Choice,
    Form,
    Schema,
    SchemaNode,
    SelectWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.message_wording import EVENTS
from regional311.web.tree import TenantNode
from regional311.web.wording import said

HOWS: Final = {
    "at_once": _("At once"),
    "daily": _("Once a day, with others"),
    "never": _("Not by mail"),
}
FOR: Final = {
    "referral": P.REFERRAL_ACCEPT,
    "agreement": P.AGREEMENT_EDIT,
    "reviews": P.SERVICE_WORK,
    "suggestions": P.SERVICE_WORK,
    "publishing": P.SERVICE_EDIT,
    "budget": P.SCENARIO_READ,
    "payment": P.SETTLEMENT_READ,
    "dispute": P.DISPUTE_READ,
    "accommodation": P.ACCOMMODATION_WORK,
    "line": P.CONTACT_TAKE,
    "rules": P.RULE_EDIT,
}
"""Who may be told of what: by how an event's name begins; of any other everybody."""


def _mine(request: Any) -> list[str]:
    permissions = request.identity.permissions(request.tenant.id)
    return sorted(
        event
        for event in TO_STAFF
        if FOR.get(event.partition("_")[0], P.TENANT_ENTER) in permissions
    )


def _form(request: Any) -> Form:
    schema = Schema()
    there = list(HOWS.items())
    for event in _mine(request):
        if event not in ALWAYS:
            schema.add(
                SchemaNode(
                    Choice(there),
                    name=event,
                    title=said(EVENTS, event),
                    widget=SelectWidget(values=there, empty=None),
                )
            )
    chosen = choices(request.dbsession, request.identity.person_id)
    here = f"/{request.tenant.slug}"
    return make_form(
        request,
        schema,
        values={event: chosen.get(event, "at_once") for event in TO_STAFF},
        name="notices",
        action=f"{here}/notices",
        cancel_url=f"{here}/me",
    )


def _page(request: Any, form: Form) -> dict[str, Any]:
    here = f"/{request.tenant.slug}"
    mine = _mine(request)
    return {
        "form": form,
        "any": any(each not in ALWAYS for each in mine),
        "always": [said(EVENTS, each) for each in mine if each in ALWAYS],
        "crumbs": [(f"{here}/me", request.identity.name), (None, _("What I get by mail"))],
    }


@view_config(
    context=TenantNode,
    name="notices",
    permission=P.TENANT_ENTER,
    request_method="GET",
    renderer="people/notices.jinja2",
)
def notices(context: TenantNode, request: Any) -> dict[str, Any]:
    """How one gets each kind of notice."""
    return _page(request, _form(request))


@view_config(
    context=TenantNode,
    name="notices",
    permission=P.TENANT_ENTER,
    request_method="POST",
    renderer="people/notices.jinja2",
)
def kept(context: TenantNode, request: Any) -> Any:
    """Keep it; what waits to leave already follows it, too."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        person_id = request.identity.person_id
        member = find_member(request.dbsession, person_id)
        if member is None:
            raise NotFound("You are no member here.")
        choose(request.dbsession, person_id, member.email, values, now=request.now)
        request.flash("success", _("Kept."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/notices")

    return handle_form_submission(request, form, on_success, lambda: _page(request, form))
