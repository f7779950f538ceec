"""Yearly costs that partners share: who bears which part, of the year and of the month."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pyramid.view import view_config

from regional311.allocation.shares import month_of_year, shares_of_month
from regional311.calendars import fiscal_year, month_of_fiscal_year
from regional311.chargeback import terms
from regional311.identity.permissions import Permissions as P
from regional311.money import split
from regional311.tenancy.queries import tenants
from regional311.web.billing_wording import Check, Words, as_of, page
from regional311.web.i18n import _
from regional311.web.listing import Column, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.tree import PoolRecord, Pools


def _starts_in(request: Any) -> int:
    """The month in which this partner's fiscal year begins."""
    rows = tenants(request.dbsession)
    return next(row.fiscal_year_starts_in for row in rows if row.id == request.tenant.id)


def _year_of(day: Any, starts_in: int) -> int:
    """The name of the fiscal year that has this day in it: the year in which it ends."""
    year = fiscal_year(day, starts_in)
    return int(year.end_on.year if starts_in > 1 else year.start_on.year)


def _name(request: Any, slug: str) -> str:
    partner = request.registry.partners.by_slug(slug)
    return partner.name if partner else slug


def _year_label(year: int, starts_in: int) -> str:
    return f"{year - 1}–{year % 100:02d}" if starts_in > 1 else str(year)


@view_config(
    context=Pools, permission=P.POOL_READ, request_method="GET", renderer="pools/index.jinja2"
)
def pools(context: Pools, request: Any) -> Any:
    """The shared costs of the fiscal year that has the day in it."""
    words = Words(request)
    day = as_of(request, words)
    starts_in = _starts_in(request)
    rows = terms.pools(request.dbsession, _year_of(day, starts_in))
    shares = terms.shares(request.dbsession, [row.id for row in rows])
    form = wanted(request)
    if form != "html":
        found = [
            {
                "key": row.key,
                "fiscal_year": row.fiscal_year,
                "name": row.name,
                "yearly_cents": row.yearly_cents,
                "payer": share.payer_slug,
                "percent": share.percent,
            }
            for row in rows
            for share in shares[row.id]
        ]
        if form == "json":
            return json_response(found)
        columns = ["key", "fiscal_year", "name", "yearly_cents", "payer", "percent"]
        return csv_response(request, "pools.csv", columns, [list(each.values()) for each in found])
    listing = Listing(
        request,
        columns=[
            Column("name", _("Pool")),
            Column("year", _("Fiscal year")),
            Column("cents", _("Cost of the year"), number=True),
            Column("shares", _("Who bears it")),
        ],
        csv=True,
    )
    listing.csv_url = f"{listing.path}?as_of={day.isoformat()}&format=csv"
    listing.fill(
        [
            {
                "key": row.key,
                "name": row.name,
                "year": _year_label(row.fiscal_year, starts_in),
                "yearly_cents": row.yearly_cents,
                "shares": ", ".join(
                    f"{_name(request, each.payer_slug)} {words.percent(each.percent)}"
                    for each in shares[row.id]
                ),
            }
            for row in rows
        ],
        total=len(rows),
    )
    return page(request, listing=listing, day=day)


@view_config(
    context=PoolRecord, permission=P.POOL_READ, request_method="GET", renderer="pools/pool.jinja2"
)
def pool(context: PoolRecord, request: Any) -> Any:
    """One shared cost in the fiscal year of a day: each bearer's part of the year and the month."""
    words = Words(request)
    day = as_of(request, words)
    starts_in = _starts_in(request)
    wanted_year = _year_of(day, starts_in)
    by_year = sorted(context.record, key=lambda row: row.fiscal_year)
    found = next((row for row in by_year if row.fiscal_year == wanted_year), by_year[-1])
    shares = terms.shares(request.dbsession, [found.id])[found.id]
    percents = {each.payer_slug: each.percent for each in shares}
    keys = sorted(percents)
    whole = sum(percents.values(), Decimal(0)) == 100
    month = month_of_fiscal_year(day, starts_in)
    year_parts = dict(
        zip(
            keys,
            split(found.yearly_cents, [percents[key] for key in keys], keys) if keys else [],
            strict=True,
        )
    )
    month_parts = shares_of_month(found.yearly_cents, month, percents) if whole else {}
    rows = [
        {
            "total": False,
            "payer": _name(request, each.payer_slug),
            "own": each.payer_slug == request.tenant.slug,
            "percent": each.percent,
            "year_cents": year_parts[each.payer_slug],
            "month_cents": month_parts.get(each.payer_slug),
        }
        for each in shares
    ]
    if wanted(request) == "json":
        return json_response({"key": found.key, "fiscal_year": found.fiscal_year, "shares": rows})
    rows.append(
        {
            "total": True,
            "payer": _("Total"),
            "own": False,
            "percent": sum(percents.values(), Decimal(0)),
            "year_cents": sum(year_parts.values()),
            "month_cents": sum(month_parts.values()),
        }
    )
    listing = Listing(
        request,
        columns=[
            Column("payer", _("Who bears it")),
            Column("percent", _("Share"), number=True),
            Column("year", _("Of the year"), number=True),
            Column("month", _("Of this month"), number=True),
        ],
    ).fill(rows)
    url = f"/{request.tenant.slug}/pools"
    return page(
        request,
        pool=found,
        day=day,
        url=f"{url}/{found.key}",
        pools_url=url,
        listing=listing,
        sentence=_(
            "${amount} in the fiscal year ${year}, a twelfth each month.",
            mapping={
                "amount": words.cents(found.yearly_cents),
                "year": _year_label(found.fiscal_year, starts_in),
            },
        ),
        checks=[
            Check(_("The shares make exactly 100 %."), whole),
            Check(
                _("The parts of the month sum to the month, to the cent."),
                whole and sum(month_parts.values()) == month_of_year(found.yearly_cents, month),
            ),
        ],
        facts=[
            (_("Fiscal year"), _year_label(found.fiscal_year, starts_in)),
            (
                _("This month"),
                _(
                    "${amount}, month ${month} of 12",
                    mapping={
                        "amount": words.cents(month_of_year(found.yearly_cents, month)),
                        "month": month + 1,
                    },
                ),
            ),
            (_("Rests on"), found.source),
            (_("Note"), found.note),
            (
                _("Years on record"),
                ", ".join(_year_label(row.fiscal_year, starts_in) for row in by_year),
            ),
        ],
    )
