"""Chat for everybody: no account, no script needed, offered only while somebody answers."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNoContent, HTTPNotFound, HTTPSeeOther
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.database.ids import new_token
from regional311.errors import DomainError
from regional311.identity import attempts
from regional311.inbox import chatting
from regional311.referral.snapshot import Line
from regional311.tenancy.answering import HERE, PARTNER
from regional311.tenancy.once import once
from regional311.web.answering_now import now_on, telephone_of
from regional311.web.forms import form_key, start_over
from regional311.web.i18n import _, page_language
from regional311.web.telling import Telling, telling
from regional311.web.tree import ChatRoom, ChatThread, enter


def chat_line(tell: Telling, slug: str) -> Line | None:
    """The line by which a partner chats, if it has one."""
    return next(
        (
            each
            for each in tell.published.lines.values()
            if each.tenant == slug and each.channel == "chat" and not each.ended
        ),
        None,
    )


def _room(
    context: ChatRoom, request: Any, text: str = "", name: str = "", problem: Any = None
) -> dict[str, Any]:
    tell = telling(request)
    slug = context.partner.slug
    line = chat_line(tell, slug)
    if line is None:
        raise HTTPNotFound
    answer = tell.published.who_answers(line.ref, request.now)
    other = tell.published.lines.get(answer.line) if answer.kind == PARTNER else None
    phone = telephone_of(tell, slug)
    return {
        "partner": tell.partner(slug),
        "here": f"/chat/{slug}",
        "open": answer.kind == HERE,
        "other": None
        if other is None or other.channel != "chat"
        else {"name": tell.partner(other.tenant), "url": f"/chat/{other.tenant}"},
        "phone": now_on(tell, phone) if phone else None,
        "emergency": tell.published.screen(tell.today).number,
        "longest": chatting.LONGEST,
        "text": text,
        "name": name,
        "problem": problem,
        "form_key": new_token(),
    }


@view_config(
    context=ChatRoom,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/chat_start.jinja2",
)
def room(context: ChatRoom, request: Any) -> dict[str, Any]:
    """The first message; or whom to call, while nobody answers."""
    return _room(context, request)


@view_config(
    context=ChatRoom,
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/chat_start.jinja2",
)
def begin(context: ChatRoom, request: Any) -> Any:
    """Begin a chat. The same form sent twice is one chat."""
    enter(request, context.partner)
    tell = telling(request)
    text, name = request.POST.get("text", "")[:10_000], request.POST.get("name", "")[:10_000]
    shown = _room(context, request, text, name)
    if not shown["open"]:
        request.response.status_int = 409
        return shown
    line = chat_line(tell, context.partner.slug)
    assert line is not None
    registry, address = request.registry, request.client_addr or "unknown"
    asked = (registry.engine, registry.configured.secret, "chat", address, request.now)
    attempts.check(*asked)
    key = form_key(request)
    if _sent_twice(request):
        return _not_begun(request, shown, _twice())

    def start() -> dict[str, str]:
        return {
            "secret": chatting.begin(
                request.dbsession,
                tell.published,
                line,
                text=text,
                name=name,
                language=page_language(request),
                now=request.now,
            )
        }

    try:
        made = once(request.dbsession, f"chat:{key}", {"text": text}, start)
    except DomainError as error:
        start_over(request)
        return _not_begun(request, shown, _long_name() if error.field == "name" else _problem())
    attempts.note_wrong(*asked)
    return HTTPSeeOther(location=f"/chat/{context.partner.slug}/{made['secret']}")


def _not_begun(request: Any, shown: dict[str, Any], problem: Any) -> dict[str, Any]:
    request.response.status_int = 400
    return shown | {"problem": problem}


def _sent_twice(request: Any) -> bool:
    return any(len(request.POST.getall(each)) > 1 for each in ("name", "text"))


def _twice() -> Any:
    return _("This was sent twice. Send one value.")


def _long_name() -> Any:
    return _("A name has at most ${number} characters.", mapping={"number": chatting.LONGEST_NAME})


def _problem() -> Any:
    return _("Write something, at most ${number} characters.", mapping={"number": chatting.LONGEST})


def _thread(context: ChatThread, request: Any, text: str = "", problem: Any = None) -> Any:
    tell = telling(request)
    chat = context.chat
    screen = tell.published.screen(tell.today).spoken(page_language(request))
    signs = {each.key: each for each in screen.signs}
    sign = signs.get(chat.danger or "")
    request.response.headers["Cache-Control"] = "no-store"
    return {
        "partner": tell.partner(context.partner.slug),
        "here": f"/chat/{context.partner.slug}/{context.__name__}",
        "again_url": f"/chat/{context.partner.slug}",
        "number": chat.public_id,
        "messages": [
            {"ours": each.ours, "at": tell.when(each.at), "text": each.text}
            for each in chatting.said(request.dbsession, chat)
        ],
        "news": None,
        "danger": sign,
        "ended": chat.ended,
        "follows": request.GET.get("follow") == "1" and not chat.ended,
        "longest": chatting.LONGEST,
        "text": text,
        "problem": problem,
        "form_key": new_token(),
    }


@view_config(
    context=ChatThread,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/chat.jinja2",
)
def chat(context: ChatThread, request: Any) -> Any:
    """What was written, and a field for more; nothing when it is as it was seen last."""
    shown, seen = _thread(context, request), request.GET.get("seen", "")
    if "HX-Request" in request.headers and seen.isascii() and seen.isdecimal():
        if int(seen[:9]) == len(shown["messages"]) and not shown["ended"]:
            return HTTPNoContent()
        added = shown["messages"][int(seen[:9]) :]
        shown["news"] = [each["text"] for each in added if each["ours"]]
    return shown


@view_config(
    context=ChatThread,
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/chat.jinja2",
)
def say(context: ChatThread, request: Any) -> Any:
    """Add a message, once."""
    tell = telling(request)
    text = request.POST.get("text", "")[:10_000]
    line = tell.published.lines[f"{context.partner.slug}/{context.chat.line_key}"]
    key = form_key(request)
    if _sent_twice(request):
        request.response.status_int = 400
        return _thread(context, request, text, _twice())

    def add() -> dict[str, str]:
        chatting.say(
            request.dbsession,
            tell.published,
            line,
            context.chat,
            text=text,
            language=page_language(request),
            now=request.now,
        )
        return {}

    try:
        once(request.dbsession, f"chat:{key}", {"text": text}, add)
    except chatting.ChatEnded:
        start_over(request)
    except chatting.TooFast:
        start_over(request)
        request.response.status_int = 429
        return _thread(context, request, text, _("You write fast. Wait a minute, then send it."))
    except DomainError:
        start_over(request)
        request.response.status_int = 400
        return _thread(context, request, text, _problem())
    return HTTPSeeOther(location=f"/chat/{context.partner.slug}/{context.__name__}")


@view_config(
    context=ChatThread, name="end", permission=NO_PERMISSION_REQUIRED, request_method="POST"
)
def end(context: ChatThread, request: Any) -> HTTPSeeOther:
    """The person ends it."""
    chatting.leave(request.dbsession, context.chat, now=request.now)
    return HTTPSeeOther(location=f"/chat/{context.partner.slug}/{context.__name__}")
