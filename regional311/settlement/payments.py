"""Payments, as their receiver records them: part, over, in advance, back, applied and reversed.

What a payment settles of a statement is what is open of it; the rest is held in advance and can be
applied to a later one. Both partners get a row with the same id and an entry in their books, in one
transaction; a body outside the region has no books here. A recorded payment never changes: it is
reversed by another, with a reason.

The day of a payment says its month: the receiver's books must be open for it, the payer's copy goes
to the payer's first open month. The entry keeps the service period of the statement, so that what
is owed for a period falls when it is paid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, text

from regional311.audit.service import record
from regional311.calendars import Period
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.errors import Conflict, InvalidInput, KeyReused, NotFound
from regional311.ledger.books import DUE_FROM, DUE_TO, Leg, credit, debit
from regional311.ledger.seals import keep_document
from regional311.ledger.service import (
    NewEntry,
    PeriodClosed,
    first_open_period,
    lock_open_period,
    open_accounts,
    post,
)
from regional311.money import format_cents
from regional311.settlement import queries
from regional311.settlement.models import Payment
from regional311.settlement.relations import (
    both_ways,
    cleaned,
    deliver,
    lock_relations,
    parties,
    today_of,
)

METHODS: Final = ("check", "ach", "wire", "card", "journal", "other")
MOST_CENTS: Final = 10**13
LONGEST_REFERENCE: Final = 100
LONGEST_REASON: Final = 500
PAYMENT_FORMAT: Final = "regional311 payment 1"
_SAME_ON_BOTH_SIDES: Final = (
    *("id", "public_id", "kind", "payer_kind", "payer_key", "statement_id"),
    *("reference", "method", "reason", "reverses_id", "netting_id"),
)


class PaymentInClosedPeriod(Conflict):
    """The receiver's books are closed for the day of the payment."""


class PaymentDoubled(Conflict):
    """The same money, by payer, day, amount, method and reference, is recorded already."""


class NotReversible(Conflict):
    """A payment was reversed already, is a reversal, or what it left in advance was used."""


@dataclass(frozen=True, slots=True)
class Whom:
    """With whom something is settled: a partner, or a body outside named by a key."""

    id: UUID
    key: str | None = None

    @property
    def kind(self) -> str:
        """Partner or outside."""
        return "partner" if self.key is None else "outside"

    @property
    def party(self) -> str | None:
        """How books name a body outside."""
        return None if self.key is None else f"outside:{self.key}"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a payment does, in signed cents: `cash + netted = applied + advance`."""

    cash: int = 0
    netted: int = 0
    applied: int = 0
    advance: int = 0

    def reversed(self) -> Effect:
        """The opposite of all."""
        return Effect(-self.cash, -self.netted, -self.applied, -self.advance)


def divided(amount_cents: int, open_cents: int) -> Effect:
    """What a payment settles of what is open, and what of it is held in advance.

    >>> divided(100, 70), divided(50, 70).advance
    (Effect(cash=100, netted=0, applied=70, advance=30), 0)
    """
    applied = min(amount_cents, max(0, open_cents))
    return Effect(cash=amount_cents, applied=applied, advance=amount_cents - applied)


def payment_legs(
    effect: Effect, side: str, counterparty_id: UUID, outside: str | None
) -> list[Leg]:
    """The legs that a payment posts on a side; none when it moves nothing between accounts.

    >>> legs = payment_legs(divided(100, 70), "received", UUID(int=1), None)
    >>> [(leg.account, leg.net_cents) for leg in legs]
    [('cash', 100), ('due_from_partners', -70), ('advances_from_partners', -30)]
    """
    if outside is not None:
        whole = effect.applied + effect.advance
        legs = [
            debit("cash", effect.cash, party=outside),
            credit("due_from_outside", whole, party=outside),
        ]
    elif side == "received":
        legs = [
            debit("cash", effect.cash, counterparty_id),
            credit(DUE_FROM, effect.applied, counterparty_id),
            credit("advances_from_partners", effect.advance, counterparty_id),
        ]
    else:
        legs = [
            debit(DUE_TO, effect.applied, counterparty_id),
            debit("advances_to_partners", effect.advance, counterparty_id),
            credit("cash", effect.cash, counterparty_id),
        ]
    return [leg for leg in legs if leg.net_cents]


def payment_digest(fields: Mapping[str, Any], receiver_id: UUID, payer_id: UUID) -> str:
    """SHA-256 over what both sides have of a payment; `fields` by the names of the columns."""
    content = [
        PAYMENT_FORMAT,
        str(receiver_id),
        str(payer_id),
        *(None if fields[name] is None else str(fields[name]) for name in _SAME_ON_BOTH_SIDES),
        *(fields[f"{name}_cents"] for name in ("cash", "netted", "applied", "advance")),
        fields["paid_on"].isoformat(),
        fields["recorded_at"].astimezone(UTC).isoformat(timespec="microseconds"),
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


# --- what may be recorded -------------------------------------------------------------------------


def record_payment(
    session: TenantSession,
    *,
    amount_cents: int,
    paid_on: date,
    reference: str,
    method: str,
    key: str,
    now: datetime,
    statement_id: UUID | None = None,
    whom: Whom | None = None,
) -> UUID:
    """Record money that came in, for a statement that this partner issued or in advance.

    Without a statement, `whom` paid in advance. The same `key` with the same content gives the
    first payment and changes nothing; a second caller waits for the first.

    :raises NotFound: when this partner issued no such statement.
    :raises InvalidInput: naming the field that is not allowed: amount, paid_on, reference, method.
    :raises PaymentInClosedPeriod: naming the month, when this partner's books are closed for it.
    :raises PaymentDoubled: when the same money is recorded already.
    :raises KeyReused: when the key stands for something else.
    """
    content = {"amount": amount_cents, "on": paid_on, "statement": statement_id}
    _check_amount(amount_cents)
    wanted = _wanted(reference, method)

    def effect(row: queries.OpenRow | None) -> Effect:
        return divided(amount_cents, 0 if row is None else row.open.open_cents)

    return _record(
        session, "payment", statement_id, whom, effect, paid_on, wanted, key, content, now
    )


def refund(
    session: TenantSession,
    *,
    amount_cents: int,
    paid_on: date,
    reference: str,
    method: str,
    key: str,
    now: datetime,
    statement_id: UUID | None = None,
    whom: Whom | None = None,
) -> UUID:
    """Record money that went back: of a statement that is over-settled, or of an advance.

    :raises InvalidInput: when more would go back than there is.
    """
    content = {"refund": amount_cents, "on": paid_on, "statement": statement_id}
    _check_amount(amount_cents)
    wanted = _wanted(reference, method)

    def effect(row: queries.OpenRow | None) -> Effect:
        if row is not None:
            there = max(0, -row.open.open_cents)
            found = Effect(cash=-amount_cents, applied=-amount_cents)
        else:
            assert whom is not None
            there = advance_held(session, whom)
            found = Effect(cash=-amount_cents, advance=-amount_cents)
        if amount_cents > there:
            raise InvalidInput(
                f"There is {format_cents(there)} to give back, not {format_cents(amount_cents)}.",
                field="amount",
            )
        return found

    return _record(
        session, "refund", statement_id, whom, effect, paid_on, wanted, key, content, now
    )


def apply_advance(
    session: TenantSession,
    statement_id: UUID,
    *,
    on: date,
    key: str,
    now: datetime,
    most_cents: int = MOST_CENTS,
) -> UUID:
    """Use what its payer has paid in advance for a statement, as far as both reach.

    No more than `most_cents` are used.

    :raises Conflict: when nothing is held in advance, or nothing is open.
    """
    content = {"apply": statement_id, "on": on}

    def effect(row: queries.OpenRow | None) -> Effect:
        assert row is not None
        held = advance_held(session, Whom(row.counterparty_id, row.payer_key))
        cents = min(held, row.open.open_cents, most_cents)
        if cents <= 0:
            raise Conflict("Nothing is held in advance for this payer, or nothing is open.")
        return Effect(applied=cents, advance=-cents)

    wanted = ("advance", "other")
    return _record(
        session, "application", statement_id, None, effect, on, wanted, key, content, now
    )


def advance_held(session: TenantSession, whom: Whom) -> int:
    """What somebody has paid to this partner in advance and is not used, in cents."""
    return sum(
        row.cents
        for row in queries.advances(session, counterparty_id=whom.id)
        if row.side == "received" and row.payer_key == whom.key
    )


def reverse_payment(
    session: TenantSession, payment_id: UUID, *, reason: str, on: date, now: datetime
) -> UUID:
    """Undo a payment, refund or application by its opposite, on a day of its own.

    Reversing it again gives the same reversal.

    :raises NotFound: when this partner recorded no such payment.
    :raises NotReversible: when it is itself a reversal, came of netting, or its advance was used.
    """
    tenant_id = scope_of(session).tenant_id
    why = cleaned(reason, "reason", LONGEST_REASON)
    found = _own_payment(session, payment_id)
    if found is None or found.side != "received":
        raise NotFound("There is no such payment.")
    if found.kind in ("reversal", "netting"):
        raise NotReversible("A reversal and what was set off by netting cannot be reversed.")
    whom = Whom(found.counterparty_id, found.payer_key)
    lock_relations(session, both_ways(tenant_id, whom.id))
    again = session.execute(
        select(Payment.id).where(Payment.tenant_id == tenant_id, Payment.reverses_id == payment_id)
    ).scalar_one_or_none()
    if again is not None:
        return again
    was = Effect(found.cash_cents, found.netted_cents, found.applied_cents, found.advance_cents)
    if was.advance > 0 and advance_held(session, whom) < was.advance:
        raise NotReversible(
            "What this payment left in advance was used since; reverse that use first."
        )
    if on < found.paid_on:
        raise InvalidInput(
            f"The payment is of {found.paid_on.isoformat()}; it cannot be reversed before.",
            field="on",
        )
    row = None if found.statement_id is None else _issued(session, found.statement_id, now)
    return _put(
        session,
        "reversal",
        row,
        whom,
        was.reversed(),
        on,
        (found.reference, found.method),
        None,
        now,
        reason=why,
        reverses_id=payment_id,
    )


# --- how it is written ----------------------------------------------------------------------------


def _record(
    session: TenantSession,
    kind: str,
    statement_id: UUID | None,
    whom: Whom | None,
    effect: Callable[[queries.OpenRow | None], Effect],
    on: date,
    wanted: tuple[str, str],
    key: str,
    content: dict[str, Any],
    now: datetime,
) -> UUID:
    me = scope_of(session).tenant_id
    row = None
    if statement_id is not None:
        row = _issued(session, statement_id, now)
        whom = Whom(row.counterparty_id, row.payer_key)
    elif whom is None:
        raise InvalidInput("Say which statement was paid, or who paid in advance.", field="payer")
    else:
        _check_payer(session, whom)
    lock_relations(session, both_ways(me, whom.id))
    if (known := _known(session, key)) is not None:
        if _same(known, kind, content, wanted, whom):
            return known.id
        raise KeyReused("This was recorded already, with other content. Open the form again.")
    if statement_id is not None:
        # what is open may have changed while the lock was waited for
        row = _issued(session, statement_id, now)
        if on < row.issued_on:
            raise InvalidInput(
                f"{row.number} was issued on {row.issued_on.isoformat()}; money that came before is"
                " recorded in advance, without a statement.",
                field="paid_on",
            )
    made = effect(row)
    if kind in ("payment", "refund"):
        _check_not_doubled(session, whom, made, on, wanted)
    return _put(session, kind, row, whom, made, on, wanted, key, now)


def _put(
    session: TenantSession,
    kind: str,
    row: queries.OpenRow | None,
    whom: Whom,
    effect: Effect,
    on: date,
    wanted: tuple[str, str],
    key: str | None,
    now: datetime,
    *,
    reason: str | None = None,
    reverses_id: UUID | None = None,
) -> UUID:
    """Write the row and the entry of each side; the relation is locked."""
    me = scope_of(session).tenant_id
    payment_id, number = new_id(), public_id("P")
    periods = _periods(session, me, whom, on, now)
    fields = {
        "id": payment_id,
        "public_id": number,
        "kind": kind,
        "payer_kind": whom.kind,
        "payer_key": whom.key,
        "statement_id": None if row is None else row.id,
        "paid_on": on,
        "cash_cents": effect.cash,
        "netted_cents": effect.netted,
        "applied_cents": effect.applied,
        "advance_cents": effect.advance,
        "reference": wanted[0],
        "method": wanted[1],
        "reason": reason,
        "reverses_id": reverses_id,
        "recorded_at": now,
    }
    memo = f"Payment {number}" if kind == "payment" else f"{kind.capitalize()} {number}"
    if row is not None:
        memo += f" of {row.number}"
    about = Period.month_of(on).label if row is None else row.period_key
    write_side(session, fields, "received", whom, periods[me], about, memo, effect, now, key=key)
    if whom.key is None:
        payload = {name: str(value) for name, value in fields.items() if value is not None}
        deliver(
            session, to=whom.id, kind="payment", subject_id=payment_id, payload=payload, now=now
        )
        with acting_for(session, whom.id):
            write_side(
                session, fields, "paid", Whom(me), periods[whom.id], about, memo, effect, now
            )
    return payment_id


def write_side(
    session: TenantSession,
    fields: dict[str, Any],
    side: str,
    whom: Whom,
    period_key: str,
    service_period: str,
    memo: str,
    effect: Effect,
    now: datetime,
    *,
    key: str | None = None,
    netting_id: UUID | None = None,
) -> None:
    """Write the bound partner's row of a payment, and its entry when it has one.

    What is set off by netting is posted by the netting set.
    """
    scope = scope_of(session)
    payment_id: UUID = fields["id"]
    put(
        session,
        Payment(
            tenant_id=scope.tenant_id,
            side=side,
            counterparty_id=whom.id,
            period_key=period_key,
            key=key,
            netting_id=netting_id,
            recorded_by=scope.person_id if side == "received" else None,
            **fields,
        ),
    )
    digest = payment_digest(
        fields | {"netting_id": netting_id},
        *((scope.tenant_id, whom.id) if side == "received" else (whom.id, scope.tenant_id)),
    )
    keep_document(session, "payment", payment_id, digest, now=now)
    legs = payment_legs(effect, side, whom.id, whom.party)
    if legs and not effect.netted:
        post(
            session,
            NewEntry(
                period_key=period_key,
                service_period=service_period,
                memo=memo,
                source_key=f"payment:{payment_id}:{side}",
                legs=legs,
                source_id=payment_id,
                counterparty_id=None if whom.key else whom.id,
                mirror_id=None if whom.key else payment_id,
            ),
            now=now,
        )
    record(
        session,
        now=now,
        action=f"payment:{'record' if side == 'received' else 'receive'}",
        subject_kind="payment",
        subject_id=payment_id,
        detail={"kind": fields["kind"], "applied_cents": effect.applied},
    )


def _periods(
    session: TenantSession, me: UUID, whom: Whom, on: date, now: datetime
) -> dict[UUID, str]:
    """Where each side books, held open in the order of the partners' ids."""
    people = parties(session)
    today = today_of(people[me], now)
    if on > today:
        raise InvalidInput(
            f"{on.isoformat()} has not come yet; today is {today.isoformat()}.", field="paid_on"
        )
    month = Period.month_of(on).label
    found = {}
    for tenant_id in sorted({me, whom.id}):
        with acting_for(session, tenant_id):
            open_accounts(session)
            if tenant_id != me:
                found[tenant_id] = first_open_period(session, month)
                continue
            try:
                lock_open_period(session, month)
            except PeriodClosed as closed:
                raise PaymentInClosedPeriod(
                    f"Your books of {month} are closed. Give a day in a month that is open, or have"
                    " the month opened again.",
                    field="paid_on",
                ) from closed
            found[tenant_id] = month
    return found


def _issued(session: TenantSession, statement_id: UUID, now: datetime) -> queries.OpenRow:
    today = today_of(parties(session)[scope_of(session).tenant_id], now)
    row = queries.document(session, statement_id, today)
    if row is None or row.side != "issued":
        raise NotFound("This partner has issued no such statement that others pay.")
    return row


def _own_payment(session: TenantSession, payment_id: UUID) -> Payment | None:
    found: Payment | None = session.execute(
        select(Payment).where(
            Payment.tenant_id == scope_of(session).tenant_id, Payment.id == payment_id
        )
    ).scalar_one_or_none()
    return found


def _known(session: TenantSession, key: str) -> Payment | None:
    found: Payment | None = session.execute(
        select(Payment).where(Payment.tenant_id == scope_of(session).tenant_id, Payment.key == key)
    ).scalar_one_or_none()
    return found


def _same(
    known: Payment, kind: str, content: dict[str, Any], wanted: tuple[str, str], whom: Whom
) -> bool:
    stored: dict[str, Any] = {"on": known.paid_on, "statement": known.statement_id}
    if kind == "application":
        stored = {"apply": known.statement_id, "on": known.paid_on}
    else:
        stored["amount" if kind == "payment" else "refund"] = abs(known.cash_cents)
    return (
        known.kind == kind
        and stored == content
        and (known.reference, known.method) == wanted
        and (known.counterparty_id, known.payer_key) == (whom.id, whom.key)
    )


def _check_amount(cents: int) -> None:
    if not 0 < cents <= MOST_CENTS:
        raise InvalidInput("Give an amount above zero.", field="amount")


def _wanted(reference: str, method: str) -> tuple[str, str]:
    if method not in METHODS:
        raise InvalidInput(f"A payment is made by one of {', '.join(METHODS)}.", field="method")
    return cleaned(reference, "reference", LONGEST_REFERENCE), method


def _check_payer(session: TenantSession, whom: Whom) -> None:
    me = scope_of(session).tenant_id
    if whom.key is None:
        party = parties(session).get(whom.id)
        if party is None or party.kind == "region" or party.id == me:
            raise InvalidInput("Choose another partner of the region.", field="payer")
        return
    there = session.execute(
        text(
            "SELECT EXISTS (SELECT FROM agreements WHERE provider_id = :me"
            " AND payer_kind = 'outside' AND payer_key = :key)"
        ),
        {"me": me, "key": whom.key},
    ).scalar_one()
    if whom.id != me or not there:
        raise InvalidInput("No agreement names this body outside the region.", field="payer")


def _check_not_doubled(
    session: TenantSession, whom: Whom, effect: Effect, on: date, wanted: tuple[str, str]
) -> None:
    me = scope_of(session).tenant_id
    there = session.execute(
        text(
            "SELECT p.public_id FROM payments p WHERE p.tenant_id = :tenant AND p.side = 'received'"
            " AND p.counterparty_id = :other AND p.payer_key IS NOT DISTINCT FROM :key"
            " AND p.paid_on = :day AND p.cash_cents = :cash AND p.reference = :reference"
            " AND p.method = :method AND p.kind IN ('payment', 'refund') AND NOT EXISTS ("
            "  SELECT FROM payments r WHERE r.tenant_id = :tenant AND r.reverses_id = p.id)"
            " LIMIT 1"
        ),
        {
            "tenant": me,
            "other": whom.id,
            "key": whom.key,
            "day": on,
            "cash": effect.cash,
            "reference": wanted[0],
            "method": wanted[1],
        },
    ).scalar_one_or_none()
    if there is not None:
        raise PaymentDoubled(
            f"{there} is the same amount of the same day with the same reference. If this is other"
            " money, give its own reference.",
            field="reference",
        )
