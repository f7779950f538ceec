"""The region's public door: find a service, report something without an account, follow it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

import colander
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.catalog.directory import Service
from regional311.errors import DomainError, InvalidInput
from regional311.gazetteer.queries import SEVERAL, UNKNOWN, Answer, Found
from regional311.intake import me_too
from regional311.intake.added_files import keyed
from regional311.intake.attachments import SENT
from regional311.referral import filing
from regional311.referral.decision import Decision, said
from regional311.referral.placing import KEEP, placed
from regional311.web.answer_links import answer_link
from regional311.web.conditions import ASKS, Conditions, add_conditions, conditions_of, named
from regional311.web.entry_alerts import entry_alerts
from regional311.web.files import FILE, file_node
from regional311.web.forms import (
    Boolean,
    CheckboxWidget,
    Choice,
    Decimal,
    Form,
    HiddenWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    String,
    TextAreaWidget,
    TextWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _, page_language
from regional311.web.news import news_of, offer_news
from regional311.web.offering import answered_by
from regional311.web.questions import add_questions, asking, files_of
from regional311.web.same_already import same_already, told
from regional311.web.searching import log_danger
from regional311.web.spoken import own_language, spoken_service
from regional311.web.telling import Telling, telling
from regional311.web.tree import Root, enter


def asked_service(request: Any) -> Service:
    """Return the service that the address names; 404 for one that is not offered."""
    tell = telling(request)
    found = tell.published.directory.find(request.GET.get("service", "")[:200])
    if found is None or not found.offered(tell.today):
        raise HTTPNotFound
    return found


# --- reporting without an account -----------------------------------------------------------------


class ScreenForm(Schema):
    """The region's danger screen; its question and signs come from the policy."""

    danger = SchemaNode(String(100), title=_("Danger"))

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        tell = telling(kw["request"])
        screen = tell.published.screen(tell.today).spoken(page_language(kw["request"]))
        offered = [("none", _("None of these")), *((each.key, each.name) for each in screen.signs)]
        self["danger"].typ = Choice(offered)
        self["danger"].title = screen.ask
        self["danger"].widget = RadioWidget(values=offered)


LONGEST_WARNING: Final = 300
"""Keys of the signs of danger that a page has named, with blanks between."""


class ReportForm(Schema):
    """What happened and where; who reports it may stay unknown."""

    danger = SchemaNode(Choice(("none",)), title=_("Danger"), widget=HiddenWidget())
    same_as = SchemaNode(
        String(40),
        title=_("Is it one of these? They are known already"),
        widget=RadioWidget(),
    )
    at = SchemaNode(
        String(80), title=_("Which place do you mean?"), widget=HiddenWidget(), missing=""
    )
    place = SchemaNode(
        String(300),
        title=_("Where is it?"),
        description=_("Address or crossing, neighborhood, road or bridge."),
        widget=TextWidget(maxlength=300),
        missing=None,
    )
    latitude = SchemaNode(Decimal(6), title=_("Latitude, if you know it"), missing=None)
    longitude = SchemaNode(Decimal(6), title=_("Longitude, if you know it"), missing=None)
    description = SchemaNode(
        String(4000, multiline=True),
        title=_("What should we know?"),
        description=_("Others may read this later. Please name nobody."),
        widget=TextAreaWidget(rows=4, maxlength=4000),
        missing=None,
    )
    name = SchemaNode(
        String(200), title=_("Your name"), widget=TextWidget(autocomplete="name"), missing=None
    )
    phone = SchemaNode(
        String(40),
        title=_("Your phone number"),
        widget=TextWidget(type="tel", autocomplete="tel"),
        missing=None,
    )
    email = SchemaNode(
        String(254),
        title=_("Your e-mail address"),
        widget=TextWidget(type="email", autocomplete="email"),
        validator=colander.Email(_("Enter an e-mail address such as name@example.org.")),
        missing=None,
    )
    wants_updates = SchemaNode(
        Boolean(), title=_("Send me news by e-mail"), widget=CheckboxWidget(), missing=False
    )
    consent = SchemaNode(
        Boolean(),
        title=_("If another partner is responsible, it may get what I wrote here"),
        description=_("Otherwise it only learns what is needed and where."),
        widget=CheckboxWidget(),
        missing=False,
    )
    cleared = SchemaNode(
        Boolean(),
        title=_("I read this: nobody is in danger"),
        widget=CheckboxWidget(),
        missing=False,
    )
    warned = SchemaNode(
        String(LONGEST_WARNING), title=_("Danger"), widget=HiddenWidget(), missing=""
    )

    def validator(self, node: Any, values: dict[str, Any]) -> None:
        """A point has two numbers, both on Earth."""
        problem = colander.Invalid(node)
        if values.get("latitude") is None and values.get("longitude") is None:
            return
        for name, limit in (("latitude", 90), ("longitude", 180)):
            if values.get(name) is None:
                problem[name] = _("A point has a latitude and a longitude.")
            elif abs(values[name]) > limit:
                problem[name] = _(
                    "Enter degrees between -${limit} and ${limit}.", mapping={"limit": limit}
                )
        if problem.children:
            raise problem


def _report_form(
    request: Any,
    found: Service,
    *,
    warned: str = "",
    same: Sequence[tuple[str, Any, Any]] = (),
    asked: bool = False,
    places: Sequence[Found] = (),
    first: Conditions | None = None,
) -> Form:
    schema = ReportForm()
    if places:
        named = [(each.id, each.label) for each in places]
        schema["at"].widget = RadioWidget(values=[*named, (KEEP, _("None of these: use my words"))])
        schema["at"].missing = colander.required
    if same or asked:
        offered = [*same, (OTHER, _("It is something else"), _("We file yours."))]
        schema["same_as"].typ = Choice([each[0] for each in offered])
        schema["same_as"].widget = RadioWidget(values=offered)
    else:
        del schema["same_as"]
    if found.place == "none":
        for name in ("at", "place", "latitude", "longitude"):
            del schema[name]
    if not warned:
        del schema["cleared"], schema["warned"]
    if found.confidential:
        schema["description"].description = _("Only people who are cleared for it read this.")
    offer_news(request, schema, found.tenant, _("Do you want news of it?"))
    add_questions(request, schema, found)
    if _takes_photo(request, found):
        _after(
            schema, "description", file_node(request, found.tenant, _("A photo, if you have one"))
        )
    values = {"danger": "none"}
    if first is not None:
        add_conditions(request, schema, first)
        values[ASKS] = first.ref
    return make_form(
        request,
        schema,
        submit=_("Send it"),
        values=values,
        name="report",
        once=True,
        cancel_url=f"/services/{found.ref}",
    )


def _takes_photo(request: Any, found: Service) -> bool:
    """Whether a photo can be sent besides: where the service does not ask for a file itself."""
    form = telling(request).published.form(found)
    return not any(each.kind == "file" for each in form.questions)


def _after(schema: Schema, name: str, node: SchemaNode) -> None:
    at = next(place for place, each in enumerate(schema.children) if each.name == name)
    schema.children.insert(at + 1, node)


SAID_BEFORE: Final = frozenset({"offer-closed", "offer-shut", "offer-warm-only", "offer-full"})
"""Why a receiver refuses that nothing somebody could write would change."""


def _unplaced(request: Any, found: Service) -> Decision | None:
    """What would be decided before anything is known of the person or the place."""
    intake = filing.Intake(
        source="web",
        key="",
        channel="web",
        started_at=request.now,
        service=found.ref,
        danger_answer="none",
    )
    published = telling(request).published
    return filing.preview(published, found.tenant, intake, now=request.now).decision


def _asked_at_once(request: Any, found: Service) -> Conditions | None:
    """What is asked first where no place changes who asks."""
    if found.place != "none":
        return None
    return conditions_of(telling(request), _unplaced(request, found), found.tenant)


def _refused(request: Any, found: Service) -> str:
    """Say before anybody writes a word that nobody takes it at present, and who might instead."""
    tell = telling(request)
    decision = _unplaced(request, found)
    if decision is None or decision.verdict is None:
        return ""
    codes = [code for code in decision.verdict.codes if code[0] in SAID_BEFORE]
    others = [code for code in decision.reasons if code[0] == "offer-next"] if codes else []
    return " ".join(said([*codes, *others], tell.published.names, tell.translate))


def _report_page(request: Any, found: Service, form: Form, lead: Any) -> dict[str, Any]:
    row = telling(request).published.tenants[found.tenant]
    spoken = spoken_service(found, own_language(row), page_language(request))
    title = _("Report it online") if found.verb == "report" else _("Ask for it online")
    return {
        "name": spoken.name,
        "service_url": f"/services/{found.ref}",
        "title": title,
        "lead": lead,
        "refused": _refused(request, found),
        "alerts": entry_alerts(request, found),
        "phone": telling(request).phone(found.tenant),
        "owner": found.tenant,
        "asks_where": any(each.name == "latitude" for each in form.schema.children),
        "form": form,
    }


@view_config(
    context=Root,
    name="report",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/report.jinja2",
)
def report(context: Root, request: Any) -> dict[str, Any]:
    """First whether anybody is in danger, then the form.

    A link that was saved or passed on asks again, whatever it says.
    """
    found = _reported(request)
    answered = request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
    if answered and request.GET.get("danger") == "none":
        form = _report_form(request, found, first=_asked_at_once(request, found))
        return _report_page(request, found, form, _("You do not have to say who you are."))
    form = make_form(request, ScreenForm(), submit=_("Continue"), name="screen")
    return _report_page(request, found, form, None)


@view_config(
    context=Root,
    name="report",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/report.jinja2",
)
def send_report(context: Root, request: Any) -> Any:
    """Take the answer to the danger screen, or file the report."""
    found = _reported(request)
    if "form_key" not in request.POST:
        return _screen(request, found)
    return _file(request, found)


def _screen(request: Any, found: Service) -> Any:
    form = make_form(request, ScreenForm(), submit=_("Continue"), name="screen")

    def on_success(values: dict[str, Any]) -> Any:
        if values["danger"] == "none":
            query = urlencode({"service": found.ref, "danger": "none"})
            return HTTPSeeOther(location=f"/report?{query}")
        return _danger(request, found, values["danger"])

    return handle_form_submission(
        request, form, on_success, lambda: _report_page(request, found, form, None)
    )


def _danger(request: Any, found: Service, key: str) -> Any:
    tell = telling(request)
    screen = tell.published.screen(tell.today).spoken(page_language(request))
    sign = next(each for each in screen.signs if each.key == key)
    log_danger("web", [sign])
    page = {"sign": sign, "again_url": f"/report?service={found.ref}&danger=none"}
    return render_to_response("public/danger.jinja2", page, request=request)


OTHER = "other"
"""It is none of those that are known."""
WHICH: Final = {
    SEVERAL: _("Several places fit these words. Nothing was sent yet."),
    UNKNOWN: _("We know no place by these words, but some like it. Nothing was sent yet."),
}


def _known(request: Any, seen: filing.Preview, place: filing.Place) -> list[tuple[str, Any, Any]]:
    """What is known already and may be the same, as it is offered: number, title, words."""
    tell, translate = telling(request), request.localizer.translate
    offered = []
    for near in same_already(request, seen, place):
        assert seen.service is not None
        each = told(tell, seen.service.tenant, near)
        words = [
            translate(each["where"]),
            translate(_("since ${when}", mapping={"when": each["opened"]})),
            translate(each["state"]),
        ]
        if each["words"]:
            words.append(f"“{each['words'][:160]}”")
        offered.append((each["number"], _mine_too(each["number"]), " · ".join(words)))
    return offered


def _mine_too(number: str) -> Any:
    return _("It is this one: ${number}. I have it too", mapping={"number": number})


def _again(request: Any, found: Service, form: Form, values: dict[str, Any], **more: Any) -> Form:
    """The form with what was written, and with one more question."""
    again = _report_form(request, found, **more)
    again.form_key = form.form_key
    again.set_appstruct(
        {name: colander.null if value is None else value for name, value in values.items()}
    )
    return again


def _file(request: Any, found: Service) -> Any:
    tell = telling(request)
    warned = request.POST.get("warned", "")[:LONGEST_WARNING]
    answered = request.POST.get("same_as", "")[:40]
    same = [(answered, _mine_too(answered), "")] if answered not in ("", OTHER) else []
    asked = "same_as" in request.POST
    first = named(tell, request.POST.get(ASKS, "")[:200])
    form = _report_form(request, found, warned=warned, same=same, asked=asked, first=first)
    partner = request.registry.partners.by_slug(found.tenant)

    def on_success(values: dict[str, Any]) -> Any:
        enter(request, partner)
        place, meant = _placed(request, values)
        intake = _intake(request, found, values, place)
        seen = filing.preview(tell.published, found.tenant, intake, now=request.now)
        signs = _unread(request, found, intake, seen.signs, warned)
        if signs:
            log_danger("web", signs)
            keys = " ".join(dict.fromkeys([*warned.split(), *(each.key for each in signs)]))
            unread = {**values, "cleared": False, "warned": keys}
            again = _again(request, found, form, unread, warned=keys, first=first)
            sign = signs[0].spoken(page_language(request))
            again.problem = _(
                "Call ${number} now if anybody is in danger. Your words sound like it: "
                "${sign}. Nothing was sent yet.",
                mapping={"number": sign.number, "sign": sign.name},
            )
            request.response.status_int = 400
            return _report_page(request, found, again, None)
        _check_place(request, found, intake)
        unsaid = meant.places and place.latitude is None and values.get("at") != KEEP
        if unsaid and filing.first_answer(request.dbsession, intake) is None:
            again = _again(
                request,
                found,
                form,
                {**values, "at": None},
                warned=warned,
                same=same,
                asked=asked,
                places=meant.places,
                first=first,
            )
            if "at" not in request.POST:
                again.problem = _("Choose the place that you mean, or “None of these”.")
                request.response.status_int = 400
            return _report_page(request, found, again, WHICH[meant.how])
        known = [] if answered else _known(request, seen, intake.place)
        if known and filing.first_answer(request.dbsession, intake) is None:
            again = _again(request, found, form, values, warned=warned, same=known, first=first)
            lead = _("Others have reported something here. Nothing was sent yet.")
            return _report_page(request, found, again, lead)
        asks = None if intake.same_as else conditions_of(tell, seen.decision, found.tenant)
        if asks is not None and asks.unanswered(intake.eligible):
            again = _again(
                request,
                found,
                form,
                values,
                warned=warned,
                same=same,
                asked=asked,
                first=asks,
            )
            lead = _(
                "Please answer what ${partner} asks first. Nothing was sent yet.",
                mapping={"partner": tell.partner(asks.receiver)},
            )
            return _report_page(request, found, again, lead)
        try:
            if asks is not None:
                asks.refuse(intake.eligible, tell.published.names)
            filing.take_in(
                request.dbsession,
                tell.published,
                intake,
                now=request.now,
                url=request.registry.configured.url,
                translate=tell.translate,
                look_first=True,
                link=answer_link(request),
            )
        except filing.NotAccepted as error:
            names, codes = tell.published.names, error.codes
            if asks is not None:
                codes = tuple(asks.spoken(codes, page_language(request)))
            raise InvalidInput(" ".join(said(codes, names, tell.translate))) from error
        except me_too.NotOpen as error:
            raise me_too.NotOpen(
                _("That one is no longer open. Please choose again."), field="same_as"
            ) from error
        return _thank(request, found.tenant, form_key(request))

    return handle_form_submission(
        request, form, on_success, lambda: _report_page(request, found, form, None)
    )


def _unread(
    request: Any, found: Service, intake: filing.Intake, signs: Sequence[Any], warned: str
) -> Sequence[Any]:
    """The signs of danger in the words of which nobody has read what to do.

    Who read of one may have written of another since.
    """
    if not intake.cleared:
        return signs
    unscreened = replace(intake, cleared=False)
    published = telling(request).published
    named = filing.preview(published, found.tenant, unscreened, now=request.now).signs
    return [each for each in named if each.key not in warned.split()]


class PlaceNeeded(DomainError):
    """Who is responsible depends on the place, and none was given."""


def _check_place(request: Any, found: Service, intake: filing.Intake) -> None:
    try:
        filing.check_near(telling(request).published, intake.place)
    except filing.FarAway as error:
        reach = error.reach
        raise InvalidInput(
            _(
                "This point is far from here: latitude is ${south} to ${north}, longitude ${west} "
                "to ${east}. Leave both empty if you do not know them.",
                mapping={
                    "south": reach.south,
                    "north": reach.north,
                    "west": reach.west,
                    "east": reach.east,
                },
            ),
            field="latitude",
        ) from None
    if found.place == "required" and intake.place.stored_kind == "none":
        raise PlaceNeeded(
            _("Say where it is: who is responsible depends on the place."), field="place"
        )


def _placed(request: Any, values: dict[str, Any]) -> tuple[filing.Place, Answer]:
    """The place with its point, where its words mean a known one or one was picked."""
    written = filing.Place(
        values.get("place") or "", values.get("latitude"), values.get("longitude")
    )
    published = telling(request).published
    return placed(request.dbsession, published, written, values.get("at") or "")


def _intake(
    request: Any, found: Service, values: dict[str, Any], place: filing.Place
) -> filing.Intake:
    asker = None
    if values.get("name") or values.get("phone") or values.get("email"):
        asker = filing.Asker(
            name=values.get("name"),
            phone=values.get("phone"),
            email=values.get("email"),
            safe_to_call=bool(values.get("phone")),
            **_news(values),
        )
    return filing.Intake(
        source="web",
        key=form_key(request),
        channel="web",
        started_at=request.now,
        service=found.ref,
        language=page_language(request),
        asker=asker,
        place=place,
        description=values.get("description") or "",
        reply=asking(request, found).reply(values),
        files=tuple(
            # a question of the form may have that key, too
            keyed(each, SENT) if each is values.get(FILE) else each
            for each in files_of(values)
        ),
        danger_answer="none",
        eligible=answered_by(values),
        cleared=bool(values.get("cleared")),
        consent="given" if values.get("consent") else "refused",
        consent_method="online",
        same_as="" if values.get("same_as") in (None, OTHER) else values["same_as"],
    )


def _news(values: dict[str, Any]) -> dict[str, Any]:
    wanted = news_of(values)
    if wanted["updates_by"] == "email" and not values.get("email"):
        wanted["wants_updates"] = False
    return wanted


def _told(request: Any, tell: Telling, filed: filing.Filed) -> dict[str, Any]:
    target = tell.partner(filed.target or filed.owner)
    joined = filed.outcome == "open_request" and filed.request_id is None
    who = {
        "open_request": _(
            "${partner} knows of it. You are counted too.", mapping={"partner": target}
        )
        if joined
        else _("${partner} takes care of it.", mapping={"partner": target}),
        "refer": _("We passed it on to ${partner}.", mapping={"partner": target}),
        "decline": _("It cannot be taken: ${reason}", mapping={"reason": filed.sentences[0]})
        if filed.sentences
        else None,
    }.get(filed.outcome) or _("${partner} helps with this.", mapping={"partner": target})
    return {
        "number": filed.request_public_id or filed.referral_public_id,
        "joined": joined,
        "who": who,
        "expected": tell.day(filed.expected_at, "long"),
        "notes": filed.notes,
        "track_url": f"{request.host_url}/track/{filed.token}" if filed.token else None,
        "code": filed.code,
        "code_url": f"{request.host_url}/mine/{filed.code}" if filed.code else None,
        "phone": tell.phone(filed.target or filed.owner),
    }


FILED: Final = "filed"
"""The cookie with the keys of what this browser sent lately: it alone is shown the links again."""
SHOWN_FOR: Final = timedelta(hours=1)
MOST_SHOWN: Final = 5


def _thank(request: Any, slug: str, key: str) -> HTTPSeeOther:
    """Go to the page that says what became of a report: it may be loaded again as often as wanted.

    Its address names the report without its secrets; those are read by the key in the cookie.
    """
    keys = [each for each in _lately(request) if each[1] != key]
    kept = [*keys, [slug, key, int(request.now.timestamp())]][-MOST_SHOWN:]
    answer = HTTPSeeOther(location=f"/reported?{urlencode({'report': _named(key)})}")
    request.registry.signed_cookies.write(request, answer, FILED, kept)
    return answer


def _named(key: str) -> str:
    return hashlib.sha256(f"reported:{key}".encode()).hexdigest()[:16]


def _lately(request: Any) -> list[list[Any]]:
    """What this browser sent within the hour: partner, key of the form, and when."""
    since = (request.now - SHOWN_FOR).timestamp()
    kept = request.registry.signed_cookies.read(request, FILED) or []
    return [each for each in kept if each[2] >= since]


@view_config(
    context=Root,
    name="reported",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/filed.jinja2",
)
def thanks(context: Root, request: Any) -> Any:
    """What became of a report, with its links, to the browser that sent it."""
    asked = request.GET.get("report", "")[:16]
    request.response.headers["Cache-Control"] = "no-store"
    for slug, key, _at in _lately(request):
        partner = request.registry.partners.by_slug(slug)
        if _named(key) != asked or partner is None:
            continue
        enter(request, partner)
        if (filed := filing.answer_to(request.dbsession, "web", key)) is not None:
            return _told(request, telling(request), filed)
    request.flash(
        "info",
        _("We show that page for an hour, and only where the report was sent from."),
    )
    return HTTPSeeOther(location="/")


def _reported(request: Any) -> Service:
    found = asked_service(request)
    if not found.on_web_form:
        raise HTTPNotFound
    return found
