"""How a payer divides its own bill over its bureaus, funds and cost centres."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from regional311.allocation.bill_splits import BilledLine, Divided, save_split, split_bill
from regional311.allocation.models import AllocationBase, BillSplit
from regional311.calendars import Period
from regional311.chargeback.models import Statement, StatementLine
from regional311.errors import DomainError, InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.models import Bureau
from regional311.tenancy.once import once
from regional311.web import lines_of_text
from regional311.web.billing_wording import Words, page
from regional311.web.forms import (
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import SplitRecord, Splits, StatementRecord

NO_BASE = "-"
SHOWN_BILLS = 24
PART_LINE = "60; human-services; 1000; 607"


class _SplitForm(Schema):
    name = SchemaNode(String(200), title=_("Name"))
    agreement = SchemaNode(
        String(60),
        title=_("Agreement"),
        description=_("Key of the agreement whose lines it divides. Left out: all others."),
        missing=None,
    )
    base = SchemaNode(
        String(60),
        title=_("Divided by"),
        description=_("A base whose bureaus divide the bill, or fixed parts."),
    )
    parts = SchemaNode(
        String(8000, multiline=True),
        title=_("Fixed parts"),
        description=_(
            "One a line: per cent; bureau; fund; cost centre. For example: ${example}. What does"
            " not apply stays empty. Together exactly 100.",
            mapping={"example": PART_LINE},
        ),
        missing=None,
    )


class NewSplitForm(_SplitForm):
    """A rule that is not there yet."""

    key = SchemaNode(
        String(60),
        title=_("Key"),
        description=_("Lower case letters, digits and hyphens."),
        insert_before="name",
    )


class SplitForm(_SplitForm):
    """What may be changed about a rule."""


def _url(request: Any) -> str:
    return f"/{request.tenant.slug}/splits"


def _names(request: Any) -> tuple[dict[str, str], dict[str, str]]:
    """The names of this partner's bases and of its bureaus."""
    tenant_id = request.tenant.id
    bases = request.dbsession.execute(
        select(AllocationBase.key, AllocationBase.name)
        .where(AllocationBase.tenant_id == tenant_id)
        .ext(distinct_on(AllocationBase.key))
        .order_by(AllocationBase.key, AllocationBase.number.desc())
    )
    bureaus = request.dbsession.execute(
        select(Bureau.key, Bureau.name).where(Bureau.tenant_id == tenant_id)
    )
    by_name = sorted(bases, key=lambda row: str(row.name))
    return {row.key: row.name for row in by_name}, {row.key: row.name for row in bureaus}


@view_config(
    context=Splits, permission=P.POOL_READ, request_method="GET", renderer="splits/index.jinja2"
)
def splits(context: Splits, request: Any) -> Any:
    """The rules by which this partner divides what it is billed."""
    bases, _bureaus = _names(request)
    rows = [
        {
            "key": row.key,
            "name": row.name,
            "agreement": row.agreement_key,
            "base": bases.get(row.base_key, row.base_key) if row.base_key else None,
            "parts": len(row.parts),
        }
        for row in request.dbsession.execute(
            select(BillSplit)
            .where(BillSplit.tenant_id == request.tenant.id, BillSplit.ended_on.is_(None))
            .order_by(BillSplit.name)
        ).scalars()
    ]
    form = wanted(request)
    columns = ("key", "name", "agreement", "base", "parts")
    if form == "json":
        return json_response(rows)
    if form == "csv":
        return csv_response(
            request, "splits.csv", columns, [[row[name] for name in columns] for row in rows]
        )
    listing = Listing(
        request,
        columns=[
            Column("name", _("Rule")),
            Column("agreement", _("Agreement")),
            Column("base", _("Divided by")),
        ],
        csv=True,
    ).fill(rows, total=len(rows))
    received = request.dbsession.execute(
        select(
            Statement.public_id,
            Statement.period_key,
            Statement.counterparty_id,
            Statement.total_cents,
        )
        .where(Statement.tenant_id == request.tenant.id, Statement.side == "received")
        .order_by(Statement.period_key.desc(), Statement.id.desc())
        .limit(SHOWN_BILLS)
    ).all()
    words = Words(request)
    partners = request.registry.partners
    return page(
        request,
        listing=listing,
        may_edit=may(request, P.POOL_EDIT),
        bills=[
            {
                "url": f"/{request.tenant.slug}/statements/{row.public_id}/parts",
                "number": row.public_id,
                "month": words.month(row.period_key),
                "issuer": getattr(partners.by_id(row.counterparty_id), "name", ""),
                "cents": row.total_cents,
            }
            for row in received
        ]
        if may(request, P.STATEMENT_READ)
        else [],
        new_url=f"{_url(request)}/new",
        received_url=f"/{request.tenant.slug}/statements/received",
    )


@view_config(
    context=SplitRecord,
    permission=P.POOL_READ,
    request_method="GET",
    renderer="splits/split.jinja2",
)
def split(context: SplitRecord, request: Any) -> Any:
    """One rule and its parts."""
    row = context.record
    bases, bureaus = _names(request)
    if wanted(request) == "json":
        return json_response(
            {
                "key": row.key,
                "name": row.name,
                "agreement": row.agreement_key,
                "base": row.base_key,
                "parts": row.parts,
            }
        )
    listing = Listing(
        request,
        columns=[
            Column("bureau", _("Bureau")),
            Column("fund", _("Fund")),
            Column("cost_centre", _("Cost centre")),
            Column("percent", _("Part"), number=True),
        ],
    ).fill(
        [
            {
                "bureau": bureaus.get(each.get("bureau", ""), each.get("bureau")),
                "fund_code": each.get("fund_code"),
                "cost_centre": each.get("cost_centre"),
                "percent": each["percent"],
            }
            for each in row.parts
        ]
    )
    return page(
        request,
        split=row,
        listing=listing,
        splits_url=_url(request),
        edit_url=f"{_url(request)}/{row.key}/edit",
        may_edit=may(request, P.POOL_EDIT),
        base_url=f"/{request.tenant.slug}/bases/{row.base_key}",
        base_name=bases.get(row.base_key, row.base_key) if row.base_key else None,
        facts=[
            (_("For"), row.agreement_key or _("All agreements without a rule of their own")),
            (_("Divided by"), _("Fixed parts") if row.base_key is None else _("A base")),
        ],
    )


@view_config(
    context=Splits,
    name="new",
    permission=P.POOL_EDIT,
    request_method="GET",
    renderer="splits/edit.jinja2",
)
def new(context: Splits, request: Any) -> Any:
    """The form of a rule that is not there yet."""
    return _page(request, _form(request, NewSplitForm(), None), None)


@view_config(
    context=Splits,
    name="new",
    permission=P.POOL_EDIT,
    request_method="POST",
    renderer="splits/edit.jinja2",
)
def add(context: Splits, request: Any) -> Any:
    """Make a rule."""
    form = _form(request, NewSplitForm(), None)

    def on_success(values: dict[str, Any]) -> Any:
        return _save(request, values["key"], values, new=True)

    return handle_form_submission(request, form, on_success, lambda: _page(request, form, None))


@view_config(
    context=SplitRecord,
    name="edit",
    permission=P.POOL_EDIT,
    request_method="GET",
    renderer="splits/edit.jinja2",
)
def edit(context: SplitRecord, request: Any) -> Any:
    """The form that changes a rule."""
    row = context.record
    return _page(request, _form(request, SplitForm(), row), row)


@view_config(
    context=SplitRecord,
    name="edit",
    permission=P.POOL_EDIT,
    request_method="POST",
    renderer="splits/edit.jinja2",
)
def save(context: SplitRecord, request: Any) -> Any:
    """Change a rule; bills are divided by it from now on."""
    row = context.record
    form = _form(request, SplitForm(), row)

    def on_success(values: dict[str, Any]) -> Any:
        return _save(request, row.key, values, new=False)

    return handle_form_submission(request, form, on_success, lambda: _page(request, form, row))


def _save(request: Any, key: str, values: dict[str, Any], *, new: bool) -> Any:
    parts = []
    for percent, bureau, fund, cost_centre in lines_of_text.rows(
        values["parts"], 4, field="parts", example=PART_LINE
    ):
        part = {
            "percent": f"{lines_of_text.percent(percent, field='parts'):f}",
            "bureau": bureau,
            "fund_code": fund,
            "cost_centre": cost_centre,
        }
        parts.append({name: value for name, value in part.items() if value})
    _bases, bureaus = _names(request)
    for part in parts:
        if "bureau" in part and part["bureau"] not in bureaus:
            raise InvalidInput(f"There is no bureau {part['bureau']}.", field="parts")

    def do() -> dict[str, Any]:
        save_split(
            request.dbsession,
            key=key,
            name=values["name"],
            agreement_key=values["agreement"],
            base_key=None if values["base"] == NO_BASE else values["base"],
            parts=parts,
            now=request.now,
            new=new,
        )
        return {}

    once(request.dbsession, form_key(request), ["bill_split:save", key, values], do)
    request.flash("success", _("The rule was saved."))
    return HTTPSeeOther(location=f"{_url(request)}/{key}")


def _form(request: Any, schema: Any, row: Any) -> Any:
    bases, _bureaus = _names(request)
    schema["base"].widget = SelectWidget(values=[(NO_BASE, _("Fixed parts")), *bases.items()])
    values: dict[str, Any] = {"base": NO_BASE}
    if row is not None:
        values = {
            "name": row.name,
            "agreement": row.agreement_key,
            "base": row.base_key or NO_BASE,
            "parts": "\n".join(
                "; ".join(
                    each.get(name, "") for name in ("percent", "bureau", "fund_code", "cost_centre")
                )
                for each in row.parts
            )
            or None,
        }
    return make_form(
        request,
        schema,
        submit=_("Save the rule"),
        values=values,
        once=True,
        cancel_url=_url(request) if row is None else f"{_url(request)}/{row.key}",
    )


def _page(request: Any, form: Any, row: Any) -> Any:
    return page(
        request,
        form=form,
        title=_("New rule") if row is None else _("Change the rule"),
        lead=_("How each line of a bill is divided. The parts of a line always make the line."),
        splits_url=_url(request),
        url=None if row is None else f"{_url(request)}/{row.key}",
        split_name=None if row is None else row.name,
    )


@view_config(
    context=StatementRecord,
    name="parts",
    permission=P.STATEMENT_READ,
    request_method="GET",
    renderer="splits/parts.jinja2",
)
def parts(context: StatementRecord, request: Any) -> Any:
    """A bill that this partner received, divided by its own rules."""
    words = Words(request)
    statement = context.record
    received = statement.side == "received"
    problem = None
    divided: list[Divided] = []
    labels: dict[int, str] = {}
    if received:
        rows = request.dbsession.execute(
            select(
                StatementLine.position,
                StatementLine.agreement_key,
                StatementLine.amount_cents,
                StatementLine.label,
            )
            .where(
                StatementLine.tenant_id == request.tenant.id,
                StatementLine.statement_id == statement.id,
            )
            .order_by(StatementLine.position)
        ).all()
        labels = {row.position: row.label for row in rows}
        lines = [BilledLine(row.position, row.agreement_key, row.amount_cents) for row in rows]
        try:
            divided = split_bill(request.dbsession, lines, before=_end_of(statement.period_key))
        except DomainError as error:
            problem = error.message
    _bases, bureaus = _names(request)
    table: list[dict[str, Any]] = [
        {
            "line": each.position,
            "label": labels[each.position],
            "bureau": bureaus.get(each.part.bureau or "", each.part.bureau),
            "fund": each.part.fund_code,
            "cost_centre": each.part.cost_centre,
            "cents": each.cents,
            "rule": each.rule_key,
        }
        for each in divided
    ]
    form = wanted(request)
    columns = ("line", "label", "bureau", "fund", "cost_centre", "cents", "rule")
    if form == "json":
        return json_response(table)
    if form == "csv":
        return csv_response(
            request,
            f"{statement.public_id}-parts.csv",
            columns,
            [[row[name] for name in columns] for row in table],
        )
    url = f"/{request.tenant.slug}/statements/{statement.public_id}"
    sums: dict[tuple[Any, Any, Any], int] = {}
    for row in table:
        place = (row["bureau"], row["fund"], row["cost_centre"])
        sums[place] = sums.get(place, 0) + row["cents"]
    return page(
        request,
        statement=statement,
        received=received,
        problem=problem,
        number=statement.public_id,
        url=url,
        statements_url=f"/{request.tenant.slug}/statements/received",
        splits_url=_url(request),
        csv_url=f"{url}/parts?format=csv",
        sums=[
            {"bureau": bureau, "fund": fund, "cost_centre": centre, "cents": cents}
            for (bureau, fund, centre), cents in sorted(
                sums.items(), key=lambda each: (-each[1], str(each[0]))
            )
        ],
        rows=table,
        total=sum(row["cents"] for row in table),
        month=words.month(statement.period_key),
    )


def _end_of(period_key: str) -> Any:
    """The first day after a period, by its label."""
    if ".." in period_key:
        return date.fromisoformat(period_key.partition("..")[2]) + timedelta(days=1)
    return Period.month(period_key).end_on
