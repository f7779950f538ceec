"""Texts in and out, by a provider that speaks HTTP: what it is sent, and what it tells.

Out: `POST` of one JSON object a text to the address that the operator named, with a bearer key. In:
the provider's webhook (`web/views/texts.py`) brings texts and reports. Nothing is held open while
the provider is waited for; what fails in passing is tried again by the outbox.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Engine, select, update

from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import Scope, TenantSession, mark_changed, scope_of, session_scope
from regional311.exchange.transport import NoAnswer, call
from regional311.inbox.letters import clean, language_of
from regional311.inbox.models import Thread
from regional311.inbox.receiving import Incoming, Received, receive
from regional311.inbox.working import came_back
from regional311.notices.delivery import (
    LEASE,
    Complete,
    Fate,
    Letter,
    Outcome,
    as_written,
    lease,
    note_no_server,
    record,
    still_leaves,
)
from regional311.notices.leaving import DANGER_NUMBER
from regional311.notices.models import OutboxMessage
from regional311.notices.phones import e164
from regional311.notices.service import TO_PEOPLE
from regional311.notices.stopping import change_by_text
from regional311.notices.troubles import note_trouble
from regional311.referral.snapshot import Line, Published, published
from regional311.settings import Settings

LONGEST: Final = 40_000
"""Characters of a text: what 255 parts of one hold, the most that telephones send."""
NO_SUCH_NUMBER: Final = frozenset({410, 422})
"""Answers by which a provider says that a number gets no texts; others are about us or the text."""
OTHER_CONTENT: Final = 422
"""Some answer so, too, to an `Idempotency-Key` that comes again with another text."""
STOPPED: Final = "The person has sent STOP."
NO_PROVIDER: Final = "No provider of texts is configured (REGIONAL311_TEXT_URL)."

WORDS: Final = {
    "en": {
        "stop": ("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "arret", "arrêt"),
        "start": ("start", "unstop"),
        "help": ("help", "info"),
    },
    "es": {
        "stop": ("alto", "parar", "basta"),
        "start": ("iniciar", "comenzar"),
        "help": ("ayuda",),
    },
    "vi": {
        "stop": ("ngừng", "ngung", "dừng", "hủy"),
        "start": ("bắtđầu", "batdau"),
        "help": ("trợgiúp", "trogiup"),
    },
    "zh-Hant": {
        "stop": ("停止", "取消", "退訂", "退订"),
        "start": ("開始", "开始"),
        "help": ("幫助", "帮助", "說明", "说明"),
    },
    "ru": {
        "stop": ("стоп", "отписаться", "отмена"),
        "start": ("старт", "начать"),
        "help": ("помощь", "справка"),
    },
}
"""Words that are honoured when they are sent alone: those that telephone companies know, and ours
in each language of the pages. Spaces and marks beside letters do not count."""

_MEANINGS: Final = {
    word: (meaning, language)
    for language, said in WORDS.items()
    for meaning, words in said.items()
    for word in words
}

ANSWERS: Final = {
    "stop": {
        "en": "{partner}: you will get no more texts from us. Send START to get them again.",
        "es": "{partner}: no recibirá más mensajes nuestros. Envíe START para recibirlos otra vez.",
        "vi": "{partner}: quý vị sẽ không nhận tin nhắn nữa. Gửi START để nhận lại.",
        "zh-Hant": "{partner}:您不會再收到我們的簡訊。傳送 START 可重新接收。",
        "ru": "{partner}: сообщений больше не будет. Отправьте START, чтобы снова их получать.",
    },
    "start": {
        "en": "{partner}: you get our texts again. Send STOP to end them.",
        "es": "{partner}: vuelve a recibir nuestros mensajes. Envíe STOP para terminarlos.",
        "vi": "{partner}: quý vị sẽ lại nhận tin nhắn. Gửi STOP để ngừng.",
        "zh-Hant": "{partner}:您將再次收到我們的簡訊。傳送 STOP 可停止。",
        "ru": "{partner}: вы снова получаете сообщения. Отправьте STOP, чтобы прекратить.",
    },
    "help": {
        "en": "{partner}: write what you need and a person answers. In an emergency call 911."
        " Send STOP to end texts.",
        "es": "{partner}: escriba lo que necesita y una persona le responde. En una emergencia"
        " llame al 911. Envíe STOP para terminar.",
        "vi": "{partner}: hãy viết điều quý vị cần, sẽ có người trả lời. Trường hợp khẩn cấp"
        " hãy gọi 911. Gửi STOP để ngừng.",
        "zh-Hant": "{partner}:請寫下您的需要,會有人回覆。緊急情況請撥 911。傳送 STOP 可停止。",
        "ru": "{partner}: напишите, что вам нужно, и вам ответят. В экстренном случае звоните 911."
        " Отправьте STOP, чтобы прекратить.",
    },
}


@dataclass(frozen=True, slots=True)
class Text:
    """A text as the provider brings it; numbers as E.164."""

    key: str
    sender: str
    text: str


def word_of(text: str) -> tuple[str, str] | None:
    """Give which of the words a text is, when it says nothing else, and its language.

    >>> word_of(" Stop. "), word_of("AYUDA"), word_of("Bắt đầu"), word_of("stop the noise please")
    (('stop', 'en'), ('help', 'es'), ('start', 'vi'), None)
    """
    if len(text) >= 30:
        return None
    return _MEANINGS.get(re.sub(r"[\W_]", "", unicodedata.normalize("NFC", text)).lower())


def line_with(region: Published, number: str) -> Line | None:
    """Give the line for texts that has a number, however it is spelled in its partner's files."""
    return next(
        (
            line
            for line in region.lines.values()
            if line.channel == "text" and not line.ended and e164(line.address) == number
        ),
        None,
    )


def take_in(
    session: TenantSession, region: Published, line: Line, came: Text, *, now: datetime
) -> Received:
    """Keep a text; answer the words that must be honoured at once, and by ourselves only them."""
    words = clean(came.text).strip()
    found = word_of(words)
    word = None if found is None else found[0]
    known = _latest(session, line, came.sender)
    language = language_of(words) or (known.language if known else "en")
    if found is not None:
        # the word in English tells nothing: telephone companies ask for it in every language
        said = _language_of_notices(session, came.sender) or language
        language = said if found[1] == "en" else found[1]
    kept = receive(
        session,
        region,
        Incoming(
            line=line,
            key=came.key,
            text=words,
            address=came.sender,
            language=language,
            automatic=word,
        ),
        now=now,
    )
    if word is None or kept.repeated:
        return kept
    send(session)
    tenant_id = scope_of(session).tenant_id
    if word == "stop":
        # what waits to leave does not leave any more; only the answer to this, and whom to call
        session.execute(
            update(OutboxMessage)
            .where(
                OutboxMessage.tenant_id == tenant_id,
                OutboxMessage.channel == "text",
                OutboxMessage.recipient == came.sender,
                OutboxMessage.event != DANGER_NUMBER,
                OutboxMessage.state.in_(("pending", "dead", "aside")),
            )
            .values(state="withdrawn", last_error=STOPPED)
            .execution_options(synchronize_session=False)
        )
    if word in ("stop", "start"):
        # on whichever line of the partner they wrote, and notices, too
        session.execute(
            update(Thread)
            .where(
                Thread.tenant_id == tenant_id,
                Thread.channel == "text",
                Thread.address == came.sender,
            )
            .values(stopped_at=now if word == "stop" else None)
            .execution_options(synchronize_session=False)
        )
        change_by_text(
            session, came.sender, stopped=word == "stop", thread_id=kept.thread_id, now=now
        )
    spoken = ANSWERS[word].get(language, ANSWERS[word]["en"])
    put(
        session,
        new_row(
            OutboxMessage,
            tenant_id=tenant_id,
            id=new_id(),
            event=f"text_{word}",
            subject_id=kept.thread_id,
            channel="text",
            recipient=came.sender,
            language=language,
            heading="",
            body=spoken.format(partner=region.tenants[line.tenant].short_name),
            headers={"from": ["", line.address]},
            created_at=now,
            due_at=now,
        ),
    )
    return kept


def _latest(session: TenantSession, line: Line, number: str) -> Thread | None:
    return session.scalars(
        select(Thread)
        .where(
            Thread.tenant_id == scope_of(session).tenant_id,
            Thread.channel == "text",
            Thread.address == number,
            Thread.line_key == line.key,
        )
        .order_by(Thread.id.desc())
        .limit(1)
    ).one_or_none()


def _language_of_notices(session: TenantSession, number: str) -> str | None:
    """The language in which the number was written to last by this partner."""
    return session.scalars(
        select(OutboxMessage.language)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.channel == "text",
            OutboxMessage.recipient == number,
            OutboxMessage.state == "sent",
            OutboxMessage.event.in_(TO_PEOPLE),
        )
        .order_by(OutboxMessage.id.desc())
        .limit(1)
    ).one_or_none()


def report(
    session: TenantSession,
    message_id: UUID,
    *,
    arrived: bool,
    reason: str,
    now: datetime,
    sendings: int = 1,
    lasting: bool = False,
) -> bool:
    """Keep what the telephone company said of a text of ours; False when there is no such text.

    `sendings` says which sending it is about: one that a person sent again is not that of before.

    One that did not arrive is a dead letter, which a person sees and can send again. ``lasting``:
    the number gets no texts, and none is sent there until somebody lifts that.
    """
    values: dict[str, object] = (
        {"delivered_at": now, "last_error": None}
        if arrived
        else {
            "state": "dead",
            "bounced_at": now,
            "died_at": now,
            "last_error": f"It did not arrive ({reason}).",
        }
    )
    row = session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.id == message_id,
            OutboxMessage.channel == "text",
            OutboxMessage.state == "sent",
            OutboxMessage.sendings == sendings,
        )
        .values(values)
        .returning(OutboxMessage.subject_id, OutboxMessage.recipient)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return False
    mark_changed(session)
    if lasting and not arrived and row.recipient:
        note_trouble(session, row.recipient, reason, message_id=message_id, lasting=True, now=now)
    if not arrived and row.subject_id is not None:
        came_back(session, row.subject_id, now=now)
    return True


@dataclass(frozen=True, slots=True)
class Texts:
    """The errand of the worker: deliver each partner's due texts."""

    settings: Settings
    complete: Complete = as_written

    def __call__(self, engine: Engine, tenant_id: UUID, clock: Callable[[], datetime]) -> int:
        scope = Scope(tenant_id)
        with session_scope(engine, scope) as session:
            if self.settings.text_url is None:
                note_no_server(session, channel="text", why=NO_PROVIDER)
                return 0
            now = clock()
            _withdraw_stopped(session)
            leased = lease(session, now=now, until=now + LEASE, channel="text")
            leaves = self.complete(session, leased, now)
            region = published(engine)
            number = region.text_number(region.slugs[tenant_id]) if leaves else None
        for each in leaves:
            with session_scope(engine, scope) as session:
                if not still_leaves(session, each):
                    continue
            outcome = post(each, self.settings, tenant_id, number)
            with session_scope(engine, scope) as session:
                record(session, outcome, now=clock())
        return len(leased)


def _withdraw_stopped(session: TenantSession) -> None:
    """Withdraw answers to people who have sent STOP since; one may have been sent again."""
    tenant_id = scope_of(session).tenant_id
    stopped = select(Thread.id).where(Thread.tenant_id == tenant_id, Thread.stopped_at.is_not(None))
    done = session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == tenant_id,
            OutboxMessage.channel == "text",
            OutboxMessage.event == "thread_answer",
            OutboxMessage.state == "pending",
            OutboxMessage.subject_id.in_(stopped),
        )
        .values(state="withdrawn", last_error=STOPPED)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    ).first()
    if done is not None:
        mark_changed(session)


def post(letter: Letter, settings: Settings, tenant_id: UUID, number: str | None) -> Outcome:
    """Hand one text to the provider, and say what became of it. No redirect is followed.

    An answer comes from the line of its thread, a notice from `number`.
    """
    assert settings.text_url is not None
    sender = e164((letter.headers or {}).get("from", ["", number or ""])[1])
    if sender is None:
        return Outcome(letter, Fate.DEAD, "There is no line for texts to send it from.")
    body = json.dumps(
        {
            "reference": f"{tenant_id}/{letter.key}",
            "from": sender,
            "to": letter.recipient,
            "text": letter.body,
        },
        ensure_ascii=False,
    ).encode()
    headers = {
        "Authorization": f"Bearer {settings.text_key}",
        "Content-Type": "application/json",
        "Idempotency-Key": letter.key,
    }
    try:
        status, _said = call("POST", settings.text_url, body, headers)
    except NoAnswer as error:
        return Outcome(letter, Fate.RETRY, f"The provider did not answer ({error}).")
    if 200 <= status < 300:
        return Outcome(letter, Fate.SENT)
    passing = status in (408, 425, 429) or status >= 500
    fate = Fate.RETRY if passing else Fate.DEAD
    blamed = status in NO_SUCH_NUMBER
    if status == OTHER_CONTENT and letter.attempt > 1:
        # a text is completed anew at each try: an emergency may be on now that was not
        blamed = False
    nobody = str(status) if blamed else ""
    return Outcome(letter, fate, f"The provider refused the text ({status}).", nobody)
