"""The region seen whole: who owes whom, whether all books hold, what the partners agreed."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any
from uuid import UUID

from pyramid.view import view_config

from regional311.chargeback import terms
from regional311.chargeback.checks import check_region, owed_by_month
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.queries import PolicyRow, policies
from regional311.web.billing_wording import CHECK_NAMES, Check, Words, as_of, page
from regional311.web.i18n import _
from regional311.web.listing import Column, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.tree import RegionNode
from regional311.web.views.agreements import partner_name
from regional311.web.views.settings import KINDS

_PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


@view_config(
    context=RegionNode,
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer="region/index.jinja2",
)
def region(context: RegionNode, request: Any) -> Any:
    """Who owes whom for a month, the partners, and what they agreed on."""
    words = Words(request)
    partners = _partners(request)
    owed = owed_by_month(request.registry.engine, {each.slug: each.id for each in partners})
    period = _period(request, owed[0].period_key if owed else f"{words.today:%Y-%m}")
    amounts: defaultdict[tuple[UUID, UUID], int] = defaultdict(int)
    for each in owed:
        if each.period_key == period:
            amounts[each.debtor_id, each.creditor_id] += each.cents
    form = wanted(request)
    if form != "html":
        found = [
            {
                "period": period,
                "payer": partner_name(request, debtor),
                "payee": partner_name(request, creditor),
                "cents": cents,
            }
            for (debtor, creditor), cents in amounts.items()
        ]
        if form == "json":
            return json_response(found)
        return csv_response(
            request,
            f"settlement-{period}.csv",
            ["period", "payer", "payee", "cents"],
            [list(each.values()) for each in found],
        )
    day = as_of(request, words)
    slug = request.tenant.slug
    return page(
        request,
        period=period,
        day=day,
        url=f"/{slug}",
        partner_names=[each.short_name for each in partners],
        matrix=_matrix(partners, amounts) if amounts else [],
        sentences=_sentences(words, partners, amounts),
        partners=_table(
            request,
            [_("Partner"), _("Kind"), _("Address here")],
            [
                {"name": each.name, "kind": KINDS.get(each.kind, each.kind), "slug": each.slug}
                for each in partners
            ],
        ),
        agreements=_table(
            request,
            [_("Agreement"), _("Who does the work"), _("Who pays"), _("Holds")],
            [
                {
                    "url": f"/{slug}/agreements/{row.key}?as_of={day.isoformat()}",
                    "name": row.name,
                    "provider": partner_name(request, row.provider_id),
                    "payer": partner_name(request, row.payer_id),
                    "holds": words.span(row.valid),
                }
                for row in terms.agreements(request.dbsession, day)
            ],
        ),
        policies=_table(
            request,
            [_("Policy"), _("What it says"), _("Holds")],
            [
                {
                    "name": row.body.get("policy", {}).get("name", row.key),
                    "summary": _summary(row),
                    "holds": words.span(_Span(row.valid_from, row.valid_to)),
                }
                for row in policies(request.dbsession)
                if row.valid_from <= day and (row.valid_to is None or day < row.valid_to)
            ],
        ),
    )


@view_config(
    context=RegionNode,
    name="checks",
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer="region/checks.jinja2",
)
def checks(context: RegionNode, request: Any) -> Any:
    """Check all partners' books and bills of a month, one partner after another."""
    tenants = {each.slug: each.id for each in _partners(request)}
    period = _period(request, f"{Words(request).today:%Y-%m}")
    found = check_region(request.registry.engine, tenants, period)
    if wanted(request) == "json":
        return json_response({check.name: check.holds for check in found})
    return page(
        request,
        period=period,
        url=f"/{request.tenant.slug}",
        checks=[Check(CHECK_NAMES.get(check.name, check.name), check.holds) for check in found],
        problems=[problem.message for check in found for problem in check.problems],
    )


def _partners(request: Any) -> list[Any]:
    return [each for each in request.registry.partners.all() if each.kind != "region"]


def _period(request: Any, otherwise: str) -> str:
    asked = request.GET.get("period", "")
    return asked if _PERIOD.fullmatch(asked) else otherwise


class _Span:
    """A half-open range of days, as `Words.span` reads it."""

    def __init__(self, lower: Any, upper: Any) -> None:
        self.lower, self.upper = lower, upper


def _matrix(partners: list[Any], amounts: dict[tuple[UUID, UUID], int]) -> list[dict[str, Any]]:
    rows = []
    for payer in partners:
        owes = sum(cents for (debtor, _to), cents in amounts.items() if debtor == payer.id)
        is_owed = sum(cents for (_from, creditor), cents in amounts.items() if creditor == payer.id)
        rows.append(
            {
                "name": payer.name,
                "cells": [
                    None if payee.id == payer.id else amounts.get((payer.id, payee.id), 0)
                    for payee in partners
                ],
                "owes": owes,
                "owed": is_owed,
                "net": is_owed - owes,
            }
        )
    return rows


def _sentences(words: Words, partners: list[Any], amounts: dict[tuple[UUID, UUID], int]) -> Any:
    names = {each.id: each.name for each in partners}
    return [
        _(
            "${payer} owes ${payee} ${amount}.",
            mapping={
                "payer": names[debtor],
                "payee": names[creditor],
                "amount": words.cents(cents),
            },
        )
        for (debtor, creditor), cents in sorted(
            amounts.items(), key=lambda item: (names[item[0][0]], names[item[0][1]])
        )
    ]


def _summary(row: PolicyRow) -> Any:
    body = row.body
    if body.get("sign"):
        return _(
            "Asks for ${count} signs of danger before anything else.",
            mapping={"count": len(body["sign"])},
        )
    if body.get("grant"):
        return _(
            "${fields} fields may cross, under ${grants} grants; personal ones need consent.",
            mapping={"fields": len(body.get("field", ())), "grants": len(body["grant"])},
        )
    if body.get("retention"):
        return _(
            "${count} kinds of record, each with how long it keeps personal values.",
            mapping={"count": len(body["retention"])},
        )
    if body.get("agency"):
        return ", ".join(str(each.get("name", each.get("key"))) for each in body["agency"])
    return body.get("policy", {}).get("summary", "")


def _table(request: Any, titles: list[Any], rows: list[Any]) -> Listing:
    columns = [Column(str(place), title) for place, title in enumerate(titles)]
    return Listing(request, columns=columns).fill(rows)
