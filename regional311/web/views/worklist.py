"""The worklist: what waits for this partner, what is said of its room, and several at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.errors import DomainError, InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.identity.queries import who_may
from regional311.intake.queries import PAGE, every_page, people
from regional311.referral import capacity, lifecycle, service, waiting, worklist
from regional311.referral.acceptance import ROOM_STATES as STATES
from regional311.referral.snapshot import invalidate
from regional311.web.forms import (
    Choice,
    DateTimeWidget,
    Form,
    Integer,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.offering import room_shown
from regional311.web.receiving import finish_days, progress_said
from regional311.web.representations import csv_of_session, wanted
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import Referrals
from regional311.web.wording import (
    PRIORITIES,
    REFERRAL_STATES,
    ROOM_STATES,
    choices,
    kind,
    said,
)

TABS: Final[Mapping[str, Any]] = {
    "new": _("New"),
    "mine": _("Mine"),
    "overdue": _("Overdue"),
    "soon": _("Due within a day"),
    "ageing": _("Ageing"),
    "ending": _("Ending within a day"),
    "work": _("In work"),
    "asked": _("Asked back"),
    "on_hold": _("On hold"),
    "waitlist": _("Waitlist"),
    "questions": _("Questions to us"),
    "drafts": _("Drafts"),
    "onward": _("Ended before it"),
    "to_stop": _("Consent has ended"),
    "sent": _("Sent"),
    "closed": _("Closed"),
}
LEADS: Final[Mapping[str, Any]] = {
    "new": _("Nobody has answered these yet."),
    "mine": _("Open, and yours."),
    "overdue": _("Should have been answered by now."),
    "soon": _("To be answered within a day."),
    "ageing": _("Accepted, and not done in the agreed time."),
    "ending": _("Accepted, and to be done within a day."),
    "work": _("Accepted or in progress."),
    "asked": _("We asked the sender something: their clock runs, ours stands still."),
    "on_hold": _("Waiting for something other than a place."),
    "waitlist": _("Waiting for a place, the first first."),
    "drafts": _("Not sent yet: they wait for the person, for documents or for a word."),
    "onward": _("What they are part of has ended: withdraw them, too, or keep them and say why."),
    "to_stop": _("What they rest on has ended: say that you have stopped using it."),
    "questions": _("Receivers asked us something about what we sent."),
    "sent": _("What we referred to others."),
    "closed": _("Done, declined or ended."),
}
NOBODY: Final = "nobody"
MOST_AT_ONCE: Final = 50
COLUMNS: Final = (
    "number",
    "service",
    "partner",
    "urgency",
    "status",
    "progress",
    "outcome",
    "position",
    "sent",
    "due",
    "finish_by",
)


@view_config(
    context=Referrals,
    permission=P.REFERRAL_READ,
    request_method="GET",
    renderer="referrals/list.jinja2",
)
def referrals(context: Referrals, request: Any) -> Any:
    """The worklist in its parts, each counted, and what was sent."""
    tell = telling(request)
    chosen = request.GET.get("view", "")
    chosen = chosen if chosen in TABS else "new"
    from_us = chosen in ("sent", "questions", "onward", "drafts")
    listing = _listing(request, tell, chosen, from_us=from_us)
    asked = _chosen(request, listing)
    if wanted(request) == "csv":

        def rows(session: Any) -> Iterator[Sequence[Any]]:
            for some in every_page(partial(worklist.listed, session, chosen), **asked):
                yield from (list(_plain(tell, row).values()) for row in some)

        return csv_of_session(request, f"referrals-{chosen}.csv", COLUMNS, rows)
    page = worklist.listed(request.dbsession, chosen, after=listing.after, limit=PAGE, **asked)
    listing.fill([_row(tell, request, row) for row in page.rows], after=page.after)
    here = f"/{tell.slug}/referrals"
    numbers = worklist.counts(
        request.dbsession, now=request.now, person_id=request.identity.person_id
    )
    accepts = may(request, P.REFERRAL_ACCEPT)
    return {
        "listing": listing,
        "title": TABS[chosen],
        "lead": LEADS[chosen],
        "empty": _("Nothing was sent yet.") if chosen == "sent" else _("Nothing waits here."),
        "with_label": _("To") if from_us else _("From"),
        "tabs": [
            (
                here if key == "new" else f"{here}?view={key}",
                _("${name} (${count})", mapping={"name": label, "count": _counted(numbers[key])})
                if numbers.get(key)
                else label,
                key == chosen,
            )
            for key, label in TABS.items()
        ],
        "bulk": _bulk(chosen) if accepts else (),
        "here": here,
        "chosen": chosen,
        "rooms": list(_rooms(request, tell)) if accepts else [],
        "other_services": _others(tell) if accepts else [],
        "room_states": [(key, ROOM_STATES[key]) for key in STATES],
        "waitlist_url": f"{here}/waitlist" if chosen == "waitlist" else None,
        "policies_url": f"/{tell.slug}/receiving" if may(request, P.SERVICE_READ) else None,
    }


def _counted(number: int) -> str:
    return f"{worklist.MOST}+" if number > worklist.MOST else str(number)


def _listing(request: Any, tell: Telling, chosen: str, *, from_us: bool) -> Listing:
    late = chosen in ("ageing", "ending", "work")
    return Listing(
        request,
        columns=[
            Column("number", _("Number")),
            Column("service", _("Asks for")),
            Column("partner", _("To") if from_us else _("From")),
            Column("urgency", _("Urgency")),
            Column("state", _("Status")),
            Column("sent", _("Sent"), sort=True),
            Column("finish", _("To be done by"), sort=True)
            if late
            else Column("due", _("Answer due"), sort=True),
        ],
        filters=[
            Filter("view", _("Show"), choices=list(TABS.items()), type="hidden"),
            Filter("state", _("Status"), choices=choices(REFERRAL_STATES)),
            Filter("urgency", _("Urgency"), choices=choices(PRIORITIES)),
            Filter(
                "who",
                _("With"),
                choices=[
                    (NOBODY, _("Nobody yet")),
                    *(
                        (str(each.person_id), each.name)
                        for each in who_may(request.dbsession, P.REFERRAL_ACCEPT)
                    ),
                ],
            ),
            Filter(
                "partner",
                _("Partner"),
                choices=[
                    (slug, each.name)
                    for slug, each in sorted(tell.published.partners.items())
                    if slug != tell.slug
                ],
            ),
        ],
        sort="-sent" if chosen in ("sent", "closed") else "sent",
        csv=True,
    )


def _chosen(request: Any, listing: Listing) -> dict[str, Any]:
    tell, asked = telling(request), listing.values
    sort = (listing.sort or "sent").removeprefix("-")
    return {
        "now": request.now,
        "person_id": request.identity.person_id,
        "state": asked["state"],
        "urgency": asked["urgency"],
        "claimed_by": UUID(asked["who"]) if asked["who"] not in (None, NOBODY) else None,
        "unclaimed": asked["who"] == NOBODY,
        "counterparty_id": tell.published.ids.get(asked["partner"] or ""),
        "without": _hidden(request, tell),
        "unless_taken_by": request.identity.person_id,
        "sort": sort if sort in worklist.SORTS else "sent",
        "oldest_first": not (listing.sort or "").startswith("-"),
    }


def _hidden(request: Any, tell: Telling) -> list[tuple[UUID, str]]:
    """Others' confidential services: what colleagues sent there is for who is cleared."""
    if request.identity.cleared(request.tenant.id):
        return []
    me = request.tenant.id
    return sorted(each for each in tell.confidential_services if each[0] != me)


def _service_name(tell: Telling, row: Any) -> str:
    owner = tell.slug if row.side == lifecycle.RECEIVER else row.counterparty_id
    return tell.service_name(owner, row.service_key)


def _plain(tell: Telling, row: Any) -> dict[str, Any]:
    return {
        "number": row.public_id,
        "service": row.service_key,
        "partner": tell.published.slugs.get(row.counterparty_id),
        "urgency": row.urgency,
        "status": row.state,
        "progress": row.progress,
        "outcome": row.outcome,
        "position": row.waitlist_position if row.state == "on_hold" else None,
        "sent": row.sent_at,
        "due": row.due_at,
        "finish_by": row.finish_by,
    }


def _row(tell: Telling, request: Any, row: Any) -> dict[str, Any]:
    waits = row.state == "requested"
    due = row.due_at if waits else row.finish_by
    running = row.asked_at is None and row.state in ("requested", *worklist.WORKED)
    return {
        "id": row.id,
        "public_id": row.public_id,
        "service": _service_name(tell, row),
        "partner": tell.partner(row.counterparty_id),
        "urgency": said(PRIORITIES, row.urgency),
        "pressing": row.urgency in ("high", "urgent"),
        "state": said(REFERRAL_STATES, row.state),
        "kind": kind(REFERRAL_STATES, row.state),
        "progress": progress_said(tell, row),
        "position": row.waitlist_position if row.state == "on_hold" else None,
        "asked": row.asked_at is not None,
        "taken": row.claimed_by is not None,
        "sent": tell.when(row.sent_at),
        "due": tell.day(due) if running or row.asked_at is not None else None,
        "late": running and due is not None and due < request.now,
        "version": row.version,
    }


# --- several at once ------------------------------------------------------------------------------

BULK: Final[Mapping[str, Any]] = {
    "claim": _("I take them"),
    "unclaim": _("Give them back"),
    "accept": _("Accept them"),
    "start": _("Start work"),
}


def _bulk(chosen: str) -> tuple[tuple[str, Any], ...]:
    names = {
        "new": ("claim", "accept"),
        "overdue": ("claim", "accept"),
        "mine": ("unclaim", "accept", "start"),
        "work": ("claim", "start"),
        "ageing": ("claim", "start"),
    }.get(chosen, ())
    return tuple((name, BULK[name]) for name in names)


@view_config(context=Referrals, name="bulk", permission=P.REFERRAL_ACCEPT, request_method="POST")
def bulk(context: Referrals, request: Any) -> HTTPSeeOther:
    """Take one step with all that were ticked; those that cannot take it are named and stay."""
    tell, session = telling(request), request.dbsession
    step = request.POST.get("step", "")
    chosen = request.POST.get("view", "")
    numbers = request.POST.getall("number")
    if step not in BULK:
        raise InvalidInput(_("Choose what to do with them."), field="step")
    if not numbers or len(numbers) > MOST_AT_ONCE:
        raise InvalidInput(
            _("Tick at least one, and at most ${most}.", mapping={"most": MOST_AT_ONCE}),
            field="number",
        )
    done, refused = 0, []
    for number in dict.fromkeys(numbers):
        record = context.find(number)
        if record is None:
            raise HTTPNotFound
        try:
            with session.begin_nested():
                _take(tell, request, record, step)
            done += 1
        except DomainError:
            refused.append(record.public_id)
    if done:
        request.flash("success", _("Done: ${number}.", mapping={"number": done}))
    if refused:
        request.flash(
            "warning",
            _("Not possible as they are now: ${numbers}.", mapping={"numbers": ", ".join(refused)}),
        )
    view = f"?view={chosen}" if chosen in TABS else ""
    return HTTPSeeOther(location=f"/{tell.slug}/referrals{view}")


def _take(tell: Telling, request: Any, record: Any, step: str) -> None:
    given = {"now": request.now, "referral_id": record.id, "version": record.version}
    if step == "claim":
        service.claim(request.dbsession, **given)
    elif step == "unclaim":
        service.unclaim(request.dbsession, **given)
    else:
        service.move(
            request.dbsession,
            to="accepted" if step == "accept" else "in_progress",
            finish_days=finish_days(tell, record),
            followers=tell.followers(),
            **given,
        )


# --- the waitlist ---------------------------------------------------------------------------------


@view_config(
    context=Referrals,
    name="waitlist",
    permission=P.REFERRAL_READ,
    request_method="GET",
    renderer="referrals/waitlist.jinja2",
)
def waitlist(context: Referrals, request: Any) -> dict[str, Any]:
    """Everybody who waits for a place, service by service in order."""
    tell = telling(request)
    here = f"/{tell.slug}/referrals"
    lists: dict[str, list[dict[str, Any]]] = {}
    for each in waiting.waiting_list(request.dbsession, now=request.now):
        lists.setdefault(tell.service_name(tell.slug, each.service_key), []).append(
            {
                "number": each.public_id,
                "url": f"{here}/{each.public_id}",
                "partner": tell.partner(each.counterparty_id),
                "urgency": said(PRIORITIES, each.urgency),
                "position": each.position,
                "joined": tell.day(each.joined_at),
                "offered": tell.when(each.offered_at),
                "days": each.days,
                "version": each.version,
            }
        )
    return {
        "lists": sorted(lists.items()),
        "may_edit": may(request, P.REFERRAL_ACCEPT),
        "crumbs": [(here, _("Referrals")), (None, _("Waitlist"))],
    }


# --- room -----------------------------------------------------------------------------------------


def _rooms(request: Any, tell: Telling) -> Iterator[dict[str, Any]]:
    """The services whose room was ever said, or about which a policy speaks; the rest by search."""
    reception = tell.published.reception
    named = {key for policy in reception.policies.get(tell.slug, ()) for key in policy.services}
    for each in tell.published.directory.of(tell.slug, tell.today):
        rooms = reception.rooms.get(each.ref, ())
        if not rooms and each.key not in named:
            continue
        now = reception.room(each.ref, request.now)
        yield {
            "key": each.key,
            "name": each.name,
            "url": f"/{tell.slug}/referrals/room?service={each.key}",
            "shown": room_shown(tell, now) if now else None,
            "expired": now is None and bool(rooms),
            "state": now.state if now else None,
        }


def _others(tell: Telling) -> list[tuple[str, str]]:
    """Services that somebody can be referred to, to say their room for the first time."""
    offered = tell.published.directory.of(tell.slug, tell.today)
    return sorted(
        ((each.key, each.name) for each in offered if each.verb in ("request", "apply")),
        key=lambda each: each[1],
    )


class RoomForm(Schema):
    """What room there is, for how long, and where."""

    state = SchemaNode(
        Choice(ROOM_STATES),
        title=_("Room"),
        widget=RadioWidget(values=[(key, ROOM_STATES[key]) for key in STATES]),
    )
    places = SchemaNode(
        Integer(), title=_("Places"), description=_("How many, if that is known."), missing=None
    )
    until = SchemaNode(
        String(16),
        title=_("Holds until"),
        description=_("Afterwards it reads as not known. Left out: for a day."),
        widget=DateTimeWidget(),
        missing=None,
    )
    note = SchemaNode(
        String(capacity.MAX_NOTE),
        title=_("Note"),
        description=_("Senders read it, such as: only families today."),
        widget=TextWidget(),
        missing=None,
    )


def _asked(request: Any) -> Any:
    tell = telling(request)
    found = tell.service(tell.slug, request.GET.get("service", "")[:100])
    if found is None:
        raise HTTPNotFound
    return found


def _room_form(request: Any, found: Any) -> Form:
    tell = telling(request)
    schema = RoomForm()
    places = capacity.sites(found.details)
    if places:
        schema.add(
            SchemaNode(
                Choice(places),
                name="location_key",
                title=_("Where"),
                missing=None,
                widget=SelectWidget(
                    values=[("", _("The whole service")), *((k, k) for k in places)]
                ),
            )
        )
    return make_form(
        request,
        schema,
        submit=_("Say it"),
        name="room",
        action=f"/{tell.slug}/referrals/room?service={found.key}",
        cancel_url=f"/{tell.slug}/referrals",
    )


def _room_page(request: Any, found: Any, form: Form) -> dict[str, Any]:
    tell = telling(request)
    now = tell.published.reception.room(found.ref, request.now)
    past = capacity.said_of(request.dbsession, found.key)
    names = people(request.dbsession, [each.set_by for each in past])
    return {
        "name": found.name,
        "form": form if may(request, P.REFERRAL_ACCEPT) else None,
        "now": room_shown(tell, now) if now else None,
        "history": [
            {
                "when": tell.when(each.set_at),
                "title": said(ROOM_STATES, each.state)
                if each.places is None
                else _(
                    "${state}: ${places}",
                    mapping={"state": said(ROOM_STATES, each.state), "places": each.places},
                ),
                "by": names.get(each.set_by) if each.set_by else None,
                "note": " · ".join(
                    filter(None, (each.location_key, each.note, tell.when(each.until_at)))
                ),
            }
            for each in past
        ],
        "crumbs": [(f"/{tell.slug}/referrals", _("Referrals")), (None, _("Room"))],
    }


@view_config(
    context=Referrals,
    name="room",
    permission=P.REFERRAL_READ,
    request_method="GET",
    renderer="referrals/room.jinja2",
)
def room(context: Referrals, request: Any) -> dict[str, Any]:
    """What room a service has, with everything that was said of it."""
    found = _asked(request)
    return _room_page(request, found, _room_form(request, found))


@view_config(
    context=Referrals,
    name="room",
    permission=P.REFERRAL_ACCEPT,
    request_method="POST",
    renderer="referrals/room.jinja2",
)
def say_room(context: Referrals, request: Any) -> Any:
    """Say what room a service has; senders see it at once."""
    found = _asked(request)
    form = _room_form(request, found)
    tell = telling(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        until = values.pop("until")
        capacity.set_room(
            request.dbsession,
            now=request.now,
            service_key=found.key,
            until=_moment(tell, until) if until else None,
            **values,
        )
        invalidate()
        request.flash(
            "success",
            _("${service}: said, and senders see it.", mapping={"service": found.name}),
        )
        return HTTPSeeOther(location=f"/{tell.slug}/referrals")

    return handle_form_submission(
        request, form, on_success, lambda: _room_page(request, found, form)
    )


def _moment(tell: Telling, text: str) -> datetime:
    """Read a day and a time of day on this partner's clock."""
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(_("Write a day and a time of day."), field="until") from None
    return local.replace(tzinfo=tell.zone)


@view_config(
    context=Referrals, name="room-now", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def say_room_now(context: Referrals, request: Any) -> HTTPSeeOther:
    """Say with one press what room a service has, for a day."""
    tell = telling(request)
    capacity.set_room(
        request.dbsession,
        now=request.now,
        service_key=request.POST.get("service", "")[:100],
        state=request.POST.get("state", ""),
        until=request.now + timedelta(hours=capacity.USUAL_HOURS),
    )
    invalidate()
    request.flash("success", _("Said, for a day. Senders see it."))
    return HTTPSeeOther(location=f"/{tell.slug}/referrals")
