"""What leaves the books for other ledgers: batches, FOCUS rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.response import Response
from pyramid.view import view_config

from regional311.chargeback import focus
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.ledger import exports, queries
from regional311.ledger.layouts import layout_names
from regional311.tenancy.once import once
from regional311.web.billing_wording import Words
from regional311.web.book_pages import book_page, ledger_url, link, section
from regional311.web.forms import (
    Choice,
    Schema,
    SchemaNode,
    SelectWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.representations import json_response, wanted
from regional311.web.security import may
from regional311.web.tree import ExportBatchRecord, Ledger, LedgerExports


@view_config(
    context=LedgerExports,
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/page.jinja2",
)
def batches(context: LedgerExports, request: Any) -> Any:
    """The batches that were made, the latest first."""
    return _batches_page(request, None)


def _form(request: Any) -> Any:
    """The form of a new batch; None when there is no month to take."""
    words = Words(request)
    months = [
        (row.key, f"{words.month(row.key)} ({words.say('period_state', row.state)})")
        for row in queries.periods(request.dbsession)
    ]
    if not months:
        return None
    layouts = list(layout_names().items())

    class BatchForm(Schema):
        """Which entries, and in what form."""

        through = SchemaNode(
            Choice(months),
            title=_("Up to and with"),
            description=_("Every entry booked up to then that no batch has yet."),
            widget=SelectWidget(values=months),
        )
        layout = SchemaNode(Choice(layouts), title=_("Layout"), widget=SelectWidget(values=layouts))

    form = make_form(request, BatchForm(), submit=_("Make the batch"), name="batch-form", once=True)
    form.heading = _("New batch")
    return form


def _batches_page(request: Any, form: Any) -> Any:
    session, words = request.dbsession, Words(request)
    rows = exports.batches(session)
    if wanted(request) == "json":
        return json_response([asdict(row) for row in rows])
    names = names_of(session, [row.made_by for row in rows])
    url = ledger_url(request)
    table = section(
        request,
        _("Batches"),
        [
            (_("Batch"), False),
            (_("Layout"), False),
            (_("Up to and with"), False),
            (_("Entries"), True),
            (_("Debits and credits"), True),
            (_("Made"), False),
            (_("By"), False),
            (_("SHA-256"), False),
        ],
        [
            [
                link(f"{url}/exports/{row.number}", f"{row.number}", _("CSV")),
                row.layout_name,
                words.month(row.through_period),
                words.number(row.entry_count),
                words.cents(row.debit_cents),
                words.when(row.made_at),
                names.get(row.made_by, "") if row.made_by else _("the system"),
                row.digest[:16],
            ]
            for row in rows
        ],
        lead=_("A batch is sent again as it was, byte for byte, whatever has changed since."),
        empty=_("No batch has been made yet."),
    )
    if form is None and may(request, P.LEDGER_RUN):
        form = _form(request)
    return book_page(
        request,
        "exports",
        title=_("Exports"),
        lead=_("Each posted entry goes to our own general ledger in exactly one batch."),
        form=form,
        sections=[table],
        links=[
            (f"{url}/focus", _("What we charged, as FOCUS rows (CSV)")),
            (f"{url}/focus?side=received", _("What we were charged, as FOCUS rows (CSV)")),
            (f"{url}/beancount", _("The whole books as beancount text")),
        ],
    )


@view_config(
    context=LedgerExports,
    permission=P.LEDGER_RUN,
    request_method="POST",
    renderer="ledger/page.jinja2",
)
def make(context: LedgerExports, request: Any) -> Any:
    """Make a batch of every entry up to a month that no batch has yet."""
    form = _form(request)
    key = form_key(request)
    if form is None:
        raise exports.NothingToExport("Nothing has been posted yet.")

    def do(values: dict[str, Any]) -> HTTPSeeOther:
        def make_once() -> dict[str, Any]:
            exports.make_batch(
                request.dbsession,
                layout_key=values["layout"],
                through_period=values["through"],
                now=request.now,
            )
            return {"number": exports.batches(request.dbsession)[0].number}

        answer = once(request.dbsession, key, ["ledger:export", values], make_once)
        request.flash(
            "success", _("Batch ${number} is ready.", mapping={"number": answer["number"]})
        )
        return HTTPSeeOther(location=f"{ledger_url(request)}/exports")

    return handle_form_submission(
        request, form, on_success=do, on_failure=lambda: _batches_page(request, form)
    )


@view_config(context=ExportBatchRecord, permission=P.LEDGER_READ, request_method="GET")
def batch_file(context: ExportBatchRecord, request: Any) -> Response:
    """A batch's file, as it was sent."""
    content = exports.content(request.dbsession, context.record.id)
    response = Response(content, content_type="text/csv", charset="utf-8")
    name = exports.file_name(request.tenant.slug, context.record)
    response.content_disposition = f'attachment; filename="{name}"'
    return response


@view_config(context=Ledger, name="focus", permission=P.LEDGER_READ, request_method="GET")
def as_focus(context: Ledger, request: Any) -> Response:
    """The lines of statements as FOCUS charge rows."""
    side = "received" if request.GET.get("side") == "received" else "issued"
    rows = focus.charge_rows(request.dbsession, side=side)
    response = Response("".join(focus.csv_text(rows)).encode(), content_type="text/csv")
    response.content_disposition = f'attachment; filename="{request.tenant.slug}-focus-{side}.csv"'
    return response
