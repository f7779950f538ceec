"""Settings: what is allowed, and one sentence for what is not."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from regional311.settings import (
    DEFAULT_URL,
    SettingRefused,
    Settings,
    StorageUnusable,
    storage_errors,
)


def read(tmp_path, **values: str) -> Settings:
    named = {f"REGIONAL311_{name}": value for name, value in values.items()}
    return Settings.from_environment(tmp_path / "var", named)


def test_nothing_is_needed(tmp_path) -> None:
    settings = read(tmp_path)
    assert settings.url == DEFAULT_URL
    assert settings.database_url is None
    assert settings.smtp_url is None
    assert not settings.secure
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700


def test_the_secret_is_made_once_and_private(tmp_path) -> None:
    first, second = read(tmp_path), read(tmp_path)
    assert first.secret == second.secret
    assert len(first.secret) >= 32
    assert first.secret not in repr(first)
    assert stat.S_IMODE((tmp_path / "var" / "secret").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["secret"]


def test_a_given_secret_is_not_stored(tmp_path) -> None:
    assert read(tmp_path, SECRET="s" * 32).secret == "s" * 32
    assert not list((tmp_path / "var").iterdir())


@pytest.mark.parametrize("prefix", ["postgresql://", "postgres://", "postgresql+psycopg://"])
def test_every_way_to_write_a_database_address(tmp_path, prefix) -> None:
    settings = read(tmp_path, DATABASE_URL=f"{prefix}app:pw@db.example:5432/region")
    assert settings.database_url == "postgresql+psycopg://app:pw@db.example:5432/region"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DATABASE_URL", "mysql://a@b/c", "must begin with postgresql:// or postgres://"),
        ("DATABASE_URL", "postgresql://a@b", "must name a database"),
        ("OWNER_DATABASE_URL", "nonsense", "must begin with"),
        ("ADMIN_DATABASE_URL", "postgresql://a@b:port/c", "is not an address"),
        ("URL", "311.example", "must begin with http:// or https://"),
        ("URL", "https://", "must name a host"),
        ("SMTP_URL", "mail.example", "must begin with smtp:// or smtps://"),
        ("SMTP_URL", "smtp://host:99999", "is not an address"),
        ("MAIL_FROM", "the city", "must be one e-mail address"),
        ("MAIL_FROM", "a@b\nBcc: c@d", "must be one e-mail address"),
        ("SECRET", "short", "at least 32 characters"),
        ("TRUSTED_PROXY", "proxy", "must be one IP address"),
        ("EXCHANGE_HOSTS", "https://b.example", "not https://b.example"),
        ("EXCHANGE_HOSTS", "b.example/fhir", "must be host names"),
        ("EXCHANGE_HOSTS", "*.example", "must be host names"),
        ("EXCHANGE_HOSTS", "a@b.example", "must be host names"),
        ("EXCHANGE_HOSTS", "b.example:port", "must be host names"),
        ("MAIL_LISTEN", "0.0.0.0:25", "of this machine or network"),
        ("MAIL_LISTEN", "[::]:25", "of this machine or network"),
    ],
)
def test_what_is_refused_names_the_variable(tmp_path, name, value, says) -> None:
    with pytest.raises(SettingRefused, match=says) as caught:
        read(tmp_path, **{name: value})
    assert caught.value.field == f"REGIONAL311_{name}"
    assert f"REGIONAL311_{name}" in caught.value.message


def test_a_child_process_reads_the_same_settings(tmp_path) -> None:
    settings = read(
        tmp_path,
        DATABASE_URL="postgresql://a:b@c/d",
        URL="https://311.example/",
        SMTP_URL="smtps://u:p@mail.example",
        MAIL_FROM="311@example.gov",
        TRUSTED_PROXY="127.0.0.1",
        EXCHANGE_HOSTS="b.example, c.example:8443,http://127.0.0.1:7001",
    )
    assert settings.secure
    assert Settings.from_environment(environment=settings.as_environment()) == settings


def test_a_full_disk_is_one_sentence(tmp_path) -> None:
    with pytest.raises(StorageUnusable, match="is full; free some space"), storage_errors(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_of_somebody_else_is_refused() -> None:
    with pytest.raises(StorageUnusable, match="cannot be"):
        Settings.from_environment(environment={"REGIONAL311_VAR": "/usr"})
