"""Saved views of the list of requests: filters under a name, one click away and as a link.

A view is its maker's own, or shared with everybody who works here. Each person chooses with which
one the list opens.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from regional311.casework.models import DefaultView, SavedView
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Forbidden, InvalidInput, NotFound
from regional311.identity.models import Membership

LONGEST_NAME: Final = 60
LONGEST_QUERY: Final = 1000
MOST: Final = 30
"""Views of one person."""


class BadView(InvalidInput):
    """A view needs a name that its maker has not used, and something that it filters."""


@dataclass(frozen=True, slots=True)
class View:
    """A saved view as somebody sees it."""

    id: UUID
    name: str
    query: str
    shared: bool
    mine: bool
    by: str | None
    default: bool


def views(session: TenantSession) -> list[View]:
    """Give the views that the acting person may use, own ones first: one statement."""
    scope = scope_of(session)
    rows = session.execute(
        select(
            SavedView.id,
            SavedView.name,
            SavedView.query,
            SavedView.shared,
            SavedView.person_id,
            Membership.name.label("by"),
            DefaultView.view_id.label("default_id"),
        )
        .outerjoin(
            Membership,
            and_(
                Membership.tenant_id == SavedView.tenant_id,
                Membership.person_id == SavedView.person_id,
            ),
        )
        .outerjoin(
            DefaultView,
            and_(
                DefaultView.tenant_id == SavedView.tenant_id,
                DefaultView.person_id == scope.person_id,
                DefaultView.view_id == SavedView.id,
            ),
        )
        .where(
            SavedView.tenant_id == scope.tenant_id,
            SavedView.ended_at.is_(None),
            or_(SavedView.shared, SavedView.person_id == scope.person_id),
        )
        .order_by(SavedView.name, SavedView.id)
    )
    found = [
        View(
            row.id,
            row.name,
            row.query,
            row.shared,
            row.person_id == scope.person_id,
            None if row.person_id == scope.person_id else row.by,
            row.default_id is not None,
        )
        for row in rows
    ]
    return sorted(found, key=lambda each: not each.mine)


def save_view(
    session: TenantSession, *, now: datetime, name: str, query: str, shared: bool, default: bool
) -> UUID:
    """Keep filters under a name. Raises :class:`BadView`."""
    scope = scope_of(session)
    assert scope.person_id is not None
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME:
        raise BadView(f"Give it a name of at most {LONGEST_NAME} characters.", field="name")
    if not query or len(query) > LONGEST_QUERY:
        raise BadView("Choose what the list shows first, then save that.", field="name")
    used = session.execute(
        select(func.lower(SavedView.name)).where(
            SavedView.tenant_id == scope.tenant_id,
            SavedView.person_id == scope.person_id,
            SavedView.ended_at.is_(None),
        )
    ).scalars()
    names = set(used)
    if name.lower() in names:
        raise BadView(f"You have a view called {name!r} already.", field="name")
    if len(names) >= MOST:
        raise BadView(f"You have {MOST} views. End one of them first.", field="name")
    view_id = new_id()
    put(
        session,
        new_row(
            SavedView,
            tenant_id=scope.tenant_id,
            id=view_id,
            person_id=scope.person_id,
            name=name,
            query=query,
            shared=shared,
            made_at=now,
        ),
    )
    if default:
        open_with(session, view_id)
    return view_id


def open_with(session: TenantSession, view_id: UUID | None) -> None:
    """Let the list open with a view for the acting person, or with everything."""
    scope = scope_of(session)
    send(session)
    if view_id is not None:
        _usable(session, view_id)
    session.execute(
        insert(DefaultView)
        .values(tenant_id=scope.tenant_id, person_id=scope.person_id, view_id=view_id)
        .on_conflict_do_update(index_elements=["tenant_id", "person_id"], set_={"view_id": view_id})
    )
    mark_changed(session)


def end_view(session: TenantSession, view_id: UUID, *, now: datetime) -> str:
    """End a view of one's own; give its name. Raises `NotFound`, and `Forbidden` for another's."""
    scope = scope_of(session)
    row = _usable(session, view_id)
    if row.person_id != scope.person_id:
        raise Forbidden("Only who saved a view can end it.")
    session.execute(
        update(SavedView)
        .where(SavedView.tenant_id == scope.tenant_id, SavedView.id == view_id)
        .values(ended_at=now)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    return row.name


def _usable(session: TenantSession, view_id: UUID) -> SavedView:
    scope = scope_of(session)
    row = session.execute(
        select(SavedView).where(
            SavedView.tenant_id == scope.tenant_id,
            SavedView.id == view_id,
            SavedView.ended_at.is_(None),
            or_(SavedView.shared, SavedView.person_id == scope.person_id),
        )
    ).scalar_one_or_none()
    if row is None:
        raise NotFound("There is no such view.")
    return row
