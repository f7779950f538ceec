"""Who owes whom over the region, and netting among several partners."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.chargeback.checks import who_owes_whom
from regional311.database.ids import new_token
from regional311.identity.permissions import Permissions as P
from regional311.settlement import netting
from regional311.tenancy.once import once
from regional311.web.forms import (
    CheckboxGroupWidget,
    Choices,
    Schema,
    SchemaNode,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.settlement_wording import (
    settlement_page,
)
from regional311.web.tree import (
    RegionSettlement,
)
from regional311.web.views.netting import propose_set
from regional311.web.views.payments import as_uuid


@view_config(
    context=RegionSettlement,
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer="region/settlement.jinja2",
)
def region(context: RegionSettlement, request: Any) -> Any:
    """Who owes whom by the creditors' books, and what was proposed to be netted."""
    return _region_page(request, None)


def _region_page(request: Any, form: Any) -> Any:
    partners = [each for each in request.registry.partners.all() if each.kind != "region"]
    owed: defaultdict[tuple[UUID, UUID], int] = defaultdict(int)
    for each in who_owes_whom(
        request.registry.engine, {partner.slug: partner.id for partner in partners}
    ):
        owed[each.debtor_id, each.creditor_id] += each.cents
    names = {each.id: each.name for each in partners}
    asked = wanted(request)
    if asked != "html":
        found = [
            {"payer": names[debtor], "payee": names[creditor], "cents": cents}
            for (debtor, creditor), cents in sorted(owed.items())
        ]
        if asked == "json":
            return json_response(found)
        return csv_response(
            request,
            "who-owes-whom.csv",
            ["payer", "payee", "cents"],
            [list(each.values()) for each in found],
        )
    sets = netting.sets(request.dbsession)
    if form is None and may(request, P.AGREEMENT_EDIT):
        form = _region_form(request, partners)
    return settlement_page(
        request,
        partners=partners,
        matrix=[_matrix_row(request, payer, partners, owed) for payer in partners] if owed else [],
        form=form,
        url="/region/settlement",
        may_propose=may(request, P.AGREEMENT_EDIT),
        form_key=new_token(),
        sets=[
            {
                "row": row,
                "pairs": [
                    (
                        names.get(UUID(each["debtor"]), ""),
                        names.get(UUID(each["creditor"]), ""),
                        each["netted_cents"],
                    )
                    for each in row.positions
                ],
                "answers": [
                    (names.get(UUID(each), ""), answers.get(UUID(each), "waiting"))
                    for each in row.parties
                ],
            }
            for row in sets
            for answers in (
                {a.party_id: a.answer for a in netting.answers_of(request.dbsession, row.id)},
            )
        ],
    )


def _matrix_row(
    request: Any, payer: Any, partners: list[Any], owed: dict[tuple[UUID, UUID], int]
) -> dict[str, Any]:
    """What one partner owes each; a cell opens where the viewer may see its statements."""
    cells = []
    for payee in partners:
        cents = owed.get((payer.id, payee.id), 0)
        url = None
        if P.SETTLEMENT_READ in request.identity.permissions(payee.id):
            url = f"/{payee.slug}/settlement/receivables?partner={payer.slug}"
        elif P.SETTLEMENT_READ in request.identity.permissions(payer.id):
            url = f"/{payer.slug}/settlement/payables?partner={payee.slug}"
        cells.append(None if payer.id == payee.id else (cents, url))
    owes = sum(cents for (debtor, _creditor), cents in owed.items() if debtor == payer.id)
    is_owed = sum(cents for (_debtor, creditor), cents in owed.items() if creditor == payer.id)
    return {
        "name": payer.name,
        "cells": cells,
        "owes": owes,
        "owed": is_owed,
        "net": is_owed - owes,
    }


def _region_form(request: Any, partners: list[Any]) -> Any:
    offered = [(each.slug, each.name, None) for each in partners]
    schema = Schema()
    schema.add(
        SchemaNode(
            Choices(offered),
            name="parties",
            title=_("Among whom"),
            description=_("What goes round among them is set off once all have consented."),
            widget=CheckboxGroupWidget(values=offered),
        )
    )
    return make_form(
        request,
        schema,
        submit=_("Propose"),
        name="propose",
        action="/region/settlement/propose",
        once=True,
    )


@view_config(
    context=RegionSettlement,
    name="propose",
    permission=P.AGREEMENT_EDIT,
    request_method="POST",
    renderer="region/settlement.jinja2",
)
def propose_among(context: RegionSettlement, request: Any) -> Any:
    """Propose a netting set among several partners, each of whom must consent."""
    key = form_key(request)
    partners = [each for each in request.registry.partners.all() if each.kind != "region"]
    form = _region_form(request, partners)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        propose_set(request, key, values["parties"])
        return HTTPSeeOther(location="/region/settlement")

    return handle_form_submission(request, form, save, lambda: _region_page(request, form))


@view_config(
    context=RegionSettlement, name="withdraw", permission=P.AGREEMENT_EDIT, request_method="POST"
)
def withdraw_among(context: RegionSettlement, request: Any) -> HTTPSeeOther:
    """Take a proposal of the region back."""
    key = form_key(request)
    netting_id = as_uuid(request.POST.get("set"))
    if netting_id is None:
        raise HTTPNotFound

    def do() -> dict[str, Any]:
        netting.withdraw(request.dbsession, netting_id, now=request.now)
        return {}

    once(request.dbsession, key, ["netting:withdraw", str(netting_id)], do)
    request.flash("success", _("It was withdrawn; nothing is set off."))
    return HTTPSeeOther(location="/region/settlement")
