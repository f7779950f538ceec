"""Where a program is told by webhook that requests move on: set, tried, ended; its secret once."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.view import view_config

from regional311.identity.permissions import Permissions as P
from regional311.intake import program_hooks
from regional311.web.forms import (
    Schema,
    SchemaNode,
    String,
    TextWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.telling import telling
from regional311.web.tree import ClientRecord


class HookForm(Schema):
    """Where the program is told."""

    address = SchemaNode(
        String(program_hooks.LONGEST),
        title=_("Address"),
        description=_(
            "On a host that whoever runs this installation has listed, such as "
            "https://works.example/regional311."
        ),
        widget=TextWidget(type="url", autocomplete="off"),
    )


def _here(request: Any, context: ClientRecord) -> str:
    return f"/{request.tenant.slug}/clients/{context.record.id}"


def _form(context: ClientRecord, request: Any, hook: program_hooks.Hook | None) -> Any:
    return make_form(
        request,
        HookForm(),
        submit=_("Use this address, with a new secret") if hook else _("Tell it there"),
        values={"address": hook.address} if hook else None,
        name="hook",
        action=f"{_here(request, context)}/webhook",
        cancel_url=f"/{request.tenant.slug}/clients",
    )


def _page(context: ClientRecord, request: Any, form: Any) -> dict[str, Any]:
    hook, slug = program_hooks.hook_of(request.dbsession, context.record.id), request.tenant.slug
    return {
        "name": context.record.name,
        "hook": hook,
        "since": telling(request).when(hook.made_at) if hook else None,
        "here": _here(request, context),
        "messages_url": f"/{slug}/messages?channel={program_hooks.CHANNEL}",
        "form": form or _form(context, request, hook),
    }


@view_config(
    context=ClientRecord,
    name="webhook",
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="clients/webhook.jinja2",
)
def shown(context: ClientRecord, request: Any) -> dict[str, Any]:
    """Where it is told now."""
    return _page(context, request, None)


@view_config(
    context=ClientRecord,
    name="webhook",
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="clients/webhook.jinja2",
)
def keep(context: ClientRecord, request: Any) -> Any:
    """Tell it at another address, and show the secret, this once."""
    form = _form(context, request, program_hooks.hook_of(request.dbsession, context.record.id))

    def on_success(values: dict[str, Any]) -> Any:
        configured = request.registry.configured
        secret = program_hooks.set_hook(
            request.dbsession,
            context.record.id,
            values["address"],
            hosts=configured.exchange_hosts,
            sealed_by=configured.secret,
            now=request.now,
        )
        page = {"name": context.record.name, "secret": secret, "here": _here(request, context)}
        answer = render_to_response("clients/hook_secret.jinja2", page, request=request)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return handle_form_submission(request, form, on_success, lambda: _page(context, request, form))


@view_config(
    context=ClientRecord, name="end-webhook", permission=P.SETTINGS_EDIT, request_method="POST"
)
def end(context: ClientRecord, request: Any) -> HTTPSeeOther:
    """Tell it nothing any more."""
    program_hooks.end_hook(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("The program is told nothing any more."))
    return HTTPSeeOther(location=f"{_here(request, context)}/webhook")


@view_config(
    context=ClientRecord, name="try-webhook", permission=P.SETTINGS_EDIT, request_method="POST"
)
def try_it(context: ClientRecord, request: Any) -> HTTPSeeOther:
    """Send it a message that only says that it is a test."""
    program_hooks.try_hook(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("A test is on its way: see its messages."))
    return HTTPSeeOther(location=f"{_here(request, context)}/webhook")
