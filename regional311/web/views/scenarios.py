"""What if: other rates, shares, volumes and rules beside what was billed; saved and shared."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.calendars import BadPeriod, Period
from regional311.forecast import queries
from regional311.forecast.changes import METHODS, BadChange, Changes
from regional311.forecast.service import Comparison, PeriodTooLong, Row, save, share, try_out
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web.billing_wording import ACTIVITIES, PAYER_RULES, Words, page
from regional311.web.forms import (
    Choice,
    Decimal,
    Money,
    NumberWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    TextWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import ScenarioRecord, Scenarios

BASES = {
    "billed": _("Billed"),
    "as_things_stand": _("As things stand"),
    "partly_billed": _("Billed, or as things stand"),
}
METHOD_WORDS = {
    "direct": _("Direct"),
    "step_down": _("Step-down"),
    "double_step_down": _("Double step-down"),
    "reciprocal": _("Reciprocal"),
}
COLUMNS = (
    "payer",
    "payer_kind",
    "payer_key",
    "agreement_key",
    "kind",
    "label",
    "before_cents",
    "after_cents",
    "difference_cents",
)
LINES = 200
"""How many lines the page of a scenario shows; CSV has all of them."""
_LINE = re.compile(r"([a-z0-9][a-z0-9_-]*)[ \t:=]+(.+)")


# The list


@view_config(
    context=Scenarios,
    permission=P.SCENARIO_READ,
    request_method="GET",
    renderer="scenarios/index.jinja2",
)
def index(context: Scenarios, request: Any) -> Any:
    """The scenarios that were saved here or shared with us, latest first."""
    words, session = Words(request), request.dbsession
    listing = Listing(
        request,
        columns=[
            Column("name", _("Scenario")),
            Column("period", _("Period")),
            Column("by", _("From")),
            Column("made", _("Saved")),
        ],
    )
    rows = queries.scenarios(session, before=_id(listing.after), limit=PAGE_SIZE + 1)
    if wanted(request) == "json":
        return json_response(
            [
                {"public_id": row.public_id, "name": row.name, "period": row.period_key}
                for row in rows
            ]
        )
    shown = rows[:PAGE_SIZE]
    people = names_of(session, [row.made_by for row in shown])
    listing.fill(
        [
            {
                "public_id": row.public_id,
                "name": row.name,
                "period": words.month(row.period_key),
                "by": _from(request, row, people),
                "made": words.when(row.made_at),
            }
            for row in shown
        ],
        after=str(shown[-1].id) if len(rows) > PAGE_SIZE else None,
    )
    return page(
        request,
        listing=listing,
        new_url=f"/{request.tenant.slug}/scenarios/new" if may(request, P.SCENARIO_EDIT) else None,
    )


def _from(request: Any, row: Any, people: dict[UUID, str]) -> str:
    if row.from_tenant_id is not None:
        partner = request.registry.partners.by_id(row.from_tenant_id)
        return partner.name if partner else ""
    return people.get(row.made_by, "") if row.made_by else ""


# One scenario


@view_config(
    context=ScenarioRecord,
    permission=P.SCENARIO_READ,
    request_method="GET",
    renderer="scenarios/scenario.jinja2",
)
def scenario(context: ScenarioRecord, request: Any) -> Any:
    """A scenario: what was assumed, what it would cost each payer, line by line."""
    stored = context.record
    found = Comparison.of(stored.result)
    form = wanted(request)
    if form == "json":
        rows = [_plain(row) for row in found.rows]
        return json_response(
            {
                "public_id": stored.public_id,
                "name": stored.name,
                "period": found.period_key,
                "basis": found.basis,
                "changes": stored.changes,
                "before_cents": found.before_cents,
                "after_cents": found.after_cents,
                "rows": rows,
            }
        )
    if form == "csv":
        return csv_response(
            request,
            f"{stored.public_id}.csv",
            COLUMNS,
            [list(_plain(row).values()) for row in found.rows],
        )
    words, slug = Words(request), request.tenant.slug
    ranked = sorted(found.rows, key=lambda row: -abs(row.difference_cents))[:LINES]
    url = f"/{slug}/scenarios/{stored.public_id}"
    mine = stored.from_tenant_id is None
    return page(
        request,
        scenario=stored,
        lead=_lead(words, found),
        assumed=_assumed(words, Changes.of(stored.changes)),
        basis=BASES[found.basis],
        before=words.cents(found.before_cents),
        after=words.cents(found.after_cents),
        difference=_signed(words, found.after_cents - found.before_cents),
        payers=[_shown(words, row) for row in found.by_payer()],
        lines=[_shown(words, row) for row in ranked],
        left_out=len(found.rows) - len(ranked),
        url=url,
        scenarios_url=f"/{slug}/scenarios",
        facts=[
            (_("Period"), words.month(stored.period_key)),
            (_("From"), _from(request, stored, names_of(request.dbsession, [stored.made_by]))),
            (_("Saved"), words.when(stored.made_at)),
            (_("Shared with"), ", ".join(stored.shared_with) or None),
            (_("Note"), stored.note),
        ],
        share_form=_share_form(request, stored, found)
        if mine and may(request, P.SCENARIO_EDIT)
        else None,
    )


def _plain(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in COLUMNS}


def _shown(words: Words, row: Row) -> dict[str, Any]:
    return {
        "payer": row.payer_name,
        "label": row.label,
        "kind": words("line_kind", row.kind) if row.kind else "",
        "before": words.cents(row.before_cents),
        "after": words.cents(row.after_cents),
        "difference": _signed(words, row.difference_cents),
    }


def _signed(words: Words, cents: int) -> str:
    return ("+" if cents > 0 else "") + words.cents(cents)


def _sign(words: Words, percent: Any) -> str:
    return ("+" if percent > 0 else "") + words.number(percent)


def _lead(words: Words, found: Comparison) -> Any:
    change = found.after_cents - found.before_cents
    told = {
        "before": words.cents(found.before_cents),
        "after": words.cents(found.after_cents),
        "change": words.cents(abs(change)),
        "period": words.month(found.period_key),
    }
    if change == 0:
        return _("${period} would cost the same: ${after}.", mapping=told)
    if change > 0:
        return _(
            "${period} would cost ${after} instead of ${before}: ${change} more.", mapping=told
        )
    return _("${period} would cost ${after} instead of ${before}: ${change} less.", mapping=told)


def _assumed(words: Words, changes: Changes) -> list[Any]:
    """What a scenario assumes, one sentence each."""
    said: list[Any] = []
    if changes.work_of:
        said.append(_("The work of ${month}.", mapping={"month": words.month(changes.work_of)}))
    if changes.volume_percent is not None:
        activity = words("activity", changes.volume_activity) if changes.volume_activity else ""
        told = {"percent": _sign(words, changes.volume_percent), "activity": activity}
        said.append(
            _("Work of the kind ${activity}: ${percent} %.", mapping=told)
            if activity
            else _("All work: ${percent} %.", mapping=told)
        )
    if changes.rates_percent is not None:
        told = {"percent": _sign(words, changes.rates_percent)}
        said.append(_("All rates: ${percent} %.", mapping=told))
    for key, amount in sorted(changes.rates.items()):
        told = {"rate": key, "amount": words.money(amount)}
        said.append(_("The rate ${rate} at ${amount}.", mapping=told))
    if changes.pools_percent is not None:
        told = {"percent": _sign(words, changes.pools_percent)}
        said.append(_("All shared costs: ${percent} %.", mapping=told))
    for key, cents in sorted(changes.pools.items()):
        told = {"pool": key, "amount": words.cents(cents)}
        said.append(_("The pool ${pool} costs ${amount} a year.", mapping=told))
    for key, parts in sorted(changes.shares.items()):
        listed = ", ".join(f"{target} {words.percent(part)}" for target, part in parts.items())
        said.append(_("The pool ${pool}: ${parts}.", mapping={"pool": key, "parts": listed}))
    if changes.method:
        said.append(
            _("Pools allocated by: ${method}.", mapping={"method": METHOD_WORDS[changes.method]})
        )
    for key, rule in sorted(changes.payer_rules.items()):
        said.append(f"{key}: {words.say('payer_rule', rule)}")
    for key, terms in sorted(changes.terms.items()):
        listed = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in terms.items())
        said.append(f"{key}: {listed}")
    return said or [_("Nothing: everything as it is.")]


# Trying out


@view_config(
    context=Scenarios,
    name="new",
    permission=P.SCENARIO_EDIT,
    request_method="GET",
    renderer="scenarios/new.jinja2",
)
def new(context: Scenarios, request: Any) -> dict[str, Any]:
    """The form that tries something out."""
    return _new_page(request, _form(request))


@view_config(
    context=Scenarios,
    name="new",
    permission=P.SCENARIO_EDIT,
    request_method="POST",
    renderer="scenarios/new.jinja2",
)
def make(context: Scenarios, request: Any) -> Any:
    """Try it out, and keep the comparison under its name; nothing else is changed."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        period, changes = _period(values), _changes(values)

        def do() -> dict[str, Any]:
            found = try_out(request.dbsession, period, changes, now=request.now)
            number = save(
                request.dbsession,
                name=values["name"],
                note=values["note"],
                changes=changes,
                comparison=found,
                now=request.now,
            )
            return {"number": number}

        key = ["scenario:new", values["name"], period.label, changes.as_json()]
        answer = once(request.dbsession, form_key(request), key, do)
        request.flash("success", _("Tried out and saved. Nothing that was billed has changed."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/scenarios/{answer['number']}")

    return handle_form_submission(request, form, on_success, lambda: _new_page(request, form))


def _new_page(request: Any, form: Any) -> dict[str, Any]:
    last = Period.month_of(Words(request).today).previous()
    offered = queries.offered(request.dbsession, last)
    return page(
        request,
        form=form,
        offered=offered,
        scenarios_url=f"/{request.tenant.slug}/scenarios",
    )


def _period(values: dict[str, Any]) -> Period:
    try:
        first = Period.month(values["first"])
        last = Period.month(values["last"]) if values["last"] else first
    except BadPeriod as bad:
        raise PeriodTooLong(bad.message, field="first") from None
    if last.end_on <= first.start_on:
        raise PeriodTooLong("The last month lies before the first.", field="last")
    return Period(first.start_on, last.end_on)


def _changes(values: dict[str, Any]) -> Changes:
    terms: dict[str, Any] = {
        name: values[name]
        for name in ("not_to_exceed_cents", "minimum_cents")
        if values[name] is not None
    }
    if values["overhead_percent"] is not None:
        terms["overhead_percent"] = f"{values['overhead_percent'].normalize():f}"
    if values["discount_percent"] is not None:
        percent = f"{values['discount_percent'].normalize():f}"
        terms["discounts"] = [{"name": "Assumed discount", "percent": percent}]
    agreement = values["agreement"]
    if (terms or values["payer_rule"]) and not agreement:
        raise BadChange("Choose the agreement that has other terms.", field="agreement")
    said: dict[str, Any] = {
        "rates": _pairs(values["rates"], "rates"),
        "shares": {
            pool: _parts(parts) for pool, parts in _pairs(values["shares"], "shares").items()
        },
        "payer_rules": {agreement: values["payer_rule"]} if values["payer_rule"] else {},
        "terms": {agreement: terms} if terms else {},
    }
    for name in ("rates_percent", "pools_percent", "volume_percent"):
        said[name] = None if values[name] is None else f"{values[name]:f}"
    for name in ("method", "volume_activity", "work_of"):
        said[name] = values[name]
    return Changes.of({name: value for name, value in said.items() if value})


def _pairs(text: str | None, field: str) -> dict[str, str]:
    """Lines such as ``phone 6.50``: what is meant, and its figure."""
    found: dict[str, str] = {}
    for line in (text or "").splitlines():
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or match[1] in found:
            raise BadChange("Write one a line: its key, a blank, its figure.", field=field)
        found[match[1]] = match[2].strip().removeprefix("$")
    return found


def _parts(text: str) -> dict[str, str]:
    """``city-of-portland 40, multnomah-county 60``, in percent."""
    found: dict[str, str] = {}
    for each in text.split(","):
        target, _blank, percent = each.strip().rpartition(" ")
        if not target.strip() or target.strip() in found:
            raise BadChange(
                "Write the shares of a pool on one line: target, a blank, percent; by commas.",
                field="shares",
            )
        found[target.strip()] = percent.removesuffix("%")
    return found


def _percent_node(name: str, title: Any, description: Any) -> Any:
    return SchemaNode(
        Decimal(3),
        name=name,
        title=title,
        description=description,
        missing=None,
        widget=NumberWidget(suffix="%"),
    )


def _form(request: Any) -> Any:
    last = Period.month_of(Words(request).today).previous()
    offered = queries.offered(request.dbsession, last)
    schema = Schema()
    nodes = [
        SchemaNode(String(100), name="name", title=_("Name")),
        SchemaNode(String(500, multiline=True), name="note", title=_("Note"), missing=None),
        SchemaNode(
            String(7),
            name="first",
            title=_("First month"),
            description=_("Year and month, for example 2026-10."),
            widget=TextWidget(width="sm"),
        ),
        SchemaNode(
            String(7),
            name="last",
            title=_("Last month"),
            description=_("Left empty: one month. At most twelve."),
            missing=None,
            widget=TextWidget(width="sm"),
        ),
        SchemaNode(
            String(7),
            name="work_of",
            title=_("With the work of"),
            description=_("For a month to come: a month whose work stands in for its own."),
            missing=None,
            widget=TextWidget(width="sm"),
        ),
        _percent_node("rates_percent", _("All rates by"), _("5 is 5 % more, -5 is 5 % less.")),
        SchemaNode(
            String(4000, multiline=True),
            name="rates",
            title=_("Single rates"),
            description=_("One a line: the key of the rate, a blank, its price: phone 6.50"),
            missing=None,
            widget=TextAreaWidget(rows=3),
        ),
        _percent_node("volume_percent", _("Work by"), _("10 is a tenth more work, -10 less.")),
        SchemaNode(
            Choice(list(ACTIVITIES)),
            name="volume_activity",
            title=_("Only work of this kind"),
            missing=None,
            widget=SelectWidget(values=list(ACTIVITIES.items()), empty=_("All work")),
        ),
        _percent_node("pools_percent", _("All shared costs by"), _("5 is 5 % more.")),
        SchemaNode(
            String(4000, multiline=True),
            name="shares",
            title=_("Shares of pools"),
            description=_(
                "One pool a line, in percent: i-and-r city-of-portland 40, multnomah-county 60"
            ),
            missing=None,
            widget=TextAreaWidget(rows=3),
        ),
        SchemaNode(
            Choice(METHODS),
            name="method",
            title=_("Method of allocation"),
            missing=None,
            widget=SelectWidget(values=list(METHOD_WORDS.items()), empty=_("As it is")),
        ),
        SchemaNode(
            Choice(list(offered.agreements)),
            name="agreement",
            title=_("Agreement with other terms"),
            missing=None,
            widget=SelectWidget(values=list(offered.agreements), empty=_("None")),
        ),
        SchemaNode(
            Choice(list(PAYER_RULES)),
            name="payer_rule",
            title=_("Who pays under it"),
            missing=None,
            widget=SelectWidget(values=list(PAYER_RULES.items()), empty=_("As it is")),
        ),
        _percent_node("discount_percent", _("Discount"), _("Instead of its discounts.")),
        _percent_node("overhead_percent", _("Overhead"), _("On what is left after funding.")),
        SchemaNode(
            Money(), name="not_to_exceed_cents", title=_("At most in a fiscal year"), missing=None
        ),
        SchemaNode(Money(), name="minimum_cents", title=_("At least for a period"), missing=None),
    ]
    for node in nodes:
        schema.add(node)
    return make_form(
        request,
        schema,
        submit=_("Try it out"),
        values={"first": last.label},
        once=True,
        cancel_url=f"/{request.tenant.slug}/scenarios",
    )


# Sharing


def _share_form(request: Any, stored: Any, found: Comparison) -> Any:
    payers = {row.payer for row in found.rows if row.payer_kind == "partner"}
    offered = [
        (each.slug, each.name)
        for each in request.registry.partners.all()
        if each.slug in payers - set(stored.shared_with) and each.id != request.tenant.id
    ]
    if not offered:
        return None
    schema = Schema()
    schema.add(
        SchemaNode(
            Choice(offered),
            name="partner",
            title=_("Share with"),
            description=_("It sees what is assumed and its own lines, nobody else's."),
            widget=SelectWidget(values=offered),
        )
    )
    return make_form(
        request,
        schema,
        submit=_("Share it"),
        name="share",
        action=f"/{request.tenant.slug}/scenarios/{stored.public_id}/share",
        once=True,
    )


@view_config(
    context=ScenarioRecord,
    name="share",
    permission=P.SCENARIO_EDIT,
    request_method="POST",
    renderer="scenarios/scenario.jinja2",
)
def share_it(context: ScenarioRecord, request: Any) -> Any:
    """Let a partner see a scenario of ours, with its own lines only."""
    stored = context.record
    key = form_key(request)
    form = _share_form(request, stored, Comparison.of(stored.result))
    if stored.from_tenant_id is not None or form is None:
        raise HTTPNotFound

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        partner = request.registry.partners.by_slug(values["partner"])

        def do() -> dict[str, Any]:
            share(request.dbsession, stored.id, partner.id, now=request.now)
            return {}

        once(request.dbsession, key, ["scenario:share", str(stored.id), values], do)
        request.flash("success", _("The scenario was shared."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/scenarios/{stored.public_id}")

    return handle_form_submission(
        request, form, on_success, lambda: scenario(context, request) | {"share_form": form}
    )


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
