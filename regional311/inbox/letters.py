"""Reading e-mail as strangers send it: what of it is kept, to what it answers, whether a machine
wrote it. Pure.

Nothing here raises for what somebody wrote: what cannot be read counts as not said.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.utils import getaddresses
from html import unescape
from html.parser import HTMLParser
from typing import Final
from uuid import UUID

from regional311.intake.uploads import FileRefused, Upload, upload

LARGEST: Final = 25 * 1024 * 1024
"""Bytes of a letter at most, as most mail servers have it."""
LARGEST_HEADERS: Final = 128 * 1024
LONGEST_TEXT: Final = 100_000
LONGEST_MARKUP: Final = 1_000_000
LONGEST_SUBJECT: Final = 300
LONGEST_NAME: Final = 100
LONGEST_ID: Final = 300
MOST_REFERENCES: Final = 50
MOST_FILES: Final = 10
MOST_PARTS: Final = 200
MOST_HOPS: Final = 50
"""A letter that was handed on more often goes in a circle (RFC 5321, 6.3)."""
LONGEST_LOCAL: Final = 64

_BAD = r"\s\x00-\x20\x7f-\x9f\ud800-\udfff"
"""What no address and no id has: spaces, controls, halves of characters."""
_ID = re.compile(rf"<[^<>{_BAD}]{{3,300}}>")
_OURS = re.compile(
    r"<([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?:\.\d{1,9})?@"
)
_TOKEN = re.compile(r"\+t([a-z2-7]{42})@")
_ATOM = rf"[^{_BAD}.@<>()\[\],;:\\\"]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ADDRESS = re.compile(
    rf"(?=[^@]{{1,64}}@.{{1,252}}\Z){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE
)
_ANSWER = re.compile(
    r"^\s*(re|aw|sv|antw|rif|回复|回覆|ответ|trả lời)\s*(\[\d+\])?\s*[::]\s*", re.IGNORECASE
)
_QUOTE = re.compile(
    r"^(>|On .{5,200} wrote:\s*$|-{3,} ?Original Message|_{10,}\s*$|El .{5,200} escribió:\s*$)"
)
_MACHINES: Final = ("mailer-daemon", "postmaster", "no-reply", "noreply", "do-not-reply")
_MARK: Final = 10
"""Bytes of the signature in a reply address."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that came along and was not taken, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What a letter says. `sender` is empty when nobody can be answered."""

    message_id: str
    sender: str
    name: str | None
    subject: str
    text: str
    language: str | None
    answers: tuple[UUID, ...]
    """Our messages that it answers, the latest first."""
    references: tuple[str, ...]
    """Message-IDs that it answers, the latest first."""
    automatic: str | None
    """Why it is taken for automatic mail: bounce, auto-reply, list, spam, machine."""
    files: tuple[Upload, ...]
    left_out: tuple[LeftOut, ...]


class TooLarge(ValueError):
    """The headers are larger than anybody's."""


class GoesInCircles(ValueError):
    """It was handed on too often."""


def read(content: bytes, *, envelope_from: str) -> Letter:
    """Read a letter. Raises `TooLarge` and `GoesInCircles` only."""
    head = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]
    if len(head) > LARGEST_HEADERS:
        raise TooLarge(f"{len(head)} bytes of headers")
    message = message_from_bytes(content, policy=policy.default)
    plain = message_from_bytes(head + b"\r\n\r\n", policy=policy.compat32)
    assert isinstance(message, EmailMessage)
    if len(plain.get_all("Received", [])) > MOST_HOPS:
        raise GoesInCircles("too many Received headers")
    name, sender = _sender(message, plain, envelope_from)
    named = f"{plain.get('In-Reply-To', '')} {plain.get('References', '')}"
    ids = _ID.findall(named)
    answered = plain.get("In-Reply-To", "")
    references = tuple(dict.fromkeys([*_ID.findall(str(answered)), *reversed(ids)]))
    given = _ID.search(str(plain.get("Message-ID", "")))
    text, files, left_out = _parts(message)
    subject = " ".join(clean(_header(message, plain, "Subject")).split())[:LONGEST_SUBJECT]
    language = str(plain.get("Content-Language", "")).strip()[:20] or None
    return Letter(
        message_id=given.group(0)
        if given
        else f"<{hashlib.sha256(content).hexdigest()}@without-id>",
        sender=sender,
        name=name,
        subject=subject,
        text=text,
        language=language,
        answers=tuple(UUID(each) for each in _OURS.findall(" ".join(references)))[:MOST_REFERENCES],
        references=references[:MOST_REFERENCES],
        automatic=_automatic(message, plain, sender, envelope_from),
        files=files,
        left_out=left_out,
    )


def clean(text: str) -> str:
    r"""Give a text without what cannot be shown or stored: controls, lone surrogates, overrides.

    >>> clean("a\x00b\u202ec\r\nd")
    'abc\nd'
    """
    joined = text.replace("\r\n", "\n").replace("\r", "\n")
    sound = joined.encode("utf-8", "replace").decode()
    return "".join(
        each
        for each in sound
        if each in "\n\t" or (unicodedata.category(each) not in ("Cc", "Cs") and each not in _TURNS)
    )


_TURNS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def base_subject(subject: str) -> str:
    """Give a subject without what says that it is an answer, to compare it.

    >>> base_subject("RE: Aw: Street  light")
    'street light'
    """
    found = subject
    while (shorter := _ANSWER.sub("", found, count=1)) != found:
        found = shorter
    return " ".join(found.casefold().split())


def split_quoted(text: str) -> tuple[str, str]:
    r"""Part a text into what is new and what is quoted below it.

    >>> split_quoted("Yes.\n\nOn Monday, City 311 wrote:\n> Is it?")
    ('Yes.', 'On Monday, City 311 wrote:\n> Is it?')
    """
    lines = text.split("\n")
    for place, line in enumerate(lines):
        if place and _QUOTE.match(line):
            new = "\n".join(lines[:place]).strip()
            if new:
                return new, "\n".join(lines[place:]).strip()
    return text.strip(), ""


def language_of(text: str) -> str | None:
    """Guess a language by letters that only one of those spoken here has; None when none is there.

    >>> language_of("¿Dónde pago el agua?"), language_of("Đường bị ngập"), language_of("Where?")
    ('es', 'vi', None)
    """
    for language, letters in _LETTERS:
        if len(letters.findall(text[:2000])) >= (1 if language == "es" else 2):
            return language
    return None


_LETTERS: Final = (
    ("ru", re.compile("[а-яё]", re.IGNORECASE)),
    ("zh-Hant", re.compile("[\u4e00-\u9fff]")),
    ("vi", re.compile("[ăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ]", re.IGNORECASE)),
    ("es", re.compile("[¿¡ñ]", re.IGNORECASE)),
)


# --- reply addresses ------------------------------------------------------------------------------


def reply_address(address: str, thread_id: UUID, secret: str) -> str:
    """Give the address by which an answer finds its thread; the line's own where it gets too long.

    >>> reply_address("311@city.example", UUID(int=7), "s")[:6]
    '311+ta'
    """
    local, _at, domain = address.rpartition("@")
    mark = base64.b32encode(thread_id.bytes + _sign(thread_id, secret)).decode().lower().rstrip("=")
    made = f"{local}+t{mark}"
    return f"{made}@{domain}" if len(made) <= LONGEST_LOCAL else address


def thread_named(address: str, secret: str) -> tuple[str, UUID | None]:
    """Give a line's plain address and the thread that a reply address names, if its mark is right.

    >>> made = reply_address("311@city.example", UUID(int=7), "s")
    >>> thread_named(made.upper(), "s") == ("311@city.example", UUID(int=7))
    True
    """
    plain = address.strip().lower()
    found = _TOKEN.search(plain)
    if found is None:
        return plain, None
    raw = base64.b32decode(found.group(1).upper() + "======")
    thread_id = UUID(bytes=raw[:16])
    right = hmac.compare_digest(raw[16:], _sign(thread_id, secret))
    return plain.replace(found.group(0), "@"), thread_id if right else None


def _sign(thread_id: UUID, secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"thread:" + thread_id.bytes, hashlib.sha256)[:_MARK]


# --- headers --------------------------------------------------------------------------------------


def _header(message: EmailMessage, plain: Message, name: str) -> str:
    # the library's readers of headers raise what they like for what strangers write
    try:
        return str(message.get(name, ""))
    except Exception:  # noqa: BLE001
        return str(plain.get(name, ""))


def _sender(message: EmailMessage, plain: Message, envelope_from: str) -> tuple[str | None, str]:
    for header in ("Reply-To", "From"):
        for name, address in getaddresses([_header(message, plain, header)]):
            if _ADDRESS.fullmatch(address):
                shown = " ".join(clean(name).split())[:LONGEST_NAME]
                return shown or None, address.lower()
    found = envelope_from.strip().lower()
    return None, found if _ADDRESS.fullmatch(found) else ""


def _automatic(
    message: EmailMessage, plain: Message, sender: str, envelope_from: str
) -> str | None:
    """Say why a machine wrote it (RFC 3834, RFC 3464), or None when a person did."""

    def says(name: str) -> str:
        return str(plain.get(name, "")).strip().lower()

    try:
        kind = message.get_content_type()
    except Exception:  # noqa: BLE001
        kind = ""
    local = sender.partition("@")[0]
    if kind == "multipart/report" or local in _MACHINES[:2]:
        return "bounce"
    if says("Auto-Submitted").partition(";")[0].strip() not in ("", "no"):
        return "auto-reply"
    if says("X-Autoreply") or says("X-Autorespond"):
        return "auto-reply"
    if says("Precedence") in ("bulk", "junk", "list") or says("List-Id"):
        return "list"
    if says("X-Spam-Flag") == "yes":
        return "spam"
    if local in _MACHINES or not sender or not envelope_from.strip("<> "):
        return "machine"
    return None


# --- parts ----------------------------------------------------------------------------------------


def _parts(message: EmailMessage) -> tuple[str, tuple[Upload, ...], tuple[LeftOut, ...]]:
    texts: list[str] = []
    markup: list[str] = []
    files: list[Upload] = []
    left_out: list[LeftOut] = []
    for part in _leaves(message):
        kind = part.get_content_type()
        name = _file_name(part)
        if name is None and kind == "text/plain":
            texts.append(_decoded(part))
        elif name is None and kind == "text/html":
            markup.append(_decoded(part))
        elif kind.startswith(("multipart/", "message/delivery", "message/disposition")):
            continue
        else:
            _take(part, name or "file", files, left_out)
    said = "\n\n".join(filter(None, (each.strip() for each in texts)))
    if not said:
        said = "\n\n".join(filter(None, (text_of_html(each) for each in markup)))
    said = clean(said).strip()
    if len(said) > LONGEST_TEXT:
        left_out.append(LeftOut("text", f"Only the first {LONGEST_TEXT} characters are kept."))
        said = said[:LONGEST_TEXT]
    return said, tuple(files), tuple(left_out)


def _leaves(message: EmailMessage) -> Iterator[Message]:
    try:
        for number, part in enumerate(message.walk()):
            if number >= MOST_PARTS:
                return
            if not part.is_multipart():
                yield part
    except Exception:  # noqa: BLE001
        return


def _file_name(part: Message) -> str | None:
    try:
        name = part.get_filename()
        attached = part.get_content_disposition() == "attachment"
    except Exception:  # noqa: BLE001
        return "file"
    if name:
        return " ".join(clean(str(name)).split())[:LONGEST_NAME] or "file"
    return "file" if attached else None


def _decoded(part: Message) -> str:
    try:
        raw = part.get_payload(decode=True)
    except Exception:  # noqa: BLE001
        return ""
    if not isinstance(raw, bytes):
        return ""
    for charset in (str(part.get_content_charset("utf-8")), "utf-8"):
        try:
            return raw.decode(charset)
        except (LookupError, ValueError):
            continue
    return raw.decode("utf-8", "replace")


def _take(part: Message, name: str, files: list[Upload], left_out: list[LeftOut]) -> None:
    if len(files) >= MOST_FILES:
        left_out.append(LeftOut(name, f"Only the first {MOST_FILES} files are kept."))
        return
    try:
        raw = part.get_payload(decode=True)
    except Exception:  # noqa: BLE001
        raw = None
    try:
        files.append(upload(str(len(files) + 1), name, raw if isinstance(raw, bytes) else b""))
    except FileRefused as error:
        left_out.append(LeftOut(name, error.message))


class _Words(HTMLParser):
    """The words of a page, without what is never shown."""

    HIDDEN = frozenset({"script", "style", "title", "template", "noscript"})
    BLOCKS = frozenset(
        {"p", "div", "br", "tr", "li", "ul", "ol", "h1", "h2", "h3", "h4", "table", "blockquote"}
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in self.HIDDEN:
            self.hidden += 1
        elif tag == "body":
            self.hidden = 0
        elif tag in self.BLOCKS:
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.HIDDEN:
            self.hidden = max(0, self.hidden - 1)
        elif tag in self.BLOCKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(re.sub(r"\s+", " ", data))


def text_of_html(markup: str) -> str:
    r"""Give the words of HTML as lines of text; no markup is ever kept.

    >>> text_of_html("<p>Hello <b>you</b></p><script>x()</script><p>1 &lt; 2</p>")
    'Hello you\n\n1 < 2'
    >>> text_of_html("<head><title>A form<body>Help me"), text_of_html("<![no]>Help me")
    ('Help me', 'Help me')
    """
    reader, markup = _Words(), markup[:LONGEST_MARKUP]
    try:
        reader.feed(markup)
        reader.close()
    except AssertionError:  # what the library says of declarations that it does not know
        reader.words = []
    words = "".join(reader.words)
    if not words.strip():
        # better with something that should not be shown than without what somebody wrote
        words = unescape(re.sub(r"<[^>]*>", "\n", markup))
    lines = (each.strip() for each in words.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
