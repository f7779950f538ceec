"""Take a partner's package of HSDS in: what is new, changed and gone, in one transaction.

Everything is compared first. Something broken refuses all of it, unless a person says that the
sound rest is wanted. What is stored then is what the package said, word for word, beside what the
catalogue makes of it; a second import of the same package writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from regional311.audit.service import audit_row
from regional311.catalog import bulk, content
from regional311.catalog.bulk import EntryWrite, SiteWrite, Written
from regional311.catalog.hsds import mapping
from regional311.catalog.hsds.assembling import Naming, Package
from regional311.catalog.hsds.comparing import (
    Conflict,
    Held,
    Report,
    Unit,
    Verdict,
    broken_rows,
    key_of,
    row_changes,
    units_of,
    verdict_of,
)
from regional311.catalog.hsds.documents import (
    agreed,
    said_by_row,
    said_by_service,
    service_fields,
)
from regional311.catalog.hsds.faults import Broken, Fault, LeftOut
from regional311.catalog.hsds.identifiers import imported_id
from regional311.catalog.hsds.region import Region
from regional311.catalog.hsds.tabular import rows_of
from regional311.catalog.hsds.terms import Kinds, take_terms
from regional311.catalog.models import Location, Organization, Service, ServiceLocation
from regional311.catalog.refresh import refresh
from regional311.database.rows import put, rewrite, send
from regional311.database.session import TenantSession, scope_of
from regional311.differences import differences
from regional311.errors import NotFound
from regional311.strict import StoredUnreadable, canonical, from_plain
from regional311.tenancy.queries import slug_of
from regional311.tenancy.revision import raise_revision

_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_KINDS: Final = ("organization", "location", "service")
_TABLES: Final = {"organization": Organization, "location": Location, "service": Service}
_MODELS: Final[dict[str, Any]] = {
    "organization": content.Organization,
    "location": content.Location,
    "service": content.Service,
}
_SERVICES: Final = text("""
SELECT s.*, (
    SELECT jsonb_agg(jsonb_build_object('id', x.id, 'location_id', x.location_id,
        'source_id', x.source_id, 'hsds', x.hsds, 'ended_on', x.ended_on))
    FROM service_locations x WHERE x.tenant_id = s.tenant_id AND x.service_id = s.id
    ) AS sites, (
    SELECT jsonb_agg(jsonb_build_object('kind', d.disposition, 'valid_from', lower(d.valid),
        'valid_to', upper(d.valid), 'note', d.note) ORDER BY lower(d.valid))
    FROM service_dispositions d
    WHERE d.tenant_id = s.tenant_id AND d.service_id = s.id AND NOT isempty(d.valid)
    ) AS dispositions
FROM services s
WHERE s.tenant_id = :me AND s.source = 'imported' AND s.hsds ->> 'feed' = :feed
""")
_ROWS: Final = {
    table: text(
        f"SELECT * FROM {table} WHERE tenant_id = :me AND source = 'imported'"
        " AND hsds ->> 'feed' = :feed"
    )
    for table in ("organizations", "locations")
}
_KEYS: Final = text("""
SELECT 'organization' AS kind, key, id, source FROM organizations WHERE tenant_id = :me
UNION ALL SELECT 'location', key, id, source FROM locations WHERE tenant_id = :me
UNION ALL SELECT 'service', key, id, source FROM services WHERE tenant_id = :me
""")
_TAKEN: Final = text("""
SELECT 'organization' AS kind, id FROM organizations WHERE id = ANY(:ids) AND tenant_id <> :me
UNION ALL SELECT 'location', id FROM locations WHERE id = ANY(:ids) AND tenant_id <> :me
UNION ALL SELECT 'service', id FROM services WHERE id = ANY(:ids) AND tenant_id <> :me
UNION ALL SELECT 'service_at_location', id FROM service_locations
    WHERE id = ANY(:ids) AND (tenant_id <> :me OR source_id IS NULL)
""")
_BUREAUS: Final = text(
    "SELECT key FROM bureaus WHERE tenant_id = :me AND ended_on IS NULL ORDER BY id"
)


class NoBureau(NotFound):
    """The partner has no such bureau, or none at all, that could keep what is imported."""


@dataclass(frozen=True)
class Order:
    """How a package is to be taken in.

    `bureau` keeps what is new; without it the partner's first. `choices` settle what changed on
    both sides: `kind/key` to `ours` or `theirs`; what is not settled stays as it is here.
    `person_id` is who ordered it, when that is not who acts.
    """

    feed: str = ""
    bureau: str | None = None
    skip_broken: bool = False
    dry_run: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)
    person_id: UUID | None = None


def bureau_of(session: TenantSession, wanted: str | None) -> str:
    """Give the bureau that keeps what is imported. Raises `NoBureau`."""
    keys = list(session.scalars(_BUREAUS, {"me": scope_of(session).tenant_id}))
    if wanted is None and keys:
        return str(keys[0])
    if wanted in keys:
        assert wanted is not None
        return wanted
    listed = ", ".join(sorted(map(str, keys))) or "none"
    raise NoBureau(
        f"There is no bureau {wanted or ''} that could keep it; there are: {listed}.",
        field="bureau",
    )


def take_package(
    session: TenantSession,
    package: Package,
    region: Region,
    order: Order,
    *,
    today: date,
    now: datetime,
) -> Report:
    """Compare a package with what is stored, and take in what it changes.

    With a dry run nothing is written. Raises `Broken` when something in it is wrong and the order
    does not say to take the rest, `NoBureau`.
    """
    taking = _Taking(session, package, region, order, today, now)
    report = taking.compare()
    if order.dry_run:
        return report
    if report.broken and not order.skip_broken:
        raise Broken(report.faults)
    taking.write()
    return report


@dataclass
class _Planned:
    """An entry of the package with what is stored of it and what it comes to."""

    unit: Unit
    held: Held | None
    row_id: UUID
    key: str
    verdict: Verdict
    model: Any = None
    said: dict[str, Any] = field(default_factory=dict)
    means: str = ""


class _Taking:
    """One package on its way in."""

    def __init__(
        self,
        session: TenantSession,
        package: Package,
        region: Region,
        order: Order,
        today: date,
        now: datetime,
    ) -> None:
        self.session, self.package, self.order = session, package, order
        self.today, self.now = today, now
        self.me = scope_of(session).tenant_id
        self.slug = slug_of(session)
        self.naming = Naming(self.slug, order.feed)
        self.faults = list(package.faults)
        session.execute(_LOCK, {"name": f"{self.me} package"})
        self.bureau = bureau_of(session, order.bureau)
        self.bureaus = {
            str(each.id): each.bureau for each in region.bodies if each.tenant_id == self.me
        }
        self.keys: dict[str, dict[UUID, str]] = {kind: {} for kind in _KINDS}
        self.kept: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}
        for row in session.execute(_KEYS, {"me": self.me}):
            self.keys[row.kind][row.id] = row.key
            if row.source == "kept":
                self.kept[row.kind][str(row.id)] = row.key
        self.sites: dict[UUID, dict[UUID, Mapping[str, Any]]] = {}
        self.held = self._held()
        self.by_id = {
            kind: {each.unit.id: each for each in held.values()} for kind, held in self.held.items()
        }
        self.units = units_of(package)
        self._complete_units()
        self.terms = take_terms(session, region, package, self.faults)
        self.kinds = Kinds(session, region)
        self.taken = self._taken_elsewhere()
        self.plans: dict[str, dict[str, _Planned]] = {kind: {} for kind in _KINDS}
        self.ours: list[_Planned] = []
        self.gone: dict[str, list[Held]] = {kind: [] for kind in _KINDS}

    # --- what is stored ---------------------------------------------------------------------------

    def _held(self) -> dict[str, dict[str, Held]]:
        asked = {"me": self.me, "feed": self.order.feed}
        found: dict[str, dict[str, Held]] = {}
        for kind, table, mapped in (
            ("organization", "organizations", mapping.ORGANIZATION_MAPPED),
            ("location", "locations", mapping.LOCATION_MAPPED),
        ):
            found[kind] = {}
            for row in self.session.execute(_ROWS[table], asked).mappings():
                found[kind][row["source_id"]] = self._entry(kind, row, said_by_row(row), mapped)
        found["service"] = {}
        for row in self.session.execute(_SERVICES, asked).mappings():
            fields = service_fields(row["hsds"]["said"])
            held = self._entry("service", row, said_by_service(row), fields)
            held.unit.sites = [
                Unit(
                    "service_at_location",
                    self.naming.id("service_at_location", each["source_id"]),
                    each["source_id"],
                    each["hsds"]["said"],
                    each["hsds"]["refs"],
                    "",
                    0,
                )
                for each in sorted(row["sites"] or (), key=_place_of)
                if each["hsds"] is not None and "place" in each["hsds"]
            ]
            self.sites[held.id] = {UUID(each["location_id"]): each for each in row["sites"] or ()}
            found["service"][row["source_id"]] = held
        return found

    def _complete_units(self) -> None:
        """Add what documents that name only a part leave open: it stays as it was.

        A document without lists is what a list of the API shows; sites that are not named are not
        gone unless the package has all there are.
        """
        whole = "service_at_location" in self.package.complete
        for kind, units in self.units.items():
            if kind in self.package.complete:
                continue
            for unit in units.values():
                held = self.held[kind].get(unit.source_id)
                if held is None:
                    continue
                if not any(isinstance(each, list) for each in unit.said.values()):
                    lists = {
                        name: each
                        for name, each in held.unit.said.items()
                        if isinstance(each, (list, dict))
                    }
                    unit.said = {**lists, **unit.said}
                unit.refs = {**held.unit.refs, **unit.refs}
                if kind == "service" and not whole:
                    named = {each.id for each in unit.sites}
                    unit.sites = [
                        *unit.sites,
                        *(each for each in held.unit.sites if each.id not in named),
                    ]

    def _entry(
        self, kind: str, row: Mapping[Any, Any], now: dict[str, Any], mapped: Iterable[str]
    ) -> Held:
        hsds = row["hsds"]
        unit = Unit(
            kind,
            self.naming.id(kind, row["source_id"]),
            row["source_id"],
            hsds["said"],
            hsds.get("refs", {}),
            "",
            0,
        )
        ended = row["ended_on"] is not None and row["ended_on"] <= self.today
        return Held(
            row["id"],
            row["key"],
            unit,
            now,
            agreed=agreed(now, mapped) == hsds.get("agreed", hsds["means"]),
            ended=ended,
            gone=ended and bool(hsds.get("gone")),
        )

    # --- comparing --------------------------------------------------------------------------------

    def compare(self) -> Report:
        """Say what the package changes, and keep the plan of it."""
        report = Report(dry_run=self.order.dry_run)
        for kind in _KINDS:
            keys = set(self.keys[kind].values())
            for unit in self.units[kind].values():
                plan = self._plan(kind, unit, keys)
                if plan is not None:
                    self.plans[kind][unit.id] = plan
        for kind in _KINDS:
            for unit_id, plan in list(self.plans[kind].items()):
                if not self._meaning(kind, plan):
                    del self.plans[kind][unit_id]
        self._settle(report)
        self.gone = {kind: list(self._gone(kind)) for kind in _KINDS}
        for kind in _KINDS:
            counts = report.entries.setdefault(f"{kind}s", Counter())
            counts.update(plan.verdict.value for plan in self.plans[kind].values())
            if self.gone[kind]:
                counts[Verdict.GONE.value] += len(self.gone[kind])
        self._count_rows(report)
        report.faults = self.faults
        return report

    def _taken_elsewhere(self) -> dict[str, set[str]]:
        ids = [unit.id for units in self.units.values() for unit in units.values()]
        ids += [site.id for unit in self.units["service"].values() for site in unit.sites]
        found: dict[str, set[str]] = {}
        asked = {"ids": [UUID(each) for each in ids], "me": self.me}
        for row in self.session.execute(_TAKEN, asked):
            found.setdefault(row.kind, set()).add(str(row.id))
        return found

    def _plan(self, kind: str, unit: Unit, keys: set[str]) -> _Planned | None:
        held = self.held[kind].get(unit.source_id)
        if held is not None:
            return _Planned(unit, held, held.id, held.key, verdict_of(held, unit))
        if kind == "organization" and unit.id in self.bureaus:
            return None
        if unit.id in self.kept[kind]:
            reason = f"is the entry {self.kept[kind][unit.id]} that is kept here; it stays as it is"
            self.faults.append(Fault(unit.file, unit.row, "id", reason, LeftOut.NOTHING))
            return None
        row_id = UUID(unit.id)
        if unit.id in self.taken.get(kind, ()) or row_id in self.keys[kind]:
            row_id = imported_id(self.slug, self.order.feed, kind, unit.source_id)
        name = str(unit.said.get("name") or unit.said.get("description") or kind)
        return _Planned(unit, None, row_id, key_of(name, str(row_id), keys), Verdict.NEW)

    def _key(self, kind: str, unit_id: str | None) -> str | None:
        """Give the key of the entry that a package calls by an id."""
        if unit_id is None:
            return None
        found = self.plans[kind].get(unit_id) or self.by_id[kind].get(unit_id)
        return found.key if found is not None else self.kept[kind].get(unit_id)

    def _meaning(self, kind: str, plan: _Planned) -> bool:
        """Say what an entry comes to in the catalogue; a fault when it comes to nothing."""
        if plan.verdict is Verdict.SAME:
            return True
        said, defaults, mapped = self._said(kind, plan.unit)
        held = plan.held
        kept = defaults if held is None else held.now
        merged = {name: value for name, value in kept.items() if name not in mapped} | said
        try:
            plan.model = from_plain(_MODELS[kind], merged | {"key": plan.key})
        except StoredUnreadable as error:
            reason = f"cannot be kept: {str(error).rpartition('say: ')[2]}"
            self.faults.append(Fault(plan.unit.file, plan.unit.row, "", reason, LeftOut.ROW))
            return False
        plan.said = canonical(plan.model)
        plan.means = agreed(plan.said, mapped)
        return True

    def _said(self, kind: str, unit: Unit) -> tuple[dict[str, Any], dict[str, Any], frozenset[str]]:
        """Give what a unit says, what it says by default when it is new, and what it decides."""
        document = {"id": unit.id, **unit.said}
        owner = self._key("organization", unit.refs.get("organization"))
        if kind == "organization":
            parent = self._key("organization", unit.said.get("parent_organization_id"))
            said = mapping.said_body(document)
            apart = {"parent": parent} if parent not in (None, self._own_key(kind, unit)) else {}
            names = mapping.ORGANIZATION_MAPPED
            return _only(said, names) | apart, {}, names
        if kind == "location":
            said = mapping.said_place(document)
            names = mapping.LOCATION_MAPPED
            return _only(said, names) | ({"organization": owner} if owner else {}), {}, names
        return self._said_service(unit, document, owner)

    def _own_key(self, kind: str, unit: Unit) -> str | None:
        plan = self.plans[kind].get(unit.id)
        return None if plan is None else plan.key

    def _said_service(
        self, unit: Unit, document: dict[str, Any], owner: str | None
    ) -> tuple[dict[str, Any], dict[str, Any], frozenset[str]]:
        names = service_fields(document)
        said = _only(mapping.said_service(document, self.terms.around), names)
        if owner is not None:
            said["organization"] = owner
        sites = []
        for site in unit.sites:
            place = self._key("location", site.refs.get("location"))
            if place is not None:
                told = _only(
                    mapping.said_site({"id": site.id, **site.said}, self.terms.around),
                    mapping.SITE_MAPPED,
                )
                sites.append({"location": place, **told})
        if sites:
            said["location"] = sites
        term, group = self.kinds.of(said.get("taxonomy", ()))
        defaults = {
            "verb": "find",
            "bureau": self.bureaus.get(unit.refs.get("organization", "")) or self.bureau,
            "term": term or self._own_key("service", unit),
            "group": group,
            "place": "optional" if sites else "none",
            "disposition": [{"kind": "refer", "valid_from": self.today.isoformat()}],
        }
        if defaults["place"] == "none" and said.get("boundary"):
            defaults["place"] = "optional"
        return said, defaults, names

    def _settle(self, report: Report) -> None:
        """Apply what a person chose for what changed on both sides; list all of it."""
        for kind in _KINDS:
            for plan in self.plans[kind].values():
                if plan.verdict is not Verdict.CONFLICT:
                    continue
                assert plan.held is not None
                here = canonical(from_plain(_MODELS[kind], plan.held.now))
                conflict = Conflict(
                    kind,
                    plan.key,
                    str(here["name"]),
                    differences(here, plan.said),
                )
                choice = self.order.choices.get(conflict.ref)
                if choice == "theirs" or not conflict.fields:
                    plan.verdict = Verdict.CHANGED
                elif choice == "ours":
                    self.ours.append(plan)
                else:
                    report.conflicts.append(conflict)

    def _gone(self, kind: str) -> Iterator[Held]:
        if kind not in self.package.complete:
            return
        there = {unit.source_id for unit in self.units[kind].values()}
        for source_id, held in self.held[kind].items():
            if source_id not in there and not held.ended:
                yield held

    def _count_rows(self, report: Report) -> None:
        old: dict[tuple[str, str], Any] = {}
        new: dict[tuple[str, str], Any] = {}
        conflicting: set[tuple[str, str]] = set()
        for kind in _KINDS:
            for plan in self.plans[kind].values():
                if plan.verdict is Verdict.SAME:
                    continue
                mine = dict(_rows(plan.unit))
                new |= mine
                if plan.held is not None and not plan.held.gone:
                    before = dict(_rows(plan.held.unit))
                    old |= before
                    mine |= before
                if plan.verdict is Verdict.CONFLICT and plan not in self.ours:
                    conflicting |= mine.keys()
            for held in self.gone[kind]:
                old |= dict(_rows(held.unit))
        broken = list(broken_rows(self.faults))
        left_out = {(each.file, each.row) for each in broken}
        changes = row_changes(self.package, old, new, conflicting)
        report.count(each for each in changes if (each.file, each.row) not in left_out)
        report.count(broken)

    # --- writing ----------------------------------------------------------------------------------

    def write(self) -> None:
        """Write the plan; nothing is written when nothing changed."""
        writes = {
            kind: [
                self._write_of(kind, plan)
                for plan in self.plans[kind].values()
                if plan.verdict in (Verdict.NEW, Verdict.CHANGED)
            ]
            for kind in _KINDS
        }
        gone = sum(map(len, self.gone.values()))
        if not any(writes.values()) and not gone and not self.ours:
            return
        self.terms.write(self.session)
        person_id = self.order.person_id or scope_of(self.session).person_id
        by = Written(self.today, self.now, person_id, "import")
        bulk.write_many(
            self.session,
            by,
            organizations=writes["organization"],
            locations=writes["location"],
            services=writes["service"],
        )
        self._end()
        self._keep_ours()
        raise_revision(self.session)
        put(
            self.session,
            audit_row(
                self.me,
                at=self.now,
                action="package:take",
                subject_kind="tenant",
                subject_id=self.me,
                person_id=person_id,
                detail={
                    "feed": self.order.feed,
                    "written": {kind: len(each) for kind, each in writes.items()},
                    "gone": gone,
                    "skipped": sum(each.refuses for each in self.faults),
                },
            ),
        )
        send(self.session)

    def _write_of(self, kind: str, plan: _Planned) -> EntryWrite:
        unit = plan.unit
        columns: dict[str, Any] = {
            "source": "imported",
            "source_id": unit.source_id,
            "hsds": {
                "feed": self.order.feed,
                "said": unit.said,
                "refs": unit.refs,
                "means": plan.means,
            },
        }
        if kind != "service":
            columns["modified_at"] = None if plan.held is None else self.now
            return EntryWrite(plan.row_id, plan.model, plan.said, columns, plan.held is None)
        stated = unit.said.get("last_modified")
        columns["modified_at"] = self.now if stated is None else datetime.fromisoformat(stated)
        sites, gone = self._sites_of(plan)
        new = plan.held is None
        return EntryWrite(plan.row_id, plan.model, _by_date(plan.said), columns, new, sites, gone)

    def _sites_of(self, plan: _Planned) -> tuple[list[SiteWrite], list[UUID]]:
        """Give the rows of a service at its locations, and those that are no more."""
        known = dict(self.sites.get(plan.row_id, {}))
        said = {each["location"]: each for each in plan.said.get("location", ())}
        sites = []
        for place, site in enumerate(plan.unit.sites):
            key = self._key("location", site.refs.get("location"))
            if key is None or key not in said:
                continue
            location_id = self._location_id(site.refs["location"])
            details = {name: value for name, value in said.pop(key).items() if name != "location"}
            row = known.pop(location_id, None)
            sites.append(
                SiteWrite(
                    UUID(row["id"]) if row is not None else self._site_id(site),
                    location_id,
                    details,
                    {
                        "source_id": site.source_id,
                        "hsds": {
                            "said": site.said,
                            "refs": site.refs,
                            "place": place,
                            "means": agreed(details, mapping.SITE_MAPPED),
                        },
                    },
                    row is None,
                )
            )
        return sites, [UUID(row["id"]) for row in known.values() if row["ended_on"] is None]

    def _location_id(self, unit_id: str) -> UUID:
        plan = self.plans["location"].get(unit_id)
        if plan is not None:
            return plan.row_id
        held = self.by_id["location"].get(unit_id)
        return held.id if held is not None else UUID(unit_id)

    def _site_id(self, site: Unit) -> UUID:
        if site.id in self.taken.get("service_at_location", ()):
            return imported_id(self.slug, self.order.feed, site.kind, site.source_id)
        return UUID(site.id)

    def _end(self) -> None:
        for kind, ended in self.gone.items():
            rows = {
                held.id: {
                    "hsds": {
                        "feed": self.order.feed,
                        "said": held.unit.said,
                        "refs": held.unit.refs,
                        "means": self._means(kind, held),
                        "gone": True,
                    }
                }
                for held in ended
            }
            bulk.end_many(self.session, _TABLES[kind], rows, self.today)
        sites: dict[UUID, dict[str, Any]] = {
            UUID(row["id"]): {}
            for held in self.gone["service"]
            for row in self.sites.get(held.id, {}).values()
            if row["ended_on"] is None
        }
        bulk.end_many(self.session, ServiceLocation, sites, self.today)
        if self.gone["service"]:
            refresh(self.session, "service", [held.key for held in self.gone["service"]])

    def _means(self, kind: str, held: Held) -> str:
        fields = {
            "organization": mapping.ORGANIZATION_MAPPED,
            "location": mapping.LOCATION_MAPPED,
            "service": service_fields(held.unit.said),
        }[kind]
        return agreed(held.now, fields)

    def _keep_ours(self) -> None:
        """Remember that what is here was chosen over what the package says now."""
        for kind in _KINDS:
            rows = []
            for plan in self.ours:
                if plan.unit.kind != kind or plan.held is None:
                    continue
                hsds = {
                    "feed": self.order.feed,
                    "said": plan.unit.said,
                    "refs": plan.unit.refs,
                    "means": plan.means,
                    "agreed": self._means(kind, replace(plan.held, unit=plan.unit)),
                }
                rows.append({"id": plan.held.id, "hsds": hsds})
            rewrite(self.session, _TABLES[kind], rows)


def _only(said: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    wanted = set(names)
    return {name: value for name, value in said.items() if name in wanted}


def _by_date(said: dict[str, Any]) -> dict[str, Any]:
    """Give what a service says with its dispositions by date, as its versions have it."""
    return said | {"disposition": sorted(said["disposition"], key=lambda one: one["valid_from"])}


def _place_of(site: Mapping[str, Any]) -> int:
    return int((site["hsds"] or {}).get("place", 0))


def _rows(unit: Unit) -> Iterator[tuple[tuple[str, str], Any]]:
    """Give the rows of an entry and of its sites, by table and id."""
    for one in (unit, *unit.sites):
        for table, row in rows_of(one.kind, {"id": one.id, **one.said}, one.refs):
            yield (table, row["id"]), row
