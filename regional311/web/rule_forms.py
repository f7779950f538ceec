"""The forms of the rules' editor: one rule, the facts of a made-up contact, a test.

What may be picked comes from the published snapshot: services and boundaries of every partner,
terms, agencies, agreements' names. Nothing that exists has to be typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from regional311.referral.conditions import FACTS, VERBS
from regional311.referral.rules import RULE_OUTCOMES
from regional311.web.forms import (
    Boolean,
    CheckboxGroupWidget,
    CheckboxWidget,
    Choice,
    Choices,
    Date,
    HiddenWidget,
    Integer,
    NumberWidget,
    PicksWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    TextWidget,
)
from regional311.web.i18n import _
from regional311.web.rule_wording import OWNERS
from regional311.web.telling import Telling
from regional311.web.wording import (
    CHANNELS,
    DECLINE_REASONS,
    LANGUAGES,
    PRIORITIES,
    SERVICE_DISPOSITIONS,
    WEEKDAYS,
    choices,
    said,
)
from regional311.web.wording import VERBS as VERB_WORDS

ADDS_ONLY: Final = "adds_only"
ANY: Final = "any"
OUTCOME_WORDS: Final[Mapping[str, Any]] = {
    "resolve_here": _("Answer here"),
    "open_request": _("Open a request"),
    "refer": _("Refer, and follow what becomes of it"),
    "warm_transfer": _("Stay on the line and hand over"),
    "information": _("Give the information"),
    "decline": _("Say that it is not offered"),
    ADDS_ONLY: _("Only add what follows, and let later rules decide"),
}
EXAMPLES: Final[Mapping[str, str]] = {
    "service": 'service == "pothole"',
    "asked": 'asked == "city-of-portland/pothole"',
    "owner": 'owner == ""',
    "disposition": 'disposition == "refer"',
    "bureau": 'bureau == "transportation"',
    "verb": 'verb in ["find", "apply"]',
    "terms": '"shelter" in terms',
    "partner": 'partner == "multnomah-county"',
    "channel": 'channel in ["phone", "chat"]',
    "language": 'language != "en"',
    "urgency": 'urgency == "urgent"',
    "open": "!open",
    "hour": "hour >= 17 || hour < 8",
    "weekday": "weekday > 5",
    "place_known": "!place_known",
    "boundaries": '"city-of-portland/portland" in boundaries',
    "near_boundary": "near_boundary",
    "confidential": "confidential",
    "anonymous": "!anonymous",
    "consent": "consent",
    "interpreter": "interpreter",
    "accommodation": "accommodation",
    "answers": '"size:large" in answers',
}
"""A condition with each fact, as an example beside the field; all of them are valid."""

_LISTS: Final = (
    *("services", "branches", "terms", "verbs", "owners", "boundaries", "channels"),
    *("languages", "urgency", "dispositions", "share"),
)


def facts_offered() -> list[dict[str, Any]]:
    """Give every fact that a condition may use: its meaning, its values, an example."""
    return [
        {
            "name": name,
            "meaning": fact.meaning,
            "values": ", ".join(fact.values),
            "example": EXAMPLES[name],
        }
        for name, fact in FACTS.items()
    ]


class Offered:
    """What a rule of the request's partner may name."""

    def __init__(self, request: Any, tell: Telling) -> None:
        self.request = request
        self.tell = tell
        self.published = tell.published

    def _grouped(
        self, things: Iterable[tuple[str, str, str]], chosen: Iterable[str]
    ) -> list[tuple[Any, list[tuple[str, str]]]]:
        """Group (owner, value, label) by the owner's name, our own first; what is gone, too."""
        mine, groups = self.tell.slug, {}  # type: ignore[var-annotated]
        known = set()
        for owner, value, label in things:
            groups.setdefault(owner, []).append((value, label))
            known.add(value)
        found = [
            (self.tell.partner(owner), sorted(each, key=lambda one: one[1]))
            for owner, each in sorted(groups.items(), key=lambda one: (one[0] != mine, one[0]))
        ]
        gone = [(each, each) for each in chosen if each not in known]
        return [(_("No longer there"), gone), *found] if gone else found

    def _ref(self, tenant: str, key: str) -> str:
        return key if tenant == self.tell.slug else f"{tenant}/{key}"

    def short(self, ref: str) -> str:
        """Give a reference as rules write it: without the partner when it is our own."""
        return ref.removeprefix(f"{self.tell.slug}/")

    def services(self, chosen: Iterable[str] = ()) -> list[Any]:
        """Services of every partner."""
        return self._grouped(
            (
                (each.tenant, self._ref(each.tenant, each.key), each.name)
                for each in self.published.directory.services
                if each.offered(self.tell.today)
            ),
            chosen,
        )

    def boundaries(self, chosen: Iterable[str] = ()) -> list[Any]:
        """Areas and lines of every partner."""
        return self._grouped(
            (
                (ref.partition("/")[0], self.short(ref), row.name)
                for ref, row in self.published.boundaries.items()
            ),
            chosen,
        )

    def terms(self, chosen: Iterable[str] = ()) -> list[Any]:
        """Kinds of thing that services are of."""
        known = sorted({each.term for each in self.published.directory.services if each.term})
        gone = [each for each in chosen if each not in known]
        return [(_("Kinds"), [(each, each.replace("-", " ")) for each in (*gone, *known)])]

    def branches(self, chosen: Iterable[str] = ()) -> list[Any]:
        """Terms of every taxonomy, indented below those above them."""
        found: list[Any] = []
        known = set()
        for key, tree in self.published.terms.taxonomies.items():
            listed = []
            for term in self.published.terms.of(key):
                depth = len(self.published.terms.path(term.ref)) - 1
                listed.append((term.ref, f"{'– ' * depth}{term.name}"))
                known.add(term.ref)
            found.append((tree.name, listed))
        gone = [(each, each) for each in chosen if each not in known]
        return [(_("No longer there"), gone), *found] if gone else found

    def owners(self, chosen: Iterable[str] = ()) -> list[Any]:
        """Who may be responsible."""
        parties = self.parties()
        known = {key for key, _words in parties} | set(OWNERS)
        gone = [(each, each) for each in chosen if each not in known]
        general = list(OWNERS.items())
        return [(_("In general"), general), (_("Partners and agencies"), [*gone, *parties])]

    def parties(self) -> list[tuple[str, str]]:
        """Partners and agencies by name."""
        keys = [*self.published.partners, *self.published.agencies(self.tell.today)]
        return [(key, self.tell.partner(key)) for key in keys]

    def queues(self) -> list[tuple[str, str]]:
        """Queues of every partner; the same key is offered once."""
        found: dict[str, str] = {}
        for slug in (self.tell.slug, *self.published.partners):
            for key, name in self.published.queues(slug).items():
                found.setdefault(key, name)
        return sorted(found.items(), key=lambda one: one[1])

    def fields(self) -> list[tuple[str, str]]:
        """Fields that the sharing policy knows."""
        return list(self.published.sharing(self.tell.today).fields.items())


def _pick(name: str, title: Any, groups: list[Any], hint: Any = None, **more: Any) -> SchemaNode:
    values = [choice for _title, each in groups for choice in each]
    node = SchemaNode(
        Choices(values),
        name=name,
        title=title,
        widget=PicksWidget(values=groups, chosen=_("Chosen:")),
        missing=(),
        plain=True,
        **more,
    )
    if hint is not None:
        node.description = hint
    return node


def _boxes(name: str, title: Any, values: list[Any], hint: Any = None, **more: Any) -> SchemaNode:
    node = SchemaNode(
        Choices(values),
        name=name,
        title=title,
        widget=CheckboxGroupWidget(values=values),
        missing=(),
        plain=True,
        **more,
    )
    if hint is not None:
        node.description = hint
    return node


def _radio(name: str, title: Any, values: list[Any]) -> SchemaNode:
    return SchemaNode(
        Choice(values),
        name=name,
        title=title,
        widget=RadioWidget(values=values),
        default=ANY,
        missing=ANY,
        plain=True,
    )


def _select(name: str, title: Any, values: list[Any], empty: Any, hint: Any = None) -> SchemaNode:
    flat = [
        pair for each in values for pair in ([each] if not isinstance(each[1], list) else each[1])
    ]
    node = SchemaNode(
        Choice(flat),
        name=name,
        title=title,
        widget=SelectWidget(values=values, empty=empty),
        missing=None,
    )
    if hint is not None:
        node.description = hint
    return node


def rule_form(offered: Offered, stored: Mapping[str, Any], *, count: int, check_url: str) -> Schema:
    """The form of one rule; what the stored one names that is gone stays pickable."""
    there = lambda name: stored.get(name) or ()  # noqa: E731
    schema = Schema()
    nodes = [
        SchemaNode(
            String(200),
            name="name",
            title=_("What the rule says"),
            description=_("In plain words, as you would explain it to a colleague."),
        ),
        SchemaNode(
            String(200),
            name="group",
            title=_("Heading it stands under"),
            missing=None,
            widget=TextWidget(attributes={"list": "groups"}),
        ),
        SchemaNode(
            Integer(),
            name="place",
            title=_("Place in the order"),
            description=_("1 is tried first, ${last} last.", mapping={"last": count}),
            widget=NumberWidget(width="xs"),
        ),
        _pick(
            "services",
            _("It is about"),
            offered.services(there("services")),
            _("Leave everything open that does not matter: what is left open fits always."),
            section=_("When it fits"),
        ),
        _pick("branches", _("It belongs under"), offered.branches(there("branches"))),
        _pick("terms", _("It is of the kind"), offered.terms(there("terms"))),
        _boxes("verbs", _("The person wants to"), choices(VERB_WORDS, VERBS)),
        _pick("owners", _("Who is responsible"), offered.owners(there("owners"))),
        _pick("boundaries", _("The place lies in or on"), offered.boundaries(there("boundaries"))),
        _boxes("channels", _("It came by"), choices(CHANNELS)),
        _boxes("languages", _("It is in"), choices(LANGUAGES)),
        _radio(
            "hours",
            _("The line is"),
            [(ANY, _("Open or closed")), ("open", _("Open")), ("closed", _("Closed"))],
        ),
        _radio(
            "confidential",
            _("The matter is confidential"),
            [(ANY, _("Either way")), ("yes", _("Yes")), ("no", _("No"))],
        ),
        _boxes("urgency", _("Urgency"), choices(PRIORITIES)),
        _boxes("dispositions", _("What 311 does with it"), choices(SERVICE_DISPOSITIONS)),
        SchemaNode(
            String(500),
            name="condition",
            title=_("And this holds"),
            description=_("Only for what cannot be picked above. The facts are listed below it."),
            missing=None,
            widget=TextAreaWidget(
                rows=2,
                maxlength=500,
                spellcheck=False,
                attributes={
                    "hx-post": check_url,
                    "hx-trigger": "input changed delay:500ms",
                    "hx-target": "#condition-check",
                    "hx-include": "closest form",
                    "data-condition": "facts",
                    "autocapitalize": "off",
                },
            ),
        ),
        SchemaNode(
            Choice([*RULE_OUTCOMES, ADDS_ONLY]),
            name="outcome",
            title=_("Then"),
            section=_("What happens"),
            widget=RadioWidget(values=list(OUTCOME_WORDS.items())),
        ),
        _select(
            "target",
            _("Who gets it"),
            [
                ("owner", _("Whoever is responsible")),
                ("self", _("We ourselves")),
                (_("Partners and agencies"), offered.parties()),
            ],
            _("Nobody: nothing is handed over"),
            _("For a request, a referral or a transfer."),
        ),
        _select(
            "reason",
            _("Reason"),
            _reasons(stored.get("reason")),
            _("None"),
            _("For what is not offered."),
        ),
        _select(
            "queue", _("Queue"), _with(offered.queues(), stored.get("queue")), _("The service's")
        ),
        _select("priority", _("Priority"), choices(PRIORITIES), _("The service's")),
        SchemaNode(
            Integer(),
            name="follow_up_days",
            title=_("Days until somebody asks what became of it"),
            missing=None,
            widget=NumberWidget(width="xs"),
        ),
        _pick(
            "share",
            _("What may be shared with consent"),
            [(_("Fields"), _with(offered.fields(), *there("share")))],
        ),
        SchemaNode(
            String(4000, multiline=True),
            name="note",
            title=_("What to tell the person"),
            missing=None,
        ),
        SchemaNode(
            Date(),
            name="valid_from",
            title=_("First day"),
            missing=None,
            section=_("When, and why"),
            description=_("Left out: as long as the version decides."),
        ),
        SchemaNode(Date(), name="valid_to", title=_("First day no more"), missing=None),
        SchemaNode(
            String(200),
            name="basis",
            title=_("Agreement or policy it rests on"),
            missing=None,
            widget=TextWidget(attributes={"list": "bases"}),
        ),
        SchemaNode(
            String(4000, multiline=True),
            name="remark",
            title=_("Why it is so"),
            description=_("For who reads the rules; nobody else sees it."),
            missing=None,
        ),
        SchemaNode(String(64), name="seen", title="", widget=HiddenWidget(), missing=None),
    ]
    for node in nodes:
        schema.add(node)
    return schema


def _with(pairs: list[tuple[str, Any]], *chosen: str | None) -> list[tuple[str, Any]]:
    known = {key for key, _words in pairs}
    return [*((each, each) for each in chosen if each and each not in known), *pairs]


def _reasons(chosen: str | None) -> list[tuple[str, Any]]:
    return _with(
        [(key.replace("_", " "), said(DECLINE_REASONS, key)) for key in DECLINE_REASONS], chosen
    )


def rule_values(stored: Mapping[str, Any], place: int, seen: str | None) -> dict[str, Any]:
    """Give what the form of a rule is filled with."""
    values: dict[str, Any] = {**stored, "place": place, "seen": seen}
    values["hours"] = stored.get("hours") or ANY
    confidential = stored.get("confidential")
    values["confidential"] = ANY if confidential is None else "yes" if confidential else "no"
    if stored.get("continues"):
        values["outcome"] = ADDS_ONLY
    for name in ("valid_from", "valid_to"):
        if isinstance(stored.get(name), str):
            values[name] = date.fromisoformat(stored[name])
    return values


def rule_said(values: Mapping[str, Any], key: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Give a rule from what the form says; whether it is off stays as it was."""
    found: dict[str, Any] = {"key": key}
    for name in (
        *("name", "group", *_LISTS, "condition", "target", "queue", "priority"),
        *("follow_up_days", "note", "reason", "basis", "remark"),
    ):
        value = values.get(name)
        if value not in (None, "", (), []):
            found[name] = list(value) if name in _LISTS else value
    for name in ("valid_from", "valid_to"):
        if values.get(name):
            found[name] = values[name].isoformat()
    if values["hours"] != ANY:
        found["hours"] = values["hours"]
    if values["confidential"] != ANY:
        found["confidential"] = values["confidential"] == "yes"
    if values["outcome"] == ADDS_ONLY:
        found["continues"] = True
        for name in ("target", "queue", "reason"):
            found.pop(name, None)
    else:
        found["outcome"] = values["outcome"]
        if values["outcome"] not in ("open_request", "refer", "warm_transfer"):
            found.pop("target", None)
            found.pop("share", None)
        if values["outcome"] != "decline":
            found.pop("reason", None)
    if stored.get("off"):
        found["off"] = True
    return found


# --- a made-up contact ----------------------------------------------------------------------------


def facts_form(offered: Offered) -> Schema:
    """The form that makes a contact up: any facts."""
    schema = Schema()
    services = [
        (group, [(_full(offered, value), label) for value, label in each])
        for group, each in offered.services()
    ]
    boundaries = [
        (group, [(_full(offered, value), label) for value, label in each])
        for group, each in offered.boundaries()
    ]
    hours = [(str(hour), f"{hour:02d}:00") for hour in range(24)]
    days = [(str(day), words) for day, words in enumerate([*WEEKDAYS.values()][:7], 1)]
    owners = [("nobody", _("Nobody")), *offered.parties()]
    nodes = [
        SchemaNode(
            Choice([pair for _group, each in services for pair in each]),
            name="asked",
            title=_("What is asked for"),
            widget=SelectWidget(values=services),
        ),
        _pick(
            "boundaries",
            _("The place lies in or on"),
            boundaries,
            _("Leave it empty when no place is known."),
        ),
        _select("owner", _("Who is responsible"), owners, _("Whoever is, for that place")),
        _one("channel", _("It comes by"), choices(CHANNELS), "phone"),
        _one("language", _("In"), choices(LANGUAGES), "en"),
        _one("urgency", _("Urgency"), choices(PRIORITIES), "normal"),
        _one("weekday", _("Day of the week"), days, "1"),
        _one("hour", _("Hour"), hours, "12"),
        _flag("closed", _("The line is closed")),
        _flag("confidential", _("Confidential handling is asked for")),
        _flag("named", _("The person gave a name")),
        _flag("consent", _("The person agrees to share what is needed")),
        _flag("interpreter", _("An interpreter is needed")),
        _flag("accommodation", _("An accommodation is needed")),
        _flag("near_boundary", _("The place lies close to a boundary")),
        SchemaNode(
            String(2000, multiline=True),
            name="answers",
            title=_("Answers to the service's questions"),
            description=_("One a line, as question:answer, for example size:large."),
            missing=None,
            widget=TextAreaWidget(rows=2),
        ),
        SchemaNode(
            Date(),
            name="on",
            title=_("On the day"),
            description=_("Left out: today."),
            missing=None,
        ),
    ]
    for node in nodes:
        schema.add(node)
    return schema


def _full(offered: Offered, value: str) -> str:
    return value if "/" in value else f"{offered.tell.slug}/{value}"


def _one(name: str, title: Any, values: list[Any], default: str) -> SchemaNode:
    return SchemaNode(
        Choice(values),
        name=name,
        title=title,
        widget=SelectWidget(values=values, empty=None),
        default=default,
        missing=default,
        plain=True,
    )


def _flag(name: str, title: Any) -> SchemaNode:
    return SchemaNode(Boolean(), name=name, title=title, widget=CheckboxWidget(), missing=False)


def facts_said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the facts of a case from what the form says, what is usual left out."""
    answers = [each.strip() for each in (values.get("answers") or "").splitlines() if each.strip()]
    found: dict[str, Any] = {"asked": values["asked"]}
    said_: Sequence[tuple[str, Any, Any]] = (
        ("owner", values.get("owner"), None),
        ("boundaries", list(values["boundaries"]), []),
        ("near_boundary", values["near_boundary"], False),
        ("channel", values["channel"], "phone"),
        ("language", values["language"], "en"),
        ("urgency", values["urgency"], "normal"),
        ("open", not values["closed"], True),
        ("hour", int(values["hour"]), 12),
        ("weekday", int(values["weekday"]), 1),
        ("confidential", values["confidential"], False),
        ("anonymous", not values["named"], True),
        ("consent", values["consent"], False),
        ("interpreter", values["interpreter"], False),
        ("accommodation", values["accommodation"], False),
        ("answers", answers, []),
    )
    found.update((name, value) for name, value, usual in said_ if value != usual)
    return found


def facts_values(facts: Mapping[str, Any], on: Any = None) -> dict[str, Any]:
    """Give what the form is filled with for the facts of a case."""
    values = dict(facts)
    values["closed"] = not facts.get("open", True)
    values["named"] = not facts.get("anonymous", True)
    values["hour"] = str(facts.get("hour", 12))
    values["weekday"] = str(facts.get("weekday", 1))
    values["answers"] = "\n".join(facts.get("answers", ()))
    values["on"] = on
    return values


EDITS: Final[Mapping[str, Any]] = {
    "add": _("Added a rule"),
    "edit": _("Changed a rule"),
    "move": _("Moved a rule"),
    "copy": _("Copied a rule"),
    "switch": _("Switched a rule off or on"),
    "remove": _("Took a rule out"),
    "case": _("Changed the tests"),
    "title": _("Renamed the draft"),
    "undo": _("Undid a change"),
}
