"""From charges to statements: draft, submit, approve, issue, void.

What a rating run gives each payer is collected (`collecting`), put into drafts (`drafting`), taken
through review by two people (`steps`) and issued in both books (`issuing`). Everything that bills
(the month's run, corrections, memos, true-ups) comes through here.
"""

from __future__ import annotations

from regional311.allocation.service import PoolMissing
from regional311.chargeback.collecting import NoBillingPeriod, billing_period, fresh_lines
from regional311.chargeback.drafting import (
    AlreadyIssued,
    RunSuperseded,
    draft_statements,
    put_draft,
)
from regional311.chargeback.issuing import DeliveryDamaged, Issued, issue
from regional311.chargeback.steps import approve, submit, void

__all__ = [
    "AlreadyIssued",
    "DeliveryDamaged",
    "Issued",
    "NoBillingPeriod",
    "PoolMissing",
    "RunSuperseded",
    "approve",
    "billing_period",
    "draft_statements",
    "fresh_lines",
    "issue",
    "put_draft",
    "submit",
    "void",
]
