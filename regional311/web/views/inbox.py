"""The inbox: who wrote, who answers it, and what is said, on the channel on which it came."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from babel.dates import format_timedelta
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.casework import prepared_texts
from regional311.database.ids import new_token
from regional311.errors import DomainError, InvalidInput, Stale
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.inbox import queries, working
from regional311.inbox.letters import split_quoted
from regional311.inbox.models import Thread, ThreadMessage
from regional311.intake.lifecycle import first_contact_resolution
from regional311.intake.models import Attachment
from regional311.notices.phones import shown
from regional311.referral.filing import start_contact
from regional311.tenancy.once import once
from regional311.web.forms import form_key, sent_version, start_over
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.noting import notes_shown
from regional311.web.representations import file_response
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import Inbox, ThreadRecord, viewer
from regional311.web.wording import CHANNELS, DISPOSITIONS, LANGUAGES, choices, said

TABS: Final = {
    "new": _("New"),
    "mine": _("Mine"),
    "waiting": _("Waiting for the person"),
    "others": _("With colleagues"),
    "done": _("Done"),
    "automatic": _("Automatic"),
}
EMPTY: Final = {
    "new": _("Nobody waits for an answer."),
    "mine": _("You have nothing to answer."),
    "waiting": _("Nobody’s answer is awaited."),
    "others": _("No colleague has anything to answer."),
    "done": _("Nothing is done yet."),
    "automatic": _("No automatic mail came."),
}
AUTOMATIC: Final = {
    "bounce": _("says that a message did not arrive"),
    "auto-reply": _("an automatic reply"),
    "list": _("sent to many"),
    "spam": _("marked as spam"),
    "machine": _("from an address that nobody reads"),
    "own": _("from one of our own addresses"),
    "stop": _("wants no more texts"),
    "start": _("wants texts again"),
    "help": _("asked for help by a word, and was answered"),
}
STEPS: Final = {
    "claim": _("Taken back: it is new again."),
    "give_back": _("Taken back: you have it again."),
    "hand_on": _("Taken back: it is where it was."),
    "done": _("Taken back: it is open again."),
}
SENT: Final = {
    "pending": _("On its way"),
    "sent": _("Sent"),
    "dead": _("Could not be sent"),
    "aside": _("Could not be sent"),
    "withdrawn": _("Withdrawn"),
}
WRITTEN: Final = ("email", "text", "chat")


# --- the list -------------------------------------------------------------------------------------


@view_config(
    context=Inbox, permission=P.CONTACT_TAKE, request_method="GET", renderer="inbox/index.jinja2"
)
def listed(context: Inbox, request: Any) -> dict[str, Any]:
    """Danger on top, then one tab of threads: who has waited longest is first."""
    tell = telling(request)
    session, who = request.dbsession, viewer(request)
    lines = _lines(tell)
    shared = request.GET.get("tab", "") in ("others", "waiting")
    holders = [(str(each), name) for each, name in queries.colleagues(session).items() if shared]
    listing = Listing(
        request,
        columns=[
            Column("who", _("Who")),
            Column("subject", _("What about")),
            Column("waits", _("Since")),
            Column("state", _("With")),
        ],
        filters=[
            Filter("tab", _("State"), choices=list(TABS.items()), type="hidden"),
            Filter("words", _("Number, address, name or subject")),
            Filter(
                "channel",
                _("Channel"),
                choices=[(key, CHANNELS[key]) for key in WRITTEN],
            ),
            Filter("language", _("Language"), choices=choices(LANGUAGES)),
            *([Filter("line", _("Line"), choices=lines)] if len(lines) > 1 else []),
            *([Filter("who", _("With"), choices=holders)] if holders else []),
        ],
    )
    for each in listing.filters:
        if each.name == "tab":
            each.choices = None
    asked = listing.values
    tab = asked["tab"] or "new"
    counted = queries.counts(session, who)
    urgent = queries.in_danger(session, who)
    page = queries.listed(
        session,
        who,
        tab,
        channel=asked["channel"],
        language=asked["language"],
        line=asked.get("line"),
        claimed_by=UUID(asked["who"]) if asked.get("who") else None,
        words=asked["words"],
        after=listing.after,
    )
    names = names_of(session, {each.claimed_by for each in (*page.rows, *urgent)})
    listing.fill([_row(tell, each, names) for each in page.rows], after=page.after)
    return {
        "listing": listing,
        "here": f"/{tell.slug}/inbox",
        "tab": tab,
        "empty": EMPTY[tab],
        "narrowed": any(value for name, value in asked.items() if name != "tab"),
        "tabs": [
            {
                "url": f"/{tell.slug}/inbox?{urlencode({'tab': key})}",
                "title": title,
                "number": counted[key].number if key in counted else 0,
                "counts": key not in ("done", "automatic"),
                "since": _age(tell, counted[key].since) if key in counted else None,
                "here": key == tab,
            }
            for key, title in TABS.items()
        ],
        "danger": [_row(tell, each, names) for each in urgent],
        "emergency": tell.published.screen(tell.today).number,
        "undo": request.GET.get("done", "")[:20] or None,
        "waiting": counted["new"].number if "new" in counted else 0,
        "templates_url": f"/{tell.slug}/answer-templates" if may(request, P.INBOX_EDIT) else None,
    }


def _lines(tell: Telling) -> list[tuple[str, Any]]:
    return [
        (line.key, line.name)
        for line in tell.published.lines.values()
        if line.tenant == tell.slug and line.channel in WRITTEN and not line.ended
    ]


def _age(tell: Telling, since: datetime | None) -> str | None:
    if since is None:
        return None
    return str(format_timedelta(tell.request.now - since, locale=tell.locale))


def _row(tell: Telling, each: queries.Row, names: Any) -> dict[str, Any]:
    line = tell.published.lines.get(f"{tell.slug}/{each.line_key}")
    return {
        "url": f"/{tell.slug}/inbox/{each.public_id}",
        "number": each.public_id,
        "who": each.name or each.address or _("No name given"),
        "address": each.address if each.name else None,
        "channel": said(CHANNELS, each.channel),
        "line": line.name if line else each.line_key,
        "language": said(LANGUAGES, each.language) if each.language != "en" else None,
        "subject": each.subject,
        "age": _age(tell, each.last_at if each.state == "done" else each.waiting_since),
        "when": tell.when(each.last_at if each.state == "done" else each.waiting_since),
        "by": names.get(each.claimed_by),
        "danger": _sign(tell, each.danger),
        "confidential": each.confidential,
        "automatic": AUTOMATIC.get(each.automatic) if each.automatic else None,
        "undeliverable": each.undeliverable_at is not None,
    }


def _sign(tell: Telling, key: str | None) -> Any:
    if key is None:
        return None
    signs = {each.key: each for each in tell.published.screen(tell.today).signs}
    return signs[key].name if key in signs else key


@view_config(context=Inbox, name="next", permission=P.CONTACT_TAKE, request_method="POST")
def take_next(context: Inbox, request: Any) -> HTTPSeeOther:
    """Take whoever has waited longest, and go there."""
    tell = telling(request)
    number = working.claim_next(request.dbsession, now=request.now)
    if number is None:
        request.flash("info", _("Nobody waits for an answer."))
        return HTTPSeeOther(location=f"/{tell.slug}/inbox")
    return HTTPSeeOther(location=f"/{tell.slug}/inbox/{number}")


# --- one thread -----------------------------------------------------------------------------------


@view_config(
    context=ThreadRecord,
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="inbox/thread.jinja2",
)
def thread(context: ThreadRecord, request: Any) -> dict[str, Any]:
    """What was written, and what can be done about it."""
    return _page(context, request)


def _page(
    context: ThreadRecord, request: Any, *, text: str = "", problem: Any = None, stale: bool = False
) -> dict[str, Any]:
    tell = telling(request)
    session, found = request.dbsession, context.record
    here = f"/{tell.slug}/inbox/{found.public_id}"
    me = request.identity.person_id
    written = queries.messages(session, found.id)
    people = queries.colleagues(session)
    contact = queries.contact_of(session, found.contact_id)
    names = dict(people) | names_of(
        session, {each.author_id for each in written if each.author_id not in people}
    )
    mine, free = found.claimed_by == me, found.claimed_by is None
    open_ = found.state != "done"
    line = tell.published.lines.get(f"{tell.slug}/{found.line_key}")
    last = next((each for each in reversed(written) if each.direction == "in"), None)
    before = found.before if working.undoable(found.before, request.now) else None
    return {
        "here": here,
        "inbox_url": f"/{tell.slug}/inbox",
        "thread": found,
        "title": found.subject
        or _(
            "${channel} of ${who}",
            mapping={
                "channel": said(CHANNELS, found.channel),
                "who": found.name or found.address or found.public_id,
            },
        ),
        "who": found.name or found.address or _("No name given"),
        "state": _state(found, me, names),
        "state_kind": {"new": "open", "claimed": "open", "waiting": "waiting"}.get(
            found.state, "done"
        ),
        "danger": _danger(tell, found),
        "messages": [_message(tell, each, names, here) for each in written],
        "cut": len(written) == queries.MOST_MESSAGES,
        "can": {
            "claim": found.state == "new",
            "give_back": mine and open_,
            "hand_on": open_,
            "answer": open_
            and (mine or free)
            and (found.channel == "chat" or bool(found.address))
            and found.stopped_at is None,
            "done": open_ and (mine or free),
            "open": not open_ and found.channel != "chat" and found.erased_at is None,
            "undo": before["step"] if before else None,
            "accommodation": f"/{tell.slug}/accommodation?from={found.public_id}"
            if may(request, P.ACCOMMODATION_TAKE)
            else None,
        },
        "holder": names.get(found.claimed_by) if not (mine or free) else None,
        "colleagues": [(each, name) for each, name in people.items() if each != found.claimed_by],
        "internal": notes_shown(request, found, "inbox", writes=True),
        "templates": _templates(session, found),
        "longest": working.LONGEST[found.channel],
        "text": text,
        "problem": problem,
        "stale": stale,
        "form_key": new_token(),
        "dispositions": choices(DISPOSITIONS),
        "facts": [
            (_("Channel"), said(CHANNELS, found.channel)),
            (_("Line"), line.name if line else found.line_key),
            (_("Address"), shown(found.address) if found.channel == "text" else found.address),
            (
                _("Texts"),
                _("None wanted: STOP was sent")
                if found.stopped_at and found.channel == "text"
                else None,
            ),
            (
                _("Chat"),
                _("The person has left") if found.stopped_at and found.channel == "chat" else None,
            ),
            (_("Language"), said(LANGUAGES, found.language)),
            (_("Began"), tell.when(found.began_at)),
            (_("Waits since"), tell.when(found.waiting_since) if open_ else None),
            (_("Done"), tell.when(found.done_at)),
            (_("Automatic"), AUTOMATIC.get(found.automatic) if found.automatic else None),
        ],
        "contact": None
        if contact is None
        else {
            "number": contact[0],
            "ended": contact[1],
            "url": _desk_url(tell, contact, last),
        },
    }


def _templates(session: Any, found: Any) -> list[tuple[str, prepared_texts.Prepared, str]]:
    """Those for the channel by what a form sends; in the person's language first."""
    here = [
        each
        for each in prepared_texts.texts(session, "answer")
        if each.channel in (None, found.channel)
    ]
    return [
        (f"{each.id}:{language}", each, language)
        for each, language in prepared_texts.offered(here, found.language)
    ]


def _desk_url(tell: Telling, contact: tuple[str, bool], last: Any) -> str:
    """Where the contact is worked at the desk, with the words as what is searched for."""
    number, ended = contact
    words = " ".join(split_quoted(last.text)[0].split())[:200] if last and not ended else ""
    asked = f"?{urlencode({'q': words})}" if words else ""
    return f"/{tell.slug}/contacts/{number}{asked}"


def _state(found: Any, me: UUID, names: Any) -> Any:
    if found.state == "new":
        return _("New")
    if found.state == "done":
        return _("Done")
    whose = _("You") if found.claimed_by == me else names.get(found.claimed_by, "")
    if found.state == "waiting":
        return _("Waits for the person: ${who}", mapping={"who": whose})
    return _("With ${who}", mapping={"who": whose}) if found.claimed_by != me else _("You have it")


def _danger(tell: Telling, found: Any) -> dict[str, Any] | None:
    if found.danger is None:
        return None
    screen = tell.published.screen(tell.today)
    sign = next((each for each in screen.signs if each.key == found.danger), None)
    return {
        "key": found.danger,
        "name": sign.name if sign else found.danger,
        "say": sign.say if sign else screen.say,
        "number": sign.number if sign else screen.number,
    }


def _message(tell: Telling, each: queries.Said, names: Any, here: str) -> dict[str, Any]:
    new, quoted = split_quoted(each.text)
    return {
        "mine": each.direction == "out",
        "when": tell.when(each.at),
        "by": names.get(each.author_id) if each.author_id else None,
        "sender": each.sender,
        "subject": each.subject,
        "text": new,
        "quoted": quoted,
        "signs": [_sign(tell, key) for key in each.signs],
        "automatic": AUTOMATIC.get(each.automatic) if each.automatic else None,
        "left_out": each.left_out,
        "files": [
            (number, f"{here}/file?{urlencode({'message': str(each.id), 'number': number})}")
            for number in range(1, each.files + 1)
        ],
        "sent": _("Arrived") if each.delivered_at else SENT.get(each.state) if each.state else None,
        "failed": each.state == "dead",
        "error": each.error if each.state in ("dead", "pending") else None,
    }


def _read_again(context: ThreadRecord) -> None:
    parent = context.__parent__
    if isinstance(parent, Inbox):
        context.record = parent.find(context.__name__) or context.record


@view_config(
    context=ThreadRecord,
    name="answer",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="inbox/thread.jinja2",
)
def answer(context: ThreadRecord, request: Any) -> Any:
    """Answer on the same channel; whoever is second sees what was written meanwhile."""
    tell = telling(request)
    found = context.record
    text = request.POST.get("text", "")[:50_000]
    version, key = sent_version(request), form_key(request)
    done = request.POST.get("then") == "done"

    def send() -> dict[str, str]:
        made = working.answer(
            request.dbsession,
            found.id,
            version,
            text=text,
            sender=_sender(tell, found),
            done=done,
            today=tell.today,
            now=request.now,
        )
        return {"message": str(made)}

    try:
        once(request.dbsession, f"inbox:{key}", {"thread": str(found.id), "text": text}, send)
    except Stale:
        start_over(request)
        _read_again(context)
        request.response.status_int = 409
        return _page(context, request, text=text, stale=True)
    except DomainError as error:
        start_over(request)
        _read_again(context)
        request.response.status_int = 409 if isinstance(error, working.HasAnother) else 400
        return _page(context, request, text=text, problem=error.message)
    if done:
        request.flash("success", _("Sent and done: resolved at the first contact."))
        return HTTPSeeOther(location=f"/{tell.slug}/inbox?done={found.public_id}")
    request.flash("success", _("Sent. It waits for the person."))
    return HTTPSeeOther(location=f"/{tell.slug}/inbox/{found.public_id}")


def _sender(tell: Telling, found: Any) -> working.From:
    line = tell.published.lines.get(f"{tell.slug}/{found.line_key}")
    return working.From(
        line.address if line else "",
        line.name if line else "",
        tell.partner(tell.slug),
        tell.request.registry.configured.secret,
    )


@view_config(
    context=ThreadRecord,
    name="insert",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="inbox/thread.jinja2",
)
def insert(context: ThreadRecord, request: Any) -> dict[str, Any]:
    """Put a template's words below what is written already; nothing is sent."""
    tell = telling(request)
    found = context.record
    typed = request.POST.get("text", "")[:50_000]
    asked = request.POST.get("template", "")
    words = next(
        (
            each.words[language]
            for value, each, language in _templates(request.dbsession, found)
            if value == asked
        ),
        None,
    )
    if words is None:
        return _page(context, request, text=typed, problem=_("Choose one of the templates."))
    sender = _sender(tell, found)
    words = prepared_texts.filled(
        words,
        {
            "name": found.name or "",
            "number": found.public_id,
            "partner": sender.partner,
            "line": sender.line,
            "me": request.identity.name,
        },
        "answer",
    )
    return _page(context, request, text="\n\n".join(filter(None, (typed.strip(), words))))


@view_config(context=ThreadRecord, name="claim", permission=P.CONTACT_TAKE, request_method="POST")
def claim(context: ThreadRecord, request: Any) -> HTTPSeeOther:
    """Take it."""
    working.claim(request.dbsession, context.record.id, now=request.now)
    return _back(context, request)


@view_config(
    context=ThreadRecord, name="give-back", permission=P.CONTACT_TAKE, request_method="POST"
)
def give_back(context: ThreadRecord, request: Any) -> HTTPSeeOther:
    """Put it back to the new ones."""
    working.give_back(request.dbsession, context.record.id, sent_version(request), now=request.now)
    request.flash("success", _("It is with the new ones again."))
    return _back(context, request)


@view_config(context=ThreadRecord, name="hand-on", permission=P.CONTACT_TAKE, request_method="POST")
def hand_on(context: ThreadRecord, request: Any) -> HTTPSeeOther:
    """Give it to a colleague, or take it over from one."""
    try:
        to = UUID(str(request.POST.get("to", "")))
    except ValueError:
        raise InvalidInput(_("Choose one of those listed."), field="to") from None
    people = queries.colleagues(request.dbsession)
    working.hand_on(
        request.dbsession,
        context.record.id,
        sent_version(request),
        to=to,
        colleagues=people,
        now=request.now,
    )
    if to == request.identity.person_id:
        request.flash("success", _("You have it now."))
    else:
        request.flash("success", _("${name} has it now.", mapping={"name": people[to]}))
    return _back(context, request)


@view_config(context=ThreadRecord, name="done", permission=P.CONTACT_TAKE, request_method="POST")
def finish(context: ThreadRecord, request: Any) -> HTTPSeeOther:
    """End it, and its contact with it."""
    tell = telling(request)
    disposition = request.POST.get("disposition", "answered")
    working.finish(
        request.dbsession,
        context.record.id,
        sent_version(request),
        disposition=disposition,
        today=tell.today,
        now=request.now,
    )
    if first_contact_resolution(disposition):
        request.flash("success", _("Done: resolved at the first contact."))
    else:
        request.flash("success", _("Done."))
    return HTTPSeeOther(location=f"/{tell.slug}/inbox?done={context.record.public_id}")


@view_config(context=ThreadRecord, name="undo", permission=P.CONTACT_TAKE, request_method="POST")
def undo(context: ThreadRecord, request: Any) -> HTTPSeeOther:
    """Take the last step back."""
    tell = telling(request)
    step = working.undo(
        request.dbsession, context.record.id, None, today=tell.today, now=request.now
    )
    request.flash("success", STEPS[step])
    return _back(context, request)


@view_config(context=ThreadRecord, name="open", permission=P.CONTACT_TAKE, request_method="POST")
def open_again(context: ThreadRecord, request: Any) -> HTTPSeeOther:
    """Take up what is done."""
    tell = telling(request)

    def begin(row: Thread) -> UUID:
        return start_contact(
            request.dbsession,
            tell.published,
            now=request.now,
            channel=row.channel,
            line=f"{tell.slug}/{row.line_key}",
            language=row.language,
        ).id

    working.open_again(
        request.dbsession,
        context.record.id,
        sent_version(request),
        begin=begin,
        now=request.now,
    )
    return _back(context, request)


@view_config(context=ThreadRecord, name="danger", permission=P.CONTACT_TAKE, request_method="POST")
def danger(context: ThreadRecord, request: Any) -> HTTPSeeOther:
    """Say what was found out about words that sound like danger."""
    sign = request.POST.get("sign", "")
    working.settle_danger(
        request.dbsession,
        context.record.id,
        sent_version(request),
        sign=sign,
        now=request.now,
    )
    return _back(context, request)


@view_config(
    context=ThreadRecord, name="confidential", permission=P.CONTACT_TAKE, request_method="POST"
)
def confidential(context: ThreadRecord, request: Any) -> HTTPSeeOther:
    """Show it to cleared people and whoever has it only, or to all again."""
    tell = telling(request)
    on = request.POST.get("on") == "true"
    working.keep_confidential(
        request.dbsession, context.record.id, sent_version(request), on=on, now=request.now
    )
    who = viewer(request)
    if on and not who.cleared and context.record.claimed_by != who.person_id:
        request.flash("success", _("It is confidential now: cleared colleagues answer it."))
        return HTTPSeeOther(location=f"/{tell.slug}/inbox")
    return _back(context, request)


@view_config(context=ThreadRecord, name="file", permission=P.CONTACT_TAKE, request_method="GET")
def file(context: ThreadRecord, request: Any) -> Any:
    """A file that came with a message, to be saved."""
    number = request.GET.get("number", "")[:3]
    try:
        message_id = UUID(request.GET.get("message", ""))
    except ValueError:
        raise HTTPNotFound from None
    found = request.dbsession.execute(
        select(Attachment.name, Attachment.content)
        .join(
            ThreadMessage,
            (ThreadMessage.tenant_id == Attachment.tenant_id)
            & (ThreadMessage.id == Attachment.subject_id),
        )
        .where(
            Attachment.tenant_id == request.tenant.id,
            Attachment.subject_id == message_id,
            Attachment.question == number,
            Attachment.erased_at.is_(None),
            ThreadMessage.thread_id == context.record.id,
        )
    ).one_or_none()
    if found is None:
        raise HTTPNotFound
    return file_response(found.name, found.content)


def _back(context: ThreadRecord, request: Any) -> HTTPSeeOther:
    return HTTPSeeOther(location=f"/{request.tenant.slug}/inbox/{context.record.public_id}")
