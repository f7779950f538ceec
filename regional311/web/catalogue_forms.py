"""The forms of services, translations, locations and organisations.

Fields have the names of the models in `catalog.content`, so that what is filled in is, without
what was left empty, what the model reads; `content_of` makes it so, and names each wrong value at
its field. What a form does not have, such as a service's questions, stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import colander

from regional311.catalog.hours_text import DAYS, read_day, say_day
from regional311.catalog.kinds import KINDS
from regional311.catalog.sheets import following
from regional311.errors import InvalidInput
from regional311.strict import problems
from regional311.web.catalogue_wording import (
    FIELDS,
    LOCATION_KINDS,
    PHONE_KINDS,
    PLACES,
    STATUSES,
    STEPS,
)
from regional311.web.forms import (
    Boolean,
    CheckboxGroupWidget,
    Choice,
    Choices,
    Date,
    HiddenWidget,
    Integer,
    NumberWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    TextWidget,
    rows,
)
from regional311.web.i18n import _
from regional311.web.wording import (
    CHANNELS,
    LANGUAGES,
    PRIORITIES,
    SERVICE_DISPOSITIONS,
    VERBS,
    WEEKDAYS,
    choices,
)

Named = Mapping[str, Mapping[str, str]]
"""What a partner's things are called: table to key to name, as `kinds.named_things` gives it."""

SPOKEN: Final = tuple(each for each in LANGUAGES if each != "other")
PROSE: Final = 4000
SEEN: Final = "seen"
"""The hidden field that says which version the form showed."""

_PRICE: Final = re.compile(r"\$?\s*(\d{1,13}(?:\.\d{1,2})?)")


class Lines(String):
    """Words, one a line: a list without empty lines and without the same twice."""

    def __init__(self, max_length: int = 8000) -> None:
        super().__init__(max_length, multiline=True)

    def write(self, value: Any) -> str:
        return "\n".join(value)

    def read(self, node: Any, text: str) -> Any:
        lines = (line.strip() for line in super().read(node, text).split("\n"))
        return list(dict.fromkeys(filter(None, lines)))


class InOrder(Lines):
    """Words, one a line, whose place counts; the same may be there twice."""

    def read(self, node: Any, text: str) -> Any:
        lines = String.read(self, node, text).split("\n")
        return [line.strip() for line in lines if line.strip()]


class DayHours(String):
    """The hours of a day as people write them: a list of spans."""

    def write(self, value: Any) -> str:
        return say_day(value)

    def read(self, node: Any, text: str) -> Any:
        try:
            return read_day(super().read(node, text))
        except InvalidInput as error:
            raise colander.Invalid(node, f"{error.message}.") from None


class Price(String):
    """Dollars as text: `$25` is `25.00`."""

    def read(self, node: Any, text: str) -> str:
        found = _PRICE.fullmatch(super().read(node, text).replace(",", ""))
        if found is None:
            raise colander.Invalid(node, _("Enter an amount in dollars, for example 25.00."))
        whole, _dot, part = found.group(1).partition(".")
        return f"{whole}.{part.ljust(2, '0')}"


class Day(Date):
    """A date as the text that contents hold."""

    def write(self, value: Any) -> str:
        return str(value)

    def read(self, node: Any, text: str) -> Any:
        return super().read(node, text).isoformat()


class Degrees(String):
    """A number of degrees, as a plain number."""

    def write(self, value: Any) -> str:
        return str(value)

    def read(self, node: Any, text: str) -> Any:
        if re.fullmatch(r"-?\d{1,3}(\.\d{1,12})?", super().read(node, text)) is None:
            raise colander.Invalid(node, _("Enter degrees, for example 45.5152."))
        return float(text)


# --- parts ----------------------------------------------------------------------------------------


def _node(kind: Any, name: str, hint: Any = None, **more: Any) -> SchemaNode:
    title = more.pop("title", FIELDS.get(name, name))
    made = SchemaNode(kind, name=name, title=title, **more)
    if hint is not None:
        made.description = hint
    return made


def _optional(kind: Any, name: str, hint: Any = None, **more: Any) -> SchemaNode:
    return _node(kind, name, hint, missing=None, **more)


def _prose(name: str, hint: Any = None, rows_: int = 3, **more: Any) -> SchemaNode:
    kind = String(PROSE, multiline=True)
    return _node(kind, name, hint, widget=TextAreaWidget(rows=rows_, maxlength=PROSE), **more)


def _lines(name: str, hint: Any = None, rows_: int = 4, kind: Any = None, **more: Any) -> Any:
    return _optional(kind or Lines(), name, hint, widget=TextAreaWidget(rows=rows_), **more)


def _select(name: str, offered: Iterable[tuple[str, Any]], hint: Any = None, **more: Any) -> Any:
    listed = list(offered)
    empty = more.pop("empty", _("- Select -"))
    return _node(
        Choice(listed), name, hint, widget=SelectWidget(values=listed, empty=empty), **more
    )


def _radio(name: str, words: Mapping[str, Any], hint: Any = None, **more: Any) -> SchemaNode:
    offered = choices(words)
    return _node(Choice(offered), name, hint, widget=RadioWidget(values=offered), **more)


def _boxes(name: str, offered: Sequence[tuple[str, Any]], hint: Any = None, **more: Any) -> Any:
    return _optional(
        Choices(offered), name, hint, widget=CheckboxGroupWidget(values=offered), **more
    )


def _count(name: str, hint: Any = None, **more: Any) -> SchemaNode:
    return _optional(Integer(), name, hint, widget=NumberWidget(width="xs"), **more)


def _listed(named: Named, table: str, *current: str | None) -> list[tuple[str, Any]]:
    """What may be chosen by name, with what is chosen now though it is gone."""
    known = named.get(table, {})
    gone = {key for key in current if key and key not in known}
    return [
        *sorted(known.items(), key=lambda one: one[1].casefold()),
        *((key, _("${key} (no longer there)", mapping={"key": key})) for key in sorted(gone)),
    ]


def _row(*nodes: Any) -> Schema:
    made = Schema()
    for node in nodes:
        made.add(node)
    return made


def _week(name: str, hint: Any, **more: Any) -> SchemaNode:
    made = SchemaNode(
        colander.Mapping(unknown="raise"),
        name=name,
        title=more.pop("title", FIELDS[name]),
        description=hint,
        missing=None,
        **more,
    )
    for day in DAYS:
        made.add(_optional(DayHours(200), day, title=WEEKDAYS[day], widget=TextWidget(width="lg")))
    return made


def _languages(name: str, title: Any, hint: Any = None) -> SchemaNode:
    return _boxes(name, choices(LANGUAGES, SPOKEN), hint, title=title)


def _phones(title: Any, **more: Any) -> Any:
    return rows(
        "phone",
        _row(
            _node(String(20), "number", widget=TextWidget(type="tel", width="md")),
            _select("kind", choices(PHONE_KINDS), title=_("Used for"), default="voice", empty=None),
            _count("extension"),
            _optional(String(200), "name", title=_("Who answers")),
            _languages("languages", _("Languages spoken there")),
        ),
        title=title,
        row_title=_("Number ${number}"),
        add=_("Add a number"),
        **more,
    )


def _key_node(hint: Any) -> SchemaNode:
    return _node(
        String(60), "key", hint, widget=TextWidget(maxlength=60, width="lg"), title=_("Key")
    )


def _seen() -> SchemaNode:
    return SchemaNode(Integer(), name=SEEN, title="", missing=None, widget=HiddenWidget())


# --- services -------------------------------------------------------------------------------------


def service_form(
    named: Named,
    current: Mapping[str, Any],
    *,
    new: bool,
    terms: Iterable[tuple[str, str]] = (),
) -> Schema:
    """The form of a service; `current` is what it says now, `terms` what may be named."""
    schema = Schema()
    add = schema.add
    add(_seen())
    if new:
        hint = _("A short name in the address that never changes: small letters, digits, hyphens.")
        key = _key_node(hint)
        key.section = _("What it is")
        add(key)
    name = _node(String(200), "name", _("In the words that people use."))
    if not new:
        name.section = _("What it is")
    add(name)
    add(_optional(String(200), "alternate_name", _("Such as an abbreviation.")))
    add(_prose("summary", _("What it is and what happens, in plain words.")))
    add(_radio("verb", VERBS, title=_("What do people do here?")))
    add(
        _node(
            String(60),
            "term",
            _(
                "A key that all partners share: services of the same kind are offered for the same"
                " need."
            ),
            widget=TextWidget(maxlength=60, width="lg"),
        )
    )
    add(_node(String(200), "group", _("The heading in lists, such as Streets.")))
    add(_select("bureau", _listed(named, "bureaus", current.get("bureau"))))
    add(
        _select(
            "organization",
            _listed(named, "organizations", current.get("organization")),
            _("Only when a body outside the partner gives it."),
            missing=None,
            empty=_("The partner itself"),
        )
    )
    add(_select("status", choices(STATUSES), empty=None, default="active", section=_("Today")))
    add(
        _optional(
            String(200),
            "alert",
            _("What everybody must know at present; it is shown first. Empty when all is well."),
        )
    )
    add(
        rows(
            "disposition",
            _row(
                _node(Day(), "valid_from"),
                _select("kind", choices(SERVICE_DISPOSITIONS), title=_("What 311 does")),
                _optional(String(200), "note", title=_("What it rests on")),
                _optional(Day(), "valid_to", _("Only if nothing follows."), title=_("Until")),
            ),
            title=FIELDS["disposition"],
            description=_(
                "By date. A new entry ends the one before it on its first day; what has begun"
                " stays as it was."
            ),
            row_title=_("Entry ${number}"),
            add=_("Add what holds from another day"),
            compact=True,
            spare=1 if new else 0,
        )
    )
    _add_asking(add, named, current)
    _add_telling(add)
    _add_reaching(add)
    add(
        _lines(
            "keywords",
            _("One a line, small letters: what callers say, also wrongly."),
            section=_("Finding it"),
        )
    )
    offered = list(terms)
    add(
        rows(
            "taxonomy",
            _row(
                _node(
                    String(120),
                    "term",
                    title=_("Term"),
                    widget=TextWidget(width="xl", attributes={"list": "terms"} if offered else {}),
                )
            ),
            title=FIELDS["taxonomy"],
            description=_("As taxonomy:code, such as open-eligibility:food-pantry."),
            row_title=_("Term ${number}"),
            add=_("Add a term"),
            compact=True,
        )
    )
    add(_service_locations(named, current))
    add(
        _count(
            "review_days",
            _("After so many days somebody is asked whether it is still right."),
            section=_("Keeping it right"),
        )
    )
    return schema


def _add_asking(add: Any, named: Named, current: Mapping[str, Any]) -> None:
    add(
        _select(
            "queue",
            _listed(named, "queues", current.get("queue")),
            _("Where its requests arrive."),
            missing=None,
            empty=_("None"),
            section=_("Asking for it"),
        )
    )
    add(_select("priority", choices(PRIORITIES), empty=None, default="normal"))
    add(_count("target_hours", _("What is promised. Empty when nothing is.")))
    add(_radio("steps", STEPS, default="single"))
    add(_boxes("channels", choices(CHANNELS), _("On which it may be asked for; none ticked: all.")))
    add(_radio("place", PLACES, default="optional"))
    add(
        _select(
            "boundary",
            _listed(named, "boundaries", current.get("boundary")),
            missing=None,
            empty=_("The partner’s whole area"),
        )
    )
    add(
        _node(
            Boolean(),
            "confidential",
            _("Its requests are seen by cleared roles only, in no list, map or export."),
            missing=False,
        )
    )
    add(_count("duplicate_metres", _("With the hours below, to find who reported the same.")))
    add(_count("duplicate_hours"))


def _add_telling(add: Any) -> None:
    add(_prose("information", missing=None, rows_=6, section=_("What to tell people")))
    add(_prose("eligibility", missing=None))
    add(_count("minimum_age"))
    add(_count("maximum_age"))
    add(_prose("how_to_apply", missing=None))
    add(_optional(String(200), "wait"))
    add(
        rows(
            "document",
            _row(
                SchemaNode(Integer(), name="place", title="", missing=None, widget=HiddenWidget()),
                _node(String(200), "name", title=_("What to bring")),
                _optional(
                    String(300),
                    "website",
                    title=_("Where it can be had"),
                    widget=TextWidget(type="url"),
                ),
            ),
            title=_("What to bring"),
            row_title=_("Document ${number}"),
            add=_("Add a document"),
            compact=True,
        )
    )
    add(_optional(String(200), "fee", _("In words, such as Free, or by income.")))
    add(
        rows(
            "cost",
            _row(
                _node(String(200), "option", _("Such as Adults.")),
                _optional(
                    Price(20),
                    "amount",
                    _("0 is free."),
                    widget=NumberWidget(width="sm", prefix="$"),
                ),
                _optional(String(200), "details"),
            ),
            title=_("Costs case by case"),
            row_title=_("Case ${number}"),
            add=_("Add a case"),
            compact=True,
        )
    )


def _add_reaching(add: Any) -> None:
    add(
        _optional(
            String(20),
            "phone",
            widget=TextWidget(type="tel", width="lg"),
            section=_("Reaching it"),
        )
    )
    add(_optional(String(200), "email", widget=TextWidget(type="email")))
    add(_optional(String(300), "website", widget=TextWidget(type="url")))
    add(_languages("languages", _("Languages in which help is given"), _("Beyond interpreters.")))
    add(
        _week(
            "hours",
            _(
                "Such as 8:00-12:00, 1pm-5pm. An empty day is closed; all empty: the hours of the"
                " partner’s lines."
            ),
        )
    )


def _service_locations(named: Named, current: Mapping[str, Any]) -> Any:
    there = current.get("location", ())
    areas = _listed(named, "boundaries", *(key for one in there for key in one.get("areas", ())))
    return rows(
        "location",
        _row(
            _select(
                "location",
                _listed(named, "locations", *(one["location"] for one in there)),
                title=_("Location"),
            ),
            _optional(String(200), "note", title=_("What to know when going there")),
            _boxes("areas", areas, _("None ticked: where the service is offered.")),
            _week("hours", _("Only where they differ from those of the service.")),
            _phones(_("Numbers there"), compact=True),
            rows(
                "capacity",
                _row(
                    _node(String(200), "unit", _("Such as beds.")),
                    _count("maximum"),
                    _count("available"),
                    _optional(Day(), "updated_on"),
                ),
                title=FIELDS["capacity"],
                row_title=_("Room ${number}"),
                add=_("Add room"),
                compact=True,
            ),
        ),
        title=_("Where it is given"),
        description=_("Locations are kept under Locations, and may serve several services."),
        row_title=_("Location ${number}"),
        add=_("Add a location"),
        spare=0,
    )


def service_values(said: Mapping[str, Any]) -> dict[str, Any]:
    """What the form of a service shows."""
    return {
        **said,
        "taxonomy": [{"term": each} for each in said.get("taxonomy", ())],
        "document": [
            {"place": place, **each} for place, each in enumerate(said.get("document", ()))
        ],
    }


def service_said(values: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """What the filled-in form of a service says; translations follow the order of documents."""
    said = {**values}
    said["taxonomy"] = list(dict.fromkeys(each["term"] for each in values.get("taxonomy") or ()))
    documents = [dict(each) for each in values.get("document") or ()]
    places = [each.pop("place", None) for each in documents]
    said["document"] = documents
    said["disposition"] = following(values.get("disposition") or ())
    kept = {name: seen[name] for name in ("question", "translation") if name in seen}
    if "translation" in kept:
        names = [each["name"] for each in documents]
        kept["translation"] = [
            _documents_moved(each, places, names) for each in kept["translation"]
        ]
    return {**said, **kept}


def _documents_moved(
    words: Mapping[str, Any], places: Sequence[int | None], names: Sequence[str]
) -> dict[str, Any]:
    """A translation whose documents are in the order that those of the service have now."""
    old = words.get("documents", ())
    moved = [
        old[place] if place is not None and 0 <= place < len(old) else name
        for place, name in zip(places, names, strict=True)
    ]
    while moved and moved[-1] == names[len(moved) - 1] and moved[-1] not in old:
        moved.pop()
    return {**words, "documents": moved}


# --- translations ---------------------------------------------------------------------------------


def translation_form(said: Mapping[str, Any], language: str) -> Schema:
    """The form of a service in another language, each field beside the words of the service.

    Only what there is to translate is asked.
    """
    nodes = [
        _node(String(200), "name"),
        _prose("summary"),
        _prose("information", missing=None, rows_=6),
        _prose("eligibility", missing=None),
        _prose("how_to_apply", missing=None),
        _optional(String(200), "fee"),
        _lines("keywords", _("One a line: what callers say in this language.")),
        _lines("documents", _("One a line, in the same order."), kind=InOrder()),
    ]
    schema = Schema()
    schema.add(_seen())
    for node in nodes:
        words = original(said, node.name)
        if words or node.name == "keywords":
            node.beside = words
            widget = node.widget or TextWidget(maxlength=200)
            widget.attributes = {"lang": language}
            node.widget = widget
            schema.add(node)
    return schema


def original(said: Mapping[str, Any], name: str) -> str:
    """The words that are translated, as text."""
    if name == "documents":
        return "\n".join(each["name"] for each in said.get("document", ()))
    value = said.get(name, "")
    return "\n".join(value) if isinstance(value, list) else str(value)


def translation_values(said: Mapping[str, Any], language: str) -> dict[str, Any]:
    """What the form of a translation shows."""
    there = {each["language"]: each for each in said.get("translation", ())}
    return dict(there.get(language, {}))


def translation_said(
    values: Mapping[str, Any], language: str, seen: Mapping[str, Any]
) -> dict[str, Any]:
    """The service with these words in a language, in the place where they were."""
    words = {"language": language, **values}
    there = list(seen.get("translation", ()))
    for place, each in enumerate(there):
        if each["language"] == language:
            kept = {name: each[name] for name in each if name not in values}
            there[place] = {**kept, **words}
            break
    else:
        there.append(words)
    return {**seen, "translation": there}


# --- locations and organisations ------------------------------------------------------------------


def location_form(_named: Named, _current: Mapping[str, Any], *, new: bool) -> Schema:
    """The form of a location."""
    schema = Schema()
    add = schema.add
    add(_seen())
    if new:
        add(_key_node(_("A short name that never changes: small letters, digits, hyphens.")))
    add(_node(String(200), "name", title=_("Name of the place")))
    add(_radio("kind", LOCATION_KINDS, default="physical"))
    add(_prose("description", missing=None))
    add(_optional(String(200), "address", _("Street and number."), section=_("Address")))
    add(_optional(String(200), "address_2"))
    add(_optional(String(200), "city"))
    add(_optional(String(200), "state", _("Two letters."), widget=TextWidget(width="2xs")))
    add(_optional(String(200), "postal_code", widget=TextWidget(width="sm")))
    add(
        _node(String(2), "country", _("Two letters."), default="US", widget=TextWidget(width="2xs"))
    )
    degrees = NumberWidget(width="md")
    add(_optional(Degrees(20), "latitude", _("For near me, such as 45.5152."), widget=degrees))
    add(_optional(Degrees(20), "longitude", _("Such as -122.6784."), widget=degrees))
    add(_optional(String(200), "transportation"))
    add(_optional(String(300), "website", widget=TextWidget(type="url"), section=_("Reaching it")))
    add(_week("hours", _("Such as 8:00-12:00, 1pm-5pm. An empty day is closed.")))
    add(_languages("languages", _("Languages spoken there")))
    add(_phones(_("Numbers there"), compact=True))
    add(
        rows(
            "accessibility",
            _row(
                _node(String(200), "name", title=_("What there is")),
                _optional(String(200), "details", title=_("Where, and how to use it")),
            ),
            title=FIELDS["accessibility"],
            description=_("Such as a step-free entrance, an induction loop."),
            row_title=_("Way ${number}"),
            add=_("Add a way"),
            compact=True,
        )
    )
    return schema


def organization_form(named: Named, current: Mapping[str, Any], *, new: bool) -> Schema:
    """The form of an organisation."""
    schema = Schema()
    add = schema.add
    add(_seen())
    if new:
        add(_key_node(_("A short name that never changes: small letters, digits, hyphens.")))
    add(_node(String(200), "name"))
    add(_optional(String(200), "alternate_name"))
    add(_prose("description", _("What it is and does.")))
    others = [
        each
        for each in _listed(named, "organizations", current.get("parent"))
        if each[0] != current.get("key")
    ]
    add(_select("parent", others, missing=None, empty=_("It stands by itself")))
    add(_optional(String(200), "legal_status", _("Such as Nonprofit.")))
    add(_optional(String(200), "email", widget=TextWidget(type="email"), section=_("Reaching it")))
    add(_optional(String(300), "website", widget=TextWidget(type="url")))
    add(_phones(_("Telephone numbers"), compact=True))
    add(
        _select(
            "location",
            _listed(named, "locations", current.get("location")),
            title=_("Its office"),
            missing=None,
            empty=_("None listed"),
        )
    )
    return schema


# --- what is filled in becomes content ------------------------------------------------------------


def content_of(
    kind: str, said: Mapping[str, Any], key: str, seen: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Any]]:
    """Give what is filled in as the content of a version, and each wrong value by its path.

    A text that the form only trimmed stays as it was seen.
    """
    model = KINDS[kind].model
    plain = _plain({**said, "key": key})
    for name, was in seen.items():
        if isinstance(was, str) and plain.get(name) == was.strip():
            plain[name] = was
    wrong = problems(model, plain)
    return plain, [(path, f"{message}.") for path, message in wrong]


def _plain(value: Any) -> Any:
    """Values as the models read them, without what was left empty."""
    if isinstance(value, Mapping):
        return {
            name: _plain(each)
            for name, each in value.items()
            if each not in (None, "", [], (), {}, colander.null) and _says(each)
        }
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _says(value: Any) -> bool:
    """Whether a group says anything: a week of empty days does not."""
    return not isinstance(value, Mapping) or any(
        each not in (None, "", [], ()) for each in value.values()
    )
