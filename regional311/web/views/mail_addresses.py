"""Addresses and numbers at which messages did not arrive, and saying that they do again."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.identity.permissions import Permissions as P
from regional311.notices.phones import shown
from regional311.notices.troubles import lift, troubles
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing, page_of
from regional311.web.telling import telling
from regional311.web.tree import MailTroubleRecord, MailTroubles

STATES = {"stopped": _("Nothing is sent there"), "passing": _("Did not arrive once or more")}


@view_config(
    context=MailTroubles,
    permission=P.MESSAGE_WORK,
    request_method="GET",
    renderer="messages/addresses.jinja2",
)
def listed(context: MailTroubles, request: Any) -> dict[str, Any]:
    """Every address with trouble, the latest first."""
    tell = telling(request)
    listing = Listing(
        request,
        columns=[
            Column("address", _("Address")),
            Column("state", _("State")),
            Column("reason", _("Reason")),
            Column("since", _("Since")),
            Column("passing", _("Passing troubles"), number=True),
            Column("lift", _("Arrives again")),
        ],
        filters=[Filter("state", _("State"), choices=list(STATES.items()))],
    )
    asked = listing.values["state"]
    rows = troubles(request.dbsession, stopped=None if asked is None else asked == "stopped")
    page_of(
        listing,
        [
            {
                "id": each.id,
                "address": each.address if "@" in each.address else shown(each.address),
                "stopped": each.stopped_at is not None and each.lifted_at is None,
                "reason": each.reason,
                "since": tell.when(each.stopped_at or each.last_at),
                "lifted": tell.when(each.lifted_at),
                "passing": each.passing,
                "message_url": f"/{tell.slug}/messages/{each.message_id}"
                if each.message_id
                else None,
            }
            for each in rows
        ],
    )
    return {"listing": listing, "here": f"/{tell.slug}/mail-addresses"}


@view_config(
    context=MailTroubleRecord, name="lift", permission=P.MESSAGE_WORK, request_method="POST"
)
def lifted(context: MailTroubleRecord, request: Any) -> HTTPSeeOther:
    """Send messages there again."""
    lift(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("Messages are sent there again."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/mail-addresses")
