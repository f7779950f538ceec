"""A partner's directory as packages of HSDS: sent, looked at row by row, taken, given out."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.response import Response
from pyramid.view import view_config

from regional311.catalog.hsds import uploads
from regional311.catalog.hsds.tabular import write_zip
from regional311.config.directories import region_of, tables_of
from regional311.errors import DomainError
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.web.i18n import _
from regional311.web.representations import exported
from regional311.web.telling import telling
from regional311.web.tree import PackageRecord, Packages

STATES = {
    "waiting": (_("Being checked"), "waiting"),
    "checked": (_("Waiting for your decision"), "open"),
    "ordered": (_("Being taken in"), "waiting"),
    "taken": (_("Taken in"), "done"),
    "refused": (_("Refused"), "refused"),
    "discarded": (_("Discarded"), "neutral"),
}
VERDICTS = {
    "new": _("New"),
    "changed": _("Changed"),
    "gone": _("Gone"),
    "unchanged": _("As it was"),
    "conflict": _("Changed on both sides"),
    "broken": _("Broken"),
}
LEFT_OUT = {
    "row": _("The row is left out"),
    "value": _("The value is left out"),
    "nothing": _("Kept, and not used here"),
}
SHOWN_ROWS = 200
NAMED_ROWS = 12
"""Rows that are named beside what is wrong in them."""

_VALUES = re.compile(r"'[^']*'|\d+")
FAULTS = ("file", "row", "column", "reason", "left_out")


@view_config(
    context=Packages,
    permission=P.SERVICE_PUBLISH,
    request_method="GET",
    renderer="hsds/index.jinja2",
)
def packages(context: Packages, request: Any) -> dict[str, Any]:
    """The packages that were sent, and where another one is sent."""
    return _index(request)


@view_config(
    context=Packages,
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="hsds/index.jinja2",
)
def send(context: Packages, request: Any) -> Any:
    """Keep a file until it is checked."""
    sent = request.POST.get("package")
    content, name = b"", ""
    if hasattr(sent, "file"):
        with sent.file as file:
            content, name = file.read(uploads.MOST_BYTES + 1), str(sent.filename)
    try:
        package_id = uploads.upload(
            request.dbsession,
            name=name,
            content=content,
            bureau=request.POST.get("bureau") or None,
            feed=" ".join(str(request.POST.get("feed", "")).split())[:60],
            now=request.now,
        )
    except DomainError as refused:
        request.response.status_int = 400
        return _index(request, problem=refused.message)
    return HTTPSeeOther(location=f"{_url(request)}/{package_id}")


@view_config(context=Packages, name="export", permission=P.SERVICE_PUBLISH, request_method="GET")
def export(context: Packages, request: Any) -> Response:
    """The partner's directory as a zip of CSV tables."""
    tell, slug = telling(request), request.tenant.slug
    region = region_of(
        tell.published, request.now, f"{request.host_url}/hsds/{slug}", slug=slug, inside=True
    )
    stream = BytesIO()
    write_zip(stream, tables_of(request.dbsession, region, tell.today))
    response = Response(stream.getvalue(), content_type="application/zip")
    response.content_disposition = f'attachment; filename="{slug}-hsds.zip"'
    return response


@view_config(
    context=PackageRecord,
    permission=P.SERVICE_PUBLISH,
    request_method="GET",
    renderer="hsds/package.jinja2",
)
def package(context: PackageRecord, request: Any) -> dict[str, Any]:
    """One package: what it would change, or changed, by file and row."""
    return _page(request, context.record)


@view_config(
    context=PackageRecord,
    name="take",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="hsds/package.jinja2",
)
def take(context: PackageRecord, request: Any) -> Any:
    """Order that a package is taken in."""
    choices = {
        name.removeprefix("choice:"): value
        for name, value in request.POST.items()
        if name.startswith("choice:") and value in ("ours", "theirs")
    }
    try:
        uploads.order(
            request.dbsession,
            context.record.id,
            skip_broken=request.POST.get("skip_broken") == "true",
            choices=choices,
            now=request.now,
        )
    except uploads.StillBroken as refused:
        request.response.status_int = 400
        return _page(request, context.record, problem=refused.message)
    return HTTPSeeOther(location=f"{_url(request)}/{context.record.id}")


@view_config(
    context=PackageRecord, name="faults", permission=P.SERVICE_PUBLISH, request_method="GET"
)
def faults(context: PackageRecord, request: Any) -> Response:
    """What is wrong in a package as CSV, a line for each row, to mend the file by."""
    report = context.record.report or {}
    return exported(request, "csv", "faults.csv", FAULTS, report.get("faults", []))


@view_config(
    context=PackageRecord, name="discard", permission=P.SERVICE_PUBLISH, request_method="POST"
)
def discard(context: PackageRecord, request: Any) -> Any:
    """Let a package go."""
    uploads.discard(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("The package is discarded. Nothing was changed."))
    return HTTPSeeOther(location=_url(request))


def _url(request: Any) -> str:
    return f"/{request.tenant.slug}/hsds"


def _index(request: Any, *, problem: Any = None) -> dict[str, Any]:
    tell = telling(request)
    rows = uploads.packages(request.dbsession)
    names = names_of(request.dbsession, [row.uploaded_by for row in rows])
    return {
        "problem": problem,
        "base_url": _url(request),
        "api_url": f"/hsds/{request.tenant.slug}",
        "most": uploads.MOST_BYTES // 1_000_000,
        "bureaus": sorted(
            (
                (row.key, row.name)
                for ref, row in tell.published.bureaus.items()
                if ref.startswith(f"{tell.slug}/") and row.ended_on is None
            ),
            key=lambda each: each[1],
        ),
        "packages": [
            {
                "url": f"{_url(request)}/{row.id}",
                "name": row.name,
                "feed": row.feed,
                "when": tell.when(row.uploaded_at),
                "by": names.get(row.uploaded_by, ""),
                "state": STATES[row.state],
            }
            for row in rows
        ],
    }


def _alike(faults: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each kind of thing that is wrong once, with the first rows that have it.

    What only differs in the value that was found is of one kind; the first stands for all.
    """
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for each in faults:
        kind = (each["file"], each["column"], _VALUES.sub("", each["reason"]), each["left_out"])
        group = found.setdefault(kind, each | {"rows": [], "more": 0, "varies": False})
        group["varies"] |= group["reason"] != each["reason"]
        if len(group["rows"]) < NAMED_ROWS:
            group["rows"].append(each["row"] or "")
        else:
            group["more"] += 1
    return list(found.values())


def _page(request: Any, row: Any, *, problem: Any = None) -> dict[str, Any]:
    tell = telling(request)
    report = row.report or {}
    names = names_of(request.dbsession, [row.uploaded_by, row.ordered_by])
    verdicts = [
        (key, title)
        for key, title in VERDICTS.items()
        if any(key in counts for counts in report.get("files", {}).values())
    ]
    return {
        "problem": problem,
        "base_url": _url(request),
        "url": f"{_url(request)}/{row.id}",
        "package": row,
        "state": STATES[row.state],
        "moving": row.state in ("waiting", "ordered"),
        "checked": row.state == "checked",
        "report": report,
        "verdicts": verdicts,
        "names": VERDICTS,
        "left_out": LEFT_OUT,
        "rows": report.get("rows", [])[:SHOWN_ROWS],
        "faults": _alike(report.get("faults", []))[:SHOWN_ROWS],
        "shown": SHOWN_ROWS,
        "facts": [
            (_("Sent"), tell.when(row.uploaded_at)),
            (_("By"), names.get(row.uploaded_by)),
            (_("Source"), row.feed or None),
            (_("Kept by"), tell.bureau(tell.slug, row.bureau_key)),
            (_("Size"), f"{row.size / 1_000_000:.1f} MB"),
            (_("Ordered by"), names.get(row.ordered_by)),
            (_("Done"), tell.when(row.done_at)),
        ],
    }
