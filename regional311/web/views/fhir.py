"""Referrals as FHIR for the system in which a partner works: signed messages in, tasks out."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.errors import Conflict, DomainError, Forbidden, NotFound
from regional311.exchange import systems
from regional311.exchange.fhir import (
    FHIR_VERSION,
    GUIDE,
    TASK_PROFILE,
    Fault,
    outcome,
    read_task,
    resources,
)
from regional311.exchange.sealing import SealBroken
from regional311.exchange.signing import Message, SignatureRefused, authority
from regional311.exchange.systems import System
from regional311.exchange.transport import JSON
from regional311.referral import external, external_delivery
from regional311.web.answer_links import answer_link
from regional311.web.telling import telling
from regional311.web.tree import Fhir, FhirTask, FhirTasks

LARGEST: Final = 256 * 1024
"""Bytes of one message; a referral is a few thousand."""

MOST: Final = 200
"""Tasks of one page."""

UNPROCESSABLE: Final = ("business-rule", "not-found")


def _status(error: DomainError) -> tuple[int, str]:
    match error:
        case SignatureRefused():
            return 401, "login"
        case SealBroken():
            return 503, "transient"
        case Fault():
            return (422 if error.issue in UNPROCESSABLE else 400), error.issue
        case Forbidden():
            return 403, "forbidden"
        case NotFound():
            return 404, "not-found"
        case Conflict():
            return 409, "conflict"
    return 422, "business-rule"


def fhir(view: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Response]:
    """Let a view answer in FHIR, also when it refuses: an OperationOutcome that names the path."""

    def answer(context: Any, request: Any) -> Response:
        try:
            found = view(context, request)
        except DomainError as error:
            status, code = _status(error)
            path = error.field if isinstance(error, Fault) or "." in (error.field or "") else None
            refused = _reply(outcome([("error", code, error.message, path)]), status)
            if isinstance(error, external.Overtaken):
                refused.headers["X-Tm"] = "commit"  # what came along is kept all the same
            return refused
        return found if isinstance(found, Response) else _reply(found)

    answer.__name__, answer.__doc__ = view.__name__, view.__doc__
    answer.__qualname__, answer.__module__ = view.__qualname__, view.__module__
    return answer


def _reply(content: dict[str, Any], status: int = 200) -> Response:
    body = json.dumps(content, ensure_ascii=False, indent=1).encode()
    response = Response(body, status=status, content_type=JSON, charset="utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response


def _view(context: type, method: str, name: str = "") -> Any:
    return view_config(
        context=context,
        name=name,
        permission=NO_PERMISSION_REQUIRED,
        request_method=method,
        require_csrf=False,  # a message is signed, it never carries a person's cookie
    )


def _heard(request: Any, what: str) -> System:
    """Check that this request is signed by the partner's system, now, and for the first time."""
    if len(request.body) > LARGEST:
        raise Fault("$this", f"is larger than {LARGEST // 1024} KiB.", "too-long")
    return systems.heard(
        request.dbsession,
        Message(
            request.method,
            authority(request.scheme, request.host),
            request.path,
            request.query_string,
            request.body,
        ),
        request.headers,
        what=what,
        sealed_by=request.registry.configured.secret,
        now=request.now,
    )


def _content(request: Any) -> Any:
    try:
        return json.loads(request.body)
    except ValueError:
        raise Fault("$this", "is not JSON.", "structure") from None
    except RecursionError:
        raise Fault("$this", "is nested too deeply.", "structure") from None


@_view(Fhir, "GET", "metadata")
@fhir
def metadata(context: Fhir, request: Any) -> dict[str, Any]:
    """What this interface can do, for everybody: a CapabilityStatement."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-26",
        "kind": "instance",
        "implementation": {
            "description": f"Referrals of {request.tenant.name}",
            "url": request.path_url.removesuffix("/metadata"),
        },
        "fhirVersion": FHIR_VERSION,
        "format": [JSON],
        "implementationGuide": [f"{GUIDE}/ImplementationGuide/hl7.fhir.us.sdoh-clinicalcare|3.0.0"],
        "rest": [
            {
                "mode": "server",
                "documentation": "A transaction with Task, ServiceRequest, Patient and Consent is"
                " posted here. Every request but this one is signed: HTTP Message Signatures"
                " (RFC 9421), hmac-sha256, with Content-Digest.",
                "resource": [
                    {
                        "type": "Task",
                        "supportedProfile": [TASK_PROFILE],
                        "interaction": [
                            {"code": "read"},
                            {"code": "update"},
                            {"code": "search-type"},
                        ],
                        "searchParam": [{"name": "_lastUpdated", "type": "date"}],
                        "searchInclude": ["Task:focus", "Task:patient"],
                    }
                ],
                "interaction": [{"code": "transaction"}],
            }
        ],
    }


@_view(Fhir, "POST")
@fhir
def message(context: Fhir, request: Any) -> Response:
    """Take a referral, or where one stands, from the partner's system."""
    system = _heard(request, "message")
    content = _content(request)
    referral_id, made = _receive(request, system, content)
    entry = {
        "response": {
            "status": "201 Created" if made else "200 OK",
            "location": f"Task/{referral_id}",
        }
    }
    found = {"resourceType": "Bundle", "type": "transaction-response", "entry": [entry]}
    return _reply(found, 201 if made else 200)


def _receive(request: Any, system: System, content: Any) -> tuple[UUID, bool]:
    tell = telling(request)
    return external.receive(
        request.dbsession,
        system,
        content,
        now=request.now,
        known=tell.published,
        followers=tell.followers(),
        link=answer_link(request),
        url=request.registry.configured.url,
    )


@_view(FhirTasks, "GET")
@fhir
def tasks(context: FhirTasks, request: Any) -> dict[str, Any]:
    """The tasks that changed after a moment, the oldest change first, with what they lead to.

    Asking for what changed after a moment says that everything until then has arrived.
    """
    system = _heard(request, "poll")
    since, count = _since(request), _count(request)
    session, now = request.dbsession, request.now
    if since is not None:
        systems.acknowledge(session, system.id, since, now=now)
    else:
        systems.note(session, system.id, polled_at=now)
    found, more = external_delivery.changed(
        session, system, telling(request).published, since=since, limit=count, now=now
    )
    entries = []
    for task_id, handover in found:
        for each in resources(handover, str(task_id)):
            mode = "match" if each["resourceType"] == "Task" else "include"
            where = f"{request.path_url.removesuffix('/Task')}/{each['resourceType']}/{each['id']}"
            entries.append({"fullUrl": where, "resource": each, "search": {"mode": mode}})
    links = [{"relation": "self", "url": request.url}]
    if more and found:
        last = found[-1][1].progress.changed_at
        assert last is not None
        query = urlencode({"_lastUpdated": f"gt{last.isoformat()}", "_count": str(count)})
        links.append({"relation": "next", "url": f"{request.path_url}?{query}"})
    return {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}


def _since(request: Any) -> datetime | None:
    text = request.GET.get("_lastUpdated", "")
    if not text:
        return None
    at = None
    with suppress(ValueError):
        # a plus that was not escaped arrives as a space
        at = datetime.fromisoformat(text.removeprefix("gt").replace(" ", "+"))
    if at is None or at.tzinfo is None or not 1900 <= at.year <= 9000 or text[:2] != "gt":
        raise Fault(
            "_lastUpdated", "must be gt and a time with its zone: gt2026-10-05T17:00:00Z.", "value"
        )
    return at.astimezone(UTC)


def _count(request: Any) -> int:
    text = request.GET.get("_count", "50")
    if not (text.isascii() and text.isdecimal() and len(text) < 5) or int(text) > MOST:
        raise Fault("_count", f"must be 0 to {MOST}.", "value")
    return int(text)


@_view(FhirTask, "GET")
@fhir
def task(context: FhirTask, request: Any) -> Response:
    """One task as it stands."""
    system = _heard(request, "poll")
    found = external_delivery.written(
        request.dbsession, system, [context.id], telling(request).published, now=request.now
    )
    if context.id not in found:
        raise NotFound("There is no such Task.")
    _version, handover = found[context.id]
    return _reply(next(resources(handover, str(context.id))))


@_view(FhirTask, "PUT")
@fhir
def update(context: FhirTask, request: Any) -> Response:
    """Take where a referral stands: a Task alone, at its address here."""
    system = _heard(request, "task")
    content = _content(request)
    progress = read_task(content)
    external.update(
        request.dbsession,
        system,
        context.id,
        progress,
        now=request.now,
        known=telling(request).published,
        followers=telling(request).followers(),
    )
    found = external_delivery.written(
        request.dbsession, system, [context.id], telling(request).published, now=request.now
    )
    return _reply(next(resources(found[context.id][1], str(context.id))))
