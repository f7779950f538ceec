"""Drafting an agreement or its next version, and what becomes of it on both sides."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.chargeback import agreements as service
from regional311.chargeback.agreements import Content, Signed
from regional311.errors import InvalidInput
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web import agreement_wording as wording
from regional311.web.agreement_forms import agreement_form, form_values, said_content
from regional311.web.agreement_wording import Telling
from regional311.web.billing_wording import Words, holds, page
from regional311.web.forms import (
    Date,
    HiddenWidget,
    Integer,
    Schema,
    SchemaNode,
    String,
    form_key,
    handle_form_submission,
    make_form,
    pressed,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import AgreementRecord, Agreements, ProposalRecord, Proposals

SIDES = {"drafted": _("Drafted here"), "received": _("Proposed to us")}
FORM = "agreements/edit.jinja2"
PAGE = "agreements/proposal.jinja2"


class SignForm(Schema):
    """Who signs."""

    name = SchemaNode(String(200), title=_("Who signs"))
    title = SchemaNode(String(200), title=_("As what"), description=_("For example: Director."))
    on = SchemaNode(Date(), title=_("Signed on"))
    expected = SchemaNode(Integer(), widget=HiddenWidget())


class ReasonForm(Schema):
    """Why not."""

    reason = SchemaNode(
        String(service.MAX_REASON, multiline=True),
        title=_("Reason"),
        description=_("Both sides read it."),
    )
    expected = SchemaNode(Integer(), widget=HiddenWidget())


# --- the list -------------------------------------------------------------------------------------


@view_config(
    context=Proposals,
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer="agreements/proposals.jinja2",
)
def proposals(context: Proposals, request: Any) -> Any:
    """What this partner drafted and what others proposed to it; what waits comes first."""
    telling = Telling(request)
    words = telling.words
    listing = Listing(
        request,
        columns=[
            Column("name", _("Agreement")),
            Column("side", _("Side")),
            Column("other", _("Other party")),
            Column("state", _("State")),
            Column("when", _("Last step")),
        ],
        filters=[
            Filter("state", _("State"), choices=list(wording.PROPOSAL_STATES.items())),
            Filter("side", _("Side"), choices=list(SIDES.items())),
        ],
        csv=True,
    )
    asked = listing.values
    rows = [
        row
        for row in service.proposals(request.dbsession)
        if asked["state"] in (None, row.state) and asked["side"] in (None, row.side)
    ]
    rows.sort(key=lambda row: row.state not in service.OPEN)
    form = wanted(request)
    plain = [
        {
            "id": row.id,
            "agreement": row.agreement_key,
            "name": row.content["name"],
            "side": row.side,
            "other": _other(telling, row),
            "state": row.state,
            "drafted_at": row.drafted_at,
            "proposed_at": row.proposed_at,
            "answered_at": row.answered_at,
            "published_version": row.published_version,
        }
        for row in rows
    ]
    if form == "json":
        return json_response(plain)
    if form == "csv":
        columns = ["id", "agreement", "name", "side", "other", "state", "drafted_at"]
        columns += ["proposed_at", "answered_at", "published_version"]
        return csv_response(
            request, "proposals.csv", columns, [[each[c] for c in columns] for each in plain]
        )
    listing.fill(
        [
            {
                **each,
                "side_words": SIDES[each["side"]],
                "state_words": wording.PROPOSAL_STATES[each["state"]],
                "state_kind": wording.PROPOSAL_KINDS[each["state"]],
                "when": words.when(
                    each["answered_at"] or each["proposed_at"] or each["drafted_at"]
                ),
            }
            for each in plain
        ],
        total=len(plain),
    )
    return page(
        request,
        listing=listing,
        agreements_url=_url(request),
        may_edit=may(request, P.AGREEMENT_EDIT),
    )


def _other(telling: Telling, row: Any) -> str:
    if row.counterparty_id is not None:
        return telling.partner(row.counterparty_id)
    return telling.payer(Content.of(row.content))


def _url(request: Any, *parts: Any) -> str:
    return "/".join([f"/{request.tenant.slug}/agreements", *(str(each) for each in parts)])


# --- drafting -------------------------------------------------------------------------------------


@view_config(
    context=Agreements,
    name="new",
    permission=P.AGREEMENT_EDIT,
    request_method="GET",
    renderer=FORM,
)
def new(context: Agreements, request: Any) -> dict[str, Any]:
    """The form of a new agreement."""
    return _form_page(request, _form(request, None))


@view_config(
    context=Agreements,
    name="new",
    permission=P.AGREEMENT_EDIT,
    request_method="POST",
    renderer=FORM,
)
def draft(context: Agreements, request: Any) -> Any:
    """Draft a new agreement."""
    return _drafted(request, _form(request, None), None)


@view_config(
    context=AgreementRecord,
    name="edit",
    permission=P.AGREEMENT_EDIT,
    request_method="GET",
    renderer=FORM,
)
def amend(context: AgreementRecord, request: Any) -> dict[str, Any]:
    """The form of an agreement's next version, filled with the newest."""
    content = _newest(context)
    return _form_page(request, _form(request, content), content)


@view_config(
    context=AgreementRecord,
    name="edit",
    permission=P.AGREEMENT_EDIT,
    request_method="POST",
    renderer=FORM,
)
def draft_version(context: AgreementRecord, request: Any) -> Any:
    """Draft an agreement's next version."""
    content = _newest(context)
    return _drafted(request, _form(request, content), content)


def _newest(context: AgreementRecord) -> Content:
    rows = [row for row in context.record if not row.valid.isempty] or context.record
    return Content.of_row(max(rows, key=lambda row: row.version))


def _form(
    request: Any, amends: Content | None, *, values: dict[str, Any] | None = None, cancel: str = ""
) -> Any:
    filled = form_values(request, amends)
    if amends is not None and values is None:
        today = Words(request).today
        first = today.replace(day=1)
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        filled["valid_from"] = max(following, amends.valid_from)
    return make_form(
        request,
        agreement_form(request, amends=amends),
        submit=_("Save the draft"),
        values=filled if values is None else values,
        once=True,
        cancel_url=cancel or _url(request, *([amends.key] if amends else [])),
    )


def _form_page(request: Any, form: Any, amends: Content | None = None) -> dict[str, Any]:
    return page(
        request,
        form=form,
        name=amends.name if amends else None,
        url=_url(request, amends.key) if amends else None,
        agreements_url=_url(request),
    )


def _drafted(request: Any, form: Any, amends: Content | None) -> Any:
    def save(values: dict[str, Any]) -> HTTPSeeOther:
        content = said_content(request, values, amends)

        def do() -> dict[str, Any]:
            proposal_id = service.draft(
                request.dbsession, content, note=values["note"], now=request.now
            )
            return {"id": str(proposal_id)}

        answer = once(request.dbsession, form_key(request), ["agreement:draft", content.json()], do)
        request.flash("success", _("The draft was saved. A second person approves it."))
        return HTTPSeeOther(_url(request, "proposals", answer["id"]))

    if pressed(request, form):
        return _form_page(request, form, amends)
    return handle_form_submission(request, form, save, lambda: _form_page(request, form, amends))


@view_config(
    context=ProposalRecord,
    name="edit",
    permission=P.AGREEMENT_EDIT,
    request_method="GET",
    renderer=FORM,
)
def edit(context: ProposalRecord, request: Any) -> dict[str, Any]:
    """The form of a draft."""
    form = _edit_form(context, request)
    return _form_page(request, form, Content.of(context.record.content))


@view_config(
    context=ProposalRecord,
    name="edit",
    permission=P.AGREEMENT_EDIT,
    request_method="POST",
    renderer=FORM,
)
def save_edit(context: ProposalRecord, request: Any) -> Any:
    """Change a draft."""
    form = _edit_form(context, request)
    before = Content.of(context.record.content)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        service.edit(
            request.dbsession,
            context.record.id,
            said_content(request, values, before),
            version=values["expected"],
            note=values["note"],
            now=request.now,
        )
        request.flash("success", _("The draft was saved. A second person approves it."))
        return HTTPSeeOther(_url(request, "proposals", context.record.id))

    if pressed(request, form):
        return _form_page(request, form, before)
    return handle_form_submission(request, form, save, lambda: _form_page(request, form, before))


def _edit_form(context: ProposalRecord, request: Any) -> Any:
    found = context.record
    content = Content.of(found.content)
    values = {**form_values(request, content, found.note), "expected": found.version}
    return _form(request, content, values=values, cancel=_url(request, "proposals", found.id))


# --- one proposal ---------------------------------------------------------------------------------


@view_config(
    context=ProposalRecord,
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer=PAGE,
)
def proposal(context: ProposalRecord, request: Any) -> Any:
    """A proposal: what it would change, where it stands, and the step that is this person's."""
    if wanted(request) == "json":
        found = context.record
        return json_response(
            {
                "id": found.id,
                "side": found.side,
                "state": found.state,
                "note": found.note,
                "reason": found.reason,
                "based_on": found.based_on,
                "published_version": found.published_version,
                "signatures": found.signatures,
                "content": found.content,
            }
        )
    return _proposal_page(context, request)


def _proposal_page(context: ProposalRecord, request: Any, **shown: Any) -> dict[str, Any]:
    found = context.record
    telling = Telling(request)
    words = telling.words
    content = Content.of(found.content)
    versions = service.versions(request.dbsession, found.agreement_key)
    before = next((row for row in versions if row.version == found.based_on), None)
    approves = may(request, P.AGREEMENT_APPROVE)
    drafter = found.drafted_by is not None and found.drafted_by == request.identity.person_id
    steps = _steps(found, approves=approves, drafter=drafter)
    in_force = next((row for row in versions if holds(row.valid, words.today)), None)
    names = names_of(request.dbsession, [found.drafted_by, found.proposed_by, found.answered_by])
    return page(
        request,
        proposal=found,
        name=content.name,
        url=_url(request, "proposals", found.id),
        agreements_url=_url(request),
        agreement_url=_url(request, found.agreement_key) if versions else None,
        state=wording.PROPOSAL_STATES[found.state],
        state_kind=wording.PROPOSAL_KINDS[found.state],
        lead=_lead(telling, found, drafter=drafter, approves=approves),
        note=found.note,
        changes=telling.differences(Content.of_row(before), content) if before else None,
        amends=found.based_on,
        overtaken=in_force is not None
        and found.state in service.OPEN
        and versions[-1].version != found.based_on,
        facts=[(each.label, each.text) for each in telling.facts(content)],
        signatures=[
            {
                **each,
                "party": getattr(
                    request.registry.partners.by_slug(each["partner"]), "name", each["partner"]
                ),
            }
            for each in found.signatures
        ],
        history=_history(words, found, names),
        steps=steps,
        sign_form=shown.get("sign_form") or _sign_form(request, found, steps),
        reason_form=shown.get("reason_form") or _reason_form(request, found, steps),
        may_edit=found.side == "drafted"
        and found.state == "draft"
        and may(request, P.AGREEMENT_EDIT),
    )


def _steps(found: Any, *, approves: bool, drafter: bool) -> dict[str, bool]:
    """Which steps this person may take now."""
    return {
        "propose": found.side == "drafted" and found.state == "draft" and approves and not drafter,
        "accept": found.side == "received" and found.state == "proposed" and approves,
    }


def _lead(telling: Telling, found: Any, *, drafter: bool, approves: bool) -> Any:
    if found.state == "draft":
        if drafter:
            return _("Saved here only. A second person with the right to approve must propose it.")
        if approves:
            return _("Saved here only. Read it, then approve it with a signature.")
        return _("Saved here only. A person with the right to approve must propose it.")
    other = _other(telling, found)
    if found.state == "proposed":
        if found.side == "drafted":
            return _("${other} has it and answers.", mapping={"other": other})
        if approves:
            return _("${other} proposes it. Accept it or decline it.", mapping={"other": other})
        return _("${other} proposes it. An approver answers.", mapping={"other": other})
    if found.state == "accepted":
        return _("Published as version ${version}.", mapping={"version": found.published_version})
    return _("It came to nothing: ${reason}", mapping={"reason": found.reason})


def _history(words: Words, found: Any, names: dict[Any, str]) -> list[dict[str, Any]]:
    ends = {
        "accepted": _("Accepted"),
        "declined": _("Declined"),
        "withdrawn": _("Withdrawn"),
    }
    steps = [
        (found.drafted_at, _("Drafted"), found.drafted_by, None),
        (found.proposed_at, _("Approved and proposed"), found.proposed_by, None),
        (found.answered_at, ends.get(found.state), found.answered_by, found.reason),
    ]
    return [
        {"when": words.when(at), "title": title, "by": names.get(person), "note": note}
        for at, title, person, note in reversed(steps)
        if at is not None and title is not None
    ]


def _sign_form(request: Any, found: Any, steps: dict[str, bool]) -> Any:
    if not (steps["propose"] or steps["accept"]):
        return None
    step = "propose" if steps["propose"] else "accept"
    label = {
        "propose": _("Approve and propose") if found.counterparty_id else _("Approve and publish"),
        "accept": _("Accept and sign"),
    }[step]
    return make_form(
        request,
        SignForm(),
        submit=label,
        action=_url(request, "proposals", found.id, step),
        name=step,
        values={"on": Words(request).today, "expected": found.version},
    )


def _reason_form(request: Any, found: Any, steps: dict[str, bool]) -> Any:
    declines = found.side == "received" and found.state == "proposed" and steps["accept"]
    withdraws = (
        found.side == "drafted" and found.state in service.OPEN and may(request, P.AGREEMENT_EDIT)
    )
    if not (declines or withdraws):
        return None
    step = "decline" if declines else "withdraw"
    return make_form(
        request,
        ReasonForm(),
        submit=_("Decline") if declines else _("Withdraw"),
        action=_url(request, "proposals", found.id, step),
        name=step,
        values={"expected": found.version},
    )


@view_config(
    context=ProposalRecord,
    name="propose",
    permission=P.AGREEMENT_APPROVE,
    request_method="POST",
    renderer=PAGE,
)
def propose(context: ProposalRecord, request: Any) -> Any:
    """Approve a draft as a second person; it goes to the other party, or into force."""
    said = (
        _("Proposed. The other party answers.")
        if context.record.counterparty_id
        else _("Published.")
    )
    return _signed(context, request, "propose", service.propose, said)


@view_config(
    context=ProposalRecord,
    name="accept",
    permission=P.AGREEMENT_APPROVE,
    request_method="POST",
    renderer=PAGE,
)
def accept(context: ProposalRecord, request: Any) -> Any:
    """Accept what the other party proposed: the version is published."""
    return _signed(context, request, "accept", service.accept, _("Accepted and published."))


def _signed(context: ProposalRecord, request: Any, step: str, do: Any, said: Any) -> Any:
    found = context.record
    form = make_form(
        request,
        SignForm(),
        submit=_("Sign"),
        action=_url(request, "proposals", found.id, step),
        name=step,
    )

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        if values["on"] > Words(request).today:
            raise InvalidInput("A signature is not of the future.", field="on")
        do(
            request.dbsession,
            found.id,
            version=values["expected"],
            signed=Signed(values["name"], values["title"], values["on"]),
            now=request.now,
        )
        request.flash("success", said)
        return HTTPSeeOther(_url(request, "proposals", found.id))

    return handle_form_submission(
        request, form, save, lambda: _proposal_page(context, request, sign_form=form)
    )


@view_config(
    context=ProposalRecord,
    name="decline",
    permission=P.AGREEMENT_APPROVE,
    request_method="POST",
    renderer=PAGE,
)
def decline(context: ProposalRecord, request: Any) -> Any:
    """Decline what the other party proposed."""
    return _ended(context, request, "decline", service.decline, _("Declined."))


@view_config(
    context=ProposalRecord,
    name="withdraw",
    permission=P.AGREEMENT_EDIT,
    request_method="POST",
    renderer=PAGE,
)
def withdraw(context: ProposalRecord, request: Any) -> Any:
    """Take back one's own draft or proposal."""
    return _ended(context, request, "withdraw", service.withdraw, _("Withdrawn."))


def _ended(context: ProposalRecord, request: Any, step: str, do: Any, said: Any) -> Any:
    found = context.record
    form = make_form(
        request,
        ReasonForm(),
        submit=_("Send"),
        action=_url(request, "proposals", found.id, step),
        name=step,
    )

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        do(
            request.dbsession,
            found.id,
            version=values["expected"],
            reason=values["reason"],
            now=request.now,
        )
        request.flash("success", said)
        return HTTPSeeOther(_url(request, "proposals", found.id))

    return handle_form_submission(
        request, form, save, lambda: _proposal_page(context, request, reason_form=form)
    )
