"""Change what a partner says in messages to people, from a form; files see it as their own."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from regional311.audit.service import record
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput, NotFound, Stale
from regional311.notices.service import TEXTS, TO_PEOPLE
from regional311.notices.texts import SHORT
from regional311.notices.wording import LANGUAGES, Words, check, own_words, worded
from regional311.tenancy.own_settings import keep_settings, locked_settings


def standard(event: str, channel: str = "email") -> Words:
    """The usual words of an event, in English. Raises `NotFound` for one that is not to people."""
    if event not in TO_PEOPLE or (channel == "text" and event not in SHORT):
        raise NotFound("There is no such message to people.")
    return Words("", SHORT[event]) if channel == "text" else Words(*TEXTS[event])


def set_wording(
    session: TenantSession,
    *,
    event: str,
    language: str,
    channel: str = "email",
    words: Words | None,
    seen: str,
    now: datetime,
) -> None:
    """Say these words in a message from now on, or the usual ones again (None).

    `seen` is `mark` of what the form showed. The trail keeps the words before and after. Raises
    `NotFound`, `InvalidInput` and `Stale`.
    """
    usual = standard(event, channel)
    if language not in LANGUAGES:
        raise InvalidInput(f"The language is one of {', '.join(LANGUAGES)}.", field="language")
    if words is not None:
        words = Words(words.heading.strip(), words.body.strip().replace("\r\n", "\n"))
        check(words, usual)
    settings, _revision = locked_settings(session)
    rows: list[dict[str, Any]] = settings.get("wording") or []
    before = own_words(rows, event, language, channel)
    if mark(before) != seen:
        raise Stale(
            "Somebody else has changed these words.",
            current=_said(before) or {},
            submitted=_said(words) or {},
        )
    if before == words:
        return
    rows = [each for each in rows if worded(each) != (event, language, channel)]
    by = {} if channel == "email" else {"channel": channel}
    if words is not None:
        rows.append({"event": event, "language": language, **by, **(_said(words) or {})})
    settings["wording"] = sorted(rows, key=worded)
    if not rows:
        del settings["wording"]
    keep_settings(session, settings)
    record(
        session,
        now=now,
        action="settings:wording",
        subject_kind="tenant",
        subject_id=scope_of(session).tenant_id,
        detail={
            "event": event,
            "language": language,
            **by,
            "before": _said(before),
            "after": _said(words),
        },
    )


def mark(words: Words | None) -> str:
    """What tells words from others when a form comes back; empty for the usual ones."""
    if words is None:
        return ""
    return hashlib.sha256(f"{words.heading}\n{words.body}".encode()).hexdigest()[:32]


def _said(words: Words | None) -> dict[str, str] | None:
    if words is None:
        return None
    return {"heading": words.heading, "body": words.body} if words.heading else {"body": words.body}
