"""The one form by which accommodation requests and complaints come in, at every door."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from regional311.casework import accommodations
from regional311.casework.accommodation_letters import Letters
from regional311.casework.accommodations import (
    BASES,
    COMPLAINT,
    KINDS,
    REQUEST,
    SORTS,
    Asked,
    NotWanted,
)
from regional311.casework.coordinators import terms_of
from regional311.casework.hearing import LONGEST_ADDRESS, WAYS, CannotHear, way
from regional311.casework.paper import OUTCOMES
from regional311.database.session import TenantSession, acting_for
from regional311.referral.decision import screen
from regional311.referral.loop import working_days_after
from regional311.tenancy.once import once
from regional311.web.forms import (
    Boolean,
    CheckboxWidget,
    Choice,
    Date,
    DateWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    TextWidget,
)
from regional311.web.i18n import _, page_language
from regional311.web.news import sends_texts
from regional311.web.partners import REGION
from regional311.web.telling import Telling, telling

SORT_WORDS: Final[Mapping[str, Any]] = {
    REQUEST: _("I need something so that I can take part"),
    COMPLAINT: _("I was treated worse for who I am"),
}
KIND_WORDS: Final[Mapping[str, Any]] = {
    "modification": _("A change in how something is done"),
    "policy_change": _("An exception from a rule"),
    "auxiliary_aid": _("An aid, such as a reader or a note taker"),
    "assistive_listening": _("A device to hear better"),
    "interpreter": _("An interpreter of a spoken language"),
    "sign_language": _("An interpreter of sign language"),
    "translated_document": _("A translated document"),
    "large_print": _("Large print, Braille or another format"),
    "physical_access": _("A way in or a place that can be reached"),
    "assistant": _("An assistant or a service animal"),
    "other": _("Something else"),
}
BASIS_WORDS: Final[Mapping[str, Any]] = {
    "disability": _("Disability"),
    "race": _("Race"),
    "colour": _("Color of skin"),
    "national_origin": _("National origin"),
    "language": _("Language or accent"),
    "sex": _("Sex, gender or orientation"),
    "religion": _("Religion"),
    "age": _("Age"),
    "retaliation": _("Because I complained before"),
    "other": _("Something else"),
}
STATE_WORDS: Final[Mapping[str, Any]] = {
    "received": _("Received"),
    "acknowledged": _("A coordinator has it"),
    "decided": _("Decided"),
    "withdrawn": _("Taken back"),
}
OUTCOME_WORDS: Final[Mapping[str, Any]] = {key: _(said) for key, said in OUTCOMES.items()}
WAY_WORDS: Final[Mapping[str, Any]] = {
    "email": _("By e-mail"),
    "text": _("By text to a mobile phone"),
    "post": _("By a letter on paper"),
    "none": _("Not at all: I look at my own page, or call"),
}


class AccommodationForm(Schema):
    """What somebody asks for or complains of; nobody has to say who they are."""

    owner = SchemaNode(String(220), title=_("Which office it is about"))
    sort = SchemaNode(
        Choice(SORTS),
        title=_("What it is"),
        widget=RadioWidget(values=list(SORT_WORDS.items())),
    )
    kind = SchemaNode(
        Choice(KINDS),
        title=_("If you need something: what it is"),
        widget=SelectWidget(values=list(KIND_WORDS.items()), empty=_("Choose")),
        missing=None,
        plain=True,
        asked_if=json.dumps([[["sort", [REQUEST]]]]),
    )
    basis = SchemaNode(
        Choice(BASES),
        title=_("If you were treated worse: for what"),
        widget=SelectWidget(values=list(BASIS_WORDS.items()), empty=_("Choose")),
        missing=None,
        plain=True,
        asked_if=json.dumps([[["sort", [COMPLAINT]]]]),
    )
    details = SchemaNode(
        String(accommodations.LONGEST, multiline=True),
        title=_("Say it in your own words"),
        description=_("In any language. You do not have to name an illness or show a paper."),
        widget=TextAreaWidget(rows=5, maxlength=accommodations.LONGEST),
    )
    needed_on = SchemaNode(
        Date(),
        title=_("The day on which you need it, or on which it happened"),
        widget=DateWidget(),
        missing=None,
    )
    place = SchemaNode(
        String(accommodations.LONGEST_NAME),
        title=_("Where"),
        description=_("A meeting, a building, a bus line, a web page."),
        widget=TextWidget(autocomplete="off"),
        missing=None,
    )
    name = SchemaNode(
        String(accommodations.LONGEST_NAME),
        title=_("Your name, if you want to say it"),
        widget=TextWidget(autocomplete="name"),
        missing=None,
    )
    phone = SchemaNode(
        String(40),
        title=_("Your phone number"),
        widget=TextWidget(type="tel", autocomplete="tel"),
        missing=None,
    )
    email = SchemaNode(
        String(accommodations.LONGEST_NAME),
        title=_("Your e-mail address"),
        widget=TextWidget(type="email", autocomplete="email"),
        missing=None,
    )
    updates_by = SchemaNode(
        Choice(WAYS),
        title=_("How you want to hear from us"),
        description=_(
            "A message says that there is news, and never what it is about. A letter says all of "
            "it. If you choose nothing, we write to the address you left."
        ),
        widget=RadioWidget(values=list(WAY_WORDS.items())),
        missing=None,
    )
    address = SchemaNode(
        String(LONGEST_ADDRESS, multiline=True),
        title=_("Your postal address, for letters"),
        widget=TextAreaWidget(rows=3, maxlength=LONGEST_ADDRESS, autocomplete="street-address"),
        missing=None,
        plain=True,
        asked_if=json.dumps([[["updates_by", ["post"]]]]),
    )
    reach = SchemaNode(
        String(accommodations.LONGEST_NAME),
        title=_("What else we should know to reach you"),
        description=_("For example by relay, in large print, through somebody you trust."),
        widget=TextWidget(autocomplete="off"),
        missing=None,
    )

    cleared = SchemaNode(
        Boolean(), title=_("Nobody is in danger now"), widget=CheckboxWidget(), missing=False
    )

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        offices = offices_of(kw["request"])
        self["owner"].typ = Choice([value for value, _label in offices])
        self["owner"].widget = SelectWidget(values=offices, empty=_("Choose"))
        texts = _somebody_texts(kw["request"], offices)
        if texts:
            self["updates_by"].description = _(
                "A message says that there is news, and never what it is about. A letter says all "
                "of it. If you choose nothing, we write to the address you left, or text your "
                "number."
            )
        offered = [each for each in WAY_WORDS.items() if texts or each[0] != "text"]
        self["updates_by"].typ = Choice([key for key, _words in offered])
        self["updates_by"].widget = RadioWidget(values=offered)


def offices_of(request: Any) -> list[tuple[str, Any]]:
    """Every office that somebody may mean, as ``partner/bureau``; staff: where they may hand on."""
    tell = telling(request)
    region = tell.published.region(tell.published.today(_first(tell), request.now))
    found: list[tuple[str, Any]] = []
    for slug, tenant in sorted(tell.published.tenants.items(), key=lambda each: each[1].name):
        if slug == REGION or (
            tell.slug and slug != tell.slug and not region.may_send(tell.slug, slug)
        ):
            continue
        found.append(
            (
                f"{slug}/",
                _("${partner}: I do not know which office", mapping={"partner": tenant.name}),
            )
        )
        bureaus = (
            (ref.partition("/")[2], row)
            for ref, row in tell.published.bureaus.items()
            if ref.startswith(f"{slug}/") and row.ended_on is None
        )
        found.extend(
            (f"{slug}/{key}", f"{tenant.name}: {row.name}")
            for key, row in sorted(bureaus, key=lambda each: each[1].name)
        )
    return found


def _somebody_texts(request: Any, offices: Iterable[tuple[str, Any]]) -> bool:
    slugs = {value.partition("/")[0] for value, _label in offices}
    return any(sends_texts(request, slug) for slug in sorted(slugs))


def _way(request: Any, slug: str, values: Mapping[str, Any]) -> str:
    """By what they hear, as they chose or as they left it. Raises `CannotHear`, translated."""
    try:
        return way(
            values["updates_by"],
            email=values["email"],
            phone=values["phone"],
            address=values["address"],
            texts=sends_texts(request, slug),
        )
    except CannotHear as error:
        raise CannotHear(_(error.message), field=error.field) from error


def _first(tell: Telling) -> str:
    return tell.slug or next(iter(sorted(tell.published.tenants)))


def signs_in(request: Any, words: str) -> tuple[Any, ...]:
    """The signs of danger that are in somebody's words."""
    tell = telling(request)
    known = tell.published.screen(tell.published.today(_first(tell), request.now)).signs
    hits = screen(known, (), words)
    return tuple(each for each in known if each.key in hits)


def warning(request: Any, signs: tuple[Any, ...]) -> dict[str, Any]:
    """What a page says of signs of danger: their names, the first, and what a voice says."""
    tell = telling(request)
    say = tell.published.screen(tell.published.today(_first(tell), request.now)).say
    return {
        "signs": [each.name for each in signs],
        "sign": signs[0].spoken(page_language(request)) if signs else None,
        "say": say if signs else "",
    }


def take(
    request: Any,
    session: TenantSession,
    values: Mapping[str, Any],
    *,
    key: str,
    channel: str,
    language: str,
) -> tuple[str, str, str]:
    """Take in what a form said, once; give the owner's slug, the number and the secret link's end.

    Raises :class:`NotWanted`.
    """
    slug, _slash, bureau = values["owner"].partition("/")
    sort = values["sort"]
    kind = values["kind"] if sort == REQUEST else values["basis"]
    if kind is None:
        raise NotWanted(
            _("Choose what it is about."), field="basis" if sort == COMPLAINT else "kind"
        )
    digest = hashlib.sha256(f"accommodation:{key}".encode()).digest()
    asked = Asked(
        sort,
        kind,
        values["details"],
        source_key=hashlib.sha256(f"accommodation-source:{key}".encode()).hexdigest(),
        token=base64.urlsafe_b64encode(digest[:24]).decode(),
        channel=channel,
        language=language,
        bureau_key=bureau or None,
        updates_by=_way(request, slug, values),
        **{
            name: values[name]
            for name in ("needed_on", "place", "name", "phone", "email", "address", "reach")
        },
    )
    tell = telling(request)
    owner_id = tell.published.ids[slug]
    letters = letters_of(request, slug)
    with acting_for(session, owner_id):

        def make() -> dict[str, Any]:
            number = accommodations.take(
                session,
                asked,
                letters,
                acknowledge_by=due_after(request, slug, letters.terms.acknowledge_days),
                decide_by=due_after(request, slug, letters.terms.decide_days),
                now=request.now,
            )
            return {"number": number}

        made = once(session, f"accommodation:{asked.source_key}", dict(values), make)
    return slug, made["number"], asked.token


def letters_of(request: Any, slug: str) -> Letters:
    """What letters of a partner about accommodations are written with, and its own terms."""
    tell = telling(request)
    return Letters(
        tell.partner(slug),
        slug,
        request.registry.configured.url,
        terms_of(tell.published.tenant(slug).settings),
        tell.published.wording,
    )


def due_after(request: Any, slug: str, days: int) -> date:
    """The day that is so many working days of a partner from today."""
    published = telling(request).published
    return working_days_after(published.calendars[slug], published.today(slug, request.now), days)
