"""Asking another system over HTTPS: hosts that the operator named, no redirects, short waits."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Timer
from time import monotonic
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from regional311.database.ids import new_token
from regional311.errors import InvalidInput
from regional311.exchange.signing import Message, authority, sign

SECONDS: Final = 10.0
"""How long one request may take, to the last byte of the answer."""
LARGEST: Final = 2 * 1024 * 1024
JSON: Final = "application/fhir+json"


class AddressRefused(InvalidInput):
    """The address is not one that this installation may ask."""


class Unreachable(Exception):
    """The other system did not answer; the message says why, in our own words."""


class NoAnswer(Exception):
    """There was no whole answer in time; the message is the kind of failure, and nothing else."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What another system answered; ``content`` is None when it is no JSON."""

    status: int
    content: Any


def check_address(address: str, hosts: Sequence[str]) -> None:
    """Refuse an address that the operator did not allow.

    ``hosts`` are host names, with a port when it is not 443; each is asked over https. One that
    begins with ``http://`` must be of this machine itself, for trying things out.

    :raises AddressRefused: naming what is allowed.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise AddressRefused("This is not an address.", field="address") from None
    if not address.isascii():
        raise AddressRefused(
            "An address has plain letters only: write others as they leave, such as %C3%A9 for é,"
            " and a host's as xn--….",
            field="address",
        )
    host = (parts.hostname or "").lower()
    named = f"{host}:{port}" if port not in (None, 443) else host
    if parts.username or parts.password or parts.query or parts.fragment or not host:
        raise AddressRefused(
            "Give an address such as https://partner.example/city/fhir, without user or query.",
            field="address",
        )
    if parts.scheme == "https" and named in hosts:
        return
    if parts.scheme == "http" and _loopback(host) and f"http://{named}" in hosts:
        return
    allowed = ", ".join(hosts) or "none yet"
    raise AddressRefused(
        f"{parts.scheme}://{named} is not allowed. Whoever runs this installation lists the hosts"
        f" in REGIONAL311_EXCHANGE_HOSTS; now: {allowed}.",
        field="address",
    )


def ask(
    method: str,
    address: str,
    *,
    hosts: Sequence[str],
    key_id: str,
    secret: bytes,
    now: datetime,
    query: str = "",
    content: Any = None,
) -> Reply:
    """Send a signed request and give the answer. No redirect is followed.

    :raises AddressRefused: when the operator does not allow the host any more.
    :raises Unreachable: when there is no answer that can be read.
    """
    check_address(address, hosts)
    parts = urlsplit(address)
    body = b"" if content is None else json.dumps(content, ensure_ascii=False).encode()
    path = parts.path or "/"
    headers = sign(
        Message(method, authority(parts.scheme, parts.netloc), path, query, body),
        key_id=key_id,
        secret=secret,
        now=now,
        nonce=new_token(),
    ) | {"Accept": JSON}
    if content is not None:
        headers["Content-Type"] = JSON
    try:
        status, answered = call(method, address, body, headers, query=query, most=LARGEST + 1)
    except NoAnswer as error:
        raise Unreachable(f"The other system did not answer ({error}).") from None
    if len(answered) > LARGEST:
        raise Unreachable("The other system's answer is too large.")
    try:
        return Reply(status, json.loads(answered) if answered else None)
    except (ValueError, RecursionError):
        return Reply(status, None)


def judged(reply: Reply) -> str | None:
    """Say in our own words why an answer is no success; None when it is one.

    The other system's own words are left out: they may repeat what a person said.
    """
    if 200 <= reply.status < 300:
        return None
    about = ", ".join(each[:100] for each in first_issue(reply) if each is not None)
    return f"The other system refused it: {reply.status}{f' ({about})' if about else ''}."


def first_issue(reply: Reply) -> tuple[str | None, str | None]:
    """The code and the path of an OperationOutcome's first issue; the words are left out."""
    content = reply.content if isinstance(reply.content, dict) else {}
    issues = content.get("issue")
    issue = issues[0] if isinstance(issues, list) and issues else {}
    code = issue.get("code") if isinstance(issue, dict) else None
    where = issue.get("expression") if isinstance(issue, dict) else None
    path = where[0] if isinstance(where, list) and where else None
    return code if isinstance(code, str) else None, path if isinstance(path, str) else None


def call(
    method: str,
    address: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    query: str = "",
    most: int = 0,
) -> tuple[int, bytes]:
    """Send one request; give the status of the answer and its body, at most ``most`` bytes of it.

    No redirect is followed. A socket's time-out is that of each reading, so that an answer that
    drips would hold its reader for ever: when `SECONDS` are over the line is cut.

    :raises NoAnswer: naming what went wrong.
    """
    parts = urlsplit(address)
    path = f"{parts.path or '/'}?{query}" if query else parts.path or "/"
    end = monotonic() + SECONDS
    try:
        with closing(_line_to(parts)) as connection:
            connection.connect()
            line = connection.sock
            line.settimeout(SECONDS)
            late = Timer(max(0.0, end - monotonic()), _cut, (line,))
            late.start()
            try:
                connection.request(method, path, body, dict(headers))
                response = connection.getresponse()
                answered = response.read(most) if most else b""
            finally:
                late.cancel()
            if monotonic() >= end:
                raise TimeoutError  # what was cut short looks whole
    except (OSError, HTTPException, ValueError) as error:
        # the last: what no address can be, such as a host with an empty part
        raise NoAnswer(type(error).__name__) from None
    return response.status, answered


def _line_to(parts: SplitResult) -> HTTPConnection:
    host, port, wait = parts.hostname or "", parts.port, SECONDS / 2
    if parts.scheme == "https":
        return HTTPSConnection(host, port, timeout=wait, context=ssl.create_default_context())
    return HTTPConnection(host, port, timeout=wait)


def _cut(line: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(line, socket.SHUT_RDWR)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
