"""How long this partner lets its loops stay open: a form beside the files."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.identity.permissions import Permissions as P
from regional311.referral.loop import URGENCIES, loop_of
from regional311.referral.loop_settings import BOUNDS, FOLLOW_UP, set_loop
from regional311.tenancy.models import Tenant
from regional311.web.forms import (
    Form,
    HiddenWidget,
    Integer,
    Schema,
    SchemaNode,
    TextWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.tree import Settings
from regional311.web.wording import PRIORITIES, said

NUMBERS = {
    "attempts": (_("Tries to reach a person"), None),
    "retry_days": (_("Until the next try"), _("Working days.")),
    "remind_days": (
        _("Reminder before word of a referral is due"),
        _("Working days; 0 is on the day."),
    ),
    "escalate_days": (_("Supervisors are told, after it was due"), _("Working days.")),
    "expire_days": (_("It expires, after they were told"), _("Working days.")),
    "outcome_days": (_("A need without outcome is missed after"), _("Days.")),
}


def _form(request: Any, tenant: Any) -> Form:
    schema = Schema()
    loop = loop_of(tenant.settings)
    values: dict[str, Any] = {"revision": tenant.revision}
    for urgency in _urgencies(tenant):
        name = f"follow_up_{urgency}"
        title = _("Follow-up, urgency: ${urgency}", mapping={"urgency": said(PRIORITIES, urgency)})
        schema.add(_number(name, title, _("Working days.")))
        values[name] = loop.days(urgency)
    for name in BOUNDS:
        schema.add(_number(name, *NUMBERS[name]))
        values[name] = getattr(loop, name)
    schema.add(SchemaNode(Integer(), name="revision", title=_("Version"), widget=HiddenWidget()))
    here = f"/{request.tenant.slug}/settings"
    return make_form(
        request, schema, values=values, name="loop", action=f"{here}/loop", cancel_url=here
    )


def _urgencies(tenant: Any) -> list[str]:
    """The urgencies for which the partner has a service level, and so days of its own."""
    there = {each["priority"] for each in tenant.settings.get("service_levels") or ()}
    return [each for each in URGENCIES if each in there]


def _number(name: str, title: Any, description: Any) -> SchemaNode:
    return SchemaNode(
        Integer(),
        name=name,
        title=title,
        description=description,
        widget=TextWidget(inputmode="numeric", maxlength=4),
    )


def _tenant(request: Any) -> Any:
    me = request.tenant.id
    return request.dbsession.execute(
        select(Tenant.settings, Tenant.revision).where(Tenant.tenant_id == me, Tenant.id == me)
    ).one()


@view_config(
    context=Settings,
    name="loop",
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="settings/loop.jinja2",
)
def shown(context: Settings, request: Any) -> dict[str, Any]:
    """The days as they are."""
    return _page(request, _form(request, _tenant(request)))


@view_config(
    context=Settings,
    name="loop",
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="settings/loop.jinja2",
)
def kept(context: Settings, request: Any) -> Any:
    """Keep other days; they hold for what is planned and told from now on."""
    tenant = _tenant(request)
    form = _form(request, tenant)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        set_loop(
            request.dbsession,
            now=request.now,
            revision=values["revision"],
            numbers={name: values[name] for name in BOUNDS},
            follow_up_days={each: values[f"follow_up_{each}"] for each in _urgencies(tenant)},
        )
        request.flash("success", _("Kept."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/settings")

    return handle_form_submission(request, form, on_success, lambda: _page(request, form))


def _page(request: Any, form: Form) -> dict[str, Any]:
    here = f"/{request.tenant.slug}/settings"
    return {
        "form": form,
        "crumbs": [(here, _("Settings")), (None, _("Follow-ups and reminders"))],
        "longest": FOLLOW_UP[1],
    }
