"""Receiving mail to the partners' lines by SMTP.

A mail server stands before this one, as it does before any application: it speaks TLS with the
world, knows spam, and hands on. Here a letter is accepted only when it is committed: while the
database is away the sender is told to come again (451), and a letter that was accepted is never
lost. One that comes twice is kept once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from regional311.database.session import Scope, session_scope
from regional311.inbox import bounces, letters
from regional311.inbox.receiving import Incoming, receive
from regional311.notices.ways_out import read_return
from regional311.referral.snapshot import Line, Published, published
from regional311.settings import Settings

THREADS: Final = 4
MOST_RECIPIENTS: Final = 50
SECONDS: Final = 60.0
"""How long a sender may say nothing."""

TAKEN: Final = "250 2.0.0 Kept"
LATER: Final = "451 4.3.0 The database is away; come again"
NOBODY: Final = "550 5.1.1 No line has this address"
TOO_MANY: Final = "452 4.5.3 Too many recipients"
HEADERS: Final = "552 5.3.4 The headers are too large"
CIRCLE: Final = "554 5.4.6 This letter goes in circles"
SPOKEN: Final = ("en", "es", "vi", "zh-Hant", "ru")

log = structlog.get_logger("regional311.mail")


def line_of(region: Published, address: str, secret: str) -> tuple[Line, UUID | None] | None:
    """The line that has an address, and the thread that a reply address names; None: nobody's."""
    plain, thread_id = letters.thread_named(address, secret)
    local, _at, domain = plain.rpartition("@")
    for wanted in (plain, f"{local.partition('+')[0]}@{domain}"):
        for line in region.lines.values():
            if line.channel == "email" and not line.ended and line.address.lower() == wanted:
                return line, thread_id
    return None


def take_in(
    engine: Engine,
    content: bytes,
    *,
    envelope_from: str,
    recipients: list[str],
    secret: str,
    now: datetime,
) -> str:
    """Keep a letter for each of its lines, and give the answer to its sender."""
    try:
        letter = letters.read(content, envelope_from=envelope_from)
    except letters.TooLarge:
        return HEADERS
    except letters.GoesInCircles:
        return CIRCLE
    region = published(engine)
    tenants = list(region.slugs)
    for each in recipients:
        ours = read_return(each, secret, tenants)
        if ours is not None:
            tenant_id, message_id = ours
            with session_scope(engine, Scope(tenant_id)) as session:
                known = bounces.take(session, message_id, content, now=now)
            log.info("mail_back", message=str(message_id), report=known)
    named = dict.fromkeys(line_of(region, each, secret) for each in recipients)
    for found in named:
        if found is None:
            continue
        line, thread_id = found
        own = {each.address.lower() for each in region.lines.values() if each.channel == "email"}
        came = Incoming(
            line=line,
            key=letter.message_id,
            text=letter.text,
            address=letter.sender or None,
            name=letter.name,
            subject=letter.subject,
            language=_language(letter),
            thread_id=thread_id,
            answers=letter.answers,
            references=letter.references,
            automatic=letter.automatic or ("own" if letter.sender in own else None),
            files=letter.files,
            left_out=letter.left_out,
        )
        with session_scope(engine, Scope(region.ids[line.tenant])) as session:
            kept = receive(session, region, came, now=now)
            if thread_id is not None and came.automatic == "bounce" and not kept.repeated:
                bounces.take_of_thread(session, thread_id, content, now=now)
        log.info(
            "mail",
            line=line.ref,
            thread=kept.public_id,
            automatic=came.automatic,
            repeated=kept.repeated,
        )
    return TAKEN


def _language(letter: letters.Letter) -> str:
    said = letters.language_of(f"{letter.subject}\n{letter.text}") or letter.language or "en"
    return next((each for each in SPOKEN if said.lower().startswith(each.lower())), "en")


class _Receiver:
    """What is answered to each command, as `aiosmtpd` calls it."""

    def __init__(self, engine: Engine, secret: str, clock: Callable[[], datetime]) -> None:
        self.engine, self.secret, self.clock = engine, secret, clock
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="mail")

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return TOO_MANY
        answer = await self._aside(self._known, address)
        if answer == TAKEN:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        return await self._aside(self._keep, envelope)

    async def _aside(self, do: Callable[[Any], str], what: Any) -> str:
        """Do what waits for the database beside the loop; what fails in passing may come again."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, do, what)
        except DBAPIError as error:
            log.warning("mail_waits", error=type(error.orig).__name__)
        except Exception as error:  # noqa: BLE001
            # the sender keeps what could not be read here, and a person sees why in the log
            log.error("mail_failed", error=type(error).__name__)  # noqa: TRY400
        return LATER

    def _known(self, address: str) -> str:
        region = published(self.engine)
        ours = read_return(address, self.secret, list(region.slugs)) is not None
        return TAKEN if ours or line_of(region, address, self.secret) is not None else NOBODY

    def _keep(self, envelope: Envelope) -> str:
        content = envelope.content or b""
        return take_in(
            self.engine,
            content if isinstance(content, bytes) else content.encode("utf-8", "replace"),
            envelope_from=envelope.mail_from or "",
            recipients=list(envelope.rcpt_tos),
            secret=self.secret,
            now=self.clock(),
        )


class _Controller(Controller):
    """A server that says its real port, so that tests may ask for any."""

    def _trigger_server(self) -> None:
        if isinstance(self.server, asyncio.Server) and self.port == 0:
            self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def receiving(
    engine: Engine,
    settings: Settings,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[int]:
    """Receive mail while the block runs, and give the port."""
    assert settings.mail_listen is not None
    host, port = settings.mail_listen
    receiver = _Receiver(engine, settings.secret, clock)
    controller = _Controller(
        receiver,
        hostname=host,
        port=port,
        server_hostname="regional311",
        ident="Regional 311",
        data_size_limit=letters.LARGEST,
        timeout=SECONDS,
        enable_SMTPUTF8=True,
        decode_data=False,
    )
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
        receiver.pool.shutdown(wait=True)
