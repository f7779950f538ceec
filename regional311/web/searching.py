"""The one search box of the desk and of the public door: whose it is, what it finds, and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog

from regional311.calendars import MINUTES_A_DAY
from regional311.catalog import reading
from regional311.catalog.directory import Service
from regional311.catalog.search import Found, Hit, Moment, Point, Reason, Search, reasons
from regional311.referral.decision import Sign, screen
from regional311.web.i18n import _, page_language
from regional311.web.telling import Telling, telling

log = structlog.get_logger("regional311.danger")

_ANSWERED: Final = ("phone", "walk_in", "text", "chat")
"""Channels on which somebody answers at once: a partner is open while one of them is."""

_WHERE: Final = {
    "A": _("in its name"),
    "B": _("in callers’ words"),
    "C": _("in what it is about"),
    "D": _("in its details"),
}


def search_of(request: Any, *, staff: bool, own: Any = None, point: Point | None = None) -> Search:
    """Return the search of this request: its day, its language, and what time it is everywhere."""
    tell = telling(request)
    return Search(
        tell.published.ids["region"],
        tell.today,
        page_language(request),
        staff=staff,
        own=own,
        moments=tuple(_moments(tell, request.now)),
        point=point,
    )


def _moments(tell: Telling, now: datetime) -> Iterable[Moment]:
    answered = {
        line.tenant
        for line in tell.published.lines.values()
        if line.channel in _ANSWERED and line.is_open(now)
    }
    for slug, calendar in tell.published.calendars.items():
        local = now.astimezone(ZoneInfo(calendar.zone))
        minute = local.hour * 60 + local.minute
        yield Moment(
            tell.published.ids[slug],
            local.weekday() * MINUTES_A_DAY + minute,
            minute,
            local.date() in calendar.holidays,
            slug in answered,
        )


def danger_in(tell: Telling, words: str) -> list[Sign]:
    """Return the signs of danger that the words point at, in the language of the page.

    They come before every hit.
    """
    signs = tell.published.screen(tell.today).spoken(page_language(tell.request)).signs
    found = screen(signs, (), words)
    return [each for each in signs if each.key in found]


def log_danger(channel: str, signs: Iterable[Sign]) -> None:
    """Log that words on a channel sounded like danger: which sign, and nothing that was said."""
    for sign in signs:
        log.warning("danger_sign", channel=channel, sign=sign.key)


def service_of(tell: Telling, hit: Hit) -> Service | None:
    """Return the service that was found; None while this process has not heard of it yet."""
    if hit.kind != "service":
        return None
    slug = tell.published.slugs.get(hit.tenant_id, "")
    return tell.published.directory.find(f"{slug}/{hit.key}")


def ref_of(tell: Telling, hit: Hit) -> str:
    """Return what was found as ``partner/key``."""
    return f"{tell.published.slugs.get(hit.tenant_id, '')}/{hit.key}"


def corrections_of(found: Found) -> list[Any]:
    """Say which words were taken for others, because nobody describes anything in them."""
    return [
        _(
            "Nothing is called “${typed}”: this is for “${meant}”.",
            mapping={"typed": each.typed, "meant": each.meant},
        )
        for each in found.reading.corrections
    ]


def why(found: Found, hit: Hit) -> list[tuple[Any, Any]]:
    """Say word by word why a hit is there, and where the word is."""
    return [(_said(each), _WHERE[each.where]) for each in reasons(found.reading, hit)]


def _said(reason: Reason) -> Any:
    if reason.how == reading.SAME:
        return _("“${typed}”", mapping={"typed": reason.typed})
    words = {"typed": reason.typed, "met": reason.met}
    match reason.how:
        case reading.WHOLE:
            return _("“${typed}” in “${met}”", mapping=words)
        case reading.BEGINS:
            return _("“${typed}” begins “${met}”", mapping=words)
        case reading.SLIP:
            return _("“${typed}” was read as “${met}”", mapping=words)
        case reading.LIKE:
            return _("“${typed}” is much like “${met}”", mapping=words)
    return _("“${typed}” means “${met}”", mapping=words)
