"""What people searched for, so that whoever keeps the catalogue learns the words that are missing.

Only what was asked in the end is kept, never each letter that was typed, and never who asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import case, func, select, text, update
from sqlalchemy.orm import Session

from regional311.catalog.models import SearchAsked
from regional311.catalog.words import masked
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.tenancy.retention import KEPT_DAYS, kept_before

KEEP_DAYS: Final = KEPT_DAYS["search"]
"""Words are kept so long where the region's policy of retention says nothing else."""

LOOK_BACK: Final = timedelta(days=90)
LISTED: Final = 200
_SAME_SEARCH: Final = timedelta(minutes=10)
"""A choice so soon after the same words is what came of them; the same again is one search."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Words that found nothing, or nothing that anybody opened, with how often each."""

    words: str
    language: str
    searches: int
    without_result: int
    without_choice: int
    last_at: datetime

    @property
    def found(self) -> int:
        """How many of the searches had a result."""
        return self.searches - self.without_result


def record_search(
    session: TenantSession, *, now: datetime, door: str, words: str, language: str, results: int
) -> None:
    """Keep what was searched for in the end; it leaves with what else the request writes.

    ``door`` is `desk` or `public`. Words of which nothing is left once they are masked are not
    kept.
    """
    said = masked(words)
    if not said.strip("# "):
        return
    put(
        session,
        new_row(
            SearchAsked,
            tenant_id=scope_of(session).tenant_id,
            id=new_id(),
            at=now,
            door=door,
            words=said,
            language=language,
            results=results,
        ),
    )


def record_choice(
    session: TenantSession,
    *,
    now: datetime,
    door: str,
    words: str,
    language: str,
    results: int,
    chosen: str,
) -> None:
    """Keep which hit was opened: with the search just made for the same words, or as one itself.

    One statement. ``chosen`` is `service:partner/key` or `article:partner/key`.
    """
    said = masked(words)
    if not said.strip("# "):
        return
    send(session)
    session.execute(
        _CHOICE,
        {
            "me": scope_of(session).tenant_id,
            "id": new_id(),
            "now": now,
            "since": now - _SAME_SEARCH,
            "door": door,
            "words": said,
            "language": language,
            "results": results,
            "chosen": chosen[:200],
        },
    )
    mark_changed(session)


_CHOICE: Final = text("""
WITH same AS (
    SELECT id, chosen, at FROM searches
    WHERE tenant_id = :me AND words = :words AND door = :door AND at > :since
), changed AS (
    UPDATE searches SET chosen = :chosen
    WHERE tenant_id = :me
        AND id = (SELECT id FROM same WHERE chosen IS NULL ORDER BY at DESC LIMIT 1)
    RETURNING id
)
INSERT INTO searches (tenant_id, id, at, door, words, language, results, chosen)
SELECT :me, :id, :now, :door, :words, :language, :results, :chosen
WHERE NOT EXISTS (SELECT FROM changed) AND NOT EXISTS (SELECT FROM same WHERE chosen = :chosen)
""")


def unanswered(
    session: Session, tenant_id: UUID, *, since: datetime, aside: bool = False
) -> list[Unanswered]:
    """Give the words after which nothing was found or opened, those that most asked for first.

    What an owner has set aside since is left out, or, ``aside``, the only thing given. What was
    answered at least half the time is no matter.
    """
    asked = SearchAsked
    nothing = func.count().filter(asked.results == 0)
    unopened = func.count().filter(asked.chosen.is_(None))
    rows = session.execute(
        select(
            asked.words,
            asked.language,
            func.count(),
            nothing,
            unopened,
            func.max(asked.at),
        )
        .where(
            asked.tenant_id == tenant_id,
            asked.at >= since,
            asked.words != "",
            asked.set_aside_at.is_not(None) if aside else asked.set_aside_at.is_(None),
        )
        .group_by(asked.words, asked.language)
        .having(unopened * 2 > func.count())
        .order_by(case((nothing > 0, 0), else_=1), unopened.desc(), asked.words)
        .limit(LISTED)
    )
    return [Unanswered(*row) for row in rows]


def set_aside(
    session: TenantSession, *, now: datetime, words: str, language: str, back: bool = False
) -> int:
    """Say that nothing more is to be done about these words; give how many searches that were.

    ``back`` takes that back.
    """
    asked = SearchAsked
    send(session)
    done = session.execute(
        update(asked)
        .where(
            asked.tenant_id == scope_of(session).tenant_id,
            asked.words == words,
            asked.language == language,
            asked.set_aside_at.is_not(None) if back else asked.set_aside_at.is_(None),
        )
        .values(set_aside_at=None if back else now),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)
    return int(done.rowcount)  # type: ignore[attr-defined]


def forget_words(session: TenantSession, now: datetime) -> int:
    """Forget the words of old searches, a chore of the worker; give how many there were.

    How old says the region's policy of retention. That there was a search stays counted.
    """
    done = session.execute(
        update(SearchAsked)
        .where(
            SearchAsked.tenant_id == scope_of(session).tenant_id,
            SearchAsked.at < kept_before(session, "search", now),
            SearchAsked.words != "",
        )
        .values(words=""),
        execution_options={"synchronize_session": False},
    )
    return int(done.rowcount)  # type: ignore[attr-defined]
