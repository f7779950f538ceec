"""What rings at a desk, what waits for a line to open, how a hand-over is told on both sides."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from regional311.cover.queries import lent_lines, waiting
from regional311.exchange.service import ERASED
from regional311.inbox.calls import LENT, Heard, open_calls
from regional311.notices.phones import shown as shown_number
from regional311.web.i18n import _, translated
from regional311.web.loop_wording import CONSENT_ENDS
from regional311.web.ringing_later import of_desk
from regional311.web.telling import Telling, telling
from regional311.web.wording import CHANNELS, LANGUAGES, said

STATES = {
    "ringing": _("Rings"),
    "taken_over": _("Taken over"),
    "returned": _("Let pass"),
    "unanswered": _("Nobody answered"),
    "withdrawn": _("Stopped ringing"),
}


def waiting_of(request: Any) -> dict[str, Any]:
    """What rings here now, and whom to call back, as the desk shows it; six statements.

    `waiting_url` names what was seen, so that asking again is answered only when it has changed.
    """
    tell = telling(request)
    rows = waiting(request.dbsession, request.now)
    shown = [
        {
            "stop": each.consent_ended_at is not None,
            "url": f"/{tell.slug}/desk/ring?number={each.public_id}",
            "from": tell.partner(each.partner_id) if each.partner_id else _("911"),
            "for": each.person_name,
            "channel": said(CHANNELS, each.channel),
            "language": said(LANGUAGES, each.language),
            "since": tell.when(each.started_at),
            "reason": each.reason if each.partner_id is None else None,
        }
        for each in rows
    ]
    heard = calls_for(request)
    waits = of_desk(tell)
    seen = hashlib.sha256(
        " ".join(
            [
                *(f"{each.public_id}{len(each.attempts)}{each.consent_ended}" for each in rows),
                *(f"{each.id}{each.is_there}" for each in heard),
                *(
                    f"{each['id']}{len(each['tries'])}{each['late']}{each['by']}"
                    for each in waits["line_open"]
                ),
                *(str(each["id"]) for each in waits["line_closed"]),
                f"{waits['line_open_more']} {waits['line_closed_more']}",
            ]
        ).encode()
    ).hexdigest()[:12]
    return {
        "waiting": [each for each in shown if not each["stop"]],
        "to_stop": [each for each in shown if each["stop"]],
        "calls": [_call(tell, each) for each in heard if each.is_there],
        "missed": [_call(tell, each) for each in heard if not each.is_there],
        **waits,
        "desk_url": f"/{tell.slug}/desk",
        "waiting_seen": seen,
        "waiting_url": f"/{tell.slug}/desk/waiting?seen={seen}",
    }


def calls_for(request: Any) -> list[Heard]:
    """The calls that ring for the acting person, then those that were missed here."""
    heard = open_calls(request.dbsession, request.now)
    if all(each.rings != LENT for each in heard):
        return heard
    lent = lent_lines(request.dbsession, request.identity.person_id, request.now)
    tell = telling(request)
    return [
        each
        for each in heard
        if each.rings != LENT or ref_heard(tell, each.line_owner_id, each.line_key) in lent
    ]


def ref_heard(tell: Telling, owner_id: UUID | None, key: str) -> str:
    """Give the line of a call as `partner/key`."""
    return f"{tell.published.slugs[owner_id] if owner_id else tell.slug}/{key}"


def line_heard(tell: Telling, owner_id: UUID | None, key: str) -> str:
    """Name a line that rings here, with its partner where it is another's."""
    ref = ref_heard(tell, owner_id, key)
    slug, line = ref.partition("/")[0], tell.published.lines.get(ref)
    name = line.name if line else key
    if slug == tell.slug:
        return name
    both = _("${partner}: ${line}", mapping={"partner": tell.partner(slug), "line": name})
    return translated(tell.request, both)


def _call(tell: Telling, each: Heard) -> dict[str, Any]:
    return {
        "id": each.id,
        "line": line_heard(tell, each.line_owner_id, each.line_key),
        "caller": shown_number(each.caller) if each.caller else _("a withheld number"),
        "link": f"tel:{each.caller}" if each.caller else None,
        "since": tell.when(each.rang_at),
    }


def attempts_of(tell: Telling, row: Any) -> list[dict[str, Any]]:
    """The rings of a hand-over with their times, the first one first."""
    return [
        {
            "at": tell.when(datetime.fromisoformat(each["at"])),
            "to": _target(tell, each["to"]),
            "ended": tell.when(datetime.fromisoformat(each["ended_at"]))
            if each["ended_at"]
            else None,
            "result": STATES[each["result"] or "ringing"],
        }
        for each in row.attempts
    ]


def _target(tell: Telling, name: str) -> str:
    line = tell.published.lines.get(name)
    return f"{tell.partner(line.tenant)}: {line.name}" if line else name


def stop_of(tell: Telling, row: Any) -> dict[str, Any] | None:
    """Why what came along may not be used any more, and whether the other desk has seen so.

    Where nobody took over there was nobody to see it: what had come along is erased, that is all.
    """
    if row.consent_ended_at is None:
        return None
    return {
        "why": said(CONSENT_ENDS, row.consent_ended),
        "seen": tell.when(row.stop_seen_at)
        if row.stop_seen_at and row.state == "taken_over"
        else None,
        "asked": row.side == "in" and row.stop_seen_at is None,
    }


def shared_of(tell: Telling, shared: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Exactly what went along, field by field in the words of the sharing policy."""
    if shared == ERASED:
        return []
    names = tell.published.sharing(tell.today).fields
    told = []
    for name, value in shared.items():
        words: Any = value
        if name == "language":
            words = said(LANGUAGES, value)
        elif value is True:
            words = _("Yes")
        told.append((names.get(name, name.replace("_", " ").capitalize()), words))
    return told
