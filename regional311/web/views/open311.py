"""Open311 GeoReport v2 of each partner, and of the region by `jurisdiction_id`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.catalog.answers import Reply, check
from regional311.catalog.answers import reply as reply_to
from regional311.catalog.definitions import open311_attributes
from regional311.catalog.directory import Service
from regional311.cover.emergency import told
from regional311.database.ids import is_public_id, new_token
from regional311.database.session import Scope, open_session
from regional311.errors import ComeAgain, Conflict, DomainError
from regional311.identity.clients import KeyRefused, TooOften
from regional311.identity.queries import tracked
from regional311.intake import open_requests as requests_of
from regional311.intake import service as intake_service
from regional311.intake.added_files import keyed
from regional311.intake.attachments import SENT
from regional311.intake.open_requests import OpenRequest, Wanted
from regional311.intake.uploads import FileRefused, Upload, upload
from regional311.notices.phones import texted
from regional311.referral import filing
from regional311.referral.placing import placed
from regional311.web import open311
from regional311.web.answer_links import answer_link
from regional311.web.conditions import Conditions, conditions_of
from regional311.web.entry_alerts import alert_sentence
from regional311.web.i18n import offered
from regional311.web.news import sends_texts
from regional311.web.offering import CONDITION
from regional311.web.open311 import Refused, given, listed, moment, reply
from regional311.web.programs import counted, secret_key
from regional311.web.representations import csv_stream
from regional311.web.searching import danger_in
from regional311.web.telling import Telling
from regional311.web.tree import (
    Open311Bulk,
    Open311Discovery,
    Open311Document,
    Open311Request,
    Open311Requests,
    Open311Service,
    Open311Services,
    Open311Token,
    Open311Updates,
    enter,
)

LONGEST_KEY: Final = 200
PHOTO: Final = "media"
"""Name of the part that is a picture or a PDF."""

CHANGESET: Final = "2026-11-26 00:00"
"""When the definition of the interface last changed."""

_MEETS: Final = re.compile(rf"attribute\[{CONDITION}([a-z0-9-]{{1,60}})\]", re.ASCII)

log = structlog.get_logger("regional311.open311")


class Call:
    """One call: whose jurisdiction, in which format, with which parameters."""

    def __init__(self, context: Open311Document, request: Any) -> None:
        self.request = request
        self.key = context.key
        self.format = context.format
        self.values: Any = request.params
        if request.method != "POST":
            self.once()
        partner = getattr(request, "tenant", None)
        if partner is None:
            partner = self._named()
            enter(request, partner)
        self.partner = partner
        self.tell = Telling(request)
        self.zone = ZoneInfo(partner.zone)

    def _named(self) -> Any:
        name = given(self.values, "jurisdiction_id")
        if not name:
            raise Refused(400, "jurisdiction_id was not provided.")
        partner = self.request.registry.partners.by_slug(name)
        if partner is None:
            raise Refused(404, "There is no such jurisdiction_id.")
        return partner

    @property
    def services(self) -> dict[str, Service]:
        """The services that may be asked for here, by code."""
        return {
            each.key: each
            for each in self.tell.published.directory.of(self.partner.slug, self.tell.today)
            if each.on_web_form and not each.confidential
        }

    @property
    def seen(self) -> set[str]:
        """The codes whose requests may be seen."""
        return open311.seen_by_everybody(self.tell.published, self.partner.slug)

    @cached_property
    def language(self) -> str:
        """The language that the caller prefers; programs that say nothing get English."""
        known = list(offered(self.request))
        return str(self.request.accept_language.lookup(known, default="en"))

    @cached_property
    def emergency(self) -> str | None:
        """What real emergencies of this partner and of the region say now; None without one."""
        words = told(
            self.tell.published.emergencies,
            self.request.now,
            tenant=self.partner.slug,
            language=self.language,
        )
        return " ".join(f"{title}. {text}".rstrip() for title, text in words) or None

    def danger(self, signs: Sequence[Any], client_id: Any) -> None:
        """Say whom to call instead. Raises `Refused` when there are signs of danger."""
        if not signs:
            return
        sign = signs[0]
        log.warning("danger_sign", channel="open311", sign=sign.key, client=str(client_id))
        raise Refused(
            400,
            f"Call {sign.number} now if anybody is in danger: the words sound like "
            f"{sign.name.lower()}. Nothing was filed.",
        )

    def client(self, scope: str) -> Any:
        """Count the call against its key, also one that is refused. Raises `Refused`."""
        try:
            found = counted(self.request, given(self.values, "api_key")[:200], self.partner.id)
        except KeyRefused as error:
            raise Refused(403, error.message) from None
        except TooOften as error:
            wait = {"Retry-After": str(error.retry_after)}
            raise Refused(429, error.message, headers=wait) from None
        if scope not in found.scopes:
            raise Refused(403, "This api_key is not good for this.")
        return found.id

    def once(self) -> None:
        """Refuse a parameter that is given twice. Raises `Refused`.

        What is sent in is looked at for danger first.
        """
        if (twice := open311.given_twice(self.values)) is not None:
            raise Refused(400, f"{twice[:100]} is given twice.")

    def answer(self, root: str, content: Any, *, status: int = 200) -> Response:
        answer = reply(self.format, root, content, status=status)
        answer.vary = ["Accept-Language"]
        return answer


def georeport(view: Any) -> Any:
    """Let a view of the interface answer, also when it refuses, in the format asked for."""

    def answer(context: Open311Document, request: Any) -> Response:
        try:
            return view(Call(context, request))
        except Refused as error:
            answer = open311.errors(context.format, error.status, error.description)
            answer.headers.update(error.headers)
            return answer

    answer.__name__, answer.__doc__ = view.__name__, view.__doc__
    answer.__qualname__, answer.__module__ = view.__qualname__, view.__module__
    return answer


def _view(context: type[Open311Document], method: str = "GET") -> Any:
    return view_config(
        context=context,
        permission=NO_PERMISSION_REQUIRED,
        request_method=method,
        require_csrf=False,  # a call carries its key, never a person's cookie
    )


# --- what there is --------------------------------------------------------------------------------


@_view(Open311Discovery)
def discovery(context: Open311Discovery, request: Any) -> Response:
    """Where the interface is and which formats it speaks; of the region without a jurisdiction."""
    partner = getattr(request, "tenant", None)
    base = request.path_url.rpartition("/")[0]
    tell = Telling(request)
    contact = "" if partner is None else tell.phone(partner.slug) or ""
    changed = CHANGESET
    content = {
        "changeset": changed,
        "contact": contact or "Choose a jurisdiction_id to learn whom to call.",
        "key_service": f"Ask an administrator of {partner.name if partner else 'a partner'} "
        "for an api_key.",
        "endpoints": [
            {
                "specification": open311.SPECIFICATION,
                "url": base,
                "changeset": changed,
                "type": "production",
                "formats": list(open311.FORMATS.values()),
            }
        ],
    }
    return reply(context.format, "discovery", content)


@_view(Open311Services)
@georeport
def services(call: Call) -> Response:
    """The services that can be asked for."""
    found = [
        {
            "service_code": each.key,
            "service_name": each.name,
            "description": _described(call, each),
            "metadata": bool(_attributes(call, each)),
            "type": "realtime",
            "keywords": ",".join(word.replace(",", " ") for word in each.keywords),
            "group": each.group,
        }
        for each in call.services.values()
    ]
    return call.answer("services", found)


def _described(call: Call, service: Service) -> str:
    """What a service is for; before it what an emergency says of it, and of everything."""
    alerts = alert_sentence(call.tell.published, call.request.now, service, call.language)
    return " ".join(filter(None, (call.emergency, alerts, service.summary)))


@_view(Open311Service)
@georeport
def service(call: Call) -> Response:
    """The questions of one service."""
    found = call.services.get(call.key)
    if found is None:
        raise Refused(404, "There is no such service_code.")
    content = {"service_code": found.key, "attributes": _attributes(call, found)}
    return call.answer("service_definition", content)


# --- requests ------------------------------------------------------------------------------------


@_view(Open311Requests)
@georeport
def requests(call: Call) -> Response:
    """Public requests: by number, or by time, service and status."""
    numbers = listed(call.values, "service_request_id")[: open311.MOST_REQUESTS]
    # numbers overrule whatever else is asked, also what cannot be read
    size, page = (len(numbers), 1) if numbers else _page(call)
    found = requests_of.open_requests(
        call.request.dbsession,
        Wanted(numbers=numbers) if numbers else _wanted(call),
        open_services=call.seen,
        limit=size,
        offset=(page - 1) * size,
    )
    return call.answer("service_requests", [_told(call, each) for each in found])


def _wanted(call: Call) -> Wanted:
    values, zone = call.values, call.zone
    updated = [open311.instant(values, name, zone) for name in ("updated_after", "updated_before")]
    start, end = open311.window(values, zone, call.request.now, usual=updated == [None, None])
    is_open = open311.statuses(values)
    codes = listed(values, "service_code")
    box = open311.box(values)
    return Wanted(
        service_keys=set(codes) if codes else None,
        is_open=is_open,
        start=start,
        end=end,
        updated_start=updated[0],
        updated_end=updated[1],
        box=box,
    )


def _page(call: Call) -> tuple[int, int]:
    """How many are on a page, and which page is asked for."""
    most = open311.MOST_REQUESTS
    size = open311.whole(call.values, "page_size", most, most)
    return size, open311.whole(call.values, "page", 1, None)


BULK: Final = (
    "service_request_id",
    "status",
    "status_notes",
    "service_name",
    "service_code",
    "description",
    "agency_responsible",
    "requested_datetime",
    "updated_datetime",
    "expected_datetime",
    "address",
    "lat",
    "long",
)
"""Columns of the bulk file, as the GeoReport Bulk format names them."""


@_view(Open311Bulk)
@georeport
def bulk(call: Call) -> Response:
    """Every public request of a time, as CSV that is written while it is read."""
    zone, values = call.zone, call.values
    wanted = Wanted(
        start=open311.instant(values, "start_date", zone),
        end=open311.instant(values, "end_date", zone),
    )
    seen, scope, engine = call.seen, Scope(call.partner.id), call.request.registry.engine

    def rows() -> Iterator[Sequence[Any]]:
        with open_session(engine, scope) as session:
            for row in requests_of.every_open_request(session, wanted, open_services=seen):
                told = _told(call, row)
                yield [told[name] for name in BULK]
            session.rollback()

    answer = csv_stream(call.request, f"{call.partner.slug}-requests.csv", BULK, rows())
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer


@_view(Open311Request)
@georeport
def request_(call: Call) -> Response:
    """One public request."""
    found = _request(call, call.key)
    return call.answer("service_requests", [_told(call, found)])


def _request(call: Call, number: str) -> OpenRequest:
    found = (
        requests_of.open_requests(
            call.request.dbsession, Wanted(numbers=[number]), open_services=call.seen, limit=1
        )
        if is_public_id(number, "R")
        else []
    )
    if not found:
        raise Refused(404, "There is no such service_request_id.")
    return found[0]


def _told(call: Call, row: OpenRequest) -> dict[str, Any]:
    tell, slug = call.tell, call.partner.slug
    changed = row.closed_at if row.closed_at is not None and not row.is_open else row.updated_at
    content = {
        "service_request_id": row.public_id,
        "status": "open" if row.is_open else "closed",
        "status_notes": row.public_message,
        "service_name": tell.service_name(slug, row.service_key),
        "service_code": row.service_key,
        "description": row.description,
        "agency_responsible": tell.bureau(slug, row.bureau_key) or call.partner.name,
        "service_notice": call.emergency if row.is_open else None,
        "requested_datetime": moment(row.opened_at, call.zone),
        "updated_datetime": moment(changed, call.zone),
        "expected_datetime": moment(row.expected_at, call.zone),
        "address": row.place_text if row.place_kind != "none" else None,
        "address_id": None,
        "zipcode": None,
        "lat": row.latitude,
        "long": row.longitude,
        "media_url": None,
    }
    if given(call.values, "extensions") == "true":
        content["extended_attributes"] = {
            "closed_datetime": moment(row.closed_at, call.zone),
            "tracking_url": None,
        }
    return content


@_view(Open311Requests, "POST")
@georeport
def take_request(call: Call) -> Response:
    """Take a request in, as every other door does, and say its number."""
    client_id = call.client("open311:requests")
    call.values = call.request.POST
    code = given(call.values, "service_code")
    if not code:
        raise Refused(400, "service_code was not provided.")
    found = call.services.get(code)
    if found is None:
        raise Refused(404, "There is no such service_code.")
    # before anything else is checked: who made a mistake may be in danger all the same
    call.danger(danger_in(call.tell, _words(call.values)), client_id)
    call.once()
    intake = _intake(call, found, client_id)
    published, session = call.tell.published, call.request.dbsession
    seen = filing.preview(published, call.partner.slug, intake, now=call.request.now)
    call.danger(seen.signs, client_id)
    asks = conditions_of(call.tell, seen.decision, call.partner.slug)
    try:
        if asks is not None:
            asks.refuse(intake.eligible, published.names)
        filed = filing.take_in(
            session,
            published,
            intake,
            now=call.request.now,
            url=call.request.registry.configured.url,
            translate=call.tell.translate,
            look_first=True,
            link=answer_link(call.request),
        )
    except ComeAgain:
        raise
    except Conflict as error:
        raise Refused(409, error.message) from None
    except filing.FarAway as error:
        raise Refused(400, f"lat and long: {error.message}") from None
    except DomainError as error:
        raise Refused(400, f"{error.field or 'request'}: {error.message}") from None
    return call.answer("service_requests", [_answered(call, filed, asks, intake)], status=201)


def _answered(
    call: Call, filed: filing.Filed, asks: Conditions | None, intake: filing.Intake
) -> dict[str, Any]:
    said = [] if filed.target == call.partner.slug else list(filed.sentences[:1])
    said += filed.notes
    if filed.owner and filed.owner != call.partner.slug:
        said.append(f"{call.tell.partner(filed.owner)} takes care of it.")
    if asks is not None:
        given = dict(intake.eligible)
        who = call.tell.partner(asks.receiver)
        said += [
            f"{who} asks first: {each.said(call.language)[0]}"
            for each in asks.policy.question
            if each.key not in given
        ]
    if call.emergency:
        said.append(call.emergency)
    notice = " ".join(dict.fromkeys(said)) or None
    if filed.request_public_id:
        number = {"service_request_id": filed.request_public_id}
    else:
        number = {"token": filing.stored_key(intake.source, intake.key).partition(":")[2]}
    return {**number, "service_notice": notice, "account_id": None}


def _words(values: Any) -> str:
    """Everything that somebody wrote in a call: the description and answers to questions."""
    return "\n".join(
        str(value)
        for name, value in values.items()
        if name == "description" or name.startswith("attribute[")
    )


def _intake(call: Call, service: Service, client_id: Any) -> filing.Intake:
    values = call.values
    place = _place(values)
    if place is None:
        if service.place != "none":
            raise Refused(400, "Give lat and long, or address_string, or address_id.")
        place = filing.Place()
    if given(values, "address_string"):
        place, _ = placed(call.request.dbsession, call.tell.published, place)
    description = open311.lines(values, "description", open311.LONGEST_DESCRIPTION)
    media = open311.line(values, "media_url", 500)
    if media and not _is_web_address(media):
        raise Refused(400, "media_url is an address that begins with http:// or https://.")
    repeat = call.request.headers.get("Idempotency-Key", "")
    if len(repeat) > LONGEST_KEY:
        raise Refused(400, f"Idempotency-Key has at most {LONGEST_KEY} characters.")
    photo = _photo(call, service)
    return filing.Intake(
        source="open311",
        key=secret_key(call.request, client_id, repeat) if repeat else new_token(),
        channel="app",
        started_at=call.request.now,
        service=service.ref,
        asker=_asker(call, service),
        place=place,
        description="\n".join(filter(None, (description, media))),
        reply=_reply(call, service, photo),
        eligible=_eligible(values),
        files=() if photo is None else (photo,),
        consent="refused",
    )


def _is_web_address(said: str) -> bool:
    try:
        return urlsplit(said).scheme in ("http", "https")
    except ValueError:  # half of a bracketed address, for example
        return False


def _asker(call: Call, service: Service) -> filing.Asker | None:
    """Who asks. An e-mail address is for news; a number is only where `updates_by` says so."""
    values = call.values
    names = [open311.line(values, name, 100) for name in ("first_name", "last_name")]
    name = " ".join(filter(None, names)) or None
    phone = open311.line(values, "phone", 40) or None
    email = open311.line(values, "email", 254) or None
    if email and ("@" not in email or any(each.isspace() for each in email)):
        raise Refused(400, "email is not an address such as name@example.org.")
    by = given(values, "updates_by") or "email"
    if by not in ("email", "text"):
        raise Refused(400, "updates_by is email or text.")
    if by == "text" and not sends_texts(call.request, service.tenant):
        raise Refused(400, "No news are sent by text here: leave updates_by out.")
    if by == "text" and texted(phone or "") is None:
        raise Refused(400, "phone is no number that gets texts, in this country.")
    if not (name or phone or email):
        return None
    return filing.Asker(
        name=name,
        phone=phone,
        email=email,
        safe_to_call=bool(phone),
        wants_updates=by == "text" or bool(email),
        updates_by=by,
    )


def _eligible(values: Any) -> tuple[tuple[str, str], ...]:
    """Answers to what a receiver asks first, sent as `attribute[meets-<key>]`, yes or no."""
    found = {}
    for name, value in values.items():
        read = _MEETS.fullmatch(name)
        if read is None:
            continue
        answer = str(value).strip().lower()
        if answer not in ("yes", "no"):
            raise Refused(400, f"attribute {CONDITION}{read[1]} is yes or no.")
        found[read[1]] = answer
    return tuple(sorted(found.items()))


def _place(values: Mapping[str, Any]) -> filing.Place | None:
    at = open311.point(values)
    words = open311.line(values, "address_string", 300) or open311.line(values, "address_id", 300)
    if at is None:
        return filing.Place(words, kind="address") if words else None
    return filing.Place(words, at[0], at[1])


# --- tokens and updates --------------------------------------------------------------------------


@_view(Open311Token)
@georeport
def token(call: Call) -> Response:
    """The number that a token stands for; empty while there is none yet."""
    filed = filing.answer_under(call.request.dbsession, f"open311:{call.key[:200]}")
    if filed is None:
        number = _tracked_number(call)
    elif filed.request_id is None or filed.owner != call.partner.slug:
        number = None
    else:
        number = requests_of.number_of(call.request.dbsession, filed.request_id)
    content = {"service_request_id": number or "", "token": call.key}
    return call.answer("service_requests", [content])


def _tracked_number(call: Call) -> str | None:
    """The number behind the secret of a tracking link, which is a token, too."""
    with call.request.registry.autocommit_engine.connect() as connection:
        found = tracked(connection, call.key[:200])
    if found is None or found.tenant_id != call.partner.id:
        raise Refused(404, "There is no such token.")
    return requests_of.number_of(call.request.dbsession, found.request_id)


@_view(Open311Updates)
@georeport
def updates(call: Call) -> Response:
    """What happened to public requests between two times (mySociety's extension)."""
    start, end = (
        open311.instant(call.values, name, call.zone) for name in ("start_date", "end_date")
    )
    size, page = _page(call)
    found = requests_of.public_updates(
        call.request.dbsession,
        open_services=call.seen,
        start=start,
        end=end,
        limit=size,
        offset=(page - 1) * size,
    )
    content = [
        {
            "update_id": str(each.id),
            "service_request_id": each.number,
            "status": each.status,
            "updated_datetime": moment(each.at, call.zone),
            "description": each.message or "",
            "media_url": None,
        }
        for each in found
    ]
    return call.answer("service_request_updates", content)


@_view(Open311Updates, "POST")
@georeport
def take_update(call: Call) -> Response:
    """Take what another system says of a request; the same update_id is refused."""
    client_id = call.client("open311:updates")
    values = call.values = call.request.POST
    number, key = given(values, "service_request_id"), open311.line(values, "update_id", 200)
    for name, said in (("service_request_id", number), ("update_id", key)):
        if not said:
            raise Refused(400, f"{name} was not provided.")
    call.danger(danger_in(call.tell, given(values, "description")), client_id)
    call.once()
    found = _request(call, number)
    at = open311.instant(values, "updated_datetime", call.zone) or call.request.now
    if at > call.request.now:
        raise Refused(400, "updated_datetime lies in the future.")
    description = open311.lines(values, "description", open311.LONGEST_DESCRIPTION)
    try:
        update_id = intake_service.take_update(
            call.request.dbsession,
            client_id=client_id,
            client_key=key,
            request_id=found.id,
            status=given(values, "status").upper() or "OPEN",
            message=description,
            at=at,
            now=call.request.now,
        )
    except Conflict as error:
        raise Refused(409, error.message) from None
    except DomainError as error:
        raise Refused(400, error.message) from None
    content = [{"update_id": str(update_id)}]
    return call.answer("service_request_updates", content, status=201)


# --- questions ------------------------------------------------------------------------------------


def _attributes(call: Call, service: Service) -> list[dict[str, Any]]:
    return open311_attributes(call.tell.published.form(service))


def _photo(call: Call, service: Service) -> Upload | None:
    """The picture of a call in parts: the answer to a question for a file, or the person's own."""
    sent = call.values.get(PHOTO)
    if isinstance(sent, str) or sent is None:
        return None
    form = call.tell.published.form(service)
    asked = next((each.key for each in form.questions if each.kind == "file"), None)
    try:
        photo = upload(asked or PHOTO, sent.filename or PHOTO, sent.file.read())
        return keyed(photo, SENT) if asked is None else photo
    except FileRefused as error:
        raise Refused(400, f"{PHOTO}: {error.message}") from None


def _reply(call: Call, service: Service, photo: Upload | None) -> Reply | None:
    """The answers to the service's questions. Raises `Refused` naming the first that is wrong."""
    form = call.tell.published.form(service)
    if not form.questions:
        return None
    sent = {
        each.key: [value for name in _names(each.key) for value in call.values.getall(name)]
        for each in form.questions
    }
    # a file is named by what came, and never by words
    sent |= {each.key: [] for each in form.questions if each.kind == "file"}
    if photo is not None and photo.question in sent:
        sent[photo.question] = [photo.name]
    checked = check(form, sent, today=call.tell.today, zone=call.zone)
    if checked.faults:
        raise Refused(400, f"attribute {checked.faults[0]}")
    return reply_to(form, checked.answers)


def _names(key: str) -> tuple[str, str]:
    return f"attribute[{key}]", f"attribute[{key}][]"
