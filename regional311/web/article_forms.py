"""The forms of articles: answers, scripts with their branches, notices, and their translations.

Steps and choices have keys that nobody types: a new step gets the next one as its row is added, so
that the list of where a choice may lead always names it. Translations are filled in on a page of
their own and follow steps and choices by these keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import colander
import peppercorn

from regional311.catalog import markdown
from regional311.web.catalogue_forms import SEEN, Day, Lines
from regional311.web.catalogue_wording import ARTICLE_KINDS, FIELDS, LEVELS, PINNED
from regional311.web.forms import (
    CheckboxGroupWidget,
    Choice,
    Choices,
    DateWidget,
    HiddenWidget,
    Integer,
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
from regional311.web.wording import choices

LONGEST: Final = 20_000
LONGEST_STEP: Final = 4000
SHOWN_WORDS: Final = 50
"""Characters of a step by which it is told from others."""
SERVICES: Final = {"list": "services"}
_FIRST: Final = {"key": "step-1", "text": "", "choice": []}
"""The step with which a new script begins."""

_MARKS: Final = _(
    "Markdown: an empty line begins a paragraph, - a list, **bold**, [words](https://address)."
    " HTML is shown as text."
)
Named = Mapping[str, Mapping[str, str]]


def _optional(kind: Any, name: str, **more: Any) -> SchemaNode:
    return SchemaNode(kind, name=name, title=more.pop("title", FIELDS[name]), missing=None, **more)


def _text(name: str, title: Any, hint: Any, *, longest: int = LONGEST, **more: Any) -> SchemaNode:
    return SchemaNode(
        String(longest, multiline=True),
        name=name,
        title=title,
        description=hint,
        widget=TextAreaWidget(rows=more.pop("rows", 10), maxlength=longest),
        **more,
    )


# --- the article ----------------------------------------------------------------------------------


def article_form(
    named: Named, current: Mapping[str, Any], *, new: bool, sent: Mapping[str, Any]
) -> Schema:
    """The form of an article; `current` is what it says now, `sent` what was filled in, if any.

    The kind of an article never changes: it decides what is asked.
    """
    kind = str(sent.get("kind") or current.get("kind") or "answer")
    schema = Schema()
    add = schema.add
    add(SchemaNode(Integer(), name=SEEN, title="", missing=None, widget=HiddenWidget()))
    add(
        SchemaNode(
            Choice(ARTICLE_KINDS), name="kind", title="", default=kind, widget=HiddenWidget()
        )
    )
    first = _("What it says")
    if new:
        add(
            SchemaNode(
                String(60),
                name="key",
                title=FIELDS["key"],
                description=_(
                    "A short name in the address that never changes: small letters, digits,"
                    " hyphens."
                ),
                widget=TextWidget(maxlength=60, width="lg"),
                section=first,
            )
        )
    title = SchemaNode(
        String(200),
        name="title",
        title=_("Question") if kind == "answer" else FIELDS["title"],
        description=_("As people ask it.") if kind == "answer" else None,
    )
    if not new:
        title.section = first
    add(title)
    add(_optional(String(200), "summary", description=_("One sentence for lists.")))
    add(_text("text", _("For everybody"), _MARKS, rows=4 if kind == "script" else 10, missing=None))
    add(
        _text(
            "internal",
            _("For staff only"),
            _("Staff of every partner read it; the public never does."),
            rows=4,
            missing=None,
        )
    )
    if kind == "script":
        add(_steps(current, sent))
    _add_when(add, kind)
    _add_where(add, named, current)
    return schema


def _add_when(add: Any, kind: str) -> None:
    notice = kind == "notice"
    add(
        _optional(
            Day(),
            "valid_from",
            description=_("First day; empty: as soon as it is published."),
            section=_("When it is shown"),
            widget=DateWidget(),
        )
    )
    if notice:
        add(_time("from_time", _("From what time on that day; empty: from midnight.")))
    hint = (
        _("A notice ends by itself: the first day without it, or the day with the time below.")
        if notice
        else _("First day on which it is shown no more; empty: it stays.")
    )
    add(_optional(Day(), "valid_to", description=hint, widget=DateWidget()))
    if not notice:
        return
    add(_time("to_time", _("Until what time on that day.")))
    add(
        SchemaNode(
            Choices(PINNED),
            name="shown",
            title=FIELDS["shown"],
            widget=CheckboxGroupWidget(values=choices(PINNED)),
            section=_("How it is pinned"),
        )
    )
    add(
        SchemaNode(
            Choice(LEVELS),
            name="level",
            title=FIELDS["level"],
            default="info",
            widget=RadioWidget(values=choices(LEVELS)),
        )
    )


def _time(name: str, hint: Any) -> SchemaNode:
    return _optional(String(5), name, description=hint, widget=TextWidget(type="time", width="sm"))


def _add_where(add: Any, named: Named, current: Mapping[str, Any]) -> None:
    service = SchemaNode(
        String(121),
        name="service",
        title=_("Service"),
        widget=TextWidget(width="xl", attributes=SERVICES),
    )
    beside = rows(
        "services",
        _row(service),
        title=FIELDS["services"],
        description=_("It is shown beside these services. Another partner’s as partner/key."),
        row_title=_("Service ${number}"),
        add=_("Add a service"),
        compact=True,
    )
    beside.section = _("Where it is found")
    add(beside)
    add(
        _optional(
            Lines(),
            "keywords",
            description=_("One a line, small letters: what callers say."),
            widget=TextAreaWidget(rows=3),
        )
    )
    bureaus = dict(named.get("bureaus", {}))
    gone = current.get("bureau")
    if gone:
        bureaus.setdefault(str(gone), _("${key} (no longer there)", mapping={"key": gone}))
    if bureaus:
        listed = list(bureaus.items())
        add(
            _optional(
                Choice(listed),
                "bureau",
                widget=SelectWidget(values=listed, empty=_("The partner as a whole")),
            )
        )


def _row(*nodes: Any, validator: Any = None) -> Schema:
    made = Schema(validator=validator)
    for node in nodes:
        made.add(node)
    return made


# --- steps ----------------------------------------------------------------------------------------


def _steps(current: Mapping[str, Any], sent: Mapping[str, Any]) -> Any:
    listed = _targets(current, sent)
    to = SchemaNode(
        Choice([value for _group, pairs in listed for value, _words in pairs]),
        name="to",
        title=_("Leads to"),
        widget=SelectWidget(values=listed, empty=_("- Select -")),
    )
    service = SchemaNode(
        String(121),
        name="service",
        title=_("Which service"),
        missing=None,
        widget=TextWidget(width="lg", attributes=SERVICES),
    )
    label = SchemaNode(String(200), name="label", title=_("Answer"))
    ways = rows(
        "choice",
        _row(_key(), label, to, service, validator=_leads_somewhere),
        title=_("Ways on"),
        description=_("What may be answered or found, and where it leads. None: it ends here."),
        row_title=_("Way ${number}"),
        add=_("Add a way"),
        compact=True,
        spare=1,
        fresh=lambda there: {"key": next_key("way", there)},
    )
    words = _text("text", _("What to ask, say or do"), None, longest=LONGEST_STEP, rows=3)
    made = rows(
        "step",
        _row(_key(), words, ways),
        title=_("Steps"),
        description=_("The first is where one begins."),
        row_title=_("Step ${number}"),
        add=_("Add a step"),
        spare=0,
        fresh=lambda there: {"key": next_key("step", there)},
    )
    made.section = _("Step by step")
    return made


def _key() -> SchemaNode:
    return SchemaNode(String(60), name="key", title="", missing="", widget=HiddenWidget())


def _leads_somewhere(node: Any, values: Mapping[str, Any]) -> None:
    if values.get("to") == "service" and not values.get("service"):
        wrong = colander.Invalid(node)
        wrong["service"] = _("Name the service that this leads to.")
        raise wrong


def next_key(stem: str, there: Sequence[Mapping[str, Any]]) -> str:
    """Give the key of a new row: no other row has it.

    >>> next_key("step", [{"key": "step-1"}, {"key": "wires"}])
    'step-2'
    """
    taken = {str(each.get("key") or "") for each in there if isinstance(each, Mapping)}
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def _targets(
    current: Mapping[str, Any], sent: Mapping[str, Any]
) -> list[tuple[Any, list[tuple[str, Any]]]]:
    """Where a choice may lead: the steps that the form has when it is shown, and the ends."""
    steps = [dict(each) for each in sent.get("step") or current.get("step") or (_FIRST,)]
    verb, _blank, path = str(sent.get("rows", "")).partition(" ")
    if verb == "add" and path == "step":
        steps.append({"key": next_key("step", steps), "text": ""})
    elif verb == "remove" and path.startswith("step.") and path.count(".") == 1:
        place = path.removeprefix("step.")
        if place.isdecimal() and int(place) < len(steps):
            del steps[int(place)]
    known = [
        (f"step:{each.get('key')}", _step_name(place, each)) for place, each in enumerate(steps, 1)
    ]
    named = {
        str(way.get("to"))
        for each in steps
        for way in each.get("choice") or ()
        if isinstance(way, Mapping)
    }
    gone = sorted(each for each in named if each.startswith("step:") and each not in dict(known))
    ends = [
        ("service", _("A service, named beside")),
        ("danger", _("Danger: call 911")),
        ("end", _("The end of the guide")),
    ]
    return [
        (
            _("Steps"),
            [
                *known,
                *(
                    (each, _("${key} (no longer there)", mapping={"key": each[5:]}))
                    for each in gone
                ),
            ],
        ),
        (_("Ends"), ends),
    ]


def _step_name(place: int, step: Mapping[str, Any]) -> Any:
    words = markdown.plain(str(step.get("text") or ""))
    if len(words) > SHOWN_WORDS:
        words = f"{words[:SHOWN_WORDS].rstrip()}…"
    if not words:
        return _("Step ${number} (still empty)", mapping={"number": place})
    return _("Step ${number}: ${words}", mapping={"number": place, "words": words})


# --- values and contents --------------------------------------------------------------------------


def sent_values(request: Any) -> dict[str, Any]:
    """Return what was filled in, as it stands, before anything of it is checked."""
    if request.method != "POST":
        return {"kind": request.GET.get("kind", "")}
    try:
        sent = peppercorn.parse(list(request.POST.items()))
    except ValueError:
        return {}
    kind = sent.get("kind")
    steps = sent.get("step")
    return {
        "kind": kind if kind in ARTICLE_KINDS else "",
        "rows": str(request.POST.get("rows", "")),
        "step": [each for each in steps if isinstance(each, dict)]
        if isinstance(steps, list)
        else None,
    }


def article_values(said: Mapping[str, Any]) -> dict[str, Any]:
    """What the form of an article shows."""
    shown = {
        **said,
        "services": [{"service": each} for each in said.get("services", ())],
        "shown": said.get("shown", ["desk", "public"]),
        "step": [
            {
                "key": step["key"],
                "text": step["text"],
                "choice": [_way_shown(way) for way in step.get("choice", ())],
            }
            for step in said.get("step", ())
        ],
    }
    if said.get("kind") == "script" and not shown["step"]:
        shown["step"] = [_FIRST]
    return shown


def _way_shown(way: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: way[name] for name in ("key", "label", "to")}
    kind, _colon, name = way["to"].partition(":")
    return {**shown, "to": kind, "service": name} if kind == "service" else shown


def article_said(values: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """What the filled-in form of an article says; translations stay with what they translate."""
    said = dict(values)
    said["services"] = list(
        dict.fromkeys(each["service"].strip() for each in values.get("services") or ())
    )
    if "step" in values:
        before = {each["key"]: each for each in seen.get("step", ())}
        said["step"] = _keyed("step", [_step_said(each, before) for each in values["step"]])
    if said.get("level") == "info":
        del said["level"]
    if said.get("shown") == ["desk", "public"]:
        del said["shown"]
    if "translation" in seen:
        said["translation"] = seen["translation"]
    return said


def _step_said(step: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    was = before.get(step.get("key") or "", {})
    ways = {each["key"]: each for each in was.get("choice", ())}
    said: dict[str, Any] = {
        "key": step.get("key") or "",
        "text": step["text"],
        "choice": _keyed("way", [_way_said(each, ways) for each in step.get("choice") or ()]),
    }
    if "translation" in was:
        said["translation"] = was["translation"]
    return said


def _way_said(way: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    to = way["to"]
    if to == "service":
        to = f"service:{(way.get('service') or '').strip()}"
    said = {"key": way.get("key") or "", "label": way["label"], "to": to}
    was = before.get(said["key"], {})
    return {**said, "translation": was["translation"]} if "translation" in was else said


def _keyed(stem: str, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for each in listed:
        if not each["key"]:
            each["key"] = next_key(stem, listed)
    return listed


# --- translations ---------------------------------------------------------------------------------


def translation_form(said: Mapping[str, Any], language: str) -> Schema:
    """The form of an article in another language, each field beside the words of the article.

    Steps and ways are read out by specialists; the part for staff stays in one language.
    """
    schema = Schema()
    schema.add(SchemaNode(Integer(), name=SEEN, title="", missing=None, widget=HiddenWidget()))
    title = SchemaNode(String(200), name="title", title=FIELDS["title"], missing=None)
    keywords = _optional(
        Lines(),
        "keywords",
        description=_("One a line: what callers say in this language."),
        widget=TextAreaWidget(rows=3),
    )
    nodes = [title]
    if said.get("summary"):
        nodes.append(_optional(String(200), "summary"))
    if said.get("text"):
        nodes.append(_text("text", _("For everybody"), _MARKS, missing=None))
    nodes.append(keywords)
    for place, step in enumerate(said.get("step", ()), 1):
        heading = _("Step ${number}", mapping={"number": place})
        words = _text(
            f"step.{step['key']}",
            _("What to ask, say or do"),
            None,
            longest=LONGEST_STEP,
            rows=3,
            missing=None,
        )
        words.section = heading
        words.beside = step["text"]
        nodes.append(words)
        for way in step.get("choice", ()):
            label = SchemaNode(
                String(200),
                name=f"way.{step['key']}.{way['key']}",
                title=_("Answer"),
                missing=None,
            )
            label.beside = way["label"]
            nodes.append(label)
    for node in nodes:
        if not hasattr(node, "beside"):
            value = said.get(node.name, "")
            node.beside = "\n".join(value) if isinstance(value, list) else str(value)
        node.widget = node.widget or TextWidget(maxlength=200)
        node.widget.attributes = {"lang": language}
        schema.add(node)
    return schema


def translation_values(said: Mapping[str, Any], language: str) -> dict[str, Any]:
    """What the form of a translation shows."""
    found = dict(_in(said, language))
    for step in said.get("step", ()):
        found[f"step.{step['key']}"] = _in(step, language).get("text")
        for way in step.get("choice", ()):
            found[f"way.{step['key']}.{way['key']}"] = _in(way, language).get("label")
    return found


def translation_said(
    values: Mapping[str, Any], language: str, seen: Mapping[str, Any]
) -> dict[str, Any]:
    """The article with these words in a language; what was left empty is in it no more.

    Without a title there is no translation of the public part.
    """
    own = {
        name: values.get(name)
        for name in ("title", "summary", "text", "keywords")
        if values.get(name)
    }
    steps = []
    for step in seen.get("step", ()):
        ways = [
            _with(way, language, {"label": values.get(f"way.{step['key']}.{way['key']}")})
            for way in step.get("choice", ())
        ]
        made = _with(step, language, {"text": values.get(f"step.{step['key']}")})
        steps.append({**made, "choice": ways} if ways else made)
    found = _with(seen, language, own)
    return {**found, "step": steps} if steps else found


def _in(said: Mapping[str, Any], language: str) -> Mapping[str, Any]:
    return next((each for each in said.get("translation", ()) if each["language"] == language), {})


def _with(said: Mapping[str, Any], language: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """A thing with its words in a language, in the place where they were; none: without them."""
    filled = {name: value for name, value in words.items() if value}
    made = {"language": language, **filled} if filled else None
    there = list(said.get("translation", ()))
    place = next((at for at, each in enumerate(there) if each["language"] == language), None)
    if place is not None:
        there[place : place + 1] = [made] if made else []
    elif made:
        there.append(made)
    found = {name: value for name, value in said.items() if name != "translation"}
    return {**found, "translation": there} if there else found
