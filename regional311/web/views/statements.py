"""Statements issued and received, from the cover down to one piece of work, and their steps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.chargeback import billing, queries
from regional311.chargeback.queries import EventRow, LineRow, StatementDetail
from regional311.chargeback.statement import OPEN, State
from regional311.chargeback.terms import payer_rule
from regional311.database.ids import new_token
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.intake.numbers import contact_numbers
from regional311.ledger.queries import entry_from
from regional311.money import to_cents
from regional311.referral.decision import explain_stored
from regional311.referral.queries import decisions_of_contact
from regional311.tenancy.once import once
from regional311.web.billing_wording import (
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

EXPORTED = 10_000


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
            Column("month", _("Month")),
            Column("state", _("State")),
            Column("total", _("Total"), number=True),
        ],
        filters=[
            Filter("period", _("Month"), type="month"),
            Filter("partner", title, choices=[(each.slug, each.name) for each in others]),
            *(
                [Filter("state", _("State"), choices=list(states.items()))]
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
        before=_id(listing.after),
        limit=PAGE_SIZE + 1 if form == "html" else EXPORTED,
    )
    if form != "html":
        found = [
            {
                "public_id": row.public_id,
                "number": row.number,
                "side": row.side,
                "partner": row.counterparty,
                "period": row.period_key,
                "state": row.state,
                "total_cents": row.total_cents,
                "lines": row.line_count,
                "items": row.item_count,
            }
            for row in rows
        ]
        if form == "json":
            return json_response(found)
        columns = ["public_id", "number", "side", "partner", "period", "state", "total_cents"]
        columns += ["lines", "items"]
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
    """A statement: who owes whom, for what, line by line, and what has happened to it."""
    form = wanted(request)
    if form == "html":
        return _statement_page(context, request)
    detail = _detail(context, request)
    lines = queries.lines(request.dbsession, detail.row.id)
    if form == "csv":
        return csv_response(
            request,
            f"{detail.row.number or detail.row.public_id}.csv",
            ["position", "label", "agreement", "quantity", "price", "exact_amount", "amount_cents"],
            [
                [
                    line.position,
                    line.label,
                    line.agreement_key,
                    line.quantity,
                    line.price,
                    line.exact_amount,
                    line.amount_cents,
                ]
                for line in lines
            ],
        )
    return json_response(_plain(detail) | {"lines": [_plain_line(line) for line in lines]})


def _detail(context: Any, request: Any) -> StatementDetail:
    found = queries.statement(request.dbsession, context.record.id)
    assert found is not None
    return found


def _plain(detail: StatementDetail) -> dict[str, Any]:
    row = detail.row
    return {
        "public_id": row.public_id,
        "number": row.number,
        "side": row.side,
        "state": row.state,
        "period": row.period_key,
        "parties": detail.parties,
        "terms": detail.terms,
        "total_cents": row.total_cents,
        "digest": detail.digest,
    }


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
    lines = queries.lines(session, row.id)
    people = names_of(session, [detail.prepared_by, *(event.person_id for event in detail.events)])
    slug = request.tenant.slug
    posted = (
        entry_from(session, row.id)
        if row.state in (State.ISSUED, State.RECEIVED) and may(request, P.LEDGER_READ)
        else None
    )
    agreements = detail.terms.get("agreements", {})
    total = sum(line.amount_cents for line in lines)
    return page(
        request,
        head=row,
        url=f"/{slug}/statements/{row.public_id}",
        statements_url=f"/{slug}/statements" + ("/received" if row.side == "received" else ""),
        cover=_cover(words, detail, lines),
        facts=[
            (_("State"), words("statement_state", row.state)),
            (_("From"), _party(detail.parties.get("issuer", {}))),
            (_("To"), _party(detail.parties.get("payer", {}))),
            (_("Month"), words.month(row.period_key)),
            (_("Total"), words.cents(row.total_cents)),
            (_("Due"), _due(words, detail)),
            (_("Agreed in"), "\n".join(each["name"] for each in agreements.values()) or None),
            (_("Fingerprint"), detail.digest[:16]),
        ],
        lines=lines,
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


def _party(party: dict[str, Any]) -> str | None:
    contact = party.get("contact") or {}
    parts = [party.get("name"), contact.get("address"), contact.get("phone"), contact.get("email")]
    return "\n".join(str(each) for each in parts if each) or None


def _cover(words: Words, detail: StatementDetail, lines: list[LineRow]) -> Any:
    row = detail.row
    shares = sum(line.kind == "pool" for line in lines)
    told = {
        "issuer": detail.parties.get("issuer", {}).get("name", ""),
        "payer": detail.parties.get("payer", {}).get("name", ""),
        "total": words.cents(row.total_cents),
        "month": words.month(row.period_key),
        "work": words.count("${num} piece of work", "${num} pieces of work", row.item_count),
        "shares": words.count("a share of a yearly cost", "${num} shares of yearly costs", shares),
    }
    if row.item_count and shares:
        what = _("for ${work} and ${shares}", mapping=told)
    elif shares:
        what = _("for ${shares}", mapping=told)
    else:
        what = _("for ${work}", mapping=told)
    told["what"] = translated(words.request, what)
    if row.state == State.VOID:
        return _("Void: ${payer} owes nothing by this statement.", mapping=told)
    if row.state in OPEN:
        return _(
            "${payer} would owe ${issuer} ${total} ${what} in ${month}. Nothing is owed before it"
            " is issued.",
            mapping=told,
        )
    return _("${payer} owes ${issuer} ${total} ${what} in ${month}.", mapping=told)


def _due(words: Words, detail: StatementDetail) -> Any:
    days = detail.terms.get("due_days")
    if days is None:
        return None
    sent = [e.at for e in detail.events if e.state in (State.ISSUED, State.RECEIVED)]
    if not sent:
        return _("${days} days after issue", mapping={"days": days})
    return words.day(sent[0].astimezone(words.zone).date() + timedelta(days=days))


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
    leaves = queries.leaves(
        session,
        found.id,
        after=cursor(listing.after),
        limit=PAGE_SIZE + 1 if form == "html" else None,
    )
    if form != "html":
        return _exported(request, context, leaves, form)
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
    return page(
        request,
        line=found,
        listing=listing,
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


def _exported(request: Any, context: StatementLineRecord, leaves: Any, form: str) -> Any:
    found = context.record
    rows = [
        {
            "id": leaf.id,
            "occurred_at": leaf.occurred_at,
            "activity": leaf.activity,
            "channel": leaf.channel,
            "language": leaf.language,
            "after_hours": leaf.after_hours,
            "service": leaf.service_key,
            "contact_reference": leaf.contact_reference,
            "quantity": leaf.quantity,
            "price": leaf.price,
            "amount": leaf.amount,
        }
        for leaf in leaves
    ]
    if form == "json":
        return json_response(_plain_line(_as_line(found)) | {"work": rows})
    columns = ["id", "occurred_at", "activity", "channel", "language", "after_hours", "service"]
    columns += ["contact_reference", "quantity", "price", "amount"]
    return csv_response(
        request,
        f"{context.statement.record.public_id}-line-{found.position}.csv",
        columns,
        [list(row.values()) for row in rows],
    )


def _as_line(found: Any) -> LineRow:
    return LineRow(**{name: getattr(found, name) for name in LineRow.__dataclass_fields__})


def _line_sentence(request: Any, words: Words, found: Any) -> Any:
    basis = found.basis
    if found.kind == "pool":
        return _(
            "${percent} % of what ${pool} costs in this month.",
            mapping={"percent": basis["percent"], "pool": basis["pool_name"]},
        )
    work = words.count("${num} piece of work", "${num} pieces of work", found.item_count)
    told = {
        "work": work,
        "price": words.money(found.price),
        "unit": words.say("unit", basis["unit"]),
        "service": basis.get("service_name") or translated(request, _("no service")),
    }
    return _("${work} for ${service}, at ${price} ${unit}.", mapping=told)


def _steps(request: Any, words: Words, found: Any) -> list[Any]:
    basis = found.basis
    rounding = Decimal(found.amount_cents) / 100 - found.exact_amount
    rounded = _(
        "Rounded once to whole cents, half a cent away from zero: ${amount}"
        " (${rounding} by rounding).",
        mapping={"amount": words.cents(found.amount_cents), "rounding": words.money(rounding)},
    )
    if found.kind == "pool":
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
    return [
        _(
            "${quantity} × ${price} = ${amount}, exactly.",
            mapping={
                "quantity": words.number(found.quantity),
                "price": words.money(found.price),
                "amount": words.money(found.exact_amount),
            },
        ),
        rounded,
    ]


def _line_checks(words: Words, found: Any, count: int, exact: Decimal) -> list[Check]:
    if found.kind == "pool":
        cents = sum(share["cents"] for share in found.basis["shares"].values())
        return [
            Check(
                _("The parts of all bearers sum to the month, to the cent."),
                cents == found.basis["month_cents"],
                f"{words.cents(cents)} = {words.cents(found.basis['month_cents'])}",
            )
        ]
    return [
        Check(
            _("The work below sums to this line, to the cent."),
            count == found.item_count
            and exact == found.exact_amount
            and to_cents(exact) == found.amount_cents,
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


def _partner(request: Any, slug: str) -> str:
    partner = request.registry.partners.by_slug(slug)
    return partner.name if partner else slug


def _basis(request: Any, words: Words, found: Any) -> list[tuple[Any, Any]]:
    basis = found.basis
    if found.kind == "pool":
        return [(_("Shared cost"), basis["pool_name"]), (_("Rests on"), basis.get("source"))]
    return [
        (_("Activity"), words("activity", basis["activity"])),
        (_("Channel"), words("channel", basis["channel"])),
        (_("Hours"), words("hours", basis["hours"])),
        (_("Language"), words("language", basis["language"]) if basis["language"] else None),
        (_("Service"), basis.get("service_name")),
        (_("Price"), f"{words.money(found.price)} {words.say('unit', basis['unit'])}"),
        (_("Rate"), f"{basis['card']} / {basis['rate']}"),
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
    withheld = bool(mine and asked and asked.confidential)
    url = f"/{slug}/statements/{detail.row.public_id}"
    basis = found.basis
    agreed = detail.terms.get("agreements", {}).get(found.agreement_key, {})
    unit = words.say("unit", basis["unit"])
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
        rate_sentence=_(
            "${price} ${unit}, by the rate ${rate} on the card ${card}; it holds ${span}.",
            mapping={
                "price": words.money(leaf.price),
                "unit": unit,
                "rate": basis["rate"],
                "card": basis["card"],
                "span": translated(request, _span(words, basis)),
            },
        ),
        rate_url=f"/{slug}/rates/{basis['rate']}" if mine and may(request, P.RATE_READ) else None,
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


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
