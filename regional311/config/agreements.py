"""An agreement as its file says it and as the database keeps it: one mapping, both ways.

A file writes amounts as dollars in quotes and its lists as tables; the database keeps the terms as
`chargeback.agreement_terms` reads them, amounts in whole cents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from regional311.chargeback.agreement_terms import problems
from regional311.config import schema
from regional311.money import from_cents, to_cents

ALL = "all"
"""How a file names every bureau of the provider."""

PLAIN = (
    "kind",
    "reference",
    "due_days",
    "notice_days",
    "dispute_days",
    "late_event_days",
    "rounding",
    "number_prefix",
    "purpose",
)
"""Terms that are the same on both sides and always kept."""
SOME = ("supersedes", "ends_notice_days", "year_end")
"""Terms that are the same on both sides and kept when they are said."""
PERCENTS = ("interest_percent", "overhead_percent")
AMOUNTS = ("minimum", "not_to_exceed", "prepay")


def terms_of(file: schema.AgreementFile) -> dict[str, Any]:
    """The terms as the database keeps them; what a file leaves out is left out."""
    table = file.agreement
    found: dict[str, Any] = {name: getattr(table, name) for name in PLAIN}
    found |= _said({name: getattr(table, name) for name in SOME})
    found |= _said({name: _percent(getattr(table, name)) for name in PERCENTS})
    found |= _said({f"{name}_cents": _cents(getattr(table, name)) for name in AMOUNTS})
    if table.billing != schema.AgreementBilling():
        found["billing"] = {
            "every": table.billing.every,
            "submit_days": table.billing.submit_days,
        }
    if table.outside is not None:
        outside = {name: getattr(table.outside, name) for name in ("name", "address", "email")}
        found["outside"] = _said(outside)
    if table.services:
        found["services"] = list(table.services)
    if table.payer_reference is not None:
        found["payer_reference"] = _said(table.payer_reference.model_dump())
    if table.expiry_reminder_days != default_reminders():
        found["expiry_reminder_days"] = list(table.expiry_reminder_days)
    lists: dict[str, list[dict[str, Any]]] = {
        "targets": [
            {
                "key": each.key,
                "name": each.name,
                "measure": each.measure,
                "goal": each.goal,
                "credit_percent": _percent(each.credit_percent),
            }
            for each in file.target
        ],
        "funding": [
            {
                "key": each.key,
                "name": each.name,
                "kind": each.kind,
                "percent": _percent(each.percent),
                "authorised_cents": _cents(each.authorised),
            }
            for each in file.funding
        ],
        "discounts": [
            {
                "name": each.name,
                "percent": _percent(each.percent),
                "from_cents": _cents(each.from_amount),
            }
            for each in file.discount
        ],
        "signatures": [
            {
                "partner": each.partner,
                "name": each.name,
                "title": each.title,
                "on": each.on.isoformat(),
            }
            for each in file.signature
        ],
    }
    return found | {name: [_said(each) for each in some] for name, some in lists.items() if some}


def said_by(terms: Mapping[str, Any], payer_key: str | None) -> dict[str, Any]:
    """What a file says of stored terms: the content of `AgreementFile` but for the columns."""
    table: dict[str, Any] = {name: terms.get(name) for name in (*PLAIN, *SOME, *PERCENTS)}
    table |= {name: _dollars(terms.get(f"{name}_cents")) for name in AMOUNTS}
    table["billing"] = terms.get("billing")
    table["services"] = terms.get("services")
    table["payer_reference"] = terms.get("payer_reference")
    table["expiry_reminder_days"] = terms.get("expiry_reminder_days")
    outside = terms.get("outside")
    table["outside"] = None if outside is None else {"key": payer_key, **outside}
    return {
        "agreement": table,
        "target": terms.get("targets") or terms.get("target"),
        "funding": [
            {**_without(each, "authorised_cents"), "authorised": _dollars(each, "authorised_cents")}
            for each in terms.get("funding") or ()
        ],
        "discount": [
            {**_without(each, "from_cents"), "from_amount": _dollars(each, "from_cents")}
            for each in terms.get("discounts") or ()
        ],
        "signature": terms.get("signatures"),
    }


def wrong_terms(file: schema.AgreementFile) -> Iterator[tuple[str, str]]:
    """What is wrong with a file's terms beyond its schema: the key in the file, and the words."""
    for problem in problems(terms_of(file)):
        name, _, message = problem.partition(": ")
        list_name, _, rest = name.partition("[")
        if rest:
            yield f"{list_name.removesuffix('s')}[{rest.removesuffix('_cents')}", message
        elif list_name in ("funding", "discounts"):
            yield list_name.removesuffix("s"), message
        else:
            yield f"agreement.{name.removesuffix('_cents')}", message


def default_reminders() -> tuple[int, ...]:
    """The days of reminding that a file need not write."""
    found: tuple[int, ...] = schema.AgreementTable.model_fields["expiry_reminder_days"].default
    return found


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _without(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def _percent(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"


def _cents(value: Decimal | None) -> int | None:
    return None if value is None else to_cents(value)


def _dollars(value: Any, name: str | None = None) -> str | None:
    found = value if name is None else value.get(name)
    return None if found is None else f"{from_cents(found):f}"
