"""Rates out as a spreadsheet, edited, and in again: read by the worker, then seen row by row."""

from __future__ import annotations

import hashlib
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.response import Response
from pyramid.view import view_config

from regional311.chargeback import rate_changes, rate_uploads
from regional311.chargeback.rate_sheets import MOST_BYTES, MOST_ERRORS, write_sheet
from regional311.errors import DomainError
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web.billing_wording import Words, page
from regional311.web.forms import Schema, form_key, make_form, start_over
from regional311.web.i18n import _
from regional311.web.representations import json_response, wanted
from regional311.web.tree import Rates, RateSheetRecord

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
STATES = {
    "waiting": (_("Waits to be read"), "waiting"),
    "reading": (_("Being read"), "waiting"),
    "drafted": (_("Read"), "open"),
    "same": (_("Everything is as it was"), "done"),
    "broken": (_("Broken cells"), "refused"),
    "refused": (_("Refused"), "refused"),
}


@view_config(context=Rates, name="export", permission=P.RATE_READ, request_method="GET")
def export(context: Rates, request: Any) -> Response:
    """Every rate as it is known now, as XLSX."""
    known, _rows = rate_changes.current(request.dbsession)
    response = Response(write_sheet(known), content_type=XLSX)
    response.content_disposition = f'attachment; filename="rates-{request.tenant.slug}.xlsx"'
    return response


@view_config(
    context=Rates,
    name="sheet",
    permission=P.RATE_EDIT,
    request_method="GET",
    renderer="rates/sheet.jinja2",
)
def sheet(context: Rates, request: Any) -> dict[str, Any]:
    """Where an edited spreadsheet is taken in, and those that were."""
    return _index(request)


@view_config(
    context=Rates,
    name="sheet",
    permission=P.RATE_EDIT,
    request_method="POST",
    renderer="rates/sheet.jinja2",
)
def take_in(context: Rates, request: Any) -> Any:
    """Keep a spreadsheet until the worker has read it."""
    sent = request.POST.get("sheet")
    content, name = b"", ""
    if hasattr(sent, "file"):
        with sent.file as file:
            content, name = file.read(MOST_BYTES + 1), str(sent.filename)

    def do() -> dict[str, Any]:
        made = rate_uploads.send_sheet(
            request.dbsession, name=name, content=content, now=request.now
        )
        return {"id": str(made)}

    try:
        answer = once(
            request.dbsession,
            form_key(request),
            ["rate:sheet", hashlib.sha256(content).hexdigest()],
            do,
        )
    except DomainError as refused:
        start_over(request)
        request.response.status_int = 400
        return _index(request, problem=refused.message)
    return HTTPSeeOther(location=f"{_url(request)}/sheets/{answer['id']}")


@view_config(
    context=RateSheetRecord,
    permission=P.RATE_EDIT,
    request_method="GET",
    renderer="rates/sheet_read.jinja2",
)
def sheet_read(context: RateSheetRecord, request: Any) -> Any:
    """How far a spreadsheet is read, and what came of it: a draft, or its broken cells."""
    row, words = context.record, Words(request)
    if wanted(request) == "json":
        return json_response(
            {
                "id": row.id,
                "state": row.state,
                "rows_read": row.rows_read,
                "problem": row.problem,
                "errors": row.errors,
                "proposal": row.proposal_id,
            }
        )
    url = _url(request)
    return page(
        request,
        sheet=row,
        url=f"{url}/sheets/{row.id}",
        rates_url=url,
        proposal_url=f"{url}/proposals/{row.proposal_id}" if row.proposal_id else None,
        state=STATES[row.state],
        moving=row.state in rate_uploads.OPEN,
        most_errors=MOST_ERRORS,
        facts=[
            (_("Sent"), words.when(row.sent_at)),
            (_("By"), names_of(request.dbsession, (row.sent_by,)).get(row.sent_by)),
            (_("Size"), f"{row.size / 1_000_000:.1f} MB"),
            (_("Rows read"), words.number(row.rows_read) if row.rows_read else None),
            (_("Done"), words.when(row.ended_at) or None),
        ],
    )


def _url(request: Any) -> str:
    return f"/{request.tenant.slug}/rates"


def _index(request: Any, *, problem: str | None = None) -> dict[str, Any]:
    words = Words(request)
    rows = rate_uploads.sheets(request.dbsession)
    names = names_of(request.dbsession, (row.sent_by for row in rows))
    form = make_form(request, Schema(), once=True)
    return page(
        request,
        problem=problem,
        rates_url=_url(request),
        form_key=form.form_key,
        most=MOST_BYTES // 1_000_000,
        sheets=[
            {
                "url": f"{_url(request)}/sheets/{row.id}",
                "name": row.name,
                "when": words.when(row.sent_at),
                "by": names.get(row.sent_by, ""),
                "state": STATES[row.state],
            }
            for row in rows
        ],
    )
