"""Secrets by which what brings a partner texts and calls signs: made, replaced, revoked."""

from __future__ import annotations

from typing import Any, Final

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.view import view_config

from regional311.identity.permissions import Permissions as P
from regional311.inbox import hook_secrets
from regional311.inbox.models import HOOKS
from regional311.web.i18n import _
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import Hooks

NAMES: Final = {"texts": _("Texts"), "calls": _("Calls")}
WHO: Final = {
    "texts": _("What the provider of texts brings for this partner's numbers, and its reports."),
    "calls": _("What the telephone system tells of calls to this partner's lines."),
}


@view_config(
    context=Hooks, permission=P.SETTINGS_READ, request_method="GET", renderer="hooks/index.jinja2"
)
def listed(context: Hooks, request: Any) -> dict[str, Any]:
    """Where texts and calls come in, and which secret is good for them."""
    tell, configured = telling(request), request.registry.configured
    found = hook_secrets.kept(request.dbsession)
    shared = {"texts": configured.text_secret, "calls": configured.phone_secret}
    rows = []
    for hook in HOOKS:
        own = found.get(hook)
        former = own.former_until if own is not None else None
        rows.append(
            {
                "hook": hook,
                "name": NAMES[hook],
                "who": WHO[hook],
                "address": f"{request.host_url}/{hook}",
                "own": own is not None,
                "made": tell.when(own.made_at) if own is not None else None,
                "former": tell.when(former)
                if former is not None and former > request.now
                else None,
                "shared": own is None and shared[hook] is not None,
            }
        )
    return {
        "rows": rows,
        "here": f"/{tell.slug}/hooks",
        "may_edit": may(request, P.SETTINGS_EDIT),
    }


@view_config(context=Hooks, name="make", permission=P.SETTINGS_EDIT, request_method="POST")
def make(context: Hooks, request: Any) -> Any:
    """Make a secret of this partner's own, and show it once."""
    hook = _asked(request)
    made = hook_secrets.make(
        request.dbsession, hook, sealed_by=request.registry.configured.secret, now=request.now
    )
    return _shown(request, hook, made)


@view_config(context=Hooks, name="replace", permission=P.SETTINGS_EDIT, request_method="POST")
def replace(context: Hooks, request: Any) -> Any:
    """Replace a secret; the one before is good for a day more, unless others may know it."""
    hook = _asked(request)
    made = hook_secrets.replace(
        request.dbsession,
        hook,
        sealed_by=request.registry.configured.secret,
        now=request.now,
        at_once="at_once" in request.POST,
    )
    return _shown(request, hook, made)


@view_config(context=Hooks, name="revoke", permission=P.SETTINGS_EDIT, request_method="POST")
def revoke(context: Hooks, request: Any) -> HTTPSeeOther:
    """End a secret at once."""
    hook_secrets.revoke(request.dbsession, _asked(request), now=request.now)
    request.flash("success", _("Revoked: what is signed with it is refused from now on."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/hooks")


def _asked(request: Any) -> str:
    hook = str(request.POST.get("hook", ""))
    if hook not in HOOKS:
        raise HTTPNotFound
    return hook


def _shown(request: Any, hook: str, secret: str) -> Any:
    shown = {"name": NAMES[hook], "secret": secret}
    answer = render_to_response("hooks/made.jinja2", shown, request=request)
    answer.headers["Cache-Control"] = "no-store"
    return answer
