"""Late and changed work: what issued periods have not seen, and billing the difference."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.chargeback.calendar import period_of
from regional311.chargeback.freed import Freed, freed
from regional311.chargeback.given_back import Twice, given_back_twice
from regional311.chargeback.rerating import (
    Due,
    LateWork,
    draft_corrections,
    late_work,
    preview_corrections,
)
from regional311.chargeback.statement import Payer
from regional311.database.ids import new_token
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web.billing_wording import Words, page, word
from regional311.web.forms import form_key
from regional311.web.i18n import _
from regional311.web.listing import Column, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import Corrections, LatePeriodRecord

LINES_SHOWN = 100
CHANGES = {
    "difference": _("More or less at the same price"),
    "reversal": _("Taken back"),
    "replacement": _("Billed anew"),
    "addition": _("Not billed before"),
    "credit": _("Credited"),
    "debit": _("Added"),
}
COLUMNS = (
    "period",
    "stored_before",
    "events",
    "after_window",
    "rates",
    "pools",
    "freed_cents",
    "carried_cents",
    "open_drafts",
    "billed",
)


def payer_name(request: Any, payer: Payer) -> str:
    """A payer as a person knows it: the partner, or the key of one's own bureau or outside body."""
    if payer.key is not None:
        return payer.key.replace("-", " ").capitalize()
    partner = request.registry.partners.by_id(payer.id)
    return partner.name if partner else str(payer.id)


def _plain(row: LateWork) -> dict[str, Any]:
    values = (
        row.period_key,
        row.stored_before,
        row.events,
        row.after_window,
        len(row.rates),
        len(row.pools),
        row.freed_cents,
        row.carried_cents,
        row.open_drafts,
        row.total_cents,
    )
    return dict(zip(COLUMNS, values, strict=True))


@view_config(
    context=Corrections,
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="corrections/index.jinja2",
)
def periods(context: Corrections, request: Any) -> Any:
    """The issued periods, with what became known after each was rated."""
    form = wanted(request)
    rows = late_work(request.dbsession, zone=request.tenant.zone)
    if form == "json":
        return json_response([_plain(row) for row in rows])
    if form == "csv":
        found = [list(_plain(row).values()) for row in rows]
        return csv_response(request, "late-work.csv", COLUMNS, found)
    listing = Listing(
        request,
        columns=[
            Column("period", _("Period")),
            Column("events", _("Came after it was rated"), number=True),
            Column("after_window", _("Of these, after the window"), number=True),
            Column("rates", _("Prices corrected since"), number=True),
            Column("pools", _("Shared costs changed since"), number=True),
            Column("freed_cents", _("Room again"), number=True),
            Column("carried_cents", _("Carried balances changed"), number=True),
            Column("open_drafts", _("Corrections being prepared"), number=True),
            Column("billed", _("Billed so far"), number=True),
        ],
        csv=True,
    ).fill(rows, total=len(rows))
    return page(
        request,
        listing=listing,
        late=[row for row in rows if row.anything],
        freed=_freed(request, freed(request.dbsession)),
    )


def _page(context: LatePeriodRecord, request: Any, **values: Any) -> dict[str, Any]:
    rows = late_work(request.dbsession, zone=request.tenant.zone, period_key=context.record)
    slug = request.tenant.slug
    return page(
        request,
        period=context.record,
        late=rows[0] if rows else None,
        billing_url=f"/{slug}/billing/{context.record}",
        url=f"/{slug}/corrections/{context.record}",
        corrections_url=f"/{slug}/corrections",
        statements_url=f"/{slug}/statements?period={context.record}",
        rates_url=f"/{slug}/rates",
        pools_url=f"/{slug}/pools",
        bases_url=f"/{slug}/bases",
        may_run=may(request, P.BILLING_RUN),
        form_key=new_token(),
        **{"dues": None, "total_cents": 0}
        | {"freed": _freed(request, freed(request.dbsession, [context.record]))}
        | {"twice": _twice(request, given_back_twice(request.dbsession, _period(context)))}
        | values,
    )


def _freed(request: Any, rows: list[Freed]) -> list[dict[str, Any]]:
    """Authorisations with room again, with their statement, their run and what freed them."""
    slug = request.tenant.slug
    return [
        {
            "row": row,
            "payer": payer_name(request, row.payer),
            "statement_url": f"/{slug}/statements/{row.statement}",
            "run_url": f"/{slug}/billing/{row.period_key}",
            "period_url": f"/{slug}/corrections/{row.period_key}",
            "by_url": f"/{slug}/statements/{row.freed_by}" if row.freed_by else None,
        }
        for row in rows
    ]


def _twice(request: Any, rows: list[Twice]) -> list[dict[str, Any]]:
    """What would be given back twice, with where its debit memo is drafted."""
    url = f"/{request.tenant.slug}/statements"
    drafts = may(request, P.STATEMENT_PREPARE)
    return [
        {
            "row": row,
            "payer": payer_name(request, row.payer),
            "url": f"{url}/{row.statement}/{row.line}",
            "memo_url": f"{url}/{row.statement}/memo?line={row.line}&kind=debit_memo"
            f"&cents={row.twice_cents}"
            if drafts
            else None,
        }
        for row in rows
    ]


@view_config(
    context=LatePeriodRecord,
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="corrections/period.jinja2",
)
def period(context: LatePeriodRecord, request: Any) -> Any:
    """One issued period: what it has not seen, and the buttons that rate it again."""
    found = _page(context, request)
    if wanted(request) == "json":
        late = found["late"]
        return json_response(
            late
            and _plain(late)
            | {
                "rate_keys": late.rates,
                "pool_keys": late.pools,
                "base_keys": late.bases,
                "freed": [
                    {
                        "kind": row.kind,
                        "agreement": row.agreement_key,
                        "source": row.source,
                        "authorised_cents": row.authorised_cents,
                        "used_cents": row.used_cents,
                        "held_back_cents": row.held_back_cents,
                        "freed_cents": row.freed_cents,
                        "statement": row.number,
                        "run": row.run,
                        "freed_by": row.freed_by,
                    }
                    for row in freed(request.dbsession, [context.record])
                ],
            }
        )
    return found


@view_config(
    context=LatePeriodRecord,
    name="preview",
    permission=P.BILLING_RUN,
    request_method="POST",
    renderer="corrections/period.jinja2",
)
def preview(context: LatePeriodRecord, request: Any) -> Any:
    """What correction statements would say; nothing is changed."""
    dues = preview_corrections(request.dbsession, _period(context), now=request.now)
    words = Words(request)
    return _page(
        context,
        request,
        dues=[_told(request, words, due) for due in dues],
        twice=_twice(request, given_back_twice(request.dbsession, _period(context), dues)),
        total_cents=sum(due.total_cents for due in dues),
    )


def _told(request: Any, words: Words, due: Due) -> dict[str, Any]:
    return {
        "payer": payer_name(request, due.payer),
        "corrects": due.corrects,
        "total_cents": due.total_cents,
        "more": max(0, len(due.lines) - LINES_SHOWN),
        "lines": [
            {
                "label": line.label,
                "change": word(CHANGES, line.basis.get("corrects", {}).get("change", "addition")),
                "line": line.basis.get("corrects", {}).get("line"),
                "statement": line.basis.get("corrects", {}).get("statement"),
                "quantity": words.number(line.quantity),
                "price": words.money(line.price),
                "amount_cents": line.amount_cents,
            }
            for line in due.lines[:LINES_SHOWN]
        ],
    }


@view_config(
    context=LatePeriodRecord, name="draft", permission=P.BILLING_RUN, request_method="POST"
)
def draft(context: LatePeriodRecord, request: Any) -> HTTPSeeOther:
    """Rate the period again and draft a correction for each payer; drafts before become void."""

    def do() -> dict[str, Any]:
        drafts = draft_corrections(request.dbsession, _period(context), now=request.now)
        return {"drafts": len(drafts)}

    answer = once(request.dbsession, form_key(request), ["corrections", context.record], do)
    slug = request.tenant.slug
    if not answer["drafts"]:
        request.flash("info", _("Rated again; nothing has changed for anybody."))
        return HTTPSeeOther(location=f"/{slug}/corrections/{context.record}")
    request.flash(
        "success",
        _(
            "Rated again; ${count} corrections are ready to be read.",
            mapping={"count": answer["drafts"]},
        ),
    )
    return HTTPSeeOther(location=f"/{slug}/statements?period={context.record}")


def _period(context: LatePeriodRecord) -> Any:
    found = period_of(context.record)
    if found is None:
        raise HTTPNotFound
    return found
