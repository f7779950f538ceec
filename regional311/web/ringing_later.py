"""Closed lines: who answers instead, and contacts that are rung through when they open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from regional311.calendars import NeverOpens
from regional311.cover import later_rings
from regional311.cover.later_rings import REASONS, Later, Reach
from regional311.errors import InvalidInput
from regional311.floor.line_openings import is_due, is_gone
from regional311.floor.watching import confidential_contacts
from regional311.identity.members import names_of
from regional311.referral.snapshot import Line
from regional311.tenancy.answering import HERE, PARTNER
from regional311.web.answering_now import now_on
from regional311.web.i18n import _
from regional311.web.telling import Telling
from regional311.web.wording import END_REASONS, choices

WHY: Final = choices(END_REASONS, REASONS)


def opens_at(line: Line, now: datetime) -> datetime | None:
    """When a closed line opens by its own hours; None: never, as far as is known."""
    try:
        return line.calendar.next_opening(now)
    except NeverOpens:
        return None


def closed(tell: Telling, line: Line) -> dict[str, Any]:
    """What can be done about a closed line: whom to ring instead, and whether to ring it later."""
    now = tell.request.now
    answer = tell.published.who_answers(line.ref, now)
    instead = tell.published.lines.get(answer.line) if answer.kind == PARTNER else None
    ours = instead is not None and instead.tenant == tell.slug
    return {
        "sentence": now_on(tell, line)["sentence"],
        "ours": ours,
        "instead": None
        if instead is None or ours
        else {
            "value": f"line:{instead.ref}",
            "id": f"instead-{line.ref.replace('/', '-')}",
            "name": _(
                "Ring ${partner} instead: ${line}, ${number}",
                mapping={
                    "partner": tell.partner(instead.tenant),
                    "line": instead.name,
                    "number": instead.address,
                },
            ),
        },
        "later": line.ref if opens_at(line, now) is not None else None,
    }


def ask(tell: Telling, contact_id: UUID, said: Mapping[str, str]) -> Any:
    """Keep that a contact is rung through once a closed line opens; give what the person is told.

    ``said`` is what was sent: the line as ``later``, and how they are called back.

    :raises InvalidInput: when it is no closed line of another partner that opens again.
    """
    now, ref = tell.request.now, said["later"]
    line = tell.published.lines.get(ref)
    if line is None or line.ended or line.tenant == tell.slug:
        raise InvalidInput(_("Choose one of the lines listed."), field="later")
    if tell.published.who_answers(ref, now).kind == HERE:
        raise InvalidInput(_("That line is open now: ring it."), field="later")
    opens = opens_at(line, now)
    if opens is None:
        raise InvalidInput(_("It is not known when that line opens."), field="later")
    reach = None
    if said.get("phone", "").strip():
        if said.get("safe") != "yes":
            raise InvalidInput(_("Ask whether a call to that number is safe."), field="safe")
        kept = tell.published.people_kept_until(tell.slug, now)
        reach = Reach(said["phone"], said.get("name", ""), kept)
    later_rings.ask(
        tell.request.dbsession, contact_id, line=ref, opens_at=opens, now=now, reach=reach
    )
    return _(
        "Kept. Tell the person: we call you back when ${partner} opens, ${when}.",
        mapping={"partner": tell.partner(line.tenant), "when": tell.when(opens)},
    )


def shown(tell: Telling, each: Later, names: Mapping[UUID, str]) -> dict[str, Any]:
    """One contact that waits for a line, as the desk and its own page show it."""
    calls = each.calls(tell.request.now)
    line = tell.published.lines.get(each.line)
    gone = is_gone(tell.published, each.line)
    return {
        "id": each.id,
        "url": f"/{tell.slug}/contacts/{each.contact}/handover",
        "contact": each.contact,
        "to": tell.partner(each.partner),
        "line": line.name if line else each.line,
        "gone": gone,
        "open": is_due(tell.published, each.line, tell.request.now),
        "opens": None if line is None or gone else now_on(tell, line)["sentence"],
        "promised": tell.when(each.opens_at),
        "late": each.late_at is not None,
        "by": names.get(calls, "") if calls else None,
        "mine": calls is not None and calls == tell.request.identity.person_id,
        "tries": [tell.when(datetime.fromisoformat(one["at"])) for one in each.tries],
    }


def callers(tell: Telling, rows: Sequence[Later]) -> Mapping[UUID, str]:
    """The names of who calls somebody back now. One statement, none where nobody does."""
    return names_of(tell.request.dbsession, [each.calls(tell.request.now) for each in rows])


def of_desk(tell: Telling) -> dict[str, Any]:
    """What the desk shows: contacts whose line is open now first, and how many wait for theirs.

    Of very many the first ones, and how many more there are. Confidential ones are there for their
    specialist, and for who is cleared for such.
    """
    session = tell.request.dbsession
    lines = later_rings.waited_for(session)
    opened = {line for line in lines if is_due(tell.published, line, tell.request.now)}
    found = later_rings.later(session, first=opened) if lines else []
    rows = _may_be_seen(tell, found)
    names = callers(tell, rows)
    told = [shown(tell, each, names) for each in rows]
    more = Counter(lines) - Counter(each.line for each in found)
    return {
        "line_open": [each for each in told if each["open"]],
        "line_open_more": sum(more[line] for line in opened),
        "line_closed": [each for each in told if not each["open"]],
        "line_closed_more": sum(more[line] for line in lines.keys() - opened),
    }


def _may_be_seen(tell: Telling, rows: Sequence[Later]) -> Sequence[Later]:
    request = tell.request
    if request.identity.cleared(request.tenant.id):
        return rows
    me = request.identity.person_id
    others = (each.contact_id for each in rows if each.specialist_id != me)
    secret = confidential_contacts(request.dbsession, others, tell.confidential_services)
    return [each for each in rows if each.specialist_id == me or each.contact_id not in secret]
