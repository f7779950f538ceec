"""What is published about services: everybody may read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, func, select, tuple_
from sqlalchemy.orm import Session

from regional311.catalog import content, directory
from regional311.catalog.forms import Form, form_from
from regional311.catalog.models import (
    FormVersion,
    QuestionGroup,
    Service,
    ServiceDisposition,
    Taxonomy,
    TaxonomyTerm,
    TermCrosswalk,
)
from regional311.catalog.taxonomy import Link, Terms, Tree, TreeTerm
from regional311.database.session import TenantSession, scope_of
from regional311.strict import from_plain

REGION: Final = "region"


def services(session: Session, slugs: Mapping[UUID, str]) -> list[directory.Service]:
    """Give all services of all partners with their dispositions, in two statements.

    ``slugs`` are the partners' slugs by id; services of others are left out.
    """
    dispositions: dict[UUID, list[directory.Disposition]] = {}
    for service_id, kind, valid in session.execute(
        select(
            ServiceDisposition.service_id, ServiceDisposition.disposition, ServiceDisposition.valid
        )
        .where(~func.isempty(ServiceDisposition.valid))
        .order_by(ServiceDisposition.service_id, ServiceDisposition.valid)
    ):
        dispositions.setdefault(service_id, []).append(
            directory.Disposition(kind, valid.lower, valid.upper)
        )
    rows = session.execute(
        select(
            Service.tenant_id,
            Service.id,
            Service.key,
            Service.name,
            Service.summary,
            Service.verb,
            Service.bureau_key,
            Service.term,
            Service.keywords,
            Service.channels,
            Service.boundary_key,
            Service.confidential,
            Service.target_hours,
            Service.details,
            Service.ended_on,
            Service.updated_on,
            Service.verified_on,
            Service.review_on,
            Service.source,
        ).order_by(Service.tenant_id, Service.key)
    )
    return [
        _service(row, slugs[row.tenant_id], dispositions.get(row.id, ()))
        for row in rows
        if row.tenant_id in slugs
    ]


def terms(session: Session, slugs: Mapping[UUID, str]) -> Terms:
    """Give every taxonomy of the region with its terms and crosswalks, in three statements.

    Should two partners have one key (each checked before the other wrote), that of the region
    counts, or else of the first by slug.
    """
    keyed: dict[str, tuple[bool, str, Any]] = {}
    for row in session.execute(
        select(
            Taxonomy.tenant_id,
            Taxonomy.id,
            Taxonomy.key,
            Taxonomy.name,
            Taxonomy.details,
            Taxonomy.source,
            Taxonomy.source_id,
        ).where(Taxonomy.ended_on.is_(None))
    ):
        slug = slugs.get(row.tenant_id)
        if slug is not None:
            mine = (slug != REGION, slug, row)
            keyed[row.key] = min(keyed.get(row.key, mine), mine, key=lambda each: each[:2])
    taxonomies = [
        Tree(
            key=row.key,
            name=row.name,
            tenant=slug,
            description=row.details.get("description") or "",
            version=row.details.get("version") or "",
            website=row.details.get("website") or "",
            licence=row.details.get("licence") or "",
            imported=row.source == "imported",
            source_id=row.source_id,
        )
        for _, (_, slug, row) in sorted(keyed.items())
    ]
    keys = {row.id: key for key, (_, _, row) in keyed.items()}
    found = [
        _term(row, keys[row.taxonomy_id])
        for row in session.execute(
            select(
                TaxonomyTerm.taxonomy_id,
                TaxonomyTerm.code,
                TaxonomyTerm.name,
                TaxonomyTerm.parent_code,
                TaxonomyTerm.details,
                TaxonomyTerm.source_id,
            )
            .where(TaxonomyTerm.ended_on.is_(None))
            .order_by(TaxonomyTerm.position, TaxonomyTerm.code)
        )
        if row.taxonomy_id in keys
    ]
    links = [
        Link(*row)
        for row in session.execute(
            select(TermCrosswalk.term_ref, TermCrosswalk.other_ref, TermCrosswalk.relation)
            .where(TermCrosswalk.ended_on.is_(None))
            .order_by(TermCrosswalk.term_ref, TermCrosswalk.other_ref, TermCrosswalk.tenant_id)
        )
    ]
    return Terms(taxonomies, found, links)


def _term(row: Any, taxonomy: str) -> TreeTerm:
    return TreeTerm(
        ref=f"{taxonomy}:{row.code}",
        name=row.name,
        parent=f"{taxonomy}:{row.parent_code}" if row.parent_code else None,
        description=row.details.get("description") or "",
        names={each["language"]: each["name"] for each in row.details.get("translation") or ()},
        source_id=row.source_id,
    )


def _service(row: Any, slug: str, dispositions: Any) -> directory.Service:
    details = row.details or {}
    areas = details.get("boundaries") or ([row.boundary_key] if row.boundary_key else [])
    return directory.Service(
        tenant=slug,
        key=row.key,
        name=row.name,
        verb=row.verb,
        term=row.term or "",
        summary=row.summary or "",
        group=details.get("group") or "",
        bureau=row.bureau_key or "",
        keywords=tuple(row.keywords or ()),
        channels=tuple(row.channels or ()),
        boundaries=tuple(each if "/" in each else f"{slug}/{each}" for each in areas),
        place=details.get("place") or "optional",
        queue=details.get("queue") or "",
        priority=details.get("priority") or "normal",
        confidential=row.confidential,
        target_hours=row.target_hours,
        dispositions=tuple(dispositions),
        ended_on=row.ended_on,
        updated_on=row.updated_on,
        verified_on=row.verified_on,
        review_on=row.review_on,
        source=row.source,
        details=details,
        id=row.id,
        tenant_id=row.tenant_id,
    )


def groups(
    session: Session, slugs: Mapping[UUID, str]
) -> dict[str, dict[str, content.QuestionGroup]]:
    """Give the groups of questions of all partners by slug and key, in one statement."""
    found: dict[str, dict[str, content.QuestionGroup]] = {}
    rows = session.execute(
        select(
            QuestionGroup.tenant_id, QuestionGroup.key, QuestionGroup.name, QuestionGroup.details
        ).where(QuestionGroup.ended_on.is_(None))
    )
    for row in rows:
        if row.tenant_id in slugs:
            found.setdefault(slugs[row.tenant_id], {})[row.key] = said_group(row)
    return found


def said_group(row: Any) -> content.QuestionGroup:
    """Read a row of `question_groups` back into what the partner says."""
    return from_plain(content.QuestionGroup, {**row.details, "key": row.key, "name": row.name})


def forms(session: Session, wanted: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], Form]:
    """Give forms as they were asked, by owner and digest: one statement, none for nothing."""
    asked = sorted(set(wanted))
    if not asked:
        return {}
    rows = session.execute(
        select(FormVersion.tenant_id, FormVersion.digest, FormVersion.content).where(
            tuple_(FormVersion.tenant_id, FormVersion.digest).in_(asked)
        )
    )
    return {(row.tenant_id, row.digest): form_from(row.content) for row in rows}


def sources(session: TenantSession) -> dict[str, str]:
    """Give where the bound partner's services come from, `kept` or `imported`, by key."""
    rows = session.execute(
        select(Service.key, Service.source).where(Service.tenant_id == scope_of(session).tenant_id)
    )
    return {row.key: row.source for row in rows}


def keyed_rows(session: TenantSession, table: Any) -> list[Row[Any]]:
    """Give the bound partner's rows of `locations` or `organizations`, by key."""
    return list(
        session.execute(
            select(table.key, table.name, table.details, table.ended_on)
            .where(table.tenant_id == scope_of(session).tenant_id)
            .order_by(table.key)
        )
    )
