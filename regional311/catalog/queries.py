"""What is published about services: everybody may read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from regional311.catalog import directory
from regional311.catalog.models import Service, ServiceDisposition


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
        ).order_by(Service.tenant_id, Service.key)
    )
    return [
        _service(row, slugs[row.tenant_id], dispositions.get(row.id, ()))
        for row in rows
        if row.tenant_id in slugs
    ]


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
        details=details,
        id=row.id,
        tenant_id=row.tenant_id,
    )
