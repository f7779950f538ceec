"""Whom to call now, in words for everybody: who answers a line at this moment, and until when."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_skeleton, format_time

from regional311.calendars import NeverOpens
from regional311.referral.snapshot import Line
from regional311.tenancy.answering import HERE, PARTNER, VOICEMAIL
from regional311.web.i18n import _, translated
from regional311.web.telling import Telling, call_link

WEEK: Final = 7
ALMOST_A_YEAR: Final = 360


def now_on(tell: Telling, line: Line) -> dict[str, Any]:
    """Who answers a line now, for everybody: a sentence, and the number that is answered."""
    at = tell.request.now
    answer = tell.published.who_answers(line.ref, at)
    opens = _opens(tell, line, at)
    name = tell.partner(line.tenant)
    number = line.address
    if answer.kind == HERE:
        sentence: Any = _("${partner} answers now.", mapping={"partner": name})
    elif answer.kind == PARTNER:
        other = tell.published.lines[answer.line]
        number = other.address
        values = {
            "partner": tell.partner(answer.partner),
            "number": number,
            "closed": name,
            "opens": opens,
        }
        sentence = (
            _("${partner} answers now at ${number}. ${closed} opens ${opens}.", mapping=values)
            if opens
            else _("${partner} answers now at ${number}.", mapping=values)
        )
    elif answer.kind == VOICEMAIL:
        values = {"partner": name, "opens": opens}
        sentence = (
            _("Leave a message: ${partner} opens ${opens}.", mapping=values)
            if opens
            else _("Leave a message.")
        )
    else:
        number = ""
        values = {"partner": name, "opens": opens}
        sentence = (
            _("Nobody answers now: ${partner} opens ${opens}.", mapping=values)
            if opens
            else _("Nobody answers at present.")
        )
    return {
        "kind": answer.kind,
        "sentence": sentence,
        "number": number,
        "link": call_link(number) if number and line.channel in ("phone", "text") else None,
        "partner": answer.partner,
        "surge": answer.surge,
    }


def _opens(tell: Telling, line: Line, at: datetime) -> Any:
    if line.calendar.is_open(at):
        return ""
    try:
        opens = line.calendar.next_opening(at)
    except NeverOpens:
        return ""
    zone = ZoneInfo(line.calendar.zone)
    time = format_time(opens, "short", tzinfo=zone, locale=tell.locale)
    days = (line.calendar.local_date(opens) - line.calendar.local_date(at)).days
    local = opens.astimezone(zone)
    words = {"time": time, "day": _day(tell, local.date(), days)}
    if days == 0:
        found = _("at ${time}", mapping=words)
    elif days == 1:
        found = _("tomorrow at ${time}", mapping=words)
    else:
        found = _("on ${day} at ${time}", mapping=words)
    # abbreviations of the hours may end with the sentence's own full stop
    return translated(tell.request, found).removesuffix(".")


def _day(tell: Telling, day: date, days: int) -> str:
    """Name a day that is some days ahead: the weekday only while no other one is called so."""
    if days < WEEK:
        return format_date(day, "EEEE", locale=tell.locale)
    if days < ALMOST_A_YEAR:
        return format_skeleton("MMMMd", day, locale=tell.locale)
    return format_date(day, "long", locale=tell.locale)


def number_to_give(tell: Telling, slug: str) -> str | None:
    """The number to give for a partner or an agency: who answers it now when it is closed."""
    line = telephone_of(tell, slug) if slug in tell.published.partners else None
    if line is None or tell.published.who_answers(line.ref, tell.request.now).kind == HERE:
        return tell.phone(slug)
    now = now_on(tell, line)
    return " · ".join(filter(None, (now["number"], translated(tell.request, now["sentence"]))))


def telephone_of(tell: Telling, slug: str) -> Line | None:
    """The telephone line by which a partner is reached first, if it has one."""
    contact = (tell.published.tenants[slug].settings.get("contact") or {}).get("phone")
    phones = [
        each
        for each in tell.published.lines.values()
        if each.tenant == slug and each.channel == "phone" and not each.ended
    ]
    same = [each for each in phones if each.address == contact]
    return next(iter(same or phones), None)


def _chat(tell: Telling, slug: str) -> str | None:
    """The address of a partner's chat, while somebody there answers it."""
    at = tell.request.now
    for line in tell.published.lines.values():
        if line.tenant == slug and line.channel == "chat" and not line.ended:
            here = tell.published.who_answers(line.ref, at).kind == HERE
            return f"/chat/{slug}" if here else None
    return None


def answering_now(tell: Telling, slug: str | None = None) -> list[dict[str, Any]]:
    """Each partner's first telephone line with who answers it now, by name; or only one's."""
    slugs = sorted(tell.published.partners, key=tell.partner)
    if slug is not None:
        slugs = [each for each in slugs if each == slug]
    return [
        {"name": tell.partner(slug), "chat": _chat(tell, slug), **now_on(tell, line)}
        for slug in slugs
        if (line := telephone_of(tell, slug)) is not None
    ]
