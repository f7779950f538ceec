"""Delivering the outbox by SMTP: lease, send outside any transaction, record the result.

A message is delivered at least once. Its Message-ID is its outbox id, so that a mailbox which gets
it twice (a worker died between sending and recording) can tell; one that a person sends again has
another, so that no mailbox takes it for the one before. One that was handed over whole, with no
answer in ten minutes, may have arrived: it is left to a person, and never sent again by itself.
What a mail server answers is kept as a code and a reason of ours, never in its own words: those may
repeat somebody's address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import smtplib
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, case, func, select, update
from sqlalchemy.orm import Session

from regional311.database.session import Scope, scope_of, session_scope
from regional311.notices.models import OutboxMessage
from regional311.notices.troubles import NOBODY, note_trouble
from regional311.settings import Settings

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BATCH = 20
LEASE = timedelta(minutes=5)
FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=1)
MAX_ATTEMPTS = 104
NO_SERVER = "No mail server is configured (REGIONAL311_SMTP_URL)."
UNKNOWN = "The mail server did not say whether it took the message: it may have arrived."


class _AsWritten(EmailPolicy):
    """Folds headers as everybody does, but never inside an address or an id.

    The library writes what is longer than a line in encoded words; no mail program looks for an
    address to unsubscribe (RFC 8058) or for an answered message in those.
    """

    WHOLE = frozenset({"list-unsubscribe", "references", "in-reply-to"})

    def fold(self, name: str, value: Any) -> str:
        """Give a header as text."""
        if name.lower() not in self.WHOLE:
            return str(super().fold(name, value))
        return f"{name}: " + f"{self.linesep} ".join(str(value).split()) + self.linesep

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Give a header as bytes."""
        if name.lower() not in self.WHOLE:
            return bytes(super().fold_binary(name, value))
        return self.fold(name, value).encode("utf-8" if self.utf8 else "ascii", "surrogateescape")


MAIL = _AsWritten(linesep="\r\n")


class Fate(Enum):
    """What became of one attempt."""

    SENT = "sent"
    RETRY = "retry"
    DEAD = "dead"
    UNTRIED = "untried"
    UNKNOWN = "unknown"
    """It was handed over, and nothing was answered: a person decides whether it goes again."""
    HELD = "held"
    """It was not to leave now, or not at all: why is written down already."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A PDF that goes with a letter."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A leased message; `attempt` counts this attempt."""

    id: UUID
    attempt: int
    recipient: str
    language: str
    heading: str
    body: str
    event: str = ""
    headers: Mapping[str, Any] | None = None
    """Of an answer: `from` (name and address), `reply_to`, `sender`, and `references`."""
    sendings: int = 1
    subject_id: UUID | None = None
    tenant_id: UUID | None = None
    channel: str = "email"
    way_out: str = ""
    """Where the person stops such letters with one press (RFC 8058)."""
    returns_to: str = ""
    """Where mail servers say that it did not arrive; empty: to the site's own address."""
    files: tuple[Attached, ...] = ()
    """Put in as it leaves: the outbox keeps words only."""

    @property
    def key(self) -> str:
        """What tells it from every other, and one that a person sent again from the one before.

        >>> key = Letter(UUID(int=7), 1, "", "en", "", "", sendings=2).key
        >>> key.endswith("000000000007.2")
        True
        """
        return f"{self.id}.{self.sendings}" if self.sendings > 1 else str(self.id)


Complete = Callable[[Session, Sequence[Letter], datetime], list[Letter]]
"""What higher floors add to letters as they leave, in the transaction that leases them."""


def as_written(_session: Session, letters: Sequence[Letter], _now: datetime) -> list[Letter]:
    """Add nothing."""
    return list(letters)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of one letter, with the reason of a failure in our own words."""

    letter: Letter
    fate: Fate
    reason: str | None = None
    nobody: str = ""
    """The code by which a mail server said that nobody is at the address."""


def retry_after(attempt: int) -> timedelta | None:
    """How long to wait after the given failed attempt (1 is the first); None is giving up.

    The wait doubles from 30 seconds to an hour, so that what waited leaves within an hour of a
    server's return. It is given up after four days, as mail servers do (RFC 5321, 4.5.4.1).

    >>> [str(retry_after(attempt)) for attempt in (1, 2, 7, 8, 103, 104)]
    ['0:00:30', '0:01:00', '0:32:00', '1:00:00', '1:00:00', 'None']
    """
    if attempt >= MAX_ATTEMPTS:
        return None
    return min(FIRST_RETRY * (1 << min(attempt - 1, 12)), LONGEST_RETRY)


def deliver_due(
    engine: Engine,
    settings: Settings,
    tenant_id: UUID,
    *,
    clock: Callable[[], datetime],
    complete: Complete = as_written,
) -> list[Outcome]:
    """Deliver one batch of a tenant's due messages; an empty list means that nothing was due.

    The lease commits before the first byte is sent and each result after it, so no transaction is
    open while a mail server is waited for. It is drawn out for each letter as its turn comes, for
    as long as a server may take over one.
    """
    scope = Scope(tenant_id)
    with session_scope(engine, scope) as session:
        if settings.smtp_url is None:
            note_no_server(session)
            return []
        leased_until = clock() + LEASE
        now = clock()
        leased = lease(session, now=now, until=leased_until)
        letters = complete(session, leased, now)
    leaves = {each.id for each in letters}
    outcomes = [Outcome(each, Fate.HELD) for each in leased if each.id not in leaves]
    if letters:

        def still(letter: Letter) -> bool:
            with session_scope(engine, scope) as session:
                return keep(session, letter, until=clock() + longest(settings))

        for outcome in send_all(letters, settings, clock=clock, until=leased_until, still=still):
            if outcome.fate is not Fate.HELD:
                with session_scope(engine, scope) as session:
                    record(session, outcome, now=clock())
            outcomes.append(outcome)
    return outcomes


def lease(
    session: Session,
    *,
    now: datetime,
    until: datetime,
    channel: str = "email",
    by_turns: bool = False,
) -> list[Letter]:
    """Take up to BATCH due messages of the session's tenant; others skip them until `until`.

    The oldest first; ``by_turns`` the first for each recipient before the second for any.
    """
    tenant_id = scope_of(session).tenant_id
    waits = (
        OutboxMessage.tenant_id == tenant_id,
        OutboxMessage.state == "pending",
        OutboxMessage.channel == channel,
        OutboxMessage.due_at <= now,
        OutboxMessage.digest.is_(False),
        (OutboxMessage.leased_until.is_(None)) | (OutboxMessage.leased_until <= now),
    )
    oldest = (OutboxMessage.due_at, OutboxMessage.id)
    due = select(OutboxMessage.id).where(*waits)
    if by_turns:
        nth = func.row_number().over(partition_by=OutboxMessage.recipient, order_by=oldest)
        turns = select(OutboxMessage.id, nth.label("nth")).where(*waits).subquery()
        due = due.join(turns, turns.c.id == OutboxMessage.id).order_by(turns.c.nth)
    due = due.order_by(*oldest).limit(BATCH).with_for_update(of=OutboxMessage, skip_locked=True)
    taken = session.execute(
        update(OutboxMessage)
        .where(OutboxMessage.tenant_id == tenant_id, OutboxMessage.id.in_(due))
        .values(leased_until=until, attempts=OutboxMessage.attempts + 1)
        .returning(
            OutboxMessage.id,
            OutboxMessage.attempts,
            OutboxMessage.recipient,
            OutboxMessage.language,
            OutboxMessage.heading,
            OutboxMessage.body,
            OutboxMessage.event,
            OutboxMessage.headers,
            OutboxMessage.sendings,
            OutboxMessage.subject_id,
            OutboxMessage.tenant_id,
            OutboxMessage.channel,
        )
        .execution_options(synchronize_session=False)
    )
    return sorted((Letter(*row) for row in taken), key=lambda letter: letter.id)


def still_leaves(session: Session, letter: Letter) -> bool:
    """Whether a leased message is still to leave. One statement.

    While others of its batch left, the person may have sent STOP, or somebody taken it back.
    """
    found = session.execute(
        select(OutboxMessage.id).where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            *_in_hand(letter),
        )
    )
    return found.first() is not None


def keep(session: Session, letter: Letter, *, until: datetime) -> bool:
    """Draw out a message's lease; False when it is not to leave any more. One statement."""
    kept = session.execute(
        update(OutboxMessage)
        .where(OutboxMessage.tenant_id == scope_of(session).tenant_id, *_in_hand(letter))
        .values(leased_until=until)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    )
    return kept.first() is not None


def longest(settings: Settings) -> timedelta:
    """How long a server may take over one letter: sender, recipient, data, a reset, the answer."""
    return timedelta(seconds=4 * settings.smtp_seconds + settings.smtp_final_seconds) + LEASE


def _in_hand(letter: Letter) -> tuple[ColumnElement[bool], ...]:
    """That a message is leased as it was: neither lost to another worker nor sent elsewhere."""
    return (
        OutboxMessage.id == letter.id,
        OutboxMessage.attempts == letter.attempt,
        OutboxMessage.recipient == letter.recipient,
        OutboxMessage.state == "pending",
    )


def record(session: Session, outcome: Outcome, *, now: datetime) -> None:
    """Write what became of a leased message, unless its lease was lost to another worker."""
    letter = outcome.letter
    values: dict[str, object] = {"leased_until": None, "last_error": outcome.reason}
    wait = retry_after(letter.attempt)
    match outcome.fate:
        case Fate.SENT:
            differs = OutboxMessage.body != letter.body
            values |= {
                "state": "sent",
                "sent_at": now,
                "sent_body": case((differs, letter.body), else_=None),
            }
        case Fate.UNTRIED:
            values |= {"attempts": letter.attempt - 1}
        case Fate.RETRY if wait is not None:
            values |= {"due_at": now + wait}
        case _:
            values |= {"state": "dead", "died_at": now}
    recorded = session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            *_in_hand(letter),
        )
        .values(values)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if recorded is not None and outcome.nobody:
        note_trouble(
            session, letter.recipient, outcome.nobody, message_id=letter.id, lasting=True, now=now
        )


def note_no_server(session: Session, *, channel: str = "email", why: str = NO_SERVER) -> None:
    """Say on every waiting message why it waits."""
    session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.state == "pending",
            OutboxMessage.channel == channel,
            OutboxMessage.last_error.is_(None),
        )
        .values(last_error=why)
        .execution_options(synchronize_session=False)
    )


# Speaking SMTP


def send_all(
    letters: Iterable[Letter],
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    until: datetime,
    still: Callable[[Letter], bool],
) -> Iterator[Outcome]:
    """Send letters over one connection, and say of each what became of it.

    Letters that the lease leaves no time for are given back untried; what is not `still` to leave
    when its turn comes does not.
    """
    waiting = list(letters)
    try:
        server = connect(settings)
    except (OSError, smtplib.SMTPException) as error:
        reason = f"The mail server could not be reached ({_code(error)})."
        for letter in waiting:
            yield Outcome(letter, Fate.RETRY, reason)
        return
    with contextlib.closing(server):
        for letter in waiting:
            if clock() >= until:
                yield Outcome(letter, Fate.UNTRIED)
                continue
            if not still(letter):
                yield Outcome(letter, Fate.HELD)
                continue
            yield send_one(server, letter, settings, now=clock())
        with contextlib.suppress(OSError, smtplib.SMTPException):
            server.quit()


def send_one(server: smtplib.SMTP, letter: Letter, settings: Settings, *, now: datetime) -> Outcome:
    """Send one letter over an open connection."""
    try:
        message = compose(letter, mail_from=settings.mail_from, now=now)
        message.as_bytes(policy=MAIL.clone(utf8=True))
    except Exception:  # noqa: BLE001 - whatever one letter's own words raise holds up no other
        return Outcome(letter, Fate.DEAD, "The address or the subject is not valid in an e-mail.")
    try:
        usual = letter.returns_to or settings.mail_from
        sender = (letter.headers or {}).get("sender", usual)
        server.send_message(message, from_addr=sender, to_addrs=[letter.recipient])
    except smtplib.SMTPRecipientsRefused as error:
        code, said = max(error.recipients.values(), default=(0, b""))
        fate = Fate.DEAD if code >= 500 else Fate.RETRY
        nobody = _nobody(code, said)
        outcome = Outcome(letter, fate, f"The mail server refused the recipient ({code}).", nobody)
    except smtplib.SMTPDataError as error:
        fate = Fate.DEAD if error.smtp_code >= 500 else Fate.RETRY
        outcome = Outcome(letter, fate, f"The mail server refused the message ({_code(error)}).")
    except AnswerMissing:
        outcome = Outcome(letter, Fate.UNKNOWN, UNKNOWN)
    except smtplib.SMTPNotSupportedError:
        outcome = Outcome(letter, Fate.DEAD, "The mail server cannot write to such an address.")
    except (OSError, smtplib.SMTPException) as error:
        # The sender refused, the connection lost: nothing that this letter could be blamed for.
        outcome = Outcome(letter, Fate.RETRY, f"The mail server failed ({_code(error)}).")
    else:
        outcome = Outcome(letter, Fate.SENT)
    return outcome


def compose(letter: Letter, *, mail_from: str, now: datetime) -> EmailMessage:
    """Build the e-mail; raises ValueError for an address or heading that would forge a header.

    An answer of somebody's comes from its line, names what it answers, and is no automatic mail;
    one that nobody wrote says so, so that no machine answers it.
    """
    message = EmailMessage(policy=MAIL)
    answer = letter.headers
    if answer is not None:
        name, mail_from = answer["from"]
        message["From"] = Address(display_name=name, addr_spec=mail_from)
        message["Reply-To"] = Address(addr_spec=answer["reply_to"])
        if answer["references"]:
            message["In-Reply-To"] = answer["references"][-1]
            message["References"] = " ".join(answer["references"])
        if answer.get("automatic"):
            message["Auto-Submitted"] = "auto-replied"
    else:
        message["From"] = Address(addr_spec=mail_from)
        message["Auto-Submitted"] = "auto-generated"
    if letter.way_out:
        message["List-Unsubscribe"] = f"<{letter.way_out}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["To"] = Address(addr_spec=letter.recipient)
    message["Subject"] = letter.heading
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{letter.key}@{mail_from.rpartition('@')[2]}>"
    message.set_content(letter.body)
    message["Content-Language"] = letter.language
    for file in letter.files:
        message.add_attachment(
            file.content, maintype="application", subtype="pdf", filename=file.name
        )
    return message


class AnswerMissing(smtplib.SMTPServerDisconnected):
    """A message was handed over to its last byte, and what the server made of it is not known."""


class _Patient(smtplib.SMTP):
    """Waits longer for the answer to a whole message than for any other (RFC 5321, 4.5.3.2.6).

    A server that is slow about it has often taken the message already: to give up early sends
    it twice.
    """

    final_seconds: float

    def data(self, msg: ReadableBuffer | str) -> tuple[int, bytes]:
        """Hand over a message and wait for the answer.

        Raises SMTPDataError when the server wants none, AnswerMissing when it does not answer, and
        OSError or SMTPServerDisconnected when it had not got all.
        """
        self.putcmd("data")
        code, said = self.getreply()
        if code != 354:
            raise smtplib.SMTPDataError(code, said)
        assert self.sock is not None
        content = msg.encode("ascii") if isinstance(msg, str) else bytes(msg)
        dotted = re.sub(rb"(?m)^\.", b"..", content)
        self.send(dotted + (b"" if dotted.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        usual = self.sock.gettimeout()
        self.sock.settimeout(self.final_seconds)
        try:
            code, said = self.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise AnswerMissing(_code(error)) from error
        if not 200 <= code <= 599:
            self.close()
            raise AnswerMissing(str(code))
        self.sock.settimeout(usual)
        return code, said


class _PatientOverTls(_Patient, smtplib.SMTP_SSL):
    """The same, with TLS from the start."""


def connect(settings: Settings) -> smtplib.SMTP:
    """Open and, where the address has a user, authenticate a connection to REGIONAL311_SMTP_URL.

    `smtps://` is TLS from the start, `smtp+tls://` turns to TLS or sends nothing, `smtp://` turns
    to TLS when another machine offers it. A password is never sent in the clear to another machine.
    Raises OSError or smtplib.SMTPException.
    """
    assert settings.smtp_url is not None
    parts = urlsplit(settings.smtp_url)
    host = parts.hostname or ""
    wait, final = settings.smtp_seconds, settings.smtp_final_seconds
    server: _Patient
    context = ssl.create_default_context(cafile=settings.smtp_ca)
    if parts.scheme == "smtps":
        server = _PatientOverTls(host, parts.port or 465, timeout=wait, context=context)
        private = True
    else:
        must = parts.scheme == "smtp+tls"
        port = parts.port or (587 if must else 25)
        server = _Patient(host, port, timeout=wait)
        private = _is_loopback(host) and not must
    server.final_seconds = final
    try:
        _authenticate(server, parts, context, private=private)
    except BaseException:
        server.close()
        raise
    return server


def _authenticate(
    server: smtplib.SMTP, parts: SplitResult, context: ssl.SSLContext, *, private: bool
) -> None:
    server.ehlo()
    if not private and server.has_extn("starttls"):
        server.starttls(context=context)
        server.ehlo()
        private = True
    if parts.scheme == "smtp+tls" and not private:
        raise smtplib.SMTPNotSupportedError("the server does not offer STARTTLS")
    if parts.username:
        if not private:
            raise smtplib.SMTPNotSupportedError("STARTTLS is needed before a password")
        server.login(unquote(parts.username), unquote(parts.password or ""))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _nobody(code: int, said: bytes) -> str:
    """The code, when a server says that there is nobody; "" when it refuses for another reason.

    >>> _nobody(550, b"5.1.1 no such user"), _nobody(550, b"5.7.1 relay denied"), _nobody(450, b"")
    ('550', '', '')
    """
    status = re.search(r"\b5\.\d{1,3}\.\d{1,3}\b", said.decode("ascii", "replace"))
    there = NOBODY.match(status[0]) is not None if status else code in (550, 551)
    return str(code) if code >= 500 and there else ""


def _code(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    return str(code) if code else type(error).__name__
