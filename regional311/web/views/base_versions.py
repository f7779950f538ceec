"""Versions of a base side by side, and what is on its way to a second person."""

from __future__ import annotations

from datetime import date
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.allocation import base_changes as service
from regional311.allocation.snapshots import BaseSaid, ReadingsSaid, snapshots_of
from regional311.allocation.year import read_bases
from regional311.chargeback.cost_changes import approve_base
from regional311.differences import differences
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.tenancy.proposals import OPEN
from regional311.web.billing_wording import Words, page
from regional311.web.forms import form_key, handle_form_submission, make_form
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.pool_wording import BASE_KINDS, COUNTS, Targets
from regional311.web.representations import json_response, wanted
from regional311.web.security import may
from regional311.web.tree import BaseProposalRecord, BaseProposals, BaseRecord
from regional311.web.views.pool_versions import AgainForm, id_of, number_asked
from regional311.web.views.rate_proposals import STATE_KINDS, STATES, ReasonForm

VERSIONS, PROPOSAL, AGAIN = (
    "bases/versions.jinja2",
    "bases/proposal.jinja2",
    "bases/edit.jinja2",
)
WHAT = {service.BASE: _("What the base is"), service.READINGS: _("Its readings")}
FIELDS = {
    "name": _("Name"),
    "kind": _("What is read"),
    "counts": _("Whose contacts are counted"),
    "rolling_quarters": _("Quarters that are averaged"),
    "parts": _("Base of the mix"),
    "note": _("Note"),
    "valid_from": _("Holds from"),
    "ended_on": _("Ended"),
    "as_of": _("Last day that they tell of"),
    "source": _("Where they come from"),
    "readings": _("Reading"),
}


def _url(request: Any, *parts: str) -> str:
    return "/".join((f"/{request.tenant.slug}/bases", *parts))


def changes(
    request: Any, before: dict[str, Any] | None, after: dict[str, Any]
) -> list[dict[str, Any]]:
    """What differs between two contents, each as a title and its values; None: it is not there."""
    words, names = Words(request), Targets(request, {})
    bases = read_bases(request.dbsession)
    found = []
    for each in differences(before or {}, after):
        root, _dot, of = each.field.partition(".")
        if root == "parts" and of in bases:
            of = bases[of].name
        elif root == "readings":
            of = names(of)
        found.append(
            {
                "title": FIELDS[root],
                "of": of,
                "before": _value(words, root, each.old),
                "after": _value(words, root, each.new),
            }
        )
    return [each for each in found if each["before"] != each["after"]]


def _value(words: Words, root: str, value: Any) -> Any:
    if value is None:
        return None
    if root == "kind":
        return BASE_KINDS[value]
    if root == "counts":
        return COUNTS[value]
    if root in ("valid_from", "ended_on", "as_of"):
        return words.day(date.fromisoformat(value))
    return f"{value}\u00a0%" if root == "parts" else str(value)


# --- versions -------------------------------------------------------------------------------------


@view_config(
    context=BaseRecord,
    name="versions",
    permission=P.POOL_READ,
    request_method="GET",
    renderer=VERSIONS,
)
def versions(context: BaseRecord, request: Any) -> Any:
    """Every version of a base: who, when and why; and what two of them differ in."""
    words, session = Words(request), request.dbsession
    rows = service.versions(session, context.__name__ or "")
    people = names_of(session, (each for row in rows for each in (row.made_by, row.approved_by)))
    newest = rows[0]
    told: list[dict[str, Any]] = [
        {
            "number": row.number,
            "valid_from": row.valid_from,
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
    new = by_number.get(number_asked(request, "new"), newest)
    old = by_number.get(number_asked(request, "old")) or by_number.get(new.number - 1)
    listing = Listing(
        request,
        columns=[
            Column("number", _("Version")),
            Column("holds", _("Holds from")),
            Column("when", _("Known since")),
            Column("by", _("Made by")),
            Column("approved", _("Approved by")),
            Column("why", _("Why")),
        ],
    ).fill(
        [
            each
            | {
                "holds": words.day(each["valid_from"])
                if each["valid_from"]
                else _("the beginning"),
                "when": words.when(each["stored_at"]) if each["stored_at"] else _("the beginning"),
                "from_files": each["made_by"] is None,
            }
            for each in told
        ],
        total=len(told),
    )
    return page(
        request,
        base=newest,
        bases_url=_url(request),
        url=_url(request, newest.key),
        listing=listing,
        numbers=[row.number for row in rows],
        old=old.number if old else None,
        new=new.number,
        changes=None
        if old is None
        else changes(request, BaseSaid.of_row(old).as_json(), BaseSaid.of_row(new).as_json()),
        proposals=[
            {
                "url": _url(request, "proposals", str(row.id)),
                "what": WHAT[row.what],
                "when": words.when(row.proposed_at),
                "state": STATES[row.state],
                "kind": STATE_KINDS[row.state],
            }
            for row in service.proposals(session, key=newest.key, states=OPEN)
        ],
        may_edit=may(request, P.POOL_EDIT),
    )


def _again_page(context: BaseRecord, request: Any, form: Any | None = None) -> dict[str, Any]:
    number = number_asked(request, "version")
    if not 0 < number < context.record.number:
        raise HTTPNotFound
    return page(
        request,
        form=form or _again_form(context, request, number),
        title=_("Bring back version ${number}", mapping={"number": number}),
        lead=_("It comes back as a draft with the same content, for a second person to approve."),
        bases_url=_url(request),
        url=_url(request, context.record.key),
        base_name=context.record.name,
    )


def _again_form(context: BaseRecord, request: Any, number: int) -> Any:
    url = _url(request, context.record.key)
    return make_form(
        request,
        AgainForm(),
        submit=_("See what changes"),
        values={"version": number},
        once=True,
        action=f"{url}/again?version={number}",
        cancel_url=f"{url}/versions",
    )


@view_config(
    context=BaseRecord, name="again", permission=P.POOL_EDIT, request_method="GET", renderer=AGAIN
)
def again(context: BaseRecord, request: Any) -> dict[str, Any]:
    """The form that brings an old version back."""
    return _again_page(context, request)


@view_config(
    context=BaseRecord, name="again", permission=P.POOL_EDIT, request_method="POST", renderer=AGAIN
)
def bring_back(context: BaseRecord, request: Any) -> Any:
    """Draft a version that says what an old one said."""
    key = context.record.key
    form = _again_form(context, request, number_asked(request, "version"))

    def on_success(values: dict[str, Any]) -> Any:
        def do() -> dict[str, Any]:
            made = service.bring_back(
                request.dbsession, key, values["version"], why=values["why"], now=request.now
            )
            return {"id": str(made)}

        answer = once(request.dbsession, form_key(request), ["base:again", key, values], do)
        return HTTPSeeOther(location=_url(request, "proposals", answer["id"]))

    return handle_form_submission(
        request, form, on_success, lambda: _again_page(context, request, form)
    )


# --- proposals ------------------------------------------------------------------------------------


@view_config(
    context=BaseProposals,
    permission=P.POOL_READ,
    request_method="GET",
    renderer="bases/proposals.jinja2",
)
def proposals(context: BaseProposals, request: Any) -> Any:
    """Versions and readings of bases that wait, and those that were decided."""
    words = Words(request)
    listing = Listing(
        request,
        columns=[
            Column("base", _("Base")),
            Column("what", _("What")),
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
        names = ("id", "what", "base_key", "state", "why", "proposed_at", "decided_at")
        return json_response([{name: getattr(row, name) for name in names} for row in rows])
    people = names_of(request.dbsession, (row.proposed_by for row in rows))
    listing.fill(
        [
            {
                "id": row.id,
                "base": row.base_key,
                "what": WHAT[row.what],
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
    return page(request, listing=listing, bases_url=_url(request))


@view_config(
    context=BaseProposalRecord, permission=P.POOL_READ, request_method="GET", renderer=PROPOSAL
)
def proposal(context: BaseProposalRecord, request: Any) -> Any:
    """What a version or readings would change, and who decides."""
    row = context.record
    if wanted(request) == "json":
        names = ("id", "what", "base_key", "state", "content")
        return json_response({name: getattr(row, name) for name in names})
    return _proposal_page(context, request)


def _proposal_page(
    context: BaseProposalRecord, request: Any, refusal: Any = None
) -> dict[str, Any]:
    words, row, session = Words(request), context.record, request.dbsession
    url = _url(request, "proposals", str(row.id))
    is_open = row.state in OPEN
    overtaken = is_open and service.overtaken(session, row)
    past = service.versions(session, row.base_key)
    people = names_of(session, (row.proposed_by, row.decided_by))
    identity = request.identity
    mine = identity is not None and identity.person_id == row.proposed_by
    approves = row.state == "proposed" and may(request, P.RATE_APPROVE)
    name = row.content["name"] if row.what == service.BASE else past[0].name
    return page(
        request,
        proposal=row,
        url=url,
        bases_url=_url(request),
        base_url=_url(request, row.base_key) if past else None,
        name=name,
        what=WHAT[row.what],
        state=STATES[row.state],
        state_kind=STATE_KINDS[row.state],
        by=people.get(row.proposed_by),
        when=words.when(row.proposed_at),
        decided_by=people.get(row.decided_by),
        decided_at=words.when(row.decided_at),
        overtaken=overtaken,
        changes=changes(request, _followed(session, row, past), row.content),
        may_send=row.state == "draft" and may(request, P.POOL_EDIT) and not overtaken,
        may_withdraw=is_open and may(request, P.POOL_EDIT),
        may_approve=approves and not mine and not overtaken,
        own=approves and mine,
        refusal=refusal or (_refusal(request, url) if approves else None),
    )


def _followed(session: Any, row: Any, past: list[Any]) -> dict[str, Any] | None:
    """What the version or snapshot says that a proposal follows."""
    if row.what == service.BASE:
        version = next((each for each in past if each.number == row.based_on), None)
        return None if version is None else BaseSaid.of_row(version).as_json()
    taken = (each for each in snapshots_of(session, row.base_key) if each.number == row.based_on)
    snapshot = next(taken, None)
    return None if snapshot is None else ReadingsSaid.of_row(snapshot).as_json()


def _refusal(request: Any, url: str) -> Any:
    return make_form(
        request, ReasonForm(), submit=_("Refuse"), name="refusal", action=f"{url}/refuse"
    )


@view_config(context=BaseProposalRecord, name="send", permission=P.POOL_EDIT, request_method="POST")
def send(context: BaseProposalRecord, request: Any) -> Any:
    """Ask a second person."""
    service.send_for_approval(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("Sent. A second person approves the change."))
    return HTTPSeeOther(location=_url(request, "proposals", str(context.record.id)))


@view_config(
    context=BaseProposalRecord, name="withdraw", permission=P.POOL_EDIT, request_method="POST"
)
def withdraw(context: BaseProposalRecord, request: Any) -> Any:
    """Give a change up."""
    service.withdraw(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("The change was withdrawn."))
    return HTTPSeeOther(location=_url(request, "proposals"))


@view_config(
    context=BaseProposalRecord, name="approve", permission=P.RATE_APPROVE, request_method="POST"
)
def approve(context: BaseProposalRecord, request: Any) -> Any:
    """Store it; whoever's part changes is told."""
    approve_base(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("It was approved; whoever it touches is told."))
    return HTTPSeeOther(location=_url(request, context.record.base_key))


@view_config(
    context=BaseProposalRecord,
    name="refuse",
    permission=P.RATE_APPROVE,
    request_method="POST",
    renderer=PROPOSAL,
)
def refuse(context: BaseProposalRecord, request: Any) -> Any:
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
