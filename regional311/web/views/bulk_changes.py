"""Saved views of the list of requests, and changes of many requests at once with their undoing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.casework import bulk, prepared_texts, views
from regional311.casework.bulk import ACTIONS, AT_ONCE, MOST, Wanted
from regional311.casework.models import BulkChange
from regional311.database.session import scope_of
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.intake import lifecycle, queries
from regional311.notices.wording import LANGUAGES as WORDED_IN
from regional311.tenancy.once import once
from regional311.web import request_list
from regional311.web.closing import described
from regional311.web.forms import (
    Boolean,
    CheckboxWidget,
    Choice,
    HiddenWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    TextWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _, translated
from regional311.web.listing import Listing
from regional311.web.representations import csv_response, wanted
from regional311.web.spoken import own_language
from regional311.web.telling import telling
from regional311.web.tree import BulkChangeRecord, BulkChanges, Requests
from regional311.web.wording import (
    LANGUAGES,
    PRIORITIES,
    REQUEST_STATES,
    RESOLUTIONS,
    choices,
    said,
)

TITLES: Final = {
    "assign": _("Assign or sort"),
    "move": _("Move to another status"),
    "close": _("Close with words for the people"),
    "tag": _("Put a tag on"),
    "untag": _("Take a tag off"),
    "note": _("Add an internal note"),
}
STATES: Final = {
    "waiting": _("waits to be done"),
    "running": _("is being done"),
    "done": _("done"),
    "undoing": _("is being undone"),
    "undone": _("undone"),
}
SHOWN: Final = 200
"""Rows with a problem that the page shows; the CSV has all."""


# --- saved views ----------------------------------------------------------------------------------


class ViewForm(Schema):
    """A name for what the list shows."""

    query = SchemaNode(String(1000), title="", widget=HiddenWidget())
    name = SchemaNode(
        String(views.LONGEST_NAME),
        title=_("Name of the view"),
        widget=TextWidget(autocomplete="off"),
    )
    shared = SchemaNode(
        Boolean(),
        title=_("Share it with everybody who works here"),
        widget=CheckboxWidget(),
        missing=False,
    )
    default = SchemaNode(
        Boolean(), title=_("Open the list with it"), widget=CheckboxWidget(), missing=False
    )


def default_view(request: Any) -> HTTPSeeOther | None:
    """Where the list opens for this person, when the address asks for nothing."""
    if request.GET or "format" in request.GET:
        return None
    known = _views(request)
    chosen = next((each for each in known if each.default), None)
    if chosen is None:
        return None
    return HTTPSeeOther(location=_view_url(request, chosen))


def _views(request: Any) -> list[views.View]:
    found: list[views.View] | None = getattr(request, "made_views", None)
    if found is None:
        found = request.made_views = views.views(request.dbsession)
    return found


def _view_url(request: Any, each: views.View) -> str:
    return f"/{request.tenant.slug}/requests?{each.query}&view={each.id}"


def beside_list(
    request: Any, listing: Listing, *, works: bool, failed: Any = None
) -> dict[str, Any]:
    """What stands around the list of one's own requests."""
    here = f"/{request.tenant.slug}/requests"
    query = request_list.query_of(listing.values)
    current = request.GET.get("view")
    return {
        "views": [
            {
                "id": each.id,
                "name": each.name,
                "url": _view_url(request, each),
                "current": str(each.id) == current,
                "default": each.default,
                "mine": each.mine,
                "by": each.by,
            }
            for each in _views(request)
        ],
        "current_view": current,
        "everything_url": f"{here}?state=",
        "view_form": failed
        or (
            make_form(
                request,
                ViewForm(),
                submit=_("Save what the list shows"),
                name="save-view",
                action=f"{here}/save-view",
                values={"query": query},
            )
            if query
            else None
        ),
        "view_open": failed is not None,
        "default_url": f"{here}/open-with",
        "end_url": f"{here}/end-view",
        "bulk": {
            "url": f"{here}/choose",
            "query": query,
            "actions": list(TITLES.items()),
            "past_url": f"{here}/changes",
        }
        if works
        else None,
    }


@view_config(
    context=Requests,
    name="save-view",
    permission=P.REQUEST_READ,
    request_method="POST",
    renderer="requests/view.jinja2",
)
def save_view(context: Requests, request: Any) -> Any:
    """Keep what the list shows under a name."""
    here = f"/{request.tenant.slug}/requests"
    form = make_form(
        request,
        ViewForm(),
        submit=_("Save what the list shows"),
        name="save-view",
        action=f"{here}/save-view",
        cancel_url=here,
    )

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        query = request_list.query_of(request_list.values_from(request, values["query"]))
        view_id = views.save_view(
            request.dbsession,
            now=request.now,
            name=values["name"],
            query=query,
            shared=values["shared"],
            default=values["default"],
        )
        request.flash("success", _("The view is saved. Its address can be passed on."))
        return HTTPSeeOther(location=f"{here}?{query}&view={view_id}")

    return handle_form_submission(request, form, on_success, lambda: {"form": form})


@view_config(context=Requests, name="open-with", permission=P.REQUEST_READ, request_method="POST")
def open_with(context: Requests, request: Any) -> HTTPSeeOther:
    """Choose with which view the list opens."""
    asked = request.POST.get("view", "")
    views.open_with(request.dbsession, _id(asked) if asked else None)
    request.flash("success", _("The list opens so from now on."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/requests")


@view_config(context=Requests, name="end-view", permission=P.REQUEST_READ, request_method="POST")
def end_view(context: Requests, request: Any) -> HTTPSeeOther:
    """End a view of one's own."""
    name = views.end_view(request.dbsession, _id(request.POST.get("view", "")), now=request.now)
    request.flash("success", _("The view “${name}” has ended.", mapping={"name": name}))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/requests?state=")


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(_("Choose one of those listed."), field="view") from None


# --- many at once ---------------------------------------------------------------------------------


class AssignMany(Schema):
    """Who works them, where, how urgently."""

    assignee = SchemaNode(String(40), title=_("Worked by"), missing=None)
    queue = SchemaNode(String(100), title=_("Queue"), missing=None)
    priority = SchemaNode(
        Choice(lifecycle.PRIORITIES),
        title=_("Priority"),
        widget=SelectWidget(values=choices(PRIORITIES), empty=_("As it is")),
        missing=None,
    )

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        request = kw["request"]
        tell = telling(request)
        people = [(str(each.person_id), each.name) for each in request_list.colleagues(request)]
        queues = list(tell.published.queues(tell.slug).items())
        self["assignee"].typ = Choice([key for key, _name in people])
        self["assignee"].widget = SelectWidget(values=people, empty=_("As it is"))
        self["queue"].typ = Choice([key for key, _name in queues])
        self["queue"].widget = SelectWidget(values=queues, empty=_("As it is"))


class MoveMany(Schema):
    """To which status, and what the people are told."""

    state = SchemaNode(
        Choice(bulk.MOVES),
        title=_("Status"),
        widget=RadioWidget(values=choices(REQUEST_STATES, bulk.MOVES)),
    )
    message = SchemaNode(
        String(2000, multiline=True),
        title=_("Words for the people"),
        widget=TextAreaWidget(rows=3, maxlength=2000),
        missing=None,
    )


class CloseMany(Schema):
    """How they were resolved, and what the people are told."""

    resolution = SchemaNode(
        Choice(lifecycle.RESOLUTIONS),
        title=_("How they were resolved"),
        description=_("Left open, it is that of the text."),
        widget=SelectWidget(values=choices(RESOLUTIONS)),
        missing=None,
    )
    text = SchemaNode(
        String(40),
        title=_("Text"),
        description=_("Each person is written to in their own language, where the text has it."),
        missing=None,
    )
    message = SchemaNode(
        String(2000, multiline=True),
        title=_("Words for the people"),
        description=_(
            "Each of them reads this as you write it, above the text if you pick one. Say plainly"
            " what was done."
        ),
        widget=TextAreaWidget(rows=3, maxlength=2000),
        missing=None,
    )


class TagMany(Schema):
    """A tag."""

    tag = SchemaNode(String(40), title=_("Tag"), widget=TextWidget(autocomplete="off"))


class NoteMany(Schema):
    """A note for colleagues."""

    note = SchemaNode(
        String(4000, multiline=True),
        title=_("Note"),
        description=_("Staff of this partner only. It never leaves."),
    )


_FORMS: Final = {
    "assign": AssignMany,
    "move": MoveMany,
    "close": CloseMany,
    "tag": TagMany,
    "untag": TagMany,
    "note": NoteMany,
}


class Chosen:
    """The requests that are meant: those ticked, or all that the filters match."""

    def __init__(self, request: Any) -> None:
        post = request.POST
        self.all = post.get("which") == "all"
        self.query = post.get("query", "")[:1000]
        self.numbers = [
            each.strip()
            for value in post.getall("chosen")
            for each in value.split(",")
            if each.strip()
        ][: queries.PAGE * 8]
        cleared = P.REQUEST_WORK in request.identity.permissions(request.tenant.id)
        if self.all:
            values = request_list.values_from(request, self.query)
            found = queries.requests(
                request.dbsession, **request_list.asked(request, values), limit=MOST + 1
            )
            if found.after is not None or len(found.rows) > MOST:
                raise bulk.TooMany(
                    _(
                        "More than ${most} requests match. Filter them further.",
                        mapping={"most": MOST},
                    ),
                    field="action",
                )
            self.rows = [(each.id, each.public_id) for each in found.rows]
        else:
            self.rows = queries.numbered_requests(request.dbsession, self.numbers, cleared=cleared)
        if not self.rows:
            raise bulk.NothingChosen(_("Choose at least one request in the list."), field="chosen")
        self.asked: list[prepared_texts.Asked] = []
        self.texts: dict[str, prepared_texts.Prepared] = {}

    def offer(self, session: Any) -> None:
        """Find who asked in which language, and the texts that suit all; two statements."""
        self.asked = prepared_texts.asked(
            session, [request_id for request_id, _number in self.rows]
        )
        services = {each.service_key for each in self.asked}
        self.texts = {
            str(each.id): each
            for each in prepared_texts.texts(session, "closing")
            if each.service_key is None or services == {each.service_key}
        }


def _action(request: Any) -> str:
    action = request.POST.get("action", "")
    if action not in ACTIONS:
        raise InvalidInput(_("Choose what is done with them."), field="action")
    return str(action)


def _form(request: Any, action: str, chosen: Chosen) -> Any:
    schema = _FORMS[action]()
    if action == "close":
        chosen.offer(request.dbsession)
        _offer(request, schema, chosen)
    hidden = {
        "action": action,
        "which": "all" if chosen.all else "chosen",
        "query": chosen.query,
        "chosen": "" if chosen.all else ",".join(number for _id, number in chosen.rows),
        "many": str(len(chosen.rows)),
    }
    for name in hidden:
        schema.add(SchemaNode(String(4000), name=name, title="", widget=HiddenWidget(), missing=""))
    here = f"/{request.tenant.slug}/requests"
    return make_form(
        request,
        schema,
        submit=TITLES[action],
        values=hidden,
        name="change",
        action=f"{here}/change",
        cancel_url=f"{here}?{chosen.query or 'state='}",
        once=True,
    )


def _offer(request: Any, schema: Any, chosen: Chosen) -> None:
    if not chosen.texts:
        del schema["text"]
        return
    schema["text"].typ = Choice(list(chosen.texts))
    schema["text"].widget = SelectWidget(
        values=[
            (key, described(request, each, *(said(LANGUAGES, code) for code in _codes(each))))
            for key, each in chosen.texts.items()
        ],
        empty=_("None"),
    )


def _codes(text: prepared_texts.Prepared) -> list[str]:
    return [each for each in WORDED_IN if each in text.words]


def _page(request: Any, action: str, chosen: Chosen, form: Any) -> dict[str, Any]:
    many = len(chosen.rows)
    return {
        "title": TITLES[action],
        "many_said": request.localizer.pluralize(
            "${num} request", "${num} requests", many, domain="regional311", mapping={"num": many}
        ),
        "numbers": [number for _id, number in chosen.rows[:10]],
        "more": max(0, many - 10),
        "letters": action in ("move", "close"),
        "spoken": _spoken(request, chosen),
        "texts": [
            {
                "name": each.name,
                "words": [(code, said(LANGUAGES, code), each.words[code]) for code in _codes(each)],
            }
            for each in chosen.texts.values()
        ],
        "form": form,
        "crumbs": [
            (f"/{request.tenant.slug}/requests", _("Requests")),
            (None, TITLES[action]),
        ],
    }


def _spoken(request: Any, chosen: Chosen) -> str:
    """How many of those who asked speak which language."""
    many: Counter[str | None] = Counter()
    for each in chosen.asked:
        many[each.language] += each.number
    return ", ".join(
        f"{request.localizer.translate(words)}: {number}"
        for language, number in many.most_common()
        for words in [said(LANGUAGES, language) if language else _("Not known")]
    )


@view_config(
    context=Requests,
    name="choose",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/change.jinja2",
)
def choose(context: Requests, request: Any) -> Any:
    """Say which requests are meant; nothing is changed yet."""
    action = _action(request)
    try:
        chosen = Chosen(request)
    except InvalidInput as error:
        request.flash("error", error.message)
        query = request.POST.get("query", "")[:1000] or "state="
        return HTTPSeeOther(location=f"/{request.tenant.slug}/requests?{query}")
    return _page(request, action, chosen, _form(request, action, chosen))


@view_config(
    context=Requests,
    name="change",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/change.jinja2",
)
def change(context: Requests, request: Any) -> Any:
    """Change them: a few at once, many by the worker."""
    action = _action(request)
    chosen = Chosen(request)
    form = _form(request, action, chosen)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        session = request.dbsession

        def start() -> dict[str, Any]:
            if values["many"] != str(len(chosen.rows)):
                raise InvalidInput(
                    _(
                        "The list has changed meanwhile: ${many} match now. Look again.",
                        mapping={"many": len(chosen.rows)},
                    )
                )
            wanted = _wanted(request, action, values, chosen)
            bulk_id = bulk.ask(session, wanted, chosen.rows, now=request.now)
            if len(chosen.rows) <= AT_ONCE:
                followers = telling(request).followers()
                bulk.go_on(session, bulk_id, now=request.now, followers=followers, most=AT_ONCE + 1)
            return {"id": str(bulk_id)}

        content = {name: value for name, value in values.items() if name != "many"}
        made = once(session, f"bulk:{form_key(request)}", content, start)
        here = f"/{request.tenant.slug}/requests"
        back = urlencode({"back": chosen.query})
        return HTTPSeeOther(location=f"{here}/changes/{made['id']}?{back}")

    return handle_form_submission(
        request, form, on_success, lambda: _page(request, action, chosen, form)
    )


def _wanted(request: Any, action: str, values: dict[str, Any], chosen: Chosen) -> Wanted:
    assignee = values.get("assignee")
    wanted = Wanted(
        action,
        assignee_id=UUID(assignee) if assignee else None,
        **{
            name: values.get(name)
            for name in ("queue", "priority", "state", "resolution", "message", "tag", "note")
        },
    )
    text = chosen.texts.get(values.get("text") or "")
    if text is None:
        return wanted
    tell = telling(request)
    return replace(
        wanted,
        resolution=wanted.resolution or text.resolution,
        words=text.words,
        own=own_language(tell.published.tenants[tell.slug]),
    )


@view_config(
    context=BulkChanges,
    permission=P.REQUEST_WORK,
    request_method="GET",
    renderer="requests/changes.jinja2",
)
def changes(context: BulkChanges, request: Any) -> dict[str, Any]:
    """What this person changed so, the latest first."""
    tell, scope = telling(request), scope_of(request.dbsession)
    rows = request.dbsession.execute(
        select(
            BulkChange.id, BulkChange.action, BulkChange.state, BulkChange.total, BulkChange.made_at
        )
        .where(BulkChange.tenant_id == scope.tenant_id, BulkChange.person_id == scope.person_id)
        .order_by(BulkChange.made_at.desc(), BulkChange.id.desc())
        .limit(50)
    )
    here = f"/{tell.slug}/requests"
    return {
        "rows": [
            {
                "url": f"{here}/changes/{row.id}",
                "title": TITLES[row.action],
                "when": tell.when(row.made_at),
                "state": f"{row.total} · {translated(request, STATES[row.state])}",
            }
            for row in rows
        ],
        "crumbs": [(here, _("Requests")), (None, _("Changes of several at once"))],
    }


@view_config(
    context=BulkChangeRecord,
    permission=P.REQUEST_WORK,
    request_method="GET",
    renderer="requests/changed.jinja2",
)
def changed(context: BulkChangeRecord, request: Any) -> Any:
    """How far a change is, what could not be changed and why, and undoing it."""
    tell, found = telling(request), context.record
    if wanted(request) == "csv":
        rows = bulk.rows_of(request.dbsession, found.id, limit=MOST)
        return csv_response(
            request,
            "changed.csv",
            ["number", "result", "why"],
            [[each.number, each.result, each.why] for each in rows],
        )
    far = bulk.progress(request.dbsession, found.id, found.total)
    undoing = found.state in ("undoing", "undone")
    problem = "kept" if undoing else "refused"
    problems = bulk.rows_of(request.dbsession, found.id, results=(problem,), limit=SHOWN)
    here = f"/{tell.slug}/requests"
    done = far.many("undone", "kept") if undoing else far.total - far.many("waiting")
    under_way = found.state in ("waiting", "running", "undoing")
    page = {
        "title": TITLES[found.action],
        "here": f"{here}/changes/{found.id}",
        "list_url": here,
        "back_url": f"{here}?{request.GET.get('back', '')[:1000] or 'state='}",
        "under_way": under_way,
        "total": far.many("changed", "undone", "kept") if undoing else far.total,
        "done": done,
        "said": _said(found, far, done),
        "problems": problems,
        "problems_more": far.many(problem) > len(problems),
        "problems_title": _("Not undone: changed since")
        if undoing
        else _("Those that could not be changed"),
        "undo_url": f"{here}/changes/{found.id}/undo"
        if found.state == "done"
        and found.person_id == request.identity.person_id
        and far.many("changed")
        and found.undo_until is not None
        and request.now < found.undo_until
        else None,
        "undo_until": tell.when(found.undo_until),
        "crumbs": [
            (here, _("Requests")),
            (f"{here}/changes", _("Changes of several at once")),
            (None, TITLES[found.action]),
        ],
    }
    if "HX-Request" in request.headers:
        request.override_renderer = "requests/changed_part.jinja2"
    return page


def _said(found: Any, far: bulk.Progress, done: int) -> Any:
    if found.state == "undone":
        return _("${many} are as they were before.", mapping={"many": far.many("undone")})
    if found.state == "undoing":
        return _("It is being undone: ${done} so far.", mapping={"done": done})
    if found.state == "done":
        return _(
            "${many} of ${total} changed.",
            mapping={"many": far.many("changed"), "total": far.total},
        )
    return _("${done} of ${total} done so far.", mapping={"done": done, "total": far.total})


@view_config(
    context=BulkChangeRecord, name="undo", permission=P.REQUEST_WORK, request_method="POST"
)
def undo(context: BulkChangeRecord, request: Any) -> HTTPSeeOther:
    """Undo a change for all that nobody has touched since."""
    session, found = request.dbsession, context.record
    bulk.undo(session, found.id, now=request.now)
    if found.total <= AT_ONCE:
        followers = telling(request).followers()
        bulk.go_on(session, found.id, now=request.now, followers=followers, most=AT_ONCE + 1)
    return HTTPSeeOther(location=f"/{request.tenant.slug}/requests/changes/{found.id}")
