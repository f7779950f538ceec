"""The words with which a request is closed: a prepared text in the person's language, filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date

from regional311.casework.prepared_texts import filled, language_for
from regional311.intake.service import Followers


def place_of(request: Any) -> str:
    """Give a request's place in one line: its words, or its point."""
    if request.place_text:
        return str(request.place_text)
    if request.latitude is None or request.longitude is None:
        return ""
    return f"{request.latitude:.5f}, {request.longitude:.5f}"


@dataclass(frozen=True, slots=True)
class Closing:
    """A text picked once for many: its words by language, and what its places are filled with.

    ``languages`` has that of who asked, by request, where it is known; ``own`` is the partner's
    language, ``zone`` its zone.
    """

    words: Mapping[str, str]
    languages: Mapping[UUID, str]
    own: str
    zone: str
    followers: Followers

    def said(self, request: Any, before: str | None, now: datetime) -> Callable[[str], str]:
        """Give what people read of a request, by their language: what was typed for all, the text.

        All is filled at once, so that it can be asked for in the scope of any partner.
        """
        typed = (before or "").strip()
        by_language = {
            each: "\n\n".join(
                filter(None, (typed, words_in(request, text, each, self.zone, self.followers, now)))
            )
            for each, text in self.words.items()
        }
        return lambda language: by_language[language_for(by_language, language, self.own)]

    def language(self, request_id: UUID) -> str:
        """Give the language of who asked, or the partner's where it is not known here."""
        return self.languages.get(request_id, self.own)


def words_in(
    request: Any, text: str, language: str, zone: str, followers: Followers, now: datetime
) -> str:
    """Fill a text's places for one request, days and the service's name in its language."""
    locale, day = Locale.parse(language, sep="-"), ZoneInfo(zone)

    def on(at: datetime) -> str:
        return str(format_date(at.astimezone(day).date(), "long", locale=locale))

    return filled(
        text,
        {
            "number": request.public_id,
            "service": followers.service(request.tenant_id, request.service_key, language),
            "partner": followers.name(request.tenant_id),
            "place": place_of(request),
            "opened": on(request.opened_at),
            "closed": on(now),
        },
        "closing",
    )
