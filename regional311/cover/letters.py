"""What an emergency adds to the letters that leave while it is on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from regional311.cover.emergency import REGION, InForce, told
from regional311.cover.models import Emergency
from regional311.cover.queries import in_force
from regional311.database.session import scope_of
from regional311.notices.delivery import Letter
from regional311.notices.segments import plain
from regional311.notices.service import TO_PEOPLE
from regional311.notices.texts import below
from regional311.tenancy.models import Tenant


def with_emergencies(session: Session, letters: Sequence[Letter], now: datetime) -> list[Letter]:
    """Give letters of the bound partner with what emergencies say, in each letter's language.

    Only letters to people who ask for help have it, and only what is on when they leave: the
    outbox keeps what was written. A text has their titles only. A drill adds nothing. One
    statement, or none.
    """
    if not any(each.event in TO_PEOPLE for each in letters):
        return list(letters)
    rows = session.execute(
        select(Emergency.__table__)
        .join(Tenant, Tenant.id == Emergency.tenant_id)
        .where(
            (Tenant.id == scope_of(session).tenant_id) | (Tenant.slug == REGION),
            Emergency.ended_at.is_(None),
            Emergency.started_at <= now,
            Emergency.ends_at > now,
            Emergency.drill.is_(False),
        )
        .order_by(Emergency.started_at, Emergency.id)
    ).all()
    on = [in_force(row, REGION) for row in rows]  # all of them concern this partner
    if not on:
        return list(letters)
    return [_with(each, on, now) if each.event in TO_PEOPLE else each for each in letters]


def _with(letter: Letter, on: Sequence[InForce], now: datetime) -> Letter:
    words = told(on, now, tenant=REGION, language=letter.language)
    if letter.channel == "text":
        return replace(
            letter, body=below(letter.body, plain("\n".join(title for title, _ in words)))
        )
    said = "\n\n".join(f"{title}\n{text}".rstrip() for title, text in words)
    return replace(letter, body=f"{letter.body.rstrip()}\n\n{said}\n")
