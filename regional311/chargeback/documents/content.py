"""What a statement's document says: the cover in plain words, the references, the lines.

All of it comes from rows that never change once the statement is issued: its header, its lines,
its steps, and what had been issued and budgeted up to that moment. So the same statement always
gives the same document, whoever asks and whenever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import queries
from regional311.chargeback.queries import LineRow, StatementDetail
from regional311.database.session import TenantSession, scope_of
from regional311.money import format_cents

PARTS = 8
"""How many bars the chart has before the rest is taken together."""

KINDS = {
    "bill": "Statement",
    "correction": "Correction",
    "true_up": "True-up",
    "credit_memo": "Credit memo",
    "debit_memo": "Debit memo",
}
LINE_KINDS = {
    "usage": "Work",
    "pool": "Share of a cost",
    "funding": "Funding",
    "overhead": "Overhead",
    "discount": "Discount",
    "cap": "Cap",
    "minimum": "Minimum",
    "credit": "Credit",
    "debit": "Debit",
    "interest": "Interest",
    "correction": "Correction",
    "true_up": "True-up",
    "carry_forward": "Carry-forward",
}
_DONE = {
    "contact_handled": ("contact handled", "contacts handled"),
    "request_taken_in": ("request taken in", "requests taken in"),
    "warm_transfer": ("warm transfer", "warm transfers"),
    "referral_closed": ("referral closed", "referrals closed"),
    "follow_up": ("follow-up", "follow-ups"),
    "after_hours_answer": ("call answered after hours", "calls answered after hours"),
    "interpreter_minute": ("interpreter minute", "interpreter minutes"),
    "lent_minute": ("minute of lent help", "minutes of lent help"),
}
_REFERENCES = {
    "purchase_order": "Purchase order",
    "cost_center": "Cost center",
    "fund": "Fund",
    "account": "Account",
    "project": "Project",
    "grant": "Grant",
    "attention": "Attention",
}
_BY_TERMS = {
    "funding": "Funding from others",
    "overhead": "Overhead",
    "discount": "The agreed discounts",
    "credit": "Credits",
    "cap": "The most that was agreed for a year",
    "minimum": "The least that was agreed for a period",
}
_SINGULAR = frozenset({"funding", "overhead", "cap", "minimum"})
_STATES = {
    "draft": "Draft: nothing is owed before it is issued.",
    "in_review": "In review: nothing is owed before it is issued.",
    "approved": "Approved, not issued: nothing is owed before it is issued.",
    "void": "Void: nothing is owed by this document.",
}


@dataclass(frozen=True, slots=True)
class Party:
    """A name and how to reach it, as they were when the statement was made."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was paid for: its cents, last year's, and the pieces of work in it."""

    name: str
    kind: str
    amount_cents: int
    item_count: int
    last_year_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """How much of one activity was done."""

    activity: str
    quantity: Decimal
    amount_cents: int

    @property
    def words(self) -> str:
        """``1,234 contacts handled``.

        >>> Done("follow_up", Decimal(1), 0).words
        '1 follow-up'
        """
        one, many = _DONE.get(self.activity, (plain(self.activity), plain(self.activity)))
        rounded = self.quantity.quantize(Decimal("0.1"), ROUND_HALF_UP)
        return f"{number(rounded)} {one if rounded == 1 else many}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What the payer has set aside for a fiscal year, and what of it is used with this statement.

    `used_cents` counts everything issued for the year up to and with this statement; `elapsed`
    is the part of the year that has gone by at the end of its period.
    """

    label: str
    amount_cents: int
    used_cents: int
    elapsed: Decimal


@dataclass(frozen=True, slots=True)
class Document:
    """A statement as it is printed, without its lines."""

    id: UUID
    title: str
    number: str
    public_id: str
    side: str
    kind: str
    state: str
    warning: str | None
    period_key: str
    period: str
    issuer: Party
    payer: Party
    dated: date
    made_at: datetime
    due_on: date | None
    corrects: str | None
    agreements: tuple[tuple[str, str], ...]
    references: tuple[tuple[str, str], ...]
    agreement_references: Mapping[str, tuple[tuple[str, str], ...]]
    done: tuple[Done, ...]
    parts: tuple[Part, ...]
    by_terms: tuple[tuple[str, int], ...]
    """What the terms of the agreements add or take off: kind and cents."""
    last_year: tuple[str, int] | None
    budget: Budget | None
    total_cents: int
    line_count: int
    item_count: int
    digest: str

    @property
    def sentences(self) -> tuple[str, ...]:
        """The cover in words that nobody has to look up."""
        return tuple(_sentences(self))


_SUMMARY = text("""
SELECT CASE WHEN l.kind = 'usage' THEN coalesce(l.basis->>'service_name', 'No service')
        WHEN l.kind = 'pool' THEN coalesce(l.basis->>'pool_name', l.label)
        ELSE '' END AS name, l.kind,
    sum(l.amount_cents)::bigint AS cents, sum(l.item_count)::bigint AS items
FROM statement_lines l
WHERE l.tenant_id = :tenant AND l.statement_id = ANY(:statements)
GROUP BY 1, 2
""")

_ACTIVITIES = text("""
SELECT l.basis->>'activity' AS activity, sum(l.quantity) AS quantity,
    sum(l.amount_cents)::bigint AS cents
FROM statement_lines l
WHERE l.tenant_id = :tenant AND l.statement_id = :statement AND l.kind = 'usage'
    AND l.basis->>'activity' IS NOT NULL
GROUP BY 1 ORDER BY sum(l.quantity) DESC, 1
""")

_SAME_PERIOD = text("""
SELECT s.id FROM statements s
JOIN statement_events e ON e.tenant_id = s.tenant_id AND e.statement_id = s.id
    AND e.state IN ('issued', 'received') AND e.at <= :until
WHERE s.tenant_id = :tenant AND s.side = :side AND s.counterparty_id = :counterparty
    AND s.payer_kind = :payer_kind AND s.payer_key IS NOT DISTINCT FROM :payer_key
    AND s.period_key = :period AND s.kind IN ('bill', 'correction')
ORDER BY s.id
""")


def read_document(
    session: TenantSession, wanted: UUID | str, *, budget: Budget | None = None
) -> Document | None:
    """What the document of a statement says, without its lines; None when there is none such.

    Six statements, however many lines there are.
    """
    detail = queries.statement(session, wanted)
    if detail is None:
        return None
    row = detail.row
    sent = [e.at for e in detail.events if e.state in ("issued", "received")]
    made_at = sent[0] if sent else row.created_at
    dated = made_at.astimezone(ZoneInfo(_zone(session, detail))).date()
    due_days = detail.terms.get("due_days")
    agreements = detail.terms.get("agreements", {})
    under = {
        key: tuple(_references(agreement.get("terms", {})))
        for key, agreement in sorted(agreements.items())
    }
    earlier = _before(session, detail, made_at)
    parts = _parts(session, [row.id])
    by_terms = tuple((part.kind, part.amount_cents) for part in parts if part.kind in _BY_TERMS)
    if earlier is not None:
        parts = _beside(parts, _parts(session, earlier[1]))
    return Document(
        id=row.id,
        title=f"{KINDS[row.kind]} {row.number or row.public_id}",
        number=row.number or row.public_id,
        public_id=row.public_id,
        side=row.side,
        kind=row.kind,
        state=row.state,
        warning=_STATES.get(row.state),
        period_key=row.period_key,
        period=period_words(row.period_key),
        issuer=_party(detail.parties.get("issuer", {})),
        payer=_party(detail.parties.get("payer", {})),
        dated=dated,
        made_at=made_at,
        due_on=None if due_days is None or not sent else dated + timedelta(days=int(due_days)),
        corrects=detail.corrects,
        agreements=tuple(
            (key, str(agreement.get("name", key))) for key, agreement in sorted(agreements.items())
        ),
        references=_together(each for found in under.values() for each in found),
        agreement_references=under,
        done=tuple(
            Done(*each)
            for each in session.execute(
                _ACTIVITIES, {"tenant": scope_of(session).tenant_id, "statement": row.id}
            )
        ),
        parts=_largest(parts),
        by_terms=by_terms,
        last_year=None
        if earlier is None
        else (earlier[0], sum(p.last_year_cents or 0 for p in parts)),
        budget=budget,
        total_cents=row.total_cents,
        line_count=row.line_count,
        item_count=row.item_count,
        digest=detail.digest,
    )


def read_lines(
    session: TenantSession, statement_id: UUID, *, limit: int | None = None
) -> Iterator[LineRow]:
    """The lines of a statement in order, a thousand at a time in memory."""
    after, left = 0, limit
    while left is None or left > 0:
        page = queries.lines(
            session, statement_id, after=after, limit=1000 if left is None else min(left, 1000)
        )
        if not page:
            return
        yield from page
        after = page[-1].position
        left = None if left is None else left - len(page)


def line_note(line: LineRow) -> str | None:
    """What stands below a line: what it corrects, and why it is there."""
    corrects = line.basis.get("corrects")
    said = []
    if isinstance(corrects, Mapping):
        name = corrects.get("statement")
        position = corrects.get("line")
        named = f"statement {name}" if name else "an earlier statement"
        said.append(f"Corrects {f'line {position} of ' if position else ''}{named}.")
    reason = line.basis.get("reason")
    if isinstance(reason, str) and reason:
        said.append(reason if reason.endswith(".") else f"{reason}.")
    return " ".join(said) or None


def plain(code: str) -> str:
    """A code as words: ``warm_transfer`` is *warm transfer*."""
    return code.replace("_", " ")


def number(amount: Decimal | int) -> str:
    """A count or quantity without needless noughts.

    >>> number(Decimal("1234.500000")), number(Decimal("40.000000"))
    ('1,234.5', '40')
    """
    if isinstance(amount, int):
        return f"{amount:,}"
    return f"{amount:,.6f}".rstrip("0").rstrip(".")


def exact(amount: Decimal | None) -> str:
    """An exact price: at least two places, and all the others that are not nought.

    >>> exact(Decimal("4.905000")), exact(Decimal("-3.000000"))
    ('$4.905', '-$3.00')
    """
    if amount is None:
        return ""
    whole, _, places = f"{abs(amount):,.6f}".rstrip("0").partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{places.ljust(2, '0')}"


def day(on: date) -> str:
    """A day as it is written in the United States.

    >>> day(date(2026, 11, 3))
    'November 3, 2026'
    """
    return f"{on:%B} {on.day}, {on.year}"


def period_words(key: str) -> str:
    """A period as a person says it.

    >>> period_words("2026-10"), period_words("2026-07-01..2026-09-30")
    ('October 2026', 'July 1, 2026 through September 30, 2026')
    """
    first, dots, last = key.partition("..")
    if dots:
        return f"{day(date.fromisoformat(first))} through {day(date.fromisoformat(last))}"
    return f"{Period.month(key).start_on:%B %Y}"


def year_before(key: str) -> str | None:
    """The key of the same period a year earlier; None when there is none such.

    >>> year_before("2026-10"), year_before("2026-07-01..2026-09-30")
    ('2025-10', '2025-07-01..2025-09-30')
    """
    first, dots, last = key.partition("..")
    if not dots:
        return f"{int(key[:4]) - 1}{key[4:]}"
    begins = date.fromisoformat(first)
    after = date.fromisoformat(last) + timedelta(days=1)
    if begins.day != 1 or after.day != 1:
        return None
    earlier = Period(begins.replace(year=begins.year - 1), after.replace(year=after.year - 1))
    return earlier.label


def percent(part: int, whole: int) -> str:
    """A part of a whole, to the tenth of a percent, half away from zero.

    >>> percent(1, 8), percent(1, 3)
    ('12.5 %', '33.3 %')
    """
    share = (Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return f"{number(share)} %"


def _zone(session: TenantSession, detail: StatementDetail) -> str:
    zone = detail.parties.get("issuer", {}).get("zone")
    if zone:
        return str(zone)
    issuer_id = (
        scope_of(session).tenant_id if detail.row.side == "issued" else detail.row.counterparty_id
    )
    found: str = session.execute(
        text("SELECT zone FROM tenants WHERE tenant_id = :issuer AND id = :issuer"),
        {"issuer": issuer_id},
    ).scalar_one()
    return found


def _party(party: Mapping[str, Any]) -> Party:
    contact = party.get("contact") or {}
    lines = [contact.get(name) for name in ("address", "phone", "email")]
    return Party(
        str(party.get("name", "")),
        tuple(part for each in lines if each for part in str(each).split("\n")),
    )


def _references(terms: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The payer's own names for what it pays, as the agreement has them; then the agreement's."""
    given = terms.get("payer_reference")
    if isinstance(given, Mapping):
        for key in (*_REFERENCES, *sorted(given.keys() - _REFERENCES.keys())):
            if given.get(key):
                yield _REFERENCES.get(key, plain(str(key)).capitalize()), str(given[key])
    if terms.get("reference"):
        yield "Agreement", str(terms["reference"])


def _together(references: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Each name once, with all its values."""
    found: dict[str, dict[str, None]] = {}
    for name, value in references:
        found.setdefault(name, {})[value] = None
    order = [*_REFERENCES.values()]
    names = sorted(found, key=lambda name: order.index(name) if name in order else len(order))
    return tuple((name, ", ".join(found[name])) for name in names)


def _before(
    session: TenantSession, detail: StatementDetail, until: datetime
) -> tuple[str, list[UUID]] | None:
    """The same period a year earlier, and its statements issued by the time of this one."""
    earlier = year_before(detail.row.period_key)
    if earlier is None:
        return None
    found = session.execute(
        _SAME_PERIOD,
        {
            "tenant": scope_of(session).tenant_id,
            "side": detail.row.side,
            "counterparty": detail.row.counterparty_id,
            "payer_kind": detail.row.payer_kind,
            "payer_key": detail.row.payer_key,
            "period": earlier,
            "until": until,
        },
    )
    ids = [row.id for row in found]
    return (period_words(earlier), ids) if ids else None


def _parts(session: TenantSession, statements: Sequence[UUID]) -> list[Part]:
    rows = session.execute(
        _SUMMARY, {"tenant": scope_of(session).tenant_id, "statements": list(statements)}
    )
    return sorted(
        (
            Part(
                row.name or LINE_KINDS.get(row.kind, plain(row.kind)),
                row.kind,
                row.cents,
                row.items,
            )
            for row in rows
        ),
        key=lambda part: (-abs(part.amount_cents), part.kind, part.name),
    )


def _beside(now: Sequence[Part], before: Sequence[Part]) -> list[Part]:
    known = {(part.kind, part.name): part.amount_cents for part in before}
    both = [
        Part(p.name, p.kind, p.amount_cents, p.item_count, known.pop((p.kind, p.name), 0))
        for p in now
    ]
    return both + [Part(name, kind, 0, 0, cents) for (kind, name), cents in known.items()]


def _largest(parts: Sequence[Part]) -> tuple[Part, ...]:
    if len(parts) <= PARTS:
        return tuple(parts)
    rest = parts[PARTS - 1 :]
    known = [part.last_year_cents for part in rest if part.last_year_cents is not None]
    return (
        *parts[: PARTS - 1],
        Part(
            f"{len(rest)} others",
            "rest",
            sum(part.amount_cents for part in rest),
            sum(part.item_count for part in rest),
            sum(known) if known else None,
        ),
    )


def _sentences(document: Document) -> Iterator[str]:
    issuer, payer = document.issuer.name, document.payer.name
    total = format_cents(abs(document.total_cents))
    if document.kind == "credit_memo" or document.total_cents < 0:
        yield f"{issuer} credits {payer} with {total} for {document.period}."
    else:
        yield f"{payer} pays {issuer} {total} for {document.period}."
    if document.corrects:
        yield f"It is about statement {document.corrects}, which stays as it is."
    done = [each.words for each in document.done if each.quantity > 0]
    shares = sum(part.kind == "pool" for part in document.parts)
    if done:
        listed = done[0] if len(done) == 1 else f"{', '.join(done[:-1])} and {done[-1]}"
        yield f"For that, {issuer} did this work: {listed}."
    if shares:
        yield (
            "It also holds a share of a cost that the partners bear together."
            if done
            else "It is a share of a cost that the partners bear together."
        )
    for kind, cents in document.by_terms:
        if cents:
            takes = "takes" if kind in _SINGULAR else "take"
            adds = "adds" if kind in _SINGULAR else "add"
            amount = format_cents(abs(cents))
            said = f"{adds} {amount}" if cents > 0 else f"{takes} {amount} off"
            yield f"{_BY_TERMS[kind]} {said}."
    if document.last_year is not None:
        yield _against_last_year(document.total_cents, *document.last_year)
    if document.budget is not None:
        yield from _against_budget(document.budget)


def _against_last_year(total: int, period: str, before: int) -> str:
    change = total - before
    if change == 0:
        return f"That is as much as for {period}."
    more = "more" if change > 0 else "less"
    share = f" ({percent(abs(change), abs(before))})" if before else ""
    return f"That is {format_cents(abs(change))}{share} {more} than for {period}."


def _against_budget(budget: Budget) -> Iterator[str]:
    used = percent(budget.used_cents, budget.amount_cents) if budget.amount_cents else "all"
    yield (
        f"Of the budget of {format_cents(budget.amount_cents)} for {budget.label},"
        f" {format_cents(budget.used_cents)} ({used}) is used with this statement, when"
        f" {number(budget.elapsed)} % of the year has gone by."
    )
    if budget.used_cents > budget.amount_cents:
        over = format_cents(budget.used_cents - budget.amount_cents)
        yield f"The budget is exceeded by {over}."
