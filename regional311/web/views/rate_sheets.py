"""Rates out as a spreadsheet, edited, and in again: what would change is shown row by row first."""

from __future__ import annotations

import hashlib
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.response import Response
from pyramid.view import view_config

from regional311.chargeback import rate_changes as service
from regional311.chargeback.rate_sheets import (
    MOST_BYTES,
    Sheet,
    changes_from,
    read_sheet,
    write_sheet,
)
from regional311.errors import DomainError
from regional311.identity.permissions import Permissions as P
from regional311.spreadsheets import SheetRefused
from regional311.tenancy.once import once
from regional311.web.billing_wording import Words, page
from regional311.web.forms import Schema, form_key, make_form, start_over
from regional311.web.i18n import _, translated
from regional311.web.tree import Rates

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@view_config(context=Rates, name="export", permission=P.RATE_READ, request_method="GET")
def export(context: Rates, request: Any) -> Response:
    """Every rate as it is known now, as XLSX."""
    known, _rows = service.current(request.dbsession)
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
    """Where an edited spreadsheet is taken in."""
    return _page(request)


@view_config(
    context=Rates,
    name="sheet",
    permission=P.RATE_EDIT,
    request_method="POST",
    renderer="rates/sheet.jinja2",
)
def take_in(context: Rates, request: Any) -> Any:
    """Read a spreadsheet: name every broken cell, or draft what it would change."""
    sent = request.POST.get("sheet")
    content = b""
    if hasattr(sent, "file"):
        content = sent.file.read(MOST_BYTES + 1)
    try:
        if not content:
            raise SheetRefused(translated(request, _("Choose a file.")), field="sheet")
        read = read_sheet(content)
        if read.errors:
            request.response.status_int = 400
            return _page(request, errors=read.errors, rows=len(read.rates))
        return _draft(request, read, hashlib.sha256(content).hexdigest())
    except DomainError as refused:
        start_over(request)
        request.response.status_int = 400
        return _page(request, problem=refused.message)


def _draft(request: Any, read: Sheet, digest: str) -> Any:
    def do() -> dict[str, Any]:
        known, rows = service.current(request.dbsession)
        changes = changes_from(read, known, rows, Words(request).today)
        made = service.propose(
            request.dbsession,
            changes,
            note=translated(request, _("A spreadsheet")),
            now=request.now,
        )
        return {"id": str(made)}

    answer = once(request.dbsession, form_key(request), ["rate:sheet", digest], do)
    return HTTPSeeOther(location=f"/{request.tenant.slug}/rates/proposals/{answer['id']}")


def _page(request: Any, **values: Any) -> dict[str, Any]:
    said = {"errors": (), "rows": 0, "problem": None} | values
    form = make_form(request, Schema(), once=True)
    return page(
        request,
        rates_url=f"/{request.tenant.slug}/rates",
        form_key=form.form_key,
        most=MOST_BYTES // 1_000_000,
        **said,
    )
