"""Messages that the partner wrote: every one as it was sent, and what to do about what was not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.database.session import Scope, open_session
from regional311.identity.permissions import Permissions as P
from regional311.inbox import messages as written
from regional311.notices import handling
from regional311.notices.phones import e164, shown
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.message_wording import CHANNELS, EVENTS, KINDS, STATES, without_keys
from regional311.web.representations import csv_stream, wanted
from regional311.web.telling import Telling, telling
from regional311.web.tree import MessageRecord, Messages, accommodation_bureaus
from regional311.web.wording import LANGUAGES, choices, said

_COLUMNS: Final = (
    "id",
    "written",
    "event",
    "channel",
    "to",
    "heading",
    "text",
    "state",
    "sent",
    "attempts",
    "reason",
    "about",
)
_FILTERS: Final = ("state", "event", "channel", "to", "about")
_OPENS: Final = {
    "requests": P.REQUEST_READ,
    "referrals": P.REFERRAL_READ,
    "inbox": P.CONTACT_TAKE,
    "accommodations": P.ACCOMMODATION_WORK,
}


def reader(request: Any) -> written.Reader:
    """Who looks at the partner's messages."""
    identity, tell = request.identity, telling(request)
    ids = tell.published.ids
    return written.Reader(
        identity.person_id,
        identity.cleared(request.tenant.id),
        P.ACCOMMODATION_WORK in identity.permissions(request.tenant.id)
        and accommodation_bureaus(request) is None,
        tuple(
            (ids[each.tenant], each.key)
            for each in tell.published.directory.services
            if each.confidential and each.tenant in ids
        ),
    )


def _listing(request: Any) -> Listing:
    return Listing(
        request,
        columns=[
            Column("written", _("Written"), sort=True),
            Column("event", _("Event"), sort=True),
            Column("to", _("To")),
            Column("heading", _("Subject")),
            Column("about", _("About")),
            Column("state", _("State"), sort=True),
            Column("attempts", _("Attempts"), sort=True, number=True),
        ],
        filters=[
            Filter("state", _("State"), choices=choices(STATES)),
            Filter("event", _("Event"), choices=choices(EVENTS)),
            Filter("channel", _("Channel"), choices=choices(CHANNELS)),
            Filter("to", _("To, the whole address or number")),
            Filter("about", _("About"), type="hidden"),
        ],
        sort="-written",
        csv=True,
    )


def _wanted(values: dict[str, str | None]) -> written.Wanted | None:
    """What is asked for; None when nothing can match it."""
    about = _as_id(values["about"])
    if values["about"] and about is None:
        return None
    return written.Wanted(
        state=values["state"],
        event=values["event"],
        channel=values["channel"],
        to=_address(values["to"]) if values["to"] else None,
        about=about,
    )


@view_config(
    context=Messages,
    permission=P.MESSAGE_WORK,
    request_method="GET",
    renderer="messages/list.jinja2",
)
def listed(context: Messages, request: Any) -> Any:
    """Every message, the newest first."""
    listing, tell, who = _listing(request), telling(request), reader(request)
    asked = _wanted(listing.values)
    if wanted(request) == "csv":
        return _exported(request, asked, who)
    rows: list[written.Message] = []
    after = None
    if asked is not None:
        rows, after = written.listed(
            request.dbsession,
            who,
            asked,
            sort=listing.sort or "-written",
            after=listing.after,
        )
    listing.fill([_row(request, tell, each) for each in rows], after=after)
    dead = handling.dead(request.dbsession)
    here = f"/{tell.slug}/messages"
    return {
        "listing": listing,
        "dead": dead,
        "dead_url": f"{here}?state=dead",
        "fields": {name: value for name, value in listing.values.items() if value},
        "acts": asked is not None and listing.values["state"] in (None, "dead") and dead > 0,
        "here": here,
    }


def _address(typed: str) -> str:
    """An e-mail address in lower case, or a number as texts are kept by it."""
    return typed.lower() if "@" in typed else e164(typed) or typed


def _row(request: Any, tell: Telling, each: written.Message) -> dict[str, Any]:
    return {
        "id": each.id,
        "written": tell.when(each.created_at),
        "event": said(EVENTS, each.event),
        "channel": said(CHANNELS, each.channel),
        "readable": each.readable,
        "to": _to(each),
        "heading": each.heading,
        "about": _about(request, tell, each),
        "state": said(STATES, each.state),
        "kind": KINDS[each.state],
        "attempts": each.attempts,
        "reason": each.last_error if each.state != "sent" else None,
    }


def _to(each: written.Message) -> str:
    return shown(each.recipient) if each.channel == "text" and each.recipient else each.recipient


def _about(request: Any, tell: Telling, each: written.Message) -> tuple[str | None, str] | None:
    if each.about is None or not each.readable:
        return None
    collection, number = each.about
    opens = _OPENS[collection] in request.identity.permissions(request.tenant.id)
    return f"/{tell.slug}/{collection}/{number}" if opens else None, number


def _exported(request: Any, asked: written.Wanted | None, who: written.Reader) -> Any:
    scope = Scope(request.tenant.id, request.identity.person_id)
    engine = request.registry.engine

    def rows() -> Iterator[Sequence[Any]]:
        if asked is None:
            return
        with open_session(engine, scope) as session:
            for each, words in written.every(session, who, asked):
                yield (
                    each.id,
                    each.created_at,
                    each.event,
                    each.channel,
                    each.recipient,
                    each.heading,
                    without_keys(words),
                    each.state,
                    each.sent_at,
                    each.attempts,
                    each.last_error,
                    each.about[1] if each.about and each.readable else None,
                )
            session.rollback()

    return csv_stream(request, "messages.csv", _COLUMNS, rows())


@view_config(context=Messages, name="again", permission=P.MESSAGE_WORK, request_method="POST")
def all_again(context: Messages, request: Any) -> HTTPSeeOther:
    """Have all dead messages that match sent again."""
    done, left = _all(request, handling.send_again)
    if done:
        request.flash(
            "success",
            request.localizer.pluralize(
                "${num} message will be sent again.",
                "${num} messages will be sent again.",
                done,
                domain="regional311",
                mapping={"num": done},
            ),
        )
    return _back(request, done, left)


@view_config(context=Messages, name="aside", permission=P.MESSAGE_WORK, request_method="POST")
def all_aside(context: Messages, request: Any) -> HTTPSeeOther:
    """Set all dead messages that match aside."""
    done, left = _all(request, handling.set_aside)
    if done:
        request.flash(
            "success",
            request.localizer.pluralize(
                "${num} message was set aside.",
                "${num} messages were set aside.",
                done,
                domain="regional311",
                mapping={"num": done},
            ),
        )
    return _back(request, done, left)


def _all(request: Any, act: Callable[..., int]) -> tuple[int, bool]:
    given = {name: request.POST.get(name, "").strip() or None for name in ("event", "channel")}
    given |= {name: request.POST.get(name, "").strip()[:200] or None for name in ("to", "about")}
    asked = _wanted({**given, "state": None})
    if asked is None:
        return 0, False
    who, most = reader(request), handling.AT_ONCE
    ids = written.chosen(request.dbsession, who, asked, state="dead", limit=most + 1)
    return act(request.dbsession, ids[:most], now=request.now), len(ids) > most


def _back(request: Any, done: int, left: bool) -> HTTPSeeOther:
    if not done:
        request.flash("info", _("No message that matches could not be sent."))
    elif left:
        request.flash("info", _("There are more: press the button again."))
    kept = {name: value for name, value in request.POST.items() if name in _FILTERS and value}
    query = f"?{urlencode(kept)}" if kept else ""
    return HTTPSeeOther(location=f"/{request.tenant.slug}/messages{query}")


@view_config(
    context=MessageRecord,
    permission=P.MESSAGE_WORK,
    request_method="GET",
    renderer="messages/message.jinja2",
)
def message(context: MessageRecord, request: Any) -> dict[str, Any]:
    """One message, word for word as it left or is to leave."""
    tell = telling(request)
    found = written.one(request.dbsession, reader(request), context.record.id)
    if found is None:
        raise HTTPNotFound
    each = found.message
    left = found.sent if found.sent is not None else found.written
    words = without_keys(left)
    return {
        "message": each,
        "event": said(EVENTS, each.event),
        "facts": [
            (_("To"), _to(each) or None),
            (_("Channel"), said(CHANNELS, each.channel)),
            (_("Language"), said(LANGUAGES, each.language)),
            (_("Written"), tell.when(each.created_at)),
            (
                _("Leaves"),
                tell.when(each.due_at)
                if each.state == "pending" and each.due_at > request.now
                else None,
            ),
            (_("Sent"), tell.when(each.sent_at)),
            (_("Arrived"), tell.when(each.delivered_at)),
            (_("Came back"), tell.when(each.bounced_at)),
            (_("Attempts"), str(each.attempts)),
            (_("Times that it was sent"), str(each.sendings) if each.sendings > 1 else None),
            (_("Last error"), each.last_error),
        ],
        "state": said(STATES, each.state),
        "kind": KINDS[each.state],
        "about": _about(request, tell, each),
        "words": words,
        "cut": words != left,
        "erased": each.readable and not each.recipient and not found.written,
        "here": f"/{tell.slug}/messages",
    }


@view_config(context=MessageRecord, name="again", permission=P.MESSAGE_WORK, request_method="POST")
def again(context: MessageRecord, request: Any) -> HTTPSeeOther:
    """Have one sent again."""
    return _one(context, request, handling.send_again, _("The message will be sent again."))


@view_config(context=MessageRecord, name="aside", permission=P.MESSAGE_WORK, request_method="POST")
def aside(context: MessageRecord, request: Any) -> HTTPSeeOther:
    """Set one aside."""
    return _one(context, request, handling.set_aside, _("The message was set aside."))


@view_config(context=MessageRecord, name="back", permission=P.MESSAGE_WORK, request_method="POST")
def back(context: MessageRecord, request: Any) -> HTTPSeeOther:
    """Bring one back that was set aside."""
    return _one(context, request, handling.bring_back, _("It waits for somebody again."))


def _one(context: MessageRecord, request: Any, act: Callable[..., int], done: Any) -> HTTPSeeOther:
    if act(request.dbsession, [context.record.id], now=request.now):
        request.flash("success", done)
    elif act is handling.send_again and handling.nowhere(request.dbsession, context.record.id):
        request.flash(
            "error",
            _("Messages do not arrive there. Say first that they do again: see there."),
        )
        return HTTPSeeOther(location=f"/{request.tenant.slug}/mail-addresses?state=stopped")
    else:
        request.flash("info", _("It is not in that state any more: see below."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/messages/{context.record.id}")


def _as_id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
