"""Versions of a pool side by side, and the one on its way to a second person."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.allocation import pool_changes as service
from regional311.allocation.models import CostPool
from regional311.allocation.pools import PoolSaid
from regional311.allocation.year import fiscal_year_of, starts_in_month
from regional311.chargeback.cost_changes import approve_pool
from regional311.differences import differences
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.tenancy.proposals import OPEN
from regional311.web.billing_wording import Words, as_of, page
from regional311.web.forms import (
    HiddenWidget,
    Integer,
    Schema,
    SchemaNode,
    String,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.pool_wording import METHODS, Targets
from regional311.web.representations import json_response, wanted
from regional311.web.security import may
from regional311.web.tree import PoolProposalRecord, PoolProposals, PoolRecord
from regional311.web.views.pools import year_label
from regional311.web.views.rate_proposals import STATE_KINDS, STATES, ReasonForm

VERSIONS, PROPOSAL, AGAIN = (
    "pools/versions.jinja2",
    "pools/proposal.jinja2",
    "pools/edit.jinja2",
)
FIELDS = {
    "name": _("Name"),
    "yearly_cents": _("Amount to divide"),
    "source": _("What it rests on"),
    "note": _("Note"),
    "sources": _("Account"),
    "revenues": _("Revenue"),
    "non_allocable": _("Stays with the general fund"),
    "method": _("Method"),
    "base_key": _("Divided by"),
    "step_order": _("Place when stepping down"),
    "shares": _("Share"),
    "actual_cents": _("Actual cost"),
    "actual_source": _("What the actual cost rests on"),
}
_PART = re.compile(r"(\w+)\[(.+)\]\.(\w+)")


def _url(request: Any, *parts: str) -> str:
    return "/".join((f"/{request.tenant.slug}/pools", *parts))


def changes(request: Any, before: PoolSaid | None, after: PoolSaid) -> list[dict[str, Any]]:
    """What differs between two contents, each as a title and its values; None: it is not there."""
    words, names = Words(request), Targets(request, {})
    old = {} if before is None else before.as_json()
    found = []
    for each in differences(old, after.as_json()):
        part = _PART.fullmatch(each.field)
        root = part[1] if part else each.field.partition(".")[0].removesuffix(" (order)")
        if each.field.endswith("(order)") or (part and part[3] == "name"):
            continue
        title, of = FIELDS[root], ""
        if root == "shares":
            of = names(each.field.partition(".")[2])
        elif part:
            of = part[2] if part[3] == "cents" else f"{part[2]}, {part[3]}"
        cents = each.field.endswith("cents")
        found.append(
            {
                "title": title,
                "of": of,
                "before": _value(words, root, each.old, cents=cents),
                "after": _value(words, root, each.new, cents=cents),
            }
        )
    return found


def _value(words: Words, root: str, value: Any, *, cents: bool) -> Any:
    if value is None or value == []:
        return None
    if cents:
        return words.cents(value)
    if root == "method":
        return METHODS[value]
    return f"{value}\u00a0%" if root == "shares" else str(value)


# --- versions -------------------------------------------------------------------------------------


def _of_year(context: PoolRecord, request: Any) -> tuple[list[CostPool], Any]:
    """The versions of the year of the day asked for, else of the pool's last, the newest first."""
    day = as_of(request, Words(request))
    asked = fiscal_year_of(day, starts_in_month(request.dbsession))
    known = sorted({row.fiscal_year for row in context.record})
    year = asked if asked in known else known[-1]
    return service.versions(request.dbsession, context.__name__, year), day


@view_config(
    context=PoolRecord,
    name="versions",
    permission=P.POOL_READ,
    request_method="GET",
    renderer=VERSIONS,
)
def versions(context: PoolRecord, request: Any) -> Any:
    """Every version of a pool of a year: who, when and why; and what two of them differ in."""
    words = Words(request)
    rows, day = _of_year(context, request)
    people = names_of(
        request.dbsession, (each for row in rows for each in (row.made_by, row.approved_by))
    )
    holds = rows[0]
    told: list[dict[str, Any]] = [
        {
            "number": row.number,
            "stored_at": row.stored_at,
            "made_by": people.get(row.made_by) if row.made_by else None,
            "approved_by": people.get(row.approved_by) if row.approved_by else None,
            "why": row.why,
        }
        for row in rows
    ]
    if wanted(request) == "json":
        return json_response(told)
    by_number = {row.number: row for row in rows}
    new = by_number.get(number_asked(request, "new"), holds)
    old = by_number.get(number_asked(request, "old")) or by_number.get(new.number - 1)
    listing = Listing(
        request,
        columns=[
            Column("number", _("Version")),
            Column("when", _("Known since")),
            Column("by", _("Made by")),
            Column("approved", _("Approved by")),
            Column("why", _("Why")),
        ],
    ).fill(
        [
            each
            | {
                "when": words.when(each["stored_at"]) if each["stored_at"] else _("the beginning"),
                "from_files": each["made_by"] is None,
            }
            for each in told
        ],
        total=len(told),
    )
    url, query = _url(request, holds.key), f"as_of={day.isoformat()}"
    proposals = service.proposals(request.dbsession, key=holds.key, states=OPEN)
    return page(
        request,
        pool=holds,
        pools_url=_url(request),
        url=url,
        query=query,
        day=day,
        year=year_label(holds.fiscal_year, starts_in_month(request.dbsession)),
        listing=listing,
        numbers=[row.number for row in rows],
        old=old.number if old else None,
        new=new.number,
        changes=None
        if old is None
        else changes(
            request,
            service.said_of(request.dbsession, old),
            service.said_of(request.dbsession, new),
        ),
        proposals=[
            {
                "url": _url(request, "proposals", str(row.id)),
                "when": words.when(row.proposed_at),
                "state": STATES[row.state],
                "kind": STATE_KINDS[row.state],
            }
            for row in proposals
            if row.fiscal_year == holds.fiscal_year
        ],
        may_edit=may(request, P.POOL_EDIT),
    )


def number_asked(request: Any, name: str) -> int:
    """The number of a version that a link asks for; nought when it is none."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0


class AgainForm(Schema):
    """Why an old version is to hold again."""

    why = SchemaNode(
        String(500, multiline=True),
        title=_("Why"),
        description=_("Whoever approves it reads this, and the partners whose part changes."),
    )
    version = SchemaNode(Integer(), widget=HiddenWidget())


def _again_page(context: PoolRecord, request: Any, form: Any | None = None) -> dict[str, Any]:
    rows, day = _of_year(context, request)
    number = number_asked(request, "version")
    if number not in {row.number for row in rows[1:]}:
        raise HTTPNotFound
    url = _url(request, context.__name__ or "")
    return page(
        request,
        form=form or _again_form(request, url, number, day),
        title=_("Bring back version ${number}", mapping={"number": number}),
        lead=_("It comes back as a draft with the same content, for a second person to approve."),
        pools_url=_url(request),
        url=url,
        pool_name=rows[0].name,
    )


def _again_form(request: Any, url: str, number: int, day: Any) -> Any:
    query = f"as_of={day.isoformat()}&version={number}"
    return make_form(
        request,
        AgainForm(),
        submit=_("See what changes"),
        values={"version": number},
        once=True,
        action=f"{url}/again?{query}",
        cancel_url=f"{url}/versions?as_of={day.isoformat()}",
    )


@view_config(
    context=PoolRecord, name="again", permission=P.POOL_EDIT, request_method="GET", renderer=AGAIN
)
def again(context: PoolRecord, request: Any) -> dict[str, Any]:
    """The form that brings an old version back."""
    return _again_page(context, request)


@view_config(
    context=PoolRecord, name="again", permission=P.POOL_EDIT, request_method="POST", renderer=AGAIN
)
def bring_back(context: PoolRecord, request: Any) -> Any:
    """Draft a version that says what an old one said."""
    rows, day = _of_year(context, request)
    url = _url(request, context.__name__ or "")
    form = _again_form(request, url, number_asked(request, "version"), day)

    def on_success(values: dict[str, Any]) -> Any:
        def do() -> dict[str, Any]:
            made = service.bring_back(
                request.dbsession,
                rows[0].key,
                rows[0].fiscal_year,
                values["version"],
                why=values["why"],
                now=request.now,
            )
            return {"id": str(made)}

        kept = ["pool:again", rows[0].key, rows[0].fiscal_year, values]
        answer = once(request.dbsession, form_key(request), kept, do)
        return HTTPSeeOther(location=_url(request, "proposals", answer["id"]))

    return handle_form_submission(
        request, form, on_success, lambda: _again_page(context, request, form)
    )


# --- proposals ------------------------------------------------------------------------------------


@view_config(
    context=PoolProposals,
    permission=P.POOL_READ,
    request_method="GET",
    renderer="pools/proposals.jinja2",
)
def proposals(context: PoolProposals, request: Any) -> Any:
    """Versions of pools that wait, and those that were decided."""
    words = Words(request)
    listing = Listing(
        request,
        columns=[
            Column("pool", _("Pool")),
            Column("year", _("Fiscal year")),
            Column("state", _("State")),
            Column("by", _("Made by")),
            Column("when", _("When")),
        ],
        filters=[Filter("state", _("State"), choices=list(STATES.items()))],
    )
    asked, as_page = listing.values["state"], wanted(request) == "html"
    rows = service.proposals(
        request.dbsession,
        states=[asked] if asked else STATES,
        before=id_of(listing.after),
        limit=PAGE_SIZE + 1 if as_page else None,
    )
    if not as_page:
        names = ("id", "pool_key", "fiscal_year", "state", "why", "proposed_at", "decided_at")
        return json_response([{name: getattr(row, name) for name in names} for row in rows])
    people = names_of(request.dbsession, (row.proposed_by for row in rows))
    listing.fill(
        [
            {
                "id": row.id,
                "pool": row.pool_key,
                "year": row.fiscal_year,
                "state": STATES[row.state],
                "kind": STATE_KINDS[row.state],
                "by": people.get(row.proposed_by),
                "when": words.when(row.proposed_at),
            }
            for row in rows[:PAGE_SIZE]
        ],
        after=str(rows[PAGE_SIZE - 1].id) if len(rows) > PAGE_SIZE else None,
        total=len(rows) if len(rows) <= PAGE_SIZE else None,
    )
    return page(request, listing=listing, pools_url=_url(request))


def id_of(text: str | None) -> UUID | None:
    """The id after which a page of a list begins."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


@view_config(
    context=PoolProposalRecord, permission=P.POOL_READ, request_method="GET", renderer=PROPOSAL
)
def proposal(context: PoolProposalRecord, request: Any) -> Any:
    """What a version would change, and who decides."""
    row = context.record
    if wanted(request) == "json":
        return json_response(
            {
                "id": row.id,
                "pool": row.pool_key,
                "fiscal_year": row.fiscal_year,
                "state": row.state,
                "content": row.content,
            }
        )
    return _proposal_page(context, request)


def _proposal_page(
    context: PoolProposalRecord, request: Any, refusal: Any = None
) -> dict[str, Any]:
    words, row, session = Words(request), context.record, request.dbsession
    url = _url(request, "proposals", str(row.id))
    is_open = row.state in OPEN
    overtaken = is_open and service.overtaken(session, row)
    past = service.versions(session, row.pool_key, row.fiscal_year)
    based_on = next((each for each in past if each.number == row.based_on), None)
    people = names_of(session, (row.proposed_by, row.decided_by))
    identity = request.identity
    mine = identity is not None and identity.person_id == row.proposed_by
    approves = row.state == "proposed" and may(request, P.RATE_APPROVE)
    said = PoolSaid.of_json(row.content)
    return page(
        request,
        proposal=row,
        url=url,
        pools_url=_url(request),
        pool_url=_url(request, row.pool_key) if past else None,
        name=said.name,
        year=year_label(row.fiscal_year, starts_in_month(session)),
        state=STATES[row.state],
        state_kind=STATE_KINDS[row.state],
        by=people.get(row.proposed_by),
        when=words.when(row.proposed_at),
        decided_by=people.get(row.decided_by),
        decided_at=words.when(row.decided_at),
        overtaken=overtaken,
        changes=changes(
            request, None if based_on is None else service.said_of(session, based_on), said
        ),
        tied=", ".join(service.tied_methods(session, row)) if is_open else "",
        may_send=row.state == "draft" and may(request, P.POOL_EDIT) and not overtaken,
        may_withdraw=is_open and may(request, P.POOL_EDIT),
        may_approve=approves and not mine and not overtaken,
        own=approves and mine,
        refusal=refusal or (_refusal(request, url) if approves else None),
    )


def _refusal(request: Any, url: str) -> Any:
    return make_form(
        request, ReasonForm(), submit=_("Refuse"), name="refusal", action=f"{url}/refuse"
    )


@view_config(context=PoolProposalRecord, name="send", permission=P.POOL_EDIT, request_method="POST")
def send(context: PoolProposalRecord, request: Any) -> Any:
    """Ask a second person."""
    service.send_for_approval(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("Sent. A second person approves the change."))
    return HTTPSeeOther(location=_url(request, "proposals", str(context.record.id)))


@view_config(
    context=PoolProposalRecord, name="withdraw", permission=P.POOL_EDIT, request_method="POST"
)
def withdraw(context: PoolProposalRecord, request: Any) -> Any:
    """Give a change up."""
    service.withdraw(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("The change was withdrawn."))
    return HTTPSeeOther(location=_url(request, "proposals"))


@view_config(
    context=PoolProposalRecord, name="approve", permission=P.RATE_APPROVE, request_method="POST"
)
def approve(context: PoolProposalRecord, request: Any) -> Any:
    """Store the version; partners whose part changes are told."""
    approve_pool(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("The version was approved; whoever it touches is told."))
    return HTTPSeeOther(location=_url(request, context.record.pool_key, "versions"))


@view_config(
    context=PoolProposalRecord,
    name="refuse",
    permission=P.RATE_APPROVE,
    request_method="POST",
    renderer=PROPOSAL,
)
def refuse(context: PoolProposalRecord, request: Any) -> Any:
    """Refuse it, saying why."""
    form = _refusal(request, _url(request, "proposals", str(context.record.id)))

    def on_success(values: dict[str, Any]) -> Any:
        service.refuse(
            request.dbsession, context.record.id, reason=values["reason"], now=request.now
        )
        request.flash("success", _("The change was refused."))
        return HTTPSeeOther(location=_url(request, "proposals"))

    return handle_form_submission(
        request, form, on_success, lambda: _proposal_page(context, request, form)
    )
