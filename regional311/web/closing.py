"""Texts offered where a request is closed, in the person's language first, filled for it."""

from __future__ import annotations

from typing import Any

from babel.dates import format_date

from regional311.inbox.closing_texts import (
    ClosingText,
    closing_texts,
    offered,
    person_language,
    words_of,
)
from regional311.web.i18n import _
from regional311.web.spoken import own_language, spoken_service
from regional311.web.telling import telling
from regional311.web.wording import LANGUAGES, RESOLUTIONS, said


def texts_for(request: Any, found: Any) -> list[ClosingText]:
    """Give the texts for closing a request, as they are offered; two statements at most, once."""
    texts: list[ClosingText] | None = getattr(request, "made_closing_texts", None)
    if texts is None:
        texts = closing_texts(request.dbsession, service_key=found.service_key)
        if texts:
            language = person_language(
                request.dbsession, inquirer_id=found.inquirer_id, contact_id=found.contact_id
            )
            texts = offered(texts, language)
        request.made_closing_texts = texts
    return texts


def choices_of(request: Any, found: Any) -> list[tuple[str, str]]:
    """Give them as (id, words), each with its language and outcome."""
    tell = telling(request)
    return [
        (
            str(each.id),
            " · ".join(
                tell.request.localizer.translate(part)
                for part in (
                    each.name,
                    said(LANGUAGES, each.language),
                    said(RESOLUTIONS, each.resolution) if each.resolution else None,
                )
                if part
            ),
        )
        for each in texts_for(request, found)
    ]


def with_text(request: Any, found: Any) -> dict[str, Any]:
    """Give what the form for closing says once the chosen text is put in; nothing is kept.

    Below what was written already; the text's outcome, where none was chosen.
    """
    sent = request.POST
    values: dict[str, Any] = {
        "version": sent.get("version", "")[:20],
        "resolution": sent.get("resolution") or None,
        "message": sent.get("message", "").strip()[:4000],
        "parts": sent.get("parts") or None,
    }
    chosen = next(
        (each for each in texts_for(request, found) if str(each.id) == sent.get("text")), None
    )
    if chosen is None:
        request.flash("info", _("Choose one of the texts first."))
        return values
    words = words_of(chosen, _places(request, found, chosen.language))
    values["text"] = str(chosen.id)
    values["message"] = "\n\n".join(filter(None, (values["message"], words)))
    values["resolution"] = values["resolution"] or chosen.resolution
    return values


def _places(request: Any, found: Any, language: str) -> dict[str, str]:
    tell = telling(request)
    service = tell.service(tell.slug, found.service_key)
    own = own_language(tell.published.tenants[tell.slug])
    locale = language.replace("-", "_")

    def day(at: Any) -> str:
        return str(format_date(at.astimezone(tell.zone).date(), "long", locale=locale))

    return {
        "number": found.public_id,
        "service": spoken_service(service, own, language).name.text
        if service
        else found.service_key,
        "partner": tell.partner(tell.slug),
        "place": tell.place(found) or "",
        "opened": day(found.opened_at),
        "closed": day(request.now),
    }
