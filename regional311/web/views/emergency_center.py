"""Where a 911 center hands over calls that are no emergency: `POST /<partner>/911`, as JSON.

A program of the center's with a key that is good for it. The same incident again is the same
hand-over; with other content it is refused. Nothing here is for people.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import structlog
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config
from sqlalchemy import select

from regional311.cover.handovers import Brought, bring
from regional311.cover.models import Handover
from regional311.database.session import scope_of
from regional311.errors import InvalidInput, KeyReused
from regional311.identity.clients import KeyRefused, TooOften, use_key
from regional311.web.representations import json_response
from regional311.web.searching import danger_in
from regional311.web.telling import Telling, telling
from regional311.web.tree import EmergencyCenter
from regional311.web.wording import LANGUAGES

SCOPE: Final = "911:handovers"
CHANNELS: Final = ("phone", "text", "chat")
LONGEST: Final = {
    "incident": 100,
    "reason": 500,
    "name": 200,
    "phone": 40,
    "place": 300,
    "note": 2000,
}
KNOWN: Final = frozenset({*LONGEST, "channel", "language"})

log = structlog.get_logger("regional311.911")


class Refused(Exception):
    """The call cannot be answered; what is wrong, with its status."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.answer = {"error": code, "message": message, "field": field}
        self.status = status


def _refuse(error: Refused) -> Response:
    answer = json_response(error.answer)
    answer.status_int = error.status
    return answer


def _client(request: Any) -> Any:
    kind, _blank, key = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        key = ""
    try:
        return use_key(request.dbsession, key.strip()[:200], SCOPE, now=request.now)
    except KeyRefused:
        raise Refused(
            403, "KeyRefused", "Send a key that is good for this as Authorization: Bearer."
        ) from None
    except TooOften as error:
        raise Refused(429, "TooOften", error.message) from None


def _said(request: Any) -> dict[str, str]:
    """Read what was sent, strictly: one object of texts, nothing unknown, nothing too long."""
    try:
        sent = json.loads(request.body.decode())
    except (ValueError, RecursionError):
        raise Refused(400, "InvalidInput", "Send one JSON object in UTF-8.") from None
    if not isinstance(sent, dict):
        raise Refused(400, "InvalidInput", "Send one JSON object.")
    unknown = sorted(set(sent) - KNOWN)
    if unknown:
        raise Refused(
            400, "InvalidInput", f"Known are {', '.join(sorted(KNOWN))}.", str(unknown[0])[:100]
        )
    said = {}
    for name, value in sent.items():
        if not isinstance(value, str):
            raise Refused(400, "InvalidInput", "Must be text.", name)
        said[name] = value.strip()
        if len(said[name]) > LONGEST.get(name, 20):
            raise Refused(400, "InvalidInput", f"At most {LONGEST.get(name, 20)} characters.", name)
    for name in ("incident", "reason"):
        if not said.get(name):
            raise Refused(400, "InvalidInput", "Is missing.", name)
    if said.setdefault("channel", "phone") not in CHANNELS:
        raise Refused(400, "InvalidInput", f"One of {', '.join(CHANNELS)}.", "channel")
    if said.setdefault("language", "en") not in LANGUAGES:
        raise Refused(400, "InvalidInput", f"One of {', '.join(LANGUAGES)}.", "language")
    return said


@view_config(
    context=EmergencyCenter,
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    require_csrf=False,  # a call carries its key, never a person's cookie
)
def hand_over(context: EmergencyCenter, request: Any) -> Response:
    """Take a call over: it waits at this partner's desk as a contact with its reason."""
    try:
        client_id = _client(request)
        said = _said(request)
        tell = telling(request)
        line = _line(tell, said["channel"])
        number, new = bring(
            request.dbsession,
            client_id,
            Brought(
                incident=said["incident"],
                reason=said["reason"],
                channel=said["channel"],
                language=said["language"],
                shared={
                    name: said[name]
                    for name in ("name", "phone", "place", "note", "language")
                    if said.get(name)
                },
                digest=hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest(),
            ),
            line_key=line.key if line else None,
            after_hours=tell.published.who_answers(line.ref, request.now).after_hours
            if line
            else not tell.published.calendars[tell.slug].is_open(request.now),
            now=request.now,
        )
    except KeyReused as error:
        return _refuse(Refused(409, "KeyReused", error.message, "incident"))
    except InvalidInput as error:
        return _refuse(Refused(400, "InvalidInput", error.message, error.field))
    except Refused as error:
        return _refuse(error)
    signs = danger_in(tell, " ".join((said["reason"], said.get("note", ""))))
    for sign in signs:
        log.warning("danger_sign", channel="911", sign=sign.key, client=str(client_id))
    answer = json_response(
        {
            "handover": number,
            "state": "waiting",
            "danger": [{"key": each.key, "number": each.number} for each in signs],
        }
    )
    answer.status_int = 201 if new else 200
    return answer


def _line(tell: Telling, channel: str) -> Any:
    mine = [
        each
        for each in tell.published.lines.values()
        if each.tenant == tell.slug and not each.ended and each.channel == channel
    ]
    return mine[0] if mine else None


@view_config(context=EmergencyCenter, permission=NO_PERMISSION_REQUIRED, request_method="GET")
def state(context: EmergencyCenter, request: Any) -> Response:
    """Say what became of an incident of the center's own: waiting, or taken over and when."""
    try:
        client_id = _client(request)
    except Refused as error:
        return _refuse(error)
    row = request.dbsession.execute(
        select(Handover.public_id, Handover.state, Handover.ended_at).where(
            Handover.tenant_id == scope_of(request.dbsession).tenant_id,
            Handover.client_id == client_id,
            Handover.incident == request.GET.get("incident", "")[:100],
        )
    ).one_or_none()
    if row is None:
        return _refuse(Refused(404, "NotFound", "There is no such incident of yours.", "incident"))
    return json_response(
        {
            "handover": row.public_id,
            "state": "waiting" if row.state == "ringing" else row.state,
            "at": row.ended_at,
        }
    )
