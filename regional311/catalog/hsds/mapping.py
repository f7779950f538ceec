"""What the catalogue says as HSDS objects, and back: pure functions on plain values.

`said` is always the canonical form of a `catalog.content` model, a document a plain HSDS object
without other entities in it. What HSDS has no field for goes along as attributes of our own
taxonomy (`facts`), so that nothing is lost between two instances. Coming back, values that the
catalogue has no room for are left out here and kept by whoever stores the document; see `overlay`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid5

from regional311.calendars import DAYS
from regional311.catalog.hsds.identifiers import NAMESPACE, Children
from regional311.catalog.hsds.shapes import WEEKDAYS
from regional311.catalog.hsds.values import (
    clock,
    email_address,
    one_line,
    phone_number,
    prose,
    web_address,
    whole,
)

Said = Mapping[str, Any]
Document = dict[str, Any]

LANGUAGES: Final = {
    "en": "English",
    "es": "Spanish",
    "vi": "Vietnamese",
    "zh-Hant": "Chinese",
    "ru": "Russian",
}
_CODES: Final = {
    **{code: code for code in LANGUAGES},
    **{name.casefold(): code for code, name in LANGUAGES.items()},
    "eng": "en",
    "spa": "es",
    "español": "es",
    "vie": "vi",
    "rus": "ru",
    **dict.fromkeys(
        ("zh", "zho", "chi", "yue", "cmn", "zh-hant", "cantonese", "mandarin"), "zh-Hant"
    ),
}
_PHONE_KINDS: Final = {
    "voice": "voice",
    "text": "text",
    "fax": "fax",
    "tty": "textphone",
    "video": "video",
    "voicemail": "voicemail",
}
_KINDS_OF_PHONES: Final = {
    **{theirs: ours for ours, theirs in _PHONE_KINDS.items()},
    "sms": "text",
    "tty": "tty",
    "tdd": "tty",
}
HOLIDAYS: Final = "On public holidays."
CLOSED: Final = "Closed."
END_OF_DAY: Final = "23:59:59"
"""Midnight at the end of a day; no span in the catalogue has seconds."""

CURRENCY: Final = "USD"

FACTS: Final = uuid5(NAMESPACE, "facts")
TERMS: Final = uuid5(NAMESPACE, "kinds-of-service")
FACTS_NAME: Final = "Regional311 facts"
TERMS_NAME: Final = "Kinds of service"
ALSO_LISTED: Final = "also-listed-by"
"""The fact that another partner lists the same; its value is the HSDS id there."""

_SERVICE_FIELDS: Final = {
    "name": "name",
    "alternate_name": "alternate_name",
    "status": "status",
    "alert": "alert",
    "eligibility": "eligibility_description",
    "minimum_age": "minimum_age",
    "maximum_age": "maximum_age",
    "how_to_apply": "application_process",
    "wait": "wait_time",
    "email": "email",
    "website": "url",
    "fee": "fees_description",
}
"""Fields of a service that HSDS has by another name, or by the same."""

SERVICE_MAPPED: Final = frozenset(
    {
        *_SERVICE_FIELDS,
        *("summary", "hours", "languages", "phone", "document", "cost", "taxonomy"),
        *("organization", "location", "boundary"),
    }
)
"""What an HSDS service says; the rest is for whoever keeps the entry here to decide."""

PUBLIC_FACTS: Final = frozenset(
    {
        *("key", "verb", "bureau", "steps", "term", "group", "keywords", "channels", "place"),
        *("target_hours", "information", "disposition", "question", "translation"),
    }
)
"""Facts that everybody may read; others (queues, review dates) stay within the partner."""

TAKEN_FACTS: Final = frozenset(
    {
        *("verb", "steps", "term", "group", "keywords", "channels", "place", "target_hours"),
        *("information", "question", "translation"),
    }
)
"""Facts of a package that are taken as the service's own; others name what only its keeper has."""

_SERVICE_APART: Final = SERVICE_MAPPED | {"confidential"}
_ORGANIZATION_FIELDS: Final = (
    *("name", "alternate_name", "description", "legal_status", "email", "website"),
)
ORGANIZATION_MAPPED: Final = frozenset({*_ORGANIZATION_FIELDS, "parent", "phone"})
_LOCATION_FIELDS: Final = {
    "name": "name",
    "kind": "location_type",
    "description": "description",
    "latitude": "latitude",
    "longitude": "longitude",
    "transportation": "transportation",
    "website": "url",
}
_ADDRESS: Final = {
    "address": "address_1",
    "address_2": "address_2",
    "city": "city",
    "state": "state_province",
    "postal_code": "postal_code",
    "country": "country",
}
LOCATION_MAPPED: Final = frozenset(
    {
        *_LOCATION_FIELDS,
        *_ADDRESS,
        *("hours", "languages", "phone", "accessibility", "organization"),
    }
)
SITE_MAPPED: Final = frozenset({"location", "hours", "areas", "note", "phone"})


@dataclass(frozen=True)
class Area:
    """A boundary as a service area: its HSDS id, its name, where its shape can be read."""

    id: UUID
    name: str
    uri: str | None = None


@dataclass(frozen=True)
class Around:
    """What a partner's documents need beside the entry itself.

    `offset` is that of the partner's clocks from UTC in hours, `areas` its boundaries by key,
    `outline` the one where everything is offered that names none, `terms` the terms of taxonomies
    as HSDS objects by `taxonomy:code`. `inside` documents say what only the partner may read.
    `alerts` are what is told of services for the time being, by key, each with whether the service
    is closed meanwhile.
    """

    offset: float = 0
    areas: Mapping[str, Area] = field(default_factory=dict)
    outline: str | None = None
    terms: Mapping[str, Document] = field(default_factory=dict)
    inside: bool = False
    alerts: Mapping[str, tuple[str, bool]] = field(default_factory=dict)


# --- services ------------------------------------------------------------------------------------


def service_document(said: Said, service_id: UUID | str, around: Around) -> Document:
    """Give a service without its organisation and sites."""
    children = Children(service_id)
    document: Document = {"id": str(service_id)}
    document |= {
        theirs: said[ours] for ours, theirs in _SERVICE_FIELDS.items() if said.get(ours) is not None
    }
    document.setdefault("status", "active")
    document["description"] = _described(said)
    phone = said.get("phone")
    document["phones"] = [_phone({"number": phone}, children)] if phone else []
    document["schedules"] = list(_schedules(said.get("hours"), children, around.offset))
    document["service_areas"] = _areas([said.get("boundary") or around.outline], around)
    document["languages"] = _languages(said.get("languages", ()), children)
    document["cost_options"] = [_cost(each, children) for each in said.get("cost", ())]
    document["required_documents"] = [
        children.named("required_document", _without({"document": "name", "uri": "website"}, each))
        for each in said.get("document", ())
    ]
    document["attributes"] = [
        *_term_attributes(said, children, around),
        *_facts("service", said, _SERVICE_APART, PUBLIC_FACTS, children, around),
    ]
    return _filled(document)


def said_service(document: Said, around: Around) -> dict[str, Any]:
    """Give what a service says, as far as the catalogue has room for it.

    Its key and what HSDS does not know are there only when the document carries them as facts.
    """
    found = read_facts(document)
    terms, others = _read_terms(document, around)
    found |= terms
    found |= {
        "name": one_line(document.get("name")),
        "alternate_name": one_line(document.get("alternate_name")),
        "summary": _summary(document, found.get("information")),
        "status": _unless("active", document.get("status")),
        "alert": one_line(document.get("alert")),
        "eligibility": prose(document.get("eligibility_description")),
        "minimum_age": whole(document.get("minimum_age"), 0, 130),
        "maximum_age": whole(document.get("maximum_age"), 0, 130),
        "how_to_apply": prose(document.get("application_process")),
        "wait": one_line(document.get("wait_time")),
        "email": email_address(document.get("email")),
        "website": web_address(document.get("url")),
        "fee": one_line(document.get("fees_description") or document.get("fees")),
        "phone": next((each["number"] for each in _said_phones(document)), None),
        "hours": said_hours(document.get("schedules", ())),
        "languages": said_languages(document.get("languages", ())),
        "document": list(_said_documents(document)),
        "cost": list(_said_costs(document)),
        "taxonomy": others,
        "boundary": next(iter(_said_areas(document, around)), None),
    }
    if found["boundary"] == around.outline:
        found["boundary"] = None
    ages = found["minimum_age"], found["maximum_age"]
    if None not in ages and ages[1] < ages[0]:
        found["maximum_age"] = None
    return _filled(found)


def _described(said: Said) -> str:
    return "\n\n".join(filter(None, (said.get("summary"), said.get("information"))))


def _summary(document: Said, information: str | None) -> str | None:
    text = document.get("description") or document.get("name")
    if information and isinstance(text, str):
        text = text.removesuffix(f"\n\n{information}")
    return prose(text)


def _cost(each: Said, children: Children) -> Document:
    amount = each.get("amount")
    priced = {} if amount is None else {"currency": CURRENCY, "amount": number(amount)}
    said = {"option": each["option"], **priced, "amount_description": each.get("details")}
    return children.named("cost_option", _filled(said))


def _said_costs(document: Said) -> Iterator[Document]:
    for each in document.get("cost_options", ()):
        currency = str(each.get("currency") or CURRENCY).upper()
        amount = each.get("amount")
        if amount is not None and (currency != CURRENCY or not 0 <= amount < 10**13):
            continue
        text = None if amount is None else f"{amount:.2f}"
        if text is not None and float(text) != float(amount):
            continue
        yield _filled(
            {
                "option": one_line(each.get("option")) or "Fee",
                "amount": text,
                "details": one_line(each.get("amount_description")),
            }
        )


def _said_documents(document: Said) -> Iterator[Document]:
    for each in document.get("required_documents", ()):
        name = one_line(each.get("document"))
        if name:
            yield _filled({"name": name, "website": web_address(each.get("uri"))})


# --- where it is given ---------------------------------------------------------------------------


def site_document(said: Said, site_id: UUID | str, around: Around) -> Document:
    """Give a service at a location, without either of them."""
    children = Children(site_id)
    return _filled(
        {
            "id": str(site_id),
            "description": said.get("note"),
            "service_areas": _areas(said.get("areas", ()), around),
            "phones": [_phone(each, children) for each in said.get("phone", ())],
            "schedules": list(_schedules(said.get("hours"), children, around.offset)),
            "attributes": _facts(
                "service_at_location", said, SITE_MAPPED, {"capacity"}, children, around
            ),
        }
    )


def said_site(document: Said, around: Around) -> dict[str, Any]:
    """Give what a service at a location says of itself; not which location it is."""
    return _filled(
        {
            **read_facts(document),
            "note": one_line(document.get("description")),
            "areas": list(_said_areas(document, around)),
            "phone": list(_said_phones(document)),
            "hours": said_hours(document.get("schedules", ())),
        }
    )


def capacities(service_id: UUID | str, sites: Iterable[tuple[str, Said]]) -> list[Document]:
    """Give the room at a service's sites, each named, as capacities of the service."""
    children = Children(service_id)
    found = []
    for place, said in sites:
        for each in said.get("capacity", ()):
            if each.get("available") is None or each.get("updated_on") is None:
                continue
            found.append(
                {
                    "id": children.id("service_capacity", place, each["unit"]),
                    "unit": {
                        "id": str(uuid5(NAMESPACE, f"unit/{each['unit']}")),
                        "name": each["unit"],
                    },
                    "available": each["available"],
                    **_filled({"maximum": each.get("maximum"), "description": place}),
                    "updated": f"{each['updated_on']}T00:00:00Z",
                }
            )
    return found


# --- locations and organisations -----------------------------------------------------------------


def location_document(said: Said, location_id: UUID | str, around: Around) -> Document:
    """Give a location with its addresses, phones and hours."""
    children = Children(location_id)
    document: Document = {"id": str(location_id), "location_type": said.get("kind", "physical")}
    document |= {
        theirs: said[ours]
        for ours, theirs in _LOCATION_FIELDS.items()
        if said.get(ours) is not None
    }
    document["languages"] = _languages(said.get("languages", ()), children)
    document["addresses"] = list(_addresses(said, children))
    document["accessibility"] = [
        children.named("accessibility", _without({"description": "name", "details": "details"}, e))
        for e in said.get("accessibility", ())
    ]
    document["phones"] = [_phone(each, children) for each in said.get("phone", ())]
    document["schedules"] = list(_schedules(said.get("hours"), children, around.offset))
    document["attributes"] = _facts("location", said, LOCATION_MAPPED, {"key"}, children, around)
    return _filled(document)


def said_place(document: Said) -> dict[str, Any]:
    """Give what a location says; not whose it is. A point off the Earth is left out."""
    address: Said = next(iter(document.get("addresses", ())), {})
    said = {
        **read_facts(document),
        "kind": _unless("physical", document.get("location_type")),
        "description": prose(document.get("description")),
        "transportation": one_line(document.get("transportation")),
        "website": web_address(document.get("url")),
        "languages": said_languages(document.get("languages", ())),
        "phone": list(_said_phones(document)),
        "hours": said_hours(document.get("schedules", ())),
        "accessibility": [
            _filled({"name": name, "details": one_line(each.get("details"))})
            for each in document.get("accessibility", ())
            if (name := one_line(each.get("description")))
        ],
        **{ours: one_line(address.get(theirs)) for ours, theirs in _ADDRESS.items()},
        **point(document),
    }
    said["country"] = _unless("US", said["country"])
    said["name"] = (
        one_line(document.get("name"))
        or said["address"]
        or one_line(document.get("description"))
        or one_line(document.get("url"))
        or "Location"
    )
    return _filled(said)


def point(document: Said) -> dict[str, float]:
    """Give the coordinates of a location when both are there and on Earth."""
    latitude, longitude = document.get("latitude"), document.get("longitude")
    if latitude is None or longitude is None:
        return {}
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return {}
    return {"latitude": float(latitude), "longitude": float(longitude)}


def organization_document(
    said: Said, organization_id: UUID | str, around: Around, *, parent_id: UUID | None = None
) -> Document:
    """Give an organisation without its locations."""
    children = Children(organization_id)
    document: Document = {"id": str(organization_id)}
    document |= {name: said[name] for name in _ORGANIZATION_FIELDS if said.get(name) is not None}
    if parent_id is not None:
        document["parent_organization_id"] = str(parent_id)
    document["phones"] = [_phone(each, children) for each in said.get("phone", ())]
    document["attributes"] = _facts(
        "organization", said, ORGANIZATION_MAPPED, {"key", "location"}, children, around
    )
    return _filled(document)


def said_body(document: Said) -> dict[str, Any]:
    """Give what an organisation says; not which one it is part of."""
    name = one_line(document.get("name"))
    return _filled(
        {
            **read_facts(document),
            "name": name,
            "alternate_name": one_line(document.get("alternate_name")),
            "description": prose(document.get("description")) or name,
            "legal_status": one_line(document.get("legal_status")),
            "email": email_address(document.get("email")),
            "website": web_address(document.get("website")),
            "phone": list(_said_phones(document)),
        }
    )


def _addresses(said: Said, children: Children) -> Iterator[Document]:
    if any(said.get(name) for name in _ADDRESS if name != "country") or "country" in said:
        found = {theirs: said.get(ours, "") for ours, theirs in _ADDRESS.items()}
        found["country"] = said.get("country", "US")
        kind = said.get("kind", "physical")
        yield children.named(
            "address",
            {n: v for n, v in found.items() if v or n != "address_2"} | {"address_type": kind},
        )


# --- parts that several of them have --------------------------------------------------------------


def _phone(said: Said, children: Children) -> Document:
    kind = _PHONE_KINDS[said.get("kind", "voice")]
    extension = said.get("extension")
    phone_id = children.id("phone", said["number"], kind, extension)
    found = {
        "id": phone_id,
        "number": said["number"],
        "extension": extension,
        "type": kind,
        "description": said.get("name"),
        "languages": _languages(said.get("languages", ()), Children(phone_id)),
    }
    return _filled(found)


def _said_phones(document: Said) -> Iterator[dict[str, Any]]:
    for each in document.get("phones", ()):
        spoken, extension = phone_number(str(each.get("number") or ""))
        if spoken is None:
            continue
        stated = whole(each.get("extension"), 0, 999999)
        kind = str(each.get("type") or "").casefold()
        yield _filled(
            {
                "number": spoken,
                "kind": _unless("voice", _KINDS_OF_PHONES.get(kind, "voice")),
                "extension": extension if stated is None else stated,
                "name": one_line(each.get("description")),
                "languages": said_languages(each.get("languages", ())),
            }
        )


def _languages(codes: Iterable[str], children: Children) -> list[Document]:
    return [
        {
            "id": children.id("language", code),
            "name": LANGUAGES[code],
            "code": code.partition("-")[0],
        }
        for code in codes
    ]


def said_languages(listed: Iterable[Said]) -> list[str]:
    """Give the languages that the region speaks among those listed, each once."""
    codes = []
    for each in listed:
        for text in (each.get("code"), each.get("name")):
            code = _CODES.get(str(text or "").strip().casefold())
            if code is not None:
                codes.append(code)
                break
    return list(dict.fromkeys(codes))


def _schedules(week: Said | None, children: Children, offset: float) -> Iterator[Document]:
    """Give the spans of a week, one schedule for all days that share one."""
    if week is None:
        return
    if not week:
        yield children.named("schedule", {"description": CLOSED})
    days: dict[str, list[str]] = {}
    for name, code in zip(DAYS, WEEKDAYS, strict=True):
        for span in week.get(name, ()):
            days.setdefault(span, []).append(code)
    for span, codes in sorted(days.items(), key=lambda each: (WEEKDAYS.index(each[1][0]), each[0])):
        yield _schedule(span, offset, children, freq="WEEKLY", byday=",".join(codes))
    for span in week.get("holiday", ()):
        yield _schedule(span, offset, children, description=HOLIDAYS)


def _schedule(span: str, offset: float, children: Children, **more: str) -> Document:
    opens, _, closes = span.partition("-")
    found = {
        **more,
        "opens_at": opens,
        "closes_at": END_OF_DAY if closes == "24:00" else closes,
    }
    # the offset changes twice a year, the hours do not: the id is made without it
    named = children.named("schedule", found)
    weekly = {"interval": 1, "wkst": "MO"} if "freq" in more else {}
    return {**named, **weekly, "timezone": number(offset)}


_ODD: Final = (
    *("valid_from", "valid_to", "until", "count", "byweekno", "bymonthday", "byyearday"),
)


def said_hours(schedules: Sequence[Said]) -> dict[str, list[str]] | None:
    """Give weekly hours when schedules say these and nothing else; None otherwise.

    Hours of a season, of every second week or by the month are no week: shown as one they would
    be wrong on most days.
    """
    if [_bare(each) for each in schedules] == [{"description": CLOSED}]:
        return {}
    week: dict[str, list[str]] = {}
    for each in schedules:
        opens, closes = clock(each.get("opens_at")), clock(each.get("closes_at"))
        if opens is None or closes is None or any(each.get(name) for name in _ODD):
            return None
        if closes in ("00:00", "23:59:59"):
            closes = "24:00"
        if closes <= opens or each.get("interval", 1) != 1:
            return None
        codes = [code.strip() for code in str(each.get("byday") or "").split(",") if code.strip()]
        if codes and each.get("freq", "WEEKLY") == "WEEKLY" and set(codes) <= set(WEEKDAYS):
            names = [DAYS[WEEKDAYS.index(code)] for code in codes]
        elif not codes and "freq" not in each and each.get("description") == HOLIDAYS:
            names = ["holiday"]
        else:
            return None
        for name in names:
            week.setdefault(name, []).append(f"{opens[:5]}-{closes[:5]}")
    return {name: sorted(set(week[name])) for name in (*DAYS, "holiday") if name in week} or None


def _areas(keys: Iterable[str | None], around: Around) -> list[Document]:
    found = []
    for key in keys:
        area = around.areas.get(key or "")
        if area is not None:
            # its id says which area it is, so that it is known again wherever it comes back
            found.append(_filled({"id": str(area.id), "name": area.name, "uri": area.uri}))
    return found


def _said_areas(document: Said, around: Around) -> Iterator[str]:
    keys = {str(area.id): key for key, area in around.areas.items()}
    for each in document.get("service_areas", ()):
        key = keys.get(str(each.get("id")))
        if key is not None:
            yield key


# --- terms and facts -----------------------------------------------------------------------------


def kind_of_service(term: str) -> Document:
    """Give the term that services of several partners share, as an HSDS term."""
    name = term.replace("-", " ").capitalize()
    return {
        "id": str(uuid5(TERMS, term)),
        "code": term,
        "name": name,
        "description": name,
        "taxonomy": TERMS_NAME,
        "taxonomy_id": str(TERMS),
    }


def term_ref(term: Said) -> str:
    """Give the reference, `taxonomy:code`, that a term has by its names alone.

    >>> term_ref({"name": "Food", "taxonomy": "Open Eligibility"})
    'open-eligibility:Food'
    """
    detail = term.get("taxonomy_detail") or {}
    name = str(detail.get("name") or term.get("taxonomy") or "imported").casefold()
    key = re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:60].strip("-") or "imported"
    code = str(term.get("code") or "").strip()
    if not _CODE.fullmatch(code):
        words = re.sub(r"[^A-Za-z0-9]+", "-", code or str(term.get("name")))
        code = words.strip("-")[:100].strip("-") or str(term.get("id"))
    return f"{key}:{code}"


_CODE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


def unknown_term(ref: str) -> Document:
    """Give a term of a taxonomy that is not here, by all that is known: its code."""
    taxonomy, _, code = ref.partition(":")
    name = code.replace("-", " ").replace("_", " ").capitalize()
    return {
        "id": str(uuid5(NAMESPACE, f"term/{ref}")),
        "code": code,
        "name": name,
        "description": name,
        "taxonomy": taxonomy,
    }


def fact_term(name: str) -> Document:
    """Give the term under which a fact goes along."""
    words = name.replace("_", " ").replace("-", " ").capitalize()
    return {
        "id": str(uuid5(FACTS, name)),
        "code": name,
        "name": words,
        "description": f"{words}, as Regional311 says it.",
        "taxonomy": FACTS_NAME,
        "taxonomy_id": str(FACTS),
    }


def _term_attributes(said: Said, children: Children, around: Around) -> Iterator[Document]:
    terms = [kind_of_service(said["term"])] if said.get("term") else []
    terms += [around.terms.get(ref) or unknown_term(ref) for ref in said.get("taxonomy", ())]
    for term in terms:
        yield {
            "id": children.id("attribute", term["id"]),
            "link_type": "taxonomy",
            "link_entity": "service",
            "taxonomy_term": term,
        }


def _read_terms(document: Said, around: Around) -> tuple[dict[str, str], list[str]]:
    refs = {str(term["id"]): ref for ref, term in around.terms.items()}
    kind: dict[str, str] = {}
    others = []
    for each in document.get("attributes", ()):
        term = each.get("taxonomy_term") or {}
        code, term_id = str(term.get("code") or ""), str(term.get("id"))
        unknown = f"{term.get('taxonomy')}:{code}"
        if term_id == str(uuid5(TERMS, code)):
            kind = {"term": code}
        elif term_id in refs:
            others.append(refs[term_id])
        elif term_id == str(uuid5(NAMESPACE, f"term/{unknown}")):
            others.append(unknown)
        elif term and term_ref(term) in around.terms:
            others.append(term_ref(term))
    return kind, list(dict.fromkeys(others))


def fact(entity: str, name: str, value: str, children: Children, **more: str) -> Document:
    """Give one fact as an attribute."""
    return {
        "id": children.id("fact", name, value),
        "link_type": "fact",
        "link_entity": entity,
        "value": value,
        **more,
        "taxonomy_term": fact_term(name),
    }


def _facts(
    entity: str,
    said: Said,
    apart: frozenset[str],
    public: Iterable[str],
    children: Children,
    around: Around,
) -> list[Document]:
    shown = set(public)
    found = []
    for name, value in said.items():
        if name in apart or name == "term" or not (around.inside or name in shown):
            continue
        if name in _LISTED:
            found += [fact(entity, name, each, children) for each in value]
        elif isinstance(value, str):
            found.append(fact(entity, name, value, children))
        else:
            found.append(fact(entity, name, _json(value), children, label=_STRUCTURED))
    return found


_LISTED: Final = frozenset({"keywords", "channels"})
"""Facts that are lists of words: one attribute a word."""

_STRUCTURED: Final = "JSON"
"""The label of a fact whose value is no plain text."""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def read_facts(document: Said) -> dict[str, Any]:
    """Give the facts that a document carries; what cannot be read is left out."""
    found: dict[str, Any] = {}
    for each in document.get("attributes", ()):
        term, value = each.get("taxonomy_term") or {}, each.get("value")
        name = str(term.get("code") or "")
        known = term.get("id") == str(uuid5(FACTS, name)) and name != ALSO_LISTED
        if not known or not isinstance(value, str):
            continue
        if name in _LISTED:
            found.setdefault(name, []).append(value)
        elif each.get("label") == _STRUCTURED:
            with suppress(ValueError):
                found[name] = json.loads(value)
        else:
            found[name] = value
    return found


# --- imported documents that were edited here -----------------------------------------------------

Regenerate = Callable[[Said], Document]
"""Says a document as the catalogue understands it: into its own words, and out again."""


def overlay(original: Said, now: Said, regenerate: Regenerate) -> Document:
    """Give an imported document with what was changed here since.

    `now` is the document made from what the catalogue says now. A field counts as changed when it
    is not what `regenerate(original)` says; of lists the entries that changed count, so that what
    the catalogue has no room for stays beside an edited neighbour.
    """
    base = regenerate(original)
    result = dict(original)
    for name in dict.fromkeys([*base, *now]):
        if name == "id" or now.get(name) == base.get(name):
            continue
        before, after = base.get(name), now.get(name)
        if isinstance(before, list) or isinstance(after, list):
            entries = _entries(name, original, before or [], after or [], regenerate)
            if entries:
                result[name] = entries
            else:
                result.pop(name, None)
        elif after is None:
            result.pop(name, None)
        else:
            result[name] = after
    return result


def _entries(
    name: str, original: Said, before: list[Any], after: list[Any], regenerate: Regenerate
) -> list[Any]:
    old, new = [_bare(each) for each in before], [_bare(each) for each in after]
    kept: list[Any] = []
    taken = []
    place = None
    for entry in original.get(name, ()):
        alone = [
            _bare(each) for each in regenerate({**_needed(original), name: [entry]}).get(name, ())
        ]
        mine = [each for each in alone if each in old]
        if mine and not all(each in new for each in mine):
            place = len(kept) if place is None else place
            continue
        kept.append(entry)
        taken += mine
    added = [each for each, bare in zip(after, new, strict=True) if bare not in taken]
    place = len(kept) if place is None else place
    return [*kept[:place], *added, *kept[place:]]


def _needed(original: Said) -> Document:
    return {
        name: value
        for name, value in original.items()
        if name in ("id", "name", "description", "status", "location_type")
    }


def _bare(entry: Any) -> Any:
    """Give an entry without ids, which say nothing."""
    if isinstance(entry, Mapping):
        return {name: _bare(value) for name, value in entry.items() if name != "id"}
    if isinstance(entry, list):
        return [_bare(each) for each in entry]
    return entry


def number(value: Any) -> int | float:
    """Give a number as JSON writes it: whole when it is whole.

    >>> number("25.00"), number(-3.5)
    (25, -3.5)
    """
    found = float(value)
    return int(found) if found.is_integer() else found


def _without(names: Mapping[str, str], said: Said) -> Document:
    return {theirs: said[ours] for theirs, ours in names.items() if said.get(ours) is not None}


def _unless(usual: str, value: Any) -> Any:
    """Leave out what a model takes for granted, as its canonical form does."""
    return None if value == usual else value


def _filled(document: Mapping[str, Any]) -> Document:
    """Leave out what is not there: never null, never an empty list."""
    return {name: value for name, value in document.items() if value not in (None, [], ())}
