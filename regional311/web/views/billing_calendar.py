"""The billing calendar: what is due when, agreement by agreement, and where each period stands."""

from __future__ import annotations

from datetime import date
from typing import Any

from pyramid.view import view_config

from regional311.calendars import fiscal_year_label
from regional311.chargeback.agreement_queries import Standing, billing_calendar
from regional311.chargeback.calendar import STATES
from regional311.identity.permissions import Permissions as P
from regional311.web.agreement_wording import Telling
from regional311.web.billing_wording import page
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.tree import Agreements
from regional311.web.views.service_levels import period_words

STATE_WORDS = {
    "coming": _("Not over yet"),
    "open": _("To be billed"),
    "drafted": _("Drafted"),
    "issued": _("Issued"),
    "nothing": _("Nothing to bill"),
    "missing": _("No statement came"),
    "late": _("Late"),
}
STATE_KINDS = {
    "coming": "neutral",
    "open": "open",
    "drafted": "waiting",
    "issued": "done",
    "nothing": "neutral",
    "missing": "waiting",
    "late": "danger",
}
SIDES = {"provider": _("We bill"), "payer": _("We pay")}
COLUMNS = (
    "agreement",
    "name",
    "provider",
    "payer",
    "period",
    "run_on",
    "submit_on",
    "due_on",
    "dispute_on",
    "late_on",
    "state",
)


@view_config(
    context=Agreements,
    name="calendar",
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer="agreements/calendar.jinja2",
)
def calendar(context: Agreements, request: Any) -> Any:
    """The periods of a fiscal year with their days, in the order in which they are billed."""
    telling = Telling(request)
    words = telling.words
    today = words.today
    listing = Listing(
        request,
        columns=[
            Column("name", _("Agreement")),
            Column("period", _("Period")),
            Column("run_on", _("Run from")),
            Column("submit_on", _("Bill by")),
            Column("due_on", _("Due by")),
            Column("dispute_on", _("Dispute by")),
            Column("late_on", _("Late work until")),
            Column("state", _("State")),
        ],
        filters=[
            Filter("year", _("Fiscal year of"), type="date"),
            Filter("state", _("State"), choices=[(each, STATE_WORDS[each]) for each in STATES]),
            Filter("side", _("Our side"), choices=list(SIDES.items())),
            Filter("agreement", _("Agreement's key")),
        ],
        csv=True,
    )
    day = _day(listing.values["year"], today)
    listing.filters[0].value = day.isoformat()
    asked = listing.values
    me = request.tenant.id
    found = [
        each
        for each in billing_calendar(request.dbsession, year_of=day, today=today)
        if _in_state(asked["state"], each, today)
        and asked["agreement"] in (None, each.agreement.key)
        and asked["side"] in (None, "provider" if each.agreement.provider_id == me else "payer")
    ]
    plain = [
        {
            "agreement": each.agreement.key,
            "name": each.agreement.name,
            "provider": telling.partner(each.agreement.provider_id),
            "payer": telling.payer(each.agreement),
            "period": each.due.period.label,
            "run_on": each.due.run_on,
            "submit_on": each.due.submit_on,
            "due_on": each.due.due_on,
            "dispute_on": each.due.dispute_on,
            "late_on": each.due.late_on,
            "state": each.state,
        }
        for each in found
    ]
    form = wanted(request)
    if form == "json":
        return json_response(plain)
    if form == "csv":
        return csv_response(
            request,
            "billing-calendar.csv",
            COLUMNS,
            [[each[column] for column in COLUMNS] for each in plain],
        )
    slug = request.tenant.slug
    listing.fill(
        [
            {
                **row,
                "period_words": period_words(words, each.due.period),
                "period_url": f"/{slug}/billing/{each.due.period.label}"
                if each.due.period.is_month and each.agreement.provider_id == me
                else None,
                "statements": each.statements,
                "state_words": STATE_WORDS[each.state],
                "state_kind": STATE_KINDS[each.state],
                **{
                    name: words.day(row[name])
                    for name in ("run_on", "submit_on", "due_on", "dispute_on", "late_on")
                },
            }
            for row, each in zip(plain, found, strict=True)
        ],
        total=len(plain),
    )
    late = sum(each.state == "late" for each in found)
    return page(
        request,
        listing=listing,
        slug=slug,
        agreements_url=f"/{slug}/agreements",
        year=fiscal_year_label(day),
        late=words.count("${num} period is late", "${num} periods are late", late)
        if late
        else None,
    )


def _in_state(state: str | None, each: Standing, today: date) -> bool:
    """Whether a period is asked for; what has not begun only when it is asked for by its state."""
    return each.state == state if state else each.due.period.start_on <= today


def _day(text: str | None, today: date) -> date:
    try:
        found = date.fromisoformat(text or "")
    except ValueError:
        return today
    return found if 1990 <= found.year < 2190 else today
