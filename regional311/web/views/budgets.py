"""Budgets by payer and fiscal year: how each year goes, and what will not last."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.forecast import queries
from regional311.forecast.budgets import (
    BudgetRow,
    FiscalYear,
    Party,
    budgets,
    set_budget,
    year_named,
    year_of,
)
from regional311.forecast.outlook import Standing
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web.billing_wording import Words, page
from regional311.web.forms import (
    Choice,
    Integer,
    Money,
    NumberWidget,
    RadioWidget,
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
from regional311.web.tree import BudgetRecord, Budgets

SIDES = {
    "received": _("What we pay to it"),
    "issued": _("What it pays to us"),
}
STANDINGS = {
    Standing.WITHIN: (_("Lasts"), "done"),
    Standing.NEAR: (_("Nearly used up"), "waiting"),
    Standing.WILL_EXCEED: (_("Will not last"), "danger"),
    Standing.EXCEEDED: (_("Exceeded"), "refused"),
}
COLUMNS = (
    "partner",
    "side",
    "fiscal_year",
    "amount_cents",
    "billed_cents",
    "forecast_cents",
    "billed_percent",
    "forecast_percent",
    "elapsed_percent",
    "standing",
)


@view_config(
    context=Budgets,
    permission=P.SCENARIO_READ,
    request_method="GET",
    renderer="budgets/index.jinja2",
)
def index(context: Budgets, request: Any) -> Any:
    """Every budget of a fiscal year, the worst first."""
    words, session = Words(request), request.dbsession
    year = _asked_year(request, words)
    rows = budgets(session, year, now=request.now)
    form = wanted(request)
    if form == "json":
        return json_response([_plain(row) for row in rows])
    if form == "csv":
        return csv_response(
            request,
            f"budgets-{year.number}.csv",
            COLUMNS,
            [list(_plain(row).values()) for row in rows],
        )
    listing = Listing(
        request,
        columns=[
            Column("partner", _("Between us and")),
            Column("side", _("For")),
            Column("amount", _("Budget"), number=True),
            Column("billed", _("Billed"), number=True),
            Column("forecast", _("Year as it is likely to end"), number=True),
            Column("standing", _("Standing")),
        ],
        csv=True,
    )
    listing.csv_url = f"{listing.path}?year={year.number}&format=csv"
    listing.fill([_shown(words, row) for row in rows], total=len(rows))
    bad = [row for row in rows if row.standing in (Standing.WILL_EXCEED, Standing.EXCEEDED)]
    url = f"/{request.tenant.slug}/budgets"
    return page(
        request,
        listing=listing,
        year=year,
        years=[
            (
                f"{url}?year={number}",
                _("ending in ${year}", mapping={"year": number}),
                number == year.number,
            )
            for number in range(year.number - 1, year.number + 2)
        ],
        elapsed=words.percent(year.elapsed(words.today)),
        warning=words.count(
            "One budget will not last the year.", "${num} budgets will not last the year.", len(bad)
        )
        if bad
        else None,
        new_url=f"{url}/new" if may(request, P.SCENARIO_EDIT) else None,
    )


def _asked_year(request: Any, words: Words) -> FiscalYear:
    asked = request.GET.get("year", "")
    if asked.isdecimal() and len(asked) == 4 and 2000 <= int(asked) < 2200:
        return year_named(request.dbsession, int(asked))
    return year_of(request.dbsession, words.today)


def _plain(row: BudgetRow) -> dict[str, Any]:
    values = (
        row.counterparty,
        row.party.side,
        row.fiscal_year,
        row.amount_cents,
        row.outlook.billed_cents,
        row.outlook.year_cents,
        row.billed_percent,
        row.year_percent,
        row.elapsed,
        row.standing.value,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _shown(words: Words, row: BudgetRow) -> dict[str, Any]:
    title, kind = STANDINGS[row.standing]
    return {
        "id": row.id,
        "partner": row.counterparty,
        "agreement": row.party.agreement_key,
        "side": SIDES[row.party.side],
        "amount": words.cents(row.amount_cents),
        "billed": words.cents(row.outlook.billed_cents),
        "billed_percent": words.percent(row.billed_percent) if row.billed_percent else "",
        "forecast": words.cents(row.outlook.year_cents),
        "forecast_percent": words.percent(row.year_percent) if row.year_percent else "",
        "standing": title,
        "kind": kind,
    }


@view_config(
    context=BudgetRecord,
    permission=P.SCENARIO_READ,
    request_method="GET",
    renderer="budgets/budget.jinja2",
)
def budget(context: BudgetRecord, request: Any) -> Any:
    """One budget: its twelve months, billed and to come, and how the forecast was reckoned."""
    words, session = Words(request), request.dbsession
    stored = context.record
    year = year_named(session, stored.fiscal_year)
    party = (stored.side, stored.counterparty_id, stored.payer_kind, stored.payer_key)
    row = next(
        (
            each
            for each in budgets(session, year, now=request.now)
            if (each.party.side, each.party.counterparty_id) == party[:2]
            and (each.party.payer_kind, each.party.payer_key) == party[2:]
            and each.party.agreement_key == stored.agreement_key
        ),
        None,
    )
    if row is None:
        raise HTTPNotFound
    if wanted(request) == "json":
        months = [
            {"month": each.month, "cents": each.cents, "billed": each.billed}
            for each in row.outlook.months
        ]
        return json_response(_plain(row) | {"months": months})
    longest = max([each.cents for each in row.outlook.months] + [1])
    found = queries.versions(session, stored.id)
    people = names_of(session, [each.set_by for each in found])
    title, kind = STANDINGS[row.standing]
    slug = request.tenant.slug
    return page(
        request,
        row=row,
        side=SIDES[row.party.side],
        standing=(title, kind),
        budgets_url=f"/{slug}/budgets?year={row.fiscal_year}",
        new_url=f"/{slug}/budgets/new" if may(request, P.SCENARIO_EDIT) else None,
        months=[
            {
                "month": words.month(each.month),
                "cents": words.cents(each.cents),
                "last_year": words.cents(each.last_year_cents),
                "billed": each.billed,
                "bar": max(0, each.cents * 100 // longest),
            }
            for each in row.outlook.months
        ],
        facts=[
            (_("Budget"), words.cents(row.amount_cents)),
            (
                _("Billed so far"),
                _with_percent(words, row.outlook.billed_cents, row.billed_percent),
            ),
            (_("Likely to come"), words.cents(row.outlook.ahead_cents)),
            (
                _("Year as it is likely to end"),
                _with_percent(words, row.outlook.year_cents, row.year_percent),
            ),
            (_("Left, or lacking"), words.cents(row.amount_cents - row.outlook.year_cents)),
            (_("Gone by of the year"), words.percent(row.elapsed)),
            (_("Warns at"), words.percent(Decimal(row.warn_percent))),
            (_("Agreement"), row.party.agreement_key),
            (_("Note"), row.note),
        ],
        history=[
            {
                "when": words.when(each.set_at),
                "title": words.cents(each.amount_cents),
                "by": people.get(each.set_by, "") if each.set_by else "",
                "note": each.note,
            }
            for each in found
        ],
    )


def _with_percent(words: Words, cents: int, percent: Any) -> str:
    return words.cents(cents) + ("" if percent is None else f" ({words.percent(percent)})")


@view_config(
    context=Budgets,
    name="new",
    permission=P.SCENARIO_EDIT,
    request_method="GET",
    renderer="budgets/new.jinja2",
)
def new(context: Budgets, request: Any) -> dict[str, Any]:
    """The form that sets a budget."""
    return _new_page(request, _form(request))


@view_config(
    context=Budgets,
    name="new",
    permission=P.SCENARIO_EDIT,
    request_method="POST",
    renderer="budgets/new.jinja2",
)
def save(context: Budgets, request: Any) -> Any:
    """Set a budget; an earlier figure for the same stays on record."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        party = _party(request, values)

        def do() -> dict[str, Any]:
            made = set_budget(
                request.dbsession,
                party,
                fiscal_year=values["year"],
                amount_cents=values["amount"],
                warn_percent=values["warn_percent"],
                note=values["note"],
                now=request.now,
            )
            return {"id": str(made)}

        answer = once(request.dbsession, form_key(request), ["budget:set", values], do)
        request.flash("success", _("The budget was set."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/budgets/{answer['id']}")

    return handle_form_submission(request, form, on_success, lambda: _new_page(request, form))


def _new_page(request: Any, form: Any) -> dict[str, Any]:
    return page(request, form=form, budgets_url=f"/{request.tenant.slug}/budgets")


def _party(request: Any, values: dict[str, Any]) -> Party:
    kind, colon, key = values["counterparty"].partition(":")
    if colon:
        return Party("issued", request.tenant.id, kind, key)
    partner = request.registry.partners.by_slug(kind)
    return Party(values["side"], partner.id)


def _form(request: Any) -> Any:
    partners = [
        (each.slug, each.name)
        for each in request.registry.partners.all()
        if each.id != request.tenant.id and each.kind != "region"
    ]
    payers = [(f"{kind}:{key}", name) for kind, key, name in queries.own_payers(request.dbsession)]
    offered: list[Any] = [(_("Partners"), partners)]
    if payers:
        offered.append((_("Our own payers"), payers))
    schema = Schema()
    schema.add(
        SchemaNode(
            Choice([*partners, *payers]),
            name="counterparty",
            title=_("Between us and"),
            widget=SelectWidget(values=offered),
        )
    )
    schema.add(
        SchemaNode(
            Choice(list(SIDES)),
            name="side",
            title=_("For"),
            description=_("Our own payers always pay to us."),
            widget=RadioWidget(values=list(SIDES.items())),
        )
    )
    schema.add(
        SchemaNode(
            Integer(),
            name="year",
            title=_("Fiscal year"),
            description=_("The calendar year in which it ends, for example 2027."),
        )
    )
    schema.add(
        SchemaNode(Money(), name="amount", title=_("Budget"), description=_("For the whole year."))
    )
    schema.add(
        SchemaNode(
            Integer(),
            name="warn_percent",
            title=_("Warn at"),
            description=_("Percent of the budget that the year is likely to take."),
            widget=NumberWidget(suffix="%"),
        )
    )
    schema.add(
        SchemaNode(String(200), name="note", title=_("What it rests on"), missing=None),
    )
    year = year_of(request.dbsession, Words(request).today)
    return make_form(
        request,
        schema,
        submit=_("Set the budget"),
        values={"side": "received", "year": year.number, "warn_percent": 90},
        once=True,
        cancel_url=f"/{request.tenant.slug}/budgets",
    )
