"""Sentences in a language, for letters that no page is asked for."""

from __future__ import annotations

from functools import cache
from gettext import GNUTranslations, NullTranslations

from regional311.locale.catalogues import DOMAIN, LOCALE


def in_language(sentence: str, language: str) -> str:
    """Put a sentence into a language (`zh-Hant`); it stays as it is where nothing is known."""
    return _catalogue(language).gettext(sentence)


@cache
def _catalogue(language: str) -> NullTranslations:
    path = LOCALE / language.replace("-", "_") / "LC_MESSAGES" / f"{DOMAIN}.mo"
    if not path.is_file():
        return NullTranslations()
    with path.open("rb") as file:
        return GNUTranslations(file)
