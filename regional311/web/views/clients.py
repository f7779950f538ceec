"""Programs that may use a partner's interfaces: their keys, shown once, revocable at once."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.view import view_config

from regional311.identity.clients import (
    A_MINUTE,
    GRACE,
    MOST_A_MINUTE,
    Client,
    clients,
    make_client,
    revoke,
    rotate,
)
from regional311.identity.permissions import Permissions as P
from regional311.web.forms import (
    CheckboxGroupWidget,
    Choices,
    Integer,
    NumberWidget,
    Schema,
    SchemaNode,
    String,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.representations import exported, wanted
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import ClientRecord, Clients

SCOPES = {
    "open311:requests": _("Send requests (Open311)"),
    "open311:updates": _("Send updates of requests (Open311)"),
    "911:handovers": _("Hand over calls that are no emergency (911 center)"),
    "request:read": _("Read requests"),
    "request:work": _("Work requests: assign, note, close, open again"),
    "request:confidential": _("See what is confidential, too"),
    "referral:read": _("Read referrals, exactly as they were shared, and figures of them"),
    "referral:accept": _("Answer referrals: accept, reject, hold, complete"),
    "contact:read": _("Read contacts: facts and codes, nobody’s words"),
    "inquirer:read": _("Read in contacts who asked, in whose words, and where"),
    "contact:take": _("Log contacts and file requests"),
    "contact:edit": _("Say what became of needs"),
    "service:read": _("Read services, their questions, and who answers which line"),
    "statement:read": _("Read statements"),
}
"""What each scope opens, in the order in which they are offered."""

HINTS = {
    "open311:requests": _("Open311 shows what is public to everybody; a key only sends."),
    "request:confidential": _(
        "Goes with other scopes: without it what is confidential is not there."
    ),
    "inquirer:read": _("Personal. Goes with reading contacts."),
    "referral:read": _("Personal: it holds what the sender shared."),
}
COLUMNS = (
    "id",
    "name",
    "key_end",
    "scopes",
    "a_minute",
    "made_at",
    "used_at",
    "rotated_at",
    "before_until",
    "revoked_at",
)


class ClientForm(Schema):
    """A program that is to get a key."""

    name = SchemaNode(
        String(100), title=_("Name"), description=_("Such as the name of the app or its maker.")
    )
    scopes = SchemaNode(
        Choices(list(SCOPES.items())),
        title=_("What it may do"),
        description=_("As little as it needs: a key that is lost is good for no more."),
        widget=CheckboxGroupWidget(
            values=[
                (key, label, HINTS[key]) if key in HINTS else (key, label)
                for key, label in SCOPES.items()
            ]
        ),
    )
    a_minute = SchemaNode(
        Integer(),
        title=_("Calls a minute, at most"),
        description=_("Of Open311 only calls that send something count; of JSON, all do."),
        widget=NumberWidget(min=1, max=MOST_A_MINUTE),
    )


@view_config(
    context=Clients,
    permission=P.SETTINGS_READ,
    request_method="GET",
    renderer="clients/index.jinja2",
)
def listed(context: Clients, request: Any) -> Any:
    """Every program with a key, and when it was last used."""
    tell = telling(request)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Program")),
            Column("scopes", _("What it may do")),
            Column("a_minute", _("A minute"), number=True),
            Column("used_at", _("Last used")),
        ],
        filters=[
            Filter(
                "state",
                _("Key"),
                choices=[("good", _("Good")), ("revoked", _("Revoked"))],
            )
        ],
        csv=True,
    )
    state = listing.values["state"]
    rows = [
        each
        for each in clients(request.dbsession)
        if state in (None, "revoked" if each.revoked_at else "good")
    ]
    form = wanted(request)
    if form != "html":
        return exported(request, form, "programs.csv", COLUMNS, [_facts(row) for row in rows])
    listing.fill(
        [
            {
                **_facts(row),
                "scopes": [SCOPES[each] for each in row.scopes],
                "used": tell.when(row.used_at),
                "revoked": tell.when(row.revoked_at),
                "rotated": tell.when(row.rotated_at),
                "both_until": tell.when(row.before_until)
                if row.before_until and row.before_until > request.now
                else None,
            }
            for row in rows
        ],
        total=len(rows),
    )
    return {
        "listing": listing,
        "may_edit": may(request, P.SETTINGS_EDIT),
        "open311_url": f"{request.host_url}/{request.tenant.slug}/open311/v2/discovery.json",
        "api_url": f"{request.host_url}/api",
    }


def _facts(row: Client) -> dict[str, Any]:
    return {name: getattr(row, name) for name in COLUMNS}


def _form(request: Any) -> Any:
    return make_form(
        request,
        ClientForm(),
        submit=_("Make a key"),
        values={"a_minute": A_MINUTE, "scopes": ["open311:requests"]},
        once=True,
        cancel_url=f"/{request.tenant.slug}/clients",
    )


@view_config(
    context=Clients,
    name="new",
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="clients/new.jinja2",
)
def new(context: Clients, request: Any) -> dict[str, Any]:
    """The form for a new program."""
    return {"form": _form(request)}


@view_config(
    context=Clients,
    name="new",
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="clients/new.jinja2",
)
def make(context: Clients, request: Any) -> Any:
    """Make a key and show it, this once."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> Any:
        key = make_client(request.dbsession, now=request.now, **values)
        return _shown_once(request, values["name"], key, None)

    return handle_form_submission(request, form, on_success, lambda: {"form": form})


def _shown_once(request: Any, name: str, key: str, both_until: Any) -> Any:
    shown = {"name": name, "key": key, "both_until": both_until}
    answer = render_to_response("clients/made.jinja2", shown, request=request)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@view_config(context=ClientRecord, name="rotate", permission=P.SETTINGS_EDIT, request_method="POST")
def change_key(context: ClientRecord, request: Any) -> Any:
    """Give a program a new key, shown this once; the one before goes on for a day, or ends now."""
    now, at_once = request.now, request.POST.get("at_once") == "yes"
    key = rotate(request.dbsession, context.record.id, now=now, at_once=at_once)
    until = None if at_once else telling(request).when(now + GRACE)
    return _shown_once(request, context.record.name, key, until)


@view_config(context=ClientRecord, name="revoke", permission=P.SETTINGS_EDIT, request_method="POST")
def end(context: ClientRecord, request: Any) -> Any:
    """End a key at once."""
    revoke(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("The key is revoked: nobody can use it any more."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/clients")
