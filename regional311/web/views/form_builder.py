"""The form builder: the questions of a service or of a group, one change at a time, with a preview.

Every change is a draft in `catalog.versions`, so that it is reviewed and published like everything
else of the catalogue, and two people's changes are merged. Each page works without a script: what
a change made of the form is seen when the page comes back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import deform
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.view import view_config

from regional311.catalog import form_building as building
from regional311.catalog import versions
from regional311.catalog.content import Question, QuestionGroup
from regional311.catalog.definitions import (
    conditions_said,
    json_schema,
    limits_said,
    open311_attributes,
)
from regional311.catalog.form_building import Questions
from regional311.catalog.form_versions import stored_groups
from regional311.catalog.forms import (
    OWN_LANGUAGE,
    Asked,
    Form,
    Groups,
    gaps,
    groups_used,
    resolve,
)
from regional311.catalog.kinds import KINDS as THINGS
from regional311.database.session import TenantSession
from regional311.errors import DomainError
from regional311.identity.permissions import Permissions as P
from regional311.keys import key_for
from regional311.strict import from_plain
from regional311.web import question_forms as forms
from regional311.web.forms import (
    Schema,
    field_id,
    handle_form_submission,
    make_form,
    pressed,
    start_over,
)
from regional311.web.i18n import _, translated
from regional311.web.question_forms import KINDS, SEEN
from regional311.web.questions import Asking
from regional311.web.representations import json_response, wanted
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import QuestionList
from regional311.web.views.catalogue_editing import other_languages, told
from regional311.web.views.catalogue_versions import url_of, version_url
from regional311.web.wording import LANGUAGES, said

TABS: Mapping[str, Any] = {
    "desk": _("On the desk"),
    "public": _("On the public page"),
    "definition": _("For programs"),
}
_FAULT = re.compile(r"question\[([^\]]*)\]\.?([a-z_0-9]*)")


@dataclass
class Builder:
    """A form that is being built: the version that is shown, and what can be done with it."""

    context: QuestionList
    request: Any
    number: int
    state: str
    model: Any

    @property
    def kind(self) -> str:
        """`service` or `question_group`."""
        return self.context.holder.kind

    @property
    def key(self) -> str:
        """The key of the service or the group."""
        return self.context.holder.key

    @property
    def session(self) -> TenantSession:
        session: TenantSession = self.request.dbsession
        return session

    @property
    def questions(self) -> Questions:
        """What is asked, with groups by their names."""
        questions: Questions = self.model.question
        return questions

    @property
    def group(self) -> QuestionGroup | None:
        """The group, when it is one that is built."""
        return self.model if isinstance(self.model, QuestionGroup) else None

    @cached_property
    def groups(self) -> Groups:
        """The partner's published groups."""
        return stored_groups(self.session)

    @property
    def offered(self) -> dict[str, QuestionGroup]:
        """Groups that may be put in here: not the one that is built."""
        mine = self.key if self.kind == "question_group" else ""
        return {key: each for key, each in self.groups.items() if key != mine}

    @property
    def url(self) -> str:
        """The address of the builder."""
        return url_of(self.request, self.kind, self.key, "questions")

    def form(self, questions: Questions | None = None) -> Form:
        """The form as it would be asked."""
        slug = self.request.tenant.slug
        return resolve(self.questions if questions is None else questions, self.groups, slug)

    def save(self, questions: Questions, **more: Any) -> versions.Saved:
        """Save other questions as a draft on top of the version that was shown."""
        model = self.model.model_copy(update={"question": questions, **more})
        return versions.save_draft(
            self.session,
            self.kind,
            THINGS[self.kind].said(model),
            seen=self.number,
            now=self.request.now,
        )

    def saved(self, saved: versions.Saved, words: Any, at: str = "") -> HTTPSeeOther:
        """Say what became of a change and go back to the form, or choose where two overlap."""
        if saved.overlaps or saved.merged:
            return told(self.request, self.kind, self.key, saved)
        self.request.flash("success", words)
        return HTTPSeeOther(location=f"{self.url}#q-{at}" if at else self.url)


def _opened(context: QuestionList, request: Any) -> Builder:
    """Open the newest draft for who may edit, and what is published for everybody else."""
    kind, key = context.holder.kind, context.holder.key
    if not may(request, P.SERVICE_EDIT):
        stored = THINGS[kind].stored(request.dbsession, key)
        if stored is None:
            raise HTTPNotFound
        return Builder(context, request, 0, "published", stored.model)
    found = versions.opened(request.dbsession, kind, key)
    if found is None:
        raise HTTPNotFound
    model = from_plain(THINGS[kind].model, found.content)
    return Builder(context, request, found.number, found.state, model)


def _seen(context: QuestionList, request: Any) -> Builder:
    """Open the version that the sent form showed."""
    kind, key = context.holder.kind, context.holder.key
    sent = request.POST.get(SEEN, "")
    if not (sent.isascii() and sent.isdecimal() and len(sent) < 7):
        raise HTTPNotFound
    number = int(sent)
    newest = versions.opened(request.dbsession, kind, key)
    if newest is not None and newest.number == number:
        content, state = newest.content, newest.state
    else:
        content, state = versions.contents(request.dbsession, kind, key, number)[number], "retired"
    return Builder(context, request, number, state, from_plain(THINGS[kind].model, content))


# --- what is shown --------------------------------------------------------------------------------


def _crumbs(builder: Builder, *more: tuple[str | None, Any]) -> list[tuple[str | None, Any]]:
    slug = builder.request.tenant.slug
    name = builder.model.name
    start: list[tuple[str | None, Any]] = [(f"/{slug}/services", _("Services"))]
    if builder.kind == "service":
        start.append((url_of(builder.request, "service", builder.key), name))
        start.append((builder.url if more else None, _("Questions")))
    else:
        start = [(f"/{slug}/question-groups", _("Question groups"))]
        start.append((builder.url if more else None, name))
    return [*start, *more]


def _items(builder: Builder) -> list[dict[str, Any]]:
    tell = telling(builder.request)
    form = builder.form()
    found = []
    for place, each in enumerate(builder.questions):
        inner = [one for one in form.questions if one.key.startswith(f"{each.key}-") and one.within]
        asked = next((one for one in form.questions if one.key == each.key), None)
        group = builder.groups.get(each.group or "")
        found.append(
            {
                "key": each.key,
                "number": place + 1,
                "label": each.label,
                "kind": KINDS[each.kind][0],
                "required": each.required,
                "hint": each.hint,
                "answers": [one.label for one in each.choice],
                "conditions": conditions_said(form, asked, translate=tell.translate)
                if asked is not None
                else _group_conditions(builder, form, each),
                "limits": limits_said(asked, tell.translate) if asked is not None else [],
                "group": group.name if group else each.group,
                "group_url": url_of(builder.request, "question_group", each.group, "questions")
                if each.group
                else None,
                "inner": [one.label for one in inner],
                "first": place == 0,
                "last": place == len(builder.questions) - 1,
            }
        )
    return found


def _group_conditions(builder: Builder, form: Form, question: Question) -> list[str]:
    """Say when a group is asked; its questions carry that, it is no question itself."""
    asked = Asked.model_construct(
        **{name: getattr(question, name) for name in Question.model_fields},
        within=None,
        also_if=(),
    )
    return conditions_said(form, asked, translate=telling(builder.request).translate)


def _preview(builder: Builder, questions: Questions | None = None) -> dict[str, Any]:
    """The form as it would be asked, in the tab and the language that the address names."""
    request = builder.request
    tab = request.POST.get("look") or request.GET.get("preview", "desk")
    tab = tab if tab in TABS else "desk"
    languages = [OWN_LANGUAGE, *other_languages(request)]
    language = request.GET.get("language", OWN_LANGUAGE)
    language = language if language in languages else OWN_LANGUAGE
    form = builder.form(questions)
    schema = Schema()
    asking = Asking(request, form, {}, language=language)
    for node in asking.nodes(3 if tab == "desk" else 2):
        schema.add(node)
    here = f"{builder.url}?preview="
    tell = telling(request)
    definition = None
    if tab == "definition":
        name = builder.model.name
        definition = {
            "attributes": open311_attributes(form, language, tell.translate),
            "open311": _text(_open311(builder, form, language)),
            "json_schema": _text(json_schema(form, title=name, language=language)),
        }
    return {
        "tab": tab,
        "tabs": [
            (key, f"{here}{key}&language={language}#preview", words, key == tab)
            for key, words in TABS.items()
        ],
        "languages": [
            (f"{here}{tab}&language={each}#preview", said(LANGUAGES, each), each == language)
            for each in languages
        ],
        "language": language,
        "form": make_form(request, schema, name=f"preview-{tab}"),
        "empty": not form.questions,
        "branches": any(each.clauses for each in form.questions),
        "definition": definition,
        "live": None,
    }


def _text(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2)


def _open311(builder: Builder, form: Form, language: str) -> dict[str, Any]:
    translate = telling(builder.request).translate
    return {
        "service_code": builder.key,
        "attributes": open311_attributes(form, language, translate),
    }


@view_config(
    context=QuestionList,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="questions/index.jinja2",
)
def questions(context: QuestionList, request: Any) -> Any:
    """The questions of a form in order, what may be done with each, and how they look."""
    builder = _opened(context, request)
    if wanted(request) == "json":
        return _as_json(builder)
    if "HX-Request" in request.headers:
        page = {"preview": _preview(builder), "field_id": field_id}
        return render_to_response("questions/preview.jinja2", page, request=request)
    may_edit = may(request, P.SERVICE_EDIT)
    return {
        "title": builder.model.name,
        "crumbs": _crumbs(builder),
        "is_group": builder.group is not None,
        "items": _items(builder),
        "number": builder.number,
        "url": builder.url,
        "may_edit": may_edit,
        "version_url": version_url(request, builder.kind, builder.key, builder.number)
        if builder.state in versions.OPEN
        else None,
        "undo_to": _before(builder) if may_edit and builder.state in versions.OPEN else None,
        "languages": _languages(builder) if may_edit else [],
        "used": _used(builder) if builder.group is not None else [],
        "preview": _preview(builder),
        "field_id": field_id,
    }


def _before(builder: Builder) -> int | None:
    """The version from which the shown draft was made."""
    rows = versions.history(builder.session, builder.kind, builder.key)
    return next((row.based_on for row in rows if row.number == builder.number), None)


def _languages(builder: Builder) -> list[tuple[str, Any, int]]:
    """Each other language, where it is edited, and how much of the form it lacks."""
    languages = other_languages(builder.request)
    lacking = list(gaps(builder.questions, languages))
    return [
        (
            f"{builder.url}/translate?language={each}",
            said(LANGUAGES, each),
            sum(gap.language == each for gap in lacking),
        )
        for each in languages
    ]


def _used(builder: Builder) -> list[tuple[str, str]]:
    """The services whose forms put the group in, themselves or within another."""
    tell = telling(builder.request)
    found = []
    for each in tell.published.directory.of(tell.slug, tell.today):
        listed = [from_plain(Question, one) for one in each.details.get("question") or ()]
        if builder.key in groups_used(listed, builder.groups):
            found.append((url_of(builder.request, "service", each.key, "questions"), each.name))
    return found


def _as_json(builder: Builder) -> Any:
    """The form for programs, in the language that is asked for."""
    asked = builder.request.GET.get("language", OWN_LANGUAGE)
    languages = [OWN_LANGUAGE, *other_languages(builder.request)]
    language = asked if asked in languages else OWN_LANGUAGE
    form = builder.form()
    return json_response(
        {
            "key": builder.key,
            "name": builder.model.name,
            "version": builder.number or None,
            "state": builder.state,
            "form": form.digest,
            "language": language,
            "open311": _open311(builder, form, language),
            "json_schema": json_schema(form, title=builder.model.name, language=language),
        }
    )


# --- one question ---------------------------------------------------------------------------------


@view_config(
    context=QuestionList,
    name="add",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="questions/question.jinja2",
)
def add(context: QuestionList, request: Any) -> dict[str, Any]:
    """Choose a kind of question, then fill it in."""
    builder = _opened(context, request)
    kind = request.GET.get("kind", "")
    if kind not in KINDS:
        return _kinds_page(builder)
    form = _question_form(builder, kind, None, {})
    return _question_page(builder, kind, form, _("Add a question"))


def _kinds_page(builder: Builder) -> dict[str, Any]:
    here = f"{builder.url}/add?kind="
    offered = [
        (f"{here}{key}", words, hint)
        for key, (words, hint) in KINDS.items()
        if key != forms.GROUP or builder.offered
    ]
    return {
        "title": _("Add a question"),
        "kicker": builder.model.name,
        "crumbs": _crumbs(builder, (None, _("Add a question"))),
        "kinds": offered,
        "groups_url": None
        if builder.offered
        else f"/{builder.request.tenant.slug}/question-groups",
        "form": None,
    }


def _question_form(builder: Builder, kind: str, key: str | None, values: Mapping[str, Any]) -> Any:
    targets = building.targets(builder.questions, builder.groups, key)
    return make_form(
        builder.request,
        forms.question_form(kind, targets, builder.offered),
        submit=_("Save as a draft"),
        values={**values, SEEN: builder.number},
        name="question",
        cancel_url=f"{builder.url}#q-{key}" if key else builder.url,
    )


def _question_page(
    builder: Builder,
    kind: str,
    form: Any,
    title: Any,
    shown: Questions | None = None,
    kinds: Any = (),
) -> dict[str, Any]:
    return {
        "title": title,
        "kicker": KINDS[kind][0],
        "crumbs": _crumbs(builder, (None, title)),
        "kinds": None,
        "form": form,
        "other_kinds": kinds,
        "url": builder.url,
        "preview": _preview(builder, shown) | {"live": builder.request.path_qs},
        "field_id": field_id,
    }


@view_config(
    context=QuestionList,
    name="add",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="questions/question.jinja2",
)
def save_new(context: QuestionList, request: Any) -> Any:
    """Save a new question at the end of the form, or show how it would look there."""
    builder = _seen(context, request)
    kind = request.GET.get("kind", "")
    if kind not in KINDS:
        raise HTTPNotFound
    page = lambda form, shown: _question_page(  # noqa: E731
        builder, kind, form, _("Add a question"), shown
    )
    put = lambda new: building.added(builder.questions, new)  # noqa: E731
    return _submitted(builder, kind, None, put, page)


@view_config(
    context=QuestionList,
    name="edit",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="questions/question.jinja2",
)
def edit(context: QuestionList, request: Any) -> dict[str, Any]:
    """One question of the form."""
    builder = _opened(context, request)
    question = _asked_for(builder)
    kind = _kind(request, question)
    form = _question_form(builder, kind, question.key, forms.values_of(question))
    return _edit_page(builder, question, kind, form, None)


def _asked_for(builder: Builder) -> Question:
    return building.find(builder.questions, builder.request.GET.get("question", "")[:60])


def _kind(request: Any, question: Question) -> str:
    """The kind that is edited: another one when the address says so, but a group stays a group."""
    asked = request.GET.get("kind", "")
    if question.kind == forms.GROUP or asked not in KINDS or asked == forms.GROUP:
        return question.kind
    return str(asked)


def _edit_page(
    builder: Builder, question: Question, kind: str, form: Any, shown: Questions | None
) -> dict[str, Any]:
    others = []
    if kind != forms.GROUP:
        others = [
            (key, words, key == kind) for key, (words, _hint) in KINDS.items() if key != forms.GROUP
        ]
    page = _question_page(builder, kind, form, question.label, shown, others)
    return {**page, "key": question.key, "named": _("Edit")}


@view_config(
    context=QuestionList,
    name="edit",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="questions/question.jinja2",
)
def save_edit(context: QuestionList, request: Any) -> Any:
    """Save a changed question in its place, or show how it would look there."""
    builder = _seen(context, request)
    question = _asked_for(builder)
    kind = _kind(request, question)
    page = lambda form, shown: _edit_page(builder, question, kind, form, shown)  # noqa: E731
    put = lambda new: building.replaced(builder.questions, new)  # noqa: E731
    return _submitted(builder, kind, question, put, page)


def _submitted(
    builder: Builder,
    kind: str,
    before: Question | None,
    put: Callable[[Question], Questions],
    page: Callable[[Any, Questions | None], dict[str, Any]],
) -> Any:
    request = builder.request
    form = _question_form(builder, kind, before.key if before else None, {})
    if "look" in request.POST:
        return _look(builder, kind, before, put, page, form)
    if pressed(request, form):
        return page(form, None)

    def save(values: dict[str, Any]) -> Any:
        question, wrong = _said_question(builder, kind, values, before)
        if question is not None:
            after = put(question)
            wrong = _faults(builder, after, question)
            if not wrong:
                words = _("“${label}” is saved in the draft.", mapping={"label": question.label})
                return builder.saved(builder.save(after), words, question.key)
        for path, message in wrong:
            form.refuse_at(path, message)
        request.response.status_int = 400
        return page(form, None)

    return handle_form_submission(request, form, save, lambda: page(form, None))


def _said_question(
    builder: Builder, kind: str, values: Mapping[str, Any], before: Question | None
) -> tuple[Question | None, forms.Wrong]:
    """The question that was filled in; a new one gets a key of its words."""
    if before is not None:
        return forms.question_said(kind, values, before.key, before)
    taken = {each.key for each in builder.questions}
    return forms.question_said(kind, values, key_for(values["label"], taken, "question"), None)


def _look(
    builder: Builder,
    kind: str,
    before: Question | None,
    put: Callable[[Question], Questions],
    page: Callable[[Any, Questions | None], dict[str, Any]],
    form: Any,
) -> Any:
    """Show the form with the question as it is being written; nothing is stored."""
    request = builder.request
    sent = [(name, value) for name, value in request.POST.items() if name != "look"]
    shown: Questions | None = None
    with suppress(deform.ValidationFailure, DomainError):
        question, _wrong = _said_question(builder, kind, form.validate(sent), before)
        shown = put(question) if question is not None else None
    form.take_unfinished(sent)
    if "HX-Request" in request.headers:
        live = {"live": request.path_qs}
        part = {"preview": _preview(builder, shown) | live, "field_id": field_id}
        return render_to_response("questions/preview.jinja2", part, request=request)
    return page(form, shown)


def _faults(builder: Builder, after: Questions, question: Question) -> forms.Wrong:
    """What the change would break, at the field of this question or with another's words."""
    labels = {each.key: each.label for each in after}
    wrong: forms.Wrong = []
    for where, what in building.new_faults(builder.questions, after, builder.groups):
        found = _FAULT.match(where)
        key, part = found.groups() if found else ("", "")
        if key == question.key:
            field = forms.FAULT_FIELDS.get(part, "label")
            wrong.append(((field,), f"{what[:1].upper()}{what[1:]}."))
        else:
            wrong.append((("",), f"“{labels.get(key, key)}”: {what}."))
    return wrong


# --- places, going, coming back -------------------------------------------------------------------


def _change(
    context: QuestionList, request: Any, change: Callable[[Builder], tuple[Questions, Any, str]]
) -> Any:
    builder = _seen(context, request)
    try:
        after, words, at = change(builder)
        if after == builder.questions:
            return HTTPSeeOther(location=f"{builder.url}#q-{at}")
        return builder.saved(builder.save(after), words, at)
    except DomainError as error:
        start_over(request)
        request.flash("error", error.message)
        return HTTPSeeOther(location=builder.url)


def _named(request: Any) -> str:
    return str(request.POST.get("question", ""))[:60]


@view_config(context=QuestionList, name="move", permission=P.SERVICE_EDIT, request_method="POST")
def move(context: QuestionList, request: Any) -> Any:
    """Move a question up or down by one."""
    key, _sep, way = _named(request).partition(" ")
    steps = {"up": -1, "down": 1}
    if way not in steps:
        raise HTTPNotFound

    def change(builder: Builder) -> tuple[Questions, Any, str]:
        label = building.find(builder.questions, key).label
        after = building.moved(builder.questions, key, steps[way])
        place = next(number for number, each in enumerate(after, 1) if each.key == key)
        told_ = {"label": label, "place": place}
        return after, _("“${label}” is number ${place} now.", mapping=told_), key

    return _change(context, request, change)


@view_config(context=QuestionList, name="remove", permission=P.SERVICE_EDIT, request_method="POST")
def remove(context: QuestionList, request: Any) -> Any:
    """Take a question out of the form; what was answered to it stays with its request."""
    key = _named(request)

    def change(builder: Builder) -> tuple[Questions, Any, str]:
        label = building.find(builder.questions, key).label
        after = building.removed(builder.questions, key)
        words = _("“${label}” is taken out. Undo brings it back.", mapping={"label": label})
        return after, words, ""

    return _change(context, request, change)


@view_config(context=QuestionList, name="undo", permission=P.SERVICE_EDIT, request_method="POST")
def undo(context: QuestionList, request: Any) -> Any:
    """Make the draft what it was before its last change; once more takes that back, too."""
    builder = _seen(context, request)
    before = _before(builder)
    if before is None:
        raise HTTPNotFound
    saved = versions.bring_back(builder.session, builder.kind, builder.key, before, now=request.now)
    return builder.saved(saved, _("The last change is undone."))


# --- the words of a language ----------------------------------------------------------------------


def _language(request: Any) -> Any:
    language = str(request.params.get("language", ""))
    if language not in other_languages(request):
        raise HTTPNotFound
    return language


def _translation_page(builder: Builder, language: str, form: Any) -> dict[str, Any]:
    request = builder.request
    return {
        "title": builder.model.name,
        "language_name": said(LANGUAGES, language),
        "original_language": said(LANGUAGES, OWN_LANGUAGE),
        "crumbs": _crumbs(builder, (None, said(LANGUAGES, language))),
        "others": [
            (f"{builder.url}/translate?language={each}", said(LANGUAGES, each), each == language)
            for each in other_languages(request)
        ],
        "form": form,
        "empty": not builder.questions,
        "url": builder.url,
    }


def _translation_form(builder: Builder, language: str) -> Any:
    values = forms.translation_values(builder.questions, language, builder.group)
    return make_form(
        builder.request,
        forms.translation_form(builder.questions, language, builder.group),
        submit=_("Save as a draft"),
        values={**values, SEEN: builder.number},
        name="words",
        cancel_url=builder.url,
    )


@view_config(
    context=QuestionList,
    name="translate",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="questions/translate.jinja2",
)
def translate(context: QuestionList, request: Any) -> dict[str, Any]:
    """The words of the form beside those of another language."""
    language = _language(request)
    builder = _opened(context, request)
    return _translation_page(builder, language, _translation_form(builder, language))


@view_config(
    context=QuestionList,
    name="translate",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="questions/translate.jinja2",
)
def save_translation(context: QuestionList, request: Any) -> Any:
    """Save the words of a language in the draft."""
    language = _language(request)
    builder = _seen(context, request)
    form = _translation_form(builder, language)
    again = lambda: _translation_page(builder, language, form)  # noqa: E731

    def save(values: dict[str, Any]) -> Any:
        words, wrong = forms.words_said(builder.questions, values)
        if wrong:
            for path, message in wrong:
                form.refuse_at(path, message)
            request.response.status_int = 400
            return again()
        after = building.translated(builder.questions, language, words)
        more = {}
        if builder.group is not None:
            more["translation"] = building.renamed(
                builder.group,
                language,
                values.get("name") or "",
            )
        saved = builder.save(after, **more)
        return builder.saved(
            saved,
            _("${language} is saved in the draft.", mapping={"language": _said(request, language)}),
        )

    return handle_form_submission(request, form, save, again)


def _said(request: Any, language: str) -> str:
    return translated(request, said(LANGUAGES, language))


# --- groups ---------------------------------------------------------------------------------------


@view_config(
    context=QuestionList,
    name="name",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="questions/name.jinja2",
)
def name(context: QuestionList, request: Any) -> dict[str, Any]:
    """What a group is called."""
    builder = _opened(context, request)
    return _name_page(builder, _name_form(builder))


def _name_form(builder: Builder) -> Any:
    if builder.group is None:
        raise HTTPNotFound
    return make_form(
        builder.request,
        forms.name_form(new=False),
        submit=_("Save as a draft"),
        values={"name": builder.group.name, SEEN: builder.number},
        name="name",
        cancel_url=builder.url,
    )


def _name_page(builder: Builder, form: Any) -> dict[str, Any]:
    return {
        "title": _("Rename the group"),
        "lead": None,
        "crumbs": _crumbs(builder, (None, _("Rename"))),
        "form": form,
    }


@view_config(
    context=QuestionList,
    name="name",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="questions/name.jinja2",
)
def save_name(context: QuestionList, request: Any) -> Any:
    """Give a group another name; its key stays."""
    builder = _seen(context, request)
    form = _name_form(builder)

    def save(values: dict[str, Any]) -> Any:
        saved = builder.save(builder.questions, name=values["name"])
        return builder.saved(saved, _("The name is saved in the draft."))

    return handle_form_submission(request, form, save, lambda: _name_page(builder, form))
