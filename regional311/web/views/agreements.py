"""Who works for whom, who pays by which rule, as of any day."""

from __future__ import annotations

from typing import Any

from pyramid.view import view_config

from regional311.chargeback import terms
from regional311.identity.permissions import Permissions as P
from regional311.web.billing_wording import Words, as_of, holds, page
from regional311.web.i18n import _
from regional311.web.listing import Column, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.tree import AgreementRecord, Agreements

KINDS = {
    "iga": _("Intergovernmental agreement"),
    "sla": _("Service level agreement"),
    "mou": _("Memorandum of understanding"),
}


def partner_name(request: Any, tenant_id: Any) -> str:
    """A partner's name by id, also of one that this process does not know yet."""
    partner = request.registry.partners.by_id(tenant_id)
    return partner.name if partner else str(tenant_id)


def covers(words: Words, row: Any) -> Any:
    """Which work an agreement bills, in words."""
    if row.activities:
        return ", ".join(words.say("activity", each) for each in row.activities)
    return _("a share of a yearly cost")


def facts(request: Any, row: Any) -> dict[str, Any]:
    """An agreement's version as plain data."""
    return {
        "key": row.key,
        "version": row.version,
        "name": row.name,
        "provider": partner_name(request, row.provider_id),
        "payer": partner_name(request, row.payer_id),
        "activities": row.activities,
        "payer_rule": row.payer_rule,
        "rate_card": row.rate_card_key,
        "pool": row.pool_key,
        "valid_from": row.valid.lower,
        "valid_to": row.valid.upper,
        "terms": row.terms,
    }


@view_config(
    context=Agreements,
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer="agreements/index.jinja2",
)
def agreements(context: Agreements, request: Any) -> Any:
    """The agreements that hold on a day."""
    words = Words(request)
    day = as_of(request, words)
    rows = terms.agreements(request.dbsession, day)
    form = wanted(request)
    if form == "json":
        return json_response([facts(request, row) for row in rows])
    if form == "csv":
        columns = ["key", "version", "name", "provider", "payer", "payer_rule", "rate_card"]
        columns += ["pool", "valid_from", "valid_to"]
        found = [facts(request, row) for row in rows]
        return csv_response(
            request, "agreements.csv", columns, [[each[c] for c in columns] for each in found]
        )
    listing = Listing(
        request,
        columns=[
            Column("name", _("Agreement")),
            Column("provider", _("Who does the work")),
            Column("payer", _("Who pays")),
            Column("covers", _("Which work is billed")),
            Column("holds", _("Holds")),
        ],
        csv=True,
    )
    listing.csv_url = f"{listing.path}?as_of={day.isoformat()}&format=csv"
    listing.fill(
        [
            {
                "key": row.key,
                "name": row.name,
                "provider": partner_name(request, row.provider_id),
                "payer": partner_name(request, row.payer_id),
                "covers": covers(words, row),
                "holds": words.span(row.valid),
            }
            for row in rows
        ],
        total=len(rows),
    )
    return page(request, listing=listing, day=day)


@view_config(
    context=AgreementRecord,
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer="agreements/agreement.jinja2",
)
def agreement(context: AgreementRecord, request: Any) -> Any:
    """One agreement as it holds on a day, and its versions."""
    words = Words(request)
    day = as_of(request, words)
    versions = sorted(context.record, key=lambda row: -row.version)
    current = next((row for row in versions if holds(row.valid, day)), None)
    shown = current or versions[0]
    if wanted(request) == "json":
        return json_response([facts(request, row) for row in versions])
    told = {
        "payer": partner_name(request, shown.payer_id),
        "provider": partner_name(request, shown.provider_id),
    }
    if shown.activities:
        sentence = _("${provider} does the work and ${payer} pays for it.", mapping=told)
    else:
        sentence = _("${provider} bears the cost and ${payer} pays a share.", mapping=told)
    slug = request.tenant.slug
    stated = shown.terms
    targets = stated.get("target") or []
    return page(
        request,
        agreement=shown,
        day=day,
        url=f"/{slug}/agreements/{shown.key}",
        agreements_url=f"/{slug}/agreements",
        sentence=sentence,
        note=None if current else _("This agreement does not hold on that day."),
        facts=[
            (_("What was agreed"), stated.get("purpose")),
            (_("Kind"), KINDS.get(stated.get("kind", ""), stated.get("kind"))),
            (_("Reference"), stated.get("reference")),
            (_("Who does the work"), told["provider"]),
            (_("Who pays"), told["payer"]),
            (_("Which work is billed"), covers(words, shown)),
            (
                _("By which rule"),
                words("payer_rule", shown.payer_rule) if shown.activities else None,
            ),
            (_("Rate card"), shown.rate_card_key),
            (_("Shared cost"), shown.pool_key),
            (_("Holds"), words.span(shown.valid)),
            (_("Due"), _days(_("${days} days after issue"), stated.get("due_days"))),
            (_("Notice"), _days(_("${days} days"), stated.get("notice_days"))),
            (_("Disputes"), _days(_("within ${days} days"), stated.get("dispute_days"))),
            (
                _("Late work"),
                _days(_("joins until ${days} days after the month"), stated.get("late_event_days")),
            ),
            (_("Rounding"), _("once for each line, half a cent away from zero")),
            (_("Promises"), "\n".join(each["name"] for each in targets) or None),
        ],
        versions=[
            {
                "when": words.span(row.valid),
                "title": _("Version ${version}", mapping={"version": row.version}),
                "note": row.name if row.name != shown.name else None,
            }
            for row in versions
        ],
    )


def _days(pattern: Any, days: Any) -> Any:
    return None if days is None else _(str(pattern), mapping={"days": days})
