"""What a partner's work costs others, as of any day, and the form that changes a price."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.view import view_config

from regional311.chargeback import terms
from regional311.chargeback.rate_changes import change_rate
from regional311.errors import Stale
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web.billing_wording import Words, as_of, holds, page
from regional311.web.forms import (
    Date,
    Decimal,
    HiddenWidget,
    NumberWidget,
    Schema,
    SchemaNode,
    String,
    form_key,
    handle_form_submission,
    make_form,
    start_over,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import RateRecord, Rates

ACTIVITY_COLUMNS = ("key", "card", "activity", "channel", "service", "language", "hours", "unit")


class RateForm(Schema):
    """A new price from a day on."""

    amount = SchemaNode(
        Decimal(),
        title=_("New price"),
        description=_("In dollars, for example 4.90. Up to six decimal places."),
        widget=NumberWidget(prefix="$"),
    )
    valid_from = SchemaNode(
        Date(),
        title=_("Holds from"),
        description=_("The price until now holds through the day before."),
    )
    source = SchemaNode(
        String(200),
        title=_("What the price rests on"),
        description=_("A decision, a budget page, a calculation."),
        missing=None,
    )
    expected = SchemaNode(String(40), widget=HiddenWidget())


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
        "amount": row.amount,
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
    rows = terms.rates(request.dbsession, day)
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
            Filter(
                "activity",
                _("Activity"),
                choices=[
                    (each, words("activity", each)) for each in sorted({r.activity for r in rows})
                ],
            ),
            Filter(
                "card",
                _("Rate card"),
                choices=[(each, each) for each in sorted({r.card_key for r in rows})],
            ),
        ],
        csv=True,
    )
    listing.filters[0].value = day.isoformat()
    asked = listing.values
    rows = [
        row
        for row in rows
        if asked["activity"] in (None, row.activity) and asked["card"] in (None, row.card_key)
    ]
    form = wanted(request)
    if form == "json":
        return json_response([facts(row) for row in rows])
    if form == "csv":
        found = [facts(row) for row in rows]
        columns = [*ACTIVITY_COLUMNS, "amount", "valid_from", "valid_to", "source"]
        return csv_response(
            request, "rates.csv", columns, [[each[c] for c in columns] for each in found]
        )
    listing.fill(
        [
            {
                "key": row.key,
                "activity": row.activity,
                "scope": scope_in_words(request, words, row),
                "amount": row.amount,
                "unit": row.unit,
                "holds": words.span(row.valid),
            }
            for row in rows
        ],
        total=len(rows),
    )
    return page(request, listing=listing, day=day)


def _known(context: RateRecord) -> Any:
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
    found = _known(context)
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
    ).fill(history)
    now = holds(found.valid, words.today)
    told = {"amount": words.money(found.amount), "unit": words.say("unit", found.unit)}
    sentence = (
        _("${amount} ${unit}, today.", mapping=told)
        if now
        else _("${amount} ${unit}; it does not hold today.", mapping=told)
    )
    url = f"/{request.tenant.slug}/rates"
    return page(
        request,
        rate=found,
        title=_title(request, words, found),
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
            (_("Holds"), words.span(found.valid)),
            (_("Rests on"), found.source),
        ],
    )


@view_config(
    context=RateRecord,
    name="edit",
    permission=P.RATE_EDIT,
    request_method="GET",
    renderer="rates/edit.jinja2",
)
def edit(context: RateRecord, request: Any) -> dict[str, Any]:
    """The form that changes a price."""
    return _edit_page(context, request, _form(context, request))


@view_config(
    context=RateRecord,
    name="edit",
    permission=P.RATE_EDIT,
    request_method="POST",
    renderer="rates/edit.jinja2",
)
def save(context: RateRecord, request: Any) -> Any:
    """Change a price from a day on; when somebody else did meanwhile, both are shown."""
    form = _form(context, request)
    url = f"/{request.tenant.slug}/rates"
    key = context.__name__

    def on_success(values: dict[str, Any]) -> Any:
        try:
            expected = UUID(values.pop("expected"))
        except ValueError:
            raise HTTPBadRequest from None

        def do() -> dict[str, Any]:
            new_key = change_rate(
                request.dbsession, key, **values, expected_id=expected, now=request.now
            )
            return {"key": new_key}

        try:
            answer = once(request.dbsession, form_key(request), ["rate:change", key, values], do)
        except Stale as stale:
            start_over(request)
            request.response.status_int = 409
            fresh = _form(context, request, **values)
            return _edit_page(context, request, fresh, stale=stale)
        request.flash("success", _("The price was changed."))
        return HTTPSeeOther(location=f"{url}/{answer['key']}")

    return handle_form_submission(
        request, form, on_success, lambda: _edit_page(context, request, form)
    )


def _form(context: RateRecord, request: Any, **values: Any) -> Any:
    found = _known(context)
    tomorrow = Words(request).today + timedelta(days=1)
    begins = found.valid.lower
    return make_form(
        request,
        RateForm(),
        submit=_("Change the price"),
        values={
            "amount": found.amount.normalize(),
            "valid_from": tomorrow if begins is None else max(tomorrow, begins),
            "source": found.source,
            "expected": str(found.id),
        }
        | values,
        once=True,
        cancel_url=f"/{request.tenant.slug}/rates/{found.key}",
    )


def _edit_page(
    context: RateRecord, request: Any, form: Any, stale: Stale | None = None
) -> dict[str, Any]:
    words = Words(request)
    found = _known(context)
    url = f"/{request.tenant.slug}/rates"
    return page(
        request,
        form=form,
        stale=stale,
        title=_title(request, words, found),
        rate_key=found.key,
        url=f"{url}/{found.key}",
        rates_url=url,
        facts=[
            (
                _("Price now"),
                f"{words.money(found.amount)} {words.say('unit', found.unit)}",
            ),
            (_("For"), scope_in_words(request, words, found)),
            (_("Holds"), words.span(found.valid)),
        ],
    )


def _title(request: Any, words: Words, row: Any) -> str:
    return f"{words.say('activity', row.activity)}: {scope_in_words(request, words, row)}"
