"""The trail of who did what: filtered, paged, exported; ids and codes only."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from pyramid.view import view_config

from regional311.audit.queries import AuditRow, trail
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.web.billing_wording import Words, page
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.tree import Audit, accommodation_bureaus

EXPORTED = 10_000
"""Rows in one file; a longer trail is exported by dates."""
_ACTION = re.compile(r"[a-z_]{1,40}:[a-z_]{0,40}|[a-z_]{1,40}", re.ASCII)


@view_config(
    context=Audit, permission=P.AUDIT_READ, request_method="GET", renderer="audit/index.jinja2"
)
def audit(context: Audit, request: Any) -> Any:
    """What was done in this partner, the newest first."""
    words = Words(request)
    listing = Listing(
        request,
        columns=[
            Column("at", _("When")),
            Column("action", _("Action")),
            Column("subject", _("Record")),
            Column("person", _("By")),
            Column("detail", _("Detail")),
        ],
        filters=[
            Filter("action", _("Action, such as statement:issue")),
            Filter("subject", _("Record's id")),
            Filter("person", _("Person's id")),
            Filter("since", _("From"), type="date"),
            Filter("until", _("Up to and with"), type="date"),
        ],
        csv=True,
    )
    form = wanted(request)
    limit = PAGE_SIZE + 1 if form == "html" else EXPORTED
    rows = _found(request, listing, words, limit)
    if form == "csv":
        return csv_response(
            request,
            "audit.csv",
            ["at", "action", "subject_kind", "subject_id", "person_id", "detail"],
            [
                [r.at, r.action, r.subject_kind, r.subject_id, r.person_id, _flat(r.detail)]
                for r in rows
            ],
        )
    if form == "json":
        return json_response([_facts(row) for row in rows])
    names = names_of(request.dbsession, (row.person_id for row in rows))
    shown = rows[:PAGE_SIZE]
    listing.fill(
        [
            {
                **_facts(row),
                "person": names.get(row.person_id) if row.person_id else None,
                "detail": [(key, _one(value)) for key, value in row.detail.items()],
            }
            for row in shown
        ],
        after=str(shown[-1].id) if len(rows) > PAGE_SIZE else None,
    )
    return page(request, listing=listing)


def _found(request: Any, listing: Listing, words: Words, limit: int) -> list[AuditRow]:
    asked = listing.values
    person, subject = _id(asked["person"]), _id(asked["subject"])
    action = asked["action"] or ""
    if (
        (asked["person"] and person is None)
        or (asked["subject"] and subject is None)
        or (action and not _ACTION.fullmatch(action))
    ):
        return []
    if action and ":" not in action:
        action += ":"
    return trail(
        request.dbsession,
        before=_id(listing.after),
        action=action,
        person_id=person,
        subject_id=subject,
        since=_midnight(asked["since"], words),
        until=_midnight(asked["until"], words, days=1),
        # who complained of whom is for who coordinates the whole partner; not even how many
        without=None if _sees_accommodations(request) else "accommodation",
        limit=limit,
    )


def _sees_accommodations(request: Any) -> bool:
    may_work = P.ACCOMMODATION_WORK in request.identity.permissions(request.tenant.id)
    return may_work and accommodation_bureaus(request) is None


def _facts(row: AuditRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": row.at,
        "action": row.action,
        "subject_kind": row.subject_kind,
        "subject_id": row.subject_id,
        "person_id": row.person_id,
        "detail": row.detail,
    }


def _one(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_one(each) for each in value)
    if isinstance(value, dict):
        return _flat(value)
    return "" if value is None else str(value)


def _flat(detail: dict[str, Any]) -> str:
    return "; ".join(f"{key}: {_one(value)}" for key, value in detail.items())


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _midnight(text: str | None, words: Words, days: int = 0) -> datetime | None:
    try:
        on = date.fromisoformat(text or "")
        return datetime.combine(on + timedelta(days=days), time(), words.zone)
    except (ValueError, OverflowError):
        return None
