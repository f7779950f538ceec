"""What rings at a desk, what waits for a line to open, how a hand-over is told on both sides."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from regional311.cover.queries import waiting
from regional311.exchange.service import ERASED
from regional311.inbox.calls import Heard, open_calls
from regional311.notices.phones import shown as shown_number
from regional311.web.i18n import _
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
    heard = open_calls(request.dbsession, request.now)
    waits = of_desk(tell)
    seen = hashlib.sha256(
        " ".join(
            [
                *(f"{each.public_id}{len(each.attempts)}{each.consent_ended}" for each in rows),
                *(f"{each.id}{each.rings}" for each in heard),
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
        "calls": [_call(tell, each) for each in heard if each.rings],
        "missed": [_call(tell, each) for each in heard if not each.rings],
        **waits,
        "desk_url": f"/{tell.slug}/desk",
        "waiting_seen": seen,
        "waiting_url": f"/{tell.slug}/desk/waiting?seen={seen}",
    }


def _call(tell: Telling, each: Heard) -> dict[str, Any]:
    line = tell.published.lines.get(f"{tell.slug}/{each.line_key}")
    return {
        "id": each.id,
        "line": line.name if line else each.line_key,
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
