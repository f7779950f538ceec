"""The questions of a service's form as fields, and what the answers become.

All questions are on the page at once. One that is asked only after certain answers says so, and
what is written there counts only if those were given: the server decides, so that nobody needs a
script. Where there is one (`questions.js`), such a question appears when it is asked and not
before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import colander
from babel.dates import format_datetime
from babel.numbers import format_decimal
from markupsafe import Markup

from regional311.catalog import answers
from regional311.catalog.answers import Kept, Reply, Told, Unfit
from regional311.catalog.definitions import conditions_said, limits_said
from regional311.catalog.directory import Service
from regional311.catalog.forms import Asked, Clause, Form, as_list, clauses_of, headed, said
from regional311.intake.attachments import FileRow
from regional311.intake.uploads import LARGEST_MEGABYTES, Upload
from regional311.web.files import ACCEPTED, taken
from regional311.web.forms import (
    CheckboxGroupWidget,
    DateTimeWidget,
    DateWidget,
    FileWidget,
    NumberWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    TextAreaWidget,
    TextWidget,
)
from regional311.web.held import given_back, kept_with
from regional311.web.i18n import _, page_language, translated
from regional311.web.telling import Telling, telling

PREFIX = "answer-"
_FILE_LIMITS = _("A picture or a PDF of at most ${size} MB.")
MOST_IN_SIGHT = 7
"""Answers to choose from that are all shown; more are a drop-down list."""


class Answer(colander.SchemaType):
    """The answer to one question, checked when it is asked and left out when it is not."""

    def __init__(self, asking: Asking, asked: Asked, *, counts: bool) -> None:
        self.asking = asking
        self.asked = asked
        self.counts = counts

    def serialize(self, node: Any, appstruct: Any) -> Any:
        if appstruct is colander.null or appstruct is None:
            return colander.null
        if self.asked.kind == "file":
            return colander.null
        if self.asked.kind == "choices":
            return list(as_list(appstruct))
        # a field for a moment knows no zone: the partner's is meant
        return appstruct[:16] if self.asked.kind == "date_time" else appstruct

    def deserialize(self, node: Any, cstruct: Any) -> Any:
        if not self.counts:
            return colander.null
        if self.asked.kind == "file" and cstruct is colander.null:
            request = self.asking.tell.request
            found = given_back(request, self.asking.form.owner, self.asked.key)
            return found or colander.null
        if cstruct is colander.null:
            return colander.null
        if self.asked.kind == "file":
            return taken(self.asking.tell.request, node, self.asked.key, cstruct)
        try:
            found = self.asking.read(self.asked, cstruct)
        except Unfit as error:
            raise colander.Invalid(node, self.asking.wrong(error)) from error
        return colander.null if found is None else found


class Asking:
    """One form asked on one page: in its language, as of the day at the partner whose form it is.

    `sent` are answers as they were typed, by question. `language` is another than the page's.
    """

    def __init__(
        self,
        request: Any,
        form: Form,
        sent: Mapping[str, list[str]] | None = None,
        *,
        language: str = "",
    ) -> None:
        self.tell: Telling = telling(request)
        self.form = form
        self.sent = typed(request, form) if sent is None else sent
        self.language = language or page_language(request)
        owner = self.tell.published.tenants.get(form.owner)
        self.zone = ZoneInfo(owner.zone) if owner else self.tell.zone
        self.today: date = request.now.astimezone(self.zone).date()
        self.shown = {each.key for each in form.shown(self.sent)}

    def read(self, asked: Asked, given: Any) -> Any:
        """Read one answer. Raises `Unfit`."""
        return answers.read(asked, given, today=self.today, zone=self.zone)

    def wrong(self, error: Unfit) -> str:
        """Say what is wrong with an answer."""
        values = {
            name: self.tell.day(value) if isinstance(value, date) else value
            for name, value in error.values.items()
        }
        return self.tell.translate(answers.CODES[error.code]).format(**values)

    def nodes(self, level: int = 2) -> list[SchemaNode]:
        """Give a field for each question; `level` is that of the headings of groups."""
        return [self._node(each, level) for each in self.form.questions]

    def _node(self, asked: Asked, level: int) -> SchemaNode:
        counts = asked.key in self.shown
        words = said(asked, self.language)
        node = SchemaNode(
            Answer(self, asked, counts=counts),
            name=PREFIX + asked.key,
            title=self._spoken(words.label, words.language),
            description=self._description(asked),
            widget=self._widget(asked),
            needed=asked.required,
        )
        if not (asked.required and counts):
            node.missing = None
        if asked.clauses:
            node.asked_if = self._data(asked.clauses)
            node.only_if = " ".join(
                conditions_said(self.form, asked, self.language, self.tell.translate)
            )
        if asked.within is not None:
            heading = said(asked.within, self.language)
            node.group = asked.within.key
            node.group_title = self._spoken(heading.label, heading.language)
            node.group_hint = heading.hint
            node.group_level = level
            node.group_if = self._data(clauses_of(asked.also_if)) if asked.also_if else None
        return node

    def _data(self, clauses: Iterable[Clause]) -> str:
        return json.dumps(
            [
                [[PREFIX + each.question, list(each.answers)] for each in clause]
                for clause in clauses
            ]
        )

    def _spoken(self, text: str, language: str) -> str:
        """Mark words that are in another language than the page."""
        if language == self.language:
            return text
        return Markup('<span lang="{}">{}</span>').format(language, text)

    def _description(self, asked: Asked) -> str:
        words = said(asked, self.language)
        hint = [] if not words.hint else [self._spoken(words.hint, words.language)]
        limits = limits_said(asked, self.tell.translate)
        if asked.kind == "file":
            size = {"size": LARGEST_MEGABYTES}
            limits = [translated(self.tell.request, _FILE_LIMITS % size)]
        return Markup(" ").join([*hint, *limits])

    def _widget(self, asked: Asked) -> Any:
        options = asked.options(self.language)
        match asked.kind:
            case "choice" if len(options) > MOST_IN_SIGHT:
                return SelectWidget(values=options)
            case "choice" | "yes_no":
                return RadioWidget(values=options)
            case "choices":
                return CheckboxGroupWidget(values=options)
            case "number":
                return NumberWidget()
            case "date":
                return DateWidget(attributes=self._days(asked))
            case "date_time":
                return DateTimeWidget()
            case "file":
                return FileWidget(
                    accept=ACCEPTED,
                    keeps=lambda: self._kept(asked),
                )
            case "long_text":
                return TextAreaWidget(maxlength=answers.longest(asked))
            case "phone":
                return TextWidget(type="tel", maxlength=answers.longest(asked))
            case "email":
                return TextWidget(type="email", maxlength=answers.longest(asked))
        return TextWidget(maxlength=answers.longest(asked))

    def _kept(self, asked: Asked) -> tuple[str, str] | Literal[False] | None:
        """What is held of a file that was sent with this form before."""
        request = self.tell.request
        if request.method != "POST":
            return None
        sent = request.POST.get(PREFIX + asked.key)
        return kept_with(request, self.form.owner, asked.key, sent)

    def _days(self, asked: Asked) -> dict[str, str]:
        early, late = answers.day_limits(asked, self.today)
        limits = {"min": early, "max": late}
        return {name: day.isoformat() for name, day in limits.items() if day is not None}

    def reply(self, values: Mapping[str, Any]) -> Reply | None:
        """Give what was answered, from the values of the fields; None without any question."""
        if not self.form.questions:
            return None
        given = {
            each.key: value.name if isinstance(value, Upload) else value
            for each in self.form.questions
            if (value := values.get(PREFIX + each.key)) is not None
        }
        return answers.reply(self.form, given, self.language)

    def reply_so_far(self) -> Reply | None:
        """Give what was answered so far: what cannot be read yet is left out."""
        if not self.form.questions:
            return None
        checked = answers.check(self.form, self.sent, today=self.today, zone=self.zone)
        return answers.reply(self.form, checked.answers, self.language)


def files_of(values: Mapping[str, Any]) -> tuple[Upload, ...]:
    """Give the files that were sent, from the values of the fields."""
    return tuple(each for each in values.values() if isinstance(each, Upload))


def asking(request: Any, service: Service) -> Asking:
    """Ask the questions of a service, the same for as long as the request lasts."""
    made = request.__dict__.setdefault("made_asking", {})
    if service.ref not in made:
        made[service.ref] = Asking(request, telling(request).published.form(service))
    return made[service.ref]


def typed(request: Any, form: Form) -> dict[str, list[str]]:
    """Give the answers that were sent, as they were typed."""
    if request.method != "POST":
        return {}
    return {
        each.key: [
            value[:5000]
            for value in request.POST.getall(PREFIX + each.key)
            if isinstance(value, str) and value
        ]
        for each in form.questions
    }


def add_questions(request: Any, schema: Schema, service: Service, *, level: int = 2) -> None:
    """Add a field for each question of the service, before who asks."""
    for node in asking(request, service).nodes(level):
        schema.add_before("name", node)


# --- told again -----------------------------------------------------------------------------------


def told_again(
    request: Any,
    kept: Kept | None,
    forms: Mapping[Any, Form],
    *,
    personal: bool = True,
    files_at: str = "",
) -> list[dict[str, Any]]:
    """Give what was asked and answered, in the words of then; `personal` tells typed words too.

    `files_at` is the address of the files that were sent, to which the question is added. A form
    that was not kept is told by its keys.
    """
    if kept is None:
        return []
    form = forms.get(kept.form)
    if form is None:
        every = {**kept.reply.coded, **(kept.reply.told if personal else {})}
        plain = {"language": None, "hidden": False, "url": None}
        return [{"label": key, "answer": text, **plain} for key, text in every.items()]
    tell = telling(request)
    page = page_language(request)
    language = kept.reply.language if kept.reply.language != page else None
    found = []
    for each in answers.told_again(form, kept.reply):
        hidden = not personal and each.asked.key in kept.reply.told
        found.append(
            {
                "label": headed(each.heading, each.label) if each.heading else each.label,
                "answer": None if hidden else _shown(tell, each),
                "hidden": hidden,
                "language": language,
                "url": f"{files_at}{each.asked.key}"
                if files_at and each.asked.kind == "file" and each.answers and not hidden
                else None,
            }
        )
    return found


def besides(
    files: Iterable[FileRow], *, personal: bool = True, files_at: str = ""
) -> list[dict[str, Any]]:
    """Give files that answer no question in the form of `told_again`."""
    return [
        {
            "label": _("A file"),
            "answer": each.name if personal else None,
            "hidden": not personal,
            "language": None,
            "url": f"{files_at}{each.question}" if personal and files_at else None,
        }
        for each in files
    ]


def _shown(tell: Telling, told: Told) -> str | None:
    if not told.answers:
        return None
    text = told.answers[0]
    match told.asked.kind:
        case "date":
            return tell.day(date.fromisoformat(text))
        case "date_time":
            # on the clock of the partner that asked
            at = datetime.fromisoformat(text)
            return format_datetime(at, "MMM d, y, h:mm a", tzinfo=at.tzinfo, locale=tell.locale)
        case "number":
            return format_decimal(Decimal(text), locale=tell.locale, decimal_quantization=False)
    return ", ".join(told.answers)
