"""Groups of questions that several forms of a partner share: the list, and a new one."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.catalog import versions
from regional311.catalog.content import Question
from regional311.catalog.forms import groups_used
from regional311.catalog.models import QuestionGroup
from regional311.catalog.queries import keyed_rows, said_group
from regional311.identity.permissions import Permissions as P
from regional311.keys import key_for
from regional311.strict import from_plain
from regional311.web import question_forms as forms
from regional311.web.catalogue_wording import STATES
from regional311.web.forms import handle_form_submission, make_form
from regional311.web.i18n import _
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import (
    CATALOGUE_VIEWS,
    RESERVED,
    QuestionGroupRecord,
    QuestionGroups,
    QuestionList,
)
from regional311.web.views.catalogue_versions import state_of, url_of, version_url
from regional311.web.views.form_builder import questions
from regional311.web.wording import kind as tag_of
from regional311.web.wording import said


@view_config(
    context=QuestionGroups,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="questions/groups.jinja2",
)
def groups(context: QuestionGroups, request: Any) -> dict[str, Any]:
    """Every group with what it asks and where it is put in."""
    tell = telling(request)
    may_edit = may(request, P.SERVICE_EDIT)
    drafts: dict[str, list[Any]] = {}
    for row in versions.open_versions(request.dbsession, context.kind) if may_edit else ():
        drafts.setdefault(row.key, []).append(row)
    found = {
        row.key: said_group(row)
        for row in keyed_rows(request.dbsession, QuestionGroup)
        if row.ended_on is None or row.ended_on > tell.today
    }
    used = _used(tell, found)
    rows = [
        _row(
            request,
            key,
            group.name,
            [each.label for each in group.question],
            used,
            drafts.pop(key, []),
        )
        for key, group in found.items()
    ]
    rows += [
        _row(request, key, waiting[-1].called, [], used, waiting) for key, waiting in drafts.items()
    ]
    return {
        "groups": sorted(rows, key=lambda row: (row["name"].casefold(), row["url"])),
        "new_url": f"/{tell.slug}/question-groups/new" if may_edit else None,
    }


def _used(tell: Telling, found: dict[str, Any]) -> dict[str, list[str]]:
    used: dict[str, list[str]] = {}
    for each in tell.published.directory.of(tell.slug, tell.today):
        listed = [from_plain(Question, one) for one in each.details.get("question") or ()]
        for key in groups_used(listed, found):
            used.setdefault(key, []).append(each.name)
    return used


def _row(
    request: Any,
    key: str,
    name: str,
    asked: list[str],
    used: dict[str, list[str]],
    waiting: list[Any],
) -> dict[str, Any]:
    tell = telling(request)
    return {
        "name": name,
        "url": url_of(request, "question_group", key, "questions"),
        "asked": asked,
        "used": used.get(key, []),
        "versions": [
            (
                version_url(request, "question_group", key, each.number),
                said(STATES, state_of(each)),
                tag_of(STATES, state_of(each)),
                tell.day(each.effective_on),
            )
            for each in waiting
        ],
    }


@view_config(
    context=QuestionGroupRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="questions/index.jinja2",
)
def group(context: QuestionGroupRecord, request: Any) -> Any:
    """A group is what it asks."""
    return questions(QuestionList(request, "questions", context), request)


def _form(request: Any) -> Any:
    return make_form(
        request,
        forms.name_form(new=True),
        submit=_("Save as a draft"),
        name="group",
        cancel_url=f"/{request.tenant.slug}/question-groups",
    )


def _page(request: Any, form: Any) -> dict[str, Any]:
    return {
        "title": _("New group of questions"),
        "lead": _("Give it a name, then add its questions. Forms put it in where they need it."),
        "crumbs": [
            (f"/{request.tenant.slug}/question-groups", _("Question groups")),
            (None, _("New group")),
        ],
        "form": form,
    }


@view_config(
    context=QuestionGroups,
    name="new",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="questions/name.jinja2",
)
def new(context: QuestionGroups, request: Any) -> dict[str, Any]:
    """The name of a new group."""
    return _page(request, _form(request))


@view_config(
    context=QuestionGroups,
    name="new",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="questions/name.jinja2",
)
def create(context: QuestionGroups, request: Any) -> Any:
    """Draft a new group; its key is made of its name."""
    form = _form(request)

    def save(values: dict[str, Any]) -> Any:
        taken = {row.key for row in keyed_rows(request.dbsession, QuestionGroup)}
        taken |= {row.key for row in versions.open_versions(request.dbsession, context.kind)}
        key = key_for(values["name"], taken | RESERVED | CATALOGUE_VIEWS, "group")
        content = {"key": key, "name": values["name"]}
        versions.save_draft(request.dbsession, context.kind, content, seen=None, now=request.now)
        request.flash("success", _("Saved as a draft. Add its first question."))
        return HTTPSeeOther(location=url_of(request, context.kind, key, "questions"))

    return handle_form_submission(request, form, save, lambda: _page(request, form))
