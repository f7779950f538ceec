"""From charges to statements: draft, submit, approve, issue, void.

A draft is made from a rating run, one for each payer: a line for each group of charges and for
each share of a pool, with the single pieces of work as leaves. A later run makes new drafts and
voids the earlier ones; what was issued stays for ever. Issuing numbers the statement, posts it in
the issuer's books, delivers it as envelopes, unpacks them as the payer's own rows and posts the
mirrored entry, all in one transaction.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text

from regional311.allocation.models import CostPool, PoolShare
from regional311.allocation.shares import month_of_year, shares_of_month
from regional311.audit.service import record
from regional311.calendars import Period, fiscal_year, month_of_fiscal_year
from regional311.chargeback.models import (
    RatingRun,
    Statement,
    StatementEvent,
    StatementLine,
)
from regional311.chargeback.planning import joined_by_hash
from regional311.chargeback.series import lock_series, mint_number
from regional311.chargeback.statement import (
    OPEN,
    Line,
    State,
    check_approver,
    check_move,
    content_digest,
    journal_legs,
    total_cents,
)
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, DomainError, NotFound
from regional311.exchange.models import Envelope
from regional311.ledger.service import NewEntry, first_open_period, open_accounts, post
from regional311.money import from_cents

ITEMS_AN_ENVELOPE = 1000
_VERBS = {
    State.DRAFT: "draft",
    State.IN_REVIEW: "submit",
    State.APPROVED: "approve",
    State.ISSUED: "issue",
    State.RECEIVED: "receive",
    State.VOID: "void",
}
MICRO = Decimal("0.000001")


class AlreadyIssued(Conflict):
    """Everything that the run would bill was billed before; issued statements never change."""


class RunSuperseded(Conflict):
    """A later run of the period exists; only its charges can be billed."""


class PoolMissing(DomainError):
    """An agreement shares a pool that has no amount for the fiscal year."""


class DeliveryDamaged(DomainError):
    """What the payer unpacked differs from what the issuer sent; nothing was issued."""


@dataclass(frozen=True, slots=True)
class Issued:
    """An issued statement: its number, and whether it was issued just now or before."""

    statement_id: UUID
    number: str
    again: bool


@dataclass(frozen=True, slots=True)
class _Party:
    id: UUID
    slug: str
    name: str
    short_name: str
    fiscal_year_starts_in: int
    contact: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Agreement:
    key: str
    version: int
    name: str
    payer_id: UUID
    pool_key: str | None
    terms: dict[str, Any]


_GROUPS = text("""
SELECT c.payer_id, c.line_key, a.key AS agreement_key, e.activity, e.channel, e.after_hours,
    e.service_key, owner.slug AS owner_slug, service.name AS service_name,
    r.key AS rate_key, r.card_key, r.unit, r.language AS rate_language, r.amount AS price,
    lower(r.valid) AS valid_from, upper(r.valid) AS valid_to, r.source AS rate_source,
    sum(c.quantity) AS quantity, sum(c.amount) AS amount, count(*) AS items
FROM charges c
JOIN usage_events e ON e.tenant_id = c.tenant_id AND e.id = c.usage_event_id
JOIN rates r ON r.tenant_id = c.tenant_id AND r.id = c.rate_id
JOIN agreements a ON a.id = c.agreement_id AND a.provider_id = c.tenant_id
LEFT JOIN tenants owner ON owner.tenant_id = e.service_owner_id AND owner.id = e.service_owner_id
LEFT JOIN services service ON service.tenant_id = e.service_owner_id
    AND service.key = e.service_key
WHERE c.tenant_id = :tenant AND c.run_id = :run AND c.state = 'rated'
GROUP BY c.payer_id, c.line_key, a.key, e.activity, e.channel, e.after_hours, e.service_key,
    owner.slug, service.name, r.key, r.card_key, r.unit, r.language, r.amount, r.valid, r.source
ORDER BY c.payer_id, a.key, owner.slug NULLS FIRST, e.service_key NULLS FIRST, e.activity,
    e.channel, e.after_hours, c.line_key
""")

_AGREEMENTS = text("""
SELECT DISTINCT ON (a.key) a.key, a.version, a.name, a.payer_id, a.pool_key, a.terms,
    a.valid @> CAST(:first_day AS date) AS shares_pool
FROM agreements a
JOIN tenants region ON region.tenant_id = a.tenant_id AND region.kind = 'region'
WHERE a.provider_id = :tenant
    AND a.valid && daterange(CAST(:first_day AS date), CAST(:end_day AS date))
ORDER BY a.key, lower(a.valid)
""")

_PARTIES = text("""
SELECT id, slug, name, short_name, fiscal_year_starts_in,
    coalesce(settings->'contact', '{}'::jsonb) AS contact
FROM tenants WHERE id = tenant_id
""")

_STANDING = text("""
SELECT s.id, s.counterparty_id, s.run_id, e.state, e.position
FROM statements s
JOIN tenants payer ON payer.tenant_id = s.counterparty_id AND payer.id = s.counterparty_id
CROSS JOIN LATERAL (
    SELECT state, position FROM statement_events
    WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
) e
WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.period_key = :period
ORDER BY payer.slug, s.id
""")

# The salt is thrown away after this: nobody can tell a contact from its reference, and the
# issuer's own rows still name it.
_ITEMS = text("""
INSERT INTO statement_items (tenant_id, id, line_id, usage_event_id, contact_id,
    contact_reference, occurred_at, activity, channel, language, after_hours, service_key,
    quantity, price, amount)
SELECT :tenant, uuidv7(), l.id, e.id, e.contact_id,
    'C-' || substr(encode(sha256(CAST(:salt AS bytea)
        || uuid_send(coalesce(e.contact_id, e.id))), 'hex'), 1, 20),
    e.occurred_at, e.activity, e.channel, e.language, e.after_hours, e.service_key, c.quantity,
    c.price, c.amount
FROM charges c
JOIN usage_events e ON e.tenant_id = c.tenant_id AND e.id = c.usage_event_id
JOIN statements s ON s.tenant_id = c.tenant_id AND s.run_id = c.run_id
    AND s.counterparty_id = c.payer_id AND s.id = ANY(:drafts)
JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
    AND l.line_key = c.line_key
WHERE c.tenant_id = :tenant AND c.run_id = :run AND c.state = 'rated'
""")

# What both sides have of an item, in a form that no setting of a session changes; hashed in
# buckets, so that a million items need little memory.
_ITEMS_SEAL = text("""
WITH buckets AS (
    SELECT get_byte(uuid_send(i.id), 15) AS bucket, count(*) AS items,
        sha256(convert_to(string_agg(concat_ws(' ', i.id, i.line_id, i.contact_reference,
            extract(epoch FROM i.occurred_at), i.activity, i.channel, i.language, i.after_hours,
            coalesce(i.service_key, '-'), i.quantity, i.price, i.amount),
            E'\\n' ORDER BY i.id), 'UTF8')) AS hash
    FROM statement_items i
    JOIN statement_lines l ON l.tenant_id = i.tenant_id AND l.id = i.line_id
    WHERE i.tenant_id = :tenant AND l.tenant_id = :tenant AND l.statement_id = :statement
    GROUP BY bucket
)
SELECT coalesce(sum(items), 0)::bigint AS items,
    encode(sha256(coalesce(string_agg(hash, ''::bytea ORDER BY bucket), ''::bytea)), 'hex')
        AS digest
FROM buckets
""")

_SEND_ITEMS = text("""
INSERT INTO envelopes (tenant_id, id, from_tenant_id, kind, subject_id, payload, sent_at)
SELECT :payer, uuidv7(), :tenant, 'statement_items', :statement,
    jsonb_build_object('part', part, 'items', jsonb_agg(jsonb_build_object(
        'id', id, 'line_id', line_id, 'contact_reference', contact_reference,
        'occurred_at', occurred_at, 'activity', activity, 'channel', channel,
        'language', language, 'after_hours', after_hours, 'service_key', service_key,
        'quantity', quantity, 'price', price, 'amount', amount) ORDER BY id)),
    :now
FROM (
    SELECT i.*, (row_number() OVER (ORDER BY i.id) - 1) / :size AS part
    FROM statement_items i
    JOIN statement_lines l ON l.tenant_id = i.tenant_id AND l.id = i.line_id
    WHERE i.tenant_id = :tenant AND l.tenant_id = :tenant AND l.statement_id = :statement
) parts GROUP BY part
""")

_UNPACK_ITEMS = text("""
INSERT INTO statement_items (tenant_id, id, line_id, contact_reference, occurred_at, activity,
    channel, language, after_hours, service_key, quantity, price, amount)
SELECT :tenant, i.id, i.line_id, i.contact_reference, i.occurred_at, i.activity, i.channel,
    i.language, i.after_hours, i.service_key, i.quantity, i.price, i.amount
FROM envelopes e
CROSS JOIN LATERAL jsonb_to_recordset(e.payload->'items') AS i(
    id uuid, line_id uuid, contact_reference text, occurred_at timestamptz, activity text,
    channel text, language text, after_hours boolean, service_key text, quantity numeric(18, 6),
    price numeric(18, 6), amount numeric(18, 6))
WHERE e.tenant_id = :tenant AND e.from_tenant_id = :issuer AND e.kind = 'statement_items'
    AND e.subject_id = :statement
""")

# The items are the payer's own rows now; what they were packed in need not be kept twice.
_EMPTY_ENVELOPES = text("""
UPDATE envelopes SET received_at = :now,
    payload = (payload - 'items') || jsonb_build_object(
        'count', jsonb_array_length(coalesce(payload->'items', '[]'::jsonb)))
WHERE tenant_id = :tenant AND from_tenant_id = :issuer AND subject_id = :statement
    AND kind IN ('statement', 'statement_items') AND received_at IS NULL
""")


def draft_statements(session: TenantSession, run_id: UUID, *, now: datetime) -> list[UUID]:
    """Make a draft for each payer of a run and return their ids, in the order of the payers' keys.

    Open statements of earlier runs of the period (draft, in review, approved) become void. A payer
    whose statement for the period was issued already is left out. Drafting the same run again
    gives its open statements and changes nothing.

    :raises NotFound: when this partner has no such run.
    :raises RunSuperseded: when the period was rated again later.
    :raises AlreadyIssued: when every payer's statement was issued already.
    :raises PoolMissing: when an agreement shares a pool without an amount for the year.
    :raises SharesDoNotSum: when the shares of a pool do not make 100 %.
    """
    scope = scope_of(session)
    lock_series(session)
    run = session.execute(
        select(RatingRun).where(RatingRun.tenant_id == scope.tenant_id, RatingRun.id == run_id)
    ).scalar_one_or_none()
    if run is None:
        raise NotFound("There is no such rating run.")
    latest = session.execute(
        select(func.max(RatingRun.number)).where(
            RatingRun.tenant_id == scope.tenant_id, RatingRun.period_key == run.period_key
        )
    ).scalar_one()
    if run.number < latest:
        raise RunSuperseded(f"Run {run.number} of {run.period_key} was followed by run {latest}.")
    standing = _standing(session, run)
    if open_already := [each.id for each in standing if each.run_id == run.id and each.open]:
        return open_already
    period = Period.month(run.period_key)
    parties = {row.id: _Party(*row) for row in session.execute(_PARTIES)}
    me = parties[scope.tenant_id]
    agreements, sharing = _agreements(session, period)
    lines = _usage_lines(session, run_id, period.label)
    for payer_id, pool_line in _pool_lines(session, period, me, parties, sharing):
        lines[payer_id].append(pool_line)
    for each in standing:
        if each.open:
            reason = f"Superseded by rating run {run.number}"
            _step(session, each.id, each.position, State.VOID, now, reason=reason)
    billed = {each.payer_id for each in standing if each.state == State.ISSUED}
    payers = [payer_id for payer_id in lines if payer_id not in billed]
    if lines and not payers:
        raise AlreadyIssued(f"All statements for {run.period_key} have been issued already.")
    payers.sort(key=lambda payer_id: parties[payer_id].slug)
    drafts = [
        _put_draft(session, run, me, parties[payer_id], lines[payer_id], agreements, now)
        for payer_id in payers
    ]
    parameters = {
        "tenant": scope.tenant_id,
        "run": run_id,
        "drafts": drafts,
        "salt": secrets.token_bytes(32),
    }
    with joined_by_hash(session):
        session.execute(_ITEMS, parameters)
    mark_changed(session)
    return drafts


def _agreements(
    session: TenantSession, period: Period
) -> tuple[dict[str, _Agreement], list[_Agreement]]:
    """This partner's agreements as provider, and those that share a pool in the period."""
    found: dict[str, _Agreement] = {}
    sharing = []
    rows = session.execute(
        _AGREEMENTS,
        {
            "tenant": scope_of(session).tenant_id,
            "first_day": period.start_on,
            "end_day": period.end_on,
        },
    )
    for row in rows:
        agreement = _Agreement(
            row.key, row.version, row.name, row.payer_id, row.pool_key, row.terms
        )
        found[row.key] = agreement
        if row.shares_pool and row.pool_key is not None:
            sharing.append(agreement)
    return found, sharing


def _usage_lines(
    session: TenantSession, run_id: UUID, period_key: str
) -> defaultdict[UUID, list[Line]]:
    lines: defaultdict[UUID, list[Line]] = defaultdict(list)
    parameters = {"tenant": scope_of(session).tenant_id, "run": run_id}
    for row in session.execute(_GROUPS, parameters):
        hours = "after" if row.after_hours else "business"
        service = None if row.service_key is None else f"{row.owner_slug}/{row.service_key}"
        basis = {
            "activity": row.activity,
            "channel": row.channel,
            "hours": hours,
            "language": row.rate_language,
            "service": service,
            "service_name": row.service_name,
            "rate": row.rate_key,
            "card": row.card_key,
            "unit": row.unit,
            "valid_from": None if row.valid_from is None else row.valid_from.isoformat(),
            "valid_to": None if row.valid_to is None else row.valid_to.isoformat(),
            "source": row.rate_source,
        }
        lines[row.payer_id].append(
            Line(
                position=0,
                kind="usage",
                service_period=period_key,
                line_key=row.line_key,
                label=_usage_label(basis),
                agreement_key=row.agreement_key,
                basis=basis,
                quantity=row.quantity.quantize(MICRO),
                price=row.price,
                exact_amount=row.amount.quantize(MICRO),
                item_count=row.items,
            )
        )
    return lines


def _usage_label(basis: dict[str, Any]) -> str:
    words = [basis["activity"], basis["channel"]]
    if basis["hours"] == "after":
        words.append("after hours")
    if basis["language"] is not None:
        words.append(basis["language"])
    service = basis["service_name"] or basis["service"] or "no service"
    return f"{service}: {', '.join(word.replace('_', ' ') for word in words)}"


def _pool_lines(
    session: TenantSession,
    period: Period,
    me: _Party,
    parties: dict[UUID, _Party],
    sharing: Iterable[_Agreement],
) -> list[tuple[UUID, Line]]:
    lines = []
    year = fiscal_year(period.start_on, me.fiscal_year_starts_in)
    month = month_of_fiscal_year(period.start_on, me.fiscal_year_starts_in)
    names_year = year.end_on.year if me.fiscal_year_starts_in > 1 else year.start_on.year
    for agreement in sharing:
        pool = session.execute(
            select(CostPool).where(
                CostPool.tenant_id == me.id,
                CostPool.key == agreement.pool_key,
                CostPool.fiscal_year == names_year,
            )
        ).scalar_one_or_none()
        if pool is None:
            raise PoolMissing(
                f"The agreement {agreement.key} shares the pool {agreement.pool_key}, which has "
                f"no amount for the fiscal year {names_year}.",
                field=agreement.pool_key,
            )
        shares = session.execute(
            select(PoolShare.payer_slug, PoolShare.percent).where(
                PoolShare.tenant_id == me.id, PoolShare.pool_id == pool.id
            )
        )
        percents = {share.payer_slug: share.percent for share in shares}
        cents = shares_of_month(pool.yearly_cents, month, percents)
        payer = parties[agreement.payer_id]
        if not cents.get(payer.slug):
            continue
        percent = percents[payer.slug]
        basis = {
            "pool": pool.key,
            "pool_name": pool.name,
            "fiscal_year": names_year,
            "yearly_cents": pool.yearly_cents,
            "month": month + 1,
            "month_cents": month_of_year(pool.yearly_cents, month),
            "percent": f"{percent.normalize():f}",
            "shares": {
                slug: {"percent": f"{percents[slug].normalize():f}", "cents": cents[slug]}
                for slug in sorted(percents)
            },
            "source": pool.source,
        }
        line = Line(
            position=0,
            kind="pool",
            service_period=period.label,
            line_key=f"{agreement.key}|pool|{pool.key}",
            label=f"{pool.name}: {basis['percent']} % of month {month + 1} of 12",
            agreement_key=agreement.key,
            basis=basis,
            quantity=Decimal(1),
            price=None,
            exact_amount=from_cents(cents[payer.slug]),
            item_count=0,
        )
        lines.append((payer.id, line))
    return lines


@dataclass(frozen=True, slots=True)
class _Standing:
    id: UUID
    payer_id: UUID
    run_id: UUID
    state: State
    position: int

    @property
    def open(self) -> bool:
        return self.state in OPEN


def _standing(session: TenantSession, run: RatingRun) -> list[_Standing]:
    """Every statement of the run's period, in the order of the payers' keys."""
    rows = session.execute(_STANDING, {"tenant": run.tenant_id, "period": run.period_key})
    return [
        _Standing(row.id, row.counterparty_id, row.run_id, State(row.state), row.position)
        for row in rows
    ]


def _put_draft(
    session: TenantSession,
    run: RatingRun,
    me: _Party,
    payer: _Party,
    unnumbered: Sequence[Line],
    agreements: dict[str, _Agreement],
    now: datetime,
) -> UUID:
    scope = scope_of(session)
    lines = [replace(line, position=position) for position, line in enumerate(unnumbered, 1)]
    used = {line.agreement_key for line in lines}
    under = [agreement for key, agreement in sorted(agreements.items()) if key in used]
    due_days = [each.terms["due_days"] for each in under if "due_days" in each.terms]
    statement_id = new_id()
    put(
        session,
        Statement(
            tenant_id=scope.tenant_id,
            id=statement_id,
            public_id=public_id("S"),
            side="issued",
            counterparty_id=payer.id,
            period_key=run.period_key,
            run_id=run.id,
            total_cents=total_cents(lines),
            line_count=len(lines),
            item_count=sum(line.item_count for line in lines),
            digest=content_digest(run.period_key, lines),
            parties={"issuer": _snapshot(me), "payer": _snapshot(payer)},
            terms={
                "agreements": {
                    each.key: {"name": each.name, "version": each.version, "terms": each.terms}
                    for each in under
                },
                "due_days": min(due_days, default=None),
            },
            prepared_by=scope.person_id,
            created_at=now,
        ),
        *(_line_row(scope.tenant_id, statement_id, new_id(), line) for line in lines),
    )
    _step(session, statement_id, 0, State.DRAFT, now)
    return statement_id


def _fields(line: Line) -> dict[str, Any]:
    return {name: getattr(line, name) for name in Line.__dataclass_fields__ if name != "cents"}


def _snapshot(party: _Party) -> dict[str, Any]:
    return {"slug": party.slug, "name": party.name, "contact": party.contact}


def _line_row(tenant_id: UUID, statement_id: UUID, line_id: UUID, line: Line) -> StatementLine:
    return StatementLine(
        tenant_id=tenant_id,
        id=line_id,
        statement_id=statement_id,
        amount_cents=line.amount_cents,
        **_fields(line),
    )


def submit(session: TenantSession, statement_id: UUID, *, now: datetime) -> None:
    """Send a draft to review.

    :raises NotFound: when this partner issues no such statement.
    :raises MoveNotAllowed: when it is not a draft.
    """
    current = _current(session, statement_id)
    check_move(current.state, State.IN_REVIEW)
    _step(session, statement_id, current.position, State.IN_REVIEW, now)


def approve(session: TenantSession, statement_id: UUID, *, now: datetime) -> None:
    """Approve a statement in review, as a person who neither prepared nor submitted it.

    :raises MoveNotAllowed: when it is not in review.
    :raises PreparerMayNotApprove: when the acting person prepared or submitted it.
    :raises ApproverUnknown: when nobody in particular acts.
    """
    current = _current(session, statement_id)
    check_move(current.state, State.APPROVED)
    check_approver(scope_of(session).person_id, current.involved)
    _step(session, statement_id, current.position, State.APPROVED, now)


def void(session: TenantSession, statement_id: UUID, *, reason: str, now: datetime) -> None:
    """Make a statement void before it is issued; a reason is given.

    :raises MoveNotAllowed: when it was issued or is void already.
    """
    current = _current(session, statement_id)
    check_move(current.state, State.VOID)
    _step(session, statement_id, current.position, State.VOID, now, reason=reason)


def issue(session: TenantSession, statement_id: UUID, *, now: datetime) -> Issued:
    """Number an approved statement, post it in both books and deliver it, all or nothing.

    The number is the next of this issuer, without gaps. Where a partner's period is closed, its
    entry goes to the first open period after it and keeps the service period. Issuing again gives
    the same number and changes nothing.

    :raises MoveNotAllowed: when it is not approved.
    :raises DeliveryDamaged: when the payer's copy does not come out the same.
    """
    scope = scope_of(session)
    current = _current(session, statement_id)
    if current.state == State.ISSUED:
        assert current.number is not None
        return Issued(statement_id, current.number, again=True)
    check_move(current.state, State.ISSUED)
    statement = session.execute(
        select(Statement).where(
            Statement.tenant_id == scope.tenant_id, Statement.id == statement_id
        )
    ).scalar_one()
    header = _header(statement)
    payer_id = statement.counterparty_id
    periods = _book_periods(session, {scope.tenant_id, payer_id}, header["period_key"])
    number = mint_number(session, _prefix(header))
    _step(session, statement_id, current.position, State.ISSUED, now, number=number)
    lines = _send(session, header, payer_id, number, now)
    amounts = [(line["kind"], line["amount_cents"]) for line in lines]
    _post(session, header, amounts, "issued", payer_id, periods, number, now)
    with acting_for(session, payer_id):
        _receive(session, statement_id, scope.tenant_id, now)
        _post(session, header, amounts, "received", scope.tenant_id, periods, number, now)
    return Issued(statement_id, number, again=False)


def _book_periods(
    session: TenantSession, tenant_ids: set[UUID], service_period: str
) -> dict[UUID, str]:
    """Where each partner books: locked in the order of their ids, so that no two issues cross."""
    periods = {}
    for tenant_id in sorted(tenant_ids):
        with acting_for(session, tenant_id):
            open_accounts(session)
            periods[tenant_id] = first_open_period(session, service_period)
    return periods


def _header(statement: Statement) -> dict[str, Any]:
    """The statement as plain values, which stay when the tenant is switched."""
    return {
        "id": str(statement.id),
        "public_id": statement.public_id,
        "period_key": statement.period_key,
        "total_cents": statement.total_cents,
        "line_count": statement.line_count,
        "item_count": statement.item_count,
        "digest": statement.digest,
        "parties": statement.parties,
        "terms": statement.terms,
    }


def _prefix(header: dict[str, Any]) -> str:
    """The issuer's prefix as its agreements have it, otherwise made from its own name."""
    for agreement in header["terms"]["agreements"].values():
        prefix = agreement["terms"].get("number_prefix")
        if prefix:
            return str(prefix)
    return str(header["parties"]["issuer"]["slug"]).upper()


def _send(
    session: TenantSession, header: dict[str, Any], payer_id: UUID, number: str, now: datetime
) -> list[dict[str, Any]]:
    """Put the statement and its items into envelopes to the payer; return the lines."""
    tenant_id = scope_of(session).tenant_id
    statement_id = UUID(header["id"])
    rows = session.execute(
        select(StatementLine)
        .where(StatementLine.tenant_id == tenant_id, StatementLine.statement_id == statement_id)
        .order_by(StatementLine.position)
    ).scalars()
    lines = [
        {
            "id": str(row.id),
            "position": row.position,
            "kind": row.kind,
            "service_period": row.service_period,
            "line_key": row.line_key,
            "label": row.label,
            "agreement_key": row.agreement_key,
            "basis": row.basis,
            "quantity": str(row.quantity),
            "price": None if row.price is None else str(row.price),
            "exact_amount": str(row.exact_amount),
            "amount_cents": row.amount_cents,
            "item_count": row.item_count,
        }
        for row in rows
    ]
    items, items_digest = _items_seal(session, statement_id)
    put(
        session,
        Envelope(
            tenant_id=payer_id,
            id=new_id(),
            from_tenant_id=tenant_id,
            kind="statement",
            subject_id=statement_id,
            payload={
                "statement": header,
                "number": number,
                "lines": lines,
                "items": [],
                "item_count": items,
                "items_digest": items_digest,
            },
            sent_at=now,
        ),
    )
    session.execute(
        _SEND_ITEMS,
        {
            "tenant": tenant_id,
            "payer": payer_id,
            "statement": statement_id,
            "size": ITEMS_AN_ENVELOPE,
            "now": now,
        },
    )
    mark_changed(session)
    return lines


def _items_seal(session: TenantSession, statement_id: UUID) -> tuple[int, str]:
    row = session.execute(
        _ITEMS_SEAL, {"tenant": scope_of(session).tenant_id, "statement": statement_id}
    ).one()
    return row.items, row.digest


def _receive(session: TenantSession, statement_id: UUID, issuer_id: UUID, now: datetime) -> None:
    """Unpack a delivered statement as this payer's own rows and check that nothing was lost.

    :raises DeliveryDamaged: when count or digest of lines or items differ from what was sent.
    """
    scope = scope_of(session)
    payload = session.execute(
        select(Envelope.payload).where(
            Envelope.tenant_id == scope.tenant_id,
            Envelope.from_tenant_id == issuer_id,
            Envelope.kind == "statement",
            Envelope.subject_id == statement_id,
        )
    ).scalar_one()
    header, number = payload["statement"], payload["number"]
    lines = {UUID(line["id"]): _line_from(line) for line in payload["lines"]}
    put(
        session,
        Statement(
            tenant_id=scope.tenant_id,
            id=statement_id,
            public_id=header["public_id"],
            side="received",
            counterparty_id=issuer_id,
            period_key=header["period_key"],
            total_cents=header["total_cents"],
            line_count=header["line_count"],
            item_count=header["item_count"],
            digest=header["digest"],
            parties=header["parties"],
            terms=header["terms"],
            created_at=now,
        ),
        *(
            _line_row(scope.tenant_id, statement_id, line_id, line)
            for line_id, line in lines.items()
        ),
    )
    _step(session, statement_id, 0, State.RECEIVED, now, number=number, by_person=False)
    parameters = {
        "tenant": scope.tenant_id,
        "issuer": issuer_id,
        "statement": statement_id,
        "now": now,
    }
    session.execute(_UNPACK_ITEMS, parameters)
    session.execute(_EMPTY_ENVELOPES, parameters)
    mark_changed(session)
    came = (
        total_cents(lines.values()),
        len(lines),
        content_digest(header["period_key"], list(lines.values())),
        *_items_seal(session, statement_id),
    )
    sent = (
        header["total_cents"],
        header["line_count"],
        header["digest"],
        payload["item_count"],
        payload["items_digest"],
    )
    if came != sent or payload["item_count"] != header["item_count"]:
        raise DeliveryDamaged(f"The payer's copy of {number} differs from what was sent.")


def _line_from(line: dict[str, Any]) -> Line:
    return Line(
        position=line["position"],
        kind=line["kind"],
        service_period=line["service_period"],
        line_key=line["line_key"],
        label=line["label"],
        agreement_key=line["agreement_key"],
        basis=line["basis"],
        quantity=Decimal(line["quantity"]),
        price=None if line["price"] is None else Decimal(line["price"]),
        exact_amount=Decimal(line["exact_amount"]),
        item_count=line["item_count"],
        cents=line["amount_cents"],
    )


def _post(
    session: TenantSession,
    header: dict[str, Any],
    amounts: list[tuple[str, int]],
    side: str,
    counterparty_id: UUID,
    periods: dict[UUID, str],
    number: str,
    now: datetime,
) -> None:
    legs = journal_legs(amounts, side, counterparty_id)
    if not legs:
        return
    statement_id = UUID(header["id"])
    entry = NewEntry(
        period_key=periods[scope_of(session).tenant_id],
        service_period=header["period_key"],
        memo=f"Statement {number}",
        source_key=f"statement:{statement_id}:{side}",
        legs=legs,
        source_id=statement_id,
        counterparty_id=counterparty_id,
        mirror_id=statement_id,
    )
    post(session, entry, now=now)


@dataclass(frozen=True, slots=True)
class _Current:
    state: State
    position: int
    number: str | None
    involved: frozenset[UUID | None]
    """Who prepared and who submitted it."""


def _current(session: TenantSession, statement_id: UUID) -> _Current:
    """Where a statement that this partner issues stands, with the billing lock held."""
    scope = scope_of(session)
    lock_series(session)
    rows = session.execute(
        select(
            Statement.prepared_by,
            StatementEvent.state,
            StatementEvent.position,
            StatementEvent.number,
            StatementEvent.person_id,
        )
        .join(
            StatementEvent,
            (StatementEvent.tenant_id == Statement.tenant_id)
            & (StatementEvent.statement_id == Statement.id),
        )
        .where(
            Statement.tenant_id == scope.tenant_id,
            Statement.id == statement_id,
            Statement.side == "issued",
        )
        .order_by(StatementEvent.position)
    ).all()
    if not rows:
        raise NotFound("There is no such statement.")
    last = rows[-1]
    involved = {last.prepared_by}
    involved.update(row.person_id for row in rows if row.state == State.IN_REVIEW)
    return _Current(State(last.state), last.position, last.number, frozenset(involved))


def _step(
    session: TenantSession,
    statement_id: UUID,
    position: int,
    state: State,
    now: datetime,
    *,
    number: str | None = None,
    reason: str | None = None,
    by_person: bool = True,
) -> None:
    """Record a step of a statement's life after the one at `position`, and in the audit trail."""
    scope = scope_of(session)
    put(
        session,
        StatementEvent(
            tenant_id=scope.tenant_id,
            id=new_id(),
            statement_id=statement_id,
            position=position + 1,
            state=state.value,
            number=number,
            person_id=scope.person_id if by_person else None,
            reason=reason,
            at=now,
        ),
    )
    detail = {"state": state.value} | ({} if number is None else {"number": number})
    record(
        session,
        now=now,
        action=f"statement:{_VERBS[state]}",
        subject_kind="statement",
        subject_id=statement_id,
        detail=detail,
    )
