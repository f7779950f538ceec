"""Change when a line is answered, and by whom when it is closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.calendars import BadHours, BusinessCalendar
from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput, NotFound, Stale
from regional311.strict import Week, canonical, digest
from regional311.tenancy.answering import Fallback, SpecialDay, fallback_faults
from regional311.tenancy.models import Line
from regional311.tenancy.revision import raise_revision


@dataclass(frozen=True, slots=True)
class LineHours:
    """When a line is answered, and by whom when it is closed."""

    week: Week
    fallbacks: tuple[Fallback, ...] = ()
    special_days: tuple[SpecialDay, ...] = ()
    closed_answer: str | None = None

    def plain(self) -> dict[str, Any]:
        """The columns that hold it."""
        return {
            "hours": {
                day: [span.split("-") for span in spans]
                for day, spans in canonical(self.week).items()
            },
            "fallbacks": [canonical(each) for each in self.fallbacks],
            "special_days": [canonical(each) for each in self.special_days],
            "closed_answer": self.closed_answer,
        }


def seen_digest(row: Any) -> str:
    """A digest of what a form shows of a line, by which it notices that somebody changed it."""
    return digest({name: getattr(row, name) for name in _COLUMNS})


_COLUMNS = ("hours", "fallbacks", "special_days", "closed_answer")


def change_line(
    session: TenantSession,
    key: str,
    wanted: LineHours,
    *,
    seen: str,
    partners: Sequence[str],
    lines: Mapping[str, Any],
    own: str,
    now: datetime,
) -> bool:
    """Change a line of the bound partner; tell whether anything changed.

    ``own`` is the partner's slug; ``partners`` and ``lines`` (``partner/line``) are who there is.

    :raises InvalidInput: naming the field: hours, fallback, special_day, closed_answer.
    :raises Stale: when somebody changed it since ``seen`` was shown.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(Line.id, Line.hours, Line.fallbacks, Line.special_days, Line.closed_answer)
        .where(Line.tenant_id == tenant_id, Line.key == key, Line.ended_on.is_(None))
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("This partner has no such line.")
    before = {name: getattr(row, name) for name in _COLUMNS}
    after = wanted.plain()
    if seen_digest(row) != seen:
        raise Stale("Somebody else has changed this line.", current=before, submitted=after)
    _check(wanted, own=own, key=key, partners=partners, lines=lines)
    changed = [name for name in _COLUMNS if before[name] != after[name]]
    if not changed:
        return False
    send(session)
    session.execute(
        update(Line)
        .where(Line.tenant_id == tenant_id, Line.id == row.id)
        .values({name: after[name] for name in changed}),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)
    raise_revision(session)
    record(
        session,
        now=now,
        action="line:edit",
        subject_kind="line",
        subject_id=row.id,
        detail={
            "line": key,
            "before": {name: before[name] for name in changed},
            "after": {name: after[name] for name in changed},
        },
    )
    return True


def _check(
    wanted: LineHours, *, own: str, key: str, partners: Sequence[str], lines: Mapping[str, Any]
) -> None:
    try:
        BusinessCalendar.from_week(
            "UTC",
            dict(canonical(wanted.week).items()),
            special={each.day: each.hours for each in wanted.special_days},
        )
    except BadHours as error:
        raise InvalidInput(error.message, field="hours") from None
    for place, row in enumerate(wanted.fallbacks, 1):
        for fault in fallback_faults(row, own=f"{own}/{key}", partners=partners, lines=lines):
            raise InvalidInput(f"Row {place}: {fault}.", field="fallback")
    days = [each.day for each in wanted.special_days]
    twice = next((each for each in days if days.count(each) > 1), None)
    if twice is not None:
        raise InvalidInput(f"{twice} is said twice.", field="special_day")
    if wanted.closed_answer is not None and (
        wanted.closed_answer == own or wanted.closed_answer not in partners
    ):
        raise InvalidInput("Choose another partner.", field="closed_answer")
