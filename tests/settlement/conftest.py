"""Issued statements between three partners, put there as issuing them would, on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from uuid import UUID

import pytest
from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.models import Statement, StatementEvent, StatementLine
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.identity.models import Membership
from regional311.ledger.books import DUE_FROM, DUE_TO, Leg, credit, debit
from regional311.ledger.service import NewEntry, first_open_period, open_accounts, post
from tests.chargeback.conftest import Region, region  # noqa: F401

NOVEMBER = datetime(2026, 11, 2, 18, tzinfo=UTC)


@dataclass
class Bills:
    """Makes statements that were issued, and says what partners owe each other."""

    region: Region
    numbers: count
    agreement: str = "share"
    old: UUID | None = None

    def bill(
        self,
        issuer: str,
        payer: str,
        lines: Sequence[int] = (10000,),
        *,
        at: datetime = NOVEMBER,
        period: str = "2026-10",
        kind: str = "bill",
        corrects: UUID | None = None,
        line_kind: str = "usage",
        prepared_by: UUID | None = None,
        outside: str | None = None,
        **terms,
    ) -> UUID:
        tenants = self.region.tenants
        statement_id, number = new_id(), f"{issuer.upper()}X-{next(self.numbers):05d}"
        public = public_id("S")
        line_ids = [new_id() for _ in lines]
        told = {
            "due_days": terms.get("due_days", 30),
            "agreements": {
                self.agreement: {
                    "name": "Share",
                    "version": 1,
                    "terms": {"dispute_days": 30} | terms,
                }
            },
        }
        sides = [(issuer, payer, "issued")] + ([] if outside else [(payer, issuer, "received")])
        for mine, other, side in sides:
            tenant_id = tenants[mine]
            other_id = tenants[mine if outside else other]
            with self.region.of(mine) as session:
                put(
                    session,
                    Statement(
                        tenant_id=tenant_id,
                        id=statement_id,
                        public_id=public,
                        side=side,
                        kind=kind,
                        counterparty_id=other_id,
                        payer_kind="outside" if outside else "partner",
                        payer_key=outside,
                        corrects_id=corrects,
                        period_key=period,
                        total_cents=sum(lines),
                        line_count=len(lines),
                        item_count=0,
                        digest="",
                        parties={"payer": {"name": outside or payer}},
                        terms=told,
                        prepared_by=prepared_by if side == "issued" else None,
                        created_at=at,
                    ),
                    *(
                        StatementLine(
                            tenant_id=tenant_id,
                            id=line_id,
                            statement_id=statement_id,
                            position=position,
                            kind=line_kind,
                            service_period=period,
                            line_key=f"share|{position}",
                            label=f"Line {position}",
                            agreement_key=self.agreement,
                            basis={},
                            quantity=Decimal(1),
                            price=None,
                            exact_amount=Decimal(cents) / 100,
                            amount_cents=cents,
                            item_count=0,
                        )
                        for position, (line_id, cents) in enumerate(
                            zip(line_ids, lines, strict=True), 1
                        )
                    ),
                    StatementEvent(
                        tenant_id=tenant_id,
                        id=new_id(),
                        statement_id=statement_id,
                        position=4,
                        state=side,
                        number=number,
                        at=at,
                    ),
                )
                self._post(session, statement_id, side, other_id, sum(lines), period, at, outside)
        return statement_id

    def _post(self, session, statement_id, side, other_id, cents, period, at, outside) -> None:
        if not cents:
            return
        open_accounts(session)
        legs: list[Leg]
        if outside:
            party = f"outside:{outside}"
            legs = [
                debit("due_from_outside", cents, party=party),
                credit("service_revenue", cents, party=party),
            ]
        elif side == "issued":
            legs = [debit(DUE_FROM, cents, other_id), credit("service_revenue", cents, other_id)]
        else:
            legs = [debit("service_expense", cents, other_id), credit(DUE_TO, cents, other_id)]
        post(
            session,
            NewEntry(
                period_key=first_open_period(session, Period.month(period).label),
                service_period=period,
                memo="Statement",
                source_key=f"statement:{statement_id}:{side}",
                legs=legs,
                source_id=statement_id,
                counterparty_id=None if outside else other_id,
                mirror_id=None if outside else statement_id,
            ),
            now=at,
        )

    def issue(self, partner: str, statement_id: UUID, *, at: datetime) -> str:
        """Take a draft all the way, with a preparer and an approver of their own."""
        for step, person in (
            (billing.submit, self.region.preparer),
            (billing.approve, self.region.approver),
        ):
            with self.region.of(partner, person) as session:
                step(session, statement_id, now=at)
        with self.region.of(partner, self.region.preparer) as session:
            return billing.issue(session, statement_id, now=at).number

    def close(self, partner: str, month: str) -> None:
        """Close a month of the books softly, as it stands or fresh."""
        period = Period.month(month)
        with self.region.of(partner) as session:
            session.execute(
                text(
                    "INSERT INTO ledger_periods (tenant_id, key, start_on, end_on, state)"
                    " VALUES (:t, :key, :first, :to, 'soft-closed')"
                    " ON CONFLICT (tenant_id, key) DO UPDATE SET state = excluded.state"
                ),
                {
                    "t": self.region.tenants[partner],
                    "key": month,
                    "first": period.start_on,
                    "to": period.end_on,
                },
            )

    def member(self, partner: str, name: str, *roles: str) -> UUID:
        person_id = new_id()
        with self.region.of(partner) as session:
            put(
                session,
                Membership(
                    tenant_id=self.region.tenants[partner],
                    person_id=person_id,
                    name=name,
                    email=f"{name.lower()}@{partner}.example",
                    roles=list(roles),
                ),
            )
        return person_id


@pytest.fixture
def bills(region) -> Bills:  # noqa: F811
    return Bills(region, count(1))
