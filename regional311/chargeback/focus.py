"""Statements as charge rows of FOCUS, the FinOps Open Cost and Usage Specification (1.2).

One row a line of a statement that was issued. `BilledCost` is the line in whole cents, so that the
rows of a statement (`InvoiceId`) sum to its total; costs before rounding are in `EffectiveCost`.
What belongs to an earlier period than the statement's has the class *Correction*. Columns that
begin with `x_` are our own, as the specification allows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from regional311.calendars import Period
from regional311.database.session import TenantSession, scope_of
from regional311.money import from_cents

COLUMNS = (
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "ContractedCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ConsumedQuantity",
    "ConsumedUnit",
    "PricingQuantity",
    "PricingUnit",
    "ContractedUnitPrice",
    "ListUnitPrice",
    "InvoiceId",
    "InvoiceIssuerName",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "SkuId",
    "SubAccountId",
    "SubAccountName",
    "x_StatementId",
    "x_LinePosition",
    "x_LineKind",
    "x_Agreement",
    "x_Side",
)

CATEGORIES = {
    "usage": "Usage",
    "minimum": "Usage",
    "pool": "Purchase",
    "overhead": "Purchase",
    "funding": "Credit",
    "discount": "Credit",
    "cap": "Credit",
    "credit": "Credit",
}
"""Line kind to ChargeCategory; everything else is an Adjustment."""

_LINES = text("""
SELECT s.public_id, s.side, s.period_key, s.kind AS statement_kind, s.parties, s.payer_kind,
    s.payer_key, s.counterparty_id, n.number, l.position, l.kind, l.service_period, l.line_key,
    l.label, l.agreement_key, l.quantity, l.price, l.exact_amount, l.amount_cents
FROM statements s
JOIN LATERAL (
    SELECT number FROM statement_events v WHERE v.tenant_id = :tenant AND v.statement_id = s.id
        AND v.state IN ('issued', 'received') ORDER BY v.position LIMIT 1
) n ON true
JOIN statement_lines l ON l.tenant_id = :tenant AND l.statement_id = s.id
WHERE s.tenant_id = :tenant AND s.side = :side
    AND (CAST(:period AS text) IS NULL OR s.period_key = :period)
ORDER BY s.id, l.position
""")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def charge_rows(
    session: TenantSession, *, side: str = "issued", period_key: str | None = None
) -> Iterator[dict[str, Any]]:
    """The lines of what was issued (or, with `received`, of what came) as FOCUS rows.

    `period_key` is the statements' period; left out, all of them.
    """
    rows = session.execute(
        _LINES,
        {"tenant": scope_of(session).tenant_id, "side": side, "period": period_key},
        execution_options={"yield_per": 2_000},
    )
    for row in rows:
        yield _row(row)


def csv_text(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """The rows as CSV in pieces; a text that a spreadsheet would take for a formula is defused."""
    content = io.StringIO(newline="")
    writer = csv.writer(content)
    writer.writerow(COLUMNS)
    for place, row in enumerate(rows, 1):
        writer.writerow([_cell(row[name]) for name in COLUMNS])
        if place % 1_000 == 0:
            yield content.getvalue()
            content.seek(0)
            content.truncate()
    yield content.getvalue()


def _row(row: Any) -> dict[str, Any]:
    billing, charged = _span(row.period_key), _span(row.service_period)
    late = row.service_period != row.period_key and charged[1] <= billing[0]
    corrects = row.kind == "correction" or row.statement_kind != "bill" or late
    issuer, payer = row.parties["issuer"], row.parties["payer"]
    billed = from_cents(row.amount_cents)
    exact = Decimal(row.exact_amount)
    usage = row.kind in ("usage", "correction") and row.price is not None
    quantity = f"{row.quantity:f}" if usage else None
    price = f"{row.price:f}" if usage else None
    return {
        "BilledCost": f"{billed:.2f}",
        "EffectiveCost": f"{exact:f}",
        "ListCost": f"{exact:f}",
        "ContractedCost": f"{exact:f}",
        "BillingAccountId": payer["slug"],
        "BillingAccountName": payer["name"],
        "BillingAccountType": row.payer_kind,
        "BillingCurrency": "USD",
        "BillingPeriodStart": billing[0],
        "BillingPeriodEnd": billing[1],
        "ChargeCategory": CATEGORIES.get(row.kind, "Adjustment"),
        "ChargeClass": "Correction" if corrects else None,
        "ChargeDescription": row.label,
        "ChargeFrequency": "Usage-Based" if usage else "Recurring",
        "ChargePeriodStart": charged[0],
        "ChargePeriodEnd": charged[1],
        "ConsumedQuantity": quantity,
        "ConsumedUnit": "Units" if usage else None,
        "PricingQuantity": quantity,
        "PricingUnit": "Units" if usage else None,
        "ContractedUnitPrice": price,
        "ListUnitPrice": price,
        "InvoiceId": row.number,
        "InvoiceIssuerName": issuer["name"],
        "ProviderName": issuer["name"],
        "PublisherName": issuer["name"],
        "ServiceCategory": "Other",
        "ServiceName": row.agreement_key or "Chargeback",
        "SkuId": row.line_key,
        "SubAccountId": row.payer_key,
        "SubAccountName": row.payer_key,
        "x_StatementId": row.public_id,
        "x_LinePosition": row.position,
        "x_LineKind": row.kind,
        "x_Agreement": row.agreement_key,
        "x_Side": row.side,
    }


def _span(period_key: str) -> tuple[str, str]:
    """First moment and exclusive end of a period in ISO 8601, as FOCUS writes both."""
    period = period_of(period_key)
    return f"{period.start_on}T00:00:00Z", f"{period.end_on}T00:00:00Z"


def period_of(label: str) -> Period:
    """The period that a label names: a month, or its first and last day with two dots between.

    >>> period_of("2026-07-01..2026-09-30").end_on
    datetime.date(2026, 10, 1)
    """
    first, dots, last = label.partition("..")
    if not dots:
        return Period.month(label)
    return Period(date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    content = str(value)
    numeric = content.replace(".", "", 1).removeprefix("-").isdigit()
    return f"'{content}" if content.startswith(_FORMULA) and not numeric else content
