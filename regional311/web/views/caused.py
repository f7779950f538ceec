"""All that one contact caused, on a statement or everywhere: for payers by its reference."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound
from pyramid.view import view_config

from regional311.chargeback import explain, queries
from regional311.identity.permissions import Permissions as P
from regional311.web.billing_wording import Words, page
from regional311.web.representations import json_response, wanted
from regional311.web.security import may
from regional311.web.tree import StatementRecord

REFERENCE = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


@view_config(
    context=StatementRecord,
    name="contact",
    permission=P.STATEMENT_READ,
    request_method="GET",
    renderer="statements/contact.jinja2",
)
def contact(context: StatementRecord, request: Any) -> Any:
    """All that one contact caused on a statement, by the reference that stands for it there."""
    reference = request.GET.get("reference", "")
    if REFERENCE.fullmatch(reference) is None:
        raise HTTPNotFound
    caused = explain.of_reference(request.dbsession, context.record.id, reference)
    if not caused.shares:
        raise HTTPNotFound
    detail = queries.statement(request.dbsession, context.record.id)
    assert detail is not None
    words, slug = Words(request), request.tenant.slug
    if wanted(request) != "html":
        return json_response([_plain_share(each) for each in caused.shares])
    return page(
        request,
        number=detail.row.number or detail.row.public_id,
        reference=reference,
        caused=caused_by_contact(request, words, caused),
        statement_url=f"/{slug}/statements/{detail.row.public_id}",
        statements_url=f"/{slug}/statements"
        + ("/received" if detail.row.side == "received" else ""),
    )


def _plain_share(share: explain.Share) -> dict[str, Any]:
    return {
        "occurred_at": share.occurred_at,
        "activity": share.activity,
        "line": share.line,
        "quantity": share.quantity,
        "price": share.price,
        "amount": share.amount,
        "line_amount_cents": share.line_cents,
        "line_rounding": share.line_rounding,
    }


def caused_by_contact(request: Any, words: Words, caused: explain.Caused) -> dict[str, Any]:
    """What a page shows of all that a contact caused: rows, what follows from them, the sum."""
    url = f"/{request.tenant.slug}/statements"
    open_ = may(request, P.STATEMENT_READ)
    return {
        "rows": [
            {
                "when": words.when(share.occurred_at),
                "activity": words("activity", share.activity),
                "state": share.state,
                "payer": share.payer,
                "quantity": words.number(share.quantity),
                "price": words.money(share.price),
                "amount": words.money(share.amount),
                "statement": share.statement_number or share.statement,
                "line": share.line,
                "line_cents": words.cents(share.line_cents),
                "rounding": words.money(share.line_rounding),
                "line_url": f"{url}/{share.statement}/{share.line}"
                if open_ and share.statement
                else None,
                "item_url": f"{url}/{share.statement}/{share.line}/{share.item_id}"
                if open_ and share.statement
                else None,
            }
            for share in caused.shares
        ],
        "follows": [
            {
                "label": each.label,
                "kind": words("line_kind", each.kind),
                "amount": words.money(each.amount),
                "url": f"{url}/{each.statement}/{each.line}" if open_ else None,
            }
            for each in caused.follows
        ],
        "billed": words.money(caused.billed),
    }


def panel(request: Any, contact_id: UUID) -> dict[str, Any] | None:
    """What the page of a contact shows people who read billing: every cent that it caused."""
    if not may(request, P.BILLING_READ):
        return None
    caused = explain.of_contact(request.dbsession, contact_id)
    return caused_by_contact(request, Words(request), caused) if caused.shares else None
