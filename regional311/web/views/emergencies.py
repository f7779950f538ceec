"""Emergencies and drills: start, change, end, log what is needed, and look back."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.audit.queries import history
from regional311.cover import emergencies as service
from regional311.cover import queries
from regional311.cover.aid import answer as answer_aid
from regional311.cover.aid import finish as finish_aid
from regional311.cover.aid import offer as offer_aid
from regional311.cover.emergency import REGION, EmergencyKind, surges_over
from regional311.database.ids import new_token
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.identity.queries import members
from regional311.intake.queries import people
from regional311.referral import filing
from regional311.referral.snapshot import invalidate
from regional311.tenancy.answering import spells
from regional311.tenancy.once import once
from regional311.web.emergencies import PLACE_WORDS, titled
from regional311.web.emergency_map import map_of
from regional311.web.forms import (
    Boolean,
    CheckboxGroupWidget,
    Choice,
    Choices,
    Form,
    HiddenWidget,
    Integer,
    NumberWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    form_key,
    handle_form_submission,
    make_form,
    pressed,
    rows,
    start_over,
)
from regional311.web.i18n import LANGUAGE_NAMES, _
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.searching import log_danger
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import Emergencies, EmergencyRecord
from regional311.web.views.contacts import offered
from regional311.web.wording import ACTIONS, CHANNELS, LANGUAGES, choices, said

NEW_FIRST = 20
ALL = tuple(LANGUAGE_NAMES)
PLACE_FIELDS = ("kind", "service", "location", "name", "address", "note")


# --- the list -------------------------------------------------------------------------------------


@view_config(
    context=Emergencies,
    permission=P.EMERGENCY_READ,
    request_method="GET",
    renderer="emergencies/index.jinja2",
)
def listed(context: Emergencies, request: Any) -> Any:
    """What is on, what was, what can be started, and help lent and taken."""
    tell = telling(request)
    found = queries.emergencies(request.dbsession)
    if wanted(request) == "json":
        return json_response([_plain(tell, each) for each in found])
    runs = may(request, P.EMERGENCY_RUN)
    kinds = tell.published.emergency_kinds(tell.today)
    region = [
        each
        for each in tell.published.emergencies
        if each.tenant == REGION and each.on(request.now) and tell.slug != REGION
    ]
    return {
        "kinds": [(key, each.name) for key, each in kinds.items()] if runs else [],
        "here": f"/{tell.slug}/emergencies",
        "region": [
            {
                "title": each.said("en")[1]["title"],
                "drill": each.drill,
                "log_url": f"/{tell.slug}/emergencies/{each.public_id}/log",
            }
            for each in region
        ],
        "rows": [
            {
                "number": each.public_id,
                "kind": kinds[each.kind].name if each.kind in kinds else each.kind,
                "drill": each.drill,
                "started": tell.when(each.started_at),
                "ended": tell.when(each.ended_at),
                "planned": tell.when(each.ends_at),
                "on": _is_on(each, request.now),
            }
            for each in found
        ],
        **_aid_page(tell, request, runs=runs),
    }


def _is_on(row: Any, now: Any) -> bool:
    return row.ended_at is None and row.started_at <= now < row.ends_at


def _plain(tell: Telling, row: Any) -> dict[str, Any]:
    return {
        "number": row.public_id,
        "kind": row.kind,
        "drill": row.drill,
        "started_at": row.started_at,
        "ends_at": row.ends_at,
        "ended_at": row.ended_at,
        "services": row.services,
        "places": row.places,
        "surges": row.surges,
    }


# --- start and change -----------------------------------------------------------------------------


def _kind(tell: Telling, key: str) -> EmergencyKind:
    found = tell.published.emergency_kinds(tell.today).get(key)
    if found is None:
        raise HTTPNotFound
    return found


def _known(tell: Telling) -> service.Known:
    published = tell.published
    there = [each for each in published.directory.services if each.offered(tell.today)]
    entries = [each for each in there if tell.slug in (REGION, each.tenant)]
    return service.Known(
        kinds=published.emergency_kinds(tell.today),
        services={each.ref for each in there},
        lines=published.answered,
        partners=published.partners,
        entries={each.ref for each in entries},
        locations={f"{each.tenant}/{key}" for each in entries for key in each.locations},
    )


def _refs(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.strip() for each in (text or "").split() if each.strip()))


def _form(request: Any, values: dict[str, Any], *, submit: Any, cancel: str, starts: bool) -> Form:
    tell = telling(request)
    schema = Schema()
    schema.add(SchemaNode(String(60), name="kind", title="", widget=HiddenWidget()))
    if starts:
        schema.add(
            SchemaNode(
                String(500, multiline=True),
                name="reason",
                title=_("Why"),
                description=_("For the trail and the review; it is shown to staff only."),
            )
        )
        schema.add(
            SchemaNode(
                Boolean(),
                name="drill",
                title=_("This is a drill"),
                description=_("Staff see it, marked DRILL. Nothing real changes."),
                missing=False,
            )
        )
    else:
        schema.add(SchemaNode(Integer(), name="version", title="", widget=HiddenWidget()))
    schema.add(
        SchemaNode(
            Integer(),
            name="hours",
            title=_("Hours from now until it ends by itself"),
            widget=NumberWidget(min=1, max=744),
        )
    )
    for code in ALL:
        title = SchemaNode(
            String(200), name=f"title_{_field(code)}", title=_("Title"), missing=None
        )
        title.section = LANGUAGE_NAMES[code]
        schema.add(title)
        schema.add(
            SchemaNode(
                String(4000, multiline=True),
                name=f"text_{_field(code)}",
                title=_("Text"),
                missing=None,
            )
        )
    services = SchemaNode(
        String(4000, multiline=True),
        name="services",
        title=_("Services shown first"),
        description=_("One a line, as partner/key."),
        missing=None,
    )
    services.section = _("What is shown first")
    schema.add(services)
    schema.add(
        SchemaNode(
            String(4000, multiline=True),
            name="articles",
            title=_("Scripts and answers shown first"),
            description=_("One a line, as partner/key."),
            missing=None,
        )
    )
    kinds = list(PLACE_WORDS.items())
    place = Schema()
    place.add(
        SchemaNode(
            Choice(kinds),
            name="kind",
            title=_("What"),
            widget=SelectWidget(values=kinds, empty=_("- Select -")),
        )
    )
    place.add(
        SchemaNode(
            String(200),
            name="service",
            title=_("Service of the directory"),
            description=_("As partner/key; its page says it, too."),
            missing=None,
        )
    )
    place.add(
        SchemaNode(
            String(200),
            name="location",
            title=_("Location of the directory"),
            description=_("As partner/key; alone it is everything given there."),
            missing=None,
        )
    )
    place.add(
        SchemaNode(
            String(200),
            name="name",
            title=_("Name"),
            description=_("Left out: the service's."),
            missing=None,
        )
    )
    place.add(SchemaNode(String(300), name="address", title=_("Address"), missing=None))
    place.add(SchemaNode(String(300), name="note", title=_("Note"), missing=None))
    table = rows(
        "places",
        place,
        title=_("Shelters and closures"),
        row_title=_("Place ${number}"),
        add=_("Add a place"),
        spare=0,
        compact=True,
    )
    schema.add(table)
    mine = [
        (each.ref, f"{tell.partner(each.tenant)}: {each.name}")
        for each in tell.published.lines.values()
        if not each.ended
    ]
    targets = [
        ("voicemail", _("Voicemail")),
        *((slug, tell.partner(slug)) for slug in sorted(tell.published.partners)),
        *mine,
    ]
    lines = [pair for pair in mine if tell.slug == REGION or pair[0].startswith(f"{tell.slug}/")]
    surge = Schema()
    for name, title, values_ in (
        ("line", _("Line"), lines),
        ("answer", _("Who answers"), targets),
    ):
        surge.add(
            SchemaNode(
                Choice(values_),
                name=name,
                title=title,
                widget=SelectWidget(values=values_, empty=_("- Select -")),
            )
        )
    switched = rows(
        "surges",
        surge,
        title=_("Who answers meanwhile"),
        description=_(
            "Before every fallback of the line, while it is closed. They may help while it is open."
        ),
        row_title=_("Row ${number}"),
        add=_("Add a row"),
        spare=0,
        compact=True,
    )
    schema.add(switched)
    return make_form(request, schema, submit=submit, values=values, once=starts, cancel_url=cancel)


def _field(code: str) -> str:
    return code.replace("-", "_").lower()


def _named(tell: Telling, place: dict[str, Any]) -> dict[str, str]:
    """A place without what was left out; one of the directory has its name from there."""
    said = {name: text for name, text in place.items() if text}
    service = tell.published.directory.find(said.get("service", ""))
    if "name" not in said and service is not None:
        said["name"] = service.name
    return said


def _plan(tell: Telling, values: dict[str, Any], now: Any) -> service.Plan:
    texts = {}
    for code in ALL:
        title, text = values[f"title_{_field(code)}"], values[f"text_{_field(code)}"]
        if title:
            texts[code] = {"title": title, "text": text or ""}
    return service.Plan(
        kind=values["kind"],
        texts=texts,
        ends_at=now + timedelta(hours=values["hours"]),
        services=_refs(values["services"]),
        articles=_refs(values["articles"]),
        places=tuple(_named(tell, each) for each in values["places"]),
        surges=tuple((each["line"], each["answer"]) for each in values["surges"]),
    )


def _prepared(tell: Telling, kind: EmergencyKind) -> dict[str, Any]:
    there = {each.language: each for each in kind.text}
    own = (
        kind.surge
        if tell.slug == REGION
        else [each for each in kind.surge if each.line.startswith(f"{tell.slug}/")]
    )
    return {
        "kind": kind.key,
        "hours": kind.hours,
        **{f"title_{_field(code)}": there[code].title if code in there else None for code in ALL},
        **{f"text_{_field(code)}": there[code].text if code in there else None for code in ALL},
        "services": "\n".join(kind.services),
        "articles": "\n".join(kind.articles),
        "surges": [{"line": each.line, "answer": each.answer} for each in own],
        "places": [
            {name: getattr(each, name) for name in PLACE_FIELDS}
            for each in kind.place
            if tell.slug == REGION
            or (each.service or each.location or "").startswith(f"{tell.slug}/")
        ],
    }


def _start_form(request: Any, key: str) -> tuple[EmergencyKind, Form]:
    tell = telling(request)
    kind = _kind(tell, key)
    return kind, _form(
        request,
        _prepared(tell, kind),
        submit=_("Start it now"),
        cancel=f"/{tell.slug}/emergencies",
        starts=True,
    )


@view_config(
    context=Emergencies,
    name="new",
    permission=P.EMERGENCY_RUN,
    request_method="GET",
    renderer="emergencies/new.jinja2",
)
def new(context: Emergencies, request: Any) -> dict[str, Any]:
    """The second click: what is prepared for a kind, ready to be sent as it is."""
    kind, form = _start_form(request, request.GET.get("kind", ""))
    return {"kind": kind.name, "form": form, "starts": True}


@view_config(
    context=Emergencies,
    name="new",
    permission=P.EMERGENCY_RUN,
    request_method="POST",
    renderer="emergencies/new.jinja2",
)
def start(context: Emergencies, request: Any) -> Any:
    """Start an emergency, or a drill."""
    tell = telling(request)
    # rows of places have a kind, too: the emergency's comes first
    kind, form = _start_form(request, next(iter(request.POST.getall("kind")), ""))
    shown = {"kind": kind.name, "form": form, "starts": True}
    if pressed(request, form):
        return shown

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        def begin() -> dict[str, Any]:
            number = service.start(
                request.dbsession,
                _plan(tell, values, request.now),
                reason=values["reason"],
                drill=values["drill"],
                known=_known(tell),
                now=request.now,
            )
            return {"number": number}

        key = f"emergency:{form_key(request)}"
        number = once(request.dbsession, key, values, begin)["number"]
        invalidate()
        request.flash(
            "success",
            _("The drill has begun: staff see it.")
            if values["drill"]
            else _("It has begun: everybody sees it."),
        )
        return HTTPSeeOther(location=f"/{tell.slug}/emergencies/{number}")

    return handle_form_submission(request, form, on_success, lambda: shown)


def _edit_form(context: EmergencyRecord, request: Any) -> Form:
    tell = telling(request)
    row = context.record
    left = max(1, round((row.ends_at - request.now).total_seconds() / 3600))
    values = {
        "kind": row.kind,
        "version": row.version,
        "hours": left,
        **{
            f"{part}_{_field(code)}": row.texts.get(code, {}).get(part)
            for code in ALL
            for part in ("title", "text")
        },
        "services": "\n".join(row.services),
        "articles": "\n".join(row.articles),
        "places": [{name: each.get(name) for name in PLACE_FIELDS} for each in row.places],
        "surges": row.surges,
    }
    return _form(
        request,
        values,
        submit=_("Save"),
        cancel=f"/{tell.slug}/emergencies/{row.public_id}",
        starts=False,
    )


@view_config(
    context=EmergencyRecord,
    name="edit",
    permission=P.EMERGENCY_RUN,
    request_method="GET",
    renderer="emergencies/new.jinja2",
)
def edit(context: EmergencyRecord, request: Any) -> dict[str, Any]:
    """The form of an emergency that is on."""
    form = _edit_form(context, request)
    return {"kind": context.record.public_id, "form": form, "starts": False}


@view_config(
    context=EmergencyRecord,
    name="edit",
    permission=P.EMERGENCY_RUN,
    request_method="POST",
    renderer="emergencies/new.jinja2",
)
def save(context: EmergencyRecord, request: Any) -> Any:
    """Change what an emergency says and does."""
    tell = telling(request)
    form = _edit_form(context, request)
    shown = {"kind": context.record.public_id, "form": form, "starts": False}
    if pressed(request, form):
        return shown

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        service.change(
            request.dbsession,
            context.record.id,
            _plan(tell, values, request.now),
            version=values["version"],
            known=_known(tell),
            now=request.now,
        )
        invalidate()
        request.flash("success", _("Saved: it holds from now on."))
        return HTTPSeeOther(location=f"/{tell.slug}/emergencies/{context.record.public_id}")

    return handle_form_submission(request, form, on_success, lambda: shown)


@view_config(context=EmergencyRecord, name="end", permission=P.EMERGENCY_RUN, request_method="POST")
def end(context: EmergencyRecord, request: Any) -> HTTPSeeOther:
    """End it at once, everywhere."""
    tell = telling(request)
    if service.end(request.dbsession, context.record.id, now=request.now):
        request.flash("success", _("It has ended: everything is as before."))
    invalidate()
    return HTTPSeeOther(location=f"/{tell.slug}/emergencies/{context.record.public_id}")


# --- one emergency, and looking back --------------------------------------------------------------


@view_config(
    context=EmergencyRecord,
    permission=P.EMERGENCY_READ,
    request_method="GET",
    renderer="emergencies/emergency.jinja2",
)
def emergency(context: EmergencyRecord, request: Any) -> Any:
    """What it says and does, what was needed where, and what it changed."""
    tell = telling(request)
    row = context.record
    if wanted(request) == "json":
        return json_response(_plain(tell, row))
    session = request.dbsession
    starts, ends = queries.window(row, request.now)
    counted, points = 0, []
    if row.drill:
        entries = service.counted(session, row.id)
    else:
        cleared = request.identity.cleared(request.tenant.id)
        needs, counted = queries.needs_since(
            session, starts, ends, secret=None if cleared else tell.confidential_services
        )
        counted -= sum(each.count for each in needs)
        entries = _by_area(tell, needs)
        points = [
            (each.longitude, each.latitude, each.count)
            for each in needs
            if each.latitude is not None and each.longitude is not None
        ]
    if wanted(request) == "csv":
        return csv_response(
            request,
            f"{row.public_id}.csv",
            ["area", "service", "count"],
            [[area, ref, count] for area, ref, count in entries],
        )
    own = row.tenant_id == request.tenant.id
    trail = list(reversed(history(session, row.id, None))) if own else []
    # the region takes no contacts, and a drill changes nothing
    examined = not row.drill and tell.slug != REGION
    names = people(session, [row.started_by, row.ended_by, *(each.person_id for each in trail)])
    kinds = tell.published.emergency_kinds(tell.today)
    on = _is_on(row, request.now)
    return {
        "number": row.public_id,
        "kind": kinds[row.kind].name if row.kind in kinds else row.kind,
        "drill": row.drill,
        "on": on,
        "facts": [
            (_("Why"), row.reason),
            (_("Started"), tell.when(row.started_at)),
            (_("Started by"), names.get(row.started_by)),
            (_("Planned until"), tell.when(row.ends_at)),
            (_("Ended"), tell.when(row.ended_at)),
            (
                _("Ended by"),
                None
                if row.ended_at is None
                else names.get(row.ended_by, "") or _("its planned end"),
            ),
        ],
        "texts": [
            (code, LANGUAGE_NAMES[code], {"text": "", **row.texts[code]})
            for code in ALL
            if code in row.texts
        ],
        "services": [tell.published.names.get(ref, ref) for ref in row.services]
        + [each["name"] for each in titled(request, row.articles)],
        "places": [
            {
                **dict.fromkeys(PLACE_FIELDS),
                **each,
                "word": PLACE_WORDS.get(each["kind"], each["kind"]),
            }
            for each in row.places
        ],
        "surges": [
            (_line_name(tell, each["line"]), _line_name(tell, each["answer"]))
            for each in row.surges
        ],
        "entries": [
            (area or _("Not said"), tell.published.names.get(ref, ref), count)
            for area, ref, count in entries
        ],
        "map": map_of(tell, points) if points else None,
        "csv_url": f"{request.path}?format=csv",
        "not_placed": counted,
        "during": queries.during(session, starts, ends) if examined else None,
        "otherwise": _otherwise(session, tell, row, trail, ends) if examined else [],
        "trail": [
            {
                "when": tell.when(each.at),
                "title": said(ACTIONS, each.action),
                "by": names.get(each.person_id) if each.person_id else None,
                "note": ", ".join(each.detail.get("fields") or ()),
            }
            for each in trail
        ],
        "here": f"/{tell.slug}/emergencies/{row.public_id}",
        "log_url": f"/{tell.slug}/emergencies/{row.public_id}/log"
        if on and may(request, P.CONTACT_TAKE)
        else None,
        "runs": on and own and may(request, P.EMERGENCY_RUN),
    }


def _line_name(tell: Telling, ref: str) -> str:
    line = tell.published.lines.get(ref)
    if line is None:
        return tell.partner(ref)
    return f"{tell.partner(line.tenant)}: {line.name}"


def _by_area(tell: Telling, needs: list[Any]) -> list[tuple[str, str, int]]:
    """Count needs by area and service, most first.

    An area is a neighborhood as it was named, or a boundary; never an address.
    """
    places: dict[Any, str] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for each in needs:
        key = (each.place_kind, each.place_text, each.latitude, each.longitude)
        if key not in places:
            located = tell.published.locate(
                longitude=each.longitude, latitude=each.latitude, words=each.place_text or ""
            )
            inside = [one for one in located.candidates if one.inside]
            best = inside[0] if inside else None
            places[key] = tell.published.names.get(best.key, best.key) if best else ""
            if each.place_kind == "neighbourhood" and each.place_text:
                places[key] = each.place_text
        owner = tell.published.slugs.get(each.service_owner_id, "")
        counts[places[key], f"{owner}/{each.service_key}"] += each.count
    return [(area, ref, count) for (area, ref), count in counts.most_common()]


def _otherwise(
    session: Any, tell: Telling, row: Any, trail: list[Any], ends: Any
) -> list[tuple[str, str, int]]:
    """Contacts that other people would have answered without the emergency, by line and who."""
    surges = surges_over(_tables_of(row, trail), ends)
    answered = tell.published.answered
    times: dict[tuple[str, str], list[Any]] = {}
    for ref in sorted({each.line for each in surges}):
        for meanwhile in spells(answered, ref, row.started_at, ends, surges):
            for usual in spells(answered, ref, meanwhile.starts, meanwhile.ends):
                here, there = meanwhile.answer, usual.answer
                if (here.partner, here.kind) != (there.partner, there.kind):
                    span = (usual.starts, usual.ends)
                    times.setdefault((ref, there.partner), []).append(span)
    parts = [
        (tell.published.ids[ref.partition("/")[0]], ref.partition("/")[2], spans)
        for (ref, _partner), spans in times.items()
    ]
    counts = queries.taken_in(session, parts)
    found = [
        (_line_name(tell, ref), tell.partner(partner) if partner else "", count)
        for (ref, partner), count in zip(times, counts, strict=True)
        if count
    ]
    return sorted(found, key=lambda each: (-each[2], each[0], each[1]))


def _tables_of(row: Any, trail: list[Any]) -> list[tuple[Any, list[tuple[str, str]]]]:
    """Who answered meanwhile, from which moment on: as it was begun, and as it was changed.

    What another's trail says is not seen: then it is what holds now.
    """
    tables = []
    for each in sorted(trail, key=lambda event: event.at):
        said = each.detail.get("surges")
        if each.action == "emergency:edit":
            said = (each.detail.get("after") or {}).get("surges")
        if said is not None:
            pairs = [
                (one["line"], one["answer"]) if isinstance(one, dict) else (one[0], one[1])
                for one in said
            ]
            tables.append((each.at, pairs))
    if tables:
        return tables
    return [(row.started_at, [(each["line"], each["answer"]) for each in row.surges])]


# --- the simplified log ---------------------------------------------------------------------------


def _in_force(context: EmergencyRecord, request: Any) -> Any:
    tell = telling(request)
    return queries.in_force(context.record, tell.published.slugs.get(context.record.tenant_id, ""))


def _log_page(context: EmergencyRecord, request: Any, problem: Any = None, **typed: Any) -> Any:
    tell = telling(request)
    row = context.record
    areas = sorted(
        {
            name
            for boundary in tell.published.boundaries.values()
            for name in (boundary.name, *(boundary.names or ()))
        }
    )
    screen = tell.published.screen(tell.today)
    return {
        "number": row.public_id,
        "drill": row.drill,
        "on": _is_on(row, request.now),
        "action": f"/{tell.slug}/emergencies/{row.public_id}/log",
        "ask": screen.ask,
        "emergency": screen.number,
        "form_key": new_token(),
        "services": [
            (ref, tell.published.names.get(ref, ref))
            for ref in row.services
            if tell.published.directory.find(ref) is not None
        ][:9],
        "areas": areas,
        "channels": choices(CHANNELS, ("phone", "walk_in", "text", "chat", "voicemail")),
        "languages": choices(LANGUAGES),
        "chosen": {"channel": "phone", "language": "en", "area": "", "note": "", **typed},
        "problem": problem,
        "entries": [
            (area or _("Not said"), tell.published.names.get(ref, ref), count)
            for area, ref, count in service.counted(request.dbsession, row.id)
        ][:NEW_FIRST],
        "desk_url": f"/{tell.slug}/desk",
    }


@view_config(
    context=EmergencyRecord,
    name="log",
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="emergencies/log.jinja2",
)
def log(context: EmergencyRecord, request: Any) -> Any:
    """One line, one key: what is needed, where."""
    return _log_page(context, request)


@view_config(
    context=EmergencyRecord,
    name="log",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="emergencies/log.jinja2",
)
def file_log(context: EmergencyRecord, request: Any) -> Any:
    """Keep a contact in one line; danger comes first, and opens a contact of its own."""
    tell = telling(request)
    row, session = context.record, request.dbsession
    now_on = _in_force(context, request)
    if not now_on.on(request.now):
        raise service.EmergencyOver(_("This emergency has ended: log the contact at the desk."))
    key = form_key(request)
    danger = request.POST.get("danger") == "1"
    cleared = request.POST.get("cleared") == "1"
    ref = request.POST.get("service", "")
    typed = {
        "channel": request.POST.get("channel", "phone"),
        "language": request.POST.get("language", "en"),
        "area": request.POST.get("area", "").strip()[:200],
        "note": request.POST.get("note", "").strip()[:500],
    }
    if typed["channel"] not in CHANNELS:
        raise InvalidInput(_("Choose one of the channels listed."), field="channel")
    if typed["language"] not in LANGUAGES:
        raise InvalidInput(_("Choose one of the languages listed."), field="language")
    if not danger and ref not in row.services:
        raise InvalidInput(_("Choose one of the services listed."), field="service")
    here = f"/{tell.slug}/emergencies/{row.public_id}/log"
    entry: dict[str, Any] = {
        "form_key": key,
        "service": "" if danger else ref,
        "area": typed["area"],
        "note": typed["note"],
        "danger": danger,
    }
    if row.drill:
        service.log_entry(session, now_on, contact_id=None, now=request.now, **entry)
        request.flash("info", _("DRILL: logged. No contact was made."))
        return HTTPSeeOther(location=here)
    if danger:

        def begin() -> dict[str, Any]:
            started = filing.start_contact(
                session,
                tell.published,
                now=request.now,
                channel=typed["channel"],
                language=typed["language"],
                line=_own_line(tell, typed["channel"]),
            )
            service.log_entry(session, now_on, contact_id=started.id, now=request.now, **entry)
            return {"contact": started.public_id}

        number = once(session, f"emergency-log:{key}", typed, begin)["contact"]
        return HTTPSeeOther(location=f"/{tell.slug}/contacts/{number}")
    offered(request, ref)
    intake = filing.Intake(
        source="desk",
        key=key,
        channel=typed["channel"],
        started_at=request.now,
        ended_at=request.now,
        handle_seconds=0,
        service=ref,
        line=_own_line(tell, typed["channel"]),
        language=typed["language"],
        place=filing.Place(typed["area"], kind="neighbourhood")
        if typed["area"]
        else filing.Place(),
        description=typed["note"],
        danger_answer="none",
        cleared=cleared,
        consent="refused",
        track=False,
    )
    seen = filing.preview(tell.published, tell.slug, intake, now=request.now)
    if seen.signs:
        log_danger("desk", seen.signs)
        request.response.status_int = 400
        return _log_page(context, request, {"sign": seen.signs[0], "service": ref}, **typed)
    try:
        filed = filing.take_in(
            session, tell.published, intake, now=request.now, translate=tell.translate
        )
    except filing.AlreadyTaken:
        start_over(request)
        return HTTPSeeOther(location=here)
    service.log_entry(session, now_on, contact_id=filed.contact_id, now=request.now, **entry)
    request.flash("success", _("Logged: ${number}", mapping={"number": filed.contact_public_id}))
    return HTTPSeeOther(location=here)


def _own_line(tell: Telling, channel: str) -> str:
    return next(
        (
            each.ref
            for each in tell.published.lines.values()
            if each.tenant == tell.slug and each.channel == channel and not each.ended
        ),
        "",
    )


# --- mutual aid -----------------------------------------------------------------------------------

AID_STATES = {
    "offered": _("Offered"),
    "accepted": _("Accepted"),
    "declined": _("Declined"),
    "withdrawn": _("Withdrawn"),
    "ended": _("Ended"),
}


def _aid_page(tell: Telling, request: Any, *, runs: bool) -> dict[str, Any]:
    me = request.tenant.id
    return {
        "aids": [
            {
                "id": each.id,
                "lent": each.lender_id == me,
                "who": tell.partner(each.borrower_id if each.lender_id == me else each.lender_id),
                "people": [
                    (one["name"], [said(LANGUAGES, code) for code in one["languages"]])
                    for one in each.people
                ],
                "lines": [_line_name(tell, ref) for ref in each.lines],
                "state": AID_STATES[each.state],
                "note": each.note,
                "answers": runs and each.state == "offered" and each.borrower_id == me,
                "ends": runs and each.state in ("offered", "accepted"),
            }
            for each in queries.aids_of(request.dbsession)
        ]
        if tell.slug != REGION
        else [],
        "offers": runs and tell.slug != REGION and bool(_real(tell, request)),
        "offer_url": f"/{tell.slug}/emergencies/aid",
    }


def _real(tell: Telling, request: Any) -> list[Any]:
    return [each for each in tell.published.emergencies if each.on(request.now) and not each.drill]


def _aid_form(request: Any) -> Form:
    tell = telling(request)
    real = [
        (each.public_id, f"{tell.partner(each.tenant)}: {each.said('en')[1]['title']}")
        for each in _real(tell, request)
    ]
    staff = [
        (str(each.person_id), each.name)
        for each in members(request.dbsession)
        if {"specialist", "supervisor"} & set(each.roles)
    ]
    lines = [
        (each.ref, f"{tell.partner(each.tenant)}: {each.name}")
        for each in tell.published.lines.values()
        if each.tenant in tell.published.partners
        and each.tenant != tell.slug
        and not each.ended
        and each.channel in ("phone", "text", "chat")
    ]
    schema = Schema()
    schema.add(
        SchemaNode(
            Choice(real),
            name="emergency",
            title=_("For which emergency"),
            widget=SelectWidget(values=real, empty=None),
        )
    )
    schema.add(
        SchemaNode(
            Choices(lines),
            name="lines",
            title=_("Whose lines"),
            description=_("Of one partner: it accepts or declines."),
            widget=CheckboxGroupWidget(values=lines),
        )
    )
    schema.add(
        SchemaNode(
            Choices(staff),
            name="people",
            title=_("Who is lent"),
            widget=CheckboxGroupWidget(values=staff),
        )
    )
    schema.add(SchemaNode(String(500, multiline=True), name="note", title=_("Note"), missing=None))
    return make_form(
        request,
        schema,
        submit=_("Offer help"),
        once=True,
        cancel_url=f"/{tell.slug}/emergencies",
    )


@view_config(
    context=Emergencies,
    name="aid",
    permission=P.EMERGENCY_RUN,
    request_method="GET",
    renderer="emergencies/aid.jinja2",
)
def aid(context: Emergencies, request: Any) -> dict[str, Any]:
    """The form by which specialists are lent to another partner."""
    tell = telling(request)
    if tell.slug == REGION:
        raise HTTPNotFound
    return {"form": _aid_form(request) if _real(tell, request) else None}


@view_config(
    context=Emergencies,
    name="aid",
    permission=P.EMERGENCY_RUN,
    request_method="POST",
    renderer="emergencies/aid.jinja2",
)
def lend(context: Emergencies, request: Any) -> Any:
    """Offer help, answer an offer, or end it."""
    tell = telling(request)
    verb = request.POST.get("verb", "")
    if verb in ("accept", "decline", "end"):
        return _answered(request, verb)
    if tell.slug == REGION or not _real(tell, request):
        raise HTTPNotFound
    form = _aid_form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        borrowers = {each.partition("/")[0] for each in values["lines"]}
        if len(borrowers) != 1:
            raise InvalidInput(_("Choose lines of one partner."), field="lines")
        (borrower,) = borrowers
        known = {str(each.person_id): each for each in members(request.dbsession)}
        emergency = next(
            each for each in _real(tell, request) if each.public_id == values["emergency"]
        )

        def act() -> dict[str, Any]:
            aid_id = offer_aid(
                request.dbsession,
                emergency_id=emergency.id,
                to=tell.published.ids[borrower],
                people=[
                    {
                        "id": each,
                        "name": known[each].name,
                        "languages": list(known[each].languages),
                    }
                    for each in values["people"]
                ],
                lines=values["lines"],
                note=values["note"],
                now=request.now,
            )
            return {"aid": str(aid_id)}

        once(request.dbsession, f"aid:{form_key(request)}", values, act)
        request.flash("success", _("The offer is with that partner."))
        return HTTPSeeOther(location=f"/{tell.slug}/emergencies")

    return handle_form_submission(request, form, on_success, lambda: {"form": form})


def _answered(request: Any, verb: str) -> HTTPSeeOther:
    tell = telling(request)
    try:
        aid_id = UUID(str(request.POST.get("aid", "")))
    except ValueError:
        raise HTTPNotFound from None
    if verb == "end":
        finish_aid(request.dbsession, aid_id, now=request.now)
        request.flash("success", _("The help has ended."))
    else:
        answer_aid(request.dbsession, aid_id, accept=verb == "accept", now=request.now)
        request.flash(
            "success",
            _("Accepted: they can take contacts on your lines now.")
            if verb == "accept"
            else _("Declined."),
        )
    return HTTPSeeOther(location=f"/{tell.slug}/emergencies")
