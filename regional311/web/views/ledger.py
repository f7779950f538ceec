"""A partner's books: trial balance, journal, one entry, one account, balances with partners."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from pyramid.view import view_config

from regional311.chargeback import queries as billing
from regional311.identity.permissions import Permissions as P
from regional311.ledger import queries
from regional311.ledger.queries import TrialBalanceRow
from regional311.web.billing_wording import Check, Words, page
from regional311.web.book_pages import tabs
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import AccountRecord, EntryRecord, Ledger

EXPORTED = 10_000


def _balanced(words: Words, rows: list[TrialBalanceRow]) -> Check:
    debits = sum(row.debit_cents for row in rows)
    credits_ = sum(row.credit_cents for row in rows)
    return Check(
        _("Debits and credits are the same."),
        debits == credits_,
        _(
            "${debits} debited, ${credits} credited.",
            mapping={"debits": words.cents(debits), "credits": words.cents(credits_)},
        ),
    )


@view_config(
    context=Ledger, permission=P.LEDGER_READ, request_method="GET", renderer="ledger/index.jinja2"
)
def ledger(context: Ledger, request: Any) -> Any:
    """The trial balance with its check, balances with partners, periods."""
    words = Words(request)
    listing = Listing(
        request,
        columns=[
            Column("account", _("Account")),
            Column("type", _("Type")),
            Column("debit", _("Debit"), number=True),
            Column("credit", _("Credit"), number=True),
            Column("balance", _("Balance"), number=True),
        ],
        csv=True,
    )
    months = queries.periods(request.dbsession)
    listing.filters.append(
        Filter(
            "period",
            _("Up to and with"),
            choices=[(each.key, words.month(each.key)) for each in months],
        )
    )
    asked = request.GET.get("period")
    period = asked if asked in {each.key for each in months} else None
    listing.filters[0].value = period or ""
    day = day_of(request.GET.get("posted", ""))
    listing.filters.append(
        Filter(
            "posted", _("Posted up to and with"), type="date", value=day.isoformat() if day else ""
        )
    )
    rows = queries.trial_balance(
        request.dbsession,
        period,
        posted_before=None if day is None else _end_of(day, words),
    )
    facts = [
        {
            "account_key": row.account_key,
            "name": row.name,
            "external_code": row.external_code,
            "type": row.type,
            "debit_cents": row.debit_cents,
            "credit_cents": row.credit_cents,
            "balance_cents": row.balance_cents,
        }
        for row in rows
    ]
    form = wanted(request)
    if form == "csv":
        return csv_response(
            request,
            "trial-balance.csv",
            list(facts[0]) if facts else ["account_key"],
            [list(row.values()) for row in facts],
        )
    balances = queries.partner_balances(request.dbsession)
    if form == "json":
        return json_response(
            {
                "period": period,
                "posted": day,
                "accounts": facts,
                "partners": [
                    {
                        "partner": each.counterparty,
                        "due_from_cents": each.due_from_cents,
                        "due_to_cents": each.due_to_cents,
                    }
                    for each in balances
                ],
            }
        )
    total = {
        "total": True,
        "type": None,
        "debit_cents": sum(row.debit_cents for row in rows),
        "credit_cents": sum(row.credit_cents for row in rows),
        "balance_cents": sum(row.balance_cents for row in rows),
    }
    listing.csv_url = (
        f"{listing.path}?format=csv"
        + (f"&period={period}" if period else "")
        + (f"&posted={day}" if day else "")
    )
    listing.fill(
        [*({"total": False, **row} for row in facts), total] if facts else [],
    )
    partners = Listing(
        request,
        columns=[
            Column("partner", _("Partner")),
            Column("from", _("They owe us"), number=True),
            Column("to", _("We owe them"), number=True),
            Column("net", _("On balance")),
        ],
    ).fill(
        [
            {
                "counterparty": each.counterparty,
                "due_from_cents": each.due_from_cents,
                "due_to_cents": each.due_to_cents,
                "sentence": _net(words, each),
            }
            for each in balances
        ]
    )
    periods = Listing(
        request,
        columns=[
            Column("month", _("Month")),
            Column("state", _("State")),
            Column("entries", _("Entries"), number=True),
            Column("posted", _("Posted"), number=True),
        ],
    ).fill(months)
    return page(
        request,
        url=f"/{request.tenant.slug}/ledger",
        tabs=tabs(request, "balance"),
        checks=[_balanced(words, rows)],
        listing=listing,
        partners=partners,
        periods=periods,
    )


def _net(words: Words, row: queries.PartnerBalance) -> Any:
    if not row.net_cents:
        return _("settled")
    told = {"partner": row.counterparty, "amount": words.cents(abs(row.net_cents))}
    if row.net_cents > 0:
        return _("${partner} owes us ${amount}", mapping=told)
    return _("we owe ${partner} ${amount}", mapping=told)


@view_config(
    context=Ledger,
    name="journal",
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/journal.jinja2",
)
def journal(context: Ledger, request: Any) -> Any:
    """Every entry, by period and account."""
    words = Words(request)
    months = queries.periods(request.dbsession)
    accounts = queries.trial_balance(request.dbsession)
    listing = Listing(
        request,
        columns=[
            Column("memo", _("Entry")),
            Column("posted", _("Posted")),
            Column("month", _("Month")),
            Column("partner", _("Partner")),
            Column("accounts", _("Accounts")),
            Column("amount", _("Amount"), number=True),
        ],
        filters=[
            Filter(
                "period", _("Month"), choices=[(each.key, words.month(each.key)) for each in months]
            ),
            Filter(
                "account",
                _("Account"),
                choices=[(each.account_key, each.name) for each in accounts],
            ),
            Filter(
                "partner",
                _("Partner"),
                choices=[
                    (str(each.id), each.short_name)
                    for each in request.registry.partners.all()
                    if each.id != request.tenant.id
                ],
            ),
        ],
        csv=True,
    )
    form = wanted(request)
    limit = PAGE_SIZE + 1 if form == "html" else EXPORTED
    rows = queries.journal(
        request.dbsession,
        period_key=listing.values["period"],
        account_key=listing.values["account"],
        counterparty_id=_id(listing.values["partner"]),
        before=_id(listing.after),
        limit=limit,
    )
    if form != "html":
        legs = [
            {
                "entry_id": row.id,
                "posted_at": row.posted_at,
                "period": row.period_key,
                "service_period": row.service_period,
                "memo": row.memo,
                "partner": row.counterparty,
                "account": leg.account,
                "debit_cents": leg.debit_cents,
                "credit_cents": leg.credit_cents,
            }
            for row in rows
            for leg in row.legs
        ]
        if form == "json":
            return json_response(legs)
        columns = ["entry_id", "posted_at", "period", "service_period", "memo", "partner"]
        columns += ["account", "debit_cents", "credit_cents"]
        return csv_response(request, "journal.csv", columns, [list(leg.values()) for leg in legs])
    shown = rows[:PAGE_SIZE]
    listing.fill(shown, after=str(shown[-1].id) if len(rows) > PAGE_SIZE else None)
    return page(
        request,
        listing=listing,
        names={each.account_key: each.name for each in accounts},
        ledger_url=f"/{request.tenant.slug}/ledger",
        tabs=tabs(request, "journal"),
    )


@view_config(
    context=EntryRecord,
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/entry.jinja2",
)
def entry(context: EntryRecord, request: Any) -> Any:
    """One entry with its legs, what posted it, and how the other partner's side is known."""
    words = Words(request)
    found = context.record
    legs = queries.legs_of(request.dbsession, found.id)
    if wanted(request) == "json":
        return json_response(
            {
                "id": found.id,
                "period": found.period_key,
                "service_period": found.service_period,
                "memo": found.memo,
                "mirror_id": found.mirror_id,
                "posted_at": found.posted_at,
                "legs": [
                    {
                        "account": leg.account_key,
                        "debit_cents": leg.debit_cents,
                        "credit_cents": leg.credit_cents,
                    }
                    for leg in legs
                ],
            }
        )
    slug = request.tenant.slug
    partner = request.registry.partners.by_id(found.counterparty_id)
    statement = (
        billing.statement(request.dbsession, found.source_id)
        if found.source_id and may(request, P.STATEMENT_READ)
        else None
    )
    debits = sum(leg.debit_cents for leg in legs)
    credits_ = sum(leg.credit_cents for leg in legs)
    total = {"total": True, "debit_cents": debits, "credit_cents": credits_}
    listing = Listing(
        request,
        columns=[
            Column("account", _("Account")),
            Column("debit", _("Debit"), number=True),
            Column("credit", _("Credit"), number=True),
        ],
    ).fill(
        [
            *(
                {
                    "total": False,
                    "account_key": leg.account_key,
                    "name": leg.name,
                    "debit_cents": leg.debit_cents,
                    "credit_cents": leg.credit_cents,
                }
                for leg in legs
            ),
            total,
        ]
    )
    told = {"amount": words.cents(found.total_cents), "month": words.month(found.service_period)}
    if partner is None:
        sentence = _("${amount} for ${month}.", mapping=told)
    else:
        sentence = _(
            "${amount} for ${month}, between these books and those of ${partner}.",
            mapping=told | {"partner": partner.name},
        )
    return page(
        request,
        entry=found,
        listing=listing,
        sentence=sentence,
        ledger_url=f"/{slug}/ledger",
        statement_url=f"/{slug}/statements/{statement.row.public_id}" if statement else None,
        checks=[
            Check(
                _("The entry balances and has the legs and the total it was made with."),
                debits == credits_ == found.total_cents and len(legs) == found.leg_count,
            )
        ],
        facts=[
            (_("Posted"), words.when(found.posted_at)),
            (_("Booked in"), words.month(found.period_key)),
            (_("Work of"), words.month(found.service_period)),
            (_("Partner"), partner.name if partner else None),
            (
                _("Mirror reference"),
                _(
                    "${reference}: the entry in the other partner's books has the same.",
                    mapping={"reference": found.mirror_id},
                )
                if found.mirror_id
                else None,
            ),
            (_("Reverses"), str(found.reverses_id) if found.reverses_id else None),
            (_("Made by"), found.source_key),
        ],
    )


@view_config(
    context=AccountRecord,
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/account.jinja2",
)
def account(context: AccountRecord, request: Any) -> Any:
    """One account: its postings in order, each with the balance after it."""
    words = Words(request)
    found = context.record
    form = wanted(request)
    listing = Listing(
        request,
        columns=[
            Column("memo", _("Entry")),
            Column("posted", _("Posted")),
            Column("month", _("Month")),
            Column("partner", _("Partner")),
            Column("debit", _("Debit"), number=True),
            Column("credit", _("Credit"), number=True),
            Column("balance", _("Balance"), number=True),
        ],
        csv=True,
    )
    after = listing.after or ""
    offset = int(after) if after.isascii() and after.isdecimal() else 0
    limit = PAGE_SIZE + 1 if form == "html" else EXPORTED
    rows = queries.account_page(
        request.dbsession, found.key, offset=min(offset, 1_000_000), limit=limit
    )
    if form != "html":
        facts = [
            {
                "entry_id": row.entry_id,
                "posted_at": row.posted_at,
                "period": row.period_key,
                "memo": row.memo,
                "partner": row.counterparty,
                "debit_cents": row.debit_cents,
                "credit_cents": row.credit_cents,
                "balance_cents": row.balance_cents,
            }
            for row in rows
        ]
        if form == "json":
            return json_response(facts)
        columns = ["entry_id", "posted_at", "period", "memo", "partner"]
        columns += ["debit_cents", "credit_cents", "balance_cents"]
        return csv_response(
            request, f"account-{found.key}.csv", columns, [list(row.values()) for row in facts]
        )
    more = len(rows) > PAGE_SIZE
    listing.fill(rows[:PAGE_SIZE], after=str(offset + PAGE_SIZE) if more else None)
    return page(
        request,
        account=found,
        listing=listing,
        ledger_url=f"/{request.tenant.slug}/ledger",
        facts=[
            (_("Key"), found.key),
            (_("Code in our own ledger"), found.external_code),
            (_("Fund"), found.fund_code),
            (_("Cost centre"), found.cost_centre),
            (_("Ended on"), words.day(found.ended_on) or None),
        ],
    )


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def day_of(text: str) -> date | None:
    """A day as an address has it; nonsense counts as absent."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 1900 <= found.year < 2200 else None


def _end_of(day: date, words: Words) -> datetime:
    """The first moment after a day on the partner's clock."""
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=words.zone)
