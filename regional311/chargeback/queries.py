"""What can be asked about billing: flat rows, paged, a fixed number of statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback.calendar import period_of
from regional311.database.session import TenantSession, scope_of

PAGE = 50


@dataclass(frozen=True, slots=True)
class MonthRow:
    """A month with usage: its events, what its latest run made of them, and its statements.

    `counts` is None when the month was never rated; then `events` counts the usage stored.
    """

    period_key: str
    events: int
    run_id: UUID | None
    run_number: int | None
    counts: dict[str, int] | None
    statements: int
    """Issued by us and not void."""
    total_cents: int


@dataclass(frozen=True, slots=True)
class RunRow:
    """One rating run of a month."""

    id: UUID
    number: int
    service_from: datetime
    service_to: datetime
    stored_before: datetime
    counts: dict[str, int]
    digest: str
    run_by: UUID | None
    run_at: datetime


@dataclass(frozen=True, slots=True)
class StateRow:
    """How many usage events of a run are in a state, and what they come to."""

    state: str
    events: int
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A usage event and what the latest run of its month made of it (`state` None: not rated)."""

    id: UUID
    occurred_at: datetime
    activity: str
    channel: str
    language: str
    after_hours: bool
    service_owner: str | None
    service_key: str | None
    quantity: Decimal
    handle_seconds: int
    contact_id: UUID | None
    state: str | None
    payer: str | None
    price: Decimal | None
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A statement in a list; `number` is None before it is issued."""

    id: UUID
    public_id: str
    side: str
    counterparty_id: UUID
    counterparty: str
    period_key: str
    state: str
    number: str | None
    total_cents: int
    line_count: int
    item_count: int
    created_at: datetime
    kind: str
    payer_kind: str
    payer_key: str | None
    corrects_id: UUID | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """A step of a statement's life."""

    position: int
    state: str
    number: str | None
    person_id: UUID | None
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class StatementDetail:
    """A statement as its page shows it, without its lines."""

    row: StatementRow
    run_id: UUID | None
    digest: str
    parties: dict[str, Any]
    terms: dict[str, Any]
    prepared_by: UUID | None
    submitted_by: UUID | None
    events: tuple[EventRow, ...]
    corrects: str | None
    """The number of the statement that this one is about."""


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line of a statement; `basis` holds the codes of how it was reckoned."""

    id: UUID
    position: int
    kind: str
    label: str
    agreement_key: str
    basis: dict[str, Any]
    quantity: Decimal
    price: Decimal | None
    exact_amount: Decimal
    amount_cents: int
    item_count: int
    service_period: str

    @property
    def rounding(self) -> Decimal:
        """What rounding to cents added, in dollars."""
        return Decimal(self.amount_cents) / 100 - self.exact_amount


@dataclass(frozen=True, slots=True)
class LeafRow:
    """One priced piece of work of a line.

    Contact, usage event and decision are known to the issuer only; a payer sees the pseudonymous
    reference.
    """

    id: UUID
    occurred_at: datetime
    activity: str
    channel: str
    language: str
    after_hours: bool
    service_key: str | None
    quantity: Decimal
    price: Decimal | None
    """None where it depends on how much was done before."""
    amount: Decimal
    contact_reference: str
    contact_id: UUID | None
    usage_event_id: UUID | None
    decision_id: UUID | None
    outcome: str | None
    rule_key: str | None
    rule_set_version: int | None


@dataclass(frozen=True, slots=True)
class Node:
    """A figure and what it is made of: the amounts of `children` sum to `amount`, in dollars."""

    kind: str
    label: str
    amount: Decimal
    facts: dict[str, Any]
    children: tuple[Node, ...] = ()

    def leaves(self) -> Iterator[Node]:
        """The figures that are not made of others."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    def as_json(self) -> dict[str, Any]:
        """The tree as plain values; amounts are text."""
        return {
            "kind": self.kind,
            "label": self.label,
            "amount": f"{self.amount:f}",
            "facts": self.facts,
            "children": [child.as_json() for child in self.children],
        }


_MONTHS = text("""
WITH me AS (SELECT zone FROM tenants WHERE tenant_id = :tenant AND id = :tenant),
bounds AS (
    SELECT date_trunc('month', min(occurred_at) AT TIME ZONE (SELECT zone FROM me)) AS first,
        date_trunc('month', max(occurred_at) AT TIME ZONE (SELECT zone FROM me)) AS last
    FROM usage_events WHERE tenant_id = :tenant
), months AS (
    SELECT month, to_char(month, 'YYYY-MM') AS key
    FROM bounds, generate_series(first, last, interval '1 month') AS month
    ORDER BY month DESC LIMIT :limit OFFSET :offset
)
SELECT m.key,
    CASE WHEN run.id IS NOT NULL THEN
        (SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(run.counts))
    ELSE (SELECT count(*) FROM usage_events e WHERE e.tenant_id = :tenant
        AND e.occurred_at >= m.month AT TIME ZONE (SELECT zone FROM me)
        AND e.occurred_at < (m.month + interval '1 month') AT TIME ZONE (SELECT zone FROM me))
    END::bigint AS events,
    run.id AS run_id, run.number, run.counts,
    coalesce(billed.statements, 0)::bigint AS statements,
    coalesce(billed.total_cents, 0)::bigint AS total_cents
FROM months m
LEFT JOIN LATERAL (
    SELECT id, number, counts FROM rating_runs
    WHERE tenant_id = :tenant AND period_key = m.key ORDER BY number DESC LIMIT 1
) run ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS statements, sum(s.total_cents) AS total_cents FROM statements s
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.period_key = m.key
        AND NOT EXISTS (SELECT 1 FROM statement_events v WHERE v.tenant_id = :tenant
            AND v.statement_id = s.id AND v.state = 'void')
) billed ON true
ORDER BY m.month DESC
""")

_RUNS = text("""
SELECT id, number, service_from, service_to, stored_before, counts, digest, run_by, run_at
FROM rating_runs WHERE tenant_id = :tenant AND period_key = :period ORDER BY number DESC
LIMIT :limit
""")

_STATES = text("""
SELECT state, count(*) AS events, sum(amount) AS amount FROM charges
WHERE tenant_id = :tenant AND run_id = (
    SELECT id FROM rating_runs WHERE tenant_id = :tenant AND period_key = :period
    ORDER BY number DESC LIMIT 1)
GROUP BY state ORDER BY array_position(
    ARRAY['rated', 'unrated', 'no_agreement', 'excluded'], state)
""")

_USAGE = text("""
SELECT e.id, e.occurred_at, e.activity, e.channel, e.language, e.after_hours,
    owner.short_name AS service_owner, e.service_key, e.quantity, e.handle_seconds, e.contact_id,
    c.state, CASE WHEN c.payer_id <> :tenant THEN payer.short_name END AS payer, c.price, c.amount
FROM usage_events e
LEFT JOIN charges c ON c.tenant_id = e.tenant_id AND c.usage_event_id = e.id
    AND c.run_id = (SELECT id FROM rating_runs WHERE tenant_id = :tenant
        AND period_key = :period ORDER BY number DESC LIMIT 1)
LEFT JOIN tenants owner ON owner.tenant_id = e.service_owner_id AND owner.id = e.service_owner_id
LEFT JOIN tenants payer ON payer.tenant_id = c.payer_id AND payer.id = c.payer_id
WHERE e.tenant_id = :tenant AND e.occurred_at >= :first AND e.occurred_at < :after
    AND (CAST(:state AS text) IS NULL OR c.state = :state)
    AND (CAST(:before_at AS timestamptz) IS NULL
        OR (e.occurred_at, e.id) < (:before_at, CAST(:before_id AS uuid)))
ORDER BY e.occurred_at DESC, e.id DESC LIMIT :limit
""")

_STATEMENT_COLUMNS = """
SELECT s.id, s.public_id, s.side, s.counterparty_id,
    CASE WHEN s.payer_kind = 'partner' THEN t.short_name
        ELSE coalesce(s.parties->'payer'->>'name', s.payer_key, t.short_name) END AS counterparty,
    s.period_key, e.state, e.number, s.total_cents, s.line_count, s.item_count, s.created_at,
    s.kind, s.payer_kind, s.payer_key, s.corrects_id"""

_STATEMENT_SOURCES = """
JOIN tenants t ON t.tenant_id = s.counterparty_id AND t.id = s.counterparty_id
CROSS JOIN LATERAL (
    SELECT state, number FROM statement_events
    WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
) e"""

_STATEMENTS = text(f"""{_STATEMENT_COLUMNS}
FROM statements s {_STATEMENT_SOURCES}
WHERE s.tenant_id = :tenant AND (CAST(:side AS text) IS NULL OR s.side = :side)
    AND (CAST(:period AS text) IS NULL OR s.period_key = :period)
    AND (CAST(:states AS text[]) IS NULL OR e.state = ANY(:states))
    AND (CAST(:counterparty AS uuid) IS NULL OR s.counterparty_id = :counterparty)
    AND (CAST(:kind AS text) IS NULL OR s.kind = :kind)
    AND (CAST(:payer_kind AS text) IS NULL OR s.payer_kind = :payer_kind)
    AND (CAST(:corrects AS uuid) IS NULL OR s.corrects_id = :corrects)
    AND (CAST(:before AS uuid) IS NULL OR s.id < :before)
ORDER BY s.id DESC LIMIT :limit
""")

_STATEMENT = text(f"""{_STATEMENT_COLUMNS},
    s.run_id, s.digest, s.parties, s.terms, s.prepared_by,
    (SELECT number FROM statement_events v WHERE v.tenant_id = s.tenant_id
     AND v.statement_id = s.corrects_id AND number IS NOT NULL LIMIT 1) AS corrects,
    (SELECT jsonb_agg(to_jsonb(v) ORDER BY v.position) FROM statement_events v
     WHERE v.tenant_id = s.tenant_id AND v.statement_id = s.id) AS events
FROM statements s {_STATEMENT_SOURCES}
WHERE s.tenant_id = :tenant AND (s.id = CAST(:id AS uuid) OR s.public_id = :name
    OR s.id = (SELECT statement_id FROM statement_events
        WHERE tenant_id = :tenant AND number = :name))
""")

_LINES = text("""
SELECT id, position, kind, label, agreement_key, basis, quantity, price, exact_amount,
    amount_cents, item_count, service_period
FROM statement_lines
WHERE tenant_id = :tenant AND statement_id = :statement AND position > :after
ORDER BY position LIMIT :limit
""")

_LEAF_COLUMNS = """
SELECT i.id, i.occurred_at, i.activity, i.channel, i.language, i.after_hours, i.service_key,
    i.quantity, i.price, i.amount, i.contact_reference, i.contact_id, i.usage_event_id,
    d.id AS decision_id, d.outcome, d.rule_key, d.rule_set_version
FROM page i
LEFT JOIN LATERAL (
    SELECT id, outcome, rule_key, rule_set_version FROM decisions
    WHERE tenant_id = :tenant AND contact_id = i.contact_id ORDER BY id LIMIT 1
) d ON true
ORDER BY i.occurred_at, i.id
"""

_LEAVES = text(f"""
WITH page AS MATERIALIZED (
    SELECT * FROM statement_items i
    WHERE i.tenant_id = :tenant AND i.line_id = :line
        AND (CAST(:after_at AS timestamptz) IS NULL
            OR (i.occurred_at, i.id) > (:after_at, CAST(:after_id AS uuid)))
    ORDER BY i.occurred_at, i.id LIMIT :limit
) {_LEAF_COLUMNS}
""")

_LEAF = text(f"""
WITH page AS MATERIALIZED (
    SELECT * FROM statement_items i
    WHERE i.tenant_id = :tenant AND i.line_id = :line AND i.id = :item
) {_LEAF_COLUMNS}
""")

_LEAVES_OF_LINES = text(f"""
WITH page AS MATERIALIZED (
    SELECT * FROM statement_items i WHERE i.tenant_id = :tenant AND i.line_id = ANY(:lines)
) {_LEAF_COLUMNS.replace("SELECT i.id", "SELECT i.line_id, i.id", 1)}
""")


def months(session: TenantSession, *, offset: int = 0, limit: int = 24) -> list[MonthRow]:
    """The months in which this partner did work, latest first."""
    rows = session.execute(
        _MONTHS, {"tenant": scope_of(session).tenant_id, "offset": offset, "limit": limit}
    )
    return [MonthRow(*row) for row in rows]


def runs(session: TenantSession, period_key: str, *, limit: int = 20) -> list[RunRow]:
    """The rating runs of a month, latest first."""
    rows = session.execute(
        _RUNS, {"tenant": scope_of(session).tenant_id, "period": period_key, "limit": limit}
    )
    return [RunRow(*row) for row in rows]


def usage_by_state(session: TenantSession, period_key: str) -> list[StateRow]:
    """What became of the usage of a month in its latest run; empty when it was never rated."""
    rows = session.execute(_STATES, {"tenant": scope_of(session).tenant_id, "period": period_key})
    return [StateRow(*row) for row in rows]


def usage(
    session: TenantSession,
    period_key: str,
    *,
    zone: str,
    state: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = PAGE,
) -> list[UsageRow]:
    """A page of the usage of a month in this partner's zone, latest first.

    `before` is time and id of the last row of the page before.
    """
    first, after = _period(period_key).bounds(zone)
    rows = session.execute(
        _USAGE,
        {
            "tenant": scope_of(session).tenant_id,
            "period": period_key,
            "first": first,
            "after": after,
            "state": state,
            "before_at": before and before[0],
            "before_id": before and before[1],
            "limit": limit,
        },
    )
    return [UsageRow(*row) for row in rows]


def statements(
    session: TenantSession,
    *,
    side: str | None = None,
    period_key: str | None = None,
    states: list[str] | None = None,
    counterparty_id: UUID | None = None,
    kind: str | None = None,
    payer_kind: str | None = None,
    corrects_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = PAGE,
) -> list[StatementRow]:
    """A page of statements, latest first; `side` is issued (by us) or received (by us).

    `corrects_id` asks for the corrections and memos about one statement.
    """
    rows = session.execute(
        _STATEMENTS,
        {
            "tenant": scope_of(session).tenant_id,
            "side": side,
            "period": period_key,
            "states": states,
            "counterparty": counterparty_id,
            "kind": kind,
            "payer_kind": payer_kind,
            "corrects": corrects_id,
            "before": before,
            "limit": limit,
        },
    )
    return [StatementRow(*row) for row in rows]


def statement(session: TenantSession, wanted: UUID | str) -> StatementDetail | None:
    """A statement by id, public id or number; None when this partner has none such.

    A number may exist once as ours and never again as received: it is unique for each partner.
    """
    by_id = isinstance(wanted, UUID)
    found = session.execute(
        _STATEMENT,
        {
            "tenant": scope_of(session).tenant_id,
            "id": wanted if by_id else None,
            "name": None if by_id else wanted,
        },
    ).one_or_none()
    if found is None:
        return None
    events = tuple(
        EventRow(
            position=event["position"],
            state=event["state"],
            number=event["number"],
            person_id=None if event["person_id"] is None else UUID(event["person_id"]),
            reason=event["reason"],
            at=datetime.fromisoformat(event["at"]),
        )
        for event in found.events
    )
    submitted = [event.person_id for event in events if event.state == "in_review"]
    return StatementDetail(
        row=StatementRow(*found[: len(StatementRow.__dataclass_fields__)]),
        run_id=found.run_id,
        digest=found.digest,
        parties=found.parties,
        terms=found.terms,
        prepared_by=found.prepared_by,
        submitted_by=submitted[0] if submitted else None,
        events=events,
        corrects=found.corrects,
    )


def lines_total(session: TenantSession, statement_id: UUID) -> int:
    """What the lines of a statement come to, in cents."""
    total: int = session.execute(
        text(
            "SELECT coalesce(sum(amount_cents), 0)::bigint FROM statement_lines"
            " WHERE tenant_id = :tenant AND statement_id = :statement"
        ),
        {"tenant": scope_of(session).tenant_id, "statement": statement_id},
    ).scalar_one()
    return total


def lines(
    session: TenantSession, statement_id: UUID, *, after: int = 0, limit: int | None = None
) -> list[LineRow]:
    """The lines of a statement in order; `after` is the last position of the page before."""
    rows = session.execute(
        _LINES,
        {
            "tenant": scope_of(session).tenant_id,
            "statement": statement_id,
            "after": after,
            "limit": limit,
        },
    )
    return [LineRow(*row) for row in rows]


def line(session: TenantSession, statement_id: UUID, position: int) -> LineRow | None:
    """One line of a statement by its position; None when there is none."""
    found = lines(session, statement_id, after=position - 1, limit=1)
    return found[0] if found and found[0].position == position else None


def leaves(
    session: TenantSession,
    line_id: UUID,
    *,
    after: tuple[datetime, UUID] | None = None,
    limit: int | None = PAGE,
) -> list[LeafRow]:
    """A page of the pieces of work behind a line, earliest first.

    `after` is time and id of the last leaf of the page before.
    """
    rows = session.execute(
        _LEAVES,
        {
            "tenant": scope_of(session).tenant_id,
            "line": line_id,
            "after_at": after and after[0],
            "after_id": after and after[1],
            "limit": limit,
        },
    )
    return [LeafRow(*row) for row in rows]


def leaves_of_lines(session: TenantSession, line_ids: Sequence[UUID]) -> dict[UUID, list[LeafRow]]:
    """All pieces of work behind some lines, by line, earliest first: one statement."""
    found: dict[UUID, list[LeafRow]] = {}
    if line_ids:
        rows = session.execute(
            _LEAVES_OF_LINES,
            {"tenant": scope_of(session).tenant_id, "lines": list(line_ids)},
        )
        for line_id, *row in rows:
            found.setdefault(line_id, []).append(LeafRow(*row))
    return found


def leaf(session: TenantSession, line_id: UUID, item_id: UUID) -> LeafRow | None:
    """One piece of work of a line; None when the line has none such."""
    found = session.execute(
        _LEAF,
        {"tenant": scope_of(session).tenant_id, "line": line_id, "item": item_id},
    ).one_or_none()
    return None if found is None else LeafRow(*found)


def statement_address(session: TenantSession, statement_id: UUID) -> str | None:
    """The public id by which a statement of this partner is reached; None when it has none such."""
    found: str | None = session.execute(
        text("SELECT public_id FROM statements WHERE tenant_id = :tenant AND id = :statement"),
        {"tenant": scope_of(session).tenant_id, "statement": statement_id},
    ).scalar_one_or_none()
    return found


def leaves_total(session: TenantSession, line_id: UUID) -> tuple[int, Decimal]:
    """How many pieces of work a line has, and what they come to, exactly."""
    row = session.execute(
        text(
            "SELECT count(*), coalesce(sum(amount), 0) FROM statement_items"
            " WHERE tenant_id = :tenant AND line_id = :line"
        ),
        {"tenant": scope_of(session).tenant_id, "line": line_id},
    ).one()
    return row[0], row[1]


def not_in_latest_run(session: TenantSession, period_key: str, *, zone: str) -> int:
    """How many usage events of a month the latest run has not seen: they came in after it."""
    first, after = _period(period_key).bounds(zone)
    found: int = session.execute(
        text(
            "SELECT count(*) FROM usage_events e WHERE e.tenant_id = :tenant"
            " AND e.occurred_at >= :first AND e.occurred_at < :after AND NOT EXISTS ("
            "  SELECT FROM charges c WHERE c.tenant_id = :tenant AND c.usage_event_id = e.id"
            "  AND c.run_id = (SELECT id FROM rating_runs WHERE tenant_id = :tenant"
            "   AND period_key = :period ORDER BY number DESC LIMIT 1))"
        ),
        {
            "tenant": scope_of(session).tenant_id,
            "period": period_key,
            "first": first,
            "after": after,
        },
    ).scalar_one()
    return found


def _period(period_key: str) -> Period:
    """A billing period by its key; what is none counts as a month written wrongly."""
    return period_of(period_key) or Period.month(period_key)
