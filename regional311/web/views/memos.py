"""Credit and debit memos: the form for the issuer, and the list that both sides have."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.chargeback import memos
from regional311.chargeback.queries import statement_address
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web.billing_wording import STATEMENT_KINDS, STATEMENT_STATES, page
from regional311.web.forms import (
    Choice,
    Integer,
    Money,
    RadioWidget,
    Schema,
    SchemaNode,
    String,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.tree import Memos, StatementRecord

EXPORTED = 10_000
SIDES = [("issued", _("Issued by us")), ("received", _("Received"))]
FOLLOWING = [(kind, words) for kind, words in STATEMENT_KINDS.items() if kind != "bill"]
MEMO_KINDS = [
    ("credit_memo", _("Credit memo: the payer owes less")),
    ("debit_memo", _("Debit memo: the payer owes more")),
]
COLUMNS = ("number", "kind", "side", "state", "counterparty", "period", "total_cents", "about")


class MemoForm(Schema):
    """What is given back or added on one line, and why."""

    kind = SchemaNode(
        Choice(MEMO_KINDS), title=_("What it is"), widget=RadioWidget(values=MEMO_KINDS)
    )
    line = SchemaNode(
        Integer(),
        title=_("Line"),
        description=_("The number of the line, as in the table above."),
    )
    amount = SchemaNode(
        Money(),
        title=_("Amount"),
        description=_("Above zero. A credit is at most what is left of the line."),
    )
    reason = SchemaNode(
        String(memos.LONGEST_REASON, multiline=True),
        title=_("Reason"),
        description=_("Both sides read it on the memo. Name nobody who called."),
    )


@view_config(
    context=Memos, permission=P.STATEMENT_READ, request_method="GET", renderer="memos/index.jinja2"
)
def listed(context: Memos, request: Any) -> Any:
    """Corrections, memos and true-ups, issued and received."""
    listing = Listing(
        request,
        columns=[
            Column("number", _("Statement")),
            Column("kind", _("Kind")),
            Column("counterparty", _("Partner")),
            Column("about", _("About")),
            Column("state", _("State")),
            Column("total", _("Total"), number=True),
        ],
        filters=[
            Filter("kind", _("Kind"), choices=FOLLOWING),
            Filter("side", _("Side"), choices=SIDES),
            Filter("state", _("State"), choices=list(STATEMENT_STATES.items())),
        ],
        csv=True,
    )
    form = wanted(request)
    rows = memos.listed(
        request.dbsession,
        **listing.values,
        before=_id(listing.after),
        limit=PAGE_SIZE + 1 if form == "html" else EXPORTED,
    )
    if form != "html":
        found = [
            {
                "number": row.number or row.public_id,
                "kind": row.kind,
                "side": row.side,
                "state": row.state,
                "counterparty": row.payer_key or row.counterparty,
                "period": row.period_key,
                "total_cents": row.total_cents,
                "about": row.corrects_number,
            }
            for row in rows
        ]
        if form == "json":
            return json_response(found)
        return csv_response(request, "memos.csv", COLUMNS, [list(row.values()) for row in found])
    shown = rows[:PAGE_SIZE]
    listing.fill(shown, after=str(shown[-1].id) if len(rows) > PAGE_SIZE else None)
    return page(request, listing=listing, statements_url=f"/{request.tenant.slug}/statements")


@view_config(
    context=StatementRecord,
    name="memo",
    permission=P.STATEMENT_PREPARE,
    request_method="GET",
    renderer="memos/new.jinja2",
)
def new(context: StatementRecord, request: Any) -> Any:
    """The form of a memo, with what may still be credited on each line."""
    return _page(context, request, _form(context, request))


@view_config(
    context=StatementRecord,
    name="memo",
    permission=P.STATEMENT_PREPARE,
    request_method="POST",
    renderer="memos/new.jinja2",
)
def draft(context: StatementRecord, request: Any) -> Any:
    """Draft a memo; somebody else approves it."""
    form = _form(context, request)

    def on_success(values: dict[str, Any]) -> Any:
        def do() -> dict[str, Any]:
            made = memos.draft_memo(
                request.dbsession,
                context.record.id,
                [(values["line"], values["amount"], values["reason"])],
                kind=values["kind"],
                now=request.now,
            )
            return {"statement": str(made)}

        content = ["memo", str(context.record.id), values]
        answer = once(request.dbsession, form_key(request), content, do)
        address = statement_address(request.dbsession, UUID(answer["statement"]))
        request.flash("success", _("The memo was drafted; a second person approves it."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/statements/{address}")

    return handle_form_submission(request, form, on_success, lambda: _page(context, request, form))


def _form(context: StatementRecord, request: Any) -> Any:
    asked = request.GET.get("line", "")
    kind, cents = request.GET.get("kind", ""), request.GET.get("cents", "")
    values: dict[str, Any] = {"kind": kind if kind in memos.KINDS else memos.CREDIT_MEMO}
    if _small(asked):
        values["line"] = int(asked)
    if _small(cents):
        values["amount"] = int(cents)
    return make_form(
        request,
        MemoForm(),
        submit=_("Draft the memo"),
        values=values,
        once=True,
        cancel_url=f"/{request.tenant.slug}/statements/{context.record.public_id}",
    )


def _page(context: StatementRecord, request: Any, form: Any) -> dict[str, Any]:
    if context.record.side != "issued":
        raise HTTPNotFound
    asked, after = request.GET.get("line", ""), request.GET.get("after", "")
    first = int(asked) if _small(asked) else int(after) + 1 if _small(after) else 1
    positions = range(first, first + PAGE_SIZE)
    lines: list[memos.Creditable] = []
    issued = True
    try:
        lines = memos.creditable(request.dbsession, context.record.id, positions)
    except memos.NotIssuedYet:
        issued = False
    listing = Listing(
        request,
        columns=[
            Column("line", _("Line")),
            Column("label", _("For")),
            Column("amount", _("Amount"), number=True),
            Column("changed", _("Corrections and debits"), number=True),
            Column("credited", _("Credited"), number=True),
            Column("left", _("Left to credit"), number=True),
        ],
    )
    more = len(lines) == PAGE_SIZE and lines[-1].position < context.record.line_count
    listing.fill(lines, after=str(lines[-1].position) if more else None)
    slug = request.tenant.slug
    return page(
        request,
        form=form if issued else None,
        listing=listing,
        number=context.record.public_id,
        url=f"/{slug}/statements/{context.record.public_id}",
        statements_url=f"/{slug}/statements",
    )


def _small(asked: str) -> bool:
    return asked.isascii() and asked.isdecimal() and len(asked) < 9


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
