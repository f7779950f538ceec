"""Within which hours messages to people leave: a form beside the files."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.identity.permissions import Permissions as P
from regional311.notices.quiet_settings import set_hours
from regional311.tenancy.models import Tenant
from regional311.web.forms import (
    Form,
    HiddenWidget,
    Integer,
    Schema,
    SchemaNode,
    String,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.tree import Settings


class HoursForm(Schema):
    """From when to when."""

    texts = SchemaNode(
        String(11),
        title=_("Hours for texts"),
        description=_(
            "Like 08:00-21:00, which holds when nothing is said. An answer to somebody who has just"
            " written leaves at once."
        ),
        missing=None,
    )
    mail = SchemaNode(
        String(11),
        title=_("Hours for mail"),
        description=_("Like 07:00-22:00. Mail leaves at any time when nothing is said."),
        missing=None,
    )
    revision = SchemaNode(Integer(), title=_("Version"), widget=HiddenWidget())


def _form(request: Any) -> Form:
    me, here = request.tenant.id, f"/{request.tenant.slug}/settings"
    tenant = request.dbsession.execute(
        select(Tenant.settings, Tenant.revision).where(Tenant.tenant_id == me, Tenant.id == me)
    ).one()
    said = tenant.settings.get("notices") or {}
    return make_form(
        request,
        HoursForm(),
        values={
            "texts": said.get("texts"),
            "mail": said.get("mail"),
            "revision": tenant.revision,
        },
        name="notices",
        action=f"{here}/notices",
        cancel_url=here,
    )


def _page(request: Any, form: Form) -> dict[str, Any]:
    here = f"/{request.tenant.slug}/settings"
    return {"form": form, "crumbs": [(here, _("Settings")), (None, _("When messages leave"))]}


@view_config(
    context=Settings,
    name="notices",
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="settings/notices.jinja2",
)
def shown(context: Settings, request: Any) -> dict[str, Any]:
    """The hours as they are."""
    return _page(request, _form(request))


@view_config(
    context=Settings,
    name="notices",
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="settings/notices.jinja2",
)
def kept(context: Settings, request: Any) -> Any:
    """Keep other hours; what waits already follows them, too, once it was to leave."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        set_hours(request.dbsession, now=request.now, **values)
        request.flash("success", _("Kept."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/settings")

    return handle_form_submission(request, form, on_success, lambda: _page(request, form))
