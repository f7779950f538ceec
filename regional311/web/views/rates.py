"""What a partner's work costs others, as of any day, and the form that changes a price."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from pyramid.view import view_config

from regional311.calendars import instant
from regional311.chargeback import rate_standing, terms
from regional311.chargeback.rate_cards import (
    HOURS,
    LANGUAGES,
    RatePlace,
    RateSaid,
    known_rates,
    rated_work,
)
from regional311.chargeback.rate_grid import grid
from regional311.chargeback.rate_texts import say_phases, say_steps, say_surcharges
from regional311.chargeback.rates import RateProblem
from regional311.identity.permissions import Permissions as P
from regional311.web.billing_wording import Words, as_of, holds, page
from regional311.web.i18n import _, translated
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import RateRecord, Rates
from regional311.web.wording import CHANNELS

ACTIVITY_COLUMNS = ("key", "card", "activity", "channel", "service", "language", "hours", "unit")
MODELS = {
    "unit": _("So much a unit"),
    "graduated": _("Tiers, each unit at its tier's price"),
    "volume": _("Volume, all units at the total's price"),
    "package": _("Packages"),
    "percentage": _("A percentage"),
}


def price_in_words(request: Any, words: Words, rate: RateSaid) -> str:
    """A rate's price in a few words: *$4.90 each*, *$10.00 each, by tiers*."""
    money, unit = words.money(rate.amount), words.say("unit", rate.unit)
    said = {
        "unit": _("${money} ${unit}", mapping={"money": money, "unit": unit}),
        "graduated": _("from ${money} ${unit}, by tiers", mapping={"money": money, "unit": unit}),
        "volume": _("from ${money} ${unit}, by volume", mapping={"money": money, "unit": unit}),
        "package": _("${money} a package", mapping={"money": money}),
        "percentage": _(
            "${percent} of the amount", mapping={"percent": words.percent(rate.amount)}
        ),
    }[rate.model]
    text = translated(request, said)
    if rate.surcharges:
        text += translated(request, _(", with surcharges"))
    if rate.phases:
        text += translated(request, _(", phased in"))
    return text


def tariff_facts(rate: RateSaid) -> list[tuple[Any, Any]]:
    """What a rate says besides its price, as pairs; what it does not say is None."""
    return [
        (_("Charged by"), None if rate.model == "unit" else MODELS[rate.model]),
        (_("Steps"), say_steps(rate.model, rate.steps) or None),
        (_("Surcharges"), say_surcharges(rate.surcharges) or None),
        (_("Phased in"), say_phases(rate.phases) or None),
    ]


def known_on(request: Any) -> tuple[date | None, datetime | None]:
    """The day as it was known on that the page is asked for, and the last instant of it."""
    try:
        day = date.fromisoformat(request.GET.get("known_on", ""))
    except ValueError:
        return None, None
    if not 1900 <= day.year < 2200:
        return None, None
    return day, instant(request.tenant.zone, day + timedelta(days=1)) - timedelta(microseconds=1)


def scope_in_words(request: Any, words: Words, row: Any) -> str:
    """The work that a rate is for: *Phone, in business hours, Spanish*."""
    parts = []
    if row.service_key:
        parts.append(telling(request).service_name(request.tenant.slug, row.service_key))
    if row.channel:
        parts.append(words.say("channel", row.channel))
    if row.language:
        parts.append(words.say("language", row.language))
    if row.hours != "any":
        parts.append(words.say("hours", row.hours))
    if not parts:
        return str(request.localizer.translate(_("Any channel, at any hour")))
    return ", ".join(parts)


def facts(row: Any) -> dict[str, Any]:
    """A rate as plain data."""
    return {
        "key": row.key,
        "card": row.card_key,
        "activity": row.activity,
        "channel": row.channel,
        "service": row.service_key,
        "language": row.language,
        "hours": row.hours,
        "unit": row.unit,
        "model": row.model,
        "amount": row.amount,
        "steps": say_steps(row.model, row.steps),
        "surcharges": say_surcharges(row.surcharges),
        "phases": say_phases(row.phases),
        "valid_from": row.valid.lower,
        "valid_to": row.valid.upper,
        "source": row.source,
    }


@view_config(
    context=Rates, permission=P.RATE_READ, request_method="GET", renderer="rates/index.jinja2"
)
def rates(context: Rates, request: Any) -> Any:
    """This partner's rates that hold on a day."""
    words = Words(request)
    day = as_of(request, words)
    recorded_on, known_at = known_on(request)
    work = rated_work(request.dbsession)
    listing = Listing(
        request,
        columns=[
            Column("activity", _("Rate")),
            Column("scope", _("For")),
            Column("amount", _("Price"), number=True),
            Column("holds", _("Holds")),
        ],
        filters=[
            Filter("as_of", _("As of"), type="date"),
            Filter("known_on", _("As it was known on"), type="date"),
            Filter(
                "activity",
                _("Activity"),
                choices=[
                    (each, words("activity", each))
                    for each in sorted({each for _card, each in work})
                ],
            ),
            Filter(
                "card",
                _("Rate card"),
                choices=[(each, each) for each in sorted({card for card, _activity in work})],
            ),
        ],
        csv=True,
    )
    listing.filters[0].value = day.isoformat()
    listing.filters[1].value = recorded_on.isoformat() if recorded_on else ""
    form = wanted(request)
    rows = known_rates(
        request.dbsession,
        on=day,
        known_at=known_at,
        activity=listing.values["activity"],
        card=listing.values["card"],
        after=RatePlace.read(listing.after),
        limit=PAGE_SIZE + 1 if form == "html" else None,
    )
    if form == "json":
        return json_response([facts(row) for row in rows])
    if form == "csv":
        found = [facts(row) for row in rows]
        columns = [*ACTIVITY_COLUMNS, "model", "amount", "steps", "surcharges", "phases"]
        columns += ["valid_from", "valid_to", "source"]
        return csv_response(
            request, "rates.csv", columns, [[each[c] for c in columns] for each in found]
        )
    listing.fill(
        [
            {
                "key": row.key,
                "activity": row.activity,
                "scope": scope_in_words(request, words, row),
                "price": price_in_words(request, words, RateSaid.of_row(row)),
                "holds": words.span(row.valid),
            }
            for row in rows[:PAGE_SIZE]
        ],
        after=str(RatePlace.of(rows[PAGE_SIZE - 1])) if len(rows) > PAGE_SIZE else None,
        total=len(rows) if len(rows) <= PAGE_SIZE else None,
    )
    return page(
        request,
        listing=listing,
        day=day,
        recorded_on=recorded_on,
        may_edit=may(request, P.RATE_EDIT),
        url=f"/{request.tenant.slug}/rates",
    )


def known_row(context: RateRecord) -> Any:
    """The rate as it is known now; one that was only replaced is shown as it was last known."""
    rows = [row for row in context.record if not row.recorded.isempty]
    current = [row for row in rows if row.recorded.upper is None]
    return current[0] if current else max(rows, key=lambda row: row.recorded.upper, default=None)


@view_config(
    context=RateRecord,
    permission=P.RATE_READ,
    request_method="GET",
    renderer="rates/rate.jinja2",
)
def rate(context: RateRecord, request: Any) -> Any:
    """One price, what it is for, and every price of the same work by date."""
    words = Words(request)
    found = known_row(context)
    history = terms.rate_history(request.dbsession, found)
    if wanted(request) == "json":
        return json_response([facts(row) for row in history])
    listing = Listing(
        request,
        columns=[
            Column("since", _("Holds from")),
            Column("until", _("Last day")),
            Column("amount", _("Price"), number=True),
            Column("recorded", _("Recorded")),
        ],
    ).fill(
        [
            {
                "since": words.day(row.valid.lower),
                "until": words.last_day(row.valid.upper),
                "price": price_in_words(request, words, RateSaid.of_row(row)),
                "recorded": words.when(row.recorded.lower),
                "replaced": words.when(row.recorded.upper),
            }
            for row in history
        ]
    )
    now = holds(found.valid, words.today)
    said = RateSaid.of_row(found)
    told = {"price": price_in_words(request, words, said)}
    sentence = (
        _("${price}, today.", mapping=told)
        if now
        else _("${price}; it does not hold today.", mapping=told)
    )
    url = f"/{request.tenant.slug}/rates"
    return page(
        request,
        rate=found,
        title=title_of(request, words, found),
        sentence=sentence,
        url=f"{url}/{found.key}",
        rates_url=url,
        may_edit=may(request, P.RATE_EDIT)
        and found.recorded.upper is None
        and (found.valid.upper is None or found.valid.upper > words.today),
        listing=listing,
        facts=[
            (_("Rate card"), found.card_key),
            (_("Activity"), words("activity", found.activity)),
            (_("For"), scope_in_words(request, words, found)),
            *tariff_facts(said),
            (_("Holds"), words.span(found.valid)),
            (_("Rests on"), found.source),
        ],
    )


def title_of(request: Any, words: Words, row: Any) -> str:
    """A rate's work in words."""
    return f"{words.say('activity', row.activity)}: {scope_in_words(request, words, row)}"


def scope_row(request: Any, words: Words, scope: Any) -> str:
    """The work of a scope in words, as the grid's rows say it."""
    parts = [words.say("activity", scope.activity)]
    if scope.service is not None:
        parts.append(telling(request).service_name(request.tenant.slug, scope.service))
    parts += [
        words.say(table, value)
        for table, value in (("channel", scope.channel), ("language", scope.language))
        if value is not None
    ]
    if scope.hours != "any":
        parts.append(words.say("hours", scope.hours))
    return ", ".join(parts)


def grid_facts(
    request: Any, words: Words, laid: Any, standing: rate_standing.Standing
) -> dict[str, Any]:
    """A page of a grid as the template shows it, with what stands in all of it."""
    stretches = []
    for stretch in laid.stretches:
        if stretch.since is None:
            title: Any = _("through ${day}", mapping={"day": words.last_day(stretch.until)})
        elif stretch.until is None:
            title = _("from ${day} on", mapping={"day": words.day(stretch.since)})
        else:
            days = {"first": words.day(stretch.since), "last": words.last_day(stretch.until)}
            title = _("${first} to ${last}", mapping=days)
        stretches.append(title)
    return {
        "stretches": stretches,
        "gaps": standing.gaps,
        "overlaps": standing.overlaps,
        "first_gaps": [_problem(request, words, each) for each in standing.of("gap")],
        "first_overlaps": [_problem(request, words, each) for each in standing.of("overlap")],
        "rows": [
            {
                "card": row.scope.card,
                "title": scope_row(request, words, row.scope),
                "cells": [
                    {
                        "kind": cell.kind,
                        "changed": cell.changed,
                        "rates": [
                            (rate.key, price_in_words(request, words, rate)) for rate in cell.rates
                        ],
                    }
                    for cell in row.cells
                ],
            }
            for row in laid.rows
        ],
    }


def _problem(request: Any, words: Words, problem: RateProblem) -> str:
    """A gap or an overlap in words, with the days and the keys of its rates."""
    first, second = problem.keys
    told = {
        "first": first,
        "second": second,
        "day": words.day(problem.from_on),
        "last": words.last_day(problem.to_on),
    }
    if problem.kind == "gap":
        said = _("${day} to ${last}: nothing between ${first} and ${second}", mapping=told)
    elif problem.to_on is None:
        said = _("from ${day} on: both ${first} and ${second}", mapping=told)
    else:
        said = _("${day} to ${last}: both ${first} and ${second}", mapping=told)
    return translated(request, said)


@view_config(
    context=Rates,
    name="grid",
    permission=P.RATE_READ,
    request_method="GET",
    renderer="rates/grid.jinja2",
)
def rate_grid(context: Rates, request: Any) -> Any:
    """Work against time: which price holds when, where none does, and where two would.

    A page has so many kinds of work; what it says of gaps counts all that fit the filters.
    """
    words = Words(request)
    recorded_on, known_at = known_on(request)
    day = as_of(request, words)
    listing = _grid_listing(request, words)
    listing.filters[0].value = day.isoformat()
    listing.filters[1].value = recorded_on.isoformat() if recorded_on else ""
    chosen = listing.values
    asked = rate_standing.Asked(
        known_at, day, *(chosen[name] for name in ("card", "activity", *_OF_WORK))
    )
    form = wanted(request)
    scopes = rate_standing.work_page(
        request.dbsession,
        asked,
        after=listing.after,
        limit=PAGE_SIZE + 1 if form == "html" else None,
        with_gaps=chosen["standing"] == "gaps",
    )
    shown = scopes[:PAGE_SIZE] if form == "html" else scopes
    rates = rate_standing.rates_of_work(request.dbsession, shown, known_at=known_at)
    laid = grid(rates, since=day)
    if form == "json":
        return json_response(_grid_rows(laid))
    listing.fill(
        shown,
        after=rate_standing.place_of(shown[-1]) if len(scopes) > PAGE_SIZE else None,
        total=len(shown) if len(scopes) <= PAGE_SIZE else None,
    )
    return page(
        request,
        listing=listing,
        grid=grid_facts(request, words, laid, rate_standing.standing(request.dbsession, asked)),
        rates_url=f"/{request.tenant.slug}/rates",
    )


_OF_WORK = ("channel", "language", "hours")


def _grid_listing(request: Any, words: Words) -> Listing:
    work = rated_work(request.dbsession)
    return Listing(
        request,
        columns=[Column("work", _("Work"))],
        filters=[
            Filter("as_of", _("From"), type="date"),
            Filter("known_on", _("As it was known on"), type="date"),
            Filter(
                "card",
                _("Rate card"),
                choices=[(each, each) for each in sorted({card for card, _activity in work})],
            ),
            Filter(
                "activity",
                _("Activity"),
                choices=[
                    (each, words("activity", each))
                    for each in sorted({each for _card, each in work})
                ],
            ),
            Filter("channel", _("Channel"), choices=[(each, CHANNELS[each]) for each in CHANNELS]),
            Filter(
                "language",
                _("Language"),
                choices=[(each, words("language", each)) for each in LANGUAGES],
            ),
            Filter("hours", _("Hours"), choices=[(each, words("hours", each)) for each in HOURS]),
            Filter(
                "standing",
                _("Show"),
                choices=[("gaps", _("Only work with gaps"))],
            ),
        ],
    )


def _grid_rows(laid: Any) -> list[dict[str, Any]]:
    return [
        {
            "scope": {
                "card": row.scope.card,
                "activity": row.scope.activity,
                "channel": row.scope.channel,
                "service": row.scope.service,
                "language": row.scope.language,
                "hours": row.scope.hours,
            },
            "cells": [
                {
                    "from": stretch.since,
                    "to": stretch.until,
                    "kind": cell.kind,
                    "rates": [rate.key for rate in cell.rates],
                }
                for stretch, cell in zip(laid.stretches, row.cells, strict=True)
            ],
        }
        for row in laid.rows
    ]
