"""One's own page at a partner: the languages that one speaks with callers."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.cover.spoken import speak, spoken_by
from regional311.identity.permissions import Permissions as P
from regional311.web.billing_wording import ROLES
from regional311.web.forms import (
    CheckboxGroupWidget,
    Choices,
    Form,
    Schema,
    SchemaNode,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.tree import TenantNode
from regional311.web.wording import LANGUAGES, said


def languages_form(request: Any, spoken: list[str], *, action: str, cancel: str) -> Form:
    """The form that says which languages a member speaks."""
    schema = Schema()
    schema.add(
        SchemaNode(
            Choices(LANGUAGES),
            name="languages",
            title=_("Languages spoken with callers"),
            description=_(
                "Whoever rings this partner sees them, and who speaks the caller's first."
            ),
            widget=CheckboxGroupWidget(values=list(LANGUAGES.items())),
            missing=(),
        )
    )
    return make_form(
        request,
        schema,
        submit=_("Save the languages"),
        values={"languages": spoken},
        name="languages",
        action=action,
        cancel_url=cancel,
    )


def _form(request: Any) -> Form:
    spoken = spoken_by(request.dbsession, request.identity.person_id)
    here = f"/{request.tenant.slug}"
    return languages_form(request, spoken, action=f"{here}/me", cancel=here)


def _page(request: Any, form: Form) -> dict[str, Any]:
    roles = sorted(request.identity.roles(request.tenant.id))
    return {
        "form": form,
        "name": request.identity.name,
        "facts": [
            (_("Works for"), request.tenant.name),
            (_("Roles"), ", ".join(str(said(ROLES, each)) for each in roles)),
        ],
    }


@view_config(
    context=TenantNode,
    name="me",
    permission=P.TENANT_ENTER,
    request_method="GET",
    renderer="people/me.jinja2",
)
def me(context: TenantNode, request: Any) -> dict[str, Any]:
    """Who one is here, and which languages one speaks."""
    return _page(request, _form(request))


@view_config(
    context=TenantNode,
    name="me",
    permission=P.TENANT_ENTER,
    request_method="POST",
    renderer="people/me.jinja2",
)
def save(context: TenantNode, request: Any) -> Any:
    """Keep which languages one speaks; a duty that is on shows them at once."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        speak(
            request.dbsession,
            request.identity.person_id,
            values["languages"],
            now=request.now,
        )
        request.flash("success", _("Saved: others see it from now on."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/me")

    return handle_form_submission(request, form, on_success, lambda: _page(request, form))
