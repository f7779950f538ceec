"""The figures of one partner and the rows behind each of them, in a fixed number of statements.

A figure and its rows come from the same base and the same condition, so that a number always opens
to that many rows. Periods are half-open; what is compared is the same span directly before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    exists,
    func,
    lateral,
    literal,
    not_,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import aliased

from regional311.database.session import TenantSession, scope_of
from regional311.insight.figures import (
    FIGURES,
    NOT_COUNTED,
    PING_PONG,
    SETTLED_HERE,
    TAKEN_ELSEWHERE,
    Figure,
)
from regional311.intake.models import Contact, Need
from regional311.referral.models import Decision, Referral

PAGE: Final = 50
UNKNOWN: Final = "unknown"
"""What a need is listed under whose place is not known."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is looked at: a period, the start of the one before, and filters.

    ``without`` are services, as (owner, key), of which who asks may know nothing: needs of them,
    and what was sent to them, are not counted. What came in for them is its receivers' work.
    """

    before: datetime
    first: datetime
    until: datetime
    side: str | None = None
    partner_id: UUID | None = None
    service_key: str | None = None
    without: frozenset[tuple[UUID, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Loop:
    """Referrals counted, and how long they took, in seconds; None where there is nothing."""

    sent: int = 0
    waiting: int = 0
    open: int = 0
    accepted: int = 0
    rejected: int = 0
    completed: int = 0
    closed: int = 0
    never_known: int = 0
    ping_pong: int = 0
    accept_median: float | None = None
    accept_90: float | None = None
    outcome_median: float | None = None
    outcome_90: float | None = None

    @property
    def closure(self) -> float | None:
        """Part of the referrals whose loop is closed."""
        return self.closed / self.sent if self.sent else None


@dataclass(frozen=True, slots=True)
class Part:
    """One value of what figures are divided by: how often now and in the period before."""

    key: str
    now: int
    before: int


@dataclass(frozen=True, slots=True)
class Between:
    """What went one way between this partner and another, in all or of one service."""

    side: str
    partner_id: UUID
    service_key: str | None
    now: Loop
    before: Loop


@dataclass(frozen=True, slots=True)
class Whose:
    """Needs, and contacts, about one partner's services."""

    partner_id: UUID
    needs: Part
    unmet: Part
    avoided: Part
    transferred: Part


@dataclass(frozen=True, slots=True)
class Overview:
    """All figures of a period; each mapping is keyed by what it is divided by."""

    now: Loop
    before: Loop
    partners: list[Between]
    services: list[Between]
    reasons: list[Part]
    outcomes: list[Part]
    reasons_between: Mapping[tuple[str, UUID, str | None], list[Part]]
    """Reasons of each pair of partners, in all and by service, as `Between` names them."""
    needs: Part
    unmet: Part
    unmet_by: Mapping[str, list[Part]]
    avoided: Part
    transferred: Part
    whose: list[Whose]


@dataclass(frozen=True, slots=True)
class Row:
    """One referral, need or contact behind a figure; ``number`` is the page to open."""

    id: UUID
    number: str
    at: datetime
    side: str | None = None
    partner_id: UUID | None = None
    service_key: str | None = None
    term: str | None = None
    state: str | None = None
    reason: str | None = None
    outcome: str | None = None
    answered_at: datetime | None = None
    closed_at: datetime | None = None
    language: str | None = None
    area: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of rows; ``after`` is the cursor of the next one."""

    rows: list[Row] = field(default_factory=list)
    after: str | None = None


# --- bases ----------------------------------------------------------------------------------------


def paths(tenant_id: UUID, since: datetime, until: datetime) -> Subquery:
    """Give referrals with the one before each: in its chain, and of the same person and need."""
    earlier = aliased(Referral)
    itself = func.cast(Referral.id, Referral.public_id.type)
    numbers = func.coalesce(_number(Referral.shared["phone"].astext), itself)
    addresses = func.coalesce(func.nullif(func.lower(Referral.shared["email"].astext), ""), itself)

    def named(column: Any) -> Any:
        # few name another, and only for these it is looked up, whatever the database expects
        chain = func.coalesce(Referral.part_of_id, Referral.replaces_id)
        one = select(column).where(earlier.tenant_id == tenant_id, earlier.id == chain)
        return case((chain.is_not(None), one.scalar_subquery()), else_=None)

    def last(column: Any, person: Any) -> Any:
        return func.lag(column).over(
            partition_by=(person, Referral.term), order_by=(Referral.sent_at, Referral.id)
        )

    found = (
        select(
            *(
                getattr(Referral, name)
                for name in (
                    *("id", "public_id", "side", "counterparty_id", "service_key", "term", "state"),
                    *("reason", "outcome", "sent_at", "answered_at", "closed_at"),
                )
            ),
            named(earlier.side).label("chain_side"),
            named(earlier.counterparty_id).label("chain_with"),
            *(
                last(getattr(Referral, column), person).label(f"{by}_{name}")
                for by, person in (("number", numbers), ("address", addresses))
                for name, column in _LAST.items()
            ),
        )
        .where(
            Referral.tenant_id == tenant_id,
            Referral.sent_at >= since - PING_PONG,
            Referral.sent_at < until,
            Referral.state.not_in(NOT_COUNTED),
            Referral.reason.is_distinct_from(TAKEN_ELSEWHERE),
        )
        .subquery("looked_at")
    )
    of = found.c
    by_address = of.number_at.is_(None) | (of.address_at > of.number_at)
    return (
        select(
            *(each for each in of if not each.name.startswith(("number_", "address_"))),
            *(
                case((by_address, of[f"address_{name}"]), else_=of[f"number_{name}"]).label(
                    f"last_{name}"
                )
                for name in _LAST
            ),
        )
        .where(of.sent_at >= since)
        .subquery("paths")
    )


def _number(said: Any) -> Any:
    """The last ten digits before an extension, as :class:`Inquirer` knows a person by them."""
    extension = literal(r"([0-9])[^0-9[:alpha:];,#]*[[:alpha:];,#].*$")
    plain = func.regexp_replace(said, extension, literal(r"\1"))
    return func.nullif(func.right(func.regexp_replace(plain, literal("[^0-9]"), "", "g"), 10), "")


_LAST: Final = {"side": "side", "with": "counterparty_id", "at": "sent_at"}
"""What is looked up of the referral before, of the same number or address and the same need."""


def asked(tenant_id: UUID, since: datetime, until: datetime) -> Subquery:
    """Give needs with the contact's language and the area of their place."""
    decided = lateral(
        select(Decision.facts["boundaries"][0].astext.label("area"))
        .where(Decision.tenant_id == tenant_id, Decision.need_id == Need.id)
        .order_by(Decision.decided_at.desc(), Decision.id.desc())
        .limit(1),
        name="decided",
    )
    return (
        select(
            Need.id,
            Contact.public_id,
            Contact.started_at,
            Contact.language,
            Need.service_owner_id,
            Need.service_key,
            Need.term,
            Need.status,
            case(
                (Need.status == "unmet", func.coalesce(Need.unmet_reason, "other")), else_=None
            ).label("unmet_reason"),
            func.coalesce(decided.c.area, UNKNOWN).label("area"),
        )
        .join(Contact, and_(Contact.tenant_id == tenant_id, Contact.id == Need.contact_id))
        .outerjoin(decided, true())
        .where(
            Need.tenant_id == tenant_id,
            Contact.started_at >= since,
            Contact.started_at < until,
        )
        .subquery("asked")
    )


def taken(tenant_id: UUID, chosen: Chosen) -> Subquery:
    """Give contacts that were about another partner's service, or passed on to one."""
    about = exists().where(
        Need.tenant_id == tenant_id, Need.contact_id == Contact.id, *_of_need(Need, chosen)
    )
    others = exists().where(
        Need.tenant_id == tenant_id,
        Need.contact_id == Contact.id,
        Need.service_owner_id != tenant_id,
        *_of_need(Need, chosen),
    )
    return (
        select(
            Contact.id,
            Contact.public_id,
            Contact.started_at,
            Contact.language,
            Contact.disposition,
        )
        .where(
            Contact.tenant_id == tenant_id,
            Contact.started_at >= chosen.before,
            Contact.started_at < chosen.until,
            or_(
                and_(Contact.disposition.in_(SETTLED_HERE), others),
                and_(Contact.disposition == "transferred", about),
            ),
        )
        .subquery("taken")
    )


def _of_referral(of: Any, chosen: Chosen) -> list[ColumnElement[bool]]:
    secret = and_(of.side == "sent", _among(chosen.without, of.counterparty_id, of.service_key))
    return [
        *(
            column == value
            for column, value in (
                (of.side, chosen.side),
                (of.counterparty_id, chosen.partner_id),
                (of.service_key, chosen.service_key),
            )
            if value is not None
        ),
        *([not_(secret)] if chosen.without else ()),
    ]


def _of_need(of: Any, chosen: Chosen) -> list[ColumnElement[bool]]:
    secret = _among(chosen.without, of.service_owner_id, of.service_key)
    return [
        *(
            column == value
            for column, value in (
                (of.service_owner_id, chosen.partner_id),
                (of.service_key, chosen.service_key),
            )
            if value is not None
        ),
        *([not_(secret)] if chosen.without else ()),
    ]


def _among(services: frozenset[tuple[UUID, str]], owner: Any, key: Any) -> ColumnElement[bool]:
    return tuple_(owner, key).in_(sorted(services))


# --- figures --------------------------------------------------------------------------------------


def overview(session: TenantSession, chosen: Chosen) -> Overview:
    """Give every figure of the bound tenant for a period and the one before: four statements."""
    totals, partners, services = _loops(session, chosen)
    reasons, outcomes, between = _ends(session, chosen)
    needs, unmet_by = _needs(session, chosen)
    contacts = _contacts(session, chosen)
    total = _whose(ALL, needs, contacts)
    return Overview(
        now=totals.get(True, Loop()),
        before=totals.get(False, Loop()),
        partners=partners,
        services=services,
        reasons=reasons,
        outcomes=outcomes,
        reasons_between=between,
        needs=total.needs,
        unmet=total.unmet,
        unmet_by=unmet_by,
        avoided=total.avoided,
        transferred=total.transferred,
        whose=sorted(
            (
                _whose(owner, needs, contacts)
                for owner in {owner for owner, _is_now in (*needs, *contacts) if owner != ALL}
            ),
            key=lambda each: (-each.needs.now, -each.needs.before, str(each.partner_id)),
        ),
    )


_COUNTED: Final = tuple(each.name.replace("_", "-") for each in fields(Loop) if each.type == "int")


def _loops(
    session: TenantSession, chosen: Chosen
) -> tuple[dict[bool, Loop], list[Between], list[Between]]:
    of = paths(scope_of(session).tenant_id, chosen.before, chosen.until).c
    now = (of.sent_at >= chosen.first).label("now")
    to_accept = func.extract("epoch", of.answered_at - of.sent_at)
    to_outcome = func.extract("epoch", of.closed_at - of.sent_at)
    spans = [
        func.percentile_cont(part).within_group(took).filter(which)
        for took, which in (
            (to_accept, FIGURES["accepted"].counts(of)),
            (to_outcome, FIGURES["completed"].counts(of)),
        )
        for part in (0.5, 0.9)
    ]
    found = session.execute(
        select(
            now,
            of.side,
            of.counterparty_id,
            of.service_key,
            *(func.count().filter(FIGURES[name].counts(of)) for name in _COUNTED),
            *spans,
        )
        .where(*_of_referral(of, chosen))
        .group_by(
            func.grouping_sets(
                tuple_(now),
                tuple_(now, of.side, of.counterparty_id),
                tuple_(now, of.side, of.counterparty_id, of.service_key),
            )
        )
    )
    totals: dict[bool, Loop] = {}
    each_way: dict[tuple[str, UUID, str | None], dict[bool, Loop]] = {}
    for is_now, side, partner_id, service_key, *counted in found:
        loop = Loop(
            *counted[: len(_COUNTED)],
            *(None if each is None else float(each) for each in counted[len(_COUNTED) :]),
        )
        if side is None:
            totals[is_now] = loop
        else:
            each_way.setdefault((side, partner_id, service_key), {})[is_now] = loop
    rows = [
        Between(side, partner_id, service_key, loops.get(True, Loop()), loops.get(False, Loop()))
        for (side, partner_id, service_key), loops in each_way.items()
    ]
    rows.sort(key=lambda row: (-row.now.sent, -row.before.sent, str(row.partner_id), row.side))
    return (
        totals,
        [row for row in rows if row.service_key is None],
        [row for row in rows if row.service_key is not None],
    )


def _ends(
    session: TenantSession, chosen: Chosen
) -> tuple[list[Part], list[Part], dict[tuple[str, UUID, str | None], list[Part]]]:
    of = paths(scope_of(session).tenant_id, chosen.before, chosen.until).c
    now = (of.sent_at >= chosen.first).label("now")
    by = (of.state, of.reason, of.outcome, of.side, of.counterparty_id, of.service_key)
    found = session.execute(
        select(now, *by, func.count())
        .where(of.state.in_(("rejected", "completed")), *_of_referral(of, chosen))
        .group_by(now, *by)
    ).all()
    between: dict[tuple[str, UUID, str | None], list[tuple[bool, str, int]]] = {}
    for is_now, state, reason, _outcome, side, partner_id, service_key, count in found:
        if state == "rejected":
            for service in (None, service_key):
                pair = between.setdefault((side, partner_id, service), [])
                pair.append((is_now, reason, count))
    return (
        _parts((row[0], row[2], row[-1]) for row in found if row.state == "rejected"),
        _parts((row[0], row[3], row[-1]) for row in found if row.state == "completed"),
        {pair: _parts(counts) for pair, counts in between.items()},
    )


ALL: Final = UUID(int=0)
"""Stands for all owners together in a count."""

_Counts = dict[tuple[UUID, bool], tuple[int, int]]
"""Two counts by whose service it is about and whether it is of now."""


def _whose(of: UUID, needs: _Counts, contacts: _Counts) -> Whose:
    (asked_now, unmet_now), (asked_then, unmet_then) = (
        needs.get((of, is_now), (0, 0)) for is_now in (True, False)
    )
    (here_now, on_now), (here_then, on_then) = (
        contacts.get((of, is_now), (0, 0)) for is_now in (True, False)
    )
    return Whose(
        of,
        Part("needs", asked_now, asked_then),
        Part("unmet", unmet_now, unmet_then),
        Part("avoided", here_now, here_then),
        Part("transferred", on_now, on_then),
    )


def _needs(session: TenantSession, chosen: Chosen) -> tuple[_Counts, dict[str, list[Part]]]:
    of = asked(scope_of(session).tenant_id, chosen.before, chosen.until).c
    now = (of.started_at >= chosen.first).label("now")
    by = FIGURES["unmet"].by
    columns = [*(getattr(of, name) for name in by), of.service_owner_id]
    unmet = func.count().filter(FIGURES["unmet"].counts(of))
    found = session.execute(
        select(now, func.grouping(*columns), *columns, func.count(), unmet)
        .where(*_of_need(of, chosen))
        .group_by(func.grouping_sets(tuple_(now), *(tuple_(now, each) for each in columns)))
    ).all()
    everything = (1 << len(columns)) - 1
    alone = {everything ^ (1 << (len(columns) - 1 - at)): at for at in range(len(columns))}
    parts: dict[str, list[tuple[bool, Any, int]]] = {name: [] for name in by}
    counts: _Counts = {}
    for is_now, kind, *values, count, count_unmet in found:
        at = alone.get(kind)
        if at is None:
            counts[ALL, is_now] = count, count_unmet
        elif at == len(by):
            counts[values[at], is_now] = count, count_unmet
        elif count_unmet:
            parts[by[at]].append((is_now, values[at], count_unmet))
    return counts, {name: _parts(each) for name, each in parts.items()}


def _contacts(session: TenantSession, chosen: Chosen) -> _Counts:
    """Count contacts by whose services they were about: one about two partners' counts for each."""
    tenant_id = scope_of(session).tenant_id
    of = taken(tenant_id, chosen).c
    now = (of.started_at >= chosen.first).label("now")
    owner = Need.service_owner_id
    found = session.execute(
        select(
            now,
            func.grouping(owner),
            owner,
            func.count(of.id.distinct()).filter(FIGURES["avoided"].counts(of), owner != tenant_id),
            func.count(of.id.distinct()).filter(FIGURES["transferred"].counts(of)),
        )
        .join(Need, and_(Need.tenant_id == tenant_id, Need.contact_id == of.id))
        .where(*_of_need(Need, chosen))
        .group_by(func.grouping_sets(tuple_(now), tuple_(now, owner)))
    )
    return {
        (ALL if whole else owner_id, is_now): (avoided, transferred)
        for is_now, whole, owner_id, avoided, transferred in found
    }


def _parts(found: Any) -> list[Part]:
    """Sum rows of (now or before, key, count) by key, the most frequent first."""
    sums: dict[str, list[int]] = {}
    for is_now, key, count in found:
        sums.setdefault(key or UNKNOWN, [0, 0])[not is_now] += count
    return sorted(
        (Part(key, *counts) for key, counts in sums.items()),
        key=lambda part: (-part.now, -part.before, part.key),
    )


# --- rows -----------------------------------------------------------------------------------------


def _base(
    figure: Figure, tenant_id: UUID, chosen: Chosen
) -> tuple[Any, Any, tuple[str, ...], list[Any]]:
    """Give the columns that a figure's rows come from, when each was, what is shown, filters."""
    names: tuple[str, ...]
    match figure.of:
        case "referral":
            of = paths(tenant_id, chosen.first, chosen.until).c
            names = (
                *("side", "counterparty_id", "service_key", "term", "state", "reason", "outcome"),
                *("answered_at", "closed_at"),
            )
            return of, of.sent_at, names, _of_referral(of, chosen)
        case "need":
            of = asked(tenant_id, chosen.first, chosen.until).c
            names = (
                *("service_owner_id", "service_key", "term", "status", "unmet_reason"),
                *("language", "area"),
            )
            return of, of.started_at, names, _of_need(of, chosen)
        case _:
            of = taken(tenant_id, chosen).c
            names = ("disposition", "language")
            return of, of.started_at, names, [of.started_at >= chosen.first]


def divided(session: TenantSession, name: str, chosen: Chosen) -> dict[str, list[tuple[str, int]]]:
    """Count a figure by everything that its rows may be narrowed by, the most frequent first.

    One statement; none where a figure is not divided. Raises :class:`KeyError` as `rows_of` does.
    """
    figure = FIGURES[name]
    if not figure.by:
        return {}
    of, _at, _names, filters = _base(figure, scope_of(session).tenant_id, chosen)
    columns = [func.coalesce(of[each], UNKNOWN).label(each) for each in figure.by]
    inner = select(*columns).where(figure.counts(of), *filters).subquery("divided").c
    keys = [inner[each] for each in figure.by]
    counts: dict[str, list[tuple[str, int]]] = {each: [] for each in figure.by}
    for row in session.execute(
        select(*keys, func.count()).group_by(func.grouping_sets(*(tuple_(each) for each in keys)))
    ):
        at, key = next((at, each) for at, each in enumerate(row[:-1]) if each is not None)
        counts[figure.by[at]].append((key, row[-1]))
    return {by: sorted(found, key=lambda each: (-each[1], each[0])) for by, found in counts.items()}


def rows_of(
    session: TenantSession,
    name: str,
    chosen: Chosen,
    *,
    narrowed: Mapping[str, str] | None = None,
    after: UUID | None = None,
    limit: int = PAGE,
) -> Rows:
    """Give a page of the rows that a figure counts, the latest first: one statement.

    ``narrowed`` gives values of the figure's ``by``. Raises :class:`KeyError` for a figure that
    does not exist.
    """
    figure = FIGURES[name]
    of, at, names, filters = _base(figure, scope_of(session).tenant_id, chosen)
    query: Select[Any] = select(of.id, of.public_id, at, *(of[each] for each in names)).where(
        figure.counts(of), *filters
    )
    for column, value in (narrowed or {}).items():
        query = query.where(func.coalesce(of[column], UNKNOWN) == value)
    if after is not None:
        query = query.where(of.id < after)
    found = session.execute(query.order_by(of.id.desc()).limit(limit + 1)).all()
    rows = [
        Row(row[0], row[1], row[2], **dict(zip(map(_field, names), row[3:], strict=True)))
        for row in found[:limit]
    ]
    return Rows(rows, str(rows[-1].id) if len(found) > limit else None)


_FIELDS: Final = {
    "counterparty_id": "partner_id",
    "service_owner_id": "partner_id",
    "status": "state",
    "disposition": "state",
    "unmet_reason": "reason",
}


def _field(column: str) -> str:
    return _FIELDS.get(column, column)
