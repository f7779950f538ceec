"""Statements issued and received, from the cover down to one piece of work, and their steps."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.response import FileIter, Response
from pyramid.view import view_config

from regional311.chargeback import billing, explain, memos, queries
from regional311.chargeback.documents.content import line_note, percent, year_before
from regional311.chargeback.documents.exports import csv_pieces
from regional311.chargeback.outside import sent_out
from regional311.chargeback.queries import EventRow, LineRow, Node, StatementDetail
from regional311.chargeback.statement import OPEN, State
from regional311.chargeback.terms import payer_rule
from regional311.database.ids import new_token
from regional311.floor.watching import confidential_contacts
from regional311.forecast.documents import write_document
from regional311.forecast.queries import own_payers
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.intake.numbers import contact_numbers
from regional311.ledger.queries import entry_from
from regional311.money import to_cents
from regional311.referral.decision import explain_stored
from regional311.referral.queries import decisions_of_contact
from regional311.tenancy.once import once
from regional311.web.billing_wording import (
    PAYER_KINDS,
    STATEMENT_KINDS,
    STATEMENT_STATES,
    Check,
    Words,
    page,
)
from regional311.web.forms import (
    Schema,
    SchemaNode,
    String,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _, translated
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import (
    StatementItemRecord,
    StatementLineRecord,
    StatementRecord,
    Statements,
)
from regional311.web.views.billing import cursor, cursor_after
from regional311.web.views.settlement import standing

EXPORTED = 10_000
LINES = 100
"""How many lines a page of a statement shows."""
DOCUMENTS = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
    "json": "application/json",
}
LINE_KIND_MEANINGS = {
    "funding": _("A source of funding that takes a part of the cost off the payer."),
    "overhead": _("What it costs to run the service beside the work itself."),
    "discount": _("A discount that was agreed."),
    "cap": _("What lies above the most that the payer pays in a year is taken off."),
    "minimum": _("What lacks to the least that the payer pays for the period."),
    "interest": _("Interest on what is overdue."),
    "credit": _("A credit that was agreed."),
    "debit": _("A charge that was forgotten before."),
    "true_up": _("The difference between what was budgeted and what it really cost."),
    "carry_forward": _("A difference of an earlier year that was carried into this one."),
}


class VoidForm(Schema):
    """Why a statement is made void."""

    reason = SchemaNode(
        String(500, multiline=True),
        title=_("Reason"),
        description=_("It stays with the statement. Name no person."),
    )


# Lists


@view_config(
    context=Statements,
    permission=P.STATEMENT_READ,
    request_method="GET",
    renderer="statements/index.jinja2",
)
def issued(context: Statements, request: Any) -> Any:
    """The statements that this partner issues to others."""
    return _list(request, "issued")


@view_config(
    context=Statements,
    name="received",
    permission=P.STATEMENT_READ,
    request_method="GET",
    renderer="statements/index.jinja2",
)
def received(context: Statements, request: Any) -> Any:
    """The statements that this partner has received."""
    return _list(request, "received")


def _list(request: Any, side: str) -> Any:
    words = Words(request)
    title = _("Payer") if side == "issued" else _("Issuer")
    others = [
        each
        for each in request.registry.partners.all()
        if each.id != request.tenant.id and each.kind != "region"
    ]
    states = {
        state: label
        for state, label in STATEMENT_STATES.items()
        if (state == "received") == (side == "received")
    }
    listing = Listing(
        request,
        columns=[
            Column("statement", _("Statement")),
            Column("counterparty", title),
            Column("kind", _("Kind")),
            Column("month", _("Month")),
            Column("state", _("State")),
            Column("total", _("Total"), number=True),
        ],
        filters=[
            Filter("period", _("Month"), type="month"),
            Filter("partner", title, choices=[(each.slug, each.name) for each in others]),
            Filter("kind", _("Kind"), choices=list(STATEMENT_KINDS.items())),
            *(
                [
                    Filter("payer", _("Payer is"), choices=list(PAYER_KINDS.items())),
                    Filter("state", _("State"), choices=list(states.items())),
                ]
                if side == "issued"
                else []
            ),
        ],
        csv=True,
    )
    url = f"/{request.tenant.slug}/statements"
    listing.base = f"{url}/"
    asked = listing.values
    state = asked.get("state")
    partner = request.registry.partners.by_slug(asked["partner"]) if asked["partner"] else None
    form = wanted(request)
    rows = queries.statements(
        request.dbsession,
        side=side,
        period_key=asked["period"],
        states=[state] if state else None,
        counterparty_id=partner.id if partner else None,
        kind=asked["kind"],
        payer_kind=asked.get("payer"),
        before=as_id(listing.after),
        limit=PAGE_SIZE + 1 if form == "html" else EXPORTED,
    )
    if form != "html":
        found = [
            {
                "public_id": row.public_id,
                "number": row.number,
                "side": row.side,
                "kind": row.kind,
                "payer_kind": row.payer_kind,
                "partner": row.counterparty,
                "period": row.period_key,
                "state": row.state,
                "total_cents": row.total_cents,
                "lines": row.line_count,
                "items": row.item_count,
            }
            for row in rows
        ]
        columns = ["public_id", "number", "side", "kind", "payer_kind", "partner", "period"]
        columns += ["state", "total_cents", "lines", "items"]
        return csv_response(
            request, f"statements-{side}.csv", columns, [list(each.values()) for each in found]
        )
    shown = rows[:PAGE_SIZE]
    listing.fill(shown, after=str(shown[-1].id) if len(rows) > PAGE_SIZE else None)
    return page(
        request,
        listing=listing,
        counterparty_title=title,
        caption=_("Issued by us") if side == "issued" else _("Received by us"),
        empty=_("Nothing has been drafted yet. Billing makes the drafts of a month.")
        if side == "issued"
        else _("No partner has issued a statement to us yet."),
        tabs=[
            (url, _("Issued by us"), side == "issued"),
            (f"{url}/received", _("Received by us"), side == "received"),
        ],
        words=words,
    )


# One statement


@view_config(
    context=StatementRecord,
    permission=P.STATEMENT_READ,
    request_method="GET",
    renderer="statements/statement.jinja2",
)
def statement(context: StatementRecord, request: Any) -> Any:
    """A statement: who owes whom, for what, line by line, and what has happened to it.

    `?format=` pdf, xlsx or csv gives it as a document; JSON is an operation of the API.
    """
    asked = request.GET.get("format", "")
    form = asked if asked in ("pdf", "xlsx") else wanted(request)
    if form == "html":
        return _statement_page(context, request)
    return statement_document(context, request, form)


def statement_document(context: StatementRecord, request: Any, form: str) -> Response:
    """A statement as a document, however many lines it has."""
    detail = _detail(context, request)
    also = {"parties": detail.parties, "terms": detail.terms}
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the server reads it after this returns
    write_document(request.dbsession, detail.row.id, form, file, now=request.now, also=also)
    return _sent(file, f"{_number(detail)}.{form}", DOCUMENTS[form])


def _sent(file: Any, name: str, kind: str) -> Response:
    """A file of any size as the answer, read while it is sent."""
    length = file.tell()
    file.seek(0)
    response = Response(content_type=kind, app_iter=FileIter(file), content_length=length)
    if kind.startswith("text/"):
        response.charset = "utf-8"
    if kind != "application/json":
        response.content_disposition = f'attachment; filename="{name}"'
    response.vary = ("Accept", "Cookie")
    return response


def _detail(context: Any, request: Any) -> StatementDetail:
    found = queries.statement(request.dbsession, context.record.id)
    assert found is not None
    return found


def _plain_line(line: LineRow) -> dict[str, Any]:
    return {
        "position": line.position,
        "kind": line.kind,
        "label": line.label,
        "agreement": line.agreement_key,
        "basis": line.basis,
        "quantity": line.quantity,
        "price": line.price,
        "exact_amount": line.exact_amount,
        "amount_cents": line.amount_cents,
        "items": line.item_count,
    }


def _number(detail: StatementDetail) -> str:
    return detail.row.number or detail.row.public_id


def _statement_page(
    context: StatementRecord, request: Any, void_form: Any = None
) -> dict[str, Any]:
    words = Words(request)
    session = request.dbsession
    detail = _detail(context, request)
    row = detail.row
    first = request.GET.get("after", "")
    after = int(first) if first.isdecimal() and len(first) < 9 else 0
    found = queries.lines(session, row.id, after=after, limit=LINES + 1)
    lines = found[:LINES]
    people = names_of(session, [detail.prepared_by, *(event.person_id for event in detail.events)])
    slug = request.tenant.slug
    posted = (
        entry_from(session, row.id)
        if row.state in (State.ISSUED, State.RECEIVED) and may(request, P.LEDGER_READ)
        else None
    )
    agreements = detail.terms.get("agreements", {})
    total = queries.lines_total(session, row.id)
    url = f"/{slug}/statements/{row.public_id}"
    return page(
        request,
        head=row,
        url=url,
        statements_url=f"/{slug}/statements" + ("/received" if row.side == "received" else ""),
        cover=_cover(words, detail),
        against=_against_last_year(request, words, detail),
        facts=[
            (_("State"), words("statement_state", row.state)),
            (_("From"), _party(detail.parties.get("issuer", {}))),
            (_("To"), _party(detail.parties.get("payer", {}))),
            (
                _("Payer is"),
                None if row.payer_kind == "partner" else words("payer_kind", row.payer_kind),
            ),
            (_("Sent"), _sent_out(request, words, detail)),
            (_("Month"), words.month(row.period_key)),
            (_("Total"), words.cents(row.total_cents)),
            (_("Due"), _due(words, detail)),
            (
                _("Open"),
                standing(request, row.id)
                if row.state in (State.ISSUED, State.RECEIVED) and may(request, P.SETTLEMENT_READ)
                else None,
            ),
            (_("Agreed in"), "\n".join(each["name"] for each in agreements.values()) or None),
            (_("Your reference"), _references(agreements)),
            (_("Fingerprint"), detail.digest[:16]),
        ],
        lines=lines,
        notes={line.position: note for line in lines if (note := line_note(line))},
        first_url=url if after else None,
        next_url=f"{url}?after={lines[-1].position}" if len(found) > LINES else None,
        shown=_shown(words, lines, row.line_count),
        related=_related(request, detail),
        memo_url=_memo_url(request, detail),
        documents=[
            (f"{url}?format=pdf", _("PDF, to read and file")),
            (f"{url}?format=xlsx", _("XLSX, to reckon with")),
            (f"{url}?format=csv", _("CSV, every line")),
            (f"{url}?format=json", _("JSON, for programs")),
        ],
        checks=[
            Check(
                _("The lines sum to the total."),
                total == row.total_cents,
                f"{words.cents(total)} = {words.cents(row.total_cents)}",
            )
        ],
        actions=_actions(request, detail, void_form) if row.side == "issued" else [],
        form_key=new_token(),
        history=_history(words, detail.events, people),
        entry_url=f"/{slug}/ledger/{posted}" if posted else None,
        problem=None,
    )


def _sent_out(request: Any, words: Words, detail: StatementDetail) -> Any:
    """How a statement of ours reaches its payer outside; None for all others."""
    row = detail.row
    if row.payer_kind != "outside" or row.state != State.ISSUED:
        return None
    letter = sent_out(request.dbsession, row.id)
    if letter is None:
        return _("By post: no e-mail went out. Print the PDF and send it to the address above.")
    told = {"address": letter.recipient}
    if letter.state == "sent" and letter.sent_at is not None:
        told["when"] = words.when(letter.sent_at)
        return _("By e-mail to ${address}, ${when}.", mapping=told)
    if letter.state == "pending":
        return _("By e-mail to ${address}; it has not left yet.", mapping=told)
    return _(
        "By post: the e-mail to ${address} did not arrive. Print the PDF and send it.", mapping=told
    )


def _party(party: dict[str, Any]) -> str | None:
    contact = party.get("contact") or {}
    parts = [party.get("name"), contact.get("address"), contact.get("phone"), contact.get("email")]
    return "\n".join(str(each) for each in parts if each) or None


def _references(agreements: dict[str, Any]) -> str | None:
    """The payer's own names for what it pays, one a line."""
    found = {
        f"{key.replace('_', ' ').capitalize()}: {value}": None
        for each in agreements.values()
        for key, value in ((each.get("terms") or {}).get("payer_reference") or {}).items()
        if value
    }
    return "\n".join(found) or None


def _shown(words: Words, lines: list[LineRow], count: int) -> Any:
    """Which lines are on the page, when not all of them are."""
    if len(lines) == count or not lines:
        return None
    told = {
        "first": words.number(lines[0].position),
        "last": words.number(lines[-1].position),
        "count": words.number(count),
    }
    return _("Lines ${first} to ${last} of ${count}.", mapping=told)


def _related(request: Any, detail: StatementDetail) -> list[dict[str, Any]]:
    """The statement that this one is about, and those that are about it."""
    row, session = detail.row, request.dbsession
    found = queries.statements(session, corrects_id=row.id, limit=PAGE_SIZE)
    if row.corrects_id is not None:
        original = queries.statement(session, row.corrects_id)
        found = [*([original.row] if original else []), *found]
    slug = request.tenant.slug
    return [
        {
            "url": f"/{slug}/statements/{each.public_id}",
            "number": each.number or each.public_id,
            "kind": each.kind,
            "state": each.state,
            "total_cents": each.total_cents,
            "corrected": each.id == row.corrects_id,
        }
        for each in found
    ]


def _memo_url(request: Any, detail: StatementDetail) -> str | None:
    """Where a memo about an issued statement is drafted, for whoever may prepare one."""
    row = detail.row
    issued = row.state == State.ISSUED and row.kind != "credit_memo"
    if not (issued and may(request, P.STATEMENT_PREPARE)):
        return None
    return f"/{request.tenant.slug}/statements/{row.public_id}/memo"


def _cover(words: Words, detail: StatementDetail) -> Any:
    row = detail.row
    told = {
        "issuer": detail.parties.get("issuer", {}).get("name", ""),
        "payer": detail.parties.get("payer", {}).get("name", ""),
        "total": words.cents(abs(row.total_cents)),
        "month": words.month(row.period_key),
        "work": words.count("${num} piece of work", "${num} pieces of work", row.item_count),
        "lines": words.count("one line", "${num} lines", row.line_count),
        "about": detail.corrects or "",
    }
    # a share of a cost has no pieces of work: both are said, neither stands for the total
    what = (
        _("in ${lines} with ${work} behind them", mapping=told)
        if row.item_count
        else _("in ${lines}", mapping=told)
    )
    told["what"] = translated(words.request, what)
    if row.state == State.VOID:
        return _("Void: ${payer} owes nothing by this statement.", mapping=told)
    if row.kind != "bill" and detail.corrects:
        if row.total_cents < 0:
            return _(
                "${issuer} credits ${payer} with ${total} on statement ${about}, which stays as it"
                " is.",
                mapping=told,
            )
        return _(
            "${payer} owes ${issuer} ${total} more on statement ${about}, which stays as it is.",
            mapping=told,
        )
    if row.total_cents < 0:
        return _("${issuer} credits ${payer} with ${total} for ${month}.", mapping=told)
    if row.state in OPEN:
        return _(
            "${payer} would owe ${issuer} ${total} for ${month}, ${what}. Nothing is owed before it"
            " is issued.",
            mapping=told,
        )
    return _("${payer} owes ${issuer} ${total} for ${month}, ${what}.", mapping=told)


def _against_last_year(request: Any, words: Words, detail: StatementDetail) -> Any:
    """How the bill compares with the same period a year earlier; None when there was none."""
    row = detail.row
    earlier = year_before(row.period_key)
    if earlier is None or row.kind != "bill":
        return None
    before = sum(
        each.total_cents
        for each in queries.statements(
            request.dbsession,
            side=row.side,
            period_key=earlier,
            states=["issued", "received"],
            counterparty_id=row.counterparty_id,
            payer_kind=row.payer_kind,
        )
        if each.kind in ("bill", "correction") and each.payer_key == row.payer_key
    )
    if not before:
        return None
    change = row.total_cents - before
    told = {
        "amount": words.cents(abs(change)),
        "percent": percent(abs(change), abs(before)),
        "month": words.month(earlier),
    }
    if change == 0:
        return _("That is as much as for ${month}.", mapping=told)
    if change > 0:
        return _("That is ${amount} (${percent}) more than for ${month}.", mapping=told)
    return _("That is ${amount} (${percent}) less than for ${month}.", mapping=told)


def _due(words: Words, detail: StatementDetail) -> Any:
    days = detail.terms.get("due_days")
    if days is None:
        return None
    sent = [e.at for e in detail.events if e.state in (State.ISSUED, State.RECEIVED)]
    if not sent:
        return _("${days} days after issue", mapping={"days": days})
    zone = detail.parties.get("issuer", {}).get("zone")
    day = sent[0].astimezone(ZoneInfo(zone) if zone else words.zone).date()
    return words.day(day + timedelta(days=days))


def _history(
    words: Words, events: tuple[EventRow, ...], people: dict[UUID, str]
) -> list[dict[str, Any]]:
    return [
        {
            "when": words.when(event.at),
            "title": words("statement_state", event.state),
            "by": people.get(event.person_id, "") if event.person_id else "",
            "note": event.reason,
        }
        for event in reversed(events)
    ]


def _actions(request: Any, detail: StatementDetail, void_form: Any) -> list[dict[str, Any]]:
    """What this person may do next with a statement that this partner issues."""
    state = State(detail.row.state)
    found: list[dict[str, Any]] = []

    def offer(name: str, label: Any, question: Any) -> None:
        found.append(
            {"name": name, "label": label, "question": question, "form": None, "reason": None}
        )

    def explain(reason: Any) -> None:
        found.append({"reason": reason, "form": None, "label": None})

    if state == State.DRAFT:
        if may(request, P.STATEMENT_PREPARE):
            offer(
                "submit",
                _("Submit for review"),
                _("Read the lines first. A second person then approves the statement."),
            )
        else:
            explain(_("It is a draft. Whoever prepared it submits it for review."))
    elif state == State.IN_REVIEW:
        involved = {detail.prepared_by} | {
            event.person_id for event in detail.events if event.state == State.IN_REVIEW
        }
        if request.identity.person_id in involved:
            explain(_("You prepared or submitted this statement: a second person must approve it."))
        elif may(request, P.STATEMENT_APPROVE):
            offer(
                "approve",
                _("Approve"),
                _("You say that what is billed here is right. It can then be issued."),
            )
        else:
            explain(_("It waits for somebody with the approver's role."))
    elif state == State.APPROVED:
        if may(request, P.STATEMENT_ISSUE):
            offer(
                "issue",
                _("Issue"),
                _(
                    "It gets its number, goes to the payer and is posted in both books."
                    " This cannot be undone."
                ),
            )
        else:
            explain(_("It is approved and waits to be issued."))
    if state in OPEN and may(request, P.STATEMENT_ISSUE):
        found.append(
            {
                "label": _("Make it void"),
                "form": void_form or _void_form(request, detail.row.public_id),
                "open": void_form is not None,
                "reason": None,
            }
        )
    return found


def _void_form(request: Any, public_id: str) -> Any:
    return make_form(
        request,
        VoidForm(),
        submit=_("Make it void"),
        name="void",
        action=f"/{request.tenant.slug}/statements/{public_id}/void",
        once=True,
    )


def _step(
    context: StatementRecord,
    request: Any,
    name: str,
    act: Callable[..., Any],
    message: Any,
) -> HTTPSeeOther:
    """Take a step once; sent again, the answer is the same."""
    record = context.record
    if record.side != "issued":
        raise HTTPNotFound

    def do() -> dict[str, Any]:
        act(request.dbsession, record.id, now=request.now)
        return {}

    once(request.dbsession, form_key(request), [f"statement:{name}", str(record.id)], do)
    request.flash("success", message)
    return HTTPSeeOther(location=f"/{request.tenant.slug}/statements/{record.public_id}")


@view_config(
    context=StatementRecord,
    name="submit",
    permission=P.STATEMENT_PREPARE,
    request_method="POST",
)
def submit(context: StatementRecord, request: Any) -> HTTPSeeOther:
    """Send a draft to review."""
    return _step(context, request, "submit", billing.submit, _("The statement is in review."))


@view_config(
    context=StatementRecord,
    name="approve",
    permission=P.STATEMENT_APPROVE,
    request_method="POST",
)
def approve(context: StatementRecord, request: Any) -> HTTPSeeOther:
    """Approve a statement, as somebody who did not prepare it."""
    return _step(context, request, "approve", billing.approve, _("The statement is approved."))


@view_config(
    context=StatementRecord,
    name="issue",
    permission=P.STATEMENT_ISSUE,
    request_method="POST",
)
def issue(context: StatementRecord, request: Any) -> HTTPSeeOther:
    """Number, post and deliver an approved statement."""
    return _step(context, request, "issue", billing.issue, _("The statement was issued."))


@view_config(
    context=StatementRecord,
    name="void",
    permission=P.STATEMENT_ISSUE,
    request_method="POST",
    renderer="statements/statement.jinja2",
)
def void(context: StatementRecord, request: Any) -> Any:
    """Make a statement void before it is issued, with a reason."""
    form = _void_form(request, context.record.public_id)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        def act(session: Any, statement_id: UUID, *, now: Any) -> None:
            billing.void(session, statement_id, reason=values["reason"], now=now)

        return _step(context, request, "void", act, _("The statement is void."))

    return handle_form_submission(
        request, form, save, lambda: _statement_page(context, request, form)
    )


# One line


@view_config(
    context=StatementLineRecord,
    permission=P.STATEMENT_READ,
    request_method="GET",
    renderer="statements/line.jinja2",
)
def line(context: StatementLineRecord, request: Any) -> Any:
    """A line: how its amount came about, and the work behind it."""
    words, session = Words(request), request.dbsession
    found = context.record
    form = wanted(request)
    listing = Listing(
        request,
        columns=[
            Column("when", _("When")),
            Column("activity", _("Activity")),
            Column("channel", _("Channel")),
            Column("service", _("Service")),
            Column("contact", _("Contact")),
            Column("quantity", _("Quantity"), number=True),
            Column("price", _("Price"), number=True),
            Column("amount", _("Amount"), number=True),
        ],
        csv=True,
    )
    if form != "html":
        return _exported(request, context, form)
    leaves = queries.leaves(session, found.id, after=cursor(listing.after), limit=PAGE_SIZE + 1)
    detail = _detail(context.statement, request)
    count, exact = queries.leaves_total(session, found.id)
    shown = leaves[:PAGE_SIZE]
    listing.fill(
        [
            {
                "id": leaf.id,
                "occurred_at": leaf.occurred_at,
                "activity": leaf.activity,
                "channel": leaf.channel,
                "service": found.basis.get("service_name") or _("no service"),
                "contact_reference": leaf.contact_reference[:10],
                "quantity": leaf.quantity,
                "price": leaf.price,
                "amount": leaf.amount,
            }
            for leaf in shown
        ],
        after=cursor_after(shown[-1]) if len(leaves) > PAGE_SIZE else None,
        total=count,
    )
    slug = request.tenant.slug
    url = f"/{slug}/statements/{detail.row.public_id}"
    agreed = detail.terms.get("agreements", {}).get(found.agreement_key, {})
    memo_url = _memo_url(request, detail)
    return page(
        request,
        line=found,
        listing=listing,
        corrects=_corrects(request, found),
        changes=[
            (f"/{slug}/statements/{each.public_id}/{change.position}", each, change)
            for each in memos.about(session, detail.row.id, found.position)
            for change in each.lines
        ],
        reason=found.basis.get("reason"),
        memo_url=memo_url and f"{memo_url}?line={found.position}",
        number=_number(detail),
        url=f"{url}/{found.position}",
        statement_url=url,
        statements_url=f"/{slug}/statements",
        sentence=_line_sentence(request, words, found),
        steps=_steps(request, words, found),
        checks=_line_checks(words, found, count, exact),
        facts=[
            (_("Amount"), words.cents(found.amount_cents)),
            (_("Agreement"), agreed.get("name", found.agreement_key)),
            *_basis(request, words, found),
        ],
    )


def _corrects(request: Any, found: Any) -> tuple[str, str] | None:
    """Address and name of the line that a line is about."""
    corrects = found.basis.get("corrects") or {}
    original = corrects.get("line") and queries.statement(request.dbsession, corrects["statement"])
    if not original:
        return None
    url = f"/{request.tenant.slug}/statements/{original.row.public_id}/{corrects['line']}"
    told = {"line": corrects["line"], "number": corrects["statement"]}
    return url, translated(request, _("line ${line} of ${number}", mapping=told))


WORK = (
    "id",
    "occurred_at",
    "activity",
    "channel",
    "language",
    "after_hours",
    "service",
    "contact_reference",
    "quantity",
    "price",
    "amount",
)


def _exported(request: Any, context: StatementLineRecord, form: str) -> Response:
    """A line with the work behind it, read and written a thousand pieces at a time."""
    found = context.record
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the server reads it after this returns
    work = _work(request, found.id)
    if form == "csv":
        rows = ([_csv_value(each[name]) for name in WORK] for each in work)
        for piece in csv_pieces(chain([WORK], rows)):
            file.write(piece)
    else:
        head = json_response(_plain_line(_as_line(found))).body
        file.write(head[:-1] + b', "work": [')
        for place, each in enumerate(work):
            file.write((b",\n" if place else b"\n") + json_response(each).body)
        file.write(b"]}")
    name = f"{context.statement.record.public_id}-line-{found.position}.{form}"
    return _sent(file, name, DOCUMENTS[form])


def _work(request: Any, line_id: UUID) -> Iterator[dict[str, Any]]:
    after = None
    while page_of := queries.leaves(request.dbsession, line_id, after=after, limit=1000):
        for leaf in page_of:
            yield {
                name: getattr(leaf, "service_key" if name == "service" else name) for name in WORK
            }
        after = (page_of[-1].occurred_at, page_of[-1].id)


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime) else value


def _as_line(found: Any) -> LineRow:
    return LineRow(**{name: getattr(found, name) for name in LineRow.__dataclass_fields__})


def _line_sentence(request: Any, words: Words, found: Any) -> Any:
    basis = found.basis
    note = line_note(_as_line(found))
    if note:
        return note
    if found.kind == "pool":
        return _(
            "${percent} % of what ${pool} costs in this month.",
            mapping={
                "percent": basis.get("percent", ""),
                "pool": basis.get("pool_name") or basis.get("pool") or found.label,
            },
        )
    if found.kind != "usage":
        return LINE_KIND_MEANINGS.get(found.kind)
    work = words.count("${num} piece of work", "${num} pieces of work", found.item_count)
    told = {
        "work": work,
        "price": words.money(found.price),
        "unit": words.say("unit", basis.get("unit")),
        "service": basis.get("service_name") or translated(request, _("no service")),
    }
    if found.price is None:
        return _("${work} for ${service}, priced by how much was done.", mapping=told)
    return _("${work} for ${service}, at ${price} ${unit}.", mapping=told)


def _steps(request: Any, words: Words, found: Any) -> list[Any]:
    basis = found.basis
    if found.kind == "pool" and "key" in basis.get("base", {}):
        return _steps_of_a_base(request, words, found)
    if found.kind == "pool" and "month_cents" in basis and "shares" in basis:
        return [
            _(
                "The fiscal year ${year} costs ${amount}.",
                mapping={
                    "year": basis["fiscal_year"],
                    "amount": words.cents(basis["yearly_cents"]),
                },
            ),
            _(
                "Month ${month} of 12 bears ${amount}; the twelve months sum to the year.",
                mapping={"month": basis["month"], "amount": words.cents(basis["month_cents"])},
            ),
            *(
                _(
                    "${payer} bears ${percent} %: ${amount}.",
                    mapping={
                        "payer": _partner(request, slug),
                        "percent": share["percent"],
                        "amount": words.cents(share["cents"]),
                    },
                )
                for slug, share in basis["shares"].items()
            ),
        ]
    if found.kind == "usage" and found.price is not None:
        rounding = Decimal(found.amount_cents) / 100 - found.exact_amount
        told = {
            "quantity": words.number(found.quantity),
            "price": words.money(found.price),
            "exact": words.money(found.exact_amount),
            "amount": words.cents(found.amount_cents),
            "rounding": words.money(rounding),
        }
        return [
            _("${quantity} × ${price} = ${exact}, exactly.", mapping=told),
            _(
                "Rounded once to whole cents, half a cent away from zero: ${amount}"
                " (${rounding} by rounding).",
                mapping=told,
            ),
        ]
    return [f"{node.label}: {words.money(node.amount)}" for node in _parts(found)]


def _steps_of_a_base(request: Any, words: Words, found: Any) -> list[Any]:
    """How a share came about by the readings of a base, and by what other pools gave."""
    basis = found.basis
    base = basis["base"]
    numbers = ", ".join(str(each["number"]) for each in base.get("snapshots", []))
    told: list[Any] = [
        _(
            "Month ${month} of 12 of the fiscal year ${year} bears ${amount} of its own cost.",
            mapping={
                "month": basis["month"],
                "year": basis["fiscal_year"],
                "amount": words.cents(basis["own_cents"]),
            },
        )
    ]
    if numbers:
        told.append(
            _(
                "Divided by ${base}, snapshot ${number}: ${source}.",
                mapping={
                    "base": base["name"],
                    "number": numbers,
                    "source": base["snapshots"][0]["source"],
                },
            )
        )
    else:
        told.append(_("Divided by ${base}.", mapping={"base": base["name"]}))
    told += [
        _(
            "${payer}: reading ${reading}, ${amount}.",
            mapping={
                "payer": _partner(request, target),
                "reading": share["weight"],
                "amount": words.cents(share["cents"]),
            },
        )
        for target, share in basis["shares"].items()
    ]
    return told + [f"{node.label}: {words.money(node.amount)}" for node in _parts(found)]


def _parts(found: Any) -> Iterator[Node]:
    """The steps of a line; of one with work, all of it is one step."""
    line_ = _as_line(found)
    if found.item_count:
        yield Node("work", "The work below", found.exact_amount, {})
        if line_.rounding:
            yield Node("rounding", "Rounded to whole cents", line_.rounding, {})
        return
    yield from explain.parts(line_, iter(()))


def _line_checks(words: Words, found: Any, count: int, exact: Decimal) -> list[Check]:
    basis = found.basis
    if found.kind == "pool" and "month_cents" in basis and "shares" in basis:
        cents = sum(share["cents"] for share in basis["shares"].values())
        return [
            Check(
                _("The parts of all bearers sum to the month, to the cent."),
                cents == basis["month_cents"],
                f"{words.cents(cents)} = {words.cents(basis['month_cents'])}",
            )
        ]
    if not found.item_count and not count:
        cents = to_cents(sum((node.amount for node in _parts(found)), Decimal(0)))
        return [
            Check(
                _("The steps above sum to this line, to the cent."),
                cents == found.amount_cents,
                f"{words.cents(cents)} = {words.cents(found.amount_cents)}",
            )
        ]
    return [
        Check(
            _("The work below sums to this line, to the cent."),
            count == found.item_count
            and exact == found.exact_amount
            and (found.kind == "correction" or to_cents(exact) == found.amount_cents),
            _(
                "${work}: ${exact} exactly, ${amount} in whole cents.",
                mapping={
                    "work": words.count("${num} piece of work", "${num} pieces of work", count),
                    "exact": words.money(exact),
                    "amount": words.cents(found.amount_cents),
                },
            ),
        )
    ]


def _partner(request: Any, target: str) -> str:
    """A bearer of a pool by name: a partner by its slug, one of our own payers by kind and key."""
    partner = request.registry.partners.by_slug(target)
    if partner:
        return str(partner.name)
    kind, _colon, key = target.partition(":")
    if not key:
        return target
    names = getattr(request, "own_payers", None)
    if names is None:
        names = {(kind, key): name for kind, key, name in own_payers(request.dbsession)}
        request.own_payers = names
    return str(names.get((kind, key), key))


def _basis(request: Any, words: Words, found: Any) -> list[tuple[Any, Any]]:
    basis = found.basis
    corrects = basis.get("corrects") or {}
    about = [
        (_("Kind of line"), words("line_kind", found.kind)),
        (_("Work of"), words.month(found.service_period)),
        (_("Corrects statement"), corrects.get("statement")),
        (_("Corrects line"), corrects.get("line")),
    ]
    if basis.get("pool_name"):
        return [
            *about,
            (_("Shared cost"), basis["pool_name"]),
            (_("Rests on"), basis.get("source")),
        ]
    if "activity" not in basis:
        return [*about, (_("Rests on"), basis.get("source"))]
    price = None
    if found.price is not None:
        price = f"{words.money(found.price)} {words.say('unit', basis.get('unit'))}"
    return [
        *about,
        (_("Activity"), words("activity", basis["activity"])),
        (_("Channel"), words("channel", basis.get("channel"))),
        (_("Hours"), words("hours", basis.get("hours"))),
        (_("Language"), words("language", basis["language"]) if basis.get("language") else None),
        (_("Service"), basis.get("service_name")),
        (_("Price"), price),
        (_("Rate"), f"{basis.get('card')} / {basis.get('rate')}"),
        (_("The rate holds"), _span(words, basis)),
        (_("Rests on"), basis.get("source")),
    ]


def _span(words: Words, basis: dict[str, Any]) -> Any:
    since, until = basis.get("valid_from"), basis.get("valid_to")
    told = {
        "first": words.day(date.fromisoformat(since)) if since else "",
        "last": words.last_day(date.fromisoformat(until)) if until else "",
    }
    if since and until:
        return _("from ${first} through ${last}", mapping=told)
    if since:
        return _("from ${first} on", mapping=told)
    return _("through ${last}", mapping=told) if until else _("always")


# One piece of work


@view_config(
    context=StatementItemRecord,
    permission=P.STATEMENT_READ,
    request_method="GET",
    renderer="statements/item.jinja2",
)
def item(context: StatementItemRecord, request: Any) -> Any:
    """One piece of work: arithmetic, rate, payer's rule, decision and, for the issuer, contact."""
    words, session = Words(request), request.dbsession
    leaf, found = context.record, context.line.record
    if wanted(request) == "json":
        return json_response(
            {
                "id": leaf.id,
                "occurred_at": leaf.occurred_at,
                "activity": leaf.activity,
                "channel": leaf.channel,
                "service": leaf.service_key,
                "contact_reference": leaf.contact_reference,
                "quantity": leaf.quantity,
                "price": leaf.price,
                "amount": leaf.amount,
                "rate": found.basis.get("rate"),
                "agreement": found.agreement_key,
            }
        )
    detail = _detail(context.line.statement, request)
    tell = telling(request)
    slug = request.tenant.slug
    mine = detail.row.side == "issued"
    numbers = contact_numbers(session, [leaf.contact_id])
    number = numbers.get(leaf.contact_id) if leaf.contact_id else None
    asked = tell.published.directory.find(found.basis.get("service") or "")
    withheld = mine and (
        bool(asked and asked.confidential)
        or bool(confidential_contacts(session, [leaf.contact_id], tell.confidential_services))
    )
    url = f"/{slug}/statements/{detail.row.public_id}"
    basis = found.basis
    agreed = detail.terms.get("agreements", {}).get(found.agreement_key, {})
    unit = words.say("unit", basis.get("unit"))
    return page(
        request,
        item=leaf,
        line=found,
        number=_number(detail),
        title=words.say("activity", leaf.activity),
        sentence=_(
            "${when}, ${channel}, ${service}.",
            mapping={
                "when": words.when(leaf.occurred_at),
                "channel": words.say("channel", leaf.channel),
                "service": basis.get("service_name") or translated(request, _("no service")),
            },
        ),
        part_of=_(
            "It belongs to line ${position}: ${work}, ${exact} exactly, rounded once to ${amount}.",
            mapping={
                "work": words.count(
                    "${num} piece of work", "${num} pieces of work", found.item_count
                ),
                "exact": words.money(found.exact_amount),
                "position": found.position,
                "amount": words.cents(found.amount_cents),
            },
        ),
        facts=[
            (_("Language"), words("language", leaf.language)),
            (_("Hours"), words("hours", "after" if leaf.after_hours else "business")),
        ],
        rate_sentence=_rate_sentence(request, words, basis, leaf, unit),
        rate_url=f"/{slug}/rates/{basis['rate']}"
        if mine and basis.get("rate") and may(request, P.RATE_READ)
        else None,
        reference_url=f"{url}/contact?reference={leaf.contact_reference}",
        payer_sentence=_payer_sentence(request, words, detail, found, agreed),
        agreement_url=f"/{slug}/agreements/{found.agreement_key}"
        if may(request, P.AGREEMENT_READ)
        else None,
        decision=_decision(request, tell, leaf) if mine else _not_ours(detail),
        withheld=withheld,
        contact_number=number,
        contact_url=f"/{slug}/contacts/{number}"
        if number and may(request, P.CONTACT_READ)
        else None,
        statement_url=url,
        line_url=f"{url}/{found.position}",
        statements_url=f"/{slug}/statements",
    )


def _rate_sentence(request: Any, words: Words, basis: dict[str, Any], leaf: Any, unit: str) -> Any:
    told = {
        "price": words.money(leaf.price),
        "unit": unit,
        "rate": basis.get("rate", ""),
        "card": basis.get("card", ""),
        "span": translated(request, _span(words, basis)),
    }
    if leaf.price is None:
        return _(
            "By the rate ${rate} on the card ${card}, whose price depends on how much was done"
            " before; it holds ${span}.",
            mapping=told,
        )
    return _(
        "${price} ${unit}, by the rate ${rate} on the card ${card}; it holds ${span}.",
        mapping=told,
    )


def _payer_sentence(
    request: Any, words: Words, detail: StatementDetail, found: Any, agreed: dict[str, Any]
) -> Any:
    version = agreed.get("version")
    rule = payer_rule(request.dbsession, found.agreement_key, version) if version else None
    told = {
        "payer": detail.parties.get("payer", {}).get("name", ""),
        "agreement": agreed.get("name", found.agreement_key),
        "version": version or "",
        "rule": words.say("payer_rule", rule) if rule else "",
    }
    return _(
        "${payer} pays by the agreement ${agreement}, version ${version}. ${rule}", mapping=told
    )


def _decision(request: Any, tell: Any, leaf: Any) -> list[Any]:
    """Why the contact went where it went, in sentences; the latest decision about it."""
    if leaf.contact_id is None:
        return [_("This work was recorded without a contact.")]
    decisions = decisions_of_contact(request.dbsession, leaf.contact_id)
    same = [d for d in decisions if d.trace.get("service", "").endswith(f"/{leaf.service_key}")]
    chosen = (same or decisions)[-1:]
    if not chosen:
        return [_("No decision was needed: the contact was answered as it came.")]
    decision = chosen[0]
    sentences: list[Any] = explain_stored(
        decision.outcome, decision.trace, tell.published.names, tell.translate
    )
    return sentences


def _not_ours(detail: StatementDetail) -> list[Any]:
    return [
        _(
            "${issuer} took the contact and decided by its own rules; ask it with the reference"
            " below.",
            mapping={"issuer": detail.parties.get("issuer", {}).get("name", "")},
        )
    ]


def as_id(text: str | None) -> UUID | None:
    """Read an id; None for anything else."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
