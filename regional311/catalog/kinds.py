"""The kinds of things that have versions: how each is checked, written and ended.

To add one: a `Kind` in `KINDS`. Everything in `versions` then works for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy import func, literal, select, union_all
from sqlalchemy.dialects.postgresql import JSONB

from regional311.catalog import articles, content, group_writer, service
from regional311.catalog.article_writer import said_article, write_article
from regional311.catalog.articles import article_faults
from regional311.catalog.checks import (
    Fault,
    Known,
    location_faults,
    organization_faults,
    service_faults,
)
from regional311.catalog.form_versions import stored_groups
from regional311.catalog.models import (
    Article,
    Location,
    Organization,
    QuestionGroup,
    Service,
    Taxonomy,
    TaxonomyTerm,
)
from regional311.catalog.queries import said_group
from regional311.catalog.taxonomy import taxonomy_of
from regional311.database.session import TenantSession, scope_of
from regional311.strict import Model, canonical
from regional311.tenancy.models import Boundary, Bureau, Tenant

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Stored(Generic[M]):
    """What is published of a thing, as its rows have it now."""

    id: UUID
    model: M
    ended_on: date | None = None


@dataclass(frozen=True)
class Stamp:
    """When, by whom and how a version is published; `number` is the version's."""

    today: date
    now: datetime
    person_id: UUID | None
    source: str
    number: int


@dataclass(frozen=True)
class Kind(Generic[M]):
    """One kind of thing that has versions.

    `table` holds what is published, one row a `key`, with `ended_on` for its end. `said` gives the
    canonical form that versions hold, `stored` what is published now, `faults` what is wrong with
    it beyond its shape, `write` publishes it. What was in force stays: fields in `kept` are not
    brought back with an old version.
    """

    name: str
    model: type[M]
    table: Any
    said: Callable[[M], dict[str, Any]]
    stored: Callable[[TenantSession, str], Stored[M] | None]
    faults: Callable[[TenantSession, M], Iterable[Fault]]
    write: Callable[[TenantSession, M, Stored[M] | None, Stamp], UUID]
    kept: frozenset[str] = frozenset()


def named_things(session: TenantSession) -> dict[str, dict[str, str]]:
    """Give what this partner's services may name as key to name, by table and `queues`.

    One statement; what has ended is left out.
    """
    me = scope_of(session).tenant_id
    parts = [
        select(literal(table.__tablename__).label("kind"), table.key, table.name).where(
            table.tenant_id == me, table.ended_on.is_(None)
        )
        for table in (Bureau, Boundary, Location, Organization)
    ]
    queues = func.jsonb_array_elements(Tenant.settings["queues"], type_=JSONB)
    parts.append(
        select(literal("queues"), queues["key"].astext, queues["name"].astext).where(
            Tenant.tenant_id == me, Tenant.id == me
        )
    )
    found: dict[str, dict[str, str]] = {}
    for kind, key, name in session.execute(union_all(*parts)):
        found.setdefault(kind, {})[key] = name
    return found


def known_keys(session: TenantSession) -> Known:
    """Give the keys that this partner's services may name, in one statement."""
    return known_of(named_things(session))


def known_of(named: Mapping[str, Mapping[str, str]]) -> Known:
    """Give the keys of what `named_things` found."""
    return Known(
        bureaus=set(named.get("bureaus", ())),
        queues=set(named.get("queues", ())),
        boundaries=set(named.get("boundaries", ())),
        locations=set(named.get("locations", ())),
        organizations=set(named.get("organizations", ())),
    )


def term_codes(session: TenantSession, refs: Iterable[str]) -> dict[str, frozenset[str]]:
    """Give the codes of the taxonomies that these references name, as far as they are here."""
    codes: dict[str, set[str]] = {}
    for key, code in session.execute(
        select(Taxonomy.key, TaxonomyTerm.code)
        .join(
            TaxonomyTerm,
            (TaxonomyTerm.tenant_id == Taxonomy.tenant_id)
            & (TaxonomyTerm.taxonomy_id == Taxonomy.id),
        )
        .where(
            Taxonomy.key.in_({taxonomy_of(ref) for ref in refs}),
            Taxonomy.ended_on.is_(None),
            TaxonomyTerm.ended_on.is_(None),
        )
    ):
        codes.setdefault(key, set()).add(code)
    return {key: frozenset(each) for key, each in codes.items()}


def _stored_service(session: TenantSession, key: str) -> Stored[content.Service] | None:
    found = service.stored_service(session, key)
    return None if found is None else Stored(found[0].id, found[1], found[0].ended_on)


def _stored_row(
    table: Any, read: Callable[[Any], M]
) -> Callable[[TenantSession, str], Stored[M] | None]:
    def stored(session: TenantSession, key: str) -> Stored[M] | None:
        row = session.execute(
            select(table)
            .where(table.tenant_id == scope_of(session).tenant_id, table.key == key)
            .execution_options(populate_existing=True)
        ).scalar_one_or_none()
        return None if row is None else Stored(row.id, read(row), row.ended_on)

    return stored


def _service_faults(session: TenantSession, model: content.Service) -> Iterable[Fault]:
    known = known_keys(session)
    if any(each.kind == "group" for each in model.question):
        known = replace(known, groups=stored_groups(session))
    if model.taxonomy:
        known = replace(known, terms=term_codes(session, model.taxonomy))
    return service_faults(model, known)


def _location_faults(session: TenantSession, model: content.Location) -> Iterable[Fault]:
    return location_faults(model, known_keys(session))


def _organization_faults(session: TenantSession, model: content.Organization) -> Iterable[Fault]:
    return organization_faults(model, known_keys(session))


def _article_faults(session: TenantSession, model: articles.Article) -> Iterable[Fault]:
    me = scope_of(session).tenant_id
    slug = slug_of(session)
    bureaus = session.execute(
        select(Bureau.key).where(Bureau.tenant_id == me, Bureau.ended_on.is_(None))
    ).scalars()
    # another partner's service may be named, so the keys of the partners named are looked at
    named = {slug, *(ref.partition("/")[0] for ref in model.refs(slug))}
    services = session.execute(
        select(Tenant.slug, Service.key)
        .join(Service, Service.tenant_id == Tenant.id)
        .where(Tenant.slug.in_(named), Service.ended_on.is_(None))
    )
    return article_faults(
        model, slug, bureaus=set(bureaus), services={"/".join(each) for each in services}
    )


def _write_article(
    session: TenantSession,
    new: articles.Article,
    old: Stored[articles.Article] | None,
    stamp: Stamp,
) -> UUID:
    return write_article(
        session,
        new,
        tenant=slug_of(session),
        known=None if old is None else old.id,
        today=stamp.today,
        now=stamp.now,
        person_id=stamp.person_id,
        source=stamp.source,
        number=stamp.number,
    )


def slug_of(session: TenantSession) -> str:
    """Give the slug of the partner that the session acts for."""
    me = scope_of(session).tenant_id
    return str(
        session.execute(
            select(Tenant.slug).where(Tenant.tenant_id == me, Tenant.id == me)
        ).scalar_one()
    )


def _write_service(
    session: TenantSession,
    new: content.Service,
    old: Stored[content.Service] | None,
    stamp: Stamp,
) -> UUID:
    return service.write_service(
        session,
        new,
        known=None if old is None else (old.id, old.model),
        today=stamp.today,
        now=stamp.now,
        person_id=stamp.person_id,
        source=stamp.source,
        number=stamp.number,
    )


def _write_group(
    session: TenantSession,
    new: content.QuestionGroup,
    old: Stored[content.QuestionGroup] | None,
    stamp: Stamp,
) -> UUID:
    return group_writer.write_group(
        session,
        new,
        known=None if old is None else old.id,
        now=stamp.now,
        person_id=stamp.person_id,
        source=stamp.source,
        number=stamp.number,
    )


def _write_row(
    write: Callable[..., UUID],
) -> Callable[[TenantSession, M, Stored[M] | None, Stamp], UUID]:
    def publish(session: TenantSession, new: M, old: Stored[M] | None, stamp: Stamp) -> UUID:
        return write(
            session,
            new,
            known=None if old is None else old.id,
            today=stamp.today,
            now=stamp.now,
            person_id=stamp.person_id,
            source=stamp.source,
            number=stamp.number,
        )

    return publish


KINDS: Final[Mapping[str, Kind[Any]]] = {
    each.name: each
    for each in (
        Kind(
            "service",
            content.Service,
            Service,
            service.canonical_service,
            _stored_service,
            _service_faults,
            _write_service,
            kept=frozenset({"disposition"}),
        ),
        Kind(
            "organization",
            content.Organization,
            Organization,
            canonical,
            _stored_row(Organization, service.said_organization),
            _organization_faults,
            _write_row(service.write_organization),
        ),
        Kind(
            "location",
            content.Location,
            Location,
            canonical,
            _stored_row(Location, service.said_location),
            _location_faults,
            _write_row(service.write_location),
        ),
        Kind(
            "article",
            articles.Article,
            Article,
            canonical,
            _stored_row(Article, said_article),
            _article_faults,
            _write_article,
        ),
        Kind(
            "question_group",
            content.QuestionGroup,
            QuestionGroup,
            canonical,
            _stored_row(QuestionGroup, said_group),
            group_writer.faults_of_group,
            _write_group,
        ),
    )
}
"""Every kind that has versions, by name."""
