"""The only writer of published groups of questions; files, forms and drafts all come here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update

from regional311.catalog import content
from regional311.catalog.checks import Fault, Known, group_faults, question_faults
from regional311.catalog.form_versions import keep_forms, stored_groups
from regional311.catalog.forms import groups_used, resolve
from regional311.catalog.models import QuestionGroup, Service
from regional311.catalog.service import kept_services, record_published
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, scope_of
from regional311.strict import canonical


def group_columns(model: content.QuestionGroup) -> dict[str, Any]:
    """Give the columns of `question_groups` that hold what a group says."""
    said = canonical(model)
    return {
        "name": said.pop("name"),
        "details": {name: value for name, value in said.items() if name != "key"},
    }


def write_group(
    session: TenantSession,
    new: content.QuestionGroup,
    *,
    known: UUID | None,
    now: datetime,
    person_id: UUID | None,
    source: str,
    number: int | None = None,
    unversioned: bool = False,
) -> UUID:
    """Publish what a group asks from now on, in every form that puts it in; give its id.

    `known` is the group's row, when it has one (one that had ended is taken up again). `number` is
    that of the version that is being published; without it a version is recorded. The forms are
    kept as they were asked until now and as they are asked from now on.
    """
    if number is None:
        record_published(
            session,
            "question_group",
            new.key,
            canonical(new),
            unversioned=unversioned,
            now=now,
            person_id=person_id,
            source=source,
        )
    before = stored_groups(session)
    after = {**before, new.key: new}
    keep_forms(
        session,
        [
            resolve(service.question, groups)
            for service in _asking(session)
            if new.key in groups_used(service.question, after)
            for groups in (before, after)
        ],
    )
    columns = {**group_columns(new), "ended_on": None}
    tenant_id = scope_of(session).tenant_id
    if known is None:
        known = new_id()
        put(session, QuestionGroup(tenant_id=tenant_id, id=known, key=new.key, **columns))
        return known
    send(session)
    session.execute(
        update(QuestionGroup)
        .where(QuestionGroup.tenant_id == tenant_id, QuestionGroup.id == known)
        .values(columns),
        execution_options={"synchronize_session": False},
    )
    return known


def faults_of_group(session: TenantSession, group: content.QuestionGroup) -> Iterator[Fault]:
    """Give everything that keeps a group from being published.

    A form that puts it in may depend on one of its questions: then that must stay, or the form be
    changed first.
    """
    groups = stored_groups(session)
    yield from group_faults(group, Known(groups=groups))
    after = Known(groups={**groups, group.key: group})
    for other in groups.values():
        if other.key != group.key and group.key in groups_used(other.question, after.groups or {}):
            for where, what in group_faults(other, after):
                yield "question", f"group {other.key} puts it in: {where}: {what}"
    for service in _asking(session):
        if group.key in groups_used(service.question, after.groups or {}):
            for where, what in question_faults(service.question, after):
                yield "question", f"service {service.key} puts it in: {where}: {what}"


def asking_services(session: TenantSession, key: str) -> list[content.Service]:
    """Give the services of the bound partner whose forms put a group in."""
    groups = stored_groups(session)
    return [each for each in _asking(session) if key in groups_used(each.question, groups)]


def _asking(session: TenantSession) -> list[content.Service]:
    found = kept_services(
        session,
        scope_of(session).tenant_id,
        Service.ended_on.is_(None),
        Service.details.contains({"question": [{"kind": "group"}]}),
    )
    return [service for _row, service in found]
