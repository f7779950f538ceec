"""Signatures of messages between systems: HTTP Message Signatures (RFC 9421) by a shared secret.

What is signed is the method, the host, the path, the query and the digest of the body (RFC 9530),
with the moment, the key's name and a number used once. So nothing of a message can be changed, sent
to another address or partner, or sent again. Pure: the clock and the number are arguments.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from regional311.errors import Forbidden

WINDOW: Final = timedelta(minutes=5)
"""How far the sender's clock may be from ours."""

COVERED: Final = ("@method", "@authority", "@path", "@query", "content-digest")
ALGORITHM: Final = "hmac-sha256"
SECRET_BYTES: Final = 32

_INPUT = re.compile(r"([a-z][a-z0-9_-]{0,30})=(\(([^()]*)\)((?:;[a-z]+=(?:\"[^\"\\]*\"|\d+))*))")
_PARAMETER = re.compile(r";([a-z]+)=(?:\"([^\"\\]*)\"|(\d+))")
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,100}")


class SignatureRefused(Forbidden):
    """The message is not signed, not by this key, not now, or is not what was signed."""


@dataclass(frozen=True, slots=True)
class Message:
    """The parts of a request that are signed; ``authority`` is host and port, as asked for."""

    method: str
    authority: str
    path: str
    query: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signature says of itself, not yet checked."""

    label: str
    key_id: str
    nonce: str
    created: int
    inner: str


def content_digest(body: bytes) -> str:
    """Give the digest of a body as its header says it."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def sign(
    message: Message, *, key_id: str, secret: bytes, now: datetime, nonce: str
) -> dict[str, str]:
    """Give the headers that sign a message."""
    covered = " ".join(f'"{each}"' for each in COVERED)
    inner = (
        f'({covered});created={int(now.timestamp())};keyid="{key_id}";nonce="{nonce}"'
        f';alg="{ALGORITHM}"'
    )
    return {
        "Content-Digest": content_digest(message.body),
        "Signature-Input": f"sig1={inner}",
        "Signature": f"sig1=:{base64.b64encode(_mac(message, inner, secret)).decode()}:",
    }


def claim(headers: Mapping[str, str]) -> Claim:
    """Read which key signed a message. Raises :class:`SignatureRefused`."""
    found = _INPUT.fullmatch(headers.get("Signature-Input", "").strip())
    if found is None:
        raise SignatureRefused("Sign the message: Signature-Input is missing or cannot be read.")
    label, inner, covered, parameters = found.groups()
    if sorted(covered.replace('"', "").split(" ")) != sorted(COVERED):
        raise SignatureRefused(f"The signature must cover exactly {', '.join(COVERED)}.")
    if [each.strip('"') for each in covered.split(" ")] != list(COVERED):
        raise SignatureRefused(f"The signature must cover, in this order: {', '.join(COVERED)}.")
    said = {name: text or number for name, text, number in _PARAMETER.findall(parameters)}
    if said.get("alg", ALGORITHM) != ALGORITHM:
        raise SignatureRefused(f"The algorithm must be {ALGORITHM}.")
    if not said.get("created", "").isdecimal() or len(said["created"]) > 12:
        raise SignatureRefused("The signature must say when it was created.")
    if _NONCE.fullmatch(said.get("nonce", "")) is None:
        raise SignatureRefused("The signature needs a nonce of 16 to 100 letters and digits.")
    if not said.get("keyid"):
        raise SignatureRefused("The signature must name its key: keyid.")
    return Claim(label, said["keyid"], said["nonce"], int(said["created"]), inner)


def verify(
    message: Message, headers: Mapping[str, str], said: Claim, *, secret: bytes, now: datetime
) -> None:
    """Check digest, clock and signature. Raises :class:`SignatureRefused`."""
    digest = headers.get("Content-Digest", "").strip()
    if not hmac.compare_digest(digest.encode(), content_digest(message.body).encode()):
        raise SignatureRefused("Content-Digest is not the digest (sha-256) of the body that came.")
    if abs(now.timestamp() - said.created) > WINDOW.total_seconds():
        raise SignatureRefused(
            f"The signature was created more than {WINDOW.seconds // 60} minutes from now:"
            " look at the clocks."
        )
    given = headers.get("Signature", "").strip()
    wanted = base64.b64encode(_mac(message, said.inner, secret)).decode()
    if not hmac.compare_digest(given.encode(), f"{said.label}=:{wanted}:".encode()):
        raise SignatureRefused("The signature is not that of this message by this key.")


def _mac(message: Message, inner: str, secret: bytes) -> bytes:
    values = {
        "@method": message.method.upper(),
        "@authority": message.authority.lower(),
        "@path": message.path or "/",
        "@query": f"?{message.query}",
        "content-digest": content_digest(message.body),
    }
    lines = [f'"{name}": {values[name]}' for name in COVERED]
    base = "\n".join([*lines, f'"@signature-params": {inner}'])
    return hmac.new(secret, base.encode(), hashlib.sha256).digest()


def authority(scheme: str, host: str) -> str:
    """Give host and port as they are signed: lower case, without the scheme's own port.

    >>> authority("https", "B.example:443"), authority("http", "127.0.0.1:7001")
    ('b.example', '127.0.0.1:7001')
    """
    return host.lower().removesuffix(":443" if scheme == "https" else ":80")
