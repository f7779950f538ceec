"""Who works for whom, who pays by which rule, as of any day, and what ends when."""

from __future__ import annotations

from datetime import date
from typing import Any

from pyramid.view import view_config

from regional311.allocation.pool_telling import told_of
from regional311.chargeback import agreements as service
from regional311.chargeback.agreement_queries import working_after_end
from regional311.chargeback.agreement_terms import AGREEMENT_KINDS
from regional311.chargeback.agreements import Content
from regional311.identity.permissions import Permissions as P
from regional311.web import agreement_wording as wording
from regional311.web.agreement_wording import Telling, days_left, standing
from regional311.web.billing_wording import Words, as_of, holds, page
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import AgreementRecord, Agreements
from regional311.web.views.service_levels import told_levels

A_YEAR = 366
"""Days before its first that an agreement to come is listed without being asked for."""
SIDES = {"provider": _("We do the work"), "payer": _("We pay")}


def partner_name(request: Any, tenant_id: Any) -> str:
    """A partner's name by id, also of one that this process does not know yet."""
    return Telling(request).partner(tenant_id)


def facts(telling: Telling, row: Any) -> dict[str, Any]:
    """An agreement's version as plain data."""
    return {
        "key": row.key,
        "version": row.version,
        "name": row.name,
        "provider": telling.partner(row.provider_id),
        "payer": telling.payer(row),
        "payer_kind": row.payer_kind,
        "activities": row.activities,
        "payer_rule": row.payer_rule,
        "rate_card": row.rate_card_key,
        "pool": row.pool_key,
        "valid_from": row.valid.lower,
        "valid_to": row.valid.upper,
        "terms": row.terms,
    }


def expires(words: Words, row: Any, day: date) -> Any:
    """*Expires in 40 days*, for an agreement that is expiring."""
    left = days_left(row, day)
    if left is None or standing(row, day) != "expiring":
        return None
    return words.count("Expires in ${num} day", "Expires in ${num} days", left)


@view_config(
    context=Agreements,
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer="agreements/index.jinja2",
)
def agreements(context: Agreements, request: Any) -> Any:
    """The agreements that hold on a day, those that end soon, and those that ended."""
    words, telling = Words(request), Telling(request)
    day = as_of(request, words)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Agreement"), sort=True),
            Column("provider", _("Who does the work"), sort=True),
            Column("payer", _("Who pays"), sort=True),
            Column("covers", _("Which work is billed")),
            Column("ends", _("Holds"), sort=True),
            Column("standing", _("Standing")),
        ],
        filters=[
            Filter("as_of", _("As of"), type="date"),
            Filter("standing", _("Standing"), choices=list(wording.STANDINGS.items())),
            Filter("side", _("Our side"), choices=list(SIDES.items())),
            Filter("payer_kind", _("Who pays"), choices=list(wording.PAYER_KINDS.items())),
            Filter("kind", _("Kind"), choices=[(k, wording.KINDS[k]) for k in AGREEMENT_KINDS]),
        ],
        sort="name",
        csv=True,
    )
    listing.filters[0].value = day.isoformat()
    working = working_after_end(request.dbsession, day)
    rows = [
        each
        for each in _on_day(service.parties(request.dbsession), day, words, telling, working)
        if _wanted(request, listing.values, each)
    ]
    key = (listing.sort or "name").removeprefix("-")
    rows.sort(
        key=lambda each: (str(each[key] or "9999").casefold(), each["key"]),
        reverse=(listing.sort or "").startswith("-"),
    )
    form = wanted(request)
    if form == "json":
        return json_response(
            [{**facts(telling, each["row"]), "standing": each["standing"]} for each in rows]
        )
    if form == "csv":
        columns = ["key", "version", "name", "provider", "payer", "payer_kind", "payer_rule"]
        columns += ["rate_card", "pool", "valid_from", "valid_to"]
        told = [
            [*(facts(telling, each["row"])[c] for c in columns), each["standing"]] for each in rows
        ]
        return csv_response(request, "agreements.csv", [*columns, "standing"], told)
    listing.fill(rows, total=len(rows))
    waiting = service.proposals(request.dbsession, states=("draft", "proposed"))
    return page(
        request,
        listing=listing,
        day=day,
        waiting=len(waiting),
        may_edit=may(request, P.AGREEMENT_EDIT) and not _is_region(request),
        standings=wording.STANDINGS,
        standing_kinds=wording.STANDING_KINDS,
    )


def _is_region(request: Any) -> bool:
    return bool(request.tenant.kind == "region")


def _on_day(
    versions: list[Any], day: date, words: Words, telling: Telling, working: dict[str, Any]
) -> list[dict[str, Any]]:
    """One row an agreement: the version of the day, else the first to come, else the last."""
    grouped: dict[str, list[Any]] = {}
    for row in versions:
        grouped.setdefault(row.key, []).append(row)
    found = []
    for key, rows in grouped.items():
        held = [row for row in rows if holds(row.valid, day)]
        coming = [row for row in rows if row.valid.lower and row.valid.lower > day]
        row = (held or coming[:1] or rows[-1:])[0]
        stands = standing(row, day)
        if stands == "expired" and key in working:
            stands = "working"
        if stands == "expiring" and any(each.version > row.version for each in rows):
            stands = "holds"
        found.append(
            {
                "row": row,
                "key": key,
                "name": row.name,
                "provider": telling.partner(row.provider_id),
                "payer": telling.payer(row),
                "covers": telling.covers(row),
                "holds": words.span(row.valid),
                "ends": row.valid.upper,
                "standing": stands,
                "near": stands != "expired"
                and (stands != "coming" or (row.valid.lower - day).days <= A_YEAR),
                "expires": expires(words, row, day) if stands == "expiring" else None,
            }
        )
    return found


def _wanted(request: Any, asked: dict[str, str | None], each: dict[str, Any]) -> bool:
    row = each["row"]
    mine = {"provider": row.provider_id, "payer": row.payer_id}
    side = asked["side"]
    if asked["standing"] is None and not each["near"]:
        return False
    return (
        asked["standing"] in (None, each["standing"])
        and asked["payer_kind"] in (None, row.payer_kind)
        and asked["kind"] in (None, row.terms.get("kind"))
        and (side is None or mine[side] == request.tenant.id)
    )


@view_config(
    context=AgreementRecord,
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer="agreements/agreement.jinja2",
)
def agreement(context: AgreementRecord, request: Any) -> Any:
    """One agreement as it holds on a day: every term in words, promises, versions, proposals."""
    words, telling = Words(request), Telling(request)
    day = as_of(request, words)
    versions = [row for row in context.record if not row.valid.isempty] or context.record
    versions = sorted(versions, key=lambda row: -row.version)
    current = next((row for row in versions if holds(row.valid, day)), None)
    shown = current or versions[0]
    if wanted(request) == "json":
        return json_response([facts(telling, row) for row in versions])
    told = {"payer": telling.payer(shown), "provider": telling.partner(shown.provider_id)}
    if shown.activities:
        sentence = _("${provider} does the work and ${payer} pays for it.", mapping=told)
    else:
        sentence = _("${provider} bears the cost and ${payer} pays a share.", mapping=told)
    slug = request.tenant.slug
    working = working_after_end(request.dbsession, day).get(shown.key)
    party = request.tenant.id in (shown.provider_id, shown.payer_id)
    return page(
        request,
        agreement=shown,
        day=day,
        url=f"/{slug}/agreements/{shown.key}",
        agreements_url=f"/{slug}/agreements",
        sentence=sentence,
        note=None if current else _("This agreement does not hold on that day."),
        expires=expires(words, versions[0], day),
        working=working,
        facts=[(each.label, each.text) for each in telling.facts(Content.of_row(shown))],
        versions=_compared(words, telling, versions),
        proposals=[
            {
                "url": f"/{slug}/agreements/proposals/{each.id}",
                "state": each.state,
                "title": wording.PROPOSAL_STATES[each.state],
                "kind": wording.PROPOSAL_KINDS[each.state],
                "when": words.when(each.answered_at or each.proposed_at or each.drafted_at),
            }
            for each in service.proposals(request.dbsession, key=shown.key)
        ],
        told=_told(request, words, shown),
        may_edit=may(request, P.AGREEMENT_EDIT) and party,
        levels=told_levels(request, telling, shown, day) if party else [],
        may_measure=may(request, P.AGREEMENT_EDIT) and shown.provider_id == request.tenant.id,
    )


def _told(request: Any, words: Words, shown: Any) -> list[dict[str, Any]]:
    """What the provider told this payer of versions of the pool, its own part only."""
    if shown.pool_key is None or shown.payer_id != request.tenant.id:
        return []
    if shown.provider_id == request.tenant.id:
        return []
    rows = told_of(request.dbsession, shown.provider_id, shown.pool_key)
    return [
        {
            "when": words.when(row.sent_at),
            "year": row.payload["fiscal_year"],
            "why": row.payload["why"],
            "name": each["name"],
            "actual": each["actual"],
            "before": words.cents(each["before_cents"]),
            "after": words.cents(each["after_cents"]),
        }
        for row in rows
        for each in row.payload["changes"]
    ]


def _compared(words: Words, telling: Telling, versions: list[Any]) -> list[dict[str, Any]]:
    """Each version with what it changed against the one before, the newest first."""
    found = []
    for row, before in zip(versions, [*versions[1:], None], strict=True):
        changes = (
            telling.differences(Content.of_row(before), Content.of_row(row)) if before else None
        )
        found.append(
            {
                "version": row.version,
                "when": words.span(row.valid),
                "changes": changes,
            }
        )
    return found
