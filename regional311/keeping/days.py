"""Versions of the catalogue on their day: published, or told of to whoever can mend them."""

from __future__ import annotations

from datetime import datetime

from regional311.catalog.versions import publish_due
from regional311.database.session import TenantSession
from regional311.identity.permissions import Permissions, permissions_of
from regional311.identity.queries import members
from regional311.keeping.letters import letterhead, tell
from regional311.notices.service import NOT_PUBLISHED


def publish_on_their_day(session: TenantSession, now: datetime, *, url: str) -> int:
    """Publish what is due at the bound partner; say how much was published or told of.

    What cannot be published is told of to who wrote it, who reviewed it and gave it its day, and
    to everybody who may publish: one letter to each person, with the reasons.
    """
    due = publish_due(session, now)
    if not due.refused:
        return due.published
    head = letterhead(session, url)
    present = [each for each in members(session) if each.ended_at is None]
    reviewers = {
        each.person_id
        for each in present
        if Permissions.SERVICE_PUBLISH in permissions_of(each.roles)
    }
    line = head.sentence(NOT_PUBLISHED)
    lines = [
        (
            [each for each in present if each.person_id in refused.people | reviewers],
            line.format(name=refused.called, number=refused.number, why=refused.why),
        )
        for refused in due.refused
    ]
    return due.published + tell(
        session, head, "publishing_refused", lines, page="services/drafts", now=now
    )
