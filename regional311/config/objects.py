"""One mapping both ways between what the files say and what the database holds.

Every configured thing has a kind, a stable key within its partner, and a content: plain values in
one canonical form, whichever side they come from. Plan compares contents, apply writes them, export
turns them back into files; all three use the kinds below and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import literal, select, union_all, update
from sqlalchemy.dialects.postgresql import Range

from regional311 import strict
from regional311.allocation.bases import readings_text, snapshot_digest
from regional311.allocation.models import (
    AllocationBase,
    BaseSnapshot,
    BillSplit,
    CostPool,
    PoolShare,
)
from regional311.allocation.pools import version
from regional311.allocation.year import newest_pools
from regional311.casework import prepared_texts
from regional311.casework.models import PreparedText
from regional311.catalog import article_writer, group_writer, synonyms, taxonomies
from regional311.catalog import content as offer
from regional311.catalog import service as catalog
from regional311.catalog.articles import Article as ArticleSaid
from regional311.catalog.models import (
    Article,
    Location,
    Organization,
    QuestionGroup,
    Service,
    Synonym,
    TermCrosswalk,
)
from regional311.catalog.queries import said_group
from regional311.chargeback.models import Agreement, Rate
from regional311.config import agreements, schema
from regional311.config.files import Policies, TenantFiles
from regional311.config.pools import base_said, pool_said, split_parts
from regional311.config.rates import rate_plain, rate_said
from regional311.database.base import Base
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession
from regional311.errors import AlreadyInForce
from regional311.exchange import systems
from regional311.identity.permissions import Permissions
from regional311.ledger.models import Account, GlMapping
from regional311.referral.acceptance import Acceptance, Progress
from regional311.referral.drafting import flat
from regional311.referral.models import AcceptancePolicy, ProgressWord, RuleSet
from regional311.strict import canonical, decimal_text, digest, from_plain
from regional311.tenancy.models import Boundary, Bureau, Line, Policy, Tenant

EMPTY: Range[Any] = Range(empty=True)
ALWAYS_KNOWN: Range[datetime] = Range(None, None, bounds="()")

M = TypeVar("M", bound=strict.Model)


@dataclass(frozen=True)
class Stored(Generic[M]):
    """A thing as the database has it now.

    `gone` things were ended and count as absent; things no longer `live` are over by their own
    dates, so that leaving them out of a file changes nothing.
    """

    id: UUID
    model: M
    live: bool = True
    gone: bool = False


_IMPORTED: Final[Mapping[str, Any]] = {
    "organization": Organization,
    "location": Location,
    "service": Service,
}
"""Kinds of which some are kept in files and others imported, with their tables."""


@dataclass
class Desk:
    """One partner's side of an apply: where, when and on whose behalf things are written.

    `fresh` partners did not exist before: what their files say holds from the dates given there.
    `drafts` says that a person's rules wait for somebody else's approval.
    """

    session: TenantSession
    tenant_id: UUID
    ids: Mapping[str, UUID]
    now: datetime
    today: date
    fresh: bool = False
    drafts: bool = False
    person_id: UUID | None = None
    slugs: Mapping[UUID, str] = field(init=False)

    def __post_init__(self) -> None:
        self.slugs = {tenant_id: slug for slug, tenant_id in self.ids.items()}

    def rows(self, model: type[Any], *conditions: Any) -> list[Any]:
        """Read this partner's rows of a table, by id."""
        statement = select(model).where(model.tenant_id == self.tenant_id, *conditions)
        return list(self.session.execute(statement).scalars())

    def imported(self) -> dict[str, set[str]]:
        """Give the keys that entries have which were imported, by kind; one statement."""
        found: dict[str, set[str]] = {}
        parts = [
            select(literal(kind).label("kind"), table.key).where(
                table.tenant_id == self.tenant_id, table.source == "imported"
            )
            for kind, table in _IMPORTED.items()
        ]
        for kind, key in self.session.execute(union_all(*parts)):
            found.setdefault(kind, set()).add(key)
        return found

    def change(self, model: type[Any], row_id: UUID, values: Mapping[str, Any]) -> None:
        """Update one row of this partner."""
        send(self.session)
        self.session.execute(
            update(model)
            .where(model.tenant_id == self.tenant_id, model.id == row_id)
            .values(dict(values)),
            execution_options={"synchronize_session": False},
        )

    def put(self, row: Base) -> None:
        """Buffer a new row."""
        put(self.session, row)


# --- dates -------------------------------------------------------------------------------------


def _days(start: date | None, end: date | None) -> Range[date]:
    return Range(start, end, bounds="[)")


def _over(valid_to: date | None, today: date) -> bool:
    return valid_to is not None and valid_to <= today


# --- kinds -----------------------------------------------------------------------------------


class Kind(ABC, Generic[M]):
    """How one kind of thing is read from files, read from rows, and written to rows."""

    name: str
    permission: Permissions
    needs_approval = False

    @abstractmethod
    def said(self, files: TenantFiles, policies: Policies | None) -> Iterator[tuple[str, M]]:
        """Give the things of this kind that a partner's files name, by key."""

    @abstractmethod
    def stored(self, desk: Desk) -> dict[str, Stored[M]]:
        """Give the things of this kind that the database has, by key."""

    @abstractmethod
    def add(self, desk: Desk, key: str, new: M, old: Stored[M] | None) -> UUID:
        """Write a new thing, or take one up again that had been ended; give its id."""

    @abstractmethod
    def change(self, desk: Desk, key: str, new: M, old: Stored[M]) -> UUID:
        """Write what changed; what was in force stays as it was."""

    @abstractmethod
    def end(self, desk: Desk, key: str, old: Stored[M]) -> None:
        """End a thing today."""

    def content(self, model: M) -> dict[str, Any]:
        """Give what counts when both sides are compared."""
        return canonical(model)


class KeyedRow(Kind[M]):
    """Kinds with one row a key that is changed in place and ended on a date."""

    table: type[Any]

    @abstractmethod
    def read(self, row: Any, desk: Desk) -> M:
        """Give what a row says."""

    @abstractmethod
    def columns(self, model: M) -> dict[str, Any]:
        """Give the columns that hold what a model says."""

    def stored(self, desk: Desk) -> dict[str, Stored[M]]:
        """Give the rows by key."""
        return {
            row.key: Stored(
                row.id,
                self.read(row, desk),
                live=row.ended_on is None,
                gone=_over(row.ended_on, desk.today),
            )
            for row in desk.rows(self.table)
        }

    def add(self, desk: Desk, key: str, new: M, old: Stored[M] | None) -> UUID:
        """Insert the row, or clear the date on which it had ended."""
        if old is not None:
            desk.change(self.table, old.id, {**self.columns(new), "ended_on": None})
            return old.id
        row_id = new_id()
        desk.put(
            self.table(
                tenant_id=desk.tenant_id, id=row_id, key=key, ended_on=None, **self.columns(new)
            )
        )
        return row_id

    def change(self, desk: Desk, key: str, new: M, old: Stored[M]) -> UUID:  # noqa: ARG002
        """Update the row."""
        desk.change(self.table, old.id, self.columns(new))
        return old.id

    def end(self, desk: Desk, key: str, old: Stored[M]) -> None:  # noqa: ARG002
        """Write today as the first day on which it is no more."""
        desk.change(self.table, old.id, {"ended_on": desk.today})


class TenantRecord(schema.TenantFile):
    """A partner without its lines and accounts, which are things of their own."""

    outline: strict.Key | None = Field(default=None, description="Key of its own outline.")


class TenantKind(Kind[TenantRecord]):
    """The partner itself; all that has no column of its own is in `settings`."""

    name = "tenant"
    permission = Permissions.SETTINGS_EDIT

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, TenantRecord]]:
        """Give the one partner."""
        outlines = [each.key for each in files.boundaries if each.entry.kind == "jurisdiction"]
        content = {name: getattr(files.about, name) for name in schema.TenantFile.model_fields}
        content |= {"line": (), "account": (), "outline": outlines[0] if outlines else None}
        yield files.slug, TenantRecord.model_construct(**content)

    def stored(self, desk: Desk) -> dict[str, Stored[TenantRecord]]:
        """Give the one partner, when it exists."""
        return {
            row.slug: Stored(row.id, from_plain(TenantRecord, self._read(row)))
            for row in desk.rows(Tenant)
        }

    @staticmethod
    def _read(row: Tenant) -> dict[str, Any]:
        settings = row.settings
        return {
            "tenant": {
                "kind": row.kind,
                "name": row.name,
                "short_name": row.short_name,
                "zone": row.zone,
                "fiscal_year_start_month": row.fiscal_year_starts_in,
                **{
                    name: settings.get(name)
                    for name in ("legal_name", "summary", "languages", "host", "review_days")
                },
            },
            "contact": settings["contact"],
            "branding": settings.get("branding"),
            "hours": settings["hours"],
            "holiday": [
                {"day": each["date"], "name": each["name"]} for each in settings["holidays"]
            ],
            "queue": settings["queues"],
            "service_level": settings["service_levels"],
            "role": settings["roles"],
            "loop": settings.get("loop"),
            "accommodation": settings.get("accommodation"),
            "coordinator": settings.get("coordinators") or [],
            "wording": settings.get("wording") or [],
            "notices": settings.get("notices"),
            "outline": settings.get("outline"),
        }

    @staticmethod
    def _columns(model: TenantRecord) -> dict[str, Any]:
        content = canonical(model)
        about = model.tenant
        settings = {
            "summary": about.summary,
            "languages": list(about.languages),
            "contact": content["contact"],
            "hours": content["hours"],
            "holidays": [
                {"date": each.day.isoformat(), "name": each.name} for each in model.holiday
            ],
            "queues": content.get("queue", []),
            "service_levels": content.get("service_level", []),
            "roles": content.get("role", []),
            "loop": content.get("loop"),
            "accommodation": content.get("accommodation"),
            "coordinators": content.get("coordinator") or None,
            "wording": content.get("wording") or None,
            "notices": content.get("notices"),
            "branding": content.get("branding"),
            "legal_name": about.legal_name,
            "host": about.host,
            "review_days": about.review_days,
            "outline": model.outline,
        }
        return {
            "kind": about.kind,
            "name": about.name,
            "short_name": about.short_name,
            "zone": about.zone,
            "fiscal_year_starts_in": about.fiscal_year_start_month,
            "settings": {name: value for name, value in settings.items() if value is not None},
        }

    def add(
        self,
        desk: Desk,
        key: str,
        new: TenantRecord,
        old: Stored[TenantRecord] | None,  # noqa: ARG002
    ) -> UUID:
        """Insert the partner."""
        desk.put(
            Tenant(
                tenant_id=desk.tenant_id,
                id=desk.tenant_id,
                slug=key,
                revision=1,
                **self._columns(new),
            )
        )
        return desk.tenant_id

    def change(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: TenantRecord,
        old: Stored[TenantRecord],
    ) -> UUID:
        """Update the partner."""
        desk.change(Tenant, old.id, self._columns(new))
        return old.id

    def end(self, desk: Desk, key: str, old: Stored[TenantRecord]) -> None:  # noqa: ARG002
        """A partner cannot leave by its directory being away."""
        raise AlreadyInForce(f"{key} takes part; a partner does not leave by leaving out its files")


class BureauKind(KeyedRow[schema.Bureau]):
    """Bureaus."""

    name = "bureau"
    permission = Permissions.SETTINGS_EDIT
    table = Bureau

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.Bureau]]:
        """Give the bureaus."""
        return ((each.key, each) for each in files.bureaus)

    def read(self, row: Bureau, desk: Desk) -> schema.Bureau:  # noqa: ARG002
        """Give what a row says."""
        names = ("key", "name", "kind", "fund_code", "cost_centre")
        return from_plain(schema.Bureau, {name: getattr(row, name) for name in names})

    def columns(self, model: schema.Bureau) -> dict[str, Any]:
        """Give the columns."""
        return {
            "name": model.name,
            "kind": model.kind,
            "fund_code": model.fund_code,
            "cost_centre": model.cost_centre,
        }


class LineKind(KeyedRow[schema.Line]):
    """Public lines with their hours."""

    name = "line"
    permission = Permissions.SETTINGS_EDIT
    table = Line

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.Line]]:
        """Give the lines."""
        return ((each.key, each) for each in files.about.line)

    def read(self, row: Line, desk: Desk) -> schema.Line:  # noqa: ARG002
        """Give what a row says."""
        names = ("key", "name", "channel", "address", "closed_answer")
        content: dict[str, Any] = {name: getattr(row, name) for name in names}
        content["hours"] = {
            day: [span if isinstance(span, str) else "-".join(span) for span in spans]
            for day, spans in row.hours.items()
        }
        content["fallback"], content["special_day"] = row.fallbacks, row.special_days
        return from_plain(schema.Line, content)

    def columns(self, model: schema.Line) -> dict[str, Any]:
        """Give the columns."""
        return {
            "name": model.name,
            "channel": model.channel,
            "address": model.address,
            "closed_answer": model.closed_answer,
            "fallbacks": [canonical(each) for each in model.fallback],
            "special_days": [canonical(each) for each in model.special_day],
            "hours": {
                day: [span.split("-") for span in spans]
                for day, spans in canonical(model.hours).items()
            },
        }


class AccountKind(Kind[schema.Account]):
    """Accounts of the chart; their key is their identity."""

    name = "account"
    permission = Permissions.SETTINGS_EDIT

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.Account]]:
        """Give the accounts."""
        return ((each.key, each) for each in files.about.account)

    def stored(self, desk: Desk) -> dict[str, Stored[schema.Account]]:
        """Give the accounts by key."""
        names = ("key", "name", "type", "external_code", "fund_code", "cost_centre")
        return {
            row.key: Stored(
                desk.tenant_id,
                from_plain(schema.Account, {name: getattr(row, name) for name in names}),
                live=row.ended_on is None,
                gone=_over(row.ended_on, desk.today),
            )
            for row in desk.rows(Account)
        }

    def _write(self, desk: Desk, key: str, values: Mapping[str, Any]) -> None:
        send(desk.session)
        desk.session.execute(
            update(Account)
            .where(Account.tenant_id == desk.tenant_id, Account.key == key)
            .values(dict(values)),
            execution_options={"synchronize_session": False},
        )

    def add(
        self, desk: Desk, key: str, new: schema.Account, old: Stored[schema.Account] | None
    ) -> UUID:
        """Insert the account, or take it up again."""
        columns = new.model_dump(exclude={"key"})
        if old is not None:
            self._write(desk, key, {**columns, "ended_on": None})
        else:
            desk.put(Account(tenant_id=desk.tenant_id, key=key, ended_on=None, **columns))
        return desk.tenant_id

    def change(
        self, desk: Desk, key: str, new: schema.Account, old: Stored[schema.Account]
    ) -> UUID:
        """Update the account; its side of the books stays."""
        if new.type != old.model.type:
            raise AlreadyInForce(f"account {key} is of type {old.model.type}; add another account")
        self._write(desk, key, new.model_dump(exclude={"key"}))
        return desk.tenant_id

    def end(self, desk: Desk, key: str, old: Stored[schema.Account]) -> None:  # noqa: ARG002
        """Close the account to new postings."""
        self._write(desk, key, {"ended_on": desk.today})


class BoundaryRecord(schema.Boundary):
    """A boundary with its geometry; its file always has its key's name."""

    geometry: dict[str, Any] = Field(description="GeoJSON geometry.")


class BoundaryKind(KeyedRow[BoundaryRecord]):
    """Areas and lines."""

    name = "boundary"
    permission = Permissions.SETTINGS_EDIT
    table = Boundary

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, BoundaryRecord]]:
        """Give the boundaries with their geometry."""
        for each in files.boundaries:
            content = {name: getattr(each.entry, name) for name in type(each.entry).model_fields}
            content |= {"file": f"{each.key}.geojson", "geometry": dict(each.geometry)}
            yield each.key, BoundaryRecord.model_construct(**content)

    def read(self, row: Boundary, desk: Desk) -> BoundaryRecord:  # noqa: ARG002
        """Give what a row says."""
        names = ("key", "name", "kind", "tolerance_m", "names", "source", "illustrative")
        content: dict[str, Any] = {name: getattr(row, name) for name in names}
        content |= {
            "agency": row.agency_key,
            "geometry": row.geometry,
            "file": f"{row.key}.geojson",
        }
        return from_plain(BoundaryRecord, content)

    def columns(self, model: BoundaryRecord) -> dict[str, Any]:
        """Give the columns."""
        return {
            "name": model.name,
            "kind": model.kind,
            "geometry": model.geometry,
            "tolerance_m": model.tolerance_m,
            "names": list(model.names),
            "agency_key": model.agency,
            "source": model.source,
            "illustrative": model.illustrative,
        }


class VersionedRow(KeyedRow[M]):
    """Kinds whose changes are versions; what was imported is kept in its own package."""

    permission = Permissions.SERVICE_EDIT
    said_of: Callable[[Any], M]
    columns_of: Callable[[M], dict[str, Any]]
    write: Callable[..., UUID]

    def stored(self, desk: Desk) -> dict[str, Stored[M]]:
        """Give what is kept here, by key."""
        return {
            row.key: Stored(
                row.id,
                self.read(row, desk),
                live=row.ended_on is None,
                gone=_over(row.ended_on, desk.today),
            )
            for row in desk.rows(self.table, self.table.source == "kept")
        }

    def read(self, row: Any, desk: Desk) -> M:  # noqa: ARG002
        """Give what a row says."""
        return self.said_of(row)

    def columns(self, model: M) -> dict[str, Any]:
        """Give the columns."""
        return self.columns_of(model)

    def add(self, desk: Desk, key: str, new: M, old: Stored[M] | None) -> UUID:  # noqa: ARG002
        """Publish it as its first version, or take it up again."""
        return self.write(
            desk.session,
            new,
            known=None if old is None else old.id,
            today=desk.today,
            now=desk.now,
            person_id=desk.person_id,
            source="file",
            unversioned=desk.fresh,
        )

    def change(self, desk: Desk, key: str, new: M, old: Stored[M]) -> UUID:
        """Publish a new version."""
        return self.add(desk, key, new, old)


class OrganizationKind(VersionedRow[offer.Organization]):
    """Bodies that provide services."""

    name = "organization"
    table = Organization
    said_of = staticmethod(catalog.said_organization)
    columns_of = staticmethod(catalog.organization_columns)
    write = staticmethod(catalog.write_organization)

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, offer.Organization]]:
        """Give the organisations."""
        return ((each.key, each) for each in files.organizations)


class LocationKind(VersionedRow[offer.Location]):
    """Places where services are given."""

    name = "location"
    table = Location
    said_of = staticmethod(catalog.said_location)
    columns_of = staticmethod(catalog.location_columns)
    write = staticmethod(catalog.write_location)

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, offer.Location]]:
        """Give the locations."""
        return ((each.key, each) for each in files.locations)


class TaxonomyKind(Kind[offer.Taxonomy]):
    """Trees of terms; what was imported is kept in its own file."""

    name = "taxonomy"
    permission = Permissions.SERVICE_EDIT

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, offer.Taxonomy]]:
        """Give the taxonomies."""
        return ((each.key, each) for each in files.taxonomies)

    def stored(self, desk: Desk) -> dict[str, Stored[offer.Taxonomy]]:
        """Give the taxonomies that are kept here, by key, in two statements."""
        return {
            row.key: Stored(
                row.id, model, live=row.ended_on is None, gone=_over(row.ended_on, desk.today)
            )
            for row, model in taxonomies.kept_taxonomies(desk.session, desk.tenant_id)
        }

    def add(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: offer.Taxonomy,
        old: Stored[offer.Taxonomy] | None,  # noqa: ARG002
    ) -> UUID:
        """Insert the taxonomy with its terms, or take it up again."""
        return taxonomies.write_taxonomy(desk.session, new, source="kept", today=desk.today)

    def change(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: offer.Taxonomy,
        old: Stored[offer.Taxonomy],  # noqa: ARG002
    ) -> UUID:
        """Update the terms that changed, end those that are gone."""
        return taxonomies.write_taxonomy(desk.session, new, source="kept", today=desk.today)

    def end(self, desk: Desk, key: str, old: Stored[offer.Taxonomy]) -> None:  # noqa: ARG002
        """End the taxonomy."""
        taxonomies.end_taxonomy(desk.session, old.id, desk.today)


class CrosswalkKind(Kind[offer.Crosswalk]):
    """How terms of different taxonomies relate."""

    name = "crosswalk"
    permission = Permissions.SERVICE_EDIT

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, offer.Crosswalk]]:
        """Give the crosswalks."""
        return ((taxonomies.crosswalk_key(each), each) for each in files.crosswalks)

    def stored(self, desk: Desk) -> dict[str, Stored[offer.Crosswalk]]:
        """Give the crosswalks by their two terms."""
        return {
            f"{row.term_ref} {row.other_ref}": Stored(
                row.id,
                taxonomies.said_crosswalk(row),
                live=row.ended_on is None,
                gone=_over(row.ended_on, desk.today),
            )
            for row in sorted(
                desk.rows(TermCrosswalk), key=lambda each: (each.term_ref, each.other_ref)
            )
        }

    def add(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: offer.Crosswalk,
        old: Stored[offer.Crosswalk] | None,
    ) -> UUID:
        """Insert the crosswalk, or take it up again."""
        known_id = None if old is None else old.id
        return taxonomies.write_crosswalk(desk.session, new, known_id=known_id)

    def change(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: offer.Crosswalk,
        old: Stored[offer.Crosswalk],
    ) -> UUID:
        """Update the crosswalk."""
        return taxonomies.write_crosswalk(desk.session, new, known_id=old.id)

    def end(self, desk: Desk, key: str, old: Stored[offer.Crosswalk]) -> None:  # noqa: ARG002
        """End the crosswalk."""
        taxonomies.end_crosswalk(desk.session, old.id, desk.today)


class QuestionGroupKind(KeyedRow[offer.QuestionGroup]):
    """Groups of questions that several forms share."""

    name = "question_group"
    permission = Permissions.SERVICE_EDIT
    table = QuestionGroup

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, offer.QuestionGroup]]:
        """Give the groups."""
        return ((each.key, each) for each in files.groups)

    def read(self, row: QuestionGroup, desk: Desk) -> offer.QuestionGroup:  # noqa: ARG002
        """Give what a row says."""
        return said_group(row)

    def columns(self, model: offer.QuestionGroup) -> dict[str, Any]:
        """Give the columns."""
        return group_writer.group_columns(model)

    def add(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: offer.QuestionGroup,
        old: Stored[offer.QuestionGroup] | None,
    ) -> UUID:
        """Publish the group as its first version, or take it up again."""
        return self._write(desk, new, old)

    def change(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: offer.QuestionGroup,
        old: Stored[offer.QuestionGroup],
    ) -> UUID:
        """Publish a new version, in every form that puts the group in."""
        return self._write(desk, new, old)

    @staticmethod
    def _write(
        desk: Desk, new: offer.QuestionGroup, old: Stored[offer.QuestionGroup] | None
    ) -> UUID:
        return group_writer.write_group(
            desk.session,
            new,
            known=None if old is None else old.id,
            now=desk.now,
            person_id=desk.person_id,
            source="file",
            unversioned=desk.fresh,
        )


class ServiceKind(KeyedRow[offer.Service]):
    """Services with their dated dispositions; what was imported is kept in its own package."""

    name = "service"
    permission = Permissions.SERVICE_EDIT
    table = Service

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, offer.Service]]:
        """Give the services."""
        return ((each.key, each) for each in files.services)

    def content(self, model: offer.Service) -> dict[str, Any]:
        """Give what counts: dispositions by date, whatever their order in the file."""
        return catalog.canonical_service(model)

    def stored(self, desk: Desk) -> dict[str, Stored[offer.Service]]:
        """Give the services by key, in two statements."""
        return {
            row.key: Stored(
                row.id, model, live=row.ended_on is None, gone=_over(row.ended_on, desk.today)
            )
            for row, model in catalog.kept_services(desk.session, desk.tenant_id)
        }

    def read(self, row: Service, desk: Desk) -> offer.Service:
        """Give what a row and its dispositions say."""
        return self.stored(desk)[row.key].model

    def columns(self, model: offer.Service) -> dict[str, Any]:
        """Give the columns of the service itself."""
        return catalog.service_columns(model)

    def add(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: offer.Service,
        old: Stored[offer.Service] | None,
    ) -> UUID:
        """Insert the service with its dispositions, or take it up again."""
        return self._write(desk, new, old)

    def change(self, desk: Desk, key: str, new: offer.Service, old: Stored[offer.Service]) -> UUID:  # noqa: ARG002
        """Update the service, and the dispositions that have not begun."""
        return self._write(desk, new, old)

    @staticmethod
    def _write(desk: Desk, new: offer.Service, old: Stored[offer.Service] | None) -> UUID:
        return catalog.write_service(
            desk.session,
            new,
            known=None if old is None else (old.id, old.model),
            today=desk.today,
            now=desk.now,
            person_id=desk.person_id,
            source="file",
            unversioned=desk.fresh,
        )


class ArticleKind(Kind[ArticleSaid]):
    """Answers, scripts and notices."""

    name = "article"
    permission = Permissions.SERVICE_EDIT

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, ArticleSaid]]:
        """Give the articles."""
        return ((each.key, each) for each in files.articles)

    def stored(self, desk: Desk) -> dict[str, Stored[ArticleSaid]]:
        """Give the articles by key."""
        return {
            row.key: Stored(
                row.id,
                article_writer.said_article(row),
                live=row.ended_on is None and not _over(row.valid_to, desk.today),
                gone=_over(row.ended_on, desk.today),
            )
            for row in desk.rows(Article)
        }

    def add(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: ArticleSaid,
        old: Stored[ArticleSaid] | None,
    ) -> UUID:
        """Publish the article, or take it up again."""
        return self._write(desk, new, old)

    def change(self, desk: Desk, key: str, new: ArticleSaid, old: Stored[ArticleSaid]) -> UUID:  # noqa: ARG002
        """Publish what it says now."""
        return self._write(desk, new, old)

    def end(self, desk: Desk, key: str, old: Stored[ArticleSaid]) -> None:  # noqa: ARG002
        """Write today as the first day on which it is no more."""
        desk.change(Article, old.id, {"ended_on": desk.today})

    @staticmethod
    def _write(desk: Desk, new: ArticleSaid, old: Stored[ArticleSaid] | None) -> UUID:
        return article_writer.write_article(
            desk.session,
            new,
            tenant=desk.slugs[desk.tenant_id],
            known=None if old is None else old.id,
            today=desk.today,
            now=desk.now,
            person_id=desk.person_id,
            source="file",
        )


class _TextKind(Kind[M]):
    """Prepared texts of one purpose; leaving one out offers it no more."""

    permission = Permissions.INBOX_EDIT
    model: type[M]
    purpose: prepared_texts.Purpose

    def stored(self, desk: Desk) -> dict[str, Stored[M]]:
        """Give the texts by key."""
        return {
            row.key: Stored(
                row.id,
                from_plain(self.model, self._read(row)),
                live=row.ended_at is None,
                gone=row.ended_at is not None,
            )
            for row in desk.rows(PreparedText, PreparedText.purpose == self.purpose)
        }

    def _read(self, row: PreparedText) -> dict[str, Any]:
        about = {"key": row.key, "name": row.name, "words": prepared_texts.words_said(row.words)}
        if self.purpose == "answer":
            return about | {"channel": row.channel}
        return about | {"service": row.service_key, "resolution": row.resolution}

    def _columns(self, desk: Desk, model: Any) -> dict[str, Any]:
        return {
            "name": model.name,
            "channel": getattr(model, "channel", None),
            "service_key": getattr(model, "service", None),
            "resolution": getattr(model, "resolution", None),
            "words": {each.language: each.text.strip() for each in model.words},
            "changed_at": desk.now,
            "changed_by": desk.person_id,
            "ended_at": None,
        }

    def content(self, model: M) -> dict[str, Any]:
        """Give what counts: the order of languages and blanks at the ends mean nothing."""
        found = canonical(model)
        found["words"] = prepared_texts.words_said(
            {each["language"]: each["text"].strip() for each in found["words"]}
        )
        return found

    def add(self, desk: Desk, key: str, new: M, old: Stored[M] | None) -> UUID:
        """Insert the text, or offer it again."""
        if old is not None:
            return self.change(desk, key, new, old)
        row_id = new_id()
        desk.put(
            PreparedText(
                tenant_id=desk.tenant_id,
                id=row_id,
                key=key,
                purpose=self.purpose,
                version=1,
                **self._columns(desk, new),
            )
        )
        return row_id

    def change(self, desk: Desk, key: str, new: M, old: Stored[M]) -> UUID:  # noqa: ARG002
        """Write what it says now; a form that was open meanwhile is told."""
        version = {"version": PreparedText.version + 1}
        desk.change(PreparedText, old.id, self._columns(desk, new) | version)
        return old.id

    def end(self, desk: Desk, key: str, old: Stored[M]) -> None:  # noqa: ARG002
        """Offer it no more."""
        desk.change(PreparedText, old.id, {"ended_at": desk.now})


class ClosingTextKind(_TextKind[prepared_texts.ClosingText]):
    """What requests are closed with."""

    name = "closing_text"
    model = prepared_texts.ClosingText
    purpose = "closing"

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, prepared_texts.ClosingText]]:
        """Give the texts."""
        return ((each.key, each) for each in files.closing_texts)


class AnswerTextKind(_TextKind[prepared_texts.AnswerText]):
    """What is answered often."""

    name = "answer_text"
    model = prepared_texts.AnswerText
    purpose = "answer"

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, prepared_texts.AnswerText]]:
        """Give the texts."""
        return ((each.key, each) for each in files.answer_texts)


class SynonymKind(KeyedRow[offer.Synonym]):
    """What people say for the words that services are described in."""

    name = "synonym"
    permission = Permissions.SERVICE_EDIT
    table = Synonym

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, offer.Synonym]]:
        """Give the synonyms."""
        return ((each.key, each) for each in files.synonyms)

    def read(self, row: Synonym, desk: Desk) -> offer.Synonym:  # noqa: ARG002
        """Give what a row says."""
        return synonyms.said_synonym(row)

    def columns(self, model: offer.Synonym) -> dict[str, Any]:
        """Give the columns."""
        return synonyms.synonym_columns(model)


class AcceptanceKind(KeyedRow[Acceptance]):
    """What the partner takes from whom."""

    name = "acceptance"
    permission = Permissions.RULE_EDIT
    table = AcceptancePolicy

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, Acceptance]]:
        """Give the policies."""
        return ((each.key, each) for each in files.acceptance)

    def read(self, row: AcceptancePolicy, desk: Desk) -> Acceptance:  # noqa: ARG002
        """Give what a row says."""
        return from_plain(Acceptance, row.said)

    def columns(self, model: Acceptance) -> dict[str, Any]:
        """Give the columns."""
        return {"said": canonical(model)}


class ProgressKind(KeyedRow[Progress]):
    """The partner's own words for how far a referral is."""

    name = "progress"
    permission = Permissions.RULE_EDIT
    table = ProgressWord

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, Progress]]:
        """Give the words."""
        return ((each.key, each) for each in files.progress)

    def read(self, row: ProgressWord, desk: Desk) -> Progress:  # noqa: ARG002
        """Give what a row says."""
        return from_plain(Progress, {"key": row.key, "name": row.name, "state": row.state})

    def columns(self, model: Progress) -> dict[str, Any]:
        """Give the columns."""
        return {"name": model.name, "state": model.state}


class ConnectionKind(Kind[schema.Connection]):
    """The system of its own in which the partner works; the secret is no file's to say.

    One that a file makes has none yet: nothing goes or comes until somebody makes or enters it.
    """

    name = "connection"
    permission = Permissions.SETTINGS_EDIT

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.Connection]]:
        """Give the one connection, if there is one."""
        if files.connection is not None:
            yield self.name, files.connection

    def stored(self, desk: Desk) -> dict[str, Stored[schema.Connection]]:
        """Give the current connection."""
        found = (each for each in systems.systems(desk.session) if each.ended_at is None)
        current = next(found, None)
        return {} if current is None else {self.name: Stored(current.id, self._read(current))}

    def _read(self, row: systems.System) -> schema.Connection:
        service = [{"key": ours, "known_as": theirs} for ours, theirs in row.services.items()]
        content = {
            name: getattr(row, name) for name in ("name", "way", "address", "key_id", "known_as")
        }
        return from_plain(schema.Connection, content | {"service": service})

    def content(self, model: schema.Connection) -> dict[str, Any]:
        """Give what counts: the order of services means nothing."""
        found = canonical(model)
        if "service" in found:
            found["service"] = sorted(found["service"], key=lambda each: str(each["key"]))
        return found

    def _values(self, model: schema.Connection) -> dict[str, Any]:
        return {
            **model.model_dump(exclude={"service"}),
            "services": {each.key: each.known_as for each in model.service},
        }

    def add(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: schema.Connection,
        old: Stored[schema.Connection] | None,  # noqa: ARG002
    ) -> UUID:
        """Make it, without a secret."""
        return systems.prepare(desk.session, **self._values(new), now=desk.now)

    def change(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: schema.Connection,
        old: Stored[schema.Connection],
    ) -> UUID:
        """Change it in place; its secret and how far it has come stay."""
        systems.amend(desk.session, old.id, **self._values(new), now=desk.now)
        return old.id

    def end(self, desk: Desk, key: str, old: Stored[schema.Connection]) -> None:  # noqa: ARG002
        """End it now: what is open is worked here again."""
        systems.end(desk.session, old.id, now=desk.now)


class RulesKind(Kind[schema.RulesFile]):
    """The partner's rules as one set; a changed set is a new version."""

    name = "rules"
    permission = Permissions.RULE_EDIT

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.RulesFile]]:
        """Give the one set."""
        if files.rules is not None:
            yield "rules", files.rules

    def content(self, model: schema.RulesFile) -> dict[str, Any]:
        """Give the rules and their tests; from when they hold is the version's, not theirs."""
        said = canonical(model)
        return {name: said[name] for name in ("rule", "case") if name in said}

    def stored(self, desk: Desk) -> dict[str, Stored[schema.RulesFile]]:
        """Give the newest version that is published and not over."""
        rows = [
            row
            for row in desk.rows(RuleSet, RuleSet.published.is_not(None))
            if row.published is not None and not row.published.isempty
        ]
        if not rows:
            return {}
        newest = max(rows, key=lambda row: (row.published.lower or date.min, row.version))
        table = {"valid_from": newest.published.lower, "title": newest.title}
        content = {
            "rule_set": table,
            "rule": [flat(each) for each in newest.rules],
            "case": newest.cases,
        }
        ended = _over(newest.published.upper, desk.today)
        model = from_plain(schema.RulesFile, content)
        return {"rules": Stored(newest.id, model, live=not ended, gone=ended)}

    def add(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: schema.RulesFile,
        old: Stored[schema.RulesFile] | None,  # noqa: ARG002
    ) -> UUID:
        """Publish the first version, or another after all had ended."""
        return self._version(desk, new)

    def change(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: schema.RulesFile,
        old: Stored[schema.RulesFile],  # noqa: ARG002
    ) -> UUID:
        """Publish a new version and end the one before it, or leave a draft to be approved."""
        return self._version(desk, new)

    def end(self, desk: Desk, key: str, old: Stored[schema.RulesFile]) -> None:  # noqa: ARG002
        """End the published version."""
        self._end_others(desk, desk.today)

    def _version(self, desk: Desk, new: schema.RulesFile) -> UUID:
        given = new.rule_set.valid_from
        start = given if given is not None and (desk.fresh or given > desk.today) else desk.today
        rows = desk.rows(RuleSet)
        said = self.content(new)
        row_id = new_id()
        if not desk.drafts:
            self._end_others(desk, start)
        desk.put(
            RuleSet(
                tenant_id=desk.tenant_id,
                id=row_id,
                version=max((row.version for row in rows), default=0) + 1,
                state="draft" if desk.drafts else "published",
                published=None if desk.drafts else _days(start, None),
                rules=said["rule"],
                cases=said.get("case", []),
                title=new.rule_set.title,
                digest=digest(said),
                drafted_by=desk.person_id,
                approved_by=None,
                created_at=desk.now,
            )
        )
        return row_id

    @staticmethod
    def _end_others(desk: Desk, start: date) -> None:
        for row in desk.rows(RuleSet, RuleSet.published.is_not(None)):
            valid = row.published
            if valid.isempty or (valid.upper is not None and valid.upper <= start):
                continue
            begun = valid.lower is None or valid.lower < start
            ended = _days(valid.lower, start) if begun else EMPTY
            state = "published" if begun else "retired"
            desk.change(RuleSet, row.id, {"published": ended, "state": state})


class RateKind(Kind[schema.Rate]):
    """Prices; a changed price is a correction that keeps what was known before."""

    name = "rate"
    permission = Permissions.RATE_EDIT

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.Rate]]:
        """Give the prices."""
        return ((each.key, each) for each in files.rates)

    def stored(self, desk: Desk) -> dict[str, Stored[schema.Rate]]:
        """Give the prices as they are known now."""
        found = {}
        for row in desk.rows(Rate):
            if row.recorded.isempty or row.recorded.upper is not None:
                continue
            found[row.key] = Stored(
                row.id,
                from_plain(schema.Rate, rate_plain(row)),
                live=not _over(row.valid.upper, desk.today),
            )
        return found

    def add(self, desk: Desk, key: str, new: schema.Rate, old: Stored[schema.Rate] | None) -> UUID:
        """Insert the price."""
        if old is not None:
            return self.change(desk, key, new, old)
        recorded = ALWAYS_KNOWN if desk.fresh else Range(desk.now, None, bounds="[)")
        return self._insert(desk, new, recorded)

    def change(self, desk: Desk, key: str, new: schema.Rate, old: Stored[schema.Rate]) -> UUID:  # noqa: ARG002
        """Insert what is known from now on; `release` has closed what was known until now."""
        return self._insert(desk, new, Range(desk.now, None, bounds="[)"))

    def release(self, desk: Desk, old: Stored[schema.Rate]) -> None:
        """Close what was known until now, before anything takes its place."""
        row = desk.rows(Rate, Rate.id == old.id)[0]
        desk.change(Rate, old.id, {"recorded": Range(row.recorded.lower, desk.now, bounds="[)")})

    def end(self, desk: Desk, key: str, old: Stored[schema.Rate]) -> None:
        """Let the price hold until today; one that never began is closed without successor."""
        if old.model.valid_from < desk.today:
            ended = old.model.model_copy(update={"valid_to": desk.today})
            self.change(desk, key, ended, old)

    @staticmethod
    def _insert(desk: Desk, new: schema.Rate, recorded: Range[datetime]) -> UUID:
        row_id = new_id()
        desk.put(
            Rate(
                tenant_id=desk.tenant_id,
                id=row_id,
                recorded=recorded,
                **rate_said(new).values(),
            )
        )
        return row_id


class BaseKind(Kind[schema.AllocationBase]):
    """What costs are divided by; a change is a further version."""

    name = "base"
    permission = Permissions.POOL_EDIT
    needs_approval = True

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.AllocationBase]]:
        """Give the bases."""
        return ((each.key, each) for each in files.bases)

    def content(self, model: schema.AllocationBase) -> dict[str, Any]:
        """Give what counts: the parts of a mix, whatever their order in the file."""
        content = canonical(model)
        if "part" in content:
            content["part"] = sorted(content["part"], key=lambda one: one["base"])
        return content

    def stored(self, desk: Desk) -> dict[str, Stored[schema.AllocationBase]]:
        """Give the newest version of each base."""
        names = ("key", "name", "kind", "counts", "rolling_quarters", "note", "valid_from")
        newest = {
            row.key: row for row in sorted(desk.rows(AllocationBase), key=lambda each: each.number)
        }
        return {
            key: Stored(
                row.id,
                from_plain(
                    schema.AllocationBase,
                    {name: getattr(row, name) for name in names} | {"part": row.parts},
                ),
                live=row.ended_on is None,
                gone=_over(row.ended_on, desk.today),
            )
            for key, row in newest.items()
        }

    def add(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: schema.AllocationBase,
        old: Stored[schema.AllocationBase] | None,
    ) -> UUID:
        """Insert the first version; of a fresh partner it is known from the beginning."""
        return self._insert(desk, new, old, None if desk.fresh else desk.now)

    def change(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: schema.AllocationBase,
        old: Stored[schema.AllocationBase],
    ) -> UUID:
        """Insert the version that follows; whoever applies files answers for both people."""
        return self._insert(desk, new, old, desk.now)

    def end(self, desk: Desk, key: str, old: Stored[schema.AllocationBase]) -> None:  # noqa: ARG002
        """Insert a version that ends today."""
        self._insert(desk, old.model, old, desk.now, ended_on=desk.today)

    @staticmethod
    def _insert(
        desk: Desk,
        new: schema.AllocationBase,
        old: Stored[schema.AllocationBase] | None,
        stored_at: datetime | None,
        *,
        ended_on: date | None = None,
    ) -> UUID:
        number, row_id = 1, new_id()
        if old is not None:
            (before,) = desk.rows(AllocationBase, AllocationBase.id == old.id)
            number = before.number + 1
        desk.put(
            AllocationBase(
                tenant_id=desk.tenant_id,
                id=row_id,
                key=new.key,
                number=number,
                stored_at=stored_at,
                approved_by=desk.person_id,
                **replace(base_said(new), ended_on=ended_on).values(),
            )
        )
        return row_id


class SnapshotKind(Kind[schema.BaseSnapshot]):
    """The readings of bases, which stay as they were taken."""

    name = "base_snapshot"
    permission = Permissions.POOL_EDIT
    needs_approval = True

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.BaseSnapshot]]:
        """Give the snapshots of every base."""
        return ((f"{each.base} {each.number}", each) for each in files.snapshots)

    def stored(self, desk: Desk) -> dict[str, Stored[schema.BaseSnapshot]]:
        """Give the snapshots by base and number."""
        return {
            f"{row.base_key} {row.number}": Stored(
                row.id,
                from_plain(
                    schema.BaseSnapshot,
                    {
                        "base": row.base_key,
                        "number": row.number,
                        "as_of": row.as_of,
                        "source": row.source,
                        "readings": row.readings,
                    },
                ),
            )
            for row in desk.rows(BaseSnapshot)
        }

    def add(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: schema.BaseSnapshot,
        old: Stored[schema.BaseSnapshot] | None,  # noqa: ARG002
    ) -> UUID:
        """Insert the snapshot."""
        row_id = new_id()
        desk.put(
            BaseSnapshot(
                tenant_id=desk.tenant_id,
                id=row_id,
                base_key=new.base,
                number=new.number,
                as_of=new.as_of,
                source=new.source,
                readings=readings_text(new.readings),
                digest=snapshot_digest(new.as_of, new.source, new.readings),
                taken_at=_taken_at(desk, new.as_of),
                approved_by=desk.person_id,
            )
        )
        return row_id

    def change(
        self,
        desk: Desk,  # noqa: ARG002
        key: str,
        new: schema.BaseSnapshot,  # noqa: ARG002
        old: Stored[schema.BaseSnapshot],  # noqa: ARG002
    ) -> UUID:
        """A snapshot is what was known then."""
        raise AlreadyInForce(f"snapshot {key} stays as it was taken; add another that corrects it")

    def end(self, desk: Desk, key: str, old: Stored[schema.BaseSnapshot]) -> None:  # noqa: ARG002
        """Bills may rest on it."""
        raise AlreadyInForce(f"snapshot {key} stays on record and cannot be left out")


def _taken_at(desk: Desk, as_of: date) -> datetime:
    """When a snapshot became known: for a fresh partner, when the days it tells of had ended."""
    if not desk.fresh:
        return desk.now
    ended = datetime.combine(as_of + timedelta(days=1), time(), tzinfo=UTC)
    return min(desk.now, ended)


class SplitKind(KeyedRow[schema.BillSplit]):
    """How the partner divides what it is billed."""

    name = "bill_split"
    permission = Permissions.POOL_EDIT
    table = BillSplit

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.BillSplit]]:
        """Give the rules."""
        return ((each.key, each) for each in files.splits)

    def read(self, row: Any, desk: Desk) -> schema.BillSplit:  # noqa: ARG002
        """Give what a row says."""
        return from_plain(
            schema.BillSplit,
            {
                "key": row.key,
                "name": row.name,
                "agreement": row.agreement_key,
                "base": row.base_key,
                "part": row.parts,
            },
        )

    def columns(self, model: schema.BillSplit) -> dict[str, Any]:
        """Give the columns."""
        return {
            "name": model.name,
            "agreement_key": model.agreement,
            "base_key": model.base,
            "parts": split_parts(model),
        }


class MappingKind(KeyedRow[schema.LedgerMapping]):
    """How postings map to the partner's own general ledger."""

    name = "ledger_mapping"
    permission = Permissions.SETTINGS_EDIT
    table = GlMapping

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.LedgerMapping]]:
        """Give the mappings."""
        return ((each.key, each) for each in files.mappings)

    def read(self, row: Any, desk: Desk) -> schema.LedgerMapping:  # noqa: ARG002
        """Give what a row says."""
        names = ("key", "party", "family", "external_code", "fund_code", "cost_centre")
        content = {name: getattr(row, name) for name in names}
        return from_plain(schema.LedgerMapping, content | {"account": row.account_key})

    def columns(self, model: schema.LedgerMapping) -> dict[str, Any]:
        """Give the columns."""
        return {
            **model.model_dump(exclude={"key", "account"}),
            "account_key": model.account,
        }


class PoolKind(Kind[schema.Pool]):
    """Shared costs of a year with their shares."""

    name = "pool"
    permission = Permissions.POOL_EDIT
    needs_approval = True

    def said(
        self,
        files: TenantFiles,
        policies: Policies | None,  # noqa: ARG002
    ) -> Iterator[tuple[str, schema.Pool]]:
        """Give the pools of every year."""
        return ((f"{each.key} {each.fiscal_year}", each) for each in files.pools)

    def content(self, model: schema.Pool) -> dict[str, Any]:
        """Give what counts: shares by payer, whatever their order in the file."""
        content = canonical(model)
        if "share" in content:
            content["share"] = sorted(content["share"], key=lambda one: one["payer"])
        return content

    def stored(self, desk: Desk) -> dict[str, Stored[schema.Pool]]:
        """Give the pools by key and year."""
        shares: dict[UUID, list[dict[str, Any]]] = {}
        for row in sorted(desk.rows(PoolShare), key=lambda each: each.payer_slug):
            if row.percent:
                shares.setdefault(row.pool_id, []).append(
                    {"payer": row.payer_slug, "percent": row.percent}
                )
        found = {}
        holding = CostPool.id.in_(newest_pools(desk.tenant_id))
        for row in desk.rows(CostPool, holding):
            names = (
                "key",
                "fiscal_year",
                "name",
                "source",
                "note",
                "method",
                "step_order",
                "actual_source",
            )
            content: dict[str, Any] = {name: getattr(row, name) for name in names}
            content["amount"] = _dollars(row.yearly_cents)
            content["base"] = row.base_key
            if row.actual_cents is not None:
                content["actual_amount"] = _dollars(row.actual_cents)
            parts = {
                "account": row.sources,
                "revenue": row.revenues,
                "non_allocable": row.non_allocable,
            }
            for name, each in parts.items():
                content[name] = [_amount_said(part) for part in each]
            content["share"] = shares.get(row.id, [])
            year_over = row.fiscal_year < desk.today.year
            found[f"{row.key} {row.fiscal_year}"] = Stored(
                row.id, from_plain(schema.Pool, content), live=not year_over
            )
        return found

    def add(
        self,
        desk: Desk,
        key: str,  # noqa: ARG002
        new: schema.Pool,
        old: Stored[schema.Pool] | None,  # noqa: ARG002
    ) -> UUID:
        """Insert the first version; of a fresh partner it is known from the beginning."""
        return self._insert(desk, new, 1, None if desk.fresh else desk.now)

    def change(self, desk: Desk, key: str, new: schema.Pool, old: Stored[schema.Pool]) -> UUID:  # noqa: ARG002
        """Insert the version that follows; whoever applies files answers for both people."""
        (before,) = desk.rows(CostPool, CostPool.id == old.id)
        return self._insert(desk, new, before.number + 1, desk.now)

    @staticmethod
    def _insert(desk: Desk, new: schema.Pool, number: int, stored_at: datetime | None) -> UUID:
        rows = version(
            desk.tenant_id,
            new.key,
            new.fiscal_year,
            pool_said(new),
            number=number,
            stored_at=stored_at,
            approved_by=desk.person_id,
        )
        for row in rows:
            desk.put(row)
        return rows[0].id

    def end(self, desk: Desk, key: str, old: Stored[schema.Pool]) -> None:  # noqa: ARG002
        """A pool covers its whole year."""
        raise AlreadyInForce(f"pool {key} covers its whole year and cannot be left out before")


def _dollars(amount_cents: int) -> str:
    return decimal_text(Decimal(amount_cents) / 100, places=2)


def _amount_said(part: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: value for name, value in part.items() if name != "cents"}
    return {**said, "amount": _dollars(part["cents"])}


_POLICIES: dict[str, type[strict.Model]] = {
    "agencies": schema.AgenciesFile,
    "danger-screen": schema.DangerFile,
    "emergencies": schema.EmergenciesFile,
    "sharing": schema.SharingFile,
    "retention": schema.RetentionFile,
}


class PolicyKind(Kind[Any]):
    """The region's dated policies; a change is a new version."""

    name = "policy"
    permission = Permissions.SETTINGS_EDIT

    def said(
        self,
        files: TenantFiles,  # noqa: ARG002
        policies: Policies | None,
    ) -> Iterator[tuple[str, Any]]:
        """Give the policies, for the region only."""
        if policies is not None:
            yield "agencies", policies.agencies
            yield "danger-screen", policies.danger
            if policies.emergencies is not None:
                yield "emergencies", policies.emergencies
            yield "sharing", policies.sharing
            yield "retention", policies.retention

    def content(self, model: Any) -> dict[str, Any]:
        """Give what counts; from when it holds is the version's."""
        content = canonical(model)
        del content["policy"]["valid_from"]
        return content

    def stored(self, desk: Desk) -> dict[str, Stored[Any]]:
        """Give the newest version of each policy."""
        newest: dict[str, Policy] = {}
        for row in desk.rows(Policy):
            if row.key in _POLICIES and (
                row.key not in newest or row.valid_from > newest[row.key].valid_from
            ):
                newest[row.key] = row
        found = {}
        for key, row in newest.items():
            about = {
                **row.body["policy"],
                "valid_from": row.valid_from,
                "valid_to": row.valid_to,
            }
            model = from_plain(_POLICIES[key], {**row.body, "policy": about})
            found[key] = Stored(row.id, model, live=not _over(row.valid_to, desk.today))
        return found

    def add(self, desk: Desk, key: str, new: Any, old: Stored[Any] | None) -> UUID:
        """Insert the first version."""
        if old is not None:
            return self.change(desk, key, new, old)
        return self._insert(desk, key, new, new.policy.valid_from)

    def change(self, desk: Desk, key: str, new: Any, old: Stored[Any]) -> UUID:
        """End the version before and insert a new one; the same day's version is replaced."""
        start = max(new.policy.valid_from, desk.today)
        before = old.model.policy
        if before.valid_from >= start:
            columns = {"body": self._body(new), "valid_to": new.policy.valid_to}
            desk.change(Policy, old.id, columns)
            return old.id
        if before.valid_to is None or before.valid_to > start:
            desk.change(Policy, old.id, {"valid_to": start})
        return self._insert(desk, key, new, start)

    def end(self, desk: Desk, key: str, old: Stored[Any]) -> None:  # noqa: ARG002
        """A region needs its policies."""
        raise AlreadyInForce(f"policy {key} cannot be left out; give it a valid_to")

    def _body(self, model: Any) -> dict[str, Any]:
        content = self.content(model)
        content["policy"].pop("valid_to", None)
        return content

    def _insert(self, desk: Desk, key: str, new: Any, start: date) -> UUID:
        row_id = new_id()
        desk.put(
            Policy(
                tenant_id=desk.tenant_id,
                id=row_id,
                key=key,
                body=self._body(new),
                valid_from=start,
                valid_to=new.policy.valid_to,
            )
        )
        return row_id


class AgreementKind(Kind[schema.AgreementFile]):
    """Agreements, owned by the region; an amendment is a new version."""

    name = "agreement"
    permission = Permissions.AGREEMENT_EDIT
    needs_approval = True

    def said(
        self,
        files: TenantFiles,  # noqa: ARG002
        policies: Policies | None,
    ) -> Iterator[tuple[str, schema.AgreementFile]]:
        """Give the agreements, for the region only."""
        if policies is not None:
            yield from ((each.agreement.key, each) for each in policies.agreements)

    def stored(self, desk: Desk) -> dict[str, Stored[schema.AgreementFile]]:
        """Give the newest version of each, from the first day of the first."""
        newest: dict[str, Agreement] = {}
        first: dict[str, date] = {}
        for row in sorted(desk.rows(Agreement), key=lambda each: each.version):
            if row.valid.isempty:
                continue
            newest[row.key] = row
            first.setdefault(row.key, row.valid.lower)
        found = {}
        for key, row in newest.items():
            content = agreements.said_by(row.terms, row.payer_key)
            content["agreement"] |= {
                "key": key,
                "name": row.name,
                "provider": desk.slugs[row.provider_id],
                **_payer_said(row, desk),
                "activities": row.activities,
                "payer_rule": row.payer_rule,
                "rate_card": row.rate_card_key,
                "pool": row.pool_key,
                "valid_from": first[key],
                "valid_to": row.valid.upper,
            }
            found[key] = Stored(
                row.id,
                from_plain(schema.AgreementFile, content),
                live=not _over(row.valid.upper, desk.today),
            )
        return found

    def add(
        self,
        desk: Desk,
        key: str,
        new: schema.AgreementFile,
        old: Stored[schema.AgreementFile] | None,
    ) -> UUID:
        """Insert the first version."""
        if old is not None:
            return self.change(desk, key, new, old)
        rows = desk.rows(Agreement, Agreement.key == key)
        version = max((row.version for row in rows), default=0) + 1
        return self._insert(desk, new, version, new.agreement.valid_from)

    def change(
        self,
        desk: Desk,
        key: str,
        new: schema.AgreementFile,
        old: Stored[schema.AgreementFile],
    ) -> UUID:
        """End the version in force today and insert its amendment."""
        begun = old.model.agreement.valid_from <= desk.today
        if begun and new.agreement.valid_from != old.model.agreement.valid_from:
            raise AlreadyInForce(
                f"agreement {key} began on {old.model.agreement.valid_from}; its first day stays"
            )
        ends = new.agreement.valid_to
        if begun and ends is not None and ends < desk.today:
            raise AlreadyInForce(f"agreement {key} cannot be ended in the past, on {ends}")
        row = desk.rows(Agreement, Agreement.id == old.id)[0]
        version, lower, upper = row.version, row.valid.lower, row.valid.upper
        if lower >= desk.today:
            start = lower if begun else new.agreement.valid_from
            valid = EMPTY if ends is not None and ends <= start else _days(start, ends)
            desk.change(Agreement, old.id, {**self._columns(desk, new), "valid": valid})
            return old.id
        start = min(desk.today, upper) if upper is not None else desk.today
        if ends is not None and ends <= start:
            desk.change(Agreement, old.id, {"valid": _days(lower, ends)})
            return old.id
        desk.change(Agreement, old.id, {"valid": _days(lower, start)})
        return self._insert(desk, new, version + 1, start)

    def end(self, desk: Desk, key: str, old: Stored[schema.AgreementFile]) -> None:  # noqa: ARG002
        """Let the version in force end today; one that never began has no days at all."""
        row = desk.rows(Agreement, Agreement.id == old.id)[0]
        lower = row.valid.lower
        valid = _days(lower, desk.today) if lower < desk.today else EMPTY
        desk.change(Agreement, old.id, {"valid": valid})

    @staticmethod
    def _columns(desk: Desk, model: schema.AgreementFile) -> dict[str, Any]:
        table = model.agreement
        return {
            "name": table.name,
            "provider_id": desk.ids[table.provider],
            "payer_id": desk.ids[table.payer or table.provider],
            **_payer_columns(table),
            "activities": list(table.activities),
            "payer_rule": table.payer_rule,
            "rate_card_key": table.rate_card,
            "pool_key": table.pool,
            "terms": agreements.terms_of(model),
        }

    def _insert(self, desk: Desk, new: schema.AgreementFile, version: int, start: date) -> UUID:
        row_id = new_id()
        desk.put(
            Agreement(
                tenant_id=desk.tenant_id,
                id=row_id,
                key=new.agreement.key,
                version=version,
                valid=_days(start, new.agreement.valid_to),
                **self._columns(desk, new),
            )
        )
        return row_id


def _payer_said(row: Agreement, desk: Desk) -> dict[str, Any]:
    if row.payer_kind == "partner":
        return {"payer": desk.slugs[row.payer_id]}
    if row.payer_kind == "bureau":
        return {"payer_bureau": row.payer_key or agreements.ALL}
    return {}


def _payer_columns(table: schema.AgreementTable) -> dict[str, Any]:
    if table.outside is not None:
        return {"payer_kind": "outside", "payer_key": table.outside.key}
    if table.payer_bureau is not None:
        every = table.payer_bureau == agreements.ALL
        return {"payer_kind": "bureau", "payer_key": None if every else table.payer_bureau}
    return {"payer_kind": "partner", "payer_key": None}


KINDS: tuple[Kind[Any], ...] = (
    TenantKind(),
    BureauKind(),
    LineKind(),
    AccountKind(),
    BoundaryKind(),
    OrganizationKind(),
    LocationKind(),
    TaxonomyKind(),
    CrosswalkKind(),
    QuestionGroupKind(),
    ServiceKind(),
    ArticleKind(),
    ClosingTextKind(),
    AnswerTextKind(),
    SynonymKind(),
    AcceptanceKind(),
    ProgressKind(),
    ConnectionKind(),
    RulesKind(),
    RateKind(),
    BaseKind(),
    SnapshotKind(),
    PoolKind(),
    SplitKind(),
    MappingKind(),
    PolicyKind(),
    AgreementKind(),
)
"""Every kind, in the order in which things are written."""
