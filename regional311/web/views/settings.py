"""A partner's facts as its files give them, and how many messages could not be sent."""

from __future__ import annotations

from typing import Any

from pyramid.view import view_config
from sqlalchemy import select

from regional311.identity.permissions import Permissions as P
from regional311.notices.handling import dead
from regional311.tenancy.models import Bureau, Line, Tenant
from regional311.web.billing_wording import Words, page
from regional311.web.i18n import _, translated
from regional311.web.listing import Column, Listing
from regional311.web.partners import REGION
from regional311.web.representations import json_response, wanted
from regional311.web.security import may
from regional311.web.tree import Settings
from regional311.web.wording import WEEKDAYS

KINDS = {
    "city": _("City"),
    "county": _("County"),
    "community": _("Community organisation"),
    "region": _("The region itself"),
}
_MONTHS_KEY = "2026-{:02d}"


@view_config(
    context=Settings,
    permission=P.SETTINGS_READ,
    request_method="GET",
    renderer="settings/index.jinja2",
)
def settings(context: Settings, request: Any) -> Any:
    """What this partner is set up as, read-only, and where it comes from."""
    words, session = Words(request), request.dbsession
    me = request.tenant.id
    tenant = session.execute(
        select(Tenant.__table__).where(Tenant.tenant_id == me, Tenant.id == me)
    ).one()
    if wanted(request) == "json":
        return json_response(
            {
                "slug": tenant.slug,
                "kind": tenant.kind,
                "name": tenant.name,
                "zone": tenant.zone,
                "revision": tenant.revision,
                "settings": tenant.settings,
            }
        )
    lines = session.execute(
        select(Line.__table__)
        .where(Line.tenant_id == me, Line.ended_on.is_(None))
        .order_by(Line.key)
    ).all()
    bureaus = session.execute(
        select(Bureau.__table__)
        .where(Bureau.tenant_id == me, Bureau.ended_on.is_(None))
        .order_by(Bureau.name, Bureau.key)
    ).all()
    return page(
        request,
        source=_source(request, tenant),
        sections=_sections(request, words, tenant),
        lines=_table(
            request,
            [_("Line"), _("Channel"), _("Address"), _("Hours"), _("When closed")],
            [
                {
                    "name": row.name,
                    "url": f"/{request.tenant.slug}/lines/{row.key}",
                    "channel": row.channel,
                    "address": row.address,
                    "hours": _hours(request, row.hours),
                    "closed": _("Never closed")
                    if _hours(request, row.hours) == translated(request, _("Always"))
                    else _("By its table")
                    if row.fallbacks
                    else _closed(request, row.closed_answer),
                }
                for row in lines
            ],
        ),
        bureaus=_table(request, [_("Bureau"), _("Fund"), _("Cost centre")], bureaus),
        dead=dead(session),
        messages_url=f"/{request.tenant.slug}/messages" if may(request, P.MESSAGE_WORK) else None,
        may_edit=may(request, P.SETTINGS_EDIT),
        url=f"/{request.tenant.slug}/settings",
    )


def _source(request: Any, tenant: Any) -> Any:
    told = {"slug": tenant.slug, "revision": tenant.revision}
    if request.tenant.slug == REGION:
        return _(
            "These facts come from the file policies/region.toml (revision ${revision}). Change"
            " them there; regional311 plan shows the difference and apply makes it.",
            mapping=told,
        )
    return _(
        "These facts come from the files in tenants/${slug}/ (revision ${revision}). Change them"
        " there; regional311 plan shows the difference and apply makes it.",
        mapping=told,
    )


def _sections(request: Any, words: Words, tenant: Any) -> list[dict[str, Any]]:
    stored = tenant.settings
    contact = stored.get("contact") or {}
    holidays = stored.get("holidays") or []
    usual: dict[str, Any] = stored.get("hours") or {}
    first = tenant.fiscal_year_starts_in
    year_starts = words.month(_MONTHS_KEY.format(first)).split(" ")[0]
    upcoming = sorted(h["date"] for h in holidays if h["date"] >= words.today.isoformat())
    names = {h["date"]: h["name"] for h in holidays}
    return [
        {
            "title": _("Who we are"),
            "facts": [
                (_("Name"), tenant.name),
                (_("Short name"), tenant.short_name),
                (_("Kind"), KINDS.get(tenant.kind, tenant.kind)),
                (_("Summary"), stored.get("summary")),
                (_("Time zone"), tenant.zone),
                (_("Fiscal year begins in"), year_starts),
                (_("Languages"), _joined(words, "language", stored.get("languages"))),
                (_("Telephone"), contact.get("phone")),
                (_("E-mail"), contact.get("email")),
                (_("Web"), contact.get("website")),
                (_("Address"), contact.get("address")),
            ],
        },
        {
            "title": _("Working hours and holidays"),
            "facts": [
                (_("Usual hours"), _hours(request, usual)),
                (
                    _("Holidays ahead"),
                    "\n".join(f"{day}: {names[day]}" for day in upcoming[:12]) or None,
                ),
            ],
        },
        {
            "title": _("Queues and roles"),
            "facts": [
                (
                    _("Queues"),
                    "\n".join(str(q.get("name", q.get("key"))) for q in stored.get("queues") or [])
                    or None,
                ),
                (
                    _("Our own words for roles"),
                    "\n".join(
                        f"{words.say('role', role['key'])}: {role['name']}"
                        for role in stored.get("roles") or []
                    )
                    or None,
                ),
            ],
        },
    ]


def _joined(words: Words, table: str, codes: Any) -> str | None:
    return ", ".join(words.say(table, each) for each in codes or ()) or None


def _hours(request: Any, given: dict[str, Any]) -> str:
    """Weekly hours in words; days with the same hours stand together."""
    hours = {day if day == "holiday" else day[:3]: spans for day, spans in given.items()}
    days = [day for day in WEEKDAYS if day in hours]
    spoken = {
        day: ", ".join(
            span if isinstance(span, str) else "–".join(span) for span in hours[day] or ()
        ).replace("-", "–")
        for day in days
    }
    if len(days) == len(WEEKDAYS) and set(spoken.values()) == {"00:00–24:00"}:
        return translated(request, _("Always"))
    runs: list[tuple[str, str, str]] = []
    for day in days:
        if not spoken[day]:
            continue
        if runs and runs[-1][2] == spoken[day] and _follows(runs[-1][1], day):
            runs[-1] = (runs[-1][0], day, spoken[day])
        else:
            runs.append((day, day, spoken[day]))
    name = {day: translated(request, WEEKDAYS[day]) for day in WEEKDAYS}
    return "\n".join(
        f"{name[a]} {times}" if a == b else f"{name[a]}–{name[b]} {times}" for a, b, times in runs
    ) or translated(request, _("Closed"))


def _follows(one: str, other: str) -> bool:
    order = list(WEEKDAYS)
    return order.index(other) == order.index(one) + 1


def _closed(request: Any, slug: str | None) -> Any:
    partner = request.registry.partners.by_slug(slug) if slug else None
    if partner is None:
        return _("Nobody answers") if slug is None else slug
    return _("${partner} answers", mapping={"partner": partner.name})


def _table(request: Any, titles: list[Any], rows: Any) -> Listing:
    columns = [Column(str(place), title) for place, title in enumerate(titles)]
    return Listing(request, columns=columns).fill(rows)
