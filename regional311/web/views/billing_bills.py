"""The statements of a billing period, and a step for several of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.chargeback import billing, queries
from regional311.chargeback.readiness import DraftCheck, progress
from regional311.chargeback.several import take_together
from regional311.chargeback.statement import State
from regional311.database.ids import new_token
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web.billing_wording import (
    PAYER_KINDS,
    STATEMENT_KINDS,
    STATEMENT_STATES,
    Check,
    Words,
    page,
)
from regional311.web.forms import form_key
from regional311.web.i18n import _, translated
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import PeriodRecord

EXPORTED = 100_000
SHOWN = 5
"""Rows that a check links to on the period's page."""
WAITING = {"submit": State.DRAFT, "approve": State.IN_REVIEW, "issue": State.APPROVED}
"""In which state a statement is ready for a step."""
LIVE = (State.DRAFT, State.IN_REVIEW, State.APPROVED, State.ISSUED)
COLUMNS = ("public_id", "number", "kind", "payer_kind", "payer", "state", "total_cents", "lines")
CHECKED = {
    "period_over": _("The period is over."),
    "all_in_run": _("Every usage event of the period is in the latest run."),
    "all_rated": _("Everything that an agreement covers has a price."),
    "all_agreed": _("An agreement says who pays for every piece of work for others."),
    "agreements_hold": _("No agreement that we bill by has ended."),
    "everybody_billed": _("Every agreement gives somebody something to pay."),
    "nothing_zero": _("No statement comes to nothing."),
    "nothing_unusual": _("Nothing stands out beside the twelve periods before."),
}
DETAILS = {
    "period_over": _("More work may come; draft again after its end."),
    "all_in_run": _("${count} came in after it. Draft again, or bill them as a correction."),
    "all_rated": _("${count} events wait for a rate."),
    "all_agreed": _("${count} events wait for an agreement."),
    "agreements_hold": _("${count} ended."),
    "everybody_billed": _("${count} agreements without a line."),
    "nothing_zero": _("${count} statements over nothing."),
    "nothing_unusual": _("${count} lines to look at."),
}


def payer(words: Words, row: queries.StatementRow) -> str:
    """Who pays a statement, as a list says it."""
    if row.payer_kind == "partner":
        return row.counterparty
    return f"{row.counterparty} ({words.say('payer_kind', row.payer_kind)})"


def _told(words: Words, message: Any, count: str) -> str:
    """A marked text with a count, in the language of the page."""
    return translated(words.request, _(str(message), mapping={"count": count}))


def check_of(words: Words, slug: str, period: str, found: DraftCheck) -> Check:
    """A check before statements are sent, with links to the rows that it is about."""
    if found.holds:
        return Check(CHECKED[found.name], ok=True)
    base = f"/{slug}/billing/{period}"
    links: list[tuple[str, Any]] = {
        "all_in_run": [(f"/{slug}/corrections", _("Late and changed work"))],
        "all_rated": [(f"{base}/usage?state=unrated", _("The work without a rate"))],
        "all_agreed": [(f"{base}/usage?state=no_agreement", _("The work without an agreement"))],
    }.get(found.name, [])
    about = "agreements" if found.name in ("agreements_hold", "everybody_billed") else "statements"
    for row in found.rows[:SHOWN]:
        said = f"{row.key}: {row.message}" if row.message else row.key
        links.append((f"/{slug}/{about}/{row.key}", said))
    if len(found.rows) > SHOWN:
        target = f"/{slug}/agreements" if about == "agreements" else f"{base}/bills"
        links.append((target, _("All of them")))
    detail = _told(words, DETAILS[found.name], words.number(found.count))
    return Check(CHECKED[found.name], ok=False, detail=detail, links=tuple(links))


@view_config(
    context=PeriodRecord,
    name="bills",
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="billing/bills.jinja2",
)
def bills(context: PeriodRecord, request: Any) -> Any:
    """The live statements of a period, for every kind of payer."""
    words = Words(request)
    period, session, slug = context.record, request.dbsession, request.tenant.slug
    listing = Listing(
        request,
        columns=[
            Column("statement", _("Statement")),
            Column("payer", _("Payer")),
            Column("kind", _("Kind")),
            Column("state", _("State")),
            Column("lines", _("Lines"), number=True),
            Column("total", _("Total"), number=True),
        ],
        filters=[
            Filter("state", _("State"), [(each, STATEMENT_STATES[each]) for each in LIVE]),
            Filter("payer", _("Payer is"), list(PAYER_KINDS.items())),
            Filter("kind", _("Kind"), list(STATEMENT_KINDS.items())),
        ],
        csv=True,
    )
    form, asked = wanted(request), listing.values
    rows = queries.statements(
        session,
        side="issued",
        period_key=period,
        states=[asked["state"]] if asked["state"] else list(LIVE),
        kind=asked["kind"],
        payer_kind=asked["payer"],
        before=_id(listing.after),
        limit=PAGE_SIZE + 1 if form == "html" else EXPORTED,
    )
    if form != "html":
        found = [_plain(row) for row in rows]
        if form == "json":
            return json_response(found)
        return csv_response(
            request, f"bills-{period}.csv", COLUMNS, [list(each.values()) for each in found]
        )
    shown = rows[:PAGE_SIZE]
    listing.fill(
        [
            {"row": row, "payer": payer(words, row), "url": f"/{slug}/statements/{row.public_id}"}
            for row in shown
        ],
        after=str(shown[-1].id) if len(rows) > PAGE_SIZE else None,
    )
    states = {row.state for row in shown}
    steps = [
        (f"/{slug}/billing/{period}/{name}", label)
        for name, label, permission in (
            ("submit", _("Send to review"), P.STATEMENT_PREPARE),
            ("approve", _("Approve"), P.STATEMENT_APPROVE),
            ("issue", _("Issue"), P.STATEMENT_ISSUE),
        )
        if WAITING[name] in states and may(request, permission)
    ]
    return page(
        request,
        period=period,
        url=f"/{slug}/billing/{period}",
        billing_url=f"/{slug}/billing",
        listing=listing,
        progress=progress(session, period),
        steps=steps,
        form_key=new_token(),
    )


def _plain(row: queries.StatementRow) -> dict[str, Any]:
    values = (
        row.public_id,
        row.number,
        row.kind,
        row.payer_kind,
        row.counterparty,
        row.state,
        row.total_cents,
        row.line_count,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _id(cursor: str | None) -> UUID | None:
    try:
        return UUID(cursor or "")
    except ValueError:
        return None


def _take(
    context: PeriodRecord, request: Any, name: str, act: Callable[..., Any], done: Any
) -> HTTPSeeOther:
    """Take a step for the chosen statements, once, and say what became of each."""
    period = context.record
    ready = request.POST.getall(f"shown_{WAITING[name]}") if request.POST.get("all") else []
    chosen = sorted({*request.POST.getall("statement"), *ready})

    def do() -> dict[str, Any]:
        taken = take_together(request.dbsession, period, chosen, act, now=request.now)
        return {"done": list(taken.done), "refused": [list(each) for each in taken.refused]}

    answer = once(request.dbsession, form_key(request), [f"bills:{name}", period, chosen], do)
    words = Words(request)
    if answer["done"]:
        request.flash("success", _told(words, done, words.number(len(answer["done"]))))
    for public_id, why in answer["refused"][:SHOWN]:
        request.flash("warning", f"{public_id}: {why}")
    if len(answer["refused"]) > SHOWN:
        left = words.number(len(answer["refused"]) - SHOWN)
        request.flash("warning", _told(words, _("${count} more were refused."), left))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/billing/{period}/bills")


@view_config(
    context=PeriodRecord, name="submit", permission=P.STATEMENT_PREPARE, request_method="POST"
)
def submit(context: PeriodRecord, request: Any) -> HTTPSeeOther:
    """Send several drafts to review."""
    return _take(context, request, "submit", billing.submit, _("${count} are in review."))


@view_config(
    context=PeriodRecord, name="approve", permission=P.STATEMENT_APPROVE, request_method="POST"
)
def approve(context: PeriodRecord, request: Any) -> HTTPSeeOther:
    """Approve several statements, as somebody who prepared none of them."""
    return _take(context, request, "approve", billing.approve, _("${count} are approved."))


@view_config(
    context=PeriodRecord, name="issue", permission=P.STATEMENT_ISSUE, request_method="POST"
)
def issue(context: PeriodRecord, request: Any) -> HTTPSeeOther:
    """Number, post and deliver several statements, each whole or not at all."""
    return _take(context, request, "issue", billing.issue, _("${count} were issued."))
