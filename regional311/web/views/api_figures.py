"""Statements and figures for programs: to be read only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from regional311.chargeback import queries
from regional311.identity.permissions import Permissions as P
from regional311.web.api.operations import Call, operation
from regional311.web.api.shapes import Day, Key, Nothing, Page, Paged, Shape, Short
from regional311.web.tree import Insight, StatementRecord, Statements
from regional311.web.views.insight import figures
from regional311.web.views.statements import as_id, statement_document

GROUP = "Statements"
Kind = Literal["bill", "correction", "true_up", "credit_memo", "debit_memo"]
PayerKind = Literal["partner", "bureau", "outside"]


class StatementEntry(Shape):
    """A statement in a list."""

    public_id: str
    number: str | None = Field(description="Null before it is issued.")
    side: Literal["issued", "received"]
    kind: str
    payer_kind: str
    partner: str = Field(description="Name of the other side.")
    period: str
    state: str
    total_cents: int
    lines: int
    items: int


class Party(Shape):
    """Who issues or pays."""

    name: str
    contact: list[str]


class AgreementNamed(Shape):
    """An agreement behind lines."""

    key: str
    name: str
    payer_reference: dict[str, Any]


class Part(Shape):
    """What lines of one agreement come to."""

    name: str
    kind: str
    amount_cents: int
    last_year_cents: int | None
    items: int


class StatementLine(Shape):
    """A line; quantities and prices are decimal numbers as text."""

    position: int
    kind: str
    service_period: str
    label: str
    note: str | None
    corrects_statement: str | None
    corrects_line: Any
    agreement: str
    payer_reference: str | None
    quantity: str
    price: str | None
    exact_amount: str
    amount_cents: int
    items: int
    basis: dict[str, Any] = Field(description="How it was reckoned, in codes.")


class StatementWhole(Shape):
    """A statement as a document, with every line."""

    schema_: str = Field(alias="schema")
    public_id: str
    number: str | None
    kind: str
    side: str
    state: str
    period: str
    issuer: Party
    payer: Party
    dated: str
    due_on: str | None
    corrects: Any
    agreements: list[AgreementNamed]
    summary: list[str]
    parts: list[Part]
    total_cents: int
    line_count: int
    item_count: int
    digest: str
    parties: dict[str, Any]
    terms: dict[str, Any]
    lines: list[StatementLine]


class ReceivedAsked(Paged):
    """Which statements; the filters are those of the page."""

    period: Short | None = Field(None, description="Such as 2026-10.")
    partner: Key | None = Field(None, description="Slug of the other side.")
    kind: Kind | None = None


class IssuedAsked(ReceivedAsked):
    """Which of those that this partner issues."""

    payer: PayerKind | None = None
    state: Literal["draft", "in_review", "approved", "issued", "void"] | None = None


class Figure(Shape):
    """A figure of a period beside the one before."""

    table: str
    key: str
    now: Any
    before: Any


class FiguresAsked(Shape):
    """Of which days, and which referrals; the last days by default."""

    from_: Day | None = Field(None, alias="from")
    to: Day | None = None
    side: Literal["sent", "received"] | None = None
    partner: Key | None = None
    service: Key | None = None


@operation(
    group=GROUP,
    path="/statements",
    context=Statements,
    permission=P.STATEMENT_READ,
    query=IssuedAsked,
    answer=Page[StatementEntry],
)
def list_issued_statements(call: Call[IssuedAsked, None]) -> Any:
    """The statements that this partner issues, the latest first."""
    asked = call.query
    states = [asked.state] if asked.state else None
    return _page(call, "issued", states=states, payer_kind=asked.payer)


@operation(
    group=GROUP,
    path="/statements/received",
    context=Statements,
    name="received",
    permission=P.STATEMENT_READ,
    query=ReceivedAsked,
    answer=Page[StatementEntry],
)
def list_received_statements(call: Call[ReceivedAsked, None]) -> Any:
    """The statements that this partner has received, the latest first."""
    return _page(call, "received")


def _page(call: Call[Any, Any], side: str, **more: Any) -> Any:
    asked = call.query
    partner_id = None
    if asked.partner is not None:
        partner_id = call.tell.published.ids.get(asked.partner)
        if partner_id is None:
            return call.page([], None)
    rows = queries.statements(
        call.session,
        side=side,
        period_key=asked.period,
        counterparty_id=partner_id,
        kind=asked.kind,
        before=as_id(call.after()),
        limit=asked.limit + 1,
        **more,
    )
    shown = rows[: asked.limit]
    following = str(shown[-1].id) if len(rows) > len(shown) else None
    return call.page([_entry(each) for each in shown], following)


def _entry(row: queries.StatementRow) -> dict[str, Any]:
    return {
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


@operation(
    group=GROUP,
    path="/statements/{number}",
    context=StatementRecord,
    permission=P.STATEMENT_READ,
    answer=StatementWhole,
)
def read_statement(call: Call[Nothing, None]) -> Any:
    """One statement as a document: its figures, and every line with how it was reckoned."""
    return statement_document(call.context, call.request, "json")


@operation(
    group="Figures",
    path="/insight",
    context=Insight,
    permission=P.REFERRAL_READ,
    query=FiguresAsked,
    answer=list[Figure],
)
def list_figures(call: Call[FiguresAsked, None]) -> Any:
    """What becomes of referrals and needs, in figures of a period beside the one before."""
    return figures(call.request)
