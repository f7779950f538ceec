"""Needs of which nobody has recorded what became of them: by age, and counted."""

from __future__ import annotations

from typing import Any

from pyramid.view import view_config

from regional311.identity.permissions import Permissions as P
from regional311.intake import needs
from regional311.intake.queries import EXPORT, PAGE
from regional311.referral import follow_up_queries
from regional311.referral.loop import loop_of
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.representations import csv_response, wanted
from regional311.web.telling import telling
from regional311.web.tree import Outcomes
from regional311.web.wording import NEED_STATES, PRIORITIES, choices, kind, said

AGES = {
    "0": _("Less than 7 days"),
    "7": _("7 to 30 days"),
    "30": _("30 to 90 days"),
    "90": _("90 days and more"),
}


@view_config(
    context=Outcomes,
    permission=P.CONTACT_READ,
    request_method="GET",
    renderer="follow_ups/outcomes.jinja2",
)
def listed(context: Outcomes, request: Any) -> Any:
    """Needs of ended contacts without an outcome, the oldest first."""
    tell, session = telling(request), request.dbsession
    listing = Listing(
        request,
        columns=[
            Column("service", _("Need")),
            Column("contact", _("Contact")),
            Column("status", _("Status")),
            Column("urgency", _("Urgency")),
            Column("since", _("Since")),
            Column("age", _("Days"), number=True),
        ],
        filters=[
            Filter("age", _("Age"), choices=list(AGES.items())),
            Filter("status", _("Status"), choices=choices(NEED_STATES, needs.WITHOUT_OUTCOME)),
        ],
        csv=True,
    )
    asked = listing.values
    buckets = {str(start): (start, end) for start, end in follow_up_queries.BUCKETS}
    start, end = buckets[asked["age"]] if asked["age"] else (0, None)
    as_csv = wanted(request) == "csv"
    page = follow_up_queries.missing_outcomes(
        session,
        now=request.now,
        status=asked["status"],
        older_than=start,
        younger_than=end,
        after=listing.after,
        limit=EXPORT if as_csv else PAGE,
    )
    if as_csv:
        return csv_response(
            request,
            "without-outcome.csv",
            ["contact", "service", "status", "urgency", "since", "days"],
            [
                [
                    row.contact,
                    row.service_key,
                    row.status,
                    row.urgency,
                    row.created_at,
                    (request.now - row.created_at).days,
                ]
                for row in page.rows
            ],
        )
    late = loop_of(tell.published.tenant(tell.slug).settings).outcome_days
    listing.fill(
        [
            {
                "id": row.id,
                "service": tell.service_name(row.service_owner_id, row.service_key),
                "contact": row.contact,
                "url": f"/{tell.slug}/contacts/{row.contact}#need-{row.id}",
                "status": said(NEED_STATES, row.status),
                "kind": kind(NEED_STATES, row.status),
                "urgency": said(PRIORITIES, row.urgency),
                "since": tell.day(row.created_at),
                "age": (request.now - row.created_at).days,
                "late": (request.now - row.created_at).days >= late,
            }
            for row in page.rows
        ],
        after=page.after,
    )
    counted = follow_up_queries.missing_by_age(session, now=request.now)
    here = f"/{tell.slug}/outcomes"
    return {
        "listing": listing,
        "lead": _(
            "Nobody has recorded what became of these. They are missed after ${days} days.",
            mapping={"days": late},
        ),
        "counts": [
            (f"{here}?age={key}", label, number, asked["age"] == key)
            for (key, label), number in zip(AGES.items(), counted, strict=True)
        ],
        "total": sum(counted),
    }
