"""What the search knows of a service or an article, in each language that it speaks.

Pure: a row with what belongs to it comes in, documents go out. `refresh` reads the rows and stores
the documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from regional311.calendars import DAYS, MINUTES_A_DAY
from regional311.catalog.words import content_words, joined
from regional311.strict import digest

SHOWN: Final = ("active", "temporarily closed")
"""Services in these states can be found."""

_FREE: Final = re.compile(r"\b(free|gratis|no (?:cost|charge|fee)|without charge)\b", re.IGNORECASE)
_MARKDOWN: Final = re.compile(r"\]\([^)]*\)|[*_`#>|\[\]]")

Span = tuple[int, int]
"""Minutes, the first included and the last not."""


@dataclass(frozen=True, slots=True)
class Document:
    """One published thing in one language, as it is searched for; `catalog.models` says more.

    ``a`` to ``d`` are plain words by weight, ``phrases`` the names and callers' words whole.
    """

    kind: str
    key: str
    language: str
    title: str
    summary: str
    a: str
    b: str
    c: str
    d: str
    phrases: tuple[str, ...]
    spoken: tuple[str, ...]
    for_staff: bool = False
    verb: str | None = None
    status: str = "active"
    heading: str | None = None
    terms: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    free: bool | None = None
    documents: bool | None = None
    areas: tuple[str, ...] = ()
    week: str | None = None
    holiday: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None

    def plain(self) -> dict[str, Any]:
        """Give its values as the database reads them, with a digest of them all."""
        said = {name: getattr(self, name) for name in self.__slots__}
        for name in ("valid_from", "valid_to"):
            said[name] = None if said[name] is None else said[name].isoformat()
        return {**said, "digest": digest(said)}


def document(
    language: str,
    *,
    names: Iterable[str | None],
    callers: Iterable[str | None] = (),
    subject: Iterable[str | None] = (),
    details: Iterable[str | None] = (),
    **facts: Any,
) -> Document:
    """Make a document of texts by weight: names, callers' words, what it is about, all details.

    Of names and callers' words, neighbours are also found written as one word.
    """
    called = [content_words(each, language) for each in names if each]
    asked = [content_words(each, language) for each in callers if each]
    parts = {
        "a": [word for words in called for word in (*words, *joined(words))],
        "b": [word for words in asked for word in (*words, *joined(words))],
        "c": [word for each in subject if each for word in content_words(each, language)],
        "d": [word for each in details if each for word in content_words(each, language)],
    }
    phrases = dict.fromkeys(" ".join(words) for words in (*called, *asked) if words)
    every = {word for words in parts.values() for word in words}
    return Document(
        language=language,
        a=" ".join(parts["a"]),
        b=" ".join(parts["b"]),
        c=" ".join(parts["c"]),
        d=" ".join(parts["d"]),
        phrases=tuple(phrases),
        spoken=("", *sorted(every)),
        **facts,
    )


def documents_of_service(row: Mapping[str, Any], partner: Mapping[str, Any]) -> list[Document]:
    """Give the documents of a service; none for one that cannot be had.

    ``row`` has the columns of `services`, its ``organization`` and ``bureau`` by name, its
    ``places`` (what is said at the location, of it, and its name) and the ``term_names`` of its
    terms by language. ``partner`` has ``slug``, ``name``, ``short_name`` and ``language``.
    """
    more = row["details"]
    status = more.get("status") or "active"
    if status not in SHOWN:
        return []
    places = row["places"] or []
    organization = row["organization"]
    papers = more.get("document") or []
    week, holiday = _hours(more.get("hours"), places)
    facts = {
        "kind": "service",
        "key": row["key"],
        "for_staff": False,
        "verb": row["verb"],
        "status": status,
        "heading": more.get("group"),
        "terms": tuple(more.get("taxonomy") or ()),
        "languages": tuple(
            sorted({*(more.get("languages") or ()), *_each(places, "languages")} - {"en"})
        ),
        "free": is_free(row["verb"], more.get("cost") or (), more.get("fee")),
        "documents": bool(papers),
        "areas": _areas(row, partner["slug"]),
        "week": week,
        "holiday": holiday,
        "valid_to": row["ended_on"],
    }
    home = partner["language"]
    terms = row["term_names"] or {}
    found = [
        document(
            home,
            names=(row["name"], more.get("alternate_name")),
            callers=(*(row["keywords"] or ()), organization, *terms.get(home, ())),
            subject=(
                row["summary"],
                more.get("group"),
                (row["term"] or "").replace("-", " "),
                row["bureau"],
                partner["name"],
                partner["short_name"],
                *(each["name"] for each in papers),
            ),
            details=(
                *(more.get(name) for name in _PROSE),
                *(text for each in places for text in _where(each)),
            ),
            title=row["name"],
            summary=row["summary"],
            **facts,
        )
    ]
    for words in more.get("translation") or ():
        language = words["language"]
        found.append(
            document(
                language,
                names=(words["name"],),
                callers=(
                    *(words.get("keywords") or ()),
                    organization,
                    *terms.get(language, ()),
                ),
                subject=(words["summary"], *(words.get("documents") or ())),
                details=(words.get(name) for name in _PROSE),
                title=words["name"],
                summary=words["summary"],
                **facts,
            )
        )
    return found


_PROSE: Final = ("information", "eligibility", "how_to_apply", "fee", "wait", "alert")


def documents_of_article(row: Mapping[str, Any], partner: Mapping[str, Any]) -> list[Document]:
    """Give the documents of an article: what everybody may read, and what staff may, apart.

    Notices have none: they are pinned where they are needed, while they hold.

    ``row`` has the columns of `articles`. What only staff may read is one more document, so that
    nobody else finds the article by words that are not theirs to read.
    """
    if row["kind"] == "notice":
        return []
    more = row["details"]
    home = partner["language"]
    facts = {
        "kind": "article",
        "key": row["key"],
        "heading": row["kind"],
        "valid_from": row["valid_from"],
        "valid_to": _earlier(row["valid_to"], row["ended_on"]),
    }
    said = {
        home: {**more, "title": row["title"]},
        **{each["language"]: each for each in more.get("translation") or ()},
    }
    found = []
    for language, words in said.items():
        text = unmarked(words.get("text"))
        title, summary = words["title"], words.get("summary") or text[:200]
        base = {
            "names": (title,),
            "callers": tuple(words.get("keywords") or ()),
            "title": title,
        }
        if row["public"]:
            found.append(
                document(
                    language, subject=(summary,), details=(text,), summary=summary, **base, **facts
                )
            )
        inside = [unmarked(each) for each in _for_staff(words if language != home else more)]
        if language == home and (any(inside) or not row["public"]):
            found.append(
                document(
                    language,
                    subject=(words.get("summary"),),
                    details=(text, *inside),
                    summary=words.get("summary") or (text or " ".join(inside))[:200],
                    for_staff=True,
                    **base,
                    **facts,
                )
            )
    return found


def _for_staff(words: Mapping[str, Any]) -> Iterable[str | None]:
    yield words.get("internal")
    for step in words.get("step") or ():
        yield step["text"]
        yield from (choice["label"] for choice in step.get("choice") or ())


def unmarked(text: str | None) -> str:
    """Give the words of a Markdown text.

    >>> unmarked("The **Town**, on [Town streets](https://town.example)")
    'The Town, on Town streets'
    """
    return " ".join(_MARKDOWN.sub("", text or "").split())


def is_free(verb: str, costs: Sequence[Mapping[str, Any]], fee: str | None) -> bool | None:
    """Whether a service costs nothing; None when nothing is said and it may cost something.

    To ask and to report costs nothing unless it is said.

    >>> is_free("report", (), None), is_free("apply", (), None), is_free("apply", (), "No charge.")
    (True, None, True)
    """
    amounts = [each["amount"] for each in costs if each.get("amount") is not None]
    if amounts:
        return not any(Decimal(each) for each in amounts)
    if fee:
        return _FREE.search(fee) is not None
    return True if verb in ("find", "report") else None


def multirange(spans: Iterable[Span]) -> str:
    """Write spans of minutes as PostgreSQL's multirange, which unites them."""
    return "{" + ",".join(f"[{start},{end})" for start, end in sorted(spans)) + "}"


def week_spans(week: Mapping[str, Sequence[str]]) -> tuple[list[Span], list[Span]]:
    """Give the minutes of the week, from Monday, and those of a holiday.

    >>> week_spans({"tue": ["08:00-12:00"], "holiday": ["10:00-11:00"]})
    ([(1920, 2160)], [(600, 660)])
    """
    days = [
        (start + MINUTES_A_DAY * place, end + MINUTES_A_DAY * place)
        for place, day in enumerate(DAYS)
        for start, end in map(_minutes, week.get(day) or ())
    ]
    return days, [_minutes(each) for each in week.get("holiday") or ()]


def _minutes(span: str) -> Span:
    opens, closes = (
        int(time[:2]) * 60 + int(time[3:]) for time in (part.strip() for part in span.split("-"))
    )
    return opens, closes


def _hours(
    own: Mapping[str, Any] | None, places: Sequence[Mapping[str, Any]]
) -> tuple[str | None, str | None]:
    """Unite the hours of all places; a place without any has the service's, or its own."""
    weeks = [each["here"].get("hours") or own or each["there"].get("hours") for each in places]
    known = [week_spans(each) for each in (weeks or [own]) if each]
    if not known:
        return None, None
    return (
        multirange(span for days, _holiday in known for span in days),
        multirange(span for _days, holiday in known for span in holiday),
    )


def _areas(row: Mapping[str, Any], slug: str) -> tuple[str, ...]:
    """Give the boundaries it is offered in, of all its places; none when a place has no own."""
    whole = [row["boundary_key"]] if row["boundary_key"] else []
    places = [each["here"].get("areas") or whole for each in row["places"] or ()] or [whole]
    if not all(places):
        return ()
    return tuple(sorted({f"{slug}/{key}" for keys in places for key in keys}))


def _each(places: Sequence[Mapping[str, Any]], name: str) -> set[str]:
    return {value for each in places for value in each["there"].get(name) or ()}


def _where(place: Mapping[str, Any]) -> Iterable[str | None]:
    there = place["there"]
    return (place["name"], there.get("address"), there.get("city"), there.get("postal_code"))


def _earlier(one: date | None, other: date | None) -> date | None:
    days = [each for each in (one, other) if each is not None]
    return min(days, default=None)
