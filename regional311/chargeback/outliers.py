"""What stands out in a draft beside the last twelve periods: more, less, new or missing.

The rule is plain enough to be argued with. A line is usual when it lies within three times its
usual distance from its usual amount; the usual amount is the median of the last periods, the usual
distance the median of their distances from it (the median absolute deviation). Two periods that
went wrong therefore do not make a third one look right. Small things are left alone: what differs
by less than a tenth of the usual amount, or by less than fifty dollars, never stands out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Final
from uuid import UUID

from sqlalchemy import text

from regional311.calendars import Period
from regional311.database.session import TenantSession, scope_of
from regional311.money import format_cents

PERIODS: Final = 12
ENOUGH: Final = 3
"""With fewer periods before it, nothing is called unusual."""
TIMES: Final = 3
LEAST_CENTS: Final = 50_00
LEAST_PART: Final = 10
"""A tenth: one part in this many."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A line that stands out, in cents: what it is, what is usual, how far that usually varies."""

    subject: str
    label: str
    kind: str
    """more, less, new (never billed before) or missing (always billed before)."""
    cents: int
    usual_cents: int
    spread_cents: int
    periods: int

    @property
    def difference_cents(self) -> int:
        """By how much it differs from what is usual."""
        return self.cents - self.usual_cents

    @property
    def message(self) -> str:
        """One sentence for whoever prepares the statement."""
        if self.kind == "new":
            return (
                f"{self.label}: {format_cents(self.cents)}, and nothing in the last "
                f"{self.periods} periods."
            )
        usual = f"usually {format_cents(self.usual_cents)} over {self.periods} periods"
        if self.kind == "missing":
            return f"{self.label}: nothing, {usual}."
        return (
            f"{self.label}: {format_cents(self.cents)}, {usual}; "
            f"{format_cents(abs(self.difference_cents))} {self.kind}."
        )


def subject(kind: str, line_key: str) -> str:
    """What a line is about whatever its price: a new rate does not make it another line.

    >>> subject("usage", "city-county|contact_handled|county/pothole|phone|business|*|2026|-")
    'city-county|contact_handled|county/pothole|phone|business|*'
    """
    return line_key.rsplit("|", 2)[0] if kind == "usage" and line_key.count("|") > 2 else line_key


def usual(history: Sequence[int]) -> tuple[int, int]:
    """The usual amount of some periods and how far they usually lie from it, in whole cents.

    >>> usual([100, 110, 90, 100, 5000])
    (100, 10)
    """
    middle = median(history)
    return int(middle), int(median(abs(each - middle) for each in history))


def stands_out(cents: int, history: Sequence[int]) -> bool:
    """Whether an amount lies far from those of the periods before it."""
    if len(history) < ENOUGH:
        return False
    middle, spread = usual(history)
    distance = abs(cents - middle)
    return (
        distance > TIMES * spread
        and distance >= LEAST_CENTS
        and distance * LEAST_PART >= abs(middle)
    )


def outliers(
    current: Mapping[str, int], history: Mapping[str, Sequence[int]], labels: Mapping[str, str]
) -> list[Outlier]:
    """What stands out of a draft, the largest difference first.

    `current` and `history` have cents by subject; every history has one amount for each period in
    which the payer was billed, zero where the subject was not on the bill.
    """
    found = []
    for name in current.keys() | history.keys():
        cents = current.get(name, 0)
        before = history.get(name, [0] * max(map(len, history.values()), default=0))
        if not stands_out(cents, before):
            continue
        middle, spread = usual(before)
        if not any(before):
            kind = "new"
        elif name not in current:
            kind = "missing"
        else:
            kind = "more" if cents > middle else "less"
        found.append(
            Outlier(name, labels.get(name, name), kind, cents, middle, spread, len(before))
        )
    return sorted(found, key=lambda each: (-abs(each.difference_cents), each.subject))


_LINES = text("""
WITH live AS (
    SELECT s.id, s.public_id, s.kind, s.counterparty_id, s.payer_kind,
        coalesce(s.payer_key, '') AS payer, s.period_key, e.state
    FROM statements s
    CROSS JOIN LATERAL (
        SELECT state FROM statement_events
        WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
    ) e
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind IN ('bill', 'correction')
        AND s.period_key = ANY(:periods) AND e.state <> 'void'
), drafts AS (
    SELECT * FROM live WHERE period_key = :period AND state <> 'issued' AND kind = 'bill'
)
SELECT d.id AS draft_id, d.public_id, h.id = d.id AS current, l.service_period,
    coalesce(l.basis->'corrects'->>'kind', l.kind) AS kind, l.line_key, max(l.label) AS label,
    sum(l.amount_cents)::bigint AS cents
FROM drafts d
JOIN live h ON h.id = d.id OR (h.counterparty_id = d.counterparty_id
    AND h.payer_kind = d.payer_kind AND h.payer = d.payer AND h.state = 'issued'
    AND h.period_key <> :period)
JOIN statement_lines l ON l.tenant_id = :tenant AND l.statement_id = h.id
GROUP BY 1, 2, 3, 4, 5, 6
""")


@dataclass(frozen=True, slots=True)
class DraftOutliers:
    """What stands out in one draft."""

    statement_id: UUID
    public_id: str
    found: tuple[Outlier, ...]


def of_drafts(session: TenantSession, period: Period) -> list[DraftOutliers]:
    """The open statements of a period in which something stands out; one statement for all.

    A draft is compared with what the same payer was billed for the twelve periods before, with
    corrections counted in the period in which the work was done.
    """
    before = [each.label for each in islice(_back(period), PERIODS)]
    rows = session.execute(
        _LINES,
        {
            "tenant": scope_of(session).tenant_id,
            "period": period.label,
            "periods": [period.label, *before],
        },
    ).all()
    current: defaultdict[UUID, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    past: defaultdict[UUID, defaultdict[str, defaultdict[str, int]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(int))
    )
    names: dict[UUID, str] = {}
    labels: dict[str, str] = {}
    for row in rows:
        name = subject(row.kind, row.line_key)
        names[row.draft_id] = row.public_id
        labels[name] = row.label
        if row.current:
            current[row.draft_id][name] += row.cents
        elif row.service_period in before:
            past[row.draft_id][row.service_period][name] += row.cents
    found = []
    for draft_id, public_id in sorted(names.items(), key=lambda item: item[1]):
        periods = past[draft_id]
        subjects = {name for each in periods.values() for name in each}
        history = {
            name: [each.get(name, 0) for _, each in sorted(periods.items())] for name in subjects
        }
        unusual = outliers(current[draft_id], history, labels)
        if unusual:
            found.append(DraftOutliers(draft_id, public_id, tuple(unusual)))
    return found


def _back(period: Period) -> Iterator[Period]:
    while True:
        period = period.previous()
        yield period
