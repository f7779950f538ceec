"""From any figure to what it is made of, down to the work, and from a contact to every cent of it.

A statement is the sum of its lines, a line of usage the sum of its pieces of work, any other line
the outcome of its arithmetic; the rounding of a line to cents is a leaf of its own. So at every
level the parts sum to the whole, to the cent. Whoever has delivered rows can ask: the issuer's
leaves name the contact, the payer's a reference that stands for it.

A statement is walked, never loaded: however many lines it has, some thousands of rows are in
memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text

from regional311.allocation import explanation as allocation
from regional311.chargeback import queries
from regional311.chargeback.queries import LeafRow, LineRow, Node
from regional311.database.session import TenantSession, scope_of
from regional311.money import format_cents, from_cents

AT_ONCE = 2000
"""About how many rows are in memory while a statement is walked."""


def explain(
    session: TenantSession, wanted: UUID | str, *, position: int | None = None
) -> Node | None:
    """A statement, or one line of it, down to the pieces of work; None when there is none.

    The whole tree is in memory: `walk` gives the same figures one after another.
    """
    branches: list[tuple[Node, list[Any]]] = []
    root: tuple[Node, list[Any]] | None = None
    for depth, node in walk(session, wanted, position=position):
        branch: tuple[Node, list[Any]] = (node, [])
        if depth == 0:
            root = branch
        else:
            branches[depth - 1][1].append(branch)
        branches[depth:] = [branch]
    return None if root is None else _grown(root)


def _grown(branch: tuple[Node, list[Any]]) -> Node:
    node, children = branch
    return replace(node, children=tuple(_grown(child) for child in children))


def walk(
    session: TenantSession, wanted: UUID | str, *, position: int | None = None
) -> Iterator[tuple[int, Node]]:
    """The same, figure by figure with its depth: a whole comes before its parts.

    Nothing comes when there is no such statement or line.
    """
    detail = queries.statement(session, wanted)
    if detail is None:
        return
    if position is not None:
        one = queries.line(session, detail.row.id, position)
        if one is not None:
            yield from _walk_lines(session, [one], 0)
        return
    yield (
        0,
        Node(
            kind="statement",
            label=detail.row.number or detail.row.public_id,
            amount=from_cents(detail.row.total_cents),
            facts={
                "period": detail.row.period_key,
                "state": detail.row.state,
                "side": detail.row.side,
                "counterparty": detail.row.counterparty,
                "digest": detail.digest,
            },
        ),
    )
    after = 0
    while page := queries.lines(session, detail.row.id, after=after, limit=AT_ONCE):
        yield from _walk_lines(session, page, 1)
        after = page[-1].position


def _walk_lines(
    session: TenantSession, lines: Sequence[LineRow], depth: int
) -> Iterator[tuple[int, Node]]:
    for together in _batches(lines):
        small = [line.id for line in together if line.item_count <= AT_ONCE]
        leaves = queries.leaves_of_lines(session, small)
        for line in together:
            yield depth, _line_node(line)
            found: Iterator[LeafRow] = iter(leaves.get(line.id, ()))
            if line.item_count > AT_ONCE:
                found = _paged(session, line.id)
            yield from ((depth + 1, each) for each in parts(line, found))


def _batches(lines: Sequence[LineRow]) -> Iterator[list[LineRow]]:
    """Lines together as long as their pieces of work are few."""
    batch: list[LineRow] = []
    work = 0
    for line in lines:
        if batch and work + line.item_count > AT_ONCE:
            yield batch
            batch, work = [], 0
        batch.append(line)
        work += line.item_count
    if batch:
        yield batch


def _paged(session: TenantSession, line_id: UUID) -> Iterator[LeafRow]:
    after: tuple[datetime, UUID] | None = None
    while page := queries.leaves(session, line_id, after=after, limit=AT_ONCE):
        yield from page
        after = (page[-1].occurred_at, page[-1].id)


def _line_node(row: LineRow) -> Node:
    return Node(
        kind="line",
        label=row.label,
        amount=from_cents(row.amount_cents),
        facts={
            "agreement": row.agreement_key,
            **row.basis,
            "position": row.position,
            "quantity": f"{row.quantity:f}",
        },
    )


def parts(line: LineRow, leaves: Iterator[LeafRow]) -> Iterator[Node]:
    """What a line is made of: its work or its arithmetic, and the rounding; they sum to it."""
    worked = Decimal(0)
    any_work = False
    for leaf in leaves:
        any_work = True
        worked += leaf.amount
        yield _leaf_node(leaf)
    for step in arithmetic(line, worked if any_work else None):
        worked += step.amount
        yield step
    rounding = from_cents(line.amount_cents) - worked
    if rounding:
        yield Node("rounding", "Rounded to whole cents", rounding, {})


def arithmetic(line: LineRow, worked: Decimal | None) -> list[Node]:
    """The steps by which a line came about that is not, or not only, the sum of its work.

    `worked` is what its pieces of work come to, None when it has none. The steps sum to the rest
    of the line's exact amount.
    """
    if worked is not None:
        rest = line.exact_amount - worked
        return [Node("adjustment", _reason(line), rest, {})] if rest else []
    corrects = line.basis.get("corrects")
    if isinstance(corrects, Mapping):
        return _correction(line, corrects)
    if line.kind == "pool":
        return _pool(line)
    if line.kind in ("true_up", "carry_forward") and "owed_cents" in line.basis:
        return _true_up(line)
    before = line.basis.get("before_cents")
    if line.kind in ("cap", "minimum") and isinstance(before, int):
        come_to = from_cents(before)
        return [
            Node("step", _reason(line), line.exact_amount + come_to, {}),
            Node("step", "Less what the lines above come to", -come_to, {}),
        ]
    return [Node("step", _reason(line), line.exact_amount, {})]


def _pool(line: LineRow) -> list[Node]:
    """Its part of the pool's own cost and of what other pools gave; fixed shares are one step."""
    basis = line.basis
    told = allocation.steps(basis, str(basis.get("target", "")))
    if not told or (len(told) == 1 and "key" not in basis["base"]):
        return [Node("share", _share(basis), line.exact_amount, {})]
    return [Node("share", step.label, step.dollars, step.facts) for step in told]


def _true_up(line: LineRow) -> list[Node]:
    """What is owed by the actual cost, less what was billed, and what was carried into the year;
    then what the agreement's terms made of it, where these stand on the same line.
    """
    owed = from_cents(int(line.basis["owed_cents"]))
    billed = from_cents(int(line.basis.get("billed_cents", 0)))
    terms = [
        Node("step", str(each["reason"]), from_cents(int(each["cents"])), {})
        for each in line.basis.get("further", ())
    ]
    by_terms = sum((each.amount for each in terms), Decimal(0))
    carried = line.exact_amount - (owed - billed) - by_terms
    steps = [
        Node("step", "By the actual cost", owed, {}),
        Node("step", "Less what was billed", -billed, {}),
    ]
    if carried:
        steps.append(Node("step", "Carried from earlier years", carried, {}))
    return steps + terms


def _correction(line: LineRow, corrects: Mapping[str, Any]) -> list[Node]:
    """What should have been billed, less what was."""
    named = f"statement {corrects['statement']}" if corrects.get("statement") else "before"
    if corrects.get("line"):
        named = f"line {corrects['line']} of {named}"
    before = corrects.get("billed_cents")
    if line.kind in ("credit", "debit"):
        return [Node("step", f"{_reason(line)} (on {named})", line.exact_amount, {})]
    if before is None or corrects.get("change") == "addition":
        return [Node("step", f"Not billed on {named}", line.exact_amount, {})]
    billed = from_cents(int(before))
    if corrects.get("change") == "reversal":
        return [Node("step", f"Takes back {named}", -billed, {})]
    if corrects.get("change") == "replacement":
        return [Node("step", f"Billed anew instead of {named}", line.exact_amount, {})]
    fresh = from_cents(line.amount_cents) + billed
    return [
        Node("step", "By the new rating", fresh, {}),
        Node("step", f"Less what was billed on {named}", -billed, {}),
    ]


def _share(basis: Mapping[str, Any]) -> str:
    name = basis.get("pool_name") or basis.get("pool") or "a shared cost"
    return f"{basis['percent']} % of {name}" if basis.get("percent") else f"A share of {name}"


def _reason(line: LineRow) -> str:
    """Why a line is there: its own reason, or its percentage of what it is taken of."""
    basis = line.basis
    if isinstance(basis.get("reason"), str) and basis["reason"]:
        return str(basis["reason"])
    of = basis.get("of_cents")
    if basis.get("percent") is not None:
        base = f" of {format_cents(of)}" if isinstance(of, int) else ""
        return f"{line.label}: {basis['percent']} %{base}"
    return line.label


def _leaf_node(leaf: LeafRow) -> Node:
    facts = {
        "occurred_at": leaf.occurred_at.isoformat(),
        "quantity": f"{leaf.quantity:f}",
        "price": None if leaf.price is None else f"{leaf.price:f}",
        "contact_reference": leaf.contact_reference,
    }
    if leaf.contact_id is not None:
        facts["contact_id"] = str(leaf.contact_id)
    if leaf.rule_key is not None:
        facts["rule"] = leaf.rule_key
    if leaf.outcome is not None:
        facts["outcome"] = leaf.outcome
    return Node("work", leaf.activity, leaf.amount, facts)


@dataclass(frozen=True, slots=True)
class Share:
    """A usage event of a contact, what it was charged with, and on which line it was billed.

    Without a statement, `state` says where the work waits: not_rated, unrated, no_agreement,
    excluded, or rated and not drafted. The line's rounding is the line's, not the contact's.
    """

    usage_event_id: UUID | None
    activity: str
    occurred_at: datetime
    channel: str
    state: str
    payer: str | None
    quantity: Decimal
    price: Decimal | None
    amount: Decimal | None
    statement_id: UUID | None
    statement: str | None
    statement_number: str | None
    statement_kind: str | None
    statement_state: str | None
    agreement_key: str | None
    line: int | None
    line_label: str | None
    item_id: UUID | None
    line_exact: Decimal | None
    line_cents: int | None

    @property
    def line_rounding(self) -> Decimal | None:
        """What rounding the whole line to cents added, in dollars."""
        if self.line_cents is None or self.line_exact is None:
            return None
        return from_cents(self.line_cents) - self.line_exact


@dataclass(frozen=True, slots=True)
class Follows:
    """A line that was reckoned from work, such as overhead, and what of it a contact's work caused.

    The part is in proportion to the contact's work among all work of the statement under the
    agreement; it is exact to a millionth of a dollar.
    """

    statement: str
    statement_number: str | None
    line: int
    kind: str
    label: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Caused:
    """Every cent that a contact caused."""

    shares: tuple[Share, ...]
    follows: tuple[Follows, ...]

    @property
    def billed(self) -> Decimal:
        """What its work comes to on live statements, exactly, before what follows from it."""
        return sum(
            (
                share.amount
                for share in self.shares
                if share.amount is not None
                and share.statement is not None
                and share.statement_state != "void"
            ),
            Decimal(0),
        )


# By the keys of the indexes: event to run by its time, run to statement by its period, line to
# item by the time of the work; a contact has few events, and nothing is scanned.
_OF_CONTACT = text("""
WITH events AS MATERIALIZED (
    SELECT id, activity, occurred_at, channel, quantity FROM usage_events
    WHERE tenant_id = :tenant AND contact_id = :contact
), rated AS MATERIALIZED (
    SELECT e.id AS event_id, r.id AS run_id, r.period_key, r.number, c.state, c.payer_id,
        c.payer_kind, c.payer_key, c.quantity, c.price, c.amount, c.line_key
    FROM events e
    JOIN rating_runs r ON r.tenant_id = :tenant AND r.service_from <= e.occurred_at
        AND e.occurred_at < r.service_to
    JOIN charges c ON c.tenant_id = :tenant AND c.run_id = r.id AND c.usage_event_id = e.id
), keys AS (
    SELECT event_id, array_agg(DISTINCT line_key) AS line_keys FROM rated GROUP BY event_id
), billed AS MATERIALIZED (
    SELECT rated.event_id, s.id AS statement_id, s.public_id, s.kind, l.id AS line_id, l.position,
        l.label, l.agreement_key, l.exact_amount, l.amount_cents, i.id AS item_id, i.quantity,
        i.price, i.amount, step.state, step.number
    FROM rated
    JOIN statements s ON s.tenant_id = :tenant AND s.side = 'issued'
        AND s.period_key = rated.period_key AND s.run_id = rated.run_id
    JOIN keys ON keys.event_id = rated.event_id
    JOIN statement_lines l ON l.tenant_id = :tenant AND l.statement_id = s.id
        AND l.line_key = ANY (keys.line_keys)
    JOIN events e ON e.id = rated.event_id
    JOIN statement_items i ON i.tenant_id = :tenant AND i.line_id = l.id
        AND i.occurred_at = e.occurred_at AND i.usage_event_id = e.id
    CROSS JOIN LATERAL (
        SELECT state, number FROM statement_events
        WHERE tenant_id = :tenant AND statement_id = s.id ORDER BY position DESC LIMIT 1
    ) step
    WHERE step.state <> 'void'
), latest AS (
    SELECT DISTINCT ON (event_id) * FROM rated ORDER BY event_id, number DESC
)
SELECT e.id, e.activity, e.occurred_at, e.channel, coalesce(latest.state, 'not_rated'),
    CASE WHEN latest.payer_kind = 'partner' THEN payer.short_name
        ELSE coalesce(latest.payer_key, payer.short_name) END,
    coalesce(billed.quantity, latest.quantity, e.quantity), coalesce(billed.price, latest.price),
    coalesce(billed.amount, latest.amount), billed.statement_id, billed.public_id, billed.number,
    billed.kind, billed.state, billed.agreement_key, billed.position, billed.label, billed.item_id,
    billed.exact_amount, billed.amount_cents
FROM events e
LEFT JOIN latest ON latest.event_id = e.id
LEFT JOIN billed ON billed.event_id = e.id
LEFT JOIN tenants payer ON payer.tenant_id = latest.payer_id AND payer.id = latest.payer_id
ORDER BY e.occurred_at, e.id, billed.public_id, billed.position
""")

_OF_REFERENCE = text("""
SELECT i.usage_event_id, i.activity, i.occurred_at, i.channel, 'rated', t.short_name, i.quantity,
    i.price, i.amount, s.id, s.public_id, step.number, s.kind, step.state, l.agreement_key,
    l.position, l.label, i.id, l.exact_amount, l.amount_cents
FROM statements s
JOIN tenants t ON t.tenant_id = s.counterparty_id AND t.id = s.counterparty_id
JOIN statement_lines l ON l.tenant_id = :tenant AND l.statement_id = s.id
JOIN statement_items i ON i.tenant_id = :tenant AND i.line_id = l.id
    AND i.contact_reference = :reference
CROSS JOIN LATERAL (
    SELECT state, number FROM statement_events
    WHERE tenant_id = :tenant AND statement_id = s.id ORDER BY position DESC LIMIT 1
) step
WHERE s.tenant_id = :tenant AND s.id = :statement
ORDER BY i.occurred_at, i.id
""")

# What a statement has under an agreement beside the work itself, and how much work there is.
_FOLLOWS = text("""
SELECT l.statement_id, l.agreement_key, l.position, l.kind, l.label, l.exact_amount,
    (SELECT sum(g.exact_amount) FROM statement_lines g
     WHERE g.tenant_id = :tenant AND g.statement_id = l.statement_id
        AND g.agreement_key = l.agreement_key AND g.kind IN ('usage', 'pool')) AS gross
FROM statement_lines l
WHERE l.tenant_id = :tenant AND l.statement_id = ANY(:statements)
    AND l.kind IN ('funding', 'overhead', 'discount', 'credit', 'cap', 'minimum')
ORDER BY l.statement_id, l.position
""")


def of_contact(session: TenantSession, contact_id: UUID) -> Caused:
    """Everything that a contact of this partner caused: each usage event, its charge, its line."""
    rows = session.execute(
        _OF_CONTACT, {"tenant": scope_of(session).tenant_id, "contact": contact_id}
    )
    return _caused(session, [Share(*row) for row in rows])


def of_reference(session: TenantSession, statement_id: UUID, reference: str) -> Caused:
    """What one contact caused on one statement, by the reference that stands for it there.

    A payer asks this of its delivered rows; another statement calls the same contact otherwise.
    """
    rows = session.execute(
        _OF_REFERENCE,
        {
            "tenant": scope_of(session).tenant_id,
            "statement": statement_id,
            "reference": reference,
        },
    )
    return _caused(session, [Share(*row) for row in rows])


def _caused(session: TenantSession, shares: list[Share]) -> Caused:
    worked: dict[tuple[UUID, str], tuple[Share, Decimal]] = {}
    for share in shares:
        if share.statement_id is None or share.agreement_key is None or share.amount is None:
            continue
        key = (share.statement_id, share.agreement_key)
        worked[key] = (share, worked.get(key, (share, Decimal(0)))[1] + share.amount)
    if not worked:
        return Caused(tuple(shares), ())
    rows = session.execute(
        _FOLLOWS,
        {
            "tenant": scope_of(session).tenant_id,
            "statements": sorted({statement_id for statement_id, _ in worked}),
        },
    )
    follows = []
    for row in rows:
        known = worked.get((row.statement_id, row.agreement_key))
        if known is None or not row.gross:
            continue
        share, amount = known
        part = (row.exact_amount * amount / row.gross).quantize(Decimal("0.000001"))
        follows.append(
            Follows(
                statement=str(share.statement),
                statement_number=share.statement_number,
                line=row.position,
                kind=row.kind,
                label=row.label,
                amount=part,
            )
        )
    return Caused(tuple(shares), tuple(follows))
