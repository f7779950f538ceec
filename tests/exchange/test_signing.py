"""Signatures and sealed secrets: nothing can be changed, moved, kept for later or read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.errors import InvalidInput
from regional311.exchange.sealing import SealBroken, new_secret, seal, secret_bytes, unseal
from regional311.exchange.signing import Message, SignatureRefused, claim, sign, verify

NOW = datetime(2026, 10, 5, 17, tzinfo=UTC)
SECRET = bytes(range(32))
MESSAGE = Message("POST", "b.example", "/city/fhir", "", b'{"resourceType": "Bundle"}')
TENANT, ROW = UUID(int=1), UUID(int=2)


def signed(message: Message = MESSAGE) -> dict[str, str]:
    return sign(message, key_id="a-and-b", secret=SECRET, now=NOW, nonce="n" * 43)


def check(message: Message, headers: dict[str, str], *, secret=SECRET, now=NOW) -> None:
    verify(message, headers, claim(headers), secret=secret, now=now)


def test_what_was_signed_is_taken():
    check(MESSAGE, signed())
    said = claim(signed())
    assert (said.key_id, said.nonce, said.created) == ("a-and-b", "n" * 43, int(NOW.timestamp()))


def test_the_base_is_that_of_the_standard():
    """The signature input as RFC 9421 writes it, so that other implementations agree."""
    assert signed()["Signature-Input"] == (
        'sig1=("@method" "@authority" "@path" "@query" "content-digest")'
        f';created=1791219600;keyid="a-and-b";nonce="{"n" * 43}";alg="hmac-sha256"'
    )
    assert signed()["Content-Digest"].startswith("sha-256=:")


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PUT"},
        {"authority": "c.example"},
        {"path": "/county/fhir"},
        {"query": "a=b"},
        {"body": b"{}"},
    ],
)
def test_nothing_of_it_can_be_changed(changed):
    other = replace(MESSAGE, **changed)
    with pytest.raises(SignatureRefused):
        check(other, signed())
    # also with a digest that fits the other body
    with pytest.raises(SignatureRefused, match="not that of this message"):
        check(other, signed() | {"Content-Digest": signed(other)["Content-Digest"]})


@pytest.mark.parametrize("seconds", [-301, 301])
def test_it_holds_for_a_few_minutes(seconds):
    check(MESSAGE, signed(), now=NOW + timedelta(seconds=seconds // 2))
    with pytest.raises(SignatureRefused, match="clocks"):
        check(MESSAGE, signed(), now=NOW + timedelta(seconds=seconds))


def test_another_key_is_not_this_one():
    with pytest.raises(SignatureRefused, match="not that of this message"):
        check(MESSAGE, signed(), secret=bytes(32))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"@method" ', "", "exactly"),
        ('"@method" "@authority"', '"@authority" "@method"', "in this order"),
        ("hmac-sha256", "none", "algorithm"),
        (";created=1791219600", "", "when it was created"),
        ("n" * 43, "short", "nonce"),
        (';keyid="a-and-b"', "", "keyid"),
        ("sig1=(", "sig1=[", "cannot be read"),
    ],
)
def test_a_signature_says_what_it_is(old, new, says):
    headers = signed()
    headers["Signature-Input"] = headers["Signature-Input"].replace(old, new)
    with pytest.raises(SignatureRefused, match=says):
        claim(headers)
    with pytest.raises(SignatureRefused):
        claim({})


@given(st.text(max_size=80))
def test_no_header_breaks_the_reader(text):
    for name in ("Signature-Input", "Signature", "Content-Digest"):
        with pytest.raises(SignatureRefused):
            check(MESSAGE, signed() | {name: text})


# --- secrets --------------------------------------------------------------------------------------


def test_a_secret_is_opened_by_the_installation_that_sealed_it():
    secret = secret_bytes(new_secret())
    sealed = seal(secret, by="installation", tenant_id=TENANT, row_id=ROW)
    assert unseal(sealed, by="installation", tenant_id=TENANT, row_id=ROW) == secret
    assert seal(secret, by="installation", tenant_id=TENANT, row_id=ROW) != sealed
    for other in (
        {"by": "another", "tenant_id": TENANT, "row_id": ROW},
        {"by": "installation", "tenant_id": ROW, "row_id": ROW},
        {"by": "installation", "tenant_id": TENANT, "row_id": TENANT},
    ):
        with pytest.raises(SealBroken, match="Enter"):
            unseal(sealed, **other)


@given(st.integers(0, 79), st.integers(1, 255))
def test_what_is_stored_cannot_be_changed(at, by):
    import base64

    sealed = seal(SECRET, by="x", tenant_id=TENANT, row_id=ROW)
    content = bytearray(base64.urlsafe_b64decode(sealed + "=="))
    content[at] ^= by
    changed = base64.urlsafe_b64encode(content).decode().rstrip("=")
    with pytest.raises(SealBroken):
        unseal(changed, by="x", tenant_id=TENANT, row_id=ROW)


@pytest.mark.parametrize("text", ["", "short", "x" * 44, "ä" * 43, "-" * 44])
def test_a_secret_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput, match="43"):
        secret_bytes(text)
