"""What may be asked: for how long what is kept, what was erased, and what is due next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select

from regional311.database.session import TenantSession, scope_of
from regional311.erasure import due
from regional311.erasure.kinds import KINDS
from regional311.erasure.models import Erasure
from regional311.erasure.person import PERSON
from regional311.intake.lifecycle import REOPEN_DAYS
from regional311.tenancy.queries import policies, slug_of
from regional311.tenancy.retention import KEPT_DAYS, keep_days

SOON_DAYS: Final = 30
COUNTED: Final = 1000
"""Records due that are counted; there may be more."""

_DUE: Final[Mapping[str, Callable[[UUID, datetime], Select[Any]]]] = {
    "contact": due.contacts,
    "request": due.requests,
    "referral": due.all_referrals,
    "message": due.messages,
}


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind of record: days for which it is kept, how many were erased, how many are due.

    `days` is empty where another setting says it. `due` are those whose time will be up within
    `SOON_DAYS` if nothing is begun anew, `COUNTED` at most; empty where nobody counts ahead.
    """

    kind: str
    days: int | None
    erased: int
    last_at: datetime | None
    due: int | None


@dataclass(frozen=True, slots=True)
class PersonErased:
    """That somebody erased a person: when, who, why, how many records."""

    at: datetime
    by_id: UUID | None
    reason: str
    count: int


def kept(session: TenantSession, now: datetime, today: date) -> list[Kept]:
    """Give every kind with its period at the bound partner; nine statements at most."""
    me, slug, rows = scope_of(session).tenant_id, slug_of(session), policies(session)
    done = {
        row.kind: row
        for row in session.execute(
            select(
                Erasure.kind,
                func.sum(Erasure.count).label("erased"),
                func.max(Erasure.at).label("at"),
            )
            .where(Erasure.tenant_id == me)
            .group_by(Erasure.kind)
        )
    }
    at = now + timedelta(days=SOON_DAYS)
    due_then: dict[str, Callable[[UUID, datetime], Select[Any]]] = {
        **_DUE,
        "inquirer": partial(due.inquirers, now=at),
    }
    found = []
    for each in KINDS:
        usual = KEPT_DAYS.get(each.key)
        days = REOPEN_DAYS if each.key == "me_too" else None
        ahead = None
        if usual is not None:
            days = keep_days(rows, each.key, slug, today, otherwise=usual)
            if each.key in due_then:
                query = due_then[each.key](me, at - timedelta(days=days))
                counted = query.order_by(None).limit(COUNTED).subquery()
                ahead = session.scalar(select(func.count()).select_from(counted))
        known = done.get(each.key)
        found.append(
            Kept(
                each.key,
                days,
                int(known.erased) if known else 0,
                known.at if known else None,
                ahead,
            )
        )
    return found


def people_erased(session: TenantSession, *, most: int = 50) -> list[PersonErased]:
    """Give the last people who were erased because somebody said so. One statement."""
    rows = session.execute(
        select(Erasure.at, Erasure.by_id, Erasure.reason, Erasure.count.label("count_"))
        .where(Erasure.tenant_id == scope_of(session).tenant_id, Erasure.kind == PERSON)
        .order_by(Erasure.at.desc(), Erasure.id.desc())
        .limit(most)
    )
    return [PersonErased(row.at, row.by_id, row.reason or "", row.count_) for row in rows]
