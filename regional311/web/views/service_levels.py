"""How well the promises of an agreement were kept, the work behind it, and figures entered."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.calendars import Period
from regional311.chargeback import service_levels
from regional311.chargeback.agreement_terms import Terms
from regional311.chargeback.calendar import finished, period_of
from regional311.errors import NotFound
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.models import Tenant
from regional311.web import agreement_wording as wording
from regional311.web.agreement_wording import Telling
from regional311.web.billing_wording import Words, holds, page
from regional311.web.forms import (
    Choice,
    Decimal,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Listing
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import AgreementRecord

FIGURES_SHOWN = 24
_CONTACTS = frozenset({"answer_seconds", "first_contact_percent"})


def told_levels(request: Any, telling: Telling, row: Any, day: date) -> list[dict[str, Any]]:
    """The promises of the latest finished period, then every figure that was written down."""
    targets = {each.key: each for each in Terms.of(row.terms).targets}
    if not targets:
        return []
    period = last_finished(request, row, day)
    found = [
        told(telling, each, period)
        for each in service_levels.levels(request.dbsession, row, period)
    ]
    for kept in service_levels.written(request.dbsession, row.key):
        about = period_of(kept.period_key)
        target = targets.get(kept.target_key)
        if about is None or about == period or target is None:
            continue
        level = service_levels.Level(target, kept.reading, 0, kept.source, entered=True)
        found.append(told(telling, level, about))
    return found[:FIGURES_SHOWN]


def last_finished(request: Any, row: Any, day: date) -> Period:
    """The latest period of an agreement that was over on a day."""
    first_month = request.dbsession.execute(
        select(Tenant.fiscal_year_starts_in).where(
            Tenant.tenant_id == row.provider_id, Tenant.id == row.provider_id
        )
    ).scalar_one()
    return finished(Terms.of(row.terms).billing.every, day, first_month, 1)[0]


def told(telling: Telling, level: service_levels.Level, period: Period) -> dict[str, Any]:
    """One promise in one period, in words."""
    words = telling.words
    return {
        "period": period.label,
        "period_words": period_words(words, period),
        "target": level.target.key,
        "name": level.target.name,
        "measure": wording.MEASURES[level.target.measure],
        "goal": words.number(level.target.goal),
        "reading": None if level.reading is None else words.number(level.reading),
        "met": level.met,
        "count": level.count,
        "source": level.source,
        "entered": level.entered,
        "credit": level.target.credit_percent,
    }


def period_words(words: Words, period: Period) -> str:
    """A month by its name, another period by its first and last day."""
    if period.is_month:
        return words.month(period.label)
    return f"{words.day(period.start_on)} – {words.last_day(period.end_on)}"


def _asked(context: AgreementRecord, request: Any) -> tuple[Any, Period]:
    """The version of the period asked for; an unknown period is not there."""
    rows = sorted(context.record, key=lambda row: -row.version)
    text = request.GET.get("period")
    period = period_of(text) if text else last_finished(request, rows[0], Words(request).today)
    if period is None:
        raise NotFound("There is no such period.")
    for day in (period.end_on - timedelta(days=1), period.start_on):
        for row in rows:
            if holds(row.valid, day):
                return row, period
    return rows[0], period


@view_config(
    context=AgreementRecord,
    name="levels",
    permission=P.AGREEMENT_READ,
    request_method="GET",
    renderer="agreements/levels.jinja2",
)
def levels(context: AgreementRecord, request: Any) -> Any:
    """The promises of a period, and for one of them the work behind it, the worst first."""
    row, period = _asked(context, request)
    telling = Telling(request)
    words = telling.words
    found = service_levels.levels(request.dbsession, row, period)
    chosen = next(
        (each for each in found if each.target.key == request.GET.get("target")),
        found[0] if found else None,
    )
    mine = row.provider_id == request.tenant.id
    behind = (
        service_levels.behind(request.dbsession, row, chosen.target, period)
        if chosen is not None and mine
        else []
    )
    form = wanted(request)
    if form == "json":
        return json_response(
            [
                {
                    "target": each.target.key,
                    "measure": each.target.measure,
                    "goal": each.target.goal,
                    "reading": each.reading,
                    "met": each.met,
                    "work": each.count,
                    "source": each.source,
                }
                for each in found
            ]
        )
    if form == "csv":
        return csv_response(
            request,
            "service-level.csv",
            ["number", "at", "value"],
            [[each.public_id, each.at, each.value] for each in behind],
        )
    slug = request.tenant.slug
    where = "contacts" if chosen and chosen.target.measure in _CONTACTS else "referrals"
    listing = Listing(
        request,
        columns=[
            Column("number", _("Work")),
            Column("at", _("When")),
            Column("value", chosen and wording.MEASURES[chosen.target.measure], number=True),
        ],
    )
    if behind:
        listing.csv_url = (
            f"{listing.path}?period={period.label}&target={chosen and chosen.target.key}&format=csv"
        )
    listing.fill(
        [
            {
                "number": each.public_id,
                "url": f"/{slug}/{where}/{each.public_id}",
                "at": words.when(each.at),
                "value": words.number(round(each.value, 2)),
            }
            for each in behind
        ]
    )
    url = f"/{slug}/agreements/{row.key}"
    return page(
        request,
        agreement=row,
        url=url,
        agreements_url=f"/{slug}/agreements",
        period=period.label,
        period_words=period_words(words, period),
        levels=[told(telling, each, period) for each in found],
        chosen=None if chosen is None else told(telling, chosen, period),
        listing=listing,
        mine=mine,
        may_share=mine
        and may(request, P.AGREEMENT_EDIT)
        and any(each.reading is not None and not each.entered for each in found),
        form=_form(request, row, period)
        if mine and may(request, P.AGREEMENT_EDIT) and found
        else None,
    )


def _form(request: Any, row: Any, period: Period) -> Any:
    targets = [(each.key, each.name) for each in Terms.of(row.terms).targets]
    schema = Schema()
    schema.add(
        SchemaNode(
            Choice(targets),
            name="target",
            title=_("Promise"),
            widget=SelectWidget(values=targets),
        )
    )
    schema.add(SchemaNode(Decimal(), name="reading", title=_("Figure measured")))
    schema.add(
        SchemaNode(
            String(service_levels.MAX_SOURCE),
            name="source",
            title=_("Where it comes from"),
            description=_("For example: telephone system, report of November 1."),
        )
    )
    return make_form(
        request,
        schema,
        submit=_("Enter the figure"),
        action=f"/{request.tenant.slug}/agreements/{row.key}/reading?period={period.label}",
        name="reading",
    )


@view_config(
    context=AgreementRecord,
    name="reading",
    permission=P.AGREEMENT_EDIT,
    request_method="POST",
    renderer="agreements/levels.jinja2",
)
def reading(context: AgreementRecord, request: Any) -> Any:
    """Enter a figure with its source; the other party gets it too."""
    row, period = _asked(context, request)
    form = _form(request, row, period)

    def save(values: dict[str, Any]) -> Any:
        service_levels.enter(
            request.dbsession,
            row,
            target_key=values["target"],
            period_key=period.label,
            reading=values["reading"],
            source=values["source"],
            now=request.now,
        )
        request.flash("success", _("The figure was entered."))
        return HTTPSeeOther(
            f"/{request.tenant.slug}/agreements/{row.key}/levels?period={period.label}"
            f"&target={values['target']}"
        )

    def again() -> Any:
        shown = levels(context, request)
        return {**shown, "form": form}

    return handle_form_submission(request, form, save, again)


@view_config(
    context=AgreementRecord,
    name="share",
    permission=P.AGREEMENT_EDIT,
    request_method="POST",
)
def share(context: AgreementRecord, request: Any) -> HTTPSeeOther:
    """Write down what was measured in a period, for both sides."""
    row, period = _asked(context, request)
    shared = service_levels.share(request.dbsession, row, period, now=request.now)
    if shared:
        request.flash("success", _("The figures were written down for both sides."))
    else:
        request.flash("info", _("There was no new figure to write down."))
    return HTTPSeeOther(f"/{request.tenant.slug}/agreements/{row.key}/levels?period={period.label}")
