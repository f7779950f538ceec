"""What the demo shows of money in motion: a part paid, a line disputed, a budget, a what-if."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from regional311.calendars import Period
from regional311.chargeback.month import Billed
from regional311.database.session import Scope, session_scope
from regional311.forecast import budgets, queries, service
from regional311.forecast.budgets import Party
from regional311.forecast.changes import Changes
from regional311.referral.snapshot import Published
from regional311.settlement import disputes, payments
from regional311.settlement import queries as settlement

CITY: Final = "city-of-portland"
COUNTY: Final = "multnomah-county"
HELPLINE: Final = "211info"
DISPUTED_CENTS: Final = 25_000
BUDGETS: Final = (
    (CITY, "issued", COUNTY, 90_000_000),
    (CITY, "issued", HELPLINE, 6_000_000),
    (CITY, "received", HELPLINE, 12_000_000),
    (COUNTY, "received", CITY, 36_000_000),
    (COUNTY, "received", HELPLINE, 9_000_000),
)
"""Whose budget, for what it bills or is billed, by whom or to whom, in cents of a fiscal year."""


def plan_money(
    engine: Engine,
    region: Published,
    period: Period,
    *,
    finance: Mapping[UUID, UUID],
    now: datetime,
) -> None:
    """Set what was set aside for the year before anything is billed: covers are printed with it.

    A second time nothing happens.
    """
    for slug, side, other, cents in BUDGETS:
        mine = region.ids[slug]
        with session_scope(engine, Scope(mine, finance[mine])) as session:
            year = budgets.year_of(session, period.start_on)
            there = {each.party for each in budgets.budgets(session, year, now=now)}
            party = Party(side, region.ids[other])
            if party not in there:
                budgets.set_budget(
                    session,
                    party,
                    fiscal_year=year.number,
                    amount_cents=cents,
                    note="Example",
                    now=now,
                )


def move_money(
    engine: Engine,
    region: Published,
    period: Period,
    billed: Iterable[Billed],
    *,
    finance: Mapping[UUID, UUID],
    now: datetime,
) -> None:
    """Pay, dispute and plan around the month's bills; a second time nothing happens.

    The County pays half of the City's bill, disputes a part of its first line, and 211 pays all of
    its own; the City tries out what a tenth more on every price would come to.
    """
    city = region.ids[CITY]
    owed = {each.payer_id: each for each in billed if each.issuer_id == city}
    for slug, share in ((COUNTY, 2), (HELPLINE, 1)):
        bill = owed.get(region.ids[slug])
        if bill is not None and bill.payer_kind == "partner" and bill.total_cents >= share:
            pay(engine, region, bill, bill.total_cents // share, finance[city], now)
    bill = owed.get(region.ids[COUNTY])
    if bill is not None:
        _dispute(engine, bill, finance[region.ids[COUNTY]], now)
    with session_scope(engine, Scope(city, finance[city])) as session:
        if not queries.scenarios(session, limit=1):
            changes = Changes(rates_percent=Decimal(10))
            service.save(
                session,
                name="Every price a tenth higher",
                note="What the partners would have paid for the same month.",
                changes=changes,
                comparison=service.try_out(session, period, changes, now=now),
                now=now,
            )


def pay(
    engine: Engine,
    region: Published,
    bill: Billed,
    cents: int,
    person_id: UUID,
    now: datetime,
) -> None:
    """Record that a partner paid so much of a bill, on that day; a second time nothing happens."""
    slug = region.slugs[bill.issuer_id]
    with session_scope(engine, Scope(bill.issuer_id, person_id)) as session:
        if settlement.payments(session, statement_id=bill.statement_id, limit=1):
            return
        payments.record_payment(
            session,
            amount_cents=cents,
            paid_on=now.astimezone(ZoneInfo(region.tenant(slug).zone)).date(),
            reference=f"Example transfer for {bill.number}",
            method="ach",
            key=f"demo:{bill.statement_id}",
            statement_id=bill.statement_id,
            now=now,
        )


def _dispute(engine: Engine, bill: Billed, person_id: UUID, now: datetime) -> None:
    with session_scope(engine, Scope(bill.payer_id, person_id)) as session:
        if settlement.disputes(session, statement_id=bill.statement_id, limit=1):
            return
        line = next(
            (
                each
                for each in settlement.disputable(session, bill.statement_id)
                if each.undisputed_cents >= DISPUTED_CENTS
            ),
            None,
        )
        if line is None:
            return
        disputes.open_dispute(
            session,
            bill.statement_id,
            line.position,
            amount_cents=DISPUTED_CENTS,
            reason="wrong_quantity",
            evidence="Our own list has fewer contacts on the first weekend of the month.",
            now=now,
        )
