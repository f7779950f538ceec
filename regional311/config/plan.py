"""What applying the files would change, without changing anything.

Each thing is compared three ways: what the file says, what the database has, and what both last
agreed on. Changed on one side it moves or is left to be exported; changed on both it is a conflict
that only a person can settle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select

from regional311.config.files import REGION, RegionFiles, TenantFiles, read_region
from regional311.config.objects import KINDS, Desk, Kind, Stored
from regional311.database.ids import new_id
from regional311.database.session import Scope, TenantSession, acting_for, open_session
from regional311.differences import FieldChange, differences
from regional311.errors import InvalidInput, NotFound
from regional311.strict import digest
from regional311.tenancy.models import ConfiguredObject, Tenant

NOBODY = Scope(UUID(int=0))
ENDED = "ended"
"""What both sides agreed on for a thing that is no more."""


class Verdict(StrEnum):
    """What becomes of one thing."""

    ADDED = "added"
    CHANGED = "changed"
    ENDED = "ended"
    CONFLICT = "conflict"
    AHEAD = "ahead"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Item:
    """One thing of one partner and what becomes of it."""

    tenant: str
    kind: str
    key: str
    verdict: Verdict
    fields: tuple[FieldChange, ...] = ()

    @property
    def name(self) -> str:
        """The thing's kind and key; the key is left out where there is one of the kind."""
        return self.kind if self.key in (self.kind, self.tenant) else f"{self.kind} {self.key}"


@dataclass(frozen=True)
class Plan:
    """Everything that applying the files would do; `str` is the readable form."""

    items: tuple[Item, ...]

    def of(self, *verdicts: Verdict) -> tuple[Item, ...]:
        """Give the things with one of these verdicts."""
        return tuple(item for item in self.items if item.verdict in verdicts)

    @property
    def conflicts(self) -> tuple[Item, ...]:
        """What was changed in the file and in the database since they last agreed."""
        return self.of(Verdict.CONFLICT)

    @property
    def changes(self) -> tuple[Item, ...]:
        """What apply would write."""
        return self.of(Verdict.ADDED, Verdict.CHANGED, Verdict.ENDED)

    def as_dict(self) -> dict[str, Any]:
        """Give the plan for programs."""
        return {
            "counts": dict(Counter(item.verdict.value for item in self.items)),
            "items": [
                {
                    "tenant": item.tenant,
                    "kind": item.kind,
                    "key": item.key,
                    "verdict": item.verdict.value,
                    "fields": [
                        {"field": each.field, "database": each.old, "file": each.new}
                        for each in item.fields
                    ],
                }
                for item in self.items
                if item.verdict is not Verdict.UNCHANGED
            ],
        }

    def __str__(self) -> str:
        lines: list[str] = []
        shown = [item for item in self.items if item.verdict is not Verdict.UNCHANGED]
        for position, item in enumerate(shown):
            if position == 0 or shown[position - 1].tenant != item.tenant:
                lines.append(item.tenant)
            lines.extend(_told(item))
        if not shown:
            return "No changes."
        counts = Counter(item.verdict for item in shown)
        lines.append("")
        lines.append(
            ", ".join(f"{counts[each]} {_COUNTED[each]}" for each in Verdict if counts[each]) + "."
        )
        return "\n".join(lines)


_SIGNS = {
    Verdict.ADDED: "+",
    Verdict.CHANGED: "~",
    Verdict.ENDED: "-",
    Verdict.CONFLICT: "!",
    Verdict.AHEAD: "<",
}
_COUNTED = {
    Verdict.ADDED: "to add",
    Verdict.CHANGED: "to change",
    Verdict.ENDED: "to end",
    Verdict.CONFLICT: "in conflict: changed in the file and in the forms, nothing will be applied",
    Verdict.AHEAD: "changed in the forms only: export takes them into the files",
}


def _told(item: Item) -> Iterator[str]:
    yield f"  {_SIGNS[item.verdict]} {item.name}"
    if item.verdict is Verdict.CHANGED:
        for each in item.fields:
            yield f"      {each.field}: {_shown(each.old)} -> {_shown(each.new)}"
    elif item.verdict in (Verdict.CONFLICT, Verdict.AHEAD):
        for each in item.fields:
            yield f"      {each.field}: file {_shown(each.new)}, forms {_shown(each.old)}"


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in value)}]"
    text = str(value)
    return f"{text[:117]}..." if len(text) > 120 else text


class KeyImported(InvalidInput):
    """Files describe something under the key of what was imported: neither takes the other over."""


# --- comparing -------------------------------------------------------------------------------


@dataclass
class Compared:
    """One thing with both its sides, as apply needs it."""

    item: Item
    kind: Kind[Any]
    said: Any | None
    stored: Stored[Any] | None
    agreed: str | None

    @property
    def digest(self) -> str:
        """What both sides agree on once the thing is applied."""
        return ENDED if self.said is None else digest(self.kind.content(self.said))


@dataclass
class Sides:
    """A partner's desk with everything compared.

    `drafted` is what waits for somebody who may publish, by kind and key: both sides have not
    agreed on it yet.
    """

    slug: str
    desk: Desk
    compared: list[Compared] = field(default_factory=list)
    drafted: set[tuple[str, str]] = field(default_factory=set)


def tenant_ids(session: TenantSession) -> dict[str, UUID]:
    """Give every tenant's id by slug; everybody may know them."""
    return {row.slug: row.id for row in session.execute(select(Tenant.slug, Tenant.id))}


def chosen(files: RegionFiles, tenant: str | None) -> list[TenantFiles]:
    """Give the partners to look at: all, or the one named.

    Raises `NotFound` when no directory has that name.
    """
    every = list(files.every_tenant())
    if tenant is None:
        return every
    found = [each for each in every if each.slug == tenant]
    if not found:
        raise NotFound(f"There is no directory tenants/{tenant}.")
    return found


def compare(
    session: TenantSession,
    files: RegionFiles,
    tenant_files: TenantFiles,
    ids: Mapping[str, UUID],
    *,
    fresh: bool,
    now: datetime,
) -> Sides:
    """Compare one partner; the session must be acting for it."""
    zone = ZoneInfo(tenant_files.about.tenant.zone)
    desk = Desk(
        session=session,
        tenant_id=ids[tenant_files.slug],
        ids=ids,
        now=now,
        today=now.astimezone(zone).date(),
        fresh=fresh,
    )
    sides = Sides(tenant_files.slug, desk)
    policies = files.policies if tenant_files.slug == REGION else None
    agreed = {(row.kind, row.key): row.digest for row in desk.rows(ConfiguredObject)}
    every = {kind: dict(kind.said(tenant_files, policies)) for kind in KINDS}
    _refuse_imported(sides.slug, {kind.name: said.keys() for kind, said in every.items()}, desk)
    for kind, said in every.items():
        stored = {} if fresh else kind.stored(desk)
        for key in dict.fromkeys([*said, *stored]):
            sides.compared.append(
                _compared(
                    sides.slug,
                    kind,
                    key,
                    said.get(key),
                    stored.get(key),
                    agreed.get((kind.name, key)),
                )
            )
    return sides


def _refuse_imported(slug: str, said: Mapping[str, AbstractSet[str]], desk: Desk) -> None:
    taken = sorted(
        f"{kind} {key}" for kind, keys in desk.imported().items() for key in keys & said[kind]
    )
    if taken:
        raise KeyImported(
            f"{slug}: the key is that of something imported: {', '.join(taken)}. Choose another"
            " key in the files; what was imported is changed in forms, or where it comes from."
        )


def _compared(
    slug: str,
    kind: Kind[Any],
    key: str,
    said: Any | None,
    stored: Stored[Any] | None,
    agreed: str | None,
) -> Compared:
    here = None if stored is None or stored.gone else kind.content(stored.model)
    there = None if said is None else kind.content(said)
    verdict = _verdict(here, there, agreed, over=stored is not None and not stored.live)
    fields: tuple[FieldChange, ...] = ()
    if verdict in (Verdict.CHANGED, Verdict.CONFLICT, Verdict.AHEAD):
        fields = differences(here or {}, there or {})
    item = Item(slug, kind.name, key, verdict, fields)
    return Compared(item, kind, said, stored, agreed)


def _verdict(
    here: dict[str, Any] | None, there: dict[str, Any] | None, agreed: str | None, *, over: bool
) -> Verdict:
    if here == there or (there is None and over):
        return Verdict.UNCHANGED
    database = ENDED if here is None else digest(here)
    file = ENDED if there is None else digest(there)
    if agreed is None:
        if here is None:
            return Verdict.ADDED
        return Verdict.AHEAD if there is None else Verdict.CONFLICT
    if database == agreed:
        if there is None:
            return Verdict.ENDED
        return Verdict.ADDED if here is None else Verdict.CHANGED
    return Verdict.AHEAD if file == agreed else Verdict.CONFLICT


def plan(
    engine: Engine,
    source: Path | RegionFiles,
    *,
    tenant: str | None = None,
    now: datetime | None = None,
) -> Plan:
    """Say what applying the files below `source` would change.

    Raises `ConfigInvalid` with everything that is wrong in the files, `NotFound` for a partner
    without a directory. Changes nothing.
    """
    files = source if isinstance(source, RegionFiles) else read_region(source)
    moment = now or datetime.now(UTC)
    items: list[Item] = []
    with open_session(engine, NOBODY) as session:
        known = tenant_ids(session)
        ids = known | {
            each.slug: new_id() for each in files.every_tenant() if each.slug not in known
        }
        for each in chosen(files, tenant):
            with acting_for(session, ids[each.slug]):
                sides = compare(session, files, each, ids, fresh=each.slug not in known, now=moment)
                items.extend(one.item for one in sides.compared)
        session.rollback()
    return Plan(tuple(items))
