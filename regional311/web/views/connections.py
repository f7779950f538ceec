"""The system of its own in which a partner works: set up, watched, tried, ended."""

from __future__ import annotations

import re
from typing import Any, Final
from uuid import UUID

from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.view import view_config

from regional311.errors import DomainError, InvalidInput
from regional311.exchange import systems
from regional311.exchange.systems import System
from regional311.identity.permissions import Permissions as P
from regional311.referral.external_delivery import DeadTask, dead_tasks, try_out
from regional311.web.forms import (
    Boolean,
    CheckboxWidget,
    Choice,
    RadioWidget,
    Schema,
    SchemaNode,
    String,
    TextAreaWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Listing
from regional311.web.representations import exported, wanted
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import ConnectionRecord, Connections

WAYS: Final = {
    "push": _("Each sends to the other"),
    "they_poll": _("It fetches from here and sends its answers here"),
    "we_poll": _("It cannot reach us: we fetch from it and send to it"),
}
COLUMNS: Final = ("name", "way", "address", "key_id", "made_at", "told_at", "heard_at", "ended_at")
_SERVICE: Final = re.compile(
    r"\s*([a-z0-9][a-z0-9-]{0,63})\s*=\s*([A-Za-z0-9][A-Za-z0-9._-]{0,99})\s*"
)


def _secret() -> SchemaNode:
    return SchemaNode(
        String(100),
        name="secret",
        title=_("Secret"),
        description=_(
            "The one that the other system made. Leave it empty to make one here: it is shown once."
        ),
        missing=None,
    )


class ConnectionForm(Schema):
    """A system that is to be connected."""

    name = SchemaNode(
        String(100), title=_("Name"), description=_("What the other system is called.")
    )
    way = SchemaNode(
        Choice(WAYS),
        title=_("Who sends"),
        widget=RadioWidget(values=list(WAYS.items())),
    )
    address = SchemaNode(
        String(300),
        title=_("Address of its FHIR interface"),
        description=_(
            "Such as https://partner.example/city/fhir. Empty when it fetches from here. Whoever"
            " runs this installation must have allowed the host."
        ),
        missing=None,
    )
    key_id = SchemaNode(
        String(100),
        title=_("Name of the key"),
        description=_("The same on both sides: small letters, digits, dots and dashes."),
    )
    secret = _secret()
    known_as = SchemaNode(
        String(100),
        title=_("What this partner is called there"),
        description=_("The other system finds by it who is to do the work."),
    )
    services = SchemaNode(
        String(4000, multiline=True),
        title=_("Services that have another key there"),
        description=_("One on a line: our key = their key. Others keep their key."),
        widget=TextAreaWidget(rows=3, maxlength=4000),
        missing=None,
    )


class SecretForm(Schema):
    """A secret that replaces the one that there is."""

    secret = _secret()
    known_to_others = SchemaNode(
        Boolean(),
        title=_("The one before is refused at once"),
        description=_(
            "When others may know it. Otherwise what comes in may be signed with it for a day, so"
            " that both sides need not change it at the same moment."
        ),
        widget=CheckboxWidget(),
        missing=False,
    )


@view_config(
    context=Connections,
    permission=P.SETTINGS_READ,
    request_method="GET",
    renderer="connections/index.jinja2",
)
def listed(context: Connections, request: Any) -> Any:
    """The connection, how it fares, what waits, and what was given up."""
    tell, session = telling(request), request.dbsession
    found = systems.systems(session)
    form = wanted(request)
    if form != "html":
        rows = [{name: getattr(row, name) for name in COLUMNS} for row in found]
        return exported(request, form, "connections.csv", list(COLUMNS), rows)
    current = next((each for each in found if each.ended_at is None), None)
    ended = Listing(request, columns=[Column("name", _("System")), Column("ended", _("Ended"))])
    ended.fill(
        [
            {"name": each.name, "ended": tell.when(each.ended_at)}
            for each in found
            if each.ended_at is not None
        ]
    )
    here = f"/{tell.slug}/connections"
    return {
        "here": here,
        "may_edit": may(request, P.SETTINGS_EDIT),
        "current": current,
        "ended": ended,
        "fhir": f"{request.host_url}/{tell.slug}/fhir",
        **(_standing(request, tell, current) if current else {}),
    }


def _standing(request: Any, tell: Telling, current: System) -> dict[str, Any]:
    session = request.dbsession
    queue = systems.queue(session, current.id)
    never = _("never")
    dead = dead_tasks(session, current.id)
    refused = systems.refused_lately(session, current.id)
    dead_list = Listing(
        request,
        columns=[
            Column("number", _("Referral")),
            Column("since", _("Since")),
            Column("attempts", _("Attempts"), number=True),
            Column("problem", _("Why")),
        ],
    )
    dead_list.fill([_dead(tell, each) for each in dead])
    return {
        "queue": queue,
        "facts": [
            (_("Who sends"), WAYS[current.way]),
            (_("Its address"), current.address),
            (_("Key"), current.key_id),
            (_("This partner is called there"), current.known_as),
            (
                _("Other keys of services"),
                ", ".join(f"{ours} = {theirs}" for ours, theirs in current.services.items())
                or None,
            ),
            (_("Connected"), tell.when(current.made_at)),
            (_("It last took something from us"), tell.when(current.told_at) or never),
            (_("We last took something from it"), tell.when(current.heard_at) or never),
            (
                _("Last fetched"),
                None if current.way == "push" else tell.when(current.polled_at) or never,
            ),
            (_("Told"), str(queue.told)),
            (
                _("Waiting"),
                _(
                    "${count}, the first since ${when}",
                    mapping={"count": queue.waiting, "when": tell.when(queue.oldest)},
                )
                if queue.waiting
                else "0",
            ),
            (_("Given up"), str(queue.dead)),
        ],
        "dead": dead_list,
        "refused": [(tell.when(at), what.partition(":")[2]) for at, what, _subject in refused],
    }


def _dead(tell: Telling, row: DeadTask) -> dict[str, Any]:
    return {
        "id": row.id,
        "number": row.number,
        "since": tell.when(row.changed_at),
        "attempts": row.attempts,
        "problem": row.problem,
    }


def _form(request: Any) -> Any:
    return make_form(
        request,
        ConnectionForm(),
        submit=_("Connect"),
        values={"way": "push", "known_as": request.tenant.slug},
        once=True,
        cancel_url=f"/{request.tenant.slug}/connections",
    )


@view_config(
    context=Connections,
    name="new",
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="connections/new.jinja2",
)
def new(context: Connections, request: Any) -> dict[str, Any]:
    """The form for a new connection."""
    return {"form": _form(request), "title": _("Connect a system")}


@view_config(
    context=Connections,
    name="new",
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="connections/new.jinja2",
)
def connect(context: Connections, request: Any) -> Any:
    """Set the connection up, and show its secret once if it was made here."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> Any:
        configured = request.registry.configured
        secret = systems.connect(
            request.dbsession,
            **{**values, "services": _services(values["services"])},
            hosts=configured.exchange_hosts,
            sealed_by=configured.secret,
            now=request.now,
        )
        return _made(request, values["name"], secret)

    found = {"form": form, "title": _("Connect a system")}
    return handle_form_submission(request, form, on_success, lambda: found)


def _services(text: str | None) -> dict[str, str]:
    found = {}
    for at, line in enumerate((text or "").splitlines(), start=1):
        if not line.strip():
            continue
        parts = _SERVICE.fullmatch(line)
        if parts is None:
            raise InvalidInput(
                _("Line ${line} is not written as our-key = their-key.", mapping={"line": at}),
                field="services",
            )
        found[parts[1]] = parts[2]
    return found


def _made(request: Any, name: str, secret: str | None) -> Any:
    if secret is None:
        request.flash("success", _("Saved. The secret is not shown again."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/connections")
    shown = {"name": name, "secret": secret}
    answer = render_to_response("connections/made.jinja2", shown, request=request)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _change_form(request: Any, record: Any) -> Any:
    services = "\n".join(f"{ours} = {theirs}" for ours, theirs in record.services.items())
    values = {name: getattr(record, name) for name in ("name", "way", "key_id", "known_as")}
    schema = ConnectionForm()
    del schema["secret"]
    return make_form(
        request,
        schema,
        submit=_("Save"),
        values=values | {"address": record.address or "", "services": services},
        once=True,
        cancel_url=f"/{request.tenant.slug}/connections",
    )


@view_config(
    context=ConnectionRecord,
    name="change",
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="connections/new.jinja2",
)
def change(context: ConnectionRecord, request: Any) -> dict[str, Any]:
    """The form that changes a connection in place."""
    return {"form": _change_form(request, context.record), "title": _("Change the connection")}


@view_config(
    context=ConnectionRecord,
    name="change",
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="connections/new.jinja2",
)
def save_change(context: ConnectionRecord, request: Any) -> Any:
    """Change it: its secret, what waits and how far it has come stay."""
    form = _change_form(request, context.record)

    def on_success(values: dict[str, Any]) -> Any:
        systems.amend(
            request.dbsession,
            context.record.id,
            **{**values, "services": _services(values["services"])},
            hosts=request.registry.configured.exchange_hosts,
            now=request.now,
        )
        request.flash("success", _("Saved. Nothing that waited is lost."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/connections")

    found = {"form": form, "title": _("Change the connection")}
    return handle_form_submission(request, form, on_success, lambda: found)


def _secret_form(request: Any) -> Any:
    return make_form(
        request,
        SecretForm(),
        submit=_("Replace the secret"),
        once=True,
        cancel_url=f"/{request.tenant.slug}/connections",
    )


@view_config(
    context=ConnectionRecord,
    name="secret",
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="connections/new.jinja2",
)
def secret(context: ConnectionRecord, request: Any) -> dict[str, Any]:
    """The form that replaces a secret."""
    return {"form": _secret_form(request), "title": _("Replace the secret")}


@view_config(
    context=ConnectionRecord,
    name="secret",
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="connections/new.jinja2",
)
def replace_secret(context: ConnectionRecord, request: Any) -> Any:
    """Replace the secret at once."""
    form = _secret_form(request)

    def on_success(values: dict[str, Any]) -> Any:
        made = systems.change_secret(
            request.dbsession,
            context.record.id,
            values["secret"],
            sealed_by=request.registry.configured.secret,
            now=request.now,
            known_to_others=values["known_to_others"],
        )
        return _made(request, context.record.name, made)

    found = {"form": form, "title": _("Replace the secret")}
    return handle_form_submission(request, form, on_success, lambda: found)


@view_config(
    context=ConnectionRecord, name="test", permission=P.SETTINGS_EDIT, request_method="POST"
)
def test(context: ConnectionRecord, request: Any) -> HTTPSeeOther:
    """Ask the other system for nothing, signed, and say what came of it."""
    configured = request.registry.configured
    try:
        found = systems.opened(request.dbsession, sealed_by=configured.secret)
        problem = (
            _("This connection has ended, or has no secret yet.")
            if found is None or found.system.id != context.record.id
            else try_out(found, now=request.now, settings=configured)
        )
    except DomainError as error:
        problem = error.message
    if problem is None:
        request.flash("success", _("It answered, and took our signature."))
    else:
        request.flash("error", problem)
    return HTTPSeeOther(location=f"/{request.tenant.slug}/connections")


@view_config(
    context=ConnectionRecord, name="end", permission=P.SETTINGS_EDIT, request_method="POST"
)
def end(context: ConnectionRecord, request: Any) -> HTTPSeeOther:
    """End the connection: nothing goes out or comes in by it any more."""
    systems.end(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("The connection has ended. Its referrals are worked here again."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/connections")


@view_config(context=Connections, name="retry", permission=P.SETTINGS_EDIT, request_method="POST")
def retry(context: Connections, request: Any) -> HTTPSeeOther:
    """Put what was given up back into the queue."""
    try:
        task_id = UUID(str(request.POST.get("task", "")))
    except ValueError:
        raise HTTPBadRequest from None
    systems.retry(request.dbsession, task_id, now=request.now)
    request.flash("success", _("It is tried again now."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/connections")
