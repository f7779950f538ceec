"""Many services at once: as a spreadsheet out and in again, or one change of several.

Both show what would change before anything does, make drafts that belong together, and can be
taken back together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.response import Response
from pyramid.view import view_config

from regional311.catalog import sheets, together, versions
from regional311.catalog.content import Service
from regional311.catalog.kinds import known_of, named_things
from regional311.catalog.sheets import MOST_BYTES, MOST_ROWS, TITLE, Wanted
from regional311.database.ids import new_id
from regional311.errors import DomainError, InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.referral.snapshot import invalidate
from regional311.spreadsheets import SheetRefused, read_table, write_csv, write_xlsx
from regional311.web.catalogue_wording import FIELDS, STATES, Wording
from regional311.web.forms import start_over
from regional311.web.i18n import _, translated
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import Services
from regional311.web.views.catalogue_editing import other_languages
from regional311.web.views.catalogue_versions import state_of, version_url
from regional311.web.views.services import keys_asked_for
from regional311.web.wording import kind as tag_of
from regional311.web.wording import said

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_AT_ONCE = 500
"""Services of one change."""

SHOWN = 200
"""Rows of each kind that a dry run shows; all of them are counted."""


def _url(request: Any, *more: str) -> str:
    return "/".join(("", request.tenant.slug, "services", *more))


# --- spreadsheets ---------------------------------------------------------------------------------


@view_config(context=Services, name="export", permission=P.SERVICE_EDIT, request_method="GET")
def export(context: Services, request: Any) -> Response:
    """The services as XLSX, or as CSV with `?as=csv`; filters of the list count here too."""
    keys = keys_asked_for(request)
    there = together.standing(request.dbsession)
    names = sheets.headings(other_languages(request))
    rows = [
        sheets.written(each.content, each.number, names)
        for key, each in sorted(there.items())
        if not each.ended and (keys is None or key in keys)
    ]
    as_csv = request.GET.get("as") == "csv"
    body = write_csv(names, rows) if as_csv else write_xlsx(TITLE, names, rows)
    response = Response(body, content_type="text/csv" if as_csv else XLSX)
    if as_csv:
        response.charset = "utf-8"
    name = f"services-{request.tenant.slug}.{'csv' if as_csv else 'xlsx'}"
    response.content_disposition = f'attachment; filename="{name}"'
    return response


@view_config(
    context=Services,
    name="sheet",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="catalogue/sheet.jinja2",
)
def sheet(context: Services, request: Any) -> dict[str, Any]:
    """Where an edited spreadsheet is taken in, and what one that was sent would change."""
    asked = request.GET.get("upload")
    if asked is None:
        return _sheet_page(request)
    return _dry_run_page(request, together.kept_sheet(request.dbsession, _as_id(asked)))


@view_config(
    context=Services,
    name="sheet",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="catalogue/sheet.jinja2",
)
def take_in(context: Services, request: Any) -> Any:
    """Read a spreadsheet and show what it would change; or apply one that was shown."""
    if "upload" in request.POST:
        return _apply(request, _as_id(request.POST["upload"]))
    sent = request.POST.get("sheet")
    content = sent.file.read(MOST_BYTES + 1) if hasattr(sent, "file") else b""
    if not content:
        request.response.status_int = 400
        return _sheet_page(request, problem=_("Choose a file."))
    try:
        rows = read_table(content, sheet=TITLE, most_bytes=MOST_BYTES, most_rows=MOST_ROWS)
        read = sheets.read_sheet(rows)
    except SheetRefused as refused:
        start_over(request)
        request.response.status_int = 400
        return _sheet_page(request, problem=refused.message)
    name = str(sent.filename).replace("\\", "/").rpartition("/")[2][:200] or "sheet"
    upload = together.keep_sheet(request.dbsession, read, name, now=request.now)
    return HTTPSeeOther(location=f"{_url(request, 'sheet')}?upload={upload}")


def _apply(request: Any, upload_id: UUID) -> Any:
    upload = together.kept_sheet(request.dbsession, upload_id)
    may_end = may(request, P.SERVICE_PUBLISH)
    try:
        done = together.apply_sheet(
            request.dbsession,
            upload,
            now=request.now,
            today=telling(request).today,
            without_broken="rest" in request.POST,
            end_gone=may_end and "gone" in request.POST,
        )
    except DomainError as refused:
        start_over(request)
        request.response.status_int = 400
        return _dry_run_page(request, upload, problem=refused.message)
    if done.ended:
        invalidate()
    return _told(request, upload.id, done)


def _told(request: Any, batch: UUID, done: together.Applied) -> HTTPSeeOther:
    request.flash(
        "success",
        _counted(request, "${num} draft was made.", "${num} drafts were made.", done.drafts),
    )
    if done.ended:
        ended = _counted(request, "${num} service ended.", "${num} services ended.", done.ended)
        request.flash("success", ended)
    if done.to_choose:
        request.flash(
            "warning",
            _(
                "Somebody else changed some of the same; choose between the two for: ${keys}.",
                mapping={"keys": ", ".join(done.to_choose[:20])},
            ),
        )
    return HTTPSeeOther(location=f"{_url(request, 'changes')}?batch={batch}")


def _counted(request: Any, one: str, many: str, number: int) -> str:
    """Say how many."""
    said: str = request.localizer.pluralize(
        one, many, number, domain="regional311", mapping={"num": number}
    )
    return said


def _as_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise HTTPNotFound from None


def _sheet_page(request: Any, **values: Any) -> dict[str, Any]:
    return {
        "problem": None,
        "dry_run": None,
        "url": _url(request),
        "most": MOST_BYTES // 1_000_000,
        "most_rows": MOST_ROWS,
        "columns": [(each.name, each.meaning) for each in sheets.COLUMNS],
        "languages": other_languages(request),
        "words": sheets.WORDS,
        **values,
    }


def _dry_run_page(request: Any, upload: together.Upload, problem: Any = None) -> dict[str, Any]:
    found = together.dry_run(request.dbsession, upload.sheet)
    words = Wording(request, named_things(request.dbsession))
    return _sheet_page(
        request,
        problem=problem,
        dry_run={
            "upload": upload.id,
            "name": upload.name,
            "new": [_row(words, each) for each in found.new[:SHOWN]],
            "changed": [_row(words, each) for each in found.changed[:SHOWN]],
            "broken": found.broken[:SHOWN],
            "gone": found.gone[:SHOWN],
            "counts": {
                "new": len(found.new),
                "changed": len(found.changed),
                "same": found.same,
                "gone": len(found.gone),
                "broken": found.rows_broken,
            },
            "anything": bool(found.new or found.changed or found.gone),
        },
        may_end=may(request, P.SERVICE_PUBLISH),
    )


def _row(words: Wording, wanted: Wanted) -> dict[str, Any]:
    """A row that says something new: what changes, as the service would be then."""
    before = wanted.before or {}
    return {
        "row": wanted.row,
        "key": wanted.key,
        "name": wanted.content.get("name", wanted.key),
        "changes": [] if wanted.before is None else words.changes(Service, before, wanted.after),
        "overlaps": [words.path(each.field) for each in wanted.overlaps],
    }


# --- several at once ------------------------------------------------------------------------------

HOWS = {
    "set": _("is set to"),
    "add": _("gets these lines added"),
    "remove": _("gets these lines taken out"),
    "replace": _("has words replaced by"),
}


@view_config(
    context=Services,
    name="bulk",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="catalogue/bulk.jinja2",
)
def several(context: Services, request: Any) -> dict[str, Any]:
    """One change of several services, or of all that fit the filters of the list (`?all`)."""
    keys = request.GET.getall("key")
    if "all" in request.GET:
        tell = telling(request)
        every = {each.key for each in tell.published.directory.of(tell.slug, tell.today)}
        keys = sorted(keys_asked_for(request) or every)[:MOST_AT_ONCE]
    return _bulk_page(request, keys)


@view_config(
    context=Services,
    name="bulk",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="catalogue/bulk.jinja2",
)
def change(context: Services, request: Any) -> Any:
    """Show what one change would do to each service; make drafts of it when told to."""
    keys = request.POST.getall("key")[:MOST_AT_ONCE]
    asked = {
        name: str(request.POST.get(name, "")).replace("\r\n", "\n").strip()
        for name in ("field", "how", "value", "find")
    }
    if asked["field"] not in sheets.ALTERED or asked["how"] not in HOWS or not keys:
        request.response.status_int = 400
        return _bulk_page(
            request, keys, asked=asked, problem=_("Choose services, a field, and how it changes.")
        )
    there = together.standing(request.dbsession)
    named = named_things(request.dbsession)
    known = known_of(named)
    words = Wording(request, named)
    rows, wanted = [], []
    for key in dict.fromkeys(keys):
        if key not in there:
            continue
        now = there[key]
        row = {"key": key, "name": now.content["name"], "changes": [], "problem": None}
        try:
            content = sheets.altered(
                now.content, asked["field"], asked["how"], asked["value"], asked["find"]
            )
            wrong = sheets.row_problems(content, known)
        except InvalidInput as refused:
            wrong = [(asked["field"], refused.message)]
            content = now.content
        if wrong:
            row["problem"] = wrong[0][1]
        else:
            row["changes"] = words.changes(Service, now.content, content)
            if row["changes"]:
                wanted.append((now.number, content))
        rows.append(row)
    if "apply" not in request.POST or not wanted:
        return _bulk_page(request, keys, asked=asked, preview=rows, count=len(wanted))
    batch = new_id()
    field = translated(request, FIELDS.get(asked["field"], asked["field"]))
    note = f"{field}, {len(wanted)} services together"
    done = together.change_several(
        request.dbsession, wanted, batch=batch, note=note, now=request.now
    )
    return _told(request, batch, done)


def _bulk_page(request: Any, keys: Iterable[str], **values: Any) -> dict[str, Any]:
    there = {
        each.key: each for each in telling(request).published.directory.of(request.tenant.slug)
    }
    chosen = [there[key] for key in dict.fromkeys(keys) if key in there]
    return {
        "url": _url(request),
        "chosen": [(each.key, each.name) for each in chosen],
        "fields": [(name, FIELDS.get(name, name)) for name in sheets.ALTERED],
        "hows": list(HOWS.items()),
        "lists": sheets.LISTS,
        "asked": {"field": "", "how": "set", "value": "", "find": ""},
        "preview": None,
        "count": 0,
        "problem": None,
        **values,
    }


# --- what was changed together --------------------------------------------------------------------


@view_config(
    context=Services,
    name="changes",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="catalogue/changes.jinja2",
)
def changes(context: Services, request: Any) -> dict[str, Any]:
    """What was changed together, how far each is, and the next step for all of them."""
    return _changes_page(request, _as_id(request.GET.get("batch", "")))


@view_config(
    context=Services,
    name="changes",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="catalogue/changes.jinja2",
)
def step(context: Services, request: Any) -> Any:
    """Review, publish or take back everything that was changed together."""
    batch = _as_id(request.POST.get("batch", ""))
    asked = request.POST.get("step", "")
    session, now, today = request.dbsession, request.now, telling(request).today
    rows = [row for row in versions.in_batch(session, batch) if row.state != "superseded"]

    def review(row: Any) -> None:
        versions.review(session, row.kind, row.key, row.number, now=now)

    def publish(row: Any) -> None:
        versions.publish(session, row.kind, row.key, row.number, today=today, now=now)

    def undo(row: Any) -> None:
        versions.undo(session, row.kind, row.key, row.number, now=now)

    steps = {
        "review": (review, ("draft",), True),
        "publish": (publish, ("reviewed",), True),
        "undo": (undo, ("draft", "reviewed", "published", "retired"), False),
    }
    if asked not in steps:
        raise HTTPNotFound
    do, states, publishers_only = steps[asked]
    if publishers_only and not may(request, P.SERVICE_PUBLISH):
        raise HTTPNotFound
    done, refused = together.each_of_batch(
        session, [row for row in rows if row.state in states], do
    )
    if asked == "publish":
        invalidate()
    told = {
        "review": ("${num} was reviewed.", "${num} were reviewed."),
        "publish": ("${num} was published.", "${num} were published."),
        "undo": ("${num} was taken back.", "${num} were taken back."),
    }
    request.flash("success" if done else "info", _counted(request, *told[asked], done))
    if not refused:
        return HTTPSeeOther(location=f"{_url(request, 'changes')}?batch={batch}")
    return _changes_page(request, batch, refused={row.id: why for row, why in refused})


def _changes_page(
    request: Any, batch: UUID, refused: dict[UUID, str] | None = None
) -> dict[str, Any]:
    rows = versions.in_batch(request.dbsession, batch)
    if not rows:
        raise HTTPNotFound
    shown = [row for row in rows if row.state != "superseded"]
    states = {row.state for row in shown}
    return {
        "batch": batch,
        "url": _url(request),
        "note": rows[0].note,
        "rows": [
            {
                "name": row.called,
                "url": version_url(request, row.kind, row.key, row.number),
                "number": row.number,
                "state": said(STATES, state_of(row)),
                "tag": tag_of(STATES, state_of(row)),
                "problem": (refused or {}).get(row.id),
            }
            for row in shown
        ],
        "may_publish": may(request, P.SERVICE_PUBLISH),
        "has_drafts": "draft" in states,
        "has_reviewed": "reviewed" in states,
        "can_undo": bool(states - {"discarded"}),
    }
