"""What would be given back twice: credited by a memo, then taken back by a correction as well.

A credit is no part of a rating, so a later correction of its line knows nothing of it. Where work
that was credited turns out not to have been done, the payer would get it back twice. Each line is
named with what at most that is; a debit memo on it, for as much as is meant, settles the matter.
Whether a credit was for this work or for something else only a person knows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text

from regional311.calendars import Period
from regional311.chargeback.rerating import Due
from regional311.chargeback.statement import Payer
from regional311.database.session import TenantSession, scope_of


@dataclass(frozen=True, slots=True)
class Twice:
    """A line that was credited and then taken back, at least in part."""

    payer: Payer
    statement: str
    """Public id of the statement of the line that was credited, and its number."""
    number: str
    line: int
    label: str
    credited_cents: int
    """Credits of the line, less the debits of it."""
    taken_back_cents: int
    """What corrections take off it."""
    twice_cents: int
    """The most that is given back twice."""


def twice_cents(steps: Iterable[tuple[str, int]]) -> int:
    """The most that is given back twice after steps in their order, each with cents above zero.

    A *correction* that takes back has in common with the credits before it at most as much as these
    still stand for; a *debit* gives that up again, and so does a correction that bills more (below
    zero). A credit written after a correction has nothing in common with it.

    >>> twice_cents([("credit", 2000), ("correction", 3000)])
    2000
    >>> twice_cents([("credit", 2000), ("correction", 3000), ("debit", 1500)])
    500
    >>> twice_cents([("correction", 3000), ("credit", 2000)])
    0
    """
    credited = twice = 0
    for what, cents in steps:
        if what == "credit":
            credited += cents
        elif what == "debit":
            given_up = min(twice, cents)
            twice -= given_up
            credited = max(twice, credited - cents)
        elif cents > 0:
            twice += min(credited - twice, cents)
        else:
            twice -= min(twice, -cents)
    return twice


# Memos keep the key of their line and add what they are; one of a memo adds it again.
_STEPS = text(r"""
WITH written AS (
    SELECT s.id, s.kind, s.counterparty_id, s.payer_kind, s.payer_key, s.created_at,
        regexp_replace(l.line_key, '(\|(credit|debit))+$', '') AS line_key,
        sum(l.amount_cents)::bigint AS cents, min(l.label) AS label,
        min(l.basis->'corrects'->>'statement') AS number,
        min((l.basis->'corrects'->>'line')::int) AS line
    FROM statements s
    JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
    CROSS JOIN LATERAL (
        SELECT state FROM statement_events
        WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
    ) e
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.period_key = :period
        AND (s.kind IN ('credit_memo', 'debit_memo') AND e.state <> 'void'
            OR s.kind = 'correction' AND e.state = ANY(:states))
    GROUP BY s.id, s.kind, s.counterparty_id, s.payer_kind, s.payer_key, s.created_at, 7
)
SELECT w.*, about.public_id AS about FROM written w
LEFT JOIN LATERAL (
    SELECT s.public_id FROM statement_events e
    JOIN statements s ON s.tenant_id = :tenant AND s.id = e.statement_id
    WHERE e.tenant_id = :tenant AND s.side = 'issued' AND e.number = w.number
        AND w.kind = 'credit_memo'
    LIMIT 1
) about ON true
WHERE EXISTS (SELECT FROM written c WHERE c.kind = 'credit_memo' AND c.line_key = w.line_key
    AND c.counterparty_id = w.counterparty_id AND c.payer_kind = w.payer_kind
    AND c.payer_key IS NOT DISTINCT FROM w.payer_key)
ORDER BY w.payer_kind, w.payer_key, w.counterparty_id, w.line_key, w.created_at, w.id
""")


def given_back_twice(
    session: TenantSession, period: Period, dues: Iterable[Due] | None = None
) -> list[Twice]:
    """The lines of a period that were credited and then taken back: one statement.

    Corrections that were issued count, and those being prepared; with `dues`, what would be drafted
    now, in place of these.
    """
    states = ["issued"] if dues is not None else ["draft", "in_review", "approved", "issued"]
    rows = session.execute(
        _STEPS,
        {"tenant": scope_of(session).tenant_id, "period": period.label, "states": states},
    ).all()
    steps: defaultdict[tuple[Payer, str], list[tuple[str, int]]] = defaultdict(list)
    first_credits: dict[tuple[Payer, str], Row[Any]] = {}
    for row in rows:
        of = Payer(row.counterparty_id, row.payer_kind, row.payer_key), row.line_key
        what = row.kind.removesuffix("_memo")
        steps[of].append((what, row.cents if what == "debit" else -row.cents))
        if what == "credit":
            first_credits.setdefault(of, row)
    for due in dues or ():
        for key in {line.line_key for line in due.lines}:
            if (due.payer, key) in first_credits:
                cents = sum(line.amount_cents for line in due.lines if line.line_key == key)
                steps[due.payer, key].append(("correction", -cents))
    return [
        Twice(
            payer,
            row.about,
            row.number,
            row.line,
            row.label,
            _sum(steps[payer, key], "credit") - _sum(steps[payer, key], "debit"),
            _sum(steps[payer, key], "correction"),
            twice,
        )
        for (payer, key), row in first_credits.items()
        if (twice := twice_cents(steps[payer, key]))
    ]


def _sum(steps: Iterable[tuple[str, int]], what: str) -> int:
    return sum(cents for each, cents in steps if each == what)
