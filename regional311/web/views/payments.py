"""Payments received and paid: the list, one of them, recording, applying, giving back, undoing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.chargeback.models import Statement
from regional311.database.ids import is_public_id, new_token
from regional311.errors import InvalidInput
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.ledger.queries import entry_from
from regional311.settlement import advance_requests, payments, queries
from regional311.settlement.payments import Whom
from regional311.web.forms import (
    Choice,
    Date,
    HiddenWidget,
    Money,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import exported, json_response, wanted
from regional311.web.security import may
from regional311.web.settlement_wording import (
    METHODS,
    PAYMENT_KINDS,
    SIDES,
    SettlementWords,
    settlement_page,
)
from regional311.web.tree import PaymentRecord, Payments

EXPORTED = 10_000


class PaymentForm(Schema):
    """Money that came in or went back."""

    kind = SchemaNode(Choice(["payment", "refund"]), widget=HiddenWidget(), missing="payment")
    statement = SchemaNode(String(40), widget=HiddenWidget(), missing=None)
    amount = SchemaNode(Money(), title=_("Amount"), description=_("In dollars, above zero."))
    paid_on = SchemaNode(
        Date(),
        title=_("Day"),
        description=_("When the money came in or went out. Its month says where it is booked."),
    )
    reference = SchemaNode(
        String(payments.LONGEST_REFERENCE),
        title=_("Reference"),
        description=_("The number of the check or transfer, as the bank shows it."),
    )
    method = SchemaNode(
        Choice(METHODS), title=_("How"), widget=SelectWidget(values=list(METHODS.items()))
    )


class ReversalForm(Schema):
    """Why a payment is undone, and on which day."""

    day = SchemaNode(Date(), name="on", title=_("Day"), description=_("Its month must be open."))
    reason = SchemaNode(
        String(payments.LONGEST_REASON, multiline=True),
        title=_("Reason"),
        description=_("It stays with both payments, on both sides."),
    )


COLUMNS = (
    "public_id",
    "side",
    "kind",
    "partner",
    "statement",
    "paid_on",
    "booked_in",
    "cash_cents",
    "netted_cents",
    "applied_cents",
    "advance_cents",
    "reference",
    "method",
    "reverses",
    "reversed_by",
)
"""Of an export."""


@view_config(
    context=Payments,
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/payments.jinja2",
)
def listed(context: Payments, request: Any) -> Any:
    """What was paid to and by this partner, the latest first."""
    others = [each for each in request.registry.partners.all() if each.kind != "region"]
    listing = Listing(
        request,
        columns=[
            Column("payment", _("Payment")),
            Column("day", _("Day")),
            Column("partner", _("Partner")),
            Column("kind", _("Kind")),
            Column("statement", _("Statement")),
            Column("cash", _("Money"), number=True),
            Column("applied", _("Settles"), number=True),
            Column("advance", _("In advance"), number=True),
        ],
        filters=[
            Filter("side", _("Side"), choices=list(SIDES.items())),
            Filter("kind", _("Kind"), choices=list(PAYMENT_KINDS.items())),
            Filter("partner", _("Partner"), choices=[(each.slug, each.name) for each in others]),
        ],
        csv=True,
    )
    listing.base = f"/{request.tenant.slug}/payments/"
    asked = listing.values
    partner = request.registry.partners.by_slug(asked["partner"]) if asked["partner"] else None
    form = wanted(request)
    rows = queries.payments(
        request.dbsession,
        side=asked["side"],
        kind=asked["kind"],
        counterparty_id=partner.id if partner else None,
        before=as_uuid(listing.after),
        limit=PAGE_SIZE + 1 if form == "html" else EXPORTED,
    )
    if form != "html":
        found = [_plain(row) for row in rows]
        return exported(request, form, "payments.csv", COLUMNS, found)
    shown = rows[:PAGE_SIZE]
    listing.fill(shown, after=str(shown[-1].id) if len(rows) > PAGE_SIZE else None)
    return settlement_page(
        request,
        listing=listing,
        slug=request.tenant.slug,
        may_record=may(request, P.SETTLEMENT_EDIT),
    )


@view_config(
    context=Payments,
    name="advances",
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/advances.jinja2",
)
def advances(context: Payments, request: Any) -> Any:
    """What agreements have paid in advance: to be asked for, asked for, and asked of us."""
    words = SettlementWords(request)
    due = advance_requests.to_ask(request.dbsession, words.today)
    sides = {
        side: advance_requests.asked(request.dbsession, side=side)
        for side in ("issued", "received")
    }
    if wanted(request) == "json":
        return json_response(
            {
                "to_ask": [
                    {
                        "agreement": each.agreement_key,
                        "payer": each.payer,
                        "period": each.period.label,
                        "amount_cents": each.amount_cents,
                        "due_on": each.due_on,
                    }
                    for each in due
                ],
                **{side: [asdict(each) for each in rows] for side, rows in sides.items()},
            }
        )
    return settlement_page(
        request,
        due=due,
        sides=[(side, rows) for side, rows in sides.items() if rows],
        today=words.today,
        slug=request.tenant.slug,
        may_record=may(request, P.SETTLEMENT_EDIT),
    )


@view_config(context=Payments, name="advances", permission=P.SETTLEMENT_EDIT, request_method="POST")
def ask_for_advances(context: Payments, request: Any) -> HTTPSeeOther:
    """Ask for everything that may be asked for today; each once however often it is pressed."""
    made = advance_requests.ask(request.dbsession, now=request.now)
    if made:
        request.flash("success", _("${count} advances were asked for.", mapping={"count": made}))
    else:
        request.flash("info", _("There is nothing to ask for."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/payments/advances")


def as_uuid(text: str | None) -> UUID | None:
    """Read a cursor; nonsense counts as absent."""
    try:
        return UUID(text or "")
    except ValueError:
        return None


def _plain(row: queries.PaymentRow) -> dict[str, Any]:
    return {
        "public_id": row.public_id,
        "side": row.side,
        "kind": row.kind,
        "partner": row.counterparty,
        "statement": row.statement,
        "paid_on": row.paid_on,
        "booked_in": row.period_key,
        "cash_cents": row.cash_cents,
        "netted_cents": row.netted_cents,
        "applied_cents": row.applied_cents,
        "advance_cents": row.advance_cents,
        "reference": row.reference,
        "method": row.method,
        "reverses": row.reverses,
        "reversed_by": row.reversed_by,
    }


# Recording


def statement_called(request: Any, name: str | None) -> Any:
    """The header of one of this partner's statements by its public number, or None."""
    if not name or not is_public_id(name, "S"):
        return None
    return request.dbsession.execute(
        select(Statement.id, Statement.public_id, Statement.side).where(
            Statement.tenant_id == request.tenant.id, Statement.public_id == name
        )
    ).one_or_none()


def _about(request: Any, name: str | None) -> queries.OpenRow | None:
    """The issued statement that a form is about; 404 for one that is not this partner's."""
    if not name:
        return None
    found = statement_called(request, name)
    row = (
        None
        if found is None
        else queries.document(request.dbsession, found.id, SettlementWords(request).today)
    )
    if row is None or row.side != "issued":
        raise HTTPNotFound
    return row


def _payers(request: Any) -> list[tuple[str, Any]]:
    """Who may pay in advance: other partners, and bodies outside that agreements name."""
    me = request.tenant.id
    found = [
        (each.slug, each.name)
        for each in request.registry.partners.all()
        if each.id != me and each.kind != "region"
    ]
    return found + [
        (f"outside:{key}", name) for key, name in queries.outside_payers(request.dbsession)
    ]


def _form(request: Any, row: queries.OpenRow | None, kind: str) -> Any:
    schema = PaymentForm()
    words = SettlementWords(request)
    values: dict[str, Any] = {"kind": kind, "paid_on": words.today}
    if row is None:
        offered = _payers(request)
        schema.children.insert(
            0,
            SchemaNode(
                Choice(offered),
                name="payer",
                title=_("To whom") if kind == "refund" else _("Who paid"),
                widget=SelectWidget(values=offered),
            ),
        )
    else:
        values |= {"statement": row.public_id, "amount": abs(row.open.open_cents) or None}
    return make_form(
        request,
        schema,
        submit=_("Record the refund") if kind == "refund" else _("Record the payment"),
        values=values,
        once=True,
        cancel_url=f"/{request.tenant.slug}/payments",
    )


def _asked(request: Any) -> tuple[queries.OpenRow | None, str]:
    given = request.POST if request.method == "POST" else request.GET
    kind = "refund" if given.get("kind") == "refund" else "payment"
    return _about(request, given.get("statement")), kind


@view_config(
    context=Payments,
    name="new",
    permission=P.SETTLEMENT_EDIT,
    request_method="GET",
    renderer="settlement/payment_new.jinja2",
)
def new(context: Payments, request: Any) -> dict[str, Any]:
    """The form of a payment: of a statement (`?statement=S-...`) or in advance."""
    row, kind = _asked(request)
    return _new_page(request, _form(request, row, kind), row, kind)


@view_config(
    context=Payments,
    name="new",
    permission=P.SETTLEMENT_EDIT,
    request_method="POST",
    renderer="settlement/payment_new.jinja2",
)
def record(context: Payments, request: Any) -> Any:
    """Record a payment or a refund, once however often the form is sent."""
    row, kind = _asked(request)
    form = _form(request, row, kind)
    key = form_key(request)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        act = payments.refund if kind == "refund" else payments.record_payment
        payment_id = act(
            request.dbsession,
            statement_id=row.id if row else None,
            whom=_whom(request, values.get("payer")),
            amount_cents=values["amount"],
            paid_on=values["paid_on"],
            reference=values["reference"],
            method=values["method"],
            key=key,
            now=request.now,
        )
        (made,) = queries.payments(request.dbsession, payment_id=payment_id)
        request.flash("success", _("It was recorded and posted in both books."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/payments/{made.public_id}")

    return handle_form_submission(request, form, save, lambda: _new_page(request, form, row, kind))


def _whom(request: Any, name: str | None) -> Whom | None:
    if not name:
        return None
    if name.startswith("outside:"):
        return Whom(request.tenant.id, name.removeprefix("outside:"))
    partner = request.registry.partners.by_slug(name)
    if partner is None:
        raise InvalidInput("Choose another partner of the region.", field="payer")
    return Whom(partner.id)


def _new_page(request: Any, form: Any, row: queries.OpenRow | None, kind: str) -> dict[str, Any]:
    words = SettlementWords(request)
    lead = _("Money that came before there is a statement for it. It is applied to later ones.")
    if row is not None:
        told = {
            "payer": row.counterparty,
            "number": row.number,
            "open": words.cents(row.open.open_cents),
            "day": words.day(row.due_on),
        }
        lead = _(
            "${number}: ${open} is open, due on ${day}. What ${payer} pays above it is held in"
            " advance.",
            mapping=told,
        )
        if kind == "refund":
            lead = _("${number} is settled by more than it comes to: ${open}.", mapping=told)
    elif kind == "refund":
        lead = _("Give back what was paid in advance and is not used.")
    held = 0
    if row is not None and kind == "payment" and row.open.open_cents > 0:
        held = payments.advance_held(request.dbsession, Whom(row.counterparty_id, row.payer_key))
    return settlement_page(
        request,
        form=form,
        held=max(0, held),
        advance_key=new_token(),
        lead=lead,
        title=_("Record a refund") if kind == "refund" else _("Record a payment"),
        payments_url=f"/{request.tenant.slug}/payments",
        row=row,
        kind=kind,
    )


@view_config(context=Payments, name="apply", permission=P.SETTLEMENT_EDIT, request_method="POST")
def apply(context: Payments, request: Any) -> HTTPSeeOther:
    """Use what a payer has paid in advance for a statement."""
    key = form_key(request)
    row = _about(request, request.POST.get("statement"))
    if row is None:
        raise HTTPNotFound
    payment_id = payments.apply_advance(
        request.dbsession, row.id, on=SettlementWords(request).today, key=key, now=request.now
    )
    (made,) = queries.payments(request.dbsession, payment_id=payment_id)
    request.flash("success", _("The advance was applied."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/payments/{made.public_id}")


# One payment


@view_config(
    context=PaymentRecord,
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/payment.jinja2",
)
def payment(context: PaymentRecord, request: Any) -> Any:
    """One payment: from whom, for what, where it is booked, and its undoing."""
    return _payment_page(context, request, None)


def _payment_page(context: PaymentRecord, request: Any, form: Any) -> Any:
    (row,) = queries.payments(request.dbsession, payment_id=context.record.id)
    if wanted(request) == "json":
        return json_response(_plain(row))
    slug = request.tenant.slug
    words = SettlementWords(request)
    undoable = (
        row.side == "received"
        and row.kind not in ("reversal", "netting")
        and row.reversed_by is None
    )
    if undoable and may(request, P.SETTLEMENT_EDIT) and form is None:
        form = _reversal_form(request, row.public_id)
    people = names_of(request.dbsession, [row.recorded_by])
    entry = entry_from(request.dbsession, row.netting_id or row.id)
    money = words.cents(abs(row.cash_cents))
    return settlement_page(
        request,
        row=row,
        slug=slug,
        form=form if undoable else None,
        reopened=form is not None and bool(form.problems()),
        facts=[
            (_("Kind"), words("payment_kind", row.kind)),
            (_("From") if row.side == "received" else _("To"), row.counterparty),
            (_("Day"), words.day(row.paid_on)),
            (_("Booked in"), words.month(row.period_key)),
            (_("Money"), money if row.cash_cents else None),
            (_("Set off"), words.cents(row.netted_cents) if row.netted_cents else None),
            (_("Settles"), words.cents(row.applied_cents)),
            (_("In advance"), words.cents(row.advance_cents) if row.advance_cents else None),
            (_("How"), words("method", row.method) if row.cash_cents else None),
            (_("Reference"), row.reference if row.cash_cents else None),
            (_("Reason"), row.reason),
            (_("Recorded by"), people.get(row.recorded_by) if row.recorded_by else None),
            (_("Recorded"), words.when(row.recorded_at)),
        ],
        entry_url=f"/{slug}/ledger/{entry}" if entry and may(request, P.LEDGER_READ) else None,
    )


def _reversal_form(request: Any, public_id: str) -> Any:
    return make_form(
        request,
        ReversalForm(),
        submit=_("Reverse it"),
        name="reverse",
        action=f"/{request.tenant.slug}/payments/{public_id}/reverse",
        values={"on": SettlementWords(request).today},
        once=True,
    )


@view_config(
    context=PaymentRecord,
    name="reverse",
    permission=P.SETTLEMENT_EDIT,
    request_method="POST",
    renderer="settlement/payment.jinja2",
)
def reverse(context: PaymentRecord, request: Any) -> Any:
    """Undo a payment by its opposite, with a reason."""
    form = _reversal_form(request, context.record.public_id)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        made_id = payments.reverse_payment(
            request.dbsession,
            context.record.id,
            reason=values["reason"],
            on=values["on"],
            now=request.now,
        )
        (made,) = queries.payments(request.dbsession, payment_id=made_id)
        request.flash("success", _("It was reversed, in both books."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/payments/{made.public_id}")

    return handle_form_submission(
        request, form, save, lambda: _payment_page(context, request, form)
    )
