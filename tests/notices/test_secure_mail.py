"""Mail over TLS and with a password, to real servers on loopback that sign for themselves."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from regional311.database.ids import new_id
from regional311.inbox.mail_server import _Controller
from regional311.notices.delivery import Fate, Letter, send_all
from regional311.settings import SettingRefused, Settings
from tests.notices.test_delivery import Mailbox

NOW = datetime(2026, 10, 5, 17, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    where = tmp_path_factory.mktemp("tls")
    made, key = where / "server.pem", where / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made, key


class Login:
    """Lets in one user with one password, and notes whether that came over TLS."""

    def __init__(self) -> None:
        self.secure: list[bool] = []

    def __call__(self, server, session, envelope, mechanism, data) -> AuthResult:
        self.secure.append(session.ssl is not None)
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (
            b"user@city",
            b"p/w",
        )
        return AuthResult(success=good, handled=False)


@contextmanager
def serving(certificate, *, implicit: bool = False, starttls: bool = False, login=None) -> Iterator:
    box = Mailbox()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    options = {"ssl_context": context} if implicit else {}
    if starttls:
        options |= {"tls_context": context, "require_starttls": True}
    if login is not None:
        options |= {"authenticator": login, "auth_required": starttls, "auth_require_tls": starttls}
    controller = _Controller(box, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        yield box, controller.port
    finally:
        controller.stop()


def settings(url: str, ca: Path | None) -> Settings:
    return Settings(var=Path("unused"), smtp_url=url, smtp_ca=ca, mail_from="311@city.example")


def send(told: Settings):
    letter = Letter(new_id(), 1, "ana@example.org", "en", "News", "It is fixed.\n")
    until = NOW.replace(hour=23)
    (outcome,) = send_all([letter], told, clock=lambda: NOW, until=until, still=lambda _: True)
    return outcome


def test_starttls_with_a_password(certificate):
    login = Login()
    with serving(certificate, starttls=True, login=login) as (box, port):
        told = settings(f"smtp+tls://user%40city:p%2Fw@127.0.0.1:{port}", certificate[0])
        assert send(told).fate is Fate.SENT
        assert len(box.messages) == 1
        assert login.secure == [True]
        # a wrong password is the server's word about us, not about the letter: it is tried again
        wrong = replace(told, smtp_url=f"smtp+tls://user%40city:no@127.0.0.1:{port}")
        outcome = send(wrong)
        assert outcome.fate is Fate.RETRY
        assert "535" in outcome.reason
        assert "p/w" not in outcome.reason


def test_tls_from_the_start_with_a_password(certificate):
    login = Login()
    with serving(certificate, implicit=True, login=login) as (box, port):
        told = settings(f"smtps://user%40city:p%2Fw@127.0.0.1:{port}", certificate[0])
        assert send(told).fate is Fate.SENT
        assert len(box.messages) == len(login.secure) == 1


@pytest.mark.parametrize("scheme", ["smtps", "smtp+tls"])
def test_a_server_that_cannot_prove_who_it_is_gets_nothing(certificate, scheme):
    implicit = scheme == "smtps"
    with serving(certificate, implicit=implicit, starttls=not implicit) as (box, port):
        outcome = send(settings(f"{scheme}://127.0.0.1:{port}", None))
        assert outcome.fate is Fate.RETRY
        assert not box.messages


def test_where_tls_is_asked_for_nothing_leaves_without_it(certificate):
    login = Login()
    with serving(certificate, login=login) as (box, port):
        outcome = send(settings(f"smtp+tls://user%40city:p%2Fw@127.0.0.1:{port}", certificate[0]))
        assert outcome.fate is Fate.RETRY
        assert not box.messages
        assert login.secure == []


def test_certificates_are_read_when_it_starts(certificate, tmp_path):
    given = {
        "REGIONAL311_SMTP_URL": "smtp+tls://mail.example",
        "REGIONAL311_SMTP_CA": str(certificate[0]),
    }
    told = Settings.from_environment(tmp_path, given)
    assert told.smtp_ca == certificate[0]
    assert told.as_environment()["REGIONAL311_SMTP_CA"] == str(certificate[0])
    (tmp_path / "no.pem").write_text("no")
    for wrong in ("no.pem", "missing.pem"):
        with pytest.raises(SettingRefused, match="file of certificates"):
            Settings.from_environment(
                tmp_path, given | {"REGIONAL311_SMTP_CA": str(tmp_path / wrong)}
            )
