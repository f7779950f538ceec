"""Who keeps an entry right: who is named for it or its bureau, or whoever works on entries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.catalog.reviews import TABLES
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.identity.permissions import Permissions
from regional311.identity.queries import Member, who_may
from regional311.keeping.models import Keeper
from regional311.tenancy.models import Bureau

Subject = Literal["service", "bureau", "article", "organization"]
Entry = tuple[str, str]
"""Kind and key of a service, an article or an organisation."""
MOST: Final = 10
"""People who keep one entry or bureau."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a person keeps: `entries`, and all others but those of somebody else."""

    entries: frozenset[Entry]
    of_others: frozenset[Entry]
    """Entries for which somebody else is named."""
    bureaus_of_others: frozenset[str]

    def holds(self, entry: Entry, bureau: str | None) -> bool:
        """Whether an entry of a bureau is among them."""
        return entry in self.entries or (
            entry not in self.of_others and (bureau or "") not in self.bureaus_of_others
        )


@dataclass(frozen=True)
class Keepers:
    """Everybody who keeps something at one partner.

    Who is named for an entry keeps it; otherwise who is named for its bureau; otherwise all
    `everybody` who may work on entries. Somebody who left, or may no more, counts as not named.
    """

    everybody: tuple[Member, ...] = ()
    entries: Mapping[Entry, tuple[UUID, ...]] = field(default_factory=dict)
    bureaus: Mapping[str, tuple[UUID, ...]] = field(default_factory=dict)

    def of(self, entry: Entry, bureau: str | None) -> tuple[Member, ...]:
        """Give who keeps an entry of a bureau, by name; everybody when nobody is named."""
        return self.named(entry, bureau) or self.everybody

    def named(self, entry: Entry, bureau: str | None) -> tuple[Member, ...]:
        """Give who is named for an entry, or else for its bureau; empty when nobody is."""
        return self.own(entry) or self.named_for(bureau or "")

    def named_for(self, bureau: str) -> tuple[Member, ...]:
        """Give who is named for a bureau."""
        return self._present(self.bureaus.get(bureau, ()))

    def own(self, entry: Entry) -> tuple[Member, ...]:
        """Give who is named for the entry itself."""
        return self._present(self.entries.get(entry, ()))

    def kept_by(self, person_id: UUID) -> Kept:
        """Give what a person keeps: what they are named for, and what nobody is named for."""
        mine = frozenset(entry for entry, people in self.entries.items() if person_id in people)
        bureaus = frozenset(key for key, people in self.bureaus.items() if person_id in people)
        return Kept(
            mine,
            frozenset(entry for entry in self.entries if self.own(entry)) - mine,
            frozenset(key for key in self.bureaus if self.named_for(key)) - bureaus,
        )

    def _present(self, people: Collection[UUID]) -> tuple[Member, ...]:
        return tuple(each for each in self.everybody if each.person_id in people)


def keepers(session: TenantSession) -> Keepers:
    """Give who keeps what at the bound partner, in two statements."""
    everybody = tuple(who_may(session, Permissions.SERVICE_WORK))
    entries: dict[Entry, tuple[UUID, ...]] = {}
    bureaus: dict[str, tuple[UUID, ...]] = {}
    for kind, key, person_id in session.execute(
        select(Keeper.subject_kind, Keeper.subject_key, Keeper.person_id)
        .where(Keeper.tenant_id == scope_of(session).tenant_id, Keeper.ended_at.is_(None))
        .order_by(Keeper.subject_kind, Keeper.subject_key, Keeper.id)
    ):
        if kind == "bureau":
            bureaus[key] = (*bureaus.get(key, ()), person_id)
        else:
            entries[kind, key] = (*entries.get((kind, key), ()), person_id)
    return Keepers(everybody, entries, bureaus)


def name_keepers(
    session: TenantSession,
    kind: Subject,
    key: str,
    people: Iterable[UUID],
    *,
    now: datetime,
) -> bool:
    """Name exactly these people for an entry or a bureau; say whether that changes anything.

    Nobody named leaves it to the bureau's people, or to everybody who works on entries. Raises
    `NotFound` for an entry or bureau that the partner does not have, `InvalidInput` for somebody
    who may not work on entries here.
    """
    scope = scope_of(session)
    wanted = set(people)
    allowed = {each.person_id for each in who_may(session, Permissions.SERVICE_WORK)}
    if wanted - allowed:
        raise InvalidInput("Choose people who may work on entries here.", field="people")
    if len(wanted) > MOST:
        raise InvalidInput(f"Name at most {MOST} people.", field="people")
    subject_id = _subject(session, kind, key)
    rows = session.execute(
        select(Keeper.id, Keeper.person_id, Keeper.ended_at).where(
            Keeper.tenant_id == scope.tenant_id,
            Keeper.subject_kind == kind,
            Keeper.subject_key == key,
        )
    ).all()
    before = {row.person_id for row in rows if row.ended_at is None}
    if before == wanted:
        return False
    known = {row.person_id: row.id for row in rows}
    for person_id in before - wanted:
        _change(session, known[person_id], {"ended_at": now})
    for person_id in sorted(wanted - before):
        if person_id in known:
            values = {"ended_at": None, "named_at": now, "named_by": scope.person_id}
            _change(session, known[person_id], values)
            continue
        put(
            session,
            Keeper(
                tenant_id=scope.tenant_id,
                id=new_id(),
                subject_kind=kind,
                subject_key=key,
                person_id=person_id,
                named_at=now,
                named_by=scope.person_id,
            ),
        )
    record(
        session,
        now=now,
        action=f"{kind}:keepers",
        subject_kind=kind,
        subject_id=subject_id,
        detail={
            "key": key,
            "named": sorted(str(each) for each in wanted - before),
            "ended": sorted(str(each) for each in before - wanted),
        },
    )
    return True


def _subject(session: TenantSession, kind: Subject, key: str) -> UUID:
    table: Any = Bureau if kind == "bureau" else TABLES[kind]
    found: UUID | None = session.execute(
        select(table.id).where(
            table.tenant_id == scope_of(session).tenant_id,
            table.key == key,
            table.ended_on.is_(None),
        )
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"There is no {kind} {key}.")
    return found


def _change(session: TenantSession, row_id: UUID, values: Mapping[str, object]) -> None:
    send(session)
    session.execute(
        update(Keeper)
        .where(Keeper.tenant_id == scope_of(session).tenant_id, Keeper.id == row_id)
        .values(dict(values)),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)
