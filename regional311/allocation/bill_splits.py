"""How a payer divides its own bill over its bureaus, funds and cost centres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from regional311.allocation.bases import Base, check_key, plain, weights
from regional311.allocation.models import BillSplit
from regional311.allocation.year import read_bases
from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput
from regional311.money import split
from regional311.tenancy.models import Bureau

BUREAU = "bureau:"


class PartsDoNotSum(InvalidInput):
    """The parts of a rule make more or less than exactly 100 %."""


class RuleTaken(Conflict):
    """Another rule divides the same agreement's lines."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where a part of a bill goes: a bureau, a fund and a cost centre, each if there is one."""

    bureau: str | None
    fund_code: str | None
    cost_centre: str | None

    @property
    def order(self) -> tuple[str, str, str]:
        """By which odd cents are given."""
        return (self.bureau or "", self.fund_code or "", self.cost_centre or "")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with the weight of each part, and the agreement it is for; none: all others."""

    key: str
    name: str
    agreement_key: str | None
    weights: Mapping[Part, Fraction]
    basis: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line of a statement that is to be divided."""

    position: int
    agreement_key: str
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Divided:
    """One part of one line; `rule_key` is none where no rule divides it."""

    position: int
    rule_key: str | None
    part: Part
    cents: int


WHOLE = Part(None, None, None)


def divide(lines: Iterable[BilledLine], rules: Sequence[Rule]) -> list[Divided]:
    """Divide each line by its agreement's rule, or by the one for all; parts sum to their line.

    A line without a rule, or whose rule has nothing but zeros, stays whole.

    >>> rule = Rule("even", "Even", None, {Part("a", None, None): 1, Part("b", None, None): 1}, {})
    >>> [(each.part.bureau, each.cents) for each in divide([BilledLine(1, "x", 101)], [rule])]
    [('a', 51), ('b', 50)]
    """
    by_agreement = {rule.agreement_key: rule for rule in rules}
    found = []
    for line in lines:
        rule = by_agreement.get(line.agreement_key, by_agreement.get(None))
        if rule is None or not any(rule.weights.values()):
            found.append(Divided(line.position, None, WHOLE, line.amount_cents))
            continue
        parts = sorted(rule.weights, key=lambda part: part.order)
        cents = split(
            line.amount_cents,
            [rule.weights[part] for part in parts],
            [part.order for part in parts],
        )
        found += [
            Divided(line.position, rule.key, part, amount)
            for part, amount in zip(parts, cents, strict=True)
            if amount
        ]
    return found


def check_parts(base_key: str | None, parts: Sequence[Mapping[str, Any]]) -> None:
    """Refuse percentages that do not make 100, parts named twice, and percentages beside a base.

    :raises PartsDoNotSum: naming what they make.
    :raises InvalidInput: for the others.
    """
    if base_key is not None:
        if parts:
            raise InvalidInput("A rule has a base or parts, not both.", field="parts")
        return
    whole = sum((Decimal(each["percent"]) for each in parts), Decimal(0))
    if whole != 100:
        raise PartsDoNotSum(
            f"The parts make {plain(whole)} %, they must make exactly 100 %.", field="parts"
        )
    places = [_part(each) for each in parts]
    if len(set(places)) < len(places):
        raise InvalidInput("Two parts go to the same place.", field="parts")


def _part(said: Mapping[str, Any]) -> Part:
    return Part(said.get("bureau"), said.get("fund_code"), said.get("cost_centre"))


def save_split(
    session: TenantSession,
    *,
    key: str,
    name: str,
    agreement_key: str | None,
    base_key: str | None,
    parts: Sequence[Mapping[str, Any]],
    now: datetime,
    new: bool = False,
) -> UUID:
    """Make or change a rule by which this partner divides what it is billed.

    :raises RuleTaken: when another rule is for the same agreement, or for all.
    :raises InvalidInput: as `check_parts` does.
    """
    tenant_id = scope_of(session).tenant_id
    check_key(key)
    check_parts(base_key, parts)
    if base_key is not None and base_key not in read_bases(session):
        raise InvalidInput(f"There is no base {base_key}.", field="base")
    rows = session.execute(
        select(BillSplit.id, BillSplit.key, BillSplit.agreement_key, BillSplit.ended_on).where(
            BillSplit.tenant_id == tenant_id
        )
    ).all()
    for row in rows:
        if row.key != key and row.ended_on is None and row.agreement_key == agreement_key:
            raise RuleTaken(f"The rule {row.key} divides these lines already.", field="agreement")
    values: dict[str, Any] = {
        "name": name,
        "agreement_key": agreement_key,
        "base_key": base_key,
        "parts": [{k: v for k, v in each.items() if v is not None} for each in parts],
        "ended_on": None,
    }
    split_id = next((row.id for row in rows if row.key == key), None)
    if split_id is not None and new:
        raise RuleTaken(f"There is a rule {key} already.", field="key")
    if split_id is None:
        split_id = new_id()
        put(session, BillSplit(tenant_id=tenant_id, id=split_id, key=key, **values))
    else:
        session.execute(
            update(BillSplit)
            .where(BillSplit.tenant_id == tenant_id, BillSplit.id == split_id)
            .values(values),
            execution_options={"synchronize_session": False},
        )
        mark_changed(session)
    record(
        session,
        now=now,
        action="bill_split:change",
        subject_kind="bill_split",
        subject_id=split_id,
        detail={"key": key},
    )
    return split_id


def rules_of(session: TenantSession, *, before: date) -> list[Rule]:
    """This partner's rules, with bases as they were known of the days before one. Four statements.

    :raises BaseWithoutReadings: when a rule's base has none.
    """
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(
        select(BillSplit)
        .where(BillSplit.tenant_id == tenant_id, BillSplit.ended_on.is_(None))
        .order_by(BillSplit.key)
    ).scalars()
    saved = list(rows)
    if not saved:
        return []
    bureaus = {
        row.key: Part(row.key, row.fund_code, row.cost_centre)
        for row in session.execute(
            select(Bureau.key, Bureau.fund_code, Bureau.cost_centre).where(
                Bureau.tenant_id == tenant_id
            )
        )
    }
    bases = read_bases(session, before=before) if any(row.base_key for row in saved) else {}
    return [_rule(row, bureaus, bases, before) for row in saved]


def _rule(
    row: BillSplit, bureaus: Mapping[str, Part], bases: Mapping[str, Base], before: date
) -> Rule:
    found: dict[Part, Fraction] = {}
    if row.base_key is None:
        for each in row.parts:
            found[_part(each)] = Fraction(each["percent"])
        return Rule(row.key, row.name, row.agreement_key, found, {"parts": row.parts})
    if row.base_key not in bases:
        raise InvalidInput(f"There is no base {row.base_key}.", field="base")
    by_base = weights(bases[row.base_key], bases, before)
    for target, weight in by_base.by_target.items():
        if target.startswith(BUREAU):
            bureau = target.removeprefix(BUREAU)
            found[bureaus.get(bureau, Part(bureau, None, None))] = weight
    return Rule(row.key, row.name, row.agreement_key, found, by_base.basis)


def split_bill(
    session: TenantSession, lines: Iterable[BilledLine], *, before: date
) -> list[Divided]:
    """Divide the lines of a bill of this partner by its own rules; the parts sum to the bill.

    `before` is the first day after the billed period: bases are read as known until then.
    """
    return divide(lines, rules_of(session, before=before))
