"""The words of the pages about the catalogue: what fields, kinds and states are called.

A path of `differences` such as `location[hall].phone[503-823-4000].name` becomes *Locations, hall:
Numbers there, 503-823-4000: Who answers*; a value becomes words, and two texts become one in which
what went and what came is marked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, Final

from markupsafe import Markup, escape

from regional311.catalog.hours_text import DAYS, say_day
from regional311.differences import differences
from regional311.strict import Model
from regional311.web.i18n import _, translated
from regional311.web.wording import (
    CHANNELS,
    LANGUAGES,
    PRIORITIES,
    SERVICE_DISPOSITIONS,
    VERBS,
    WEEKDAYS,
    said,
)

STATUSES: Final[Mapping[str, Any]] = {
    "active": _("Can be had"),
    "inactive": _("Cannot be had at present"),
    "temporarily closed": _("Closed for some time"),
    "defunct": _("Exists no more"),
}
STEPS: Final[Mapping[str, Any]] = {
    "single": _("One contact is enough"),
    "multiple": _("It takes several steps"),
}
PLACES: Final[Mapping[str, Any]] = {
    "required": _("A place must be given"),
    "optional": _("A place may be given"),
    "none": _("Nobody asks for a place"),
}
PHONE_KINDS: Final[Mapping[str, Any]] = {
    "voice": _("Voice"),
    "text": _("Text messages"),
    "fax": _("Fax"),
    "tty": _("TTY"),
    "video": _("Video relay"),
    "voicemail": _("Voicemail"),
}
LOCATION_KINDS: Final[Mapping[str, Any]] = {
    "physical": _("A place to go to"),
    "postal": _("A mailing address"),
    "virtual": _("A place on the internet"),
}
KINDS: Final[Mapping[str, Any]] = {
    "service": _("Service"),
    "organization": _("Organisation"),
    "location": _("Location"),
    "article": _("Article"),
    "question_group": _("Group of questions"),
}
COLLECTION_NAMES: Final[Mapping[str, Any]] = {
    "service": _("Services"),
    "organization": _("Organisations"),
    "location": _("Locations"),
    "article": _("Articles"),
    "question_group": _("Question groups"),
}
STATES: Final[Mapping[str, tuple[Any, str]]] = {
    "draft": (_("Draft"), "draft"),
    "reviewed": (_("Reviewed"), "waiting"),
    "scheduled": (_("Has its day"), "waiting"),
    "published": (_("Published"), "done"),
    "retired": (_("Published before"), "neutral"),
    "superseded": (_("Saved over"), "neutral"),
    "discarded": (_("Given up"), "neutral"),
}
SOURCES: Final[Mapping[str, Any]] = {
    "form": _("In a form"),
    "file": _("From the files"),
    "sheet": _("From a spreadsheet"),
    "bulk": _("With several at once"),
    "import": _("By an import"),
    "suggestion": _("From a suggestion"),
}

ARTICLE_KINDS: Final[Mapping[str, Any]] = {
    "answer": _("Question and answer"),
    "script": _("Guide, step by step"),
    "notice": _("Notice"),
}
LEVELS: Final[Mapping[str, Any]] = {
    "info": _("Good to know"),
    "warning": _("Warning"),
    "emergency": _("Emergency"),
}
PINNED: Final[Mapping[str, Any]] = {
    "desk": _("On top of the desk"),
    "public": _("On the public pages"),
}

FIELDS: Final[Mapping[str, Any]] = {
    "key": _("Key"),
    "name": _("Name"),
    "alternate_name": _("Other name"),
    "summary": _("Summary"),
    "description": _("Description"),
    "verb": _("What people do"),
    "bureau": _("Kept by"),
    "organization": _("Provided by"),
    "status": _("Whether it can be had"),
    "steps": _("Steps"),
    "term": _("Kind of need"),
    "taxonomy": _("Terms of taxonomies"),
    "group": _("Listed under"),
    "keywords": _("Callers’ words"),
    "channels": _("Channels"),
    "place": _("Place"),
    "boundary": _("Offered in"),
    "queue": _("Queue"),
    "priority": _("Priority"),
    "target_hours": _("Business hours until done"),
    "confidential": _("Confidential"),
    "alert": _("Alert"),
    "information": _("What to tell the person"),
    "eligibility": _("Who can get it"),
    "minimum_age": _("Youngest age"),
    "maximum_age": _("Oldest age"),
    "how_to_apply": _("How to ask for it"),
    "wait": _("How long people wait"),
    "hours": _("Hours"),
    "languages": _("Languages"),
    "phone": _("Telephone"),
    "email": _("E-mail"),
    "website": _("Web address"),
    "fee": _("Cost in words"),
    "review_days": _("Days between reviews"),
    "duplicate_metres": _("Metres within which two may be the same"),
    "duplicate_hours": _("Hours within which two may be the same"),
    "disposition": _("What 311 does with it"),
    "document": _("Documents"),
    "documents": _("Documents"),
    "cost": _("Costs"),
    "location": _("Locations"),
    "question": _("Questions"),
    "translation": _("Translations"),
    "kind": _("Kind"),
    "note": _("Note"),
    "valid_from": _("From"),
    "valid_to": _("Until"),
    "option": _("Case"),
    "amount": _("Amount"),
    "details": _("Details"),
    "number": _("Number"),
    "extension": _("Extension"),
    "unit": _("What is counted"),
    "maximum": _("Most"),
    "available": _("How many free"),
    "updated_on": _("Counted on"),
    "capacity": _("Room"),
    "areas": _("Areas served"),
    "address": _("Address"),
    "address_2": _("Floor or room"),
    "city": _("City"),
    "state": _("State"),
    "postal_code": _("ZIP code"),
    "country": _("Country"),
    "latitude": _("Latitude"),
    "longitude": _("Longitude"),
    "transportation": _("How to get there"),
    "accessibility": _("How it is accessible"),
    "parent": _("Part of"),
    "legal_status": _("Legal status"),
    "answers": _("Answers"),
    "minimum": _("Smallest"),
    "longest": _("Most characters"),
    "earliest_days": _("Earliest day, from today"),
    "latest_days": _("Latest day, from today"),
    "label": _("Words shown"),
    "hint": _("Hint"),
    "required": _("Must be answered"),
    "choice": _("Answers"),
    "show_if": _("Asked only if"),
    "language": _("Language"),
    "title": _("Title"),
    "text": _("For everybody"),
    "internal": _("For staff only"),
    "services": _("Services"),
    "from_time": _("From what time"),
    "to_time": _("Until what time"),
    "level": _("How loud"),
    "shown": _("Where it is pinned"),
    "step": _("Steps"),
    "to": _("Leads to"),
    **WEEKDAYS,
}

_VALUES: Final[Mapping[str, Mapping[str, Any]]] = {
    "verb": VERBS,
    "status": STATUSES,
    "steps": STEPS,
    "place": PLACES,
    "priority": PRIORITIES,
    "channels": CHANNELS,
    "languages": LANGUAGES,
    "language": LANGUAGES,
    "level": LEVELS,
    "shown": PINNED,
    "to": {"end": _("The end of the guide"), "danger": _("Danger: call 911")},
}
_KIND_VALUES: Final[Mapping[str, Mapping[str, Any]]] = {
    "disposition": SERVICE_DISPOSITIONS,
    "phone": PHONE_KINDS,
    "": {**LOCATION_KINDS, **ARTICLE_KINDS},
}
_PART: Final = re.compile(r"([^.\[ ]+)(?:\[([^\]]*)\])?( \(order\))?")
_WORD: Final = re.compile(r"\s+|[^\s\w]|\w+")


class Wording:
    """How one page says paths and values; `names` are the partner's things, kind to key to name."""

    def __init__(self, request: Any, names: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.request = request
        self.names = names or {}

    def say(self, message: Any) -> str:
        """Put words into the page's language."""
        return translated(self.request, message)

    def path(self, path: str) -> str:
        """Say which field a path names."""
        parts = []
        for found in _PART.finditer(path):
            name, key, order = found.groups()
            words = self.say(FIELDS.get(name, name))
            if key is not None:
                words = f"{words}, {self._key(name, key)}"
            if order:
                words = f"{words} ({self.say(_('order'))})"
            parts.append(words)
        return ": ".join(parts)

    def _key(self, name: str, key: str) -> str:
        if name == "translation":
            return self.say(said(LANGUAGES, key))
        if name == "location":
            return self.names.get("locations", {}).get(key, key)
        return key

    def value(self, path: str, value: Any) -> str | None:
        """Say a value; None for nothing."""
        if value is None or value in ([], {}, ""):
            return None
        name = path.rpartition(".")[2].partition("[")[0].partition(" ")[0]
        if isinstance(value, bool):
            return self.say(_("Yes") if value else _("No"))
        if isinstance(value, list):
            if name in DAYS:
                return say_day(value)
            if all(isinstance(each, str) for each in value):
                return ", ".join(self._word(path, name, each) for each in value)
            return "; ".join(filter(None, (self.value(path, each) for each in value)))
        if isinstance(value, Mapping):
            said_parts = (
                (self.say(FIELDS.get(key, key)), self.value(f"{path}.{key}", each))
                for key, each in value.items()
            )
            return "; ".join(f"{words}: {each}" for words, each in said_parts if each is not None)
        return self._word(path, name, str(value))

    def _word(self, path: str, name: str, value: str) -> str:
        if name == "kind":
            parent = path.rpartition(".")[0].rpartition(".")[2].partition("[")[0]
            return self.say(said(_KIND_VALUES.get(parent, {}), value))
        if name in _VALUES:
            return self.say(said(_VALUES[name], value))
        table = {
            "bureau": "bureaus",
            "organization": "organizations",
            "parent": "organizations",
            "location": "locations",
            "boundary": "boundaries",
            "areas": "boundaries",
            "queue": "queues",
        }.get(name)
        return self.names.get(table, {}).get(value, value) if table else value

    def facts(self, model: type[Model], content: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
        """Say everything that a content says: each field with its values, in the model's order."""
        found = []
        for name in model.model_fields:
            value = content.get(name)
            several = isinstance(value, list) and any(isinstance(each, Mapping) for each in value)
            values: list[Any] = value if several and isinstance(value, list) else [value]
            kept = [words for words in (self.value(name, each) for each in values) if words]
            if kept:
                found.append((self.path(name), kept))
        return found

    def changes(
        self, model: type[Model], old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Say what differs between two contents, in the model's order of fields."""
        order = {name: place for place, name in enumerate(model.model_fields)}
        ordered = sorted(
            differences(old, new),
            key=lambda one: order.get(re.split(r"[.\[ ]", one.field)[0], len(order)),
        )
        return [self.change(each.field, each.old, each.new) for each in ordered]

    def change(self, path: str, old: Any, new: Any) -> dict[str, Any]:
        """Say one difference: the field, what was, what is, and both in one where words moved."""
        before, after = self.value(path, old), self.value(path, new)
        both = None
        if before and after and isinstance(old, str) and isinstance(new, str):
            both = marked(before, after)
        return {"field": self.path(path), "before": before, "after": after, "both": both}


def marked(before: str, after: str) -> Markup | None:
    """Two texts as one, with what went and what came marked; None when little is the same."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    if len(old) + len(new) > 4000:
        return None
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < 0.5:
        return None
    parts: list[Markup] = []
    for verb, one, two, three, four in matcher.get_opcodes():
        went, came = escape("".join(old[one:two])), escape("".join(new[three:four]))
        if verb == "equal":
            parts.append(came)
            continue
        if went:
            parts.append(Markup("<del>{}</del>").format(went))
        if came:
            parts.append(Markup("<ins>{}</ins>").format(came))
    return Markup().join(parts)
