"""Months with usage: what the work was priced at, what waits, and drafting the statements."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import text

from regional311.calendars import fiscal_year
from regional311.chargeback import billing, queries
from regional311.chargeback.billing import billing_period
from regional311.chargeback.calendar import periods
from regional311.chargeback.checks import check_partner
from regional311.chargeback.rating import STATES, run_rating
from regional311.chargeback.readiness import Progress, draft_checks, progress
from regional311.chargeback.statement import State
from regional311.database.ids import new_token
from regional311.floor.watching import confidential_contacts
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.intake.numbers import contact_numbers
from regional311.tenancy.once import once
from regional311.web.billing_wording import (
    CHARGE_STATE_MEANINGS,
    CHARGE_STATES,
    CHECK_NAMES,
    Check,
    Words,
    page,
)
from regional311.web.forms import form_key
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import Billing, PeriodRecord
from regional311.web.views.billing_bills import check_of, payer

EXPORTED = 100_000
MONTHS = 24
ALIVE: list[str] = [State.DRAFT, State.IN_REVIEW, State.APPROVED, State.ISSUED]


def _complete(stands: list[Progress]) -> bool:
    """Whether a period has statements and all of them were issued."""
    return bool(stands) and all(each.state == State.ISSUED for each in stands)


@view_config(
    context=Billing,
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="billing/index.jinja2",
)
def months(context: Billing, request: Any) -> Any:
    """The months with usage, by what became of it."""
    words = Words(request)
    listing = Listing(
        request,
        columns=[
            Column("month", _("Month")),
            Column("events", _("Usage events"), number=True),
            *(Column(state, CHARGE_STATES[state], number=True) for state in STATES),
            Column("statements", _("Statements"), number=True),
            Column("total", _("Billed"), number=True),
        ],
        csv=True,
    )
    form = wanted(request)
    offset = int(listing.after) if (listing.after or "").isdecimal() and listing.after else 0
    rows = queries.months(
        request.dbsession,
        offset=min(offset, 10_000) if form == "html" else 0,
        limit=MONTHS + 1 if form == "html" else 10_000,
    )
    if form != "html":
        found = [
            {
                "period": row.period_key,
                "events": row.events,
                **{state: (row.counts or {}).get(state) for state in STATES},
                "statements": row.statements,
                "total_cents": row.total_cents,
            }
            for row in rows
        ]
        if form == "json":
            return json_response(found)
        columns = ["period", "events", *STATES, "statements", "total_cents"]
        return csv_response(
            request, "billing.csv", columns, [list(each.values()) for each in found]
        )
    slug = request.tenant.slug
    listing.fill(
        [
            {
                "period": row.period_key,
                "url": f"/{slug}/billing/{row.period_key}",
                "events": row.events,
                "counts": {
                    state: None if row.counts is None else row.counts.get(state, 0)
                    for state in STATES
                },
                "statements": row.statements,
                "statements_url": f"/{slug}/statements?period={row.period_key}",
                "total_cents": row.total_cents,
            }
            for row in rows[:MONTHS]
        ],
        after=str(offset + MONTHS) if len(rows) > MONTHS else None,
    )
    latest = rows[0].period_key if rows and not offset else None
    stands = progress(request.dbsession, latest) if latest else []
    others = _other_periods(request)
    return page(
        request,
        listing=listing,
        latest=latest,
        complete=_complete(stands),
        others=[(f"/{slug}/billing/{label}", words.month(label)) for label in others],
        latest_url=f"/{slug}/billing/{latest}",
        may_run=may(request, P.BILLING_RUN),
        form_key=new_token(),
        states=STATES,
        meanings=[(words("charge_state", state), CHARGE_STATE_MEANINGS[state]) for state in STATES],
    )


def _other_periods(request: Any) -> list[str]:
    """The quarters and years of this fiscal year that agreements are billed by, so far."""
    today = request.now.astimezone(ZoneInfo(request.tenant.zone)).date()
    rows = request.dbsession.execute(
        text(
            "SELECT DISTINCT a.terms->'billing'->>'every' AS every, me.fiscal_year_starts_in"
            " FROM agreements a JOIN tenants me ON me.tenant_id = :tenant AND me.id = :tenant"
            " WHERE a.provider_id = :tenant AND a.terms->'billing'->>'every' <> 'month'"
            " AND a.valid @> CAST(:today AS date) ORDER BY 1"
        ),
        {"tenant": request.tenant.id, "today": today},
    )
    return [
        period.label
        for row in rows
        for period in periods(row.every, fiscal_year(today, row.fiscal_year_starts_in))
        if period.start_on <= today
    ]


@view_config(
    context=PeriodRecord,
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="billing/month.jinja2",
)
def month(context: PeriodRecord, request: Any) -> Any:
    """One month: its usage by state, its statements, its runs."""
    words = Words(request)
    period, session = context.record, request.dbsession
    states = queries.usage_by_state(session, period)
    rows = queries.statements(session, side="issued", period_key=period, states=ALIVE)
    if wanted(request) == "json":
        return json_response(
            {
                "period": period,
                "states": [
                    {"state": each.state, "events": each.events, "amount": each.amount}
                    for each in states
                ],
                "statements": [
                    {"public_id": row.public_id, "state": row.state, "total_cents": row.total_cents}
                    for row in rows
                ],
            }
        )
    runs = queries.runs(session, period)
    people = names_of(session, [run.run_by for run in runs])
    looked_at = draft_checks(
        session, billing_period(period), zone=request.tenant.zone, now=request.now
    )
    stands = progress(session, period)
    by_state = {each.state: each for each in states}
    slug = request.tenant.slug
    statements = Listing(
        request,
        columns=[
            Column("statement", _("Statement")),
            Column("payer", _("Payer")),
            Column("state", _("State")),
            Column("total", _("Total"), number=True),
        ],
    ).fill(
        [
            {"url": f"/{slug}/statements/{row.public_id}", "row": row, "payer": payer(words, row)}
            for row in rows
        ]
    )
    return page(
        request,
        period=period,
        url=f"/{slug}/billing/{period}",
        billing_url=f"/{slug}/billing",
        lead=_lead(words, period, runs, stands),
        complete=_complete(stands),
        may_run=may(request, P.BILLING_RUN),
        form_key=new_token(),
        states=[
            {
                "state": state,
                "meaning": CHARGE_STATE_MEANINGS[state],
                "events": by_state[state].events if state in by_state else 0,
                "amount": by_state[state].amount if state in by_state else None,
            }
            for state in STATES
        ]
        if runs
        else [],
        statements=statements,
        checks=[check_of(words, slug, period, each) for each in looked_at],
        progress=stands,
        bills_url=f"/{slug}/billing/{period}/bills",
        runs=[
            {
                "number": run.number,
                "run_at": run.run_at,
                "stored_before": run.stored_before,
                "by": people.get(run.run_by) if run.run_by else None,
                "digest": run.digest,
            }
            for run in runs
        ],
    )


def _lead(
    words: Words,
    period: str,
    runs: list[queries.RunRow],
    stands: list[Progress],
) -> Any:
    told = {
        "month": words.month(period),
        "total": words.cents(sum(each.total_cents for each in stands)),
    }
    if not runs:
        return _("The work of ${month} has not been priced yet.", mapping=told)
    if not stands:
        return _("The work of ${month} has been priced; nothing is to be billed.", mapping=told)
    if _complete(stands):
        return _("All statements of ${month} were issued: ${total}.", mapping=told)
    return _("The statements of ${month} come to ${total}.", mapping=told)


@view_config(context=PeriodRecord, name="draft", permission=P.BILLING_RUN, request_method="POST")
def draft(context: PeriodRecord, request: Any) -> HTTPSeeOther:
    """Price the month again and draft a statement for each payer; drafts before become void."""
    period = billing_period(context.record)

    def do() -> dict[str, Any]:
        run = run_rating(request.dbsession, period=period, now=request.now)
        drafts = billing.draft_statements(request.dbsession, run.id, now=request.now)
        return {"drafts": len(drafts)}

    answer = once(request.dbsession, form_key(request), ["billing:draft", context.record], do)
    if answer["drafts"]:
        request.flash(
            "success",
            _(
                "Priced again; ${count} drafts are ready to be read.",
                mapping={"count": answer["drafts"]},
            ),
        )
    else:
        request.flash("info", _("Priced again; there is nothing to bill for this month."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/billing/{context.record}")


@view_config(
    context=PeriodRecord,
    name="checks",
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="billing/checks.jinja2",
)
def checks(context: PeriodRecord, request: Any) -> Any:
    """Check every entry, total, line and piece of work of this partner's month."""
    found = check_partner(request.dbsession, context.record)
    if wanted(request) == "json":
        return json_response({check.name: check.holds for check in found})
    slug = request.tenant.slug
    return page(
        request,
        period=context.record,
        billing_url=f"/{slug}/billing",
        month_url=f"/{slug}/billing/{context.record}",
        checks=[Check(CHECK_NAMES.get(check.name, check.name), check.holds) for check in found],
        problems=[problem.message for check in found for problem in check.problems],
    )


@view_config(
    context=PeriodRecord,
    name="usage",
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="billing/usage.jinja2",
)
def usage(context: PeriodRecord, request: Any) -> Any:
    """The usage events of a month, by what became of them, down to the contact."""
    period, session = context.record, request.dbsession
    listing = Listing(
        request,
        columns=[
            Column("when", _("When")),
            Column("activity", _("Activity")),
            Column("channel", _("Channel")),
            Column("service", _("Service")),
            Column("state", _("State")),
            Column("payer", _("Payer")),
            Column("amount", _("Amount"), number=True),
            Column("contact", _("Contact")),
        ],
        filters=[Filter("state", _("State"), choices=list(CHARGE_STATES.items()))],
        csv=True,
    )
    form = wanted(request)
    rows = queries.usage(
        session,
        period,
        zone=request.tenant.zone,
        state=listing.values["state"],
        before=cursor(listing.after),
        limit=PAGE_SIZE + 1 if form == "html" else EXPORTED,
    )
    if form != "html":
        found = [
            {
                "id": row.id,
                "occurred_at": row.occurred_at,
                "activity": row.activity,
                "channel": row.channel,
                "language": row.language,
                "after_hours": row.after_hours,
                "service_owner": row.service_owner,
                "service": row.service_key,
                "quantity": row.quantity,
                "handle_seconds": row.handle_seconds,
                "state": row.state,
                "payer": row.payer,
                "price": row.price,
                "amount": row.amount,
            }
            for row in rows
        ]
        if form == "json":
            return json_response(found)
        columns = list(found[0]) if found else ["id"]
        return csv_response(
            request, f"usage-{period}.csv", columns, [list(each.values()) for each in found]
        )
    shown = rows[:PAGE_SIZE]
    numbers = contact_numbers(session, [row.contact_id for row in shown])
    tell = telling(request)
    slug = request.tenant.slug
    opens = may(request, P.CONTACT_READ)
    owners = {each.short_name: each.slug for each in request.registry.partners.all()}
    # work may have been corrected to another service since; what was asked for stays confidential
    secret = confidential_contacts(
        session, (row.contact_id for row in shown), tell.confidential_services
    )
    withheld = {
        row.id for row in shown if row.contact_id in secret or _confidential(tell, row, owners)
    }
    listing.fill(
        [
            {
                "id": row.id,
                "occurred_at": row.occurred_at,
                "activity": row.activity,
                "channel": row.channel,
                "service": _service(tell, row, owners),
                "owner": row.service_owner,
                "state": row.state,
                "payer": row.payer,
                "amount": row.amount,
                "contact_number": _("confidential")
                if row.id in withheld
                else numbers.get(row.contact_id)
                if row.contact_id
                else None,
                "contact_url": f"/{slug}/contacts/{numbers[row.contact_id]}"
                if opens and row.contact_id in numbers and row.id not in withheld
                else None,
            }
            for row in shown
        ],
        after=cursor_after(shown[-1]) if len(rows) > PAGE_SIZE else None,
    )
    return page(
        request,
        period=period,
        listing=listing,
        work_url=f"/{slug}/recorded-work",
        billing_url=f"/{slug}/billing",
        month_url=f"/{slug}/billing/{period}",
    )


def _found(tell: Any, row: Any, owners: dict[str, str]) -> Any:
    slug = owners.get(row.service_owner or "", "")
    return tell.published.directory.find(f"{slug}/{row.service_key}")


def _service(tell: Any, row: Any, owners: dict[str, str]) -> Any:
    """The name of the service that a piece of work was for; its key when nobody has it now."""
    if row.service_key is None:
        return _("no service")
    found = _found(tell, row, owners)
    return found.name if found else row.service_key


def _confidential(tell: Any, row: Any, owners: dict[str, str]) -> bool:
    found = _found(tell, row, owners)
    return bool(found and found.confidential)


def cursor(after: str | None) -> tuple[datetime, UUID] | None:
    """Read where a page begins, as `cursor_after` wrote it; nonsense counts as absent."""
    at, _bar, row_id = (after or "").partition("|")
    try:
        moment = datetime.fromisoformat(at)
        return (moment, UUID(row_id)) if moment.tzinfo else None
    except ValueError:
        return None


def cursor_after(row: Any) -> str:
    """Write where the page after this row begins."""
    return f"{row.occurred_at.isoformat()}|{row.id}"
