"""Fiscal years: what was billed beside what it cost, the 60-day test, and settling the balance."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.chargeback import true_up, year_end
from regional311.chargeback.rate_cards import rated_work
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web.agreement_wording import YEAR_ENDS
from regional311.web.billing_wording import Words, page, word
from regional311.web.forms import (
    Choice,
    Money,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _, translated
from regional311.web.listing import Column, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import FiscalYearRecord, TrueUps
from regional311.web.views.corrections import payer_name

TREATMENTS = {
    "settle": _("Settle now by a statement"),
    "carry": _("Carry forward to the next bill"),
    "keep": _("Keep for the next year's rates"),
}
COLUMNS = (
    "subject",
    "key",
    "opening_cents",
    "billed_cents",
    "owed_cents",
    "closing_cents",
    "actual",
    "treatment",
    "stale",
)


def _plain(row: true_up.YearRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in COLUMNS}


@view_config(
    context=TrueUps,
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="true_ups/index.jinja2",
)
def years(context: TrueUps, request: Any) -> Any:
    """The fiscal years that have shared or billed costs."""
    found = true_up.years(request.dbsession)
    if wanted(request) == "json":
        return json_response(found)
    listing = Listing(request, columns=[Column("year", _("Fiscal year"))])
    return page(request, listing=listing.fill(found, total=len(found)))


@view_config(
    context=FiscalYearRecord,
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="true_ups/year.jinja2",
)
def year(context: FiscalYearRecord, request: Any) -> Any:
    """One fiscal year: the roll of every pool and service, the reserve, and what may be done."""
    rows = true_up.year_rows(request.dbsession, context.record)
    form = wanted(request)
    if form == "json":
        return json_response([_plain(row) for row in rows])
    if form == "csv":
        return csv_response(
            request,
            f"true-up-{context.record}.csv",
            COLUMNS,
            [list(_plain(row).values()) for row in rows],
        )
    return _page(context, request, rows=rows)


def _page(
    context: FiscalYearRecord,
    request: Any,
    *,
    rows: list[true_up.YearRow] | None = None,
    settling: Any = None,
    cost: Any = None,
) -> dict[str, Any]:
    words = Words(request)
    if rows is None:
        rows = true_up.year_rows(request.dbsession, context.record)
    slug = request.tenant.slug
    listing = Listing(
        request,
        columns=[
            Column("name", _("Pool or service")),
            Column("opening", _("Opening"), number=True),
            Column("billed", _("Billed"), number=True),
            Column("owed", _("Owed by the payers"), number=True),
            Column("closing", _("Over or under"), number=True),
            Column("recovery", _("Recovery"), number=True),
            Column("treatment", _("Settled")),
        ],
        csv=True,
    ).fill(rows, total=len(rows))
    shares = [
        {
            "row": row,
            "shares": [
                {"payer": payer_name(request, each.payer), "share": each}
                for each in true_up.share_rows(
                    request.dbsession, context.record, row.subject, row.key
                )
            ],
        }
        for row in rows
        if row.treatment is not None
    ]
    capital = true_up.working_capital(rows)
    runs = may(request, P.BILLING_RUN)
    return page(
        request,
        year=context.record,
        listing=listing,
        shares=shares,
        treatments={code: word(TREATMENTS, code) for code in TREATMENTS},
        capital=capital,
        has_cost=any(row.subject == true_up.CARD and row.owed_cents is not None for row in rows),
        capital_facts=[
            (_("Balance of the billed services"), words.cents(capital.reserve_cents)),
            (_("Twelve months' cash expense"), words.cents(capital.year_expense_cents)),
            (_("Sixty days of it"), words.cents(capital.limit_cents)),
            (
                _("Too much by"),
                words.cents(capital.excess_cents) if capital.excess_cents else None,
            ),
        ],
        settling=settling or (_settling(context, request, rows) if runs else None),
        cost=cost or (_cost(context, request) if runs else None),
        url=f"/{slug}/true-ups/{context.record}",
        years_url=f"/{slug}/true-ups",
        statements_url=f"/{slug}/statements",
        pools_url=f"/{slug}/pools",
        rates_url=f"/{slug}/rates",
    )


def _field(row: true_up.YearRow) -> str:
    return f"{row.subject}.{row.key}"


def _settling(context: FiscalYearRecord, request: Any, rows: list[true_up.YearRow]) -> Any:
    """A form with one choice for each pool and service whose actual cost is known."""
    schema = Schema()
    ends = true_up.agreed_ends(
        request.dbsession,
        true_up.year_of(request.dbsession, context.record),
    )
    chosen = {}
    for row in rows:
        if not row.actual:
            continue
        choices = list(TREATMENTS.items())
        said = [each for each in ends if each.about(row.subject, row.key)]
        if row.treatment is None and len({each.year_end for each in said}) == 1:
            chosen[_field(row)] = said[0].year_end
        schema.add(
            SchemaNode(
                Choice(choices),
                name=_field(row),
                title=row.name,
                description=_agreed_words(request, said),
                missing=None,
                widget=SelectWidget(values=choices, empty=_("Leave as it is")),
            )
        )
    if not schema.children:
        return None
    return make_form(
        request,
        schema,
        name="settle",
        action=f"/{request.tenant.slug}/true-ups/{context.record}/settle",
        submit=_("Settle the year"),
        values=chosen,
        once=True,
    )


def _agreed_words(request: Any, said: list[true_up.Agreed]) -> str | None:
    """What agreements say of a balance: *Agreed with Multnomah County: …*"""
    if not said:
        return None
    return "; ".join(
        translated(
            request,
            _(
                "Agreed with ${payer}: ${how}",
                mapping={
                    "payer": payer_name(request, each.payer),
                    "how": translated(request, YEAR_ENDS[each.year_end]),
                },
            ),
        )
        for each in said
    )


class CostForm(Schema):
    """What a billed service cost in the year."""

    allowable = SchemaNode(
        Money(), title=_("Allowable cost"), description=_("Of the whole fiscal year.")
    )
    non_cash = SchemaNode(
        Money(),
        title=_("Of this, without cash"),
        description=_("Depreciation and the like; it does not count in the 60-day test."),
        default=0,
    )
    source = SchemaNode(
        String(200), title=_("Source"), description=_("A report, a closed account, a decision.")
    )


def _cost(context: FiscalYearRecord, request: Any) -> Any:
    cards = sorted({card for card, _activity in rated_work(request.dbsession)})
    if not cards:
        return None
    choices = [(card, card) for card in cards]
    schema = CostForm()
    schema.add_before(
        "allowable",
        SchemaNode(
            Choice(choices), name="card", title=_("Service"), widget=SelectWidget(values=choices)
        ),
    )
    return make_form(
        request,
        schema,
        name="cost",
        action=f"/{request.tenant.slug}/true-ups/{context.record}/cost",
        submit=_("Record the cost"),
    )


@view_config(
    context=FiscalYearRecord,
    name="settle",
    permission=P.BILLING_RUN,
    request_method="POST",
    renderer="true_ups/year.jinja2",
)
def settle(context: FiscalYearRecord, request: Any) -> Any:
    """Settle, carry forward or keep the balances that were chosen."""
    rows = true_up.year_rows(request.dbsession, context.record)
    form = _settling(context, request, rows)
    if form is None:
        raise HTTPNotFound

    def on_success(values: dict[str, Any]) -> Any:
        choices = {
            (row.subject, row.key): values[_field(row)] for row in rows if values.get(_field(row))
        }

        def do() -> dict[str, Any]:
            made = year_end.settle_year(request.dbsession, context.record, choices, now=request.now)
            return {
                "true_ups": len(made.true_ups),
                "statements": len(made.statements)
                + sum(len(each.statements) for each in made.again.values()),
                "again": [str(later) for later in made.again],
            }

        answer = once(request.dbsession, form_key(request), ["true-up", context.record, values], do)
        request.flash(
            "success",
            _(
                "${count} balances were settled; ${statements} statements are ready to be read.",
                mapping={"count": answer["true_ups"], "statements": answer["statements"]},
            ),
        )
        if answer["again"]:
            request.flash(
                "info",
                _(
                    "Settled again with it, because they rest on it: fiscal year ${years}.",
                    mapping={"years": ", ".join(answer["again"])},
                ),
            )
        return HTTPSeeOther(location=f"/{request.tenant.slug}/true-ups/{context.record}")

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, settling=form)
    )


@view_config(
    context=FiscalYearRecord,
    name="cost",
    permission=P.BILLING_RUN,
    request_method="POST",
    renderer="true_ups/year.jinja2",
)
def cost(context: FiscalYearRecord, request: Any) -> Any:
    """Record what a billed service cost."""
    form = _cost(context, request)
    if form is None:
        raise HTTPNotFound

    def on_success(values: dict[str, Any]) -> Any:
        true_up.enter_cost(
            request.dbsession,
            values["card"],
            context.record,
            allowable_cents=values["allowable"],
            non_cash_cents=values["non_cash"],
            source=values["source"],
            now=request.now,
        )
        request.flash("success", _("The cost was recorded."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/true-ups/{context.record}")

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, cost=form)
    )
