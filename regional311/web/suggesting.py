"""What can be corrected about a service or an article, and the form that corrects one field of it.

The public's page and the specialists' page are made of the same parts. An address names the service
as `about=partner/key`, one of its places with `place=key`, the body that gives it with
`organization=key`, an article as `about=article:partner/key`, and the field with `field=name`;
without a field everything is listed with what it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

import colander
from pyramid.httpexceptions import HTTPNotFound
from sqlalchemy.orm import Session

from regional311.catalog.article_queries import article
from regional311.catalog.directory import Service
from regional311.catalog.place_queries import organization_named, places_of
from regional311.keeping.fields import FIELDS, FieldKind, has_words, kind_of, text_of
from regional311.keeping.suggestions import LONGEST, Wish
from regional311.strict import canonical
from regional311.web.forms import (
    Form,
    Schema,
    SchemaNode,
    String,
    TextAreaWidget,
    TextWidget,
    TrapWidget,
    make_form,
)
from regional311.web.i18n import LANGUAGE_NAMES, _
from regional311.web.public_pages import local_now
from regional311.web.spoken import own_language
from regional311.web.telling import telling

FIELD_NAMES: Mapping[str, Any] = {
    "name": _("Name"),
    "summary": _("Short description"),
    "phone": _("Phone number"),
    "email": _("E-mail address"),
    "website": _("Web address"),
    "hours": _("Hours"),
    "information": _("What to know"),
    "eligibility": _("Who can get it"),
    "how_to_apply": _("How to get it"),
    "document": _("What to bring"),
    "fee": _("What it costs"),
    "wait": _("How long people wait"),
    "keywords": _("Words that people use for it"),
    "place": _("Where it is given"),
    "address": _("Street and number"),
    "address_2": _("Floor, room or suite"),
    "city": _("City"),
    "postal_code": _("ZIP code"),
    "transportation": _("How to get there"),
    "description": _("What to know about the place"),
    "title": _("Question or title"),
    "text": _("What it says"),
    "other": _("Something else"),
}
_OF_A_BODY: Any = _("What it is and does")
ARTICLE: Final = "article:"
HINTS: Mapping[FieldKind, Any] = {
    "list": _("One a line."),
    "week": _("For example: mon-fri 8:00-17:00. In your own words is fine, too."),
    "note": _("In your own words."),
}


def field_name(kind: str, field: str) -> Any:
    """What a field of a kind of entry is called."""
    if (kind, field) == ("organization", "description"):
        return _OF_A_BODY
    return FIELD_NAMES.get(field, field)


@dataclass(frozen=True)
class About:
    """What an address is about: a service or an article, and whose it is."""

    ref: str
    """How an address names it."""
    owner: str
    """Slug of the partner."""
    bureau: str
    name: str
    """What it is called, in the language that is looked at."""
    url: str
    """Its public page."""
    shelf: tuple[str, Any]
    """The public page on which things of its kind are listed: address and title."""
    languages: tuple[str, ...]
    """Languages in which there are words of it, the partner's own first."""


@dataclass(frozen=True)
class Subject:
    """An entry as it can be corrected: what the address is about, or a part of that."""

    about: About
    kind: str
    key: str
    name: str
    said: Mapping[str, Any]
    own: str
    """Language in which the partner describes itself."""
    language: str | None = None
    """The translation that is looked at; None for the partner's own language."""

    @property
    def fields(self) -> Sequence[str]:
        """The fields that can be corrected, in the order in which they are shown."""
        return [
            field
            for field in FIELDS[self.kind]
            if self.language is None or has_words(self.kind, field) or field == "other"
        ]

    @property
    def part(self) -> bool:
        """Whether it is a place or the body that gives a service, and not the service itself."""
        return self.kind in _PARTS

    def says(self, field: str) -> str:
        """What a field says, as text; empty when it says nothing."""
        language = self.language if has_words(self.kind, field) else None
        return text_of(self.said, field, language)

    @property
    def query(self) -> dict[str, str]:
        """The part of an address that names it."""
        asked = {"about": self.about.ref}
        if self.part:
            asked[_PARTS[self.kind]] = self.key
        if self.language:
            asked["in"] = self.language
        return asked


_PARTS: Final[Mapping[str, str]] = {"location": "place", "organization": "organization"}
"""Parts of a service, and how an address names one."""


def said_of(service: Service) -> dict[str, Any]:
    """Give a service in memory as its canonical form, as far as people may correct it."""
    return {
        **service.details,
        "name": service.name,
        "summary": service.summary,
        "keywords": list(service.keywords),
    }


def subjects(
    request: Any, session: Session, language: str | None = None, *, public: bool = False
) -> list[Subject]:
    """Give what the address is about: an article; or a service, its places and who gives it.

    With a language its translation is looked at, where there is one. 404 for what is not there;
    with `public`, for an article that only staff read as well.
    """
    asked = request.GET.get("about", "")[:200]
    if asked.startswith(ARTICLE):
        return [_article(request, session, asked, language, public=public)]
    tell = telling(request)
    found = tell.published.directory.find(asked)
    if found is None or not found.offered(tell.today):
        raise HTTPNotFound
    row = tell.published.tenants[found.tenant]
    own = own_language(row)
    about = About(
        ref=found.ref,
        owner=found.tenant,
        bureau=found.bureau,
        name=found.name,
        url=f"/services/{found.ref}",
        shelf=("/services", _("Services")),
        languages=_languages(own, found.details),
    )
    subject = Subject(about, "service", found.key, found.name, said_of(found), own)
    places = places_of(session, row.id, found.id, tell.today) if found.id else []
    parts = [
        ("location", each.key, each.name, {**each.location, "key": each.key, "name": each.name})
        for each in places
    ]
    key = found.details.get("organization")
    if key and (body := organization_named(session, row.id, key)):
        name, details = body
        parts.append(("organization", key, name, {**details, "key": key, "name": name}))
    first = _looked_at(request, subject, "name", language)
    return [first, *(Subject(first.about, *each, own) for each in parts)]


def _article(
    request: Any, session: Session, asked: str, language: str | None, *, public: bool
) -> Subject:
    tell = telling(request)
    slug, _slash, key = asked.removeprefix(ARTICLE).partition("/")
    found = None
    if slug in tell.published.ids:
        found = article(session, tell.published.ids[slug], key)
    if found is None or not found.offered(tell.today):
        raise HTTPNotFound
    row = tell.published.tenants[slug]
    if public and not (found.said.public and found.said.holds(local_now(request, row))):
        raise HTTPNotFound
    own, said = own_language(row), canonical(found.said)
    about = About(
        ref=asked,
        owner=slug,
        bureau=found.said.bureau or "",
        name=found.said.title,
        url=f"/articles/{slug}/{key}",
        shelf=("/articles", _("Questions and answers")),
        languages=_languages(own, said),
    )
    subject = Subject(about, "article", key, found.said.title, said, own)
    return _looked_at(request, subject, "title", language)


def _languages(own: str, said: Mapping[str, Any]) -> tuple[str, ...]:
    return (own, *(each["language"] for each in said.get("translation") or ()))


def _looked_at(request: Any, subject: Subject, name: str, language: str | None) -> Subject:
    """Give it in the language asked for, where it has words of that; `name` says what it is."""
    asked, about = request.GET.get("in", language or ""), subject.about
    if asked == subject.own or asked not in about.languages:
        return subject
    spoken = text_of(subject.said, name, asked) or about.name
    return replace(subject, language=asked, about=replace(about, name=spoken))


def chosen(request: Any, found: Sequence[Subject]) -> tuple[Subject, str] | None:
    """Give the entry and the field that the address asks for; None when it names no field."""
    field = request.GET.get("field", "")
    if not field:
        return None
    part = next(
        ((kind, request.GET[name]) for kind, name in _PARTS.items() if name in request.GET), None
    )
    subject = next(
        (
            each
            for each in found
            if ((each.kind, each.key) == part if part is not None else not each.part)
        ),
        None,
    )
    if subject is None or field not in subject.fields:
        raise HTTPNotFound
    return subject, field


def listed(request: Any, found: Sequence[Subject], url: str) -> list[dict[str, Any]]:
    """Give every entry with its fields, what each says and where it is corrected.

    Fields that say nothing come apart, unless the page shows something else in their place.
    """
    listing = []
    for subject in found:
        rows = [_listed(request, subject, field, url) for field in subject.fields]
        listing.append(
            {
                "name": subject.name,
                "place": subject.part,
                "language": subject.language or subject.own,
                "fields": [each for each in rows if not each["empty"]],
                "empty": [each for each in rows if each["empty"]],
            }
        )
    return listing


def _listed(request: Any, subject: Subject, field: str, url: str) -> dict[str, Any]:
    note = kind_of(subject.kind, field) == "note"
    says = None if note else subject.says(field)
    instead = None if note or says else _instead(request, subject, field)
    return {
        "name": field_name(subject.kind, field),
        "says": says,
        "instead": instead,
        "note": note,
        "empty": not (note or says or instead),
        "url": f"{url}?{urlencode({**subject.query, 'field': field})}",
    }


def _instead(request: Any, subject: Subject, field: str) -> Any:
    """What a service's page shows where the service itself says nothing."""
    if subject.kind != "service":
        return None
    if field == "phone":
        number = telling(request).phone(subject.about.owner, subject.about.bureau)
        return number and _("The page shows ${number}.", mapping={"number": number})
    return _("The page shows the hours of the lines.") if field == "hours" else None


def languages(found: Subject, url: str) -> list[dict[str, Any]]:
    """Give the languages in which it is described, each with the address that shows it."""
    return [
        {
            "name": LANGUAGE_NAMES[each],
            "code": each,
            "url": f"{url}?{urlencode({'about': found.about.ref, 'in': each})}",
            "chosen": each == (found.language or found.own),
        }
        for each in found.about.languages
        if each in LANGUAGE_NAMES
    ]


class SuggestionForm(Schema):
    """What a field should say, and how the writer knows."""

    wanted = SchemaNode(
        String(LONGEST, multiline=True),
        title=_("It should say"),
        widget=TextAreaWidget(rows=4, maxlength=LONGEST),
    )
    reason = SchemaNode(
        String(1000, multiline=True),
        title=_("How do you know?"),
        description=_("For example: I called there today. Please say nothing about people."),
        widget=TextAreaWidget(rows=2, maxlength=1000),
        missing=None,
    )


class PublicSuggestionForm(SuggestionForm):
    """A visitor may leave an address for thanks; what only a program fills in is a trap."""

    email = SchemaNode(
        String(254),
        title=_("Your e-mail address"),
        description=_(
            "Only to thank you and tell you what became of it. We forget it when that is done."
        ),
        widget=TextWidget(type="email", autocomplete="email"),
        validator=colander.Email(_("Enter an e-mail address such as name@example.org.")),
        missing=None,
    )
    homepage = SchemaNode(
        String(300), title=_("Leave this empty"), widget=TrapWidget(), missing=None
    )


def suggestion_form(
    request: Any, subject: Subject, field: str, schema: Schema, *, cancel_url: str
) -> Form:
    """Make the form for one field, filled with what it says now."""
    kind = kind_of(subject.kind, field)
    schema["wanted"].description = HINTS.get(kind) if kind else None
    if kind == "line":
        schema["wanted"].widget = TextAreaWidget(rows=2, maxlength=LONGEST)
    says = "" if kind == "note" else subject.says(field)
    return make_form(
        request,
        schema,
        submit=_("Send it"),
        values={"wanted": says or None},
        name="suggestion",
        once=True,
        cancel_url=cancel_url,
    )


def wish(subject: Subject, field: str, values: Mapping[str, Any]) -> Wish:
    """Give what somebody wants a field to say."""
    note = kind_of(subject.kind, field) == "note"
    return Wish(
        kind=subject.kind,
        key=subject.key,
        name=subject.name,
        field=field,
        said="" if note else subject.says(field),
        wanted=values["wanted"],
        reason=values.get("reason"),
        language=subject.language if has_words(subject.kind, field) else None,
    )


def field_page(
    request: Any, subject: Subject, field: str, form: Form, owner: str
) -> dict[str, Any]:
    """Give what the page of one field shows."""
    shown = _listed(request, subject, field, "")
    return {
        "entry": subject.name,
        "owner": owner,
        "field": field_name(subject.kind, field),
        "says": shown["says"],
        "instead": shown["instead"],
        "language": subject.language or subject.own,
        "form": form,
    }
