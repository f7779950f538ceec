"""Keeps every form as it was asked, so that what was answered to it can be read for ever."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from regional311.catalog import content
from regional311.catalog.forms import Form, resolve
from regional311.catalog.models import FormVersion, QuestionGroup
from regional311.catalog.queries import said_group
from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of


def keep_forms(session: TenantSession, forms: Iterable[Form]) -> None:
    """Keep forms of the bound partner; one that is kept already stays as it is."""
    rows = {
        form.digest: {
            "tenant_id": scope_of(session).tenant_id,
            "id": new_id(),
            "digest": form.digest,
            "content": form.content,
        }
        for form in forms
        if form.questions
    }
    if rows:
        session.execute(insert(FormVersion).values(list(rows.values())).on_conflict_do_nothing())
        mark_changed(session)


def keep_form_of(session: TenantSession, new: content.Service, old: content.Service | None) -> None:
    """Keep the form of a service as it is asked from now on, and as it was asked until now."""
    asked = [new.question, () if old is None else old.question]
    names_groups = any(each.group for questions in asked for each in questions)
    groups = stored_groups(session) if names_groups else {}
    keep_forms(session, [resolve(questions, groups) for questions in asked])


def stored_groups(session: TenantSession) -> dict[str, content.QuestionGroup]:
    """Give the bound partner's groups of questions by key."""
    rows = session.execute(
        select(QuestionGroup.key, QuestionGroup.name, QuestionGroup.details).where(
            QuestionGroup.tenant_id == scope_of(session).tenant_id,
            QuestionGroup.ended_on.is_(None),
        )
    )
    return {row.key: said_group(row) for row in rows}
