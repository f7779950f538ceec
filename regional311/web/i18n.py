"""Languages: every string a person sees goes through gettext.

In views and forms: `from regional311.web.i18n import _` and `_("Statement ${number} was issued",
mapping={"number": number})`. In templates: `{{ _("Sign in") }}` or
`{{ _("Signed in as %(name)s", name=name) }}`; whatever is printed with `{{ }}` is translated if it
is a marked string, so views may hand marked strings to templates as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyramid.i18n import TranslationStringFactory, get_localizer
from pyramid.location import lineage
from pyramid.threadlocal import get_current_request
from translationstring import TranslationString

DOMAIN = "regional311"
LANGUAGE_COOKIE = "language"
_ = TranslationStringFactory(DOMAIN)

LANGUAGE_NAMES: dict[str, str] = {
    "en": "English",
    "es": "Español",
    "vi": "Tiếng Việt",
    "zh-Hant": "繁體中文",
    "ru": "Русский",
}
"""Languages of the region, each by its own name; one is offered once its catalogue is there."""

ASKED = "lang"
"""Name in an address that chooses a language: `?lang=es`."""


def negotiate_language(request) -> str:
    """Return the locale of a page: what its address says, else the visitor's choice or browser.

    A choice in the address is remembered. Pages for staff are in English.
    """
    known = {each.replace("-", "_"): each for each in offered(request)}
    if any(getattr(node, "for_staff", False) for node in lineage(_context(request))):
        return "en"
    request.add_response_callback(_varies)
    asked = _asked(request).replace("-", "_")
    if asked in known:
        request.add_response_callback(_remember)
        return asked
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in known:
        return str(chosen)
    found = request.accept_language.lookup(list(known.values()), default="en")
    return str(found).replace("-", "_")


def _asked(request) -> str:
    try:
        return str(request.GET.get(ASKED, ""))
    except UnicodeDecodeError:
        return ""


def _context(request) -> Any:
    return getattr(request, "context", None)


def _varies(request, response) -> None:
    response.vary = sorted({*(response.vary or ()), "Accept-Language", "Cookie"})


def _remember(request, response) -> None:
    if request.cookies.get(LANGUAGE_COOKIE) == request.locale_name:
        return
    response.set_cookie(
        LANGUAGE_COOKIE,
        request.locale_name,
        max_age=31_536_000,
        path="/",
        secure=request.registry.configured.secure,
        httponly=True,
        samesite="Lax",
    )


def offered(request) -> tuple[str, ...]:
    """Return the languages (BCP 47) that pages are offered in."""
    return tuple(request.registry.languages)


def page_language(request) -> str:
    """Return the language of this page (BCP 47)."""
    return str(request.locale_name).replace("_", "-")


def printed(value):
    """Make ready for a page: marked strings are translated, nothing is shown for None."""
    if value is None:
        return ""
    if isinstance(value, TranslationString):
        request = get_current_request()
        return value.interpolate() if request is None else get_localizer(request).translate(value)
    return value


def translated(request, message) -> str:
    """Return a message in the language of this request; plain text comes back as it is."""
    if isinstance(message, TranslationString):
        return str(request.localizer.translate(message))
    return str(request.localizer.translate(_(str(message))))


def catalogues(directory: Path) -> list[str]:
    """Return the languages that have a compiled catalogue below `directory`."""
    return sorted(path.parent.parent.name for path in directory.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))


def includeme(config) -> None:
    directory = Path(__file__).parent.parent / "locale"
    there = {"en", *(each.replace("_", "-") for each in catalogues(directory))}
    config.registry.languages = {
        code: name for code, name in LANGUAGE_NAMES.items() if code in there
    }
    config.add_translation_dirs("regional311:locale")
    config.set_locale_negotiator(negotiate_language)
