"""Settle a fiscal year that is over: draft true-ups, carry balances forward, or keep them.

A true-up may be made again, for example after a late correction: what was billed by an earlier one
counts as billed, so that only what changed since is due. What an earlier one carried forward is
replaced in the month that it was carried to: where it stood on a bill already, rating that bill's
period again bills the difference, and no later bill has it a second time. A later year that was
settled on what this one left to it before is settled again in the same way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from regional311.allocation.year import Year, read_year
from regional311.audit.service import record
from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.agreement_terms import YEAR_ENDS, Terms
from regional311.chargeback.models import ServiceCost, TrueUp, TrueUpShare
from regional311.chargeback.reconciliation import Part, Roll, owed_by_weight, parts_of, roll_of
from regional311.chargeback.series import lock_series
from regional311.chargeback.statement import Line, Payer
from regional311.chargeback.true_up import (
    CARD,
    CARRY,
    KEEP,
    ME,
    POOL,
    SETTLE,
    SLUGS,
    Subject,
    agreed,
    agreed_ends,
    billed_in_year,
    line_of,
    openings_of,
    payer_of,
    settled_after,
    sharing,
    so_far_in,
    terms_in,
    unsettled_again,
    year_period,
)
from regional311.chargeback.waterfall import YearSoFar, year_end_lines
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput

SUPERSEDED: Final = "Superseded by a later true-up"


class ActualsMissing(InvalidInput):
    """A pool or a billed service has no actual cost for the year yet."""


class AgreedOtherwise(InvalidInput):
    """The agreements of all payers say something else about the year's balance."""


class YearNotOver(InvalidInput):
    """A fiscal year is settled when it is over."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A true-up that was made, its roll and its treatment."""

    id: UUID
    subject: str
    key: str
    roll: Roll
    treatment: str


@dataclass(frozen=True, slots=True)
class YearResult:
    """What settling a year came to: its true-ups, and the drafts, one for each payer."""

    true_ups: tuple[Settled, ...]
    statements: tuple[UUID, ...]
    again: Mapping[int, YearResult] = field(default_factory=dict)
    """What later years came to that were settled again with it."""


@dataclass(frozen=True, slots=True)
class _Actual:
    """What a year really cost, and the payers' parts of it."""

    about: Subject
    actual_cents: int
    owed: Mapping[Payer, int]
    targets: Mapping[Payer, str]
    own: Payer | None = None
    unallocated_cents: int = 0


_BySubject = dict[tuple[str, str], dict[Payer, Any]]

# The open true-up statements of a year, each with every pool and service that stands on it.
_OPEN = text("""
SELECT s.id, t.subject, t.key, t.treatment FROM statements s
CROSS JOIN LATERAL (
    SELECT state FROM statement_events
    WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
) e
JOIN true_up_shares p ON p.tenant_id = s.tenant_id AND p.statement_id = s.id
JOIN true_ups t ON t.tenant_id = p.tenant_id AND t.id = p.true_up_id
WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind = 'true_up'
    AND s.period_key = :period AND e.state IN ('draft', 'in_review', 'approved')
ORDER BY s.id, t.subject, t.key
""")

_NUMBERS = text("""
SELECT subject, key, max(number) AS number FROM true_ups
WHERE tenant_id = :tenant AND fiscal_year = :year GROUP BY subject, key
""")

# The month that each payer's balance was carried to, whatever true-ups came between.
_CARRIED = text("""
SELECT DISTINCT ON (t.subject, t.key, p.payer_id, p.payer_kind, p.payer_key)
    t.subject, t.key, p.payer_id, p.payer_kind, p.payer_key, p.carried_to
FROM true_ups t JOIN true_up_shares p ON p.tenant_id = t.tenant_id AND p.true_up_id = t.id
WHERE t.tenant_id = :tenant AND t.fiscal_year = :year AND p.carried_to IS NOT NULL
ORDER BY t.subject, t.key, p.payer_id, p.payer_kind, p.payer_key, t.number DESC
""")


def settle_year(
    session: TenantSession,
    year: int,
    choices: Mapping[tuple[str, str], str],
    *,
    now: datetime,
) -> YearResult:
    """Settle some pools and services of a fiscal year that is over.

    `choices` maps ("pool" or "card", key) to settle, carry or keep. A payer whose agreement says
    what becomes of the balance is treated in that way, every other as chosen. Settling drafts one
    statement for each payer with a line for each subject; carrying forward puts a line on the
    payer's bill of the month in which this is done, or of the month to which its balance was
    carried before; keeping leaves the balance to the next year. Open true-up statements of what is
    settled become void; what else stands on them is settled again with it, as it was before.

    :raises InvalidInput: for an unknown treatment or subject, or when nothing was chosen.
    :raises YearNotOver: before the year's last day has passed.
    :raises ActualsMissing: naming what has no actual cost yet.
    :raises AgreedOtherwise: when nobody's balance would become what was chosen.
    :raises NobodyWasBilled: when nobody is there to bear a cost.

    What falls to somebody whom no agreement makes pay stays with the provider, as its own part.
    Later years that rest on another opening now are settled again as they were before: their open
    statements are replaced, and of what was issued the difference is drafted.
    """
    lock_series(session)
    made = _settle(session, year, choices, now=now)
    again = {}
    for later in settled_after(session, year):
        stale = unsettled_again(session, later)
        if stale:
            again[later] = _settle(session, later, stale, now=now, again_for=year)
    return replace(made, again=again)


def _settle(
    session: TenantSession,
    year: int,
    choices: Mapping[tuple[str, str], str],
    *,
    now: datetime,
    again_for: int | None = None,
) -> YearResult:
    tenant_id = scope_of(session).tenant_id
    me = session.execute(ME, {"tenant": tenant_id}).one()
    period = year_period(year, me.fiscal_year_starts_in)
    _check(choices, year, period, me, now)
    waiting = session.execute(_OPEN, {"tenant": tenant_id, "period": period.label}).all()
    choices, replaced = _with_what_stands_beside(choices, waiting)
    billed = _by_subject(billed_in_year(session, period, year))
    openings = _by_subject(openings_of(session, period, year))
    agreements = sharing(session, period)
    slugs: dict[str, UUID] = {row.slug: row.id for row in session.execute(SLUGS)}
    pools = read_year(session, year, stored_before=now)
    terms = terms_in(session, period)
    so_far = so_far_in(session, period)
    due: defaultdict[Payer, list[Line]] = defaultdict(list)
    further: dict[tuple[Subject, Payer], list[Line]] = {}
    ends = {each.key: each.year_end for each in agreed_ends(session, period)}
    made: list[tuple[_Actual, dict[Payer, str], dict[Payer, Part], dict[Payer, str]]] = []
    for (subject, key), treatment in sorted(choices.items()):
        paid = billed.get((subject, key), {})
        brought = openings.get((subject, key), {})
        if subject == POOL:
            actual = _of_pool(pools, key, me, slugs)
        else:
            actual = _of_card(session, key, year, slugs, paid)
        under = {
            payer: key_of
            for payer in actual.owed.keys() | paid.keys() | brought.keys()
            if (key_of := _agreement_of(payer, key, paid, brought, agreements)) is not None
        }
        parts = parts_of(
            {payer: cents for payer, cents in actual.owed.items() if payer in under},
            {payer: row.cents for payer, row in paid.items()},
            {payer: row.cents for payer, row in brought.items()},
            own=actual.own,
        )
        how = {payer: ends.get(under[payer], treatment) for payer in parts}
        if how and again_for is None and treatment not in how.values():
            raise AgreedOtherwise(
                f"{actual.about.name}: the agreements with its payers say "
                f"{', '.join(sorted(set(how.values())))}, not {treatment}.",
                field=f"{subject}.{key}",
            )
        made.append((actual, how, parts, under))
        for payer, part in parts.items():
            if how[payer] == KEEP or not part.due_cents:
                continue
            key_of = under[payer]
            line = line_of(actual.about, year, period.label, part, key_of, "true_up")
            lines = further[actual.about, payer] = year_end_lines(
                line,
                terms.get(key_of, Terms()),
                _so_far(so_far, key_of, payer),
            )
            so_far[key_of, payer] = _so_far(so_far, key_of, payer).with_lines([line, *lines])
            if how[payer] == SETTLE:
                due[payer] += [line, *lines]
    for statement_id in sorted(replaced):
        billing.void(session, statement_id, reason=SUPERSEDED, now=now)
    statements = {
        payer: billing.put_draft(
            session, None, payer, lines, kind="true_up", period_key=period.label, now=now
        )
        for payer, lines in sorted(due.items(), key=lambda item: _order(item[0]))
    }
    numbers = {
        (row.subject, row.key): row.number
        for row in session.execute(_NUMBERS, {"tenant": tenant_id, "year": year})
    }
    month = Period.month_of(now.astimezone(ZoneInfo(me.zone)).date()).label
    before = _by_subject(session.execute(_CARRIED, {"tenant": tenant_id, "year": year}))
    true_ups = []
    for actual, how, parts, under in made:
        about = actual.about
        carried = before.get((about.subject, about.key), {})
        treatment = choices[about.subject, about.key]
        number = numbers.get((about.subject, about.key), 0) + 1
        roll = roll_of(parts)
        true_up = _row(tenant_id, actual, roll, year, number, treatment, now)
        if again_for is not None:
            true_up.basis |= {"again_for": again_for}
        true_up.run_by = scope_of(session).person_id
        put(
            session,
            true_up,
            *(
                _share(
                    true_up,
                    payer,
                    part,
                    under[payer],
                    _month_of(carried.get(payer), month) if how[payer] == CARRY else None,
                    statements.get(payer) if how[payer] == SETTLE else None,
                    further.get((about, payer), []),
                )
                for payer, part in parts.items()
            ),
        )
        record(
            session,
            now=now,
            action="true_up:run",
            subject_kind="true_up",
            subject_id=true_up.id,
            detail={
                "subject": about.subject,
                "key": about.key,
                "fiscal_year": year,
                "treatment": treatment,
                "closing_cents": roll.closing_cents,
                "again_for": again_for,
            },
        )
        true_ups.append(Settled(true_up.id, about.subject, about.key, roll, treatment))
    return YearResult(tuple(true_ups), tuple(statements.values()))


def _check(
    choices: Mapping[tuple[str, str], str], year: int, period: Period, me: Any, now: datetime
) -> None:
    if not choices:
        raise InvalidInput("Choose at least one pool or service.", field="treatment")
    if now < period.bounds(me.zone)[1]:
        last: date = period.end_on
        raise YearNotOver(f"The fiscal year {year} is over on {last}.", field="fiscal_year")
    for (subject, _), treatment in choices.items():
        if subject not in (POOL, CARD):
            raise InvalidInput(
                f"A true-up is of a pool or a card, not of {subject!r}.", field="subject"
            )
        if treatment not in YEAR_ENDS:
            raise InvalidInput(
                f"A balance is one of {', '.join(YEAR_ENDS)}, not {treatment!r}.",
                field="treatment",
            )


def _with_what_stands_beside(
    choices: Mapping[tuple[str, str], str], waiting: Iterable[Any]
) -> tuple[dict[tuple[str, str], str], set[UUID]]:
    """What is settled, with everything that stands on a statement with it; and these statements."""
    rows = list(waiting)
    found = dict(choices)
    while True:
        replaced = {row.id for row in rows if (row.subject, row.key) in found}
        beside = {
            about: row.treatment
            for row in rows
            if row.id in replaced and (about := (row.subject, row.key)) not in found
        }
        if not beside:
            return found, replaced
        found |= beside


def _of_card(
    session: TenantSession,
    key: str,
    year: int,
    slugs: Mapping[str, UUID],
    billed: Mapping[Payer, Any],
) -> _Actual:
    """A billed service: its payers bear the cost in proportion to what they were billed."""
    cost = session.execute(
        select(ServiceCost).where(
            ServiceCost.tenant_id == scope_of(session).tenant_id,
            ServiceCost.card_key == key,
            ServiceCost.fiscal_year == year,
        )
    ).scalar_one_or_none()
    if cost is None:
        raise ActualsMissing(
            f"Enter what the service {key} cost in the fiscal year {year} first.", field=key
        )
    names = {partner: slug for slug, partner in slugs.items()}
    targets = {
        payer: f"{payer.kind}:{payer.key}" if payer.key else names[payer.id] for payer in billed
    }
    weights = {payer: max(0, row.cents) for payer, row in billed.items()}
    owed = owed_by_weight(cost.allowable_cents, weights, targets)
    return _Actual(Subject(CARD, key, key, cost.source), cost.allowable_cents, owed, targets)


def _of_pool(pools: Year, key: str, me: Any, slugs: Mapping[str, UUID]) -> _Actual:
    """A pool: its actual cost is divided month by month as the budget was."""
    pool = pools.pools.get(key)
    if pool is None or pool.actual_cents is None:
        raise ActualsMissing(
            f"Enter what the pool {key} cost in the fiscal year {pools.fiscal_year} first.",
            field=key,
        )
    shares, unallocated = pools.actual_shares(key)
    payers = {
        target: payer for target in shares if (payer := payer_of(target, me.id, slugs)) is not None
    }
    return _Actual(
        Subject(POOL, key, pool.name, pool.actual_source or pool.source),
        pool.actual_cents,
        {payer: shares[target] for target, payer in payers.items()},
        {payer: target for target, payer in payers.items()},
        own=payers.get(me.slug),
        unallocated_cents=unallocated,
    )


def _by_subject(rows: Iterable[Any]) -> _BySubject:
    found: defaultdict[tuple[str, str], dict[Payer, Any]] = defaultdict(dict)
    for row in rows:
        found[row.subject, row.key][Payer(row.payer_id, row.payer_kind, row.payer_key)] = row
    return found


def _agreement_of(
    payer: Payer,
    key: str,
    paid: Mapping[Payer, Any],
    brought: Mapping[Payer, Any],
    agreements: Mapping[tuple[str, Payer], str],
) -> str | None:
    """Under which agreement a payer bears its part: that of its bills, or one that shares the pool.

    None when nobody agreed that it pays: its part stays with the provider.
    """
    known = paid.get(payer) or brought.get(payer)
    return str(known.agreement_key) if known is not None else agreed(agreements, key, payer)


def _so_far(
    known: Mapping[tuple[str, Payer], YearSoFar], agreement_key: str, payer: Payer
) -> YearSoFar:
    """What a payer was billed, with what sources have given to all payers of the agreement."""
    found = known.get((agreement_key, payer), YearSoFar())
    given: defaultdict[str, int] = defaultdict(int)
    for (key, _), each in known.items():
        if key == agreement_key:
            for source, cents in each.funded_cents.items():
                given[source] += cents
    return replace(found, funded_to_all_cents=dict(given))


def _month_of(before: Any, month: str) -> str:
    """Where a balance is carried: to the month that has it already, or to this one."""
    return month if before is None else str(before.carried_to)


def _row(
    tenant_id: UUID,
    actual: _Actual,
    roll: Roll,
    year: int,
    number: int,
    treatment: str,
    now: datetime,
) -> TrueUp:
    return TrueUp(
        tenant_id=tenant_id,
        id=new_id(),
        subject=actual.about.subject,
        key=actual.about.key,
        fiscal_year=year,
        number=number,
        name=actual.about.name,
        opening_cents=roll.opening_cents,
        billed_cents=roll.billed_cents,
        owed_cents=roll.owed_cents,
        closing_cents=roll.closing_cents,
        treatment=treatment,
        basis={
            "actual_cents": actual.actual_cents,
            "source": actual.about.source,
            "unallocated_cents": actual.unallocated_cents,
            "owed": {actual.targets[payer]: cents for payer, cents in actual.owed.items()},
        },
        run_at=now,
    )


def _share(
    true_up: TrueUp,
    payer: Payer,
    part: Part,
    agreement_key: str,
    carried_to: str | None,
    statement_id: UUID | None,
    further: Iterable[Line],
) -> TrueUpShare:
    return TrueUpShare(
        tenant_id=true_up.tenant_id,
        id=new_id(),
        true_up_id=true_up.id,
        payer_id=payer.id,
        payer_kind=payer.kind,
        payer_key=payer.key,
        agreement_key=agreement_key,
        opening_cents=part.opening_cents,
        billed_cents=part.billed_cents,
        owed_cents=part.owed_cents,
        due_cents=part.due_cents,
        carried_to=carried_to if part.due_cents else None,
        statement_id=statement_id if part.due_cents else None,
        further=[
            {
                "kind": line.kind,
                "label": line.label,
                "cents": line.amount_cents,
                "reason": line.basis["reason"],
            }
            for line in further
        ],
    )


def _order(payer: Payer) -> tuple[str, str, str]:
    return payer.kind, payer.key or "", str(payer.id)
