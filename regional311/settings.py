"""What an installation is told from outside: addresses, secrets and the directory of its own files.

Settings come from environment variables (or, for `pserve`, from the same names in lower case in
the ini file, which win). Nothing else in the program reads the environment.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import ipaddress
import os
import secrets
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from regional311.errors import DomainError

DEFAULT_URL = "http://127.0.0.1:6543"
DEFAULT_MAIL_FROM = "no-reply@localhost"
SMTP_SECONDS = 60.0
SMTP_FINAL_SECONDS = 600.0
"""RFC 5321, 4.5.3.2.6: ten minutes, since a message given up on too early arrives twice."""
LONGEST_WAIT = 3600
SECRET_CHARACTERS = 32

VARIABLES = (
    "REGIONAL311_VAR",
    "REGIONAL311_DATABASE_URL",
    "REGIONAL311_OWNER_DATABASE_URL",
    "REGIONAL311_ADMIN_DATABASE_URL",
    "REGIONAL311_URL",
    "REGIONAL311_SMTP_URL",
    "REGIONAL311_SMTP_CA",
    "REGIONAL311_SMTP_SECONDS",
    "REGIONAL311_SMTP_FINAL_SECONDS",
    "REGIONAL311_MAIL_FROM",
    "REGIONAL311_SECRET",
    "REGIONAL311_TRUSTED_PROXY",
    "REGIONAL311_EXCHANGE_HOSTS",
    "REGIONAL311_MAIL_LISTEN",
    "REGIONAL311_TEXT_URL",
    "REGIONAL311_TEXT_KEY",
    "REGIONAL311_TEXT_SECRET",
    "REGIONAL311_PHONE_SECRET",
)


class SettingRefused(DomainError):
    """A setting has a value that is not allowed; the message names it and says what is."""


class StorageUnusable(DomainError):
    """The directory for the installation's own files cannot be written, or its disk is full."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one installation.

    `database_url` (application role) and `owner_database_url` (migrations) are None for the
    embedded server, which knows its own. `admin_database_url` is only needed by `regional311 init`
    on an outside server. Without `smtp_url`, mail stays in the outbox with that reason shown;
    `smtp_ca` has the certificates by which its server is known, where no public authority does.
    Each of its answers is waited for `smtp_seconds`, that to a whole message `smtp_final_seconds`.
    `trusted_proxy` is the IP address of the one proxy whose X-Forwarded headers are believed.
    `exchange_hosts` are the only hosts whose systems are asked about referrals. `mail_listen` is
    where mail to lines is received; without it none is. `text_url` is the one address that texts
    are handed to, with `text_key`; `text_secret` signs what the provider of texts brings,
    `phone_secret` what a telephone system tells of calls.
    """

    var: Path
    url: str = DEFAULT_URL
    secret: str = field(default="", repr=False)
    database_url: str | None = field(default=None, repr=False)
    owner_database_url: str | None = field(default=None, repr=False)
    admin_database_url: str | None = field(default=None, repr=False)
    smtp_url: str | None = field(default=None, repr=False)
    smtp_ca: Path | None = None
    smtp_seconds: float = SMTP_SECONDS
    smtp_final_seconds: float = SMTP_FINAL_SECONDS
    mail_from: str = DEFAULT_MAIL_FROM
    trusted_proxy: str | None = None
    exchange_hosts: tuple[str, ...] = ()
    mail_listen: tuple[str, int] | None = None
    text_url: str | None = None
    text_key: str = field(default="", repr=False)
    text_secret: str | None = field(default=None, repr=False)
    phone_secret: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(
        cls, var: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> Self:
        """Read the settings; `var` wins over REGIONAL311_VAR.

        Makes `var/` and, once, the installation's secret in it. Raises SettingRefused or
        StorageUnusable.
        """
        values = os.environ if environment is None else environment
        directory = (var or Path(values.get("REGIONAL311_VAR") or "var")).absolute()
        url = _url(values, "REGIONAL311_URL", ("http", "https")) or DEFAULT_URL
        database_url = _url(values, "REGIONAL311_DATABASE_URL", ("postgresql", "postgres"))
        return cls(
            var=make_private_directory(directory),
            url=url.rstrip("/"),
            secret=_secret(values, directory),
            database_url=database_url,
            owner_database_url=_url(
                values, "REGIONAL311_OWNER_DATABASE_URL", ("postgresql", "postgres")
            ),
            admin_database_url=_url(
                values, "REGIONAL311_ADMIN_DATABASE_URL", ("postgresql", "postgres")
            ),
            smtp_url=_url(values, "REGIONAL311_SMTP_URL", ("smtp", "smtps", "smtp+tls")),
            smtp_ca=_smtp_ca(values),
            smtp_seconds=_seconds(values, "REGIONAL311_SMTP_SECONDS", SMTP_SECONDS),
            smtp_final_seconds=_seconds(
                values, "REGIONAL311_SMTP_FINAL_SECONDS", SMTP_FINAL_SECONDS
            ),
            mail_from=_mail_from(values),
            trusted_proxy=_trusted_proxy(values),
            exchange_hosts=_exchange_hosts(values),
            mail_listen=_mail_listen(values),
            text_url=_text_url(values),
            text_key=values.get("REGIONAL311_TEXT_KEY", "").strip(),
            text_secret=_webhook_secret(values, "REGIONAL311_TEXT_SECRET"),
            phone_secret=_webhook_secret(values, "REGIONAL311_PHONE_SECRET"),
        )

    def as_environment(self) -> dict[str, str]:
        """The variables from which a child process reads the same settings."""
        values = {
            "REGIONAL311_VAR": str(self.var),
            "REGIONAL311_DATABASE_URL": self.database_url,
            "REGIONAL311_OWNER_DATABASE_URL": self.owner_database_url,
            "REGIONAL311_URL": self.url,
            "REGIONAL311_SMTP_URL": self.smtp_url,
            "REGIONAL311_SMTP_CA": str(self.smtp_ca) if self.smtp_ca else None,
            "REGIONAL311_SMTP_SECONDS": str(self.smtp_seconds),
            "REGIONAL311_SMTP_FINAL_SECONDS": str(self.smtp_final_seconds),
            "REGIONAL311_MAIL_FROM": self.mail_from,
            "REGIONAL311_SECRET": self.secret,
            "REGIONAL311_TRUSTED_PROXY": self.trusted_proxy,
            "REGIONAL311_EXCHANGE_HOSTS": ",".join(self.exchange_hosts),
            "REGIONAL311_MAIL_LISTEN": "{}:{}".format(*self.mail_listen)
            if self.mail_listen
            else None,
            "REGIONAL311_TEXT_URL": self.text_url,
            "REGIONAL311_TEXT_KEY": self.text_key,
            "REGIONAL311_TEXT_SECRET": self.text_secret,
            "REGIONAL311_PHONE_SECRET": self.phone_secret,
        }
        return {name: value for name, value in values.items() if value}

    @property
    def secure(self) -> bool:
        """Whether people reach the site over https, so that cookies can be Secure."""
        return self.url.startswith("https://")


def _url(values: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str | None:
    value = values.get(name, "").strip()
    if not value:
        return None
    allowed = " or ".join(f"{scheme}://" for scheme in schemes[:2])
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise SettingRefused(f"{name} is not an address: {error}.", field=name) from error
    # SQLAlchemy's form names the driver too: postgresql+psycopg://
    scheme = parts.scheme.removesuffix("+psycopg")
    if scheme not in schemes:
        raise SettingRefused(f"{name} must begin with {allowed}.", field=name)
    if scheme.startswith("postgres"):
        if not parts.path.strip("/"):
            raise SettingRefused(
                f"{name} must name a database, like postgresql://user:password@host/database.",
                field=name,
            )
        return f"postgresql+psycopg{value[len(parts.scheme) :]}"
    if not parts.hostname:
        raise SettingRefused(f"{name} must name a host, like {schemes[0]}://host.", field=name)
    return value


def _smtp_ca(values: Mapping[str, str]) -> Path | None:
    """A file of certificates by which the mail server is known, when no public authority is."""
    name = "REGIONAL311_SMTP_CA"
    value = values.get(name, "").strip()
    if not value:
        return None
    path = Path(value).absolute()
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise SettingRefused(
            f"{name} must be a file of certificates in PEM; {path} cannot be read as one.",
            field=name,
        ) from error
    return path


def _seconds(values: Mapping[str, str], name: str, usual: float) -> float:
    """How long something is waited for."""
    value = values.get(name, "").strip()
    if not value:
        return usual
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_WAIT:
        raise SettingRefused(
            f"{name} must be a number of seconds, more than 0 and at most {LONGEST_WAIT}.",
            field=name,
        )
    return seconds


def _mail_from(values: Mapping[str, str]) -> str:
    name = "REGIONAL311_MAIL_FROM"
    address = values.get(name, "").strip() or DEFAULT_MAIL_FROM
    local, _, host = address.rpartition("@")
    if not local or not host or any(character.isspace() for character in address):
        raise SettingRefused(
            f"{name} must be one e-mail address, like 311@example.gov.", field=name
        )
    return address


def _mail_listen(values: Mapping[str, str]) -> tuple[str, int] | None:
    """Where mail is received: it comes unencrypted from a mail server beside, never from afar."""
    name = "REGIONAL311_MAIL_LISTEN"
    value = values.get(name, "").strip()
    if not value:
        return None
    host, _, port = value.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        # 0.0.0.0 and :: count as private and mean every address there is
        near = address.is_private and not address.is_unspecified
    except ValueError:
        near = False
    if not near or not (port.isdecimal() and port.isascii() and int(port) < 65536):
        raise SettingRefused(
            f"{name} must be an address of this machine or network with a port, like"
            " 127.0.0.1:2525.",
            field=name,
        )
    return str(address), int(port)


def _text_url(values: Mapping[str, str]) -> str | None:
    """Where texts are handed over: over https, or on this machine itself for trying out."""
    name = "REGIONAL311_TEXT_URL"
    value = _url(values, name, ("https", "http"))
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.query or parts.fragment or parts.username:
        raise SettingRefused(
            f"{name} must be an address without user or query, like https://texts.example/v1.",
            field=name,
        )
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise SettingRefused(f"{name} must begin with https://.", field=name)
    return value


def _webhook_secret(values: Mapping[str, str], name: str) -> str | None:
    value = values.get(name, "").strip()
    if not value:
        return None
    try:
        key = base64.b64decode(value.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not value.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise SettingRefused(
            f"{name} must be whsec_ and 24 to 64 bytes in base64, the same on both sides.",
            field=name,
        )
    return value


def _trusted_proxy(values: Mapping[str, str]) -> str | None:
    name = "REGIONAL311_TRUSTED_PROXY"
    value = values.get(name, "").strip()
    if not value:
        return None
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise SettingRefused(
            f"{name} must be one IP address, like 127.0.0.1.", field=name
        ) from error


def _exchange_hosts(values: Mapping[str, str]) -> tuple[str, ...]:
    name = "REGIONAL311_EXCHANGE_HOSTS"
    hosts = [each.strip().lower() for each in values.get(name, "").split(",") if each.strip()]
    for host in hosts:
        try:
            parts = urlsplit(host if "://" in host else f"https://{host}")
            good = host in (parts.netloc, f"http://{parts.netloc}") and bool(parts.hostname)
            _ = parts.port
        except ValueError:
            good = False
        if not good or "@" in host or "*" in host:
            raise SettingRefused(
                f"{name} must be host names with commas between them, like"
                f" 311.example.org,partner.example:8443, not {host}.",
                field=name,
            )
    return tuple(hosts)


def _secret(values: Mapping[str, str], var: Path) -> str:
    given = values.get("REGIONAL311_SECRET", "")
    if given:
        if len(given) < SECRET_CHARACTERS:
            raise SettingRefused(
                f"REGIONAL311_SECRET must have at least {SECRET_CHARACTERS} characters.",
                field="REGIONAL311_SECRET",
            )
        return given
    make_private_directory(var)
    path = var / "secret"
    if not path.exists():
        draft = path.with_name(f".secret.{os.getpid()}")
        write_private(draft, secrets.token_urlsafe(48))
        # A hard link decides which of several processes that start at once was first.
        with storage_errors(path), contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink(missing_ok=True)
    with storage_errors(path):
        return path.read_text(encoding="utf-8")


def make_private_directory(path: Path) -> Path:
    """Create `path`, and what is missing above it, for this user only; one that exists stays as is.

    Raises StorageUnusable when it cannot be made or written.
    """
    with storage_errors(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise StorageUnusable(f"{path} cannot be written by this user.", field="REGIONAL311_VAR")
    return path


def write_private(path: Path, content: str) -> None:
    """Replace the file `path` at once by one that only this user can read."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    with storage_errors(path):
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an error of the file system below `path` into one plain sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"The disk that holds {path} is full; free some space and run this again."
        else:
            message = f"{error.filename or path} cannot be used: {error.strerror}."
        raise StorageUnusable(message, field="REGIONAL311_VAR") from error
