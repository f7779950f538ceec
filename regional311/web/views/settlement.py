"""What stands between partners: balances, ageing, interest, netting, confirmed balances."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.database.ids import new_token
from regional311.identity.permissions import Permissions as P
from regional311.settlement import confirmations, interest, netting, queries
from regional311.settlement.ageing import BUCKETS, aged
from regional311.tenancy.once import once
from regional311.web.forms import (
    form_key,
)
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.settlement_wording import (
    BUCKETS as BUCKET_WORDS,
)
from regional311.web.settlement_wording import (
    OPEN_STATES,
    SettlementWords,
    settlement_page,
)
from regional311.web.tree import (
    Settlement,
)


def tabs(request: Any, chosen: str) -> list[tuple[str, Any, bool]]:
    """The pages about settling, and which of them this is."""
    base = f"/{request.tenant.slug}/settlement"
    return [
        (base, _("Balances"), chosen == "balances"),
        (f"{base}/receivables", _("Owed to us"), chosen == "receivables"),
        (f"{base}/payables", _("Owed by us"), chosen == "payables"),
        (f"{base}/interest", _("Interest"), chosen == "interest"),
        (f"{base}/netting", _("Netting"), chosen == "netting"),
        (f"{base}/confirmations", _("Confirmations"), chosen == "confirmations"),
    ]


def other_partners(request: Any) -> list[Any]:
    return [
        each
        for each in request.registry.partners.all()
        if each.kind != "region" and each.id != request.tenant.id
    ]


def standing(request: Any, statement_id: UUID) -> Any:
    """What is open of an issued or received statement, and how it stands, in one sentence."""
    words = SettlementWords(request)
    row = queries.document(request.dbsession, statement_id, words.today)
    if row is None:
        return None
    states = ", ".join(words.say("open_state", state) for state in row.open.states)
    told = {
        "open": words.cents(row.open.open_cents),
        "disputed": words.cents(row.open.disputed_cents),
        "states": states,
    }
    if row.open.disputed_cents:
        return _("${open}, of which ${disputed} is disputed (${states})", mapping=told)
    return _("${open} (${states})", mapping=told)


# Balances and ageing


@view_config(
    context=Settlement,
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/index.jinja2",
)
def balances(context: Settlement, request: Any) -> Any:
    """What stands with each other party, and what waits for an answer."""
    session, words = request.dbsession, SettlementWords(request)
    rows = queries.balances(
        queries.documents(session, words.today), queries.advances(session, day=words.today)
    )
    listing = Listing(
        request,
        columns=[
            Column("partner", _("Partner")),
            Column("claims", _("Owes us"), number=True),
            Column("overdue", _("Overdue"), number=True),
            Column("owes", _("We owe"), number=True),
            Column("disputed", _("Disputed"), number=True),
            Column("held", _("Paid in advance"), number=True),
            Column("net", _("On balance"), number=True),
        ],
        csv=True,
    )
    names = {each.id: each for each in request.registry.partners.all()}
    found = [
        {
            "partner": row.name if row.payer_key else names[row.counterparty_id].name,
            "slug": f"outside:{row.payer_key}"
            if row.payer_key
            else names[row.counterparty_id].slug,
            "claims_cents": row.claims_cents,
            "overdue_cents": row.overdue_cents,
            "owes_cents": row.owes_cents,
            "disputed_cents": row.disputed_cents,
            "advance_cents": row.held_cents - row.advanced_cents,
            "net_cents": row.net_cents,
        }
        for row in rows
    ]
    form = wanted(request)
    if form == "json":
        return json_response(found)
    if form == "csv":
        columns = list(found[0]) if found else ["partner"]
        return csv_response(
            request, "balances.csv", columns, [list(each.values()) for each in found]
        )
    slug = request.tenant.slug
    differences = confirmations.differences(session)
    return settlement_page(
        request,
        listing=listing.fill(found),
        tabs=tabs(request, "balances"),
        url=f"/{slug}/settlement",
        slug=slug,
        waiting=netting.proposals_waiting(session),
        asked=confirmations.waiting(session),
        differences=len(differences),
        may_record=may(request, P.SETTLEMENT_EDIT),
    )


@view_config(
    context=Settlement,
    name="receivables",
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/ageing.jinja2",
)
def receivables(context: Settlement, request: Any) -> Any:
    """What others owe us, by how long it has been due."""
    return _ageing(request, "issued")


@view_config(
    context=Settlement,
    name="payables",
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/ageing.jinja2",
)
def payables(context: Settlement, request: Any) -> Any:
    """What we owe others, by how long it has been due."""
    return _ageing(request, "received")


def _ageing(request: Any, side: str) -> Any:
    session, words = request.dbsession, SettlementWords(request)
    parties = [(each.slug, each.name) for each in other_partners(request)]
    if side == "issued":
        parties += [(f"outside:{key}", name) for key, name in queries.outside_payers(session)]
    listing = Listing(
        request,
        columns=[
            Column("statement", _("Statement")),
            Column("partner", _("Partner")),
            Column("month", _("Month")),
            Column("state", _("State")),
            Column("due", _("Due")),
            Column("total", _("Total"), number=True),
            Column("settled", _("Settled"), number=True),
            Column("disputed", _("Disputed"), number=True),
            Column("open", _("Open"), number=True),
        ],
        filters=[
            Filter("partner", _("Partner"), choices=parties),
            Filter("state", _("State"), choices=list(OPEN_STATES.items())),
            Filter("bucket", _("Overdue by"), choices=list(BUCKET_WORDS.items())),
        ],
        csv=True,
    )
    asked = listing.values
    rows = [
        row
        for row in queries.documents(session, words.today, side=side)
        if _is_wanted(request, row, asked)
    ]
    rows.sort(key=lambda row: (row.due_on, row.id))
    form = wanted(request)
    if form != "html":
        found = [_plain(row) for row in rows]
        if form == "json":
            return json_response(found)
        columns = list(found[0]) if found else ["public_id"]
        name = "receivables" if side == "issued" else "payables"
        return csv_response(
            request, f"{name}.csv", columns, [list(each.values()) for each in found]
        )
    offset = int(listing.after) if (listing.after or "").isdecimal() and listing.after else 0
    offset = min(offset, len(rows))
    shown = rows[offset : offset + PAGE_SIZE]
    more = offset + PAGE_SIZE
    listing.fill(shown, after=str(more) if more < len(rows) else None, total=len(rows))
    sums = aged(row.open for row in rows)
    url = f"/{request.tenant.slug}/settlement/{'receivables' if side == 'issued' else 'payables'}"
    return settlement_page(
        request,
        listing=listing,
        side=side,
        tabs=tabs(request, "receivables" if side == "issued" else "payables"),
        slug=request.tenant.slug,
        buckets=[
            (f"{url}?bucket={bucket}", words("bucket", bucket), cents)
            for bucket, cents in zip(BUCKETS, sums.buckets, strict=True)
        ],
        sums=sums,
        url=url,
        may_record=side == "issued" and may(request, P.SETTLEMENT_EDIT),
        may_dispute=side == "received" and may(request, P.DISPUTE_EDIT),
    )


def _is_wanted(request: Any, row: queries.OpenRow, asked: dict[str, str | None]) -> bool:
    opened = row.open
    if asked["partner"]:
        slug = asked["partner"]
        if slug.startswith("outside:"):
            if row.payer_key != slug.removeprefix("outside:"):
                return False
        else:
            partner = request.registry.partners.by_slug(slug)
            if partner is None or row.counterparty_id != partner.id:
                return False
    if asked["state"]:
        return asked["state"] in opened.states
    if asked["bucket"]:
        return opened.undisputed_cents > 0 and opened.bucket == asked["bucket"]
    return opened.open_cents != 0


def _plain(row: queries.OpenRow) -> dict[str, Any]:
    return {
        "public_id": row.public_id,
        "number": row.number,
        "kind": row.kind,
        "partner": row.counterparty,
        "period": row.period_key,
        "issued_on": row.issued_on,
        "due_on": row.due_on,
        "state": row.open.states[0],
        "bucket": row.open.bucket if row.open.undisputed_cents > 0 else None,
        "days_overdue": max(0, row.open.days_overdue),
        "total_cents": row.total_cents,
        "settled_cents": row.settled_cents,
        "disputed_cents": row.open.disputed_cents,
        "open_cents": row.open.open_cents,
    }


# Interest


@view_config(
    context=Settlement,
    name="interest",
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/interest.jinja2",
)
def accrued(context: Settlement, request: Any) -> Any:
    """The interest that can be assessed now, by statement, with the days behind it."""
    rows = interest.accrued(request.dbsession, now=request.now)
    listing = Listing(
        request,
        columns=[
            Column("statement", _("Statement")),
            Column("partner", _("Partner")),
            Column("rate", _("Rate a year"), number=True),
            Column("days", _("On what, for how long")),
            Column("interest", _("Interest"), number=True),
        ],
    ).fill(rows)
    if wanted(request) == "json":
        return json_response(
            [
                {
                    "number": each.row.number,
                    "from": each.first,
                    "to": each.to,
                    "percent": each.percent,
                    "cents": each.cents,
                }
                for each in rows
            ]
        )
    return settlement_page(
        request,
        listing=listing,
        tabs=tabs(request, "interest"),
        slug=request.tenant.slug,
        url=f"/{request.tenant.slug}/settlement/interest",
        total_cents=sum(each.cents for each in rows),
        may_assess=bool(rows) and may(request, P.SETTLEMENT_EDIT),
        form_key=new_token(),
    )


@view_config(
    context=Settlement, name="interest", permission=P.SETTLEMENT_EDIT, request_method="POST"
)
def assess(context: Settlement, request: Any) -> HTTPSeeOther:
    """Draft a debit memo for the interest on each overdue statement."""

    def do() -> dict[str, Any]:
        return {"drafts": len(interest.assess(request.dbsession, now=request.now))}

    answer = once(request.dbsession, form_key(request), ["interest:assess"], do)
    if answer["drafts"]:
        request.flash(
            "success",
            _(
                "${count} debit memos were drafted; a second person approves them.",
                mapping={"count": answer["drafts"]},
            ),
        )
    else:
        request.flash("info", _("There is no interest to assess."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/settlement/interest")
