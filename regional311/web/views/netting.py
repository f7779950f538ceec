"""Netting between two partners: the sets, one of them, proposing, consenting, declining."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.database.ids import new_token
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.settlement import netting, queries
from regional311.tenancy.once import once
from regional311.web.forms import (
    Choice,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Listing
from regional311.web.representations import json_response, wanted
from regional311.web.security import may
from regional311.web.settlement_wording import (
    SettlementWords,
    settlement_page,
)
from regional311.web.tree import (
    NettingRecord,
    NettingSets,
)
from regional311.web.views.payments import as_uuid
from regional311.web.views.settlement import other_partners, tabs


@view_config(
    context=NettingSets,
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/netting.jinja2",
)
def netting_sets(context: NettingSets, request: Any) -> Any:
    """The netting sets that concern this partner, the latest first."""
    return _netting_page(request, None)


def _netting_page(request: Any, form: Any) -> Any:
    listing = Listing(
        request,
        columns=[
            Column("set", _("Netting set")),
            Column("parties", _("Among")),
            Column("month", _("Month")),
            Column("state", _("State")),
            Column("amount", _("Our claims and debts set off"), number=True),
        ],
    )
    listing.base = f"/{request.tenant.slug}/settlement/netting/"
    rows = netting.sets(request.dbsession, before=as_uuid(listing.after), limit=PAGE_SIZE + 1)
    names = {str(each.id): each.short_name for each in request.registry.partners.all()}
    shown = rows[:PAGE_SIZE]
    listing.fill(
        [
            {
                "row": row,
                "parties": ", ".join(names.get(each, each) for each in row.parties),
                "cents": sum(each["netted_cents"] for each in row.positions),
            }
            for row in shown
        ],
        after=str(shown[-1].id) if len(rows) > PAGE_SIZE else None,
    )
    if wanted(request) == "json":
        return json_response(
            [
                {"public_id": row.public_id, "state": row.state, "period": row.period_key}
                for row in shown
            ]
        )
    if form is None and may(request, P.SETTLEMENT_EDIT):
        form = _propose_form(request)
    return settlement_page(
        request, listing=listing, tabs=tabs(request, "netting"), form=form, slug=request.tenant.slug
    )


def _propose_form(request: Any) -> Any:
    offered = [(each.slug, each.name) for each in other_partners(request)]
    schema = Schema()
    schema.add(
        SchemaNode(
            Choice(offered),
            name="parties",
            title=_("With whom"),
            description=_("What both owe each other and is not disputed is set off."),
            widget=SelectWidget(values=offered),
        )
    )
    return make_form(request, schema, submit=_("Propose"), name="propose", once=True)


@view_config(
    context=NettingSets,
    permission=P.SETTLEMENT_EDIT,
    request_method="POST",
    renderer="settlement/netting.jinja2",
)
def propose(context: NettingSets, request: Any) -> Any:
    """Propose to set off what this partner and another owe each other."""
    key = form_key(request)
    form = _propose_form(request)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        number = propose_set(request, key, [values["parties"]])
        return HTTPSeeOther(location=f"/{request.tenant.slug}/settlement/netting/{number}")

    return handle_form_submission(request, form, save, lambda: _netting_page(request, form))


def propose_set(request: Any, key: str, slugs: list[str]) -> str:
    partners = [request.registry.partners.by_slug(each) for each in slugs]
    if None in partners:
        raise InvalidInput("Choose partners of the region.", field="parties")
    ids = [each.id for each in partners if each is not None]

    def do() -> dict[str, Any]:
        made = netting.propose(request.dbsession, ids, now=request.now)
        return {"id": str(made)}

    answer = once(request.dbsession, key, ["netting:propose", sorted(slugs)], do)
    request.flash("success", _("It was proposed; every party has it to consent."))
    made = UUID(answer["id"])
    return next(row.public_id for row in netting.sets(request.dbsession) if row.id == made)


@view_config(
    context=NettingRecord,
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/netting_set.jinja2",
)
def netting_set(context: NettingRecord, request: Any) -> Any:
    """One netting set: what of which statements is set off, and who has consented."""
    return _set_page(context, request, None)


def _set_page(context: NettingRecord, request: Any, form: Any) -> Any:
    row, session = context.record, request.dbsession
    words, slug = SettlementWords(request), request.tenant.slug
    names = {str(each.id): each.name for each in request.registry.partners.all()}
    answers = {str(each.party_id): each for each in netting.answers_of(session, row.id)}
    me = str(request.tenant.id)
    if wanted(request) == "json":
        return json_response(
            {
                "public_id": row.public_id,
                "state": row.state,
                "period": row.period_key,
                "positions": row.positions,
                "answers": {party: each.answer for party, each in answers.items()},
            }
        )
    public = {each["statement"]: each for each in row.positions}
    links = queries.statement_names(session, [UUID(each) for each in public if each])
    waits = row.state == "proposed" and me in row.parties and me not in answers
    decides = may(request, P.SETTLEMENT_APPROVE)
    return settlement_page(
        request,
        row=row,
        url=f"/{slug}/settlement/netting/{row.public_id}",
        back_url=f"/{slug}/settlement/netting",
        parties=[
            (
                names.get(each, each),
                answers[each].answer if each in answers else "waiting",
                answers[each].reason if each in answers else None,
                words.when(answers[each].at) if each in answers else "",
            )
            for each in row.parties
        ],
        positions=Listing(
            request,
            columns=[
                Column("statement", _("Statement")),
                Column("creditor", _("Owed to")),
                Column("debtor", _("Owed by")),
                Column("open", _("Open then"), number=True),
                Column("netted", _("Set off"), number=True),
            ],
        ).fill(
            [
                {
                    **each,
                    "url": f"/{slug}/statements/{links[UUID(each['statement'])]}"
                    if each["statement"] and UUID(each["statement"]) in links
                    else None,
                    "creditor": names.get(each["creditor"], ""),
                    "debtor": names.get(each["debtor"], ""),
                }
                for each in row.positions
            ]
        ),
        waits=waits,
        decides=decides,
        form=(form or _decline_form(request, row)) if waits and decides else None,
        reopened=form is not None,
        withdraws=row.state == "proposed"
        and row.proposer_id == request.tenant.id
        and may(request, P.SETTLEMENT_EDIT),
        form_key=new_token(),
    )


class DeclineForm(Schema):
    """Why a partner does not consent."""

    reason = SchemaNode(
        String(netting.LONGEST_REASON, multiline=True),
        title=_("Reason"),
        description=_("Every party reads it."),
    )


def _decline_form(request: Any, row: Any) -> Any:
    return make_form(
        request,
        DeclineForm(),
        submit=_("Decline"),
        name="decline",
        action=f"/{request.tenant.slug}/settlement/netting/{row.public_id}/decline",
        once=True,
    )


def _back_to(request: Any, context: NettingRecord) -> HTTPSeeOther:
    return HTTPSeeOther(
        location=f"/{request.tenant.slug}/settlement/netting/{context.record.public_id}"
    )


@view_config(
    context=NettingRecord, name="consent", permission=P.SETTLEMENT_APPROVE, request_method="POST"
)
def consent(context: NettingRecord, request: Any) -> HTTPSeeOther:
    """Consent to a netting set; the last consent executes it."""
    key = form_key(request)

    def do() -> dict[str, Any]:
        return {"state": netting.consent(request.dbsession, context.record.id, now=request.now)}

    answer = once(request.dbsession, key, ["netting:consent", str(context.record.id)], do)
    if answer["state"] == "executed":
        request.flash("success", _("Everybody has consented: it was executed in all books."))
    else:
        request.flash("success", _("You have consented; others have not answered yet."))
    return _back_to(request, context)


@view_config(
    context=NettingRecord,
    name="decline",
    permission=P.SETTLEMENT_APPROVE,
    request_method="POST",
    renderer="settlement/netting_set.jinja2",
)
def decline(context: NettingRecord, request: Any) -> Any:
    """Decline a netting set, which ends it."""
    form = _decline_form(request, context.record)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        netting.decline(
            request.dbsession, context.record.id, reason=values["reason"], now=request.now
        )
        request.flash("success", _("It was declined; nothing is set off."))
        return _back_to(request, context)

    return handle_form_submission(request, form, save, lambda: _set_page(context, request, form))


@view_config(
    context=NettingRecord, name="withdraw", permission=P.SETTLEMENT_EDIT, request_method="POST"
)
def withdraw(context: NettingRecord, request: Any) -> HTTPSeeOther:
    """Take a proposal back."""
    key = form_key(request)

    def do() -> dict[str, Any]:
        netting.withdraw(request.dbsession, context.record.id, now=request.now)
        return {}

    once(request.dbsession, key, ["netting:withdraw", str(context.record.id)], do)
    request.flash("success", _("It was withdrawn; nothing is set off."))
    return _back_to(request, context)
