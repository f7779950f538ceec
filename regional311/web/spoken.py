"""What partners say, in the visitor's language where they said it so, else in their own.

Each piece of text carries its language, so that a page can mark the parts that are not in the
language of the page: a screen reader reads them aloud rightly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regional311.catalog.articles import Article
from regional311.catalog.directory import Service
from regional311.tenancy.queries import TenantRow
from regional311.web.i18n import LANGUAGE_NAMES


@dataclass(frozen=True)
class Spoken:
    """A text and its language (BCP 47, such as ``zh-Hant``)."""

    text: str
    language: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class SpokenService:
    """A service in the words of one language, each text that lacks in the partner's own.

    `documents` are what to bring, each with the address where it can be had; `languages` are those
    in which the service is described, the partner's own first.
    """

    name: Spoken
    summary: Spoken
    alert: Spoken | None
    information: Spoken | None
    eligibility: Spoken | None
    how_to_apply: Spoken | None
    fee: Spoken | None
    wait: Spoken | None
    documents: Sequence[tuple[Spoken, str | None]]
    languages: Sequence[str]


@dataclass(frozen=True)
class SpokenArticle:
    """The public part of an article in the words of one language."""

    title: Spoken
    summary: Spoken | None
    text: Spoken | None
    languages: Sequence[str]


def own_language(partner: TenantRow) -> str:
    """Return the language in which a partner describes itself."""
    languages = partner.settings.get("languages") or ["en"]
    return str(languages[0])


def spoken_service(service: Service, own: str, wanted: str) -> SpokenService:
    """Return what a service says in the language wanted; `own` is its partner's."""
    details = service.details
    translations = {each["language"]: each for each in details.get("translation") or ()}
    there = translations.get(wanted, {}) if wanted != own else {}

    def said(name: str, value: Any = None) -> Spoken | None:
        return _said(there.get(name), value or details.get(name), wanted, own)

    translated = list(there.get("documents") or ())
    documents = [
        (
            Spoken(translated[place], wanted)
            if place < len(translated)
            else Spoken(each["name"], own),
            each.get("website"),
        )
        for place, each in enumerate(details.get("document") or ())
    ]
    return SpokenService(
        name=said("name", service.name) or Spoken(service.name, own),
        summary=said("summary", service.summary) or Spoken(service.summary, own),
        alert=said("alert"),
        information=said("information"),
        eligibility=said("eligibility"),
        how_to_apply=said("how_to_apply"),
        fee=said("fee"),
        wait=said("wait"),
        documents=documents,
        languages=_languages(own, translations),
    )


def spoken_article(article: Article, own: str, wanted: str) -> SpokenArticle:
    """Return what an article says to everybody in the language wanted; `own` is its partner's."""
    translations = {each.language: each for each in article.translation}
    there = translations.get(wanted) if wanted != own else None  # type: ignore[call-overload]

    def said(name: str) -> Spoken | None:
        return _said(getattr(there, name, None), getattr(article, name), wanted, own)

    return SpokenArticle(
        title=said("title") or Spoken(article.title, own),
        summary=said("summary"),
        text=said("text"),
        languages=_languages(own, translations),
    )


def _said(there: Any, here: Any, wanted: str, own: str) -> Spoken | None:
    if there:
        return Spoken(str(there), wanted)
    return Spoken(str(here), own) if here else None


def _languages(own: str, translations: Mapping[Any, Any]) -> list[str]:
    others = [each for each in LANGUAGE_NAMES if each in translations and each != own]
    return [own, *others]
