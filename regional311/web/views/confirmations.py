"""Balances that two partners confirm, and what differs as tasks."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.database.ids import new_token
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.identity.queries import members
from regional311.settlement import confirmations
from regional311.tenancy.once import once
from regional311.web.forms import (
    Choice,
    Date,
    HiddenWidget,
    Money,
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
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.settlement_wording import (
    BALANCE_STATES,
    SettlementWords,
    settlement_page,
)
from regional311.web.tree import (
    ConfirmationRecord,
    Confirmations,
)
from regional311.web.views.payments import as_uuid
from regional311.web.views.settlement import other_partners, tabs

DIFFERENCE_STATES = [(state, BALANCE_STATES[state]) for state in confirmations.STATES]


@view_config(
    context=Confirmations,
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/confirmations.jinja2",
)
def confirmed(context: Confirmations, request: Any) -> Any:
    """The balances that were asked for, the latest first."""
    return _confirmations_page(request, None)


def _confirmations_page(request: Any, form: Any) -> Any:
    words = SettlementWords(request)
    names = {each.id: each.name for each in request.registry.partners.all()}
    listing = Listing(
        request,
        columns=[
            Column("confirmation", _("Balance")),
            Column("partner", _("Partner")),
            Column("day", _("At the end of")),
            Column("state", _("State")),
            Column("claims", _("Owes us, as we say"), number=True),
            Column("owes", _("We owe, as we say"), number=True),
        ],
        csv=True,
    )
    listing.base = f"/{request.tenant.slug}/settlement/confirmations/"
    asked = wanted(request)
    rows = confirmations.confirmations(
        request.dbsession,
        before=as_uuid(listing.after),
        limit=PAGE_SIZE + 1 if asked == "html" else 1000,
    )
    if asked != "html":
        found = [
            {
                "public_id": row.public_id,
                "partner": names.get(row.counterparty_id, ""),
                "as_of_on": row.as_of_on,
                "state": row.state,
                "claims_cents": row.claims_cents,
                "owes_cents": row.owes_cents,
                "their_claims_cents": row.their_claims_cents,
                "their_owes_cents": row.their_owes_cents,
            }
            for row in rows
        ]
        if asked == "json":
            return json_response(found)
        columns = list(found[0]) if found else ["public_id"]
        return csv_response(
            request, "confirmations.csv", columns, [list(each.values()) for each in found]
        )
    shown = rows[:PAGE_SIZE]
    listing.fill(
        [{"row": row, "partner": names.get(row.counterparty_id, "")} for row in shown],
        after=str(shown[-1].id) if len(rows) > PAGE_SIZE else None,
    )
    if form is None and may(request, P.SETTLEMENT_EDIT):
        form = _ask_form(request, words)
    return settlement_page(request, listing=listing, tabs=tabs(request, "confirmations"), form=form)


def _ask_form(request: Any, words: SettlementWords) -> Any:
    offered = [(each.slug, each.name) for each in other_partners(request)]
    schema = Schema()
    schema.add(
        SchemaNode(
            Choice(offered),
            name="partner",
            title=_("Whom to ask"),
            widget=SelectWidget(values=offered),
        )
    )
    schema.add(
        SchemaNode(
            Date(),
            name="as_of_on",
            title=_("At the end of"),
            description=_("What was issued and paid until that day counts."),
        )
    )
    return make_form(
        request,
        schema,
        submit=_("Ask for confirmation"),
        name="ask",
        values={"as_of_on": words.today},
        once=True,
    )


@view_config(
    context=Confirmations,
    permission=P.SETTLEMENT_EDIT,
    request_method="POST",
    renderer="settlement/confirmations.jinja2",
)
def ask(context: Confirmations, request: Any) -> Any:
    """Ask another partner to confirm a balance; our figures go with it."""
    key = form_key(request)
    form = _ask_form(request, SettlementWords(request))

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        partner = request.registry.partners.by_slug(values["partner"])

        def do() -> dict[str, Any]:
            made = confirmations.ask(
                request.dbsession, partner.id, as_of_on=values["as_of_on"], now=request.now
            )
            return {"id": str(made)}

        once(request.dbsession, key, ["balance:ask", values], do)
        request.flash("success", _("The other side was asked, with our figures."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/settlement/confirmations")

    return handle_form_submission(request, form, save, lambda: _confirmations_page(request, form))


class FiguresForm(Schema):
    """What we say that both owe at the day."""

    claims = SchemaNode(Money(), title=_("They owe us"))
    owes = SchemaNode(Money(), title=_("We owe them"))


@view_config(
    context=ConfirmationRecord,
    permission=P.SETTLEMENT_READ,
    request_method="GET",
    renderer="settlement/confirmation.jinja2",
)
def confirmation(context: ConfirmationRecord, request: Any) -> Any:
    """One balance: what each side says, and the differences as tasks."""
    return _confirmation_page(context, request, None)


def _confirmation_page(
    context: ConfirmationRecord, request: Any, failed: tuple[str, Any] | None
) -> Any:
    row, session = context.record, request.dbsession
    words, slug = SettlementWords(request), request.tenant.slug
    names = {each.id: each.name for each in request.registry.partners.all()}
    found = confirmations.differences(session, row.id)
    if wanted(request) == "json":
        return json_response(
            {
                "public_id": row.public_id,
                "state": row.state,
                "as_of_on": row.as_of_on,
                "claims_cents": row.claims_cents,
                "owes_cents": row.owes_cents,
                "their_claims_cents": row.their_claims_cents,
                "their_owes_cents": row.their_owes_cents,
                "differences": [
                    {"what": each.what, "state": each.state, "note": each.note} for each in found
                ],
            }
        )
    edits = may(request, P.SETTLEMENT_EDIT)
    answers = edits and row.state == "asked" and not row.asked_by_us
    owners = names_of(session, [each.owner_id for each in found])
    book = None
    if row.state == "asked" and not row.asked_by_us:
        book = confirmations.figures(session, row.counterparty_id, row.as_of_on)
    return settlement_page(
        request,
        row=row,
        partner=names.get(row.counterparty_id, ""),
        url=f"/{slug}/settlement/confirmations/{row.public_id}",
        back_url=f"/{slug}/settlement/confirmations",
        answers=answers,
        book=book,
        same=book is not None and book == (row.their_owes_cents, row.their_claims_cents),
        form=_figures_form(request, row, book, failed) if answers else None,
        form_key=new_token(),
        tasks=[
            {
                "row": each,
                "owner": owners.get(each.owner_id) if each.owner_id else None,
                "form": _difference_form(request, row, each, failed)
                if edits and each.state != "resolved"
                else None,
                "words": words,
            }
            for each in found
        ],
    )


def _figures_form(
    request: Any,
    row: Any,
    book: tuple[int, int] | None,
    failed: tuple[str, Any] | None = None,
) -> Any:
    if failed is not None and failed[0] == "figures":
        return failed[1]
    claims, owes = book or (0, 0)
    return make_form(
        request,
        FiguresForm(),
        submit=_("State our figures"),
        name="figures",
        action=f"/{request.tenant.slug}/settlement/confirmations/{row.public_id}",
        values={"claims": claims, "owes": owes},
        once=True,
    )


def _difference_form(
    request: Any, row: Any, difference: Any, failed: tuple[str, Any] | None = None
) -> Any:
    name = f"difference-{difference.what}"
    if failed is not None and failed[0] == name:
        return failed[1]
    people = [
        (str(each.person_id), each.name)
        for each in members(request.dbsession)
        if each.ended_at is None
    ]
    schema = Schema()
    schema.add(SchemaNode(String(40), name="difference", widget=HiddenWidget()))
    schema.add(
        SchemaNode(
            Choice(DIFFERENCE_STATES),
            name="state",
            title=_("State"),
            widget=SelectWidget(values=DIFFERENCE_STATES),
        )
    )
    schema.add(
        SchemaNode(
            Choice(people),
            name="owner",
            title=_("Who follows it up here"),
            widget=SelectWidget(values=people),
        )
    )
    schema.add(
        SchemaNode(
            String(confirmations.LONGEST_NOTE, multiline=True),
            name="note",
            title=_("Explanation"),
            description=_("Both sides read it."),
        )
    )
    owner = difference.owner_id or request.identity.person_id
    return make_form(
        request,
        schema,
        submit=_("Save"),
        name=name,
        action=f"/{request.tenant.slug}/settlement/confirmations/{row.public_id}/difference",
        values={
            "difference": str(difference.id),
            "state": difference.state,
            "owner": str(owner) if str(owner) in dict(people) else None,
            "note": difference.note,
        },
        once=True,
    )


def _back(request: Any, context: ConfirmationRecord) -> HTTPSeeOther:
    return HTTPSeeOther(
        location=f"/{request.tenant.slug}/settlement/confirmations/{context.record.public_id}"
    )


@view_config(
    context=ConfirmationRecord,
    permission=P.SETTLEMENT_EDIT,
    request_method="POST",
    renderer="settlement/confirmation.jinja2",
)
def state_figures(context: ConfirmationRecord, request: Any) -> Any:
    """State our own figures; what differs becomes a task on both sides."""
    key = form_key(request)
    form = _figures_form(request, context.record, None)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        def do() -> dict[str, Any]:
            state = confirmations.state_figures(
                request.dbsession,
                context.record.id,
                claims_cents=values["claims"],
                owes_cents=values["owes"],
                now=request.now,
            )
            return {"state": state}

        answer = once(request.dbsession, key, ["balance:state", str(context.record.id), values], do)
        if answer["state"] == "agreed":
            request.flash("success", _("Both sides agree."))
        else:
            request.flash("warning", _("The figures differ; each difference is a task now."))
        return _back(request, context)

    return handle_form_submission(
        request, form, save, lambda: _confirmation_page(context, request, ("figures", form))
    )


@view_config(
    context=ConfirmationRecord,
    name="accept",
    permission=P.SETTLEMENT_EDIT,
    request_method="POST",
)
def accept(context: ConfirmationRecord, request: Any) -> HTTPSeeOther:
    """Accept what the other side states."""
    key = form_key(request)

    def do() -> dict[str, Any]:
        return {
            "state": confirmations.accept(request.dbsession, context.record.id, now=request.now)
        }

    once(request.dbsession, key, ["balance:accept", str(context.record.id)], do)
    request.flash("success", _("Both sides agree."))
    return _back(request, context)


@view_config(
    context=ConfirmationRecord,
    name="difference",
    permission=P.SETTLEMENT_EDIT,
    request_method="POST",
    renderer="settlement/confirmation.jinja2",
)
def follow_up(context: ConfirmationRecord, request: Any) -> Any:
    """Say where a difference stands; both sides see it."""
    key = form_key(request)
    wanted_id = as_uuid(request.POST.get("difference"))
    found = {
        each.id: each for each in confirmations.differences(request.dbsession, context.record.id)
    }
    if wanted_id not in found:
        raise HTTPNotFound
    difference = found[wanted_id]
    form = _difference_form(request, context.record, difference)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        def do() -> dict[str, Any]:
            confirmations.follow_up(
                request.dbsession,
                wanted_id,
                state=values["state"],
                note=values["note"],
                owner_id=UUID(values["owner"]),
                now=request.now,
            )
            return {}

        once(request.dbsession, key, ["balance:difference", values], do)
        request.flash("success", _("Saved; the other side sees it."))
        return _back(request, context)

    failed = (f"difference-{difference.what}", form)
    return handle_form_submission(
        request, form, save, lambda: _confirmation_page(context, request, failed)
    )
