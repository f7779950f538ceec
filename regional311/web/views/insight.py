"""What a partner learns from its referrals: figures, each opening to its rows, and trends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound
from pyramid.view import view_config

from regional311.calendars import instant
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.insight import publishing, queries
from regional311.insight.figures import FIGURES
from regional311.insight.queries import Between, Chosen, Loop, Overview, Part, Row, Whose
from regional311.insight.suppression import FEW, WITHHELD
from regional311.intake.queries import EXPORT
from regional311.web.i18n import _, translated
from regional311.web.insight_wording import (
    BY_NAMES,
    FIGURE_NAMES,
    LOOPS,
    change,
    duration,
    percent,
)
from regional311.web.listing import Column, Filter, Listing
from regional311.web.representations import exported, wanted
from regional311.web.telling import Telling, telling
from regional311.web.tree import Insight, InsightFigure, Trends
from regional311.web.wording import (
    DECLINE_REASONS,
    DISPOSITIONS,
    END_REASONS,
    LANGUAGES,
    NEED_STATES,
    OUTCOMES,
    REFERRAL_STATES,
    UNMET_REASONS,
    said,
)

DAYS: Final = 30
MOST_DAYS: Final = 1100
SHOWN: Final = 15
"""Rows of a table of the page; the file has all."""
COURSE: Final = 12
"""Months that stand one below the other in the trends."""

SIDES: Final = {"sent": _("Sent by us"), "received": _("Received by us")}
_WAY: Final = {"sent": _("to"), "received": _("from")}


@dataclass(frozen=True)
class Asked:
    """What the address asks for, as days of the partner's clock."""

    first: date
    last: date
    side: str
    partner: str
    service: str
    problem: Any = None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def previous(self) -> Asked:
        """The time directly before, of the same length, with the same filters."""
        days = timedelta(days=self.days)
        return replace(self, first=self.first - days, last=self.last - days)

    def query(self, **more: str) -> str:
        """The filters as the end of an address, with what more is asked."""
        values = {
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            "side": self.side,
            "partner": self.partner,
            "service": self.service,
            **more,
        }
        return "?" + urlencode({key: value for key, value in values.items() if value})


def _asked(request: Any, tell: Telling) -> Asked:
    problem = None
    try:
        first, last = _days(request, tell.today)
    except InvalidInput as error:
        first, last = tell.today - timedelta(days=DAYS - 1), tell.today
        problem = error.args[0]
    partner, side = request.GET.get("partner", ""), request.GET.get("side", "")
    return Asked(
        first,
        last,
        side if side in SIDES else "",
        partner if partner in tell.published.ids else "",
        request.GET.get("service", "").strip()[:100],
        problem,
    )


def _days(request: Any, today: date) -> tuple[date, date]:
    """Read the first and the last day; raises :class:`InvalidInput` naming the field."""
    last = _day(request, "to") or today
    first = _day(request, "from") or last - timedelta(days=DAYS - 1)
    if first > last:
        raise InvalidInput(_("From is after To: choose an earlier first day."), field="from")
    if (last - first).days >= MOST_DAYS:
        raise InvalidInput(_("Choose at most three years."), field="from")
    return first, last


def _day(request: Any, name: str) -> date | None:
    text = request.GET.get(name, "").strip()
    if not text:
        return None
    with suppress(ValueError):
        day = date.fromisoformat(text)
        if 2000 <= day.year <= 2200:
            return day
    raise InvalidInput(
        _("Write ${field} as a day such as 2026-10-31.", mapping={"field": name}), field=name
    )


def _chosen(tell: Telling, asked: Asked) -> Chosen:
    zone = tell.zone.key
    return Chosen(
        before=instant(zone, asked.first - timedelta(days=asked.days)),
        first=instant(zone, asked.first),
        until=instant(zone, asked.last + timedelta(days=1)),
        side=asked.side or None,
        partner_id=tell.published.ids.get(asked.partner),
        service_key=asked.service or None,
        without=frozenset() if _cleared(tell) else tell.confidential_services,
    )


def _cleared(tell: Telling) -> bool:
    request = tell.request
    return bool(request.identity.cleared(request.tenant.id))


def _filters(tell: Telling, asked: Asked) -> list[Filter]:
    partners = sorted(
        (slug, tell.partner(slug)) for slug in tell.published.ids if slug != tell.slug
    )
    return [
        Filter("from", _("From"), type="date", value=asked.first.isoformat()),
        Filter("to", _("To"), type="date", value=asked.last.isoformat()),
        Filter("side", _("Referrals"), choices=list(SIDES.items()), value=asked.side),
        Filter("partner", _("Partner"), choices=partners, value=asked.partner),
        Filter("service", _("Service (its key)"), value=asked.service),
    ]


@view_config(
    context=Insight,
    permission=P.REFERRAL_READ,
    request_method="GET",
    renderer="insight/index.jinja2",
)
def insight(context: Insight, request: Any) -> Any:
    """All figures of a period beside the one before; each opens to its rows."""
    tell = telling(request)
    asked = _asked(request, tell)
    found = queries.overview(request.dbsession, _chosen(tell, asked))
    here = f"/{tell.slug}/insight"
    tables = _tables(request, tell, asked, found)
    if wanted(request) == "csv":
        columns = ["table", "key", "now", "before"]
        rows = [*_plain_rows(tables), *_plain_pairs(tell, found)]
        return exported(request, "csv", "insight.csv", columns, rows)
    listing = Listing(request, columns=[])
    # what was asked for and is shown, not what stands in the address
    listing.filters = _filters(tell, asked)
    return {
        "listing": listing,
        "problem": asked.problem,
        "partly": not _cleared(tell),
        "here": here,
        "period": _period(tell, asked.first, asked.last),
        "previous": _period(
            tell, asked.first - timedelta(days=asked.days), asked.first - timedelta(days=1)
        ),
        "empty": not (found.now.sent or found.before.sent or found.needs.now or found.needs.before),
        "presets": _presets(tell, asked),
        "tables_shown": [
            {**table, "rows": table["rows"][:SHOWN], "more": len(table["rows"]) > SHOWN}
            for table in tables
        ],
        "pairs": _pairs(request, tell, asked, found, found.partners),
        "services": _pairs(request, tell, asked, found, found.services[:SHOWN]),
        "whose": _whose(tell, asked, found.whose),
        "csv_url": here + asked.query(format="csv"),
        "trends_url": f"/{tell.slug}/trends",
    }


def figures(request: Any) -> list[dict[str, Any]]:
    """All figures as plain rows; raises `InvalidInput` for days that are none."""
    tell = telling(request)
    _days(request, tell.today)
    asked = _asked(request, tell)
    found = queries.overview(request.dbsession, _chosen(tell, asked))
    return _plain_rows(_tables(request, tell, asked, found))


def _plain_rows(tables: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"table": table["key"], **{key: row[key] for key in ("key", "now", "before")}}
        for table in tables
        for row in table["rows"]
    ]


_OF_PAIRS: Final = (
    *("sent", "closed", "never_known", "open", "waiting", "accepted", "rejected", "completed"),
    *("ping_pong", "accept_median", "accept_90", "outcome_median", "outcome_90"),
)
"""Figures of a pair of partners in the file; times are seconds."""


def _plain_pairs(tell: Telling, found: Overview) -> Iterable[dict[str, Any]]:
    """The tables by partner, each figure of each pair in a row of its own."""
    for pair in (*found.partners, *found.services):
        table = ":".join(
            (pair.side, tell.published.slugs.get(pair.partner_id, ""), pair.service_key or "")
        ).rstrip(":")
        for name in _OF_PAIRS:
            now, before = getattr(pair.now, name), getattr(pair.before, name)
            if now or before:
                yield {"table": table, "key": name, "now": now, "before": before}
        reasons = found.reasons_between.get((pair.side, pair.partner_id, pair.service_key), ())
        for part in reasons:
            yield {
                "table": f"{table}:rejected",
                "key": part.key,
                "now": part.now,
                "before": part.before,
            }
    for row in found.whose:
        whose = tell.published.slugs.get(row.partner_id, "")
        for each in (row.needs, row.unmet, row.avoided, row.transferred):
            yield {
                "table": f"about:{whose}",
                "key": each.key,
                "now": each.now,
                "before": each.before,
            }


def _period(tell: Telling, first: date, last: date) -> str:
    return f"{tell.day(first)} – {tell.day(last)}"


def _presets(tell: Telling, asked: Asked) -> list[tuple[str, Any, bool]]:
    today = tell.today
    month = today.replace(day=1)
    last_month = (month - timedelta(days=1)).replace(day=1)
    spans = (
        (today - timedelta(days=6), today, _("7 days")),
        (today - timedelta(days=29), today, _("30 days")),
        (month, today, _("This month")),
        (last_month, month - timedelta(days=1), _("Last month")),
        (today - timedelta(days=364), today, _("12 months")),
    )
    return [
        (
            Asked(first, last, asked.side, asked.partner, asked.service).query(),
            label,
            (first, last) == (asked.first, asked.last),
        )
        for first, last, label in spans
    ]


def _tables(request: Any, tell: Telling, asked: Asked, found: Overview) -> list[dict[str, Any]]:
    """The tables of counts: what stands in each row, now and before, and where its rows are."""
    here = f"/{tell.slug}/insight/"
    previous = asked.previous

    def counted(name: str, now: int, before: int, note: Any = None) -> dict[str, Any]:
        title, meaning = FIGURE_NAMES[name]
        return {
            "key": name,
            "name": title,
            "meaning": meaning,
            "now": now,
            "before": before,
            "shown": (str(now), str(before), change(now, before)),
            "url": here + name + asked.query() if now else None,
            "url_before": here + name + previous.query() if before else None,
            "note": note,
        }

    def of_loop(name: str) -> dict[str, Any]:
        field = name.replace("-", "_")
        return counted(name, getattr(found.now, field), getattr(found.before, field))

    def spoken(key: str, name: Any, now: Any, before: Any, figure: str, say: Any) -> dict[str, Any]:
        return {
            "key": key,
            "name": name,
            "meaning": None,
            "now": None if now is None else round(now, 4),
            "before": None if before is None else round(before, 4),
            "shown": (say(now) or "–", say(before) or "–", ""),
            "url": here + figure + asked.query() if now is not None else None,
            "url_before": here + figure + previous.query() if before is not None else None,
            "note": None,
        }

    def span(key: str, name: Any, figure: str) -> dict[str, Any]:
        now, before = getattr(found.now, key), getattr(found.before, key)
        return spoken(key, name, now, before, figure, lambda each: duration(request, each))

    def parts(figure: str, by: str, rows: Iterable[Part], words: Any) -> dict[str, Any]:
        return {
            "key": f"{figure}:{by}",
            "title": BY_NAMES[by],
            "caption": FIGURE_NAMES[figure][0],
            "rows": [
                {
                    "key": row.key,
                    "name": words(row.key),
                    "meaning": None,
                    "now": row.now,
                    "before": row.before,
                    "shown": (str(row.now), str(row.before), change(row.now, row.before)),
                    "url": here + figure + asked.query(**{by: row.key}) if row.now else None,
                    "url_before": here + figure + previous.query(**{by: row.key})
                    if row.before
                    else None,
                    "note": None,
                }
                for row in rows
            ],
        }

    loops = [
        of_loop("sent"),
        spoken(
            "closure",
            _("Loop-closure rate"),
            found.now.closure,
            found.before.closure,
            "closed",
            percent,
        ),
        *(of_loop(name) for name in ("closed", "never-known", "open", "waiting", "accepted")),
        span("accept_median", _("Time to accept, half of them within"), "accepted"),
        span("accept_90", _("Time to accept, nine of ten within"), "accepted"),
        *(of_loop(name) for name in ("rejected", "completed")),
        span("outcome_median", _("Time to outcome, half of them within"), "completed"),
        span("outcome_90", _("Time to outcome, nine of ten within"), "completed"),
        of_loop("ping-pong"),
    ]
    contacts = [
        counted(each.key, each.now, each.before)
        for each in (found.needs, found.unmet, found.avoided, found.transferred)
    ]
    return [
        {"key": "referrals", "title": _("Referrals"), "caption": None, "rows": loops},
        parts("rejected", "reason", found.reasons, lambda key: said(DECLINE_REASONS, key)),
        parts("completed", "outcome", found.outcomes, lambda key: said(OUTCOMES, key)),
        {"key": "needs", "title": _("Needs and contacts"), "caption": None, "rows": contacts},
        *(
            parts("unmet", by, found.unmet_by[by], _words(tell, by))
            for by in ("area", "language", "unmet_reason", "term")
        ),
    ]


def _words(tell: Telling, by: str) -> Any:
    """Return how the keys of a way of dividing are said."""

    def area(key: str) -> Any:
        known = tell.published.boundaries.get(key)
        return known.name if known else _("Place not known") if key == queries.UNKNOWN else key

    words: Mapping[str, Any] = {
        "area": area,
        "language": lambda key: said(LANGUAGES, key),
        "reason": lambda key: said(DECLINE_REASONS, key),
        "outcome": lambda key: said(OUTCOMES, key),
        "unmet_reason": lambda key: said(UNMET_REASONS, key),
        "term": lambda key: key.replace("-", " ").replace("_", " "),
        "partner": tell.partner,
        "loop": lambda key: said(LOOPS, key),
    }
    return words[by]


def _pairs(
    request: Any, tell: Telling, asked: Asked, overview: Overview, rows: Iterable[Between]
) -> list[dict[str, Any]]:
    """The rows of the tables by partner and by service, each with its own way to the rows."""
    found = []
    for row in rows:
        slug = tell.published.slugs.get(row.partner_id, "")
        narrowed = replace(
            asked, side=row.side, partner=slug, service=row.service_key or asked.service
        )
        owner = row.partner_id if row.side == "sent" else tell.slug
        found.append(
            {
                "way": _WAY[row.side],
                "partner": tell.partner(row.partner_id),
                "service": tell.service_name(owner, row.service_key) if row.service_key else None,
                "query": narrowed.query(),
                "reasons": [
                    (narrowed.query(reason=part.key), said(DECLINE_REASONS, part.key), part.now)
                    for part in overview.reasons_between.get(
                        (row.side, row.partner_id, row.service_key), ()
                    )
                    if part.now
                ],
                "now": row.now,
                "before": row.before,
                "change": change(row.now.sent, row.before.sent),
                "closure": percent(row.now.closure),
                "closure_before": percent(row.before.closure),
                "accept": _half_and_nine(request, row.now, "accept"),
                "outcome": _half_and_nine(request, row.now, "outcome"),
            }
        )
    return found


def _whose(tell: Telling, asked: Asked, rows: Iterable[Whose]) -> list[dict[str, Any]]:
    """The rows of the table of needs and contacts by whose services they are about."""
    return [
        {
            "partner": _("Our own services") if slug == tell.slug else tell.partner(slug),
            "query": replace(asked, partner=slug).query(),
            "cells": [
                (each.key, FIGURE_NAMES[each.key][0], each.now, change(each.now, each.before))
                for each in (row.needs, row.unmet, row.avoided, row.transferred)
            ],
        }
        for row in rows
        for slug in (tell.published.slugs.get(row.partner_id, ""),)
    ]


def _half_and_nine(request: Any, loop: Loop, what: str) -> Any:
    half, nine = getattr(loop, f"{what}_median"), getattr(loop, f"{what}_90")
    if half is None:
        return None
    return f"{duration(request, half)} / {duration(request, nine)}"


# --- rows -----------------------------------------------------------------------------------------


@view_config(
    context=InsightFigure,
    permission=P.REFERRAL_READ,
    request_method="GET",
    renderer="insight/figure.jinja2",
)
def figure(context: InsightFigure, request: Any) -> Any:
    """The referrals, needs or contacts that a figure counts."""
    tell, name = telling(request), context.__name__
    asked, counts = _asked(request, tell), FIGURES[context.__name__]
    narrowed = {by: value for by in counts.by if (value := request.GET.get(by, "").strip()[:200])}
    form, chosen = wanted(request), _chosen(tell, asked)
    page = queries.rows_of(
        request.dbsession,
        name,
        chosen,
        narrowed=narrowed,
        after=_cursor(request),
        limit=queries.PAGE if form == "html" else EXPORT,
    )
    if form != "html":
        columns = _EXPORTED[counts.of]
        return exported(
            request,
            form,
            f"{name}.csv",
            columns,
            [{each: _exported(tell, row, each) for each in columns} for row in page.rows],
        )
    title, meaning = FIGURE_NAMES[name]
    listing = Listing(request, columns=_columns(counts.of), csv=True)
    listing.filters = [
        *_filters(tell, asked),
        *(Filter(by, BY_NAMES[by], type="hidden", value=value) for by, value in narrowed.items()),
    ]
    listing.csv_url = request.path + asked.query(format="csv", **narrowed)
    listing.fill([_shown(request, tell, counts.of, row) for row in page.rows], after=page.after)
    return {
        "listing": listing,
        "problem": asked.problem,
        "partly": not _cleared(tell),
        "title": title,
        "of": counts.of,
        "meaning": meaning,
        "divided": [
            (
                BY_NAMES[by],
                [
                    (
                        asked.query(**{by: key}),
                        _words(tell, by)(key),
                        count,
                        narrowed.get(by) == key,
                    )
                    for key, count in found
                ],
            )
            for by, found in queries.divided(request.dbsession, name, chosen).items()
            if found
        ],
        "narrowed": [(BY_NAMES[by], _words(tell, by)(value)) for by, value in narrowed.items()],
        "period": _period(tell, asked.first, asked.last),
        "all_url": request.path + asked.query(),
        "back": f"/{tell.slug}/insight{asked.query()}",
    }


def _cursor(request: Any) -> UUID | None:
    try:
        return UUID(request.GET["after"]) if request.GET.get("after") else None
    except ValueError:
        raise HTTPNotFound from None


def _columns(of: str) -> list[Column]:
    titles = {
        "referral": (
            *(_("Number"), _("Partner"), _("Asks for"), _("Status"), _("Sent")),
            *(_("Answered after"), _("Ended after")),
        ),
        "need": (
            *(_("Contact"), _("Taken"), _("Asks for"), _("Need"), _("Status")),
            *(_("Area"), _("Language")),
        ),
        "contact": (_("Contact"), _("Taken"), _("How it ended"), _("Language")),
    }
    return [Column(f"column-{at}", title) for at, title in enumerate(titles[of])]


def _shown(request: Any, tell: Telling, of: str, row: Row) -> dict[str, Any]:
    """A row as its page shows it: where it leads, and a cell for each further column."""
    place = "referrals" if of == "referral" else "contacts"
    service = tell.service_name(_owner(tell, of, row), row.service_key or "")
    cells: tuple[Any, ...]
    match of:
        case "referral":
            why = row.outcome or row.reason
            cells = (
                _(
                    "${way} ${partner}",
                    mapping={
                        "way": translated(request, _WAY[row.side or "sent"]),
                        "partner": tell.partner(row.partner_id),
                    },
                ),
                service,
                (said(REFERRAL_STATES, row.state), _why(row) if why else None),
                tell.when(row.at),
                duration(request, _after(row.at, row.answered_at)),
                duration(request, _after(row.at, row.closed_at)),
            )
        case "need":
            cells = (
                tell.when(row.at),
                service,
                _words(tell, "term")(row.term or ""),
                (
                    said(NEED_STATES, row.state),
                    said(UNMET_REASONS, row.reason) if row.reason else None,
                ),
                _words(tell, "area")(row.area or ""),
                said(LANGUAGES, row.language),
            )
        case _:
            cells = (
                tell.when(row.at),
                said(DISPOSITIONS, row.state),
                said(LANGUAGES, row.language),
            )
    return {"number": row.number, "url": f"/{tell.slug}/{place}/{row.number}", "cells": cells}


def _why(row: Row) -> Any:
    if row.outcome:
        return said(OUTCOMES, row.outcome)
    return said({**END_REASONS, **DECLINE_REASONS}, row.reason)


def _owner(tell: Telling, of: str, row: Row) -> Any:
    if of == "referral" and row.side == "received":
        return tell.slug
    return row.partner_id


def _after(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else max(0.0, (end - start).total_seconds())


_EXPORTED: Final = {
    "referral": (
        *("number", "side", "partner", "service_key", "term", "state", "reason", "outcome"),
        *("at", "answered_at", "closed_at"),
    ),
    "need": (
        *("number", "at", "partner", "service_key", "term", "state", "reason", "area"),
        "language",
    ),
    "contact": ("number", "at", "state", "language"),
}


def _exported(tell: Telling, row: Row, column: str) -> Any:
    if column == "partner":
        return tell.published.slugs.get(row.partner_id) if row.partner_id else None
    return getattr(row, column)


# --- trends ---------------------------------------------------------------------------------------


@view_config(
    context=Trends,
    permission=P.TENANT_ENTER,
    request_method="GET",
    renderer="insight/trends.jinja2",
)
def trends(context: Trends, request: Any) -> Any:
    """What all partners published of a month: counts without persons, small ones hidden."""
    tell, session = telling(request), request.dbsession
    months = publishing.published_months(session)
    chosen = next(
        (each for each in months if f"{each:%Y-%m}" == request.GET.get("month")),
        months[0] if months else None,
    )
    year = publishing.trends(session, since=months[:COURSE][-1], until=months[0]) if months else []
    found = [row for row in year if row.month_on == chosen]
    if chosen and not found:  # an older month than those of the course
        found = publishing.trends(session, since=chosen, until=chosen)
    form = wanted(request)
    if form != "html":
        columns = ["month", "partner", "measure", "divided_by", "key", "count", "published_at"]
        return exported(request, form, "trends.csv", columns, list(_flat(tell, found)))
    found.sort(key=lambda row: tell.partner(row.tenant_id))
    return {
        "months": [(f"?month={each:%Y-%m}", _month(tell, each), each == chosen) for each in months],
        "month": _month(tell, chosen) if chosen else None,
        "csv_url": f"{request.path}?month={chosen:%Y-%m}&format=csv" if chosen else None,
        "threshold": max((row.threshold for row in found), default=None),
        "partners": [
            {
                "name": tell.partner(row.tenant_id),
                "published": tell.day(row.published_at),
                "unmet": _say(request, row.figures["unmet"]["total"], row.threshold),
                "sent": _say(request, row.figures["sent"]["total"], row.threshold),
            }
            for row in found
        ],
        "tables_of": _trend_tables(request, tell, found),
        "courses": _courses(request, tell, year),
    }


def _month(tell: Telling, month: date) -> str:
    from babel.dates import format_date

    return format_date(month, "MMMM y", locale=tell.locale)


def _courses(request: Any, tell: Telling, year: list[publishing.TrendRow]) -> list[dict[str, Any]]:
    """How each partner's totals went from month to month, the latest first."""
    months = sorted({row.month_on for row in year}, reverse=True)
    if len(months) < 2:
        return []
    partners = sorted({row.tenant_id for row in year}, key=tell.partner)
    said = {(row.month_on, row.tenant_id): row for row in year}
    return [
        {
            "title": FIGURE_NAMES[measure][0],
            "partners": [tell.short(each) for each in partners],
            "rows": [
                (
                    _month(tell, month),
                    [
                        _say(request, row.figures[measure]["total"], row.threshold)
                        if (row := said.get((month, each))) is not None
                        else "–"
                        for each in partners
                    ],
                )
                for month in months
            ],
        }
        for measure in ("unmet", "sent")
    ]


def _trend_tables(
    request: Any, tell: Telling, found: list[publishing.TrendRow]
) -> list[dict[str, Any]]:
    """A table for each way of dividing: keys down, partners across."""
    tables = []
    for measure, by in (
        *(("unmet", way) for way in publishing.UNMET_WAYS),
        *(("sent", way) for way in publishing.SENT_WAYS),
    ):
        ways = [(row, row.figures[measure]["divided"].get(by)) for row in found]
        keys = sorted({key for _row, cells in ways for key in cells or ()})
        words = _words(tell, by)
        tables.append(
            {
                "title": FIGURE_NAMES[measure][0],
                "by": BY_NAMES[by],
                "partners": [tell.short(row.tenant_id) for row in found],
                "rows": [
                    (
                        words(key),
                        [
                            _("not divided")
                            if cells is None
                            else _say(request, cells.get(key, 0), row.threshold)
                            for row, cells in ways
                        ],
                    )
                    for key in keys
                ],
            }
        )
    return [table for table in tables if table["rows"]]


def _say(request: Any, count: Any, threshold: int) -> Any:
    if count == FEW:
        return _("fewer than ${count}", mapping={"count": threshold})
    return _("withheld") if count == WITHHELD else str(count)


def _flat(tell: Telling, found: Iterable[publishing.TrendRow]) -> Iterable[dict[str, Any]]:
    for row in found:
        common = {
            "month": f"{row.month_on:%Y-%m}",
            "partner": tell.published.slugs.get(row.tenant_id),
            "published_at": row.published_at,
        }
        for measure, figures in row.figures.items():
            ways: dict[str, Mapping[str, Any]] = {"": {"": figures["total"]}}
            ways |= {way: cells or {} for way, cells in figures["divided"].items()}
            for way, cells in ways.items():
                for key, count in cells.items():
                    yield {
                        **common,
                        "measure": measure,
                        "divided_by": way,
                        "key": key,
                        "count": count,
                    }
