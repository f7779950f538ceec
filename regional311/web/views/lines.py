"""The lines of a partner: who answers each of them, hour by hour, also when it is closed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import colander
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.cover.lines import LineHours, change_line, seen_digest
from regional311.identity.permissions import Permissions as P
from regional311.referral.snapshot import Line, invalidate
from regional311.strict import Week
from regional311.tenancy.answering import NOBODY, VOICEMAIL, Fallback, SpecialDay
from regional311.web.answering import (
    LETTERS,
    different_days,
    gap_sentences,
    said_answer,
    week_of,
)
from regional311.web.answering_now import now_on
from regional311.web.forms import (
    CheckboxGroupWidget,
    Choice,
    Choices,
    Date,
    Form,
    HiddenWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    handle_form_submission,
    make_form,
    pressed,
    rows,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Listing
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import LineRecord, Lines
from regional311.web.wording import CHANNELS, WEEKDAYS, said


def _monday(tell: Telling, asked: str | None) -> date:
    try:
        day = date.fromisoformat(asked or "")
    except ValueError:
        day = tell.today
    if not tell.today - timedelta(days=400) <= day <= tell.today + timedelta(days=800):
        day = tell.today
    return day - timedelta(days=day.weekday())


def _line(tell: Telling, key: str) -> Line:
    found = tell.published.lines.get(f"{tell.slug}/{key}")
    if found is None or found.ended:
        raise HTTPNotFound
    return found


@view_config(
    context=Lines, permission=P.SERVICE_READ, request_method="GET", renderer="lines/index.jinja2"
)
def listed(context: Lines, request: Any) -> Any:
    """Every line, who answers it now, and the times in which nobody does."""
    tell = telling(request)
    mine = [
        each
        for each in tell.published.lines.values()
        if each.tenant == tell.slug and not each.ended
    ]
    monday = _monday(tell, None)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Line")),
            Column("channel", _("Channel")),
            Column("now", _("Now")),
            Column("gaps", _("Nobody answers")),
        ],
    )
    listing.fill(
        [
            {
                "key": each.key,
                "name": each.name,
                "address": each.address,
                "channel": said(CHANNELS, each.channel),
                "now": said_answer(tell, tell.published.who_answers(each.ref, request.now)),
                "gaps": gap_sentences(tell, each, monday),
            }
            for each in mine
        ],
        total=len(mine),
    )
    return {"listing": listing}


@view_config(
    context=LineRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="lines/line.jinja2",
)
def line(context: LineRecord, request: Any) -> Any:
    """A week of one line as a picture and a table, the days that differ, and the gaps."""
    tell = telling(request)
    found = _line(tell, context.record.key)
    monday = _monday(tell, request.GET.get("week"))
    here = f"/{tell.slug}/lines/{found.key}"
    return {
        "line": found,
        "channel": said(CHANNELS, found.channel),
        "now": now_on(tell, found),
        "days": week_of(tell, found, monday),
        "gaps": gap_sentences(tell, found, monday),
        "different": different_days(tell, found, tell.today),
        "steps": [
            {"answer": _target(tell, each["answer"]), "days": _days(each), "hours": _hours(each)}
            for each in context.record.fallbacks
        ],
        "otherwise": tell.partner(found.closed_answer) if found.closed_answer else None,
        "letters": LETTERS,
        "before": f"{here}?week={monday - timedelta(days=7)}",
        "after": f"{here}?week={monday + timedelta(days=7)}",
        "edit_url": f"{here}/edit" if may(request, P.SETTINGS_EDIT) else None,
    }


def _target(tell: Telling, target: str) -> Any:
    if target == VOICEMAIL:
        return _("Voicemail")
    if target == NOBODY:
        return _("Nobody")
    known = tell.published.lines.get(target)
    if known is not None:
        return _(
            "${partner}: ${line}",
            mapping={"partner": tell.partner(known.tenant), "line": known.name},
        )
    return tell.partner(target)


def _days(row: Mapping[str, Any]) -> list[Any]:
    return [said(WEEKDAYS, each) for each in row.get("days") or ()]


def _hours(row: Mapping[str, Any]) -> str:
    return ", ".join(each.replace("-", "–") for each in row.get("hours") or ())


# --- the form -------------------------------------------------------------------------------------


class _HoursText(String):
    """Spans of hours as people type them, with commas between."""

    def deserialize(self, node: Any, cstruct: Any) -> Any:
        text = super().deserialize(node, cstruct)
        if text is colander.null or not text:
            return ()
        spans = tuple(each.strip() for each in text.replace("–", "-").split(",") if each.strip())
        for each in spans:
            try:
                Fallback(answer=NOBODY, hours=(each,))
            except ValueError:
                raise colander.Invalid(
                    node,
                    _("Write hours as 08:00-17:00, with commas between; a night as two spans."),
                ) from None
        return spans


def _form(context: LineRecord, request: Any) -> Form:
    tell = telling(request)
    row = context.record
    found = _line(tell, row.key)
    schema = Schema()
    schema.add(SchemaNode(String(64), name="seen", title="", widget=HiddenWidget()))
    for day, name in WEEKDAYS.items():
        node = SchemaNode(_HoursText(200), name=day, title=name, missing=())
        if day == "mon":
            node.section = _("Hours")
            node.description = _("As 08:00-12:00, 13:00-17:00. Empty: closed all day.")
        schema.add(node)
    partners = [
        (slug, each.name)
        for slug, each in sorted(tell.published.partners.items(), key=lambda pair: pair[1].name)
        if slug != tell.slug
    ]
    targets: list[tuple[str, Any]] = [
        (VOICEMAIL, _("Voicemail")),
        (NOBODY, _("Nobody")),
        *(
            (slug, _("${partner}, whichever line is open", mapping={"partner": name}))
            for slug, name in partners
        ),
        *(
            (
                each.ref,
                _(
                    "${partner}: ${line}",
                    mapping={"partner": tell.partner(each.tenant), "line": each.name},
                ),
            )
            for each in tell.published.lines.values()
            if each.ref != found.ref and not each.ended and each.tenant in tell.published.partners
        ),
    ]
    days = list(WEEKDAYS.items())
    fallback = Schema()
    fallback.add(
        SchemaNode(
            Choice(targets),
            name="answer",
            title=_("Who answers"),
            widget=SelectWidget(values=targets, empty=_("- Select -")),
        )
    )
    fallback.add(
        SchemaNode(
            Choices(days),
            name="days",
            title=_("On these days"),
            description=_("None: on all days, holidays too."),
            missing=(),
            widget=CheckboxGroupWidget(values=days),
        )
    )
    fallback.add(
        SchemaNode(
            _HoursText(200),
            name="hours",
            title=_("Hours"),
            description=_("Empty: all day."),
            missing=(),
        )
    )
    table = rows(
        "fallback",
        fallback,
        title=_("When it is closed"),
        description=_("The first row that holds, and whose line is open then, counts."),
        row_title=_("Row ${number}"),
        add=_("Add a row"),
        spare=0,
    )
    schema.add(table)
    schema.add(
        SchemaNode(
            Choice(partners),
            name="closed_answer",
            title=_("Otherwise"),
            missing=None,
            widget=SelectWidget(values=partners, empty=_("Nobody answers")),
        )
    )
    special = Schema()
    special.add(SchemaNode(Date(), name="day", title=_("Day")))
    special.add(
        SchemaNode(
            _HoursText(200),
            name="hours",
            title=_("Hours"),
            description=_("Empty: closed all day."),
            missing=(),
        )
    )
    special.add(SchemaNode(String(200), name="name", title=_("Why"), missing=None))
    apart = rows(
        "special_day",
        special,
        title=_("Days with hours of their own"),
        row_title=_("Day ${number}"),
        add=_("Add a day"),
        spare=0,
        compact=True,
    )
    schema.add(apart)
    hours = {
        day: ", ".join(span if isinstance(span, str) else "-".join(span) for span in spans)
        for day, spans in row.hours.items()
    }
    return make_form(
        request,
        schema,
        submit=_("Save"),
        values={
            "seen": seen_digest(row),
            **{day: hours.get(day, "") for day in WEEKDAYS},
            "fallback": [
                {
                    "answer": each["answer"],
                    "days": each.get("days") or [],
                    "hours": ", ".join(each.get("hours") or ()),
                }
                for each in row.fallbacks
            ],
            "closed_answer": row.closed_answer,
            "special_day": [
                {
                    "day": date.fromisoformat(each["day"]),
                    "hours": ", ".join(each.get("hours") or ()),
                    "name": each.get("name"),
                }
                for each in row.special_days
            ],
        },
        cancel_url=f"/{tell.slug}/lines/{row.key}",
    )


@view_config(
    context=LineRecord,
    name="edit",
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="lines/edit.jinja2",
)
def edit(context: LineRecord, request: Any) -> dict[str, Any]:
    """The form of a line's hours and of who answers when it is closed."""
    found = _line(telling(request), context.record.key)
    return {"line": found, "form": _form(context, request)}


@view_config(
    context=LineRecord,
    name="edit",
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="lines/edit.jinja2",
)
def save(context: LineRecord, request: Any) -> Any:
    """Change the line; decisions, pages and charges follow at once."""
    tell = telling(request)
    found = _line(tell, context.record.key)
    form = _form(context, request)
    if pressed(request, form):
        return {"line": found, "form": form}

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        wish = LineHours(
            Week(**{day: values[day] for day in WEEKDAYS}),
            tuple(
                Fallback(answer=each["answer"], days=tuple(each["days"]), hours=each["hours"])
                for each in values["fallback"]
            ),
            tuple(
                SpecialDay(day=each["day"], hours=each["hours"], name=each["name"])
                for each in sorted(values["special_day"], key=lambda each: each["day"])
            ),
            values["closed_answer"],
        )
        changed = change_line(
            request.dbsession,
            context.record.key,
            wish,
            seen=values["seen"],
            partners=list(tell.published.partners),
            lines=tell.published.lines,
            own=tell.slug,
            now=request.now,
        )
        if changed:
            invalidate()
            request.flash("success", _("Saved: it holds from now on."))
        else:
            request.flash("info", _("Nothing was changed."))
        return HTTPSeeOther(location=f"/{tell.slug}/lines/{context.record.key}")

    return handle_form_submission(request, form, on_success, lambda: {"line": found, "form": form})
