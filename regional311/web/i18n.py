"""Languages: every string a person sees goes through gettext.

In views and forms: `from regional311.web.i18n import _` and `_("Statement ${number} was issued",
mapping={"number": number})`. In templates: `{{ _("Sign in") }}` or
`{{ _("Signed in as %(name)s", name=name) }}`; whatever is printed with `{{ }}` is translated if it
is a marked string, so views may hand marked strings to templates as they are.
"""

from __future__ import annotations

from pathlib import Path

from pyramid.i18n import TranslationStringFactory, get_localizer, make_localizer
from pyramid.interfaces import ITranslationDirectories
from pyramid.threadlocal import get_current_request
from translationstring import TranslationString

DOMAIN = "regional311"
LANGUAGE_COOKIE = "language"
_ = TranslationStringFactory(DOMAIN)

LANGUAGES: dict[str, str] = {"en": "English"}
"""Languages offered, each by its own name; a catalogue in `regional311/locale` adds one."""


def negotiate_language(request) -> str:
    """Return the language of a page: the visitor's choice, else what their browser asks for."""
    available: dict[str, str] = request.registry.languages
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in available:
        return str(chosen)
    if len(available) == 1:
        return "en"
    return str(request.accept_language.lookup(list(available), default="en"))


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


def in_language(registry, message: str, language: str) -> str:
    """Return a text in a given language (`zh-Hant`), whatever the request's is."""
    made = registry.__dict__.setdefault("localizers", {})
    if language not in made:
        directories = registry.queryUtility(ITranslationDirectories, default=[])
        made[language] = make_localizer(language.replace("-", "_"), directories)
    return str(made[language].translate(_(message)))


def catalogues(directory: Path) -> list[str]:
    """Return the languages that have a compiled catalogue below `directory`."""
    return sorted(path.parent.parent.name for path in directory.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))


def includeme(config) -> None:
    directory = Path(__file__).parent.parent / "locale"
    names = {"es": "Español", "vi": "Tiếng Việt", "zh_Hant": "繁體中文", "ru": "Русский"}
    config.registry.languages = LANGUAGES | {
        language: names.get(language, language) for language in catalogues(directory)
    }
    config.add_translation_dirs("regional311:locale")
    config.set_locale_negotiator(negotiate_language)
