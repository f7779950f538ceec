"""Texts offered where a request is closed, in the person's language first, filled for it.

Where it is not known, as of what came through another partner, the partner's own comes first.
"""

from __future__ import annotations

from typing import Any

from regional311.casework import prepared_texts
from regional311.casework.closing import words_in
from regional311.web.i18n import _
from regional311.web.spoken import own_language
from regional311.web.telling import telling
from regional311.web.wording import LANGUAGES, RESOLUTIONS, said


def texts_for(request: Any, found: Any) -> dict[str, tuple[prepared_texts.Prepared, str]]:
    """Give the texts for closing a request by what a form sends, each with one of its languages.

    They are in the order in which they are offered; one statement, once a page.
    """
    offered: dict[str, tuple[prepared_texts.Prepared, str]] | None
    offered = getattr(request, "made_closing_texts", None)
    if offered is None:
        here, spoken = prepared_texts.texts_for(request.dbsession, found.id, found.service_key)
        tell = telling(request)
        own = own_language(tell.published.tenants[tell.slug])
        pairs = prepared_texts.offered(here, spoken or own)
        offered = {f"{each.id}:{language}": (each, language) for each, language in pairs}
        request.made_closing_texts = offered
    return offered


def choices_of(request: Any, found: Any) -> list[tuple[str, str]]:
    """Give them as (value, words), each with its language and outcome."""
    return [
        (value, described(request, each, said(LANGUAGES, language)))
        for value, (each, language) in texts_for(request, found).items()
    ]


def described(request: Any, text: prepared_texts.Prepared, *languages: Any) -> str:
    """Say which text it is: its name, languages and outcome."""
    outcome = said(RESOLUTIONS, text.resolution) if text.resolution else None
    spoken = ", ".join(map(request.localizer.translate, languages))
    parts = (text.name, spoken, outcome and request.localizer.translate(outcome))
    return " · ".join(filter(None, parts))


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
    chosen = sent.get("text", "")
    if chosen not in texts_for(request, found):
        request.flash("info", _("Choose one of the texts first."))
        return values
    tell = telling(request)
    text, language = texts_for(request, found)[chosen]
    words = words_in(
        found, text.words[language], language, tell.zone.key, tell.followers(), request.now
    )
    values["text"] = chosen
    values["message"] = "\n\n".join(filter(None, (values["message"], words)))
    values["resolution"] = values["resolution"] or text.resolution
    return values
