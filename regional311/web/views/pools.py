"""Yearly costs that are divided: what they are made of, who bears which part, by which method."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.allocation.bases import POOL, plain
from regional311.allocation.methods import nearest_cent
from regional311.allocation.network import (
    PoolMonth,
    YearPool,
    month_of,
    side_by_side,
)
from regional311.allocation.network import percents as percents_of
from regional311.allocation.pool_changes import draft
from regional311.allocation.pools import METHODS as KNOWN_METHODS
from regional311.allocation.pools import PoolSaid
from regional311.allocation.shares import MONTHS
from regional311.allocation.year import Year, fiscal_year_of, read_year, starts_in_month
from regional311.calendars import month_of_fiscal_year
from regional311.errors import DomainError
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web import lines_of_text, sankey
from regional311.web.billing_wording import Check, Words, as_of, page
from regional311.web.forms import (
    Choice,
    HiddenWidget,
    Integer,
    Money,
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
from regional311.web.pool_wording import METHOD_MEANINGS, METHODS, Targets
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import PoolRecord, Pools

FIXED = "-"
"""The choice of shares instead of a base."""
SHARE_LINE = "multnomah-county; 50"
ACCOUNT_LINE = "Personnel; 511000; 2,800,000.00"
PART_LINE = "State grant; 30,000.00"


class _PoolForm(Schema):
    name = SchemaNode(String(200), title=_("Name"), description=_("As it stands on statements."))
    amount = SchemaNode(
        Money(),
        title=_("Amount to divide"),
        description=_("Dollars of the whole year. A negative amount is a credit."),
    )
    source = SchemaNode(
        String(200), title=_("What it rests on"), description=_("A budget page, a decision.")
    )
    sources = SchemaNode(
        String(8000, multiline=True),
        title=_("Accounts it is made of"),
        description=_(
            "One a line: name; account; dollars. For example: ${example}",
            mapping={"example": ACCOUNT_LINE},
        ),
        missing=None,
    )
    revenues = SchemaNode(
        String(4000, multiline=True),
        title=_("Revenues, taken off first"),
        description=_(
            "One a line: name; dollars. For example: ${example}", mapping={"example": PART_LINE}
        ),
        missing=None,
    )
    non_allocable = SchemaNode(
        String(4000, multiline=True),
        title=_("Parts that stay with the general fund"),
        description=_("One a line: name; dollars."),
        missing=None,
    )
    base = SchemaNode(
        String(60),
        title=_("Divided by"),
        description=_("A base, or fixed shares written below."),
    )
    share = SchemaNode(
        String(8000, multiline=True),
        title=_("Fixed shares"),
        description=_(
            "One a line: who; per cent. For example: ${example}. Bureaus are bureau:key, pools"
            " that this one serves pool:key. Together exactly 100.",
            mapping={"example": SHARE_LINE},
        ),
        missing=None,
    )
    method = SchemaNode(
        Choice(list(METHODS.items())),
        title=_("Method"),
        description=_("Pools that serve one another have one: a change goes for all of them."),
        widget=SelectWidget(values=list(METHODS.items())),
    )
    step_order = SchemaNode(
        Integer(),
        title=_("Place when stepping down"),
        description=_("Lowest first, 0 to 999."),
    )
    note = SchemaNode(String(200), title=_("Note"), missing=None)
    why = SchemaNode(
        String(500, multiline=True),
        title=_("Why"),
        description=_("Whoever approves it reads this, and the partners whose part changes."),
    )


class NewPoolForm(_PoolForm):
    """A pool of a fiscal year that is not there yet."""

    key = SchemaNode(
        String(60),
        title=_("Key"),
        description=_("Lower case letters, digits and hyphens; the same in every year."),
        insert_before="name",
    )
    fiscal_year = SchemaNode(
        Integer(),
        title=_("Fiscal year"),
        description=_("The year in which it ends."),
        insert_before="name",
    )


class PoolForm(_PoolForm):
    """What may be changed about a pool of a year."""

    actual = SchemaNode(
        Money(),
        title=_("Actual cost"),
        description=_("What it cost in the end, in the sense of the amount to divide."),
        missing=None,
        insert_before="why",
    )
    actual_source = SchemaNode(
        String(200),
        title=_("What the actual cost rests on"),
        missing=None,
        insert_before="why",
    )
    version = SchemaNode(Integer(), widget=HiddenWidget())


def year_label(year: int, starts_in: int) -> str:
    """A fiscal year in words: 2026–27."""
    return f"{year - 1}–{year % 100:02d}" if starts_in > 1 else str(year)


def _year(request: Any, day: date) -> Year:
    """The pools of the fiscal year that has the day in it."""
    starts_in = starts_in_month(request.dbsession)
    return read_year(request.dbsession, fiscal_year_of(day, starts_in), starts_in=starts_in)


def _targets(request: Any, year: Year) -> Targets:
    return Targets(request, {key: pool.name for key, pool in year.pools.items()})


def _divided_by(year: Year, row: Any) -> Any:
    if row.base_key is None:
        return _("Fixed shares")
    base = year.bases().get(row.base_key)
    return base.name if base else row.base_key


@view_config(
    context=Pools, permission=P.POOL_READ, request_method="GET", renderer="pools/index.jinja2"
)
def pools(context: Pools, request: Any) -> Any:
    """The shared costs of the fiscal year that has the day in it."""
    words = Words(request)
    day = as_of(request, words)
    year = _year(request, day)
    names = _targets(request, year)
    before = year.month_end(month_of_fiscal_year(day, year.starts_in))
    rows = []
    for pool in sorted(year.pools.values(), key=lambda each: (each.name, each.key)):
        percents, problem = _percents(year, pool, before)
        rows.append(
            {
                "key": pool.key,
                "name": pool.name,
                "fiscal_year": pool.fiscal_year,
                "year": year_label(pool.fiscal_year, year.starts_in),
                "yearly_cents": pool.yearly_cents,
                "actual_cents": pool.actual_cents,
                "base": _divided_by(year, pool),
                "method": METHODS[pool.method],
                "percents": percents,
                "problem": problem,
                "shares": ", ".join(
                    f"{names(target)} {words.percent(_shown(percents[target]))}"
                    for target in sorted(percents, key=lambda each: (-percents[each], each))
                ),
            }
        )
    form = wanted(request)
    if form != "html":
        columns = ("key", "fiscal_year", "name", "yearly_cents", "payer", "percent")
        found = [
            {**{name: row[name] for name in columns[:4]}, "payer": target, "percent": percent}
            for row in rows
            for target, percent in row["percents"].items()
        ]
        if form == "json":
            return json_response(found)
        return csv_response(request, "pools.csv", columns, [list(each.values()) for each in found])
    listing = Listing(
        request,
        columns=[
            Column("name", _("Pool")),
            Column("year", _("Fiscal year")),
            Column("cents", _("Cost of the year"), number=True),
            Column("actual", _("Actual"), number=True),
            Column("base", _("Divided by")),
            Column("shares", _("Who bears it")),
        ],
        csv=True,
    )
    listing.csv_url = f"{listing.path}?as_of={day.isoformat()}&format=csv"
    listing.fill(rows, total=len(rows))
    url = f"/{request.tenant.slug}/pools"
    return page(
        request,
        listing=listing,
        day=day,
        may_edit=may(request, P.POOL_EDIT),
        new_url=f"{url}/new",
        proposals_url=f"{url}/proposals",
        methods_url=f"{url}/methods?as_of={day.isoformat()}",
        flow_url=f"{url}/flow?as_of={day.isoformat()}",
        bases_url=f"/{request.tenant.slug}/bases",
    )


def _shown(percent: Decimal) -> Decimal:
    """A part as a list shows it: at most two places."""
    short = round(percent, 2)
    return percent if short == percent else short


def _percents(year: Year, pool: Any, before: date) -> tuple[dict[str, Decimal], str | None]:
    """Each target's part in per cent, or why nobody can say."""
    try:
        weights = year.weights_of(pool, before).by_target
    except DomainError as error:
        fixed = dict(year.percents.get(pool.id, {})) if pool.base_key is None else {}
        return fixed, error.message
    return percents_of(weights), None


def _pool_row(context: PoolRecord, request: Any) -> tuple[Any, Year, date, date]:
    """The pool in the year of the day asked for, else in its last; the year, that day, its end."""
    words = Words(request)
    day = as_of(request, words)
    starts_in = starts_in_month(request.dbsession)
    asked = fiscal_year_of(day, starts_in)
    known = sorted({row.fiscal_year for row in context.record})
    year = read_year(request.dbsession, asked if asked in known else known[-1], starts_in=starts_in)
    before = year.month_end(month_of_fiscal_year(day, starts_in))
    return year.pool(context.__name__), year, day, before


@view_config(
    context=PoolRecord, permission=P.POOL_READ, request_method="GET", renderer="pools/pool.jinja2"
)
def pool(context: PoolRecord, request: Any) -> Any:
    """A cost in the fiscal year of a day: what it is made of, and each target's part."""
    words = Words(request)
    found, year, day, before = _pool_row(context, request)
    names = _targets(request, year)
    month = month_of_fiscal_year(day, year.starts_in)
    percents, problem = _percents(year, found, before)
    months, unknown = _months(year, found.key)
    problem = problem or unknown
    this_month = months.get(month)
    of_the_year = list(months.values())
    bearers = {target for each in of_the_year for target in each.cents} | percents.keys()
    rows = [
        {
            "total": False,
            "target": target,
            "payer": names(target),
            "url": names.url(target),
            "own": target == request.tenant.slug,
            "percent": percents.get(target, Decimal(0)),
            "year_cents": _cents_of(of_the_year, target),
            "month_cents": None if this_month is None else _cents_of([this_month], target),
        }
        for target in sorted(
            bearers, key=lambda each: (-percents.get(each, Decimal(0)), names(each))
        )
    ]
    form = wanted(request)
    if form == "json":
        return json_response({"key": found.key, "fiscal_year": found.fiscal_year, "shares": rows})
    if form == "csv":
        columns = ("target", "payer", "percent", "year_cents", "month_cents")
        return csv_response(
            request,
            f"pool-{found.key}-{found.fiscal_year}.csv",
            columns,
            [[row[name] for name in columns] for row in rows],
        )
    if rows:
        rows.append(
            {
                "total": True,
                "payer": _("Total"),
                "url": None,
                "own": False,
                "percent": sum(percents.values(), Decimal(0)),
                "year_cents": sum(row["year_cents"] or 0 for row in rows),
                "month_cents": sum(row["month_cents"] or 0 for row in rows),
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
        csv=True,
    ).fill(rows)
    listing.csv_url = f"{listing.path}?as_of={day.isoformat()}&format=csv"
    url = f"/{request.tenant.slug}/pools"
    base = year.bases().get(found.base_key) if found.base_key else None
    return page(
        request,
        pool=found,
        day=day,
        problem=problem,
        url=f"{url}/{found.key}",
        pools_url=url,
        edit_url=f"{url}/{found.key}/edit?as_of={day.isoformat()}",
        versions_url=f"{url}/{found.key}/versions?as_of={day.isoformat()}",
        number=found.number,
        methods_url=f"{url}/methods?as_of={day.isoformat()}",
        flow_url=f"{url}/flow?as_of={day.isoformat()}",
        base=base,
        base_url=f"/{request.tenant.slug}/bases/{found.base_key}",
        may_edit=may(request, P.POOL_EDIT),
        listing=listing,
        made_of=_made_of(found),
        received=_received(of_the_year, names),
        sentence=_(
            "${amount} in the fiscal year ${year}, a twelfth each month.",
            mapping={
                "amount": words.cents(found.yearly_cents),
                "year": year_label(found.fiscal_year, year.starts_in),
            },
        ),
        checks=_checks(found, of_the_year, rows, problem),
        facts=[
            (_("Fiscal year"), year_label(found.fiscal_year, year.starts_in)),
            (
                _("This month"),
                None
                if this_month is None
                else _(
                    "${amount}, month ${month} of 12",
                    mapping={"amount": words.cents(this_month.own_cents), "month": month + 1},
                ),
            ),
            (_("Divided by"), _divided_by(year, found)),
            (_("Method"), METHODS[found.method]),
            (_("Rests on"), found.source),
            (
                _("Actual cost"),
                None
                if found.actual_cents is None
                else f"{words.cents(found.actual_cents)} ({found.actual_source})",
            ),
            (_("Note"), found.note),
            (
                _("Years on record"),
                ", ".join(
                    year_label(each, year.starts_in)
                    for each in sorted({row.fiscal_year for row in context.record})
                ),
            ),
        ],
    )


def _months(year: Year, key: str) -> tuple[dict[int, PoolMonth], str | None]:
    """The months of the year, each by what is known of its days, and why one cannot be divided."""
    found: dict[int, PoolMonth] = {}
    problem = None
    for number in range(MONTHS):
        try:
            group = year.group_of(key, year.month_end(number))
            found[number] = month_of(group, number)[key]
        except DomainError as error:
            problem = error.message
    return found, problem


def _cents_of(months: list[PoolMonth], target: str) -> int | None:
    """What a target bears in some months, or what a pool is given, to the nearest cent."""
    if not months:
        return None
    if target.startswith(POOL):
        key = target.removeprefix(POOL)
        return nearest_cent(sum((each.given.get(key, Fraction(0)) for each in months), Fraction(0)))
    return sum(each.cents.get(target, 0) for each in months)


def _made_of(found: Any) -> list[dict[str, Any]]:
    """The accounts, revenues and non-allocable parts as lines that make the amount."""
    rows = [
        {"name": each["name"], "account": each.get("account"), "cents": each["cents"], "kind": ""}
        for each in found.sources
    ]
    for kind, parts in (
        (_("Revenue, taken off first"), found.revenues),
        (_("Stays with the general fund"), found.non_allocable),
    ):
        rows += [
            {"name": each["name"], "account": None, "cents": -each["cents"], "kind": kind}
            for each in parts
        ]
    return rows


def _received(months: list[PoolMonth], names: Targets) -> list[tuple[str, str, int]]:
    """What other pools gave in the year, to the nearest cent."""
    keys = sorted({key for month in months for key in month.received})
    return [
        (
            names(f"pool:{key}"),
            names.url(f"pool:{key}") or "",
            nearest_cent(
                sum((each.received.get(key, Fraction(0)) for each in months), Fraction(0))
            ),
        )
        for key in keys
    ]


def _checks(
    found: Any, months: list[PoolMonth], rows: list[dict[str, Any]], problem: str | None
) -> list[Check]:
    checks = []
    if found.base_key is None:
        whole = sum((row["percent"] for row in rows if not row["total"]), Decimal(0)) == 100
        checks.append(Check(_("The shares make exactly 100 %."), whole))
    if problem is not None:
        checks.append(Check(_("The pool can be divided."), False, problem))
    if months:
        total = sum(
            row["year_cents"] or 0
            for row in rows
            if not row["total"] and not row["target"].startswith(POOL)
        )
        kept = sum(month.unallocated_cents for month in months)
        checks.append(
            Check(
                _("The parts of the year sum to what the months divide, to the cent."),
                total + kept == sum(month.month_cents for month in months),
            )
        )
        checks.append(Check(_("Nothing stays unallocated."), kept == 0))
    return checks


@view_config(
    context=Pools,
    name="methods",
    permission=P.POOL_READ,
    request_method="GET",
    renderer="pools/methods.jinja2",
)
def methods(context: Pools, request: Any) -> Any:
    """What each target bears of a year's pools by each method, and how far they differ."""
    words = Words(request)
    day = as_of(request, words)
    year = _year(request, day)
    names = _targets(request, year)
    before = year.month_end(month_of_fiscal_year(day, year.starts_in))
    groups: list[dict[str, Any]] = []
    for pools_of_group, problem in _groups(year, before):
        if problem is not None:
            groups.append({"problem": problem, "pools": pools_of_group})
            continue
        groups.append(_compared(request, pools_of_group, names))
    form = wanted(request)
    if form != "html":
        found = [row for group in groups for row in group.get("rows", []) if not row["total"]]
        columns = ("target", "name", *KNOWN_METHODS)
        table = [
            [row["target"], row["name"], *(row["cents"].get(each) for each in KNOWN_METHODS)]
            for row in found
        ]
        if form == "json":
            return json_response([dict(zip(columns, each, strict=True)) for each in table])
        return csv_response(request, "pool-methods.csv", columns, table)
    url = f"/{request.tenant.slug}/pools"
    return page(
        request,
        day=day,
        groups=groups,
        url=f"{url}/methods",
        pools_url=url,
        flow_url=f"{url}/flow?as_of={day.isoformat()}",
        csv_url=f"{url}/methods?as_of={day.isoformat()}&format=csv",
        year=year_label(year.fiscal_year, year.starts_in),
        methods=METHODS,
        meanings_of=[(METHODS[each], METHOD_MEANINGS[each]) for each in KNOWN_METHODS],
    )


def _groups(year: Year, before: date) -> list[tuple[tuple[Any, ...], str | None]]:
    """The groups of pools that are divided together, or why one cannot be."""
    found: list[tuple[tuple[Any, ...], str | None]] = []
    seen: set[str] = set()
    for key in year.pools:
        if key in seen:
            continue
        try:
            group = year.group_of(key, before)
        except DomainError as error:
            seen.add(key)
            found.append(((year.pools[key],), error.message))
            continue
        seen |= {pool.key for pool in group}
        found.append((group, None))
    return found


def _compared(request: Any, group: tuple[YearPool, ...], names: Targets) -> dict[str, Any]:
    found = {each.method.replace("-", "_"): each for each in side_by_side(group)}
    chosen = group[0].method
    targets = sorted({name for each in found.values() for name in each.cents})
    rows = [
        {
            "total": False,
            "target": target,
            "name": names(target),
            "cents": {method: each.cents[target] for method, each in found.items()},
        }
        for target in names.sorted(targets)
    ]
    rows.append(
        {
            "total": True,
            "target": "",
            "name": _("Total"),
            "cents": {method: sum(each.cents.values()) for method, each in found.items()},
        }
    )
    return {
        "problem": None,
        "pools": group,
        "chosen": chosen,
        "methods": [each for each in KNOWN_METHODS if each in found],
        "left_out": [each for each in KNOWN_METHODS if each not in found],
        "rows": rows,
        "gross": [
            {
                "name": pool.name,
                "url": f"/{request.tenant.slug}/pools/{pool.key}",
                "own": pool.cents,
                "cents": {method: each.gross_cents[pool.node] for method, each in found.items()},
            }
            for pool in group
        ],
    }


@view_config(
    context=Pools,
    name="flow",
    permission=P.POOL_READ,
    request_method="GET",
    renderer="pools/flow.jinja2",
)
def flow(context: Pools, request: Any) -> Any:
    """How a year's cost flows from pools through pools to targets, as a picture and a table."""
    words = Words(request)
    day = as_of(request, words)
    year = _year(request, day)
    names = _targets(request, year)
    before = year.month_end(month_of_fiscal_year(day, year.starts_in))
    asked = request.GET.get("method", "")
    pictures: list[dict[str, Any]] = []
    table = []
    for group, problem in _groups(year, before):
        if problem is not None:
            pictures.append({"problem": problem, "pools": group})
            continue
        found = {each.method.replace("-", "_"): each for each in side_by_side(group)}
        method = asked if asked in found else group[0].method
        if method not in found:
            continue
        allocation = found[method]
        flows = {each: float(amount) for each, amount in allocation.flows().items()}
        nodes = [sankey.Node(pool.node, pool.name, float(pool.cents)) for pool in group]
        nodes += [
            sankey.Node(target, names(target), target=True)
            for target in names.sorted(allocation.cents)
            if any(taker == target for _giver, taker in flows)
        ]
        rows = [
            {
                "giver": names(giver),
                "taker": names(taker),
                "cents": nearest_cent(amount),
                "method": method,
            }
            for (giver, taker), amount in sorted(
                allocation.flows().items(), key=lambda each: (names(each[0][0]), -each[1])
            )
        ]
        table += rows
        pictures.append(
            {
                "problem": None,
                "pools": group,
                "method": method,
                "picture": sankey.draw(nodes, flows),
                "rows": rows,
                "unallocated": [
                    (names(node), cents) for node, cents in allocation.unallocated_cents.items()
                ],
            }
        )
    form = wanted(request)
    columns = ("giver", "taker", "cents", "method")
    if form == "json":
        return json_response(table)
    if form == "csv":
        return csv_response(
            request, "pool-flow.csv", columns, [[row[name] for name in columns] for row in table]
        )
    url = f"/{request.tenant.slug}/pools"
    query = f"as_of={day.isoformat()}"
    return page(
        request,
        day=day,
        pictures=pictures,
        url=f"{url}/flow",
        pools_url=url,
        methods_url=f"{url}/methods?{query}",
        csv_url=f"{url}/flow?{query}&format=csv" + (f"&method={asked}" if asked in METHODS else ""),
        year=year_label(year.fiscal_year, year.starts_in),
        methods=METHODS,
        tabs=[
            (f"{url}/flow?{query}", _("As billed"), asked not in METHODS),
            *(
                (f"{url}/flow?{query}&method={each}", title, asked == each)
                for each, title in METHODS.items()
            ),
        ],
    )


# Forms


@view_config(
    context=Pools,
    name="new",
    permission=P.POOL_EDIT,
    request_method="GET",
    renderer="pools/edit.jinja2",
)
def new(context: Pools, request: Any) -> Any:
    """The form of a pool that is not there yet."""
    return _new_page(request, _new_form(request))


@view_config(
    context=Pools,
    name="new",
    permission=P.POOL_EDIT,
    request_method="POST",
    renderer="pools/edit.jinja2",
)
def add(context: Pools, request: Any) -> Any:
    """Draft a pool for a fiscal year."""
    form = _new_form(request)

    def on_success(values: dict[str, Any]) -> Any:
        key, fiscal_year = values["key"], values["fiscal_year"]
        said = _said(values)

        def do() -> dict[str, Any]:
            made = draft(
                request.dbsession,
                key,
                fiscal_year,
                said,
                why=values["why"],
                now=request.now,
                new=True,
            )
            return {"id": str(made)}

        answer = once(request.dbsession, form_key(request), ["pool:add", values], do)
        return HTTPSeeOther(location=f"/{request.tenant.slug}/pools/proposals/{answer['id']}")

    return handle_form_submission(request, form, on_success, lambda: _new_page(request, form))


def _new_form(request: Any) -> Any:
    words = Words(request)
    year = _year(request, words.today)
    return make_form(
        request,
        _with_bases(NewPoolForm(), year),
        submit=_("See what changes"),
        values={
            "fiscal_year": year.fiscal_year,
            "method": "step_down",
            "step_order": 0,
            "base": FIXED,
        },
        once=True,
        cancel_url=f"/{request.tenant.slug}/pools",
    )


def _new_page(request: Any, form: Any) -> Any:
    url = f"/{request.tenant.slug}/pools"
    return page(
        request,
        form=form,
        title=_("New cost pool"),
        lead=_("A cost of one fiscal year and how it is divided."),
        pools_url=url,
        url=None,
        pool_name=None,
    )


@view_config(
    context=PoolRecord,
    name="edit",
    permission=P.POOL_EDIT,
    request_method="GET",
    renderer="pools/edit.jinja2",
)
def edit(context: PoolRecord, request: Any) -> Any:
    """The form that changes a pool of the year of a day."""
    return _edit_page(context, request, _edit_form(context, request))


@view_config(
    context=PoolRecord,
    name="edit",
    permission=P.POOL_EDIT,
    request_method="POST",
    renderer="pools/edit.jinja2",
)
def save(context: PoolRecord, request: Any) -> Any:
    """Draft the next version of a pool of a year; one that was overtaken shows both."""
    form = _edit_form(context, request)

    def on_success(values: dict[str, Any]) -> Any:
        found = _pool_row(context, request)[0]
        said = replace(
            _said(values), actual_cents=values["actual"], actual_source=values["actual_source"]
        )

        def do() -> dict[str, Any]:
            made = draft(
                request.dbsession,
                found.key,
                found.fiscal_year,
                said,
                why=values["why"],
                now=request.now,
                based_on=values["version"],
            )
            return {"id": str(made)}

        kept = ["pool:change", found.key, found.fiscal_year, values]
        answer = once(request.dbsession, form_key(request), kept, do)
        return HTTPSeeOther(location=f"/{request.tenant.slug}/pools/proposals/{answer['id']}")

    return handle_form_submission(
        request, form, on_success, lambda: _edit_page(context, request, form)
    )


def _said(values: dict[str, Any]) -> PoolSaid:
    """What a form says of a pool; the lines of its text fields are read here."""
    return PoolSaid(
        name=values["name"],
        yearly_cents=values["amount"],
        source=values["source"],
        note=values["note"],
        sources=lines_of_text.amounts(
            values["sources"], field="sources", example=ACCOUNT_LINE, account=True
        ),
        revenues=lines_of_text.amounts(values["revenues"], field="revenues", example=PART_LINE),
        non_allocable=lines_of_text.amounts(
            values["non_allocable"], field="non_allocable", example=PART_LINE
        ),
        method=values["method"],
        base_key=None if values["base"] == FIXED else values["base"],
        step_order=values["step_order"],
        shares=lines_of_text.percents(values["share"], field="share", example=SHARE_LINE),
    )


def _with_bases(schema: Any, year: Year) -> Any:
    schema["base"].widget = SelectWidget(
        values=[
            (FIXED, _("Fixed shares")),
            *((base.key, base.name) for base in year.bases().values()),
        ]
    )
    return schema


def _edit_form(context: PoolRecord, request: Any) -> Any:
    found, year, day, _before = _pool_row(context, request)
    shares = year.percents.get(found.id, {}) if found.base_key is None else {}
    return make_form(
        request,
        _with_bases(PoolForm(), year),
        submit=_("See what changes"),
        values={
            "name": found.name,
            "amount": found.yearly_cents,
            "source": found.source,
            "sources": lines_of_text.amounts_text(found.sources, account=True) or None,
            "revenues": lines_of_text.amounts_text(found.revenues) or None,
            "non_allocable": lines_of_text.amounts_text(found.non_allocable) or None,
            "base": found.base_key or FIXED,
            "share": lines_of_text.pairs_text(
                {target: plain(shares[target]) for target in sorted(shares) if shares[target]}
            )
            or None,
            "method": found.method,
            "step_order": found.step_order,
            "note": found.note,
            "actual": found.actual_cents,
            "actual_source": found.actual_source,
            "version": found.number,
        },
        once=True,
        action=f"{request.path}?as_of={day.isoformat()}",
        cancel_url=f"/{request.tenant.slug}/pools/{found.key}?as_of={day.isoformat()}",
    )


def _edit_page(context: PoolRecord, request: Any, form: Any) -> Any:
    rows = {row.fiscal_year: row for row in context.record}
    if not rows:
        raise HTTPNotFound
    name = next(iter(rows.values())).name
    url = f"/{request.tenant.slug}/pools"
    return page(
        request,
        form=form,
        title=_("Change the pool"),
        lead=_("A second person approves it. What was billed stays; later runs use it."),
        pools_url=url,
        url=f"{url}/{context.__name__}",
        pool_name=name,
    )
